//! The calculator: what a machine, or calls of a language model, would draw, emit and cost, from the tables alone.
//!
//! It asks the same tables and the same models as the books of a live machine, so that a figure planned with and a
//! figure measured against mean the same. Nothing is measured here: every figure bears its range and what it rests on.

mod calls;
mod machine;

use std::collections::BTreeMap;
use std::ops::{Add, Mul};

use wattline_core::{GramsCo2e, Joules, Quantity, Ratio, Seconds, Timestamp, Uncertainty, Usd, UsdPerKwh, Watts};

pub use self::calls::{CallFootprint, Tokens};
pub use self::machine::{CostKind, MachineCost, MachineFootprint, Part, PartKind};
use crate::grid::{self, Grid, Intensity, Place, Pue, Water};

/// What a machine is taken for when nobody says how busy it is: half of the time, as published calculators do.
const ASSUMED_UTILIZATION: f64 = 0.5;

/// What not knowing the utilisation adds: the range of a server from a fifth to full load around its half.
/// Source: `SPECpower_ssj2008` since 2018, watts at 20 % and 100 % against 50 %: 0.72 and 1.77, so ln(1.77/0.72) / 3.29.
const ASSUMED_SIGMA: f64 = 0.27;

/// A figure with its 90 % range.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Range<Q> {
    /// Nineteen in twenty are above.
    pub low: Q,
    /// The figure.
    pub central: Q,
    /// Nineteen in twenty are below.
    pub high: Q,
}

impl<Q: Quantity + Mul<f64, Output = Q> + Add<Output = Q>> Range<Q> {
    /// The range of a figure whose logarithm errs by `uncertainty`.
    pub fn of(central: Q, uncertainty: Uncertainty) -> Self {
        let factor = uncertainty.factor();
        Self { low: central * (1.0 / factor), central, high: central * factor }
    }

    /// The same in another unit, or of more: what `of` makes of each of its three.
    pub(crate) fn map<R>(self, of: impl Fn(Q) -> R) -> Range<R> {
        Range { low: of(self.low), central: of(self.central), high: of(self.high) }
    }

    /// Both together, erring together.
    fn and(self, other: Self) -> Self {
        Self { low: self.low + other.low, central: self.central + other.central, high: self.high + other.high }
    }
}

/// What the machine is.
#[derive(Clone, Debug, PartialEq)]
pub enum MachineName {
    /// An instance type of a cloud.
    Instance {
        /// Such as `m7i.xlarge`.
        name: String,
    },
    /// A processor, or a part of one, on premises.
    Cpu {
        /// As the maker or the kernel names it.
        model: String,
        /// Hardware threads of the machine.
        threads: u32,
        /// Sockets of the machine; as many as its threads need where nobody says.
        sockets: Option<u32>,
        /// Memory in GiB; the median server's where nobody says.
        memory_gib: Option<f64>,
    },
}

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Question<'a> {
    /// The machine, if one is asked for.
    pub machine: Option<MachineName>,
    /// How many of them.
    pub count: u32,
    /// For how long.
    pub time: Seconds,
    /// How busy, between 0 and 1.
    pub utilization: Option<Ratio>,
    /// Calls of language models.
    pub calls: &'a [Tokens],
    /// Where.
    pub place: Place<'a>,
    /// When: the year's factors and that day's prices are used.
    pub at: Timestamp,
    /// The newest factors, where the question is not about a past year.
    pub year: Option<u16>,
    /// The user's own figures.
    pub own: Own,
}

/// Figures that the user knows better than the tables.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Own {
    /// Power usage effectiveness.
    pub pue: Option<Ratio>,
    /// Price of electricity.
    pub electricity: Option<UsdPerKwh>,
    /// For how long a machine is used before it is thrown away.
    pub lifetime: Option<Seconds>,
    /// The most that accelerators draw, by any of their names.
    pub accelerators: BTreeMap<String, Watts>,
}

/// The answer.
#[derive(Clone, Debug)]
pub struct Footprint {
    /// Carbon intensity at the place.
    pub intensity: Intensity,
    /// Power usage effectiveness of the facility.
    pub pue: Pue,
    /// Water at the place.
    pub water: Water,
    /// The machine.
    pub machine: Option<MachineFootprint>,
    /// The calls, in the order asked.
    pub calls: Vec<CallFootprint>,
    /// All of it together.
    pub total: Total,
}

/// Machine and calls together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Total {
    /// Energy of the machines, without the facility's.
    pub energy: Range<Joules>,
    /// Carbon of the electricity, the facility's part included.
    pub operational: Range<GramsCo2e>,
    /// Carbon of having made the machines, the part that falls on the time asked for.
    pub embodied: Range<GramsCo2e>,
    /// Both.
    pub carbon: Range<GramsCo2e>,
    /// Money, where every part has a price.
    pub cost: Option<Usd>,
}

impl Footprint {
    /// Answers a question; `None` where the machine's name is no instance type.
    pub fn of(question: &Question<'_>) -> Option<Self> {
        let Place { provider, region, .. } = question.place;
        let intensity = Grid::builtin().intensity(&question.place, question.year);
        let own = question.own.pue.map(Pue::configured);
        let pue = own.unwrap_or_else(|| grid::pue(provider, region, question.year));
        let water = grid::water(provider, region, question.place.zone, question.year);
        let site = Site { intensity, pue, water };
        let machine = match &question.machine {
            Some(name) => Some(MachineFootprint::of(name, question, &site)?),
            None => None,
        };
        let calls: Vec<_> = question.calls.iter().map(|tokens| CallFootprint::of(tokens, question)).collect();
        let total = Total::of(machine.as_ref(), &calls);
        let Site { intensity, pue, water } = site;
        Some(Self { intensity, pue, water, machine, calls, total })
    }
}

/// What the place is like.
struct Site {
    intensity: Intensity,
    pue: Pue,
    water: Water,
}

impl Total {
    /// The sum of what is known. Ranges err together, which is the careful assumption.
    fn of(machine: Option<&MachineFootprint>, calls: &[CallFootprint]) -> Self {
        let mut total = Self { cost: Some(Usd::ZERO), ..Self::default() };
        if let Some(machine) = machine {
            total.energy = machine.energy;
            total.operational = machine.operational;
            total.embodied = machine.embodied_share;
            total.cost = machine.cost.as_ref().map(|cost| cost.usd);
        }
        for call in calls {
            if let Some(energy) = call.energy {
                total.energy = total.energy.and(energy);
            }
            if let Some(carbon) = call.carbon {
                total.operational = total.operational.and(Range::of(carbon.operational, carbon.uncertainty));
                total.embodied = total.embodied.and(Range::of(carbon.embodied, carbon.uncertainty));
            }
            total.cost = total.cost.zip(call.cost).map(|(sum, cost)| sum + cost);
        }
        total.carbon = total.operational.and(total.embodied);
        total
    }
}

#[cfg(test)]
mod laws;
