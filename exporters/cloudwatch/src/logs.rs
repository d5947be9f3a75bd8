//! `CloudWatch` Logs: requests of `PutLogEvents`, and what its answers mean.
//!
//! Source: Amazon CloudWatch Logs API Reference, "`PutLogEvents`" and "Common Errors".

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, DATE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};
use wattline_core::Timestamp;
use wattline_export_delivery::aws::{Access, Grant, Service, Unsigned, clock_skew};
use wattline_export_delivery::words::chain;
use wattline_export_delivery::{DropReason, Redaction, Verdict, retry_after};

use crate::emf::Event;
use crate::sink::Body;

/// The sizes of all events of a request together, each with [`EVENT_OVERHEAD`].
const REQUEST_BYTES: usize = 1_048_576;
pub(crate) const EVENT_OVERHEAD: usize = 26;
const REQUEST_EVENTS: usize = 10_000;
/// The events of a request lie within a day.
const REQUEST_SPAN_MS: u64 = 24 * 3_600_000;
/// As much of an answer is read as can mean anything.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
const JSON: &str = "application/x-amz-json-1.1";

#[derive(Serialize)]
struct Request<'a> {
    #[serde(rename = "logGroupName")]
    group: &'a str,
    #[serde(rename = "logStreamName")]
    stream: &'a str,
    #[serde(rename = "logEvents")]
    events: &'a [LogEvent<'a>],
}

#[derive(Clone, Copy, Serialize)]
struct LogEvent<'a> {
    timestamp: u64,
    message: &'a str,
}

/// Where a request wants its events to be.
#[derive(Default, Deserialize)]
struct Place {
    #[serde(rename = "logGroupName")]
    group: String,
    #[serde(rename = "logStreamName")]
    stream: String,
}

/// Puts events, which are in the order of their times, into as few requests as the rules allow.
pub(crate) fn requests(group: &str, stream: &str, events: &[Event]) -> Vec<Body> {
    let mut bodies = Vec::new();
    let mut batch: Vec<LogEvent<'_>> = Vec::new();
    let (mut bytes, mut points, mut first_ms) = (0, 0, 0);
    for event in events {
        let size = event.text.len() + EVENT_OVERHEAD;
        let is_full = batch.len() == REQUEST_EVENTS || bytes + size > REQUEST_BYTES;
        if !batch.is_empty() && (is_full || event.at_ms.saturating_sub(first_ms) >= REQUEST_SPAN_MS) {
            bodies.extend(request(group, stream, &batch, points));
            batch.clear();
            (bytes, points) = (0, 0);
        }
        if batch.is_empty() {
            first_ms = event.at_ms;
        }
        batch.push(LogEvent { timestamp: event.at_ms, message: &event.text });
        bytes += size;
        points += event.points;
    }
    bodies.extend(request(group, stream, &batch, points));
    bodies
}

fn request(group: &str, stream: &str, events: &[LogEvent<'_>], points: u64) -> Option<Body> {
    if events.is_empty() {
        return None;
    }
    let request = Request { group, stream, events };
    // Texts and numbers always have a form in JSON.
    serde_json::to_vec(&request).ok().map(|body| Body { bytes: body.into(), items: points })
}

/// The way to `CloudWatch` Logs.
#[derive(Debug)]
pub(crate) struct LogsTransport {
    pub(crate) client: reqwest::Client,
    pub(crate) access: Arc<Access>,
    /// The address in place of the region's own.
    pub(crate) endpoint: Option<String>,
    pub(crate) now: fn() -> Timestamp,
}

/// What an answer says.
struct Answer {
    status: u16,
    /// The name of the error.
    error: Option<String>,
    message: String,
    after: Option<Duration>,
    skew: Option<String>,
    body: Vec<u8>,
}

impl LogsTransport {
    /// Sends a request once, or twice where the first answer can be mended: by other credentials, or by making the log
    /// stream. The caller bounds the time.
    pub(crate) async fn send(&mut self, body: Bytes) -> Verdict {
        let grant = match self.access.grant().await {
            Ok(grant) => grant,
            Err(error) => return Verdict::Unauthorized { cause: error.to_string() },
        };
        let verdict = match self.call(&grant, "PutLogEvents", body.clone()).await {
            Ok(answer) if answer.is("ResourceNotFoundException") => return self.put_in_new_stream(&grant, body).await,
            Ok(answer) => answer.verdict(&body),
            Err(verdict) => verdict,
        };
        match verdict {
            Verdict::Unauthorized { cause } => match self.access.another(&grant).await {
                Some(other) => match self.call(&other, "PutLogEvents", body.clone()).await {
                    Ok(answer) => answer.verdict(&body),
                    Err(verdict) => verdict,
                },
                None => Verdict::Unauthorized { cause },
            },
            other => other,
        }
    }

    /// The stream does not exist, or the group. A stream is made; a group is somebody's decision, because it is kept and
    /// paid for as its owner says.
    async fn put_in_new_stream(&self, grant: &Grant, body: Bytes) -> Verdict {
        let Place { group, stream } = serde_json::from_slice(&body).unwrap_or_default();
        let place = serde_json::json!({ "logGroupName": group, "logStreamName": stream });
        let made = match self.call(grant, "CreateLogStream", place.to_string().into()).await {
            Ok(made) => made,
            Err(verdict) => return verdict,
        };
        if made.is("ResourceNotFoundException") {
            let region = grant.region();
            return Verdict::Unauthorized {
                cause: format!("the log group {group} does not exist in {region}: create it, or correct log_group"),
            };
        }
        if !made.is_fine() && !made.is("ResourceAlreadyExistsException") {
            return match made.verdict(b"") {
                Verdict::Unauthorized { cause } => Verdict::Unauthorized {
                    cause: format!("the log stream {stream} does not exist and cannot be made: {cause}"),
                },
                other => other,
            };
        }
        match self.call(grant, "PutLogEvents", body.clone()).await {
            Ok(answer) => answer.verdict(&body),
            Err(verdict) => verdict,
        }
    }

    async fn call(&self, grant: &Grant, action: &str, body: Bytes) -> Result<Answer, Verdict> {
        let url = self.endpoint.clone().unwrap_or_else(|| format!("{}/", Service::Logs.origin(grant.region())));
        let target = format!("Logs_20140328.{action}");
        let signed = [("content-type", JSON), ("x-amz-target", target.as_str())];
        let unsigned = Unsigned { url: &url, headers: &signed, body: &body };
        let signature = grant
            .sign(Service::Logs, &unsigned, (self.now)())
            .map_err(|error| Verdict::Unauthorized { cause: error.to_string() })?;
        let mut headers = signature;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
        headers.insert("x-amzn-logs-format", HeaderValue::from_static("json/emf"));
        let redaction = grant.redaction();
        let asked = self.client.post(&url).headers(headers).header("x-amz-target", target).body(body).send().await;
        let broken = |error: reqwest::Error| Verdict::Retry {
            after: None,
            cause: redaction.clean(&chain(&error.without_url())),
        };
        let mut response = asked.map_err(broken)?;
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let mut body = Vec::new();
        while body.len() < ANSWER_BYTES_MAX {
            match response.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break,
                // The status says what became of the request.
                Err(_broken) => break,
            }
        }
        Ok(Answer::new(status, &headers, body, &redaction, (self.now)()))
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Failure {
    #[serde(rename = "__type")]
    kind: String,
    #[serde(alias = "Message")]
    message: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Success {
    rejected_log_events_info: Rejected,
}

/// Positions among the events of the request.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Rejected {
    /// The first one of those too far in the future, which are the last ones.
    #[serde(rename = "tooNewLogEventStartIndex")]
    too_new: Option<usize>,
    /// The first one that is not too old.
    #[serde(rename = "tooOldLogEventEndIndex")]
    too_old: Option<usize>,
    /// The first one that is not beyond the retention of the log group.
    #[serde(rename = "expiredLogEventEndIndex")]
    expired: Option<usize>,
}

impl Answer {
    fn new(status: u16, headers: &HeaderMap, body: Vec<u8>, redaction: &Redaction, now: Timestamp) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let failure: Failure = serde_json::from_slice(&body).unwrap_or_default();
        // The name may stand behind a namespace and before an address.
        let name = text("x-amzn-errortype").map_or(failure.kind.as_str(), |name| name);
        let name = name.rsplit('#').next().unwrap_or_default();
        let name = name.split(':').next().unwrap_or_default().trim();
        let date = headers.get(DATE).and_then(|value| value.to_str().ok());
        let after = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        Self {
            status,
            error: (!name.is_empty()).then(|| name.to_owned()),
            message: redaction.clean(&failure.message),
            after: after.and_then(|after| retry_after(after, date, now)),
            skew: clock_skew(date, now),
            body,
        }
    }

    fn is(&self, error: &str) -> bool {
        self.error.as_deref() == Some(error)
    }

    const fn is_fine(&self) -> bool {
        matches!(self.status, 200..=299)
    }

    /// What becomes of the request.
    fn verdict(&self, request: &[u8]) -> Verdict {
        if self.is_fine() {
            return self.accepted(request);
        }
        let error = self.error.as_deref().unwrap_or_default();
        let mut cause = format!("HTTP {} {error}", self.status).trim_end().to_owned();
        if !self.message.is_empty() {
            cause = format!("{cause}: {}", self.message);
        }
        match error {
            "DataAlreadyAcceptedException" => Verdict::Delivered { rejected: 0, message: cause },
            "ResourceNotFoundException"
            | "AccessDeniedException"
            | "AccessDenied"
            | "ExpiredToken"
            | "ExpiredTokenException"
            | "IncompleteSignature"
            | "IncompleteSignatureException"
            | "InvalidClientTokenId"
            | "InvalidSignatureException"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException"
            | "NotAuthorized"
            | "OptInRequired"
            | "RequestExpired"
            | "SignatureDoesNotMatch"
            | "UnrecognizedClientException" => {
                let skew = self.skew.as_ref().map_or_else(String::new, |skew| format!("; {skew}"));
                Verdict::Unauthorized { cause: format!("{cause}{skew}") }
            }
            "ThrottlingException"
            | "Throttling"
            | "LimitExceededException"
            | "ServiceUnavailableException"
            | "ServiceUnavailable"
            | "InvalidSequenceTokenException"
            | "OperationAbortedException" => Verdict::Retry { after: self.after, cause },
            _ => match self.status {
                401 | 403 | 407 => Verdict::Unauthorized { cause },
                413 => Verdict::TooLarge { cause },
                // What fails inside the service may work the next time.
                408 | 429 | 500..=599 => Verdict::Retry { after: self.after, cause },
                _ => Verdict::Refused { reason: DropReason::Rejected, cause },
            },
        }
    }

    /// Events that are too old, expired by the group's retention, or too new are not in the log, and the answer is
    /// still a success.
    fn accepted(&self, request: &[u8]) -> Verdict {
        let success: Success = serde_json::from_slice(&self.body).unwrap_or_default();
        let Rejected { too_new, too_old, expired } = success.rejected_log_events_info;
        if too_new.or(too_old).or(expired).is_none() {
            return Verdict::Delivered { rejected: 0, message: String::new() };
        }
        let (until, from) = (too_old.max(expired).unwrap_or(0), too_new.unwrap_or(usize::MAX));
        let rejected: u64 = points(request)
            .into_iter()
            .enumerate()
            .filter(|(position, _)| *position < until || *position >= from)
            .map(|(_, points)| points)
            .sum();
        let message = "events are too old, beyond the retention of the log group, or too far in the future".to_owned();
        Verdict::Delivered { rejected, message }
    }
}

/// The points of each event of a request.
fn points(request: &[u8]) -> Vec<u64> {
    let request: serde_json::Value = serde_json::from_slice(request).unwrap_or_default();
    let events = request.get("logEvents").and_then(serde_json::Value::as_array);
    let of_event = |event: &serde_json::Value| -> Option<u64> {
        let event: serde_json::Value = serde_json::from_str(event.get("message")?.as_str()?).ok()?;
        let metrics = event.pointer("/_aws/CloudWatchMetrics/0/Metrics")?.as_array()?;
        Some(metrics.len() as u64)
    };
    events.into_iter().flatten().map(|event| of_event(event).unwrap_or(0)).collect()
}

#[cfg(test)]
mod tests;
