use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use wattline_core::sample::Period;
use wattline_core::{Instant, Signal, Subject, Timestamp, Watts, metrics};

use super::*;

fn snapshot(second: u64) -> Arc<Snapshot> {
    let wall = Timestamp::from_unix_nanos(second * 1_000_000_000);
    let tick = Tick { at: Instant::from_nanos(second * 1_000_000_000), wall };
    let period = Period { start: wall, at: wall };
    let sample = metrics::HOST_POWER.sample(&Arc::new(Subject::Host), vec![], period, Watts::new(second as f64));
    Arc::new(Snapshot { tick, resource: Vec::new(), samples: vec![sample] })
}

fn envelope() -> Envelope {
    // resource_spans { scope_spans { spans { name: "chat" } } }
    let body = Bytes::from_static(b"\x0a\x0a\x12\x08\x12\x06\x2a\x04chat");
    Envelope { signal: Signal::Traces, body, items: 1, at: Timestamp::default(), receipt: None }
}

/// What the lines tell: the watts of a snapshot, or nothing for spans.
fn told(path: &Path) -> Vec<Option<f64>> {
    let mut text = String::new();
    if let Ok(mut file) = std::fs::OpenOptions::new().read(true).open(path) {
        file.read_to_string(&mut text).unwrap();
    }
    let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    lines
        .map(|line| {
            line["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0]["gauge"]["dataPoints"][0]["asDouble"].as_f64()
        })
        .collect()
}

struct Running {
    _dir: tempfile::TempDir,
    path: PathBuf,
    snapshots: watch::Sender<Arc<Snapshot>>,
    envelopes: queue::Sender<Envelope>,
    task: tokio::task::JoinHandle<()>,
}

fn start() -> Running {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.jsonl");
    let config = Config { path: path.to_str().unwrap().into(), interval: Duration::from_mins(1), ..Config::default() };
    let exporter = FileExporter::new(config, Telemetry::none()).unwrap();
    assert_eq!(exporter.name(), "file");
    let (snapshots, newest) = watch::channel(Arc::default());
    let (envelopes, relayed) = queue::bounded(8);
    let task = tokio::spawn(Box::new(exporter).run(Feed { snapshots: newest, envelopes: Some(relayed) }));
    Running { _dir: dir, path, snapshots, envelopes, task }
}

#[tokio::test(start_paused = true)]
async fn each_interval_writes_the_newest_snapshot_and_none_twice() {
    let running = start();
    for second in 1..=150 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        running.snapshots.send(snapshot(second)).unwrap();
    }
    // No new snapshots for three intervals: nothing to write.
    tokio::time::sleep(Duration::from_mins(3)).await;
    let told = told(&running.path);
    assert_eq!(told.len(), 3, "{told:?}");
    assert!((59.0..=60.0).contains(&told[0].unwrap()) && (119.0..=120.0).contains(&told[1].unwrap()), "{told:?}");
    assert_eq!(told[2], Some(150.0));
}

#[tokio::test(start_paused = true)]
async fn relayed_messages_do_not_wait_for_the_interval() {
    let running = start();
    running.envelopes.send(envelope()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(told(&running.path), [None]);
}

#[tokio::test(start_paused = true)]
async fn when_the_feed_ends_all_of_it_is_written() {
    let Running { _dir, path, snapshots, envelopes, task } = start();
    tokio::time::sleep(Duration::from_secs(10)).await;
    for _ in 0..8 {
        envelopes.offer(envelope()).unwrap();
    }
    snapshots.send(snapshot(9)).unwrap();
    drop((snapshots, envelopes));
    task.await.unwrap();
    let mut told = told(&path);
    assert_eq!(told.pop(), Some(Some(9.0)));
    assert_eq!(told, [None; 8]);
}

#[tokio::test(start_paused = true)]
async fn the_relay_goes_on_when_there_are_no_more_snapshots() {
    let Running { _dir, path, snapshots, envelopes, task } = start();
    drop(snapshots);
    tokio::time::sleep(Duration::from_secs(100)).await;
    envelopes.offer(envelope()).unwrap();
    drop(envelopes);
    task.await.unwrap();
    assert_eq!(told(&path), [None]);
}
