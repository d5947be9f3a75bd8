//! Figures in `CloudWatch`'s embedded metric format: to a log of any kind, of which `CloudWatch` makes metrics.
//!
//! A destination leaves out what it does not want, turns the sums into what came since, and encodes that. How it waits
//! and when it is sent is the [`courier`]'s.

mod config;
pub mod cost;
pub mod emf;
mod encoder;
mod logs;
mod plan;
mod sink;
mod web;

use wattline_core::flow::Task;
use wattline_core::{Exporter, Feed};
use wattline_export_delivery::{Context, Destination, courier};

pub use config::{Config, OpenError, SinkKind};
pub use sink::{Body, Packing};

/// Sends the figures of every interval as events.
#[derive(Debug)]
pub struct EmfExporter {
    destination: Destination,
    context: Context,
}

impl EmfExporter {
    /// Refuses a configuration that cannot work. Nothing is opened before [`Exporter::run`].
    ///
    /// Of sums that began before now, such as traffic since boot, only what comes from now on is told.
    pub fn new(config: Config, context: Context) -> Result<Self, OpenError> {
        Ok(Self { destination: plan::destination(config, &context)?, context })
    }
}

impl Exporter for EmfExporter {
    fn name(&self) -> &str {
        &self.destination.name
    }

    fn run(self: Box<Self>, feed: Feed) -> Task<()> {
        Box::pin(courier::run(self.destination, self.context, feed))
    }
}

#[cfg(test)]
mod tests;
