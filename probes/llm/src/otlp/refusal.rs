//! Why a request is refused, and what each protocol says to that.

use http::StatusCode;
use tonic::Code;
use wattline_core::queue::Refused;
use wattline_wire::json::JsonError;
use wattline_wire::protobuf;

/// A request that was not taken. Its text is what the sender is told.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("a bearer token is wanted, and this request bears none or another")]
    Unauthenticated,
    #[error("this agent has sent the request itself: one of its destinations leads back to it")]
    Loop,
    #[error("only POST is taken here")]
    Method,
    #[error("the content type is neither application/x-protobuf nor application/json")]
    ContentType,
    #[error("the content encoding is none of gzip, zstd, deflate and identity")]
    ContentEncoding,
    #[error("the request is larger than {limit} bytes after decompression")]
    TooLarge { limit: usize },
    #[error("the request holds more than {limit} items")]
    TooManyItems { limit: u64 },
    #[error("{0}")]
    TooManyAttributes(protobuf::Error),
    #[error("the request is not a valid message: {0}")]
    Protobuf(protobuf::Error),
    #[error("the request is not a valid message: {0}")]
    Json(serde_json::Error),
    #[error("the request does not decompress: {0}")]
    Decompression(std::io::Error),
    #[error("the request is not one length-prefixed gRPC message")]
    Framing,
    #[error("the request did not arrive within {seconds} s")]
    Slow { seconds: u64 },
    #[error("the request ended early")]
    Aborted,
    #[error("too many requests are being read; come again")]
    Busy,
    #[error("the queue is full; come again")]
    QueueFull,
    #[error("a destination could not keep the request on disk in time; come again")]
    NotKept,
    #[error("the receiver is stopping; come again")]
    Stopping,
}

/// What a refusal is in both protocols.
pub(super) struct Answer {
    /// The word in `wattline.reason`.
    pub(super) reason: &'static str,
    pub(super) http: StatusCode,
    pub(super) grpc: Code,
    /// Whole seconds after which the sender should come again; `None` if that would not help.
    pub(super) retry_after_seconds: Option<u32>,
}

impl Refusal {
    pub(super) fn answer(&self) -> Answer {
        let for_good = |reason, http, grpc| Answer { reason, http, grpc, retry_after_seconds: None };
        let for_now = |reason, http, grpc| Answer { reason, http, grpc, retry_after_seconds: Some(1) };
        match self {
            Self::Unauthenticated => for_good("unauthenticated", StatusCode::UNAUTHORIZED, Code::Unauthenticated),
            Self::Loop => for_good("loop", StatusCode::LOOP_DETECTED, Code::FailedPrecondition),
            Self::Method => for_good("method", StatusCode::METHOD_NOT_ALLOWED, Code::Unimplemented),
            Self::ContentType => for_good("content_type", StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::InvalidArgument),
            Self::ContentEncoding => {
                for_good("content_encoding", StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::Unimplemented)
            }
            Self::TooLarge { .. } => for_good("too_large", StatusCode::PAYLOAD_TOO_LARGE, Code::ResourceExhausted),
            Self::TooManyItems { .. } => {
                for_good("too_many_items", StatusCode::PAYLOAD_TOO_LARGE, Code::ResourceExhausted)
            }
            Self::TooManyAttributes(_) => {
                for_good("too_many_attributes", StatusCode::PAYLOAD_TOO_LARGE, Code::ResourceExhausted)
            }
            Self::Protobuf(_) | Self::Json(_) | Self::Decompression(_) | Self::Framing => {
                for_good("undecodable", StatusCode::BAD_REQUEST, Code::InvalidArgument)
            }
            Self::Slow { .. } => for_now("slow", StatusCode::SERVICE_UNAVAILABLE, Code::DeadlineExceeded),
            Self::Aborted => for_good("aborted", StatusCode::BAD_REQUEST, Code::Cancelled),
            Self::Busy => for_now("busy", StatusCode::TOO_MANY_REQUESTS, Code::ResourceExhausted),
            Self::QueueFull => for_now("queue_full", StatusCode::TOO_MANY_REQUESTS, Code::ResourceExhausted),
            Self::NotKept => for_now("not_kept", StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable),
            Self::Stopping => for_now("stopping", StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable),
        }
    }
}

impl From<protobuf::Error> for Refusal {
    fn from(error: protobuf::Error) -> Self {
        match error.problem {
            protobuf::Problem::Attributes(_) => Self::TooManyAttributes(error),
            _ => Self::Protobuf(error),
        }
    }
}

impl From<JsonError> for Refusal {
    fn from(error: JsonError) -> Self {
        match error {
            JsonError::Invalid(error) => Self::Json(error),
            JsonError::TooLarge { limit } => Self::TooLarge { limit },
        }
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Full => Self::QueueFull,
            Refused::Closed => Self::Stopping,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn all() -> Vec<Refusal> {
        let attributes = protobuf::Error { offset: 0, problem: protobuf::Problem::Attributes(1) };
        let truncated = protobuf::Error { offset: 0, problem: protobuf::Problem::Truncated };
        vec![
            Refusal::Unauthenticated,
            Refusal::Loop,
            Refusal::Method,
            Refusal::ContentType,
            Refusal::ContentEncoding,
            Refusal::TooLarge { limit: 1 },
            Refusal::TooManyItems { limit: 1 },
            attributes.into(),
            truncated.into(),
            Refusal::Json(serde_json::from_str::<u8>("x").unwrap_err()),
            Refusal::Decompression(io::Error::other("x")),
            Refusal::Framing,
            Refusal::Slow { seconds: 1 },
            Refusal::Aborted,
            Refusal::Busy,
            Refusal::QueueFull,
            Refusal::NotKept,
            Refusal::Stopping,
        ]
    }

    #[test]
    fn a_sender_that_keeps_to_the_protocol_retries_what_may_succeed_and_nothing_else() {
        for refusal in all() {
            let Answer { reason, http, grpc, retry_after_seconds } = refusal.answer();
            // The codes that the OTLP specification calls retryable. A sender that aborted is not there to read.
            let by_http = [429, 502, 503, 504].contains(&http.as_u16());
            let by_grpc = match grpc {
                Code::ResourceExhausted => retry_after_seconds.is_some(),
                Code::DeadlineExceeded | Code::Unavailable => true,
                _ => false,
            };
            assert_eq!((by_http, by_grpc), (retry_after_seconds.is_some(), retry_after_seconds.is_some()), "{reason}");
        }
    }
}
