//! One store of waiting requests: a database in a file or in memory.
//!
//! Every call is one transaction, and the counts are written in the same one as the rows that they count. What is in
//! memory beside the database (sums, requests in flight) follows a commit and never goes before it.

use std::collections::BTreeMap;

use bytes::Bytes;
use rusqlite::types::ToSql;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use wattline_core::{Seconds, Signal, Timestamp};
use wattline_ledger::{Durability, Place, Schema, store};

use super::fresh::Counts;
use super::request::{Lost, Order, Pending, SnapshotNumber, Taken, Tally};
use crate::pack::Compression;
use crate::reason::DropReason;
use crate::split::Half;

/// The database of a spool. `line` holds all that is asked of a request but its body, so that no body is read to
/// count or to choose.
pub(super) const SCHEMA: Schema = Schema {
    // "wspl"
    application: 0x7773_706c,
    steps: &["
        CREATE TABLE request (
            id INTEGER PRIMARY KEY,
            width INTEGER NOT NULL,
            signal INTEGER NOT NULL,
            items INTEGER NOT NULL,
            cost INTEGER NOT NULL,
            at INTEGER NOT NULL,
            snapshot INTEGER,
            compression INTEGER NOT NULL,
            crc INTEGER NOT NULL,
            body BLOB NOT NULL
        ) STRICT;
        CREATE INDEX line ON request (signal, id, items, cost, at, snapshot);
        CREATE TABLE tally (
            signal INTEGER NOT NULL, what TEXT NOT NULL, items INTEGER NOT NULL, PRIMARY KEY (signal, what)
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE memory (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
    "],
    shared: false,
    secret: true,
};

/// Room between two requests for the halves of the first, which keep its place in line.
const WIDTH: i64 = 1 << 24;
/// What a request costs beside its bytes, so that many small ones are bounded too.
pub(super) const OVERHEAD: u64 = 128;
/// Expired requests that are let go of in one transaction.
const EXPIRED_AT_ONCE: u32 = 64;
/// Free pages of 4 KiB from which space is given back, and the most pages in use that are copied for it.
const FREE_PAGES: i64 = 1024;
const COPIED_PAGES: i64 = 256;
/// A page that says where others belong stands before as many others as it has room for, at five bytes each. SQLite
/// keeps them for `auto_vacuum`, and does not count them as free ("Database File Format", 1.8).
const MAPPED_PAGES: i64 = 4096 / 5;

const ACCEPTED: &str = "accepted";
const DELIVERED: &str = "delivered";
const STATE: &str = "state";

pub(super) type Outcome<T> = rusqlite::Result<T>;

/// A store of waiting requests.
#[derive(Debug)]
pub(super) struct Shelf {
    /// Tells the stores of one spool apart.
    pub(super) number: u64,
    connection: Connection,
    bytes_max: u64,
    /// Cost of what waits and of what is in flight.
    bytes: u64,
    in_flight: BTreeMap<i64, u64>,
    tally: Tally,
    /// What became of requests and could not be written down yet.
    owed: Changes,
    /// Something was written since the file was last made as small as it can be.
    is_dirty: bool,
}

/// What a transaction changes.
#[derive(Clone, Debug, Default)]
struct Changes {
    gone: Vec<Gone>,
    accepted: Vec<(Signal, u64)>,
    delivered: Vec<(Signal, u64)>,
    lost: Vec<Lost>,
}

/// What a store knows beside what stands in its file.
#[derive(Debug, Default)]
pub(super) struct Known {
    tally: Tally,
    owed: Changes,
}

/// A request that leaves.
#[derive(Clone, Copy, Debug)]
struct Gone {
    id: i64,
    cost: u64,
    items: u64,
}

/// A request that is about to come in, compressed.
#[derive(Debug)]
pub(super) struct Packed {
    pub(super) pending: Pending,
    pub(super) body: Bytes,
    pub(super) compression: Compression,
    /// When it came.
    pub(super) at: Timestamp,
}

/// What `line` tells of a request.
#[derive(Clone, Copy, Debug)]
struct Entry {
    id: i64,
    signal: Signal,
    items: u64,
    cost: u64,
    at: Timestamp,
    snapshot: Option<SnapshotNumber>,
}

impl Shelf {
    /// Takes over a database, with whatever waits in it.
    pub(super) fn new(number: u64, connection: Connection, bytes_max: u64) -> Outcome<Self> {
        let (waiting, bytes) =
            connection.query_row("SELECT total(items), total(cost) FROM request INDEXED BY line", [], |row| {
                Ok((whole(row.get(0)?), whole(row.get(1)?)))
            })?;
        let tally = Tally { waiting, ..read_tally(&connection)? };
        let (in_flight, owed) = Default::default();
        Ok(Self { number, connection, bytes_max, bytes, in_flight, tally, owed, is_dirty: true })
    }

    /// An empty store in memory.
    pub(super) fn in_memory(number: u64, bytes_max: u64) -> Option<Self> {
        let opened = store::open(&Place::Memory, &SCHEMA, Durability::Process).ok()?;
        Self::new(number, opened.connection, bytes_max).ok()
    }

    /// Lets the database grow to so many pages of 4 KiB, as a full disk would.
    #[cfg(test)]
    pub(super) fn limit_pages(&mut self, pages: u32) -> Outcome<()> {
        self.run_to_end(&format!("PRAGMA max_page_count = {pages}"))
    }

    /// Refuses every write, as a disk does that is full to the last byte.
    #[cfg(test)]
    pub(super) fn refuse_writes(&mut self, is_full: bool) -> Outcome<()> {
        self.connection.pragma_update(None, "query_only", is_full)
    }

    /// Where all items are.
    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// What it knows beside its file.
    pub(super) fn known(&self) -> Known {
        Known { tally: self.tally.clone(), owed: self.owed.clone() }
    }

    /// The same, while the file is closed.
    pub(super) fn into_known(self) -> Known {
        Known { tally: self.tally, owed: self.owed }
    }

    /// Leaves out of what can be read what is known to be gone, and returns where all items are.
    pub(super) fn learn(&mut self, known: Known) -> Tally {
        let Known { tally, owed } = known;
        self.owed = owed;
        tally
    }

    /// Bytes that wait or are in flight, with what a request costs beside its body.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// When the oldest request came.
    pub(super) fn oldest(&self) -> Outcome<Option<Timestamp>> {
        Ok(self.first_of_all()?.map(|entry| entry.at))
    }

    /// What was kept with the last request.
    pub(super) fn state(&self) -> Outcome<Option<Vec<u8>>> {
        self.connection.query_row("SELECT value FROM memory WHERE name = ?", [STATE], |row| row.get(0)).optional()
    }

    /// The highest number of a snapshot that waits.
    pub(super) fn newest_snapshot(&self) -> Outcome<Option<SnapshotNumber>> {
        let number: Option<i64> =
            self.connection.query_row("SELECT max(snapshot) FROM request", [], |row| row.get(0))?;
        Ok(number.map(|number| SnapshotNumber(number.unsigned_abs())))
    }

    /// Takes requests in, all or none, with the `state` that goes with them and with what was `lost` of them before,
    /// and lets go of what is too much then. It returns what that was.
    pub(super) fn push(&mut self, packed: &[Packed], lost: &[Lost], state: Option<&[u8]>) -> Outcome<Vec<Lost>> {
        let mut changes = Changes::default();
        changes.lost.extend_from_slice(lost);
        changes.accepted.extend(lost.iter().map(|loss| (loss.signal, loss.items)));
        let transaction = self.connection.unchecked_transaction()?;
        // What is owed leaves first: it must not be let go of a second time. What is in memory has followed it before.
        self.owed.delete(&transaction)?;
        self.owed.count(&transaction)?;
        let mut bytes = 0_u64;
        let mut id = next_id(&transaction)?;
        for Packed { pending, body, compression, at } in packed {
            let row = NewRow { id, width: WIDTH, at: *at, pending, body, compression: *compression };
            bytes = bytes.saturating_add(insert(&transaction, &row)?);
            changes.accepted.push((pending.signal, pending.items));
            id = id.saturating_add(WIDTH);
        }
        if let Some(state) = state {
            keep_state(&transaction, state)?;
        }
        let held = self.bytes.saturating_add(bytes);
        let room = self.make_room(&transaction, held)?;
        let losses = room.lost.clone();
        changes.append(room);
        changes.count(&transaction)?;
        transaction.commit()?;
        self.owed = Changes::default();
        self.bytes = self.bytes.saturating_add(bytes);
        self.tally.waiting = self.tally.waiting.saturating_add(packed.iter().map(|packed| packed.pending.items).sum());
        self.follow(&changes);
        Ok(losses)
    }

    /// Takes the next request of `signal` out. One that is not what was written, or too old, is lost instead.
    pub(super) fn take(
        &mut self,
        signal: Signal,
        order: Order,
        age: Seconds,
        now: Timestamp,
        lost: &mut Vec<Lost>,
    ) -> Outcome<Option<Taken>> {
        while let Some(entry) = self.next_of(signal, order)? {
            if now.since(entry.at) > age {
                lost.extend(self.expire(signal, age, now)?);
                continue;
            }
            let Entry { id, items, cost, .. } = entry;
            let Some((body, compression)) = self.body(&entry)? else {
                let gone = Gone { id, cost, items };
                let corrupt = Lost { signal, items, reason: DropReason::Corrupt };
                self.settle(Changes { gone: vec![gone], lost: vec![corrupt], ..Changes::default() });
                lost.push(corrupt);
                continue;
            };
            self.in_flight.insert(id, items);
            self.tally.waiting = self.tally.waiting.saturating_sub(items);
            self.tally.in_flight = self.tally.in_flight.saturating_add(items);
            return Ok(Some(Taken { store: self.number, id, cost, signal, items, body, compression }));
        }
        Ok(None)
    }

    /// A request in flight waits again, in its old place.
    pub(super) fn put_back(&mut self, taken: &Taken) {
        self.land(taken);
        self.tally.waiting = self.tally.waiting.saturating_add(taken.items);
    }

    /// The destination took a request in flight, less `rejected` items.
    pub(super) fn delivered(&mut self, taken: &Taken, rejected: u64) -> Option<Lost> {
        let rejected = rejected.min(taken.items);
        let part = Lost { signal: taken.signal, items: rejected, reason: DropReason::PartialRejection };
        let lost = Some(part).filter(|part| part.items > 0);
        self.leave(taken, vec![(taken.signal, taken.items - rejected)], lost.into_iter().collect());
        lost
    }

    /// A request in flight is given up.
    pub(super) fn refused(&mut self, taken: &Taken, reason: DropReason) -> Lost {
        let loss = Lost { signal: taken.signal, items: taken.items, reason };
        self.leave(taken, Vec::new(), vec![loss]);
        loss
    }

    /// The halves of a request in flight wait in its place. False when its place has no room for two.
    pub(super) fn halve(&mut self, taken: &Taken, halves: &[Packed; 2]) -> Outcome<bool> {
        let transaction = self.connection.unchecked_transaction()?;
        let (width, at): (i64, i64) =
            transaction.query_row("SELECT width, at FROM request WHERE id = ?", [taken.id], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        let width = width / 2;
        if width == 0 {
            return Ok(false);
        }
        transaction.execute("DELETE FROM request WHERE id = ?", [taken.id])?;
        let at = Timestamp::from_unix_nanos(at.unsigned_abs());
        let (mut bytes, mut items) = (0_u64, 0_u64);
        for (half, id) in halves.iter().zip([taken.id, taken.id.saturating_add(width)]) {
            let Packed { pending, body, compression, at: _ } = half;
            if pending.items > 0 {
                let row = NewRow { id, width, at, pending, body, compression: *compression };
                bytes = bytes.saturating_add(insert(&transaction, &row)?);
                items = items.saturating_add(pending.items);
            }
        }
        transaction.commit()?;
        self.land(taken);
        self.bytes = self.bytes.saturating_sub(taken.cost).saturating_add(bytes);
        self.tally.waiting = self.tally.waiting.saturating_add(items);
        self.is_dirty = true;
        Ok(true)
    }

    /// Counts what became of requests that have never been here.
    pub(super) fn count(&mut self, counts: Counts) {
        let Counts { accepted, delivered, lost } = counts;
        let lost = lost.into_iter().map(|((signal, reason), items)| Lost { signal, items, reason });
        self.settle(Changes {
            gone: Vec::new(),
            accepted: accepted.into_iter().collect(),
            delivered: delivered.into_iter().collect(),
            lost: lost.collect(),
        });
    }

    /// Lets go of all that waits.
    pub(super) fn clear(&mut self, reason: DropReason) -> Outcome<Vec<Lost>> {
        let mut changes = Changes::default();
        while let Some(entry) = self.first_besides(&self.connection, &changes)? {
            changes.lose(&entry, reason);
        }
        let lost = changes.lost.clone();
        self.settle(changes);
        Ok(lost)
    }

    /// Gives space back while nothing happens: what was delivered is gone from the disk then.
    pub(super) fn rest(&mut self) -> Outcome<()> {
        if !self.is_dirty || self.tally.in_flight > 0 {
            return Ok(());
        }
        self.settle(Changes::default());
        if self.pages("freelist_count")? <= FREE_PAGES {
            self.run_to_end("PRAGMA incremental_vacuum")?;
        }
        self.run_to_end("PRAGMA wal_checkpoint(TRUNCATE)")?;
        self.is_dirty = false;
        Ok(())
    }

    /// Takes over what waits in `other` and can be read, after all that waits here, and goes on counting where it left
    /// off. `tally` is what `other` counted; items of it that are nowhere any more are lost. It returns how many those
    /// are.
    pub(super) fn adopt(&mut self, other: &Self, tally: &Tally) -> Outcome<u64> {
        // The sums are read again below, and must have it.
        self.write_owed()?;
        self.owed = Changes::default();
        let transaction = self.connection.unchecked_transaction()?;
        let (mut bytes, mut adopted) = (0_u64, 0_u64);
        let mut id = next_id(&transaction)?;
        for (entry, body, compression) in other.readable() {
            let Entry { signal, items, at, snapshot, .. } = entry;
            let pending = Pending { signal, body: Bytes::new(), items, snapshot };
            let row = NewRow { id, width: WIDTH, at, pending: &pending, body: &body, compression };
            bytes = bytes.saturating_add(insert(&transaction, &row)?);
            adopted = adopted.saturating_add(items);
            id = id.saturating_add(WIDTH);
        }
        let there = tally.accepted.saturating_sub(tally.delivered).saturating_sub(tally.dropped_items());
        let missing = there.saturating_sub(adopted);
        // By signal nobody can tell any more; the sums hold.
        let signal = Signal::Metrics;
        add(&transaction, signal, ACCEPTED, tally.accepted)?;
        add(&transaction, signal, DELIVERED, tally.delivered)?;
        let corrupt = (DropReason::Corrupt, missing);
        for (reason, items) in tally.dropped.iter().map(|(reason, items)| (*reason, *items)).chain([corrupt]) {
            add(&transaction, signal, reason.as_str(), items)?;
        }
        if let Some(state) = other.state().ok().flatten() {
            keep_state(&transaction, &state)?;
        }
        transaction.commit()?;
        self.bytes = self.bytes.saturating_add(bytes);
        let (waiting, in_flight) = (self.tally.waiting.saturating_add(adopted), self.tally.in_flight);
        self.tally = Tally { waiting, in_flight, ..read_tally(&self.connection)? };
        self.is_dirty = true;
        Ok(missing)
    }

    /// What waits and can be read, in line.
    fn readable(&self) -> impl Iterator<Item = (Entry, Bytes, Compression)> {
        let ids = || -> Outcome<Vec<i64>> {
            let mut statement = self.connection.prepare("SELECT id FROM request ORDER BY id")?;
            // Where a page is damaged, the walk ends.
            Ok(statement.query_map([], |row| row.get(0))?.map_while(Result::ok).collect())
        };
        ids().unwrap_or_default().into_iter().filter(|id| !self.is_in_flight(*id)).filter_map(|id| {
            let query = "SELECT signal, id, items, cost, at, snapshot FROM request WHERE id = ?";
            let entry = self.connection.query_row(query, [id], entry).ok()?;
            let (body, compression) = self.body(&entry).ok()??;
            Some((entry, body, compression))
        })
    }

    /// Drops the oldest of all until the rest fits: `held` is the cost of all that is there.
    fn make_room(&self, transaction: &Transaction<'_>, held: u64) -> Outcome<Changes> {
        let mut room = Changes::default();
        let mut held = held;
        while held > self.bytes_max {
            // All that is left is in flight and cannot be dropped here.
            let Some(oldest) = self.first_besides(transaction, &Changes::default())? else { break };
            let newer = match oldest.snapshot {
                Some(number) => transaction
                    .query_row("SELECT 1 FROM request WHERE snapshot > ? LIMIT 1", [signed(number.0)], |_row| Ok(()))
                    .optional()?,
                None => None,
            };
            // A snapshot that makes room is superseded when a newer one waits; its totals are not lost then.
            let reason = if newer.is_some() { DropReason::Superseded } else { DropReason::QueueFull };
            let mut step = Changes::default();
            step.lose(&oldest, reason);
            step.delete(transaction)?;
            held = held.saturating_sub(oldest.cost);
            room.append(step);
        }
        Ok(room)
    }

    /// Lets go of requests of `signal` that are older than `age`.
    fn expire(&mut self, signal: Signal, age: Seconds, now: Timestamp) -> Outcome<Vec<Lost>> {
        let too_old: Vec<Entry> = {
            let mut statement = self.connection.prepare_cached(
                "SELECT signal, id, items, cost, at, snapshot FROM request INDEXED BY line WHERE signal = ?1 AND at < ?2
                 ORDER BY id LIMIT ?3",
            )?;
            let before = signed(now.back(age).unix_nanos());
            let rows = statement.query_map(params![code(signal), before, EXPIRED_AT_ONCE], entry)?;
            rows.collect::<Outcome<_>>()?
        };
        let mut changes = Changes::default();
        for entry in too_old.iter().filter(|entry| !self.is_in_flight(entry.id)) {
            changes.lose(entry, DropReason::Expired);
        }
        let lost = changes.lost.clone();
        self.settle(changes);
        Ok(lost)
    }

    /// Books what became of requests. What cannot be written down now is owed, and goes with the next transaction.
    fn settle(&mut self, changes: Changes) {
        self.follow(&changes);
        self.owed.append(changes);
        if self.write_owed().is_ok() {
            self.owed = Changes::default();
        }
        // Space that cannot be given back now is given back later.
        self.give_back().ok();
    }

    fn write_owed(&self) -> Outcome<()> {
        let transaction = self.connection.unchecked_transaction()?;
        self.owed.delete(&transaction)?;
        self.owed.count(&transaction)?;
        transaction.commit()
    }

    /// Gives space back once nearly all of the file is free: what is left is copied, and the rest cut off. To give
    /// pages back one by one (`incremental_vacuum`), SQLite looks for each in the list of those that are free, which
    /// takes hours where they are millions.
    fn give_back(&self) -> Outcome<()> {
        let free = self.pages("freelist_count")?;
        if free > FREE_PAGES && in_use(self.pages("page_count")?, free) <= COPIED_PAGES {
            // The copy is small enough for memory, and there may be no other place for it.
            self.connection.pragma_update(None, "temp_store", "MEMORY")?;
            self.connection.execute_batch("VACUUM")?;
        }
        Ok(())
    }

    /// A number of pages that SQLite tells of.
    fn pages(&self, pragma: &str) -> Outcome<i64> {
        self.connection.pragma_query_value(None, pragma, |row| row.get(0))
    }

    /// Some of SQLite's pragmas do a part of their work for each row that they answer.
    fn run_to_end(&self, pragma: &str) -> Outcome<()> {
        let mut statement = self.connection.prepare(pragma)?;
        let mut rows = statement.query([])?;
        while rows.next()?.is_some() {}
        Ok(())
    }

    /// What is in memory follows what was committed.
    fn follow(&mut self, changes: &Changes) {
        let Changes { gone, accepted, delivered, lost } = changes;
        for gone in gone {
            self.bytes = self.bytes.saturating_sub(gone.cost);
            if self.in_flight.remove(&gone.id).is_some() {
                self.tally.in_flight = self.tally.in_flight.saturating_sub(gone.items);
            } else {
                self.tally.waiting = self.tally.waiting.saturating_sub(gone.items);
            }
        }
        for (_, items) in accepted {
            self.tally.accepted = self.tally.accepted.saturating_add(*items);
        }
        for (_, items) in delivered {
            self.tally.delivered = self.tally.delivered.saturating_add(*items);
        }
        for Lost { items, reason, .. } in lost {
            let sum = self.tally.dropped.entry(*reason).or_default();
            *sum = sum.saturating_add(*items);
        }
        self.is_dirty = true;
    }

    fn land(&mut self, taken: &Taken) {
        self.in_flight.remove(&taken.id);
        self.tally.in_flight = self.tally.in_flight.saturating_sub(taken.items);
    }

    fn leave(&mut self, taken: &Taken, delivered: Vec<(Signal, u64)>, lost: Vec<Lost>) {
        let gone = vec![Gone { id: taken.id, cost: taken.cost, items: taken.items }];
        self.settle(Changes { gone, accepted: Vec::new(), delivered, lost });
    }

    /// In flight, or gone although the row may still be there.
    fn is_in_flight(&self, id: i64) -> bool {
        self.in_flight.contains_key(&id) || self.owed.gone.iter().any(|gone| gone.id == id)
    }

    fn next_of(&self, signal: Signal, order: Order) -> Outcome<Option<Entry>> {
        let mut statement = self.connection.prepare_cached(match order {
            Order::Oldest => {
                "SELECT signal, id, items, cost, at, snapshot FROM request INDEXED BY line WHERE signal = ? ORDER BY id"
            }
            Order::Newest => {
                "SELECT signal, id, items, cost, at, snapshot FROM request INDEXED BY line WHERE signal = ?
                 ORDER BY id DESC"
            }
        })?;
        let rows = statement.query_map([code(signal)], entry)?;
        for row in rows {
            let entry = row?;
            if !self.is_in_flight(entry.id) {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    fn first_of_all(&self) -> Outcome<Option<Entry>> {
        self.first_besides(&self.connection, &Changes::default())
    }

    /// The oldest of all that is neither in flight nor about to go.
    fn first_besides(&self, connection: &Connection, changes: &Changes) -> Outcome<Option<Entry>> {
        let mut statement = connection
            .prepare_cached("SELECT signal, id, items, cost, at, snapshot FROM request WHERE id > ? ORDER BY id")?;
        let after = changes.gone.last().map_or(i64::MIN, |gone| gone.id);
        for row in statement.query_map([after], entry)? {
            let entry = row?;
            if !self.is_in_flight(entry.id) {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    /// The body of a request, or `None` where it is not what was written.
    fn body(&self, entry: &Entry) -> Outcome<Option<(Bytes, Compression)>> {
        let mut statement =
            self.connection.prepare_cached("SELECT compression, crc, body FROM request WHERE id = ?")?;
        let row = statement
            .query_row([entry.id], |row| Ok((row.get::<_, u8>(0)?, row.get::<_, u32>(1)?, row.get::<_, Vec<u8>>(2)?)));
        let (compression, crc, body) = row?;
        let is_whole = crc == checksum(entry.signal, entry.items, &body);
        Ok(decoded(compression).filter(|_| is_whole).map(|compression| (body.into(), compression)))
    }
}

impl Changes {
    fn lose(&mut self, entry: &Entry, reason: DropReason) {
        let Entry { id, signal, items, cost, .. } = *entry;
        self.gone.push(Gone { id, cost, items });
        self.lost.push(Lost { signal, items, reason });
    }

    fn append(&mut self, other: Self) {
        let Self { gone, accepted, delivered, lost } = other;
        self.gone.extend(gone);
        self.accepted.extend(accepted);
        self.delivered.extend(delivered);
        self.lost.extend(lost);
    }

    fn delete(&self, transaction: &Transaction<'_>) -> Outcome<()> {
        let mut statement = transaction.prepare_cached("DELETE FROM request WHERE id = ?")?;
        for gone in &self.gone {
            statement.execute([gone.id])?;
        }
        Ok(())
    }

    fn count(&self, transaction: &Transaction<'_>) -> Outcome<()> {
        for (signal, items) in &self.accepted {
            add(transaction, *signal, ACCEPTED, *items)?;
        }
        for (signal, items) in &self.delivered {
            add(transaction, *signal, DELIVERED, *items)?;
        }
        for Lost { signal, items, reason } in &self.lost {
            add(transaction, *signal, reason.as_str(), *items)?;
        }
        Ok(())
    }
}

/// The pages of a file of so many that hold something, with so many free ones.
pub(super) fn in_use(pages: i64, free: i64) -> i64 {
    // The first page of the file is in no map.
    let maps = (pages + MAPPED_PAGES - 1) / (MAPPED_PAGES + 1);
    pages - free - maps
}

/// The place after all others: a half in the middle of a step may be the last.
fn next_id(connection: &Connection) -> Outcome<i64> {
    let last: i64 = connection.query_row("SELECT coalesce(max(id), 0) FROM request", [], |row| row.get(0))?;
    Ok((last / WIDTH).saturating_add(1).saturating_mul(WIDTH))
}

fn keep_state(connection: &Connection, state: &[u8]) -> Outcome<()> {
    let mut statement = connection.prepare_cached("INSERT OR REPLACE INTO memory VALUES (?, ?)")?;
    statement.execute(params![STATE, state]).map(drop)
}

fn add(connection: &Connection, signal: Signal, what: &str, items: u64) -> Outcome<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO tally VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET items = items + excluded.items",
    )?;
    statement.execute(params![code(signal), what, signed(items)]).map(drop)
}

fn read_tally(connection: &Connection) -> Outcome<Tally> {
    let mut tally = Tally::default();
    let mut statement = connection.prepare("SELECT what, sum(items) FROM tally GROUP BY what")?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))?;
    for row in rows {
        let (what, items) = row?;
        let items = items.unsigned_abs();
        match (what.as_str(), DropReason::of(&what)) {
            (ACCEPTED, _) => tally.accepted = items,
            (DELIVERED, _) => tally.delivered = items,
            (_, Some(reason)) => drop(tally.dropped.insert(reason, items)),
            // The schema's version says that there are no others.
            (_, None) => {}
        }
    }
    Ok(tally)
}

/// A row of `request`, less what follows from the rest.
struct NewRow<'a> {
    id: i64,
    width: i64,
    at: Timestamp,
    pending: &'a Pending,
    body: &'a Bytes,
    compression: Compression,
}

/// Writes a row and returns its cost.
fn insert(connection: &Connection, row: &NewRow<'_>) -> Outcome<u64> {
    let NewRow { id, width, at, pending, body, compression } = row;
    let Pending { signal, body: _, items, snapshot } = pending;
    let cost = (body.len() as u64).saturating_add(OVERHEAD);
    let values: [&dyn ToSql; 10] = [
        id,
        width,
        &code(*signal),
        &signed(*items),
        &signed(cost),
        &signed(at.unix_nanos()),
        &snapshot.map(|number| signed(number.0)),
        &encoded(*compression),
        &checksum(*signal, *items, body),
        &&body[..],
    ];
    connection.prepare_cached("INSERT INTO request VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?.execute(values)?;
    Ok(cost)
}

fn entry(row: &Row<'_>) -> Outcome<Entry> {
    let number = |index| row.get::<_, i64>(index).map(i64::unsigned_abs);
    let signal = match row.get::<_, u8>(0)? {
        0 => Signal::Metrics,
        1 => Signal::Traces,
        _ => Signal::Logs,
    };
    Ok(Entry {
        signal,
        id: row.get(1)?,
        items: number(2)?,
        cost: number(3)?,
        at: Timestamp::from_unix_nanos(number(4)?),
        snapshot: row.get::<_, Option<i64>>(5)?.map(|number| SnapshotNumber(number.unsigned_abs())),
    })
}

/// A disk that flips bits may flip those of the counts, too.
fn checksum(signal: Signal, items: u64, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[code(signal)]);
    hasher.update(&items.to_le_bytes());
    hasher.update(body);
    hasher.finalize()
}

const fn code(signal: Signal) -> u8 {
    match signal {
        Signal::Metrics => 0,
        Signal::Traces => 1,
        Signal::Logs => 2,
    }
}

const fn encoded(compression: Compression) -> u8 {
    match compression {
        Compression::None => 0,
        Compression::Gzip => 1,
        Compression::Zstd => 2,
    }
}

const fn decoded(code: u8) -> Option<Compression> {
    match code {
        0 => Some(Compression::None),
        1 => Some(Compression::Gzip),
        2 => Some(Compression::Zstd),
        _ => None,
    }
}

/// SQLite's integers have a sign.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A sum that SQLite made without overflow, as a float.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, and sums are positive")]
fn whole(sum: f64) -> u64 {
    sum as u64
}

/// The halves of a request. Their items add up to those of the whole even where its sender counted otherwise than we
/// do. A half without items can be: a resource without spans.
pub(super) fn halves(whole: &Pending, cut: super::Cut) -> Option<[Pending; 2]> {
    let [first, second] = cut(whole.signal, &whole.body)?;
    let weights = [first.items, second.items];
    let parts = wattline_core::apportion(whole.items, &weights)?;
    let [first_items, second_items] = <[u64; 2]>::try_from(parts).ok()?;
    let half = |half: Half, items| Pending { body: half.body, items, ..whole.clone() };
    Some([half(first, first_items), half(second, second_items)])
}
