//! The source over restarts, clean and not.

use std::collections::BTreeMap;
use std::sync::Arc;

use wattline_core::Timestamp;

use super::*;

fn clock() -> Clock {
    Arc::new(|| Tick { wall: Timestamp::from_unix_nanos(1_762_800_000_000_000_000), ..Tick::default() })
}

fn record(number: u64) -> String {
    format!(r#"{{"requestId":"{number}","modelId":"m","input":{{"inputTokenCount":{number}}},"output":{{}}}}"#) + "\n"
}

/// What the pipeline would keep: the input tokens of all calls, and the last step.
#[derive(Default)]
struct Books {
    numbers: Vec<u64>,
    step: u64,
}

impl Books {
    fn take(&mut self, readings: Readings) {
        for item in readings.items {
            match item {
                Reading::Inference(call) => self.numbers.push(call.usage.input),
                Reading::Progress(progress) => self.step = progress.step,
                _ => {}
            }
        }
    }
}

struct Bench {
    folder: tempfile::TempDir,
    config: Config,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let logs = folder.path().join("logs");
        std::fs::create_dir(&logs).unwrap();
        Self { config: Config { paths: vec![logs], ..Config::default() }, folder }
    }

    fn write(&self, name: &str, numbers: std::ops::Range<u64>) {
        std::fs::write(self.config.paths[0].join(name), numbers.map(record).collect::<String>()).unwrap();
    }

    /// One life of the agent: it looks once, and the books take the first `taken` readings.
    fn live(&self, books: &mut Books, taken: usize) -> SourceState {
        let journal = self.folder.path().join("bedrock.files");
        let mut receiver = FileReceiver::new(&self.config, &journal, books.step, Telemetry::none(), clock());
        let (out, mut inbox) = queue::bounded(10_000);
        let state = receiver.scanner.scan(&out, &CancellationToken::new());
        std::iter::from_fn(|| inbox.try_next()).take(taken).for_each(|readings| books.take(readings));
        state
    }
}

#[test]
fn an_agent_that_is_killed_books_each_record_once() {
    let bench = Bench::new();
    bench.write("a.jsonl", 1..500);
    bench.write("b.jsonl", 500..700);
    let mut books = Books::default();
    // Each life ends when the books have taken one or two readings more.
    for life in 0..12 {
        bench.live(&mut books, 1 + life % 2);
    }
    bench.write("c.jsonl", 700..710);
    bench.live(&mut books, 1000);
    assert_eq!(books.numbers, (1..710).collect::<Vec<_>>());
    bench.live(&mut books, 1000);
    assert_eq!(books.numbers.len(), 709, "nothing comes again");
}

#[test]
fn books_that_begin_anew_read_all_again() {
    let bench = Bench::new();
    bench.write("a.jsonl", 1..4);
    for _ in 0..2 {
        let mut books = Books::default();
        bench.live(&mut books, 1000);
        assert_eq!(books.numbers, [1, 2, 3]);
    }
}

#[test]
fn a_missing_folder_is_told_and_its_coming_too() {
    let bench = Bench::new();
    std::fs::remove_dir(&bench.config.paths[0]).unwrap();
    let state = bench.live(&mut Books::default(), 0);
    let SourceState::Failed { what } = state else { panic!("{state:?}") };
    assert!(what.contains("logs") && what.contains("No such file"), "{what}");
    std::fs::create_dir(&bench.config.paths[0]).unwrap();
    assert_eq!(bench.live(&mut Books::default(), 0), SourceState::Up { found: "0 files".to_owned() });
}

#[tokio::test]
async fn it_runs_until_it_is_stopped() {
    let bench = Bench::new();
    bench.write("a.jsonl", 1..4);
    let journal = bench.folder.path().join("bedrock.files");
    let receiver = Box::new(FileReceiver::new(&bench.config, &journal, 0, Telemetry::none(), clock()));
    let (readings, mut inbox) = queue::bounded(10);
    let stop = CancellationToken::new();
    let running = tokio::spawn(receiver.run(Outlet { readings, relay: None }, stop.clone()));
    let mut seen = BTreeMap::<&str, u64>::new();
    while seen.get("health") != Some(&1) {
        for item in inbox.next().await.unwrap().items {
            let kind = match item {
                Reading::Inference(_) => "call",
                Reading::Progress(_) => "progress",
                Reading::Health(_) => "health",
                other => panic!("{other:?}"),
            };
            *seen.entry(kind).or_default() += 1;
        }
    }
    assert_eq!(seen, [("call", 3), ("health", 1), ("progress", 1)].into());
    stop.cancel();
    running.await.unwrap();
}
