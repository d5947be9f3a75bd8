//! Texts that an engine exposes, one after the other, through the books over engines.

use std::sync::Arc;

use wattline_core::reading::{EngineHardware, EngineReading, EngineTask, Gpu, HistogramReading};
use wattline_core::{GramsPerKwh, Instant, Instrument, Ratio, Sample, Tick, Timestamp, Uncertainty, Value, metrics};
use wattline_model::inference::{EngineBooks, EngineRates};
use wattline_probe_llm::engines::readings;

use super::NOW;

/// Stands between the first text and the next, as a comment of either.
const THEN: &[u8] = b"\n# then\n";
/// Bytes of a label.
const LONGEST_LABEL: usize = 200;

/// Plays two texts: each as what the engine shows ten seconds after the one before, and both once more, as after a
/// restart.
pub fn play(texts: &[u8]) {
    let (first, second) = match texts.windows(THEN.len()).position(|window| window == THEN) {
        Some(at) => (texts.get(..at).unwrap_or_default(), texts.get(at + THEN.len()..).unwrap_or_default()),
        None => (texts, texts),
    };
    let (first, second) = (told(first), told(second));
    let mut books = EngineBooks::default();
    let mut before: Vec<Sample> = Vec::new();
    for (index, shown) in (0_u64..).zip([&first, &second, &first, &second]) {
        let tick = tick(10 * index);
        for reading in shown {
            books.book(reading, tick, &rates());
        }
        let figures = books.samples(tick);
        figures.iter().for_each(is_number);
        go_on(&before, &figures);
        if let (1, [earlier], [later]) = (index, first.as_slice(), second.as_slice()) {
            all_counted(earlier, later, &figures);
        }
        before = figures;
    }
}

/// What a text tells, of an engine whose GPU is known.
fn told(text: &[u8]) -> Vec<EngineReading> {
    let mut told = readings(text).unwrap_or_default();
    for reading in &mut told {
        possible(reading);
        let (gpus, bytes_per_parameter) = (Some(1), Some(2.0));
        reading.hardware = Some(EngineHardware { gpu: Gpu::H100, gpus, bytes_per_parameter, task: EngineTask::Chat });
    }
    told
}

fn tick(second: u64) -> Tick {
    let nanos = 1_000_000_000 * second;
    Tick {
        at: Instant::from_nanos(1_000_000_000_000 + nanos),
        wall: Timestamp::from_unix_nanos(NOW.unix_nanos() + nanos),
    }
}

fn rates() -> EngineRates {
    EngineRates { intensity: GramsPerKwh::new(400.0), pue: Ratio::new(1.2), uncertainty: Uncertainty::from_sigma(0.1) }
}

/// What is at work is a number of requests, shares are shares, and buckets rise.
fn possible(reading: &EngineReading) {
    let amount = |what: &str, amount: f64| assert!(amount.is_finite() && amount >= 0.0, "{what} {amount}");
    reading.running.into_iter().for_each(|running| amount("running", running));
    reading.waiting.into_iter().for_each(|waiting| amount("waiting", waiting));
    let usage = reading.cache_usage.map(Ratio::get);
    assert!(usage.is_none_or(|usage| (0.0..=1.0).contains(&usage)), "{usage:?} of the cache");
    assert!(reading.replicas > 0, "no replica");
    let model = &reading.engine.model;
    assert!(!model.is_empty() && model.len() <= LONGEST_LABEL, "a model named by {} bytes", model.len());
    for (reason, _) in &reading.requests {
        assert!(!reason.is_empty() && reason.len() <= LONGEST_LABEL, "a reason of {} bytes", reason.len());
    }
    for HistogramReading { buckets, count, sum } in
        [&reading.first_token, &reading.per_token, &reading.duration].into_iter().flatten()
    {
        amount("a sum", *sum);
        assert!(buckets.is_sorted_by(|(a, below), (b, upto)| a < b && below <= upto), "{buckets:?}");
        assert!(buckets.iter().all(|(bound, upto)| bound.is_finite() && upto <= count), "{buckets:?} of {count}");
    }
}

/// Where a distribution is told after the second text, it has all that was added by it.
fn all_counted(earlier: &EngineReading, later: &EngineReading, figures: &[Sample]) {
    for (metric, earlier, later) in [
        (&metrics::GEN_AI_SERVER_DURATION, &earlier.duration, &later.duration),
        (&metrics::GEN_AI_SERVER_FIRST_TOKEN, &earlier.first_token, &later.first_token),
        (&metrics::GEN_AI_SERVER_PER_TOKEN, &earlier.per_token, &later.per_token),
    ] {
        let (Some(earlier), Some(later)) = (earlier, later) else { continue };
        let told = figures.iter().find(|sample| sample.metric == metric.descriptor());
        if let Some(Value::Histogram(told)) = told.map(|sample| &sample.value) {
            let added = later.count.checked_sub(earlier.count);
            assert_eq!(Some(told.count()), added, "{}", metric.descriptor().name);
        }
    }
}

fn is_number(sample: &Sample) {
    let number = match &sample.value {
        Value::Number(number) => *number,
        Value::Histogram(histogram) => {
            let counted =
                histogram.counts().iter().fold(histogram.zero_count(), |sum, count| sum.saturating_add(*count));
            assert_eq!(counted, histogram.count(), "{}: buckets and their count", sample.metric.name);
            histogram.sum()
        }
    };
    assert!(number.is_finite() && number >= 0.0, "{} is {number}", sample.metric.name);
}

/// No counter goes back or ends, and none begins anew. Series stand in one order.
fn go_on(before: &[Sample], figures: &[Sample]) {
    let mut figures = figures.iter();
    let sums = [Instrument::Counter, Instrument::Histogram];
    for earlier in before.iter().filter(|sample| sums.contains(&sample.metric.instrument)) {
        let series = |sample: &Sample| (sample.metric.name, Arc::clone(&sample.subject), sample.attributes.clone());
        let is_same = |sample: &&Sample| sample.metric == earlier.metric && series(sample) == series(earlier);
        let Some(later) = figures.find(is_same) else { panic!("{:?} has ended", series(earlier)) };
        assert_eq!(earlier.period.start, later.period.start, "{:?} begins anew", series(earlier));
        match (&earlier.value, &later.value) {
            (Value::Number(earlier), Value::Number(later)) => assert!(earlier <= later, "from {earlier} to {later}"),
            (Value::Histogram(earlier), Value::Histogram(later)) => {
                assert!(earlier.count() <= later.count(), "from {} to {}", earlier.count(), later.count());
                assert!(earlier.sum() <= later.sum(), "from {} to {}", earlier.sum(), later.sum());
            }
            _ => panic!("{:?} has become something else", series(earlier)),
        }
    }
}
