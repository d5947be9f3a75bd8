//! Requests that came a moment ago and will most likely be delivered in the next.
//!
//! They wait in memory, so that a destination that keeps up costs the disk nothing. What has waited longer than
//! [`LONGEST`], what is more than [`MOST_BYTES`], and whatever has come back is for the store on disk.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use wattline_core::{Seconds, Signal, Timestamp};

use super::request::{Lost, Pending, Taken, Tally};
use super::shelf::{OVERHEAD, Packed};
use crate::reason::DropReason;

/// Bytes that may wait here, those in flight included.
pub(super) const MOST_BYTES: u64 = 8 << 20;
/// How long they may wait.
const LONGEST: Seconds = Seconds::new(1.0);
/// The number of this store among those of a spool, whose shelves count from one.
pub(super) const NUMBER: u64 = 0;

/// Requests in memory, and what became of those that are gone and are not counted on disk yet.
#[derive(Debug, Default)]
pub(super) struct Fresh {
    line: VecDeque<Held>,
    /// When each came.
    in_flight: BTreeMap<i64, Timestamp>,
    next: i64,
    waiting: u64,
    flying: u64,
    bytes: u64,
    counts: Counts,
    /// Something in line was taken before: the destination does not keep up.
    has_returned: bool,
}

#[derive(Debug)]
struct Held {
    id: i64,
    packed: Packed,
}

/// What became of requests that never touched the disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) accepted: BTreeMap<Signal, u64>,
    pub(super) delivered: BTreeMap<Signal, u64>,
    pub(super) lost: BTreeMap<(Signal, DropReason), u64>,
}

impl Fresh {
    /// Whether so many bytes more may wait here.
    pub(super) fn has_room(&self, bytes: u64) -> bool {
        !self.has_returned && self.bytes.saturating_add(bytes) <= MOST_BYTES
    }

    pub(super) fn add(&mut self, packed: Packed) {
        self.bytes = self.bytes.saturating_add(packed.cost());
        self.waiting = self.waiting.saturating_add(packed.pending.items);
        self.line.push_back(Held { id: self.next, packed });
        self.next = self.next.saturating_add(1);
    }

    pub(super) fn take(&mut self, signal: Signal) -> Option<Taken> {
        let place = self.line.iter().position(|held| held.packed.pending.signal == signal)?;
        let Held { id, packed } = self.line.remove(place)?;
        let (cost, items) = (packed.cost(), packed.pending.items);
        let Packed { pending: _, body, compression, at } = packed;
        self.in_flight.insert(id, at);
        self.waiting = self.waiting.saturating_sub(items);
        self.flying = self.flying.saturating_add(items);
        Some(Taken { store: NUMBER, id, cost, signal, items, body, compression })
    }

    /// A request in flight is the first in line again.
    pub(super) fn put_back(&mut self, taken: Taken) {
        let Some(at) = self.land(&taken) else { return };
        let Taken { signal, items, body, compression, id, .. } = taken;
        let pending = Pending { signal, body: Bytes::new(), items, snapshot: None };
        self.put_in_front(id, Packed { pending, body, compression, at });
    }

    /// The halves of a request in flight are the first in line.
    pub(super) fn halve(&mut self, taken: &Taken, halves: [Packed; 2]) {
        let Some(at) = self.land(taken) else { return };
        for half in halves.into_iter().rev().filter(|half| half.pending.items > 0) {
            let id = self.next;
            self.next = self.next.saturating_add(1);
            self.put_in_front(id, Packed { at, ..half });
        }
    }

    /// The destination took a request in flight, less `rejected` items.
    pub(super) fn delivered(&mut self, taken: &Taken, rejected: u64) -> Option<Lost> {
        self.land(taken)?;
        let rejected = rejected.min(taken.items);
        add(&mut self.counts.delivered, taken.signal, taken.items - rejected);
        let lost = Lost { signal: taken.signal, items: rejected, reason: DropReason::PartialRejection };
        self.count(taken, lost);
        Some(lost).filter(|lost| lost.items > 0)
    }

    /// A request in flight is given up.
    pub(super) fn refused(&mut self, taken: &Taken, reason: DropReason) -> Option<Lost> {
        self.land(taken)?;
        let lost = Lost { signal: taken.signal, items: taken.items, reason };
        self.count(taken, lost);
        Some(lost)
    }

    /// All that waits, in line: it leaves for another store, which counts it.
    pub(super) fn leave(&mut self) -> Vec<Packed> {
        self.has_returned = false;
        self.waiting = 0;
        let packed: Vec<Packed> = self.line.drain(..).map(|held| held.packed).collect();
        self.bytes = self.bytes.saturating_sub(packed.iter().map(Packed::cost).sum());
        packed
    }

    /// What became of requests since this was last asked.
    pub(super) fn take_counts(&mut self) -> Counts {
        std::mem::take(&mut self.counts)
    }

    /// Whether something has waited too long here, or has come back.
    pub(super) fn is_overdue(&self, now: Timestamp) -> bool {
        self.has_returned || self.oldest().is_some_and(|oldest| now.since(oldest) > LONGEST)
    }

    /// Whether something is to be counted on disk, or should be there.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.is_overdue(now) || self.counts != Counts::default()
    }

    /// When the first in line came.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        self.line.front().map(|held| held.packed.at)
    }

    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn tally(&self) -> Tally {
        let counted = self.counts.tally();
        let accepted = counted.accepted.saturating_add(self.waiting).saturating_add(self.flying);
        Tally { accepted, waiting: self.waiting, in_flight: self.flying, ..counted }
    }

    fn put_in_front(&mut self, id: i64, packed: Packed) {
        self.bytes = self.bytes.saturating_add(packed.cost());
        self.waiting = self.waiting.saturating_add(packed.pending.items);
        self.line.push_front(Held { id, packed });
        self.has_returned = true;
    }

    fn land(&mut self, taken: &Taken) -> Option<Timestamp> {
        let at = self.in_flight.remove(&taken.id)?;
        self.flying = self.flying.saturating_sub(taken.items);
        self.bytes = self.bytes.saturating_sub(taken.cost);
        Some(at)
    }

    fn count(&mut self, taken: &Taken, lost: Lost) {
        add(&mut self.counts.accepted, taken.signal, taken.items);
        if lost.items > 0 {
            add(&mut self.counts.lost, (lost.signal, lost.reason), lost.items);
        }
    }
}

impl Counts {
    pub(super) fn tally(&self) -> Tally {
        let Self { accepted, delivered, lost } = self;
        let mut tally =
            Tally { accepted: accepted.values().sum(), delivered: delivered.values().sum(), ..Tally::default() };
        for ((_, reason), items) in lost {
            add(&mut tally.dropped, *reason, *items);
        }
        tally
    }
}

impl Packed {
    /// What it costs to wait.
    pub(super) fn cost(&self) -> u64 {
        (self.body.len() as u64).saturating_add(OVERHEAD)
    }
}

fn add<K: Ord>(sums: &mut BTreeMap<K, u64>, key: K, items: u64) {
    let sum = sums.entry(key).or_default();
    *sum = sum.saturating_add(items);
}
