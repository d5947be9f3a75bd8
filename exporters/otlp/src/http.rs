//! OTLP over HTTP.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, DATE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue};
use prost::Message;
use reqwest::{Response, Url};
use wattline_core::{Signal, Timestamp};
use wattline_export_delivery::aws::{Grant, Service, Unsigned};
use wattline_export_delivery::verdict::RpcStatus;
use wattline_export_delivery::words::chain;
use wattline_export_delivery::{
    Compression, DropReason, Redaction, Sending, Transport, Verdict, aws, of_http, retry_after,
};

use crate::client::HttpClient;
use crate::cloudwatch::Target;
use crate::endpoint::Endpoint;
use crate::json::in_json;
use crate::response::{RESPONSE_BYTES_MAX, accepted, accepted_json};
use crate::secrets::HeaderFiles;

/// As much of a refusal is read as a person wants to see.
const REFUSAL_BYTES_MAX: usize = 8 * 1024;
const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";
/// What is said of an answer for people: whoever sends it has most likely not seen an OTLP request.
pub(crate) const WEB_PAGE: &str = "the answer is a web page";

/// One signal's way to an HTTP endpoint.
#[derive(Debug)]
pub(crate) struct HttpTransport {
    pub(crate) signal: Signal,
    pub(crate) client: Arc<HttpClient>,
    pub(crate) endpoint: Endpoint,
    pub(crate) headers: HeaderMap,
    pub(crate) header_files: HeaderFiles,
    pub(crate) redaction: Redaction,
    /// The most bytes of a body in JSON before compression; `None` when it is protobuf.
    pub(crate) json: Option<usize>,
    /// What is special about Amazon CloudWatch, when this is it.
    pub(crate) aws: Option<Target>,
    pub(crate) now: fn() -> Timestamp,
}

/// What a request needs to be let in.
struct Pass {
    url: Url,
    headers: HeaderMap,
    redaction: Redaction,
    grant: Option<Grant>,
}

impl Transport for HttpTransport {
    // A connection of HTTP/1.1 dies with its request, and one of HTTP/2 by the socket's own time limit.
    fn send(&mut self, body: Bytes, compression: Compression) -> Sending<'_> {
        Box::pin(self.deliver(body, compression))
    }
}

impl HttpTransport {
    /// Sends a compressed body in protobuf once, and once more when it was refused with a credential that has been
    /// replaced meanwhile.
    async fn deliver(&mut self, body: Bytes, compression: Compression) -> Verdict {
        let body = if let Some(bytes_max) = self.json {
            match in_json(self.signal, body, compression, bytes_max).await {
                Ok(Ok(body)) => body,
                Ok(Err(bytes)) => {
                    let cause = format!("in JSON the request has {bytes} bytes and may have {bytes_max}");
                    return Verdict::TooLarge { cause };
                }
                Err(error) => {
                    let cause = format!("the request cannot be told in JSON: {error}");
                    return Verdict::Refused { reason: DropReason::Encoding, cause };
                }
            }
        } else {
            body
        };
        let (verdict, used) = self.attempt(&body, compression).await;
        let Verdict::Unauthorized { .. } = verdict else { return verdict };
        if self.has_another(used).await { self.attempt(&body, compression).await.0 } else { verdict }
    }

    /// Whether there is a credential other than the one that was just refused.
    async fn has_another(&mut self, refused: Option<Grant>) -> bool {
        let files = self.header_files.changed();
        match (&self.aws, refused) {
            (Some(Target { access: Some(access), .. }), Some(refused)) => access.another(&refused).await.is_some(),
            _ => files,
        }
    }

    async fn attempt(&mut self, body: &Bytes, compression: Compression) -> (Verdict, Option<Grant>) {
        let Pass { url, headers, redaction, grant } = match self.pass(body, compression).await {
            Ok(pass) => pass,
            Err(cause) => return (Verdict::Unauthorized { cause: self.redaction.clean(&cause) }, None),
        };
        let request = self.client.current().post(url).headers(headers).body(body.clone());
        let verdict = match request.send().await {
            Ok(response) if response.status().is_success() => success(response, &redaction).await,
            Ok(response) => self.failure(response, &redaction).await,
            Err(error) => broken(error, &redaction),
        };
        (verdict, grant)
    }

    /// Puts together what goes before the body. The error says what is missing.
    async fn pass(&mut self, body: &Bytes, compression: Compression) -> Result<Pass, String> {
        let mut headers = self.headers.clone();
        let files = self.header_files.headers().map_err(|(key, problem)| format!("{key} {problem}"))?;
        let redaction = self.redaction.and(&Redaction::new(files.values().filter_map(|value| value.to_str().ok())));
        headers.extend(files);
        let content_type = if self.json.is_some() { JSON } else { PROTOBUF };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        if let Some(encoding) = compression.header() {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        let Some(Target { access, .. }) = &self.aws else {
            let url = self.endpoint.url().ok_or("the endpoint is not known")?.clone();
            return Ok(Pass { url, headers, redaction, grant: None });
        };
        let grant = match access {
            Some(access) => Some(access.grant().await.map_err(|error| error.to_string())?),
            None => None,
        };
        let region = grant.as_ref().map(Grant::region);
        let endpoint = match &self.endpoint {
            Endpoint::At(url) => Some(url.clone()),
            Endpoint::InRegion(signal) => Endpoint::of_aws(*signal, region).url().cloned(),
        };
        let url = endpoint.ok_or("no AWS region is known: set `region`")?;
        let Some(grant) = grant else { return Ok(Pass { url, headers, redaction, grant: None }) };
        let signed = [("content-type", content_type)];
        let unsigned = Unsigned { url: url.as_str(), headers: &signed, body };
        let signature =
            grant.sign(Service::of(self.signal), &unsigned, (self.now)()).map_err(|error| error.to_string())?;
        headers.extend(signature);
        let redaction = redaction.and(&grant.redaction());
        Ok(Pass { url, headers, redaction, grant: Some(grant) })
    }

    async fn failure(&self, response: Response, redaction: &Redaction) -> Verdict {
        let status = response.status();
        let pause = header(&response, &RETRY_AFTER)
            .and_then(|pause| retry_after(pause, header(&response, &DATE), (self.now)()));
        let skew = aws::clock_skew(header(&response, &DATE), (self.now)());
        let is_protobuf = is(&response, PROTOBUF);
        // The status alone decides, so that a body that breaks off does not matter.
        let body = match read(response, REFUSAL_BYTES_MAX).await {
            Ok(Read::Whole(body) | Read::Cut(body)) => body,
            Err(_broken) => Vec::new(),
        };
        let whole = match RpcStatus::decode(body.as_slice()) {
            Ok(status) if is_protobuf => status.message,
            _ => String::from_utf8_lossy(&body).into_owned(),
        };
        let words = redaction.clean(&whole);
        let mut cause = format!("HTTP {}", status.as_u16());
        if !words.is_empty() {
            cause = format!("{cause}: {words}");
        }
        let verdict = of_http(status.as_u16(), pause, cause);
        let Some(target) = &self.aws else { return verdict };
        match target.explained(self.signal, aws::judge(verdict, &whole), &whole) {
            Verdict::Unauthorized { cause } => {
                Verdict::Unauthorized { cause: skew.map_or(cause.clone(), |skew| format!("{cause}; {skew}")) }
            }
            verdict => verdict,
        }
    }
}

async fn success(response: Response, redaction: &Redaction) -> Verdict {
    // Servers that answer in plain words have taken the request nevertheless.
    let (is_protobuf, is_json, is_page) = (is(&response, PROTOBUF), is(&response, JSON), is(&response, "text/html"));
    let verdict = match read(response, RESPONSE_BYTES_MAX).await {
        Ok(Read::Whole(body)) if is_protobuf => accepted(&body),
        Ok(Read::Whole(body)) if is_json => accepted_json(&body),
        Ok(Read::Whole(_)) if is_page => Verdict::Delivered { rejected: 0, message: WEB_PAGE.to_owned() },
        Ok(Read::Whole(_)) => of_http(200, None, String::new()),
        Ok(Read::Cut(_)) => Verdict::Refused {
            reason: DropReason::ResponseTooLarge,
            cause: format!("the answer is larger than {RESPONSE_BYTES_MAX} bytes"),
        },
        Err(error) => broken(error, redaction),
    };
    match verdict {
        Verdict::Delivered { rejected, message } => Verdict::Delivered { rejected, message: redaction.clean(&message) },
        other => other,
    }
}

/// A connection that fails or breaks off may work the next time; what arrived twice is the receiver's to sort out,
/// as the protocol says.
fn broken(error: reqwest::Error, redaction: &Redaction) -> Verdict {
    // The address may hold a key in its query, and the log line names the endpoint anyway.
    Verdict::Retry { after: None, cause: redaction.clean(&chain(&error.without_url())) }
}

fn is(response: &Response, content_type: &str) -> bool {
    header(response, &CONTENT_TYPE).is_some_and(|value| value.starts_with(content_type))
}

fn header<'a>(response: &'a Response, name: &http::HeaderName) -> Option<&'a str> {
    response.headers().get(name).and_then(|value| value.to_str().ok())
}

enum Read {
    Whole(Vec<u8>),
    Cut(Vec<u8>),
}

async fn read(mut response: Response, bytes_max: usize) -> Result<Read, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        let room = bytes_max.saturating_sub(body.len());
        body.extend(chunk.iter().take(room));
        if chunk.len() > room {
            return Ok(Read::Cut(body));
        }
    }
    Ok(Read::Whole(body))
}
