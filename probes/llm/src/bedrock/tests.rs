//! Records as AWS writes them, and as nobody should.

use proptest::prelude::*;
use serde_json::json;
use wattline_core::Seconds;
use wattline_core::reading::{Doubts, TokenUsage, ToldBy, ToolDefinitions};

use super::*;
use crate::identity::hash;

const NOW: Timestamp = Timestamp::from_unix_nanos(1_762_800_000_000_000_000);

/// A record of Converse with all members that samples have.
fn converse() -> Value {
    json!({
        "schemaType": "ModelInvocationLog", "schemaVersion": "1.0", "timestamp": "2025-06-26T12:00:00Z",
        "accountId": "123456789012",
        "identity": {"arn": "arn:aws:sts::123456789012:assumed-role/app/session"}, "region": "us-east-1",
        "requestId": "a1b2c3", "operation": "Converse",
        "modelId": "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "inferenceRegion": "us-west-2", "requestMetadata": {"team": "search"}, "errorCode": null,
        "input": {
            "inputContentType": "application/json",
            "inputBodyJson": {
                "messages": [{"role": "user", "content": [{"text": "a secret"}]}], "system": [],
                "toolConfig": {"tools": [{"toolSpec": {"name": "a"}}, {"cachePoint": {"type": "default"}}]}
            },
            "inputTokenCount": 3, "cacheReadInputTokenCount": 25037, "cacheWriteInputTokenCount": 0
        },
        "output": {
            "outputContentType": "application/json",
            "outputBodyJson": {
                "output": {"message": {"role": "assistant", "content": [{"text": "another secret"}]}},
                "stopReason": "end_turn",
                "usage": {"inputTokens": 3, "outputTokens": 13, "totalTokens": 25053, "cacheReadInputTokens": 25037,
                          "cacheWriteInputTokens": 0},
                "metrics": {"latencyMs": 3037}
            },
            "outputTokenCount": 13
        }
    })
}

fn told_by(line: &str, rules: &Rules) -> Told {
    let mut told = Told::default();
    told.read_line(line.as_bytes(), rules, NOW);
    told
}

fn call(record: &Value) -> Inference {
    let told = told_by(&record.to_string(), &Rules::default());
    assert_eq!((told.calls.len(), told.left_out.len()), (1, 0), "{told:?}");
    told.calls.into_iter().next().unwrap()
}

fn left_out(record: &Value) -> LeftOut {
    let told = told_by(&record.to_string(), &Rules::default());
    assert!(told.is_empty(), "{told:?}");
    *told.left_out.keys().next().unwrap()
}

#[test]
fn a_record_of_converse_is_one_call() {
    let call = call(&converse());
    assert_eq!(call.key.model, "us.anthropic.claude-sonnet-4-5-20250929-v1:0".into());
    assert_eq!(
        (call.key.provider.clone(), call.key.service.clone(), call.key.operation.clone()),
        ("aws.bedrock".into(), "app".into(), "chat".into())
    );
    let expected = TokenUsage { input: 25_040, output: 13, cache_read: 25_037, ..TokenUsage::default() };
    assert_eq!(call.usage, expected, "the input of ours counts what was cached");
    assert_eq!(call.start.unix_seconds(), 1_750_939_200);
    assert_eq!(call.duration, Seconds::new(3.037));
    assert_eq!(call.region, Some("us-west-2".into()), "where it was served, not where it was asked for");
    assert_eq!(call.finish_reason, Some("end_turn".into()));
    assert_eq!(call.tools, Some(ToolDefinitions { count: 1, bytes: r#"{"toolSpec":{"name":"a"}}"#.len() as u64 }));
    assert_eq!((call.error.clone(), call.doubts), (None, Doubts::default()));
    assert_eq!((call.identity.told_by, call.identity.response), (ToldBy::Log, hash("a1b2c3")));
}

#[test]
fn nothing_that_was_said_and_no_account_is_kept() {
    let told = format!("{:?}", told_by(&converse().to_string(), &Rules::default()));
    assert!(!told.contains("secret") && !told.contains("123456789012"), "{told}");
}

#[test]
fn a_stream_is_read_out_of_its_events() {
    let mut record = converse();
    record["operation"] = json!("ConverseStream");
    record["output"] = json!({"outputBodyJson": [
        {"messageStart": {"role": "assistant"}},
        {"contentBlockDelta": {"delta": {"text": "a secret"}, "contentBlockIndex": 0}},
        {"messageStop": {"stopReason": "tool_use"}},
        {"metadata": {
            "usage": {"inputTokens": 3, "outputTokens": 20, "totalTokens": 25060},
            "metrics": {"latencyMs": 1500}, "serviceTier": {"type": "flex"},
            "trace": {"promptRouter": {
                "invokedModelId": "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-lite-v1:0"}}
        }}
    ]});
    record["modelId"] = json!("arn:aws:bedrock:us-east-1:123456789012:default-prompt-router/amazon.nova:1");
    let call = call(&record);
    assert_eq!(call.usage.output, 20, "the count of the record is missing, that of the body is there");
    assert_eq!((call.finish_reason.clone(), call.service_tier.clone()), (Some("tool_use".into()), Some("flex".into())));
    assert_eq!(call.key.model, "us.amazon.nova-lite-v1:0".into(), "the model that answered");
    assert_eq!(call.request_model, Some("default-prompt-router/amazon.nova:1".into()));
    assert_eq!(call.duration, Seconds::new(1.5));
}

#[test]
fn a_stream_of_invoke_model_tells_the_time_to_its_first_token() {
    let mut record = converse();
    record["operation"] = json!("InvokeModelWithResponseStream");
    record["modelId"] = json!("arn:aws:bedrock:eu-west-3:123456789012:application-inference-profile/abc");
    record["input"] = json!({"inputBodyJson": {"messages": [], "tools": [{"name": "b"}]}});
    record["output"] = json!({"outputBodyJson": [
        {"type": "message_start", "message": {"model": "claude-sonnet-4-5-20250929", "usage": {"input_tokens": 5, "output_tokens": 1,
            "cache_creation_input_tokens": 100, "cache_creation": {"ephemeral_1h_input_tokens": 60}}}},
        {"type": "message_delta", "delta": {"stop_reason": "max_tokens"}, "usage": {"output_tokens": 40}},
        {"type": "message_stop", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 5, "outputTokenCount": 40,
            "invocationLatency": 2000, "firstByteLatency": 250, "cacheWriteInputTokenCount": 100}}
    ]});
    let call = call(&record);
    let expected = TokenUsage { input: 105, output: 40, cache_write: 100, cache_write_1h: 60, ..TokenUsage::default() };
    assert_eq!(call.usage, expected);
    assert_eq!((call.duration, call.time_to_first_token), (Seconds::new(2.0), Some(Seconds::new(0.25))));
    assert_eq!(call.key.model, "claude-sonnet-4-5-20250929".into(), "the answer names what the profile hides");
    assert_eq!(call.request_model, Some("application-inference-profile/abc".into()));
    assert_eq!(call.tools.map(|tools| tools.count), Some(1));
}

#[test]
fn a_record_whose_bodies_lie_in_s3_has_its_counts() {
    let mut record = converse();
    record["input"] = json!({"inputBodyS3Path": "s3://b/in.json.gz", "inputTokenCount": 70_000});
    record["output"] = json!({"outputBodyS3Path": "s3://b/out.json.gz", "outputTokenCount": 900});
    let call = call(&record);
    assert_eq!((call.usage.input, call.usage.output), (70_000, 900));
    assert_eq!((call.finish_reason.clone(), call.tools, call.duration), (None, None, Seconds::ZERO));
}

#[test]
fn a_made_up_name_stands_for_a_model_where_the_user_says_which() {
    let mut record = converse();
    record["modelId"] = json!("arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc");
    let line = record.to_string();
    let opaque = told_by(&line, &Rules::default());
    assert_eq!(opaque.calls[0].key.model, "application-inference-profile/abc".into());
    let models = [("application-inference-profile/abc".to_owned(), "amazon.nova-pro-v1:0".to_owned())].into();
    let rules = Rules { models, service_keys: vec!["app".to_owned(), "team".to_owned()] };
    let told = told_by(&line, &rules);
    assert_eq!(told.calls[0].key.model, "amazon.nova-pro-v1:0".into());
    assert_eq!(told.calls[0].key.service, "search".into(), "by the first key that the request has");
}

#[test]
fn the_total_settles_whether_cached_tokens_are_in_the_input() {
    for (total, input, doubt) in [(25_053, 25_040, false), (16, 25_040, false), (25_050, 25_040, true)] {
        let mut record = converse();
        record["output"]["outputBodyJson"]["usage"]["totalTokens"] = json!(total);
        let call = call(&record);
        // An input that is smaller than what was cached cannot hold it, whatever the total says.
        assert_eq!((call.usage.input, call.doubts.cached_input), (input, doubt), "{total}");
    }
    let mut record = converse();
    record["input"]["inputTokenCount"] = json!(30_000);
    record["output"]["outputBodyJson"]["usage"]["totalTokens"] = json!(30_013);
    assert_eq!(call(&record).usage.input, 30_000);
}

#[test]
fn a_call_that_failed_is_booked_without_tokens() {
    let mut record = converse();
    record["errorCode"] = json!("ThrottlingException");
    record["input"] = json!({"inputTokenCount": 0});
    record["output"] = json!(null);
    let call = call(&record);
    assert_eq!((call.error.clone(), call.usage), (Some("ThrottlingException".into()), TokenUsage::default()));
}

#[test]
fn what_cannot_be_believed_is_left_out_with_its_reason() {
    for count in [json!(-1), json!(1.5), json!(2_000_000_000), json!("many"), json!([]), json!(1e300)] {
        let mut record = converse();
        record["input"]["inputTokenCount"] = count.clone();
        assert_eq!(left_out(&record), LeftOut::AbsurdTokens, "{count}");
    }
    let mut record = converse();
    record["input"] = json!({});
    record["output"] = json!({});
    assert_eq!(left_out(&record), LeftOut::WithoutTokens);
    assert_eq!(left_out(&json!({"hello": 1})), LeftOut::Foreign);
    assert_eq!(
        left_out(&json!({"schemaType": "Other", "modelId": "m", "requestId": "r", "input": {}})),
        LeftOut::Foreign
    );
    for line in ["permission check", "{\"schemaType\":", "{]"] {
        assert_eq!(told_by(line, &Rules::default()).left_out, [(LeftOut::Unreadable, 1)].into(), "{line}");
    }
    let long = format!("{{\"a\": \"{}\"}}", "x".repeat(LINE_BYTES_MAX));
    assert_eq!(told_by(&long, &Rules::default()).left_out, [(LeftOut::TooLong, 1)].into());
    assert_eq!(told_by("  \r\n", &Rules::default()), Told::default());
}

#[test]
fn a_time_from_a_wrong_clock_is_flagged() {
    let mut record = converse();
    record["timestamp"] = json!("2031-01-01T00:00:00Z");
    let call = call(&record);
    assert_eq!((call.start, call.doubts.clock), (NOW, true));
}

#[test]
fn an_embedding_has_no_output() {
    let mut record = converse();
    record["operation"] = json!("InvokeModel");
    record["modelId"] = json!("amazon.titan-embed-text-v2:0");
    record["input"] = json!({"inputBodyJson": {"inputText": "a secret"}, "inputTokenCount": 9});
    record["output"] = json!({"outputBodyJson": {"embedding": [0.1, 0.2], "inputTextTokenCount": 9}});
    let call = call(&record);
    assert_eq!((call.key.operation.clone(), call.usage.input, call.usage.output), ("embeddings".into(), 9, 0));
}

#[test]
fn records_in_envelopes_are_found() {
    let record = converse().to_string();
    let delivery = json!({"messageType": "DATA_MESSAGE", "logEvents": [{"message": record}, {"message": record}]});
    let shipped = json!({"log": record});
    for (line, calls) in [
        (format!("2025-06-26T12:00:00.000Z {record}"), 1),
        (format!("{delivery}{delivery}"), 4),
        (shipped.to_string(), 1),
    ] {
        assert_eq!(told_by(&line, &Rules::default()).calls.len(), calls, "{line}");
    }
}

/// A row of the usage log as it is published.
fn usage_row(length: &str) -> Value {
    json!({
        "resource_arn": "arn:aws:bedrock-agentcore:us-west-2:1:runtime/AGENT123", "event_timestamp": 1_762_768_235_743_u64,
        "resource": {"cloud.provider": "aws", "service.name": "AgentCore.Runtime", "cloud.region": "us-east-1"},
        "attributes": {"account.id": "1", length: 0.28, "agent.name": "CustomerSupportAgent", "region": "us-east-1",
                       "session.id": "session-12345", "resource.id": "AGENT123"},
        "metrics": {"agent.runtime.memory.gb_hours.used": 0.000_275_552_058_724,
                    "agent.runtime.vcpu.hours.used": 0.000_001_925}
    })
}

#[test]
fn a_row_of_usage_is_whole_units() {
    for length in ["time_elapsed_seconds", "elapsed_time_seconds"] {
        let told = told_by(&usage_row(length).to_string(), &Rules::default());
        let usage = &told.usage[0];
        assert_eq!((usage.elapsed_ns, usage.vcpu_ns, usage.gb_ns), (280_000_000, 6_930_000, 991_987_411), "{length}");
        assert_eq!(usage.agent.name, "CustomerSupportAgent".into());
        assert_eq!(usage.agent.resource, "runtime/AGENT123".into(), "without the account");
        assert_eq!((usage.session, usage.at.unix_seconds()), (hash("session-12345"), 1_762_768_235));
    }
}

#[test]
fn usage_that_no_session_has_is_left_out() {
    for (name, value) in [
        ("agent.runtime.vcpu.hours.used", json!(-1e-6)),
        ("agent.runtime.vcpu.hours.used", json!(3.0)),
        ("agent.runtime.memory.gb_hours.used", json!("much")),
        ("agent.runtime.memory.gb_hours.used", json!(9.0)),
    ] {
        let mut row = usage_row("time_elapsed_seconds");
        row["metrics"][name] = value.clone();
        assert_eq!(left_out(&row), LeftOut::AbsurdUsage, "{name} {value}");
    }
    let mut row = usage_row("time_elapsed_seconds");
    row["attributes"]["time_elapsed_seconds"] = json!(86_400);
    assert_eq!(left_out(&row), LeftOut::AbsurdUsage);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-zA-Z_]{1,12}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Every place in a value, as a JSON pointer.
fn places(value: &Value, here: &str, found: &mut Vec<String>) {
    found.push(here.to_owned());
    match value {
        Value::Object(map) => {
            map.iter().for_each(|(key, inner)| places(inner, &format!("{here}/{}", key.replace('/', "~1")), found));
        }
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(index, inner)| places(inner, &format!("{here}/{index}"), found));
        }
        _ => {}
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        Told::default().read_line(&bytes, &Rules::default(), NOW);
    }

    #[test]
    fn a_record_with_anything_in_any_place_is_booked_believably_or_left_out(
        is_call: bool, place: prop::sample::Index, other in any_json(),
    ) {
        let mut record = if is_call { converse() } else { usage_row("time_elapsed_seconds") };
        let mut found = Vec::new();
        places(&record, "", &mut found);
        *record.pointer_mut(&found[place.index(found.len())]).unwrap() = other;
        let told = told_by(&record.to_string(), &Rules::default());
        prop_assert!(told.len() <= 1 || told.left_out.is_empty());
        for call in &told.calls {
            let usage = call.usage;
            prop_assert!(usage.cache_read + usage.cache_write <= usage.input);
            prop_assert!(usage.cache_write_1h <= usage.cache_write && usage.reasoning <= usage.output);
            prop_assert!(usage.input <= 3_000_000_000 && usage.output <= 2_000_000_000);
            prop_assert!(call.duration.get() >= 0.0 && call.duration.get() <= 86_400.0);
        }
        for usage in &told.usage {
            prop_assert!(usage.elapsed_ns <= 8 * 3_600_000_000_000);
        }
    }

    #[test]
    fn a_record_that_is_cut_or_has_a_byte_changed_does_not_panic(cut: prop::sample::Index, at: prop::sample::Index, byte: u8) {
        let mut line = converse().to_string().into_bytes();
        let index = at.index(line.len());
        line[index] = byte;
        line.truncate(cut.index(line.len() + 1).max(1));
        Told::default().read_line(&line, &Rules::default(), NOW);
    }
}
