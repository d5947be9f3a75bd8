//! Log records that tell of calls: events of the semantic conventions, and those of programs that write code.
//!
//! To teach wattline another one, add a line to [`EVENTS`] and a test that bears it.

use std::sync::Arc;

use memchr::memmem;
use wattline_core::reading::{CallIdentity, CallKind, Doubts, Inference, TokenUsage, ToldBy};
use wattline_core::subject::InferenceKey;
use wattline_core::{Seconds, Text, Timestamp};
use wattline_wire::logs::{LogRecord, log_records};
use wattline_wire::protobuf::Error;
use wattline_wire::trace::{AnyValue, SpanKind};

use super::attributes::{Call, Name};
use super::operation::{Operation, Told, told};
use super::usage::{CachedInput, NoUsage};
use super::words::Words;
use super::{Calls, Normaliser, OTHER_ERROR, UNKNOWN, UNKNOWN_SERVICE, model, usage};
use crate::identity::hash;

/// An event that tells of a call in attributes of its own.
pub(super) struct Event {
    /// Its name, or its body where it has none.
    name: &'static str,
    provider: &'static str,
    cached: CachedInput,
    /// It tells of a call that failed.
    is_error: bool,
    /// What its attributes mean. What only the semantic conventions name keeps their meaning.
    pub(super) attributes: &'static [(&'static str, Name)],
}

/// Events of programs that write code, each beside the metrics and spans that it may send too.
///
/// Sources: Anthropic, "Monitoring usage" of Claude Code; openai/codex, `codex-rs/otel`; google-gemini/gemini-cli,
/// `docs/telemetry.md`.
static EVENTS: &[Event] = &[
    Event {
        name: "claude_code.api_request",
        provider: "anthropic",
        cached: CachedInput::Beside,
        is_error: false,
        attributes: &[
            ("model", Name::RequestModel),
            ("input_tokens", Name::Input),
            ("output_tokens", Name::Output),
            ("cache_read_tokens", Name::CacheRead),
            ("cache_creation_tokens", Name::CacheWrite),
            ("duration_ms", Name::DurationMilliseconds),
            ("request_id", Name::ResponseId),
            ("agent.name", Name::Agent),
        ],
    },
    Event {
        name: "claude_code.api_error",
        provider: "anthropic",
        cached: CachedInput::Beside,
        is_error: true,
        attributes: &[
            ("model", Name::RequestModel),
            ("duration_ms", Name::DurationMilliseconds),
            ("status_code", Name::Error),
        ],
    },
    Event {
        name: "codex.sse_event",
        provider: "openai",
        cached: CachedInput::Within,
        is_error: false,
        attributes: &[
            ("model", Name::RequestModel),
            ("input_token_count", Name::Input),
            ("output_token_count", Name::Output),
            ("cached_token_count", Name::CacheRead),
            ("reasoning_token_count", Name::Reasoning),
            ("duration_ms", Name::DurationMilliseconds),
        ],
    },
    Event {
        name: "gemini_cli.api_response",
        provider: "gcp.gemini",
        cached: CachedInput::Within,
        is_error: false,
        attributes: &[
            ("model", Name::RequestModel),
            ("input_token_count", Name::Input),
            ("output_token_count", Name::Output),
            ("cached_content_token_count", Name::CacheRead),
            ("thoughts_token_count", Name::Reasoning),
            ("total_token_count", Name::Total),
            ("duration_ms", Name::DurationMilliseconds),
        ],
    },
];

/// The event of the semantic conventions that tells what a span of a call tells.
const DETAILS: &str = "gen_ai.client.inference.operation.details";
/// Words that no record of ours is without.
const MARKS: [&[u8]; 4] = [b"claude_code.api_", b"codex.sse_event", b"gemini_cli.api_response", DETAILS.as_bytes()];

impl Normaliser {
    /// Reads the calls out of an export request of log records. Most requests tell of none, and are searched for a few
    /// words only.
    pub fn logs(&self, request: &[u8], now: Timestamp) -> Result<Calls, Error> {
        let mut calls = Calls::default();
        if !is_marked(request) {
            return Ok(calls);
        }
        let mut words = Words::default();
        for record in log_records(request) {
            let record = record?;
            if !is_marked(record.bytes) {
                continue;
            }
            let name = name(&record)?;
            let event = EVENTS.iter().find(|event| event.name == name);
            if event.is_none() && name != DETAILS {
                continue;
            }
            match self.call_of(&record, event, &mut words, now)? {
                Ok(Some(call)) => calls.booked.push(call),
                // Most events of a stream come before its counts.
                Ok(None) => {}
                Err(NoUsage::Unknown) => calls.without_tokens += u64::from(event.is_none()),
                Err(NoUsage::Absurd) => calls.absurd_tokens += 1,
                Err(NoUsage::Contradictory) => calls.contradictory_tokens += 1,
            }
        }
        Ok(calls)
    }

    fn call_of<'a>(
        &self,
        record: &LogRecord<'a>,
        event: Option<&'static Event>,
        words: &mut Words<'a>,
        now: Timestamp,
    ) -> Result<Result<Option<Inference>, NoUsage>, Error> {
        let own = event.map_or(&[][..], |event| event.attributes);
        let call = Call::of(record.attributes(), own, &self.prompts)?;
        let operation = match (event, told(&call, SpanKind::Client)) {
            (Some(_), _) => Operation::Known("chat"),
            (None, Told::Call(operation)) => operation,
            (None, _) => return Ok(Ok(None)),
        };
        let service = service_of(record)?;
        let (trace, span) = record.ids()?;
        let mut word = |name: Name, text| words.shared(name, text);
        let error = word(Name::Error, call.text(Name::Error));
        let is_error = event.is_some_and(|event| event.is_error);
        let error = error.or_else(|| is_error.then_some(Text::Static(OTHER_ERROR)));
        let counts = match usage::usage(&call, event.map(|event| event.cached)) {
            Err(NoUsage::Unknown) if error.is_some() => Ok((TokenUsage::default(), false)),
            counts => counts,
        };
        let (usage, cached_input) = match counts {
            Ok(counts) => counts,
            Err(reason) => return Ok(Err(reason)),
        };
        let asked = call.text(Name::RequestModel).map(model::named);
        let answered = call.text(Name::ResponseModel).map(model::named);
        let provider = event.map(|event| event.provider).or_else(|| call.text(Name::Provider));
        let request_model = word(Name::RequestModel, asked.map(|model| model.name));
        let response_model = word(Name::ResponseModel, answered.map(|model| model.name));
        let key = InferenceKey {
            model: response_model.or_else(|| request_model.clone()).unwrap_or(Text::Static(UNKNOWN)),
            provider: word(Name::Provider, provider).unwrap_or(Text::Static(UNKNOWN)),
            service: word(Name::Service, service).unwrap_or(Text::Static(UNKNOWN_SERVICE)),
            agent: word(Name::Agent, call.text(Name::Agent)),
            operation: match operation {
                Operation::Known(name) => Text::Static(name),
                Operation::Unknown(name) => word(Name::Operation, Some(name)).unwrap_or(Text::Static(UNKNOWN)),
            },
        };
        let duration = call.number(Name::DurationMilliseconds).unwrap_or_default() / 1000.0;
        let duration = Seconds::new(duration.min(MOST_SECONDS));
        let end = match record.time_unix_nanos()? {
            0 => now,
            nanos => Timestamp::from_unix_nanos(nanos),
        };
        let clock = !self.is_recorded && (end.since(now) > super::MOST_AHEAD || now.since(end) > super::MOST_BEHIND);
        let kind = CallKind {
            request_model,
            finish_reason: word(Name::FinishReason, call.first_text(Name::FinishReason)),
            error,
            ..CallKind::new(key)
        };
        Ok(Ok(Some(Inference {
            tools: call.tools(),
            doubts: Doubts { cached_input, clock, operation: matches!(operation, Operation::Unknown(_)) },
            identity: CallIdentity {
                told_by: ToldBy::Log,
                scope: hash(record.scope_name()?),
                response: call.text(Name::ResponseId).map_or(0, hash),
                prompt: 0,
                trace: trace.try_into().map_or(0, u128::from_be_bytes),
                span: span.try_into().map_or(0, u64::from_be_bytes),
                parent: 0,
            },
            ..Inference::of(Arc::new(kind), if clock { now } else { end.back(duration) }, duration, usage)
        })))
    }
}

fn service_of<'a>(record: &LogRecord<'a>) -> Result<Option<&'a str>, Error> {
    let mut service = None;
    for attribute in record.resource_attributes() {
        let attribute = attribute?;
        if attribute.key == "service.name"
            && let AnyValue::Text(text) = attribute.value()?
        {
            service = Some(text);
        }
    }
    Ok(service)
}

/// No call lasts longer than a day.
const MOST_SECONDS: f64 = 86_400.0;

/// The name of an event: of the record, else of an attribute, which may lack the program's name in front, else its body.
fn name<'a>(record: &LogRecord<'a>) -> Result<&'a str, Error> {
    let name = record.event_name()?;
    if !name.is_empty() {
        return Ok(name);
    }
    for attribute in record.attributes() {
        let attribute = attribute?;
        if attribute.key == "event.name"
            && let AnyValue::Text(text) = attribute.value()?
            && text.contains('.')
        {
            return Ok(text);
        }
    }
    Ok(match record.body()? {
        AnyValue::Text(text) => text,
        _ => "",
    })
}

fn is_marked(bytes: &[u8]) -> bool {
    MARKS.iter().any(|mark| memmem::find(bytes, mark).is_some())
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    use opentelemetry_proto::tonic::common::v1::{AnyValue as ProtoValue, InstrumentationScope, KeyValue};
    use opentelemetry_proto::tonic::logs::v1::{LogRecord as ProtoRecord, ResourceLogs, ScopeLogs};
    use opentelemetry_proto::tonic::resource::v1::Resource;
    use prost::Message;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_nanos(9_000_000_000);

    fn text(text: &str) -> ProtoValue {
        ProtoValue { value: Some(Value::StringValue(text.to_owned())) }
    }

    fn attribute(key: &str, value: ProtoValue) -> KeyValue {
        KeyValue { key: key.to_owned(), value: Some(value), ..Default::default() }
    }

    fn read(body: &str, attributes: &[(&str, &str)]) -> Calls {
        let record = ProtoRecord {
            time_unix_nano: 8_000_000_000,
            body: Some(text(body)),
            attributes: attributes.iter().map(|(key, value)| attribute(key, text(value))).collect(),
            trace_id: vec![7; 16],
            span_id: vec![3; 8],
            ..Default::default()
        };
        let scope = InstrumentationScope { name: "events".to_owned(), ..Default::default() };
        let scope_logs = vec![ScopeLogs { scope: Some(scope), log_records: vec![record], ..Default::default() }];
        let resource = Resource { attributes: vec![attribute("service.name", text("coder"))], ..Default::default() };
        let resource_logs = vec![ResourceLogs { resource: Some(resource), scope_logs, ..Default::default() }];
        Normaliser::default().logs(&ExportLogsServiceRequest { resource_logs }.encode_to_vec(), NOW).unwrap()
    }

    #[test]
    fn programs_that_write_code_tell_of_their_calls() {
        let calls = read(
            "claude_code.api_request",
            &[
                ("event.name", "api_request"),
                ("model", "claude-sonnet-4-5"),
                ("input_tokens", "5000"),
                ("output_tokens", "20"),
                ("cache_read_tokens", "300"),
                ("cache_creation_tokens", "40"),
                ("duration_ms", "1500"),
                ("request_id", "req_1"),
            ],
        );
        let call = &calls.booked[0];
        let usage = TokenUsage { input: 5340, output: 20, cache_read: 300, cache_write: 40, ..TokenUsage::default() };
        assert_eq!((call.usage, call.duration.get()), (usage, 1.5));
        assert_eq!(
            (&*call.key.model, &*call.key.provider, &*call.key.service),
            ("claude-sonnet-4-5", "anthropic", "coder")
        );
        assert_eq!((call.start.unix_nanos(), call.identity.response), (6_500_000_000, hash("req_1")));
        assert_eq!(call.identity.told_by, ToldBy::Log);

        let calls = read(
            "",
            &[
                ("event.name", "codex.sse_event"),
                ("event.kind", "response.completed"),
                ("model", "gpt-5"),
                ("input_token_count", "1000"),
                ("output_token_count", "200"),
                ("cached_token_count", "600"),
                ("reasoning_token_count", "150"),
            ],
        );
        let usage = TokenUsage { input: 1000, output: 200, cache_read: 600, reasoning: 150, ..TokenUsage::default() };
        assert_eq!(calls.booked[0].usage, usage);

        // Gemini counts thoughts beside its output, and its total says so.
        let calls = read(
            "gemini_cli.api_response",
            &[
                ("model", "gemini-2.5-pro"),
                ("input_token_count", "100"),
                ("output_token_count", "20"),
                ("thoughts_token_count", "5"),
                ("total_token_count", "125"),
            ],
        );
        assert_eq!((calls.booked[0].usage.output, calls.booked[0].usage.reasoning), (25, 5));
    }

    #[test]
    fn failed_ones_are_calls_and_those_before_the_counts_are_not() {
        let calls = read("claude_code.api_error", &[("model", "m"), ("status_code", "529")]);
        assert_eq!((calls.booked[0].error.as_deref(), calls.booked[0].usage), (Some("529"), TokenUsage::default()));
        let calls = read("codex.sse_event", &[("event.kind", "response.output_text.delta")]);
        assert_eq!(calls, Calls::default());
        let calls = read("claude_code.api_request", &[("model", "m"), ("input_tokens", "-4")]);
        assert_eq!(calls, Calls { absurd_tokens: 1, ..Calls::default() });
        assert_eq!(read("claude_code.tool_result", &[("input_tokens", "4")]), Calls::default());
        assert_eq!(read("someone else's claude_code.api_request", &[("input_tokens", "4")]), Calls::default());
    }

    #[test]
    fn the_conventions_event_is_the_account_of_its_span() {
        let calls = read(
            "",
            &[
                ("event.name", DETAILS),
                ("gen_ai.operation.name", "chat"),
                ("gen_ai.request.model", "gpt-4o"),
                ("gen_ai.usage.input_tokens", "10"),
            ],
        );
        let call = &calls.booked[0];
        assert_eq!((call.usage.input, call.identity.span), (10, u64::from_be_bytes([3; 8])));
        assert_eq!(call.identity.trace, u128::from_be_bytes([7; 16]));
    }
}
