use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::samples;
use crate::schema::{Limits, check};

const LIMIT: usize = 1 << 20;
const LIMITS: Limits = Limits { attributes: 100 };

fn traces(json: &str) -> Result<ExportTraceServiceRequest, JsonError> {
    to_protobuf(Signal::Traces, json.as_bytes(), LIMIT)
        .map(|bytes| ExportTraceServiceRequest::decode(bytes.as_slice()).unwrap())
}

/// The value of the only attribute of the only span.
fn value(json: &str) -> Result<Option<Value>, JsonError> {
    let json = format!(
        r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"attributes":[{{"key":"k","value":{json}}}]}}]}}]}}]}}"#
    );
    let mut request = traces(&json)?;
    let mut span = request.resource_spans.remove(0).scope_spans.remove(0).spans.remove(0);
    Ok(span.attributes.remove(0).value.unwrap().value)
}

#[test]
fn what_the_crate_of_the_protocol_writes_is_read_back() {
    let request = samples::traces();
    let json = serde_json::to_vec(&request).unwrap();
    let bytes = to_protobuf(Signal::Traces, &json, LIMIT).unwrap();
    assert_eq!(ExportTraceServiceRequest::decode(bytes.as_slice()).unwrap(), request);

    let request = samples::logs();
    let json = serde_json::to_vec(&request).unwrap();
    let bytes = to_protobuf(Signal::Logs, &json, LIMIT).unwrap();
    assert_eq!(ExportLogsServiceRequest::decode(bytes.as_slice()).unwrap(), request);

    let request = samples::metrics();
    let json = serde_json::to_vec(&request).unwrap();
    let bytes = to_protobuf(Signal::Metrics, &json, LIMIT).unwrap();
    assert_eq!(ExportMetricsServiceRequest::decode(bytes.as_slice()).unwrap(), request);
}

#[test]
fn integers_may_be_numbers_or_texts() {
    assert_eq!(value(r#"{"intValue":"-42"}"#).unwrap(), Some(Value::IntValue(-42)));
    assert_eq!(value(r#"{"intValue":-42}"#).unwrap(), Some(Value::IntValue(-42)));
    assert_eq!(value(r#"{"intValue":1e3}"#).unwrap(), Some(Value::IntValue(1000)));
    assert_eq!(value(r#"{"intValue":"9223372036854775807"}"#).unwrap(), Some(Value::IntValue(i64::MAX)));
    assert!(value(r#"{"intValue":"9223372036854775808"}"#).is_err());
    assert!(value(r#"{"intValue":0.5}"#).is_err());
    assert_eq!(value(r#"{"doubleValue":3}"#).unwrap(), Some(Value::DoubleValue(3.0)));
    assert_eq!(value(r#"{"doubleValue":"Infinity"}"#).unwrap(), Some(Value::DoubleValue(f64::INFINITY)));
}

#[test]
fn unknown_names_and_nulls_are_ignored_everywhere() {
    assert_eq!(
        value(r#"{"newValue":{"deep":[1,{}]},"stringValue":"x"}"#).unwrap(),
        Some(Value::StringValue("x".into()))
    );
    assert_eq!(value(r#"{"newValue":1}"#).unwrap(), None);
    assert_eq!(value(r#"{"stringValue":null}"#).unwrap(), None);
    let request = traces(r#"{"new":[],"resourceSpans":[{"resource":null,"scopeSpans":[{"spans":[{"other":{}}]}]}]}"#);
    assert_eq!(request.unwrap().resource_spans[0].scope_spans[0].spans.len(), 1);
}

#[test]
fn empty_texts_and_zeros_stay_values() {
    assert_eq!(value(r#"{"stringValue":""}"#).unwrap(), Some(Value::StringValue(String::new())));
    assert_eq!(value(r#"{"intValue":0}"#).unwrap(), Some(Value::IntValue(0)));
    assert_eq!(value(r#"{"boolValue":false}"#).unwrap(), Some(Value::BoolValue(false)));
}

#[test]
fn ids_are_hexadecimal_of_either_case() {
    let span = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"5B8EFFF798038103D269b633813fc60c","spanId":"","kind":"SPAN_KIND_CLIENT"}]}]}]}"#;
    let request = traces(span).unwrap();
    let span = &request.resource_spans[0].scope_spans[0].spans[0];
    assert_eq!(span.trace_id[..4], [0x5b, 0x8e, 0xff, 0xf7]);
    assert_eq!((span.span_id.len(), span.kind), (0, 3));
    for bad in ["5B8", "5g", "+5", "5ü"] {
        assert!(
            traces(&format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"spanId":"{bad}"}}]}}]}}]}}"#)).is_err()
        );
    }
}

#[test]
fn bytes_are_base64_of_either_alphabet() {
    for text in ["-_8=", "+/8=", "+/8"] {
        let value = value(&format!(r#"{{"bytesValue":"{text}"}}"#)).unwrap();
        assert_eq!(value, Some(Value::BytesValue(vec![0xfb, 0xff])), "{text}");
    }
    assert!(value(r#"{"bytesValue":"?"}"#).is_err());
}

#[test]
fn what_is_no_request_is_refused() {
    for json in ["", "null", "[]", "1", "{", "{}x", r#"{"resourceSpans":{}}"#, r#"{"resourceSpans":[1]}"#, "\u{feff}{}"]
    {
        assert!(traces(json).is_err(), "{json}");
    }
    assert_eq!(traces(" {} ").unwrap(), ExportTraceServiceRequest::default());
}

#[test]
fn depth_is_limited() {
    // What is not known is skipped without recursion, however deep it is.
    let unknown = format!("{}1{}", r#"{"a":["#.repeat(100_000), "]}".repeat(100_000));
    assert_eq!(traces(&unknown).unwrap(), ExportTraceServiceRequest::default());
    let known = format!("{}{{}}{}", r#"{"arrayValue":{"values":["#.repeat(1000), "]}}".repeat(1000));
    assert!(matches!(value(&known), Err(JsonError::Invalid(_))));
}

#[test]
fn the_size_as_protobuf_is_limited() {
    // Two bytes of JSON become nine of protobuf here.
    let zeros = "0,".repeat(1000);
    let json = format!(
        r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"histogram":{{"dataPoints":[{{"bucketCounts":[{zeros}0]}}]}}}}]}}]}}]}}"#
    );
    let bytes = to_protobuf(Signal::Metrics, json.as_bytes(), LIMIT).unwrap();
    assert!(bytes.len() > 9000);
    let refused = to_protobuf(Signal::Metrics, json.as_bytes(), 5000);
    assert!(matches!(refused, Err(JsonError::TooLarge { limit: 5000 })), "{refused:?}");
}

/// Messages without fields, and the lengths of those around, were once not counted.
#[test]
fn a_limit_holds_to_the_byte() {
    let empty = format!(r#"{{"resourceSpans":[{}{{}}]}}"#, "{},".repeat(500));
    for json in [empty.as_str(), r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"a"}]}]}]}"#] {
        let length = to_protobuf(Signal::Traces, json.as_bytes(), LIMIT).unwrap().len();
        assert!(to_protobuf(Signal::Traces, json.as_bytes(), length).is_ok());
        let refused = to_protobuf(Signal::Traces, json.as_bytes(), length - 1);
        assert!(matches!(refused, Err(JsonError::TooLarge { .. })), "{refused:?}");
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_and_what_is_read_is_well_formed(
        pieces in prop::collection::vec(prop_oneof![
            Just("{"), Just("}"), Just("["), Just("]"), Just(":"), Just(","), Just("\"resourceSpans\""), Just("null"),
            Just("\"scopeSpans\""), Just("\"spans\""), Just("\"attributes\""), Just("\"value\""), Just("-1"), Just("2.5"),
            Just("\"key\""), Just("true"), Just("\"intValue\""), Just("\"arrayValue\""), Just("\"kind\""),
        ], 0..30)
    ) {
        let json = pieces.concat();
        if let Ok(bytes) = to_protobuf(Signal::Traces, json.as_bytes(), LIMIT) {
            prop_assert_eq!(check(Signal::Traces, &bytes, LIMITS).err(), None);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _result = to_protobuf(Signal::Logs, &bytes, LIMIT);
    }

    #[test]
    fn a_damaged_request_is_read_or_refused(index in any::<prop::sample::Index>(), byte: u8) {
        let mut json = serde_json::to_vec(&samples::metrics()).unwrap();
        let index = index.index(json.len());
        json[index] = byte;
        if let Ok(bytes) = to_protobuf(Signal::Metrics, &json, LIMIT) {
            prop_assert_eq!(check(Signal::Metrics, &bytes, LIMITS).err(), None);
        }
    }
}
