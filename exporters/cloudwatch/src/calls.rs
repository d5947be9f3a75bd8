//! Each call of a language model, agent or tool as a log event of its own, without what was said.
//!
//! Members have the names and the nesting of the spans that `CloudWatch` keeps in `aws/spans`, so that queries of Logs
//! Insights for those find these too: `attributes.gen_ai.request.model`, `attributes.session.id`, `durationNano`,
//! `status.code`, `resource.attributes.aws.service.type`. Attributes that are not in [`ATTRIBUTES`] and
//! [`RESOURCE_ATTRIBUTES`], events and links are left out, and so are texts that are too long to be a name.
//!
//! Source: observability-best-practices of AWS, `ai/genai/guides`; OpenTelemetry semantic conventions 1.41 for `gen_ai`.

use std::fmt::Write as _;

use serde_json::{Map, Value as Json};
use wattline_wire::protobuf::Error;
use wattline_wire::trace::{AnyValue, Attribute, Span, SpanKind, resource_spans};

use crate::emf::Event;

/// What is told of a call.
pub const ATTRIBUTES: [&str; 37] = [
    "error.type",
    "gen_ai.agent.id",
    "gen_ai.agent.name",
    "gen_ai.agent.version",
    "gen_ai.conversation.id",
    "gen_ai.embeddings.dimension.count",
    "gen_ai.operation.name",
    "gen_ai.output.type",
    "gen_ai.provider.name",
    "gen_ai.request.choice.count",
    "gen_ai.request.max_tokens",
    "gen_ai.request.model",
    "gen_ai.request.stream",
    "gen_ai.request.temperature",
    "gen_ai.request.top_p",
    "gen_ai.response.finish_reasons",
    "gen_ai.response.id",
    "gen_ai.response.model",
    "gen_ai.response.time_to_first_chunk",
    "gen_ai.system",
    "gen_ai.tool.call.id",
    "gen_ai.tool.name",
    "gen_ai.tool.type",
    "gen_ai.usage.cache_creation.input_tokens",
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.cache_write.input_tokens",
    "gen_ai.usage.completion_tokens",
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.prompt_tokens",
    "gen_ai.usage.reasoning.output_tokens",
    "gen_ai.workflow.name",
    "http.response.status_code",
    "mcp.method.name",
    "server.address",
    "server.port",
    "session.id",
];

/// What is told of who called.
pub const RESOURCE_ATTRIBUTES: [&str; 16] = [
    "aws.service.type",
    "cloud.account.id",
    "cloud.availability_zone",
    "cloud.platform",
    "cloud.provider",
    "cloud.region",
    "cloud.resource_id",
    "deployment.environment.name",
    "host.id",
    "host.name",
    "k8s.cluster.name",
    "k8s.namespace.name",
    "k8s.pod.name",
    "service.name",
    "service.namespace",
    "service.version",
];

/// A span that has one of these is about a language model.
const MARKS: [&str; 3] = ["gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.system"];
/// Names and ids are shorter.
const TEXT_BYTES_MAX: usize = 256;

/// The calls among the spans of an export request, in the order of their ends.
pub fn events(request: &[u8]) -> Result<Vec<Event>, Error> {
    let mut events = Vec::new();
    for resource in resource_spans(request) {
        let resource = resource?;
        let of_resource = attributes(resource.attributes(), &RESOURCE_ATTRIBUTES)?;
        for scope in resource.scopes() {
            let scope = scope?;
            for span in scope.spans() {
                events.extend(event(&of_resource, scope.name, &span?)?);
            }
        }
    }
    events.sort_by_key(|event| event.at_ms);
    Ok(events)
}

fn event(resource: &Map<String, Json>, scope: &str, span: &Span<'_>) -> Result<Option<Event>, Error> {
    let attributes = attributes(span.attributes(), &ATTRIBUTES)?;
    if !MARKS.iter().any(|mark| attributes.contains_key(*mark)) {
        return Ok(None);
    }
    let mut resource = resource.clone();
    // What the console of `CloudWatch` asks for; a sender that says it itself is right.
    resource.entry("aws.service.type").or_insert_with(|| "gen_ai_agent".into());
    let mut members = Map::new();
    let mut put = |name: &str, value: Json| members.insert(name.to_owned(), value);
    put("resource", Json::from(Map::from_iter([("attributes".to_owned(), resource.into())])));
    put("scope", Json::from(Map::from_iter([("name".to_owned(), text(scope).unwrap_or_default())])));
    put("traceId", hex(span.trace_id).into());
    put("spanId", hex(span.span_id).into());
    if !span.parent_span_id.is_empty() {
        put("parentSpanId", hex(span.parent_span_id).into());
    }
    put("name", name(&attributes).into());
    put("kind", kind(span.kind).into());
    put("startTimeUnixNano", span.start_unix_nanos.into());
    put("endTimeUnixNano", span.end_unix_nanos.into());
    put("durationNano", span.end_unix_nanos.saturating_sub(span.start_unix_nanos).into());
    let status = if span.failed { "ERROR" } else { "OK" };
    put("status", Json::from(Map::from_iter([("code".to_owned(), status.into())])));
    put("attributes", attributes.into());
    let text = Json::from(members).to_string();
    Ok(Some(Event { at_ms: span.end_unix_nanos / 1_000_000, text, points: 1 }))
}

/// A span's own name may hold anything. This is what the conventions call it.
fn name(attributes: &Map<String, Json>) -> String {
    let text = |key: &str| attributes.get(key).and_then(Json::as_str);
    let operation = text("gen_ai.operation.name").unwrap_or("call");
    let of = ["gen_ai.request.model", "gen_ai.agent.name", "gen_ai.tool.name"].into_iter().find_map(text);
    of.map_or_else(|| operation.to_owned(), |of| format!("{operation} {of}"))
}

/// Those of the attributes that are `told`.
fn attributes<'a>(
    all: impl Iterator<Item = Result<Attribute<'a>, Error>>,
    told: &[&str],
) -> Result<Map<String, Json>, Error> {
    let mut attributes = Map::new();
    for attribute in all {
        let attribute = attribute?;
        if told.binary_search(&attribute.key).is_ok()
            && let Some(value) = plain(&attribute.value()?)?
        {
            attributes.insert(attribute.key.to_owned(), value);
        }
    }
    Ok(attributes)
}

/// A word, a number or a list of words; nothing else is a name.
fn plain(value: &AnyValue<'_>) -> Result<Option<Json>, Error> {
    Ok(match value {
        AnyValue::Text(value) => text(value),
        AnyValue::Bool(value) => Some((*value).into()),
        AnyValue::Int(value) => Some((*value).into()),
        AnyValue::Double(value) => serde_json::Number::from_f64(*value).map(Json::Number),
        AnyValue::Array(array) => {
            let mut words = Vec::new();
            for value in array.values() {
                if let AnyValue::Text(word) = value? {
                    words.extend(text(word));
                }
            }
            Some(words.into())
        }
        AnyValue::Empty | AnyValue::Bytes(_) | AnyValue::KeyValues(_) => None,
    })
}

fn text(value: &str) -> Option<Json> {
    (value.len() <= TEXT_BYTES_MAX).then(|| value.into())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").ok();
        text
    })
}

const fn kind(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Unspecified | SpanKind::Internal => "INTERNAL",
        SpanKind::Server => "SERVER",
        SpanKind::Client => "CLIENT",
        SpanKind::Producer => "PRODUCER",
        SpanKind::Consumer => "CONSUMER",
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue};
    use opentelemetry_proto::tonic::resource::v1::Resource;
    use opentelemetry_proto::tonic::trace::v1::span::Event as SpanEvent;
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;

    fn pair(key: &str, value: Value) -> KeyValue {
        KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
    }

    fn word(value: &str) -> Value {
        Value::StringValue(value.to_owned())
    }

    /// A call with everything that people say to models, in every place where senders put it.
    fn call() -> Span {
        let secret = || word("my secret prompt");
        Span {
            trace_id: vec![1; 16],
            span_id: vec![2; 8],
            parent_span_id: vec![3; 8],
            name: "my secret prompt".to_owned(),
            kind: 3,
            start_time_unix_nano: 1_790_000_060_000_000_000,
            end_time_unix_nano: 1_790_000_061_500_000_000,
            attributes: vec![
                pair("gen_ai.operation.name", word("chat")),
                pair("gen_ai.request.model", word("m-1")),
                pair("gen_ai.usage.input_tokens", Value::IntValue(12)),
                pair("gen_ai.request.temperature", Value::DoubleValue(0.5)),
                pair(
                    "gen_ai.response.finish_reasons",
                    Value::ArrayValue(ArrayValue { values: vec![AnyValue { value: Some(word("stop")) }] }),
                ),
                pair("session.id", word("s-1")),
                pair("gen_ai.input.messages", secret()),
                pair("gen_ai.prompt.0.content", secret()),
                pair("gen_ai.tool.name", word(&"my secret prompt".repeat(20))),
                pair("input.value", secret()),
                pair("user.id", secret()),
            ],
            events: vec![SpanEvent {
                name: "gen_ai.user.message".to_owned(),
                attributes: vec![pair("content", secret())],
                ..Default::default()
            }],
            status: Some(Status { code: 2, message: "my secret prompt".to_owned() }),
            ..Default::default()
        }
    }

    fn request(spans: Vec<Span>) -> Vec<u8> {
        let resource = Resource {
            attributes: vec![
                pair("service.name", word("shop")),
                pair("process.command_line", word("my secret prompt")),
            ],
            ..Default::default()
        };
        let scope = InstrumentationScope { name: "a.tracer".to_owned(), ..Default::default() };
        let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, ..Default::default() }];
        let resource_spans = vec![ResourceSpans { resource: Some(resource), scope_spans, ..Default::default() }];
        ExportTraceServiceRequest { resource_spans }.encode_to_vec()
    }

    #[test]
    fn the_names_are_in_order_to_be_found() {
        assert!(ATTRIBUTES.is_sorted() && RESOURCE_ATTRIBUTES.is_sorted());
        assert!(MARKS.iter().all(|mark| ATTRIBUTES.contains(mark)));
    }

    #[test]
    fn a_call_is_told_without_what_was_said() {
        let http = Span { name: "GET /".to_owned(), ..Span::default() };
        let events = events(&request(vec![http, call()])).unwrap();
        assert_eq!((events.len(), events[0].at_ms, events[0].points), (1, 1_790_000_061_500, 1));
        let told: Json = serde_json::from_str(&events[0].text).unwrap();
        let expected = serde_json::json!({
            "resource": { "attributes": { "service.name": "shop", "aws.service.type": "gen_ai_agent" } },
            "scope": { "name": "a.tracer" },
            "traceId": "01".repeat(16),
            "spanId": "02".repeat(8),
            "parentSpanId": "03".repeat(8),
            "name": "chat m-1",
            "kind": "CLIENT",
            "startTimeUnixNano": 1_790_000_060_000_000_000_u64,
            "endTimeUnixNano": 1_790_000_061_500_000_000_u64,
            "durationNano": 1_500_000_000,
            "status": { "code": "ERROR" },
            "attributes": {
                "gen_ai.operation.name": "chat",
                "gen_ai.request.model": "m-1",
                "gen_ai.usage.input_tokens": 12,
                "gen_ai.request.temperature": 0.5,
                "gen_ai.response.finish_reasons": ["stop"],
                "session.id": "s-1",
            },
        });
        assert_eq!(told, expected);
        assert!(!events[0].text.contains("secret"));
    }

    proptest! {
        #[test]
        fn no_request_panics(body: Vec<u8>) {
            let _events = events(&body);
        }

        #[test]
        fn nothing_but_what_is_told_ever_gets_out(key in "[a-z_.]{1,30}", value in "SECRET[a-z]{0,300}") {
            prop_assume!(ATTRIBUTES.binary_search(&key.as_str()).is_err());
            let span = Span { attributes: vec![pair("gen_ai.system", word("x")), pair(&key, word(&value))], ..Span::default() };
            for event in events(&request(vec![span])).unwrap() {
                prop_assert!(!event.text.contains("SECRET"));
            }
        }
    }
}
