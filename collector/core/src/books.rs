//! Integer books. Sums of integers are exact, so what is booked closes to the last unit.
//!
//! Energy is booked in microjoules, carbon in nanograms, money in nano-dollars. A `u64` of microjoules holds
//! 5.1 `GWh`, one of nanograms 18,446 tonnes, one of nano-dollars 18 billion dollars: enough for one machine's life.

use std::iter::Sum;
use std::ops::{Add, AddAssign};

use crate::quantity::{GramsCo2e, Joules, Liters, Usd};

macro_rules! books {
    ($($(#[$doc:meta])* $name:ident = $quantity:ident / $per:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(u64);

        impl $name {
            /// Nothing booked.
            pub const ZERO: Self = Self(0);

            /// Wraps a number that is already in this unit.
            pub const fn new(units: u64) -> Self {
                Self(units)
            }

            /// The number in this unit.
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The nearest whole number of units. Negative, NaN and infinite amounts book nothing.
            pub fn round(amount: $quantity) -> Self {
                let units = amount.get() * $per;
                if units.is_finite() && units > 0.0 { Self(saturating(units.round())) } else { Self(0) }
            }

            /// The booked amount as a quantity, for export.
            pub fn quantity(self) -> $quantity {
                $quantity::new(self.0 as f64 / $per)
            }

            /// The smaller of the two.
            #[must_use]
            pub fn min(self, other: Self) -> Self {
                Self(self.0.min(other.0))
            }

            /// What is left after `part` is taken, never below zero.
            #[must_use]
            pub fn less(self, part: Self) -> Self {
                Self(self.0.saturating_sub(part.0))
            }

            /// True when nothing is booked.
            pub const fn is_zero(self) -> bool {
                self.0 == 0
            }

            /// Splits the amount over `weights` so that the parts add up to it exactly. See [`apportion`].
            pub fn split(self, weights: &[u64]) -> Option<Vec<Self>> {
                apportion(self.0, weights).map(|parts| parts.into_iter().map(Self).collect())
            }
        }

        impl Add for $name {
            type Output = Self;
            fn add(self, other: Self) -> Self {
                Self(self.0.saturating_add(other.0))
            }
        }

        impl AddAssign for $name {
            fn add_assign(&mut self, other: Self) {
                *self = *self + other;
            }
        }

        impl Sum for $name {
            fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
                iter.fold(Self::ZERO, Add::add)
            }
        }
    )*};
}

books! {
    /// Booked energy.
    MicroJoules = Joules / 1e6;
    /// Booked carbon.
    Nanograms = GramsCo2e / 1e9;
    /// Booked money.
    NanoUsd = Usd / 1e9;
    /// Booked water.
    Microliters = Liters / 1e6;
}

/// The nearest `u64` to a finite, non-negative whole number.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the caller has checked the sign, and `as` saturates at the top"
)]
fn saturating(whole: f64) -> u64 {
    whole as u64
}

/// Splits `total` in proportion to `weights` by the largest remainder, so that the parts add up to `total` exactly.
///
/// Ties go to the earlier weight, which keeps the result independent of everything but the arguments.
/// `None` when no weight is positive: then nobody may be charged, and the caller must book the total elsewhere.
pub fn apportion(total: u64, weights: &[u64]) -> Option<Vec<u64>> {
    let whole: u128 = weights.iter().map(|&weight| u128::from(weight)).sum();
    if whole == 0 {
        return None;
    }
    let mut parts = Vec::with_capacity(weights.len());
    let mut remainders = Vec::with_capacity(weights.len());
    for (index, &weight) in weights.iter().enumerate() {
        // u64 * u64 fits u128, and the quotient is at most `total`.
        let share = u128::from(total) * u128::from(weight);
        parts.push(u64::try_from(share / whole).unwrap_or(total));
        remainders.push((share % whole, index));
    }
    let missing = total - parts.iter().sum::<u64>();
    remainders.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    for (_, index) in remainders.into_iter().take(usize::try_from(missing).unwrap_or(usize::MAX)) {
        if let Some(part) = parts.get_mut(index) {
            *part += 1;
        }
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parts_add_up_to_the_total(total: u64, weights in prop::collection::vec(any::<u64>(), 0..40)) {
            match apportion(total, &weights) {
                None => prop_assert!(weights.iter().all(|&weight| weight == 0)),
                Some(parts) => {
                    prop_assert_eq!(parts.len(), weights.len());
                    prop_assert_eq!(parts.iter().map(|&part| u128::from(part)).sum::<u128>(), u128::from(total));
                }
            }
        }

        #[test]
        fn a_part_is_within_one_unit_of_its_fair_share(total in 0u64..1 << 40, weights in prop::collection::vec(0u64..1 << 20, 1..20)) {
            let whole: u64 = weights.iter().sum();
            if let Some(parts) = apportion(total, &weights) {
                for (part, weight) in parts.iter().zip(&weights) {
                    let fair = u128::from(total) * u128::from(*weight) / u128::from(whole);
                    prop_assert!(u128::from(*part) == fair || u128::from(*part) == fair + 1);
                    prop_assert!(*weight > 0 || *part == 0, "nobody without weight pays");
                }
            }
        }

        #[test]
        fn rounding_never_panics(value: f64) {
            let _booked = MicroJoules::round(Joules::new(value));
        }
    }

    #[test]
    fn ties_go_to_the_earlier_weight() {
        assert_eq!(apportion(10, &[1, 1, 1]), Some(vec![4, 3, 3]));
        assert_eq!(apportion(10, &[0, 0]), None);
        assert_eq!(apportion(0, &[3, 4]), Some(vec![0, 0]));
    }
}
