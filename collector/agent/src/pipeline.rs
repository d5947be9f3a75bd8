//! The sole owner of all state: readings go in, snapshots come out.
//!
//! A plain struct. Production, replay and tests run the same code, and time is part of what goes in.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wattline_core::attribute::{Attribute, key};
use wattline_core::reading::{Inference, Progress, SourceHealth, SourceState};
use wattline_core::sample::Period;
use wattline_core::subject::InferenceKey;
use wattline_core::{
    Count, Instant, Inventory, Ratio, Reading, Readings, Sample, Seconds, Snapshot, Subject, Text, Tick, Timestamp,
    metrics,
};
use wattline_model::accelerators::Accelerators;
use wattline_model::cost::UnitPrices;
use wattline_model::grid::Grid;
use wattline_model::host::{HostModel, Rates, RawCounter, SavedBooks, Settings};
use wattline_model::inference::agentcore::{HostedBooks, HostingContext, SavedHosted};
use wattline_model::inference::ecologits::InputWeights;
use wattline_model::inference::{
    self, AccountSums, AgentBooks, Conventions, EngineBooks, EngineRates, InferenceBooks, LocalAddresses, SavedAgents,
    SavedEngines, SavedInferences, TokenPrices, TokenSums, Twins,
};
use wattline_probe_llm::engines;

use crate::config::{self, Config};
use crate::meaning::Meaning;
use crate::role::Role;
use crate::{identity, report, telemetry};

/// The service and the operation of calls that only an account's metrics tell of.
const UNSEEN: &str = "unseen";

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
    agents: SavedAgents,
    #[serde(default)]
    hosted: SavedHosted,
    /// How far each source has read: its last step that is on these books.
    #[serde(default)]
    progress: BTreeMap<String, u64>,
    #[serde(default)]
    engines: SavedEngines,
    #[serde(default)]
    account: Option<AccountSums>,
}

/// All state.
#[derive(Debug)]
pub struct Pipeline {
    role: Role,
    /// Where the books are kept.
    state: PathBuf,
    own_pid: Option<u32>,
    host: HostModel,
    accelerators: Accelerators,
    /// Calls that wait for another account of theirs.
    twins: Twins,
    /// Tokens that only metrics of applications tell of.
    sums: TokenSums,
    /// Tokens that only an account's metrics tell of, where these are read.
    account: Option<AccountSums>,
    inference: InferenceBooks,
    agents: AgentBooks,
    hosted: HostedBooks,
    agent_vcpus: BTreeMap<String, f64>,
    unit_prices: UnitPrices,
    progress: BTreeMap<String, u64>,
    /// Steps of sources with calls that still wait, each with the number of the call behind its last.
    waiting_progress: VecDeque<(u64, Progress)>,
    conventions: Conventions,
    engines: EngineBooks,
    local: LocalAddresses,
    prices: TokenPrices,
    /// What tokens of input count for in the energy of remote calls.
    weights: InputWeights,
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
            accelerators: Accelerators::new(window(config)),
            twins: Twins::default(),
            sums: TokenSums::default(),
            account: config.probes.bedrock.metrics.enabled.then(AccountSums::default),
            inference: InferenceBooks::default(),
            agents: AgentBooks::default(),
            hosted: HostedBooks::default(),
            agent_vcpus: config.probes.bedrock.agent_vcpus.clone(),
            unit_prices: config.cost.lists.units.clone(),
            progress: BTreeMap::new(),
            waiting_progress: VecDeque::new(),
            conventions: config.inference.conventions(),
            engines: EngineBooks::default(),
            local: LocalAddresses::new(config.probes.local_engines.iter().cloned()),
            prices: TokenPrices::new(config.cost.lists.tokens.clone()),
            weights: config.inference.weights(),
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
        Saved {
            counters,
            host: self.host.books().save(),
            inference: self.inference.save(),
            agents: self.agents.save(),
            hosted: self.hosted.save(),
            engines: self.engines.save(),
            progress: self.progress.clone(),
            account: self.account.clone(),
        }
    }

    /// Goes on with the books of an earlier agent on this machine, at `now`. Its raw counters are of this boot, or not
    /// here.
    pub fn restore(&mut self, saved: Saved, now: Instant) {
        let Saved { counters, host, inference, agents, hosted, engines, progress, account } = saved;
        self.host.restore(host, now);
        self.host.resume(&counters);
        self.inference = InferenceBooks::restored(inference);
        self.agents = AgentBooks::restored(agents);
        self.hosted = HostedBooks::restored(hosted);
        self.engines = EngineBooks::restored(engines);
        self.progress = progress;
        if let (Some(own), Some(account)) = (&mut self.account, account) {
            *own = account;
        }
    }

    /// Takes over how far sources have read, where the books themselves begin anew: what they read is in the reports.
    pub fn resume(&mut self, progress: BTreeMap<String, u64>) {
        self.progress = progress;
    }

    /// Up to when an account's metrics are on the books; zero where none were read.
    pub fn account_told_until(&self) -> Timestamp {
        self.account.as_ref().map_or(Timestamp::default(), AccountSums::told_until)
    }

    /// The last step of a source that is on the books.
    pub fn progress(&self, source: &str) -> u64 {
        self.progress.get(source).copied().unwrap_or(0)
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
        // The kinds of tokens of the same calls come together, and only together do they have a price.
        let mut sums: BTreeMap<&InferenceKey, inference::More> = BTreeMap::new();
        for item in &readings.items {
            if let Reading::Tokens(sum) = item {
                if let Some(more) = self.sums.take(sum) {
                    *sums.entry(&sum.key).or_default() += more;
                }
            } else {
                about_host |= self.take(item, readings.tick);
            }
        }
        for (key, more) in sums {
            self.book_sum(key, &more, readings.tick.wall);
            if let Some(account) = &mut self.account {
                account.note_sum(&key.provider, &key.model, readings.tick.wall, &more);
            }
        }
        self.elapse(readings.tick);
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
        self.measure_engines(readings.tick);
        if self.host.books().settled_at() != settled {
            News::Settled
        } else if is_first {
            News::Opened
        } else {
            News::Gathered
        }
    }

    /// Tells engines what their accelerators drew.
    fn measure_engines(&mut self, tick: Tick) {
        let held = self.host.take_held();
        if !held.is_empty() {
            let rates = engine_rates(self.meaning.at(tick.wall));
            self.engines.measure(&held, tick, &rates);
        }
    }

    /// Takes what is accounted for by itself. True for what is about the machine, which belongs to the rest of its batch.
    fn take(&mut self, item: &Reading, tick: Tick) -> bool {
        match item {
            Reading::Inventory(inventory) => self.describe(inventory),
            Reading::Inference(call) => {
                self.sums.note(&call.key.service);
                if let Some(call) = self.twins.take(call.clone(), tick.at) {
                    self.book(&call, tick.wall);
                }
            }
            Reading::Activity(activity) => self.agents.take(activity.clone(), tick),
            Reading::AgentUsage(usage) => self
                .hosted
                .book(usage, &HostingContext { now: tick.wall, prices: &self.unit_prices, vcpus: &self.agent_vcpus }),
            Reading::Account(told) => {
                let unseen = self.account.as_mut().map(|account| account.take(told)).unwrap_or_default();
                for (model, more) in unseen {
                    self.book_unseen(model, &more, tick.wall);
                }
            }
            Reading::Progress(progress) => {
                self.waiting_progress.push_back((self.twins.taken(), progress.clone()));
            }
            Reading::Engine(engine) => {
                let rates = engine_rates(self.meaning.at(tick.wall));
                self.engines.book(engine, tick, &rates);
            }
            Reading::Accelerator(reading) => {
                self.host.take_board(reading, tick);
                self.accelerators.take(reading, tick);
            }
            Reading::Intensity(reading) => {
                self.meaning.take(reading, tick.wall);
            }
            Reading::Health(health) => self.note(health.clone()),
            _ => return true,
        }
        false
    }

    /// Books the calls and the runs of agents that have waited long enough for what belongs to them. True if there were
    /// any.
    pub fn elapse(&mut self, tick: Tick) -> bool {
        let mut has_news = false;
        while let Some(call) = self.twins.due(tick.at) {
            self.book(&call, tick.wall);
            has_news = true;
        }
        self.advance();
        self.agents.settle(tick.at) || has_news
    }

    /// Takes the steps of sources as done of which no call waits any more.
    fn advance(&mut self) {
        let decided = self.twins.decided();
        while let Some((_, progress)) = self.waiting_progress.pop_front_if(|(number, _)| *number <= decided) {
            self.progress.insert(progress.source.as_str().to_owned(), progress.step);
        }
    }

    fn book(&mut self, call: &Inference, now: Timestamp) {
        let (local, prices, weights) = (&self.local, &self.prices, self.weights);
        let context = inference::Context { now, grid: Grid::builtin(), local, prices, weights };
        self.inference.book(call, &context);
        self.agents.note(call);
        if let Some(account) = &mut self.account {
            account.note(call);
        }
    }

    /// Books calls that only the account's metrics tell of.
    fn book_unseen(&mut self, model: Text, more: &inference::More, now: Timestamp) {
        let key = InferenceKey {
            model,
            provider: Text::Static("aws.bedrock"),
            service: Text::Static(UNSEEN),
            agent: None,
            operation: Text::Static(UNSEEN),
        };
        self.book_sum(&key, more, now);
    }

    fn book_sum(&mut self, key: &InferenceKey, more: &inference::More, now: Timestamp) {
        let (local, prices, weights) = (&self.local, &self.prices, self.weights);
        let context = inference::Context { now, grid: Grid::builtin(), local, prices, weights };
        self.inference.book_sum(key, more, &context);
    }

    /// Closes the open window, however short, and books what waits. False when there was no window.
    pub fn settle_now(&mut self, now: Timestamp) -> bool {
        while let Some(call) = self.twins.release() {
            self.book(&call, now);
        }
        self.advance();
        self.agents.settle_now();
        let settled = self.host.books().settled_at();
        self.host.settle_now();
        self.host.books().settled_at() != settled
    }

    /// Readings about the machine that were not newer than the last, and so were not taken.
    pub const fn stale(&self) -> u64 {
        self.stale
    }

    /// Sums of tokens by metrics of applications and accounts that were not followed, because there are too many series.
    pub fn unfollowed(&self) -> u64 {
        self.sums.left_out().saturating_add(self.account.as_ref().map_or(0, AccountSums::left_out))
    }

    /// Calls of language models that stand under `other`, because there are too many keys.
    pub const fn folded(&self) -> u64 {
        self.inference.folded().saturating_add(self.hosted.folded())
    }

    /// Whether a snapshot has every series on the books. Those of the machine that an earlier agent has left are told
    /// when a window was settled, and where the machine is measured.
    pub fn tells_all(&self) -> bool {
        let books = self.host.books();
        books.opened_at().is_none() || (self.role.measures() && books.settled_at().is_some())
    }

    /// Readings of inference engines that are not on the books, because there are too many.
    pub const fn engines_refused(&self) -> u64 {
        self.engines.refused()
    }

    /// All figures as they stand, with `own` telling about the agent itself.
    pub fn snapshot(&self, tick: Tick, own: &[Sample]) -> Snapshot {
        let mut samples = self.inference.samples(tick.wall, self.conventions);
        samples.extend(self.agents.samples(tick.wall));
        samples.extend(self.hosted.samples(tick.wall));
        samples.extend(self.engines.samples(tick));
        if self.role.measures() {
            samples.extend(self.host.samples(tick.wall));
            samples.extend(self.accelerators.samples(tick));
            self.meaning.samples(self.started.unwrap_or(tick.wall), tick.wall, &mut samples);
        }
        self.health_samples(tick, &mut samples);
        self.twin_samples(tick, &mut samples);
        samples.extend_from_slice(own);
        samples.extend(telemetry::own_use(tick, self.started.unwrap_or(tick.wall)));
        Snapshot { tick, resource: identity::resource(self.host.inventory(), self.role, &self.state), samples }
    }

    /// Takes over a new configuration. Books stay.
    pub fn reconfigure(&mut self, config: &Config) {
        self.host.reconfigure(settings(config, self.own_pid));
        self.accelerators.reconfigure(window(config));
        self.local = LocalAddresses::new(config.probes.local_engines.iter().cloned());
        self.prices = TokenPrices::new(config.cost.lists.tokens.clone());
        self.weights = config.inference.weights();
        self.inference.forget_kinds();
        self.conventions = config.inference.conventions();
        self.agent_vcpus = config.probes.bedrock.agent_vcpus.clone();
        let account = self.account.take();
        self.account = config.probes.bedrock.metrics.enabled.then(|| account.unwrap_or_default());
        self.unit_prices = config.cost.lists.units.clone();
        self.machine = config.machine.clone();
        if self.meaning.reconfigure(config) {
            // Another provider of live intensity, or none: what was said of the one before is over.
            self.health.remove(wattline_probe_intensity::NAME);
        }
        if !config.probes.engines.is_on() {
            self.health.remove(engines::NAME);
        }
        if config.probes.nvidia.mode == wattline_probe_nvidia::Mode::Never {
            for part in [wattline_probe_nvidia::NAME, wattline_probe_nvidia::PROCESSES] {
                self.health.remove(part);
            }
        }
        self.settle_machine();
        self.host.change_rates(self.meaning.rates().clone());
    }

    /// Calls of language models so far; `None` when there were none.
    pub fn inference_totals(&self) -> Option<report::Inference> {
        let mut totals = report::Inference::default();
        for sample in self.inference.samples(Timestamp::default(), Conventions::Current) {
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

    /// The accelerators.
    pub const fn accelerators(&self) -> &Accelerators {
        &self.accelerators
    }

    /// What each source gives, as last heard.
    pub fn health(&self) -> impl Iterator<Item = &SourceHealth> {
        self.health.values()
    }

    /// What a joule and an hour of this machine mean.
    pub const fn meaning(&self) -> &Meaning {
        &self.meaning
    }

    fn twin_samples(&self, tick: Tick, samples: &mut Vec<Sample>) {
        let period = Period { start: self.started.unwrap_or(tick.wall), at: tick.wall };
        let wattline = Arc::new(Subject::Wattline);
        for (metric, count) in
            [(&metrics::INFERENCE_TWINS, self.twins.found()), (&metrics::INFERENCE_UNAWAITED, self.twins.overflowed())]
        {
            if count > 0 {
                samples.push(metric.sample(&wattline, vec![], period, Count::new(count as f64)));
            }
        }
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

fn engine_rates(rates: &Rates) -> EngineRates {
    EngineRates { intensity: rates.intensity, pue: rates.pue, uncertainty: rates.carbon_uncertainty }
}

fn window(config: &Config) -> Seconds {
    Seconds::new(config.sampling.window.as_secs_f64())
}

fn settings(config: &Config, own_pid: Option<u32>) -> Settings {
    Settings {
        window: window(config),
        max_workloads: config.limits.workloads,
        retention: Seconds::new(config.limits.retention.as_secs_f64()),
        own_pid,
    }
}
