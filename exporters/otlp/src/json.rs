//! OTLP requests in JSON.

use std::io;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use serde::Serialize;
use wattline_core::Signal;
use wattline_export_delivery::Compression;

/// A compressed request of `signal` in protobuf as one in JSON, compressed alike; or how many bytes it would have before
/// that, when these are more than `bytes_max`.
pub(crate) async fn in_json(
    signal: Signal,
    body: Bytes,
    compression: Compression,
    bytes_max: usize,
) -> io::Result<Result<Bytes, usize>> {
    let work = tokio::task::spawn_blocking(move || {
        let json = to_json(signal, &compression.unpack(&body)?)?;
        if json.len() > bytes_max {
            return Ok(Err(json.len()));
        }
        compression.pack(&json.into()).map(Ok)
    });
    work.await.map_err(io::Error::other)?
}

/// A request of `signal` in protobuf as JSON. Fields that are newer than OTLP 1.11 have no name there and stay behind.
pub(crate) fn to_json(signal: Signal, protobuf: &[u8]) -> io::Result<Vec<u8>> {
    match signal {
        Signal::Metrics => translate::<ExportMetricsServiceRequest>(protobuf),
        Signal::Traces => translate::<ExportTraceServiceRequest>(protobuf),
        Signal::Logs => translate::<ExportLogsServiceRequest>(protobuf),
    }
}

fn translate<M: Message + Default + Serialize>(protobuf: &[u8]) -> io::Result<Vec<u8>> {
    let message = M::decode(protobuf).map_err(io::Error::other)?;
    let mut json = Vec::with_capacity(protobuf.len().saturating_mul(3));
    serde_json::to_writer(&mut json, &message)?;
    Ok(json)
}
