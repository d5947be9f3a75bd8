//! The receiver as its senders meet it: over real sockets, with real clients.

#[cfg(test)]
mod acknowledge;
#[cfg(test)]
mod content;
#[cfg(test)]
mod engines;
#[cfg(test)]
mod grpc;
#[cfg(test)]
mod guard;
#[cfg(test)]
mod http;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod loops;
#[cfg(test)]
mod relay;
#[cfg(test)]
mod sdk;
#[cfg(test)]
mod support;
