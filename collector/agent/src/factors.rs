//! `wattline factors`: what would be used for a place and a machine, from where, and how wrong it may be.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::{Result, bail};
use serde::Serialize;
use wattline_core::{GramsPerKwh, LitersPerKwh, Ratio, Seconds, Timestamp, Uncertainty};
use wattline_model::footprint::{Footprint, MachineName, Own, Question, Range};
use wattline_model::grid::{self, Grid, Intensity, Place, Pue, TableInfo, Tier, tables};
use wattline_model::hardware;

use crate::cli::FactorsArgs;
use crate::config::Config;
use crate::meaning::{self, table_age};
use crate::place::Found;
use crate::units::{mass, watts};
use crate::{footprint, live};

/// What would be used, as a program reads it. Units stand in the names.
#[derive(Clone, Debug, Serialize)]
pub struct Factors {
    /// The agent's version.
    version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<String>,
    /// The carbon intensity that is used.
    intensity: Grams,
    /// What else the tables have for the place, coarser or of another publisher. None of it is used.
    other_intensities: Vec<Grams>,
    pue: Factor,
    #[serde(skip_serializing_if = "Option::is_none")]
    water_site_l_per_kwh: Option<Factor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    water_grid_l_per_kwh: Option<Factor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    machine: Option<Machine>,
    /// Prices of services by the unit, in USD.
    unit_prices: Vec<UnitPrice>,
    tables: Vec<Table>,
    notes: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
struct Grams {
    g_per_kwh: f64,
    low: f64,
    high: f64,
    zone: String,
    source: String,
    tier: &'static str,
    estimated: bool,
}

#[derive(Clone, Debug, Serialize)]
struct Factor {
    value: f64,
    low: f64,
    high: f64,
    source: String,
}

#[derive(Clone, Debug, Serialize)]
struct Machine {
    name: String,
    description: String,
    basis: &'static str,
    tier: &'static str,
    family: String,
    idle_w: f64,
    half_w: f64,
    half_low_w: f64,
    half_high_w: f64,
    full_w: f64,
    embodied_g: f64,
    embodied_low_g: f64,
    embodied_high_g: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    usd_per_hour: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    price_from: Option<String>,
    accelerators: Vec<Accelerator>,
}

#[derive(Clone, Debug, Serialize)]
struct Accelerator {
    name: &'static str,
    count: f64,
    max_w: f64,
    /// `published`, or how the figure was arrived at.
    max_from: &'static str,
    idle_w: f64,
    embodied_g: f64,
    embodied_low_g: f64,
    embodied_high_g: f64,
}

#[derive(Clone, Debug, Serialize)]
struct UnitPrice {
    name: &'static str,
    unit: &'static str,
    usd: f64,
    source: &'static str,
}

/// A table inside the program.
#[derive(Clone, Debug, Serialize)]
pub struct Table {
    name: &'static str,
    version: &'static str,
    rows: usize,
    newest_year: u16,
    age_days: u64,
    licences: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attribution: Option<&'static str>,
}

impl Table {
    /// What there is to say of a table.
    pub fn of(table: TableInfo, now: Timestamp) -> Self {
        let age = std::time::Duration::try_from_secs_f64(table_age(&table, now).get()).unwrap_or_default();
        let TableInfo { name, version, attribution, licences, rows, newest_year } = table;
        Self { name, version, rows, newest_year, age_days: age.as_secs() / 86_400, licences, attribution }
    }

    /// In one line.
    pub fn line(&self) -> String {
        let Self { version, rows, newest_year, age_days, licences, .. } = self;
        let age = match age_days {
            0 => "newest".to_owned(),
            days => format!("{days} days since the end of"),
        };
        format!("version {version}, {rows} rows, {age} {newest_year}, {}", licences.join(" and "))
    }
}

/// Looks up what would be used.
pub fn look_up(args: &FactorsArgs, config: &Config, now: Timestamp) -> Result<Factors> {
    let found = Found::of_question(&args.place, config);
    let year = Some(args.place.at.map_or(grid::civil_year(now), |date| date.year));
    // What the configuration says of this place says nothing of another, or of another time.
    let is_here = footprint::is_here(&args.place);
    let place = Place { intensity: config.carbon.intensity.map(GramsPerKwh::new).filter(|_| is_here), ..found.place() };
    let machine = match &args.instance {
        Some(name) => {
            let at = args.place.at.map_or(now, |date| date.begin);
            let own = footprint::own(config, &args.place, Some(name), (at, Seconds::from_hours(1.0)));
            Some(machine(name, place, year, (at, own), &config.machine.accelerator_watts)?)
        }
        None => None,
    };
    let grid = Grid::builtin();
    let (live, live_note) = live(args, config);
    let used = live.unwrap_or_else(|| grid.intensity(&place, year));
    let others = grid.others(&place, year).iter().map(Grams::of).collect();
    let used_tier = used.tier;
    let own_pue = config.carbon.pue.filter(|_| is_here).map(|ratio| Pue::configured(Ratio::new(ratio)));
    let pue = own_pue.unwrap_or_else(|| grid::pue(found.provider, found.region.as_deref(), year));
    let water = grid::water(found.provider, found.region.as_deref(), found.zone.as_deref(), year);
    let factor = |water: grid::WaterFactor| Factor::of(water.liters.get(), water.uncertainty, &water.source);
    let own_water = config
        .carbon
        .wue
        .filter(|_| is_here)
        .map(|wue| Factor::of(LitersPerKwh::new(wue).get(), Uncertainty::from_sigma(0.10), "configured"));
    let (machine, machine_note) = machine.unzip();
    Ok(Factors {
        version: env!("CARGO_PKG_VERSION"),
        provider: found.provider,
        region: found.region.clone(),
        intensity: Grams::of(&used),
        other_intensities: others,
        pue: Factor::of(pue.ratio.get(), pue.uncertainty, &pue.source).not_below(1.0),
        water_site_l_per_kwh: own_water.or_else(|| water.site.map(factor)),
        water_grid_l_per_kwh: water.grid.map(factor),
        machine,
        unit_prices: config
            .cost
            .lists
            .units
            .iter()
            .map(|price| UnitPrice { name: price.name, unit: price.unit, usd: price.usd.get(), source: price.source })
            .collect(),
        tables: tables().into_iter().map(|table| Table::of(table, now)).collect(),
        notes: found
            .note
            .into_iter()
            .filter(|_| matches!(used_tier, Tier::World | Tier::Country))
            .chain(live_note)
            .chain(machine_note.flatten())
            .collect(),
    })
}

/// What the configured provider says of now, where neither another place nor another time is asked for.
fn live(args: &FactorsArgs, config: &Config) -> (Option<Intensity>, Option<String>) {
    let elsewhere = !footprint::is_here(&args.place) || config.carbon.intensity.is_some();
    let Some(provider) = config.carbon.live.as_ref().filter(|_| !elsewhere) else { return (None, None) };
    match live::ask_once(provider).map(|readings| live::now(provider, &readings)) {
        Ok(Some(value)) => (Some(meaning::of_now(value)), None),
        Ok(None) => (None, Some("carbon.live: the provider answers, and nothing of it holds now".to_owned())),
        Err(error) => (None, Some(format!("carbon.live: {error:#}"))),
    }
}

impl Grams {
    fn of(intensity: &Intensity) -> Self {
        let Intensity { grams, zone, source, year: _, tier, estimated, uncertainty } = intensity;
        let Range { low, central, high } = Range::of(*grams, *uncertainty);
        Self {
            g_per_kwh: central.get(),
            low: low.get(),
            high: high.get(),
            zone: zone.to_string(),
            source: source.to_string(),
            tier: tier.as_str(),
            estimated: *estimated,
        }
    }

    fn write(&self, out: &mut String, what: &str) -> std::fmt::Result {
        let Self { g_per_kwh, low, high, zone, source, tier, estimated } = self;
        let stands_in = if *estimated { ", stands in" } else { "" };
        writeln!(
            out,
            "  {what:<8}{g_per_kwh:>7.1} gCO2e/kWh  {:<18} {zone} ({source}, tier {tier}{stands_in})",
            format!("{low:.0} to {high:.0}")
        )
    }
}

impl Factor {
    fn of(value: f64, uncertainty: Uncertainty, source: &str) -> Self {
        let factor = uncertainty.factor();
        Self { value, low: value / factor, high: value * factor, source: source.to_owned() }
    }

    /// A facility draws no less than its machines.
    fn not_below(self, least: f64) -> Self {
        Self { low: self.low.max(least), ..self }
    }

    fn write(&self, out: &mut String, what: &str, unit: &str) -> std::fmt::Result {
        let Self { value, low, high, source } = self;
        let range = format!("{low:.2} to {high:.2}");
        writeln!(out, "  {what:<8}{value:>7.2} {unit:<11} {range:<18} {source}")
    }
}

/// The machine as the calculator sees it at rest, half load and full load, and a note where it is not in the tables.
fn machine(
    name: &str,
    place: Place<'_>,
    year: Option<u16>,
    (at, own): (Timestamp, Own),
    accelerator_watts: &BTreeMap<String, f64>,
) -> Result<(Machine, Option<String>)> {
    let question = Question {
        machine: Some(MachineName::Instance { name: name.to_owned() }),
        count: 1,
        time: Seconds::from_hours(1.0),
        utilization: Some(Ratio::new(0.5)),
        calls: &[],
        place,
        at,
        year,
        own,
    };
    let Some(found) = Footprint::of(&question).and_then(|footprint| footprint.machine) else {
        let near = hardware::nearest_instances(name).join(", ");
        bail!("{name:?} is no instance type of AWS, the only cloud whose types are known (nearest: {near})");
    };
    let fitted = hardware::instance("aws", name).map(|matched| matched.instance.accelerators).unwrap_or_default();
    let note = (!found.nearest.is_empty()).then(|| {
        let stand_in = found.stands_in.unwrap_or("the usual count of virtual CPUs");
        format!("no table has the type {name} (nearest: {}); {stand_in} stands in", found.nearest.join(", "))
    });
    let machine = Machine {
        name: found.name.to_string(),
        description: found.description,
        basis: found.basis.as_str(),
        tier: found.tier.as_str(),
        family: found.family.to_string(),
        idle_w: found.idle.get(),
        half_w: found.power.central.get(),
        half_low_w: found.power.low.get(),
        half_high_w: found.power.high.get(),
        full_w: found.full.get(),
        embodied_g: found.embodied.central.get(),
        embodied_low_g: found.embodied.low.get(),
        embodied_high_g: found.embodied.high.get(),
        usd_per_hour: found.cost.as_ref().map(|cost| cost.usd.get()),
        price_from: found.cost.map(|cost| cost.from.to_string()),
        accelerators: fitted.iter().map(|fitted| Accelerator::of(fitted, accelerator_watts)).collect(),
    };
    Ok((machine, note))
}

impl Accelerator {
    fn of(fitted: &hardware::Fitted, own: &BTreeMap<String, f64>) -> Self {
        let hardware::Fitted { accelerator, count } = *fitted;
        let named = |name: &str| hardware::accelerator(name).is_some_and(|named| named.id == accelerator.id);
        let own = own.iter().find(|(name, _)| named(name)).map(|(_, watts)| *watts);
        Self {
            name: accelerator.name,
            count,
            max_w: own.unwrap_or(accelerator.max.get()),
            max_from: if own.is_some() { "configured" } else { accelerator.max_basis.as_str() },
            idle_w: accelerator.idle.get(),
            embodied_g: accelerator.embodied.central.get(),
            embodied_low_g: accelerator.embodied.low.get(),
            embodied_high_g: accelerator.embodied.high.get(),
        }
    }
}

impl Factors {
    /// On one screen.
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a string does not fail.
        self.write(&mut out).ok();
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let place = match (self.provider, &self.region) {
            (Some(provider), Some(region)) => format!("{provider} {region}"),
            _ => self.intensity.zone.clone(),
        };
        writeln!(out, "{:<38}{:<18} from", format!("PLACE {place}"), "90 % range")?;
        self.intensity.write(out, "carbon")?;
        for other in &self.other_intensities {
            other.write(out, "  else")?;
        }
        self.pue.write(out, "PUE", "")?;
        for (what, water) in [("site", &self.water_site_l_per_kwh), ("plants", &self.water_grid_l_per_kwh)] {
            if let Some(water) = water {
                water.write(out, what, "L/kWh water")?;
            }
        }
        if let Some(machine) = &self.machine {
            machine.write(out)?;
        }
        writeln!(out, "\nUNIT PRICES")?;
        for UnitPrice { name, unit, usd, source } in &self.unit_prices {
            writeln!(out, "  {name:<38}{:>10} USD for each {unit} ({source})", format!("{usd}"))?;
        }
        writeln!(out, "\nTABLES")?;
        for table in &self.tables {
            writeln!(out, "  {:<22}{}", table.name, table.line())?;
        }
        let mut attributions: Vec<&str> = self.tables.iter().filter_map(|table| table.attribution).collect();
        attributions.sort_unstable();
        attributions.dedup();
        writeln!(out)?;
        for attribution in attributions {
            writeln!(out, "{attribution}")?;
        }
        for note in &self.notes {
            writeln!(out, "\nnote: {note}")?;
        }
        Ok(())
    }
}

impl Machine {
    fn write(&self, out: &mut String) -> std::fmt::Result {
        let Self { name, description, basis, tier, family, idle_w, half_w, half_low_w, half_high_w, full_w, .. } = self;
        writeln!(out, "\nMACHINE {name}: {description}")?;
        writeln!(out, "  {:<10}{basis}; power tier {tier}, by {family}", "known as")?;
        writeln!(
            out,
            "  {:<10}{} at rest, {} at half load ({} to {}), {} at full load",
            "power",
            watts(*idle_w),
            watts(*half_w),
            watts(*half_low_w),
            watts(*half_high_w),
            watts(*full_w)
        )?;
        let range = format!("{} to {}", mass(self.embodied_low_g), mass(self.embodied_high_g));
        writeln!(out, "  {:<10}{} ({range})", "embodied", mass(self.embodied_g))?;
        match (&self.usd_per_hour, &self.price_from) {
            (Some(usd), Some(from)) => writeln!(out, "  {:<10}{usd} USD/h {from}", "price")?,
            _ => writeln!(out, "  {:<10}unknown", "price")?,
        }
        for Accelerator { name, count, max_w, max_from, idle_w, .. } in &self.accelerators {
            writeln!(
                out,
                "  {:<10}{count} x {name}: {} at rest, {} at most ({max_from})",
                "with",
                watts(*idle_w),
                watts(*max_w)
            )?;
        }
        Ok(())
    }
}
