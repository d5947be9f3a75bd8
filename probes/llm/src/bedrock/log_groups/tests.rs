//! Against a server in this process that answers as the API reference says, and checks what it is asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use wattline_aws::Grant;
use wattline_core::queue;

use super::*;
use crate::bedrock::stand_in;

const NOW_MS: u64 = 1_762_800_000_000;

fn wall() -> Timestamp {
    Timestamp::from_unix_nanos(NOW_MS * 1_000_000)
}

/// The events of the groups, and what is answered before anything is looked at.
#[derive(Default)]
struct Logs {
    groups: BTreeMap<String, Vec<(u64, u64)>>,
    next: VecDeque<(u16, &'static str)>,
    /// Access keys that are refused.
    expired: BTreeSet<String>,
    questions: Vec<Value>,
    /// Events of one page.
    page: usize,
}

fn message(number: u64) -> String {
    json!({"requestId": number.to_string(), "modelId": "m", "input": {"inputTokenCount": number}, "output": {}})
        .to_string()
}

impl Logs {
    fn answer(&mut self, head: &str, body: &[u8]) -> (u16, String) {
        let header = |name| stand_in::header(head, name);
        let error = |kind: &str| (400, json!({"__type": kind, "message": "no"}).to_string());
        let authorization = header("authorization");
        if !authorization.starts_with("AWS4-HMAC-SHA256 Credential=")
            || !authorization.contains("/eu-west-1/logs/aws4_request")
            || !authorization.contains("content-type;host;x-amz-date;x-amz-target")
        {
            return error("IncompleteSignatureException");
        }
        assert_eq!(header("x-amz-target"), ACTION);
        assert_eq!(header("content-type"), "application/x-amz-json-1.1");
        if self.expired.iter().any(|key| authorization.contains(key)) {
            return error("ExpiredTokenException");
        }
        if let Some((status, kind)) = self.next.pop_front() {
            return (status, json!({"__type": kind}).to_string());
        }
        let question: Value = serde_json::from_slice(body).unwrap();
        self.questions.push(question.clone());
        let Some(events) = self.groups.get(question["logGroupName"].as_str().unwrap()) else {
            return error("ResourceNotFoundException");
        };
        let (from, until) = (question["startTime"].as_u64().unwrap(), question["endTime"].as_u64().unwrap());
        let offset: usize = question["nextToken"].as_str().map_or(0, |token| token.parse().unwrap());
        let found: Vec<_> = events.iter().filter(|(at, _)| (from..=until).contains(at)).collect();
        let page: Vec<Value> = found
            .iter()
            .skip(offset)
            .take(self.page)
            .map(|(at, number)| {
                json!({"timestamp": at, "message": message(*number), "eventId": number.to_string(),
                "logStreamName": "s", "ingestionTime": at})
            })
            .collect();
        let next = (offset < found.len()).then(|| (offset + self.page).to_string());
        (200, json!({"events": page, "nextToken": next, "searchedLogStreams": []}).to_string())
    }
}

/// A server of `logs`, and its address.
async fn serve(logs: Arc<Mutex<Logs>>) -> String {
    stand_in::serve(move |head, body| logs.lock().unwrap().answer(head, body)).await
}

/// One agent over its lives, and its books.
struct Bench {
    folder: tempfile::TempDir,
    logs: Arc<Mutex<Logs>>,
    config: Config,
    numbers: Vec<u64>,
    step: u64,
}

impl Bench {
    async fn new(events: impl IntoIterator<Item = (u64, u64)>) -> Self {
        let logs = Logs { groups: [("g".to_owned(), events.into_iter().collect())].into(), page: 3, ..Logs::default() };
        let logs = Arc::new(Mutex::new(logs));
        let mut config = Config::default();
        config.cloudwatch.log_groups = vec!["g".to_owned()];
        config.cloudwatch.endpoint = Some(serve(Arc::clone(&logs)).await);
        Self { folder: tempfile::tempdir().unwrap(), logs, config, numbers: Vec::new(), step: 0 }
    }

    fn reader(&self) -> Reader {
        let grant = Grant::fixed("AKID1", &Secret::new("s"), None, "eu-west-1".parse().unwrap());
        let journal = self.folder.path().join("journal");
        let clock: Clock = Arc::new(|| Tick { wall: wall(), ..Tick::default() });
        let access = Access::fixed(grant, wall);
        let receiver =
            LogGroupReceiver::with_access(&self.config, access, &journal, self.step, Telemetry::none(), clock, wall);
        Reader { wait: Duration::from_millis(1), ..receiver.unwrap().reader }
    }

    /// One life: it looks once, and the books take the first `taken` readings.
    async fn live(&mut self, taken: usize) -> SourceState {
        let mut reader = self.reader();
        let (readings, mut inbox) = queue::bounded(10_000);
        let state = reader.look(&Outlet { readings, relay: None }).await;
        for item in std::iter::from_fn(|| inbox.try_next()).take(taken).flat_map(|readings| readings.items) {
            match item {
                Reading::Inference(call) => self.numbers.push(call.usage.input),
                Reading::Progress(progress) => self.step = progress.step,
                other => panic!("{other:?}"),
            }
        }
        match state {
            Ok(state) => state,
            Err(Broken::Ask(error)) => panic!("{error}"),
            Err(Broken::Closed | Broken::Journal(_)) => panic!("nothing else breaks"),
        }
    }
}

fn minutes_ago(minutes: u64) -> u64 {
    NOW_MS - minutes * 60_000
}

#[tokio::test]
async fn all_pages_of_the_last_hour_are_read_once() {
    let events = (1..=10).map(|number| (minutes_ago(number * 5), number));
    let mut bench = Bench::new(events.chain([(minutes_ago(90), 99)])).await;
    assert_eq!(bench.live(1000).await, SourceState::Up { found: "g".to_owned() });
    bench.numbers.sort_unstable();
    assert_eq!(bench.numbers, (1..=10).collect::<Vec<_>>(), "the first look goes back one hour");
    bench.live(1000).await;
    assert_eq!(bench.numbers.len(), 10, "no event comes twice, over a restart either");
}

#[tokio::test]
async fn late_events_are_found() {
    let mut bench = Bench::new([(minutes_ago(30), 1)]).await;
    bench.live(1000).await;
    bench.logs.lock().unwrap().groups.get_mut("g").unwrap().extend([(minutes_ago(59), 2), (minutes_ago(1), 3)]);
    bench.live(1000).await;
    assert_eq!(bench.numbers, [1, 2, 3]);
}

#[tokio::test]
async fn an_agent_that_is_killed_books_each_event_once() {
    let events = (0..100).map(|number| (minutes_ago(59) + number * 30_000, number));
    let mut bench = Bench::new(events).await;
    for life in 0..30 {
        bench.live(life % 5).await;
    }
    bench.live(1000).await;
    bench.numbers.sort_unstable();
    assert_eq!(bench.numbers, (0..100).collect::<Vec<_>>());
}

#[tokio::test]
async fn throttling_and_failures_are_waited_out() {
    let mut bench = Bench::new([(minutes_ago(1), 1)]).await;
    bench.logs.lock().unwrap().next.extend([(400, "ThrottlingException"), (503, "ServiceUnavailable"), (429, "")]);
    assert!(matches!(bench.live(1000).await, SourceState::Up { .. }));
    assert_eq!(bench.numbers, [1]);
    bench.logs.lock().unwrap().next.extend([(400, "ThrottlingException"); 8]);
    assert!(matches!(bench.live(1000).await, SourceState::Up { .. }), "however often");
    bench.logs.lock().unwrap().next.extend([(500, ""); 5]);
    let state = bench.live(1000).await;
    assert!(matches!(&state, SourceState::Failed { what } if what.contains("HTTP 500")), "{state:?}");
}

#[tokio::test]
async fn a_group_that_is_missing_does_not_keep_another_from_being_read() {
    let mut bench = Bench::new([(minutes_ago(1), 1)]).await;
    bench.config.cloudwatch.log_groups.insert(0, "gone".to_owned());
    let state = bench.live(1000).await;
    let SourceState::Denied { what, remedy } = state else { panic!("{state:?}") };
    assert!(what.contains("gone") && what.contains("ResourceNotFoundException"), "{what}");
    assert!(remedy.contains("create the log group"), "{remedy}");
    assert_eq!(bench.numbers, [1]);
}

#[tokio::test]
async fn credentials_that_ended_are_told_with_what_to_do() {
    let mut bench = Bench::new([(minutes_ago(1), 1)]).await;
    bench.logs.lock().unwrap().expired.insert("AKID1".to_owned());
    let state = bench.live(1000).await;
    let SourceState::Denied { what, remedy } = state else { panic!("{state:?}") };
    assert!(what.contains("ExpiredTokenException") && remedy.contains("logs:FilterLogEvents"), "{what} {remedy}");
    bench.logs.lock().unwrap().expired.clear();
    bench.live(1000).await;
    assert_eq!(bench.numbers, [1]);
}

#[tokio::test]
async fn questions_are_no_longer_than_a_quarter_of_an_hour() {
    let mut bench = Bench::new([]).await;
    bench.live(1000).await;
    let questions = std::mem::take(&mut bench.logs.lock().unwrap().questions);
    let spans: Vec<(u64, u64)> =
        questions.iter().map(|q| (q["startTime"].as_u64().unwrap(), q["endTime"].as_u64().unwrap())).collect();
    assert_eq!((spans[0].0, spans.last().unwrap().1), (minutes_ago(60), NOW_MS));
    assert!(spans.iter().all(|(from, until)| until - from < PART_MS));
    assert!(spans.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0), "without gaps: {spans:?}");
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut groups = Groups::default();
    for batch in 0..1000_u64 {
        let seen = (0..300).map(|index| (batch, index)).collect();
        groups.apply(Change { group: "g".to_owned(), floor: 0, seen });
        assert!(groups.0["g"].seen.len() <= SEEN_MAX);
    }
    assert!(groups.0["g"].floor > 0);
    let mut again = Groups::default();
    groups.changes().for_each(|change| again.apply(change));
    assert_eq!(again, groups);
}
