//! Histories that once came out wrong, each named for what must hold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use wattline_core::reading::{EnergyReading, EnergySource, MemoryReading, PowerReading, Scope};
use wattline_core::{
    Device, DeviceKind, Instrument, Inventory, Joules, MicroJoules, Ratio, Reading, Readings, Seconds, Watts, Workload,
};

use super::laws::{Bench, check_closure, group, model, process, tick};
use super::{EnergyState, HostModel, Settings};

fn input(watts: f64) -> Reading {
    Reading::Power(PowerReading {
        scope: Scope::Machine,
        source: EnergySource::AcpiMeter,
        power: Watts::new(watts),
        averaged_over: None,
    })
}

fn total(model: &HostModel) -> f64 {
    model.books().energy().quantity().get()
}

fn of_kind(model: &HostModel, kind: DeviceKind) -> f64 {
    model.books().devices().filter(|row| row.device.kind == kind).map(|row| row.energy.quantity().get()).sum()
}

fn dram(uj: u64) -> Reading {
    Reading::Energy(EnergyReading {
        scope: Scope::Device(Device::new(DeviceKind::Memory, "dram-0")),
        source: EnergySource::Rapl,
        counter_uj: uj,
        range: None,
    })
}

#[test]
fn a_gap_of_the_meter_at_the_input_is_modelled_and_not_booked_again() {
    let mut bench = Bench::new();
    for second in 0..200u64 {
        let mut more = vec![dram(second * 50_000_000)];
        if !(100..150).contains(&second) {
            more.push(input(500.0));
        }
        bench.step(300.0, 1.0, &more);
    }
    // 350 W inside, 500 W at the input: in the gap the enclosure is a third of 350 W and not 150 W.
    let drawn = total(&bench.model);
    assert!((96_000.0..100_000.0).contains(&drawn), "{drawn} J of 100 kJ");
    check_closure(&bench.model);
}

#[test]
fn a_gap_of_a_meter_inside_is_not_the_enclosures() {
    let settings = Settings { window: Seconds::new(10.0), ..Settings::default() };
    let mut model = model(settings);
    for second in 0..200u64 {
        let mut readings = Readings::new("host", tick(second * 1000));
        readings.items.push(input(500.0));
        readings.items.push(dram(second * 50_000_000));
        if !(100..140).contains(&second) {
            readings.items.push(Reading::Energy(EnergyReading {
                scope: Scope::Device(Device::new(DeviceKind::Cpu, "package-0")),
                source: EnergySource::Rapl,
                counter_uj: second * 300_000_000,
                range: None,
            }));
        }
        model.ingest(&readings);
    }
    model.settle_now();
    let package = of_kind(&model, DeviceKind::Cpu);
    assert!((package - 59_700.0).abs() < 1.0, "every joule of the counter is booked: {package}");
    assert!(total(&model) <= 99_500.0 + 1.0, "{} J where the input drew 99,500", total(&model));
}

#[test]
fn a_model_gives_way_to_a_meter_at_the_input() {
    let mut model = model(Settings { window: Seconds::new(10.0), ..Settings::default() });
    let mut inventory = Inventory { memory_bytes: Some(1 << 40), ..Inventory::default() };
    inventory.cpu.name = Some("Intel(R) Xeon(R) Platinum 8375C CPU @ 2.90GHz".to_owned());
    inventory.cpu.vendor = Some("GenuineIntel".to_owned());
    inventory.cpu.logical_count = Some(128);
    model.describe(&Arc::new(inventory));
    for second in 0..=60u64 {
        let mut readings = Readings::new("host", tick(second * 1000));
        readings.items.push(input(300.0));
        readings.items.push(Reading::Memory(MemoryReading {
            total: 1 << 40,
            free: 1 << 39,
            ..MemoryReading::default()
        }));
        model.ingest(&readings);
    }
    assert!((total(&model) - 18_000.0).abs() < 1.0, "{} J where the input drew 18,000", total(&model));
    assert!(of_kind(&model, DeviceKind::Enclosure) > 1_000.0, "the enclosure keeps its share");
    assert!(model.books().uncertainty().sigma() < 0.05, "the meter says how well the whole is known");
    check_closure(&model);
}

#[test]
fn a_meter_that_goes_away_is_replaced_by_the_model() {
    let mut bench = Bench::new();
    for _ in 0..30 {
        bench.step(50.0, 1.0, &[]);
    }
    let package = of_kind(&bench.model, DeviceKind::Cpu);
    for second in 0..200u64 {
        let mut readings = Readings::new("host", tick((bench.second + second) * 1000));
        let memory = MemoryReading { total: 8 << 30, free: 4 << 30, ..MemoryReading::default() };
        readings.items.push(Reading::Memory(memory));
        bench.model.ingest(&readings);
    }
    let rows: Vec<_> = bench.model.books().devices().filter(|row| row.device.kind == DeviceKind::Cpu).collect();
    assert_eq!(rows.len(), 2, "the meter's row stays, the model's row begins");
    assert!(of_kind(&bench.model, DeviceKind::Cpu) > package, "no meter, no silence");
    check_closure(&bench.model);
}

#[test]
fn a_group_that_was_made_anew_holds_its_memory_once() {
    let mut bench = Bench::new();
    let unit = |id| {
        let mut reading = group(id, 1_000_000, 3 << 30, None);
        reading.workload = Arc::new(Workload::Unit("web.service".into()));
        Reading::Cgroup(reading)
    };
    for second in 0..20 {
        bench.step(100.0, 1.0, &[unit(if second < 15 { 1 } else { 2 })]);
    }
    let held = bench
        .model
        .samples(tick(bench.second * 1000).wall)
        .into_iter()
        .find(|sample| sample.metric.name == "workload.memory.usage")
        .and_then(|sample| sample.number());
    assert_eq!(held, Some(3.0 * 1_073_741_824.0));
}

#[test]
fn an_old_process_that_is_seen_late_is_not_charged_its_life() {
    let mut bench = Bench::new();
    for second in 0..20u64 {
        let mut more = Vec::new();
        if second > 12 {
            // Begun at second 1 of the boot, with eight seconds of CPU time behind it, and idle since.
            more.push(Reading::Process(process(9, 100, 8_000_000_000, None)));
        }
        bench.step(100.0, 1.0, &more);
    }
    assert!(bench.joules(EnergyState::Active, "process-9").abs() < f64::EPSILON);
}

#[test]
fn a_gap_does_not_lower_the_floor() {
    let mut bench = Bench::new();
    for second in 0..80u64 {
        if (30..45).contains(&second) {
            let mut silent = Readings::new("host", tick(bench.second * 1000));
            silent.items.push(Reading::Memory(MemoryReading { total: 8 << 30, ..MemoryReading::default() }));
            bench.model.ingest(&silent);
            bench.second += 1;
            bench.package_uj += MicroJoules::round(Joules::new(200.0)).get();
        } else {
            bench.step(200.0, 0.1, &[]);
        }
    }
    let at = tick(bench.second * 1000).wall;
    let floors: Vec<f64> = bench
        .model
        .samples(at)
        .iter()
        .filter(|sample| sample.metric.name == "hw.power.idle")
        .filter(|sample| sample.subject.identity().iter().any(|attribute| attribute.value.as_str() == "package-0"))
        .filter_map(wattline_core::Sample::number)
        .collect();
    assert!((floors[0] - 200.0).abs() < 1.0, "{floors:?}");
}

#[test]
fn the_limit_on_workloads_holds_for_all_their_series() {
    let settings = Settings { window: Seconds::new(10.0), max_workloads: 10, ..Settings::default() };
    let mut bench = Bench::with(settings);
    let mut last = 0.0;
    for second in 1..=40u64 {
        let more: Vec<Reading> =
            (0..100).map(|pid| Reading::Process(process(pid, 10_000, second * 5_000_000, None))).collect();
        bench.step(100.0, 2.0, &more);
        let samples = bench.model.samples(tick(bench.second * 1000).wall);
        let times: Vec<f64> = samples
            .iter()
            .filter(|sample| sample.metric.name == "workload.cpu.time")
            .filter_map(wattline_core::Sample::number)
            .collect();
        assert!(times.len() <= 12, "{} series", times.len());
        let sum: f64 = times.iter().sum();
        assert!(sum >= last, "what others used does not go back");
        last = sum;
    }
    // A hundred processes of 5 ms a second, all but the first reading.
    assert!((last - 100.0 * 0.005 * 39.0).abs() < 5.1, "{last} s");
    check_closure(&bench.model);
}

#[test]
fn a_civil_clock_that_is_set_back_does_not_reach_power() {
    let mut model = model(Settings { window: Seconds::new(10.0), ..Settings::default() });
    for second in 0..=30u64 {
        let mut at = tick(second * 1000);
        if second > 15 {
            at.wall = at.wall.back(Seconds::new(3600.0));
        }
        let mut readings = Readings::new("host", at);
        readings.items.push(dram(second * 5_000_000));
        model.ingest(&readings);
        let books = model.books();
        assert!(books.window() == Seconds::ZERO || (books.window().get() - 10.0).abs() < 0.1);
        let settled = books.settled_at();
        assert!(settled.is_none_or(|period| period.start <= period.at));
    }
    assert_eq!(Ratio::of(of_kind(&model, DeviceKind::Memory), 150.0), Ratio::new(1.0));
}

#[test]
fn a_series_says_the_same_of_itself_for_ever_and_stands_once() {
    let mut model = model(Settings { window: Seconds::new(10.0), ..Settings::default() });
    let mut before: BTreeMap<String, f64> = BTreeMap::new();
    for second in 0..=120u64 {
        let mut readings = Readings::new("host", tick(second * 1000));
        readings.items.push(Reading::Memory(MemoryReading {
            total: 8 << 30,
            free: 1 << 30,
            ..MemoryReading::default()
        }));
        // The enclosure is the meter's, then the model's, then the meter's again; memory is modelled throughout.
        if !(40..70).contains(&second) {
            readings.items.push(input(300.0));
        }
        model.ingest(&readings);
        let mut seen = BTreeSet::new();
        for sample in model.samples(tick(second * 1000).wall) {
            let name = format!("{} {:?} {:?}", sample.metric.name, sample.subject, sample.attributes);
            if sample.metric.instrument == Instrument::Counter {
                let now = sample.number().unwrap();
                let last = before.insert(name.clone(), now);
                // What begins late begins at nothing, or at what one window drew.
                let is_new_energy = last.is_none() && sample.metric.name == "hw.energy" && second > 30;
                assert!(!is_new_energy || now <= 10.0 * 300.0 + 1.0, "{name} begins with {now} J");
                assert!(last.is_none_or(|last| now >= last), "{name} went back");
            }
            assert!(seen.insert(name.clone()), "{name} stands twice");
        }
    }
    check_closure(&model);
}

#[test]
fn bytes_of_a_group_inside_a_group_are_counted_once() {
    let mut bench = Bench::new();
    for second in 1..=10u64 {
        let with_disk = |id, inside, bytes| {
            let mut reading = group(id, second * 3_000_000 / id, (4 << 20) / id, inside);
            (reading.read_bytes, reading.written_bytes) = (Some(bytes), Some(0));
            Reading::Cgroup(reading)
        };
        bench.step(100.0, 1.0, &[with_disk(1, None, second * 1000), with_disk(2, Some(1), second * 600)]);
    }
    let at = tick(bench.second * 1000).wall;
    let samples = bench.model.samples(at);
    let read = samples.iter().filter(|sample| sample.metric.name == "workload.disk.io");
    let read: Vec<f64> = read.filter_map(wattline_core::Sample::number).collect();
    assert_eq!(read, [4_000.0, 6_000.0], "ten thousand bytes in all");
}
