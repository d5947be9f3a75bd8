//! Questions to services of AWS in JSON, and what their answers mean.
//!
//! Signing and credentials are the SDK's; a question itself is one POST, for which a service's whole SDK would add
//! megabytes to the program.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_TYPE, DATE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue};
use rustls_platform_verifier::BuilderVerifierExt as _;
use serde::{Deserialize, Serialize};
use wattline_core::Timestamp;
use wattline_core::secret::{Redaction, Secret};
use wattline_core::words::chain;

use crate::{Access, Grant, Service, Unsigned, clock_skew};

const USER_AGENT: &str = concat!("wattline/", env!("CARGO_PKG_VERSION"));
/// As much of a refusal is read as can mean anything.
const REFUSAL_BYTES_MAX: usize = 64 << 10;

/// Why a question got no answer. The variant is the caller's next action.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The service asks to slow down: ask again, later each time.
    #[error("{what}")]
    Throttled {
        /// The pause that it asks for.
        after: Option<Duration>,
        /// What happened.
        what: String,
    },
    /// There are no credentials, or they may not: say so once, ask again rarely.
    #[error("{what}")]
    Denied {
        /// What was refused.
        what: String,
    },
    /// What is asked for does not exist: say so once, ask again rarely.
    #[error("{what}")]
    Missing {
        /// What is missing.
        what: String,
    },
    /// The question is no good, such as a token that has ended: begin anew.
    #[error("{what}")]
    Rejected {
        /// What was refused.
        what: String,
    },
    /// It did not answer, or nonsense: ask again, later each time.
    #[error("{what}")]
    Failed {
        /// What was attempted, and how it failed.
        what: String,
    },
}

/// Asks services of AWS.
pub struct Client {
    http: reqwest::Client,
    access: Access,
    endpoint: Option<String>,
    timeout: Duration,
    now: fn() -> Timestamp,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl Client {
    /// A client that asks with what `access` gives. `endpoint` stands in place of the services' own addresses; `timeout` is
    /// the longest time for one answer. Nothing is connected yet.
    pub fn new(
        access: Access,
        endpoint: Option<String>,
        proxy: Option<&Secret>,
        timeout: Duration,
        now: fn() -> Timestamp,
    ) -> Result<Self, String> {
        // The provider is passed rather than installed: the process may have its own.
        let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_platform_verifier()
            .map_err(|error| format!("the system's certificates cannot be used: {error}"))?
            .with_no_client_auth();
        let builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(USER_AGENT)
            // The environment is the agent's to read.
            .no_proxy()
            // A redirect would carry the signature to a place that nobody configured.
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false);
        let builder = match proxy {
            None => builder,
            Some(proxy) => builder
                .proxy(reqwest::Proxy::all(proxy.reveal()).map_err(|_secret| "the proxy is not a URL".to_owned())?),
        };
        let http = builder.build().map_err(|error| chain(&error))?;
        if let Some(endpoint) = &endpoint {
            reqwest::Url::parse(endpoint).map_err(|error| format!("{endpoint} is no address: {error}"))?;
        }
        Ok(Self { http, access, endpoint, timeout, now })
    }

    /// Asks `service` for `action`, by its whole name such as `Logs_20140328.FilterLogEvents`, and reads an answer of at
    /// most `bytes_max`. Asks once more when the credentials were refused and there are others by now.
    pub async fn ask<T: for<'de> Deserialize<'de>>(
        &self,
        service: Service,
        action: &str,
        question: &impl Serialize,
        bytes_max: usize,
    ) -> Result<T, AskError> {
        let body = serde_json::to_vec(question)
            .map_err(|error| AskError::Rejected { what: format!("{action} cannot be written: {error}") })?;
        let grant = self.access.grant().await.map_err(|error| AskError::Denied { what: error.to_string() })?;
        let answer = match self.once(&grant, service, action, &body, bytes_max).await {
            Err(AskError::Denied { what }) => match self.access.another(&grant).await {
                Some(other) => self.once(&other, service, action, &body, bytes_max).await?,
                None => return Err(AskError::Denied { what }),
            },
            other => other?,
        };
        serde_json::from_slice(&answer).map_err(|error| AskError::Failed {
            what: format!("{action}: the answer is not what it should be: {error}"),
        })
    }

    async fn once(
        &self,
        grant: &Grant,
        service: Service,
        action: &str,
        body: &[u8],
        bytes_max: usize,
    ) -> Result<Vec<u8>, AskError> {
        let asked = tokio::time::timeout(self.timeout, self.post(grant, service, action, body, bytes_max));
        asked.await.unwrap_or_else(|_elapsed| {
            Err(AskError::Failed { what: format!("{action}: no whole answer within {:?}", self.timeout) })
        })
    }

    async fn post(
        &self,
        grant: &Grant,
        service: Service,
        action: &str,
        body: &[u8],
        bytes_max: usize,
    ) -> Result<Vec<u8>, AskError> {
        let url = self.endpoint.clone().unwrap_or_else(|| format!("{}/", service.origin(grant.region())));
        let json = service.json();
        let signed = [("content-type", json), ("x-amz-target", action)];
        let unsigned = Unsigned { url: &url, headers: &signed, body };
        let mut headers = grant
            .sign(service, &unsigned, (self.now)())
            .map_err(|error| AskError::Denied { what: error.to_string() })?;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(json));
        let redaction = grant.redaction();
        let broken = |error: reqwest::Error| AskError::Failed {
            what: format!("{action}: {}", redaction.clean(&chain(&error.without_url()))),
        };
        let request = self.http.post(&url).headers(headers).header("x-amz-target", action).body(body.to_vec());
        let mut response = request.send().await.map_err(broken)?;
        let is_fine = response.status().is_success();
        let limit = if is_fine { bytes_max } else { REFUSAL_BYTES_MAX };
        let mut answer = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if answer.len() + chunk.len() <= limit => answer.extend_from_slice(&chunk),
                Ok(Some(_)) if is_fine => {
                    return Err(AskError::Failed {
                        what: format!("{action}: the answer is larger than {limit} bytes"),
                    });
                }
                // The status says what became of the question.
                Ok(Some(_) | None) => break,
                Err(_) if !is_fine => break,
                Err(error) => return Err(broken(error)),
            }
        }
        if is_fine {
            return Ok(answer);
        }
        let (status, now) = (response.status().as_u16(), (self.now)());
        Err(refusal(action, status, response.headers(), &answer, &redaction, now))
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Failure {
    #[serde(rename = "__type")]
    kind: String,
    #[serde(alias = "Message")]
    message: String,
}

/// What a refusal means. AWS names errors in a header or in the body, and many that pass come with 400.
/// Source: "Common Errors" in the API references of `CloudWatch` and `CloudWatch` Logs.
fn refusal(
    action: &str,
    status: u16,
    headers: &HeaderMap,
    body: &[u8],
    redaction: &Redaction,
    now: Timestamp,
) -> AskError {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let failure: Failure = serde_json::from_slice(body).unwrap_or_default();
    // The name may stand behind a namespace and before an address.
    let kind = text("x-amzn-errortype").unwrap_or(&failure.kind);
    let kind = kind.rsplit('#').next().unwrap_or_default().split(':').next().unwrap_or_default().trim();
    let words = redaction.clean(&format!("{kind} {}", failure.message));
    let what = format!("{action}: HTTP {status} {words}").trim_end().to_owned();
    let after = text(RETRY_AFTER.as_str()).and_then(|after| after.trim().parse().ok()).map(Duration::from_secs);
    let says = |names: &[&str]| names.iter().any(|name| kind.contains(name));
    if says(&["Throttl", "RequestLimitExceeded", "LimitExceeded", "TooManyRequests"]) || status == 429 {
        AskError::Throttled { after, what }
    } else if says(&["ResourceNotFound"]) {
        AskError::Missing { what }
    } else if says(&[
        "AccessDenied",
        "ExpiredToken",
        "RequestExpired",
        "IncompleteSignature",
        "InvalidSignature",
        "SignatureDoesNotMatch",
        "InvalidClientTokenId",
        "MissingAuthenticationToken",
        "NotAuthorized",
        "OptInRequired",
        "UnrecognizedClient",
    ]) || matches!(status, 401 | 403 | 407)
    {
        let skew = clock_skew(text(DATE.as_str()), now);
        AskError::Denied { what: skew.map_or(what.clone(), |skew| format!("{what}; {skew}")) }
    } else if matches!(status, 408 | 500..=599) {
        AskError::Failed { what }
    } else {
        AskError::Rejected { what }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_an_error_decides_what_comes_next() {
        let kind = |status, body: &str, header: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            if let Some(header) = header {
                headers.insert("x-amzn-errortype", HeaderValue::from_static(header));
            }
            match refusal("A.B", status, &headers, body.as_bytes(), &Redaction::default(), Timestamp::default()) {
                AskError::Throttled { .. } => "throttled",
                AskError::Denied { .. } => "denied",
                AskError::Missing { .. } => "missing",
                AskError::Rejected { .. } => "rejected",
                AskError::Failed { .. } => "failed",
            }
        };
        for (status, body, header, expected) in [
            (
                400,
                r#"{"__type":"com.amazonaws.logs#ThrottlingException","message":"Rate exceeded"}"#,
                None,
                "throttled",
            ),
            (429, "", None, "throttled"),
            (400, "{}", Some("LimitExceededException:http://x"), "throttled"),
            (400, r#"{"__type":"ResourceNotFoundException","message":"no group"}"#, None, "missing"),
            (400, r#"{"__type":"ExpiredTokenException"}"#, None, "denied"),
            (400, r#"{"__type":"AccessDeniedException","Message":"not yours"}"#, None, "denied"),
            (403, "", None, "denied"),
            (400, r#"{"__type":"InvalidParameterException"}"#, None, "rejected"),
            (503, "", None, "failed"),
        ] {
            assert_eq!(kind(status, body, header), expected, "{status} {body}");
        }
    }
}
