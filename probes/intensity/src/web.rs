//! One question over HTTP, and what its answer means.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use http::header::{ACCEPT, DATE, RETRY_AFTER};
use http::{HeaderName, HeaderValue};
use reqwest::{Client, RequestBuilder, Response, Url};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls_platform_verifier::BuilderVerifierExt;
use wattline_core::Timestamp;

use crate::config::Config;
use crate::failure::{FetchError, OpenError};
use crate::secret::{Secret, clean};

/// What requests say about their sender.
const USER_AGENT: &str = concat!("wattline/", env!("CARGO_PKG_VERSION"));

/// Larger answers are not read. A day of quarter hours is 5 KB in JSON; seven hours of twenty types of plant are 80 KB in
/// the XML of ENTSO-E.
pub(crate) const ANSWER_BYTES_MAX: usize = 1 << 20;

/// As much of a refusal is read as a person wants to see.
const REFUSAL_BYTES_MAX: usize = 4 << 10;

/// A service at an address.
#[derive(Debug)]
pub(crate) struct Web {
    client: Client,
    endpoint: Url,
    timeout: Duration,
    proxy: Option<Secret>,
}

/// How a request proves who asks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Proof<'a> {
    /// Not at all.
    Nobody,
    /// A header with the key in it.
    Header(&'static str, &'a Secret),
    /// `Authorization: Bearer`.
    Bearer(&'a Secret),
    /// `Authorization: Basic`.
    Basic(&'a str, &'a Secret),
    /// A parameter of the address with the key in it.
    Query(&'static str, &'a Secret),
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The body, which is not empty.
    pub(crate) body: Vec<u8>,
    /// The provider's clock.
    pub(crate) date: Option<Timestamp>,
}

impl Web {
    /// Checks the address and reads the certificates. Nothing is connected. `secret` tells that a key will be sent.
    pub(crate) fn new(config: &Config, default: &'static str, secret: bool) -> Result<Self, OpenError> {
        let endpoint = endpoint(config.endpoint.as_deref().unwrap_or(default), secret)
            .map_err(|problem| OpenError { key: "endpoint", problem: problem.to_owned() })?;
        Ok(Self { client: client(config)?, endpoint, timeout: config.timeout, proxy: config.proxy.clone() })
    }

    /// Asks once for `path` below the endpoint. `now` is for a `Retry-After` in an answer without a date.
    pub(crate) async fn get(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        proof: Proof<'_>,
        now: Timestamp,
    ) -> Result<Answer, FetchError> {
        let request = self.request(path, query, proof);
        let asked = tokio::time::timeout(self.timeout, async {
            let response = request.send().await.map_err(|error| self.broken(error, proof))?;
            self.read(response, proof, now).await
        });
        match asked.await {
            Ok(answer) => answer,
            Err(_elapsed) => Err(FetchError::Failed {
                what: format!("asking {}: no whole answer within {:?}", self.place(), self.timeout),
            }),
        }
    }

    fn request(&self, path: &[&str], query: &[(&str, &str)], proof: Proof<'_>) -> RequestBuilder {
        let mut url = self.endpoint.clone();
        // Only an address that cannot be a base has no segments, and such a one was refused.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        if let Proof::Query(name, key) = proof {
            url.query_pairs_mut().append_pair(name, key.reveal());
        }
        let request =
            self.client.get(url).header(ACCEPT, HeaderValue::from_static("application/json, application/xml"));
        match proof {
            Proof::Nobody | Proof::Query(..) => request,
            // The builder marks both as sensitive.
            Proof::Bearer(token) => request.bearer_auth(token.reveal()),
            Proof::Basic(user, password) => request.basic_auth(user, Some(password.reveal())),
            Proof::Header(name, key) => match HeaderValue::from_str(key.reveal()) {
                Ok(mut value) => {
                    value.set_sensitive(true);
                    request.header(HeaderName::from_static(name), value)
                }
                // A key that no header can hold is sent as none: the provider then refuses it, which is what it is.
                Err(_invalid) => request,
            },
        }
    }

    async fn read(&self, response: Response, proof: Proof<'_>, now: Timestamp) -> Result<Answer, FetchError> {
        let status = response.status().as_u16();
        let date = header(&response, &DATE).and_then(http_date);
        let after = header(&response, &RETRY_AFTER).and_then(|text| retry_after(text, date.unwrap_or(now)));
        let limit = if response.status().is_success() { ANSWER_BYTES_MAX } else { REFUSAL_BYTES_MAX };
        let body = body(response, limit).await;
        if !(200..300).contains(&status) {
            // The status alone decides, so that a body that breaks off does not matter.
            return Err(self.refused(status, after, &body.unwrap_or_default().bytes, proof));
        }
        let body = body.map_err(|error| self.broken(error, proof))?;
        if body.is_cut {
            let what = format!("asking {}: the answer is larger than {ANSWER_BYTES_MAX} bytes", self.place());
            return Err(FetchError::Failed { what });
        }
        if body.bytes.iter().all(u8::is_ascii_whitespace) {
            return Err(FetchError::Failed { what: format!("asking {}: the answer is empty", self.place()) });
        }
        Ok(Answer { body: body.bytes, date })
    }

    /// What a status means that is no success.
    fn refused(&self, status: u16, after: Option<Duration>, body: &[u8], proof: Proof<'_>) -> FetchError {
        let mut what = format!("asking {}: HTTP {status}", self.place());
        let words = String::from_utf8_lossy(body);
        // A page is for people with a browser.
        if !words.trim_start().starts_with("<!") && !words.trim_start().starts_with("<html") {
            let words = clean(&words, self.secrets(proof));
            if !words.is_empty() {
                what = format!("{what}: {words}");
            }
        }
        match status {
            // 407 is the same question asked by a proxy.
            401 | 403 | 407 => FetchError::Denied { what },
            429 => FetchError::Throttled { after, what },
            503 if after.is_some() => FetchError::Throttled { after, what },
            300..=399 => FetchError::Rejected {
                what: format!("{what}; a redirect is not followed, so set endpoint to where it leads"),
            },
            408 | 425 | 500.. => FetchError::Failed { what },
            _ => FetchError::Rejected { what },
        }
    }

    fn broken(&self, error: reqwest::Error, proof: Proof<'_>) -> FetchError {
        // The address may hold a key.
        let text = chain(&error.without_url());
        FetchError::Failed { what: format!("asking {}: {}", self.place(), clean(&text, self.secrets(proof))) }
    }

    fn secrets<'a>(&'a self, proof: Proof<'a>) -> impl Iterator<Item = &'a Secret> {
        let key = match proof {
            Proof::Nobody => None,
            Proof::Header(_, key) | Proof::Bearer(key) | Proof::Basic(_, key) | Proof::Query(_, key) => Some(key),
        };
        key.into_iter().chain(&self.proxy)
    }

    /// The address for a person: without a query, which may hold a key.
    fn place(&self) -> String {
        self.endpoint.origin().ascii_serialization()
    }
}

fn endpoint(text: &str, secret: bool) -> Result<Url, &'static str> {
    let mut url = Url::parse(text.trim()).map_err(|_parse| "is not a URL; write it as https://host:port")?;
    let Some(host) = url.host_str().filter(|host| !host.is_empty()) else {
        return Err("names no host");
    };
    let is_local = host == "localhost" || host == "127.0.0.1" || host == "[::1]";
    match url.scheme() {
        "https" => {}
        "http" if is_local || !secret => {}
        "http" => return Err("begins with http://, so that anybody on the way could read the key; use https://"),
        _ => return Err("does not begin with https:// or http://"),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a password; put the key into key_file or key_env");
    }
    url.set_query(None);
    url.set_fragment(None);
    Ok(url)
}

fn client(config: &Config) -> Result<Client, OpenError> {
    let builder = Client::builder()
        .tls_backend_preconfigured(tls(config)?)
        .user_agent(USER_AGENT)
        // The environment is the agent's to read.
        .no_proxy()
        // A redirect would carry the key to a place that nobody configured.
        .redirect(reqwest::redirect::Policy::none())
        // A failed question is ours to count and to repeat.
        .retry(reqwest::retry::never())
        .referer(false)
        // Questions are a quarter of an hour apart: nobody keeps a connection for so long.
        .pool_max_idle_per_host(0);
    let builder = match &config.proxy {
        None => builder,
        Some(proxy) => builder.proxy(
            reqwest::Proxy::all(proxy.reveal())
                .map_err(|_secret| OpenError { key: "proxy", problem: "is not a URL".to_owned() })?,
        ),
    };
    builder.build().map_err(|error| OpenError { key: "endpoint", problem: chain(&error) })
}

/// TLS with ring. The provider is passed rather than installed: the process may have its own.
fn tls(config: &Config) -> Result<rustls::ClientConfig, OpenError> {
    let wrong = |problem: String| OpenError { key: "ca_file", problem };
    let builder = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(error.to_string()))?;
    let builder = match &config.ca_file {
        None => builder
            .with_platform_verifier()
            .map_err(|error| wrong(format!("is not set and the system's certificates cannot be used: {error}")))?,
        Some(path) => {
            let place = path.display();
            let pem = pem(path).map_err(|error| wrong(format!("cannot be read from {place}: {error}")))?;
            let mut roots = rustls::RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                let certificate = certificate.map_err(|error| wrong(format!("{place} is no PEM: {error}")))?;
                roots.add(certificate).map_err(|error| wrong(format!("{place} holds an unusable one: {error}")))?;
            }
            if roots.is_empty() {
                return Err(wrong(format!("{place} holds no certificate in PEM")));
            }
            builder.with_root_certificates(roots)
        }
    };
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

#[expect(clippy::disallowed_methods, reason = "certificates are the user's files, not host counters")]
fn pem(path: &std::path::Path) -> std::io::Result<Vec<u8>> {
    std::fs::read(path)
}

#[derive(Default)]
struct Body {
    bytes: Vec<u8>,
    is_cut: bool,
}

async fn body(mut response: Response, bytes_max: usize) -> Result<Body, reqwest::Error> {
    let mut body = Body::default();
    while let Some(chunk) = response.chunk().await? {
        let room = bytes_max.saturating_sub(body.bytes.len());
        body.bytes.extend(chunk.iter().take(room));
        if chunk.len() > room {
            body.is_cut = true;
            break;
        }
    }
    Ok(body)
}

fn header<'a>(response: &'a Response, name: &HeaderName) -> Option<&'a str> {
    response.headers().get(name).and_then(|value| value.to_str().ok())
}

fn http_date(text: &str) -> Option<Timestamp> {
    let since = httpdate::parse_http_date(text.trim()).ok()?.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since.as_nanos()).ok().map(Timestamp::from_unix_nanos)
}

/// The pause in a `Retry-After` header (RFC 9110, 10.2.3): seconds, or a date, which is compared with the provider's
/// own clock. `None` when it is neither.
fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit mean for ever.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    Some(Duration::from_nanos(http_date(text)?.unix_nanos().saturating_sub(now.unix_nanos())))
}

/// An error with all that caused it, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        // Many errors already repeat what caused them.
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_is_not_sent_in_the_clear_but_to_this_machine() {
        for good in ["https://a.example/base", "http://localhost:8000", "http://127.0.0.1:1", "http://[::1]:1"] {
            assert!(endpoint(good, true).is_ok(), "{good}");
        }
        assert!(endpoint("http://elephant.carbon.svc:8080", false).is_ok());
        for bad in ["http://a.example", "ftp://a", "a.example", "", "https://u:p@a.example", "http://", "data:x"] {
            assert!(endpoint(bad, true).is_err(), "{bad}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_on_the_providers_clock() {
        let now = http_date("Wed, 21 Oct 2015 07:27:15 GMT").unwrap();
        assert_eq!(retry_after(" 120 ", now), Some(Duration::from_mins(2)));
        assert_eq!(retry_after("Wed, 21 Oct 2015 07:28:00 GMT", now), Some(Duration::from_secs(45)));
        assert_eq!(retry_after("Wed, 21 Oct 2015 07:00:00 GMT", now), Some(Duration::ZERO));
        assert_eq!(retry_after("99999999999999999999999", now), Some(Duration::from_secs(u64::MAX)));
        for nonsense in ["", "-1", "soon", "1.5"] {
            assert_eq!(retry_after(nonsense, now), None, "{nonsense}");
        }
    }

    proptest! {
        #[test]
        fn no_header_and_no_address_is_a_panic(text: String, now: u64, secret: bool) {
            let _pause = retry_after(&text, Timestamp::from_unix_nanos(now));
            let _url = endpoint(&text, secret);
        }
    }
}
