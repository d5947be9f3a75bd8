//! What the bodies in a log record tell beside messages: counts, times, why it ended, who answered.
//!
//! The body of an answer is an object, or for streams an array of events. Each maker has a form of its own for
//! `InvokeModel`; `Converse` has one for all. Counts of a stream are cumulative, so that the largest of each counts.
//! Source: Amazon Bedrock user guide, "Inference request parameters and response fields for foundation models", and API
//! reference, `Converse` and `ConverseStream`.

use std::io;

use serde_json::{Map, Value};
use wattline_core::reading::ToolDefinitions;

/// The most tokens that one call can have used. A larger count is a mistake.
pub(super) const MOST_TOKENS: u64 = 1_000_000_000;

/// A count that is no whole number from 0 to 10^9.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Absurd;

/// Counts of tokens as a record or a body has them; `None` where it has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) input: Option<u64>,
    pub(super) output: Option<u64>,
    pub(super) cache_read: Option<u64>,
    pub(super) cache_write: Option<u64>,
    pub(super) cache_write_1h: Option<u64>,
    pub(super) reasoning: Option<u64>,
    pub(super) total: Option<u64>,
    /// `input` counts what was read from caches, as in the forms that follow that of `OpenAI`.
    pub(super) is_inclusive: bool,
}

/// What the body of an answer tells.
#[derive(Debug, Default)]
pub(super) struct Answer<'a> {
    pub(super) counts: Counts,
    /// A count in it cannot be believed.
    pub(super) is_absurd: bool,
    pub(super) finish_reason: Option<&'a str>,
    /// The model that a router chose.
    pub(super) invoked: Option<&'a str>,
    /// The model as it names itself.
    pub(super) model: Option<&'a str>,
    pub(super) tier: Option<&'a str>,
    pub(super) duration_ms: Option<f64>,
    pub(super) first_token_ms: Option<f64>,
}

impl<'a> Answer<'a> {
    /// Reads the body of an answer.
    pub(super) fn read(body: &'a Value) -> Self {
        let mut answer = Self::default();
        match body {
            Value::Array(events) => {
                for event in events.iter().filter_map(Value::as_object) {
                    answer.take(event);
                }
            }
            Value::Object(whole) => answer.take(whole),
            _ => {}
        }
        answer
    }

    fn take(&mut self, part: &'a Map<String, Value>) {
        self.take_flat(part);
        // Events of streams have what matters one level down; so have the results of some makers.
        for wrapped in ["message", "metadata", "messageStop", "delta", "response", "chunk"] {
            if let Some(inner) = part.get(wrapped).and_then(Value::as_object) {
                self.take_flat(inner);
            }
        }
        for listed in ["results", "choices", "outputs", "generations"] {
            if let Some(inner) = part.get(listed).and_then(|list| list.get(0)).and_then(Value::as_object) {
                self.take_flat(inner);
            }
        }
    }

    fn take_flat(&mut self, part: &'a Map<String, Value>) {
        let text = |name: &str| part.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        for name in ["stopReason", "stop_reason", "finish_reason", "completionReason", "finishReason"] {
            self.finish_reason = text(name).or(self.finish_reason);
        }
        self.model = text("model").or(self.model);
        self.tier = tier(part).or(self.tier);
        let router = part.get("trace").and_then(|trace| trace.pointer("/promptRouter/invokedModelId"));
        self.invoked = router.and_then(Value::as_str).or(self.invoked);
        let invocation = part.get("amazon-bedrock-invocationMetrics").and_then(Value::as_object);
        for source in [Some(part), part.get("usage").and_then(Value::as_object), invocation].into_iter().flatten() {
            match Counts::read(source) {
                Ok(counts) => self.counts.merge(counts),
                Err(Absurd) => self.is_absurd = true,
            }
        }
        let metrics = part.get("metrics").and_then(Value::as_object);
        for source in [metrics, invocation].into_iter().flatten() {
            self.duration_ms = duration_ms(source).or(self.duration_ms);
            self.first_token_ms = milliseconds(source.get("firstByteLatency")).or(self.first_token_ms);
        }
    }
}

impl Counts {
    /// Reads all names that a count has in any form.
    pub(super) fn read(of: &Map<String, Value>) -> Result<Self, Absurd> {
        let first = |names: &[&str]| -> Result<Option<u64>, Absurd> {
            names.iter().find_map(|name| tokens(of.get(*name)).transpose()).transpose()
        };
        let inside = |path: [&str; 2]| tokens(of.get(path[0]).and_then(|inner| inner.get(path[1])));
        let of_openai = tokens(of.get("prompt_tokens"))?;
        let exclusive =
            first(&["inputTokenCount", "inputTokens", "input_tokens", "inputTextTokenCount", "prompt_token_count"])?;
        let cached = inside(["prompt_tokens_details", "cached_tokens"])?;
        Ok(Self {
            input: exclusive.or(of_openai),
            output: first(&[
                "outputTokenCount",
                "outputTokens",
                "output_tokens",
                "completion_tokens",
                "generation_token_count",
            ])?,
            cache_read: first(&["cacheReadInputTokenCount", "cacheReadInputTokens", "cache_read_input_tokens"])?
                .or(cached),
            cache_write: first(&["cacheWriteInputTokenCount", "cacheWriteInputTokens", "cache_creation_input_tokens"])?,
            cache_write_1h: match inside(["cache_creation", "ephemeral_1h_input_tokens"])? {
                Some(count) => Some(count),
                None => written_for_an_hour(of.get("cacheDetails"))?,
            },
            reasoning: match inside(["completion_tokens_details", "reasoning_tokens"])? {
                Some(count) => Some(count),
                None => inside(["output_tokens_details", "reasoning_tokens"])?,
            },
            total: first(&["totalTokens", "totalTokenCount", "total_tokens"])?,
            is_inclusive: exclusive.is_none() && of_openai.is_some(),
        })
    }

    /// Takes the larger of each.
    fn merge(&mut self, other: Self) {
        let Self { input, output, cache_read, cache_write, cache_write_1h, reasoning, total, is_inclusive } = other;
        if input > self.input {
            self.is_inclusive = is_inclusive;
        }
        self.input = self.input.max(input);
        self.output = self.output.max(output);
        self.cache_read = self.cache_read.max(cache_read);
        self.cache_write = self.cache_write.max(cache_write);
        self.cache_write_1h = self.cache_write_1h.max(cache_write_1h);
        self.reasoning = self.reasoning.max(reasoning);
        self.total = self.total.max(total);
    }
}

/// A count of tokens. Nothing is no count; what is no whole number from 0 to 10^9 cannot be believed.
fn tokens(value: Option<&Value>) -> Result<Option<u64>, Absurd> {
    let count = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => number.as_u64().or_else(|| number.as_f64().and_then(whole)),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(_) => None,
    };
    count.filter(|&count| count <= MOST_TOKENS).map(Some).ok_or(Absurd)
}

fn whole(count: f64) -> Option<u64> {
    let in_range = (0.0..=MOST_TOKENS as f64).contains(&count);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number in range")]
    (in_range && count.fract() == 0.0).then_some(count as u64)
}

/// `cacheDetails` of Converse: what was written, by how long it is kept.
fn written_for_an_hour(details: Option<&Value>) -> Result<Option<u64>, Absurd> {
    let Some(details) = details.and_then(Value::as_array) else { return Ok(None) };
    let mut sum = 0_u64;
    for detail in details.iter().filter(|detail| detail.get("ttl").and_then(Value::as_str) == Some("1h")) {
        sum = sum.saturating_add(tokens(detail.get("inputTokens"))?.unwrap_or(0));
    }
    if sum <= MOST_TOKENS { Ok(Some(sum)) } else { Err(Absurd) }
}

/// How long it took, in milliseconds, under either name.
pub(super) fn duration_ms(of: &Map<String, Value>) -> Option<f64> {
    milliseconds(of.get("latencyMs")).or_else(|| milliseconds(of.get("invocationLatency")))
}

/// A time that a call can have taken: no longer than a day.
fn milliseconds(value: Option<&Value>) -> Option<f64> {
    const DAY_MS: f64 = 86_400_000.0;
    value.and_then(Value::as_f64).filter(|time| (0.0..=DAY_MS).contains(time))
}

/// The service tier, as Converse has it and as the forms of makers do.
pub(super) fn tier(of: &Map<String, Value>) -> Option<&str> {
    let named = |value: &'_ Value| -> bool { value.as_str().is_some_and(|text| !text.is_empty()) };
    let typed = of.get("serviceTier").and_then(|tier| tier.get("type").or(Some(tier)));
    typed
        .filter(|tier| named(tier))
        .or_else(|| of.get("service_tier"))
        .and_then(Value::as_str)
        .filter(|t| !t.is_empty())
}

/// The tools that the model was told of.
pub(super) fn tools(input: &Value) -> Option<ToolDefinitions> {
    let tools = input.pointer("/toolConfig/tools").or_else(|| input.get("tools"))?.as_array()?;
    // What only marks a place for a cache is no definition.
    let definitions = tools.iter().filter(|tool| tool.get("cachePoint").is_none());
    let (mut count, mut bytes) = (0_u32, Length(0));
    for definition in definitions {
        count = count.saturating_add(1);
        // Writing to a number cannot fail.
        serde_json::to_writer(&mut bytes, definition).ok();
    }
    (count > 0).then_some(ToolDefinitions { count, bytes: bytes.0 })
}

/// Measures what is written and keeps none of it.
struct Length(u64);

impl io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len() as u64);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
