//! Cutting an encoded export request in two without decoding it.
//!
//! A request is a tree of length-prefixed messages: resources, scopes, and in them the spans, the log records, or
//! the metrics with their points. A cut goes between two siblings at the highest level that has two. Both halves
//! carry everything else (the resource, the scope, the metric's name and temporality) byte for byte, fields unknown
//! to us included.

use bytes::Bytes;
use wattline_core::Signal;

/// One level of the tree: the numbers of the fields that lead down. The kinds of data of a metric are five fields
/// of which one is set: gauge, sum, histogram, exponential histogram, summary.
type Level = &'static [u32];

/// opentelemetry/proto/{trace,logs}/v1: resource, scope, span or record.
const RECORDS: &[Level] = &[&[1], &[2], &[2]];
/// opentelemetry/proto/metrics/v1: resource, scope, metric, kind of data, point.
const POINTS: &[Level] = &[&[1], &[2], &[2], &[5, 7, 9, 10, 11], &[1]];

const fn levels(signal: Signal) -> &'static [Level] {
    match signal {
        Signal::Metrics => POINTS,
        Signal::Traces | Signal::Logs => RECORDS,
    }
}

/// One half of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Half {
    /// An export request of its own.
    pub body: Bytes,
    /// Spans, log records or points in it.
    pub items: u64,
}

/// The two halves of an export request, of about equal size. `None` when it holds one item or cannot be read.
pub fn split(signal: Signal, body: &[u8]) -> Option<[Half; 2]> {
    let levels = levels(signal);
    let (first, second) = cut(body, levels)?;
    Some([first, second].map(|half| Half { items: count(&half, levels).unwrap_or_default(), body: half.into() }))
}

/// Spans, log records or points in an export request. `None` when it cannot be read.
pub fn items(signal: Signal, body: &[u8]) -> Option<u64> {
    count(body, levels(signal))
}

fn count(message: &[u8], levels: &[Level]) -> Option<u64> {
    let (level, below) = levels.split_first()?;
    let mut total = 0_u64;
    for field in Fields(message) {
        let field = field?;
        if let Some(payload) = field.leads(level) {
            total = total.saturating_add(if below.is_empty() { 1 } else { count(payload, below)? });
        }
    }
    Some(total)
}

fn cut(message: &[u8], levels: &[Level]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (level, below) = levels.split_first()?;
    let fields: Vec<Field<'_>> = Fields(message).collect::<Option<_>>()?;
    let (siblings, shared): (Vec<_>, Vec<_>) = fields.into_iter().partition(|field| field.leads(level).is_some());
    let mut first: Vec<u8> = shared.iter().flat_map(|field| field.whole).copied().collect();
    let mut second = first.clone();
    if let [only] = siblings.as_slice() {
        let (left, right) = cut(only.payload?, below)?;
        append(&mut first, only.number, &left);
        append(&mut second, only.number, &right);
        return Some((first, second));
    }
    let (last, others) = siblings.split_last()?;
    let half = siblings.iter().map(|sibling| sibling.whole.len()).sum::<usize>() / 2;
    let mut passed = 0_usize;
    for (position, sibling) in others.iter().enumerate() {
        // The first sibling always goes left and the last always right, however unequal they are.
        let side = if position == 0 || passed < half { &mut first } else { &mut second };
        passed = passed.saturating_add(sibling.whole.len());
        side.extend_from_slice(sibling.whole);
    }
    second.extend_from_slice(last.whole);
    Some((first, second))
}

fn append(out: &mut Vec<u8>, number: u32, payload: &[u8]) {
    prost::encoding::encode_key(number, prost::encoding::WireType::LengthDelimited, out);
    prost::encoding::encode_varint(payload.len() as u64, out);
    out.extend_from_slice(payload);
}

/// A field of a message as it stands in the bytes.
struct Field<'a> {
    number: u32,
    /// Key, length and value.
    whole: &'a [u8],
    /// The value of a length-prefixed field.
    payload: Option<&'a [u8]>,
}

impl<'a> Field<'a> {
    fn leads(&self, level: Level) -> Option<&'a [u8]> {
        self.payload.filter(|_| level.contains(&self.number))
    }
}

/// The fields of a message; an item is `None`, and the last, where the bytes cannot be read.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Option<Field<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = read_field(self.0);
        self.0 = field.as_ref().and_then(|field| self.0.get(field.whole.len()..)).unwrap_or_default();
        Some(field)
    }
}

fn read_field(bytes: &[u8]) -> Option<Field<'_>> {
    let mut rest = bytes;
    let key = prost::encoding::decode_varint(&mut rest).ok()?;
    let number = u32::try_from(key >> 3).ok()?;
    let (skipped, payload) = match key & 7 {
        0 => {
            prost::encoding::decode_varint(&mut rest).ok()?;
            (rest, None)
        }
        1 => (rest.get(8..)?, None),
        2 => {
            let length = usize::try_from(prost::encoding::decode_varint(&mut rest).ok()?).ok()?;
            let (payload, after) = rest.split_at_checked(length)?;
            (after, Some(payload))
        }
        5 => (rest.get(4..)?, None),
        // Groups have been out of use since before OTLP.
        _ => return None,
    };
    let whole = bytes.get(..bytes.len().checked_sub(skipped.len())?)?;
    Some(Field { number, whole, payload })
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
    use opentelemetry_proto::tonic::metrics::v1::metric::Data;
    use opentelemetry_proto::tonic::metrics::v1::{Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum};
    use opentelemetry_proto::tonic::resource::v1::Resource;
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
    use proptest::prelude::*;
    use prost::Message;

    use super::*;

    /// Resources of scopes of spans with these names.
    fn spans(tree: &[Vec<Vec<String>>]) -> ExportTraceServiceRequest {
        let span = |name: &String| Span { name: name.clone(), ..Default::default() };
        let scope = |(index, names): (usize, &Vec<String>)| ScopeSpans {
            scope: Some(InstrumentationScope { name: format!("scope {index}"), ..Default::default() }),
            spans: names.iter().map(span).collect(),
            schema_url: String::new(),
        };
        let resource = |(index, scopes): (usize, &Vec<Vec<String>>)| ResourceSpans {
            resource: Some(Resource { dropped_attributes_count: u32::try_from(index).unwrap(), ..Default::default() }),
            scope_spans: scopes.iter().enumerate().map(scope).collect(),
            schema_url: "https://example.org/schema".to_owned(),
        };
        ExportTraceServiceRequest { resource_spans: tree.iter().enumerate().map(resource).collect() }
    }

    /// Every span with all that stands above it.
    fn flat(
        request: &ExportTraceServiceRequest,
    ) -> Vec<(Option<Resource>, String, Option<InstrumentationScope>, String)> {
        let mut all = Vec::new();
        for resource in &request.resource_spans {
            for scope in &resource.scope_spans {
                for span in &scope.spans {
                    let above = (resource.resource.clone(), resource.schema_url.clone(), scope.scope.clone());
                    all.push((above.0, above.1, above.2, span.name.clone()));
                }
            }
        }
        all
    }

    proptest! {
        #[test]
        fn halves_hold_the_spans_of_the_whole_in_order(tree in prop::collection::vec(
            prop::collection::vec(prop::collection::vec("[a-z]{0,40}", 0..4), 0..3), 0..4)) {
            let whole = spans(&tree);
            let body = whole.encode_to_vec();
            let total = flat(&whole).len() as u64;
            prop_assert_eq!(items(Signal::Traces, &body), Some(total));
            if let Some([first, second]) = split(Signal::Traces, &body) {
                let left = ExportTraceServiceRequest::decode(first.body.clone()).unwrap();
                let right = ExportTraceServiceRequest::decode(second.body.clone()).unwrap();
                let mut joined = flat(&left);
                joined.extend(flat(&right));
                prop_assert_eq!(joined, flat(&whole));
                prop_assert_eq!(first.items + second.items, total);
                prop_assert!(first.body.len() < body.len() && second.body.len() < body.len(), "halving ends");
            } else {
                prop_assert!(total <= 1);
            }
        }

        #[test]
        fn arbitrary_bytes_are_never_a_panic(body: Vec<u8>) {
            for signal in [Signal::Metrics, Signal::Traces, Signal::Logs] {
                let _halves = split(signal, &body);
                let _items = items(signal, &body);
            }
        }
    }

    #[test]
    fn points_of_one_metric_are_cut_and_keep_name_and_temporality() {
        let point = |time_unix_nano| NumberDataPoint { time_unix_nano, ..Default::default() };
        let sum = Sum { data_points: (1..=5).map(point).collect(), aggregation_temporality: 2, is_monotonic: true };
        let metric = Metric { name: "hw.energy".to_owned(), data: Some(Data::Sum(sum)), ..Default::default() };
        let scopes = vec![ScopeMetrics { metrics: vec![metric], ..Default::default() }];
        let resource = ResourceMetrics { scope_metrics: scopes, ..Default::default() };
        let body = ExportMetricsServiceRequest { resource_metrics: vec![resource] }.encode_to_vec();

        let halves = split(Signal::Metrics, &body).unwrap();
        assert_eq!(halves.iter().map(|half| half.items).sum::<u64>(), 5);
        let mut times = Vec::new();
        for half in halves {
            let request = ExportMetricsServiceRequest::decode(half.body).unwrap();
            let metric = &request.resource_metrics[0].scope_metrics[0].metrics[0];
            assert_eq!(metric.name, "hw.energy");
            let Some(Data::Sum(sum)) = &metric.data else { panic!("not a sum") };
            assert!(sum.is_monotonic && sum.aggregation_temporality == 2);
            times.extend(sum.data_points.iter().map(|point| point.time_unix_nano));
        }
        assert_eq!(times, [1, 2, 3, 4, 5]);
    }

    #[test]
    fn one_span_cannot_be_cut() {
        let body = spans(&[vec![vec!["alone".to_owned()]]]).encode_to_vec();
        assert_eq!(split(Signal::Traces, &body), None);
    }
}
