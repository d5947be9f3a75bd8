//! Records out of CloudWatch Logs, by `FilterLogEvents`.
//!
//! Events may come late and out of order, so that each look goes back over the time in which they may, and what was seen
//! there is remembered by its id. What lies before that time is final. A look goes on in parts of a quarter of an hour, so
//! that it can be broken off, and each batch of events is a step of the journal.
//!
//! Source: Amazon CloudWatch Logs API reference, `FilterLogEvents`: pages hold up to 1 MB or 10,000 events, may be empty
//! and yet have a token for the next one, and a token lasts 24 hours.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use wattline_aws::{Access, AskError, Client, Service, Settings};
use wattline_core::flow::{Outlet, Task};
use wattline_core::reading::{Progress, SourceHealth, SourceState};
use wattline_core::secret::Secret;
use wattline_core::{Reading, Readings, Receiver, Signal, Telemetry, Text, Tick, Timestamp};

use super::config::{CloudWatchConfig, Config};
use super::{Clock, Rules, Told};
use crate::identity::hash;
use crate::journal::{Fold, Journal};

/// The name in logs, in `doctor`, in `wattline.probe.up` and in `wattline.probe.errors`.
pub const LOG_GROUPS: &str = "bedrock.cloudwatch";

const ACTION: &str = "Logs_20140328.FilterLogEvents";
/// A page has 1 MB of events, which take more when they are quoted in JSON.
const PAGE_BYTES_MAX: usize = 16 << 20;
/// What is asked for at once.
const PART_MS: u64 = 15 * 60_000;
/// Events of one step.
const STEP_EVENTS: usize = 256;
/// Events that are remembered in one group. When there are more, those of the earliest quarter are final before their time.
const SEEN_MAX: usize = 200_000;
/// The first wait before a question is asked again; each further one is twice as long.
const WAIT: Duration = Duration::from_secs(1);
/// The longest wait between two questions that were throttled or failed.
const WAIT_MAX: Duration = Duration::from_mins(1);
/// So many failures in a row are waited out before a look is given up until the next one.
const FAILURES_MAX: u32 = 4;

/// Reads log groups of Bedrock and `AgentCore`.
pub struct LogGroupReceiver {
    reader: Reader,
    interval: Duration,
}

/// What was seen of each group.
#[derive(Debug, Default, PartialEq)]
struct Groups(BTreeMap<String, Group>);

#[derive(Debug, Default, PartialEq)]
struct Group {
    /// What happened before is final. In milliseconds since the Unix epoch, like all times here.
    floor: u64,
    /// What happened since, by time and by a hash of the event's id.
    seen: BTreeSet<(u64, u64)>,
}

/// A step: what is final now, and what was seen beside. Short names, because there are many.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Change {
    #[serde(rename = "g")]
    group: String,
    #[serde(rename = "f")]
    floor: u64,
    #[serde(rename = "s", default, skip_serializing_if = "Vec::is_empty")]
    seen: Vec<(u64, u64)>,
}

impl Fold for Groups {
    type Change = Change;

    fn apply(&mut self, change: Change) {
        let Change { group, floor, seen } = change;
        let group = self.0.entry(group).or_default();
        group.seen.extend(seen);
        group.raise(floor);
    }

    fn changes(&self) -> impl Iterator<Item = Change> {
        self.0.iter().map(|(name, group)| Change {
            group: name.clone(),
            floor: group.floor,
            seen: group.seen.iter().copied().collect(),
        })
    }
}

impl Group {
    fn raise(&mut self, floor: u64) {
        self.floor = self.floor.max(floor);
        if self.seen.len() > SEEN_MAX
            && let Some((at, _)) = self.seen.iter().nth(SEEN_MAX / 4)
        {
            self.floor = self.floor.max(at + 1);
        }
        self.seen = self.seen.split_off(&(self.floor, 0));
    }
}

/// Asks, reads and remembers.
struct Reader {
    client: Client,
    config: CloudWatchConfig,
    rules: Rules,
    telemetry: Telemetry,
    clock: Clock,
    groups: Groups,
    journal: Option<Journal>,
    /// The first wait before a question is asked again.
    wait: Duration,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Question<'a> {
    log_group_name: &'a str,
    start_time: u64,
    /// Inclusive.
    end_time: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<&'a str>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Page {
    events: Vec<Event>,
    next_token: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Event {
    timestamp: u64,
    message: String,
    #[serde(rename = "eventId")]
    id: String,
    #[serde(rename = "logStreamName")]
    stream: String,
}

impl Event {
    /// By what it is known when it comes again.
    fn mark(&self) -> (u64, u64) {
        let Self { timestamp, message, id, stream } = self;
        (*timestamp, if id.is_empty() { hash(&format!("{stream}\n{message}")) } else { hash(id) })
    }
}

/// Why a look ends before its end.
enum Broken {
    /// Nobody listens any more.
    Closed,
    Ask(AskError),
    /// How far it has come cannot be kept.
    Journal(std::io::Error),
}

impl LogGroupReceiver {
    /// A reader of what `config` names. Where it has come to it keeps in `journal`; the steps up to `kept` are on the books.
    /// The error says what is wrong with the configuration.
    pub fn new(
        config: &Config,
        journal: &Path,
        kept: u64,
        telemetry: Telemetry,
        clock: Clock,
        wall: fn() -> Timestamp,
    ) -> Result<Self, String> {
        let access = Access::new(settings(&config.cloudwatch)?, wall);
        Self::with_access(config, access, journal, kept, telemetry, clock, wall)
    }

    fn with_access(
        config: &Config,
        access: Access,
        journal: &Path,
        kept: u64,
        telemetry: Telemetry,
        clock: Clock,
        wall: fn() -> Timestamp,
    ) -> Result<Self, String> {
        let CloudWatchConfig { endpoint, proxy, timeout, interval, .. } = &config.cloudwatch;
        let client = Client::new(access, endpoint.clone(), proxy.as_ref(), *timeout, wall)?;
        let (journal, groups) = match Journal::open(journal.to_owned(), kept) {
            Ok((journal, groups)) => (Some(journal), groups),
            Err(error) => {
                let path = journal.display();
                warn!(%path, %error, "where the reading of logs has come to cannot be kept; the next start begins anew");
                (None, Groups::default())
            }
        };
        let (config, rules) = (config.cloudwatch.clone(), config.rules());
        let interval = *interval;
        Ok(Self { reader: Reader { client, config, rules, telemetry, clock, groups, journal, wait: WAIT }, interval })
    }

    async fn look_for_ever(self, outlet: Outlet) {
        let Self { mut reader, interval } = self;
        let mut told = None;
        loop {
            let state = match reader.look(&outlet).await {
                Ok(state) => state,
                Err(Broken::Closed) => return,
                Err(Broken::Journal(error)) => {
                    SourceState::Failed { what: format!("nothing is read while it cannot be kept how far: {error}") }
                }
                Err(Broken::Ask(error)) => SourceState::Failed { what: error.to_string() },
            };
            if told.as_ref() != Some(&state) {
                if told.as_ref().map(std::mem::discriminant) != Some(std::mem::discriminant(&state)) {
                    tell(&state);
                }
                let items = vec![Reading::Health(SourceHealth { part: LOG_GROUPS, state: state.clone() })];
                let readings = Readings { source: LOG_GROUPS, tick: (reader.clock)(), items };
                if outlet.readings.send(readings).await.is_err() {
                    return;
                }
                told = Some(state);
            }
            tokio::time::sleep(interval).await;
        }
    }
}

/// Whether the words for AWS can be used.
pub(super) fn settings(config: &CloudWatchConfig) -> Result<Settings, String> {
    let region = config.region.as_deref().map(str::parse).transpose();
    let region = region.map_err(|error: wattline_aws::RegionError| error.to_string())?;
    Ok(Settings { region, profile: config.profile.clone(), proxy: config.proxy.clone() })
}

fn tell(state: &SourceState) {
    match state {
        SourceState::Up { found } => info!(%found, "log groups of Bedrock are read"),
        SourceState::Denied { what, remedy } => warn!(%remedy, "log groups of Bedrock: {what}"),
        SourceState::Failed { what } | SourceState::Absent { looked: what } => warn!("log groups of Bedrock: {what}"),
    }
}

impl Receiver for LogGroupReceiver {
    fn name(&self) -> &'static str {
        LOG_GROUPS
    }

    fn run(self: Box<Self>, outlet: Outlet, stop: CancellationToken) -> Task<()> {
        Box::pin(async move {
            // Nothing was accepted from anybody, and a step that was not sent is taken again.
            let _stopped = stop.run_until_cancelled(self.look_for_ever(outlet)).await;
        })
    }
}

impl Reader {
    /// Looks through all groups once. One that is missing or denied does not keep the others from being read.
    async fn look(&mut self, outlet: &Outlet) -> Result<SourceState, Broken> {
        let mut refused: Option<SourceState> = None;
        for group in self.config.log_groups.clone() {
            let denied =
                |what: String, remedy: String| SourceState::Denied { what: format!("{group}: {what}"), remedy };
            let state = match self.look_at(&group, outlet).await {
                Ok(()) => continue,
                Err(Broken::Ask(AskError::Missing { what })) => {
                    denied(what, "create the log group, or correct probes.bedrock.cloudwatch".to_owned())
                }
                Err(Broken::Ask(AskError::Denied { what })) => {
                    denied(what, format!("allow the agent logs:FilterLogEvents on {group}"))
                }
                Err(Broken::Ask(error)) => SourceState::Failed { what: format!("{group}: {error}") },
                Err(other) => return Err(other),
            };
            self.telemetry.probe_error(LOG_GROUPS);
            refused.get_or_insert(state);
        }
        let found = || SourceState::Up { found: self.config.log_groups.join(", ") };
        Ok(refused.unwrap_or_else(found))
    }

    /// Looks through one group up to now.
    async fn look_at(&mut self, group: &str, outlet: &Outlet) -> Result<(), Broken> {
        let now = milliseconds((self.clock)().wall);
        let span = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        if !self.groups.0.contains_key(group) {
            let first = now.saturating_sub(span(self.config.lookback));
            self.step(group, first, Vec::new(), Told::default(), outlet).await?;
        }
        let mut from = self.groups.0.get(group).map_or(now, |group| group.floor);
        let open_since = now.saturating_sub(span(self.config.late));
        while from <= now {
            let until = from.saturating_add(PART_MS - 1).min(now);
            self.look_at_part(group, (from, until), outlet).await?;
            from = until + 1;
            self.step(group, from.min(open_since), Vec::new(), Told::default(), outlet).await?;
        }
        Ok(())
    }

    async fn look_at_part(&mut self, group: &str, (from, until): (u64, u64), outlet: &Outlet) -> Result<(), Broken> {
        let mut token: Option<String> = None;
        loop {
            let question =
                Question { log_group_name: group, start_time: from, end_time: until, next_token: token.as_deref() };
            let page = self.ask(&question).await.map_err(Broken::Ask)?;
            let floor = self.groups.0.get(group).map_or(0, |group| group.floor);
            for events in page.events.chunks(STEP_EVENTS) {
                let (mut told, mut seen) = (Told::default(), Vec::new());
                let known = self.groups.0.get(group).map(|group| &group.seen);
                let wall = (self.clock)().wall;
                let mut new = BTreeSet::new();
                for event in events {
                    let mark = event.mark();
                    if mark.0 >= floor && known.is_none_or(|known| !known.contains(&mark)) && new.insert(mark) {
                        told.read_line(event.message.as_bytes(), &self.rules, wall);
                        seen.push(mark);
                    }
                }
                if !seen.is_empty() {
                    self.step(group, floor, seen, told, outlet).await?;
                }
            }
            match page.next_token {
                // The same token again would go in a circle.
                Some(next) if token.as_ref() != Some(&next) => token = Some(next),
                _ => return Ok(()),
            }
        }
    }

    /// Asks, and waits out what passes by itself.
    async fn ask(&self, question: &Question<'_>) -> Result<Page, AskError> {
        let (mut wait, mut failures) = (self.wait, 0);
        loop {
            let error = match self.client.ask(Service::Logs, ACTION, question, PAGE_BYTES_MAX).await {
                Ok(page) => return Ok(page),
                Err(error) => error,
            };
            let after = match &error {
                AskError::Throttled { after, .. } => *after,
                AskError::Failed { .. } if failures < FAILURES_MAX => None,
                AskError::Failed { .. }
                | AskError::Denied { .. }
                | AskError::Missing { .. }
                | AskError::Rejected { .. } => {
                    return Err(error);
                }
            };
            failures += u32::from(matches!(error, AskError::Failed { .. }));
            debug!(%error, ?wait, "asking CloudWatch Logs again");
            tokio::time::sleep(wait.max(after.unwrap_or_default()).min(WAIT_MAX)).await;
            wait = wait.saturating_mul(2).min(WAIT_MAX);
        }
    }

    /// Writes a step down and sends what was read in it.
    async fn step(
        &mut self,
        group: &str,
        floor: u64,
        seen: Vec<(u64, u64)>,
        told: Told,
        outlet: &Outlet,
    ) -> Result<(), Broken> {
        let tick: Tick = (self.clock)();
        let change = Change { group: group.to_owned(), floor, seen };
        if change.seen.is_empty() && self.groups.0.get(group).is_some_and(|group| group.floor >= floor) {
            return Ok(());
        }
        let journal = self.journal.as_mut();
        let number = journal.map(|journal| journal.append::<Groups>(&change, tick.at)).transpose();
        let number = number.map_err(Broken::Journal)?;
        self.telemetry.received(told.len() as u64, Signal::Logs);
        told.count_left_out(&self.telemetry);
        let progress = number.map(|step| Reading::Progress(Progress { source: Text::Static(LOG_GROUPS), step }));
        let items = told.into_readings().chain(progress).collect();
        let readings = Readings { source: LOG_GROUPS, tick, items };
        outlet.readings.send(readings).await.map_err(|_closed| Broken::Closed)?;
        self.groups.apply(change);
        Ok(())
    }
}

/// A time as AWS counts it.
const fn milliseconds(at: Timestamp) -> u64 {
    at.unix_nanos() / 1_000_000
}

/// Asks each group once for an event of the last minute, for a person who wants to know whether it can be read.
pub async fn once(config: &Config, wall: fn() -> Timestamp) -> Vec<(String, Result<(), String>)> {
    let client = settings(&config.cloudwatch).and_then(|settings| {
        let CloudWatchConfig { endpoint, proxy, timeout, .. } = &config.cloudwatch;
        let proxy: Option<&Secret> = proxy.as_ref();
        Client::new(Access::new(settings, wall), endpoint.clone(), proxy, *timeout, wall)
    });
    let mut answers = Vec::new();
    for group in &config.cloudwatch.log_groups {
        let now = milliseconds(wall());
        let question =
            Question { log_group_name: group, start_time: now.saturating_sub(60_000), end_time: now, next_token: None };
        let answer = match &client {
            Ok(client) => match client.ask::<Page>(Service::Logs, ACTION, &question, PAGE_BYTES_MAX).await {
                Ok(_page) => Ok(()),
                Err(error) => Err(error.to_string()),
            },
            Err(error) => Err(error.clone()),
        };
        answers.push((group.clone(), answer));
    }
    answers
}

#[cfg(test)]
mod tests;
