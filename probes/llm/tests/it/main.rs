//! The receiver as its senders meet it: over real sockets, with real clients.

mod grpc;
mod http;
mod lifecycle;
mod sdk;
mod support;
