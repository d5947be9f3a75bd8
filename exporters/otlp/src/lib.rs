//! OTLP over HTTP and gRPC: figures of our own and relayed telemetry, as the bytes they are.
//!
//! How it waits and when it is sent is the [`courier`]'s.
//!
//! The rules of retrying are those of the OTLP specification; see [`wattline_export_delivery::verdict`]. A date in
//! `Retry-After` is compared with the `Date` of the same answer, and with the clock of [`Context`] only where there
//! is none.

mod client;
mod cloudwatch;
mod config;
mod encoder;
mod endpoint;
mod environment;
mod fit;
mod grpc;
mod http;
mod json;
mod plan;
mod response;
mod secrets;
mod tls;
mod trial;

use wattline_core::flow::Task;
use wattline_core::{Exporter, Feed};
use wattline_export_delivery::{Context, Destination, courier};

pub use cloudwatch::CloudWatch;
pub use config::{Aws, Config, Key, Protocol, Tls};
pub use endpoint::loops_back;
pub use environment::EnvError;
pub use plan::OpenError;
pub use trial::{Fault, FaultKind, Trial, try_out};

/// What requests say about their sender.
const USER_AGENT: &str = concat!("wattline/", env!("CARGO_PKG_VERSION"));

/// One OTLP destination, ready to run.
#[derive(Debug)]
pub struct OtlpExporter {
    destination: Destination,
    context: Context,
}

impl OtlpExporter {
    /// Checks the configuration and reads the certificates. Nothing is connected yet.
    pub fn new(config: Config, context: Context) -> Result<Self, OpenError> {
        Ok(Self { destination: plan::destination(config, &context)?, context })
    }
}

impl Exporter for OtlpExporter {
    fn name(&self) -> &str {
        &self.destination.name
    }

    fn run(self: Box<Self>, feed: Feed) -> Task<()> {
        Box::pin(courier::run(self.destination, self.context, feed))
    }
}
