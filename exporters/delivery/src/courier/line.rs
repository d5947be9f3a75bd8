//! Sending one signal: the oldest request first, one in flight at a time.

use std::time::Duration;

use tracing::{debug, info, warn};

use super::shared::Shared;
use super::{Retry, Route};
use crate::backoff::{Backoff, Chance};
use crate::spool::Taken;
use crate::verdict::Verdict;

pub(super) struct Line {
    route: Route,
    timeout: Duration,
    unauthorized: Duration,
    backoff: Backoff,
    chance: Chance,
    condition: Condition,
    /// A remark on data that the destination takes was told since it last failed.
    remarked: bool,
}

/// What was last told about the destination, so that each change is told once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Fresh,
    Well,
    /// In which of the ways.
    Failing(&'static str),
}

impl Line {
    pub(super) fn new(route: Route, timeout: Duration, retry: &Retry, seed: u64) -> Self {
        Self {
            // Lines of one machine should not draw the same waits.
            chance: Chance::seeded(seed.wrapping_add(route.signal as u64)),
            route,
            timeout,
            unauthorized: retry.unauthorized,
            backoff: Backoff::new(retry.initial, retry.max),
            condition: Condition::Fresh,
            remarked: false,
        }
    }

    /// Sends until the feed has ended and nothing is left, or time is up.
    pub(super) async fn run(mut self, shared: &Shared) {
        self.send_all(shared).await;
        self.route.transport.close();
    }

    async fn send_all(&mut self, shared: &Shared) {
        while let Some(taken) = shared.next(self.route.signal).await {
            let verdict = tokio::select! {
                verdict = self.attempt(&taken) => verdict,
                () = shared.out_of_time() => {
                    shared.settle(taken, &Verdict::Retry { after: None, cause: String::new() }).await;
                    return;
                }
            };
            self.tell(shared, &verdict);
            shared.settle(taken, &verdict).await;
            let pause = self.pause_after(&verdict);
            if !pause.is_zero() && !shared.pause(pause).await {
                return;
            }
        }
    }

    async fn attempt(&mut self, taken: &Taken) -> Verdict {
        let sending = self.route.transport.send(taken.body.clone(), taken.compression);
        let answer = tokio::time::timeout(self.timeout, sending).await;
        answer.unwrap_or_else(|_elapsed| {
            self.route.transport.forget_connection();
            Verdict::Retry { after: None, cause: format!("no answer within {:?}", self.timeout) }
        })
    }

    fn pause_after(&mut self, verdict: &Verdict) -> Duration {
        match verdict {
            Verdict::Delivered { .. } | Verdict::Refused { .. } | Verdict::TooLarge { .. } => {
                self.backoff.reset();
                Duration::ZERO
            }
            Verdict::Retry { after, .. } => self.backoff.after_failure(self.chance.draw(), *after),
            Verdict::Unauthorized { .. } => self.unauthorized,
        }
    }

    /// The first failure of a kind, the recovery and the first remark of the destination are told; what repeats them is
    /// for those who debug.
    fn tell(&mut self, shared: &Shared, verdict: &Verdict) {
        let destination = shared.name.as_str();
        let signal = self.route.signal.as_str();
        let endpoint = self.route.address.as_str();
        let (now, what, words) = match verdict {
            Verdict::Delivered { rejected: 0, message } => (Condition::Well, "warns", message),
            Verdict::Delivered { message, .. } => (Condition::Well, "rejects a part for good", message),
            // This says nothing yet about what it takes.
            Verdict::TooLarge { cause } => (self.condition, "wants smaller requests", cause),
            Verdict::Retry { cause, .. } => failing("fails and will be tried again", cause),
            Verdict::Refused { cause, .. } => failing("refuses data for good", cause),
            Verdict::Unauthorized { cause } => failing("refuses the credential; data is kept", cause),
        };
        let is_remark = match verdict {
            Verdict::Delivered { rejected, message } => *rejected > 0 || !message.is_empty(),
            Verdict::TooLarge { .. } => true,
            Verdict::Retry { .. } | Verdict::Refused { .. } | Verdict::Unauthorized { .. } => false,
        };
        if now != Condition::Fresh {
            shared.tell_up(self.route.signal, now == Condition::Well);
        }
        match (std::mem::replace(&mut self.condition, now), now) {
            (Condition::Fresh, Condition::Well) => info!(destination, signal, endpoint, "destination takes data"),
            (Condition::Failing(_), Condition::Well) => {
                self.remarked = false;
                info!(destination, signal, endpoint, "destination takes data again");
            }
            (Condition::Failing(before), Condition::Failing(now)) if before == now => {
                debug!(destination, signal, words, "destination {what}");
            }
            (_, Condition::Failing(_)) => warn!(destination, signal, endpoint, words, "destination {what}"),
            _ => {}
        }
        if is_remark {
            if std::mem::replace(&mut self.remarked, true) {
                debug!(destination, signal, words, "destination {what}");
            } else {
                warn!(destination, signal, endpoint, words, "destination {what}; further remarks are not told");
            }
        }
    }
}

fn failing<'a>(what: &'static str, cause: &'a String) -> (Condition, &'static str, &'a String) {
    (Condition::Failing(what), what, cause)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use wattline_core::Signal;

    use super::*;
    use crate::courier::{Sending, Transport};
    use crate::pack::Compression;

    struct Nowhere;

    impl Transport for Nowhere {
        fn send(&mut self, _body: Bytes, _compression: Compression) -> Sending<'_> {
            Box::pin(std::future::pending())
        }
    }

    #[test]
    fn a_success_forgets_the_failures_before_it() {
        let route = Route { signal: Signal::Logs, address: String::new(), transport: Box::new(Nowhere) };
        let retry = Retry { initial: Duration::from_millis(1), max: Duration::from_hours(1), ..Retry::default() };
        let mut line = Line::new(route, Duration::from_secs(1), &retry, 7);
        let failed = Verdict::Retry { after: None, cause: String::new() };
        let longest = (0..20).map(|_| line.pause_after(&failed)).max().unwrap();
        assert!(longest > Duration::from_secs(1), "{longest:?}");
        let delivered = Verdict::Delivered { rejected: 0, message: String::new() };
        assert_eq!(line.pause_after(&delivered), Duration::ZERO);
        assert!(line.pause_after(&failed) <= retry.initial);
    }
}
