//! Live carbon intensity: the provider with what the agent lends it.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use anyhow::{Context as _, Result};
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

/// The provider, ready to be asked. Nobody is asked yet.
pub fn receiver(config: &Config, telemetry: &Telemetry) -> Result<Box<IntensityReceiver>, OpenError> {
    IntensityReceiver::new(config, context(config, telemetry)).map(Box::new)
}

/// Asks the provider once what holds now; `None` where what it says holds at another time or tells of marginal
/// electricity alone.
pub fn ask_once(config: &Config) -> Result<Option<LiveValue>> {
    let context = context(config, &Telemetry::none());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("starting the runtime failed")?;
    let readings = runtime.block_on(wattline_probe_intensity::once(config, &context))?;
    let mut live = LiveIntensity::new(Seconds::new(config.max_age.as_secs_f64()));
    let now = clock::wall();
    for reading in &readings {
        live.take(reading, now);
    }
    Ok(live.at(now))
}
