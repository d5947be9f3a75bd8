//! What AWS means by an answer, beyond its HTTP status.

use crate::verdict::Verdict;

/// AWS names errors in the body, and some of those that pass come with 400, which elsewhere means never again. The
/// names are those of "Common Errors" in the API references of CloudWatch and of CloudWatch Logs, and of the SDKs'
/// standard retry mode. `words` is the body.
pub fn judge(verdict: Verdict, words: &str) -> Verdict {
    let Verdict::Refused { reason, cause } = verdict else { return verdict };
    let says = |names: &[&str]| names.iter().any(|name| words.contains(name));
    if says(&THROTTLED) || says(&BROKEN) {
        Verdict::Retry { after: None, cause }
    } else if says(&UNAUTHORIZED) {
        Verdict::Unauthorized { cause }
    } else if says(&TOO_LARGE) {
        Verdict::TooLarge { cause }
    } else {
        Verdict::Refused { reason, cause }
    }
}

const THROTTLED: [&str; 4] = ["Throttling", "Throttled", "RequestLimitExceeded", "Rate exceeded"];
const BROKEN: [&str; 4] = ["InternalFailure", "InternalServerError", "InternalServiceFault", "RequestTimeout"];
const UNAUTHORIZED: [&str; 8] = [
    "AccessDenied",
    "ExpiredToken",
    "RequestExpired",
    "IncompleteSignature",
    "InvalidSignature",
    "InvalidClientTokenId",
    "MissingAuthenticationToken",
    "UnrecognizedClient",
];
/// The second is the sentence of CloudWatch's endpoint for metrics.
const TOO_LARGE: [&str; 2] = ["RequestEntityTooLarge", "Maximum number of datapoints per request exceeded"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::of_http;

    #[test]
    fn errors_that_pass_are_told_from_those_that_stay() {
        let kind = |status, words: &str| match judge(of_http(status, None, String::new()), words) {
            Verdict::Delivered { .. } => "delivered",
            Verdict::Retry { .. } => "retry",
            Verdict::Refused { .. } => "refused",
            Verdict::TooLarge { .. } => "too large",
            Verdict::Unauthorized { .. } => "unauthorized",
        };
        for (status, words, expected) in [
            (200, "ThrottlingException", "delivered"),
            (400, r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#, "retry"),
            (500, r#"{"__type":"InternalFailure"}"#, "retry"),
            (500, "", "refused"),
            (400, r#"{"__type":"com.amazon.coral.service#ExpiredTokenException"}"#, "unauthorized"),
            (400, r#"{"__type":"AccessDeniedException"}"#, "unauthorized"),
            (403, r#"{"message":"Forbidden"}"#, "unauthorized"),
            (400, r#"{"message":"Maximum number of datapoints per request exceeded: 1000."}"#, "too large"),
            (413, "", "too large"),
            (400, r#"{"message":"StartTimeUnixNano is required"}"#, "refused"),
        ] {
            assert_eq!(kind(status, words), expected, "{status} {words}");
        }
    }
}
