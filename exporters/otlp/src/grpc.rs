//! OTLP over gRPC.
//!
//! The call is put together here, on tonic's channel, rather than through `tonic::client::Grpc`: the bytes are ready
//! and compressed already, and an answer that is too large for us must not look like a request that is too large
//! for the server, which tonic reports with the same status.

use std::future::poll_fn;

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, TE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, Version};
use http_body_util::{BodyExt, Full};
use tonic::Status;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::transport::{Channel, Endpoint};
use wattline_export_delivery::{Compression, DropReason, Redaction, Sending, Transport, Verdict, of_grpc};

use crate::http::chain;
use crate::response::{RESPONSE_BYTES_MAX, accepted};

/// gRPC over HTTP2, "Length-Prefixed-Message": a flag and a length of four bytes.
const PREFIX_BYTES: usize = 5;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// One signal's way to a gRPC endpoint.
#[derive(Debug)]
pub(crate) struct GrpcTransport {
    pub(crate) endpoint: Endpoint,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) redaction: Redaction,
    /// Made on first use: a channel needs the runtime that it will run on.
    pub(crate) channel: Option<Channel>,
}

impl Transport for GrpcTransport {
    fn send(&mut self, body: Bytes, compression: Compression) -> Sending<'_> {
        Box::pin(self.attempt(body, compression))
    }

    /// After a silence the connection may be dead without either side knowing, and TCP would take a quarter of an hour
    /// to notice.
    fn forget_connection(&mut self) {
        self.channel = None;
    }
}

impl GrpcTransport {
    async fn attempt(&mut self, body: Bytes, compression: Compression) -> Verdict {
        let Some(request) = self.request(body, compression) else {
            let cause = "the request is larger than a gRPC message can be".to_owned();
            return Verdict::TooLarge { cause };
        };
        match self.call(request).await {
            Ok(verdict) => verdict,
            Err(error) => {
                self.forget_connection();
                let cause = self.redaction.clean(&chain(error.as_ref()));
                Verdict::Retry { after: None, cause }
            }
        }
    }

    fn request(&self, body: Bytes, compression: Compression) -> Option<Request<Body>> {
        let length = u32::try_from(body.len()).ok()?;
        let mut framed = BytesMut::with_capacity(PREFIX_BYTES.saturating_add(body.len()));
        framed.put_u8(u8::from(compression != Compression::None));
        framed.put_u32(length);
        framed.put(body);
        let mut request = Request::new(Body::new(Full::new(framed.freeze())));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.version_mut() = Version::HTTP_2;
        let headers = request.headers_mut();
        headers.clone_from(&self.headers);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.insert(USER_AGENT, HeaderValue::from_static(crate::USER_AGENT));
        if let Some(encoding) = compression.header() {
            headers.insert("grpc-encoding", HeaderValue::from_static(encoding));
        }
        Some(request)
    }

    async fn call(&mut self, request: Request<Body>) -> Result<Verdict, BoxError> {
        let endpoint = &self.endpoint;
        let channel = self.channel.get_or_insert_with(|| endpoint.connect_lazy());
        poll_fn(|context| GrpcService::<Body>::poll_ready(channel, context)).await?;
        let response = GrpcService::call(channel, request).await?;
        let (head, mut body) = response.into_parts();
        if let Some(status) = Status::from_header_map(&head.headers) {
            return Ok(self.verdict(&status, &[]));
        }
        if head.status != StatusCode::OK {
            return Ok(of_proxy(head.status));
        }
        let mut message = Vec::new();
        let mut trailers = None;
        while let Some(frame) = body.frame().await {
            match frame?.into_data() {
                Ok(data) if data.len() > (RESPONSE_BYTES_MAX + PREFIX_BYTES).saturating_sub(message.len()) => {
                    return Ok(Verdict::Refused {
                        reason: DropReason::ResponseTooLarge,
                        cause: format!("the answer is larger than {RESPONSE_BYTES_MAX} bytes"),
                    });
                }
                Ok(data) => message.extend_from_slice(&data),
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
        }
        Ok(match trailers.as_ref().and_then(Status::from_header_map) {
            Some(status) => self.verdict(&status, &message),
            None => Verdict::Refused {
                reason: DropReason::Rejected,
                cause: "the answer has no gRPC status; the endpoint does not speak gRPC".to_owned(),
            },
        })
    }

    fn verdict(&self, status: &Status, message: &[u8]) -> Verdict {
        if status.code() == tonic::Code::Ok {
            // We announce no encodings, so that a compressed answer cannot be meant for us and is not looked at.
            let payload = match message.split_at_checked(PREFIX_BYTES) {
                Some(([0, ..], payload)) => payload,
                _ => &[],
            };
            return match accepted(payload) {
                Verdict::Delivered { rejected, message } => {
                    Verdict::Delivered { rejected, message: self.redaction.clean(&message) }
                }
                other => other,
            };
        }
        let words = self.redaction.clean(status.message());
        let cause = format!("gRPC status {:?}: {words}", status.code());
        of_grpc(status.code() as i32, status.message(), status.details(), cause)
    }
}

/// What an HTTP status means that comes without a gRPC status, as from a proxy (gRPC, "HTTP to gRPC Status Code
/// Mapping").
fn of_proxy(status: StatusCode) -> Verdict {
    const UNKNOWN: i32 = 2;
    const PERMISSION_DENIED: i32 = 7;
    const UNIMPLEMENTED: i32 = 12;
    const INTERNAL: i32 = 13;
    const UNAVAILABLE: i32 = 14;
    const UNAUTHENTICATED: i32 = 16;
    let code = match status.as_u16() {
        400 => INTERNAL,
        401 => UNAUTHENTICATED,
        403 => PERMISSION_DENIED,
        404 => UNIMPLEMENTED,
        429 | 502 | 503 | 504 => UNAVAILABLE,
        _ => UNKNOWN,
    };
    of_grpc(code, "", &[], format!("HTTP {} without a gRPC status", status.as_u16()))
}
