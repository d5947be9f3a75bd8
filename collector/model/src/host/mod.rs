//! One machine: its counters become energy, its energy is given to what runs on it.
//!
//! Accounting happens in windows. Readings fill the open window; when it is long enough, it is settled at once:
//! every microjoule of every device is booked to exactly one workload and state, and what is booked is never
//! revised. Between settlements the books stand still.

mod boards;
mod books;
mod floor;
mod holding;
mod machine;
mod meter;
mod rates;
mod settle;
mod system;
mod witness;

use std::collections::BTreeMap;
use std::sync::Arc;

use wattline_core::reading::{AcceleratorReading, EnergySource, Scope};
use wattline_core::sample::Period;
use wattline_core::{
    Instant, Inventory, MicroJoules, Ratio, Reading, Readings, Sample, Seconds, Text, Tick, Timestamp,
};

use self::boards::Boards;
pub(crate) use self::boards::METER_UNCERTAINTY;
use self::books::Window;
pub use self::books::{DeviceRow, EnergyState, HeldRow, HostBooks, Retired, SavedBooks, WorkloadRow};
use self::floor::Floors;
use self::machine::Modeller;
use self::meter::Meters;
pub use self::rates::{Embodied, HeldPart, Holding, Meaning, Rates, WaterRates};
use self::settle::settle;
use self::system::System;
use self::witness::Witness;
use crate::power::HostPower;

/// How the host model accounts.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The shortest window that is settled.
    pub window: Seconds,
    /// The most workloads with a series of their own; the rest are booked as `other`.
    pub max_workloads: usize,
    /// A workload whose books have not moved for this long, and that is gone, loses its series.
    pub retention: Seconds,
    /// The process id of the agent itself, to tell its own joules.
    pub own_pid: Option<u32>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { window: Seconds::new(10.0), max_workloads: 1000, retention: Seconds::new(3600.0), own_pid: None }
    }
}

/// A raw counter as it stood when a window was last settled, to be kept over a restart of the agent.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct RawCounter {
    /// What it covers.
    pub scope: Scope,
    /// Where it comes from.
    pub source: EnergySource,
    /// The raw value in microjoules.
    pub raw_uj: u64,
    /// When it was read, on the clock of this boot,
    pub at: Instant,
    /// and in civil time.
    pub wall: Timestamp,
}

/// The model of one machine.
#[derive(Debug)]
pub struct HostModel {
    settings: Settings,
    inventory: Arc<Inventory>,
    power: HostPower,
    meters: Meters,
    boards: Boards,
    /// What was booked of each accelerator to those who hold it, since it was last asked for.
    held: BTreeMap<Text, MicroJoules>,
    modeller: Modeller,
    witness: Witness,
    floors: Floors,
    system: System,
    books: HostBooks,
    rates: Rates,
    /// Begin of the open window; `None` before the first reading.
    opened: Option<Tick>,
    /// The first reading of this process. The books may be older.
    began: Option<Timestamp>,
    last: Tick,
}

impl HostModel {
    /// A model with empty books.
    pub fn new(settings: Settings) -> Self {
        let inventory = Arc::new(Inventory::default());
        Self {
            power: HostPower::of(&inventory),
            witness: Witness::new(settings.own_pid),
            books: HostBooks::new(settings.max_workloads, settings.retention),
            inventory,
            meters: Meters::default(),
            boards: Boards::default(),
            held: BTreeMap::new(),
            modeller: Modeller::default(),
            floors: Floors::default(),
            system: System::default(),
            rates: Rates::default(),
            opened: None,
            began: None,
            last: Tick::default(),
            settings,
        }
    }

    /// Goes on from counters kept by an earlier agent of the same boot. What was drawn since then has no witness
    /// and is booked as unattributed.
    pub fn resume(&mut self, counters: &[RawCounter]) {
        for counter in counters {
            if !self.boards.resume(counter) {
                self.meters.resume(counter);
            }
        }
    }

    /// Goes on with the books of an earlier agent on this machine, in which nothing stands yet here. `now` is later
    /// than anything it did.
    pub fn restore(&mut self, saved: SavedBooks, now: Instant) {
        self.books.restore(saved, now);
    }

    /// The raw counters as they stood at the last settlement, or at their first reading since.
    pub fn raw_counters(&self) -> Vec<RawCounter> {
        let mut counters = self.meters.raw_counters(self.last);
        counters.extend(self.boards.raw_counters(self.last));
        counters
    }

    /// Learns what the machine is. Windows that are settled are not revised.
    pub fn describe(&mut self, inventory: &Arc<Inventory>) {
        self.inventory = Arc::clone(inventory);
        self.power = HostPower::of(inventory);
    }

    /// Takes over rates that hold from now on, because the grid or a price changed. What was drawn and held until the
    /// last reading is settled at the rates before, so that no part of it is multiplied by a rate that came later.
    pub fn change_rates(&mut self, rates: Rates) {
        if !self.rates.is_priced_as(&rates) {
            self.settle_now();
        }
        self.rates = rates;
    }

    /// Takes over rates that held all along and only now are known, as when a cloud has told where the machine stands.
    /// The open window is settled at them; what is booked is not revised.
    pub fn correct_rates(&mut self, rates: Rates) {
        self.rates = rates;
    }

    /// The rates in force.
    pub fn rates(&self) -> &Rates {
        &self.rates
    }

    /// Takes what a probe saw. Settles the open window when `readings` make it long enough. Readings that are not
    /// newer than the last are dropped: `false`.
    pub fn ingest(&mut self, readings: &Readings) -> bool {
        let tick = readings.tick;
        if self.opened.is_some() && tick.at <= self.last.at {
            return false;
        }
        let opened = *self.opened.get_or_insert(tick);
        self.began.get_or_insert(tick.wall);
        self.last = tick;
        for item in &readings.items {
            self.take(item, tick, opened.at);
        }
        self.witness.end_of_batch(tick.at);
        if tick.at.since(opened.at).get() + 0.05 >= self.settings.window.get() {
            self.settle(tick);
        }
        true
    }

    /// Takes what an accelerator shows. It is read at moments of its own, which end no window.
    pub fn take_board(&mut self, reading: &AcceleratorReading, tick: Tick) {
        self.boards.take(reading, tick);
    }

    /// What each accelerator drew for those who hold it, at work and waiting, in the windows settled since this was last
    /// asked. It is on the books already.
    pub fn take_held(&mut self) -> BTreeMap<Text, MicroJoules> {
        std::mem::take(&mut self.held)
    }

    fn take(&mut self, item: &Reading, tick: Tick, opened: Instant) {
        match item {
            Reading::Energy(reading) => self.meters.take_energy(reading, tick, opened),
            Reading::Power(reading) => self.meters.take_power(reading, tick, opened),
            Reading::Cpu(reading) => {
                self.witness.take_cpu(reading, tick.at);
                self.system.take(item, tick.at);
            }
            Reading::Memory(reading) => {
                self.witness.take_memory(*reading);
                self.system.take(item, tick.at);
            }
            Reading::Cgroup(reading) => self.witness.take_cgroup(reading, tick.at, opened),
            Reading::Process(reading) => self.witness.take_process(reading, tick.at, opened),
            Reading::Load(_)
            | Reading::Paging(_)
            | Reading::Disk(_)
            | Reading::Network(_)
            | Reading::Filesystem(_)
            | Reading::Pressure(_)
            | Reading::Processes(_) => self.system.take(item, tick.at),
            // What describes the machine, and accelerators, come at their own time, by ways of their own.
            Reading::Inventory(_)
            | Reading::Inference(_)
            | Reading::Activity(_)
            | Reading::Tokens(_)
            | Reading::AgentUsage(_)
            | Reading::Account(_)
            | Reading::Progress(_)
            | Reading::Engine(_)
            | Reading::Accelerator(_)
            | Reading::Intensity(_)
            | Reading::Health(_) => {}
        }
    }

    /// Settles the open window now, however short, so that a last snapshot is complete.
    pub fn settle_now(&mut self) {
        if self.opened.is_some_and(|opened| self.last.at > opened.at) {
            self.settle(self.last);
        }
    }

    fn settle(&mut self, tick: Tick) {
        let Some(opened) = self.opened.replace(tick) else { return };
        let elapsed = tick.at.since(opened.at);
        let mut use_ = self.witness.close_window(tick.at);
        let mut metered = self.meters.close_window(tick.at);
        let witness = &self.witness;
        let boards = self.boards.close_window(tick.at, |pid| witness.workload_of(pid));
        metered.devices.extend(boards.devices);
        use_.boards = boards.uses;
        let machine = self.modeller.complete(metered, &self.power, &use_, elapsed);
        let at_rest = self.power.at(Ratio::ZERO, use_.memory_used);
        let mut idle = self.floors.learn(&machine.devices, &use_, &at_rest, elapsed);
        let settlement = settle(machine, &idle, &use_, elapsed);
        for booking in &settlement.bookings {
            let id =
                booking.id.as_ref().filter(|_| matches!(booking.state, EnergyState::Active | EnergyState::Reserved));
            if let Some(id) = id {
                *self.held.entry(id.clone()).or_default() += booking.energy;
            }
        }
        idle.extend(boards.floors);
        self.system.close_window(use_.modes, tick);
        self.books.book(&settlement, &use_, &self.rates, Window { opened, closed: tick });
        self.books.record_floors(idle);
        let books = &self.books;
        self.witness.settle_totals(opened.wall, |workload| books.has_series(workload));
    }

    /// Takes over new settings. The open window is settled when the new length says so.
    pub fn reconfigure(&mut self, settings: Settings) {
        self.books.reconfigure(settings.max_workloads, settings.retention);
        self.witness.reconfigure(settings.own_pid);
        self.settings = settings;
    }

    /// What the machine is, as far as known.
    pub fn inventory(&self) -> &Arc<Inventory> {
        &self.inventory
    }

    /// The books as of the last settlement.
    pub fn books(&self) -> &HostBooks {
        &self.books
    }

    /// Every figure about this machine, as known at `now`: the books as of the last settlement, the machine's own
    /// counters as of the last reading.
    pub fn samples(&self, now: Timestamp) -> Vec<Sample> {
        let host_id = self.inventory.host_id.clone().unwrap_or_else(|| "unknown".to_owned());
        let mut samples = self.books.samples(&host_id.into(), now);
        if let Some(began) = self.began.filter(|_| self.books.opened_at().is_some()) {
            let period = Period { start: began.min(now), at: now };
            self.witness.samples(period, &mut samples);
            self.meters.samples(self.boards.lost(), period, &mut samples);
        }
        self.system.samples(&self.inventory, now, &mut samples);
        samples
    }
}

#[cfg(test)]
mod cases;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod worth;
