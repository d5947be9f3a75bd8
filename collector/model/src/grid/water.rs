//! Water: what is consumed to cool the machines, and at the power plants behind them.

use std::sync::LazyLock;

use wattline_core::{LitersPerKwh, Text, Uncertainty};

use super::Grid;
use super::site::{self, Site};
use super::table::Table;
use super::yearly::{Row, Series, Yearly};

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
/// given. There is no figure of the site where the provider publishes none, and none of the grid where nobody does: the
/// world's average would say nothing, for countries differ by a factor of sixteen.
pub fn water(provider: Option<&str>, region: Option<&str>, zone: Option<&str>, year: Option<u16>) -> Water {
    let site = provider.and_then(|provider| site::find(&SITE_ROWS, provider, region.unwrap_or_default(), year));
    let place = provider.zip(region).and_then(|(provider, region)| Grid::builtin().region(provider, region));
    let grid = match (zone, place) {
        (Some(zone), _) => of_zone(zone, year),
        (None, Some(place)) => {
            place.state.and_then(|state| of_state(state, year)).or_else(|| of_country(place.country, year))
        }
        (None, None) => None,
    };
    Water { site: site.map(|row| of_site(row, year)), grid }
}

static SITE_ROWS: LazyLock<Vec<Site>> = LazyLock::new(|| site::parse(SITES));
static COUNTRY_ROWS: LazyLock<Series> = LazyLock::new(|| Series::parse([COUNTRIES]));
static STATE_ROWS: LazyLock<Series> = LazyLock::new(|| Series::parse([STATES]));

fn of_zone(zone: &str, year: Option<u16>) -> Option<WaterFactor> {
    let zone = zone.trim().to_ascii_uppercase();
    let country = zone.split('-').next().unwrap_or_default();
    of_state(&zone, year).or_else(|| of_country(Grid::builtin().alpha3(country), year))
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

fn of_site(row: &'static Site, asked: Option<u16>) -> WaterFactor {
    let age = (row.years_from(asked).sqrt() * ONE_YEAR).min(FACILITIES_DIFFER);
    WaterFactor {
        liters: LitersPerKwh::new(row.value),
        zone: Text::Static(row.region),
        source: Text::Static(row.source),
        year: row.year,
        uncertainty: Uncertainty::from_sigma(row.sigma.hypot(age)),
    }
}
