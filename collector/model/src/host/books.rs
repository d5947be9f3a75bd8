//! The books of one machine: what was drawn, by which device, for whom, and what it meant.
//!
//! Integers only. Two laws hold after every window, and the tests say so: for each kind of device the devices'
//! energy equals the workloads' energy, and the machine's carbon and cost equal the workloads'.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use wattline_core::attribute::{Attribute, Text, key};
use wattline_core::sample::Period;
use wattline_core::{
    Count, Device, DeviceKind, Instant, Joules, Method, MicroJoules, NanoUsd, Nanograms, Ratio, Sample, Seconds,
    Subject, Tick, Timestamp, Uncertainty, Watts, Workload, metrics,
};

use super::Rates;
use super::floor::Idle;
use super::settle::{Booking, Settlement};
use super::witness::Use;

/// What a joule was doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EnergyState {
    /// It worked for the workload.
    Active,
    /// The workload held the device and let it wait.
    Reserved,
    /// The device rested and nobody held it.
    Idle,
    /// It was measured, and no witness says for whom.
    Unattributed,
}

impl EnergyState {
    /// The value of `energy.state`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Reserved => "reserved",
            Self::Idle => "idle",
            Self::Unattributed => "unattributed",
        }
    }
}

/// One row for a device.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceRow {
    /// The device.
    pub device: Device,
    /// How its energy is known.
    pub method: Method,
    /// The meter or the model, with its version.
    pub model: Text,
    /// Energy since `start`.
    pub energy: MicroJoules,
    /// Mean power of the last window.
    pub power: Watts,
    /// How wrong the energy may be.
    pub uncertainty: Uncertainty,
    /// From when it counts.
    pub start: Timestamp,
    /// It had a part in the last window.
    is_current: bool,
}

/// One row for a workload on one kind of device in one state.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkloadRow {
    /// The kind of device.
    pub kind: DeviceKind,
    /// The workload.
    pub workload: Arc<Workload>,
    /// What its energy was doing.
    pub state: EnergyState,
    /// How it is known.
    pub method: Method,
    /// Energy since `start`.
    pub energy: MicroJoules,
    /// Operational carbon since `start`.
    pub carbon: Nanograms,
    /// Electricity since `start`.
    pub cost: NanoUsd,
    /// Energy of the last window.
    pub last: MicroJoules,
    /// From when it counts.
    pub start: Timestamp,
    moved: Instant,
}

type RowKey = (DeviceKind, Arc<Workload>, EnergyState, Method);

/// The books of one machine.
#[derive(Clone, Debug, Default)]
pub struct HostBooks {
    max_workloads: usize,
    retention: Seconds,
    /// A device that changes its meter or its model begins another row: what a series says of itself never changes.
    devices: BTreeMap<(Device, Method, Text), DeviceRow>,
    rows: BTreeMap<RowKey, WorkloadRow>,
    retired: BTreeMap<DeviceKind, Retired>,
    floors: Vec<Idle>,
    own: MicroJoules,
    costed: bool,
    opened: Option<Timestamp>,
    settled: Option<Period>,
    elapsed: Seconds,
    closed_by_input: Option<Uncertainty>,
    subjects: BTreeMap<Arc<Workload>, Arc<Subject>>,
}

/// A window that is closed: its two ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) opened: Tick,
    pub(super) closed: Tick,
}

/// What rows held that are gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Retired {
    energy: MicroJoules,
    carbon: Nanograms,
    cost: NanoUsd,
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
        self.costed |= rates.electricity.is_some();
        self.book_devices(settlement, window);
        let (carbon, cost) = meaning(&settlement.bookings, rates);
        for row in self.rows.values_mut() {
            row.last = MicroJoules::ZERO;
        }
        for ((booking, carbon), cost) in settlement.bookings.iter().zip(carbon).zip(cost) {
            self.book_workload(booking, carbon, cost, window);
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

    fn book_workload(&mut self, booking: &Booking, carbon: Nanograms, cost: NanoUsd, window: Window) {
        let workload = self.seat(&booking.workload);
        let key = (booking.kind, Arc::clone(&workload), booking.state, booking.method);
        let row = self.rows.entry(key).or_insert_with(|| WorkloadRow {
            kind: booking.kind,
            workload,
            state: booking.state,
            method: booking.method,
            energy: MicroJoules::ZERO,
            carbon: Nanograms::ZERO,
            cost: NanoUsd::ZERO,
            last: MicroJoules::ZERO,
            start: booking.since.unwrap_or(window.opened.wall).min(window.opened.wall),
            moved: window.closed.at,
        });
        row.energy += booking.energy;
        row.carbon += carbon;
        row.cost += cost;
        row.last += booking.energy;
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
        let retired = &mut self.retired;
        let retention = self.retention;
        self.rows.retain(|_, row| {
            let keep = now.since(row.moved) <= retention || stays(&row.workload);
            if !keep {
                let retired = retired.entry(row.kind).or_default();
                retired.energy += row.energy;
                retired.carbon += row.carbon;
                retired.cost += row.cost;
            }
            keep
        });
        let seated: BTreeSet<&Workload> = self.rows.values().map(|row| &*row.workload).collect();
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

    /// Energy of workloads of `kind` whose series ended.
    pub fn retired(&self, kind: DeviceKind) -> MicroJoules {
        self.retired.get(&kind).map_or(MicroJoules::ZERO, |retired| retired.energy)
    }

    /// The agent's own energy, told again from its workload's.
    pub fn own(&self) -> MicroJoules {
        self.own
    }

    /// The machine's energy: the sum of its devices'.
    pub fn energy(&self) -> MicroJoules {
        self.devices.values().map(|row| row.energy).sum()
    }

    /// The machine's operational carbon: the sum of its workloads'.
    pub fn carbon(&self) -> Nanograms {
        self.rows.values().map(|row| row.carbon).chain(self.retired.values().map(|row| row.carbon)).sum()
    }

    /// The machine's electricity cost: the sum of its workloads'.
    pub fn cost(&self) -> NanoUsd {
        self.rows.values().map(|row| row.cost).chain(self.retired.values().map(|row| row.cost)).sum()
    }

    /// Whether electricity has had a price.
    pub fn costed(&self) -> bool {
        self.costed
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

    /// Every figure on the books at `now`, under the machine's `host_id`.
    pub(super) fn samples(&self, host_id: &Text, rates: &Rates, now: Timestamp) -> Vec<Sample> {
        let (Some(opened), Some(settled)) = (self.opened, self.settled) else { return Vec::new() };
        let mut samples = Vec::with_capacity(self.rows.len() * 3 + 32);
        self.host_samples(host_id, rates, Period { start: opened.min(now), at: now }, &mut samples);
        self.device_samples(Period { start: settled.start.min(now), at: now }, &mut samples);
        self.retired_samples(Period { start: opened.min(now), at: now }, &mut samples);
        self.workload_samples(now, &mut samples);
        samples
    }

    fn host_samples(&self, host_id: &Text, rates: &Rates, period: Period, samples: &mut Vec<Sample>) {
        let host = Arc::new(Subject::Host);
        let method = self.method();
        let labels =
            || vec![Attribute::new(key::HW_ID, host_id.clone()), Attribute::new(key::ENERGY_METHOD, method.as_str())];
        let with = |name, value: &'static str| {
            let mut attributes = labels();
            attributes.push(Attribute::new(name, value));
            attributes
        };
        // What was drawn before the books opened is on some device rows: the earliest start is the machine's.
        let start = self.devices.values().map(|row| row.start).min().unwrap_or(period.start).min(period.start);
        let period = Period { start, ..period };
        let power: Watts = self.devices.values().map(|row| row.power).sum();
        samples.push(metrics::HOST_ENERGY.sample(&host, labels(), period, self.energy().quantity()));
        samples.push(metrics::HOST_POWER.sample(&host, labels(), period, power));
        let operational = with(key::CARBON_KIND, "operational");
        samples.push(metrics::HOST_CARBON.sample(&host, operational, period, self.carbon().quantity()));
        if self.costed {
            let electricity = with(key::COST_KIND, "electricity");
            samples.push(metrics::HOST_COST.sample(&host, electricity, period, self.cost().quantity()));
        }
        let energy = self.uncertainty();
        for (quantity, uncertainty) in [("energy", energy), ("carbon", energy.times(rates.carbon_uncertainty))] {
            let attributes =
                vec![Attribute::new(key::UNCERTAINTY_QUANTITY, quantity), Attribute::new(key::HW_ID, host_id.clone())];
            samples.push(metrics::UNCERTAINTY.sample(&host, attributes, period, Ratio::new(uncertainty.factor())));
        }
        let wattline = Arc::new(Subject::Wattline);
        let own = vec![Attribute::new(key::ENERGY_METHOD, method.split().as_str())];
        samples.push(metrics::WATTLINE_ENERGY.sample(&wattline, own, period, self.own.quantity()));
        samples.push(metrics::WATTLINE_SERIES.sample(
            &wattline,
            Vec::new(),
            period,
            Count::new(self.rows.len() as f64),
        ));
    }

    /// `window` is the last one: what gauges tell of.
    fn device_samples(&self, window: Period, samples: &mut Vec<Sample>) {
        for row in self.devices.values() {
            let subject = Arc::new(Subject::Device(row.device.clone()));
            let labels = || {
                vec![
                    Attribute::new(key::ENERGY_METHOD, row.method.as_str()),
                    Attribute::new(key::ENERGY_MODEL, row.model.clone()),
                ]
            };
            let period = Period { start: row.start.min(window.at), at: window.at };
            samples.push(metrics::HW_ENERGY.sample(&subject, labels(), period, row.energy.quantity()));
            samples.push(metrics::HW_POWER.sample(&subject, labels(), window, row.power));
            let quantity = vec![Attribute::new(key::UNCERTAINTY_QUANTITY, "energy")];
            let factor = Ratio::new(row.uncertainty.factor());
            if !row.is_current {
                // The device has another row now, and it is told of once.
                continue;
            }
            samples.push(metrics::UNCERTAINTY.sample(&subject, quantity, window, factor));
        }
        for floor in &self.floors {
            let subject = Arc::new(Subject::Device(floor.device.clone()));
            let method = vec![Attribute::new(key::ENERGY_METHOD, floor.method.as_str())];
            samples.push(metrics::HW_IDLE_POWER.sample(&subject, method, window, floor.power));
        }
    }

    fn retired_samples(&self, period: Period, samples: &mut Vec<Sample>) {
        let host = Arc::new(Subject::Host);
        for (kind, retired) in &self.retired {
            let labels = vec![Attribute::new(key::HW_TYPE, kind.as_str())];
            samples.push(metrics::RETIRED_ENERGY.sample(&host, labels.clone(), period, retired.energy.quantity()));
            samples.push(metrics::RETIRED_CARBON.sample(&host, labels.clone(), period, retired.carbon.quantity()));
            if self.costed {
                samples.push(metrics::RETIRED_COST.sample(&host, labels, period, retired.cost.quantity()));
            }
        }
    }

    fn workload_samples(&self, at: Timestamp, samples: &mut Vec<Sample>) {
        for row in self.rows.values() {
            let Some(subject) = self.subjects.get(&row.workload) else { continue };
            let labels = |extra: Option<(&'static str, &'static str)>| {
                let mut attributes = Vec::with_capacity(4);
                attributes.push(Attribute::new(key::HW_TYPE, row.kind.as_str()));
                attributes.push(Attribute::new(key::ENERGY_STATE, row.state.as_str()));
                attributes.push(Attribute::new(key::ENERGY_METHOD, row.method.as_str()));
                attributes.extend(extra.map(|(name, value)| Attribute::new(name, value)));
                attributes
            };
            let period = Period { start: row.start.min(at), at };
            samples.push(metrics::WORKLOAD_ENERGY.sample(subject, labels(None), period, row.energy.quantity()));
            let operational = labels(Some((key::CARBON_KIND, "operational")));
            samples.push(metrics::WORKLOAD_CARBON.sample(subject, operational, period, row.carbon.quantity()));
            if self.costed {
                let electricity = labels(Some((key::COST_KIND, "electricity")));
                samples.push(metrics::WORKLOAD_COST.sample(subject, electricity, period, row.cost.quantity()));
            }
        }
    }
}

/// Carbon and cost of each booking. The whole window is converted once and then split, so that the parts add up.
fn meaning(bookings: &[Booking], rates: &Rates) -> (Vec<Nanograms>, Vec<NanoUsd>) {
    let energy: MicroJoules = bookings.iter().map(|booking| booking.energy).sum();
    let facility: Joules = energy.quantity() * rates.pue.get();
    let weights: Vec<u64> = bookings.iter().map(|booking| booking.energy.get()).collect();
    let carbon = Nanograms::round(facility * rates.intensity);
    let cost = rates.electricity.map_or(NanoUsd::ZERO, |price| NanoUsd::round(facility * price));
    (
        carbon.split(&weights).unwrap_or_else(|| vec![Nanograms::ZERO; weights.len()]),
        cost.split(&weights).unwrap_or_else(|| vec![NanoUsd::ZERO; weights.len()]),
    )
}
