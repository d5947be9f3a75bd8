//! Requests with every kind of field, for the tests of this crate.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, EntityRef, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric,
    NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint, exemplar, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;
use wattline_core::Signal;

pub(crate) fn any(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

pub(crate) fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(any(value)), ..Default::default() }
}

pub(crate) fn text(value: &str) -> Value {
    Value::StringValue(value.to_owned())
}

fn attributes() -> Vec<KeyValue> {
    vec![
        attribute("text", text("grüße")),
        attribute("true", Value::BoolValue(true)),
        attribute("integer", Value::IntValue(-5)),
        attribute("large", Value::IntValue(i64::MAX)),
        attribute("double", Value::DoubleValue(0.25)),
        attribute("bytes", Value::BytesValue(vec![0, 1, 254])),
        attribute("array", Value::ArrayValue(ArrayValue { values: vec![any(text("a")), any(Value::IntValue(0))] })),
        attribute("list", Value::KvlistValue(KeyValueList { values: vec![attribute("inner", text(""))] })),
        KeyValue { key: "empty".to_owned(), value: Some(AnyValue { value: None }), ..Default::default() },
    ]
}

fn resource() -> Resource {
    Resource {
        attributes: vec![attribute("service.name", text("shop"))],
        dropped_attributes_count: 1,
        entity_refs: vec![EntityRef {
            schema_url: "https://example.com".to_owned(),
            r#type: "service".to_owned(),
            id_keys: vec!["service.name".to_owned()],
            description_keys: vec!["service.version".to_owned()],
        }],
    }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "scope".to_owned(),
        version: "1.2".to_owned(),
        attributes: vec![attribute("scope", text("yes"))],
        dropped_attributes_count: 2,
    }
}

pub(crate) fn traces() -> ExportTraceServiceRequest {
    let child = Span {
        trace_id: (1..17).collect(),
        span_id: vec![0xab; 8],
        parent_span_id: vec![2; 8],
        trace_state: "ot=th:8".to_owned(),
        flags: 0x101,
        name: "chat model".to_owned(),
        kind: 3,
        start_time_unix_nano: 1_700_000_000_000_000_001,
        end_time_unix_nano: 1_700_000_001_000_000_000,
        attributes: attributes(),
        dropped_attributes_count: 3,
        events: vec![Event {
            time_unix_nano: 5,
            name: "event".to_owned(),
            attributes: attributes(),
            dropped_attributes_count: 1,
        }],
        dropped_events_count: 4,
        links: vec![Link {
            trace_id: vec![3; 16],
            span_id: vec![4; 8],
            trace_state: "a=b".to_owned(),
            attributes: attributes(),
            dropped_attributes_count: 1,
            flags: 1,
        }],
        dropped_links_count: 5,
        status: Some(Status { message: "bad".to_owned(), code: 2 }),
    };
    let root = Span { span_id: vec![2; 8], name: "root".to_owned(), ..Default::default() };
    let scope_spans = vec![ScopeSpans {
        scope: Some(scope()),
        spans: vec![child, root],
        schema_url: "https://example.com".to_owned(),
    }];
    let resource_spans =
        vec![ResourceSpans { resource: Some(resource()), scope_spans, schema_url: "https://example.com".to_owned() }];
    ExportTraceServiceRequest { resource_spans }
}

pub(crate) fn logs() -> ExportLogsServiceRequest {
    let record = LogRecord {
        time_unix_nano: 1,
        observed_time_unix_nano: 2,
        severity_number: 9,
        severity_text: "INFO".to_owned(),
        body: Some(any(text("hello"))),
        attributes: attributes(),
        dropped_attributes_count: 1,
        flags: 1,
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        event_name: "event".to_owned(),
    };
    let scope_logs = vec![ScopeLogs { scope: Some(scope()), log_records: vec![record], schema_url: String::new() }];
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs { resource: Some(resource()), scope_logs, schema_url: String::new() }],
    }
}

pub(crate) fn metrics() -> ExportMetricsServiceRequest {
    let exemplar = |value| Exemplar {
        filtered_attributes: attributes(),
        time_unix_nano: 1,
        span_id: vec![1; 8],
        trace_id: vec![2; 16],
        value: Some(value),
    };
    let number = |value| NumberDataPoint {
        attributes: attributes(),
        start_time_unix_nano: 1,
        time_unix_nano: 2,
        exemplars: vec![exemplar(exemplar::Value::AsInt(-1)), exemplar(exemplar::Value::AsDouble(0.5))],
        flags: 1,
        value: Some(value),
    };
    let metric = |name: &str, data| Metric {
        name: name.to_owned(),
        description: "words".to_owned(),
        unit: "J".to_owned(),
        metadata: attributes(),
        data: Some(data),
    };
    let metrics = vec![
        metric("gauge", Data::Gauge(Gauge { data_points: vec![number(number_data_point::Value::AsInt(0))] })),
        metric(
            "sum",
            Data::Sum(Sum {
                data_points: vec![number(number_data_point::Value::AsDouble(1.5))],
                aggregation_temporality: 2,
                is_monotonic: true,
            }),
        ),
        metric(
            "histogram",
            Data::Histogram(Histogram { data_points: vec![histogram_point()], aggregation_temporality: 1 }),
        ),
        metric(
            "exponential",
            Data::ExponentialHistogram(ExponentialHistogram {
                data_points: vec![exponential_point()],
                aggregation_temporality: 2,
            }),
        ),
        metric("summary", Data::Summary(Summary { data_points: vec![summary_point()] })),
    ];
    let scope_metrics = vec![ScopeMetrics { scope: Some(scope()), metrics, schema_url: String::new() }];
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(resource()),
            scope_metrics,
            schema_url: String::new(),
        }],
    }
}

fn histogram_point() -> HistogramDataPoint {
    HistogramDataPoint {
        start_time_unix_nano: 1,
        time_unix_nano: 2,
        count: 3,
        sum: Some(4.5),
        bucket_counts: vec![1, 0, 2],
        explicit_bounds: vec![0.5, 10.0],
        flags: 1,
        min: Some(0.0),
        max: Some(20.0),
        ..Default::default()
    }
}

fn exponential_point() -> ExponentialHistogramDataPoint {
    ExponentialHistogramDataPoint {
        start_time_unix_nano: 1,
        time_unix_nano: 2,
        count: 3,
        sum: Some(4.5),
        scale: -3,
        zero_count: 1,
        positive: Some(Buckets { offset: -7, bucket_counts: vec![1, 300] }),
        negative: Some(Buckets { offset: 2, bucket_counts: vec![] }),
        zero_threshold: 0.001,
        ..Default::default()
    }
}

fn summary_point() -> SummaryDataPoint {
    let quantile_values = vec![ValueAtQuantile { quantile: 0.5, value: 7.0 }];
    SummaryDataPoint { time_unix_nano: 2, count: 3, sum: 9.0, quantile_values, ..Default::default() }
}

/// A sample request of `signal`, encoded.
pub(crate) fn encoded(signal: Signal) -> Vec<u8> {
    match signal {
        Signal::Traces => traces().encode_to_vec(),
        Signal::Metrics => metrics().encode_to_vec(),
        Signal::Logs => logs().encode_to_vec(),
    }
}

/// A request with one span whose attribute is `depth` arrays inside one another.
pub(crate) fn nested_arrays(depth: usize) -> Vec<u8> {
    let mut value = any(text("deep"));
    for _ in 0..depth {
        value = any(Value::ArrayValue(ArrayValue { values: vec![value] }));
    }
    let attributes = vec![KeyValue { key: "deep".to_owned(), value: Some(value), ..Default::default() }];
    let spans = vec![Span { attributes, ..Default::default() }];
    let scope_spans = vec![ScopeSpans { spans, ..Default::default() }];
    ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { scope_spans, ..Default::default() }] }
        .encode_to_vec()
}
