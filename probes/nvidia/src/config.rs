use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How NVIDIA's GPUs are read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether they are read: `auto` (the default) where there is a driver, `always`, which makes a missing one a failure,
    /// or `never`.
    pub mode: Mode,
    /// NVIDIA's management library. A name without a slash is looked for where the dynamic linker looks.
    /// libnvidia-ml.so.1.
    pub library: PathBuf,
    /// Time between two readings; those of the other probes where that is longer. 1 s.
    #[serde(with = "humantime_serde")]
    pub interval: Duration,
    /// The longest time for one reading. A driver that takes longer hangs, and is left alone. The first reading may take
    /// six times as long, because the driver may have to wake the GPUs. 10 s.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// For how long the driver is let go of when somebody asks for it. 10 min.
    #[serde(with = "humantime_serde")]
    pub release: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            library: PathBuf::from("libnvidia-ml.so.1"),
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(10),
            release: Duration::from_mins(10),
        }
    }
}

/// Whether GPUs are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Where there is a driver.
    #[default]
    Auto,
    /// In any case.
    Always,
    /// Not.
    Never,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let error = serde_json::from_str::<Config>(r#"{"libary": "x"}"#).unwrap_err();
        assert!(error.to_string().contains("libary"), "{error}");
        let config: Config = serde_json::from_str(r#"{"mode": "never", "timeout": "3s"}"#).unwrap();
        assert_eq!((config.mode, config.timeout), (Mode::Never, Duration::from_secs(3)));
    }
}
