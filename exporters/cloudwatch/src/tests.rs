use std::net::SocketAddr;
use std::path::Path;

use opentelemetry::metrics::MeterProvider as _;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ScopeMetrics};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};
use serde_json::Value as Json;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, UdpSocket};
use wattline_core::sample::Period;
use wattline_core::{Instant, Joules, Sample, Subject, metrics};

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use wattline_core::{Envelope, Signal, Snapshot, Telemetry, Tick, Timestamp, queue};

use super::*;

const SECOND: u64 = 1_000_000_000;

fn now() -> Timestamp {
    Timestamp::from_unix_nanos(1_000 * SECOND)
}

/// The machine has drawn `joules` since second 1000.
fn snapshot(second: u64, joules: f64) -> Arc<Snapshot> {
    let wall = Timestamp::from_unix_nanos((1_000 + second) * SECOND);
    let period = Period { start: now(), at: wall };
    let sample = |metric: &'static wattline_core::Metric<Joules>, joules| {
        metric.sample(&Arc::new(Subject::Host), Vec::new(), period, Joules::new(joules))
    };
    let boot = Period { start: Timestamp::from_unix_nanos(SECOND), at: wall };
    let old = Sample { period: boot, ..sample(&metrics::WATTLINE_ENERGY, 5e6 + joules) };
    let tick = Tick { at: Instant::from_nanos(second * SECOND), wall };
    Arc::new(Snapshot { tick, resource: Vec::new(), samples: vec![sample(&metrics::HOST_ENERGY, joules), old] })
}

struct Running {
    snapshots: watch::Sender<Arc<Snapshot>>,
    envelopes: queue::Sender<Envelope>,
    task: tokio::task::JoinHandle<()>,
}

fn start(toml: &str) -> Running {
    start_with(toml, Telemetry::none())
}

fn start_with(toml: &str, telemetry: Telemetry) -> Running {
    let context = Context { telemetry, now, seed: 1, spools: None };
    let exporter = EmfExporter::new(toml::from_str(toml).unwrap(), context).unwrap();
    assert_eq!(exporter.name(), "emf");
    let (snapshots, newest) = watch::channel(Arc::default());
    let (envelopes, relayed) = queue::bounded(2);
    let task = tokio::spawn(Box::new(exporter).run(Feed { snapshots: newest, envelopes: Some(relayed) }));
    Running { snapshots, envelopes, task }
}

/// The joules that each event tells of the machine and of the agent.
fn told(text: &str) -> Vec<(Option<f64>, Option<f64>)> {
    text.lines()
        .map(|line| {
            let event: Json = serde_json::from_str(line).unwrap();
            (event["hw.host.energy"].as_f64(), event["wattline.energy"].as_f64())
        })
        .collect()
}

fn read(path: &Path) -> String {
    std::fs::OpenOptions::new().read(true).open(path).and_then(std::io::read_to_string).unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn each_interval_tells_what_came_and_what_began_before_is_told_from_now_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("emf.jsonl");
    let running = start(&format!("sink = 'file'\npath = {path:?}"));
    for (second, joules) in [(30, 10.0), (90, 25.5), (130, 25.5), (160, 40.0)] {
        running.snapshots.send(snapshot(second, joules)).unwrap();
        // A moment after the exporter has looked.
        tokio::time::sleep(Duration::from_secs(61)).await;
    }
    drop((running.snapshots, running.envelopes));
    running.task.await.unwrap();
    let expected = [(Some(10.0), None), (Some(15.5), Some(15.5)), (Some(14.5), Some(14.5))];
    assert_eq!(told(&read(&path)), expected);
}

#[tokio::test(start_paused = true)]
async fn relayed_telemetry_is_taken_and_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(&format!("sink = 'file'\npath = {:?}", folder.path().join("x")));
    for _ in 0..100 {
        let at = Timestamp::default();
        running
            .envelopes
            .send(Envelope { signal: Signal::Traces, body: bytes::Bytes::new(), items: 1, at, receipt: None })
            .await
            .unwrap();
    }
    drop((running.snapshots, running.envelopes));
    running.task.await.unwrap();
}

#[tokio::test]
async fn the_agent_gets_a_datagram_for_each_event() {
    let agent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = agent.local_addr().unwrap();
    let running = start(&format!("sink = 'udp'\naddress = '{address}'\nlog_group = '/g'\nlog_stream = 's'"));
    running.snapshots.send(snapshot(30, 10.0)).unwrap();
    drop((running.snapshots, running.envelopes));
    running.task.await.unwrap();
    let mut datagram = vec![0; 65_536];
    let length = agent.recv(&mut datagram).await.unwrap();
    let event: Json = serde_json::from_slice(&datagram[..length]).unwrap();
    assert_eq!((&event["hw.host.energy"], &event["_aws"]["LogGroupName"]), (&10.into(), &"/g".into()));
}

/// Reads lines from one connection, and hangs up after `lines` of them.
async fn read_lines(listener: &TcpListener, lines: usize) -> String {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut text = String::new();
    while text.matches('\n').count() < lines {
        let mut part = vec![0; 65_536];
        let length = stream.read(&mut part).await.unwrap();
        assert_ne!(length, 0, "the exporter hung up after {text}");
        text.push_str(std::str::from_utf8(&part[..length]).unwrap());
    }
    text
}

#[tokio::test]
async fn an_agent_that_was_away_or_hung_up_gets_what_waits() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    drop(listener);
    let running = start(&format!("sink = 'tcp'\naddress = '{address}'\ninterval = '20ms'\ngrace = '60s'"));
    running.snapshots.send(snapshot(30, 10.0)).unwrap();
    let listener = TcpListener::bind(address).await.unwrap();
    assert_eq!(told(&read_lines(&listener, 1).await), [(Some(10.0), None)]);
    // The connection is closed now; the next event takes another.
    running.snapshots.send(snapshot(90, 25.0)).unwrap();
    assert_eq!(told(&read_lines(&listener, 1).await), [(Some(15.0), Some(15.0))]);
    drop((running.snapshots, running.envelopes));
    running.task.await.unwrap();
}

/// What was counted under `metric`, with the value of its attribute `key`.
fn counts(finished: &InMemoryMetricExporter, metric: &str, key: &str) -> Vec<(String, u64)> {
    let finished = finished.get_finished_metrics().unwrap();
    let mut counts = Vec::new();
    for one in
        finished.last().unwrap().scope_metrics().flat_map(ScopeMetrics::metrics).filter(|one| one.name() == metric)
    {
        let AggregatedMetrics::U64(MetricData::Sum(sum)) = one.data() else { panic!("{one:?}") };
        for point in sum.data_points() {
            let word = point.attributes().find(|attribute| attribute.key.as_str() == key).unwrap().value.to_string();
            counts.push((word, point.value()));
        }
    }
    counts.sort();
    counts
}

#[tokio::test]
async fn what_is_not_delivered_in_time_is_counted_and_so_is_what_is() {
    let reader = InMemoryMetricExporter::default();
    let provider = SdkMeterProvider::builder().with_periodic_exporter(reader.clone()).build();
    let telemetry = Telemetry::new(&provider.meter("test"));
    let folder = tempfile::tempdir().unwrap();
    let fine = format!("sink = 'file'\npath = {:?}", folder.path().join("x"));
    for toml in ["sink = 'tcp'\naddress = '127.0.0.1:1'\ngrace = '10ms'", &fine] {
        let running = start_with(toml, telemetry.clone());
        let first = snapshot(30, f64::NAN);
        let samples = [first.samples.clone(), snapshot(30, 10.0).samples.clone()].concat();
        running.snapshots.send(Arc::new(Snapshot { samples, ..(*first).clone() })).unwrap();
        drop((running.snapshots, running.envelopes));
        running.task.await.unwrap();
    }
    provider.force_flush().unwrap();
    // Two figures that are no numbers each time, and one that is.
    let dropped = [("encoding".to_owned(), 4), ("shutdown".to_owned(), 1)];
    assert_eq!(counts(&reader, "wattline.dropped", "wattline.reason"), dropped);
    assert_eq!(counts(&reader, "wattline.exported", "wattline.destination"), [("emf".to_owned(), 1)]);
}
