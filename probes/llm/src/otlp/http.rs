//! OTLP over HTTP.
//!
//! Source: OTLP specification 1.11, "OTLP/HTTP".

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::Full;
use wattline_core::Signal;
use wattline_listen::Guard;
use wattline_wire::json;
use wattline_wire::status::{Encoding, Status, accepted};

use super::body::{self, Compression};
use super::intake::Intake;
use super::refusal::{Answer, Refusal};

/// Answers one request. It never fails: what goes wrong is an answer.
pub(super) async fn answer<B>(
    intake: Arc<Intake>,
    guard: Arc<Guard>,
    request: Request<B>,
) -> Result<Response<Full<Bytes>>, Infallible>
where
    B: Body<Data = Bytes> + Unpin,
{
    let signal = match request.uri().path() {
        "/v1/traces" => Signal::Traces,
        "/v1/metrics" => Signal::Metrics,
        "/v1/logs" => Signal::Logs,
        _ => {
            return Ok(plain(
                StatusCode::NOT_FOUND,
                "not found; OTLP is taken at /v1/traces, /v1/metrics and /v1/logs",
            ));
        }
    };
    let encoding = encoding(&request);
    let response = match take(&intake, &guard, signal, encoding, request).await {
        Ok(encoding) => response(StatusCode::OK, encoding.media_type(), accepted(encoding)),
        Err(refusal) => {
            intake.count_refusal(refusal.answer().reason, signal);
            refused(&refusal, encoding)
        }
    };
    Ok(response)
}

fn encoding<B>(request: &Request<B>) -> Option<Encoding> {
    request.headers().get(CONTENT_TYPE)?.to_str().ok().and_then(Encoding::from_media_type)
}

async fn take<B>(
    intake: &Intake,
    guard: &Guard,
    signal: Signal,
    encoding: Option<Encoding>,
    request: Request<B>,
) -> Result<Encoding, Refusal>
where
    B: Body<Data = Bytes> + Unpin,
{
    if !guard.admits(request.headers()) {
        return Err(Refusal::Unauthenticated);
    }
    let is_booked = intake.is_booked(request.headers())?;
    if request.method() != Method::POST {
        return Err(Refusal::Method);
    }
    let encoding = encoding.ok_or(Refusal::ContentType)?;
    let compression =
        Compression::from_header(request.headers().get(CONTENT_ENCODING)).ok_or(Refusal::ContentEncoding)?;
    let limit = intake.max_body_bytes;
    let mut share = intake.budget.share();
    let body = body::read(request.into_body(), limit, intake.read_timeout, &mut share).await?;
    let body = compression.undo(body, limit, &mut share)?;
    let body = match encoding {
        Encoding::Protobuf => body,
        Encoding::Json => json::to_protobuf(signal, &body, limit)?.into(),
    };
    intake.take(signal, body, is_booked).await?;
    Ok(encoding)
}

fn refused(refusal: &Refusal, encoding: Option<Encoding>) -> Response<Full<Bytes>> {
    let Answer { reason: _, http, grpc, retry_after_seconds } = refusal.answer();
    let message = refusal.to_string();
    let mut response = match encoding {
        Some(encoding) => {
            let code = u8::try_from(i32::from(grpc)).unwrap_or_default();
            let status = Status { code, message: &message, retry_after_seconds };
            response(http, encoding.media_type(), status.encode(encoding))
        }
        // Without a known content type there is none to answer in.
        None => plain(http, &message),
    };
    let extra: Option<(HeaderName, HeaderValue)> = match refusal {
        Refusal::Unauthenticated => Some((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"wattline\""))),
        Refusal::Method => Some((ALLOW, HeaderValue::from_static("POST"))),
        Refusal::ContentEncoding => Some((ACCEPT_ENCODING, HeaderValue::from_static("gzip, zstd, deflate"))),
        _ => retry_after_seconds.map(|seconds| (RETRY_AFTER, HeaderValue::from(seconds))),
    };
    response.headers_mut().extend(extra);
    response
}

fn plain(status: StatusCode, message: &str) -> Response<Full<Bytes>> {
    response(status, "text/plain; charset=utf-8", message.to_owned())
}

fn response(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
