//! What an account's own metrics count, by `GetMetricData`: calls and tokens of each model, whoever called it.
//!
//! A span of time is asked for once, when it is over for so long that other sources have told of its calls. How far the
//! reading has come is on the books, which say what of it nobody else told of.
//!
//! Source: Amazon Bedrock user guide, "Monitor bedrock-runtime inference using CloudWatch metrics"; Amazon CloudWatch API
//! reference, `ListMetrics` and `GetMetricData`: 500 metrics a question, pages that may be empty.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use wattline_aws::{Access, AskError, Client, Service, Settings};
use wattline_core::flow::{Outlet, Task};
use wattline_core::reading::{AccountModel, AccountUsage, SourceHealth, SourceState, TokenUsage};
use wattline_core::{Reading, Readings, Receiver, Telemetry, Timestamp, Usd};

use super::config::MetricsConfig;
use super::{Clock, Rules};

/// The name in logs, in `doctor`, in `wattline.probe.up` and in `wattline.probe.errors`.
pub const ACCOUNT: &str = "bedrock.metrics";

const LIST: &str = "GraniteServiceVersion20100801.ListMetrics";
const GET: &str = "GraniteServiceVersion20100801.GetMetricData";
const NAMESPACE: &str = "AWS/Bedrock";
/// Length of a span, in seconds. Spans begin at whole multiples of it.
const PERIOD: u64 = 300;
const PERIOD_STEP: usize = 300;
/// A page has 500 metrics, or values of 500.
const PAGE_BYTES_MAX: usize = 16 << 20;
/// Metrics of one question.
const QUERIES_MAX: usize = 500;
/// Pages of one answer: more models than these no account has.
const PAGES_MAX: usize = 100;
/// How far back is read what nobody read while the agent was away.
const CATCH_UP: Duration = Duration::from_hours(24);
/// Metrics without values for longer are not listed, and need not be, unless there is more to catch up.
const RECENTLY: Duration = Duration::from_hours(3);
/// What AWS asks for a thousand metrics of `GetMetricData`, in USD. `ListMetrics` is free for the first million questions
/// a month. Source: Amazon CloudWatch pricing, "API requests", us-east-1, 2026.
const USD_PER_THOUSAND: f64 = 0.01;

/// The metrics that are read. Documents and clients disagree about the names of those of caches.
const NAMES: &[(&str, Count)] = &[
    ("Invocations", Count::Calls),
    ("InputTokenCount", Count::Input),
    ("OutputTokenCount", Count::Output),
    ("CacheReadInputTokenCount", Count::CacheRead),
    ("CacheReadInputTokens", Count::CacheRead),
    ("CacheWriteInputTokenCount", Count::CacheWrite),
    ("CacheWriteInputTokens", Count::CacheWrite),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Count {
    Calls,
    Input,
    Output,
    CacheRead,
    CacheWrite,
}

/// Reads the metrics of one account in one region.
pub struct AccountReceiver {
    client: Client,
    config: MetricsConfig,
    rules: Rules,
    telemetry: Telemetry,
    clock: Clock,
    /// The end of what is on the books.
    told_until: Timestamp,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ListQuestion<'a> {
    namespace: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    recently_active: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Listed {
    metrics: Vec<Metric>,
    next_token: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Metric {
    namespace: String,
    #[serde(rename = "MetricName")]
    name: String,
    dimensions: Vec<Dimension>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Dimension {
    name: String,
    value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DataQuestion<'a> {
    metric_data_queries: Vec<Query<'a>>,
    start_time: u64,
    end_time: u64,
    scan_by: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Query<'a> {
    id: String,
    metric_stat: MetricStat<'a>,
}

#[derive(Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct MetricStat<'a> {
    metric: &'a Metric,
    period: u64,
    stat: &'static str,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Data {
    metric_data_results: Vec<DataResult>,
    next_token: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct DataResult {
    id: String,
    timestamps: Vec<f64>,
    values: Vec<f64>,
    status_code: String,
}

/// A metric of a model that is read.
#[derive(Debug, PartialEq)]
struct Followed {
    model: String,
    count: Count,
    metric: Metric,
}

/// Why a look ends before its end.
enum Broken {
    /// Nobody listens any more.
    Closed,
    Ask(AskError),
}

impl From<AskError> for Broken {
    fn from(error: AskError) -> Self {
        Self::Ask(error)
    }
}

impl AccountReceiver {
    /// A reader as `config` has it, of what ended after `told_until`, which is zero where nothing was read yet. The error
    /// says what is wrong with the configuration.
    pub fn new(
        config: &super::Config,
        told_until: Timestamp,
        telemetry: Telemetry,
        clock: Clock,
        wall: fn() -> Timestamp,
    ) -> Result<Self, String> {
        let access = Access::new(settings(&config.metrics)?, wall);
        Self::with_access(config, access, told_until, telemetry, clock, wall)
    }

    fn with_access(
        config: &super::Config,
        access: Access,
        told_until: Timestamp,
        telemetry: Telemetry,
        clock: Clock,
        wall: fn() -> Timestamp,
    ) -> Result<Self, String> {
        let MetricsConfig { endpoint, proxy, timeout, .. } = &config.metrics;
        let client = Client::new(access, endpoint.clone(), proxy.as_ref(), *timeout, wall)?;
        Ok(Self { client, config: config.metrics.clone(), rules: config.rules(), telemetry, clock, told_until })
    }

    async fn look_for_ever(mut self, outlet: Outlet) {
        let mut told = None;
        loop {
            // What other sources caught up with at the start is on the books by then.
            tokio::time::sleep(self.config.interval).await;
            let state = match self.look(&outlet).await {
                Ok(Some(metrics)) => SourceState::Up { found: costs(metrics, self.config.interval) },
                Ok(None) => continue,
                Err(Broken::Closed) => return,
                Err(Broken::Ask(error)) => {
                    self.telemetry.probe_error(ACCOUNT);
                    state_of(error)
                }
            };
            if told.as_ref() != Some(&state) {
                tell(&state);
                let items = vec![Reading::Health(SourceHealth { part: ACCOUNT, state: state.clone() })];
                if outlet.readings.send(Readings { source: ACCOUNT, tick: (self.clock)(), items }).await.is_err() {
                    return;
                }
                told = Some(state);
            }
        }
    }

    /// Reads the spans that are over for long enough, and gives how many metrics were asked for; `None` where there was
    /// nothing to read.
    async fn look(&mut self, outlet: &Outlet) -> Result<Option<usize>, Broken> {
        let now = (self.clock)().wall.unix_seconds();
        let whole = |seconds: u64| seconds - seconds % PERIOD;
        let until = whole(now.saturating_sub(self.config.late.as_secs()));
        if self.told_until == Timestamp::default() {
            // What was before anybody looked is nobody's business.
            self.told_until = seconds(until);
        }
        let from = self.told_until.unix_seconds().max(whole(now.saturating_sub(CATCH_UP.as_secs())));
        if from >= until {
            return Ok(None);
        }
        let followed = self.list(now.saturating_sub(from) < RECENTLY.as_secs()).await?;
        let mut spans: BTreeMap<u64, BTreeMap<String, AccountModel>> = BTreeMap::new();
        for part in followed.chunks(QUERIES_MAX) {
            self.read(part, (from, until), &mut spans).await?;
        }
        for start in (from..until).step_by(PERIOD_STEP) {
            let models = spans.remove(&start).unwrap_or_default().into_values().collect();
            let (from, until) = (seconds(start), seconds(start + PERIOD));
            let items = vec![Reading::Account(Box::new(AccountUsage { from, until, models }))];
            let readings = Readings { source: ACCOUNT, tick: (self.clock)(), items };
            outlet.readings.send(readings).await.map_err(|_closed| Broken::Closed)?;
            self.told_until = until;
        }
        Ok(Some(followed.len()))
    }

    /// The metrics of models that there are.
    async fn list(&self, recently: bool) -> Result<Vec<Followed>, AskError> {
        let mut found: Vec<Followed> = Vec::new();
        let mut next_token = None;
        for _ in 0..PAGES_MAX {
            let recently_active = recently.then_some("PT3H");
            let question = ListQuestion { namespace: NAMESPACE, recently_active, next_token };
            let page: Listed = self.client.ask(Service::Monitoring, LIST, &question, PAGE_BYTES_MAX).await?;
            found.extend(page.metrics.into_iter().filter_map(|metric| self.followed(metric)));
            next_token = page.next_token.filter(|token| !token.is_empty());
            if next_token.is_none() {
                break;
            }
        }
        Ok(found)
    }

    /// A metric, if it is of a model as a whole: others repeat it by a part of what was made.
    fn followed(&self, metric: Metric) -> Option<Followed> {
        let (_, count) = NAMES.iter().find(|(name, _)| *name == metric.name)?;
        let [Dimension { name, value }] = metric.dimensions.as_slice() else { return None };
        let model = (name == "ModelId").then(|| super::name::model(value)).flatten()?;
        let model = self.rules.models.get(&model).cloned().unwrap_or(model);
        Some(Followed { model, count: *count, metric })
    }

    /// Adds up what the metrics have, by the beginnings of spans.
    async fn read(
        &self,
        followed: &[Followed],
        (from, until): (u64, u64),
        spans: &mut BTreeMap<u64, BTreeMap<String, AccountModel>>,
    ) -> Result<(), AskError> {
        let id = |number: usize| format!("m{number}");
        let by_id: BTreeMap<String, &Followed> =
            followed.iter().enumerate().map(|(number, followed)| (id(number), followed)).collect();
        let mut next_token = None;
        for _ in 0..PAGES_MAX {
            let queries = by_id.iter().map(|(id, followed)| Query {
                id: id.clone(),
                metric_stat: MetricStat { metric: &followed.metric, period: PERIOD, stat: "Sum" },
            });
            let question = DataQuestion {
                metric_data_queries: queries.collect(),
                start_time: from,
                end_time: until,
                scan_by: "TimestampAscending",
                next_token,
            };
            let page: Data = self.client.ask(Service::Monitoring, GET, &question, PAGE_BYTES_MAX).await?;
            for result in &page.metric_data_results {
                if matches!(result.status_code.as_str(), "InternalError" | "Forbidden") {
                    let what = format!("{GET}: {} for a metric", result.status_code);
                    return Err(AskError::Failed { what });
                }
                let Some(of) = by_id.get(&result.id) else { continue };
                for (at, value) in result.timestamps.iter().zip(&result.values) {
                    if let (Some(at), Some(value)) = (whole_number(*at), whole_number(*value))
                        && (from..until).contains(&at)
                    {
                        let start = at - at % PERIOD;
                        of.add(value, spans.entry(start).or_default());
                    }
                }
            }
            next_token = page.next_token.filter(|token| !token.is_empty());
            if next_token.is_none() {
                return Ok(());
            }
        }
        Err(AskError::Failed { what: format!("{GET}: the answer has no end") })
    }
}

impl Followed {
    fn add(&self, value: u64, models: &mut BTreeMap<String, AccountModel>) {
        let model = models.entry(self.model.clone()).or_insert_with(|| AccountModel {
            name: self.model.clone().into(),
            calls: 0,
            usage: TokenUsage::default(),
        });
        let AccountModel { name: _, calls, usage } = model;
        // As in the log, what was read from and written to caches stands beside the input.
        let counts: &mut [&mut u64] = match self.count {
            Count::Calls => &mut [calls],
            Count::Input => &mut [&mut usage.input],
            Count::Output => &mut [&mut usage.output],
            Count::CacheRead => &mut [&mut usage.cache_read, &mut usage.input],
            Count::CacheWrite => &mut [&mut usage.cache_write, &mut usage.input],
        };
        for count in counts {
            **count = count.saturating_add(value);
        }
    }
}

impl Receiver for AccountReceiver {
    fn name(&self) -> &'static str {
        ACCOUNT
    }

    fn run(self: Box<Self>, outlet: Outlet, stop: CancellationToken) -> Task<()> {
        Box::pin(async move {
            // A span that was not sent is asked for again at the next start.
            let _stopped = stop.run_until_cancelled(self.look_for_ever(outlet)).await;
        })
    }
}

/// Whether the words for AWS can be used.
pub(super) fn settings(config: &MetricsConfig) -> Result<Settings, String> {
    let region = config.region.as_deref().map(str::parse).transpose();
    let region = region.map_err(|error: wattline_aws::RegionError| error.to_string())?;
    Ok(Settings { region, profile: config.profile.clone(), proxy: config.proxy.clone() })
}

/// Asks once which metrics there are, for a person who wants to know whether they can be read and what that costs.
pub async fn account_once(config: &super::Config, clock: Clock, wall: fn() -> Timestamp) -> SourceState {
    match AccountReceiver::new(config, Timestamp::default(), Telemetry::none(), clock, wall) {
        Err(what) => SourceState::Failed { what },
        Ok(receiver) => match receiver.list(true).await {
            Ok(followed) => SourceState::Up { found: costs(followed.len(), config.metrics.interval) },
            Err(error) => state_of(error),
        },
    }
}

fn state_of(error: AskError) -> SourceState {
    match error {
        AskError::Denied { what } => SourceState::Denied {
            what,
            remedy: "allow the agent cloudwatch:ListMetrics and cloudwatch:GetMetricData".to_owned(),
        },
        other => SourceState::Failed { what: other.to_string() },
    }
}

/// How many metrics are asked for, and what AWS bills for that in a month of thirty days.
fn costs(metrics: usize, interval: Duration) -> String {
    let looks = 30.0 * 86_400.0 / interval.as_secs_f64();
    let usd = Usd::new(metrics as f64 * looks / 1000.0 * USD_PER_THOUSAND);
    let interval = humantime::format_duration(interval);
    format!("{metrics} metrics of models, every {interval}: about {:.2} USD a month for GetMetricData", usd.get())
}

fn tell(state: &SourceState) {
    match state {
        SourceState::Up { found } => info!(%found, "the metrics of Bedrock are read"),
        SourceState::Denied { what, remedy } => warn!(%remedy, "metrics of Bedrock: {what}"),
        SourceState::Failed { what } | SourceState::Absent { looked: what } => warn!("metrics of Bedrock: {what}"),
    }
}

const fn seconds(since_epoch: u64) -> Timestamp {
    Timestamp::from_unix_nanos(since_epoch.saturating_mul(1_000_000_000))
}

/// A count that can be one.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a finite number in range")]
fn whole_number(value: f64) -> Option<u64> {
    (0.0..=1e15).contains(&value).then_some(value.round() as u64)
}

#[cfg(test)]
mod tests;
