use std::fs;
use std::path::Path;

use wattline_core::{Counter, DeviceKind, Step, Tick};

use super::*;

/// A machine with a powercap tree.
struct Machine {
    dir: tempfile::TempDir,
    root: HostRoot,
    powercap: Powercap,
    second: u64,
}

impl Machine {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = HostRoot::new(dir.path());
        Self { dir, root, powercap: Powercap::default(), second: 0 }
    }

    fn zone(&self, directory: &str, name: &str, energy_uj: &str) -> &Self {
        let zone = self.dir.path().join(TREE).join(directory);
        fs::create_dir_all(&zone).unwrap();
        fs::write(zone.join("name"), format!("{name}\n")).unwrap();
        fs::write(zone.join("max_energy_range_uj"), "262143328850\n").unwrap();
        fs::write(zone.join("energy_uj"), energy_uj).unwrap();
        self
    }

    fn file(&self, path: &str) -> std::path::PathBuf {
        self.dir.path().join(TREE).join(path)
    }

    /// Two sockets with memory, cores and psys, numbered in an order of their own.
    fn two_sockets(&self) {
        self.zone("intel-rapl:0", "package-1", "100\n")
            .zone("intel-rapl:0:0", "core", "10\n")
            .zone("intel-rapl:0:1", "dram", "20\n")
            .zone("intel-rapl:1", "package-0", "200\n")
            .zone("intel-rapl:1:0", "dram", "30\n")
            .zone("intel-rapl:2", "psys", "900\n");
    }

    /// Reads after one second more.
    fn read(&mut self) -> (Vec<EnergyReading>, SourceState) {
        self.second += 1;
        let at = Instant::from_nanos(self.second * 1_000_000_000);
        let mut out = Readings::new("host", Tick { at, ..Tick::default() });
        let state = self.powercap.read(&self.root, &Budget::new(100), at, &mut out);
        let energy = out.items.into_iter().map(|item| match item {
            Reading::Energy(energy) => energy,
            other => panic!("{other:?}"),
        });
        (energy.collect(), state)
    }

    fn shown(&mut self) -> Vec<(String, u64)> {
        self.read().0.iter().map(|energy| (name(&energy.scope), energy.counter_uj)).collect()
    }
}

fn name(scope: &Scope) -> String {
    match scope {
        Scope::Device(device) => format!("{} {}", device.kind.as_str(), device.id),
        Scope::Machine => "machine".into(),
        Scope::Overlapping(text) => format!("~{text}"),
    }
}

fn rows(shown: &[(String, u64)]) -> Vec<&str> {
    let mut rows: Vec<&str> =
        shown.iter().map(|(name, _)| name.as_str()).filter(|name| !name.starts_with('~')).collect();
    rows.sort_unstable();
    rows
}

#[test]
fn two_sockets_are_four_rows_named_after_the_sockets_and_psys_stands_apart() {
    let mut machine = Machine::new();
    machine.two_sockets();
    let mut shown = machine.shown();
    shown.sort();
    let expected = [
        ("cpu package-0", 200),
        ("cpu package-1", 100),
        ("memory dram-0", 30),
        ("memory dram-1", 20),
        ("~core-1", 10),
        ("~psys", 900),
    ];
    assert_eq!(shown, expected.map(|(name, raw)| (name.to_owned(), raw)));
    let (_, state) = machine.read();
    assert_eq!(state, SourceState::Up { found: "2 dram, 2 packages, 1 part, 1 psys".into() });
    assert!(machine.powercap.gives_cpu());
}

#[test]
fn a_wrap_reaches_the_model_as_raw_values_with_the_range_that_explains_it() {
    let mut machine = Machine::new();
    machine.zone("intel-rapl:0", "package-0", "262143328000\n");
    let mut counter = Counter::new();
    let (first, _) = machine.read();
    let at = |second: u64| Instant::from_nanos(second * 1_000_000_000);
    assert_eq!(counter.step(first[0].counter_uj, at(1), first[0].range), Step::First);
    machine.zone("intel-rapl:0", "package-0", "99999150\n");
    let (second, _) = machine.read();
    assert_eq!(second[0].counter_uj, 99_999_150);
    let amount = counter.step(second[0].counter_uj, at(2), second[0].range).delta().unwrap().0;
    assert_eq!(amount, 850 + 99_999_150 + 1);
}

#[test]
fn a_range_of_zero_or_of_garbage_is_no_range() {
    for range in ["0\n", "garbage\n", "", "99999999999999999999999\n"] {
        let mut machine = Machine::new();
        machine.zone("intel-rapl:0", "package-0", "5\n");
        fs::write(machine.file("intel-rapl:0/max_energy_range_uj"), range).unwrap();
        assert_eq!(machine.read().0[0].range, None, "{range:?}");
    }
}

#[test]
fn a_zone_shown_twice_is_read_from_the_registers() {
    let mut machine = Machine::new();
    machine.zone("intel-rapl-mmio:0", "package-0", "7\n").zone("intel-rapl:0", "package-0", "5\n").zone(
        "intel-rapl-mmio:1",
        "package-1",
        "9\n",
    );
    let mut shown = machine.shown();
    shown.sort();
    assert_eq!(shown, [("cpu package-0".to_owned(), 5), ("cpu package-1".to_owned(), 9)]);
}

#[test]
fn dies_that_mirror_one_counter_are_one_row_for_ever() {
    let mut machine = Machine::new();
    for second in 0..30_u64 {
        let counter = format!("{}\n", 1_000_000_000 + second * 68_000_000);
        machine.zone("intel-rapl:1", "package-0-die-0", &counter).zone("intel-rapl:0", "package-0-die-1", &counter);
        assert_eq!(rows(&machine.shown()), ["cpu package-0-die-0"], "second {second}");
    }
    let (_, state) = machine.read();
    let SourceState::Up { found } = state else { panic!("{state:?}") };
    assert_eq!(found, "1 package, package-0-die-1 left out, it repeats package-0-die-0");
}

#[test]
fn dies_with_counters_of_their_own_are_rows_once_they_have_differed() {
    let mut machine = Machine::new();
    for second in 0..8_u64 {
        let first = 1_000_000_000 + second * 68_000_000;
        let second_die = 1_000_000_000 + second * 61_000_000;
        machine
            .zone("intel-rapl:0", "package-0-die-0", &format!("{first}\n"))
            .zone("intel-rapl:1", "package-0-die-1", &format!("{second_die}\n"))
            .zone("intel-rapl:2", "package-1-die-0", &format!("{first}\n"));
        let shown = machine.shown();
        let expected: &[&str] = if second == 0 {
            &["cpu package-0-die-0", "cpu package-1-die-0"]
        } else {
            &["cpu package-0-die-0", "cpu package-0-die-1", "cpu package-1-die-0"]
        };
        assert_eq!(rows(&shown), expected, "second {second}");
    }
}

#[test]
fn the_mirror_of_a_die_that_cannot_be_read_does_not_take_its_place() {
    let mut machine = Machine::new();
    machine.zone("intel-rapl:0", "package-0-die-0", "no number\n").zone("intel-rapl:1", "package-0-die-1", "5\n");
    for _ in 0..3 {
        assert!(machine.shown().is_empty());
    }
}

#[test]
fn one_unreadable_zone_is_reported_and_the_others_go_on() {
    let mut machine = Machine::new();
    machine.two_sockets();
    fs::remove_file(machine.file("intel-rapl:1/energy_uj")).unwrap();
    fs::create_dir(machine.file("intel-rapl:1/energy_uj")).unwrap();
    let (energy, state) = machine.read();
    assert_eq!(energy.len(), 5);
    let SourceState::Failed { what } = state else { panic!("{state:?}") };
    assert!(what.contains("intel-rapl:1/energy_uj") && what.contains("1 package"), "{what}");
}

#[test]
fn what_may_not_be_read_names_the_attack_and_the_remedy() {
    let fault = Fault::reading(&HostRoot::new("/"), "energy_uj", &std::io::ErrorKind::PermissionDenied.into());
    let SourceState::Denied { remedy, .. } = fault.state("", REMEDY) else { panic!("{fault:?}") };
    for word in ["CVE-2020-8694", "udev", "tmpfiles", "root", "CAP_DAC_READ_SEARCH"] {
        assert!(remedy.contains(word), "{word}");
    }
}

#[test]
fn no_tree_and_an_empty_tree_are_absent() {
    let mut machine = Machine::new();
    assert!(matches!(machine.read().1, SourceState::Absent { .. }));
    fs::create_dir_all(machine.file("intel-rapl")).unwrap();
    machine.powercap.reset();
    let (energy, state) = machine.read();
    let SourceState::Absent { looked } = state else { panic!("{state:?}") };
    assert!(energy.is_empty() && looked.ends_with(TREE) && Path::new(&looked).is_absolute(), "{looked}");
}

#[test]
fn broken_trees_give_no_readings_and_no_panic() {
    for energy in ["", "\n", "garbage", "-5\n", "18446744073709551616\n", "1 2\n", "\u{0}"] {
        let mut machine = Machine::new();
        machine.zone("intel-rapl:0", "package-0", energy);
        fs::create_dir_all(machine.file("intel-rapl:7")).unwrap();
        fs::create_dir_all(machine.file("intel-rapl:x:y")).unwrap();
        let (energy, state) = machine.read();
        assert!(energy.is_empty() && matches!(state, SourceState::Failed { .. }), "{state:?}");
    }
    let mut machine = Machine::new();
    machine.zone("intel-rapl:0", "package-0", "18446744073709551615\n");
    assert_eq!(machine.shown(), [("cpu package-0".to_owned(), u64::MAX)]);
}

#[test]
fn zones_that_come_and_go_are_noticed_within_a_minute() {
    let mut machine = Machine::new();
    machine.zone("intel-rapl:0", "package-0", "1\n");
    assert_eq!(machine.shown().len(), 1);
    machine.zone("intel-rapl:1", "package-1", "2\n");
    assert_eq!(machine.shown().len(), 1);
    machine.second += 60;
    assert_eq!(rows(&machine.shown()), ["cpu package-0", "cpu package-1"]);
    fs::remove_dir_all(machine.file("intel-rapl:0")).unwrap();
    machine.second += 60;
    let (energy, state) = machine.read();
    assert_eq!(energy.len(), 1);
    assert_eq!(energy[0].scope, Scope::Device(wattline_core::Device::new(DeviceKind::Cpu, "package-1".to_owned())));
    assert!(matches!(state, SourceState::Up { .. }));
}
