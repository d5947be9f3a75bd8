//! Reads the books while the agent goes on writing.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, Row, params};
use wattline_core::{Seconds, Timestamp};

use super::{SCHEMA, Series, Span, Total, signed};
use crate::store::{self, StoreError};

/// The books, open for reading.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
    path: PathBuf,
}

/// Whole parts of time, from the first second of one to the last of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// What the parts are.
    pub span: Span,
    /// The first second.
    pub since: Timestamp,
    /// The first second after it.
    pub until: Timestamp,
}

impl Period {
    /// The parts that hold everything from `since` to `until`, as fine as they are still kept at `now`.
    pub fn covering(since: Timestamp, until: Timestamp, now: Timestamp) -> Self {
        let is_kept = |span: &Span| now.since(since) <= span.kept();
        let span = Span::ALL.into_iter().find(is_kept).unwrap_or(Span::Day);
        let second = |seconds: u64| Timestamp::from_unix_nanos(seconds.saturating_mul(1_000_000_000));
        let end = span.begin(until);
        let end = if second(end) < until { end.saturating_add(span.seconds()) } else { end };
        Self { span, since: second(span.begin(since)), until: second(end) }
    }
}

impl Period {
    /// Its parts by the days of UTC that they are in.
    pub fn days(self) -> Vec<Self> {
        let second = |seconds: u64| Timestamp::from_unix_nanos(seconds.saturating_mul(1_000_000_000));
        let mut parts = Vec::new();
        let mut since = self.since;
        while since < self.until {
            let next = second(Span::Day.begin(since).saturating_add(Span::Day.seconds()));
            let until = next.min(self.until);
            parts.push(Self { since, until, ..self });
            if until <= since {
                break;
            }
            since = until;
        }
        parts
    }
}

/// What a series came to in a period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amount {
    /// The series.
    pub series: Series,
    /// How much, in the smallest amounts booked.
    pub amount: u64,
}

/// What was observed of a series in a period.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// The series.
    pub series: Series,
    /// How often it was observed.
    pub count: u64,
    /// The mean, the least and the most.
    pub mean: f64,
    /// The least.
    pub least: f64,
    /// The most.
    pub most: f64,
}

impl Reader {
    /// Opens the books at `path`.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Ok(Self { connection: store::open_to_read(path, &SCHEMA)?, path: path.to_owned() })
    }

    /// What every series of `metric` came to in `period`, those that came to nothing left out.
    pub fn amounts(&self, metric: &str, period: Period) -> Result<Vec<Amount>, StoreError> {
        let Period { span, since, until } = period;
        let query = "SELECT metric, labels, sum(amount) FROM book JOIN series ON series.id = book.series
                     WHERE metric = ? AND span = ? AND at >= ? AND at < ? GROUP BY series.id ORDER BY labels";
        let seconds = |at: Timestamp| signed(at.unix_seconds());
        let values = params![metric, signed(span.seconds()), seconds(since), seconds(until)];
        self.rows(query, values, |row| Ok(Amount { series: series(row)?, amount: whole(row, 2)? }))
    }

    /// What was observed in the hours that `period` touches.
    pub fn evidence(&self, metric: &str, period: Period) -> Result<Vec<Evidence>, StoreError> {
        let query = "SELECT metric, labels, sum(count), sum(sum) / sum(count), min(least), max(most)
                     FROM evidence JOIN series ON series.id = evidence.series
                     WHERE metric = ? AND at >= ? AND at < ? GROUP BY series.id ORDER BY labels";
        let (since, until) = (signed(Span::Hour.begin(period.since)), signed(period.until.unix_seconds()));
        self.rows(query, params![metric, since, until], |row| {
            let (mean, least, most) = (row.get(3)?, row.get(4)?, row.get(5)?);
            Ok(Evidence { series: series(row)?, count: whole(row, 2)?, mean, least, most })
        })
    }

    /// The totals of all series as of the last commit that brought any.
    pub fn totals(&self) -> Result<Vec<Total>, StoreError> {
        let query = "SELECT metric, labels, start, amount FROM total JOIN series ON series.id = total.series
                     ORDER BY metric, labels";
        self.rows(query, [], |row| {
            let start = Timestamp::from_unix_nanos(whole(row, 2)?);
            Ok(Total { series: series(row)?, start, amount: whole(row, 3)? })
        })
    }

    /// The first second of the first part of time that anything is booked in, and the last commit.
    pub fn covers(&self, span: Span) -> Result<Option<(Timestamp, Timestamp)>, StoreError> {
        let query = "SELECT (SELECT min(at) FROM book WHERE span = ?), (SELECT max(at) FROM state)";
        let found = self.rows(query, [signed(span.seconds())], |row| {
            let (first, last): (Option<i64>, Option<i64>) = (row.get(0)?, row.get(1)?);
            Ok(first.zip(last).map(|(first, last)| (first.unsigned_abs(), last.unsigned_abs())))
        })?;
        let moments = |(first, last): (u64, u64)| {
            (Timestamp::default().ahead(Seconds::new(first as f64)), Timestamp::from_unix_nanos(last))
        };
        Ok(found.into_iter().flatten().next().map(moments))
    }

    fn rows<T>(
        &self,
        query: &str,
        values: impl rusqlite::Params,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let rows = || -> rusqlite::Result<Vec<T>> {
            self.connection.prepare(query)?.query_map(values, |row| read(row))?.collect()
        };
        rows().map_err(|source| StoreError::Failed { path: self.path.clone(), source })
    }
}

fn series(row: &Row<'_>) -> rusqlite::Result<Series> {
    Ok(Series { metric: row.get(0)?, labels: row.get(1)? })
}

fn whole(row: &Row<'_>, index: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(index).map(i64::unsigned_abs)
}
