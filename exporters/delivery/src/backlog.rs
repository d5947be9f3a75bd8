//! What waits for a destination, bounded in bytes and in age.
//!
//! Every item that enters leaves in one of two ways, delivered or lost for a reason, or is still here. That sum is
//! kept as a [`Tally`] and holds after every call. A request that was taken out must come back through
//! [`Backlog::put_back`], [`Backlog::delivered`], [`Backlog::refused`] or [`Backlog::too_large`], which consume it.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use wattline_core::{Instant, Seconds, Signal, apportion};

use crate::reason::DropReason;
use crate::split::split;

/// The number of a snapshot; the parts of one snapshot share it, and later snapshots have higher ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SnapshotNumber(pub u64);

/// An export request that waits.
#[derive(Debug, PartialEq, Eq)]
pub struct Pending {
    /// What it holds.
    pub signal: Signal,
    /// The request in protobuf, not compressed.
    pub body: Bytes,
    /// Spans, log records or points in it.
    pub items: u64,
    /// When it came.
    pub at: Instant,
    /// The snapshot it is a part of. Only cumulative figures of our own have one: a newer snapshot says all that an
    /// older one said but the moments between.
    pub snapshot: Option<SnapshotNumber>,
}

impl Pending {
    /// What a request costs beside its bytes, so that many small ones are bounded too.
    const OVERHEAD: usize = 128;

    fn cost(&self) -> usize {
        self.body.len().saturating_add(Self::OVERHEAD)
    }
}

/// The bounds of a backlog.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Bytes of all requests together, those in flight included.
    pub bytes: usize,
    /// The longest wait.
    pub age: Seconds,
    /// Snapshots that wait at most; the oldest is superseded. At least one is kept.
    pub snapshots: usize,
    /// Bytes of one request; larger ones are cut.
    pub request_bytes: usize,
    /// Points in one request of metrics; larger ones are cut.
    pub request_points: u64,
    /// Spans in one request; larger ones are cut.
    pub request_spans: u64,
    /// Records in one request of logs; larger ones are cut.
    pub request_records: u64,
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

/// Where all items are that ever came: `accepted = delivered + dropped + waiting + in_flight`.
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
}

/// The queue of one destination, with a line for each signal so that a destination that refuses one of them still
/// gets the others.
#[derive(Debug)]
pub struct Backlog {
    limits: Limits,
    metrics: VecDeque<Pending>,
    traces: VecDeque<Pending>,
    logs: VecDeque<Pending>,
    /// Cost of what waits and of what is in flight.
    bytes: usize,
    tally: Tally,
}

impl Backlog {
    /// An empty backlog.
    pub fn new(limits: Limits) -> Self {
        let (metrics, traces, logs) = Default::default();
        Self { limits, metrics, traces, logs, bytes: 0, tally: Tally::default() }
    }

    /// Takes a new request in, cut into as many as the limits ask for, and lets go of what is too old or too much.
    /// A request without items is forgotten.
    #[must_use = "losses are counted"]
    pub fn push(&mut self, pending: Pending, now: Instant) -> Vec<Lost> {
        let mut lost = self.expire(now);
        if pending.items == 0 {
            return lost;
        }
        self.tally.accepted = self.tally.accepted.saturating_add(pending.items);
        let is_snapshot = pending.snapshot.is_some();
        let mut copied_max = pending.body.len().saturating_mul(COPIES_MAX);
        // A stack with the first part on top keeps the order of the parts.
        let mut parts = vec![pending];
        while let Some(part) = parts.pop() {
            if part.items == 0 {
                continue;
            }
            if self.fits(&part) {
                self.bytes = self.bytes.saturating_add(part.cost());
                self.tally.waiting = self.tally.waiting.saturating_add(part.items);
                self.line(part.signal).push_back(part);
                continue;
            }
            copied_max = copied_max.saturating_sub(part.body.len());
            match halves(part) {
                Ok([first, second]) if copied_max > 0 => parts.extend([second, first]),
                Ok(halves) => {
                    let halves = halves.into_iter().filter(|half| half.items > 0);
                    lost.extend(halves.map(|half| self.lose_too_large(&half)));
                }
                Err(whole) => lost.push(self.lose_too_large(&whole)),
            }
        }
        if is_snapshot {
            lost.extend(self.thin_snapshots());
        }
        lost.extend(self.make_room());
        lost
    }

    /// Takes the oldest request of `signal` out; it is in flight until it comes back.
    pub fn take(&mut self, signal: Signal, now: Instant) -> (Option<Pending>, Vec<Lost>) {
        let lost = self.expire(now);
        let taken = self.line(signal).pop_front();
        if let Some(taken) = &taken {
            self.tally.waiting = self.tally.waiting.saturating_sub(taken.items);
            self.tally.in_flight = self.tally.in_flight.saturating_add(taken.items);
        }
        (taken, lost)
    }

    /// A request in flight waits again, before all others of its signal.
    #[must_use = "losses are counted"]
    pub fn put_back(&mut self, pending: Pending) -> Vec<Lost> {
        let is_snapshot = pending.snapshot.is_some();
        self.return_first(pending);
        let mut lost = if is_snapshot { self.thin_snapshots() } else { Vec::new() };
        lost.extend(self.make_room());
        lost
    }

    /// The destination took a request in flight, less `rejected` items.
    #[must_use = "losses are counted"]
    #[expect(clippy::needless_pass_by_value, reason = "a request that was settled cannot be settled again")]
    pub fn delivered(&mut self, pending: Pending, rejected: u64) -> Option<Lost> {
        self.land(&pending);
        let rejected = rejected.min(pending.items);
        self.tally.delivered = self.tally.delivered.saturating_add(pending.items - rejected);
        (rejected > 0).then(|| self.lose(pending.signal, rejected, DropReason::PartialRejection))
    }

    /// A request in flight is given up.
    #[must_use = "losses are counted"]
    #[expect(clippy::needless_pass_by_value, reason = "a request that was settled cannot be settled again")]
    pub fn refused(&mut self, pending: Pending, reason: DropReason) -> Lost {
        self.land(&pending);
        self.lose(pending.signal, pending.items, reason)
    }

    /// A request in flight is larger than the destination takes: its halves wait in its place. It is lost when it
    /// has none, and when it is so small that a destination without room for it has room for nothing.
    #[must_use = "losses are counted"]
    pub fn too_large(&mut self, pending: Pending) -> Vec<Lost> {
        self.land(&pending);
        if pending.body.len() < SMALLEST_CUT {
            return vec![self.lose_too_large(&pending)];
        }
        match halves(pending) {
            Ok([first, second]) => {
                for half in [second, first].into_iter().filter(|half| half.items > 0) {
                    self.bytes = self.bytes.saturating_add(half.cost());
                    self.tally.in_flight = self.tally.in_flight.saturating_add(half.items);
                    self.return_first(half);
                }
                self.make_room()
            }
            Err(whole) => vec![self.lose_too_large(&whole)],
        }
    }

    /// Lets go of all that waits.
    #[must_use = "losses are counted"]
    pub fn clear(&mut self, reason: DropReason) -> Vec<Lost> {
        let mut lost = Vec::new();
        for signal in SIGNALS {
            while let Some(loss) = self.drop_first(signal, reason) {
                lost.push(loss);
            }
        }
        lost
    }

    /// Where all items are.
    pub const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Bytes that wait or are in flight, with what a request costs beside its body.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Requests that wait, those in flight not included.
    pub fn requests(&self) -> usize {
        self.metrics.len() + self.traces.len() + self.logs.len()
    }

    fn line(&mut self, signal: Signal) -> &mut VecDeque<Pending> {
        match signal {
            Signal::Metrics => &mut self.metrics,
            Signal::Traces => &mut self.traces,
            Signal::Logs => &mut self.logs,
        }
    }

    fn fits(&self, pending: &Pending) -> bool {
        let items_max = match pending.signal {
            Signal::Metrics => self.limits.request_points,
            Signal::Traces => self.limits.request_spans,
            Signal::Logs => self.limits.request_records,
        };
        pending.items <= items_max && pending.body.len() <= self.limits.request_bytes
    }

    fn return_first(&mut self, pending: Pending) {
        self.tally.in_flight = self.tally.in_flight.saturating_sub(pending.items);
        self.tally.waiting = self.tally.waiting.saturating_add(pending.items);
        self.line(pending.signal).push_front(pending);
    }

    fn land(&mut self, pending: &Pending) {
        self.tally.in_flight = self.tally.in_flight.saturating_sub(pending.items);
        self.bytes = self.bytes.saturating_sub(pending.cost());
    }

    fn lose(&mut self, signal: Signal, items: u64, reason: DropReason) -> Lost {
        let count = self.tally.dropped.entry(reason).or_default();
        *count = count.saturating_add(items);
        Lost { signal, items, reason }
    }

    fn lose_too_large(&mut self, pending: &Pending) -> Lost {
        self.lose(pending.signal, pending.items, DropReason::TooLarge)
    }

    /// Drops the oldest of `signal`; `None` when nothing waits.
    fn drop_first(&mut self, signal: Signal, reason: DropReason) -> Option<Lost> {
        let oldest = self.line(signal).pop_front()?;
        self.tally.waiting = self.tally.waiting.saturating_sub(oldest.items);
        self.bytes = self.bytes.saturating_sub(oldest.cost());
        Some(self.lose(signal, oldest.items, reason))
    }

    fn expire(&mut self, now: Instant) -> Vec<Lost> {
        let mut lost = Vec::new();
        for signal in SIGNALS {
            let age = self.limits.age;
            while self.line(signal).front().is_some_and(|oldest| now.since(oldest.at) > age) {
                lost.extend(self.drop_first(signal, DropReason::Expired));
            }
        }
        lost
    }

    /// Drops the oldest snapshots beyond their number.
    fn thin_snapshots(&mut self) -> Vec<Lost> {
        let mut lost = Vec::new();
        while self.snapshots_waiting() > self.limits.snapshots.max(1) {
            lost.extend(self.supersede());
        }
        lost
    }

    /// Drops the oldest of all until the rest fits.
    fn make_room(&mut self) -> Vec<Lost> {
        let mut lost = Vec::new();
        while self.bytes > self.limits.bytes {
            let oldest = SIGNALS
                .into_iter()
                .filter_map(|signal| self.line(signal).front().map(|first| (first.at, signal)))
                .min();
            // All that is left is in flight and cannot be dropped here.
            let Some((_, signal)) = oldest else { break };
            let reason = self.reason_for_room(signal);
            lost.extend(self.drop_first(signal, reason));
        }
        lost
    }

    /// How many snapshots wait, counting a partly sent one. Parts of a snapshot stand together.
    fn snapshots_waiting(&self) -> usize {
        let mut last = None;
        let mut count = 0;
        for snapshot in self.metrics.iter().filter_map(|pending| pending.snapshot) {
            if last != Some(snapshot) {
                last = Some(snapshot);
                count += 1;
            }
        }
        count
    }

    /// Drops all parts of the oldest snapshot, wherever relayed metrics stand between them.
    fn supersede(&mut self) -> Vec<Lost> {
        let oldest = self.metrics.iter().find_map(|pending| pending.snapshot);
        let (gone, kept): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut self.metrics).into_iter().partition(|pending| pending.snapshot == oldest);
        self.metrics = kept;
        let mut lost = Vec::new();
        for part in gone {
            self.tally.waiting = self.tally.waiting.saturating_sub(part.items);
            self.bytes = self.bytes.saturating_sub(part.cost());
            lost.push(self.lose(part.signal, part.items, DropReason::Superseded));
        }
        lost
    }

    /// A snapshot that makes room is superseded when a newer one waits; its totals are not lost then.
    fn reason_for_room(&mut self, signal: Signal) -> DropReason {
        let line = self.line(signal);
        let number = line.front().and_then(|first| first.snapshot);
        let newer = number.is_some_and(|number| line.iter().any(|other| other.snapshot > Some(number)));
        if newer { DropReason::Superseded } else { DropReason::QueueFull }
    }
}

/// Cutting copies at most this many times the bytes of a request. Halving down to a sixty-thousandth copies sixteen
/// times; more is needed only where each part repeats a resource that is itself too large.
const COPIES_MAX: usize = 32;

/// A request of fewer bytes is not cut because a destination finds it too large. It bounds the calls that a
/// destination costs which answers everything so: about a thousand for a request of 4 MiB.
const SMALLEST_CUT: usize = 16 * 1024;

const SIGNALS: [Signal; 3] = [Signal::Metrics, Signal::Traces, Signal::Logs];

/// The halves of a request, or the request when it has none. The halves' items add up to those of the whole even
/// where its sender counted otherwise than we do. A half without items can be: a resource without spans.
fn halves(whole: Pending) -> Result<[Pending; 2], Pending> {
    let Some([first, second]) = split(whole.signal, &whole.body) else { return Err(whole) };
    let weights = [first.items, second.items];
    let Some([first_items, second_items]) =
        apportion(whole.items, &weights).and_then(|parts| <[u64; 2]>::try_from(parts).ok())
    else {
        return Err(whole);
    };
    let Pending { signal, body: _, items: _, at, snapshot } = whole;
    let half = |body, items| Pending { signal, body, items, at, snapshot };
    Ok([half(first.body, first_items), half(second.body, second_items)])
}

#[cfg(test)]
#[path = "backlog_tests.rs"]
mod tests;
