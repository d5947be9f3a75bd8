//! What `CloudWatch` bills for what it is told: an estimate at list prices, before free tiers and discounts.

use std::time::Duration;

use wattline_core::{Attribute, Sample, Snapshot, Usd, Value};
use wattline_export_delivery::series::labels;
use wattline_wire::metrics::resource_of;

use crate::config::{Config, OpenError};
use crate::plan::preview;

/// A list price of region us-east-1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Price {
    /// What is bought.
    pub what: &'static str,
    /// In USD for one [`Self::unit`].
    pub usd: f64,
    /// What is counted.
    pub unit: &'static str,
    /// Where the price was read.
    pub source: &'static str,
    /// The year that it was read in.
    pub year: u16,
}

const SOURCE: &str = "Amazon CloudWatch pricing, us-east-1";

/// Metrics by OTLP.
pub const OTLP_METRICS: Price =
    Price { what: "OpenTelemetry metrics", usd: 0.50, unit: "GB", source: SOURCE, year: 2026 };
/// Log events.
pub const LOGS: Price = Price { what: "log events", usd: 0.50, unit: "GB", source: SOURCE, year: 2026 };
/// Metrics made of EMF: those up to a number in an account and a month cost so much each.
pub const CUSTOM_METRICS: [(u64, Price); 3] =
    [(10_000, custom(0.30)), (250_000, custom(0.10)), (u64::MAX, custom(0.05))];

const fn custom(usd: f64) -> Price {
    Price { what: "custom metrics", usd, unit: "metric", source: SOURCE, year: 2026 }
}

/// AWS says neither whether its GB is 10^9 or 2^30 bytes; the smaller one is dearer.
const GB: f64 = 1e9;
const MONTH: Duration = Duration::from_hours(30 * 24);
/// Value and time of a point.
const POINT_BYTES: u64 = 16;
/// One bucket of a distribution.
const BUCKET_BYTES: u64 = 8;

/// What a month of telling what is told now comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bill {
    /// Bytes that are taken in.
    pub bytes: f64,
    /// Metrics that are paid for each; 0 where they are not.
    pub metrics: u64,
    /// All of it.
    pub usd: Usd,
}

impl Bill {
    /// A destination of OTLP metrics that is told `snapshot` every `interval`. The size of a point is that of its name,
    /// its labels, all attributes of its Resource, and 16 bytes for value and time: the Resource is sent once for many
    /// points and paid for with each.
    pub fn of_otlp(snapshot: &Snapshot, interval: Duration) -> Self {
        let bytes: u64 = snapshot.samples.iter().map(|sample| point_bytes(sample, &snapshot.resource)).sum();
        let bytes = bytes as f64 * times(interval);
        Self { bytes, metrics: 0, usd: Usd::new(bytes / GB * OTLP_METRICS.usd) }
    }

    /// An EMF destination that is told `snapshot` every interval and all of whose sums move: what stands still costs no
    /// bytes. Keeping the log is not in it.
    pub fn of_emf(config: &Config, snapshot: &Snapshot) -> Result<Self, OpenError> {
        let (bytes, metrics) = preview(config, snapshot)?;
        let bytes = bytes as f64 * times(config.interval);
        Ok(Self { bytes, metrics, usd: Usd::new(bytes / GB * LOGS.usd + custom_metrics(metrics)) })
    }
}

/// Whether OTLP metrics that are sent to `endpoint` go to `CloudWatch`.
pub fn takes_otlp(endpoint: &str) -> bool {
    let host = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest).split(['/', ':', '?']).next();
    host.is_some_and(|host| host.starts_with("monitoring.") && host.contains(".amazonaws."))
}

/// How often in a month.
fn times(interval: Duration) -> f64 {
    if interval.is_zero() { 0.0 } else { MONTH.as_secs_f64() / interval.as_secs_f64() }
}

/// USD a month for so many metrics.
fn custom_metrics(metrics: u64) -> f64 {
    let mut below = 0;
    let mut usd = 0.0;
    for (until, price) in CUSTOM_METRICS {
        usd += metrics.min(until).saturating_sub(below) as f64 * price.usd;
        below = until;
    }
    usd
}

fn point_bytes(sample: &Sample, resource: &[Attribute]) -> u64 {
    let texts = |attributes: &[Attribute]| -> usize {
        attributes.iter().map(|attribute| attribute.key.len() + attribute.value.len()).sum()
    };
    let text = sample.metric.name.len() + texts(&labels(sample)) + texts(&resource_of(resource, &sample.subject));
    let buckets = match &sample.value {
        Value::Number(_) => 0,
        Value::Histogram(histogram) => histogram.counts().len() as u64,
    };
    text as u64 + POINT_BYTES + BUCKET_BYTES * buckets
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use wattline_core::attribute::key;
    use wattline_core::sample::Period;
    use wattline_core::{Device, DeviceKind, Joules, Subject, metrics};

    use super::*;

    /// `devices` rows of hw.energy on a machine with one attribute.
    fn snapshot(devices: usize) -> Snapshot {
        let sample = |number: usize| {
            let device = Device::new(DeviceKind::Gpu, format!("g{number:04}"));
            metrics::HW_ENERGY.sample(
                &Arc::new(Subject::Device(device)),
                vec![],
                Period { start: wattline_core::Timestamp::default(), at: wattline_core::Timestamp::default() },
                Joules::new(1.5),
            )
        };
        let resource = vec![Attribute::new(key::HOST_NAME, "node-1")];
        Snapshot { samples: (0..devices).map(sample).collect(), resource, ..Snapshot::default() }
    }

    #[test]
    fn otlp_is_paid_for_by_the_byte_with_the_resource_on_every_point() {
        // Name 9; labels hw.id=g0000 and hw.type=gpu 10 + 10; Resource host.name=node-1 and the same labels 15 + 20;
        // value and time 16.
        let bytes = 9.0 + 20.0 + 35.0 + 16.0;
        let bill = Bill::of_otlp(&snapshot(500), Duration::from_mins(1));
        // 43,200 minutes in thirty days.
        assert!((bill.bytes - bytes * 500.0 * 43_200.0).abs() < 1.0, "{bill:?}");
        // 80 bytes * 500 * 43,200 = 1.728 GB.
        assert!((bill.usd.get() - 0.864).abs() < 1e-9, "{bill:?}");
        assert!((Bill::of_otlp(&snapshot(500), Duration::from_secs(10)).usd.get() - 5.184).abs() < 1e-9);
    }

    #[test]
    fn the_service_is_known_by_its_address() {
        assert!(takes_otlp("https://monitoring.eu-west-1.amazonaws.com/v1/metrics"));
        assert!(takes_otlp("https://monitoring.cn-north-1.amazonaws.com.cn"));
        assert!(!takes_otlp("http://localhost:4318") && !takes_otlp("https://logs.eu-west-1.amazonaws.com/v1/logs"));
    }

    #[test]
    fn each_tier_of_metrics_has_its_price() {
        for (metrics, usd) in
            [(0, 0.0), (1, 0.3), (10_000, 3_000.0), (10_001, 3_000.1), (250_000, 27_000.0), (250_100, 27_005.0)]
        {
            assert!((custom_metrics(metrics) - usd).abs() < 1e-6, "{metrics}");
        }
    }

    #[test]
    fn emf_is_paid_for_by_the_metric_and_by_the_byte_of_log() {
        let config = Config::default();
        let bill = Bill::of_emf(&config, &snapshot(100)).unwrap();
        let event = concat!(
            r#"{"_aws":{"Timestamp":0,"CloudWatchMetrics":[{"Namespace":"wattline","#,
            r#""Dimensions":[["hw.id","hw.type","host.name"]],"Metrics":[{"Name":"hw.energy"}]}]},"#,
            r#""host.name":"node-1","hw.id":"g0000","hw.type":"gpu","hw.energy":1.5}"#
        );
        let bytes = (event.len() + 26) as f64 * 100.0 * 43_200.0;
        assert!((bill.bytes - bytes).abs() < 1.0, "{bill:?}");
        assert_eq!(bill.metrics, 100);
        assert!((bill.usd.get() - (30.0 + bytes / 1e9 * 0.5)).abs() < 1e-9, "{bill:?}");
        // Without the names of the devices there is one metric.
        let config = Config { dimensions: vec![vec!["hw.type".to_owned()]], ..config };
        assert_eq!(Bill::of_emf(&config, &snapshot(100)).unwrap().metrics, 1);
    }
}
