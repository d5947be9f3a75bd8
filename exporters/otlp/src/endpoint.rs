//! Where a destination is: parsed once, shown without what may be secret in it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use reqwest::Url;
use wattline_core::Signal;
use wattline_export_delivery::aws::{Region, Service};

use crate::config::{Config, Protocol};

/// A checked address. It prints without query, which may hold a key.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// A known one.
    At(Url),
    /// That of the service of AWS for this signal, in a region that is found out when it is needed.
    InRegion(Signal),
}

impl Endpoint {
    /// Reads an endpoint for `signal`. `as_is` keeps its path; the error says what is wrong with it.
    pub(crate) fn parse(
        text: &str,
        as_is: bool,
        signal: Signal,
        protocol: Protocol,
        insecure: bool,
    ) -> Result<Self, &'static str> {
        let text = text.trim();
        let with_scheme = match protocol {
            Protocol::Grpc if !text.contains("://") => {
                format!("{}://{text}", if insecure { "http" } else { "https" })
            }
            Protocol::Grpc | Protocol::Http | Protocol::Json => text.to_owned(),
        };
        let mut url = Url::parse(&with_scheme).map_err(|_parse| "is not a URL; write it as http://host:port")?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err("does not begin with http:// or https://");
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err("names no host");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("holds a password; put it into headers as authorization");
        }
        let path = match protocol {
            Protocol::Grpc => Some(service_path(signal)),
            Protocol::Http | Protocol::Json if as_is => None,
            Protocol::Http | Protocol::Json => Some(signal_path(signal)),
        };
        if let Some(path) = path {
            let whole = format!("{}{path}", url.path().trim_end_matches('/'));
            url.set_path(&whole);
        }
        url.set_fragment(None);
        Ok(Self::At(url))
    }

    /// The endpoint of AWS for `signal` in `region`.
    pub(crate) fn of_aws(signal: Signal, region: Option<&Region>) -> Self {
        let known = region.and_then(|region| {
            Url::parse(&format!("{}{}", Service::of(signal).origin(region), signal_path(signal))).ok()
        });
        known.map_or(Self::InRegion(signal), Self::At)
    }

    /// The address; `None` while the region is not known.
    pub(crate) const fn url(&self) -> Option<&Url> {
        match self {
            Self::At(url) => Some(url),
            Self::InRegion(_) => None,
        }
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.url().is_none_or(|url| url.scheme() == "https")
    }

    /// True when a request would arrive at a listener on `own`.
    fn arrives_at(&self, own: SocketAddr) -> bool {
        let Self::At(url) = self else { return false };
        if url.port_or_known_default() != Some(own.port()) {
            return false;
        }
        let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let there = match host.parse::<IpAddr>() {
            Ok(address) => address.to_canonical(),
            Err(_name) if is_localhost(host) => return own.ip().is_loopback() || own.ip().is_unspecified(),
            Err(_name) => return false,
        };
        let here = own.ip().to_canonical();
        // The unspecified address as a target means this host.
        let there_is_local = there.is_loopback() || there.is_unspecified();
        there == here || (there_is_local && (here.is_loopback() || here.is_unspecified()))
    }
}

fn is_localhost(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(url) => write!(f, "{}{}", url.origin().ascii_serialization(), url.path()),
            Self::InRegion(signal) => {
                write!(f, "https://{}.<region>.amazonaws.com{}", Service::of(*signal).as_str(), signal_path(*signal))
            }
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Opentelemetry-proto, docs/specification.md, "OTLP/HTTP Request".
const fn signal_path(signal: Signal) -> &'static str {
    match signal {
        Signal::Metrics => "/v1/metrics",
        Signal::Traces => "/v1/traces",
        Signal::Logs => "/v1/logs",
    }
}

/// The full method names of opentelemetry/proto/collector/*/v1/*_service.proto.
const fn service_path(signal: Signal) -> &'static str {
    match signal {
        Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    }
}

/// The endpoint of `config` that arrives at one of `own`, the addresses that this agent listens on: what it sends
/// would come back to it for ever. Host names other than `localhost` are not resolved, so a listener on all
/// addresses is recognised under a name or another address of the machine only when `own` holds that address.
pub fn loops_back(config: &Config, own: &[SocketAddr]) -> Option<String> {
    config.signals.iter().find_map(|&signal| {
        let (_, text, as_is) = config.endpoint_of(signal)?;
        let endpoint = Endpoint::parse(text, as_is, signal, config.protocol, config.insecure).ok()?;
        own.iter().any(|&own| endpoint.arrives_at(own)).then(|| endpoint.to_string())
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn http(text: &str) -> String {
        match Endpoint::parse(text, false, Signal::Metrics, Protocol::Http, false) {
            Ok(endpoint) => endpoint.url().unwrap().to_string(),
            Err(reason) => reason.to_owned(),
        }
    }

    fn grpc(text: &str, insecure: bool) -> String {
        Endpoint::parse(text, false, Signal::Logs, Protocol::Grpc, insecure).unwrap().url().unwrap().to_string()
    }

    #[test]
    fn a_base_endpoint_gets_the_path_of_the_signal_and_an_own_endpoint_does_not() {
        assert_eq!(http("http://collector:4318"), "http://collector:4318/v1/metrics");
        assert_eq!(http("https://example.org/otlp/"), "https://example.org/otlp/v1/metrics");
        assert_eq!(http("https://example.org/otlp?key=1#top"), "https://example.org/otlp/v1/metrics?key=1");
        let own = Endpoint::parse("http://a/v1/metrics", true, Signal::Metrics, Protocol::Http, false).unwrap();
        assert_eq!(own.url().unwrap().as_str(), "http://a/v1/metrics");
    }

    #[test]
    fn grpc_may_leave_out_the_scheme() {
        let path = "opentelemetry.proto.collector.logs.v1.LogsService/Export";
        assert_eq!(grpc("collector:4317", false), format!("https://collector:4317/{path}"));
        assert_eq!(grpc("collector:4317", true), format!("http://collector:4317/{path}"));
        assert_eq!(grpc("https://collector/prefix/", true), format!("https://collector/prefix/{path}"));
    }

    #[test]
    fn what_is_no_endpoint_is_refused() {
        for wrong in ["", "collector:4318", "ftp://a", "http://", "unix:///run/a.sock", "http://user:pass@a"] {
            assert!(!http(wrong).starts_with("http"), "{wrong} became {}", http(wrong));
        }
    }

    #[test]
    fn a_query_is_not_shown() {
        let endpoint = Endpoint::parse("http://a/x?key=s3cret", true, Signal::Logs, Protocol::Http, false).unwrap();
        assert_eq!(format!("{endpoint} {endpoint:?}"), "http://a/x http://a/x");
    }

    #[test]
    fn an_endpoint_that_is_our_own_listener_is_recognised() {
        let loops = |endpoint: &str, own: &str| {
            let config = Config { endpoint: endpoint.to_owned(), ..Config::default() };
            loops_back(&config, &[own.parse().unwrap()]).is_some()
        };
        assert!(loops("http://localhost:4318", "127.0.0.1:4318"));
        assert!(loops("http://127.0.0.1:4318/x", "0.0.0.0:4318"));
        assert!(loops("http://[::1]:4318", "127.0.0.1:4318"));
        assert!(loops("http://[::ffff:10.0.0.7]:4318", "10.0.0.7:4318"));
        assert!(loops("http://0.0.0.0:80", "[::]:80"));
        assert!(loops("http://localhost", "127.0.0.1:80"));
        assert!(!loops("http://127.0.0.1:4319", "127.0.0.1:4318"));
        assert!(!loops("http://10.0.0.8:4318", "10.0.0.7:4318"));
        assert!(!loops("http://collector:4318", "127.0.0.1:4318"));
        let own_signal = Config {
            endpoint: "http://collector:4318".to_owned(),
            logs_endpoint: Some("http://localhost:4318/v1/logs".to_owned()),
            ..Config::default()
        };
        let address = "127.0.0.1:4318".parse().unwrap();
        assert_eq!(loops_back(&own_signal, &[address]).as_deref(), Some("http://localhost:4318/v1/logs"));
        let unused = Config { signals: vec![Signal::Metrics], ..own_signal };
        assert_eq!(loops_back(&unused, &[address]), None);
    }

    proptest! {
        #[test]
        fn no_text_is_a_panic(text: String, as_is: bool, insecure: bool) {
            for protocol in [Protocol::Http, Protocol::Json, Protocol::Grpc] {
                if let Ok(endpoint) = Endpoint::parse(&text, as_is, Signal::Traces, protocol, insecure) {
                    prop_assert!(!endpoint.to_string().contains('?'));
                }
            }
        }
    }
}
