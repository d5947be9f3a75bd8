use proptest::prelude::*;
use wattline_core::subject::InferenceKey;
use wattline_core::{Device, DeviceKind, ExponentialHistogram, Instant, Tick, Timestamp, Value};

use super::*;
use crate::series::{Amount, SeriesId, labels};
use crate::temporality::{Deltas, Unreadable};

const SECOND: u64 = 1_000_000_000;

fn view(toml: &str) -> Result<View, ViewError> {
    View::new(&toml::from_str(toml).unwrap(), "store")
}

fn period(start: u64, at: u64) -> Period {
    let time = |seconds: u64| Timestamp::from_unix_nanos(seconds * SECOND);
    Period { start: time(start), at: time(at) }
}

fn unit(name: &str) -> Arc<Subject> {
    Arc::new(Subject::Workload(Workload::Unit(name.to_owned().into())))
}

fn energy(subject: &Arc<Subject>, period: Period, units: u64) -> Sample {
    let attributes = vec![Attribute::new(key::HW_TYPE, "cpu"), Attribute::new(key::ENERGY_STATE, "active")];
    let value = Value::Number(units as f64 / 1e6);
    Sample { metric: metrics::WORKLOAD_ENERGY.descriptor(), subject: Arc::clone(subject), attributes, period, value }
}

fn retired(period: Period, units: u64) -> Sample {
    Sample {
        metric: metrics::RETIRED_ENERGY.descriptor(),
        subject: Arc::new(Subject::Host),
        attributes: vec![Attribute::new(key::HW_TYPE, "cpu")],
        period,
        value: Value::Number(units as f64 / 1e6),
    }
}

fn snapshot(at: u64, samples: Vec<Sample>) -> Snapshot {
    let wall = Timestamp::from_unix_nanos(at * SECOND);
    let resource = vec![Attribute::new(key::SERVICE_NAME, "wattline"), Attribute::new(key::HOST_NAME, "node-1")];
    Snapshot { tick: Tick { at: Instant::from_nanos(at * SECOND), wall }, resource, samples }
}

fn units(sample: &Sample) -> i64 {
    Amount::of(sample).unwrap().units()
}

/// Lines of name, labels and value, sorted.
fn lines(snapshot: &Snapshot) -> Vec<String> {
    let line = |sample: &Sample| {
        let labels: Vec<String> = labels(sample).iter().map(|label| format!("{}={}", label.key, label.value)).collect();
        let value = match &sample.value {
            Value::Number(number) => number.to_string(),
            Value::Histogram(histogram) => format!("{} values", histogram.count()),
        };
        format!("{}{{{}}} {value}", sample.metric.name, labels.join(","))
    };
    let mut lines: Vec<String> = snapshot.samples.iter().map(line).collect();
    lines.sort();
    lines
}

#[test]
fn without_a_word_everything_is_told_as_it_is() {
    let snapshot = snapshot(60, vec![energy(&unit("a"), period(1, 60), 5), retired(period(1, 60), 7)]);
    let told = view("").unwrap().apply(&snapshot);
    assert_eq!((told.samples, told.resource, told.tick), (snapshot.samples, snapshot.resource, snapshot.tick));
}

#[test]
fn metrics_are_chosen_by_name_and_by_beginning() {
    let snapshot = snapshot(60, vec![energy(&unit("a"), period(1, 60), 5), retired(period(1, 60), 7)]);
    for (config, told) in [
        ("metrics = ['workload.*']", 2),
        ("metrics = ['workload.energy']", 1),
        ("metrics = ['hw.*', 'workload.e*']", 1),
        ("exclude_metrics = ['workload.retired.*']", 1),
        ("metrics = ['workload.*']\nexclude_metrics = ['*']", 0),
    ] {
        assert_eq!(view(config).unwrap().apply(&snapshot).samples.len(), told, "{config}");
    }
}

#[test]
fn what_cannot_be_names_its_key() {
    for (config, key) in [
        ("metrics = ['workload.enrgy']", "metrics"),
        ("exclude_metrics = ['workload*energy']", "exclude_metrics"),
        ("keep_attributes = ['']", "keep_attributes"),
        ("keep_attributes = ['hw.id']\ndrop_attributes = ['hw.id']", "drop_attributes"),
    ] {
        assert_eq!(view(config).unwrap_err().key, key, "{config}");
    }
}

#[test]
fn figures_without_a_label_are_put_together_by_what_they_are() {
    let (gpu, other) = (Device::new(DeviceKind::Gpu, "GPU-1"), Device::new(DeviceKind::Gpu, "GPU-2"));
    let sample = |metric: &'static wattline_core::Descriptor, device: &Device, value: f64| Sample {
        metric,
        subject: Arc::new(Subject::Device(device.clone())),
        attributes: Vec::new(),
        period: period(1, 60),
        value: Value::Number(value),
    };
    let samples = vec![
        sample(metrics::HW_ENERGY.descriptor(), &gpu, 40.0),
        sample(metrics::HW_ENERGY.descriptor(), &other, 2.0),
        sample(metrics::HW_POWER.descriptor(), &gpu, 300.0),
        sample(metrics::HW_POWER.descriptor(), &other, 70.0),
        sample(metrics::WORKLOAD_MEMORY.descriptor(), &gpu, 3.0),
        sample(metrics::WORKLOAD_MEMORY.descriptor(), &other, 4.0),
    ];
    let told = view("drop_attributes = ['hw.id', 'host.name']").unwrap().apply(&snapshot(60, samples.clone()));
    let expected = ["hw.energy{hw.type=gpu} 42", "hw.power{hw.type=gpu} 300", "workload.memory.usage{hw.type=gpu} 7"];
    assert_eq!(lines(&told), expected);
    assert_eq!(told.resource, [Attribute::new(key::SERVICE_NAME, "wattline")]);
    let told = view("keep_attributes = ['hw.type']").unwrap().apply(&snapshot(60, samples));
    assert_eq!(lines(&told), expected);
    assert_eq!(told.resource.len(), 2, "what describes the machine stays");
}

#[test]
fn distributions_are_merged() {
    let call = |agent: &'static str| {
        let text = wattline_core::Text::from;
        Arc::new(Subject::Inference(InferenceKey {
            model: text("m"),
            provider: text("p"),
            service: text("s"),
            agent: Some(text(agent)),
            operation: text("chat"),
        }))
    };
    let sample = |agent, values: &[f64]| {
        let mut histogram = ExponentialHistogram::new();
        assert!(values.iter().all(|value| histogram.record(*value)));
        metrics::GEN_AI_DURATION.distribution(&call(agent), vec![], period(1, 60), Arc::new(histogram))
    };
    let snapshot = snapshot(60, vec![sample("a", &[1.0, 2.0]), sample("b", &[3.0])]);
    let told = view("keep_attributes = ['gen_ai.request.model']").unwrap().apply(&snapshot);
    assert_eq!(lines(&told), ["gen_ai.client.operation.duration{gen_ai.request.model=m} 3 values"]);
    assert!(!told.samples[0].subject.is_entity(), "the service that called is not the service that sends");
}

#[test]
fn a_folded_workload_leaves_its_past_where_it_was() {
    let mut view = view("max_workloads = 1\nmetrics = ['workload.*', 'wattline.*']").unwrap();
    let (a, b) = (unit("a"), unit("b"));
    let mut told = |at: u64, left: u64, right: u64| {
        let period = period(1, at);
        lines(&view.apply(&snapshot(at, vec![energy(&a, period, left), energy(&b, period, right)])))
    };
    let own = |name: &str, joules: u64| {
        format!("workload.energy{{workload.kind=unit,systemd.unit={name},hw.type=cpu,energy.state=active}} {joules}")
    };
    let other =
        |joules: u64| format!("workload.energy{{workload.kind=other,hw.type=cpu,energy.state=active}} {joules}");
    let ended = |joules: u64| format!("workload.retired.energy{{hw.type=cpu}} {joules}");
    let folded = "wattline.workloads.folded{wattline.destination=store} 1".to_owned();
    let joules = 1_000_000;
    assert_eq!(told(60, 10 * joules, 3 * joules), [folded.clone(), other(3), own("a", 10)]);
    // Now b draws more, but not clearly; then it does.
    assert_eq!(told(120, 11 * joules, 20 * joules), [folded.clone(), other(20), own("a", 11)]);
    assert_eq!(told(180, 12 * joules, 50 * joules), [folded.clone(), other(21), own("b", 30), ended(11)]);
    // And a comes back: its past in `other` and of its first series stays, and it begins anew.
    assert_eq!(told(240, 212 * joules, 51 * joules), [folded, other(22), own("a", 200), ended(41)]);
}

#[test]
fn what_cannot_be_read_leaves_the_view_as_it_is() {
    let mut view = view("max_workloads = 1").unwrap();
    view.apply(&snapshot(60, vec![energy(&unit("a"), period(1, 60), 5)]));
    let (saved, before) = (view.save(), view.clone());
    assert_eq!(view.restore(&saved[..saved.len() - 1]), Err(Unreadable));
    assert_eq!(view, before);
    assert_eq!(view.restore(&saved), Ok(()));
    assert_eq!(view, before);
}

/// What happens to a workload between two snapshots.
#[derive(Clone, Copy, Debug)]
enum Event {
    Grow(u64),
    Retire,
}

#[derive(Clone, Copy, Debug)]
enum Restart {
    No,
    Agent,
    Books,
}

fn steps() -> impl Strategy<Value = Vec<(Vec<Event>, Restart)>> {
    let event = prop_oneof![
        2 => Just(Event::Grow(0)),
        4 => (0u64..1 << 30).prop_map(Event::Grow),
        1 => (0u64..1 << 40).prop_map(Event::Grow),
        1 => Just(Event::Retire),
    ];
    let restart = prop_oneof![8 => Just(Restart::No), 2 => Just(Restart::Agent), 1 => Just(Restart::Books)];
    prop::collection::vec((prop::collection::vec(event, 6), restart), 1..30)
}

/// Books of six workloads, as a snapshot has them.
#[derive(Debug, Default)]
struct Books {
    opened: u64,
    rows: BTreeMap<usize, (u64, u64)>,
    retired: Option<u64>,
    /// All that was ever booked on rows, as far as a snapshot showed it.
    booked: u64,
}

impl Books {
    fn step(&mut self, at: u64, events: &[Event]) -> Snapshot {
        for (index, event) in events.iter().enumerate() {
            match event {
                Event::Grow(more) => {
                    self.rows.entry(index).or_insert((at - 30, 0)).1 += more;
                    self.booked += more;
                }
                Event::Retire => {
                    if let Some((_, units)) = self.rows.remove(&index) {
                        *self.retired.get_or_insert(0) += units;
                    }
                }
            }
        }
        let rows = self.rows.iter().map(|(index, (start, units))| {
            // One of them is what the books themselves do not tell apart.
            let subject =
                if *index == 5 { Arc::new(Subject::Workload(Workload::Other)) } else { unit(&index.to_string()) };
            energy(&subject, period(*start, at), *units)
        });
        let retired = self.retired.map(|units| retired(period(self.opened, at), units));
        snapshot(at, rows.chain(retired).collect())
    }
}

proptest! {
    #[test]
    fn the_books_close_and_nothing_goes_back_whatever_is_put_together(
        steps in steps(),
        config in prop::sample::select(vec![
            "max_workloads = 2",
            "max_workloads = 9",
            "drop_attributes = ['systemd.unit']",
            "drop_attributes = ['workload.kind', 'hw.type']\nmax_workloads = 1",
            "keep_attributes = ['hw.type']",
        ]),
    ) {
        let most = toml::from_str::<ViewConfig>(config).unwrap().max_workloads;
        let mut view = view(config).unwrap();
        let mut deltas = Deltas::new(Timestamp::default());
        let mut books = Books::default();
        let mut last: BTreeMap<SeriesId, (Period, i64)> = BTreeMap::new();
        let mut grown = 0;
        for (step, (events, restart)) in steps.into_iter().enumerate() {
            let at = (step as u64 + 1) * 60;
            match restart {
                Restart::No => {}
                Restart::Agent => {
                    let saved = view.save();
                    view = View::new(&toml::from_str(config).unwrap(), "store").unwrap();
                    view.restore(&saved).unwrap();
                }
                Restart::Books => books = Books { opened: at - 30, booked: books.booked, ..Books::default() },
            }
            let before = books.step(at, &events);
            let told = view.apply(&before);
            let sum = |snapshot: &Snapshot, name: &str| -> i64 {
                snapshot.samples.iter().filter(|sample| sample.metric.name == name).map(units).sum()
            };
            let all = |snapshot: &Snapshot| sum(snapshot, "workload.energy") + sum(snapshot, "workload.retired.energy");
            prop_assert_eq!(all(&told), all(&before));
            let mut seen = std::collections::BTreeSet::new();
            for sample in &told.samples {
                prop_assert!(seen.insert(SeriesId::of(sample)), "told twice: {sample:?}");
                if let Some((before, units_before)) = last.insert(SeriesId::of(sample), (sample.period, units(sample))) {
                    let goes_on = before.start == sample.period.start;
                    prop_assert!(!goes_on || units(sample) >= units_before, "goes back: {sample:?}");
                    prop_assert!(goes_on || sample.period.start >= before.at, "overlaps: {sample:?}");
                }
            }
            let own = told.samples.iter().filter(|sample| matches!(*sample.subject, Subject::Workload(Workload::Unit(_))));
            prop_assert!(most == 0 || own.count() <= most);
            let delta = deltas.convert(&told.samples);
            grown += sum(&Snapshot { samples: delta, ..Snapshot::default() }, "workload.energy");
            prop_assert_eq!(grown, i64::try_from(books.booked).unwrap());
        }
    }
}
