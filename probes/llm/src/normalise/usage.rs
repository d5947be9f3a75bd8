//! The tokens of a call, in one form: input with what was read from and written to caches, output with reasoning.

use wattline_core::reading::TokenUsage;
use wattline_wire::trace::AnyValue;

use super::attributes::{Call, Name};

/// The most tokens that one call can have used. A larger count is a mistake of the sender.
pub(super) const MOST_TOKENS: u64 = 1_000_000_000;

/// Why counts are not booked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoUsage {
    /// There are none.
    Unknown,
    /// One is no whole number from 0 to 10^9.
    Absurd,
    /// They contradict one another.
    Contradictory,
}

/// Whether an emitter's input counts cached tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CachedInput {
    /// It counts them, as the semantic conventions want.
    Within,
    /// It leaves them out, as Anthropic's and Amazon Bedrock's own counts do.
    Beside,
}

/// Emitters whose counts do not tell whether their input has cached tokens in it, by the name of their scope, or by how it
/// begins, up to a dot. The longest that fits counts. Each was seen in what it sent (`docs/dialects.md`); emitters change
/// between versions, so that what the counts themselves say comes first. Strands is not here: it says the one in one
/// version and the other in another.
const EMITTERS: &[(&str, CachedInput)] = &[
    ("opentelemetry.instrumentation.", CachedInput::Within),
    ("opentelemetry.instrumentation.bedrock", CachedInput::Beside), // OpenLLMetry; its total leaves them out, too
    ("opentelemetry.instrumentation.genai.bedrock", CachedInput::Beside),
    ("opentelemetry.instrumentation.botocore.bedrock-runtime", CachedInput::Beside),
    ("openinference.instrumentation.", CachedInput::Within),
    ("openlit.instrumentation.", CachedInput::Within),
    ("openlit.instrumentation.anthropic", CachedInput::Beside),
    ("openlit.instrumentation.bedrock", CachedInput::Beside),
    ("com.anthropic.sdk.", CachedInput::Within),
    ("langsmith", CachedInput::Within),
    ("litellm", CachedInput::Within),
    ("pydantic-ai", CachedInput::Within),
    ("ai", CachedInput::Within),     // Vercel
    ("gen_ai", CachedInput::Within), // Vercel
];

/// What the counts of a call by such an emitter are, and whether it could not be decided if its input has cached tokens
/// in it.
pub(super) fn usage(call: &Call<'_>, emitter: Option<CachedInput>) -> Result<(TokenUsage, bool), NoUsage> {
    if !call.has(Name::Input) && !call.has(Name::Output) {
        return Err(NoUsage::Unknown);
    }
    let tokens = |name| match call.value(name) {
        None => Ok(None),
        Some(value) => whole_tokens(value).map(Some).ok_or(NoUsage::Absurd),
    };
    let or_none = |name| tokens(name).map(Option::unwrap_or_default);
    let hour = or_none(Name::CacheWriteHour)?;
    let counts = Counts {
        input: or_none(Name::Input)?,
        output: or_none(Name::Output)?,
        cache_read: or_none(Name::CacheRead)?,
        cache_write: or_none(Name::CacheWrite)?.max(hour),
        cache_write_1h: hour,
        reasoning: or_none(Name::Reasoning)?,
        total: tokens(Name::Total)?.filter(|&total| total > 0),
    };
    counts.normal(emitter)
}

/// What is known of the emitter whose scope has this name.
pub(super) fn of_emitter(scope: &str) -> Option<CachedInput> {
    let fits = |name: &str| scope == name || (name.ends_with('.') && scope.starts_with(name));
    let known = EMITTERS.iter().filter(|(name, _)| fits(name));
    known.max_by_key(|(beginning, _)| beginning.len()).map(|(_, rule)| *rule)
}

/// Counts as a sender tells them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) input: u64,
    pub(crate) output: u64,
    pub(crate) cache_read: u64,
    pub(crate) cache_write: u64,
    /// Of the above.
    pub(crate) cache_write_1h: u64,
    pub(crate) reasoning: u64,
    pub(crate) total: Option<u64>,
}

impl Counts {
    /// The counts in their normal form, and whether it could not be decided if the input has cached tokens in it.
    ///
    /// Parts that exceed their whole stand beside it, and so do parts that the total has beside it. Else what is known of
    /// the emitter tells; else a total of input and output; else the semantic conventions are taken to hold. A total that
    /// is more than all its parts hides tokens, and is flagged.
    pub(crate) fn normal(self, emitter: Option<CachedInput>) -> Result<(TokenUsage, bool), NoUsage> {
        let Self { input, output, cache_read, cache_write, cache_write_1h, reasoning, total } = self;
        if total.is_some_and(|total| total < input.max(output)) {
            return Err(NoUsage::Contradictory);
        }
        let cached = cache_read + cache_write;
        let is_total = |beside: u64| total == Some(input + output + beside);
        let reasoning_beside = reasoning > output
            || (reasoning > 0
                && !is_total(0)
                && !is_total(cached)
                && (is_total(reasoning) || is_total(reasoning + cached)));
        let more = if reasoning_beside { reasoning } else { 0 };
        let (cached_beside, is_doubtful) = if cached == 0 {
            (false, total.is_some_and(|total| total > input + output + reasoning))
        } else if cached > input || is_total(more + cached) {
            (true, false)
        } else {
            (emitter == Some(CachedInput::Beside), emitter.is_none() && !is_total(more))
        };
        let usage = TokenUsage {
            input: if cached_beside { input + cached } else { input },
            output: output + more,
            cache_read,
            cache_write,
            cache_write_1h,
            reasoning,
        };
        Ok((usage, is_doubtful))
    }
}

/// A count of tokens that can be believed. Some senders write it as a text or as a floating-point number.
pub(crate) fn whole_tokens(value: &AnyValue<'_>) -> Option<u64> {
    let count = match value {
        AnyValue::Int(count) => u64::try_from(*count).ok(),
        AnyValue::Double(count) => whole(*count),
        AnyValue::Text(text) => {
            let text = text.trim_ascii();
            text.parse().ok().or_else(|| text.parse().ok().and_then(whole))
        }
        _ => None,
    };
    count.filter(|&count| count <= MOST_TOKENS)
}

fn whole(count: f64) -> Option<u64> {
    let in_range = (0.0..=MOST_TOKENS as f64).contains(&count);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number in range")]
    (in_range && count.fract() == 0.0).then_some(count as u64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ONE: Counts = Counts {
        input: 100,
        output: 20,
        cache_read: 60,
        cache_write: 10,
        cache_write_1h: 0,
        reasoning: 5,
        total: None,
    };

    fn input(counts: Counts, emitter: Option<CachedInput>) -> (u64, u64, bool) {
        let (usage, doubt) = counts.normal(emitter).unwrap();
        (usage.input, usage.output, doubt)
    }

    #[test]
    fn a_total_tells_what_stands_beside() {
        for emitter in [None, Some(CachedInput::Within), Some(CachedInput::Beside)] {
            assert_eq!(input(Counts { total: Some(190), ..ONE }, emitter), (170, 20, false));
            assert_eq!(input(Counts { total: Some(195), ..ONE }, emitter), (170, 25, false));
            assert_eq!(input(Counts { input: 30, ..ONE }, emitter), (100, 20, false));
        }
        for emitter in [None, Some(CachedInput::Within)] {
            assert_eq!(input(Counts { total: Some(120), ..ONE }, emitter), (100, 20, false));
            assert_eq!(input(Counts { total: Some(125), ..ONE }, emitter), (100, 25, false));
        }
        // Who is known to count cached tokens beside its input may count them beside its total, too.
        assert_eq!(input(Counts { total: Some(120), ..ONE }, Some(CachedInput::Beside)), (170, 20, false));
    }

    #[test]
    fn without_a_total_that_fits_the_emitter_tells_and_else_it_is_flagged() {
        for total in [None, Some(121)] {
            let counts = Counts { total, ..ONE };
            assert_eq!(input(counts, Some(CachedInput::Within)), (100, 20, false));
            assert_eq!(input(counts, Some(CachedInput::Beside)), (170, 20, false));
            assert_eq!(input(counts, None), (100, 20, true));
        }
        assert_eq!(input(Counts { cache_read: 0, cache_write: 0, ..ONE }, None), (100, 20, false));
    }

    #[test]
    fn emitters_are_told_apart_by_their_scope() {
        for (scope, expected) in [
            ("opentelemetry.instrumentation.openai.v1", Some(CachedInput::Within)),
            ("opentelemetry.instrumentation.anthropic", Some(CachedInput::Within)),
            ("opentelemetry.instrumentation.bedrock", Some(CachedInput::Beside)),
            ("opentelemetry.instrumentation.genai.anthropic", Some(CachedInput::Within)),
            ("opentelemetry.instrumentation.genai.bedrock", Some(CachedInput::Beside)),
            ("opentelemetry.instrumentation.botocore.bedrock-runtime", Some(CachedInput::Beside)),
            ("openlit.instrumentation.openai", Some(CachedInput::Within)),
            ("openlit.instrumentation.anthropic", Some(CachedInput::Beside)),
            ("ai", Some(CachedInput::Within)),
            ("ai-of-mine", None),
            ("strands.telemetry.tracer", None),
            ("", None),
        ] {
            assert_eq!(of_emitter(scope), expected, "{scope}");
        }
    }

    #[test]
    fn a_total_below_its_parts_is_a_contradiction() {
        assert_eq!(Counts { total: Some(99), ..ONE }.normal(None), Err(NoUsage::Contradictory));
    }

    proptest! {
        #[test]
        fn every_reading_of_the_counts_comes_back_from_its_total(
            (uncached, cache_read, cache_write, output, reasoning) in
                (1u64..1_000_000, 0u64..1_000_000, 0u64..1_000_000, 0u64..1_000_000, 0u64..1_000_000),
            beside in any::<bool>(),
        ) {
            let reasoning = reasoning.min(output);
            let cached = cache_read + cache_write;
            let total = Some(uncached + cached + output);
            let told = if beside { uncached } else { uncached + cached };
            let counts =
                Counts { input: told, output, cache_read, cache_write, cache_write_1h: 0, reasoning, total };
            let (usage, doubt) = counts.normal(None).unwrap();
            // A sum may fit two readings by chance; then the convention's is taken.
            if reasoning != cached {
                prop_assert_eq!((usage.input, usage.output, doubt), (uncached + cached, output, false));
            }
        }
    }
}
