//! The base-2 exponential histogram of OpenTelemetry.

/// Counts values in buckets whose bounds grow by a constant factor of 2^(2^-scale), and halves its resolution
/// whenever they would be more than [`Self::MAX_BUCKETS`]. Only values above zero have buckets: token counts and
/// durations are never negative, and zeros are counted apart.
///
/// Source: OpenTelemetry specification, metrics data model, "`ExponentialHistogram`".
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ExponentialHistogram {
    scale: i32,
    offset: i32,
    counts: Vec<u64>,
    zero_count: u64,
    count: u64,
    sum: f64,
    #[serde(with = "known")]
    min: f64,
    #[serde(with = "known::most")]
    max: f64,
}

/// The smallest value, which is infinite while there is none: JSON has no word for that.
mod known {
    #![expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes the field so")]

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        Some(*value).filter(|value| value.is_finite()).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        Ok(Option::deserialize(deserializer)?.unwrap_or(f64::INFINITY))
    }

    /// The same of the largest.
    pub(super) mod most {
        use super::{Deserialize, Deserializer};

        pub(in super::super) use super::serialize;

        pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
            Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NEG_INFINITY))
        }
    }
}

impl Default for ExponentialHistogram {
    fn default() -> Self {
        Self::new()
    }
}

impl ExponentialHistogram {
    /// The most buckets kept; at least 5 % resolution over three decades.
    pub const MAX_BUCKETS: usize = 160;
    const FIRST_SCALE: i32 = 6;
    const LAST_SCALE: i32 = -10;

    /// A histogram that has seen nothing.
    pub const fn new() -> Self {
        Self {
            scale: Self::FIRST_SCALE,
            offset: 0,
            counts: Vec::new(),
            zero_count: 0,
            count: 0,
            sum: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
        }
    }

    /// Counts one value. Negative and non-finite values are refused: `false`.
    pub fn record(&mut self, value: f64) -> bool {
        self.record_many(value, 1)
    }

    /// Counts one value `times` times, as a sampled value that stands for several. Refuses what [`Self::record`] does.
    pub fn record_many(&mut self, value: f64, times: u64) -> bool {
        if !value.is_finite() || value < 0.0 {
            return false;
        }
        if times == 0 {
            return true;
        }
        self.count = self.count.saturating_add(times);
        self.sum += value * times as f64;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        if value < f64::MIN_POSITIVE {
            self.zero_count = self.zero_count.saturating_add(times);
            return true;
        }
        let mut index = bucket(value, self.scale);
        // Nearly every value falls between others.
        if let Ok(slot) = usize::try_from(i64::from(index) - i64::from(self.offset))
            && let Some(count) = self.counts.get_mut(slot)
        {
            *count = count.saturating_add(times);
            return true;
        }
        while !self.make_room(index) {
            self.halve();
            index = bucket(value, self.scale);
        }
        let slot = usize::try_from(index - self.offset).unwrap_or(0);
        if let Some(count) = self.counts.get_mut(slot) {
            *count = count.saturating_add(times);
        }
        true
    }

    /// Adds all that `other` counted.
    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        let mut other = other.clone();
        while other.scale > self.scale {
            other.halve();
        }
        while self.scale > other.scale {
            self.halve();
        }
        if let Some(last) = i32::try_from(other.counts.len()).ok().filter(|&len| len > 0)
            && !(self.make_room(other.offset) && self.make_room(other.offset + last - 1))
        {
            self.halve();
            other.halve();
            return self.merge(&other);
        }
        for (index, &count) in (other.offset..).zip(&other.counts) {
            let slot = usize::try_from(index - self.offset).unwrap_or(usize::MAX);
            if let Some(own) = self.counts.get_mut(slot) {
                *own = own.saturating_add(count);
            }
        }
        self.zero_count = self.zero_count.saturating_add(other.zero_count);
        self.count = self.count.saturating_add(other.count);
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// A histogram of known counts whose smallest and largest value are not known. `None` when the parts cannot belong
    /// together: more buckets than [`Self::MAX_BUCKETS`], a scale that is never used, a sum that is not a finite number
    /// or counts beyond `u64`.
    pub fn from_counts(scale: i32, offset: i32, counts: Vec<u64>, zero_count: u64, sum: f64) -> Option<Self> {
        let fits = counts.len() <= Self::MAX_BUCKETS && (Self::LAST_SCALE..=Self::FIRST_SCALE).contains(&scale);
        // No finite value has a bucket further out.
        let near = i64::from(offset).abs() <= 1 << 18;
        let count = counts.iter().try_fold(zero_count, |sum, &count| sum.checked_add(count))?;
        (fits && near && sum.is_finite()).then_some(Self {
            scale,
            offset,
            counts,
            zero_count,
            count,
            sum,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
        })
    }

    /// What was counted since the histogram stood at `earlier`, at the coarser of the two scales. `None` when it never
    /// stood there: something was counted less often now than then.
    ///
    /// The smallest and the largest value since then are not known, unless nothing had been counted before.
    pub fn since(&self, earlier: &Self) -> Option<Self> {
        if earlier.count == 0 {
            return Some(self.clone());
        }
        let scale = self.scale.min(earlier.scale);
        let (mut rest, earlier) = (self.at_scale(scale), earlier.at_scale(scale));
        rest.count = rest.count.checked_sub(earlier.count)?;
        rest.zero_count = rest.zero_count.checked_sub(earlier.zero_count)?;
        for (index, &count) in (earlier.offset..).zip(&earlier.counts).filter(|(_, count)| **count > 0) {
            let slot = usize::try_from(i64::from(index) - i64::from(rest.offset)).ok()?;
            let own = rest.counts.get_mut(slot)?;
            *own = own.checked_sub(count)?;
        }
        rest.trim();
        rest.sum = (rest.sum - earlier.sum).max(0.0);
        (rest.min, rest.max) = (f64::INFINITY, f64::NEG_INFINITY);
        Some(rest)
    }

    /// The same counts at a coarser scale.
    #[must_use]
    pub fn at_scale(&self, scale: i32) -> Self {
        let mut coarse = self.clone();
        while coarse.scale > scale {
            coarse.halve();
        }
        coarse
    }

    /// The resolution: bucket bounds are powers of 2^(2^-scale).
    pub const fn scale(&self) -> i32 {
        self.scale
    }

    /// The index of the first bucket: it holds values above base^offset up to base^(offset+1).
    pub const fn offset(&self) -> i32 {
        self.offset
    }

    /// The counts of the buckets from [`Self::offset`] on.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// Values that were zero.
    pub const fn zero_count(&self) -> u64 {
        self.zero_count
    }

    /// All values.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Their sum.
    pub const fn sum(&self) -> f64 {
        self.sum
    }

    /// The smallest value, if there is one and it is known.
    pub fn min(&self) -> Option<f64> {
        self.min.is_finite().then_some(self.min)
    }

    /// The largest value, if there is one and it is known.
    pub fn max(&self) -> Option<f64> {
        self.max.is_finite().then_some(self.max)
    }

    /// Leaves out the empty buckets at both ends.
    fn trim(&mut self) {
        let last = self.counts.iter().rposition(|&count| count > 0).map_or(0, |last| last + 1);
        self.counts.truncate(last);
        let first = self.counts.iter().take_while(|&&count| count == 0).count();
        self.counts.drain(..first);
        self.offset += i32::try_from(first).unwrap_or(0);
    }

    /// Extends the buckets to hold `index`; false when that would take too many.
    fn make_room(&mut self, index: i32) -> bool {
        if self.counts.is_empty() {
            self.offset = index;
            self.counts.push(0);
            return true;
        }
        let len = i32::try_from(self.counts.len()).unwrap_or(i32::MAX);
        let first = index.min(self.offset);
        let last = index.max(self.offset + len - 1);
        let needed = usize::try_from(i64::from(last) - i64::from(first) + 1).unwrap_or(usize::MAX);
        if needed > Self::MAX_BUCKETS && self.scale > Self::LAST_SCALE {
            return false;
        }
        let front = usize::try_from(self.offset - first).unwrap_or(0);
        self.counts.splice(0..0, std::iter::repeat_n(0, front));
        self.counts.resize(needed, 0);
        self.offset = first;
        true
    }

    /// Merges pairs of neighbouring buckets.
    fn halve(&mut self) {
        self.scale -= 1;
        let first = self.offset.div_euclid(2);
        let mut merged: Vec<u64> = Vec::with_capacity(self.counts.len() / 2 + 1);
        for (index, &count) in (self.offset..).zip(&self.counts) {
            let slot = usize::try_from(index.div_euclid(2) - first).unwrap_or(0);
            if merged.len() <= slot {
                merged.resize(slot + 1, 0);
            }
            if let Some(own) = merged.get_mut(slot) {
                *own = own.saturating_add(count);
            }
        }
        self.offset = first;
        self.counts = merged;
    }
}

/// The index of the bucket (base^index, base^(index+1)] that holds `value`, which is above zero.
fn bucket(value: f64, scale: i32) -> i32 {
    // Exact powers of two must fall below their bound whatever the rounding of the logarithm.
    let (mantissa, exponent) = frexp(value);
    if scale <= 0 {
        let below = if mantissa <= 0.5 { exponent - 2 } else { exponent - 1 };
        return below >> scale.unsigned_abs().min(31);
    }
    let factor = f64::from(1u32 << scale.unsigned_abs().min(20));
    if mantissa <= 0.5 {
        return ((exponent - 1) << scale) - 1;
    }
    #[expect(clippy::cast_possible_truncation, reason = "|log2| < 1100 and the factor is at most 2^20")]
    let index = (value.log2() * factor).ceil() as i32;
    index - 1
}

/// `value` = mantissa * 2^exponent with 0.5 <= mantissa < 1, for a normal value above zero.
fn frexp(value: f64) -> (f64, i32) {
    let bits = value.to_bits();
    let exponent = i32::try_from((bits >> 52) & 0x7ff).unwrap_or(0) - 1022;
    (f64::from_bits((bits & 0x000f_ffff_ffff_ffff) | 0x3fe0_0000_0000_0000), exponent)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bounds(histogram: &ExponentialHistogram, slot: usize) -> (f64, f64) {
        let base_log = 2f64.powi(-histogram.scale());
        let index = f64::from(histogram.offset()) + slot as f64;
        ((index * base_log).exp2(), ((index + 1.0) * base_log).exp2())
    }

    /// The buckets that hold something, by their index.
    fn trimmed(mut histogram: ExponentialHistogram) -> (i32, Vec<u64>) {
        histogram.trim();
        (if histogram.counts.is_empty() { 0 } else { histogram.offset }, histogram.counts)
    }

    proptest! {
        #[test]
        fn every_value_is_counted_once_in_its_bucket(values in prop::collection::vec(prop_oneof![0.0..1e9f64, 1e-6..1.0f64, Just(0.0)], 1..300)) {
            let mut histogram = ExponentialHistogram::new();
            for &value in &values {
                prop_assert!(histogram.record(value));
            }
            prop_assert!(histogram.counts().len() <= ExponentialHistogram::MAX_BUCKETS);
            prop_assert_eq!(histogram.count(), values.len() as u64);
            prop_assert_eq!(histogram.counts().iter().sum::<u64>() + histogram.zero_count(), histogram.count());
            for (slot, &count) in histogram.counts().iter().enumerate() {
                let (low, high) = bounds(&histogram, slot);
                let within = values.iter().filter(|&&value| value > low * (1.0 + 1e-9) && value < high * (1.0 - 1e-9)).count();
                prop_assert!(within as u64 <= count, "{within} values in ({low}, {high}] but {count} counted");
            }
        }

        #[test]
        fn merging_equals_recording_all(left in prop::collection::vec(0.0..1e7f64, 0..60), right in prop::collection::vec(1e-3..1e3f64, 0..60)) {
            let (mut one, mut two, mut both) = (ExponentialHistogram::new(), ExponentialHistogram::new(), ExponentialHistogram::new());
            for &value in &left { one.record(value); both.record(value); }
            for &value in &right { two.record(value); both.record(value); }
            one.merge(&two);
            let scale = one.scale().min(both.scale());
            prop_assert_eq!(one.at_scale(scale).counts().iter().sum::<u64>(), both.at_scale(scale).counts().iter().sum::<u64>());
            prop_assert_eq!(one.count(), both.count());
            prop_assert_eq!(one.max(), both.max());
        }
    }

    proptest! {
        #[test]
        fn what_came_since_makes_the_whole_again(before in prop::collection::vec(0.0..1e7f64, 0..60), after in prop::collection::vec(prop_oneof![1e-3..1e9f64, Just(0.0)], 0..60)) {
            let mut earlier = ExponentialHistogram::new();
            for &value in &before { earlier.record(value); }
            let mut later = earlier.clone();
            for &value in &after { later.record(value); }
            let rest = later.since(&earlier).unwrap();
            prop_assert_eq!(rest.count(), after.len() as u64);
            prop_assert_eq!(rest.counts().iter().sum::<u64>() + rest.zero_count(), rest.count());
            let mut whole = earlier.clone();
            whole.merge(&rest);
            let scale = whole.scale().min(later.scale());
            prop_assert_eq!(trimmed(whole.at_scale(scale)), trimmed(later.at_scale(scale)));
            prop_assert_eq!((whole.count(), whole.zero_count()), (later.count(), later.zero_count()));
            prop_assert!((whole.sum() - later.sum()).abs() <= later.sum() * 1e-12);
            // Backwards there is nothing to tell, unless nothing came.
            prop_assert_eq!(earlier.since(&later).is_some(), after.is_empty());
        }

        #[test]
        fn counts_that_were_kept_are_the_same_again(values in prop::collection::vec(0.0..1e9f64, 0..200)) {
            let mut histogram = ExponentialHistogram::new();
            for &value in &values { histogram.record(value); }
            let (counts, zeros) = (histogram.counts().to_vec(), histogram.zero_count());
            let kept = ExponentialHistogram::from_counts(histogram.scale(), histogram.offset(), counts, zeros, histogram.sum()).unwrap();
            prop_assert_eq!((kept.min(), kept.max(), kept.count()), (None, None, histogram.count()));
            prop_assert_eq!(histogram.since(&kept).unwrap().count(), 0);
        }
    }

    #[test]
    fn counts_that_no_histogram_has_are_refused() {
        assert!(ExponentialHistogram::from_counts(7, 0, vec![1], 0, 1.0).is_none());
        assert!(ExponentialHistogram::from_counts(0, i32::MIN, vec![1], 0, 1.0).is_none());
        assert!(ExponentialHistogram::from_counts(0, 0, vec![1; 161], 0, 1.0).is_none());
        assert!(ExponentialHistogram::from_counts(0, 0, vec![1], 0, f64::NAN).is_none());
        assert!(ExponentialHistogram::from_counts(0, 0, vec![u64::MAX], 1, 1.0).is_none());
    }

    #[test]
    fn powers_of_four_fall_below_their_bound() {
        for power in 0..12 {
            let mut histogram = ExponentialHistogram::new();
            histogram.record(4f64.powi(power));
            let coarse = histogram.at_scale(-1);
            assert_eq!(coarse.offset(), power - 1, "4^{power} belongs to the bucket that ends with it");
        }
    }

    #[test]
    fn recording_many_equals_recording_often() {
        let (mut many, mut often) = (ExponentialHistogram::new(), ExponentialHistogram::new());
        for (value, times) in [(3.0, 4), (0.0, 2), (1000.0, 0), (7.5, 1)] {
            assert!(many.record_many(value, times));
            for _ in 0..times {
                often.record(value);
            }
        }
        assert_eq!(many, often);
    }

    #[test]
    fn nonsense_is_refused() {
        let mut histogram = ExponentialHistogram::new();
        assert!(!histogram.record(f64::NAN));
        assert!(!histogram.record(-1.0));
        assert_eq!(histogram.count(), 0);
    }
}
