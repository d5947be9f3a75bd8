//! Energy and power readings become the energy of each metered device in the open window.

use std::collections::BTreeMap;
use std::sync::Arc;

use wattline_core::counter::Counter;
use wattline_core::reading::{EnergyReading, EnergySource, PowerReading, Scope};
use wattline_core::sample::Period;
use wattline_core::{
    Count, Device, Instant, Method, MicroJoules, Ratio, Sample, Seconds, Subject, Text, Tick, Timestamp, Uncertainty,
    Watts, apportion, metrics,
};

use super::RawCounter;
use crate::power::ENCLOSURE_SHARE;

/// A meter that was silent for longer than this is gone: its device is modelled from then on, and when it comes back
/// its counter begins anew, because the model has answered for the time between.
const SILENCE: Seconds = Seconds::new(60.0);
/// No device draws more. What a counter says beyond this is a broken counter, and would break the books.
const MOST_POWER: Watts = Watts::new(100_000.0);
/// Uncertainty of energy counters of packages and memory, as the standard deviation of the logarithm.
const COUNTER_UNCERTAINTY: Uncertainty = Uncertainty::from_sigma(0.08);
/// Uncertainty of a meter at the machine's input.
const INPUT_UNCERTAINTY: Uncertainty = Uncertainty::from_sigma(0.04);
/// A window counts as covered by a meter from this share of its length on.
const COVERED: f64 = 0.9;

/// The energy of one device in a window that is closed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DeviceEnergy {
    pub(crate) device: Device,
    pub(crate) drawn: Drawn,
    pub(crate) method: Method,
    pub(crate) model: Text,
    pub(crate) uncertainty: Uncertainty,
    /// The model's own word on what the energy was for; `None` for a device with a meter.
    pub(crate) modelled: Option<Modelled>,
    /// What the enclosure draws for each joule of it, where no meter at the input tells.
    pub(crate) enclosure: Ratio,
}

/// What the energy of a modelled device was for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Modelled {
    /// At rest, used by nobody.
    pub(crate) idle: MicroJoules,
    /// Moving data in memory, which those do who compute and not those who hold it.
    pub(crate) moving: MicroJoules,
}

/// Energy in a window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Drawn {
    /// Drawn inside the window.
    pub(crate) inside: MicroJoules,
    /// The part of the window that `inside` covers.
    pub(crate) covered: Seconds,
    /// Drawn before the window opened, and seen only now: nobody can say by whom.
    pub(crate) before: MicroJoules,
    /// Where `before` begins, if there is any.
    pub(crate) since: Option<Timestamp>,
}

impl Drawn {
    pub(crate) fn whole(&self) -> MicroJoules {
        self.inside + self.before
    }

    /// Whether the window was watched well enough to subtract from it or to learn from it.
    pub(crate) fn covers(&self, elapsed: Seconds) -> bool {
        self.covered.get() >= COVERED * elapsed.get()
    }

    /// Mean power while it was watched; `None` when it was not.
    pub(crate) fn power(&self) -> Option<Watts> {
        (self.covered > Seconds::ZERO).then(|| self.inside.quantity() / self.covered)
    }

    fn add(&mut self, other: Self) {
        self.inside += other.inside;
        self.covered = self.covered.max(other.covered);
        self.before += other.before;
        self.since = self.since.into_iter().chain(other.since).min();
    }
}

/// What the meters saw of a window.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metered {
    pub(crate) devices: Vec<DeviceEnergy>,
    /// The whole machine at its input, by the first such meter.
    pub(crate) input: Option<Input>,
}

/// The whole machine at its input.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    pub(crate) drawn: Drawn,
    pub(crate) model: Text,
    pub(crate) uncertainty: Uncertainty,
}

/// The meters of a machine by what they cover.
#[derive(Debug, Default)]
pub(crate) struct Meters {
    meters: BTreeMap<(Scope, EnergySource), Meter>,
    /// Intervals that could not be booked.
    lost: u64,
}

#[derive(Clone, Debug, Default)]
struct Meter {
    counter: Counter,
    power: Option<(Watts, Instant)>,
    read: Option<Tick>,
    drawn: Drawn,
    /// The reading up to which all is booked: what came after it is in the open window, which nobody keeps.
    booked: Option<(u64, Instant)>,
    /// The counter goes on from an earlier agent, whose last reading was at this time.
    resumed: Option<Timestamp>,
}

/// An amount of energy and the time it was drawn in.
struct Interval {
    energy: MicroJoules,
    from: Instant,
    from_wall: Timestamp,
    to: Instant,
}

impl Meters {
    pub(crate) fn resume(&mut self, kept: &RawCounter) {
        let meter = self.meters.entry((kept.scope.clone(), kept.source)).or_default();
        meter.counter = Counter::resume(kept.raw_uj, kept.at);
        meter.booked = meter.counter.last();
        meter.resumed = Some(kept.wall);
    }

    /// The counters as they stood when the last window was closed, so that whoever goes on from them books what the
    /// open one holds.
    pub(crate) fn raw_counters(&self, now: Tick) -> Vec<RawCounter> {
        self.meters
            .iter()
            .filter_map(|((scope, source), meter)| {
                let (raw_uj, at) = meter.booked?;
                // The wall clock of the reading is the wall clock of now, less the monotonic time since.
                let wall = meter.resumed.unwrap_or_else(|| now.wall.back(now.at.since(at)));
                Some(RawCounter { scope: scope.clone(), source: *source, raw_uj, at, wall })
            })
            .collect()
    }

    pub(crate) fn take_energy(&mut self, reading: &EnergyReading, tick: Tick, opened: Instant) {
        let meter = self.meters.entry((reading.scope.clone(), reading.source)).or_default();
        let last = meter.counter.last();
        let read = meter.read.replace(tick);
        let resumed = meter.resumed.take();
        let step = meter.counter.step(reading.counter_uj, tick.at, reading.range);
        match (step.delta().map(|(amount, elapsed)| (MicroJoules::new(amount), elapsed)), last) {
            (Some((energy, elapsed)), Some((_, from))) if possible(energy, elapsed) => {
                let from_wall = resumed.or(read.map(|read| read.wall)).unwrap_or(tick.wall);
                let interval = Interval { energy, from, from_wall, to: tick.at };
                let keeps_before = resumed.is_some() || reading.scope != Scope::Machine;
                self.lost += meter.add(&interval, opened, keeps_before);
            }
            (None, None) => meter.booked = meter.counter.last(),
            _ => {
                meter.booked = meter.counter.last();
                self.lost += 1;
            }
        }
    }

    pub(crate) fn take_power(&mut self, reading: &PowerReading, tick: Tick, opened: Instant) {
        let meter = self.meters.entry((reading.scope.clone(), reading.source)).or_default();
        let read = meter.read.replace(tick);
        let Some((power, from)) = meter.power.replace((reading.power, tick.at)) else { return };
        let elapsed = tick.at.since(from);
        let energy = MicroJoules::round((power + reading.power) * 0.5 * elapsed);
        if elapsed <= SILENCE && possible(energy, elapsed) {
            let from_wall = read.map_or(tick.wall, |read| read.wall);
            let interval = Interval { energy, from, from_wall, to: tick.at };
            self.lost += meter.add(&interval, opened, reading.scope != Scope::Machine);
        } else {
            self.lost += 1;
        }
    }

    /// How many intervals of a meter could not be booked, with `others` that were not either.
    pub(crate) fn samples(&self, others: u64, period: Period, samples: &mut Vec<Sample>) {
        let host = Arc::new(Subject::Host);
        let lost = Count::new(self.lost.saturating_add(others) as f64);
        samples.push(metrics::HW_ENERGY_LOST.sample(&host, Vec::new(), period, lost));
    }

    /// What the meters saw since the window opened, at its end `now`.
    pub(crate) fn close_window(&mut self, now: Instant) -> Metered {
        let mut metered = Metered::default();
        for ((scope, source), meter) in &mut self.meters {
            let Some(read) = meter.read else { continue };
            let drawn = std::mem::take(&mut meter.drawn);
            meter.booked = meter.counter.last();
            let model = meter.model(*source);
            if now.since(read.at) > SILENCE {
                *meter = Meter::default();
                self.lost += 1;
                if drawn.whole().is_zero() {
                    continue;
                }
            }
            match scope {
                Scope::Device(device) => metered.add(device, drawn, model),
                Scope::Machine if metered.input.is_none() => {
                    metered.input = Some(Input { drawn, model, uncertainty: INPUT_UNCERTAINTY });
                }
                Scope::Machine | Scope::Overlapping(_) => {}
            }
        }
        metered
    }
}

impl Metered {
    /// Adds the energy of a device to its row: a device may change its meter while the window is open.
    fn add(&mut self, device: &Device, drawn: Drawn, model: Text) {
        match self.devices.iter_mut().find(|row| row.device == *device) {
            Some(row) => {
                if row.drawn.inside < drawn.inside {
                    row.model = model;
                }
                row.drawn.add(drawn);
            }
            None => self.devices.push(DeviceEnergy {
                device: device.clone(),
                drawn,
                method: Method::Measured,
                model,
                uncertainty: COUNTER_UNCERTAINTY,
                modelled: None,
                enclosure: Ratio::new(ENCLOSURE_SHARE),
            }),
        }
    }
}

impl Meter {
    fn model(&self, source: EnergySource) -> Text {
        if self.power.is_some() { format!("{}+integrated", source.as_str()).into() } else { source.as_str().into() }
    }

    /// Adds an interval, split at the moment the window opened. Returns how many intervals were lost by it: the part
    /// before the window is, where `keeps_before` says that others have answered for that time already.
    fn add(&mut self, interval: &Interval, opened: Instant, keeps_before: bool) -> u64 {
        let Interval { energy, from, from_wall, to } = *interval;
        let inside = to.nanos().saturating_sub(from.max(opened).nanos());
        let before = opened.nanos().saturating_sub(from.nanos());
        let (inside_uj, before_uj) = match apportion(energy.get(), &[inside, before]).as_deref() {
            Some(&[inside, before]) => (inside, before),
            _ => (energy.get(), 0),
        };
        self.drawn.inside += MicroJoules::new(inside_uj);
        self.drawn.covered += to.since(from.max(opened));
        if before == 0 {
            return 0;
        }
        if !keeps_before {
            return 1;
        }
        self.drawn.before += MicroJoules::new(before_uj);
        self.drawn.since = Some(self.drawn.since.map_or(from_wall, |since| since.min(from_wall)));
        0
    }
}

/// Whether a device can have drawn this in that time; half a second of slack for counters that tick late.
fn possible(energy: MicroJoules, elapsed: Seconds) -> bool {
    energy.quantity() <= MOST_POWER * (elapsed + Seconds::new(0.5))
}
