//! What can be configured, under `[probes.bedrock]`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use wattline_core::secret::Secret;

use super::{Rules, account, log_groups};

/// Where AWS's own logs of calls and of hosted agents are read, and how. By default nowhere.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Files, and folders with all that is below them. Empty.
    pub paths: Vec<PathBuf>,
    /// How often they are looked at, from 100ms to 1h. 10 s.
    #[serde(with = "humantime_serde")]
    pub interval: Duration,
    /// Keys of the request's metadata that name the calling service, the best first; without any of them the caller's role
    /// is the service. Empty.
    pub service_keys: Vec<String>,
    /// Which model answers under a name that an account has made up, such as `application-inference-profile/abc`. Empty.
    pub models: BTreeMap<String, String>,
    /// How many vCPUs the sessions of hosted agents have, by the agent's name, `*` for all others; 0.1 to 256. By default
    /// the most that is seen in use.
    pub agent_vcpus: BTreeMap<String, f64>,
    /// CloudWatch Logs.
    pub cloudwatch: CloudWatchConfig,
    /// The account's own metrics.
    pub metrics: MetricsConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            paths: Vec::new(),
            interval: Duration::from_secs(10),
            service_keys: Vec::new(),
            models: BTreeMap::new(),
            agent_vcpus: BTreeMap::new(),
            cloudwatch: CloudWatchConfig::default(),
            metrics: MetricsConfig::default(),
        }
    }
}

/// CloudWatch Logs as a source. It sees a whole account, so that one agent of the role `gateway` reads it and no other.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CloudWatchConfig {
    /// The log groups. Empty: nobody is asked.
    pub log_groups: Vec<String>,
    /// The region; by default what the AWS SDKs find.
    pub region: Option<String>,
    /// The profile in the shared files; by default what the AWS SDKs find.
    pub profile: Option<String>,
    /// The address of CloudWatch Logs in place of the region's own.
    pub endpoint: Option<String>,
    /// An HTTP proxy.
    pub proxy: Option<Secret>,
    /// The time between two looks, from 10s to 1h. 5 min.
    #[serde(with = "humantime_serde")]
    pub interval: Duration,
    /// How late events may come, up to 6h. 65 min: rows of `AgentCore` come up to an hour late.
    #[serde(with = "humantime_serde")]
    pub late: Duration,
    /// How far back the first look goes, up to 14 days. 1 h.
    #[serde(with = "humantime_serde")]
    pub lookback: Duration,
    /// The longest time for one answer. 30 s.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
}

impl Default for CloudWatchConfig {
    fn default() -> Self {
        Self {
            log_groups: Vec::new(),
            region: None,
            profile: None,
            endpoint: None,
            proxy: None,
            interval: Duration::from_mins(5),
            late: Duration::from_mins(65),
            lookback: Duration::from_hours(1),
            timeout: Duration::from_secs(30),
        }
    }
}

/// The metrics that Amazon Bedrock keeps of an account in CloudWatch, as a source of what nobody else tells of. They are of
/// a whole account, so that one agent of the role `gateway` reads them and no other.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsConfig {
    /// Whether they are read. AWS bills each look. False.
    pub enabled: bool,
    /// The region; by default what the AWS SDKs find.
    pub region: Option<String>,
    /// The profile in the shared files; by default what the AWS SDKs find.
    pub profile: Option<String>,
    /// The address of CloudWatch in place of the region's own.
    pub endpoint: Option<String>,
    /// An HTTP proxy.
    pub proxy: Option<Secret>,
    /// The time between two looks, from 5m to 6h. 5 min.
    #[serde(with = "humantime_serde")]
    pub interval: Duration,
    /// How long others may take to tell of a call before it counts as told by nobody, from 5m to 6h. 15 min.
    #[serde(with = "humantime_serde")]
    pub late: Duration,
    /// The longest time for one answer. 30 s.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
}

impl Default for MetricsConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            region: None,
            profile: None,
            endpoint: None,
            proxy: None,
            interval: Duration::from_mins(5),
            late: Duration::from_mins(15),
            timeout: Duration::from_secs(30),
        }
    }
}

/// A key whose value cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} {problem}")]
pub struct ConfigError {
    /// The key below `probes.bedrock`.
    pub key: &'static str,
    /// What is wrong with it, and what would be right.
    pub problem: String,
}

impl Config {
    /// How records are read.
    pub fn rules(&self) -> Rules {
        Rules { service_keys: self.service_keys.clone(), models: self.models.clone() }
    }

    /// Whether anything is read at all.
    pub fn reads(&self) -> bool {
        !self.paths.is_empty() || self.is_account_wide()
    }

    /// Whether anything is read that concerns a whole account.
    pub fn is_account_wide(&self) -> bool {
        !self.cloudwatch.log_groups.is_empty() || self.metrics.enabled
    }

    /// Whether all values can be used.
    pub fn check(&self) -> Result<(), ConfigError> {
        let CloudWatchConfig { interval, late, lookback, timeout, .. } = self.cloudwatch;
        let (second, hour, day) = (Duration::from_secs(1), Duration::from_hours(1), Duration::from_hours(24));
        for (key, value, least, most) in [
            ("interval", self.interval, second / 10, hour),
            ("cloudwatch.interval", interval, 10 * second, hour),
            ("cloudwatch.late", late, Duration::ZERO, 6 * hour),
            ("cloudwatch.lookback", lookback, Duration::ZERO, 14 * day),
            ("cloudwatch.timeout", timeout, second, 300 * second),
            ("metrics.interval", self.metrics.interval, 300 * second, 6 * hour),
            ("metrics.late", self.metrics.late, 300 * second, 6 * hour),
            ("metrics.timeout", self.metrics.timeout, second, 300 * second),
        ] {
            if !(least..=most).contains(&value) {
                let show = humantime::format_duration;
                let problem = format!("is {}; it must be between {} and {}", show(value), show(least), show(most));
                return Err(ConfigError { key, problem });
            }
        }
        let absurd = |count: &&f64| !(0.1..=256.0).contains(*count);
        if let Some(count) = self.agent_vcpus.values().find(absurd) {
            let problem = format!("has {count}; a session has 0.1 to 256 vCPUs");
            return Err(ConfigError { key: "agent_vcpus", problem });
        }
        for (key, settings) in [
            ("cloudwatch.region", log_groups::settings(&self.cloudwatch)),
            ("metrics.region", account::settings(&self.metrics)),
        ] {
            settings.map_err(|problem| ConfigError { key, problem: format!("cannot be used: {problem}") })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_left_out_have_their_defaults_and_unknown_ones_are_refused() {
        let config: Config = toml::from_str("paths = [\"/a\"]\n[cloudwatch]\nlate = \"2h\"\n").unwrap();
        assert_eq!((config.paths.len(), config.interval), (1, Duration::from_secs(10)));
        assert_eq!(config.cloudwatch.late, Duration::from_hours(2));
        assert!(toml::from_str::<Config>("path = \"/a\"").is_err());
    }

    #[test]
    fn a_value_out_of_range_names_its_key() {
        for (text, key) in [
            ("interval = \"1ms\"", "interval"),
            ("[cloudwatch]\ninterval = \"1s\"", "cloudwatch.interval"),
            ("[cloudwatch]\nlate = \"1day\"", "cloudwatch.late"),
            ("[agent_vcpus]\na = 0.0", "agent_vcpus"),
            ("[metrics]\ninterval = \"1m\"", "metrics.interval"),
            ("[metrics]\nregion = \"Frankfurt\"", "metrics.region"),
        ] {
            assert_eq!(toml::from_str::<Config>(text).unwrap().check().unwrap_err().key, key, "{text}");
        }
        assert_eq!(Config::default().check(), Ok(()));
    }
}
