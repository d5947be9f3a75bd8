//! One process.

use std::io;
use std::sync::Arc;

use wattline_core::reading::ProcessReading;
use wattline_core::{HostRoot, Instant};

use super::stat;
use crate::cgroup::Cgroups;
use crate::clock_ticks;
use crate::kept::{Budget, KeptFile};
use crate::printable::printable;

/// After this time the group of a process is read a second time: the service manager starts a process in its own
/// group and moves it.
const FIRST_GROUP_CHECK_NS: u64 = 10_000_000_000;
/// And then at this interval, because processes can be moved at any time.
const GROUP_CHECK_NS: u64 = 60_000_000_000;

/// What is known of a process.
#[derive(Debug)]
pub(super) struct Process {
    pid: u32,
    file: KeptFile,
    seen: Option<Seen>,
    attempts: u8,
    group: Group,
}

/// What the last reading showed.
#[derive(Debug)]
struct Seen {
    start_ticks: u64,
    comm: Box<[u8]>,
    name: Arc<str>,
    cpu_ticks: u64,
    at: Instant,
    /// Clock ticks per second between the last two readings; `None` after the first.
    rate: Option<f64>,
}

/// Where the process runs.
#[derive(Debug, Default)]
struct Group {
    path: Box<str>,
    id: Option<u64>,
    generation: u64,
    due: Instant,
    checks: u32,
}

/// What a process is read with.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    pub(super) root: &'a HostRoot,
    pub(super) budget: &'a Budget,
    pub(super) cgroups: &'a mut Cgroups,
    pub(super) at: Instant,
    pub(super) page_bytes: u64,
    pub(super) buffer: &'a mut Vec<u8>,
}

impl Process {
    pub(super) fn new(pid: u32) -> Self {
        Self { pid, file: KeptFile::default(), seen: None, attempts: 0, group: Group::default() }
    }

    /// True until it was read twice: only then it is known how busy it is.
    pub(super) const fn is_new(&self) -> bool {
        self.attempts < 2
    }

    /// The clock ticks per second that it used between the last two readings. `None` before there are two.
    pub(super) fn rate(&self) -> Option<f64> {
        self.seen.as_ref().and_then(|seen| seen.rate)
    }

    /// Forgets how busy it was and closes its file.
    pub(super) fn rest(&mut self) {
        self.file.close();
        self.attempts = 0;
        if let Some(seen) = &mut self.seen {
            seen.rate = None;
        }
    }

    /// Reads what the process uses. When the pid now belongs to another process, that one is read.
    pub(super) fn read(&mut self, with: &mut Reader<'_>) -> io::Result<ProcessReading> {
        let pid = self.pid;
        self.attempts = self.attempts.saturating_add(1);
        self.file.read(with.root, with.budget, || format!("proc/{pid}/stat"), with.buffer)?;
        let Some(stat) = stat::parse(with.buffer) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not the fields of a process"));
        };
        let (threads, cpu_ticks) = (stat.threads, stat.cpu_ticks);
        let resident_bytes = stat.resident_pages.saturating_mul(with.page_bytes);
        if self.seen.as_ref().is_none_or(|seen| seen.start_ticks != stat.start_ticks) {
            self.group = Group::default();
            self.attempts = 1;
            self.seen = Some(Seen {
                start_ticks: stat.start_ticks,
                comm: stat.comm.into(),
                name: printable(stat.comm).into(),
                cpu_ticks,
                at: with.at,
                rate: None,
            });
        } else if let Some(seen) = &mut self.seen {
            let elapsed = with.at.since(seen.at).get();
            if elapsed > 0.0 {
                seen.rate = Some(cpu_ticks.saturating_sub(seen.cpu_ticks) as f64 / elapsed);
            }
            (seen.cpu_ticks, seen.at) = (cpu_ticks, with.at);
            if *seen.comm != *stat.comm {
                // It has become another program, perhaps in another place.
                seen.comm = stat.comm.into();
                seen.name = printable(stat.comm).into();
                self.group.due = Instant::default();
            }
        }
        let cgroup = self.group.find(pid, with);
        let Some(seen) = &self.seen else { return Err(io::ErrorKind::NotFound.into()) };
        Ok(ProcessReading {
            pid,
            start_ticks: seen.start_ticks,
            name: Arc::clone(&seen.name),
            cgroup,
            cpu_ns: clock_ticks::nanos(cpu_ticks),
            resident_bytes,
            threads,
        })
    }
}

impl Group {
    fn find(&mut self, pid: u32, with: &mut Reader<'_>) -> Option<u64> {
        if with.at >= self.due {
            // A process that cannot be asked stays where it was: it is about to end.
            if KeptFile::default()
                .read(with.root, &Budget::new(0), || format!("proc/{pid}/cgroup"), with.buffer)
                .is_ok()
            {
                let text = String::from_utf8_lossy(with.buffer);
                let path = with.cgroups.path_of(&text).unwrap_or_default();
                if *self.path != *path {
                    self.path = path.into();
                    self.generation = 0;
                }
            }
            let pause = if self.checks == 0 { FIRST_GROUP_CHECK_NS } else { GROUP_CHECK_NS };
            self.checks = self.checks.saturating_add(1);
            self.due = Instant::from_nanos(with.at.nanos().saturating_add(pause));
        }
        let generation = with.cgroups.generation();
        if self.generation != generation {
            self.id = with.cgroups.resolve(&self.path);
            self.generation = generation;
        }
        self.id
    }
}
