//! Live carbon intensity: the provider with what the agent lends it.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use wattline_core::reading::IntensityReading;
use wattline_core::{Seconds, Telemetry};
use wattline_model::grid::live::{LiveIntensity, LiveValue};
use wattline_probe_intensity::{Config, Context, IntensityReceiver, OpenError, Secret};

use crate::{clock, env};

/// What the agent lends: the time, a key from the environment, and something that differs between machines.
pub fn context(config: &Config, telemetry: &Telemetry) -> Context {
    let key = config.key_env.as_deref().and_then(env::get).map(Secret::new);
    // The keys of a fresh hash map are random, which is all that is needed here.
    let seed = RandomState::new().hash_one(clock::tick().at.nanos());
    Context { telemetry: telemetry.clone(), now: Arc::new(clock::tick), key, seed }
}

/// Whether a configuration can be used, were its key there: who only reads the configuration may lack the environment.
pub fn check(config: &Config) -> Result<(), OpenError> {
    let key = config.key_env.as_ref().map(|_| Secret::new("to be read when the agent runs"));
    IntensityReceiver::new(config, Context { key, ..context(config, &Telemetry::none()) }).map(|_checked| ())
}

/// The provider, ready to be asked. Nobody is asked yet.
pub fn receiver(config: &Config, telemetry: &Telemetry) -> Result<Box<IntensityReceiver>, OpenError> {
    IntensityReceiver::new(config, context(config, telemetry)).map(Box::new)
}

/// Asks the provider once.
pub fn ask_once(config: &Config) -> Result<Vec<IntensityReading>> {
    let context = context(config, &Telemetry::none());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("starting the runtime failed")?;
    let readings = runtime.block_on(wattline_probe_intensity::once(config, &context));
    // A file that hangs is left behind.
    runtime.shutdown_background();
    Ok(readings?)
}

/// What holds now of what a provider said; `None` where it holds at another time or tells of marginal electricity alone.
pub fn now(config: &Config, readings: &[IntensityReading]) -> Option<LiveValue> {
    let mut live = LiveIntensity::new(Seconds::new(config.max_age.as_secs_f64()));
    let now = clock::wall();
    for reading in readings {
        live.take(reading, now);
    }
    live.at(now)
}
