//! The standard variables of OTLP exporters (OpenTelemetry specification, "OpenTelemetry Protocol Exporter", and
//! "Environment Variable Specification").

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use wattline_core::Signal;
use wattline_export_delivery::{Compression, Secret};

use crate::config::{Config, Protocol, Tls};

/// A variable that cannot be followed. Its value is not told, for it may be a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the environment variable {variable} {problem}")]
pub struct EnvError {
    /// The name of the variable.
    pub variable: String,
    /// What is wrong and what to do.
    pub problem: String,
}

impl EnvError {
    fn new(variable: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { variable: variable.into(), problem: problem.into() }
    }
}

impl Config {
    /// The destinations that the variables name: one, or several where signals want different things. An empty
    /// variable is one that is not set.
    ///
    /// - A signal is sent when `OTEL_EXPORTER_OTLP_<SIGNAL>_ENDPOINT` is set, which is used as it stands, or
    ///   `OTEL_EXPORTER_OTLP_ENDPOINT`, and when `OTEL_<SIGNAL>_EXPORTER` is not set or contains `otlp`.
    /// - `HEADERS`, `TIMEOUT` (ms), `PROTOCOL`, `COMPRESSION`, `CERTIFICATE`, `CLIENT_CERTIFICATE`, `CLIENT_KEY` and
    ///   `INSECURE`: the variable of the signal goes before the general one.
    /// - `OTEL_METRIC_EXPORT_INTERVAL` (ms) is the interval.
    ///
    /// What no variable sets keeps the default of [`Config`]; that is gzip where the specification has none.
    pub fn from_otel_env(get: &dyn Fn(&str) -> Option<String>) -> Result<Vec<Self>, EnvError> {
        let environment = Environment { get };
        let mut found: Vec<Self> = Vec::new();
        for signal in environment.signals() {
            let own = environment.destination(signal)?;
            match found.iter_mut().find(|other| other.differs_only_in_signals(&own)) {
                Some(other) => other.take_over(own),
                None => found.push(own),
            }
        }
        if found.len() > 1 {
            for config in &mut found {
                let signals = config.signals.iter().map(|signal| format!("-{}", signal.as_str()));
                config.name.extend(signals);
            }
        }
        Ok(found)
    }

    fn differs_only_in_signals(&self, other: &Self) -> bool {
        let bare = |config: &Self| Self {
            signals: Vec::new(),
            metrics_endpoint: None,
            traces_endpoint: None,
            logs_endpoint: None,
            ..config.clone()
        };
        bare(self) == bare(other)
    }

    fn take_over(&mut self, other: Self) {
        self.signals.extend(other.signals);
        self.metrics_endpoint = self.metrics_endpoint.take().or(other.metrics_endpoint);
        self.traces_endpoint = self.traces_endpoint.take().or(other.traces_endpoint);
        self.logs_endpoint = self.logs_endpoint.take().or(other.logs_endpoint);
    }
}

struct Environment<'a> {
    get: &'a dyn Fn(&str) -> Option<String>,
}

impl Environment<'_> {
    /// What is sent.
    fn signals(&self) -> impl Iterator<Item = Signal> {
        [Signal::Metrics, Signal::Traces, Signal::Logs].into_iter().filter(|&signal| {
            let exporter = self.value(&format!("OTEL_{}_EXPORTER", word(signal)));
            let wanted = exporter.is_none_or(|names| names.split(',').any(|name| name.trim() == "otlp"));
            wanted && self.setting(signal, "ENDPOINT").is_some()
        })
    }

    /// The destination of `signal` alone.
    fn destination(&self, signal: Signal) -> Result<Config, EnvError> {
        let own = |other| self.value(&of_signal(other, "ENDPOINT")).filter(|_| other == signal);
        let mut config = Config {
            endpoint: self.value(&general("ENDPOINT")).unwrap_or_default(),
            metrics_endpoint: own(Signal::Metrics),
            traces_endpoint: own(Signal::Traces),
            logs_endpoint: own(Signal::Logs),
            signals: vec![signal],
            ..Config::default()
        };
        if let Some((variable, value)) = self.setting(signal, "PROTOCOL") {
            config.protocol = protocol(&value).map_err(|problem| EnvError::new(variable, problem))?;
        }
        if let Some((variable, value)) = self.setting(signal, "COMPRESSION") {
            config.compression = compression(&value).map_err(|problem| EnvError::new(variable, problem))?;
        }
        if let Some((variable, value)) = self.setting(signal, "HEADERS") {
            config.headers = headers(&value).map_err(|problem| EnvError::new(variable, problem))?;
        }
        if let Some((variable, value)) = self.setting(signal, "TIMEOUT") {
            config.timeout = milliseconds(variable, &value)?;
        }
        if let Some((variable, value)) = self.setting(signal, "INSECURE") {
            config.insecure = match value.to_ascii_lowercase().as_str() {
                "true" => true,
                "false" => false,
                _ => return Err(EnvError::new(variable, "is neither true nor false")),
            };
        }
        let file = |name| self.setting(signal, name).map(|(_, path)| PathBuf::from(path));
        config.tls =
            Tls { ca_file: file("CERTIFICATE"), cert_file: file("CLIENT_CERTIFICATE"), key_file: file("CLIENT_KEY") };
        let interval = "OTEL_METRIC_EXPORT_INTERVAL";
        if let Some(value) = self.value(interval) {
            config.interval = milliseconds(interval.to_owned(), &value)?;
        }
        Ok(config)
    }

    fn value(&self, variable: &str) -> Option<String> {
        (self.get)(variable).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// The variable that holds for `signal`, and its value.
    fn setting(&self, signal: Signal, name: &str) -> Option<(String, String)> {
        [of_signal(signal, name), general(name)]
            .into_iter()
            .find_map(|variable| self.value(&variable).map(|value| (variable, value)))
    }
}

fn general(name: &str) -> String {
    format!("OTEL_EXPORTER_OTLP_{name}")
}

fn of_signal(signal: Signal, name: &str) -> String {
    format!("OTEL_EXPORTER_OTLP_{}_{name}", word(signal))
}

const fn word(signal: Signal) -> &'static str {
    match signal {
        Signal::Metrics => "METRICS",
        Signal::Traces => "TRACES",
        Signal::Logs => "LOGS",
    }
}

fn protocol(value: &str) -> Result<Protocol, &'static str> {
    match value {
        "http/protobuf" => Ok(Protocol::Http),
        "http/json" => Ok(Protocol::Json),
        "grpc" => Ok(Protocol::Grpc),
        _ => Err("is neither http/protobuf nor http/json nor grpc"),
    }
}

fn compression(value: &str) -> Result<Compression, &'static str> {
    match value {
        "none" => Ok(Compression::None),
        "gzip" => Ok(Compression::Gzip),
        "zstd" => Ok(Compression::Zstd),
        _ => Err("is neither none nor gzip nor zstd"),
    }
}

fn milliseconds(variable: String, value: &str) -> Result<Duration, EnvError> {
    let parsed = value.parse().map(Duration::from_millis);
    parsed.map_err(|_invalid| EnvError::new(variable, "is not a number of milliseconds"))
}

/// Pairs as in a W3C Baggage header, without the properties after a semicolon.
fn headers(value: &str) -> Result<BTreeMap<String, Secret>, &'static str> {
    let mut headers = BTreeMap::new();
    for member in value.split(',').map(str::trim).filter(|member| !member.is_empty()) {
        let (name, value) = member.split_once('=').ok_or("has a member without an equals sign")?;
        let value = percent_decoded(value.trim()).ok_or("has a value that is not percent-encoded UTF-8")?;
        headers.insert(name.trim().to_ascii_lowercase(), Secret::new(value));
    }
    Ok(headers)
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            let (high, low) = (digit()?, digit()?);
            decoded.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            decoded.push(byte);
        }
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Vec<Config>, EnvError> {
        Config::from_otel_env(&|name| {
            variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn no_endpoint_means_no_destination() {
        assert_eq!(
            read(&[("OTEL_EXPORTER_OTLP_HEADERS", "a=b"), ("OTEL_EXPORTER_OTLP_ENDPOINT", " ")]),
            Ok(Vec::new())
        );
        let all_off = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:4318"),
            ("OTEL_METRICS_EXPORTER", "none"),
            ("OTEL_TRACES_EXPORTER", "console"),
            ("OTEL_LOGS_EXPORTER", "none"),
        ];
        assert_eq!(read(&all_off), Ok(Vec::new()));
    }

    #[test]
    fn all_variables_are_followed() {
        let config = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:4318"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "Api-Key=s%3Dx%20y , other=1,"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"),
            ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/cert.pem"),
            ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/key.pem"),
            ("OTEL_EXPORTER_OTLP_INSECURE", "TRUE"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "15000"),
            ("OTEL_TRACES_EXPORTER", "otlp,console"),
            ("OTEL_LOGS_EXPORTER", "none"),
        ]);
        let expected = Config {
            endpoint: "http://a:4318".to_owned(),
            headers: [("api-key".to_owned(), Secret::new("s=x y")), ("other".to_owned(), Secret::new("1"))].into(),
            timeout: Duration::from_millis(2500),
            protocol: Protocol::Grpc,
            compression: Compression::None,
            insecure: true,
            interval: Duration::from_secs(15),
            signals: vec![Signal::Metrics, Signal::Traces],
            tls: Tls {
                ca_file: Some("/ca.pem".into()),
                cert_file: Some("/cert.pem".into()),
                key_file: Some("/key.pem".into()),
            },
            ..Config::default()
        };
        assert_eq!(read(&[]), Ok(Vec::new()));
        assert_eq!(config, Ok(vec![expected]));
    }

    #[test]
    fn a_signals_own_variables_go_before_the_general_ones() {
        let own = read(&[
            ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://m/v1/metrics"),
            ("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "zstd"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"),
            ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "gzip"),
        ]);
        let own = own.unwrap().remove(0);
        assert_eq!(own.signals, [Signal::Metrics]);
        assert_eq!((own.endpoint.as_str(), own.metrics_endpoint.as_deref()), ("", Some("http://m/v1/metrics")));
        assert_eq!(own.compression, Compression::Zstd, "traces are not sent, so that their wish does not count");
    }

    #[test]
    fn signals_that_want_different_things_are_destinations_of_their_own() {
        let found = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:4318"),
            ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "x-aws-log-group=g,x-aws-log-stream=s"),
            ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://l/v1/logs"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t/v1/traces"),
        ])
        .unwrap();
        let general = Config {
            name: "otlp-metrics-traces".to_owned(),
            endpoint: "http://a:4318".to_owned(),
            traces_endpoint: Some("http://t/v1/traces".to_owned()),
            signals: vec![Signal::Metrics, Signal::Traces],
            ..Config::default()
        };
        let header = |name: &str, value: &str| (name.to_owned(), Secret::new(value));
        let logs = Config {
            name: "otlp-logs".to_owned(),
            endpoint: "http://a:4318".to_owned(),
            logs_endpoint: Some("http://l/v1/logs".to_owned()),
            protocol: Protocol::Json,
            headers: [header("x-aws-log-group", "g"), header("x-aws-log-stream", "s")].into(),
            signals: vec![Signal::Logs],
            ..Config::default()
        };
        assert_eq!(found, [general, logs]);
    }

    #[test]
    fn three_signals_may_want_three_things_and_a_wrong_one_is_named() {
        let variables = |last: &'static str| {
            read(&[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:4318"),
                ("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "zstd"),
                ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", last),
            ])
        };
        let names: Vec<String> = variables("500").unwrap().into_iter().map(|config| config.name).collect();
        assert_eq!(names, ["otlp-metrics", "otlp-traces", "otlp-logs"]);
        assert_eq!(variables("fast").unwrap_err().variable, "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT");
    }

    #[test]
    fn a_wrong_value_names_its_variable_and_not_itself() {
        for (name, value) in [
            ("HEADERS", "s3cret"),
            ("HEADERS", "a=%zz-s3cret"),
            ("HEADERS", "a=s3cret%f"),
            ("PROTOCOL", "http/xml"),
            ("PROTOCOL", "s3cret"),
            ("COMPRESSION", "s3cret"),
            ("TIMEOUT", "10s"),
            ("INSECURE", "yes"),
        ] {
            let variable = general(name);
            let error = read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a"), (&variable, value)]).unwrap_err();
            assert_eq!(error.variable, variable);
            assert!(!error.to_string().contains("s3cret"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn headers_survive_percent_encoding(name in "[a-z][a-z0-9-]{0,20}", value: String) {
            let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap();
            let encoded: String = value.bytes().flat_map(|byte| ['%', digit(byte >> 4), digit(byte & 15)]).collect();
            let read = headers(&format!("{name}={encoded}")).unwrap();
            prop_assert_eq!(read.get(&name).map(Secret::reveal), Some(value.as_str()));
        }

        #[test]
        fn no_value_is_a_panic(value: String) {
            let _headers = headers(&value);
        }
    }
}
