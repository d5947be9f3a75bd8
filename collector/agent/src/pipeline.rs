//! The sole owner of all state: readings go in, snapshots come out.
//!
//! A plain struct. Production, replay and tests run the same code, and time is part of what goes in.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wattline_core::attribute::{Attribute, key};
use wattline_core::reading::{SourceHealth, SourceState};
use wattline_core::sample::Period;
use wattline_core::{
    Instant, Inventory, Ratio, Reading, Readings, Sample, Seconds, Snapshot, Subject, Tick, Timestamp, metrics,
};
use wattline_model::grid::Grid;
use wattline_model::host::{HostModel, RawCounter, SavedBooks, Settings};
use wattline_model::inference::{
    self, EngineBooks, EngineRates, InferenceBooks, LocalAddresses, SavedEngines, SavedInferences, TokenPrices,
};

use wattline_probe_llm::engines;

use crate::config::{self, Config};
use crate::meaning::Meaning;
use crate::role::Role;
use crate::{identity, report, telemetry};

/// What became of readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// They are in the open window, or on the books of language model calls.
    Gathered,
    /// They were the first about this machine.
    Opened,
    /// They settled a window.
    Settled,
}

/// The books and the raw counters that they stand on, as of the last settlement.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Saved {
    /// The raw counters.
    pub counters: Vec<RawCounter>,
    host: SavedBooks,
    inference: SavedInferences,
    #[serde(default)]
    engines: SavedEngines,
}

/// All state.
#[derive(Debug)]
pub struct Pipeline {
    role: Role,
    /// Where the books are kept.
    state: PathBuf,
    own_pid: Option<u32>,
    host: HostModel,
    inference: InferenceBooks,
    engines: EngineBooks,
    local: LocalAddresses,
    prices: TokenPrices,
    /// What was found of the machine, without what the configuration says of it.
    found: Arc<Inventory>,
    /// What the configuration says of the machine itself.
    machine: config::Machine,
    meaning: Meaning,
    health: BTreeMap<&'static str, SourceHealth>,
    started: Option<Timestamp>,
    /// The first readings about the machine are in.
    opened: bool,
    stale: u64,
}

impl Pipeline {
    /// Empty books.
    pub fn new(config: &Config, own_pid: Option<u32>) -> Self {
        let mut pipeline = Self {
            role: config.role,
            state: config.state.directory(),
            own_pid,
            host: HostModel::new(settings(config, own_pid)),
            inference: InferenceBooks::default(),
            engines: EngineBooks::default(),
            local: LocalAddresses::new(config.probes.local_engines.iter().cloned()),
            prices: TokenPrices::new(config.cost.lists.tokens.clone()),
            found: Arc::default(),
            machine: config.machine.clone(),
            meaning: Meaning::new(config),
            health: BTreeMap::new(),
            started: None,
            opened: false,
            stale: 0,
        };
        pipeline.describe(&Inventory::default());
        pipeline
    }

    /// What the next agent needs to go on with the books.
    pub fn save(&self) -> Saved {
        let counters = self.host.raw_counters();
        let (host, inference, engines) = (self.host.books().save(), self.inference.save(), self.engines.save());
        Saved { counters, host, inference, engines }
    }

    /// Goes on with the books of an earlier agent on this machine, at `now`. Its raw counters are of this boot, or not
    /// here.
    pub fn restore(&mut self, saved: Saved, now: Instant) {
        let Saved { counters, host, inference, engines } = saved;
        self.host.restore(host, now);
        self.host.resume(&counters);
        self.inference = InferenceBooks::restored(inference);
        self.engines = EngineBooks::restored(engines);
    }

    /// Learns what the machine is. What the cloud has told before stays where `inventory` says nothing of it.
    pub fn describe(&mut self, inventory: &Inventory) {
        self.found = Arc::new(identity::merged(&self.found, inventory));
        self.settle_machine();
        // The machine was what it is all along.
        self.host.correct_rates(self.meaning.rates().clone());
    }

    /// What was found of the machine, without what the configuration says of it.
    pub const fn found(&self) -> &Arc<Inventory> {
        &self.found
    }

    fn settle_machine(&mut self) {
        let inventory = Arc::new(identity::configured(Inventory::clone(&self.found), &self.machine));
        self.host.describe(&inventory);
        self.meaning.describe(&inventory);
    }

    /// Notes how reading a source went.
    pub fn note(&mut self, health: SourceHealth) {
        self.health.insert(health.part, health);
    }

    /// Takes what a source saw.
    pub fn ingest(&mut self, readings: &Readings) -> News {
        self.started.get_or_insert(readings.tick.wall);
        let mut about_host = false;
        for item in &readings.items {
            match item {
                Reading::Inventory(inventory) => self.describe(inventory),
                Reading::Inference(call) => {
                    let context = inference::Context {
                        now: readings.tick.wall,
                        grid: Grid::builtin(),
                        local: &self.local,
                        prices: &self.prices,
                    };
                    self.inference.book(call, &context);
                }
                Reading::Engine(engine) => {
                    let rates = self.meaning.at(readings.tick.wall);
                    let rates = EngineRates {
                        intensity: rates.intensity,
                        pue: rates.pue,
                        uncertainty: rates.carbon_uncertainty,
                    };
                    self.engines.book(engine, readings.tick, &rates);
                }
                // Nobody keeps books on them yet.
                Reading::Activity(_) => {}
                Reading::Intensity(reading) => {
                    self.meaning.take(reading, readings.tick.wall);
                }
                Reading::Health(health) => self.note(health.clone()),
                _ => about_host = true,
            }
        }
        if !about_host {
            return News::Gathered;
        }
        let is_first = !std::mem::replace(&mut self.opened, true);
        let settled = self.host.books().settled_at();
        if !self.host.ingest(readings) {
            self.stale += 1;
        }
        // A grid or a price that has changed ends the window here, so that each part has its own rates.
        self.host.change_rates(self.meaning.at(readings.tick.wall).clone());
        if self.host.books().settled_at() != settled {
            News::Settled
        } else if is_first {
            News::Opened
        } else {
            News::Gathered
        }
    }

    /// Closes the open window, however short. False when there was none.
    pub fn settle_now(&mut self) -> bool {
        let settled = self.host.books().settled_at();
        self.host.settle_now();
        self.host.books().settled_at() != settled
    }

    /// Readings about the machine that were not newer than the last, and so were not taken.
    pub const fn stale(&self) -> u64 {
        self.stale
    }

    /// Calls of language models that stand under `other`, because there are too many keys.
    pub const fn folded(&self) -> u64 {
        self.inference.folded()
    }

    /// Readings of inference engines that are not on the books, because there are too many.
    pub const fn engines_refused(&self) -> u64 {
        self.engines.refused()
    }

    /// All figures as they stand, with `own` telling about the agent itself.
    pub fn snapshot(&self, tick: Tick, own: &[Sample]) -> Snapshot {
        let mut samples = self.inference.samples(tick.wall);
        samples.extend(self.engines.samples(tick));
        if self.role.measures() {
            samples.extend(self.host.samples(tick.wall));
            self.meaning.samples(self.started.unwrap_or(tick.wall), tick.wall, &mut samples);
        }
        self.health_samples(tick, &mut samples);
        samples.extend_from_slice(own);
        samples.extend(telemetry::own_use(tick, self.started.unwrap_or(tick.wall)));
        Snapshot { tick, resource: identity::resource(self.host.inventory(), self.role, &self.state), samples }
    }

    /// Takes over a new configuration. Books stay.
    pub fn reconfigure(&mut self, config: &Config) {
        self.host.reconfigure(settings(config, self.own_pid));
        self.local = LocalAddresses::new(config.probes.local_engines.iter().cloned());
        self.prices = TokenPrices::new(config.cost.lists.tokens.clone());
        self.machine = config.machine.clone();
        if self.meaning.reconfigure(config) {
            // Another provider of live intensity, or none: what was said of the one before is over.
            self.health.remove(wattline_probe_intensity::NAME);
        }
        if !config.probes.engines.is_on() {
            self.health.remove(engines::NAME);
        }
        self.settle_machine();
        self.host.change_rates(self.meaning.rates().clone());
    }

    /// Calls of language models so far; `None` when there were none.
    pub fn inference_totals(&self) -> Option<report::Inference> {
        let mut totals = report::Inference::default();
        for sample in self.inference.samples(Timestamp::default()) {
            let value = sample.number().unwrap_or(0.0);
            match sample.metric.name {
                name if name == metrics::INFERENCE_CALLS.descriptor().name => totals.calls += value,
                name if name == metrics::INFERENCE_ENERGY.descriptor().name => totals.energy_j += value,
                name if name == metrics::INFERENCE_CARBON.descriptor().name => totals.carbon_g += value,
                name if name == metrics::INFERENCE_COST.descriptor().name => totals.cost_usd += value,
                _ => {}
            }
        }
        (totals.calls > 0.0).then_some(totals)
    }

    /// The machine.
    pub fn host(&self) -> &HostModel {
        &self.host
    }

    /// What each source gives, as last heard.
    pub fn health(&self) -> impl Iterator<Item = &SourceHealth> {
        self.health.values()
    }

    /// What a joule and an hour of this machine mean.
    pub const fn meaning(&self) -> &Meaning {
        &self.meaning
    }

    fn health_samples(&self, tick: Tick, samples: &mut Vec<Sample>) {
        let period = Period { start: self.started.unwrap_or(tick.wall), at: tick.wall };
        let wattline = Arc::new(Subject::Wattline);
        for health in self.health.values() {
            let up = match health.state {
                SourceState::Up { .. } => 1.0,
                SourceState::Absent { .. } => continue,
                SourceState::Denied { .. } | SourceState::Failed { .. } => 0.0,
            };
            let part = vec![Attribute::new(key::WATTLINE_PROBE, health.part)];
            samples.push(metrics::WATTLINE_PROBE_UP.sample(&wattline, part, period, Ratio::new(up)));
        }
    }
}

fn settings(config: &Config, own_pid: Option<u32>) -> Settings {
    Settings {
        window: Seconds::new(config.sampling.window.as_secs_f64()),
        max_workloads: config.limits.workloads,
        retention: Seconds::new(config.limits.retention.as_secs_f64()),
        own_pid,
    }
}
