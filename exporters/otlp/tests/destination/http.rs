//! OTLP over HTTP.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;
use wattline_core::Signal;
use wattline_export_delivery::{Compression, Secret};
use wattline_export_otlp::Config;

use crate::journal;
use crate::rig::{Rig, config, counts, logs, spans, spans_of};
use crate::web::{OK, Reply, Web, status};

#[tokio::test]
async fn every_compression_delivers_the_bytes_as_they_were() {
    for (compression, encoding) in [(Compression::None, ""), (Compression::Gzip, "gzip"), (Compression::Zstd, "zstd")] {
        let mut web = Web::start(|_| OK).await;
        let headers = BTreeMap::from([("x-api-key".to_owned(), Secret::new("letmein-123"))]);
        let rig = Rig::start(Config { compression, headers, ..config(web.url()) });
        // One body is compressed in place and the other on a thread of its own.
        let bodies = [spans(3), spans(2_000)];
        rig.relay(Signal::Traces, &bodies[0], 3);
        rig.relay(Signal::Traces, &bodies[1], 2_000);
        for body in &bodies {
            let seen = web.seen().await;
            assert_eq!(seen.body, *body);
            assert_eq!(seen.uri.path(), "/v1/traces");
            assert_eq!(seen.header("content-encoding"), encoding);
            assert_eq!(seen.header("content-type"), "application/x-protobuf");
            assert_eq!(seen.header("x-api-key"), "letmein-123");
            assert_eq!(seen.header("user-agent"), concat!("wattline/", env!("CARGO_PKG_VERSION")));
        }
        assert_eq!(rig.finish().await, counts(&[("exported traces", 2_003)]));
    }
}

#[tokio::test]
async fn snapshots_go_out_at_once_and_once_more_at_the_end() {
    let mut web = Web::start(|_| OK).await;
    let rig = Rig::start(Config { max_points: 2, ..config(web.url()) });
    rig.publish(1, 3);
    let points = |body: &[u8]| {
        let request = ExportMetricsServiceRequest::decode(body).unwrap();
        let metrics = request.resource_metrics.iter().flat_map(|r| &r.scope_metrics).flat_map(|s| &s.metrics);
        metrics.map(|metric| format!("{:?}", metric.data).matches("NumberDataPoint {").count()).sum::<usize>()
    };
    let (first, second) = (web.seen().await, web.seen().await);
    assert_eq!((points(&first.body), points(&second.body)), (2, 1));
    assert_eq!(first.uri.path(), "/v1/metrics");
    // The second is never sent, for the interval is long; the third is the last and is.
    rig.publish(2, 1);
    rig.publish(3, 1);
    assert_eq!(rig.finish().await, counts(&[("exported metrics", 4)]));
    let last = web.rest();
    assert_eq!(last.len(), 1);
    assert!(format!("{:?}", ExportMetricsServiceRequest::decode(last[0].body.as_slice())).contains("AsDouble(3.0)"));
}

#[tokio::test]
async fn a_figure_that_no_backend_takes_is_counted() {
    let mut web = Web::start(|_| OK).await;
    let rig = Rig::start(config(web.url()));
    rig.publish_all(1, &[1.0, f64::NAN, 3.0]);
    web.seen().await;
    assert_eq!(rig.finish().await, counts(&[("exported metrics", 2), ("encoding metrics", 1)]));
}

#[tokio::test]
async fn the_same_snapshot_is_not_sent_twice() {
    let mut web = Web::start(|_| OK).await;
    let rig = Rig::start(Config { interval: Duration::from_millis(1), ..config(web.url()) });
    rig.publish(1, 1);
    web.seen().await;
    rig.publish(2, 1);
    web.seen().await;
    assert_eq!(rig.finish().await, counts(&[("exported metrics", 2)]));
    assert_eq!(web.rest().len(), 0);
}

#[tokio::test]
async fn unavailable_is_tried_again_after_the_pause_that_the_server_asks_for() {
    let mut web = Web::start(|seen| match seen.number {
        0 => Reply::Answer(503, &[("retry-after", "1")], b"drowning".to_vec()),
        _ => OK,
    })
    .await;
    let rig = Rig::start(config(web.url()));
    rig.relay(Signal::Traces, &spans(3), 3);
    web.seen().await;
    let refused = Instant::now();
    assert_eq!(web.seen().await.body, spans(3));
    assert!(refused.elapsed() >= Duration::from_millis(990), "waited only {:?}", refused.elapsed());
    let name = rig.name.clone();
    assert_eq!(rig.finish().await, counts(&[("exported traces", 3)]));
    let told: Vec<String> = journal::lines(&name).into_iter().filter(|line| !line.starts_with("DEBUG")).collect();
    assert_eq!(told.len(), 2, "one line for the failure and one for the recovery: {told:#?}");
    assert!(told[0].starts_with("WARN") && told[0].contains("HTTP 503: drowning"), "{told:#?}");
    assert!(told[1].starts_with("INFO") && told[1].contains("takes data again"), "{told:#?}");
}

#[tokio::test]
async fn the_other_retryable_statuses_are_tried_again_too() {
    let mut web = Web::start(|seen| match seen.number {
        0 => status(429),
        1 => status(502),
        2 => status(504),
        _ => OK,
    })
    .await;
    let rig = Rig::start(config(web.url()));
    rig.relay(Signal::Logs, &logs(2), 2);
    for _ in 0..4 {
        assert_eq!(web.seen().await.uri.path(), "/v1/logs");
    }
    assert_eq!(rig.finish().await, counts(&[("exported logs", 2)]));
}

#[tokio::test]
async fn what_the_server_refuses_for_good_is_counted_and_never_sent_again() {
    for code in [302, 400, 404, 500, 501] {
        let answer = move |number| match number {
            // A redirect must not be followed: it would carry our headers to somebody else.
            0 => Reply::Answer(code, &[("location", "/elsewhere")], Vec::new()),
            _ => OK,
        };
        let mut web = Web::start(move |seen| answer(seen.number)).await;
        let rig = Rig::start(config(web.url()));
        rig.relay(Signal::Traces, &spans(3), 3);
        rig.relay(Signal::Traces, &spans(4), 4);
        assert_eq!(rig.finish().await, counts(&[("exported traces", 4), ("rejected traces", 3)]), "{code}");
        assert_eq!(web.rest().len(), 2, "{code}");
    }
}

#[tokio::test]
async fn a_request_that_is_too_large_is_cut_until_it_fits() {
    const SERVER_BYTES_MAX: usize = 20_000;
    let mut web = Web::start(|seen| if seen.body.len() > SERVER_BYTES_MAX { status(413) } else { OK }).await;
    let rig = Rig::start(config(web.url()));
    let whole = spans_of(300, 200);
    assert!(whole.len() > 3 * SERVER_BYTES_MAX);
    rig.relay(Signal::Traces, &whole, 300);
    // One span alone is larger than the server takes.
    rig.relay(Signal::Traces, &spans_of(1, 30_000), 1);
    assert_eq!(rig.finish().await, counts(&[("exported traces", 300), ("too_large traces", 1)]));
    let mut names = Vec::new();
    for seen in web.rest().iter().filter(|seen| seen.body.len() <= SERVER_BYTES_MAX) {
        let request = ExportTraceServiceRequest::decode(seen.body.as_slice()).unwrap();
        names.extend(request.resource_spans[0].scope_spans[0].spans.iter().map(|span| span.name.clone()));
    }
    let expected: Vec<String> = (0..300).map(|index| format!("{index:0>200}")).collect();
    assert_eq!(names, expected, "each span once and in order");
}

#[tokio::test]
async fn a_refused_credential_pauses_and_keeps_the_data() {
    let mut web = Web::start(|seen| match seen.number {
        0 => status(401),
        1 => status(403),
        _ => OK,
    })
    .await;
    let rig = Rig::start(config(web.url()));
    rig.relay(Signal::Traces, &spans(3), 3);
    web.seen().await;
    let refused = Instant::now();
    web.seen().await;
    web.seen().await;
    assert!(refused.elapsed() >= Duration::from_millis(39), "paused only {:?}", refused.elapsed());
    assert_eq!(rig.finish().await, counts(&[("exported traces", 3)]));
}

#[tokio::test]
async fn partial_success_is_counted_and_not_sent_again() {
    let mut web = Web::start(|_| {
        let partial = ExportTracePartialSuccess { rejected_spans: 2, error_message: "too old".to_owned() };
        let body = ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec();
        Reply::Answer(200, &[("content-type", "application/x-protobuf")], body)
    })
    .await;
    let rig = Rig::start(config(web.url()));
    let name = rig.name.clone();
    rig.relay(Signal::Traces, &spans(5), 5);
    rig.relay(Signal::Traces, &spans(5), 5);
    assert_eq!(rig.finish().await, counts(&[("exported traces", 6), ("partial_rejection traces", 4)]));
    assert_eq!(web.rest().len(), 2);
    let warnings =
        journal::lines(&name).into_iter().filter(|line| line.contains("too old") && line.starts_with("WARN"));
    assert_eq!(warnings.count(), 1, "told once, not with every request");
}

#[tokio::test]
async fn a_server_that_comes_late_gets_everything() {
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let rig = Rig::start(config(format!("http://{address}")));
    rig.relay(Signal::Traces, &spans(3), 3);
    rig.relay(Signal::Logs, &logs(2), 2);
    rig.told("fails and will be tried again").await;
    let mut web = Web::start_on(TcpListener::bind(address).await.unwrap(), |_| OK);
    web.seen().await;
    web.seen().await;
    assert_eq!(rig.finish().await, counts(&[("exported traces", 3), ("exported logs", 2)]));
}

#[tokio::test]
async fn a_silent_server_is_given_up_on_and_asked_again() {
    let mut web = Web::start(|seen| if seen.number == 0 { Reply::Silence } else { OK }).await;
    let rig = Rig::start(Config { timeout: Duration::from_millis(100), ..config(web.url()) });
    rig.relay(Signal::Traces, &spans(3), 3);
    web.seen().await;
    rig.told("no answer within 100ms").await;
    assert_eq!(web.seen().await.body, spans(3));
    assert_eq!(rig.finish().await, counts(&[("exported traces", 3)]));
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rig = Rig::start(config(format!("http://{}", listener.local_addr().unwrap())));
    rig.relay(Signal::Traces, &spans(3), 3);
    let (mut connection, _) = listener.accept().await.unwrap();
    let mut request = vec![0; 64];
    connection.read_exact(&mut request).await.unwrap();
    let answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 100\r\n\r\n\x0a";
    connection.write_all(answer).await.unwrap();
    drop(connection);
    rig.told("fails and will be tried again").await;
    let mut web = Web::start_on(listener, |_| OK);
    assert_eq!(web.seen().await.body, spans(3));
    assert_eq!(rig.finish().await, counts(&[("exported traces", 3)]));
}

#[tokio::test]
async fn an_answer_over_the_limit_is_not_read_and_not_tried_again() {
    const MIB: usize = 1024 * 1024;
    let mut web = Web::start(|seen| {
        let body = vec![0; if seen.number == 0 { 5 * MIB } else { 4 * MIB }];
        Reply::Answer(200, &[("content-type", "application/x-protobuf")], body)
    })
    .await;
    let rig = Rig::start(config(web.url()));
    rig.relay(Signal::Traces, &spans(3), 3);
    rig.relay(Signal::Traces, &spans(2), 2);
    assert_eq!(rig.finish().await, counts(&[("exported traces", 2), ("response_too_large traces", 3)]));
    assert_eq!(web.rest().len(), 2);
}

#[tokio::test]
async fn stopping_takes_no_longer_than_the_grace_and_counts_the_rest() {
    let mut web = Web::start(|_| Reply::Silence).await;
    let rig = Rig::start(Config { grace: Duration::from_millis(200), ..config(web.url()) });
    rig.relay(Signal::Traces, &spans(3), 3);
    rig.relay(Signal::Traces, &spans(4), 4);
    web.seen().await;
    let stopped = Instant::now();
    assert_eq!(rig.finish().await, counts(&[("shutdown traces", 7)]));
    let took = stopped.elapsed();
    assert!((Duration::from_millis(190)..Duration::from_secs(5)).contains(&took), "took {took:?}");
}

#[tokio::test]
async fn stopping_does_not_wait_for_a_pause_that_is_longer_than_the_grace() {
    let web = Web::start(|_| Reply::Answer(503, &[("retry-after", "100")], Vec::new())).await;
    let rig = Rig::start(Config { grace: Duration::from_secs(50), ..config(web.url()) });
    rig.relay(Signal::Logs, &logs(3), 3);
    rig.told("fails and will be tried again").await;
    let stopped = Instant::now();
    assert_eq!(rig.finish().await, counts(&[("shutdown logs", 3)]));
    assert!(stopped.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn stopping_sends_what_still_waits() {
    let mut web = Web::start(|_| OK).await;
    let rig = Rig::start(config(web.url()));
    for _ in 0..300 {
        rig.relay(Signal::Traces, &spans(1), 1);
    }
    assert_eq!(rig.finish().await, counts(&[("exported traces", 300)]));
    assert_eq!(web.rest().len(), 300);
}

#[tokio::test]
async fn a_full_backlog_drops_the_oldest_and_counts_it() {
    let mut web = Web::start(|_| Reply::Silence).await;
    let body: Bytes = spans_of(1, 1_000);
    let rig = Rig::start(Config {
        max_bytes: 2_000,
        compression: Compression::None,
        memory_bytes: 10 * (body.len() as u64 + 128),
        grace: Duration::ZERO,
        ..config(web.url())
    });
    rig.relay(Signal::Traces, &body, 1);
    web.seen().await;
    for _ in 0..100 {
        rig.relay(Signal::Traces, &body, 1);
    }
    let name = rig.name.clone();
    assert_eq!(rig.finish().await, counts(&[("queue_full traces", 91), ("shutdown traces", 10)]));
    let warnings =
        journal::lines(&name).into_iter().filter(|line| line.contains("WARN") && line.contains("queue_full"));
    assert_eq!(warnings.count(), 1, "told once, counted 91 times");
}

#[tokio::test]
async fn a_signal_that_is_refused_does_not_hold_up_the_others() {
    let mut web = Web::start(|seen| if seen.uri.path() == "/v1/logs" { status(401) } else { OK }).await;
    let rig = Rig::start(Config { grace: Duration::ZERO, ..config(web.url()) });
    rig.relay(Signal::Logs, &logs(2), 2);
    rig.told("refuses the credential").await;
    rig.relay(Signal::Traces, &spans(3), 3);
    while web.seen().await.uri.path() != "/v1/traces" {}
    rig.told("destination takes data").await;
    assert_eq!(rig.finish().await, counts(&[("exported traces", 3), ("shutdown logs", 2)]));
}

#[tokio::test]
async fn only_the_configured_signals_are_sent_and_an_own_endpoint_is_used_as_it_stands() {
    let mut web = Web::start(|_| OK).await;
    let rig = Rig::start(Config {
        signals: vec![Signal::Logs],
        logs_endpoint: Some(format!("{}/in?key=1", web.url())),
        ..config("http://127.0.0.1:9")
    });
    rig.publish(1, 5);
    rig.relay(Signal::Traces, &spans(3), 3);
    rig.relay(Signal::Logs, &logs(2), 2);
    assert_eq!(rig.finish().await, counts(&[("exported logs", 2)]));
    let seen = web.rest();
    assert_eq!(seen.iter().map(|seen| seen.uri.to_string()).collect::<Vec<_>>(), ["/in?key=1"]);
}

#[tokio::test]
async fn a_configured_proxy_carries_the_requests() {
    let mut proxy = Web::start(|_| OK).await;
    let address = Some(Secret::new(format!("http://user:letmein-123@{}", proxy.address)));
    let rig = Rig::start(Config { proxy: address, ..config("http://collector.invalid:4318") });
    rig.relay(Signal::Traces, &spans(3), 3);
    let seen = proxy.seen().await;
    assert_eq!(seen.uri.to_string(), "http://collector.invalid:4318/v1/traces");
    assert!(seen.header("proxy-authorization").starts_with("Basic "));
    assert_eq!(rig.finish().await, counts(&[("exported traces", 3)]));
}

#[tokio::test]
async fn an_envelope_without_items_is_not_sent() {
    let mut web = Web::start(|_| OK).await;
    let rig = Rig::start(config(web.url()));
    rig.relay(Signal::Traces, &Bytes::new(), 0);
    assert_eq!(rig.finish().await, counts(&[]));
    assert_eq!(web.rest().len(), 0);
}

#[tokio::test]
async fn no_secret_is_logged_even_when_the_server_repeats_it() {
    let web = Web::start(|seen| {
        let words = format!("no such token: {}", seen.header("authorization"));
        Reply::Answer(401, &[], words.into_bytes())
    })
    .await;
    let headers = BTreeMap::from([("authorization".to_owned(), Secret::new("Bearer s3cret-token-value"))]);
    let endpoint = Some(format!("{}/v1/traces?api_key=s3cret-query-value", web.url()));
    let config = Config { headers, traces_endpoint: endpoint, grace: Duration::ZERO, ..config(web.url()) };
    assert!(!format!("{:?}", config.headers).contains("s3cret"));
    let rig = Rig::start(config);
    rig.relay(Signal::Traces, &spans(3), 3);
    rig.told("HTTP 401: no such token: ***").await;
    assert_eq!(rig.finish().await, counts(&[("shutdown traces", 3)]));
    // A connection that fails is described by the library, which knows the whole address.
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let endpoint = Some(format!("http://{nobody}/v1/logs?api_key=s3cret-query-value"));
    let rig = Rig::start(Config { logs_endpoint: endpoint, grace: Duration::ZERO, ..crate::rig::config(web.url()) });
    rig.relay(Signal::Logs, &logs(2), 2);
    rig.told("Connection refused").await;
    assert_eq!(rig.finish().await, counts(&[("shutdown logs", 2)]));
    let ours = journal::all().into_iter().filter(|line| line.contains("wattline"));
    assert_eq!(ours.filter(|line| line.contains("s3cret")).count(), 0);
}
