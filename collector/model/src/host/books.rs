//! The books of one machine: what was drawn, by which device, for whom, and what it meant.
//!
//! Integers only. Two laws hold after every window, and the tests say so: for each kind of device the devices'
//! energy equals the workloads' energy, and the machine's carbon and cost equal the workloads', kind by kind.

mod figures;
mod rows;
mod saved;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wattline_core::attribute::Text;
use wattline_core::sample::Period;
use wattline_core::{
    Device, DeviceKind, Instant, Method, MicroJoules, NanoUsd, Nanograms, Ratio, Seconds, Subject, Tick, Timestamp,
    Uncertainty, Watts, Workload,
};

pub use self::rows::{DeviceRow, EnergyState, HeldRow, Retired, WorkloadRow};
pub use self::saved::SavedBooks;
use super::floor::Idle;
use super::holding::{HeldBooking, divide};
use super::rates::{Meaning, Rates, Rounding};
use super::settle::{Booking, Settlement};
use super::witness::Use;

type RowKey = (DeviceKind, Option<Text>, Arc<Workload>, EnergyState, Method);
type HeldKey = (DeviceKind, Arc<Workload>, EnergyState);

/// The books of one machine.
#[derive(Clone, Debug, Default)]
pub struct HostBooks {
    max_workloads: usize,
    retention: Seconds,
    /// A device that changes its meter or its model begins another row: what a series says of itself never changes.
    devices: BTreeMap<(Device, Method, Text), DeviceRow>,
    rows: BTreeMap<RowKey, WorkloadRow>,
    held: BTreeMap<HeldKey, HeldRow>,
    retired: BTreeMap<(DeviceKind, Option<Text>), Retired>,
    /// The sum of all windows, before they were split over rows.
    meaning: Meaning,
    rounding: Rounding,
    errors: Errors,
    floors: Vec<Idle>,
    own: MicroJoules,
    opened: Option<Timestamp>,
    settled: Option<Period>,
    elapsed: Seconds,
    closed_by_input: Option<Uncertainty>,
    subjects: BTreeMap<Arc<Workload>, Arc<Subject>>,
}

/// Nanograms times the uncertainty of the rate that they were computed with: rates come and go, and what is known
/// badly for an hour is not known badly for ever.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Errors {
    operational: f64,
    embodied: f64,
}

/// A window that is closed: its two ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) opened: Tick,
    pub(super) closed: Tick,
}

impl HostBooks {
    pub(super) fn new(max_workloads: usize, retention: Seconds) -> Self {
        Self { max_workloads, retention, ..Self::default() }
    }

    pub(super) fn reconfigure(&mut self, max_workloads: usize, retention: Seconds) {
        self.max_workloads = max_workloads;
        self.retention = retention;
    }

    /// Books a settled window.
    pub(super) fn book(&mut self, settlement: &Settlement, use_: &Use, rates: &Rates, window: Window) {
        self.opened.get_or_insert(window.opened.wall);
        // The civil clock may have been set back meanwhile.
        self.settled = Some(Period { start: window.opened.wall.min(window.closed.wall), at: window.closed.wall });
        self.elapsed = settlement.elapsed;
        self.closed_by_input = settlement.closed_by_input;
        self.own += settlement.own;
        self.book_devices(settlement, window);
        let energy = settlement.bookings.iter().map(|booking| booking.energy).sum();
        let meaning = self.rounding.meaning(energy, settlement.elapsed, rates);
        self.meaning.add(&meaning);
        self.errors.add(&meaning, rates);
        self.book_energy(&settlement.bookings, &meaning, window);
        for booking in divide(&meaning, &rates.holding.parts, use_, settlement.elapsed) {
            self.book_held(&booking, window);
        }
        self.retire(use_, window.closed.at);
    }

    fn book_devices(&mut self, settlement: &Settlement, window: Window) {
        for row in self.devices.values_mut() {
            row.is_current = false;
        }
        for energy in &settlement.devices {
            let row =
                self.devices.entry((energy.device.clone(), energy.method, energy.model.clone())).or_insert_with(|| {
                    DeviceRow {
                        device: energy.device.clone(),
                        method: energy.method,
                        model: energy.model.clone(),
                        energy: MicroJoules::ZERO,
                        power: Watts::ZERO,
                        uncertainty: energy.uncertainty,
                        start: energy.drawn.since.unwrap_or(window.opened.wall).min(window.opened.wall),
                        is_current: true,
                    }
                });
            row.energy += energy.drawn.whole();
            // A meter that is silent for a moment draws what it drew: its counter will tell.
            row.power = energy.drawn.power().unwrap_or(row.power);
            row.uncertainty = energy.uncertainty;
            row.is_current = true;
        }
        for row in self.devices.values_mut().filter(|row| !row.is_current) {
            row.power = Watts::ZERO;
        }
    }

    /// Carbon and electricity of the window follow its energy, so that they close as it does.
    fn book_energy(&mut self, bookings: &[Booking], meaning: &Meaning, window: Window) {
        for row in self.rows.values_mut() {
            row.last = MicroJoules::ZERO;
        }
        let weights: Vec<u64> = bookings.iter().map(|booking| booking.energy.get()).collect();
        let electricity = meaning.electricity.unwrap_or_default();
        let operational = meaning.operational.split(&weights);
        let electricity = electricity.split(&weights);
        // Without energy there is nothing to split, and neither carbon nor a bill.
        let operational = operational.unwrap_or_else(|| vec![Nanograms::ZERO; weights.len()]);
        let electricity = electricity.unwrap_or_else(|| vec![NanoUsd::ZERO; weights.len()]);
        for ((booking, operational), electricity) in bookings.iter().zip(operational).zip(electricity) {
            self.book_workload(booking, operational, electricity, window);
        }
    }

    fn book_workload(&mut self, booking: &Booking, operational: Nanograms, electricity: NanoUsd, window: Window) {
        let workload = self.seat(&booking.workload);
        let key = (booking.kind, booking.id.clone(), Arc::clone(&workload), booking.state, booking.method);
        let row = self.rows.entry(key).or_insert_with(|| WorkloadRow {
            kind: booking.kind,
            id: booking.id.clone(),
            workload,
            state: booking.state,
            method: booking.method,
            energy: MicroJoules::ZERO,
            operational: Nanograms::ZERO,
            electricity: NanoUsd::ZERO,
            last: MicroJoules::ZERO,
            start: booking.since.unwrap_or(window.opened.wall).min(window.opened.wall),
            moved: window.closed.at,
        });
        row.energy += booking.energy;
        row.operational += operational;
        row.electricity += electricity;
        row.last += booking.energy;
        row.moved = window.closed.at;
    }

    fn book_held(&mut self, booking: &HeldBooking, window: Window) {
        let workload = self.seat(&booking.workload);
        let row = self.held.entry((booking.kind, Arc::clone(&workload), booking.state)).or_insert_with(|| HeldRow {
            kind: booking.kind,
            workload,
            state: booking.state,
            embodied: Nanograms::ZERO,
            rent: NanoUsd::ZERO,
            start: window.opened.wall,
            moved: window.closed.at,
        });
        row.embodied += booking.embodied;
        row.rent += booking.rent;
        row.moved = window.closed.at;
    }

    /// The workload itself if it has a series or may get one, else `other`.
    fn seat(&mut self, workload: &Arc<Workload>) -> Arc<Workload> {
        let shared = matches!(**workload, Workload::Other | Workload::Nobody);
        if !shared && !self.subjects.contains_key(workload) && self.subjects.len() >= self.max_workloads {
            return self.seat(&Arc::new(Workload::Other));
        }
        if !self.subjects.contains_key(workload) {
            let subject = Arc::new(Subject::Workload(Workload::clone(workload)));
            self.subjects.insert(Arc::clone(workload), subject);
        }
        Arc::clone(workload)
    }

    /// Ends the series of workloads that used nothing for long. What they held stays in the sums.
    fn retire(&mut self, use_: &Use, now: Instant) {
        let live: BTreeSet<&Workload> =
            use_.cpu.parts.iter().chain(&use_.memory.parts).map(|(workload, _)| &**workload).collect();
        let stays =
            |workload: &Workload| matches!(workload, Workload::Nobody | Workload::Other) || live.contains(workload);
        let keeps = |moved, workload: &Workload| now.since(moved) <= self.retention || stays(workload);
        let retired = &mut self.retired;
        self.rows.retain(|_, row| {
            let keep = keeps(row.moved, &row.workload);
            if !keep {
                let retired = retired.entry((row.kind, row.id.clone())).or_default();
                retired.energy += row.energy;
                retired.operational += row.operational;
                retired.electricity += row.electricity;
            }
            keep
        });
        self.held.retain(|_, row| {
            let keep = keeps(row.moved, &row.workload);
            if !keep {
                let retired = retired.entry((row.kind, None)).or_default();
                retired.embodied += row.embodied;
                retired.rent += row.rent;
            }
            keep
        });
        let rows = self.rows.values().map(|row| &*row.workload);
        let seated: BTreeSet<&Workload> = rows.chain(self.held.values().map(|row| &*row.workload)).collect();
        self.subjects.retain(|workload, _| seated.contains(&**workload));
    }

    /// Whether a workload has series of its own.
    pub(super) fn has_series(&self, workload: &Workload) -> bool {
        self.subjects.contains_key(workload)
    }

    /// Length of the last settled window.
    pub fn window(&self) -> Seconds {
        self.elapsed
    }

    pub(super) fn record_floors(&mut self, floors: Vec<Idle>) {
        self.floors = floors;
    }

    /// The last settled window.
    pub fn settled_at(&self) -> Option<Period> {
        self.settled
    }

    /// When the first window opened.
    pub fn opened_at(&self) -> Option<Timestamp> {
        self.opened
    }

    /// The devices' rows.
    pub fn devices(&self) -> impl Iterator<Item = &DeviceRow> {
        self.devices.values()
    }

    /// The workloads' rows.
    pub fn workloads(&self) -> impl Iterator<Item = &WorkloadRow> {
        self.rows.values()
    }

    /// The rows of what workloads hold.
    pub fn held(&self) -> impl Iterator<Item = &HeldRow> {
        self.held.values()
    }

    /// What workloads had on devices of `kind` whose series ended.
    pub fn retired(&self, kind: DeviceKind) -> Retired {
        let of_kind = self.retired.iter().filter(|((of, _), _)| *of == kind);
        of_kind.fold(Retired::default(), |sum, (_, retired)| sum.and(retired))
    }

    /// What workloads had on the device with this id whose series ended.
    pub fn retired_on(&self, id: &str) -> Retired {
        let of_device = self.retired.iter().filter(|((_, of), _)| of.as_ref().is_some_and(|of| of.as_str() == id));
        of_device.fold(Retired::default(), |sum, (_, retired)| sum.and(retired))
    }

    /// The agent's own energy, told again from its workload's.
    pub fn own(&self) -> MicroJoules {
        self.own
    }

    /// The machine's energy: the sum of its devices'.
    pub fn energy(&self) -> MicroJoules {
        self.devices.values().map(|row| row.energy).sum()
    }

    /// What the machine's energy and time meant. The rows and what retired add up to its carbon and cost.
    pub fn meaning(&self) -> &Meaning {
        &self.meaning
    }

    /// The weakest method among the devices.
    pub fn method(&self) -> Method {
        self.devices.values().map(|row| row.method).max().unwrap_or_default()
    }

    /// The uncertainty of the machine's energy.
    pub fn uncertainty(&self) -> Uncertainty {
        let of_parts = || self.devices.values().map(|row| (row.energy.get() as f64, row.uncertainty));
        self.closed_by_input.unwrap_or_else(|| Uncertainty::of_sum(of_parts()))
    }

    /// The uncertainty of the machine's operational carbon: of its energy, and of the rates by amount.
    pub fn operational_uncertainty(&self) -> Uncertainty {
        self.uncertainty().times(mean(self.errors.operational, self.meaning.operational))
    }

    /// The uncertainty of the machine's embodied carbon.
    pub fn embodied_uncertainty(&self) -> Uncertainty {
        mean(self.errors.embodied, self.meaning.embodied.unwrap_or_default())
    }
}

impl Errors {
    fn add(&mut self, window: &Meaning, rates: &Rates) {
        self.operational += window.operational.get() as f64 * rates.carbon_uncertainty.sigma();
        let embodied = window.embodied.unwrap_or_default().get() as f64;
        self.embodied += rates.holding.embodied.map_or(0.0, |rate| embodied * rate.uncertainty.sigma());
    }
}

fn mean(error: f64, amount: Nanograms) -> Uncertainty {
    Uncertainty::from_sigma(Ratio::of(error, amount.get() as f64).get())
}
