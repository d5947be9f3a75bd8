//! Figures in `CloudWatch`'s embedded metric format: to a log of any kind, of which `CloudWatch` makes metrics.
//!
//! One task collects: it takes a snapshot every interval, leaves out what the destination does not want, turns the sums
//! into what came since, and encodes that. Another sends: it takes the oldest body, repeats it until it is taken, and
//! counts what never is. What waits is bounded in bytes and age.

mod config;
pub mod cost;
pub mod emf;
mod logs;
mod plan;
mod send;
mod sink;
mod web;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use wattline_core::flow::Task;
use wattline_core::{Envelope, Exporter, Feed, Signal, Snapshot, Telemetry, Tick, Timestamp, queue};
use wattline_export_delivery::{Deltas, DropReason, View};

pub use config::{Config, OpenError, SinkKind};
pub use sink::{Body, Packing};

use plan::Plan;
use send::{Parcel, Sender};

/// What a destination gets from the agent.
#[derive(Clone, Debug)]
pub struct Context {
    /// Where it counts.
    pub telemetry: Telemetry,
    /// The civil clock.
    pub now: fn() -> Timestamp,
    /// Tells this machine's waits from those of others.
    pub seed: u64,
}

/// Sends the figures of every interval as events.
#[derive(Debug)]
pub struct EmfExporter {
    plan: Plan,
    context: Context,
    opened: Timestamp,
}

impl EmfExporter {
    /// Refuses a configuration that cannot work. Nothing is opened before [`Exporter::run`].
    ///
    /// Of sums that began before now, such as traffic since boot, only what comes from now on is told.
    pub fn new(config: Config, context: Context) -> Result<Self, OpenError> {
        let opened = (context.now)();
        Ok(Self { plan: Plan::new(config, context.now)?, context, opened })
    }
}

impl Exporter for EmfExporter {
    fn name(&self) -> &str {
        &self.plan.name
    }

    fn run(self: Box<Self>, feed: Feed) -> Task<()> {
        Box::pin(run(*self, feed))
    }
}

/// The most bodies that wait: each has an overhead beside its bytes.
const WAITING: usize = 1 << 16;

async fn run(exporter: EmfExporter, feed: Feed) {
    let EmfExporter { plan, context, opened } = exporter;
    let Plan { name, interval, grace, view, maker, sink, timeout, max_age, backlog_bytes } = plan;
    let (parcels, waiting) =
        queue::bounded_in_bytes(WAITING, backlog_bytes, |parcel: &Parcel| parcel.body.bytes.len() as u64);
    let stop = CancellationToken::new();
    let sender = Sender::new(name.clone(), sink, context.clone(), timeout, max_age);
    let sending = tokio::spawn(sender.run(waiting, stop.clone()));
    let losses = Losses { name, telemetry: context.telemetry };
    let mut collector = Collector { view, deltas: Deltas::new(opened), maker, losses, parcels, is_warned: false };
    collect(&mut collector, feed, interval).await;
    drop(collector);
    tokio::pin!(sending);
    if tokio::time::timeout(grace, &mut sending).await.is_err() {
        stop.cancel();
        // It only counts what is left.
        if let Err(error) = sending.await {
            tracing::error!(%error, "the sending of events was cut short");
        }
    }
}

async fn collect(collector: &mut Collector, feed: Feed, interval: Duration) {
    let Feed { snapshots, mut envelopes } = feed;
    let mut newest = Arc::clone(&snapshots.borrow());
    let mut told: Option<Tick> = None;
    let mut snapshots = Some(snapshots);
    let mut timer = tokio::time::interval(interval);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let ended = snapshots.is_none();
        let mut due = ended;
        if !ended {
            tokio::select! {
                _ = timer.tick() => due = true,
                more = next_snapshot(&mut snapshots, &mut newest) => if !more { snapshots = None },
                more = discard(&mut envelopes), if envelopes.is_some() => if !more { envelopes = None },
            }
        }
        if due && told != Some(newest.tick) && !newest.samples.is_empty() {
            told = Some(newest.tick);
            collector.tell(&newest);
        }
        if ended {
            return;
        }
    }
}

/// False when there will be no other.
async fn next_snapshot(snapshots: &mut Option<watch::Receiver<Arc<Snapshot>>>, newest: &mut Arc<Snapshot>) -> bool {
    let Some(snapshots) = snapshots else { return false };
    let more = snapshots.changed().await.is_ok();
    newest.clone_from(&snapshots.borrow_and_update());
    more
}

/// Relayed telemetry is not for this kind of destination. False when there will be no other.
async fn discard(envelopes: &mut Option<queue::Receiver<Envelope>>) -> bool {
    let Some(envelopes) = envelopes else { return false };
    let Some(envelope) = envelopes.next().await else { return false };
    // None of it is wanted here, so that none of it can be lost.
    envelope.receipt.into_iter().for_each(wattline_core::Receipt::kept);
    true
}

/// Turns snapshots into bodies.
#[derive(Debug)]
struct Collector {
    view: View,
    deltas: Deltas,
    maker: plan::Maker,
    losses: Losses,
    parcels: queue::Sender<Parcel>,
    is_warned: bool,
}

impl Collector {
    fn tell(&mut self, snapshot: &Snapshot) {
        let viewed = self.view.apply(snapshot);
        let samples = self.deltas.convert(&viewed.samples);
        let made = self.maker.make(&Snapshot { samples, ..viewed });
        self.losses.count(made.invalid, "invalid");
        self.losses.count(made.too_large, DropReason::TooLarge.as_str());
        if !made.without_dimensions.is_empty() && !std::mem::replace(&mut self.is_warned, true) {
            let metrics: Vec<&str> = made.without_dimensions.iter().copied().collect();
            tracing::warn!(
                exporter = self.losses.name,
                metrics = metrics.join(", "),
                "no set of `dimensions` has labels that the points of these metrics have, so that they are not told; \
                 add a set, or [] for all"
            );
        }
        for body in made.bodies {
            let items = body.items;
            if self.parcels.offer(Parcel { body, at: tokio::time::Instant::now() }).is_err() {
                self.losses.count(items, DropReason::QueueFull.as_str());
            }
        }
    }
}

/// Counts what does not arrive.
#[derive(Clone, Debug)]
struct Losses {
    name: String,
    telemetry: Telemetry,
}

impl Losses {
    fn count(&self, items: u64, reason: &'static str) {
        if items > 0 {
            self.telemetry.dropped(items, reason, Signal::Metrics, &self.name);
        }
    }
}

#[cfg(test)]
mod tests;
