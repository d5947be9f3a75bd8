//! A configuration that has been checked: what runs later cannot meet a bad value.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use wattline_core::{Seconds, Signal, Timestamp};
use wattline_export_delivery::{Limits, Redaction, Secret};

use crate::client::HttpClient;
use crate::cloudwatch::Target;
use crate::config::{Compression, Config, Key, Protocol, Retry};
use crate::endpoint::Endpoint;
use crate::grpc::{Call, GrpcTransport};
use crate::http::HttpTransport;
use crate::secrets::HeaderFiles;

/// Why a destination cannot be opened: one key of its configuration is wrong. The values of headers are not told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the OTLP destination {destination} cannot be opened: {key} {problem}")]
pub struct OpenError {
    /// The destination's name.
    pub destination: String,
    /// The key.
    pub key: Key,
    /// What is wrong with it and what to do.
    pub problem: String,
}

/// What a destination needs to run.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) name: String,
    pub(crate) routes: Vec<Route>,
    pub(crate) timeout: Duration,
    pub(crate) interval: Duration,
    pub(crate) limits: Limits,
    pub(crate) retry: Retry,
    pub(crate) grace: Duration,
    /// Whether labels must fit Amazon CloudWatch.
    pub(crate) short_labels: bool,
}

/// One signal's way out.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) signal: Signal,
    pub(crate) endpoint: Endpoint,
    pub(crate) compression: Compression,
    pub(crate) transport: Transport,
}

/// The two ways of carrying OTLP.
#[derive(Debug)]
pub(crate) enum Transport {
    Http(Box<HttpTransport>),
    Grpc(Box<GrpcTransport>),
}

/// How many times its size in protobuf a request of spans or records takes in JSON, roughly.
const JSON_TIMES: usize = 4;
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
const MILLISECOND: Duration = Duration::from_millis(1);
/// opentelemetry-proto, docs/specification.md: larger requests must not be sent.
const REQUEST_BYTES_MAX: usize = 64 * 1024 * 1024;

impl Plan {
    pub(crate) fn new(config: Config, now: fn() -> Timestamp) -> Result<Self, OpenError> {
        let name = config.name.clone();
        Self::checked(config, now).map_err(|(key, problem)| OpenError { destination: name, key, problem })
    }

    fn checked(config: Config, now: fn() -> Timestamp) -> Result<Self, (Key, String)> {
        check_quantities(&config)?;
        let routes = routes(&config, now)?;
        let limits = limits(&config);
        let Config { name, timeout, interval, retry, grace, aws, .. } = config;
        Ok(Self { name, routes, timeout, interval, limits, retry, grace, short_labels: aws.is_some() })
    }
}

/// The most bytes in a request before compression.
fn bytes_max(config: &Config) -> usize {
    if config.aws.is_some() { config.max_bytes.min(Target::BYTES_MAX) } else { config.max_bytes }
}

fn limits(config: &Config) -> Limits {
    let (points_max, items_max) = match config.aws {
        None => (u64::MAX, u64::MAX),
        Some(_) => (Target::POINTS_MAX, Target::ITEMS_MAX),
    };
    // Requests are cut in protobuf; in JSON ids, numbers and the names of fields make them some times as large.
    let request_bytes = bytes_max(config);
    let request_bytes =
        if config.protocol == Protocol::Json { request_bytes.div_ceil(JSON_TIMES) } else { request_bytes };
    Limits {
        bytes: config.backlog_bytes,
        age: Seconds::new(config.max_age.as_secs_f64()),
        snapshots: config.max_snapshots,
        request_bytes,
        request_points: config.max_points.min(points_max),
        request_spans: config.max_spans.min(items_max),
        request_records: config.max_records.min(items_max),
    }
}

fn check_quantities(config: &Config) -> Result<(), (Key, String)> {
    let between = |key: Key, value: Duration, least: Duration, most: Duration| {
        if (least..=most).contains(&value) {
            return Ok(());
        }
        Err((key, format!("is {value:?}; it must be between {least:?} and {most:?}")))
    };
    between("timeout", config.timeout, MILLISECOND, HOUR)?;
    between("interval", config.interval, MILLISECOND, DAY)?;
    between("max_age", config.max_age, MILLISECOND, 365 * DAY)?;
    between("grace", config.grace, Duration::ZERO, HOUR)?;
    between("retry.initial", config.retry.initial, MILLISECOND, HOUR)?;
    between("retry.max", config.retry.max, config.retry.initial, DAY)?;
    between("retry.unauthorized", config.retry.unauthorized, MILLISECOND, DAY)?;
    if config.name.trim().is_empty() {
        return Err(("name", "is empty".to_owned()));
    }
    if config.signals.is_empty() {
        return Err(("signals", "is empty; leave it out to send all".to_owned()));
    }
    for (key, items) in
        [("max_points", config.max_points), ("max_spans", config.max_spans), ("max_records", config.max_records)]
    {
        if items == 0 {
            return Err((key, "is 0; nothing could be sent".to_owned()));
        }
    }
    if config.max_snapshots == 0 {
        return Err(("max_snapshots", "is 0; nothing could wait".to_owned()));
    }
    if !(1..=REQUEST_BYTES_MAX).contains(&config.max_bytes) {
        return Err(("max_bytes", format!("is {}; it must be between 1 and {REQUEST_BYTES_MAX}", config.max_bytes)));
    }
    if config.backlog_bytes < config.max_bytes {
        let problem = format!("is {}, less than one request of max_bytes ({})", config.backlog_bytes, config.max_bytes);
        return Err(("backlog_bytes", problem));
    }
    if config.protocol == Protocol::Grpc && config.proxy.is_some() {
        return Err(("proxy", "works with the protocols over HTTP only".to_owned()));
    }
    Ok(())
}

fn routes(config: &Config, now: fn() -> Timestamp) -> Result<Vec<Route>, (Key, String)> {
    let aws = config.aws.as_ref().map(|aws| Target::new(config, aws, now)).transpose()?;
    let headers = headers(config)?;
    let header_files = HeaderFiles::read(config)?;
    if let Some(name) = header_files.names().find(|name| headers.contains_key(*name)) {
        return Err(("headers", format!("sets {name}, which a file sets, too")));
    }
    let redaction = redaction(config);
    let mut signals = config.signals.clone();
    signals.sort_unstable();
    signals.dedup();
    let mut client: Option<Arc<HttpClient>> = None;
    let mut routes = Vec::new();
    for signal in signals {
        let (key, endpoint) = endpoint(config, signal)?;
        let (mut headers, redaction, compression) = (headers.clone(), redaction.clone(), config.compression);
        let header_files = header_files.clone();
        let transport = match config.protocol {
            Protocol::Http | Protocol::Json => {
                let client = match &client {
                    Some(client) => Arc::clone(client),
                    None => Arc::clone(client.insert(Arc::new(HttpClient::new(config)?))),
                };
                headers.extend(aws.as_ref().map(|aws| aws.headers(signal)).unwrap_or_default());
                Transport::Http(Box::new(HttpTransport {
                    signal,
                    client,
                    endpoint: endpoint.clone(),
                    headers,
                    header_files,
                    redaction,
                    compression,
                    json: (config.protocol == Protocol::Json).then_some(bytes_max(config)),
                    aws: aws.clone(),
                    now,
                }))
            }
            Protocol::Grpc => {
                let call = Call { headers, header_files, redaction, compression };
                Transport::Grpc(Box::new(GrpcTransport::new(key, &endpoint, config, call)?))
            }
        };
        routes.push(Route { signal, endpoint, compression, transport });
    }
    Ok(routes)
}

/// The endpoint of `signal` and the key that names it.
fn endpoint(config: &Config, signal: Signal) -> Result<(Key, Endpoint), (Key, String)> {
    match (config.endpoint_of(signal), &config.aws) {
        (Some((key, text, as_is)), _) => Endpoint::parse(text, as_is, signal, config.protocol, config.insecure)
            .map(|endpoint| (key, endpoint))
            .map_err(|problem| (key, problem.to_owned())),
        (None, Some(aws)) => Ok(("region", Endpoint::of_aws(signal, aws.region.as_ref()))),
        (None, None) => Err(("endpoint", format!("is not set, and there is no {}_endpoint either", signal.as_str()))),
    }
}

/// Names that the protocol sets itself.
pub(crate) fn is_reserved(name: &HeaderName) -> bool {
    let name = name.as_str();
    ["connection", "host", "te", "transfer-encoding", "user-agent"].contains(&name)
        || name.starts_with("content-")
        || name.starts_with("grpc-")
}

fn headers(config: &Config) -> Result<HeaderMap, (Key, String)> {
    let mut headers = HeaderMap::new();
    for (name, value) in &config.headers {
        let parsed: HeaderName =
            name.parse().map_err(|_invalid| ("headers", format!("has the name {name:?}, which no header can have")))?;
        if is_reserved(&parsed) {
            return Err(("headers", format!("sets {name}, which the protocol sets itself")));
        }
        let mut value = HeaderValue::from_str(value.reveal())
            .map_err(|_invalid| ("headers", format!("has a value for {name} that no header can have")))?;
        value.set_sensitive(true);
        headers.insert(parsed, value);
    }
    Ok(headers)
}

fn redaction(config: &Config) -> Redaction {
    let proxy = config.proxy.as_ref().and_then(|proxy| reqwest::Url::parse(proxy.reveal()).ok());
    let password = proxy.as_ref().and_then(reqwest::Url::password);
    Redaction::new(config.headers.values().map(Secret::reveal).chain(password))
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
