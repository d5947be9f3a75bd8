//! The exporter against real servers on loopback: what arrives, what is tried again, and what is counted.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "clippy knows test functions as such, but not the servers and the rig that they share"
)]

mod credentials;
mod grpc;
mod http;
mod journal;
mod json;
mod rig;
mod tls;
mod trial;
mod web;
