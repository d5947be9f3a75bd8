//! CPU time by mode from `/proc/stat`, load averages, and the counts of tasks that stand in the same file.
//!
//! The meaning of the columns is that of `proc_stat(5)`: ticks of `_SC_CLK_TCK`, guest time already inside user and
//! nice. Counters of idle and I/O wait may go back; they are passed on as they are, since only the model knows
//! what it last saw.

use wattline_core::reading::{CpuReading, CpuTimes, LoadReading, SourceState};
use wattline_core::{HostRoot, Reading, Readings, Timestamp};

use crate::clock_ticks;

use super::state::{counted, not_understood, of_both, unreadable};
use super::whole_file::WholeFile;

/// Reads `/proc/stat` and `/proc/loadavg`.
#[derive(Debug)]
pub(super) struct Cpu {
    stat: WholeFile,
    load: WholeFile,
    tell_each: bool,
}

/// Counts of tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tasks {
    /// Tasks that run or want to.
    pub(super) running: u64,
    /// Tasks that wait for I/O.
    pub(super) blocked: u64,
    /// Tasks created since boot.
    pub(super) created: u64,
}

impl Cpu {
    pub(super) fn new(root: &HostRoot, per_cpu: bool) -> Self {
        Self { stat: WholeFile::new(root, "proc/stat"), load: WholeFile::new(root, "proc/loadavg"), tell_each: per_cpu }
    }

    /// Appends CPU times and load, and gives the counts of tasks if they are there.
    pub(super) fn read(&mut self, buffer: &mut Vec<u8>, out: &mut Readings) -> (SourceState, Option<Tasks>) {
        let (stat, tasks) = self.read_stat(buffer, out);
        (of_both(stat, self.read_load(buffer, out)), tasks)
    }

    fn read_stat(&mut self, buffer: &mut Vec<u8>, out: &mut Readings) -> (SourceState, Option<Tasks>) {
        let text = match self.stat.read(buffer) {
            Ok(text) => text,
            Err(error) => return (unreadable(&error, &self.stat.place()), None),
        };
        let stat = parse_stat(&text, self.tell_each);
        let state = match (stat.total, stat.odd_line) {
            (None, _) => not_understood(&self.stat.place(), "there is no row of the sum over CPUs"),
            (_, Some(line)) => not_understood(&self.stat.place(), &format!("line {line} is not a row of CPU times")),
            (Some(_), None) => SourceState::Up { found: counted(stat.online as usize, "CPU", "CPUs") },
        };
        if let Some(total) = stat.total {
            out.items.push(Reading::Cpu(CpuReading { total, per_cpu: stat.per_cpu, online: stat.online }));
        }
        (state, stat.tasks)
    }

    fn read_load(&mut self, buffer: &mut Vec<u8>, out: &mut Readings) -> SourceState {
        match self.load.read(buffer) {
            Ok(text) => match parse_load(&text) {
                Some(load) => {
                    out.items.push(Reading::Load(load));
                    SourceState::Up { found: String::new() }
                }
                None => not_understood(&self.load.place(), "it does not begin with three averages"),
            },
            Err(error) => unreadable(&error, &self.load.place()),
        }
    }
}

/// What is used of `/proc/stat`.
#[derive(Debug, Default)]
struct Stat {
    /// The sum over CPUs. Absent also when no CPU has a row, since then nothing tells how many there are.
    total: Option<CpuTimes>,
    per_cpu: Vec<(u32, CpuTimes)>,
    online: u32,
    tasks: Option<Tasks>,
    /// The number of the first row of CPU times that is none.
    odd_line: Option<usize>,
}

fn parse_stat(text: &str, tell_each: bool) -> Stat {
    let mut stat = Stat::default();
    let (mut running, mut blocked, mut created) = (None, None, None);
    for (number, line) in (1..).zip(text.lines()) {
        let mut words = line.split_ascii_whitespace();
        let Some(name) = words.next() else { continue };
        let mut value = || words.next()?.parse().ok();
        match name {
            "procs_running" => running = value(),
            "procs_blocked" => blocked = value(),
            "processes" => created = value(),
            // The row of interrupts is by far the longest and of no use here.
            "intr" | "softirq" => {}
            _ => {
                let Some(cpu) = name.strip_prefix("cpu") else { continue };
                match (cpu, cpu.parse(), parse_times(words)) {
                    ("", _, Some(times)) => stat.total = Some(times),
                    (_, Ok(cpu), Some(times)) => {
                        stat.online = stat.online.saturating_add(1);
                        if tell_each {
                            stat.per_cpu.push((cpu, times));
                        }
                    }
                    _ => stat.odd_line = stat.odd_line.or(Some(number)),
                }
            }
        }
    }
    if stat.online == 0 {
        stat.total = None;
    }
    if let (Some(running), Some(blocked), Some(created)) = (running, blocked, created) {
        stat.tasks = Some(Tasks { running, blocked, created });
    }
    stat
}

/// The columns after the name. Kernels before 2.6.11 have as few as four; a column that is not there counts nothing.
fn parse_times<'a>(words: impl Iterator<Item = &'a str>) -> Option<CpuTimes> {
    let mut ticks = [0u64; 8];
    let mut columns = 0;
    for (slot, word) in ticks.iter_mut().zip(words) {
        *slot = word.parse().ok()?;
        columns += 1;
    }
    if columns < 4 {
        return None;
    }
    let [user, nice, system, idle, iowait, irq, softirq, steal] = ticks.map(clock_ticks::nanos);
    let interrupt_ns = irq.saturating_add(softirq);
    Some(CpuTimes {
        user_ns: user,
        nice_ns: nice,
        system_ns: system,
        idle_ns: idle,
        iowait_ns: iowait,
        interrupt_ns,
        steal_ns: steal,
    })
}

fn parse_load(text: &str) -> Option<LoadReading> {
    let mut averages = text.split_ascii_whitespace().map_while(|word| word.parse::<f64>().ok());
    let mut next = || averages.next().filter(|average| average.is_finite() && *average >= 0.0);
    Some(LoadReading { one: next()?, five: next()?, fifteen: next()? })
}

/// When the machine booted, from the text of `/proc/stat`.
pub(crate) fn boot_time(stat: &str) -> Option<Timestamp> {
    let seconds: u64 = stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    seconds.checked_mul(1_000_000_000).map(Timestamp::from_unix_nanos)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TICK_NS: u64 = 10_000_000;

    #[test]
    fn irq_and_softirq_are_interrupt_and_guest_stays_inside_user() {
        let stat = parse_stat("cpu  100 20 30 400 5 6 7 8 90 10\ncpu0 100 20 30 400 5 6 7 8 90 10\n", false);
        let total = stat.total.unwrap();
        assert_eq!(total.user_ns, 100 * TICK_NS);
        assert_eq!(total.interrupt_ns, 13 * TICK_NS);
        assert_eq!(total.steal_ns, 8 * TICK_NS);
        // Guest time is not added a second time.
        assert_eq!(total.total_ns(), (100 + 20 + 30 + 400 + 5 + 13 + 8) * TICK_NS);
    }

    #[test]
    fn rows_of_old_kernels_are_short() {
        let stat = parse_stat("cpu 1 2 3 4\ncpu0 1 2 3 4\n", true);
        let expected = CpuTimes {
            user_ns: TICK_NS,
            nice_ns: 2 * TICK_NS,
            system_ns: 3 * TICK_NS,
            idle_ns: 4 * TICK_NS,
            ..CpuTimes::default()
        };
        assert_eq!(stat.total, Some(expected));
        assert_eq!(stat.per_cpu, [(0, expected)]);
        assert_eq!(parse_stat("cpu 1 2 3\ncpu0 1 2 3\n", true).odd_line, Some(1));
    }

    #[test]
    fn cpus_that_are_offline_have_no_row_and_numbers_may_have_gaps() {
        let stat = parse_stat("cpu 3 0 0 0\ncpu0 1 0 0 0\ncpu2 2 0 0 0\nintr 5 6 7\n", true);
        assert_eq!(stat.online, 2);
        assert_eq!(stat.per_cpu.iter().map(|(cpu, _)| *cpu).collect::<Vec<_>>(), [0, 2]);
    }

    #[test]
    fn an_odd_row_is_left_out_and_named() {
        let stat = parse_stat("cpu 3 0 0 0\ncpu0 1 0 0 0\ncpu1 x 0 0 0\n", true);
        assert_eq!((stat.online, stat.odd_line), (1, Some(3)));
        assert!(stat.total.is_some());
    }

    #[test]
    fn ticks_near_the_end_of_the_range_do_not_overflow() {
        let max = u64::MAX;
        let stat = parse_stat(&format!("cpu {max} 0 0 0 0 {max} {max}\ncpu0 0 0 0 0\n"), false);
        assert_eq!(stat.total.unwrap().interrupt_ns, u64::MAX);
    }

    #[test]
    fn load_averages_keep_their_two_decimals() {
        let load = parse_load("0.61 1.12 1.44 2/345 12345\n").unwrap();
        assert_eq!(load, LoadReading { one: 0.61, five: 1.12, fifteen: 1.44 });
        for odd in ["", "0.61 1.12", "nan 1 1", "-1 1 1", "a b c"] {
            assert_eq!(parse_load(odd), None, "{odd:?}");
        }
    }

    #[test]
    fn the_boot_time_is_found_anywhere_in_the_file() {
        let boot = boot_time("cpu 1 2 3 4\nctxt 5\nbtime 1760000000\nprocesses 3\n");
        assert_eq!(boot, Some(Timestamp::from_unix_nanos(1_760_000_000_000_000_000)));
        assert_eq!(boot_time("btime 99999999999999999999\n"), None);
        assert_eq!(boot_time("btime 18446744073709551615\n"), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "(cpu[0-9 ]{0,24}|procs_running|[^\n]{0,40}|\n){0,30}") {
            let stat = parse_stat(&text, true);
            prop_assert_eq!(stat.per_cpu.len(), stat.online as usize);
            parse_load(&text);
            boot_time(&text);
        }
    }
}
