use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::system;

/// What the host probe reads, how often, and how much of it at most.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How processes are read: `tiered` (the default) or `every_tick`.
    pub process_scan: ProcessScan,
    /// Processes that are read at every tick, those that used most CPU. The agent's own process comes on top. 20.
    pub hot_processes: usize,
    /// Within this time every other process is read once. Zero reads all of them at every tick. 10 s.
    #[serde(with = "humantime_serde")]
    pub cold_period: Duration,
    /// Within this time the dear files of every control group (memory.stat, io.stat) are read once. 10 s.
    #[serde(with = "humantime_serde")]
    pub cgroup_slow_period: Duration,
    /// Control groups that are read at most. What is beyond is counted in the health of `cgroups`, and its use
    /// stands on the group around it. 2000.
    pub max_cgroups: usize,
    /// Processes that are read at most. What is beyond is counted in the health of `processes`. 20000.
    pub max_processes: usize,
    /// The machine as a whole: disks, network interfaces, filesystems, and whether each CPU is told apart.
    pub system: system::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            process_scan: ProcessScan::default(),
            hot_processes: 20,
            cold_period: Duration::from_secs(10),
            cgroup_slow_period: Duration::from_secs(10),
            max_cgroups: 2_000,
            max_processes: 20_000,
            system: system::Config::default(),
        }
    }
}

/// How processes are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProcessScan {
    /// The busiest at every tick, the others in turn: a tenth of the cost of reading all of them.
    #[default]
    Tiered,
    /// All of them at every tick, for a single look.
    EveryTick,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let error = serde_json::from_str::<Config>(r#"{"hot_proceses": 3}"#).unwrap_err();
        assert!(error.to_string().contains("hot_proceses"), "{error}");
    }

    #[test]
    fn durations_are_written_as_people_write_them() {
        let config: Config = serde_json::from_str(r#"{"cold_period": "15s", "process_scan": "every_tick"}"#).unwrap();
        assert_eq!(config.cold_period, Duration::from_secs(15));
        assert_eq!(config.process_scan, ProcessScan::EveryTick);
        assert_eq!(config.max_cgroups, 2_000);
    }
}
