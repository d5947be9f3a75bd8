//! OTLP in JSON, as the specification writes it.

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use wattline_core::Signal;
use wattline_export_delivery::Compression;
use wattline_export_otlp::{Config, Protocol};

use crate::rig::{Rig, config, counts, logs, spans};
use crate::web::{OK, Reply, Web};

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
}

#[tokio::test]
async fn ids_are_hexadecimal_and_wide_integers_are_texts() {
    let mut web = Web::start(|_| OK).await;
    let span = Span {
        trace_id: (0..16).map(|byte| byte * 16 + 10).collect(),
        span_id: vec![0xAB; 8],
        name: "chat".to_owned(),
        kind: 3,
        start_time_unix_nano: u64::MAX,
        attributes: vec![
            attribute("tokens", Value::IntValue(i64::MIN)),
            attribute("raw", Value::BytesValue(vec![1, 2, 255])),
            attribute("list", Value::ArrayValue(ArrayValue { values: vec![AnyValue { value: None }] })),
        ],
        ..Default::default()
    };
    let scopes = vec![ScopeSpans { spans: vec![span], ..Default::default() }];
    let request =
        ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { scope_spans: scopes, ..Default::default() }] };
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let rig = Rig::start(Config { protocol: Protocol::Json, compression, ..config(web.url()) });
        rig.relay(Signal::Traces, &Bytes::from(request.encode_to_vec()), 1);
        let seen = web.seen().await;
        assert_eq!((seen.header("content-type"), seen.uri.path()), ("application/json", "/v1/traces"));
        let json: serde_json::Value = serde_json::from_slice(&seen.body).unwrap();
        let span = &json["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
        assert_eq!(span["traceId"], "0a1a2a3a4a5a6a7a8a9aaabacadaeafa");
        assert_eq!(span["spanId"], "abababababababab");
        assert_eq!(span["kind"], 3);
        assert_eq!(span["startTimeUnixNano"], "18446744073709551615");
        assert_eq!(span["attributes"][0]["value"]["intValue"], "-9223372036854775808");
        assert_eq!(span["attributes"][1]["value"]["bytesValue"], "AQL/");
        assert_eq!(rig.finish().await, counts(&[("exported traces", 1)]));
    }
}

#[tokio::test]
async fn what_an_answer_in_json_rejects_is_counted() {
    let web = Web::start(|_| {
        let body = br#"{"partialSuccess":{"rejectedSpans":"2","errorMessage":"too old"}}"#.to_vec();
        Reply::Answer(200, &[("content-type", "application/json; charset=utf-8")], body)
    })
    .await;
    let rig = Rig::start(Config { protocol: Protocol::Json, ..config(web.url()) });
    rig.relay(Signal::Traces, &spans(5), 5);
    rig.told("too old").await;
    assert_eq!(rig.finish().await, counts(&[("exported traces", 3), ("partial_rejection traces", 2)]));
}

#[tokio::test]
async fn what_cannot_be_told_in_json_is_counted() {
    let mut web = Web::start(|_| OK).await;
    let rig = Rig::start(Config { protocol: Protocol::Json, ..config(web.url()) });
    rig.relay(Signal::Traces, &Bytes::from_static(b"\x0a\xff"), 3);
    assert_eq!(rig.finish().await, counts(&[("encoding traces", 3)]));
    assert_eq!(web.rest().len(), 0);
}

#[tokio::test]
async fn a_request_that_is_too_large_in_json_is_cut_before_it_is_sent() {
    const BYTES_MAX: usize = 1_000_000;
    let mut web = Web::start(|_| OK).await;
    let rig = Rig::start(Config { protocol: Protocol::Json, max_bytes: BYTES_MAX, ..config(web.url()) });
    // Records that are nearly empty grow most.
    rig.relay(Signal::Logs, &logs(50_000), 50_000);
    assert_eq!(rig.finish().await, counts(&[("exported logs", 50_000)]));
    let sizes: Vec<usize> = web.rest().iter().map(|seen| seen.body.len()).collect();
    assert!(sizes.len() > 1 && sizes.iter().all(|&bytes| bytes <= BYTES_MAX), "{sizes:?}");
}
