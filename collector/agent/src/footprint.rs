//! `wattline footprint`: the calculator on the command line.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::{Result, bail};
use serde::Serialize;
use wattline_core::{GramsPerKwh, Quantity, Ratio, Seconds, Timestamp, Watts};
use wattline_model::footprint::{
    CallFootprint, Footprint, MachineFootprint, MachineName, Own, Question, Range, Tokens,
};
use wattline_model::grid::{Intensity, Pue};
use wattline_model::hardware::Basis;

use crate::cli::FootprintArgs;
use crate::config::{self, Config};
use crate::place::Found;
use crate::units::{liters, mass, watt_hours, watts};

/// The answer, as a program reads it. Units stand in the names.
#[derive(Clone, Debug, Serialize)]
pub struct Answer {
    /// The agent's version.
    version: &'static str,
    /// Hours asked for.
    hours: f64,
    /// The place of the machine as found.
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<Place>,
    /// The machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    machine: Option<Machine>,
    /// The calls.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    calls: Vec<Call>,
    /// All together.
    total: Total,
    /// What was not known, and what stands in for it.
    notes: Vec<String>,
}

/// A figure with its 90 % range.
#[derive(Clone, Copy, Debug, Serialize)]
struct Figure {
    central: f64,
    low: f64,
    high: f64,
}

impl<Q: Quantity> From<Range<Q>> for Figure {
    fn from(Range { low, central, high }: Range<Q>) -> Self {
        Self { central: central.get(), low: low.get(), high: high.get() }
    }
}

#[derive(Clone, Debug, Serialize)]
struct Place {
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<String>,
    intensity_g_per_kwh: Figure,
    zone: String,
    intensity_source: String,
    intensity_tier: &'static str,
    pue: f64,
    pue_source: String,
}

#[derive(Clone, Debug, Serialize)]
struct Machine {
    name: String,
    description: String,
    /// `exact`, or what stands in for a type that no table has.
    basis: &'static str,
    tier: &'static str,
    family: String,
    count: u32,
    utilization: f64,
    utilization_is_assumed: bool,
    idle_w: f64,
    full_w: f64,
    power_w: Figure,
    parts: Vec<Part>,
    energy_j: Figure,
    operational_g: Figure,
    embodied_g: Figure,
    /// What having made one whole machine, or the guest's share of it, emitted.
    embodied_whole_g: Figure,
    #[serde(skip_serializing_if = "Option::is_none")]
    water_site_l: Option<Figure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    water_grid_l: Option<Figure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<Cost>,
}

#[derive(Clone, Debug, Serialize)]
struct Part {
    name: String,
    kind: &'static str,
    power_w: Figure,
}

#[derive(Clone, Debug, Serialize)]
struct Cost {
    usd: f64,
    /// `instance` or `electricity`.
    kind: &'static str,
    from: String,
}

#[derive(Clone, Debug, Serialize)]
struct Call {
    provider: String,
    model: String,
    input_tokens: u64,
    output_tokens: u64,
    calls: f64,
    /// Where the provider serves from, or is supposed to.
    place: Place,
    #[serde(skip_serializing_if = "Option::is_none")]
    energy_j: Option<Figure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operational_g: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    embodied_g: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    carbon_g: Option<Figure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_usd: Option<f64>,
}

#[derive(Clone, Debug, Serialize)]
struct Total {
    energy_j: Figure,
    operational_g: Figure,
    embodied_g: Figure,
    carbon_g: Figure,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_usd: Option<f64>,
}

/// Answers from the tables. What is not known stands in the notes; a name that cannot be a machine is an error.
pub fn answer(args: &FootprintArgs, config: &Config, now: Timestamp) -> Result<Answer> {
    let found = Found::of(args.place.region.as_deref().or(config.carbon.zone.as_deref()));
    let tokens = args.tokens.iter().map(|text| tokens(text, args.calls)).collect::<Result<Vec<_>>>()?;
    let at = args.place.at.map_or(now, |date| date.begin);
    let question = Question {
        machine: machine_name(args),
        count: args.count,
        time: Seconds::from_hours(args.hours),
        utilization: args.utilization.map(Ratio::new),
        calls: &tokens,
        place: wattline_model::grid::Place {
            intensity: config.carbon.intensity.map(GramsPerKwh::new),
            ..found.place()
        },
        at,
        year: args.place.at.map(|date| date.year),
        own: own(config, at),
    };
    let Some(footprint) = Footprint::of(&question) else {
        bail!("{:?} is no instance type; write one such as m7i.xlarge", args.instance.as_deref().unwrap_or_default());
    };
    Ok(Answer::new(args, &found, &footprint))
}

fn machine_name(args: &FootprintArgs) -> Option<MachineName> {
    let instance = args.instance.as_ref().map(|name| MachineName::Instance { name: name.clone() });
    let cpu = args.cpu.as_ref().zip(args.threads).map(|(model, threads)| MachineName::Cpu {
        model: model.clone(),
        threads,
        sockets: args.sockets,
        memory_gib: args.memory,
    });
    instance.or(cpu)
}

/// What the configuration knows better than the tables.
fn own(config: &Config, at: Timestamp) -> Own {
    Own {
        pue: config.carbon.pue.map(Ratio::new),
        electricity: config.cost.lists.electricity.as_ref().map(|tariff| tariff.at(at)),
        accelerators: watts_of(&config.machine),
        lifetime: Some(Seconds::new(config.carbon.lifetime_years * 365.0 * 24.0 * 3600.0)),
    }
}

/// What the configuration says that accelerators draw at most.
pub fn watts_of(machine: &config::Machine) -> BTreeMap<String, Watts> {
    machine.accelerator_watts.iter().map(|(name, watts)| (name.clone(), Watts::new(*watts))).collect()
}

/// `[PROVIDER/]MODEL:INPUT:OUTPUT`. Models may have colons and slashes in their names, so the numbers are the last two
/// parts, and a provider is only what the tables have as one.
fn tokens(text: &str, calls: f64) -> Result<Tokens> {
    let mut parts = text.rsplitn(3, ':');
    let (output, input, name) = (parts.next(), parts.next(), parts.next());
    let count = |part: Option<&str>| part.and_then(|part| part.trim().parse::<u64>().ok());
    let (Some(output), Some(input), Some(name)) = (count(output), count(input), name) else {
        bail!("--tokens {text}: write MODEL:INPUT:OUTPUT with whole numbers of tokens, such as gpt-4o:1200:300");
    };
    let (provider, model) = match name.split_once('/') {
        Some((provider, model)) if wattline_model::inference::is_provider(provider) => (Some(provider), model),
        _ => (None, name),
    };
    Ok(Tokens { provider: provider.map(str::to_owned), model: model.to_owned(), input, output, calls })
}

impl Place {
    fn of(found: &Found, intensity: &Intensity, pue: &Pue) -> Self {
        Self {
            provider: found.provider,
            region: found.region.clone(),
            intensity_g_per_kwh: Range::of(intensity.grams, intensity.uncertainty).into(),
            zone: intensity.zone.to_string(),
            intensity_source: intensity.source.to_string(),
            intensity_tier: intensity.tier.as_str(),
            pue: pue.ratio.get(),
            pue_source: pue.source.to_string(),
        }
    }

    fn line(&self) -> String {
        let Self { intensity_g_per_kwh, zone, intensity_source, intensity_tier, pue, pue_source, .. } = self;
        let grams = intensity_g_per_kwh.central;
        format!(
            "{grams:.0} gCO2e/kWh of {zone} ({intensity_source}, tier {intensity_tier}), PUE {pue:.2} ({pue_source})"
        )
    }
}

impl Answer {
    fn new(args: &FootprintArgs, found: &Found, footprint: &Footprint) -> Self {
        let Footprint { intensity, pue, water: _, machine, calls, total } = footprint;
        Self {
            version: env!("CARGO_PKG_VERSION"),
            hours: args.hours,
            place: machine.as_ref().map(|_| Place::of(found, intensity, pue)),
            machine: machine.as_ref().map(|machine| Machine::new(args.count, machine)),
            calls: calls.iter().map(Call::new).collect(),
            total: Total {
                energy_j: total.energy.into(),
                operational_g: total.operational.into(),
                embodied_g: total.embodied.into(),
                carbon_g: total.carbon.into(),
                cost_usd: total.cost.map(Quantity::get),
            },
            notes: notes(found, footprint),
        }
    }

    /// The answer on one screen.
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a string does not fail.
        self.write(&mut out).ok();
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        if let Some(machine) = &self.machine {
            machine.write(out, self.hours)?;
        }
        for call in &self.calls {
            call.write(out)?;
        }
        let Total { energy_j, operational_g, embodied_g, carbon_g, cost_usd } = &self.total;
        writeln!(out, "{:<20}{:>14}  90 % range", "TOTAL", "")?;
        line(out, "energy", *energy_j, watt_hours, "of the machines, without the facility's")?;
        let grid = self.place.as_ref().map_or_else(String::new, Place::line);
        line(out, "carbon, electricity", *operational_g, mass, &grid)?;
        line(out, "carbon, embodied", *embodied_g, mass, "the part of its life that the time asked for is")?;
        line(out, "carbon", *carbon_g, mass, "")?;
        if let Some(usd) = cost_usd {
            writeln!(out, "{:<20}{:>14}", "cost", format!("{} USD", money(*usd)))?;
        }
        for note in &self.notes {
            writeln!(out, "\nnote: {note}")?;
        }
        Ok(())
    }
}

impl Machine {
    fn new(count: u32, found: &MachineFootprint) -> Self {
        let whole = &found.embodied;
        Self {
            name: found.name.to_string(),
            description: found.description.clone(),
            basis: found.basis.as_str(),
            tier: found.tier.as_str(),
            family: found.family.to_string(),
            count,
            utilization: found.utilization.get(),
            utilization_is_assumed: found.is_utilization_assumed,
            idle_w: found.idle.get(),
            full_w: found.full.get(),
            power_w: found.power.into(),
            parts: found
                .parts
                .iter()
                .map(|part| Part { name: part.name.clone(), kind: part.kind.as_str(), power_w: part.power.into() })
                .collect(),
            energy_j: found.energy.into(),
            operational_g: found.operational.into(),
            embodied_g: found.embodied_share.into(),
            embodied_whole_g: Figure { central: whole.central.get(), low: whole.low.get(), high: whole.high.get() },
            water_site_l: found.water_site.map(Figure::from),
            water_grid_l: found.water_grid.map(Figure::from),
            cost: found.cost.as_ref().map(|cost| Cost {
                usd: cost.usd.get(),
                kind: cost.kind.as_str(),
                from: cost.from.to_string(),
            }),
        }
    }

    fn write(&self, out: &mut String, hours: f64) -> std::fmt::Result {
        let Self { name, description, basis, tier, family, count, utilization, idle_w, full_w, .. } = self;
        let many = if *count == 1 { String::new() } else { format!("{count} x ") };
        writeln!(out, "{many}{name} for {hours} h: {description}")?;
        writeln!(out, "known as: {basis}; power tier {tier}, by {family}")?;
        writeln!(out)?;
        let assumed = if self.utilization_is_assumed { ", assumed" } else { "" };
        writeln!(out, "{:<28}{:>9}  90 % range", format!("POWER at {:.0} % load{assumed}", utilization * 100.0), "")?;
        for Part { name, power_w, .. } in &self.parts {
            power_line(out, &format!("  {name}"), *power_w)?;
        }
        power_line(out, "one machine", self.power_w)?;
        writeln!(out, "{:<28}{:>9} to {}", "  from rest to full load", watts(*idle_w), watts(*full_w))?;
        writeln!(out)?;
        writeln!(out, "{:<20}{:>14}  90 % range", "MACHINE", "")?;
        line(out, "embodied, whole", self.embodied_whole_g, mass, "of making one, or the guest's share of it")?;
        for (what, figure) in [("water, site", self.water_site_l), ("water, grid", self.water_grid_l)] {
            if let Some(figure) = figure {
                line(out, what, figure, liters, "")?;
            }
        }
        if let Some(Cost { usd, kind, from }) = &self.cost {
            writeln!(out, "{:<20}{:>14}  {from}", format!("cost, {kind}"), format!("{} USD", money(*usd)))?;
        }
        writeln!(out)
    }
}

impl Call {
    fn new(found: &CallFootprint) -> Self {
        let Tokens { provider: _, model, input, output, calls } = &found.asked;
        Self {
            place: Place::of(&Found::default(), &found.place.intensity, &found.place.pue),
            provider: found.provider.to_string(),
            model: model.clone(),
            input_tokens: *input,
            output_tokens: *output,
            calls: *calls,
            energy_j: found.energy.map(Figure::from),
            operational_g: found.carbon.map(|carbon| carbon.operational.get()),
            embodied_g: found.carbon.map(|carbon| carbon.embodied.get()),
            carbon_g: found.carbon.map(|carbon| carbon.total.into()),
            cost_usd: found.cost.map(Quantity::get),
        }
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let Self { provider, model, input_tokens, output_tokens, calls, energy_j, carbon_g, cost_usd, .. } = self;
        let title = format!("{calls} x {provider} {model}, {input_tokens} tokens in and {output_tokens} out");
        writeln!(out, "{title}")?;
        writeln!(out)?;
        writeln!(out, "{:<20}{:>14}  90 % range", "CALLS", "")?;
        let grid = self.place.line();
        let rows = [("energy", energy_j, watt_hours as fn(f64) -> String, ""), ("carbon", carbon_g, mass, &grid)];
        for (what, figure, show, from) in rows {
            match figure {
                Some(figure) => line(out, what, *figure, show, from)?,
                None => writeln!(out, "{what:<20}{:>14}", "unknown")?,
            }
        }
        let price = cost_usd.map_or_else(|| "unknown".to_owned(), |usd| format!("{} USD", money(usd)));
        writeln!(out, "{:<20}{price:>14}", "cost")?;
        writeln!(out)
    }
}

fn line(out: &mut String, what: &str, figure: Figure, show: fn(f64) -> String, from: &str) -> std::fmt::Result {
    let Figure { central, low, high } = figure;
    let range = format!("{} to {}", show(low), show(high));
    writeln!(out, "{}", format!("{what:<20}{:>14}  {range:<32}{from}", show(central)).trim_end())
}

fn power_line(out: &mut String, name: &str, Figure { central, low, high }: Figure) -> std::fmt::Result {
    writeln!(out, "{name:<28}{:>9}  {} to {}", watts(central), watts(low), watts(high))
}

/// Dollars to the cent, and smaller sums to four digits.
fn money(usd: f64) -> String {
    let decimals = if usd == 0.0 || usd >= 1.0 {
        2
    } else {
        (4..12).find(|decimals| usd * 10f64.powi(*decimals) >= 1000.0).unwrap_or(12)
    };
    format!("{usd:.*}", usize::try_from(decimals).unwrap_or(2))
}

/// What was not known, with what stands in for it.
fn notes(found: &Found, footprint: &Footprint) -> Vec<String> {
    let needs_place = footprint.machine.is_some() || found.zone.is_some();
    let mut notes: Vec<String> = found.note.iter().filter(|_| needs_place).cloned().collect();
    if let Some(machine) = &footprint.machine {
        let near = machine.nearest.join(", ");
        match machine.basis {
            Basis::Exact => {}
            Basis::Default if near.is_empty() => {
                notes.push(format!("no table has the processor {}; any server stands in for it", machine.name));
            }
            basis => {
                let stand_in = match basis {
                    Basis::Size => "another size of its family, scaled,",
                    Basis::Family => "another generation of its family",
                    Basis::Exact | Basis::Default => "the usual count of virtual CPUs",
                };
                let name = &machine.name;
                notes.push(format!(
                    "no table has the type {name} (nearest: {near}); {stand_in} stands in, without a price"
                ));
            }
        }
        if machine.cost.is_none() && machine.basis == Basis::Exact {
            notes.push(format!("no table has a price of {}", machine.name));
        }
    }
    for call in &footprint.calls {
        let missing: Vec<&str> = call.unknown.iter().map(|unknown| unknown.as_str()).collect();
        if !missing.is_empty() {
            let near = if call.nearest.is_empty() { "none".to_owned() } else { call.nearest.join(", ") };
            notes.push(format!(
                "of {} no table has: {}; nothing is guessed (nearest models: {near})",
                call.asked.model,
                missing.join(", ")
            ));
        }
    }
    notes
}
