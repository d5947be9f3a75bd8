use proptest::prelude::*;
use wattline_core::Value;
use wattline_core::reading::{EngineHardware, EngineTask, Gpu, PhaseTimes};

use super::*;

const RATES: EngineRates =
    EngineRates { intensity: GramsPerKwh::new(360.0), pue: Ratio::new(1.5), uncertainty: Uncertainty::NONE };

fn tick(second: u64) -> Tick {
    Tick {
        at: Instant::from_nanos(second * 1_000_000_000),
        wall: Timestamp::from_unix_nanos((1_790_000_000 + second) * 1_000_000_000),
    }
}

/// Llama 3.1 8B on an H100 after `input` and `output` tokens, with `running` requests at work.
fn llama(input: u64, output: u64, running: f64) -> EngineReading {
    let (model, address) = (Text::from("meta-llama/Llama-3.1-8B-Instruct"), Text::from("127.0.0.1"));
    let key = EngineKey { kind: EngineKind::Vllm, model, address, port: 8000 };
    let mut reading = EngineReading::new(key, Text::from("chat"));
    let bytes_per_parameter = Some(2.0);
    let hardware = EngineHardware { gpu: Gpu::H100, gpus: Some(1), bytes_per_parameter, task: EngineTask::Chat };
    reading.hardware = Some(hardware);
    (reading.tokens.input, reading.tokens.output) = (Some(input), Some(output));
    reading.running = Some(running);
    reading
}

fn booked(readings: &[(u64, EngineReading)]) -> EngineBooks {
    let mut books = EngineBooks::default();
    for (second, reading) in readings {
        books.book(reading, tick(*second), &RATES);
    }
    books
}

/// The figure of a metric, with the value of one of its attributes or of none.
fn figure(books: &EngineBooks, second: u64, metric: &str, value: &str) -> Option<f64> {
    let samples = books.samples(tick(second));
    let mut fits = samples.iter().filter(|sample| {
        sample.metric.name == metric
            && (value.is_empty() || sample.attributes.iter().any(|label| label.value.as_str() == value))
    });
    let found = fits.next()?;
    assert!(fits.next().is_none(), "{metric} {value} is told twice");
    match &found.value {
        Value::Number(number) => Some(*number),
        Value::Histogram(histogram) => Some(histogram.sum()),
    }
}

#[test]
fn tokens_are_counted_from_the_first_look_and_over_a_restart_of_the_engine() {
    let looks = [(0, 1000, 500), (10, 1300, 600), (20, 40, 20), (30, 90, 50)];
    let books = booked(&looks.map(|(second, input, output)| (second, llama(input, output, 4.0))));
    assert_eq!(figure(&books, 30, "engine.tokens", "input"), Some(300.0 + 50.0));
    assert_eq!(figure(&books, 30, "engine.tokens", "output"), Some(100.0 + 30.0));
    assert_eq!(figure(&books, 30, "engine.tokens.cached", ""), None, "what is not told is not zero");
}

#[test]
fn energy_is_that_of_the_tokens_at_the_batch_of_the_window() {
    let books = booked(&[(0, llama(0, 0, 100.0)), (10, llama(0, 10_000, 28.0))]);
    let energy = figure(&books, 10, "inference.energy", "ml-energy-fit/1").unwrap();
    // The mean of both ends is 64: 0.139 J for a token of 8.03 billion parameters, where 0.119 J was measured.
    assert!((energy / 10_000.0 / 0.1391 - 1.0).abs() < 1e-3, "{energy} J");
    let carbon = figure(&books, 10, "inference.carbon", "local").unwrap();
    assert!((carbon - energy / 3.6e6 * 360.0 * 1.5).abs() < 1e-8, "{carbon} g");
    let factor = figure(&books, 10, "uncertainty.factor", "inference.energy").unwrap();
    assert!((factor - 2.1).abs() < 1e-3, "{factor}");
    let samples = books.samples(tick(10));
    let sample = samples.iter().find(|sample| sample.metric.name == "inference.energy").unwrap();
    assert_eq!(sample.attribute(key::ENERGY_ORIGIN), Some("local"));
    assert_eq!(sample.attribute(key::ENERGY_METHOD), Some("modelled"));
}

#[test]
fn two_replicas_have_half_the_batch_each() {
    let pair = |output| EngineReading { replicas: 2, ..llama(0, output, 128.0) };
    let of_pair = booked(&[(0, pair(0)), (10, pair(1000))]);
    let single = booked(&[(0, llama(0, 0, 64.0)), (10, llama(0, 1000, 64.0))]);
    let energy = |books| figure(books, 10, "inference.energy", "local").unwrap();
    assert!((energy(&of_pair) - energy(&single)).abs() < 1e-6);
}

#[test]
fn nothing_is_said_of_the_energy_of_what_nobody_knows() {
    let no_gpu = |output| EngineReading { hardware: None, ..llama(0, output, 8.0) };
    let renamed = |kind, model: &'static str| {
        move |output| {
            let mut reading = llama(0, output, 8.0);
            (reading.engine.kind, reading.engine.model) = (kind, Text::Static(model));
            reading
        }
    };
    let unknown = renamed(EngineKind::Vllm, "our-own");
    let proxy = renamed(EngineKind::LiteLlm, "llama-3.1-8b");
    let no_batch = |output| EngineReading { running: None, ..llama(0, output, 8.0) };
    let silent = |_| llama(0, 500, 8.0);
    let cases: [(&str, &dyn Fn(u64) -> EngineReading); 5] =
        [("gpu", &no_gpu), ("model", &unknown), ("proxy", &proxy), ("batch", &no_batch), ("no tokens", &silent)];
    for (case, reading) in cases {
        let books = booked(&[(0, reading(100)), (10, reading(900))]);
        assert_eq!(figure(&books, 10, "inference.energy", ""), None, "{case}");
        assert!(figure(&books, 10, "engine.tokens", "output").is_some(), "{case}");
    }
    let late = booked(&[(0, llama(0, 0, 8.0)), (4000, llama(0, 900, 8.0))]);
    assert_eq!(figure(&late, 4000, "inference.energy", ""), None, "no batch stands for an hour");
    assert_eq!(figure(&late, 4000, "engine.tokens", "output"), Some(900.0));
}

#[test]
fn what_an_engine_is_at_ends_before_what_it_did() {
    let books = booked(&[(0, llama(0, 0, 5.0)), (10, llama(7, 9, 5.0))]);
    assert_eq!(figure(&books, 11, "engine.requests.running", ""), Some(5.0));
    assert_eq!(figure(&books, 300, "engine.requests.running", ""), None);
    assert_eq!(figure(&books, 300, "engine.tokens", "output"), Some(9.0));
    assert_eq!(figure(&books, 4000, "engine.tokens", "output"), None);
    assert!(figure(&books, 4000, "inference.energy", "local").is_some(), "what was booked stays");
}

#[test]
fn requests_that_end_for_the_first_time_in_a_way_are_counted() {
    let with = |stop, length: Option<u64>| {
        let mut reading = llama(0, stop, 1.0);
        reading.requests.push((Text::Static("stop"), stop));
        reading.requests.extend(length.map(|count| (Text::Static("length"), count)));
        reading
    };
    let books = booked(&[(0, with(100, None)), (10, with(103, Some(2)))]);
    assert_eq!(figure(&books, 10, "engine.requests", "stop"), Some(3.0));
    assert_eq!(figure(&books, 10, "engine.requests", "length"), Some(2.0), "its counter stood at nothing before");
}

#[test]
fn phases_say_whose_time_they_are() {
    let with = |prefill_ns, decode_ns| EngineReading {
        phases: Some(PhaseTimes {
            prefill_ns,
            prefill_clock: PhaseClock::Engine,
            decode_ns,
            decode_clock: PhaseClock::Engine,
        }),
        ..llama(0, 0, 1.0)
    };
    let books = booked(&[(0, with(5, 5)), (10, with(1_500_000_005, 8_000_000_005))]);
    assert_eq!(figure(&books, 10, "engine.phase.time", "prefill"), Some(1.5));
    assert_eq!(figure(&books, 10, "engine.phase.time", "decode"), Some(8.0));
    let samples = books.samples(tick(10));
    let sample = samples.iter().find(|sample| sample.metric.name == "engine.phase.time").unwrap();
    assert_eq!(sample.attribute(key::ENGINE_CLOCK), Some("engine"));
}

/// An engine that was updated may count its phases otherwise. What stood on the old clock moved to the new one.
#[test]
fn time_stays_on_the_clock_that_counted_it() {
    let with = |prefill_clock, prefill_ns| EngineReading {
        phases: Some(PhaseTimes { prefill_ns, prefill_clock, decode_ns: 0, decode_clock: PhaseClock::Requests }),
        ..llama(0, 0, 1.0)
    };
    let second = 1_000_000_000;
    let books = booked(&[
        (0, with(PhaseClock::Requests, 0)),
        (10, with(PhaseClock::Requests, 3 * second)),
        (20, with(PhaseClock::Engine, second)),
        (30, with(PhaseClock::Engine, 2 * second)),
    ]);
    let samples = books.samples(tick(30));
    let prefill = samples.iter().filter(|sample| sample.attribute(key::ENGINE_PHASE) == Some("prefill"));
    let told: Vec<_> = prefill.map(|sample| (sample.attribute(key::ENGINE_CLOCK), sample.number())).collect();
    assert_eq!(told, [(Some("engine"), Some(1.0)), (Some("requests"), Some(3.0))]);
}

#[test]
fn distributions_keep_counts_and_sums_and_begin_anew_with_the_engine() {
    let with = |buckets: &[(f64, u64)], count, sum| EngineReading {
        first_token: Some(HistogramReading { buckets: buckets.to_vec(), count, sum }),
        ..llama(0, 0, 1.0)
    };
    let books = booked(&[
        (0, with(&[(0.1, 10), (1.0, 20)], 20, 5.0)),
        (10, with(&[(0.1, 14), (1.0, 27)], 30, 19.0)),
        // It started again,
        (20, with(&[(0.1, 1), (1.0, 1)], 1, 0.05)),
        (30, with(&[(0.1, 2), (1.0, 3)], 3, 0.85)),
        // and was updated: these bounds are others.
        (40, with(&[(0.2, 5), (1.0, 9)], 9, 4.0)),
    ]);
    let samples = books.samples(tick(40));
    let sample = samples.iter().find(|sample| sample.metric.name == "gen_ai.server.time_to_first_token").unwrap();
    let Value::Histogram(histogram) = &sample.value else { panic!("{sample:?}") };
    assert_eq!(histogram.count(), 10 + 2);
    assert!((histogram.sum() - (14.0 + 0.8)).abs() < 1e-12, "{}", histogram.sum());
}

/// The product of two large bounds is infinite, and what had it for its middle was lost.
#[test]
fn what_is_between_very_large_bounds_is_counted() {
    let with = |count| EngineReading {
        first_token: Some(HistogramReading { buckets: vec![(1e200, 0), (1e300, count)], count, sum: 9.0 }),
        ..llama(0, 0, 1.0)
    };
    let samples = booked(&[(0, with(1)), (10, with(9))]).samples(tick(10));
    let sample = samples.iter().find(|sample| sample.metric.name == "gen_ai.server.time_to_first_token").unwrap();
    let Value::Histogram(histogram) = &sample.value else { panic!("{sample:?}") };
    assert_eq!(histogram.count(), 8);
}

#[test]
fn energy_goes_on_after_a_restart_of_the_agent_and_tokens_begin_anew() {
    let books = booked(&[(0, llama(0, 0, 8.0)), (10, llama(0, 1000, 8.0))]);
    let text = serde_json::to_string(&books.save()).unwrap();
    let mut next = EngineBooks::restored(serde_json::from_str(&text).unwrap());
    next.book(&llama(0, 3000, 8.0), tick(60), &RATES);
    let before = figure(&books, 10, "inference.energy", "local");
    assert_eq!(figure(&next, 60, "inference.energy", "local"), before);
    next.book(&llama(0, 4000, 8.0), tick(70), &RATES);
    assert!((figure(&next, 70, "inference.energy", "local").unwrap() - 2.0 * before.unwrap()).abs() < 1e-5);
    assert_eq!(figure(&next, 70, "engine.tokens", "output"), Some(1000.0));
}

#[test]
fn engines_beyond_the_limit_are_counted_and_take_the_place_of_those_that_are_gone() {
    let at = |port: usize| {
        let mut reading = llama(0, 0, 1.0);
        reading.engine.port = u16::try_from(port).unwrap();
        reading
    };
    let mut books = EngineBooks::default();
    for port in 0..EngineBooks::MAX_ENGINES + 3 {
        books.book(&at(port), tick(0), &RATES);
    }
    assert_eq!(books.refused(), 3);
    books.book(&at(5000), tick(4000), &RATES);
    assert_eq!((books.refused(), figure(&books, 4000, "engine.requests.running", "")), (3, Some(1.0)));
}

proptest! {
    #[test]
    fn no_reading_panics_and_no_counter_goes_back(
        looks in prop::collection::vec((any::<u64>(), any::<u64>(), any::<f64>(), 0..400u64, prop::collection::vec((0.0..1e6f64, any::<u64>()), 0..6), any::<u64>(), any::<f64>()), 1..20),
    ) {
        let mut books = EngineBooks::default();
        let (mut second, mut last) = (0, BTreeMap::new());
        for (input, output, running, pause, mut buckets, count, sum) in looks {
            second += pause;
            buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
            let mut reading = llama(input, output, running);
            reading.duration = Some(HistogramReading { buckets, count, sum });
            reading.replicas = u32::try_from(count % 3).unwrap();
            books.book(&reading, tick(second), &RATES);
            for sample in books.samples(tick(second)) {
                if sample.metric.instrument == wattline_core::Instrument::Counter {
                    let now = sample.number().unwrap();
                    let before = last.insert((sample.metric.name, sample.attributes), now).unwrap_or(0.0);
                    prop_assert!(now.is_finite() && now >= before, "{} went from {before} to {now}", sample.metric.name);
                }
            }
        }
    }
}

/// The same engine on a GPU that is read.
fn on_gpu(output: u64) -> EngineReading {
    EngineReading { devices: vec!["GPU-1".into()], ..llama(0, output, 8.0) }
}

fn drew(device: &'static str, joules: f64) -> BTreeMap<Text, MicroJoules> {
    [(device.into(), MicroJoules::round(Joules::new(joules)))].into()
}

#[test]
fn an_engine_on_a_gpu_that_is_read_has_what_that_drew_and_nothing_modelled() {
    let mut books = booked(&[(0, on_gpu(0))]);
    for (second, joules, output) in [(10, 3000.0, 10_000), (20, 1000.0, 20_000), (30, 500.0, 20_000)] {
        books.measure(&drew("GPU-1", joules), tick(second), &RATES);
        books.measure(&drew("GPU-2", 9e9), tick(second), &RATES);
        books.book(&on_gpu(output), tick(second), &RATES);
    }
    assert_eq!(figure(&books, 30, "inference.energy", "apportioned"), Some(4500.0));
    assert_eq!(figure(&books, 30, "inference.energy", "modelled"), None);
    let per_token = figure(&books, 30, "engine.energy.per_output_token", "apportioned").unwrap();
    assert!((per_token - 4500.0 / 20_000.0).abs() < 1e-9, "waiting is part of it: {per_token}");
    let carbon = figure(&books, 30, "inference.carbon", "local").unwrap();
    assert!((carbon - 4500.0 / 3.6e6 * 360.0 * 1.5).abs() < 1e-8, "{carbon} g");
    assert_eq!(figure(&books, 30, "uncertainty.factor", "inference.energy").map(|factor| factor < 1.1), Some(true));
    let saved = serde_json::to_string(&books.save()).unwrap();
    let next = EngineBooks::restored(serde_json::from_str(&saved).unwrap());
    assert_eq!(figure(&next, 40, "inference.energy", "apportioned"), Some(4500.0));
}

#[test]
fn models_on_one_gpu_share_what_it_drew_by_the_tokens_that_they_generated() {
    let other = |output| {
        let mut reading = on_gpu(output);
        reading.engine.model = "other".into();
        reading
    };
    let mut books = booked(&[(0, on_gpu(0)), (0, other(0)), (10, on_gpu(300)), (10, other(100))]);
    books.measure(&drew("GPU-1", 1000.0), tick(12), &RATES);
    let of = |books: &EngineBooks, model: &str| -> f64 {
        let is_of = |sample: &&Sample| {
            sample.metric.name == "inference.energy"
                && sample.subject.identity().iter().any(|label| label.value.as_str() == model)
        };
        books.samples(tick(20)).iter().filter(is_of).filter_map(Sample::number).sum()
    };
    assert_eq!((of(&books, "meta-llama/Llama-3.1-8B-Instruct"), of(&books, "other")), (750.0, 250.0));
    // Both wait: each holds a half.
    books.book(&on_gpu(300), tick(20), &RATES);
    books.book(&other(100), tick(20), &RATES);
    books.measure(&drew("GPU-1", 100.0), tick(22), &RATES);
    assert_eq!((of(&books, "meta-llama/Llama-3.1-8B-Instruct"), of(&books, "other")), (800.0, 300.0));
}
