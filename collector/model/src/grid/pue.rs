//! Power usage effectiveness: the energy of the whole facility for each joule of its machines.

use std::sync::LazyLock;

use wattline_core::{Ratio, Text, Uncertainty};

use super::Grid;
use super::site::{self, Site};
use super::table::Table;
use super::yearly::Yearly;

pub(super) const TABLE: Table = Table::new(include_str!("../../data/pue.csv"));

/// What a year of distance adds. Source: AWS's regions from one year to the next, 2022 to 2025, 54 pairs: 2.9 % in the
/// root mean square.
const EACH_YEAR: f64 = 0.03;

/// Nor does the distance of many years make a known facility less certain than an unknown one. So far may a Local Zone,
/// which often is a room in somebody else's facility, lie from its region.
const FACILITIES_DIFFER: f64 = 0.2;

/// Power usage effectiveness of a place.
#[derive(Clone, Debug, PartialEq)]
pub struct Pue {
    /// Energy of the facility for each joule of the machine; not below 1.
    pub ratio: Ratio,
    /// Who published it and for what: `aws-2024-region`, `uptime-institute-2024-survey`, `configured`.
    pub source: Text,
    /// The year it averages over; `None` for the user's own figure.
    pub year: Option<u16>,
    /// How wrong it may be for the place and the year asked for.
    pub uncertainty: Uncertainty,
}

impl Pue {
    /// The user's own figure. Below 1 there is no such facility, so less counts as 1.
    pub fn configured(ratio: Ratio) -> Self {
        let ratio = ratio.max(Ratio::new(1.0));
        Self { ratio, source: Text::Static("configured"), year: None, uncertainty: Uncertainty::from_sigma(0.03) }
    }
}

/// The PUE of a cloud region in a year, or now; of the provider's fleet where the region is not known; of the average of
/// all data centres that answered the Uptime Institute where the provider is not. The nearest year stands for one that
/// was not published, and a region for its Local Zones, less certain there.
pub fn pue(provider: Option<&str>, region: Option<&str>, year: Option<u16>) -> Pue {
    let place = provider.zip(region).and_then(|(provider, region)| Grid::builtin().region(provider, region));
    let region = place.map_or(region.unwrap_or_default(), |place| place.name);
    let elsewhere = if place.is_some_and(|place| place.local_zone.is_some()) { FACILITIES_DIFFER } else { 0.0 };
    let find = |provider: &str| site::find(&ROWS, provider, region, year);
    match find(provider.unwrap_or_default()).or_else(|| find("")) {
        Some(row) => of_row(row, year, elsewhere),
        // Only an empty table leads here; a test holds that it is not.
        None => Pue::configured(Ratio::new(1.56)),
    }
}

static ROWS: LazyLock<Vec<Site>> = LazyLock::new(|| site::parse(TABLE));

fn of_row(row: &Site, asked: Option<u16>, elsewhere: f64) -> Pue {
    let age = (row.years_from(asked) * EACH_YEAR).min(FACILITIES_DIFFER);
    Pue {
        ratio: Ratio::new(row.value),
        source: Text::Static(row.source),
        year: Some(row.year),
        uncertainty: Uncertainty::from_sigma(row.sigma.hypot(age).hypot(elsewhere)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_row_parses_and_is_not_below_one() {
        super::super::table::check::<7>(TABLE, ROWS.len());
        for row in ROWS.iter() {
            assert!((1.0..2.0).contains(&row.value) && (0.01..0.5).contains(&row.sigma), "{row:?}");
        }
        super::super::table::keys_once::<7>(TABLE, &["provider", "region", "year"]);
    }

    #[test]
    fn the_most_particular_row_wins() {
        let of = |provider, region| pue(provider, region, Some(2024));
        assert_eq!(of(Some("aws"), Some("eu-central-1")).ratio, Ratio::new(1.35));
        assert_eq!(of(Some("aws"), Some("eu-central-1b")).ratio, Ratio::new(1.35));
        assert_eq!(of(Some("aws"), Some("eu-central-2")).source.as_str(), "aws-2024-continent");
        assert_eq!(of(Some("aws"), Some("us-east-1")).ratio, Ratio::new(1.15));
        assert_eq!(of(Some("aws"), None).source.as_str(), "aws-2024-fleet");
        assert_eq!(of(Some("gcp"), Some("us-central1-f")).source.as_str(), "google-2025-campus");
        assert_eq!(of(Some("gcp"), Some("us-west2")).ratio, Ratio::new(1.09));
        assert_eq!(of(None, None).source.as_str(), "uptime-institute-2024-survey");
        assert_eq!(of(Some("somebody"), Some("eu-1")).ratio, Ratio::new(1.56));
        let sigma = |provider, region| of(provider, region).uncertainty.sigma();
        assert!(sigma(Some("aws"), Some("us-east-1")) < sigma(Some("aws"), Some("us-gov-east-1")));
        assert!(sigma(Some("aws"), Some("us-gov-east-1")) < sigma(Some("aws"), None));
        assert!(sigma(Some("aws"), None) < sigma(None, None));
    }

    #[test]
    fn azure_is_what_microsoft_published_and_not_what_others_print() {
        // Cloud Carbon Footprint prints 1.185 and 1.125 on one page; Microsoft's fleet was 1.18, its newest design 1.12.
        assert_eq!(pue(Some("azure"), None, Some(2021)).ratio, Ratio::new(1.18));
        assert_eq!(pue(Some("azure"), None, None).ratio, Ratio::new(1.16));
        assert_eq!(pue(Some("azure"), Some("southeastasia"), None).ratio, Ratio::new(1.3));
        assert_eq!(pue(Some("azure"), Some("japaneast"), None).ratio, Ratio::new(1.28));
    }

    #[test]
    fn a_past_year_has_its_own_figure() {
        let frankfurt = |year| pue(Some("aws"), Some("eu-central-1"), year);
        let ratios = [2022, 2023, 2024, 2025].map(|year| frankfurt(Some(year)).ratio);
        assert_eq!(ratios, [1.32, 1.33, 1.35, 1.24].map(Ratio::new));
        assert_eq!(frankfurt(None).year, Some(2025));
        assert_eq!(frankfurt(Some(2010)).year, Some(2022));
        assert!(frankfurt(Some(2010)).uncertainty.sigma() > frankfurt(Some(2022)).uncertainty.sigma());
    }

    #[test]
    fn a_configured_pue_below_one_counts_as_one() {
        assert_eq!(Pue::configured(Ratio::new(0.4)).ratio, Ratio::new(1.0));
        assert_eq!(Pue::configured(Ratio::new(f64::NAN)).ratio, Ratio::new(1.0));
    }

    proptest! {
        #[test]
        fn any_place_and_year_has_a_pue(provider in "aws|gcp|azure|\\PC{0,6}", region in "\\PC{0,16}", year in any::<u16>()) {
            let found = pue(Some(&provider), Some(&region), Some(year));
            prop_assert!((1.0..2.0).contains(&found.ratio.get()));
            prop_assert!((0.02..0.4).contains(&found.uncertainty.sigma()));
        }
    }
}
