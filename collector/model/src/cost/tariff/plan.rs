//! The table of periods unfolded: for every kind of day the prices from midnight to midnight.

use jiff::civil::{Date, DateTime, Time};
use wattline_core::UsdPerKwh;

use super::spec::{Period, TariffError, TimeOfUse, price};

const MINUTES_PER_DAY: u16 = 24 * 60;
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays"];

/// Prices of all kinds of day.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plan {
    /// In the order of [`Kind::index`].
    days: Vec<Vec<Segment>>,
}

/// From this minute of the day on, until the next segment, this is the price.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Segment {
    from: u16,
    price: UsdPerKwh,
}

/// What a table can tell apart of a day. The first of a month is a kind of its own, because a night that began in the
/// month before reaches into it.
#[derive(Clone, Copy, Debug)]
struct Kind {
    /// From 0.
    month: usize,
    /// From Monday as 0.
    weekday: usize,
    is_first: bool,
}

impl Kind {
    fn of(day: Date) -> Self {
        let from_one = |number: i8| usize::try_from(number - 1).unwrap_or(0);
        Self {
            month: from_one(day.month()),
            weekday: from_one(day.weekday().to_monday_one_offset()),
            is_first: day.day() == 1,
        }
    }

    fn all() -> impl Iterator<Item = Self> {
        (0..12 * 7 * 2).map(|index| Self { month: index / 14, weekday: index / 2 % 7, is_first: index % 2 == 1 })
    }

    const fn index(self) -> usize {
        self.month * 14 + self.weekday * 2 + self.is_first as usize
    }

    /// Month and day of the week of the day before.
    const fn before(self) -> (usize, usize) {
        (if self.is_first { (self.month + 11) % 12 } else { self.month }, (self.weekday + 6) % 7)
    }

    fn words(self, minute: u16) -> String {
        let weekday = WEEKDAYS.get(self.weekday).copied().unwrap_or("");
        let month = MONTHS.get(self.month).copied().unwrap_or("");
        let first = if self.is_first { " that are the first of the month" } else { "" };
        format!("at {:02}:{:02} on {weekday} in {month}{first}", minute / 60, minute % 60)
    }
}

/// A period, understood.
struct Span<'a> {
    entry: usize,
    period: &'a Period,
    from: u16,
    to: u16,
    price: UsdPerKwh,
}

impl Plan {
    pub(super) fn new(table: &TimeOfUse) -> Result<Self, TariffError> {
        let default = table.default.map(|usd| price("cost.electricity.default", usd)).transpose()?;
        let spans = table.periods.iter().zip(1..).map(|(period, entry)| Span::new(entry, period));
        let spans = spans.collect::<Result<Vec<_>, _>>()?;
        let days = Kind::all().map(|kind| segments(kind, &spans, default)).collect::<Result<_, _>>()?;
        Ok(Self { days })
    }

    /// The price when the clock on the wall shows this.
    pub(super) fn price(&self, wall: DateTime) -> UsdPerKwh {
        let minute = u16::try_from(i32::from(wall.hour()) * 60 + i32::from(wall.minute())).unwrap_or(0);
        let segments = self.day(wall.date());
        // Every kind of day has a segment from its first minute on.
        segments.iter().rev().find(|segment| segment.from <= minute).map_or(UsdPerKwh::ZERO, |segment| segment.price)
    }

    /// The times of a day at which a segment begins, midnight included.
    pub(super) fn boundaries(&self, day: Date) -> impl Iterator<Item = Time> {
        self.day(day).iter().map(|segment| {
            let part = |number: u16| i8::try_from(number).unwrap_or(0);
            Time::new(part(segment.from / 60), part(segment.from % 60), 0, 0).unwrap_or(Time::midnight())
        })
    }

    /// True when there is but one price.
    pub(super) fn is_constant(&self) -> bool {
        let mut prices = self.days.iter().flatten().map(|segment| segment.price);
        let first = prices.next();
        prices.all(|price| Some(price) == first)
    }

    fn day(&self, day: Date) -> &[Segment] {
        self.days.get(Kind::of(day).index()).map_or(&[], Vec::as_slice)
    }
}

impl<'a> Span<'a> {
    fn new(entry: usize, period: &'a Period) -> Result<Self, TariffError> {
        let price = price(&format!("cost.electricity.periods: entry {entry}: price"), period.price)?;
        let (from, to) = (minute(entry, "from", &period.from)?, minute(entry, "to", &period.to)?);
        if let Some(&month) = period.months.iter().find(|month| !(1..=12).contains(*month)) {
            return Err(TariffError::Month { entry, month });
        }
        if from == to || from == MINUTES_PER_DAY || period.days.is_empty() || period.months.is_empty() {
            return Err(TariffError::Empty { entry });
        }
        Ok(Self { entry, period, from, to, price })
    }

    /// The minutes of a day that the period covers: what begins on it, and what began on the day before.
    fn minutes(&self, kind: Kind) -> impl Iterator<Item = (u16, u16)> {
        let begins = |(month, weekday): (usize, usize)| {
            self.period.days.iter().any(|day| day.covers(weekday))
                && self.period.months.iter().any(|&named| usize::from(named) == month + 1)
        };
        let crosses = self.to < self.from;
        let own =
            begins((kind.month, kind.weekday)).then_some((self.from, if crosses { MINUTES_PER_DAY } else { self.to }));
        let tail = (crosses && self.to > 0 && begins(kind.before())).then_some((0, self.to));
        tail.into_iter().chain(own)
    }
}

/// The prices of one kind of day, in order, from its first minute to its last.
fn segments(kind: Kind, spans: &[Span<'_>], default: Option<UsdPerKwh>) -> Result<Vec<Segment>, TariffError> {
    let mut covered: Vec<(u16, u16, &Span<'_>)> =
        spans.iter().flat_map(|span| span.minutes(kind).map(move |(from, to)| (from, to, span))).collect();
    covered.sort_unstable_by_key(|&(from, to, span)| (from, to, span.entry));
    let mut segments = Vec::new();
    let gap = |from: u16| default.ok_or_else(|| TariffError::Gap { when: kind.words(from) });
    let (mut end, mut last) = (0, None::<&Span<'_>>);
    for (from, to, span) in covered {
        if from < end {
            let other = last.map_or(span.entry, |last| last.entry);
            let (first, second) = (span.entry.min(other), span.entry.max(other));
            return Err(TariffError::Overlap { first, second, when: kind.words(from) });
        }
        if from > end {
            segments.push(Segment { from: end, price: gap(end)? });
        }
        segments.push(Segment { from, price: span.price });
        (end, last) = (to, Some(span));
    }
    if end < MINUTES_PER_DAY {
        segments.push(Segment { from: end, price: gap(end)? });
    }
    Ok(segments)
}

/// Minutes since midnight of a time written `HH:MM`.
fn minute(entry: usize, key: &'static str, value: &str) -> Result<u16, TariffError> {
    let parsed = || {
        let (hours, minutes) = value.split_once(':')?;
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()) && text.len() == 2;
        let number = |text: &str| digits(text).then(|| text.parse::<u16>().ok()).flatten();
        let (hours, minutes) = (number(hours)?, number(minutes)?);
        Some(hours * 60 + minutes).filter(|&total| minutes < 60 && total <= MINUTES_PER_DAY)
    };
    parsed().ok_or_else(|| TariffError::Time { entry, key, value: value.to_owned() })
}
