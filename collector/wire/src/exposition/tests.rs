use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use wattline_core::attribute::key;
use wattline_core::sample::Period;
use wattline_core::subject::InferenceKey;
use wattline_core::{Device, DeviceKind, Joules, Ratio, Subject, Tick, Timestamp, metrics as table};

use super::*;

/// A page by series: its name and labels, and its number. Panics on anything that the format does not allow.
type Page = BTreeMap<(String, Vec<(String, String)>), f64>;

/// A strict reader: one head before the lines of a family, families in one piece, no series twice.
fn parse(text: &str) -> Page {
    assert!(text.is_empty() || text.ends_with('\n'), "the last line is not ended");
    let mut page = Page::new();
    let mut families = BTreeSet::new();
    let mut lines = text.split_terminator('\n').peekable();
    while let Some(help) = lines.next() {
        let (family, _doc) = help.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')).expect(help);
        let kind = lines.next().and_then(|line| line.strip_prefix(&format!("# TYPE {family} "))).expect(family);
        assert!(families.insert(family), "{family} is in two pieces");
        let suffixes: &[&str] = match kind {
            "counter" | "gauge" => &[""],
            "histogram" => &["_bucket", "_sum", "_count"],
            other => panic!("{other} is no type"),
        };
        while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
            let (name, labels, value) = parse_line(line);
            assert!(suffixes.contains(&name.strip_prefix(family).expect(family)), "{name} under {family}");
            assert!(page.insert((name, labels), value).is_none(), "twice: {line}");
        }
    }
    page
}

fn parse_line(line: &str) -> (String, Vec<(String, String)>, f64) {
    let mut rest = line.char_indices().peekable();
    let mut take = |stop: &[char]| -> (String, char) {
        let mut word = String::new();
        for (_, c) in rest.by_ref() {
            if stop.contains(&c) {
                return (word, c);
            }
            word.push(c);
        }
        panic!("{line} ends early");
    };
    let (name, mut end) = take(&['{', ' ']);
    let mut labels = Vec::new();
    let mut keys = BTreeSet::new();
    while end == '{' || end == ',' {
        let (key, _) = take(&['=']);
        assert_eq!(take(&['"']).0, "", "{line}");
        let mut value = String::new();
        loop {
            let (piece, stop) = take(&['"', '\\']);
            value.push_str(&piece);
            if stop == '"' {
                break;
            }
            let (skipped, escaped) = take(&['"', '\\', 'n']);
            assert_eq!(skipped, "", "{line} escapes something else");
            value.push(if escaped == 'n' { '\n' } else { escaped });
        }
        assert!(!key.starts_with(|c: char| c.is_ascii_digit()) && !key.is_empty(), "{line}");
        assert!(key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{line}");
        assert!(keys.insert(key.clone()), "{key} twice in {line}");
        labels.push((key, value));
        let (between, next) = take(&[',', '}']);
        assert_eq!(between, "", "{line}");
        end = next;
        if end == '}' {
            assert_eq!(take(&[' ']).0, "", "{line}");
        }
    }
    let value: String = rest.map(|(_, c)| c).collect();
    (name, labels, value.parse().expect(line))
}

fn page(samples: Vec<Sample>) -> (String, u64) {
    let mut text = String::new();
    let left_out = render(&Snapshot { tick: Tick::default(), resource: Vec::new(), samples }, &mut text);
    (text, left_out)
}

fn period() -> Period {
    Period { start: Timestamp::from_unix_nanos(1), at: Timestamp::from_unix_nanos(2) }
}

fn gpu(id: &str) -> Arc<Subject> {
    Arc::new(Subject::Device(Device::new(DeviceKind::Gpu, id.to_owned())))
}

fn call() -> Arc<Subject> {
    Arc::new(Subject::Inference(InferenceKey {
        model: "m".into(),
        provider: "p".into(),
        service: "s".into(),
        agent: None,
        operation: "chat".into(),
    }))
}

fn recorded(values: &[f64]) -> Arc<ExponentialHistogram> {
    let mut histogram = ExponentialHistogram::new();
    for &value in values {
        assert!(histogram.record(value));
    }
    Arc::new(histogram)
}

#[test]
fn a_small_page_reads_as_expected() {
    let method = |word: &'static str| vec![Attribute::new(key::ENERGY_METHOD, word)];
    let samples = vec![
        table::WATTLINE_PROBE_UP.sample(
            &Arc::new(Subject::Wattline),
            vec![Attribute::new(key::WATTLINE_PROBE, "rapl")],
            period(),
            Ratio::new(1.0),
        ),
        table::HW_ENERGY.sample(&gpu("GPU-2"), method("measured"), period(), Joules::new(12.5)),
        table::HW_ENERGY.sample(&gpu("GPU-1"), method("measured"), period(), Joules::new(1e21)),
        table::HOST_ENERGY.sample(&Arc::new(Subject::Host), vec![], period(), Joules::new(0.1)),
    ];
    let resource = vec![Attribute::new(key::HOST_NAME, "node-1"), Attribute::new(key::OS_TYPE, "linux")];
    let mut text = String::new();
    assert_eq!(render(&Snapshot { tick: Tick::default(), resource, samples }, &mut text), 0);
    assert_eq!(
        text,
        r#"# HELP target_info What describes the machine.
# TYPE target_info gauge
target_info{host_name="node-1",os_type="linux"} 1
# HELP hw_energy_joules_total Energy drawn by one device. Devices are disjoint, so these may be added.
# TYPE hw_energy_joules_total counter
hw_energy_joules_total{hw_id="GPU-1",hw_type="gpu",energy_method="measured"} 1e21
hw_energy_joules_total{hw_id="GPU-2",hw_type="gpu",energy_method="measured"} 12.5
# HELP hw_host_energy_joules_total Energy drawn by the machine at its input: the sum of its hw.energy rows.
# TYPE hw_host_energy_joules_total counter
hw_host_energy_joules_total 0.1
# HELP wattline_probe_up_ratio Whether a probe could read at its last tick: 1 or 0.
# TYPE wattline_probe_up_ratio gauge
wattline_probe_up_ratio{wattline_probe="rapl"} 1
"#
    );
    parse(&text);
}

#[test]
fn tokens_are_counted_under_the_recommended_bounds() {
    let tokens = table::GEN_AI_TOKEN_USAGE.distribution(
        &call(),
        vec![],
        period(),
        recorded(&[0.0, 1.0, 2.0, 4.0, 5.0, 64.0, 65.0, 67_108_864.0, 1e9]),
    );
    let (text, left_out) = page(vec![tokens]);
    assert_eq!(left_out, 0);
    let buckets: Vec<(String, f64)> = parse(&text)
        .into_iter()
        .filter(|((name, _), _)| name.ends_with("_bucket"))
        .map(|((_, labels), count)| (labels.last().unwrap().1.clone(), count))
        .collect();
    let at = |bound: &str| buckets.iter().find(|(le, _)| le == bound).unwrap().1.to_string();
    let recommended = [
        "1", "4", "16", "64", "256", "1024", "4096", "16384", "65536", "262144", "1048576", "4194304", "16777216",
        "67108864", "+Inf",
    ];
    assert_eq!(buckets.len(), recommended.len());
    assert_eq!(recommended.map(at).join(" "), "2 4 5 6 7 7 7 7 7 7 7 7 7 8 9");
}

#[test]
fn a_histogram_without_values_is_all_zeros() {
    let empty = table::GEN_AI_DURATION.distribution(&call(), vec![], period(), Arc::default());
    let page = parse(&page(vec![empty]).0);
    assert!(page.values().all(|&count| count == 0.0));
    assert!(page.keys().any(|(name, _)| name == "gen_ai_client_operation_duration_seconds_sum"));
}

#[test]
fn a_very_wide_histogram_still_counts_upwards() {
    let wide = recorded(&[f64::MIN_POSITIVE, 1e-3, 1.0, 1e300]);
    assert!(wide.scale() < 0);
    let (text, _) = page(vec![table::GEN_AI_DURATION.distribution(&call(), vec![], period(), wide)]);
    let counts: Vec<u64> = text
        .lines()
        .filter(|line| line.contains("_bucket{"))
        .map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
        .collect();
    assert!(counts.is_sorted());
    assert_eq!(counts.last(), Some(&4));
}

#[test]
fn what_would_break_a_scrape_is_left_out_and_counted() {
    let energy = |joules: f64| table::HW_ENERGY.sample(&gpu("GPU-1"), vec![], period(), Joules::new(joules));
    let not_finite = Sample { value: Value::Number(f64::NAN), ..energy(0.0) };
    let wrong_kind = Sample { value: Value::Histogram(Arc::default()), ..energy(0.0) };
    let (text, left_out) = page(vec![energy(1.0), not_finite, wrong_kind, energy(2.0)]);
    assert_eq!(left_out, 3);
    assert_eq!(parse(&text).into_values().collect::<Vec<_>>(), [2.0]);
}

#[test]
fn a_label_stands_once_and_the_subject_wins() {
    let twice = vec![Attribute::new(key::HW_ID, "other"), Attribute::new(key::HW_PARENT, "board")];
    let (text, _) = page(vec![table::HW_ENERGY.sample(&gpu("GPU-1"), twice, period(), Joules::new(1.0))]);
    assert!(text.contains(r#"{hw_id="GPU-1",hw_type="gpu",hw_parent="board"} 1"#), "{text}");
}

proptest! {
    #[test]
    fn parsing_gives_back_what_was_rendered(
        figures in prop::collection::btree_map(prop_oneof!["\\PC{0,10}", "[\\\\\"\n\r{},= a]{0,10}"], prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL | prop::num::f64::ZERO, 0..20),
    ) {
        let samples: Vec<Sample> = figures
            .iter()
            .map(|(id, &joules)| table::HW_ENERGY.sample(&gpu(id), vec![], period(), Joules::new(joules)))
            .collect();
        let (text, left_out) = page(samples);
        prop_assert_eq!(left_out, 0);
        let read: BTreeMap<String, f64> =
            parse(&text).into_iter().map(|((_, labels), value)| (labels[0].1.clone(), value)).collect();
        prop_assert_eq!(read.len(), figures.len());
        for (id, value) in &figures {
            prop_assert_eq!(read[id].to_bits(), value.to_bits());
        }
    }

    #[test]
    fn counts_under_a_bound_are_the_values_up_to_it(values in prop::collection::vec(prop_oneof![Just(0.0), 1e-4..5e3f64, (0i32..12).prop_map(|power| f64::from(power).exp2())], 0..60)) {
        let tokens = table::GEN_AI_DURATION.distribution(&call(), vec![], period(), recorded(&values));
        for ((name, labels), count) in parse(&page(vec![tokens]).0) {
            if name.ends_with("_bucket") {
                let bound: f64 = labels.last().unwrap().1.parse().unwrap();
                // A rounded logarithm may put a value next to a bound on its other side.
                let surely = values.iter().filter(|&&value| value <= bound * (1.0 - 1e-9)).count() as f64;
                let maybe = values.iter().filter(|&&value| value <= bound * (1.0 + 1e-9)).count() as f64;
                prop_assert!(surely <= count && count <= maybe, "{count} under {bound}");
            }
        }
    }
}
