//! The exporter against real servers on loopback: what arrives, what is tried again, and what is counted.

mod grpc;
mod http;
mod journal;
mod rig;
mod tls;
mod web;
