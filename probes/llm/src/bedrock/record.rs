//! One record of Amazon Bedrock's model invocation log, read into [`Inference`].
//!
//! - `inputTokenCount` counts no cached tokens; ours does, so they are added. Where the total says that they are in it
//!   already, they are not; where the total says neither, the call is flagged.
//! - What the record itself lacks is looked for in the body of the answer, which is there unless it was too large and
//!   lies in S3 alone.
//! - `timestamp` is taken for the beginning: AWS does not say which end it is, and tells whole seconds only.
//! - A call that failed has no tokens and is booked as failed; any other one without is not booked and counted.
//!
//! Source: Amazon Bedrock user guide, "Monitor model invocation using CloudWatch Logs and Amazon S3", and records as
//! they are published in samples. Nothing of what was said is kept.

use std::sync::Arc;

use serde_json::{Map, Value};
use wattline_core::reading::{CallIdentity, CallKind, Doubts, Inference, TokenUsage, ToldBy};
use wattline_core::subject::InferenceKey;
use wattline_core::{Seconds, Text, Timestamp};

use super::body::{self, Absurd, Answer, Counts};
use super::{LeftOut, Rules, name, time};
use crate::identity::hash;

/// The provider, as the semantic conventions name it.
const PROVIDER: &str = "aws.bedrock";
const UNKNOWN: &str = "unknown";
/// What OpenTelemetry calls a service without a name.
const UNKNOWN_SERVICE: &str = "unknown_service";
/// The name under which a call is told that comes from this log.
const SCOPE: &str = "bedrock.model_invocation_log";
/// A record from further ahead than this is from a clock that is wrong.
const AHEAD_MAX: Seconds = Seconds::new(300.0);

/// Whether an object is such a record.
pub(super) fn is_record(record: &Map<String, Value>) -> bool {
    match record.get("schemaType").and_then(Value::as_str) {
        Some(kind) => kind == super::INVOCATION_LOG,
        None => {
            record.contains_key("modelId")
                && record.contains_key("requestId")
                && (record.contains_key("input") || record.contains_key("output") || record.contains_key("errorCode"))
        }
    }
}

/// The call that a record tells of. A record without a time is taken to be of `now`.
pub(super) fn call(record: &Map<String, Value>, rules: &Rules, now: Timestamp) -> Result<Inference, LeftOut> {
    let empty = Value::Null;
    let input = record.get("input").unwrap_or(&empty);
    let output = record.get("output").unwrap_or(&empty);
    let asked = whole_body(input.get("inputBodyJson"));
    let asked = asked.as_ref().map_or(&empty, Cow::get);
    let answered = whole_body(output.get("outputBodyJson"));
    let answer = answered.as_ref().map(|body| Answer::read(body.get())).unwrap_or_default();
    let error = error(record);
    let (usage, cached_input) = usage(input, output, &answer, error.is_some())?;

    let text = |name: &str| record.get(name).and_then(Value::as_str).filter(|text| !text.trim().is_empty());
    let id = text("modelId").unwrap_or_default();
    let requested = name::model(id);
    let model = answering(requested.as_deref(), &answer, rules);
    let (operation, is_known) = operation(text("operation"), requested.as_deref().unwrap_or_default(), asked);
    let (start, clock) = match record.get("timestamp").and_then(time::timestamp) {
        Some(start) if start <= now.ahead(AHEAD_MAX) => (start, false),
        Some(_ahead) => (now, true),
        None => (now, record.contains_key("timestamp")),
    };
    let key = InferenceKey {
        model: model.or_else(|| requested.clone()).map_or(Text::Static(UNKNOWN), Text::from),
        provider: Text::Static(PROVIDER),
        service: service(record, rules).map_or(Text::Static(UNKNOWN_SERVICE), Text::from),
        agent: None,
        operation: Text::Static(operation),
    };
    let seconds = |milliseconds: f64| Seconds::new(milliseconds / 1000.0);
    let duration = answer.duration_ms.or_else(|| body::duration_ms(record));
    let region = text("inferenceRegion").or_else(|| text("region")).filter(|region| name::is_region(region));
    let tier = answer.tier.or_else(|| asked.as_object().and_then(body::tier)).or_else(|| body::tier(record));
    let kind = CallKind {
        request_model: requested.map(Text::from),
        finish_reason: answer.finish_reason.and_then(name::label).map(Text::from),
        region: region.or_else(|| name::region_of(id)).map(|region| Text::from(region.to_owned())),
        service_tier: tier.and_then(name::label).map(Text::from),
        error,
        ..CallKind::new(key)
    };
    Ok(Inference {
        time_to_first_token: answer.first_token_ms.map(seconds),
        tools: body::tools(asked),
        doubts: Doubts { cached_input, clock, operation: !is_known },
        identity: CallIdentity {
            told_by: ToldBy::Log,
            scope: hash(SCOPE),
            response: text("requestId").map_or(0, |id| hash(id.trim())),
            ..CallIdentity::default()
        },
        ..Inference::of(Arc::new(kind), start, duration.map_or(Seconds::ZERO, seconds), usage)
    })
}

/// A body as it stands in the record, or read out of a text.
enum Cow<'a> {
    Here(&'a Value),
    Read(Value),
}

impl Cow<'_> {
    const fn get(&self) -> &Value {
        match self {
            Self::Here(body) => body,
            Self::Read(body) => body,
        }
    }
}

/// A body, which may be JSON inside a text.
fn whole_body(body: Option<&Value>) -> Option<Cow<'_>> {
    match body? {
        Value::Null => None,
        Value::String(text) => serde_json::from_str(text).ok().map(Cow::Read),
        body => Some(Cow::Here(body)),
    }
}

/// The tokens in our form, and whether it is in doubt that cached tokens are in the input.
fn usage(input: &Value, output: &Value, answer: &Answer<'_>, failed: bool) -> Result<(TokenUsage, bool), LeftOut> {
    let of = |part: &Value| part.as_object().map_or(Ok(Counts::default()), Counts::read);
    let (told_in, told_out) = match (of(input), of(output)) {
        (Ok(told_in), Ok(told_out)) => (told_in, told_out),
        (Err(Absurd), _) | (_, Err(Absurd)) => return Err(LeftOut::AbsurdTokens),
    };
    let body = answer.counts;
    let is_told = told_in.input.or(told_out.output).is_some();
    if !is_told && answer.is_absurd {
        return Err(LeftOut::AbsurdTokens);
    }
    let input = told_in.input.or(told_out.input).or(body.input);
    let output = told_out.output.or(told_in.output).or(body.output);
    if input.is_none() && output.is_none() && !failed {
        return Err(LeftOut::WithoutTokens);
    }
    let (input, output) = (input.unwrap_or(0), output.unwrap_or(0));
    let cache_read = told_in.cache_read.or(told_out.cache_read).or(body.cache_read).unwrap_or(0);
    let cache_write = told_in.cache_write.or(told_out.cache_write).or(body.cache_write).unwrap_or(0);
    let cached = cache_read + cache_write;
    let total = told_out.total.or(body.total);
    let is_inclusive = told_in.input.is_none() && body.is_inclusive;
    // A total settles it, where one is told.
    let (is_inclusive, doubt) = match total {
        _ if cached == 0 => (true, false),
        Some(total) if total == input + output + cached => (false, false),
        Some(total) if total == input + output => (true, false),
        Some(_) => (is_inclusive, true),
        None => (is_inclusive, false),
    };
    let all = if is_inclusive && input >= cached { input } else { input + cached };
    let reasoning = body.reasoning.unwrap_or(0);
    let usage = TokenUsage {
        input: all,
        output: if reasoning > output { output + reasoning } else { output },
        cache_read,
        cache_write,
        cache_write_1h: told_in.cache_write_1h.or(body.cache_write_1h).unwrap_or(0).min(cache_write),
        reasoning,
    };
    Ok((usage, doubt))
}

/// The model that answered, where another one was asked for, or a name that stands for one.
fn answering(requested: Option<&str>, answer: &Answer<'_>, rules: &Rules) -> Option<String> {
    if let Some(model) = answer.invoked.and_then(name::model) {
        return Some(rules.models.get(&model).cloned().unwrap_or(model));
    }
    let requested = requested?;
    if let Some(model) = rules.models.get(requested) {
        return Some(model.clone());
    }
    // The answer itself may name its model, where the account's own name for it tells nothing.
    answer.model.filter(|_| name::is_opaque(requested)).and_then(name::model)
}

/// The operation as the semantic conventions name it, and whether it is known.
fn operation(told: Option<&str>, model: &str, asked: &Value) -> (&'static str, bool) {
    if model.contains("embed") {
        return ("embeddings", true);
    }
    let told = told.unwrap_or("Converse");
    // Forms without messages continue a text.
    let continues =
        asked.get("messages").is_none() && ["prompt", "inputText"].iter().any(|key| asked.get(key).is_some());
    match told {
        _ if told.starts_with("InvokeModel") && continues => ("text_completion", true),
        _ if ["Converse", "InvokeModel", "ChatCompletion", "Response", "Message"]
            .iter()
            .any(|op| told.contains(op)) =>
        {
            ("chat", true)
        }
        _ => (UNKNOWN, false),
    }
}

/// Who called: by the configured keys of the request's metadata, else the role or user.
fn service(record: &Map<String, Value>, rules: &Rules) -> Option<String> {
    let metadata = record.get("requestMetadata").and_then(Value::as_object);
    let named = metadata.and_then(|metadata| {
        rules.service_keys.iter().find_map(|key| metadata.get(key).and_then(Value::as_str).and_then(name::label))
    });
    let arn = || record.get("identity").and_then(|identity| identity.get("arn").or(Some(identity)))?.as_str();
    named.or_else(|| arn().and_then(name::caller))
}

fn error(record: &Map<String, Value>) -> Option<Text> {
    match record.get("errorCode")? {
        Value::String(code) => name::label(code).map(Text::from),
        Value::Number(code) => Some(Text::from(code.to_string())),
        _ => None,
    }
}
