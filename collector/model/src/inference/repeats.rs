//! What was said to a model before.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use wattline_core::{Seconds, Timestamp};

/// For how long what was said is remembered.
const MEMORY: Seconds = Seconds::new(600.0);
/// How much of it is remembered.
const MOST_REMEMBERED: usize = 16_384;

/// How a call repeats another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Repeat {
    /// The one before was answered.
    Duplicate,
    /// The one before failed.
    Retry,
}

impl Repeat {
    /// The value of `inference.repeat`.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Duplicate => "duplicate",
            Self::Retry => "retry",
        }
    }
}

/// Hashes of what was said in the last ten minutes.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    last: BTreeMap<u64, Last>,
    /// When each was said, the earliest first; one that was said again stands here more than once.
    order: VecDeque<(Timestamp, u64)>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    at: Timestamp,
    failed: bool,
}

impl Repeats {
    /// Notes that something was said at `now`; 0 is not known. Tells whether it was said before.
    pub(super) fn see(&mut self, prompt: u64, failed: bool, now: Timestamp) -> Option<Repeat> {
        if prompt == 0 {
            return None;
        }
        while let Some(&(at, earliest)) = self.order.front()
            && (now.since(at) > MEMORY || self.order.len() >= MOST_REMEMBERED)
        {
            self.order.pop_front();
            if self.last.get(&earliest).is_some_and(|last| last.at == at) {
                self.last.remove(&earliest);
            }
        }
        self.order.push_back((now, prompt));
        let before = self.last.insert(prompt, Last { at: now, failed })?;
        Some(if before.failed { Repeat::Retry } else { Repeat::Duplicate })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn what_is_said_again_within_ten_minutes_is_known() {
        let mut repeats = Repeats::default();
        assert_eq!(repeats.see(7, true, at(0)), None);
        assert_eq!(repeats.see(8, false, at(1)), None);
        assert_eq!(repeats.see(7, false, at(2)), Some(Repeat::Retry));
        assert_eq!(repeats.see(7, false, at(3)), Some(Repeat::Duplicate));
        assert_eq!(repeats.see(8, false, at(602)), None, "ten minutes are over");
        assert_eq!(repeats.see(7, false, at(603)), Some(Repeat::Duplicate), "it was said again in between");
        assert_eq!(repeats.see(0, false, at(603)), None);
        assert_eq!(repeats.see(0, false, at(603)), None, "what is not told is never the same");
    }

    #[test]
    fn memory_is_bounded() {
        let mut repeats = Repeats::default();
        for prompt in 1..=3 * MOST_REMEMBERED as u64 {
            assert_eq!(repeats.see(prompt, false, at(1)), None);
        }
        assert!(repeats.order.len() <= MOST_REMEMBERED && repeats.last.len() <= MOST_REMEMBERED);
    }
}
