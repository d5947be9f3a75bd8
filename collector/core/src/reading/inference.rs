//! Calls of language models.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use crate::attribute::Text;
use crate::quantity::{Ratio, Seconds};
use crate::subject::InferenceKey;
use crate::time::Timestamp;

/// Tokens of one call. `input` includes those read from and written to a cache; `output` includes reasoning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenUsage {
    /// Input tokens, cached ones included.
    pub input: u64,
    /// Output tokens, reasoning included.
    pub output: u64,
    /// Of the input, read from a cache.
    pub cache_read: u64,
    /// Of the input, written to a cache, for however long.
    pub cache_write: u64,
    /// Of what was written to a cache, what was written for an hour, where that is told.
    pub cache_write_1h: u64,
    /// Of the output, reasoning.
    pub reasoning: u64,
}

/// A completed call of a language model, once normalised.
///
/// What it has in common with most other calls is shared with them; it reads as if it stood in the call, and a call that
/// is changed gets its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Inference {
    /// What other calls share.
    pub kind: Arc<CallKind>,
    /// When it began.
    pub start: Timestamp,
    /// How long it took.
    pub duration: Seconds,
    /// From the beginning to the first token or chunk, where it was streamed and that is told.
    pub time_to_first_token: Option<Seconds>,
    /// Its tokens.
    pub usage: TokenUsage,
    /// The tools that the model was told of, if that is told.
    pub tools: Option<ToolDefinitions>,
    /// The share of calls that is seen, 1 without sampling: each call seen stands for 1/probability.
    pub probability: Ratio,
    /// What could not be decided about it.
    pub doubts: Doubts,
    /// By what it is told from other calls, and found in other telemetry.
    pub identity: CallIdentity,
}

/// What calls of one service to one model have in common, and how they ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallKind {
    /// What it is booked under.
    pub key: InferenceKey,
    /// The model asked for, which a router may have changed.
    pub request_model: Option<Text>,
    /// Why it ended, in the provider's words: `stop`, `length`, `tool_use`.
    pub finish_reason: Option<Text>,
    /// The cloud region that served it, if known.
    pub region: Option<Text>,
    /// The address that was called, if known.
    pub server_address: Option<Text>,
    /// The service tier as the provider names it, if it is told: `flex`, `priority`, `batch`.
    pub service_tier: Option<Text>,
    /// The error, if it failed.
    pub error: Option<Text>,
}

impl CallKind {
    /// A kind of which nothing else is known.
    pub const fn new(key: InferenceKey) -> Self {
        Self {
            key,
            request_model: None,
            finish_reason: None,
            region: None,
            server_address: None,
            service_tier: None,
            error: None,
        }
    }
}

impl Deref for Inference {
    type Target = CallKind;

    fn deref(&self) -> &CallKind {
        &self.kind
    }
}

impl DerefMut for Inference {
    fn deref_mut(&mut self) -> &mut CallKind {
        Arc::make_mut(&mut self.kind)
    }
}

impl Inference {
    /// A call of which nothing else is known.
    pub fn new(key: InferenceKey, start: Timestamp, duration: Seconds, usage: TokenUsage) -> Self {
        Self::of(Arc::new(CallKind::new(key)), start, duration, usage)
    }

    /// A call of a known kind.
    pub fn of(kind: Arc<CallKind>, start: Timestamp, duration: Seconds, usage: TokenUsage) -> Self {
        Self {
            kind,
            start,
            duration,
            time_to_first_token: None,
            usage,
            tools: None,
            probability: Ratio::new(1.0),
            doubts: Doubts::default(),
            identity: CallIdentity::default(),
        }
    }

    /// Takes over from another account of the same call what this one does not tell.
    pub fn complete(&mut self, other: &Self) {
        if self.kind != other.kind {
            self.complete_kind(&other.kind);
        }
        fill(&mut self.time_to_first_token, other.time_to_first_token.as_ref());
        fill(&mut self.tools, other.tools.as_ref());
        for (own, other) in
            [(&mut self.identity.response, other.identity.response), (&mut self.identity.prompt, other.identity.prompt)]
        {
            if *own == 0 {
                *own = other;
            }
        }
        // Parts of equal wholes are known where either account tells them.
        let (own, usage) = (&mut self.usage, &other.usage);
        if (own.input, own.output) == (usage.input, usage.output) {
            if own.cache_read + own.cache_write == 0 {
                (own.cache_read, own.cache_write) = (usage.cache_read, usage.cache_write);
                own.cache_write_1h = usage.cache_write_1h;
            }
            if own.reasoning == 0 {
                own.reasoning = usage.reasoning;
            }
        }
    }

    fn complete_kind(&mut self, other: &CallKind) {
        let CallKind { key, request_model, finish_reason, region, server_address, service_tier, error } = &mut **self;
        if &*key.provider == "unknown" {
            key.provider = other.key.provider.clone();
        }
        fill(&mut key.agent, other.key.agent.as_ref());
        fill(request_model, other.request_model.as_ref());
        fill(finish_reason, other.finish_reason.as_ref());
        fill(region, other.region.as_ref());
        fill(server_address, other.server_address.as_ref());
        fill(service_tier, other.service_tier.as_ref());
        fill(error, other.error.as_ref());
    }
}

fn fill<T: Clone>(own: &mut Option<T>, other: Option<&T>) {
    if own.is_none() {
        *own = other.cloned();
    }
}

/// Definitions of tools that went into a call's input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ToolDefinitions {
    /// How many.
    pub count: u32,
    /// Their length in bytes of JSON; 0 where only their names are told.
    pub bytes: u64,
}

/// What could not be decided about a call. It is booked all the same, and flagged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Doubts {
    /// Whether its input counts what was read from and written to caches.
    pub cached_input: bool,
    /// When it was: its times are those of a clock that is wrong.
    pub clock: bool,
    /// What was done: no table knows the operation, so that nothing says what it draws or costs.
    pub operation: bool,
}

/// By what one call is found again where two instrumentations, or two signals of one, tell of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallIdentity {
    /// The kind of telemetry that told of it.
    pub told_by: ToldBy,
    /// A hash of who told of it: the name of the instrumentation scope.
    pub scope: u64,
    /// A hash of the id that the provider gave the answer; 0 if none is told.
    pub response: u64,
    /// A keyed hash of the model and all that was said to it; 0 if that is not told.
    pub prompt: u64,
    /// The trace, 0 if there is none,
    pub trace: u128,
    /// the span,
    pub span: u64,
    /// and the span around it, 0 for a root.
    pub parent: u64,
}

/// Telemetry that tells of calls, the best first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ToldBy {
    /// A span.
    #[default]
    Span,
    /// A log record or an event: the provider's own log too.
    Log,
    /// The points of metrics.
    Metric,
}
