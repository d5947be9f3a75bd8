//! Reads the text that engines expose: Prometheus 0.0.4, `OpenMetrics` 1.0, and what is near to either.
//!
//! Line by line and borrowed. A line that is neither a sample nor a comment is counted and passed over, so that one
//! line that a program got wrong does not cost the others. Types and units are not looked at: what a name means is known
//! by the name. Timestamps and exemplars are passed over.
//!
//! Sources: <https://prometheus.io/docs/instrumenting/exposition_formats/>,
//! <https://prometheus.io/docs/specs/om/open_metrics_spec/>.

use std::borrow::Cow;

/// Longer lines are not read: the longest seen, of a proxy with a dozen labels, have less than a kilobyte.
const LINE_BYTES_MAX: usize = 64 << 10;

/// One sample.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line<'a> {
    /// The name, with its suffix.
    pub(crate) name: Cow<'a, str>,
    /// The labels in the order of the line.
    pub(crate) labels: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// The value, which may be infinite or none.
    pub(crate) value: f64,
}

impl Line<'_> {
    /// The value of a label.
    pub(crate) fn label(&self, key: &str) -> Option<&str> {
        self.labels.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_ref())
    }
}

/// All samples of a text, and how many lines are none.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Exposition<'a> {
    /// The samples in the order of the text.
    pub(crate) lines: Vec<Line<'a>>,
    /// Lines that could not be read.
    pub(crate) unread: u64,
}

/// Reads a text. Whatever it holds, there is an answer.
pub(crate) fn parse(text: &[u8]) -> Exposition<'_> {
    let mut exposition = Exposition::default();
    for line in text.split(|byte| *byte == b'\n') {
        // No empty line and no comment has a sample, and a comment may hold anything.
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let short = Some(line).filter(|line| line.len() <= LINE_BYTES_MAX);
        match short.and_then(|line| std::str::from_utf8(line).ok()).and_then(sample) {
            Some(line) => exposition.lines.push(line),
            None => exposition.unread += 1,
        }
    }
    exposition
}

/// `name{label="value",...} value [timestamp] [# exemplar]`, or the same with the quoted name inside the braces.
fn sample(line: &str) -> Option<Line<'_>> {
    let end = line.find(|c: char| c == '{' || c.is_ascii_whitespace())?;
    let (name, rest) = line.split_at_checked(end)?;
    let mut name = Cow::Borrowed(name);
    let rest = rest.trim_ascii_start();
    let (labels, rest) = match rest.strip_prefix('{') {
        None => (Vec::new(), rest),
        Some(inside) => {
            let (quoted, labels, rest) = labels(inside)?;
            match quoted {
                Some(quoted) if name.is_empty() => name = quoted,
                Some(_second_name) => return None,
                None => {}
            }
            (labels, rest)
        }
    };
    if name.is_empty() {
        return None;
    }
    let value = rest.trim_ascii_start().split_ascii_whitespace().next()?;
    Some(Line { name, labels, value: number(value)? })
}

type Pairs<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// What stands between braces: the quoted name, if there is one, the labels, and what comes behind.
fn labels(mut rest: &str) -> Option<(Option<Cow<'_, str>>, Pairs<'_>, &str)> {
    let (mut name, mut pairs) = (None, Vec::new());
    loop {
        rest = rest.trim_ascii_start();
        if let Some(behind) = rest.strip_prefix('}') {
            return Some((name, pairs, behind));
        }
        let (key, behind) = match rest.strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let end = rest.find(|c: char| matches!(c, '=' | ',' | '}' | '"') || c.is_ascii_whitespace())?;
                let (key, behind) = rest.split_at_checked(end)?;
                (Cow::Borrowed(key), behind)
            }
        };
        let was_quoted = rest.starts_with('"');
        rest = behind.trim_ascii_start();
        match rest.strip_prefix('=') {
            Some(behind) => {
                let (value, behind) = unquote(behind.trim_ascii_start().strip_prefix('"')?)?;
                if key.is_empty() {
                    return None;
                }
                pairs.push((key, value));
                rest = behind.trim_ascii_start();
            }
            None if was_quoted && name.is_none() && pairs.is_empty() => name = Some(key),
            None => return None,
        }
        match rest.strip_prefix(',') {
            Some(behind) => rest = behind,
            None if rest.starts_with('}') => {}
            None => return None,
        }
    }
}

/// The text up to the quote that ends it, and what comes behind. A backslash before anything else than a backslash, a
/// quote or an `n` stands for itself, as Prometheus reads it.
fn unquote(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let mut owned: Option<String> = None;
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => {
                let value = owned.map_or_else(|| Cow::Borrowed(text.get(..at).unwrap_or_default()), Cow::Owned);
                return Some((value, text.get(at + 1..)?));
            }
            '\\' => {
                let owned = owned.get_or_insert_with(|| text.get(..at).unwrap_or_default().to_owned());
                match characters.next()?.1 {
                    'n' => owned.push('\n'),
                    '\\' => owned.push('\\'),
                    '"' => owned.push('"'),
                    other => owned.extend(['\\', other]),
                }
            }
            other => {
                if let Some(owned) = &mut owned {
                    owned.push(other);
                }
            }
        }
    }
    None
}

fn number(text: &str) -> Option<f64> {
    // Words that Rust would take and no exposition has are no harm.
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use wattline_core::sample::Period;
    use wattline_core::subject::{EngineKey, EngineKind};
    use wattline_core::{Attribute, Count, Seconds, Snapshot, Subject, Timestamp, metrics};
    use wattline_wire::exposition::render;

    use super::*;

    fn one(text: &str) -> Line<'_> {
        let exposition = parse(text.as_bytes());
        assert_eq!((exposition.lines.len(), exposition.unread), (1, 0), "{text}");
        exposition.lines.into_iter().next().unwrap()
    }

    #[test]
    fn lines_of_both_formats_are_read() {
        for (text, name, labels, value) in [
            ("a 1", "a", "", 1.0),
            ("a{} 1", "a", "", 1.0),
            (" a { b = \"c\" , } 1e3 1700000000000 ", "a", "b=c", 1000.0),
            ("vllm:x{model_name=\"m\",engine=\"0\"} 2.0", "vllm:x", "model_name=m;engine=0", 2.0),
            ("a_bucket{le=\"+Inf\"} 3 # {trace_id=\"q\"} 0.5 1.2", "a_bucket", "le=+Inf", 3.0),
            ("a{b=\"x\\\\y\\\"z\\n\\q\"} -Inf", "a", "b=x\\y\"z\n\\q", f64::NEG_INFINITY),
            ("a{b=\"}{,=# 1\"} 4", "a", "b=}{,=# 1", 4.0),
            ("{\"my.name\",\"a.b\"=\"c\"} 5", "my.name", "a.b=c", 5.0),
            ("{\"my.name\"} 6", "my.name", "", 6.0),
            ("a\t7\r", "a", "", 7.0),
        ] {
            let line = one(text);
            let found: Vec<String> = line.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
            assert_eq!((line.name.as_ref(), found.join(";").as_str(), line.value), (name, labels, value), "{text}");
        }
        assert!(one("a NaN").value.is_nan());
    }

    #[test]
    fn a_line_that_is_none_costs_only_itself() {
        let text = b"a 1\nno_value\n{} 1\nb{c=\"d} 2\nb{c=d} 2\nb{c 2\nb{\"n\"} 2\nb{c=\"d\"e=\"f\"} 3\nx y\n\xff\xfe 1\n# HELP a b\n\nc 3";
        let exposition = parse(text);
        assert_eq!(exposition.lines.iter().map(|line| line.value).collect::<Vec<_>>(), [1.0, 3.0]);
        assert_eq!(exposition.unread, 9);
        let long = format!("a{{b=\"{}\"}} 1\nc 2", "x".repeat(LINE_BYTES_MAX));
        let exposition = parse(long.as_bytes());
        assert_eq!((exposition.lines.len(), exposition.unread), (1, 1));
    }

    fn key(model: String) -> Arc<Subject> {
        let (kind, address) = (EngineKind::Vllm, "h".into());
        Arc::new(Subject::Engine(EngineKey { kind, model: model.into(), address, port: 1 }))
    }

    proptest! {
        #[test]
        fn what_is_rendered_is_read_again(series in prop::collection::btree_map(".{0,12}", (0.0..1e18f64, "\\PC{0,8}"), 1..20)) {
            let period = Period { start: Timestamp::default(), at: Timestamp::default() };
            let mut snapshot = Snapshot::default();
            for (model, (value, reason)) in &series {
                let label = vec![Attribute::new("engine.finish_reason", reason.clone())];
                snapshot.samples.push(metrics::ENGINE_REQUESTS.sample(&key(model.clone()), label, period, Count::new(*value)));
                let mut histogram = wattline_core::ExponentialHistogram::new();
                histogram.record(Seconds::new(value / 1e16).get());
                snapshot.samples.push(metrics::GEN_AI_SERVER_DURATION.distribution(&key(model.clone()), Vec::new(), period, Arc::new(histogram)));
            }
            let mut text = String::new();
            prop_assert_eq!(render(&snapshot, &mut text), 0);
            let exposition = parse(text.as_bytes());
            prop_assert_eq!(exposition.unread, 0);
            let mut found = std::collections::BTreeMap::new();
            for line in exposition.lines.iter().filter(|line| line.name == "engine_requests_total") {
                let label = |key: &str| line.label(key).unwrap_or_default().to_owned();
                found.insert(label("gen_ai_request_model"), (line.value, label("engine_finish_reason")));
            }
            prop_assert_eq!(&found, &series);
            let counts = exposition.lines.iter().filter(|line| line.name == "gen_ai_server_request_duration_seconds_count");
            let counts: Vec<f64> = counts.map(|line| line.value).collect();
            prop_assert_eq!(counts, vec![1.0; series.len()]);
        }

        #[test]
        fn no_bytes_panic_and_every_line_is_read_or_counted(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let exposition = parse(&bytes);
            let lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty() && line[0] != b'#').count();
            prop_assert_eq!(exposition.lines.len() as u64 + exposition.unread, lines as u64);
        }

        #[test]
        fn nothing_near_a_sample_panics(text in "[a-c:{}\"\\\\=,# \n0-9.eE+-]{0,80}") {
            parse(text.as_bytes());
        }
    }
}
