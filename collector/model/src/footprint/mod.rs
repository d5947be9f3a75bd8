//! The calculator: what a machine, or calls of a language model, would draw, emit and cost, from the tables alone.
//!
//! It asks the same tables and the same models as the books of a live machine, so that a figure planned with and a
//! figure measured against mean the same. Nothing is measured here: every figure bears its range and what it rests on.

mod calls;
mod machine;

use wattline_core::{GramsCo2e, GramsPerKwh, Joules, Quantity, Ratio, Seconds, Timestamp, Uncertainty, Usd, UsdPerKwh};

pub use self::calls::{CallFootprint, Tokens};
pub use self::machine::{MachineFootprint, Part, PartKind};
use crate::grid::{Grid, Intensity, Place, Pue, Water};
use crate::power::Terms;

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

impl<Q: Quantity + std::ops::Mul<f64, Output = Q>> Range<Q> {
    /// The range of a figure whose logarithm errs by `uncertainty`.
    pub fn of(central: Q, uncertainty: Uncertainty) -> Self {
        let factor = uncertainty.factor();
        Self { low: central * (1.0 / factor), central, high: central * factor }
    }

    /// The same of `factor` times as much.
    #[must_use]
    pub fn times(self, factor: f64) -> Self {
        Self { low: self.low * factor, central: self.central * factor, high: self.high * factor }
    }
}

/// What the machine is.
#[derive(Clone, Debug, PartialEq)]
pub enum MachineName {
    /// An instance type of a cloud.
    Instance {
        /// `cloud.provider`.
        provider: String,
        /// Such as `m7i.xlarge`.
        name: String,
    },
    /// A processor, or a part of one.
    Cpu {
        /// As the maker or the kernel names it.
        model: String,
        /// Hardware threads in use, or virtual CPUs.
        threads: u32,
        /// Memory in GiB; the median server's where nobody says.
        memory_gib: Option<f64>,
        /// A part of a machine that others share.
        is_guest: bool,
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
    /// Which parts of a machine count.
    pub terms: Terms,
}

/// Figures that the user knows better than the tables.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Own {
    /// Carbon intensity.
    pub intensity: Option<GramsPerKwh>,
    /// Power usage effectiveness.
    pub pue: Option<Ratio>,
    /// Price of electricity.
    pub electricity: Option<UsdPerKwh>,
    /// For how long a machine is used before it is thrown away.
    pub lifetime: Option<Seconds>,
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
