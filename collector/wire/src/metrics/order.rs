//! The order of points in a request, by numbers instead of by comparing subjects thousands of times.

use std::collections::BTreeMap;
use std::ptr;

use wattline_core::{Sample, Subject};

/// Where one sample goes; places sort in the order in which points are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Samples with the same number share a Resource.
    pub(super) entity: usize,
    /// The rank of the metric's name.
    metric: usize,
    /// The position in [`Ordered::subjects`].
    pub(super) subject: usize,
    /// The position among the samples.
    pub(super) sample: usize,
}

/// Samples in the order in which they are written.
pub(super) struct Ordered<'a> {
    /// Each different subject once, in order.
    pub(super) subjects: Vec<&'a Subject>,
    /// One place for each sample, in order.
    pub(super) places: Vec<Place>,
}

impl<'a> Ordered<'a> {
    pub(super) fn new(samples: &[&'a Sample]) -> Self {
        let subjects = Ranks::new(samples.iter().map(|sample| &*sample.subject), |subject| subject);
        let metrics = Ranks::new(samples.iter().map(|sample| sample.metric), |metric| metric.name);
        let mut places: Vec<Place> = Vec::with_capacity(samples.len());
        for (position, sample) in samples.iter().enumerate() {
            let subject = subjects.of(&sample.subject);
            let entity = if sample.subject.is_entity() { subject + 1 } else { 0 };
            places.push(Place { entity, metric: metrics.of(sample.metric), subject, sample: position });
        }
        places.sort_unstable();
        Self { subjects: subjects.keys, places }
    }
}

/// The positions of values in the order of their keys. Equal values may stand at different addresses, but a few
/// addresses serve thousands of samples, so that each is compared once and found by its address afterwards.
struct Ranks<T, K> {
    keys: Vec<K>,
    by_address: BTreeMap<*const T, usize>,
}

impl<T, K: Ord> Ranks<T, K> {
    fn new<'a>(items: impl Iterator<Item = &'a T>, key: impl Fn(&'a T) -> K) -> Self
    where
        T: 'a,
    {
        let distinct: BTreeMap<*const T, &'a T> = items.map(|item| (ptr::from_ref(item), item)).collect();
        let mut by_key: BTreeMap<K, Vec<*const T>> = BTreeMap::new();
        for (address, item) in distinct {
            by_key.entry(key(item)).or_default().push(address);
        }
        let mut ranks = Self { keys: Vec::with_capacity(by_key.len()), by_address: BTreeMap::new() };
        for (key, addresses) in by_key {
            let rank = ranks.keys.len();
            ranks.by_address.extend(addresses.into_iter().map(|address| (address, rank)));
            ranks.keys.push(key);
        }
        ranks
    }

    fn of(&self, item: &T) -> usize {
        self.by_address.get(&ptr::from_ref(item)).copied().unwrap_or_default()
    }
}
