//! What can be configured, under `[carbon.live]`.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::secret::Secret;

/// Where live carbon intensity comes from. Only `provider` has no default: nobody is asked whom nobody named.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Who is asked: `electricity_maps`, `watttime`, `uk`, `energy_charts`, `entsoe`, `file` or `constant`.
    pub provider: Kind,
    /// The zone, as the provider names it. Electricity Maps: `DE`, `US-MIDA-PJM`. `WattTime`: `CAISO_NORTH`. UK: `GB`
    /// (the default), a region from `1` to `17`, or the first half of a postcode, `SW1A`. Energy-Charts: a country,
    /// `de`. ENTSO-E: the EIC code of a bidding zone, `10Y1001A1001A82H`. With `file` and `constant` it is only a
    /// label; default `configured`.
    #[serde(default)]
    pub zone: Option<String>,
    /// The address of the service in place of the provider's own: a proxy, or one of your own that speaks the same
    /// API. Default: the provider's.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// The time between two questions. At least `1m`. Default `15m`.
    #[serde(default = "Config::default_refresh", with = "humantime_serde")]
    pub refresh: Duration,
    /// The longest time for one answer. Default `5s`.
    #[serde(default = "Config::default_timeout", with = "humantime_serde")]
    pub timeout: Duration,
    /// How long after the end of its interval a value is still used, as stale. Then the yearly average takes its
    /// place. Default `6h`.
    #[serde(default = "Config::default_max_age", with = "humantime_serde")]
    pub max_age: Duration,
    /// A file that holds the key (Electricity Maps, ENTSO-E) or the password (`WattTime`) and nothing else. It is read
    /// again for every question, so that a new key is used at once. Default none.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
    /// The environment variable that holds it instead. Default none.
    #[serde(default)]
    pub key_env: Option<String>,
    /// The account that the password belongs to (`WattTime`). Default none.
    #[serde(default)]
    pub username: Option<String>,
    /// What is asked of `WattTime`: `co2_aoer`, the average that is accounted with, `co2_moer`, the marginal rate that
    /// is shown beside it and never summed, or both. Default `["co2_aoer"]`.
    #[serde(default = "Config::default_signals")]
    pub signals: Vec<Signal>,
    /// The file of the provider `file`: JSON or CSV, told apart by the ending. Default none.
    #[serde(default)]
    pub path: Option<PathBuf>,
    /// The value of the provider `constant`, in gCO2e/kWh, 0 to 3000. Default none.
    #[serde(default)]
    pub grams: Option<f64>,
    /// An HTTP proxy, such as `http://user:password@proxy:3128`. Default none; the environment is not asked.
    #[serde(default)]
    pub proxy: Option<Secret>,
    /// Authorities to trust instead of the system's, as a PEM file. Default none.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

/// A provider of carbon intensity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Electricity Maps, API version 3, or a service of your own that speaks it.
    ElectricityMaps,
    /// `WattTime`, API version 3.
    #[serde(rename = "watttime")]
    WattTime,
    /// The Carbon Intensity API of NESO, the system operator of Great Britain.
    Uk,
    /// Energy-Charts of Fraunhofer ISE.
    EnergyCharts,
    /// The transparency platform of ENTSO-E; the intensity is computed from generation by fuel.
    #[serde(rename = "entsoe")]
    EntsoE,
    /// A file.
    File,
    /// One value for ever.
    Constant,
}

impl Kind {
    /// The word in the configuration, and the value of `carbon.source`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ElectricityMaps => "electricity_maps",
            Self::WattTime => "watttime",
            Self::Uk => "uk",
            Self::EnergyCharts => "energy_charts",
            Self::EntsoE => "entsoe",
            Self::File => "file",
            Self::Constant => "constant",
        }
    }
}

/// A signal of `WattTime`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum Signal {
    /// Average operating emissions rate.
    #[serde(rename = "co2_aoer")]
    Average,
    /// Marginal operating emissions rate.
    #[serde(rename = "co2_moer")]
    Marginal,
}

impl Config {
    /// A provider with the default of every other key.
    pub fn of(provider: Kind) -> Self {
        Self {
            provider,
            zone: None,
            endpoint: None,
            refresh: Self::default_refresh(),
            timeout: Self::default_timeout(),
            max_age: Self::default_max_age(),
            key_file: None,
            key_env: None,
            username: None,
            signals: Self::default_signals(),
            path: None,
            grams: None,
            proxy: None,
            ca_file: None,
        }
    }

    const fn default_refresh() -> Duration {
        Duration::from_mins(15)
    }

    const fn default_timeout() -> Duration {
        Duration::from_secs(5)
    }

    const fn default_max_age() -> Duration {
        Duration::from_hours(6)
    }

    fn default_signals() -> Vec<Signal> {
        vec![Signal::Average]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_left_out_have_their_defaults_and_unknown_ones_are_refused() {
        let config: Config = toml::from_str("provider = \"uk\"").unwrap();
        assert_eq!(config, Config::of(Kind::Uk));
        assert_eq!((config.refresh, config.timeout), (Duration::from_mins(15), Duration::from_secs(5)));
        for wrong in ["", "provider = \"uk\"\nkey = \"x\"", "provider = \"none\"", "provider = \"uk\"\nrefresh = 5"] {
            assert!(toml::from_str::<Config>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_words_of_the_configuration_are_those_of_the_source() {
        for kind in ["electricity_maps", "watttime", "uk", "energy_charts", "entsoe", "file", "constant"] {
            let config: Config = toml::from_str(&format!("provider = \"{kind}\"")).unwrap();
            assert_eq!(config.provider.as_str(), kind);
        }
    }

    #[test]
    fn a_proxy_with_a_password_does_not_print() {
        let config: Config = toml::from_str("provider = \"uk\"\nproxy = \"http://u:s3cret@p\"").unwrap();
        assert!(!format!("{config:?}").contains("s3cret"));
    }
}
