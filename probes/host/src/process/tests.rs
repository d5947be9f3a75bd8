use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use wattline_core::reading::ProcessReading;

use super::*;
use crate::machine::{Machine, processes, readings, second};

struct Fixture {
    machine: Machine,
    budget: Budget,
    cgroups: Cgroups,
    processes: Processes,
}

impl Fixture {
    fn new(config: &Config) -> Self {
        Self {
            machine: Machine::new(),
            budget: Budget::new(1_000),
            cgroups: Cgroups::new(100, Duration::from_secs(10)),
            processes: Processes::new(config),
        }
    }

    fn read(&mut self, at: u64) -> (Vec<ProcessReading>, SourceState) {
        let at = second(at);
        let mut out = readings(at);
        self.cgroups.read(&self.machine.root, &self.budget, at, &mut out);
        let state = self.processes.read(&self.machine.root, &self.budget, at, &mut self.cgroups, &mut out);
        (processes(&out).into_iter().cloned().collect(), state)
    }

    fn pids(&mut self, at: u64) -> BTreeSet<u32> {
        self.read(at).0.iter().map(|process| process.pid).collect()
    }
}

fn config(hot_processes: usize) -> Config {
    Config { hot_processes, ..Config::default() }
}

#[test]
fn a_process_is_read_with_its_group_and_in_nanoseconds_and_bytes() {
    let mut fixture = Fixture::new(&config(5));
    fixture.machine.unified().group("/a.service", 1).process(42, b"tmux: server (1)", 777, 123, "/a.service/inner");
    let at = second(1);
    let mut out = readings(at);
    fixture.cgroups.read(&fixture.machine.root, &fixture.budget, at, &mut out);
    let id = crate::machine::groups(&out)[0].id;
    let (found, state) = fixture.read(1);
    let expected = ProcessReading {
        pid: 42,
        start_ticks: 777,
        name: "tmux: server (1)".into(),
        cgroup: Some(id),
        cpu_ns: 123 * 1_000_000_000 / rustix::param::clock_ticks_per_second(),
        resident_bytes: 7 * rustix::param::page_size() as u64,
        threads: 2,
    };
    assert_eq!(found, [expected]);
    assert_eq!(state, SourceState::Up { found: "1 process, 0 read at every tick".into() });
}

#[test]
fn busy_processes_are_read_at_every_tick_and_each_other_once_in_the_cold_period() {
    let mut fixture = Fixture::new(&config(2));
    fixture.machine.unified().link("proc/self", "7");
    let busy = [30_u32, 31];
    let write = |machine: &Machine, at: u64| {
        for pid in 1..=100 {
            let ticks = if busy.contains(&pid) { at * 50 } else { 0 };
            machine.process(pid, b"sh", 1, ticks, "/");
        }
    };
    for at in 1..=2 {
        write(&fixture.machine, at);
        assert_eq!(fixture.pids(at).len(), 100, "new processes are read twice");
    }
    let mut last_read = vec![2_u64; 101];
    for at in 3..=60 {
        write(&fixture.machine, at);
        let pids = fixture.pids(at);
        assert!([7, 30, 31].iter().all(|pid| pids.contains(pid)), "second {at}: {pids:?}");
        assert!(pids.len() <= 3 + 10, "second {at}: {} read", pids.len());
        for pid in pids {
            last_read[pid as usize] = at;
        }
        let oldest = last_read[1..].iter().min().unwrap();
        assert!(at - oldest <= 10, "second {at}: one was read last in second {oldest}");
    }
}

#[test]
fn a_process_that_falls_asleep_leaves_its_place_to_one_that_wakes() {
    let mut fixture = Fixture::new(&config(1));
    fixture.machine.unified();
    for at in 1..=40 {
        fixture.machine.process(1, b"first", 1, at.min(10) * 90, "/").process(2, b"second", 1, at.max(10) * 90, "/");
        for pid in 3..50 {
            fixture.machine.process(pid, b"idle", 1, 0, "/");
        }
        let pids = fixture.pids(at);
        // The cold round takes ten seconds to see that the second has woken.
        let expected = if at <= 10 {
            Some(1)
        } else if at > 22 {
            Some(2)
        } else {
            None
        };
        assert!(expected.is_none_or(|pid| pids.contains(&pid)), "second {at}: {pids:?}");
    }
}

#[test]
fn a_snapshot_reads_all_at_every_tick() {
    let snapshot = Config { process_scan: ProcessScan::EveryTick, ..Config::default() };
    let unhurried = Config { cold_period: Duration::ZERO, ..Config::default() };
    for config in [snapshot, unhurried] {
        let mut fixture = Fixture::new(&config);
        fixture.machine.unified();
        for at in 1..=5 {
            fixture.machine.process(u32::try_from(at).unwrap(), b"sh", 1, 0, "/");
            assert_eq!(fixture.pids(at).len() as u64, at, "second {at}");
        }
    }
}

#[test]
fn a_pid_that_is_used_again_is_another_process() {
    let mut fixture = Fixture::new(&config(5));
    fixture.machine.unified().group("/a.service", 1).group("/b.service", 1).process(
        42,
        b"old",
        100,
        5_000,
        "/a.service",
    );
    let before = fixture.read(1).0;
    fixture.machine.process(42, b"new", 200, 3, "/b.service");
    let after = fixture.read(2).0;
    assert_eq!((after[0].start_ticks, &*after[0].name, after[0].pid), (200, "new", 42));
    assert!(before[0].cgroup.is_some() && after[0].cgroup.is_some());
    assert_ne!(before[0].cgroup, after[0].cgroup);
    assert_eq!(after[0].cpu_ns, 3 * 1_000_000_000 / rustix::param::clock_ticks_per_second());
}

#[test]
fn a_process_that_exits_between_two_readings_simply_vanishes() {
    // Without descriptors to keep, the file is gone at once; with them, here, at the next listing.
    for (descriptors, seen_at) in [(0, 2), (1_000, 3)] {
        let mut fixture = Fixture::new(&config(5));
        fixture.budget = Budget::new(descriptors);
        fixture.machine.unified().process(1, b"init", 1, 1, "/").process(42, b"short", 9, 1, "/");
        assert_eq!(fixture.read(1).0.len(), 2);
        fixture.machine.remove("proc/42");
        let (found, state) = fixture.read(seen_at);
        assert_eq!(found.iter().map(|process| process.pid).collect::<Vec<_>>(), [1]);
        assert!(matches!(state, SourceState::Up { .. }), "{state:?}");
    }
}

#[test]
fn new_processes_are_found_within_two_seconds() {
    let mut fixture = Fixture::new(&config(5));
    fixture.machine.unified().process(1, b"init", 1, 1, "/");
    fixture.read(10);
    fixture.machine.process(2, b"late", 1, 1, "/");
    assert!(!fixture.pids(11).contains(&2));
    assert!(fixture.pids(12).contains(&2));
}

#[test]
fn hostile_names_are_escaped_and_a_name_is_shared_until_it_changes() {
    let mut fixture = Fixture::new(&config(5));
    fixture.machine.unified().process(42, b"a) R 1\n\x1b[2J\xff", 1, 1, "/");
    let first = fixture.read(1).0;
    assert_eq!(&*first[0].name, "a) R 1\\n\\u{1b}[2J\u{fffd}");
    let second = fixture.read(2).0;
    assert!(Arc::ptr_eq(&first[0].name, &second[0].name));
    fixture.machine.process(42, b"python3", 1, 90, "/");
    assert!((3..=13).any(|at| fixture.read(at).0.iter().any(|process| &*process.name == "python3")));
}

#[test]
fn a_process_that_is_moved_is_found_in_its_new_group() {
    let mut fixture = Fixture::new(&config(5));
    fixture.machine.unified().group("/a.service", 1).group("/b.service", 1);
    let mut groups = Vec::new();
    for at in 1..=30 {
        let group = if at < 3 { "/a.service" } else { "/b.service" };
        fixture.machine.process(42, b"sh", 1, at * 10, group);
        groups.extend(fixture.read(at).0.into_iter().map(|process| process.cgroup));
    }
    assert_ne!(groups.first(), groups.last());
    assert!(groups.iter().all(Option::is_some));
}

#[test]
fn a_group_that_is_found_late_is_filled_in_without_reading_the_process_anew() {
    let mut fixture = Fixture::new(&config(5));
    fixture.machine.unified().process(42, b"sh", 1, 1, "/late.service");
    assert_eq!(fixture.read(1).0[0].cgroup, None);
    fixture.machine.group("/late.service", 1).process(42, b"sh", 1, 50, "/late.service");
    assert_eq!(fixture.read(2).0[0].cgroup, None);
    fixture.machine.process(42, b"sh", 1, 90, "/late.service");
    assert!(fixture.read(3).0[0].cgroup.is_some());
}

#[test]
fn processes_beyond_the_limit_are_counted_and_the_agent_is_never_left_out() {
    let mut fixture = Fixture::new(&Config { max_processes: 3, ..Config::default() });
    fixture.machine.unified().link("proc/self", "9");
    for pid in 1..=9 {
        fixture.machine.process(pid, b"sh", 1, 1, "/");
    }
    let (found, state) = fixture.read(1);
    assert_eq!(found.iter().map(|process| process.pid).collect::<Vec<_>>(), [1, 2, 9]);
    assert!(matches!(state, SourceState::Up { found } if found.contains("6 beyond max_processes")));
}

#[test]
fn a_broken_process_is_reported_and_the_others_go_on() {
    let mut fixture = Fixture::new(&config(5));
    fixture.machine.unified().process(1, b"init", 1, 1, "/").write("proc/2/stat", "garbage");
    std::fs::create_dir_all(fixture.machine.at("proc/3/stat")).unwrap();
    let (found, state) = fixture.read(1);
    assert_eq!(found.len(), 1);
    let SourceState::Failed { what } = state else { panic!("{state:?}") };
    assert!(what.contains("proc/2/stat") && what.contains("2 not readable"), "{what}");
}

#[test]
fn a_machine_without_proc_is_absent_and_comes_back() {
    let mut fixture = Fixture::new(&config(5));
    assert!(matches!(fixture.read(1).1, SourceState::Absent { .. }));
    fixture.machine.unified().process(1, b"init", 1, 1, "/");
    assert_eq!(fixture.read(2).0.len(), 1);
}

#[test]
fn after_a_reset_every_process_is_read_again_with_new_files() {
    let mut fixture = Fixture::new(&config(1));
    fixture.machine.unified();
    for pid in 1..=30 {
        fixture.machine.process(pid, b"sh", 1, 1, "/");
    }
    for at in 1..=3 {
        fixture.read(at);
    }
    fixture.processes.reset();
    assert_eq!(fixture.pids(100).len(), 30);
}
