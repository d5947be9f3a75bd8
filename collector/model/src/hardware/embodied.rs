//! What making a machine emitted: its base and processors, memory, storage and accelerators.
//!
//! Published figures of the same part differ up to twenty times, so every figure is a range. Low and high of a machine
//! are the sums of its parts' lows and highs: parts of one machine are rated by the same studies and err together.

use std::sync::LazyLock;

use wattline_core::{GramsCo2e, GramsPerHour, Seconds, Uncertainty};

use super::instance::{Fitted, Instance, Storage};
use crate::grid::table::Table;

pub(super) const TABLE: Table = Table::new(include_str!("../../data/embodied.csv"));

/// How long a server is used: four years of 8,760 hours.
/// Source: Cloud Carbon Footprint and `BoaviztAPI` (35,040 hours), Green Software Foundation Impact Framework
/// (126,144,000 s). AWS depreciates servers over five to six years, EcoLogits takes three for those with GPUs.
pub const DEFAULT_LIFETIME: Seconds = Seconds::new(126_144_000.0);

/// On own premises with unknown sockets: above so many logical CPUs a server has two. Ours.
const CPUS_OF_ONE_SOCKET: u32 = 64;

/// What making something emitted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Made {
    /// The low end of the published range, or of the 90 % range where one figure is published.
    pub low: GramsCo2e,
    /// The figure to count with.
    pub central: GramsCo2e,
    /// The high end.
    pub high: GramsCo2e,
    /// How wrong the central figure may be.
    pub uncertainty: Uncertainty,
}

impl Made {
    /// The central figure spread over a lifetime. A lifetime that is no time above zero counts as
    /// [`DEFAULT_LIFETIME`].
    pub fn per_hour(&self, lifetime: Seconds) -> GramsPerHour {
        let usable = lifetime.is_finite() && lifetime > Seconds::ZERO;
        let lifetime = if usable { lifetime } else { DEFAULT_LIFETIME };
        GramsPerHour::new(self.central.get() / lifetime.hours())
    }

    /// So many of it, or a share of it. Less than none, and a NaN, counts as none.
    #[must_use]
    pub fn times(self, count: f64) -> Self {
        let count = if count.is_finite() { count.max(0.0) } else { 0.0 };
        Self { low: self.low * count, central: self.central * count, high: self.high * count, ..self }
    }

    fn sum(parts: impl IntoIterator<Item = Self> + Clone) -> Self {
        let by_amount = parts.clone().into_iter().map(|part| (part.central.get(), part.uncertainty));
        let uncertainty = Uncertainty::of_sum(by_amount);
        let add = |sum: Self, part: Self| Self {
            low: sum.low + part.low,
            central: sum.central + part.central,
            high: sum.high + part.high,
            uncertainty,
        };
        parts.into_iter().fold(Self::default(), add)
    }
}

/// What making a machine, or a guest's share of one, emitted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Embodied {
    /// Case, board, supplies, assembly and processors.
    pub cpu: Made,
    /// Memory.
    pub memory: Made,
    /// Disks.
    pub storage: Made,
    /// Accelerators.
    pub accelerators: Made,
}

impl Embodied {
    /// All of it.
    pub fn total(&self) -> Made {
        let Self { cpu, memory, storage, accelerators } = *self;
        Made::sum([cpu, memory, storage, accelerators])
    }

    /// All of it, spread over a lifetime; the central figure.
    pub fn per_hour(&self, lifetime: Seconds) -> GramsPerHour {
        self.total().per_hour(lifetime)
    }
}

/// The parts of a machine, or of a guest's share of one, as far as making them is counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parts {
    /// Servers: case, board, supplies, assembly. A guest has a part of one.
    pub servers: f64,
    /// Processors. A guest has a part of them.
    pub packages: f64,
    /// Memory in gigabytes as modules are sold, which are gibibytes.
    pub memory_gb: f64,
    /// Disks.
    pub storage: Storage,
    /// Accelerators.
    pub accelerators: Vec<Fitted>,
}

impl Parts {
    /// A guest's parts: its vCPUs' share of the server's base and processors, and its own memory, disks and
    /// accelerators. Guests that share vCPUs in turn (T2 to T8) bear the share of the vCPUs that they see, and a Mac counts
    /// as a server with one processor: both is too much.
    pub fn of(instance: &Instance) -> Self {
        let share = instance.share_of_host();
        Self {
            servers: share,
            packages: share * f64::from(instance.host_sockets),
            memory_gb: instance.memory_gib,
            storage: instance.storage,
            accelerators: instance.accelerators.clone(),
        }
    }

    /// A whole machine on own premises. Unknown sockets are guessed from the logical CPUs.
    pub fn on_premises(sockets: Option<u32>, logical_cpus: u32, memory_gib: f64, storage: Storage) -> Self {
        let guessed = if logical_cpus > CPUS_OF_ONE_SOCKET { 2 } else { 1 };
        let packages = f64::from(sockets.filter(|sockets| *sockets > 0).unwrap_or(guessed));
        Self { servers: 1.0, packages, memory_gb: memory_gib, storage, accelerators: Vec::new() }
    }

    /// The parts of so many such machines, or of a share of one.
    #[must_use]
    pub fn times(self, count: f64) -> Self {
        let Self { servers, packages, memory_gb, storage, accelerators } = self;
        Self {
            servers: servers * count,
            packages: packages * count,
            memory_gb: memory_gb * count,
            storage: Storage { ssd_gb: storage.ssd_gb * count, hdd_gb: storage.hdd_gb * count },
            accelerators: accelerators.into_iter().map(|one| Fitted { count: one.count * count, ..one }).collect(),
        }
    }
}

/// What making the parts emitted.
pub fn embodied(parts: &Parts) -> Embodied {
    let Parts { servers, packages, memory_gb, storage, accelerators } = parts;
    let devices = accelerators.iter().map(|fitted| fitted.accelerator.embodied.times(fitted.count));
    Embodied {
        cpu: Made::sum([FACTORS.base.times(*servers), FACTORS.package.times(*packages)]),
        memory: FACTORS.memory.times(*memory_gb),
        storage: Made::sum([FACTORS.ssd.times(storage.ssd_gb), FACTORS.hdd.times(storage.hdd_gb)]),
        accelerators: Made::sum(devices),
    }
}

/// One unit of each part.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Factors {
    pub(super) base: Made,
    pub(super) package: Made,
    pub(super) memory: Made,
    pub(super) ssd: Made,
    pub(super) hdd: Made,
}

pub(super) static FACTORS: LazyLock<Factors> = LazyLock::new(Factors::parse);

impl Factors {
    fn parse() -> Self {
        let mut factors = Self::default();
        for row in TABLE.rows::<11>() {
            let Some((part, made)) = factor(row) else { continue };
            match part {
                "base" => factors.base = made,
                "package" => factors.package = made,
                "memory" => factors.memory = made,
                "ssd" => factors.ssd = made,
                "hdd" => factors.hdd = made,
                _ => {}
            }
        }
        factors
    }
}

pub(super) fn factor([part, _, low, central, high, sigma, ..]: [&'static str; 11]) -> Option<(&'static str, Made)> {
    let grams = |kilograms: &str| kilograms.parse().ok().map(|kilograms: f64| GramsCo2e::new(kilograms * 1000.0));
    let uncertainty = Uncertainty::from_sigma(sigma.parse().ok()?);
    Some((part, Made { low: grams(low)?, central: grams(central)?, high: grams(high)?, uncertainty }))
}
