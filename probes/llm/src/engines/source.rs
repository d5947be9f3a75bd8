//! The task that asks all engines, each in its own time, and tells the pipeline.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use wattline_core::flow::{Outlet, Signal};
use wattline_core::reading::{SourceHealth, SourceState};
use wattline_core::{Reading, Readings, Tick};

use super::pods::Kubelet;
use super::read::Told;
use super::target::{Learned, Target};
use super::web::AskError;
use super::{Context, NAME, config};

/// Engines that are asked at one time.
const AT_ONCE: usize = 16;

/// Engines that are known at one time: those of a full node, twice.
pub(super) const TARGETS_MAX: usize = 512;

/// An engine that fails is asked again after this time at the latest.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// What was found and is no engine is asked again after this time: another program may listen there by then.
const PAUSE_OF_STRANGERS: Duration = Duration::from_mins(2);

/// Engines that are named in one line.
const NAMED_MAX: usize = 8;

/// Asks until it is stopped.
pub(super) struct Running {
    targets: BTreeMap<String, Known>,
    kubelet: Option<Kubelet>,
    /// When the list of pods is due, and how the last question for it ended.
    pods_due: Option<Instant>,
    pods_failure: Option<AskError>,
    interval: Duration,
    timeout: Duration,
    context: Context,
    told: Option<SourceState>,
}

/// A target with what became of it.
struct Known {
    target: Target,
    learned: Learned,
    due: Instant,
    failures: u32,
    outcome: Option<Result<Summary, AskError>>,
    from_pods: bool,
}

/// What of an answer is told to a person. It holds no figure that changes from answer to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Summary(pub(super) String);

impl Summary {
    pub(super) fn of(told: &Told, place: &str) -> Self {
        let models: Vec<&str> = told.readings.iter().map(|reading| reading.engine.model.as_str()).take(3).collect();
        let more = told.readings.len().saturating_sub(models.len());
        let more = if more > 0 { format!(" and {more} more models") } else { String::new() };
        let missing = told.readings.first().map(|reading| reading.missing.join(", ")).unwrap_or_default();
        let missing = if missing.is_empty() { String::new() } else { format!(" (does not tell: {missing})") };
        let unread = if told.unread > 0 { ", with lines that cannot be read" } else { "" };
        let left_out = if told.left_out > 0 { ", and models beyond the limit" } else { "" };
        let kind = told.kind.as_str();
        let models = if models.is_empty() { "no model yet".to_owned() } else { models.join(", ") };
        Self(format!("{kind} at {place}: {models}{more}{missing}{unread}{left_out}"))
    }
}

impl Running {
    pub(super) fn new(
        targets: Vec<Target>,
        kubelet: Option<Kubelet>,
        config: &config::Config,
        context: Context,
    ) -> Self {
        let now = Instant::now();
        let mut running = Self {
            targets: BTreeMap::new(),
            pods_due: kubelet.as_ref().map(|_| now),
            kubelet,
            pods_failure: None,
            interval: config.interval,
            timeout: config.timeout,
            context,
            told: None,
        };
        for target in targets {
            running.learn_of(target, now, false);
        }
        running
    }

    /// The first who names an address is heard.
    fn learn_of(&mut self, target: Target, now: Instant, from_pods: bool) {
        if self.targets.len() >= TARGETS_MAX && !self.targets.contains_key(&target.place()) {
            self.context.telemetry.refused("engine_limit", Signal::Metrics);
            return;
        }
        self.targets.entry(target.place()).or_insert_with(|| Known {
            target,
            learned: Learned::default(),
            due: now,
            failures: 0,
            outcome: None,
            from_pods,
        });
    }

    pub(super) async fn run(mut self, outlet: Outlet, stop: CancellationToken) {
        // Nothing was accepted from anybody, so that there is nothing to finish.
        let _stopped = stop.run_until_cancelled(self.ask_for_ever(&outlet)).await;
    }

    /// Ends when nobody listens any more.
    async fn ask_for_ever(&mut self, outlet: &Outlet) {
        let mut rounds = tokio::time::interval(self.interval);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            rounds.tick().await;
            self.look_for_pods().await;
            if !self.round(outlet).await {
                return;
            }
            let Some(health) = self.news() else { continue };
            let readings = Readings { source: NAME, tick: (self.context.now)(), items: vec![health] };
            if outlet.readings.send(readings).await.is_err() {
                return;
            }
        }
    }

    /// Asks every engine that is due. False when nobody listens any more.
    async fn round(&mut self, outlet: &Outlet) -> bool {
        // A tick that comes a little early still counts.
        let now = Instant::now() + self.interval / 10;
        let due: Vec<String> =
            self.targets.iter().filter(|(_, known)| known.due <= now).map(|(place, _)| place.clone()).collect();
        let mut asking = JoinSet::new();
        let mut waiting = due.into_iter();
        loop {
            while asking.len() < AT_ONCE
                && let Some(place) = waiting.next()
            {
                let Some(known) = self.targets.get(&place) else { continue };
                let (target, mut learned, clock) =
                    (known.target.clone(), known.learned.clone(), std::sync::Arc::clone(&self.context.now));
                asking.spawn(async move {
                    let outcome = target.ask(&mut learned).await;
                    (place, learned, outcome, clock())
                });
            }
            let Some(joined) = asking.join_next().await else { return true };
            // A task that was broken off leaves its engine as it was, to be asked in the next round.
            let Ok((place, learned, outcome, tick)) = joined else { continue };
            if let Some(readings) = self.judge(&place, learned, outcome, tick)
                && outlet.readings.send(readings).await.is_err()
            {
                return false;
            }
        }
    }

    /// Notes how a question ended, and when the next is due.
    fn judge(
        &mut self,
        place: &str,
        learned: Learned,
        outcome: Result<Told, AskError>,
        tick: Tick,
    ) -> Option<Readings> {
        let known = self.targets.get_mut(place)?;
        known.learned = learned;
        let now = Instant::now();
        match outcome {
            Ok(told) => {
                (known.failures, known.due) = (0, now + self.interval);
                // The same lines come again with every answer: how many there are matters less than that there are some.
                if told.unread > 0 {
                    self.context.telemetry.refused("unreadable_line", Signal::Metrics);
                }
                for _ in 0..told.left_out {
                    self.context.telemetry.refused("model_limit", Signal::Metrics);
                }
                known.outcome = Some(Ok(Summary::of(&told, place)));
                let items = told.readings.into_iter().map(|reading| Reading::Engine(Box::new(reading))).collect();
                Some(Readings { source: NAME, tick, items })
            }
            Err(error) => {
                // What starts again may serve another model.
                known.learned = Learned::default();
                known.due = now + pause(&error, known.target.is_found, known.failures, self.interval);
                known.failures = known.failures.saturating_add(1);
                if known.target.is_found {
                    debug!(%error, "no engine was found there");
                } else {
                    self.context.telemetry.probe_error(NAME);
                }
                known.outcome = Some(Err(error));
                None
            }
        }
    }

    async fn look_for_pods(&mut self) {
        let Some(kubelet) = self.kubelet.clone().filter(|_| self.pods_due.is_some_and(|due| due <= Instant::now()))
        else {
            return;
        };
        let now = Instant::now();
        self.pods_due = Some(now + kubelet.refresh);
        match kubelet.pods().await {
            Ok(pods) => {
                self.pods_failure = None;
                let timeout = self.timeout;
                let pods = pods.into_iter().filter_map(|pod| Target::new(pod, timeout, true).ok());
                let pods: BTreeMap<String, Target> = pods.map(|pod| (pod.place(), pod)).collect();
                self.targets.retain(|place, known| !known.from_pods || pods.contains_key(place));
                for pod in pods.into_values() {
                    self.learn_of(pod, now, true);
                }
            }
            Err(error) => {
                self.context.telemetry.probe_error(NAME);
                self.pods_failure = Some(error);
            }
        }
    }

    /// How it goes, when that is news; one line in the log when it is another kind of state.
    fn news(&mut self) -> Option<Reading> {
        let state = self.state();
        if self.told.as_ref() == Some(&state) {
            return None;
        }
        let is_other_kind = self.told.as_ref().map(std::mem::discriminant) != Some(std::mem::discriminant(&state));
        if is_other_kind {
            match &state {
                SourceState::Up { found } => info!(%found, "inference engines are read"),
                SourceState::Absent { looked } => info!(%looked, "no inference engine is there"),
                SourceState::Denied { what, remedy } => warn!(%what, %remedy, "an inference engine refuses"),
                SourceState::Failed { what } => warn!(%what, "an inference engine cannot be read"),
            }
        }
        self.told = Some(state.clone());
        Some(Reading::Health(SourceHealth { part: NAME, state }))
    }

    fn state(&self) -> SourceState {
        let outcomes = || self.targets.values().filter_map(|known| Some((known, known.outcome.as_ref()?)));
        let up: Vec<&str> =
            outcomes().filter_map(|(_, outcome)| outcome.as_ref().ok()).map(|summary| summary.0.as_str()).collect();
        let failed: Vec<&AskError> = outcomes()
            .filter(|(known, _)| !known.target.is_found)
            .filter_map(|(_, outcome)| outcome.as_ref().err())
            .chain(&self.pods_failure)
            .collect();
        let found = listed(&up);
        if failed.is_empty() {
            return if up.is_empty() {
                SourceState::Absent {
                    looked: format!("{} addresses were asked, and none is an engine", outcomes().count()),
                }
            } else {
                SourceState::Up { found }
            };
        }
        let words: Vec<String> = failed.iter().map(ToString::to_string).collect();
        let words = listed(&words.iter().map(String::as_str).collect::<Vec<_>>());
        let what = if up.is_empty() { words } else { format!("{words}; read are {found}") };
        if failed.iter().any(|error| matches!(error, AskError::Denied(_))) {
            let remedy = "set bearer_token_file in probes.engines.target, or token_file in probes.engines.kubernetes";
            return SourceState::Denied { what, remedy: remedy.to_owned() };
        }
        SourceState::Failed { what }
    }
}

/// At most [`NAMED_MAX`] of them, and how many more there are.
fn listed(words: &[&str]) -> String {
    let named = words.iter().take(NAMED_MAX).copied().collect::<Vec<_>>().join("; ");
    match words.len().saturating_sub(NAMED_MAX) {
        0 => named,
        more => format!("{named}; and {more} more"),
    }
}

/// The pause after a failure: it doubles with every one.
fn pause(error: &AskError, is_found: bool, failures: u32, interval: Duration) -> Duration {
    let doubled = interval.saturating_mul(1_u32.checked_shl(failures).unwrap_or(u32::MAX)).min(LONGEST_PAUSE);
    match error {
        AskError::NotThere(_) if is_found => PAUSE_OF_STRANGERS.max(interval),
        // A port that nobody listens at costs nothing to try, and whoever starts there is to be found soon.
        AskError::Failed(_) if is_found => doubled.min(Duration::from_mins(1)).max(interval),
        _ => doubled.max(interval),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_that_fails_is_asked_less_and_never_forgotten() {
        let second = Duration::from_secs(1);
        let failed = AskError::Failed(String::new());
        let pauses: Vec<u64> = (0..12).map(|failures| pause(&failed, false, failures, second).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        assert_eq!(pause(&failed, false, 100, second), LONGEST_PAUSE);
        assert_eq!(pause(&failed, true, 100, second), Duration::from_mins(1));
        assert_eq!(pause(&AskError::NotThere(String::new()), true, 0, second), PAUSE_OF_STRANGERS);
    }

    #[test]
    fn many_engines_are_told_in_one_line_of_bounded_length() {
        assert_eq!(listed(&["a", "b"]), "a; b");
        assert_eq!(listed(&["x"; 30]), format!("{}; and 22 more", ["x"; NAMED_MAX].join("; ")));
    }
}
