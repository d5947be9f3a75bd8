//! An exporter that runs, with its feed in the test's hand and its counters read back through the SDK.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use opentelemetry::metrics::MeterProvider;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ResourceMetrics, ScopeMetrics};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};
use prost::Message;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use wattline_core::metrics::SYSTEM_UPTIME;
use wattline_core::sample::Period;
use wattline_core::{
    Attribute, Envelope, Exporter, Feed, Instant, Seconds, Signal, Snapshot, Subject, Telemetry, Tick, Timestamp, queue,
};
use wattline_export_delivery::{Context, Retry};
use wattline_export_otlp::{Config, OtlpExporter};

use crate::journal;

/// An exporter at work.
pub(crate) struct Rig {
    pub(crate) name: String,
    snapshots: watch::Sender<Arc<Snapshot>>,
    envelopes: queue::Sender<Envelope>,
    task: JoinHandle<()>,
    provider: SdkMeterProvider,
    metrics: InMemoryMetricExporter,
}

/// What the exporter counted, such as `exported traces` or `rejected logs`.
pub(crate) type Counts = BTreeMap<String, u64>;

/// The counts a test expects.
pub(crate) fn counts(expected: &[(&str, u64)]) -> Counts {
    expected.iter().map(|(what, items)| ((*what).to_owned(), *items)).collect()
}

/// A configuration with short times and a name of its own.
pub(crate) fn config(endpoint: impl Into<String>) -> Config {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    Config {
        name: format!("rig-{}", NUMBER.fetch_add(1, Ordering::Relaxed)),
        endpoint: endpoint.into(),
        interval: Duration::from_hours(1),
        retry: Retry {
            initial: Duration::from_millis(2),
            max: Duration::from_millis(10),
            unauthorized: Duration::from_millis(20),
        },
        ..Config::default()
    }
}

impl Rig {
    pub(crate) fn start(config: Config) -> Self {
        journal::start();
        let metrics = InMemoryMetricExporter::default();
        let provider =
            SdkMeterProvider::builder().with_reader(PeriodicReader::builder(metrics.clone()).build()).build();
        let telemetry = Telemetry::new(&provider.meter("test"));
        let context =
            Context { telemetry, now: || Timestamp::from_unix_nanos(1_700_000_000_000_000_000), seed: 1, spools: None };
        let (snapshots, newest) = watch::channel(Arc::default());
        let (envelopes, relayed) = queue::bounded(1_000);
        let name = config.name.clone();
        let exporter = OtlpExporter::new(config, context).unwrap();
        let feed = Feed { snapshots: newest, envelopes: Some(relayed) };
        let task = tokio::spawn(Box::new(exporter).run(feed));
        Self { name, snapshots, envelopes, task, provider, metrics }
    }

    pub(crate) fn relay(&self, signal: Signal, body: &Bytes, items: u64) {
        let envelope = Envelope { signal, body: body.clone(), items, at: Timestamp::default(), receipt: None };
        self.envelopes.offer(envelope).unwrap();
    }

    /// Publishes a snapshot of `points` figures.
    pub(crate) fn publish(&self, number: u64, points: usize) {
        self.publish_all(number, &vec![number as f64; points]);
    }

    /// Publishes a snapshot of these figures.
    pub(crate) fn publish_all(&self, number: u64, figures: &[f64]) {
        let at = Timestamp::from_unix_nanos(number);
        let tick = Tick { at: Instant::from_nanos(number), wall: at };
        let subject = Arc::new(Subject::Host);
        let period = Period { start: at, at };
        let sample = |&figure| SYSTEM_UPTIME.sample(&subject, Vec::new(), period, Seconds::new(figure));
        let samples = figures.iter().map(sample).collect();
        let resource = vec![Attribute::new("host.name", "test")];
        self.snapshots.send_replace(Arc::new(Snapshot { tick, resource, samples }));
    }

    /// Waits for the exporter to log `words`.
    pub(crate) async fn told(&self, words: &str) {
        journal::told(&self.name, words).await;
    }

    /// Ends the feed, waits for the exporter and reads its counters.
    pub(crate) async fn finish(self) -> Counts {
        let Self { name, snapshots, envelopes, task, provider, metrics } = self;
        drop((snapshots, envelopes));
        task.await.unwrap();
        provider.force_flush().unwrap();
        let mut counts = Counts::new();
        for resource in metrics.get_finished_metrics().unwrap().iter().rev().take(1) {
            read(resource, &name, &mut counts);
        }
        counts
    }
}

fn read(metrics: &ResourceMetrics, destination: &str, counts: &mut Counts) {
    for metric in metrics.scope_metrics().flat_map(ScopeMetrics::metrics) {
        let AggregatedMetrics::U64(MetricData::Sum(sum)) = metric.data() else { continue };
        for point in sum.data_points() {
            let attributes: BTreeMap<String, String> =
                point.attributes().map(|attribute| (attribute.key.to_string(), attribute.value.to_string())).collect();
            assert_eq!(attributes["wattline.destination"], destination);
            if metric.name() == "wattline.shortened" {
                counts.insert("shortened".to_owned(), point.value());
                continue;
            }
            let signal = &attributes["wattline.signal"];
            let what = match metric.name() {
                "wattline.exported" => "exported",
                "wattline.dropped" => attributes["wattline.reason"].as_str(),
                other => panic!("nobody asked for {other}"),
            };
            if point.value() > 0 {
                counts.insert(format!("{what} {signal}"), point.value());
            }
        }
    }
}

/// An export request of spans, each with a name of this many bytes.
pub(crate) fn spans_of(count: usize, bytes: usize) -> Bytes {
    let span = |index| Span { name: format!("{index:0>bytes$}"), ..Default::default() };
    let scopes = vec![ScopeSpans { spans: (0..count).map(span).collect(), ..Default::default() }];
    let resource = ResourceSpans { scope_spans: scopes, ..Default::default() };
    ExportTraceServiceRequest { resource_spans: vec![resource] }.encode_to_vec().into()
}

pub(crate) fn spans(count: usize) -> Bytes {
    spans_of(count, 50)
}

/// An export request of log records.
pub(crate) fn logs(count: usize) -> Bytes {
    let record = LogRecord { severity_text: "INFO".to_owned(), ..Default::default() };
    let scopes = vec![ScopeLogs { log_records: vec![record; count], ..Default::default() }];
    let resource = ResourceLogs { scope_logs: scopes, ..Default::default() };
    ExportLogsServiceRequest { resource_logs: vec![resource] }.encode_to_vec().into()
}
