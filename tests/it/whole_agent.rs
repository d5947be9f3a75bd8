//! Fixture hosts through the whole agent: what a backend would see, against golden pages.
//!
//! Each host works for a minute (see `wattline_tests::load`). `UPDATE_EXPECT=1` writes the pages anew; a number that
//! nobody can explain is a bug.

use std::sync::Arc;

use expect_test::{ExpectFile, expect_file};
use wattline::config::Config;
use wattline::pipeline::Pipeline;
use wattline_core::{
    DeviceKind, HostRoot, Instant, MicroJoules, Probe, Reading, Readings, Snapshot, Subject, Tick, Timestamp,
};
use wattline_probe_host::inventory::CloudConfig;
use wattline_probe_host::{HostProbe, ProcessScan, inventory};
use wattline_tests::host::{FixtureHost, unpack};
use wattline_tests::load::pass_second;
use wattline_wire::exposition;

const SECONDS: u64 = 60;

fn tick(second: u64) -> Tick {
    let nanos = 1_000_000_000 * second;
    Tick {
        at: Instant::from_nanos(1_000_000_000_000 + nanos),
        wall: Timestamp::from_unix_nanos(1_790_000_000_000_000_000 + nanos),
    }
}

fn describe(root: &HostRoot, pipeline: &mut Pipeline) {
    let (inventory, _) = inventory::read(root, &CloudConfig::never());
    let mut readings = Readings::new("inventory", tick(0));
    readings.items.push(Reading::Inventory(Arc::new(inventory)));
    pipeline.ingest(&readings);
}

fn run(host: &FixtureHost) -> Pipeline {
    let mut pipeline = Pipeline::new(&Config::default(), None);
    describe(host.root(), &mut pipeline);
    let config = wattline_probe_host::Config { process_scan: ProcessScan::EveryTick, ..Default::default() };
    let mut probe = HostProbe::open(config, host.root());
    for second in 0..=SECONDS {
        let mut readings = Readings::new(probe.name(), tick(second));
        // A host with broken files is measured as far as it goes.
        probe.read(tick(second), &mut readings).ok();
        pipeline.ingest(&readings);
        check_closure(&pipeline);
        pass_second(host);
    }
    pipeline
}

fn check_closure(pipeline: &Pipeline) {
    let books = pipeline.host().books();
    for kind in [DeviceKind::Cpu, DeviceKind::Memory, DeviceKind::Enclosure] {
        let devices: MicroJoules = books.devices().filter(|row| row.device.kind == kind).map(|row| row.energy).sum();
        let workloads: MicroJoules = books.workloads().filter(|row| row.kind == kind).map(|row| row.energy).sum();
        assert_eq!(devices, workloads + books.retired(kind).energy, "{kind:?}");
    }
    let workloads: u64 = books.workloads().map(|row| row.operational.get()).sum();
    assert_eq!(books.meaning().operational.get(), workloads);
}

/// The page of a scrape without what is about the agent, whose own use differs from run to run, and without
/// filesystems, which are measured when they answer.
fn page(pipeline: &Pipeline) -> String {
    let Snapshot { tick, resource, mut samples } = pipeline.snapshot(tick(SECONDS), &[]);
    samples
        .retain(|sample| *sample.subject != Subject::Wattline && !sample.metric.name.starts_with("system.filesystem"));
    let mut page = String::new();
    exposition::render(&Snapshot { tick, resource, samples }, &mut page);
    page.lines().filter(|line| !line.starts_with("# HELP")).fold(String::new(), |page, line| page + line + "\n")
}

fn check(name: &str, golden: &ExpectFile) -> Pipeline {
    let pipeline = run(&unpack(name));
    golden.assert_eq(&page(&pipeline));
    pipeline
}

fn joules(pipeline: &Pipeline, kind: DeviceKind) -> f64 {
    let rows = pipeline.host().books().devices().filter(|row| row.device.kind == kind);
    rows.map(|row| row.energy.quantity().get()).sum()
}

#[test]
fn a_server_with_two_sockets_draws_what_its_counters_say_and_the_input_meter_closes_it() {
    let pipeline = check("metal-two-socket", &expect_file!["../golden/exports/metal-two-socket.txt"]);
    // Two packages of 90 W, two memories of 12 W, and 312 W at the input, for sixty seconds. psys is no row.
    assert!((joules(&pipeline, DeviceKind::Cpu) - 10_800.0).abs() < 1e-6);
    assert!((joules(&pipeline, DeviceKind::Memory) - 1_440.0).abs() < 1e-6);
    assert!((pipeline.host().books().energy().quantity().get() - 18_720.0).abs() < 1e-6);
}

#[test]
fn dies_that_mirror_are_counted_once() {
    let pipeline = check("amd-multi-die", &expect_file!["../golden/exports/amd-multi-die.txt"]);
    let packages = pipeline.host().books().devices().filter(|row| row.device.kind == DeviceKind::Cpu);
    for row in packages {
        assert!(row.energy.quantity().get() <= 60.0 * 90.0 + 1e-6, "{:?}", row.device);
    }
}

#[test]
fn a_counter_that_wraps_loses_nothing() {
    let pipeline = check("rapl-wrap", &expect_file!["../golden/exports/rapl-wrap.txt"]);
    let cpu = joules(&pipeline, DeviceKind::Cpu);
    let packages = pipeline.host().books().devices().filter(|row| row.device.kind == DeviceKind::Cpu).count() as f64;
    assert!((cpu - packages * 90.0 * 60.0).abs() < 1e-6, "{cpu} J");
}

#[test]
fn a_small_guest_without_a_meter_is_modelled_as_the_share_it_is() {
    let pipeline = check("ec2-2vcpu", &expect_file!["../golden/exports/ec2-2vcpu.txt"]);
    let watts = pipeline.host().books().energy().quantity().get() / 60.0;
    // Never a whole socket: a Cascade Lake package draws more than 100 W under half load.
    assert!((3.0..15.0).contains(&watts), "{watts} W for two of its threads at half load");
}

#[test]
fn a_kubernetes_node_books_by_container() {
    check("kubernetes-v2", &expect_file!["../golden/exports/kubernetes-v2.txt"]);
}

#[test]
fn a_host_with_control_groups_of_version_one() {
    check("cgroup-v1", &expect_file!["../golden/exports/cgroup-v1.txt"]);
}

#[test]
fn an_ecs_host_books_by_task() {
    check("ecs", &expect_file!["../golden/exports/ecs.txt"]);
}

#[test]
fn a_broken_host_is_measured_as_far_as_it_goes() {
    check("broken", &expect_file!["../golden/exports/broken.txt"]);
}
