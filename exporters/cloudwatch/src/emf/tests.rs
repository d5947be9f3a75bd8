use std::sync::Arc;

use proptest::prelude::*;
use serde_json::Value as Json;
use wattline_core::sample::Period;
use wattline_core::{Device, DeviceKind, Subject, Tick, Timestamp, Workload, metrics};

use super::*;

fn form(dimensions: &[&[&str]]) -> Form {
    let dimensions = dimensions.iter().map(|set| set.iter().map(|name| (*name).to_owned()).collect()).collect();
    Form { namespace: "wattline".to_owned(), dimensions, is_high_resolution: false, log: None, bytes: 250_000 }
}

fn snapshot(samples: Vec<Sample>) -> Snapshot {
    let attribute = |(key, value): (&'static str, &'static str)| Attribute::new(key, value);
    let resource = [
        (key::SERVICE_NAME, "wattline"),
        (key::HOST_NAME, "node-1"),
        (key::HOST_ID, "i-0f"),
        (key::CLOUD_REGION, "eu-west-1"),
    ];
    Snapshot { tick: Tick::default(), resource: resource.map(attribute).to_vec(), samples }
}

fn gpu(metric: &'static Descriptor, value: Value) -> Sample {
    let at = Timestamp::from_unix_nanos(1_790_000_060_123_456_789);
    Sample {
        metric,
        subject: Arc::new(Subject::Device(Device::new(DeviceKind::Gpu, "GPU-7"))),
        attributes: vec![Attribute::new(key::ENERGY_METHOD, "measured")],
        period: Period { start: at, at },
        value,
    }
}

/// A metric of an event as `CloudWatch` sees it.
#[derive(Clone, Debug, PartialEq)]
struct Made {
    name: String,
    unit: Option<String>,
    dimensions: Vec<Vec<(String, String)>>,
    value: Json,
}

/// Reads an event as strictly as the specification is written. Panics where `CloudWatch` would make no metric.
fn made(event: &Event) -> Vec<Made> {
    assert!(!event.text.contains('\n'));
    let root: Json = serde_json::from_str(&event.text).unwrap();
    let root = root.as_object().unwrap();
    let names = event.text.matches("\"_aws\":").count();
    assert_eq!(names, 1);
    let aws = root["_aws"].as_object().unwrap();
    assert_eq!(aws["Timestamp"].as_u64(), Some(event.at_ms));
    let directives = aws["CloudWatchMetrics"].as_array().unwrap();
    assert_eq!(directives.len(), 1);
    let directive = directives[0].as_object().unwrap();
    assert_eq!(directive.keys().collect::<Vec<_>>(), ["Dimensions", "Metrics", "Namespace"]);
    let sets: Vec<Vec<(String, String)>> = directive["Dimensions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|set| {
            let set = set.as_array().unwrap();
            assert!(set.len() <= 30);
            set.iter()
                .map(|name| {
                    let name = name.as_str().unwrap();
                    let value = root[name].as_str().unwrap();
                    assert!(
                        (1..=1024).contains(&value.len()) && value.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
                        "{value:?}"
                    );
                    assert!(!value.trim().is_empty());
                    (name.to_owned(), value.to_owned())
                })
                .collect()
        })
        .collect();
    assert!(!sets.is_empty());
    let definitions = directive["Metrics"].as_array().unwrap();
    assert!((1..=100).contains(&definitions.len()));
    assert_eq!(definitions.len() as u64, event.points);
    let mut seen = BTreeSet::new();
    definitions
        .iter()
        .map(|definition| {
            let definition = definition.as_object().unwrap();
            let name = definition["Name"].as_str().unwrap();
            assert!(seen.insert(name.to_owned()), "{name} stands twice");
            let unit = definition.get("Unit").map(|unit| unit.as_str().unwrap().to_owned());
            assert!(unit.as_deref().is_none_or(|unit| ["Bytes", "Seconds", "Percent", "Count"].contains(&unit)));
            assert!(definition.get("StorageResolution").is_none_or(|seconds| seconds == 1 || seconds == 60));
            check_value(&root[name]);
            Made { name: name.to_owned(), unit, dimensions: sets.clone(), value: root[name].clone() }
        })
        .collect()
}

fn check_value(value: &Json) {
    let number = |value: &Json| assert!(value.as_f64().unwrap().abs() <= 2f64.powi(360));
    let Some(histogram) = value.as_object() else { return number(value) };
    let (values, counts) = (histogram["Values"].as_array().unwrap(), histogram["Counts"].as_array().unwrap());
    assert!((1..=100).contains(&values.len()) && values.len() == counts.len());
    values.iter().for_each(number);
    let count: u64 = counts.iter().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(histogram["Count"].as_u64(), Some(count));
    for name in ["Min", "Max", "Sum"] {
        number(&histogram[name]);
    }
    assert!(histogram["Min"].as_f64() <= histogram["Max"].as_f64());
}

#[test]
fn an_event_is_what_the_specification_shows() {
    let samples = vec![
        gpu(metrics::HW_ENERGY.descriptor(), Value::Number(12.345_678)),
        gpu(metrics::HW_POWER.descriptor(), Value::Number(300.0)),
    ];
    let encoded = encode(&form(&[]), &snapshot(samples));
    assert_eq!(
        encoded.events[0].text,
        concat!(
            r#"{"_aws":{"Timestamp":1790000060123,"CloudWatchMetrics":[{"Namespace":"wattline","#,
            r#""Dimensions":[["energy.method","hw.id","hw.type","host.name"]],"#,
            r#""Metrics":[{"Name":"hw.energy"},{"Name":"hw.power"}]}]},"#,
            r#""energy.method":"measured","host.id":"i-0f","host.name":"node-1","hw.id":"GPU-7","hw.type":"gpu","#,
            r#""hw.energy":12.345678,"hw.power":300}"#
        )
    );
    assert_eq!(encoded, Encoded { events: encoded.events.clone(), ..Encoded::default() });
}

#[test]
fn only_the_sets_whose_labels_are_there_make_metrics_and_nothing_is_rolled_up() {
    let samples = vec![gpu(metrics::HW_ENERGY.descriptor(), Value::Number(1.0))];
    let form = form(&[&["hw.type"], &["cloud.region", "hw.id"], &["systemd.unit"], &[]]);
    let event = &encode(&form, &snapshot(samples)).events[0];
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let expected =
        [vec![pair("hw.type", "gpu")], vec![pair("cloud.region", "eu-west-1"), pair("hw.id", "GPU-7")], vec![]];
    assert_eq!(made(event)[0].dimensions, expected);
    assert!(event.text.contains(r#""energy.method":"measured""#), "what is no dimension is a property");
}

#[test]
fn metrics_are_counted_by_what_tells_them_apart() {
    let other = Arc::new(Subject::Device(Device::new(DeviceKind::Gpu, "GPU-8")));
    let energy = gpu(metrics::HW_ENERGY.descriptor(), Value::Number(1.0));
    let samples = vec![
        gpu(metrics::HW_POWER.descriptor(), Value::Number(1.0)),
        Sample { subject: other, ..energy.clone() },
        energy,
    ];
    let snapshot = snapshot(samples);
    let count = |sets: &[&[&str]]| metrics(&form(sets), &snapshot);
    assert_eq!(count(&[]), 3);
    assert_eq!(count(&[&["hw.type"]]), 2, "two devices are one metric without their names");
    assert_eq!(count(&[&["hw.id"], &["hw.type"], &["systemd.unit"]]), 5);
}

#[test]
fn no_event_has_more_than_a_hundred_metrics() {
    let metric = |number: usize| -> &'static Descriptor {
        let name: &'static str = Box::leak(format!("metric.{number}").into_boxed_str());
        let (instrument, unit, doc) = (wattline_core::Instrument::Gauge, "W", "");
        Box::leak(Box::new(Descriptor { name, instrument, unit, doc, attributes: &[] }))
    };
    let samples = (0..250).map(|number| gpu(metric(number), Value::Number(number as f64))).collect();
    let encoded = encode(&form(&[]), &snapshot(samples));
    assert_eq!(encoded.events.iter().map(|event| event.points).collect::<Vec<_>>(), [100, 100, 50]);
    assert_eq!(encoded.events.iter().flat_map(made).count(), 250);
}

#[test]
fn a_point_without_a_set_is_told_of_by_its_name() {
    let samples = vec![gpu(metrics::HW_ENERGY.descriptor(), Value::Number(1.0))];
    let encoded = encode(&form(&[&["systemd.unit"]]), &snapshot(samples));
    assert_eq!((encoded.events.len(), encoded.without_dimensions), (0, BTreeSet::from(["hw.energy"])));
}

#[test]
fn the_log_for_the_agent_stands_in_the_metadata() {
    let samples = vec![gpu(metrics::HW_ENERGY.descriptor(), Value::Number(1.0))];
    let form = Form { log: Some(("/my/group".to_owned(), "s\"1".to_owned())), is_high_resolution: true, ..form(&[]) };
    let event = &encode(&form, &snapshot(samples)).events[0];
    let root: Json = serde_json::from_str(&event.text).unwrap();
    assert_eq!((&root["_aws"]["LogGroupName"], &root["_aws"]["LogStreamName"]), (&"/my/group".into(), &"s\"1".into()));
    assert_eq!(root["_aws"]["CloudWatchMetrics"][0]["Metrics"][0]["StorageResolution"], 1);
}

#[test]
fn dimensions_are_ascii_and_properties_are_not_changed() {
    let subject = Arc::new(Subject::Workload(Workload::Unit("größe%.service".into())));
    let sample = Sample { subject, ..gpu(metrics::WORKLOAD_ENERGY.descriptor(), Value::Number(1.0)) };
    let told = |form: &Form| {
        serde_json::from_str::<Json>(&encode(form, &snapshot(vec![sample.clone()])).events[0].text).unwrap()
    };
    assert_eq!(told(&form(&[]))["systemd.unit"], "gr%C3%B6%C3%9Fe%.service");
    assert_eq!(told(&form(&[&["workload.kind"]]))["systemd.unit"], "größe%.service");
}

#[test]
fn units_are_those_of_cloudwatch() {
    for metric in metrics::ALL {
        let expected = match metric.unit {
            "By" => Some("Bytes"),
            "s" => Some("Seconds"),
            "J" | "W" | "g" | "Hz" | "Cel" | "1" | "{USD}" | "{L}" | "{gCO2e/kWh}" => None,
            _ => Some("Count"),
        };
        assert_eq!(unit(metric.unit), expected, "{}", metric.name);
    }
}

#[test]
fn numbers_are_short_and_exact() {
    for (value, text) in [
        (0.0, Some("0")),
        (-3.0, Some("-3")),
        (12.5, Some("12.5")),
        (0.000_001, Some("1e-6")),
        (9_007_199_254_740_991.0, Some("9007199254740991")),
        (1e300, None),
        (f64::NAN, None),
        (f64::NEG_INFINITY, None),
    ] {
        assert_eq!(number(value).as_deref(), text);
    }
}

#[test]
fn a_distribution_keeps_count_and_sum_and_tells_the_rest_by_its_buckets() {
    let mut histogram = ExponentialHistogram::new();
    for value in 1..=1000 {
        histogram.record(f64::from(value));
    }
    histogram.record_many(0.0, 5);
    let value: Json = serde_json::from_str(&distribution(&histogram).unwrap()).unwrap();
    check_value(&value);
    assert_eq!(
        (&value["Count"], &value["Sum"], &value["Min"], &value["Max"]),
        (&1005.into(), &500_500.into(), &0.into(), &1000.into())
    );
    let values = value["Values"].as_array().unwrap().iter().zip(value["Counts"].as_array().unwrap());
    let sum: f64 = values.map(|(value, count)| value.as_f64().unwrap() * count.as_f64().unwrap()).sum();
    assert!((sum / 500_500.0 - 1.0).abs() < 0.01, "{sum}");
    // Of a delta nobody knows the ends.
    let delta: Json = serde_json::from_str(
        &distribution(
            &histogram
                .since(&{
                    let mut before = ExponentialHistogram::new();
                    before.record_many(0.0, 5);
                    before
                })
                .unwrap(),
        )
        .unwrap(),
    )
    .unwrap();
    assert!(delta["Min"].as_f64().unwrap() < 1.0 && delta["Max"].as_f64().unwrap() >= 1000.0, "{delta}");
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![4 => "\\PC{0,12}", 1 => "[\\x00-\\x7f]{0,8}", 1 => "x{1000,1100}"]
}

fn values() -> impl Strategy<Value = Value> {
    let numbers = prop_oneof![6 => -1e12..1e12f64, 2 => any::<f64>(), 1 => Just(f64::NAN)].prop_map(Value::Number);
    let histograms = prop::collection::vec(prop_oneof![Just(0.0), 1e-6..1e12f64], 1..150).prop_map(|values| {
        let mut histogram = ExponentialHistogram::new();
        assert!(values.iter().all(|value| histogram.record(*value)));
        Value::Histogram(Arc::new(histogram))
    });
    prop_oneof![3 => numbers, 1 => histograms]
}

prop_compose! {
    fn samples()(
        metric in prop::sample::select(metrics::ALL),
        value in values(),
        unit in texts(),
        texts in prop::collection::vec(texts(), 0..4),
        at in prop::sample::select(vec![0u64, 5, 1_790_000_060_123_456_789]),
    ) -> Sample {
        let attributes = metric.attributes.iter().zip(texts).map(|(key, text)| Attribute::new(key, text)).collect();
        let at = Timestamp::from_unix_nanos(at);
        let subject = Arc::new(Subject::Workload(Workload::Unit(unit.into())));
        Sample { metric, subject, attributes, period: Period { start: at, at }, value }
    }
}

proptest! {
    #[test]
    fn every_point_is_in_an_event_that_cloudwatch_takes_or_is_counted(
        samples in prop::collection::vec(samples(), 0..40),
        bytes in prop::sample::select(vec![2_000, 60_000, 250_000]),
        sets in prop::sample::select(vec![vec![], vec![vec!["systemd.unit"], vec!["host.name", "hw.type"], vec![]]]),
    ) {
        let sets: Vec<&[&str]> = sets.iter().map(Vec::as_slice).collect();
        let form = Form { bytes, ..form(&sets) };
        let encoded = encode(&form, &snapshot(samples.clone()));
        let mut points = 0;
        let mut last = 0;
        for event in &encoded.events {
            prop_assert!(event.text.len() <= bytes, "{} > {bytes}", event.text.len());
            prop_assert!(event.at_ms >= last);
            last = event.at_ms;
            points += made(event).len() as u64;
        }
        prop_assert_eq!(points + encoded.invalid + encoded.too_large, samples.len() as u64);
    }
}
