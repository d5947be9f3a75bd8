//! `wattline run`: the parts, wired; started in order, stopped in order.
//!
//! Only sources hear the stop signal. Their queues close when they are gone, the pipeline drains and takes a last
//! snapshot, and the exporters end when their feed does.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use wattline_core::{
    Envelope, Exporter, Feed, HostRoot, Outlet, Probe, Reading, Readings, Receiver, Signal, Snapshot, Telemetry, queue,
};
use wattline_export_file::FileExporter;
use wattline_export_otlp::{Context, OtlpExporter, loops_back};
use wattline_probe_host::{HostProbe, inventory};
use wattline_probe_llm::otlp::{self, BindError, OtlpReceiver};

use crate::config::{ADMIN_DEFAULT, Config};
use crate::lease::Lease;
use crate::pipeline::Pipeline;
use crate::report::Report;
use crate::state::StateDirectory;
use crate::telemetry::OwnTelemetry;
use crate::{admin, clock, scheduler};

const READINGS_QUEUE: usize = 256;
const ENVELOPE_QUEUE: usize = 1024;
/// How many readings the pipeline takes at once.
const BATCH: usize = 64;
/// The raw counters are written down this often.
const SAVE_EVERY: Duration = Duration::from_secs(60);
/// Exporters that have not ended this long after their feed are left behind.
const GRACE: Duration = Duration::from_secs(10);

/// What a round of running ended for.
enum End {
    Stop,
    Reload(Box<Config>),
}

/// What outlives a reload of the configuration.
struct Lasting {
    pipeline: Pipeline,
    own: OwnTelemetry,
    logs: queue::Receiver<Envelope>,
    reports: Option<watch::Sender<Option<Report>>>,
}

/// Runs until told to stop. `reports`, when given, gets a report after every window.
pub async fn run(
    path: Option<PathBuf>,
    mut config: Config,
    logs: queue::Receiver<Envelope>,
    reports: Option<watch::Sender<Option<Report>>>,
) -> Result<()> {
    let mut signals = Signals::listen()?;
    let root = HostRoot::new(&config.host.root);
    let _lease = config.host.lease.then(|| Lease::take(&root)).transpose()?;
    let own = OwnTelemetry::start(config.sampling.window);
    let pipeline = Pipeline::new(&config, Some(std::process::id()));
    let mut lasting = Lasting { pipeline, own, logs, reports };
    lasting.restore(&config);
    loop {
        match round(path.as_deref(), &config, &mut lasting, &mut signals).await? {
            End::Stop => return Ok(()),
            End::Reload(fresh) => {
                info!("configuration reloaded");
                lasting.pipeline.reconfigure(&fresh);
                config = *fresh;
            }
        }
    }
}

/// The listeners, bound before anything runs, so that a conflict is known at once.
struct Listeners {
    otlp: otlp::Bound,
    admin: Option<TcpListener>,
}

impl Listeners {
    /// Binds what is configured. A taken port is an error where it was configured, and a loud warning where it is
    /// only the default.
    async fn bind(config: &Config) -> Result<Self> {
        let otlp = bind_otlp(config.probes.otlp.clone()).context("probes")?;
        let admin = match admin::bind(config.admin.listen).await {
            _ if !config.admin.enabled => None,
            Ok(listener) => Some(listener),
            Err(error) if config.admin.listen == ADMIN_DEFAULT && error.kind() == std::io::ErrorKind::AddrInUse => {
                warn!(address = %ADMIN_DEFAULT, "the admin endpoint is off: its default port is taken; set admin.listen");
                None
            }
            Err(error) => {
                return Err(error).with_context(|| format!("admin.listen = {}: binding failed", config.admin.listen));
            }
        };
        Ok(Self { otlp, admin })
    }
}

/// Binds the OTLP listeners. One whose default port is taken is switched off, loudly.
fn bind_otlp(mut config: otlp::Config) -> Result<otlp::Bound, BindError> {
    let default = otlp::Config::default();
    loop {
        let error = match otlp::bind(&config) {
            Ok(bound) => return Ok(bound),
            Err(error) => error,
        };
        let enabled = match &error {
            BindError::AddressInUse { address, .. } if config.grpc.enabled && *address == default.grpc.listen => {
                &mut config.grpc.enabled
            }
            BindError::AddressInUse { address, .. } if config.http.enabled && *address == default.http.listen => {
                &mut config.http.enabled
            }
            _ => return Err(error),
        };
        warn!(%error, "this OTLP listener is off, because its default port is taken; set probes.otlp to choose another");
        *enabled = false;
    }
}

/// The exporters of a configuration.
pub fn exporters(config: &Config, telemetry: &Telemetry) -> Result<Vec<Box<dyn Exporter>>> {
    let mut exporters: Vec<Box<dyn Exporter>> = Vec::new();
    for destination in &config.exporters.otlp {
        let context = Context { telemetry: telemetry.clone(), now: clock::wall, seed: clock::tick().at.nanos() };
        exporters.push(Box::new(OtlpExporter::new(destination.clone(), context).context("exporters.otlp")?));
    }
    for destination in &config.exporters.file {
        exporters.push(Box::new(FileExporter::new(destination.clone(), telemetry.clone()).context("exporters.file")?));
    }
    Ok(exporters)
}

/// A destination that is this agent's own receiver would get everything back for ever.
fn refuse_loops(config: &Config, listeners: &Listeners) -> Result<()> {
    let otlp::Addresses { grpc, http } = listeners.otlp.addresses();
    let own: Vec<_> = grpc.into_iter().chain(http).collect();
    match config.exporters.otlp.iter().find_map(|destination| loops_back(destination, &own)) {
        Some(endpoint) => bail!(
            "exporters.otlp: the endpoint {endpoint} is this agent's own receiver; name your collector's address, or \
             give probes.otlp another port"
        ),
        None => Ok(()),
    }
}

async fn round(path: Option<&Path>, config: &Config, lasting: &mut Lasting, signals: &mut Signals) -> Result<End> {
    let telemetry = lasting.own.telemetry.clone();
    let listeners = Listeners::bind(config).await?;
    refuse_loops(config, &listeners)?;
    let exporters = exporters(config, &telemetry)?;
    let stop = CancellationToken::new();
    let (snapshots, watched) = watch::channel(Arc::new(Snapshot::default()));
    let (readings, mut inbox) = queue::bounded(READINGS_QUEUE);
    let (relay, relayed) = queue::bounded(ENVELOPE_QUEUE);

    let mut sources = JoinSet::new();
    let root = HostRoot::new(&config.host.root);
    let probes: Vec<Box<dyn Probe>> = vec![Box::new(HostProbe::open(host_probe(config), &root))];
    describe_host(&root, config, &readings);
    sources.spawn(scheduler::run(probes, config.sampling.interval, readings.clone(), telemetry.clone(), stop.clone()));
    let otlp::Addresses { grpc, http } = listeners.otlp.addresses();
    if grpc.is_some() || http.is_some() {
        info!(?grpc, ?http, "listening for OTLP");
        let receiver = Box::new(OtlpReceiver::new(listeners.otlp, telemetry.clone(), Arc::new(clock::tick)));
        let outlet = Outlet { readings: readings.clone(), relay: (!exporters.is_empty()).then(|| relay.clone()) };
        sources.spawn(receiver.run(outlet, stop.clone()));
    }
    if let Some(listener) = listeners.admin {
        info!(address = ?listener.local_addr().ok(), "serving /metrics, /healthz and /readyz");
        sources.spawn(admin::serve(listener, watched.clone(), config.sampling.window, stop.clone()));
    }
    drop((readings, relay));
    info!(root = %config.host.root.display(), interval = ?config.sampling.interval, "measuring");

    let mut sinks = JoinSet::new();
    let outlets = start_exporters(exporters, &watched, &mut sinks);
    drop(watched);
    let fan_out = tokio::spawn(fan_out(relayed, outlets.clone(), telemetry.clone()));
    let end = tokio::select! {
        end = signals.told(path) => end,
        () = pump(&mut inbox, &snapshots, lasting, config, &outlets) => {
            error!("every source has ended: there is nothing left to measure");
            End::Stop
        }
    };
    stop.cancel();
    // The sources drop their senders as they end; the pipeline then drains what is left. A probe that hangs in a
    // system call cannot be waited for.
    let drained = async {
        pump(&mut inbox, &snapshots, lasting, config, &outlets).await;
        while sources.join_next().await.is_some() {}
    };
    if tokio::time::timeout(GRACE, drained).await.is_err() {
        error!(grace = ?GRACE, "a source did not end in time and is left behind");
    }
    lasting.last_snapshot(&snapshots);
    lasting.save(config);
    drop(outlets);
    fan_out.await.ok();
    drop(snapshots);
    if tokio::time::timeout(GRACE, async { while sinks.join_next().await.is_some() {} }).await.is_err() {
        error!(grace = ?GRACE, "an exporter did not end in time and is left behind");
    }
    Ok(end)
}

/// The host probe's configuration, with every process read at least once in a window: what a process used in a
/// window that is over would otherwise be charged in the next.
fn host_probe(config: &Config) -> wattline_probe_host::Config {
    let host = config.probes.host.clone();
    wattline_probe_host::Config { cold_period: host.cold_period.min(config.sampling.window), ..host }
}

/// Reads what the machine is: at once what its files tell, and what the cloud tells when it has answered.
fn describe_host(root: &HostRoot, config: &Config, out: &queue::Sender<Readings>) {
    let (root, cloud, out) = (root.clone(), config.probes.cloud.clone(), out.clone());
    let thread = std::thread::Builder::new().name("inventory".to_owned());
    let spawned = thread.spawn(move || {
        let local = inventory::read(&root, &inventory::CloudConfig::never());
        let first = local.0.clone();
        send_inventory(local, &out);
        let full = inventory::read(&root, &cloud);
        if full.0 != first || !full.1.is_empty() {
            send_inventory(full, &out);
        }
    });
    if let Err(error) = spawned {
        error!(%error, "starting the inventory thread failed");
    }
}

fn send_inventory(
    (inventory, health): (wattline_core::Inventory, Vec<wattline_core::reading::SourceHealth>),
    out: &queue::Sender<Readings>,
) {
    let mut readings = Readings::new("inventory", clock::tick());
    readings.items.push(Reading::Inventory(Arc::new(inventory)));
    readings.items.extend(health.into_iter().map(Reading::Health));
    out.send_blocking(readings).ok();
}

/// Each exporter runs as a task; its envelopes come through a queue of its own.
fn start_exporters(
    exporters: Vec<Box<dyn Exporter>>,
    watched: &watch::Receiver<Arc<Snapshot>>,
    sinks: &mut JoinSet<()>,
) -> Vec<(Arc<str>, queue::Sender<Envelope>)> {
    exporters
        .into_iter()
        .map(|exporter| {
            let name: Arc<str> = exporter.name().into();
            let (sender, envelopes) = queue::bounded(ENVELOPE_QUEUE);
            sinks.spawn(exporter.run(Feed { snapshots: watched.clone(), envelopes: Some(envelopes) }));
            (name, sender)
        })
        .collect()
}

/// Hands every relayed envelope to every destination. A destination whose queue is full loses it, counted.
async fn fan_out(
    mut relayed: queue::Receiver<Envelope>,
    outlets: Vec<(Arc<str>, queue::Sender<Envelope>)>,
    telemetry: Telemetry,
) {
    while let Some(envelope) = relayed.next().await {
        offer_all(&envelope, &outlets, &telemetry);
    }
}

fn offer_all(envelope: &Envelope, outlets: &[(Arc<str>, queue::Sender<Envelope>)], telemetry: &Telemetry) {
    for (name, outlet) in outlets {
        if outlet.offer(envelope.clone()).is_err() {
            telemetry.dropped(envelope.items, "queue_full", envelope.signal, name);
        }
    }
}

/// The signals that are heard, from before anything else starts.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).context("listening for signals failed");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// Waits for the end, or for a reload with a configuration that is fine. A bad one is refused, and the old one
    /// stays.
    async fn told(&mut self, path: Option<&Path>) -> End {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return End::Stop,
                _ = self.interrupt.recv() => return End::Stop,
                _ = self.hangup.recv() => match Config::load(path) {
                    Ok(config) => return End::Reload(Box::new(config)),
                    Err(error) => error!(%error, "the new configuration is refused, the old one stays"),
                },
            }
        }
    }
}

/// Feeds the pipeline until its queue closes.
async fn pump(
    inbox: &mut queue::Receiver<Readings>,
    snapshots: &watch::Sender<Arc<Snapshot>>,
    lasting: &mut Lasting,
    config: &Config,
    outlets: &[(Arc<str>, queue::Sender<Envelope>)],
) {
    let mut batch = Vec::with_capacity(BATCH);
    let mut save = tokio::time::interval_at(tokio::time::Instant::now() + SAVE_EVERY, SAVE_EVERY);
    loop {
        tokio::select! {
            taken = inbox.next_many(&mut batch, BATCH) => {
                if taken == 0 {
                    return;
                }
                let mut due = false;
                for readings in batch.drain(..) {
                    due |= lasting.pipeline.ingest(&readings);
                }
                if due {
                    lasting.publish(snapshots);
                }
            }
            Some(envelope) = lasting.logs.next() => offer_all(&envelope, outlets, &lasting.own.telemetry),
            _ = save.tick() => lasting.save(config),
        }
    }
}

impl Lasting {
    fn publish(&self, snapshots: &watch::Sender<Arc<Snapshot>>) {
        let own = self.own.samples.borrow().clone();
        snapshots.send_replace(Arc::new(self.pipeline.snapshot(clock::tick(), &own)));
        if let Some(reports) = &self.reports {
            reports.send_replace(Report::of(&self.pipeline));
        }
    }

    /// Settles the open window and publishes all there is.
    fn last_snapshot(&mut self, snapshots: &watch::Sender<Arc<Snapshot>>) {
        self.pipeline.settle_now();
        self.own.flush();
        self.publish(snapshots);
    }

    fn save(&self, config: &Config) {
        let Some(boot_id) = self.pipeline.host().inventory().boot_id.clone() else { return };
        let counters = self.pipeline.raw_counters();
        if counters.is_empty() {
            return;
        }
        let state = StateDirectory::new(config.state.directory());
        if let Err(error) = state.save(&boot_id, &counters) {
            self.own.telemetry.dropped(counters.len() as u64, "state_not_written", Signal::Metrics, "state");
            state_trouble(state.path(), &error);
        }
    }

    fn restore(&mut self, config: &Config) {
        let root = HostRoot::new(&config.host.root);
        let Ok(boot_id) = root.read("proc/sys/kernel/random/boot_id") else { return };
        let state = StateDirectory::new(config.state.directory());
        match state.load(boot_id.trim()) {
            Ok(counters) => self.pipeline.resume(&counters),
            Err(error) => {
                warn!(path = %state.path().display(), %error, "the kept counters cannot be read; starting anew")
            }
        }
    }
}

/// Says once that the state cannot be kept; the counter tells the rest.
fn state_trouble(path: &Path, error: &std::io::Error) {
    static SAID: std::sync::Once = std::sync::Once::new();
    SAID.call_once(|| {
        warn!(
            path = %path.display(), %error,
            "raw counters cannot be kept: what is drawn during a restart will be missing; set state.directory"
        );
    });
}
