//! A configuration that has been checked: what runs later cannot meet a bad value.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use wattline_core::{Seconds, Signal, Timestamp};
use wattline_export_delivery::split::split;
use wattline_export_delivery::{
    Context, Destination, Durability, Encode, Keeping, Limits, Redaction, Route, Secret, Transport,
};

use crate::config::{Config, Key, Protocol};
use crate::encoder::OtlpEncoder;
use crate::endpoint::Endpoint;
use crate::grpc::GrpcTransport;
use crate::http::HttpTransport;
use crate::tls::Material;

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

fn checked(config: Config, context: &Context) -> Result<Destination, (Key, String)> {
    check_quantities(&config)?;
    let routes = routes(&config, context.now)?;
    let sends_metrics = routes.iter().any(|route| route.signal == Signal::Metrics);
    let points = usize::try_from(config.max_points).unwrap_or(usize::MAX);
    let limit = wattline_wire::metrics::Limit { points, bytes: config.max_bytes };
    let encoder = sends_metrics.then(|| Box::new(OtlpEncoder { limit }) as Box<dyn Encode>);
    let keeping = Keeping {
        place: context.place(&config.name),
        durability: if config.survive_power_loss { Durability::Power } else { Durability::Process },
        limits: Limits {
            disk_bytes: config.spool_bytes,
            memory_bytes: config.memory_bytes,
            age: Seconds::new(config.max_age.as_secs_f64()),
            request_bytes: config.max_bytes,
            request_points: config.max_points,
            request_spans: u64::MAX,
            request_records: u64::MAX,
        },
        order: config.order,
        compression: config.compression,
        cut: split,
    };
    let Config { name, timeout, interval, retry, grace, .. } = config;
    Ok(Destination { name, interval, timeout, grace, retry, keeping, encoder, routes })
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
    if config.max_points == 0 {
        return Err(("max_points", "is 0; nothing could be sent".to_owned()));
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
        return Err(("proxy", "works with the protocol http/protobuf only".to_owned()));
    }
    Ok(())
}

fn routes(config: &Config, now: fn() -> Timestamp) -> Result<Vec<Route>, (Key, String)> {
    let material = Material::read(&config.tls)?;
    let headers = headers(config)?;
    let redaction = redaction(config);
    let mut signals = config.signals.clone();
    signals.sort_unstable();
    signals.dedup();
    let mut client: Option<reqwest::Client> = None;
    let mut routes = Vec::new();
    for signal in signals {
        let Some((key, text, as_is)) = config.endpoint_of(signal) else {
            let problem = format!("is not set, and there is no {}_endpoint either", signal.as_str());
            return Err(("endpoint", problem));
        };
        let endpoint = Endpoint::parse(text, as_is, signal, config.protocol, config.insecure)
            .map_err(|problem| (key, problem.to_owned()))?;
        let (headers, redaction) = (headers.clone(), redaction.clone());
        let transport: Box<dyn Transport> = match config.protocol {
            Protocol::Http => {
                let client = match &client {
                    Some(client) => client.clone(),
                    None => client.insert(http_client(config, &material)?).clone(),
                };
                let url = endpoint.url().clone();
                Box::new(HttpTransport { client, url, headers, redaction, now })
            }
            Protocol::Grpc => {
                let (uri, endpoint) = grpc_endpoint(key, &endpoint, config, &material)?;
                let channel = None;
                Box::new(GrpcTransport { endpoint, uri, headers, redaction, channel })
            }
        };
        routes.push(Route { signal, address: endpoint.to_string(), transport });
    }
    Ok(routes)
}

/// Names that the protocol sets itself.
fn is_reserved(name: &HeaderName) -> bool {
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

fn http_client(config: &Config, material: &Material) -> Result<reqwest::Client, (Key, String)> {
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(material.for_http()?)
        .user_agent(crate::USER_AGENT)
        // The environment is the agent's to read.
        .no_proxy()
        // A redirect would carry our headers to a place that nobody configured.
        .redirect(reqwest::redirect::Policy::none())
        // A refused attempt is ours to count and to repeat.
        .retry(reqwest::retry::never())
        .referer(false)
        // Below the idle limits of common servers and load balancers: one that hangs up just as we send, once every
        // interval, would look like a failing destination.
        .pool_idle_timeout(Duration::from_secs(30))
        // A dead connection is noticed when its data stays unacknowledged.
        .tcp_user_timeout(config.timeout);
    if let Some(proxy) = &config.proxy {
        let proxy = reqwest::Proxy::all(proxy.reveal()).map_err(|_secret| ("proxy", "is not a URL".to_owned()))?;
        builder = builder.proxy(proxy);
    }
    builder.build().map_err(|error| ("tls", crate::http::chain(&error)))
}

fn grpc_endpoint(
    key: Key,
    endpoint: &Endpoint,
    config: &Config,
    material: &Material,
) -> Result<(http::Uri, tonic::transport::Endpoint), (Key, String)> {
    let uri: http::Uri =
        endpoint.url().as_str().parse().map_err(|_invalid| (key, "is not a URL that HTTP/2 can carry".to_owned()))?;
    let mut channel = tonic::transport::Endpoint::from_shared(endpoint.origin())
        .map_err(|_invalid| (key, "is not a URL that HTTP/2 can carry".to_owned()))?
        .connect_timeout(config.timeout);
    if endpoint.is_tls() {
        channel = channel.tls_config(material.for_grpc()?).map_err(|error| ("tls", crate::http::chain(&error)))?;
    }
    Ok((uri, channel))
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
