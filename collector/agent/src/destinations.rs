//! The destinations of a configuration, and what they are fed.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::error;
use wattline_core::{Envelope, Exporter, Feed, Readings, Snapshot, Telemetry, queue};
use wattline_export_cloudwatch::EmfExporter;
use wattline_export_delivery::{Context, Secret};
use wattline_export_file::FileExporter;
use wattline_export_otlp::OtlpExporter;
use wattline_probe_llm::otlp;

use crate::config::Config;
use crate::{clock, identity};

/// Bytes of relayed telemetry that wait for being handed on, and again for each destination to take them. A
/// destination takes them into a backlog of its own, so that little waits here for long.
const RELAY_BYTES: u64 = 64 << 20;
/// What an envelope takes beside its body, roughly.
const ENVELOPE_BYTES: u64 = 256;
/// So many that the bytes are used up first.
const RELAY_ITEMS: usize = 1 << 18;
/// Bytes of readings that wait for the pipeline, and their number.
const READINGS_BYTES: u64 = 2 << 20;
const READINGS: usize = 256;
/// What a reading takes with its texts, roughly: a call of a language model is the largest.
const READING_BYTES: u64 = 256;
/// Handing on what waits takes no longer than copying pointers.
const HAND_ON: Duration = Duration::from_millis(500);
/// What a destination may take to end beyond the time that it has for sending.
const SLACK: Duration = Duration::from_secs(1);

/// The queue of relayed telemetry, before it is handed to every destination or for one of them.
pub fn relay_queue() -> (queue::Sender<Envelope>, queue::Receiver<Envelope>) {
    queue::bounded_in_bytes(RELAY_ITEMS, RELAY_BYTES, |envelope| envelope.body.len() as u64 + ENVELOPE_BYTES)
}

/// The queue of readings for the pipeline.
pub fn readings_queue() -> (queue::Sender<Readings>, queue::Receiver<Readings>) {
    queue::bounded_in_bytes(READINGS, READINGS_BYTES, |readings| readings.items.len() as u64 * READING_BYTES)
}

/// The exporters of a configuration.
pub fn exporters(config: &Config, telemetry: &Telemetry) -> Result<Vec<Box<dyn Exporter>>> {
    each(config, telemetry).collect()
}

/// The exporters of a configuration without those that cannot be made any more, which is said.
pub fn exporters_that_open(config: &Config, telemetry: &Telemetry) -> Vec<Box<dyn Exporter>> {
    let opened = each(config, telemetry).filter_map(|exporter| {
        exporter.inspect_err(|error| error!("a destination is off until the next reload: {error:#}")).ok()
    });
    opened.collect()
}

/// What the destinations of a configuration are lent.
pub fn context(config: &Config, telemetry: &Telemetry) -> Context {
    let spools = Some(config.state.directory().join("spool"));
    Context { telemetry: telemetry.clone(), now: clock::wall, seed: clock::tick().at.nanos(), spools }
}

fn each(config: &Config, telemetry: &Telemetry) -> impl Iterator<Item = Result<Box<dyn Exporter>>> {
    let otlp = config.exporters.all_otlp().map(|(table, mut destination)| {
        // Amazon sends nothing back.
        if destination.aws.is_none() {
            destination.headers.insert(otlp::VIA.to_owned(), Secret::new(identity::own_mark()));
        }
        let exporter = OtlpExporter::new(destination, context(config, telemetry)).context(table)?;
        Ok(Box::new(exporter) as Box<dyn Exporter>)
    });
    let file = config.exporters.file.iter().map(|destination| {
        let exporter = FileExporter::new(destination.clone(), telemetry.clone()).context("exporters.file")?;
        Ok(Box::new(exporter) as Box<dyn Exporter>)
    });
    let emf = config.exporters.emf.iter().map(|destination| {
        let exporter = EmfExporter::new(destination.clone(), context(config, telemetry)).context("exporters.emf")?;
        Ok(Box::new(exporter) as Box<dyn Exporter>)
    });
    otlp.chain(file).chain(emf)
}

/// The destinations, running: each is a task, with a queue of its own for relayed telemetry.
#[derive(Debug)]
pub struct Destinations {
    outlets: Outlets,
    relay: CancellationToken,
    fan_out: JoinHandle<()>,
    tasks: JoinSet<()>,
    grace: Duration,
}

impl Destinations {
    /// Starts `exporters` on `watched` and on what is `relayed`. `grace` is the longest time that one of them takes
    /// for sending after the end.
    pub fn start(
        exporters: Vec<Box<dyn Exporter>>,
        watched: &watch::Receiver<Arc<Snapshot>>,
        relayed: queue::Receiver<Envelope>,
        telemetry: &Telemetry,
        grace: Duration,
    ) -> Self {
        let mut tasks = JoinSet::new();
        let mut senders = Vec::new();
        for exporter in exporters {
            let name: Arc<str> = exporter.name().into();
            let (sender, envelopes) = relay_queue();
            tasks.spawn(exporter.run(Feed { snapshots: watched.clone(), envelopes: Some(envelopes) }));
            senders.push((name, sender));
        }
        let outlets = Outlets { senders, telemetry: telemetry.clone() };
        let relay = CancellationToken::new();
        let fan_out = tokio::spawn(fan_out(relayed, outlets.clone(), relay.clone()));
        Self { outlets, relay, fan_out, tasks, grace }
    }

    /// Offers an envelope to every destination.
    pub fn offer(&self, envelope: &Envelope) {
        self.outlets.offer(envelope);
    }

    /// Refuses what senders still bring, hands on what waits, ends the feed of snapshots, and waits for the
    /// destinations to send what they have. Those that do not end in time are left behind.
    pub async fn finish(self, snapshots: watch::Sender<Arc<Snapshot>>) {
        let Self { outlets, relay, mut fan_out, mut tasks, grace } = self;
        relay.cancel();
        if tokio::time::timeout(HAND_ON, &mut fan_out).await.is_err() {
            error!("relayed telemetry could not be handed on in time");
            fan_out.abort();
        }
        drop((outlets, snapshots));
        let grace = grace + SLACK;
        if tokio::time::timeout(grace, async { while tasks.join_next().await.is_some() {} }).await.is_err() {
            error!(?grace, "a destination did not end in time and is left behind");
        }
    }
}

/// The ways to the destinations, by name.
#[derive(Clone, Debug)]
struct Outlets {
    senders: Vec<(Arc<str>, queue::Sender<Envelope>)>,
    telemetry: Telemetry,
}

impl Outlets {
    /// A destination whose queue is full loses the envelope, counted: it must not hold up the others.
    fn offer(&self, envelope: &Envelope) {
        for (name, sender) in &self.senders {
            if sender.offer(envelope.clone()).is_err() {
                self.telemetry.dropped(envelope.items, "queue_full", envelope.signal, name);
            }
        }
    }
}

/// Hands every relayed envelope to every destination, until told to close and nothing waits any more.
async fn fan_out(mut relayed: queue::Receiver<Envelope>, outlets: Outlets, close: CancellationToken) {
    while let Some(Some(envelope)) = close.run_until_cancelled(relayed.next()).await {
        outlets.offer(&envelope);
    }
    relayed.close();
    while let Some(envelope) = relayed.next().await {
        outlets.offer(&envelope);
    }
}

#[cfg(test)]
mod tests {
    use wattline_core::{Signal, Timestamp};

    use super::*;

    fn envelope(bytes: usize) -> Envelope {
        Envelope {
            signal: Signal::Traces,
            body: vec![0; bytes].into(),
            items: 1,
            at: Timestamp::default(),
            receipt: None,
        }
    }

    #[test]
    fn what_waits_for_a_destination_is_bounded_in_bytes_and_by_nothing_else() {
        let (sender, _receiver) = relay_queue();
        for _ in 0..10_000 {
            sender.offer(envelope(1000)).unwrap();
        }
        let (sender, _receiver) = relay_queue();
        let large = || sender.offer(envelope(20 << 20));
        assert_eq!([large().is_ok(), large().is_ok(), large().is_ok(), large().is_ok()], [true, true, true, false]);
    }

    #[tokio::test]
    async fn closing_hands_on_what_waits_and_refuses_the_rest() {
        let (relay, relayed) = relay_queue();
        let (sender, mut taken) = relay_queue();
        let outlets = Outlets { senders: vec![("x".into(), sender)], telemetry: Telemetry::none() };
        for _ in 0..3 {
            relay.offer(envelope(1)).unwrap();
        }
        let close = CancellationToken::new();
        close.cancel();
        // A sender that is still connected does not keep it from ending.
        fan_out(relayed, outlets, close).await;
        assert_eq!(std::iter::from_fn(|| taken.try_next()).count(), 3);
        assert_eq!(relay.offer(envelope(1)), Err(queue::Refused::Closed));
    }
}
