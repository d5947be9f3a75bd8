//! The calculator: what a machine, or calls of a language model, would draw, emit and cost, from the tables alone.
//!
//! It asks the same tables and the same models as the books of a live machine, so that a figure planned with and a
//! figure measured against mean the same. Nothing is measured here: every figure bears its range and what it rests on.

mod calls;
mod machine;

use std::collections::BTreeMap;
use std::ops::{Add, Mul};

use wattline_core::{
    GramsCo2e, Joules, LitersPerKwh, Quantity, Ratio, Seconds, Timestamp, Uncertainty, Usd, UsdPerHour, UsdPerKwh,
    Watts,
};

pub use self::calls::{CallFootprint, Tokens};
pub use self::machine::{CostKind, MachineCost, MachineFootprint, Part, PartKind};
use crate::grid::{self, Grid, Intensity, Place, Pue, Water, WaterFactor};
use crate::hardware::{self, PriceFile};
use crate::inference::TokenPrices;

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

    /// The same with another upper end, which is not below the figure.
    fn with_high_times(self, factor: f64) -> Self {
        let high = self.high * factor;
        Self { high: if high.get() > self.central.get() { high } else { self.central }, ..self }
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
#[derive(Debug)]
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
    /// When, for prices of tokens. Rents are those of the day that the table was made.
    pub at: Timestamp,
    /// The newest factors, where the question is not about a past year.
    pub year: Option<u16>,
    /// The user's own figures.
    pub own: Own,
}

/// Figures that the user knows better than the tables.
#[derive(Debug)]
pub struct Own {
    /// Power usage effectiveness.
    pub pue: Option<Ratio>,
    /// Price of electricity.
    pub electricity: Option<UsdPerKwh>,
    /// What the machine costs by the hour.
    pub rent: Option<UsdPerHour>,
    /// Rents of instance types.
    pub rents: PriceFile,
    /// Prices of tokens, the user's own before the published ones.
    pub tokens: TokenPrices,
    /// Whether embodied carbon is reckoned.
    pub counts_embodied: bool,
    /// What making one machine emitted, where its maker has declared it.
    pub embodied: Option<GramsCo2e>,
    /// For how long a machine is used before it is thrown away.
    pub lifetime: Seconds,
    /// Water used on the site, for each kilowatt-hour of the machines.
    pub water_site: Option<LitersPerKwh>,
    /// The most that accelerators draw, by any of their names.
    pub accelerators: BTreeMap<String, Watts>,
}

impl Default for Own {
    fn default() -> Self {
        Self {
            pue: None,
            electricity: None,
            rent: None,
            rents: PriceFile::default(),
            tokens: TokenPrices::default(),
            counts_embodied: true,
            embodied: None,
            lifetime: hardware::DEFAULT_LIFETIME,
            water_site: None,
            accelerators: BTreeMap::new(),
        }
    }
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
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Total {
    /// Energy and carbon, where those of every part are known: a sum without a part of it would be taken for the whole.
    pub impact: Option<Impact>,
    /// Money, where every part has a price of its own.
    pub cost: Option<Usd>,
}

/// Energy and carbon.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Impact {
    /// Energy of the machines, without the facility's.
    pub energy: Range<Joules>,
    /// Carbon of the electricity, the facility's part included.
    pub operational: Range<GramsCo2e>,
    /// Carbon of having made the machines, the part that falls on the time asked for.
    pub embodied: Range<GramsCo2e>,
    /// Both.
    pub carbon: Range<GramsCo2e>,
}

impl Footprint {
    /// Answers a question; `None` where the machine's name is no instance type.
    pub fn of(question: &Question<'_>) -> Option<Self> {
        let Place { provider, region, .. } = question.place;
        let intensity = Grid::builtin().intensity(&question.place, question.year);
        let own = question.own.pue.map(Pue::configured);
        let pue = own.unwrap_or_else(|| grid::pue(provider, region, question.year));
        let mut water = grid::water(provider, region, question.place.zone, question.year);
        if let Some(liters) = question.own.water_site {
            water.site = Some(WaterFactor {
                liters,
                zone: "configured".into(),
                source: "configured".into(),
                year: question.year.unwrap_or(grid::civil_year(question.at)),
                // As any figure of the user's own.
                uncertainty: Uncertainty::from_sigma(0.10),
            });
        }
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
    fn of(machine: Option<&MachineFootprint>, calls: &[CallFootprint]) -> Self {
        let costs = machine.map(|machine| machine.cost.as_ref().filter(|cost| !cost.is_hint).map(|cost| cost.usd));
        let costs = costs.into_iter().chain(calls.iter().map(|call| call.cost));
        Self { impact: Impact::of(machine, calls), cost: costs.sum() }
    }
}

impl Impact {
    /// The sum of all parts. Their ranges err together, which is the careful assumption.
    fn of(machine: Option<&MachineFootprint>, calls: &[CallFootprint]) -> Option<Self> {
        let mut sum = Self::default();
        if let Some(machine) = machine {
            sum.energy = machine.energy;
            sum.operational = machine.operational;
            sum.embodied = machine.embodied_share;
        }
        for call in calls {
            let carbon = call.carbon?;
            sum.energy = sum.energy.and(call.energy?);
            sum.operational = sum.operational.and(carbon.operational);
            sum.embodied = sum.embodied.and(carbon.embodied);
        }
        Some(Self { carbon: sum.operational.and(sum.embodied), ..sum })
    }
}

#[cfg(test)]
mod laws;
