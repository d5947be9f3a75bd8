//! Attribute names and values, named once.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A shared text: cloning it copies a pointer. Two texts of the same characters are equal, wherever they come from.
#[derive(Clone)]
pub enum Text {
    /// A word of the program.
    Static(&'static str),
    /// A word from outside.
    Shared(Arc<str>),
}

impl Text {
    /// The characters.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Static(text) => text,
            Self::Shared(text) => text,
        }
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Text {}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl std::ops::Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Default for Text {
    fn default() -> Self {
        Self::Static("")
    }
}

impl From<&'static str> for Text {
    fn from(text: &'static str) -> Self {
        Self::Static(text)
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::Shared(text.into())
    }
}

impl From<Arc<str>> for Text {
    fn from(text: Arc<str>) -> Self {
        Self::Shared(text)
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

/// A named value on a sample or an entity. All values are text: no metric of ours needs another kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attribute {
    /// One of the names in [`key`].
    pub key: &'static str,
    /// The value.
    pub value: Text,
}

impl Attribute {
    /// A name with its value.
    pub fn new(key: &'static str, value: impl Into<Text>) -> Self {
        Self { key, value: value.into() }
    }
}

/// Attribute names: OpenTelemetry semantic conventions 1.44 where they exist, ours below.
pub mod key {
    #![expect(missing_docs, reason = "each name is its own documentation; its meaning is the convention's")]

    pub const CLOUD_ACCOUNT_ID: &str = "cloud.account.id";
    pub const CLOUD_AVAILABILITY_ZONE: &str = "cloud.availability_zone";
    pub const CLOUD_PLATFORM: &str = "cloud.platform";
    pub const CLOUD_PROVIDER: &str = "cloud.provider";
    pub const CLOUD_REGION: &str = "cloud.region";
    pub const CONTAINER_ID: &str = "container.id";
    pub const CONTAINER_RUNTIME: &str = "container.runtime";
    pub const CPU_LOGICAL_NUMBER: &str = "cpu.logical_number";
    pub const CPU_MODE: &str = "cpu.mode";
    pub const DISK_IO_DIRECTION: &str = "disk.io.direction";
    pub const ECS_TASK_ID: &str = "aws.ecs.task.id";
    pub const ERROR_TYPE: &str = "error.type";
    pub const FILESYSTEM_MODE: &str = "system.filesystem.mode";
    pub const FILESYSTEM_MOUNTPOINT: &str = "system.filesystem.mountpoint";
    pub const FILESYSTEM_STATE: &str = "system.filesystem.state";
    pub const FILESYSTEM_TYPE: &str = "system.filesystem.type";
    pub const GEN_AI_AGENT_NAME: &str = "gen_ai.agent.name";
    pub const GEN_AI_OPERATION_NAME: &str = "gen_ai.operation.name";
    pub const GEN_AI_PROVIDER_NAME: &str = "gen_ai.provider.name";
    pub const GEN_AI_REQUEST_MODEL: &str = "gen_ai.request.model";
    pub const GEN_AI_RESPONSE_MODEL: &str = "gen_ai.response.model";
    pub const GEN_AI_TOOL_NAME: &str = "gen_ai.tool.name";
    pub const GEN_AI_TOKEN_TYPE: &str = "gen_ai.token.type";
    pub const HOST_ARCH: &str = "host.arch";
    pub const HOST_ID: &str = "host.id";
    pub const HOST_NAME: &str = "host.name";
    pub const HOST_TYPE: &str = "host.type";
    pub const HW_DRIVER_VERSION: &str = "hw.driver_version";
    pub const HW_GPU_TASK: &str = "hw.gpu.task";
    pub const HW_ID: &str = "hw.id";
    pub const HW_MODEL: &str = "hw.model";
    pub const HW_NAME: &str = "hw.name";
    pub const HW_PARENT: &str = "hw.parent";
    pub const HW_SENSOR_LOCATION: &str = "hw.sensor_location";
    pub const HW_SERIAL_NUMBER: &str = "hw.serial_number";
    pub const HW_STATE: &str = "hw.state";
    pub const HW_TYPE: &str = "hw.type";
    pub const HW_VENDOR: &str = "hw.vendor";
    pub const K8S_CONTAINER_NAME: &str = "k8s.container.name";
    pub const K8S_NAMESPACE_NAME: &str = "k8s.namespace.name";
    pub const K8S_POD_NAME: &str = "k8s.pod.name";
    pub const K8S_POD_UID: &str = "k8s.pod.uid";
    pub const MEMORY_STATE: &str = "system.memory.state";
    pub const NETWORK_INTERFACE_NAME: &str = "network.interface.name";
    pub const NETWORK_IO_DIRECTION: &str = "network.io.direction";
    pub const OS_TYPE: &str = "os.type";
    pub const PAGING_DIRECTION: &str = "system.paging.direction";
    pub const PAGING_FAULT_TYPE: &str = "system.paging.fault.type";
    pub const PAGING_STATE: &str = "system.paging.state";
    pub const PROCESS_EXECUTABLE_NAME: &str = "process.executable.name";
    pub const PROCESS_STATE: &str = "process.state";
    pub const SERVER_ADDRESS: &str = "server.address";
    pub const SERVER_PORT: &str = "server.port";
    pub const SERVICE_INSTANCE_ID: &str = "service.instance.id";
    pub const SERVICE_NAME: &str = "service.name";
    pub const SERVICE_VERSION: &str = "service.version";
    pub const SYSTEM_DEVICE: &str = "system.device";

    // Ours.
    pub const AGENTCORE_RESOURCE: &str = "agentcore.resource";
    pub const AGENTCORE_SERVICE: &str = "agentcore.service";
    pub const AGENTCORE_STATE: &str = "agentcore.state";
    /// Where a count of vCPUs is from: `configured` or `seen`.
    pub const AGENTCORE_BASIS: &str = "agentcore.basis";
    pub const CARBON_ESTIMATED: &str = "carbon.estimated";
    pub const CARBON_KIND: &str = "carbon.kind";
    pub const CARBON_SOURCE: &str = "carbon.source";
    pub const CARBON_TIER: &str = "carbon.tier";
    pub const CARBON_ZONE: &str = "carbon.zone";
    pub const COST_KIND: &str = "cost.kind";
    pub const ENERGY_METHOD: &str = "energy.method";
    pub const ENERGY_MODEL: &str = "energy.model";
    pub const ENERGY_ORIGIN: &str = "energy.origin";
    pub const ENERGY_STATE: &str = "energy.state";
    pub const AGENT_STATE: &str = "agent.state";
    pub const INFERENCE_FINISH_REASON: &str = "inference.finish_reason";
    pub const INFERENCE_REPEAT: &str = "inference.repeat";
    pub const ENGINE_CLOCK: &str = "engine.clock";
    pub const ENGINE_FINISH_REASON: &str = "engine.finish_reason";
    pub const ENGINE_PHASE: &str = "engine.phase";
    pub const HW_GPU_ARCHITECTURE: &str = "hw.gpu.architecture";
    /// What holds a clock down: `power_cap`, `hardware_thermal` and so on.
    pub const HW_GPU_CLOCK_LIMIT: &str = "hw.gpu.clock.limit";
    /// Of what a clock is: `graphics`, `compute`, `memory` or `video`.
    pub const HW_GPU_CLOCK_OF: &str = "hw.gpu.clock.of";
    /// How processes use a GPU: `compute`, `graphics` or `mps`.
    pub const HW_GPU_CONTEXT: &str = "hw.gpu.context";
    pub const HW_GPU_INDEX: &str = "hw.gpu.index";
    pub const HW_GPU_PCI_ADDRESS: &str = "hw.gpu.pci.address";
    /// The uuid of a slice of a GPU.
    pub const HW_GPU_SLICE: &str = "hw.gpu.slice";
    /// How large a slice is, in its maker's words: `1g.10gb`.
    pub const HW_GPU_SLICE_PROFILE: &str = "hw.gpu.slice.profile";
    /// A part of a GPU that is busy: `graphics`, `multiprocessor`, `occupancy`, `tensor` or `memory`.
    pub const HW_GPU_UNIT: &str = "hw.gpu.unit";
    /// The driver's number of a critical error.
    pub const HW_GPU_XID: &str = "hw.gpu.xid";
    pub const PRESSURE_KIND: &str = "pressure.kind";
    pub const PRESSURE_RESOURCE: &str = "pressure.resource";
    pub const SCI_UNIT: &str = "sci.unit";
    pub const SYSTEMD_UNIT: &str = "systemd.unit";
    pub const UNCERTAINTY_QUANTITY: &str = "uncertainty.quantity";
    pub const WATER_KIND: &str = "water.kind";
    pub const WATTLINE_DESTINATION: &str = "wattline.destination";
    pub const WATTLINE_EXPORTER: &str = "wattline.exporter";
    pub const WATTLINE_PROBE: &str = "wattline.probe";
    pub const WATTLINE_REASON: &str = "wattline.reason";
    pub const WATTLINE_SIGNAL: &str = "wattline.signal";
    /// What an agent is there for, where it is not to measure a machine: `sidecar` or `gateway`.
    pub const WATTLINE_ROLE: &str = "wattline.role";
    pub const WATTLINE_TABLE: &str = "wattline.table";
    pub const WATTLINE_TABLE_VERSION: &str = "wattline.table.version";
    pub const WORKLOAD_KIND: &str = "workload.kind";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn texts_are_equal_by_their_characters() {
        let texts = BTreeSet::from([Text::from("package-0"), Text::from("package-0".to_owned())]);
        assert_eq!(texts.len(), 1, "a word of the program and the same word from outside are one");
    }
}
