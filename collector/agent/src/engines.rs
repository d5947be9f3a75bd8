//! Inference engines: the probe with what the agent lends it.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use wattline_core::Telemetry;
use wattline_probe_llm::engines::{Answer, Config, Context, EngineReceiver, OpenError, once};

use crate::clock;

/// Whether a configuration can be used.
pub fn check(config: &Config) -> Result<(), OpenError> {
    receiver(config, &Telemetry::none()).map(|_checked| ())
}

/// The engines, ready to be asked. Nobody is asked yet.
pub fn receiver(config: &Config, telemetry: &Telemetry) -> Result<Box<EngineReceiver>, OpenError> {
    let context = Context { telemetry: telemetry.clone(), now: Arc::new(clock::tick) };
    EngineReceiver::new(config, context).map(Box::new)
}

/// Asks each engine once.
pub fn ask_once(config: &Config) -> Result<Vec<Answer>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("starting the runtime failed")?;
    let answers = runtime.block_on(once(config));
    // A file that hangs is left behind.
    runtime.shutdown_background();
    Ok(answers?)
}
