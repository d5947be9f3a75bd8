//! What pairing and booking one call takes, of calls that share what they have in common.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use wattline_core::reading::{CallIdentity, CallKind, Inference, TokenUsage};
use wattline_core::subject::InferenceKey;
use wattline_core::{Instant, Seconds, Text, Timestamp};
use wattline_model::grid::Grid;
use wattline_model::inference::{Context, InferenceBooks, LocalAddresses, TokenPrices, Twins};

const CALLS: u64 = 4096;
/// 24 October 2026.
const NOW: Timestamp = Timestamp::from_unix_nanos(1_792_800_000_000_000_000);

const KINDS: [(&str, &str); 4] = [
    ("openai", "gpt-4o"),
    ("anthropic", "claude-sonnet-4-5-20250929"),
    ("aws.bedrock", "us.anthropic.claude-haiku-4-5-20251001-v1:0"),
    ("gcp.gemini", "gemini-2.5-flash"),
];

fn calls() -> Vec<Inference> {
    let kinds = KINDS.map(|(provider, model)| {
        let key = InferenceKey {
            model: model.into(),
            provider: provider.into(),
            service: "shop".into(),
            agent: None,
            operation: "chat".into(),
        };
        let server_address = Some(Text::Static("api.example.com"));
        Arc::new(CallKind { server_address, finish_reason: Some("stop".into()), ..CallKind::new(key) })
    });
    let call = |(number, kind): (u64, &Arc<CallKind>)| {
        let usage = TokenUsage { input: 1000 + number % 512, output: 100 + number % 512, ..TokenUsage::default() };
        let identity = CallIdentity {
            scope: 1,
            response: number + 1,
            trace: u128::from(number / 4 + 1) << 64 | u128::from(number / 4),
            span: number + 1,
            parent: u64::MAX - number,
            ..CallIdentity::default()
        };
        Inference { identity, ..Inference::of(Arc::clone(kind), NOW, Seconds::new(2.0), usage) }
    };
    (0..CALLS).zip(kinds.iter().cycle()).map(call).collect()
}

fn pairing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("calls");
    group.throughput(Throughput::Elements(CALLS));
    let calls = calls();
    group.bench_function("paired", |bencher| {
        bencher.iter_batched(
            || calls.clone(),
            |calls| {
                let mut twins = Twins::new();
                for call in calls {
                    let _early = black_box(twins.take(call, Instant::default()));
                }
                twins
            },
            BatchSize::LargeInput,
        );
    });
    let (local, prices) = (LocalAddresses::default(), TokenPrices::default());
    let context = Context { now: NOW, grid: Grid::builtin(), local: &local, prices: &prices };
    let mut books = InferenceBooks::new();
    group.bench_function("booked", |bencher| {
        bencher.iter(|| {
            for call in &calls {
                let _assessment = black_box(books.book(call, &context));
            }
        });
    });
    group.finish();
}

criterion_group!(benches, pairing);
criterion_main!(benches);
