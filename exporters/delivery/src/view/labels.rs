//! Which labels a destination is told.

use std::sync::Arc;

use wattline_core::subject::Merged;
use wattline_core::{Attribute, Sample, Subject};

use super::ViewError;

/// The labels that stay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Labels {
    /// Only these, unless it is empty.
    keep: Vec<String>,
    /// None of these.
    drop: Vec<String>,
}

impl Labels {
    pub(super) fn new(keep: &[String], drop: &[String]) -> Result<Self, ViewError> {
        for (key, names) in [("keep_attributes", keep), ("drop_attributes", drop)] {
            if names.iter().any(|name| name.trim().is_empty()) {
                return Err(ViewError { key, problem: "has a name that is empty".to_owned() });
            }
        }
        if let Some(both) = keep.iter().find(|name| drop.contains(name)) {
            let problem = format!("has {both:?}, which keep_attributes has too");
            return Err(ViewError { key: "drop_attributes", problem });
        }
        Ok(Self { keep: keep.to_vec(), drop: drop.to_vec() })
    }

    pub(super) const fn keep_all(&self) -> bool {
        self.keep.is_empty() && self.drop.is_empty()
    }

    fn keeps(&self, key: &str) -> bool {
        (self.keep.is_empty() || self.keep.iter().any(|kept| kept == key)) && !self.is_dropped(key)
    }

    fn is_dropped(&self, key: &str) -> bool {
        self.drop.iter().any(|dropped| dropped == key)
    }

    fn of(&self, labels: &[Attribute]) -> Vec<Attribute> {
        labels.iter().filter(|label| self.keeps(label.key)).cloned().collect()
    }

    /// The attributes of a sample beside those of its subject.
    pub(super) fn of_sample(&self, sample: &Sample) -> Vec<Attribute> {
        self.of(&sample.attributes)
    }

    /// What describes the machine: all of it but what is dropped by name.
    pub(super) fn of_resource(&self, resource: &[Attribute]) -> Vec<Attribute> {
        resource.iter().filter(|attribute| !self.is_dropped(attribute.key)).cloned().collect()
    }

    /// The subject itself, unless it loses a label.
    pub(super) fn of_subject(&self, subject: &Arc<Subject>) -> Arc<Subject> {
        let (identity, is_entity) = (subject.identity(), subject.is_entity());
        let loses = |labels: &[Attribute]| labels.iter().any(|label| !self.keeps(label.key));
        if !loses(&identity) && !loses(&subject.description()) {
            return Arc::clone(subject);
        }
        Arc::new(Subject::Merged(Merged { identity: self.of(&identity), is_entity }))
    }
}
