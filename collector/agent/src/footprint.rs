//! `wattline footprint`: the calculator on the command line.

mod notes;
mod page;

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use serde::Serialize;
use wattline_core::{GramsCo2e, GramsPerKwh, LitersPerKwh, Quantity, Ratio, Seconds, Timestamp, UsdPerHour, Watts};
use wattline_model::footprint::{
    self, CallFootprint, Footprint, MachineFootprint, MachineName, Own, Question, Range, Tokens,
};
use wattline_model::grid::{self, Intensity, Pue};
use wattline_model::hardware;
use wattline_model::inference::{TokenPrices, ecologits};

use crate::cli::{FootprintArgs, Where};
use crate::config::{self, Config};
use crate::place::Found;

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
    /// Nobody said where: the place is supposed, or a larger one stands in.
    is_estimated: bool,
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
    /// Which tier of the power model knows it.
    tier: &'static str,
    /// Nobody publishes its greatest power: it is an estimate of ours.
    is_estimate: bool,
    power_w: Figure,
}

#[derive(Clone, Debug, Serialize)]
struct Cost {
    usd: f64,
    /// `instance` or `electricity`.
    kind: &'static str,
    from: String,
    /// It is another region's price, which is not in the total.
    is_hint: bool,
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
    /// The model of its energy.
    energy_model: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    energy_j: Option<Figure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operational_g: Option<Figure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    embodied_g: Option<Figure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    carbon_g: Option<Figure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_usd: Option<f64>,
}

/// Absent figures are those of which a part is not known.
#[derive(Clone, Debug, Serialize)]
struct Total {
    #[serde(flatten)]
    impact: Option<Impact>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_usd: Option<f64>,
}

/// Answers from the tables. What is not known stands in the notes; a name that cannot be a machine is an error.
pub fn answer(args: &FootprintArgs, config: &Config, now: Timestamp) -> Result<Answer> {
    let found = Found::of_question(&args.place, config);
    let tokens = args.tokens.iter().map(|text| tokens(text, args.calls)).collect::<Result<Vec<_>>>()?;
    let at = args.place.at.map_or(now, |date| date.begin);
    let time = Seconds::from_hours(args.hours);
    let intensity = config.carbon.intensity.map(GramsPerKwh::new).filter(|_| is_here(&args.place));
    let question = Question {
        machine: machine_name(args),
        count: args.count,
        time,
        utilization: args.utilization.map(Ratio::new),
        calls: &tokens,
        place: grid::Place { intensity, ..found.place() },
        at,
        year: Some(args.place.at.map_or(grid::civil_year(now), |date| date.year)),
        own: own(config, &args.place, args.instance.as_deref(), (at, time)),
    };
    let Some(footprint) = Footprint::of(&question) else {
        let name = args.instance.as_deref().unwrap_or_default();
        let near = hardware::nearest_instances(name).join(", ");
        bail!("{name:?} is no instance type of AWS, the only cloud whose types are known (nearest: {near})");
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

/// What the configuration knows better than the tables. What it says of this machine and its place says nothing of
/// another, which is asked for by its region.
pub fn own(config: &Config, asked: &Where, instance: Option<&str>, (at, time): (Timestamp, Seconds)) -> Own {
    let is_here = is_here(asked);
    let is_this = is_here && instance.is_some() && instance == config.machine.instance_type.as_deref();
    Own {
        pue: config.carbon.pue.map(Ratio::new).filter(|_| is_here),
        electricity: config.cost.lists.electricity.as_ref().filter(|_| is_here).map(|tariff| tariff.mean(at, time)),
        rent: config.cost.instance.map(UsdPerHour::new).filter(|_| is_this),
        rents: config.cost.lists.instances.clone(),
        tokens: TokenPrices::new(config.cost.lists.tokens.clone()),
        counts_embodied: config.carbon.embodied,
        embodied: config.carbon.embodied_kg.map(|kg| GramsCo2e::new(kg * 1000.0)).filter(|_| is_this),
        lifetime: Seconds::new(config.carbon.lifetime_years * 365.0 * 24.0 * 3600.0),
        water_site: config.carbon.wue.map(LitersPerKwh::new).filter(|_| is_here),
        accelerators: watts_of(&config.machine),
    }
}

/// Whether neither another place nor another time is asked for, so that what the configuration says of here holds.
pub const fn is_here(asked: &Where) -> bool {
    asked.region.is_none() && asked.at.is_none()
}

/// What the configuration says that accelerators draw at most.
fn watts_of(machine: &config::Machine) -> BTreeMap<String, Watts> {
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

#[derive(Clone, Debug, Serialize)]
struct Impact {
    energy_j: Figure,
    operational_g: Figure,
    embodied_g: Figure,
    carbon_g: Figure,
}

impl Impact {
    fn of(impact: &footprint::Impact) -> Self {
        let footprint::Impact { energy, operational, embodied, carbon } = *impact;
        Self {
            energy_j: energy.into(),
            operational_g: operational.into(),
            embodied_g: embodied.into(),
            carbon_g: carbon.into(),
        }
    }
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
            is_estimated: intensity.estimated,
            pue: pue.ratio.get(),
            pue_source: pue.source.to_string(),
        }
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
            total: Total { impact: total.impact.as_ref().map(Impact::of), cost_usd: total.cost.map(Quantity::get) },
            notes: notes::notes(found, footprint),
        }
    }
}

impl Part {
    fn of(part: &footprint::Part) -> Self {
        let footprint::Part { kind, name, power, uncertainty: _, tier, is_estimate } = part;
        Self {
            name: name.clone(),
            kind: kind.as_str(),
            tier: tier.as_str(),
            is_estimate: *is_estimate,
            power_w: (*power).into(),
        }
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
            parts: found.parts.iter().map(Part::of).collect(),
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
                is_hint: cost.is_hint,
            }),
        }
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
            energy_model: ecologits::NAME,
            operational_g: found.carbon.map(|carbon| carbon.operational.into()),
            embodied_g: found.carbon.map(|carbon| carbon.embodied.into()),
            carbon_g: found.carbon.map(|carbon| carbon.total.into()),
            cost_usd: found.cost.map(Quantity::get),
        }
    }
}
