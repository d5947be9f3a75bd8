use expect_test::{Expect, expect};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue as ProtoValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource as ProtoResource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans as Group, ScopeSpans, Span as ProtoSpan, Status};
use proptest::prelude::*;
use prost::Message;

use super::*;

mod leaves;
mod tokens;

const NOW: Timestamp = Timestamp::from_unix_nanos(9_000_000_000);
const CLIENT: i32 = 3;

impl From<&'static str> for Json {
    fn from(text: &'static str) -> Self {
        Self(Value::StringValue(text.to_owned()))
    }
}

impl From<i64> for Json {
    fn from(count: i64) -> Self {
        Self(Value::IntValue(count))
    }
}

impl From<f64> for Json {
    fn from(count: f64) -> Self {
        Self(Value::DoubleValue(count))
    }
}

/// A value of an attribute.
#[derive(Clone)]
struct Json(Value);

fn attribute(key: &str, value: impl Into<Json>) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(ProtoValue { value: Some(value.into().0) }), ..Default::default() }
}

/// A client span of two seconds with an id of its own and no parent.
fn span(id: u8, attributes: Vec<KeyValue>) -> ProtoSpan {
    ProtoSpan {
        trace_id: vec![7; 16],
        span_id: vec![id; 8],
        name: "span".to_owned(),
        kind: CLIENT,
        start_time_unix_nano: 1_000_000_000,
        end_time_unix_nano: 3_000_000_000,
        attributes,
        ..Default::default()
    }
}

fn chat(id: u8, input: i64) -> ProtoSpan {
    let attributes = vec![
        attribute("gen_ai.operation.name", "chat"),
        attribute("gen_ai.request.model", "m"),
        attribute("gen_ai.usage.input_tokens", input),
    ];
    span(id, attributes)
}

fn below(parent: u8, mut span: ProtoSpan) -> ProtoSpan {
    span.parent_span_id = vec![parent; 8];
    span
}

fn encode(resource: Vec<KeyValue>, spans: Vec<ProtoSpan>) -> Vec<u8> {
    let group = Group {
        resource: Some(ProtoResource { attributes: resource, ..Default::default() }),
        scope_spans: vec![ScopeSpans { spans, ..Default::default() }],
        ..Default::default()
    };
    ExportTraceServiceRequest { resource_spans: vec![group] }.encode_to_vec()
}

fn calls(request: &[u8], now: Timestamp) -> Result<Calls, Error> {
    Normaliser::default().spans(request, now)
}

fn read(spans: Vec<ProtoSpan>) -> Calls {
    calls(&encode(vec![attribute("service.name", "shop")], spans), NOW).unwrap()
}

fn inputs(calls: &Calls) -> Vec<u64> {
    calls.booked.iter().map(|call| call.usage.input).collect()
}

/// One line per call, with everything that is booked.
fn check(attributes: Vec<KeyValue>, expected: &Expect) {
    let calls = read(vec![span(1, attributes)]);
    let mut lines = Vec::new();
    for call in &calls.booked {
        let Inference { kind, start, duration, usage, probability, .. } = call;
        let CallKind { key, request_model, region, server_address, error, .. } = &**kind;
        let InferenceKey { model, provider, service, agent, operation } = key;
        let TokenUsage { input, output, cache_read, cache_write, cache_write_1h: _, reasoning } = usage;
        let (start, duration, weight) = (start.unix_nanos(), duration.get(), 1.0 / probability.get());
        lines.push(format!("{operation} {model} (asked {request_model:?}) of {provider} by {service} {agent:?}"));
        lines.push(format!("{input} in ({cache_read} read, {cache_write} written)"));
        lines.push(format!("{output} out ({reasoning} reasoning)"));
        lines.push(format!("from {start} for {duration} s, weight {weight}"));
        lines.push(format!("{region:?} {server_address:?} {error:?}"));
    }
    let Calls {
        booked: _,
        activities: _,
        repeated,
        without_tokens,
        absurd_tokens,
        contradictory_tokens: _,
        of_engines,
    } = calls;
    lines.push(format!("left out: {repeated} {without_tokens} {absurd_tokens} {of_engines}\n"));
    let told = lines.join("\n");
    expected.assert_eq(&told);
}

#[test]
fn the_working_copy_of_the_conventions_is_read() {
    check(
        vec![
            attribute("gen_ai.operation.name", "chat"),
            attribute("gen_ai.provider.name", "aws.bedrock"),
            attribute("gen_ai.request.model", "us.anthropic.claude"),
            attribute("gen_ai.response.model", "anthropic.claude"),
            attribute("gen_ai.agent.name", "planner"),
            attribute("gen_ai.usage.input_tokens", 1000),
            attribute("gen_ai.usage.output_tokens", 200),
            attribute("gen_ai.usage.cache_read.input_tokens", 600),
            attribute("gen_ai.usage.cache_write.input_tokens", 100),
            attribute("gen_ai.usage.reasoning.output_tokens", 50),
            attribute("server.address", "bedrock-runtime.us-west-2.amazonaws.com"),
            attribute("server.port", 443),
        ],
        &expect![[r#"
            chat anthropic.claude (asked Some("us.anthropic.claude")) of aws.bedrock by shop Some("planner")
            1000 in (600 read, 100 written)
            200 out (50 reasoning)
            from 1000000000 for 2 s, weight 1
            Some("us-west-2") Some("bedrock-runtime.us-west-2.amazonaws.com") None
            left out: 0 0 0 0
        "#]],
    );
}

#[test]
fn version_1_40_of_the_conventions_is_read() {
    check(
        vec![
            attribute("gen_ai.operation.name", "generate_content"),
            attribute("gen_ai.provider.name", "gcp.gemini"),
            attribute("gen_ai.request.model", "gemini"),
            attribute("gen_ai.usage.input_tokens", 10),
            attribute("gen_ai.usage.output_tokens", 20),
            attribute("gen_ai.usage.cache_read.input_tokens", 4),
            attribute("gen_ai.usage.cache_creation.input_tokens", 3),
            attribute("error.type", "timeout"),
        ],
        &expect![[r#"
            generate_content gemini (asked Some("gemini")) of gcp.gemini by shop None
            10 in (4 read, 3 written)
            20 out (0 reasoning)
            from 1000000000 for 2 s, weight 1
            None None Some("timeout")
            left out: 0 0 0 0
        "#]],
    );
}

#[test]
fn version_1_36_of_the_conventions_is_read() {
    check(
        vec![
            attribute("gen_ai.operation.name", "text_completion"),
            attribute("gen_ai.system", "openai"),
            attribute("gen_ai.request.model", "gpt"),
            attribute("gen_ai.response.model", "gpt-2025"),
            attribute("gen_ai.usage.input_tokens", 10),
            attribute("gen_ai.usage.output_tokens", 20),
        ],
        &expect![[r#"
            text_completion gpt-2025 (asked Some("gpt")) of openai by shop None
            10 in (0 read, 0 written)
            20 out (0 reasoning)
            from 1000000000 for 2 s, weight 1
            None None None
            left out: 0 0 0 0
        "#]],
    );
}

#[test]
fn names_from_before_1_27_are_read_without_an_operation() {
    check(
        vec![
            attribute("gen_ai.system", "Anthropic"),
            attribute("gen_ai.request.model", "claude"),
            attribute("gen_ai.usage.prompt_tokens", 10),
            attribute("gen_ai.usage.completion_tokens", 20),
            attribute("gen_ai.usage.cache_read_input_tokens", 8),
            attribute("gen_ai.usage.cache_creation_input_tokens", 1),
            attribute("gen_ai.usage.reasoning_tokens", 2),
        ],
        &expect![[r#"
            unknown claude (asked Some("claude")) of Anthropic by shop None
            10 in (8 read, 1 written)
            20 out (2 reasoning)
            from 1000000000 for 2 s, weight 1
            None None None
            left out: 0 0 0 0
        "#]],
    );
}

#[test]
fn embeddings_have_input_only() {
    check(
        vec![attribute("gen_ai.operation.name", "embeddings"), attribute("gen_ai.usage.input_tokens", 7)],
        &expect![[r"
            embeddings unknown (asked None) of unknown by shop None
            7 in (0 read, 0 written)
            0 out (0 reasoning)
            from 1000000000 for 2 s, weight 1
            None None None
            left out: 0 0 0 0
        "]],
    );
}

#[test]
fn of_two_generations_on_one_span_the_newer_counts_whatever_the_order() {
    for reversed in [false, true] {
        let mut attributes = vec![
            attribute("gen_ai.usage.input_tokens", 1),
            attribute("gen_ai.usage.prompt_tokens", 99),
            attribute("gen_ai.provider.name", "openai"),
            attribute("gen_ai.system", "az.ai.openai"),
            attribute("gen_ai.operation.name", "chat"),
        ];
        if reversed {
            attributes.reverse();
        }
        let calls = read(vec![span(1, attributes)]);
        assert_eq!((calls.booked[0].usage.input, calls.booked[0].key.provider.as_str()), (1, "openai"));
    }
}

#[test]
fn agents_tools_and_other_spans_are_no_calls() {
    let mut spans = Vec::new();
    for operation in ["invoke_agent", "execute_tool", "invoke_workflow", "create_agent", "retrieval"] {
        let attributes = vec![
            attribute("gen_ai.operation.name", operation),
            attribute("gen_ai.request.model", "m"),
            attribute("gen_ai.usage.input_tokens", 10),
        ];
        spans.push(span(1, attributes));
    }
    spans.push(span(2, vec![attribute("http.request.method", "POST")]));
    let without_operation = vec![attribute("gen_ai.request.model", "m"), attribute("gen_ai.usage.input_tokens", 10)];
    spans.push(ProtoSpan { kind: 1, ..span(3, without_operation) });
    let mut calls = read(spans);
    let activities = std::mem::take(&mut calls.activities);
    assert_eq!(calls, Calls::default());
    let kinds: Vec<_> = activities.iter().map(|activity| activity.kind.clone()).collect();
    assert_eq!(kinds, [ActivityKind::Run, ActivityKind::Tool("span".into())]);
}

#[test]
fn an_operation_that_nobody_knows_is_booked_under_its_own_name_and_flagged() {
    let mut unknown = chat(1, 7);
    unknown.attributes[0] = attribute("gen_ai.operation.name", "transcribe");
    let calls = read(vec![unknown]);
    assert_eq!(calls.booked[0].key.operation, "transcribe".into());
    assert_eq!(calls.booked[0].doubts, Doubts { operation: true, ..Doubts::default() });
}

#[test]
fn a_call_that_failed_before_any_token_is_a_call() {
    let attributes = vec![attribute("gen_ai.operation.name", "chat"), attribute("error.type", "429")];
    let calls = read(vec![span(1, attributes)]);
    assert_eq!((calls.booked.len(), calls.without_tokens), (1, 0));
    assert_eq!((calls.booked[0].usage, calls.booked[0].error.as_deref()), (TokenUsage::default(), Some("429")));
}

#[test]
fn what_is_done_below_an_agent_is_done_by_it() {
    let run = |id, name| {
        span(id, vec![attribute("gen_ai.operation.name", "invoke_agent"), attribute("gen_ai.agent.name", name)])
    };
    let tool = below(
        2,
        span(5, vec![attribute("gen_ai.operation.name", "execute_tool"), attribute("gen_ai.tool.name", "search")]),
    );
    let calls = read(vec![
        below(3, chat(4, 1)),
        below(2, span(3, vec![])),
        tool,
        below(1, run(2, "inner")),
        run(1, "outer"),
        below(1, chat(6, 1)),
        chat(7, 1),
    ]);
    let agents: Vec<_> = calls.booked.iter().map(|call| call.key.agent.as_deref()).collect();
    assert_eq!(agents, [Some("inner"), Some("outer"), None]);
    let agents: Vec<_> = calls.activities.iter().map(|activity| activity.agent.as_deref()).collect();
    assert_eq!(agents, [Some("inner"), Some("inner"), Some("outer")]);
}

#[test]
fn the_same_words_to_the_same_model_have_the_same_hash_and_others_have_not() {
    let said = |text: &'static str, model: &'static str| {
        let mut span = chat(1, 1);
        span.attributes[1] = attribute("gen_ai.request.model", model);
        span.attributes.push(attribute("gen_ai.input.messages", text));
        span
    };
    let normaliser = Normaliser::default();
    let hash = |span| normaliser.spans(&encode(vec![], vec![span]), NOW).unwrap().booked[0].identity.prompt;
    assert_eq!(hash(said("a", "m")), hash(said("a", "m")));
    let different = [hash(said("a", "m")), hash(said("b", "m")), hash(said("a", "n")), hash(chat(1, 1))];
    assert!((0..4).all(|one| (0..one).all(|other| different[one] != different[other])), "{different:?}");
    assert_eq!(different[3], 0, "what is not told has no hash");
    assert_ne!(
        hash(said("a", "m")),
        read(vec![said("a", "m")]).booked[0].identity.prompt,
        "the key is the process's own"
    );
}

#[test]
fn a_failed_span_without_a_reason_has_the_fallback_reason() {
    let failed = ProtoSpan { status: Some(Status { code: 2, ..Default::default() }), ..chat(1, 1) };
    assert_eq!(read(vec![failed]).booked[0].error.as_deref(), Some("_OTHER"));
}

#[test]
fn the_region_is_that_of_the_model() {
    let region = |attributes: Vec<KeyValue>| {
        let mut span = chat(1, 1);
        span.attributes.extend(attributes);
        let resource = vec![attribute("cloud.region", "eu-west-1")];
        calls(&encode(resource, vec![span]), NOW).unwrap().booked[0].region.as_deref().map(str::to_owned)
    };
    let bedrock = || attribute("gen_ai.provider.name", "aws.bedrock");
    let address = |address| attribute("server.address", address);
    assert_eq!(region(vec![]), None);
    assert_eq!(region(vec![bedrock()]).as_deref(), Some("eu-west-1"));
    assert_eq!(
        region(vec![bedrock(), address("bedrock-runtime.us-east-1.amazonaws.com")]).as_deref(),
        Some("us-east-1")
    );
    assert_eq!(region(vec![bedrock(), attribute("aws.region", "us-east-2")]).as_deref(), Some("us-east-2"));
    assert_eq!(region(vec![address("amazonaws.com")]), None);
    assert_eq!(region(vec![address("s3.amazonaws.com.example.org")]), None);
}

#[test]
fn missing_times_do_not_make_long_calls() {
    let times = |start, end| {
        let span = ProtoSpan { start_time_unix_nano: start, end_time_unix_nano: end, ..chat(1, 1) };
        let calls = read(vec![span]);
        (calls.booked[0].start.unix_nanos(), calls.booked[0].duration.get())
    };
    assert_eq!(times(8_000_000_000, 0), (8_000_000_000, 1.0));
    assert_eq!(times(0, 5), (5, 0.0));
    assert_eq!(times(0, 0), (9_000_000_000, 0.0));
    assert_eq!(times(10, 5), (9_000_000_000, 0.0));
}

#[test]
fn sampled_calls_stand_for_others() {
    let sampled = ProtoSpan { trace_state: "ot=th:c".to_owned(), ..chat(1, 1) };
    assert!((read(vec![sampled]).booked[0].probability.get() - 0.25).abs() < 1e-9);
}

#[test]
fn long_words_are_cut_and_blank_ones_are_none() {
    let mut span = chat(1, 1);
    let long = "ü".repeat(1000);
    span.attributes[1] = KeyValue {
        key: "gen_ai.request.model".to_owned(),
        value: Some(ProtoValue { value: Some(Value::StringValue(long)) }),
        ..Default::default()
    };
    span.attributes.push(attribute("gen_ai.agent.name", "  "));
    let calls = read(vec![span]);
    assert_eq!(calls.booked[0].key.model.as_str(), "ü".repeat(256));
    assert_eq!(calls.booked[0].key.agent, None);
}

#[test]
fn calls_of_one_request_share_their_words() {
    let calls = read(vec![chat(1, 1), chat(2, 2)]);
    assert!(std::ptr::eq(calls.booked[0].key.service.as_str(), calls.booked[1].key.service.as_str()));
}

#[test]
fn what_was_said_is_in_no_call() {
    let mut span = chat(1, 1);
    for key in [
        "gen_ai.prompt.0.content",
        "gen_ai.completion.0.content",
        "gen_ai.input.messages",
        "gen_ai.output.messages",
        "gen_ai.system_instructions",
        "gen_ai.tool.definitions",
        "traceloop.entity.input",
        "input.value",
        "gen_ai.conversation.id",
    ] {
        span.attributes.push(attribute(key, "secret"));
    }
    span.name = "secret".to_owned();
    span.status = Some(Status { code: 2, message: "secret".to_owned() });
    let calls = read(vec![span]);
    assert_eq!(calls.booked.len(), 1);
    assert!(!format!("{calls:?}").contains("secret"));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _calls = calls(&bytes, NOW);
    }

    #[test]
    fn every_prefix_and_every_damage_is_read_or_refused(index in any::<prop::sample::Index>(), byte: u8) {
        let mut bytes = encode(vec![attribute("service.name", "shop")], vec![chat(1, 1), below(1, chat(2, 2))]);
        let index = index.index(bytes.len());
        prop_assert!(calls(&bytes[..index], NOW).is_err() || index == 0);
        bytes[index] = byte;
        let _calls = calls(&bytes, NOW);
    }
}
