//! The rules of the spool, one by one, all together, and over crashes.

use std::fs;
use std::path::Path;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use proptest::prelude::*;
use prost::Message;
use wattline_core::Seconds;

use super::shelf::in_use;
use super::*;
use crate::split::split;

const LIMITS: Limits = Limits {
    disk_bytes: 10_000,
    memory_bytes: 10_000,
    age: Seconds::new(100.0),
    request_bytes: 2_000,
    request_points: 1_000,
    request_spans: 1_000,
    request_records: 1_000,
};

fn keeping(place: Place) -> Keeping {
    Keeping {
        place,
        durability: Durability::Process,
        limits: LIMITS,
        order: Order::Oldest,
        compression: Compression::None,
        cut: split,
    }
}

fn in_memory(limits: Limits) -> Spool {
    Spool::open(Keeping { limits, ..keeping(Place::Memory) })
}

/// Room for requests that need pages of their own.
const ROOMY: Limits = Limits { disk_bytes: 1 << 20, memory_bytes: 1 << 20, request_bytes: 1 << 18, ..LIMITS };

fn on_disk(directory: &Path) -> Spool {
    let spool = Spool::open(Keeping { limits: ROOMY, ..keeping(Place::File(directory.join("a.db"))) });
    assert_eq!(spool.trouble(), None);
    spool
}

fn second(seconds: u64) -> Timestamp {
    Timestamp::from_unix_nanos((1_000_000 + seconds) * 1_000_000_000)
}

fn spans(count: usize) -> Bytes {
    let spans = vec![Span { name: "x".repeat(90), ..Default::default() }; count];
    let scopes = vec![ScopeSpans { spans, ..Default::default() }];
    let resource = ResourceSpans { scope_spans: scopes, ..Default::default() };
    ExportTraceServiceRequest { resource_spans: vec![resource] }.encode_to_vec().into()
}

fn opaque(signal: Signal, bytes: usize, items: u64) -> Pending {
    Pending { signal, body: vec![7; bytes].into(), items, snapshot: None }
}

fn snapshot(number: u64) -> Pending {
    Pending { snapshot: Some(SnapshotNumber(number)), ..opaque(Signal::Metrics, 100, 10) }
}

fn push(spool: &mut Spool, pending: Pending, at: u64) -> Vec<Lost> {
    spool.push(vec![pending], None, second(at)).lost
}

#[expect(clippy::disallowed_methods, reason = "the file under test")]
fn bytes_of(path: impl AsRef<Path>) -> Vec<u8> {
    fs::read(path).unwrap()
}

fn lost(signal: Signal, items: u64, reason: DropReason) -> Lost {
    Lost { signal, items, reason }
}

/// The items of all that can still be taken, in line.
fn rest(spool: &mut Spool, signal: Signal, at: u64) -> Vec<u64> {
    std::iter::from_fn(|| spool.take(signal, second(at)).0).map(|taken| taken.items).collect()
}

/// Delivers all that waits; returns the items of each request.
fn deliver_all(spool: &mut Spool, signal: Signal, at: u64) -> Vec<u64> {
    let mut delivered = Vec::new();
    while let (Some(taken), _) = spool.take(signal, second(at)) {
        delivered.push(taken.items);
        assert_eq!(spool.delivered(taken, 0), None);
    }
    delivered
}

fn closes(tally: &Tally) -> bool {
    tally.accepted == tally.delivered + tally.dropped_items() + tally.waiting + tally.in_flight
}

#[test]
fn a_full_spool_drops_the_oldest_of_all_signals() {
    let mut spool = in_memory(Limits { memory_bytes: 3_000, ..LIMITS });
    assert_eq!(push(&mut spool, opaque(Signal::Logs, 1_000, 5), 1), []);
    assert_eq!(push(&mut spool, opaque(Signal::Traces, 1_000, 7), 2), []);
    let losses = push(&mut spool, opaque(Signal::Traces, 1_000, 9), 3);
    assert_eq!(losses, [lost(Signal::Logs, 5, DropReason::QueueFull)]);
    assert_eq!(rest(&mut spool, Signal::Traces, 3), [7, 9]);
}

#[test]
fn what_is_in_flight_takes_room_but_is_not_dropped() {
    let mut spool = in_memory(Limits { memory_bytes: 2_500, ..LIMITS });
    assert_eq!(push(&mut spool, opaque(Signal::Traces, 1_000, 1), 1), []);
    let flying = spool.take(Signal::Traces, second(1)).0.unwrap();
    assert_eq!(push(&mut spool, opaque(Signal::Traces, 1_000, 2), 2), []);
    let losses = push(&mut spool, opaque(Signal::Traces, 1_000, 4), 3);
    assert_eq!(losses, [lost(Signal::Traces, 2, DropReason::QueueFull)]);
    spool.put_back(flying);
    assert_eq!((spool.tally().waiting, spool.tally().in_flight), (5, 0));
}

#[test]
fn a_snapshot_that_makes_room_is_superseded_only_while_a_newer_one_waits() {
    let mut spool = in_memory(Limits { memory_bytes: 500, ..LIMITS });
    assert_eq!(push(&mut spool, snapshot(1), 1), []);
    assert_eq!(push(&mut spool, snapshot(2), 2), []);
    let crowding = push(&mut spool, opaque(Signal::Logs, 300, 1), 3);
    assert_eq!(
        crowding,
        [lost(Signal::Metrics, 10, DropReason::Superseded), lost(Signal::Metrics, 10, DropReason::QueueFull)]
    );
}

#[test]
fn what_waited_too_long_is_expired_and_never_sent() {
    let mut spool = in_memory(LIMITS);
    assert_eq!(push(&mut spool, opaque(Signal::Logs, 10, 4), 1), []);
    assert_eq!(push(&mut spool, opaque(Signal::Logs, 10, 5), 50), []);
    let (taken, losses) = spool.take(Signal::Logs, second(102));
    assert_eq!(losses, [lost(Signal::Logs, 4, DropReason::Expired)]);
    assert_eq!(taken.map(|taken| taken.items), Some(5));
}

#[test]
fn a_large_request_is_cut_on_its_way_in_and_keeps_its_order() {
    let mut spool = in_memory(LIMITS);
    let whole = Pending { body: spans(60), ..opaque(Signal::Traces, 0, 60) };
    assert_eq!(push(&mut spool, whole, 1), []);
    assert_eq!(push(&mut spool, opaque(Signal::Traces, 10, 1), 1), []);
    let parts = rest(&mut spool, Signal::Traces, 1);
    assert!(parts.len() > 3 && parts.last() == Some(&1), "{parts:?}");
    assert_eq!(parts.iter().sum::<u64>(), 61);
}

#[test]
fn each_signal_has_its_own_limit_of_items() {
    let mut spool = in_memory(Limits { request_spans: 4, request_bytes: 1 << 20, memory_bytes: 1 << 20, ..LIMITS });
    assert_eq!(push(&mut spool, Pending { body: spans(16), ..opaque(Signal::Traces, 0, 16) }, 1), []);
    assert_eq!(rest(&mut spool, Signal::Traces, 1), [4, 4, 4, 4]);
}

#[test]
fn halves_of_what_the_destination_finds_too_large_wait_in_its_place() {
    let roomy = Limits { request_bytes: 1 << 20, memory_bytes: 1 << 20, ..LIMITS };
    let mut spool = in_memory(roomy);
    for (count, at) in [(400, 1), (2, 2)] {
        assert_eq!(push(&mut spool, Pending { body: spans(count), ..opaque(Signal::Traces, 0, count as u64) }, at), []);
    }
    let whole = spool.take(Signal::Traces, second(3)).0.unwrap();
    assert_eq!(spool.too_large(whole), None);
    assert_eq!(rest(&mut spool, Signal::Traces, 3), [200, 200, 2]);
    assert!(closes(&spool.tally()));
}

#[test]
fn what_is_small_already_is_lost_where_it_is_too_large() {
    let mut spool = in_memory(LIMITS);
    assert_eq!(push(&mut spool, Pending { body: spans(2), ..opaque(Signal::Traces, 0, 2) }, 1), []);
    let taken = spool.take(Signal::Traces, second(1)).0.unwrap();
    assert_eq!(spool.too_large(taken), Some(lost(Signal::Traces, 2, DropReason::TooLarge)));
}

#[test]
fn the_newest_metrics_go_first_where_that_is_asked_for() {
    let mut spool = Spool::open(Keeping { order: Order::Newest, ..keeping(Place::Memory) });
    for number in 1..=3 {
        assert_eq!(push(&mut spool, opaque(Signal::Metrics, 10, number), number), []);
        assert_eq!(push(&mut spool, opaque(Signal::Traces, 10, number), number), []);
    }
    assert_eq!(rest(&mut spool, Signal::Metrics, 3), [3, 2, 1]);
    assert_eq!(rest(&mut spool, Signal::Traces, 3), [1, 2, 3]);
}

#[test]
fn compressed_requests_come_out_as_they_will_be_sent() {
    for compression in [Compression::Gzip, Compression::Zstd] {
        let mut spool = Spool::open(Keeping { compression, ..keeping(Place::Memory) });
        assert_eq!(push(&mut spool, Pending { body: spans(10), ..opaque(Signal::Traces, 0, 10) }, 1), []);
        let taken = spool.take(Signal::Traces, second(1)).0.unwrap();
        assert_eq!(taken.compression, compression);
        assert!(taken.body.len() < 200, "compressed");
        assert_eq!(compression.unpack(&taken.body).unwrap(), spans(10));
    }
}

#[test]
fn what_waits_and_what_was_counted_survive_the_process() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = on_disk(directory.path());
    for number in 1..=4 {
        let pushed = spool.push(vec![opaque(Signal::Logs, 10, number)], Some(&number.to_le_bytes()), second(number));
        assert!(pushed.is_kept);
    }
    let taken = spool.take(Signal::Logs, second(4)).0.unwrap();
    assert_eq!(spool.delivered(taken, 0), None);
    let flying = spool.take(Signal::Logs, second(4)).0.unwrap();
    assert_eq!(flying.items, 2);
    drop(spool);
    let mut spool = on_disk(directory.path());
    let tally = spool.tally();
    assert_eq!((tally.accepted, tally.delivered, tally.waiting, tally.in_flight), (10, 1, 9, 0));
    assert_eq!(spool.state(), Some(4_u64.to_le_bytes().to_vec()));
    assert_eq!(rest(&mut spool, Signal::Logs, 5), [2, 3, 4], "what was in flight waits again, in its place");
}

#[test]
fn numbers_of_snapshots_go_on_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = on_disk(directory.path());
    assert_eq!(spool.next_snapshot(), SnapshotNumber(1));
    assert_eq!(push(&mut spool, snapshot(7), 1), []);
    drop(spool);
    assert_eq!(on_disk(directory.path()).next_snapshot(), SnapshotNumber(8));
}

#[test]
fn a_request_that_the_disk_has_changed_is_skipped_and_counted() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.db");
    let mut spool = on_disk(directory.path());
    for (byte, items) in [(1, 3), (2, 4), (3, 5)] {
        let body = vec![byte; 900].into();
        assert_eq!(push(&mut spool, Pending { body, ..opaque(Signal::Traces, 0, items) }, 1), []);
    }
    assert_eq!(spool.close(), []);
    let mut bytes = bytes_of(&path);
    let place = bytes.windows(50).position(|window| window == [2; 50]).unwrap();
    bytes[place + 20] ^= 0x10;
    fs::write(&path, bytes).unwrap();
    let mut spool = on_disk(directory.path());
    assert_eq!(spool.take(Signal::Traces, second(2)).0.unwrap().items, 3);
    let (taken, losses) = spool.take(Signal::Traces, second(2));
    assert_eq!(losses, [lost(Signal::Traces, 4, DropReason::Corrupt)]);
    assert_eq!(taken.unwrap().items, 5);
    assert!(closes(&spool.tally()));
}

#[test]
fn a_file_that_is_no_database_any_more_is_set_aside_and_the_work_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.db");
    let mut spool = on_disk(directory.path());
    assert_eq!(push(&mut spool, opaque(Signal::Logs, 10, 4), 1), []);
    drop(spool);
    fs::write(&path, vec![0xa5; 8192]).unwrap();
    let mut spool = Spool::open(keeping(Place::File(path)));
    assert!(spool.trouble().unwrap().contains("a.db.damaged"), "{:?}", spool.trouble());
    assert_eq!(push(&mut spool, opaque(Signal::Logs, 10, 5), 1), []);
    assert_eq!(rest(&mut spool, Signal::Logs, 1), [5]);
}

/// Every page of the file overwritten in turn, while it is closed: what can be read goes on, the rest is counted.
#[test]
fn any_damaged_page_costs_what_was_on_it_and_the_sums_close() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.db");
    let mut spool = on_disk(directory.path());
    for number in 0..8 {
        assert_eq!(push(&mut spool, opaque(Signal::Logs, 900, 10 + number), number), []);
    }
    let taken = spool.take(Signal::Logs, second(9)).0.unwrap();
    assert_eq!(spool.delivered(taken, 0), None);
    assert_eq!(spool.close(), []);
    let whole = bytes_of(&path);
    for page in 1..whole.len() / 4096 {
        let mut bytes = whole.clone();
        bytes[page * 4096..(page + 1) * 4096].fill(0xff);
        fs::write(&path, bytes).unwrap();
        for suffix in ["-wal", ".damaged", ".damaged-wal", ".damaged-shm"] {
            fs::remove_file(format!("{}{suffix}", path.display())).ok();
        }
        let mut spool = Spool::open(keeping(Place::File(path.clone())));
        let read: u64 = rest(&mut spool, Signal::Logs, 9).into_iter().sum();
        let tally = spool.tally();
        assert!(closes(&tally), "page {page}: {tally:?}");
        // What was in flight when the damage was found waits a second time.
        assert!(tally.in_flight <= read, "page {page}: {tally:?}");
        assert!(tally.waiting == 0, "page {page}: {tally:?}");
        assert_eq!(push(&mut spool, opaque(Signal::Logs, 900, 1), 10), [], "page {page}");
    }
}

/// A request whose row cannot be taken out of a damaged file is gone nevertheless.
#[test]
fn no_damaged_page_brings_back_what_was_delivered() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.db");
    let mut spool = on_disk(directory.path());
    for number in 0..12 {
        assert_eq!(push(&mut spool, opaque(Signal::Logs, 9_000, 10 + number), number), []);
    }
    assert_eq!(spool.close(), []);
    let whole = bytes_of(&path);
    let mut found_late = 0;
    for page in 1..whole.len() / 4096 {
        let mut bytes = whole.clone();
        bytes[page * 4096..(page + 1) * 4096].fill(0);
        fs::write(&path, bytes).unwrap();
        for suffix in ["-wal", ".damaged", ".damaged-wal", ".damaged-shm"] {
            fs::remove_file(format!("{}{suffix}", path.display())).ok();
        }
        let mut spool = Spool::open(keeping(Place::File(path.clone())));
        let mut delivered = deliver_all(&mut spool, Signal::Logs, 13);
        found_late += usize::from(spool.tally().accepted == 186 && spool.tally().dropped_items() > 0);
        let tally = spool.tally();
        assert!(closes(&tally) && tally.delivered == delivered.iter().sum::<u64>(), "page {page}: {tally:?}");
        delivered.sort_unstable();
        delivered.dedup();
        assert_eq!(tally.delivered, delivered.iter().sum::<u64>(), "page {page}: something came twice");
    }
    assert!(found_late > 0, "no damage was found while the spool was at work");
}

/// SQLite's maps of its pages are in use, and are no reason to keep a large file: 10 GB have 3,000 of them.
#[test]
fn maps_of_pages_are_not_taken_for_something_that_waits() {
    let connection = rusqlite::Connection::open_in_memory().unwrap();
    connection.execute_batch("PRAGMA auto_vacuum = INCREMENTAL; CREATE TABLE body (bytes BLOB)").unwrap();
    let pages = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
    let used = || in_use(pages("page_count"), pages("freelist_count"));
    let nothing = used();
    assert_eq!(nothing, 2, "the schema and the root of the table");
    for size in [1, 3_000_000, 4_000_000, 30_000_000] {
        connection.execute("INSERT INTO body VALUES (zeroblob(?1))", [size]).unwrap();
        assert!(used() > size / 4096, "{size}");
        connection.execute("DELETE FROM body", []).unwrap();
        assert_eq!(used(), nothing, "{size}");
    }
}

/// A disk of a few pages: `max_page_count` answers as a full disk does.
fn hold(spool: &mut Spool, pending: Pending, at: u64) -> bool {
    match spool.hold(vec![pending], second(at)) {
        Ok(lost) => {
            assert_eq!(lost, []);
            true
        }
        Err(_) => false,
    }
}

#[test]
fn what_is_held_leaves_the_disk_alone_while_its_destination_keeps_up() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = on_disk(directory.path());
    let before = bytes_of(directory.path().join("a.db-wal"));
    for items in 1..=3 {
        assert!(hold(&mut spool, opaque(Signal::Traces, 500, items), 1));
    }
    let (taken, _) = spool.take(Signal::Traces, second(1));
    assert_eq!(spool.delivered(taken.unwrap(), 0), None);
    assert_eq!(spool.take_held(Signal::Logs), Some(None));
    assert_eq!(spool.take_held(Signal::Traces).unwrap().unwrap().items, 2);
    assert!(closes(&spool.tally()) && spool.tally().delivered == 1, "{:?}", spool.tally());
    assert_eq!(bytes_of(directory.path().join("a.db-wal")), before);
}

#[test]
fn what_comes_back_or_waits_too_long_or_is_too_much_goes_to_the_disk_in_its_order() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = on_disk(directory.path());
    for items in 1..=3 {
        assert!(hold(&mut spool, opaque(Signal::Traces, 500, items), 1));
    }
    let (taken, _) = spool.take(Signal::Traces, second(1));
    spool.put_back(taken.unwrap());
    assert!(!hold(&mut spool, opaque(Signal::Traces, 500, 4), 1), "the destination does not keep up");
    assert!(spool.is_due(second(1)));
    assert_eq!(spool.write_held(second(1)), []);
    assert_eq!(spool.fresh.tally(), Tally::default(), "all of it is on disk");
    assert!(hold(&mut spool, opaque(Signal::Traces, 500, 4), 1));
    assert_eq!(spool.take_held(Signal::Traces), None, "what is on disk goes first");
    assert_eq!(deliver_all(&mut spool, Signal::Traces, 1), [1, 2, 3, 4]);
    assert!(hold(&mut spool, opaque(Signal::Traces, 500, 5), 2));
    // What was counted is written down, and what has not waited long goes on waiting.
    assert_eq!(spool.write_held(second(3)), []);
    assert!(!spool.is_due(second(3)) && spool.is_due(second(4)));
    assert_eq!(spool.fresh.tally().waiting, 5);
    assert_eq!(push(&mut spool, opaque(Signal::Traces, 500, 6), 4), []);
    drop(spool);
    let mut spool = on_disk(directory.path());
    assert_eq!(rest(&mut spool, Signal::Traces, 5), [5, 6]);
    while hold(&mut spool, opaque(Signal::Logs, 100_000, 1), 6) {}
    assert!(spool.fresh.bytes() <= ROOMY.disk_bytes / 2);
}

fn fill_up(spool: &mut Spool, pages: u32) {
    spool.on_main(|main| main.limit_pages(pages));
}

#[test]
fn a_full_disk_lets_requests_wait_in_memory_and_loses_none() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = on_disk(directory.path());
    assert_eq!(push(&mut spool, opaque(Signal::Traces, 50_000, 1), 1), []);
    fill_up(&mut spool, 1);
    for items in 2..=4 {
        let pushed = spool.push(vec![opaque(Signal::Traces, 50_000, items)], None, second(2));
        assert_eq!(pushed, Pushed { lost: Vec::new(), is_kept: false });
    }
    assert!(spool.trouble().unwrap().contains("full"), "{:?}", spool.trouble());
    let mut delivered = 0;
    while let (Some(taken), _) = spool.take(Signal::Traces, second(3)) {
        delivered += taken.items;
        assert_eq!(spool.delivered(taken, 0), None);
    }
    assert_eq!(delivered, 10);
    let tally = spool.tally();
    assert!(closes(&tally) && tally.delivered == 10, "{tally:?}");
    fill_up(&mut spool, u32::MAX);
    assert!(spool.push(vec![opaque(Signal::Traces, 50_000, 5)], None, second(4)).is_kept);
    assert_eq!(spool.trouble(), None);
    drop(spool);
    let tally = on_disk(directory.path()).tally();
    assert_eq!((tally.accepted, tally.delivered, tally.waiting), (15, 10, 5), "the sums are on disk again");
}

#[test]
fn what_was_counted_while_the_disk_was_full_is_counted_on_it_afterwards() {
    for is_closed in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let mut spool = on_disk(directory.path());
        assert_eq!(push(&mut spool, opaque(Signal::Traces, 50, 2), 1), []);
        spool.on_main(|main| main.refuse_writes(true));
        assert!(!spool.push(vec![opaque(Signal::Traces, 50, 3)], None, second(2)).is_kept);
        assert_eq!(deliver_all(&mut spool, Signal::Traces, 3), [2, 3]);
        assert!(closes(&spool.tally()) && spool.trouble().is_some(), "{:?}", spool.tally());
        spool.on_main(|main| main.refuse_writes(false));
        if is_closed {
            assert_eq!(spool.close(), []);
        } else {
            assert!(spool.push(vec![opaque(Signal::Traces, 50, 4)], None, second(4)).is_kept);
            assert_eq!(deliver_all(&mut spool, Signal::Traces, 5), [4]);
            assert_eq!(spool.trouble(), None);
            assert!(closes(&spool.tally()) && spool.tally().delivered == 9, "{:?}", spool.tally());
            drop(spool);
        }
        let tally = on_disk(directory.path()).tally();
        let items = if is_closed { 5 } else { 9 };
        assert_eq!((tally.accepted, tally.delivered, tally.waiting), (items, items, 0));
    }
}

/// What could not be written down when it was settled was counted again with the next request.
#[test]
fn what_is_written_down_late_is_counted_once() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = on_disk(directory.path());
    assert_eq!(push(&mut spool, opaque(Signal::Traces, 50, 2), 1), []);
    let (taken, _) = spool.take(Signal::Traces, second(1));
    spool.on_main(|main| main.refuse_writes(true));
    assert_eq!(spool.delivered(taken.unwrap(), 0), None);
    spool.on_main(|main| main.refuse_writes(false));
    assert_eq!(push(&mut spool, opaque(Signal::Traces, 50, 4), 2), []);
    let bytes = spool.bytes();
    let tally = spool.tally();
    assert_eq!((tally.accepted, tally.delivered, tally.waiting), (6, 2, 4));
    drop(spool);
    let spool = on_disk(directory.path());
    assert_eq!((spool.tally(), spool.bytes()), (tally, bytes));
}

#[test]
fn what_waited_in_memory_moves_to_the_disk_at_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = on_disk(directory.path());
    fill_up(&mut spool, 1);
    assert!(!spool.push(vec![opaque(Signal::Traces, 50_000, 3)], Some(b"x"), second(2)).is_kept);
    fill_up(&mut spool, u32::MAX);
    assert_eq!(spool.close(), []);
    let mut spool = on_disk(directory.path());
    assert_eq!(spool.state().as_deref(), Some(&b"x"[..]));
    assert_eq!(rest(&mut spool, Signal::Traces, 3), [3]);
}

#[test]
fn space_is_given_back_when_all_is_delivered() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.db");
    let limits = Limits { disk_bytes: 1 << 30, request_bytes: 1 << 20, ..LIMITS };
    let mut spool = Spool::open(Keeping { limits, ..keeping(Place::File(path.clone())) });
    for number in 0..64 {
        assert_eq!(push(&mut spool, opaque(Signal::Logs, 256 << 10, 1), number), []);
    }
    while let (Some(taken), _) = spool.take(Signal::Logs, second(64)) {
        assert_eq!(spool.delivered(taken, 0), None);
    }
    spool.rest();
    let size = |suffix: &str| bytes_of(format!("{}{suffix}", path.display())).len();
    assert!(size("") < 64 << 10, "{} bytes are left of 16 MiB", size(""));
    assert_eq!(size("-wal"), 0);
    assert!(!bytes_of(&path).windows(32).any(|window| window == [7; 32]), "nothing of it is left");
}

#[derive(Clone, Debug)]
enum Step {
    Hold(Signal, usize, u64),
    WriteHeld,
    Push(Signal, usize, u64, bool),
    PushSpans(usize, u64),
    Take(Signal),
    PutBack,
    Delivered(u64),
    Refused,
    TooLarge,
    Wait(u64),
    FillUp(bool),
    Kill { torn: usize },
}

fn signal() -> impl Strategy<Value = Signal> {
    prop_oneof![Just(Signal::Metrics), Just(Signal::Traces), Just(Signal::Logs)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (signal(), 0..2_500_usize, 0..50_u64, any::<bool>()).prop_map(|(s, b, i, own)| Step::Push(s, b, i, own)),
        2 => (0..60_usize, 0..70_u64).prop_map(|(count, items)| Step::PushSpans(count, items)),
        4 => signal().prop_map(Step::Take),
        1 => Just(Step::PutBack),
        3 => (0..60_u64).prop_map(Step::Delivered),
        1 => Just(Step::Refused),
        2 => Just(Step::TooLarge),
        1 => (0..80_u64).prop_map(Step::Wait),
    ]
}

fn step_with_holding() -> impl Strategy<Value = Step> {
    let hold = (signal(), 0..2_500_usize, 0..50_u64).prop_map(|(s, b, i)| Step::Hold(s, b, i));
    prop_oneof![8 => step(), 8 => hold, 2 => Just(Step::WriteHeld), 1 => any::<bool>().prop_map(Step::FillUp)]
}

fn step_in_memory() -> impl Strategy<Value = Step> {
    prop_oneof![12 => step(), 1 => any::<bool>().prop_map(Step::FillUp)]
}

/// What waits in memory because the disk is full dies with the process, so that a disk here is never full.
fn step_on_disk() -> impl Strategy<Value = Step> {
    let torn = prop_oneof![Just(0), 1..9_000_usize];
    prop_oneof![12 => step(), 2 => torn.prop_map(|torn| Step::Kill { torn })]
}

struct Play {
    spool: Spool,
    flying: Vec<Taken>,
    now: u64,
    number: u64,
}

impl Play {
    fn new(place: Place) -> Self {
        Self { spool: Spool::open(keeping(place)), flying: Vec::new(), now: 0, number: 0 }
    }

    /// Ends as a process ends that is killed: the files stay as they are at this instruction. With the power gone, the
    /// journal has lost its last bytes, too.
    fn kill(&mut self, torn: usize) {
        let keeping = self.spool.keeping.clone();
        let Place::File(path) = &keeping.place else { return };
        let journal = format!("{}-wal", path.display());
        let (file, log) = (bytes_of(path), bytes_of(&journal));
        self.flying.clear();
        // Lets go of the lock. Whatever a proper end does to the files is undone.
        self.spool = Spool::open(Keeping { place: Place::Memory, ..keeping.clone() });
        fs::write(path, file).unwrap();
        fs::write(&journal, &log[..log.len().saturating_sub(torn)]).unwrap();
        self.spool = Spool::open(keeping);
    }

    fn step(&mut self, step: &Step) -> Vec<Lost> {
        let Self { spool, flying, now, number } = self;
        match *step {
            Step::Push(signal, bytes, items, own) => {
                *number += 1;
                let own = own && signal == Signal::Metrics;
                let snapshot = own.then_some(SnapshotNumber(*number / 2));
                push(spool, Pending { snapshot, ..opaque(signal, bytes, items) }, *now)
            }
            Step::Hold(signal, bytes, items) => match spool.hold(vec![opaque(signal, bytes, items)], second(*now)) {
                Ok(lost) => lost,
                Err(requests) => spool.push(requests, None, second(*now)).lost,
            },
            Step::WriteHeld => spool.write_held(second(*now)),
            Step::PushSpans(count, items) => {
                push(spool, Pending { body: spans(count), ..opaque(Signal::Traces, 0, items) }, *now)
            }
            Step::Take(signal) => {
                let (taken, lost) = spool.take(signal, second(*now));
                flying.extend(taken);
                lost
            }
            Step::PutBack => {
                if let Some(taken) = flying.pop() {
                    spool.put_back(taken);
                }
                Vec::new()
            }
            Step::Delivered(rejected) => {
                flying.pop().and_then(|taken| spool.delivered(taken, rejected)).into_iter().collect()
            }
            Step::Refused => {
                flying.pop().and_then(|taken| spool.refused(taken, DropReason::Rejected)).into_iter().collect()
            }
            Step::TooLarge => flying.pop().and_then(|taken| spool.too_large(taken)).into_iter().collect(),
            Step::Wait(seconds) => {
                *now += seconds;
                Vec::new()
            }
            Step::FillUp(full) => {
                if spool.main.is_some() {
                    fill_up(spool, if full { 1 } else { u32::MAX });
                }
                Vec::new()
            }
            Step::Kill { torn } => {
                self.kill(torn);
                Vec::new()
            }
        }
    }
}

proptest! {
    #[test]
    fn every_item_is_delivered_lost_or_still_there(script in prop::collection::vec(step_in_memory(), 1..80)) {
        let mut play = Play::new(Place::Memory);
        let mut reported = 0_u64;
        for step in script {
            let losses = play.step(&step);
            prop_assert!(losses.iter().all(|loss| loss.items > 0));
            reported += losses.iter().map(|loss| loss.items).sum::<u64>();
            let tally = play.spool.tally();
            prop_assert!(closes(&tally), "{tally:?}");
            prop_assert_eq!(tally.dropped_items(), reported);
            let flying_items: u64 = play.flying.iter().map(|taken| taken.items).sum();
            prop_assert_eq!(tally.in_flight, flying_items);
            let flying_bytes: u64 = play.flying.iter().map(|taken| taken.cost).sum();
            let stores = if play.spool.spare.is_some() { 2 } else { 1 };
            prop_assert!(play.spool.bytes() <= stores * LIMITS.disk_bytes.max(flying_bytes));
        }
    }

    /// Whether a request is held in memory first or goes to the disk at once makes no difference to the sums.
    #[test]
    fn what_is_held_is_delivered_lost_or_still_there(
        script in prop::collection::vec(step_with_holding(), 1..80),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let mut play = Play::new(Place::File(directory.path().join("a.db")));
        let mut reported = 0_u64;
        for step in script {
            reported += play.step(&step).iter().map(|loss| loss.items).sum::<u64>();
            let tally = play.spool.tally();
            prop_assert!(closes(&tally), "{tally:?}");
            prop_assert_eq!(tally.dropped_items(), reported);
            let flying_items: u64 = play.flying.iter().map(|taken| taken.items).sum();
            prop_assert_eq!(tally.in_flight, flying_items);
        }
        for taken in play.flying.drain(..) {
            play.spool.put_back(taken);
        }
        fill_up(&mut play.spool, u32::MAX);
        let before = play.spool.tally();
        let lost: u64 = play.spool.close().iter().map(|loss| loss.items).sum();
        let after = Spool::open(keeping(Place::File(directory.path().join("a.db")))).tally();
        prop_assert_eq!((after.accepted, after.delivered), (before.accepted, before.delivered));
        prop_assert_eq!(after.waiting, before.waiting - lost);
        prop_assert!(closes(&after), "{after:?}");
    }

    /// The process ends after any step, and the file loses the end of its journal as it may when the power goes. What
    /// is there afterwards is what was there after some step before, whole.
    #[test]
    fn a_spool_on_disk_is_whole_after_every_end(script in prop::collection::vec(step_on_disk(), 1..60)) {
        let directory = tempfile::tempdir().unwrap();
        let mut play = Play::new(Place::File(directory.path().join("a.db")));
        let mut history = vec![(0, 0)];
        let known = |tally: &Tally| (tally.accepted, tally.delivered + tally.dropped_items());
        for step in script {
            let is_end = matches!(step, Step::Kill { .. });
            play.step(&step);
            let tally = play.spool.tally();
            prop_assert!(closes(&tally), "{tally:?}");
            if is_end {
                prop_assert_eq!(play.spool.trouble(), None);
                prop_assert!(history.contains(&known(&tally)), "{tally:?} was never true");
            }
            history.push(known(&tally));
        }
    }
}
