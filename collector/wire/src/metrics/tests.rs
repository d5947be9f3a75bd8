use std::sync::Arc;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, metric::Data, number_data_point};
use proptest::prelude::*;
use prost::Message as _;
use wattline_core::sample::Period;
use wattline_core::subject::{Container, InferenceKey, Pod};
use wattline_core::{Device, DeviceKind, Joules, Timestamp, Watts, Workload, metrics as table};

use super::*;

const NO_LIMIT: Limit = Limit { points: usize::MAX, bytes: usize::MAX };

/// A point with all that a backend learns of it.
#[derive(Clone, Debug, PartialEq)]
struct Told {
    resource: Vec<(String, String)>,
    metric: (String, String, String, Instrument),
    attributes: Vec<(String, String)>,
    start: u64,
    at: u64,
    value: Value,
}

fn pairs(attributes: &[KeyValue]) -> Vec<(String, String)> {
    let pair = |attribute: &KeyValue| match attribute.value.clone().and_then(|value| value.value) {
        Some(any_value::Value::StringValue(text)) => (attribute.key.clone(), text),
        other => panic!("{} is {other:?}", attribute.key),
    };
    let pairs: Vec<_> = attributes.iter().map(pair).collect();
    let keys: std::collections::BTreeSet<_> = pairs.iter().map(|(key, _)| key).collect();
    assert_eq!(keys.len(), pairs.len(), "a key stands twice in {pairs:?}");
    pairs
}

/// Every point of a request, read with the structs that the protocol's own definition generates.
fn read(body: &[u8]) -> Vec<Told> {
    let mut told = Vec::new();
    for resource_metrics in ExportMetricsServiceRequest::decode(body).unwrap().resource_metrics {
        let resource = pairs(&resource_metrics.resource.unwrap().attributes);
        for scope_metrics in resource_metrics.scope_metrics {
            assert_eq!(scope_metrics.scope.unwrap().name, "wattline");
            for metric in scope_metrics.metrics {
                let name = (metric.name, metric.unit, metric.description);
                read_metric(&resource, &name, metric.data.unwrap(), &mut told);
            }
        }
    }
    told
}

fn read_metric(resource: &[(String, String)], name: &(String, String, String), data: Data, told: &mut Vec<Told>) {
    const CUMULATIVE: i32 = AggregationTemporality::Cumulative as i32;
    let (instrument, points) = match data {
        Data::Gauge(gauge) => (Instrument::Gauge, gauge.data_points),
        Data::Sum(sum) => {
            assert_eq!(sum.aggregation_temporality, CUMULATIVE);
            (if sum.is_monotonic { Instrument::Counter } else { Instrument::UpDownCounter }, sum.data_points)
        }
        Data::ExponentialHistogram(histogram) => {
            assert_eq!(histogram.aggregation_temporality, CUMULATIVE);
            for point in histogram.data_points {
                told.push(Told {
                    resource: resource.to_vec(),
                    metric: (name.0.clone(), name.1.clone(), name.2.clone(), Instrument::Histogram),
                    attributes: pairs(&point.attributes),
                    start: point.start_time_unix_nano,
                    at: point.time_unix_nano,
                    value: Value::Histogram(Arc::new(rebuilt(&point))),
                });
            }
            return;
        }
        other => panic!("nobody makes {other:?}"),
    };
    for point in points {
        let Some(number_data_point::Value::AsDouble(number)) = point.value else { panic!("{:?}", point.value) };
        told.push(Told {
            resource: resource.to_vec(),
            metric: (name.0.clone(), name.1.clone(), name.2.clone(), instrument),
            attributes: pairs(&point.attributes),
            start: point.start_time_unix_nano,
            at: point.time_unix_nano,
            value: Value::Number(number),
        });
    }
}

/// The histogram that a point tells of, by recording one value for each count in the middle of its bucket.
fn rebuilt(point: &opentelemetry_proto::tonic::metrics::v1::ExponentialHistogramDataPoint) -> ExponentialHistogram {
    let mut histogram = ExponentialHistogram::new();
    for _ in 0..point.zero_count {
        histogram.record(0.0);
    }
    let buckets = point.positive.clone().unwrap_or_default();
    let width = (-f64::from(point.scale)).exp2();
    for (index, &count) in (buckets.offset..).zip(&buckets.bucket_counts) {
        for _ in 0..count {
            histogram.record(((f64::from(index) + 0.5) * width).exp2());
        }
    }
    assert_eq!(histogram.count(), point.count);
    assert_eq!(histogram.at_scale(point.scale).counts().iter().sum::<u64>() + point.zero_count, point.count);
    histogram
}

fn told(base: &[Attribute], sample: &Sample) -> Told {
    let text = |attributes: &[Attribute]| -> Vec<(String, String)> {
        let mut unique: Vec<(String, String)> = Vec::new();
        for attribute in attributes {
            if !unique.iter().any(|(key, _)| key == attribute.key) {
                unique.push((attribute.key.to_owned(), attribute.value.to_string()));
            }
        }
        unique
    };
    let mut attributes = sample.subject.identity();
    attributes.extend(sample.attributes.clone());
    Told {
        resource: text(&resource_of(base, &sample.subject)),
        metric: (
            sample.metric.name.to_owned(),
            sample.metric.unit.to_owned(),
            sample.metric.doc.to_owned(),
            sample.metric.instrument,
        ),
        attributes: text(&attributes),
        start: sample.period.start.unix_nanos(),
        at: sample.period.at.unix_nanos(),
        value: sample.value.clone(),
    }
}

fn base() -> Vec<Attribute> {
    vec![
        Attribute::new(key::SERVICE_NAME, "wattline"),
        Attribute::new(key::SERVICE_INSTANCE_ID, "0b1e"),
        Attribute::new(key::HOST_ID, "h-1"),
        Attribute::new(key::HOST_NAME, "node-1"),
        Attribute::new(key::OS_TYPE, "linux"),
    ]
}

fn container() -> Subject {
    Subject::Workload(Workload::Container(Container {
        id: "0123456789abcdef".into(),
        runtime: "containerd".into(),
        pod: Some(Pod {
            uid: "9c2e".into(),
            namespace: Some("ml".into()),
            name: Some("trainer-0".into()),
            container: Some("main".into()),
        }),
        ecs_task: None,
    }))
}

fn call() -> Subject {
    Subject::Inference(InferenceKey {
        model: "a-model".into(),
        provider: "a-provider".into(),
        service: "shop".into(),
        agent: None,
        operation: "chat".into(),
    })
}

fn period() -> Period {
    Period { start: Timestamp::from_unix_nanos(1_000), at: Timestamp::from_unix_nanos(2_000) }
}

fn subjects() -> impl Strategy<Value = Arc<Subject>> {
    prop::sample::select(vec![
        Subject::Host,
        Subject::Wattline,
        call(),
        Subject::Device(Device::new(DeviceKind::Cpu, "package-0")),
        Subject::Device(Device::new(DeviceKind::Gpu, "GPU-7")),
        container(),
        Subject::Workload(Workload::Unit("sshd.service".into())),
        Subject::Workload(Workload::Other),
    ])
    .prop_map(Arc::new)
}

fn values() -> impl Strategy<Value = Value> {
    let histograms = prop::collection::vec(prop_oneof![Just(0.0), 1e-3..1e6f64], 0..20).prop_map(|recorded| {
        let mut histogram = ExponentialHistogram::new();
        for value in recorded {
            assert!(histogram.record(value));
        }
        Value::Histogram(Arc::new(histogram))
    });
    let numbers = prop_oneof![8 => any::<f64>(), 1 => Just(f64::NAN), 1 => Just(f64::INFINITY)].prop_map(Value::Number);
    prop_oneof![3 => numbers, 1 => histograms]
}

prop_compose! {
    fn samples()(
        metric in prop::sample::select(table::ALL),
        subject in subjects(),
        value in values(),
        texts in prop::collection::vec("\\PC{0,12}", 0..4),
        start in any::<u64>(),
        at in any::<u64>(),
    ) -> Sample {
        let attributes = metric.attributes.iter().zip(texts).map(|(key, text)| Attribute::new(key, text)).collect();
        let period = Period { start: Timestamp::from_unix_nanos(start), at: Timestamp::from_unix_nanos(at) };
        Sample { metric, subject, attributes, period, value }
    }
}

/// Compares histograms by what a point tells, and everything else exactly.
fn same(left: &Told, right: &Told) -> bool {
    let value = match (&left.value, &right.value) {
        (Value::Number(left), Value::Number(right)) => left.to_bits() == right.to_bits(),
        (Value::Histogram(left), Value::Histogram(right)) => {
            let scale = left.scale().min(right.scale());
            let (left, right) = (left.at_scale(scale), right.at_scale(scale));
            (left.zero_count(), left.counts()) == (right.zero_count(), right.counts())
                && (left.counts().is_empty() || left.offset() == right.offset())
        }
        _ => false,
    };
    let rest = |told: &Told| Told { value: Value::Number(0.0), ..told.clone() };
    value && rest(left) == rest(right)
}

proptest! {
    #[test]
    fn every_point_is_in_exactly_one_request_and_no_request_is_too_large(
        samples in prop::collection::vec(samples(), 0..40),
        points in 0usize..50,
        bytes in 0usize..6000,
    ) {
        let base = base();
        let limit = Limit { points, bytes };
        let encoded = encode(&base, &samples, limit);
        for request in &encoded.requests {
            prop_assert!(request.points > 0);
            prop_assert!(request.points <= limit.points.max(1) as u64);
            prop_assert!(request.points == 1 || request.body.len() <= limit.bytes, "{} > {bytes}", request.body.len());
            prop_assert_eq!(read(&request.body).len() as u64, request.points);
        }
        let mut found: Vec<Told> = encoded.requests.iter().flat_map(|request| read(&request.body)).collect();
        let expected: Vec<Told> = samples.iter().filter(|sample| can_be_told(sample)).map(|sample| told(&base, sample)).collect();
        prop_assert_eq!(encoded.skipped, (samples.len() - expected.len()) as u64);
        prop_assert_eq!(found.len(), expected.len());
        for one in &expected {
            let Some(position) = found.iter().position(|other| same(one, other)) else {
                return Err(TestCaseError::fail(format!("{one:?} is in no request")));
            };
            found.swap_remove(position);
        }
    }

    #[test]
    fn the_bytes_do_not_depend_on_where_subjects_are_in_memory(samples in prop::collection::vec(samples(), 0..30)) {
        let copies: Vec<Sample> = samples
            .iter()
            .rev()
            .map(|sample| Sample { subject: Arc::new((*sample.subject).clone()), ..sample.clone() })
            .collect();
        let copies: Vec<Sample> = copies.into_iter().rev().collect();
        let bodies = |samples: &[Sample]| -> Vec<Bytes> {
            encode(&base(), samples, Limit { points: 7, bytes: 4_000 }).requests.into_iter().map(|request| request.body).collect()
        };
        prop_assert_eq!(bodies(&samples), bodies(&copies));
    }
}

#[test]
fn an_entity_has_one_resource_and_the_machine_is_described_once() {
    let gpu = Arc::new(Subject::Device(Device::new(DeviceKind::Gpu, "GPU-7")));
    let (host, call) = (Arc::new(Subject::Host), Arc::new(call()));
    let samples = [
        table::HW_POWER.sample(&gpu, vec![], period(), Watts::new(7.0)),
        table::HOST_POWER.sample(&host, vec![], period(), Watts::new(9.0)),
        table::HW_ENERGY.sample(&Arc::new((*gpu).clone()), vec![], period(), Joules::new(70.0)),
        table::INFERENCE_ENERGY.sample(&call, vec![], period(), Joules::new(3.0)),
    ];
    let encoded = encode(&base(), &samples, NO_LIMIT);
    let message = ExportMetricsServiceRequest::decode(&*encoded.requests[0].body).unwrap();
    let resources: Vec<_> =
        message.resource_metrics.iter().map(|one| pairs(&one.resource.as_ref().unwrap().attributes)).collect();
    let keys = |resource: &[(String, String)]| resource.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>();
    assert_eq!(resources.len(), 2);
    assert_eq!(keys(&resources[0]), ["service.name", "service.instance.id", "host.id", "host.name", "os.type"]);
    assert_eq!(resources[0][0].1, "wattline", "the calling service is not the sender");
    assert_eq!(
        keys(&resources[1]),
        ["service.name", "service.instance.id", "host.id", "host.name", "hw.id", "hw.type"]
    );
}

#[test]
fn a_description_is_on_the_resource_only() {
    let samples = [table::WORKLOAD_ENERGY.sample(&Arc::new(container()), vec![], period(), Joules::new(1.0))];
    let told = read(&encode(&base(), &samples, NO_LIMIT).requests[0].body);
    assert!(told[0].resource.contains(&("container.runtime".into(), "containerd".into())));
    assert!(!told[0].attributes.iter().any(|(key, _)| key == "container.runtime"));
    assert!(told[0].attributes.contains(&("k8s.pod.name".into(), "trainer-0".into())));
}

#[test]
fn lean_leaves_out_what_the_resource_says_and_nothing_else() {
    let samples = [
        table::WORKLOAD_ENERGY.sample(
            &Arc::new(container()),
            vec![Attribute::new(key::ENERGY_STATE, "active")],
            period(),
            Joules::new(1.0),
        ),
        table::INFERENCE_ENERGY.sample(&Arc::new(call()), vec![], period(), Joules::new(3.0)),
    ];
    let told = read(&encode_as(Layout::Lean, Temporality::Cumulative, &base(), &samples, NO_LIMIT).requests[0].body);
    assert!(told[0].attributes.contains(&("gen_ai.request.model".into(), "a-model".into())));
    assert_eq!(told[1].attributes, [("energy.state".to_owned(), "active".to_owned())]);
    assert!(told[1].resource.contains(&("container.id".into(), "0123456789abcdef".into())));
    assert_eq!(told[0].metric.2, "");
}

#[test]
fn growth_is_told_as_delta_and_what_there_is_stays_cumulative() {
    let host = Arc::new(Subject::Host);
    let samples: Vec<Sample> =
        [Instrument::Counter, Instrument::UpDownCounter, Instrument::Gauge, Instrument::Histogram]
            .into_iter()
            .map(|instrument| {
                let metric = table::ALL.iter().find(|metric| metric.instrument == instrument).unwrap();
                let value = match instrument {
                    Instrument::Histogram => Value::Histogram(Arc::default()),
                    _ => Value::Number(1.0),
                };
                Sample { metric, subject: Arc::clone(&host), attributes: vec![], period: period(), value }
            })
            .collect();
    let temporalities = |temporality| -> Vec<(i32, bool)> {
        let encoded = encode_as(Layout::Complete, temporality, &base(), &samples, NO_LIMIT);
        let message = ExportMetricsServiceRequest::decode(&*encoded.requests[0].body).unwrap();
        let metrics =
            message.resource_metrics.into_iter().flat_map(|one| one.scope_metrics).flat_map(|one| one.metrics);
        let mut told: Vec<_> = metrics
            .filter_map(|metric| match metric.data.unwrap() {
                Data::Sum(sum) => Some((sum.aggregation_temporality, sum.is_monotonic)),
                Data::ExponentialHistogram(histogram) => Some((histogram.aggregation_temporality, true)),
                _ => None,
            })
            .collect();
        told.sort_unstable();
        told
    };
    assert_eq!(temporalities(Temporality::Cumulative), [(2, false), (2, true), (2, true)]);
    assert_eq!(temporalities(Temporality::Delta), [(1, true), (1, true), (2, false)]);
}

#[test]
fn an_ended_series_has_a_last_point_without_a_value() {
    let sample = |metric: &'static Descriptor, value| {
        let attributes = vec![Attribute::new(key::ENERGY_STATE, "active")];
        Sample { metric, subject: Arc::new(container()), attributes, period: period(), value }
    };
    let samples = [
        sample(table::WORKLOAD_ENERGY.descriptor(), Value::Number(7.0)),
        sample(table::GEN_AI_DURATION.descriptor(), Value::Histogram(Arc::default())),
    ];
    let encoded = encode_ends(Layout::Complete, &base(), &samples, NO_LIMIT);
    assert_eq!(encoded.requests[0].points, 2);
    let message = ExportMetricsServiceRequest::decode(&*encoded.requests[0].body).unwrap();
    let expected = told(&base(), &samples[0]).attributes;
    for metric in message.resource_metrics.into_iter().flat_map(|one| one.scope_metrics).flat_map(|one| one.metrics) {
        let (flags, start, at, attributes) = match metric.data.unwrap() {
            Data::Sum(mut sum) => {
                let point = sum.data_points.remove(0);
                assert_eq!((point.value, sum.is_monotonic), (None, true));
                (point.flags, point.start_time_unix_nano, point.time_unix_nano, point.attributes)
            }
            Data::ExponentialHistogram(mut histogram) => {
                let point = histogram.data_points.remove(0);
                assert_eq!((point.count, point.sum, point.positive), (0, None, None));
                (point.flags, point.start_time_unix_nano, point.time_unix_nano, point.attributes)
            }
            other => panic!("{other:?}"),
        };
        assert_eq!((flags, start, at), (1, 1_000, 2_000));
        assert_eq!(pairs(&attributes), expected);
    }
}

#[test]
fn what_no_backend_takes_is_skipped_and_counted() {
    let host = Arc::new(Subject::Host);
    let good = table::HOST_POWER.sample(&host, vec![], period(), Watts::new(9.0));
    let wrong_kind = Sample { value: Value::Histogram(Arc::default()), ..good.clone() };
    let not_finite = Sample { value: Value::Number(f64::NAN), ..good.clone() };
    let mut huge = ExponentialHistogram::new();
    huge.record(f64::MAX);
    huge.record(f64::MAX);
    let overflown =
        Sample { metric: table::GEN_AI_DURATION.descriptor(), value: Value::Histogram(Arc::new(huge)), ..good.clone() };
    let encoded = encode(&base(), &[wrong_kind, not_finite, good, overflown], NO_LIMIT);
    assert_eq!((encoded.requests.len(), encoded.skipped), (1, 3));
    assert_eq!(encoded.requests[0].points, 1);
}

#[test]
fn nothing_gives_no_request() {
    assert!(encode(&base(), &[], NO_LIMIT).requests.is_empty());
}
