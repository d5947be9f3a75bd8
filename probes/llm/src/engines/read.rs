//! From the text of an engine to its readings: one for each model that it serves.

use std::collections::{BTreeMap, BTreeSet};

use wattline_core::reading::{EngineReading, HistogramReading, PhaseClock, PhaseTimes};
use wattline_core::subject::{EngineKey, EngineKind};
use wattline_core::{Ratio, Text};

use super::dialect::{self, Dialect, Field, Form, Reason, Row};
use super::text::{Exposition, Line, parse};

/// Models of one engine that are told apart. A proxy with more is not told whole, which is counted.
pub(super) const MODELS_MAX: usize = 64;

/// Reasons of one model that are told apart; further ones stand under `other`.
const REASONS_MAX: usize = 16;

/// Longer words are cut: they become labels of series.
const WORD_BYTES_MAX: usize = 200;

/// Bounds of one histogram: three times as many as the longest known has.
const BOUNDS_MAX: usize = 128;

/// Nothing that is counted or at work is more than this: beyond, a text has no whole numbers any more.
const MOST: f64 = 9_007_199_254_740_992.0;

/// The model where nothing tells.
pub(super) const UNKNOWN: &str = "unknown";

/// Which engine a text is of, and where it was read.
#[derive(Clone, Debug)]
pub(super) struct Origin<'a> {
    /// What the configuration says that it is.
    pub(super) kind: Option<EngineKind>,
    /// The model, where the text names none.
    pub(super) model: Option<&'a str>,
    pub(super) address: &'a Text,
    pub(super) port: u16,
    pub(super) service: &'a Text,
}

/// What a text says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Told {
    pub(super) kind: EngineKind,
    pub(super) readings: Vec<EngineReading>,
    /// Lines that could not be read.
    pub(super) unread: u64,
    /// Models beyond [`MODELS_MAX`].
    pub(super) left_out: u64,
    /// No line names a model.
    pub(super) is_nameless: bool,
}

/// Reads a text; `None` where it is no engine's.
pub(super) fn read(body: &[u8], origin: &Origin<'_>) -> Option<Told> {
    let unquoted = unquoted(body);
    let exposition = parse(unquoted.as_deref().unwrap_or(body));
    let found = dialect::detect(exposition.lines.iter().map(|line| line.name.as_ref()));
    let kind = match (origin.kind, found) {
        (_, None) => return None,
        (Some(kind), Some(_)) | (None, Some(kind)) => kind,
    };
    Some(told(&exposition, dialect::of(kind), origin))
}

/// The text inside a JSON string: some builds of llama.cpp (about 7010 to 7100) answered so.
fn unquoted(body: &[u8]) -> Option<Vec<u8>> {
    let body = body.trim_ascii();
    if !body.starts_with(b"\"") {
        return None;
    }
    serde_json::from_slice::<String>(body).ok().map(String::into_bytes)
}

fn told(exposition: &Exposition<'_>, dialect: &Dialect, origin: &Origin<'_>) -> Told {
    let mut names: BTreeMap<&str, Vec<&Line<'_>>> = BTreeMap::new();
    for line in &exposition.lines {
        if let Some(name) = bare(&line.name, dialect).filter(|name| is_wanted(name, dialect)) {
            names.entry(name).or_default().push(line);
        }
    }
    let models: BTreeSet<&str> = names.values().flatten().filter_map(|line| model_of(line, dialect)).collect();
    let mut told = Told {
        kind: dialect.kind,
        readings: Vec::new(),
        unread: exposition.unread,
        left_out: models.len().saturating_sub(MODELS_MAX) as u64,
        is_nameless: models.is_empty(),
    };
    // A text that names one model or none has lines without a name, such as those about the whole server.
    let sole = if models.len() > 1 { None } else { Some(models.first().copied()) };
    let each: Vec<Option<&str>> =
        if let Some(sole) = sole { vec![sole] } else { models.into_iter().map(Some).take(MODELS_MAX).collect() };
    for model in each {
        let own = |line: &&&Line<'_>| sole.is_some() || model_of(line, dialect) == model;
        let of_model =
            |name: &str| names.get(name).map_or_else(Vec::new, |lines| lines.iter().filter(own).copied().collect());
        let model = cut(model.or(origin.model).unwrap_or(UNKNOWN)).to_owned();
        let key =
            EngineKey { kind: dialect.kind, model: model.into(), address: origin.address.clone(), port: origin.port };
        let reading = EngineReading::new(key, origin.service.clone());
        told.readings.push(filled(reading, dialect, of_model));
    }
    told
}

/// A name without prefix and without `_total`; `None` for one that is not this engine's.
fn bare<'a>(name: &'a str, dialect: &Dialect) -> Option<&'a str> {
    let name = dialect.prefixes.iter().rev().find_map(|prefix| name.strip_prefix(prefix))?;
    Some(name.strip_suffix("_total").unwrap_or(name))
}

/// Whether a row reads this name. Others may name models that were asked for and do not exist.
fn is_wanted(name: &str, dialect: &Dialect) -> bool {
    dialect.rows.iter().any(|row| {
        let suffix = name.strip_prefix(row.name);
        suffix.is_some_and(|suffix| match row.form {
            Form::Number => suffix.is_empty(),
            Form::Sum => suffix == "_sum",
            Form::Histogram => matches!(suffix, "_sum" | "_count" | "_bucket"),
        })
    })
}

fn model_of<'a>(line: &'a Line<'_>, dialect: &Dialect) -> Option<&'a str> {
    dialect.models.iter().find_map(|label| line.label(label)).filter(|model| !model.is_empty())
}

fn filled<'a>(
    mut reading: EngineReading,
    dialect: &Dialect,
    lines: impl Fn(&str) -> Vec<&'a Line<'a>>,
) -> EngineReading {
    let (mut prefill_ns, mut decode_ns) = (None, None);
    for field in Field::ALL {
        let rows = dialect.rows.iter().filter(|row| row.field == field);
        let mut found = false;
        for row in rows {
            found = match field {
                Field::Input => set(&mut reading.tokens.input, whole(number(row, &lines))),
                Field::Cached => set(&mut reading.tokens.cached, whole(number(row, &lines))),
                Field::Output => set(&mut reading.tokens.output, whole(number(row, &lines))),
                Field::Drafted => set(&mut reading.tokens.drafted, whole(number(row, &lines))),
                Field::Accepted => set(&mut reading.tokens.accepted, whole(number(row, &lines))),
                Field::Requests => {
                    reading.requests = reasons(row, &lines);
                    !reading.requests.is_empty()
                }
                Field::Running => {
                    reading.replicas = replicas(row, &lines);
                    set(&mut reading.running, number(row, &lines))
                }
                Field::Waiting => set(&mut reading.waiting, number(row, &lines)),
                Field::CacheUsage => set(&mut reading.cache_usage, mean(row, &lines).map(Ratio::new)),
                Field::Preemptions => set(&mut reading.preemptions, whole(number(row, &lines))),
                Field::Prefill => set(&mut prefill_ns, nanoseconds(number(row, &lines))),
                Field::Decode => set(&mut decode_ns, nanoseconds(number(row, &lines))),
                Field::FirstToken => set(&mut reading.first_token, histogram(row, &lines)),
                Field::PerToken => set(&mut reading.per_token, histogram(row, &lines)),
                Field::Duration => set(&mut reading.duration, histogram(row, &lines)),
            };
            if found {
                break;
            }
        }
        if !found {
            reading.missing.extend(field.missed());
        }
    }
    if dialect.input_is_uncached
        && let (Some(input), Some(cached)) = (reading.tokens.input, reading.tokens.cached)
    {
        reading.tokens.input = Some(input.saturating_add(cached));
    }
    // Builds of llama.cpp that count cached tokens time the reading of prompts by the batch, and no longer by the slot.
    let counts_batches = dialect.kind == EngineKind::LlamaCpp && reading.tokens.cached.is_some();
    // Where a phase has not been entered yet some engines have no series of it.
    if prefill_ns.is_some() || decode_ns.is_some() {
        reading.phases = Some(PhaseTimes {
            prefill_ns: prefill_ns.unwrap_or(0),
            prefill_clock: if counts_batches { PhaseClock::Engine } else { dialect.clock },
            decode_ns: decode_ns.unwrap_or(0),
            decode_clock: dialect.clock,
        });
    }
    reading
}

fn set<T>(place: &mut Option<T>, value: Option<T>) -> bool {
    let found = value.is_some();
    *place = value;
    found
}

/// What is added up of one row: the value of each replica, by what of it is told apart.
struct Cells<K> {
    cells: BTreeMap<(K, String), (Vec<u64>, f64)>,
}

/// Labels of ranks that work on the same requests: each of them shows the same, so that one is taken and none is added.
const SAME_WORK: [&str; 4] = ["tp_rank", "pp_rank", "moe_ep_rank", "ep_rank"];
/// Labels of replicas that share out the requests: these are added.
const OTHER_WORK: [&str; 4] = ["dp_rank", "engine", "engine_idx", "engine_id"];

impl<K: Ord + Clone> Cells<K> {
    fn new() -> Self {
        Self { cells: BTreeMap::new() }
    }

    fn add(&mut self, key: K, line: &Line<'_>, value: f64) {
        let rank: Vec<u64> =
            SAME_WORK.iter().map(|label| line.label(label).and_then(|rank| rank.parse().ok()).unwrap_or(0)).collect();
        let replica = OTHER_WORK.iter().filter_map(|label| line.label(label)).collect::<Vec<_>>().join("\u{0}");
        match self.cells.entry((key, replica)) {
            std::collections::btree_map::Entry::Vacant(place) => {
                place.insert((rank, value));
            }
            std::collections::btree_map::Entry::Occupied(mut held) => {
                let held = held.get_mut();
                match rank.cmp(&held.0) {
                    std::cmp::Ordering::Less => *held = (rank, value),
                    std::cmp::Ordering::Equal => held.1 += value,
                    std::cmp::Ordering::Greater => {}
                }
            }
        }
    }

    /// The sums over replicas.
    fn sums(self) -> BTreeMap<K, f64> {
        let mut sums = BTreeMap::new();
        for ((key, _), (_, value)) in self.cells {
            *sums.entry(key).or_insert(0.0) += value;
        }
        sums
    }
}

/// The series of a row: those of its name that it is about, with values that are numbers.
fn series<'a>(row: &Row, suffix: &str, lines: &impl Fn(&str) -> Vec<&'a Line<'a>>) -> Vec<(&'a Line<'a>, f64)> {
    let found = if suffix.is_empty() { lines(row.name) } else { lines(&format!("{}{suffix}", row.name)) };
    let is_meant = |line: &&Line<'_>| {
        row.only.is_none_or(|(label, values)| line.label(label).is_some_and(|value| values.contains(&value)))
            && row.except.is_none_or(|(label, value)| line.label(label) != Some(value))
    };
    found.into_iter().filter(is_meant).filter(|line| line.value.is_finite()).map(|line| (line, line.value)).collect()
}

fn number<'a>(row: &Row, lines: &impl Fn(&str) -> Vec<&'a Line<'a>>) -> Option<f64> {
    let suffix = if row.form == Form::Sum { "_sum" } else { "" };
    let mut cells = Cells::new();
    for (line, value) in series(row, suffix, lines) {
        cells.add((), line, value);
    }
    // What is counted or at work is not negative.
    cells.sums().remove(&()).map(|value| value * row.unit).filter(|value| (0.0..=MOST).contains(value))
}

/// Replicas that have a series of a row; at least one.
fn replicas<'a>(row: &Row, lines: &impl Fn(&str) -> Vec<&'a Line<'a>>) -> u32 {
    let mut cells = Cells::new();
    for (line, value) in series(row, "", lines) {
        cells.add((), line, value);
    }
    u32::try_from(cells.cells.len()).unwrap_or(u32::MAX).max(1)
}

/// The mean over replicas.
fn mean<'a>(row: &Row, lines: &impl Fn(&str) -> Vec<&'a Line<'a>>) -> Option<f64> {
    let mut cells = Cells::new();
    for (line, value) in series(row, "", lines) {
        cells.add((), line, value);
    }
    let replicas = cells.cells.len() as f64;
    // A sum of values that are much too large may be none.
    let mean = cells.sums().remove(&()).map(|value| value * row.unit / replicas).filter(|mean| !mean.is_nan());
    mean.map(|mean| mean.clamp(0.0, 1.0))
}

fn reasons<'a>(row: &Row, lines: &impl Fn(&str) -> Vec<&'a Line<'a>>) -> Vec<(Text, u64)> {
    let mut cells = Cells::new();
    for (line, value) in series(row, "", lines) {
        let reason = match row.reason {
            Reason::Label(label) => line.label(label).filter(|word| !word.is_empty()).unwrap_or(UNKNOWN),
            Reason::Word(word) => word,
        };
        cells.add(reason, line, value);
    }
    let mut told: Vec<(Text, u64)> = Vec::new();
    let mut rest = 0_u64;
    for (reason, value) in cells.sums() {
        let Some(count) = whole(Some(value)) else { continue };
        if told.len() < REASONS_MAX {
            told.push((Text::from(cut(reason).to_owned()), count));
        } else {
            rest = rest.saturating_add(count);
        }
    }
    if rest > 0 {
        told.push((Text::Static("other"), rest));
    }
    told
}

fn histogram<'a>(row: &Row, lines: &impl Fn(&str) -> Vec<&'a Line<'a>>) -> Option<HistogramReading> {
    let whole_row = Row { form: Form::Number, ..*row };
    let part = |suffix: &str| {
        let mut cells = Cells::new();
        for (line, value) in series(&whole_row, suffix, lines) {
            cells.add((), line, value);
        }
        cells.sums().remove(&())
    };
    let count = whole(part("_count"))?;
    let sum = Some((part("_sum")? * row.unit).max(0.0)).filter(|sum| *sum <= MOST)?;
    let mut cells = Cells::new();
    for (line, value) in series(&whole_row, "_bucket", lines) {
        let bound = line.label("le").and_then(|bound| bound.parse::<f64>().ok());
        if let Some(bound) = bound.filter(|bound| bound.is_finite() && *bound >= 0.0) {
            // Bounds of a histogram are not negative here, so that their bits are in the order of their values.
            cells.add(bound.to_bits(), line, value);
        }
    }
    let mut buckets: Vec<(f64, u64)> = Vec::new();
    for (bound, value) in cells.sums().into_iter().take(BOUNDS_MAX) {
        // Whatever the text says, counts rise and end at the count.
        let least = buckets.last().map_or(0, |(_, count)| *count);
        let at_or_below = whole(Some(value)).unwrap_or(0).clamp(least, count.max(least));
        buckets.push((f64::from_bits(bound) * row.unit, at_or_below));
    }
    Some(HistogramReading { buckets, count, sum })
}

/// As much of a word as a label holds.
fn cut(word: &str) -> &str {
    word.get(..word.floor_char_boundary(WORD_BYTES_MAX)).unwrap_or(word)
}

/// The nearest whole number of what is one or none.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "negative and larger ones are none")]
fn whole(value: Option<f64>) -> Option<u64> {
    value.filter(|value| (0.0..=MOST).contains(value)).map(|value| value.round() as u64)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, and none is negative")]
fn nanoseconds(seconds: Option<f64>) -> Option<u64> {
    seconds.map(|seconds| (seconds * 1e9).round() as u64)
}

#[cfg(test)]
mod tests;
