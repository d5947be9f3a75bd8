//! A configuration that has been checked: what runs later cannot meet a bad value.

use std::path::PathBuf;
use std::time::Duration;

use wattline_core::Text;

use crate::check::GRAMS_MAX;
use crate::config::{Config, Kind};
use crate::failure::OpenError;
use crate::provider::Provider;
use crate::provider::constant::Constant;
use crate::provider::electricity_maps::{self, ElectricityMaps};
use crate::provider::energy_charts::{self, EnergyCharts};
use crate::provider::entsoe::{self, EntsoE};
use crate::provider::file::{File, Form};
use crate::provider::uk::{self, Place, Uk};
use crate::provider::watttime::{self, WattTime};
use crate::secret::Secret;
use crate::web::Web;

/// What is needed to ask.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) provider: Box<dyn Provider>,
    pub(crate) source: &'static str,
    pub(crate) zone: Text,
    pub(crate) key: Key,
    pub(crate) refresh: Duration,
    pub(crate) timeout: Duration,
    pub(crate) max_age: Duration,
}

/// Where the key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// None is needed.
    Nowhere,
    /// It was given.
    Given(Secret),
    /// In a file, which is read for every question.
    File(PathBuf),
}

const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);

/// The label of a file's or a constant's zone where none is configured.
const CONFIGURED: &str = "configured";

impl Plan {
    /// Checks the configuration. `given` is what the environment holds under `key_env`.
    pub(crate) fn new(config: &Config, given: Option<&Secret>) -> Result<Self, OpenError> {
        between("refresh", config.refresh, MINUTE, DAY)?;
        between("timeout", config.timeout, Duration::from_millis(1), MINUTE)?;
        between("max_age", config.max_age, Duration::ZERO, 2 * DAY)?;
        foreign_keys(config)?;
        let key = key(config, given)?;
        let (provider, zone) = provider(config, key != Key::Nowhere)?;
        let Config { provider: kind, refresh, timeout, max_age, .. } = *config;
        Ok(Self { provider, source: kind.as_str(), zone: Text::from(zone), key, refresh, timeout, max_age })
    }
}

fn wrong(key: &'static str, problem: impl Into<String>) -> OpenError {
    OpenError { key, problem: problem.into() }
}

fn between(key: &'static str, value: Duration, least: Duration, most: Duration) -> Result<(), OpenError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    let show = humantime::format_duration;
    Err(wrong(key, format!("is {}; it must be between {} and {}", show(value), show(least), show(most))))
}

/// A key that does nothing would be believed to do something.
fn foreign_keys(config: &Config) -> Result<(), OpenError> {
    let kind = config.provider;
    let is_web = !matches!(kind, Kind::File | Kind::Constant);
    let takes_key = matches!(kind, Kind::ElectricityMaps | Kind::WattTime | Kind::EntsoE);
    let set = [
        ("endpoint", config.endpoint.is_some(), is_web),
        ("proxy", config.proxy.is_some(), is_web),
        ("ca_file", config.ca_file.is_some(), is_web),
        ("key_file", config.key_file.is_some(), takes_key),
        ("key_env", config.key_env.is_some(), takes_key),
        ("username", config.username.is_some(), kind == Kind::WattTime),
        ("signals", config.signals != Config::of(kind).signals, kind == Kind::WattTime),
        ("path", config.path.is_some(), kind == Kind::File),
        ("grams", config.grams.is_some(), kind == Kind::Constant),
    ];
    match set.into_iter().find(|(_, is_set, is_known)| *is_set && !is_known) {
        Some((key, _, _)) => Err(wrong(key, format!("means nothing to the provider {}; remove it", kind.as_str()))),
        None => Ok(()),
    }
}

fn key(config: &Config, given: Option<&Secret>) -> Result<Key, OpenError> {
    match (&config.key_file, &config.key_env) {
        (Some(_), Some(_)) => Err(wrong("key_env", "is set, and so is key_file; choose one")),
        (Some(path), None) => Ok(Key::File(path.clone())),
        (None, Some(name)) => match given.filter(|secret| !secret.reveal().trim().is_empty()) {
            Some(secret) => Ok(Key::Given(Secret::new(secret.reveal().trim()))),
            None => Err(wrong("key_env", format!("names {name}, which the environment does not hold"))),
        },
        (None, None) => match config.provider {
            Kind::WattTime | Kind::EntsoE => Err(wrong("key_file", "is missing, and so is key_env")),
            // A service of one's own may want none; the provider itself does.
            Kind::ElectricityMaps if config.endpoint.is_none() => {
                Err(wrong("key_file", "is missing, and so is key_env; only an endpoint of your own may want no key"))
            }
            _ => Ok(Key::Nowhere),
        },
    }
}

/// The provider and the name of its zone.
fn provider(config: &Config, secret: bool) -> Result<(Box<dyn Provider>, String), OpenError> {
    let web = |default| Web::new(config, default, secret);
    let zone = config.zone.as_deref().map(str::trim);
    if let Some(zone) = zone
        && (zone.is_empty() || zone.len() > 64 || !zone.bytes().all(|byte| byte.is_ascii_graphic()))
    {
        return Err(wrong("zone", "is not a word of 1 to 64 plain letters"));
    }
    let needed = |example: &str| {
        let missing = || wrong("zone", format!("is missing; name one of the provider's, such as {example}"));
        zone.map(str::to_owned).ok_or_else(missing)
    };
    Ok(match config.provider {
        Kind::ElectricityMaps => {
            let zone = needed("DE")?;
            (Box::new(ElectricityMaps { web: web(electricity_maps::ENDPOINT)?, zone: zone.clone() }), zone)
        }
        Kind::WattTime => {
            let region = needed("CAISO_NORTH")?;
            (Box::new(watttime(config, web(watttime::ENDPOINT)?, region.clone())?), region)
        }
        Kind::Uk => {
            let zone = zone.unwrap_or("GB").to_ascii_uppercase();
            let unknown = || wrong("zone", "is neither GB nor a region from 1 to 17 nor the first half of a postcode");
            let place = Place::parse(&zone).ok_or_else(unknown)?;
            let name = if place == Place::Country { zone } else { format!("GB-{zone}") };
            (Box::new(Uk { web: web(uk::ENDPOINT)?, place }), name)
        }
        Kind::EnergyCharts => {
            let country = needed("de")?.to_ascii_lowercase();
            (Box::new(EnergyCharts { web: web(energy_charts::ENDPOINT)?, country: country.clone() }), country)
        }
        Kind::EntsoE => {
            let domain = needed("10Y1001A1001A82H")?;
            // EIC reference manual: 16 characters, capitals, digits and hyphens.
            let is_code = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-';
            if domain.len() != 16 || !domain.bytes().all(is_code) {
                return Err(wrong("zone", "is not an EIC code of 16 characters, such as 10Y1001A1001A82H"));
            }
            (Box::new(EntsoE { web: web(entsoe::ENDPOINT)?, domain: domain.clone() }), domain)
        }
        Kind::File => (Box::new(file(config)?), zone.unwrap_or(CONFIGURED).to_owned()),
        Kind::Constant => (Box::new(constant(config)?), zone.unwrap_or(CONFIGURED).to_owned()),
    })
}

fn watttime(config: &Config, web: Web, region: String) -> Result<WattTime, OpenError> {
    let username = config.username.clone().filter(|name| !name.trim().is_empty());
    // In Basic, a colon ends the name.
    let Some(username) = username.filter(|name| !name.contains(':')) else {
        return Err(wrong("username", "is missing or holds a colon; it names the account at WattTime"));
    };
    let mut signals = config.signals.clone();
    signals.sort_unstable();
    signals.dedup();
    if signals.is_empty() {
        return Err(wrong("signals", "is empty; leave it out to ask for co2_aoer"));
    }
    Ok(WattTime { web, region, username, signals, token: None })
}

fn file(config: &Config) -> Result<File, OpenError> {
    let path = config.path.clone().ok_or_else(|| wrong("path", "is missing; it names the file"))?;
    let form = Form::of(&path).ok_or_else(|| wrong("path", "ends neither with .csv nor with .json"))?;
    Ok(File { path, form, timeout: config.timeout })
}

fn constant(config: &Config) -> Result<Constant, OpenError> {
    let grams = config.grams.ok_or_else(|| wrong("grams", "is missing; it is the value in gCO2e/kWh"))?;
    if !(0.0..=GRAMS_MAX).contains(&grams) {
        return Err(wrong("grams", format!("is {grams}; it must be between 0 and {GRAMS_MAX} gCO2e/kWh")));
    }
    Ok(Constant(grams))
}

#[cfg(test)]
mod tests;
