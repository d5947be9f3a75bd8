use std::time::Duration;

use http::{Method, StatusCode};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric::Data,
};
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use wattline_core::Signal;

use crate::support::{JSON, NOW, PROTOBUF, Setup, encoded, gzip, padded, post, request, send};

#[tokio::test]
async fn a_protobuf_request_is_booked_relayed_as_it_came_and_answered_in_kind() {
    let mut running = Setup::default().start();
    let body = encoded(7);
    let reply = send(running.http, post("/v1/traces", &[PROTOBUF], body.clone())).await;
    assert_eq!((reply.status, reply.header("content-type")), (StatusCode::OK, "application/x-protobuf"));
    assert!(reply.body.is_empty());
    let (calls, envelopes, counted) = running.seen();
    assert_eq!((calls.len(), calls[0].usage.input), (1, 7));
    assert_eq!(envelopes.len(), 1);
    assert_eq!((envelopes[0].body.as_ref(), envelopes[0].items), (body.as_slice(), 2));
    assert_eq!((envelopes[0].signal, envelopes[0].at), (Signal::Traces, NOW.wall));
    assert_eq!(counted, "wattline.received traces 2");
}

#[tokio::test]
async fn a_json_request_is_relayed_as_protobuf_and_answered_in_json() {
    let mut running = Setup::default().start();
    let body = serde_json::to_vec(&request(7)).unwrap();
    let content_type = ("content-type", "application/json; charset=utf-8");
    let reply = send(running.http, post("/v1/traces", &[content_type], body)).await;
    assert_eq!((reply.status, reply.header("content-type")), (StatusCode::OK, "application/json"));
    assert_eq!(reply.body, "{}");
    let (calls, envelopes, _) = running.seen();
    assert_eq!(calls[0].usage.input, 7);
    let relayed = <_ as Message>::decode(envelopes[0].body.clone());
    assert_eq!(relayed, Ok(request(7)));
}

#[tokio::test]
async fn compressed_requests_are_taken() {
    let mut running = Setup::default().start();
    let mut deflate = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut deflate, &encoded(7)).unwrap();
    for (name, body) in [
        ("identity", encoded(7)),
        ("gzip", gzip(&encoded(7))),
        ("zstd", zstd::stream::encode_all(encoded(7).as_slice(), 3).unwrap()),
        ("deflate", deflate.finish().unwrap()),
    ] {
        let reply = send(running.http, post("/v1/traces", &[PROTOBUF, ("content-encoding", name)], body)).await;
        assert_eq!(reply.status, StatusCode::OK, "{name}");
    }
    let (calls, envelopes, _) = running.seen();
    assert_eq!(calls.len(), 4);
    assert!(envelopes.iter().all(|envelope| envelope.body == encoded(7)));
}

#[tokio::test]
async fn metrics_and_logs_are_counted_and_relayed() {
    let mut running = Setup::default().start();
    let data = Some(Data::Gauge(Gauge { data_points: vec![NumberDataPoint::default(); 3] }));
    let metrics = vec![Metric { data, ..Default::default() }];
    let scope_metrics = vec![ScopeMetrics { metrics, ..Default::default() }];
    let metrics =
        ExportMetricsServiceRequest { resource_metrics: vec![ResourceMetrics { scope_metrics, ..Default::default() }] };
    let scope_logs = vec![ScopeLogs { log_records: vec![LogRecord::default(); 4], ..Default::default() }];
    let logs = ExportLogsServiceRequest { resource_logs: vec![ResourceLogs { scope_logs, ..Default::default() }] };
    for (path, body) in [("/v1/metrics", metrics.encode_to_vec()), ("/v1/logs", logs.encode_to_vec())] {
        assert_eq!(send(running.http, post(path, &[PROTOBUF], body)).await.status, StatusCode::OK);
    }
    let (calls, envelopes, counted) = running.seen();
    assert_eq!(calls.len(), 0);
    let relayed: Vec<_> = envelopes.iter().map(|envelope| (envelope.signal, envelope.items)).collect();
    assert_eq!(relayed, [(Signal::Metrics, 3), (Signal::Logs, 4)]);
    assert_eq!(counted, "wattline.received logs 4\nwattline.received metrics 3");
}

#[tokio::test]
async fn an_empty_request_is_a_success_and_leaves_nothing() {
    let mut running = Setup::default().start();
    for (content_type, body) in [(PROTOBUF, ""), (JSON, "{}"), (JSON, r#"{"resourceSpans":[]}"#)] {
        assert_eq!(send(running.http, post("/v1/traces", &[content_type], body)).await.status, StatusCode::OK);
    }
    let (calls, envelopes, counted) = running.seen();
    assert_eq!((calls.len(), envelopes.len(), counted.as_str()), (0, 0, ""));
}

#[tokio::test]
async fn without_a_relay_what_nobody_reads_is_counted_as_lost() {
    let mut running = Setup { relay: None, ..Setup::default() }.start();
    let scope_logs = vec![ScopeLogs { log_records: vec![LogRecord::default()], ..Default::default() }];
    let logs = ExportLogsServiceRequest { resource_logs: vec![ResourceLogs { scope_logs, ..Default::default() }] };
    send(running.http, post("/v1/logs", &[PROTOBUF], logs.encode_to_vec())).await;
    send(running.http, post("/v1/traces", &[PROTOBUF], encoded(7))).await;
    let (calls, _, counted) = running.seen();
    assert_eq!(calls.len(), 1);
    assert_eq!(
        counted,
        "wattline.dropped logs no_destination relay 1\nwattline.received logs 1\nwattline.received traces 2"
    );
}

#[tokio::test]
async fn what_is_no_request_is_told_apart() {
    let running = Setup::default().start();
    let reply = send(running.http, post("/v1/profiles", &[PROTOBUF], "")).await;
    assert_eq!(reply.status, StatusCode::NOT_FOUND);
    let mut get = post("/v1/traces", &[PROTOBUF], "");
    *get.method_mut() = Method::GET;
    let reply = send(running.http, get).await;
    assert_eq!((reply.status, reply.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, "POST"));
    for headers in [&[][..], &[("content-type", "text/plain")], &[("content-type", "application/grpc")]] {
        let reply = send(running.http, post("/v1/traces", headers, "")).await;
        assert_eq!(reply.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    let reply = send(running.http, post("/v1/logs", &[JSON, ("content-encoding", "br")], "")).await;
    assert_eq!(reply.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(reply.header("accept-encoding"), "gzip, zstd, deflate");
    assert_eq!(
        running.counted(),
        "wattline.refused content_encoding logs 1\nwattline.refused content_type traces 3\n\
         wattline.refused method traces 1"
    );
}

#[tokio::test]
async fn malformed_requests_are_bad_requests_and_the_next_one_is_taken() {
    let mut running = Setup::default().start();
    let whole = encoded(7);
    let truncated = whole[..whole.len() - 1].to_vec();
    let (open, close) = (r#"{"arrayValue":{"values":["#.repeat(200), "]}}".repeat(200));
    let deep = format!(r#"{{"resourceSpans":[{{"resource":{{"attributes":[{{"value":{open}{close}}}]}}}}]}}"#);
    let mut broken_gzip = gzip(&whole);
    broken_gzip.truncate(20);
    let requests = [
        post("/v1/traces", &[PROTOBUF], truncated),
        post("/v1/traces", &[PROTOBUF], &b"\xff\xff\xff\xff"[..]),
        post("/v1/traces", &[JSON], "{\"resourceSpans\":"),
        post("/v1/traces", &[JSON], deep),
        post("/v1/traces", &[PROTOBUF, ("content-encoding", "gzip")], broken_gzip),
        post("/v1/traces", &[PROTOBUF, ("content-encoding", "zstd")], whole.clone()),
    ];
    for request in requests {
        let content_type = request.headers()["content-type"].to_str().unwrap().to_owned();
        let reply = send(running.http, request).await;
        assert_eq!((reply.status, reply.header("content-type")), (StatusCode::BAD_REQUEST, content_type.as_str()));
        // google.rpc.Status with code 3, INVALID_ARGUMENT.
        if content_type == JSON.1 {
            let status: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
            assert_eq!(status["code"], 3);
            assert!(status["message"].as_str().unwrap().contains("not a valid message"), "{status}");
        } else {
            assert_eq!(reply.body[..2], [8, 3]);
        }
    }
    assert_eq!(send(running.http, post("/v1/traces", &[PROTOBUF], whole)).await.status, StatusCode::OK);
    let (calls, envelopes, counted) = running.seen();
    assert_eq!((calls.len(), envelopes.len()), (1, 1));
    assert_eq!(counted, "wattline.received traces 2\nwattline.refused traces undecodable 6");
}

#[tokio::test]
async fn a_connection_lives_on_after_a_bad_request() {
    let running = Setup::default().start();
    let mut stream = TcpStream::connect(running.http).await.unwrap();
    let head = "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\n";
    stream.write_all(format!("{head}content-length: 1\r\n\r\n\u{7f}").as_bytes()).await.unwrap();
    stream.write_all(format!("{head}content-length: 0\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut replies = String::new();
    stream.read_to_string(&mut replies).await.unwrap();
    assert!(replies.starts_with("HTTP/1.1 400") && replies.contains("HTTP/1.1 200"), "{replies}");
}

#[tokio::test]
async fn too_large_is_told_for_good_whether_claimed_sent_or_unfolded() {
    let mut running = Setup::with(|config| config.max_body_bytes = 100_000).start();
    let large = padded(150_000).encode_to_vec();
    let bomb = gzip(&padded(30 << 20).encode_to_vec());
    let zstd_bomb = zstd::stream::encode_all(padded(30 << 20).encode_to_vec().as_slice(), 3).unwrap();
    assert!(bomb.len() < 100_000 && zstd_bomb.len() < 100_000);
    let json = format!(r#"{{"resourceSpans":[{}]}}"#, "{},".repeat(40_000));
    for request in [
        post("/v1/traces", &[PROTOBUF], large),
        post("/v1/traces", &[PROTOBUF, ("content-encoding", "gzip")], bomb),
        post("/v1/traces", &[PROTOBUF, ("content-encoding", "zstd")], zstd_bomb),
        post("/v1/traces", &[JSON], json),
    ] {
        let reply = send(running.http, request).await;
        assert_eq!((reply.status, reply.header("retry-after")), (StatusCode::PAYLOAD_TOO_LARGE, ""));
    }
    let (calls, envelopes, counted) = running.seen();
    assert_eq!((calls.len(), envelopes.len()), (0, 0));
    assert_eq!(counted, "wattline.refused too_large traces 4");
}

#[tokio::test]
async fn too_many_items_or_attributes_are_told_for_good() {
    let running = Setup::with(|config| (config.max_items, config.max_attributes) = (2, 3)).start();
    let mut many = request(1);
    let spans = &mut many.resource_spans[0].scope_spans[0].spans;
    spans.push(spans[1].clone());
    let reply = send(running.http, post("/v1/traces", &[PROTOBUF], many.encode_to_vec())).await;
    assert_eq!(reply.status, StatusCode::PAYLOAD_TOO_LARGE);
    let reply = send(running.http, post("/v1/traces", &[PROTOBUF], padded(1).encode_to_vec())).await;
    assert_eq!(reply.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(
        running.counted(),
        "wattline.refused too_many_attributes traces 1\nwattline.refused too_many_items traces 1"
    );
}

#[tokio::test]
async fn when_either_queue_is_full_the_sender_comes_again_and_nothing_is_booked_twice() {
    for (readings, relay) in [(1, 16), (16, 1)] {
        let mut running = Setup { readings, relay: Some(relay), ..Setup::default() }.start();
        assert_eq!(send(running.http, post("/v1/traces", &[PROTOBUF], encoded(1))).await.status, StatusCode::OK);
        let reply = send(running.http, post("/v1/traces", &[JSON], serde_json::to_vec(&request(2)).unwrap())).await;
        assert_eq!((reply.status, reply.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, "1"));
        let status: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!((&status["code"], &status["details"][0]["retryDelay"]), (&8.into(), &"1s".into()));

        let (calls, envelopes, counted) = running.seen();
        assert_eq!((calls.len(), envelopes.len()), (1, 1), "the refused request left a trace");
        assert_eq!(counted, "wattline.received traces 2\nwattline.refused queue_full traces 1");

        assert_eq!(send(running.http, post("/v1/traces", &[PROTOBUF], encoded(2))).await.status, StatusCode::OK);
        let (calls, envelopes, _) = running.seen();
        assert_eq!((calls.len(), calls[0].usage.input, envelopes.len()), (1, 2, 1));
    }
}

#[tokio::test]
async fn when_nobody_receives_any_more_the_sender_is_told_to_come_again() {
    let mut running = Setup::default().start();
    running.relay = None;
    let reply = send(running.http, post("/v1/traces", &[PROTOBUF], encoded(1))).await;
    assert_eq!((reply.status, reply.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, "1"));
    assert!(running.readings.try_next().is_none());
}

#[tokio::test]
async fn a_body_that_drips_is_given_up() {
    let running = Setup::with(|config| config.read_timeout = Duration::from_millis(50)).start();
    let mut stream = TcpStream::connect(running.http).await.unwrap();
    let head = "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    assert!(reply.starts_with("HTTP/1.1 503") && reply.contains("retry-after: 1\r\n"), "{reply}");
    assert_eq!(running.counted(), "wattline.refused slow traces 1");
}
