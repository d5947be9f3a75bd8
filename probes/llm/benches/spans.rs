//! How many spans a second are read and normalised, beside decoding the same bytes into owned structs with prost.

mod request;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use wattline_core::{Signal, Timestamp};
use wattline_probe_llm::normalise::Normaliser;
use wattline_wire::content::{Treatment, without_content};
use wattline_wire::schema::{Limits, check};

use request::{SPANS, request};

fn spans(criterion: &mut Criterion) {
    let request = request();
    let bytes_per_span = request.len() as u64 / SPANS;
    assert!((550..700).contains(&bytes_per_span), "a span has {bytes_per_span} bytes");
    let now = Timestamp::from_unix_nanos(1_760_000_003_000_000_000);
    let limits = Limits { attributes: 4096 };

    let mut group = criterion.benchmark_group("spans");
    group.throughput(Throughput::Elements(SPANS));
    let normaliser = Normaliser::default();
    group.bench_function("check and normalise", |bencher| {
        bencher.iter(|| {
            let items = check(Signal::Traces, black_box(&request), limits);
            let calls = normaliser.spans(black_box(&request), now);
            assert!(items == Ok(SPANS) && calls.as_ref().is_ok_and(|calls| calls.booked.len() as u64 == SPANS));
            calls
        });
    });
    group.bench_function("check and normalise in one walk", |bencher| {
        bencher.iter(|| {
            let read = normaliser.checked_spans(black_box(&request), limits, now);
            assert!(read.as_ref().is_ok_and(|(items, calls)| (*items, calls.booked.len() as u64) == (SPANS, SPANS)));
            read
        });
    });
    group.bench_function("check alone", |bencher| {
        bencher.iter(|| check(Signal::Traces, black_box(&request), limits));
    });
    // With "keep" nothing is read; these are what the other two cost where there is no content, and no more is copied.
    group.bench_function("without content, dropping", |bencher| {
        bencher.iter(|| without_content(Signal::Traces, black_box(&request), Treatment::Drop));
    });
    group.bench_function("prost owned decode", |bencher| {
        bencher.iter(|| ExportTraceServiceRequest::decode(black_box(request.as_slice())));
    });
    group.finish();
}

criterion_group!(benches, spans);
criterion_main!(benches);
