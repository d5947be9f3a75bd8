//! What is published of families of server processors.

use std::sync::LazyLock;

use super::tdp::DESIGNS;
use super::{memory, package};
use crate::grid::table::Table;

pub(super) const TABLE: Table = Table::new(include_str!("../../data/cpu_family.csv"));

/// The family of a processor that no rule knows.
pub(super) const UNKNOWN: &str = "unknown";

/// The only family of ARM servers with published results.
pub(super) const ARM: &str = "neoverse-altra";

/// What a server that is benchmarked for efficiency needs beside processor and memory, as a share of them: the lowest
/// that is published for any server, for it has one efficient power supply, one drive and the fewest fans.
/// Source: the lower end of `BoaviztAPI`'s range of `other_consumption_ratio`.
const SPEC_ENCLOSURE: f64 = 0.2;

/// Watts of each gigabyte in such a server at rest, which sleeps as deeply as it can: the geometric mean of what RAPL
/// showed for two servers of the same type, c5.metal, one asleep at 0.02 and one awake at 0.19.
const SPEC_MEMORY_AT_REST: f64 = 0.06;

/// Power at the wall for each hardware thread of a family of servers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Family {
    /// The key of the row.
    pub(super) key: &'static str,
    /// What people call it.
    pub(super) label: &'static str,
    /// Threads of one core with simultaneous multithreading on.
    pub(super) threads_per_core: u32,
    /// Watts at active idle, median of the results.
    pub(super) idle_watts: f64,
    /// Watts at full load, median of the results.
    pub(super) full_watts: f64,
    /// Memory of the median server in gigabytes; its power is in the watts above.
    pub(super) memory_gb: f64,
    /// Which load curve fits.
    pub(super) curve: &'static str,
    /// Design power for each hardware thread: the geometric mean of two parts that stand for the family.
    pub(super) design_watts: f64,
    /// Hardware threads of the larger of these parts, which few others have more of.
    pub(super) most_threads: f64,
}

/// What the results since 2018 give when nothing is known: 0.64 W idle and 3.24 W full for each thread.
/// Source: 579 results of `SPECpower_ssj2008`.
const ANY_SERVER: Family = Family {
    key: UNKNOWN,
    label: "any server since 2018",
    threads_per_core: 2,
    idle_watts: 0.64,
    full_watts: 3.24,
    memory_gb: 1.231,
    curve: "fleet",
    design_watts: 3.36,
    most_threads: 128.0,
};

pub(super) static FAMILIES: LazyLock<Vec<Family>> = LazyLock::new(|| TABLE.rows().filter_map(Family::parse).collect());

impl Family {
    fn parse(row: [&'static str; 16]) -> Option<Self> {
        let [
            key,
            label,
            threads,
            idle,
            idle_low,
            idle_high,
            full,
            full_low,
            full_high,
            memory,
            results,
            curve,
            parts,
            ..,
        ] = row;
        // The percentiles document the spread and enter no figure, but a row that gets them wrong is not a row.
        for (low, middle, high) in [(idle_low, idle, idle_high), (full_low, full, full_high)] {
            if let (Ok(low), Ok(middle), Ok(high)) = (low.parse::<f64>(), middle.parse::<f64>(), high.parse::<f64>())
                && !(low <= middle && middle <= high)
            {
                return None;
            }
        }
        let _results: u32 = results.parse().ok()?;
        let threads_per_core: u32 = threads.parse().ok()?;
        Some(Self {
            key,
            label,
            threads_per_core,
            design_watts: design_watts(parts, threads_per_core)?,
            most_threads: most_threads(parts, threads_per_core)?,
            idle_watts: idle.parse().ok()?,
            full_watts: full.parse().ok()?,
            memory_gb: memory.parse().ok()?,
            curve,
        })
    }

    /// The row of a family, and of any server where there is none.
    pub(super) fn of(key: Option<&str>) -> Self {
        FAMILIES.iter().find(|family| Some(family.key) == key).copied().unwrap_or(ANY_SERVER)
    }

    /// Watts that the package draws for each hardware thread at full load, and the share of them at rest.
    ///
    /// Published servers mostly have the largest part of a family, set for efficiency, under Java. So they are one
    /// witness of the full load; the design power of a large and a common part is the other, and the geometric mean is
    /// taken. Of the power at rest, published servers are the only witness.
    pub(super) fn package_watts(self) -> (f64, f64) {
        let inside = |wall: f64, memory: f64| wall / (1.0 + SPEC_ENCLOSURE) - self.memory_gb * memory;
        let rest = inside(self.idle_watts, SPEC_MEMORY_AT_REST);
        let full = inside(self.full_watts, memory::watts_per_gb(1.0));
        ((full * self.design_watts * package::FULL_LOAD_SHARE).sqrt(), rest / full)
    }
}

/// The threads of the largest of the parts named.
fn most_threads(parts: &str, threads_per_core: u32) -> Option<f64> {
    let cores = parts.split(';').filter_map(|name| DESIGNS.get(name)?.cores);
    cores.reduce(f64::max).map(|cores| cores * f64::from(threads_per_core))
}

/// The geometric mean of the design power for each hardware thread of the parts named.
fn design_watts(parts: &str, threads_per_core: u32) -> Option<f64> {
    let logarithm = |name| {
        let design = DESIGNS.get(name)?;
        Some((design.watts.get() / (design.cores? * f64::from(threads_per_core))).ln())
    };
    let logarithms: Vec<f64> = parts.split(';').map(logarithm).collect::<Option<_>>()?;
    Some((logarithms.iter().sum::<f64>() / logarithms.len() as f64).exp())
}
