//! Figures as the text that Prometheus scrapes, version 0.0.4.
//!
//! Exponential histograms become classic ones, because the text format has no others. Their bounds are fixed, so that
//! no bucket appears late and loses its first counts, and each is a bound of the exponential histogram at a coarser
//! scale, so that nothing is estimated. Tokens get the powers of four, which are the bounds that the semantic
//! conventions recommend for `gen_ai.client.token.usage` and those of scale -1; everything else gets the powers of
//! two, those of scale 0, from 8 ms to 17 minutes where the unit is the second.
//!
//! Source: <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use wattline_core::{Attribute, Descriptor, ExponentialHistogram, Instrument, Sample, Snapshot, Value};

use crate::names::{prometheus_label, prometheus_name};

/// The content type of what [`render`] writes.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Appends all figures of a snapshot to `out`, in a fixed order. Labels are the attributes of the points; what
/// describes the machine stands on `target_info`, and a scrape adds `job` and `instance`.
///
/// Returns how many samples are left out: those that are not a finite number or not of their metric's kind, and of
/// samples that differ in no label all but the last, because a repeated line makes a scrape fail.
pub fn render(snapshot: &Snapshot, out: &mut String) -> u64 {
    let mut left_out = 0;
    let mut families: BTreeMap<String, Family<'_>> = BTreeMap::new();
    for (metric, samples) in by_metric(&snapshot.samples) {
        let family = families.entry(prometheus_name(metric)).or_insert_with(|| Family::new(metric));
        for sample in samples {
            // Two metrics under one name would be a mistake of the table, which its tests exclude.
            let kept = family.metric.name == metric.name && family.add(sample);
            left_out += u64::from(!kept);
        }
    }
    write_target_info(out, &snapshot.resource);
    for (name, family) in families {
        family.write(out, &name);
    }
    left_out
}

fn by_metric(samples: &[Sample]) -> impl Iterator<Item = (&'static Descriptor, Vec<&Sample>)> {
    let mut metrics: BTreeMap<&str, (&'static Descriptor, Vec<&Sample>)> = BTreeMap::new();
    for sample in samples {
        metrics.entry(sample.metric.name).or_insert_with(|| (sample.metric, Vec::new())).1.push(sample);
    }
    metrics.into_values()
}

fn write_target_info(out: &mut String, resource: &[Attribute]) {
    if resource.is_empty() {
        return;
    }
    write_head(out, "target_info", "What describes the machine.", "gauge");
    write_line(out, "target_info", "", &labels(resource.iter()), "1");
}

/// The series of one metric, by their labels.
struct Family<'a> {
    metric: &'static Descriptor,
    series: BTreeMap<String, &'a Value>,
}

impl<'a> Family<'a> {
    fn new(metric: &'static Descriptor) -> Self {
        Self { metric, series: BTreeMap::new() }
    }

    /// False when this sample, or one before it, is left out.
    fn add(&mut self, sample: &'a Sample) -> bool {
        let fits = match &sample.value {
            Value::Number(number) => number.is_finite() && self.metric.instrument != Instrument::Histogram,
            Value::Histogram(histogram) => {
                histogram.sum().is_finite() && self.metric.instrument == Instrument::Histogram
            }
        };
        fits && self
            .series
            .insert(labels(sample.subject.identity().iter().chain(&sample.attributes)), &sample.value)
            .is_none()
    }

    fn write(&self, out: &mut String, name: &str) {
        if self.series.is_empty() {
            return;
        }
        let kind = match self.metric.instrument {
            Instrument::Counter => "counter",
            Instrument::UpDownCounter | Instrument::Gauge => "gauge",
            Instrument::Histogram => "histogram",
        };
        write_head(out, name, self.metric.doc, kind);
        for (labels, value) in &self.series {
            match value {
                Value::Number(value) => write_line(out, name, "", labels, &number(*value)),
                Value::Histogram(histogram) => {
                    write_histogram(out, name, labels, histogram, &Grid::of(self.metric.unit));
                }
            }
        }
    }
}

/// The bounds of a classic histogram: powers of two with these exponents.
struct Grid {
    scale: i32,
    first: i32,
    last: i32,
}

impl Grid {
    fn of(unit: &str) -> Self {
        match unit {
            "{token}" => Self { scale: -1, first: 0, last: 26 },
            _ => Self { scale: 0, first: -7, last: 10 },
        }
    }

    fn exponents(&self) -> impl Iterator<Item = i32> {
        (self.first..=self.last).step_by(1 << self.scale.unsigned_abs())
    }
}

fn write_histogram(out: &mut String, name: &str, labels: &str, histogram: &ExponentialHistogram, grid: &Grid) {
    let coarse = histogram.at_scale(grid.scale);
    // A histogram that is coarser than the grid counts in the first bound at or above the end of its own bucket.
    let width = 1i64 << coarse.scale().unsigned_abs().min(31);
    let ends = (i64::from(coarse.offset()) + 1..).map(|index| index * width);
    let buckets: Vec<(i64, u64)> = ends.zip(coarse.counts().iter().copied()).collect();
    let separator = if labels.is_empty() { "" } else { "," };
    for exponent in grid.exponents() {
        let inside = buckets.iter().filter(|(end, _)| *end <= i64::from(exponent)).map(|(_, count)| count);
        let count = coarse.zero_count() + inside.sum::<u64>();
        let labels = format!("{labels}{separator}le=\"{}\"", number(f64::from(exponent).exp2()));
        write_line(out, name, "_bucket", &labels, &count.to_string());
    }
    let count = coarse.count().to_string();
    write_line(out, name, "_bucket", &format!("{labels}{separator}le=\"+Inf\""), &count);
    write_line(out, name, "_sum", labels, &number(coarse.sum()));
    write_line(out, name, "_count", labels, &count);
}

fn write_head(out: &mut String, name: &str, doc: &str, kind: &str) {
    let doc = doc.replace('\\', r"\\").replace('\n', r"\n");
    let _infallible = write!(out, "# HELP {name} {doc}\n# TYPE {name} {kind}\n");
}

fn write_line(out: &mut String, name: &str, suffix: &str, labels: &str, value: &str) {
    let _infallible = match labels {
        "" => writeln!(out, "{name}{suffix} {value}"),
        labels => writeln!(out, "{name}{suffix}{{{labels}}} {value}"),
    };
}

/// Labels without their braces. A label stands once; the first counts.
fn labels<'a>(attributes: impl Iterator<Item = &'a Attribute>) -> String {
    let mut text = String::new();
    let mut names: Vec<String> = Vec::new();
    for Attribute { key, value } in attributes {
        let name = prometheus_label(key);
        if names.contains(&name) {
            continue;
        }
        if !names.is_empty() {
            text.push(',');
        }
        text.push_str(&name);
        text.push_str("=\"");
        value.chars().for_each(|c| match c {
            '\\' => text.push_str(r"\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str(r"\n"),
            other => text.push(other),
        });
        text.push('"');
        names.push(name);
    }
    text
}

/// The shortest digits that give the same number back.
fn number(value: f64) -> String {
    let size = value.abs();
    if size < 1e-5 && size > 0.0 || size >= 1e17 { format!("{value:e}") } else { format!("{value}") }
}

#[cfg(test)]
mod tests;
