//! OTLP over HTTP and gRPC: figures of our own and relayed telemetry, as the bytes they are.
//!
//! One task collects: it takes a snapshot every interval, has it encoded on another thread, and takes relayed
//! requests as they come. What it gets waits in a backlog that is bounded in bytes and age and counts each loss. For
//! each signal one line of sending takes the oldest request, one in flight at a time, so that a destination that
//! refuses or stalls one signal still gets the others.
//!
//! The rules of retrying are those of the OTLP specification; see [`wattline_export_delivery::verdict`]. A date in
//! `Retry-After` is compared with the `Date` of the same answer, and with the clock of [`Context`] only where there
//! is none.

mod body;
mod client;
mod cloudwatch;
mod collect;
mod config;
mod endpoint;
mod environment;
mod fit;
mod grpc;
mod http;
mod json;
mod line;
mod plan;
mod response;
mod secrets;
mod shared;
mod tls;
mod trial;

use wattline_core::flow::Task;
use wattline_core::{Exporter, Feed, Telemetry, Timestamp};

pub use cloudwatch::CloudWatch;
pub use config::{Aws, Compression, Config, Key, Protocol, Retry, Tls};
pub use endpoint::loops_back;
pub use environment::EnvError;
pub use plan::OpenError;
pub use trial::{Fault, FaultKind, Trial, try_out};

use plan::Plan;

/// What requests say about their sender.
const USER_AGENT: &str = concat!("wattline/", env!("CARGO_PKG_VERSION"));

/// What the agent lends to a destination.
#[derive(Clone, Debug)]
pub struct Context {
    /// Counts what was delivered and what was lost.
    pub telemetry: Telemetry,
    /// The civil clock.
    pub now: fn() -> Timestamp,
    /// Starts the jitter; it should differ between machines.
    pub seed: u64,
}

/// One OTLP destination, ready to run.
#[derive(Debug)]
pub struct OtlpExporter {
    plan: Plan,
    context: Context,
}

impl OtlpExporter {
    /// Checks the configuration and reads the certificates. Nothing is connected yet.
    pub fn new(config: Config, context: Context) -> Result<Self, OpenError> {
        Ok(Self { plan: Plan::new(config, context.now)?, context })
    }
}

impl Exporter for OtlpExporter {
    fn name(&self) -> &str {
        &self.plan.name
    }

    fn run(self: Box<Self>, feed: Feed) -> Task<()> {
        Box::pin(collect::run(self.plan, self.context, feed))
    }
}
