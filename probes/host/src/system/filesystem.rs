//! The space of mounted filesystems.
//!
//! Asking a filesystem for its space may never return: a dead disk, a network that is gone. So one thread asks, and
//! the tick takes what has been answered. When a filesystem does not answer in time its thread is left alone with
//! it, another thread asks the rest, and the filesystem is left out until its answer comes.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::time::Duration;

use wattline_core::reading::{FilesystemReading, SourceState};
use wattline_core::{HostRoot, Instant, Reading, Readings};

use super::mounts::{self, Mount, Mounts};
use super::names::Patterns;
use super::state::{counted, not_understood, unreadable};
use super::whole_file::WholeFile;
use super::{Config, Every, has_passed};

/// The most threads that are left alone with a filesystem. When all wait, nothing more is asked.
const STUCK_LIMIT: usize = 4;

/// Measures filesystems in the background.
pub(super) struct Filesystems {
    mountinfo: WholeFile,
    root: HostRoot,
    skip: Patterns,
    round: Every,
    timeout: Duration,
    measure: Measure,
    worker: Option<Worker>,
    /// What the worker was asked and has not answered, in order; the first is the one it is at.
    asked: VecDeque<Mount>,
    /// When the first of `asked` was seen to be the first.
    first_since: Option<Instant>,
    stuck: Vec<(Mount, Worker)>,
    /// What is wrong with the filesystems of this round, by mount point.
    troubles: BTreeMap<Arc<str>, SourceState>,
    measured: usize,
    beyond_limit: usize,
    odd_line: Option<usize>,
}

/// Asks for the space below a path. Tests put a filesystem here that never answers.
type Measure = Arc<dyn Fn(&Path) -> Result<Space, Trouble> + Send + Sync>;

/// The space of a filesystem in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Space {
    used: u64,
    free: u64,
    reserved: u64,
}

/// Why there is no space to tell.
#[derive(Debug)]
enum Trouble {
    /// The host has mounted it, but where this process looks there is only the empty directory below.
    NotVisible,
    /// The system call failed.
    Failed(io::Error),
}

/// A thread that asks. It ends when either end of its queues is dropped.
struct Worker {
    requests: SyncSender<PathBuf>,
    answers: Receiver<Result<Space, Trouble>>,
}

impl Worker {
    fn start(measure: &Measure) -> io::Result<Self> {
        let (requests, asked) = sync_channel::<PathBuf>(mounts::LIMIT);
        let (answer, answers) = sync_channel(mounts::LIMIT);
        let measure = Arc::clone(measure);
        let ask = move || {
            for path in asked {
                if answer.send(measure(&path)).is_err() {
                    break;
                }
            }
        };
        std::thread::Builder::new().name("filesystems".to_owned()).spawn(ask)?;
        Ok(Self { requests, answers })
    }
}

impl Filesystems {
    pub(super) fn new(root: &HostRoot, config: &Config) -> Self {
        let host = root.clone();
        Self::with_measure(root, config, Arc::new(move |path| measure(&host, path)))
    }

    fn with_measure(root: &HostRoot, config: &Config, measure: Measure) -> Self {
        Self {
            mountinfo: WholeFile::new(root, root.of_host_process("mountinfo")),
            root: root.clone(),
            skip: Patterns::new(&config.skip_filesystems),
            round: Every::new(config.filesystem_period),
            timeout: config.filesystem_timeout,
            measure,
            worker: None,
            asked: VecDeque::new(),
            first_since: None,
            stuck: Vec::new(),
            troubles: BTreeMap::new(),
            measured: 0,
            beyond_limit: 0,
            odd_line: None,
        }
    }

    /// Appends the filesystems that answered since the last call, and begins a round when one is due. Never waits.
    /// Gives the state when something is known of it: at the end of a round, or when a filesystem is stuck.
    pub(super) fn read(&mut self, now: Instant, out: &mut Readings) -> Option<SourceState> {
        self.stuck.retain(|(_, worker)| matches!(worker.answers.try_recv(), Err(TryRecvError::Empty)));
        let waited = !self.asked.is_empty();
        self.take_answers(now, out);
        let left_one = self.leave_the_stuck(now);
        if self.asked.is_empty() && self.round.is_due(now) {
            if let Err(state) = self.begin_round(now) {
                return Some(state);
            }
            // A round without a filesystem ends as it begins.
            return self.asked.is_empty().then(|| self.state());
        }
        (left_one || (waited && self.asked.is_empty())).then(|| self.state())
    }

    fn begin_round(&mut self, now: Instant) -> Result<(), SourceState> {
        let text = self.mountinfo.read(&mut Vec::new()).map(std::borrow::Cow::into_owned);
        let text = text.map_err(|error| unreadable(&error, &self.mountinfo.place()))?;
        let Mounts { found, beyond_limit, odd_line } = mounts::parse(&text, &self.skip);
        self.beyond_limit = beyond_limit;
        self.odd_line = odd_line;
        self.measured = 0;
        self.troubles.clear();
        let is_stuck = |mount: &Mount| self.stuck.iter().any(|(stuck, _)| stuck.mountpoint == mount.mountpoint);
        let asked = found.into_iter().filter(|mount| !is_stuck(mount)).collect();
        self.ask(asked, now)
    }

    /// Puts `mounts` to a worker, which is started if there is none. Its queue holds a whole round, so that nothing
    /// is refused.
    fn ask(&mut self, mounts: VecDeque<Mount>, now: Instant) -> Result<(), SourceState> {
        self.first_since = Some(now);
        if mounts.is_empty() || self.stuck.len() >= STUCK_LIMIT {
            return Ok(());
        }
        let worker = match self.worker.take() {
            Some(worker) => worker,
            None => Worker::start(&self.measure)
                .map_err(|error| SourceState::Failed { what: format!("starting a thread: {error}") })?,
        };
        for mount in mounts {
            if worker.requests.try_send(self.root.path(&*mount.mountpoint)).is_ok() {
                self.asked.push_back(mount);
            }
        }
        self.worker = Some(worker);
        Ok(())
    }

    fn take_answers(&mut self, now: Instant, out: &mut Readings) {
        while let Some(worker) = &self.worker
            && !self.asked.is_empty()
        {
            match worker.answers.try_recv() {
                Ok(answer) => self.take(answer, now, out),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    // The thread is gone, which only a panic in the measuring could do. The next round begins anew.
                    self.worker = None;
                    self.asked.clear();
                }
            }
        }
    }

    fn take(&mut self, answer: Result<Space, Trouble>, now: Instant, out: &mut Readings) {
        let Some(mount) = self.asked.pop_front() else { return };
        self.first_since = Some(now);
        match answer {
            Ok(Space { used, free, reserved }) => {
                self.measured += 1;
                let Mount { mountpoint, device, kind, read_only } = mount;
                let reading = FilesystemReading { device, mountpoint, kind, read_only, used, free, reserved };
                out.items.push(Reading::Filesystem(reading));
            }
            Err(trouble) => {
                let state = trouble.state(&mount, &self.root);
                self.troubles.insert(mount.mountpoint, state);
            }
        }
    }

    /// When the worker is at one filesystem for too long, leaves it there and asks the rest of another one.
    fn leave_the_stuck(&mut self, now: Instant) -> bool {
        let waited = self.first_since.is_some_and(|since| has_passed(self.timeout, since, now));
        if !waited || self.asked.is_empty() {
            return false;
        }
        if let (Some(mount), Some(worker)) = (self.asked.pop_front(), self.worker.take()) {
            self.stuck.push((mount, worker));
        }
        let rest = std::mem::take(&mut self.asked);
        if let Err(state) = self.ask(rest, now) {
            self.troubles.insert("".into(), state);
        }
        true
    }

    fn state(&self) -> SourceState {
        let seconds = self.timeout.as_secs_f64();
        if let Some((mount, _)) = self.stuck.first() {
            let Mount { mountpoint, kind, .. } = mount;
            let others = and_others(self.stuck.len());
            let all = if self.stuck.len() >= STUCK_LIMIT { "; nothing more is measured until one answers" } else { "" };
            let what = format!(
                "asking {mountpoint} ({kind}){others} for its space: no answer in {seconds} s, left out until it comes{all}"
            );
            return SourceState::Failed { what };
        }
        let measured = counted(self.measured, "filesystem", "filesystems");
        let others = format!("{}; read in spite of it: {measured}", and_others(self.troubles.len()));
        match (self.troubles.values().next(), self.odd_line) {
            (Some(SourceState::Denied { what, remedy }), _) => {
                SourceState::Denied { what: format!("{what}{others}"), remedy: remedy.clone() }
            }
            (Some(SourceState::Failed { what }), _) => SourceState::Failed { what: format!("{what}{others}") },
            (Some(other), _) => other.clone(),
            (None, Some(line)) => not_understood(&self.mountinfo.place(), &format!("line {line} is not a mount")),
            (None, None) if self.beyond_limit > 0 => {
                let all = self.measured + self.beyond_limit;
                SourceState::Up { found: format!("{} of {all} filesystems, the limit", self.measured) }
            }
            (None, None) => SourceState::Up { found: measured },
        }
    }
}

impl Trouble {
    fn state(self, mount: &Mount, root: &HostRoot) -> SourceState {
        let place = root.path(&*mount.mountpoint).display().to_string();
        match self {
            Self::NotVisible => SourceState::Denied {
                what: format!("measuring {place}, which the host mounted and this process does not see"),
                remedy: "mount the host's / with propagation rslave (HostToContainer in Kubernetes)".to_owned(),
            },
            Self::Failed(error) => match unreadable(&error, &place) {
                SourceState::Absent { looked } => SourceState::Failed { what: format!("measuring {looked}: {error}") },
                state => state,
            },
        }
    }
}

fn and_others(count: usize) -> String {
    if count > 1 { format!(" and {} more", count - 1) } else { String::new() }
}

/// Asks the kernel. Under a foreign root a mount that did not propagate into this process's view would show the
/// space of the filesystem below it, so its device must differ from that of the directory around it.
fn measure(root: &HostRoot, path: &Path) -> Result<Space, Trouble> {
    if !root.is_own() && path != root.path("/") {
        let device = |path: &Path| rustix::fs::stat(path).map(|stat| stat.st_dev);
        let around = path.parent().unwrap_or(path);
        if device(path).map_err(failed)? == device(around).map_err(failed)? {
            return Err(Trouble::NotVisible);
        }
    }
    let stat = rustix::fs::statvfs(path).map_err(failed)?;
    let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
    Ok(Space {
        used: bytes(stat.f_blocks.saturating_sub(stat.f_bfree)),
        free: bytes(stat.f_bavail),
        reserved: bytes(stat.f_bfree.saturating_sub(stat.f_bavail)),
    })
}

fn failed(errno: rustix::io::Errno) -> Trouble {
    Trouble::Failed(errno.into())
}

#[cfg(test)]
mod tests;
