//! The wire: OTLP messages in and out, and names as Prometheus and CloudWatch will see them.
//!
//! Nothing here does I/O; everything turns bytes into values or values into bytes.

pub mod content;
pub mod enrich;
pub mod exposition;
pub mod json;
pub mod logs;
pub mod metrics;
pub mod names;
pub mod points;
pub mod protobuf;
#[cfg(test)]
mod samples;
pub mod schema;
pub mod status;
pub mod trace;
