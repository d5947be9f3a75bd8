//! Where the regions of clouds stand.

use std::collections::BTreeMap;

use super::table::Table;

pub(super) const TABLE: Table = Table::new(include_str!("../../data/cloud_region.csv"));

/// A region of a cloud and the grid it draws from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// The cloud: `aws`, `gcp`, `azure`.
    pub provider: &'static str,
    /// The region as the cloud names it.
    pub name: &'static str,
    /// Its country, ISO 3166-1 alpha-3.
    pub country: &'static str,
    /// Its state or province, ISO 3166-2, where one is listed.
    pub state: Option<&'static str>,
    /// Its grid zone as Electricity Maps names it; none where that zone is the country and the province is narrower.
    pub zone: Option<&'static str>,
}

/// The regions by provider and name.
#[derive(Debug)]
pub(super) struct Regions(BTreeMap<&'static str, BTreeMap<&'static str, Region>>);

impl Regions {
    pub(super) fn parse() -> Self {
        let mut regions: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        for [provider, name, country, state, zone, _source, _year, _licence] in TABLE.rows() {
            let [state, zone] = [state, zone].map(|name| (!name.is_empty()).then_some(name));
            regions.entry(provider).or_default().insert(name, Region { provider, name, country, state, zone });
        }
        Self(regions)
    }

    /// The region of that name, or the one in which the availability zone of that name lies: `us-east-1a` lies in
    /// `us-east-1`, `europe-west1-b` in `europe-west1`.
    pub(super) fn get(&self, provider: &str, name: &str) -> Option<Region> {
        let regions = self.of(provider)?;
        let name = name.trim();
        let without_letter = name.trim_end_matches(|c: char| c.is_ascii_lowercase());
        [name, without_letter, without_letter.trim_end_matches('-')]
            .into_iter()
            .find_map(|name| regions.get(name))
            .copied()
    }

    pub(super) fn names(&self, provider: &str) -> impl Iterator<Item = &'static str> {
        self.of(provider).into_iter().flat_map(|regions| regions.keys().copied())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Region> {
        self.0.values().flat_map(|regions| regions.values().copied())
    }

    fn of(&self, provider: &str) -> Option<&BTreeMap<&'static str, Region>> {
        self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(provider)).map(|(_, regions)| regions)
    }
}
