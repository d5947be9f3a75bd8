//! What a reading of eight GPUs with 64 processes on each costs, whole and in seven slices.
//!
//! `cargo bench -p wattline-probe-nvidia`
//!
//! The budget is 0.2 % of a core at one reading a second: 2 ms of CPU time, which is what is measured, on all threads. The
//! library is the one that stands in for NVIDIA's: what it takes is in the figure, and what NVIDIA's takes is not. The
//! memory that is printed at the end is the process's own after ten thousand readings more.

#![expect(clippy::expect_used, reason = "a benchmark that cannot be set up stops")]
#![expect(clippy::print_stdout, reason = "a benchmark is read on the terminal")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Duration;

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{Criterion, criterion_group, criterion_main};
use rustix::time::{ClockId, clock_gettime};
use tempfile::TempDir;
use wattline_core::{HostRoot, Instant, Probe, Readings, Tick, Timestamp};
use wattline_fake_nvml::{Fake, TWO_GPUS};
use wattline_probe_nvidia::{Access, Config, NAME, NvidiaProbe};

const GPUS: u32 = 8;
const PROCESSES: u32 = 64;
const SLICES: u32 = 7;

fn tick(second: u64) -> Tick {
    let nanos = second * 1_000_000_000;
    Tick { at: Instant::from_nanos(nanos), wall: Timestamp::from_unix_nanos(nanos) }
}

/// Eight GPUs; every process has a sample in every second.
fn whole() -> String {
    let mut script = format!("{TWO_GPUS}count = {GPUS}\n");
    for gpu in 0..GPUS {
        let pids = || (1..=PROCESSES).map(move |process| gpu * 100 + process);
        let list: Vec<String> = pids().map(|pid| format!("{pid}:1000000:-:-")).collect();
        let samples: Vec<String> = pids().map(|pid| format!("{pid}:-:20:5:0:0")).collect();
        writeln!(script, "{gpu}.uuid = GPU-{gpu}\n{gpu}.energy_mj = 1\n{gpu}.pci = {gpu}").expect("a text");
        writeln!(script, "{gpu}.compute = {}\n{gpu}.process_utilization = {}", list.join(","), samples.join(","))
            .expect("a text");
    }
    script
}

/// The same in slices.
fn sliced() -> String {
    let mut script = whole() + "*.mig = 1:1\n*.mig_slots = 7\n*.utilization = !3\n";
    for (gpu, slice) in (0..GPUS).flat_map(|gpu| (0..SLICES).map(move |slice| (gpu, slice))) {
        let of_slice = (1..=PROCESSES).filter(|process| process % SLICES == slice);
        let list: Vec<String> = of_slice.map(|process| format!("{}:1:{slice}:0", gpu * 100 + process)).collect();
        writeln!(
            script,
            "{gpu}.{slice}.uuid = MIG-{gpu}-{slice}\n{gpu}.{slice}.name = NVIDIA H100 MIG 1g.10gb\n\
             {gpu}.{slice}.attributes = 16:9856\n{gpu}.{slice}.memory = 10334765056:0:1000\n\
             {gpu}.{slice}.compute = {}\n{gpu}.gi{slice}.gpm = 1\n{gpu}.gi{slice}.gpm.2 = 40",
            list.join(",")
        )
        .expect("a text");
    }
    script
}

struct Machine {
    probe: NvidiaProbe,
    second: u64,
    _folder: TempDir,
}

impl Machine {
    fn new(script: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let fake = Fake::install(folder.path()).expect("the build leaves the library beside the benchmark");
        fake.write(script).expect("a file in a temporary directory");
        let config = Config { library: fake.library().to_owned(), ..Config::default() };
        let probe = NvidiaProbe::open(config, &HostRoot::new(folder.path()), Access::default());
        let mut machine = Self { probe, second: 0, _folder: folder };
        // The first readings find out what there is, and are not what a running agent pays.
        (0..3).for_each(|_| drop(machine.read()));
        machine
    }

    fn read(&mut self) -> Readings {
        self.second += 1;
        let mut out = Readings::new(NAME, tick(self.second));
        self.probe.read(out.tick, &mut out).expect("the probe never fails");
        out
    }
}

/// CPU time of this process, its threads included.
struct CpuTime;

impl Measurement for CpuTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        let now = clock_gettime(ClockId::ProcessCPUTime);
        Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
    }

    fn end(&self, start: Duration) -> Duration {
        self.start().saturating_sub(start)
    }

    fn add(&self, one: &Duration, other: &Duration) -> Duration {
        *one + *other
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        WallTime.to_f64(value)
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        const { &WallTime }.formatter()
    }
}

/// Pages that this process has in memory.
fn pages() -> String {
    let statm = HostRoot::new("/").read("proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).unwrap_or("?").to_owned()
}

fn reading(criterion: &mut Criterion<CpuTime>) {
    for (name, script) in [("eight GPUs", whole()), ("eight GPUs in seven slices", sliced())] {
        let mut machine = Machine::new(&script);
        criterion.bench_function(name, |bencher| bencher.iter(|| black_box(machine.read())));
        let before = pages();
        (0..10_000).for_each(|_| drop(black_box(machine.read())));
        println!("{name}: {before} pages before and {} after ten thousand readings more", pages());
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime).sample_size(20);
    targets = reading
}
criterion_main!(benches);
