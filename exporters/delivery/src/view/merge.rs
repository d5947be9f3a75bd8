//! Series put together, so that what they have counted stays.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use wattline_core::sample::Period;
use wattline_core::{Attribute, Descriptor, Instrument, Sample, Subject, Timestamp, Value, metrics};

use crate::series::{Amount, SeriesId, Told, is_over};

/// What the books have of each series, and what was told of those that they were put into.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Merge {
    pub(super) sources: BTreeMap<SeriesId, Source>,
    /// Series that the destination was told at the snapshot before.
    pub(super) targets: BTreeMap<SeriesId, Told>,
    /// What was told of ended series.
    pub(super) retired: BTreeMap<SeriesId, Told>,
}

/// A series of the books.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Source {
    pub(super) told: Told,
    pub(super) seen: Timestamp,
}

impl Merge {
    /// Begins with the next snapshot.
    pub(super) const fn begin(&mut self) -> Round<'_> {
        Round { merge: self, open: BTreeMap::new(), balances: BTreeMap::new(), passed: Vec::new() }
    }
}

/// One snapshot on its way.
pub(super) struct Round<'a> {
    merge: &'a mut Merge,
    open: BTreeMap<SeriesId, Open>,
    balances: BTreeMap<(&'static str, Vec<Attribute>), Balance>,
    /// What no backend takes: the encoder's to count.
    passed: Vec<Sample>,
}

/// A series of the destination that this snapshot has a point of.
struct Open {
    /// Metric, subject, attributes and the newest time; for gauges and up-down counters the value too.
    sample: Sample,
    /// What its members grew by.
    joined: Option<Amount>,
    /// One of them was there before, so that the series goes on.
    goes_on: bool,
}

/// For one kind of what workloads have: what the books say, and what the destination is told.
struct Balance {
    retired: &'static Descriptor,
    /// The sum of the books' series of workloads.
    workloads: i64,
    /// The sum of those of the destination.
    told: i64,
    /// What the books say of ended series.
    ended: Option<(i64, Period)>,
    period: Period,
    /// A series of the books goes on, so that these are the books of the snapshot before.
    goes_on: bool,
}

impl Round<'_> {
    /// Adds `source`, a sample of the books, to the series that `target` describes.
    pub(super) fn add(&mut self, source: &Sample, target: Sample) {
        match source.metric.instrument {
            Instrument::Gauge => self.combine(target, f64::max),
            Instrument::UpDownCounter => self.combine(target, |sum, more| sum + more),
            Instrument::Counter | Instrument::Histogram => self.grow(source, target),
        }
    }

    fn combine(&mut self, target: Sample, combined: impl Fn(f64, f64) -> f64) {
        match self.open.entry(SeriesId::of(&target)) {
            Entry::Vacant(place) => {
                place.insert(Open { sample: target, joined: None, goes_on: true });
            }
            Entry::Occupied(open) => {
                let open = &mut open.into_mut().sample;
                open.period = Period {
                    start: open.period.start.min(target.period.start),
                    at: open.period.at.max(target.period.at),
                };
                if let (Some(one), Some(other)) = (open.number(), target.number()) {
                    open.value = Value::Number(combined(one, other));
                }
            }
        }
    }

    fn grow(&mut self, source: &Sample, target: Sample) {
        let Some(amount) = Amount::of(source) else { return self.passed.push(target) };
        let units = amount.units();
        if self.is_ended(&target, units) {
            return;
        }
        let Period { start, at } = source.period;
        let (since, growth, goes_on) = match self.merge.sources.entry(SeriesId::of(source)) {
            Entry::Vacant(place) => {
                place.insert(Source { told: Told { start, at, amount: amount.clone() }, seen: at });
                (start.min(at), amount, false)
            }
            Entry::Occupied(known) => {
                let known = known.into_mut();
                let seen = std::mem::replace(&mut known.seen, at);
                let growth = known.told.advance(source, amount);
                let since = if growth.is_anew { growth.since } else { seen.min(at) };
                (since, growth.amount, !growth.is_anew)
            }
        };
        if let Some(balance) = self.balance(&target) {
            balance.workloads = balance.workloads.saturating_add(units);
            balance.goes_on |= goes_on;
        }
        let period = Period { start: since, at };
        match self.open.entry(SeriesId::of(&target)) {
            Entry::Vacant(place) => {
                place.insert(Open { sample: Sample { period, ..target }, joined: Some(growth), goes_on });
            }
            Entry::Occupied(open) => {
                let open = open.into_mut();
                let own = &mut open.sample.period;
                *own = Period { start: own.start.min(since), at: own.at.max(at) };
                open.joined = open.joined.take().map(|joined| joined.plus(&growth));
                open.goes_on |= goes_on;
            }
        }
    }

    /// Notes what the books say of ended series, which are told from the balance. False for anything else.
    fn is_ended(&mut self, target: &Sample, units: i64) -> bool {
        let is_ended = retired_of(target.metric).is_some_and(|(_, is_ended)| is_ended);
        if is_ended && let Some(balance) = self.balance(target) {
            let before = balance.ended.map_or(0, |(units, _)| units);
            balance.ended = Some((before.saturating_add(units), target.period));
            balance.goes_on = true;
        }
        is_ended
    }

    /// The balance that a sample belongs to, if it belongs to one.
    fn balance(&mut self, target: &Sample) -> Option<&mut Balance> {
        let (retired, _) = retired_of(target.metric)?;
        let new = Balance { retired, workloads: 0, told: 0, ended: None, period: target.period, goes_on: false };
        let balance = self.balances.entry((retired.name, kind(retired, target))).or_insert(new);
        let own = &mut balance.period;
        *own = Period { start: own.start.min(target.period.start), at: own.at.max(target.period.at) };
        Some(balance)
    }

    /// What the destination is told.
    pub(super) fn finish(mut self) -> Vec<Sample> {
        let mut samples = std::mem::take(&mut self.passed);
        let mut targets = BTreeMap::new();
        for (id, Open { mut sample, joined, goes_on }) in std::mem::take(&mut self.open) {
            if let Some(joined) = joined {
                let told = match self.merge.targets.remove(&id).filter(|_| goes_on) {
                    Some(told) => Told { amount: told.amount.plus(&joined), at: sample.period.at, ..told },
                    None => Told { start: sample.period.start, at: sample.period.at, amount: joined },
                };
                sample.period.start = told.start.min(sample.period.at);
                sample.value = told.amount.value(sample.metric);
                if let Some(balance) = self.balance(&sample) {
                    balance.told = balance.told.saturating_add(told.amount.units());
                }
                targets.insert(id, told);
            }
            samples.push(sample);
        }
        let now = samples.iter().map(|sample| sample.period.at).max();
        samples.extend(self.retired_samples());
        self.merge.targets = targets;
        if let Some(now) = now {
            self.merge.sources.retain(|_, source| !is_over(source.seen, now));
        }
        samples
    }

    /// What series have that have ended, in the books or at the destination: all that the series told do not have.
    fn retired_samples(&mut self) -> Vec<Sample> {
        let host = Arc::new(Subject::Host);
        let mut samples = Vec::new();
        for ((_, attributes), balance) in std::mem::take(&mut self.balances) {
            let Balance { retired, workloads, told, ended, period, goes_on } = balance;
            let (units, books) = ended.map_or((0, None), |(units, period)| (units, Some(period)));
            let units = units.saturating_add(workloads).saturating_sub(told);
            let start = books.map_or(period.start, |books| books.start);
            let value = Amount::Units(units).value(retired);
            let sample = Sample {
                metric: retired,
                subject: Arc::clone(&host),
                attributes,
                period: Period { start, at: period.at },
                value,
            };
            match self.merge.retired.entry(SeriesId::of(&sample)) {
                Entry::Vacant(_) if units <= 0 && books.is_none() => {}
                Entry::Vacant(place) => {
                    place.insert(Told { start, at: period.at, amount: Amount::Units(units) });
                    samples.push(sample);
                }
                Entry::Occupied(before) => samples.push(before.into_mut().raised(sample, units, goes_on)),
            }
        }
        samples
    }
}

impl Told {
    /// `sample` with `units` as the series goes on: from the start that was told, and never less than was told. Unless
    /// it `goes_on`, it begins anew as the books did.
    fn raised(&mut self, sample: Sample, units: i64, goes_on: bool) -> Sample {
        let Period { start, at } = sample.period;
        let (start, least) = if goes_on { (self.start, self.amount.units()) } else { (start, 0) };
        *self = Self { start, at, amount: Amount::Units(units.max(least)) };
        let value = self.amount.value(sample.metric);
        Sample { period: Period { start: start.min(at), at }, value, ..sample }
    }
}

/// The metric that tells of ended series what `metric` tells of workloads, and whether `metric` is that itself.
fn retired_of(metric: &Descriptor) -> Option<(&'static Descriptor, bool)> {
    let pairs = [
        (metrics::WORKLOAD_ENERGY.descriptor(), metrics::RETIRED_ENERGY.descriptor()),
        (metrics::WORKLOAD_CARBON.descriptor(), metrics::RETIRED_CARBON.descriptor()),
        (metrics::WORKLOAD_COST.descriptor(), metrics::RETIRED_COST.descriptor()),
    ];
    pairs.into_iter().find_map(|(own, retired)| {
        let is_ended = std::ptr::eq(retired, metric);
        (is_ended || std::ptr::eq(own, metric)).then_some((retired, is_ended))
    })
}

/// The labels that ended series are told by.
fn kind(retired: &Descriptor, sample: &Sample) -> Vec<Attribute> {
    let label = |key: &&'static str| sample.attributes.iter().find(|attribute| attribute.key == *key).cloned();
    retired.attributes.iter().filter_map(label).collect()
}
