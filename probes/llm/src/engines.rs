//! Inference engines, by the metrics that they expose: vLLM, `SGLang`, TGI, llama.cpp, TensorRT-LLM, NIM, Triton, and the
//! proxy of `LiteLLM`.
//!
//! One task asks each engine once in an interval and hands what it tells to the pipeline, one reading for each model:
//! raw counters since the engine's start, and names of what it does not tell. What a name means is in tables; differences
//! are the model's to form, and so is energy.
//!
//! Engines are named in the configuration, looked for at ports of this machine's loopback address, or found among the
//! pods of this node. One that fails is asked again, later each time, and the log has a line for each change of state.
//! Nothing here reads the environment or a clock. A file is opened only where the configuration names it.

mod config;
mod dialect;
mod pods;
mod read;
mod source;
mod target;
mod text;
mod web;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use wattline_core::flow::{Outlet, Task};
use wattline_core::reading::EngineReading;
use wattline_core::{Receiver, Telemetry, Text, Tick};

pub use config::{Config, Kubernetes, Target as TargetConfig};
pub use web::AskError;

use pods::Kubelet;
use read::Origin;
use source::{Running, Summary};
use target::{Learned, Target};

/// The name in logs, in `doctor`, in `wattline.probe.up` and in `wattline.probe.errors`.
pub const NAME: &str = "engines";

/// Tells what time it is, on both clocks.
pub type Clock = Arc<dyn Fn() -> Tick + Send + Sync>;

/// Why engines cannot be asked at all: one key of the configuration is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("probes.engines cannot be used: {key} {problem}")]
pub struct OpenError {
    /// The key.
    pub key: &'static str,
    /// What is wrong with it. Secrets are not told.
    pub problem: String,
}

/// What the agent lends.
#[derive(Clone)]
pub struct Context {
    /// Counts failed questions.
    pub telemetry: Telemetry,
    /// The time.
    pub now: Clock,
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("telemetry", &self.telemetry).finish_non_exhaustive()
    }
}

/// The engines of a configuration, ready to be asked.
#[derive(Debug)]
pub struct EngineReceiver {
    config: Config,
    targets: Vec<Target>,
    kubelet: Option<Kubelet>,
    context: Context,
}

impl EngineReceiver {
    /// Checks the configuration and reads the certificates. Nobody is asked yet.
    pub fn new(config: &Config, context: Context) -> Result<Self, OpenError> {
        Ok(Self {
            targets: targets(config)?,
            kubelet: config.kubernetes.as_ref().map(Kubelet::new).transpose()?,
            config: config.clone(),
            context,
        })
    }
}

impl Receiver for EngineReceiver {
    fn name(&self) -> &'static str {
        NAME
    }

    fn run(self: Box<Self>, outlet: Outlet, stop: CancellationToken) -> Task<()> {
        let Self { config, targets, kubelet, context } = *self;
        Box::pin(async move { Running::new(targets, kubelet, &config, context).run(outlet, stop).await })
    }
}

/// What one address answers, for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Where it is.
    pub place: String,
    /// Nobody named it: that nothing answers there is no failure.
    pub is_found: bool,
    /// What it is and what it does not tell, or why nothing can be read.
    pub outcome: Result<String, AskError>,
}

/// Asks each engine once, for a person who wants to know what it says; pods that the kubelet lists too.
pub async fn once(config: &Config) -> Result<Vec<Answer>, OpenError> {
    let mut targets = targets(config)?;
    let mut answers = Vec::new();
    if let Some(kubelet) = config.kubernetes.as_ref().map(Kubelet::new).transpose()? {
        match kubelet.pods().await {
            Ok(pods) => targets.extend(pods.into_iter().filter_map(|pod| Target::new(pod, config.timeout, true).ok())),
            Err(error) => answers.push(Answer { place: "kubelet".to_owned(), is_found: false, outcome: Err(error) }),
        }
    }
    for target in targets {
        let place = target.place();
        let told = target.ask(&mut Learned::default()).await;
        let outcome = told.map(|told| Summary::of(&told, &place).0);
        answers.push(Answer { place, is_found: target.is_found, outcome });
    }
    Ok(answers)
}

/// What the text of an engine tells that is nowhere; `None` where it is no engine's. For who has a text and no engine.
pub fn readings(text: &[u8]) -> Option<Vec<EngineReading>> {
    let nowhere = Text::Static("");
    let origin = Origin { kind: None, model: None, address: &nowhere, port: 0, service: &nowhere };
    read::read(text, &origin).map(|told| told.readings)
}

/// All targets whose addresses are known beforehand, those by name first.
fn targets(config: &Config) -> Result<Vec<Target>, OpenError> {
    between("interval", config.interval, Duration::from_secs(1), Duration::from_mins(1))?;
    between("timeout", config.timeout, Duration::from_millis(1), Duration::from_secs(30))?;
    if config.target.len() > source::TARGETS_MAX {
        return Err(OpenError { key: "target", problem: format!("stands more than {} times", source::TARGETS_MAX) });
    }
    let named = config.target.iter().map(|target| Target::new(target.clone(), config.timeout, false));
    let ports = config.ports.iter().filter(|_| config.loopback);
    let looked_for =
        ports.map(|port| Target::new(TargetConfig::at(format!("http://127.0.0.1:{port}")), config.timeout, true));
    named.chain(looked_for).collect()
}

fn between(key: &'static str, value: Duration, least: Duration, most: Duration) -> Result<(), OpenError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(OpenError { key, problem: format!("is {value:?}; it must be between {least:?} and {most:?}") })
}
