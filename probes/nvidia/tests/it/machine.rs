//! A machine with GPUs that are not there.

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use wattline_core::reading::{AcceleratorReading, SourceState};
use wattline_core::{HostRoot, Instant, Probe, Reading, Readings, Tick, Timestamp};
use wattline_fake_nvml::Fake;
use wattline_probe_nvidia::{Access, Config, NAME, NvidiaProbe};

/// When the tests begin, in microseconds of Unix time.
pub(crate) const BEGIN_US: u64 = 1_700_000_000_000_000;

/// What two GPUs of Hopper's generation say. The figures are made up.
pub(crate) const TWO: &str = "
driver = 580.95.05
count = 2
*.name = NVIDIA H100 80GB HBM3
*.architecture = 9
*.capability = 9:0
0.uuid = GPU-00000000-0000-0000-0000-000000000000
1.uuid = GPU-00000000-0000-0000-0000-000000000001
0.pci = 00000000:07:00.0
1.pci = 00000000:0A:00.0
0.energy_mj = 1000
1.energy_mj = 2000
*.power_mw = 350500
*.power_limit_mw = 700000
*.power_limit_default_mw = 700000
*.utilization = 42:7
*.encoder = 0:100000
*.decoder = 5:100000
*.memory = 85899345920:600000000:1000000000
*.temperature.0 = 54
*.clock.0 = 1980
*.clock.1 = 1980
*.clock.2 = 2619
*.clock.3 = 1545
*.reasons = 4
*.ecc.0.0 = 3
*.ecc.1.0 = 0
*.pcie_replays = 2
*.field.82 = 61
*.field.138 = 10
*.field.139 = 20
*.field.142 = 1
*.field.143 = 0
*.field.144 = 0
*.field.145 = 0
*.field.74 = 5000000000
*.field.75 = 0
*.link.0.0 = 1
*.link.0.1 = 0
*.link.0.2 = 4
*.link.0.3 = 5
*.link.1.0 = 0
*.link.1.1 = 2
*.link.1.2 = 0
*.link.1.3 = 0
*.mig = 0:0
*.gpm = 1
*.gpm.1 = 90.5
*.gpm.2 = 80
*.gpm.3 = 31.25
*.gpm.5 = 66
*.gpm.10 = 12.5
*.xid = 0
*.compute = 
*.graphics = 
*.mps = 
*.process_utilization = 
";

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
