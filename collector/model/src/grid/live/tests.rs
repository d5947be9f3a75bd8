use proptest::prelude::*;

use super::*;

const HOUR: u64 = 3600;
const SIX_HOURS: Seconds = Seconds::new(6.0 * 3600.0);
/// Some hour of November 2025, in seconds since the epoch.
const NOON: u64 = 1_764_000_000;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix_nanos(seconds * 1_000_000_000)
}

fn average(from: u64, until: u64, grams: f64) -> IntensityReading {
    IntensityReading {
        zone: Text::Static("DE"),
        source: Text::Static("test"),
        kind: IntensityKind::Average,
        grams: GramsPerKwh::new(grams),
        from: at(from),
        until: at(until),
        estimated: false,
    }
}

fn estimate(from: u64, until: u64, grams: f64) -> IntensityReading {
    IntensityReading { estimated: true, ..average(from, until, grams) }
}

fn live(readings: &[IntensityReading]) -> LiveIntensity {
    let mut live = LiveIntensity::new(SIX_HOURS);
    for reading in readings {
        assert_eq!(live.take(reading, at(NOON)), Taken::New, "{reading:?}");
    }
    live
}

fn grams(value: Option<LiveValue>) -> Option<f64> {
    value.map(|value| value.grams.get())
}

#[test]
fn a_value_holds_from_its_begin_to_just_before_its_end() {
    let live = live(&[average(NOON, NOON + HOUR, 300.0), average(NOON + HOUR, NOON + 2 * HOUR, 200.0)]);
    assert_eq!(grams(live.at(at(NOON - 1))), None);
    assert_eq!(grams(live.at(at(NOON))), Some(300.0));
    assert_eq!(grams(live.at(at(NOON + HOUR))), Some(200.0));
    let value = live.at(at(NOON + HOUR)).unwrap();
    assert_eq!((value.zone.as_str(), value.source.as_str(), value.stale), ("DE", "test", false));
    assert_eq!((value.age, value.uncertainty), (Seconds::ZERO, Uncertainty::from_sigma(0.10)));
}

#[test]
fn the_last_value_stands_in_as_stale_with_growing_error_until_it_is_too_old() {
    let live = live(&[estimate(NOON, NOON + HOUR, 300.0)]);
    let end = NOON + HOUR;
    let mut sigma = live.at(at(end - 1)).unwrap().uncertainty.sigma();
    assert!((sigma - 0.20).abs() < 1e-12);
    for age in [1, HOUR, 3 * HOUR, 6 * HOUR] {
        let value = live.at(at(end + age)).unwrap();
        assert!(value.stale && value.estimated && value.uncertainty.sigma() > sigma, "{value:?}");
        assert!((value.age.get() - age as f64).abs() < 1e-9);
        sigma = value.uncertainty.sigma();
    }
    assert!((sigma - 0.20_f64.hypot(0.54)).abs() < 1e-12);
    assert_eq!(live.at(at(end + 6 * HOUR + 1)), None);
}

#[test]
fn a_forecast_for_later_is_never_current() {
    let live = live(&[average(NOON - HOUR, NOON, 300.0), estimate(NOON + HOUR, NOON + 2 * HOUR, 50.0)]);
    let value = live.at(at(NOON + 60)).unwrap();
    assert_eq!((value.grams.get(), value.stale), (300.0, true));
}

#[test]
fn where_intervals_overlap_the_one_that_began_last_counts() {
    let day = estimate(NOON - 12 * HOUR, NOON + 12 * HOUR, 400.0);
    let hour = average(NOON, NOON + HOUR, 300.0);
    let same_hour_estimated = IntensityReading { source: Text::Static("other"), ..estimate(NOON, NOON + HOUR, 1.0) };
    let quarter = estimate(NOON + 900, NOON + 1800, 200.0);
    let live = live(&[hour, quarter, day, same_hour_estimated]);
    let expected = [(NOON - 1, 400.0), (NOON, 300.0), (NOON + 900, 200.0), (NOON + 1800, 300.0), (NOON + HOUR, 400.0)];
    for (moment, expected) in expected {
        assert_eq!(grams(live.at(at(moment))), Some(expected), "{moment}");
    }
}

#[test]
fn a_revision_replaces_its_interval_and_is_counted() {
    let mut live = live(&[estimate(NOON, NOON + HOUR, 300.0)]);
    assert_eq!(live.take(&estimate(NOON, NOON + HOUR, 300.0), at(NOON)), Taken::Same);
    assert_eq!(live.take(&average(NOON, NOON + HOUR, 310.0), at(NOON)), Taken::Revised);
    assert_eq!((live.revised(), live.intervals()), (1, 1));
    let value = live.at(at(NOON)).unwrap();
    assert_eq!((value.grams.get(), value.estimated), (310.0, false));
}

#[test]
fn marginal_values_are_kept_apart() {
    let marginal = IntensityReading { kind: IntensityKind::Marginal, ..average(NOON, NOON + HOUR, 557.0) };
    let live = live(&[marginal]);
    assert_eq!((grams(live.at(at(NOON))), grams(live.marginal_at(at(NOON)))), (None, Some(557.0)));
}

#[test]
fn what_is_no_intensity_is_refused_and_what_is_far_away_is_not_kept() {
    let mut live = LiveIntensity::new(SIX_HOURS);
    for bad in [-1.0, f64::NAN, f64::INFINITY, 1e6, 1e305] {
        assert_eq!(live.take(&average(NOON, NOON + HOUR, bad), at(NOON)), Taken::Refused);
    }
    assert_eq!(live.take(&average(NOON, NOON, 1.0), at(NOON)), Taken::Refused);
    assert_eq!(live.take(&average(NOON - 50 * HOUR, NOON - 49 * HOUR, 1.0), at(NOON)), Taken::Outside);
    assert_eq!(live.take(&average(NOON + 49 * HOUR, NOON + 50 * HOUR, 1.0), at(NOON)), Taken::Outside);
    assert_eq!(live.take(&average(NOON, NOON + HOUR, 0.0), at(NOON)), Taken::New, "a grid may be without carbon");
    assert_eq!(grams(live.at(at(NOON))), Some(0.0));
}

prop_compose! {
    /// Intervals on a grid of minutes within some hours of noon, so that many overlap. The value follows from the
    /// interval, so that no two differ about the same one.
    fn reading()(from in 0_u64..600, length in 0_u64..90, source in 0..3_usize) -> IntensityReading {
        let (from, until) = (NOON + from * 60, NOON + (from + length) * 60);
        let source = Text::Static(["a", "b", "c"][source]);
        let grams = GramsPerKwh::new(((from / 60 + length * 7) % 900) as f64);
        let estimated = (length + from / 60) % 3 == 0;
        IntensityReading { source, grams, ..IntensityReading { estimated, ..average(from, until, 0.0) } }
    }
}

fn some_grams() -> impl Strategy<Value = f64> {
    prop_oneof![any::<f64>(), 0.0..=GRAMS_MAX, Just(0.0)]
}

fn filled(readings: &[IntensityReading]) -> LiveIntensity {
    let mut live = LiveIntensity::new(SIX_HOURS);
    for reading in readings {
        live.take(reading, at(NOON));
    }
    live
}

proptest! {
    #[test]
    fn the_order_of_arrival_does_not_matter(
        (sorted, shuffled) in prop::collection::vec(reading(), 0..60)
            .prop_flat_map(|readings| (Just(readings.clone()), Just(readings).prop_shuffle()))
    ) {
        prop_assert_eq!(filled(&sorted), filled(&shuffled));
    }

    #[test]
    fn any_readings_are_taken_without_panic_and_in_bounded_memory(
        readings in prop::collection::vec((any::<u64>(), any::<u64>(), some_grams(), any::<bool>(), any::<u64>()), 0..50),
        moment: u64,
    ) {
        let mut live = LiveIntensity::new(SIX_HOURS);
        for (from, until, grams, estimated, now) in readings {
            let (from, until) = (Timestamp::from_unix_nanos(from), Timestamp::from_unix_nanos(until));
            let grams = GramsPerKwh::new(grams);
            let reading = IntensityReading { from, until, grams, estimated, ..average(0, 1, 0.0) };
            live.take(&reading, Timestamp::from_unix_nanos(now));
        }
        let moment = Timestamp::from_unix_nanos(moment);
        for value in [live.at(moment), live.marginal_at(moment)].into_iter().flatten() {
            prop_assert!(value.grams.get() >= 0.0 && value.uncertainty.sigma() >= 0.10 - 1e-12);
        }
    }
}

#[test]
fn a_flood_of_intervals_leaves_those_nearest_to_now() {
    let mut live = LiveIntensity::new(SIX_HOURS);
    for minute in 0..3000 {
        live.take(&average(NOON + minute * 60, NOON + minute * 60 + 60, minute as f64), at(NOON));
    }
    assert_eq!(live.intervals(), INTERVALS_MAX);
    assert_eq!(grams(live.at(at(NOON))), Some(0.0));
    assert_eq!(live.at(at(NOON + 2000 * 60)).map(|value| value.stale), None, "too far ahead of what was kept");
}
