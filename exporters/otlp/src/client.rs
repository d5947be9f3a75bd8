//! The HTTP client of a destination, made anew when its certificates change.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::Client;
use tracing::{info, warn};
use wattline_export_delivery::Secret;
use wattline_export_delivery::words::chain;

use crate::config::{Config, Tls};
use crate::secrets::{Stamp, stamp};
use crate::tls::{Http, Material, Problem};

/// A client that all signals of a destination share.
#[derive(Debug)]
pub(crate) struct HttpClient {
    destination: String,
    tls: Tls,
    http: Http,
    proxy: Option<Secret>,
    timeout: Duration,
    made: Mutex<(Stamps, Client)>,
}

/// The states of the files of [`Tls`].
pub(crate) type Stamps = [Option<Stamp>; 3];

pub(crate) fn stamps(tls: &Tls) -> Stamps {
    let Tls { ca_file, cert_file, key_file } = tls;
    [ca_file, cert_file, key_file].map(|path: &Option<PathBuf>| path.as_deref().and_then(stamp))
}

impl HttpClient {
    pub(crate) fn new(config: &Config) -> Result<Self, Problem> {
        let Config { name, tls, proxy, timeout, .. } = config;
        let http = if config.aws.is_some() { Http::One } else { Http::Any };
        let stamps = stamps(tls);
        let client = make(tls, http, proxy.as_ref(), *timeout)?;
        let (tls, proxy, timeout) = (tls.clone(), proxy.clone(), *timeout);
        Ok(Self { destination: name.clone(), tls, http, proxy, timeout, made: Mutex::new((stamps, client)) })
    }

    /// The client for the next request. New certificates mean new connections; while they cannot be used the old ones
    /// are.
    pub(crate) fn current(&self) -> Client {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let now = stamps(&self.tls);
        if made.0 != now {
            made.0 = now;
            let destination = &self.destination;
            match make(&self.tls, self.http, self.proxy.as_ref(), self.timeout) {
                Ok(client) => {
                    info!(destination, "the certificates changed and are used from now on");
                    made.1 = client;
                }
                Err((key, problem)) => {
                    warn!(destination, key, problem, "the certificates changed and cannot be used; the old ones are");
                }
            }
        }
        made.1.clone()
    }
}

fn make(tls: &Tls, http: Http, proxy: Option<&Secret>, timeout: Duration) -> Result<Client, Problem> {
    let mut builder = Client::builder()
        .tls_backend_preconfigured(Material::read(tls)?.for_http(http)?)
        .user_agent(crate::USER_AGENT)
        // The environment is the agent's to read.
        .no_proxy()
        // A redirect would carry our headers to a place that nobody configured.
        .redirect(reqwest::redirect::Policy::none())
        // A refused attempt is ours to count and to repeat.
        .retry(reqwest::retry::never())
        .referer(false)
        // Below the idle limits of common servers and load balancers: one that hangs up just as we send, once every
        // interval, would look like a failing destination.
        .pool_idle_timeout(Duration::from_secs(30))
        // A dead connection is noticed when its data stays unacknowledged.
        .tcp_user_timeout(timeout);
    if let Some(proxy) = proxy {
        let proxy = reqwest::Proxy::all(proxy.reveal()).map_err(|_secret| ("proxy", "is not a URL".to_owned()))?;
        builder = builder.proxy(proxy);
    }
    builder.build().map_err(|error| ("tls", chain(&error)))
}
