//! What is relayed is what was sent, byte for byte, fields of a later protocol included.

use http::StatusCode;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use proptest::prelude::*;
use prost::Message;
use wattline_core::Signal;

use crate::support::{PROTOBUF, Running, Setup, attribute, post, send};

/// A length-delimited field; `padded` writes its length with one byte more than it needs, which readers must accept.
fn field(number: u32, body: &[u8], padded: bool) -> Vec<u8> {
    let mut out = Vec::new();
    prost::encoding::encode_key(number, prost::encoding::WireType::LengthDelimited, &mut out);
    prost::encoding::encode_varint(body.len() as u64, &mut out);
    if padded {
        *out.last_mut().unwrap() |= 0x80;
        out.push(0);
    }
    out.extend_from_slice(body);
    out
}

/// Fields with numbers that no message of OTLP has, of every wire type.
fn unknown() -> impl Strategy<Value = Vec<u8>> {
    let number = 900u32..1000;
    let one = (number, 0u8..4, any::<u64>(), prop::collection::vec(any::<u8>(), 0..5)).prop_map(
        |(number, kind, value, bytes)| {
            let mut out = Vec::new();
            match kind {
                0 => prost::encoding::uint64::encode(number, &value, &mut out),
                1 => prost::encoding::fixed64::encode(number, &value, &mut out),
                2 => prost::encoding::fixed32::encode(number, &7, &mut out),
                _ => prost::encoding::bytes::encode(number, &bytes, &mut out),
            }
            out
        },
    );
    prop::collection::vec(one, 0..3).prop_map(|fields| fields.concat())
}

/// What differs between the signals: where the innermost attributes of an item stand, from the outside in.
fn path(signal: Signal) -> &'static [u32] {
    match signal {
        // Resource, scope, span, attribute.
        Signal::Traces => &[1, 2, 2, 9],
        // Resource, scope, record, attribute.
        Signal::Logs => &[1, 2, 2, 6],
        // Resource, scope, metric, gauge, point, attribute.
        Signal::Metrics => &[1, 2, 2, 5, 1, 7],
    }
}

/// A request around an attribute, with unknown fields before and behind what is known at every level.
fn request() -> impl Strategy<Value = (Signal, Vec<u8>)> {
    let signals = prop::sample::select(vec![Signal::Traces, Signal::Logs, Signal::Metrics]);
    let said = prop_oneof![
        "[a-zé]{0,9}".prop_map(Value::StringValue),
        any::<i64>().prop_map(Value::IntValue),
        any::<f64>().prop_map(Value::DoubleValue),
        prop::collection::vec(any::<u8>(), 0..9).prop_map(Value::BytesValue),
    ];
    let level = (unknown(), unknown(), any::<bool>());
    (signals, "(gen_ai\\.input\\.messages|input\\.value|[a-z.]{1,9})", said, prop::collection::vec(level, 6)).prop_map(
        |(signal, key, value, levels)| {
            let mut body = attribute(&key, value).encode_to_vec();
            for (number, (before, behind, padded)) in path(signal).iter().rev().zip(levels) {
                body = [before, field(*number, &body, padded), behind].concat();
            }
            (signal, body)
        },
    )
}

/// The body of the only envelope that came of `body`.
async fn relayed(running: &mut Running, signal: Signal, body: &[u8], by_grpc: bool) -> Vec<u8> {
    if by_grpc {
        let service = match signal {
            Signal::Traces => "trace.v1.TraceService",
            Signal::Metrics => "metrics.v1.MetricsService",
            Signal::Logs => "logs.v1.LogsService",
        };
        let uri = format!("http://{}/opentelemetry.proto.collector.{service}/Export", running.grpc);
        let stream = tokio::net::TcpStream::connect(running.grpc).await.unwrap();
        let executor = hyper_util::rt::TokioExecutor::new();
        let io = hyper_util::rt::TokioIo::new(stream);
        let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
        tokio::spawn(connection);
        let framed = [&[0], u32::try_from(body.len()).unwrap().to_be_bytes().as_slice(), body].concat();
        let mut request = post("/", &[("content-type", "application/grpc")], framed);
        *request.uri_mut() = uri.parse().unwrap();
        request.headers_mut().remove("host");
        let response = sender.send_request(request).await.unwrap();
        // An error would stand here; success stands in the trailers.
        assert!(response.headers().get("grpc-status").is_none(), "{response:?}");
    } else {
        let path = format!("/v1/{}", signal.as_str());
        assert_eq!(send(running.http, post(&path, &[PROTOBUF], body.to_vec())).await.status, StatusCode::OK);
    }
    let envelope = running.relay.as_mut().unwrap().next().await.unwrap();
    assert_eq!((envelope.signal, envelope.items), (signal, 1));
    envelope.body.to_vec()
}

proptest! {
    #[test]
    fn a_request_goes_on_byte_for_byte((signal, body) in request(), by_grpc in any::<bool>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let got = runtime.block_on(async {
            let mut running = Setup::default().start();
            relayed(&mut running, signal, &body, by_grpc).await
        });
        prop_assert_eq!(got, body);
    }
}
