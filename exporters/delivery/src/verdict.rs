//! What an answer means for the request: the only table of it.
//!
//! The rules are those of the OpenTelemetry protocol specification 1.11.0, sections "Failures" and "Throttling" for
//! gRPC and HTTP, with one deliberate difference: a missing or refused credential pauses the destination and keeps
//! the data, because credentials are mended by people and rotated by machines.

use std::time::{Duration, UNIX_EPOCH};

use prost::Message;
use wattline_core::Timestamp;

use crate::reason::DropReason;

/// What to do with a request after an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The destination took it, less `rejected` items that it never will take.
    Delivered {
        /// Items that the destination refused for good.
        rejected: u64,
        /// What the destination has to say, which may be a mere warning.
        message: String,
    },
    /// Try again later.
    Retry {
        /// The pause that the destination asks for.
        after: Option<Duration>,
        /// What happened.
        cause: String,
    },
    /// Never send it again.
    Refused {
        /// The word to count it under.
        reason: DropReason,
        /// What happened.
        cause: String,
    },
    /// Send it in smaller parts.
    TooLarge {
        /// What happened.
        cause: String,
    },
    /// The credential is missing, wrong or not allowed to: pause and keep the data.
    Unauthorized {
        /// What happened.
        cause: String,
    },
}

/// The meaning of an HTTP status. `cause` is kept for the log. A status of 200 to 299 means that all was taken,
/// unless the body says more.
pub fn of_http(status: u16, after: Option<Duration>, cause: String) -> Verdict {
    match status {
        200..=299 => Verdict::Delivered { rejected: 0, message: String::new() },
        // 407 is the same question asked by a proxy.
        401 | 403 | 407 => Verdict::Unauthorized { cause },
        413 => Verdict::TooLarge { cause },
        429 | 502 | 503 | 504 => Verdict::Retry { after, cause },
        _ => Verdict::Refused { reason: DropReason::Rejected, cause },
    }
}

/// The pause in a `Retry-After` header: seconds, or a date, which is compared with `now`, the time in the answer's
/// own `Date` header where it has one. `None` when it is neither.
pub fn retry_after(header: &str, date: Option<&str>, now: Timestamp) -> Option<Duration> {
    let header = header.trim();
    if let Ok(seconds) = header.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let then = httpdate::parse_http_date(header).ok()?;
    let now = date
        .and_then(|date| httpdate::parse_http_date(date.trim()).ok())
        .or_else(|| UNIX_EPOCH.checked_add(Duration::from_nanos(now.unix_nanos())))?;
    Some(then.duration_since(now).unwrap_or_default())
}

const CANCELLED: i32 = 1;
const DEADLINE_EXCEEDED: i32 = 4;
const PERMISSION_DENIED: i32 = 7;
const RESOURCE_EXHAUSTED: i32 = 8;
const ABORTED: i32 = 10;
const OUT_OF_RANGE: i32 = 11;
const UNAVAILABLE: i32 = 14;
const DATA_LOSS: i32 = 15;
const UNAUTHENTICATED: i32 = 16;

/// The meaning of a gRPC status that the server sent: its code, its message, and the bytes of
/// `grpc-status-details-bin`. `cause` is kept for the log.
pub fn of_grpc(code: i32, message: &str, details: &[u8], cause: String) -> Verdict {
    let info = RpcStatus::decode(details).ok().and_then(|status| status.retry_info());
    let after = info.map(RetryInfo::delay);
    match code {
        0 => Verdict::Delivered { rejected: 0, message: String::new() },
        UNAUTHENTICATED | PERMISSION_DENIED => Verdict::Unauthorized { cause },
        RESOURCE_EXHAUSTED | OUT_OF_RANGE if says_too_large(message) => Verdict::TooLarge { cause },
        CANCELLED | DEADLINE_EXCEEDED | ABORTED | OUT_OF_RANGE | UNAVAILABLE | DATA_LOSS => {
            Verdict::Retry { after, cause }
        }
        RESOURCE_EXHAUSTED if after.is_some() => Verdict::Retry { after, cause },
        _ => Verdict::Refused { reason: DropReason::Rejected, cause },
    }
}

/// gRPC has no code for a message over the receiver's limit, only sentences: those of grpc-go and gRPC core, of
/// grpc-java, and of tonic before and after decompression.
fn says_too_large(message: &str) -> bool {
    ["larger than max", "exceeds maximum size", "message length too large", "exceeded while decompressing"]
        .iter()
        .any(|words| message.contains(words))
}

/// `google.rpc.Status`, which stands in gRPC details and in the bodies of failed OTLP requests over HTTP.
#[derive(Clone, PartialEq, Message)]
pub struct RpcStatus {
    /// A gRPC status code.
    #[prost(int32, tag = "1")]
    pub code: i32,
    /// A sentence for developers.
    #[prost(string, tag = "2")]
    pub message: String,
    /// Typed additions.
    #[prost(message, repeated, tag = "3")]
    pub details: Vec<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
pub struct Any {
    /// The full name of the type after a slash.
    #[prost(string, tag = "1")]
    pub type_url: String,
    /// The encoded message.
    #[prost(bytes = "vec", tag = "2")]
    pub value: Vec<u8>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct RetryInfo {
    /// The pause that the server asks for.
    #[prost(message, optional, tag = "1")]
    pub retry_delay: Option<ProtoDuration>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct ProtoDuration {
    /// Whole seconds.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// Nanoseconds of the same sign.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

impl RpcStatus {
    fn retry_info(&self) -> Option<RetryInfo> {
        let is_info = |any: &&Any| any.type_url.rsplit('/').next() == Some("google.rpc.RetryInfo");
        self.details.iter().find(is_info).and_then(|any| RetryInfo::decode(any.value.as_slice()).ok())
    }
}

impl RetryInfo {
    /// A negative or absent delay is none.
    fn delay(self) -> Duration {
        let ProtoDuration { seconds, nanos } = self.retry_delay.unwrap_or_default();
        let seconds = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
        seconds.saturating_add(Duration::from_nanos(u64::try_from(nanos).unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kind(verdict: &Verdict) -> &'static str {
        match verdict {
            Verdict::Delivered { .. } => "delivered",
            Verdict::Retry { .. } => "retry",
            Verdict::Refused { .. } => "refused",
            Verdict::TooLarge { .. } => "too large",
            Verdict::Unauthorized { .. } => "unauthorized",
        }
    }

    #[test]
    fn only_four_http_statuses_are_tried_again() {
        let retried: Vec<u16> =
            (100..600).filter(|&status| kind(&of_http(status, None, String::new())) == "retry").collect();
        assert_eq!(retried, [429, 502, 503, 504]);
        for (status, expected) in [(200, "delivered"), (202, "delivered"), (302, "refused"), (400, "refused")]
            .into_iter()
            .chain([(401, "unauthorized"), (403, "unauthorized"), (404, "refused"), (408, "refused")])
            .chain([(413, "too large"), (500, "refused")])
        {
            assert_eq!(kind(&of_http(status, None, String::new())), expected, "{status}");
        }
    }

    #[test]
    fn grpc_codes_follow_the_table_of_the_specification() {
        let retried: Vec<i32> =
            (0..20).filter(|&code| kind(&of_grpc(code, "", &[], String::new())) == "retry").collect();
        assert_eq!(retried, [1, 4, 10, 11, 14, 15]);
        assert_eq!(kind(&of_grpc(0, "", &[], String::new())), "delivered");
        assert_eq!(kind(&of_grpc(8, "quota", &[], String::new())), "refused");
        assert_eq!(kind(&of_grpc(7, "", &[], String::new())), "unauthorized");
        assert_eq!(kind(&of_grpc(16, "", &[], String::new())), "unauthorized");
    }

    #[test]
    fn a_full_receiver_is_told_from_a_large_message() {
        for (code, message) in [
            (8, "grpc: received message larger than max (5242880 vs. 4194304)"),
            (8, "grpc: received message after decompression larger than max 4194304"),
            (8, "Received message larger than max (17777780 vs. 4194304)"),
            (8, "gRPC message exceeds maximum size 4194304: 5242880"),
            (8, "Decompressed gRPC message exceeds maximum size 4194304"),
            (11, "Error, decoded message length too large: found 5 bytes, the limit is: 4 bytes"),
            (8, "Error decompressing: size limit, of 4 bytes, exceeded while decompressing message"),
        ] {
            assert_eq!(kind(&of_grpc(code, message, &[], String::new())), "too large", "{message}");
        }
    }

    fn details(delay: Option<ProtoDuration>) -> Vec<u8> {
        let other = Any { type_url: "type.googleapis.com/google.rpc.DebugInfo".to_owned(), value: vec![255, 255] };
        let value = RetryInfo { retry_delay: delay }.encode_to_vec();
        let info = Any { type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(), value };
        RpcStatus { code: 8, message: "slow down".to_owned(), details: vec![other, info] }.encode_to_vec()
    }

    #[test]
    fn exhausted_resources_are_tried_again_only_when_the_server_says_when() {
        let delay = Some(ProtoDuration { seconds: 2, nanos: 500_000_000 });
        let verdict = of_grpc(8, "slow down", &details(delay), "c".to_owned());
        assert_eq!(verdict, Verdict::Retry { after: Some(Duration::from_millis(2500)), cause: "c".to_owned() });
        let verdict = of_grpc(8, "slow down", &details(None), String::new());
        assert_eq!(verdict, Verdict::Retry { after: Some(Duration::ZERO), cause: String::new() });
        let negative = Some(ProtoDuration { seconds: -2, nanos: -5 });
        let verdict = of_grpc(14, "", &details(negative), String::new());
        assert_eq!(verdict, Verdict::Retry { after: Some(Duration::ZERO), cause: String::new() });
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_on_the_servers_own_clock() {
        let epoch = Timestamp::default();
        assert_eq!(retry_after(" 120 ", None, epoch), Some(Duration::from_mins(2)));
        let date = "Wed, 21 Oct 2015 07:28:00 GMT";
        let server_now = "Wed, 21 Oct 2015 07:27:15 GMT";
        assert_eq!(retry_after(date, Some(server_now), epoch), Some(Duration::from_secs(45)));
        let now = Timestamp::from_unix_nanos(1_445_412_470_000_000_000);
        assert_eq!(retry_after(date, None, now), Some(Duration::from_secs(10)));
        assert_eq!(retry_after(date, Some("nonsense"), now), Some(Duration::from_secs(10)));
        let late = Timestamp::from_unix_nanos(1_945_412_470_000_000_000);
        assert_eq!(retry_after(date, None, late), Some(Duration::ZERO));
        for nonsense in ["", "-1", "soon", "1.5"] {
            assert_eq!(retry_after(nonsense, None, now), None, "{nonsense}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_panics(code: i32, status: u16, message: String, details: Vec<u8>, header: String, date: Option<String>, now: u64) {
            let _verdict = of_grpc(code, &message, &details, String::new());
            let _verdict = of_http(status, None, String::new());
            let _pause = retry_after(&header, date.as_deref(), Timestamp::from_unix_nanos(now));
        }
    }
}
