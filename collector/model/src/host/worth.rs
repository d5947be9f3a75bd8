//! What energy and time came to be worth: rates that change, a machine that rests, and who answers for it.

use std::collections::BTreeMap;

use wattline_core::{
    DeviceKind, GramsPerHour, GramsPerKwh, LitersPerKwh, NanoUsd, Ratio, Reading, Sample, Seconds, Uncertainty,
    UsdPerHour, UsdPerKwh, Workload,
};

use wattline_core::quantity::JOULES_PER_KWH;

use super::laws::{Bench, check_closure, group, process, rates, tick};
use super::{Embodied, EnergyState, HeldPart, Holding, Rates, Settings, WaterRates};
use crate::sci::{Provision, View};

fn at(intensity: f64) -> Rates {
    Rates { intensity: GramsPerKwh::new(intensity), ..Rates::default() }
}

fn grams(bench: &Bench) -> f64 {
    bench.model.books().meaning().operational.quantity().get()
}

fn joules(bench: &Bench) -> f64 {
    bench.model.books().energy().quantity().get()
}

/// A rented machine whose rent is mostly its processor's, and all rates there are.
fn rented() -> Rates {
    let part = |kind, weight_rent, weight_embodied| HeldPart {
        kind,
        weight_rent: Ratio::new(weight_rent),
        weight_embodied: Ratio::new(weight_embodied),
    };
    Rates {
        market: Some(GramsPerKwh::new(12.0)),
        water: WaterRates { site: Some(LitersPerKwh::new(0.12)), grid: Some(LitersPerKwh::new(2.3127)) },
        holding: Holding {
            rent: Some(UsdPerHour::new(3.6)),
            embodied: Some(Embodied { per_hour: GramsPerHour::new(36.0), uncertainty: Uncertainty::from_sigma(0.45) }),
            parts: vec![
                part(DeviceKind::Cpu, 3.0, 1.0),
                part(DeviceKind::Memory, 1.0, 1.0),
                part(DeviceKind::Gpu, 0.0, 2.0),
            ],
        },
        ..rates()
    }
}

fn samples(bench: &Bench) -> Vec<Sample> {
    bench.model.samples(tick(bench.second * 1000).wall)
}

/// The sum of a metric's numbers over all series, by the value of `key`.
fn sums(samples: &[Sample], name: &str, key: &str) -> BTreeMap<String, f64> {
    let mut sums = BTreeMap::new();
    for sample in samples.iter().filter(|sample| sample.metric.name == name) {
        *sums.entry(sample.attribute(key).unwrap_or("").to_owned()).or_default() += sample.number().unwrap();
    }
    sums
}

#[test]
fn each_window_is_multiplied_by_the_intensity_of_its_own_time() {
    let mut bench = Bench::new();
    let (mut expected, mut drawn) = (0.0, 0.0);
    for intensity in [400.0, 40.0, 900.0] {
        bench.model.change_rates(at(intensity));
        for _ in 0..10 {
            bench.step(100.0, 2.0, &[]);
        }
        expected += (joules(&bench) - drawn) / JOULES_PER_KWH * intensity;
        drawn = joules(&bench);
    }
    assert!(expected > 0.0 && (grams(&bench) - expected).abs() < 2e-9, "{} g and not {expected}", grams(&bench));
    let last_times_total = drawn / JOULES_PER_KWH * 900.0;
    assert!(grams(&bench) < 0.6 * last_times_total);
    check_closure(&bench.model);
}

#[test]
fn a_change_inside_a_window_is_not_the_rate_of_what_was_drawn_before_it() {
    let mut bench = Bench::new();
    bench.model.correct_rates(at(400.0));
    for _ in 0..4 {
        bench.step(100.0, 2.0, &[]);
    }
    assert!(joules(&bench).abs() < f64::EPSILON, "the window is open");
    bench.model.change_rates(at(40.0));
    let before = joules(&bench);
    assert!(before > 0.0, "what was drawn until now is settled");
    for _ in 0..10 {
        bench.step(100.0, 2.0, &[]);
    }
    let after = joules(&bench) - before;
    let expected = (before * 400.0 + after * 40.0) / JOULES_PER_KWH;
    assert!((grams(&bench) - expected).abs() < 2e-9, "{} g and not {expected}", grams(&bench));
    check_closure(&bench.model);
}

#[test]
fn rates_that_did_not_change_close_no_window() {
    let mut bench = Bench::new();
    for _ in 0..4 {
        bench.step(100.0, 2.0, &[]);
        bench.model.change_rates(rates());
    }
    assert!(bench.model.books().settled_at().is_none());
}

#[test]
fn what_held_all_along_and_is_known_late_holds_for_the_open_window() {
    let mut bench = Bench::new();
    bench.step(100.0, 2.0, &[]);
    bench.model.correct_rates(at(40.0));
    for _ in 0..9 {
        bench.step(100.0, 2.0, &[]);
    }
    let expected = joules(&bench) * 40.0 / JOULES_PER_KWH;
    assert!(expected > 0.0 && (grams(&bench) - expected).abs() < 1e-9, "{} g and not {expected}", grams(&bench));
}

#[test]
fn a_machine_at_rest_costs_its_rent_and_none_of_it_is_a_workloads() {
    let mut bench = Bench::new();
    bench.model.correct_rates(rented());
    for _ in 0..20 {
        bench.step(20.0, 0.0, &[]);
    }
    // Twenty seconds of 3.60 USD an hour are two cents, three quarters of it the processor's.
    let books = bench.model.books();
    assert_eq!(books.meaning().rent.map(NanoUsd::get), Some(20_000_000));
    assert_eq!(books.meaning().electricity, None, "electricity is in the rent");
    let idle: u64 = books
        .held()
        .filter(|row| row.kind == DeviceKind::Cpu && row.state == EnergyState::Idle)
        .map(|row| row.rent.get())
        .sum();
    assert_eq!(idle, 15_000_000);
    assert!(books.held().all(|row| *row.workload == Workload::Nobody));
    check_closure(&bench.model);
}

#[test]
fn a_workload_pays_for_its_share_of_capacity_and_not_of_use() {
    let mut bench = Bench::new();
    bench.model.correct_rates(rented());
    for second in 1..=11u64 {
        // One of four CPUs, new in the window, and two of eight gibibytes.
        bench.step(100.0, 1.0, &[Reading::Cgroup(group(7, second * 1_000_000_000, 2 << 30, None))]);
    }
    let unit = |kind| -> f64 {
        let rows = bench.model.books().held().filter(|row| row.workload.to_string() == "unit-7.service");
        rows.filter(|row| row.kind == kind).map(|row| row.rent.quantity().get()).sum()
    };
    // Ten seconds are one cent, of which three quarters are the processor's and one is memory's.
    assert!((unit(DeviceKind::Cpu) - 0.0075 / 4.0).abs() < 1e-9, "one of four CPUs, though nobody used the others");
    assert!((unit(DeviceKind::Memory) - 0.0025 / 4.0).abs() < 1e-9);
    check_closure(&bench.model);
}

#[test]
fn a_gap_is_paid_by_nobody_in_particular() {
    let mut bench = Bench::new();
    bench.model.correct_rates(rented());
    bench.second += 50;
    let mut silent = wattline_core::Readings::new("host", tick(bench.second * 1000));
    silent.items.push(Reading::Memory(wattline_core::reading::MemoryReading::default()));
    bench.model.ingest(&silent);
    let books = bench.model.books();
    assert_eq!(books.meaning().rent.map(NanoUsd::get), Some(51_000_000));
    assert!(books.held().all(|row| row.state == EnergyState::Unattributed), "no witness");
    check_closure(&bench.model);
}

#[test]
fn the_figures_of_every_kind_add_up_though_series_end() {
    let settings = Settings { window: Seconds::new(10.0), retention: Seconds::new(20.0), ..Settings::default() };
    let mut bench = Bench::with(settings);
    bench.model.correct_rates(Rates { holding: Holding { rent: None, ..rented().holding }, ..rented() });
    for second in 0..200u64 {
        if second == 100 {
            bench.model.change_rates(rented());
        }
        let name = u32::try_from(second / 40).unwrap();
        let process = process(name, (100 + second / 40 * 40) * 100, second % 40 * 500_000_000, None);
        bench.step(100.0, 2.0, &[Reading::Process(process)]);
    }
    let samples = samples(&bench);
    for (host, workload, retired, key, kinds) in [
        ("host.carbon", "workload.carbon", "workload.retired.carbon", "carbon.kind", ["embodied", "operational"]),
        ("host.cost.usd", "workload.cost.usd", "workload.retired.cost.usd", "cost.kind", ["electricity", "instance"]),
    ] {
        let whole = sums(&samples, host, key);
        assert_eq!(whole.keys().collect::<Vec<_>>(), kinds, "{host}");
        let (rows, ended) = (sums(&samples, workload, key), sums(&samples, retired, key));
        for (kind, amount) in whole {
            assert!(ended[&kind] > 0.0, "{retired} of {kind}");
            let parts = rows[&kind] + ended[&kind];
            assert!((amount - parts).abs() < 1e-12 + amount * 1e-12, "{host} of {kind}: {amount} and not {parts}");
        }
    }
    check_closure(&bench.model);
}

#[test]
fn contract_and_water_are_told_of_the_machine_alone() {
    let mut bench = Bench::new();
    bench.model.correct_rates(rented());
    for _ in 0..20 {
        bench.step(100.0, 2.0, &[]);
    }
    let samples = samples(&bench);
    let of = |name| sums(&samples, name, "water.kind");
    let facility_kwh = joules(&bench) / JOULES_PER_KWH * 1.15;
    assert!((of("host.carbon.market")[""] - facility_kwh * 12.0).abs() < 1e-8);
    assert!((of("host.water")["grid"] - facility_kwh * 2.3127).abs() < 2e-6);
    assert!((of("host.water")["site"] - facility_kwh / 1.15 * 0.12).abs() < 2e-6);
    let carbon: f64 = sums(&samples, "host.carbon", "carbon.kind").values().sum();
    let embodied = 20.0 * 36.0 / 3600.0;
    assert!((carbon - embodied - facility_kwh * 381.0).abs() < 1e-8, "the contract is in no sum");
}

#[test]
fn every_attribute_is_one_that_the_metric_table_allows() {
    let mut bench = Bench::with(Settings { retention: Seconds::new(0.0), ..Settings::default() });
    bench.model.correct_rates(rented());
    for second in 0..40u64 {
        let more: Vec<Reading> =
            (second < 12).then(|| Reading::Process(process(3, 10_000, second * 1_000_000, None))).into_iter().collect();
        bench.step(100.0, 2.0, &more);
    }
    for sample in samples(&bench) {
        for attribute in &sample.attributes {
            assert!(sample.metric.attributes.contains(&attribute.key), "{} on {}", attribute.key, sample.metric.name);
        }
    }
}

#[test]
fn a_rate_known_badly_for_an_hour_is_not_known_badly_for_ever() {
    let mut bench = Bench::new();
    let known = |sigma| Rates { carbon_uncertainty: Uncertainty::from_sigma(sigma), ..rented() };
    let mut factors = Vec::new();
    for sigma in [0.8, 0.1, 0.1, 0.1] {
        bench.model.change_rates(known(sigma));
        for _ in 0..10 {
            bench.step(100.0, 2.0, &[]);
        }
        factors.push(sums(&samples(&bench), "uncertainty.factor", "uncertainty.quantity"));
    }
    let energy = bench.model.books().uncertainty();
    let expected = energy.times(Uncertainty::from_sigma((0.8 + 0.1 * 3.0) / 4.0)).factor();
    let last = factors.last().unwrap();
    assert!(factors[0]["carbon"] > last["carbon"] && (last["carbon"] - expected).abs() < 0.02, "{last:?}, {expected}");
    let embodied = Uncertainty::from_sigma(0.45).factor();
    assert!((last["carbon.embodied"] - embodied).abs() < 1e-9, "{last:?}");
}

#[test]
fn views_in_proportion_add_up_to_the_machine() {
    let mut bench = Bench::new();
    bench.model.correct_rates(rented());
    for second in 1..=21u64 {
        let groups = [(7, 1_000_000_000, 2 << 30), (8, 500_000_000, 1 << 30)];
        let groups = groups.map(|(id, ns, bytes)| Reading::Cgroup(group(id, second * ns, bytes, None)));
        bench.step(100.0, 2.0, &groups);
    }
    let books = bench.model.books();
    let view = |name: &'static str, provided| View::of_workload(books, &Workload::Unit(name.into()), provided).unwrap();
    let whole = books.meaning().operational.quantity() + books.meaning().embodied.unwrap().quantity();
    let both = ["unit-7.service", "unit-8.service"].map(|name| view(name, Provision::InProportion));
    let sum: f64 = both.iter().map(|view| view.operational.get() + view.embodied.get()).sum();
    assert!((sum - whole.get()).abs() < 1e-8, "{sum} g of {} g", whole.get());
    let all = view("unit-8.service", Provision::Reserved(Ratio::new(1.0)));
    assert!((all.operational.get() + all.embodied.get() - whole.get()).abs() < 1e-8, "it has the machine to itself");
    let half = view("unit-8.service", Provision::Reserved(Ratio::new(0.5)));
    assert!((half.embodied.get() - all.embodied.get() / 2.0).abs() < 1e-8, "idle is counted where it is reserved");
    let own: f64 = books
        .workloads()
        .filter(|row| row.workload.to_string() == "unit-7.service")
        .map(|row| row.operational.quantity().get())
        .sum();
    let seldom = view("unit-7.service", Provision::Reserved(Ratio::ZERO));
    assert!(own > 0.0 && (seldom.operational.get() - own).abs() < 1e-9, "what it used is the least");
    assert_eq!(View::of_workload(books, &Workload::Nobody, Provision::InProportion), None);
    assert_eq!(View::of_workload(books, &Workload::Unit("no.service".into()), Provision::InProportion), None);
}

#[test]
fn electricity_that_was_booked_before_the_rent_was_known_stays_and_does_not_grow() {
    let mut bench = Bench::new();
    let before_rent = Rates { electricity: Some(UsdPerKwh::new(0.5)), ..Rates::default() };
    bench.model.correct_rates(before_rent);
    for _ in 0..10 {
        bench.step(100.0, 2.0, &[]);
    }
    let booked = bench.model.books().meaning().electricity;
    bench.model.change_rates(rented());
    for _ in 0..10 {
        bench.step(100.0, 2.0, &[]);
    }
    assert!(booked.is_some_and(|cost| !cost.is_zero()));
    assert_eq!(bench.model.books().meaning().electricity, booked);
}

#[test]
fn a_workload_that_only_waits_keeps_its_series() {
    let mut bench = Bench::with(Settings { retention: Seconds::new(15.0), ..Settings::default() });
    bench.model.correct_rates(rented());
    for second in 1..=100u64 {
        // It worked for five seconds and holds its memory ever since.
        let cpu_ns = second.min(5) * 1_000_000_000;
        bench.step(100.0, 1.0, &[Reading::Cgroup(group(7, cpu_ns, 2 << 30, None))]);
    }
    let books = bench.model.books();
    let is_its = |workload: &Workload| *workload == Workload::Unit("unit-7.service".into());
    assert!(books.workloads().any(|row| is_its(&row.workload) && row.kind == DeviceKind::Cpu));
    assert!(books.held().any(|row| is_its(&row.workload) && row.kind == DeviceKind::Cpu));
    assert_eq!(books.retired(DeviceKind::Cpu), super::Retired::default());
}
