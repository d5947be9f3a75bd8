//! Tokens that only an application's metrics tell of.
//!
//! A call is booked by its span, else by its log record; an application that sends neither is booked by its metrics. So a
//! service of which a span or a record was seen is never booked by metrics: they would tell the same again.

use std::collections::{BTreeMap, BTreeSet};

use wattline_core::reading::{TokenKind, TokenSum, TokenUsage};
use wattline_core::{Text, Timestamp};

/// Series that are followed; those of further ones are not booked and counted.
const MOST_SERIES: usize = 8_192;
/// Services that are remembered to send spans or records.
const MOST_SERVICES: usize = 8_192;

/// The series of applications' metrics, and who needs none.
#[derive(Debug, Default)]
pub struct TokenSums {
    series: BTreeMap<u64, Seen>,
    /// Services of which spans or log records tell.
    told_of: BTreeSet<Text>,
    /// The last of them: calls come in rows of one service.
    last: Option<Text>,
    left_out: u64,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    start: Timestamp,
    at: Timestamp,
    tokens: f64,
    calls: u64,
}

/// What has come to a series since it was last told.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct More {
    /// Tokens in their normal form.
    pub usage: TokenUsage,
    /// Calls, as far as they are counted.
    pub calls: u64,
}

impl std::ops::AddAssign for More {
    fn add_assign(&mut self, more: Self) {
        let (own, other) = (&mut self.usage, more.usage);
        for (own, other) in [
            (&mut own.input, other.input),
            (&mut own.output, other.output),
            (&mut own.cache_read, other.cache_read),
            (&mut own.cache_write, other.cache_write),
            (&mut own.reasoning, other.reasoning),
            (&mut self.calls, more.calls),
        ] {
            *own = own.saturating_add(other);
        }
    }
}

impl TokenSums {
    /// Notes that spans or log records tell of a service's calls.
    pub fn note(&mut self, service: &Text) {
        if self.last.as_ref() == Some(service) {
            return;
        }
        if self.told_of.len() < MOST_SERVICES && !self.told_of.contains(service) {
            self.told_of.insert(service.clone());
        }
        self.last = self.told_of.get(service).cloned();
    }

    /// Sums that were not followed, because there are too many series.
    pub const fn left_out(&self) -> u64 {
        self.left_out
    }

    /// What a sum adds; `None` where nothing came, or where spans or records tell of it.
    ///
    /// The first value of a cumulative series is of a time before anybody listened, and only the start of what is
    /// counted. A value that is lower than the last, or has a later start, begins anew.
    pub fn take(&mut self, sum: &TokenSum) -> Option<More> {
        if self.told_of.contains(&sum.key.service) {
            return None;
        }
        let (tokens, calls) = if sum.is_delta { (sum.tokens, sum.calls.unwrap_or(0)) } else { self.since_last(sum)? };
        let tokens = whole(tokens).filter(|&tokens| tokens > 0)?;
        let mut usage = TokenUsage::default();
        let parts: &mut [&mut u64] = match sum.kind {
            TokenKind::Input => &mut [&mut usage.input],
            TokenKind::Output => &mut [&mut usage.output],
            TokenKind::CacheRead => &mut [&mut usage.cache_read],
            TokenKind::CacheReadBeside => &mut [&mut usage.cache_read, &mut usage.input],
            TokenKind::CacheWrite => &mut [&mut usage.cache_write],
            TokenKind::CacheWriteBeside => &mut [&mut usage.cache_write, &mut usage.input],
            TokenKind::Reasoning => &mut [&mut usage.reasoning],
            TokenKind::ReasoningBeside => &mut [&mut usage.reasoning, &mut usage.output],
        };
        for part in parts {
            **part = tokens;
        }
        Some(More { usage, calls })
    }

    fn since_last(&mut self, sum: &TokenSum) -> Option<(f64, u64)> {
        if self.series.len() >= MOST_SERIES && !self.series.contains_key(&sum.series) {
            self.left_out = self.left_out.saturating_add(1);
            return None;
        }
        let calls = sum.calls.unwrap_or(0);
        let seen = Seen { start: sum.start, at: sum.at, tokens: sum.tokens, calls };
        let last = match self.series.get_mut(&sum.series) {
            // What comes late was told by what came after it.
            Some(last) if sum.at < last.at => return None,
            Some(last) => std::mem::replace(last, seen),
            None => {
                self.series.insert(sum.series, seen);
                return None;
            }
        };
        let is_new = sum.tokens < last.tokens || (sum.start > last.start && sum.start >= last.at);
        Some(if is_new { (sum.tokens, calls) } else { (sum.tokens - last.tokens, calls.saturating_sub(last.calls)) })
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a finite number in range")]
fn whole(tokens: f64) -> Option<u64> {
    (0.0..=1e15).contains(&tokens).then_some(tokens.round() as u64)
}

#[cfg(test)]
mod tests {
    use wattline_core::subject::InferenceKey;

    use super::*;

    fn sum(kind: TokenKind, tokens: f64, at: u64, is_delta: bool) -> TokenSum {
        let key = InferenceKey {
            model: "m".into(),
            provider: "p".into(),
            service: "shop".into(),
            agent: None,
            operation: "chat".into(),
        };
        let (start, at) = (Timestamp::from_unix_nanos(1), Timestamp::from_unix_nanos(at));
        TokenSum { series: 1, key, kind, tokens, calls: None, is_delta, start, at }
    }

    #[test]
    fn cumulative_sums_are_subtracted_and_begin_anew_when_they_fall() {
        let mut sums = TokenSums::default();
        let mut more = |tokens, at| sums.take(&sum(TokenKind::Input, tokens, at, false)).map(|more| more.usage.input);
        assert_eq!(more(100.0, 10), None, "of a time before anybody listened");
        assert_eq!(more(130.0, 20), Some(30));
        assert_eq!(more(130.0, 30), None);
        assert_eq!(more(110.0, 25), None, "late");
        assert_eq!(more(7.0, 40), Some(7), "a restart");
    }

    #[test]
    fn cached_tokens_beside_the_input_are_part_of_it_here() {
        let mut sums = TokenSums::default();
        let usage = sums.take(&sum(TokenKind::CacheReadBeside, 60.0, 10, true)).unwrap().usage;
        assert_eq!((usage.input, usage.cache_read), (60, 60));
        let usage = sums.take(&sum(TokenKind::CacheRead, 60.0, 10, true)).unwrap().usage;
        assert_eq!((usage.input, usage.cache_read), (0, 60));
    }

    #[test]
    fn who_is_told_of_by_spans_is_not_booked_by_metrics() {
        let mut sums = TokenSums::default();
        sums.note(&"shop".into());
        assert_eq!(sums.take(&sum(TokenKind::Input, 5.0, 10, true)), None);
    }

    #[test]
    fn series_are_bounded_and_those_beyond_are_counted() {
        let mut sums = TokenSums::default();
        for series in 0..MOST_SERIES as u64 + 5 {
            sums.take(&TokenSum { series, ..sum(TokenKind::Input, 1.0, 1, false) });
        }
        assert_eq!((sums.series.len(), sums.left_out()), (MOST_SERIES, 5));
    }
}
