//! What a user may say about one OTLP destination.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use wattline_core::Signal;
use wattline_export_delivery::aws::Region;
use wattline_export_delivery::{Compression, Order, Retry, Secret, Temporality, ViewConfig};

/// One OTLP destination. Every key has a default but `endpoint`: nothing is sent anywhere that nobody named.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The name in logs and in `wattline.destination`. Default `otlp`.
    pub name: String,
    /// Where to send. With `http/protobuf` and `http/json` the path `v1/<signal>` is added; with `grpc` a path is put
    /// before that of the service, and a scheme may be left out. Default empty: then each signal needs an endpoint of
    /// its own, but with `aws`, which tells where its services are.
    pub endpoint: String,
    /// Where to send metrics instead, used as it stands. Default none.
    pub metrics_endpoint: Option<String>,
    /// Where to send traces instead, used as it stands. Default none.
    pub traces_endpoint: Option<String>,
    /// Where to send logs instead, used as it stands. Default none.
    pub logs_endpoint: Option<String>,
    /// `http/protobuf` (default), `http/json` or `grpc`.
    pub protocol: Protocol,
    /// Headers of every request, such as an API key. Their values are shown nowhere. Default none.
    pub headers: BTreeMap<String, Secret>,
    /// Headers whose values stand in files, alone. A file is read again when it changes. Default none.
    pub header_files: BTreeMap<String, PathBuf>,
    /// A file with a token and nothing else, sent as `authorization: Bearer`. It is read again when it changes, so that
    /// a rotated token needs no restart. Default none.
    pub bearer_token_file: Option<PathBuf>,
    /// Amazon CloudWatch, which takes OTLP over HTTP: requests are signed (AWS Signature Version 4), unless there is a
    /// `bearer_token_file`, and kept within its limits. Default none.
    pub aws: Option<Aws>,
    /// `gzip` (default), `zstd` or `none`. Amazon CloudWatch takes no zstd.
    pub compression: Compression,
    /// The longest time for one attempt, from connecting to the end of the answer. Default `10s`.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// The time between two snapshots of the metrics. Default `60s`.
    #[serde(with = "humantime_serde")]
    pub interval: Duration,
    /// The signals to send. Default `["metrics", "traces", "logs"]`.
    pub signals: Vec<Signal>,
    /// The most data points in a request of metrics. Default 8192; with `aws` never more than 1000.
    pub max_points: u64,
    /// The most spans in a request. Default 10000.
    pub max_spans: u64,
    /// The most records in a request of logs. Default 10000.
    pub max_records: u64,
    /// The most bytes in a request before compression; larger ones are cut. Default 4194304 (4 MiB), which every
    /// gRPC server takes; with `aws` never more than 1000000.
    pub max_bytes: usize,
    /// The most bytes that wait for this destination on disk, compressed. Default 1073741824 (1 GiB). When they are
    /// used up the oldest are dropped and counted; of the metrics, sums are in the next snapshot too.
    pub spool_bytes: u64,
    /// The same in memory, where the state directory cannot be written. Default 67108864 (64 MiB).
    pub memory_bytes: u64,
    /// The longest that data waits before it is dropped and counted. Default `7d`.
    #[serde(with = "humantime_serde")]
    pub max_age: Duration,
    /// Which metrics go first after an outage: `oldest` (default), because many backends take points in the order of
    /// time only, or `newest`.
    pub order: Order,
    /// `cumulative` (default), or `delta` for backends that take sums since the request before only, such as Datadog and
    /// Dynatrace.
    pub temporality: Temporality,
    /// Which figures are told.
    pub view: ViewConfig,
    /// Whether a loss of power must not cost what was taken in: then the disk is waited for. Default false: the end of
    /// the agent costs nothing either way.
    pub survive_power_loss: bool,
    /// The time for sending what waits when the agent stops. Default `5s`.
    #[serde(with = "humantime_serde")]
    pub grace: Duration,
    /// When to try again.
    pub retry: Retry,
    /// Certificates.
    pub tls: Tls,
    /// For `grpc` endpoints without a scheme: no TLS. Default false.
    pub insecure: bool,
    /// An HTTP proxy for `http/protobuf` and `http/json`, such as `http://user:password@proxy:3128`. Default none; the environment
    /// is not asked.
    pub proxy: Option<Secret>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: "otlp".to_owned(),
            endpoint: String::new(),
            metrics_endpoint: None,
            traces_endpoint: None,
            logs_endpoint: None,
            protocol: Protocol::default(),
            headers: BTreeMap::new(),
            header_files: BTreeMap::new(),
            bearer_token_file: None,
            aws: None,
            compression: Compression::default(),
            timeout: Duration::from_secs(10),
            interval: Duration::from_mins(1),
            signals: vec![Signal::Metrics, Signal::Traces, Signal::Logs],
            max_points: 8192,
            max_spans: 10_000,
            max_records: 10_000,
            max_bytes: 4 * 1024 * 1024,
            spool_bytes: 1 << 30,
            memory_bytes: 64 << 20,
            max_age: Duration::from_hours(7 * 24),
            order: Order::default(),
            temporality: Temporality::default(),
            view: ViewConfig::default(),
            survive_power_loss: false,
            grace: Duration::from_secs(5),
            retry: Retry::default(),
            tls: Tls::default(),
            insecure: false,
            proxy: None,
        }
    }
}

/// How OTLP is carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Protocol {
    /// Protobuf in the body of an HTTP request.
    #[default]
    #[serde(rename = "http/protobuf")]
    Http,
    /// JSON in the body of an HTTP request.
    #[serde(rename = "http/json")]
    Json,
    /// gRPC.
    #[serde(rename = "grpc")]
    Grpc,
}

impl Protocol {
    /// The word in configurations.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http/protobuf",
            Self::Json => "http/json",
            Self::Grpc => "grpc",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Certificates, as PEM files. They are checked when the destination is opened, and read again when they change: the
/// next request goes over a new connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// The authorities to trust instead of the system's. Default none.
    pub ca_file: Option<PathBuf>,
    /// Our certificate with its chain, for servers that ask for one. Default none.
    pub cert_file: Option<PathBuf>,
    /// The key of `cert_file`. Default none.
    pub key_file: Option<PathBuf>,
}

/// Amazon CloudWatch's OTLP endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Aws {
    /// The region. By default `AWS_REGION`, `AWS_DEFAULT_REGION`, the profile or the instance tells.
    pub region: Option<Region>,
    /// The profile in the AWS files. By default `AWS_PROFILE`, or `default`.
    pub profile: Option<String>,
    /// The log group for logs. It must exist. Default none; sending logs needs one.
    pub log_group: Option<String>,
    /// The stream in the group for logs. It must exist. Default none; sending logs needs one.
    pub log_stream: Option<String>,
}

impl Config {
    /// The endpoint of `signal` as configured, and whether it is used as it stands. `None` when there is none.
    pub(crate) fn endpoint_of(&self, signal: Signal) -> Option<(Key, &str, bool)> {
        let (key, own) = match signal {
            Signal::Metrics => ("metrics_endpoint", &self.metrics_endpoint),
            Signal::Traces => ("traces_endpoint", &self.traces_endpoint),
            Signal::Logs => ("logs_endpoint", &self.logs_endpoint),
        };
        match own {
            Some(own) => Some((key, own, true)),
            None if self.endpoint.is_empty() => None,
            None => Some(("endpoint", &self.endpoint, false)),
        }
    }
}

/// The name of a key of [`Config`].
pub type Key = &'static str;
