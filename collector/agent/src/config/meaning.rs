//! What the machine is, and what its joules and hours mean in carbon, water and money.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use wattline_model::cost::{PriceBook, Tariff, TariffSpec, UnitPrices};
use wattline_model::grid::Grid;
use wattline_model::hardware::{PriceFile, accelerator};

use super::{ConfigError, check};
use crate::live;

/// What the machine is, where neither its cloud nor its firmware tells.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Machine {
    /// `cloud.provider`: `aws`, `gcp` or `azure`.
    pub provider: Option<String>,
    /// `cloud.region`.
    pub region: Option<String>,
    /// The instance type, such as `m7i.xlarge`.
    pub instance_type: Option<String>,
    /// The most that an accelerator draws in watts, by its name, where you know better than the tables.
    pub accelerator_watts: BTreeMap<String, f64>,
}

/// What a kilowatt-hour means for the climate.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Carbon {
    /// Where the machine stands: a country (`DE`, `DEU`), a US state (`US-VA`) or a zone of a grid (`US-MIDA-PJM`). In a
    /// cloud the region tells.
    pub zone: Option<String>,
    /// Carbon intensity in gCO2e/kWh, where you know better than the tables.
    pub intensity: Option<f64>,
    /// Power usage effectiveness of the facility, 1 or more, where you know better than the tables.
    pub pue: Option<f64>,
    /// Carbon intensity by your contract of supply in gCO2e/kWh: tells `host.carbon.market` beside the other.
    pub market: Option<f64>,
    /// Whether what making the machine emitted is reckoned.
    pub embodied: bool,
    /// What making the whole machine emitted in kilograms of CO2e, where its maker has declared it.
    pub embodied_kg: Option<f64>,
    /// For how many years a machine is used.
    pub lifetime_years: f64,
    /// Whether water is told.
    pub water: bool,
    /// Water used on the site in litres per kWh of the machines, where you know better than the tables.
    pub wue: Option<f64>,
    /// Who is asked for the intensity of now.
    pub live: Option<wattline_probe_intensity::Config>,
}

impl Default for Carbon {
    fn default() -> Self {
        Self {
            zone: None,
            intensity: None,
            pue: None,
            market: None,
            embodied: true,
            embodied_kg: None,
            lifetime_years: 4.0,
            water: false,
            wue: None,
            live: None,
        }
    }
}

/// What a kilowatt-hour, an hour and a token cost.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cost {
    /// Price of electricity in USD per kWh, or prices by the time of use; by default 0.12, and none in a cloud, where
    /// it is in the rent.
    pub electricity: Option<TariffSpec>,
    /// What this machine costs in USD an hour; by default what the table has for its type and region.
    pub instance: Option<f64>,
    /// A file of instance prices of your own.
    pub instance_prices: Option<PathBuf>,
    /// A file of token prices of your own.
    pub token_prices: Option<PathBuf>,
    /// Prices of services by the unit, by their names.
    pub units: BTreeMap<String, f64>,
    /// What the keys above lead to, read once with the configuration.
    #[serde(skip)]
    pub lists: Arc<Lists>,
}

/// Price lists of the user's own, read and checked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lists {
    /// The price of electricity.
    pub electricity: Option<Tariff>,
    /// Instances.
    pub instances: PriceFile,
    /// Tokens.
    pub tokens: PriceBook,
    /// Services.
    pub units: UnitPrices,
}

impl Machine {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let Self { provider, region, instance_type, accelerator_watts } = self;
        for (name, watts) in accelerator_watts {
            let key = format!("machine.accelerator_watts.{name}");
            if accelerator(name).is_none() {
                let message =
                    "no table has this accelerator; write one such as trainium2, inferentia2 or h100".to_owned();
                return Err(ConfigError::Part { key, message });
            }
            if !(1.0..=10_000.0).contains(watts) {
                return Err(ConfigError::Part { key, message: format!("{watts}: write watts, 1 to 10000") });
            }
        }
        if let Some(provider) = provider {
            let known = ["aws", "gcp", "azure"].contains(&provider.as_str());
            check(known, "machine.provider", || provider.clone(), "aws, gcp or azure")?;
        }
        let Some(provider) = provider.as_deref() else {
            let named = region.as_ref().map(|region| ("machine.region", region));
            let named = named.or(instance_type.as_ref().map(|name| ("machine.instance_type", name)));
            return match named {
                None => Ok(()),
                Some((key, value)) => {
                    check(false, key, || value.clone(), "nothing, or machine.provider beside it: aws, gcp or azure")
                }
            };
        };
        let Some(region) = region else { return Ok(()) };
        let grid = Grid::builtin();
        if grid.region(provider, region).is_some() {
            return Ok(());
        }
        let near = grid.nearest_regions(provider, region).join(", ");
        Err(ConfigError::Part {
            key: format!("machine.region = {region}"),
            message: format!("{provider} has no such region in the table; the nearest are {near}"),
        })
    }
}

impl Carbon {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let Self { zone, intensity, pue, market, embodied_kg, lifetime_years, wue, embodied: _, water: _, live } = self;
        if let Some((zone, cloud)) = zone.as_deref().and_then(|zone| Some((zone, Grid::builtin().cloud_of(zone)?))) {
            return Err(ConfigError::Part {
                key: format!("carbon.zone = {zone}"),
                message: format!("this is a region of {cloud}: set machine.provider and machine.region instead"),
            });
        }
        if let Some(zone) = zone.as_deref().filter(|zone| !Grid::builtin().knows(zone)) {
            let near = Grid::builtin().nearest_zones(zone).join(", ");
            return Err(ConfigError::Part {
                key: format!("carbon.zone = {zone}"),
                message: format!(
                    "write a country such as DE, a US state such as US-VA or a zone of a grid; the nearest are {near}"
                ),
            });
        }
        let grams = |key, value: &Option<f64>| match *value {
            Some(grams) => check((0.0..=5000.0).contains(&grams), key, || grams.to_string(), "gCO2e/kWh, 0 to 5000"),
            None => Ok(()),
        };
        grams("carbon.intensity", intensity)?;
        grams("carbon.market", market)?;
        if let Some(pue) = *pue {
            check((1.0..=5.0).contains(&pue), "carbon.pue", || pue.to_string(), "a ratio from 1 to 5")?;
        }
        if let Some(wue) = *wue {
            check((0.0..=20.0).contains(&wue), "carbon.wue", || wue.to_string(), "litres per kWh, 0 to 20")?;
        }
        if let Some(kg) = *embodied_kg {
            let fine = (0.0..=1e6).contains(&kg);
            check(fine, "carbon.embodied_kg", || kg.to_string(), "kilograms of CO2e, 0 to 1000000")?;
        }
        if let Some(live) = live {
            live::check(live).map_err(|error| part(format!("carbon.live.{}", error.key), error.problem))?;
        }
        let years = *lifetime_years;
        check((0.5..=30.0).contains(&years), "carbon.lifetime_years", || years.to_string(), "years, 0.5 to 30")
    }
}

impl Cost {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if let Some(usd) = self.instance {
            let fine = (0.0..=10_000.0).contains(&usd);
            check(fine, "cost.instance", || usd.to_string(), "USD an hour, 0 to 10000")?;
        }
        Ok(())
    }
}

impl Lists {
    /// Reads the files that `cost` names, and checks what it says itself.
    pub fn read(cost: &Cost) -> Result<Self, ConfigError> {
        let Cost { electricity, instance: _, instance_prices, token_prices, units, lists: _ } = cost;
        let tariff =
            electricity.as_ref().map(|spec| Tariff::new(spec).map_err(|error| part("cost.electricity", error)));
        Ok(Self {
            electricity: tariff.transpose()?,
            instances: file("cost.instance_prices", instance_prices.as_deref(), PriceFile::parse)?,
            tokens: file("cost.token_prices", token_prices.as_deref(), PriceBook::parse)?,
            units: UnitPrices::with(units).map_err(|error| part("cost.units", error))?,
        })
    }
}

fn part(key: impl Into<String>, error: impl std::fmt::Display) -> ConfigError {
    ConfigError::Part { key: key.into(), message: error.to_string() }
}

fn file<T: Default, E: std::fmt::Display>(
    key: &'static str,
    path: Option<&Path>,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, ConfigError> {
    let Some(path) = path else { return Ok(T::default()) };
    #[expect(clippy::disallowed_methods, reason = "the configuration names the user's file")]
    let text = std::fs::read_to_string(path);
    let named = format!("{key} = {}", path.display());
    parse(&text.map_err(|error| part(named.clone(), error))?).map_err(|error| part(named, error))
}
