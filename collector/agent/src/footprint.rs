//! `wattline footprint`: the calculator on the command line.

use std::fmt::Write;

use anyhow::{Result, bail};
use serde::Serialize;
use wattline_core::{GramsCo2e, GramsPerKwh, Quantity, Ratio, Seconds, Timestamp, UsdPerKwh};
use wattline_model::footprint::{
    CallFootprint, Footprint, MachineFootprint, MachineName, Own, Question, Range, Tokens,
};
use wattline_model::hardware::Basis;

use crate::cli::FootprintArgs;
use crate::config::Config;
use crate::place::Found;
use crate::units::{amount, mass, watts};

/// The answer, as a program reads it. Units stand in the names.
#[derive(Clone, Debug, Serialize)]
pub struct Answer {
    /// The agent's version.
    version: &'static str,
    /// Hours asked for.
    hours: f64,
    /// The place as found.
    place: Place,
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
    let question = Question {
        machine: machine_name(args),
        count: args.count,
        time: Seconds::from_hours(args.hours),
        utilization: args.utilization.map(Ratio::new),
        calls: &tokens,
        place: found.place(),
        at: args.place.at.map_or(now, |date| date.begin),
        year: args.place.at.map(|date| date.year),
        own: own(config),
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
        memory_gib: args.memory,
    });
    instance.or(cpu)
}

/// What the configuration knows better than the tables.
fn own(config: &Config) -> Own {
    Own {
        intensity: config.carbon.intensity.map(GramsPerKwh::new),
        pue: config.carbon.pue.map(Ratio::new),
        electricity: config.cost.electricity.map(UsdPerKwh::new),
        lifetime: None,
    }
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
