//! What pricing one call takes: when the price list is asked each time, and with rates that are kept.

use std::hint::black_box;
use std::time::{Duration, UNIX_EPOCH};

use criterion::{Criterion, criterion_group, criterion_main};
use genai_prices::{Calculator, PriceRequest, Usage, UsageKey};
use wattline_core::Timestamp;
use wattline_core::reading::TokenUsage;
use wattline_model::cost::{Tariff, TariffSpec};
use wattline_model::inference::{Sale, TokenPrices};

/// 24 October 2026, when tiers and batches are listed.
const SECONDS: u64 = 1_792_800_000;

/// Provider as a call names it, as the list names it, and the model.
const CALLS: [(&str, &str, &str); 8] = [
    ("openai", "openai", "gpt-4o"),
    ("openai", "openai", "gpt-5.4"),
    ("anthropic", "anthropic", "claude-sonnet-4-5-20250929"),
    ("anthropic", "anthropic", "claude-haiku-4-5"),
    ("aws.bedrock", "aws", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
    ("aws.bedrock", "aws", "amazon.nova-lite-v1:0"),
    ("gcp.gemini", "google", "gemini-2.5-flash"),
    ("mistral_ai", "mistral", "mistral-large-latest"),
];

const TOKENS: TokenUsage =
    TokenUsage { input: 12_345, output: 678, cache_read: 8_000, cache_write: 0, cache_write_1h: 0, reasoning: 100 };

fn sale(provider: &'static str, model: &'static str) -> Sale<'static> {
    Sale { provider, model, asked: None, tier: None, at: Timestamp::from_unix_nanos(SECONDS * 1_000_000_000) }
}

fn pricing(criterion: &mut Criterion) {
    // To decode the crate's own list takes tens of milliseconds.
    let _decoded = Calculator::bundled();
    let mut group = criterion.benchmark_group("price of eight calls");
    group.throughput(criterion::Throughput::Elements(CALLS.len() as u64));
    group.bench_function("asked each time", |bencher| {
        bencher.iter(|| {
            for (_, seller, model) in CALLS {
                let usage = Usage::from([
                    (UsageKey::INPUT_TOKENS, TOKENS.input as f64),
                    (UsageKey::OUTPUT_TOKENS, TOKENS.output as f64),
                    (UsageKey::CACHE_READ_TOKENS, TOKENS.cache_read as f64),
                ]);
                let at = UNIX_EPOCH + Duration::from_secs(SECONDS);
                let request = PriceRequest::new(black_box(model), &usage).with_provider_id(seller).with_timestamp(at);
                let _usd = black_box(Calculator::bundled().calculate(&request));
            }
        });
    });
    let prices = TokenPrices::default();
    group.bench_function("kept", |bencher| {
        bencher.iter(|| {
            for (provider, _, model) in CALLS {
                let _usd = black_box(prices.price(&sale(black_box(provider), black_box(model)), &TOKENS));
            }
        });
    });
    let crowded = TokenPrices::default();
    for number in 0..1000 {
        let model = format!("a model that nobody knows {number}");
        let _unknown = crowded.price(&Sale { model: &model, ..sale("openai", "") }, &TOKENS);
    }
    group.bench_function("kept among a thousand others", |bencher| {
        bencher.iter(|| {
            for (provider, _, model) in CALLS {
                let _usd = black_box(crowded.price(&sale(black_box(provider), black_box(model)), &TOKENS));
            }
        });
    });
    group.bench_function("first in its half hour", |bencher| {
        bencher.iter(|| {
            let fresh = TokenPrices::default();
            for (provider, _, model) in CALLS {
                let _usd = black_box(fresh.price(&sale(black_box(provider), black_box(model)), &TOKENS));
            }
        });
    });
    group.finish();
}

/// A tariff as a household has it, asked once in a window.
fn tariffs(criterion: &mut Criterion) {
    let text = "zone = 'Europe/Berlin'\ndefault = 0.3\n\
        [[periods]]\nfrom = '22:00'\nto = '06:00'\nprice = 0.2\n\
        [[periods]]\ndays = ['sat']\nmonths = [7]\nfrom = '12:00'\nto = '13:00'\nprice = 0.1\n";
    let Ok(table) = toml::from_str(text) else { return };
    let Ok(tariff) = Tariff::new(&TariffSpec::TimeOfUse(table)) else { return };
    let now = Timestamp::from_unix_nanos(SECONDS * 1_000_000_000);
    criterion.bench_function("price of electricity now", |bencher| bencher.iter(|| tariff.at(black_box(now))));
    criterion.bench_function("its next change", |bencher| bencher.iter(|| tariff.next_change(black_box(now))));
}

criterion_group!(benches, pricing, tariffs);
criterion_main!(benches);
