//! The books as figures: every row becomes samples, with its true start.

use std::sync::Arc;

use wattline_core::attribute::{Attribute, Text, key};
use wattline_core::sample::Period;
use wattline_core::{
    Count, Method, Microliters, NanoUsd, Nanograms, Ratio, Sample, Subject, Timestamp, Uncertainty, Watts, metrics,
};

use super::{HeldRow, HostBooks, Meaning, Retired};

/// A name and a word of the program.
type Label = (&'static str, &'static str);

const OPERATIONAL: Label = (key::CARBON_KIND, "operational");
const EMBODIED: Label = (key::CARBON_KIND, "embodied");
const ELECTRICITY: Label = (key::COST_KIND, "electricity");
const INSTANCE: Label = (key::COST_KIND, "instance");
const SITE: Label = (key::WATER_KIND, "site");
const GRID: Label = (key::WATER_KIND, "grid");

impl HostBooks {
    /// Every figure on the books at `now`, under the machine's `host_id`.
    pub(in crate::host) fn samples(&self, host_id: &Text, now: Timestamp) -> Vec<Sample> {
        let (Some(opened), Some(settled)) = (self.opened, self.settled) else { return Vec::new() };
        let mut samples = Vec::with_capacity((self.rows.len() + self.held.len()) * 3 + 48);
        let opened = Period { start: opened.min(now), at: now };
        // What was drawn before the books opened is on some device rows: the earliest start is the machine's.
        let drawn = self.devices.values().map(|row| row.start).min().unwrap_or(opened.start).min(opened.start);
        self.host_samples(host_id, Period { start: drawn, at: now }, opened, &mut samples);
        self.uncertainty_samples(host_id, opened, &mut samples);
        self.own_samples(opened, &mut samples);
        self.device_samples(Period { start: settled.start.min(now), at: now }, &mut samples);
        self.retired_samples(opened, &mut samples);
        self.workload_samples(now, &mut samples);
        self.held_samples(now, &mut samples);
        samples
    }

    /// What the machine drew, since `drawn`, and what it cost to hold, since the books `opened`.
    fn host_samples(&self, host_id: &Text, drawn: Period, opened: Period, samples: &mut Vec<Sample>) {
        let host = Arc::new(Subject::Host);
        let id = || Attribute::new(key::HW_ID, host_id.clone());
        let plain = || vec![id(), method(self.method())];
        let labels = |kind| vec![id(), method(self.method()), label(kind)];
        let power: Watts = self.devices.values().map(|row| row.power).sum();
        samples.push(metrics::HOST_ENERGY.sample(&host, plain(), drawn, self.energy().quantity()));
        samples.push(metrics::HOST_POWER.sample(&host, plain(), drawn, power));
        let Meaning { operational, embodied, electricity, rent, market, water_site, water_grid } = self.meaning;
        samples.push(metrics::HOST_CARBON.sample(&host, labels(OPERATIONAL), drawn, operational.quantity()));
        samples.extend(embodied.map(|carbon| {
            let labels = vec![id(), method(HeldRow::EMBODIED_METHOD), label(EMBODIED)];
            metrics::HOST_CARBON.sample(&host, labels, opened, carbon.quantity())
        }));
        samples.extend(
            electricity.map(|cost| metrics::HOST_COST.sample(&host, labels(ELECTRICITY), drawn, cost.quantity())),
        );
        samples.extend(rent.map(|cost| {
            let labels = vec![id(), method(HeldRow::RENT_METHOD), label(INSTANCE)];
            metrics::HOST_COST.sample(&host, labels, opened, cost.quantity())
        }));
        let market = market.map(Nanograms::quantity);
        samples.extend(market.map(|carbon| metrics::HOST_CARBON_MARKET.sample(&host, plain(), drawn, carbon)));
        for (kind, water) in [(SITE, water_site), (GRID, water_grid)] {
            let water = water.map(Microliters::quantity);
            samples.extend(water.map(|water| metrics::HOST_WATER.sample(&host, labels(kind), drawn, water)));
        }
    }

    fn uncertainty_samples(&self, host_id: &Text, period: Period, samples: &mut Vec<Sample>) {
        let host = Arc::new(Subject::Host);
        let embodied = self.meaning.embodied.map(|_| ("carbon.embodied", self.embodied_uncertainty()));
        let drawn = [("energy", self.uncertainty()), ("carbon", self.operational_uncertainty())];
        for (quantity, uncertainty) in drawn.into_iter().chain(embodied) {
            let labels =
                vec![label((key::UNCERTAINTY_QUANTITY, quantity)), Attribute::new(key::HW_ID, host_id.clone())];
            samples.push(metrics::UNCERTAINTY.sample(&host, labels, period, factor(uncertainty)));
        }
    }

    fn own_samples(&self, period: Period, samples: &mut Vec<Sample>) {
        let wattline = Arc::new(Subject::Wattline);
        let own = vec![method(self.method().split())];
        samples.push(metrics::WATTLINE_ENERGY.sample(&wattline, own, period, self.own.quantity()));
        let series = Count::new((self.rows.len() + self.held.len()) as f64);
        samples.push(metrics::WATTLINE_SERIES.sample(&wattline, Vec::new(), period, series));
    }

    /// `window` is the last one: what gauges tell of.
    fn device_samples(&self, window: Period, samples: &mut Vec<Sample>) {
        for row in self.devices.values() {
            let subject = Arc::new(Subject::Device(row.device.clone()));
            let labels = || vec![method(row.method), Attribute::new(key::ENERGY_MODEL, row.model.clone())];
            let period = Period { start: row.start.min(window.at), at: window.at };
            samples.push(metrics::HW_ENERGY.sample(&subject, labels(), period, row.energy.quantity()));
            samples.push(metrics::HW_POWER.sample(&subject, labels(), window, row.power));
            if !row.is_current {
                // The device has another row now, and it is told of once.
                continue;
            }
            let quantity = vec![label((key::UNCERTAINTY_QUANTITY, "energy"))];
            samples.push(metrics::UNCERTAINTY.sample(&subject, quantity, window, factor(row.uncertainty)));
        }
        for floor in &self.floors {
            let subject = Arc::new(Subject::Device(floor.device.clone()));
            let labels = floor.state.map(|state| label((key::ENERGY_STATE, state.as_str())));
            let labels = labels.into_iter().chain([method(floor.method)]).collect();
            samples.push(metrics::HW_IDLE_POWER.sample(&subject, labels, window, floor.power));
        }
    }

    fn retired_samples(&self, period: Period, samples: &mut Vec<Sample>) {
        let host = Arc::new(Subject::Host);
        for ((kind, id), Retired { energy, operational, embodied, electricity, rent }) in &self.retired {
            let labels = |told: Option<Label>| {
                let labels = told.into_iter().chain([(key::HW_TYPE, kind.as_str())]).map(label);
                labels.chain(device(id.as_ref())).collect::<Vec<_>>()
            };
            samples.push(metrics::RETIRED_ENERGY.sample(&host, labels(None), period, energy.quantity()));
            for (told, carbon) in self.told_carbon(*operational, *embodied) {
                samples.push(metrics::RETIRED_CARBON.sample(&host, labels(Some(told)), period, carbon.quantity()));
            }
            for (told, cost) in self.told_cost(*electricity, *rent) {
                samples.push(metrics::RETIRED_COST.sample(&host, labels(Some(told)), period, cost.quantity()));
            }
        }
    }

    fn workload_samples(&self, at: Timestamp, samples: &mut Vec<Sample>) {
        for row in self.rows.values() {
            let Some(subject) = self.subjects.get(&row.workload) else { continue };
            let labels = |extra: Option<Label>| {
                let mut attributes = Vec::with_capacity(5);
                attributes.push(label((key::HW_TYPE, row.kind.as_str())));
                attributes.extend(device(row.id.as_ref()));
                attributes.push(label((key::ENERGY_STATE, row.state.as_str())));
                attributes.push(method(row.method));
                attributes.extend(extra.map(label));
                attributes
            };
            let period = Period { start: row.start.min(at), at };
            samples.push(metrics::WORKLOAD_ENERGY.sample(subject, labels(None), period, row.energy.quantity()));
            let carbon = row.operational.quantity();
            samples.push(metrics::WORKLOAD_CARBON.sample(subject, labels(Some(OPERATIONAL)), period, carbon));
            if self.meaning.electricity.is_some() {
                let cost = row.electricity.quantity();
                samples.push(metrics::WORKLOAD_COST.sample(subject, labels(Some(ELECTRICITY)), period, cost));
            }
        }
    }

    fn held_samples(&self, at: Timestamp, samples: &mut Vec<Sample>) {
        for row in self.held.values() {
            let Some(subject) = self.subjects.get(&row.workload) else { continue };
            let labels = |how, kind| {
                let (device, state) = ((key::HW_TYPE, row.kind.as_str()), (key::ENERGY_STATE, row.state.as_str()));
                vec![label(device), label(state), method(how), label(kind)]
            };
            let period = Period { start: row.start.min(at), at };
            if self.meaning.embodied.is_some() {
                let labels = labels(HeldRow::EMBODIED_METHOD, EMBODIED);
                samples.push(metrics::WORKLOAD_CARBON.sample(subject, labels, period, row.embodied.quantity()));
            }
            if self.meaning.rent.is_some() {
                let labels = labels(HeldRow::RENT_METHOD, INSTANCE);
                samples.push(metrics::WORKLOAD_COST.sample(subject, labels, period, row.rent.quantity()));
            }
        }
    }

    /// The kinds of carbon that the machine has had at all, so that a sum over series never lacks one.
    fn told_carbon(&self, operational: Nanograms, embodied: Nanograms) -> impl Iterator<Item = (Label, Nanograms)> {
        let embodied = self.meaning.embodied.map(|_| (EMBODIED, embodied));
        [(OPERATIONAL, operational)].into_iter().chain(embodied)
    }

    fn told_cost(&self, electricity: NanoUsd, rent: NanoUsd) -> impl Iterator<Item = (Label, NanoUsd)> {
        let electricity = self.meaning.electricity.map(|_| (ELECTRICITY, electricity));
        electricity.into_iter().chain(self.meaning.rent.map(|_| (INSTANCE, rent)))
    }
}

fn label((name, value): Label) -> Attribute {
    Attribute::new(name, value)
}

fn device(id: Option<&Text>) -> Option<Attribute> {
    id.map(|id| Attribute::new(key::HW_ID, id.clone()))
}

fn method(method: Method) -> Attribute {
    label((key::ENERGY_METHOD, method.as_str()))
}

fn factor(uncertainty: Uncertainty) -> Ratio {
    Ratio::new(uncertainty.factor())
}
