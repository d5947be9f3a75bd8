//! The data tables inside the program: comma-separated, with a commented head that states version and attribution.
//!
//! No field holds a comma or a quote; the script that builds the tables refuses to write one.

/// A table as it was embedded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Table {
    text: &'static str,
}

impl Table {
    /// A table in its embedded text.
    pub(crate) const fn new(text: &'static str) -> Self {
        Self { text }
    }

    /// A line of the commented head: `# key: value`.
    pub(crate) fn head(self, key: &str) -> Option<&'static str> {
        self.text
            .lines()
            .filter_map(|line| line.strip_prefix("# "))
            .filter_map(|line| line.split_once(": "))
            .find(|(name, _)| *name == key)
            .map(|(_, value)| value)
    }

    /// The rows below the line of column names. A row with another number of fields is passed over; the tests of
    /// each table hold that there is none.
    pub(crate) fn rows<const N: usize>(self) -> impl Iterator<Item = [&'static str; N]> {
        self.lines().skip(1).filter_map(|line| {
            let fields: Vec<&'static str> = line.split(',').collect();
            <[&'static str; N]>::try_from(fields).ok()
        })
    }

    /// The fields of one column, by its name; none for a column that the table has not.
    pub(crate) fn column(self, name: &str) -> impl Iterator<Item = &'static str> {
        let at = self.lines().next().and_then(|names| names.split(',').position(|found| found == name));
        self.lines().skip(1).filter_map(move |line| line.split(',').nth(at?))
    }

    fn lines(self) -> impl Iterator<Item = &'static str> {
        self.text.lines().filter(|line| !line.starts_with('#') && !line.is_empty())
    }
}

/// What every table must hold: a version, and in every row a source, a year and a licence. For the tests of tables.
#[cfg(test)]
pub(crate) fn check<const N: usize>(table: Table, parsed: usize) {
    assert!(table.head("version").is_some(), "the head states no version");
    let names: Vec<&str> = table.lines().next().unwrap().split(',').collect();
    let column = |name: &str| names.iter().position(|found| *found == name).unwrap();
    let (source, year, licence) = (column("source"), column("year"), column("licence"));
    let rows: Vec<[&str; N]> = table.rows().collect();
    assert_eq!(rows.len(), table.lines().count() - 1, "a row has another number of fields");
    assert_eq!(rows.len(), parsed, "a row did not parse");
    for row in rows {
        assert!(!row[source].is_empty() && !row[licence].is_empty(), "{row:?}");
        assert!((2015..=2026).contains(&row[year].parse::<u16>().unwrap()), "{row:?}");
    }
}

/// No two rows of a table have the same fields in these columns. For the tests of tables.
#[cfg(test)]
pub(crate) fn keys_once<const N: usize>(table: Table, columns: &[&str]) {
    let mut keys: Vec<Vec<&str>> = vec![Vec::new(); table.rows::<N>().count()];
    for column in columns {
        for (key, field) in keys.iter_mut().zip(table.column(column)) {
            key.push(field);
        }
    }
    let rows = keys.len();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), rows, "{} has two rows of one {columns:?}", table.head("table").unwrap_or_default());
}
