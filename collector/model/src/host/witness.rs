//! Who used the processor and the memory in the open window.
//!
//! Control groups are the witness: the kernel charges them exactly and keeps what dead children used. Processes are
//! asked only where no group of a workload holds them. Groups include the groups inside them, so a workload's own
//! use is its group's less the groups of other workloads inside.

use std::collections::BTreeMap;
use std::sync::Arc;

use wattline_core::counter::Counter;
use wattline_core::reading::{CgroupReading, CpuReading, CpuTimes, MemoryReading, ProcessReading};
use wattline_core::{Attribute, Bytes, attribute::key, sample::Period, time::Timestamp};
use wattline_core::{Instant, Ratio, Sample, Seconds, Subject, Text, Workload, metrics};

use super::boards::BoardUse;

/// A process or group that was not seen for this long is forgotten.
const FORGOTTEN: Seconds = Seconds::new(60.0);
/// A process that was not seen for this long holds no memory any more. Every process is read once in ten seconds, and
/// one that ended is not read again.
const ENDED: Seconds = Seconds::new(15.0);
/// The kernel tells start times in this unit on every architecture.
const START_TICKS_PER_SECOND: u64 = 100;
/// A new process is found at most this long after it began.
const DISCOVERY: Seconds = Seconds::new(5.0);

/// Use of one resource: what each workload used, and what was used by nobody who can be seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Shares {
    /// Nanoseconds or bytes of each workload, in a stable order.
    pub(crate) parts: Vec<(Arc<Workload>, u64)>,
    /// Nanoseconds or bytes without a witness.
    pub(crate) unseen: u64,
}

/// Use of the machine in one window.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Use {
    /// CPU time.
    pub(crate) cpu: Shares,
    /// Memory held at the end.
    pub(crate) memory: Shares,
    /// Share of all CPUs' time in which they worked.
    pub(crate) busy: Ratio,
    /// Share of memory that is in use.
    pub(crate) memory_used: Ratio,
    /// Nanoseconds in each mode.
    pub(crate) modes: Option<CpuTimes>,
    /// Logical CPUs, as last read.
    pub(crate) online: u32,
    /// Bytes of memory installed; zero before it was read.
    pub(crate) memory_total: u64,
    /// False when CPU time could not be read at both ends.
    pub(crate) witnessed: bool,
    /// The agent's own share of CPU time and of memory in use.
    pub(crate) own: (Ratio, Ratio),
    /// What each accelerator drew, for whom.
    pub(crate) boards: Vec<BoardUse>,
}

/// Gathers use until the window closes.
#[derive(Debug)]
pub(crate) struct Witness {
    own_pid: Option<u32>,
    cpu: Option<CpuTimes>,
    window: Option<CpuTimes>,
    online: u32,
    memory: Option<MemoryReading>,
    groups: BTreeMap<u64, Group>,
    processes: BTreeMap<(u32, u64), Process>,
    totals: BTreeMap<Arc<Workload>, Total>,
    /// Use of the window that was closed last, until it is known which workloads have series of their own.
    closed: Closed,
    first_batch: bool,
    last_batch: Instant,
}

#[derive(Debug, Default)]
struct Closed {
    groups: BTreeMap<Arc<Workload>, (u64, u64, GroupUse)>,
    by_name: BTreeMap<Arc<str>, (u64, u64)>,
}

#[derive(Debug)]
struct Group {
    workload: Arc<Workload>,
    inside: Option<u64>,
    cpu: Counter,
    throttled: Counter,
    read: Counter,
    written: Counter,
    used: GroupUse,
    memory: u64,
    seen: Instant,
}

#[derive(Clone, Copy, Debug, Default)]
struct GroupUse {
    cpu_ns: u64,
    throttled_ns: u64,
    read_bytes: u64,
    written_bytes: u64,
}

#[derive(Debug)]
struct Process {
    name: Arc<str>,
    cgroup: Option<u64>,
    cpu: Counter,
    used_ns: u64,
    resident: u64,
    seen: Instant,
}

/// What a workload used since it was first seen.
#[derive(Clone, Debug)]
struct Total {
    since: Timestamp,
    cpu_ns: u64,
    throttled_ns: Option<u64>,
    disk: Option<(u64, u64)>,
    memory: u64,
    live: bool,
}

impl Total {
    fn since(opened: Timestamp) -> Self {
        Self { since: opened, cpu_ns: 0, throttled_ns: None, disk: None, memory: 0, live: true }
    }

    fn add(&mut self, cpu_ns: u64, memory: u64, used: Option<GroupUse>) {
        self.live = true;
        self.cpu_ns = self.cpu_ns.saturating_add(cpu_ns);
        self.memory = self.memory.saturating_add(memory);
        if let Some(used) = used {
            let throttled = self.throttled_ns.get_or_insert(0);
            *throttled = throttled.saturating_add(used.throttled_ns);
            let disk = self.disk.get_or_insert((0, 0));
            disk.0 = disk.0.saturating_add(used.read_bytes);
            disk.1 = disk.1.saturating_add(used.written_bytes);
        }
    }
}

impl Witness {
    pub(crate) fn new(own_pid: Option<u32>) -> Self {
        Self {
            own_pid,
            cpu: None,
            window: None,
            online: 1,
            memory: None,
            groups: BTreeMap::new(),
            processes: BTreeMap::new(),
            totals: BTreeMap::new(),
            closed: Closed::default(),
            first_batch: true,
            last_batch: Instant::default(),
        }
    }

    pub(crate) fn take_cpu(&mut self, reading: &CpuReading, _at: Instant) {
        self.online = reading.online.max(1);
        if let Some(before) = self.cpu.replace(reading.total)
            && let Some(step) = difference(&before, &reading.total)
        {
            let window = self.window.get_or_insert_default();
            *window = sum(window, &step);
        }
    }

    pub(crate) fn take_memory(&mut self, reading: MemoryReading) {
        self.memory = Some(reading);
    }

    pub(crate) fn take_cgroup(&mut self, reading: &CgroupReading, at: Instant, opened: Instant) {
        let newborn = !self.first_batch && !self.groups.contains_key(&reading.id);
        // All that a newborn used, it used since the window opened, unless that is more than the machine has.
        let possible = at.since(opened).get() * 1e9 * f64::from(self.online);
        let newborn = newborn && reading.cpu_ns as f64 <= possible;
        let first = |born_at_zero: bool| if born_at_zero { Counter::resume(0, opened) } else { Counter::new() };
        let group = self.groups.entry(reading.id).or_insert_with(|| Group {
            workload: Arc::clone(&reading.workload),
            inside: reading.inside,
            cpu: first(newborn),
            throttled: first(newborn),
            read: first(newborn),
            written: first(newborn),
            used: GroupUse::default(),
            memory: 0,
            seen: at,
        });
        let step =
            |counter: &mut Counter, raw: u64| counter.step(raw, at, None).delta().map_or(0, |(amount, _)| amount);
        let used = &mut group.used;
        used.cpu_ns = used.cpu_ns.saturating_add(step(&mut group.cpu, reading.cpu_ns));
        if let Some(raw) = reading.throttled_ns {
            used.throttled_ns = used.throttled_ns.saturating_add(step(&mut group.throttled, raw));
        }
        if let (Some(read), Some(written)) = (reading.read_bytes, reading.written_bytes) {
            used.read_bytes = used.read_bytes.saturating_add(step(&mut group.read, read));
            used.written_bytes = used.written_bytes.saturating_add(step(&mut group.written, written));
        }
        group.workload = Arc::clone(&reading.workload);
        group.inside = reading.inside;
        if let Some(bytes) = reading.working_set_bytes.or(reading.memory_bytes) {
            group.memory = bytes;
        }
        group.seen = at;
    }

    pub(crate) fn take_process(&mut self, reading: &ProcessReading, at: Instant, opened: Instant) {
        let key = (reading.pid, reading.start_ticks);
        // A process that is new to us is new only if it began of late: else its lifetime would be charged as of now.
        let begun = Instant::from_nanos((reading.start_ticks / START_TICKS_PER_SECOND).saturating_mul(1_000_000_000));
        let newborn = !self.first_batch && opened.since(begun) <= DISCOVERY;
        let possible = (at.since(opened) + DISCOVERY).get() * 1e9 * f64::from(self.online);
        let newborn = newborn && reading.cpu_ns as f64 <= possible;
        let process = self.processes.entry(key).or_insert_with(|| Process {
            name: Arc::clone(&reading.name),
            cgroup: None,
            cpu: if newborn { Counter::resume(0, opened) } else { Counter::new() },
            used_ns: 0,
            resident: 0,
            seen: at,
        });
        let used_ns = process.cpu.step(reading.cpu_ns, at, None).delta().map_or(0, |(amount, _)| amount);
        process.used_ns = process.used_ns.saturating_add(used_ns);
        process.cgroup = reading.cgroup;
        process.resident = reading.resident_bytes;
        process.seen = at;
        if process.name != reading.name {
            process.name = Arc::clone(&reading.name);
        }
    }

    /// Forgets what has not been seen for long.
    pub(crate) fn end_of_batch(&mut self, at: Instant) {
        self.first_batch = false;
        self.last_batch = at;
        self.processes.retain(|_, process| process.used_ns > 0 || at.since(process.seen) < FORGOTTEN);
        self.groups.retain(|_, group| group.used.cpu_ns > 0 || at.since(group.seen) < FORGOTTEN);
    }

    /// What was used since the window opened; opens the next.
    pub(crate) fn close_window(&mut self, now: Instant) -> Use {
        let modes = self.window.take();
        let busy_ns = modes.map_or(0, |times| times.busy_ns());
        let total_ns = modes.map_or(0, |times| times.total_ns());
        let own = self.own_use(busy_ns);
        let own_groups = self.exclusive_use();
        let by_name = self.executables(now);
        let cpu = shares(&own_groups, &by_name, busy_ns, |used| used.0);
        let in_use =
            self.memory.map_or(0, |memory| memory.total.saturating_sub(memory.available.unwrap_or(memory.free)));
        let memory = shares(&own_groups, &by_name, in_use, |used| used.1);
        self.closed = Closed { groups: own_groups, by_name };
        for process in self.processes.values_mut() {
            process.used_ns = 0;
        }
        for group in self.groups.values_mut() {
            group.used = GroupUse::default();
        }
        Use {
            cpu,
            memory,
            busy: Ratio::of(busy_ns as f64, total_ns as f64).min(Ratio::new(1.0)),
            memory_used: Ratio::of(in_use as f64, self.memory.map_or(0.0, |memory| memory.total as f64)),
            modes,
            online: self.online,
            memory_total: self.memory.map_or(0, |memory| memory.total),
            witnessed: modes.is_some_and(|times| times.total_ns() > 0),
            own,
            boards: Vec::new(),
        }
    }

    fn own_use(&self, busy_ns: u64) -> (Ratio, Ratio) {
        let own = |part: fn(&Process) -> u64| -> f64 {
            let Some(pid) = self.own_pid else { return 0.0 };
            self.processes.range((pid, 0)..=(pid, u64::MAX)).map(|(_, process)| part(process) as f64).sum()
        };
        let in_use =
            self.memory.map_or(0, |memory| memory.total.saturating_sub(memory.available.unwrap_or(memory.free)));
        let cap = Ratio::new(1.0);
        (
            Ratio::of(own(|process| process.used_ns), busy_ns as f64).min(cap),
            Ratio::of(own(|process| process.resident), in_use as f64).min(cap),
        )
    }

    /// Each group's use without the groups of other workloads inside it, summed by workload.
    fn exclusive_use(&self) -> BTreeMap<Arc<Workload>, (u64, u64, GroupUse)> {
        let mut inner: BTreeMap<u64, (u64, u64, GroupUse)> = BTreeMap::new();
        for group in self.groups.values() {
            if let Some(outer) = group.inside {
                let (cpu, memory, used) = inner.entry(outer).or_default();
                *cpu = cpu.saturating_add(group.used.cpu_ns);
                *memory = memory.saturating_add(self.held(group));
                used.read_bytes = used.read_bytes.saturating_add(group.used.read_bytes);
                used.written_bytes = used.written_bytes.saturating_add(group.used.written_bytes);
            }
        }
        let mut own: BTreeMap<Arc<Workload>, (u64, u64, GroupUse)> = BTreeMap::new();
        for (id, group) in &self.groups {
            let (cpu_inside, memory_inside, inside) = inner.get(id).copied().unwrap_or_default();
            let (cpu, memory, used) = own.entry(Arc::clone(&group.workload)).or_default();
            *cpu = cpu.saturating_add(group.used.cpu_ns.saturating_sub(cpu_inside));
            *memory = memory.saturating_add(self.held(group).saturating_sub(memory_inside));
            used.throttled_ns = used.throttled_ns.saturating_add(group.used.throttled_ns);
            let read = group.used.read_bytes.saturating_sub(inside.read_bytes);
            let written = group.used.written_bytes.saturating_sub(inside.written_bytes);
            used.read_bytes = used.read_bytes.saturating_add(read);
            used.written_bytes = used.written_bytes.saturating_add(written);
        }
        own
    }

    /// The workload that a process belongs to, if the process was seen.
    pub(crate) fn workload_of(&self, pid: u32) -> Option<Arc<Workload>> {
        let (_, process) = self.processes.range((pid, 0)..=(pid, u64::MAX)).max_by_key(|(_, process)| process.seen)?;
        match process.cgroup {
            Some(group) => self.groups.get(&group).map(|group| Arc::clone(&group.workload)),
            None => Some(Arc::new(Workload::Executable(Text::from(family(process))))),
        }
    }

    /// Memory that a group holds: none once it is gone. Groups are read with every batch.
    fn held(&self, group: &Group) -> u64 {
        if group.seen >= self.last_batch { group.memory } else { 0 }
    }

    /// Use by name of those processes that no workload group holds.
    fn executables(&self, now: Instant) -> BTreeMap<Arc<str>, (u64, u64)> {
        let mut by_name: BTreeMap<Arc<str>, (u64, u64)> = BTreeMap::new();
        for process in self.processes.values().filter(|process| process.cgroup.is_none()) {
            let (cpu, memory) = by_name.entry(family(process)).or_default();
            *cpu = cpu.saturating_add(process.used_ns);
            if now.since(process.seen) <= ENDED {
                *memory = memory.saturating_add(process.resident);
            }
        }
        by_name
    }

    pub(crate) fn reconfigure(&mut self, own_pid: Option<u32>) {
        self.own_pid = own_pid;
    }

    /// Adds the closed window to what each workload used so far. Workloads without series of their own are counted
    /// together, from the window on in which that is so.
    pub(crate) fn settle_totals(&mut self, opened: Timestamp, has_series: impl Fn(&Workload) -> bool) {
        let Closed { groups, by_name } = std::mem::take(&mut self.closed);
        for total in self.totals.values_mut() {
            total.live = false;
            total.memory = 0;
        }
        let executables = by_name
            .into_iter()
            .map(|(name, (cpu, memory))| (Arc::new(Workload::Executable(Text::from(name))), (cpu, memory, None)));
        let groups = groups.into_iter().map(|(workload, (cpu, memory, used))| (workload, (cpu, memory, Some(used))));
        let other = Arc::new(Workload::Other);
        for (workload, (cpu, memory, used)) in groups.chain(executables) {
            if cpu == 0 && memory == 0 && !self.totals.contains_key(&workload) {
                continue;
            }
            let seat = if has_series(&workload) { workload } else { Arc::clone(&other) };
            self.totals.entry(seat).or_insert_with(|| Total::since(opened)).add(cpu, memory, used);
        }
        self.totals.retain(|workload, total| total.live || **workload == Workload::Other);
    }

    /// What each live workload used, as figures.
    pub(crate) fn samples(&self, books: Period, samples: &mut Vec<Sample>) {
        let used = |total: &Total| total.cpu_ns > 0 || total.memory > 0;
        for (workload, total) in self.totals.iter().filter(|(_, total)| used(total)) {
            let subject = Arc::new(Subject::Workload(Workload::clone(workload)));
            let period = Period { start: total.since.min(books.at), at: books.at };
            samples.push(metrics::WORKLOAD_CPU_TIME.sample(&subject, Vec::new(), period, nanoseconds(total.cpu_ns)));
            samples.push(metrics::WORKLOAD_MEMORY.sample(
                &subject,
                Vec::new(),
                period,
                Bytes::new(total.memory as f64),
            ));
            if let Some(throttled) = total.throttled_ns.filter(|&ns| ns > 0) {
                samples.push(metrics::WORKLOAD_THROTTLED.sample(&subject, Vec::new(), period, nanoseconds(throttled)));
            }
            let (read, written) = total.disk.unwrap_or_default();
            for (direction, bytes) in [("read", read), ("write", written)] {
                if bytes > 0 {
                    let attributes = vec![Attribute::new(key::DISK_IO_DIRECTION, direction)];
                    samples.push(metrics::WORKLOAD_DISK_IO.sample(
                        &subject,
                        attributes,
                        period,
                        Bytes::new(bytes as f64),
                    ));
                }
            }
        }
    }
}

/// The shares of one resource of which `whole` was used. Processes outside groups share what the groups left.
fn shares(
    groups: &BTreeMap<Arc<Workload>, (u64, u64, GroupUse)>,
    by_name: &BTreeMap<Arc<str>, (u64, u64)>,
    whole: u64,
    part: fn((u64, u64)) -> u64,
) -> Shares {
    let mut parts: Vec<(Arc<Workload>, u64)> = groups
        .iter()
        .map(|(workload, &(cpu, memory, _))| (Arc::clone(workload), part((cpu, memory))))
        .filter(|(_, used)| *used > 0)
        .collect();
    let sum = |values: &mut dyn Iterator<Item = u64>| values.fold(0, u64::saturating_add);
    let grouped = sum(&mut parts.iter().map(|(_, used)| *used));
    let left = whole.saturating_sub(grouped);
    let seen = sum(&mut by_name.values().map(|&used| part(used)));
    for (name, &used) in by_name {
        // Ticks round and memory is shared: processes together never get more than the groups left.
        let used = if seen > left { proportion(part(used), left, seen) } else { part(used) };
        if used > 0 {
            parts.push((Arc::new(Workload::Executable(Text::from(Arc::clone(name)))), used));
        }
    }
    Shares { parts, unseen: left.saturating_sub(seen) }
}

/// `amount` * `numerator` / `denominator`, without overflow.
fn proportion(amount: u64, numerator: u64, denominator: u64) -> u64 {
    let exact = u128::from(amount) * u128::from(numerator) / u128::from(denominator.max(1));
    u64::try_from(exact).unwrap_or(u64::MAX)
}

/// The name that a process is counted under. Threads of the kernel hold no memory, and carry numbers of CPUs and
/// queues behind a slash that would make a series of each.
fn family(process: &Process) -> Arc<str> {
    match process.name.split_once('/') {
        Some((family, _)) if process.resident == 0 => family.into(),
        _ => Arc::clone(&process.name),
    }
}

fn nanoseconds(ns: u64) -> Seconds {
    Seconds::new(ns as f64 / 1e9)
}

/// The time in each mode between two readings. Modes may go back by a little: `iowait` and `idle` are estimates, and
/// then count as nothing. `None` when busy time went back: a CPU left, and the interval is lost.
fn difference(before: &CpuTimes, after: &CpuTimes) -> Option<CpuTimes> {
    (after.busy_ns() >= before.busy_ns()).then(|| CpuTimes {
        user_ns: after.user_ns.saturating_sub(before.user_ns),
        nice_ns: after.nice_ns.saturating_sub(before.nice_ns),
        system_ns: after.system_ns.saturating_sub(before.system_ns),
        idle_ns: after.idle_ns.saturating_sub(before.idle_ns),
        iowait_ns: after.iowait_ns.saturating_sub(before.iowait_ns),
        interrupt_ns: after.interrupt_ns.saturating_sub(before.interrupt_ns),
        steal_ns: after.steal_ns.saturating_sub(before.steal_ns),
    })
}

fn sum(left: &CpuTimes, right: &CpuTimes) -> CpuTimes {
    CpuTimes {
        user_ns: left.user_ns.saturating_add(right.user_ns),
        nice_ns: left.nice_ns.saturating_add(right.nice_ns),
        system_ns: left.system_ns.saturating_add(right.system_ns),
        idle_ns: left.idle_ns.saturating_add(right.idle_ns),
        iowait_ns: left.iowait_ns.saturating_add(right.iowait_ns),
        interrupt_ns: left.interrupt_ns.saturating_add(right.interrupt_ns),
        steal_ns: left.steal_ns.saturating_add(right.steal_ns),
    }
}
