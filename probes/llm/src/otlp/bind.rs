//! Opens the listeners before anything runs, so that a taken port is known at the start.

use std::sync::Arc;

use wattline_listen::{Guard, GuardError, Listener, OpenError, Place};

use super::config::{Config, GrpcConfig, HttpConfig};

/// The table of the keys.
const SECTION: &str = "probes.otlp";

/// The listeners, open.
#[derive(Debug)]
pub struct Bound {
    pub(super) grpc: Option<Guarded>,
    pub(super) http: Option<Guarded>,
    pub(super) config: Config,
}

/// A listener and who may use it.
#[derive(Debug)]
pub(super) struct Guarded {
    pub(super) listener: Listener,
    pub(super) guard: Arc<Guard>,
}

/// Where the listeners are. `None` for one that is off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// OTLP over gRPC.
    pub grpc: Option<Place>,
    /// OTLP over HTTP.
    pub http: Option<Place>,
}

/// Why the receiver cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// A listener cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A certificate or a token is missing or wrong: tell the user.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// A limit is zero, which would refuse everything: tell the user.
    #[error("{SECTION}.{key} = 0 would refuse everything; leave it out for the default")]
    Zero {
        /// The key of the limit.
        key: &'static str,
    },
    /// A request as large as allowed would never fit: tell the user.
    #[error(
        "{SECTION}.max_inflight_bytes = {inflight} is less than twice {SECTION}.max_body_bytes = {body}, so that a \
         large request and its decompressed form would never fit; raise the first or lower the second"
    )]
    NoRoom {
        /// The bytes of all requests.
        inflight: u32,
        /// The bytes of one request.
        body: u32,
    },
}

/// Opens the listeners that `config` asks for. If one cannot be opened, none stays open.
pub fn bind(config: &Config) -> Result<Bound, BindError> {
    let Config {
        grpc: GrpcConfig { enabled: grpc_enabled, listen: grpc_listen },
        http: HttpConfig { enabled: http_enabled, listen: http_listen },
        max_body_bytes,
        max_inflight_bytes,
        max_items,
        max_attributes,
        max_connections,
        read_timeout,
        acknowledge: _,
        bearer_token_file,
        tls,
        plaintext_beyond_loopback,
    } = config;
    for (key, is_zero) in [
        ("max_body_bytes", *max_body_bytes == 0),
        ("max_inflight_bytes", *max_inflight_bytes == 0),
        ("max_items", *max_items == 0),
        ("max_attributes", *max_attributes == 0),
        ("max_connections", *max_connections == 0),
        ("read_timeout", read_timeout.is_zero()),
    ] {
        if is_zero {
            return Err(BindError::Zero { key });
        }
    }
    if max_inflight_bytes / 2 < *max_body_bytes {
        return Err(BindError::NoRoom { inflight: *max_inflight_bytes, body: *max_body_bytes });
    }
    let is_guarded = *plaintext_beyond_loopback || tls.is_enough_beyond_loopback(bearer_token_file.is_some());
    let open = |key, enabled: bool, address: &str, protocol| -> Result<Option<Guarded>, BindError> {
        let guard = Guard::new(SECTION, tls, bearer_token_file.as_deref(), &[protocol])?;
        if !enabled {
            return Ok(None);
        }
        let listener = Listener::open(SECTION, key, address, is_guarded)?;
        // Who may open a socket says its mode.
        let guard = if Place::unix_path(address).is_some() { Guard::default() } else { guard };
        Ok(Some(Guarded { listener, guard: Arc::new(guard) }))
    };
    Ok(Bound {
        grpc: open("probes.otlp.grpc.listen", *grpc_enabled, grpc_listen, "h2")?,
        http: open("probes.otlp.http.listen", *http_enabled, http_listen, "http/1.1")?,
        config: config.clone(),
    })
}

impl Bound {
    /// Where the listeners are: the port is the real one where the config says 0.
    pub fn addresses(&self) -> Addresses {
        let place = |open: &Option<Guarded>| open.as_ref().and_then(|open| open.listener.place());
        Addresses { grpc: place(&self.grpc), http: place(&self.http) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn config(grpc: &str, http: &str) -> Config {
        Config {
            grpc: GrpcConfig { enabled: true, listen: grpc.to_owned() },
            http: HttpConfig { enabled: true, listen: http.to_owned() },
            ..Config::default()
        }
    }

    #[test]
    fn both_listeners_are_open_before_anything_runs() {
        let bound = bind(&config("127.0.0.1:0", "localhost:0")).unwrap();
        let Addresses { grpc, http } = bound.addresses();
        for place in [grpc, http] {
            std::net::TcpStream::connect(place.unwrap().tcp().unwrap()).unwrap();
        }
    }

    #[test]
    fn a_listener_that_is_off_is_not_opened() {
        let mut config = config("256.0.0.1:1", "127.0.0.1:0");
        config.grpc.enabled = false;
        assert_eq!(bind(&config).unwrap().addresses().grpc, None);
        config.grpc.enabled = true;
        let error = bind(&config).unwrap_err();
        assert!(matches!(error, BindError::Open(OpenError::Failed { key: "probes.otlp.grpc.listen", .. })), "{error}");
    }

    #[test]
    fn beyond_loopback_wants_a_word() {
        let mut config = config("0.0.0.0:0", "127.0.0.1:0");
        let error = bind(&config).unwrap_err();
        assert!(matches!(error, BindError::Open(OpenError::Exposed { key: "probes.otlp.grpc.listen", .. })), "{error}");
        config.plaintext_beyond_loopback = true;
        assert!(bind(&config).is_ok());
    }

    #[test]
    fn limits_of_zero_are_refused_by_name() {
        let config = Config { read_timeout: Duration::ZERO, ..config("127.0.0.1:0", "127.0.0.1:0") };
        let error = bind(&config).unwrap_err().to_string();
        assert!(error.starts_with("probes.otlp.read_timeout = 0"), "{error}");
    }

    #[test]
    fn a_budget_that_one_request_could_exceed_is_refused() {
        let config = Config { max_inflight_bytes: 30 << 20, ..config("127.0.0.1:0", "127.0.0.1:0") };
        assert!(matches!(bind(&config), Err(BindError::NoRoom { .. })));
    }
}
