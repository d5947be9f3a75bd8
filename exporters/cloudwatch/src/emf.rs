//! Figures as events in the embedded metric format: JSON objects that `CloudWatch` makes metrics of.
//!
//! Points with the same labels and the same time stand in one event. Its members are the metrics, the labels, and which
//! machine it is; those of them that no set of dimensions names are properties, which cost bytes of log and no metric.
//!
//! Source: Amazon CloudWatch User Guide, "Specification: Embedded metric format".

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use wattline_core::attribute::key;
use wattline_core::{Attribute, Descriptor, ExponentialHistogram, Sample, Snapshot, Value};
use wattline_export_delivery::series::labels;

/// Metrics in one event; `CloudWatch` drops the others silently.
const METRICS_MAX: usize = 100;
/// Values of one metric in an event.
const VALUES_MAX: usize = 100;
/// Characters of a dimension's value.
const DIMENSION_MAX: usize = 1024;
/// Labels in one set of dimensions.
const SET_MAX: usize = 30;
/// The largest number that `CloudWatch` takes, in either direction (`PutMetricData`, `MetricDatum`).
const NUMBER_MAX: f64 = 2.348_542_582_773_833_2e108;
/// What describes the machine in every event.
const MACHINE: [&str; 2] = [key::HOST_NAME, key::HOST_ID];

/// How a destination wants its events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// The namespace.
    pub namespace: String,
    /// The sets of dimensions; none for the labels of each point and `host.name`.
    pub dimensions: Vec<Vec<String>>,
    /// Whether the metrics are of high resolution.
    pub is_high_resolution: bool,
    /// Log group and log stream, where the reader of the event chooses them by it.
    pub log: Option<(String, String)>,
    /// The most bytes of one event.
    pub bytes: usize,
}

/// One line of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The time of its points in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The JSON object, without a line break.
    pub text: String,
    /// Points in it.
    pub points: u64,
}

/// What became of the samples.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoded {
    /// Events in the order of their times.
    pub events: Vec<Event>,
    /// Points that `CloudWatch` does not take: not a finite number, too large, or not of their metric's kind.
    pub invalid: u64,
    /// Points that are larger than an event may be.
    pub too_large: u64,
    /// Metrics whose points have no set of dimensions. They are in no event: it would cost and show nothing.
    pub without_dimensions: BTreeSet<&'static str>,
}

/// Encodes the samples of a snapshot whose counters and distributions are deltas: `CloudWatch` adds up what it gets.
pub fn encode(form: &Form, snapshot: &Snapshot) -> Encoded {
    let mut encoded = Encoded::default();
    for ((at_ms, labels), samples) in groups(snapshot) {
        let Some(frame) = Frame::new(form, at_ms, &labels, &snapshot.resource) else {
            encoded.without_dimensions.extend(samples.iter().map(|sample| sample.metric.name));
            continue;
        };
        frame.fill(&samples, &mut encoded);
    }
    encoded
}

/// How many metrics `CloudWatch` makes of a snapshot: one for each name and each different set of dimensions.
pub fn metrics(form: &Form, snapshot: &Snapshot) -> u64 {
    let mut metrics: BTreeSet<(&str, Vec<(&str, String)>)> = BTreeSet::new();
    for ((_, labels), samples) in groups(snapshot) {
        let members = members(form, &labels, &snapshot.resource);
        for set in sets(form, &labels, &members) {
            let values = set.iter().filter_map(|name| Some((*name, dimension(members.get(name)?))));
            let values: Vec<(&str, String)> = values.collect();
            metrics.extend(samples.iter().map(|sample| (sample.metric.name, values.clone())));
        }
    }
    metrics.len() as u64
}

/// The points by their time in milliseconds and their labels, without those that say nothing.
fn groups(snapshot: &Snapshot) -> BTreeMap<(u64, Vec<Attribute>), Vec<&Sample>> {
    let mut groups: BTreeMap<(u64, Vec<Attribute>), Vec<&Sample>> = BTreeMap::new();
    for sample in &snapshot.samples {
        let mut labels = labels(sample);
        labels.retain(|label| !label.value.trim().is_empty());
        labels.sort_unstable();
        groups.entry((sample.period.at.unix_nanos() / 1_000_000, labels)).or_default().push(sample);
    }
    groups
}

/// The members of an event beside its metrics: labels, which machine it is, and what else of it is a dimension.
fn members<'a>(form: &Form, labels: &'a [Attribute], resource: &'a [Attribute]) -> BTreeMap<&'a str, &'a str> {
    let mut members: BTreeMap<&str, &str> = labels.iter().map(|label| (label.key, label.value.as_str())).collect();
    for attribute in resource.iter().filter(|attribute| !attribute.value.trim().is_empty()) {
        let is_dimension = form.dimensions.iter().flatten().any(|name| name == attribute.key);
        if is_dimension || MACHINE.contains(&attribute.key) {
            members.entry(attribute.key).or_insert(&attribute.value);
        }
    }
    members
}

/// What the events of one group of points have in common.
struct Frame<'a> {
    form: &'a Form,
    at_ms: u64,
    /// The member `_aws` up to its list of metrics.
    head: String,
    /// Labels and machine, each with a comma before it.
    members: String,
}

impl<'a> Frame<'a> {
    /// `None` when no set of dimensions fits.
    fn new(form: &'a Form, at_ms: u64, labels: &[Attribute], resource: &[Attribute]) -> Option<Self> {
        let members = members(form, labels, resource);
        let sets = sets(form, labels, &members);
        if sets.is_empty() {
            return None;
        }
        let is_dimension = |name: &str| sets.iter().flatten().any(|dimension| *dimension == name);
        let mut text = String::new();
        for (name, value) in &members {
            let value = if is_dimension(name) { dimension(value) } else { (*value).to_owned() };
            write!(text, ",{}:{}", quoted(name), quoted(&value)).ok();
        }
        let dimensions: Vec<String> = sets.iter().map(|set| list(set.iter().map(|name| quoted(name)))).collect();
        let mut head = String::from("{\"_aws\":{");
        if let Some((group, stream)) = &form.log {
            write!(head, "\"LogGroupName\":{},\"LogStreamName\":{},", quoted(group), quoted(stream)).ok();
        }
        write!(head, "\"Timestamp\":{at_ms},\"CloudWatchMetrics\":[{{\"Namespace\":{}", quoted(&form.namespace)).ok();
        write!(head, ",\"Dimensions\":{},\"Metrics\":[", list(dimensions.into_iter())).ok();
        Some(Self { form, at_ms, head, members: text })
    }

    /// Puts the points into as few events as the rules allow.
    fn fill(&self, samples: &[&Sample], encoded: &mut Encoded) {
        const CLOSING: &str = "]}]}}";
        let empty = self.head.len() + self.members.len() + CLOSING.len();
        let mut definitions: Vec<String> = Vec::new();
        let mut members = String::new();
        let mut names: BTreeSet<&str> = BTreeSet::new();
        let mut bytes = empty;
        let end = |definitions: &mut Vec<String>, members: &mut String, encoded: &mut Encoded| {
            if definitions.is_empty() {
                return;
            }
            let points = definitions.len() as u64;
            let text = format!("{}{}]}}]}}{}{members}}}", self.head, definitions.join(","), self.members);
            encoded.events.push(Event { at_ms: self.at_ms, text, points });
            definitions.clear();
            members.clear();
        };
        for sample in samples {
            let Some(value) = value(sample) else {
                encoded.invalid += 1;
                continue;
            };
            let name = quoted(sample.metric.name);
            let definition = definition(&name, sample.metric, self.form.is_high_resolution);
            let member = format!(",{name}:{value}");
            let more = definition.len() + 1 + member.len();
            if empty + more > self.form.bytes {
                encoded.too_large += 1;
                continue;
            }
            if definitions.len() == METRICS_MAX || bytes + more > self.form.bytes || !names.insert(sample.metric.name) {
                end(&mut definitions, &mut members, encoded);
                bytes = empty;
                names = BTreeSet::from([sample.metric.name]);
            }
            bytes += more;
            definitions.push(definition);
            members.push_str(&member);
        }
        end(&mut definitions, &mut members, encoded);
    }
}

/// The sets of dimensions whose labels are all there.
fn sets<'a>(form: &'a Form, labels: &[Attribute], members: &BTreeMap<&str, &str>) -> Vec<Vec<&'a str>> {
    if form.dimensions.is_empty() {
        let own = labels.iter().map(|label| label.key);
        let machine = members.contains_key(key::HOST_NAME).then_some(key::HOST_NAME);
        let machine = machine.filter(|name| !labels.iter().any(|label| label.key == *name));
        return vec![own.chain(machine).take(SET_MAX).collect()];
    }
    let fits = |set: &&Vec<String>| set.iter().all(|name| members.contains_key(name.as_str()));
    form.dimensions.iter().filter(fits).map(|set| set.iter().map(String::as_str).collect()).collect()
}

/// The value of a dimension: printable ASCII, at most as long as `CloudWatch` takes. What else there is is written as
/// in an address, so that different values stay different.
fn dimension(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.trim().bytes() {
        let width = if (b' '..=b'~').contains(&byte) { 1 } else { 3 };
        if text.len() + width > DIMENSION_MAX {
            break;
        }
        if width == 1 {
            text.push(char::from(byte));
        } else {
            write!(text, "%{byte:02X}").ok();
        }
    }
    text
}

fn definition(name: &str, metric: &Descriptor, is_high_resolution: bool) -> String {
    let mut text = format!("{{\"Name\":{name}");
    if let Some(unit) = unit(metric.unit) {
        write!(text, ",\"Unit\":\"{unit}\"").ok();
    }
    if is_high_resolution {
        text.push_str(",\"StorageResolution\":1");
    }
    text.push('}');
    text
}

/// The name that `CloudWatch` has for a unit; without one it takes `None` itself. It has none for joules, watts, grams,
/// hertz and degrees, nor for money. A ratio stays one: a figure means the same at every destination.
pub fn unit(unit: &str) -> Option<&'static str> {
    match unit {
        "By" => Some("Bytes"),
        "s" => Some("Seconds"),
        "%" => Some("Percent"),
        "{USD}" | "{L}" | "{gCO2e/kWh}" => None,
        annotation if annotation.starts_with('{') => Some("Count"),
        _ => None,
    }
}

fn value(sample: &Sample) -> Option<String> {
    match &sample.value {
        Value::Number(value) => number(*value),
        Value::Histogram(histogram) => distribution(histogram),
    }
}

/// A number as JSON has it, whole numbers without a point: every byte is paid for.
fn number(value: f64) -> Option<String> {
    const WHOLE_BELOW: f64 = 9_007_199_254_740_992.0;
    if !value.is_finite() || value.abs() > NUMBER_MAX {
        return None;
    }
    if value.fract().abs() < f64::MIN_POSITIVE && value.abs() < WHOLE_BELOW {
        return Some(format!("{value:.0}"));
    }
    serde_json::Number::from_f64(value).map(|number| number.to_string())
}

/// A distribution as the middles of its buckets and their counts, at the finest scale with few enough of them; with
/// the exact sum, and the ends of the outermost buckets where the smallest and the largest value are not known.
fn distribution(histogram: &ExponentialHistogram) -> Option<String> {
    let buckets = |histogram: &ExponentialHistogram| histogram.counts().iter().filter(|&&count| count > 0).count();
    let zeros = usize::from(histogram.zero_count() > 0);
    let mut coarse = histogram.clone();
    while buckets(&coarse) + zeros > VALUES_MAX {
        coarse = coarse.at_scale(coarse.scale() - 1);
    }
    let width = (-f64::from(coarse.scale())).exp2();
    let bound = |index: i32| (f64::from(index) * width).exp2();
    let filled = || (coarse.offset()..).zip(coarse.counts()).filter(|(_, count)| **count > 0);
    let middles = filled().map(|(index, count)| (f64::midpoint(bound(index), bound(index + 1)), *count));
    let zero = (zeros > 0).then_some((0.0, histogram.zero_count()));
    let values: Vec<(f64, u64)> = zero.into_iter().chain(middles).collect();
    let low = if zeros > 0 { Some(0.0) } else { filled().next().map(|(index, _)| bound(index)) };
    let high = filled().last().map(|(index, _)| bound(index + 1));
    let texts: Option<Vec<String>> = values.iter().map(|(value, _)| number(*value)).collect();
    let counts = values.iter().map(|(_, count)| count.to_string());
    Some(format!(
        "{{\"Values\":{},\"Counts\":{},\"Min\":{},\"Max\":{},\"Count\":{},\"Sum\":{}}}",
        list(texts?.into_iter()),
        list(counts),
        number(histogram.min().or(low)?)?,
        number(histogram.max().or(high).unwrap_or(0.0))?,
        histogram.count(),
        number(histogram.sum())?,
    ))
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests;
