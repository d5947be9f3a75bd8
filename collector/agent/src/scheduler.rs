//! Asks every probe at every tick, each on a thread of its own.
//!
//! A probe may block or hang: its thread waits, the ticks it misses are skipped and counted, and nobody else
//! notices. A probe that panics is started again a few times, then left alone.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};
use wattline_core::{Probe, ReadError, Readings, Telemetry, Tick, queue};

use crate::clock;

/// A probe that panicked this often is left alone.
const MOST_PANICS: u32 = 3;
/// After this many good readings in a row the panics before them are forgiven.
const FORGIVEN_AFTER: u32 = 100;
/// After this many failures in a row a source is asked only every [`RARELY`] ticks.
const PATIENCE: u32 = 3;
const RARELY: u32 = 60;

/// Runs `probes` until `stop` is cancelled. The senders to the pipeline are dropped then, which lets it drain.
pub async fn run(
    probes: Vec<Box<dyn Probe>>,
    interval: Duration,
    out: queue::Sender<Readings>,
    telemetry: Telemetry,
    stop: CancellationToken,
) {
    let mut threads = Vec::new();
    for probe in probes {
        let (ask, asked) = sync_channel::<Tick>(1);
        let (name, out, telemetry) = (probe.name(), out.clone(), telemetry.clone());
        let builder = thread::Builder::new().name(format!("probe-{name}"));
        match builder.spawn(move || answer(probe, &asked, &out, &telemetry)) {
            Ok(_detached) => threads.push((name, ask)),
            Err(error) => error!(probe = name, %error, "starting the probe's thread failed"),
        }
    }
    drop(out);
    let mut timer = tokio::time::interval(interval);
    timer.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = timer.tick() => ask_all(&mut threads, clock::tick(), &telemetry),
        }
    }
}

fn ask_all(threads: &mut Vec<(&'static str, SyncSender<Tick>)>, tick: Tick, telemetry: &Telemetry) {
    threads.retain(|(name, ask)| match ask.try_send(tick) {
        Ok(()) => true,
        Err(TrySendError::Full(_)) => {
            telemetry.probe_overrun(name);
            true
        }
        Err(TrySendError::Disconnected(_)) => false,
    });
}

fn answer(mut probe: Box<dyn Probe>, asked: &Receiver<Tick>, out: &queue::Sender<Readings>, telemetry: &Telemetry) {
    let name = probe.name();
    let (mut panics, mut good, mut failures, mut skip) = (0, 0_u32, 0, 0);
    while let Ok(tick) = asked.recv() {
        if skip > 0 {
            skip -= 1;
            continue;
        }
        let mut readings = Readings::new(name, tick);
        let outcome = catch_unwind(AssertUnwindSafe(|| probe.read(tick, &mut readings)));
        good = if matches!(outcome, Ok(Ok(()))) { good.saturating_add(1) } else { 0 };
        if good >= FORGIVEN_AFTER {
            panics = 0;
        }
        match outcome {
            Ok(Ok(())) => {
                if failures > 0 {
                    info!(probe = name, failures, "the probe reads again");
                }
                failures = 0;
            }
            Ok(Err(ReadError::Gone)) => {
                info!(probe = name, "the source is gone, the probe stops");
                return;
            }
            Ok(Err(error)) => {
                telemetry.probe_error(name);
                failures += 1;
                if failures == 1 {
                    warn!(probe = name, %error, "reading failed");
                } else {
                    debug!(probe = name, %error, failures, "reading failed again");
                }
                let rarely = matches!(error, ReadError::Unavailable { .. }) || failures > PATIENCE;
                skip = if rarely { RARELY } else { 0 };
            }
            Err(_panic) => {
                telemetry.probe_error(name);
                panics += 1;
                error!(probe = name, panics, "the probe panicked: please report this");
                if panics >= MOST_PANICS {
                    return;
                }
                probe.reset();
            }
        }
        // A full pipeline blocks this thread only; cumulative counters lose nothing by it.
        if !readings.items.is_empty() && out.send_blocking(readings).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use wattline_core::Reading;
    use wattline_core::reading::LoadReading;

    use super::*;

    /// Panics at each reading that is marked.
    struct Nervous(Vec<bool>);

    impl Probe for Nervous {
        fn name(&self) -> &'static str {
            "nervous"
        }

        fn read(&mut self, _tick: Tick, out: &mut Readings) -> Result<(), ReadError> {
            assert!(!self.0.remove(0), "as told");
            out.items.push(Reading::Load(LoadReading::default()));
            Ok(())
        }
    }

    /// How many readings come when it is asked as often as there are marks.
    fn readings(marks: Vec<bool>) -> usize {
        let (ask, asked) = sync_channel(marks.len());
        let (out, mut inbox) = queue::bounded(marks.len());
        for _ in &marks {
            ask.send(Tick::default()).unwrap();
        }
        drop(ask);
        answer(Box::new(Nervous(marks)), &asked, &out, &Telemetry::none());
        std::iter::from_fn(|| inbox.try_next()).count()
    }

    #[test]
    fn a_probe_that_panics_three_times_is_left_alone() {
        let marks = [vec![true, false, true, false, true], vec![false; 9]].concat();
        assert_eq!(readings(marks), 2);
    }

    #[test]
    fn a_probe_that_has_read_well_for_long_is_forgiven() {
        let marks = [vec![true, true], vec![false; 100], vec![true, true], vec![false; 9]].concat();
        assert_eq!(readings(marks), 109);
    }
}
