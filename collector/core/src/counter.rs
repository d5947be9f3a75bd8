//! Differences of raw counters, which wrap, reset and go missing.

use crate::quantity::Seconds;
use crate::time::Instant;

/// What a new raw value says against the last one. `elapsed` is the time the difference covers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// The first value seen: there is nothing to subtract from.
    First,
    /// The counter went on.
    Delta {
        /// The difference in the source's own unit.
        amount: u64,
        /// The time the difference covers.
        elapsed: Seconds,
    },
    /// The counter passed the end of its stated range once.
    Wrapped {
        /// The difference in the source's own unit.
        amount: u64,
        /// The time the difference covers.
        elapsed: Seconds,
    },
    /// The counter went back for another reason, or a wrap cannot be believed: the interval is lost.
    Reset,
}

impl Step {
    /// The difference and the time it covers, if there is one.
    pub fn delta(self) -> Option<(u64, Seconds)> {
        match self {
            Self::Delta { amount, elapsed } | Self::Wrapped { amount, elapsed } => Some((amount, elapsed)),
            Self::First | Self::Reset => None,
        }
    }
}

/// The range of a counter whose source states it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// The largest value the counter shows; the next unit shows zero.
    pub max: u64,
    /// The fastest the counter can grow, in its unit per second. A wrap that would need more is not believed.
    pub fastest_per_second: f64,
}

/// The last raw value of one counter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Counter {
    last: Option<(u64, Instant)>,
}

impl Default for Counter {
    fn default() -> Self {
        Self::new()
    }
}

impl Counter {
    /// A counter that has seen nothing.
    pub const fn new() -> Self {
        Self { last: None }
    }

    /// A counter that goes on from a raw value kept over a restart.
    pub const fn resume(raw: u64, at: Instant) -> Self {
        Self { last: Some((raw, at)) }
    }

    /// The last raw value and when it was read.
    pub const fn last(&self) -> Option<(u64, Instant)> {
        self.last
    }

    /// Takes the raw value read at `at`. `range` is `None` where the source states none: then any decrease is a reset.
    ///
    /// A wrap is believed when the elapsed time allows the amount (`fastest_per_second`) and does not allow a
    /// second lap that nobody could see.
    pub fn step(&mut self, raw: u64, at: Instant, range: Option<Range>) -> Step {
        let last = self.last.replace((raw, at));
        let Some((before, then)) = last else { return Step::First };
        let elapsed = at.since(then);
        if raw >= before {
            let amount = raw - before;
            let hidden_lap = range.is_some_and(|range| lap_fits(range, elapsed));
            return if hidden_lap { Step::Reset } else { Step::Delta { amount, elapsed } };
        }
        match range {
            Some(range) if before <= range.max => {
                let amount = (range.max - before).saturating_add(raw).saturating_add(1);
                let possible = amount as f64 <= range.fastest_per_second * elapsed.get();
                if possible && !lap_fits(range, elapsed) { Step::Wrapped { amount, elapsed } } else { Step::Reset }
            }
            _ => Step::Reset,
        }
    }
}

/// True when a whole lap could have passed unseen in `elapsed`.
fn lap_fits(range: Range, elapsed: Seconds) -> bool {
    range.fastest_per_second * elapsed.get() > range.max as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    const RAPL: Range = Range { max: 262_143_328_850, fastest_per_second: 2e9 };

    #[test]
    fn the_first_value_is_no_difference() {
        assert_eq!(Counter::new().step(7, at(1), None), Step::First);
    }

    #[test]
    fn a_decrease_without_a_range_is_a_reset() {
        let mut counter = Counter::resume(100, at(0));
        assert_eq!(counter.step(3, at(1), None), Step::Reset);
        assert_eq!(counter.step(5, at(2), None).delta().map(|(amount, _)| amount), Some(2));
    }

    #[test]
    fn a_wrap_counts_the_unit_between_the_largest_value_and_zero() {
        let mut counter = Counter::resume(RAPL.max - 9, at(0));
        let step = counter.step(40, at(1), Some(RAPL));
        assert_eq!(step, Step::Wrapped { amount: 50, elapsed: Seconds::new(1.0) });
    }

    #[test]
    fn a_decrease_that_no_machine_can_draw_is_a_reset_and_not_a_wrap() {
        // Half the range in one second: 131 kW.
        let mut counter = Counter::resume(RAPL.max / 2, at(0));
        assert_eq!(counter.step(10, at(1), Some(RAPL)), Step::Reset);
    }

    #[test]
    fn an_hour_without_a_reading_hides_laps_and_says_nothing() {
        let mut counter = Counter::resume(10, at(0));
        assert_eq!(counter.step(20, at(3600), Some(RAPL)), Step::Reset);
    }

    proptest! {
        #[test]
        fn no_sequence_panics_and_no_difference_exceeds_the_range(values in prop::collection::vec((any::<u64>(), 0u64..10_000), 1..50), max: u64) {
            let mut counter = Counter::new();
            let range = Range { max, fastest_per_second: 1e9 };
            let mut now = 0;
            for (raw, pause) in values {
                now += pause;
                if let Step::Wrapped { amount, .. } = counter.step(raw, at(now), Some(range)) {
                    prop_assert!(amount > 0 && u128::from(amount) <= u128::from(max) + u128::from(raw) + 1);
                }
            }
        }

        #[test]
        fn a_wrapping_counter_adds_up(deltas in prop::collection::vec(0u64..400_000_000, 1..200)) {
            let range = Range { max: 1_999_999_999, fastest_per_second: 4e8 };
            let (mut counter, mut truth, mut sum) = (Counter::new(), 0u64, 0u64);
            counter.step(0, at(0), Some(range));
            for (second, delta) in (1..).zip(&deltas) {
                truth += delta;
                let raw = truth % (range.max + 1);
                sum += counter.step(raw, at(second), Some(range)).delta().map_or(0, |(amount, _)| amount);
            }
            prop_assert_eq!(sum, truth);
        }
    }
}
