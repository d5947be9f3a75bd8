//! Figures that a table has by year, and the one of them that stands for the year asked for.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::table::Table;

/// The year in which the tables were put together: who asks for no year means now.
pub(super) const THIS_YEAR: u16 = 2026;

/// A figure that averages over one year.
pub(super) trait Yearly {
    fn year(&self) -> u16;

    /// How many years the figure lies from the one asked for.
    fn years_from(&self, asked: Option<u16>) -> f64 {
        f64::from(asked.unwrap_or(THIS_YEAR).abs_diff(self.year()))
    }
}

/// The figure of the year asked for, else of the nearest year, else of the later of two as near.
pub(super) fn nearest<'a, R: Yearly>(rows: impl IntoIterator<Item = &'a R>, asked: Option<u16>) -> Option<&'a R> {
    let asked = asked.unwrap_or(THIS_YEAR);
    rows.into_iter().min_by_key(|row| (asked.abs_diff(row.year()), Reverse(row.year())))
}

/// One figure of one place and year.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) value: f64,
    pub(super) year: u16,
    pub(super) source: &'static str,
}

impl Row {
    /// A row whose figure is a positive number; the tests of each table hold that there is no other.
    pub(super) fn parse(value: &str, year: &str, source: &'static str) -> Option<Self> {
        let value: f64 = value.parse().ok()?;
        (value.is_finite() && value > 0.0).then_some(Self { value, year: year.parse().ok()?, source })
    }
}

impl Yearly for Row {
    fn year(&self) -> u16 {
        self.year
    }
}

/// Rows by place, each place with the years it has.
#[derive(Debug, Default)]
pub(super) struct Series(BTreeMap<&'static str, Vec<Row>>);

impl Series {
    /// From tables with the columns place, figure, year, source and licence.
    pub(super) fn parse(tables: impl IntoIterator<Item = Table>) -> Self {
        let mut series = Self::default();
        for [place, value, year, source, _licence] in tables.into_iter().flat_map(Table::rows) {
            series.add(place, Row::parse(value, year, source));
        }
        series
    }

    pub(super) fn add(&mut self, place: &'static str, row: Option<Row>) {
        self.0.entry(place).or_default().extend(row);
    }

    /// The place as the table spells it, and its row nearest the year.
    pub(super) fn get(&self, place: &str, asked: Option<u16>) -> Option<(&'static str, Row)> {
        let (place, rows) = self.0.get_key_value(place)?;
        nearest(rows, asked).map(|row| (*place, *row))
    }

    pub(super) fn places(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }

    #[cfg(test)]
    pub(super) fn rows(&self) -> impl Iterator<Item = (&'static str, Row)> {
        self.0.iter().flat_map(|(place, rows)| rows.iter().map(|row| (*place, *row)))
    }
}
