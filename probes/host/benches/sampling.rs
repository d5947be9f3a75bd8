//! What a tick costs on a made-up machine with 1,000 processes and 200 workload groups.
//!
//! `cargo bench -p wattline-probe-host`
//!
//! The budget of a tick is 0.5 % of a core at one tick a second: 5 ms of CPU time, which is what is measured, so that a
//! busy machine gives the same figures. The files lie on an ordinary file system, so reading them costs less than in
//! `/proc` and what is measured is mostly the probe's own part. The last three figures are those of the machine that
//! runs the benchmark, with whatever runs on it.

#![expect(clippy::expect_used, reason = "a benchmark that cannot be set up stops")]

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{Criterion, criterion_group, criterion_main};
use rustix::time::{ClockId, clock_gettime};
use wattline_core::{HostRoot, Instant, Probe, Readings, Tick, Timestamp};
use wattline_probe_host::{Config, HostProbe, ProcessScan};

const PROCESSES: u32 = 1_000;
const GROUPS: u32 = 200;

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().expect("a file is in a directory")).expect("a directory below a temporary one");
    fs::write(path, text).expect("a file below a temporary directory");
}

fn group_path(number: u32) -> String {
    let pod = format!("{:08x}_5391_454b_88cb_86190881cb96", number / 2);
    format!(
        "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{pod}.slice/cri-containerd-{number:064x}.scope"
    )
}

fn machine(root: &Path) {
    write(root, "sys/fs/cgroup/cgroup.controllers", "cpu memory io\n");
    let memory_stat = "workingset_refault_anon 4096\n".repeat(50);
    for number in 0..GROUPS {
        let group = format!("sys/fs/cgroup{}", group_path(number));
        let cpu = "usage_usec 123456789\nuser_usec 100000000\nsystem_usec 23456789\nnr_periods 0\nnr_throttled 0\nthrottled_usec 0\n";
        write(root, &format!("{group}/cpu.stat"), cpu);
        write(root, &format!("{group}/memory.current"), "123456789\n");
        write(root, &format!("{group}/memory.stat"), &format!("{memory_stat}inactive_file 4096\n"));
        write(root, &format!("{group}/io.stat"), "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n");
    }
    for pid in 1..=PROCESSES {
        let stat = format!(
            "{pid} (python3) S 1 {pid} {pid} 0 -1 4194560 12345 0 12 0 {} 456 0 0 20 0 8 0 {pid}00 1234567890 54321 \
             18446744073709551615 1 1 0 0 0 0 0 16781312 134235650 0 0 0 17 3 0 0 0 0 0 0 0 0 0 0 0 0 0\n",
            pid * 7
        );
        write(root, &format!("proc/{pid}/stat"), &stat);
        write(root, &format!("proc/{pid}/cgroup"), &format!("0::{}\n", group_path(pid % GROUPS)));
    }
    for socket in 0..2 {
        let zone = format!("sys/class/powercap/intel-rapl:{socket}");
        write(root, &format!("{zone}/name"), &format!("package-{socket}\n"));
        write(root, &format!("{zone}/max_energy_range_uj"), "262143328850\n");
        write(root, &format!("{zone}/energy_uj"), "123456789012\n");
    }
}

fn tick(second: u64) -> Tick {
    let nanos = second * 1_000_000_000;
    Tick { at: Instant::from_nanos(nanos), wall: Timestamp::from_unix_nanos(nanos) }
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

fn sampling(criterion: &mut Criterion<CpuTime>) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    machine(dir.path());
    for (what, root) in [("made up", HostRoot::new(dir.path())), ("this machine", HostRoot::new("/"))] {
        for (name, scan) in [("tiered", ProcessScan::Tiered), ("all processes", ProcessScan::EveryTick)] {
            let mut probe = HostProbe::open(Config { process_scan: scan, ..Config::default() }, &root);
            let mut seconds = 1..;
            // The first two ticks read every process and are not what a running agent pays.
            for second in seconds.by_ref().take(3) {
                black_box(read(&mut probe, second));
            }
            criterion.bench_function(&format!("{what}, {name}"), |bencher| {
                bencher.iter(|| seconds.next().map(|second| read(&mut probe, second)));
            });
        }
        criterion.bench_function(&format!("{what}, first tick"), |bencher| {
            bencher.iter(|| read(&mut HostProbe::open(Config::default(), &root), 1));
        });
    }
}

fn read(probe: &mut HostProbe, second: u64) -> Readings {
    let mut out = Readings::new(wattline_probe_host::NAME, tick(second));
    probe.read(out.tick, &mut out).expect("the probe never fails");
    out
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime);
    targets = sampling
}
criterion_main!(benches);
