//! A made-up machine for tests: a directory with the files that the kernel would show.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use wattline_core::reading::{CgroupReading, ProcessReading, Reading, Readings};
use wattline_core::{HostRoot, Instant, Tick};

pub(crate) struct Machine {
    dir: tempfile::TempDir,
    pub(crate) root: HostRoot,
}

impl Machine {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = HostRoot::new(dir.path());
        Self { dir, root }
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path.trim_start_matches('/'))
    }

    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        fs::write(self.at(path), content).unwrap();
        self
    }

    pub(crate) fn link(&self, path: &str, target: &str) -> &Self {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        symlink(target, self.at(path)).unwrap();
        self
    }

    pub(crate) fn remove(&self, path: &str) -> &Self {
        fs::remove_dir_all(self.at(path)).unwrap();
        self
    }

    /// A version 2 group that has used `cpu_us` and holds a mebibyte, half of it inactive files.
    pub(crate) fn group(&self, path: &str, cpu_us: u64) -> &Self {
        let group = format!("sys/fs/cgroup{path}");
        self.write(
            &format!("{group}/cpu.stat"),
            format!("usage_usec {cpu_us}\nuser_usec 3\nsystem_usec 4\nthrottled_usec 5\n"),
        )
        .write(&format!("{group}/memory.current"), "1048576\n")
        .write(&format!("{group}/memory.stat"), "anon 1\ninactive_file 524288\nfile 2\n")
        .write(&format!("{group}/io.stat"), "8:0 rbytes=10 wbytes=20 rios=1 wios=1\n8:16 rbytes=1 wbytes=2\n")
    }

    /// A version 2 machine without groups.
    pub(crate) fn unified(&self) -> &Self {
        self.write("sys/fs/cgroup/cgroup.controllers", "cpu memory io\n")
    }

    pub(crate) fn process(&self, pid: u32, comm: &[u8], start: u64, cpu_ticks: u64, group: &str) -> &Self {
        let mut line = format!("{pid} (").into_bytes();
        line.extend_from_slice(comm);
        let rest = format!(") S 1 1 1 0 -1 0 1 0 0 0 {cpu_ticks} 0 0 0 20 0 2 0 {start} 1000 7 18446744073709551615\n");
        line.extend_from_slice(rest.as_bytes());
        self.write(&format!("proc/{pid}/stat"), line).write(&format!("proc/{pid}/cgroup"), format!("0::{group}\n"))
    }
}

pub(crate) fn second(second: u64) -> Instant {
    Instant::from_nanos(second * 1_000_000_000)
}

pub(crate) fn readings(at: Instant) -> Readings {
    Readings::new("host", Tick { at, ..Tick::default() })
}

pub(crate) fn groups(out: &Readings) -> Vec<&CgroupReading> {
    out.items.iter().filter_map(|item| if let Reading::Cgroup(group) = item { Some(group) } else { None }).collect()
}

pub(crate) fn processes(out: &Readings) -> Vec<&ProcessReading> {
    out.items
        .iter()
        .filter_map(|item| if let Reading::Process(process) = item { Some(process) } else { None })
        .collect()
}
