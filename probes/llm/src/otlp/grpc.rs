//! OTLP over gRPC: three unary calls whose messages are taken as bytes.
//!
//! The framing of a unary call is a flag and a length before one message, so it is read here: the body goes through
//! the same limits and the same decompression as over HTTP, and nothing decodes it into structs.
//!
//! Source: gRPC over HTTP/2 (`PROTOCOL-HTTP2.md`), and OTLP specification 1.11, "OTLP/gRPC".

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::{Body, Frame};
use tonic::Code;
use wattline_core::Signal;
use wattline_listen::Guard;
use wattline_wire::status::{Encoding, Status};

use super::body::{self, Compression};
use super::intake::Intake;
use super::refusal::{Answer, Refusal};

/// A flag and a length.
const PREFIX: usize = 5;
const MEDIA_TYPE: &str = "application/grpc";

/// Answers one call. It never fails: what goes wrong is an answer.
pub(super) async fn answer<B>(
    intake: Arc<Intake>,
    guard: Arc<Guard>,
    request: Request<B>,
) -> Result<Response<Reply>, Infallible>
where
    B: Body<Data = Bytes> + Unpin,
{
    let is_grpc =
        request.headers().get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(MEDIA_TYPE.as_bytes()));
    if !is_grpc || request.method() != Method::POST {
        // This is not gRPC, so neither is the answer.
        let mut response = Response::new(Reply::default());
        *response.status_mut() =
            if is_grpc { StatusCode::METHOD_NOT_ALLOWED } else { StatusCode::UNSUPPORTED_MEDIA_TYPE };
        return Ok(response);
    }
    let signal = match request.uri().path() {
        "/opentelemetry.proto.collector.trace.v1.TraceService/Export" => Signal::Traces,
        "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export" => Signal::Metrics,
        "/opentelemetry.proto.collector.logs.v1.LogsService/Export" => Signal::Logs,
        _ => return Ok(tonic::Status::unimplemented("only the three Export calls of OTLP are here").into_http()),
    };
    Ok(match take(&intake, &guard, signal, request).await {
        Ok(()) => accepted(),
        Err(refusal) => {
            intake.count_refusal(refusal.answer().reason, signal);
            refused(&refusal)
        }
    })
}

async fn take<B>(intake: &Intake, guard: &Guard, signal: Signal, request: Request<B>) -> Result<(), Refusal>
where
    B: Body<Data = Bytes> + Unpin,
{
    if !guard.admits(request.headers()) {
        return Err(Refusal::Unauthenticated);
    }
    let is_booked = intake.is_booked(request.headers())?;
    let compression =
        Compression::from_header(request.headers().get("grpc-encoding")).ok_or(Refusal::ContentEncoding)?;
    let limit = intake.max_body_bytes;
    let mut share = intake.budget.share();
    let framed = body::read(request.into_body(), limit + PREFIX, intake.read_timeout, &mut share).await?;
    let (is_compressed, message) = unframe(framed)?;
    let message = match (is_compressed, compression) {
        (false, _) => message,
        (true, Compression::Identity) => return Err(Refusal::Framing),
        (true, compression) => compression.undo(message, limit, &mut share)?,
    };
    intake.take(signal, message, is_booked).await
}

/// The only message of a call and whether it is compressed.
fn unframe(mut framed: Bytes) -> Result<(bool, Bytes), Refusal> {
    let flag = framed.try_get_u8().map_err(|_short| Refusal::Framing)?;
    let length = framed.try_get_u32().map_err(|_short| Refusal::Framing)?;
    if flag > 1 || framed.len() != length as usize {
        return Err(Refusal::Framing);
    }
    Ok((flag == 1, framed))
}

fn accepted() -> Response<Reply> {
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let mut response =
        Response::new(Reply { message: Some(Bytes::from_static(&[0; PREFIX])), trailers: Some(trailers) });
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    response
}

fn refused(refusal: &Refusal) -> Response<Reply> {
    let Answer { reason: _, http: _, grpc, retry_after_seconds } = refusal.answer();
    let message = refusal.to_string();
    let details = match retry_after_seconds {
        // RESOURCE_EXHAUSTED may be retried only where RetryInfo says so.
        Some(_) => {
            let code = u8::try_from(i32::from(grpc)).unwrap_or_default();
            Status { code, message: &message, retry_after_seconds }.encode(Encoding::Protobuf).into()
        }
        None => Bytes::new(),
    };
    let mut response: Response<Reply> = tonic::Status::with_details(grpc, message, details).into_http();
    if grpc == Code::Unimplemented {
        response.headers_mut().insert("grpc-accept-encoding", HeaderValue::from_static("identity,gzip,zstd,deflate"));
    }
    response
}

/// An empty message and the trailers, or nothing at all.
#[derive(Debug, Default)]
pub(super) struct Reply {
    message: Option<Bytes>,
    trailers: Option<HeaderMap>,
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = match self.message.take() {
            Some(message) => Some(Frame::data(message)),
            None => self.trailers.take().map(Frame::trailers),
        };
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.message.is_none() && self.trailers.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_message_is_taken_and_nothing_else() {
        let unframed = |bytes: &'static [u8]| unframe(Bytes::from_static(bytes)).ok();
        assert_eq!(unframed(&[0, 0, 0, 0, 0]), Some((false, Bytes::new())));
        assert_eq!(unframed(&[1, 0, 0, 0, 1, 9]), Some((true, Bytes::from_static(&[9]))));
        for bad in [&[][..], &[0, 0, 0, 0], &[2, 0, 0, 0, 0], &[0, 0, 0, 0, 2, 9], &[0, 0, 0, 0, 0, 9]] {
            assert_eq!(unframed(bad), None);
        }
    }
}
