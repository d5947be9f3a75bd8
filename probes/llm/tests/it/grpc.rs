use bytes::{Buf, BufMut, Bytes};
use http::uri::PathAndQuery;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use prost::Message;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::support::{Running, Setup, encoded, padded, request};

const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

async fn channel(running: &Running) -> Channel {
    Channel::from_shared(format!("http://{}", running.grpc)).unwrap().connect().await.unwrap()
}

/// Takes bytes for messages, so that any bytes can be sent.
#[derive(Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

async fn call(running: &Running, path: &'static str, body: impl Into<Bytes>) -> Result<Bytes, Status> {
    let mut client = tonic::client::Grpc::new(channel(running).await);
    client.ready().await.unwrap();
    let request = tonic::Request::new(body.into());
    client.unary(request, PathAndQuery::from_static(path), Raw).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn the_three_services_take_requests_with_any_compression() {
    let mut running = Setup::default().start();
    for encoding in [None, Some(CompressionEncoding::Gzip), Some(CompressionEncoding::Zstd)] {
        let mut client = TraceServiceClient::new(channel(&running).await);
        if let Some(encoding) = encoding {
            client = client.send_compressed(encoding);
        }
        let response = client.export(request(7)).await.unwrap().into_inner();
        assert_eq!(response.partial_success, None, "{encoding:?}");
    }
    let scope_logs = vec![ScopeLogs { log_records: vec![LogRecord::default()], ..Default::default() }];
    let logs = ExportLogsServiceRequest { resource_logs: vec![ResourceLogs { scope_logs, ..Default::default() }] };
    LogsServiceClient::new(channel(&running).await).export(logs).await.unwrap();
    MetricsServiceClient::new(channel(&running).await).export(ExportMetricsServiceRequest::default()).await.unwrap();
    let (calls, envelopes, counted) = running.seen();
    assert_eq!(calls.len(), 3);
    assert!(envelopes[..3].iter().all(|envelope| envelope.body == encoded(7)));
    assert_eq!(envelopes.len(), 4);
    assert_eq!(counted, "wattline.received logs 1\nwattline.received traces 6");
}

#[tokio::test]
async fn what_does_not_decode_is_an_invalid_argument_and_the_connection_lives_on() {
    let mut running = Setup::default().start();
    let mut client = tonic::client::Grpc::new(channel(&running).await);
    let whole = encoded(7);
    for body in [&whole[..whole.len() - 1], &[0xff; 4]] {
        client.ready().await.unwrap();
        let request = tonic::Request::new(Bytes::copy_from_slice(body));
        let status = client.unary(request, PathAndQuery::from_static(TRACES), Raw).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().contains("at byte"), "{status}");
    }
    client.ready().await.unwrap();
    let request = tonic::Request::new(Bytes::from(whole));
    client.unary(request, PathAndQuery::from_static(TRACES), Raw).await.unwrap();
    let (calls, _, counted) = running.seen();
    assert_eq!(calls.len(), 1);
    assert_eq!(counted, "wattline.received traces 2\nwattline.refused traces undecodable 2");
}

#[tokio::test]
async fn a_bomb_is_resource_exhausted_without_an_invitation_to_retry() {
    let mut running = Setup::with(|config| config.max_body_bytes = 100_000).start();
    for encoding in [CompressionEncoding::Gzip, CompressionEncoding::Zstd] {
        let mut client = TraceServiceClient::new(channel(&running).await).send_compressed(encoding);
        let status = client.export(padded(30 << 20)).await.unwrap_err();
        assert_eq!((status.code(), status.details()), (Code::ResourceExhausted, &[][..]), "{encoding:?}");
        assert!(status.message().contains("after decompression"), "{status}");
    }
    let status = call(&running, TRACES, padded(150_000).encode_to_vec()).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    let (calls, envelopes, counted) = running.seen();
    assert_eq!((calls.len(), envelopes.len()), (0, 0));
    assert_eq!(counted, "wattline.refused too_large traces 3");
}

#[tokio::test]
async fn a_full_queue_is_resource_exhausted_with_retry_info() {
    let mut running = Setup { relay: Some(1), ..Setup::default() }.start();
    call(&running, TRACES, encoded(1)).await.unwrap();
    let status = call(&running, TRACES, encoded(2)).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    let details = String::from_utf8_lossy(status.details());
    assert!(details.contains("type.googleapis.com/google.rpc.RetryInfo"), "{details}");
    let (calls, envelopes, counted) = running.seen();
    assert_eq!((calls.len(), envelopes.len()), (1, 1));
    assert_eq!(counted, "wattline.received traces 2\nwattline.refused queue_full traces 1");
}

#[tokio::test]
async fn other_calls_and_other_compressions_are_unimplemented() {
    let running = Setup::default().start();
    let status = call(&running, "/opentelemetry.proto.collector.trace.v1.TraceService/Import", "").await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    let mut client = tonic::client::Grpc::new(channel(&running).await);
    client.ready().await.unwrap();
    let mut request = tonic::Request::new(Bytes::new());
    request.metadata_mut().insert("grpc-encoding", "snappy".parse().unwrap());
    let status = client.unary(request, PathAndQuery::from_static(TRACES), Raw).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    assert_eq!(status.metadata().get("grpc-accept-encoding").unwrap(), "identity,gzip,zstd,deflate");
    assert_eq!(running.counted(), "wattline.refused content_encoding traces 1");
}
