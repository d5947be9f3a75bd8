//! The design power of a processor by its name.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use wattline_core::Watts;

use crate::grid::table::Table;

pub(super) const TABLE: Table = Table::new(include_str!("../../data/cpu_tdp.csv"));

/// Design power against what a part draws at full load: the published range is
/// 0.85 to 1.02 of it under programs that load every unit (a deviation of 0.06), and 0.55 to 0.85 under the Java work
/// of `SPECpower`. Sources: the EC2 measurements behind the Teads curve; our family statistics divided by the design
/// power of the largest parts.
const FULL_LOAD_SIGMA: f64 = 0.20;

/// No processor is designed for less.
const LEAST_WATTS: Watts = Watts::new(0.01);

/// No socket is designed for more; what is stated beyond is a mistake.
const MOST_WATTS: Watts = Watts::new(1e5);

/// What a catalogue says of one socket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Design {
    pub(super) watts: Watts,
    /// Cores of the socket, where the table has them.
    pub(super) cores: Option<f64>,
    /// The logarithm's standard deviation of the full load's power that is derived from it.
    pub(super) sigma: f64,
}

pub(super) static DESIGNS: LazyLock<BTreeMap<&'static str, Design>> = LazyLock::new(|| {
    let parse = |[name, watts, cores, spread, ..]: [&'static str; 7]| {
        let cores = if cores.is_empty() { None } else { Some(cores.parse().ok()?) };
        // What is said of a part that no catalogue has differs, and so much less is it worth.
        let sigma = FULL_LOAD_SIGMA.hypot(spread.parse().ok()?);
        Some((name, Design { watts: Watts::new(watts.parse().ok()?), cores, sigma }))
    };
    TABLE.rows().filter_map(parse).collect()
});

impl Design {
    /// What the table says of a processor, or what the user says of it.
    pub(super) fn of(name: Option<&str>, stated: Option<Watts>) -> Option<Self> {
        let listed = name.and_then(listed);
        let cores = listed.and_then(|design| design.cores).or_else(|| name.and_then(cores_in));
        match stated.filter(|watts| *watts >= LEAST_WATTS && *watts < MOST_WATTS) {
            Some(watts) => Some(Self { watts, cores, sigma: FULL_LOAD_SIGMA }),
            None => listed.map(|listed| Self { cores, ..listed }),
        }
    }
}

/// People leave the maker out.
fn listed(name: &str) -> Option<Design> {
    let name = normal(name);
    let mut with_maker = ["", "intel ", "amd "].iter().map(|maker| format!("{maker}{name}"));
    with_maker.find_map(|name| DESIGNS.get(name.as_str()).copied())
}

/// The cores of a socket where the name tells them, as AMD's names do: `AMD EPYC 9554 64-Core Processor`.
fn cores_in(name: &str) -> Option<f64> {
    let cores = name.to_lowercase().split_whitespace().find_map(|word| word.strip_suffix("-core")?.parse::<u32>().ok());
    cores.filter(|cores| (1..=1024).contains(cores)).map(f64::from)
}

/// The form of a name that the table has: what the kernel adds to it is left out. The table's builder does the same.
pub(super) fn normal(name: &str) -> String {
    let mut name = name.to_lowercase();
    for mark in ["(r)", "(tm)", "®", "™", "\u{200b}"] {
        name = name.replace(mark, " ");
    }
    // `13th Gen Intel Core ...`.
    let start = name.rfind("intel ").max(name.rfind("amd "));
    let name = start.and_then(|start| name.get(start..)).unwrap_or(&name);
    let end = [" @", " with ", " w/", " ("].iter().filter_map(|mark| name.find(mark)).min().unwrap_or(name.len());
    let words = name.get(..end).unwrap_or(name).split_whitespace();
    let kept: Vec<&str> =
        words.filter(|word| !matches!(*word, "cpu" | "processor") && !word.ends_with("-core")).collect();
    kept.join(" ")
}
