//! Counters of the machine as a whole: CPU, memory, paging, load, disks, network, filesystems and pressure.
//!
//! The files that are read every tick are parsed by hand. The parsers of `procfs-core` build a map per file, refuse
//! a whole file for one odd line, round load averages to `f32`, and slice a cut line of `/proc/pressure` out of its
//! bounds; only its parser of `mountinfo` lines is used, where none of this matters.

mod cpu;
mod disk;
mod filesystem;
mod memory;
mod mounts;
mod names;
mod network;
mod pressure;
mod state;
mod whole_file;

use std::time::Duration;

use wattline_core::reading::ProcessCount;
use wattline_core::{HostRoot, Instant, Reading, Readings, Tick};

use crate::health::Health;

use self::cpu::Cpu;
use self::disk::Disks;
use self::filesystem::Filesystems;
use self::memory::Memory;
use self::network::Network;
use self::pressure::Pressure;

pub(crate) use self::cpu::boot_time;
pub(crate) use self::memory::installed_bytes as installed_memory_bytes;

/// What is read of the machine as a whole.
///
/// A name in a list may end in `*`, which stands for any rest. A list replaces its default.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether CPU time is also told for each CPU. false.
    pub per_cpu: bool,
    /// Whether partitions are told beside the disks that they are part of. false.
    pub partitions: bool,
    /// Block devices that are left out. By default loop and RAM disks.
    pub skip_disks: Vec<String>,
    /// Network interfaces that are left out: by default loopback and the host's ends of the links of containers.
    pub skip_interfaces: Vec<String>,
    /// Types of filesystems that are left out: by default those without a disk and those of other machines.
    pub skip_filesystems: Vec<String>,
    /// How often filesystems are measured. 30 s.
    #[serde(with = "humantime_serde")]
    pub filesystem_period: Duration,
    /// How long a filesystem may take to answer before it is left out until it does. 5 s.
    #[serde(with = "humantime_serde")]
    pub filesystem_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        let list = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Self {
            per_cpu: false,
            partitions: false,
            skip_disks: list(&["loop*", "ram*"]),
            skip_interfaces: list(&["lo", "veth*", "cali*", "lxc*", "eni*", "azv*", "gke*"]),
            skip_filesystems: list(mounts::WITHOUT_A_DISK_OF_OURS),
            filesystem_period: Duration::from_secs(30),
            filesystem_timeout: Duration::from_secs(5),
        }
    }
}

/// How often the processes are counted, which means listing `/proc`.
const PROCESS_COUNT_PERIOD: Duration = Duration::from_secs(10);

/// The reader of the machine as a whole.
pub(crate) struct System {
    root: HostRoot,
    cpu: Cpu,
    memory: Memory,
    disks: Disks,
    network: Network,
    filesystems: Filesystems,
    pressure: Pressure,
    process_count: Every,
    health: Health,
    buffer: Vec<u8>,
}

impl System {
    /// A reader of the machine whose files are below `root`. Opens nothing yet: what is missing is told by the
    /// first reading.
    pub(crate) fn open(config: &crate::Config, root: &HostRoot) -> Self {
        let config = &config.system;
        Self {
            root: root.clone(),
            cpu: Cpu::new(root, config.per_cpu),
            memory: Memory::new(root),
            disks: Disks::new(root, config),
            network: Network::new(root, config),
            filesystems: Filesystems::new(root, config),
            pressure: Pressure::new(root),
            process_count: Every::new(PROCESS_COUNT_PERIOD),
            health: Health::default(),
            buffer: Vec::new(),
        }
    }

    /// Appends what the machine shows now. What cannot be read is left out, and said once in a health reading.
    pub(crate) fn read(&mut self, tick: Tick, out: &mut Readings) {
        let Self { root, cpu, memory, disks, network, filesystems, pressure, process_count, health, buffer } = self;
        let (state, tasks) = cpu.read(buffer, out);
        health.note("cpu", state, out);
        if let Some(tasks) = tasks
            && process_count.is_due(tick.at)
            && let Ok(all) = count_processes(root)
        {
            let cpu::Tasks { running, blocked, created } = tasks;
            out.items.push(Reading::Processes(ProcessCount { all, running, blocked, created }));
        }
        health.note("memory", memory.read(buffer, out), out);
        health.note("disk", disks.read(buffer, out), out);
        health.note("network", network.read(buffer, out), out);
        health.note("pressure", pressure.read(buffer, out), out);
        if let Some(state) = filesystems.read(tick.at, out) {
            health.note("filesystem", state, out);
        }
    }
}

/// Processes are the directories of `/proc` that are named by a number. Where `/proc` hides the processes of other
/// users, only the visible ones count.
fn count_processes(root: &HostRoot) -> std::io::Result<u64> {
    let is_process = |name: &&String| name.bytes().all(|byte| byte.is_ascii_digit());
    Ok(root.list("proc")?.iter().filter(is_process).count() as u64)
}

/// Tells when something that is done now and then is due.
struct Every {
    period: Duration,
    last: Option<Instant>,
}

impl Every {
    const fn new(period: Duration) -> Self {
        Self { period, last: None }
    }

    /// True at first and then once a period. Periods that were missed are not made up for.
    fn is_due(&mut self, now: Instant) -> bool {
        let due = self.last.is_none_or(|last| has_passed(self.period, last, now));
        if due {
            self.last = Some(now);
        }
        due
    }
}

/// True when `now` is at least `period` after `then`.
fn has_passed(period: Duration, then: Instant, now: Instant) -> bool {
    u128::from(now.nanos().saturating_sub(then.nanos())) >= period.as_nanos()
}

#[cfg(test)]
mod tests;
