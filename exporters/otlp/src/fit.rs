//! Labels that Amazon CloudWatch would refuse, made shorter so that the points bear them still.
//!
//! It takes at most 150 labels on a point, those of the resource and the scope included, and 1024 characters in each
//! (Amazon CloudWatch User Guide, "OTLP Endpoints"), and refuses a whole request for one that has more. A text that is
//! too long is cut, and labels that are too many are left out; in both cases a digest of the whole takes the place of
//! what is gone, so that two series which differ only there stay two.

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use prost::Message;
use wattline_core::Signal;

const LABELS_MAX: usize = 150;
/// A resource and a scope that have more leave too few for the point.
const RESOURCE_LABELS_MAX: usize = 100;
const SCOPE_LABELS_MAX: usize = 20;
const CHARACTERS_MAX: usize = 1024;
/// The label that stands for those that were left out.
const DIGEST: &str = "wattline.labels.digest";

/// A request with labels that CloudWatch takes, where it is one of metrics, and how many labels were cut or left out. What is not
/// readable stays as it is, for the destination to judge.
pub(crate) fn fit(signal: Signal, body: Bytes) -> (Bytes, u64) {
    if signal != Signal::Metrics {
        return (body, 0);
    }
    let Ok(mut request) = ExportMetricsServiceRequest::decode(body.clone()) else { return (body, 0) };
    let mut changed = 0;
    for resource in &mut request.resource_metrics {
        let mut of_resource = 0;
        if let Some(described) = &mut resource.resource {
            changed += shorten(&mut described.attributes, RESOURCE_LABELS_MAX);
            of_resource = described.attributes.len();
        }
        for scope in &mut resource.scope_metrics {
            let mut taken = of_resource;
            if let Some(described) = &mut scope.scope {
                changed += shorten(&mut described.attributes, SCOPE_LABELS_MAX);
                taken += described.attributes.len();
            }
            let room = LABELS_MAX.saturating_sub(taken);
            changed += scope.metrics.iter_mut().map(|metric| shorten_points(metric, room)).sum::<u64>();
        }
    }
    // Encoding anew loses fields that are newer than this program, so that it is done only where it must be.
    if changed == 0 { (body, 0) } else { (request.encode_to_vec().into(), changed) }
}

fn shorten_points(metric: &mut Metric, room: usize) -> u64 {
    let each = |attributes| shorten(attributes, room);
    match &mut metric.data {
        None => 0,
        Some(Data::Gauge(data)) => data.data_points.iter_mut().map(|point| each(&mut point.attributes)).sum(),
        Some(Data::Sum(data)) => data.data_points.iter_mut().map(|point| each(&mut point.attributes)).sum(),
        Some(Data::Histogram(data)) => data.data_points.iter_mut().map(|point| each(&mut point.attributes)).sum(),
        Some(Data::ExponentialHistogram(data)) => {
            data.data_points.iter_mut().map(|point| each(&mut point.attributes)).sum()
        }
        Some(Data::Summary(data)) => data.data_points.iter_mut().map(|point| each(&mut point.attributes)).sum(),
    }
}

/// Makes `attributes` fit and tells how many it cut or left out. `room` is at least one.
fn shorten(attributes: &mut Vec<KeyValue>, room: usize) -> u64 {
    let mut changed = 0;
    if attributes.len() > room {
        let gone = attributes.split_off(room.saturating_sub(1));
        changed += gone.len() as u64;
        let mut digest = Digest::default();
        for attribute in gone {
            digest.add(&attribute.encode_to_vec());
        }
        let value = Some(AnyValue { value: Some(Value::StringValue(digest.to_string())) });
        attributes.push(KeyValue { key: DIGEST.to_owned(), value, ..KeyValue::default() });
    }
    for attribute in attributes {
        if let Some(AnyValue { value: Some(Value::StringValue(text)) }) = &mut attribute.value
            && text.chars().nth(CHARACTERS_MAX).is_some()
        {
            let mut digest = Digest::default();
            digest.add(text.as_bytes());
            let end = format!("…{digest}");
            let kept: String = text.chars().take(CHARACTERS_MAX.saturating_sub(end.chars().count())).collect();
            *text = kept + &end;
            changed += 1;
        }
    }
    changed
}

/// FNV-1a with 64 bits (Fowler, Noll and Vo): the same on every machine and in every version.
struct Digest(u64);

impl Default for Digest {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Digest {
    fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::metrics::v1::{Gauge, NumberDataPoint, ResourceMetrics, ScopeMetrics};
    use opentelemetry_proto::tonic::resource::v1::Resource;
    use proptest::prelude::*;

    use super::*;

    fn label(key: String, text: String) -> KeyValue {
        KeyValue { key, value: Some(AnyValue { value: Some(Value::StringValue(text)) }), ..Default::default() }
    }

    fn labels(count: usize) -> Vec<KeyValue> {
        (0..count).map(|number| label(format!("key {number}"), "v".to_owned())).collect()
    }

    fn request(resource: Vec<KeyValue>, points: Vec<Vec<KeyValue>>) -> Bytes {
        let point = |attributes| NumberDataPoint { attributes, ..Default::default() };
        let gauge = Gauge { data_points: points.into_iter().map(point).collect() };
        let metric = Metric { data: Some(Data::Gauge(gauge)), ..Default::default() };
        let scopes = vec![ScopeMetrics { metrics: vec![metric], ..Default::default() }];
        let resource = Some(Resource { attributes: resource, ..Default::default() });
        let resource = ResourceMetrics { resource, scope_metrics: scopes, ..Default::default() };
        ExportMetricsServiceRequest { resource_metrics: vec![resource] }.encode_to_vec().into()
    }

    /// The labels of the resource, and of each point.
    fn read(body: Bytes) -> (Vec<KeyValue>, Vec<Vec<KeyValue>>) {
        let mut resource = ExportMetricsServiceRequest::decode(body).unwrap().resource_metrics.remove(0);
        let Some(Data::Gauge(gauge)) = resource.scope_metrics.remove(0).metrics.remove(0).data else { panic!() };
        let points = gauge.data_points.into_iter().map(|point| point.attributes).collect();
        (resource.resource.unwrap().attributes, points)
    }

    #[test]
    fn what_fits_stays_byte_for_byte() {
        let body = request(labels(100), vec![labels(50), vec![label("k".to_owned(), "é".repeat(1024))]]);
        // A field that this program does not know goes on, too.
        let body = Bytes::from([body.as_ref(), b"\xd2\x06\x01x"].concat());
        assert_eq!(fit(Signal::Metrics, body.clone()), (body, 0));
    }

    #[test]
    fn a_long_text_is_cut_and_still_tells_series_apart() {
        let text = |last| vec![label("k".to_owned(), "é".repeat(2000) + last)];
        let (body, changed) = fit(Signal::Metrics, request(Vec::new(), vec![text("a"), text("b")]));
        assert_eq!(changed, 2);
        let (_, points) = read(body);
        assert_ne!(points[0], points[1]);
        let Some(AnyValue { value: Some(Value::StringValue(text)) }) = &points[0][0].value else { panic!() };
        assert_eq!(text.chars().count(), CHARACTERS_MAX);
    }

    #[test]
    fn labels_that_are_too_many_leave_a_digest_that_tells_series_apart() {
        let mut other = labels(60);
        other[59] = label("key 59".to_owned(), "another".to_owned());
        let (body, changed) = fit(Signal::Metrics, request(labels(120), vec![labels(60), other, labels(50)]));
        assert_eq!(changed, 21 + 11 + 11);
        let (resource, points) = read(body);
        assert_eq!((resource.len(), points[0].len(), points[1].len(), points[2].len()), (100, 50, 50, 50));
        assert_eq!(points[0][..49], points[1][..49]);
        assert_ne!(points[0][49], points[1][49]);
        assert_eq!(points[0][49].key, DIGEST);
    }

    proptest! {
        #[test]
        fn whatever_comes_fits_afterwards(resource in 0_usize..300, point in 0_usize..300, text in ".{0,1500}") {
            let mut long = labels(point);
            long.push(label("text".to_owned(), text));
            let (resource, points) = read(fit(Signal::Metrics, request(labels(resource), vec![long])).0);
            prop_assert!(resource.len() + points[0].len() <= LABELS_MAX);
            for label in resource.iter().chain(&points[0]) {
                let Some(AnyValue { value: Some(Value::StringValue(text)) }) = &label.value else { panic!() };
                prop_assert!(text.chars().count() <= CHARACTERS_MAX);
            }
        }

        #[test]
        fn no_bytes_are_a_panic(body: Vec<u8>) {
            let _fitted = fit(Signal::Metrics, body.into());
        }
    }
}
