//! Signature Version 4 over the very bytes that go out.

use std::time::{Duration, UNIX_EPOCH};

use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use http::uri::InvalidUri;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use wattline_core::Timestamp;

use crate::{Grant, Service};

/// A POST request before it is signed.
#[derive(Clone, Copy, Debug)]
pub struct Unsigned<'a> {
    /// The whole address, percent-encoded as it will be sent. A port that is not the scheme's own belongs to it.
    pub url: &'a str,
    /// The headers to sign beside `host`, `x-amz-date` and `x-amz-security-token`, which are always signed. AWS wants
    /// every `x-amz-*` header here, and each header more is one that a proxy may change: `content-type` is enough for
    /// OTLP, whose `x-aws-log-*` headers need no signature.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body as it is sent: after compression.
    pub body: &'a [u8],
}

/// Why a request cannot be signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request cannot be signed: {0}")]
pub struct SignError(String);

impl Grant {
    /// The headers that make `request` one of `service` by this grant: `authorization`, `x-amz-date`, and
    /// `x-amz-security-token` for credentials that last for a while. They are good for five minutes around `at`.
    pub fn sign(&self, service: Service, request: &Unsigned<'_>, at: Timestamp) -> Result<HeaderMap, SignError> {
        self.sign_for(service.as_str(), request, at)
    }

    /// As [`Self::sign`], for a service by its name in signatures.
    pub fn sign_for(&self, service: &str, request: &Unsigned<'_>, at: Timestamp) -> Result<HeaderMap, SignError> {
        let identity = self.credentials().clone().into();
        let time = UNIX_EPOCH
            .checked_add(Duration::from_secs(at.unix_seconds()))
            .ok_or_else(|| SignError("the time is out of range".to_owned()))?;
        let parameters = SigningParams::builder()
            .identity(&identity)
            .region(self.region().as_str())
            .name(service)
            .time(time)
            // A path is encoded twice, as for all services but S3, and the hash of the body needs no header of its own.
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| SignError(error.to_string()))?
            .into();
        let Unsigned { url, headers, body } = *request;
        let uri: Uri = url.parse().map_err(|error: InvalidUri| SignError(format!("the address: {error}")))?;
        // aws-sigv4 takes one without a host, and panics on some of those.
        if uri.scheme().is_none() || uri.host().is_none() {
            return Err(SignError("the address has no host".to_owned()));
        }
        let signable = SignableRequest::new("POST", url, headers.iter().copied(), SignableBody::Bytes(body))
            .map_err(|error| SignError(wattline_core::words::chain(&error)))?;
        let signed = sign(signable, &parameters).map_err(|error| SignError(wattline_core::words::chain(&error)))?;
        let mut signature = HeaderMap::new();
        for (name, value) in signed.output().headers() {
            let name: HeaderName = name.parse().map_err(|_invalid| SignError("a header has no name".to_owned()))?;
            let mut value = HeaderValue::from_str(value)
                .map_err(|_secret| SignError("the credentials hold characters that no header can have".to_owned()))?;
            value.set_sensitive(true);
            signature.insert(name, value);
        }
        Ok(signature)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use wattline_core::secret::Secret;

    fn grant(token: Option<&str>) -> Grant {
        let secret = Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
        Grant::fixed("AKIDEXAMPLE", &secret, token.map(Secret::new).as_ref(), "us-east-1".parse().unwrap())
    }

    /// 2015-08-30T12:36:00Z.
    const AT: Timestamp = Timestamp::from_unix_nanos(1_440_938_160_000_000_000);

    fn authorization(grant: &Grant, request: &Unsigned<'_>) -> String {
        let headers = grant.sign_for("service", request, AT).unwrap();
        headers.get("authorization").unwrap().to_str().unwrap().to_owned()
    }

    const SCOPE: &str = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request";

    /// Signatures that AWS published with its "Signature Version 4 test suite": post-vanilla, post-vanilla-query,
    /// post-header-key-sort and post-x-www-form-urlencoded. tests/real compares thousands more with botocore.
    #[test]
    fn the_published_signatures_come_out() {
        let vanilla = Unsigned { url: "https://example.amazonaws.com/", headers: &[], body: b"" };
        let query = Unsigned { url: "https://example.amazonaws.com/?Param1=value1", ..vanilla };
        let sorted = Unsigned { headers: &[("My-Header1", "value1")], ..vanilla };
        let form = Unsigned {
            headers: &[("Content-Type", "application/x-www-form-urlencoded")],
            body: b"Param1=value1",
            ..vanilla
        };
        for (request, signed, signature) in [
            (vanilla, "host;x-amz-date", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
            (query, "host;x-amz-date", "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"),
            (sorted, "host;my-header1;x-amz-date", "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"),
            (form, "content-type;host;x-amz-date", "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"),
        ] {
            let expected = format!("{SCOPE}, SignedHeaders={signed}, Signature={signature}");
            assert_eq!(authorization(&grant(None), &request), expected);
        }
    }

    #[test]
    fn a_session_token_goes_along_and_is_signed() {
        let request = Unsigned { url: "https://h/v1/metrics", headers: &[("content-type", "a/b")], body: b"x" };
        let signed = grant(Some("T0ken")).sign(Service::Monitoring, &request, AT).unwrap();
        assert_eq!(signed.len(), 3);
        assert_eq!(signed.get("x-amz-security-token").unwrap(), "T0ken");
        let authorization = signed.get("authorization").unwrap().to_str().unwrap();
        assert!(authorization.contains("/us-east-1/monitoring/aws4_request"), "{authorization}");
        assert!(authorization.contains("SignedHeaders=content-type;host;x-amz-date;x-amz-security-token"));
        assert!(signed.values().all(HeaderValue::is_sensitive));
    }

    proptest! {
        #[test]
        fn no_request_is_a_panic(url: String, name: String, value: String, body: Vec<u8>, nanos: u64, token: String) {
            let headers = [(name.as_str(), value.as_str())];
            let request = Unsigned { url: &url, headers: &headers, body: &body };
            let _signed = grant(Some(&token)).sign(Service::Logs, &request, Timestamp::from_unix_nanos(nanos));
        }

        #[test]
        fn another_byte_is_another_signature(body: Vec<u8>, more: u8) {
            let request = Unsigned { url: "https://h/", headers: &[], body: &body };
            let mut longer = body.clone();
            longer.push(more);
            let other = Unsigned { body: &longer, ..request };
            prop_assert_ne!(authorization(&grant(None), &request), authorization(&grant(None), &other));
        }
    }
}
