//! Collecting: snapshots at their interval and relayed requests as they come.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant as Moment, MissedTickBehavior, interval_at};
use tracing::{debug, error};
use wattline_core::{Envelope, Feed, Signal, Snapshot, Tick, queue};

use super::shared::Shared;
use super::{Encode, Encoding};
use crate::reason::DropReason;
use crate::spool::{Pending, SnapshotNumber};

/// Relayed requests taken from the queue at once, and put into the spool in one transaction.
const BATCH: usize = 64;

/// How often it is looked whether relayed requests wait in memory for too long.
const HELD: Duration = Duration::from_millis(500);

pub(super) struct Collector<'a> {
    shared: &'a Shared,
    signals: Vec<Signal>,
    /// `None` while it is at work, and where figures of ours are not sent.
    encoder: Option<Box<dyn Encode>>,
    last: Option<Tick>,
    number: u64,
}

impl<'a> Collector<'a> {
    pub(super) async fn new(shared: &'a Shared, signals: Vec<Signal>, encoder: Option<Box<dyn Encode>>) -> Self {
        Self { shared, signals, encoder, last: None, number: shared.next_snapshot().await }
    }

    pub(super) async fn run(mut self, feed: Feed, interval: Duration, grace: Duration) {
        let Feed { mut snapshots, mut envelopes } = feed;
        let mut ticks = interval_at(Moment::now() + interval, interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // What is there already counts as news, so that the first figures go out at once.
        snapshots.mark_changed();
        let mut snapshots_last = true;
        let mut held = tokio::time::interval(HELD);
        held.set_missed_tick_behavior(MissedTickBehavior::Delay);
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
                _ = ticks.tick(), if snapshots_last => {
                    self.take_snapshot(&mut snapshots).await;
                    self.shared.tell_and_rest().await;
                }
                _ = held.tick(), if envelopes.is_some() => self.shared.write_held().await,
                more = receive(&mut envelopes, &mut batch) => {
                    self.take_envelopes(&mut batch).await;
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
        if snapshot.samples.is_empty() || self.last == Some(snapshot.tick) {
            return;
        }
        let Some(mut encoder) = self.encoder.take() else { return };
        self.last = Some(snapshot.tick);
        let samples = snapshot.samples.len() as u64;
        let encoding = tokio::task::spawn_blocking(move || {
            let encoding = encoder.encode(&snapshot);
            let state = encoder.state();
            (encoder, encoding, state)
        });
        match encoding.await {
            Ok((encoder, encoding, state)) => {
                self.encoder = Some(encoder);
                self.push_snapshot(encoding, state).await;
            }
            Err(panicked) => {
                error!(destination = self.shared.name, %panicked, "a snapshot could not be encoded; please report it");
                self.shared.lose(Signal::Metrics, samples, DropReason::Encoding);
            }
        }
    }

    async fn push_snapshot(&mut self, encoding: Encoding, state: Option<Vec<u8>>) {
        let snapshot = encoding.is_cumulative.then_some(SnapshotNumber(self.number));
        self.number = self.number.saturating_add(1);
        self.shared.push(self.pending(Signal::Metrics, encoding, snapshot), state).await;
    }

    /// The requests of an encoding. What is not in them is counted.
    fn pending(&self, signal: Signal, encoding: Encoding, snapshot: Option<SnapshotNumber>) -> Vec<Pending> {
        let Encoding { requests, lost, shortened, is_cumulative: _ } = encoding;
        for (reason, items) in lost {
            self.shared.lose(signal, items, reason);
        }
        self.shared.shortened(shortened);
        requests.into_iter().map(|(body, items)| Pending { signal, body, items, snapshot }).collect()
    }

    /// Puts a batch in line. Who waits for it to be safe is told.
    async fn take_envelopes(&mut self, batch: &mut Vec<Envelope>) {
        let mut requests = Vec::with_capacity(batch.len());
        let mut receipts = Vec::new();
        for Envelope { signal, body, items, at: _, receipt } in batch.drain(..) {
            if self.signals.contains(&signal) {
                match self.encoder.as_mut().and_then(|encoder| encoder.relay(signal, &body, items)) {
                    Some(encoding) => requests.extend(self.pending(signal, encoding, None)),
                    None => requests.push(Pending { signal, body, items, snapshot: None }),
                }
                receipts.extend(receipt);
            } else {
                debug!(destination = self.shared.name, signal = signal.as_str(), "not sent here, by configuration");
                receipt.into_iter().for_each(wattline_core::Receipt::kept);
            }
        }
        if receipts.is_empty() {
            // Whoever sent it was told that it is in memory.
            return self.shared.hold(requests).await;
        }
        // What is not kept drops its receipts, which tells the sender to come again.
        if self.shared.push(requests, None).await {
            receipts.into_iter().for_each(wattline_core::Receipt::kept);
        }
    }
}

/// Waits for relayed requests; false when no more will come. Without a queue it waits for ever.
async fn receive(envelopes: &mut Option<queue::Receiver<Envelope>>, batch: &mut Vec<Envelope>) -> bool {
    match envelopes {
        Some(envelopes) => envelopes.next_many(batch, BATCH).await > 0,
        None => std::future::pending().await,
    }
}
