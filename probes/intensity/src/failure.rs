//! What may go wrong. The variant is the caller's next action.

use std::time::Duration;

/// Why live intensity cannot be read at all: one key of its configuration is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("carbon.live cannot be used: {key} {problem}")]
pub struct OpenError {
    /// The key.
    pub key: &'static str,
    /// What is wrong with it, and what to do. Secrets are not told.
    pub problem: String,
}

/// Why a question got no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The configuration is wrong: mend it.
    #[error(transparent)]
    Config(#[from] OpenError),
    /// The provider asks to slow down: keep the key, wait at least as long as it says, and longer each time.
    #[error("{what}")]
    Throttled {
        /// The pause that the provider asks for.
        after: Option<Duration>,
        /// What happened.
        what: String,
    },
    /// The key is missing or refused: say so once, ask again rarely, or when the key has changed.
    #[error("{what}")]
    Denied {
        /// What was refused.
        what: String,
    },
    /// The provider does not know what is asked of it, such as the zone: ask again rarely.
    #[error("{what}")]
    Rejected {
        /// What was refused.
        what: String,
    },
    /// The provider has no value for this time: ask again at the next refresh.
    #[error("{what}")]
    NoData {
        /// What it said instead.
        what: String,
    },
    /// It did not answer, or nonsense: ask again, later each time.
    #[error("{what}")]
    Failed {
        /// What was attempted, and how it failed.
        what: String,
    },
}
