//! What an accelerator shows of itself, of its slices and of the processes that hold it.

use std::sync::Arc;

use crate::attribute::Text;
use crate::quantity::{Celsius, Hertz, Ratio, Seconds, Watts};
use crate::subject::Device;

/// What one accelerator shows at one moment. A field that it does not have, or that could not be read now, is `None`.
#[derive(Clone, Debug, PartialEq)]
pub struct AcceleratorReading {
    /// The device. Its id is the maker's uuid, which outlives reboots and other slots.
    pub device: Device,
    /// What it is. The same allocation until something of it changes.
    pub facts: Arc<AcceleratorFacts>,
    /// Whether it can be read, and how it is. One that is down shows nothing else.
    pub state: AcceleratorState,
    /// Energy drawn since the driver was loaded, in millijoules. It begins anew when the driver is loaded again.
    /// Where there is none, `power` is what is left to integrate.
    pub energy_mj: Option<u64>,
    /// Power drawn by the board.
    pub power: Option<AcceleratorPower>,
    /// Shares of time in which it was at work, over the maker's own sampling period of up to a second.
    pub utilization: Utilization,
    /// Its memory.
    pub memory: Option<AcceleratorMemory>,
    /// Its temperatures.
    pub temperatures: Temperatures,
    /// Its clocks.
    pub clocks: Clocks,
    /// What holds its clocks down now; empty where nothing does.
    pub limits: Option<Vec<ClockLimit>>,
    /// Time in which a limit held its clocks down, in nanoseconds since the driver was loaded. These and the errors, rows
    /// and bytes below are asked for every ten seconds and told in those readings only.
    pub limited_ns: Vec<(ClockLimit, u64)>,
    /// Errors since the driver was loaded. A kind that the device does not count is not in it.
    pub errors: Vec<(ErrorKind, u64)>,
    /// Rows of memory that were replaced by spare ones, ever.
    pub remapped: Option<RemappedRows>,
    /// Critical errors that the driver has reported since the last reading, by its own numbers, and how often.
    pub xids: Vec<(u64, u32)>,
    /// Bytes between it and the PCI bus since the driver was loaded.
    pub pcie: Option<Traffic>,
    /// How busy its units were since the last reading. `None` too in the first reading of a device.
    pub activity: Option<Activity>,
    /// The processes that hold it, in the order of their ids. `None` where they cannot be seen: then nothing is known of
    /// who holds it. In a device with slices these are the processes in them.
    pub processes: Option<Vec<AcceleratorProcess>>,
    /// Its slices, if it is cut into any, in the order of their uuids.
    pub slices: Vec<SliceReading>,
}

impl AcceleratorReading {
    /// A device of which nothing else is known.
    pub const fn new(device: Device, facts: Arc<AcceleratorFacts>, state: AcceleratorState) -> Self {
        Self {
            device,
            facts,
            state,
            energy_mj: None,
            power: None,
            utilization: Utilization { general: None, memory: None, encoder: None, decoder: None },
            memory: None,
            temperatures: Temperatures { core: None, memory: None },
            clocks: Clocks { graphics: None, compute: None, memory: None, video: None },
            limits: None,
            limited_ns: Vec::new(),
            errors: Vec::new(),
            remapped: None,
            xids: Vec::new(),
            pcie: None,
            activity: None,
            processes: None,
            slices: Vec::new(),
        }
    }
}

/// What an accelerator is: what changes rarely or never.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AcceleratorFacts {
    /// The maker: `NVIDIA`.
    pub vendor: Text,
    /// The product: `NVIDIA H100 80GB HBM3`.
    pub name: Text,
    /// The generation, in lower case: `hopper`.
    pub architecture: Option<Text>,
    /// The driver's number for it, which may change with every boot.
    pub index: u32,
    /// Its address on the PCI bus: `00000000:07:00.0`.
    pub pci_address: Option<Text>,
    /// The serial number of the board.
    pub serial: Option<Text>,
    /// The version of the driver.
    pub driver_version: Option<Text>,
    /// Installed memory in bytes.
    pub memory_bytes: Option<u64>,
    /// The power that it may draw now,
    pub power_limit: Option<Watts>,
    /// and as delivered.
    pub power_limit_default: Option<Watts>,
    /// Whether it is cut into slices: `None` where it cannot be.
    pub sliced: Option<bool>,
    /// Multiprocessors of the whole device, where that is told.
    pub multiprocessors: Option<u32>,
    /// What such a reading could hold and this device does not tell.
    pub missing: Vec<&'static str>,
}

/// How an accelerator is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AcceleratorState {
    /// It works.
    Works,
    /// It works, and wants attention: a sentence for people.
    Degraded(Text),
    /// It cannot be read.
    Down(DownReason),
}

/// Why an accelerator cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DownReason {
    /// It fell off the bus.
    Lost,
    /// It must be reset before it can be used again.
    ResetRequired,
    /// Every question failed for a reason that the driver does not name.
    Failing,
    /// A question to it did not come back.
    Hanging,
}

impl DownReason {
    /// The reason in words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lost => "fell off the bus",
            Self::ResetRequired => "must be reset",
            Self::Failing => "fails every question",
            Self::Hanging => "does not answer",
        }
    }
}

/// Power of a board, as its own meter tells it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AcceleratorPower {
    /// The power.
    pub power: Watts,
    /// The time that the meter averages over; `None` where it tells the power of one moment. A100, A30 and what is
    /// older show a moment, later ones a second; a moment of A100 and H100 sees a quarter of the time.
    pub averaged_over: Option<Seconds>,
}

/// Shares of time, 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Utilization {
    /// Some kernel ran, however small.
    pub general: Option<Ratio>,
    /// Memory was read or written.
    pub memory: Option<Ratio>,
    /// The video encoder was at work.
    pub encoder: Option<Ratio>,
    /// The video decoder was at work.
    pub decoder: Option<Ratio>,
}

/// Memory of an accelerator or of a slice, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AcceleratorMemory {
    /// All there is.
    pub total: u64,
    /// Held by processes.
    pub used: u64,
    /// Held by the driver and the firmware; not in `used`. `None` where the driver is too old to tell them apart.
    pub reserved: Option<u64>,
}

/// Temperatures.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Temperatures {
    /// Of the processor.
    pub core: Option<Celsius>,
    /// Of the memory.
    pub memory: Option<Celsius>,
}

/// Clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Clocks {
    /// Of the graphics engine.
    pub graphics: Option<Hertz>,
    /// Of the multiprocessors.
    pub compute: Option<Hertz>,
    /// Of the memory.
    pub memory: Option<Hertz>,
    /// Of the video engines.
    pub video: Option<Hertz>,
}

/// What holds clocks down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClockLimit {
    /// There is nothing to do.
    Idle,
    /// Somebody has set the clocks.
    Setting,
    /// The power limit.
    PowerCap,
    /// The hardware slows down to half or less: heat, a power brake, or a current that is too high.
    HardwareSlowdown,
    /// Another device of its group is slower.
    SyncBoost,
    /// The driver slows down because of heat.
    SoftwareThermal,
    /// The hardware slows down because of heat.
    HardwareThermal,
    /// The power supply asks for less.
    PowerBrake,
    /// The clocks of a display.
    Display,
    /// Heat, whoever slows down.
    Thermal,
    /// A limit of the board.
    Board,
    /// Too little work to clock higher.
    LowUtilization,
    /// A voltage that is kept for the sake of reliability.
    Reliability,
}

impl ClockLimit {
    /// The value of `hw.gpu.clock.limit`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Setting => "setting",
            Self::PowerCap => "power_cap",
            Self::HardwareSlowdown => "hardware_slowdown",
            Self::SyncBoost => "sync_boost",
            Self::SoftwareThermal => "software_thermal",
            Self::HardwareThermal => "hardware_thermal",
            Self::PowerBrake => "power_brake",
            Self::Display => "display",
            Self::Thermal => "thermal",
            Self::Board => "board",
            Self::LowUtilization => "low_utilization",
            Self::Reliability => "reliability",
        }
    }
}

/// Errors that a device counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorKind {
    /// A bit of memory that was corrected.
    Corrected,
    /// Bits of memory that could not be corrected.
    Uncorrected,
    /// A packet on the PCI bus that was sent again.
    PcieReplay,
    /// A packet between devices that arrived broken.
    LinkCrc,
    /// A packet between devices that was sent again.
    LinkReplay,
    /// A link between devices that was set up again.
    LinkRecovery,
}

impl ErrorKind {
    /// The value of `error.type`: the first two are the semantic conventions' words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Corrected => "corrected",
            Self::Uncorrected => "uncorrected",
            Self::PcieReplay => "pcie_replay",
            Self::LinkCrc => "link_crc",
            Self::LinkReplay => "link_replay",
            Self::LinkRecovery => "link_recovery",
        }
    }
}

/// Rows of memory that spare ones stand in for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RemappedRows {
    /// Because of errors that were corrected.
    pub corrected: u64,
    /// Because of errors that were not.
    pub uncorrected: u64,
    /// More will be replaced at the next reset.
    pub pending: bool,
    /// A row could not be replaced: the device should be.
    pub failed: bool,
}

/// Bytes on their way out of a device and into it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Sent by the device.
    pub sent_bytes: u64,
    /// Received by the device.
    pub received_bytes: u64,
}

/// Shares of what the units of a device or a slice could do, 0 to 1, by the hardware's own counters.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Activity {
    /// Time in which some unit of the graphics or compute engine was at work.
    pub graphics: Option<Ratio>,
    /// Time in which a multiprocessor had work, the mean over multiprocessors.
    pub multiprocessor: Option<Ratio>,
    /// Warps that were there, of those that could be.
    pub occupancy: Option<Ratio>,
    /// Time in which tensor cores were at work.
    pub tensor: Option<Ratio>,
    /// Bandwidth of the memory.
    pub memory: Option<Ratio>,
}

/// A process that holds an accelerator.
#[derive(Clone, Debug, PartialEq)]
pub struct AcceleratorProcess {
    /// Its id on the host.
    pub pid: u32,
    /// How it uses the device.
    pub contexts: Contexts,
    /// Memory of the device that it holds, in bytes. `None` where the driver does not tell.
    pub memory_bytes: Option<u64>,
    /// The slice that it runs in.
    pub slice: Option<InstanceId>,
    /// How much of the device it used since the last reading, zero when it did nothing. `None` where the device does not
    /// tell it by process, as one with slices does not, and in the first reading.
    pub utilization: Option<ProcessUtilization>,
}

/// How a process uses a device. A process may be several of these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contexts {
    /// It computes.
    pub compute: bool,
    /// It draws.
    pub graphics: bool,
    /// It computes as a client of the Multi-Process Service, at the same time as others.
    pub mps: bool,
}

/// Shares of a device's time, 0 to 1: the mean over the samples that the driver took since the last reading. Processes
/// that share a device in time add up to at most 1, clients of the Multi-Process Service need not.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProcessUtilization {
    /// Multiprocessors.
    pub multiprocessor: Ratio,
    /// Reading and writing memory.
    pub memory: Ratio,
    /// The video encoder.
    pub encoder: Ratio,
    /// The video decoder.
    pub decoder: Ratio,
}

/// The driver's numbers of a slice: a GPU instance, which has memory and multiprocessors of its own, and a compute
/// instance, which is a part of the multiprocessors of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId {
    /// The GPU instance.
    pub gpu_instance: u32,
    /// The compute instance inside.
    pub compute_instance: u32,
}

/// What one slice of an accelerator shows. It has no meter: its energy is a part of the device's.
#[derive(Clone, Debug, PartialEq)]
pub struct SliceReading {
    /// What it is. The same allocation until something of it changes.
    pub facts: Arc<SliceFacts>,
    /// Its memory, which it shares with the other compute instances of its GPU instance.
    pub memory: Option<AcceleratorMemory>,
    /// How busy the units of its GPU instance were since the last reading: shares of the instance, not of the device.
    pub activity: Option<Activity>,
}

/// What a slice is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SliceFacts {
    /// The maker's uuid: `MIG-…`.
    pub uuid: Text,
    /// Its profile: `1g.10gb`.
    pub profile: Option<Text>,
    /// The driver's numbers of it. They are known from the first process that is seen in it on.
    pub id: Option<InstanceId>,
    /// Multiprocessors.
    pub multiprocessors: Option<u32>,
    /// Memory in bytes, as cut.
    pub memory_bytes: Option<u64>,
}
