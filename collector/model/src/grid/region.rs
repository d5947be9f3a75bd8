//! Where the regions of clouds stand.

use std::collections::BTreeMap;

use super::local_zone::{self, LocalZone};
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
    /// The machines stand elsewhere than the region of that name: country and state are theirs, and there is no zone.
    pub local_zone: Option<LocalZone>,
}

/// The regions by provider and name.
#[derive(Debug)]
pub(super) struct Regions(BTreeMap<&'static str, BTreeMap<&'static str, Region>>);

impl Regions {
    pub(super) fn parse() -> Self {
        let mut regions: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        for [provider, name, country, state, zone, _source, _year, _licence] in TABLE.rows() {
            let [state, zone] = [state, zone].map(|name| (!name.is_empty()).then_some(name));
            let region = Region { provider, name, country, state, zone, local_zone: None };
            regions.entry(provider).or_default().insert(name, region);
        }
        Self(regions)
    }

    /// The region of that name, or the one in which the availability zone of that name lies: `us-east-1a` lies in
    /// `us-east-1`, `europe-west1-b` in `europe-west1`; or to which the Local Zone or Wavelength Zone of that name belongs.
    /// Case does not matter.
    pub(super) fn get(&self, provider: &str, name: &str) -> Option<Region> {
        let regions = self.of(provider)?;
        let name = name.trim().to_ascii_lowercase();
        let without_letter = name.strip_suffix(|c: char| c.is_ascii_lowercase());
        let without_hyphen = without_letter.and_then(|name| name.strip_suffix('-'));
        let names = [Some(name.as_str()), without_letter, without_hyphen];
        let region = names.into_iter().flatten().find_map(|name| regions.get(name));
        region.copied().or_else(|| local_zone(regions, &name))
    }

    /// The region of any cloud by its name, or by that of an availability zone inside it.
    pub(super) fn find(&self, name: &str) -> Option<Region> {
        self.0.keys().find_map(|provider| self.get(provider, name))
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

/// The region that the name begins with, with the place of the Local Zone or Wavelength Zone that the rest names. Only AWS
/// names them so; no other cloud's region is the beginning of such a name.
fn local_zone(regions: &BTreeMap<&'static str, Region>, name: &str) -> Option<Region> {
    regions.values().filter(|region| region.provider == "aws").find_map(|region| {
        let city = local_zone::city(name.strip_prefix(region.name)?.strip_prefix('-')?)?;
        Some(match local_zone::place(city) {
            Some((country, state)) => {
                Region { country, state, zone: None, local_zone: Some(LocalZone::Listed), ..*region }
            }
            None => Region { state: None, zone: None, local_zone: Some(LocalZone::Unlisted), ..*region },
        })
    })
}
