//! What must not appear in a log, an error or a page.

use std::fmt;

use serde::Deserialize;

/// A value that only the transport may read. It prints as `***`.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value, for the transport.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Longer words of a server are cut: nobody reads on.
const WORDS_MAX: usize = 200;

/// Shorter secrets are not looked for: they would tear holes into honest sentences, and no provider gives any.
const SECRET_BYTES_MIN: usize = 5;

/// Words from outside, fit for a log: on one line, short, and without the secrets, which servers like to repeat when
/// they refuse them.
pub(crate) fn clean<'a>(words: &str, secrets: impl IntoIterator<Item = &'a Secret>) -> String {
    // Hidden before the text is cut: a secret could straddle the cut.
    let mut text = words.to_owned();
    for secret in secrets {
        if secret.reveal().len() >= SECRET_BYTES_MIN {
            text = text.replace(secret.reveal(), "***");
        }
    }
    let mut cleaned: String =
        text.split_whitespace().collect::<Vec<_>>().join(" ").chars().filter(|c| !c.is_control()).collect();
    if let Some((cut, _)) = cleaned.char_indices().nth(WORDS_MAX) {
        cleaned.truncate(cut);
        cleaned.push('…');
    }
    cleaned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_shown_nowhere() {
        let secret = Secret::new("hunter2hunter2");
        assert_eq!(format!("{secret:?}"), "***");
        assert_eq!(clean("no such\n token: hunter2hunter2!", [&secret]), "no such token: ***!");
    }

    #[test]
    fn foreign_words_stay_short_and_on_one_line() {
        let cleaned = clean(&format!("a\n\n  b\u{1b}[31m {}", "x".repeat(10_000)), []);
        assert_eq!(cleaned.chars().count(), WORDS_MAX + 1);
        assert!(cleaned.starts_with("a b[31m xxx"), "{cleaned}");
    }
}
