use std::fmt::Write as _;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{ArrayValue, InstrumentationScope, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1 as proto;
use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::protobuf::put_bytes;
use crate::samples;

macro_rules! push {
    ($told:ident, $($words:tt)*) => { write!($told, $($words)*).unwrap() };
}

/// Reads everything there is and says it in one text, as [`theirs`] does with prost's structs.
fn ours(request: &[u8]) -> Result<String, Error> {
    let mut told = String::new();
    for resource in resource_spans(request) {
        let resource = resource?;
        push!(told, "resource {}\n", tell(resource.attributes())?);
        for scope in resource.scopes() {
            let scope = scope?;
            push!(told, " scope {:?} {:?}\n", scope.name, scope.version);
            for span in scope.spans() {
                let span = span?;
                let Span { trace_id, span_id, parent_span_id, trace_state, name, kind, failed, event_count, .. } = span;
                push!(told, "  span {trace_id:?} {span_id:?} {parent_span_id:?} {trace_state:?} {name:?} {kind:?}");
                push!(told, " {} {} {failed} {event_count}", span.start_unix_nanos, span.end_unix_nanos);
                push!(told, " {}\n", tell(span.attributes())?);
            }
        }
    }
    Ok(told)
}

fn tell(attributes: Attributes<'_>) -> Result<String, Error> {
    let mut told = String::new();
    for attribute in attributes {
        let attribute = attribute?;
        push!(told, "{}={} ", attribute.key, tell_value(attribute.value()?)?);
    }
    Ok(told)
}

fn tell_value(value: AnyValue<'_>) -> Result<String, Error> {
    Ok(match value {
        AnyValue::Empty => "empty".to_owned(),
        AnyValue::Text(text) => format!("{text:?}"),
        AnyValue::Bool(value) => value.to_string(),
        AnyValue::Int(value) => value.to_string(),
        AnyValue::Double(value) => format!("{value:?}"),
        AnyValue::Bytes(bytes) => format!("{bytes:?}"),
        AnyValue::Array(array) => {
            let values: Result<Vec<_>, _> = array.values().map(|value| tell_value(value?)).collect();
            format!("[{}]", values?.join(","))
        }
        AnyValue::KeyValues(attributes) => format!("{{{}}}", tell(attributes)?),
    })
}

fn theirs(request: &ExportTraceServiceRequest) -> String {
    let mut told = String::new();
    for resource in &request.resource_spans {
        let attributes = resource.resource.as_ref().map(|resource| resource.attributes.as_slice());
        push!(told, "resource {}\n", tell_theirs(attributes.unwrap_or_default()));
        for scope in &resource.scope_spans {
            let InstrumentationScope { name, version, .. } = scope.scope.clone().unwrap_or_default();
            push!(told, " scope {name:?} {version:?}\n");
            for span in &scope.spans {
                let failed = span.status.as_ref().is_some_and(|status| status.code == 2);
                let kind = kind(u64::try_from(span.kind).unwrap());
                push!(told, "  span {:?} {:?} {:?} ", span.trace_id, span.span_id, span.parent_span_id);
                push!(told, "{:?} {:?} {kind:?} ", span.trace_state, span.name);
                push!(told, "{} {} ", span.start_time_unix_nano, span.end_time_unix_nano);
                push!(told, "{failed} {} {}\n", span.events.len(), tell_theirs(&span.attributes));
            }
        }
    }
    told
}

fn tell_theirs(attributes: &[KeyValue]) -> String {
    let tell = |attribute: &KeyValue| {
        format!("{}={} ", attribute.key, tell_their_value(attribute.value.as_ref().and_then(|v| v.value.as_ref())))
    };
    attributes.iter().map(tell).collect()
}

fn tell_their_value(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::StringValueStrindex(_)) => "empty".to_owned(),
        Some(Value::StringValue(text)) => format!("{text:?}"),
        Some(Value::BoolValue(value)) => value.to_string(),
        Some(Value::IntValue(value)) => value.to_string(),
        Some(Value::DoubleValue(value)) => format!("{value:?}"),
        Some(Value::BytesValue(bytes)) => format!("{bytes:?}"),
        Some(Value::ArrayValue(ArrayValue { values })) => {
            let values: Vec<_> = values.iter().map(|value| tell_their_value(value.value.as_ref())).collect();
            format!("[{}]", values.join(","))
        }
        Some(Value::KvlistValue(KeyValueList { values })) => format!("{{{}}}", tell_theirs(values)),
    }
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        ".{0,20}".prop_map(Value::StringValue),
        any::<bool>().prop_map(Value::BoolValue),
        any::<i64>().prop_map(Value::IntValue),
        any::<f64>().prop_map(Value::DoubleValue),
        prop::collection::vec(any::<u8>(), 0..9).prop_map(Value::BytesValue),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|values| {
                Value::ArrayValue(ArrayValue { values: values.into_iter().map(samples::any).collect() })
            }),
            prop::collection::vec(("[a-z]{0,5}", inner), 0..4).prop_map(|values| {
                let values = values.into_iter().map(|(key, value)| samples::attribute(&key, value)).collect();
                Value::KvlistValue(KeyValueList { values })
            }),
        ]
    })
}

prop_compose! {
    fn attributes()(pairs in prop::collection::vec(("[a-z._]{0,12}", values()), 0..6)) -> Vec<KeyValue> {
        pairs.into_iter().map(|(key, value)| samples::attribute(&key, value)).collect()
    }
}

prop_compose! {
    fn spans()(
        trace_id in prop::collection::vec(any::<u8>(), 0..17),
        span_id in prop::collection::vec(any::<u8>(), 0..9),
        name in ".{0,10}",
        kind in 0..7,
        times: (u64, u64),
        attributes in attributes(),
        status in prop::option::of((".{0,5}", 0..4)),
        events in 0usize..3,
    ) -> proto::Span {
        proto::Span {
            trace_id,
            span_id: span_id.clone(),
            parent_span_id: span_id,
            trace_state: name.clone(),
            name,
            kind,
            start_time_unix_nano: times.0,
            end_time_unix_nano: times.1,
            attributes,
            status: status.map(|(message, code)| proto::Status { message, code }),
            events: vec![proto::span::Event::default(); events],
            ..Default::default()
        }
    }
}

prop_compose! {
    fn requests()(
        groups in prop::collection::vec((attributes(), prop::collection::vec(("[a-z]{0,4}", prop::collection::vec(spans(), 0..4)), 0..3)), 0..3)
    ) -> ExportTraceServiceRequest {
        let resource_spans = groups.into_iter().map(|(attributes, scopes)| proto::ResourceSpans {
            resource: Some(Resource { attributes, ..Default::default() }),
            scope_spans: scopes.into_iter().map(|(name, spans)| proto::ScopeSpans {
                scope: Some(InstrumentationScope { version: name.clone(), name, ..Default::default() }),
                spans,
                ..Default::default()
            }).collect(),
            ..Default::default()
        }).collect();
        ExportTraceServiceRequest { resource_spans }
    }
}

#[test]
fn a_request_with_every_field_is_read_as_prost_reads_it() {
    let request = samples::traces();
    let told = ours(&request.encode_to_vec()).unwrap();
    assert_eq!(told, theirs(&request));
    assert!(told.contains("grüße") && told.contains("Client 1700000000000000001"), "{told}");
}

#[test]
fn a_resource_and_a_scope_behind_their_spans_are_found() {
    let request = samples::traces();
    let group = &request.resource_spans[0];
    let mut scope_spans = Vec::new();
    put_bytes(&mut scope_spans, 2, &group.scope_spans[0].spans[1].encode_to_vec());
    put_bytes(&mut scope_spans, 1, &group.scope_spans[0].scope.as_ref().unwrap().encode_to_vec());
    let mut resource_spans = Vec::new();
    put_bytes(&mut resource_spans, 2, &scope_spans);
    put_bytes(&mut resource_spans, 1, &group.resource.as_ref().unwrap().encode_to_vec());
    let mut bytes = Vec::new();
    put_bytes(&mut bytes, 1, &resource_spans);
    let told = ours(&bytes).unwrap();
    assert!(told.starts_with("resource service.name=\"shop\" \n scope \"scope\" \"1.2\"\n  span"), "{told}");
    assert_eq!(told, theirs(&ExportTraceServiceRequest::decode(bytes.as_slice()).unwrap()));
}

#[test]
fn a_broken_span_is_an_error_with_its_place() {
    let mut bytes = samples::traces().encode_to_vec();
    let last = bytes.len() - 1;
    bytes.truncate(last);
    assert_eq!(ours(&bytes).unwrap_err().offset, 3);
}

proptest! {
    #[test]
    fn any_request_is_read_as_prost_reads_it(request in requests()) {
        prop_assert_eq!(ours(&request.encode_to_vec()).unwrap(), theirs(&request));
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _told = ours(&bytes);
    }

    #[test]
    fn every_prefix_is_read_or_refused(cut in any::<prop::sample::Index>()) {
        let whole = samples::traces().encode_to_vec();
        let prefix = &whole[..cut.index(whole.len())];
        prop_assert!(ours(prefix).is_err() || prefix.is_empty());
    }
}
