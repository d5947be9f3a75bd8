//! The tables inside the program: which they are, how old, and under what licences.

use super::table::Table;
use super::{atlas, local_zone, pue, region, water};

/// A table inside the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableInfo {
    /// Its name: `grid_country`.
    pub name: &'static str,
    /// Its version: year and month, or a number.
    pub version: &'static str,
    /// Who must be named where its figures are shown, where somebody must.
    pub attribution: Option<&'static str>,
    /// The licences of its rows, each once.
    pub licences: Vec<&'static str>,
    /// How many rows it has.
    pub rows: usize,
    /// The newest year that a row speaks of.
    pub newest_year: u16,
}

/// All tables in this build, by family.
pub fn tables() -> Vec<TableInfo> {
    grid().chain(OTHERS.iter().copied()).map(TableInfo::of).collect()
}

/// The tables of grids and facilities.
pub(super) fn grid() -> impl Iterator<Item = Table> {
    [
        atlas::COUNTRIES,
        atlas::COUNTRIES_PAST,
        atlas::STATES,
        atlas::PROVINCES,
        atlas::REGIONS_OWN,
        region::TABLE,
        local_zone::TABLE,
        pue::TABLE,
        water::SITES,
        water::COUNTRIES,
        water::STATES,
    ]
    .into_iter()
    .chain(atlas::ZONES)
}

macro_rules! embedded {
    ($($name:literal),* $(,)?) => {
        &[$(Table::new(include_str!(concat!("../../data/", $name, ".csv")))),*]
    };
}

/// The tables of other families; a test holds that none is missing.
const OTHERS: &[Table] = embedded![
    "accelerator",
    "api_provider",
    "cpu_family",
    "cpu_tdp",
    "ec2_family",
    "ec2_instance",
    "ec2_price",
    "embodied",
    "embodied_accelerator",
    "load_curve",
    "models",
    "unit_price",
];

impl TableInfo {
    fn of(table: Table) -> Self {
        let mut licences: Vec<_> = table.column("licence").collect();
        licences.sort_unstable();
        licences.dedup();
        Self {
            name: table.head("table").unwrap_or("unknown"),
            version: table.head("version").unwrap_or("unknown"),
            attribution: table.head("attribution"),
            licences,
            rows: table.column("licence").count(),
            newest_year: table.column("year").filter_map(|year| year.parse().ok()).max().unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the test compares the list with the directory of the data")]
    fn every_table_of_the_directory_is_listed_once() {
        let listed: BTreeSet<&str> = tables().iter().map(|table| table.name).collect();
        assert_eq!(listed.len(), tables().len());
        for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/data")).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let left_out = cfg!(not(feature = "odbl")) && name.ends_with("_odbl");
            if path.extension().is_some_and(|extension| extension == "csv") && !left_out {
                assert!(listed.contains(name.as_str()), "{name} is not in the list of tables");
            }
        }
    }

    #[test]
    fn every_table_says_what_it_is() {
        for table in tables() {
            assert!(table.name != "unknown" && table.version != "unknown", "{table:?}");
            assert!(table.rows > 0 && (2020..=2026).contains(&table.newest_year), "{table:?}");
            assert!(
                !table.licences.is_empty() && table.licences.iter().all(|licence| !licence.is_empty()),
                "{table:?}"
            );
            let must_name = ["CC-BY-4.0", "ODbL-1.0", "Apache-2.0"];
            if table.licences.iter().any(|licence| must_name.contains(licence)) {
                assert!(table.attribution.is_some(), "{} names nobody", table.name);
            }
        }
    }

    #[test]
    fn share_alike_data_stands_in_its_own_file_only() {
        for table in tables() {
            let odbl = table.licences.contains(&"ODbL-1.0");
            assert_eq!(odbl, table.name.ends_with("_odbl"), "{}", table.name);
            assert!(!odbl || table.licences == ["ODbL-1.0"]);
        }
        assert_eq!(tables().iter().any(|table| table.name.ends_with("_odbl")), cfg!(feature = "odbl"));
    }
}
