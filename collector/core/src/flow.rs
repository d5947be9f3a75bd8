//! How data flows: probes and receivers in, exporters out.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::attribute::Attribute;
use crate::queue;
use crate::reading::Readings;
use crate::receipt::Receipt;
use crate::sample::Sample;
use crate::time::{Tick, Timestamp};

/// A task that runs until its inputs end.
pub type Task<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Reads counters of this machine when asked. Every probe has a thread of its own, so that it may block.
pub trait Probe: Send {
    /// The name in logs, in `doctor` and in `wattline.probe.up`. Unique among the probes.
    fn name(&self) -> &'static str;

    /// Appends what the source shows now. Called once a tick, never twice at a time. What could be read stays in
    /// `out` even when an error is returned.
    fn read(&mut self, tick: Tick, out: &mut Readings) -> Result<(), ReadError>;

    /// Forgets what a pause makes wrong, such as kept descriptors. Called before the first read after a pause.
    fn reset(&mut self) {}
}

/// Why a probe could not read. The variant is the caller's next action.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The source is not on this machine or may not be read: say so once, ask again rarely.
    #[error("{reason}")]
    Unavailable {
        /// What is missing, where, and what to do.
        reason: String,
    },
    /// This reading failed: ask again at the next tick.
    #[error("{what}")]
    Transient {
        /// What was attempted, on which path, and how it failed.
        what: String,
    },
    /// The source is gone for good: stop asking.
    #[error("the source is gone")]
    Gone,
}

/// Accepts what others send. Runs as a task.
pub trait Receiver: Send {
    /// The name in logs and in `doctor`.
    fn name(&self) -> &'static str;

    /// Runs until `stop` is cancelled, then refuses new work, finishes what it has accepted and returns.
    fn run(self: Box<Self>, outlet: Outlet, stop: CancellationToken) -> Task<()>;
}

/// Where a receiver puts what it accepted. Both queues refuse when full; the receiver then tells the sender to
/// come again.
///
/// What was acknowledged is in memory, and where the envelope bears a receipt every destination has it on disk. It is
/// booked unless the process is killed. From memory it reaches a destination unless the process is killed, or the
/// destination takes so little for so long that what waits for it must make room, or the time for sending at the end is
/// over; what makes room or is left at the end is counted in `wattline.dropped`.
#[derive(Clone, Debug)]
pub struct Outlet {
    /// To the pipeline.
    pub readings: queue::Sender<Readings>,
    /// To the destinations of relayed telemetry; `None` where nothing is relayed.
    pub relay: Option<queue::Sender<Envelope>>,
}

/// A kind of telemetry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Signal {
    /// Metrics.
    Metrics,
    /// Spans.
    Traces,
    /// Log records.
    Logs,
}

impl Signal {
    /// The word in attributes and in the paths of OTLP over HTTP.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Traces => "traces",
            Self::Logs => "logs",
        }
    }
}

/// Encoded telemetry that goes on as it came: an OTLP export request in protobuf, not compressed.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// What it holds.
    pub signal: Signal,
    /// The request.
    pub body: Bytes,
    /// Spans, log records or points in it, so that a loss can be counted.
    pub items: u64,
    /// When it was accepted.
    pub at: Timestamp,
    /// Who waits for it to be safe on disk; `None` where nobody does.
    pub receipt: Option<Receipt>,
}

/// All figures as they stand at one moment. It never changes once made.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// When.
    pub tick: Tick,
    /// What describes the machine; on every Resource.
    pub resource: Vec<Attribute>,
    /// The figures.
    pub samples: Vec<Sample>,
}

/// What an exporter is fed. It ends when the feed ends, and has sent or counted all by then.
#[derive(Debug)]
pub struct Feed {
    /// The newest snapshot. A slow exporter misses intermediate ones and loses nothing: sums are cumulative.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// Relayed telemetry, for exporters that take it.
    pub envelopes: Option<queue::Receiver<Envelope>>,
}

/// Sends figures somewhere. Runs as a task.
pub trait Exporter: Send {
    /// The name in logs and in `wattline.dropped`.
    fn name(&self) -> &str;

    /// Runs until the feed ends.
    fn run(self: Box<Self>, feed: Feed) -> Task<()>;
}
