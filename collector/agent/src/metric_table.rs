//! `wattline metrics`: the metric table as a page.

use std::fmt::Write;

use serde::Serialize;
use wattline_core::metrics::ALL;
use wattline_wire::names::prometheus_name;

#[derive(Serialize)]
struct Row {
    name: &'static str,
    instrument: &'static str,
    unit: &'static str,
    prometheus: String,
    attributes: &'static [&'static str],
    description: &'static str,
}

fn rows() -> impl Iterator<Item = Row> {
    ALL.iter().map(|metric| Row {
        name: metric.name,
        instrument: metric.instrument.as_str(),
        unit: metric.unit,
        prometheus: prometheus_name(metric),
        attributes: metric.attributes,
        description: metric.doc,
    })
}

/// As JSON.
pub fn json() -> serde_json::Result<String> {
    serde_json::to_string_pretty(&rows().collect::<Vec<_>>())
}

/// As a Markdown page.
pub fn markdown() -> String {
    let mut page = String::from(
        "# Metrics\n\nEvery name that wattline emits. Attributes of the subject stand on every point as well.\n\n",
    );
    page.push_str("| metric | instrument | unit | in Prometheus | attributes | meaning |\n|---|---|---|---|---|---|\n");
    for row in rows() {
        let attributes = row.attributes.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" ");
        let Row { name, instrument, unit, prometheus, description, .. } = row;
        writeln!(page, "| `{name}` | {instrument} | `{unit}` | `{prometheus}` | {attributes} | {description} |").ok();
    }
    page
}

/// As columns for a terminal.
pub fn text() -> String {
    let width = ALL.iter().map(|metric| metric.name.len()).max().unwrap_or(0);
    let mut page = String::new();
    for row in rows() {
        let Row { name, instrument, unit, description, .. } = row;
        writeln!(page, "{name:<width$}  {instrument:<13}  {unit:<13}  {description}").ok();
    }
    page
}
