//! One GPU, followed over readings.

use std::sync::Arc;

use wattline_core::reading::{
    AcceleratorFacts, AcceleratorProcess, AcceleratorReading, AcceleratorState, Activity, ClockLimit, Clocks,
    DownReason, ErrorKind, RemappedRows, Temperatures, Traffic, Utilization,
};
use wattline_core::{Celsius, Device, DeviceKind, Instant, Text, Tick};

use crate::features::{Features, Question, Stop};
use crate::gpu::{Answer, Clock, Fault, Field, Gpu, LinkErrors};
use crate::processes::{self, Samples};
use crate::slices::{Seen, Slice};

/// What changes slowly is asked for after this time: limits, slices, errors, rows.
const SLOW_SECONDS: f64 = 10.0;
/// Links to other GPUs that are looked for, by nvml.h.
const MOST_LINKS: u32 = 18;
/// After so many readings in which everything failed a GPU counts as down.
const PATIENCE: u32 = 3;

/// A GPU.
#[derive(Debug)]
pub(crate) struct Watched<G: Gpu> {
    gpu: G,
    device: Device,
    facts: Arc<AcceleratorFacts>,
    features: Features,
    fields: Fields,
    samples: Samples,
    sample: Option<G::Sample>,
    slices: Vec<Slice<G>>,
    slow_at: Option<Instant>,
    failures: u32,
    /// Why it wants attention.
    worry: Option<Text>,
}

/// The fields that a GPU has.
#[derive(Debug)]
struct Fields {
    fast: Vec<Field>,
    slow: Vec<Field>,
}

impl Default for Fields {
    fn default() -> Self {
        let limits = [
            ClockLimit::PowerCap,
            ClockLimit::Thermal,
            ClockLimit::SyncBoost,
            ClockLimit::Board,
            ClockLimit::LowUtilization,
            ClockLimit::Reliability,
        ];
        let rows = [Field::RowsCorrected, Field::RowsUncorrected, Field::RowsPending, Field::RowsFailed];
        // Each of these takes the driver some tenths of a millisecond.
        let bytes = [Field::PcieSent, Field::PcieReceived];
        Self {
            fast: vec![Field::MemoryTemperature],
            slow: limits.into_iter().map(Field::Limited).chain(rows).chain(bytes).collect(),
        }
    }
}

impl<G: Gpu> Watched<G> {
    /// A GPU that has just been found.
    pub(crate) fn open(gpu: G, index: u32, driver_version: Option<&Text>) -> Answer<Self> {
        let identity = gpu.identity()?;
        let facts = AcceleratorFacts {
            vendor: "NVIDIA".into(),
            name: identity.name.into(),
            architecture: identity.architecture.map(Text::from),
            index,
            pci_address: identity.pci_address.map(Text::from),
            serial: identity.serial.map(Text::from),
            driver_version: driver_version.cloned(),
            ..AcceleratorFacts::default()
        };
        Ok(Self {
            gpu,
            device: Device::new(DeviceKind::Gpu, identity.uuid),
            facts: Arc::new(facts),
            features: Features::default(),
            fields: Fields::default(),
            samples: Samples::default(),
            sample: None,
            slices: Vec::new(),
            slow_at: None,
            failures: 0,
            worry: None,
        })
    }

    /// What this process may not know of it.
    pub(crate) fn denied(&self) -> impl Iterator<Item = &'static str> {
        self.features.denied()
    }

    /// A reading of it that says only that it is down.
    pub(crate) fn down(&self, reason: DownReason) -> AcceleratorReading {
        AcceleratorReading::new(self.device.clone(), Arc::clone(&self.facts), AcceleratorState::Down(reason))
    }

    /// What it shows now. An error leaves it, or the driver, alone.
    pub(crate) fn read(&mut self, tick: Tick, sees_processes: bool) -> Result<AcceleratorReading, Stop> {
        let mut reading =
            AcceleratorReading::new(self.device.clone(), Arc::clone(&self.facts), AcceleratorState::Works);
        self.features.begin();
        // Energy first, so that its moment is nearest to the tick's.
        let (gpu, features) = (&self.gpu, &mut self.features);
        reading.energy_mj = features.ask(Question::Energy, || gpu.energy_mj())?;
        reading.power = features.ask(Question::Power, || gpu.power())?;
        let is_slow = self.slow_at.is_none_or(|then| tick.at.since(then).get() >= SLOW_SECONDS);
        if is_slow {
            self.slow_at = Some(tick.at);
            self.read_slow(&mut reading)?;
        }
        self.read_fast(&mut reading)?;
        self.read_processes(tick, sees_processes, &mut reading)?;
        // Events are the driver's, which tells of them when the GPU itself is beyond asking.
        self.failures = if self.features.all_failed() { self.failures + 1 } else { 0 };
        if self.failures >= PATIENCE {
            self.failures = 0;
            return Err(Stop::Gpu(DownReason::Failing));
        }
        let (gpu, features) = (&mut self.gpu, &mut self.features);
        let xids = features.ask(Question::CriticalErrors, || gpu.critical_errors())?.unwrap_or_default();
        for xid in xids {
            match reading.xids.iter_mut().find(|(number, _)| *number == xid) {
                Some((_, count)) => *count += 1,
                None => reading.xids.push((xid, 1)),
            }
        }
        self.note_missing();
        reading.facts = Arc::clone(&self.facts);
        if let Some(worry) = &self.worry {
            reading.state = AcceleratorState::Degraded(worry.clone());
        }
        Ok(reading)
    }

    fn read_fast(&mut self, reading: &mut AcceleratorReading) -> Result<(), Stop> {
        let (gpu, features) = (&self.gpu, &mut self.features);
        let shares = features.ask(Question::Utilization, || gpu.utilization())?;
        reading.utilization = Utilization {
            general: shares.map(|(general, _)| general),
            memory: shares.map(|(_, memory)| memory),
            encoder: features.ask(Question::Encoder, || gpu.encoder())?,
            decoder: features.ask(Question::Decoder, || gpu.decoder())?,
        };
        reading.memory = features.ask(Question::Memory, || gpu.memory())?;
        let core = features.ask(Question::Temperature, || gpu.temperature())?;
        reading.clocks = Clocks {
            graphics: features.ask(Question::GraphicsClock, || gpu.clock(Clock::Graphics))?,
            compute: features.ask(Question::ComputeClock, || gpu.clock(Clock::Compute))?,
            memory: features.ask(Question::MemoryClock, || gpu.clock(Clock::Memory))?,
            video: features.ask(Question::VideoClock, || gpu.clock(Clock::Video))?,
        };
        reading.limits = features.ask(Question::Limits, || gpu.limits())?;
        let fields = ask_fields(gpu, features, &mut self.fields.fast)?;
        let field = |wanted: Field| fields.iter().find(|(field, _)| *field == wanted).map(|(_, value)| *value);
        let memory = field(Field::MemoryTemperature).map(|degrees| Celsius::new(degrees as f64));
        reading.temperatures = Temperatures { core, memory };
        // A device that is cut has counters for its slices only.
        if self.slices.is_empty() {
            reading.activity = activity(gpu, features, &mut self.sample)?;
        }
        Ok(())
    }

    fn read_slow(&mut self, reading: &mut AcceleratorReading) -> Result<(), Stop> {
        let (gpu, features) = (&self.gpu, &mut self.features);
        let power_limit = features.ask(Question::PowerLimit, || gpu.power_limit())?;
        let power_limit_default = features.ask(Question::PowerLimitDefault, || gpu.power_limit_default())?;
        let sliced = features.ask(Question::Slices, || gpu.is_sliced())?;
        let memory = features.ask(Question::Memory, || gpu.memory())?;
        for (kind, question, corrected) in [
            (ErrorKind::Corrected, Question::CorrectedErrors, true),
            (ErrorKind::Uncorrected, Question::UncorrectedErrors, false),
        ] {
            let count = features.ask(question, || gpu.memory_errors(corrected))?;
            reading.errors.extend(count.map(|count| (kind, count)));
        }
        let replays = features.ask(Question::PcieReplays, || gpu.pcie_replays())?;
        reading.errors.extend(replays.map(|count| (ErrorKind::PcieReplay, count)));
        let links = features.ask(Question::LinkErrors, || links(gpu))?.unwrap_or_default();
        let kinds = [
            (ErrorKind::LinkCrc, links.crc),
            (ErrorKind::LinkReplay, links.replay),
            (ErrorKind::LinkRecovery, links.recovery),
        ];
        reading.errors.extend(kinds.into_iter().filter_map(|(kind, count)| Some((kind, count?))));
        let fields = ask_fields(gpu, features, &mut self.fields.slow)?;
        let field = |wanted: Field| fields.iter().find(|(field, _)| *field == wanted).map(|(_, value)| *value);
        reading.remapped =
            field(Field::RowsCorrected).zip(field(Field::RowsUncorrected)).map(|(corrected, uncorrected)| {
                let is = |flag| field(flag).is_some_and(|value| value != 0);
                RemappedRows { corrected, uncorrected, pending: is(Field::RowsPending), failed: is(Field::RowsFailed) }
            });
        let bytes = field(Field::PcieSent).zip(field(Field::PcieReceived));
        reading.pcie = bytes.map(|(sent_bytes, received_bytes)| Traffic { sent_bytes, received_bytes });
        if let Some(rows) = reading.remapped {
            self.worry = worry(rows);
        }
        let limited = fields.iter().filter_map(|(field, ns)| match field {
            Field::Limited(limit) => Some((*limit, *ns)),
            _ => None,
        });
        reading.limited_ns.extend(limited);
        if sliced.is_some() && self.facts.sliced.is_some() && sliced != self.facts.sliced {
            // What a device answers depends on whether it is cut.
            (self.features, self.fields, self.sample) = (Features::default(), Fields::default(), None);
        }
        self.cut(sliced)?;
        let facts = AcceleratorFacts {
            power_limit: power_limit.or(self.facts.power_limit),
            power_limit_default: power_limit_default.or(self.facts.power_limit_default),
            sliced: sliced.or(self.facts.sliced),
            memory_bytes: memory.map(|memory| memory.total).or(self.facts.memory_bytes),
            ..AcceleratorFacts::clone(&self.facts)
        };
        if facts != *self.facts {
            self.facts = Arc::new(facts);
        }
        Ok(())
    }

    /// Looks at how it is cut, and keeps the slices that are still there.
    fn cut(&mut self, sliced: Option<bool>) -> Result<(), Stop> {
        if sliced != Some(true) {
            if sliced == Some(false) {
                self.slices.clear();
            }
            return Ok(());
        }
        let gpu = &self.gpu;
        let Some(found) = self.features.ask(Question::Slices, || gpu.slices())? else { return Ok(()) };
        let mut old = std::mem::take(&mut self.slices);
        for slice in found {
            let Some(slice) = Slice::open(slice)? else { continue };
            let known = old.iter().position(|known| known.uuid() == slice.uuid());
            self.slices.push(known.map_or(slice, |known| old.swap_remove(known)));
        }
        self.slices.sort_by(|one, other| one.uuid().cmp(other.uuid()));
        Ok(())
    }

    fn read_processes(
        &mut self,
        tick: Tick,
        sees_processes: bool,
        reading: &mut AcceleratorReading,
    ) -> Result<(), Stop> {
        let Self { gpu, features, samples, slices, .. } = self;
        if slices.is_empty() {
            if sees_processes {
                reading.processes = processes::holders(gpu, features)?;
            }
            if let Some(processes) = &mut reading.processes {
                let now_us = tick.wall.unix_nanos() / 1_000;
                samples.read(gpu, features, now_us, processes)?;
            }
            return Ok(());
        }
        let mut all: Option<Vec<AcceleratorProcess>> = sees_processes.then(Vec::new);
        for slice in slices {
            let Seen { reading: seen, processes } = slice.read(gpu, features)?;
            reading.slices.push(seen);
            all = all.zip(processes).map(|(mut all, more)| {
                all.extend(more);
                all
            });
        }
        if let Some(all) = &mut all {
            all.sort_by_key(|process| (process.pid, process.slice));
        }
        reading.processes = all;
        Ok(())
    }

    fn note_missing(&mut self) {
        let missing = self.features.missing();
        if missing != self.facts.missing {
            self.facts = Arc::new(AcceleratorFacts { missing, ..AcceleratorFacts::clone(&self.facts) });
        }
    }
}

/// The values of the fields that a GPU has. Those that it does not have are not asked again.
fn ask_fields<G: Gpu>(gpu: &G, features: &mut Features, asked: &mut Vec<Field>) -> Result<Vec<(Field, u64)>, Stop> {
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let Some(answers) = features.ask(Question::Fields, || gpu.fields(asked))? else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    let mut has = Vec::new();
    for (field, answer) in asked.iter().zip(answers) {
        match answer {
            Ok(value) => found.push((*field, value)),
            Err(Fault::Unsupported | Fault::Denied) => continue,
            Err(Fault::Nothing | Fault::Transient) => {}
            Err(Fault::Down(reason)) => return Err(Stop::Gpu(reason)),
            Err(Fault::Driver(what)) => return Err(Stop::Driver(what)),
        }
        has.push(*field);
    }
    *asked = has;
    Ok(found)
}

/// How busy the units were since the last sample, and a new sample to go on from.
fn activity<G: Gpu>(gpu: &G, features: &mut Features, last: &mut Option<G::Sample>) -> Result<Option<Activity>, Stop> {
    let fresh = features.ask(Question::Activity, || gpu.sample(None))?;
    let activity = match (&last, &fresh) {
        (Some(from), Some(to)) => features.ask(Question::Activity, || gpu.activity(from, to))?,
        _ => None,
    };
    *last = fresh;
    Ok(activity)
}

/// The errors of all links together.
fn links<G: Gpu>(gpu: &G) -> Answer<LinkErrors> {
    fn add(sum: &mut Option<u64>, more: Option<u64>) {
        *sum = sum.iter().copied().chain(more).reduce(u64::saturating_add);
    }
    let mut sum = LinkErrors::default();
    for link in 0..MOST_LINKS {
        match gpu.link_errors(link) {
            Ok(LinkErrors { crc, replay, recovery }) => {
                add(&mut sum.crc, crc);
                add(&mut sum.replay, replay);
                add(&mut sum.recovery, recovery);
            }
            // Links are counted from zero: the first that is not there is the end, or there are none at all.
            Err(Fault::Nothing | Fault::Unsupported) => break,
            Err(fault) => return Err(fault),
        }
    }
    if sum == LinkErrors::default() { Err(Fault::Unsupported) } else { Ok(sum) }
}

fn worry(rows: RemappedRows) -> Option<Text> {
    if rows.failed {
        return Some("a row of its memory could not be replaced: replace the device".into());
    }
    rows.pending.then(|| "rows of its memory wait for a reset to be replaced".into())
}
