//! What a destination says when it took a request.

use prost::Message;
use wattline_export_delivery::Verdict;

/// Answers are read up to here; opentelemetry-proto, docs/specification.md, asks for the limit.
pub(crate) const RESPONSE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// `ExportMetricsServiceResponse` and its two siblings, which are the same on the wire.
#[derive(Clone, PartialEq, Message)]
struct ExportResponse {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected: i64,
    #[prost(string, tag = "2")]
    error_message: String,
}

/// The verdict in the body of a successful answer. A body that cannot be read changes nothing: the request was taken.
pub(crate) fn accepted(body: &[u8]) -> Verdict {
    let partial = ExportResponse::decode(body).ok().and_then(|response| response.partial_success).unwrap_or_default();
    Verdict::Delivered { rejected: u64::try_from(partial.rejected).unwrap_or_default(), message: partial.error_message }
}

/// The same in JSON, where the count may be a text or a number and has a name for each signal.
pub(crate) fn accepted_json(body: &[u8]) -> Verdict {
    let answer: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let partial = answer.get("partialSuccess").or_else(|| answer.get("partial_success"));
    let first = |names: &[&str]| names.iter().find_map(|name| partial?.get(name));
    let rejected = first(&["rejectedDataPoints", "rejectedSpans", "rejectedLogRecords"]);
    let rejected = rejected.and_then(|count| count.as_u64().or_else(|| count.as_str()?.parse().ok()));
    let message = first(&["errorMessage", "error_message"]).and_then(serde_json::Value::as_str);
    Verdict::Delivered { rejected: rejected.unwrap_or_default(), message: message.unwrap_or_default().to_owned() }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsPartialSuccess, ExportLogsServiceResponse};
    use opentelemetry_proto::tonic::collector::metrics::v1::{
        ExportMetricsPartialSuccess, ExportMetricsServiceResponse,
    };
    use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_answers_of_all_three_services_read_alike() {
        let expected = Verdict::Delivered { rejected: 7, message: "no start time".to_owned() };
        let error_message = "no start time".to_owned();
        let metrics = ExportMetricsPartialSuccess { rejected_data_points: 7, error_message: error_message.clone() };
        let metrics = ExportMetricsServiceResponse { partial_success: Some(metrics) }.encode_to_vec();
        let traces = ExportTracePartialSuccess { rejected_spans: 7, error_message: error_message.clone() };
        let traces = ExportTraceServiceResponse { partial_success: Some(traces) }.encode_to_vec();
        let logs = ExportLogsPartialSuccess { rejected_log_records: 7, error_message };
        let logs = ExportLogsServiceResponse { partial_success: Some(logs) }.encode_to_vec();
        for body in [metrics, traces, logs] {
            assert_eq!(accepted(&body), expected);
        }
    }

    #[test]
    fn an_answer_in_json_reads_like_one_in_protobuf() {
        for (body, rejected, message) in [
            (r#"{"partialSuccess":{"rejectedSpans":"7","errorMessage":"no"}}"#, 7, "no"),
            (r#"{"partialSuccess":{"rejectedDataPoints":3}}"#, 3, ""),
            (r#"{"partialSuccess":{"rejectedLogRecords":"-1"}}"#, 0, ""),
            (r#"{"partialSuccess":{}}"#, 0, ""),
            ("{}", 0, ""),
            ("[1", 0, ""),
        ] {
            let expected = Verdict::Delivered { rejected, message: message.to_owned() };
            assert_eq!(accepted_json(body.as_bytes()), expected, "{body}");
        }
    }

    #[test]
    fn an_empty_or_unreadable_answer_is_full_success() {
        let full = Verdict::Delivered { rejected: 0, message: String::new() };
        for body in [&b""[..], b"{}", b"OK", b"\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"] {
            assert_eq!(accepted(body), full);
        }
    }

    proptest! {
        #[test]
        fn no_answer_is_a_panic(body: Vec<u8>) {
            let _verdict = accepted(&body);
            let _verdict = accepted_json(&body);
        }
    }
}
