//! Calls and usage that AWS itself logs: Amazon Bedrock's model invocation log, and the usage log of Bedrock `AgentCore`.
//!
//! Both are JSON, a record a line. They come as files, out of CloudWatch Logs, or as OTLP log records; whichever it is, a
//! line is told by what is in it, so that one source may hold both. Lines that are neither are counted and left.

mod account;
mod body;
mod config;
mod files;
mod log_groups;
mod name;
mod otlp;
mod record;
mod source;
#[cfg(test)]
mod stand_in;
mod time;
mod usage;

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use wattline_core::reading::{AgentUsage, Inference};
use wattline_core::{Reading, Signal, Telemetry, Tick, Timestamp};

pub use account::{ACCOUNT, AccountReceiver, account_once};
pub use config::{CloudWatchConfig, Config, ConfigError, MetricsConfig};
pub use log_groups::{LOG_GROUPS, LogGroupReceiver, once};
pub use otlp::calls_of_logs;
pub use source::{FILES, FileReceiver, found};

/// Tells the time on both clocks.
pub type Clock = std::sync::Arc<dyn Fn() -> Tick + Send + Sync>;

/// The value of `schemaType` in a model invocation log.
const INVOCATION_LOG: &str = "ModelInvocationLog";
/// Longer lines are no records: bodies beyond 100 KB are put into S3, and a log event has at most 1 MiB.
pub const LINE_BYTES_MAX: usize = 1 << 20;

/// How records are read, as the user wants it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Keys of the request's metadata that name the calling service, the best first. Without any of them the caller's role
    /// is the service.
    pub service_keys: Vec<String>,
    /// Which model answers under a name that an account has made up: `application-inference-profile/abc`.
    pub models: BTreeMap<String, String>,
}

/// Why a line or a record is not booked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeftOut {
    /// It is no JSON.
    Unreadable,
    /// It is JSON and none of the records that are known.
    Foreign,
    /// It is longer than any record.
    TooLong,
    /// A call without any token count.
    WithoutTokens,
    /// A call whose token counts cannot be believed.
    AbsurdTokens,
    /// Usage that no session can have had.
    AbsurdUsage,
}

impl LeftOut {
    /// The word in `wattline.reason`.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Unreadable => "record_unreadable",
            Self::Foreign => "record_unknown",
            Self::TooLong => "record_too_long",
            Self::WithoutTokens => "tokens_unknown",
            Self::AbsurdTokens => "tokens_absurd",
            Self::AbsurdUsage => "usage_absurd",
        }
    }
}

/// What records tell.
#[derive(Debug, Default, PartialEq)]
pub struct Told {
    /// Completed calls.
    pub calls: Vec<Inference>,
    /// Usage of hosted agents.
    pub usage: Vec<Box<AgentUsage>>,
    /// What is not booked, and why.
    pub left_out: BTreeMap<LeftOut, u64>,
}

impl Told {
    /// Takes what one line tells. Blank lines tell nothing.
    pub fn read_line(&mut self, line: &[u8], rules: &Rules, now: Timestamp) {
        if line.len() > LINE_BYTES_MAX {
            return self.leave_out(LeftOut::TooLong);
        }
        // Exports of a log group put the time in front of each event.
        let Some(begin) = line.iter().position(|&byte| byte == b'{') else {
            if !line.trim_ascii().is_empty() {
                self.leave_out(LeftOut::Unreadable);
            }
            return;
        };
        let json = line.get(begin..).unwrap_or_default();
        // Deliveries of a subscription may put several values on one line.
        for value in serde_json::Deserializer::from_slice(json).into_iter::<Value>() {
            match value {
                Ok(Value::Object(record)) => self.read(&record, rules, now, true),
                Ok(_) => self.leave_out(LeftOut::Foreign),
                Err(_broken) => return self.leave_out(LeftOut::Unreadable),
            }
        }
    }

    fn read(&mut self, object: &Map<String, Value>, rules: &Rules, now: Timestamp, may_wrap: bool) {
        if record::is_record(object) {
            match record::call(object, rules, now) {
                Ok(call) => self.calls.push(call),
                Err(why) => self.leave_out(why),
            }
        } else if usage::is_record(object) {
            match usage::usage(object, now) {
                Ok(usage) => self.usage.push(Box::new(usage)),
                Err(why) => self.leave_out(why),
            }
        } else if may_wrap && self.unwrap(object, rules, now) {
        } else {
            self.leave_out(LeftOut::Foreign);
        }
    }

    /// Takes what stands inside the envelope of a subscription or of a shipper of logs. False where it is none.
    fn unwrap(&mut self, object: &Map<String, Value>, rules: &Rules, now: Timestamp) -> bool {
        let events = object.get("logEvents").and_then(Value::as_array);
        let messages = events.into_iter().flatten().filter_map(|event| event.get("message"));
        let alone = ["message", "log", "body"].iter().filter_map(|key| object.get(*key));
        let mut is_envelope = events.is_some();
        for message in messages.chain(alone) {
            let inner = match message {
                Value::String(text) => match serde_json::from_str(text) {
                    Ok(Value::Object(inner)) => inner,
                    Ok(_) | Err(_) => {
                        if events.is_some() {
                            self.leave_out(LeftOut::Unreadable);
                        }
                        continue;
                    }
                },
                Value::Object(inner) => inner.clone(),
                _ => continue,
            };
            is_envelope = true;
            self.read(&inner, rules, now, false);
        }
        is_envelope
    }

    fn leave_out(&mut self, why: LeftOut) {
        let count = self.left_out.entry(why).or_default();
        *count = count.saturating_add(1);
    }

    /// Calls and usage together.
    pub fn len(&self) -> usize {
        self.calls.len() + self.usage.len()
    }

    /// True when nothing is told that is booked.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty() && self.usage.is_empty()
    }

    /// Counts what is left out.
    pub fn count_left_out(&self, telemetry: &Telemetry) {
        for (why, count) in &self.left_out {
            telemetry.dropped(*count, why.reason(), Signal::Logs, "books");
        }
    }

    /// What is booked, as readings.
    pub fn into_readings(self) -> impl Iterator<Item = Reading> {
        let Self { calls, usage, left_out: _ } = self;
        calls.into_iter().map(Reading::Inference).chain(usage.into_iter().map(Reading::AgentUsage))
    }
}

#[cfg(test)]
mod tests;
