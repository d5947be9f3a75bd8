//! When to try again.

use std::time::Duration;

/// Exponential backoff with full jitter: each wait is drawn evenly between nothing and a ceiling that doubles with
/// every failure. Of the usual schemes it needs the fewest calls to get a crowd of clients through (M. Brooker,
/// "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    initial: Duration,
    max: Duration,
    failures: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new(Duration::from_secs(1), Duration::from_secs(30))
    }
}

impl Backoff {
    /// A server that asks for a longer pause is asked again after this one.
    pub const LONGEST_SERVER_DELAY: Duration = Duration::from_mins(5);

    /// The first wait is at most `initial`, the longest at most `max`.
    pub const fn new(initial: Duration, max: Duration) -> Self {
        Self { initial, max, failures: 0 }
    }

    /// The wait after one more failure. `chance` is evenly spread over 0 to 1. What the server asked for is a lower
    /// bound, itself bounded by [`Self::LONGEST_SERVER_DELAY`].
    pub fn after_failure(&mut self, chance: f64, server: Option<Duration>) -> Duration {
        let doubled = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        let ceiling = self.initial.saturating_mul(doubled).min(self.max);
        self.failures = self.failures.saturating_add(1);
        let chance = if chance.is_nan() { 1.0 } else { chance.clamp(0.0, 1.0) };
        let drawn = Duration::try_from_secs_f64(ceiling.as_secs_f64() * chance).unwrap_or(ceiling).min(ceiling);
        drawn.max(server.unwrap_or_default().min(Self::LONGEST_SERVER_DELAY))
    }

    /// Forgets the failures.
    pub const fn reset(&mut self) {
        self.failures = 0;
    }
}

/// A small source of chance for jitter, which needs to differ between machines and nothing more. The generator is
/// `SplitMix64` (Steele, Lea and Flood, 2014). Not for secrets.
#[derive(Clone, Copy, Debug)]
pub struct Chance(u64);

impl Chance {
    /// The same seed gives the same numbers.
    pub const fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number, evenly spread over 0 (inclusive) to 1 (exclusive).
    pub fn draw(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
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

    proptest! {
        #[test]
        fn no_wait_is_longer_than_the_ceiling_or_shorter_than_the_server_asks(
            initial in any::<Duration>(), max in any::<Duration>(), server in any::<Option<Duration>>(),
            chances in prop::collection::vec(any::<f64>(), 1..80),
        ) {
            let mut backoff = Backoff::new(initial, max);
            let asked = server.unwrap_or_default().min(Backoff::LONGEST_SERVER_DELAY);
            for chance in chances {
                let wait = backoff.after_failure(chance, server);
                prop_assert!(wait >= asked);
                prop_assert!(wait <= max.max(asked));
            }
        }

        #[test]
        fn chance_stays_below_one(seed: u64) {
            let mut chance = Chance::seeded(seed);
            for _ in 0..50 {
                let drawn = chance.draw();
                prop_assert!((0.0..1.0).contains(&drawn));
            }
        }
    }

    #[test]
    fn the_ceiling_doubles_up_to_the_longest_and_starts_over_after_success() {
        let mut backoff = Backoff::default();
        let waits: Vec<u64> = (0..7).map(|_| backoff.after_failure(1.0, None).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
        backoff.reset();
        assert_eq!(backoff.after_failure(0.5, None), Duration::from_millis(500));
    }

    #[test]
    fn a_server_cannot_ask_for_a_day() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.after_failure(0.0, Some(Duration::from_hours(24))), Backoff::LONGEST_SERVER_DELAY);
        assert_eq!(backoff.after_failure(0.0, Some(Duration::from_secs(7))), Duration::from_secs(7));
    }

    #[test]
    fn chance_is_spread_evenly() {
        let mut chance = Chance::seeded(7);
        let drawn: Vec<f64> = (0..10_000).map(|_| chance.draw()).collect();
        for tenth in 0..10 {
            let range = f64::from(tenth) / 10.0..f64::from(tenth + 1) / 10.0;
            let count = drawn.iter().filter(|number| range.contains(number)).count();
            assert!((850..1150).contains(&count), "{count} numbers in {range:?}");
        }
    }
}
