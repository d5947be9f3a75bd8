use std::time::Duration;

use wattline_probe_nvidia::Config;

use super::{ConfigError, check};

/// Refuses what no driver could be asked by.
pub(super) fn validate(config: &Config) -> Result<(), ConfigError> {
    let Config { mode: _, library, interval, timeout, release } = config;
    let humane = |duration: &Duration| humantime::format_duration(*duration).to_string();
    let is_named = !library.as_os_str().is_empty();
    check(is_named, "probes.nvidia.library", || "\"\"".to_owned(), "the name or the path of libnvidia-ml.so.1")?;
    // Whoever holds a GPU is asked as often as that; processes that come and go between are not seen.
    let is_often = (Duration::from_millis(100)..=Duration::from_secs(30)).contains(interval);
    check(is_often, "probes.nvidia.interval", || humane(interval), "100ms to 30s")?;
    let is_patient = (Duration::from_secs(1)..=Duration::from_mins(5)).contains(timeout);
    check(is_patient, "probes.nvidia.timeout", || humane(timeout), "1s to 5min")?;
    let is_while = (Duration::from_secs(10)..=Duration::from_hours(24)).contains(release);
    check(is_while, "probes.nvidia.release", || humane(release), "10s to 1day")
}
