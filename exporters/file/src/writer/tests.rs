use std::io::Read as _;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ResourceMetrics, ScopeMetrics, SumDataPoint};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};
use wattline_core::sample::Period;
use wattline_core::{Envelope, Snapshot, Subject, Tick, Timestamp, Watts, metrics};

use super::*;

/// Telemetry that can be looked at.
struct Counted {
    provider: SdkMeterProvider,
    exporter: InMemoryMetricExporter,
}

impl Counted {
    fn new() -> (Self, Telemetry) {
        let exporter = InMemoryMetricExporter::default();
        let provider = SdkMeterProvider::builder().with_periodic_exporter(exporter.clone()).build();
        let telemetry = Telemetry::new(&provider.meter("test"));
        (Self { provider, exporter }, telemetry)
    }

    /// The newest count of a metric's points whose attributes have this value.
    fn of(&self, metric: &str, attribute: &str) -> u64 {
        self.provider.force_flush().unwrap();
        let finished = self.exporter.get_finished_metrics().unwrap();
        let scopes = finished.last().into_iter().flat_map(ResourceMetrics::scope_metrics);
        let mut count = 0;
        for one in scopes.flat_map(ScopeMetrics::metrics).filter(|one| one.name() == metric) {
            if let AggregatedMetrics::U64(MetricData::Sum(sum)) = one.data() {
                let points =
                    sum.data_points().filter(|point| point.attributes().any(|own| own.value.as_str() == attribute));
                count += points.map(SumDataPoint::value).sum::<u64>();
            }
        }
        count
    }
}

fn config(path: &std::path::Path) -> Config {
    Config { path: path.to_str().unwrap().into(), ..Config::default() }
}

fn snapshot(watts: &[f64]) -> Piece {
    let wall = Timestamp::from_unix_nanos(1_700_000_000_000_000_000);
    let period = Period { start: wall, at: wall };
    let subject = Arc::new(Subject::Host);
    let sample = |&watts: &f64| metrics::HOST_POWER.sample(&subject, vec![], period, Watts::new(watts));
    Piece::Snapshot(Arc::new(Snapshot { samples: watts.iter().map(sample).collect(), ..Snapshot::default() }))
}

fn envelope(signal: Signal, body: &'static [u8]) -> Piece {
    Piece::Envelope(Envelope {
        signal,
        body: Bytes::from_static(body),
        items: 3,
        at: Tick::default().wall,
        receipt: None,
    })
}

fn lines(path: &std::path::Path) -> Vec<serde_json::Value> {
    let mut text = String::new();
    std::fs::OpenOptions::new().read(true).open(path).unwrap().read_to_string(&mut text).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What was logged while `work` ran, a line each.
fn logged(work: impl FnOnce()) -> Vec<String> {
    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);
    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let sink = Sink::default();
    let writer = sink.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    tracing::subscriber::with_default(subscriber, work);
    let bytes = sink.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn a_snapshot_is_a_line_of_otlp_json() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.jsonl");
    let (counted, telemetry) = Counted::new();
    Writer::new(&config(&path), telemetry).write(&[snapshot(&[7.5, f64::NAN])]);
    let lines = lines(&path);
    assert_eq!(lines.len(), 1);
    let metric = &lines[0]["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0];
    assert_eq!((metric["name"].as_str(), metric["unit"].as_str()), (Some("hw.host.power"), Some("W")));
    let point = &metric["gauge"]["dataPoints"][0];
    assert_eq!(point["asDouble"], 7.5);
    assert_eq!(point["timeUnixNano"], "1700000000000000000", "64-bit numbers are texts in OTLP JSON");
    assert_eq!(counted.of("wattline.exported", "file"), 1);
    assert_eq!(counted.of("wattline.dropped", "invalid"), 1);
}

#[test]
fn relayed_messages_are_lines_of_their_own_and_nonsense_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.jsonl");
    let (counted, telemetry) = Counted::new();
    // resource_spans { scope_spans { spans { name: "chat" } } } and the same for logs, without a name.
    let spans: &[u8] = b"\x0a\x0a\x12\x08\x12\x06\x2a\x04chat";
    let logs: &[u8] = b"\x0a\x04\x12\x02\x12\x00";
    let mut writer = Writer::new(&config(&path), telemetry);
    let said = logged(|| {
        let nonsense = || envelope(Signal::Metrics, b"\xff\xff");
        writer.write(&[envelope(Signal::Traces, spans), nonsense(), nonsense(), envelope(Signal::Logs, logs)]);
    });
    let lines = lines(&path);
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["name"], "chat");
    assert!(lines[1]["resourceLogs"].is_array(), "{}", lines[1]);
    assert_eq!(counted.of("wattline.dropped", "encoding"), 6);
    assert_eq!(counted.of("wattline.exported", "file"), 6);
    assert_eq!(said.len(), 1, "{said:?}");
}

#[test]
fn a_full_disk_is_said_once_and_every_loss_is_counted() {
    let (counted, telemetry) = Counted::new();
    let mut writer = Writer::new(&config("/dev/full".as_ref()), telemetry);
    let said = logged(|| (0..3).for_each(|_| writer.write(&[snapshot(&[1.0])])));
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("/dev/full") && said[0].contains("WARN"), "{said:?}");
    assert_eq!(counted.of("wattline.dropped", "disk_full"), 3);
    assert_eq!(counted.of("wattline.exported", "file"), 0);
}

#[test]
fn what_cannot_be_opened_is_tried_again_until_it_can() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.jsonl");
    std::fs::create_dir(&path).unwrap();
    let (counted, telemetry) = Counted::new();
    let mut writer = Writer::new(&config(&path), telemetry);
    let said = logged(|| {
        writer.write(&[snapshot(&[1.0])]);
        writer.write(&[snapshot(&[2.0])]);
        std::fs::remove_dir(&path).unwrap();
        writer.write(&[snapshot(&[3.0])]);
        writer.write(&[snapshot(&[4.0])]);
    });
    assert_eq!(lines(&path).len(), 2);
    assert_eq!(counted.of("wattline.dropped", "io_error"), 2);
    assert_eq!(counted.of("wattline.exported", "file"), 2);
    assert_eq!(said.len(), 2, "one warning, one word when it works again: {said:?}");
    assert!(said[0].contains("WARN") && said[1].contains("written again"), "{said:?}");
}
