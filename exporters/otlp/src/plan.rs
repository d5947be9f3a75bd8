//! A configuration that has been checked: what runs later cannot meet a bad value.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use wattline_core::{Seconds, Signal, Timestamp};
use wattline_export_delivery::split::split;
use wattline_export_delivery::{
    Context, Destination, Durability, Encode, Keeping, Limits, Redaction, Route, Secret, Telling, Transport, View,
    ViewError,
};

use crate::client::HttpClient;
use crate::cloudwatch::Target;
use crate::config::{Config, Key, Protocol};
use crate::encoder::OtlpEncoder;
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

/// One signal's way out.
pub(crate) struct Way {
    pub(crate) signal: Signal,
    pub(crate) endpoint: Endpoint,
    pub(crate) transport: Box<dyn Transport>,
}

impl Way {
    fn route(self) -> Route {
        let Self { signal, endpoint, transport } = self;
        Route { signal, address: endpoint.to_string(), transport }
    }
}

/// How many times its size in protobuf a request of spans or records takes in JSON, roughly.
const JSON_TIMES: usize = 4;
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
const MILLISECOND: Duration = Duration::from_millis(1);
/// opentelemetry-proto, docs/specification.md: larger requests must not be sent.
const REQUEST_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The destination that a configuration describes.
pub(crate) fn destination(config: Config, context: &Context) -> Result<Destination, OpenError> {
    let name = config.name.clone();
    checked(config, context).map_err(|(key, problem)| OpenError { destination: name, key, problem })
}

/// The ways that a configuration describes, to be tried one by one.
pub(crate) fn ways(config: &Config, now: fn() -> Timestamp) -> Result<Vec<Way>, OpenError> {
    check_quantities(config).and_then(|()| routes(config, now)).map_err(|(key, problem)| OpenError {
        destination: config.name.clone(),
        key,
        problem,
    })
}

fn checked(config: Config, context: &Context) -> Result<Destination, (Key, String)> {
    check_quantities(&config)?;
    let ways = routes(&config, context.now)?;
    let limits = limits(&config);
    let sends_figures = ways.iter().any(|way| way.signal == Signal::Metrics);
    let encoder = sends_figures.then(|| encoder(&config, &limits, context)).transpose()?;
    let encoder = encoder.map(|encoder| Box::new(encoder) as Box<dyn Encode>);
    let keeping = Keeping {
        place: context.place(&config.name),
        durability: if config.survive_power_loss { Durability::Power } else { Durability::Process },
        limits,
        order: config.order,
        compression: config.compression,
        cut: split,
    };
    let routes = ways.into_iter().map(Way::route).collect();
    let Config { name, timeout, interval, retry, grace, .. } = config;
    Ok(Destination { name, interval, timeout, grace, retry, keeping, encoder, routes })
}

fn encoder(config: &Config, limits: &Limits, context: &Context) -> Result<OtlpEncoder, (Key, String)> {
    let points = usize::try_from(limits.request_points).unwrap_or(usize::MAX);
    let limit = wattline_wire::metrics::Limit { points, bytes: limits.request_bytes };
    let view = View::new(&config.view, &config.name)
        .map_err(|ViewError { key, problem }| ("view", format!("has {key}, which {problem}")))?;
    // The agent's own counters began just before.
    let since = (context.now)().back(Seconds::new(1.0));
    Ok(OtlpEncoder::new(limit, Telling::new(view, config.temporality, since), config.aws.is_some()))
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
        disk_bytes: config.spool_bytes,
        memory_bytes: config.memory_bytes,
        age: Seconds::new(config.max_age.as_secs_f64()),
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
    if !(1..=REQUEST_BYTES_MAX).contains(&config.max_bytes) {
        return Err(("max_bytes", format!("is {}; it must be between 1 and {REQUEST_BYTES_MAX}", config.max_bytes)));
    }
    for (key, bytes) in [("spool_bytes", config.spool_bytes), ("memory_bytes", config.memory_bytes)] {
        if bytes < config.max_bytes as u64 {
            let problem = format!("is {bytes}, less than one request of max_bytes ({})", config.max_bytes);
            return Err((key, problem));
        }
    }
    if config.protocol == Protocol::Grpc && config.proxy.is_some() {
        return Err(("proxy", "works with the protocols over HTTP only".to_owned()));
    }
    Ok(())
}

fn routes(config: &Config, now: fn() -> Timestamp) -> Result<Vec<Way>, (Key, String)> {
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
        let (mut headers, redaction) = (headers.clone(), redaction.clone());
        let header_files = header_files.clone();
        let transport: Box<dyn Transport> = match config.protocol {
            Protocol::Http | Protocol::Json => {
                let client = match &client {
                    Some(client) => Arc::clone(client),
                    None => Arc::clone(client.insert(Arc::new(HttpClient::new(config)?))),
                };
                headers.extend(aws.as_ref().map(|aws| aws.headers(signal)).unwrap_or_default());
                Box::new(HttpTransport {
                    signal,
                    client,
                    endpoint: endpoint.clone(),
                    headers,
                    header_files,
                    redaction,
                    json: (config.protocol == Protocol::Json).then_some(bytes_max(config)),
                    aws: aws.clone(),
                    now,
                })
            }
            Protocol::Grpc => {
                let call = Call { headers, header_files, redaction };
                Box::new(GrpcTransport::new(key, &endpoint, config, call)?)
            }
        };
        routes.push(Way { signal, endpoint, transport });
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
