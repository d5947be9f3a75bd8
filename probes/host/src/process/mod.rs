//! Processes, read in tiers so that a thousand of them cost a thousandth of a core.
//!
//! Reading one process costs about 5 us of CPU time even with its file kept open. So the busiest are read at every
//! tick, the others in turn, each once within the cold period; a CPU counter read late loses nothing. Which
//! processes there are is asked every two seconds in one listing of `/proc`. The sums of workloads come from
//! control groups, which see processes that live between two listings too.

#[expect(clippy::module_inception, reason = "the module of one process in the module of all")]
mod process;
mod stat;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::Bound;

use wattline_core::reading::{Reading, Readings, SourceState};
use wattline_core::{HostRoot, Instant};

use crate::cgroup::Cgroups;
use crate::config::{Config, ProcessScan};
use crate::directory;
use crate::health::{Fault, absent, counted};
use crate::kept::{self, Budget};
use process::{Process, Reader};

/// How long a new process may stay unknown.
const DISCOVERY_SECONDS: f64 = 1.9;

const REMEDY: &str = "mount /proc without hidepid, or with gid= of a group that the agent is in, or run the agent as \
    root or with CAP_SYS_PTRACE";

/// The processes of the machine.
#[derive(Debug)]
pub(crate) struct Processes {
    all_at_every_tick: bool,
    hot_count: usize,
    cold_seconds: f64,
    limit: usize,
    table: BTreeMap<u32, Process>,
    /// The busiest, and the agent itself, sorted.
    hot: Vec<u32>,
    own: Option<u32>,
    listing: Option<File>,
    discovered_at: Option<Instant>,
    read_at: Option<Instant>,
    /// The last pid that was read in turn.
    cursor: u32,
    beyond: usize,
    /// Kept from tick to tick to save allocating it.
    pids: Vec<u32>,
}

impl Processes {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            all_at_every_tick: config.process_scan == ProcessScan::EveryTick || config.cold_period.is_zero(),
            hot_count: config.hot_processes,
            cold_seconds: config.cold_period.as_secs_f64(),
            limit: config.max_processes,
            table: BTreeMap::new(),
            hot: Vec::new(),
            own: None,
            listing: None,
            discovered_at: None,
            read_at: None,
            cursor: 0,
            beyond: 0,
            pids: Vec::new(),
        }
    }

    /// Appends the processes whose turn it is and returns how it went. `cgroups` must have been read for this tick.
    pub(crate) fn read(
        &mut self,
        root: &HostRoot,
        budget: &Budget,
        at: Instant,
        cgroups: &mut Cgroups,
        out: &mut Readings,
    ) -> SourceState {
        let due = |then: Instant| self.all_at_every_tick || at.since(then).get() >= DISCOVERY_SECONDS;
        if self.discovered_at.is_none_or(due) {
            if let Err(error) = self.discover(root) {
                self.listing = None;
                if kept::is_gone(&error) {
                    return absent(root, "proc");
                }
                return Fault::reading(root, "proc", &error).state("", REMEDY);
            }
            self.discovered_at = Some(at);
        }
        self.choose(at);
        let page_bytes = rustix::param::page_size() as u64;
        let mut buffer = Vec::new();
        let mut reader = Reader { root, budget, cgroups, at, page_bytes, buffer: &mut buffer };
        let mut fault = None;
        let mut unread = 0_usize;
        for pid in &self.pids {
            let Some(process) = self.table.get_mut(pid) else { continue };
            match process.read(&mut reader) {
                Ok(reading) => out.items.push(Reading::Process(reading)),
                Err(error) if kept::is_gone(&error) => {
                    // Its pid may be another process by now, which the next listing shows.
                    self.table.remove(pid);
                    self.discovered_at = None;
                }
                Err(error) => {
                    unread += 1;
                    fault.get_or_insert_with(|| Fault::reading(root, &format!("proc/{pid}/stat"), &error));
                }
            }
        }
        self.read_at = Some(at);
        self.choose_hot();
        let found = self.found();
        match fault {
            Some(fault) => fault.state(&format!("{found}; {unread} not readable now"), REMEDY),
            None => SourceState::Up { found },
        }
    }

    /// Closes what is kept open and forgets which processes are busy.
    pub(crate) fn reset(&mut self) {
        self.table.values_mut().for_each(Process::rest);
        self.hot.clear();
        self.listing = None;
        self.discovered_at = None;
        self.read_at = None;
    }

    fn discover(&mut self, root: &HostRoot) -> io::Result<()> {
        let Self { table, pids, limit, listing, .. } = self;
        let directory = match listing {
            Some(directory) => directory,
            None => listing.insert(root.open("proc")?),
        };
        pids.clear();
        directory::entries(&*directory, |name, _| pids.extend(name.parse::<u32>().ok()))?;
        pids.sort_unstable();
        table.retain(|pid, _| pids.binary_search(pid).is_ok());
        self.own = root.link("proc/self").ok().and_then(|link| link.to_str()?.parse().ok());
        if let Some(own) = self.own.filter(|own| pids.binary_search(own).is_ok() && *limit > 0) {
            table.entry(own).or_insert_with(|| Process::new(own));
        }
        for pid in &*pids {
            if table.len() >= *limit {
                break;
            }
            table.entry(*pid).or_insert_with(|| Process::new(*pid));
        }
        self.beyond = pids.len().saturating_sub(table.len());
        Ok(())
    }

    /// Puts the pids to read at this tick into `self.pids`: the busiest, those that have not been read twice, and a
    /// share of the others that brings each of them round within the cold period.
    fn choose(&mut self, at: Instant) {
        let Self { table, pids, hot, own, cursor, .. } = self;
        pids.clear();
        if self.all_at_every_tick {
            pids.extend(table.keys());
            return;
        }
        let is_hot =
            |pid: &u32, process: &Process| *own == Some(*pid) || process.is_new() || hot.binary_search(pid).is_ok();
        pids.extend(table.iter().filter(|(pid, process)| is_hot(pid, process)).map(|(pid, _)| pid));
        let cold = table.len().saturating_sub(pids.len());
        let elapsed = self.read_at.map_or(0.0, |then| at.since(then).get());
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative; `as` saturates")]
        let count = ((cold as f64 * elapsed / self.cold_seconds).ceil() as usize).min(cold);
        let after = table.range((Bound::Excluded(*cursor), Bound::Unbounded));
        let in_turn = after.chain(table.range(..=*cursor)).filter(|(pid, process)| !is_hot(pid, process));
        let from = pids.len();
        pids.extend(in_turn.take(count).map(|(pid, _)| pid));
        if let Some(last) = pids.get(from..).and_then(<[u32]>::last) {
            *cursor = *last;
        }
    }

    fn choose_hot(&mut self) {
        let Self { table, hot, hot_count, .. } = self;
        let mut busy: Vec<(f64, u32)> = table
            .iter()
            .filter_map(|(pid, process)| process.rate().filter(|&rate| rate > 0.0).map(|rate| (rate, *pid)))
            .collect();
        let by_rate = |one: &(f64, u32), other: &(f64, u32)| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1));
        if busy.len() > *hot_count {
            busy.select_nth_unstable_by(*hot_count, by_rate);
            busy.truncate(*hot_count);
        }
        hot.clear();
        hot.extend(busy.iter().map(|(_, pid)| pid));
        hot.sort_unstable();
    }

    fn found(&self) -> String {
        let all = counted(self.table.len(), "process", "processes");
        let found = format!("{all}, {} read at every tick", self.hot.len());
        if self.beyond == 0 {
            return found;
        }
        format!("{found}; {} beyond max_processes left out", self.beyond)
    }
}

#[cfg(test)]
mod tests;
