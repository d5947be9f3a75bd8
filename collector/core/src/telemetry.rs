//! How the parts count what happens to them: OpenTelemetry counters with names from the metric table.
//!
//! The parts know the API only; the agent puts the SDK behind it. In a test without an SDK the counts go nowhere.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Meter};

use crate::attribute::key;
use crate::flow::Signal;
use crate::metrics;

/// The counters that more than one part needs. Cloning shares them.
#[derive(Clone, Debug)]
pub struct Telemetry {
    dropped: Counter<u64>,
    shortened: Counter<u64>,
    exported: Counter<u64>,
    received: Counter<u64>,
    refused: Counter<u64>,
    turned_away: Counter<u64>,
    probe_errors: Counter<u64>,
    probe_overruns: Counter<u64>,
    spool_items: Gauge<f64>,
    spool_size: Gauge<f64>,
    spool_age: Gauge<f64>,
    destination_up: Gauge<f64>,
}

impl Telemetry {
    /// Counters on `meter`.
    pub fn new(meter: &Meter) -> Self {
        let counter = |descriptor: &'static crate::Descriptor| {
            meter.u64_counter(descriptor.name).with_unit(descriptor.unit).with_description(descriptor.doc).build()
        };
        let gauge = |descriptor: &'static crate::Descriptor| {
            meter.f64_gauge(descriptor.name).with_unit(descriptor.unit).with_description(descriptor.doc).build()
        };
        Self {
            dropped: counter(metrics::WATTLINE_DROPPED.descriptor()),
            shortened: counter(metrics::WATTLINE_SHORTENED.descriptor()),
            exported: counter(metrics::WATTLINE_EXPORTED.descriptor()),
            received: counter(metrics::WATTLINE_RECEIVED.descriptor()),
            refused: counter(metrics::WATTLINE_REFUSED.descriptor()),
            turned_away: counter(metrics::WATTLINE_CONNECTIONS_REFUSED.descriptor()),
            probe_errors: counter(metrics::WATTLINE_PROBE_ERRORS.descriptor()),
            probe_overruns: counter(metrics::WATTLINE_PROBE_OVERRUNS.descriptor()),
            spool_items: gauge(metrics::WATTLINE_SPOOL_ITEMS.descriptor()),
            spool_size: gauge(metrics::WATTLINE_SPOOL_SIZE.descriptor()),
            spool_age: gauge(metrics::WATTLINE_SPOOL_AGE.descriptor()),
            destination_up: gauge(metrics::WATTLINE_DESTINATION_UP.descriptor()),
        }
    }

    /// Counters that go nowhere, for code that is not part of a running agent.
    pub fn none() -> Self {
        Self::new(&opentelemetry::global::meter_provider().meter("none"))
    }

    /// `items` of `signal` on their way to `destination` are lost because of `reason`, one of a closed list of words.
    pub fn dropped(&self, items: u64, reason: &'static str, signal: Signal, destination: &str) {
        self.dropped.add(
            items,
            &[
                KeyValue::new(key::WATTLINE_REASON, reason),
                KeyValue::new(key::WATTLINE_SIGNAL, signal.as_str()),
                KeyValue::new(key::WATTLINE_DESTINATION, destination.to_owned()),
            ],
        );
    }

    /// `labels` were cut or left out, because `destination` takes no more.
    pub fn shortened(&self, labels: u64, destination: &str) {
        self.shortened.add(labels, &[KeyValue::new(key::WATTLINE_DESTINATION, destination.to_owned())]);
    }

    /// `destination` took `items` of `signal`.
    pub fn exported(&self, items: u64, signal: Signal, destination: &str) {
        self.exported.add(
            items,
            &[
                KeyValue::new(key::WATTLINE_SIGNAL, signal.as_str()),
                KeyValue::new(key::WATTLINE_DESTINATION, destination.to_owned()),
            ],
        );
    }

    /// `items` wait for `destination`. They take `bytes`, and the oldest has waited for `seconds`.
    pub fn waiting(&self, items: u64, bytes: u64, seconds: f64, destination: &str) {
        let destination = [KeyValue::new(key::WATTLINE_DESTINATION, destination.to_owned())];
        self.spool_items.record(items as f64, &destination);
        self.spool_size.record(bytes as f64, &destination);
        self.spool_age.record(seconds, &destination);
    }

    /// Whether `destination` took what it was last sent of `signal`.
    pub fn destination_up(&self, is_up: bool, signal: Signal, destination: &str) {
        self.destination_up.record(
            f64::from(u8::from(is_up)),
            &[
                KeyValue::new(key::WATTLINE_SIGNAL, signal.as_str()),
                KeyValue::new(key::WATTLINE_DESTINATION, destination.to_owned()),
            ],
        );
    }

    /// A receiver accepted `items` of `signal`.
    pub fn received(&self, items: u64, signal: Signal) {
        self.received.add(items, &[KeyValue::new(key::WATTLINE_SIGNAL, signal.as_str())]);
    }

    /// A receiver refused a request of `signal` because of `reason`, one of a closed list of words.
    pub fn refused(&self, reason: &'static str, signal: Signal) {
        self.refused.add(
            1,
            &[KeyValue::new(key::WATTLINE_REASON, reason), KeyValue::new(key::WATTLINE_SIGNAL, signal.as_str())],
        );
    }

    /// A listener turned a connection away because of `reason`, one of a closed list of words.
    pub fn turned_away(&self, reason: &'static str) {
        self.turned_away.add(1, &[KeyValue::new(key::WATTLINE_REASON, reason)]);
    }

    /// A reading of `probe` failed.
    pub fn probe_error(&self, probe: &'static str) {
        self.probe_errors.add(1, &[KeyValue::new(key::WATTLINE_PROBE, probe)]);
    }

    /// `probe` was still reading when its next tick came.
    pub fn probe_overrun(&self, probe: &'static str) {
        self.probe_overruns.add(1, &[KeyValue::new(key::WATTLINE_PROBE, probe)]);
    }
}
