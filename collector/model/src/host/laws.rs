//! The laws of the books, over any sequence of ticks, wraps, resets, births, deaths and gaps.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use wattline_core::counter::Range;
use wattline_core::reading::{
    AcceleratorFacts, AcceleratorPower, AcceleratorProcess, AcceleratorReading, AcceleratorState, CgroupReading,
    Contexts, CpuReading, CpuTimes, EnergyReading, EnergySource, MemoryReading, PowerReading, ProcessReading,
    ProcessUtilization, Scope,
};
use wattline_core::{
    Device, DeviceKind, GramsPerHour, GramsPerKwh, Instant, MicroJoules, Ratio, Reading, Readings, Seconds, Tick,
    Timestamp, UsdPerKwh, Watts, Workload,
};

use super::rates::tests::any_rates;
use super::{
    Embodied, EnergyState, HeldPart, HeldRow, Holding, HostModel, Meaning, Rates, Retired, Settings, WorkloadRow,
};

const KINDS: [DeviceKind; 4] = [DeviceKind::Cpu, DeviceKind::Memory, DeviceKind::Gpu, DeviceKind::Enclosure];
const ALL_KINDS: [DeviceKind; 7] = [
    DeviceKind::Cpu,
    DeviceKind::Memory,
    DeviceKind::Gpu,
    DeviceKind::Accelerator,
    DeviceKind::Disk,
    DeviceKind::Network,
    DeviceKind::Enclosure,
];

pub(super) fn rates() -> Rates {
    Rates {
        intensity: GramsPerKwh::new(381.0),
        pue: Ratio::new(1.15),
        electricity: Some(UsdPerKwh::new(0.12)),
        holding: Holding {
            embodied: Some(Embodied { per_hour: GramsPerHour::new(36.0), ..Embodied::default() }),
            parts: [DeviceKind::Cpu, DeviceKind::Memory].map(part).to_vec(),
            ..Holding::default()
        },
        ..Rates::default()
    }
}

fn part(kind: DeviceKind) -> HeldPart {
    HeldPart { kind, weight_rent: Ratio::new(1.0), weight_embodied: Ratio::new(1.0) }
}

/// A model at the rates of the tests.
pub(super) fn model(settings: Settings) -> HostModel {
    let mut model = HostModel::new(settings);
    model.correct_rates(rates());
    model
}

pub(super) fn tick(ms: u64) -> Tick {
    Tick {
        at: Instant::from_nanos(ms * 1_000_000),
        wall: Timestamp::from_unix_nanos(1_700_000_000_000_000_000 + ms * 1_000_000),
    }
}

/// What may happen at one tick. Numbers are taken as they come, sensible or not.
#[derive(Clone, Debug)]
struct Moment {
    pause_ms: u64,
    package_uj: Option<u64>,
    dram_uj: Option<u64>,
    input_watts: Option<f64>,
    busy_ns: Option<u64>,
    groups: Vec<(u64, u64, u64, Option<u64>)>,
    processes: Vec<(u32, u64, u64)>,
    board: Option<BoardMoment>,
}

/// What a board shows a little before the machine is read.
#[derive(Clone, Debug)]
struct BoardMoment {
    number: u32,
    energy_mj: Option<u64>,
    watts: f64,
    general: f64,
    processes: Option<Vec<(u32, u64, f64)>>,
}

fn moments() -> impl Strategy<Value = Vec<Moment>> {
    let number = || prop_oneof![4 => 0u64..400_000_000, 1 => any::<u64>()];
    let group = (0u64..4, number(), number(), prop::option::of(0u64..4));
    let process = (0u32..4, 0u64..3, number());
    let moment = (
        prop_oneof![5 => 500u64..2_000, 1 => 0u64..200_000],
        prop::option::weighted(0.9, number()),
        prop::option::weighted(0.7, number()),
        prop::option::weighted(0.3, prop_oneof![0.0..900.0f64, any::<f64>()]),
        prop::option::weighted(0.9, number()),
        prop::collection::vec(group, 0..4),
        prop::collection::vec(process, 0..4),
        prop::option::weighted(0.8, board_moment()),
    );
    prop::collection::vec(
        moment.prop_map(|(pause_ms, package_uj, dram_uj, input_watts, busy_ns, groups, processes, board)| Moment {
            pause_ms,
            package_uj,
            dram_uj,
            input_watts,
            busy_ns,
            groups,
            processes,
            board,
        }),
        1..60,
    )
}

fn board_moment() -> impl Strategy<Value = BoardMoment> {
    let energy = prop_oneof![4 => 0u64..900_000, 1 => any::<u64>()];
    let share = || prop_oneof![0.0..1.0f64, Just(0.0), any::<f64>()];
    let processes = prop::collection::vec((0u32..5, 0u64..4, share()), 0..3);
    let energy = prop::option::weighted(0.9, energy);
    (0u32..2, energy, any::<f64>(), share(), prop::option::weighted(0.9, processes)).prop_map(
        |(number, energy_mj, watts, general, processes)| BoardMoment { number, energy_mj, watts, general, processes },
    )
}

/// The board is read at a moment of its own.
fn board(moment: &Moment) -> Option<AcceleratorReading> {
    moment.board.as_ref().map(|board| {
        let facts = Arc::new(AcceleratorFacts::default());
        let device = Device::new(DeviceKind::Gpu, format!("GPU-{}", board.number));
        let mut reading = AcceleratorReading::new(device, facts, AcceleratorState::Works);
        reading.energy_mj = board.energy_mj;
        reading.power = Some(AcceleratorPower { power: Watts::new(board.watts), averaged_over: None });
        reading.utilization.general = Some(Ratio::new(board.general));
        let process = |&(pid, memory, share): &(u32, u64, f64)| AcceleratorProcess {
            pid,
            contexts: Contexts::default(),
            memory_bytes: Some(memory),
            slice: None,
            utilization: Some(ProcessUtilization {
                multiprocessor: Ratio::new(share),
                ..ProcessUtilization::default()
            }),
        };
        reading.processes = board.processes.as_ref().map(|all| all.iter().map(process).collect());
        reading
    })
}

fn take_board(model: &mut HostModel, moment: &Moment, now: u64) {
    if let Some(reading) = board(moment) {
        model.take_board(&reading, tick(now.saturating_sub(200)));
    }
}

fn readings(moment: &Moment, tick: Tick) -> Readings {
    let mut readings = Readings::new("host", tick);
    let energy = |kind, id, counter_uj| {
        Reading::Energy(EnergyReading {
            scope: Scope::Device(Device::new(kind, id)),
            source: EnergySource::Rapl,
            counter_uj,
            range: Some(Range { max: 262_143_328_850, fastest_per_second: 2e9 }),
        })
    };
    readings.items.extend(moment.package_uj.map(|uj| energy(DeviceKind::Cpu, "package-0", uj)));
    readings.items.extend(moment.dram_uj.map(|uj| energy(DeviceKind::Memory, "dram-0", uj)));
    readings.items.extend(moment.input_watts.map(|watts| {
        Reading::Power(PowerReading {
            scope: Scope::Machine,
            source: EnergySource::AcpiMeter,
            power: Watts::new(watts),
            averaged_over: None,
        })
    }));
    readings.items.extend(moment.busy_ns.map(|ns| {
        let total = CpuTimes { user_ns: ns, idle_ns: ns / 2, ..CpuTimes::default() };
        Reading::Cpu(CpuReading { total, per_cpu: Vec::new(), online: 2 })
    }));
    readings.items.push(Reading::Memory(MemoryReading { total: 8 << 30, free: 1 << 30, ..MemoryReading::default() }));
    for &(id, cpu_ns, memory, inside) in &moment.groups {
        readings.items.push(Reading::Cgroup(group(id, cpu_ns, memory, inside)));
    }
    for &(pid, start_ticks, cpu_ns) in &moment.processes {
        readings.items.push(Reading::Process(process(pid, start_ticks, cpu_ns, None)));
    }
    readings
}

pub(super) fn group(id: u64, cpu_ns: u64, memory: u64, inside: Option<u64>) -> CgroupReading {
    CgroupReading {
        id,
        workload: Arc::new(Workload::Unit(format!("unit-{id}.service").into())),
        inside,
        cpu_ns,
        cpu_user_ns: None,
        cpu_system_ns: None,
        throttled_ns: None,
        memory_bytes: Some(memory),
        working_set_bytes: None,
        read_bytes: None,
        written_bytes: None,
    }
}

pub(super) fn process(pid: u32, start_ticks: u64, cpu_ns: u64, cgroup: Option<u64>) -> ProcessReading {
    ProcessReading {
        pid,
        start_ticks,
        name: format!("process-{pid}").into(),
        cgroup,
        cpu_ns,
        resident_bytes: 1 << 20,
        threads: 1,
    }
}

pub(super) fn check_closure(model: &HostModel) {
    let books = model.books();
    for kind in KINDS {
        let devices: u128 =
            books.devices().filter(|row| row.device.kind == kind).map(|row| u128::from(row.energy.get())).sum();
        let workloads: u128 =
            books.workloads().filter(|row| row.kind == kind).map(|row| u128::from(row.energy.get())).sum();
        assert_eq!(devices, workloads + u128::from(books.retired(kind).energy.get()), "{kind:?} does not close");
    }
    for id in ["GPU-0", "GPU-1"] {
        let of = |of: &Option<wattline_core::Text>| of.as_ref().is_some_and(|of| of.as_str() == id);
        let devices: u64 = books.devices().filter(|row| row.device.id.as_str() == id).map(|row| row.energy.get()).sum();
        let workloads: u64 = books.workloads().filter(|row| of(&row.id)).map(|row| row.energy.get()).sum();
        assert_eq!(devices, workloads + books.retired_on(id).energy.get(), "{id} does not close");
    }
    let retired = |part: fn(&Retired) -> u64| ALL_KINDS.iter().map(|kind| part(&books.retired(*kind))).sum::<u64>();
    let Meaning { operational, embodied, electricity, rent, .. } = *books.meaning();
    let drawn = |part: fn(&WorkloadRow) -> u64| books.workloads().map(part).sum::<u64>();
    let held = |part: fn(&HeldRow) -> u64| books.held().map(part).sum::<u64>();
    let operational_rows = drawn(|row| row.operational.get()) + retired(|retired| retired.operational.get());
    assert_eq!(operational.get(), operational_rows, "operational carbon does not close");
    let electricity_rows = drawn(|row| row.electricity.get()) + retired(|retired| retired.electricity.get());
    assert_eq!(electricity.unwrap_or_default().get(), electricity_rows, "the bill for electricity does not close");
    let embodied_rows = held(|row| row.embodied.get()) + retired(|retired| retired.embodied.get());
    assert_eq!(embodied.unwrap_or_default().get(), embodied_rows, "embodied carbon does not close");
    let rent_rows = held(|row| row.rent.get()) + retired(|retired| retired.rent.get());
    assert_eq!(rent.unwrap_or_default().get(), rent_rows, "the rent does not close");
}

/// What never goes back.
fn sums(model: &HostModel) -> [u64; 8] {
    let books = model.books();
    let Meaning { operational, embodied, electricity, rent, market, water_site, water_grid } = *books.meaning();
    [
        books.energy().get(),
        operational.get(),
        embodied.unwrap_or_default().get(),
        electricity.unwrap_or_default().get(),
        rent.unwrap_or_default().get(),
        market.unwrap_or_default().get(),
        water_site.unwrap_or_default().get(),
        water_grid.unwrap_or_default().get(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn parts_sum_to_the_whole_after_any_history(
        history in moments(),
        changes in prop::collection::vec(prop::option::weighted(0.2, (any::<bool>(), any_rates())), 60),
        limit in 1usize..6,
        retention in 0.0..100.0f64,
    ) {
        let settings = Settings {
            window: Seconds::new(5.0),
            max_workloads: limit,
            retention: Seconds::new(retention),
            own_pid: Some(1),
        };
        let mut model = model(settings);
        let mut now = 1_000;
        let mut before = sums(&model);
        for (moment, change) in history.iter().zip(changes) {
            match change {
                Some((true, rates)) => model.change_rates(rates),
                Some((false, rates)) => model.correct_rates(rates),
                None => {}
            }
            check_closure(&model);
            now += moment.pause_ms;
            take_board(&mut model, moment, now);
            model.ingest(&readings(moment, tick(now)));
            check_closure(&model);
            let after = sums(&model);
            prop_assert!(before.iter().zip(after).all(|(before, after)| after >= *before), "a counter went back");
            let finite = model.samples(tick(now).wall).iter().all(|sample| sample.number().is_none_or(f64::is_finite));
            prop_assert!(finite);
            before = after;
        }
    }

    /// What no power meter of the machine forgets, the books do not forget either.
    #[test]
    fn a_restart_after_any_window_goes_on_where_the_books_stood(
        history in moments(), changes in prop::collection::vec(prop::option::weighted(0.2, any_rates()), 60),
        restarts in prop::collection::vec(prop::bool::weighted(0.2), 60), limit in 1usize..6,
    ) {
        let settings = Settings { window: Seconds::new(2.0), max_workloads: limit, ..Settings::default() };
        let mut running = model(settings.clone());
        let mut now = 1_000;
        for ((moment, change), restart) in history.iter().zip(changes).zip(restarts) {
            now += moment.pause_ms;
            take_board(&mut running, moment, now);
            running.ingest(&readings(moment, tick(now)));
            if let Some(rates) = change {
                running.change_rates(rates);
            }
            if !restart {
                continue;
            }
            let saved = serde_json::to_string(&running.books().save()).unwrap();
            let counters = running.raw_counters();
            let mut next = model(settings.clone());
            next.correct_rates(running.rates().clone());
            next.restore(serde_json::from_str(&saved).unwrap(), tick(now).at);
            next.resume(&counters);
            check_closure(&next);
            prop_assert_eq!(sums(&next), sums(&running));
            prop_assert_eq!(serde_json::to_string(&next.books().save()).unwrap(), saved);
            running = next;
        }
        let before = sums(&running);
        running.settle_now();
        check_closure(&running);
        prop_assert!(before.iter().zip(sums(&running)).all(|(before, after)| after >= *before));
    }

    #[test]
    fn no_series_goes_back(history in moments()) {
        let mut model = model(Settings { window: Seconds::new(2.0), ..Settings::default() });
        let mut now = 1_000;
        let mut before: BTreeMap<String, u64> = BTreeMap::new();
        for moment in &history {
            now += moment.pause_ms;
            take_board(&mut model, moment, now);
            model.ingest(&readings(moment, tick(now)));
            for row in model.books().workloads() {
                let name = format!("{:?} {:?} {:?} {:?} {:?}", row.kind, row.id, row.workload, row.state, row.method);
                let last = before.insert(name, row.energy.get()).unwrap_or(0);
                prop_assert!(row.energy.get() >= last);
            }
            for row in model.books().held() {
                let name = format!("held {:?} {:?} {:?}", row.kind, row.workload, row.state);
                let last = before.insert(name, row.embodied.get()).unwrap_or(0);
                prop_assert!(row.embodied.get() >= last);
            }
        }
    }

    #[test]
    fn split_windows_add_up(deltas in prop::collection::vec((0u64..200_000_000, 0u64..1_900_000_000), 2..80)) {
        let run = |window: f64| {
            let mut model = model(Settings { window: Seconds::new(window), ..Settings::default() });
            let (mut energy, mut busy) = (5, 7);
            for (second, (uj, ns)) in (1u64..).zip(&deltas) {
                energy += uj;
                busy += ns;
                let moment = Moment {
                    pause_ms: 0,
                    package_uj: Some(energy),
                    dram_uj: Some(energy / 7),
                    input_watts: None,
                    busy_ns: Some(busy),
                    groups: vec![(1, busy / 2, 1 << 30, None)],
                    processes: vec![],
                    board: None,
                };
                model.ingest(&readings(&moment, tick(second * 1000)));
            }
            model.settle_now();
            model
        };
        let measured = |model: &HostModel, kind| -> u64 {
            model.books().devices().filter(|row| row.device.kind == kind).map(|row| row.energy.get()).sum()
        };
        let (fine, coarse) = (run(1.0), run(30.0));
        for kind in [DeviceKind::Cpu, DeviceKind::Memory] {
            prop_assert_eq!(measured(&fine, kind), measured(&coarse, kind));
        }
        let truth: u64 = deltas.iter().skip(1).map(|(uj, _)| uj).sum();
        prop_assert_eq!(measured(&fine, DeviceKind::Cpu), truth);
    }
}

/// A machine with one package, driven second by second.
pub(super) struct Bench {
    pub(super) model: HostModel,
    pub(super) second: u64,
    pub(super) package_uj: u64,
    busy_ns: u64,
    idle_ns: u64,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::with(Settings { window: Seconds::new(10.0), ..Settings::default() })
    }

    pub(super) fn with(settings: Settings) -> Self {
        let mut bench = Self { model: model(settings), second: 100, package_uj: 0, busy_ns: 0, idle_ns: 0 };
        bench.step(0.0, 0.0, &[]);
        bench
    }

    pub(super) fn step(&mut self, watts: f64, busy_cpus: f64, more: &[Reading]) {
        self.package_uj += MicroJoules::round(Watts::new(watts) * Seconds::new(1.0)).get();
        let busy = Seconds::new(busy_cpus).get() * 1e9;
        self.busy_ns += MicroJoules::round(wattline_core::Joules::new(busy / 1e6)).get();
        self.idle_ns += MicroJoules::round(wattline_core::Joules::new((4e9 - busy) / 1e6)).get();
        let mut readings = Readings::new("host", tick(self.second * 1000));
        readings.items.push(Reading::Energy(EnergyReading {
            scope: Scope::Device(Device::new(DeviceKind::Cpu, "package-0")),
            source: EnergySource::Rapl,
            counter_uj: self.package_uj,
            range: None,
        }));
        let total = CpuTimes { user_ns: self.busy_ns, idle_ns: self.idle_ns, ..CpuTimes::default() };
        readings.items.push(Reading::Cpu(CpuReading { total, per_cpu: Vec::new(), online: 4 }));
        readings.items.push(Reading::Memory(MemoryReading {
            total: 8 << 30,
            free: 4 << 30,
            ..MemoryReading::default()
        }));
        readings.items.extend_from_slice(more);
        self.model.ingest(&readings);
        self.second += 1;
    }

    pub(super) fn joules(&self, state: EnergyState, workload: &str) -> f64 {
        let rows = self.model.books().workloads();
        rows.filter(|row| row.kind == DeviceKind::Cpu && row.state == state && row.workload.to_string() == workload)
            .map(|row| row.energy.quantity().get())
            .sum()
    }
}

#[test]
fn active_energy_goes_by_cpu_time_and_rest_belongs_to_nobody() {
    let mut bench = Bench::new();
    for _ in 0..40 {
        bench.step(20.0, 0.0, &[]);
    }
    // 100 J a second: 20 J at rest, 80 J for four CPU seconds of which one group used three.
    let before = bench.joules(EnergyState::Idle, "(none)");
    for second in 1..=10u64 {
        bench.step(100.0, 4.0, &[Reading::Cgroup(group(7, second * 3_000_000_000, 0, None))]);
    }
    assert!((bench.joules(EnergyState::Idle, "(none)") - before - 200.0).abs() < 1e-6);
    assert!((bench.joules(EnergyState::Active, "unit-7.service") - 600.0).abs() < 1e-6);
    assert!(bench.joules(EnergyState::Unattributed, "(none)") >= 200.0 - 1e-6, "nobody was seen using the rest");
}

#[test]
fn a_group_inside_a_group_is_counted_once() {
    let mut bench = Bench::new();
    for second in 1..=10u64 {
        let outer = Reading::Cgroup(group(1, second * 2_000_000_000, 0, None));
        let inner = Reading::Cgroup(group(2, second * 1_500_000_000, 0, Some(1)));
        bench.step(100.0, 2.0, &[outer, inner]);
    }
    let (outer, inner) =
        (bench.joules(EnergyState::Active, "unit-1.service"), bench.joules(EnergyState::Active, "unit-2.service"));
    assert!((inner / outer - 3.0).abs() < 1e-6, "{inner} J inside, {outer} J around");
}

#[test]
fn processes_share_only_what_groups_left() {
    let mut bench = Bench::new();
    for second in 1..=10u64 {
        let grouped = Reading::Cgroup(group(1, second * 1_000_000_000, 0, None));
        let inside = Reading::Process(process(10, 10_050, second * 1_000_000_000, Some(1)));
        let outside = Reading::Process(process(11, 10_050, second * 1_000_000_000, None));
        bench.step(100.0, 2.0, &[grouped, inside, outside]);
    }
    let unit = bench.joules(EnergyState::Active, "unit-1.service");
    let process = bench.joules(EnergyState::Active, "process-11");
    assert!((unit - process).abs() < 1e-3, "{unit} J and {process} J for the same CPU time");
    assert!(bench.joules(EnergyState::Active, "process-10").abs() < f64::EPSILON, "its group answers for it");
}

#[test]
fn a_newborn_group_is_charged_from_its_birth() {
    let mut bench = Bench::new();
    for second in 1..=10u64 {
        let more: Vec<Reading> = (second >= 5)
            .then(|| Reading::Cgroup(group(3, (second - 4) * 1_000_000_000, 0, None)))
            .into_iter()
            .collect();
        bench.step(100.0, 1.0, &more);
    }
    let newborn = bench.joules(EnergyState::Active, "unit-3.service");
    let unseen = bench.joules(EnergyState::Unattributed, "(none)");
    assert!((newborn / (newborn + unseen) - 0.6).abs() < 1e-6, "six of ten CPU seconds, the first included");
}

#[test]
fn what_was_drawn_while_the_agent_was_down_is_unattributed() {
    let mut first = Bench::new();
    for _ in 0..10 {
        first.step(50.0, 1.0, &[]);
    }
    let kept = first.model.raw_counters();
    assert_eq!(kept.len(), 1);

    let mut second = Bench { model: model(Settings::default()), ..first };
    second.model.resume(&kept);
    second.second += 100;
    second.package_uj += 5_000_000_000;
    for _ in 0..11 {
        second.step(50.0, 1.0, &[]);
    }
    // 101 seconds passed between the last reading of one agent and the first of the next; the counter says 5,050 J.
    let unattributed = second.joules(EnergyState::Unattributed, "(none)");
    assert!((5_050.0..5_560.0).contains(&unattributed), "{unattributed} J");
    check_closure(&second.model);
    let row = second.model.books().devices().find(|row| row.device.kind == DeviceKind::Cpu);
    let start = row.map(|row| row.start.unix_seconds());
    assert_eq!(start, Some(1_700_000_110), "the row counts from the last reading of the agent before");
    let unattributed = second
        .model
        .books()
        .workloads()
        .filter(|row| row.state == EnergyState::Unattributed && row.kind == DeviceKind::Cpu);
    let starts: Vec<u64> = unattributed.map(|row| row.start.unix_seconds()).collect();
    assert!(starts.iter().all(|start| *start == 1_700_000_110) && !starts.is_empty(), "{starts:?}");
}

#[test]
fn what_an_open_window_held_is_booked_by_the_agents_after() {
    let mut bench = Bench::new();
    // Each is killed with a window open: the first after one that was settled, the others before any was.
    for steps in [14, 1, 6, 10] {
        let (saved, kept) = (bench.model.books().save(), bench.model.raw_counters());
        bench.model = model(Settings::default());
        bench.model.restore(saved, tick(bench.second * 1000).at);
        bench.model.resume(&kept);
        for _ in 0..steps {
            bench.step(50.0, 1.0, &[]);
        }
    }
    bench.model.settle_now();
    let metered = bench.model.books().devices().filter(|row| row.device.kind == DeviceKind::Cpu);
    let booked: f64 = metered.map(|row| row.energy.quantity().get()).sum();
    assert!((booked - 31.0 * 50.0).abs() < 1e-9, "{booked} J");
}

#[test]
fn a_meter_that_was_silent_is_a_gap_and_not_zero() {
    let mut bench = Bench::new();
    for _ in 0..10 {
        bench.step(50.0, 1.0, &[]);
    }
    let before = bench.model.books().energy();
    let mut silent = Readings::new("host", tick(bench.second * 1000));
    silent.items.push(Reading::Memory(MemoryReading { total: 8 << 30, free: 4 << 30, ..MemoryReading::default() }));
    bench.second += 30;
    bench.package_uj += 1_500_000_000;
    bench.model.ingest(&silent);
    for _ in 0..10 {
        bench.step(50.0, 1.0, &[]);
    }
    bench.model.settle_now();
    assert!(bench.model.books().energy() > before);
    let package: u64 = bench
        .model
        .books()
        .devices()
        .filter(|row| row.device.kind == DeviceKind::Cpu)
        .map(|row| row.energy.get())
        .sum();
    assert_eq!(package, bench.package_uj, "every microjoule of the counter is on the books");
    check_closure(&bench.model);
}

#[test]
fn readings_that_are_not_newer_are_refused() {
    let mut model = model(Settings::default());
    assert!(model.ingest(&Readings::new("host", tick(5_000))));
    assert!(!model.ingest(&Readings::new("host", tick(5_000))));
    assert!(!model.ingest(&Readings::new("host", tick(4_000))));
}
