//! The client for HTTP.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Client;
use rustls_platform_verifier::BuilderVerifierExt;
use wattline_export_delivery::Secret;
use wattline_export_delivery::words::chain;

use crate::config::Problem;

/// A client that trusts whom the system trusts.
pub(crate) fn client(proxy: Option<&Secret>, timeout: Duration) -> Result<Client, Problem> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(BuilderVerifierExt::with_platform_verifier)
        .map_err(|error| ("endpoint", format!("needs the system's certificates, which cannot be used: {error}")))?;
    let mut builder = Client::builder()
        .tls_backend_preconfigured(tls.with_no_client_auth())
        .user_agent(concat!("wattline/", env!("CARGO_PKG_VERSION")))
        // The environment is the agent's to read.
        .no_proxy()
        // A redirect would carry a signature to a place that nobody configured.
        .redirect(reqwest::redirect::Policy::none())
        // A refused attempt is ours to count and to repeat.
        .retry(reqwest::retry::never())
        .referer(false)
        // Below the idle limits of common servers and load balancers.
        .pool_idle_timeout(Duration::from_secs(30))
        .tcp_user_timeout(timeout);
    if let Some(proxy) = proxy {
        let proxy = reqwest::Proxy::all(proxy.reveal()).map_err(|_secret| ("proxy", "is not a URL".to_owned()))?;
        builder = builder.proxy(proxy);
    }
    builder.build().map_err(|error| ("endpoint", chain(&error)))
}
