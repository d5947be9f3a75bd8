//! When to ask again.

use std::time::Duration;

use crate::failure::FetchError;

/// The first wait after a failure is at most this long.
const FIRST: Duration = Duration::from_secs(30);

/// Failures are not waited out for longer than this.
const LONGEST: Duration = Duration::from_hours(1);

/// A provider that throttles is left alone for longer, at most this long.
const LONGEST_THROTTLED: Duration = Duration::from_hours(6);

/// What cannot get better by itself is asked for again after this time.
const RARELY: Duration = Duration::from_hours(1);

/// A provider may ask for a pause up to here; beyond, it is asked once a day whether it still means it.
const LONGEST_ASKED_FOR: Duration = Duration::from_hours(24);

/// The part of a wait that is drawn by chance, so that machines that started together do not ask together.
const SPREAD: f64 = 0.1;

/// Decides how long to wait. Ceilings double with every failure, and a wait is drawn from their upper half: a crowd is
/// spread (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015, "equal jitter") and yet nobody
/// asks again at once.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    refresh: Duration,
    failures: u32,
    chance: u64,
}

impl Pace {
    /// `seed` starts the chance and should differ between machines.
    pub(crate) fn new(refresh: Duration, seed: u64) -> Self {
        Self { refresh, failures: 0, chance: seed }
    }

    /// The wait after an answer: one refresh, and a little more.
    pub(crate) fn after_success(&mut self) -> Duration {
        self.failures = 0;
        self.spread(self.refresh)
    }

    /// The wait after a failure.
    pub(crate) fn after_failure(&mut self, failure: &FetchError) -> Duration {
        let wait = match failure {
            FetchError::Failed { .. } => self.doubled(FIRST.min(self.refresh), LONGEST.max(self.refresh)),
            FetchError::Throttled { after, .. } => {
                let own = self.doubled(self.refresh, LONGEST_THROTTLED.max(self.refresh));
                // Once more spread, because a throttled crowd is told the same date.
                own.max(self.spread(after.unwrap_or_default().min(LONGEST_ASKED_FOR)))
            }
            FetchError::NoData { .. } => self.spread(self.refresh),
            FetchError::Denied { .. } | FetchError::Rejected { .. } | FetchError::Config(_) => {
                self.spread(RARELY.max(self.refresh))
            }
        };
        self.failures = self.failures.saturating_add(1);
        wait
    }

    fn doubled(&mut self, first: Duration, longest: Duration) -> Duration {
        let factor = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        let half = first.saturating_mul(factor).min(longest) / 2;
        half + half.mul_f64(self.draw())
    }

    fn spread(&mut self, wait: Duration) -> Duration {
        wait + wait.mul_f64(SPREAD * self.draw())
    }

    /// Evenly spread over 0 to 1: `SplitMix64` (Steele, Lea and Flood, 2014). Not for secrets.
    fn draw(&mut self) -> f64 {
        self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.chance;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        // The upper 53 bits are exact in a double.
        (mixed >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const QUARTER: Duration = Duration::from_mins(15);

    fn failed() -> FetchError {
        FetchError::Failed { what: String::new() }
    }

    fn throttled(after: Option<Duration>) -> FetchError {
        FetchError::Throttled { after, what: String::new() }
    }

    #[test]
    fn failures_are_waited_out_longer_each_time_and_never_longer_than_an_hour() {
        let mut pace = Pace::new(QUARTER, 1);
        let mut ceiling = FIRST;
        for _ in 0..40 {
            let wait = pace.after_failure(&failed());
            assert!(ceiling / 2 <= wait && wait <= ceiling, "{wait:?} {ceiling:?}");
            ceiling = (ceiling * 2).min(LONGEST);
        }
        pace.after_success();
        assert!(pace.after_failure(&failed()) <= FIRST);
    }

    #[test]
    fn a_throttled_key_rests_for_as_long_as_the_provider_says_and_at_least_half_a_refresh() {
        let mut pace = Pace::new(QUARTER, 2);
        let asked = Duration::from_hours(2);
        assert!(pace.after_failure(&throttled(Some(asked))) >= asked);
        assert!(Pace::new(QUARTER, 3).after_failure(&throttled(Some(Duration::ZERO))) >= QUARTER / 2);
        let for_ever = pace.after_failure(&throttled(Some(Duration::MAX)));
        assert!(for_ever >= LONGEST_ASKED_FOR && for_ever <= LONGEST_ASKED_FOR.mul_f64(1.0 + SPREAD));
    }

    proptest! {
        #[test]
        fn no_wait_is_shorter_than_a_quarter_of_a_minute_or_longer_than_its_bounds(
            seed: u64, refresh_seconds in 60_u64..100_000, kinds in prop::collection::vec(0..4_u8, 0..100),
        ) {
            let refresh = Duration::from_secs(refresh_seconds);
            let mut pace = Pace::new(refresh, seed);
            for kind in kinds {
                let wait = match kind {
                    0 => pace.after_success(),
                    1 => pace.after_failure(&failed()),
                    2 => pace.after_failure(&throttled(Some(Duration::from_secs(seed)))),
                    _ => pace.after_failure(&FetchError::Denied { what: String::new() }),
                };
                prop_assert!(wait >= FIRST / 2);
                prop_assert!(wait <= LONGEST_ASKED_FOR.max(refresh).mul_f64(1.0 + SPREAD));
                if kind == 0 {
                    prop_assert!(wait >= refresh, "one question for each refresh");
                }
            }
        }
    }
}
