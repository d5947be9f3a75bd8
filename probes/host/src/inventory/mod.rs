//! What the machine is: names, processor, memory, and whether it is virtual or a cloud instance.

mod aws;
mod cloud;
mod cpu;
mod firmware;
mod identity;

pub use self::cloud::{CloudConfig, CloudMode};

use wattline_core::HostRoot;
use wattline_core::reading::{Inventory, SourceHealth};

use self::firmware::Firmware;
use crate::system;

/// Reads what the machine is. What cannot be read is `None`.
///
/// The health readings are about `cloud` only, and there is none where no cloud is looked for: the metadata service
/// may be out of reach, and what to do about it is worth saying. May take as long as `cloud.timeout` allows.
pub fn read(root: &HostRoot, cloud: &CloudConfig) -> (Inventory, Vec<SourceHealth>) {
    let firmware = Firmware::read(root);
    let cpuinfo = root.read("proc/cpuinfo").unwrap_or_default();
    let (instance, health) = cloud::read(&firmware, cloud);
    let instance_id = instance.as_ref().and_then(|instance| instance.instance_id.clone());
    let inventory = Inventory {
        host_name: identity::host_name(root),
        host_id: instance_id.or_else(|| identity::machine_id(root)),
        arch: Some(identity::arch()),
        kernel: identity::line(root, "proc/sys/kernel/osrelease"),
        boot_id: identity::line(root, "proc/sys/kernel/random/boot_id"),
        boot_time: root.read("proc/stat").ok().and_then(|stat| system::boot_time(&stat)),
        cpu: cpu::model(root, &cpuinfo),
        memory_bytes: root.read("proc/meminfo").ok().and_then(|info| system::installed_memory_bytes(&info)),
        virtualization: firmware::virtualization(&firmware, &cpuinfo),
        cloud: instance,
    };
    (inventory, health.into_iter().collect())
}
