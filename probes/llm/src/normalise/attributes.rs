//! The attributes that tell of a call, by all names they have had.

use wattline_wire::protobuf::Error;
use wattline_wire::trace::{AnyValue, Span};

/// What an attribute means, whatever it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Operation,
    Provider,
    RequestModel,
    ResponseModel,
    Agent,
    Input,
    Output,
    CacheRead,
    CacheWrite,
    Reasoning,
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

/// Attribute names with their meaning. Of two names with one meaning the first wins, so the newest stands first.
///
/// The names are those of the OpenTelemetry semantic conventions for generative AI: the working copy of
/// semantic-conventions-genai, then 1.37 to 1.41, then 1.36 and before; last what OpenLLMetry and Strands Agents wrote
/// for cached and reasoning tokens before the conventions had a name. `aws.region` is what instrumentations of botocore
/// write. The service tier is the one that served the call, else the one asked for.
const NAMES: [(&str, Name); 26] = [
    ("gen_ai.operation.name", Name::Operation),
    ("gen_ai.provider.name", Name::Provider),
    ("gen_ai.system", Name::Provider),
    ("gen_ai.request.model", Name::RequestModel),
    ("gen_ai.response.model", Name::ResponseModel),
    ("gen_ai.agent.name", Name::Agent),
    ("gen_ai.usage.input_tokens", Name::Input),
    ("gen_ai.usage.prompt_tokens", Name::Input),
    ("gen_ai.usage.output_tokens", Name::Output),
    ("gen_ai.usage.completion_tokens", Name::Output),
    ("gen_ai.usage.cache_read.input_tokens", Name::CacheRead),
    ("gen_ai.usage.cache_read_input_tokens", Name::CacheRead),
    ("gen_ai.usage.cache_write.input_tokens", Name::CacheWrite),
    ("gen_ai.usage.cache_creation.input_tokens", Name::CacheWrite),
    ("gen_ai.usage.cache_write_input_tokens", Name::CacheWrite),
    ("gen_ai.usage.cache_creation_input_tokens", Name::CacheWrite),
    ("gen_ai.usage.reasoning.output_tokens", Name::Reasoning),
    ("gen_ai.usage.reasoning_tokens", Name::Reasoning),
    ("error.type", Name::Error),
    ("server.address", Name::ServerAddress),
    ("cloud.region", Name::Region),
    ("aws.region", Name::Region),
    ("openai.response.service_tier", Name::ServiceTier),
    ("gen_ai.openai.response.service_tier", Name::ServiceTier),
    ("openai.request.service_tier", Name::ServiceTier),
    ("gen_ai.openai.request.service_tier", Name::ServiceTier),
];

/// The longest name.
const LONGEST: usize = 40;

/// One line of [`NAMES`] with its rank.
#[derive(Clone, Copy)]
struct Line {
    key: &'static str,
    name: Name,
    rank: u8,
}

/// The names by length and then by rank. Few have the same length, so that most attributes of a span are told apart
/// without comparing a byte.
#[expect(clippy::indexing_slicing, reason = "this runs in the compiler, which refuses an index out of range")]
static LINES: [Line; NAMES.len()] = {
    let mut lines = [Line { key: "", name: Name::Operation, rank: 0 }; NAMES.len()];
    let (mut length, mut next) = (0, 0);
    while length <= LONGEST {
        let mut rank = 0;
        while rank < NAMES.len() {
            if NAMES[rank].0.len() == length {
                #[expect(clippy::cast_possible_truncation, reason = "there are fewer than 256 names")]
                let line = Line { key: NAMES[rank].0, name: NAMES[rank].1, rank: rank as u8 };
                lines[next] = line;
                next += 1;
            }
            rank += 1;
        }
        length += 1;
    }
    assert!(next == NAMES.len(), "a name is longer than LONGEST");
    lines
};

/// Where the names of each length begin in [`LINES`].
#[expect(clippy::indexing_slicing, reason = "this runs in the compiler, which refuses an index out of range")]
static STARTS: [u8; LONGEST + 2] = {
    let mut starts = [0; LONGEST + 2];
    let mut length = 0;
    while length <= LONGEST {
        let mut same = 0;
        let mut rank = 0;
        while rank < NAMES.len() {
            if NAMES[rank].0.len() == length {
                same += 1;
            }
            rank += 1;
        }
        starts[length + 1] = starts[length] + same;
        length += 1;
    }
    starts
};

#[inline]
fn find(key: &str) -> Option<&'static Line> {
    let (&start, &end) = (STARTS.get(key.len())?, STARTS.get(key.len() + 1)?);
    LINES.get(usize::from(start)..usize::from(end))?.iter().find(|line| line.key == key)
}

/// The attributes of one span that tell of a call.
pub(super) struct Call<'a> {
    slots: [Option<(u8, AnyValue<'a>)>; Name::COUNT],
}

impl<'a> Call<'a> {
    pub(super) fn read(span: &Span<'a>) -> Result<Self, Error> {
        let mut call = Self { slots: [const { None }; Name::COUNT] };
        for attribute in span.attributes() {
            let attribute = attribute?;
            let Some(line) = find(attribute.key) else { continue };
            let Some(slot) = call.slots.get_mut(line.name as usize) else { continue };
            if slot.as_ref().is_none_or(|(rank, _)| line.rank <= *rank) {
                *slot = Some((line.rank, attribute.value()?));
            }
        }
        Ok(call)
    }

    pub(super) fn value(&self, name: Name) -> Option<&AnyValue<'a>> {
        self.slots.get(name as usize)?.as_ref().map(|(_, value)| value)
    }

    pub(super) fn has(&self, name: Name) -> bool {
        self.value(name).is_some()
    }

    /// The text; `None` for any other value and for one without visible characters.
    pub(super) fn text(&self, name: Name) -> Option<&'a str> {
        match self.value(name) {
            Some(AnyValue::Text(text)) => Some(text.trim()).filter(|text| !text.is_empty()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_with_its_meaning_and_rank() {
        for (rank, (key, name)) in NAMES.into_iter().enumerate() {
            let line = find(key).unwrap();
            assert_eq!((line.key, line.name, usize::from(line.rank)), (key, name, rank));
        }
        for other in ["", "gen_ai", "gen_ai.input.messages", "gen_ai.prompt.0.content", "gen_ai.usage.input_tokenz"] {
            assert!(find(other).is_none(), "{other}");
        }
        assert!(find(&"x".repeat(LONGEST + 1)).is_none() && find(&"x".repeat(1000)).is_none());
    }
}
