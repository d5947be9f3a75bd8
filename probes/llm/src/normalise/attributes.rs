//! The attributes that tell of a call, by all names they have had.
//!
//! To teach wattline another name, add a line to [`NAMES`] and a fixture that bears it.

use std::hash::{BuildHasher, Hasher, RandomState};

use serde::de::IgnoredAny;
use serde_json::{Map, Value as Json};
use wattline_core::metrics;
use wattline_core::reading::ToolDefinitions;
use wattline_wire::protobuf::Error;
use wattline_wire::trace::{AnyValue, Attribute, Attributes};

/// What an attribute means, whatever it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// What is done, in the words of the semantic conventions.
    Operation,
    /// What is done, in the words of others.
    Kind,
    Provider,
    /// A model with its provider in front, as a router writes it.
    RoutedModel,
    RequestModel,
    ResponseModel,
    Agent,
    Tool,
    Input,
    Output,
    Total,
    CacheRead,
    CacheWrite,
    CacheWriteHour,
    Reasoning,
    FinishReason,
    ResponseId,
    FirstTokenSeconds,
    FirstTokenMilliseconds,
    /// In whole milliseconds, as Strands tells it, or in seconds with a fraction, as `OpenLIT` does.
    FirstToken,
    /// Of a log record, which has no begin and end of its own.
    DurationMilliseconds,
    /// Definitions of tools: a list, or its JSON.
    ToolDefinitions,
    /// Names of tools: a list, or its JSON.
    ToolNames,
    /// A map, or the JSON of one, whose members have lines of their own behind a dot.
    Members,
    Error,
    ServerAddress,
    Region,
    ServiceTier,
    /// Of the resource, not of the span.
    Service,
}

impl Name {
    pub(super) const COUNT: usize = Self::Service as usize + 1;
}

/// Attribute names with their meaning. Of two names with one meaning the first wins, so the newest and most exact stands
/// first.
///
/// The first of each meaning are those of the OpenTelemetry semantic conventions for generative AI: the working copy of
/// semantic-conventions-genai, then 1.37 to 1.41, then 1.36 and before. The service tier is the one that served the call,
/// else the one asked for.
const NAMES: &[(&str, Name)] = &[
    ("gen_ai.operation.name", Name::Operation),
    ("openinference.span.kind", Name::Kind),
    ("ai.operationId", Name::Kind),
    ("llm.request.type", Name::Kind), // OpenLLMetry
    ("traceloop.span.kind", Name::Kind),
    ("langsmith.span.kind", Name::Kind),
    ("langfuse.observation.type", Name::Kind),
    ("mlflow.spanType", Name::Kind),
    ("gen_ai.provider.name", Name::Provider),
    ("gen_ai.system", Name::Provider),
    ("llm.provider", Name::Provider), // OpenInference: who serves it
    ("llm.system", Name::Provider),   // OpenInference: who made it
    ("ai.model.provider", Name::Provider),
    ("litellm.provider.model", Name::RoutedModel),
    ("gen_ai.request.model", Name::RequestModel),
    ("llm.request.model_name", Name::RequestModel), // OpenInference
    ("llm.model_name", Name::RequestModel),
    ("embedding.model_name", Name::RequestModel),
    ("ai.model.id", Name::RequestModel), // Vercel
    ("langfuse.observation.model.name", Name::RequestModel),
    ("gen_ai.response.model", Name::ResponseModel),
    ("llm.response.model_name", Name::ResponseModel),
    ("ai.response.model", Name::ResponseModel),
    ("gen_ai.agent.name", Name::Agent),
    ("agent.name", Name::Agent), // OpenInference
    ("graph.node.id", Name::Agent),
    ("gen_ai.tool.name", Name::Tool),
    ("tool.name", Name::Tool),        // OpenInference
    ("ai.toolCall.name", Name::Tool), // Vercel
    ("gen_ai.usage.input_tokens", Name::Input),
    ("gen_ai.usage.prompt_tokens", Name::Input),
    ("llm.token_count.prompt", Name::Input), // OpenInference
    ("ai.usage.inputTokens", Name::Input),   // Vercel 5
    ("ai.usage.promptTokens", Name::Input),  // Vercel 4
    ("ai.usage.tokens", Name::Input),        // Vercel, of embeddings
    ("llm.usage.prompt_tokens", Name::Input),
    ("mlflow.chat.tokenUsage.input_tokens", Name::Input),
    ("langfuse.observation.usage_details.input", Name::Input),
    ("langfuse.observation.usage_details.prompt_tokens", Name::Input),
    ("langfuse.observation.usage_details.input_tokens", Name::Input),
    ("gen_ai.usage.output_tokens", Name::Output),
    ("gen_ai.usage.completion_tokens", Name::Output),
    ("llm.token_count.completion", Name::Output),
    ("ai.usage.outputTokens", Name::Output),
    ("ai.usage.completionTokens", Name::Output),
    ("llm.usage.completion_tokens", Name::Output),
    ("mlflow.chat.tokenUsage.output_tokens", Name::Output),
    ("langfuse.observation.usage_details.output", Name::Output),
    ("langfuse.observation.usage_details.completion_tokens", Name::Output),
    ("langfuse.observation.usage_details.output_tokens", Name::Output),
    ("gen_ai.usage.total_tokens", Name::Total),
    ("llm.usage.total_tokens", Name::Total), // OpenLLMetry
    ("llm.token_count.total", Name::Total),
    ("ai.usage.totalTokens", Name::Total),
    ("mlflow.chat.tokenUsage.total_tokens", Name::Total),
    ("langfuse.observation.usage_details.total", Name::Total),
    ("langfuse.observation.usage_details.total_tokens", Name::Total),
    ("gen_ai.usage.cache_read.input_tokens", Name::CacheRead),
    ("gen_ai.usage.cache_read_input_tokens", Name::CacheRead), // OpenLLMetry, Strands
    ("gen_ai.usage.cached_tokens", Name::CacheRead),           // SGLang
    ("gen_ai.usage.prompt_tokens_details.cached_tokens", Name::CacheRead),
    ("gen_ai.usage.details.cache_read_tokens", Name::CacheRead), // pydantic-ai
    ("gen_ai.usage.details.cached_tokens", Name::CacheRead),
    ("gen_ai.usage.details.cache_read_input_tokens", Name::CacheRead),
    ("gen_ai.usage.input_token_details.cache_read", Name::CacheRead), // LangSmith
    ("llm.token_count.prompt_details.cache_read", Name::CacheRead),
    ("llm.token_count.prompt_details.cache_input", Name::CacheRead),
    ("llm.usage.cache_read_input_tokens", Name::CacheRead),
    ("ai.usage.inputTokenDetails.cacheReadTokens", Name::CacheRead),
    ("ai.usage.cachedInputTokens", Name::CacheRead),
    ("mlflow.chat.tokenUsage.cache_read_input_tokens", Name::CacheRead),
    ("langfuse.observation.usage_details.input_cached_tokens", Name::CacheRead),
    ("langfuse.observation.usage_details.cache_read_input_tokens", Name::CacheRead),
    ("langfuse.observation.usage_details.prompt_tokens_details.cached_tokens", Name::CacheRead),
    ("gen_ai.usage.cache_write.input_tokens", Name::CacheWrite),
    ("gen_ai.usage.cache_creation.input_tokens", Name::CacheWrite),
    ("gen_ai.usage.cache_write_input_tokens", Name::CacheWrite),
    ("gen_ai.usage.cache_creation_input_tokens", Name::CacheWrite),
    ("gen_ai.usage.prompt_tokens_details.cache_creation_tokens", Name::CacheWrite), // OpenLIT
    ("gen_ai.usage.details.cache_write_tokens", Name::CacheWrite),
    ("gen_ai.usage.details.cache_creation_input_tokens", Name::CacheWrite),
    ("gen_ai.usage.input_token_details.cache_creation", Name::CacheWrite),
    ("llm.token_count.prompt_details.cache_write", Name::CacheWrite),
    ("llm.usage.cache_creation_input_tokens", Name::CacheWrite),
    ("ai.usage.inputTokenDetails.cacheWriteTokens", Name::CacheWrite),
    ("mlflow.chat.tokenUsage.cache_creation_input_tokens", Name::CacheWrite),
    ("langfuse.observation.usage_details.cache_creation_input_tokens", Name::CacheWrite),
    ("gen_ai.usage.cache_creation_input_tokens_above_1hr", Name::CacheWriteHour),
    ("anthropic.usage.cache_creation.ephemeral_1h_input_tokens", Name::CacheWriteHour), // Anthropic's SDK
    ("gen_ai.usage.reasoning.output_tokens", Name::Reasoning),
    ("gen_ai.usage.reasoning_tokens", Name::Reasoning),
    ("gen_ai.usage.completion_tokens_details.reasoning_tokens", Name::Reasoning), // OpenLIT
    ("gen_ai.usage.details.reasoning_tokens", Name::Reasoning),
    ("gen_ai.usage.details.thinking_tokens", Name::Reasoning), // pydantic-ai, of Anthropic
    ("gen_ai.usage.output_token_details.reasoning", Name::Reasoning),
    ("llm.token_count.completion_details.reasoning", Name::Reasoning),
    ("llm.usage.reasoning_tokens", Name::Reasoning),
    ("ai.usage.outputTokenDetails.reasoningTokens", Name::Reasoning),
    ("ai.usage.reasoningTokens", Name::Reasoning),
    ("langfuse.observation.usage_details.output_reasoning_tokens", Name::Reasoning),
    ("langfuse.observation.usage_details.completion_tokens_details.reasoning_tokens", Name::Reasoning),
    ("langsmith.metadata.usage_metadata.input_token_details.cache_read", Name::CacheRead),
    ("langsmith.metadata.usage_metadata.input_token_details.cache_creation", Name::CacheWrite),
    ("langsmith.metadata.usage_metadata.output_token_details.reasoning", Name::Reasoning),
    ("langsmith.metadata.usage_metadata.input_tokens", Name::Input),
    ("langsmith.metadata.usage_metadata.output_tokens", Name::Output),
    ("langsmith.metadata.usage_metadata.total_tokens", Name::Total),
    ("metadata.usage_object.prompt_tokens_details.cached_tokens", Name::CacheRead), // LiteLLM
    ("metadata.usage_object.prompt_tokens_details.cache_write_tokens", Name::CacheWrite),
    ("metadata.usage_object.cache_creation_input_tokens", Name::CacheWrite),
    ("metadata.usage_object.completion_tokens_details.reasoning_tokens", Name::Reasoning),
    ("gen_ai.usage.input_token_details", Name::Members),
    ("gen_ai.usage.output_token_details", Name::Members),
    ("langsmith.metadata.usage_metadata", Name::Members),
    ("metadata.usage_object", Name::Members),
    ("mlflow.chat.tokenUsage", Name::Members),
    ("langfuse.observation.usage_details", Name::Members),
    ("gen_ai.response.finish_reasons", Name::FinishReason),
    ("gen_ai.response.finish_reason", Name::FinishReason),
    ("llm.response.finish_reason", Name::FinishReason),
    ("llm.response.stop_reason", Name::FinishReason),
    ("llm.finish_reason", Name::FinishReason),
    ("ai.response.finishReason", Name::FinishReason),
    ("gen_ai.response.id", Name::ResponseId),
    ("ai.response.id", Name::ResponseId),
    ("aws.request_id", Name::ResponseId),
    ("gen_ai.response.time_to_first_chunk", Name::FirstTokenSeconds),
    ("gen_ai.response.time_to_first_token", Name::FirstTokenSeconds),
    ("gen_ai.latency.time_to_first_token", Name::FirstTokenSeconds), // vLLM, SGLang
    (metrics::GEN_AI_FIRST_CHUNK.descriptor().name, Name::FirstTokenSeconds), // pydantic-ai, Vercel 7
    ("ai.response.msToFirstChunk", Name::FirstTokenMilliseconds),
    (metrics::GEN_AI_SERVER_FIRST_TOKEN.descriptor().name, Name::FirstToken),
    ("gen_ai.tool.definitions", Name::ToolDefinitions),
    ("ai.prompt.tools", Name::ToolDefinitions),
    ("gen_ai.agent.tools", Name::ToolNames), // Strands
    ("error.type", Name::Error),
    ("server.address", Name::ServerAddress),
    ("cloud.region", Name::Region),
    ("aws.region", Name::Region), // instrumentations of botocore
    ("openai.response.service_tier", Name::ServiceTier),
    ("gen_ai.openai.response.service_tier", Name::ServiceTier),
    ("openai.request.service_tier", Name::ServiceTier),
    ("gen_ai.openai.request.service_tier", Name::ServiceTier),
];

/// The JSON of what Python writes for a dictionary of numbers.
fn of_python(text: &str) -> String {
    text.replace('\'', "\"").replace("None", "null").replace("True", "true").replace("False", "false")
}

/// Attributes that come one for each tool, with a number between these: of each tool the one that tells most.
const OF_ONE_TOOL: [(&str, &str); 3] = [
    ("llm.tools.", ".tool.json_schema"),       // OpenInference
    ("llm.request.functions.", ".name"),       // OpenLLMetry
    ("llm.request.functions.", ".parameters"), // OpenLLMetry, beside the name
];

/// Beginnings of the names under which what was said to a model is sent. What they hold is hashed and not kept.
const PROMPTS: [&str; 9] = [
    "gen_ai.input.messages",
    "gen_ai.system_instructions",
    "gen_ai.prompt.", // OpenLLMetry
    "gen_ai.prompt",
    "llm.input_messages.", // OpenInference
    "llm.prompts",
    "ai.prompt.messages", // Vercel
    "langfuse.observation.input",
    "mlflow.spanInputs",
];

/// The longest name.
const LONGEST: usize = 80;

/// One line of [`NAMES`] with its rank.
#[derive(Clone, Copy)]
pub(super) struct Line {
    pub(super) key: &'static str,
    name: Name,
    rank: u8,
}

/// Names are told apart by a mark of so many bits before a byte of them is compared.
const MARKS: usize = 256;

/// What the length and the last eight bytes of a name come to: few names have the same.
#[inline]
const fn mark(key: &[u8]) -> usize {
    /// The golden ratio's bits, which have no pattern.
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    let end = match key.last_chunk::<8>() {
        Some(end) => u64::from_le_bytes(*end),
        None => 0,
    };
    let mixed = (end ^ (key.len() as u64).rotate_left(56)).wrapping_mul(SPREAD);
    (mixed >> 56) as usize
}

/// The marks of [`NAMES`].
#[expect(clippy::indexing_slicing, reason = "this runs in the compiler, which refuses an index out of range")]
const MARKED: [usize; NAMES.len()] = {
    let mut marked = [0; NAMES.len()];
    let mut rank = 0;
    while rank < NAMES.len() {
        assert!(NAMES[rank].0.len() <= LONGEST, "a name is longer than LONGEST");
        marked[rank] = mark(NAMES[rank].0.as_bytes());
        rank += 1;
    }
    marked
};

/// The names by mark and then by rank.
#[expect(clippy::indexing_slicing, reason = "this runs in the compiler, which refuses an index out of range")]
static LINES: [Line; NAMES.len()] = {
    let mut lines = [Line { key: "", name: Name::Operation, rank: 0 }; NAMES.len()];
    assert!(NAMES.len() <= 256, "a rank has eight bits");
    let (mut mark, mut next) = (0, 0);
    while mark < MARKS {
        let mut rank = 0;
        while rank < NAMES.len() {
            if MARKED[rank] == mark {
                #[expect(clippy::cast_possible_truncation, reason = "there are no more than 256 names")]
                let line = Line { key: NAMES[rank].0, name: NAMES[rank].1, rank: rank as u8 };
                lines[next] = line;
                next += 1;
            }
            rank += 1;
        }
        mark += 1;
    }
    lines
};

/// Where the names of each mark begin in [`LINES`].
#[expect(clippy::indexing_slicing, reason = "this runs in the compiler, which refuses an index out of range")]
static STARTS: [u8; MARKS + 1] = {
    let mut starts = [0; MARKS + 1];
    let mut rank = 0;
    while rank < NAMES.len() {
        starts[MARKED[rank] + 1] += 1;
        rank += 1;
    }
    let mut mark = 0;
    while mark < MARKS {
        starts[mark + 1] += starts[mark];
        mark += 1;
    }
    starts
};

/// The line of a name, if it is one that tells of a call.
#[inline]
pub(super) fn find(key: &[u8]) -> Option<&'static Line> {
    let mark = mark(key);
    let (&start, &end) = (STARTS.get(mark)?, STARTS.get(mark + 1)?);
    LINES.get(usize::from(start)..usize::from(end))?.iter().find(|line| line.key.as_bytes() == key)
}

/// The attributes of one span or log record that tell of a call.
pub(crate) struct Call<'a> {
    values: [AnyValue<'a>; Name::COUNT],
    /// The rank of each value.
    ranks: [u8; Name::COUNT],
    /// Which values there are, by their bits.
    has: u32,
    tools: Option<ToolDefinitions>,
    prompt: Option<u64>,
}

impl<'a> Call<'a> {
    /// Nothing is told yet.
    pub(super) const fn new() -> Self {
        assert!(Name::COUNT <= u32::BITS as usize, "a name has no bit");
        Self {
            values: [const { AnyValue::Empty }; Name::COUNT],
            ranks: [0; Name::COUNT],
            has: 0,
            tools: None,
            prompt: None,
        }
    }

    /// Forgets all that was told.
    pub(super) const fn clear(&mut self) {
        self.has = 0;
        self.tools = None;
        self.prompt = None;
    }

    /// Reads attributes of which some have a meaning of their own here.
    pub(super) fn of(
        attributes: Attributes<'a>,
        own: &'static [(&'static str, Name)],
        prompts: &RandomState,
    ) -> Result<Self, Error> {
        let mut call = Self::new();
        for attribute in attributes {
            let attribute = attribute?;
            match own.iter().find(|(key, _)| *key == attribute.key) {
                Some(&(key, name)) => call.put(&Line { key, name, rank: 0 }, attribute.value()?),
                None => call.take(&attribute, find(attribute.key.as_bytes()), || attribute.value(), prompts)?,
            }
        }
        Ok(call)
    }

    /// Takes the next attribute, whose name has this line, and whose `value` is read where it tells something.
    #[inline]
    pub(super) fn take(
        &mut self,
        attribute: &Attribute<'a>,
        line: Option<&'static Line>,
        value: impl FnOnce() -> Result<AnyValue<'a>, Error>,
        prompts: &RandomState,
    ) -> Result<(), Error> {
        match line {
            Some(line) if line.name == Name::Members => self.take_members(line, value()?)?,
            Some(line) => self.put(line, value()?),
            None if PROMPTS.iter().any(|beginning| attribute.key.starts_with(beginning)) => {
                let mut hasher = prompts.build_hasher();
                hasher.write_u64(self.prompt.unwrap_or_default());
                hasher.write(attribute.key.as_bytes());
                hasher.write(attribute.raw());
                self.prompt = Some(hasher.finish());
            }
            None if attribute.key.starts_with("llm.") => self.take_tool(attribute.key, value)?,
            None => {}
        }
        Ok(())
    }

    fn take_members(&mut self, line: &Line, value: AnyValue<'a>) -> Result<(), Error> {
        match value {
            AnyValue::Text(text) => {
                let members = serde_json::from_str(text).or_else(|_| serde_json::from_str(&of_python(text)));
                if let Ok(members) = members {
                    self.put_members(line.key, &members);
                }
            }
            AnyValue::KeyValues(members) => {
                for member in members {
                    let member = member?;
                    if let Some(line) = find(format!("{}.{}", line.key, member.key).as_bytes()) {
                        self.put(line, member.value()?);
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn put(&mut self, line: &Line, value: AnyValue<'a>) {
        let (place, bit) = (line.name as usize, 1 << line.name as u32);
        if let (Some(slot), Some(rank)) = (self.values.get_mut(place), self.ranks.get_mut(place))
            && (self.has & bit == 0 || line.rank <= *rank)
        {
            (*slot, *rank) = (value, line.rank);
            self.has |= bit;
        }
    }

    /// Puts the numbers of a JSON object where its members have lines.
    fn put_members(&mut self, path: &str, members: &Map<String, Json>) {
        for (key, value) in members {
            let path = format!("{path}.{key}");
            match value {
                Json::Object(inner) if path.len() <= LONGEST => self.put_members(&path, inner),
                Json::Number(number) => {
                    if let Some(line) = find(path.as_bytes()) {
                        let value = number.as_i64().map(AnyValue::Int);
                        self.put(line, value.unwrap_or(AnyValue::Double(number.as_f64().unwrap_or(f64::NAN))));
                    }
                }
                _ => {}
            }
        }
    }

    fn take_tool(&mut self, key: &str, value: impl FnOnce() -> Result<AnyValue<'a>, Error>) -> Result<(), Error> {
        for (before, after) in OF_ONE_TOOL {
            let number = key.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
            if let Some(number) = number.and_then(|number| number.parse::<u16>().ok()) {
                let tools = self.tools.get_or_insert_default();
                tools.count = tools.count.max(u32::from(number) + 1);
                if let AnyValue::Text(text) = value()? {
                    tools.bytes = tools.bytes.saturating_add(text.len() as u64);
                }
                break;
            }
        }
        Ok(())
    }

    pub(super) fn value(&self, name: Name) -> Option<&AnyValue<'a>> {
        if self.has(name) { self.values.get(name as usize) } else { None }
    }

    pub(super) const fn has(&self, name: Name) -> bool {
        self.has & (1 << name as u32) != 0
    }

    /// The text; `None` for any other value and for one without visible characters.
    pub(super) fn text(&self, name: Name) -> Option<&'a str> {
        match self.value(name) {
            Some(AnyValue::Text(text)) => Some(trimmed(text)).filter(|text| !text.is_empty()),
            _ => None,
        }
    }

    /// The text, or the first of a list of texts, which may be told as JSON.
    pub(super) fn first_text(&self, name: Name) -> Option<&'a str> {
        let text = match self.value(name)? {
            AnyValue::Array(texts) => match texts.values().next()? {
                Ok(AnyValue::Text(text)) => text,
                _ => return None,
            },
            AnyValue::Text(text) => text.trim().trim_start_matches(['[', '"', ' ']).split(['"', ',', ']']).next()?,
            _ => return None,
        };
        Some(text.trim()).filter(|text| !text.is_empty())
    }

    /// A time that is told as a number.
    pub(super) fn number(&self, name: Name) -> Option<f64> {
        let number = match self.value(name)? {
            AnyValue::Int(number) => *number as f64,
            AnyValue::Double(number) => *number,
            AnyValue::Text(text) => text.trim().parse().ok()?,
            _ => return None,
        };
        Some(number).filter(|number| number.is_finite() && *number >= 0.0)
    }

    /// The time to the first token in seconds, if it is told.
    pub(super) fn first_token(&self) -> Option<f64> {
        let in_seconds = self.number(Name::FirstTokenSeconds);
        let in_milliseconds = || Some(self.number(Name::FirstTokenMilliseconds)? / 1000.0);
        let either = || match self.value(Name::FirstToken)? {
            AnyValue::Int(_) => Some(self.number(Name::FirstToken)? / 1000.0),
            _ => self.number(Name::FirstToken),
        };
        in_seconds.or_else(in_milliseconds).or_else(either)
    }

    /// A hash of what was said to the model, in the order in which it is told; `None` where it is not told.
    pub(super) const fn prompt(&self) -> Option<u64> {
        self.prompt
    }

    /// The tools that the model was told of.
    pub(super) fn tools(&self) -> Option<ToolDefinitions> {
        let listed = |name, has_bytes| {
            let (count, bytes) = match self.value(name)? {
                AnyValue::Text(text) => (serde_json::from_str::<Vec<IgnoredAny>>(text).ok()?.len(), text.len()),
                AnyValue::Array(values) => {
                    let (mut count, mut bytes) = (0, 0);
                    for value in values.values() {
                        count += 1;
                        if let Ok(AnyValue::Text(text)) = value {
                            bytes += text.len();
                        }
                    }
                    (count, bytes)
                }
                _ => return None,
            };
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            Some(ToolDefinitions { count, bytes: if has_bytes { bytes as u64 } else { 0 } })
        };
        listed(Name::ToolDefinitions, true).or(self.tools).or_else(|| listed(Name::ToolNames, false))
    }
}

/// The text without space around it, of which nearly all have none.
#[inline]
fn trimmed(text: &str) -> &str {
    match text.as_bytes() {
        [b'!'..=b'~'] | [b'!'..=b'~', .., b'!'..=b'~'] => text,
        _ => text.trim(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_with_its_meaning_and_rank() {
        for (rank, (key, name)) in NAMES.iter().enumerate() {
            let line = find(key.as_bytes()).unwrap();
            assert_eq!((line.key, line.name, usize::from(line.rank)), (*key, *name, rank));
        }
        for other in ["", "gen_ai", "gen_ai.input.messages", "gen_ai.prompt.0.content", "gen_ai.usage.input_tokenz"] {
            assert!(find(other.as_bytes()).is_none(), "{other}");
        }
        assert!(find(&[b'x'; LONGEST + 1]).is_none() && find(&[b'x'; 1000]).is_none());
    }
}
