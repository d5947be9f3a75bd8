//! What an inference engine tells of itself.

use crate::attribute::Text;
use crate::quantity::Ratio;
use crate::subject::EngineKey;

/// What one model on one engine shows at one moment.
///
/// Counters are as the engine has them, since it started: an engine that starts again begins them anew. Tokens and
/// requests are whole numbers, clocks nanoseconds. A field that the engine does not have is `None`, and `missing` names
/// it for people.
#[derive(Clone, Debug, PartialEq)]
pub struct EngineReading {
    /// Which model on which engine.
    pub engine: EngineKey,
    /// The service that its energy is booked under: a name from the configuration, the pod, or the address.
    pub service: Text,
    /// What it runs on, as far as the configuration tells. Without it nothing is said of its energy.
    pub hardware: Option<EngineHardware>,
    /// The accelerators that it runs on, by their `hw.id`, as far as the configuration tells: what these draw for whoever
    /// holds them is its energy then.
    pub devices: Vec<Text>,
    /// Tokens since its start.
    pub tokens: EngineTokens,
    /// Requests finished since its start, by why they ended in the engine's words. Empty where it does not count them.
    pub requests: Vec<(Text, u64)>,
    /// Requests that it works on now: the batch.
    pub running: Option<f64>,
    /// Replicas that share those requests out: each has the batch of its part.
    pub replicas: u32,
    /// Requests that wait now.
    pub waiting: Option<f64>,
    /// Share of the cache of keys and values that is used now, 0 to 1.
    pub cache_usage: Option<Ratio>,
    /// Requests put back since its start because the cache was full.
    pub preemptions: Option<u64>,
    /// Time spent reading prompts and generating since its start.
    pub phases: Option<PhaseTimes>,
    /// Seconds from a request's arrival to its first token.
    pub first_token: Option<HistogramReading>,
    /// Seconds between two tokens.
    pub per_token: Option<HistogramReading>,
    /// Seconds from a request's arrival to its end.
    pub duration: Option<HistogramReading>,
    /// What such a reading could hold and this engine does not tell.
    pub missing: Vec<&'static str>,
}

impl EngineReading {
    /// An engine of which nothing else is known.
    pub const fn new(engine: EngineKey, service: Text) -> Self {
        Self {
            engine,
            service,
            hardware: None,
            devices: Vec::new(),
            tokens: EngineTokens { input: None, cached: None, output: None, drafted: None, accepted: None },
            requests: Vec::new(),
            running: None,
            replicas: 1,
            waiting: None,
            cache_usage: None,
            preemptions: None,
            phases: None,
            first_token: None,
            per_token: None,
            duration: None,
            missing: Vec::new(),
        }
    }
}

/// Tokens of an engine since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineTokens {
    /// Of prompts; those that were in the cache included, but for llama.cpp, which counts those that it read.
    pub input: Option<u64>,
    /// Of the prompts, found in the cache.
    pub cached: Option<u64>,
    /// Generated.
    pub output: Option<u64>,
    /// Drafted to decode speculatively,
    pub drafted: Option<u64>,
    /// and accepted.
    pub accepted: Option<u64>,
}

/// Time that an engine spent since its start, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PhaseTimes {
    /// Reading prompts,
    pub prefill_ns: u64,
    /// and whose time that is.
    pub prefill_clock: PhaseClock,
    /// Generating,
    pub decode_ns: u64,
    /// and whose time that is.
    pub decode_clock: PhaseClock,
}

/// Whose time the clocks of an engine's phases count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PhaseClock {
    /// The engine's own: a second is counted once, so that the two divide its time.
    Engine,
    /// That of its requests, which overlap: with a batch of eight a second is counted eight times.
    Requests,
}

impl PhaseClock {
    /// The value of `engine.clock`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Engine => "engine",
            Self::Requests => "requests",
        }
    }
}

/// A distribution by buckets with fixed bounds, counted since the source's start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HistogramReading {
    /// Upper bounds in rising order, each with how many values are at or below it; the infinite one is left out.
    pub buckets: Vec<(f64, u64)>,
    /// All values.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
}

/// What an engine runs on, as the configuration tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EngineHardware {
    /// The kind of its GPUs.
    pub gpu: Gpu,
    /// How many of them one replica takes; `None` for as many as hold the model.
    pub gpus: Option<u32>,
    /// Bytes of memory for each parameter: 2 with 16 bits. `None` for 2.
    pub bytes_per_parameter: Option<f64>,
    /// What it mostly does.
    pub task: EngineTask,
}

/// GPUs that the model of an engine's energy was fitted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Gpu {
    /// NVIDIA H100, 80 GB.
    H100,
    /// NVIDIA B200, 180 GB.
    B200,
}

/// What an engine mostly does: how long its prompts and answers are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineTask {
    /// Conversations: some hundred tokens in and out.
    #[default]
    Chat,
    /// Answers of thousands of tokens.
    Reasoning,
    /// Long prompts and short answers, such as completing code.
    Completion,
}
