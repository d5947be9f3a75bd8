//! How the parts count what happens to them: OpenTelemetry counters with names from the metric table.
//!
//! The parts know the API only; the agent puts the SDK behind it. In a test without an SDK the counts go nowhere.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Meter};

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
    probe_errors: Counter<u64>,
    probe_overruns: Counter<u64>,
}

impl Telemetry {
    /// Counters on `meter`.
    pub fn new(meter: &Meter) -> Self {
        let counter = |descriptor: &'static crate::Descriptor| {
            meter.u64_counter(descriptor.name).with_unit(descriptor.unit).with_description(descriptor.doc).build()
        };
        Self {
            dropped: counter(metrics::WATTLINE_DROPPED.descriptor()),
            shortened: counter(metrics::WATTLINE_SHORTENED.descriptor()),
            exported: counter(metrics::WATTLINE_EXPORTED.descriptor()),
            received: counter(metrics::WATTLINE_RECEIVED.descriptor()),
            refused: counter(metrics::WATTLINE_REFUSED.descriptor()),
            probe_errors: counter(metrics::WATTLINE_PROBE_ERRORS.descriptor()),
            probe_overruns: counter(metrics::WATTLINE_PROBE_OVERRUNS.descriptor()),
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

    /// A reading of `probe` failed.
    pub fn probe_error(&self, probe: &'static str) {
        self.probe_errors.add(1, &[KeyValue::new(key::WATTLINE_PROBE, probe)]);
    }

    /// `probe` was still reading when its next tick came.
    pub fn probe_overrun(&self, probe: &'static str) {
        self.probe_overruns.add(1, &[KeyValue::new(key::WATTLINE_PROBE, probe)]);
    }
}
