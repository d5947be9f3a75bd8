//! The agent's own telemetry: counted and logged through the OpenTelemetry SDK, and fed into the same pipeline as
//! everything else, so that it goes where the user's figures go.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::KeyValue;
use opentelemetry::metrics::MeterProvider;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::logs::tonic::group_logs_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogBatch, LogExporter, SdkLogger, SdkLoggerProvider};
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, Metric, MetricData, ResourceMetrics, ScopeMetrics};
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider, Temporality};
use prost::Message;
use rustix::process::{Resource as Limit, getrlimit};
use tokio::sync::watch;
use wattline_core::attribute::key;
use wattline_core::sample::Period;
use wattline_core::{
    Attribute, Bytes, Descriptor, Envelope, HostRoot, Sample, Seconds, Signal, Subject, Telemetry, Text, Tick,
    Timestamp, Value, metrics, queue,
};

use crate::clock;

/// The running SDK. Dropping it ends the agent's own telemetry.
#[derive(Debug)]
pub struct OwnTelemetry {
    /// The counters that the parts use.
    pub telemetry: Telemetry,
    /// The newest figures about the agent.
    pub samples: watch::Receiver<Arc<Vec<Sample>>>,
    provider: SdkMeterProvider,
}

impl OwnTelemetry {
    /// Starts the SDK's metrics, collected when [`flush`](Self::flush) says so.
    pub fn start() -> Self {
        let (out, samples) = watch::channel(Arc::default());
        // The reader knows no other way of being asked than by time.
        let reader = PeriodicReader::builder(IntoSamples { out }).with_interval(Duration::from_hours(24)).build();
        let provider =
            SdkMeterProvider::builder().with_resource(Resource::builder_empty().build()).with_reader(reader).build();
        let telemetry = Telemetry::new(&provider.meter("wattline"));
        Self { telemetry, samples, provider }
    }

    /// Collects now, so that a snapshot is complete. Blocks for as long as collecting takes.
    pub fn flush(&self) {
        if let Err(error) = self.provider.force_flush() {
            tracing::debug!(%error, "collecting the agent's own figures failed");
        }
    }
}

/// An exporter of the SDK that turns what it gets into samples of the metric table.
#[derive(Debug)]
struct IntoSamples {
    out: watch::Sender<Arc<Vec<Sample>>>,
}

impl PushMetricExporter for IntoSamples {
    async fn export(&self, collected: &ResourceMetrics) -> OTelSdkResult {
        let subject = Arc::new(Subject::Wattline);
        let mut samples = Vec::new();
        for metric in collected.scope_metrics().flat_map(ScopeMetrics::metrics) {
            if let Some(descriptor) = metrics::find(metric.name()) {
                own_samples(metric, descriptor, &subject, &mut samples);
            }
        }
        self.out.send_replace(Arc::new(samples));
        Ok(())
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn temporality(&self) -> Temporality {
        Temporality::Cumulative
    }
}

/// The agent counts in whole numbers and tells what is in fractions: other kinds of SDK metrics are not made anywhere.
fn own_samples(metric: &Metric, descriptor: &'static Descriptor, subject: &Arc<Subject>, samples: &mut Vec<Sample>) {
    let mut push = |attributes, period, value| {
        let value = Value::Number(value);
        samples.push(Sample { metric: descriptor, subject: Arc::clone(subject), attributes, period, value });
    };
    match metric.data() {
        AggregatedMetrics::U64(MetricData::Sum(sum)) => {
            let period = Period { start: timestamp(sum.start_time()), at: timestamp(sum.time()) };
            for point in sum.data_points() {
                push(attributes(descriptor, point.attributes()), period, point.value() as f64);
            }
        }
        AggregatedMetrics::F64(MetricData::Gauge(gauge)) => {
            let at = timestamp(gauge.time());
            let period = Period { start: gauge.start_time().map_or(at, timestamp), at };
            for point in gauge.data_points() {
                push(attributes(descriptor, point.attributes()), period, point.value());
            }
        }
        _ => {}
    }
}

/// The attributes in the order of the table: the SDK's own order differs from run to run.
fn attributes<'a>(descriptor: &Descriptor, pairs: impl Iterator<Item = &'a KeyValue>) -> Vec<Attribute> {
    let pairs: Vec<&KeyValue> = pairs.collect();
    let value =
        |key: &str| pairs.iter().find(|pair| pair.key.as_str() == key).map(|pair| pair.value.as_str().into_owned());
    descriptor.attributes.iter().filter_map(|key| Some(Attribute::new(key, value(key)?))).collect()
}

fn timestamp(time: SystemTime) -> Timestamp {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_nanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// A logger provider whose records become relayed envelopes, and the layer that feeds it.
pub fn log_layer(
    resource: &[Attribute],
    out: queue::Sender<Envelope>,
) -> (SdkLoggerProvider, OpenTelemetryTracingBridge<SdkLoggerProvider, SdkLogger>) {
    let attributes = resource.iter().map(|attribute| KeyValue::new(attribute.key, attribute.value.to_string()));
    let resource = Resource::builder_empty().with_attributes(attributes).build();
    let exporter = IntoEnvelopes { resource: (&resource).into(), out };
    let provider = SdkLoggerProvider::builder().with_resource(resource).with_simple_exporter(exporter).build();
    let layer = OpenTelemetryTracingBridge::new(&provider);
    (provider, layer)
}

/// An exporter of the SDK that turns log records into envelopes.
#[derive(Debug)]
struct IntoEnvelopes {
    resource: ResourceAttributesWithSchema,
    out: queue::Sender<Envelope>,
}

impl LogExporter for IntoEnvelopes {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        let items = batch.iter().count() as u64;
        let request =
            ExportLogsServiceRequest { resource_logs: group_logs_by_resource_and_scope(&batch, &self.resource) };
        let body = request.encode_to_vec().into();
        // A full queue is counted by the queue itself; a log about it would only make it fuller.
        self.out.offer(Envelope { signal: Signal::Logs, body, items, at: clock::wall(), receipt: None }).ok();
        Ok(())
    }
}

/// What the agent itself uses, from the kernel's view of this process.
pub fn own_use(tick: Tick, started: Timestamp) -> Vec<Sample> {
    let subject = Arc::new(Subject::Wattline);
    let period = Period { start: started, at: tick.wall };
    let mut samples = Vec::new();
    let own = HostRoot::new("/");
    let statm = own.read("proc/self/statm").unwrap_or_default();
    if let Some(pages) = statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()) {
        let bytes = pages.saturating_mul(rustix::param::page_size() as u64);
        samples.push(metrics::WATTLINE_MEMORY.sample(&subject, Vec::new(), period, Bytes::new(bytes as f64)));
    }
    let stat = own.read("proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok());
    if let (Some(user), Some(system)) = (ticks(11), ticks(12)) {
        let per_second = rustix::param::clock_ticks_per_second() as f64;
        let seconds = Seconds::new((user + system) as f64 / per_second);
        samples.push(metrics::WATTLINE_CPU_TIME.sample(&subject, Vec::new(), period, seconds));
    }
    samples
}

/// The most descriptors this process may hold, for `doctor`.
pub fn descriptor_limit() -> Option<u64> {
    getrlimit(Limit::Nofile).current
}

/// The attributes of the agent as a service: on every Resource.
pub fn service_attributes(host_id: &str) -> Vec<Attribute> {
    vec![
        Attribute::new(key::SERVICE_NAME, "wattline"),
        Attribute::new(key::SERVICE_VERSION, env!("CARGO_PKG_VERSION")),
        Attribute::new(key::SERVICE_INSTANCE_ID, Text::from(host_id.to_owned())),
    ]
}
