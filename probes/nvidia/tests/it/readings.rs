//! What a GPU shows.

use std::sync::Arc;

use wattline_core::reading::{AcceleratorMemory, AcceleratorState, ClockLimit, ErrorKind, RemappedRows, Traffic};
use wattline_core::{Celsius, Hertz, Ratio, Seconds, Watts};

use crate::machine::{Machine, TWO};

#[test]
fn a_gpu_shows_all_that_its_library_tells_in_our_units() {
    let mut machine = Machine::new(TWO);
    let gpus = machine.gpus();
    assert_eq!(gpus.len(), 2);
    let gpu = &gpus[0];
    assert_eq!(&*gpu.device.id, "GPU-00000000-0000-0000-0000-000000000000");
    assert_eq!(gpu.state, AcceleratorState::Works);
    assert_eq!((gpu.energy_mj, gpus[1].energy_mj), (Some(1000), Some(2000)));
    let power = gpu.power.unwrap();
    assert_eq!((power.power, power.averaged_over), (Watts::new(350.5), Some(Seconds::new(1.0))));
    let shares = gpu.utilization;
    assert_eq!((shares.general, shares.memory), (Some(Ratio::new(0.42)), Some(Ratio::new(0.07))));
    assert_eq!((shares.encoder, shares.decoder), (Some(Ratio::new(0.0)), Some(Ratio::new(0.05))));
    let memory = AcceleratorMemory { total: 85_899_345_920, used: 1_000_000_000, reserved: Some(600_000_000) };
    assert_eq!(gpu.memory, Some(memory));
    assert_eq!((gpu.temperatures.core, gpu.temperatures.memory), (Some(Celsius::new(54.0)), Some(Celsius::new(61.0))));
    assert_eq!((gpu.clocks.compute, gpu.clocks.memory), (Some(Hertz::new(1.98e9)), Some(Hertz::new(2.619e9))));
    assert_eq!(gpu.limits.as_deref(), Some(&[ClockLimit::PowerCap][..]));
    assert_eq!(gpu.limited_ns, [(ClockLimit::PowerCap, 5_000_000_000), (ClockLimit::Thermal, 0)]);
    let errors = [
        (ErrorKind::Corrected, 3),
        (ErrorKind::Uncorrected, 0),
        (ErrorKind::PcieReplay, 2),
        (ErrorKind::LinkCrc, 9),
        (ErrorKind::LinkReplay, 1),
        (ErrorKind::LinkRecovery, 2),
    ];
    assert_eq!(gpu.errors, errors);
    assert_eq!(gpu.remapped, Some(RemappedRows { corrected: 1, ..RemappedRows::default() }));
    assert_eq!(gpu.pcie, Some(Traffic { sent_bytes: 7_000_000_000, received_bytes: 9_000_000_000 }));
    assert_eq!(gpu.processes.as_deref(), Some(&[][..]));
    let facts = &gpu.facts;
    assert_eq!((&*facts.name, facts.architecture.as_deref()), ("NVIDIA H100 80GB HBM3", Some("hopper")));
    assert_eq!((facts.index, facts.pci_address.as_deref()), (0, Some("00000000:07:00.0")));
    assert_eq!((facts.driver_version.as_deref(), facts.memory_bytes), (Some("580.95.05"), Some(85_899_345_920)));
    assert_eq!((facts.power_limit, facts.sliced), (Some(Watts::new(700.0)), Some(false)));
    assert_eq!(machine.health(), "up: 2 x NVIDIA H100 80GB HBM3, driver 580.95.05");
}

#[test]
fn the_energy_counter_is_told_raw_and_anew_in_every_reading() {
    let mut machine = Machine::new(TWO);
    let counters = [1000, 1351, 1702, 40].map(|counter| {
        machine.say(&format!("0.energy_mj = {counter}"));
        machine.gpus()[0].energy_mj
    });
    assert_eq!(
        counters,
        [Some(1000), Some(1351), Some(1702), Some(40)],
        "a counter that went back is the books' matter"
    );
}

#[test]
fn activity_is_between_two_readings_and_none_in_the_first() {
    let mut machine = Machine::new(TWO);
    assert_eq!(machine.gpus()[0].activity, None);
    let activity = machine.gpus()[0].activity.unwrap();
    let shares = [activity.graphics, activity.multiprocessor, activity.occupancy, activity.tensor, activity.memory];
    assert_eq!(shares, [0.905, 0.8, 0.3125, 0.66, 0.125].map(|share| Some(Ratio::new(share))));
    machine.say("0.gpm.5 = nan\n0.gpm.10 = !3");
    let activity = machine.gpus()[0].activity.unwrap();
    assert_eq!((activity.multiprocessor, activity.tensor, activity.memory), (Some(Ratio::new(0.8)), None, None));
}

#[test]
fn power_is_of_one_moment_on_ga100_and_before_and_the_mean_of_a_second_later() {
    for (architecture, capability, averaged) in
        [(5, "7:0", None), (7, "8:0", None), (7, "8:6", Some(1.0)), (8, "8:9", Some(1.0)), (99, "13:0", Some(1.0))]
    {
        let mut machine = Machine::new(TWO);
        machine.say(&format!("*.architecture = {architecture}\n*.capability = {capability}"));
        let power = machine.gpus()[0].power.unwrap();
        assert_eq!(power.averaged_over, averaged.map(Seconds::new), "{architecture} {capability}");
    }
}

#[test]
fn what_a_gpu_does_not_have_is_asked_once_and_named() {
    let mut machine = Machine::new(TWO);
    machine.say("count = 1\n0.energy_mj = !3\n*.encoder = !3\n*.gpm = 0\n*.xid = !3\n*.field.82 = !3");
    for _ in 0..5 {
        let gpu = &machine.gpus()[0];
        assert_eq!((gpu.energy_mj, gpu.utilization.encoder, gpu.activity), (None, None, None));
        assert!(gpu.power.is_some(), "which is what is left to integrate");
        assert_eq!(gpu.facts.missing, ["energy counter", "encoder", "activity counters", "critical errors"]);
    }
    assert_eq!(
        machine.health(),
        "up: 1 x NVIDIA H100 80GB HBM3 (without energy counter, encoder, activity counters, critical errors), driver \
         580.95.05"
    );
    drop(machine.probe);
    for once in ["nvmlDeviceGetTotalEnergyConsumption", "nvmlDeviceGetEncoderUtilization", "nvmlGpmQueryDeviceSupport"]
    {
        assert_eq!(machine.fake.calls(once), 1, "{once}");
    }
    assert_eq!(machine.fake.calls("nvmlDeviceGetPowerUsage"), 5);
}

#[test]
fn what_changes_rarely_is_asked_for_every_ten_seconds() {
    let mut machine = Machine::new(TWO);
    machine.say("count = 1");
    let told = |machine: &mut Machine| !machine.gpus()[0].errors.is_empty();
    let pattern: Vec<bool> = (0..21).map(|_| told(&mut machine)).collect();
    let expected: Vec<bool> = (0..21).map(|second| second % 10 == 0).collect();
    assert_eq!(pattern, expected);
    drop(machine.probe);
    assert_eq!(machine.fake.calls("nvmlDeviceGetUUID"), 1);
    assert_eq!(machine.fake.calls("nvmlDeviceGetEnforcedPowerLimit"), 3);
}

#[test]
fn facts_are_the_same_allocation_until_one_of_them_changes() {
    let mut machine = Machine::new(TWO);
    let first = Arc::clone(&machine.gpus()[0].facts);
    for _ in 0..10 {
        assert!(Arc::ptr_eq(&first, &machine.gpus()[0].facts));
    }
    machine.say("*.power_limit_mw = 300000");
    machine.until(10, |gpus| gpus[0].facts.power_limit == Some(Watts::new(300.0)));
}

#[test]
fn a_link_that_does_not_count_every_kind_of_error_is_told_with_those_that_it_counts() {
    let mut machine = Machine::new(TWO);
    // As on NVLink 4, where the counters of data packets are gone; the second link ends the row.
    machine.say("0.link.0.3 = !3\n0.link.0.2 = !3\n0.link.1.0 = !2");
    let links = [(ErrorKind::LinkReplay, 1), (ErrorKind::LinkRecovery, 0)];
    assert!(machine.gpus()[0].errors.ends_with(&links));
}

#[test]
fn a_critical_error_is_told_once() {
    let mut machine = Machine::new(TWO);
    assert_eq!(machine.gpus()[0].xids, []);
    machine.say("0.xid = 79");
    let gpus = machine.gpus();
    assert_eq!((&gpus[0].xids[..], &gpus[1].xids[..]), (&[(79, 1)][..], &[][..]));
    assert_eq!(machine.gpus()[0].xids, []);
}

#[test]
fn a_row_that_could_not_be_replaced_makes_a_gpu_degraded_with_a_sentence() {
    let mut machine = Machine::new(TWO);
    machine.say("1.field.145 = 1");
    let gpus = machine.gpus();
    assert_eq!(gpus[0].state, AcceleratorState::Works);
    assert!(matches!(&gpus[1].state, AcceleratorState::Degraded(why) if why.contains("replace the device")));
    assert!(machine.health().contains("GPU 1 (GPU-00000000-0000-0000-0000-000000000001, 00000000:0A:00.0): a row"));
}

#[test]
fn readings_come_no_more_often_than_the_interval_says() {
    let config = wattline_probe_nvidia::Config { interval: std::time::Duration::from_secs(3), ..Default::default() };
    let mut machine = Machine::with(TWO, &config);
    let counts: Vec<usize> = (0..7).map(|_| machine.gpus().len()).collect();
    assert_eq!(counts, [2, 0, 0, 2, 0, 0, 2]);
}
