//! Each way in which a destination can be wrong, told apart.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use wattline_core::{Signal, Timestamp};
use wattline_export_delivery::Compression;
use wattline_export_delivery::Secret;
use wattline_export_otlp::{Config, Fault, FaultKind, Protocol, Tls, try_out};

use crate::grpc::{Services, ok};
use crate::rig::config;
use crate::tls::Certificates;
use crate::web::{OK, Reply, Web, status};

fn traces(endpoint: impl Into<String>) -> Config {
    Config { signals: vec![Signal::Traces], timeout: Duration::from_secs(5), ..config(endpoint) }
}

async fn outcome(config: Config) -> Result<String, Fault> {
    try_out(config, Timestamp::default).await.unwrap().remove(0).outcome
}

#[track_caller]
fn is(outcome: Result<String, Fault>, kind: FaultKind, remedy: &str) {
    let fault = outcome.unwrap_err();
    assert_eq!(fault.kind, kind, "{fault:?}");
    assert!(fault.remedy.contains(remedy), "{fault:?}");
}

#[tokio::test]
async fn an_empty_request_of_each_signal_is_taken() {
    let mut web = Web::start(|_| OK).await;
    let trials = try_out(config(web.url()), Timestamp::default).await.unwrap();
    assert!(trials.iter().all(|trial| trial.outcome.as_deref() == Ok("takes data")), "{trials:?}");
    let seen = web.rest();
    assert_eq!(seen.iter().map(|seen| seen.uri.path()).collect::<Vec<_>>(), ["/v1/metrics", "/v1/traces", "/v1/logs"]);
    assert!(seen.iter().all(|seen| seen.body.is_empty()));

    let json = Config { protocol: Protocol::Json, compression: Compression::None, ..traces(web.url()) };
    assert!(outcome(json).await.is_ok());
    let body = web.seen().await.body;
    assert!(serde_json::from_slice::<serde_json::Value>(&body).unwrap().is_object());
}

#[tokio::test]
async fn a_place_that_is_not_there_is_told_from_one_that_says_nothing() {
    is(outcome(traces("http://no-such-host.invalid:4318")).await, FaultKind::Dns, "host name");
    is(
        outcome(Config { protocol: Protocol::Grpc, insecure: true, ..traces("no-such-host.invalid:4317") }).await,
        FaultKind::Dns,
        "host name",
    );
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    is(outcome(traces(format!("http://{nobody}"))).await, FaultKind::Refused, "start the receiver");
    let grpc = Config { protocol: Protocol::Grpc, ..traces(format!("http://{nobody}")) };
    is(outcome(grpc).await, FaultKind::Refused, "start the receiver");
    let web = Web::start(|_| Reply::Silence).await;
    let silent = Config { timeout: Duration::from_millis(200), ..traces(web.url()) };
    is(outcome(silent).await, FaultKind::Silent, "firewalls");
}

#[tokio::test]
async fn answers_are_told_apart() {
    for (code, kind, remedy) in [
        (301, FaultKind::Protocol, "redirect"),
        (400, FaultKind::Protocol, "cannot read"),
        (401, FaultKind::Credential, "bearer_token_file"),
        (403, FaultKind::Credential, "headers"),
        (404, FaultKind::Protocol, "/v1/metrics"),
        (405, FaultKind::Protocol, "no POST"),
        (407, FaultKind::Proxy, "password"),
        (415, FaultKind::Protocol, "encoding"),
        (429, FaultKind::Busy, "data waits"),
        (503, FaultKind::Busy, "data waits"),
        (500, FaultKind::Other, "log"),
    ] {
        let web = Web::start(move |_| status(code)).await;
        is(outcome(traces(web.url())).await, kind, remedy);
    }
    let web = Web::start(|_| Reply::Answer(200, &[("content-type", "text/html; charset=utf-8")], b"<html>".to_vec()));
    is(outcome(traces(web.await.url())).await, FaultKind::Protocol, "serves pages");
}

#[tokio::test]
async fn a_server_that_speaks_something_else_is_recognised() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (services, _seen) = Services::new(|_| ok());
    let server = tonic::transport::Server::builder()
        .add_service(services.traces())
        .serve_with_incoming(TcpIncoming::from(listener));
    tokio::spawn(async move { server.await.unwrap() });
    let grpc = |endpoint: String| Config { protocol: Protocol::Grpc, ..traces(endpoint) };
    assert!(outcome(grpc(format!("http://{address}"))).await.is_ok());
    is(outcome(traces(format!("http://{address}"))).await, FaultKind::Protocol, "grpc");
    is(outcome(traces(format!("https://{address}"))).await, FaultKind::Tls, "http://");
    is(outcome(grpc(format!("https://{address}"))).await, FaultKind::Tls, "insecure");

    let web = Web::start(|_| status(404)).await;
    is(outcome(grpc(web.url())).await, FaultKind::Protocol, "http/protobuf");
    is(outcome(traces(format!("https://{}", web.address))).await, FaultKind::Tls, "http://");

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            connection.write_all(b"220 mail.example ESMTP\r\n").await.unwrap();
        }
    });
    is(outcome(traces(url.clone())).await, FaultKind::Protocol, "no HTTP");
    is(outcome(grpc(url)).await, FaultKind::Protocol, "no gRPC");
}

/// A server that ends TLS and says nothing.
async fn tls_server(certificates: &Certificates) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = certificates.acceptor();
    tokio::spawn(async move {
        loop {
            let (connection, _) = listener.accept().await.unwrap();
            let _refused = acceptor.accept(connection).await;
        }
    });
    port
}

#[tokio::test]
async fn a_wrong_certificate_says_which_and_why() {
    let (trusted, other) = (Certificates::make(), Certificates::make());
    let port = tls_server(&other).await;
    for protocol in [Protocol::Http, Protocol::Grpc] {
        let with = |endpoint: String, tls: Tls| Config { protocol, tls, ..traces(endpoint) };
        let unknown = with(format!("https://localhost:{port}"), trusted.trusting());
        is(outcome(unknown).await, FaultKind::Tls, "tls.ca_file");
        let misnamed = with(format!("https://127.0.0.1:{port}"), other.trusting());
        is(outcome(misnamed).await, FaultKind::Tls, "host name");
    }
}

#[tokio::test]
async fn a_proxy_that_does_not_let_through_is_named_and_its_password_is_not() {
    let proxy = Web::start(|_| status(407)).await;
    let through = |address: String, endpoint: &str| Config {
        proxy: Some(Secret::new(format!("http://user:s3cret-word@{address}"))),
        ..traces(endpoint)
    };
    let refused = outcome(through(proxy.address.to_string(), "https://collector.invalid:4318")).await;
    assert!(!format!("{refused:?}").contains("s3cret"));
    is(refused, FaultKind::Proxy, "password");
    is(
        outcome(through(proxy.address.to_string(), "http://collector.invalid:4318")).await,
        FaultKind::Proxy,
        "password",
    );
}
