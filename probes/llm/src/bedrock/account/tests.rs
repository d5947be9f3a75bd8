//! Against a server in this process that answers as the API reference says, and checks what it is asked.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use wattline_aws::Grant;
use wattline_core::secret::Secret;
use wattline_core::{Tick, queue};

use super::*;
use crate::bedrock::stand_in;

/// 12 minutes and 20 seconds past a full hour.
const NOW: u64 = 1_762_801_200 + 740;
const HOUR: u64 = 1_762_801_200;
const SONNET: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";

/// What CloudWatch has: values by model, metric and time.
#[derive(Default)]
struct CloudWatch {
    values: Vec<(&'static str, &'static str, u64, f64)>,
    /// Answers in place of the next ones.
    next: Vec<(u16, Value)>,
    questions: Vec<(String, Value)>,
    /// Metrics and results of one page.
    page: usize,
}

impl CloudWatch {
    fn answer(&mut self, head: &str, body: &[u8]) -> (u16, String) {
        let authorization = stand_in::header(head, "authorization");
        assert!(authorization.contains("/eu-west-1/monitoring/aws4_request"), "{authorization}");
        assert_eq!(stand_in::header(head, "content-type"), "application/x-amz-json-1.0");
        let action = stand_in::header(head, "x-amz-target");
        let question: Value = serde_json::from_slice(body).unwrap();
        self.questions.push((action.clone(), question.clone()));
        if let Some((status, answer)) = self.next.pop() {
            return (status, answer.to_string());
        }
        let offset: usize = question["NextToken"].as_str().map_or(0, |token| token.parse().unwrap());
        let (name, all) = match action.as_str() {
            LIST => ("Metrics", self.metrics()),
            GET => ("MetricDataResults", self.data(&question)),
            other => panic!("{other}"),
        };
        let next = (offset + self.page < all.len()).then(|| (offset + self.page).to_string());
        let page: Vec<Value> = all.into_iter().skip(offset).take(self.page).collect();
        (200, json!({name: page, "NextToken": next}).to_string())
    }

    fn metrics(&self) -> Vec<Value> {
        let metric = |model: &str, name: &str, more: &[Value]| {
            let model = json!({"Name": "ModelId", "Value": model});
            let dimensions: Vec<Value> = std::iter::once(model).chain(more.iter().cloned()).collect();
            json!({"Namespace": NAMESPACE, "MetricName": name, "Dimensions": dimensions})
        };
        let mut names: Vec<_> = self.values.iter().map(|(model, name, _, _)| (*model, *name)).collect();
        names.sort_unstable();
        names.dedup();
        let mut all: Vec<Value> = names.iter().map(|(model, name)| metric(model, name, &[])).collect();
        // Others that repeat what is told, or tell of something else.
        all.push(metric(SONNET, "InvocationLatency", &[]));
        all.push(metric(SONNET, "Invocations", &[json!({"Name": "ImageSize", "Value": "1024"})]));
        all.push(
            json!({"Namespace": NAMESPACE, "MetricName": "ModelInvocationLogsS3DeliverySuccess", "Dimensions": []}),
        );
        all
    }

    fn data(&self, question: &Value) -> Vec<Value> {
        let queries = question["MetricDataQueries"].as_array().unwrap();
        assert!(!queries.is_empty() && queries.len() <= 500, "{}", queries.len());
        let (from, until) = (question["StartTime"].as_u64().unwrap(), question["EndTime"].as_u64().unwrap());
        let result = |query: &Value| {
            let stat = &query["MetricStat"];
            assert_eq!((&stat["Stat"], &stat["Period"]), (&json!("Sum"), &json!(300)));
            let metric = &stat["Metric"];
            let mut sums: BTreeMap<u64, f64> = BTreeMap::new();
            for (model, name, at, value) in &self.values {
                let is_it = metric["MetricName"] == *name && metric["Dimensions"][0]["Value"] == *model;
                if is_it && (from..until).contains(at) {
                    *sums.entry(at - at % 300).or_default() += value;
                }
            }
            json!({"Id": query["Id"], "Label": "x", "Timestamps": sums.keys().collect::<Vec<_>>(),
                "Values": sums.values().collect::<Vec<_>>(), "StatusCode": "Complete"})
        };
        queries.iter().map(result).collect()
    }
}

struct Bench {
    cloudwatch: Arc<Mutex<CloudWatch>>,
    receiver: AccountReceiver,
    outlet: Outlet,
    inbox: queue::Receiver<Readings>,
}

impl Bench {
    async fn new(told_until: u64, cloudwatch: CloudWatch) -> Self {
        let cloudwatch = Arc::new(Mutex::new(CloudWatch { page: cloudwatch.page.max(1), ..cloudwatch }));
        let mut config = super::super::Config::default();
        let served = Arc::clone(&cloudwatch);
        config.metrics.endpoint =
            Some(stand_in::serve(move |head, body| served.lock().unwrap().answer(head, body)).await);
        config.models = [("application-inference-profile/abc".to_owned(), SONNET.to_owned())].into();
        let wall = || seconds(NOW);
        let access = Access::fixed(Grant::fixed("AKID1", &Secret::new("s"), None, "eu-west-1".parse().unwrap()), wall);
        let clock: Clock = Arc::new(|| Tick { wall: seconds(NOW), ..Tick::default() });
        let receiver =
            AccountReceiver::with_access(&config, access, seconds(told_until), Telemetry::none(), clock, wall).unwrap();
        let (readings, inbox) = queue::bounded(1000);
        Self { cloudwatch, receiver, outlet: Outlet { readings, relay: None }, inbox }
    }

    /// One look, with what it told.
    async fn look(&mut self) -> (Result<Option<usize>, AskError>, Vec<AccountUsage>) {
        let looked = match self.receiver.look(&self.outlet).await {
            Ok(found) => Ok(found),
            Err(Broken::Ask(error)) => Err(error),
            Err(Broken::Closed) => panic!("the inbox is open"),
        };
        let told =
            std::iter::from_fn(|| self.inbox.try_next()).flat_map(|readings| readings.items).map(|item| match item {
                Reading::Account(told) => *told,
                other => panic!("{other:?}"),
            });
        (looked, told.collect())
    }
}

fn of_sonnet(at: u64) -> Vec<(&'static str, &'static str, u64, f64)> {
    let counts = [("Invocations", 2.0), ("InputTokenCount", 30.0), ("OutputTokenCount", 7.0)];
    let cached = [("CacheReadInputTokenCount", 100.0), ("CacheWriteInputTokens", 50.0)];
    counts.into_iter().chain(cached).map(|(name, value)| (SONNET, name, at, value)).collect()
}

#[tokio::test]
async fn every_span_that_is_over_is_told_once_with_all_tokens_of_its_models() {
    let mut values = of_sonnet(HOUR - 310);
    values.push((
        "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/abc",
        "Invocations",
        HOUR - 601,
        4.0,
    ));
    // Not over for a quarter of an hour.
    values.extend(of_sonnet(HOUR - 290));
    let mut bench = Bench::new(HOUR - 900, CloudWatch { values, page: 2, ..CloudWatch::default() }).await;
    let (looked, told) = bench.look().await;
    assert_eq!(looked, Ok(Some(6)));
    let spans: Vec<_> = told.iter().map(|span| (span.from, span.until)).collect();
    assert_eq!(spans, [(seconds(HOUR - 900), seconds(HOUR - 600)), (seconds(HOUR - 600), seconds(HOUR - 300))]);
    let all = |usage| AccountModel { name: SONNET.into(), calls: 2, usage };
    let usage = TokenUsage { input: 180, output: 7, cache_read: 100, cache_write: 50, ..TokenUsage::default() };
    assert_eq!(told[1].models, [all(usage)]);
    assert_eq!(told[0].models, [AccountModel { calls: 4, ..all(TokenUsage::default()) }], "by the name it stands for");
    assert_eq!(bench.look().await, (Ok(None), vec![]), "nothing new is over");
}

#[tokio::test]
async fn nothing_is_told_of_the_time_before_the_first_look_and_little_of_a_long_absence() {
    let mut bench = Bench::new(0, CloudWatch { values: of_sonnet(HOUR - 2000), ..CloudWatch::default() }).await;
    assert_eq!(bench.look().await, (Ok(None), vec![]));
    let mut bench = Bench::new(HOUR - 14 * 86_400, CloudWatch::default()).await;
    let (_, told) = bench.look().await;
    assert_eq!(told.first().map(|span| span.from), Some(seconds(HOUR + 600 - 86_400)));
    assert_eq!(told.len(), 24 * 12 - 3);
    let questions = &bench.cloudwatch.lock().unwrap().questions;
    assert_eq!(questions[0].1.get("RecentlyActive"), None, "models at rest for hours count, too");
}

#[tokio::test]
async fn what_could_not_be_read_is_read_at_the_next_look() {
    let failed = (200, json!({"MetricDataResults": [{"Id": "m0", "StatusCode": "InternalError"}]}));
    for (status, answer, is_denied) in [
        (503, json!({}), false),
        (400, json!({"__type": "com.amazonaws.cloudwatch#AccessDeniedException", "message": "no"}), true),
        (failed.0, failed.1, false),
    ] {
        let cloudwatch = CloudWatch { values: of_sonnet(HOUR - 310), page: 500, ..CloudWatch::default() };
        let mut bench = Bench::new(HOUR - 600, cloudwatch).await;
        let first = bench.receiver.list(true).await.unwrap();
        assert_eq!(first.len(), 5);
        // The last question of a look fails.
        let list = bench.cloudwatch.lock().unwrap().metrics();
        bench.cloudwatch.lock().unwrap().next = vec![(status, answer), (200, json!({"Metrics": list}))];
        let (looked, told) = bench.look().await;
        assert!(told.is_empty(), "{told:?}");
        assert_eq!(matches!(state_of(looked.unwrap_err()), SourceState::Denied { .. }), is_denied);
        let (_, told) = bench.look().await;
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].models[0].calls, 2);
    }
}

#[test]
fn what_the_looks_cost_is_reckoned_for_a_month() {
    let words = costs(10, Duration::from_mins(5));
    assert_eq!(words, "10 metrics of models, every 5m: about 0.86 USD a month for GetMetricData");
}
