//! Tokens that rotate, and what Amazon CloudWatch wants and says.

use std::path::PathBuf;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics};
use prost::Message;
use tempfile::TempDir;
use wattline_core::Signal;
use wattline_export_delivery::Retry;
use wattline_export_otlp::{CloudWatch, Config};

use crate::rig::{Rig, config, counts, logs, spans};
use crate::web::{OK, Reply, Web, status};

/// A file with a token, in a folder that lasts as long.
fn token(text: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    std::fs::write(&path, text).unwrap();
    (directory, path)
}

#[tokio::test]
async fn a_token_that_was_rotated_is_used_at_once_without_a_pause() {
    let (_directory, path) = token("old-token\n");
    let rotated = path.clone();
    let mut web = Web::start(move |seen| match seen.header("authorization") {
        "Bearer new-token" => OK,
        _ => {
            // As long as the old one, so that only a second look tells them apart where clocks are coarse.
            std::fs::write(&rotated, "new-token\n").unwrap();
            status(401)
        }
    })
    .await;
    let retry = Retry { unauthorized: Duration::from_hours(1), ..Retry::default() };
    let rig = Rig::start(Config { bearer_token_file: Some(path), retry, ..config(web.url()) });
    rig.relay(Signal::Traces, &spans(3), 3);
    assert_eq!(web.seen().await.header("authorization"), "Bearer old-token");
    assert_eq!(web.seen().await.header("authorization"), "Bearer new-token");
    assert_eq!(rig.finish().await, counts(&[("exported traces", 3)]));
}

#[tokio::test]
async fn a_token_file_that_vanished_pauses_and_keeps_the_data() {
    let (directory, path) = token("some-token");
    let mut web = Web::start(|_| OK).await;
    let rig = Rig::start(Config { bearer_token_file: Some(path.clone()), ..config(web.url()) });
    std::fs::remove_file(&path).unwrap();
    rig.relay(Signal::Traces, &spans(3), 3);
    rig.told("bearer_token_file cannot be read").await;
    assert_eq!(web.rest().len(), 0);
    std::fs::write(&path, "some-token").unwrap();
    web.seen().await;
    assert_eq!(rig.finish().await, counts(&[("exported traces", 3)]));
    drop(directory);
}

#[tokio::test]
async fn a_header_from_a_file_goes_along_and_is_not_told_when_the_server_repeats_it() {
    let (_directory, path) = token("s3cret-api-key");
    let mut web = Web::start(|seen| match seen.number {
        0 => Reply::Answer(503, &[], seen.header("x-api-key").as_bytes().to_vec()),
        _ => OK,
    })
    .await;
    let header_files = [("x-api-key".to_owned(), path)].into();
    let rig = Rig::start(Config { header_files, ..config(web.url()) });
    rig.relay(Signal::Traces, &spans(3), 3);
    assert_eq!(web.seen().await.header("x-api-key"), "s3cret-api-key");
    rig.told("HTTP 503: ***").await;
    assert_eq!(rig.finish().await, counts(&[("exported traces", 3)]));
}

/// CloudWatch by a token, at a server of the test.
fn cloudwatch(web: &Web, signal: Signal) -> (TempDir, Config) {
    let (directory, path) = token("api-key-of-cloudwatch");
    let Config { name, retry, interval, .. } = config("");
    let destination = CloudWatch {
        name,
        signals: vec![signal],
        log_group: Some("/wattline/llm".to_owned()),
        log_stream: Some("host-1".to_owned()),
        bearer_token_file: Some(path),
        endpoint: Some(web.url()),
        retry,
        interval,
        ..CloudWatch::default()
    };
    (directory, destination.into())
}

#[tokio::test]
async fn logs_name_their_group_and_stream() {
    let mut web = Web::start(|_| OK).await;
    let (_directory, config) = cloudwatch(&web, Signal::Logs);
    let rig = Rig::start(config);
    rig.relay(Signal::Logs, &logs(2), 2);
    let seen = web.seen().await;
    assert_eq!(seen.uri.path(), "/v1/logs");
    let sent =
        ["x-aws-log-group", "x-aws-log-stream", "authorization", "content-encoding"].map(|name| seen.header(name));
    assert_eq!(sent, ["/wattline/llm", "host-1", "Bearer api-key-of-cloudwatch", "gzip"]);
    assert_eq!(rig.finish().await, counts(&[("exported logs", 2)]));
}

#[tokio::test]
async fn a_missing_log_group_is_told_with_its_remedy_and_nothing_is_lost() {
    let web = Web::start(|_| {
        let body = br#"{"__type":"ResourceNotFoundException","message":"The specified log group does not exist."}"#;
        Reply::Answer(400, &[("content-type", "application/json")], body.to_vec())
    })
    .await;
    let (_directory, config) = cloudwatch(&web, Signal::Logs);
    let rig = Rig::start(Config { grace: Duration::ZERO, ..config });
    rig.relay(Signal::Logs, &logs(2), 2);
    rig.told("aws logs create-log-group --log-group-name /wattline/llm").await;
    assert_eq!(rig.finish().await, counts(&[("shutdown logs", 2)]), "it was waiting and was not refused");
}

#[tokio::test]
async fn throttling_by_400_is_tried_again_and_too_many_points_are_cut() {
    let mut web = Web::start(|seen| match seen.number {
        0 => Reply::Answer(400, &[], br#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#.to_vec()),
        _ => OK,
    })
    .await;
    let (_directory, config) = cloudwatch(&web, Signal::Metrics);
    let rig = Rig::start(config);
    rig.publish(1, 2_500);
    let bodies = [web.seen().await, web.seen().await, web.seen().await, web.seen().await];
    assert_eq!(bodies[0].body, bodies[1].body);
    assert_eq!(rig.finish().await, counts(&[("exported metrics", 2_500)]), "three requests of at most a thousand");
}

#[tokio::test]
async fn a_label_that_cloudwatch_would_refuse_is_cut_and_counted() {
    let mut web = Web::start(|_| OK).await;
    let (_directory, config) = cloudwatch(&web, Signal::Metrics);
    let rig = Rig::start(config);
    let value = Some(AnyValue { value: Some(Value::StringValue("x".repeat(5_000))) });
    let attributes = vec![KeyValue { key: "command".to_owned(), value, ..Default::default() }];
    let gauge = Gauge { data_points: vec![NumberDataPoint { attributes, ..Default::default() }] };
    let metric = Metric { data: Some(Data::Gauge(gauge)), ..Default::default() };
    let scopes = vec![ScopeMetrics { metrics: vec![metric], ..Default::default() }];
    let resource = ResourceMetrics { scope_metrics: scopes, ..Default::default() };
    let body = ExportMetricsServiceRequest { resource_metrics: vec![resource] }.encode_to_vec();
    rig.relay(Signal::Metrics, &body.into(), 1);
    assert!(web.seen().await.body.len() < 2_000);
    assert_eq!(rig.finish().await, counts(&[("exported metrics", 1), ("shortened", 1)]));
}

#[tokio::test]
async fn a_wrong_clock_is_named() {
    let web =
        Web::start(|_| Reply::Answer(403, &[("date", "Tue, 14 Nov 2023 23:13:20 GMT")], b"Signature expired".to_vec()))
            .await;
    let (_directory, config) = cloudwatch(&web, Signal::Metrics);
    let rig = Rig::start(Config { grace: Duration::ZERO, ..config });
    rig.publish(1, 1);
    rig.told("3600 s behind that of AWS").await;
    assert_eq!(rig.finish().await, counts(&[("shutdown metrics", 1)]));
}
