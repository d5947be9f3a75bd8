//! A closed window is settled: each device's energy goes to workloads and states, to the last microjoule.
//!
//! The rules, in order:
//! 1. What was drawn before the window opened is unattributed: its witness is gone.
//! 2. Of a processor or memory, what it draws at rest is idle and belongs to nobody.
//! 3. The rest is active and goes by CPU time or by memory held; what a model says that moving data in memory took goes by
//!    CPU time, too, because those who hold memory need not touch it. The share of use that nobody was seen to make is
//!    unattributed, and so is everything when there was no witness at all.
//! 4. An accelerator's holders are watched board by board: see [`super::boards`].
//! 5. The enclosure follows the other devices in proportion, states and all.

use std::collections::BTreeMap;
use std::sync::Arc;

use wattline_core::{
    Device, DeviceKind, Joules, Method, MicroJoules, Ratio, Seconds, Text, Timestamp, Uncertainty, Workload,
};

use super::boards::BoardUse;
use super::books::EnergyState;
use super::floor::Idle;
use super::machine::Machine;
use super::meter::DeviceEnergy;
use super::witness::{Shares, Use};

/// Energy that goes to one workload in one state.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Booking {
    pub(crate) kind: DeviceKind,
    /// The device, where its users are told device by device.
    pub(crate) id: Option<Text>,
    pub(crate) workload: Arc<Workload>,
    pub(crate) state: EnergyState,
    pub(crate) method: Method,
    pub(crate) energy: MicroJoules,
    /// From when it was drawn, where that is before the window.
    pub(crate) since: Option<Timestamp>,
}

/// A settled window.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Settlement {
    pub(crate) devices: Vec<DeviceEnergy>,
    /// How well the whole machine is known, where a meter at its input says.
    pub(crate) closed_by_input: Option<Uncertainty>,
    /// Add up to the devices' energy exactly, kind by kind.
    pub(crate) bookings: Vec<Booking>,
    pub(crate) elapsed: Seconds,
    /// The agent's own part, told again.
    pub(crate) own: MicroJoules,
}

/// Settles a window.
pub(crate) fn settle(machine: Machine, idle: &[Idle], use_: &Use, elapsed: Seconds) -> Settlement {
    let Machine { devices, closed_by_input } = machine;
    let nobody = Arc::new(Workload::Nobody);
    let mut pot = Pot { nobody: Arc::clone(&nobody), bookings: BTreeMap::new() };
    let mut own = 0.0;
    for device in devices.iter().filter(|device| device.device.kind != DeviceKind::Enclosure) {
        if let Some(board) = use_.boards.iter().find(|board| board.device == device.device) {
            pot.book_board(device, board);
            continue;
        }
        let resting =
            idle.iter().find(|idle| idle.device == device.device).map_or(MicroJoules::ZERO, |idle| idle.energy);
        own += pot.book_device(device, resting.min(device.drawn.inside), use_);
    }
    let under = pot.total();
    for device in devices.iter().filter(|device| device.device.kind == DeviceKind::Enclosure) {
        let drawn = device.drawn.whole().get() as f64;
        own += own * Ratio::of(drawn, under.get() as f64).get();
        pot.follow(device);
    }
    Settlement {
        devices,
        closed_by_input,
        bookings: pot.into_bookings(),
        elapsed,
        own: MicroJoules::round(Joules::new(own / 1e6)),
    }
}

type Key = (DeviceKind, Option<Text>, Arc<Workload>, EnergyState, Method);

/// Whether users of such devices are told device by device: they hold single ones.
pub(crate) const fn is_told_apart(kind: DeviceKind) -> bool {
    matches!(kind, DeviceKind::Gpu | DeviceKind::Accelerator)
}

struct Pot {
    nobody: Arc<Workload>,
    bookings: BTreeMap<Key, (MicroJoules, Option<Timestamp>)>,
}

impl Pot {
    /// Books one processor or memory. Returns the agent's own part in microjoules.
    fn book_device(&mut self, device: &DeviceEnergy, idle: MicroJoules, use_: &Use) -> f64 {
        let method = device.method.split();
        let of = &device.device;
        self.add(of, EnergyState::Unattributed, None, method, (device.drawn.before, device.drawn.since));
        self.add(of, EnergyState::Idle, None, method, (idle, None));
        let active = device.drawn.inside.less(idle);
        let (own_cpu, own_memory) = use_.own;
        if of.kind != DeviceKind::Memory {
            self.add_active(device, active, &use_.cpu);
            return active.get() as f64 * own_cpu.get();
        }
        let moving = device.modelled.map_or(MicroJoules::ZERO, |modelled| modelled.moving).min(active);
        let holding = active.less(moving);
        self.add_active(device, moving, &use_.cpu);
        self.add_active(device, holding, &use_.memory);
        moving.get() as f64 * own_cpu.get() + holding.get() as f64 * own_memory.get()
    }

    /// Books an accelerator as those saw it who watched its holders.
    fn book_board(&mut self, device: &DeviceEnergy, board: &BoardUse) {
        let (of, method) = (&device.device, device.method.split());
        self.add(of, EnergyState::Unattributed, None, method, (device.drawn.before, device.drawn.since));
        let weights: Vec<u64> = board.claims.iter().map(|claim| claim.energy.get()).collect();
        match device.drawn.inside.split(&weights) {
            None => self.add(of, EnergyState::Unattributed, None, method, (device.drawn.inside, None)),
            Some(parts) => {
                for (claim, energy) in board.claims.iter().zip(parts) {
                    self.add(of, claim.state, claim.workload.as_ref(), method, (energy, None));
                }
            }
        }
    }

    /// Books what a device drew at work, in proportion to a use.
    fn add_active(&mut self, device: &DeviceEnergy, active: MicroJoules, shares: &Shares) {
        let (of, method) = (&device.device, device.method.split());
        let weights: Vec<u64> = shares.parts.iter().map(|(_, used)| *used).chain([shares.unseen]).collect();
        let Some(parts) = active.split(&weights) else {
            self.add(of, EnergyState::Unattributed, None, method, (active, None));
            return;
        };
        let workloads = shares.parts.iter().map(|(workload, _)| Some(workload)).chain([None]);
        for (workload, energy) in workloads.zip(parts) {
            let state = if workload.is_some() { EnergyState::Active } else { EnergyState::Unattributed };
            self.add(of, state, workload, method, (energy, None));
        }
    }

    /// Books a device in proportion to all that is booked already.
    fn follow(&mut self, device: &DeviceEnergy) {
        let whole = device.drawn.whole();
        let method = device.method.split();
        let mut under: BTreeMap<(Arc<Workload>, EnergyState), u64> = BTreeMap::new();
        for ((_, _, workload, state, _), (energy, _)) in &self.bookings {
            let sum = under.entry((Arc::clone(workload), *state)).or_default();
            *sum = sum.saturating_add(energy.get());
        }
        let weights: Vec<u64> = under.values().copied().collect();
        match whole.split(&weights) {
            None => {
                self.add(&device.device, EnergyState::Unattributed, None, method, (whole, device.drawn.since));
            }
            Some(parts) => {
                for ((workload, state), energy) in under.into_keys().zip(parts) {
                    let since = device.drawn.since.filter(|_| state == EnergyState::Unattributed);
                    self.add(&device.device, state, Some(&workload), method, (energy, since));
                }
            }
        }
    }

    fn add(
        &mut self,
        device: &Device,
        state: EnergyState,
        workload: Option<&Arc<Workload>>,
        method: Method,
        (energy, since): (MicroJoules, Option<Timestamp>),
    ) {
        if !energy.is_zero() {
            let workload = Arc::clone(workload.unwrap_or(&self.nobody));
            let id = is_told_apart(device.kind).then(|| device.id.clone());
            let booked = self.bookings.entry((device.kind, id, workload, state, method)).or_default();
            booked.0 += energy;
            booked.1 = booked.1.into_iter().chain(since).min();
        }
    }

    fn total(&self) -> MicroJoules {
        self.bookings.values().map(|(energy, _)| *energy).sum()
    }

    fn into_bookings(self) -> Vec<Booking> {
        self.bookings
            .into_iter()
            .map(|((kind, id, workload, state, method), (energy, since))| Booking {
                kind,
                id,
                workload,
                state,
                method,
                energy,
                since,
            })
            .collect()
    }
}
