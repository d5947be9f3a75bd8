//! What every listener of the agent shares: where it listens, who may come in, and what one connection may cost.
//!
//! A listener is a TCP port or a Unix socket. TCP may be wrapped in TLS, with certificates asked of clients, and
//! requests may be asked for a bearer token. Beyond loopback both are wanted: TLS, and one of the two ways to know who
//! comes. A Unix socket speaks plain text and asks for nothing: who may open it says its mode.
//!
//! Certificates and tokens are read again when their files change. A new file that is no good is told of, and the old
//! one stays in force.

mod connections;
mod guard;
mod place;
mod stream;
mod tls;
mod tokens;
mod watched;

pub use connections::{Connections, Limits};
pub use guard::{Guard, GuardError};
pub use place::{Listener, OpenError, Place};
pub use tls::TlsConfig;
