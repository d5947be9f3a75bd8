//! What outlives a reload: the books, the agent's own telemetry, what is kept on disk.

use std::sync::Arc;

use tokio::sync::watch;
use tracing::{info, warn};
use wattline_core::reading::{SourceHealth, SourceState};
use wattline_core::{Envelope, HostRoot, Readings, Signal, Snapshot, Tick, queue};
use wattline_probe_nvidia::Access;

use crate::config::Config;
use crate::costs::Costs;
use crate::pipeline::{News, Pipeline};
use crate::report::Report;
use crate::state::{Found, Keeper};
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
    /// The way to the driver of the GPUs.
    pub gpus: Access,
    /// The agent's own log records, on their way to the destinations.
    pub logs: queue::Receiver<Envelope>,
    /// The tick of the last settlement; `None` before the first. Where no machine is measured, that of the last pulse.
    pub settled: watch::Sender<Option<Tick>>,
    reports: Option<watch::Sender<Option<Report>>>,
    /// `None` where the ledger could not be opened.
    keeper: Option<Keeper>,
    costs: Costs,
    /// Something was taken in since the last snapshot.
    has_news: bool,
    counted: Counted,
}

/// Losses that are known as sums and have been counted so far.
#[derive(Debug, Default)]
struct Counted {
    stale: u64,
    folded: u64,
    sums: u64,
    engines: u64,
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
            gpus: Access::default(),
            logs,
            settled: watch::Sender::new(None),
            reports,
            keeper: None,
            costs: Costs::default(),
            has_news: false,
            counted: Counted::default(),
            config,
        }
    }

    /// Goes on with the books that an earlier agent has kept.
    pub fn restore(&mut self) {
        match Keeper::open(&self.config, &mut self.pipeline, clock::tick().at) {
            Ok((keeper, found)) => {
                match found {
                    Found::Nothing => {}
                    Found::Books => info!(path = %keeper.path().display(), "going on with the books"),
                    Found::Other(why) => {
                        warn!(path = %keeper.path().display(), why, "all figures begin anew; reports keep what was booked");
                    }
                }
                self.keeper = Some(keeper);
            }
            Err(error) => self.tell_state(SourceState::Failed { what: format!("{error:#}") }),
        }
    }

    /// Takes over a configuration.
    pub fn reconfigure(&mut self, config: Config) {
        self.pipeline.reconfigure(&config);
        self.costs.forget();
        self.config = config;
    }

    /// Takes in what a source saw. True when a snapshot is due.
    pub fn take(&mut self, readings: &Readings) -> bool {
        self.has_news = true;
        match self.pipeline.ingest(readings) {
            News::Gathered => false,
            News::Opened => true,
            News::Settled => {
                self.settled.send_replace(Some(readings.tick));
                true
            }
        }
    }

    /// Notes that the pipeline is at work although no window was settled. True when a snapshot is due: something was
    /// taken in that none shows yet, or no machine is measured, so that no settlement will ever make one.
    pub fn pulse(&mut self) -> bool {
        self.has_news |= self.pipeline.elapse(clock::tick());
        let settles = self.config.role.measures();
        if !settles {
            self.settled.send_replace(Some(clock::tick()));
        }
        self.has_news || !settles
    }

    /// Publishes the figures as they stand. They are written down before anybody sees them: an agent that is killed
    /// would book them again.
    pub async fn publish(&mut self, snapshots: &watch::Sender<Arc<Snapshot>>) {
        self.publish_and_keep(snapshots, false).await;
    }

    async fn publish_and_keep(&mut self, snapshots: &watch::Sender<Arc<Snapshot>>, is_last: bool) {
        self.has_news = false;
        self.count_losses();
        self.own.flush();
        let own = self.own.samples.borrow().clone();
        let mut snapshot = self.pipeline.snapshot(clock::tick(), &own);
        let costs = self.costs.samples(&self.config, &snapshot);
        snapshot.samples.extend(costs);
        self.keep(&snapshot, is_last).await;
        snapshots.send_replace(Arc::new(snapshot));
        if let Some(reports) = &self.reports {
            reports.send_replace(Report::of(&self.pipeline));
        }
    }

    /// Settles the open window and publishes all there is.
    pub async fn last_snapshot(&mut self, snapshots: &watch::Sender<Arc<Snapshot>>) {
        if self.pipeline.settle_now(clock::tick().wall) {
            self.settled.send_replace(Some(clock::tick()));
        }
        self.publish_and_keep(snapshots, true).await;
    }

    async fn keep(&mut self, snapshot: &Snapshot, is_last: bool) {
        let Some(keeper) = &mut self.keeper else { return };
        let path = keeper.path().display().to_string();
        let kept = keeper.keep(&self.pipeline, &snapshot.samples, snapshot.tick.wall, is_last).await;
        self.tell_state(match kept {
            Ok(()) => SourceState::Up { found: path },
            Err(error) => SourceState::Failed { what: format!("{error:#}") },
        });
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
                    "the books cannot be kept: {what}; figures begin anew at the next start, and reports lack them; set \
                     state.directory"
                );
            }
            SourceState::Up { found } if was_failing => info!(path = found, "the books are kept again"),
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
            (&mut counted.sums, pipeline.unfollowed(), "series_limit", Signal::Metrics, "books"),
            (&mut counted.engines, pipeline.engines_refused(), "engine_limit", Signal::Metrics, "books"),
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
            lasting.take(&load(second));
        }
        for _ in 0..4 {
            records.offer(envelope()).ok();
        }
        for _ in 0..2 {
            lasting.publish(&snapshots).await;
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
            lasting.take(&busy(second));
        }
        lasting.publish(&snapshots).await;
        let name = metrics::WATTLINE_ENERGY.descriptor().name;
        let own = shown.borrow().samples.iter().find(|sample| sample.metric.name == name).and_then(Sample::number);
        assert!(own.is_some_and(|joules| joules > 10.0), "{own:?} J of its own, of 290");
    }
}
