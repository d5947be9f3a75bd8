//! What is believed of what was told.

use wattline_core::reading::IntensityReading;
use wattline_core::{GramsPerKwh, Seconds, Text, Timestamp};

use crate::provider::{Point, Told};

/// Grams of CO2e for each kilowatt-hour beyond which a value is nonsense. The highest life-cycle figure of any plant in
/// the literature is 1,689, of coal (IPCC, Special Report on Renewable Energy Sources, 2011, Annex II, Table A.II.4);
/// losses of the grid can add a tenth or a fifth. A mistaken unit (pounds for kilograms, tonnes for grams) or a sum in
/// place of a mean mostly lies beyond.
///
/// Zero is believed: providers that count direct emissions only, as those of Great Britain do, have regions with
/// nothing but wind and water.
pub const GRAMS_MAX: f64 = 3000.0;

/// Clocks of machines and of providers differ by less than this when both are kept. What begins later than this after
/// now has not happened, whatever the provider calls it: it is a forecast.
pub(crate) const SKEW_MAX: Seconds = Seconds::new(300.0);

/// Intervals that are over for longer than this, or begin later than this, say nothing about any window.
const FAR: Seconds = Seconds::new(48.0 * 3600.0);

/// Values of one answer that are passed on at most; those nearest to now.
pub(crate) const VALUES_MAX: usize = 1000;

/// What is believed, and what each rule refused.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Checked {
    pub(crate) readings: Vec<IntensityReading>,
    /// Negative, not a number, or beyond [`GRAMS_MAX`].
    pub(crate) implausible: u64,
    /// Without a time, or ending before it begins.
    pub(crate) unreadable: u64,
}

/// Sorts the good values from the bad ones. Values of long ago and of far ahead are left out without a count: series
/// may well hold them.
pub(crate) fn check(told: Told, zone: &Text, source: &'static str, now: Timestamp) -> Checked {
    let mut checked = Checked { unreadable: told.unreadable, ..Checked::default() };
    let mut points = Vec::new();
    for point in told.points {
        if point.until <= point.from {
            checked.unreadable = checked.unreadable.saturating_add(1);
        } else if !(0.0..=GRAMS_MAX).contains(&point.grams) {
            checked.implausible = checked.implausible.saturating_add(1);
        } else if distance(&point, now) <= FAR {
            points.push(point);
        }
    }
    points.sort_by(|a, b| distance(a, now).get().total_cmp(&distance(b, now).get()));
    points.truncate(VALUES_MAX);
    points.sort_by_key(|point| (point.from, point.until));
    checked.readings.extend(points.into_iter().map(|point| IntensityReading {
        zone: zone.clone(),
        source: Text::Static(source),
        kind: point.kind,
        grams: GramsPerKwh::new(point.grams),
        from: point.from,
        until: point.until,
        estimated: point.estimated || point.from.since(now) > SKEW_MAX,
    }));
    checked
}

/// How far an interval lies from now; zero when it covers it.
fn distance(point: &Point, now: Timestamp) -> Seconds {
    // One of the two is zero, because a difference does not go below.
    now.since(point.until) + point.from.since(now)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wattline_core::reading::IntensityKind;

    use super::*;
    use crate::moment;

    const NOW: Timestamp = Timestamp::from_unix_nanos(1_795_352_400_000_000_000);

    fn point(grams: f64, ahead_seconds: u64) -> Point {
        let from = moment::ahead(NOW, ahead_seconds);
        Point { kind: IntensityKind::Average, grams, from, until: moment::ahead(from, 3600), estimated: false }
    }

    fn checked(points: Vec<Point>) -> Checked {
        check(Told { points, ..Told::default() }, &Text::Static("DE"), "uk", NOW)
    }

    #[test]
    fn nonsense_is_refused_and_counted_and_zero_is_not_nonsense() {
        let nonsense = [-1.0, f64::NAN, f64::INFINITY, 3000.1, 1e6];
        let found = checked(nonsense.iter().chain(&[0.0, 3000.0]).map(|grams| point(*grams, 0)).collect());
        assert_eq!((found.implausible, found.unreadable), (5, 0));
        assert_eq!(found.readings.iter().map(|reading| reading.grams.get()).collect::<Vec<_>>(), [0.0, 3000.0]);
        let backwards = Point { until: NOW, ..point(1.0, 0) };
        assert_eq!(checked(vec![backwards]).unreadable, 1);
    }

    #[test]
    fn what_begins_well_after_now_is_a_forecast_whatever_it_is_called() {
        let found = checked(vec![point(1.0, 0), point(2.0, 299), point(3.0, 301)]);
        assert_eq!(found.readings.iter().map(|reading| reading.estimated).collect::<Vec<_>>(), [false, false, true]);
    }

    #[test]
    fn of_too_many_values_the_nearest_stay_in_order_of_time() {
        let found = checked((0..3000).rev().map(|minute| point(1.0, minute * 60)).collect());
        assert_eq!(found.readings.len(), VALUES_MAX);
        assert_eq!(found.readings[0].from, NOW);
        assert!(found.readings.is_sorted_by_key(|reading| reading.from));
        let far = Point { from: NOW, until: Timestamp::from_unix_nanos(1), ..point(1.0, 0) };
        assert_eq!(checked(vec![far, point(1.0, 49 * 3600)]).readings, []);
    }

    proptest! {
        #[test]
        fn whatever_is_told_what_is_believed_is_an_intensity(
            points in prop::collection::vec((any::<f64>(), any::<u64>(), any::<u64>(), any::<bool>()), 0..50), now: u64,
        ) {
            let points = points.into_iter().map(|(grams, from, until, estimated)| {
                let (from, until) = (Timestamp::from_unix_nanos(from), Timestamp::from_unix_nanos(until));
                Point { kind: IntensityKind::Average, grams, from, until, estimated }
            });
            let told = Told { points: points.collect(), ..Told::default() };
            for reading in check(told, &Text::Static(""), "", Timestamp::from_unix_nanos(now)).readings {
                prop_assert!((0.0..=GRAMS_MAX).contains(&reading.grams.get()) && reading.from < reading.until);
            }
        }
    }
}
