//! What collecting and sending share: the spool, the counters, and the news that the feed has ended.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant as Moment;
use tracing::{debug, error, info, warn};
use wattline_core::{Signal, Telemetry, Timestamp};

use super::Context;
use crate::pack::Compression;
use crate::reason::DropReason;
use crate::spool::{Keeping, Lost, Pending, Spool, Taken};
use crate::verdict::Verdict;

pub(super) struct Shared {
    pub(super) name: String,
    telemetry: Telemetry,
    /// Whether requests are compressed, which is no work for a task.
    compresses: bool,
    /// `None` once it is closed.
    spool: Arc<Mutex<Option<Spool>>>,
    arrived: [Notify; 3],
    /// The moment at which sending stops; `None` while the feed lasts.
    deadline: watch::Sender<Option<Moment>>,
    /// Ages are counted from here: on the civil clock as it stood then, and on a clock that does not step since.
    started: (Timestamp, Moment),
    /// Losses have been told since the last success.
    losing: AtomicBool,
    /// What was last told about the spool.
    trouble: Mutex<Option<String>>,
}

impl Shared {
    pub(super) async fn open(name: String, context: Context, keeping: Keeping) -> Self {
        let Context { telemetry, now, .. } = context;
        let compresses = keeping.compression != Compression::None;
        let opening = tokio::task::spawn_blocking(move || Spool::open(keeping)).await;
        let spool = opening.inspect_err(|error| error!(destination = name, %error, "the spool failed to open")).ok();
        let shared = Self {
            name,
            telemetry,
            compresses,
            spool: Arc::new(Mutex::new(spool)),
            arrived: Default::default(),
            deadline: watch::Sender::new(None),
            started: (now(), Moment::now()),
            losing: AtomicBool::new(false),
            trouble: Mutex::default(),
        };
        let waiting = shared.on_spool(|spool, _now| spool.tally().waiting).await.unwrap_or_default();
        if waiting > 0 {
            info!(destination = shared.name, items = waiting, "goes on with what waited before");
        }
        shared
    }

    /// What the encoder left with the last requests.
    pub(super) async fn state(&self) -> Option<Vec<u8>> {
        self.on_spool(|spool, _now| spool.state()).await?
    }

    /// The number for the next snapshot.
    pub(super) async fn next_snapshot(&self) -> u64 {
        self.on_spool(|spool, _now| spool.next_snapshot().0).await.unwrap_or(1)
    }

    /// Puts requests in line, with the `state` that goes with them. True when they are where they survive the process.
    pub(super) async fn push(&self, requests: Vec<Pending>, state: Option<Vec<u8>>) -> bool {
        let signals: Vec<Signal> = requests.iter().map(|pending| pending.signal).collect();
        let pushed = self.on_spool(move |spool, now| spool.push(requests, state.as_deref(), now)).await;
        let pushed = pushed.unwrap_or_default();
        self.count(&pushed.lost);
        for signal in signals {
            self.arrived(signal).notify_one();
        }
        pushed.is_kept
    }

    /// Puts relayed requests in line that may be lost with the process: what is delivered within a second never touches
    /// the disk.
    pub(super) async fn hold(&self, requests: Vec<Pending>) {
        let signals: Vec<Signal> = requests.iter().map(|pending| pending.signal).collect();
        let mut requests = Some(requests);
        let held = (!self.compresses).then(|| self.at_once(|spool, now| Some(spool.hold(requests.take()?, now))));
        let lost = match held.flatten().flatten() {
            Some(Ok(lost)) => lost,
            Some(Err(returned)) => self.hold_or_push(returned).await,
            None => self.hold_or_push(requests.unwrap_or_default()).await,
        };
        self.count(&lost);
        for signal in signals {
            self.arrived(signal).notify_one();
        }
    }

    async fn hold_or_push(&self, requests: Vec<Pending>) -> Vec<Lost> {
        let pushed = self.on_spool(move |spool, now| match spool.hold(requests, now) {
            Ok(lost) => lost,
            Err(requests) => spool.push(requests, None, now).lost,
        });
        pushed.await.unwrap_or_default()
    }

    /// Writes down what was held for too long.
    pub(super) async fn write_held(&self) {
        // Where the spool is at work, the next time is soon enough.
        if self.at_once(|spool, now| spool.is_due(now)) == Some(true) {
            let lost = self.on_spool(Spool::write_held).await;
            self.count(&lost.unwrap_or_default());
        }
    }

    /// The next request of `signal`, as soon as there is one; `None` when the feed has ended and none is left.
    pub(super) async fn next(&self, signal: Signal) -> Option<Taken> {
        loop {
            // Asked first: what is pushed before the end is still taken.
            let ended = self.deadline.borrow().is_some();
            let taken = match self.at_once(|spool, _now| spool.take_held(signal)).flatten() {
                Some(taken) => taken,
                None => {
                    let taking = self.on_spool(move |spool, now| spool.take(signal, now));
                    let (taken, lost) = taking.await.unwrap_or_default();
                    self.count(&lost);
                    taken
                }
            };
            if taken.is_some() || ended {
                return taken;
            }
            self.arrived(signal).notified().await;
        }
    }

    /// Books what became of a request in flight.
    pub(super) async fn settle(&self, taken: Taken, verdict: &Verdict) {
        let (signal, items) = (taken.signal, taken.items);
        if let Verdict::Delivered { rejected, .. } = verdict {
            self.telemetry.exported(items.saturating_sub(*rejected), signal, &self.name);
            self.losing.store(false, Ordering::Relaxed);
        }
        let mut taken = Some(taken);
        if let (Some(true), Verdict::Delivered { rejected, .. }) = (taken.as_ref().map(Taken::is_held), verdict) {
            let settled = self.at_once(|spool, _now| taken.take().and_then(|taken| spool.delivered(taken, *rejected)));
            if let Some(lost) = settled {
                self.count(lost.as_slice());
                return;
            }
        }
        let Some(taken) = taken else { return };
        let verdict = verdict.clone();
        let settling = self.on_spool(move |spool, _now| match verdict {
            Verdict::Delivered { rejected, .. } => spool.delivered(taken, rejected),
            Verdict::Retry { .. } | Verdict::Unauthorized { .. } => {
                spool.put_back(taken);
                None
            }
            Verdict::Refused { reason, .. } => spool.refused(taken, reason),
            Verdict::TooLarge { .. } => spool.too_large(taken),
        });
        let lost = settling.await.flatten();
        self.count(lost.as_slice());
    }

    /// Counts items that never came as far as the spool.
    pub(super) fn lose(&self, signal: Signal, items: u64, reason: DropReason) {
        if items > 0 {
            self.count(&[Lost { signal, items, reason }]);
        }
    }

    /// Counts labels that were made shorter for the destination.
    pub(super) fn shortened(&self, labels: u64) {
        if labels > 0 {
            self.telemetry.shortened(labels, &self.name);
            debug!(destination = self.name, labels, "labels are cut or left out; the destination takes no more");
        }
    }

    /// Tells how much waits and since when, and lets the spool make itself small.
    pub(super) async fn tell_and_rest(&self) {
        let told = self.on_spool(|spool, now| {
            if spool.tally().waiting == 0 {
                spool.rest();
            }
            let age = spool.oldest().map_or(0.0, |oldest| now.since(oldest).get());
            (spool.tally().waiting, spool.bytes(), age)
        });
        if let Some((items, bytes, age)) = told.await {
            self.telemetry.waiting(items, bytes, age, &self.name);
            if items > 0 {
                // A disk that failed when a line asked for more may answer now.
                self.arrived.iter().for_each(Notify::notify_one);
            }
        }
    }

    /// Tells whether the destination takes `signal`.
    pub(super) fn tell_up(&self, signal: Signal, is_up: bool) {
        self.telemetry.destination_up(is_up, signal, &self.name);
    }

    /// The feed has ended: what waits may be sent for another `grace`.
    pub(super) fn end(&self, grace: Duration) {
        self.deadline.send_replace(Some(Moment::now() + grace));
        for arrived in &self.arrived {
            arrived.notify_one();
        }
    }

    /// Waits until sending must stop.
    pub(super) async fn out_of_time(&self) {
        let deadline = self.ended().await;
        tokio::time::sleep_until(deadline).await;
    }

    /// Waits for `pause`. False, and at once, when sending must stop before the pause is over: then nothing of it
    /// is worth waiting for.
    pub(super) async fn pause(&self, pause: Duration) -> bool {
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

    /// Closes the spool: nothing is sent any more. What does not wait on disk is counted as lost.
    pub(super) async fn close(&self) {
        let kept = self.on_spool(|spool, _now| spool.tally().waiting).await.unwrap_or_default();
        let spool = Arc::clone(&self.spool);
        let closing = tokio::task::spawn_blocking(move || {
            let spool = spool.lock().unwrap_or_else(PoisonError::into_inner).take();
            spool.map(Spool::close).unwrap_or_default()
        });
        let lost = closing.await.unwrap_or_default();
        let items: u64 = lost.iter().map(|loss| loss.items).sum();
        self.count(&lost);
        if items > 0 {
            warn!(destination = self.name, items, "stopped before all was delivered");
        }
        let kept = kept.saturating_sub(items);
        if kept > 0 {
            info!(destination = self.name, items = kept, "what is not delivered waits on disk for the next start");
        }
    }

    /// Does `work` that touches no disk here and now. `None` where the spool is at work, or closed.
    fn at_once<T>(&self, work: impl FnOnce(&mut Spool, Timestamp) -> T) -> Option<T> {
        let mut spool = match self.spool.try_lock() {
            Ok(spool) => spool,
            Err(TryLockError::Poisoned(spool)) => spool.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        spool.as_mut().map(|spool| work(spool, self.now()))
    }

    /// Does `work` on a thread that may wait for the disk.
    async fn on_spool<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Spool, Timestamp) -> T + Send + 'static,
    ) -> Option<T> {
        let (spool, now) = (Arc::clone(&self.spool), self.now());
        let done = tokio::task::spawn_blocking(move || {
            // A panic elsewhere leaves the spool as whole as any of its calls does.
            let mut spool = spool.lock().unwrap_or_else(PoisonError::into_inner);
            let spool = spool.as_mut()?;
            let outcome = work(spool, now);
            Some((outcome, spool.trouble().map(str::to_owned)))
        });
        match done.await {
            Ok(done) => {
                let (outcome, trouble) = done?;
                self.tell_trouble(trouble);
                Some(outcome)
            }
            Err(error) => {
                error!(destination = self.name, %error, "the spool failed; please report it");
                None
            }
        }
    }

    /// Says once what is wrong with the spool, and once that it is right again.
    fn tell_trouble(&self, trouble: Option<String>) {
        let mut told = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if *told == trouble {
            return;
        }
        match &trouble {
            Some(trouble) => {
                warn!(destination = self.name, trouble, "what waits is kept in memory, or was damaged on disk");
            }
            None => info!(destination = self.name, "what waits is kept on disk again"),
        }
        *told = trouble;
    }

    /// The time that ages are counted on.
    fn now(&self) -> Timestamp {
        let (wall, moment) = self.started;
        wall.ahead(wattline_core::Seconds::new(moment.elapsed().as_secs_f64()))
    }

    async fn ended(&self) -> Moment {
        let mut deadline = self.deadline.subscribe();
        // The sender lives as long as `self`, so that the channel cannot close.
        match deadline.wait_for(Option::is_some).await.map(|moment| *moment) {
            Ok(Some(moment)) => moment,
            Ok(None) | Err(_) => Moment::now(),
        }
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
