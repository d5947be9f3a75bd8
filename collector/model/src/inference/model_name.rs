//! One normal form for the many names of one model.

/// Words that may follow a model's name without making it another model: how it was packed, tuned or is served.
const SAME_MODEL: &[&str] = &[
    "latest",
    "preview",
    "instruct",
    "chat",
    "it",
    "hf",
    "base",
    "maas",
    "turbo",
    "tput",
    "free",
    "thinking",
    "reasoning",
    "high",
    "medium",
    "low",
    "fp8",
    "fp16",
    "bf16",
    "int4",
    "int8",
    "4bit",
    "8bit",
    "awq",
    "gptq",
    "gguf",
    "w8a8",
    "mlx",
    "quantized",
    "dynamic",
    "cloud",
    "16e",
    "128e",
    "17b",
    "versatile",
    "exp",
];

/// Beginnings that say who sells or made a model, as Bedrock and others put them in front with a dot.
const SELLERS: &[&str] = &[
    "us",
    "eu",
    "apac",
    "jp",
    "au",
    "in",
    "ca",
    "global",
    "us-gov",
    "regional",
    "anthropic",
    "meta",
    "amazon",
    "mistral",
    "cohere",
    "openai",
    "deepseek",
    "qwen",
    "google",
    "ai21",
    "writer",
    "moonshot",
    "moonshotai",
    "minimax",
    "nvidia",
    "zai",
];

/// The name in small letters and digits with single hyphens, without the address in front of it: the account and
/// resource of an ARN, a registry's path, a region, a maker.
///
/// `us.anthropic.claude-sonnet-4-5-20250929-v1:0` becomes `claude-sonnet-4-5-20250929`.
pub(super) fn normal(name: &str) -> String {
    let name = name.trim().to_ascii_lowercase();
    let mut rest = name.rsplit('/').next().unwrap_or_default();
    while let Some((first, behind)) = rest.split_once('.') {
        if !SELLERS.contains(&first) {
            break;
        }
        rest = behind;
    }
    let rest = without_revision(rest);
    let mut normal = String::with_capacity(rest.len() + 1);
    for c in rest.chars() {
        match c {
            'a'..='z' | '0'..='9' => normal.push(c),
            _ if normal.is_empty() || normal.ends_with('-') => {}
            _ => normal.push('-'),
        }
    }
    normal.truncate(normal.trim_end_matches('-').len());
    // `llama3-1-8b` and `Meta-Llama-3.1-8B` are one.
    let short = normal.trim_start_matches("meta-");
    match short.strip_prefix("llama") {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_digit()) => format!("llama-{rest}"),
        _ => short.to_owned(),
    }
}

/// Bedrock ends its names with a version and a revision: `-v1:0`, `-1:0`.
fn without_revision(name: &str) -> &str {
    let number = |text: &str| !text.is_empty() && text.len() <= 2 && text.chars().all(|c| c.is_ascii_digit());
    match name.rsplit_once(':') {
        Some((before, revision)) if number(revision) => match before.rsplit_once('-') {
            Some((stem, version)) if number(version.trim_start_matches('v')) => stem,
            _ => before,
        },
        _ => name,
    }
}

/// The beginnings of a normal name under which its model may stand in a table, longest first. A beginning counts only
/// when what follows it is a date, a version or a word that leaves the model the same: `gpt-5-mini` is no `gpt-5`.
pub(super) fn beginnings(normal: &str) -> impl Iterator<Item = &str> {
    let ends = std::iter::once(normal.len()).chain(normal.rmatch_indices('-').map(|(at, _)| at));
    ends.filter_map(move |end| normal.split_at_checked(end)).filter(|(_, rest)| same_model(rest)).map(|(name, _)| name)
}

fn same_model(rest: &str) -> bool {
    // What the word before was decides what a short number means: a day after a month, a step after a version.
    let (mut after_date, mut after_version) = (false, false);
    rest.split('-').skip(1).all(|word| {
        let digits = !word.is_empty() && word.chars().all(|c| c.is_ascii_digit());
        let numbered = |letter: char| {
            let number = word.trim_matches(letter);
            number.len() + 1 == word.len() && number.chars().all(|c| c.is_ascii_digit()) && !number.is_empty()
        };
        // 20250929, 2024, 0613, 2507, 001; then a month and a day of two digits.
        let date = digits && (matches!(word.len(), 3 | 4 | 6 | 8) || (after_date && word.len() == 2));
        // v1:0, and the q4_K_M of quantised weights.
        let version = (word.starts_with('v') && numbered('v')) || (word.starts_with('q') && numbered('q'));
        let step = after_version && (digits || matches!(word, "k" | "m" | "s" | "l"));
        let context = word.ends_with('k') && numbered('k');
        (after_date, after_version) = (date, version || step);
        date || version || step || context || SAME_MODEL.contains(&word)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_one_model_become_one() {
        for (name, expected) in [
            ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5-20250929"),
            ("us-gov.anthropic.claude-sonnet-4-5", "claude-sonnet-4-5"),
            ("anthropic/claude-sonnet-4.5", "claude-sonnet-4-5"),
            (
                "arn:aws:bedrock:us-east-1:123456789012:inference-profile/eu.meta.llama3-1-8b-instruct-v1:0",
                "llama-3-1-8b-instruct",
            ),
            ("meta-llama/Meta-Llama-3.1-8B-Instruct", "llama-3-1-8b-instruct"),
            ("models/gemini-2.5-flash", "gemini-2-5-flash"),
            ("llama3.1:8b", "llama-3-1-8b"),
            ("openai.gpt-oss-120b-1:0", "gpt-oss-120b"),
            ("amazon.nova-lite-v1:0:24k", "nova-lite-v1-0-24k"),
            ("  GPT-4o ", "gpt-4o"),
            ("///", ""),
        ] {
            assert_eq!(normal(name), expected, "{name}");
        }
    }

    #[test]
    fn only_dates_versions_and_packing_may_follow_a_name() {
        let leads = |name: &str, to: &str| beginnings(name).any(|beginning| beginning == to);
        for same in ["gpt-4o-2024-08-06", "gpt-4o-latest", "gpt-4o", "gpt-4o-preview-2025"] {
            assert!(leads(same, "gpt-4o"), "{same}");
        }
        for other in ["gpt-4o-mini", "gpt-4o-1", "gpt-4o-audio-preview", "gpt-4omni", "gpt-4o-5-2", "gpt-4o-10"] {
            assert!(!leads(other, "gpt-4o"), "{other}");
        }
        assert!(leads("claude-sonnet-4-5-20250929-v1-0", "claude-sonnet-4-5"));
        assert!(!leads("claude-sonnet-4-5-20250929-v1-0", "claude-sonnet-4"));
        assert!(leads("llama-3-1-8b-instruct-q4-k-m", "llama-3-1-8b"));
        assert!(!leads("gpt-5-7", "gpt-5"));
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(name in "\\PC{0,40}") {
            let once = normal(&name);
            prop_assert_eq!(&normal(&once), &once);
            prop_assert!(beginnings(&once).all(|beginning| once.starts_with(beginning)));
        }
    }
}
