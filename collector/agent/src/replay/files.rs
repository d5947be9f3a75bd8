//! What recordings hold, whatever their form.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::value::RawValue;
use wattline_core::{Reading, Seconds, Signal, Timestamp};
use wattline_probe_llm::bedrock::{Rules, Told, calls_of_logs};
use wattline_probe_llm::engines;
use wattline_probe_llm::normalise::{Calls, Normaliser};
use wattline_wire::json::to_protobuf;
use wattline_wire::schema::{Limits, check};

/// The largest file, after decompression.
const FILE_BYTES_MAX: u64 = 4 << 30;
const SIGNALS: [(Signal, &str, &str); 3] = [
    (Signal::Traces, "resourceSpans", "trace"),
    (Signal::Logs, "resourceLogs", "log"),
    (Signal::Metrics, "resourceMetrics", "metric"),
];

/// What files hold, each thing with its time.
#[derive(Debug, Default)]
pub(super) struct Recording {
    pub(super) events: Vec<(Timestamp, Reading)>,
    pub(super) left_out: BTreeMap<&'static str, u64>,
    pub(super) notes: Vec<String>,
}

impl Recording {
    /// Reads files and folders. A file that cannot be read is an error; one that holds nothing known is noted.
    pub(super) fn read(paths: &[PathBuf], rules: &Rules) -> Result<Self> {
        let mut recording = Self::default();
        let normaliser = Normaliser::of_recordings();
        for path in paths {
            for file in files(path)? {
                let bytes = contents(&file).with_context(|| format!("reading {} failed", file.display()))?;
                let before = recording.events.len();
                let is_known = recording.take(&file, &bytes, &normaliser, rules);
                if !is_known {
                    recording.notes.push(format!("{}: nothing in it is known", file.display()));
                } else if recording.events.len() == before {
                    recording.notes.push(format!("{}: no call is in it", file.display()));
                }
            }
        }
        Ok(recording)
    }

    /// False where nothing of the file is known.
    fn take(&mut self, file: &Path, bytes: &[u8], normaliser: &Normaliser, rules: &Rules) -> bool {
        let text = bytes.trim_ascii_start();
        match text.first() {
            None => true,
            Some(b'{' | b'[') => self.take_json(text, normaliser, rules),
            Some(_) if std::str::from_utf8(bytes).is_ok() => self.take_text(file, bytes, rules),
            Some(_) => self.take_frames(file, bytes, normaliser, rules),
        }
    }

    /// JSON values one behind another, on a line each or over many.
    fn take_json(&mut self, text: &[u8], normaliser: &Normaliser, rules: &Rules) -> bool {
        let mut is_known = false;
        for value in serde_json::Deserializer::from_slice(text).into_iter::<Box<RawValue>>() {
            let Ok(value) = value else {
                self.leave_out("record_unreadable", 1);
                break;
            };
            let json = value.get().as_bytes();
            let signal = SIGNALS.iter().find(|(_, member, _)| has_member(value.get(), member));
            match signal {
                Some((signal, ..)) => match to_protobuf(*signal, json, json.len().saturating_mul(2)) {
                    Ok(request) => is_known |= self.take_request(*signal, &request, normaliser, rules),
                    Err(_broken) => self.leave_out("record_unreadable", 1),
                },
                None => is_known |= self.take_line(json, rules),
            }
        }
        is_known
    }

    /// Lines of a log, with or without a time in front; else the exposition of an engine, as of when it was written.
    fn take_text(&mut self, file: &Path, bytes: &[u8], rules: &Rules) -> bool {
        let name = file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        if let Some(readings) = engines::readings(bytes) {
            #[expect(clippy::disallowed_methods, reason = "the recording is the user's file")]
            let written = fs::metadata(file).and_then(|about| about.modified()).ok();
            let since = written.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok()).unwrap_or_default();
            let at = Timestamp::from_unix_nanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX));
            self.events.extend(readings.into_iter().map(|reading| (at, Reading::Engine(Box::new(reading)))));
            return true;
        }
        let mut is_known = false;
        for line in bytes.split(|&byte| byte == b'\n').filter(|line| line.contains(&b'{')) {
            is_known |= self.take_line(line, rules);
        }
        if !is_known {
            tracing::debug!(name, "neither an exposition nor a log");
        }
        is_known
    }

    fn take_line(&mut self, line: &[u8], rules: &Rules) -> bool {
        let mut told = Told::default();
        told.read_line(line, rules, END);
        let is_known = !told.is_empty();
        self.take_told(told);
        is_known
    }

    /// Requests in protobuf: one, or each behind its length in four bytes, as the Collector's file exporter writes them.
    fn take_frames(&mut self, file: &Path, bytes: &[u8], normaliser: &Normaliser, rules: &Rules) -> bool {
        let frames = frames(bytes).unwrap_or_else(|| vec![bytes]);
        let name = file.to_string_lossy().to_ascii_lowercase();
        let mut is_known = false;
        for frame in frames {
            let limits = Limits { attributes: u32::MAX };
            let passes = |signal: &Signal| check(*signal, frame, limits).is_ok_and(|items| items > 0);
            let named = SIGNALS.iter().find(|(_, _, word)| name.contains(word)).map(|(signal, ..)| *signal);
            let signal = named.filter(passes).or_else(|| {
                SIGNALS
                    .iter()
                    .map(|(signal, ..)| *signal)
                    .filter(passes)
                    .find(|signal| self.tells(*signal, frame, normaliser))
            });
            is_known |= signal.is_some_and(|signal| self.take_request(signal, frame, normaliser, rules));
        }
        is_known
    }

    /// The bytes alone do not always say of which signal a request is.
    #[expect(clippy::unused_self, reason = "reads as the others do")]
    fn tells(&self, signal: Signal, request: &[u8], normaliser: &Normaliser) -> bool {
        match signal {
            Signal::Traces => normaliser.spans(request, END).is_ok_and(|calls| calls != Calls::default()),
            Signal::Logs => normaliser.logs(request, END).is_ok(),
            Signal::Metrics => true,
        }
    }

    fn take_request(&mut self, signal: Signal, request: &[u8], normaliser: &Normaliser, rules: &Rules) -> bool {
        let calls = match signal {
            Signal::Traces => normaliser.spans(request, END),
            Signal::Logs => {
                if let Ok(told) = calls_of_logs(request, rules, END) {
                    self.take_told(told);
                }
                normaliser.logs(request, END)
            }
            Signal::Metrics => {
                let sums = normaliser.sums(request, END);
                let sums = sums.unwrap_or_default().into_iter();
                self.events.extend(sums.map(|sum| (sum.at, Reading::Tokens(Box::new(sum)))));
                Ok(Calls::default())
            }
        };
        let Ok(calls) = calls else {
            self.leave_out("record_unreadable", 1);
            return false;
        };
        let Calls { booked, activities, repeated: _, without_tokens, absurd_tokens, contradictory_tokens, of_engines } =
            calls;
        self.events.extend(booked.into_iter().map(|call| (end(call.start, call.duration), Reading::Inference(call))));
        let activities = activities.into_iter();
        self.events.extend(activities.map(|done| (end(done.start, done.duration), Reading::Activity(done))));
        for (reason, count) in [
            ("tokens_unknown", without_tokens),
            ("tokens_absurd", absurd_tokens),
            ("tokens_contradictory", contradictory_tokens),
            ("engine_span", of_engines),
        ] {
            self.leave_out(reason, count);
        }
        true
    }

    fn take_told(&mut self, told: Told) {
        for (why, count) in &told.left_out {
            self.leave_out(why.reason(), *count);
        }
        self.events.extend(told.into_readings().map(|reading| {
            let at = match &reading {
                Reading::Inference(call) => end(call.start, call.duration),
                Reading::AgentUsage(usage) => usage.at,
                _ => Timestamp::default(),
            };
            (at, reading)
        }));
    }

    fn leave_out(&mut self, reason: &'static str, count: u64) {
        if count > 0 {
            *self.left_out.entry(reason).or_default() += count;
        }
    }
}

/// Recordings are of the past, whenever that was.
const END: Timestamp = Timestamp::from_unix_nanos(u64::MAX);

fn end(start: Timestamp, duration: Seconds) -> Timestamp {
    start.ahead(duration)
}

/// A file, or all files below a folder in the order of their names.
fn files(path: &Path) -> Result<Vec<PathBuf>> {
    #[expect(clippy::disallowed_methods, reason = "the recording is the user's file")]
    let about = fs::metadata(path).with_context(|| format!("{} cannot be read", path.display()))?;
    if !about.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    #[expect(clippy::disallowed_methods, reason = "the recording is the user's file")]
    let entries = fs::read_dir(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let mut inside = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    inside.sort();
    let mut all = Vec::new();
    for path in inside {
        all.extend(files(&path)?);
    }
    Ok(all)
}

fn contents(file: &Path) -> Result<Vec<u8>> {
    #[expect(clippy::disallowed_methods, reason = "the recording is the user's file")]
    let bytes = fs::read(file)?;
    let mut plain = Vec::new();
    let read = match bytes.get(..4) {
        Some([0x1f, 0x8b, ..]) => {
            flate2::read::MultiGzDecoder::new(bytes.as_slice()).take(FILE_BYTES_MAX).read_to_end(&mut plain)
        }
        Some([0x28, 0xb5, 0x2f, 0xfd]) => {
            zstd::stream::read::Decoder::new(bytes.as_slice())?.take(FILE_BYTES_MAX).read_to_end(&mut plain)
        }
        _ => return Ok(bytes),
    };
    read.context("it is compressed, and cannot be decompressed to its end")?;
    Ok(plain)
}

/// The messages of a file in which each stands behind its length; `None` where the lengths do not add up.
fn frames(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (frame, rest) = rest.split_at_checked(u32::from_be_bytes(*length).try_into().ok()?)?;
        frames.push(frame);
        bytes = rest;
    }
    Some(frames)
}

/// Whether a JSON object has a member, which stands near its begin in every request.
fn has_member(json: &str, member: &str) -> bool {
    json.get(..json.len().min(200)).or(Some(json)).is_some_and(|begin| begin.contains(&format!("\"{member}\"")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_those_whose_lengths_add_up() {
        assert_eq!(frames(&[0, 0, 0, 2, 7, 8, 0, 0, 0, 0]), Some(vec![&[7, 8][..], &[]]));
        assert_eq!(frames(&[0, 0, 0, 3, 7, 8]), None);
        assert_eq!(frames(&[10, 4]), None);
    }
}
