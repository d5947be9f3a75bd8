//! OTLP JSON, one message a line.
//!
//! Source: OpenTelemetry specification, "OTLP File Exporter": each line is one `TracesData`, `MetricsData` or
//! `LogsData`, which in JSON are the same as the export requests.

use std::sync::Arc;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use serde::Serialize;
use wattline_core::{Envelope, Signal, Snapshot};
use wattline_wire::metrics::{Limit, Request, encode};

/// What is written at a time.
#[derive(Debug)]
pub(crate) enum Piece {
    Snapshot(Arc<Snapshot>),
    Envelope(Envelope),
}

/// A message and what it holds.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) signal: Signal,
    /// Points, spans or records.
    pub(crate) items: u64,
    /// The message with its line break, or why there is none.
    pub(crate) text: Result<Vec<u8>, Unreadable>,
}

/// A message that cannot be told in JSON.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("decode an OTLP request: {0}")]
    Protobuf(#[from] prost::DecodeError),
    #[error("write an OTLP request as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// Bounds a line of ours below 1 MiB, the longest line that readers of such files take by default; an attribute is
/// up to six times as long in JSON.
const LIMIT: Limit = Limit { points: 1_000, bytes: 128 * 1024 };

/// A snapshot as lines, and how many of its samples are in none because no backend takes them.
pub(crate) fn of_snapshot(snapshot: &Snapshot) -> (impl Iterator<Item = Line>, u64) {
    let encoded = encode(&snapshot.resource, &snapshot.samples, LIMIT);
    let lines = encoded.requests.into_iter().map(|Request { body, points }| Line {
        signal: Signal::Metrics,
        items: points,
        text: translate::<ExportMetricsServiceRequest>(&body),
    });
    (lines, encoded.skipped)
}

/// A relayed request as a line.
pub(crate) fn of_envelope(envelope: &Envelope) -> Line {
    let Envelope { signal, body, items, at: _, receipt: _ } = envelope;
    let text = match signal {
        Signal::Metrics => translate::<ExportMetricsServiceRequest>(body),
        Signal::Traces => translate::<ExportTraceServiceRequest>(body),
        Signal::Logs => translate::<ExportLogsServiceRequest>(body),
    };
    Line { signal: *signal, items: *items, text }
}

fn translate<M: Message + Default + Serialize>(body: &[u8]) -> Result<Vec<u8>, Unreadable> {
    let mut line = Vec::with_capacity(body.len() * 4);
    serde_json::to_writer(&mut line, &M::decode(body)?)?;
    line.push(b'\n');
    Ok(line)
}
