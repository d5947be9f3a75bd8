//! `wattline run`: the parts, wired; started in order, stopped in order.
//!
//! Only sources hear the stop signal. Their queues close when they are gone, the pipeline drains and takes a last
//! snapshot, and the exporters end when their feed does. Each of these waits has an end, so that all of it fits into
//! the 30 s that Kubernetes gives.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant as Moment, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info};
use wattline_core::{
    Envelope, Exporter, HostRoot, Inventory, Outlet, Probe, Readings, Receiver, Snapshot, Telemetry, queue,
};
use wattline_listen::Place;
use wattline_probe_host::HostProbe;
use wattline_probe_llm::bedrock::{self, AccountReceiver, FileReceiver, LogGroupReceiver};
use wattline_probe_llm::content::Content;
use wattline_probe_llm::otlp::{self, OtlpReceiver};
use wattline_probe_nvidia::Access;

use crate::config::Config;
use crate::destinations::{self, Destinations, exporters_that_open, readings_queue, relay_queue};
use crate::enrich::Assessor;
use crate::lasting::Lasting;
use crate::lease::Lease;
use crate::listeners::Listeners;
use crate::pid_file::PidFile;
use crate::reload::{Fresh, rehearse};
use crate::report::Report;
use crate::{admin, clock, cloud, engines, gpus, identity, live, scheduler};

/// How many readings the pipeline takes at once.
const BATCH: usize = 64;
/// Sources that have not ended this long after the stop are left behind: a sender that is half way through a request,
/// or a probe that hangs in a system call.
const SOURCES_GRACE: Duration = Duration::from_secs(3);
/// Taking what is left in a closed queue waits for nobody.
const REST: Duration = Duration::from_millis(500);

/// What a round of running ended for.
enum End {
    Stop,
    Reload(Box<Fresh>),
}

/// What a round of running begins with.
struct Parts {
    listeners: Listeners,
    content: Content,
    exporters: Vec<Box<dyn Exporter>>,
}

/// Runs until told to stop. `inventory` is what the machine's own files tell of it. `reports`, when given, gets a
/// report after every window.
pub async fn run(
    path: Option<PathBuf>,
    config: Config,
    inventory: Inventory,
    logs: queue::Receiver<Envelope>,
    reports: Option<watch::Sender<Option<Report>>>,
) -> Result<()> {
    let mut signals = Signals::listen()?;
    let root = HostRoot::new(&config.host.root);
    let _lease = (config.role.measures() && config.host.lease).then(|| Lease::take(&root)).transpose()?;
    let state = config.state.directory();
    let _pid_file = PidFile::write(&state)
        .inspect_err(
            |error| debug!(%error, "the process id cannot be kept: `wattline reload` will not find this agent"),
        )
        .ok();
    let mut lasting = Lasting::new(config, logs, reports);
    lasting.pipeline.describe(&inventory);
    lasting.restore();
    let telemetry = lasting.own.telemetry.clone();
    let mut parts = Parts {
        listeners: Listeners::open(&lasting.config)?,
        content: Content::new(&lasting.config.relay)?,
        exporters: destinations::exporters(&lasting.config, &telemetry)?,
    };
    loop {
        parts = match round(parts, path.as_deref(), &mut lasting, &mut signals).await {
            End::Stop => return Ok(()),
            End::Reload(fresh) => reloaded(*fresh, &mut lasting, &telemetry),
        };
    }
}

/// Puts a new configuration into force, or the old one again if somebody took a port between its rehearsal and now.
fn reloaded(fresh: Fresh, lasting: &mut Lasting, telemetry: &Telemetry) -> Parts {
    let Fresh { config, exporters, content } = fresh;
    match Listeners::open(&config) {
        Ok(listeners) => {
            lasting.reconfigure(config);
            info!("configuration reloaded");
            Parts { listeners, content, exporters }
        }
        Err(error) => {
            error!("the new configuration cannot be put into force, the old one goes on: {error:#}");
            Parts {
                listeners: Listeners::open_what_opens(&lasting.config),
                content: content_that_is_allowed(&lasting.config),
                exporters: exporters_that_open(&lasting.config, telemetry),
            }
        }
    }
}

/// What the configuration says of content. Where that cannot be done, none goes on.
fn content_that_is_allowed(config: &Config) -> Content {
    Content::new(&config.relay).unwrap_or_else(|error| {
        error!("message content is left out of what is relayed until the next reload: {error}");
        Content::Drop
    })
}

async fn round(parts: Parts, path: Option<&Path>, lasting: &mut Lasting, signals: &mut Signals) -> End {
    let Parts { listeners, content, exporters } = parts;
    let config = lasting.config.clone();
    let telemetry = lasting.own.telemetry.clone();
    let held = listeners.places();
    let stop = CancellationToken::new();
    let (snapshots, watched) = watch::channel(Arc::default());
    let (readings, inbox) = readings_queue();
    let (relay, relayed) = relay_queue();
    let has_destination = !exporters.is_empty();
    let graces = config.exporters.all_otlp().map(|(_, destination)| destination.grace);
    let graces = graces.chain(config.exporters.emf.iter().map(|destination| destination.grace));
    let grace = graces.max().unwrap_or_default();
    let destinations = Destinations::start(exporters, &watched, relayed, &telemetry, grace);
    let mut flow = Flow { inbox, snapshots, destinations };
    lasting.pulse();
    if lasting.settled.borrow().is_some() {
        // After a reload the figures are there at once, and where there is nothing to settle.
        lasting.publish(&flow.snapshots).await;
    }
    let outlet = Outlet { readings, relay: has_destination.then_some(relay) };
    let mut sources = start_sources(listeners, content, outlet, watched, lasting, &stop);
    if config.role.measures() {
        info!(root = %config.host.root.display(), interval = ?config.sampling.interval, "measuring");
    } else {
        info!(role = config.role.as_str(), "receiving; no machine is measured");
    }

    let gpus = lasting.gpus.clone();
    let end = flow.pump(lasting, signals.told(path, &config, &held, &telemetry, &gpus)).await.unwrap_or_else(|| {
        error!("every source has ended: there is nothing left to measure");
        End::Stop
    });
    stop.cancel();
    let deadline = Moment::now() + SOURCES_GRACE;
    let is_late = flow.pump(lasting, tokio::time::sleep_until(deadline)).await.is_some();
    let all_ended = timeout_at(deadline, async { while sources.join_next().await.is_some() {} }).await;
    if is_late || all_ended.is_err() {
        error!(grace = ?SOURCES_GRACE, "a source did not end in time and is left behind");
        timeout(REST, sources.shutdown()).await.ok();
    }
    // What was acknowledged until now is in the queue and is booked; what comes later is refused, not acknowledged.
    flow.inbox.close();
    flow.pump(lasting, tokio::time::sleep(REST)).await;
    lasting.last_snapshot(&flow.snapshots).await;
    while let Some(envelope) = lasting.logs.try_next() {
        flow.destinations.offer(&envelope);
    }
    flow.destinations.finish(flow.snapshots).await;
    end
}

/// Starts everything that reads or receives.
fn start_sources(
    listeners: Listeners,
    content: Content,
    outlet: Outlet,
    watched: watch::Receiver<Arc<Snapshot>>,
    lasting: &Lasting,
    stop: &CancellationToken,
) -> JoinSet<()> {
    let (config, telemetry) = (&lasting.config, &lasting.own.telemetry);
    let mut sources = JoinSet::new();
    let root = HostRoot::new(&config.host.root);
    let readings = outlet.readings.clone();
    let known = Arc::clone(lasting.pipeline.found());
    sources.spawn(cloud::describe(root.clone(), config.probes.cloud.clone(), known, readings.clone(), stop.clone()));
    if config.role.measures() {
        let mut probes: Vec<Box<dyn Probe>> = vec![Box::new(HostProbe::open(host_probe(config), &root))];
        probes.extend(gpus::probe(config, &lasting.gpus).map(|probe| Box::new(probe) as Box<dyn Probe>));
        sources.spawn(scheduler::run(probes, config.sampling.interval, readings, telemetry.clone(), stop.clone()));
    }
    // A figure of one's own wins over whatever a provider says.
    if let Some(live) =
        config.carbon.live.as_ref().filter(|_| config.role.measures() && config.carbon.intensity.is_none())
    {
        match live::receiver(live, telemetry) {
            Ok(receiver) => {
                sources.spawn(receiver.run(Outlet { relay: None, ..outlet.clone() }, stop.clone()));
            }
            // The configuration was tried before; a certificate may have gone since.
            Err(error) => error!("carbon.live: {error:#}; the yearly averages of the tables are used"),
        }
    }
    start_logs(&mut sources, &outlet, lasting, stop);
    if config.probes.engines.is_on() {
        match engines::receiver(&config.probes.engines, telemetry) {
            Ok(receiver) => {
                sources.spawn(receiver.run(Outlet { relay: None, ..outlet.clone() }, stop.clone()));
            }
            // The configuration was tried before; a certificate may have gone since.
            Err(error) => error!("{error}; no engine is read"),
        }
    }
    let Listeners { otlp, admin } = listeners;
    if let Some(bound) = otlp.filter(|bound| bound.addresses() != otlp::Addresses { grpc: None, http: None }) {
        let addresses = bound.addresses();
        info!(grpc = ?addresses.grpc, http = ?addresses.http, "listening for OTLP");
        let mark = identity::own_mark();
        let receiver = OtlpReceiver::new(bound, telemetry.clone(), Arc::new(clock::tick), content, mark);
        let mut receiver = receiver.with_rules(config.probes.bedrock.rules());
        if config.relay.enrich {
            receiver = receiver.enriching(Box::new(Assessor::new(config)));
        }
        sources.spawn(Box::new(receiver).run(outlet, stop.clone()));
    }
    if let Some(door) = admin {
        info!(address = ?door.listener.place(), "serving /metrics, /healthz and /readyz");
        let settled = lasting.settled.subscribe();
        let (window, stop) = (config.sampling.window, stop.clone());
        sources.spawn(admin::serve(door, telemetry.clone(), watched, settled, config.role, window, stop));
    }
    sources
}

/// Starts the readers of AWS's own logs where any are configured. How far they have come is on the books.
fn start_logs(sources: &mut JoinSet<()>, outlet: &Outlet, lasting: &Lasting, stop: &CancellationToken) {
    let (config, telemetry) = (&lasting.config.probes.bedrock, &lasting.own.telemetry);
    let place = |source: &str| (lasting.config.state.directory().join(source), lasting.pipeline.progress(source));
    let outlet = Outlet { relay: None, ..outlet.clone() };
    if !config.paths.is_empty() {
        let (journal, kept) = place(bedrock::FILES);
        let receiver = FileReceiver::new(config, &journal, kept, telemetry.clone(), Arc::new(clock::tick));
        sources.spawn(Box::new(receiver).run(outlet.clone(), stop.clone()));
    }
    if !config.cloudwatch.log_groups.is_empty() {
        let (journal, kept) = place(bedrock::LOG_GROUPS);
        let tick = Arc::new(clock::tick);
        match LogGroupReceiver::new(config, &journal, kept, telemetry.clone(), tick, clock::wall) {
            Ok(receiver) => {
                sources.spawn(Box::new(receiver).run(outlet.clone(), stop.clone()));
            }
            Err(error) => error!("probes.bedrock.cloudwatch: {error}; no log group is read"),
        }
    }
    if config.metrics.enabled {
        let (told_until, tick) = (lasting.pipeline.account_told_until(), Arc::new(clock::tick));
        match AccountReceiver::new(config, told_until, telemetry.clone(), tick, clock::wall) {
            Ok(receiver) => {
                sources.spawn(Box::new(receiver).run(outlet, stop.clone()));
            }
            Err(error) => error!("probes.bedrock.metrics: {error}; they are not read"),
        }
    }
}

/// The host probe's configuration, with every process read at least once in a window: what a process used in a
/// window that is over would otherwise be charged in the next.
fn host_probe(config: &Config) -> wattline_probe_host::Config {
    let host = config.probes.host.clone();
    wattline_probe_host::Config { cold_period: host.cold_period.min(config.sampling.window), ..host }
}

/// What goes through the pipeline: readings in, snapshots out, and log records past it.
struct Flow {
    inbox: queue::Receiver<Readings>,
    snapshots: watch::Sender<Arc<Snapshot>>,
    destinations: Destinations,
}

impl Flow {
    /// Feeds the pipeline until `until` is over. `None` when the inbox was closed before and is empty.
    ///
    /// Nothing but the waiting itself is cut short, so that no reading is lost between two calls.
    async fn pump<T>(&mut self, lasting: &mut Lasting, until: impl Future<Output = T>) -> Option<T> {
        let mut until = pin!(until);
        let mut batch = Vec::with_capacity(BATCH);
        // A settlement that comes on time is earlier than this. Where none comes, what else came is shown.
        let longest = lasting.config.sampling.window + lasting.config.sampling.interval;
        let mut overdue = tokio::time::interval_at(Moment::now() + longest, longest);
        loop {
            let is_due = tokio::select! {
                over = &mut until => return Some(over),
                taken = self.inbox.next_many(&mut batch, BATCH) => {
                    if taken == 0 {
                        return None;
                    }
                    let mut is_due = false;
                    for readings in batch.drain(..) {
                        is_due |= lasting.take(&readings);
                    }
                    is_due
                }
                Some(envelope) = lasting.logs.next() => {
                    self.destinations.offer(&envelope);
                    false
                }
                _ = overdue.tick() => lasting.pulse(),
            };
            if is_due {
                lasting.publish(&self.snapshots).await;
                overdue.reset();
            }
        }
    }
}

/// The signals that are heard, from before anything else starts.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
    /// Asks for the driver of the GPUs to be let go of.
    user: tokio::signal::unix::Signal,
}

impl Signals {
    fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).context("listening for signals failed");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
            user: listen(SignalKind::user_defined1())?,
        })
    }

    /// Waits for the end, or for a reload with a configuration that can be put into force. Another one is refused,
    /// and the old one stays.
    async fn told(
        &mut self,
        path: Option<&Path>,
        current: &Config,
        held: &[Place],
        telemetry: &Telemetry,
        gpus: &Access,
    ) -> End {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return End::Stop,
                _ = self.interrupt.recv() => return End::Stop,
                _ = self.user.recv() => {
                    info!(span = ?current.probes.nvidia.release, "the driver of the GPUs is let go of, if it is in use");
                    gpus.release();
                }
                _ = self.hangup.recv() => match rehearse(path, current, held, telemetry) {
                    Ok(fresh) => return End::Reload(Box::new(fresh)),
                    Err(error) => error!("the new configuration is refused, the old one stays: {error:#}"),
                },
            }
        }
    }
}
