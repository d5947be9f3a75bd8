//! Energy and power readings become the energy of each device in the open window.

use std::collections::BTreeMap;
use std::sync::Arc;

use wattline_core::counter::Counter;
use wattline_core::reading::{EnergyReading, EnergySource, PowerReading, Scope};
use wattline_core::sample::Period;
use wattline_core::{
    Count, Device, DeviceKind, Instant, Joules, Method, MicroJoules, Sample, Seconds, Subject, Text, Tick, Timestamp,
    Uncertainty, Watts, apportion, metrics,
};

use super::RawCounter;
use super::witness::Use;
use crate::power::{ENCLOSURE_SHARE, HostPower};

/// A power meter that was silent for longer than this is not integrated over the silence.
const LONGEST_INTEGRATED: Seconds = Seconds::new(60.0);
/// No device draws more. What a counter says beyond this is a broken counter, and would break the books.
const MOST_POWER: Watts = Watts::new(100_000.0);
/// Uncertainty of energy counters of packages and memory, as the standard deviation of the logarithm.
const COUNTER_UNCERTAINTY: Uncertainty = Uncertainty::from_sigma(0.08);
/// Uncertainty of a meter at the machine's input.
const INPUT_METER_UNCERTAINTY: Uncertainty = Uncertainty::from_sigma(0.04);
/// Uncertainty of the modelled enclosure: its share of processor and memory ranges over 0.2 to 0.6 around 0.33.
const ENCLOSURE_UNCERTAINTY: Uncertainty = Uncertainty::from_sigma(0.35);

/// The energy of one device in a window that is closed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DeviceEnergy {
    pub(crate) device: Device,
    /// Drawn inside the window.
    pub(crate) inside: MicroJoules,
    /// Drawn before the window opened, and seen only now: nobody can say by whom.
    pub(crate) before: MicroJoules,
    /// Where `before` begins, if there is any.
    pub(crate) since: Option<Timestamp>,
    pub(crate) method: Method,
    pub(crate) model: Text,
    pub(crate) uncertainty: Uncertainty,
    /// The model's own word on the energy at rest, for devices that are modelled.
    pub(crate) modelled_idle: Option<MicroJoules>,
}

/// The meters of a machine by what they cover.
#[derive(Debug, Default)]
pub(crate) struct Meters {
    meters: BTreeMap<(Scope, EnergySource), Meter>,
    /// Intervals that could not be booked.
    lost: u64,
    /// What a modelled device still owes below one microjoule, so that rounding does not add up.
    carry: BTreeMap<DeviceKind, f64>,
}

#[derive(Clone, Debug, Default)]
struct Meter {
    counter: Counter,
    read_at_wall: Timestamp,
    power: Option<(Watts, Instant)>,
    inside: MicroJoules,
    before: MicroJoules,
    since: Option<Timestamp>,
    integrated: bool,
    seen: bool,
}

impl Meters {
    pub(crate) fn resume(&mut self, kept: &RawCounter) {
        let meter = self.meters.entry((kept.scope.clone(), kept.source)).or_default();
        meter.counter = Counter::resume(kept.raw_uj, kept.at);
        meter.read_at_wall = kept.wall;
    }

    pub(crate) fn raw_counters(&self, now: Tick) -> Vec<RawCounter> {
        self.meters
            .iter()
            .filter_map(|((scope, source), meter)| {
                let (raw_uj, at) = meter.counter.last()?;
                // The wall clock of the reading is the wall clock of now, less the monotonic time since.
                let wall = now.wall.back(now.at.since(at));
                Some(RawCounter { scope: scope.clone(), source: *source, raw_uj, at, wall })
            })
            .collect()
    }

    pub(crate) fn take_energy(&mut self, reading: &EnergyReading, tick: Tick, opened: Instant) {
        let meter = self.meters.entry((reading.scope.clone(), reading.source)).or_default();
        meter.seen = true;
        let then = meter.counter.last().map(|(_, at)| at);
        let read_before = std::mem::replace(&mut meter.read_at_wall, tick.wall);
        let step = meter.counter.step(reading.counter_uj, tick.at, reading.range);
        match (step.delta().map(|(amount, elapsed)| (MicroJoules::new(amount), elapsed)), then) {
            (Some((energy, elapsed)), Some(then)) if possible(energy, elapsed) => {
                meter.add(energy, then, read_before, tick.at, opened);
            }
            (None, None) => {}
            _ => self.lost += 1,
        }
    }

    pub(crate) fn take_power(&mut self, reading: &PowerReading, tick: Tick, opened: Instant) {
        let meter = self.meters.entry((reading.scope.clone(), reading.source)).or_default();
        meter.seen = true;
        meter.integrated = true;
        let read_before = std::mem::replace(&mut meter.read_at_wall, tick.wall);
        let Some((power, then)) = meter.power.replace((reading.power, tick.at)) else { return };
        let elapsed = tick.at.since(then);
        let energy = MicroJoules::round((power + reading.power) * 0.5 * elapsed);
        if elapsed <= LONGEST_INTEGRATED && possible(energy, elapsed) {
            meter.add(energy, then, read_before, tick.at, opened);
        } else {
            self.lost += 1;
        }
    }

    /// How many intervals of a meter could not be booked.
    pub(crate) fn samples(&self, period: Period, samples: &mut Vec<Sample>) {
        let host = Arc::new(Subject::Host);
        samples.push(metrics::HW_ENERGY_LOST.sample(&host, Vec::new(), period, Count::new(self.lost as f64)));
    }

    /// The energy of every device since the window opened, modelled where no meter covers the device's kind.
    pub(crate) fn close_window(&mut self, power: &HostPower, use_: &Use, elapsed: Seconds) -> Vec<DeviceEnergy> {
        let mut machine = None;
        let mut devices: Vec<DeviceEnergy> = Vec::new();
        for ((scope, source), meter) in &mut self.meters {
            let energy = meter.take();
            if !meter.seen {
                continue;
            }
            match scope {
                Scope::Device(device) => {
                    merge(&mut devices, energy.of(device.clone(), *source, COUNTER_UNCERTAINTY));
                }
                Scope::Machine => {
                    let input = Device::new(DeviceKind::Enclosure, "enclosure");
                    machine.get_or_insert(energy.of(input, *source, INPUT_METER_UNCERTAINTY));
                }
                Scope::Overlapping(_) => {}
            }
        }
        let load = power.at(use_.busy, use_.memory_used);
        let has = |kind| devices.iter().any(|energy| energy.device.kind == kind);
        let (cpu_metered, memory_metered) = (has(DeviceKind::Cpu), has(DeviceKind::Memory));
        if !cpu_metered {
            devices.push(self.modelled(DeviceKind::Cpu, "cpu", load.cpu, load.cpu_idle, power, elapsed));
        }
        if !memory_metered {
            devices.push(self.modelled(DeviceKind::Memory, "memory", load.memory, load.memory_idle, power, elapsed));
        }
        let enclosure = match machine {
            Some(input) => remainder(input, &devices),
            None => self.modelled_enclosure(&devices, power),
        };
        devices.push(enclosure);
        devices
    }

    fn modelled(
        &mut self,
        kind: DeviceKind,
        id: &'static str,
        drawn: Watts,
        idle: Watts,
        power: &HostPower,
        elapsed: Seconds,
    ) -> DeviceEnergy {
        let inside = self.whole(kind, drawn * elapsed);
        DeviceEnergy {
            device: Device::new(kind, id),
            inside,
            before: MicroJoules::ZERO,
            since: None,
            method: power.method(),
            model: power.name().clone(),
            uncertainty: if kind == DeviceKind::Memory { power.memory_uncertainty() } else { power.uncertainty() },
            modelled_idle: Some(MicroJoules::round(idle * elapsed).min(inside)),
        }
    }

    fn modelled_enclosure(&mut self, devices: &[DeviceEnergy], power: &HostPower) -> DeviceEnergy {
        let of = |part: fn(&DeviceEnergy) -> MicroJoules| -> Joules {
            devices.iter().map(part).sum::<MicroJoules>().quantity()
        };
        let inside = self.whole(DeviceKind::Enclosure, of(|device| device.inside) * ENCLOSURE_SHARE);
        // What was drawn before the window has no witness inside either.
        let before = MicroJoules::round(of(|device| device.before) * ENCLOSURE_SHARE);
        let under = Uncertainty::of_sum(devices.iter().map(|device| (device.inside.get() as f64, device.uncertainty)));
        DeviceEnergy {
            device: Device::new(DeviceKind::Enclosure, "enclosure"),
            inside,
            before,
            since: devices.iter().filter_map(|device| device.since).min(),
            method: power.method(),
            model: "enclosure-share/1".into(),
            uncertainty: under.times(ENCLOSURE_UNCERTAINTY),
            modelled_idle: None,
        }
    }

    /// Whole microjoules of a modelled energy; the fraction is owed to the next window.
    fn whole(&mut self, kind: DeviceKind, energy: Joules) -> MicroJoules {
        let carry = self.carry.entry(kind).or_default();
        let exact = energy.get() * 1e6 + *carry;
        let whole = MicroJoules::round(Joules::new(exact.floor() / 1e6));
        *carry = if exact.is_finite() { (exact - whole.get() as f64).clamp(0.0, 1.0) } else { 0.0 };
        whole
    }
}

impl Meter {
    /// Adds energy drawn from `then` to `now`, split at the moment the window opened.
    fn add(&mut self, energy: MicroJoules, then: Instant, then_wall: Timestamp, now: Instant, opened: Instant) {
        let inside = now.nanos().saturating_sub(then.max(opened).nanos());
        let before = opened.nanos().saturating_sub(then.nanos());
        let (inside, before) = match apportion(energy.get(), &[inside, before]).as_deref() {
            Some(&[inside, before]) => (inside, before),
            _ => (energy.get(), 0),
        };
        self.inside += MicroJoules::new(inside);
        if before > 0 {
            self.before += MicroJoules::new(before);
            self.since = Some(self.since.map_or(then_wall, |since| since.min(then_wall)));
        }
    }

    /// Hands over what has gathered and starts anew.
    fn take(&mut self) -> Gathered {
        Gathered {
            inside: std::mem::take(&mut self.inside),
            before: std::mem::take(&mut self.before),
            since: self.since.take(),
            integrated: self.integrated,
        }
    }
}

/// Whether a device can have drawn this in that time; half a second of slack for counters that tick late.
fn possible(energy: MicroJoules, elapsed: Seconds) -> bool {
    energy.quantity() <= MOST_POWER * (elapsed + Seconds::new(0.5))
}

struct Gathered {
    inside: MicroJoules,
    before: MicroJoules,
    since: Option<Timestamp>,
    integrated: bool,
}

impl Gathered {
    fn of(self, device: Device, source: EnergySource, uncertainty: Uncertainty) -> DeviceEnergy {
        let Self { inside, before, since, integrated } = self;
        let model = if integrated { format!("{}+integrated", source.as_str()).into() } else { source.as_str().into() };
        DeviceEnergy {
            device,
            inside,
            before,
            since,
            method: Method::Measured,
            model,
            uncertainty,
            modelled_idle: None,
        }
    }
}

/// Adds the energy of a device to its row: a device may change its meter while the window is open.
fn merge(devices: &mut Vec<DeviceEnergy>, energy: DeviceEnergy) {
    match devices.iter_mut().find(|row| row.device == energy.device) {
        None => devices.push(energy),
        Some(row) => {
            if row.inside < energy.inside {
                row.model = energy.model;
            }
            row.inside += energy.inside;
            row.before += energy.before;
            row.since = row.since.into_iter().chain(energy.since).min();
        }
    }
}

/// What the meter at the machine's input shows beyond the devices. A meter that shows less than its parts is wrong
/// by the difference; then nothing is left for the enclosure, and the parts stand.
fn remainder(input: DeviceEnergy, devices: &[DeviceEnergy]) -> DeviceEnergy {
    let inside: MicroJoules = devices.iter().map(|device| device.inside).sum();
    let before: MicroJoules = devices.iter().map(|device| device.before).sum();
    let method = devices.iter().fold(input.method, |method, device| method.with(device.method));
    DeviceEnergy { inside: input.inside.less(inside), before: input.before.less(before), method, ..input }
}
