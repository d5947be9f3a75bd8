//! Live carbon intensity: the provider with what the agent lends it.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use wattline_core::Telemetry;
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
