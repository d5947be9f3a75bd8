//! The books over agents of applications: their runs, steps and tools, and what they waited for.
//!
//! While a run lasts, its time is divided: in the time of a call of a model below it, it waits for the model; in that of a
//! tool, for the tool; in the rest it works itself. What is below it is what has its trace. Calls and tools are told
//! before the run that they belong to, and a run waits a little for those that come late.

#![expect(clippy::disallowed_types, reason = "the map is asked for traces, once for each call, and never gone through")]

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wattline_core::attribute::key;
use wattline_core::reading::{ActivityKind, AgentActivity, Inference};
use wattline_core::sample::Period;
use wattline_core::subject::AgentKey;
use wattline_core::{
    Attribute, ExponentialHistogram, Instant, Sample, Seconds, Subject, Text, Tick, Timestamp, metrics,
};

use super::books::{MILLION, OTHER, OTHER_ERROR, stands_for};

/// How long a run waits for what belongs to it: longer than a call for its twin.
const PATIENCE: Seconds = Seconds::new(6.0);
/// Runs that may wait; the oldest is booked when there are more.
const MOST_WAITING: usize = 4_096;
/// Traces whose calls and tools are remembered; the oldest is forgotten when there are more.
const MOST_TRACES: usize = 4_096;
/// Calls and tools that are remembered of one trace.
const MOST_OF_A_TRACE: usize = 1_024;
/// Room for so many calls and tools goes on from a trace to another.
const MOST_KEPT: usize = 8;
/// Agents kept apart; further ones are booked together under `other`.
const MAX_AGENTS: usize = 1_000;
/// Tools, with their errors, kept apart under one agent.
const MAX_TOOLS: usize = 64;

/// Sums over the runs of agents.
#[derive(Debug, Default)]
pub struct AgentBooks {
    entries: BTreeMap<AgentKey, Entry>,
    waiting: VecDeque<(Tick, Box<AgentActivity>)>,
    traces: HashMap<u128, Vec<Part>, BuildHasherDefault<Low>>,
    /// The traces in the order in which they were first heard of.
    order: VecDeque<u128>,
}

/// A call or a tool, from its begin to its end in nanoseconds since the epoch.
#[derive(Clone, Copy, Debug)]
struct Part {
    of_model: bool,
    start: u64,
    end: u64,
}

/// Everything booked of one agent. Times are in nanoseconds, times a million.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Entry {
    start: Timestamp,
    runs: BTreeMap<Text, Arc<ExponentialHistogram>>,
    steps: Arc<ExponentialHistogram>,
    tool_calls: Arc<ExponentialHistogram>,
    tools: Vec<Tool>,
    waiting_for_model: u128,
    waiting_for_tool: u128,
    working: u128,
}

/// Runs of one tool with one end.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Tool {
    name: Text,
    /// Empty where it went well.
    error: Text,
    durations: Arc<ExponentialHistogram>,
}

/// The books over agents as they are kept over a restart.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SavedAgents {
    entries: Vec<(AgentKey, Entry)>,
}

/// Takes of a trace's id, which is drawn by chance, the half that is chance in all formats.
#[derive(Clone, Copy, Debug, Default)]
struct Low(u64);

impl Hasher for Low {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, trace: u128) {
        let low = u64::try_from(trace & u128::from(u64::MAX)).unwrap_or_default();
        self.0 = low.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl AgentBooks {
    /// The books for the next agent to go on with.
    pub fn save(&self) -> SavedAgents {
        SavedAgents { entries: self.entries.iter().map(|(key, entry)| (key.clone(), entry.clone())).collect() }
    }

    /// Books that go on with what an earlier agent saved.
    pub fn restored(saved: SavedAgents) -> Self {
        Self { entries: saved.entries.into_iter().collect(), ..Self::default() }
    }

    /// Notes a call of a model, which may belong to a run.
    pub fn note(&mut self, call: &Inference) {
        let start = call.start.unix_nanos();
        let end = call.start.ahead(call.duration).unix_nanos();
        self.add_part(call.identity.trace, Part { of_model: true, start, end });
    }

    /// Takes what an agent did. A tool is booked at once, a run when it has waited.
    pub fn take(&mut self, activity: Box<AgentActivity>, tick: Tick) {
        match &activity.kind {
            ActivityKind::Tool(name) => {
                let start = activity.start.unix_nanos();
                let end = activity.start.ahead(activity.duration).unix_nanos();
                self.add_part(activity.trace, Part { of_model: false, start, end });
                let name = name.clone();
                self.entry(&activity, tick.wall).book_tool(name, &activity);
            }
            ActivityKind::Run => {
                self.waiting.push_back((tick, activity));
                if self.waiting.len() > MOST_WAITING {
                    self.book_next();
                }
            }
        }
    }

    /// Books the runs that have waited long enough at `at`. True if there were any.
    pub fn settle(&mut self, at: Instant) -> bool {
        let before = self.waiting.len();
        while self.waiting.front().is_some_and(|(arrived, _)| at.since(arrived.at) >= PATIENCE) {
            self.book_next();
        }
        before > self.waiting.len()
    }

    /// Books all runs that wait.
    pub fn settle_now(&mut self) {
        while !self.waiting.is_empty() {
            self.book_next();
        }
    }

    /// All figures as they stand at `at`.
    pub fn samples(&self, at: Timestamp) -> Vec<Sample> {
        let mut samples = Vec::new();
        for (key, entry) in &self.entries {
            let period = Period { start: entry.start, at: at.max(entry.start) };
            entry.samples(&Arc::new(Subject::Agent(key.clone())), period, &mut samples);
        }
        samples
    }

    fn add_part(&mut self, trace: u128, part: Part) {
        if trace == 0 {
            return;
        }
        if let Some(parts) = self.traces.get_mut(&trace) {
            if parts.len() < MOST_OF_A_TRACE {
                parts.push(part);
            }
            return;
        }
        // What the oldest trace took serves the newest.
        let oldest = if self.order.len() >= MOST_TRACES { self.order.pop_front() } else { None };
        let mut parts = oldest.and_then(|oldest| self.traces.remove(&oldest)).unwrap_or_default();
        parts.clear();
        parts.shrink_to(MOST_KEPT);
        parts.push(part);
        self.order.push_back(trace);
        self.traces.insert(trace, parts);
    }

    fn book_next(&mut self) {
        let Some((tick, run)) = self.waiting.pop_front() else { return };
        let parts = self.traces.get(&run.trace).cloned().unwrap_or_default();
        self.entry(&run, tick.wall).book_run(&run, &parts);
    }

    fn entry(&mut self, activity: &AgentActivity, now: Timestamp) -> &mut Entry {
        let mut key = AgentKey { service: activity.service.clone(), agent: activity.agent.clone() };
        if self.entries.len() >= MAX_AGENTS && !self.entries.contains_key(&key) {
            key = AgentKey { service: Text::Static(OTHER), agent: None };
        }
        self.entries.entry(key).or_insert_with(|| Entry { start: now, ..Entry::default() })
    }
}

impl Entry {
    fn book_tool(&mut self, name: Text, activity: &AgentActivity) {
        let error = activity.error.clone().unwrap_or(Text::Static(""));
        let times = times(activity);
        let is_known = |tool: &&mut Tool| tool.name == name && tool.error == error;
        if let Some(tool) = self.tools.iter_mut().find(is_known) {
            Arc::make_mut(&mut tool.durations).record_many(activity.duration.get(), times);
            return;
        }
        let (name, error) = match self.tools.len() {
            0..MAX_TOOLS => (name, error),
            _ => (Text::Static(OTHER), Text::Static(if error.is_empty() { "" } else { OTHER_ERROR })),
        };
        let place = self.tools.iter_mut().position(|tool| tool.name == name && tool.error == error);
        let place = place.unwrap_or_else(|| {
            self.tools.push(Tool { name, error, durations: Arc::default() });
            self.tools.len() - 1
        });
        if let Some(tool) = self.tools.get_mut(place) {
            Arc::make_mut(&mut tool.durations).record_many(activity.duration.get(), times);
        }
    }

    fn book_run(&mut self, run: &AgentActivity, parts: &[Part]) {
        let times = times(run);
        let weight = u128::from(stands_for(run.probability));
        let full = self.runs.len() > super::InferenceBooks::MAX_ERRORS;
        let error = run.error.clone().unwrap_or(Text::Static(""));
        let error = if full && !self.runs.contains_key(&error) { Text::Static(OTHER_ERROR) } else { error };
        Arc::make_mut(self.runs.entry(error).or_default()).record_many(run.duration.get(), times);
        let (start, end) = (run.start.unix_nanos(), run.start.ahead(run.duration).unix_nanos());
        let within: Vec<Part> = parts.iter().filter(|part| start <= part.start && part.start <= end).copied().collect();
        let (steps, tools): (Vec<Part>, Vec<Part>) = within.iter().partition(|part| part.of_model);
        Arc::make_mut(&mut self.steps).record_many(steps.len() as f64, times);
        Arc::make_mut(&mut self.tool_calls).record_many(tools.len() as f64, times);
        let (for_model, for_any) = (covered(&steps, end), covered(&within, end));
        for (sum, nanos) in [
            (&mut self.waiting_for_model, for_model),
            (&mut self.waiting_for_tool, for_any - for_model),
            (&mut self.working, (end - start).saturating_sub(for_any)),
        ] {
            *sum = sum.saturating_add(u128::from(nanos) * weight);
        }
    }

    fn samples(&self, subject: &Arc<Subject>, period: Period, samples: &mut Vec<Sample>) {
        let error_type = |error: &Text| {
            let error = Some(error).filter(|error| !error.is_empty());
            error.map(|error| Attribute::new(key::ERROR_TYPE, error.clone()))
        };
        for (error, durations) in &self.runs {
            let labels = error_type(error).into_iter().collect();
            samples.push(metrics::GEN_AI_AGENT_DURATION.distribution(subject, labels, period, Arc::clone(durations)));
        }
        for (metric, counts) in
            [(&metrics::GEN_AI_AGENT_CALLS, &self.steps), (&metrics::GEN_AI_AGENT_TOOL_CALLS, &self.tool_calls)]
        {
            if counts.count() > 0 {
                samples.push(metric.distribution(subject, vec![], period, Arc::clone(counts)));
            }
        }
        for Tool { name, error, durations } in &self.tools {
            let mut labels = vec![Attribute::new(key::GEN_AI_TOOL_NAME, name.clone())];
            labels.extend(error_type(error));
            samples.push(metrics::GEN_AI_TOOL_DURATION.distribution(subject, labels, period, Arc::clone(durations)));
        }
        for (state, sum) in [
            ("waiting_for_model", self.waiting_for_model),
            ("waiting_for_tool", self.waiting_for_tool),
            ("working", self.working),
        ] {
            if sum > 0 {
                let label = vec![Attribute::new(key::AGENT_STATE, state)];
                let time = Seconds::new(sum as f64 / MILLION as f64 / 1e9);
                samples.push(metrics::AGENT_TIME.sample(subject, label, period, time));
            }
        }
    }
}

/// How many nanoseconds before `until` at least one of the parts lasted.
fn covered(parts: &[Part], until: u64) -> u64 {
    let mut parts = parts.to_vec();
    parts.sort_by_key(|part| part.start);
    let (mut sum, mut reached) = (0, 0);
    for Part { start, end, .. } in parts {
        let (start, end) = (start.max(reached), end.min(until));
        sum += end.saturating_sub(start);
        reached = reached.max(end);
    }
    sum
}

fn times(activity: &AgentActivity) -> u64 {
    (stands_for(activity.probability) + MILLION / 2) / MILLION
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wattline_core::Ratio;
    use wattline_core::reading::{CallIdentity, TokenUsage};
    use wattline_core::subject::InferenceKey;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn activity(kind: ActivityKind, start: u64, seconds: u64) -> Box<AgentActivity> {
        Box::new(AgentActivity {
            kind,
            service: "shop".into(),
            agent: Some("planner".into()),
            start: Timestamp::from_unix_nanos(start * SECOND),
            duration: Seconds::new(seconds as f64),
            error: None,
            probability: Ratio::new(1.0),
            trace: 7,
            span: 1,
            parent: 0,
        })
    }

    fn call(start: u64, seconds: u64) -> Inference {
        let key = InferenceKey {
            model: "m".into(),
            provider: "p".into(),
            service: "shop".into(),
            agent: None,
            operation: "chat".into(),
        };
        let start = Timestamp::from_unix_nanos(start * SECOND);
        let mut call = Inference::new(key, start, Seconds::new(seconds as f64), TokenUsage::default());
        call.identity = CallIdentity { trace: 7, ..CallIdentity::default() };
        call
    }

    fn time(books: &AgentBooks, state: &str) -> f64 {
        let samples = books.samples(Timestamp::default());
        let of_state = |sample: &&Sample| sample.attribute(key::AGENT_STATE) == Some(state);
        samples.iter().find(of_state).and_then(Sample::number).unwrap_or(0.0)
    }

    #[test]
    fn a_run_is_divided_into_waiting_and_working() {
        let mut books = AgentBooks::default();
        books.take(activity(ActivityKind::Run, 10, 60), Tick::default());
        // Two calls at once, a tool that goes on while a model answers, and one of another run of the trace.
        for (start, seconds) in [(12, 10), (15, 10), (200, 5)] {
            books.note(&call(start, seconds));
        }
        books.take(activity(ActivityKind::Tool("search".into()), 20, 10), Tick::default());
        assert!(!books.settle(Instant::from_nanos(5 * SECOND)), "what is late may still come");
        assert!(books.settle(Instant::from_nanos(6 * SECOND)));
        assert!((time(&books, "waiting_for_model") - 13.0).abs() < 1e-9);
        assert!((time(&books, "waiting_for_tool") - 5.0).abs() < 1e-9);
        assert!((time(&books, "working") - 42.0).abs() < 1e-9);
        let restored = AgentBooks::restored(books.save());
        assert_eq!(restored.samples(Timestamp::default()), books.samples(Timestamp::default()));
    }

    #[test]
    fn nothing_grows_without_end() {
        let mut books = AgentBooks::default();
        for number in 0..20_000u64 {
            let mut run = activity(ActivityKind::Run, number, 1);
            run.agent = Some(format!("agent-{number}").into());
            run.trace = u128::from(number) + 1;
            books.take(run, Tick::default());
            let mut tool = activity(ActivityKind::Tool(format!("tool-{number}").into()), number, 1);
            tool.trace = u128::from(number) + 1;
            books.take(tool, Tick::default());
        }
        assert!(books.waiting.len() <= MOST_WAITING && books.traces.len() <= MOST_TRACES);
        assert_eq!(books.traces.len(), books.order.len());
        assert!(books.entries.len() <= MAX_AGENTS + 1);
        assert!(books.entries.values().all(|entry| entry.tools.len() <= MAX_TOOLS + 2));
    }

    proptest! {
        /// The parts of a run add up to the run, and waiting is what a second-by-second count says.
        #[test]
        fn the_parts_of_a_run_add_up(parts in prop::collection::vec((0u64..80, 0u64..30, any::<bool>()), 0..12)) {
            let mut books = AgentBooks::default();
            let run = activity(ActivityKind::Run, 10, 60);
            for (start, seconds, of_model) in &parts {
                if *of_model {
                    books.note(&call(*start, *seconds));
                } else {
                    books.take(activity(ActivityKind::Tool("t".into()), *start, *seconds), Tick::default());
                }
            }
            books.take(run, Tick::default());
            books.settle_now();
            let within = |second: u64, model: bool| parts.iter().any(|(start, seconds, of_model)| {
                *of_model == model && (10..=70).contains(start) && (*start..start + seconds).contains(&second)
            });
            let models = (10..70).filter(|&second| within(second, true)).count() as f64;
            let tools = (10..70).filter(|&second| within(second, false) && !within(second, true)).count() as f64;
            let [for_model, for_tool, working] =
                ["waiting_for_model", "waiting_for_tool", "working"].map(|state| time(&books, state));
            prop_assert!((for_model - models).abs() < 1e-9 && (for_tool - tools).abs() < 1e-9);
            prop_assert!((for_model + for_tool + working - 60.0).abs() < 1e-9);
        }
    }
}
