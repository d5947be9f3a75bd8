//! What tells one series from another, and how much it has told.

use std::sync::Arc;

use ring::digest::{Context, SHA256};
use wattline_core::{Attribute, Descriptor, ExponentialHistogram, Sample, Timestamp, Value};

/// Tells series apart, also those of an earlier process: 128 bits of a hash over the metric's name and its labels in
/// the order of their keys. Names come from the outside, so that the hash is one that nobody can aim with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SeriesId(pub(crate) u128);

impl SeriesId {
    /// The series that `sample` belongs to.
    pub(crate) fn of(sample: &Sample) -> Self {
        Self::new(sample.metric.name, labels(sample))
    }

    /// The series of `name` with these labels, each key once.
    pub(crate) fn new(name: &str, mut labels: Vec<Attribute>) -> Self {
        labels.sort_unstable();
        let mut hash = Context::new(&SHA256);
        let texts = labels.iter().flat_map(|Attribute { key, value }| [*key, value.as_str()]);
        for text in std::iter::once(name).chain(texts) {
            hash.update(&(text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        }
        let digest = hash.finish();
        let first = digest.as_ref().first_chunk().copied().unwrap_or_default();
        Self(u128::from_le_bytes(first))
    }
}

/// The labels of a point: what tells its subject apart comes first, and every key stands once.
pub fn labels(sample: &Sample) -> Vec<Attribute> {
    let mut labels = sample.subject.identity();
    for attribute in &sample.attributes {
        if !labels.iter().any(|label| label.key == attribute.key) {
            labels.push(attribute.clone());
        }
    }
    labels
}

/// How many of the units that the books count in make one of the metric's: sums of whole numbers are exact.
fn fineness(metric: &Descriptor) -> f64 {
    match metric.unit {
        "J" | "{L}" | "{call}" => 1e6,
        "g" | "{USD}" | "s" => 1e9,
        _ => 1.0,
    }
}

/// How much a counter or a histogram has counted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Amount {
    /// Whole units of the books, see [`fineness`].
    Units(i64),
    /// A distribution.
    Counts(Arc<ExponentialHistogram>),
}

impl Amount {
    /// The amount that a sample tells; `None` when no backend takes it.
    pub(crate) fn of(sample: &Sample) -> Option<Self> {
        match &sample.value {
            Value::Number(number) if number.is_finite() => {
                let units = (number * fineness(sample.metric)).round();
                #[expect(clippy::cast_possible_truncation, reason = "`as` saturates, far beyond any machine's life")]
                let units = units as i64;
                Some(Self::Units(units))
            }
            Value::Number(_) => None,
            Value::Histogram(counts) => counts.sum().is_finite().then(|| Self::Counts(Arc::clone(counts))),
        }
    }

    /// The amount in the metric's own unit.
    pub(crate) fn value(&self, metric: &Descriptor) -> Value {
        match self {
            Self::Units(units) => Value::Number(*units as f64 / fineness(metric)),
            Self::Counts(counts) => Value::Histogram(Arc::clone(counts)),
        }
    }

    /// What came since the amount was `earlier`; `None` when it never was.
    fn since(&self, earlier: &Self) -> Option<Self> {
        match (self, earlier) {
            (Self::Units(now), Self::Units(then)) if now >= then => Some(Self::Units(now.saturating_sub(*then))),
            (Self::Counts(now), Self::Counts(then)) => now.since(then).map(|counts| Self::Counts(Arc::new(counts))),
            _ => None,
        }
    }

    /// Both together. Amounts of one metric are of one kind.
    pub(crate) fn plus(self, more: &Self) -> Self {
        match (self, more) {
            (Self::Units(one), Self::Units(other)) => Self::Units(one.saturating_add(*other)),
            (Self::Counts(mut one), Self::Counts(other)) => {
                Arc::make_mut(&mut one).merge(other);
                Self::Counts(one)
            }
            (one, _) => one,
        }
    }

    /// The units; none of a distribution.
    pub(crate) const fn units(&self) -> i64 {
        match self {
            Self::Units(units) => *units,
            Self::Counts(_) => 0,
        }
    }

    /// Nothing was counted.
    pub(crate) fn is_nothing(&self) -> bool {
        match self {
            Self::Units(units) => *units == 0,
            Self::Counts(counts) => counts.count() == 0,
        }
    }
}

/// Whether a series that was `seen` last then has ended. If it came back with the same start, all of it would be told
/// again; no series of ours stays away for a minute.
pub(crate) fn is_over(seen: Timestamp, now: Timestamp) -> bool {
    const LONGEST_S: f64 = 86_400.0;
    now.since(seen).get() > LONGEST_S
}

/// What a series has told, up to when.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Told {
    /// From when it counts.
    pub(crate) start: Timestamp,
    /// The time of the last point that told anything.
    pub(crate) at: Timestamp,
    /// How much it has told since `start`.
    pub(crate) amount: Amount,
}

/// What came to a series between two looks.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Growth {
    /// From when on it came.
    pub(crate) since: Timestamp,
    /// How much came.
    pub(crate) amount: Amount,
    /// The series has begun anew.
    pub(crate) is_anew: bool,
}

impl Told {
    /// Takes over what `sample` tells of the same series, `amount`, and says what is new in it.
    ///
    /// A series has begun anew when it counted less before than it does now, or began after it was last told. A start
    /// that is merely restated, as the boot time is when the civil clock is set, does not make all of it new.
    pub(crate) fn advance(&mut self, sample: &Sample, amount: Amount) -> Growth {
        let (start, at) = (sample.period.start, sample.period.at);
        let more = if start > self.start && start >= self.at { None } else { amount.since(&self.amount) };
        let growth = match more {
            Some(more) => Growth { since: self.at.min(at), amount: more, is_anew: false },
            None => Growth { since: start.min(at), amount: amount.clone(), is_anew: true },
        };
        if growth.is_anew {
            self.start = start;
        }
        if growth.is_anew || !growth.amount.is_nothing() {
            self.at = at;
        }
        self.amount = amount;
        growth
    }
}
