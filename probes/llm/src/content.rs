//! What becomes of message content in relayed telemetry.

use std::fmt;
use std::path::PathBuf;

use bytes::Bytes;
use ring::hmac;
use ring::rand::SystemRandom;
use serde::{Deserialize, Serialize};
use wattline_core::Signal;
use wattline_wire::content::{Treatment, without_content};
use wattline_wire::protobuf;

/// What a hash begins with.
const PREFIX: &str = "hmac-sha256:";
/// Bytes of a hash that are kept: 128 bits tell any two texts apart.
const KEPT: usize = 16;
/// Fewer bytes of a key can be guessed.
const SHORTEST_KEY: usize = 16;

/// How telemetry is relayed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What becomes of message content. "keep".
    pub content: Handling,
    /// Whether relayed spans of calls bear what was made of the call: energy, carbon and cost. false.
    pub enrich: bool,
    /// A file with the key of the hashes, so that they are the same after a restart and on other machines. By default a
    /// key is drawn at every start.
    pub hash_key_file: Option<PathBuf>,
}

/// What becomes of message content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Handling {
    /// It goes on as it came.
    #[default]
    Keep,
    /// A keyed hash takes its place, which is the same for the same text as long as the key is.
    Hash,
    /// It is left out.
    Drop,
}

/// Why content cannot be treated as configured. No variant holds what is in the file.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// The key cannot be read: tell the user.
    #[error("relay.hash_key_file: reading {} failed: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The key is too short: tell the user.
    #[error("relay.hash_key_file: {} holds fewer than {SHORTEST_KEY} bytes", path.display())]
    ShortKey {
        /// The file.
        path: PathBuf,
    },
    /// The system gives no random numbers.
    #[error("the system gives no random numbers for the key of relay.content = \"hash\"")]
    Random,
}

/// What is done with content, ready to be done.
pub enum Content {
    /// Nothing.
    Keep,
    /// It is replaced.
    Hash(hmac::Key),
    /// It is left out.
    Drop,
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keep => "Keep",
            Self::Hash(_) => "Hash",
            Self::Drop => "Drop",
        })
    }
}

impl Content {
    /// Reads or draws the key where one is needed.
    pub fn new(config: &Config) -> Result<Self, ContentError> {
        let Config { content, enrich: _, hash_key_file } = config;
        let key = match (content, hash_key_file) {
            (Handling::Keep, _) => return Ok(Self::Keep),
            (Handling::Drop, _) => return Ok(Self::Drop),
            (Handling::Hash, None) => hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
                .map_err(|_unspecified| ContentError::Random)?,
            (Handling::Hash, Some(path)) => {
                #[expect(clippy::disallowed_methods, reason = "the key is the user's file")]
                let bytes =
                    std::fs::read(path).map_err(|source| ContentError::Unreadable { path: path.clone(), source })?;
                let bytes = bytes.trim_ascii();
                if bytes.len() < SHORTEST_KEY {
                    return Err(ContentError::ShortKey { path: path.clone() });
                }
                hmac::Key::new(hmac::HMAC_SHA256, bytes)
            }
        };
        Ok(Self::Hash(key))
    }

    /// The request with its content treated; the very same bytes where there is nothing to treat.
    pub(crate) fn treat(&self, signal: Signal, body: Bytes) -> Result<Bytes, protobuf::Error> {
        let treated = match self {
            Self::Keep => None,
            Self::Hash(key) => without_content(signal, &body, Treatment::Replace(&|content| hash(key, content)))?,
            Self::Drop => without_content(signal, &body, Treatment::Drop)?,
        };
        Ok(treated.map_or(body, Bytes::from))
    }
}

fn hash(key: &hmac::Key, content: &[u8]) -> String {
    use fmt::Write;
    let tag = hmac::sign(key, content);
    let mut text = PREFIX.to_owned();
    for byte in tag.as_ref().iter().take(KEPT) {
        // Writing into a text cannot fail.
        write!(text, "{byte:02x}").ok();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyed(key: &str) -> Result<Content, ContentError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, key).unwrap();
        Content::new(&Config { content: Handling::Hash, hash_key_file: Some(path), ..Config::default() })
    }

    fn hashed(content: &Content, text: &str) -> String {
        let Content::Hash(key) = content else { panic!("{content:?}") };
        hash(key, text.as_bytes())
    }

    #[test]
    fn a_hash_is_that_of_its_key_and_short() {
        // By `printf hello | openssl dgst -sha256 -hmac 0123456789abcdef`.
        let content = keyed("0123456789abcdef\n").unwrap();
        assert_eq!(hashed(&content, "hello"), "hmac-sha256:713ba20d2e5fdfbc44724244bf2305ed");
        assert_eq!(hashed(&content, "hello"), hashed(&keyed("0123456789abcdef").unwrap(), "hello"));
        assert_ne!(hashed(&content, "hello"), hashed(&content, "hello "));
    }

    #[test]
    fn a_drawn_key_is_another_one_each_time() {
        let drawn = || Content::new(&Config { content: Handling::Hash, ..Config::default() }).unwrap();
        assert_ne!(hashed(&drawn(), "hello"), hashed(&drawn(), "hello"));
    }

    #[test]
    fn a_short_key_is_refused_without_showing_it() {
        let error = keyed("short").unwrap_err().to_string();
        assert!(error.starts_with("relay.hash_key_file: ") && !error.contains("short\n"), "{error}");
        assert!(!format!("{:?}", keyed("0123456789abcdef").unwrap()).contains("0123"));
    }

    #[test]
    fn what_is_kept_is_not_even_copied() {
        let body = Bytes::from_static(b"not even protobuf");
        let kept = Content::Keep.treat(Signal::Traces, body.clone()).unwrap();
        assert_eq!(kept.as_ptr(), body.as_ptr());
    }
}
