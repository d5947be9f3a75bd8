//! Collecting: snapshots at their interval and relayed requests as they come.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::{Instant as Moment, MissedTickBehavior, interval_at};
use tracing::{debug, error};
use wattline_core::{Envelope, Feed, Signal, Snapshot, Tick, queue};
use wattline_export_delivery::{DropReason, Limits, Pending, SnapshotNumber};
use wattline_wire::metrics::{Encoded, Limit, encode};

use crate::Context;
use crate::fit::fit;
use crate::line::Line;
use crate::plan::Plan;
use crate::shared::Shared;

/// Runs a destination until its feed ends and what waits is sent or counted.
pub(crate) async fn run(plan: Plan, context: Context, feed: Feed) {
    let Plan { name, routes, timeout, interval, limits, retry, grace, short_labels } = plan;
    let Context { telemetry, now: _, seed } = context;
    let shared = Shared::new(name, telemetry, limits);
    let signals: Vec<Signal> = routes.iter().map(|route| route.signal).collect();
    let mut lines = routes.into_iter().map(|route| Line::new(route, timeout, &retry, seed));
    let [first, second, third] = [lines.next(), lines.next(), lines.next()];
    let send = async |line: Option<Line>| {
        if let Some(line) = line {
            line.run(&shared).await;
        }
    };
    let collector = Collector { shared: &shared, signals, limits, short_labels, last: None, number: 0 };
    tokio::join!(collector.run(feed, interval, grace), send(first), send(second), send(third));
    shared.close();
}

/// Relayed requests taken from the queue at once.
const BATCH: usize = 64;

struct Collector<'a> {
    shared: &'a Shared,
    signals: Vec<Signal>,
    limits: Limits,
    short_labels: bool,
    last: Option<Tick>,
    number: u64,
}

impl Collector<'_> {
    async fn run(mut self, feed: Feed, interval: Duration, grace: Duration) {
        let Feed { mut snapshots, mut envelopes } = feed;
        let mut ticks = interval_at(Moment::now() + interval, interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // What is there already counts as news, so that the first figures go out at once.
        snapshots.mark_changed();
        let mut snapshots_last = true;
        let mut batch = Vec::with_capacity(BATCH);
        while snapshots_last || envelopes.is_some() {
            tokio::select! {
                changed = snapshots.changed(), if snapshots_last => match changed {
                    Err(_ended) => snapshots_last = false,
                    Ok(()) if self.last.is_none() => {
                        self.take_snapshot(&mut snapshots).await;
                        ticks.reset();
                    }
                    Ok(()) => {}
                },
                _ = ticks.tick(), if snapshots_last => self.take_snapshot(&mut snapshots).await,
                more = receive(&mut envelopes, &mut batch) => {
                    for envelope in batch.drain(..) {
                        self.take_envelope(envelope);
                    }
                    if !more {
                        envelopes = None;
                    }
                }
            }
        }
        self.take_snapshot(&mut snapshots).await;
        self.shared.end(grace);
    }

    /// Encodes the newest snapshot, unless it was sent or is empty.
    async fn take_snapshot(&mut self, snapshots: &mut watch::Receiver<Arc<Snapshot>>) {
        let snapshot = Arc::clone(&snapshots.borrow_and_update());
        if !self.signals.contains(&Signal::Metrics) || snapshot.samples.is_empty() || self.last == Some(snapshot.tick) {
            return;
        }
        self.last = Some(snapshot.tick);
        self.number = self.number.saturating_add(1);
        let points = usize::try_from(self.limits.request_points).unwrap_or(usize::MAX);
        let limit = Limit { points, bytes: self.limits.request_bytes };
        let samples = snapshot.samples.len() as u64;
        let encoding = tokio::task::spawn_blocking(move || encode(&snapshot.resource, &snapshot.samples, limit));
        match encoding.await {
            Ok(Encoded { requests, skipped }) => {
                self.shared.lose(Signal::Metrics, skipped, DropReason::Encoding);
                for request in requests {
                    self.shared.push(Pending {
                        signal: Signal::Metrics,
                        body: self.fitted(Signal::Metrics, request.body),
                        items: request.points,
                        at: self.shared.now(),
                        snapshot: Some(SnapshotNumber(self.number)),
                    });
                }
            }
            Err(panicked) => {
                error!(destination = self.shared.name, %panicked, "a snapshot could not be encoded; please report it");
                self.shared.lose(Signal::Metrics, samples, DropReason::Encoding);
            }
        }
    }

    fn take_envelope(&self, envelope: Envelope) {
        let Envelope { signal, body, items, at: _ } = envelope;
        if !self.signals.contains(&signal) {
            debug!(destination = self.shared.name, signal = signal.as_str(), "not sent here, by configuration");
            return;
        }
        let body = self.fitted(signal, body);
        self.shared.push(Pending { signal, body, items, at: self.shared.now(), snapshot: None });
    }

    /// A request that the destination takes.
    fn fitted(&self, signal: Signal, body: Bytes) -> Bytes {
        if !self.short_labels || signal != Signal::Metrics {
            return body;
        }
        let (body, shortened) = fit(body);
        self.shared.shortened(shortened);
        body
    }
}

/// Waits for relayed requests; false when no more will come. Without a queue it waits for ever.
async fn receive(envelopes: &mut Option<queue::Receiver<Envelope>>, batch: &mut Vec<Envelope>) -> bool {
    match envelopes {
        Some(envelopes) => envelopes.next_many(batch, BATCH).await > 0,
        None => std::future::pending().await,
    }
}
