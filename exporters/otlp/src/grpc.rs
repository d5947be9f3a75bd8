//! OTLP over gRPC.
//!
//! The call is put together here, on tonic's channel, rather than through `tonic::client::Grpc`: the bytes are ready
//! and compressed already, and an answer that is too large for us must not look like a request that is too large
//! for the server, which tonic reports with the same status.

use std::future::poll_fn;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, TE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, Version};
use http_body_util::{BodyExt, Full};
use tonic::Status;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::transport::{Channel, Endpoint};
use tracing::{info, warn};
use wattline_export_delivery::words::chain;
use wattline_export_delivery::{Compression, DropReason, Redaction, Sending, Transport, Verdict, of_grpc};

use crate::client::{Stamps, stamps};
use crate::config::{Config, Key, Tls};
use crate::response::{RESPONSE_BYTES_MAX, accepted};
use crate::secrets::HeaderFiles;
use crate::tls::{Material, Problem};

/// gRPC over HTTP2, "Length-Prefixed-Message": a flag and a length of four bytes.
const PREFIX_BYTES: usize = 5;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// One signal's way to a gRPC endpoint.
#[derive(Debug)]
pub(crate) struct GrpcTransport {
    setup: Setup,
    stamps: Stamps,
    endpoint: Endpoint,
    uri: Uri,
    call: Call,
    /// Made on first use: a channel needs the runtime that it will run on.
    channel: Option<Channel>,
}

/// What goes with each request.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) headers: HeaderMap,
    pub(crate) header_files: HeaderFiles,
    pub(crate) redaction: Redaction,
}

/// What a connection is made of.
#[derive(Debug)]
struct Setup {
    key: Key,
    destination: String,
    origin: String,
    /// Certificates; `None` without TLS.
    tls: Option<Tls>,
    timeout: Duration,
}

impl Setup {
    fn endpoint(&self) -> Result<Endpoint, Problem> {
        let endpoint = Endpoint::from_shared(self.origin.clone())
            .map_err(|_invalid| (self.key, "is not a URL that HTTP/2 can carry".to_owned()))?
            .connect_timeout(self.timeout);
        let Some(tls) = &self.tls else { return Ok(endpoint) };
        endpoint.tls_config(Material::read(tls)?.for_grpc()?).map_err(|error| ("tls", chain(&error)))
    }

    fn stamps(&self) -> Stamps {
        self.tls.as_ref().map(stamps).unwrap_or_default()
    }
}

impl Transport for GrpcTransport {
    fn send(&mut self, body: Bytes, compression: Compression) -> Sending<'_> {
        Box::pin(self.deliver(body, compression))
    }

    /// After a silence the connection may be dead without either side knowing, and TCP would take a quarter of an hour
    /// to notice.
    fn forget_connection(&mut self) {
        self.channel = None;
    }
}

impl GrpcTransport {
    pub(crate) fn new(
        key: Key,
        endpoint: &crate::endpoint::Endpoint,
        config: &Config,
        call: Call,
    ) -> Result<Self, Problem> {
        let problem = || (key, "is not a URL that HTTP/2 can carry".to_owned());
        let url = endpoint.url().ok_or_else(problem)?;
        let uri: Uri = url.as_str().parse().map_err(|_invalid| problem())?;
        let tls = (url.scheme() == "https").then(|| config.tls.clone());
        let (destination, origin) = (config.name.clone(), url.origin().ascii_serialization());
        let setup = Setup { key, destination, origin, tls, timeout: config.timeout };
        Ok(Self { stamps: setup.stamps(), endpoint: setup.endpoint()?, setup, uri, call, channel: None })
    }

    /// Sends a compressed body once, and once more when it was refused with a token that has been replaced meanwhile.
    async fn deliver(&mut self, body: Bytes, compression: Compression) -> Verdict {
        self.renew();
        let verdict = self.attempt(body.clone(), compression).await;
        match verdict {
            Verdict::Unauthorized { .. } if self.call.header_files.changed() => self.attempt(body, compression).await,
            verdict => verdict,
        }
    }

    async fn attempt(&mut self, body: Bytes, compression: Compression) -> Verdict {
        let files = match self.call.header_files.headers() {
            Ok(files) => files,
            Err((key, problem)) => return Verdict::Unauthorized { cause: format!("{key} {problem}") },
        };
        let Some(request) = self.request(body, compression, files) else {
            let cause = "the request is larger than a gRPC message can be".to_owned();
            return Verdict::TooLarge { cause };
        };
        match self.call(request).await {
            Ok(verdict) => verdict,
            Err(error) => {
                self.forget_connection();
                let cause = self.call.redaction.clean(&chain(error.as_ref()));
                Verdict::Retry { after: None, cause }
            }
        }
    }

    /// New certificates mean a new connection; while they cannot be used the old one is.
    fn renew(&mut self) {
        let now = self.setup.stamps();
        if now == self.stamps {
            return;
        }
        self.stamps = now;
        let destination = &self.setup.destination;
        match self.setup.endpoint() {
            Ok(endpoint) => {
                info!(destination, "the certificates changed and are used from now on");
                self.endpoint = endpoint;
                self.channel = None;
            }
            Err((key, problem)) => {
                warn!(destination, key, problem, "the certificates changed and cannot be used; the old ones are");
            }
        }
    }

    fn request(&self, body: Bytes, compression: Compression, files: HeaderMap) -> Option<Request<Body>> {
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
        headers.clone_from(&self.call.headers);
        headers.extend(files);
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

    /// What servers like to repeat, the tokens of now included.
    fn redaction(&self) -> Redaction {
        let mut files = self.call.header_files.clone();
        let tokens = files.headers().unwrap_or_default();
        self.call.redaction.and(&Redaction::new(tokens.values().filter_map(|value| value.to_str().ok())))
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
                    Verdict::Delivered { rejected, message: self.redaction().clean(&message) }
                }
                other => other,
            };
        }
        let words = self.redaction().clean(status.message());
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
