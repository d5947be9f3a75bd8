//! What collecting and sending share: the backlog, the counters, and the news that the feed has ended.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant as Moment;
use tracing::{debug, warn};
use wattline_core::{Instant, Signal, Telemetry};
use wattline_export_delivery::{Backlog, DropReason, Limits, Lost, Pending, Verdict};

pub(crate) struct Shared {
    pub(crate) name: String,
    telemetry: Telemetry,
    backlog: Mutex<Backlog>,
    arrived: [Notify; 3],
    /// The moment at which sending stops; `None` while the feed lasts.
    deadline: watch::Sender<Option<Moment>>,
    /// Ages are counted from here. They do not follow the civil clock, which may step.
    started: Moment,
    /// Losses have been told since the last success.
    losing: AtomicBool,
}

impl Shared {
    pub(crate) fn new(name: String, telemetry: Telemetry, limits: Limits) -> Self {
        Self {
            name,
            telemetry,
            backlog: Mutex::new(Backlog::new(limits)),
            arrived: Default::default(),
            deadline: watch::Sender::new(None),
            started: Moment::now(),
            losing: AtomicBool::new(false),
        }
    }

    /// The time on the clock that ages are counted on.
    pub(crate) fn now(&self) -> Instant {
        Instant::from_nanos(u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// Puts a request in line.
    pub(crate) fn push(&self, pending: Pending) {
        let signal = pending.signal;
        let lost = self.backlog().push(pending, self.now());
        self.count(&lost);
        self.arrived(signal).notify_one();
    }

    /// The oldest request of `signal`, as soon as there is one; `None` when the feed has ended and none is left.
    pub(crate) async fn next(&self, signal: Signal) -> Option<Pending> {
        loop {
            // Asked first: what is pushed before the end is still taken.
            let ended = self.deadline.borrow().is_some();
            let (taken, lost) = self.backlog().take(signal, self.now());
            self.count(&lost);
            if taken.is_some() || ended {
                return taken;
            }
            self.arrived(signal).notified().await;
        }
    }

    /// Books what became of a request in flight.
    pub(crate) fn settle(&self, pending: Pending, verdict: &Verdict) {
        let (signal, items) = (pending.signal, pending.items);
        let mut backlog = self.backlog();
        let lost: Vec<Lost> = match verdict {
            Verdict::Delivered { rejected, .. } => {
                self.telemetry.exported(items.saturating_sub(*rejected), signal, &self.name);
                self.losing.store(false, Ordering::Relaxed);
                backlog.delivered(pending, *rejected).into_iter().collect()
            }
            Verdict::Retry { .. } | Verdict::Unauthorized { .. } => backlog.put_back(pending),
            Verdict::Refused { reason, .. } => vec![backlog.refused(pending, *reason)],
            Verdict::TooLarge { .. } => backlog.too_large(pending),
        };
        drop(backlog);
        self.count(&lost);
    }

    /// Counts items that never came as far as the backlog.
    pub(crate) fn lose(&self, signal: Signal, items: u64, reason: DropReason) {
        if items > 0 {
            self.count(&[Lost { signal, items, reason }]);
        }
    }

    /// Counts labels that were made shorter for the destination.
    pub(crate) fn shortened(&self, labels: u64) {
        if labels > 0 {
            self.telemetry.shortened(labels, &self.name);
            debug!(destination = self.name, labels, "labels are cut or left out; the destination takes no more");
        }
    }

    /// The feed has ended: what waits may be sent for another `grace`.
    pub(crate) fn end(&self, grace: Duration) {
        self.deadline.send_replace(Some(Moment::now() + grace));
        for arrived in &self.arrived {
            arrived.notify_one();
        }
    }

    /// Waits until sending must stop.
    pub(crate) async fn out_of_time(&self) {
        let deadline = self.ended().await;
        tokio::time::sleep_until(deadline).await;
    }

    /// Waits for `pause`. False, and at once, when sending must stop before the pause is over: then nothing of it
    /// is worth waiting for.
    pub(crate) async fn pause(&self, pause: Duration) -> bool {
        let until = Moment::now() + pause;
        tokio::select! {
            () = tokio::time::sleep_until(until) => true,
            deadline = self.ended() => {
                if until >= deadline {
                    return false;
                }
                tokio::time::sleep_until(until).await;
                true
            }
        }
    }

    /// Counts all that still waits as lost; nothing is sent any more.
    pub(crate) fn close(&self) {
        let lost = self.backlog().clear(DropReason::Shutdown);
        let items: u64 = lost.iter().map(|loss| loss.items).sum();
        self.count(&lost);
        if items > 0 {
            warn!(destination = self.name, items, "stopped before all was delivered");
        }
    }

    async fn ended(&self) -> Moment {
        let mut deadline = self.deadline.subscribe();
        // The sender lives as long as `self`, so that the channel cannot close.
        match deadline.wait_for(Option::is_some).await.map(|moment| *moment) {
            Ok(Some(moment)) => moment,
            Ok(None) | Err(_) => Moment::now(),
        }
    }

    fn backlog(&self) -> MutexGuard<'_, Backlog> {
        // A panic elsewhere leaves the backlog as whole as any of its calls does.
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn arrived(&self, signal: Signal) -> &Notify {
        let [metrics, traces, logs] = &self.arrived;
        match signal {
            Signal::Metrics => metrics,
            Signal::Traces => traces,
            Signal::Logs => logs,
        }
    }

    fn count(&self, lost: &[Lost]) {
        for &Lost { signal, items, reason } in lost {
            self.telemetry.dropped(items, reason.as_str(), signal, &self.name);
            let (destination, signal, reason) = (self.name.as_str(), signal.as_str(), reason.as_str());
            if self.losing.swap(true, Ordering::Relaxed) {
                debug!(destination, signal, reason, items, "items are dropped");
            } else {
                warn!(destination, signal, reason, items, "items are dropped; more are counted until the next success");
            }
        }
    }
}
