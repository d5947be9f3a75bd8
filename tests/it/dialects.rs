//! What instrumentations and frameworks really sent, against what the provider served: each call once, to the token.
//!
//! `tests/fixtures/dialects` has for each emitter the requests that it sent and, beside them, the calls that were served.
//! What an emitter does not tell, or tells wrongly, stands in [`UNTOLD`] with the difference that it makes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use wattline_core::reading::{Inference, TokenUsage};
use wattline_core::{Instant, Signal, Timestamp};
use wattline_model::inference::Twins;
use wattline_probe_llm::normalise::Normaliser;
use wattline_wire::json::to_protobuf;

/// The fixtures were captured at this time.
const NOW: Timestamp = Timestamp::from_unix_nanos(1_790_000_100_000_000_000);

/// What emitters tell otherwise than it was: `[calls, input, cache read, cache write, output, reasoning]`, told less served,
/// with what they do.
const UNTOLD: &[(&str, [i64; 6], &str)] = &[
    (
        "langsmith-langchain",
        [-1, -2828, 0, -5280, 0, 0],
        "no embeddings, and no cache write of an unstreamed Anthropic call",
    ),
    ("openinference-bedrock", [0, 0, -426, -626, 0, -154], "no cache of a streamed InvokeModel"),
    ("openinference-langchain", [-1, -2828, 0, -5084, 0, 0], "no embeddings, and no cache write of OpenAI"),
    ("openlit-anthropic", [0, 0, 0, 0, 0, -162], "no reasoning"),
    ("openlit-bedrock", [-8, -34704, -9464, -6576, -2007, -154], "no streamed calls, no InvokeModel"),
    ("openlit-openai", [0, 0, 0, 0, 0, -154], "no reasoning of chat completions"),
    ("otel-bedrock", [0, 0, 0, 0, 0, -154], "Converse counts no reasoning"),
    ("otel-botocore", [0, -15012, -9050, -5962, 0, -154], "no cache of InvokeModel, whose input leaves it out"),
    ("otel-langchain", [-1, -2828, 0, 0, 0, 0], "no embeddings"),
    ("otel-openai-v2", [-6, -28820, -17454, -11174, -2166, -364], "no responses API, no cache, no reasoning"),
    ("strands", [0, 0, 0, 0, 0, -808], "no reasoning"),
    ("strands-1-10", [0, -1064, -876, -1276, 0, -808], "no cache, which Bedrock's input leaves out; no reasoning"),
    ("traceloop-anthropic", [0, 0, 0, 0, 4, -162], "a streamed answer has a token too many; no reasoning"),
    ("traceloop-bedrock", [0, -1052, -426, -626, 0, -154], "no cache of a streamed InvokeModel"),
    (
        "traceloop-langchain",
        [-1, -2828, 0, -5280, 0, -266],
        "no embeddings, no cache write when unstreamed, no reasoning",
    ),
    ("traceloop-openai", [0, 0, 0, -11174, 0, 0], "no cache write"),
    ("pydantic-ai", [0, 0, 0, 0, 0, -306], "no reasoning of a streamed answer of Anthropic"),
    ("twin-pydantic-ai-anthropic", [0, 0, 0, 0, 0, -306], "neither tells reasoning"),
    ("twin-strands-botocore", [0, 0, 0, 0, 0, -808], "neither tells reasoning"),
    ("twin-traceloop-sdk", [0, 0, 0, -5280, 0, 0], "neither tells the cache write of an unstreamed answer"),
    ("vercel-ai-6", [0, 0, 0, 0, 0, -338], "no reasoning of Anthropic"),
    ("vercel-ai-7", [0, 0, 0, 0, 0, -968], "no reasoning"),
    ("vercel-ai-7-legacy", [0, 0, 0, 0, 0, -338], "no reasoning of Anthropic"),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/dialects")
}

/// The calls that an emitter tells of, after its twins are found.
fn told(emitter: &str) -> Vec<Inference> {
    let normaliser = Normaliser::default();
    let mut twins = Twins::default();
    let mut calls = Vec::new();
    for line in fs::read_to_string(folder().join(format!("{emitter}.jsonl"))).unwrap().lines() {
        let request: Json = serde_json::from_str(line).unwrap();
        let bytes = |signal| to_protobuf(signal, line.as_bytes(), 64 << 20).unwrap();
        let read = if request.get("resourceSpans").is_some() {
            normaliser.spans(&bytes(Signal::Traces), NOW).unwrap()
        } else if request.get("resourceLogs").is_some() {
            normaliser.logs(&bytes(Signal::Logs), NOW).unwrap()
        } else {
            continue;
        };
        for call in read.booked {
            calls.extend(twins.take(call, Instant::default()));
        }
    }
    calls.extend(std::iter::from_fn(|| twins.release()));
    calls
}

/// The calls that were answered.
fn served(emitter: &str) -> Vec<Json> {
    let text = fs::read_to_string(folder().join(format!("{emitter}.served.jsonl"))).unwrap();
    let calls = text.lines().map(|line| serde_json::from_str::<Json>(line).unwrap());
    calls.filter(|call| call["status"] == 200).collect()
}

fn counts(usage: &TokenUsage) -> [i64; 5] {
    let TokenUsage { input, output, cache_read, cache_write, cache_write_1h: _, reasoning } = *usage;
    [input, cache_read, cache_write, output, reasoning].map(|count| count.try_into().unwrap())
}

#[test]
fn what_only_some_emitters_tell_is_read_where_it_is_told() {
    let of = |emitter: &str, tells: fn(&Inference) -> bool| told(emitter).iter().filter(|call| tells(call)).count();
    // Whole milliseconds of Strands, fractions of them of Vercel, seconds of others.
    for emitter in ["strands", "vercel-ai-6", "otel-openai", "openlit-openai", "pydantic-ai"] {
        assert!(of(emitter, |call| call.time_to_first_token.is_some()) > 0, "{emitter}: time to the first token");
        assert!(told(emitter).iter().all(|call| call.time_to_first_token.is_none_or(|time| time <= call.duration)));
    }
    for emitter in ["pydantic-ai", "openinference-openai", "traceloop-openai", "vercel-ai-6"] {
        assert!(
            of(emitter, |call| call.tools.is_some_and(|tools| tools.bytes > 0)) > 0,
            "{emitter}: definitions of tools"
        );
    }
    for emitter in ["otel-openai", "openlit-openai", "vercel-ai-6", "otel-bedrock", "pydantic-ai", "litellm"] {
        assert!(of(emitter, |call| call.finish_reason.is_some()) > 0, "{emitter}: why it ended");
    }
    for emitter in ["vercel-ai-6", "openinference-openai", "pydantic-ai", "langsmith-langchain"] {
        assert!(of(emitter, |call| call.identity.prompt != 0) > 0, "{emitter}: a hash of what was said");
    }
    for emitter in ["pydantic-ai", "otel-langchain"] {
        assert!(of(emitter, |call| call.key.agent.is_some()) > 0, "{emitter}: the agent");
    }
}

#[test]
fn every_emitters_tokens_are_what_was_served() {
    let mut emitters: Vec<String> = fs::read_dir(folder())
        .unwrap()
        .filter_map(|entry| {
            entry.unwrap().file_name().into_string().unwrap().strip_suffix(".served.jsonl").map(str::to_owned)
        })
        .collect();
    emitters.sort();
    assert!(emitters.len() > 10, "{emitters:?}");
    let untold: BTreeMap<&str, [i64; 6]> = UNTOLD.iter().map(|(emitter, counts, _)| (*emitter, *counts)).collect();
    let mut wrong = Vec::new();
    for emitter in &emitters {
        let (told, served) = (told(emitter), served(emitter));
        let answered = told.iter().filter(|call| call.usage != TokenUsage::default());
        let mut told: Vec<[i64; 5]> = answered.map(|call| counts(&call.usage)).collect();
        let count = |call: &Json, name: &str| call[name].as_i64().unwrap();
        let mut served: Vec<[i64; 5]> = served
            .iter()
            .map(|call| ["input", "cache_read", "cache_write", "output", "reasoning"].map(|name| count(call, name)))
            .collect();
        told.sort_unstable();
        served.sort_unstable();
        let sums = |calls: &[[i64; 5]]| -> [i64; 6] {
            let of = |index: usize| calls.iter().map(|call| call[index]).sum();
            [calls.len().try_into().unwrap(), of(0), of(1), of(2), of(3), of(4)]
        };
        let difference: [i64; 6] = std::array::from_fn(|index| sums(&told)[index] - sums(&served)[index]);
        if difference != untold.get(emitter.as_str()).copied().unwrap_or_default() {
            let only_told: Vec<_> = told.iter().filter(|call| !served.contains(call)).collect();
            let only_served: Vec<_> = served.iter().filter(|call| !told.contains(call)).collect();
            wrong.push(format!("{emitter}: {difference:?}\n  told only {only_told:?}\n  served only {only_served:?}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "[calls, input, cache read, cache write, output, reasoning], told less served:\n{}",
        wrong.join("\n")
    );
}
