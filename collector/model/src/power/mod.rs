//! The power of a machine without a meter, from its processor's family and its load.
//!
//! Published results of `SPECpower_ssj2008` give watts at the wall for whole servers. Divided by their hardware threads,
//! they give a curve for each family of processors, and a guest draws as many threads' worth as it has logical CPUs:
//! never a socket. What a wall shows beyond processor and memory is taken off, so that the parts add up to the wall.

mod curve;
mod family;

use wattline_core::reading::{Inventory, Virtualization};
use wattline_core::{Method, Ratio, Text, Uncertainty, Watts};

use family::{Family, UNKNOWN};

/// Fans, board and conversion, as a share of processor and memory; between 0.2 and 0.6.
/// Source: `BoaviztAPI` documentation, `other_consumption_ratio`.
pub(crate) const ENCLOSURE_SHARE: f64 = 0.33;

/// The logarithm's standard deviation of that share, from its range: ln(0.6 / 0.2) / (2 x 1.645).
pub(crate) const ENCLOSURE_SIGMA: f64 = 0.33;

/// Power of memory for each gigabyte installed, between 0.15 and 1.1.
/// Source: Cloud Carbon Footprint 0.392 (Crucial 0.375, Micron 0.408), Green Algorithms 0.3725, `Boavizta` 0.284.
const MEMORY_WATTS_PER_GB: f64 = 0.38;

/// What is left to the processor at least, of a curve that includes the memory of the server it was measured on:
/// memory at rest draws less than the constant above, which would else leave nothing.
const PROCESSOR_SHARE: f64 = 0.30;

/// Curve of a family 0.14 and spread of the servers in it 0.25. Source: statistics over published results.
const KNOWN_FAMILY_SIGMA: f64 = 0.29;

/// The 5th and 95th percentile of all results since 2018 at half load are 0.70 and 3.40 W around 2.0 W.
const UNKNOWN_FAMILY_SIGMA: f64 = 0.50;

const MEMORY_SIGMA: f64 = 0.50;

/// Gigabytes as memory is sold.
const BYTES_PER_GB: f64 = 1_073_741_824.0;

/// What the parts of a machine draw, and how much of it they would draw at rest.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ComponentPower {
    /// The processor packages, or a guest's share of them.
    pub cpu: Watts,
    /// The memory.
    pub memory: Watts,
    /// Fans, board and conversion.
    pub enclosure: Watts,
    /// Of `cpu`, at rest.
    pub cpu_idle: Watts,
    /// Of `memory`, for the part that nobody uses.
    pub memory_idle: Watts,
    /// Of `enclosure`, what follows the two above.
    pub enclosure_idle: Watts,
}

/// The model of one machine. It is made from the inventory and does not change with load.
#[derive(Clone, Debug)]
pub struct HostPower {
    name: Text,
    method: Method,
    family: Text,
    uncertainty: Uncertainty,
    idle: Watts,
    full: Watts,
    curve: &'static [f64],
    memory: Watts,
    baseline_memory: Watts,
}

impl HostPower {
    /// The model of the machine that `inventory` describes. Whatever is missing there, the result is a figure above
    /// zero: an unknown count of CPUs counts as one, and unknown memory as the median server's for each CPU.
    pub fn of(inventory: &Inventory) -> Self {
        let family = Family::of(inventory);
        let known = family.key != UNKNOWN;
        let sigma = if known && family::is_own_family(inventory) { KNOWN_FAMILY_SIGMA } else { UNKNOWN_FAMILY_SIGMA };
        let threads = threads(inventory, family);
        let baseline_gb = family.memory_gb * threads;
        let installed_gb = match inventory.memory_bytes {
            Some(bytes) if bytes > 0 => bytes as f64 / BYTES_PER_GB,
            _ => baseline_gb,
        };
        Self {
            name: Text::Static(if known { "specpower-family/1" } else { "specpower-fleet/1" }),
            method: if known { Method::Modelled } else { Method::Assumed },
            family: Text::Static(family.label),
            uncertainty: Uncertainty::from_sigma(sigma),
            idle: Watts::new(family.idle_watts * threads),
            full: Watts::new(family.full_watts * threads),
            curve: curve::points(family.curve),
            memory: Watts::new(installed_gb * MEMORY_WATTS_PER_GB),
            baseline_memory: Watts::new(baseline_gb * MEMORY_WATTS_PER_GB),
        }
    }

    /// Power at a load. `load` is the busy share of all logical CPUs of this machine, `memory_used` the share of
    /// memory that is not available to new work; both are held between 0 and 1, and a NaN counts as 0.
    pub fn at(&self, load: Ratio, memory_used: Ratio) -> ComponentPower {
        let cpu = self.cpu(share(load));
        let cpu_idle = self.cpu(0.0);
        let memory_idle = self.memory * (1.0 - share(memory_used));
        ComponentPower {
            cpu,
            memory: self.memory,
            enclosure: (cpu + self.memory) * ENCLOSURE_SHARE,
            cpu_idle,
            memory_idle,
            enclosure_idle: (cpu_idle + memory_idle) * ENCLOSURE_SHARE,
        }
    }

    /// The model's name and version: the value of `energy.model`.
    pub const fn name(&self) -> &Text {
        &self.name
    }

    /// `Modelled` for a known family; `Assumed` where any server's figures stand in.
    pub const fn method(&self) -> Method {
        self.method
    }

    /// The family whose figures are used, in words for `doctor`.
    pub const fn family(&self) -> &Text {
        &self.family
    }

    /// How wrong the processor's power may be.
    pub const fn uncertainty(&self) -> Uncertainty {
        self.uncertainty
    }

    /// How wrong the memory's power may be.
    pub const fn memory_uncertainty(&self) -> Uncertainty {
        Uncertainty::from_sigma(MEMORY_SIGMA)
    }

    /// How wrong the enclosure's power may be.
    pub fn enclosure_uncertainty(&self) -> Uncertainty {
        self.uncertainty.times(Uncertainty::from_sigma(ENCLOSURE_SIGMA))
    }

    /// What all processor packages of a machine with a meter may draw at rest, until rest was seen.
    pub fn package_watts_idle_prior(&self) -> Watts {
        self.cpu(0.0)
    }

    fn cpu(&self, load: f64) -> Watts {
        let wall = self.idle + (self.full - self.idle) * curve::share_of_span(self.curve, load);
        let inside = wall * (1.0 / (1.0 + ENCLOSURE_SHARE));
        (inside - self.baseline_memory).max(inside * PROCESSOR_SHARE)
    }
}

/// How many hardware threads of a published server the machine's logical CPUs are worth.
///
/// A logical CPU that is a whole core draws what both of its threads would. So it is with multithreading switched off
/// on bare metal, and on EPYC of the fourth and fifth generation in clouds that sell cores: EC2's 7a and 8a families
/// do. A guest of an older generation that shows as many cores as CPUs more often hides its threads than lacks them.
fn threads(inventory: &Inventory, family: Family) -> f64 {
    let cpu = &inventory.cpu;
    let logical = cpu.logical_count.or(cpu.core_count).unwrap_or(1).max(1);
    let all_cores = cpu.core_count.is_some_and(|cores| cores >= logical);
    let sells_cores = matches!(family.key, "epyc-4" | "epyc-5");
    let by_type = family::instance_family(inventory)
        .is_some_and(|(generation, letters)| generation >= 7 && letters.starts_with('a'));
    let whole_cores = match inventory.virtualization {
        Virtualization::None => all_cores && family.key != UNKNOWN,
        Virtualization::Guest(_) | Virtualization::Unknown => sells_cores && (all_cores || by_type),
    };
    f64::from(logical) * if whole_cores { f64::from(family.threads_per_core) } else { 1.0 }
}

/// A share held between nothing and all.
fn share(ratio: Ratio) -> f64 {
    // `max` and `min` drop a NaN, so this is a number whatever comes in.
    ratio.max(Ratio::ZERO).min(Ratio::new(1.0)).get()
}

#[cfg(test)]
mod tests;
