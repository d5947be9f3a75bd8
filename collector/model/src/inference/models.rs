//! The table of models: how many parameters, and how fast they are served.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use wattline_core::Seconds;

use super::ecologits::{Parameters, Span};
use super::model_name::{beginnings, normal};
use crate::grid::near;
use crate::grid::table::Table;

const TABLE: Table = Table::new(include_str!("../../data/models.csv"));

/// Families that nobody outside can run, by the beginning of their normal names. A call of one of these is served by
/// an API, whatever address it goes to. `gpt-oss` and `gemma` are open.
const ONLY_SOLD: &[&str] = &[
    "claude-",
    "gpt-3-5",
    "gpt-35",
    "gpt-4",
    "gpt-5",
    "gpt-6",
    "chat-latest",
    "chatgpt-",
    "gemini-",
    "nova-",
    "titan-",
    "text-embedding-",
    "embed-english-",
    "embed-multilingual-",
    "embed-v",
    "voyage-",
];

/// The same for names so short that only the whole first word counts.
const ONLY_SOLD_WORDS: &[&str] = &["o1", "o3", "o4"];

/// What the table knows of a model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Model {
    /// The name in the table.
    pub pattern: &'static str,
    /// Who made it.
    pub owner: &'static str,
    /// Its size and speed.
    pub parameters: Parameters,
    /// True where the maker has published the size; else it is a guess.
    pub published: bool,
    /// Where the figures come from.
    pub source: &'static str,
}

static MODELS: LazyLock<BTreeMap<&'static str, Model>> =
    LazyLock::new(|| TABLE.rows().filter_map(parse).map(|model| (model.pattern, model)).collect());

/// The model that a call's name means, if the table has it: the longest name in the table that the call's begins with,
/// where nothing follows that would make it another model.
pub fn find(name: &str) -> Option<&'static Model> {
    let normal = normal(name);
    beginnings(&normal).find_map(|beginning| MODELS.get(beginning))
}

/// At most five models of the table whose names are nearest to one that it does not have, nearest first.
pub fn nearest(name: &str) -> Vec<&'static str> {
    near::nearest(&normal(name), MODELS.keys().copied())
}

/// True for a model that only an API sells.
pub fn only_sold(name: &str) -> bool {
    let normal = normal(name);
    let word = normal.split('-').next().unwrap_or_default();
    ONLY_SOLD_WORDS.contains(&word) || ONLY_SOLD.iter().any(|family| normal.starts_with(family))
}

/// The version of the table.
pub fn version() -> &'static str {
    TABLE.head("version").unwrap_or("unknown")
}

fn parse(row: [&'static str; 12]) -> Option<Model> {
    let [pattern, owner, total_low, total_high, active_low, active_high, tps, ttft, published, source, ..] = row;
    let span = |low: &str, high: &str| Some(Span { low: low.parse().ok()?, high: high.parse().ok()? });
    let optional = |field: &str| if field.is_empty() { Some(None) } else { field.parse().ok().map(Some) };
    Some(Model {
        pattern,
        owner,
        parameters: Parameters {
            total_billions: span(total_low, total_high)?,
            active_billions: span(active_low, active_high)?,
            tokens_per_second: optional(tps)?,
            first_token: optional(ttft)?.map(Seconds::new),
        },
        published: published == "published",
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::super::ecologits::estimate;
    use super::*;

    #[test]
    fn every_row_parses_and_has_source_year_and_licence() {
        crate::grid::table::check::<12>(TABLE, MODELS.len());
        for model in MODELS.values() {
            let Parameters { total_billions: total, active_billions: active, .. } = model.parameters;
            assert!(0.0 < active.low && active.low <= active.high, "{model:?}");
            assert!(total.low <= total.high && active.high <= total.high, "{model:?}");
            assert!(model.parameters.tokens_per_second.is_none_or(|rate| rate > 1.0), "{model:?}");
            assert_eq!(normal(model.pattern), model.pattern, "a call's name could not lead here");
        }
    }

    /// Names of the five providers that `EcoLogits` knows, second names included.
    const ECOLOGITS_NAMES: usize = 175;

    #[test]
    fn the_python_package_gives_the_same_for_whole_models() {
        let vectors = Table::new(include_str!("../../data/vectors/ecologits_models.csv"));
        let mut seen = 0;
        for [name, output, latency, low, high, embodied_low, embodied_high] in vectors.rows() {
            let model = find(name).unwrap_or_else(|| panic!("{name} is not found"));
            let latency = Seconds::new(latency.parse().unwrap());
            let found = estimate(&model.parameters, output.parse::<f64>().unwrap(), latency);
            for (ours, theirs) in [
                (found.low.energy.kwh(), low),
                (found.high.energy.kwh(), high),
                (found.low.embodied.get() / 1000.0, embodied_low),
                (found.high.embodied.get() / 1000.0, embodied_high),
            ] {
                let theirs: f64 = theirs.parse().unwrap();
                assert!((ours - theirs).abs() <= 1e-12 * theirs, "{name}: {ours} and not {theirs}");
            }
            seen += 1;
        }
        assert_eq!(seen, 11 + ECOLOGITS_NAMES);
    }

    #[test]
    fn names_as_calls_bear_them_lead_to_their_model() {
        for (name, pattern) in [
            ("gpt-5-mini-2025-08-07", "gpt-5-mini-2025-08-07"),
            ("gpt-4.1-nano", "gpt-4-1-nano"),
            // A date of the table wins over its stem, for it is served at another speed; any other date falls to it.
            ("gpt-4o-2024-08-06", "gpt-4o-2024-08-06"),
            ("gpt-4o-2024-12-24", "gpt-4o"),
            ("openai/gpt-4-0613", "gpt-4-0613"),
            ("gpt-4-0314", "gpt-4"),
            ("gpt-4-1106-preview", "gpt-4-1106-preview"),
            ("gpt-5-mini", "gpt-5-mini"),
            ("gpt-5-mini-2026-01-01", "gpt-5-mini"),
            ("gpt-5-audio", "-"),
            ("gpt-5-chat", "gpt-5-chat"),
            ("gpt-5-chat-latest", "gpt-5-chat-latest"),
            ("gpt-5.3-chat", "gpt-5-3-chat"),
            ("gpt-5.3", "-"),
            ("gpt-35-turbo-16k", "gpt-35-turbo-16k"),
            ("gemini-flash-latest", "gemini-flash-latest"),
            ("gemini-2.5-flash-image-preview", "gemini-2-5-flash-image"),
            ("mistral-medium-2508", "mistral-medium"),
            ("mistral-medium-2604", "mistral-medium-2604"),
            ("mistral-large-2411", "-"),
            ("codestral-2501", "-"),
            ("claude-opus-4-1-20250805", "-"),
            ("apac.anthropic.claude-haiku-4-5-20251001-v1:0", "claude-haiku-4-5-20251001"),
            ("meta-llama/Llama-3.3-70B-Instruct-Turbo", "llama-3-3-70b"),
            ("meta-llama/Llama-4-Scout-17B-16E-Instruct", "llama-4-scout"),
            ("Qwen/Qwen3-235B-A22B-Thinking-2507", "qwen3-235b-a22b"),
            ("deepseek-ai/DeepSeek-R1", "deepseek-r1"),
            ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", "-"),
            ("mistral-large-latest", "mistral-large-latest"),
            ("amazon.nova-pro-v1:0", "-"),
            ("", "-"),
        ] {
            assert_eq!(find(name).map_or("-", |model| model.pattern), pattern, "{name}");
        }
    }

    #[test]
    fn open_models_are_not_only_sold() {
        for sold in [
            "claude-3-opus",
            "us.anthropic.claude-sonnet-4-5",
            "gpt-4o",
            "gpt-5.1",
            "o3-mini",
            "o1",
            "gemini-3-pro",
            "chat-latest",
            "gpt-35-turbo",
            "amazon.nova-lite-v1:0",
        ] {
            assert!(only_sold(sold), "{sold}");
        }
        for open in [
            "gpt-oss-120b",
            "gemma-2-9b-it",
            "llama3.1:8b",
            "o1ive",
            "gpt2",
            "gpt4all",
            "qwen3:32b",
            "mistral-large",
            "",
        ] {
            assert!(!only_sold(open), "{open}");
        }
    }
}
