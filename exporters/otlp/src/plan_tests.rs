//! Which key is named when a configuration is wrong, and that every key is read.

use std::time::Duration;

use wattline_core::{Telemetry, Timestamp};
use wattline_export_delivery::{Compression, Order, Place, Retry, Temporality, ViewConfig};

use super::*;

#[test]
fn destinations_of_different_names_have_different_spools() {
    let place = |name: &str| context().place(name);
    assert_eq!(place("cloud-watch_2"), Place::File("/spools/cloud-watch_2.db".into()));
    assert_eq!(place("../a b"), Place::File("/spools/+2e++2e++2f+a+20+b.db".into()));
    assert_ne!(place("+2e+"), place("."));
    assert_eq!(Context { spools: None, ..context() }.place("a"), Place::Memory);
}
use crate::config::Aws;

fn good() -> Config {
    Config { endpoint: "http://collector:4318".to_owned(), ..Config::default() }
}

fn context() -> Context {
    Context { telemetry: Telemetry::none(), now: Timestamp::default, seed: 1, spools: Some("/spools".into()) }
}

/// The key that is found wrong.
fn wrong(config: Config) -> Key {
    destination(config, &context()).unwrap_err().key
}

#[test]
fn the_defaults_need_an_endpoint_and_nothing_else() {
    assert_eq!(wrong(Config::default()), "endpoint");
    let ready = destination(good(), &context()).unwrap();
    let shown: Vec<String> = ready.routes.iter().map(|route| route.address.clone()).collect();
    let base = "http://collector:4318/v1";
    assert_eq!(shown, [format!("{base}/metrics"), format!("{base}/traces"), format!("{base}/logs")]);
}

#[test]
fn a_wrong_value_is_refused_under_its_key() {
    let header = |name: &str, value: &str| [(name.to_owned(), Secret::new(value))].into();
    assert_eq!(wrong(Config { name: " ".to_owned(), ..good() }), "name");
    assert_eq!(wrong(Config { endpoint: "collector:4318".to_owned(), ..good() }), "endpoint");
    assert_eq!(wrong(Config { logs_endpoint: Some(String::new()), ..good() }), "logs_endpoint");
    assert_eq!(wrong(Config { traces_endpoint: Some("ftp://a".to_owned()), ..good() }), "traces_endpoint");
    assert_eq!(wrong(Config { headers: header("a b", "c"), ..good() }), "headers");
    assert_eq!(wrong(Config { headers: header("a", "b\nc"), ..good() }), "headers");
    assert_eq!(wrong(Config { headers: header("Content-Type", "text/plain"), ..good() }), "headers");
    assert_eq!(wrong(Config { headers: header("grpc-encoding", "gzip"), ..good() }), "headers");
    assert_eq!(wrong(Config { timeout: Duration::ZERO, ..good() }), "timeout");
    assert_eq!(wrong(Config { interval: Duration::ZERO, ..good() }), "interval");
    assert_eq!(wrong(Config { signals: Vec::new(), ..good() }), "signals");
    assert_eq!(wrong(Config { max_points: 0, ..good() }), "max_points");
    assert_eq!(wrong(Config { max_spans: 0, ..good() }), "max_spans");
    assert_eq!(wrong(Config { max_records: 0, ..good() }), "max_records");
    assert_eq!(wrong(Config { bearer_token_file: Some("/no/such".into()), ..good() }), "bearer_token_file");
    let files = |name: &str| [(name.to_owned(), "/dev/null".into())].into();
    assert_eq!(wrong(Config { header_files: files("a"), ..good() }), "header_files");
    assert_eq!(wrong(Config { header_files: files("te"), ..good() }), "header_files");
    assert_eq!(wrong(Config { header_files: files("a b"), ..good() }), "header_files");
    assert_eq!(wrong(Config { max_bytes: 65 << 20, ..good() }), "max_bytes");
    assert_eq!(wrong(Config { spool_bytes: 4 << 10, ..good() }), "spool_bytes");
    assert_eq!(wrong(Config { memory_bytes: 4 << 10, ..good() }), "memory_bytes");
    let view = ViewConfig { metrics: vec!["no.such.metric".to_owned()], ..ViewConfig::default() };
    assert_eq!(wrong(Config { view, ..good() }), "view");
    assert_eq!(wrong(Config { max_age: Duration::ZERO, ..good() }), "max_age");
    assert_eq!(wrong(Config { grace: Duration::MAX, ..good() }), "grace");
    let retry = Retry { initial: Duration::from_secs(9), max: Duration::from_secs(1), ..Retry::default() };
    assert_eq!(wrong(Config { retry, ..good() }), "retry.max");
    assert_eq!(wrong(Config { proxy: Some(Secret::new("::")), ..good() }), "proxy");
    let proxy = Some(Secret::new("http://proxy:3128"));
    assert_eq!(wrong(Config { proxy, protocol: Protocol::Grpc, ..good() }), "proxy");
}

#[test]
fn an_error_names_the_destination_and_no_secret() {
    let headers = [("a b".to_owned(), Secret::new("s3cret"))].into();
    let error = destination(Config { headers, ..good() }, &context()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the OTLP destination otlp cannot be opened: headers has the name \"a b\", which no header can have"
    );
    let headers = [("a".to_owned(), Secret::new("s3cret\n"))].into();
    let config = Config { headers, proxy: Some(Secret::new("http://u:s3cret@p")), ..good() };
    assert!(!format!("{config:?}").contains("s3cret"));
    assert!(!format!("{:?}", destination(config, &context()).unwrap_err()).contains("s3cret"));
}

const EVERY_KEY: &str = r#"
    name = "cloud"
    endpoint = "https://a"
    metrics_endpoint = "https://m"
    traces_endpoint = "https://t"
    logs_endpoint = "https://l"
    protocol = "grpc"
    headers = { x-key = "v" }
    header_files = { x-other = "/other" }
    bearer_token_file = "/token"
    aws = { region = "eu-west-1", profile = "p", log_group = "g", log_stream = "s" }
    compression = "zstd"
    timeout = "3s"
    interval = "15s"
    signals = ["traces", "logs"]
    max_points = 1000
    max_spans = 2000
    max_records = 3000
    max_bytes = 1000000
    spool_bytes = 2000000
    memory_bytes = 1500000
    max_age = "2h"
    order = "newest"
    temporality = "delta"
    view = { metrics = ["hw.*"], max_workloads = 20 }
    survive_power_loss = true
    grace = "1s"
    retry = { initial = "2s", max = "1m", unauthorized = "5m" }
    tls = { ca_file = "/ca", cert_file = "/cert", key_file = "/key" }
    insecure = true
    proxy = "http://proxy"
"#;

#[test]
fn every_key_is_read_from_toml_and_an_unknown_one_is_refused() {
    let expected = Config {
        name: "cloud".to_owned(),
        endpoint: "https://a".to_owned(),
        metrics_endpoint: Some("https://m".to_owned()),
        traces_endpoint: Some("https://t".to_owned()),
        logs_endpoint: Some("https://l".to_owned()),
        protocol: Protocol::Grpc,
        headers: [("x-key".to_owned(), Secret::new("v"))].into(),
        header_files: [("x-other".to_owned(), "/other".into())].into(),
        bearer_token_file: Some("/token".into()),
        aws: Some(Aws {
            region: Some("eu-west-1".parse().unwrap()),
            profile: Some("p".to_owned()),
            log_group: Some("g".to_owned()),
            log_stream: Some("s".to_owned()),
        }),
        compression: Compression::Zstd,
        timeout: Duration::from_secs(3),
        interval: Duration::from_secs(15),
        signals: vec![Signal::Traces, Signal::Logs],
        max_points: 1000,
        max_spans: 2000,
        max_records: 3000,
        max_bytes: 1_000_000,
        spool_bytes: 2_000_000,
        memory_bytes: 1_500_000,
        max_age: Duration::from_hours(2),
        order: Order::Newest,
        temporality: Temporality::Delta,
        view: ViewConfig { metrics: vec!["hw.*".to_owned()], max_workloads: 20, ..ViewConfig::default() },
        survive_power_loss: true,
        grace: Duration::from_secs(1),
        retry: Retry {
            initial: Duration::from_secs(2),
            max: Duration::from_mins(1),
            unauthorized: Duration::from_mins(5),
        },
        tls: crate::config::Tls {
            ca_file: Some("/ca".into()),
            cert_file: Some("/cert".into()),
            key_file: Some("/key".into()),
        },
        insecure: true,
        proxy: Some(Secret::new("http://proxy")),
    };
    assert_eq!(toml::from_str::<Config>(EVERY_KEY).unwrap(), expected);
    assert_eq!(toml::from_str::<Config>("").unwrap(), Config::default());
    for unknown in
        ["endpont = 'x'", "[retry]\nfirst = '1s'", "[tls]\nca = 'x'", "aws = { regio = 'x' }", "aws = { region = 'x' }"]
    {
        assert!(toml::from_str::<Config>(unknown).is_err(), "{unknown}");
    }
}
