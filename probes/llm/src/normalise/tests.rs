use expect_test::{Expect, expect};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue as ProtoValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource as ProtoResource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans as Group, ScopeSpans, Span as ProtoSpan, Status};
use proptest::prelude::*;
use prost::Message;

use super::*;

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

fn read(spans: Vec<ProtoSpan>) -> Calls {
    calls(&encode(vec![attribute("service.name", "shop")], spans), NOW).unwrap()
}

fn inputs(calls: &Calls) -> Vec<u64> {
    calls.booked.iter().map(|call| call.usage.input).collect()
}

/// One line per call, with everything that is booked.
fn check(attributes: Vec<KeyValue>, expected: &Expect) {
    let calls = read(vec![span(1, attributes)]);
    let mut told = String::new();
    for call in &calls.booked {
        let Inference { key, request_model, start, duration, usage, region, server_address, error, probability } =
            &**call;
        let InferenceKey { model, provider, service, agent, operation } = key;
        let TokenUsage { input, output, cache_read, cache_write, reasoning } = usage;
        told += &format!("{operation} {model} (asked {request_model:?}) of {provider} by {service} {agent:?}\n");
        told += &format!("{input} in ({cache_read} read, {cache_write} written), {output} out ({reasoning} reasoning)\n");
        told += &format!("from {} for {} s, {region:?} {server_address:?} ", start.unix_nanos(), duration.get());
        told += &format!("{error:?} 1/{}\n", 1.0 / probability.get());
    }
    let Calls { booked: _, repeated, without_tokens, absurd_tokens, of_engines } = calls;
    if [repeated, without_tokens, absurd_tokens, of_engines] != [0; 4] {
        told += &format!("left out: {repeated} {without_tokens} {absurd_tokens} {of_engines}\n");
    }
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
            1000 in (600 read, 100 written), 200 out (50 reasoning)
            from 1000000000 for 2 s, Some("us-west-2") Some("bedrock-runtime.us-west-2.amazonaws.com") None 1/1
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
            10 in (4 read, 3 written), 20 out (0 reasoning)
            from 1000000000 for 2 s, None None Some("timeout") 1/1
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
            10 in (0 read, 0 written), 20 out (0 reasoning)
            from 1000000000 for 2 s, None None None 1/1
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
            10 in (8 read, 1 written), 20 out (2 reasoning)
            from 1000000000 for 2 s, None None None 1/1
        "#]],
    );
}

#[test]
fn embeddings_have_input_only() {
    check(
        vec![attribute("gen_ai.operation.name", "embeddings"), attribute("gen_ai.usage.input_tokens", 7)],
        &expect![[r#"
            embeddings unknown (asked None) of unknown by shop None
            7 in (0 read, 0 written), 0 out (0 reasoning)
            from 1000000000 for 2 s, None None None 1/1
        "#]],
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
    for operation in ["invoke_agent", "execute_tool", "invoke_workflow", "create_agent", "retrieval", "new"] {
        let attributes = vec![
            attribute("gen_ai.operation.name", operation),
            attribute("gen_ai.request.model", "m"),
            attribute("gen_ai.usage.input_tokens", 10),
        ];
        spans.push(span(1, attributes));
    }
    spans.push(span(2, vec![attribute("http.request.method", "POST")]));
    let without_operation =
        vec![attribute("gen_ai.request.model", "m"), attribute("gen_ai.usage.input_tokens", 10)];
    spans.push(ProtoSpan { kind: 1, ..span(3, without_operation) });
    assert_eq!(read(spans), Calls::default());
}

#[test]
fn a_parent_that_repeats_its_child_is_dropped() {
    let agent = span(1, vec![attribute("gen_ai.operation.name", "invoke_agent")]);
    let cycle = below(2, span(3, vec![]));
    // The framework's span comes last, as the outer span ends last.
    let calls = read(vec![
        below(3, chat(4, 10)),
        below(3, chat(5, 20)),
        cycle,
        below(1, chat(2, 30)),
        agent,
        below(1, chat(6, 40)),
    ]);
    assert_eq!((inputs(&calls), calls.repeated), (vec![10, 20, 40], 1));
}

#[test]
fn only_the_lowest_of_a_chain_is_booked() {
    let calls = read(vec![chat(1, 1), below(1, chat(2, 2)), below(2, chat(3, 3)), below(3, chat(4, 4))]);
    assert_eq!((inputs(&calls), calls.repeated), (vec![4], 3));
}

#[test]
fn another_trace_another_class_and_a_call_without_tokens_repeat_nothing() {
    let mut elsewhere = below(1, chat(2, 2));
    elsewhere.trace_id = vec![8; 16];
    let embeddings =
        vec![attribute("gen_ai.operation.name", "embeddings"), attribute("gen_ai.usage.input_tokens", 3)];
    let without_tokens = span(4, vec![attribute("gen_ai.operation.name", "chat")]);
    let calls = read(vec![chat(1, 1), elsewhere, below(1, span(3, embeddings)), below(1, without_tokens)]);
    assert_eq!((inputs(&calls), calls.repeated, calls.without_tokens), (vec![1, 2, 3], 0, 1));
}

#[test]
fn spans_without_valid_ids_are_related_to_nothing() {
    let mut nameless = chat(1, 1);
    nameless.span_id = vec![];
    let mut zero = below(0, chat(0, 2));
    zero.trace_id = vec![0; 16];
    let calls = read(vec![nameless.clone(), nameless, zero.clone(), zero]);
    assert_eq!((inputs(&calls), calls.repeated), (vec![1, 1, 2, 2], 0));
}

#[test]
fn a_span_that_came_twice_is_booked_once_and_one_above_itself_is_booked() {
    let calls = read(vec![chat(1, 1), chat(2, 2), chat(1, 1), below(3, chat(3, 3))]);
    assert_eq!((inputs(&calls), calls.repeated), (vec![1, 2, 3], 1));
}

#[test]
fn calls_without_tokens_with_absurd_ones_and_of_engines_are_counted() {
    let operation = || attribute("gen_ai.operation.name", "chat");
    let with = |key: &str, value: Json| span(1, vec![operation(), attribute(key, value)]);
    let calls = read(vec![
        span(1, vec![operation()]),
        with("gen_ai.usage.cache_read.input_tokens", 5.into()),
        with("gen_ai.usage.input_tokens", (-1).into()),
        with("gen_ai.usage.input_tokens", 1_000_000_001.into()),
        with("gen_ai.usage.output_tokens", 0.5.into()),
        with("gen_ai.usage.output_tokens", f64::NAN.into()),
        with("gen_ai.usage.output_tokens", "many".into()),
        ProtoSpan { kind: 2, ..chat(2, 5) },
    ]);
    let expected = Calls { without_tokens: 2, absurd_tokens: 5, of_engines: 1, ..Calls::default() };
    assert_eq!(calls, expected);
}

#[test]
fn counts_may_be_texts_or_floating_point_numbers() {
    let attributes = vec![
        attribute("gen_ai.operation.name", "chat"),
        attribute("gen_ai.usage.input_tokens", " 12 "),
        attribute("gen_ai.usage.output_tokens", 34.0),
        attribute("gen_ai.usage.reasoning.output_tokens", "5.0"),
    ];
    let usage = read(vec![span(1, attributes)]).booked[0].usage;
    assert_eq!(usage, TokenUsage { input: 12, output: 34, reasoning: 5, ..TokenUsage::default() });
}

#[test]
fn cached_and_reasoning_tokens_that_exceed_their_whole_are_added_to_it() {
    let attributes = vec![
        attribute("gen_ai.operation.name", "chat"),
        attribute("gen_ai.usage.input_tokens", 3),
        attribute("gen_ai.usage.output_tokens", 4),
        attribute("gen_ai.usage.cache_read.input_tokens", 25_037),
        attribute("gen_ai.usage.cache_write.input_tokens", 10),
        attribute("gen_ai.usage.reasoning.output_tokens", 6),
    ];
    let usage = read(vec![span(1, attributes)]).booked[0].usage;
    assert_eq!((usage.input, usage.output), (25_050, 10));
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
    assert_eq!(times(10, 5), (10, 0.0));
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

/// A forest of spans: for each its parent among those before it, and whether it is a call.
fn forests() -> impl Strategy<Value = (Vec<(Option<usize>, bool)>, u64)> {
    let span = (prop::option::of(any::<prop::sample::Index>()), any::<bool>());
    (prop::collection::vec(span, 1..40), any::<u64>()).prop_map(|(spans, seed)| {
        let parent = |index: usize, parent: Option<prop::sample::Index>| {
            parent.filter(|_| index > 0).map(|parent| parent.index(index))
        };
        (spans.into_iter().enumerate().map(|(index, (above, call))| (parent(index, above), call)).collect(), seed)
    })
}

proptest! {
    #[test]
    fn the_booked_calls_are_those_without_a_call_below((forest, seed) in forests()) {
        let id = |index: usize| u8::try_from(index + 1).unwrap();
        let mut spans: Vec<ProtoSpan> = forest.iter().enumerate().map(|(index, (parent, call))| {
            let one = if *call { chat(id(index), index as i64) } else { span(id(index), vec![]) };
            parent.map_or(one.clone(), |parent| below(id(parent), one))
        }).collect();
        let turn = usize::try_from(seed % spans.len() as u64).unwrap();
        spans.rotate_left(turn);

        let has_call_below = |index: usize| forest.iter().enumerate().any(|(other, (_, call))| {
            let above = std::iter::successors(forest[other].0, |&above| forest[above].0);
            *call && above.into_iter().any(|above| above == index)
        });
        let expected: Vec<u64> =
            (0..forest.len()).filter(|&index| forest[index].1 && !has_call_below(index)).map(|index| index as u64).collect();
        let mut booked = inputs(&read(spans));
        booked.sort_unstable();
        prop_assert_eq!(booked, expected);
    }

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

    #[test]
    fn booked_counts_are_consistent(counts in prop::collection::vec(prop::option::of(-5i64..2_000_000_000), 5)) {
        let keys = [
            "gen_ai.usage.input_tokens",
            "gen_ai.usage.output_tokens",
            "gen_ai.usage.cache_read.input_tokens",
            "gen_ai.usage.cache_write.input_tokens",
            "gen_ai.usage.reasoning.output_tokens",
        ];
        let mut attributes = vec![attribute("gen_ai.operation.name", "chat")];
        attributes.extend(keys.into_iter().zip(counts).filter_map(|(key, count)| Some(attribute(key, count?))));
        let calls = read(vec![span(1, attributes)]);
        prop_assert_eq!(calls.booked.len() as u64 + calls.without_tokens + calls.absurd_tokens, 1);
        for call in calls.booked {
            let TokenUsage { input, output, cache_read, cache_write, reasoning } = call.usage;
            prop_assert!(cache_read + cache_write <= input && reasoning <= output && input <= 3 * MOST_TOKENS);
        }
    }
}
