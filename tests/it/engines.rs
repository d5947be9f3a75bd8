//! An engine of one's own and the calls of it, through the books and out again.

use wattline::config::Config;
use wattline::pipeline::{Pipeline, Saved};
use wattline_core::reading::{EngineHardware, EngineReading, EngineTask, Gpu, Inference, TokenUsage};
use wattline_core::subject::{EngineKey, EngineKind, InferenceKey};
use wattline_core::{Instant, Reading, Readings, Seconds, Text, Tick, Timestamp};
use wattline_wire::exposition;

const MODEL: &str = "meta-llama/Llama-3.1-8B-Instruct";

fn tick(second: u64) -> Tick {
    let nanos = 1_000_000_000 * second;
    Tick {
        at: Instant::from_nanos(1_000_000_000_000 + nanos),
        wall: Timestamp::from_unix_nanos(1_790_000_000_000_000_000 + nanos),
    }
}

/// The engine after `output` tokens, with 64 requests at work on one H100.
fn engine(second: u64, output: u64) -> Readings {
    let (kind, model, address) = (EngineKind::Vllm, Text::Static(MODEL), Text::Static("127.0.0.1"));
    let mut reading = EngineReading::new(EngineKey { kind, model, address, port: 8000 }, Text::Static("chat"));
    reading.tokens.output = Some(output);
    reading.running = Some(64.0);
    let (gpus, bytes_per_parameter) = (Some(1), Some(2.0));
    reading.hardware = Some(EngineHardware { gpu: Gpu::H100, gpus, bytes_per_parameter, task: EngineTask::Chat });
    let items = vec![Reading::Engine(Box::new(reading))];
    Readings { source: "engines", tick: tick(second), items }
}

/// A call of that engine, as its caller tells of it.
fn call(second: u64, output: u64) -> Readings {
    let key = InferenceKey {
        model: Text::Static(MODEL),
        provider: Text::Static("vllm"),
        service: Text::Static("chat"),
        agent: None,
        operation: Text::Static("chat"),
    };
    let usage = TokenUsage { input: 10, output, ..TokenUsage::default() };
    let mut call = Inference::new(key, tick(second).wall, Seconds::new(1.0), usage);
    call.server_address = Some(Text::Static("127.0.0.1"));
    Readings { source: "otlp", tick: tick(second), items: vec![Reading::Inference(call)] }
}

fn page(pipeline: &Pipeline, second: u64) -> String {
    let mut page = String::new();
    assert_eq!(exposition::render(&pipeline.snapshot(tick(second), &[]), &mut page), 0);
    page
}

/// The values of all lines of a name.
fn values(page: &str, name: &str) -> Vec<f64> {
    let lines = page.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect()
}

#[test]
fn joules_of_an_engine_are_told_once_whoever_else_tells_of_its_calls() {
    let mut pipeline = Pipeline::new(&Config::default(), None);
    pipeline.ingest(&engine(0, 5_000));
    pipeline.ingest(&call(5, 1_000));
    pipeline.ingest(&engine(10, 6_000));
    let page = page(&pipeline, 11);
    assert_eq!(values(&page, "engine_tokens_total"), [1_000.0]);
    let joules = values(&page, "inference_energy_joules_total");
    assert!(joules.len() == 1 && (joules[0] / 139.1 - 1.0).abs() < 1e-3, "{joules:?}");
    assert!(page.contains("energy_origin=\"local\",energy_method=\"modelled\",energy_model=\"ml-energy-fit/1\""));
    assert_eq!(values(&page, "inference_calls_total"), [1.0]);
    // At the world's average and its usual facility, until the machine is known.
    let grams = values(&page, "inference_carbon_grams_total");
    let rates = pipeline.meaning().rates();
    let expected = joules[0] / 3.6e6 * rates.intensity.get() * rates.pue.get();
    assert!(expected > 0.0 && (grams[0] - expected).abs() < 1e-8, "{grams:?} and not {expected}");
}

#[test]
fn what_an_engine_drew_is_on_the_books_after_a_restart() {
    let mut first = Pipeline::new(&Config::default(), None);
    first.ingest(&engine(0, 0));
    first.ingest(&engine(10, 1_000));
    let kept = serde_json::to_string(&first.save()).unwrap();
    let mut next = Pipeline::new(&Config::default(), None);
    next.restore(serde_json::from_str(&kept).unwrap(), tick(20).at);
    let energy = |pipeline: &Pipeline| values(&page(pipeline, 20), "inference_energy_joules_total");
    assert_eq!(energy(&next), energy(&first));
    // Books that were kept before there were engines are read.
    let mut older: serde_json::Value = serde_json::from_str(&kept).unwrap();
    older.as_object_mut().unwrap().remove("engines").unwrap();
    serde_json::from_value::<Saved>(older).unwrap();
}
