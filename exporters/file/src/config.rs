//! What a user may say about one file.

use std::time::Duration;

use serde::Deserialize;

/// One file of OTLP JSON lines. Every key has a default but `path`: nothing is written where nobody asked for it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The name in logs and in `wattline.destination`. Default `file`.
    pub name: String,
    /// The file, or `-` for standard output. The directory must exist. Default empty, which is refused.
    pub path: String,
    /// The time between two snapshots of the metrics. Default `60s`.
    #[serde(with = "humantime_serde")]
    pub interval: Duration,
    /// The size in bytes at which the file is renamed to `<path>.1` and begun anew. Default 104857600 (100 MiB);
    /// 0 for never.
    pub rotate_bytes: u64,
    /// How many renamed files are kept: `<path>.1` is the newest. Default 5; 0 keeps none.
    pub keep: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: "file".to_owned(),
            path: String::new(),
            interval: Duration::from_mins(1),
            rotate_bytes: 100 * 1024 * 1024,
            keep: 5,
        }
    }
}

/// Why a configuration is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// There is no path.
    #[error("`path` of the file exporter {name} is empty: name a file, or `-` for standard output")]
    NoPath {
        /// The exporter.
        name: String,
    },
    /// The interval is zero.
    #[error("`interval` of the file exporter {name} is zero: give the time between two snapshots, such as `60s`")]
    NoInterval {
        /// The exporter.
        name: String,
    },
}

impl Config {
    /// Refuses what cannot work.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let Self { name, path, interval, rotate_bytes: _, keep: _ } = self;
        if path.is_empty() {
            return Err(ConfigError::NoPath { name: name.clone() });
        }
        if interval.is_zero() {
            return Err(ConfigError::NoInterval { name: name.clone() });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_are_left_out_have_their_defaults() {
        let config: Config = toml::from_str("path = \"-\"\ninterval = \"5s\"").unwrap();
        assert_eq!(config, Config { path: "-".into(), interval: Duration::from_secs(5), ..Config::default() });
        assert!(config.check().is_ok());
    }

    #[test]
    fn what_cannot_work_is_refused() {
        assert!(toml::from_str::<Config>("paht = \"x\"").is_err());
        let error = Config::default().check().unwrap_err();
        assert!(error.to_string().contains("`path`"), "{error}");
        let config = Config { path: "-".into(), interval: Duration::ZERO, ..Config::default() };
        assert_eq!(config.check(), Err(ConfigError::NoInterval { name: "file".into() }));
    }
}
