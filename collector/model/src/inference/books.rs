//! The books over calls of language models: exact sums by model, provider, service, agent and operation.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wattline_core::attribute::key;
use wattline_core::reading::{CallKind, Inference, TokenUsage, ToolDefinitions};
use wattline_core::sample::{Metric, Period};
use wattline_core::subject::InferenceKey;
use wattline_core::{
    Attribute, Count, ExponentialHistogram, Method, MicroJoules, NanoUsd, Nanograms, Ratio, Sample, Seconds, Subject,
    Text, Timestamp, Tokens, Uncertainty, metrics,
};

use super::assess::{Assessment, Context, Judged, RemoteEnergy, Unknown, assess, assess_sum};
use super::ecologits;
use super::place::Origin;
use super::provider;
use super::repeats::{Repeat, Repeats};
use super::sums::More;
use crate::sci::{FunctionalUnit, View, sci};

/// Calls are counted in millionths, so that a call seen with probability 0.3 counts as 3.333333.
pub(super) const MILLION: u64 = 1_000_000;

/// A call seen stands for no more than this many.
const MOST_CALLS: f64 = 1e6;

/// Bytes of JSON that make one token: the rule of thumb of `OpenAI`'s and Anthropic's documentation for English.
const BYTES_OF_A_TOKEN: f64 = 4.0;

/// The word for what is beyond a limit, as the semantic conventions have it for `error.type`.
pub(super) const OTHER_ERROR: &str = "_OTHER";

/// The word for what is beyond a limit in the other attributes.
pub(super) const OTHER: &str = "other";

/// Sums over calls, each booked once and never revised.
///
/// Of a sampled call, count, energy, carbon and cost are multiplied by what the call stands for, 1/probability. The
/// histograms of tokens and durations count it as many times, rounded to a whole number: their counts differ from
/// `inference.calls` by less than half a call for each call seen.
#[derive(Debug, Default)]
pub struct InferenceBooks {
    /// Where in `entries` each key stands.
    places: BTreeMap<InferenceKey, usize>,
    entries: Vec<Entry>,
    folded: u64,
    repeats: Repeats,
    /// The names of providers as the table has them, by the names that calls bear.
    providers: BTreeMap<Text, Text>,
    known: KnownKinds,
}

/// Which generation of the semantic conventions' names figures of calls bear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Conventions {
    /// Those of 1.41, which today's dashboards know.
    #[default]
    Current,
    /// Those of the next.
    Latest,
    /// Both, for the time of a move.
    Both,
}

/// Everything booked under one key.
#[derive(Clone, Debug)]
struct Entry {
    subject: Arc<Subject>,
    start: Timestamp,
    remote: Option<Remote>,
    cost: Option<NanoUsd>,
    outcomes: BTreeMap<Option<Text>, Outcome>,
    unknown: BTreeMap<Unknown, u64>,
    input: Arc<ExponentialHistogram>,
    output: Arc<ExponentialHistogram>,
    detail: Detail,
}

/// What is told of calls beside energy, carbon and cost. Counts are in millionths.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Detail {
    tokens: BTreeMap<TokenType, u128>,
    finishes: BTreeMap<Text, u64>,
    first_chunk: Arc<ExponentialHistogram>,
    tools: u64,
    tool_bytes: u128,
    repeats: BTreeMap<Repeat, u64>,
}

/// The types of tokens that are counted, in the words of `gen_ai.token.type` and our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum TokenType {
    Input,
    Output,
    CacheRead,
    CacheWrite,
    Reasoning,
}

impl TokenType {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
            Self::CacheRead => "cache_read",
            Self::CacheWrite => "cache_write",
            Self::Reasoning => "reasoning",
        }
    }

    /// The counter of the next conventions.
    const fn latest(self) -> &'static Metric<Tokens> {
        match self {
            Self::Input => &metrics::GEN_AI_USAGE_INPUT,
            Self::Output => &metrics::GEN_AI_USAGE_OUTPUT,
            Self::CacheRead => &metrics::GEN_AI_USAGE_CACHE_READ,
            Self::CacheWrite => &metrics::GEN_AI_USAGE_CACHE_WRITE,
            Self::Reasoning => &metrics::GEN_AI_USAGE_REASONING,
        }
    }
}

/// Modelled energy and carbon. The errors are sums of amount times uncertainty, both as integers, so that they do not
/// depend on the order of the calls.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Remote {
    /// All of it.
    energy: MicroJoules,
    /// What of it was made with tokens of input reckoned.
    #[serde(default)]
    energy_with_input: MicroJoules,
    operational: Nanograms,
    embodied: Nanograms,
    energy_error: u128,
    carbon_error: u128,
    /// The calls that the carbon is of, in millionths, and their tokens, likewise: a score counts no others.
    calls: u64,
    tokens: u128,
}

/// The calls that ended in one way: well, or with one kind of error.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Outcome {
    millionths: u64,
    durations: Arc<ExponentialHistogram>,
}

impl InferenceBooks {
    /// Keys kept apart; calls of further keys are booked together under `other`.
    pub const MAX_KEYS: usize = 2000;
    /// Kinds of error kept apart under one key; further ones are booked together under `_OTHER`. Likewise of ends.
    pub const MAX_ERRORS: usize = 16;
    /// Names of providers that are remembered.
    const MAX_PROVIDERS: usize = 256;

    /// Books in which nothing stands.
    pub fn new() -> Self {
        Self::default()
    }

    /// Books one call, and returns what was made of it before scaling.
    pub fn book(&mut self, call: &Inference, context: &Context<'_>) -> Assessment {
        let millionths = stands_for(call.probability);
        let repeat = self.repeats.see(call.identity.prompt, call.error.is_some(), context.now);
        if self.known.get(&call.kind).is_none() {
            let key = InferenceKey { provider: self.provider(&call.key.provider), ..call.key.clone() };
            let (place, is_folded) = self.place(&key, context.now);
            self.known.put(Known { kind: Arc::clone(&call.kind), judged: Judged::of(call, context), place, is_folded });
        }
        let Some(known) = self.known.get(&call.kind) else { return assess(call, context) };
        self.folded = self.folded.saturating_add(u64::from(known.is_folded));
        let assessment = known.judged.assess(call, 1, context);
        if let Some(entry) = self.entries.get_mut(known.place) {
            entry.book(call, &assessment, repeat, millionths);
        }
        assessment
    }

    /// Forgets what tables and configuration say of calls: they say something else now.
    pub fn forget_kinds(&mut self) {
        self.known = KnownKinds::default();
    }

    /// Books tokens of calls that nobody tells apart: their price, energy and carbon as those of equal calls, or of one
    /// where nobody counts them, without a duration; and the calls as far as they are counted.
    pub fn book_sum(&mut self, key: &InferenceKey, more: &More, context: &Context<'_>) {
        let call = Inference::new(key.clone(), context.now, Seconds::ZERO, more.usage);
        let assessment = assess_sum(&call, more.calls, context);
        let key = InferenceKey { provider: self.provider(&key.provider), ..key.clone() };
        let (place, is_folded) = self.place(&key, context.now);
        self.folded = self.folded.saturating_add(u64::from(is_folded));
        if let Some(entry) = self.entries.get_mut(place) {
            entry.book_sum(&call, &assessment, more.calls);
        }
    }

    /// The books for the next agent to go on with.
    pub fn save(&self) -> SavedInferences {
        SavedInferences { entries: self.sorted().map(|(key, entry)| entry.save(key.clone())).collect() }
    }

    fn sorted(&self) -> impl Iterator<Item = (&InferenceKey, &Entry)> {
        self.places.iter().filter_map(|(key, place)| Some((key, self.entries.get(*place)?)))
    }

    /// Books that go on with what an earlier agent saved.
    pub fn restored(saved: SavedInferences) -> Self {
        let mut books = Self::default();
        for saved in saved.entries {
            books.places.insert(saved.key.clone(), books.entries.len());
            books.entries.push(Entry::restored(saved));
        }
        books
    }

    /// Calls seen that lost their key to the limit and stand under `other`.
    pub const fn folded(&self) -> u64 {
        self.folded
    }

    /// Keys that have a series.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when nothing is booked.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All figures as they stand at `at`, each counted from when the first call under its key was booked. That call
    /// began before, when nobody was counting yet: of a sum that began before a destination was there, the destination is
    /// told only what came since.
    pub fn samples(&self, at: Timestamp, conventions: Conventions) -> Vec<Sample> {
        let mut samples = Vec::with_capacity(self.entries.len() * 16);
        for (_, entry) in self.sorted() {
            entry.samples(at, conventions, &mut samples);
        }
        samples
    }

    fn provider(&mut self, name: &Text) -> Text {
        if let Some(known) = self.providers.get(name) {
            return known.clone();
        }
        let canonical = Text::from(provider::canonical(name));
        if self.providers.len() < Self::MAX_PROVIDERS {
            self.providers.insert(name.clone(), canonical.clone());
        }
        canonical
    }

    /// Where a key stands, and whether it has lost its place of its own to the limit.
    fn place(&mut self, key: &InferenceKey, start: Timestamp) -> (usize, bool) {
        if let Some(place) = self.places.get(key) {
            return (*place, false);
        }
        let is_folded = self.places.len() >= Self::MAX_KEYS;
        let key = if is_folded { other_key() } else { key.clone() };
        let next = self.entries.len();
        let place = *self.places.entry(key.clone()).or_insert(next);
        if place == next {
            self.entries.push(Entry::new(key, start));
        }
        (place, is_folded)
    }
}

/// Kinds of calls that were booked before. A kind is known by where it is in memory: who makes calls shares it among
/// those that are alike, and it is held here, so that no other takes its place.
#[derive(Debug, Default)]
struct KnownKinds {
    places: Vec<Option<Box<Known>>>,
}

#[derive(Debug)]
struct Known {
    kind: Arc<CallKind>,
    judged: Judged,
    /// Where its key stands on the books.
    place: usize,
    /// Its key has no place of its own.
    is_folded: bool,
}

impl KnownKinds {
    /// As many as are kept, a power of two. One that comes to where another is takes its place.
    const PLACES: usize = 2048;

    fn get(&mut self, kind: &Arc<CallKind>) -> Option<&mut Known> {
        let known = self.places.get_mut(Self::place(kind))?.as_deref_mut()?;
        Arc::ptr_eq(&known.kind, kind).then_some(known)
    }

    fn put(&mut self, known: Known) {
        if self.places.is_empty() {
            self.places.resize_with(Self::PLACES, || None);
        }
        if let Some(place) = self.places.get_mut(Self::place(&known.kind)) {
            *place = Some(Box::new(known));
        }
    }

    fn place(kind: &Arc<CallKind>) -> usize {
        let address = Arc::as_ptr(kind).addr();
        (address.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) % Self::PLACES
    }
}

/// The books over calls as they are kept over a restart.
///
/// What a later version adds has a default, so that books of an earlier one can be read.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SavedInferences {
    entries: Vec<SavedEntry>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct SavedEntry {
    key: InferenceKey,
    start: Timestamp,
    remote: Option<Remote>,
    cost: Option<NanoUsd>,
    outcomes: Vec<(Option<Text>, Outcome)>,
    unknown: BTreeMap<Unknown, u64>,
    input: Arc<ExponentialHistogram>,
    output: Arc<ExponentialHistogram>,
    #[serde(default)]
    detail: Detail,
}

impl Entry {
    fn save(&self, key: InferenceKey) -> SavedEntry {
        let Self { subject: _, start, remote, cost, outcomes, unknown, input, output, detail } = self.clone();
        let outcomes = outcomes.into_iter().collect();
        SavedEntry { key, start, remote, cost, outcomes, unknown, input, output, detail }
    }

    fn restored(saved: SavedEntry) -> Self {
        let SavedEntry { key, start, remote, cost, outcomes, unknown, input, output, detail } = saved;
        let outcomes = outcomes.into_iter().collect();
        let subject = Arc::new(Subject::Inference(key));
        Self { subject, start, remote, cost, outcomes, unknown, input, output, detail }
    }

    fn new(key: InferenceKey, start: Timestamp) -> Self {
        Self {
            subject: Arc::new(Subject::Inference(key)),
            start,
            remote: None,
            cost: None,
            outcomes: BTreeMap::new(),
            unknown: BTreeMap::new(),
            input: Arc::default(),
            output: Arc::default(),
            detail: Detail::default(),
        }
    }

    fn book(&mut self, call: &Inference, assessment: &Assessment, repeat: Option<Repeat>, millionths: u64) {
        let scale = millionths as f64 / MILLION as f64;
        let times = (millionths + MILLION / 2) / MILLION;
        if let Some(energy) = &assessment.energy {
            let remote = self.remote.get_or_insert_default();
            remote.book(energy, scale);
            remote.count(&call.usage, millionths);
        }
        if let Some(cost) = assessment.cost {
            *self.cost.get_or_insert_default() += NanoUsd::round(cost * scale);
        }
        for reason in &assessment.unknown {
            let count = self.unknown.entry(*reason).or_default();
            *count = count.saturating_add(millionths);
        }
        for (histogram, tokens) in [(&mut self.input, call.usage.input), (&mut self.output, call.usage.output)] {
            // No tokens of a kind means that none were stated: an embedding has no output, a refused call neither.
            if tokens > 0 {
                Arc::make_mut(histogram).record_many(tokens as f64, times);
            }
        }
        let outcome = self.outcome(call.error.as_ref());
        outcome.millionths = outcome.millionths.saturating_add(millionths);
        if call.duration.get() > 0.0 {
            Arc::make_mut(&mut outcome.durations).record_many(call.duration.get(), times);
        }
        self.detail.book(call, repeat, millionths, times);
    }

    fn book_sum(&mut self, call: &Inference, assessment: &Assessment, count: u64) {
        let calls = count.saturating_mul(MILLION);
        if let Some(energy) = &assessment.energy {
            let remote = self.remote.get_or_insert_default();
            remote.book(energy, 1.0);
            remote.calls = remote.calls.saturating_add(calls);
            let tokens = u128::from(call.usage.input) + u128::from(call.usage.output);
            remote.tokens = remote.tokens.saturating_add(tokens * u128::from(MILLION));
        }
        if let Some(cost) = assessment.cost {
            *self.cost.get_or_insert_default() += NanoUsd::round(cost);
        }
        if count > 0 {
            for reason in &assessment.unknown {
                add(self.unknown.entry(*reason).or_default(), calls);
            }
            add(&mut self.outcome(None).millionths, calls);
        }
        self.detail.book(call, None, MILLION, 0);
    }

    fn outcome(&mut self, error: Option<&Text>) -> &mut Outcome {
        let full = self.outcomes.len() > InferenceBooks::MAX_ERRORS && !self.outcomes.contains_key(&error.cloned());
        let error = if full { error.map(|_| Text::Static(OTHER_ERROR)) } else { error.cloned() };
        self.outcomes.entry(error).or_default()
    }

    fn samples(&self, at: Timestamp, conventions: Conventions, samples: &mut Vec<Sample>) {
        let period = Period { start: self.start, at: at.max(self.start) };
        let subject = &self.subject;
        let (current, latest) = (conventions != Conventions::Latest, conventions != Conventions::Current);
        for (error, outcome) in &self.outcomes {
            let labels =
                || error.iter().map(|error| Attribute::new(key::ERROR_TYPE, error.clone())).collect::<Vec<_>>();
            samples.push(metrics::INFERENCE_CALLS.sample(subject, labels(), period, calls(outcome.millionths)));
            if outcome.durations.count() > 0 {
                let metrics = [(current, &metrics::GEN_AI_DURATION), (latest, &metrics::GEN_AI_INFERENCE_DURATION)];
                for (_, metric) in metrics.into_iter().filter(|(is_told, _)| *is_told) {
                    samples.push(metric.distribution(subject, labels(), period, Arc::clone(&outcome.durations)));
                }
            }
        }
        for (reason, millionths) in &self.unknown {
            let label = vec![Attribute::new(key::WATTLINE_REASON, reason.as_str())];
            samples.push(metrics::INFERENCE_UNKNOWN.sample(subject, label, period, calls(*millionths)));
        }
        for (kind, histogram, metric) in
            [("input", &self.input, &metrics::GEN_AI_INPUT), ("output", &self.output, &metrics::GEN_AI_OUTPUT)]
        {
            if histogram.count() > 0 && current {
                let label = vec![Attribute::new(key::GEN_AI_TOKEN_TYPE, kind)];
                samples.push(metrics::GEN_AI_TOKEN_USAGE.distribution(subject, label, period, Arc::clone(histogram)));
            }
            if histogram.count() > 0 && latest {
                samples.push(metric.distribution(subject, vec![], period, Arc::clone(histogram)));
            }
        }
        self.detail.samples(subject, period, conventions, samples);
        if let Some(cost) = self.cost {
            samples.push(metrics::INFERENCE_COST.sample(subject, vec![remote_origin()], period, cost.quantity()));
        }
        if let Some(remote) = &self.remote {
            remote.samples(subject, period, samples);
        }
    }
}

impl Detail {
    fn book(&mut self, call: &Inference, repeat: Option<Repeat>, millionths: u64, times: u64) {
        let TokenUsage { input, output, cache_read, cache_write, cache_write_1h: _, reasoning } = call.usage;
        for (kind, tokens) in [
            (TokenType::Input, input),
            (TokenType::Output, output),
            (TokenType::CacheRead, cache_read),
            (TokenType::CacheWrite, cache_write),
            (TokenType::Reasoning, reasoning),
        ] {
            if tokens > 0 {
                let sum = self.tokens.entry(kind).or_default();
                *sum = sum.saturating_add(u128::from(tokens) * u128::from(millionths));
            }
        }
        if let Some(reason) = &call.finish_reason {
            if let Some(count) = self.finishes.get_mut(reason) {
                add(count, millionths);
            } else {
                let full = self.finishes.len() >= InferenceBooks::MAX_ERRORS;
                let reason = if full { Text::Static(OTHER) } else { reason.clone() };
                add(self.finishes.entry(reason).or_default(), millionths);
            }
        }
        if let Some(time) = call.time_to_first_token {
            Arc::make_mut(&mut self.first_chunk).record_many(time.get(), times);
        }
        if let Some(ToolDefinitions { count, bytes }) = call.tools {
            add(&mut self.tools, millionths.saturating_mul(u64::from(count)));
            self.tool_bytes = self.tool_bytes.saturating_add(u128::from(bytes) * u128::from(millionths));
        }
        if let Some(repeat) = repeat {
            add(self.repeats.entry(repeat).or_default(), millionths);
        }
    }

    fn samples(&self, subject: &Arc<Subject>, period: Period, conventions: Conventions, samples: &mut Vec<Sample>) {
        for (kind, sum) in &self.tokens {
            let tokens = Tokens::new(*sum as f64 / MILLION as f64);
            let label = vec![Attribute::new(key::GEN_AI_TOKEN_TYPE, kind.as_str())];
            samples.push(metrics::INFERENCE_TOKENS.sample(subject, label, period, tokens));
            if conventions != Conventions::Current {
                samples.push(kind.latest().sample(subject, vec![], period, tokens));
            }
        }
        for (reason, count) in &self.finishes {
            let label = vec![Attribute::new(key::INFERENCE_FINISH_REASON, reason.clone())];
            samples.push(metrics::INFERENCE_FINISHES.sample(subject, label, period, calls(*count)));
        }
        for (repeat, count) in &self.repeats {
            let label = vec![Attribute::new(key::INFERENCE_REPEAT, repeat.as_str())];
            samples.push(metrics::INFERENCE_REPEATS.sample(subject, label, period, calls(*count)));
        }
        if self.first_chunk.count() > 0 {
            for (is_told, metric) in [
                (conventions != Conventions::Latest, &metrics::GEN_AI_FIRST_CHUNK),
                (conventions != Conventions::Current, &metrics::GEN_AI_INFERENCE_FIRST_CHUNK),
            ] {
                let times = || Arc::clone(&self.first_chunk);
                samples.extend(is_told.then(|| metric.distribution(subject, vec![], period, times())));
            }
        }
        if self.tools > 0 {
            samples.push(metrics::INFERENCE_TOOLS.sample(subject, vec![], period, calls(self.tools)));
        }
        if self.tool_bytes > 0 {
            let tokens = Tokens::new(self.tool_bytes as f64 / MILLION as f64 / BYTES_OF_A_TOKEN);
            samples.push(metrics::INFERENCE_TOOL_TOKENS.sample(subject, vec![], period, tokens));
        }
    }
}

fn add(sum: &mut u64, more: u64) {
    *sum = sum.saturating_add(more);
}

impl Remote {
    fn book(&mut self, call: &RemoteEnergy, scale: f64) {
        let energy = MicroJoules::round(call.energy * scale);
        let operational = Nanograms::round(call.operational * scale);
        let embodied = Nanograms::round(call.embodied * scale);
        let carbon = u128::from(operational.get()) + u128::from(embodied.get());
        self.energy += energy;
        if call.model == ecologits::NAME_WITH_INPUT {
            self.energy_with_input += energy;
        }
        self.operational += operational;
        self.embodied += embodied;
        let weighted = |amount: u128, error: Uncertainty| amount.saturating_mul(u128::from(millionths(error.sigma())));
        let energy_error = weighted(u128::from(energy.get()), call.energy_uncertainty);
        self.energy_error = self.energy_error.saturating_add(energy_error);
        self.carbon_error = self.carbon_error.saturating_add(weighted(carbon, call.carbon_uncertainty));
    }

    /// Counts the work that the carbon was for: tokens in and out, as SCI for AI has it.
    fn count(&mut self, usage: &TokenUsage, millionths: u64) {
        let tokens = u128::from(usage.input) + u128::from(usage.output);
        self.calls = self.calls.saturating_add(millionths);
        self.tokens = self.tokens.saturating_add(tokens.saturating_mul(u128::from(millionths)));
    }

    fn samples(&self, subject: &Arc<Subject>, period: Period, samples: &mut Vec<Sample>) {
        let method = || Attribute::new(key::ENERGY_METHOD, Method::Modelled.as_str());
        let with_input = self.energy_with_input;
        let without = MicroJoules::new(self.energy.get().saturating_sub(with_input.get()));
        let is_zero = |energy: MicroJoules| energy.get() == 0;
        for (model, energy, is_told) in [
            (ecologits::NAME, without, !is_zero(without) || is_zero(with_input)),
            (ecologits::NAME_WITH_INPUT, with_input, !is_zero(with_input)),
        ] {
            if is_told {
                let labels = vec![remote_origin(), method(), Attribute::new(key::ENERGY_MODEL, model)];
                samples.push(metrics::INFERENCE_ENERGY.sample(subject, labels, period, energy.quantity()));
            }
        }
        for (kind, carbon) in [("operational", self.operational), ("embodied", self.embodied)] {
            let labels = vec![remote_origin(), method(), Attribute::new(key::CARBON_KIND, kind)];
            samples.push(metrics::INFERENCE_CARBON.sample(subject, labels, period, carbon.quantity()));
        }
        let carbon = u128::from(self.operational.get()) + u128::from(self.embodied.get());
        for (quantity, error, amount) in [
            (metrics::INFERENCE_ENERGY.descriptor().name, self.energy_error, u128::from(self.energy.get())),
            (metrics::INFERENCE_CARBON.descriptor().name, self.carbon_error, carbon),
        ] {
            if amount > 0 {
                let sigma = error as f64 / amount as f64 / MILLION as f64;
                let factor = Ratio::new(Uncertainty::from_sigma(sigma).factor());
                let label = vec![Attribute::new(key::UNCERTAINTY_QUANTITY, quantity)];
                samples.push(metrics::UNCERTAINTY.sample(subject, label, period, factor));
            }
        }
        let view =
            View { operational: self.operational.quantity(), embodied: self.embodied.quantity(), ..View::default() };
        let tokens = Tokens::new(self.tokens as f64 / MILLION as f64);
        for unit in [FunctionalUnit::Tokens(tokens), FunctionalUnit::Requests(calls(self.calls))] {
            let labels = || vec![remote_origin(), method(), Attribute::new(key::SCI_UNIT, unit.name())];
            let score = sci(&view, &unit).map(|score| score.per_unit);
            samples.extend(score.map(|grams| metrics::INFERENCE_SCI.sample(subject, labels(), period, grams)));
        }
    }
}

/// How many calls a call seen with `probability` stands for, in millionths. A probability that is none counts as 1.
pub(super) fn stands_for(probability: Ratio) -> u64 {
    let probability = probability.get();
    if probability > 0.0 && probability < 1.0 { millionths((1.0 / probability).min(MOST_CALLS)) } else { MILLION }
}

/// A small number in millionths, rounded; zero for what is no number.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, and a NaN becomes zero")]
fn millionths(number: f64) -> u64 {
    (number * MILLION as f64).round() as u64
}

fn calls(millionths: u64) -> Count {
    Count::new(millionths as f64 / MILLION as f64)
}

fn remote_origin() -> Attribute {
    Attribute::new(key::ENERGY_ORIGIN, Origin::Remote.as_str())
}

fn other_key() -> InferenceKey {
    InferenceKey {
        model: Text::Static(OTHER),
        provider: Text::Static(OTHER),
        service: Text::Static(OTHER),
        agent: None,
        operation: Text::Static(OTHER),
    }
}

#[cfg(test)]
mod tests;
