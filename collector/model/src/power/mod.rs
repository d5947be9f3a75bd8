//! The power of a machine without a meter, from its processor and its load.
//!
//! Published results of `SPECpower_ssj2008` give watts at the wall for whole servers of each family of processors.
//! Converted to package power and divided by hardware threads, they are one witness; the design power of the part is
//! the other. A guest draws as many threads' worth as it has logical CPUs: never a socket.
//! `docs/power-model.md` has the equations, the sources and how far the results are from measured machines.

mod curve;
mod family;
mod identify;
mod memory;
mod package;
mod tdp;
mod tier;

use wattline_core::reading::{Inventory, Virtualization};
use wattline_core::{Bytes, Joules, Method, Ratio, Text, Uncertainty, Watts};

use self::family::{Family, UNKNOWN};
use self::package::{Package, Share};
use self::tdp::Design;
pub use self::tier::Tier;
use crate::grid::near;

/// Fans, board and conversion, as a share of processor and memory; between 0.2 and 0.6.
/// Source: `BoaviztAPI` documentation, `other_consumption_ratio`.
pub(crate) const ENCLOSURE_SHARE: f64 = 0.33;

/// The logarithm's standard deviation of that share, from its range: ln(0.6 / 0.2) / (2 x 1.645).
pub(crate) const ENCLOSURE_SIGMA: f64 = 0.33;

/// Drives, for each terabyte allocated and each copy of it. Source: Cloud Carbon Footprint, 1.2 W SSD, 0.65 W HDD.
const SSD_WATTS_PER_BYTE: f64 = 1.2e-12;
const HDD_WATTS_PER_BYTE: f64 = 0.65e-12;

/// Switches and routers inside a cloud: 0.001 kWh for each gigabyte. Studies range to 0.14.
/// Source: Cloud Carbon Footprint.
const NETWORK_JOULES_PER_BYTE: f64 = 3.6e-6;

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
    /// Of `memory`, to be read and written.
    pub memory_moving: Watts,
    /// Of `enclosure`, what follows the two above.
    pub enclosure_idle: Watts,
}

/// What is reckoned beside the processor. What is off counts as nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "four independent switches that a user sets by name")]
pub struct Terms {
    /// Memory modules.
    pub memory: bool,
    /// Drives: their own power at the machine, without controllers and without a provider's copies.
    pub storage: bool,
    /// The network outside the machine: not its adapter, which the enclosure holds.
    pub network: bool,
    /// Fans, board and conversion, as a share of processor and memory.
    pub enclosure: bool,
}

impl Default for Terms {
    /// The machine itself, up to its input: no drives, whose size is seldom known, and no network.
    fn default() -> Self {
        Self { memory: true, storage: false, network: false, enclosure: true }
    }
}

/// What is known of a machine, where there is no inventory of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Parts<'a> {
    /// The key of its processor's family; from the name where it is not given or not known.
    pub family: Option<&'a str>,
    /// The processor's name, as its maker or the kernel writes it.
    pub cpu_name: Option<&'a str>,
    /// Logical CPUs, a share of one included; less than nothing and a NaN count as one.
    pub logical_cpus: f64,
    /// True where a logical CPU is a core of its own.
    pub whole_cores: bool,
    /// Sockets of a machine that has them for itself.
    pub sockets: Option<u32>,
    /// Memory in gigabytes; unless it is above nothing, the median server's for each CPU.
    pub memory_gb: f64,
    /// Design power of one socket, for a processor that the table does not have or has wrong. A guest needs the cores
    /// of the socket as well, which only the table has.
    pub tdp: Option<Watts>,
    /// True for a guest, which has its threads' worth of a socket.
    pub guest: bool,
    /// What is reckoned beside the processor.
    pub terms: Terms,
}

/// How wrong the power of drives may be: flash drives draw from 0.5 to 5 W for each terabyte.
/// Source: Cloud Carbon Footprint, and makers' data sheets of drives from 1 to 30 TB.
pub const STORAGE: Uncertainty = Uncertainty::from_sigma(0.7);

/// Processors of the table whose names are nearest to one that it does not have, at most five.
pub fn nearest(name: &str) -> Vec<&'static str> {
    near::nearest(&tdp::normal(name), tdp::DESIGNS.keys().copied())
}

/// The model of one machine. It does not change with load.
#[derive(Clone, Debug)]
pub struct HostPower {
    tier: Tier,
    family: Text,
    package: Package,
    memory_gb: f64,
    threads: f64,
    terms: Terms,
}

impl HostPower {
    /// The model of the machine that `inventory` describes. Whatever is missing there, the result is a figure above
    /// zero: an unknown count of CPUs counts as one, and unknown memory as the median server's for each CPU.
    pub fn of(inventory: &Inventory) -> Self {
        let cpu = &inventory.cpu;
        let family = identify::of(inventory);
        let bare = inventory.virtualization == Virtualization::None;
        let parts = Parts {
            // A rule that read the numbers of the processor and knows no family overrules the name.
            family: family.or(Some(UNKNOWN)),
            cpu_name: cpu.name.as_deref(),
            logical_cpus: f64::from(cpu.logical_count.or(cpu.core_count).unwrap_or(1).max(1)),
            whole_cores: whole_cores(inventory, family),
            sockets: cpu.socket_count.filter(|_| bare),
            memory_gb: inventory.memory_bytes.map_or(0.0, |bytes| bytes as f64 / BYTES_PER_GB),
            tdp: None,
            guest: !bare,
            terms: Terms::default(),
        };
        Self::of_known(&parts, identify::is_own_family(inventory))
    }

    /// The model of a machine of which only its parts are known.
    pub fn of_parts(parts: &Parts<'_>) -> Self {
        let stated = Family::of(parts.family);
        let family = match stated.key {
            UNKNOWN => Family::of(parts.cpu_name.and_then(identify::by_name)),
            _ => stated,
        };
        Self::of_known(
            &Parts { family: Some(family.key), ..*parts },
            identify::is_own_family_by_name(family.key, parts.cpu_name),
        )
    }

    fn of_known(parts: &Parts<'_>, own_family: bool) -> Self {
        let family = Family::of(parts.family);
        let known = family.key != UNKNOWN;
        let shares_cores = family.threads_per_core > 1 && !parts.whole_cores;
        let logical = if parts.logical_cpus > 0.0 { parts.logical_cpus.clamp(LEAST_CPUS, MOST_CPUS) } else { 1.0 };
        // A core of its own draws what both of its threads would.
        let worth = if parts.whole_cores && known { f64::from(family.threads_per_core) } else { 1.0 };
        let threads = logical * worth;
        let design = Design::of(parts.cpu_name, parts.tdp);
        let share = Share {
            threads,
            sockets: parts
                .sockets
                .filter(|sockets| *sockets > 0 && !parts.guest)
                .map(|sockets| f64::from(sockets).min(MOST_CPUS)),
            whole: !parts.guest,
            shared_cores: shares_cores,
        };
        let package = Package::new(family, own_family, design, share);
        let memory_gb =
            if parts.memory_gb > 0.0 { parts.memory_gb.min(MOST_MEMORY_GB) } else { family.memory_gb * threads };
        let tier = match (known, package.by_design) {
            (true, _) => Tier::T1a,
            (false, true) => Tier::T1b,
            (false, false) => Tier::T2,
        };
        Self { tier, family: Text::Static(family.label), package, memory_gb, threads, terms: parts.terms }
    }

    /// Power at a load. `load` is the busy share of all logical CPUs of this machine, `memory_used` the share of
    /// memory that is not available to new work; both are held between 0 and 1, and a NaN counts as 0.
    pub fn at(&self, load: Ratio, memory_used: Ratio) -> ComponentPower {
        let (load, used) = (share(load), share(memory_used));
        let (cpu, cpu_idle) = (self.package.at(load.get()), self.package.at(0.0));
        let gigabytes = if self.terms.memory { memory::worth(self.memory_gb, self.threads) } else { 0.0 };
        let [memory, memory_idle, memory_moving] = memory::power(gigabytes, load.get(), used);
        let enclosure_share = if self.terms.enclosure { ENCLOSURE_SHARE } else { 0.0 };
        ComponentPower {
            cpu,
            memory,
            enclosure: (cpu + memory) * enclosure_share,
            cpu_idle,
            memory_idle,
            memory_moving,
            enclosure_idle: (cpu_idle + memory_idle) * enclosure_share,
        }
    }

    /// Power of the machine's drives, by what is allocated on them; nothing unless that term is on.
    pub fn storage(&self, ssd: Bytes, hdd: Bytes) -> Watts {
        let watts = amount(ssd) * SSD_WATTS_PER_BYTE + amount(hdd) * HDD_WATTS_PER_BYTE;
        Watts::new(if self.terms.storage { watts } else { 0.0 })
    }

    /// Energy that the network outside the machine takes to move data; nothing unless that term is on.
    pub fn network(&self, moved: Bytes) -> Joules {
        Joules::new(if self.terms.network { amount(moved) * NETWORK_JOULES_PER_BYTE } else { 0.0 })
    }

    /// Sockets of a machine that has them for itself, told or reckoned from its threads; `None` for a guest.
    pub const fn sockets(&self) -> Option<u32> {
        self.package.sockets
    }

    /// True where the design power of the very part told something.
    pub const fn is_by_design(&self) -> bool {
        self.package.by_design
    }

    /// The memory reckoned with, in gigabytes.
    pub const fn memory_gb(&self) -> f64 {
        self.memory_gb
    }

    /// What the figures rest on: the family of the processor, its design power alone, or nothing but its CPUs.
    pub const fn tier(&self) -> Tier {
        self.tier
    }

    /// The model's name and version: the value of `energy.model`.
    pub const fn name(&self) -> &'static Text {
        match self.tier {
            Tier::T1a => &FAMILY_MODEL,
            Tier::T1b => &DESIGN_MODEL,
            _ => &FLEET_MODEL,
        }
    }

    /// `Modelled` where the processor is known; `Assumed` where any server's figures stand in.
    pub const fn method(&self) -> Method {
        match self.tier {
            Tier::T2 => Method::Assumed,
            _ => Method::Modelled,
        }
    }

    /// The family whose figures are used, in words for `doctor`.
    pub const fn family(&self) -> &Text {
        &self.family
    }

    /// How wrong the processor's power may be.
    pub const fn uncertainty(&self) -> Uncertainty {
        self.package.uncertainty()
    }

    /// How wrong the memory's power may be.
    pub const fn memory_uncertainty(&self) -> Uncertainty {
        memory::uncertainty()
    }

    /// How wrong the enclosure's power may be.
    pub fn enclosure_uncertainty(&self) -> Uncertainty {
        self.uncertainty().times(Uncertainty::from_sigma(ENCLOSURE_SIGMA))
    }

    /// What all processor packages of a machine with a meter may draw at rest, until rest was seen.
    pub fn package_watts_idle_prior(&self) -> Watts {
        self.package.at(0.0)
    }
}

static FAMILY_MODEL: Text = Text::Static("specpower-family/2");
static DESIGN_MODEL: Text = Text::Static("design-power/1");
static FLEET_MODEL: Text = Text::Static("specpower-fleet/2");

/// A share of a CPU that is smaller is a mistake, and its power would vanish.
const LEAST_CPUS: f64 = 1e-3;

/// No machine has more; a count beyond is a mistake, which must not become an infinite power.
const MOST_CPUS: f64 = 1e6;
const MOST_MEMORY_GB: f64 = 1e9;

/// Whether a logical CPU of the machine is a core of its own, and draws what both of its threads would.
///
/// So it is with multithreading switched off on bare metal, and on EPYC of the fourth and fifth generation in clouds
/// that sell cores: EC2's 7a and 8a families do. A guest of an older generation that shows as many cores as CPUs more
/// often hides its threads than lacks them.
fn whole_cores(inventory: &Inventory, family: Option<&str>) -> bool {
    let cpu = &inventory.cpu;
    let logical = cpu.logical_count.or(cpu.core_count).unwrap_or(1).max(1);
    let all_cores = cpu.core_count.is_some_and(|cores| cores >= logical);
    let sells_cores = matches!(family, Some("epyc-4" | "epyc-5"));
    let by_type = identify::instance_family(inventory)
        .is_some_and(|(generation, letters)| generation >= 7 && letters.starts_with('a'));
    match inventory.virtualization {
        Virtualization::None => all_cores,
        Virtualization::Guest(_) | Virtualization::Unknown => sells_cores && (all_cores || by_type),
    }
}

/// A share held between nothing and all.
fn share(ratio: Ratio) -> Ratio {
    // `max` and `min` drop a NaN, so this is a number whatever comes in.
    ratio.max(Ratio::ZERO).min(Ratio::new(1.0))
}

/// Bytes that are a number and not below nothing.
fn amount(bytes: Bytes) -> f64 {
    if bytes.is_finite() { bytes.max(Bytes::ZERO).get() } else { 0.0 }
}

#[cfg(test)]
mod laws;
#[cfg(test)]
mod rapl;
#[cfg(test)]
mod tests;
