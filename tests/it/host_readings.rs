//! Fixture hosts through the host probe, against golden readings. `UPDATE_EXPECT=1` writes the golden files anew;
//! look at each change by hand against the fixture.

use expect_test::{ExpectFile, expect_file};
use wattline_core::reading::{Reading, Readings, SourceState};
use wattline_core::{Instant, Probe, Tick};
use wattline_probe_host::inventory::CloudConfig;
use wattline_probe_host::{Config, HostProbe, ProcessScan, inventory};
use wattline_tests::host::{FixtureHost, unpack};
use wattline_tests::rendering::{render_inventory, render_readings};

fn tick(seconds: u64) -> Tick {
    Tick { at: Instant::from_nanos((100 + seconds) * 1_000_000_000), ..Tick::default() }
}

fn read(probe: &mut HostProbe, seconds: u64) -> Readings {
    let mut out = Readings::new("host", tick(seconds));
    probe.read(tick(seconds), &mut out).unwrap();
    out
}

fn probe(host: &FixtureHost) -> HostProbe {
    let mut config = Config { process_scan: ProcessScan::EveryTick, ..Config::default() };
    config.system.per_cpu = true;
    HostProbe::open(config, host.root())
}

/// Filesystems are measured by another thread, so that the second reading waits for them. The clock stands still
/// meanwhile: however long it takes, nothing is late.
fn read_filesystems(probe: &mut HostProbe) -> Readings {
    let mut all = Readings::new("host", tick(0));
    let is_done = |item: &Reading| matches!(item, Reading::Health(health) if health.part == "filesystem");
    while !all.items.iter().any(is_done) {
        std::thread::yield_now();
        let more = read(probe, 0).items.into_iter();
        all.items.extend(more.filter(|item| is_done(item) || matches!(item, Reading::Filesystem(_))));
    }
    all
}

fn check(name: &str, golden: ExpectFile) {
    let host = unpack(name);
    let mut probe = probe(&host);
    let mut first = read(&mut probe, 0);
    let is_told = first.items.iter().any(|item| matches!(item, Reading::Health(health) if health.part == "filesystem"));
    if !is_told {
        first.items.extend(read_filesystems(&mut probe).items);
    }
    let (inventory, health) = inventory::read(host.root(), &CloudConfig::never());
    assert_eq!(health, []);
    golden.assert_eq(&(render_inventory(&inventory, &host) + &render_readings(&first, &host)));
}

#[test]
fn metal_two_socket() {
    check("metal-two-socket", expect_file!["../golden/readings/metal-two-socket.txt"]);
}

#[test]
fn amd_multi_die() {
    check("amd-multi-die", expect_file!["../golden/readings/amd-multi-die.txt"]);
}

#[test]
fn rapl_wrap() {
    check("rapl-wrap", expect_file!["../golden/readings/rapl-wrap.txt"]);
}

#[test]
fn ec2_2vcpu() {
    check("ec2-2vcpu", expect_file!["../golden/readings/ec2-2vcpu.txt"]);
}

#[test]
fn kubernetes_v2() {
    check("kubernetes-v2", expect_file!["../golden/readings/kubernetes-v2.txt"]);
}

#[test]
fn cgroup_v1() {
    check("cgroup-v1", expect_file!["../golden/readings/cgroup-v1.txt"]);
}

#[test]
fn ecs() {
    check("ecs", expect_file!["../golden/readings/ecs.txt"]);
}

#[test]
fn broken() {
    check("broken", expect_file!["../golden/readings/broken.txt"]);
}
