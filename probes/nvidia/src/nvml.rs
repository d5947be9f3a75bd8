//! NVIDIA's management library, loaded at run time by nvml-wrapper: its calls in the probe's words.

mod fault;

use std::cell::OnceCell;
use std::path::Path;

use nvml_wrapper::bitmasks::device::ThrottleReasons;
use nvml_wrapper::bitmasks::event::EventTypes;
use nvml_wrapper::enum_wrappers::device::{self as words, EccCounter, MemoryError, TemperatureSensor};
use nvml_wrapper::enum_wrappers::nv_link::ErrorCounter;
use nvml_wrapper::enums::device::{DeviceArchitecture, SampleValue, UsedGpuMemory};
use nvml_wrapper::enums::event::XidError;
use nvml_wrapper::enums::gpm::GpmMetricId;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::gpm::gpm_metrics_get;
use nvml_wrapper::struct_wrappers::device::ProcessInfo;
use nvml_wrapper::structs::device::FieldId;
use nvml_wrapper::sys_exports::field_id;
use nvml_wrapper::{Device, EventSet, GpmSample, Nvml};
use wattline_core::reading::{
    AcceleratorMemory, AcceleratorPower, Activity, ClockLimit, InstanceId, ProcessUtilization,
};
use wattline_core::{Celsius, Hertz, Ratio, Seconds, Text, Watts};

use crate::gpu::{Answer, Clock, Driver, Fault, Field, Gpu, Holder, Identity, LinkErrors, ProcessKind, ProcessSample};

pub(crate) use fault::OpenFault;

/// The library, initialised. Dropping it lets go of the driver.
#[derive(Debug)]
pub(crate) struct Library {
    nvml: Nvml,
    version: Option<String>,
}

impl Library {
    /// Loads the library at `path` and initialises it. A name without a slash is looked for where the dynamic linker
    /// looks.
    pub(crate) fn open(path: &Path) -> Result<Self, OpenFault> {
        let nvml = Nvml::builder().lib_path(path.as_os_str()).init().map_err(|error| OpenFault::of(&error))?;
        let version = nvml.sys_driver_version().ok();
        Ok(Self { nvml, version })
    }

    /// Of these drivers the functions `_v3` write 32 bytes for each process where 24 belong, over what lies behind
    /// (535.43 to 535.86; github.com/XuehaiPan/nvitop/pull/79 and 89).
    fn overruns_processes(&self) -> bool {
        let mut numbers = self.version.as_deref().unwrap_or("").split('.').map(|part| part.parse::<u32>().ok());
        matches!((numbers.next().flatten(), numbers.next().flatten()), (Some(535), Some(43..=97)))
    }
}

impl Driver for Library {
    type Gpu<'driver> = NvmlGpu<'driver>;

    fn version(&self) -> Option<Text> {
        self.version.clone().map(Text::from)
    }

    fn count(&self) -> Answer<u32> {
        self.nvml.device_count().map_err(|error| fault::of_driver(&error))
    }

    fn gpu(&self, index: u32) -> Answer<NvmlGpu<'_>> {
        let device = self.nvml.device_by_index(index)?;
        Ok(NvmlGpu::new(device, self.overruns_processes()))
    }
}

/// A GPU, or a MIG device of one.
#[derive(Debug)]
pub(crate) struct NvmlGpu<'nvml> {
    device: Device<'nvml>,
    overruns_processes: bool,
    /// The time that the power is averaged over, once it was asked for.
    averages: OnceCell<bool>,
    /// Whether it has counters of its units.
    counts: OnceCell<bool>,
    /// Registered for critical errors with the first question for them.
    events: Option<EventSet<'nvml>>,
}

impl<'nvml> NvmlGpu<'nvml> {
    const fn new(device: Device<'nvml>, overruns_processes: bool) -> Self {
        Self { device, overruns_processes, averages: OnceCell::new(), counts: OnceCell::new(), events: None }
    }

    /// Whether power is a mean over a second: by `nvmlDeviceGetPowerUsage` in nvml.h it is on Ampere and later, but for
    /// GA100, which alone has compute capability 8.0.
    fn averages_power(&self) -> bool {
        let ask = || match self.device.architecture() {
            Ok(
                DeviceArchitecture::Kepler
                | DeviceArchitecture::Maxwell
                | DeviceArchitecture::Pascal
                | DeviceArchitecture::Volta
                | DeviceArchitecture::Turing,
            ) => false,
            Ok(DeviceArchitecture::Ampere) => self
                .device
                .cuda_compute_capability()
                .is_ok_and(|capability| (capability.major, capability.minor) != (8, 0)),
            // What is not known is newer.
            Ok(_) | Err(NvmlError::UnexpectedVariant(_)) => true,
            Err(_) => false,
        };
        *self.averages.get_or_init(ask)
    }
}

impl<'nvml> Gpu for NvmlGpu<'nvml> {
    type Sample = GpmSample<'nvml>;

    fn identity(&self) -> Answer<Identity> {
        Ok(Identity {
            uuid: self.device.uuid()?,
            name: self.device.name()?,
            architecture: self.device.architecture().ok().map(|architecture| architecture.to_string().to_lowercase()),
            pci_address: self.device.pci_info().ok().map(|info| info.bus_id),
            serial: self.device.serial().ok(),
        })
    }

    fn energy_mj(&self) -> Answer<u64> {
        Ok(self.device.total_energy_consumption()?)
    }

    fn power(&self) -> Answer<AcceleratorPower> {
        let power = milliwatts(self.device.power_usage()?);
        Ok(AcceleratorPower { power, averaged_over: self.averages_power().then(|| Seconds::new(1.0)) })
    }

    fn power_limit(&self) -> Answer<Watts> {
        Ok(milliwatts(self.device.enforced_power_limit()?))
    }

    fn power_limit_default(&self) -> Answer<Watts> {
        Ok(milliwatts(self.device.power_management_limit_default()?))
    }

    fn utilization(&self) -> Answer<(Ratio, Ratio)> {
        let rates = self.device.utilization_rates()?;
        Ok((percent(rates.gpu)?, percent(rates.memory)?))
    }

    fn encoder(&self) -> Answer<Ratio> {
        percent(self.device.encoder_utilization()?.utilization)
    }

    fn decoder(&self) -> Answer<Ratio> {
        percent(self.device.decoder_utilization()?.utilization)
    }

    fn memory(&self) -> Answer<AcceleratorMemory> {
        let info = self.device.memory_info()?;
        Ok(AcceleratorMemory { total: info.total, used: info.used, reserved: Some(info.reserved) })
    }

    fn temperature(&self) -> Answer<Celsius> {
        Ok(Celsius::new(f64::from(self.device.temperature(TemperatureSensor::Gpu)?)))
    }

    fn clock(&self, clock: Clock) -> Answer<Hertz> {
        let clock = match clock {
            Clock::Graphics => words::Clock::Graphics,
            Clock::Compute => words::Clock::SM,
            Clock::Memory => words::Clock::Memory,
            Clock::Video => words::Clock::Video,
        };
        Ok(Hertz::new(f64::from(self.device.clock_info(clock)?) * 1e6))
    }

    fn limits(&self) -> Answer<Vec<ClockLimit>> {
        let reasons = self.device.current_throttle_reasons()?;
        Ok(REASONS.iter().filter(|(flag, _)| reasons.contains(*flag)).map(|(_, limit)| *limit).collect())
    }

    fn memory_errors(&self, corrected: bool) -> Answer<u64> {
        let kind = if corrected { MemoryError::Corrected } else { MemoryError::Uncorrected };
        Ok(self.device.total_ecc_errors(kind, EccCounter::Volatile)?)
    }

    fn pcie_replays(&self) -> Answer<u64> {
        Ok(u64::from(self.device.pcie_replay_counter()?))
    }

    fn link_errors(&self, link: u32) -> Answer<LinkErrors> {
        let link = self.device.link_wrapper_for(link);
        let count = |counter| match link.error_counter(counter) {
            Err(NvmlError::InvalidArg) => Err(Fault::Nothing),
            Err(NvmlError::NotSupported) => Ok(None),
            outcome => Ok(Some(outcome?)),
        };
        let (flits, data) = (count(ErrorCounter::DlCrcFlit)?, count(ErrorCounter::DlCrcData)?);
        Ok(LinkErrors {
            crc: flits.into_iter().chain(data).reduce(u64::saturating_add),
            replay: count(ErrorCounter::DlReplay)?,
            recovery: count(ErrorCounter::DlRecovery)?,
        })
    }

    fn fields(&self, fields: &[Field]) -> Answer<Vec<Answer<u64>>> {
        let ids: Vec<FieldId> = fields.iter().map(|field| FieldId(id_of(*field))).collect();
        let values = self.device.field_values_for(&ids)?;
        let answers = fields.iter().zip(values);
        Ok(answers.map(|(field, value)| whole(*field, &value?.value?)).collect())
    }

    fn processes(&self, kind: ProcessKind) -> Answer<Vec<Holder>> {
        let device = &self.device;
        let newest = || match kind {
            ProcessKind::Compute => device.running_compute_processes(),
            ProcessKind::Graphics => device.running_graphics_processes(),
            ProcessKind::Mps => device.mps_running_compute_processes(),
        };
        let older = || match kind {
            ProcessKind::Compute => device.running_compute_processes_v2(),
            ProcessKind::Graphics => device.running_graphics_processes_v2(),
            ProcessKind::Mps => Err(NvmlError::NotSupported),
        };
        let found = if self.overruns_processes {
            older()
        } else {
            match newest() {
                Err(NvmlError::FailedToLoadSymbol(_)) => older(),
                found => found,
            }
        };
        Ok(found?.iter().map(holder).collect())
    }

    fn process_utilization(&self, since: u64) -> Answer<Vec<ProcessSample>> {
        let samples = self.device.process_utilization_stats(since)?;
        // The driver leaves rows of the buffer as it finds them, or fills them with nonsense
        // (github.com/Syllo/nvtop/issues/110).
        let sane = samples.into_iter().filter(|sample| sample.pid != 0 && sample.timestamp > since);
        Ok(sane
            .filter_map(|sample| {
                let shares = ProcessUtilization {
                    multiprocessor: percent(sample.sm_util).ok()?,
                    memory: percent(sample.mem_util).ok()?,
                    encoder: percent(sample.enc_util).ok()?,
                    decoder: percent(sample.dec_util).ok()?,
                };
                Some(ProcessSample { pid: sample.pid, at_us: sample.timestamp, shares })
            })
            .collect())
    }

    fn sample(&self, gpu_instance: Option<u32>) -> Answer<GpmSample<'nvml>> {
        if self.counts.get().is_none() {
            let counts = self.device.gpm_support()?;
            self.counts.set(counts).ok();
        }
        match gpu_instance {
            _ if self.counts.get() != Some(&true) => Err(Fault::Unsupported),
            Some(id) => Ok(self.device.gpm_mig_sample(id)?),
            None => Ok(self.device.gpm_sample()?),
        }
    }

    fn activity(&self, from: &GpmSample<'nvml>, to: &GpmSample<'nvml>) -> Answer<Activity> {
        const ASKED: [GpmMetricId; 5] = [
            GpmMetricId::GraphicsUtil,
            GpmMetricId::SmUtil,
            GpmMetricId::SmOccupancy,
            GpmMetricId::AnyTensorUtil,
            GpmMetricId::DramBwUtil,
        ];
        let results = gpm_metrics_get(self.device.nvml(), from, to, &ASKED)?;
        // Each in percent. What is no number was not counted.
        let mut shares = results.into_iter().map(|result| {
            let value = result.ok()?.value;
            (0.0..=101.0).contains(&value).then(|| Ratio::new(value / 100.0).min(Ratio::new(1.0)))
        });
        let mut next = || shares.next().flatten();
        Ok(Activity { graphics: next(), multiprocessor: next(), occupancy: next(), tensor: next(), memory: next() })
    }

    fn critical_errors(&mut self) -> Answer<Vec<u64>> {
        let events = match self.events.take() {
            Some(events) => events,
            None => {
                let set = self.device.nvml().create_event_set()?;
                self.device.register_events(EventTypes::CRITICAL_XID_ERROR, set).map_err(|refused| refused.error)?
            }
        };
        let mut found = Vec::new();
        // A storm of errors is told over several readings.
        while found.len() < 16 {
            match events.wait(0) {
                Ok(event) => found.extend(event.event_data.map(|error| match error {
                    XidError::Value(number) => number,
                    XidError::Unknown => 999,
                })),
                Err(NvmlError::Timeout) => break,
                Err(error) => return Err(error.into()),
            }
        }
        self.events = Some(events);
        Ok(found)
    }

    fn is_sliced(&self) -> Answer<bool> {
        Ok(self.device.mig_mode()?.current == 1)
    }

    fn slices(&self) -> Answer<Vec<Self>> {
        let mut slices = Vec::new();
        // Numbers may have holes, and there are not many of them.
        for index in 0..self.device.mig_device_count()?.min(64) {
            match self.device.mig_device_by_index(index) {
                Ok(device) => slices.push(Self::new(device, self.overruns_processes)),
                Err(NvmlError::NotFound | NvmlError::InvalidArg) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(slices)
    }

    fn cut(&self) -> Answer<(u32, u64)> {
        let attributes = self.device.attributes()?;
        Ok((attributes.multiprocessor_count, attributes.memory_size_mb << 20))
    }
}

const REASONS: [(ThrottleReasons, ClockLimit); 9] = [
    (ThrottleReasons::GPU_IDLE, ClockLimit::Idle),
    (ThrottleReasons::APPLICATIONS_CLOCKS_SETTING, ClockLimit::Setting),
    (ThrottleReasons::SW_POWER_CAP, ClockLimit::PowerCap),
    (ThrottleReasons::HW_SLOWDOWN, ClockLimit::HardwareSlowdown),
    (ThrottleReasons::SYNC_BOOST, ClockLimit::SyncBoost),
    (ThrottleReasons::SW_THERMAL_SLOWDOWN, ClockLimit::SoftwareThermal),
    (ThrottleReasons::HW_THERMAL_SLOWDOWN, ClockLimit::HardwareThermal),
    (ThrottleReasons::HW_POWER_BRAKE_SLOWDOWN, ClockLimit::PowerBrake),
    (ThrottleReasons::DISPLAY_CLOCK_SETTING, ClockLimit::Display),
];

/// NVML's number of a field. Those that changed their meaning with driver 580.82 are not among them.
const fn id_of(field: Field) -> u32 {
    match field {
        Field::MemoryTemperature => field_id::NVML_FI_DEV_MEMORY_TEMP,
        Field::PcieSent => field_id::NVML_FI_DEV_PCIE_COUNT_TX_BYTES,
        Field::PcieReceived => field_id::NVML_FI_DEV_PCIE_COUNT_RX_BYTES,
        Field::RowsCorrected => field_id::NVML_FI_DEV_REMAPPED_COR,
        Field::RowsUncorrected => field_id::NVML_FI_DEV_REMAPPED_UNC,
        Field::RowsPending => field_id::NVML_FI_DEV_REMAPPED_PENDING,
        Field::RowsFailed => field_id::NVML_FI_DEV_REMAPPED_FAILURE,
        Field::Limited(ClockLimit::PowerCap) => field_id::NVML_FI_DEV_PERF_POLICY_POWER,
        Field::Limited(ClockLimit::Thermal) => field_id::NVML_FI_DEV_PERF_POLICY_THERMAL,
        Field::Limited(ClockLimit::SyncBoost) => field_id::NVML_FI_DEV_PERF_POLICY_SYNC_BOOST,
        Field::Limited(ClockLimit::Board) => field_id::NVML_FI_DEV_PERF_POLICY_BOARD_LIMIT,
        Field::Limited(ClockLimit::LowUtilization) => field_id::NVML_FI_DEV_PERF_POLICY_LOW_UTILIZATION,
        Field::Limited(_) => field_id::NVML_FI_DEV_PERF_POLICY_RELIABILITY,
    }
}

fn holder(info: &ProcessInfo) -> Holder {
    let memory_bytes = match info.used_gpu_memory {
        UsedGpuMemory::Used(bytes) => Some(bytes),
        UsedGpuMemory::Unavailable => None,
    };
    let slice = info.gpu_instance_id.zip(info.compute_instance_id);
    let slice = slice.map(|(gpu_instance, compute_instance)| InstanceId { gpu_instance, compute_instance });
    Holder { pid: info.pid, memory_bytes, slice }
}

fn milliwatts(number: u32) -> Watts {
    Watts::new(f64::from(number) / 1e3)
}

/// A share that NVML tells in percent. What is beyond a hundred is no share.
fn percent(number: u32) -> Answer<Ratio> {
    if number <= 100 { Ok(Ratio::new(f64::from(number) / 100.0)) } else { Err(Fault::Transient) }
}

/// A field that counts. Bytes in 32 bits are over before anybody looks again.
fn whole(field: Field, value: &SampleValue) -> Answer<u64> {
    match value {
        SampleValue::U32(_) if matches!(field, Field::PcieSent | Field::PcieReceived) => Err(Fault::Unsupported),
        SampleValue::U32(number) => Ok(u64::from(*number)),
        SampleValue::U64(number) => Ok(*number),
        SampleValue::I64(number) => u64::try_from(*number).map_err(|_negative| Fault::Transient),
        SampleValue::F64(_) => Err(Fault::Unsupported),
    }
}
