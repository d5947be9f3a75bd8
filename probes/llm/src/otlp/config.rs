//! What can be configured.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use wattline_listen::TlsConfig;

/// How telemetry is taken in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// OTLP over gRPC.
    pub grpc: GrpcConfig,
    /// OTLP over HTTP, with protobuf or JSON.
    pub http: HttpConfig,
    /// The largest request in bytes, as sent and after decompression. Larger ones are refused for good. 20 MiB, as the
    /// OpenTelemetry Collector's HTTP receiver.
    pub max_body_bytes: u32,
    /// Bytes of requests that are being read at one time, over all connections, as sent and decompressed. Beyond,
    /// senders are told to come again. At least twice `max_body_bytes`. 128 MiB.
    pub max_inflight_bytes: u32,
    /// Spans, log records or points in one request. A request with more is refused for good. 100,000.
    pub max_items: u32,
    /// Attributes of one span, event, log record, point, scope or resource. A request with more is refused for
    /// good. 4096.
    pub max_attributes: u32,
    /// Connections of both listeners together. Further ones wait. 256.
    pub max_connections: u32,
    /// The time that a sender has for the head of a request, and again for its body; also how long requests in flight
    /// are waited for at the end. 30 s.
    #[serde(with = "humantime_serde")]
    pub read_timeout: Duration,
    /// When a sender is told that its request was taken. "memory".
    pub acknowledge: Acknowledge,
    /// A file of bearer tokens, one in each line, of which a request must bear one. Unix sockets ask for none.
    pub bearer_token_file: Option<PathBuf>,
    /// TLS of both listeners where they are ports.
    pub tls: TlsConfig,
    /// Whether the listeners may open beyond loopback although they speak plain text, or ask for neither token nor
    /// certificate. False.
    pub plaintext_beyond_loopback: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            grpc: GrpcConfig::default(),
            http: HttpConfig::default(),
            max_body_bytes: 20 << 20,
            max_inflight_bytes: 128 << 20,
            max_items: 100_000,
            max_attributes: 4096,
            max_connections: 256,
            read_timeout: Duration::from_secs(30),
            acknowledge: Acknowledge::default(),
            bearer_token_file: None,
            tls: TlsConfig::default(),
            plaintext_beyond_loopback: false,
        }
    }
}

/// When a sender is told that its request was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Acknowledge {
    /// As soon as it is in memory.
    #[default]
    Memory,
    /// When every destination that wants it has it on disk; without a destination, as with `Memory`.
    Disk,
}

/// OTLP over gRPC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GrpcConfig {
    /// Whether to listen. True.
    pub enabled: bool,
    /// Host and port, or `unix:` and the path of a socket. 127.0.0.1:4317.
    pub listen: String,
}

impl Default for GrpcConfig {
    fn default() -> Self {
        Self { enabled: true, listen: "127.0.0.1:4317".to_owned() }
    }
}

/// OTLP over HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// Whether to listen. True.
    pub enabled: bool,
    /// Host and port, or `unix:` and the path of a socket. 127.0.0.1:4318.
    pub listen: String,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self { enabled: true, listen: "127.0.0.1:4318".to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_left_out_have_their_defaults_and_unknown_ones_are_refused() {
        let text = "max_body_bytes = 1000\nread_timeout = \"5s\"\n[grpc]\nenabled = false\n";
        let config: Config = toml::from_str(text).unwrap();
        let expected = Config {
            grpc: GrpcConfig { enabled: false, ..GrpcConfig::default() },
            max_body_bytes: 1000,
            read_timeout: Duration::from_secs(5),
            ..Config::default()
        };
        assert_eq!(config, expected);
        assert!(toml::from_str::<Config>("[http]\nport = 4318").is_err());
        assert!(toml::from_str::<Config>("max_body_bytes = -1").is_err());
    }

    #[test]
    fn the_defaults_survive_writing_and_reading() {
        let text = toml::to_string(&Config::default()).unwrap();
        assert_eq!(toml::from_str::<Config>(&text).unwrap(), Config::default());
    }
}
