//! Boards with holders that come and go.

use std::sync::Arc;

use wattline_core::DeviceKind;
use wattline_core::reading::{AcceleratorFacts, AcceleratorPower, AcceleratorProcess, Contexts, ProcessUtilization};

use super::*;

/// In the table: rests at 68 W, the limit is 700 W.
const H100: &str = "NVIDIA H100 80GB HBM3";

pub(super) fn reading(energy_mj: u64, general: f64, processes: Option<Vec<AcceleratorProcess>>) -> AcceleratorReading {
    let facts = AcceleratorFacts { name: H100.into(), vendor: "NVIDIA".into(), ..AcceleratorFacts::default() };
    let device = Device::new(DeviceKind::Gpu, "GPU-1");
    let mut reading = AcceleratorReading::new(device, Arc::new(facts), AcceleratorState::Works);
    reading.energy_mj = Some(energy_mj);
    reading.utilization.general = Some(Ratio::new(general));
    reading.processes = processes;
    reading
}

/// A process with so much memory, in GiB, that used multiprocessors for this share of the time.
pub(super) fn process(pid: u32, gib: u64, share: f64) -> AcceleratorProcess {
    let utilization = ProcessUtilization { multiprocessor: Ratio::new(share), ..ProcessUtilization::default() };
    AcceleratorProcess {
        pid,
        contexts: Contexts { compute: true, ..Contexts::default() },
        memory_bytes: Some(gib << 30),
        slice: None,
        utilization: Some(utilization),
    }
}

fn tick(millis: u64) -> Tick {
    let nanos = millis * 1_000_000;
    Tick { at: Instant::from_nanos(nanos), wall: Timestamp::from_unix_nanos(1_790_000_000_000_000_000 + nanos) }
}

/// One board that is read once a second.
#[derive(Default)]
struct Bench {
    boards: Boards,
    millis: u64,
    energy_mj: u64,
}

impl Bench {
    /// Draws so much for so long, with these processes.
    fn run(&mut self, seconds: u64, watts: u64, general: f64, processes: Option<&[AcceleratorProcess]>) -> &mut Self {
        if self.millis == 0 {
            self.read(general, processes);
        }
        for _ in 0..seconds {
            self.millis += 1000;
            self.energy_mj += watts * 1000;
            self.read(general, processes);
        }
        self
    }

    fn read(&mut self, general: f64, processes: Option<&[AcceleratorProcess]>) {
        let reading = reading(self.energy_mj, general, processes.map(<[_]>::to_vec));
        self.boards.take(&reading, tick(self.millis));
    }

    fn close(&mut self) -> BoardWindow {
        let whose = |pid: u32| (pid < 100).then(|| Arc::new(Workload::Unit(format!("{pid}.service").into())));
        let window = self.boards.close_window(tick(self.millis).at, whose);
        for (device, board) in window.devices.iter().zip(&window.uses) {
            let claimed: MicroJoules = board.claims.iter().map(|claim| claim.energy).sum();
            assert_eq!(claimed, device.drawn.inside, "the board does not close");
        }
        window
    }
}

/// Joules by name and state.
fn joules(window: &BoardWindow) -> Vec<(String, f64)> {
    let mut all: Vec<_> = window.uses[0]
        .claims
        .iter()
        .map(|claim| {
            let name = claim.workload.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
            (format!("{name} {}", claim.state.as_str()), claim.energy.quantity().get())
        })
        .collect();
    all.sort_by(|one, other| one.0.cmp(&other.0));
    all
}

fn check(window: &BoardWindow, expected: &[(&str, f64)]) {
    let found = joules(window);
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for ((name, joules), (expected_name, expected)) in found.iter().zip(expected) {
        assert!(name == expected_name && (joules - expected).abs() < 1e-5, "{found:?}");
    }
}

#[test]
fn a_board_that_nobody_holds_is_idle() {
    let mut bench = Bench::default();
    let window = bench.run(10, 70, 0.0, Some(&[])).close();
    check(&window, &[("- idle", 700.0)]);
    assert_eq!(window.devices[0].drawn.covered, Seconds::new(10.0));
    assert_eq!(window.uses[0].held[0].nanos, 10_000_000_000);
}

#[test]
fn one_that_is_held_and_waits_is_reserved_and_work_is_what_is_above_the_learned_floor() {
    let mut bench = Bench::default();
    let waiting = [process(1, 60, 0.0)];
    // Three times ten seconds of rest: from then on the floor is learned.
    check(&bench.run(30, 120, 0.0, Some(&waiting)).close(), &[("1.service reserved", 3600.0)]);
    let working = [process(1, 60, 0.9)];
    let window = bench.run(10, 500, 1.0, Some(&working)).close();
    check(&window, &[("1.service active", 3800.0), ("1.service reserved", 1200.0)]);
    let loaded = window.floors.iter().find(|floor| floor.state == Some(EnergyState::Reserved)).unwrap();
    assert_eq!((loaded.power, loaded.method), (Watts::new(120.0), Method::Measured));
    assert_eq!(window.uses[0].held[0].state, EnergyState::Active);
}

#[test]
fn until_rest_was_seen_a_table_says_what_it_draws_at_rest() {
    let mut bench = Bench::default();
    let window = bench.run(10, 500, 1.0, Some(&[process(1, 60, 0.9)])).close();
    let prior = hardware::accelerator(H100).unwrap().idle.get();
    check(&window, &[("1.service active", 5000.0 - 10.0 * prior), ("1.service reserved", 10.0 * prior)]);
    assert!(window.floors.iter().all(|floor| floor.method == Method::Modelled));
}

#[test]
fn processes_that_share_a_board_share_work_by_multiprocessors_and_rest_by_memory() {
    let mut bench = Bench::default();
    bench.run(30, 100, 0.0, Some(&[process(1, 60, 0.0), process(2, 20, 0.0)])).close();
    let window = bench.run(10, 400, 1.0, Some(&[process(1, 60, 0.2), process(2, 20, 0.6)])).close();
    check(
        &window,
        &[
            ("1.service active", 750.0),
            ("1.service reserved", 750.0),
            ("2.service active", 2250.0),
            ("2.service reserved", 250.0),
        ],
    );
}

#[test]
fn who_came_in_the_middle_of_a_window_has_no_part_in_what_was_before() {
    let mut bench = Bench::default();
    let window = bench.run(4, 70, 0.0, Some(&[])).run(6, 90, 0.0, Some(&[process(1, 10, 0.0)])).close();
    check(&window, &[("- idle", 280.0), ("1.service reserved", 540.0)]);
}

#[test]
fn holders_that_cannot_be_seen_leave_it_unattributed() {
    let mut bench = Bench::default();
    check(&bench.run(10, 300, 1.0, None).close(), &[("- unattributed", 3000.0)]);
    // A process of another world, such as one that was never read.
    let window = bench.run(10, 60, 0.0, Some(&[process(700, 10, 0.0)])).close();
    check(&window, &[("- unattributed", 600.0)]);
    // The board computes, and every process that is left does not.
    let window = bench.run(10, 200, 0.5, Some(&[process(1, 10, 0.0)])).close();
    check(&window, &[("- unattributed", 1400.0), ("1.service reserved", 600.0)]);
}

#[test]
fn a_gap_has_no_witness_and_a_counter_that_begins_anew_is_lost() {
    let mut bench = Bench::default();
    bench.run(10, 100, 0.0, Some(&[])).close();
    bench.millis += 40_000;
    bench.energy_mj += 40_000 * 100;
    bench.read(0.0, Some(&[]));
    let window = bench.close();
    check(&window, &[]);
    let drawn = window.devices[0].drawn;
    assert_eq!((drawn.before, drawn.since), (MicroJoules::new(4_000_000_000), Some(tick(10_000).wall)));
    bench.energy_mj = 0;
    let window = bench.run(10, 100, 0.0, Some(&[])).close();
    check(&window, &[("- idle", 900.0)]);
    assert_eq!(bench.boards.lost(), 1);
}

#[test]
fn a_board_without_a_counter_is_integrated_and_says_so() {
    let mut boards = Boards::default();
    for second in 0..=10 {
        let mut reading = reading(0, 0.0, Some(vec![]));
        reading.energy_mj = None;
        reading.power = Some(AcceleratorPower { power: Watts::new(80.0), averaged_over: None });
        boards.take(&reading, tick(second * 1000));
    }
    let window = boards.close_window(tick(10_000).at, |_| None);
    check(&window, &[("- idle", 800.0)]);
    assert_eq!(window.devices[0].model.as_str(), "nvml+integrated");
    assert!(window.devices[0].uncertainty > METER_UNCERTAINTY);
}

#[test]
fn a_counter_that_fails_for_a_moment_loses_nothing() {
    let mut bench = Bench::default();
    bench.run(5, 100, 0.0, Some(&[]));
    bench.millis += 1000;
    bench.energy_mj += 100_000;
    let mut failed = reading(0, 0.0, Some(vec![]));
    (failed.energy_mj, failed.power) = (None, Some(AcceleratorPower { power: Watts::new(100.0), averaged_over: None }));
    bench.boards.take(&failed, tick(bench.millis));
    let window = bench.run(4, 100, 0.0, Some(&[])).close();
    check(&window, &[("- idle", 1000.0)]);
    assert_eq!(bench.boards.lost(), 0);
}

#[test]
fn what_was_drawn_over_a_restart_is_before_the_window() {
    let mut bench = Bench::default();
    bench.run(10, 100, 0.0, Some(&[])).close();
    let kept: Vec<_> = bench.boards.raw_counters(tick(10_000)).collect();
    let mut next = Bench { millis: 30_000, energy_mj: bench.energy_mj + 2_000_000, ..Bench::default() };
    assert!(next.boards.resume(&kept[0]));
    next.read(0.0, Some(&[]));
    let window = next.run(5, 100, 0.0, Some(&[])).close();
    check(&window, &[("- idle", 500.0)]);
    let drawn = window.devices[0].drawn;
    assert_eq!((drawn.before, drawn.since), (MicroJoules::new(2_000_000_000), Some(tick(10_000).wall)));
}

#[test]
fn a_board_that_is_gone_for_a_minute_has_no_power_any_more() {
    let mut bench = Bench::default();
    bench.run(10, 100, 0.0, Some(&[])).close();
    bench.millis += 70_000;
    let window = bench.close();
    assert!(window.devices.is_empty());
    assert_eq!(window.uses.len(), 1, "it is paid for all the same");
    // Its counter went on meanwhile.
    bench.energy_mj += 70_000 * 100;
    bench.read(0.0, Some(&[]));
    assert_eq!(bench.close().devices[0].drawn.before, MicroJoules::new(7_000_000_000));
    bench.millis += 100_000_000;
    bench.close();
    assert_eq!(bench.boards.boards.len(), 0);
}
