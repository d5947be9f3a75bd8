//! The books over time: what every series came to in each minute, hour and day.
//!
//! Amounts are integers in millionths or milliardths of the metric's unit, see [`scale`], so that sums over rows are
//! exact. A commit brings the totals of all series since their beginning; what is booked is how much each has grown.
//! Each amount is booked into its minute, its hour and its day in one transaction, so that the three always agree.
//!
//! With the totals a commit brings the state of whoever keeps them, in the same transaction: an agent that is killed at
//! any instruction goes on from the very totals that the books have.

mod reader;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};

pub use self::reader::{Amount, Evidence, Period, Reader};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use wattline_core::{Seconds, Timestamp};

use crate::store::{self, Durability, Opened, Place, Schema, StoreError};

/// The database of the books.
pub const SCHEMA: Schema = Schema {
    // "wled"
    application: 0x776c_6564,
    steps: &["
        CREATE TABLE series (
            id INTEGER PRIMARY KEY, metric TEXT NOT NULL, labels TEXT NOT NULL, UNIQUE (metric, labels)
        ) STRICT;
        CREATE TABLE total (series INTEGER PRIMARY KEY, start INTEGER NOT NULL, amount INTEGER NOT NULL) STRICT;
        CREATE TABLE book (
            span INTEGER NOT NULL, at INTEGER NOT NULL, series INTEGER NOT NULL, amount INTEGER NOT NULL,
            PRIMARY KEY (span, at, series)
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE evidence (
            at INTEGER NOT NULL, series INTEGER NOT NULL, count INTEGER NOT NULL, sum REAL NOT NULL,
            least REAL NOT NULL, most REAL NOT NULL, PRIMARY KEY (at, series)
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE state (name TEXT PRIMARY KEY, at INTEGER NOT NULL, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
    "],
    shared: true,
    secret: false,
};

/// The parts of time that amounts are booked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Span {
    /// Kept for two days.
    Minute,
    /// Kept for a quarter of a year.
    Hour,
    /// Kept for ten years.
    Day,
}

impl Span {
    /// All, the shortest first.
    pub const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    /// Its length in seconds.
    pub const fn seconds(self) -> u64 {
        match self {
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }

    /// How long its rows are kept.
    pub const fn kept(self) -> Seconds {
        Seconds::new(match self {
            Self::Minute => 2.0 * 86_400.0,
            Self::Hour => 92.0 * 86_400.0,
            Self::Day => 3_653.0 * 86_400.0,
        })
    }

    /// The first second of the part that `at` is in. Days are those of UTC.
    pub const fn begin(self, at: Timestamp) -> u64 {
        at.unix_seconds() / self.seconds() * self.seconds()
    }
}

/// Evidence is kept for so long.
const EVIDENCE_KEPT: Seconds = Seconds::new(30.0 * 86_400.0);

/// How many of the smallest amounts booked make one of the metric's unit: millionths, and milliardths of grams and
/// dollars, as the integer books have them.
pub fn scale(unit: &str) -> f64 {
    match unit {
        "g" | "{USD}" => 1e9,
        _ => 1e6,
    }
}

/// What tells a series from others: its metric, and its labels as a JSON object with sorted keys.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series {
    /// The metric.
    pub metric: String,
    /// The labels.
    pub labels: String,
}

/// A sum since its beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Total {
    /// Of what.
    pub series: Series,
    /// From when it counts.
    pub start: Timestamp,
    /// How much, in the smallest amounts booked.
    pub amount: u64,
}

/// A value of now, to be kept as the mean, least and most of its hour.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// Of what.
    pub series: Series,
    /// The value. One that is not finite is left out.
    pub value: f64,
}

/// What is written at once.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// When the totals stood so.
    pub at: Timestamp,
    /// The totals, or none where only the state is kept.
    pub totals: Vec<Total>,
    /// Whether these are all totals that there are: a series that is not among them has ended.
    pub is_whole: bool,
    /// What was observed since the last commit.
    pub observations: Vec<Observation>,
    /// Named states, replaced as a whole.
    pub states: Vec<(&'static str, Vec<u8>)>,
}

/// The books, open for writing. One process at a time.
#[derive(Debug)]
pub struct Ledger {
    connection: Connection,
    path: PathBuf,
    bytes_max: u64,
    /// Numbers of the series that were seen since the start.
    numbers: BTreeMap<Series, i64>,
    /// The hour in which rows that are too old were last looked for.
    swept: u64,
    damaged: Option<PathBuf>,
    /// Held until the end. Readers do not ask for it.
    _lock: File,
}

impl Ledger {
    /// Opens the books, which may grow to about `bytes_max`.
    pub fn open(path: &Path, bytes_max: u64) -> Result<Self, StoreError> {
        let lock = store::lock(path)?;
        let Opened { connection, damaged } = store::open(&Place::File(path.to_owned()), &SCHEMA, Durability::Process)?;
        let (path, numbers) = (path.to_owned(), BTreeMap::new());
        Ok(Self { connection, path, bytes_max, numbers, swept: 0, damaged, _lock: lock })
    }

    /// The damaged file that stood here and was set aside.
    pub fn damaged(&self) -> Option<&Path> {
        self.damaged.as_deref()
    }

    /// A state as it was last committed, and when that was.
    pub fn state(&self, name: &str) -> Result<Option<(Timestamp, Vec<u8>)>, StoreError> {
        let query = "SELECT at, value FROM state WHERE name = ?";
        let found = self.connection.query_row(query, [name], |row| {
            Ok((Timestamp::from_unix_nanos(row.get::<_, i64>(0)?.unsigned_abs()), row.get(1)?))
        });
        found.optional().map_err(|source| self.failed(source))
    }

    /// Writes all of a commit or nothing.
    pub fn commit(&mut self, commit: &Commit) -> Result<(), StoreError> {
        self.try_commit(commit).map_err(|source| {
            // The numbers may be those of rows that were rolled back.
            self.numbers.clear();
            self.failed(source)
        })
    }

    fn try_commit(&mut self, commit: &Commit) -> rusqlite::Result<()> {
        let Commit { at, totals, is_whole, observations, states } = commit;
        let transaction = self.connection.unchecked_transaction()?;
        let mut numbers = std::mem::take(&mut self.numbers);
        for total in totals {
            let series = number(&transaction, &mut numbers, &total.series)?;
            grow(&transaction, series, total, *at)?;
        }
        for Observation { series, value } in observations.iter().filter(|observation| observation.value.is_finite()) {
            let series = number(&transaction, &mut numbers, series)?;
            observe(&transaction, series, *value, *at)?;
        }
        for (name, value) in states {
            let mut statement = transaction.prepare_cached("INSERT OR REPLACE INTO state VALUES (?, ?, ?)")?;
            statement.execute(params![name, signed(at.unix_nanos()), value])?;
        }
        let hour = Span::Hour.begin(*at);
        let is_due = hour != self.swept && *is_whole;
        if is_due {
            forget_ended(&transaction, totals, &numbers)?;
            sweep(&transaction, *at, self.bytes_max)?;
            numbers.clear();
        }
        transaction.commit()?;
        self.numbers = numbers;
        if is_due {
            self.swept = hour;
            self.connection.execute_batch("PRAGMA incremental_vacuum(256)")?;
        }
        Ok(())
    }

    fn failed(&self, source: rusqlite::Error) -> StoreError {
        StoreError::Failed { path: self.path.clone(), source }
    }
}

/// Forgets the totals of series that are told no more. Should one come back, it counts from another start.
fn forget_ended(
    transaction: &Transaction<'_>,
    totals: &[Total],
    numbers: &BTreeMap<Series, i64>,
) -> rusqlite::Result<()> {
    let told: BTreeSet<i64> = totals.iter().filter_map(|total| numbers.get(&total.series).copied()).collect();
    let mut statement = transaction.prepare("SELECT series FROM total")?;
    let known: Vec<i64> = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    for ended in known.iter().filter(|series| !told.contains(series)) {
        transaction.prepare_cached("DELETE FROM total WHERE series = ?")?.execute([ended])?;
    }
    Ok(())
}

/// The number of a series, which is given to it when it is first seen.
fn number(
    transaction: &Transaction<'_>,
    numbers: &mut BTreeMap<Series, i64>,
    series: &Series,
) -> rusqlite::Result<i64> {
    if let Some(number) = numbers.get(series) {
        return Ok(*number);
    }
    let Series { metric, labels } = series;
    transaction
        .prepare_cached("INSERT OR IGNORE INTO series (metric, labels) VALUES (?, ?)")?
        .execute([metric, labels])?;
    let number = transaction
        .prepare_cached("SELECT id FROM series WHERE metric = ? AND labels = ?")?
        .query_row([metric, labels], |row| row.get(0))?;
    numbers.insert(series.clone(), number);
    Ok(number)
}

/// Books by how much a series has grown. A series that counts from another start, or that is less than it was, has
/// begun anew: all of it is new.
fn grow(transaction: &Transaction<'_>, series: i64, total: &Total, at: Timestamp) -> rusqlite::Result<()> {
    let start = signed(total.start.unix_nanos());
    let amount = signed(total.amount);
    let before: Option<(i64, i64)> = transaction
        .prepare_cached("SELECT start, amount FROM total WHERE series = ?")?
        .query_row([series], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let grown = match before {
        Some((began, before)) if began == start && amount >= before => amount - before,
        _ => amount,
    };
    if before != Some((start, amount)) {
        transaction
            .prepare_cached("INSERT OR REPLACE INTO total VALUES (?, ?, ?)")?
            .execute(params![series, start, amount])?;
    }
    if grown > 0 {
        let mut statement = transaction.prepare_cached(
            "INSERT INTO book VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET amount = amount + excluded.amount",
        )?;
        for span in Span::ALL {
            statement.execute(params![signed(span.seconds()), signed(span.begin(at)), series, grown])?;
        }
    }
    Ok(())
}

fn observe(transaction: &Transaction<'_>, series: i64, value: f64, at: Timestamp) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare_cached(
        "INSERT INTO evidence VALUES (?1, ?2, 1, ?3, ?3, ?3) ON CONFLICT DO UPDATE SET count = count + 1,
         sum = sum + excluded.sum, least = min(least, excluded.least), most = max(most, excluded.most)",
    )?;
    statement.execute(params![signed(Span::Hour.begin(at)), series, value]).map(drop)
}

/// Lets go of rows that are too old, and of more where the file is too large: minutes first, then evidence, then
/// hours. Days stay: ten years of a thousand series are less than a hundred megabytes.
fn sweep(transaction: &Transaction<'_>, now: Timestamp, bytes_max: u64) -> rusqlite::Result<()> {
    let before = |age: Seconds| signed(now.back(age).unix_seconds());
    for span in Span::ALL {
        transaction.execute(
            "DELETE FROM book WHERE span = ? AND at < ?",
            params![signed(span.seconds()), before(span.kept())],
        )?;
    }
    transaction.execute("DELETE FROM evidence WHERE at < ?", [before(EVIDENCE_KEPT)])?;
    let of_span = |span: Span| format!("book WHERE span = {}", span.seconds());
    for rows in [of_span(Span::Minute), "evidence WHERE true".to_owned(), of_span(Span::Hour)] {
        while used(transaction)? > bytes_max {
            // A tenth of what is left, the oldest.
            let (first, last): (Option<i64>, Option<i64>) =
                transaction.query_row(&format!("SELECT min(at), max(at) FROM {rows}"), [], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })?;
            let (Some(first), Some(last)) = (first, last) else { break };
            let until = first.saturating_add((last - first) / 10);
            transaction.execute(&format!("DELETE FROM {rows} AND at <= ?"), [until])?;
        }
    }
    transaction.execute(
        "DELETE FROM series WHERE id NOT IN (SELECT series FROM book UNION SELECT series FROM evidence
         UNION SELECT series FROM total)",
        [],
    )?;
    Ok(())
}

/// Bytes of the pages that hold something.
fn used(connection: &Connection) -> rusqlite::Result<u64> {
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let pages = pragma("page_count")? - pragma("freelist_count")?;
    Ok((pages * pragma("page_size")?).unsigned_abs())
}

/// SQLite's integers have a sign.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
