//! One export: 5,000 points built into requests, for time and for bytes a point.
//!
//! Budget: under 2 ms and at most 50 bytes a point before compression with 250 Resources of 20 points each and the
//! attributes on the Resource. `prost` is the same message built from the structs of opentelemetry-proto.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric::Data, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;
use wattline_core::attribute::key;
use wattline_core::sample::Period;
use wattline_core::subject::{Container, Pod};
use wattline_core::{Attribute, Device, DeviceKind, Instrument, Sample, Subject, Timestamp, Value, Workload, metrics};
use wattline_wire::metrics::{Layout, Limit, Temporality, encode_as};

const ENTITIES: usize = 250;
const POINTS: usize = 20;
const ONE_REQUEST: Limit = Limit { points: usize::MAX, bytes: usize::MAX };
const CLOUDWATCH: Limit = Limit { points: 1_000, bytes: 1 << 20 };

fn base() -> Vec<Attribute> {
    [
        (key::SERVICE_NAME, "wattline"),
        (key::SERVICE_INSTANCE_ID, "7f9c24e5-1e3a-4b8a-9d55-0d4c2c7b1a11"),
        (key::HOST_ID, "i-0f1e2d3c4b5a69788"),
        (key::HOST_NAME, "ip-10-0-12-34.eu-north-1.compute.internal"),
        (key::CLOUD_PROVIDER, "aws"),
        (key::CLOUD_REGION, "eu-north-1"),
        (key::OS_TYPE, "linux"),
    ]
    .map(|(key, value)| Attribute::new(key, value))
    .to_vec()
}

fn device(number: usize) -> Subject {
    Subject::Device(Device::new(DeviceKind::Gpu, format!("GPU-{number:08x}-1234-5678-9abc-def012345678")))
}

fn pod(number: usize) -> Subject {
    Subject::Workload(Workload::Container(Container {
        id: format!("{number:064x}").into(),
        runtime: "containerd".into(),
        pod: Some(Pod {
            uid: format!("{number:08x}-1234-5678-9abc-def012345678").into(),
            namespace: Some("inference".into()),
            name: Some(format!("vllm-7b-6c9f8d5b4-{number:05x}").into()),
            container: Some("server".into()),
        }),
        ecs_task: None,
    }))
}

fn period() -> Period {
    let nanos = |seconds: u64| Timestamp::from_unix_nanos(seconds * 1_000_000_000);
    Period { start: nanos(1_790_000_000), at: nanos(1_790_000_060) }
}

/// Twenty metrics of one point each: nothing on the points tells them apart.
fn one_point_a_metric(subject: fn(usize) -> Subject) -> Vec<Sample> {
    let numbers = metrics::ALL.iter().filter(|metric| metric.instrument != Instrument::Histogram);
    let table: Vec<_> = numbers.take(POINTS).collect();
    let entities = (0..ENTITIES).map(|number| Arc::new(subject(number)));
    entities
        .flat_map(|subject| {
            table
                .iter()
                .enumerate()
                .map(move |(position, metric)| Sample {
                    metric,
                    subject: Arc::clone(&subject),
                    attributes: Vec::new(),
                    period: period(),
                    value: Value::Number(position as f64 * 1.1),
                })
                .collect::<Vec<_>>()
        })
        .collect()
}

/// Four metrics of five points each, which differ by two attributes: how the books of a workload look.
fn five_points_a_metric(subject: fn(usize) -> Subject) -> Vec<Sample> {
    let table = [
        metrics::WORKLOAD_ENERGY.descriptor(),
        metrics::WORKLOAD_CPU_TIME.descriptor(),
        metrics::WORKLOAD_CARBON.descriptor(),
        metrics::WORKLOAD_COST.descriptor(),
    ];
    let states = ["active", "reserved", "idle", "unattributed", "other"];
    let mut samples = Vec::new();
    for number in 0..ENTITIES {
        let subject = Arc::new(subject(number));
        for metric in table {
            for state in states {
                samples.push(Sample {
                    metric,
                    subject: Arc::clone(&subject),
                    attributes: vec![
                        Attribute::new(key::ENERGY_STATE, state),
                        Attribute::new(key::ENERGY_METHOD, "apportioned"),
                    ],
                    period: period(),
                    value: Value::Number(number as f64 * 1.1),
                });
            }
        }
    }
    samples
}

fn key_value(attribute: &Attribute) -> KeyValue {
    KeyValue {
        key: attribute.key.to_owned(),
        value: Some(AnyValue { value: Some(any_value::Value::StringValue(attribute.value.to_string())) }),
        ..KeyValue::default()
    }
}

/// The same through prost's structs, for samples that come subject by subject, with gauges only: a lower bound.
fn with_prost(base: &[Attribute], samples: &[Sample], layout: Layout) -> Vec<u8> {
    let resource_metrics = samples.chunks(POINTS).filter_map(|entity| {
        let identity: Vec<KeyValue> = entity.first()?.subject.identity().iter().map(key_value).collect();
        let metrics = entity.chunk_by(|one, other| std::ptr::eq(one.metric, other.metric)).filter_map(|points| {
            let metric = points.first()?.metric;
            let data_points = points.iter().map(|sample| {
                let own = sample.attributes.iter().map(key_value);
                NumberDataPoint {
                    attributes: match layout {
                        Layout::Complete => identity.iter().cloned().chain(own).collect(),
                        Layout::Lean => own.collect(),
                    },
                    start_time_unix_nano: sample.period.start.unix_nanos(),
                    time_unix_nano: sample.period.at.unix_nanos(),
                    value: sample.number().map(number_data_point::Value::AsDouble),
                    ..NumberDataPoint::default()
                }
            });
            Some(Metric {
                name: metric.name.to_owned(),
                description: if layout == Layout::Complete { metric.doc.to_owned() } else { String::new() },
                unit: metric.unit.to_owned(),
                data: Some(Data::Gauge(Gauge { data_points: data_points.collect() })),
                ..Metric::default()
            })
        });
        let scope = InstrumentationScope { name: "wattline".into(), version: "0.1.0".into(), ..Default::default() };
        let scope_metrics = ScopeMetrics { scope: Some(scope), metrics: metrics.collect(), ..Default::default() };
        let attributes = base.iter().take(4).map(key_value).chain(identity.iter().cloned()).collect();
        Some(ResourceMetrics {
            resource: Some(Resource { attributes, ..Resource::default() }),
            scope_metrics: vec![scope_metrics],
            ..ResourceMetrics::default()
        })
    });
    ExportMetricsServiceRequest { resource_metrics: resource_metrics.collect() }.encode_to_vec()
}

#[expect(clippy::print_stdout, reason = "the figure is what the bench is for")]
fn export(criterion: &mut Criterion) {
    let base = base();
    let shapes = [
        ("reference: 250 devices x 20 metrics", Layout::Lean, one_point_a_metric(device)),
        ("250 devices x 20 metrics", Layout::Complete, one_point_a_metric(device)),
        ("250 pods x 4 metrics x 5 states", Layout::Lean, five_points_a_metric(pod)),
        ("250 pods x 4 metrics x 5 states", Layout::Complete, five_points_a_metric(pod)),
    ];
    for (shape, layout, samples) in &shapes {
        let encoded = encode_as(*layout, Temporality::Cumulative, &base, samples, ONE_REQUEST);
        let bytes: usize = encoded.requests.iter().map(|request| request.body.len()).sum();
        let per_point = bytes as f64 / samples.len() as f64;
        println!("{shape}, {layout:?}: {} points, {bytes} bytes, {per_point:.1} bytes a point", samples.len());
        for (name, limit) in [("one request", ONE_REQUEST), ("1,000 points a request", CLOUDWATCH)] {
            criterion.bench_function(&format!("{shape}, {layout:?}, {name}"), |bencher| {
                bencher
                    .iter(|| encode_as(*layout, Temporality::Cumulative, black_box(&base), black_box(samples), limit));
            });
        }
        criterion.bench_function(&format!("{shape}, {layout:?}, prost"), |bencher| {
            bencher.iter(|| with_prost(black_box(&base), black_box(samples), *layout));
        });
    }
}

criterion_group!(benches, export);
criterion_main!(benches);
