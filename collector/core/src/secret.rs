//! Words that must not appear in a log, an error or a page.

use std::fmt;

/// A configured value that only the transport may read. It prints as `***`.
#[derive(Clone, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value, for the transport.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Makes words from outside fit for a log: short, on one line, and without the destination's own secrets, which
/// servers like to repeat when they refuse them.
#[derive(Clone, Default)]
pub struct Redaction {
    secrets: Vec<String>,
}

impl fmt::Debug for Redaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redaction({} secrets)", self.secrets.len())
    }
}

impl Redaction {
    /// Longer texts are cut.
    pub const LONGEST: usize = 240;
    /// Shorter words, such as `Bearer`, say nothing and would tear holes into honest sentences.
    const SHORTEST_SECRET: usize = 7;

    /// Hides `secrets` and each of their words.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let mut hidden: Vec<String> = secrets
            .into_iter()
            .flat_map(|secret| std::iter::once(secret.trim()).chain(secret.split_whitespace()))
            .filter(|word| word.len() >= Self::SHORTEST_SECRET)
            .map(str::to_owned)
            .collect();
        // The longest first, so that a part never spoils the whole.
        hidden.sort_by(|a, b| b.len().cmp(&a.len()).then(a.cmp(b)));
        hidden.dedup();
        Self { secrets: hidden }
    }

    /// Hides those of `other`, too.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self::new(self.secrets.iter().chain(&other.secrets).map(String::as_str))
    }

    /// `words` without secrets and control characters, at most [`Self::LONGEST`] characters of them.
    pub fn clean(&self, words: &str) -> String {
        // A secret could straddle any cut, so that it is hidden before the text is shortened.
        let mut text = words.to_owned();
        for secret in &self.secrets {
            text = text.replace(secret.as_str(), "***");
        }
        let mut cleaned = String::new();
        for (count, character) in text.trim().chars().enumerate() {
            if count == Self::LONGEST {
                cleaned.push('…');
                break;
            }
            cleaned.push(if character.is_control() { ' ' } else { character });
        }
        cleaned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_print() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "***");
        assert!(!format!("{:?}", Redaction::new(["hunter2hunter2"])).contains("hunter2"));
    }

    #[test]
    fn a_token_that_the_server_repeats_is_hidden_whole_and_in_words() {
        let redaction = Redaction::new(["Bearer abcdef123456"]);
        assert_eq!(redaction.clean("bad token abcdef123456!"), "bad token ***!");
        assert_eq!(redaction.clean("bad header: Bearer abcdef123456"), "bad header: ***");
    }

    #[test]
    fn foreign_words_stay_short_and_on_one_line() {
        let cleaned = Redaction::default().clean(&format!("a\nb\u{1b}[31m{}", "x".repeat(10_000)));
        assert_eq!(cleaned.chars().count(), Redaction::LONGEST + 1);
        assert!(cleaned.starts_with("a b [31m"));
    }
}
