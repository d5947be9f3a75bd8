//! The probe as a whole.

use std::collections::BTreeSet;
use std::hint::black_box;

use wattline_core::reading::{Scope, SourceState};

use super::*;
use crate::machine::{Machine, groups, processes, readings, second};

fn read(probe: &mut HostProbe, at: u64) -> Readings {
    let mut out = readings(second(at));
    probe.read(out.tick, &mut out).unwrap();
    out
}

fn told(out: &Readings) -> BTreeSet<&'static str> {
    out.items
        .iter()
        .filter_map(|item| if let Reading::Health(health) = item { Some(health.part) } else { None })
        .collect()
}

fn cpu_rows(out: &Readings) -> usize {
    let scopes = out.items.iter().filter_map(|item| match item {
        Reading::Energy(energy) => Some(&energy.scope),
        Reading::Power(power) => Some(&power.scope),
        _ => None,
    });
    scopes.filter(|scope| matches!(scope, Scope::Device(_))).count()
}

#[test]
fn each_part_tells_of_itself_at_first_and_then_only_when_its_state_changes() {
    let machine = Machine::new();
    machine.unified().group("/a.service", 1).process(1, b"init", 1, 1, "/");
    let mut probe = HostProbe::open(Config::default(), &machine.root);
    let parts = ["rapl", "hwmon", "acpi_power_meter", "cgroups", "processes"];
    let first = read(&mut probe, 1);
    assert!(parts.iter().all(|part| told(&first).contains(part)), "{:?}", told(&first));
    machine.group("/b.service", 1).process(2, b"sh", 1, 1, "/");
    let third = read(&mut probe, 3);
    assert!(parts.iter().all(|part| !told(&third).contains(part)), "{:?}", told(&third));
    let cgroups = probe.sources().into_iter().find(|source| source.part == "cgroups");
    let SourceState::Up { found } = cgroups.unwrap().state else { panic!("not up") };
    assert!(found.contains("2 groups"), "{found}");
    let zone = "sys/class/powercap/intel-rapl:0";
    machine.write(&format!("{zone}/name"), "package-0\n").write(&format!("{zone}/energy_uj"), "5\n");
    assert_eq!(told(&read(&mut probe, 62)), BTreeSet::from(["rapl"]));
    assert!(probe.sources().iter().any(|source| source.part == "memory"), "the parts of the system are told too");
}

#[test]
fn a_machine_without_anything_is_absent_in_every_part_and_no_error() {
    let machine = Machine::new();
    let mut probe = HostProbe::open(Config::default(), &machine.root);
    let out = read(&mut probe, 1);
    assert!(out.items.iter().all(|item| matches!(item, Reading::Health(_))), "{:?}", out.items);
    for part in ["rapl", "hwmon", "acpi_power_meter", "cgroups", "processes"] {
        let state = probe.sources().into_iter().find(|source| source.part == part).unwrap().state;
        assert!(matches!(state, SourceState::Absent { .. }), "{part}: {state:?}");
    }
}

#[test]
fn a_processor_is_a_row_once_whoever_else_measures_it() {
    let machine = Machine::new();
    let chip = "sys/class/hwmon/hwmon0";
    machine
        .write(&format!("{chip}/name"), "amd_energy\n")
        .write(&format!("{chip}/energy1_label"), "Esocket0\n")
        .write(&format!("{chip}/energy1_input"), "77\n");
    let mut probe = HostProbe::open(Config::default(), &machine.root);
    assert_eq!(cpu_rows(&read(&mut probe, 1)), 1);
    let zone = "sys/class/powercap/intel-rapl:0";
    machine.write(&format!("{zone}/name"), "package-0\n").write(&format!("{zone}/energy_uj"), "5\n");
    let out = read(&mut probe, 70);
    assert_eq!(cpu_rows(&out), 1);
    let rapl = |item: &Reading| matches!(item, Reading::Energy(energy) if energy.counter_uj == 5 && matches!(energy.scope, Scope::Device(_)));
    assert!(out.items.iter().any(rapl));
}

#[test]
fn after_a_reset_the_probe_reads_on() {
    let machine = Machine::new();
    machine.unified().group("/a.service", 1).process(1, b"init", 1, 1, "/a.service");
    let mut probe = HostProbe::open(Config::default(), &machine.root);
    let before = read(&mut probe, 1);
    probe.reset();
    let after = read(&mut probe, 100);
    assert_eq!(groups(&after), groups(&before));
    assert_eq!(processes(&after), processes(&before));
}

#[test]
fn the_machine_that_runs_this_test_is_read() {
    let config = Config { process_scan: ProcessScan::EveryTick, ..Config::default() };
    let mut probe = HostProbe::open(config, &HostRoot::new("/"));
    let own_pid = u32::try_from(rustix::process::getpid().as_raw_nonzero().get()).unwrap();
    let mut own_cpu = Vec::new();
    for at in 1..2_000 {
        let out = read(&mut probe, at);
        let pids: BTreeSet<u32> = processes(&out).iter().map(|process| process.pid).collect();
        assert_eq!(pids.len(), processes(&out).len(), "each process is read once");
        let ids: BTreeSet<u64> = groups(&out).iter().map(|group| group.id).collect();
        assert_eq!(ids.len(), groups(&out).len(), "each group has an id of its own");
        for process in processes(&out) {
            assert!(process.threads > 0 && !process.name.chars().any(char::is_control), "{process:?}");
        }
        let own = processes(&out).into_iter().find(|process| process.pid == own_pid).unwrap().clone();
        assert!(own.start_ticks > 0 && own.resident_bytes > 1 << 20, "{own:?}");
        own_cpu.push(own.cpu_ns);
        if own_cpu.first() < own_cpu.last() {
            break;
        }
        // CPU time is counted in ticks of ten milliseconds.
        black_box((0..1_000_000_u64).fold(0, |sum, number| sum ^ black_box(number)));
    }
    assert!(own_cpu.is_sorted() && own_cpu.first() < own_cpu.last(), "{own_cpu:?}");
    let processes = probe.sources().into_iter().find(|source| source.part == "processes").unwrap();
    assert!(matches!(processes.state, SourceState::Up { .. }), "{processes:?}");
}
