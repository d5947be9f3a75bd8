//! `wattline report`: what the books came to over a time.
//!
//! The sums are over integers, so that rows add up to the total exactly, and the total of a machine's energy is what its
//! counters were seen to grow by.

mod page;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use serde_json::{Map, Value as Json};
use wattline_core::attribute::key;
use wattline_core::{Descriptor, Method, Timestamp, metrics};
use wattline_ledger::books::{Period, Reader, scale};

use crate::cli::{By, ReportArgs};
use crate::config::Config;
use crate::state::LEDGER;

/// What the books came to.
#[derive(Clone, Debug, Serialize)]
pub struct Account {
    /// The first moment that is counted.
    pub since: String,
    /// The first moment that is not counted any more.
    pub until: String,
    /// The parts of time that begin and end were rounded to: `minute`, `hour` or `day`.
    pub resolution: &'static str,
    /// The first moment in the books and the last that was written, where that is less than was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub covered: Option<[String; 2]>,
    /// What the rows stand for.
    pub by: &'static str,
    /// The rows, the largest energy first.
    pub rows: Vec<Entry>,
    /// Their sum.
    pub total: Entry,
    /// f of the 90 % range x/f to x*f of the total's energy, the mean over the time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub energy_factor: Option<f64>,
    /// The same of carbon: the wider of the kinds'.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub carbon_factor: Option<f64>,
}

/// One row.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Entry {
    /// What it stands for.
    pub name: String,
    /// Energy in joules.
    pub energy_j: f64,
    /// Carbon of electricity in grams of CO2e.
    pub carbon_operational_g: f64,
    /// Carbon of making the machines in grams of CO2e.
    pub carbon_embodied_g: f64,
    /// Cost in dollars.
    pub cost_usd: f64,
    /// How the energy is known, at its weakest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<Method>,
    /// Calls of language models; nothing in a row about a machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls: Option<f64>,
    /// Their tokens in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<f64>,
    /// Of these, read from a cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_read_tokens: Option<f64>,
    /// Of these, written to a cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_tokens: Option<f64>,
    /// Their tokens out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<f64>,
    /// Of these, reasoning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_tokens: Option<f64>,
}

/// A row while it is summed up, in the smallest amounts booked.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    energy: u128,
    operational: u128,
    embodied: u128,
    cost: u128,
    calls: u128,
    input: u128,
    cache_read: u128,
    cache_write: u128,
    output: u128,
    reasoning: u128,
    method: Option<Method>,
}

/// The metrics that a report is about.
struct View {
    energy: &'static Descriptor,
    carbon: &'static Descriptor,
    cost: &'static Descriptor,
    is_of_calls: bool,
}

impl By {
    /// The word on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Workload => "workload",
            Self::Device => "device",
            Self::State => "state",
            Self::Method => "method",
            Self::Model => "model",
            Self::Provider => "provider",
            Self::Service => "service",
            Self::Agent => "agent",
            Self::Operation => "operation",
            Self::Day => "day",
        }
    }

    const fn view(self) -> View {
        match self {
            Self::Workload | Self::Device | Self::State | Self::Method => View {
                energy: metrics::WORKLOAD_ENERGY.descriptor(),
                carbon: metrics::WORKLOAD_CARBON.descriptor(),
                cost: metrics::WORKLOAD_COST.descriptor(),
                is_of_calls: false,
            },
            Self::Model | Self::Provider | Self::Service | Self::Agent | Self::Operation | Self::Day => View {
                energy: metrics::INFERENCE_ENERGY.descriptor(),
                carbon: metrics::INFERENCE_CARBON.descriptor(),
                cost: metrics::INFERENCE_COST.descriptor(),
                is_of_calls: true,
            },
        }
    }

    /// The name of the row that a series belongs to on a day.
    fn name(self, labels: &Map<String, Json>, day: &str) -> String {
        let label = |key: &str| labels.get(key).and_then(Json::as_str).unwrap_or_default().to_owned();
        match self {
            Self::Workload => workload(&label),
            Self::Device => label(key::HW_TYPE),
            Self::State => label(key::ENERGY_STATE),
            Self::Method => label(key::ENERGY_METHOD),
            Self::Model => label(key::GEN_AI_REQUEST_MODEL),
            Self::Provider => label(key::GEN_AI_PROVIDER_NAME),
            Self::Service => label(key::SERVICE_NAME),
            Self::Agent => label(key::GEN_AI_AGENT_NAME),
            Self::Operation => label(key::GEN_AI_OPERATION_NAME),
            Self::Day => day.to_owned(),
        }
    }
}

/// What a workload is called, from what tells it apart.
fn workload(label: &dyn Fn(&str) -> String) -> String {
    let first = |keys: &[&str]| keys.iter().map(|key| label(key)).find(|value| !value.is_empty());
    match label(key::WORKLOAD_KIND).as_str() {
        "none" if label(key::ENERGY_STATE) == "idle" => "idle: at rest, nobody's".to_owned(),
        "none" => "unattributed: no witness".to_owned(),
        "other" => "other: beyond limits.workloads".to_owned(),
        kind => {
            let pod = Some(label(key::K8S_POD_NAME)).filter(|pod| !pod.is_empty());
            let name = pod
                .map(|pod| [label(key::K8S_NAMESPACE_NAME), pod, label(key::K8S_CONTAINER_NAME)].join("/"))
                .map(|name| name.trim_end_matches('/').to_owned())
                .or_else(|| first(&[key::SYSTEMD_UNIT, key::PROCESS_EXECUTABLE_NAME, key::CONTAINER_ID]));
            format!("{} ({kind})", name.unwrap_or_default())
        }
    }
}

/// The period that was asked for.
pub fn period(args: &ReportArgs, now: Timestamp) -> Result<Period> {
    let since = args.since.of(now);
    let until = args.until.map_or(now, |until| until.of(now));
    if since >= until {
        bail!("--since is not before --until: there is nothing between");
    }
    Ok(Period::covering(since, until, now))
}

/// Sums up what the books have of `period`.
pub fn account(config: &Config, period: Period, by: By) -> Result<Account> {
    let path = config.state.directory().join(LEDGER);
    let reader = Reader::open(&path)
        .context("there are no books to report from; they are kept by `wattline run` in state.directory")?;
    let mut tally = Tally::new(by);
    let parts = if by == By::Day { period.days() } else { vec![period] };
    for part in parts {
        let day = day(part.since);
        for metric in tally.metrics() {
            for amount in reader.amounts(metric.name, part)? {
                tally.add(metric, &amount.series.labels, &day, amount.amount);
            }
        }
    }
    let factors = factors(&reader, period, &by.view())?;
    let covered = reader.covers(period.span)?.filter(|(first, last)| period.since < *first || period.until > *last);
    let resolution = match period.span.seconds() {
        60 => "minute",
        3_600 => "hour",
        _ => "day",
    };
    let covered = covered.map(|(first, last)| [written(first), written(last)]);
    Ok(Account { resolution, covered, ..tally.account(period.since, period.until, factors) })
}

/// Rows while they are summed up.
pub struct Tally {
    by: By,
    sums: BTreeMap<String, Sum>,
}

impl Tally {
    /// Nothing yet.
    pub const fn new(by: By) -> Self {
        Self { by, sums: BTreeMap::new() }
    }

    /// The metrics whose growth is to be added. Tokens were booked by their distributions before they had a counter.
    pub fn metrics(&self) -> Vec<&'static Descriptor> {
        let view = self.by.view();
        let of_calls = [
            metrics::INFERENCE_CALLS.descriptor(),
            metrics::INFERENCE_TOKENS.descriptor(),
            metrics::GEN_AI_TOKEN_USAGE.descriptor(),
        ];
        let calls = of_calls.into_iter().filter(|_| view.is_of_calls);
        [view.energy, view.carbon, view.cost].into_iter().chain(calls).collect()
    }

    /// Adds what a series came to on a day. `labels` is the JSON of its labels.
    pub fn add(&mut self, metric: &'static Descriptor, labels: &str, day: &str, amount: u64) {
        let labels: Map<String, Json> = serde_json::from_str(labels).unwrap_or_default();
        let sum = self.sums.entry(self.by.name(&labels, day)).or_default();
        sum.add(&self.by.view(), metric, &labels, u128::from(amount));
    }

    /// What it came to.
    pub fn account(self, since: Timestamp, until: Timestamp, factors: (Option<f64>, Option<f64>)) -> Account {
        let Self { by, sums } = self;
        let view = by.view();
        let total = sums.values().fold(Sum::default(), Sum::plus);
        let mut rows: Vec<(String, Sum)> = sums.into_iter().collect();
        // Days stand in their order.
        if by != By::Day {
            rows.sort_by_key(|(_, sum)| Reverse(sum.rank()));
        }
        let (energy_factor, carbon_factor) = factors;
        Account {
            since: written(since),
            until: written(until),
            resolution: "second",
            covered: None,
            by: by.word(),
            rows: rows.into_iter().map(|(name, sum)| sum.entry(name, &view)).collect(),
            total: total.entry("total".to_owned(), &view),
            energy_factor,
            carbon_factor,
        }
    }
}

/// The day of a moment, in UTC.
pub fn day(at: Timestamp) -> String {
    written(at).split('T').next().unwrap_or_default().to_owned()
}

/// How wrong the totals of energy and carbon may be, as the agent told it at the time: the widest of what it told.
fn factors(reader: &Reader, period: Period, view: &View) -> Result<(Option<f64>, Option<f64>)> {
    let told = reader.evidence(metrics::UNCERTAINTY.descriptor().name, period)?;
    let widest = |quantities: &[&str]| {
        let of_total = told.iter().filter(|told| {
            let labels: Map<String, Json> = serde_json::from_str(&told.series.labels).unwrap_or_default();
            let quantity = labels.get(key::UNCERTAINTY_QUANTITY).and_then(Json::as_str).unwrap_or_default();
            // A device has a factor of its own.
            quantities.contains(&quantity) && !labels.contains_key(key::HW_TYPE)
        });
        of_total.map(|told| told.mean).max_by(f64::total_cmp)
    };
    Ok(if view.is_of_calls {
        (widest(&[view.energy.name]), widest(&[view.carbon.name]))
    } else {
        (widest(&["energy"]), widest(&["carbon", "carbon.embodied"]))
    })
}

/// A time as it is written everywhere: RFC 3339, in UTC.
pub fn written(at: Timestamp) -> String {
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(at.unix_seconds());
    humantime::format_rfc3339_seconds(at).to_string()
}

impl Sum {
    fn add(&mut self, view: &View, metric: &Descriptor, labels: &Map<String, Json>, amount: u128) {
        let is = |key: &str, value: &str| labels.get(key).and_then(Json::as_str) == Some(value);
        let to = if std::ptr::eq(metric, view.energy) {
            let method = labels.get(key::ENERGY_METHOD).and_then(|word| serde_json::from_value(word.clone()).ok());
            self.method = self.method.max(method);
            &mut self.energy
        } else if std::ptr::eq(metric, view.carbon) {
            if is(key::CARBON_KIND, "embodied") { &mut self.embodied } else { &mut self.operational }
        } else if std::ptr::eq(metric, view.cost) {
            &mut self.cost
        } else if std::ptr::eq(metric, metrics::INFERENCE_CALLS.descriptor()) {
            &mut self.calls
        } else {
            match labels.get(key::GEN_AI_TOKEN_TYPE).and_then(Json::as_str) {
                Some("input") => &mut self.input,
                Some("cache_read") => &mut self.cache_read,
                Some("cache_write") => &mut self.cache_write,
                Some("reasoning") => &mut self.reasoning,
                _ => &mut self.output,
            }
        };
        *to = to.saturating_add(amount);
    }

    fn plus(self, other: &Self) -> Self {
        Self {
            energy: self.energy.saturating_add(other.energy),
            operational: self.operational.saturating_add(other.operational),
            embodied: self.embodied.saturating_add(other.embodied),
            cost: self.cost.saturating_add(other.cost),
            calls: self.calls.saturating_add(other.calls),
            input: self.input.saturating_add(other.input),
            cache_read: self.cache_read.saturating_add(other.cache_read),
            cache_write: self.cache_write.saturating_add(other.cache_write),
            output: self.output.saturating_add(other.output),
            reasoning: self.reasoning.saturating_add(other.reasoning),
            method: self.method.max(other.method),
        }
    }

    /// What rows are ordered by: energy, and where none is known, tokens.
    const fn rank(&self) -> (u128, u128, u128) {
        (self.energy, self.output, self.cost)
    }

    fn entry(self, name: String, view: &View) -> Entry {
        let in_units = |amount: u128, metric: &Descriptor| amount as f64 / scale(metric.unit);
        let of_calls = |amount, metric: &Descriptor| view.is_of_calls.then(|| in_units(amount, metric));
        let tokens = metrics::INFERENCE_TOKENS.descriptor();
        let name = if name.is_empty() { "(none)".to_owned() } else { name };
        Entry {
            name,
            energy_j: in_units(self.energy, view.energy),
            carbon_operational_g: in_units(self.operational, view.carbon),
            carbon_embodied_g: in_units(self.embodied, view.carbon),
            cost_usd: in_units(self.cost, view.cost),
            method: self.method,
            calls: of_calls(self.calls, metrics::INFERENCE_CALLS.descriptor()),
            input_tokens: of_calls(self.input, tokens),
            cache_read_tokens: of_calls(self.cache_read, tokens),
            cache_write_tokens: of_calls(self.cache_write, tokens),
            output_tokens: of_calls(self.output, tokens),
            reasoning_tokens: of_calls(self.reasoning, tokens),
        }
    }
}
