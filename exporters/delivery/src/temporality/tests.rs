use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use wattline_core::sample::{Descriptor, Period};
use wattline_core::{Attribute, Subject, Value, Workload, attribute::key, metrics};

use super::*;

const SECOND: u64 = 1_000_000_000;

fn time(seconds: u64) -> Timestamp {
    Timestamp::from_unix_nanos(seconds * SECOND)
}

fn counter(name: &str, start: u64, at: u64, units: u64) -> Sample {
    Sample {
        metric: metrics::WORKLOAD_ENERGY.descriptor(),
        subject: Arc::new(Subject::Workload(Workload::Unit(name.to_owned().into()))),
        attributes: vec![Attribute::new(key::ENERGY_STATE, "active")],
        period: Period { start: time(start), at: time(at) },
        value: Value::Number(units as f64 / 1e6),
    }
}

fn units(sample: &Sample) -> i64 {
    match Amount::of(sample) {
        Some(Amount::Units(units)) => units,
        other => panic!("{other:?}"),
    }
}

fn period(sample: &Sample) -> (u64, u64) {
    (sample.period.start.unix_seconds(), sample.period.at.unix_seconds())
}

#[test]
fn the_first_delta_is_the_whole_and_the_next_is_what_came() {
    let mut deltas = Deltas::new(Timestamp::default());
    let first = deltas.convert(&[counter("a", 5, 60, 100)]);
    assert_eq!((units(&first[0]), period(&first[0])), (100, (5, 60)));
    let next = deltas.convert(&[counter("a", 5, 120, 130)]);
    assert_eq!((units(&next[0]), period(&next[0])), (30, (60, 120)));
}

#[test]
fn a_counter_that_stands_still_gives_no_point_and_leaves_no_gap() {
    let mut deltas = Deltas::new(Timestamp::default());
    deltas.convert(&[counter("a", 5, 60, 100)]);
    assert_eq!(deltas.convert(&[counter("a", 5, 120, 100)]), []);
    let next = deltas.convert(&[counter("a", 5, 180, 101)]);
    assert_eq!((units(&next[0]), period(&next[0])), (1, (60, 180)));
}

#[test]
fn what_began_before_is_told_from_now_on_where_the_store_has_no_starts() {
    let mut deltas = Deltas::new(time(50));
    let told = deltas.convert(&[counter("old", 5, 60, 100), counter("new", 51, 60, 7)]);
    assert_eq!(told.iter().map(units).collect::<Vec<_>>(), [7]);
    let told = deltas.convert(&[counter("old", 5, 120, 103), counter("new", 51, 120, 7)]);
    assert_eq!((told.iter().map(units).collect::<Vec<_>>(), period(&told[0])), (vec![3], (60, 120)));
    // What shows itself late has counted nothing before.
    let told = deltas.convert(&[counter("late", 5, 360, 4)]);
    assert_eq!((told.iter().map(units).collect::<Vec<_>>(), period(&told[0])), (vec![4], (5, 360)));
}

#[test]
fn a_new_start_or_a_decrease_begins_anew_and_a_restated_start_does_not() {
    let mut deltas = Deltas::new(Timestamp::default());
    deltas.convert(&[counter("a", 5, 60, 100)]);
    let restated = deltas.convert(&[counter("a", 6, 120, 103)]);
    assert_eq!((units(&restated[0]), period(&restated[0])), (3, (60, 120)));
    let anew = deltas.convert(&[counter("a", 130, 180, 500)]);
    assert_eq!((units(&anew[0]), period(&anew[0])), (500, (130, 180)));
    let fallen = deltas.convert(&[counter("a", 130, 240, 20)]);
    assert_eq!(units(&fallen[0]), 20);
}

#[test]
fn gauges_and_what_there_is_pass_and_so_does_what_nobody_takes() {
    let sample =
        |metric: &'static Descriptor, number| Sample { metric, value: Value::Number(number), ..counter("a", 1, 2, 0) };
    let samples = [
        sample(metrics::HW_POWER.descriptor(), 5.0),
        sample(metrics::WORKLOAD_MEMORY.descriptor(), 7.0),
        sample(metrics::HW_ENERGY.descriptor(), f64::INFINITY),
    ];
    let mut deltas = Deltas::new(Timestamp::default());
    for _ in 0..2 {
        assert_eq!(deltas.convert(&samples), samples);
    }
    assert!(deltas.is_empty());
}

#[test]
fn ended_series_are_forgotten_after_a_day() {
    let mut deltas = Deltas::new(Timestamp::default());
    deltas.convert(&[counter("a", 1, 60, 1), counter("b", 1, 60, 1)]);
    deltas.convert(&[counter("b", 1, 86_460, 2)]);
    assert_eq!(deltas.len(), 2);
    deltas.convert(&[counter("b", 1, 86_461, 2)]);
    assert_eq!(deltas.len(), 1);
}

#[test]
fn what_cannot_be_read_is_refused() {
    let mut deltas = Deltas::new(time(1));
    deltas.convert(&[counter("a", 1, 60, 1)]);
    let saved = deltas.save();
    assert_eq!(Deltas::restore(&saved), Ok(deltas));
    assert_eq!(Deltas::restore(&saved[..saved.len() - 1]), Err(Unreadable));
    assert_eq!(Deltas::restore(b""), Err(Unreadable), "nothing is no version");
}

/// What happens to a counter between two snapshots.
#[derive(Clone, Debug)]
enum Event {
    Grow(u64),
    BeginAnew(u64),
    StayAway,
}

fn events() -> impl Strategy<Value = Event> {
    let amount = prop_oneof![Just(0), 0u64..1000, 0u64..1 << 40];
    prop_oneof![
        6 => amount.clone().prop_map(Event::Grow),
        1 => amount.prop_map(Event::BeginAnew),
        2 => Just(Event::StayAway),
    ]
}

#[derive(Clone, Copy, Debug, Default)]
struct Counter {
    start: u64,
    units: u64,
    /// What earlier incarnations had told.
    earlier: u64,
}

proptest! {
    /// Nothing is lost and nothing is told twice, whatever resets, gaps and restarts come between.
    #[test]
    fn deltas_add_up_to_what_was_counted(
        steps in prop::collection::vec((prop::collection::vec(events(), 3), any::<bool>()), 1..40),
    ) {
        let mut deltas = Deltas::new(Timestamp::default());
        let mut counters = [Counter::default(); 3];
        let mut seen = [0u64; 3];
        let mut sums = BTreeMap::<String, (i64, u64)>::new();
        for (step, (events, restart)) in steps.into_iter().enumerate() {
            let at = (step as u64 + 1) * 60;
            let mut samples = Vec::new();
            for (index, event) in events.iter().enumerate() {
                let one = &mut counters[index];
                match event {
                    Event::Grow(more) => one.units += more,
                    Event::BeginAnew(units) => {
                        let earlier = one.earlier + seen[index];
                        *one = Counter { start: at - 30, units: *units, earlier };
                        seen[index] = 0;
                    }
                    Event::StayAway => continue,
                }
                seen[index] = one.units;
                samples.push(counter(&index.to_string(), one.start, at, one.units));
            }
            for delta in deltas.convert(&samples) {
                let (sum, end) = sums.entry(format!("{:?}", delta.subject)).or_default();
                let (start, at) = period(&delta);
                prop_assert!(start >= *end && start <= at, "{start} to {at} overlaps what ended at {end}");
                *sum += units(&delta);
                *end = at;
            }
            if restart {
                deltas = Deltas::restore(&deltas.save()).unwrap();
            }
            for (index, one) in counters.iter().enumerate() {
                let subject = counter(&index.to_string(), 0, 0, 0).subject;
                let sum = sums.get(&format!("{subject:?}")).map_or(0, |(sum, _)| *sum);
                prop_assert_eq!(sum, i64::try_from(one.earlier + seen[index]).unwrap());
            }
        }
    }

    #[test]
    fn deltas_of_a_distribution_add_up_to_it(
        steps in prop::collection::vec((prop::collection::vec(prop_oneof![1e-3..1e6f64, Just(0.0)], 0..20), any::<bool>()), 1..20),
    ) {
        let mut deltas = Deltas::new(Timestamp::default());
        let (mut counted, mut sum) = (ExponentialHistogram::new(), ExponentialHistogram::new());
        for (step, (values, restart)) in steps.into_iter().enumerate() {
            for value in values {
                counted.record(value);
            }
            let at = (step as u64 + 1) * 60;
            let sample = Sample {
                metric: metrics::GEN_AI_DURATION.descriptor(),
                value: Value::Histogram(Arc::new(counted.clone())),
                ..counter("a", 1, at, 0)
            };
            for delta in deltas.convert(&[sample]) {
                let Value::Histogram(delta) = delta.value else { panic!("{delta:?}") };
                sum.merge(&delta);
            }
            if restart {
                deltas = Deltas::restore(&deltas.save()).unwrap();
            }
            prop_assert_eq!((sum.count(), sum.zero_count()), (counted.count(), counted.zero_count()));
            prop_assert!((sum.sum() - counted.sum()).abs() <= counted.sum() * 1e-12);
            let scale = sum.scale().min(counted.scale());
            let counts = |histogram: &ExponentialHistogram| -> Vec<u64> {
                histogram.at_scale(scale).counts().iter().copied().filter(|&count| count > 0).collect()
            };
            prop_assert_eq!(counts(&sum), counts(&counted));
        }
    }

    #[test]
    fn no_state_panics(saved: Vec<u8>) {
        let _answer = Deltas::restore(&saved);
    }
}
