use std::fs;

use proptest::prelude::*;

use super::*;

/// 2026-11-28 12:00:00 UTC, and so many seconds.
fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix_nanos((1_795_867_200 + seconds) * 1_000_000_000)
}

#[expect(clippy::disallowed_methods, reason = "the file under test")]
fn bytes_of(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap()
}

fn series(name: &str) -> Series {
    Series { metric: "workload.energy".to_owned(), labels: format!("{{\"systemd.unit\":\"{name}\"}}") }
}

fn total(name: &str, start: u64, amount: u64) -> Total {
    Total { series: series(name), start: at(start), amount }
}

fn commit(ledger: &mut Ledger, seconds: u64, totals: Vec<Total>) {
    let states = vec![("books", seconds.to_string().into_bytes())];
    ledger.commit(&Commit { at: at(seconds), totals, is_whole: true, states, ..Commit::default() }).unwrap();
}

fn open(directory: &tempfile::TempDir) -> Ledger {
    Ledger::open(&directory.path().join("ledger.db"), 1 << 30).unwrap()
}

fn reader(directory: &tempfile::TempDir) -> Reader {
    Reader::open(&directory.path().join("ledger.db")).unwrap()
}

/// The sum of all series in a period.
fn sum(reader: &Reader, span: Span, since: u64, until: u64) -> u64 {
    let period = Period { span, since: at(since), until: at(until) };
    reader.amounts("workload.energy", period).unwrap().iter().map(|amount| amount.amount).sum()
}

#[test]
fn what_a_series_grew_by_stands_in_its_minute_its_hour_and_its_day() {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = open(&directory);
    for (seconds, amount) in [(10, 5), (70, 12), (3_700, 100)] {
        commit(&mut ledger, seconds, vec![total("a", 0, amount)]);
    }
    let reader = reader(&directory);
    assert_eq!(
        [(0, 60), (60, 120), (120, 3_660), (3_660, 3_720)].map(|(since, until)| sum(
            &reader,
            Span::Minute,
            since,
            until
        )),
        [5, 7, 0, 88]
    );
    assert_eq!([sum(&reader, Span::Hour, 0, 3_600), sum(&reader, Span::Hour, 3_600, 7_200)], [12, 88]);
    assert_eq!(sum(&reader, Span::Day, 0, 43_200), 0, "days begin at midnight");
    let midnight = Period { span: Span::Day, since: at(0).back(Seconds::new(43_200.0)), until: at(43_200) };
    assert_eq!(reader.amounts("workload.energy", midnight).unwrap()[0].amount, 100);
    assert_eq!(reader.totals().unwrap(), [total("a", 0, 100)]);
    assert_eq!(reader.covers(Span::Minute).unwrap().map(|(_, last)| last), Some(at(3_700)));
}

#[test]
fn two_agents_do_not_write_into_one_ledger() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(&directory);
    let path = directory.path().join("ledger.db");
    assert!(matches!(Ledger::open(&path, 1 << 30), Err(StoreError::InUse { .. })));
    drop(first);
    assert!(Ledger::open(&path, 1 << 30).is_ok());
}

#[test]
fn a_series_that_begins_anew_is_new_as_a_whole() {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = open(&directory);
    commit(&mut ledger, 10, vec![total("a", 0, 50)]);
    commit(&mut ledger, 20, vec![total("a", 15, 60)]);
    commit(&mut ledger, 30, vec![total("a", 15, 8)]);
    assert_eq!(sum(&reader(&directory), Span::Minute, 0, 60), 50 + 60 + 8);
}

#[test]
fn totals_and_states_go_on_in_the_next_process() {
    let directory = tempfile::tempdir().unwrap();
    commit(&mut open(&directory), 10, vec![total("a", 0, 50)]);
    let mut ledger = open(&directory);
    assert_eq!(ledger.state("books").unwrap(), Some((at(10), b"10".to_vec())));
    assert_eq!(ledger.state("other").unwrap(), None);
    commit(&mut ledger, 70, vec![total("a", 0, 54)]);
    assert_eq!(sum(&reader(&directory), Span::Minute, 60, 120), 4);
}

#[test]
fn a_series_that_is_not_told_yet_has_not_ended() {
    let directory = tempfile::tempdir().unwrap();
    commit(&mut open(&directory), 10, vec![total("a", 0, 50), total("b", 0, 7)]);
    let mut ledger = open(&directory);
    ledger.commit(&Commit { at: at(20), totals: vec![total("b", 0, 8)], ..Commit::default() }).unwrap();
    commit(&mut ledger, 30, vec![total("a", 0, 52), total("b", 0, 8)]);
    assert_eq!(sum(&reader(&directory), Span::Hour, 0, 3_600), 52 + 8);
}

#[test]
fn a_commit_that_fails_leaves_nothing_and_the_next_one_catches_up() {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = open(&directory);
    commit(&mut ledger, 10, vec![total("a", 0, 50)]);
    ledger
        .connection
        .execute_batch("CREATE TRIGGER full BEFORE INSERT ON state BEGIN SELECT raise(FAIL, 'full'); END")
        .unwrap();
    let states = vec![("books", Vec::new())];
    let failing =
        Commit { at: at(70), totals: vec![total("a", 0, 60), total("b", 60, 7)], states, ..Commit::default() };
    let error = ledger.commit(&failing).unwrap_err().to_string();
    assert!(error.contains("ledger.db") && error.contains("full"), "{error}");
    assert_eq!(sum(&reader(&directory), Span::Hour, 0, 3_600), 50);
    ledger.connection.execute_batch("DROP TRIGGER full").unwrap();
    commit(&mut ledger, 80, vec![total("a", 0, 61), total("b", 60, 9)]);
    assert_eq!(sum(&reader(&directory), Span::Hour, 0, 3_600), 61 + 9);
}

#[test]
fn old_minutes_go_and_their_hours_stay() {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = open(&directory);
    commit(&mut ledger, 10, vec![total("a", 0, 5)]);
    let three_days = 3 * 86_400;
    commit(&mut ledger, three_days, vec![total("a", 0, 6)]);
    let reader = reader(&directory);
    assert_eq!(sum(&reader, Span::Minute, 0, 60), 0);
    assert_eq!(sum(&reader, Span::Hour, 0, 3_600), 5);
    let span = |days: u64| Period::covering(at(0), at(days * 86_400), at(days * 86_400)).span;
    assert_eq!([span(1), span(3), span(200)], [Span::Minute, Span::Hour, Span::Day]);
}

#[test]
fn totals_of_series_that_ended_are_forgotten_and_what_was_booked_stays() {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = open(&directory);
    commit(&mut ledger, 10, vec![total("a", 0, 5), total("b", 0, 7)]);
    commit(&mut ledger, 3_700, vec![total("b", 0, 8)]);
    let reader = reader(&directory);
    assert_eq!(reader.totals().unwrap(), [total("b", 0, 8)]);
    assert_eq!(sum(&reader, Span::Hour, 0, 7_200), 13);
}

#[test]
fn books_that_grow_too_large_let_go_of_their_oldest_minutes_first() {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(&directory.path().join("ledger.db"), 200 << 10).unwrap();
    for minute in 0..240 {
        let totals = (0..100).map(|unit| total(&format!("unit-{unit}.service"), 0, minute * 1000 + 1)).collect();
        commit(&mut ledger, minute * 60, totals);
    }
    let reader = reader(&directory);
    assert!(used(&ledger.connection).unwrap() < 500 << 10, "{}", used(&ledger.connection).unwrap());
    assert_eq!(sum(&reader, Span::Minute, 0, 60), 0);
    assert!(sum(&reader, Span::Minute, 239 * 60, 240 * 60) > 0);
    assert_eq!(sum(&reader, Span::Hour, 0, 14_400), 100 * (239 * 1000 + 1));
}

#[test]
fn evidence_is_the_mean_the_least_and_the_most_of_its_hour() {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = open(&directory);
    let observed = |value| Observation { series: series("a"), value };
    for (seconds, value) in [(10, 0.5), (20, 0.1), (30, 0.9), (40, f64::NAN)] {
        let observations = vec![observed(value)];
        ledger.commit(&Commit { at: at(seconds), observations, ..Commit::default() }).unwrap();
    }
    let period = Period { span: Span::Hour, since: at(0), until: at(60) };
    let evidence = reader(&directory).evidence("workload.energy", period).unwrap();
    let [Evidence { count: 3, mean, least, most, .. }] = evidence.as_slice() else { panic!("{evidence:?}") };
    assert!((mean - 0.5).abs() < 1e-12 && (*least, *most) == (0.1, 0.9), "{evidence:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// Over any growth, restarts, resets and kills that cost the end of the journal: the books hold what the totals
    /// came to, and minutes, hours and days agree.
    #[test]
    fn the_books_hold_what_the_totals_came_to(steps in prop::collection::vec(
        (1u64..2_000, prop::collection::vec((0usize..4, 0u64..1_000_000_000_000), 0..4), 0u8..8), 1..30)) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ledger.db");
        let journal = directory.path().join("ledger.db-wal");
        let mut ledger = open(&directory);
        let mut totals = [0u64; 4].map(|_| (0u64, 0u64));
        let (mut seconds, mut expected) = (1, 0u64);
        for (pause, growth, end) in steps {
            seconds += pause;
            for (index, amount) in growth {
                totals[index].1 += amount;
                expected += amount;
            }
            let told = totals.iter().enumerate().map(|(index, (start, amount))| total(&index.to_string(), *start, *amount));
            commit(&mut ledger, seconds, told.collect());
            match end {
                // Killed: the files stay as they are.
                0 => {
                    let (file, log) = (bytes_of(&path), bytes_of(&journal));
                    drop(ledger);
                    fs::write(&path, file).unwrap();
                    fs::write(&journal, log).unwrap();
                    ledger = open(&directory);
                }
                // Killed before a commit that would have said more: what is told next begins anew.
                1 => totals[0] = (seconds, 0),
                _ => {}
            }
        }
        let reader = reader(&directory);
        let all = |span| -> u64 {
            let period = Period { span, since: Timestamp::default(), until: at(10_000_000) };
            reader.amounts("workload.energy", period).unwrap().iter().map(|amount| amount.amount).sum()
        };
        prop_assert_eq!(Span::ALL.map(all), [expected; 3]);
    }
}
