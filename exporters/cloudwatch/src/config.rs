//! What a user may say about one EMF destination.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;
use wattline_export_delivery::aws::Region;
use wattline_export_delivery::{Secret, ViewConfig};

/// One destination of figures in `CloudWatch`'s embedded metric format. Every key has a default.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The name in logs and in `wattline.destination`. Default `emf`.
    pub name: String,
    /// Where the events go. Default `stdout`.
    pub sink: SinkKind,
    /// The file of the sink `file`. Default empty, which it refuses.
    pub path: String,
    /// The size in bytes at which the file is renamed to `<path>.1` and begun anew. Default 104857600 (100 MiB);
    /// 0 for never.
    pub rotate_bytes: u64,
    /// How many renamed files are kept. Default 5.
    pub keep: u32,
    /// The `CloudWatch` agent of the sinks `udp` and `tcp`. Default `127.0.0.1:25888`.
    pub address: SocketAddr,
    /// The log group of the sink `logs`, and the one that a `CloudWatch` agent puts the events into. It must exist.
    /// Default empty, which the sink `logs` refuses.
    pub log_group: String,
    /// The log stream; `{host.name}` and other attributes of the machine in braces are filled in. The sink `logs` makes
    /// it when it does not exist. Default `{host.name}`.
    pub log_stream: String,
    /// The AWS region of the sink `logs`. By default what the AWS SDKs find.
    pub region: Option<Region>,
    /// The AWS profile of the sink `logs`. By default what the AWS SDKs find.
    pub profile: Option<String>,
    /// The address of the service in place of the region's own, such as that of a VPC endpoint.
    pub endpoint: Option<String>,
    /// An HTTP proxy for the sink `logs`. Default none; the environment is not asked.
    pub proxy: Option<Secret>,
    /// The namespace of the metrics. Default `wattline`.
    pub namespace: String,
    /// The sets of labels that metrics are told apart by; a metric is made, and paid for, for each set whose labels a
    /// point has. Attributes of the machine count as labels. By default each point has one set: its own labels and
    /// `host.name`.
    pub dimensions: Vec<Vec<String>>,
    /// The time between two snapshots. Default `60s`.
    #[serde(with = "humantime_serde")]
    pub interval: Duration,
    /// Seconds that `CloudWatch` tells apart: 60, or 1 for metrics of high resolution. Default 60.
    pub resolution: u32,
    /// The longest time for one attempt. Default `10s`.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// The most bytes that wait on disk. Default 1073741824 (1 GiB). When they are used up the oldest are dropped and
    /// counted.
    pub spool_bytes: u64,
    /// The same in memory, where the state directory cannot be written. Default 67108864 (64 MiB).
    pub memory_bytes: u64,
    /// The longest that data waits before it is dropped and counted. Default `7d`.
    #[serde(with = "humantime_serde")]
    pub max_age: Duration,
    /// The time for sending what waits when the agent stops. Default `5s`.
    #[serde(with = "humantime_serde")]
    pub grace: Duration,
    /// Which figures are told.
    pub view: ViewConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: "emf".to_owned(),
            sink: SinkKind::default(),
            path: String::new(),
            rotate_bytes: 100 * 1024 * 1024,
            keep: 5,
            address: SocketAddr::from(([127, 0, 0, 1], 25888)),
            log_group: String::new(),
            log_stream: "{host.name}".to_owned(),
            region: None,
            profile: None,
            endpoint: None,
            proxy: None,
            namespace: "wattline".to_owned(),
            dimensions: Vec::new(),
            interval: Duration::from_mins(1),
            resolution: 60,
            timeout: Duration::from_secs(10),
            spool_bytes: 1 << 30,
            memory_bytes: 64 << 20,
            max_age: Duration::from_hours(7 * 24),
            grace: Duration::from_secs(5),
            view: ViewConfig::default(),
        }
    }
}

/// Where events go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SinkKind {
    /// Standard output, which on AWS Lambda, ECS and Kubernetes goes into `CloudWatch` Logs.
    #[default]
    Stdout,
    /// A file, which the `CloudWatch` agent may read.
    File,
    /// The `CloudWatch` agent, one event a datagram.
    Udp,
    /// The `CloudWatch` agent, one event a line.
    Tcp,
    /// `CloudWatch` Logs itself.
    Logs,
}

impl fmt::Display for SinkKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stdout => "stdout",
            Self::File => "file",
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Logs => "logs",
        })
    }
}

/// Why a destination cannot be opened: one key of its configuration is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the EMF destination {destination} cannot be opened: {key} {problem}")]
pub struct OpenError {
    /// The destination's name.
    pub destination: String,
    /// The key.
    pub key: String,
    /// What is wrong with it and what to do.
    pub problem: String,
}

/// A key and what is wrong with it.
pub(crate) type Problem = (&'static str, String);

impl Config {
    /// Refuses what cannot work, beside the view and the sink's own keys.
    pub(crate) fn check(&self) -> Result<(), Problem> {
        self.check_names()?;
        self.dimensions.iter().try_for_each(|set| check_set(set))?;
        if self.resolution != 1 && self.resolution != 60 {
            return Err(("resolution", format!("is {}; CloudWatch knows 1 and 60", self.resolution)));
        }
        for (key, value, most) in [
            ("interval", self.interval, Duration::from_hours(24)),
            ("timeout", self.timeout, Duration::from_hours(1)),
            ("max_age", self.max_age, Duration::from_hours(14 * 24)),
        ] {
            if value.is_zero() || value > most {
                return Err((key, format!("is {value:?}; it must be more than nothing and at most {most:?}")));
            }
        }
        if self.grace > Duration::from_hours(1) {
            return Err(("grace", format!("is {:?}; it must be at most 1h", self.grace)));
        }
        for (key, bytes) in [("spool_bytes", self.spool_bytes), ("memory_bytes", self.memory_bytes)] {
            if bytes < 1 << 20 {
                return Err((key, format!("is {bytes}; it must be at least 1048576")));
            }
        }
        Ok(())
    }

    fn check_names(&self) -> Result<(), Problem> {
        if self.name.trim().is_empty() {
            return Err(("name", "is empty".to_owned()));
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._#:/-".contains(c);
        if self.namespace.is_empty() || self.namespace.len() > 255 || !self.namespace.chars().all(allowed) {
            let problem =
                format!("is {:?}; it must be 1 to 255 letters, digits and characters of . _ # : / -", self.namespace);
            return Err(("namespace", problem));
        }
        if self.namespace.starts_with("AWS/") {
            return Err(("namespace", "begins with AWS/, which is reserved for AWS".to_owned()));
        }
        let group = |c: char| c.is_ascii_alphanumeric() || "._#/-".contains(c);
        if self.log_group.len() > 512 || !self.log_group.chars().all(group) {
            let problem =
                format!("is {:?}; it must be at most 512 letters, digits and characters of . _ # / -", self.log_group);
            return Err(("log_group", problem));
        }
        if self.log_stream.is_empty() || self.log_stream.len() > 512 || self.log_stream.contains([':', '*']) {
            let problem = format!("is {:?}; it must be 1 to 512 characters without : and *", self.log_stream);
            return Err(("log_stream", problem));
        }
        match self.sink {
            SinkKind::File if self.path.is_empty() => Err(("path", "is empty: name a file".to_owned())),
            SinkKind::Logs if self.log_group.is_empty() => {
                Err(("log_group", "is empty: name a group that exists".to_owned()))
            }
            _ => Ok(()),
        }
    }
}

/// What `CloudWatch` takes as a set of dimensions (Embedded Metric Format Specification, "`DimensionSet` array").
fn check_set(set: &[String]) -> Result<(), Problem> {
    const MOST: usize = 30;
    const LONGEST: usize = 250;
    let problem = |problem: String| Err(("dimensions", problem));
    if set.len() > MOST {
        return problem(format!("has a set of {} labels; CloudWatch takes {MOST}", set.len()));
    }
    for (position, name) in set.iter().enumerate() {
        if name.is_empty() || name.len() > LONGEST || !name.is_ascii() || name.starts_with(':') {
            return problem(format!(
                "has the label {name:?}; CloudWatch takes 1 to {LONGEST} ASCII characters, the first not a colon"
            ));
        }
        if set.iter().take(position).any(|other| other == name) {
            return problem(format!("has {name:?} twice in a set"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(toml: &str) -> Option<&'static str> {
        toml::from_str::<Config>(toml).unwrap().check().err().map(|(key, _)| key)
    }

    #[test]
    fn the_default_works() {
        assert_eq!(problem(""), None);
        assert_eq!(problem("dimensions = [[], ['host.name', 'hw.type']]"), None);
    }

    #[test]
    fn what_cloudwatch_does_not_take_names_its_key() {
        let many: Vec<String> = (0..31).map(|number| format!("'d{number}'")).collect();
        for (toml, key) in [
            ("name = ' '", "name"),
            ("namespace = ''", "namespace"),
            ("namespace = 'AWS/EC2'", "namespace"),
            ("namespace = 'a b'", "namespace"),
            ("log_group = 'a:b'", "log_group"),
            ("log_stream = 'a*b'", "log_stream"),
            ("sink = 'file'", "path"),
            ("sink = 'logs'", "log_group"),
            ("resolution = 10", "resolution"),
            ("interval = '0s'", "interval"),
            ("max_age = '15d'", "max_age"),
            ("grace = '2h'", "grace"),
            ("spool_bytes = 5", "spool_bytes"),
            ("dimensions = [[':a']]", "dimensions"),
            ("dimensions = [['a', 'a']]", "dimensions"),
            ("dimensions = [['ü']]", "dimensions"),
            (&format!("dimensions = [[{}]]", many.join(",")), "dimensions"),
        ] {
            assert_eq!(problem(toml), Some(key), "{toml}");
        }
        assert!(toml::from_str::<Config>("region = 'Europe'").is_err());
        assert!(toml::from_str::<Config>("sink = 'carrier pigeon'").is_err());
    }
}
