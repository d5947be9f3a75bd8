//! Whether two dies of one package show two counters or one.
//!
//! Some AMD processors (Zen and Zen 2 with several dies in a package) announce one zone per die, and each zone shows
//! the counter of the whole socket: their sum is a multiple of the truth. Powers that agree within a few percent
//! prove nothing, because dies under an even load agree too. So the distance of the two counters is watched: of one
//! counter it never changes, of two it does within seconds.

/// How far the distance may move without proof, in microjoules: the counters are renewed every millisecond or so, in
/// which a package of a kilowatt draws one joule.
const SLACK_UJ: i128 = 1_000_000;

/// Readings and energy after which a distance that never moved is called a mirror.
const PROOF_SIGHTS: u32 = 5;
const PROOF_UJ: i128 = 20_000_000;

/// Three readings in the order in which they were made: the earlier die, the later one, the earlier one again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight {
    pub(super) before: u64,
    pub(super) shown: u64,
    pub(super) after: u64,
}

/// What is known of a pair of dies.
#[derive(Clone, Debug, Default)]
pub(super) struct Mirror {
    distinct: bool,
    last: Option<Sight>,
    /// The distances, shown less earlier, that all readings since the last wrap allow.
    allowed: Option<(i128, i128)>,
    agreed: u32,
    energy_uj: i128,
}

impl Mirror {
    /// True once the pair was seen to be two counters. That is never taken back: one counter cannot drift away from
    /// itself.
    pub(super) const fn is_distinct(&self) -> bool {
        self.distinct
    }

    /// True when the distance stood still for long enough to say that there is one counter. Should it move later,
    /// the pair is distinct after all.
    pub(super) const fn is_proven(&self) -> bool {
        !self.distinct && self.agreed >= PROOF_SIGHTS && self.energy_uj >= PROOF_UJ
    }

    /// Takes a reading. As the later die was read between two readings of the earlier one, a pause of this process
    /// between them widens the range that is allowed and cannot look like a drift.
    pub(super) fn see(&mut self, sight: Sight) {
        let last = self.last.replace(sight);
        let wrapped = sight.after < sight.before
            || last.is_some_and(|last| sight.before < last.after || sight.shown < last.shown);
        // A counter that shows zero is not counting, and a wrap moves the distance by the range.
        if wrapped || sight.before == 0 || sight.shown == 0 {
            self.allowed = None;
            return;
        }
        let (before, shown, after) = (i128::from(sight.before), i128::from(sight.shown), i128::from(sight.after));
        let seen = (shown - after - SLACK_UJ, shown - before + SLACK_UJ);
        let (low, high) = match self.allowed {
            Some((low, high)) => (low.max(seen.0), high.min(seen.1)),
            None => seen,
        };
        self.allowed = Some((low, high));
        if low > high {
            self.distinct = true;
            return;
        }
        let grown = last.map_or(0, |last| before - i128::from(last.before));
        if grown > 0 {
            self.agreed = self.agreed.saturating_add(1);
            self.energy_uj = self.energy_uj.saturating_add(grown);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn see(mirror: &mut Mirror, before: u64, shown: u64) {
        mirror.see(Sight { before, shown, after: before + 3_000 });
    }

    #[test]
    fn one_counter_read_twice_is_never_distinct_however_long_the_pauses() {
        let mut mirror = Mirror::default();
        let mut counter = 1_000_000_000;
        for pause in [0, 2_000, 60_000_000, 0, 1, 5_000_000, 10, 10] {
            counter += 68_000_000;
            let shown = counter + pause / 2;
            mirror.see(Sight { before: counter, shown, after: counter + pause });
            counter += pause;
            assert!(!mirror.is_distinct(), "after a pause of {pause} microjoules");
        }
        assert!(mirror.is_proven());
    }

    #[test]
    fn two_dies_under_nearly_the_same_load_are_told_apart_by_their_drift() {
        let mut mirror = Mirror::default();
        // 50 W and 50.5 W: one percent. After five seconds the distance has moved by more than the slack.
        let seconds = (1..60).find(|&second| {
            see(&mut mirror, 7_000_000_000 + second * 50_000_000, 7_000_000_000 + second * 50_500_000);
            mirror.is_distinct()
        });
        assert!(seconds.is_some_and(|seconds| (3..=7).contains(&seconds)), "{seconds:?}");
    }

    #[test]
    fn a_mirror_at_another_offset_is_a_mirror() {
        let mut mirror = Mirror::default();
        for second in 1..20 {
            see(&mut mirror, 5_000_000_000 + second * 68_000_000, 90_000_000 + second * 68_000_000);
        }
        assert!(mirror.is_proven() && !mirror.is_distinct());
    }

    #[test]
    fn counters_at_zero_prove_nothing() {
        let mut mirror = Mirror::default();
        for _ in 0..100 {
            see(&mut mirror, 0, 0);
        }
        assert!(!mirror.is_proven() && !mirror.is_distinct());
    }

    #[test]
    fn a_wrap_of_the_mirrored_counter_is_no_drift() {
        let mut mirror = Mirror::default();
        let range = 65_532_610_987_u64;
        for second in 0..2_000_u64 {
            let counter = (range - 70_000_000 * 5 + second * 68_000_000) % range;
            let later = (counter + 1_000) % range;
            mirror.see(Sight { before: counter, shown: later, after: (counter + 2_000) % range });
            assert!(!mirror.is_distinct(), "second {second}");
        }
    }

    proptest! {
        #[test]
        fn no_readings_panic(sights in prop::collection::vec(any::<(u64, u64, u64)>(), 0..50)) {
            let mut mirror = Mirror::default();
            for (before, shown, after) in sights {
                mirror.see(Sight { before, shown, after });
            }
            prop_assert!(!(mirror.is_proven() && mirror.is_distinct()));
        }
    }
}
