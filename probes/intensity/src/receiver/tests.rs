//! The task with a provider that plays a script, in a time that jumps.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use tokio::time::Instant;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::SubscriberExt;
use wattline_core::reading::IntensityKind;
use wattline_core::{Telemetry, Text, Tick, Timestamp, queue};

use super::*;
use crate::plan::{Key, Plan};
use crate::provider::{Asking, Point, Provider, Told};
use crate::secret::Secret;

const NOW: Timestamp = Timestamp::from_unix_nanos(1_795_352_550_000_000_000);
const QUARTER: Duration = Duration::from_mins(15);

/// Answers in turn, the last again and again, and notes when it was asked.
#[derive(Debug)]
struct Script {
    answers: VecDeque<Result<Told, FetchError>>,
    asked: Arc<Mutex<Vec<Instant>>>,
}

impl Provider for Script {
    fn ask<'a>(&'a mut self, _key: Option<&'a Secret>, _now: Timestamp) -> Asking<'a> {
        self.asked.lock().unwrap().push(Instant::now());
        let answer = if self.answers.len() > 1 { self.answers.pop_front() } else { self.answers.front().cloned() };
        Box::pin(async move { answer.unwrap() })
    }
}

fn value(grams: f64) -> Told {
    let (from, until) = (NOW, Timestamp::from_unix_nanos(NOW.unix_nanos() + 3_600_000_000_000));
    let point = Point { kind: IntensityKind::Average, grams, from, until, estimated: false };
    Told { points: vec![point], ..Told::default() }
}

fn failed(what: &str) -> FetchError {
    FetchError::Failed { what: what.to_owned() }
}

/// What came of a script: the waits before each question but the first, what was told, and the log.
struct Played {
    waits: Vec<Duration>,
    told: Vec<Reading>,
    log: Vec<String>,
}

async fn play(key: Key, answers: Vec<Result<Told, FetchError>>) -> Played {
    let (log, _recording) = record();
    let (count, asked) = (answers.len(), Arc::<Mutex<Vec<Instant>>>::default());
    let provider = Box::new(Script { answers: answers.into(), asked: Arc::clone(&asked) });
    let plan = Plan {
        provider,
        source: "uk",
        zone: Text::Static("GB"),
        key,
        refresh: QUARTER,
        timeout: Duration::from_secs(5),
        max_age: Duration::from_hours(6),
    };
    let now = || Tick { at: wattline_core::Instant::default(), wall: NOW };
    let context = Context { telemetry: Telemetry::none(), now: Arc::new(now), key: None, seed: 7 };
    let (sender, mut readings) = queue::bounded(1000);
    let stop = CancellationToken::new();
    let outlet = Outlet { readings: sender, relay: None };
    let task = tokio::spawn(Running::new(Asker::new(plan), context).run(outlet, stop.clone()));
    while asked.lock().unwrap().len() < count {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    stop.cancel();
    task.await.unwrap();
    let told = std::iter::from_fn(|| readings.try_next()).flat_map(|readings| readings.items).collect();
    let asked = asked.lock().unwrap();
    let waits = asked.iter().zip(asked.iter().skip(1)).map(|(one, next)| *next - *one).collect();
    let log = log.lock().unwrap().clone();
    Played { waits, told, log }
}

/// Lines of this thread, which is all that a runtime of one thread needs.
fn record() -> (Arc<Mutex<Vec<String>>>, tracing::subscriber::DefaultGuard) {
    let lines = Arc::<Mutex<Vec<String>>>::default();
    let recording = tracing::subscriber::set_default(tracing_subscriber::registry().with(Recorder(Arc::clone(&lines))));
    (lines, recording)
}

struct Recorder(Arc<Mutex<Vec<String>>>);

impl<S: Subscriber> Layer<S> for Recorder {
    fn on_event(&self, event: &Event<'_>, _context: tracing_subscriber::layer::Context<'_, S>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

fn between(wait: Duration, least: Duration, most: Duration) {
    assert!(least <= wait && wait <= most, "{wait:?} is not between {least:?} and {most:?}");
}

#[tokio::test(start_paused = true)]
async fn there_is_one_question_for_each_refresh() {
    let played = play(Key::Nowhere, vec![Ok(value(1.0)); 5]).await;
    for wait in played.waits {
        between(wait, QUARTER, QUARTER.mul_f64(1.1) + Duration::from_millis(1));
    }
    // Five values, and once that it is up.
    assert_eq!(played.told.len(), 6);
}

#[tokio::test(start_paused = true)]
async fn failures_are_waited_out_longer_each_time_and_forgotten_after_a_success() {
    let bad = || Err(failed("HTTP 500"));
    let played = play(Key::Nowhere, vec![bad(), bad(), bad(), Ok(value(1.0)), bad(), Ok(value(1.0))]).await;
    let seconds = Duration::from_secs;
    let slack = Duration::from_millis(1);
    between(played.waits[0], seconds(15), seconds(30) + slack);
    between(played.waits[1], seconds(30), seconds(60) + slack);
    between(played.waits[2], seconds(60), seconds(120) + slack);
    between(played.waits[4], seconds(15), seconds(30) + slack);
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_is_asked_for_is_kept() {
    let after = Duration::from_hours(2);
    let throttled = || Err(FetchError::Throttled { after: Some(after), what: "HTTP 429".to_owned() });
    let played = play(Key::Nowhere, vec![throttled(), Ok(value(1.0)), Ok(value(1.0))]).await;
    between(played.waits[0], after, after.mul_f64(1.11));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_asked_about_rarely_and_told_once() {
    let denied = || Err(FetchError::Denied { what: "HTTP 401".to_owned() });
    let played = play(Key::Given(Secret::new("bad")), vec![denied(), denied(), denied(), denied()]).await;
    for wait in &played.waits {
        between(*wait, Duration::from_hours(1), Duration::from_mins(67));
    }
    assert_eq!((played.told.len(), played.log.len()), (1, 1), "{:?}", played.log);
    assert!(played.log[0].starts_with("WARN") && played.log[0].contains("HTTP 401"), "{:?}", played.log);
}

#[tokio::test(start_paused = true)]
async fn the_log_has_a_line_for_each_change_of_state_and_not_for_each_question() {
    let answers = vec![
        Ok(value(1.0)),
        Ok(value(2.0)),
        Err(failed("a")),
        Err(failed("b")),
        Err(failed("b")),
        Ok(value(3.0)),
        Ok(value(4.0)),
    ];
    let played = play(Key::Nowhere, answers).await;
    let levels: Vec<_> = played.log.iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(levels, ["INFO", "WARN", "INFO"], "{:?}", played.log);
    let states = played.told.iter().filter(|item| matches!(item, Reading::Health(_))).count();
    // Each value is another thing found, and each reason another failure, but the third failure says nothing new.
    assert_eq!(states, 6);
}

#[tokio::test(start_paused = true)]
async fn a_refused_key_after_a_success_is_a_throttle() {
    let denied = || Err(FetchError::Denied { what: "HTTP 401".to_owned() });
    let played = play(Key::Given(Secret::new("good")), vec![Ok(value(1.0)), denied(), denied(), Ok(value(2.0))]).await;
    between(played.waits[1], QUARTER / 2, QUARTER + Duration::from_millis(1));
    between(played.waits[2], QUARTER, QUARTER * 2 + Duration::from_millis(1));
    assert!(
        played
            .told
            .iter()
            .all(|item| !matches!(item, Reading::Health(SourceHealth { state: SourceState::Denied { .. }, .. })))
    );
}

#[tokio::test(start_paused = true)]
async fn a_file_of_the_key_that_is_missing_or_empty_is_a_refusal_that_names_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    for content in [None, Some(""), Some(" \n")] {
        if let Some(content) = content {
            std::fs::write(&path, content).unwrap();
        }
        let mut asker = Asker::new(Plan {
            provider: Box::new(Script { answers: vec![Ok(value(1.0))].into(), asked: Arc::default() }),
            source: "uk",
            zone: Text::Static("GB"),
            key: Key::File(path.clone()),
            refresh: QUARTER,
            timeout: Duration::from_mins(1),
            max_age: Duration::from_hours(6),
        });
        let error = asker.ask(NOW).await.unwrap_err();
        assert!(
            matches!(&error, FetchError::Denied { what } if what.contains("key_file") && what.contains("/key")),
            "{error:?}"
        );
    }
}
