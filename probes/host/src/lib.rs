//! The host probe: what a Linux machine, its control groups and its processes use, and what its energy counters say.
//!
//! Everything is read below a [`HostRoot`], so that a container which mounts the host's root elsewhere, and a test
//! with a directory of its own, read the same way. A part of the host that is missing or may not be read never stops
//! the others: how each part went is data, a [`SourceHealth`] among the readings.
//!
//! What a tick costs is measured by `cargo bench -p wattline-probe-host`.

mod cgroup;
mod clock_ticks;
mod config;
mod directory;
mod health;
mod hwmon;
pub mod inventory;
mod kept;
#[cfg(test)]
mod machine;
mod powercap;
mod printable;
mod process;
mod system;

pub use config::{Config, ProcessScan};
pub use system::Config as SystemConfig;

use wattline_core::reading::SourceHealth;
use wattline_core::{HostRoot, Probe, ReadError, Reading, Readings, Tick};

use cgroup::Cgroups;
use health::Health;
use hwmon::Hwmon;
use kept::Budget;
use powercap::Powercap;
use process::Processes;
use system::System;

/// The name of the probe.
pub const NAME: &str = "host";

/// Reads the machine.
pub struct HostProbe {
    config: Config,
    root: HostRoot,
    budget: Budget,
    system: System,
    powercap: Powercap,
    hwmon: Hwmon,
    cgroups: Cgroups,
    processes: Processes,
    health: Health,
}

impl HostProbe {
    /// A probe of the machine whose files are below `root`. Opens nothing yet: what is missing is told by the first
    /// reading. Raises this process's soft limit on open files to the hard one, because files are kept open.
    pub fn open(config: Config, root: &HostRoot) -> Self {
        Self {
            budget: Budget::of_this_process(),
            system: System::open(&config, root),
            powercap: Powercap::default(),
            hwmon: Hwmon::default(),
            cgroups: Cgroups::new(config.max_cgroups, config.cgroup_slow_period),
            processes: Processes::new(&config),
            health: Health::default(),
            root: root.clone(),
            config,
        }
    }

    /// How the last reading of each part went, for `doctor`. Empty before the first reading.
    pub fn sources(&self) -> Vec<SourceHealth> {
        self.health.all()
    }
}

impl Probe for HostProbe {
    fn name(&self) -> &'static str {
        NAME
    }

    /// Never fails: each part tells of itself in the readings.
    fn read(&mut self, tick: Tick, out: &mut Readings) -> Result<(), ReadError> {
        let Self { config: _, root, budget, system, powercap, hwmon, cgroups, processes, health } = self;
        // Energy first, so that its instant is nearest to the tick's.
        let rapl = powercap.read(root, budget, tick.at, out);
        health.note("rapl", rapl, out);
        let chips = hwmon.read(root, budget, tick.at, powercap.gives_cpu(), out);
        health.note("hwmon", chips.hwmon, out);
        health.note("acpi_power_meter", chips.acpi, out);
        let from = out.items.len();
        system.read(tick, out);
        for item in out.items.get(from..).unwrap_or_default() {
            if let Reading::Health(told) = item {
                health.remember(told);
            }
        }
        // Groups before processes: a process is told to belong to a group that this tick knows.
        let groups = cgroups.read(root, budget, tick.at, out);
        health.note("cgroups", groups, out);
        let states = processes.read(root, budget, tick.at, cgroups, out);
        health.note("processes", states, out);
        Ok(())
    }

    fn reset(&mut self) {
        let Self { config, root, budget: _, system, powercap, hwmon, cgroups, processes, health: _ } = self;
        *system = System::open(config, root);
        powercap.reset();
        hwmon.reset();
        cgroups.reset();
        processes.reset();
    }
}

#[cfg(test)]
mod tests;
