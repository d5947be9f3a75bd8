//! What the probe asks of a driver and of its GPUs, in its own words. Everything may be missing: what an implementation
//! does not answer is [`Fault::Unsupported`].

use wattline_core::reading::{
    AcceleratorMemory, AcceleratorPower, Activity, ClockLimit, DownReason, InstanceId, ProcessUtilization,
};
use wattline_core::{Celsius, Hertz, Ratio, Text, Watts};

/// An answer, or why there is none.
pub(crate) type Answer<T> = Result<T, Fault>;

/// Why a question was not answered. The variant is what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The device, its driver or the library does not have it: do not ask again.
    Unsupported,
    /// This process may not know: do not ask again, and say so.
    Denied,
    /// There is nothing to tell now: go on.
    Nothing,
    /// It failed this time: ask again.
    Transient,
    /// The GPU cannot be used until somebody does something about it: leave it alone.
    Down(DownReason),
    /// The driver is gone, or another one was loaded: begin anew. What it said.
    Driver(String),
}

/// A driver that is open.
pub(crate) trait Driver {
    /// One of its GPUs.
    type Gpu<'driver>: Gpu
    where
        Self: 'driver;

    /// Its version, if it tells.
    fn version(&self) -> Option<Text>;

    /// How many GPUs there are now. Asked at every reading: a driver that was unloaded is seen by it.
    fn count(&self) -> Answer<u32>;

    /// A GPU by its number.
    fn gpu(&self, index: u32) -> Answer<Self::Gpu<'_>>;
}

/// One GPU, or a slice of one. Shares are of the last sampling period of the driver, at most a second.
pub(crate) trait Gpu: Sized {
    /// Counters of the units as they stand, to be compared with later ones.
    type Sample;

    /// What never changes.
    fn identity(&self) -> Answer<Identity>;

    /// Energy since the driver was loaded, in millijoules.
    fn energy_mj(&self) -> Answer<u64> {
        Err(Fault::Unsupported)
    }

    /// Power of the board, and over which time it is the mean.
    fn power(&self) -> Answer<AcceleratorPower> {
        Err(Fault::Unsupported)
    }

    /// The power that it may draw.
    fn power_limit(&self) -> Answer<Watts> {
        Err(Fault::Unsupported)
    }

    /// The power that it may draw as delivered.
    fn power_limit_default(&self) -> Answer<Watts> {
        Err(Fault::Unsupported)
    }

    /// Shares of time in which a kernel ran, and in which memory was used.
    fn utilization(&self) -> Answer<(Ratio, Ratio)> {
        Err(Fault::Unsupported)
    }

    /// Share of time in which the video encoder was at work.
    fn encoder(&self) -> Answer<Ratio> {
        Err(Fault::Unsupported)
    }

    /// Share of time in which the video decoder was at work.
    fn decoder(&self) -> Answer<Ratio> {
        Err(Fault::Unsupported)
    }

    /// Its memory.
    fn memory(&self) -> Answer<AcceleratorMemory> {
        Err(Fault::Unsupported)
    }

    /// Temperature of the processor.
    fn temperature(&self) -> Answer<Celsius> {
        Err(Fault::Unsupported)
    }

    /// One of its clocks.
    fn clock(&self, _clock: Clock) -> Answer<Hertz> {
        Err(Fault::Unsupported)
    }

    /// What holds its clocks down now.
    fn limits(&self) -> Answer<Vec<ClockLimit>> {
        Err(Fault::Unsupported)
    }

    /// Errors of memory since the driver was loaded, corrected ones or not.
    fn memory_errors(&self, _corrected: bool) -> Answer<u64> {
        Err(Fault::Unsupported)
    }

    /// Packets on the PCI bus that were sent again.
    fn pcie_replays(&self) -> Answer<u64> {
        Err(Fault::Unsupported)
    }

    /// Errors of one link to other GPUs. `Nothing` for a link that it does not have.
    fn link_errors(&self, _link: u32) -> Answer<LinkErrors> {
        Err(Fault::Unsupported)
    }

    /// Several counters at once, in the order asked for.
    fn fields(&self, _fields: &[Field]) -> Answer<Vec<Answer<u64>>> {
        Err(Fault::Unsupported)
    }

    /// The processes of one kind that hold it.
    fn processes(&self, _kind: ProcessKind) -> Answer<Vec<Holder>> {
        Err(Fault::Unsupported)
    }

    /// What processes used, by samples taken after `since`, which is in microseconds of Unix time.
    fn process_utilization(&self, _since: u64) -> Answer<Vec<ProcessSample>> {
        Err(Fault::Unsupported)
    }

    /// A sample of the counters of the units: of the whole device, or of one GPU instance of it.
    fn sample(&self, _gpu_instance: Option<u32>) -> Answer<Self::Sample> {
        Err(Fault::Unsupported)
    }

    /// How busy the units were between two samples.
    fn activity(&self, _from: &Self::Sample, _to: &Self::Sample) -> Answer<Activity> {
        Err(Fault::Unsupported)
    }

    /// Critical errors that the driver has reported since the last question, by its numbers.
    fn critical_errors(&mut self) -> Answer<Vec<u64>> {
        Err(Fault::Unsupported)
    }

    /// Whether it is cut into slices now.
    fn is_sliced(&self) -> Answer<bool> {
        Err(Fault::Unsupported)
    }

    /// Its slices.
    fn slices(&self) -> Answer<Vec<Self>> {
        Err(Fault::Unsupported)
    }

    /// Multiprocessors and bytes of memory of a slice.
    fn cut(&self) -> Answer<(u32, u64)> {
        Err(Fault::Unsupported)
    }
}

/// What never changes of a GPU or a slice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The maker's uuid.
    pub(crate) uuid: String,
    /// The product. Of a slice, that of the device and the profile.
    pub(crate) name: String,
    /// The generation, in lower case.
    pub(crate) architecture: Option<String>,
    /// The address on the PCI bus.
    pub(crate) pci_address: Option<String>,
    /// The serial number of the board.
    pub(crate) serial: Option<String>,
}

/// The clocks that are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clock {
    Graphics,
    Compute,
    Memory,
    Video,
}

/// Counters that are asked for by number, many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    /// Temperature of the memory, in degrees.
    MemoryTemperature,
    /// Bytes to the PCI bus.
    PcieSent,
    /// Bytes from the PCI bus.
    PcieReceived,
    /// Rows replaced because of corrected errors.
    RowsCorrected,
    /// Rows replaced because of errors that were not corrected.
    RowsUncorrected,
    /// 1 if rows are to be replaced at the next reset.
    RowsPending,
    /// 1 if a row could not be replaced.
    RowsFailed,
    /// Nanoseconds under a limit.
    Limited(ClockLimit),
}

/// How processes hold a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProcessKind {
    Compute,
    Graphics,
    Mps,
}

/// A process that holds a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) pid: u32,
    /// Bytes, where they are told.
    pub(crate) memory_bytes: Option<u64>,
    /// The slice that it runs in.
    pub(crate) slice: Option<InstanceId>,
}

/// What one process used over one sampling period.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ProcessSample {
    pub(crate) pid: u32,
    /// When it was taken, in microseconds of Unix time.
    pub(crate) at_us: u64,
    pub(crate) shares: ProcessUtilization,
}

/// Errors of a link to another GPU, of the kinds that it counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LinkErrors {
    pub(crate) crc: Option<u64>,
    pub(crate) replay: Option<u64>,
    pub(crate) recovery: Option<u64>,
}
