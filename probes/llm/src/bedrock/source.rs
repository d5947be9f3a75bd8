//! The task that reads files of records, and tells the pipeline.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use wattline_core::flow::{Outlet, Task};
use wattline_core::reading::{Progress, SourceHealth, SourceState};
use wattline_core::{Reading, Readings, Receiver, Signal, Telemetry, Text, Tick, queue};

use super::config::Config;
use super::files::{self, FILES_MAX, Fault, Known, Seen, Step};
use super::{Clock, Rules};
use crate::journal::{Fold as _, Journal};

/// The name in logs, in `doctor`, in `wattline.probe.up` and in `wattline.probe.errors`.
pub const FILES: &str = "bedrock.files";

/// Faults that are remembered, so that each is told once.
const TOLD_MAX: usize = 1000;

/// Reads files of Bedrock's and `AgentCore`'s logs as they come and grow.
pub struct FileReceiver {
    scanner: Scanner,
    interval: Duration,
}

/// What is needed to look through the files once, on a thread that may block.
struct Scanner {
    paths: Vec<PathBuf>,
    rules: Rules,
    telemetry: Telemetry,
    clock: Clock,
    known: Known,
    /// `None` where the state directory cannot be written: then nothing outlasts a restart, the books neither.
    journal: Option<Journal>,
    /// What is wrong and was told already.
    told: BTreeSet<(PathBuf, String)>,
    damaged: u64,
}

impl FileReceiver {
    /// A reader of what `config` names. Where it has come to it keeps in `journal`; the steps up to `kept` are on the books.
    pub fn new(config: &Config, journal: &Path, kept: u64, telemetry: Telemetry, clock: Clock) -> Self {
        let (journal, known) = match Journal::open(journal.to_owned(), kept) {
            Ok((journal, known)) => (Some(journal), known),
            Err(error) => {
                let path = journal.display();
                warn!(%path, %error, "where the reading of logs has come to cannot be kept; the next start begins anew");
                (None, Known::default())
            }
        };
        let scanner = Scanner {
            paths: config.paths.clone(),
            rules: config.rules(),
            telemetry,
            clock,
            known,
            journal,
            told: BTreeSet::new(),
            damaged: 0,
        };
        Self { scanner, interval: config.interval }
    }

    async fn scan_for_ever(self, outlet: Outlet, stop: CancellationToken) {
        let Self { mut scanner, interval } = self;
        let mut told = None;
        loop {
            let (out, stopped) = (outlet.readings.clone(), stop.clone());
            let (answer, answered) = oneshot::channel();
            // A folder may lie on a share that hangs: a thread of its own is left behind, one of the runtime's is waited for.
            let scan = move || {
                let state = scanner.scan(&out, &stopped);
                answer.send((scanner, state)).ok();
            };
            if let Err(error) = std::thread::Builder::new().name(FILES.to_owned()).spawn(scan) {
                return error!(%error, "starting a thread failed: logs of Bedrock in files are not read");
            }
            let state = tokio::select! {
                answered = answered => match answered {
                    Ok((back, state)) => {
                        scanner = back;
                        state
                    }
                    Err(_panicked) => return error!("reading logs of Bedrock failed: please report this"),
                },
                // What was begun is sent whole, or not at all.
                () = hanging(&stop) => return,
            };
            if told.as_ref() != Some(&state) {
                if told.as_ref().map(std::mem::discriminant) != Some(std::mem::discriminant(&state)) {
                    tell(&state);
                }
                let health = Reading::Health(SourceHealth { part: FILES, state: state.clone() });
                let readings = Readings { source: FILES, tick: (scanner.clock)(), items: vec![health] };
                if outlet.readings.send(readings).await.is_err() {
                    return;
                }
                told = Some(state);
            }
            if stop.run_until_cancelled(tokio::time::sleep(interval)).await.is_none() {
                return;
            }
        }
    }
}

/// What is there to be read, for a person who wants to know. May block for as long as the files' disk does.
pub fn found(config: &Config) -> SourceState {
    let (candidates, faults) = files::look(&config.paths);
    match faults.first() {
        None => SourceState::Up { found: format!("{} files of records", candidates.len()) },
        Some(Fault { path, what, .. }) => SourceState::Failed { what: format!("reading {}: {what}", path.display()) },
    }
}

/// Over when the source should have stopped and has not.
async fn hanging(stop: &CancellationToken) {
    const PATIENCE: Duration = Duration::from_secs(2);
    stop.cancelled().await;
    tokio::time::sleep(PATIENCE).await;
}

fn tell(state: &SourceState) {
    match state {
        SourceState::Up { found } => info!(%found, "logs of Bedrock in files are read"),
        SourceState::Failed { what } => warn!("logs of Bedrock in files: {what}"),
        SourceState::Absent { .. } | SourceState::Denied { .. } => {}
    }
}

impl Receiver for FileReceiver {
    fn name(&self) -> &'static str {
        FILES
    }

    fn run(self: Box<Self>, outlet: Outlet, stop: CancellationToken) -> Task<()> {
        Box::pin(self.scan_for_ever(outlet, stop))
    }
}

impl Scanner {
    /// Looks through all files once and sends on what is new in them.
    fn scan(&mut self, out: &queue::Sender<Readings>, stop: &CancellationToken) -> SourceState {
        let (candidates, mut faults) = files::look(&self.paths);
        self.known.forget(&candidates);
        for candidate in &candidates {
            if stop.is_cancelled() {
                break;
            }
            if !candidate.is_news(&self.known) {
                continue;
            }
            if self.known.len() >= FILES_MAX && self.known.last(candidate).is_none() {
                let what = format!("there are more than {FILES_MAX} files: move those away that were read long ago");
                return SourceState::Failed { what };
            }
            let Self { rules, telemetry, clock, known, journal, .. } = self;
            let mut last = known.last(candidate);
            let mut failure = None;
            let read = files::read(candidate, known, rules, clock().wall, &mut |step| {
                let sent = send(step, &mut last, journal.as_mut(), telemetry, clock(), out);
                failure = sent.err();
                failure.is_none() && !stop.is_cancelled()
            });
            if let Some(last) = last {
                self.known.apply(last.numbers());
            }
            if let Some(what) = failure {
                return SourceState::Failed { what };
            }
            faults.extend(read.err());
        }
        self.state(candidates.len(), &faults)
    }

    /// What the source gives after a scan. Each fault is counted and told once.
    fn state(&mut self, files: usize, faults: &[Fault]) -> SourceState {
        for Fault { path, what, is_damaged } in faults {
            self.telemetry.probe_error(FILES);
            if *is_damaged {
                self.damaged += 1;
                self.telemetry.dropped(1, "file_damaged", Signal::Logs, "books");
            }
            if self.told.len() < TOLD_MAX && self.told.insert((path.clone(), what.clone())) {
                warn!(path = %path.display(), %what, is_damaged, "a file of records cannot be read to its end");
            }
        }
        let damaged = if self.damaged == 0 { String::new() } else { format!(", {} of them damaged", self.damaged) };
        let unread: Vec<&Fault> = faults.iter().filter(|fault| !fault.is_damaged).collect();
        match unread.first() {
            None => SourceState::Up { found: format!("{files} files{damaged}") },
            Some(Fault { path, what, .. }) => {
                let more = if unread.len() == 1 { String::new() } else { format!(", and {} more", unread.len() - 1) };
                SourceState::Failed { what: format!("reading {}: {what}{more}", path.display()) }
            }
        }
    }
}

/// Writes a step down and sends what was read in it. `last` is how the file was seen last, and stands for this step when it
/// is done. An error says that it has not been taken: it will be again.
fn send(
    step: Step,
    last: &mut Option<Seen>,
    journal: Option<&mut Journal>,
    telemetry: &Telemetry,
    tick: Tick,
    out: &queue::Sender<Readings>,
) -> Result<(), String> {
    let Step { told, seen } = step;
    if *last == Some(seen) {
        return Ok(());
    }
    let number = journal.map(|journal| journal.append::<Known>(&seen.numbers(), tick.at)).transpose();
    let number = number.map_err(|error| format!("nothing is read while it cannot be kept how far: {error}"))?;
    telemetry.received(told.len() as u64, Signal::Logs);
    told.count_left_out(telemetry);
    let progress = number.map(|step| Reading::Progress(Progress { source: Text::Static(FILES), step }));
    let items = told.into_readings().chain(progress).collect();
    out.send_blocking(Readings { source: FILES, tick, items }).map_err(|_closed| "the agent stops".to_owned())?;
    *last = Some(seen);
    Ok(())
}

#[cfg(test)]
mod tests;
