//! A running receiver with both ends of its queues, and a plain HTTP client.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ScopeMetrics};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wattline_core::reading::Inference;
use wattline_core::{Envelope, Instant, Outlet, Reading, Readings, Receiver, Telemetry, Tick, Timestamp, queue};
use wattline_probe_llm::content::Content;
use wattline_probe_llm::otlp::{Addresses, Config, OtlpReceiver, bind};

/// The only time there is.
pub(crate) const NOW: Tick =
    Tick { at: Instant::from_nanos(5), wall: Timestamp::from_unix_nanos(1_760_000_000_000_000_000) };

pub(crate) struct Running {
    pub(crate) grpc: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) readings: queue::Receiver<Readings>,
    pub(crate) relay: Option<queue::Receiver<Envelope>>,
    pub(crate) stop: CancellationToken,
    pub(crate) task: JoinHandle<()>,
    meter: SdkMeterProvider,
    counts: InMemoryMetricExporter,
}

/// How the receiver runs.
pub(crate) struct Setup {
    pub(crate) config: Config,
    pub(crate) readings: usize,
    /// `None` without a relay.
    pub(crate) relay: Option<usize>,
    pub(crate) content: Content,
}

impl Default for Setup {
    fn default() -> Self {
        let mut config = Config::default();
        config.grpc.listen = "127.0.0.1:0".to_owned();
        config.http.listen = "127.0.0.1:0".to_owned();
        Self { config, readings: 16, relay: Some(16), content: Content::Keep }
    }
}

impl Setup {
    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut setup = Self::default();
        change(&mut setup.config);
        setup
    }

    pub(crate) fn start(self) -> Running {
        use opentelemetry::metrics::MeterProvider;
        let counts = InMemoryMetricExporter::default();
        let meter = SdkMeterProvider::builder().with_reader(PeriodicReader::builder(counts.clone()).build()).build();
        let bound = bind(&self.config).unwrap();
        let Addresses { grpc, http } = bound.addresses();
        let (readings_in, readings) = queue::bounded(self.readings);
        let (relay_in, relay) = self.relay.map(queue::bounded).unzip();
        let outlet = Outlet { readings: readings_in, relay: relay_in };
        let stop = CancellationToken::new();
        let receiver =
            OtlpReceiver::new(bound, Telemetry::new(&meter.meter("test")), Arc::new(|| NOW), self.content, "us");
        let task = tokio::spawn(Box::new(receiver).run(outlet, stop.clone()));
        // A test with a socket in place of a port knows where that is.
        let [grpc, http] =
            [grpc, http].map(|place| place.unwrap().tcp().unwrap_or_else(|| SocketAddr::from(([0; 4], 0))));
        Running { grpc, http, readings, relay, stop, task, meter, counts }
    }
}

impl Running {
    /// What was booked, relayed and counted: `calls`, `envelopes`, and the counters that are not zero.
    pub(crate) fn seen(&mut self) -> (Vec<Inference>, Vec<Envelope>, String) {
        let mut calls = Vec::new();
        while let Some(readings) = self.readings.try_next() {
            assert_eq!((readings.source, readings.tick), ("otlp", NOW));
            for item in readings.items {
                let Reading::Inference(call) = item else { panic!("{item:?}") };
                calls.push(call);
            }
        }
        let relay = self.relay.as_mut();
        let envelopes = relay.map(|relay| std::iter::from_fn(|| relay.try_next()).collect()).unwrap_or_default();
        (calls, envelopes, self.counted())
    }

    /// The counters with their attributes, sorted: `wattline.refused traces queue_full 1`.
    pub(crate) fn counted(&self) -> String {
        self.meter.force_flush().unwrap();
        let Some(last) = self.counts.get_finished_metrics().unwrap().pop() else { return String::new() };
        let mut lines = Vec::new();
        for metric in last.scope_metrics().flat_map(ScopeMetrics::metrics) {
            let AggregatedMetrics::U64(MetricData::Sum(sum)) = metric.data() else { panic!("{metric:?}") };
            for point in sum.data_points() {
                let mut words: Vec<_> = point.attributes().map(|attribute| attribute.value.to_string()).collect();
                words.sort();
                lines.push(format!("{} {} {}", metric.name(), words.join(" "), point.value()));
            }
        }
        lines.sort();
        lines.join("\n")
    }
}

/// What an HTTP server said.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// Sends one request on a connection of its own.
pub(crate) async fn send(address: SocketAddr, request: Request<Full<Bytes>>) -> Reply {
    send_over(TcpStream::connect(address).await.unwrap(), request).await
}

/// Sends one request on a connection that stands.
pub(crate) async fn send_over<S>(stream: S, request: Request<Full<Bytes>>) -> Reply
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let (head, body) = sender.send_request(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    drop(sender);
    connection.await.unwrap().unwrap();
    Reply { status: head.status, headers: head.headers, body }
}

pub(crate) fn post(path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let mut request = Request::post(path).header("host", "test");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::new(body.into())).unwrap()
}

pub(crate) const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
pub(crate) const JSON: (&str, &str) = ("content-type", "application/json");

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
}

/// A request with a call of `input` tokens and a span that is none.
pub(crate) fn request(input: i64) -> ExportTraceServiceRequest {
    let call = Span {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        kind: 3,
        attributes: vec![
            attribute("gen_ai.operation.name", Value::StringValue("chat".to_owned())),
            attribute("gen_ai.request.model", Value::StringValue("m".to_owned())),
            attribute("gen_ai.usage.input_tokens", Value::IntValue(input)),
        ],
        ..Default::default()
    };
    let other = Span { trace_id: vec![1; 16], span_id: vec![3; 8], ..Default::default() };
    let scope_spans = vec![ScopeSpans { spans: vec![call, other], ..Default::default() }];
    ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { scope_spans, ..Default::default() }] }
}

pub(crate) fn encoded(input: i64) -> Vec<u8> {
    request(input).encode_to_vec()
}

/// The same with `bytes` zeros in an attribute, which compress to next to nothing.
pub(crate) fn padded(bytes: usize) -> ExportTraceServiceRequest {
    let mut request = request(1);
    let padding = attribute("padding", Value::BytesValue(vec![0; bytes]));
    request.resource_spans[0].scope_spans[0].spans[0].attributes.push(padding);
    request
}
