//! What each engine calls what: one table for each, and the order in which names are tried.
//!
//! Names are without their prefix and without `_total`, which some builds put behind counters and others do not. Of the
//! rows of one field the first that the text has is read; further ones are older names, or a way around a counter that
//! is not there.
//!
//! Sources: vLLM 0.33 `vllm/v1/metrics/loggers.py`; `SGLang` 0.5.23 `srt/observability/metrics_collector.py`; TGI
//! `docs/source/reference/metrics.md` and `router/src/infer`; llama.cpp build 11434 `tools/server/server-task.cpp`;
//! TensorRT-LLM `tensorrt_llm/metrics/collector.py`; NIM's observability page; Triton `docs/user_guide/metrics.md`;
//! `LiteLLM` 1.108 `litellm/integrations/prometheus.py`.

use wattline_core::reading::PhaseClock;
use wattline_core::subject::EngineKind;

/// What a reading has a place for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Field {
    /// Tokens of prompts.
    Input,
    /// Of them, found in the cache.
    Cached,
    /// Generated tokens.
    Output,
    /// Drafted tokens,
    Drafted,
    /// and those accepted.
    Accepted,
    /// Finished requests by reason.
    Requests,
    /// Requests at work.
    Running,
    /// Requests that wait.
    Waiting,
    /// Share of the cache in use.
    CacheUsage,
    /// Requests put back.
    Preemptions,
    /// Seconds of reading prompts.
    Prefill,
    /// Seconds of generating.
    Decode,
    /// Time to the first token.
    FirstToken,
    /// Time between tokens.
    PerToken,
    /// Time of a request.
    Duration,
}

impl Field {
    /// All of them, in the order in which they are told missing.
    pub(super) const ALL: [Self; 15] = [
        Self::Input,
        Self::Cached,
        Self::Output,
        Self::Drafted,
        Self::Accepted,
        Self::Requests,
        Self::Running,
        Self::Waiting,
        Self::CacheUsage,
        Self::Preemptions,
        Self::Prefill,
        Self::Decode,
        Self::FirstToken,
        Self::PerToken,
        Self::Duration,
    ];

    /// The words for a person who is told that it is missing. What only exists where tokens are drafted is not missed.
    pub(super) const fn missed(self) -> Option<&'static str> {
        Some(match self {
            Self::Input => "prompt tokens",
            Self::Cached => "cached prompt tokens",
            Self::Output => "generated tokens",
            Self::Requests => "finished requests",
            Self::Running => "running requests",
            Self::Waiting => "waiting requests",
            Self::CacheUsage => "cache usage",
            Self::Preemptions => "preemptions",
            Self::Prefill => "prefill time",
            Self::Decode => "decode time",
            Self::FirstToken => "time to first token",
            Self::PerToken => "time per token",
            Self::Duration => "request duration",
            Self::Drafted | Self::Accepted => return None,
        })
    }
}

/// The form that a name has in the text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Form {
    /// A number.
    Number,
    /// The sum of a histogram or a summary: a counter by another name.
    Sum,
    /// All of a histogram.
    Histogram,
}

/// One name of a field.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) field: Field,
    pub(super) form: Form,
    pub(super) name: &'static str,
    /// Only series with one of these values of this label.
    pub(super) only: Option<(&'static str, &'static [&'static str])>,
    /// All but series with this value of this label.
    pub(super) except: Option<(&'static str, &'static str)>,
    /// The label that tells why requests ended, or the word for all of them.
    pub(super) reason: Reason,
    /// What one of its units is in ours.
    pub(super) unit: f64,
}

/// Why requests ended, as a row of [`Field::Requests`] tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// A label tells.
    Label(&'static str),
    /// All of them ended so.
    Word(&'static str),
}

const fn row(field: Field, form: Form, name: &'static str) -> Row {
    Row { field, form, name, only: None, except: None, reason: Reason::Word("unknown"), unit: 1.0 }
}

const fn number(field: Field, name: &'static str) -> Row {
    row(field, Form::Number, name)
}

const fn sum(field: Field, name: &'static str) -> Row {
    row(field, Form::Sum, name)
}

const fn histogram(field: Field, name: &'static str) -> Row {
    row(field, Form::Histogram, name)
}

impl Row {
    const fn only(self, label: &'static str, values: &'static [&'static str]) -> Self {
        Self { only: Some((label, values)), ..self }
    }

    const fn except(self, label: &'static str, value: &'static str) -> Self {
        Self { except: Some((label, value)), ..self }
    }

    const fn by(self, label: &'static str) -> Self {
        Self { reason: Reason::Label(label), ..self }
    }

    const fn ended(self, word: &'static str) -> Self {
        Self { reason: Reason::Word(word), ..self }
    }

    const fn unit(self, unit: f64) -> Self {
        Self { unit, ..self }
    }
}

/// How one engine names things.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dialect {
    pub(super) kind: EngineKind,
    /// What its names begin with; one of these.
    pub(super) prefixes: &'static [&'static str],
    /// Labels that name the model, the best first.
    pub(super) models: &'static [&'static str],
    pub(super) rows: &'static [Row],
    /// Whose time its phases count.
    pub(super) clock: PhaseClock,
    /// Its count of prompt tokens leaves out those that were cached.
    pub(super) input_is_uncached: bool,
}

/// The dialect of a kind.
pub(super) const fn of(kind: EngineKind) -> &'static Dialect {
    match kind {
        EngineKind::Vllm => &VLLM,
        EngineKind::Sglang => &SGLANG,
        EngineKind::Tgi => &TGI,
        EngineKind::LlamaCpp => &LLAMA_CPP,
        EngineKind::TensorRtLlm => &TENSORRT_LLM,
        EngineKind::Nim => &NIM,
        EngineKind::Triton => &TRITON,
        EngineKind::LiteLlm => &LITELLM,
    }
}

const MODEL: &[&str] = &["model_name", "model"];

static VLLM: Dialect = Dialect {
    kind: EngineKind::Vllm,
    prefixes: &["vllm:", "vllm_"],
    models: MODEL,
    clock: PhaseClock::Requests,
    input_is_uncached: false,
    rows: VLLM_ROWS,
};

const VLLM_ROWS: &[Row] = &[
    number(Field::Input, "prompt_tokens"),
    sum(Field::Input, "request_prompt_tokens"),
    number(Field::Cached, "prompt_tokens_cached"),
    number(Field::Cached, "prefix_cache_hits"),
    number(Field::Cached, "gpu_prefix_cache_hits"),
    number(Field::Output, "generation_tokens"),
    sum(Field::Output, "request_generation_tokens"),
    number(Field::Drafted, "spec_decode_num_draft_tokens"),
    number(Field::Accepted, "spec_decode_num_accepted_tokens"),
    number(Field::Requests, "request_success").by("finished_reason"),
    number(Field::Requests, "request_finish").by("finished_reason"),
    number(Field::Running, "num_requests_running"),
    number(Field::Waiting, "num_requests_waiting"),
    number(Field::CacheUsage, "kv_cache_usage_perc"),
    number(Field::CacheUsage, "gpu_cache_usage_perc"),
    number(Field::Preemptions, "num_preemptions"),
    sum(Field::Prefill, "request_prefill_time_seconds"),
    sum(Field::Decode, "request_decode_time_seconds"),
    histogram(Field::FirstToken, "time_to_first_token_seconds"),
    histogram(Field::PerToken, "inter_token_latency_seconds"),
    histogram(Field::PerToken, "time_per_output_token_seconds"),
    histogram(Field::Duration, "e2e_request_latency_seconds"),
];

static SGLANG: Dialect = Dialect {
    kind: EngineKind::Sglang,
    prefixes: &["sglang:", "sglang_"],
    models: MODEL,
    // forward_execution_seconds: a forward pass is counted once, whatever its batch.
    clock: PhaseClock::Engine,
    input_is_uncached: false,
    rows: &[
        number(Field::Input, "prompt_tokens"),
        // Builds that tell caches apart may have a row for all of them beside.
        number(Field::Cached, "cached_tokens").except("cache_source", "total"),
        number(Field::Cached, "cached_tokens"),
        number(Field::Output, "generation_tokens"),
        number(Field::Requests, "num_requests"),
        number(Field::Running, "num_running_reqs"),
        number(Field::Waiting, "num_queue_reqs"),
        number(Field::CacheUsage, "token_usage"),
        number(Field::Preemptions, "num_retracted_requests"),
        number(Field::Prefill, "forward_execution_seconds").only("category", &["extend", "prefill", "mixed"]),
        number(Field::Decode, "forward_execution_seconds").only("category", &["decode", "target_verify"]),
        histogram(Field::FirstToken, "time_to_first_token_seconds"),
        histogram(Field::PerToken, "inter_token_latency_seconds"),
        histogram(Field::PerToken, "time_per_output_token_seconds"),
        histogram(Field::Duration, "e2e_request_latency_seconds"),
    ],
};

static TGI: Dialect = Dialect {
    kind: EngineKind::Tgi,
    prefixes: &["tgi_"],
    models: MODEL,
    clock: PhaseClock::Engine,
    input_is_uncached: false,
    rows: &[
        // There are no counters of tokens.
        sum(Field::Input, "request_input_length"),
        sum(Field::Output, "request_generated_tokens"),
        // Tokens skipped are those that speculation made right.
        sum(Field::Accepted, "request_skipped_tokens"),
        number(Field::Requests, "request_success").ended("success"),
        number(Field::Running, "batch_current_size"),
        number(Field::Waiting, "queue_size"),
        sum(Field::Prefill, "batch_forward_duration").only("method", &["prefill"]),
        sum(Field::Decode, "batch_forward_duration").only("method", &["decode"]),
        histogram(Field::PerToken, "request_mean_time_per_token_duration"),
        histogram(Field::Duration, "request_duration"),
    ],
};

static LLAMA_CPP: Dialect = Dialect {
    kind: EngineKind::LlamaCpp,
    prefixes: &["llamacpp:", "llamacpp_"],
    models: MODEL,
    // The time of generating is summed over slots.
    clock: PhaseClock::Requests,
    input_is_uncached: true,
    rows: &[
        number(Field::Input, "prompt_tokens"),
        number(Field::Cached, "prompt_tokens_cached"),
        number(Field::Output, "tokens_predicted"),
        number(Field::Drafted, "spec_decode_num_draft_tokens"),
        number(Field::Accepted, "spec_decode_num_accepted_tokens"),
        number(Field::Running, "requests_processing"),
        number(Field::Waiting, "requests_deferred"),
        number(Field::CacheUsage, "kv_cache_usage_ratio"),
        number(Field::Prefill, "prompt_seconds"),
        number(Field::Decode, "tokens_predicted_seconds"),
    ],
};

static TENSORRT_LLM: Dialect = Dialect {
    kind: EngineKind::TensorRtLlm,
    prefixes: &["trtllm_", "trtllm:"],
    models: MODEL,
    clock: PhaseClock::Requests,
    input_is_uncached: false,
    rows: &[
        number(Field::Input, "prompt_tokens"),
        number(Field::Cached, "prompt_cached_tokens"),
        number(Field::Output, "generation_tokens"),
        number(Field::Drafted, "spec_decode_num_draft_tokens"),
        number(Field::Accepted, "spec_decode_num_accepted_tokens"),
        number(Field::Requests, "request_success").by("finished_reason"),
        number(Field::Running, "num_requests_running"),
        number(Field::Running, "num_active_requests"),
        number(Field::Waiting, "num_requests_waiting"),
        number(Field::Waiting, "server_queue_length"),
        number(Field::CacheUsage, "kv_cache_utilization"),
        sum(Field::Prefill, "request_prefill_time_seconds"),
        sum(Field::Decode, "request_decode_time_seconds"),
        histogram(Field::FirstToken, "time_to_first_token_seconds"),
        histogram(Field::PerToken, "time_per_output_token_seconds"),
        histogram(Field::Duration, "e2e_request_latency_seconds"),
    ],
};

static NIM: Dialect = Dialect { kind: EngineKind::Nim, prefixes: &["", "vllm:", "nim_"], ..VLLM };

static TRITON: Dialect = Dialect {
    kind: EngineKind::Triton,
    // The vLLM backend adds vLLM's own.
    prefixes: &["nv_", "vllm:"],
    models: &["model", "model_name"],
    clock: PhaseClock::Requests,
    input_is_uncached: false,
    rows: &[
        number(Field::Requests, "inference_request_success").ended("success"),
        number(Field::Waiting, "inference_pending_request_count"),
        histogram(Field::FirstToken, "inference_first_response_histogram_ms").unit(1e-3),
        number(Field::Input, "prompt_tokens"),
        sum(Field::Input, "request_prompt_tokens"),
        number(Field::Output, "generation_tokens"),
        sum(Field::Output, "request_generation_tokens"),
        number(Field::Running, "num_requests_running"),
        number(Field::CacheUsage, "kv_cache_usage_perc"),
        number(Field::CacheUsage, "gpu_cache_usage_perc"),
        number(Field::Preemptions, "num_preemptions"),
        sum(Field::Prefill, "request_prefill_time_seconds"),
        sum(Field::Decode, "request_decode_time_seconds"),
        histogram(Field::FirstToken, "time_to_first_token_seconds"),
        histogram(Field::PerToken, "inter_token_latency_seconds"),
        histogram(Field::PerToken, "time_per_output_token_seconds"),
        histogram(Field::Duration, "e2e_request_latency_seconds"),
    ],
};

static LITELLM: Dialect = Dialect {
    kind: EngineKind::LiteLlm,
    prefixes: &["litellm_"],
    models: &["model", "litellm_model_name"],
    clock: PhaseClock::Requests,
    input_is_uncached: false,
    rows: &[
        number(Field::Input, "input_tokens_metric"),
        number(Field::Cached, "input_cached_tokens_metric"),
        number(Field::Output, "output_tokens_metric"),
        number(Field::Requests, "requests_metric"),
        number(Field::Running, "in_flight_requests"),
        histogram(Field::FirstToken, "llm_api_time_to_first_token_metric"),
        histogram(Field::PerToken, "deployment_latency_per_output_token"),
        histogram(Field::Duration, "request_total_latency_metric"),
    ],
};

/// Which engine a text with these names is of; `None` where it is of none.
pub(super) fn detect<'a>(names: impl Iterator<Item = &'a str>) -> Option<EngineKind> {
    // Triton stands before vLLM, whose names its backend adds. Names without a prefix decide last.
    const PREFIXED: [(&str, EngineKind); 12] = [
        ("nv_inference_", EngineKind::Triton),
        ("litellm_", EngineKind::LiteLlm),
        ("sglang:", EngineKind::Sglang),
        ("sglang_", EngineKind::Sglang),
        ("trtllm_", EngineKind::TensorRtLlm),
        ("trtllm:", EngineKind::TensorRtLlm),
        ("llamacpp:", EngineKind::LlamaCpp),
        ("llamacpp_", EngineKind::LlamaCpp),
        ("tgi_", EngineKind::Tgi),
        ("nim_", EngineKind::Nim),
        ("vllm:", EngineKind::Vllm),
        ("vllm_", EngineKind::Vllm),
    ];
    const BARE: [&str; 3] = ["num_requests_running", "gpu_cache_usage_perc", "time_to_first_token_seconds_count"];
    let last = PREFIXED.len();
    let rank = |name: &str| {
        let prefixed = PREFIXED.iter().position(|(prefix, _)| name.starts_with(prefix));
        prefixed.or_else(|| BARE.contains(&name).then_some(last))
    };
    let best = names.filter_map(rank).min()?;
    Some(PREFIXED.get(best).map_or(EngineKind::Nim, |(_, kind)| *kind))
}
