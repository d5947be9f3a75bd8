//! An account's own metrics beside the calls that are told otherwise, through the books and over a restart.

use wattline::config::Config;
use wattline::pipeline::{Pipeline, Saved};
use wattline_core::reading::{AccountModel, AccountUsage, Inference, TokenUsage};
use wattline_core::subject::InferenceKey;
use wattline_core::{Instant, Reading, Readings, Sample, Seconds, Text, Tick, Timestamp, metrics};

const MODEL: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
/// A whole multiple of five minutes.
const BEGIN: u64 = 1_790_000_100;

fn tick(second: u64) -> Tick {
    let nanos = 1_000_000_000 * second;
    Tick { at: Instant::from_nanos(nanos), wall: Timestamp::from_unix_nanos(BEGIN * 1_000_000_000 + nanos) }
}

fn usage(input: u64, output: u64) -> TokenUsage {
    TokenUsage { input, output, ..TokenUsage::default() }
}

fn call(second: u64) -> Readings {
    let key = InferenceKey {
        model: Text::Static(MODEL),
        provider: Text::Static("aws.bedrock"),
        service: Text::Static("shop"),
        agent: None,
        operation: Text::Static("chat"),
    };
    let call = Inference::new(key, tick(second).wall, Seconds::new(2.0), usage(1000, 50));
    Readings { source: "otlp", tick: tick(second), items: vec![Reading::Inference(call)] }
}

/// The span of five minutes that begins at `second`, told twenty minutes after its end.
fn account(second: u64, calls: u64, usage: TokenUsage) -> Readings {
    let models = vec![AccountModel { name: Text::Static(MODEL), calls, usage }];
    let told = AccountUsage { from: tick(second).wall, until: tick(second + 300).wall, models };
    let items = vec![Reading::Account(Box::new(told))];
    Readings { source: "bedrock.metrics", tick: tick(second + 1500), items }
}

fn tokens(samples: &[Sample], service: &str) -> f64 {
    let is_of = |sample: &&Sample| {
        let identity = sample.subject.identity();
        std::ptr::eq(sample.metric, metrics::INFERENCE_TOKENS.descriptor())
            && identity.iter().any(|label| label.key == "service.name" && label.value.as_str() == service)
    };
    samples.iter().filter(is_of).filter_map(Sample::number).sum()
}

#[test]
fn what_only_the_account_counts_is_booked_as_unseen_once_and_over_a_restart() {
    let config = Config::parse("role = \"gateway\"\n[probes.bedrock.metrics]\nenabled = true\n").unwrap();
    let mut pipeline = Pipeline::new(&config, None);
    pipeline.ingest(&call(10));
    pipeline.elapse(tick(30));
    pipeline.ingest(&account(0, 3, usage(1600, 90)));

    // Whoever comes next knows what was told of the last span, and what was seen.
    let saved = serde_json::to_string(&pipeline.save()).unwrap();
    let saved: Saved = serde_json::from_str(&saved).unwrap();
    let mut next = Pipeline::new(&config, None);
    next.restore(saved, tick(1600).at);
    assert_eq!(next.account_told_until(), tick(300).wall);
    next.ingest(&account(0, 3, usage(1600, 90)));
    next.ingest(&account(300, 0, usage(0, 0)));
    next.ingest(&account(600, 0, usage(0, 0)));

    let samples = next.snapshot(tick(3000), &[]).samples;
    assert_eq!((tokens(&samples, "shop"), tokens(&samples, "unseen")), (1050.0, 640.0));
}

#[test]
fn without_the_switch_nothing_is_booked() {
    let mut pipeline = Pipeline::new(&Config::default(), None);
    pipeline.ingest(&account(0, 3, usage(1600, 90)));
    pipeline.ingest(&account(300, 0, usage(0, 0)));
    let unseen = tokens(&pipeline.snapshot(tick(3000), &[]).samples, "unseen");
    assert!(unseen.abs() < 0.5, "{unseen}");
}
