//! What survives a restart: the books, and the raw counters that they stand on.
//!
//! Both are written in one transaction of the ledger before anybody sees the figures, so that an agent that is killed
//! goes on from figures that are at least as new as any that was seen: no counter goes back, and no joule is booked
//! twice.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;
use wattline_core::{HostRoot, Instant, Sample, Timestamp};
use wattline_ledger::{Commit, Ledger};

use crate::bookkeeping::{observations, totals};
use crate::config::Config;
use crate::pipeline::{Pipeline, Saved};

/// The name of the ledger's file in the state directory.
pub const LEDGER: &str = "ledger.db";
/// The file that is there while the ledger has all that was published.
const SURE: &str = "ledger.sure";
/// The state in the ledger.
const BOOKS: &str = "books";
/// A commit that takes longer is on a disk that hangs.
const PATIENCE: Duration = Duration::from_secs(1);

/// The books as they are kept, with what they are of.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    machine: Identity,
    saved: Saved,
}

/// Which machine, and which boot of it: books go on on the same machine only, and raw counters in the same boot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
    machine_id: Option<String>,
    boot_id: Option<String>,
}

impl Identity {
    fn of(root: &HostRoot) -> Self {
        let read = |path| root.read(path).ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        Self { machine_id: read("etc/machine-id"), boot_id: read("proc/sys/kernel/random/boot_id") }
    }
}

/// Keeps the books, on another thread and one write at a time: a disk that hangs holds up nobody.
#[derive(Debug)]
pub struct Keeper {
    ledger: Arc<Mutex<Ledger>>,
    directory: PathBuf,
    machine: Identity,
    writing: Option<JoinHandle<Result<()>>>,
    /// The ledger has all that was published, and the file says so.
    is_sure: bool,
    /// The minute in which totals were last booked.
    minute: Option<u64>,
}

/// What a keeper found when it opened the ledger.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum Found {
    /// Nothing: the books begin.
    #[default]
    Nothing,
    /// Books that go on.
    Books,
    /// Books that cannot go on, and why. All figures begin anew; what was booked before stays in reports.
    Other(String),
}

impl Keeper {
    /// Opens the ledger of a configuration and lets `pipeline` go on with the books in it.
    pub fn open(config: &Config, pipeline: &mut Pipeline, now: Instant) -> Result<(Self, Found)> {
        let directory = config.state.directory();
        let ledger = Ledger::open(&directory.join(LEDGER), config.ledger.max_bytes)?;
        let machine = Identity::of(&HostRoot::new(&config.host.root));
        let kept = ledger.state(BOOKS)?;
        let is_sure = fs::exists(directory.join(SURE)).unwrap_or(false);
        let found = match kept {
            _ if ledger.damaged().is_some() => {
                Found::Other("the ledger was damaged, is set aside as ledger.db.damaged and begun anew".to_owned())
            }
            None => Found::Nothing,
            Some((_, state)) if !is_sure => {
                pipeline.resume(progress(&state));
                Found::Other("the last figures could not be written down before the end".to_owned())
            }
            Some((_, state)) => match restored(&state, &machine, pipeline, now) {
                Ok(()) => Found::Books,
                Err(error) => {
                    pipeline.resume(progress(&state));
                    Found::Other(format!("{error:#}"))
                }
            },
        };
        // Books that do not go on are not sure until the new ones are written over them.
        let is_sure = is_sure && found == Found::Books;
        let (writing, minute) = (None, None);
        Ok((Self { ledger: Arc::new(Mutex::new(ledger)), directory, machine, writing, is_sure, minute }, found))
    }

    /// Where the ledger is.
    pub fn path(&self) -> PathBuf {
        self.directory.join(LEDGER)
    }

    /// Writes the books down, and waits a moment for it. The totals of `samples` are booked when a minute is over, and
    /// at the last time.
    pub async fn keep(&mut self, pipeline: &Pipeline, samples: &[Sample], at: Timestamp, is_last: bool) -> Result<()> {
        // A second write beside a hanging one would only wait for it.
        if self.writing.as_ref().is_some_and(|writing| !writing.is_finished()) {
            self.say_sure(false);
            bail!("the disk does not answer");
        }
        let minute = wattline_ledger::Span::Minute.begin(at);
        let books_now = is_last || self.minute != Some(minute);
        let mut commit = Commit { at, ..Commit::default() };
        if books_now {
            commit.totals = totals(samples);
            commit.is_whole = pipeline.tells_all();
            commit.observations = observations(samples);
        }
        let (ledger, kept) = (Arc::clone(&self.ledger), Kept { machine: self.machine.clone(), saved: pipeline.save() });
        let writing = self.writing.insert(tokio::task::spawn_blocking(move || {
            commit.states.push((BOOKS, packed(&kept)?));
            Ok(ledger.lock().unwrap_or_else(PoisonError::into_inner).commit(&commit)?)
        }));
        let outcome = match tokio::time::timeout(PATIENCE, &mut *writing).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(panicked)) => Err(panicked.into()),
            Err(_elapsed) => Err(anyhow::anyhow!("the disk does not answer")),
        };
        self.say_sure(outcome.is_ok());
        if outcome.is_ok() && books_now {
            self.minute = Some(minute);
        }
        outcome
    }

    /// Lets the next agent know whether what is in the ledger is all that was published. To remove a file needs no
    /// room on a disk that is full.
    fn say_sure(&mut self, is_sure: bool) {
        if is_sure == self.is_sure {
            return;
        }
        let path = self.directory.join(SURE);
        let outcome = if is_sure { fs::write(&path, []) } else { fs::remove_file(&path) };
        if outcome.is_ok() {
            self.is_sure = is_sure;
        }
    }
}

/// The state as it is written: JSON, which a later version can read, compressed.
fn packed(kept: &Kept) -> Result<Vec<u8>> {
    Ok(zstd::bulk::compress(&serde_json::to_vec(kept)?, 1)?)
}

/// How far sources have read, by books that cannot go on.
fn progress(state: &[u8]) -> BTreeMap<String, u64> {
    #[derive(Default, Deserialize)]
    struct Kept {
        saved: Saved,
    }
    #[derive(Default, Deserialize)]
    struct Saved {
        #[serde(default)]
        progress: BTreeMap<String, u64>,
    }
    let text = zstd::decode_all(state).unwrap_or_default();
    serde_json::from_slice::<Kept>(&text).unwrap_or_default().saved.progress
}

fn restored(state: &[u8], machine: &Identity, pipeline: &mut Pipeline, now: Instant) -> Result<()> {
    let text = zstd::decode_all(state).context("the books in the ledger cannot be read")?;
    let Kept { machine: before, mut saved } =
        serde_json::from_slice(&text).context("the books in the ledger are of another version of wattline")?;
    if before.machine_id != machine.machine_id {
        bail!("the books in the ledger are of another machine, from which this one was copied");
    }
    if before.boot_id != machine.boot_id || machine.boot_id.is_none() {
        // Counters of another boot mean nothing.
        saved.counters.clear();
    }
    pipeline.restore(saved, now);
    Ok(())
}

#[cfg(test)]
mod tests {
    use wattline_core::reading::{
        CpuReading, CpuTimes, EnergyReading, EnergySource, Inference, Progress, Scope, TokenUsage,
    };
    use wattline_core::subject::InferenceKey;
    use wattline_core::{Device, DeviceKind, Reading, Readings, Seconds, Tick, metrics};
    use wattline_ledger::Span;
    use wattline_ledger::books::{Period, Reader};

    use super::*;

    fn config(root: &std::path::Path) -> Config {
        let mut config = Config::default();
        config.host.root = root.to_owned();
        config.state.directory = Some(root.join("state"));
        config
    }

    fn tick(second: u64) -> Tick {
        let nanos = second * 1_000_000_000;
        Tick { at: Instant::from_nanos(nanos), wall: Timestamp::from_unix_nanos(1_700_000_000_000_000_000 + nanos) }
    }

    /// A machine with one package of 10 W, busy all the time.
    fn measure(pipeline: &mut Pipeline, seconds: std::ops::Range<u64>) {
        for second in seconds {
            let mut readings = Readings::new("host", tick(second));
            let total = CpuTimes { user_ns: second * 1_000_000_000, ..CpuTimes::default() };
            readings.items.extend([
                Reading::Energy(EnergyReading {
                    scope: Scope::Device(Device::new(DeviceKind::Cpu, "package-0")),
                    source: EnergySource::Rapl,
                    counter_uj: second * 10_000_000,
                    range: None,
                }),
                Reading::Cpu(CpuReading { total, per_cpu: Vec::new(), online: 1 }),
            ]);
            pipeline.ingest(&readings);
        }
    }

    fn energy(pipeline: &Pipeline) -> f64 {
        let samples = pipeline.snapshot(tick(9_999), &[]).samples;
        let rows = samples.iter().filter(|sample| std::ptr::eq(sample.metric, metrics::HW_ENERGY.descriptor()));
        rows.filter(|row| row.subject.identity().iter().any(|label| &*label.value == "package-0"))
            .filter_map(Sample::number)
            .sum()
    }

    async fn keep(keeper: &mut Keeper, pipeline: &Pipeline, second: u64) -> Result<()> {
        let samples = pipeline.snapshot(tick(second), &[]).samples;
        keeper.keep(pipeline, &samples, tick(second).wall, false).await
    }

    #[tokio::test]
    async fn the_next_agent_goes_on_with_books_and_counters() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("proc/sys/kernel/random")).unwrap();
        fs::write(root.path().join("proc/sys/kernel/random/boot_id"), "boot-a").unwrap();
        let config = config(root.path());
        let mut first = Pipeline::new(&config, None);
        let (mut keeper, found) = Keeper::open(&config, &mut first, tick(0).at).unwrap();
        assert_eq!(found, Found::Nothing);
        measure(&mut first, 1..32);
        keep(&mut keeper, &first, 32).await.unwrap();
        drop(keeper);

        let mut second = Pipeline::new(&config, None);
        let (mut keeper, found) = Keeper::open(&config, &mut second, tick(40).at).unwrap();
        assert_eq!(found, Found::Books);
        measure(&mut second, 45..61);
        // Three windows by the first, fourteen seconds between the two, and one window by the second.
        assert!((energy(&second) - 10.0 * (30.0 + 14.0 + 10.0)).abs() < 1e-9, "{} J", energy(&second));
        keep(&mut keeper, &second, 61).await.unwrap();
        drop(keeper);

        fs::write(root.path().join("proc/sys/kernel/random/boot_id"), "boot-b").unwrap();
        let before = energy(&second);
        let mut third = Pipeline::new(&config, None);
        Keeper::open(&config, &mut third, tick(1).at).unwrap();
        measure(&mut third, 1..12);
        assert!((energy(&third) - before - 100.0).abs() < 1e-9, "{} J after {before}", energy(&third));
    }

    fn call(pipeline: &mut Pipeline, second: u64) {
        let key = InferenceKey {
            model: "gpt-4o".into(),
            provider: "openai".into(),
            service: "shop".into(),
            agent: None,
            operation: "chat".into(),
        };
        let usage = TokenUsage { input: 10, output: 10, ..TokenUsage::default() };
        let mut readings = Readings::new("otlp", tick(second));
        let call = Inference::new(key, tick(second).wall, Seconds::new(1.0), usage);
        readings.items.push(Reading::Inference(call));
        pipeline.ingest(&readings);
    }

    /// Series of the machine's devices are not told before the first window of an agent is over, but calls are.
    #[tokio::test]
    async fn what_a_machine_drew_is_booked_once_though_calls_are_told_before_it_after_a_restart() {
        let root = tempfile::tempdir().unwrap();
        let config = config(root.path());
        let mut first = Pipeline::new(&config, None);
        let (mut keeper, _) = Keeper::open(&config, &mut first, tick(0).at).unwrap();
        call(&mut first, 1);
        measure(&mut first, 1..32);
        keep(&mut keeper, &first, 32).await.unwrap();
        drop(keeper);

        let mut second = Pipeline::new(&config, None);
        let (mut keeper, _) = Keeper::open(&config, &mut second, tick(40).at).unwrap();
        keep(&mut keeper, &second, 41).await.unwrap();
        measure(&mut second, 45..61);
        keep(&mut keeper, &second, 101).await.unwrap();
        let path = keeper.path();
        drop(keeper);

        let period = Period { span: Span::Day, since: Timestamp::default(), until: tick(1_000_000).wall };
        let amounts = Reader::open(&path).unwrap().amounts(metrics::HW_ENERGY.descriptor().name, period).unwrap();
        let booked: u64 =
            amounts.iter().filter(|row| row.series.labels.contains("package-0")).map(|row| row.amount).sum();
        assert!((booked as f64 / 1e6 - energy(&second)).abs() < 1e-6, "{booked} uJ of {} J", energy(&second));
    }

    #[tokio::test]
    async fn a_step_of_a_source_is_kept_when_its_calls_are_booked() {
        let root = tempfile::tempdir().unwrap();
        let config = config(root.path());
        let mut pipeline = Pipeline::new(&config, None);
        let (mut keeper, _) = Keeper::open(&config, &mut pipeline, tick(0).at).unwrap();
        let key = InferenceKey {
            model: "m".into(),
            provider: "aws.bedrock".into(),
            service: "s".into(),
            agent: None,
            operation: "chat".into(),
        };
        let usage = TokenUsage { input: 1, output: 1, ..TokenUsage::default() };
        let call = Inference::new(key, tick(0).wall, Seconds::ZERO, usage);
        let mut readings = Readings::new("files", tick(1));
        readings.items.push(Reading::Inference(call));
        readings.items.push(Reading::Progress(Progress { source: "files".into(), step: 7 }));
        pipeline.ingest(&readings);
        // The call waits for another account of it, and would be lost with the process.
        assert_eq!(pipeline.progress("files"), 0);
        pipeline.elapse(tick(60));
        assert_eq!(pipeline.progress("files"), 7);
        keep(&mut keeper, &pipeline, 60).await.unwrap();
        drop(keeper);
        for is_sure in [true, false] {
            if !is_sure {
                fs::remove_file(root.path().join("state").join(SURE)).unwrap();
            }
            let mut next = Pipeline::new(&config, None);
            let (_, found) = Keeper::open(&config, &mut next, tick(70).at).unwrap();
            assert_eq!((found == Found::Books, next.progress("files")), (is_sure, 7), "{found:?}");
        }
    }

    #[tokio::test]
    async fn a_machine_that_was_copied_begins_its_own_books() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("etc")).unwrap();
        fs::write(root.path().join("etc/machine-id"), "one").unwrap();
        let config = config(root.path());
        let mut pipeline = Pipeline::new(&config, None);
        let (mut keeper, _) = Keeper::open(&config, &mut pipeline, tick(0).at).unwrap();
        measure(&mut pipeline, 1..32);
        keep(&mut keeper, &pipeline, 32).await.unwrap();
        drop(keeper);
        fs::write(root.path().join("etc/machine-id"), "two").unwrap();
        let mut copy = Pipeline::new(&config, None);
        let (_keeper, found) = Keeper::open(&config, &mut copy, tick(40).at).unwrap();
        assert!(matches!(&found, Found::Other(why) if why.contains("another machine")), "{found:?}");
        assert!(energy(&copy).abs() < 1e-9);
    }

    #[tokio::test]
    async fn a_disk_that_hangs_holds_up_nobody_and_figures_that_it_lacks_begin_anew() {
        let root = tempfile::tempdir().unwrap();
        let config = config(root.path());
        let mut pipeline = Pipeline::new(&config, None);
        let (mut keeper, _) = Keeper::open(&config, &mut pipeline, tick(0).at).unwrap();
        measure(&mut pipeline, 1..32);
        keep(&mut keeper, &pipeline, 32).await.unwrap();
        let ledger = Arc::clone(&keeper.ledger);
        let (hung, release) = (std::sync::mpsc::sync_channel::<()>(0), std::sync::mpsc::sync_channel::<()>(0));
        let disk = std::thread::spawn(move || {
            let _held = ledger.lock().unwrap();
            hung.0.send(()).unwrap();
            release.1.recv().ok();
        });
        hung.1.recv().unwrap();
        measure(&mut pipeline, 32..50);
        for _ in 0..2 {
            let error = keep(&mut keeper, &pipeline, 50).await.unwrap_err().to_string();
            assert!(error.contains("does not answer"), "{error}");
        }
        // What the disk has is older than what was seen.
        release.0.send(()).unwrap();
        disk.join().unwrap();
        keeper.writing.take().unwrap().await.unwrap().unwrap();
        drop(keeper);
        let mut next = Pipeline::new(&config, None);
        let (mut keeper, found) = Keeper::open(&config, &mut next, tick(60).at).unwrap();
        assert!(matches!(&found, Found::Other(why) if why.contains("could not be written down")), "{found:?}");
        keep(&mut keeper, &pipeline, 50).await.unwrap();
        drop(keeper);
        let (_, found) = Keeper::open(&config, &mut next, tick(60).at).unwrap();
        assert_eq!(found, Found::Books);
    }
}
