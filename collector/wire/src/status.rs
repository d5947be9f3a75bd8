//! What an OTLP server answers: `google.rpc.Status` for an error, and an empty response for success.
//!
//! The messages are googleapis `google/rpc/{status,code,error_details}.proto`.

use crate::protobuf::{put_bytes, put_key, put_varint};

/// How a body is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// `application/x-protobuf`.
    Protobuf,
    /// `application/json`.
    Json,
}

impl Encoding {
    /// The media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }

    /// The encoding of a `Content-Type` header, with or without parameters.
    pub fn from_media_type(content_type: &str) -> Option<Self> {
        let media_type = content_type.split(';').next().unwrap_or_default().trim_ascii();
        [Self::Protobuf, Self::Json].into_iter().find(|encoding| media_type.eq_ignore_ascii_case(encoding.media_type()))
    }
}

/// An error as `google.rpc.Status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status<'a> {
    /// A `google.rpc.Code`, 0 to 16.
    pub code: u8,
    /// What was refused and why, for the sender's log.
    pub message: &'a str,
    /// Whole seconds after which the sender should come again; `None` if it should not.
    pub retry_after_seconds: Option<u32>,
}

const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

impl Status<'_> {
    /// The body in the encoding of the request that it answers.
    pub fn encode(&self, encoding: Encoding) -> Vec<u8> {
        match encoding {
            Encoding::Protobuf => self.to_protobuf(),
            Encoding::Json => self.to_json(),
        }
    }

    fn to_protobuf(self) -> Vec<u8> {
        let mut out = Vec::new();
        put_key(&mut out, 1, 0);
        put_varint(&mut out, u64::from(self.code));
        put_bytes(&mut out, 2, self.message.as_bytes());
        if let Some(seconds) = self.retry_after_seconds {
            let mut duration = Vec::new();
            put_key(&mut duration, 1, 0);
            put_varint(&mut duration, u64::from(seconds));
            let mut retry_info = Vec::new();
            put_bytes(&mut retry_info, 1, &duration);
            let mut detail = Vec::new();
            put_bytes(&mut detail, 1, RETRY_INFO.as_bytes());
            put_bytes(&mut detail, 2, &retry_info);
            put_bytes(&mut out, 3, &detail);
        }
        out
    }

    fn to_json(self) -> Vec<u8> {
        let mut status = serde_json::json!({ "code": self.code, "message": self.message });
        if let (Some(seconds), Some(fields)) = (self.retry_after_seconds, status.as_object_mut()) {
            let detail = serde_json::json!([{ "@type": RETRY_INFO, "retryDelay": format!("{seconds}s") }]);
            fields.insert("details".to_owned(), detail);
        }
        status.to_string().into_bytes()
    }
}

/// The response to a request that was taken whole: an `Export*ServiceResponse` without a field.
pub const fn accepted(encoding: Encoding) -> &'static [u8] {
    match encoding {
        Encoding::Protobuf => b"",
        Encoding::Json => b"{}",
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    /// The message as googleapis declares it, for reading back.
    #[derive(Clone, PartialEq, Message)]
    struct RpcStatus {
        #[prost(int32, tag = "1")]
        code: i32,
        #[prost(string, tag = "2")]
        message: String,
        #[prost(message, repeated, tag = "3")]
        details: Vec<Detail>,
    }

    #[derive(Clone, PartialEq, Message)]
    struct Detail {
        #[prost(string, tag = "1")]
        type_url: String,
        #[prost(bytes, tag = "2")]
        value: Vec<u8>,
    }

    #[derive(Clone, PartialEq, Message)]
    struct RetryInfo {
        #[prost(message, optional, tag = "1")]
        retry_delay: Option<Delay>,
    }

    #[derive(Clone, PartialEq, Message)]
    struct Delay {
        #[prost(int64, tag = "1")]
        seconds: i64,
    }

    #[test]
    fn a_status_in_protobuf_is_read_back() {
        let status = Status { code: 8, message: "full", retry_after_seconds: Some(300) };
        let read = RpcStatus::decode(status.encode(Encoding::Protobuf).as_slice()).unwrap();
        assert_eq!((read.code, read.message.as_str()), (8, "full"));
        assert_eq!(read.details[0].type_url, RETRY_INFO);
        let retry = RetryInfo::decode(read.details[0].value.as_slice()).unwrap();
        assert_eq!(retry.retry_delay.unwrap().seconds, 300);
    }

    #[test]
    fn a_status_in_json_is_escaped() {
        let status = Status { code: 3, message: "no \"x\"", retry_after_seconds: None };
        assert_eq!(status.encode(Encoding::Json), br#"{"code":3,"message":"no \"x\""}"#);
        let status = Status { code: 8, message: "full", retry_after_seconds: Some(1) };
        let json: serde_json::Value = serde_json::from_slice(&status.encode(Encoding::Json)).unwrap();
        assert_eq!(json["details"][0]["retryDelay"], "1s");
    }

    #[test]
    fn content_types_are_read_with_their_parameters() {
        assert_eq!(Encoding::from_media_type("application/json; charset=utf-8"), Some(Encoding::Json));
        assert_eq!(Encoding::from_media_type("Application/X-Protobuf"), Some(Encoding::Protobuf));
        assert_eq!(Encoding::from_media_type("application/jsonp"), None);
        assert_eq!(Encoding::from_media_type(""), None);
    }
}
