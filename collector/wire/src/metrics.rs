//! Samples as OTLP export requests.
//!
//! One Resource per entity, points in a fixed order (entity, metric, subject, then as given), and as many requests
//! as the limits ask for. The requests are written straight into bytes: prost's structs own every attribute of every
//! point, and with the identity of the entity on the points that is most of the work. `benches/export.rs` measures
//! both.
//!
//! Source: opentelemetry-proto 1.x, `collector/metrics/v1/metrics_service.proto` and `metrics/v1/metrics.proto`.

mod order;
mod write;

use bytes::Bytes;
use wattline_core::attribute::key;
use wattline_core::{Attribute, Descriptor, ExponentialHistogram, Instrument, Sample, Subject, Value};

use order::Ordered;

/// What a destination takes in one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Points; a request has at least one.
    pub points: usize,
    /// Bytes before compression. Only a single point that is larger by itself goes beyond.
    pub bytes: usize,
}

/// An export request, ready to be compressed and sent.
#[derive(Clone, Debug)]
pub struct Request {
    /// An `ExportMetricsServiceRequest` in protobuf.
    pub body: Bytes,
    /// The points in it; never zero.
    pub points: u64,
}

/// What became of the samples.
#[derive(Clone, Debug, Default)]
pub struct Encoded {
    /// Requests within the limits.
    pub requests: Vec<Request>,
    /// Samples that no backend takes and that are in no request: not a finite number, or not of their metric's kind.
    pub skipped: u64,
}

/// How much is repeated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// What tells subjects apart stands on the points too, and every metric says what it means: for any backend.
    #[default]
    Complete,
    /// Only the Resource tells devices and workloads apart, and metrics have no description: less than half the
    /// bytes, for a backend that keeps Resource attributes with every series.
    Lean,
}

/// What the points of counters and histograms count.
///
/// Source: OpenTelemetry specification, metrics data model, "Temporality".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Temporality {
    /// All since the start of the series, as the books have it.
    #[default]
    Cumulative,
    /// What came since the point before.
    Delta,
}

/// Encodes cumulative samples, completely described.
pub fn encode(resource: &[Attribute], samples: &[Sample], limit: Limit) -> Encoded {
    encode_as(Layout::Complete, Temporality::Cumulative, resource, samples, limit)
}

/// Encodes that series have no value any more: one last point for each sample, without its value. Stores then end the
/// series at once instead of telling the last value on for minutes. For cumulative destinations only: a delta that does
/// not come says the same.
///
/// Source: opentelemetry-proto, `DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK`; Prometheus writes a staleness marker.
pub fn encode_ends(layout: Layout, resource: &[Attribute], ended: &[Sample], limit: Limit) -> Encoded {
    encode_with(Encoder { is_end: true, ..Encoder::new(layout, Temporality::Cumulative, limit) }, resource, ended)
}

/// Encodes samples in a layout. Samples are what `temporality` says: nothing is converted here.
pub fn encode_as(
    layout: Layout,
    temporality: Temporality,
    resource: &[Attribute],
    samples: &[Sample],
    limit: Limit,
) -> Encoded {
    encode_with(Encoder::new(layout, temporality, limit), resource, samples)
}

fn encode_with(mut encoder: Encoder, resource: &[Attribute], samples: &[Sample]) -> Encoded {
    let emitted: Vec<&Sample> = samples.iter().filter(|sample| can_be_told(sample)).collect();
    let skipped = (samples.len() - emitted.len()) as u64;
    let ordered = Ordered::new(&emitted);
    let identities: Vec<Identity> =
        ordered.subjects.iter().map(|subject| Identity::new(encoder.layout, subject)).collect();
    let mut entity = None;
    for place in &ordered.places {
        let (Some(sample), Some(identity)) = (emitted.get(place.sample), identities.get(place.subject)) else {
            continue;
        };
        if entity != Some(place.entity) {
            entity = Some(place.entity);
            encoder.begin_resource(&resource_of(resource, &sample.subject));
        }
        encoder.begin_metric(sample.metric);
        encoder.add(sample, identity);
    }
    Encoded { requests: encoder.finish(), skipped }
}

/// Whether OTLP has a point for this sample.
fn can_be_told(sample: &Sample) -> bool {
    match &sample.value {
        Value::Number(number) => number.is_finite() && sample.metric.instrument != Instrument::Histogram,
        Value::Histogram(histogram) => histogram.sum().is_finite() && sample.metric.instrument == Instrument::Histogram,
    }
}

/// What ties an entity to its machine and to the agent that measured it.
const TIE: [&str; 4] = [key::SERVICE_NAME, key::SERVICE_INSTANCE_ID, key::HOST_ID, key::HOST_NAME];

/// The attributes of a subject's Resource. An entity repeats of the machine only what ties it to the machine.
pub fn resource_of(base: &[Attribute], subject: &Subject) -> Vec<Attribute> {
    if !subject.is_entity() {
        return base.to_vec();
    }
    let mut attributes = subject.identity();
    attributes.extend(subject.description());
    let tie = base.iter().filter(|attribute| TIE.contains(&attribute.key)).cloned();
    tie.chain(attributes).collect()
}

/// The identity of a subject as it stands on its points, encoded once for all of them.
struct Identity {
    keys: Vec<&'static str>,
    on_numbers: Vec<u8>,
    on_histograms: Vec<u8>,
}

/// Field numbers of the attributes in the two kinds of points.
const NUMBER_ATTRIBUTES: u8 = 7;
const HISTOGRAM_ATTRIBUTES: u8 = 1;

impl Identity {
    fn new(layout: Layout, subject: &Subject) -> Self {
        let mut identity = Self { keys: Vec::new(), on_numbers: Vec::new(), on_histograms: Vec::new() };
        if layout == Layout::Lean && subject.is_entity() {
            return identity;
        }
        for Attribute { key, value } in subject.identity() {
            write::attribute(&mut identity.on_numbers, NUMBER_ATTRIBUTES, key, &value);
            write::attribute(&mut identity.on_histograms, HISTOGRAM_ATTRIBUTES, key, &value);
            identity.keys.push(key);
        }
        identity
    }
}

/// Writes the message from the inside out: a point goes to `points`, which becomes a metric in `metrics` when the
/// metric ends, and so on outwards. The request ends early where the next point would break a limit; resource and
/// metric then begin again in the next one.
struct Encoder {
    layout: Layout,
    temporality: Temporality,
    limit: Limit,
    /// Points tell no value but that there is none any more.
    is_end: bool,
    requests: Vec<Request>,
    body: Vec<u8>,
    body_points: usize,
    resource: Vec<u8>,
    scope: Vec<u8>,
    metrics: Vec<u8>,
    metric: Option<&'static Descriptor>,
    metric_header: Vec<u8>,
    points: Vec<u8>,
    point: Vec<u8>,
}

impl Encoder {
    /// Keys and lengths of the five open messages, and what ends a metric: the most that closing them adds.
    const CLOSING: usize = 5 * (1 + write::LONGEST_LENGTH) + 4;

    fn new(layout: Layout, temporality: Temporality, limit: Limit) -> Self {
        let mut name_and_version = Vec::new();
        write::bytes(&mut name_and_version, 1, b"wattline");
        write::bytes(&mut name_and_version, 2, env!("CARGO_PKG_VERSION").as_bytes());
        let mut scope = Vec::new();
        write::bytes(&mut scope, 1, &name_and_version);
        Self {
            layout,
            temporality,
            limit,
            is_end: false,
            requests: Vec::new(),
            body: Vec::new(),
            body_points: 0,
            resource: Vec::new(),
            scope,
            metrics: Vec::new(),
            metric: None,
            metric_header: Vec::new(),
            points: Vec::new(),
            point: Vec::new(),
        }
    }

    fn begin_resource(&mut self, attributes: &[Attribute]) {
        self.end_resource();
        let mut inner = Vec::new();
        for (position, Attribute { key, value }) in attributes.iter().enumerate() {
            if !attributes.iter().take(position).any(|earlier| earlier.key == *key) {
                write::attribute(&mut inner, 1, key, value);
            }
        }
        self.resource.clear();
        write::bytes(&mut self.resource, 1, &inner);
    }

    fn begin_metric(&mut self, metric: &'static Descriptor) {
        if self.metric.is_some_and(|open| std::ptr::eq(open, metric)) {
            return;
        }
        self.end_metric();
        self.metric = Some(metric);
        self.metric_header.clear();
        write::bytes(&mut self.metric_header, 1, metric.name.as_bytes());
        if self.layout == Layout::Complete {
            write::bytes(&mut self.metric_header, 2, metric.doc.as_bytes());
        }
        write::bytes(&mut self.metric_header, 3, metric.unit.as_bytes());
    }

    fn add(&mut self, sample: &Sample, identity: &Identity) {
        self.point.clear();
        match &sample.value {
            _ if self.is_end => write_end(&mut self.point, sample, identity),
            Value::Number(number) => write_number(&mut self.point, sample, *number, identity),
            Value::Histogram(histogram) => write_histogram(&mut self.point, sample, histogram, identity),
        }
        let open = self.resource.len() + self.scope.len() + self.metric_header.len() + Self::CLOSING;
        let bytes = self.body.len() + self.metrics.len() + self.points.len() + self.point.len() + open;
        if self.body_points > 0 && (self.body_points >= self.limit.points || bytes > self.limit.bytes) {
            self.end_request();
        }
        write::bytes(&mut self.points, 1, &self.point);
        self.body_points += 1;
    }

    fn end_metric(&mut self) {
        let Some(metric) = self.metric.filter(|_| !self.points.is_empty()) else { return };
        let (field, ending) = kind(metric.instrument, self.temporality);
        let data = self.points.len() + ending.len();
        write::header(&mut self.metrics, 2, self.metric_header.len() + write::bytes_len(data));
        self.metrics.extend_from_slice(&self.metric_header);
        write::header(&mut self.metrics, field, data);
        self.metrics.append(&mut self.points);
        self.metrics.extend_from_slice(ending);
    }

    fn end_resource(&mut self) {
        self.end_metric();
        if self.metrics.is_empty() {
            return;
        }
        let scope_metrics = self.scope.len() + self.metrics.len();
        write::header(&mut self.body, 1, self.resource.len() + write::bytes_len(scope_metrics));
        self.body.extend_from_slice(&self.resource);
        write::header(&mut self.body, 2, scope_metrics);
        self.body.extend_from_slice(&self.scope);
        self.body.append(&mut self.metrics);
    }

    fn end_request(&mut self) {
        self.end_resource();
        if self.body_points > 0 {
            let body = Bytes::from(std::mem::take(&mut self.body));
            self.requests.push(Request { body, points: self.body_points as u64 });
            self.body_points = 0;
        }
    }

    fn finish(mut self) -> Vec<Request> {
        self.end_request();
        self.requests
    }
}

/// The field of a metric's data, and the fields that follow its points: the temporality, and whether a sum only grows.
///
/// An up-down counter is always cumulative, also where deltas are preferred: what it tells is how much there is now.
/// Source: OpenTelemetry specification, "OpenTelemetry Protocol Exporter", temporality preference `delta`.
const fn kind(instrument: Instrument, temporality: Temporality) -> (u8, &'static [u8]) {
    const DELTA: u8 = 1;
    const CUMULATIVE: u8 = 2;
    match (instrument, temporality) {
        (Instrument::Gauge, _) => (5, &[]),
        (Instrument::UpDownCounter, _) => (7, &[2 << 3, CUMULATIVE]),
        (Instrument::Counter, Temporality::Cumulative) => (7, &[2 << 3, CUMULATIVE, 3 << 3, 1]),
        (Instrument::Counter, Temporality::Delta) => (7, &[2 << 3, DELTA, 3 << 3, 1]),
        (Instrument::Histogram, Temporality::Cumulative) => (10, &[2 << 3, CUMULATIVE]),
        (Instrument::Histogram, Temporality::Delta) => (10, &[2 << 3, DELTA]),
    }
}

fn write_number(out: &mut Vec<u8>, sample: &Sample, number: f64, identity: &Identity) {
    write_times(out, sample);
    write::double(out, 4, number);
    out.extend_from_slice(&identity.on_numbers);
    write_attributes(out, NUMBER_ATTRIBUTES, sample, identity);
}

/// A point of either kind with flags and without a value.
fn write_end(out: &mut Vec<u8>, sample: &Sample, identity: &Identity) {
    const NO_RECORDED_VALUE: u64 = 1;
    let (attributes, own, flags) = match sample.value {
        Value::Number(_) => (NUMBER_ATTRIBUTES, &identity.on_numbers, 8),
        Value::Histogram(_) => (HISTOGRAM_ATTRIBUTES, &identity.on_histograms, 10),
    };
    write_times(out, sample);
    out.extend_from_slice(own);
    write_attributes(out, attributes, sample, identity);
    write::unsigned(out, flags, NO_RECORDED_VALUE);
}

fn write_histogram(out: &mut Vec<u8>, sample: &Sample, histogram: &ExponentialHistogram, identity: &Identity) {
    out.extend_from_slice(&identity.on_histograms);
    write_attributes(out, HISTOGRAM_ATTRIBUTES, sample, identity);
    write_times(out, sample);
    write::fixed64(out, 4, histogram.count());
    write::double(out, 5, histogram.sum());
    write::zigzag(out, 6, histogram.scale());
    write::fixed64(out, 7, histogram.zero_count());
    let mut counts = Vec::with_capacity(histogram.counts().len());
    for &count in histogram.counts() {
        write::varint(&mut counts, count);
    }
    let mut buckets = Vec::with_capacity(counts.len() + 2 * write::LONGEST_LENGTH);
    write::zigzag(&mut buckets, 1, histogram.offset());
    write::bytes(&mut buckets, 2, &counts);
    write::bytes(out, 8, &buckets);
    if let (Some(min), Some(max)) = (histogram.min(), histogram.max()) {
        write::double(out, 12, min);
        write::double(out, 13, max);
    }
}

/// Both times on every point, gauges too: `CloudWatch` refuses points without a start.
fn write_times(out: &mut Vec<u8>, sample: &Sample) {
    write::fixed64(out, 2, sample.period.start.unix_nanos());
    write::fixed64(out, 3, sample.period.at.unix_nanos());
}

/// The sample's own attributes. A key stands on a point once; what tells the subject apart comes first.
fn write_attributes(out: &mut Vec<u8>, field: u8, sample: &Sample, identity: &Identity) {
    for (position, Attribute { key, value }) in sample.attributes.iter().enumerate() {
        let earlier = sample.attributes.iter().take(position).map(|attribute| &attribute.key);
        if !identity.keys.iter().chain(earlier).any(|other| other == key) {
            write::attribute(out, field, key, value);
        }
    }
}

#[cfg(test)]
mod tests;
