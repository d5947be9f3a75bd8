//! What waits for a destination, on disk, bounded in bytes and in age.
//!
//! Every item that enters leaves in one of two ways, delivered or lost for a reason, or is still here. That sum is
//! kept as a [`Tally`] and holds after every call and over restarts: the counts are written in the same transaction
//! as what they count. Killed at any instruction, the spool is as it was before or after a call.
//!
//! What is only relayed may be held in memory for a moment ([`Spool::hold`]): that is gone with the process, and was
//! counted nowhere.
//!
//! The spool never refuses to work. Where there is no disk, or the disk is full or fails, requests wait in memory, and
//! [`Spool::trouble`] says why: those are gone with the process. A request whose bytes are not what was written is skipped and counted; a file that is
//! damaged as a whole is set aside, and what can still be read of it goes on.

mod fresh;
mod request;
mod shelf;

use std::path::Path;

use bytes::Bytes;
use wattline_core::{Signal, Timestamp};
use wattline_ledger::store::{self, Opened};
use wattline_ledger::{Durability, Place, StoreError};

use self::fresh::Fresh;
pub use self::request::{Cut, Limits, Lost, Order, Pending, SnapshotNumber, Taken, Tally};
use self::shelf::{Known, Outcome, Packed, SCHEMA, Shelf, halves};
use crate::pack::Compression;
use crate::reason::DropReason;

/// How a spool keeps what waits.
#[derive(Clone, Debug)]
pub struct Keeping {
    /// Where.
    pub place: Place,
    /// What a commit survives.
    pub durability: Durability,
    /// How much and how long.
    pub limits: Limits,
    /// What goes first. Only metrics may go newest first: of spans and records none is newer news of the same thing.
    pub order: Order,
    /// How requests are compressed, here and on their way.
    pub compression: Compression,
    /// How they are cut.
    pub cut: Cut,
}

/// What waits for one destination.
#[derive(Debug)]
pub struct Spool {
    keeping: Keeping,
    main: Option<Shelf>,
    /// Steps in where the main store cannot take something, and goes when it is empty.
    spare: Option<Shelf>,
    /// What came a moment ago and is not on disk.
    fresh: Fresh,
    /// What the spare store counted before it went and the main store could not take over.
    past: Tally,
    /// The number of the next store.
    next: u64,
    trouble: Option<String>,
}

/// What became of requests that were pushed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Pushed {
    /// What was let go of for it.
    pub lost: Vec<Lost>,
    /// Whether all that was pushed and not lost is where it survives the process.
    pub is_kept: bool,
}

impl Spool {
    /// Opens the spool with all that waits in it. It always opens; [`Self::trouble`] tells what it does without.
    pub fn open(keeping: Keeping) -> Self {
        let (fresh, past) = Default::default();
        let mut spool = Self { keeping, main: None, spare: None, fresh, past, next: 0, trouble: None };
        match store::open(&spool.keeping.place, &SCHEMA, spool.keeping.durability) {
            Ok(opened) => spool.begin(opened),
            Err(error) => spool.trouble = Some(error.to_string()),
        }
        spool
    }

    /// Why requests wait in memory although they should wait on disk, or what has become of the file; `None` when all
    /// is well.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Takes new requests in, cut into as many as the limits ask for, with the `state` that goes with them, and lets
    /// go of what is too old or too much. A request without items is forgotten.
    #[must_use = "losses are counted"]
    pub fn push(&mut self, requests: Vec<Pending>, state: Option<&[u8]>, now: Timestamp) -> Pushed {
        let (new, lost) = self.packed(requests, now);
        if new.is_empty() && lost.is_empty() && state.is_none() {
            return Pushed { lost, is_kept: true };
        }
        // What came before stays before.
        let mut packed = self.fresh.leave();
        packed.extend(new);
        self.store(&packed, lost, state)
    }

    /// Takes requests in that may be lost with the process, and lets them wait in memory for a moment. Nothing of it
    /// touches the disk. They are given back where that cannot be: they must be pushed then.
    pub fn hold(&mut self, requests: Vec<Pending>, now: Timestamp) -> Result<Vec<Lost>, Vec<Pending>> {
        let bytes: u64 = requests.iter().map(|request| request.body.len() as u64).sum();
        let fits = requests.iter().all(|request| self.keeping.limits.fits(request) && request.snapshot.is_none());
        let is_well = self.main.is_some() && self.trouble.is_none() && self.keeping.place != Place::Memory;
        let room = fresh::MOST_BYTES.min(self.keeping.limits.disk_bytes / 2);
        let has_room = self.fresh.bytes().saturating_add(bytes) <= room && self.fresh.has_room(bytes);
        if !(fits && is_well && has_room) {
            return Err(requests);
        }
        let (packed, lost) = self.packed(requests, now);
        for packed in packed {
            self.fresh.add(packed);
        }
        // Compression failed for these, and nothing has counted them.
        for loss in &lost {
            self.past.accepted = self.past.accepted.saturating_add(loss.items);
            *self.past.dropped.entry(loss.reason).or_default() += loss.items;
        }
        Ok(lost)
    }

    /// The next request of `signal` that waits in memory. `None` where only the disk knows, `Some(None)` where nothing
    /// waits anywhere.
    pub fn take_held(&mut self, signal: Signal) -> Option<Option<Taken>> {
        self.keeps_up().then(|| self.fresh.take(signal))
    }

    /// Writes down what was counted in memory, and all that waits there if some of it has waited for too long.
    #[must_use = "losses are counted"]
    pub fn write_held(&mut self, now: Timestamp) -> Vec<Lost> {
        self.write_counts();
        if self.fresh.is_overdue(now) { self.write_fresh() } else { Vec::new() }
    }

    /// Whether [`Self::write_held`] is due.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.fresh.is_due(now)
    }

    fn write_fresh(&mut self) -> Vec<Lost> {
        let packed = self.fresh.leave();
        if packed.is_empty() { Vec::new() } else { self.store(&packed, Vec::new(), None).lost }
    }

    /// Whether nothing waits but what came a moment ago.
    fn keeps_up(&self) -> bool {
        self.spare.is_none() && self.main.as_ref().is_some_and(|main| main.tally().waiting == 0)
    }

    fn write_counts(&mut self) {
        let counts = self.fresh.take_counts();
        match &mut self.main {
            Some(main) => main.count(counts),
            None => self.past = std::mem::take(&mut self.past).plus(&counts.tally()),
        }
    }

    /// Puts requests where they wait, with what was `lost` of them before.
    fn store(&mut self, packed: &[Packed], mut lost: Vec<Lost>, state: Option<&[u8]>) -> Pushed {
        let on_disk = self.on_main(|main| main.push(packed, &lost, state));
        let is_kept = on_disk.is_some() && self.keeping.place != Place::Memory;
        if is_kept {
            self.hand_over();
        }
        let made_room = on_disk.or_else(|| self.on_spare(|spare| spare.push(packed, &lost, state)));
        match made_room {
            Some(more) => lost.extend(more),
            None => {
                let unwritable = |packed: &Packed| Lost {
                    signal: packed.pending.signal,
                    items: packed.pending.items,
                    reason: DropReason::Unwritable,
                };
                lost.extend(packed.iter().map(unwritable));
                self.past.accepted = self.past.accepted.saturating_add(lost.iter().map(|loss| loss.items).sum::<u64>());
                for loss in &lost {
                    *self.past.dropped.entry(loss.reason).or_default() += loss.items;
                }
            }
        }
        Pushed { lost, is_kept }
    }

    /// Takes the next request of `signal` out; it is in flight until it comes back.
    pub fn take(&mut self, signal: Signal, now: Timestamp) -> (Option<Taken>, Vec<Lost>) {
        let mut lost = Vec::new();
        let age = self.keeping.limits.age;
        let order = if signal == Signal::Metrics { self.keeping.order } else { Order::Oldest };
        let taken = self.on_main(|main| main.take(signal, order, age, now, &mut lost)).flatten();
        if taken.is_some() {
            return (taken, lost);
        }
        let Some(spare) = &mut self.spare else { return (self.fresh.take(signal), lost) };
        let taken = spare.take(signal, order, age, now, &mut lost).ok().flatten();
        if taken.is_none() && spare.tally().waiting == 0 && spare.tally().in_flight == 0 {
            self.drop_spare();
        }
        (taken.or_else(|| self.fresh.take(signal)), lost)
    }

    /// A request in flight waits again, before those that came after it.
    pub fn put_back(&mut self, taken: Taken) {
        if taken.is_held() {
            return self.fresh.put_back(taken);
        }
        if let Some(shelf) = self.shelf_of(&taken) {
            shelf.put_back(&taken);
        }
    }

    /// The destination took a request in flight, less `rejected` items.
    #[must_use = "losses are counted"]
    #[expect(clippy::needless_pass_by_value, reason = "a request that was settled cannot be settled again")]
    pub fn delivered(&mut self, taken: Taken, rejected: u64) -> Option<Lost> {
        if taken.is_held() {
            return self.fresh.delivered(&taken, rejected);
        }
        self.shelf_of(&taken)?.delivered(&taken, rejected)
    }

    /// A request in flight is given up.
    #[must_use = "losses are counted"]
    #[expect(clippy::needless_pass_by_value, reason = "a request that was settled cannot be settled again")]
    pub fn refused(&mut self, taken: Taken, reason: DropReason) -> Option<Lost> {
        if taken.is_held() {
            return self.fresh.refused(&taken, reason);
        }
        Some(self.shelf_of(&taken)?.refused(&taken, reason))
    }

    /// A request in flight is larger than the destination takes: its halves wait in its place. It is lost when it
    /// has none, and when it is so small that a destination without room for it has room for nothing.
    #[must_use = "losses are counted"]
    #[expect(clippy::needless_pass_by_value, reason = "a request that was settled cannot be settled again")]
    pub fn too_large(&mut self, taken: Taken) -> Option<Lost> {
        let cut = self.keeping.cut;
        let compression = self.keeping.compression;
        let Taken { signal, items, .. } = taken;
        // Those of a request that a store holds get the time of that one.
        let at = Timestamp::default();
        let whole = taken.compression.unpack(&taken.body).ok().filter(|body| body.len() >= SMALLEST_CUT);
        // Whether it is a part of a snapshot stays as it is in the store.
        let halves = whole.and_then(|body| halves(&Pending { signal, body, items, snapshot: None }, cut));
        let packed = halves
            .map(|halves| halves.map(|half| packed(&half, compression, at).ok()))
            .and_then(|[first, second]| Some([first?, second?]));
        if taken.is_held() {
            let Some(packed) = packed else { return self.fresh.refused(&taken, DropReason::TooLarge) };
            self.fresh.halve(&taken, packed);
            return None;
        }
        let place = self.shelf_of(&taken)?;
        let is_halved = packed.is_some_and(|packed| place.halve(&taken, &packed).unwrap_or(false));
        (!is_halved).then(|| place.refused(&taken, DropReason::TooLarge))
    }

    /// Ends the spool. What waits on disk stays there; what waits in memory moves to the disk if it can, and is lost
    /// otherwise.
    #[must_use = "losses are counted"]
    pub fn close(mut self) -> Vec<Lost> {
        self.write_counts();
        let mut lost = self.write_fresh();
        for shelf in [&mut self.spare, &mut self.main].into_iter().flatten() {
            if self.keeping.place == Place::Memory {
                lost.extend(shelf.clear(DropReason::Shutdown).unwrap_or_default());
            }
        }
        if let (Some(spare), Some(main)) = (&mut self.spare, &mut self.main) {
            let tally = spare.tally().clone();
            if main.adopt(spare, &tally).is_err() {
                lost.extend(spare.clear(DropReason::Shutdown).unwrap_or_default());
            }
        } else if let Some(spare) = &mut self.spare {
            lost.extend(spare.clear(DropReason::Shutdown).unwrap_or_default());
        }
        self.hand_over();
        if let Some(main) = &mut self.main {
            // What cannot be given back now is given back at the next start.
            main.rest().ok();
        }
        lost
    }

    /// Gives space back. To be called when nothing has happened for a while.
    pub fn rest(&mut self) {
        self.write_counts();
        self.hand_over();
        self.on_main(Shelf::rest);
    }

    /// Where all items are that ever came.
    pub fn tally(&self) -> Tally {
        self.shelves().fold(self.past.clone().plus(&self.fresh.tally()), |sum, shelf| sum.plus(shelf.tally()))
    }

    /// Bytes that wait or are in flight, with what a request costs beside its body.
    pub fn bytes(&self) -> u64 {
        self.shelves().map(Shelf::bytes).sum::<u64>().saturating_add(self.fresh.bytes())
    }

    /// When the request came that has waited longest.
    pub fn oldest(&self) -> Option<Timestamp> {
        self.shelves().filter_map(|shelf| shelf.oldest().ok().flatten()).chain(self.fresh.oldest()).min()
    }

    /// What was kept with the last requests.
    pub fn state(&self) -> Option<Vec<u8>> {
        // Where there is a spare store, it took the last.
        self.spare.iter().chain(&self.main).find_map(|shelf| shelf.state().ok().flatten())
    }

    /// The number for the next snapshot.
    pub fn next_snapshot(&self) -> SnapshotNumber {
        let newest = self.shelves().filter_map(|shelf| shelf.newest_snapshot().ok().flatten()).max();
        SnapshotNumber(newest.map_or(1, |SnapshotNumber(number)| number.saturating_add(1)))
    }

    fn shelves(&self) -> impl Iterator<Item = &Shelf> {
        self.main.iter().chain(&self.spare)
    }

    fn shelf_of(&mut self, taken: &Taken) -> Option<&mut Shelf> {
        self.main.iter_mut().chain(&mut self.spare).find(|shelf| shelf.number == taken.store)
    }

    /// Takes over what [`store::open`] opened.
    fn begin(&mut self, Opened { connection, damaged }: Opened) {
        match Shelf::new(self.number(), connection, self.bytes_max()) {
            Ok(main) => self.main = Some(main),
            Err(source) => self.trouble = Some(self.failed(source).to_string()),
        }
        if let Some(aside) = damaged {
            self.rescue_from(&aside, None);
        }
    }

    fn number(&mut self) -> u64 {
        self.next = self.next.saturating_add(1);
        self.next
    }

    fn bytes_max(&self) -> u64 {
        let Limits { disk_bytes, memory_bytes, .. } = self.keeping.limits;
        if self.keeping.place == Place::Memory { memory_bytes } else { disk_bytes }
    }

    fn failed(&self, source: rusqlite::Error) -> StoreError {
        let path = match &self.keeping.place {
            Place::File(path) => path.clone(),
            Place::Memory => "memory".into(),
        };
        StoreError::Failed { path, source }
    }

    /// Does `work` on the main store. `None`, with the trouble noted, where it cannot. A damaged file is replaced, and
    /// the work done on the new one.
    fn on_main<T>(&mut self, mut work: impl FnMut(&mut Shelf) -> Outcome<T>) -> Option<T> {
        let error = match work(self.main.as_mut()?) {
            Ok(value) => {
                if self.spare.is_none() && self.past.accepted == 0 {
                    self.trouble = None;
                }
                return Some(value);
            }
            Err(error) => error,
        };
        if store::is_damage(&error) && self.replace() {
            return work(self.main.as_mut()?).ok();
        }
        self.trouble = Some(self.failed(error).to_string());
        None
    }

    fn on_spare<T>(&mut self, work: impl FnOnce(&mut Shelf) -> Outcome<T>) -> Option<T> {
        if self.spare.is_none() {
            self.spare = Shelf::in_memory(self.number(), self.keeping.limits.memory_bytes);
        }
        work(self.spare.as_mut()?).ok()
    }

    /// The spare store is empty: what it counted is counted by the main one from now on.
    fn drop_spare(&mut self) {
        let Some(spare) = self.spare.take() else { return };
        let tally = spare.tally().clone();
        let is_told = self.main.as_mut().is_some_and(|main| main.adopt(&spare, &tally).is_ok());
        if !is_told {
            self.past = std::mem::take(&mut self.past).plus(&tally);
        }
    }

    /// What is counted here only is counted by the main store from now on, if it can be.
    fn hand_over(&mut self) {
        if self.past == Tally::default() {
            return;
        }
        let Some(nothing) = Shelf::in_memory(0, 0) else { return };
        if self.main.as_mut().is_some_and(|main| main.adopt(&nothing, &self.past).is_ok()) {
            self.past = Tally::default();
        }
    }

    /// Sets the damaged file of the main store aside and goes on with a new one.
    fn replace(&mut self) -> bool {
        let Place::File(path) = self.keeping.place.clone() else { return false };
        let Some(damaged) = self.main.take() else { return false };
        let before = damaged.into_known();
        let Ok(aside) = store::set_aside(&path) else { return false };
        match store::open(&self.keeping.place, &SCHEMA, self.keeping.durability) {
            Ok(opened) => self.begin(opened),
            Err(error) => self.trouble = Some(error.to_string()),
        }
        self.rescue_from(&aside, Some(before));
        self.main.is_some()
    }

    /// Goes on with what can be read of a damaged file. `before` is what was known of it, where it was open before.
    fn rescue_from(&mut self, aside: &Path, before: Option<Known>) {
        let Some(main) = &mut self.main else { return };
        let old = store::open_to_read(aside, &SCHEMA).ok().and_then(|old| Shelf::new(0, old, u64::MAX).ok());
        let known = before.or_else(|| old.as_ref().map(Shelf::known)).unwrap_or_default();
        // Where nothing can be read, nothing is adopted, and all that was there is missing.
        let old = old.or_else(|| Shelf::in_memory(0, 0));
        let missing = old.and_then(|mut old| {
            let tally = old.learn(known);
            main.adopt(&old, &tally).ok()
        });
        let lost = match missing {
            Some(missing) => format!("{missing} items could not be read out of it"),
            None => "nothing could be read out of it".to_owned(),
        };
        self.trouble = Some(format!("the spool was damaged and is set aside as {}; {lost}", aside.display()));
    }

    /// Requests as they wait: cut to the limits and compressed.
    fn packed(&self, requests: Vec<Pending>, at: Timestamp) -> (Vec<Packed>, Vec<Lost>) {
        let (mut packed_all, mut lost) = (Vec::new(), Vec::new());
        let mut drop_it = |pending: &Pending, reason| {
            if pending.items > 0 {
                lost.push(Lost { signal: pending.signal, items: pending.items, reason });
            }
        };
        for request in requests.into_iter().filter(|request| request.items > 0) {
            let mut copied_max = request.body.len().saturating_mul(COPIES_MAX);
            // A stack with the first part on top keeps the order of the parts.
            let mut parts = vec![request];
            while let Some(part) = parts.pop() {
                if part.items == 0 {
                    continue;
                }
                if self.keeping.limits.fits(&part) {
                    match packed(&part, self.keeping.compression, at) {
                        Ok(packed) => packed_all.push(packed),
                        Err(_failed) => drop_it(&part, DropReason::Encoding),
                    }
                    continue;
                }
                copied_max = copied_max.saturating_sub(part.body.len());
                match halves(&part, self.keeping.cut) {
                    Some([first, second]) if copied_max > 0 => parts.extend([second, first]),
                    _ => drop_it(&part, DropReason::TooLarge),
                }
            }
        }
        (packed_all, lost)
    }
}

/// Cutting copies at most this many times the bytes of a request. Halving down to a sixty-thousandth copies sixteen
/// times; more is needed only where each part repeats a resource that is itself too large.
const COPIES_MAX: usize = 32;

/// A request of fewer bytes is not cut because a destination finds it too large. It bounds the calls that a
/// destination costs which answers everything so: about a thousand for a request of 4 MiB.
const SMALLEST_CUT: usize = 16 * 1024;

fn packed(pending: &Pending, compression: Compression, at: Timestamp) -> std::io::Result<Packed> {
    let body = compression.pack(&pending.body)?;
    Ok(Packed { pending: Pending { body: Bytes::new(), ..pending.clone() }, body, compression, at })
}

#[cfg(test)]
mod tests;
