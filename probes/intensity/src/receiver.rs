//! The task that asks, and tells the pipeline.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use wattline_core::flow::{Outlet, Signal};
use wattline_core::reading::{SourceHealth, SourceState};
use wattline_core::{Reading, Readings};

use crate::asker::{Asker, Heard};
use crate::failure::FetchError;
use crate::pace::Pace;
use crate::{Context, NAME};

/// The reasons under which values are counted as refused.
const IMPLAUSIBLE: &str = "implausible_intensity";
const UNREADABLE: &str = "unreadable_intensity";

/// Asks until it is stopped.
pub(crate) struct Running {
    pub(crate) asker: Asker,
    pub(crate) context: Context,
    pub(crate) pace: Pace,
    /// What was told last, so that only news is told.
    pub(crate) told: Option<SourceState>,
    pub(crate) is_skewed: bool,
}

impl Running {
    pub(crate) fn new(asker: Asker, context: Context) -> Self {
        let pace = Pace::new(asker.plan().refresh, context.seed);
        Self { asker, context, pace, told: None, is_skewed: false }
    }

    pub(crate) async fn run(mut self, outlet: Outlet, stop: CancellationToken) {
        // Nothing was accepted from anybody, so that there is nothing to finish.
        let _stopped = stop.run_until_cancelled(self.ask_for_ever(&outlet)).await;
    }

    /// Ends when nobody listens any more.
    async fn ask_for_ever(&mut self, outlet: &Outlet) {
        loop {
            let outcome = self.asker.ask((self.context.now)().wall).await;
            let (items, wait) = self.judge(&outcome);
            if !items.is_empty() {
                let readings = Readings { source: NAME, tick: (self.context.now)(), items };
                if outlet.readings.send(readings).await.is_err() {
                    return;
                }
            }
            match outcome {
                Err(FetchError::Denied { .. }) => self.wait_for_key(wait).await,
                _ => tokio::time::sleep(wait).await,
            }
        }
    }

    /// Waits, and looks at every refresh whether the key was replaced.
    async fn wait_for_key(&self, wait: Duration) {
        let mut left = wait;
        while !left.is_zero() {
            let step = left.min(self.asker.plan().refresh);
            tokio::time::sleep(step).await;
            left = left.saturating_sub(step);
            if self.asker.has_new_key().await {
                return;
            }
        }
    }

    /// What to tell the pipeline, and how long to wait.
    fn judge(&mut self, outcome: &Result<Heard, FetchError>) -> (Vec<Reading>, Duration) {
        let (mut items, state, wait) = match outcome {
            Ok(heard) => {
                self.count(heard);
                let state = match &heard.useless {
                    None => SourceState::Up { found: heard.found.clone() },
                    Some(why) => SourceState::Failed { what: self.with_consequence(why) },
                };
                let items = heard.checked.readings.iter().cloned().map(Reading::Intensity).collect();
                (items, state, self.pace.after_success())
            }
            Err(error) => {
                self.context.telemetry.probe_error(NAME);
                (Vec::new(), self.state(error), self.pace.after_failure(error))
            }
        };
        items.extend(self.news(state, wait));
        (items, wait)
    }

    fn count(&mut self, heard: &Heard) {
        for (reason, count) in [(IMPLAUSIBLE, heard.checked.implausible), (UNREADABLE, heard.checked.unreadable)] {
            for _ in 0..count {
                self.context.telemetry.refused(reason, Signal::Metrics);
            }
        }
        match heard.skew_seconds {
            Some(skew_seconds) if !self.is_skewed => warn!(
                skew_seconds,
                "this machine's clock and the provider's of live carbon intensity differ; values may be booked to the \
                 wrong hour"
            ),
            None if self.is_skewed => {
                info!("this machine's clock and the provider's of live carbon intensity agree again");
            }
            _ => {}
        }
        self.is_skewed = heard.skew_seconds.is_some();
    }

    fn state(&self, error: &FetchError) -> SourceState {
        let what = self.with_consequence(&error.to_string());
        match error {
            FetchError::Denied { .. } => SourceState::Denied {
                what,
                remedy:
                    "put a valid key into carbon.live.key_file, or into the variable that carbon.live.key_env names"
                        .to_owned(),
            },
            FetchError::Rejected { .. } | FetchError::Config(_) => {
                SourceState::Denied { what, remedy: "check carbon.live.zone and carbon.live.endpoint".to_owned() }
            }
            FetchError::Throttled { .. } | FetchError::NoData { .. } | FetchError::Failed { .. } => {
                SourceState::Failed { what }
            }
        }
    }

    fn with_consequence(&self, what: &str) -> String {
        let max_age = humantime::format_duration(self.asker.plan().max_age);
        format!("{what}; a value that was heard before is used for {max_age}, else the yearly average")
    }

    /// The state as a reading when it is news; one line in the log when it is another kind of state.
    fn news(&mut self, state: SourceState, wait: Duration) -> Option<Reading> {
        if self.told.as_ref() == Some(&state) {
            return None;
        }
        let is_other_kind = self.told.as_ref().map(std::mem::discriminant) != Some(std::mem::discriminant(&state));
        if is_other_kind {
            let again = humantime::format_duration(Duration::from_secs(wait.as_secs()));
            match &state {
                SourceState::Up { found } => info!(%found, "live carbon intensity is there"),
                SourceState::Denied { what, remedy } => {
                    warn!(%what, %remedy, %again, "live carbon intensity is refused");
                }
                SourceState::Absent { looked: what } | SourceState::Failed { what } => {
                    warn!(%what, %again, "live carbon intensity is not there");
                }
            }
        }
        self.told = Some(state.clone());
        Some(Reading::Health(SourceHealth { part: NAME, state }))
    }
}

#[cfg(test)]
mod tests;
