use std::sync::Arc;

use wattline_core::reading::{
    AcceleratorFacts, AcceleratorMemory, AcceleratorProcess, Activity, Contexts, DownReason, SliceFacts, SliceReading,
};
use wattline_core::{Celsius, DeviceKind, Ratio};

use super::*;

fn tick(second: u64) -> Tick {
    let nanos = second * 1_000_000_000;
    Tick { at: Instant::from_nanos(nanos), wall: Timestamp::from_unix_nanos(1_700_000_000_000_000_000 + nanos) }
}

fn reading() -> AcceleratorReading {
    let facts = AcceleratorFacts { vendor: "NVIDIA".into(), name: "H100".into(), ..AcceleratorFacts::default() };
    let device = Device::new(DeviceKind::Gpu, "GPU-0");
    AcceleratorReading::new(device, Arc::new(facts), AcceleratorState::Works)
}

/// Figures as `metric{label values} number`, those of `metric` only.
fn told(accelerators: &Accelerators, second: u64, metric: &str) -> Vec<String> {
    let samples = accelerators.samples(tick(second));
    let line = |sample: &Sample| {
        let labels: Vec<&str> = sample.attributes.iter().map(|label| &*label.value).collect();
        format!("{} {}", labels.join(","), sample.number().unwrap()).trim_start().to_owned()
    };
    samples.iter().filter(|sample| sample.metric.name == metric).map(line).collect()
}

fn accelerators() -> Accelerators {
    Accelerators::new(Seconds::new(10.0))
}

#[test]
fn errors_count_from_when_the_device_was_first_read_and_never_go_back() {
    let mut all = accelerators();
    for (second, count) in [(1, 100), (11, 103), (21, 2), (31, 4)] {
        let errors = vec![(ErrorKind::Corrected, count)];
        all.take(&AcceleratorReading { errors, ..reading() }, tick(second));
    }
    // 100 is of before; 2 is after a reset, of which nobody knows what came before it.
    assert_eq!(told(&all, 31, "hw.errors"), ["corrected 5"]);
    let start = all.samples(tick(31)).iter().find(|sample| sample.metric.name == "hw.errors").unwrap().period.start;
    assert_eq!(start, tick(1).wall);
}

#[test]
fn critical_errors_are_counted_by_number() {
    let mut all = accelerators();
    for (second, xids) in [(1, vec![(79, 1)]), (2, vec![]), (3, vec![(79, 2), (31, 1)])] {
        all.take(&AcceleratorReading { xids, ..reading() }, tick(second));
    }
    assert_eq!(told(&all, 3, "hw.errors"), ["xid,31 1", "xid,79 3"]);
}

#[test]
fn shares_are_means_over_the_last_whole_window() {
    let mut all = accelerators();
    let mut take = |second: u64, share: f64| {
        let mut reading = reading();
        reading.utilization.general = Some(Ratio::new(share));
        reading.limits = Some(if share > 0.5 { vec![ClockLimit::PowerCap] } else { Vec::new() });
        all.take(&reading, tick(second));
        (told(&all, second, "hw.gpu.utilization"), told(&all, second, "hw.gpu.clock.limited"))
    };
    assert_eq!(take(0, 0.0).0, ["general 0"], "before there is a window");
    for second in 1..=9 {
        take(second, 0.0);
    }
    for second in 10..=20 {
        take(second, if second <= 15 { 1.0 } else { 0.25 });
    }
    let (shares, limits) = take(21, 0.9);
    // The window that ended at 20 has five readings of 1 and five of 0.25.
    assert_eq!((shares, limits), (vec!["general 0.625".to_owned()], vec!["power_cap 0.5".to_owned()]));
}

#[test]
fn a_device_that_is_down_has_failed_and_shows_only_what_was_counted() {
    let mut all = accelerators();
    let mut up = reading();
    up.memory = Some(AcceleratorMemory { total: 100, used: 40, reserved: Some(5) });
    up.temperatures.core = Some(Celsius::new(50.0));
    up.errors = vec![(ErrorKind::PcieReplay, 0)];
    all.take(&up, tick(1));
    assert_eq!(told(&all, 1, "hw.status"), ["ok 1", "degraded 0", "failed 0"]);
    assert_eq!(told(&all, 1, "hw.gpu.memory.utilization"), ["0.4"]);
    all.take(&AcceleratorReading { state: AcceleratorState::Down(DownReason::Lost), ..reading() }, tick(2));
    assert_eq!(told(&all, 2, "hw.status"), ["ok 0", "degraded 0", "failed 1"]);
    assert_eq!(told(&all, 2, "hw.errors"), ["pcie_replay 0"]);
    let names: Vec<&str> = all.samples(tick(2)).iter().map(|sample| sample.metric.name).collect();
    assert!(names.iter().all(|name| ["hw.status", "hw.errors"].contains(name)), "{names:?}");
}

#[test]
fn a_device_that_nobody_reads_any_more_shows_nothing_of_now_and_is_forgotten_after_an_hour() {
    let mut all = accelerators();
    let mut up = reading();
    up.memory = Some(AcceleratorMemory::default());
    up.pcie = Some(Traffic::default());
    all.take(&up, tick(1));
    assert_eq!(told(&all, 62, "hw.status"), <[&str; 0]>::default());
    assert_eq!(told(&all, 62, "hw.gpu.memory.usage"), <[&str; 0]>::default());
    assert_eq!(told(&all, 62, "hw.gpu.io").len(), 2);
    let mut other = reading();
    other.device = Device::new(DeviceKind::Gpu, "GPU-1");
    all.take(&other, tick(3_700));
    assert_eq!(told(&all, 3_700, "hw.gpu.io"), <[&str; 0]>::default());
}

#[test]
fn a_slice_has_figures_of_its_own_under_the_device_that_it_is_cut_from() {
    let mut all = accelerators();
    let mut cut = reading();
    let facts = SliceFacts {
        uuid: "MIG-a".into(),
        profile: Some("1g.10gb".into()),
        multiprocessors: Some(16),
        memory_bytes: Some(10),
        ..SliceFacts::default()
    };
    let activity = Activity { tensor: Some(Ratio::new(0.5)), ..Activity::default() };
    cut.slices = vec![SliceReading { facts: Arc::new(facts), memory: None, activity: Some(activity) }];
    let contexts = Contexts { compute: true, ..Contexts::default() };
    cut.processes =
        Some(vec![AcceleratorProcess { pid: 1, contexts, memory_bytes: None, slice: None, utilization: None }]);
    all.take(&cut, tick(1));
    assert_eq!(told(&all, 1, "hw.gpu.slice.activity"), ["tensor,1g.10gb 0.5"]);
    assert_eq!(told(&all, 1, "hw.gpu.slice.multiprocessors"), ["1g.10gb 16"]);
    assert_eq!(told(&all, 1, "hw.gpu.processes"), ["compute 1", "graphics 0", "mps 0"]);
    let samples = all.samples(tick(1));
    let slice = samples.iter().find(|sample| sample.metric.name == "hw.gpu.slice.memory.limit").unwrap();
    let identity: Vec<String> =
        slice.subject.identity().iter().map(|label| format!("{}={}", label.key, label.value)).collect();
    assert_eq!(identity, ["hw.id=GPU-0", "hw.type=gpu", "hw.gpu.slice=MIG-a"]);
}
