//! What a figure is about.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::attribute::{Attribute, Text, key};

/// What a figure is about: a closed list, with one way to attributes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// The machine as a whole.
    Host,
    /// A part of the machine that draws power.
    Device(Device),
    /// A slice of a device.
    Slice(DeviceSlice),
    /// What runs on the machine and uses its energy.
    Workload(Workload),
    /// Calls of a language model that differ in none of these.
    Inference(InferenceKey),
    /// An application's agent.
    Agent(AgentKey),
    /// An agent that runs at a host of agents.
    HostedAgent(HostedAgent),
    /// An inference engine that serves a model.
    Engine(EngineKey),
    /// The agent itself.
    Wattline,
    /// Subjects that a destination does not tell apart.
    Merged(Merged),
}

/// What is left of subjects without some of the labels that told them apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Merged {
    /// The labels that are left.
    pub identity: Vec<Attribute>,
    /// They were devices or workloads, which have a Resource of their own.
    pub is_entity: bool,
}

/// A part of the machine with an energy row of its own. Devices are disjoint: no joule is in two of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Device {
    /// The kind, which is the value of `hw.type`.
    pub kind: DeviceKind,
    /// Tells devices of one machine apart and stays the same over a reboot: `package-0`, `dram-1`, a GPU's uuid.
    pub id: Text,
}

impl Device {
    /// A device of the machine.
    pub fn new(kind: DeviceKind, id: impl Into<Text>) -> Self {
        Self { kind, id: id.into() }
    }
}

/// A slice of a device, such as a MIG device of a GPU. It has no meter and no energy row: what it draws is in its device.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DeviceSlice {
    /// The device that it is cut from.
    pub device: Device,
    /// The maker's uuid of the slice.
    pub id: Text,
}

/// The kinds of energy rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum DeviceKind {
    /// A CPU package, its cores and uncore included, its memory not.
    Cpu,
    /// The memory.
    Memory,
    /// A graphics processor board.
    Gpu,
    /// Another accelerator, such as a Neuron device.
    Accelerator,
    /// A disk.
    Disk,
    /// A network adapter.
    Network,
    /// Fans, board and power conversion: what a wall meter shows beyond the rows above, or a model of it.
    Enclosure,
}

impl DeviceKind {
    /// The value of `hw.type`: the semantic conventions' word, `accelerator` is ours.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Gpu => "gpu",
            Self::Accelerator => "accelerator",
            Self::Disk => "physical_disk",
            Self::Network => "network",
            Self::Enclosure => "enclosure",
        }
    }
}

/// What runs on the machine, at the finest level that the books keep. A joule stands on exactly one of these.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Workload {
    /// A container of any runtime.
    Container(Container),
    /// A systemd unit that is not a container.
    Unit(Text),
    /// Processes outside any container or unit, by the name of their executable.
    Executable(Text),
    /// The workloads beyond the limit on series.
    Other,
    /// No workload: energy at rest, or energy that no witness explains. The energy state says which.
    Nobody,
}

impl Workload {
    /// The value of `workload.kind`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Container(_) => "container",
            Self::Unit(_) => "unit",
            Self::Executable(_) => "executable",
            Self::Other => "other",
            Self::Nobody => "none",
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Container(container) => match &container.pod {
                Some(Pod { name: Some(pod), namespace: Some(namespace), .. }) => write!(f, "{namespace}/{pod}"),
                _ => write!(f, "{} {}", container.runtime, container.id.get(..12).unwrap_or(&container.id)),
            },
            Self::Unit(name) | Self::Executable(name) => f.write_str(name),
            Self::Other => f.write_str("(other)"),
            Self::Nobody => f.write_str("(none)"),
        }
    }
}

/// A container as its control group path names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Container {
    /// The full id, 64 hexadecimal digits with every runtime known.
    pub id: Text,
    /// The runtime as far as the path tells: `docker`, `containerd`, `cri-o`, `podman`, `ecs`, `unknown`.
    pub runtime: Text,
    /// The pod it belongs to.
    pub pod: Option<Pod>,
    /// The id of the ECS task it belongs to.
    pub ecs_task: Option<Text>,
}

/// A Kubernetes pod. The path gives the uid; names need the kubelet or the API.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Pod {
    /// The uid, with hyphens.
    pub uid: Text,
    /// The namespace.
    pub namespace: Option<Text>,
    /// The pod's name.
    pub name: Option<Text>,
    /// The container's name inside the pod.
    pub container: Option<Text>,
}

/// What tells calls of language models apart on the books.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct InferenceKey {
    /// The model that answered, else the one asked for.
    pub model: Text,
    /// The provider, as the semantic conventions name it.
    pub provider: Text,
    /// The calling service.
    pub service: Text,
    /// The calling agent, if the span names one.
    pub agent: Option<Text>,
    /// The operation: `chat`, `embeddings` and so on.
    pub operation: Text,
}

/// What tells agents apart on the books.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AgentKey {
    /// The service that it runs in.
    pub service: Text,
    /// Its name, if it has one.
    pub agent: Option<Text>,
}

/// An agent, or a tool beside it, that runs at a host of agents, which meters and bills what its sessions use.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct HostedAgent {
    /// Its name, else that of its resource.
    pub name: Text,
    /// The resource without the account: `runtime/AGENT123`.
    pub resource: Text,
    /// The service that hosts it: `AgentCore.Runtime`, `AgentCore.CodeInterpreter`, `AgentCore.Browser`.
    pub service: Text,
    /// The region that hosts it, if it is told.
    pub region: Option<Text>,
}

/// A model on one instance of an inference engine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EngineKey {
    /// The program.
    pub kind: EngineKind,
    /// The model, as the engine names it; `unknown` where nothing tells.
    pub model: Text,
    /// The host that it is asked at: the value of `server.address`.
    pub address: Text,
    /// The port: the value of `server.port`.
    pub port: u16,
}

/// Programs that serve language models and tell of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EngineKind {
    /// vLLM.
    #[serde(rename = "vllm")]
    Vllm,
    /// `SGLang`.
    #[serde(rename = "sglang")]
    Sglang,
    /// Hugging Face's Text Generation Inference.
    #[serde(rename = "tgi")]
    Tgi,
    /// The server of llama.cpp.
    #[serde(rename = "llama.cpp")]
    LlamaCpp,
    /// NVIDIA `TensorRT-LLM`, by `trtllm-serve`.
    #[serde(rename = "tensorrt_llm")]
    TensorRtLlm,
    /// NVIDIA NIM.
    #[serde(rename = "nim")]
    Nim,
    /// NVIDIA Triton Inference Server.
    #[serde(rename = "triton")]
    Triton,
    /// The proxy of `LiteLLM`, which serves nothing itself.
    #[serde(rename = "litellm")]
    LiteLlm,
}

impl EngineKind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Vllm,
        Self::Sglang,
        Self::Tgi,
        Self::LlamaCpp,
        Self::TensorRtLlm,
        Self::Nim,
        Self::Triton,
        Self::LiteLlm,
    ];

    /// The word in the configuration, and the value of `gen_ai.provider.name`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Vllm => "vllm",
            Self::Sglang => "sglang",
            Self::Tgi => "tgi",
            Self::LlamaCpp => "llama.cpp",
            Self::TensorRtLlm => "tensorrt_llm",
            Self::Nim => "nim",
            Self::Triton => "triton",
            Self::LiteLlm => "litellm",
        }
    }
}

impl Subject {
    /// The attributes that tell this subject from any other of the machine. They stand on every point and on the
    /// Resource, so that no store merges two subjects.
    pub fn identity(&self) -> Vec<Attribute> {
        match self {
            Self::Host | Self::Wattline => Vec::new(),
            Self::Device(device) => device_identity(device).into(),
            Self::Slice(DeviceSlice { device, id }) => {
                let [device, kind] = device_identity(device);
                vec![device, kind, Attribute::new(key::HW_GPU_SLICE, id.clone())]
            }
            Self::Workload(workload) => workload_identity(workload),
            Self::Inference(call) => inference_identity(call),
            Self::Agent(AgentKey { service, agent }) => {
                let agent = agent.iter().map(|agent| Attribute::new(key::GEN_AI_AGENT_NAME, agent.clone()));
                std::iter::once(Attribute::new(key::SERVICE_NAME, service.clone())).chain(agent).collect()
            }
            Self::HostedAgent(agent) => hosted_identity(agent),
            Self::Engine(engine) => engine_identity(engine),
            Self::Merged(merged) => merged.identity.clone(),
        }
    }

    /// Whether the subject has a Resource of its own. The others are about the agent or the machine, which the
    /// machine's Resource describes; the service that called a model is not the service that sends this.
    pub const fn is_entity(&self) -> bool {
        match self {
            Self::Device(_) | Self::Slice(_) | Self::Workload(_) => true,
            Self::Host
            | Self::Inference(_)
            | Self::Agent(_)
            | Self::HostedAgent(_)
            | Self::Engine(_)
            | Self::Wattline => false,
            Self::Merged(merged) => merged.is_entity,
        }
    }

    /// Further attributes of the subject, for the Resource only.
    pub fn description(&self) -> Vec<Attribute> {
        match self {
            Self::Workload(Workload::Container(container)) => {
                let mut attributes = vec![Attribute::new(key::CONTAINER_RUNTIME, container.runtime.clone())];
                if let Some(pod) = &container.pod {
                    attributes.push(Attribute::new(key::K8S_POD_UID, pod.uid.clone()));
                }
                attributes
            }
            _ => Vec::new(),
        }
    }
}

fn device_identity(device: &Device) -> [Attribute; 2] {
    [Attribute::new(key::HW_ID, device.id.clone()), Attribute::new(key::HW_TYPE, device.kind.as_str())]
}

fn workload_identity(workload: &Workload) -> Vec<Attribute> {
    let mut attributes = vec![Attribute::new(key::WORKLOAD_KIND, workload.kind())];
    match workload {
        Workload::Container(Container { id, runtime: _, pod, ecs_task }) => {
            attributes.push(Attribute::new(key::CONTAINER_ID, id.clone()));
            if let Some(Pod { uid, namespace, name, container }) = pod {
                // A pod whose names are unknown is still told apart by its uid.
                match (namespace, name) {
                    (Some(namespace), Some(name)) => {
                        attributes.push(Attribute::new(key::K8S_NAMESPACE_NAME, namespace.clone()));
                        attributes.push(Attribute::new(key::K8S_POD_NAME, name.clone()));
                    }
                    _ => attributes.push(Attribute::new(key::K8S_POD_UID, uid.clone())),
                }
                if let Some(container) = container {
                    attributes.push(Attribute::new(key::K8S_CONTAINER_NAME, container.clone()));
                }
            }
            if let Some(task) = ecs_task {
                attributes.push(Attribute::new(key::ECS_TASK_ID, task.clone()));
            }
        }
        Workload::Unit(name) => attributes.push(Attribute::new(key::SYSTEMD_UNIT, name.clone())),
        Workload::Executable(name) => attributes.push(Attribute::new(key::PROCESS_EXECUTABLE_NAME, name.clone())),
        Workload::Other | Workload::Nobody => {}
    }
    attributes
}

fn inference_identity(call: &InferenceKey) -> Vec<Attribute> {
    let InferenceKey { model, provider, service, agent, operation } = call;
    let mut attributes = vec![
        Attribute::new(key::GEN_AI_REQUEST_MODEL, model.clone()),
        Attribute::new(key::GEN_AI_PROVIDER_NAME, provider.clone()),
        Attribute::new(key::SERVICE_NAME, service.clone()),
        Attribute::new(key::GEN_AI_OPERATION_NAME, operation.clone()),
    ];
    if let Some(agent) = agent {
        attributes.push(Attribute::new(key::GEN_AI_AGENT_NAME, agent.clone()));
    }
    attributes
}

fn hosted_identity(agent: &HostedAgent) -> Vec<Attribute> {
    let HostedAgent { name, resource, service, region } = agent;
    let mut attributes = vec![
        Attribute::new(key::GEN_AI_AGENT_NAME, name.clone()),
        Attribute::new(key::AGENTCORE_RESOURCE, resource.clone()),
        Attribute::new(key::AGENTCORE_SERVICE, service.clone()),
    ];
    if let Some(region) = region {
        attributes.push(Attribute::new(key::CLOUD_REGION, region.clone()));
    }
    attributes
}

fn engine_identity(engine: &EngineKey) -> Vec<Attribute> {
    let EngineKey { kind, model, address, port } = engine;
    vec![
        Attribute::new(key::GEN_AI_PROVIDER_NAME, kind.as_str()),
        Attribute::new(key::GEN_AI_REQUEST_MODEL, model.clone()),
        Attribute::new(key::SERVER_ADDRESS, address.clone()),
        Attribute::new(key::SERVER_PORT, port.to_string()),
    ]
}
