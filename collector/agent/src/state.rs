//! What survives a restart: the raw counters as last settled, with the boot they belong to.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;
use wattline_core::reading::{EnergySource, Scope};
use wattline_core::{Device, DeviceKind, Instant, Timestamp};
use wattline_model::host::RawCounter;

const FILE: &str = "counters.json";
/// A file of a few hundred bytes that takes longer is on a disk that hangs.
const PATIENCE: Duration = Duration::from_secs(1);

/// The state directory.
#[derive(Clone, Debug)]
pub struct StateDirectory(PathBuf);

#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    boot_id: String,
    counters: Vec<KeptCounter>,
}

#[derive(Debug, Serialize, Deserialize)]
struct KeptCounter {
    kind: String,
    id: String,
    source: String,
    raw_uj: u64,
    at: Instant,
    wall: Timestamp,
}

impl StateDirectory {
    /// A directory that may not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The counters kept in this boot. None after a reboot, and none where nothing was kept.
    pub fn load(&self, boot_id: &str) -> io::Result<Vec<RawCounter>> {
        #[expect(clippy::disallowed_methods, reason = "state is the agent's own file")]
        let text = match fs::read_to_string(self.0.join(FILE)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let kept: Kept = serde_json::from_str(&text)?;
        if kept.boot_id != boot_id {
            return Ok(Vec::new());
        }
        Ok(kept.counters.into_iter().filter_map(KeptCounter::raw).collect())
    }

    /// Keeps the counters, whole or not at all. They mean nothing after a reboot, so that the disk need not have them
    /// when this returns: whoever reads them in this boot reads what was written.
    pub fn save(&self, boot_id: &str, counters: &[RawCounter]) -> io::Result<()> {
        fs::create_dir_all(&self.0)?;
        let counters = counters.iter().filter_map(KeptCounter::of).collect();
        let text = serde_json::to_vec(&Kept { boot_id: boot_id.to_owned(), counters })?;
        let fresh = self.0.join(format!("{FILE}.new"));
        fs::File::create(&fresh)?.write_all(&text)?;
        fs::rename(fresh, self.0.join(FILE))
    }
}

/// Writes to the state directory on another thread, one write at a time: a disk that hangs holds up nobody.
#[derive(Debug, Default)]
pub struct Keeper {
    writing: Option<JoinHandle<io::Result<()>>>,
}

impl Keeper {
    /// Keeps the counters, and waits a moment for it.
    pub async fn keep(&mut self, state: StateDirectory, boot_id: String, counters: Vec<RawCounter>) -> io::Result<()> {
        // A second write beside a hanging one would write into the same file.
        if self.writing.as_ref().is_some_and(|writing| !writing.is_finished()) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let writing = self.writing.insert(tokio::task::spawn_blocking(move || state.save(&boot_id, &counters)));
        let outcome = tokio::time::timeout(PATIENCE, &mut *writing).await;
        outcome.map_err(|_elapsed| io::ErrorKind::TimedOut)??
    }
}

const KINDS: [DeviceKind; 3] = [DeviceKind::Cpu, DeviceKind::Memory, DeviceKind::Enclosure];
const SOURCES: [EnergySource; 3] = [EnergySource::Rapl, EnergySource::Hwmon, EnergySource::AcpiMeter];

impl KeptCounter {
    /// Only devices are kept: a view that overlaps has no row.
    fn of(counter: &RawCounter) -> Option<Self> {
        let (kind, id) = match &counter.scope {
            Scope::Device(device) => (device.kind.as_str(), device.id.to_string()),
            Scope::Machine => ("machine", String::new()),
            Scope::Overlapping(_) => return None,
        };
        Some(Self {
            kind: kind.to_owned(),
            id,
            source: counter.source.as_str().to_owned(),
            raw_uj: counter.raw_uj,
            at: counter.at,
            wall: counter.wall,
        })
    }

    fn raw(self) -> Option<RawCounter> {
        let Self { kind, id, source, raw_uj, at, wall } = self;
        let scope = if kind == "machine" {
            Scope::Machine
        } else {
            Scope::Device(Device::new(KINDS.into_iter().find(|known| known.as_str() == kind)?, id))
        };
        let source = SOURCES.into_iter().find(|known| known.as_str() == source)?;
        Some(RawCounter { scope, source, raw_uj, at, wall })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counter() -> RawCounter {
        RawCounter {
            scope: Scope::Device(Device::new(DeviceKind::Cpu, "package-0")),
            source: EnergySource::Rapl,
            raw_uj: 123_456,
            at: Instant::from_nanos(9),
            wall: Timestamp::from_unix_nanos(10),
        }
    }

    #[test]
    fn counters_come_back_in_the_same_boot_only() {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDirectory::new(directory.path().join("deep/state"));
        assert!(state.load("boot-a").unwrap().is_empty());
        state.save("boot-a", &[counter()]).unwrap();
        assert_eq!(state.load("boot-a").unwrap(), vec![counter()]);
        assert!(state.load("boot-b").unwrap().is_empty(), "counters of another boot mean nothing");
    }

    #[tokio::test]
    async fn a_disk_that_hangs_holds_up_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let fresh = directory.path().join(format!("{FILE}.new"));
        // Opening a pipe to write waits for somebody who reads.
        rustix::fs::mknodat(rustix::fs::CWD, &fresh, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        let state = StateDirectory::new(directory.path());
        let mut keeper = Keeper::default();
        for _ in 0..2 {
            let kept = keeper.keep(state.clone(), "a".to_owned(), vec![counter()]).await;
            assert_eq!(kept.unwrap_err().kind(), io::ErrorKind::TimedOut);
        }
        let _reader = fs::OpenOptions::new().read(true).open(&fresh).unwrap();
        keeper.writing.take().unwrap().await.unwrap().unwrap();
        let kept = keeper.keep(state.clone(), "a".to_owned(), vec![counter()]).await;
        assert!(kept.is_ok(), "{kept:?}");
    }

    #[test]
    fn a_torn_file_is_an_error_and_not_a_panic() {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDirectory::new(directory.path());
        fs::write(directory.path().join(FILE), "{\"boot_id\": \"a\", \"coun").unwrap();
        assert!(state.load("a").is_err());
    }
}
