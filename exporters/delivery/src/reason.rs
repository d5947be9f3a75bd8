//! Why telemetry is lost on its way to a destination.

use std::fmt;

/// The closed list of words in the attribute `wattline.reason` of `wattline.dropped`, as far as destinations go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DropReason {
    /// The backlog was full and this was the oldest in it.
    QueueFull,
    /// A newer snapshot of the same sums was waiting: detail is lost, totals are not.
    Superseded,
    /// It waited longer than the configured age.
    Expired,
    /// The destination refused it for good.
    Rejected,
    /// The destination took the rest of the request.
    PartialRejection,
    /// One item alone is larger than the destination takes.
    TooLarge,
    /// The destination's answer was larger than 4 MiB, so that nobody knows what it took.
    ResponseTooLarge,
    /// It could not be encoded or compressed.
    Encoding,
    /// The agent stopped before it was delivered, and had nowhere to keep it.
    Shutdown,
    /// What the disk gave back was not what had been written.
    Corrupt,
    /// It could not be written where it should have waited, neither on disk nor in memory.
    Unwritable,
}

impl DropReason {
    /// The word in the attribute.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::Superseded => "superseded",
            Self::Expired => "expired",
            Self::Rejected => "rejected",
            Self::PartialRejection => "partial_rejection",
            Self::TooLarge => "too_large",
            Self::ResponseTooLarge => "response_too_large",
            Self::Encoding => "encoding",
            Self::Shutdown => "shutdown",
            Self::Corrupt => "corrupt",
            Self::Unwritable => "unwritable",
        }
    }

    /// The reason with this word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == word)
    }

    const ALL: [Self; 11] = [
        Self::QueueFull,
        Self::Superseded,
        Self::Expired,
        Self::Rejected,
        Self::PartialRejection,
        Self::TooLarge,
        Self::ResponseTooLarge,
        Self::Encoding,
        Self::Shutdown,
        Self::Corrupt,
        Self::Unwritable,
    ];
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
