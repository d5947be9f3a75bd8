//! `wattline replay`: recorded calls, through the same pipeline as those that arrive, and what the books come to.
//!
//! Everything is read first and booked in the order of its time, so that days, pairs of accounts and what was said twice
//! come out as they would have while it happened, whatever the order of the files.

mod files;

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use wattline_core::attribute::key;
use wattline_core::{Descriptor, Instant, Reading, Readings, Sample, Tick, Timestamp, metrics};
use wattline_ledger::Series;

use crate::account::{Account, Tally, day};
use crate::bookkeeping;
use crate::cli::{By, ReplayArgs};
use crate::config::Config;
use crate::pipeline::Pipeline;
use crate::role::Role;
use files::Recording;

/// What came of a replay.
pub struct Replayed {
    /// What the books came to.
    pub account: Account,
    /// What was left out and why, a sentence each.
    pub notes: Vec<String>,
}

/// Books what the files hold.
pub fn replay(config: &Config, args: &ReplayArgs) -> Result<Replayed> {
    if matches!(args.by, By::Workload | By::Device | By::State | By::Method) {
        bail!(
            "--by {0} is about a machine, and recorded calls are of none: choose model, provider, service, agent, \
               operation or day",
            args.by.word()
        );
    }
    let Recording { mut events, left_out, notes } = Recording::read(&args.files, &config.probes.bedrock.rules())?;
    events.sort_by_key(|(at, _)| *at);
    let (Some(first), Some(last)) = (events.first().map(|(at, _)| *at), events.last().map(|(at, _)| *at)) else {
        bail!("{}", in_vain(&left_out, &notes));
    };
    let mut books = Books::new(config, args.by, first);
    for (at, reading) in events {
        books.take(at, reading);
    }
    let mut notes = notes;
    notes.extend(left_out.iter().map(|(reason, count)| format!("{count} left out: {reason}")));
    Ok(Replayed { account: books.close(first, last), notes })
}

fn in_vain(left_out: &BTreeMap<&'static str, u64>, notes: &[String]) -> String {
    let left_out = left_out.iter().map(|(reason, count)| format!("{count} left out: {reason}"));
    let why: Vec<String> = left_out.chain(notes.iter().cloned()).collect();
    format!("no call of a language model is in these files; {}", why.join("; "))
}

/// The books of a replay, told by the day.
struct Books {
    pipeline: Pipeline,
    tally: Tally,
    first: Timestamp,
    day: String,
    last: Tick,
    told: BTreeMap<Series, u64>,
    factors: (Option<f64>, Option<f64>),
}

impl Books {
    fn new(config: &Config, by: By, first: Timestamp) -> Self {
        // The calls are of no machine.
        let config = Config { role: Role::Gateway, ..config.clone() };
        Self {
            pipeline: Pipeline::new(&config, None),
            tally: Tally::new(by),
            first,
            day: day(first),
            last: Tick::default(),
            told: BTreeMap::new(),
            factors: (None, None),
        }
    }

    fn take(&mut self, at: Timestamp, reading: Reading) {
        let day = day(at);
        if day != self.day {
            self.end_day();
            self.day = day;
        }
        let since = at.unix_nanos().saturating_sub(self.first.unix_nanos());
        self.last = Tick { at: Instant::from_nanos(since), wall: at };
        self.pipeline.ingest(&Readings { source: "replay", tick: self.last, items: vec![reading] });
    }

    /// Adds what the books have come to since the last time.
    fn end_day(&mut self) {
        self.pipeline.settle_now(self.last.wall);
        let samples = self.pipeline.snapshot(self.last, &[]).samples;
        self.factors = factors(&samples);
        let metrics = self.tally.metrics();
        for total in bookkeeping::totals(&samples) {
            let Some(metric) = metrics.iter().copied().find(|metric| metric.name == total.series.metric) else {
                continue;
            };
            let told = self.told.entry(total.series.clone()).or_default();
            self.tally.add(metric, &total.series.labels, &self.day, total.amount.saturating_sub(*told));
            *told = total.amount;
        }
    }

    fn close(mut self, first: Timestamp, last: Timestamp) -> Account {
        self.end_day();
        self.tally.account(first, last, self.factors)
    }
}

/// The widest factors of energy and of carbon.
fn factors(samples: &[Sample]) -> (Option<f64>, Option<f64>) {
    let widest = |quantity: &Descriptor| {
        let told = samples.iter().filter(|sample| {
            std::ptr::eq(sample.metric, metrics::UNCERTAINTY.descriptor())
                && sample.attribute(key::UNCERTAINTY_QUANTITY) == Some(quantity.name)
        });
        told.filter_map(Sample::number).max_by(f64::total_cmp)
    };
    (widest(metrics::INFERENCE_ENERGY.descriptor()), widest(metrics::INFERENCE_CARBON.descriptor()))
}
