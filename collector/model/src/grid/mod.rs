//! Where the electricity comes from: grams of carbon dioxide for each kilowatt-hour, and what a data centre draws beside its
//! machines. Yearly averages by location; live values and contracts are other sources of the same types.

pub mod live;
mod pue;
pub(crate) mod table;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use wattline_core::{GramsPerKwh, Text, Uncertainty};

pub use pue::{Pue, pue};
use table::Table;

const COUNTRIES: Table = Table::new(include_str!("../../data/grid_country.csv"));
const STATES: Table = Table::new(include_str!("../../data/grid_state.csv"));
const REGIONS: Table = Table::new(include_str!("../../data/cloud_region.csv"));

/// The zone of the whole world.
const WORLD: &str = "WORLD";

/// The figure of the world if its row were lost; a test holds that the table has it.
/// Source: Ember, world average of 2024.
const WORLD_GRAMS: f64 = 472.94;

/// The year in which the tables were put together; older rows err more.
const THIS_YEAR: u16 = 2026;

/// Yearly averages of two publishers differ by 16 % in the median and 41 % in one country of ten: the standard
/// deviation of the logarithm that fits both. Source: Ember against Electricity Maps, 86 countries, 2024.
const PUBLISHERS_DIFFER: f64 = 0.20;

/// What a year of age adds: values three years old are off by 41 % in one country of ten. Source: the same data.
const EACH_YEAR: f64 = 0.07;

/// How far a place inside the country may lie from the country's average, for countries with more than one grid.
/// USA: spread of Ember's states of 2024 around the country. Canada: Quebec lies a factor of 4 below the country and
/// Alberta a factor of 2 above. The others: their zones in public maps of 2025 against the country, rounded up.
const INSIDE_COUNTRY: &[(&str, f64)] =
    &[("USA", 0.50), ("CAN", 0.9), ("AUS", 0.30), ("CHN", 0.35), ("IND", 0.30), ("JPN", 0.20), ("RUS", 0.35)];

/// How far countries lie from the world's average: the root mean square over the 208 countries of the table is 0.97.
const COUNTRIES_DIFFER: f64 = 1.0;

/// The carbon intensity of electricity at a place, with where it was taken from.
#[derive(Clone, Debug, PartialEq)]
pub struct Intensity {
    /// Grams for each kilowatt-hour, as the grid's average.
    pub grams: GramsPerKwh,
    /// What the figure stands for: a country (ISO 3166-1 alpha-3), a state (`US-VA`), `WORLD`, or the configured name.
    pub zone: Text,
    /// Who published it and for which year: `ember-2024`; `configured` for the user's own figure.
    pub source: Text,
    /// The year it averages over; `None` for the user's own figure.
    pub year: Option<u16>,
    /// True when it stands in for a smaller place that has no figure of its own.
    pub estimated: bool,
    /// How wrong it may be for the place asked for.
    pub uncertainty: Uncertainty,
}

impl Intensity {
    /// The user's own figure, which is believed as it stands: 10 %, as for a live measurement.
    pub fn configured(grams: GramsPerKwh, zone: impl Into<Text>) -> Self {
        Self {
            grams,
            zone: zone.into(),
            source: Text::Static("configured"),
            year: None,
            estimated: false,
            uncertainty: Uncertainty::from_sigma(0.10),
        }
    }
}

/// What is known of where a machine stands, from the most to the least particular. All of it may be absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place<'a> {
    /// A configured grid zone: `FR`, `FRA`, `US-VA`.
    pub zone: Option<&'a str>,
    /// A configured country, ISO 3166-1 alpha-2 or alpha-3.
    pub country: Option<&'a str>,
    /// `cloud.provider`: `aws`, `gcp`, `azure`.
    pub provider: Option<&'a str>,
    /// `cloud.region`, or an availability zone inside it.
    pub region: Option<&'a str>,
}

/// Carbon intensities by zone, and the zones of cloud regions.
#[derive(Debug)]
pub struct Grid {
    zones: BTreeMap<&'static str, Row>,
    alpha2: BTreeMap<&'static str, &'static str>,
    regions: BTreeMap<(&'static str, &'static str), &'static str>,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    grams: f64,
    year: u16,
    source: &'static str,
}

impl Grid {
    /// The tables inside the program, parsed once.
    pub fn builtin() -> &'static Self {
        static GRID: LazyLock<Grid> = LazyLock::new(Grid::parse);
        &GRID
    }

    /// The version of the tables.
    pub fn version() -> &'static str {
        COUNTRIES.head("version").unwrap_or("unknown")
    }

    /// Who must be named where these figures are shown.
    pub fn attribution() -> &'static str {
        COUNTRIES.head("attribution").unwrap_or("Ember, CC BY 4.0")
    }

    /// True when a configured zone or country leads to a figure, if only its country's.
    pub fn knows(&self, zone: &str) -> bool {
        self.zone(zone).is_some()
    }

    /// The intensity at a place: of the configured zone, else of the configured country, else of the cloud region,
    /// else of the world. A name that no table knows is passed over; what was found instead stands in the result.
    pub fn intensity(&self, place: &Place<'_>) -> Intensity {
        let region = place.provider.zip(place.region).and_then(|(provider, region)| self.region_zone(provider, region));
        [place.zone, place.country, region]
            .into_iter()
            .flatten()
            .find_map(|name| self.zone(name))
            .unwrap_or_else(|| self.world())
    }

    /// The zone of a cloud region or of an availability zone in it: a country, or a state of the USA.
    pub fn region_zone(&self, provider: &str, region: &str) -> Option<&'static str> {
        let provider =
            self.regions.keys().map(|(known, _)| *known).find(|known| known.eq_ignore_ascii_case(provider))?;
        // `us-east-1a` lies in `us-east-1`, `europe-west1-b` in `europe-west1`.
        let without_letter = region.trim_end_matches(|c: char| c.is_ascii_lowercase());
        [region, without_letter, without_letter.trim_end_matches('-')]
            .into_iter()
            .find_map(|name| self.regions.range((provider, name)..).next().filter(|(key, _)| key.1 == name))
            .map(|(_, zone)| *zone)
    }

    fn zone(&self, name: &str) -> Option<Intensity> {
        let name = name.trim().to_ascii_uppercase();
        let name = self.alpha2.get(name.as_str()).copied().map_or(name, str::to_owned);
        if let Some((zone, row)) = self.zones.get_key_value(name.as_str()) {
            return Some(row.intensity(zone, false));
        }
        // A grid zone that no table has, such as `US-MIDA-PJM`: its country stands in.
        let country = name.split('-').next().filter(|country| country.len() < name.len())?;
        let country = self.alpha2.get(country).copied().unwrap_or(country);
        self.zones.get_key_value(country).map(|(zone, row)| row.intensity(zone, true))
    }

    fn world(&self) -> Intensity {
        let row = self.zones.get(WORLD).copied();
        row.unwrap_or(Row { grams: WORLD_GRAMS, year: 2024, source: "ember" }).intensity(WORLD, true)
    }

    fn parse() -> Self {
        let mut zones = BTreeMap::new();
        let mut alpha2 = BTreeMap::new();
        for [alpha3, short, grams, year, source, _licence] in COUNTRIES.rows() {
            zones.extend(Row::parse(grams, year, source).map(|row| (alpha3, row)));
            if !short.is_empty() {
                alpha2.insert(short, alpha3);
            }
        }
        for [zone, grams, year, source, _licence] in STATES.rows() {
            zones.extend(Row::parse(grams, year, source).map(|row| (zone, row)));
        }
        // Reserved by ISO 3166 for what many people write.
        alpha2.insert("UK", "GBR");
        let regions =
            REGIONS.rows().map(|[provider, region, zone, _source, _year, _licence]| ((provider, region), zone));
        Self { zones, alpha2, regions: regions.collect() }
    }
}

impl Row {
    fn parse(grams: &str, year: &str, source: &'static str) -> Option<Self> {
        let grams: f64 = grams.parse().ok()?;
        (grams.is_finite() && grams > 0.0).then_some(Self { grams, year: year.parse().ok()?, source })
    }

    fn intensity(self, zone: &'static str, stands_in: bool) -> Intensity {
        let age = f64::from(THIS_YEAR.saturating_sub(self.year)) * EACH_YEAR;
        let inside = INSIDE_COUNTRY.iter().find(|(country, _)| *country == zone).map(|(_, spread)| *spread);
        let spread = match zone {
            WORLD => COUNTRIES_DIFFER,
            _ => inside.unwrap_or(0.0),
        };
        Intensity {
            grams: GramsPerKwh::new(self.grams),
            zone: Text::Static(zone),
            source: Text::from(format!("{}-{}", self.source, self.year)),
            year: Some(self.year),
            estimated: stands_in || spread > 0.0,
            uncertainty: Uncertainty::from_sigma(PUBLISHERS_DIFFER.hypot(age).hypot(spread)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(zone: Option<&str>, provider: Option<&str>, region: Option<&str>) -> Intensity {
        Grid::builtin().intensity(&Place { zone, country: None, provider, region })
    }

    #[test]
    fn every_row_parses_and_has_source_year_and_licence() {
        let grid = Grid::builtin();
        let (countries, states) = (COUNTRIES.rows::<6>().count(), STATES.rows::<5>().count());
        assert_eq!(grid.zones.len(), countries + states, "no two rows of one zone");
        table::check::<6>(COUNTRIES, grid.zones.len() - states);
        table::check::<5>(STATES, states);
        table::check::<6>(REGIONS, grid.regions.len());
        assert!(grid.zones.contains_key(WORLD));
        assert!(COUNTRIES.head("attribution").unwrap().contains("CC BY 4.0"));
    }

    #[test]
    fn every_cloud_region_leads_to_a_figure_of_its_own_country() {
        let grid = Grid::builtin();
        for ((provider, region), zone) in &grid.regions {
            let found = at(None, Some(provider), Some(region));
            assert_eq!(found.zone.as_str(), *zone, "{provider} {region}");
        }
        assert_eq!(grid.regions.keys().filter(|(provider, _)| *provider == "aws").count(), 39);
    }

    #[test]
    fn uncertainty_rises_from_country_to_stand_in_to_world() {
        let france = at(None, Some("aws"), Some("eu-west-3"));
        assert_eq!((france.zone.as_str(), france.source.as_str(), france.estimated), ("FRA", "ember-2024", false));
        assert!((france.grams.get() - 44.18).abs() < 1e-9);
        let canada = at(None, Some("aws"), Some("ca-central-1"));
        assert!(canada.estimated, "the country is far from Quebec");
        let nowhere = at(None, None, None);
        assert_eq!((nowhere.zone.as_str(), nowhere.estimated), ("WORLD", true));
        assert!(france.uncertainty.sigma() < canada.uncertainty.sigma());
        assert!(canada.uncertainty.sigma() < nowhere.uncertainty.sigma());
        let virginia = at(None, Some("aws"), Some("us-east-1"));
        assert_eq!(virginia.zone.as_str(), "US-VA");
        assert!(virginia.uncertainty.sigma() < at(Some("US"), None, None).uncertainty.sigma());
    }

    #[test]
    fn zones_are_found_by_any_of_their_names() {
        for name in ["FR", "fra", " FRA "] {
            assert_eq!(at(Some(name), None, None).zone.as_str(), "FRA");
        }
        assert_eq!(at(Some("UK"), None, None).zone.as_str(), "GBR");
        let pjm = at(Some("US-MIDA-PJM"), None, None);
        assert_eq!((pjm.zone.as_str(), pjm.estimated), ("USA", true));
        assert_eq!(at(Some("IT-NO"), None, None).zone.as_str(), "ITA");
        assert!(at(Some("IT-NO"), None, None).estimated);
        assert!(!Grid::builtin().knows("Atlantis"));
        assert_eq!(at(Some("Atlantis"), Some("aws"), Some("eu-north-1")).zone.as_str(), "SWE");
    }

    #[test]
    fn availability_zones_lie_in_their_region() {
        assert_eq!(Grid::builtin().region_zone("aws", "us-east-1a"), Some("US-VA"));
        assert_eq!(Grid::builtin().region_zone("gcp", "europe-west1-b"), Some("BEL"));
        assert_eq!(Grid::builtin().region_zone("AWS", "eu-central-1"), Some("DEU"));
        assert_eq!(Grid::builtin().region_zone("aws", "eu-central-99"), None);
        assert_eq!(Grid::builtin().region_zone("aws", ""), None);
    }

    proptest! {
        #[test]
        fn any_place_has_a_positive_figure(zone in "\\PC{0,12}", region in "[a-z0-9-]{0,16}") {
            for found in [at(Some(&zone), None, None), at(None, Some("aws"), Some(&region)), at(None, Some(&zone), Some(&zone))] {
                prop_assert!(found.grams.get() > 0.0 && found.grams.is_finite());
                prop_assert!(found.uncertainty.sigma() > 0.0);
            }
        }
    }
}
