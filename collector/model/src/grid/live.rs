//! Live carbon intensity: what a provider publishes for hours or minutes, laid along time.
//!
//! Intervals may come late, twice, out of order and across each other. At any moment the interval that began last
//! counts; of those that began together the measured one, then the shorter one. Where none covers the moment, the one
//! that ended last stands in and is called stale, until it is too old to say anything. Which interval counts never
//! depends on the order of arrival; only of two values for the very same interval the later one counts, because
//! providers revise what they have published.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use wattline_core::reading::{IntensityKind, IntensityReading};
use wattline_core::{GramsPerKwh, Seconds, Text, Timestamp, Uncertainty};

/// Intervals that ended longer ago than this, or begin later than this, are not kept: all accounting windows that
/// could still be open lie within, and so do all forecasts worth asking for.
pub const KEPT: Seconds = Seconds::new(48.0 * 3600.0);

/// Intervals of one kind that are kept at most: [`KEPT`] in both directions, in steps of five minutes, which is the
/// finest that a provider publishes. Beyond, those farthest from now go first.
pub const INTERVALS_MAX: usize = 2 * 48 * 12;

/// Grams of CO2e for each kilowatt-hour beyond which a value is nonsense. The highest life-cycle figure of any plant in
/// the literature is 1,689, of coal (IPCC, Special Report on Renewable Energy Sources, 2011, Annex II, Table A.II.4);
/// losses of the grid can add a tenth or a fifth. Zero is believed: providers that count direct emissions only have
/// regions with nothing but wind and water.
pub const GRAMS_MAX: f64 = 3000.0;

/// What the logarithm of a measured live value errs by. An assumption: two publishers of the same year differ by twice
/// as much (Ember against Electricity Maps, 86 countries, 2024: 16 % in the median), most of it in their factors.
const SIGMA_MEASURED: f64 = 0.10;

/// The same for an estimated or forecast value.
const SIGMA_ESTIMATED: f64 = 0.20;

/// What each hour since the end of its interval adds to the error of a stale value. A grid whose intensity swings by a
/// factor of 3 between the best and the worst hour of a day, as those of Germany and France do, follows a wave with an
/// amplitude of ln(3)/2 in the logarithm; two points of it that are t hours apart differ by
/// sqrt(2) * ln(3)/2 * sin(pi * t/24) in the root mean square: 0.10 after one hour, 0.55 after six.
const SIGMA_EACH_HOUR: f64 = 0.09;

/// The live carbon intensity of one zone.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveIntensity {
    average: Timeline,
    marginal: Timeline,
    max_age: Seconds,
    revised: u64,
}

/// The intensity at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveValue {
    /// Grams for each kilowatt-hour; zero or more.
    pub grams: GramsPerKwh,
    /// The zone as the provider names it.
    pub zone: Text,
    /// The provider.
    pub source: Text,
    /// The publisher estimated or forecast it.
    pub estimated: bool,
    /// The time that it was published for is over, and nothing newer is there.
    pub stale: bool,
    /// Since the end of the time that it was published for; zero within it.
    pub age: Seconds,
    /// How wrong it may be; grows while it is stale.
    pub uncertainty: Uncertainty,
}

/// What became of a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Its interval was not known.
    New,
    /// It says what was known.
    Same,
    /// It replaces what was published for its interval before. What is booked stays.
    Revised,
    /// Its interval is over for too long, or too far ahead.
    Outside,
    /// It is no intensity: negative, not a number or beyond [`GRAMS_MAX`], or its interval does not end after it begins.
    Refused,
}

impl LiveIntensity {
    /// Knows nothing yet. A value is used up to `max_age` after the end of its interval.
    pub fn new(max_age: Seconds) -> Self {
        Self { average: Timeline::default(), marginal: Timeline::default(), max_age, revised: 0 }
    }

    /// Takes what a provider says. `now` decides what is too old to keep.
    pub fn take(&mut self, reading: &IntensityReading, now: Timestamp) -> Taken {
        let timeline = match reading.kind {
            IntensityKind::Average => &mut self.average,
            IntensityKind::Marginal => &mut self.marginal,
        };
        let taken = timeline.take(reading, now);
        if taken == Taken::Revised {
            self.revised = self.revised.saturating_add(1);
        }
        taken
    }

    /// How many values were replaced after they had been published.
    pub const fn revised(&self) -> u64 {
        self.revised
    }

    /// How many intervals are kept, of both kinds together; at most twice [`INTERVALS_MAX`].
    pub fn intervals(&self) -> usize {
        self.average.0.len() + self.marginal.0.len()
    }

    /// The average intensity at `now`: what is accounted with. `None` where the caller has to fall back.
    pub fn at(&self, now: Timestamp) -> Option<LiveValue> {
        self.average.at(now, self.max_age)
    }

    /// The intensity of one kilowatt-hour more at `now`: for deciding, never for accounting.
    pub fn marginal_at(&self, now: Timestamp) -> Option<LiveValue> {
        self.marginal.at(now, self.max_age)
    }
}

/// An interval and who says so: the key under which a revision replaces what was there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Interval {
    from: Timestamp,
    until: Timestamp,
    source: Text,
    zone: Text,
}

impl Interval {
    fn covers(&self, now: Timestamp) -> bool {
        self.from <= now && now < self.until
    }

    /// How far it lies from `now`, on either side.
    fn distance(&self, now: Timestamp) -> Seconds {
        // One of the two is zero, because a difference does not go below.
        now.since(self.until) + self.from.since(now)
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Published {
    grams: GramsPerKwh,
    estimated: bool,
}

/// What was published, in order of time.
#[derive(Clone, Debug, Default, PartialEq)]
struct Timeline(BTreeMap<Interval, Published>);

impl Timeline {
    fn take(&mut self, reading: &IntensityReading, now: Timestamp) -> Taken {
        let IntensityReading { zone, source, kind: _, grams, from, until, estimated } = reading.clone();
        if !(0.0..=GRAMS_MAX).contains(&grams.get()) || until <= from {
            return Taken::Refused;
        }
        self.0.retain(|interval, _| interval.distance(now) <= KEPT);
        let interval = Interval { from, until, source, zone };
        if interval.distance(now) > KEPT {
            return Taken::Outside;
        }
        let published = Published { grams, estimated };
        match self.0.insert(interval.clone(), published) {
            Some(known) if known == published => return Taken::Same,
            Some(_) => return Taken::Revised,
            None => {}
        }
        if self.0.len() > INTERVALS_MAX
            && let Some(farthest) = self.farthest(now)
        {
            self.0.remove(&farthest);
            if farthest == interval {
                return Taken::Outside;
            }
        }
        Taken::New
    }

    fn farthest(&self, now: Timestamp) -> Option<Interval> {
        let key = |interval: &Interval| interval.distance(now).get();
        self.0.keys().max_by(|a, b| key(a).total_cmp(&key(b)).then(a.cmp(b))).cloned()
    }

    fn at(&self, now: Timestamp, max_age: Seconds) -> Option<LiveValue> {
        let begun = || self.0.iter().take_while(|(interval, _)| interval.from <= now);
        let covering = begun().filter(|(interval, _)| interval.covers(now)).max_by_key(|(interval, published)| {
            (interval.from, !published.estimated, Reverse(interval.until), &interval.source, &interval.zone)
        });
        if let Some((interval, published)) = covering {
            return Some(value(interval, *published, Seconds::ZERO));
        }
        let (interval, published) = begun().max_by_key(|(interval, published)| {
            (interval.until, interval.from, !published.estimated, &interval.source, &interval.zone)
        })?;
        let age = now.since(interval.until);
        (age <= max_age).then(|| LiveValue { stale: true, ..value(interval, *published, age) })
    }
}

fn value(interval: &Interval, published: Published, age: Seconds) -> LiveValue {
    let sigma = if published.estimated { SIGMA_ESTIMATED } else { SIGMA_MEASURED };
    LiveValue {
        grams: published.grams,
        zone: interval.zone.clone(),
        source: interval.source.clone(),
        estimated: published.estimated,
        stale: false,
        age,
        uncertainty: Uncertainty::from_sigma(sigma.hypot(SIGMA_EACH_HOUR * age.hours())),
    }
}

#[cfg(test)]
mod tests;
