use std::fs;
use std::path::Path;

use wattline_core::reading::{SourceHealth, SourceState};

use super::*;

fn at(seconds: u64) -> Tick {
    Tick { at: Instant::from_nanos(seconds * 1_000_000_000), ..Tick::default() }
}

fn write(folder: &Path, path: &str, text: &str) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn read(system: &mut System, seconds: u64) -> Vec<Reading> {
    let mut out = Readings::new("host", at(seconds));
    system.read(at(seconds), &mut out);
    out.items
}

fn health(items: &[Reading]) -> Vec<(&'static str, &'static str)> {
    let word = |state: &SourceState| match state {
        SourceState::Up { .. } => "up",
        SourceState::Absent { .. } => "absent",
        SourceState::Denied { .. } => "denied",
        SourceState::Failed { .. } => "failed",
    };
    let of = |item: &Reading| match item {
        Reading::Health(SourceHealth { part, state }) => Some((*part, word(state))),
        _ => None,
    };
    items.iter().filter_map(of).collect()
}

#[test]
fn an_empty_machine_is_silent_after_saying_once_what_it_lacks() {
    let folder = tempfile::tempdir().unwrap();
    let mut system = System::open(&crate::Config::default(), &HostRoot::new(folder.path()));
    let items = read(&mut system, 0);
    let parts = ["cpu", "memory", "disk", "network", "pressure", "filesystem"];
    assert_eq!(health(&items), parts.map(|part| (part, "absent")));
    assert_eq!(items.len(), parts.len());
    assert!(read(&mut system, 1).is_empty());
}

#[test]
fn a_part_that_comes_and_breaks_is_told_on_each_change_and_only_then() {
    let folder = tempfile::tempdir().unwrap();
    let mut system = System::open(&crate::Config::default(), &HostRoot::new(folder.path()));
    read(&mut system, 0);
    write(folder.path(), "proc/diskstats", "8 0 sda 1 2 3 4 5 6 7 8 9 10 11\n8 16 sdb 1 2 3 4 5 6 7 8 9 10 11\n");
    let items = read(&mut system, 1);
    assert_eq!(health(&items), [("disk", "up")]);
    assert_eq!(items.iter().filter(|item| matches!(item, Reading::Disk(_))).count(), 2);
    assert_eq!(health(&read(&mut system, 2)), []);

    // One row is odd: the other disk is still told, and why one is missing as well.
    write(folder.path(), "proc/diskstats", "8 0 sda 1 2 3 4 5 6 7 8 9 10 11\n8 16 sdb 1 2 x 4 5 6 7 8 9 10 11\n");
    let items = read(&mut system, 3);
    assert_eq!(health(&items), [("disk", "failed")]);
    assert_eq!(items.iter().filter(|item| matches!(item, Reading::Disk(_))).count(), 1);
    assert_eq!(health(&read(&mut system, 4)), []);
}

#[test]
fn counters_that_go_back_are_passed_on_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let mut system = System::open(&crate::Config::default(), &HostRoot::new(folder.path()));
    let idle = |items: Vec<Reading>| {
        items.into_iter().find_map(|item| if let Reading::Cpu(cpu) = item { Some(cpu.total.idle_ns) } else { None })
    };
    write(folder.path(), "proc/stat", "cpu 1 1 1 500\ncpu0 1 1 1 500\n");
    assert_eq!(idle(read(&mut system, 0)), Some(5_000_000_000));
    write(folder.path(), "proc/stat", "cpu 1 1 1 499\ncpu0 1 1 1 499\n");
    assert_eq!(idle(read(&mut system, 1)), Some(4_990_000_000));
}

#[test]
fn processes_are_counted_at_first_and_then_every_ten_seconds() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["1", "23", "self", "4x"] {
        fs::create_dir_all(folder.path().join("proc").join(name)).unwrap();
    }
    let stat = "cpu 1 1 1 1\ncpu0 1 1 1 1\nprocesses 900\nprocs_running 2\nprocs_blocked 1\n";
    write(folder.path(), "proc/stat", stat);
    let mut system = System::open(&crate::Config::default(), &HostRoot::new(folder.path()));
    let mut counted = Vec::new();
    for second in 0..=20 {
        for item in read(&mut system, second) {
            if let Reading::Processes(count) = item {
                counted.push((second, count));
            }
        }
    }
    let count = ProcessCount { all: 2, running: 2, blocked: 1, created: 900 };
    assert_eq!(counted, [(0, count), (10, count), (20, count)]);
}

#[test]
fn loopback_and_the_links_of_containers_are_left_out_unless_the_config_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let row = ": 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n";
    let names = ["lo", "ens5", "veth1a2b3c", "docker0", "eni0a1b2c3d4e5"];
    let rows = names.map(|name| format!("{name}{row}")).concat();
    write(folder.path(), "proc/1/net/dev", &format!("Inter-| Receive\n face |bytes\n{rows}"));
    // What the container itself would see is not read.
    write(folder.path(), "proc/net/dev", &format!("Inter-| Receive\n face |bytes\neth99{row}"));
    let told = |config: &crate::Config| -> Vec<String> {
        let items = read(&mut System::open(config, &HostRoot::new(folder.path())), 0);
        let name = |item| if let Reading::Network(reading) = item { Some(reading.interface.to_string()) } else { None };
        items.into_iter().filter_map(name).collect()
    };
    let mut config = crate::Config::default();
    assert_eq!(told(&config), ["ens5", "docker0"]);
    config.system.skip_interfaces.clear();
    assert_eq!(told(&config), names);
}

#[test]
fn the_machine_that_runs_this_test_is_read() {
    let mut system = System::open(&crate::Config::default(), &HostRoot::new("/"));
    let items = read(&mut system, 0);
    let has = |wanted: fn(&Reading) -> bool| items.iter().any(wanted);
    assert!(has(|item| matches!(item, Reading::Cpu(cpu) if cpu.online > 0 && cpu.total.busy_ns() > 0)));
    assert!(has(|item| matches!(item, Reading::Memory(memory) if memory.free < memory.total)));
    assert!(has(|item| matches!(item, Reading::Load(_))));
    assert!(has(|item| matches!(item, Reading::Processes(count) if count.all > 0 && count.running > 0)));
}
