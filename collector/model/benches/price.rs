//! What pricing one call takes: asking the price list each time, and with rates kept.

use criterion::{Criterion, criterion_group, criterion_main};

fn pricing(_criterion: &mut Criterion) {}

criterion_group!(benches, pricing);
criterion_main!(benches);
