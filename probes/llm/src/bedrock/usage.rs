//! One row of the usage log of Bedrock `AgentCore`, read into [`AgentUsage`].
//!
//! A row is what one session used in about a second. Source: Amazon Bedrock `AgentCore` developer guide, "Usage logs"
//! (`USAGE_LOGS`), which names the length of the interval in two ways; rows may come an hour late.

use serde_json::{Map, Value};
use wattline_core::reading::AgentUsage;
use wattline_core::subject::HostedAgent;
use wattline_core::{Text, Timestamp};

use super::{LeftOut, name, time};
use crate::identity::hash;

/// Nanoseconds in one hour.
const HOUR_NS: f64 = 3.6e12;
/// A session lasts eight hours at most, and so does no interval of it last longer.
const LONGEST_NS: f64 = 8.0 * HOUR_NS;
/// More vCPUs and gigabytes than any session has.
const MOST_VCPUS: f64 = 256.0;
const MOST_GB: f64 = 4096.0;
const UNKNOWN: &str = "unknown";

/// Whether an object is such a row.
pub(super) fn is_record(record: &Map<String, Value>) -> bool {
    let metrics = record.get("metrics").and_then(Value::as_object);
    metrics.is_some_and(|metrics| metrics.keys().any(|name| is_vcpu(name) || is_memory(name)))
}

/// `agent.runtime.vcpu.hours.used`, and its namesakes of the other services.
fn is_vcpu(name: &str) -> bool {
    name.starts_with("agent.") && name.ends_with("vcpu.hours.used")
}

/// `agent.runtime.memory.gb_hours.used`, and its namesakes of the other services.
fn is_memory(name: &str) -> bool {
    name.starts_with("agent.") && name.ends_with("memory.gb_hours.used")
}

/// What a row tells. A row without a time is taken to be of `now`.
pub(super) fn usage(record: &Map<String, Value>, now: Timestamp) -> Result<AgentUsage, LeftOut> {
    let none = Map::new();
    let part = |name: &str| record.get(name).and_then(Value::as_object).unwrap_or(&none);
    let (attributes, resource, metrics) = (part("attributes"), part("resource"), part("metrics"));
    let sum = |is_meant: fn(&str) -> bool| -> Result<f64, LeftOut> {
        let meant = metrics.iter().filter(|(name, value)| is_meant(name) && !value.is_null());
        meant.map(|(_, value)| number(value).ok_or(LeftOut::AbsurdUsage)).sum()
    };
    let elapsed = ["time_elapsed_seconds", "elapsed_time_seconds"].iter().find_map(|name| attributes.get(*name));
    let elapsed_ns = elapsed.map_or(Some(0.0), number).ok_or(LeftOut::AbsurdUsage)? * 1e9;
    let (vcpu_ns, gb_ns) = (sum(is_vcpu)? * HOUR_NS, sum(is_memory)? * HOUR_NS);
    // A row of no length, or of a moment, may be of a second all the same.
    let longest_ns = elapsed_ns.max(1e9);
    let fits = elapsed_ns <= LONGEST_NS && vcpu_ns <= MOST_VCPUS * longest_ns && gb_ns <= MOST_GB * longest_ns;
    if !fits {
        return Err(LeftOut::AbsurdUsage);
    }
    let text = |of: &Map<String, Value>, name: &str| of.get(name).and_then(Value::as_str).and_then(name::label);
    let arn = record.get("resource_arn").and_then(Value::as_str);
    let hosted = arn.and_then(name::model).or_else(|| text(attributes, "resource.id"));
    let name = text(attributes, "agent.name").or_else(|| hosted.clone());
    let region = text(attributes, "region").or_else(|| text(resource, "cloud.region"));
    let session = attributes.get("session.id").and_then(Value::as_str).filter(|id| !id.is_empty());
    let word = |word: Option<String>| word.map_or(Text::Static(UNKNOWN), Text::from);
    Ok(AgentUsage {
        agent: HostedAgent {
            name: word(name),
            resource: word(hosted),
            service: word(text(resource, "service.name")),
            region: region.filter(|region| name::is_region(region)).map(Text::from),
        },
        session: session.map_or(0, hash),
        at: record.get("event_timestamp").and_then(time::timestamp).unwrap_or(now),
        elapsed_ns: rounded(elapsed_ns),
        vcpu_ns: rounded(vcpu_ns),
        gb_ns: rounded(gb_ns),
    })
}

/// A number that is not negative.
fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|number: &f64| number.is_finite() && *number >= 0.0)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, and `as` saturates")]
fn rounded(number: f64) -> u64 {
    number.round() as u64
}
