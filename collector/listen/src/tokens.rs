//! Bearer tokens (RFC 6750).

use std::path::Path;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use ring::hmac;
use ring::rand::SystemRandom;

use crate::guard::{GuardError, read};
use crate::watched::Watched;

const KEY: &str = "bearer_token_file";
/// Fewer characters can be guessed.
const SHORTEST: usize = 16;
/// More of them than anybody rotates at one time.
const MOST: usize = 64;

/// The tokens of a file.
#[derive(Debug)]
pub(crate) struct Tokens(Watched<Known>);

/// Tokens as keyed hashes: comparing them takes the same time whatever was presented, and memory holds no token.
struct Known {
    key: hmac::Key,
    tags: Vec<hmac::Tag>,
}

impl Tokens {
    pub(crate) fn new(section: &'static str, path: &Path) -> Result<Self, GuardError> {
        let file = path.to_owned();
        Watched::new(vec![path.to_owned()], move || Known::read(section, &file)).map(Self)
    }

    /// Whether the headers bear one of the tokens.
    pub(crate) fn admit(&self, headers: &HeaderMap) -> bool {
        let presented = headers.get(AUTHORIZATION).and_then(|value| bearer(value.as_bytes()));
        presented.is_some_and(|token| self.0.current().holds(token))
    }
}

/// The token behind the scheme, whose name may be in any case.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

impl Known {
    fn read(section: &'static str, path: &Path) -> Result<Self, GuardError> {
        let text = read(section, KEY, path)?;
        let malformed = |problem: String| GuardError::Malformed { section, key: KEY, path: path.to_owned(), problem };
        let key =
            hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).map_err(|_unspecified| GuardError::Random)?;
        let mut tags = Vec::new();
        for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let token = line.trim_ascii();
            if token.is_empty() {
                continue;
            }
            if token.len() < SHORTEST || !token.iter().all(u8::is_ascii_graphic) {
                let line = number + 1;
                return Err(malformed(format!(
                    "holds no token in line {line}: write at least {SHORTEST} visible characters without a space"
                )));
            }
            tags.push(hmac::sign(&key, token));
        }
        match tags.len() {
            0 => Err(malformed("holds no token; write one into each line".to_owned())),
            1..=MOST => Ok(Self { key, tags }),
            _ => Err(malformed(format!("holds more than {MOST} tokens"))),
        }
    }

    /// Compares with all of them, so that the time does not tell which.
    fn holds(&self, token: &[u8]) -> bool {
        self.tags.iter().fold(false, |found, tag| hmac::verify(&self.key, token, tag.as_ref()).is_ok() | found)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const ONE: &str = "0123456789abcdef";
    const TWO: &str = "fedcba9876543210";

    fn tokens(content: &str) -> Result<Tokens, GuardError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        fs::write(&path, content).unwrap();
        Tokens::new("x", &path)
    }

    fn admits(tokens: &Tokens, value: &str) -> bool {
        tokens.admit(&HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())]))
    }

    #[test]
    fn each_line_is_a_token_and_nothing_else_is() {
        let tokens = tokens(&format!("{ONE}\n\n  {TWO}\r\n")).unwrap();
        for fine in [format!("Bearer {ONE}"), format!("bearer {TWO}"), format!("BEARER  {ONE}")] {
            assert!(admits(&tokens, &fine), "{fine}");
        }
        for wrong in
            [ONE.to_owned(), format!("Basic {ONE}"), format!("Bearer {ONE}x"), "Bearer ".to_owned(), String::new()]
        {
            assert!(!admits(&tokens, &wrong), "{wrong}");
        }
        assert!(!tokens.admit(&HeaderMap::new()));
    }

    #[test]
    fn a_file_without_good_tokens_is_refused_without_showing_it() {
        for content in ["", "\n \n", "tooshort", "0123456789 abcdef", "0123456789abcdé~~"] {
            let error = tokens(content).unwrap_err().to_string();
            assert!(error.starts_with("x.bearer_token_file: "), "{error}");
            assert!(content.trim().is_empty() || !error.contains(content), "{error}");
        }
    }

    #[test]
    fn nothing_prints_a_token() {
        let printed = format!("{:?}", tokens(ONE).unwrap());
        assert!(!printed.contains(ONE), "{printed}");
    }
}
