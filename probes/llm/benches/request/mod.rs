//! A request of 512 spans of calls of about 600 bytes each, as an application with one instrumentation sends them.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;

/// Spans in the request.
pub(crate) const SPANS: u64 = 512;

fn any(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(any(value)), ..Default::default() }
}

fn text(text: &str) -> Value {
    Value::StringValue(text.to_owned())
}

/// Of whom a call is.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    pub(crate) provider: &'static str,
    /// The model that is asked for, and the one that answers.
    pub(crate) model: [&'static str; 2],
    pub(crate) address: &'static str,
}

const OPENAI: Kind =
    Kind { provider: "openai", model: ["gpt-5-mini", "gpt-5-mini-2025-08-07"], address: "api.openai.com" };

fn span(index: u64, Kind { provider, model: [asked, answered], address }: Kind) -> Span {
    let count = i64::try_from(index).unwrap_or_default();
    let attributes = vec![
        attribute("gen_ai.operation.name", text("chat")),
        attribute("gen_ai.provider.name", text(provider)),
        attribute("gen_ai.request.model", text(asked)),
        attribute("gen_ai.response.model", text(answered)),
        attribute("gen_ai.response.id", Value::StringValue(format!("chatcmpl-{index:024}"))),
        attribute("gen_ai.response.finish_reasons", Value::ArrayValue(ArrayValue { values: vec![any(text("stop"))] })),
        attribute("gen_ai.usage.input_tokens", Value::IntValue(1000 + count)),
        attribute("gen_ai.usage.output_tokens", Value::IntValue(100 + count)),
        attribute("gen_ai.usage.cache_read.input_tokens", Value::IntValue(count)),
        attribute("gen_ai.request.max_tokens", Value::IntValue(4096)),
        attribute("gen_ai.request.temperature", Value::DoubleValue(0.7)),
        attribute("gen_ai.conversation.id", text("conv_5j66UpCpwteGg4YSxUnt7lPY")),
        attribute("server.address", text(address)),
        attribute("server.port", Value::IntValue(443)),
    ];
    Span {
        trace_id: u128::from(index / 4 + 1).to_be_bytes().to_vec(),
        span_id: (index + 1).to_be_bytes().to_vec(),
        parent_span_id: (u64::MAX - index).to_be_bytes().to_vec(),
        name: format!("chat {asked}"),
        kind: 3,
        start_time_unix_nano: 1_760_000_000_000_000_000 + index,
        end_time_unix_nano: 1_760_000_002_000_000_000 + index,
        attributes,
        flags: 1,
        status: Some(Status::default()),
        ..Default::default()
    }
}

/// The request, encoded.
pub(crate) fn request() -> Vec<u8> {
    request_of("shop", |_index| OPENAI)
}

/// A request of a service, whose calls are of the kinds given.
pub(crate) fn request_of(service: &str, kind: impl Fn(u64) -> Kind) -> Vec<u8> {
    let resource = Resource {
        attributes: vec![
            attribute("service.name", text(service)),
            attribute("service.version", text("1.2.3")),
            attribute("telemetry.sdk.name", text("opentelemetry")),
            attribute("telemetry.sdk.language", text("python")),
        ],
        ..Default::default()
    };
    let scope = InstrumentationScope { name: "opentelemetry.instrumentation.openai".to_owned(), ..Default::default() };
    let spans = (0..SPANS).map(|index| span(index, kind(index))).collect();
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, ..Default::default() }];
    let resource_spans = vec![ResourceSpans { resource: Some(resource), scope_spans, ..Default::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}
