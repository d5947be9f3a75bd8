//! What each accelerator drew in the open window, and for whom.
//!
//! Accelerators are read by a source of their own, at moments of its own. So the time between two readings of a board is
//! accounted for as one, in the window in which the second one comes:
//! - While nobody holds the board, what it draws is idle.
//! - While somebody holds it, what it draws at rest and loaded is *reserved*, for the holders, and the rest is *active*, by
//!   use. While none of the holders computes, all is reserved: that a board draws a little more than its floor is nobody's
//!   work.
//! - What was drawn while holders could not be seen is unattributed, and so is what a counter shows after a gap: it was
//!   drawn before the window.
//!
//! What a board draws at rest is learned twice, empty and loaded: a context and a model in memory keep clocks up. Until rest
//! was seen a table's figure stands for it, and says so.
//!
//! Holders are known by their process ids, and who these are is asked when the window is closed, for by then every process
//! of the machine was read once.

mod division;

use std::collections::BTreeMap;
use std::sync::Arc;

use wattline_core::counter::{Counter, Step};
use wattline_core::reading::{AcceleratorReading, AcceleratorState, EnergySource, Scope};
use wattline_core::{
    Device, Instant, Method, MicroJoules, Ratio, Seconds, Text, Tick, Timestamp, Uncertainty, Watts, Workload,
    apportion,
};

use self::division::{Division, Witness};
use super::RawCounter;
use super::books::EnergyState;
use super::floor::{Floor, Idle};
use super::meter::{DeviceEnergy, Drawn};
use crate::hardware;

/// Who held a board longer ago than this is not who holds it now: what was drawn in such a gap has no witness.
const GAP: Seconds = Seconds::new(15.0);
/// Power is not integrated over longer gaps, and a board that was not read for so long has no power any more.
const SILENCE: Seconds = Seconds::new(60.0);
/// A board that was not read for so long is another one when it comes back.
const FORGOTTEN: Seconds = Seconds::new(86_400.0);
/// No board draws more. What a counter says beyond this is a broken counter.
const MOST_POWER: Watts = Watts::new(20_000.0);
/// How wrong a board's own meter is, as the logarithm's standard deviation: gain and offset of 5 % from card to card.
/// Source: Yang, Adamek, Armour, "Part-time Power Measurements", SC24, arXiv 2312.02741.
pub(crate) const METER_UNCERTAINTY: Uncertainty = Uncertainty::from_sigma(0.05);
/// The same where a power is integrated that the meter looks at for a quarter of the time only (A100, H100; same source).
const MOMENT_UNCERTAINTY: Uncertainty = Uncertainty::from_sigma(0.10);
/// Rest is learned from so much of it at a time: the length of a window.
const REST: Seconds = Seconds::new(10.0);
/// The enclosure's share of what a board draws, where no table knows the board: fans and conversion of a server with cards.
const ENCLOSURE_SHARE: f64 = 0.15;

/// What one board drew in a window, for whom.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BoardUse {
    pub(crate) device: Device,
    /// Add up to what it drew inside the window.
    pub(crate) claims: Vec<BoardClaim>,
    /// Whose the time was, in nanoseconds; adds up to the time that was watched.
    pub(crate) held: Vec<BoardTime>,
}

/// Energy of a board that goes to a workload, or to nobody, in one state.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BoardClaim {
    pub(crate) workload: Option<Arc<Workload>>,
    pub(crate) state: EnergyState,
    pub(crate) energy: MicroJoules,
}

/// Time of a board that was a workload's, or nobody's, in one state.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BoardTime {
    pub(crate) workload: Option<Arc<Workload>>,
    pub(crate) state: EnergyState,
    pub(crate) nanos: u64,
}

/// All boards in a window that is closed.
#[derive(Clone, Debug, Default)]
pub(crate) struct BoardWindow {
    pub(crate) devices: Vec<DeviceEnergy>,
    pub(crate) uses: Vec<BoardUse>,
    pub(crate) floors: Vec<Idle>,
}

/// Who has a claim on a board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Claimant {
    /// Nobody holds it, or this part of it.
    Nobody,
    /// Somebody may, and cannot be seen.
    Unseen,
    /// A process.
    Process(u32),
}

/// The boards of a machine.
#[derive(Debug, Default)]
pub(crate) struct Boards {
    boards: BTreeMap<Device, Board>,
    /// Intervals that could not be booked.
    lost: u64,
}

#[derive(Debug, Default)]
struct Board {
    counter: Counter,
    power: Option<(Watts, Instant)>,
    read: Option<Tick>,
    /// The reading up to which all is booked.
    booked: Option<(u64, Instant)>,
    /// The counter goes on from an earlier agent, whose last reading was at this time.
    resumed: Option<Timestamp>,
    /// What a table says that it draws at rest.
    prior: Option<Watts>,
    enclosure: f64,
    is_moment: bool,
    empty: Rest,
    loaded: Rest,
    open: Open,
}

/// A floor while it is learned.
#[derive(Debug, Default)]
struct Rest {
    floor: Floor,
    /// What was drawn at rest and for how long, since the floor was last told.
    energy: MicroJoules,
    time: Seconds,
}

/// What is known of the open window.
#[derive(Debug, Default)]
struct Open {
    drawn: Drawn,
    energy: BTreeMap<(Claimant, EnergyState), MicroJoules>,
    nanos: BTreeMap<(Claimant, EnergyState), u64>,
}

impl Boards {
    /// Goes on from a counter kept by an earlier agent, if it is one of a board.
    pub(crate) fn resume(&mut self, kept: &RawCounter) -> bool {
        let Scope::Device(device) = &kept.scope else { return false };
        if kept.source != EnergySource::Nvml {
            return false;
        }
        let board = self.boards.entry(device.clone()).or_default();
        board.counter = Counter::resume(kept.raw_uj, kept.at);
        board.booked = board.counter.last();
        board.resumed = Some(kept.wall);
        true
    }

    /// The counters as they stood when the last window was closed.
    pub(crate) fn raw_counters(&self, now: Tick) -> impl Iterator<Item = RawCounter> {
        self.boards.iter().filter_map(move |(device, board)| {
            let (raw_uj, at) = board.booked?;
            let wall = board.resumed.unwrap_or_else(|| now.wall.back(now.at.since(at)));
            Some(RawCounter { scope: Scope::Device(device.clone()), source: EnergySource::Nvml, raw_uj, at, wall })
        })
    }

    /// Intervals that could not be booked: a counter that began anew, or that cannot be believed.
    pub(crate) const fn lost(&self) -> u64 {
        self.lost
    }

    /// Takes what a board shows. A reading that is not newer than its last is left.
    pub(crate) fn take(&mut self, reading: &AcceleratorReading, tick: Tick) {
        if matches!(reading.state, AcceleratorState::Down(_)) {
            return;
        }
        let board = self.boards.entry(reading.device.clone()).or_insert_with(|| Board::new(&reading.facts.name));
        if board.read.is_some_and(|read| tick.at <= read.at) {
            self.lost += 1;
            return;
        }
        self.lost += u64::from(!board.take(reading, tick));
    }

    /// What the boards drew since the window opened, at its end `now`. `workload_of` knows whose a process is.
    pub(crate) fn close_window(
        &mut self,
        now: Instant,
        workload_of: impl Fn(u32) -> Option<Arc<Workload>>,
    ) -> BoardWindow {
        let mut window = BoardWindow::default();
        for (device, board) in &mut self.boards {
            let Some(read) = board.read else { continue };
            let open = std::mem::take(&mut board.open);
            board.booked = board.counter.last();
            let is_gone = now.since(read.at) > SILENCE;
            if !is_gone || !open.drawn.whole().is_zero() {
                window.devices.push(board.energy(device, open.drawn));
                window.floors.extend(board.floors(device));
            }
            // A board that cannot be read is paid for all the same.
            window.uses.push(open.uses(device.clone(), &workload_of));
        }
        // Its counter goes on while it cannot be read, and tells afterwards what it drew.
        self.boards.retain(|_, board| board.read.is_none_or(|read| now.since(read.at) <= FORGOTTEN));
        window
    }
}

impl Board {
    fn new(name: &str) -> Self {
        let known = hardware::accelerator(name);
        Self {
            prior: known.map(|known| known.idle),
            enclosure: known.map_or(ENCLOSURE_SHARE, |known| (known.chassis.get() - 1.0).max(0.0)),
            ..Self::default()
        }
    }

    /// Accounts for the time since the last reading. False where that could not be done.
    fn take(&mut self, reading: &AcceleratorReading, tick: Tick) -> bool {
        if self.prior.is_none() && self.read.is_none() {
            // One that goes on from an earlier agent learns only now what it is.
            let Self { prior, enclosure, .. } = Self::new(&reading.facts.name);
            (self.prior, self.enclosure) = (prior, enclosure);
        }
        self.is_moment = reading.power.is_some_and(|power| power.averaged_over.is_none());
        let (read, resumed) = (self.read.replace(tick), self.resumed.take());
        let drawn = match reading.energy_mj {
            Some(raw) => self.drawn_by_counter(raw.saturating_mul(1000), tick.at),
            // A counter that fails for a moment goes on and tells later what was drawn meanwhile.
            None if self.counter.last().is_some_and(|(_, last)| tick.at.since(last) <= SILENCE) => Ok(None),
            None => self.drawn_by_power(reading.power.map(|power| power.power), tick.at),
        };
        let (energy, elapsed) = match drawn {
            Ok(Some(drawn)) => drawn,
            Ok(None) => return true,
            Err(()) => return false,
        };
        if let Some(since) = resumed {
            self.open.drawn.before += energy;
            self.open.drawn.since = Some(since);
            return true;
        }
        let since = read.filter(|_| elapsed > GAP).map(|read| read.wall);
        if since.is_some() {
            self.open.drawn.before += energy;
            self.open.drawn.since = self.open.drawn.since.into_iter().chain(since).min();
            return true;
        }
        self.book(energy, elapsed, &Division::of(reading));
        true
    }

    fn drawn_by_counter(&mut self, raw_uj: u64, at: Instant) -> Result<Option<(MicroJoules, Seconds)>, ()> {
        self.power = None;
        match self.counter.step(raw_uj, at, None) {
            Step::First => {
                self.booked = self.counter.last();
                Ok(None)
            }
            Step::Delta { amount, elapsed } | Step::Wrapped { amount, elapsed } => {
                let energy = MicroJoules::new(amount);
                if is_possible(energy, elapsed) {
                    return Ok(Some((energy, elapsed)));
                }
                self.booked = self.counter.last();
                Err(())
            }
            Step::Reset => {
                self.booked = self.counter.last();
                Err(())
            }
        }
    }

    fn drawn_by_power(&mut self, power: Option<Watts>, at: Instant) -> Result<Option<(MicroJoules, Seconds)>, ()> {
        self.counter = Counter::new();
        let Some(power) = power else { return Ok(None) };
        let Some((before, from)) = self.power.replace((power, at)) else { return Ok(None) };
        let elapsed = at.since(from);
        let energy = MicroJoules::round((before + power) * 0.5 * elapsed);
        if elapsed <= SILENCE && is_possible(energy, elapsed) { Ok(Some((energy, elapsed))) } else { Err(()) }
    }

    /// Books what was drawn between two readings.
    fn book(&mut self, energy: MicroJoules, elapsed: Seconds, division: &Division) {
        self.open.drawn.inside += energy;
        self.open.drawn.covered += elapsed;
        let power = Ratio::of(energy.quantity().get(), elapsed.get()).get();
        let power = Watts::new(power);
        let Division { holders, users, witness } = division;
        match witness {
            Witness::Nobody => {
                self.empty.learn(energy, elapsed, power, true);
                self.open.add(EnergyState::Idle, &[(Claimant::Nobody, 1)], energy, elapsed);
            }
            Witness::None => {
                self.open.add(EnergyState::Unattributed, &[(Claimant::Unseen, 1)], energy, elapsed);
            }
            Witness::Resting => {
                self.loaded.learn(energy, elapsed, power, true);
                self.open.add(EnergyState::Reserved, holders, energy, elapsed);
            }
            Witness::Working => {
                self.loaded.learn(energy, elapsed, power, false);
                let (floor, _) = self.loaded_floor();
                let reserved = MicroJoules::round(floor * elapsed).min(energy);
                self.open.add_energy(EnergyState::Reserved, holders, reserved);
                self.open.add_energy(EnergyState::Active, users, energy.less(reserved));
                self.open.add_time(EnergyState::Active, holders, elapsed);
            }
        }
    }

    fn loaded_floor(&self) -> (Watts, Method) {
        let (empty, _) = self.empty_floor();
        // A board that is held does not rest below one that is not.
        self.loaded.floor.power(empty)
    }

    fn empty_floor(&self) -> (Watts, Method) {
        self.empty.floor.power(self.prior.unwrap_or(Watts::ZERO))
    }

    fn floors(&self, device: &Device) -> [Idle; 2] {
        let of = |state, (power, method)| Idle {
            device: device.clone(),
            state: Some(state),
            energy: MicroJoules::ZERO,
            power,
            method,
        };
        [of(EnergyState::Idle, self.empty_floor()), of(EnergyState::Reserved, self.loaded_floor())]
    }

    fn energy(&self, device: &Device, drawn: Drawn) -> DeviceEnergy {
        let is_integrated = self.power.is_some();
        let meter = EnergySource::Nvml.as_str();
        DeviceEnergy {
            device: device.clone(),
            drawn,
            method: Method::Measured,
            model: if is_integrated { format!("{meter}+integrated").into() } else { Text::Static(meter) },
            uncertainty: if is_integrated && self.is_moment { MOMENT_UNCERTAINTY } else { METER_UNCERTAINTY },
            modelled: None,
            enclosure: Ratio::new(self.enclosure),
        }
    }
}

impl Rest {
    fn learn(&mut self, energy: MicroJoules, elapsed: Seconds, power: Watts, at_rest: bool) {
        if !at_rest {
            self.floor.observe(power, false);
            return;
        }
        self.energy += energy;
        self.time += elapsed;
        if self.time >= REST {
            self.floor.observe(self.energy.quantity() / self.time, true);
            (self.energy, self.time) = (MicroJoules::ZERO, Seconds::ZERO);
        }
    }
}

impl Open {
    fn add(&mut self, state: EnergyState, claims: &[(Claimant, u64)], energy: MicroJoules, elapsed: Seconds) {
        self.add_energy(state, claims, energy);
        self.add_time(state, claims, elapsed);
    }

    fn add_energy(&mut self, state: EnergyState, claims: &[(Claimant, u64)], energy: MicroJoules) {
        let parts = energy.split(&weights(claims)).unwrap_or_default();
        if parts.is_empty() {
            *self.energy.entry((Claimant::Unseen, EnergyState::Unattributed)).or_default() += energy;
        }
        for ((claimant, _), part) in claims.iter().zip(parts) {
            *self.energy.entry((*claimant, claimant.state(state))).or_default() += part;
        }
    }

    fn add_time(&mut self, state: EnergyState, claims: &[(Claimant, u64)], elapsed: Seconds) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a short time, and `as` saturates")]
        let nanos = (elapsed.get() * 1e9).round() as u64;
        let parts = apportion(nanos, &weights(claims)).unwrap_or_default();
        for ((claimant, _), part) in claims.iter().zip(parts) {
            let sum = self.nanos.entry((*claimant, claimant.state(state))).or_default();
            *sum = sum.saturating_add(part);
        }
    }

    /// With the workloads that the processes are of. A process that nobody has seen is nobody's witness.
    fn uses(self, device: Device, workload_of: impl Fn(u32) -> Option<Arc<Workload>>) -> BoardUse {
        let whose = |claimant, state| match claimant {
            Claimant::Process(pid) => match workload_of(pid) {
                Some(workload) => (Some(workload), state),
                None => (None, EnergyState::Unattributed),
            },
            Claimant::Nobody | Claimant::Unseen => (None, state),
        };
        let claims = self.energy.into_iter().map(|((claimant, state), energy)| {
            let (workload, state) = whose(claimant, state);
            BoardClaim { workload, state, energy }
        });
        let held = self.nanos.into_iter().map(|((claimant, state), nanos)| {
            let (workload, state) = whose(claimant, state);
            BoardTime { workload, state, nanos }
        });
        BoardUse { device, claims: claims.collect(), held: held.collect() }
    }
}

impl Claimant {
    /// The state of what falls to it, where `state` is what holders are in.
    const fn state(self, state: EnergyState) -> EnergyState {
        match self {
            Self::Process(_) => state,
            Self::Nobody => EnergyState::Idle,
            Self::Unseen => EnergyState::Unattributed,
        }
    }
}

fn weights(claims: &[(Claimant, u64)]) -> Vec<u64> {
    claims.iter().map(|(_, weight)| *weight).collect()
}

/// Whether a board can have drawn this in that time; half a second of slack for counters that tick late.
fn is_possible(energy: MicroJoules, elapsed: Seconds) -> bool {
    energy.quantity() <= MOST_POWER * (elapsed + Seconds::new(0.5))
}

#[cfg(test)]
mod tests;
