//! The books over hosted agents: what their sessions used, how long they waited, what that cost at list price.
//!
//! Bedrock `AgentCore` bills the CPU time that a session used and the memory that it held all along, also while it waits
//! for a model. A session that works uses its vCPUs; so the share of its time in which it waits is
//!
//! ```text
//! waiting = 1 - vcpu_hours * 3600 / (vcpus * elapsed)
//! ```
//!
//! How many vCPUs it has the log does not say. They are configured, or taken for the most that was seen in use, rounded up
//! to whole ones: that is never more than there are, so the time spent working is rather told too long than too short.
//! What is booked stays booked when more are seen later.
//!
//! All sums are integers: nanoseconds of a vCPU, nanoseconds of a gigabyte, and money in nano-dollars an hour times
//! nanoseconds. They do not depend on the order of rows, but for the split into working and waiting.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wattline_core::attribute::key;
use wattline_core::reading::AgentUsage;
use wattline_core::sample::Period;
use wattline_core::subject::HostedAgent;
use wattline_core::{Attribute, Count, NanoUsd, Sample, Seconds, Subject, Text, Timestamp, Usd, metrics};

use crate::cost::UnitPrices;

const SECOND_NS: f64 = 1e9;
const HOUR_NS: f64 = 3.6e12;
const SECOND: u128 = 1_000_000_000;
const HOUR: u128 = 3600 * SECOND;

/// CPU use below this, in thousandths of a vCPU, is the runtime's own: nobody works in the session.
const IDLE_BELOW_MILLI: u128 = 10;
/// Shorter intervals say little about how many vCPUs there are.
const SHORTEST_FOR_PEAK_NS: u64 = 100_000_000;
/// A session lasts eight hours at most, and its rows come up to an hour late (Amazon Bedrock `AgentCore` developer guide).
const SESSION_ENDS: Seconds = Seconds::new(9.0 * 3600.0);

/// What must be known beside the row itself.
#[derive(Clone, Copy, Debug)]
pub struct HostingContext<'a> {
    /// When the row is booked: no series starts later than this.
    pub now: Timestamp,
    /// What a vCPU and a gigabyte cost.
    pub prices: &'a UnitPrices,
    /// How many vCPUs agents have, by name; `*` stands for all others.
    pub vcpus: &'a BTreeMap<String, f64>,
}

/// Sums over rows of usage, each booked once and never revised.
#[derive(Debug, Default)]
pub struct HostedBooks {
    entries: BTreeMap<HostedAgent, Entry>,
    /// When sessions were last seen, by the number of their agent and their hash.
    sessions: BTreeMap<(u32, u64), Timestamp>,
    folded: u64,
}

/// Everything booked for one agent.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry {
    number: u32,
    start: Timestamp,
    vcpu_ns: u128,
    gb_active_ns: u128,
    gb_idle_ns: u128,
    working_ns: u128,
    waiting_ns: u128,
    /// In nano-dollars an hour times nanoseconds; `None` where no price is known.
    cpu_cost: Option<u128>,
    memory_cost: Option<u128>,
    sessions: u64,
    /// The most that was seen in use, in thousandths of a vCPU.
    peak_milli: u64,
    /// What the last row was reckoned with.
    vcpus: Vcpus,
}

/// How many vCPUs an agent's sessions have, and how that is known.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Vcpus {
    milli: u64,
    is_configured: bool,
}

/// The books as they are kept over a restart.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SavedHosted {
    #[serde(default)]
    entries: Vec<(HostedAgent, Entry)>,
    #[serde(default)]
    sessions: Vec<(u32, u64, Timestamp)>,
}

impl HostedBooks {
    /// Agents kept apart; rows of further ones are booked together under `other`.
    pub const MAX_AGENTS: usize = 1000;
    /// Sessions that are remembered, so that each counts once. When there are more, those seen longest ago are forgotten,
    /// and count again if they come back.
    pub const MAX_SESSIONS: usize = 20_000;

    /// Books one row.
    pub fn book(&mut self, usage: &AgentUsage, context: &HostingContext<'_>) {
        let vcpus = context.vcpus.get(usage.agent.name.as_str()).or_else(|| context.vcpus.get("*")).copied();
        let start = if usage.at == Timestamp::default() { context.now } else { usage.at.min(context.now) };
        let entry = self.entry(&usage.agent, start);
        entry.book(usage, vcpus, context.prices);
        let number = entry.number;
        if usage.session != 0
            && self.is_new(number, usage.session, usage.at)
            && let Some(entry) = self.entries.values_mut().find(|entry| entry.number == number)
        {
            entry.sessions = entry.sessions.saturating_add(1);
        }
    }

    fn entry(&mut self, agent: &HostedAgent, start: Timestamp) -> &mut Entry {
        let is_full = self.entries.len() >= Self::MAX_AGENTS && !self.entries.contains_key(agent);
        let agent = if is_full {
            self.folded = self.folded.saturating_add(1);
            other()
        } else {
            agent.clone()
        };
        let number = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        self.entries.entry(agent).or_insert_with(|| Entry::new(number, start))
    }

    /// Whether a session is seen for the first time.
    fn is_new(&mut self, agent: u32, session: u64, at: Timestamp) -> bool {
        if let Some(last) = self.sessions.get_mut(&(agent, session)) {
            *last = at.max(*last);
            return false;
        }
        if self.sessions.len() >= Self::MAX_SESSIONS {
            let ended = at.back(SESSION_ENDS);
            self.sessions.retain(|_, last| *last > ended);
        }
        if self.sessions.len() >= Self::MAX_SESSIONS {
            // A quarter at once, so that this is rare.
            let mut seen: Vec<Timestamp> = self.sessions.values().copied().collect();
            seen.sort_unstable();
            let oldest = seen.get(Self::MAX_SESSIONS / 4).copied().unwrap_or_default();
            self.sessions.retain(|_, last| *last > oldest);
            if self.sessions.len() >= Self::MAX_SESSIONS {
                self.sessions.clear();
            }
        }
        self.sessions.insert((agent, session), at);
        true
    }

    /// Rows that stand under `other`, because there are too many agents.
    pub const fn folded(&self) -> u64 {
        self.folded
    }

    /// The books for the next agent to go on with.
    pub fn save(&self) -> SavedHosted {
        SavedHosted {
            entries: self.entries.iter().map(|(agent, entry)| (agent.clone(), entry.clone())).collect(),
            sessions: self.sessions.iter().map(|(&(agent, session), &last)| (agent, session, last)).collect(),
        }
    }

    /// Books that go on with what an earlier agent saved.
    pub fn restored(saved: SavedHosted) -> Self {
        let SavedHosted { entries, sessions } = saved;
        let sessions = sessions.into_iter().map(|(agent, session, last)| ((agent, session), last)).collect();
        Self { entries: entries.into_iter().collect(), sessions, folded: 0 }
    }

    /// All figures as they stand at `at`.
    pub fn samples(&self, at: Timestamp) -> Vec<Sample> {
        let mut samples = Vec::with_capacity(self.entries.len() * 9);
        for (agent, entry) in &self.entries {
            entry.samples(&Arc::new(Subject::HostedAgent(agent.clone())), at, &mut samples);
        }
        samples
    }
}

impl Entry {
    fn new(number: u32, start: Timestamp) -> Self {
        Self {
            number,
            start,
            vcpu_ns: 0,
            gb_active_ns: 0,
            gb_idle_ns: 0,
            working_ns: 0,
            waiting_ns: 0,
            cpu_cost: None,
            memory_cost: None,
            sessions: 0,
            peak_milli: 0,
            vcpus: Vcpus { milli: 1000, is_configured: false },
        }
    }

    fn book(&mut self, usage: &AgentUsage, vcpus: Option<f64>, prices: &UnitPrices) {
        let AgentUsage { agent, session: _, at: _, elapsed_ns, vcpu_ns, gb_ns } = usage;
        let (elapsed, vcpu, gb) = (u128::from(*elapsed_ns), u128::from(*vcpu_ns), u128::from(*gb_ns));
        let in_use = (vcpu * 1000).checked_div(elapsed);
        if *elapsed_ns >= SHORTEST_FOR_PEAK_NS {
            let in_use = in_use.and_then(|in_use| u64::try_from(in_use).ok()).unwrap_or(0);
            self.peak_milli = self.peak_milli.max(in_use);
        }
        self.vcpus = Vcpus::of(vcpus, self.peak_milli);
        let working = (vcpu * 1000 / u128::from(self.vcpus.milli)).min(elapsed);
        self.vcpu_ns = self.vcpu_ns.saturating_add(vcpu);
        self.working_ns = self.working_ns.saturating_add(working);
        self.waiting_ns = self.waiting_ns.saturating_add(elapsed - working);
        // A row without a length tells by its CPU time alone.
        let is_idle = in_use.map_or(vcpu == 0, |in_use| in_use < IDLE_BELOW_MILLI);
        let held = if is_idle { &mut self.gb_idle_ns } else { &mut self.gb_active_ns };
        *held = held.saturating_add(gb);
        let service =
            if agent.service.as_str() == "AgentCore.CodeInterpreter" { "code_interpreter" } else { "runtime" };
        for (cost, unit, amount) in [(&mut self.cpu_cost, "vcpu_hour", vcpu), (&mut self.memory_cost, "gb_hour", gb)] {
            let price = prices.hourly(&format!("agentcore.{service}.{unit}"));
            if let Some(price) = price {
                let nano_usd = u128::from(NanoUsd::round(Usd::new(price.get())).get());
                let cost = cost.get_or_insert_default();
                *cost = cost.saturating_add(nano_usd.saturating_mul(amount));
            }
        }
    }

    fn samples(&self, subject: &Arc<Subject>, at: Timestamp, samples: &mut Vec<Sample>) {
        let period = Period { start: self.start, at: at.max(self.start) };
        let seconds = |ns: u128| Seconds::new(ns as f64 / SECOND_NS);
        samples.push(metrics::AGENTCORE_CPU_TIME.sample(subject, Vec::new(), period, seconds(self.vcpu_ns)));
        for (state, ns) in [("active", self.gb_active_ns), ("idle", self.gb_idle_ns)] {
            let held = Count::new(ns as f64 / HOUR_NS);
            samples.push(metrics::AGENTCORE_MEMORY_TIME.sample(subject, in_state(state), period, held));
        }
        for (state, ns) in [("working", self.working_ns), ("waiting", self.waiting_ns)] {
            samples.push(metrics::AGENTCORE_SESSION_TIME.sample(subject, in_state(state), period, seconds(ns)));
        }
        let basis = if self.vcpus.is_configured { "configured" } else { "seen" };
        let label = vec![Attribute::new(key::AGENTCORE_BASIS, basis)];
        let vcpus = Count::new(self.vcpus.milli as f64 / 1000.0);
        samples.push(metrics::AGENTCORE_CPU_LIMIT.sample(subject, label, period, vcpus));
        let sessions = Count::new(self.sessions as f64);
        samples.push(metrics::AGENTCORE_SESSIONS.sample(subject, Vec::new(), period, sessions));
        for (kind, cost) in [("cpu", self.cpu_cost), ("memory", self.memory_cost)] {
            let Some(cost) = cost else { continue };
            let cost = NanoUsd::new(u64::try_from((cost + HOUR / 2) / HOUR).unwrap_or(u64::MAX));
            let label = vec![Attribute::new(key::HW_TYPE, kind)];
            samples.push(metrics::AGENTCORE_COST.sample(subject, label, period, cost.quantity()));
        }
    }
}

impl Vcpus {
    fn of(configured: Option<f64>, peak_milli: u64) -> Self {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0.1 and 256")]
        match configured.filter(|count| (0.1..=256.0).contains(count)) {
            Some(count) => Self { milli: (count * 1000.0) as u64, is_configured: true },
            None => Self { milli: peak_milli.div_ceil(1000).max(1) * 1000, is_configured: false },
        }
    }
}

fn in_state(state: &'static str) -> Vec<Attribute> {
    vec![Attribute::new(key::AGENTCORE_STATE, state)]
}

fn other() -> HostedAgent {
    const OTHER: Text = Text::Static("other");
    HostedAgent { name: OTHER, resource: OTHER, service: OTHER, region: None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_nanos(1_762_800_000_000_000_000);

    fn row(session: u64, at_s: u64, vcpu_share: f64, gb: f64) -> AgentUsage {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and positive")]
        let ns = |share: f64| (share * SECOND_NS) as u64;
        AgentUsage {
            agent: HostedAgent {
                name: "support".into(),
                resource: "runtime/support-1".into(),
                service: "AgentCore.Runtime".into(),
                region: None,
            },
            session,
            at: Timestamp::from_unix_nanos(at_s * 1_000_000_000),
            elapsed_ns: 1_000_000_000,
            vcpu_ns: ns(vcpu_share),
            gb_ns: ns(gb),
        }
    }

    fn booked(rows: impl IntoIterator<Item = AgentUsage>, vcpus: &BTreeMap<String, f64>) -> HostedBooks {
        let mut books = HostedBooks::default();
        let context = HostingContext { now: NOW, prices: UnitPrices::published(), vcpus };
        for row in rows {
            books.book(&row, &context);
        }
        books
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and positive")]
    fn billionths(number: f64) -> u64 {
        (number * 1e9).round() as u64
    }

    /// `metric{label}` and value of each figure, in billionths.
    fn figures(books: &HostedBooks) -> BTreeMap<String, u64> {
        let told = |sample: &Sample| {
            let label = sample.attributes.first().map_or(String::new(), |label| format!("{{{}}}", label.value));
            (format!("{}{label}", sample.metric.name), billionths(sample.number().unwrap()))
        };
        books.samples(NOW).iter().map(told).collect()
    }

    #[test]
    fn a_minute_of_which_a_third_is_work_costs_what_the_talk_says() {
        // 60 s, 1 vCPU, 2 GB, 20 s of CPU: 20/3600 * 0.0895 + 120/3600 * 0.00945 USD.
        let rows = (0..60).map(|second| row(1, 1000 + second, if second < 20 { 1.0 } else { 0.0 }, 2.0));
        let figures = figures(&booked(rows, &BTreeMap::new()));
        let expected = [
            ("agentcore.cpu.limit{seen}", 1.0),
            ("agentcore.cost.usd{cpu}", 0.000_497_222),
            ("agentcore.cost.usd{memory}", 0.000_315),
            ("agentcore.cpu.time", 20.0),
            ("agentcore.memory.time{active}", 40.0 / 3600.0),
            ("agentcore.memory.time{idle}", 80.0 / 3600.0),
            ("agentcore.session.time{waiting}", 40.0),
            ("agentcore.session.time{working}", 20.0),
            ("agentcore.sessions", 1.0),
        ];
        let expected: BTreeMap<String, u64> =
            expected.into_iter().map(|(name, value)| (name.to_owned(), billionths(value))).collect();
        assert_eq!(figures, expected);
    }

    #[test]
    fn the_vcpus_are_those_configured_or_the_most_seen_rounded_up() {
        let half = || [row(1, 1, 0.5, 1.0)];
        let limit = |books: &HostedBooks| {
            let figures = figures(books);
            figures.into_iter().find(|(name, _)| name.starts_with("agentcore.cpu.limit")).unwrap()
        };
        let configured = |name: &str| BTreeMap::from([(name.to_owned(), 2.0)]);
        assert_eq!(limit(&booked(half(), &BTreeMap::new())), ("agentcore.cpu.limit{seen}".to_owned(), billionths(1.0)));
        assert_eq!(limit(&booked([row(1, 1, 1.2, 1.0)], &BTreeMap::new())).1, billionths(2.0));
        for name in ["support", "*"] {
            let books = booked(half(), &configured(name));
            assert_eq!(limit(&books), ("agentcore.cpu.limit{configured}".to_owned(), billionths(2.0)));
            assert_eq!(figures(&books)["agentcore.session.time{waiting}"], billionths(0.75));
        }
    }

    #[test]
    fn what_is_booked_stays_when_more_vcpus_are_seen() {
        let one = figures(&booked([row(1, 1, 1.0, 1.0)], &BTreeMap::new()));
        let both = figures(&booked([row(1, 1, 1.0, 1.0), row(1, 2, 2.0, 1.0)], &BTreeMap::new()));
        for (name, value) in one {
            assert!(both[&name] >= value, "{name} went back");
        }
    }

    #[test]
    fn a_session_counts_once_and_another_once_more() {
        let rows = [row(1, 1, 0.1, 1.0), row(2, 2, 0.1, 1.0), row(1, 3, 0.1, 1.0), row(0, 4, 0.1, 1.0)];
        let books = booked(rows, &BTreeMap::new());
        assert_eq!(figures(&books)["agentcore.sessions"], billionths(2.0));
        let context = HostingContext { now: NOW, prices: UnitPrices::published(), vcpus: &BTreeMap::new() };
        let mut restored = HostedBooks::restored(books.save());
        restored.book(&row(2, 5, 0.1, 1.0), &context);
        assert_eq!(figures(&restored)["agentcore.sessions"], billionths(2.0), "also over a restart");
    }

    #[test]
    fn more_agents_and_sessions_than_there_is_room_for_lose_nothing_but_their_names() {
        let many = |index: u64| {
            let mut row = row(index + 1, index, 1.0, 1.0);
            row.agent.name = format!("agent {}", index % 1500).into();
            row
        };
        let books = booked((0..30_000).map(many), &BTreeMap::new());
        assert!(
            books.sessions.len() <= HostedBooks::MAX_SESSIONS && books.entries.len() <= HostedBooks::MAX_AGENTS + 1
        );
        assert!(books.folded() > 0);
        let seconds: u128 = books.entries.values().map(|entry| entry.vcpu_ns / SECOND).sum();
        let sessions: u64 = books.entries.values().map(|entry| entry.sessions).sum();
        assert_eq!((seconds, sessions), (30_000, 30_000));
    }

    proptest! {
        #[test]
        fn sums_are_exact_in_any_order_and_over_any_restart(
            rows in prop::collection::vec((1..5_u64, 0..10_000_u64, 0..3_600_000_000_000_u64, any::<u32>(), any::<u32>()), 1..50),
            cut in 0..50_usize,
        ) {
            let rows: Vec<AgentUsage> = rows.into_iter().map(|(session, at_s, elapsed_ns, vcpu_ns, gb_ns)| AgentUsage {
                elapsed_ns, vcpu_ns: vcpu_ns.into(), gb_ns: gb_ns.into(), ..row(session, at_s, 0.0, 0.0)
            }).collect();
            let vcpus = BTreeMap::from([("*".to_owned(), 2.0)]);
            let context = HostingContext { now: NOW, prices: UnitPrices::published(), vcpus: &vcpus };
            let mut forth = HostedBooks::default();
            for (index, row) in rows.iter().enumerate() {
                if index == cut {
                    let text = serde_json::to_string(&forth.save()).unwrap();
                    forth = HostedBooks::restored(serde_json::from_str(&text).unwrap());
                }
                forth.book(row, &context);
            }
            let back = booked(rows.iter().rev().cloned(), &vcpus);
            let sum = |of: fn(&AgentUsage) -> u64| rows.iter().map(|row| u128::from(of(row))).sum::<u128>();
            for books in [&forth, &back] {
                let entry = books.entries.values().next().unwrap();
                prop_assert_eq!(entry.vcpu_ns, sum(|row| row.vcpu_ns));
                prop_assert_eq!(entry.gb_active_ns + entry.gb_idle_ns, sum(|row| row.gb_ns));
                prop_assert_eq!(entry.working_ns + entry.waiting_ns, sum(|row| row.elapsed_ns));
                prop_assert_eq!(entry.cpu_cost, Some(sum(|row| row.vcpu_ns) * 89_500_000));
                prop_assert_eq!(entry.memory_cost, Some(sum(|row| row.gb_ns) * 9_450_000));
            }
            prop_assert_eq!(forth.entries.values().next().unwrap().working_ns, back.entries.values().next().unwrap().working_ns);
        }
    }
}
