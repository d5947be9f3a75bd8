//! OTLP over HTTP.

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, DATE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue};
use prost::Message;
use reqwest::{Client, Response, Url};
use wattline_core::Timestamp;
use wattline_export_delivery::verdict::RpcStatus;
use wattline_export_delivery::{Compression, DropReason, Redaction, Sending, Transport, Verdict, of_http, retry_after};

use crate::response::{RESPONSE_BYTES_MAX, accepted};

/// As much of a refusal is read as a person wants to see.
const REFUSAL_BYTES_MAX: usize = 8 * 1024;
const PROTOBUF: &str = "application/x-protobuf";

/// One signal's way to an HTTP endpoint.
#[derive(Debug)]
pub(crate) struct HttpTransport {
    pub(crate) client: Client,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) redaction: Redaction,
    pub(crate) now: fn() -> Timestamp,
}

impl Transport for HttpTransport {
    // A connection of HTTP/1.1 dies with its request, and one of HTTP/2 by the socket's own time limit.
    fn send(&mut self, body: Bytes, compression: Compression) -> Sending<'_> {
        Box::pin(self.attempt(body, compression))
    }
}

impl HttpTransport {
    async fn attempt(&self, body: Bytes, compression: Compression) -> Verdict {
        let mut request = self.client.post(self.url.clone()).headers(self.headers.clone());
        request = request.header(CONTENT_TYPE, HeaderValue::from_static(PROTOBUF));
        if let Some(encoding) = compression.header() {
            request = request.header(CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        match request.body(body).send().await {
            Ok(response) if response.status().is_success() => self.success(response).await,
            Ok(response) => self.failure(response).await,
            Err(error) => self.broken(error),
        }
    }

    async fn success(&self, response: Response) -> Verdict {
        // Servers that answer in JSON or plain words have taken the request nevertheless.
        let is_protobuf = header(&response, &CONTENT_TYPE).is_some_and(|value| value.starts_with(PROTOBUF));
        match read(response, RESPONSE_BYTES_MAX).await {
            Ok(Read::Whole(body)) if is_protobuf => match accepted(&body) {
                Verdict::Delivered { rejected, message } => {
                    Verdict::Delivered { rejected, message: self.redaction.clean(&message) }
                }
                other => other,
            },
            Ok(Read::Whole(_)) => of_http(200, None, String::new()),
            Ok(Read::Cut(_)) => Verdict::Refused {
                reason: DropReason::ResponseTooLarge,
                cause: format!("the answer is larger than {RESPONSE_BYTES_MAX} bytes"),
            },
            Err(error) => self.broken(error),
        }
    }

    async fn failure(&self, response: Response) -> Verdict {
        let status = response.status();
        let pause = header(&response, &RETRY_AFTER)
            .and_then(|pause| retry_after(pause, header(&response, &DATE), (self.now)()));
        let is_protobuf = header(&response, &CONTENT_TYPE).is_some_and(|value| value.starts_with(PROTOBUF));
        // The status alone decides, so that a body that breaks off does not matter.
        let body = match read(response, REFUSAL_BYTES_MAX).await {
            Ok(Read::Whole(body) | Read::Cut(body)) => body,
            Err(_broken) => Vec::new(),
        };
        let words = match RpcStatus::decode(body.as_slice()) {
            Ok(status) if is_protobuf => status.message,
            _ => String::from_utf8_lossy(&body).into_owned(),
        };
        let mut cause = format!("HTTP {}", status.as_u16());
        let words = self.redaction.clean(&words);
        if !words.is_empty() {
            cause = format!("{cause}: {words}");
        }
        of_http(status.as_u16(), pause, cause)
    }

    /// A connection that fails or breaks off may work the next time; what arrived twice is the receiver's to sort out,
    /// as the protocol says.
    fn broken(&self, error: reqwest::Error) -> Verdict {
        // The address may hold a key in its query, and the log line names the endpoint anyway.
        let cause = self.redaction.clean(&chain(&error.without_url()));
        Verdict::Retry { after: None, cause }
    }
}

/// An error with all that caused it, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        // Many errors already repeat what caused them.
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        source = cause.source();
    }
    text
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
