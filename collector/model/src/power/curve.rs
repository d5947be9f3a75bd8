//! How power grows with load: far from a straight line.

use std::sync::LazyLock;

use crate::grid::table::Table;

pub(super) const TABLE: Table = Table::new(include_str!("../../data/load_curve.csv"));

/// The load at which a package that is never wholly at rest draws what being awake costs.
const AWAKE_AT: f64 = 0.1;

/// What the second thread of a busy core adds, as a share of what the core draws with both: with power in proportion
/// to work, and a quarter more work from a core with two threads than with one.
/// Source: Marr et al., Intel Technology Journal 6(1), 2002: 21 to 28 % more throughput in server work.
const SECOND_THREAD: f64 = 0.2;

/// One column of the table: power at 0, 10, ... 100 % load as a share of power at full load.
struct Column {
    name: &'static str,
    points: Vec<f64>,
}

static COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    let mut columns = ["fleet", "xeon", "epyc"].map(|name| Column { name, points: Vec::new() });
    for [_load, fleet, xeon, epyc, _source, _year, _licence] in TABLE.rows() {
        for (column, field) in columns.iter_mut().zip([fleet, xeon, epyc]) {
            column.points.extend(field.parse::<f64>());
        }
    }
    Vec::from(columns)
});

/// The points of a curve, in equal steps from rest to full load; the fleet's for a name that is not there.
pub(super) fn points(name: &str) -> &'static [f64] {
    COLUMNS.iter().find(|column| column.name == name).or_else(|| COLUMNS.first()).map_or(&[], |column| &column.points)
}

/// How the power of a package rises from rest to full load.
///
/// Two things make it steep at the start. Any load keeps the package awake: the published curves rise in their first
/// tenth by more than in any other. And work spreads over idle cores before it shares one: of cores with two threads
/// that are busy with probability u each, 2u(1 - u) have one busy thread and u^2 have two.
/// What the published curves show above, where they bend the other way, comes from clocks that benchmarked machines
/// are set to lower at half load; machines as they are run do not, and it is not taken over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shape {
    /// The share of the span that being awake takes.
    awake: f64,
    /// True where two logical CPUs share a core.
    shared_cores: bool,
}

impl Shape {
    pub(super) fn new(curve: &str, shared_cores: bool) -> Self {
        let points = points(curve);
        let at = |place: usize| points.get(place).copied().unwrap_or(place as f64 / 10.0);
        // The first tenth, less what a tenth of the load above it takes.
        let awake = (at(1) - at(0) - (at(5) - at(1)) / 4.0) / (1.0 - at(0));
        Self { awake: awake.clamp(0.0, 1.0), shared_cores }
    }

    /// The share of the span from rest to full load: 0 at rest, 1 at full load, never falling.
    pub(super) fn at(self, load: f64) -> f64 {
        let one_thread = 2.0 * load * (1.0 - load);
        let busy = if self.shared_cores { (1.0 - SECOND_THREAD) * one_thread + load * load } else { load };
        self.awake * (load / AWAKE_AT).min(1.0) + (1.0 - self.awake) * busy
    }
}
