//! A machine with GPUs that are not there.

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use wattline_core::reading::{AcceleratorReading, SourceState};
use wattline_core::{HostRoot, Instant, Probe, Reading, Readings, Tick, Timestamp};
use wattline_fake_nvml::Fake;
pub(crate) use wattline_fake_nvml::TWO_GPUS as TWO;
use wattline_probe_nvidia::{Access, Config, NAME, NvidiaProbe};

/// When the tests begin, in microseconds of Unix time.
pub(crate) const BEGIN_US: u64 = 1_700_000_000_000_000;

/// A machine, its probe, and a clock that goes on by a second with each reading.
pub(crate) struct Machine {
    pub(crate) fake: Fake,
    pub(crate) probe: NvidiaProbe,
    pub(crate) access: Access,
    pub(crate) seconds: u64,
    script: String,
    _folder: TempDir,
}

impl Machine {
    /// A machine whose library says `script`.
    pub(crate) fn new(script: &str) -> Self {
        Self::with(script, &Config { timeout: Duration::from_secs(20), ..Config::default() })
    }

    pub(crate) fn with(script: &str, config: &Config) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let fake = Fake::install(folder.path()).expect("the build leaves the library beside the tests");
        fake.write(script).unwrap();
        let config = Config { library: fake.library().to_owned(), ..config.clone() };
        let access = Access::default();
        let probe = NvidiaProbe::open(config, &own(folder.path(), "pid:[4026531836]"), access.clone());
        Self { fake, probe, access, seconds: 0, script: script.to_owned(), _folder: folder }
    }

    /// Lets the library say `lines` on top of what it says.
    pub(crate) fn say(&mut self, lines: &str) {
        self.script = format!("{}\n{lines}\n", self.script);
        self.fake.write(&self.script).unwrap();
    }

    /// The readings of the next second.
    pub(crate) fn read(&mut self) -> Readings {
        self.seconds += 1;
        let at = self.seconds * 1_000_000_000;
        let wall = Timestamp::from_unix_nanos(BEGIN_US * 1_000 + at);
        let tick = Tick { at: Instant::from_nanos(at), wall };
        let mut out = Readings::new(NAME, tick);
        self.probe.read(tick, &mut out).unwrap();
        out
    }

    /// The GPUs of the next second.
    pub(crate) fn gpus(&mut self) -> Vec<AcceleratorReading> {
        gpus(&self.read())
    }

    /// Goes on until the readings of a second satisfy, for at most `most` seconds.
    pub(crate) fn until(&mut self, most: u64, satisfied: impl Fn(&[AcceleratorReading]) -> bool) -> u64 {
        (1..=most).find(|_| satisfied(&self.gpus())).expect("what was waited for did not come")
    }

    /// How the source is, in words.
    pub(crate) fn health(&self) -> String {
        let found = self.probe.sources().into_iter().find(|health| health.part == NAME).expect("it was read");
        match found.state {
            SourceState::Up { found } => format!("up: {found}"),
            SourceState::Absent { looked } => format!("absent: {looked}"),
            SourceState::Denied { what, .. } => format!("denied: {what}"),
            SourceState::Failed { what } => format!("failed: {what}"),
        }
    }
}

/// A root in which this process is in a namespace of this name.
pub(crate) fn own(folder: &Path, namespace: &str) -> HostRoot {
    let place = folder.join("proc/self/ns");
    std::fs::create_dir_all(&place).unwrap();
    std::os::unix::fs::symlink(namespace, place.join("pid")).unwrap();
    HostRoot::new(folder)
}

pub(crate) fn gpus(readings: &Readings) -> Vec<AcceleratorReading> {
    let gpu = |item: &Reading| match item {
        Reading::Accelerator(reading) => Some(AcceleratorReading::clone(reading)),
        _ => None,
    };
    readings.items.iter().filter_map(gpu).collect()
}
