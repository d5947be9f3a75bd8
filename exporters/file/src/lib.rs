//! Figures and relayed telemetry as OTLP JSON lines, in a file or on standard output.
//!
//! For machines without a network, for debugging, and for collectors that read files. What a failing disk costs is
//! said once, counted, and made good as soon as the disk works again; a file never ends in half a line.

mod config;
mod lines;
mod writer;

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use wattline_core::flow::Task;
use wattline_core::{Envelope, Exporter, Feed, Snapshot, Telemetry, Tick, queue};

pub use config::{Config, ConfigError};
use lines::Piece;
use writer::Writer;

/// Writes every snapshot that an interval ends with, and everything relayed.
#[derive(Debug)]
pub struct FileExporter {
    config: Config,
    telemetry: Telemetry,
}

impl FileExporter {
    /// Refuses a configuration that cannot work. Nothing is opened before [`Exporter::run`].
    pub fn new(config: Config, telemetry: Telemetry) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(Self { config, telemetry })
    }
}

impl Exporter for FileExporter {
    fn name(&self) -> &str {
        &self.config.name
    }

    fn run(self: Box<Self>, feed: Feed) -> Task<()> {
        Box::pin(run(*self, feed))
    }
}

/// The most relayed requests written at a time, so that a snapshot does not wait behind all of them.
const BATCH: usize = 64;

async fn run(exporter: FileExporter, feed: Feed) {
    let FileExporter { config, telemetry } = exporter;
    let Feed { snapshots, mut envelopes } = feed;
    let mut newest = Arc::clone(&snapshots.borrow());
    let mut written: Option<Tick> = None;
    let mut snapshots = Some(snapshots);
    let mut timer = tokio::time::interval(config.interval);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut writer = Writer::new(&config, telemetry);
    let mut batch = Vec::new();
    loop {
        let ended = snapshots.is_none() && envelopes.is_none();
        let mut due = ended;
        if !ended {
            tokio::select! {
                _ = timer.tick() => due = true,
                more = next_snapshot(&mut snapshots, &mut newest), if snapshots.is_some() => if !more { snapshots = None },
                more = next_envelopes(&mut envelopes, &mut batch), if envelopes.is_some() => if !more { envelopes = None },
            }
        }
        let mut pieces: Vec<Piece> = batch.drain(..).map(Piece::Envelope).collect();
        if due && written != Some(newest.tick) && !newest.samples.is_empty() {
            written = Some(newest.tick);
            pieces.push(Piece::Snapshot(Arc::clone(&newest)));
        }
        writer = match write(writer, pieces, ended).await {
            Some(writer) => writer,
            None => return,
        };
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

/// False when there will be no other.
async fn next_envelopes(envelopes: &mut Option<queue::Receiver<Envelope>>, batch: &mut Vec<Envelope>) -> bool {
    let Some(envelopes) = envelopes else { return false };
    envelopes.next_many(batch, BATCH).await > 0
}

/// Files block, so that they are written on a thread for that. `None` when the runtime is going down.
async fn write(mut writer: Writer, pieces: Vec<Piece>, last: bool) -> Option<Writer> {
    if pieces.is_empty() && !last {
        return Some(writer);
    }
    let written = tokio::task::spawn_blocking(move || {
        writer.write(&pieces);
        if last {
            writer.sync();
        }
        writer
    });
    match written.await {
        Ok(writer) => Some(writer),
        Err(error) => {
            tracing::error!(%error, "the file exporter stops: its writing was cut short");
            None
        }
    }
}

#[cfg(test)]
mod tests;
