//! The task, asking again and again.
//!
//! Its waits are skipped by moving the clock of the runtime, which stands still only for that moment: while it stands
//! still it would jump ahead whenever an answer is on its way.

use std::time::Duration;

use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wattline_core::reading::{IntensityReading, SourceState};
use wattline_core::{Outlet, Reading, Readings, Receiver, Telemetry, metrics, queue};
use wattline_probe_intensity::{Config, Context, IntensityReceiver, Kind, NAME};

use crate::web::{KEY, NOW, NOW_DATE, Reply, Web, config, context, good, ok, recorded, status};

struct Running {
    readings: queue::Receiver<Readings>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

fn start(config: &Config, context: Context) -> Running {
    let (sender, readings) = queue::bounded(16);
    let stop = CancellationToken::new();
    let receiver = Box::new(IntensityReceiver::new(config, context).unwrap());
    assert_eq!(receiver.name(), NAME);
    let task = tokio::spawn(receiver.run(Outlet { readings: sender, relay: None }, stop.clone()));
    Running { readings, stop, task }
}

impl Running {
    /// The next readings: the intensities and the state.
    async fn told(&mut self) -> (Vec<IntensityReading>, Option<SourceState>) {
        let Readings { source, tick, items } = self.readings.next().await.unwrap();
        assert_eq!((source, tick.wall), (NAME, NOW));
        let (mut intensities, mut state) = (Vec::new(), None);
        for item in items {
            match item {
                Reading::Intensity(reading) => intensities.push(reading),
                Reading::Health(health) => state = Some(health.state),
                other => panic!("{other:?}"),
            }
        }
        (intensities, state)
    }
}

/// Lets a time pass.
async fn skip(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

/// Longer than any wait after a success, and shorter than twice the refresh.
const REFRESH: Duration = Duration::from_mins(17);

#[tokio::test]
async fn a_key_that_was_accepted_and_is_refused_is_throttled_and_kept() {
    let refused = status(401, "{\"error\":\"Invalid auth-token\"}");
    let web = Web::start([good(Kind::ElectricityMaps), vec![refused], good(Kind::ElectricityMaps)].concat()).await;
    let mut running = start(&config(Kind::ElectricityMaps, &web.url()), context());
    let (values, state) = running.told().await;
    let expected = "DE: 302 gCO2e/kWh from 2026-11-22T13:00Z to 2026-11-22T14:00Z, estimated";
    assert_eq!((values.len(), state), (1, Some(SourceState::Up { found: expected.to_owned() })));
    skip(REFRESH).await;
    let (values, state) = running.told().await;
    let Some(SourceState::Failed { what }) = state else { panic!("{state:?}") };
    assert!(
        values.is_empty() && what.contains("the key was accepted before") && what.contains("used for 6h"),
        "{what}"
    );
    skip(REFRESH).await;
    let (values, state) = running.told().await;
    assert!(values.len() == 1 && matches!(state, Some(SourceState::Up { .. })), "{state:?}");
    assert!(web.seen().iter().all(|seen| seen.contains(&format!("auth-token: {KEY}"))));
}

#[tokio::test]
async fn a_key_that_was_never_accepted_is_replaced_by_a_new_file() {
    let directory = tempfile::tempdir().unwrap();
    let key_file = directory.path().join("key");
    std::fs::write(&key_file, "first-key\n").unwrap();
    let web = Web::start([vec![status(401, "")], good(Kind::ElectricityMaps)].concat()).await;
    let config =
        Config { key_env: None, key_file: Some(key_file.clone()), ..config(Kind::ElectricityMaps, &web.url()) };
    let mut running = start(&config, Context { key: None, ..context() });
    let (_, state) = running.told().await;
    let Some(SourceState::Denied { what, remedy }) = state else { panic!("{state:?}") };
    assert!(what.contains("HTTP 401") && remedy.contains("key_file"), "{what} {remedy}");
    std::fs::write(&key_file, "second-key\n").unwrap();
    skip(REFRESH).await;
    let (values, _) = running.told().await;
    assert_eq!(values.len(), 1);
    let keys: Vec<_> = web.seen().into_iter().flatten().filter(|line| line.starts_with("auth-token")).collect();
    assert_eq!(keys, ["auth-token: first-key", "auth-token: second-key"]);
}

#[tokio::test]
async fn a_token_is_kept_while_it_is_accepted() {
    let [login, data] = ["login.json", "historical_aoer.json"].map(|name| ok(recorded(&format!("watttime/{name}"))));
    let replies = [login.clone(), data.clone(), data.clone(), status(401, ""), login, data];
    let web = Web::start(replies).await;
    let mut running = start(&config(Kind::WattTime, &web.url()), context());
    for _ in 0..3 {
        let (values, _) = running.told().await;
        assert_eq!(values.len(), 3);
        skip(REFRESH).await;
    }
    let paths: Vec<_> = web.lines().iter().map(|line| line.split('?').next().unwrap().to_owned()).collect();
    let (login, data) = ("GET /login", "GET /v3/historical");
    assert_eq!(paths[..6], [login, data, data, data, login, data]);
}

#[tokio::test]
async fn a_late_revision_is_told_for_the_same_interval() {
    let first = String::from_utf8(recorded("electricity_maps/latest.json")).unwrap();
    let second = first.replace("302", "344").replace("\"isEstimated\":true", "\"isEstimated\":false");
    let web = Web::start([ok(first), ok(second)]).await;
    let mut running = start(&config(Kind::ElectricityMaps, &web.url()), context());
    let (first, _) = running.told().await;
    skip(REFRESH).await;
    let (second, _) = running.told().await;
    assert_eq!((first[0].from, first[0].until), (second[0].from, second[0].until));
    assert_eq!((first[0].grams.get(), second[0].grams.get()), (302.0, 344.0));
    assert!(first[0].estimated && !second[0].estimated);
}

#[tokio::test]
async fn clocks_that_differ_are_told() {
    let body = recorded("electricity_maps/latest.json");
    for (date, differs) in [
        (NOW_DATE, None),
        ("Sun, 22 Nov 2026 14:02:30 GMT", Some("by 3600 s")),
        ("Sun, 22 Nov 2026 12:02:30 GMT", Some("by -3600 s")),
    ] {
        let web = Web::start([Reply::Answer(200, vec![("date", date.to_owned())], body.clone())]).await;
        let mut running = start(&config(Kind::ElectricityMaps, &web.url()), context());
        let (_, state) = running.told().await;
        let Some(SourceState::Up { found }) = state else { panic!("{state:?}") };
        assert_eq!(found.contains("clock"), differs.is_some(), "{found}");
        assert!(differs.is_none_or(|words| found.contains(words)), "{found}");
    }
}

#[tokio::test]
async fn values_of_long_ago_are_told_and_called_useless() {
    let body = String::from_utf8(recorded("electricity_maps/latest.json")).unwrap();
    let web = Web::start([ok(body.replace("T13:00", "T04:00"))]).await;
    let mut running = start(&config(Kind::ElectricityMaps, &web.url()), context());
    let (values, state) = running.told().await;
    let Some(SourceState::Failed { what }) = state else { panic!("{state:?}") };
    assert!(values.len() == 1 && what.contains("ended at 2026-11-22T05:00Z"), "{what}");
}

#[tokio::test]
async fn a_stop_ends_the_task_in_the_middle_of_a_question() {
    let web = Web::start([Reply::Silence]).await;
    let running = start(&config(Kind::Uk, &web.url()), context());
    while web.lines().is_empty() {
        tokio::task::yield_now().await;
    }
    running.stop.cancel();
    running.task.await.unwrap();
}

#[tokio::test]
async fn refused_values_and_failed_questions_are_counted() {
    use opentelemetry::metrics::MeterProvider;
    let counts = InMemoryMetricExporter::default();
    let meter = SdkMeterProvider::builder().with_reader(PeriodicReader::builder(counts.clone()).build()).build();
    let telemetry = Telemetry::new(&meter.meter("test"));
    let nonsense =
        r#"{"unix_seconds":[1795352400,1795353300,-1,1795354200],"co2eq":[-5,1000000,3,400],"co2eq_forecast":[]}"#;
    let web = Web::start([ok(nonsense), status(500, "")]).await;
    let mut running = start(&config(Kind::EnergyCharts, &web.url()), Context { telemetry, ..context() });
    let (values, _) = running.told().await;
    assert_eq!(values.len(), 1);
    skip(REFRESH).await;
    assert!(matches!(running.told().await, (_, Some(SourceState::Failed { .. }))));
    meter.force_flush().unwrap();
    let finished = counts.get_finished_metrics().unwrap();
    let scopes = finished.iter().flat_map(opentelemetry_sdk::metrics::data::ResourceMetrics::scope_metrics);
    let mut found = Vec::new();
    for metric in scopes.flat_map(opentelemetry_sdk::metrics::data::ScopeMetrics::metrics) {
        let AggregatedMetrics::U64(MetricData::Sum(sum)) = metric.data() else { continue };
        for point in sum.data_points() {
            let reason = point
                .attributes()
                .find(|pair| pair.key.as_str().contains("reason") || pair.key.as_str().contains("probe"));
            found.push((metric.name().to_owned(), reason.unwrap().value.to_string(), point.value()));
        }
    }
    found.sort();
    let refused = metrics::WATTLINE_REFUSED.descriptor().name.to_owned();
    let errors = metrics::WATTLINE_PROBE_ERRORS.descriptor().name.to_owned();
    let expected = [
        (errors, "intensity".to_owned(), 1),
        (refused.clone(), "implausible_intensity".to_owned(), 2),
        (refused, "unreadable_intensity".to_owned(), 1),
    ];
    assert_eq!(found, expected);
}
