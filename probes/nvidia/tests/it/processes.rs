//! Who holds a GPU and how much of it each one uses.

use wattline_core::HostRoot;
use wattline_core::reading::{AcceleratorProcess, Contexts, SourceState};
use wattline_core::{Probe, Readings, Tick};
use wattline_probe_nvidia::{Access, Config, NAME, NvidiaProbe, PROCESSES};

use crate::machine::{BEGIN_US, Machine, TWO, gpus, own};

fn holders(machine: &mut Machine) -> Vec<AcceleratorProcess> {
    machine.gpus()[0].processes.clone().unwrap()
}

#[test]
fn a_process_that_stands_in_two_lists_is_one_that_does_both() {
    let mut machine = Machine::new(TWO);
    machine.say("0.compute = 20:2000:-:-,10:1000:-:-\n0.graphics = 20:2000:-:-\n0.mps = 30:-:-:-\n");
    let found = holders(&mut machine);
    let told: Vec<_> = found.iter().map(|process| (process.pid, process.memory_bytes, process.contexts)).collect();
    let compute = Contexts { compute: true, ..Contexts::default() };
    let both = Contexts { graphics: true, ..compute };
    let mps = Contexts { mps: true, ..Contexts::default() };
    assert_eq!(told, [(10, Some(1000), compute), (20, Some(2000), both), (30, None, mps)]);
}

#[test]
fn processes_come_and_go_from_one_reading_to_the_next() {
    let mut machine = Machine::new(TWO);
    for (list, pids) in [("10:1:-:-", vec![10]), ("", vec![]), ("11:1:-:-,12:1:-:-", vec![11, 12])] {
        machine.say(&format!("0.compute = {list}"));
        assert_eq!(holders(&mut machine).iter().map(|process| process.pid).collect::<Vec<_>>(), pids);
    }
}

#[test]
fn a_list_that_failed_is_no_list_rather_than_an_empty_one() {
    let mut machine = Machine::new(TWO);
    machine.say("0.compute = 10:1:-:-\n0.graphics = !999");
    assert_eq!(machine.gpus()[0].processes, None);
    machine.say("0.graphics = !3");
    assert_eq!(holders(&mut machine).len(), 1, "a list that the GPU does not have hides nobody");
}

#[test]
fn use_by_process_is_the_mean_of_the_samples_since_the_last_reading() {
    let mut machine = Machine::new(TWO);
    let us = |milliseconds: u64| BEGIN_US + milliseconds * 1_000;
    machine.say(&format!("0.compute = 10:1:-:-,20:1:-:-\n0.process_utilization = 10:{}:90:0:0:0", us(500)));
    assert!(holders(&mut machine).iter().all(|process| process.utilization.is_none()), "nobody knows since when");
    machine.say(&format!("0.process_utilization = 10:{}:20:10:0:0,10:{}:40:30:0:6", us(1_300), us(1_900)));
    let found = holders(&mut machine);
    let shares = found[0].utilization.unwrap();
    let near = |share: wattline_core::Ratio, expected: f64| (share.get() - expected).abs() < 1e-12;
    assert!(near(shares.multiprocessor, 0.3) && near(shares.memory, 0.2) && near(shares.decoder, 0.03), "{shares:?}");
    assert!(near(found[1].utilization.unwrap().multiprocessor, 0.0), "no sample is told of who did nothing");
    let later = holders(&mut machine);
    assert!(near(later[0].utilization.unwrap().multiprocessor, 0.0), "the same samples are not told twice");
}

#[test]
fn samples_that_cannot_be_are_left_out() {
    let mut machine = Machine::new(TWO);
    machine.say("0.compute = 10:1:-:-");
    holders(&mut machine);
    let at = BEGIN_US + 1_500_000;
    machine.say(&format!("0.process_utilization = 10:{at}:50:0:0:0,10:{at}:4000000:0:0:0,0:{at}:9:0:0:0,10:7:9:0:0:0"));
    assert!((holders(&mut machine)[0].utilization.unwrap().multiprocessor.get() - 0.5).abs() < 1e-12);
}

#[test]
fn of_drivers_that_write_too_much_the_older_lists_are_read() {
    for (driver, function) in [
        ("535.54.03", "nvmlDeviceGetComputeRunningProcesses_v2"),
        ("535.98", "nvmlDeviceGetComputeRunningProcesses_v3"),
        ("550.54.14", "nvmlDeviceGetComputeRunningProcesses_v3"),
    ] {
        let mut machine = Machine::new(TWO);
        machine.say(&format!("driver = {driver}\ncount = 1\n0.compute = 10:1:-:-"));
        assert_eq!(holders(&mut machine).len(), 1);
        drop(machine.probe);
        assert_eq!(machine.fake.calls(function), 2, "{driver}: for the count and for the list");
    }
}

#[test]
fn in_a_namespace_of_its_own_the_probe_knows_nobody_and_says_what_to_do() {
    let machine = Machine::new(&TWO.replace("*.compute = ", "*.compute = 10:1:-:-"));
    let folder = tempfile::tempdir().unwrap();
    let open = |own: &HostRoot| {
        let config = Config { library: machine.fake.library().to_owned(), ..Config::default() };
        let mut probe = NvidiaProbe::open(config, own, Access::default());
        let mut out = Readings::new(NAME, Tick::default());
        probe.read(Tick::default(), &mut out).unwrap();
        (probe, gpus(&out))
    };
    let (probe, found) = open(&own(folder.path(), "pid:[4026532999]"));
    assert_eq!(found[0].processes, None);
    let health = probe.sources().into_iter().find(|health| health.part == PROCESSES).unwrap();
    let SourceState::Denied { what, remedy } = health.state else { panic!("{health:?}") };
    assert!(what.contains("pid:[4026532999]") && remedy.contains("hostPID: true"), "{what}: {remedy}");
    // Where nothing tells, the ids are taken for the host's.
    let (probe, found) = open(&HostRoot::new(folder.path().join("nowhere")));
    assert_eq!(found[0].processes.as_ref().map(Vec::len), Some(1));
    assert!(probe.sources().iter().all(|health| health.part != PROCESSES));
}
