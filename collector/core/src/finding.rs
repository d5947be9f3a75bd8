//! A waste or a drift with its evidence. The detectors that make them have a crate of their own.

use std::sync::Arc;

use crate::attribute::{Attribute, Text};
use crate::books::{MicroJoules, NanoUsd, Nanograms};
use crate::quantity::Ratio;
use crate::subject::Subject;
use crate::time::Timestamp;

/// Whether a finding begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// The condition has held long enough.
    Open,
    /// The condition has been gone long enough.
    Close,
}

/// One edge of a finding, with what it cost so far.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// What was found: a name of the detectors' table.
    pub kind: &'static str,
    /// About what.
    pub subject: Arc<Subject>,
    /// Whether it begins or ends.
    pub edge: Edge,
    /// When the condition began.
    pub since: Timestamp,
    /// When the edge was seen.
    pub at: Timestamp,
    /// The figures that show it, named.
    pub evidence: Vec<Attribute>,
    /// Energy wasted so far.
    pub energy: MicroJoules,
    /// Carbon wasted so far, by the grid's average.
    pub carbon: Nanograms,
    /// Money wasted so far.
    pub cost: NanoUsd,
    /// How sure the detector is, 0 to 1.
    pub confidence: Ratio,
    /// What to do about it, in one sentence.
    pub action: Text,
}
