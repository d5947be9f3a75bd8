//! Fixture hosts through the host probe, against golden readings. `UPDATE_EXPECT=1` writes the golden files anew;
//! look at each change by hand against the fixture.

use expect_test::{ExpectFile, expect_file};
use proptest::prelude::*;
use wattline_core::counter::{Counter, Step};
use wattline_core::reading::{Reading, Readings, Scope};
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
    if let Err(error) = probe.read(tick(seconds), &mut out) {
        panic!("the host probe never fails, and now: {error}");
    }
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
    let mut patience = 200_000;
    while !all.items.iter().any(is_done) {
        assert!(patience > 0, "the filesystems have not been measured");
        patience -= 1;
        std::thread::yield_now();
        let more = read(probe, 0).items.into_iter();
        all.items.extend(more.filter(|item| is_done(item) || matches!(item, Reading::Filesystem(_))));
    }
    all
}

fn check(name: &str, golden: &ExpectFile) {
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
    check("metal-two-socket", &expect_file!["../golden/readings/metal-two-socket.txt"]);
}

#[test]
fn amd_multi_die() {
    check("amd-multi-die", &expect_file!["../golden/readings/amd-multi-die.txt"]);
}

#[test]
fn rapl_wrap() {
    check("rapl-wrap", &expect_file!["../golden/readings/rapl-wrap.txt"]);
}

#[test]
fn ec2_2vcpu() {
    check("ec2-2vcpu", &expect_file!["../golden/readings/ec2-2vcpu.txt"]);
}

#[test]
fn kubernetes_v2() {
    check("kubernetes-v2", &expect_file!["../golden/readings/kubernetes-v2.txt"]);
}

#[test]
fn cgroup_v1() {
    check("cgroup-v1", &expect_file!["../golden/readings/cgroup-v1.txt"]);
}

#[test]
fn ecs() {
    check("ecs", &expect_file!["../golden/readings/ecs.txt"]);
}

#[test]
fn broken() {
    check("broken", &expect_file!["../golden/readings/broken.txt"]);
}

fn energy(readings: &Readings, device: &str) -> Option<wattline_core::reading::EnergyReading> {
    readings.items.iter().find_map(|item| match item {
        Reading::Energy(energy) if matches!(&energy.scope, Scope::Device(found) if *found.id == *device) => {
            Some(energy.clone())
        }
        _ => None,
    })
}

#[test]
fn a_counter_that_passes_the_end_of_its_range_is_a_wrap_with_the_range_that_the_host_states() {
    let host = unpack("rapl-wrap");
    let mut probe = probe(&host);
    let mut counter = Counter::new();
    let mut step = |readings: &Readings| {
        let energy = energy(readings, "package-0").unwrap();
        counter.step(energy.counter_uj, readings.tick.at, energy.range)
    };
    assert_eq!(step(&read(&mut probe, 0)), Step::First);
    host.set("sys/class/powercap/intel-rapl:0/energy_uj", "99999149\n");
    // 262,143,328,850 - 262,143,328,000 + 99,999,149 + 1 microjoules: a hundred watts.
    let wrapped = step(&read(&mut probe, 1));
    assert!(matches!(wrapped, Step::Wrapped { amount: 100_000_000, .. }), "{wrapped:?}");
}

#[test]
fn a_die_that_repeats_another_is_never_counted_and_one_that_differs_is() {
    let host = unpack("amd-multi-die");
    let mut probe = probe(&host);
    let set = |die: u64, counter: u64| {
        host.set(&format!("sys/class/powercap/intel-rapl:{die}/energy_uj"), &format!("{counter}\n"));
    };
    for second in 0..10 {
        set(0, 40_000_000_000 + second * 50_000_000);
        set(1, 40_000_000_900 + second * 50_000_000);
        let readings = read(&mut probe, second);
        assert!(energy(&readings, "package-0-die-0").is_some());
        assert_eq!(energy(&readings, "package-0-die-1"), None);
    }
    set(1, 41_000_000_000);
    assert!(energy(&read(&mut probe, 10), "package-0-die-1").is_some());
}

#[test]
fn a_container_that_ends_takes_only_its_own_readings_along() {
    let host = unpack("kubernetes-v2");
    let mut probe = probe(&host);
    let groups = |readings: &Readings| readings.items.iter().filter(|item| matches!(item, Reading::Cgroup(_))).count();
    let processes =
        |readings: &Readings| readings.items.iter().filter(|item| matches!(item, Reading::Process(_))).count();
    let before = read(&mut probe, 0);
    host.remove("sys/fs/cgroup/kubepods.slice/kubepods-besteffort.slice");
    host.remove("proc/7001");
    let after = read(&mut probe, 100);
    assert_eq!((groups(&before) - groups(&after), processes(&before) - processes(&after)), (1, 1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever the kernel, a filesystem in user space or a hostile container puts into the files of a host.
    #[test]
    fn no_file_of_a_host_makes_the_probe_panic(
        name in prop::sample::select(vec!["metal-two-socket", "ec2-2vcpu", "cgroup-v1"]),
        damages in prop::collection::vec((any::<prop::sample::Index>(), 0..5u8, any::<prop::sample::Index>(), "\\PC{0,40}"), 1..40),
    ) {
        let host = unpack(name);
        let mut probe = probe(&host);
        for (second, (file, damage, place, garbage)) in (0..).zip(&damages) {
            let path = file.get(host.files()).clone();
            let text = host.root().read(&path).unwrap();
            let cut = text.char_indices().nth(place.index(text.len() + 1)).map_or(text.len(), |(at, _)| at);
            let (start, end) = text.split_at(cut);
            match damage {
                0 => host.set(&path, start),
                1 => host.set(&path, &format!("{start}{garbage}{end}")),
                2 => host.set(&path, garbage),
                3 => host.set(&path, &text.replace(|letter: char| letter.is_ascii_digit(), "9").repeat(2)),
                _ => host.set(&path, &text.replace([' ', '\t'], "")),
            }
            read(&mut probe, second);
        }
        inventory::read(host.root(), &CloudConfig::never());
    }
}
