//! Names as Prometheus shows them when it takes our metrics in over OTLP.
//!
//! The scrape endpoint must show the same names as the OTLP endpoint of a Prometheus with its default strategy
//! (`UnderscoreEscapingWithSuffixes`), so that one dashboard serves both. The rules are those of the library which
//! Prometheus 3 and the OpenTelemetry Collector share (`github.com/prometheus/otlptranslator`, 1.0.0); the table in
//! `testdata/prometheus_names.tsv` was made with that library, not with this code.

use wattline_core::{Descriptor, Instrument};

/// The name of a metric in Prometheus. Histograms have `_bucket`, `_sum` and `_count` beside it.
///
/// A name without a single letter or digit gives `_`; the library refuses it, and the metric table has none.
pub fn prometheus_name(metric: &Descriptor) -> String {
    let mut words: Vec<&str> = metric.name.split(|c| !is_metric_char(c)).filter(|word| !word.is_empty()).collect();
    let (main, per) = unit_suffixes(metric.unit);
    if !main.is_empty() && !words.contains(&main.as_str()) {
        // A trailing underscore stays on the main unit unless another suffix would follow it at once.
        words.push(if per.is_empty() { &main } else { main.strip_suffix('_').unwrap_or(&main) });
    }
    if !per.is_empty() {
        words.push(&per);
    }
    match metric.instrument {
        Instrument::Counter => move_to_end(&mut words, "total"),
        Instrument::Gauge if metric.unit == "1" => move_to_end(&mut words, "ratio"),
        Instrument::Gauge | Instrument::UpDownCounter | Instrument::Histogram => {}
    }
    let name = words.join("_");
    match name.chars().next() {
        None => "_".to_owned(),
        Some(first) if first.is_ascii_digit() => format!("_{name}"),
        Some(_) => name,
    }
}

/// The name of an attribute as a label in Prometheus.
///
/// Names that begin with an underscore or have two in a row differ with Prometheus's own settings; we have none.
/// A name without a single letter or digit gives `_`; the library refuses it, and the metric table has none.
pub fn prometheus_label(key: &str) -> String {
    // Names between double underscores are reserved: the underscores around them stay.
    let reserved = key.strip_prefix("__").and_then(|rest| rest.strip_suffix("__"));
    let mut label = String::with_capacity(key.len() + 4);
    for c in reserved.unwrap_or(key).chars() {
        if c.is_ascii_alphanumeric() {
            label.push(c);
        } else if !label.ends_with('_') {
            label.push('_');
        }
    }
    if label.chars().all(|c| c == '_') {
        return "_".to_owned();
    }
    if reserved.is_some() {
        return format!("__{label}__");
    }
    if label.starts_with(|c: char| c.is_ascii_digit()) {
        label.insert_str(0, "key_");
    }
    label
}

fn is_metric_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == ':'
}

fn move_to_end<'a>(words: &mut Vec<&'a str>, suffix: &'a str) {
    words.retain(|word| *word != suffix);
    words.push(suffix);
}

/// The words for a unit: of what, and `per_` what. Either is empty where the unit says nothing.
fn unit_suffixes(unit: &str) -> (String, String) {
    let (main, per) = unit.split_once('/').unwrap_or((unit, ""));
    let per = match without_annotation(per) {
        "" => String::new(),
        per => only_name_chars(&format!("per_{}", per_unit_word(per))),
    };
    let per = if per == "per_" { "" } else { per.strip_suffix('_').unwrap_or(&per) };
    (only_name_chars(unit_word(without_annotation(main))), per.to_owned())
}

/// An annotation anywhere in a part of a unit drops the whole part.
fn without_annotation(part: &str) -> &str {
    if part.contains(['{', '}']) { "" } else { part.trim() }
}

fn only_name_chars(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    for c in text.chars().map(|c| if is_metric_char(c) { c } else { '_' }) {
        if c != '_' || !name.ends_with('_') {
            name.push(c);
        }
    }
    name.strip_prefix('_').map(str::to_owned).unwrap_or(name)
}

fn unit_word(unit: &str) -> &str {
    match unit {
        "d" => "days",
        "h" => "hours",
        "min" => "minutes",
        "s" => "seconds",
        "ms" => "milliseconds",
        "us" => "microseconds",
        "ns" => "nanoseconds",
        "By" => "bytes",
        "KiBy" => "kibibytes",
        "MiBy" => "mebibytes",
        "GiBy" => "gibibytes",
        "TiBy" => "tibibytes",
        "KBy" => "kilobytes",
        "MBy" => "megabytes",
        "GBy" => "gigabytes",
        "TBy" => "terabytes",
        "m" => "meters",
        "V" => "volts",
        "A" => "amperes",
        "J" => "joules",
        "W" => "watts",
        "g" => "grams",
        "Cel" => "celsius",
        "Hz" => "hertz",
        "1" => "",
        "%" => "percent",
        other => other,
    }
}

fn per_unit_word(unit: &str) -> &str {
    match unit {
        "s" => "second",
        "m" => "minute",
        "h" => "hour",
        "d" => "day",
        "w" => "week",
        "mo" => "month",
        "y" => "year",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use wattline_core::metrics;

    use super::*;

    /// Lines of name, unit, instrument and the name that the library gives; made with the library.
    const NAMES: &str = include_str!("../testdata/prometheus_names.tsv");
    /// Lines of attribute key and the label that the library gives; made with the library.
    const LABELS: &str = include_str!("../testdata/prometheus_labels.tsv");

    fn translate(name: &'static str, unit: &'static str, instrument: &str) -> String {
        let instrument = match instrument {
            "counter" => Instrument::Counter,
            "updowncounter" => Instrument::UpDownCounter,
            "gauge" => Instrument::Gauge,
            "histogram" => Instrument::Histogram,
            other => panic!("no instrument is called {other}"),
        };
        prometheus_name(&Descriptor { name, instrument, unit, doc: "", attributes: &[] })
    }

    fn rows() -> impl Iterator<Item = [&'static str; 4]> {
        NAMES.lines().map(|line| line.split('\t').collect::<Vec<_>>().try_into().expect("four columns"))
    }

    #[test]
    fn names_are_those_of_the_library() {
        for [name, unit, instrument, expected] in rows() {
            assert_eq!(translate(name, unit, instrument), expected, "{instrument} {name} in {unit:?}");
        }
    }

    #[test]
    fn labels_are_those_of_the_library() {
        for line in LABELS.lines() {
            let (key, expected) = line.split_once('\t').expect("two columns");
            assert_eq!(prometheus_label(key), expected, "{key}");
        }
    }

    #[test]
    fn every_metric_of_the_table_is_in_the_golden_file() {
        let golden: BTreeSet<[&str; 4]> = rows().collect();
        let missing: Vec<String> = metrics::ALL
            .iter()
            .map(|metric| (metric, prometheus_name(metric)))
            .filter(|(metric, name)| {
                !golden.contains(&[metric.name, metric.unit, metric.instrument.as_str(), name.as_str()])
            })
            .map(|(metric, name)| format!("{}\t{}\t{}\t{name}", metric.name, metric.unit, metric.instrument.as_str()))
            .collect();
        assert!(missing.is_empty(), "check and add to testdata/prometheus_names.tsv:\n{}", missing.join("\n"));
    }

    #[test]
    fn no_two_metrics_of_the_table_share_a_name_in_prometheus() {
        let mut owners: BTreeMap<String, &str> = BTreeMap::new();
        for metric in metrics::ALL {
            let name = prometheus_name(metric);
            let suffixes: &[&str] =
                if metric.instrument == Instrument::Histogram { &["", "_bucket", "_sum", "_count"] } else { &[""] };
            for suffix in suffixes {
                let other = owners.insert(format!("{name}{suffix}"), metric.name);
                assert_eq!(other, None, "{name}{suffix} is also {}", metric.name);
            }
        }
    }

    #[test]
    fn no_two_attributes_of_a_metric_share_a_label() {
        for metric in metrics::ALL {
            let labels: BTreeSet<String> = metric.attributes.iter().map(|key| prometheus_label(key)).collect();
            assert_eq!(labels.len(), metric.attributes.len(), "{}", metric.name);
            assert!(!labels.contains("le"), "{}", metric.name);
        }
    }

    #[test]
    fn nothing_becomes_an_empty_name() {
        for nothing in ["", "_", "...", "____", "é"] {
            assert_eq!(prometheus_label(nothing), "_");
        }
        assert_eq!(translate("..", "{x}", "gauge"), "_");
    }
}
