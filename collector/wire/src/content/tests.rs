use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue as Any, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::samples::{self, attribute, text};

/// In every value that is content, and nowhere else.
const WORD: &str = "confidential";

const HASH: Treatment<'static> = Treatment::Replace(&|bytes| format!("hash of {} bytes", bytes.len()));

fn holds_word(bytes: &[u8]) -> bool {
    bytes.windows(WORD.len()).any(|window| window == WORD.as_bytes())
}

fn content_value() -> impl Strategy<Value = Value> {
    let said = "[a-zé]{0,5}".prop_map(|more| format!("{more}{WORD}{more}"));
    said.prop_flat_map(|said| {
        prop_oneof![
            Just(Value::StringValue(said.clone())),
            Just(Value::BytesValue(said.clone().into_bytes())),
            Just(Value::KvlistValue(KeyValueList { values: vec![attribute("role", text(&said))] })),
        ]
    })
}

fn harmless() -> impl Strategy<Value = KeyValue> {
    ("(gen_ai|app)\\.[a-z]{1,4}", -9i64..9).prop_map(|(key, value)| attribute(&key, Value::IntValue(value)))
}

fn content() -> impl Strategy<Value = KeyValue> {
    let names = ["gen_ai.input.messages", "gen_ai.prompt.3.content", "input.value", "ai.prompt.messages", "prompt"];
    (prop::sample::select(names.to_vec()), content_value()).prop_map(|(key, value)| attribute(key, value))
}

fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    prop::collection::vec(prop_oneof![harmless(), content()], 0..5)
}

fn event() -> impl Strategy<Value = Event> {
    let message = prop::collection::vec(
        prop_oneof![harmless(), content_value().prop_map(|value| attribute("content", value))],
        0..3,
    );
    prop_oneof![
        attributes().prop_map(|attributes| Event { name: "exception".to_owned(), attributes, ..Default::default() }),
        message.prop_map(|attributes| Event {
            name: "gen_ai.user.message".to_owned(),
            attributes,
            ..Default::default()
        }),
    ]
}

fn span() -> impl Strategy<Value = Span> {
    let link = attributes().prop_map(|attributes| Link { attributes, ..Default::default() });
    (attributes(), prop::collection::vec(event(), 0..3), prop::collection::vec(link, 0..2)).prop_map(
        |(attributes, events, links)| Span {
            span_id: vec![7; 8],
            name: "chat".to_owned(),
            attributes,
            events,
            links,
            dropped_events_count: 3,
            ..Default::default()
        },
    )
}

fn traces() -> impl Strategy<Value = ExportTraceServiceRequest> {
    (prop::collection::vec(span(), 0..4), attributes(), attributes()).prop_map(|(spans, of_scope, of_resource)| {
        let mut request = samples::traces();
        let resource = &mut request.resource_spans[0];
        resource.resource.as_mut().unwrap().attributes.extend(of_resource);
        let scope = &mut resource.scope_spans[0];
        scope.scope.as_mut().unwrap().attributes.extend(of_scope);
        scope.spans.extend(spans);
        request
    })
}

fn record() -> impl Strategy<Value = LogRecord> {
    let of_model = (content_value(), attributes(), any::<bool>()).prop_map(|(body, mut attributes, named_before)| {
        let name = "gen_ai.choice";
        let event_name = if named_before { String::new() } else { name.to_owned() };
        attributes.extend(named_before.then(|| attribute("event.name", text(name))));
        LogRecord { body: Some(Any { value: Some(body) }), attributes, event_name, ..Default::default() }
    });
    let other = attributes().prop_map(|attributes| LogRecord {
        body: Some(Any { value: Some(text("it rains")) }),
        attributes,
        ..Default::default()
    });
    prop_oneof![of_model, other]
}

fn logs() -> impl Strategy<Value = ExportLogsServiceRequest> {
    prop::collection::vec(record(), 0..4).prop_map(|records| {
        let mut request = samples::logs();
        request.resource_logs[0].scope_logs[0].log_records.extend(records);
        request
    })
}

/// The same on decoded messages, for comparison.
struct Model(bool);

impl Model {
    fn hash(value: &mut Option<Any>) {
        let bytes = match value.as_ref().and_then(|any| any.value.as_ref()) {
            Some(Value::StringValue(text)) => text.len(),
            _ => value.as_ref().map_or(0, Message::encoded_len),
        };
        *value = Some(Any { value: Some(Value::StringValue(format!("hash of {bytes} bytes"))) });
    }

    fn attributes(&self, attributes: &mut Vec<KeyValue>, all: bool) {
        let Self(drops) = self;
        attributes.retain_mut(|attribute| {
            let is_content = all || names::is_attribute(&attribute.key);
            if is_content && !drops {
                Self::hash(&mut attribute.value);
            }
            !(is_content && *drops)
        });
    }

    fn traces(&self, request: &mut ExportTraceServiceRequest) {
        for resource in &mut request.resource_spans {
            self.attributes(&mut resource.resource.as_mut().unwrap().attributes, false);
            for scope in &mut resource.scope_spans {
                self.attributes(&mut scope.scope.as_mut().unwrap().attributes, false);
                for span in &mut scope.spans {
                    self.attributes(&mut span.attributes, false);
                    span.events.retain(|event| !(self.0 && names::is_event(&event.name)));
                    span.events.iter_mut().for_each(|event| {
                        self.attributes(&mut event.attributes, names::is_event(&event.name));
                    });
                    span.links.iter_mut().for_each(|link| self.attributes(&mut link.attributes, false));
                }
            }
        }
    }

    fn logs(&self, request: &mut ExportLogsServiceRequest) {
        for record in &mut request.resource_logs[0].scope_logs[0].log_records {
            let is_event = record.event_name.starts_with("gen_ai.")
                || record.attributes.iter().any(|attribute| attribute.key == "event.name");
            match (is_event, self.0) {
                (false, _) => {}
                (true, true) => record.body = None,
                (true, false) => Self::hash(&mut record.body),
            }
            self.attributes(&mut record.attributes, false);
        }
    }
}

/// A field of a later protocol.
const UNKNOWN: &[u8] = &[0xba, 0x3e, 3, b'n', b'e', b'w'];

#[test]
fn what_a_later_protocol_adds_and_odd_lengths_stay_as_they_are() {
    let span =
        |attributes: Vec<KeyValue>| Span { attributes, name: "chat".to_owned(), ..Default::default() }.encode_to_vec();
    let nested = |span: &[u8]| {
        // A length of two bytes where one would do, and the field behind it.
        let mut request = vec![18, 0x80 | u8::try_from(span.len() + UNKNOWN.len()).unwrap(), 0];
        request.extend([span, UNKNOWN].concat());
        let scope = [request, UNKNOWN.to_vec()].concat();
        let mut resource = vec![18, u8::try_from(scope.len()).unwrap()];
        resource.extend([&scope, UNKNOWN].concat());
        let mut whole = vec![10, u8::try_from(resource.len()).unwrap()];
        whole.extend([&resource, UNKNOWN].concat());
        whole
    };
    let plain = nested(&span(vec![attribute("kept", text("x"))]));
    assert_eq!(without_content(Signal::Traces, &plain, Treatment::Drop), Ok(None));
    let whole = nested(&span(vec![attribute("kept", text("x")), attribute("input.value", text(WORD))]));
    let treated = without_content(Signal::Traces, &whole, Treatment::Drop).unwrap().unwrap();
    assert_eq!(treated.windows(UNKNOWN.len()).filter(|window| window == &UNKNOWN).count(), 4);
    assert_eq!(
        ExportTraceServiceRequest::decode(treated.as_slice()).unwrap(),
        ExportTraceServiceRequest::decode(plain.as_slice()).unwrap()
    );
}

#[test]
fn a_name_given_twice_counts_as_protobuf_counts_it() {
    // The last name is in force, and of the value both parts are one.
    let mut attribute = attribute("harmless", text(WORD)).encode_to_vec();
    attribute.extend(samples::attribute("input.value", text(WORD)).encode_to_vec());
    let mut span = vec![74, u8::try_from(attribute.len()).unwrap()];
    span.extend(attribute);
    let scope = ScopeSpans { spans: vec![Span::decode(span.as_slice()).unwrap()], ..Default::default() };
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans { scope_spans: vec![scope], ..Default::default() }],
    };
    let mut whole = Vec::new();
    for (number, body) in [(18u8, span.clone()), (18, Vec::new()), (10, Vec::new())] {
        let inner = if body.is_empty() { std::mem::take(&mut whole) } else { body };
        whole = vec![number, u8::try_from(inner.len()).unwrap()];
        whole.extend(inner);
    }
    assert_eq!(ExportTraceServiceRequest::decode(whole.as_slice()).unwrap(), request);
    for treatment in [Treatment::Drop, HASH] {
        let treated = without_content(Signal::Traces, &whole, treatment).unwrap().unwrap();
        assert!(!holds_word(&treated));
    }
}

#[test]
fn the_body_of_a_record_by_a_library_for_agents_is_content() {
    let mut request = samples::logs();
    let logs = &mut request.resource_logs[0].scope_logs[0];
    logs.scope.as_mut().unwrap().name = "strands.telemetry.tracer".to_owned();
    logs.log_records[0].body = Some(Any { value: Some(text(WORD)) });
    let treated = without_content(Signal::Logs, &request.encode_to_vec(), Treatment::Drop).unwrap().unwrap();
    request.resource_logs[0].scope_logs[0].log_records[0].body = None;
    assert_eq!(ExportLogsServiceRequest::decode(treated.as_slice()).unwrap(), request);
}

#[test]
fn metrics_pass_untouched() {
    assert_eq!(without_content(Signal::Metrics, &samples::encoded(Signal::Metrics), Treatment::Drop), Ok(None));
}

proptest! {
    #[test]
    fn spans_lose_their_content_and_nothing_else(request in traces(), drops in any::<bool>()) {
        let bytes = request.encode_to_vec();
        let treated = without_content(Signal::Traces, &bytes, if drops { Treatment::Drop } else { HASH }).unwrap();
        prop_assert_eq!(treated.is_some(), { let mut model = request.clone(); Model(drops).traces(&mut model); model != request });
        let treated = treated.unwrap_or(bytes);
        prop_assert!(!holds_word(&treated));
        let mut expected = request;
        Model(drops).traces(&mut expected);
        prop_assert_eq!(ExportTraceServiceRequest::decode(treated.as_slice()).unwrap(), expected);
    }

    #[test]
    fn log_records_lose_their_content_and_nothing_else(request in logs(), drops in any::<bool>()) {
        let bytes = request.encode_to_vec();
        let treated = without_content(Signal::Logs, &bytes, if drops { Treatment::Drop } else { HASH }).unwrap();
        let treated = treated.unwrap_or(bytes);
        prop_assert!(!holds_word(&treated));
        let mut expected = request;
        Model(drops).logs(&mut expected);
        prop_assert_eq!(ExportLogsServiceRequest::decode(treated.as_slice()).unwrap(), expected);
    }

    #[test]
    fn any_bytes_are_rewritten_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for signal in [Signal::Traces, Signal::Logs] {
            let _either = without_content(signal, &bytes, Treatment::Drop);
        }
    }

    #[test]
    fn what_the_check_passes_is_never_refused(
        request in traces(), edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut bytes = request.encode_to_vec();
        for (index, byte) in edits {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        let limits = crate::schema::Limits { attributes: 1000 };
        if crate::schema::check(Signal::Traces, &bytes, limits).is_ok() {
            let treated = without_content(Signal::Traces, &bytes, HASH).unwrap().unwrap_or(bytes);
            prop_assert!(ExportTraceServiceRequest::decode(treated.as_slice()).is_ok());
        }
    }
}
