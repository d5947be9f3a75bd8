//! What waits, and what became of it.

use std::collections::BTreeMap;

use bytes::Bytes;
use wattline_core::{Seconds, Signal};

use crate::pack::Compression;
use crate::reason::DropReason;
use crate::split::Half;

/// The number of a snapshot; the parts of one snapshot share it, and later snapshots have higher ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SnapshotNumber(pub u64);

/// A request on its way into the spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// What it holds.
    pub signal: Signal,
    /// The request, not compressed.
    pub body: Bytes,
    /// Spans, log records or points in it.
    pub items: u64,
    /// The snapshot it is a part of. Only cumulative figures of our own have one: a newer snapshot says all that an
    /// older one said but the moments between.
    pub snapshot: Option<SnapshotNumber>,
}

/// A request that was taken out to be sent. It must come back through [`Spool::put_back`](super::Spool::put_back),
/// [`Spool::delivered`](super::Spool::delivered), [`Spool::refused`](super::Spool::refused) or
/// [`Spool::too_large`](super::Spool::too_large), which consume it. Where the process ends first, it waits again.
#[derive(Debug, PartialEq, Eq)]
pub struct Taken {
    /// The store that it came from. Where that has been replaced meanwhile, a copy of the request waits in another,
    /// and what becomes of this one counts for nothing.
    pub(super) store: u64,
    /// Its place in line there.
    pub(super) id: i64,
    /// What waits for it, in bytes.
    pub(super) cost: u64,
    /// What it holds.
    pub signal: Signal,
    /// Spans, log records or points in it.
    pub items: u64,
    /// The request as it goes out: compressed,
    pub body: Bytes,
    /// in this way.
    pub compression: Compression,
}

impl Taken {
    /// Whether it waited in memory, so that what becomes of it touches no disk.
    pub(crate) const fn is_held(&self) -> bool {
        self.store == super::fresh::NUMBER
    }
}

/// How requests of a destination are cut in two: `None` for one that cannot be cut.
pub type Cut = fn(Signal, &[u8]) -> Option<[Half; 2]>;

/// Which request of a signal goes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// The one that has waited longest: every backend takes points in the order of time.
    #[default]
    Oldest,
    /// The one that came last, for backends that take points in any order: after an outage the figures of now are
    /// there first.
    Newest,
}

/// The bounds of a spool.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Bytes of all requests together on disk, as they wait, those in flight included.
    pub disk_bytes: u64,
    /// The same in memory, where there is no disk or it fails.
    pub memory_bytes: u64,
    /// The longest wait.
    pub age: Seconds,
    /// Bytes of one request before compression; larger ones are cut.
    pub request_bytes: usize,
    /// Points in one request of metrics; larger ones are cut.
    pub request_points: u64,
    /// Spans in one request; larger ones are cut.
    pub request_spans: u64,
    /// Log records in one request; larger ones are cut.
    pub request_records: u64,
}

impl Limits {
    pub(super) fn fits(&self, pending: &Pending) -> bool {
        let items_max = match pending.signal {
            Signal::Metrics => self.request_points,
            Signal::Traces => self.request_spans,
            Signal::Logs => self.request_records,
        };
        pending.items <= items_max && pending.body.len() <= self.request_bytes
    }
}

/// Items that are gone, to be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// What they were.
    pub signal: Signal,
    /// How many. Never zero.
    pub items: u64,
    /// Why.
    pub reason: DropReason,
}

/// Where all items are that ever came, over all restarts: `accepted = delivered + dropped + waiting + in_flight`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Items that came.
    pub accepted: u64,
    /// Items that the destination took.
    pub delivered: u64,
    /// Items that are gone, by reason.
    pub dropped: BTreeMap<DropReason, u64>,
    /// Items that wait.
    pub waiting: u64,
    /// Items that were taken out and have not come back.
    pub in_flight: u64,
}

impl Tally {
    /// Items that are gone, for all reasons together.
    pub fn dropped_items(&self) -> u64 {
        self.dropped.values().sum()
    }

    pub(super) fn plus(mut self, other: &Self) -> Self {
        let Self { accepted, delivered, dropped, waiting, in_flight } = other;
        self.accepted = self.accepted.saturating_add(*accepted);
        self.delivered = self.delivered.saturating_add(*delivered);
        for (reason, items) in dropped {
            let sum = self.dropped.entry(*reason).or_default();
            *sum = sum.saturating_add(*items);
        }
        self.waiting = self.waiting.saturating_add(*waiting);
        self.in_flight = self.in_flight.saturating_add(*in_flight);
        self
    }
}
