//! Water: what is consumed to cool the machines, and at the power plants behind them.

use std::sync::LazyLock;

use wattline_core::{LitersPerKwh, Text, Uncertainty};

use super::site::{self, Site};
use super::table::Table;
use super::yearly::{Row, Series, Yearly};
use super::{Grid, LocalZone, Region};

pub(super) const SITES: Table = Table::new(include_str!("../../data/water_site.csv"));
pub(super) const COUNTRIES: Table = Table::new(include_str!("../../data/water_grid_country.csv"));
pub(super) const STATES: Table = Table::new(include_str!("../../data/water_grid_state.csv"));

/// What the distance of one year adds; more years add as a random walk does, with their root. Source: sixteen AWS regions
/// from 2024 to 2025: 0.88 in the root mean square of the logarithm.
const ONE_YEAR: f64 = 0.88;

/// Nor does the distance make a known facility less certain than an unknown one of the same fleet: AWS's regions of 2025
/// against the fleet, root mean square of the logarithm.
const FACILITIES_DIFFER: f64 = 1.4;

/// How wrong a grid's factor may be. Our judgement: the publisher gives no range, and the water that hydropower's
/// reservoirs evaporate is disputed by a factor of two and more.
const GRID_SIGMA: f64 = 0.4;

/// How far another country may lie: the root mean square of the logarithm over the 49 countries of the table.
const COUNTRIES_DIFFER: f64 = 0.64;

/// How far a place may lie from a country with more than one grid: the thirteen states of the table against the USA.
const INSIDE_COUNTRY: f64 = 0.6;

/// Water consumed for each kilowatt-hour. Two figures for two kilowatt-hours; neither is multiplied with the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Water {
    /// On the site, for each kilowatt-hour of the machines, without PUE (water usage effectiveness, ISO/IEC 30134-9).
    pub site: Option<WaterFactor>,
    /// At the power plants, for each kilowatt-hour of the facility, with PUE.
    pub grid: Option<WaterFactor>,
}

/// A volume of water for each kilowatt-hour, with where it was taken from.
#[derive(Clone, Debug, PartialEq)]
pub struct WaterFactor {
    /// Litres consumed, that is not returned, for each kilowatt-hour.
    pub liters: LitersPerKwh,
    /// What the figure stands for: a region or the beginning of its name before `*`, a state, a country.
    pub zone: Text,
    /// Who published it and for what: `aws-2025-region`, `wri-2020`.
    pub source: Text,
    /// The year it averages over.
    pub year: u16,
    /// How wrong it may be for the place and the year asked for.
    pub uncertainty: Uncertainty,
}

/// The water of a place in a year, or now. `zone` is a configured zone, state or country; the region's own where none is
/// given or nobody knows it. There is no figure of the site where the provider publishes none, and none of the grid where
/// nobody does: the world's average would say nothing, for countries differ by a factor of sixteen. A Local Zone has the
/// figures of its region on the site and of its own country at the plants.
pub fn water(provider: Option<&str>, region: Option<&str>, zone: Option<&str>, year: Option<u16>) -> Water {
    let place = provider.zip(region).and_then(|(provider, region)| Grid::builtin().region(provider, region));
    let name = place.map_or(region.unwrap_or_default(), |place| place.name);
    let site = provider.and_then(|provider| site::find(&SITE_ROWS, provider, name, year));
    let is_elsewhere = place.is_some_and(|place| place.local_zone.is_some());
    let grid = match (zone.filter(|zone| Grid::builtin().knows(zone)), place) {
        (Some(zone), _) => of_zone(zone, year),
        (None, Some(place)) => of_region(place, year),
        (None, None) => None,
    };
    Water { site: site.map(|row| of_site(row, year, is_elsewhere)), grid }
}

static SITE_ROWS: LazyLock<Vec<Site>> = LazyLock::new(|| site::parse(SITES));
static COUNTRY_ROWS: LazyLock<Series> = LazyLock::new(|| Series::parse([COUNTRIES]));
static STATE_ROWS: LazyLock<Series> = LazyLock::new(|| Series::parse([STATES]));

fn of_region(place: Region, year: Option<u16>) -> Option<WaterFactor> {
    let found = place.state.and_then(|state| of_state(state, year)).or_else(|| of_country(place.country, year))?;
    let apart = if place.local_zone == Some(LocalZone::Unlisted) { COUNTRIES_DIFFER } else { 0.0 };
    Some(WaterFactor { uncertainty: found.uncertainty.times(Uncertainty::from_sigma(apart)), ..found })
}

fn of_zone(zone: &str, year: Option<u16>) -> Option<WaterFactor> {
    let grid = Grid::builtin();
    let zone = grid.plain(zone);
    of_state(&zone, year).or_else(|| of_country(grid.country_named(&zone)?, year))
}

fn of_state(state: &str, year: Option<u16>) -> Option<WaterFactor> {
    STATE_ROWS.get(state, year).map(|(zone, row)| of_grid(zone, row, 0.0))
}

fn of_country(country: &str, year: Option<u16>) -> Option<WaterFactor> {
    let inside = if Grid::has_many_grids(country) { INSIDE_COUNTRY } else { 0.0 };
    COUNTRY_ROWS.get(country, year).filter(|(zone, _)| *zone != "WORLD").map(|(zone, row)| of_grid(zone, row, inside))
}

fn of_grid(zone: &'static str, row: Row, inside: f64) -> WaterFactor {
    WaterFactor {
        liters: LitersPerKwh::new(row.value),
        zone: Text::Static(zone),
        source: Text::from(format!("{}-{}", row.source, row.year)),
        year: row.year,
        uncertainty: Uncertainty::from_sigma(GRID_SIGMA.hypot(inside)),
    }
}

fn of_site(row: &'static Site, asked: Option<u16>, is_elsewhere: bool) -> WaterFactor {
    let age = (row.years_from(asked).sqrt() * ONE_YEAR).min(FACILITIES_DIFFER);
    let apart = if is_elsewhere { FACILITIES_DIFFER } else { 0.0 };
    WaterFactor {
        liters: LitersPerKwh::new(row.value),
        zone: Text::Static(row.region),
        source: Text::Static(row.source),
        year: row.year,
        uncertainty: Uncertainty::from_sigma(row.sigma.hypot(age.max(apart))),
    }
}
