//! What a destination is told of a snapshot: which metrics, which labels, how many workloads.
//!
//! Figures that are no longer told apart are put together so that the books still close and no sum goes back:
//!
//! - Counters and distributions grow by what their members grow. A member that ends, or moves to another series, leaves
//!   behind what it had counted.
//! - Up-down counters are added.
//! - Of gauges the largest is told: they may not be added, and an alarm on a gauge waits for the large one.
//!
//! A destination with `max_workloads` is told of the workloads that drew most, and of all others as `other`. A workload
//! that falls behind ends its series as one that is gone does: what it had drawn stands in `workload.retired.*`, and from
//! then on it grows in `other`. What it drew there stays there when it comes back. For each kind of device, carbon and
//! cost, `workload.*` and `workload.retired.*` add up to the same at every destination.

mod labels;
mod merge;
mod rank;
mod saved;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use wattline_core::sample::Period;
use wattline_core::{Attribute, Count, Sample, Snapshot, Subject, Workload, attribute::key, metrics};

use labels::Labels;
use merge::Merge;
use rank::Ranks;

/// What a user may say about what a destination is told. By default it is told everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ViewConfig {
    /// The metrics that are told; a name may end in `*`, which stands for any rest. Default all.
    pub metrics: Vec<String>,
    /// Metrics that are not told, written likewise. Default none.
    pub exclude_metrics: Vec<String>,
    /// The labels that points may have; what describes the machine stays. Default all.
    pub keep_attributes: Vec<String>,
    /// Labels that neither points nor resources have. Default none.
    pub drop_attributes: Vec<String>,
    /// The most workloads that are told apart; the rest are told as `other`. Default 0, for all.
    pub max_workloads: usize,
}

/// Why a view cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} {problem}")]
pub struct ViewError {
    /// The key of [`ViewConfig`].
    pub key: &'static str,
    /// What is wrong and what would be right.
    pub problem: String,
}

/// One destination's view, with what it has told of series that it put together.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    destination: Arc<str>,
    include: Vec<Pattern>,
    exclude: Vec<Pattern>,
    labels: Labels,
    max_workloads: usize,
    ranks: Ranks,
    merge: Merge,
}

impl View {
    /// The view of `destination`, or the key that is wrong.
    pub fn new(config: &ViewConfig, destination: &str) -> Result<Self, ViewError> {
        let ViewConfig { metrics, exclude_metrics, keep_attributes, drop_attributes, max_workloads } = config;
        Ok(Self {
            destination: destination.into(),
            include: patterns("metrics", metrics)?,
            exclude: patterns("exclude_metrics", exclude_metrics)?,
            labels: Labels::new(keep_attributes, drop_attributes)?,
            max_workloads: *max_workloads,
            ranks: Ranks::default(),
            merge: Merge::default(),
        })
    }

    /// What the destination is told of `snapshot`. Every snapshot that it is told of passes here, in order.
    pub fn apply(&mut self, snapshot: &Snapshot) -> Snapshot {
        if !self.remembers() {
            let samples = snapshot.samples.iter().filter(|sample| self.tells(sample.metric.name)).cloned().collect();
            return Snapshot { samples, resource: snapshot.resource.clone(), tick: snapshot.tick };
        }
        let subjects = self.subjects(snapshot);
        let mut round = self.merge.begin();
        for sample in &snapshot.samples {
            let subject = subjects.get(&*sample.subject).unwrap_or(&sample.subject);
            let attributes = self.labels.of_sample(sample);
            let target = Sample { subject: Arc::clone(subject), attributes, ..sample.clone() };
            round.add(sample, target);
        }
        let mut samples = round.finish();
        samples.retain(|sample| self.tells(sample.metric.name));
        samples.extend(self.folded_sample(snapshot));
        Snapshot { samples, resource: self.labels.of_resource(&snapshot.resource), tick: snapshot.tick }
    }

    /// Whether it puts series together, and so must know what it told of them.
    pub fn remembers(&self) -> bool {
        self.max_workloads > 0 || !self.labels.keep_all()
    }

    /// Each subject of the snapshot as this destination is told of it.
    fn subjects<'a>(&mut self, snapshot: &'a Snapshot) -> BTreeMap<&'a Subject, Arc<Subject>> {
        let mut subjects: BTreeMap<&Subject, Arc<Subject>> = BTreeMap::new();
        for sample in &snapshot.samples {
            subjects.entry(&sample.subject).or_insert_with(|| self.labels.of_subject(&sample.subject));
        }
        if self.max_workloads > 0 {
            let is_energy = |sample: &&Sample| std::ptr::eq(sample.metric, metrics::WORKLOAD_ENERGY.descriptor());
            let energy = snapshot.samples.iter().filter(is_energy).filter_map(|sample| {
                let subject = subjects.get(&*sample.subject).filter(|_| is_foldable(&sample.subject))?;
                Some((Arc::clone(subject), sample.number()?))
            });
            let foldable =
                subjects.iter().filter(|(subject, _)| is_foldable(subject)).map(|(_, told)| Arc::clone(told));
            let present: Vec<Arc<Subject>> = foldable.collect();
            self.ranks.take(energy, &present, snapshot.tick.wall, self.max_workloads);
            let other = self.labels.of_subject(&Arc::new(Subject::Workload(Workload::Other)));
            for (subject, told) in &mut subjects {
                if is_foldable(subject) && !self.ranks.is_own(told) {
                    told.clone_from(&other);
                }
            }
        }
        subjects
    }

    fn folded_sample(&self, snapshot: &Snapshot) -> Option<Sample> {
        let metric = &metrics::WATTLINE_FOLDED;
        let is_told = self.max_workloads > 0 && self.tells(metric.descriptor().name) && !snapshot.samples.is_empty();
        let destination = || vec![Attribute::new(key::WATTLINE_DESTINATION, Arc::clone(&self.destination))];
        let period = Period { start: snapshot.tick.wall, at: snapshot.tick.wall };
        is_told.then(|| {
            let folded = Count::new(self.ranks.folded() as f64);
            metric.sample(&Arc::new(Subject::Wattline), destination(), period, folded)
        })
    }

    /// Whether the destination is told of the metric at all.
    fn tells(&self, name: &str) -> bool {
        (self.include.is_empty() || self.include.iter().any(|pattern| pattern.matches(name)))
            && !self.exclude.iter().any(|pattern| pattern.matches(name))
    }
}

/// Nobody and `other` are no workloads that could be left out.
fn is_foldable(subject: &Subject) -> bool {
    matches!(subject, Subject::Workload(workload) if !matches!(workload, Workload::Other | Workload::Nobody))
}

/// A name of a metric, or the beginning of names.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Name(String),
    Beginning(String),
}

impl Pattern {
    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Name(own) => own == name,
            Self::Beginning(beginning) => name.starts_with(beginning.as_str()),
        }
    }
}

fn patterns(key: &'static str, texts: &[String]) -> Result<Vec<Pattern>, ViewError> {
    texts
        .iter()
        .map(|text| {
            let pattern = match text.strip_suffix('*') {
                Some(beginning) => Pattern::Beginning(beginning.to_owned()),
                None => Pattern::Name(text.clone()),
            };
            if metrics::ALL.iter().any(|metric| pattern.matches(metric.name)) {
                return Ok(pattern);
            }
            let problem = format!(
                "has {text:?}, which is the name of no metric; `wattline metrics` lists them, and a name may end in *"
            );
            Err(ViewError { key, problem })
        })
        .collect()
}

#[cfg(test)]
mod tests;
