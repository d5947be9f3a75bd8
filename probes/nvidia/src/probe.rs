//! The probe: who starts the thread that reads, gives it up, and tells what came of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use wattline_core::reading::{
    AcceleratorFacts, AcceleratorReading, AcceleratorState, DownReason, SourceHealth, SourceState,
};
use wattline_core::{Device, HostRoot, Instant, Probe, ReadError, Reading, Readings, Tick};

use crate::access::Access;
use crate::config::{Config, Mode};
use crate::health;
use crate::session::{End, Look};
use crate::worker::{Order, Silence, Told, Worker};

/// The name of the probe, and of what it says of the driver and the GPUs.
pub const NAME: &str = "nvidia";
/// The name of what it says of the processes on them.
pub const PROCESSES: &str = "nvidia_processes";

/// The first pause after a failure, which doubles up to the longest.
const FIRST_PAUSE: f64 = 1.0;
const LONGEST_PAUSE: f64 = 60.0;
/// So many threads may hang in the driver. After that nobody calls it until one of them comes back.
const MOST_ABANDONED: usize = 3;
/// A GPU from which a question did not come back is left alone for so long.
const AVOIDED_SECONDS: f64 = 600.0;
/// The first reading of a thread may take so many times longer than others.
const FIRST_READING: u32 = 6;
/// What the kernel calls the process id namespace that it begins with (`PROC_PID_INIT_INO`).
const FIRST_NAMESPACE: &str = "pid:[4026531836]";

/// Reads NVIDIA's GPUs.
pub struct NvidiaProbe {
    config: Config,
    /// Whether the ids that the driver gives processes are those that the host has for them. Why not.
    foreign_ids: Option<String>,
    access: Access,
    /// Requests that were seen, and until when the driver is let go of.
    released: (u64, Option<Instant>),
    worker: Option<Worker>,
    abandoned: Vec<JoinHandle<()>>,
    pause: Pause,
    /// GPUs that are not asked, and since when.
    avoided: Vec<(u32, Instant)>,
    /// The GPUs of the last readings by their numbers.
    known: BTreeMap<u32, (Device, Arc<AcceleratorFacts>)>,
    last_read: Option<Instant>,
    health: Vec<SourceHealth>,
}

/// When the library is opened again after a failure.
#[derive(Debug, Default)]
struct Pause {
    failures: u32,
    until: Option<Instant>,
}

impl Pause {
    fn is_over(&self, at: Instant) -> bool {
        self.until.is_none_or(|until| at >= until)
    }

    fn after_failure(&mut self, at: Instant) {
        let seconds = (FIRST_PAUSE * 2_f64.powi(self.failures.min(10).cast_signed())).min(LONGEST_PAUSE);
        self.failures = self.failures.saturating_add(1);
        self.until = Some(later(at, Duration::from_secs_f64(seconds)));
    }
}

impl NvidiaProbe {
    /// A probe. Opens nothing yet. `own` is the root of this very process's files, by which it is told whether it shares
    /// the host's process ids. Probes of one process that follow one another share `access`.
    pub fn open(config: Config, own: &HostRoot, access: Access) -> Self {
        let namespace = own.link("proc/self/ns/pid").ok().map(|link| link.display().to_string());
        let released = (access.requests(), None);
        Self {
            foreign_ids: namespace.filter(|namespace| namespace != FIRST_NAMESPACE),
            config,
            access,
            released,
            worker: None,
            abandoned: Vec::new(),
            pause: Pause::default(),
            avoided: Vec::new(),
            known: BTreeMap::new(),
            last_read: None,
            health: Vec::new(),
        }
    }

    /// How the last reading went, for `doctor`. Empty before the first reading.
    pub fn sources(&self) -> Vec<SourceHealth> {
        self.health.clone()
    }

    fn look(&mut self, tick: Tick, out: &mut Readings) {
        let Some(worker) = &mut self.worker else { return };
        let patience = self.config.timeout * if worker.is_proven { 1 } else { FIRST_READING };
        match worker.look(tick, patience) {
            Ok(Told::Look(look)) => self.take(look, tick, out),
            Ok(Told::Closed(fault)) => {
                let was_up = !self.known.is_empty();
                let state = health::of_closed(&fault, &self.config.library, self.config.mode, was_up);
                self.fail(tick.at, state, out);
            }
            Err(Silence::Hangs(index)) => {
                let whom = index.map_or_else(|| "the driver".to_owned(), |index| format!("GPU {index}"));
                if let Some(index) = index {
                    self.avoided.push((index, tick.at));
                }
                self.stop(Duration::ZERO);
                let what = format!("{whom} has not answered for {patience:?}: the thread that asked is given up");
                self.fail(tick.at, SourceState::Failed { what }, out);
            }
            Err(Silence::Died) => {
                let what = "the thread that reads has ended: please report this".to_owned();
                self.fail(tick.at, SourceState::Failed { what }, out);
            }
        }
    }

    fn take(&mut self, mut look: Look, tick: Tick, out: &mut Readings) {
        match look.end.take() {
            // What there is now is found at the next reading.
            Some(End::Changed) => return self.stop(self.config.timeout),
            Some(End::Driver(what)) => {
                let what = format!("the driver is gone, or another one was loaded: {what}");
                return self.fail(tick.at, SourceState::Failed { what }, out);
            }
            None => self.pause = Pause::default(),
        }
        for reading in &look.readings {
            self.known.insert(reading.facts.index, (reading.device.clone(), Arc::clone(&reading.facts)));
        }
        for (index, _) in &self.avoided {
            if let Some((device, facts)) = self.known.get(index) {
                let state = AcceleratorState::Down(DownReason::Hanging);
                look.readings.push(AcceleratorReading::new(device.clone(), Arc::clone(facts), state));
            } else {
                look.nameless.push((*index, DownReason::Hanging));
            }
        }
        self.note(NAME, health::of_look(&look), out);
        if let (Some(namespace), false) = (&self.foreign_ids, look.readings.is_empty()) {
            let what = format!(
                "this process has process ids of its own ({namespace}), so nobody can be found by the driver's"
            );
            let remedy =
                "give it the host's: hostPID: true in Kubernetes, pidMode in ECS, --pid=host in Docker".to_owned();
            self.note(PROCESSES, SourceState::Denied { what, remedy }, out);
        }
        out.items.extend(look.readings.into_iter().map(|reading| Reading::Accelerator(Box::new(reading))));
    }

    /// Lets the thread let go of the driver. One that has not ended after `patience` is given up.
    fn stop(&mut self, patience: Duration) {
        self.abandoned.extend(self.worker.take().and_then(|worker| worker.end(patience)));
    }

    /// The thread is gone, or is given up: another one is started after a pause.
    fn fail(&mut self, at: Instant, state: SourceState, out: &mut Readings) {
        self.stop(self.config.timeout);
        self.pause.after_failure(at);
        self.note(NAME, state, out);
    }

    /// Lets go of the driver if somebody asked for it. True while it is let go of.
    fn is_released(&mut self, tick: Tick, out: &mut Readings) -> bool {
        let requests = self.access.requests();
        if requests != self.released.0 {
            self.released = (requests, Some(later(tick.at, self.config.release)));
            self.stop(self.config.timeout);
            let what = format!("nowhere: the driver is let go of on request for {:?}", self.config.release);
            self.note(NAME, SourceState::Absent { looked: what }, out);
        }
        match self.released.1 {
            Some(until) if tick.at < until => true,
            _ => {
                self.released.1 = None;
                false
            }
        }
    }

    /// Notes the state of a part; it is told when it is new.
    fn note(&mut self, part: &'static str, state: SourceState, out: &mut Readings) {
        let noted = SourceHealth { part, state };
        match self.health.iter_mut().find(|known| known.part == part) {
            Some(known) if *known == noted => return,
            Some(known) => known.clone_from(&noted),
            None => self.health.push(noted.clone()),
        }
        out.items.push(Reading::Health(noted));
    }
}

impl Probe for NvidiaProbe {
    fn name(&self) -> &'static str {
        NAME
    }

    /// Never fails: what it could not read is told among the readings.
    fn read(&mut self, tick: Tick, out: &mut Readings) -> Result<(), ReadError> {
        // Ticks are never quite as far apart as they should be.
        let due = self.config.interval.as_secs_f64() * 0.9;
        if self.config.mode == Mode::Never
            || self.last_read.is_some_and(|then| tick.at.since(then).get() < due)
            || self.is_released(tick, out)
        {
            return Ok(());
        }
        self.last_read = Some(tick.at);
        self.abandoned.retain(|thread| !thread.is_finished());
        let avoided = self.avoided.len();
        self.avoided.retain(|(_, since)| tick.at.since(*since).get() < AVOIDED_SECONDS);
        if avoided != self.avoided.len() {
            self.stop(self.config.timeout);
        }
        if self.worker.is_none() {
            if !self.pause.is_over(tick.at) || self.abandoned.len() >= MOST_ABANDONED {
                return Ok(());
            }
            // The probe before this one may still be on its way out.
            let Some(turn) = self.access.take() else { return Ok(()) };
            let order = Order {
                library: self.config.library.clone(),
                avoided: self.avoided.iter().map(|(index, _)| *index).collect(),
                sees_processes: self.foreign_ids.is_none(),
            };
            match Worker::start(order, turn) {
                Ok(worker) => self.worker = Some(worker),
                Err(error) => {
                    let what = format!("starting a thread failed: {error}");
                    self.fail(tick.at, SourceState::Failed { what }, out);
                }
            }
        }
        self.look(tick, out);
        Ok(())
    }

    fn reset(&mut self) {
        self.stop(self.config.timeout);
    }
}

impl Drop for NvidiaProbe {
    /// Whoever starts the next probe starts it with the driver let go of.
    fn drop(&mut self) {
        self.reset();
    }
}

fn later(at: Instant, span: Duration) -> Instant {
    Instant::from_nanos(at.nanos().saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
}
