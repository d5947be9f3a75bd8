//! What outlives a reload: the books, the agent's own telemetry, what is kept on disk.

use std::sync::Arc;

use tokio::sync::watch;
use tracing::{info, warn};
use wattline_core::reading::{SourceHealth, SourceState};
use wattline_core::{Envelope, HostRoot, Readings, Signal, Snapshot, Tick, queue};

use crate::config::Config;
use crate::pipeline::{News, Pipeline};
use crate::report::Report;
use crate::state::{Keeper, StateDirectory};
use crate::telemetry::OwnTelemetry;
use crate::{clock, identity};

/// The name of the state directory among the sources.
const STATE: &str = "state";

/// What outlives a reload of the configuration.
#[derive(Debug)]
pub struct Lasting {
    /// The configuration in force.
    pub config: Config,
    /// The books.
    pub pipeline: Pipeline,
    /// What the agent counts of itself.
    pub own: OwnTelemetry,
    /// The agent's own log records, on their way to the destinations.
    pub logs: queue::Receiver<Envelope>,
    /// The tick of the last settlement; `None` before the first. Where no machine is measured, that of the last pulse.
    pub settled: watch::Sender<Option<Tick>>,
    reports: Option<watch::Sender<Option<Report>>>,
    boot_id: Option<String>,
    keeper: Keeper,
    /// Something was taken in since the last snapshot.
    has_news: bool,
    counted: Counted,
}

/// Losses that are known as sums and have been counted so far.
#[derive(Debug, Default)]
struct Counted {
    stale: u64,
    folded: u64,
    logs: u64,
}

impl Lasting {
    /// Empty books. `reports`, when given, gets a report with every snapshot.
    pub fn new(
        config: Config,
        logs: queue::Receiver<Envelope>,
        reports: Option<watch::Sender<Option<Report>>>,
    ) -> Self {
        let root = HostRoot::new(&config.host.root);
        Self {
            pipeline: Pipeline::new(&config, identity::own_pid(&root)),
            own: OwnTelemetry::start(),
            logs,
            settled: watch::Sender::new(None),
            reports,
            boot_id: root.read("proc/sys/kernel/random/boot_id").ok().map(|id| id.trim().to_owned()),
            keeper: Keeper::default(),
            has_news: false,
            counted: Counted::default(),
            config,
        }
    }

    /// Goes on from the raw counters that an earlier agent has kept in this boot.
    pub fn restore(&mut self) {
        let Some(boot_id) = &self.boot_id else { return };
        let state = StateDirectory::new(self.config.state.directory());
        match state.load(boot_id) {
            Ok(counters) => self.pipeline.resume(&counters),
            Err(error) => {
                warn!(path = %state.path().display(), %error, "the kept counters cannot be read; starting anew");
            }
        }
    }

    /// Takes over a configuration.
    pub fn reconfigure(&mut self, config: Config) {
        self.pipeline.reconfigure(&config);
        self.config = config;
    }

    /// Takes in what a source saw. True when a snapshot is due.
    pub async fn take(&mut self, readings: &Readings) -> bool {
        self.has_news = true;
        match self.pipeline.ingest(readings) {
            News::Gathered => false,
            News::Opened => true,
            News::Settled => {
                self.has_settled(readings.tick).await;
                true
            }
        }
    }

    /// Notes that the pipeline is at work although no window was settled. True when a snapshot is due: something was
    /// taken in that none shows yet, or no machine is measured, so that no settlement will ever make one.
    pub fn pulse(&mut self) -> bool {
        let settles = self.config.role.measures();
        if !settles {
            self.settled.send_replace(Some(clock::tick()));
        }
        self.has_news || !settles
    }

    /// Publishes the figures as they stand.
    pub fn publish(&mut self, snapshots: &watch::Sender<Arc<Snapshot>>) {
        self.has_news = false;
        self.count_losses();
        self.own.flush();
        let own = self.own.samples.borrow().clone();
        snapshots.send_replace(Arc::new(self.pipeline.snapshot(clock::tick(), &own)));
        if let Some(reports) = &self.reports {
            reports.send_replace(Report::of(&self.pipeline));
        }
    }

    /// Settles the open window and publishes all there is.
    pub async fn last_snapshot(&mut self, snapshots: &watch::Sender<Arc<Snapshot>>) {
        if self.pipeline.settle_now() {
            self.has_settled(clock::tick()).await;
        }
        self.publish(snapshots);
    }

    /// What is settled is written down before anybody sees it: an agent that is killed would book it again. What is
    /// read after a settlement is not in any book yet, and is not written down.
    async fn has_settled(&mut self, tick: Tick) {
        self.settled.send_replace(Some(tick));
        let Some(boot_id) = self.boot_id.clone() else { return };
        let counters = self.pipeline.raw_counters();
        if counters.is_empty() {
            return;
        }
        let state = StateDirectory::new(self.config.state.directory());
        let path = state.path().display().to_string();
        let state = match self.keeper.keep(state, boot_id, counters).await {
            Ok(()) => SourceState::Up { found: path },
            Err(error) => SourceState::Failed { what: format!("writing to {path}: {error}") },
        };
        self.tell_state(state);
    }

    /// Says when keeping begins to fail and when it works again; `wattline.probe.up` tells between.
    fn tell_state(&mut self, state: SourceState) {
        let was_failing = self
            .pipeline
            .health()
            .any(|health| health.part == STATE && matches!(health.state, SourceState::Failed { .. }));
        match &state {
            SourceState::Failed { what } if !was_failing => {
                warn!(
                    "raw counters cannot be kept: {what}; what is drawn around a restart will be missing or booked \
                     twice; set state.directory"
                );
            }
            SourceState::Up { found } if was_failing => info!(path = found, "raw counters are kept again"),
            _ => {}
        }
        self.pipeline.note(SourceHealth { part: STATE, state });
    }

    /// Counts what was lost where nobody could count it at once.
    fn count_losses(&mut self) {
        let Self { pipeline, own, logs, counted, .. } = self;
        let sums = [
            (&mut counted.stale, pipeline.stale(), "stale_reading", Signal::Metrics, "books"),
            // The call is on the books, under `other`: what is lost is whose it was.
            (&mut counted.folded, pipeline.folded(), "key_limit", Signal::Traces, "books"),
            (&mut counted.logs, logs.refused(), "log_queue_full", Signal::Logs, "relay"),
        ];
        for (before, now, reason, signal, destination) in sums {
            let lost = now.saturating_sub(std::mem::replace(before, now));
            if lost > 0 {
                own.telemetry.dropped(lost, reason, signal, destination);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use wattline_core::reading::{
        CpuReading, CpuTimes, EnergyReading, EnergySource, LoadReading, ProcessReading, Scope,
    };
    use wattline_core::{Device, DeviceKind, Instant, Reading, Sample, Timestamp, metrics};

    use super::*;

    fn lasting(root: &std::path::Path, logs: queue::Receiver<Envelope>) -> Lasting {
        let mut config = Config::default();
        config.host.root = root.to_owned();
        config.state.directory = Some(root.join("state"));
        Lasting::new(config, logs, None)
    }

    fn load(second: u64) -> Readings {
        let tick = Tick { at: Instant::from_nanos(second * 1_000_000_000), wall: Timestamp::default() };
        let mut readings = Readings::new("host", tick);
        readings.items.push(Reading::Load(LoadReading::default()));
        readings
    }

    fn envelope() -> Envelope {
        Envelope { signal: Signal::Logs, body: vec![0].into(), items: 1, at: Timestamp::default(), receipt: None }
    }

    /// `reason count` of everything that was dropped.
    fn dropped(snapshot: &Snapshot) -> Vec<String> {
        let name = metrics::WATTLINE_DROPPED.descriptor().name;
        let samples = snapshot.samples.iter().filter(|sample| sample.metric.name == name);
        let mut told: Vec<String> =
            samples.map(|sample| format!("{} {}", sample.attributes[0].value, sample.number().unwrap())).collect();
        told.sort();
        told
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn stale_readings_and_log_records_without_room_are_counted_once() {
        let folder = tempfile::tempdir().unwrap();
        let (records, logs) = queue::bounded(1);
        let mut lasting = lasting(folder.path(), logs);
        let (snapshots, shown) = watch::channel(Arc::default());
        for second in [5, 5, 4] {
            lasting.take(&load(second)).await;
        }
        for _ in 0..4 {
            records.offer(envelope()).ok();
        }
        for _ in 0..2 {
            lasting.publish(&snapshots);
            assert_eq!(dropped(&shown.borrow()), ["log_queue_full 3", "stale_reading 2"]);
        }
    }

    /// The readings of a second in which the whole machine was busy with process 4242.
    fn busy(second: u64) -> Readings {
        let mut readings = load(second);
        let used = second * 1_000_000_000;
        let scope = Scope::Device(Device::new(DeviceKind::Cpu, "package-0"));
        readings.items.extend([
            Reading::Energy(EnergyReading {
                scope,
                source: EnergySource::Rapl,
                counter_uj: second * 10_000_000,
                range: None,
            }),
            Reading::Cpu(CpuReading {
                total: CpuTimes { user_ns: used, ..CpuTimes::default() },
                per_cpu: Vec::new(),
                online: 1,
            }),
            Reading::Process(ProcessReading {
                pid: 4242,
                start_ticks: 1,
                name: "wattline".into(),
                cgroup: None,
                cpu_ns: used,
                resident_bytes: 1 << 20,
                threads: 1,
            }),
        ]);
        readings
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_agent_finds_itself_among_the_hosts_processes() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("proc")).unwrap();
        std::os::unix::fs::symlink("4242", folder.path().join("proc/self")).unwrap();
        let (_records, logs) = queue::bounded(1);
        let mut lasting = lasting(folder.path(), logs);
        let (snapshots, shown) = watch::channel(Arc::default());
        for second in 1..=30 {
            lasting.take(&busy(second)).await;
        }
        lasting.publish(&snapshots);
        let name = metrics::WATTLINE_ENERGY.descriptor().name;
        let own = shown.borrow().samples.iter().find(|sample| sample.metric.name == name).and_then(Sample::number);
        assert!(own.is_some_and(|joules| joules > 10.0), "{own:?} J of its own, of 290");
    }
}
