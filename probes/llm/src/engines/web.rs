//! One question over HTTP, bounded in time and size.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http::header::ACCEPT;
use reqwest::{Client, Url};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls_platform_verifier::BuilderVerifierExt;

use super::OpenError;

/// Larger answers are not read. A proxy with a hundred models and keys has some hundred kilobytes; a kubelet with 250
/// pods about five megabytes.
pub(super) const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Longer tokens are none.
const TOKEN_BYTES_MAX: usize = 16 << 10;

/// What requests say about their sender.
const USER_AGENT: &str = concat!("wattline/", env!("CARGO_PKG_VERSION"));

/// The formats that are read, the plainer first: `OpenMetrics` costs the engine more and tells no more.
const FORMATS: &str = "text/plain;version=0.0.4,application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1";

/// Why there is no answer. The variant is the caller's next action.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// Whoever asks may not: say what to do.
    #[error("{0}")]
    Denied(String),
    /// There is nothing at this path: try another.
    #[error("{0}")]
    NotThere(String),
    /// It did not answer: ask again later.
    #[error("{0}")]
    Failed(String),
}

/// How one address is asked.
#[derive(Clone, Debug)]
pub(super) struct Web {
    client: Client,
    timeout: Duration,
    token_file: Option<PathBuf>,
}

impl Web {
    /// Reads the certificates. Nothing is connected.
    pub(super) fn new(
        is_https: bool,
        ca_file: Option<&Path>,
        token_file: Option<PathBuf>,
        timeout: Duration,
    ) -> Result<Self, OpenError> {
        let client = Client::builder()
            .tls_backend_preconfigured(tls(is_https, ca_file)?)
            .user_agent(USER_AGENT)
            // The environment is the agent's to read, and no engine is behind a proxy for the whole company.
            .no_proxy()
            // A redirect would carry the token to a place that nobody configured.
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .pool_max_idle_per_host(1)
            .connect_timeout(timeout);
        let client = client.build().map_err(|error| OpenError { key: "url", problem: chain(&error) })?;
        Ok(Self { client, timeout, token_file })
    }

    /// Asks once for `path` at `base`.
    pub(super) async fn get(&self, base: &Url, path: &str) -> Result<Vec<u8>, AskError> {
        let mut url = base.clone();
        if !path.is_empty() {
            url.set_path(path);
        }
        let asked = format!("asking {url}");
        let failed = |what: String| AskError::Failed(format!("{asked}: {what}"));
        let mut request = self.client.get(url).header(ACCEPT, FORMATS);
        if let Some(file) = &self.token_file {
            request = request.bearer_auth(token(file.clone()).await.map_err(AskError::Denied)?);
        }
        let answer = tokio::time::timeout(self.timeout, async {
            let mut response = request.send().await.map_err(|error| failed(chain(&error.without_url())))?;
            let status = response.status();
            if !status.is_success() {
                return Err(refused(status, &asked));
            }
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(|error| failed(chain(&error.without_url())))? {
                if body.len().saturating_add(chunk.len()) > ANSWER_BYTES_MAX {
                    return Err(failed(format!("the answer is larger than {ANSWER_BYTES_MAX} bytes")));
                }
                body.extend_from_slice(&chunk);
            }
            Ok(body)
        });
        answer.await.unwrap_or_else(|_elapsed| Err(failed(format!("no whole answer within {:?}", self.timeout))))
    }
}

fn refused(status: StatusCode, asked: &str) -> AskError {
    let what = format!("{asked}: HTTP {}", status.as_u16());
    match status.as_u16() {
        401 | 403 => AskError::Denied(what),
        300..=399 => {
            AskError::NotThere(format!("{what}; a redirect is not followed, so set the url to where it leads"))
        }
        404 | 405 | 501 => AskError::NotThere(what),
        _ => AskError::Failed(what),
    }
}

async fn token(path: PathBuf) -> Result<String, String> {
    let place = path.display().to_string();
    let read = tokio::task::spawn_blocking(move || bytes(&path)).await;
    let bytes = match read {
        Ok(read) => read.map_err(|error| format!("reading the token in {place}: {error}"))?,
        Err(_cancelled) => return Err(format!("reading the token in {place} was broken off")),
    };
    let token = String::from_utf8(bytes).ok().map(|text| text.trim().to_owned());
    token
        .filter(|token| {
            !token.is_empty() && token.len() <= TOKEN_BYTES_MAX && token.bytes().all(|byte| byte.is_ascii_graphic())
        })
        .ok_or_else(|| format!("{place} holds no token"))
}

#[expect(clippy::disallowed_methods, reason = "tokens and certificates are the user's files, not host counters")]
fn bytes(path: &Path) -> std::io::Result<Vec<u8>> {
    std::fs::read(path)
}

/// TLS with ring. The provider is passed rather than installed: the process may have its own. Where nothing is asked
/// over TLS nobody is trusted, and a system without certificates is fine.
fn tls(is_https: bool, ca_file: Option<&Path>) -> Result<rustls::ClientConfig, OpenError> {
    let wrong = |problem: String| OpenError { key: "ca_file", problem };
    let builder = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(error.to_string()))?;
    let builder = match ca_file {
        Some(path) if is_https => {
            let place = path.display();
            let pem = bytes(path).map_err(|error| wrong(format!("cannot be read from {place}: {error}")))?;
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
        None if is_https => builder
            .with_platform_verifier()
            .map_err(|error| wrong(format!("is not set and the system's certificates cannot be used: {error}")))?,
        _ => builder.with_root_certificates(rustls::RootCertStore::empty()),
    };
    Ok(builder.with_no_client_auth())
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
