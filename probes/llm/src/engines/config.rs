//! What can be configured, under `[probes.engines]`.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use wattline_core::reading::{EngineHardware, EngineTask, Gpu};
use wattline_core::subject::EngineKind;

/// Which inference engines are asked, and how often. By default none is.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The time between two questions to one engine, `1s` to `1m`. Default `10s`.
    #[serde(with = "humantime_serde")]
    pub interval: Duration,
    /// The longest time for one answer, at most `30s`. Default `2s`.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// Whether engines are looked for on this machine's loopback address. Default `false`.
    pub loopback: bool,
    /// The ports that are tried there: by default those that the engines listen on when nobody says otherwise.
    pub ports: Vec<u16>,
    /// Engines by their address.
    pub target: Vec<Target>,
    /// Pods of this node that are annotated for scraping. Default none.
    pub kubernetes: Option<Kubernetes>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(2),
            loopback: false,
            // vLLM, TensorRT-LLM and NIM; SGLang; llama.cpp and TGI; TGI's own default; Triton's metrics; LiteLLM.
            ports: vec![8000, 30000, 8080, 3000, 8002, 4000],
            target: Vec::new(),
            kubernetes: None,
        }
    }
}

impl Config {
    /// Whether anybody is asked.
    pub fn is_on(&self) -> bool {
        self.loopback || !self.target.is_empty() || self.kubernetes.is_some()
    }
}

/// One engine.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Where it is: `http://127.0.0.1:8000`. Without a path the usual ones are tried.
    pub url: String,
    /// What it is. By default its names tell.
    #[serde(default)]
    pub kind: Option<EngineKind>,
    /// The model, in place of the name that the engine has for it or where it has none. By default the engine tells.
    #[serde(default)]
    pub model: Option<String>,
    /// The service that its energy is booked under. By default its address.
    #[serde(default)]
    pub service: Option<String>,
    /// The GPUs that it runs on, by their uuids: then its energy is what these draw while somebody holds them. Default none.
    #[serde(default)]
    pub devices: Vec<String>,
    /// The kind of its GPUs, `h100` or `b200`: then its energy is modelled. Default none.
    #[serde(default)]
    pub gpu: Option<Gpu>,
    /// How many GPUs one replica takes. By default as many as hold the model's weights, a power of two.
    #[serde(default)]
    pub gpus: Option<u32>,
    /// Bytes for each parameter: 2 with 16 bits, 1 with 8, 0.5 with 4. Default 2.
    #[serde(default)]
    pub bytes_per_parameter: Option<f64>,
    /// What it mostly does: `chat`, `reasoning` (answers of thousands of tokens) or `completion` (long prompts and short
    /// answers). Default `chat`.
    #[serde(default)]
    pub task: EngineTask,
    /// A file with a token and nothing else, sent as `Authorization: Bearer`. It is read for every question. Default none.
    #[serde(default)]
    pub bearer_token_file: Option<PathBuf>,
    /// Authorities to trust instead of the system's, as a PEM file. Default none.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

impl Target {
    /// An engine at an address, with the default of every other key.
    pub const fn at(url: String) -> Self {
        Self {
            url,
            kind: None,
            model: None,
            service: None,
            devices: Vec::new(),
            gpu: None,
            gpus: None,
            bytes_per_parameter: None,
            task: EngineTask::Chat,
            bearer_token_file: None,
            ca_file: None,
        }
    }

    /// What it runs on; `None` where no GPU is named.
    pub(super) fn hardware(&self) -> Option<EngineHardware> {
        let Self { gpus, bytes_per_parameter, task, .. } = *self;
        self.gpu.map(|gpu| EngineHardware { gpu, gpus, bytes_per_parameter, task })
    }
}

/// Pods as the kubelet of this node lists them. Those are asked that bear the annotation `prometheus.io/scrape: "true"`,
/// at `prometheus.io/port` and `prometheus.io/path`; what turns out to be no engine is left alone.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Kubernetes {
    /// Where the kubelet is. Default `https://127.0.0.1:10250`.
    pub kubelet: String,
    /// A file with the token for it. Default that of the pod's service account.
    pub token_file: Option<PathBuf>,
    /// Authorities that signed its certificate, as a PEM file. Default that of the pod's service account.
    pub ca_file: Option<PathBuf>,
    /// How often its list is read, at least `10s`. Default `1m`.
    #[serde(with = "humantime_serde")]
    pub refresh: Duration,
}

impl Default for Kubernetes {
    fn default() -> Self {
        let account = |name: &str| Some(PathBuf::from("/var/run/secrets/kubernetes.io/serviceaccount").join(name));
        Self {
            kubelet: "https://127.0.0.1:10250".to_owned(),
            token_file: account("token"),
            ca_file: account("ca.crt"),
            refresh: Duration::from_mins(1),
        }
    }
}
