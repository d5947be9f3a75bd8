//! What must hold of every answer, whatever is asked.

use proptest::prelude::*;
use wattline_core::{Quantity, Ratio, Seconds, Timestamp};

use super::*;
use crate::hardware::{self, PriceFile};

const REGIONS: [(&str, &str); 6] = [
    ("aws", "us-east-1"),
    ("aws", "ca-central-1"),
    ("aws", "eu-north-1"),
    ("gcp", "europe-west4"),
    ("azure", "westeurope"),
    ("aws", "mars-north-1"),
];

fn ask(name: &str, place: Place<'_>, hours: f64, utilization: Option<f64>, count: u32) -> Footprint {
    let question = Question {
        machine: Some(MachineName::Instance { name: name.to_owned() }),
        count,
        time: Seconds::from_hours(hours),
        utilization: utilization.map(Ratio::new),
        calls: &[],
        place,
        at: Timestamp::from_unix_nanos(1_780_000_000_000_000_000),
        year: None,
        own: Own::default(),
    };
    Footprint::of(&question).unwrap_or_else(|| panic!("{name} has no answer"))
}

fn at(region: (&'static str, &'static str)) -> Place<'static> {
    Place { provider: Some(region.0), region: Some(region.1), ..Place::default() }
}

fn ordered<Q: Quantity + Copy>(what: &str, range: Range<Q>) {
    let [low, central, high] = [range.low, range.central, range.high].map(Quantity::get);
    assert!(low.is_finite() && high.is_finite(), "{what}: {low} {central} {high}");
    assert!(0.0 < low && low <= central && central <= high, "{what}: {low} {central} {high}");
}

fn sound(name: &str, footprint: &Footprint) {
    let machine = footprint.machine.as_ref().unwrap();
    ordered(name, machine.power);
    ordered(name, machine.energy);
    ordered(name, machine.operational);
    ordered(name, machine.embodied);
    ordered(name, machine.embodied_share);
    ordered(name, footprint.total.impact.unwrap().carbon);
    for part in &machine.parts {
        ordered(&format!("{name}: {}", part.name), part.power);
    }
    for water in [machine.water_site, machine.water_grid].into_iter().flatten() {
        assert!(0.0 <= water.low.get() && water.low <= water.central && water.central <= water.high, "{name}");
    }
    assert!(machine.cost.as_ref().is_none_or(|cost| cost.usd.get() > 0.0 && cost.usd.is_finite()), "{name}");
    let tolerance = 1e-9 * machine.power.central.get();
    let end = |end: fn(&Range<Watts>) -> Watts| machine.parts.iter().map(|part| end(&part.power).get()).sum::<f64>();
    assert!(machine.power.high.get() <= end(|power| power.high) + tolerance, "{name}: more than its parts at most");
    assert!(machine.power.low.get() >= end(|power| power.low) - tolerance, "{name}: less than its parts at least");
    let sum: f64 = machine.parts.iter().map(|part| part.power.central.get()).sum();
    assert!((sum - machine.power.central.get()).abs() <= tolerance, "{name}: the parts are not the whole");
}

#[test]
fn every_instance_type_has_a_finite_positive_answer_that_grows_with_load() {
    let mut seen = 0;
    for name in hardware::instance_names() {
        let mut before = 0.0;
        for load in [0.0, 0.1, 0.25, 0.5, 0.75, 1.0] {
            let footprint = ask(name, at(REGIONS[0]), 1.0, Some(load), 1);
            sound(name, &footprint);
            let watts = footprint.machine.unwrap().power.central.get();
            assert!(watts >= before, "{name} draws less at {load}");
            before = watts;
        }
        seen += 1;
    }
    assert!(seen >= 1390, "only {seen} types");
}

#[test]
fn every_region_and_year_has_a_finite_positive_answer() {
    let grid = Grid::builtin();
    for region in grid.regions() {
        for year in [None, Some(1990), Some(2021), Some(2023), Some(2026), Some(2100)] {
            let place = Place { provider: Some(region.provider), region: Some(region.name), ..Place::default() };
            let question = Question {
                machine: Some(MachineName::Instance { name: "m7i.xlarge".to_owned() }),
                count: 1,
                time: Seconds::from_hours(1.0),
                utilization: None,
                calls: &[],
                place,
                at: Timestamp::default(),
                year,
                own: Own::default(),
            };
            sound(region.name, &Footprint::of(&question).unwrap());
        }
    }
}

#[test]
fn a_figure_whose_load_nobody_told_is_wider_than_the_same_told() {
    let told = ask("m7i.xlarge", at(REGIONS[0]), 1.0, Some(0.5), 1).machine.unwrap();
    let assumed = ask("m7i.xlarge", at(REGIONS[0]), 1.0, None, 1).machine.unwrap();
    assert_eq!(told.power.central, assumed.power.central);
    assert!(assumed.power.high > told.power.high && assumed.is_utilization_assumed);
}

#[test]
fn a_type_that_no_table_has_is_answered_with_a_lower_tier_and_its_neighbours() {
    let known = ask("m7i.xlarge", at(REGIONS[0]), 1.0, Some(0.5), 1).machine.unwrap();
    let unknown = ask("m7i.7xlarge", at(REGIONS[0]), 1.0, Some(0.5), 1).machine.unwrap();
    assert!(unknown.basis > known.basis && !unknown.nearest.is_empty(), "{unknown:?}");
    let factor = |machine: &MachineFootprint| machine.power.high.get() / machine.power.central.get();
    assert!(factor(&unknown) > factor(&known));
    assert!(unknown.cost.is_none(), "a price that belongs to another type is none");
}

fn calls(question: &mut Question<'_>, calls: &'static [Tokens]) -> Total {
    question.calls = calls;
    Footprint::of(question).unwrap().total
}

#[test]
fn a_sum_without_a_part_of_it_is_no_sum() {
    let known = Tokens { provider: None, model: "gpt-4o".to_owned(), input: 100, output: 100, calls: 1.0 };
    let unknown = Tokens { model: "nonsense".to_owned(), ..known.clone() };
    let known: &'static [Tokens] = Box::leak(Box::new([known]));
    let mixed: &'static [Tokens] = Box::leak(Box::new([known[0].clone(), unknown]));
    let mut question = Question {
        machine: None,
        count: 1,
        time: Seconds::from_hours(1.0),
        utilization: None,
        calls: &[],
        place: Place::default(),
        at: Timestamp::from_unix_nanos(1_780_000_000_000_000_000),
        year: None,
        own: Own::default(),
    };
    let all = calls(&mut question, known);
    assert!(all.impact.is_some_and(|impact| impact.energy.central.get() > 0.0) && all.cost.is_some());
    assert_eq!(calls(&mut question, mixed), Total { impact: None, cost: None });
}

#[test]
fn the_users_own_prices_and_embodied_carbon_win_over_the_tables() {
    let ask = |own: Own| {
        let question = Question {
            machine: Some(MachineName::Instance { name: "m5.large".to_owned() }),
            count: 2,
            time: Seconds::from_hours(10.0),
            utilization: Some(Ratio::new(0.5)),
            calls: &[],
            place: at(("aws", "eu-west-1")),
            at: Timestamp::default(),
            year: None,
            own,
        };
        Footprint::of(&question).unwrap()
    };
    let hint = ask(Own::default());
    assert!(hint.machine.unwrap().cost.unwrap().is_hint && hint.total.cost.is_none(), "another region's price");
    let rents = PriceFile::parse("region,instance_type,usd_per_hour\neu-west-1,m5.large,0.107\n").unwrap();
    let usd = |own| ask(own).total.cost.unwrap().get();
    assert!((usd(Own { rents, ..Own::default() }) - 2.14).abs() < 1e-9);
    assert!((usd(Own { rent: Some(UsdPerHour::new(0.05)), ..Own::default() }) - 1.0).abs() < 1e-9);
    let embodied = |own| ask(own).machine.unwrap().embodied.central.get();
    assert!((embodied(Own { embodied: Some(GramsCo2e::new(5000.0)), ..Own::default() }) - 5000.0).abs() < 1e-9);
    assert!(embodied(Own { counts_embodied: false, ..Own::default() }).abs() < 1e-12);
}

#[test]
fn a_board_with_a_published_limit_does_not_draw_twice_of_it() {
    let machine = ask("p5.48xlarge", at(REGIONS[0]), 1.0, Some(1.0), 1).machine.unwrap();
    let gpus = machine.parts.iter().find(|part| part.kind == PartKind::Accelerator).unwrap();
    assert!(gpus.power.high.get() <= 8.0 * 700.0 * 1.35 * 1.35 + 1e-9 && !gpus.is_estimate, "{gpus:?}");
    let neuron = ask("trn2.48xlarge", at(REGIONS[0]), 1.0, Some(1.0), 1).machine.unwrap();
    assert!(neuron.parts.iter().any(|part| part.is_estimate), "nobody publishes what Trainium draws");
}

/// By hand: 335,520 GB of magnetic disk at 0.65 W for each terabyte are 218 W.
#[test]
fn drives_that_the_table_knows_draw_what_drives_draw() {
    let machine = ask("d3en.12xlarge", at(REGIONS[0]), 1.0, Some(0.5), 1).machine.unwrap();
    let drives = machine.parts.iter().find(|part| part.kind == PartKind::Storage).unwrap();
    assert!((drives.power.central.get() - 218.088).abs() < 0.01, "{drives:?}");
}

/// By hand: at 100 g/kWh and a PUE of 1.5, what draws P watts for 10 hours emits P * 10 / 1000 * 1.5 * 100 grams.
#[test]
fn carbon_is_energy_times_pue_times_intensity() {
    let question = Question {
        machine: Some(MachineName::Cpu {
            model: "AMD EPYC 9654".to_owned(),
            threads: 192,
            sockets: None,
            memory_gib: Some(768.0),
        }),
        count: 2,
        time: Seconds::from_hours(10.0),
        utilization: Some(Ratio::new(0.5)),
        calls: &[],
        place: Place { intensity: Some(wattline_core::GramsPerKwh::new(100.0)), ..Place::default() },
        at: Timestamp::default(),
        year: None,
        own: Own { pue: Some(Ratio::new(1.5)), electricity: Some(UsdPerKwh::new(0.2)), ..Own::default() },
    };
    let machine = Footprint::of(&question).unwrap().machine.unwrap();
    let kwh = machine.power.central.get() * 2.0 * 10.0 / 1000.0;
    assert!((machine.energy.central.kwh() - kwh).abs() < 1e-9);
    assert!((machine.operational.central.get() - kwh * 1.5 * 100.0).abs() < 1e-6);
    let cost = machine.cost.unwrap();
    assert!((cost.usd.get() - kwh * 1.5 * 0.2).abs() < 1e-9 && cost.kind == CostKind::Electricity);
}

proptest! {
    #[test]
    fn an_answer_is_linear_in_hours_and_count(
        index in 0usize..1390, region in 0usize..REGIONS.len(), hours in 0.01..10_000.0f64, count in 1u32..500, load in 0.0..=1.0f64,
    ) {
        let name = hardware::instance_names().nth(index).unwrap();
        let one = ask(name, at(REGIONS[region]), 1.0, Some(load), 1).total.impact.unwrap();
        let many = ask(name, at(REGIONS[region]), hours, Some(load), count).total.impact.unwrap();
        let factor = hours * f64::from(count);
        for (one, many) in [
            (one.energy.central.get(), many.energy.central.get()),
            (one.operational.high.get(), many.operational.high.get()),
            (one.embodied.low.get(), many.embodied.low.get()),
            (one.carbon.central.get(), many.carbon.central.get()),
        ] {
            prop_assert!((one * factor - many).abs() <= 1e-9 * many, "{} * {} is not {}", one, factor, many);
        }
    }

    #[test]
    fn more_load_never_draws_less(index in 0usize..1390, low in 0.0..=1.0f64, high in 0.0..=1.0f64) {
        let name = hardware::instance_names().nth(index).unwrap();
        let (low, high) = if low <= high { (low, high) } else { (high, low) };
        let watts = |load| ask(name, at(REGIONS[0]), 1.0, Some(load), 1).machine.unwrap().power.central;
        prop_assert!(watts(low) <= watts(high));
    }

    #[test]
    fn no_name_of_a_machine_panics(name in "\\PC{0,24}", model in "\\PC{0,40}", threads in 0u32..1_000_000) {
        let machines = [
            MachineName::Instance { name },
            MachineName::Cpu { model, threads, sockets: None, memory_gib: None },
        ];
        for machine in machines {
            let question = Question {
                machine: Some(machine), count: 1, time: Seconds::from_hours(1.0), utilization: None, calls: &[],
                place: Place::default(), at: Timestamp::default(), year: None, own: Own::default(),
            };
            if let Some(footprint) = Footprint::of(&question) {
                sound("any", &footprint);
            }
        }
    }
}
