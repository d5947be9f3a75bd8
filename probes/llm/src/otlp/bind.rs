//! Opens the listeners before anything runs, so that a taken port is known at the start.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};

use super::config::{Config, GrpcConfig, HttpConfig};

/// The listeners, open.
#[derive(Debug)]
pub struct Bound {
    pub(super) grpc: Option<TcpListener>,
    pub(super) http: Option<TcpListener>,
    pub(super) config: Config,
}

/// Where the listeners are. `None` for one that is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// OTLP over gRPC.
    pub grpc: Option<SocketAddr>,
    /// OTLP over HTTP.
    pub http: Option<SocketAddr>,
}

/// Why the receiver cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another program has the port: switch this listener off if the port is the default one, else tell the user.
    #[error("cannot listen on {address} ({key}): another program listens there; stop it or choose another port")]
    AddressInUse {
        /// The key of the address.
        key: &'static str,
        /// The address.
        address: String,
    },
    /// The address is not one of this machine, or may not be used: tell the user.
    #[error("cannot listen on {address} ({key}): {source}")]
    Failed {
        /// The key of the address.
        key: &'static str,
        /// The address.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// The address can be reached from outside: tell the user.
    #[error(
        "{key} = \"{address}\" is beyond loopback, where anybody could send without encryption or a token; listen on \
         127.0.0.1, or set otlp.plaintext_beyond_loopback = true if the network is trusted"
    )]
    Exposed {
        /// The key of the address.
        key: &'static str,
        /// The address.
        address: String,
    },
    /// A limit is zero, which would refuse everything: tell the user.
    #[error("{key} = 0 would refuse everything; leave it out for the default")]
    Zero {
        /// The key of the limit.
        key: &'static str,
    },
    /// A request as large as allowed would never fit: tell the user.
    #[error(
        "otlp.max_inflight_bytes = {inflight} is less than twice otlp.max_body_bytes = {body}, so that a large request \
         and its decompressed form would never fit; raise the first or lower the second"
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
        plaintext_beyond_loopback,
    } = config;
    for (key, is_zero) in [
        ("otlp.max_body_bytes", *max_body_bytes == 0),
        ("otlp.max_inflight_bytes", *max_inflight_bytes == 0),
        ("otlp.max_items", *max_items == 0),
        ("otlp.max_attributes", *max_attributes == 0),
        ("otlp.max_connections", *max_connections == 0),
        ("otlp.read_timeout", read_timeout.is_zero()),
    ] {
        if is_zero {
            return Err(BindError::Zero { key });
        }
    }
    if max_inflight_bytes / 2 < *max_body_bytes {
        return Err(BindError::NoRoom { inflight: *max_inflight_bytes, body: *max_body_bytes });
    }
    let open = |key, enabled, address: &str| -> Result<Option<TcpListener>, BindError> {
        if enabled { listen(key, address, *plaintext_beyond_loopback).map(Some) } else { Ok(None) }
    };
    Ok(Bound {
        grpc: open("otlp.grpc.listen", *grpc_enabled, grpc_listen)?,
        http: open("otlp.http.listen", *http_enabled, http_listen)?,
        config: config.clone(),
    })
}

impl Bound {
    /// Where the listeners are: the port is the real one where the config says 0.
    pub fn addresses(&self) -> Addresses {
        let address = |listener: &Option<TcpListener>| listener.as_ref().and_then(|open| open.local_addr().ok());
        Addresses { grpc: address(&self.grpc), http: address(&self.http) }
    }
}

fn listen(key: &'static str, address: &str, beyond_loopback: bool) -> Result<TcpListener, BindError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => BindError::AddressInUse { key, address: address.to_owned() },
        _ => BindError::Failed { key, address: address.to_owned(), source },
    };
    let resolved: Vec<SocketAddr> = address.to_socket_addrs().map_err(failed)?.collect();
    if !beyond_loopback && !resolved.iter().all(|address| address.ip().to_canonical().is_loopback()) {
        return Err(BindError::Exposed { key, address: address.to_owned() });
    }
    let listener = TcpListener::bind(resolved.as_slice()).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(listener)
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
        for address in [grpc, http] {
            std::net::TcpStream::connect(address.unwrap()).unwrap();
        }
    }

    #[test]
    fn a_taken_port_is_told_apart_and_named() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let _holder = TcpListener::bind(&taken).unwrap();
        let error = bind(&config("127.0.0.1:0", &taken)).unwrap_err();
        assert!(matches!(&error, BindError::AddressInUse { key: "otlp.http.listen", address } if *address == taken));
        assert!(error.to_string().contains(&taken), "{error}");
    }

    #[test]
    fn a_listener_that_is_off_is_not_opened() {
        let mut config = config("256.0.0.1:1", "127.0.0.1:0");
        config.grpc.enabled = false;
        assert_eq!(bind(&config).unwrap().addresses().grpc, None);
        config.grpc.enabled = true;
        assert!(matches!(bind(&config), Err(BindError::Failed { key: "otlp.grpc.listen", .. })));
    }

    #[test]
    fn beyond_loopback_wants_a_word() {
        let mut config = config("0.0.0.0:0", "127.0.0.1:0");
        assert!(matches!(bind(&config), Err(BindError::Exposed { key: "otlp.grpc.listen", .. })));
        config.plaintext_beyond_loopback = true;
        assert!(bind(&config).is_ok());
    }

    #[test]
    fn limits_of_zero_are_refused_by_name() {
        let config = Config { read_timeout: Duration::ZERO, ..config("127.0.0.1:0", "127.0.0.1:0") };
        assert!(matches!(bind(&config), Err(BindError::Zero { key: "otlp.read_timeout" })));
    }

    #[test]
    fn a_budget_that_one_request_could_exceed_is_refused() {
        let config = Config { max_inflight_bytes: 30 << 20, ..config("127.0.0.1:0", "127.0.0.1:0") };
        assert!(matches!(bind(&config), Err(BindError::NoRoom { .. })));
    }
}
