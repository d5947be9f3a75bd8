//! How far the model is from measured packages, and the published curves beside it.
//!
//! `cargo test -p wattline-model rapl -- --nocapture` prints the tables that stand in `docs/power-model.md`.

use std::fmt::Write as _;

use self::variants::Shape;
use super::*;
use crate::grid::table::Table;

mod variants;

const PROFILES: Table = Table::new(include_str!("../../data/vectors/rapl_profiles.csv"));
const REPORT: &str = include_str!("../../data/vectors/rapl_report.txt");
const DOCUMENT: &str = include_str!("../../../../docs/power-model.md");

/// The sum of two domains, kept to show it: no 69 W part draws 97 W.
const DOUBLE: &str = "(package and core added)";

struct Point {
    load: f64,
    watts: f64,
    published: Option<f64>,
}

struct Machine {
    name: &'static str,
    cpu: &'static str,
    sockets: u32,
    threads: f64,
    cores: f64,
    source: &'static str,
    points: Vec<Point>,
}

fn machines() -> Vec<Machine> {
    let mut machines: Vec<Machine> = Vec::new();
    for row in PROFILES.rows::<12>() {
        let [name, _run, cpu, sockets, cores, threads, load, watts, published, source, ..] = row;
        let number = |text: &str| text.parse::<f64>().unwrap();
        if machines.last().is_none_or(|machine| machine.name != name) {
            let (sockets, threads, cores) = (sockets.parse().unwrap(), number(threads), number(cores));
            machines.push(Machine { name, cpu, sockets, threads, cores, source, points: Vec::new() });
        }
        machines.last_mut().unwrap().points.push(Point {
            load: number(load) / 100.0,
            watts: number(watts),
            published: published.parse().ok(),
        });
    }
    machines
}

impl Machine {
    /// Design power of all sockets.
    fn design(&self) -> Option<f64> {
        Design::of(Some(self.cpu), None).map(|design| design.watts.get() * f64::from(self.sockets))
    }

    fn parts(&self) -> Parts<'static> {
        Parts {
            cpu_name: Some(self.cpu),
            logical_cpus: self.threads,
            whole_cores: self.threads <= self.cores,
            sockets: Some(self.sockets),
            ..Parts::default()
        }
    }

    fn without_design(&self) -> Parts<'static> {
        Parts { family: identify::by_name(self.cpu), ..self.only_threads() }
    }

    fn only_threads(&self) -> Parts<'static> {
        Parts { cpu_name: None, ..self.parts() }
    }

    /// True for the servers that Teads' curve was drawn from: c5, c5n, i3, m5, m5zn, r5, z1d of EC2.
    fn is_behind_teads(&self) -> bool {
        self.name.starts_with("EC2") && !self.name.ends_with("(another)")
    }

    /// True where a comparison can be made.
    fn is_compared(&self) -> bool {
        self.design().is_some() && !self.name.contains(DOUBLE)
    }

    /// The mean error as a share of the design power, and of what was measured.
    fn error(&self, watts: impl Fn(f64) -> f64, measured: impl Fn(&Point) -> f64) -> (f64, f64) {
        let count = self.points.len() as f64;
        let scale = self.design().unwrap_or_else(|| self.points.iter().map(&measured).fold(0.0, f64::max));
        let errors = self.points.iter().map(|point| (watts(point.load) - measured(point)).abs());
        let relative = self.points.iter().map(|point| (watts(point.load) / measured(point) - 1.0).abs());
        (errors.sum::<f64>() / count / scale, relative.sum::<f64>() / count)
    }
}

fn ours(parts: &Parts<'_>) -> impl Fn(f64) -> f64 + use<> {
    let power = HostPower::of_parts(parts);
    move |load| power.at(Ratio::new(load), Ratio::ZERO).cpu.get()
}

type Curve = fn(f64) -> f64;

/// The other models, as they are published, from the design power of all sockets.
/// Sources: Teads' points as in the Impact Framework; `CodeCarbon`'s modes for a machine and for a process.
const OTHERS: [(&str, Curve); 3] = [("Teads", teads), ("cubic", cubic), ("linear", |load| load)];

fn teads(load: f64) -> f64 {
    let points = [(0.0, 0.12), (0.1, 0.32), (0.5, 0.75), (1.0, 1.02)];
    let pair = points.windows(2).find(|pair| load <= pair[1].0).unwrap();
    pair[0].1 + (pair[1].1 - pair[0].1) * (load - pair[0].0) / (pair[1].0 - pair[0].0)
}

fn cubic(load: f64) -> f64 {
    0.1 + 0.9 * load.powi(3)
}

fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.into_iter().collect();
    values.iter().sum::<f64>() / values.len() as f64
}

/// Errors of ours and the others, machine by machine.
fn errors(machine: &Machine, measured: fn(&Point) -> f64) -> Vec<(f64, f64)> {
    let mut errors = vec![machine.error(ours(&machine.parts()), measured)];
    if let Some(design) = machine.design() {
        errors.extend(OTHERS.map(|(_, curve)| machine.error(|load| design * curve(load), measured)));
    }
    errors
}

/// The share of points within the 90 % range, each machine counting as one.
fn coverage(machines: &[&Machine], parts: fn(&Machine) -> Parts<'static>) -> f64 {
    mean(machines.iter().map(|machine| {
        let power = HostPower::of_parts(&parts(machine));
        let factor = power.uncertainty().factor();
        mean(machine.points.iter().map(|point| {
            let watts = power.at(Ratio::new(point.load), Ratio::ZERO).cpu.get();
            f64::from(watts / factor <= point.watts && point.watts <= watts * factor)
        }))
    }))
}

fn row(report: &mut String, label: &str, errors: &[(f64, f64)]) {
    write!(report, "{label:<42}").unwrap();
    for place in 0..4 {
        match errors.get(place) {
            Some((of_design, relative)) => {
                write!(report, "{:>6.1} {:>4.0}", of_design * 100.0, relative * 100.0).unwrap();
            }
            None => write!(report, "{:>11}", "-").unwrap(),
        }
    }
    report.push('\n');
}

fn means(machines: &[&Machine], measured: fn(&Point) -> f64) -> Vec<(f64, f64)> {
    let all: Vec<Vec<(f64, f64)>> = machines.iter().map(|machine| errors(machine, measured)).collect();
    (0..4).map(|model| (mean(all.iter().map(|row| row[model].0)), mean(all.iter().map(|row| row[model].1)))).collect()
}

fn report() -> String {
    let machines = machines();
    let mut report =
        String::from("mean error, % of design power and % of measured   ours      Teads      cubic     linear\n");
    errors_of(&machines, &mut report);
    choices(&machines, &mut report);
    ranges(&machines, &mut report);
    report
}

fn compared(machines: &[Machine]) -> Vec<&Machine> {
    machines.iter().filter(|machine| machine.is_compared()).collect()
}

fn unseen(machines: &[Machine]) -> Vec<&Machine> {
    compared(machines).into_iter().filter(|machine| !machine.is_behind_teads()).collect()
}

fn errors_of(machines: &[Machine], report: &mut String) {
    let measured: fn(&Point) -> f64 = |point| point.watts;
    let published: fn(&Point) -> f64 = |point| point.published.unwrap_or(point.watts);
    for machine in machines {
        let tier = HostPower::of_parts(&machine.parts()).tier().as_str();
        let label = format!("{} ({tier}, {})", machine.name, machine.points.len());
        row(report, &label, &errors(machine, measured));
    }
    let compared = compared(machines);
    let codecarbon: Vec<&Machine> =
        compared.iter().copied().filter(|machine| machine.source.starts_with("codecarbon")).collect();
    row(report, "mean of machines compared", &means(&compared, measured));
    row(report, "mean of those not behind Teads' curve", &means(&unseen(machines), measured));
    row(report, "mean of CodeCarbon's", &means(&codecarbon, measured));
    row(report, "CodeCarbon's as published (one step late)", &means(&codecarbon, published));
    row(report, "machines compared, those as published", &means(&compared, published));
}

fn choices(machines: &[Machine], report: &mut String) {
    let errors = variants::errors(&compared(machines));
    let of = |variant: usize| mean(errors.iter().map(|machine| machine[variant])) * 100.0;
    let best_of = |shape: Shape| {
        let all = variants::all().into_iter().enumerate().filter(|(_, variant)| variant.shape == shape);
        all.map(|(place, _)| of(place)).fold(f64::INFINITY, f64::min)
    };
    let [cores, fan, published] = [Shape::Cores, Shape::Fan, Shape::Published].map(best_of);
    writeln!(
        report,
        "best variant with our shape {cores:.1}, with that of Fan 2007 {fan:.1}, with SPECpower's {published:.1}"
    )
    .unwrap();
    let (count, left_out) = (variants::all().len(), variants::leave_one_out(&errors) * 100.0);
    writeln!(report, "each machine with the one of {count} variants that is best for the others: {left_out:.1}")
        .unwrap();
}

fn ranges(machines: &[Machine], report: &mut String) {
    let share = coverage(&compared(machines), Machine::parts) * 100.0;
    writeln!(report, "within the 90 % range: {share:.0} % of points").unwrap();
    let families = machines.iter().filter(|machine| machine.without_design().family.is_some()).collect();
    let single = machines.iter().filter(|machine| !machine.name.contains(DOUBLE)).collect();
    let mut less = |known: &str, machines: Vec<&Machine>, parts: fn(&Machine) -> Parts<'static>| {
        let of = |machine: &&Machine| machine.error(ours(&parts(machine)), |point| point.watts).1;
        let (count, error) = (machines.len(), mean(machines.iter().map(of)) * 100.0);
        let share = coverage(&machines, parts) * 100.0;
        writeln!(report, "{known} ({count} machines): error {error:.0} % of measured, within the range {share:.0} %")
            .unwrap();
    };
    less("the family alone", families, Machine::without_design);
    less("threads alone", single, Machine::only_threads);
}

#[test]
fn rapl_profiles_have_source_and_licence() {
    crate::grid::table::check::<12>(PROFILES, PROFILES.rows::<12>().count());
    assert_eq!(machines().len(), 12);
}

#[test]
fn rapl_power_as_codecarbon_publishes_it_is_one_step_late() {
    // Thirty samples of the step before and one of its own; the first step has thirty zeros before it.
    for machine in machines() {
        let mut before = 0.0;
        for point in &machine.points {
            let Some(published) = point.published else { continue };
            let late = (30.0 * before + point.watts) / 31.0;
            let first = point.watts / 31.0;
            let off = (late - published).abs().min((first - published).abs());
            assert!(off < 0.02 + 0.002 * published, "{} {}: {late} {published}", machine.name, point.load);
            before = point.watts;
        }
    }
}

#[test]
fn rapl_none_of_the_published_curves_is_nearer() {
    let machines = machines();
    let compared = compared(&machines);
    for machines in [&compared, &unseen(&machines)] {
        let means = means(machines, |point| point.watts);
        for (other, (name, _)) in means[1..].iter().zip(OTHERS) {
            assert!(means[0].0 < other.0, "{name}: {means:?}");
        }
    }
    // Nor with what was decided after the profiles were seen decided without the machine it is tried on.
    let left_out = variants::leave_one_out(&variants::errors(&compared));
    assert!(left_out < means(&compared, |point| point.watts)[1].0, "{left_out}");
    let share = coverage(&compared, Machine::parts);
    assert!((0.85..=0.95).contains(&share), "{share}");
}

#[test]
fn rapl_report_stands_in_the_document() {
    let report = report();
    println!("{report}");
    assert_eq!(
        report, REPORT,
        "the figures changed: look at them, then write them into rapl_report.txt and the document"
    );
    assert!(DOCUMENT.contains(&report), "docs/power-model.md has other figures than the model");
}
