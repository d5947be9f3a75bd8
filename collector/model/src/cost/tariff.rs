//! What a kilowatt-hour costs, at any moment.
//!
//! A tariff is one price, or a table of periods by time of day, day of the week and month. Times of the table are those
//! of the clock on the wall in the tariff's zone, so that a period keeps its hours when summer time begins: the day on
//! which clocks go forward has 23 hours, and what the table says of the hour that is left out is never charged; the day
//! on which they go back has 25, and the hour that comes twice is charged twice at its price.

mod plan;
mod spec;

use std::iter::Peekable;

use jiff::civil::{Date, Time};
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase, TimeZoneFollowingTransitions, TimeZoneName};
use wattline_core::{Seconds, Timestamp, UsdPerKwh};

pub use self::spec::{Day, Period, TariffError, TariffSpec, TimeOfUse};

use self::plan::Plan;
use super::nearest;

/// The highest price taken for one that was meant: a hundred times what the dearest households pay.
const MOST_USD_PER_KWH: f64 = 100.0;

/// Days looked ahead for a change of price: thirteen years, because the rarest kind of day that a table can tell apart,
/// the first of a given month on a given day of the week, comes every twelve years at the latest. A change of price
/// that is not that rare is found long before.
const DAYS_AHEAD: usize = 13 * 366;

/// A year of 365 days.
const ONE_YEAR: Seconds = Seconds::new(365.0 * 24.0 * 3600.0);

/// Changes of price in a year that are looked at: one for each hour.
const MOST_CHANGES: usize = 8760;

/// A price of electricity at every moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Tariff {
    prices: Prices,
}

#[derive(Clone, Debug, PartialEq)]
enum Prices {
    Constant(UsdPerKwh),
    TimeOfUse { zone: TimeZone, plan: Plan },
}

impl Tariff {
    /// The same price always.
    pub const fn constant(price: UsdPerKwh) -> Self {
        Self { prices: Prices::Constant(price) }
    }

    /// The tariff that was described. Every moment has exactly one price, or this is an error that names the entry.
    pub fn new(spec: &TariffSpec) -> Result<Self, TariffError> {
        match spec {
            TariffSpec::Constant(usd) => Ok(Self::constant(spec::price("cost.electricity", *usd)?)),
            TariffSpec::TimeOfUse(table) => {
                let zone = time_zone(&table.zone)?;
                Ok(Self { prices: Prices::TimeOfUse { zone, plan: Plan::new(table)? } })
            }
        }
    }

    /// The price at a moment.
    pub fn at(&self, moment: Timestamp) -> UsdPerKwh {
        match &self.prices {
            Prices::Constant(price) => *price,
            Prices::TimeOfUse { zone, plan } => price_at(zone, plan, instant(moment)),
        }
    }

    /// The mean price from a moment on for so long, weighted by time; of a longer time than a year, that of its first.
    pub fn mean(&self, from: Timestamp, span: Seconds) -> UsdPerKwh {
        let end = from.ahead(span.min(ONE_YEAR));
        let (mut begin, mut sum) = (from, 0.0);
        // A table changes its price a few times a day; what changes more often is cut off, and its last price goes on.
        for _ in 0..MOST_CHANGES {
            let next = self.next_change(begin).filter(|next| *next < end && *next > begin).unwrap_or(end);
            sum += self.at(begin).get() * next.since(begin).get();
            begin = next;
            if begin >= end {
                break;
            }
        }
        let covered = begin.since(from).get();
        if covered > 0.0 { UsdPerKwh::new(sum / covered) } else { self.at(from) }
    }

    /// The first moment after this one at which the price is another; `None` where it never changes again.
    pub fn next_change(&self, moment: Timestamp) -> Option<Timestamp> {
        let Prices::TimeOfUse { zone, plan } = &self.prices else { return None };
        if plan.is_constant() {
            return None;
        }
        let now = instant(moment);
        let price = price_at(zone, plan, now);
        let mut ahead = Ahead::new(zone, plan, now);
        let mut change = || {
            let moments = ahead.next()?;
            Some(moments.into_iter().filter(|&moment| price_at(zone, plan, moment) != price).min())
        };
        loop {
            if let Some(found) = change()? {
                // Where clocks go back over midnight, a moment of the next day may come before one of this day.
                return timestamp(change().flatten().map_or(found, |next_day| found.min(next_day)));
            }
        }
    }
}

/// The moments at which the price may change, a day of the calendar at a time.
struct Ahead<'a> {
    zone: &'a TimeZone,
    plan: &'a Plan,
    after: jiff::Timestamp,
    /// The next day, from the day before the moment on: clocks may go back over midnight.
    day: Option<Date>,
    days_left: usize,
    /// When clocks are moved the price may change at a time that no period names.
    shifts: Peekable<TimeZoneFollowingTransitions<'a>>,
}

impl<'a> Ahead<'a> {
    fn new(zone: &'a TimeZone, plan: &'a Plan, after: jiff::Timestamp) -> Self {
        let day = zone.to_datetime(after).date().yesterday().ok();
        Self { zone, plan, after, day, days_left: DAYS_AHEAD, shifts: zone.following(after).peekable() }
    }

    /// The moments of the next day that are later than the one looked from; `None` after [`DAYS_AHEAD`].
    fn next(&mut self) -> Option<Vec<jiff::Timestamp>> {
        let Self { zone, plan, after, .. } = *self;
        let day = self.day.filter(|_| self.days_left > 0)?;
        self.day = day.tomorrow().ok();
        self.days_left -= 1;
        let boundaries = plan.boundaries(day).flat_map(|time| moments(zone, day, time));
        let mut moments: Vec<_> = boundaries.filter(|&moment| moment > after).collect();
        while let Some(shift) = self.shifts.next_if(|shift| zone.to_datetime(shift.timestamp()).date() <= day) {
            moments.push(shift.timestamp());
        }
        Some(moments)
    }
}

/// When the clock on the wall shows this time on this day: once, twice where clocks go back, never where they skip it.
fn moments(zone: &TimeZone, day: Date, time: Time) -> impl Iterator<Item = jiff::Timestamp> {
    let offsets = match zone.to_ambiguous_timestamp(day.to_datetime(time)).offset() {
        AmbiguousOffset::Unambiguous { offset } => [Some(offset), None],
        AmbiguousOffset::Gap { .. } => [None, None],
        AmbiguousOffset::Fold { before, after } => [Some(before), Some(after)],
    };
    offsets.into_iter().flatten().filter_map(move |offset| offset.to_timestamp(day.to_datetime(time)).ok())
}

fn price_at(zone: &TimeZone, plan: &Plan, moment: jiff::Timestamp) -> UsdPerKwh {
    plan.price(zone.to_datetime(moment))
}

fn time_zone(name: &str) -> Result<TimeZone, TariffError> {
    let zones = TimeZoneDatabase::bundled();
    zones.get(name).map_err(|_not_found| {
        let known: Vec<_> = zones.available().collect();
        let nearest = nearest(name, known.iter().map(TimeZoneName::as_str));
        TariffError::UnknownZone { zone: name.to_owned(), nearest: nearest.into_iter().map(str::to_owned).collect() }
    })
}

/// Every moment of ours, from 1970 to 2554, is one of jiff's.
fn instant(moment: Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_nanosecond(i128::from(moment.unix_nanos())).unwrap_or(jiff::Timestamp::MAX)
}

fn timestamp(moment: jiff::Timestamp) -> Option<Timestamp> {
    u64::try_from(moment.as_nanosecond()).ok().map(Timestamp::from_unix_nanos)
}

#[cfg(test)]
mod tests;
