//! Bringing telemetry to a destination: what every destination does alike.
//!
//! One task collects: it takes a snapshot every interval, has it encoded on another thread, and takes relayed
//! requests as they come. What it gets waits in a [`Spool`](crate::spool::Spool). For each signal one line of sending takes the next
//! request, one in flight at a time, so that a destination that refuses or stalls one signal still gets the others.

mod collect;
mod line;
mod shared;

use std::fmt::{self, Write as _};
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use wattline_core::{Feed, Signal, Snapshot, Telemetry, Timestamp};
use wattline_ledger::Place;

use self::collect::Collector;
use self::line::Line;
use self::shared::Shared;
use crate::pack::Compression;
use crate::reason::DropReason;
use crate::spool::Keeping;
use crate::verdict::Verdict;

/// What the agent lends to a destination.
#[derive(Clone, Debug)]
pub struct Context {
    /// Counts what was delivered and what was lost.
    pub telemetry: Telemetry,
    /// The civil clock.
    pub now: fn() -> Timestamp,
    /// Starts the jitter; it should differ between machines.
    pub seed: u64,
    /// The directory of the spools; `None` to let everything wait in memory.
    pub spools: Option<std::path::PathBuf>,
}

impl Context {
    /// Where the spool of the destination with this name is. Characters that a file name might not hold are written
    /// as their number, so that two names never share a file.
    pub fn place(&self, name: &str) -> Place {
        let Some(directory) = &self.spools else { return Place::Memory };
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let mut file = String::new();
        for character in name.chars() {
            if plain(character) {
                file.push(character);
            } else {
                write!(file, "+{:x}+", u32::from(character)).ok();
            }
        }
        Place::File(directory.join(format!("{file}.db")))
    }
}

/// A destination, ready to run.
pub struct Destination {
    /// The name in logs and in `wattline.destination`.
    pub name: String,
    /// The time between two snapshots.
    pub interval: Duration,
    /// The longest time for one attempt, from connecting to the end of the answer.
    pub timeout: Duration,
    /// The time for sending what waits when the feed ends.
    pub grace: Duration,
    /// When to try again.
    pub retry: Retry,
    /// How it keeps what waits.
    pub keeping: Keeping,
    /// Makes requests of snapshots; `None` for a destination that takes no figures of ours.
    pub encoder: Option<Box<dyn Encode>>,
    /// Ways out, one for each signal that is sent.
    pub routes: Vec<Route>,
}

/// One signal's way out.
pub struct Route {
    /// The signal.
    pub signal: Signal,
    /// Where it goes, fit for a log.
    pub address: String,
    /// What carries it there.
    pub transport: Box<dyn Transport>,
}

/// Carries requests of one signal to one place.
pub trait Transport: Send {
    /// Sends a request once. `body` is compressed as `compression` says. The caller bounds the time.
    fn send(&mut self, body: Bytes, compression: Compression) -> Sending<'_>;

    /// Called when an attempt took too long: the connection may be dead without either side knowing. The next attempt
    /// connects anew.
    fn forget_connection(&mut self) {}

    /// Called at the end: what was sent should survive what comes then.
    fn close(&mut self) {}
}

/// An attempt on its way.
pub type Sending<'a> = Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>;

/// Makes requests for a destination. Snapshots are encoded on a thread that may be busy.
pub trait Encode: Send + Sync + 'static {
    /// The requests that tell what the snapshot tells.
    fn encode(&mut self, snapshot: &Snapshot) -> Encoding;

    /// What is sent of a relayed request; `None` when it goes on as it is.
    fn relay(&mut self, _signal: Signal, _body: &Bytes, _items: u64) -> Option<Encoding> {
        None
    }

    /// What this must know to go on after a restart, as of the last snapshot. It is kept together with the requests,
    /// whole or not at all.
    fn state(&self) -> Option<Vec<u8>> {
        None
    }

    /// Goes on from what an earlier [`state`](Self::state) said.
    fn resume(&mut self, _state: &[u8]) {}
}

/// What became of a snapshot or of a relayed request.
#[derive(Clone, Debug, Default)]
pub struct Encoding {
    /// Requests that are not empty: the body, not compressed, and the points in it.
    pub requests: Vec<(Bytes, u64)>,
    /// Samples that are in no request, because the destination takes none like them: why, and how many.
    pub lost: Vec<(DropReason, u64)>,
    /// Labels that were cut or left out, because the destination takes no more.
    pub shortened: u64,
    /// Whether these are sums since the beginning: then the next snapshot says all that this one says but the moments
    /// between, and this one may go where there is no room for both.
    pub is_cumulative: bool,
}

/// When to try again: a wait is drawn between nothing and a ceiling that doubles with every failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// The first ceiling. Default `1s`.
    #[serde(with = "humantime_serde")]
    pub initial: Duration,
    /// The highest ceiling. Default `30s`.
    #[serde(with = "humantime_serde")]
    pub max: Duration,
    /// The wait after a refused credential (HTTP 401 and 403, gRPC UNAUTHENTICATED and PERMISSION_DENIED), in which
    /// the data stays. Default `60s`.
    #[serde(with = "humantime_serde")]
    pub unauthorized: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { initial: Duration::from_secs(1), max: Duration::from_secs(30), unauthorized: Duration::from_mins(1) }
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Destination").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Runs a destination until its feed ends and what waits is sent, kept on disk or counted.
pub async fn run(destination: Destination, context: Context, feed: Feed) {
    let Destination { name, interval, timeout, grace, retry, keeping, mut encoder, routes } = destination;
    let seed = context.seed;
    let shared = Shared::open(name, context, keeping).await;
    if let (Some(encoder), Some(state)) = (&mut encoder, shared.state().await) {
        encoder.resume(&state);
    }
    let signals: Vec<Signal> = routes.iter().map(|route| route.signal).collect();
    let mut lines = routes.into_iter().map(|route| Line::new(route, timeout, &retry, seed));
    let [first, second, third] = [lines.next(), lines.next(), lines.next()];
    let run_line = async |line: Option<Line>| {
        if let Some(line) = line {
            line.run(&shared).await;
        }
    };
    let collector = Collector::new(&shared, signals, encoder).await;
    tokio::join!(collector.run(feed, interval, grace), run_line(first), run_line(second), run_line(third));
    shared.close().await;
}
