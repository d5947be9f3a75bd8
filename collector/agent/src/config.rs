//! What the user wrote (`Config`), as TOML.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use wattline_probe_llm::otlp::Acknowledge;

use crate::engines;
use crate::env;
use crate::role::Role;

mod gpus;
mod inference;
mod log;
mod meaning;

pub use inference::Inference;
pub use log::{Log, LogFormat};
pub use meaning::{Carbon, Cost, Lists, Machine};

/// The admin port that is used when none is configured.
pub const ADMIN_DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9747);

/// The whole configuration. Every key has a default.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What this agent is there for.
    pub role: Role,
    /// The measured host.
    pub host: Host,
    /// What survives a restart.
    pub state: State,
    /// The books over time.
    pub ledger: Ledger,
    /// How calls of language models are told.
    pub inference: Inference,
    /// What the machine is, where nothing on it tells.
    pub machine: Machine,
    /// How often to look.
    pub sampling: Sampling,
    /// What a kilowatt-hour means for the climate.
    pub carbon: Carbon,
    /// What a kilowatt-hour costs.
    pub cost: Cost,
    /// Limits on what is kept.
    pub limits: Limits,
    /// Sources.
    pub probes: Probes,
    /// How telemetry of others goes on.
    pub relay: wattline_probe_llm::content::Config,
    /// The admin endpoint.
    pub admin: Admin,
    /// Destinations.
    pub exporters: Exporters,
    /// The log.
    pub log: Log,
}

/// The measured host.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Host {
    /// Where the host's `/proc` and `/sys` are found: `/host` in a container that mounts them there.
    pub root: PathBuf,
    /// Whether a second agent on this machine is refused, so that no joule is booked twice.
    pub lease: bool,
}

impl Default for Host {
    fn default() -> Self {
        Self { root: PathBuf::from("/"), lease: true }
    }
}

/// What survives a restart.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct State {
    /// Directory of the agent's own files; by default systemd's `$STATE_DIRECTORY`, else `/var/lib/wattline`.
    pub directory: Option<PathBuf>,
}

impl State {
    /// The directory in force.
    pub fn directory(&self) -> PathBuf {
        let systemd = || env::get("STATE_DIRECTORY").map(PathBuf::from);
        self.directory.clone().or_else(systemd).unwrap_or_else(|| PathBuf::from("/var/lib/wattline"))
    }
}

/// The books over time.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ledger {
    /// About how many bytes the ledger may take on disk; the oldest minutes go first.
    pub max_bytes: u64,
}

impl Default for Ledger {
    fn default() -> Self {
        Self { max_bytes: 256 << 20 }
    }
}

/// How often to look.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sampling {
    /// Time between readings, 100ms to 30s.
    #[serde(with = "humantime_serde")]
    pub interval: Duration,
    /// Length of an accounting window, from one interval up.
    #[serde(with = "humantime_serde")]
    pub window: Duration,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { interval: Duration::from_secs(1), window: Duration::from_secs(10) }
    }
}

/// Limits on what is kept.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The most workloads with series of their own; the rest are booked as `other`.
    pub workloads: usize,
    /// A workload that is gone keeps its series for this long.
    #[serde(with = "humantime_serde")]
    pub retention: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { workloads: 1000, retention: Duration::from_hours(1) }
    }
}

/// Sources.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Probes {
    /// This machine.
    pub host: wattline_probe_host::Config,
    /// The cloud that this machine may stand in.
    pub cloud: wattline_probe_host::inventory::CloudConfig,
    /// NVIDIA's GPUs.
    pub nvidia: wattline_probe_nvidia::Config,
    /// Host names and addresses of inference engines of your own: calls of these draw their energy on hosts that are
    /// measured, not at a provider. Private and loopback addresses count without being listed.
    pub local_engines: Vec<String>,
    /// Inference engines whose metrics are read.
    pub engines: wattline_probe_llm::engines::Config,
    /// Spans of language model calls.
    pub otlp: wattline_probe_llm::otlp::Config,
    /// AWS's own logs of model calls and of hosted agents.
    pub bedrock: wattline_probe_llm::bedrock::Config,
}

/// The admin endpoint.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Admin {
    /// Whether it is served.
    pub enabled: bool,
    /// Where it listens.
    pub listen: SocketAddr,
    /// A file of bearer tokens, one in each line, of which a request for `/metrics` must bear one. Probes of life need
    /// none.
    pub bearer_token_file: Option<PathBuf>,
    /// TLS of the endpoint.
    pub tls: wattline_listen::TlsConfig,
    /// Whether it may listen beyond loopback although it speaks plain text, or asks for neither token nor certificate.
    pub plaintext_beyond_loopback: bool,
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: ADMIN_DEFAULT,
            bearer_token_file: None,
            tls: wattline_listen::TlsConfig::default(),
            plaintext_beyond_loopback: false,
        }
    }
}

/// Destinations.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Exporters {
    /// OTLP destinations.
    pub otlp: Vec<wattline_export_otlp::Config>,
    /// Amazon CloudWatch, by its OTLP endpoints.
    pub cloudwatch: Vec<wattline_export_otlp::CloudWatch>,
    /// Files of OTLP JSON lines.
    pub file: Vec<wattline_export_file::Config>,
    /// Events in `CloudWatch`'s embedded metric format.
    pub emf: Vec<wattline_export_cloudwatch::Config>,
}

impl Exporters {
    /// All destinations that are sent OTLP, with the table that names each.
    pub fn all_otlp(&self) -> impl Iterator<Item = (&'static str, wattline_export_otlp::Config)> {
        let otlp = self.otlp.iter().map(|destination| ("exporters.otlp", destination.clone()));
        let cloudwatch = self.cloudwatch.iter().map(|destination| ("exporters.cloudwatch", destination.clone().into()));
        otlp.chain(cloudwatch)
    }
}

/// Words of lines that an error does not repeat.
const SECRETS: [&str; 6] = ["headers", "proxy", "authorization", "bearer", "api-key", "token"];

/// Why a configuration is refused. Every message names the file and the key.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("reading the configuration {path} failed: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// How it failed.
        source: std::io::Error,
    },
    /// The file is not TOML, or holds a key or a value that does not exist.
    #[error("{path}: {message}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The parser's words: line, column, the line itself, and what was meant.
        message: String,
    },
    /// A value is out of range.
    #[error("{key} = {value}: {expected}")]
    OutOfRange {
        /// The key, dotted.
        key: &'static str,
        /// What was written.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
    /// A part of the configuration is wrong, and says so itself.
    #[error("{key}: {message}")]
    Part {
        /// The key, dotted, with the file that it names.
        key: String,
        /// What is wrong and what would be right.
        message: String,
    },
    /// An `OTEL_*` variable is wrong.
    #[error(transparent)]
    Environment(#[from] wattline_export_otlp::EnvError),
}

impl Config {
    /// Reads `path`, or takes the defaults where there is none, and adds a destination from the standard OTEL_*
    /// variables when no OTLP destination is configured.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let mut config = match path {
            None => Self::default(),
            Some(path) => {
                #[expect(clippy::disallowed_methods, reason = "the configuration is the user's file")]
                let text = std::fs::read_to_string(path)
                    .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
                Self::parse(&text).map_err(|message| ConfigError::Malformed { path: path.to_owned(), message })?
            }
        };
        if config.exporters.all_otlp().next().is_none() {
            config.exporters.otlp.extend(wattline_export_otlp::Config::from_otel_env(&env::get)?);
        }
        config.validate()?;
        config.cost.lists = Lists::read(&config.cost)?.into();
        Ok(config)
    }

    /// Parses a configuration. The error tells line and column, shows the line, and guesses what was meant. A line that
    /// may hold a secret is not shown.
    pub fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error: toml::de::Error| {
            let hint = meant(error.message()).map_or_else(String::new, |key| format!("\ndid you mean `{key}`?"));
            let before = text.get(..error.span().map_or(0, |span| span.start)).unwrap_or("");
            let (number, line) = (before.matches('\n').count(), before.rsplit('\n').next().unwrap_or("").len());
            let shown = text.lines().nth(number).unwrap_or("").to_lowercase();
            let words = if SECRETS.iter().any(|word| shown.contains(word)) {
                let (line, column) = (number + 1, line + 1);
                format!("TOML parse error at line {line}, column {column}, in a line that may hold a secret")
            } else {
                error.to_string().trim_end().to_owned()
            };
            format!("{words}{hint}")
        })
    }

    fn validate(&self) -> Result<(), ConfigError> {
        let Sampling { interval, window } = self.sampling;
        let humane = |duration: Duration| humantime::format_duration(duration).to_string();
        check(interval >= Duration::from_millis(100), "sampling.interval", || humane(interval), "at least 100ms")?;
        // A power meter is integrated over no longer, and a counter of a package may lap in two minutes.
        check(interval <= Duration::from_secs(30), "sampling.interval", || humane(interval), "at most 30s")?;
        // What was not read for longer counts as ended.
        let cold = self.probes.host.cold_period;
        check(cold <= Duration::from_secs(10), "probes.host.cold_period", || humane(cold), "at most 10s")?;
        gpus::validate(&self.probes.nvidia)?;
        check(window >= interval, "sampling.window", || humane(window), "at least sampling.interval")?;
        check(window <= Duration::from_hours(1), "sampling.window", || humane(window), "at most 1h")?;
        self.inference.validate()?;
        self.machine.validate()?;
        self.carbon.validate()?;
        self.cost.validate()?;
        engines::check(&self.probes.engines).map_err(|error| ConfigError::Part {
            key: format!("probes.engines.{}", error.key),
            message: error.problem,
        })?;
        check(self.limits.workloads > 0, "limits.workloads", || "0".to_owned(), "at least 1")?;
        let bedrock = &self.probes.bedrock;
        bedrock.check().map_err(|error| ConfigError::Part {
            key: format!("probes.bedrock.{}", error.key),
            message: error.problem,
        })?;
        check(
            self.role == Role::Gateway || !bedrock.is_account_wide(),
            "role",
            || self.role.as_str().to_owned(),
            "\"gateway\" where probes.bedrock.cloudwatch.log_groups or probes.bedrock.metrics.enabled is set: they tell of the \
             calls of a whole account, which every agent that reads them would book again",
        )?;
        let otlp = &self.probes.otlp;
        check(
            self.role.measures() || otlp.grpc.enabled || otlp.http.enabled || bedrock.reads(),
            "role",
            || self.role.as_str().to_owned(),
            "a role that measures, or probes.otlp.grpc.enabled or probes.otlp.http.enabled, or logs in probes.bedrock: \
             without them there is nothing to do",
        )?;
        // A file is written through the system's memory, and nobody says when it is on disk.
        check(
            otlp.acknowledge == Acknowledge::Memory || self.exporters.file.is_empty(),
            "probes.otlp.acknowledge",
            || "disk".to_owned(),
            "\"memory\" beside exporters.file, which does not tell when its lines are on disk",
        )?;
        let Admin { enabled, listen, bearer_token_file, tls, plaintext_beyond_loopback } = &self.admin;
        let is_guarded = *plaintext_beyond_loopback || tls.is_enough_beyond_loopback(bearer_token_file.is_some());
        check(
            !enabled || is_guarded || listen.ip().to_canonical().is_loopback(),
            "admin.listen",
            || listen.to_string(),
            "an address of loopback, because anybody could read the figures; or set admin.tls.cert_file and key_file \
             together with admin.bearer_token_file or admin.tls.client_ca_file, or \
             admin.plaintext_beyond_loopback = true if the network is trusted",
        )
    }
}

fn check(
    fine: bool,
    key: &'static str,
    value: impl FnOnce() -> String,
    expected: &'static str,
) -> Result<(), ConfigError> {
    if fine { Ok(()) } else { Err(ConfigError::OutOfRange { key, value: value(), expected }) }
}

/// The known key nearest to the unknown one in the parser's message.
fn meant(message: &str) -> Option<&str> {
    let mut quoted = message.strip_prefix("unknown field ")?.split('`').skip(1).step_by(2);
    let wrong = quoted.next()?;
    quoted
        .map(|known| (strsim::damerau_levenshtein(wrong, known), known))
        .filter(|(distance, known)| *distance <= known.len().max(wrong.len()) / 2)
        .min()
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_the_default() {
        assert_eq!(Config::parse("").unwrap(), Config::default());
    }

    #[test]
    fn a_mistyped_key_names_line_and_the_key_meant() {
        let error = Config::parse("[sampling]\nintervall = \"1s\"\n").unwrap_err();
        assert!(error.contains("line 2"), "{error}");
        assert!(error.contains("did you mean `interval`?"), "{error}");
    }

    #[test]
    fn the_admin_endpoint_beyond_loopback_wants_a_word() {
        let admin = |more: &str| Config::parse(&format!("[admin]\n{more}")).unwrap().validate();
        for listen in ["0.0.0.0:9747", "[::]:9747", "192.0.2.1:9747"] {
            let error = admin(&format!("listen = \"{listen}\"")).unwrap_err().to_string();
            assert!(error.contains("admin.plaintext_beyond_loopback"), "{error}");
            assert!(admin(&format!("listen = \"{listen}\"\nplaintext_beyond_loopback = true")).is_ok());
            assert!(admin(&format!("listen = \"{listen}\"\nenabled = false")).is_ok());
        }
        for listen in ["127.0.0.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert!(admin(&format!("listen = \"{listen}\"")).is_ok(), "{listen}");
        }
    }

    #[test]
    fn an_acknowledgement_from_disk_wants_destinations_that_give_one() {
        let disk = "[probes.otlp]\nacknowledge = \"disk\"\n";
        assert!(Config::parse(disk).unwrap().validate().is_ok());
        let with_file = Config::parse(&format!("{disk}[[exporters.file]]\npath = \"-\"\n")).unwrap();
        let error = with_file.validate().unwrap_err().to_string();
        assert!(error.starts_with("probes.otlp.acknowledge = disk: "), "{error}");
    }

    #[test]
    fn an_error_does_not_repeat_a_secret() {
        let error = Config::parse("[[exporters.otlp]]\nheaders = \"Bearer abc123\"\n").unwrap_err();
        assert!(error.contains("line 2") && !error.contains("abc123"), "{error}");
    }

    #[test]
    fn what_concerns_a_whole_account_is_read_by_a_gateway_only() {
        let config = |role: &str| {
            let text = format!("role = \"{role}\"\n[probes.bedrock.cloudwatch]\nlog_groups = [\"/bedrock\"]\n");
            Config::parse(&text).unwrap().validate()
        };
        for role in ["node", "sidecar"] {
            let error = config(role).unwrap_err().to_string();
            assert!(error.contains(&format!("role = {role}")) && error.contains("whole account"), "{error}");
        }
        assert!(config("gateway").is_ok());
        let wrong = Config::parse("[probes.bedrock.agent_vcpus]\na = 0.0\n").unwrap().validate().unwrap_err();
        assert!(wrong.to_string().starts_with("probes.bedrock.agent_vcpus: has 0"), "{wrong}");
    }

    #[test]
    fn values_out_of_range_name_their_key() {
        let mut config = Config::default();
        config.carbon.pue = Some(0.5);
        let error = config.validate().unwrap_err().to_string();
        assert!(error.contains("carbon.pue = 0.5"), "{error}");
    }
}
