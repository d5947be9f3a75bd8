//! Makes a fixture host work: its counters go on, second by second, by amounts that a person can check.

use std::fs;
use std::path::Path;

use crate::host::FixtureHost;

/// Watts that each kind of RAPL zone draws.
const ZONE_WATTS: [(&str, u64); 5] = [("package", 90), ("dram", 12), ("psys", 250), ("core", 60), ("uncore", 5)];
/// Microseconds of CPU time that each workload group uses in a second: the first 500 ms, the next 250 ms, and so on.
const FIRST_GROUP_US: u64 = 500_000;
/// Clock ticks in a second.
const TICKS: u64 = 100;

/// Lets one second pass: energy counters go on and wrap, groups use CPU time, and all CPUs together work for one
/// second and rest for another.
pub fn pass_second(host: &FixtureHost) {
    let mut group_us = FIRST_GROUP_US;
    for path in host.files() {
        if path.ends_with("/energy_uj") {
            pass_energy(host, path);
        } else if path == "proc/stat" {
            pass_cpu(host, path);
        } else if is_leaf_group(host, path) {
            pass_group(host, path, group_us);
            group_us /= 2;
        }
    }
}

/// The value of `path` as a number, if it is one.
fn number(host: &FixtureHost, path: &str) -> Option<u64> {
    text(host, path)?.trim().parse().ok()
}

#[expect(clippy::disallowed_methods, reason = "a fixture of the tests is no file of a host")]
fn text(host: &FixtureHost, path: &str) -> Option<String> {
    fs::read_to_string(host.folder().join(path)).ok()
}

fn pass_energy(host: &FixtureHost, path: &str) {
    let folder = path.trim_end_matches("/energy_uj");
    let name = text(host, &format!("{folder}/name")).unwrap_or_default();
    let (Some(raw), Some(max)) = (number(host, path), number(host, &format!("{folder}/max_energy_range_uj"))) else {
        return;
    };
    let watts = ZONE_WATTS.iter().find(|(zone, _)| name.starts_with(zone)).map_or(0, |(_, watts)| *watts);
    host.set(path, &format!("{}\n", (raw + watts * 1_000_000) % (max + 1)));
}

/// Adds a second of work and a second of rest to the first line, and leaves the lines of the single CPUs alone.
fn pass_cpu(host: &FixtureHost, path: &str) {
    let Some(stat) = text(host, path) else { return };
    let mut lines: Vec<String> = stat.lines().map(str::to_owned).collect();
    if let Some(first) = lines.first_mut() {
        let mut fields: Vec<String> = first.split_whitespace().map(str::to_owned).collect();
        for index in [1, 4] {
            if let Some(field) = fields.get_mut(index)
                && let Ok(value) = field.parse::<u64>()
            {
                *field = (value + TICKS).to_string();
            }
        }
        *first = fields.join(" ");
    }
    host.set(path, &(lines.join("\n") + "\n"));
}

/// A file of CPU time of a group that holds processes and is not the root.
fn is_leaf_group(host: &FixtureHost, path: &str) -> bool {
    let Some(folder) = path.strip_suffix("/cpu.stat").or_else(|| path.strip_suffix("/cpuacct.usage")) else {
        return false;
    };
    let is_v1_twin =
        path.ends_with("/cpu.stat") && Path::new(&host.folder().join(folder).join("cpuacct.usage")).exists();
    !is_v1_twin && text(host, &format!("{folder}/cgroup.procs")).is_some_and(|processes| !processes.trim().is_empty())
}

/// Adds CPU time to a group and to all groups around it.
fn pass_group(host: &FixtureHost, path: &str, us: u64) {
    let Some((folder, file)) = path.rsplit_once('/') else { return };
    let mut folder = folder;
    loop {
        let path = format!("{folder}/{file}");
        if file == "cpuacct.usage" {
            if let Some(raw) = number(host, &path) {
                host.set(&path, &format!("{}\n", raw + us * 1000));
            }
        } else if let Some(stat) = text(host, &path) {
            let usage = |line: &str| match line.strip_prefix("usage_usec ").and_then(|raw| raw.parse::<u64>().ok()) {
                Some(raw) => format!("usage_usec {}\n", raw + us),
                None => format!("{line}\n"),
            };
            host.set(&path, &stat.lines().map(usage).collect::<String>());
        }
        match folder.rsplit_once('/') {
            Some((outer, _)) if outer.contains("cgroup") => folder = outer,
            _ => return,
        }
    }
}
