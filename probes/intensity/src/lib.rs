//! Live carbon intensity of the grid, from whoever publishes it.
//!
//! One task asks one provider about one zone: once for each refresh, in its own time, so that measuring never waits for
//! it. What it hears is checked and goes to the pipeline as readings of intervals; what holds at a moment, and for how
//! long a value outlives its interval, is the model's to say. Forecasts, estimates and late revisions come as they are
//! published.
//!
//! A provider that fails is asked again, later each time; one that throttles is left alone for as long as it says; one
//! that refuses the key is asked rarely, or when the key has changed. The log has a line for each change of state, not
//! for each question.
//!
//! Nothing here reads the environment or a clock. A file is opened only where the configuration names it: the key, a
//! series of one's own, authorities to trust.

mod asker;
mod check;
mod config;
mod failure;
mod local;
mod moment;
mod pace;
mod plan;
mod provider;
mod receiver;
mod secret;
mod web;

use std::fmt;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use wattline_core::flow::{Outlet, Task};
use wattline_core::reading::IntensityReading;
use wattline_core::{Receiver, Telemetry, Tick};

pub use check::GRAMS_MAX;
pub use config::{Config, Kind, Signal};
pub use failure::{FetchError, OpenError};
pub use secret::Secret;

use asker::Asker;
use plan::Plan;
use receiver::Running;

/// The name in logs, in `doctor`, in `wattline.probe.up` and in `wattline.probe.errors`.
pub const NAME: &str = "intensity";

/// Tells what time it is, on both clocks.
pub type Clock = Arc<dyn Fn() -> Tick + Send + Sync>;

/// What the agent lends.
#[derive(Clone)]
pub struct Context {
    /// Counts failed questions and refused values.
    pub telemetry: Telemetry,
    /// The time.
    pub now: Clock,
    /// What the environment holds under `key_env`; `None` where it holds nothing or nothing is named.
    pub key: Option<Secret>,
    /// Starts the jitter; it should differ between machines.
    pub seed: u64,
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { telemetry, now: _, key, seed } = self;
        f.debug_struct("Context").field("telemetry", telemetry).field("key", key).field("seed", seed).finish()
    }
}

/// Live carbon intensity, ready to run.
#[derive(Debug)]
pub struct IntensityReceiver {
    asker: Asker,
    context: Context,
}

impl IntensityReceiver {
    /// Checks the configuration and reads the certificates. Nobody is asked yet.
    pub fn new(config: &Config, context: Context) -> Result<Self, OpenError> {
        Ok(Self { asker: Asker::new(Plan::new(config, context.key.as_ref())?), context })
    }
}

impl Receiver for IntensityReceiver {
    fn name(&self) -> &'static str {
        NAME
    }

    fn run(self: Box<Self>, outlet: Outlet, stop: CancellationToken) -> Task<()> {
        let Self { asker, context } = *self;
        Box::pin(Running::new(asker, context).run(outlet, stop))
    }
}

/// Asks the provider once, for a person who wants to know what it says. Takes at most a few times `timeout`. Values that
/// the running agent would refuse are left out.
pub async fn once(config: &Config, context: &Context) -> Result<Vec<IntensityReading>, FetchError> {
    let mut asker = Asker::new(Plan::new(config, context.key.as_ref())?);
    Ok(asker.ask((context.now)().wall).await?.checked.readings)
}
