//! Who may use a listener.

use std::io;
use std::path::{Path, PathBuf};

use http::HeaderMap;

use crate::tls::{Tls, TlsConfig};
use crate::tokens::Tokens;

/// What a listener asks of those who come: TLS, a certificate, a token, each or none.
#[derive(Debug, Default)]
pub struct Guard {
    pub(crate) tls: Option<Tls>,
    tokens: Option<Tokens>,
}

/// Why a guard cannot be set up. No variant holds what is in a file.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// A file cannot be read: tell the user.
    #[error("{section}.{key}: reading {} failed: {source}", path.display())]
    Unreadable {
        /// The table of the key.
        section: &'static str,
        /// The key.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file does not hold what it should: tell the user.
    #[error("{section}.{key}: {} {problem}", path.display())]
    Malformed {
        /// The table of the key.
        section: &'static str,
        /// The key.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A key is missing beside another: tell the user.
    #[error("{section}: {missing}")]
    Incomplete {
        /// The table.
        section: &'static str,
        /// What is missing.
        missing: &'static str,
    },
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    Random,
}

impl Guard {
    /// Reads the files that the table `section` names: certificates by `tls`, tokens by `bearer_token_file`. The TLS
    /// layer offers `protocols`, such as `h2`.
    pub fn new(
        section: &'static str,
        tls: &TlsConfig,
        bearer_token_file: Option<&Path>,
        protocols: &[&str],
    ) -> Result<Self, GuardError> {
        Ok(Self {
            tls: Tls::new(section, tls, protocols)?,
            tokens: bearer_token_file.map(|path| Tokens::new(section, path)).transpose()?,
        })
    }

    /// Whether a request with these headers may come in. Without tokens all may.
    pub fn admits(&self, headers: &HeaderMap) -> bool {
        self.tokens.as_ref().is_none_or(|tokens| tokens.admit(headers))
    }
}

/// Reads a file that `section.key` names.
pub(crate) fn read(section: &'static str, key: &'static str, path: &Path) -> Result<Vec<u8>, GuardError> {
    #[expect(clippy::disallowed_methods, reason = "certificates and tokens are the user's files")]
    std::fs::read(path).map_err(|source| GuardError::Unreadable { section, key, path: path.to_owned(), source })
}
