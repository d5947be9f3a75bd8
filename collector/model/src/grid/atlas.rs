//! The tables of carbon intensity as one: which of them speaks for a place.

use std::collections::BTreeMap;
use std::f64::consts::SQRT_2;
use std::sync::LazyLock;

use wattline_core::{GramsPerKwh, Text, Uncertainty};

use super::local_zone::LocalZone;
use super::name::country_of_zone;
use super::near;
use super::region::{Region, Regions};
use super::table::Table;
use super::tables;
use super::yearly::{Row, Series, Yearly, nearest};
use super::{Intensity, Place, Tier};

pub(super) const COUNTRIES: Table = Table::new(include_str!("../../data/grid_country.csv"));
pub(super) const COUNTRIES_PAST: Table = Table::new(include_str!("../../data/grid_country_past.csv"));
pub(super) const STATES: Table = Table::new(include_str!("../../data/grid_state.csv"));
pub(super) const PROVINCES: Table = Table::new(include_str!("../../data/grid_province.csv"));
pub(super) const REGIONS_OWN: Table = Table::new(include_str!("../../data/region_grid.csv"));

/// Electricity Maps' zones, under a licence of their own; a build without the feature `odbl` works one tier lower.
#[cfg(feature = "odbl")]
pub(super) const ZONES: Option<Table> = Some(Table::new(include_str!("../../data/grid_zone_odbl.csv")));
#[cfg(not(feature = "odbl"))]
pub(super) const ZONES: Option<Table> = None;

/// The zone of the whole world.
pub(super) const WORLD: &str = "WORLD";

/// The figure of the world if its rows were lost; a test holds that the table has them.
/// Source: Ember, world average of 2024.
const WORLD_ROW: Row = Row { value: 472.94, year: 2024, source: "ember" };

/// Yearly averages of two publishers differ by 16 % in the median and 41 % in one country of ten: the standard
/// deviation of the logarithm that fits both. Source: Ember against Electricity Maps, 86 countries, 2024.
const PUBLISHERS_DIFFER: f64 = 0.20;

/// What a year of distance adds: values three years off err by 41 % in one country of ten. Source: the same data.
const EACH_YEAR: f64 = 0.07;

/// How far a place inside the country may lie from the country's average, for countries with more than one grid.
/// USA: spread of Ember's states of 2024 around the country. Canada: spread of Electricity Maps' provinces of 2025;
/// Brazil and Italy: of its zones. The others: their zones in public maps of 2025 against the country, rounded up.
const INSIDE_COUNTRY: &[(&str, f64)] = &[
    ("USA", 0.50),
    ("CAN", 1.0),
    ("AUS", 0.30),
    ("BRA", 0.45),
    ("CHN", 0.35),
    ("IND", 0.30),
    ("ITA", 0.25),
    ("JPN", 0.20),
    ("RUS", 0.35),
];

/// How far the grid zone that a machine draws from may lie from what its state's plants generate, beyond what publishers
/// differ. Source: Ember's states against Electricity Maps' zones, both of 2024, the seventeen pairs with regions of AWS,
/// Google or Azure: 0.41 in the root mean square.
const STATES_TRADE: f64 = 0.36;

/// How far a cloud's own figure of its region may lie from that of its zone, beyond what publishers differ: Google counts
/// the plants' operation only, which makes clean grids cleaner. Source: its 46 regions of 2025 against Electricity Maps'
/// zones: 0.36 in the root mean square.
const CLOUDS_COUNT_LESS: f64 = 0.30;

/// How far countries lie from the world's average: the root mean square over the 208 countries of the table is 0.97.
/// Nor is an old figure of the place itself worse than that.
const COUNTRIES_DIFFER: f64 = 1.0;

/// Carbon intensities by zone and year, and the zones of cloud regions.
#[derive(Debug)]
pub struct Grid {
    pub(super) zones: Series,
    pub(super) states: Series,
    pub(super) countries: Series,
    pub(super) published: BTreeMap<(&'static str, &'static str), Vec<Row>>,
    pub(super) regions: Regions,
    /// Alpha-2 codes by alpha-3, and the other way.
    alpha2: BTreeMap<&'static str, &'static str>,
    alpha3: BTreeMap<&'static str, &'static str>,
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

    /// Who must be named where these figures are shown, one line for each publisher in this build.
    pub fn attributions() -> Vec<&'static str> {
        let mut lines: Vec<_> = tables::grid().filter_map(|table| table.head("attribution")).collect();
        lines.sort_unstable();
        lines.dedup();
        lines
    }

    /// True when a configured zone, state or country leads to a figure, if only its country's. A cloud's region does not:
    /// [`Self::cloud_of`] tells whose it is.
    pub fn knows(&self, zone: &str) -> bool {
        self.named(zone, None).is_some()
    }

    /// True when a zone, a state or a country has exactly this name, in any case and with any code of its country.
    pub fn has(&self, zone: &str) -> bool {
        let name = self.plain(zone);
        let known = |series: &Series, name: &str| series.get(name, None).is_some();
        let is_country = name != WORLD && known(&self.countries, self.alpha3(&name));
        is_country || known(&self.zones, &name) || known(&self.states, &name)
    }

    /// The cloud region of that name, or in which that availability zone lies. Of a Local Zone or a Wavelength Zone of AWS
    /// the region that it belongs to, with the country where it stands.
    pub fn region(&self, provider: &str, region: &str) -> Option<Region> {
        self.regions.get(provider, region)
    }

    /// The cloud that has a region or an availability zone of that name: `aws`, `azure` or `gcp`.
    pub fn cloud_of(&self, region: &str) -> Option<&'static str> {
        self.regions.find(region).map(|region| region.provider)
    }

    /// All cloud regions, by provider and name.
    pub fn regions(&self) -> impl Iterator<Item = Region> {
        self.regions.iter()
    }

    /// At most five zones, states or countries whose names are nearest to one that is not known, nearest first.
    pub fn nearest_zones(&self, name: &str) -> Vec<&'static str> {
        let countries = self.alpha3.iter().flat_map(|(alpha2, alpha3)| [*alpha2, *alpha3]);
        near::nearest(name, self.zones.places().chain(self.states.places()).chain(countries))
    }

    /// At most five regions of a provider whose names are nearest to one that is not known, nearest first; none for a
    /// provider that is not known.
    pub fn nearest_regions(&self, provider: &str, name: &str) -> Vec<&'static str> {
        near::nearest(name, self.regions.names(provider))
    }

    /// The intensity at a place in a year, or now: the user's own figure, else of the configured zone, state or country,
    /// else of the cloud region, else of the world. A cloud region has the figure of its grid zone where that is built
    /// in, else the one that the cloud publishes, else its state's, else its country's.
    ///
    /// The figure is of the year asked for or, where there is none, of the nearest; the uncertainty grows with the
    /// distance. A name that no table knows is passed over; what was found instead stands in the result.
    pub fn intensity(&self, place: &Place<'_>, year: Option<u16>) -> Intensity {
        if let Some(grams) = place.intensity.filter(|grams| grams.is_finite() && grams.get() >= 0.0) {
            let zone = place.zone.or(place.country).unwrap_or("configured");
            return Intensity::configured(grams, zone.to_owned());
        }
        let region = || place.provider.zip(place.region).and_then(|(provider, region)| self.region(provider, region));
        [place.zone, place.country]
            .into_iter()
            .flatten()
            .find_map(|name| self.named(name, year))
            .or_else(|| region().and_then(|region| self.of_region(region, year)))
            .unwrap_or_else(|| self.world(year))
    }

    /// The alpha-3 code of a country that may be given by either.
    pub(super) fn alpha3<'a>(&self, country: &'a str) -> &'a str {
        self.alpha3.get(country).copied().unwrap_or(country)
    }

    /// A zone's or a country's name as the tables write it: in capitals, a zone's country by its alpha-2 code.
    pub(super) fn plain(&self, name: &str) -> String {
        let name = name.trim().to_ascii_uppercase();
        let Some((country, rest)) = name.split_once('-') else { return name };
        self.alpha2.get(self.alpha3(country)).map(|alpha2| format!("{alpha2}-{rest}")).unwrap_or(name)
    }

    /// The alpha-3 code of the country of that name, or in which the zone of that name lies. None for a cloud's region: its
    /// first letters are no country.
    pub(super) fn country_named<'a>(&self, name: &'a str) -> Option<&'a str> {
        let country = if name.contains('-') { country_of_zone(name)? } else { name };
        self.cloud_of(name).is_none().then(|| self.alpha3(country))
    }

    /// What else the tables have for a place: of other publishers, and of the larger places around it. None of it is what
    /// [`Self::intensity`] gives.
    pub fn others(&self, place: &Place<'_>, year: Option<u16>) -> Vec<Intensity> {
        let used = self.intensity(place, year);
        let named = [place.zone, place.country].into_iter().flatten().find(|name| self.knows(name));
        let region = place.provider.zip(place.region).filter(|_| named.is_none());
        let region = region.and_then(|(provider, region)| self.region(provider, region));
        let around = named.map(|name| self.plain(name));
        let country = around.as_deref().and_then(|name| self.country_named(name));
        let country = region.map(|region| region.country).or(country);
        let mut others: Vec<Intensity> = Vec::new();
        let candidates = [
            named.and_then(|name| self.named(name, year)),
            region.and_then(|region| self.zone(region.zone?, year)),
            region.and_then(|region| self.published(region, year)),
            region.and_then(|region| self.state(region.state?, year)),
            country.and_then(|country| self.country(country, year, false)),
            country.and_then(|country| self.generated(country, year)),
            Some(self.world(year)),
        ];
        for candidate in candidates.into_iter().flatten() {
            let is_new = |known: &Intensity| (&known.zone, &known.source) != (&candidate.zone, &candidate.source);
            if is_new(&used) && others.iter().all(is_new) {
                others.push(candidate);
            }
        }
        others
    }

    /// True for a country whose average says little of a place inside it.
    pub(super) fn has_many_grids(alpha3: &str) -> bool {
        INSIDE_COUNTRY.iter().any(|(country, _)| *country == alpha3)
    }

    fn of_region(&self, region: Region, year: Option<u16>) -> Option<Intensity> {
        if let Some(known) = region.local_zone {
            return self.of_local_zone(region, known, year);
        }
        let zone = || self.zone(region.zone?, year);
        let published = || self.published(region, year);
        let state = || self.state(region.state?, year);
        zone().or_else(published).or_else(state).or_else(|| self.country(region.country, year, false))
    }

    /// Of machines that stand in another city than their region: of the city's state or country, and of nothing narrower.
    fn of_local_zone(&self, region: Region, known: LocalZone, year: Option<u16>) -> Option<Intensity> {
        let state = region.state.and_then(|state| self.state(state, year));
        let found = state.or_else(|| self.country(region.country, year, true))?;
        let found = match known {
            LocalZone::Listed => found,
            LocalZone::Unlisted => found.less_certain(COUNTRIES_DIFFER),
        };
        Some(Intensity { estimated: true, ..found })
    }

    /// What the cloud publishes for its region.
    fn published(&self, region: Region, year: Option<u16>) -> Option<Intensity> {
        let rows = self.published.get(&(region.provider, region.name))?;
        let row = nearest(rows, year)?;
        Some(of_row(*row, region.name, Tier::Region, year).less_certain(CLOUDS_COUNT_LESS))
    }

    /// A zone, a state or a country by any of its names; of a zone that no table has, its country.
    fn named(&self, name: &str, year: Option<u16>) -> Option<Intensity> {
        let name = self.plain(name);
        if let Some(found) = self.country(self.alpha3(&name), year, false) {
            return Some(found);
        }
        let stands_in = || self.country(self.country_named(&name)?, year, true);
        self.zone(&name, year).or_else(|| self.state(&name, year)).or_else(stands_in)
    }

    /// The figure of a grid zone. Of a zone that is a whole country two publishers speak, and may differ by more than
    /// publishers usually do: then each is as wrong as two figures of one thing are that lie so far apart.
    fn zone(&self, name: &str, year: Option<u16>) -> Option<Intensity> {
        let (zone, row) = self.zones.get(name, year)?;
        let other = self.alpha3.get(zone).and_then(|country| self.countries.get(country, year));
        let apart = other.map_or(0.0, |(_, other)| (row.value / other.value).ln().abs() / SQRT_2);
        let excess = (apart * apart - PUBLISHERS_DIFFER * PUBLISHERS_DIFFER).max(0.0).sqrt();
        Some(of_row(row, zone, Tier::Zone, year).less_certain(excess))
    }

    fn state(&self, name: &str, year: Option<u16>) -> Option<Intensity> {
        let (state, row) = self.states.get(name, year)?;
        let trade = if state.starts_with("US-") { STATES_TRADE } else { 0.0 };
        Some(of_row(row, state, Tier::State, year).less_certain(trade))
    }

    /// The figure of a whole country: of its zone where it is one and built in, which is nearer to what is consumed
    /// there than what its plants generate.
    fn country(&self, alpha3: &str, year: Option<u16>, stands_in: bool) -> Option<Intensity> {
        let alpha2 = self.alpha2.get(alpha3);
        let whole = alpha2.and_then(|alpha2| self.zone(alpha2, year)).or_else(|| self.generated(alpha3, year))?;
        let inside = INSIDE_COUNTRY.iter().find(|(country, _)| *country == alpha3).map(|(_, spread)| *spread);
        if !stands_in && inside.is_none() {
            return Some(whole);
        }
        let whole = whole.less_certain(inside.unwrap_or(0.0));
        Some(Intensity { tier: Tier::Country, estimated: true, ..whole })
    }

    /// The figure of what a country's plants generate.
    fn generated(&self, alpha3: &str, year: Option<u16>) -> Option<Intensity> {
        let (country, row) = self.countries.get(alpha3, year).filter(|(country, _)| *country != WORLD)?;
        Some(of_row(row, country, Tier::Country, year))
    }

    fn world(&self, year: Option<u16>) -> Intensity {
        let row = self.countries.get(WORLD, year).map_or(WORLD_ROW, |(_, row)| row);
        let intensity = of_row(row, WORLD, Tier::World, year).less_certain(COUNTRIES_DIFFER);
        Intensity { estimated: true, ..intensity }
    }

    fn parse() -> Self {
        let mut countries = Series::parse([COUNTRIES_PAST]);
        let (mut alpha2, mut alpha3) = (BTreeMap::new(), BTreeMap::new());
        for [long, short, grams, year, source, _licence] in COUNTRIES.rows() {
            countries.add(long, Row::parse(grams, year, source));
            if !short.is_empty() {
                alpha2.insert(long, short);
                alpha3.insert(short, long);
            }
        }
        // Reserved by ISO 3166 for what many people write.
        alpha3.insert("UK", "GBR");
        let mut published: BTreeMap<_, Vec<Row>> = BTreeMap::new();
        for [provider, region, grams, year, source, _licence] in REGIONS_OWN.rows() {
            published.entry((provider, region)).or_default().extend(Row::parse(grams, year, source));
        }
        Self {
            zones: Series::parse(ZONES),
            states: Series::parse([STATES, PROVINCES]),
            countries,
            published,
            regions: Regions::parse(),
            alpha2,
            alpha3,
        }
    }
}

impl Intensity {
    /// The same figure with one more reason to err, of this standard deviation of the logarithm.
    fn less_certain(self, sigma: f64) -> Self {
        Self { uncertainty: self.uncertainty.times(Uncertainty::from_sigma(sigma)), ..self }
    }
}

fn of_row(row: Row, zone: &'static str, tier: Tier, asked: Option<u16>) -> Intensity {
    let age = (row.years_from(asked) * EACH_YEAR).min(COUNTRIES_DIFFER);
    Intensity {
        grams: GramsPerKwh::new(row.value),
        zone: Text::Static(zone),
        source: Text::from(format!("{}-{}", row.source, row.year)),
        year: Some(row.year),
        tier,
        estimated: false,
        uncertainty: Uncertainty::from_sigma(PUBLISHERS_DIFFER.hypot(age)),
    }
}
