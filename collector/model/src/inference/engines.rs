//! Books over inference engines: what grew between two looks at each, and what that took.
//!
//! An engine tells counters since its start. The first look at one tells nothing; every further one books what was added,
//! and one after the engine has started again books nothing. Sums begin with the first look.
//!
//! The energy of an engine whose accelerators are named is what these drew for whoever holds them, as the books of the
//! machine have it: told again by model, with what the engine held while it waited. It is shared by tokens generated where
//! several models are served on one accelerator.
//!
//! Without them the energy of a window is that of its generated tokens, at the batch that was at work. It is booked only
//! where the configuration names the kind of GPU and the table of models knows the model: nobody's GPU is guessed. Spans of
//! calls of one's own engines have no energy on the books, so that nothing stands there twice.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wattline_core::attribute::{Attribute, key};
use wattline_core::reading::{EngineReading, HistogramReading, PhaseClock};
use wattline_core::sample::Period;
use wattline_core::subject::{EngineKey, EngineKind, InferenceKey};
use wattline_core::{
    Count, Counter, ExponentialHistogram, GramsPerKwh, Instant, Joules, Method, Metric, MicroJoules, Nanograms, Ratio,
    Sample, Seconds, Subject, Text, Tick, Timestamp, Tokens, Uncertainty, metrics,
};

use super::place::Origin;
use super::{engine_energy, models};
use crate::host::METER_UNCERTAINTY;

/// The operation that an engine's energy is booked under: it serves whatever is asked of it.
const OPERATION: &str = "serve";

/// What an engine was at work on is told for this long after it was last seen.
const FRESH: Seconds = Seconds::new(150.0);

/// An engine that was not seen for this long has no series any more.
const GONE: Seconds = Seconds::new(3600.0);

/// A window longer than this has no batch that stands for it, and no energy.
const LONGEST_WINDOW: Seconds = Seconds::new(300.0);

/// Uncertainties are summed in millionths.
const MILLION: f64 = 1e6;

/// What a joule at the engine means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EngineRates {
    /// Carbon intensity of the grid,
    pub intensity: GramsPerKwh,
    /// power usage effectiveness of the facility,
    pub pue: Ratio,
    /// and how wrong both together may be.
    pub uncertainty: Uncertainty,
}

/// The books over engines.
#[derive(Debug, Default)]
pub struct EngineBooks {
    engines: BTreeMap<EngineKey, Engine>,
    /// What was modelled.
    energy: BTreeMap<InferenceKey, Drawn>,
    /// What was measured.
    measured: BTreeMap<InferenceKey, Drawn>,
    refused: u64,
}

impl EngineBooks {
    /// Models on engines that are kept apart. Readings of further ones are not booked, and counted.
    pub const MAX_ENGINES: usize = 1000;

    /// Books what was added since the last look.
    pub fn book(&mut self, reading: &EngineReading, tick: Tick, rates: &EngineRates) {
        let is_known = self.engines.contains_key(&reading.engine);
        if !is_known && self.engines.len() >= Self::MAX_ENGINES {
            self.forget(tick.at);
            if self.engines.len() >= Self::MAX_ENGINES {
                self.refused = self.refused.saturating_add(1);
                return;
            }
        }
        let engine = self.engines.entry(reading.engine.clone()).or_insert_with(|| Engine::new(&reading.engine, tick));
        engine.devices.clone_from(&reading.devices);
        engine.service.clone_from(&reading.service);
        let window = engine.book(reading, tick);
        engine.weigh(tick.at);
        // What is measured is not modelled.
        let Some(window) = window.filter(|_| reading.devices.is_empty()) else { return };
        let Some(taken) = taken(reading, &window) else { return };
        let key = key_of(&reading.engine, &reading.service);
        let full = self.energy.len() >= Self::MAX_ENGINES && !self.energy.contains_key(&key);
        if full {
            self.refused = self.refused.saturating_add(1);
            return;
        }
        self.energy.entry(key).or_insert_with(|| Drawn { start: engine.start, ..Drawn::default() }).book(taken, rates);
    }

    /// Books what accelerators drew for those who hold them, to the engines that run on them.
    pub fn measure(&mut self, held: &BTreeMap<Text, MicroJoules>, tick: Tick, rates: &EngineRates) {
        for (device, energy) in held {
            let runs_on = |engine: &Engine| engine.devices.contains(device) && tick.at.since(engine.seen.at) <= FRESH;
            let mut engines: Vec<_> = self.engines.iter_mut().filter(|(_, engine)| runs_on(engine)).collect();
            let weights: Vec<u64> = engines.iter().map(|(_, engine)| engine.generated).collect();
            let parts = energy.split(&weights).or_else(|| energy.split(&vec![1; weights.len()])).unwrap_or_default();
            for ((key, engine), energy) in engines.iter_mut().zip(parts) {
                engine.drawn += energy;
                let key = key_of(key, &engine.service);
                if self.measured.len() < Self::MAX_ENGINES || self.measured.contains_key(&key) {
                    let drawn =
                        self.measured.entry(key).or_insert_with(|| Drawn { start: tick.wall, ..Drawn::default() });
                    drawn.book(Taken { energy, uncertainty: METER_UNCERTAINTY }, rates);
                } else {
                    self.refused = self.refused.saturating_add(1);
                }
            }
        }
    }

    /// Ends the series of engines that are gone. What they took stays.
    fn forget(&mut self, now: Instant) {
        self.engines.retain(|_, engine| now.since(engine.seen.at) <= GONE);
    }

    /// Readings that were not booked, because there are too many engines.
    pub const fn refused(&self) -> u64 {
        self.refused
    }

    /// The energy on the books, for the next agent to go on with. What engines count goes on by itself.
    pub fn save(&self) -> SavedEngines {
        let saved =
            |books: &BTreeMap<InferenceKey, Drawn>| books.iter().map(|(key, drawn)| (key.clone(), *drawn)).collect();
        SavedEngines { energy: saved(&self.energy), measured: saved(&self.measured) }
    }

    /// Books that go on with what an earlier agent saved.
    pub fn restored(saved: SavedEngines) -> Self {
        let SavedEngines { energy, measured } = saved;
        Self { energy: energy.into_iter().collect(), measured: measured.into_iter().collect(), ..Self::default() }
    }

    /// All figures as they stand at `now`.
    pub fn samples(&self, now: Tick) -> Vec<Sample> {
        let mut samples = Vec::new();
        for engine in self.engines.values().filter(|engine| now.at.since(engine.seen.at) <= GONE) {
            engine.samples(now, &mut samples);
        }
        for (books, how) in [(&self.energy, How::MODELLED), (&self.measured, How::MEASURED)] {
            for (key, energy) in books {
                // A key that is measured now has its modelled past beside it, and one figure of how wrong it may be.
                let is_past = how.model.is_some() && self.measured.contains_key(key);
                energy.samples(&Arc::new(Subject::Inference(key.clone())), &how, now.wall, &mut samples);
                if !is_past {
                    energy.errors(&Arc::new(Subject::Inference(key.clone())), now.wall, &mut samples);
                }
            }
        }
        samples
    }
}

/// The books over engines as they are kept over a restart.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SavedEngines {
    energy: Vec<(InferenceKey, Drawn)>,
    #[serde(default)]
    measured: Vec<(InferenceKey, Drawn)>,
}

/// A counter of an engine and what was added to it since the first look.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    counter: Counter,
    /// `None` as long as the engine has no such counter.
    total: Option<u64>,
}

impl Sum {
    /// Takes the counter, and tells what was added; `None` where that is not known.
    fn step(&mut self, raw: Option<u64>, at: Instant) -> Option<u64> {
        let added = self.counter.step(raw?, at, None).delta().map(|(added, _)| added);
        let total = self.total.get_or_insert(0);
        *total = total.saturating_add(added.unwrap_or(0));
        added
    }
}

/// A distribution of an engine: what it showed last, and what was added since the first look.
#[derive(Clone, Debug, Default)]
struct Distribution {
    last: Option<HistogramReading>,
    total: Arc<ExponentialHistogram>,
}

impl Distribution {
    fn step(&mut self, shown: Option<&HistogramReading>) {
        let Some(shown) = shown else { return };
        if let Some(added) = self.last.replace(shown.clone()).and_then(|last| added(&last, shown)) {
            Arc::make_mut(&mut self.total).merge(&added);
        }
    }
}

/// One model on one engine.
#[derive(Debug)]
struct Engine {
    subject: Arc<Subject>,
    start: Timestamp,
    /// It was looked at before.
    is_known: bool,
    seen: Tick,
    input: Sum,
    cached: Sum,
    output: Sum,
    drafted: Sum,
    accepted: Sum,
    preemptions: Sum,
    requests: BTreeMap<Text, Sum>,
    /// Time by whose it is, which another version of an engine may tell otherwise: what is counted on one clock stays
    /// there.
    prefill: BTreeMap<PhaseClock, Sum>,
    decode: BTreeMap<PhaseClock, Sum>,
    first_token: Distribution,
    per_token: Distribution,
    duration: Distribution,
    running: Option<f64>,
    waiting: Option<f64>,
    cache_usage: Option<Ratio>,
    service: Text,
    devices: Vec<Text>,
    /// Tokens generated between the last two looks.
    generated: u64,
    /// What its accelerators drew since the first look.
    drawn: MicroJoules,
    /// Looks of the last minutes: when, the tokens generated and what was drawn until then.
    looks: VecDeque<(Instant, u64, MicroJoules)>,
}

/// What happened between two looks.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Window {
    /// Tokens generated.
    output: u64,
    /// Requests at work on each replica, in the mean of both ends.
    batch: f64,
}

impl Engine {
    /// Reasons that have a series of one engine.
    const MAX_REASONS: usize = 20;

    fn new(key: &EngineKey, tick: Tick) -> Self {
        Self {
            subject: Arc::new(Subject::Engine(key.clone())),
            start: tick.wall,
            is_known: false,
            seen: tick,
            input: Sum::default(),
            cached: Sum::default(),
            output: Sum::default(),
            drafted: Sum::default(),
            accepted: Sum::default(),
            preemptions: Sum::default(),
            requests: BTreeMap::new(),
            prefill: BTreeMap::new(),
            decode: BTreeMap::new(),
            first_token: Distribution::default(),
            per_token: Distribution::default(),
            duration: Distribution::default(),
            running: None,
            waiting: None,
            cache_usage: None,
            service: Text::Static(""),
            devices: Vec::new(),
            generated: 0,
            drawn: MicroJoules::ZERO,
            looks: VecDeque::new(),
        }
    }

    /// Notes how much was generated and drawn until this look.
    fn weigh(&mut self, at: Instant) {
        let output = self.output.total.unwrap_or(0);
        self.generated = output.saturating_sub(self.looks.back().map_or(output, |(_, before, _)| *before));
        self.looks.push_back((at, output, self.drawn));
        while self.looks.len() > 2 && self.looks.front().is_some_and(|(then, ..)| at.since(*then) > LONGEST_WINDOW) {
            self.looks.pop_front();
        }
    }

    /// Measured energy for each token generated in the last minutes.
    fn per_output_token(&self) -> Option<Joules> {
        let ((_, first, before), (_, last, drawn)) = (self.looks.front()?, self.looks.back()?);
        let (tokens, energy) = (last.saturating_sub(*first), drawn.less(*before));
        (tokens > 0 && !energy.is_zero()).then(|| energy.quantity() * (1.0 / tokens as f64))
    }

    /// What happened since the last look, where it can be told for the whole of a short window.
    fn book(&mut self, reading: &EngineReading, tick: Tick) -> Option<Window> {
        let elapsed = tick.at.since(self.seen.at);
        let at = tick.at;
        self.seen = tick;
        let is_known = std::mem::replace(&mut self.is_known, true);
        self.input.step(reading.tokens.input, at);
        self.cached.step(reading.tokens.cached, at);
        self.drafted.step(reading.tokens.drafted, at);
        self.accepted.step(reading.tokens.accepted, at);
        self.preemptions.step(reading.preemptions, at);
        for (reason, count) in &reading.requests {
            if self.requests.len() < Self::MAX_REASONS || self.requests.contains_key(reason) {
                let is_new = !self.requests.contains_key(reason) && is_known;
                let sum = self.requests.entry(reason.clone()).or_default();
                if is_new {
                    // A reason that no request had before the last look: its counter stood at nothing.
                    sum.step(Some(0), at);
                }
                sum.step(Some(*count), at);
            }
        }
        if let Some(phases) = reading.phases {
            self.prefill.entry(phases.prefill_clock).or_default().step(Some(phases.prefill_ns), at);
            self.decode.entry(phases.decode_clock).or_default().step(Some(phases.decode_ns), at);
        }
        self.first_token.step(reading.first_token.as_ref());
        self.per_token.step(reading.per_token.as_ref());
        self.duration.step(reading.duration.as_ref());
        let before = std::mem::replace(&mut self.running, reading.running);
        self.waiting = reading.waiting;
        self.cache_usage = reading.cache_usage;
        let output = self.output.step(reading.tokens.output, at)?;
        let running = match (before, reading.running) {
            (Some(before), Some(now)) => f64::midpoint(before, now),
            (one, other) => one.or(other)?,
        };
        let batch = running / f64::from(reading.replicas.max(1));
        (elapsed <= LONGEST_WINDOW).then_some(Window { output, batch })
    }

    fn samples(&self, now: Tick, samples: &mut Vec<Sample>) {
        let subject = &self.subject;
        let period = Period { start: self.start, at: now.wall.max(self.start) };
        let label = |key, value: &'static str| vec![Attribute::new(key, value)];
        for (kind, sum) in [("input", &self.input), ("output", &self.output)] {
            let tokens = sum.total.map(|total| Tokens::new(total as f64));
            let kind = label(key::GEN_AI_TOKEN_TYPE, kind);
            samples.extend(tokens.map(|tokens| metrics::ENGINE_TOKENS.sample(subject, kind, period, tokens)));
        }
        for (metric, sum) in [
            (&metrics::ENGINE_CACHED_TOKENS, &self.cached),
            (&metrics::ENGINE_DRAFTED_TOKENS, &self.drafted),
            (&metrics::ENGINE_ACCEPTED_TOKENS, &self.accepted),
        ] {
            let tokens = sum.total.map(|total| Tokens::new(total as f64));
            samples.extend(tokens.map(|tokens| metric.sample(subject, Vec::new(), period, tokens)));
        }
        for (reason, sum) in &self.requests {
            let reason = vec![Attribute::new(key::ENGINE_FINISH_REASON, reason.clone())];
            let count = Count::new(sum.total.unwrap_or(0) as f64);
            samples.push(metrics::ENGINE_REQUESTS.sample(subject, reason, period, count));
        }
        let preemptions = self.preemptions.total.map(|total| Count::new(total as f64));
        samples.extend(preemptions.map(|count| metrics::ENGINE_PREEMPTIONS.sample(subject, Vec::new(), period, count)));
        for (phase, clocks) in [("prefill", &self.prefill), ("decode", &self.decode)] {
            for (clock, sum) in clocks {
                let mut labels = label(key::ENGINE_PHASE, phase);
                labels.push(Attribute::new(key::ENGINE_CLOCK, clock.as_str()));
                let time = Seconds::new(sum.total.unwrap_or(0) as f64 / 1e9);
                samples.push(metrics::ENGINE_PHASE_TIME.sample(subject, labels, period, time));
            }
        }
        for (metric, distribution) in self.distributions() {
            if distribution.total.count() > 0 {
                let total = Arc::clone(&distribution.total);
                samples.push(metric.distribution(subject, Vec::new(), period, total));
            }
        }
        if now.at.since(self.seen.at) <= FRESH {
            let of_now = Period { start: self.seen.wall, at: now.wall.max(self.seen.wall) };
            let per_token = self.per_output_token();
            let apportioned = label(key::ENERGY_METHOD, Method::Apportioned.as_str());
            samples.extend(
                per_token.map(|joules| metrics::ENGINE_TOKEN_ENERGY.sample(subject, apportioned, of_now, joules)),
            );
            let counts = [(&metrics::ENGINE_RUNNING, self.running), (&metrics::ENGINE_WAITING, self.waiting)];
            let counts = counts.into_iter().filter_map(|(metric, count)| Some((metric, Count::new(count?))));
            samples.extend(counts.map(|(metric, count)| metric.sample(subject, Vec::new(), of_now, count)));
            let usage = self.cache_usage;
            samples.extend(usage.map(|usage| metrics::ENGINE_CACHE_USAGE.sample(subject, Vec::new(), of_now, usage)));
        }
    }

    fn distributions(&self) -> [(&'static Metric<Seconds>, &Distribution); 3] {
        [
            (&metrics::GEN_AI_SERVER_DURATION, &self.duration),
            (&metrics::GEN_AI_SERVER_FIRST_TOKEN, &self.first_token),
            (&metrics::GEN_AI_SERVER_PER_TOKEN, &self.per_token),
        ]
    }
}

/// What was added between two showings of a distribution; `None` where it was begun anew, or has other bounds now.
///
/// Values are counted at the middle of their bucket by its factor, and the sum is the source's own: counts are exact,
/// and quantiles as exact as the source's buckets.
fn added(last: &HistogramReading, shown: &HistogramReading) -> Option<ExponentialHistogram> {
    if last.buckets.len() != shown.buckets.len() || shown.sum < last.sum {
        return None;
    }
    let mut count_left = shown.count.checked_sub(last.count)?;
    let mut histogram = ExponentialHistogram::new();
    let (mut below, mut at_or_below) = (0.0, 0);
    for ((bound, before), (same_bound, now)) in last.buckets.iter().zip(&shown.buckets) {
        if bound.to_bits() != same_bound.to_bits() {
            return None;
        }
        let upto = now.checked_sub(*before)?;
        let inside = upto.checked_sub(at_or_below)?;
        let middle = if below > 0.0 { f64::sqrt(below) * bound.sqrt() } else { bound / 2.0 };
        histogram.record_many(middle, inside);
        count_left = count_left.checked_sub(inside)?;
        (below, at_or_below) = (*bound, upto);
    }
    // What is above all bounds, or all of it where there are none, is counted at its mean as far as that can be told.
    if count_left > 0 {
        let rest = (shown.sum - last.sum - histogram.sum()).max(0.0) / count_left as f64;
        histogram.record_many(rest.max(below), count_left);
    }
    let (scale, offset, counts, zeros) =
        (histogram.scale(), histogram.offset(), histogram.counts().to_vec(), histogram.zero_count());
    ExponentialHistogram::from_counts(scale, offset, counts, zeros, shown.sum - last.sum)
}

fn key_of(engine: &EngineKey, service: &Text) -> InferenceKey {
    InferenceKey {
        model: engine.model.clone(),
        provider: Text::Static(engine.kind.as_str()),
        service: service.clone(),
        agent: None,
        operation: Text::Static(OPERATION),
    }
}

/// What a window took.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Taken {
    energy: MicroJoules,
    uncertainty: Uncertainty,
}

fn taken(reading: &EngineReading, window: &Window) -> Option<Taken> {
    // A proxy draws nothing that anybody has fitted.
    if window.output == 0 || reading.engine.kind == EngineKind::LiteLlm {
        return None;
    }
    let hardware = reading.hardware?;
    let model = models::find(&reading.engine.model)?;
    let per_token = engine_energy::per_token(&model.parameters, &hardware, window.batch);
    let energy = MicroJoules::round(per_token.energy * window.output as f64);
    Some(Taken { energy, uncertainty: per_token.uncertainty })
}

/// How the energy of engines is known.
struct How {
    method: Method,
    model: Option<&'static str>,
}

impl How {
    const MODELLED: Self = Self { method: Method::Modelled, model: Some(engine_energy::NAME) };
    const MEASURED: Self = Self { method: Method::Apportioned, model: None };
}

/// Energy and carbon of one model of one service. Errors are sums of amount times uncertainty.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Drawn {
    start: Timestamp,
    energy: MicroJoules,
    operational: Nanograms,
    energy_error: u128,
    carbon_error: u128,
}

impl Drawn {
    fn book(&mut self, taken: Taken, rates: &EngineRates) {
        let Taken { energy, uncertainty } = taken;
        let operational = Nanograms::round(energy.quantity() * rates.pue.get() * rates.intensity);
        self.energy += energy;
        self.operational += operational;
        self.energy_error = self.energy_error.saturating_add(weighted(energy.get(), uncertainty));
        let carbon_error = weighted(operational.get(), uncertainty.times(rates.uncertainty));
        self.carbon_error = self.carbon_error.saturating_add(carbon_error);
    }

    fn samples(&self, subject: &Arc<Subject>, how: &How, at: Timestamp, samples: &mut Vec<Sample>) {
        let period = Period { start: self.start, at: at.max(self.start) };
        let origin = || Attribute::new(key::ENERGY_ORIGIN, Origin::Local.as_str());
        let method = || Attribute::new(key::ENERGY_METHOD, how.method.as_str());
        let model = how.model.map(|model| Attribute::new(key::ENERGY_MODEL, model));
        let energy = [origin(), method()].into_iter().chain(model).collect();
        samples.push(metrics::INFERENCE_ENERGY.sample(subject, energy, period, self.energy.quantity()));
        let carbon = vec![origin(), method(), Attribute::new(key::CARBON_KIND, "operational")];
        samples.push(metrics::INFERENCE_CARBON.sample(subject, carbon, period, self.operational.quantity()));
    }

    fn errors(&self, subject: &Arc<Subject>, at: Timestamp, samples: &mut Vec<Sample>) {
        let period = Period { start: self.start, at: at.max(self.start) };
        for (quantity, error, amount) in [
            (metrics::INFERENCE_ENERGY.descriptor().name, self.energy_error, self.energy.get()),
            (metrics::INFERENCE_CARBON.descriptor().name, self.carbon_error, self.operational.get()),
        ] {
            if amount > 0 {
                let sigma = error as f64 / amount as f64 / MILLION;
                let factor = Ratio::new(Uncertainty::from_sigma(sigma).factor());
                let label = vec![Attribute::new(key::UNCERTAINTY_QUANTITY, quantity)];
                samples.push(metrics::UNCERTAINTY.sample(subject, label, period, factor));
            }
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, and sigmas are positive")]
fn weighted(amount: u64, uncertainty: Uncertainty) -> u128 {
    u128::from(amount).saturating_mul(u128::from((uncertainty.sigma() * MILLION).round() as u64))
}

#[cfg(test)]
mod tests;
