//! OTLP over gRPC, against the services that tonic generates.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tonic::codec::CompressionEncoding;
use tonic::metadata::MetadataMap;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Request, Response, Status};
use wattline_core::Signal;
use wattline_export_delivery::Compression;
use wattline_export_delivery::Secret;
use wattline_export_delivery::verdict::{Any, ProtoDuration, RetryInfo, RpcStatus};
use wattline_export_otlp::{Config, Protocol};

use crate::rig::{Rig, config, counts, logs, spans, spans_of};

/// A request as the server saw it.
pub(crate) struct Seen {
    pub(crate) metadata: MetadataMap,
    pub(crate) body: Vec<u8>,
}

/// What to answer to a trace request, by how many came before.
pub(crate) enum Reply {
    Ok(ExportTraceServiceResponse),
    No(Status),
    Silence,
}

pub(crate) const fn ok() -> Reply {
    Reply::Ok(ExportTraceServiceResponse { partial_success: None })
}

#[derive(Clone)]
pub(crate) struct Services {
    answer: Arc<dyn Fn(usize) -> Reply + Send + Sync>,
    count: Arc<AtomicUsize>,
    seen: mpsc::Sender<Seen>,
}

impl Services {
    pub(crate) fn new(answer: impl Fn(usize) -> Reply + Send + Sync + 'static) -> (Self, mpsc::Receiver<Seen>) {
        let (seen, shown) = mpsc::channel(10_000);
        (Self { answer: Arc::new(answer), count: Arc::default(), seen }, shown)
    }

    async fn see<M: Message>(&self, request: Request<M>) {
        let (metadata, _, message) = request.into_parts();
        self.seen.send(Seen { metadata, body: message.encode_to_vec() }).await.unwrap();
    }

    pub(crate) fn traces(&self) -> TraceServiceServer<Self> {
        TraceServiceServer::new(self.clone())
            .accept_compressed(CompressionEncoding::Gzip)
            .accept_compressed(CompressionEncoding::Zstd)
    }
}

#[tonic::async_trait]
impl TraceService for Services {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let number = self.count.fetch_add(1, Ordering::SeqCst);
        self.see(request).await;
        match (self.answer)(number) {
            Reply::Ok(response) => Ok(Response::new(response)),
            Reply::No(status) => Err(status),
            Reply::Silence => std::future::pending().await,
        }
    }
}

#[tonic::async_trait]
impl LogsService for Services {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        self.see(request).await;
        Ok(Response::new(ExportLogsServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Services {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.see(request).await;
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

/// A gRPC server at work.
struct Grpc {
    address: SocketAddr,
    seen: mpsc::Receiver<Seen>,
}

impl Grpc {
    async fn start(answer: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_with(TcpListener::bind("127.0.0.1:0").await.unwrap(), answer, usize::MAX)
    }

    fn start_with(
        listener: TcpListener,
        answer: impl Fn(usize) -> Reply + Send + Sync + 'static,
        request_bytes_max: usize,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let (services, seen) = Services::new(answer);
        let gzip = CompressionEncoding::Gzip;
        let server = tonic::transport::Server::builder()
            .add_service(services.traces().max_decoding_message_size(request_bytes_max))
            .add_service(LogsServiceServer::new(services.clone()).accept_compressed(gzip))
            .add_service(MetricsServiceServer::new(services).accept_compressed(gzip))
            .serve_with_incoming(TcpIncoming::from(listener));
        tokio::spawn(async move { server.await.unwrap() });
        Self { address, seen }
    }

    /// A configuration for this server.
    fn config(&self) -> Config {
        Config { protocol: Protocol::Grpc, ..config(format!("http://{}", self.address)) }
    }

    async fn seen(&mut self) -> Seen {
        self.seen.recv().await.unwrap()
    }

    fn rest(&mut self) -> Vec<Seen> {
        std::iter::from_fn(|| self.seen.try_recv().ok()).collect()
    }
}

#[tokio::test]
async fn every_compression_delivers_the_message_as_it_was() {
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let mut server = Grpc::start(|_| ok()).await;
        let headers = BTreeMap::from([("x-api-key".to_owned(), Secret::new("letmein-123"))]);
        let rig = Rig::start(Config { compression, headers, ..server.config() });
        let bodies = [spans(3), spans(2_000)];
        rig.relay(Signal::Traces, &bodies[0], 3);
        rig.relay(Signal::Traces, &bodies[1], 2_000);
        for body in &bodies {
            let seen = server.seen().await;
            assert_eq!(seen.body, *body);
            let text = |name: &str| seen.metadata.get(name).map(|value| value.to_str().unwrap().to_owned());
            assert_eq!(text("x-api-key").as_deref(), Some("letmein-123"));
            assert!(text("user-agent").unwrap().starts_with(concat!("wattline/", env!("CARGO_PKG_VERSION"))));
        }
        assert_eq!(rig.finish().await, counts(&[("exported traces", 2_003)]));
    }
}

#[tokio::test]
async fn each_signal_has_its_service() {
    let mut server = Grpc::start(|_| ok()).await;
    // Without a scheme, as OTEL_EXPORTER_OTLP_ENDPOINT may be for gRPC.
    let rig = Rig::start(Config { endpoint: server.address.to_string(), insecure: true, ..server.config() });
    rig.publish(1, 3);
    rig.relay(Signal::Traces, &spans(3), 3);
    rig.relay(Signal::Logs, &logs(2), 2);
    for _ in 0..3 {
        server.seen().await;
    }
    let expected = counts(&[("exported logs", 2), ("exported metrics", 3), ("exported traces", 3)]);
    assert_eq!(rig.finish().await, expected);
}

#[tokio::test]
async fn retryable_codes_are_tried_again_and_others_are_counted() {
    let codes = [Code::Cancelled, Code::DeadlineExceeded, Code::Aborted, Code::OutOfRange, Code::Unavailable];
    let mut server = Grpc::start(move |number| match codes.get(number) {
        Some(code) => Reply::No(Status::new(*code, "later")),
        None if number == codes.len() => Reply::No(Status::data_loss("later")),
        None if number == codes.len() + 2 => Reply::No(Status::invalid_argument("never")),
        None if number == codes.len() + 3 => Reply::No(Status::resource_exhausted("full, and no word on when not")),
        None => ok(),
    })
    .await;
    let rig = Rig::start(server.config());
    for items in [1, 20, 300, 4_000] {
        rig.relay(Signal::Traces, &spans(1), items);
    }
    assert_eq!(rig.finish().await, counts(&[("exported traces", 4_001), ("rejected traces", 320)]));
    assert_eq!(server.rest().len(), 10);
}

#[tokio::test]
async fn an_exhausted_server_is_asked_again_when_it_says_when() {
    let mut server = Grpc::start(|number| {
        if number > 0 {
            return ok();
        }
        let delay = ProtoDuration { seconds: 0, nanos: 200_000_000 };
        let value = RetryInfo { retry_delay: Some(delay) }.encode_to_vec();
        let info = Any { type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(), value };
        let details = RpcStatus { code: 8, message: "full".to_owned(), details: vec![info] }.encode_to_vec();
        Reply::No(Status::with_details(Code::ResourceExhausted, "full", details.into()))
    })
    .await;
    let rig = Rig::start(server.config());
    rig.relay(Signal::Traces, &spans(3), 3);
    server.seen().await;
    let refused = Instant::now();
    server.seen().await;
    assert!(refused.elapsed() >= Duration::from_millis(195), "waited only {:?}", refused.elapsed());
    assert_eq!(rig.finish().await, counts(&[("exported traces", 3)]));
}

#[tokio::test]
async fn a_refused_credential_keeps_the_data() {
    let mut server = Grpc::start(|number| match number {
        0 => Reply::No(Status::unauthenticated("who?")),
        1 => Reply::No(Status::permission_denied("not you")),
        _ => ok(),
    })
    .await;
    let rig = Rig::start(server.config());
    rig.relay(Signal::Traces, &spans(3), 3);
    for _ in 0..3 {
        server.seen().await;
    }
    assert_eq!(rig.finish().await, counts(&[("exported traces", 3)]));
}

#[tokio::test]
async fn partial_success_is_counted() {
    let mut server = Grpc::start(|_| {
        let partial = ExportTracePartialSuccess { rejected_spans: 2, error_message: "too old".to_owned() };
        Reply::Ok(ExportTraceServiceResponse { partial_success: Some(partial) })
    })
    .await;
    let rig = Rig::start(server.config());
    rig.relay(Signal::Traces, &spans(5), 5);
    rig.told("rejects a part for good").await;
    assert_eq!(rig.finish().await, counts(&[("exported traces", 3), ("partial_rejection traces", 2)]));
    assert_eq!(server.rest().len(), 1);
}

#[tokio::test]
async fn a_message_over_the_servers_limit_is_cut() {
    // tonic says it with two different codes.
    for compression in [Compression::None, Compression::Gzip] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut server = Grpc::start_with(listener, |_| ok(), 20_000);
        let rig = Rig::start(Config { compression, ..server.config() });
        rig.relay(Signal::Traces, &spans_of(300, 200), 300);
        assert_eq!(rig.finish().await, counts(&[("exported traces", 300)]));
        assert!(server.rest().len() > 3);
    }
}

#[tokio::test]
async fn an_answer_over_the_limit_is_not_tried_again() {
    let mut server = Grpc::start(|_| {
        let partial = ExportTracePartialSuccess { rejected_spans: 0, error_message: "x".repeat(5 * 1024 * 1024) };
        Reply::Ok(ExportTraceServiceResponse { partial_success: Some(partial) })
    })
    .await;
    let rig = Rig::start(server.config());
    rig.relay(Signal::Traces, &spans(3), 3);
    assert_eq!(rig.finish().await, counts(&[("response_too_large traces", 3)]));
    assert_eq!(server.rest().len(), 1);
}

#[tokio::test]
async fn a_silent_server_is_given_up_on_and_asked_again() {
    let mut server = Grpc::start(|number| if number == 0 { Reply::Silence } else { ok() }).await;
    let rig = Rig::start(Config { timeout: Duration::from_millis(300), ..server.config() });
    rig.relay(Signal::Traces, &spans(3), 3);
    server.seen().await;
    rig.told("no answer within 300ms").await;
    server.seen().await;
    assert_eq!(rig.finish().await, counts(&[("exported traces", 3)]));
}

#[tokio::test]
async fn a_connection_that_has_gone_silent_is_left() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let grpc = Config { protocol: Protocol::Grpc, ..config(format!("http://{}", listener.local_addr().unwrap())) };
    let rig = Rig::start(Config { timeout: Duration::from_millis(200), ..grpc });
    rig.relay(Signal::Traces, &spans(3), 3);
    let silent = listener.accept().await.unwrap();
    rig.told("no answer within 200ms").await;
    let mut server = Grpc::start_with(listener, |_| ok(), usize::MAX);
    server.seen().await;
    assert_eq!(rig.finish().await, counts(&[("exported traces", 3)]));
    drop(silent);
}

#[tokio::test]
async fn a_server_that_comes_late_gets_everything() {
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let rig = Rig::start(Config { protocol: Protocol::Grpc, ..config(format!("http://{address}")) });
    rig.relay(Signal::Traces, &spans(3), 3);
    rig.told("fails and will be tried again").await;
    let listener = TcpListener::bind(address).await.unwrap();
    let mut server = Grpc::start_with(listener, |_| ok(), usize::MAX);
    server.seen().await;
    assert_eq!(rig.finish().await, counts(&[("exported traces", 3)]));
}

#[tokio::test]
async fn a_connection_that_breaks_off_is_made_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rig =
        Rig::start(Config { protocol: Protocol::Grpc, ..config(format!("http://{}", listener.local_addr().unwrap())) });
    rig.relay(Signal::Traces, &spans(3), 3);
    drop(listener.accept().await.unwrap());
    rig.told("fails and will be tried again").await;
    let mut server = Grpc::start_with(listener, |_| ok(), usize::MAX);
    server.seen().await;
    assert_eq!(rig.finish().await, counts(&[("exported traces", 3)]));
}
