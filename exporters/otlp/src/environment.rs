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
    /// The destination that the variables name; `None` when they name none. An empty variable is one that is not
    /// set.
    ///
    /// - A signal is sent when `OTEL_EXPORTER_OTLP_<SIGNAL>_ENDPOINT` is set, which is used as it stands, or
    ///   `OTEL_EXPORTER_OTLP_ENDPOINT`, and when `OTEL_<SIGNAL>_EXPORTER` is not set or contains `otlp`.
    /// - `HEADERS`, `TIMEOUT` (ms), `PROTOCOL`, `COMPRESSION`, `CERTIFICATE`, `CLIENT_CERTIFICATE`, `CLIENT_KEY` and
    ///   `INSECURE`: the variable of the signal goes before the general one. One destination has one of each, so it
    ///   is an error when they come out different for two signals that are sent.
    /// - `OTEL_METRIC_EXPORT_INTERVAL` (ms) is the interval.
    ///
    /// What no variable sets keeps the default of [`Config`]; that is gzip where the specification has none.
    pub fn from_otel_env(get: &dyn Fn(&str) -> Option<String>) -> Result<Option<Self>, EnvError> {
        let environment = Environment::new(get);
        if environment.signals.is_empty() {
            return Ok(None);
        }
        let own = |signal| environment.own_endpoint(signal);
        let mut config = Self {
            endpoint: environment.value(&general("ENDPOINT")).unwrap_or_default(),
            metrics_endpoint: own(Signal::Metrics),
            traces_endpoint: own(Signal::Traces),
            logs_endpoint: own(Signal::Logs),
            signals: environment.signals.clone(),
            ..Self::default()
        };
        if let Some((variable, value)) = environment.setting("PROTOCOL")? {
            config.protocol = protocol(&value).map_err(|problem| EnvError::new(variable, problem))?;
        }
        if let Some((variable, value)) = environment.setting("COMPRESSION")? {
            config.compression = compression(&value).map_err(|problem| EnvError::new(variable, problem))?;
        }
        if let Some((variable, value)) = environment.setting("HEADERS")? {
            config.headers = headers(&value).map_err(|problem| EnvError::new(variable, problem))?;
        }
        if let Some((variable, value)) = environment.setting("TIMEOUT")? {
            config.timeout = milliseconds(variable, &value)?;
        }
        if let Some((variable, value)) = environment.setting("INSECURE")? {
            config.insecure = match value.to_ascii_lowercase().as_str() {
                "true" => true,
                "false" => false,
                _ => return Err(EnvError::new(variable, "is neither true nor false")),
            };
        }
        let file = |name| Ok::<_, EnvError>(environment.setting(name)?.map(|(_, path)| PathBuf::from(path)));
        config.tls = Tls {
            ca_file: file("CERTIFICATE")?,
            cert_file: file("CLIENT_CERTIFICATE")?,
            key_file: file("CLIENT_KEY")?,
        };
        let interval = "OTEL_METRIC_EXPORT_INTERVAL";
        if let Some(value) = environment.value(interval) {
            config.interval = milliseconds(interval.to_owned(), &value)?;
        }
        Ok(Some(config))
    }
}

struct Environment<'a> {
    get: &'a dyn Fn(&str) -> Option<String>,
    /// What is sent.
    signals: Vec<Signal>,
}

impl<'a> Environment<'a> {
    fn new(get: &'a dyn Fn(&str) -> Option<String>) -> Self {
        let mut environment = Self { get, signals: Vec::new() };
        environment.signals = [Signal::Metrics, Signal::Traces, Signal::Logs]
            .into_iter()
            .filter(|&signal| {
                let exporter = environment.value(&format!("OTEL_{}_EXPORTER", word(signal)));
                let wanted = exporter.is_none_or(|names| names.split(',').any(|name| name.trim() == "otlp"));
                let named = environment.own_endpoint(signal).or_else(|| environment.value(&general("ENDPOINT")));
                wanted && named.is_some()
            })
            .collect();
        environment
    }

    fn value(&self, variable: &str) -> Option<String> {
        (self.get)(variable).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    fn own_endpoint(&self, signal: Signal) -> Option<String> {
        self.value(&of_signal(signal, "ENDPOINT"))
    }

    /// The variable that holds for all signals that are sent, and its value.
    fn setting(&self, name: &str) -> Result<Option<(String, String)>, EnvError> {
        let found = self.signals.iter().map(|&signal| {
            let own = of_signal(signal, name);
            let variable = if self.value(&own).is_some() { own } else { general(name) };
            let value = self.value(&variable);
            (variable, value)
        });
        let mut settled: Option<(String, Option<String>)> = None;
        for (variable, value) in found {
            match &settled {
                None => settled = Some((variable, value)),
                Some((_, other)) if *other == value => {}
                Some((other, _)) => {
                    // The general variable is not what is special about the two.
                    let special = if variable == general(name) { other.clone() } else { variable };
                    let problem = "asks for something else than another signal has; describe the two as two \
                                   destinations in the configuration file";
                    return Err(EnvError::new(special, problem));
                }
            }
        }
        Ok(settled.and_then(|(variable, value)| value.map(|value| (variable, value))))
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
        "grpc" => Ok(Protocol::Grpc),
        "http/json" => Err("is http/json, which is not supported; use http/protobuf"),
        _ => Err("is neither http/protobuf nor grpc"),
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

    fn read(variables: &[(&str, &str)]) -> Result<Option<Config>, EnvError> {
        Config::from_otel_env(&|name| {
            variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn wrong(variables: &[(&str, &str)]) -> String {
        read(variables).unwrap_err().variable
    }

    #[test]
    fn no_endpoint_means_no_destination() {
        assert_eq!(read(&[("OTEL_EXPORTER_OTLP_HEADERS", "a=b"), ("OTEL_EXPORTER_OTLP_ENDPOINT", " ")]), Ok(None));
        let all_off = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:4318"),
            ("OTEL_METRICS_EXPORTER", "none"),
            ("OTEL_TRACES_EXPORTER", "console"),
            ("OTEL_LOGS_EXPORTER", "none"),
        ];
        assert_eq!(read(&all_off), Ok(None));
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
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(config, Ok(Some(expected)));
    }

    #[test]
    fn a_signals_own_variables_go_before_the_general_ones() {
        let own = read(&[
            ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://m/v1/metrics"),
            ("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "zstd"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"),
            ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "gzip"),
        ]);
        let own = own.unwrap().unwrap();
        assert_eq!(own.signals, [Signal::Metrics]);
        assert_eq!((own.endpoint.as_str(), own.metrics_endpoint.as_deref()), ("", Some("http://m/v1/metrics")));
        assert_eq!(own.compression, Compression::Zstd, "traces are not sent, so that their wish does not count");
    }

    #[test]
    fn signals_that_want_different_things_are_two_destinations() {
        let general = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:4318");
        assert_eq!(wrong(&[general, ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "grpc")]), "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL");
        assert_eq!(
            wrong(&[general, ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "a=b")]),
            "OTEL_EXPORTER_OTLP_METRICS_HEADERS"
        );
    }

    #[test]
    fn a_wrong_value_names_its_variable_and_not_itself() {
        for (name, value) in [
            ("HEADERS", "s3cret"),
            ("HEADERS", "a=%zz-s3cret"),
            ("HEADERS", "a=s3cret%f"),
            ("PROTOCOL", "http/json"),
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
