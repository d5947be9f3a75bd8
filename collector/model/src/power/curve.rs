//! How power grows with load: far from a straight line.

use std::sync::LazyLock;

use crate::grid::table::Table;

pub(super) const TABLE: Table = Table::new(include_str!("../../data/load_curve.csv"));

/// One column of the table: power at 0, 10, ... 100 % load as a share of power at full load.
struct Curve {
    name: &'static str,
    points: Vec<f64>,
}

static CURVES: LazyLock<Vec<Curve>> = LazyLock::new(|| {
    let mut curves = ["fleet", "xeon", "epyc", "unknown"].map(|name| Curve { name, points: Vec::new() });
    for [_load, fleet, xeon, epyc, unknown, _source, _year, _licence] in TABLE.rows() {
        for (curve, field) in curves.iter_mut().zip([fleet, xeon, epyc, unknown]) {
            curve.points.extend(field.parse::<f64>());
        }
    }
    Vec::from(curves)
});

/// The points of a curve, in equal steps from rest to full load; the fleet's for a name that is not there.
pub(super) fn points(name: &str) -> &'static [f64] {
    CURVES.iter().find(|curve| curve.name == name).or_else(|| CURVES.first()).map_or(&[], |curve| &curve.points)
}

/// The share of the span from idle to full power that `load` takes: 0 at rest, 1 at full load, straight between the
/// points. Without points it is the load itself.
pub(super) fn share_of_span(points: &[f64], load: f64) -> f64 {
    let (Some(&rest), Some(&full)) = (points.first(), points.last()) else { return load };
    let span = full - rest;
    if span <= 0.0 {
        return load;
    }
    let place = load * (points.len() - 1) as f64;
    let mut power = rest;
    for (step, pair) in points.windows(2).enumerate() {
        let &[low, high] = pair else { continue };
        // Each step adds what of it lies below the load.
        power += (high - low) * (place - step as f64).clamp(0.0, 1.0);
    }
    (power - rest) / span
}
