//! Sends what waits, the oldest first, and counts what never arrives.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wattline_core::{Signal, queue};
use wattline_export_delivery::{Backoff, Chance, DropReason, Verdict};

use crate::sink::{Body, Sink};
use crate::{Context, Losses};

/// A body and when it was made.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub(crate) body: Body,
    pub(crate) signal: Signal,
    pub(crate) at: Instant,
}

/// After a refused login nothing is tried for so long.
const UNAUTHORIZED_PAUSE: Duration = Duration::from_mins(1);

/// One line of sending.
#[derive(Debug)]
pub(crate) struct Sender {
    losses: Losses,
    sink: Sink,
    timeout: Duration,
    max_age: Duration,
    backoff: Backoff,
    chance: Chance,
    /// What was said already of the last failures.
    trouble: Option<String>,
}

impl Sender {
    pub(crate) fn new(name: String, sink: Sink, context: Context, timeout: Duration, max_age: Duration) -> Self {
        let Context { telemetry, now: _, seed } = context;
        let (backoff, chance) = (Backoff::default(), Chance::seeded(seed));
        Self { losses: Losses { name, telemetry }, sink, timeout, max_age, backoff, chance, trouble: None }
    }

    /// Sends until nothing comes any more. When it has to `stop`, what is left is counted.
    pub(crate) async fn run(mut self, mut waiting: queue::Receiver<Parcel>, stop: CancellationToken) {
        while let Some(parcel) = waiting.next().await {
            let (items, signal) = (parcel.body.items, parcel.signal);
            if stop.run_until_cancelled(self.deliver(parcel)).await.is_none() {
                let left = std::iter::from_fn(|| waiting.try_next()).map(|parcel| (parcel.body.items, parcel.signal));
                for (items, signal) in std::iter::once((items, signal)).chain(left) {
                    self.losses.count(items, DropReason::Shutdown.as_str(), signal);
                }
                return;
            }
        }
        if let Err(error) = self.sink.sync() {
            tracing::warn!(exporter = self.losses.name, %error, "the last events may not survive a power cut");
        }
    }

    async fn deliver(&mut self, parcel: Parcel) {
        let Parcel { body: Body { bytes, items }, signal, at } = parcel;
        loop {
            let limit = self.timeout;
            let verdict = tokio::time::timeout(limit, self.sink.send(bytes.clone())).await.unwrap_or_else(|_elapsed| {
                Verdict::Retry { after: None, cause: format!("no answer within {limit:?}") }
            });
            let pause = match verdict {
                Verdict::Delivered { rejected, message } => return self.delivered(items, signal, rejected, &message),
                Verdict::Refused { reason, cause } => return self.refused(items, signal, reason, cause),
                // A body holds no more than the rules allow; whoever wants less gets none of it.
                Verdict::TooLarge { cause } => return self.refused(items, signal, DropReason::TooLarge, cause),
                Verdict::Retry { after, cause } => {
                    self.complain(cause);
                    self.backoff.after_failure(self.chance.draw(), after)
                }
                Verdict::Unauthorized { cause } => {
                    self.complain(cause);
                    UNAUTHORIZED_PAUSE
                }
            };
            if at.elapsed() + pause > self.max_age {
                return self.losses.count(items, DropReason::Expired.as_str(), signal);
            }
            tokio::time::sleep(pause).await;
        }
    }

    fn delivered(&mut self, items: u64, signal: Signal, rejected: u64, message: &str) {
        self.backoff.reset();
        if self.trouble.take().is_some() {
            tracing::info!(exporter = self.losses.name, "events arrive again");
        }
        let rejected = rejected.min(items);
        if rejected > 0 {
            tracing::warn!(exporter = self.losses.name, rejected, message, "a part of the events was not taken");
        }
        self.losses.count(rejected, DropReason::PartialRejection.as_str(), signal);
        self.losses.telemetry.exported(items - rejected, signal, &self.losses.name);
    }

    fn refused(&mut self, items: u64, signal: Signal, reason: DropReason, cause: String) {
        self.complain(cause);
        self.losses.count(items, reason.as_str(), signal);
    }

    /// Says a cause once.
    fn complain(&mut self, cause: String) {
        if self.trouble.as_ref() != Some(&cause) {
            tracing::warn!(exporter = self.losses.name, cause, "events do not arrive; what never does is counted");
            self.trouble = Some(cause);
        }
    }
}
