//! Power usage effectiveness: the energy of the whole facility for each joule of its machines.

use std::sync::LazyLock;

use wattline_core::{Ratio, Text, Uncertainty};

use super::table::Table;

const TABLE: Table = Table::new(include_str!("../../data/pue.csv"));

/// Power usage effectiveness of a place.
#[derive(Clone, Debug, PartialEq)]
pub struct Pue {
    /// Energy of the facility for each joule of the machine; not below 1.
    pub ratio: Ratio,
    /// Who published it and for what: `aws-2024-region`, `uptime-institute-2024-survey`, `configured`.
    pub source: Text,
    /// How wrong it may be.
    pub uncertainty: Uncertainty,
}

impl Pue {
    /// The user's own figure. Below 1 there is no such facility, so less counts as 1.
    pub fn configured(ratio: Ratio) -> Self {
        let ratio = ratio.max(Ratio::new(1.0));
        Self { ratio, source: Text::Static("configured"), uncertainty: Uncertainty::from_sigma(0.03) }
    }
}

/// The PUE of a cloud region; of the provider's fleet where the region is not known; of the average of all data
/// centres that answered the Uptime Institute where the provider is not.
pub fn pue(provider: Option<&str>, region: Option<&str>) -> Pue {
    let provider = provider.unwrap_or_default();
    let region = region.unwrap_or_default();
    let best = |provider: &str| {
        ROWS.iter()
            .filter(|row| row.provider.eq_ignore_ascii_case(provider) && row.fits(region))
            .max_by_key(|row| row.region.len())
    };
    match best(provider).or_else(|| best("")) {
        Some(row) => row.pue(),
        // Only an empty table leads here; a test holds that it is not.
        None => Pue::configured(Ratio::new(1.56)),
    }
}

static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| TABLE.rows().filter_map(Row::parse).collect());

#[derive(Debug)]
struct Row {
    provider: &'static str,
    region: &'static str,
    ratio: f64,
    sigma: f64,
    source: &'static str,
}

impl Row {
    fn parse([provider, region, ratio, sigma, source, _year, _licence]: [&'static str; 7]) -> Option<Self> {
        Some(Self { provider, region, ratio: ratio.parse().ok()?, sigma: sigma.parse().ok()?, source })
    }

    fn fits(&self, region: &str) -> bool {
        match self.region.strip_suffix('*') {
            Some(beginning) => region.starts_with(beginning),
            None => {
                // An availability zone is its region with one letter more.
                region
                    .strip_prefix(self.region)
                    .is_some_and(|rest| rest.len() <= 1 && rest.chars().all(|c| c.is_ascii_lowercase()))
            }
        }
    }

    fn pue(&self) -> Pue {
        Pue {
            ratio: Ratio::new(self.ratio),
            source: Text::Static(self.source),
            uncertainty: Uncertainty::from_sigma(self.sigma),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_parses_and_is_not_below_one() {
        super::super::table::check::<7>(TABLE, ROWS.len());
        for row in ROWS.iter() {
            assert!((1.0..2.0).contains(&row.ratio) && (0.01..0.5).contains(&row.sigma), "{row:?}");
        }
    }

    #[test]
    fn the_most_particular_row_wins() {
        let of = |provider, region| pue(provider, region);
        assert_eq!(of(Some("aws"), Some("eu-central-1")).ratio, Ratio::new(1.35));
        assert_eq!(of(Some("aws"), Some("eu-central-1b")).ratio, Ratio::new(1.35));
        assert_eq!(of(Some("aws"), Some("eu-west-2")).source.as_str(), "aws-2024-continent");
        assert_eq!(of(Some("aws"), Some("us-east-1")).ratio, Ratio::new(1.15));
        assert_eq!(of(Some("aws"), None).source.as_str(), "aws-2024-fleet");
        assert_eq!(of(Some("gcp"), Some("us-central1")).ratio, Ratio::new(1.09));
        assert_eq!(of(None, None).source.as_str(), "uptime-institute-2024-survey");
        assert_eq!(of(Some("somebody"), Some("eu-1")).ratio, Ratio::new(1.56));
        let sigma = |provider, region| pue(provider, region).uncertainty.sigma();
        assert!(sigma(Some("aws"), Some("us-east-1")) < sigma(Some("aws"), Some("us-gov-east-1")));
        assert!(sigma(Some("aws"), Some("us-gov-east-1")) < sigma(Some("aws"), None));
        assert!(sigma(Some("aws"), None) < sigma(None, None));
    }

    #[test]
    fn a_configured_pue_below_one_counts_as_one() {
        assert_eq!(Pue::configured(Ratio::new(0.4)).ratio, Ratio::new(1.0));
        assert_eq!(Pue::configured(Ratio::new(f64::NAN)).ratio, Ratio::new(1.0));
    }
}
