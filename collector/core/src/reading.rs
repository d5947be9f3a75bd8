//! What probes and receivers saw, before anybody means anything by it.
//!
//! Counters are raw integers in the source's unit. A field that a source does not have is `None`, never zero.

use std::sync::Arc;

use crate::attribute::Text;
use crate::counter::Range;
use crate::quantity::{GramsPerKwh, Ratio, Seconds, Watts};
use crate::subject::{Device, HostedAgent, InferenceKey, Workload};
use crate::time::{Tick, Timestamp};

mod engine;
mod inference;

pub use engine::{
    EngineHardware, EngineReading, EngineTask, EngineTokens, Gpu, HistogramReading, PhaseClock, PhaseTimes,
};
pub use inference::{CallIdentity, CallKind, Doubts, Inference, TokenUsage, ToldBy, ToolDefinitions};

/// What one source saw at one moment.
#[derive(Clone, Debug)]
pub struct Readings {
    /// The source: a probe's or receiver's name.
    pub source: &'static str,
    /// When it was read.
    pub tick: Tick,
    /// What was seen.
    pub items: Vec<Reading>,
}

impl Readings {
    /// Nothing seen yet.
    pub const fn new(source: &'static str, tick: Tick) -> Self {
        Self { source, tick, items: Vec::new() }
    }
}

/// One thing seen.
#[derive(Clone, Debug)]
pub enum Reading {
    /// What the machine is. Sent at the start and when it changes.
    Inventory(Arc<Inventory>),
    /// A raw energy counter.
    Energy(EnergyReading),
    /// A power meter without a counter.
    Power(PowerReading),
    /// CPU time of the whole machine.
    Cpu(CpuReading),
    /// Memory of the whole machine.
    Memory(MemoryReading),
    /// Load averages.
    Load(LoadReading),
    /// Paging and swapping.
    Paging(PagingReading),
    /// One block device.
    Disk(DiskReading),
    /// One network interface.
    Network(NetworkReading),
    /// One mounted filesystem.
    Filesystem(FilesystemReading),
    /// Pressure stall information of one resource.
    Pressure(PressureReading),
    /// How many processes there are.
    Processes(ProcessCount),
    /// The use of one control group that is a workload.
    Cgroup(CgroupReading),
    /// The use of one process.
    Process(ProcessReading),
    /// A completed call of a language model.
    Inference(Inference),
    /// Something that an agent did beside calling a model.
    Activity(Box<AgentActivity>),
    /// A sum of tokens by an application's own metrics.
    Tokens(Box<TokenSum>),
    /// What a session of a hosted agent used.
    AgentUsage(Box<AgentUsage>),
    /// How far a source has read that others keep for it.
    Progress(Progress),
    /// What an inference engine tells of itself.
    Engine(Box<EngineReading>),
    /// Carbon intensity of a grid, as its publisher gives it.
    Intensity(IntensityReading),
    /// How reading the source went.
    Health(SourceHealth),
}

/// What the machine is.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Inventory {
    /// `host.name`.
    pub host_name: Option<String>,
    /// `host.id`: the cloud's instance id, else the machine id.
    pub host_id: Option<String>,
    /// `host.arch` in OpenTelemetry's words: `amd64`, `arm64`, ...
    pub arch: Option<String>,
    /// The kernel's release.
    pub kernel: Option<String>,
    /// Changes with every boot.
    pub boot_id: Option<String>,
    /// When the machine booted.
    pub boot_time: Option<Timestamp>,
    /// The processor.
    pub cpu: CpuModel,
    /// Installed memory that the kernel sees, in bytes.
    pub memory_bytes: Option<u64>,
    /// Whether this is a virtual machine, and of which hypervisor.
    pub virtualization: Virtualization,
    /// The cloud instance, if this is one.
    pub cloud: Option<CloudInstance>,
}

/// Whether the machine is virtual.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Virtualization {
    /// Nothing tells.
    #[default]
    Unknown,
    /// The CPU announces no hypervisor.
    None,
    /// The CPU announces a hypervisor; its name as far as firmware tells.
    Guest(String),
}

/// The processor as `/proc/cpuinfo` and sysfs name it.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct CpuModel {
    /// `GenuineIntel`, `AuthenticAMD`, or the ARM implementer.
    pub vendor: Option<String>,
    /// The brand, such as `AMD EPYC 7R13 Processor`.
    pub name: Option<String>,
    /// The family number (x86) .
    pub family: Option<u32>,
    /// The model number (x86) or the part number (ARM).
    pub model: Option<u32>,
    /// Hardware threads that are online.
    pub logical_count: Option<u32>,
    /// Cores.
    pub core_count: Option<u32>,
    /// Sockets.
    pub socket_count: Option<u32>,
}

/// A cloud instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct CloudInstance {
    /// `cloud.provider`: `aws`, `gcp`, `azure`.
    pub provider: String,
    /// `cloud.platform`: `aws_ec2`, ...
    pub platform: String,
    /// `cloud.region`.
    pub region: Option<String>,
    /// `cloud.availability_zone`.
    pub availability_zone: Option<String>,
    /// `cloud.account.id`.
    pub account_id: Option<String>,
    /// `host.id`.
    pub instance_id: Option<String>,
    /// `host.type`.
    pub instance_type: Option<String>,
    /// `on-demand`, `spot`, ...
    pub life_cycle: Option<String>,
}

/// Where an energy figure comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum EnergySource {
    /// Running average power limit, through the powercap tree.
    Rapl,
    /// A hwmon chip.
    Hwmon,
    /// The ACPI power meter: the whole machine at its input.
    AcpiMeter,
}

impl EnergySource {
    /// The word in `doctor` and in `energy.model`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rapl => "rapl",
            Self::Hwmon => "hwmon",
            Self::AcpiMeter => "acpi_power_meter",
        }
    }
}

/// What an energy or power reading covers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum Scope {
    /// One device: a row on the books.
    Device(Device),
    /// The whole machine at its input: what is beyond the devices is the enclosure.
    Machine,
    /// A view that overlaps with devices, such as psys or the cores inside a package. Shown, never booked.
    Overlapping(Text),
}

/// A raw energy counter.
#[derive(Clone, Debug, PartialEq)]
pub struct EnergyReading {
    /// What it covers.
    pub scope: Scope,
    /// Where it comes from.
    pub source: EnergySource,
    /// The counter in microjoules.
    pub counter_uj: u64,
    /// Its range, where the source states one.
    pub range: Option<Range>,
}

/// A power meter without a counter.
#[derive(Clone, Debug, PartialEq)]
pub struct PowerReading {
    /// What it covers.
    pub scope: Scope,
    /// Where it comes from.
    pub source: EnergySource,
    /// The power, averaged over `averaged_over` where the meter says.
    pub power: Watts,
    /// The time that the meter averages over.
    pub averaged_over: Option<Seconds>,
}

/// The modes of CPU time, with guest time inside user and nice as the kernel counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTimes {
    /// `cpu.mode` = user. Nanoseconds since boot, like all of these.
    pub user_ns: u64,
    /// nice
    pub nice_ns: u64,
    /// system
    pub system_ns: u64,
    /// idle
    pub idle_ns: u64,
    /// iowait
    pub iowait_ns: u64,
    /// interrupt: hard and soft.
    pub interrupt_ns: u64,
    /// steal: time that the hypervisor gave to others.
    pub steal_ns: u64,
}

impl CpuTimes {
    /// The modes with their names.
    pub const fn modes(&self) -> [(&'static str, u64); 7] {
        [
            ("user", self.user_ns),
            ("nice", self.nice_ns),
            ("system", self.system_ns),
            ("idle", self.idle_ns),
            ("iowait", self.iowait_ns),
            ("interrupt", self.interrupt_ns),
            ("steal", self.steal_ns),
        ]
    }

    /// Time in which this machine's CPUs worked. Stolen time worked for others.
    pub const fn busy_ns(&self) -> u64 {
        self.user_ns.saturating_add(self.nice_ns).saturating_add(self.system_ns).saturating_add(self.interrupt_ns)
    }

    /// All time.
    pub const fn total_ns(&self) -> u64 {
        self.busy_ns().saturating_add(self.idle_ns).saturating_add(self.iowait_ns).saturating_add(self.steal_ns)
    }
}

/// CPU time of the whole machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuReading {
    /// The sum over CPUs.
    pub total: CpuTimes,
    /// Each online CPU with its number; empty unless asked for.
    pub per_cpu: Vec<(u32, CpuTimes)>,
    /// CPUs online.
    pub online: u32,
}

/// Memory in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryReading {
    /// `MemTotal`.
    pub total: u64,
    /// `MemFree`.
    pub free: u64,
    /// `MemAvailable`; absent on kernels before 3.14.
    pub available: Option<u64>,
    /// `Buffers`.
    pub buffers: u64,
    /// `Cached` with reclaimable slab, as free(1) counts.
    pub cached: u64,
    /// `Slab`.
    pub slab: Option<u64>,
    /// `SwapTotal`.
    pub swap_total: u64,
    /// `SwapFree`.
    pub swap_free: u64,
}

/// Load averages over one, five and fifteen minutes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LoadReading {
    /// One minute.
    pub one: f64,
    /// Five minutes.
    pub five: f64,
    /// Fifteen minutes.
    pub fifteen: f64,
}

/// Paging counters since boot, in events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PagingReading {
    /// Minor faults.
    pub minor_faults: Option<u64>,
    /// Major faults.
    pub major_faults: Option<u64>,
    /// Pages swapped in.
    pub swapped_in: Option<u64>,
    /// Pages swapped out.
    pub swapped_out: Option<u64>,
}

/// Counters of one block device since boot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiskReading {
    /// The device's name.
    pub device: Arc<str>,
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes written.
    pub written_bytes: u64,
    /// Reads completed.
    pub reads: u64,
    /// Writes completed.
    pub writes: u64,
    /// Milliseconds with requests in flight.
    pub io_time_ms: u64,
}

/// Counters of one network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkReading {
    /// The interface's name.
    pub interface: Arc<str>,
    /// Bytes received.
    pub received_bytes: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Packets received.
    pub received_packets: u64,
    /// Packets sent.
    pub sent_packets: u64,
    /// Receive errors.
    pub receive_errors: u64,
    /// Send errors.
    pub send_errors: u64,
    /// Packets dropped on receive.
    pub receive_drops: u64,
    /// Packets dropped on send.
    pub send_drops: u64,
}

/// One mounted filesystem, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilesystemReading {
    /// The device.
    pub device: Arc<str>,
    /// Where it is mounted.
    pub mountpoint: Arc<str>,
    /// Its type.
    pub kind: Arc<str>,
    /// Whether it is mounted read-only.
    pub read_only: bool,
    /// Bytes used.
    pub used: u64,
    /// Bytes free to anybody.
    pub free: u64,
    /// Bytes free to root only.
    pub reserved: u64,
}

/// Pressure stall counters of one resource, in microseconds since boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PressureReading {
    /// `cpu`, `memory`, `io`.
    pub resource: &'static str,
    /// Time in which some task waited.
    pub some_us: u64,
    /// Time in which all tasks waited.
    pub full_us: Option<u64>,
}

/// How many processes there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessCount {
    /// All processes.
    pub all: u64,
    /// Tasks that run or want to.
    pub running: u64,
    /// Tasks that wait for I/O.
    pub blocked: u64,
    /// Tasks created since boot.
    pub created: u64,
}

/// The use of one control group that is a workload.
///
/// The counters include everything below it, other workloads too: `inside` names the workload around it, so that
/// the model can subtract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupReading {
    /// Tells this group from a later one of the same path: the directory's inode.
    pub id: u64,
    /// The workload that it is.
    pub workload: Arc<Workload>,
    /// The `id` of the nearest workload group around it.
    pub inside: Option<u64>,
    /// CPU time used since the group was made, in nanoseconds.
    pub cpu_ns: u64,
    /// Of that, user time.
    pub cpu_user_ns: Option<u64>,
    /// Of that, system time.
    pub cpu_system_ns: Option<u64>,
    /// Time that a quota held it back, in nanoseconds.
    pub throttled_ns: Option<u64>,
    /// Bytes charged to it.
    pub memory_bytes: Option<u64>,
    /// Bytes charged to it less the file pages that could go at once.
    pub working_set_bytes: Option<u64>,
    /// Bytes read from block devices.
    pub read_bytes: Option<u64>,
    /// Bytes written to block devices.
    pub written_bytes: Option<u64>,
}

/// The use of one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessReading {
    /// The process id, which is reused,
    pub pid: u32,
    /// and the start time in clock ticks since boot, which with the pid is not.
    pub start_ticks: u64,
    /// The executable's name as the kernel keeps it, made printable.
    pub name: Arc<str>,
    /// The `id` of the workload group that it runs in; `None` outside any.
    pub cgroup: Option<u64>,
    /// CPU time used, in nanoseconds.
    pub cpu_ns: u64,
    /// Resident memory in bytes.
    pub resident_bytes: u64,
    /// Threads.
    pub threads: u32,
}

/// The carbon intensity of a grid during a time, as a live provider or a file gives it.
#[derive(Clone, Debug, PartialEq)]
pub struct IntensityReading {
    /// The zone as the provider names it.
    pub zone: Text,
    /// The provider: the value of `carbon.source`.
    pub source: Text,
    /// Of all electricity in the grid, or of one kilowatt-hour more.
    pub kind: IntensityKind,
    /// The figure; finite, not negative, and not beyond what any fuel emits.
    pub grams: GramsPerKwh,
    /// Begin of the time that it holds for,
    pub from: Timestamp,
    /// and its end.
    pub until: Timestamp,
    /// The publisher estimated it, or forecast it.
    pub estimated: bool,
}

/// Which kilowatt-hours an intensity tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntensityKind {
    /// The mean of all of them: what is accounted with.
    Average,
    /// One more than now: what is decided with, and never summed.
    Marginal,
}

/// How reading one part of a source went. A failure is data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceHealth {
    /// The part, such as `rapl` or `cgroups`.
    pub part: &'static str,
    /// What it gives.
    pub state: SourceState,
}

/// What a source gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceState {
    /// It is read.
    Up {
        /// What was found, for `doctor`: `2 packages, 2 dram`.
        found: String,
    },
    /// It is not on this machine.
    Absent {
        /// Where it was looked for.
        looked: String,
    },
    /// It is here and may not be read.
    Denied {
        /// What was refused.
        what: String,
        /// What to do about it.
        remedy: String,
    },
    /// It failed.
    Failed {
        /// What was attempted, where, and how it failed.
        what: String,
    },
}

/// A sum of tokens that an application's own metrics tell, over calls that nobody tells apart.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenSum {
    /// Tells its series from others.
    pub series: u64,
    /// What it is booked under.
    pub key: InferenceKey,
    /// Which tokens it counts.
    pub kind: TokenKind,
    /// How many.
    pub tokens: f64,
    /// Over how many calls, where that is counted.
    pub calls: Option<u64>,
    /// Whether it is what came since the point before, rather than since `start`.
    pub is_delta: bool,
    /// Since when it counts; the epoch where that is not told.
    pub start: Timestamp,
    /// When it was told.
    pub at: Timestamp,
}

/// Which tokens a sum counts. Those "beside" are not in the sum that they are part of by the semantic conventions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TokenKind {
    /// Input.
    Input,
    /// Output.
    Output,
    /// Of the input, read from a cache.
    CacheRead,
    /// Read from a cache, not in the input.
    CacheReadBeside,
    /// Of the input, written to a cache.
    CacheWrite,
    /// Written to a cache, not in the input.
    CacheWriteBeside,
    /// Of the output, reasoning.
    Reasoning,
    /// Reasoning, not in the output.
    ReasoningBeside,
}

/// Something that an agent did beside calling a model.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentActivity {
    /// What it did.
    pub kind: ActivityKind,
    /// The service that it runs in.
    pub service: Text,
    /// The agent, if the span names one.
    pub agent: Option<Text>,
    /// When it began.
    pub start: Timestamp,
    /// How long it took.
    pub duration: Seconds,
    /// The error, if it failed.
    pub error: Option<Text>,
    /// The share of such spans that is seen.
    pub probability: Ratio,
    /// The trace, 0 if there is none,
    pub trace: u128,
    /// the span,
    pub span: u64,
    /// and the span around it, 0 for a root.
    pub parent: u64,
}

/// What an agent did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActivityKind {
    /// It ran, from the request to its answer.
    Run,
    /// It ran a tool of this name.
    Tool(Text),
}

/// What one session of a hosted agent used in one interval, as its host meters and bills it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentUsage {
    /// The agent.
    pub agent: HostedAgent,
    /// A hash of the session's id; 0 if none is told.
    pub session: u64,
    /// When it was metered.
    pub at: Timestamp,
    /// Length of the interval, in nanoseconds.
    pub elapsed_ns: u64,
    /// CPU time used in it, in nanoseconds of one vCPU.
    pub vcpu_ns: u64,
    /// Memory held in it, in nanoseconds of one gigabyte.
    pub gb_ns: u64,
}

/// How far a source has read what others keep for it, such as files of a log. It is kept together with the books, so that
/// a source that is told of it at the next start has each thing booked once, however the agent ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The source.
    pub source: Text,
    /// The number of its last step that is on the books; it only grows.
    pub step: u64,
}
