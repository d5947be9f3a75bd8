//! Who is measured, and who measures: the machine's description and the agent's place in it.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::Path;
use std::sync::LazyLock;

use wattline_core::attribute::{Attribute, Text, key};
use wattline_core::reading::CloudInstance;
use wattline_core::{HostRoot, Inventory};

use crate::config::Machine;
use crate::role::Role;
use crate::telemetry;

/// The process id of this agent as the measured host counts it. In a container it differs from the one that the agent
/// itself is told. `None` where the root is not that of the machine the agent runs on.
pub fn own_pid(root: &HostRoot) -> Option<u32> {
    root.link("proc/self").ok()?.to_str()?.parse().ok()
}

/// What this process calls itself to other agents of its kind, so that what it has sent is known when it comes back.
/// Drawn once.
pub fn own_mark() -> &'static str {
    static MARK: LazyLock<String> = LazyLock::new(|| {
        // The standard library's seed of hash maps is the system's random number.
        format!("{:016x}", RandomState::new().build_hasher().finish())
    });
    &MARK
}

/// `fresh`, with what `known` tells of the cloud where `fresh` does not: a metadata service that fails to answer
/// does not move the machine.
pub fn merged(known: &Inventory, fresh: &Inventory) -> Inventory {
    let instance = |inventory: &Inventory| inventory.cloud.as_ref().and_then(|cloud| cloud.instance_id.clone());
    let cloud = match (&known.cloud, &fresh.cloud) {
        (Some(known), None) => Some(known.clone()),
        (Some(known), Some(fresh)) if is_same(known, fresh) => Some(filled(fresh, known)),
        (_, fresh) => fresh.clone(),
    };
    let host_id = match (instance(known), instance(fresh)) {
        (Some(_), None) => known.host_id.clone().or_else(|| fresh.host_id.clone()),
        _ => fresh.host_id.clone().or_else(|| known.host_id.clone()),
    };
    Inventory { cloud, host_id, ..fresh.clone() }
}

fn is_same(known: &CloudInstance, fresh: &CloudInstance) -> bool {
    known.provider == fresh.provider
        && (fresh.instance_id.is_none() || known.instance_id.is_none() || known.instance_id == fresh.instance_id)
}

fn filled(fresh: &CloudInstance, known: &CloudInstance) -> CloudInstance {
    let CloudInstance {
        provider,
        platform,
        region,
        availability_zone,
        account_id,
        instance_id,
        instance_type,
        life_cycle,
    } = fresh.clone();
    CloudInstance {
        provider,
        platform,
        region: region.or_else(|| known.region.clone()),
        availability_zone: availability_zone.or_else(|| known.availability_zone.clone()),
        account_id: account_id.or_else(|| known.account_id.clone()),
        instance_id: instance_id.or_else(|| known.instance_id.clone()),
        instance_type: instance_type.or_else(|| known.instance_type.clone()),
        life_cycle: life_cycle.or_else(|| known.life_cycle.clone()),
    }
}

/// `inventory`, with what the configuration says of the machine in place of what was found.
pub fn configured(inventory: Inventory, machine: &Machine) -> Inventory {
    let Machine { provider, region, instance_type, accelerator_watts: _ } = machine;
    let Some(provider) = provider else { return inventory };
    let found = inventory.cloud.clone().filter(|found| found.provider == *provider);
    let found = found.unwrap_or_else(|| CloudInstance { provider: provider.clone(), ..CloudInstance::default() });
    let cloud = CloudInstance {
        region: region.clone().or(found.region),
        instance_type: instance_type.clone().or(found.instance_type),
        ..found
    };
    Inventory { cloud: Some(cloud), ..inventory }
}

/// What describes the machine and the agent on it, on every Resource.
///
/// A machine holds one agent that measures it, which is known by the machine. Others may be many: they are known by
/// the name of the host that they see, in a pod its own, by their role, and by the directory of their books, which no
/// two share.
pub fn resource(inventory: &Inventory, role: Role, state: &Path) -> Vec<Attribute> {
    let Inventory { host_name, host_id, arch, cloud, .. } = inventory;
    let id = host_id.as_deref().or(host_name.as_deref()).unwrap_or("unknown");
    let mut resource = match role {
        Role::Node => telemetry::service_attributes(id),
        Role::Sidecar | Role::Gateway => {
            let name = host_name.as_deref().unwrap_or(id);
            let (role, state) = (role.as_str(), state.display());
            let mut attributes = telemetry::service_attributes(&format!("{name}/{role}{state}"));
            attributes.push(Attribute::new(key::WATTLINE_ROLE, role));
            attributes
        }
    };
    let mut push = |key, value: &Option<String>| {
        resource.extend(value.as_ref().map(|value| Attribute::new(key, Text::from(value.clone()))));
    };
    push(key::HOST_ID, host_id);
    push(key::HOST_NAME, host_name);
    push(key::HOST_ARCH, arch);
    push(key::OS_TYPE, &Some("linux".to_owned()));
    if let Some(cloud) = cloud {
        push(key::CLOUD_PROVIDER, &Some(cloud.provider.clone()));
        push(key::CLOUD_PLATFORM, &Some(cloud.platform.clone()).filter(|platform| !platform.is_empty()));
        push(key::CLOUD_REGION, &cloud.region);
        push(key::CLOUD_AVAILABILITY_ZONE, &cloud.availability_zone);
        push(key::CLOUD_ACCOUNT_ID, &cloud.account_id);
        push(key::HOST_TYPE, &cloud.instance_type);
    }
    resource
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configured_machine_is_what_it_is_configured_to_be() {
        let machine = Machine {
            provider: Some("aws".to_owned()),
            region: Some("eu-north-1".to_owned()),
            instance_type: Some("m7i.large".to_owned()),
            ..Machine::default()
        };
        let cloud = configured(Inventory::default(), &machine).cloud.unwrap();
        assert_eq!((cloud.region.as_deref(), cloud.instance_type.as_deref()), (Some("eu-north-1"), Some("m7i.large")));
        let found = CloudInstance {
            provider: "aws".to_owned(),
            account_id: Some("1".to_owned()),
            region: Some("us-east-1".to_owned()),
            ..CloudInstance::default()
        };
        let found = Inventory { cloud: Some(found), ..Inventory::default() };
        let cloud = configured(found.clone(), &machine).cloud.unwrap();
        assert_eq!((cloud.region.as_deref(), cloud.account_id.as_deref()), (Some("eu-north-1"), Some("1")));
        assert_eq!(configured(found.clone(), &Machine::default()), found);
    }

    #[test]
    fn the_agents_process_id_is_the_hosts_word_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = HostRoot::new(folder.path());
        assert_eq!(own_pid(&root), None);
        std::fs::create_dir(folder.path().join("proc")).unwrap();
        std::os::unix::fs::symlink("424242", folder.path().join("proc/self")).unwrap();
        assert_eq!(own_pid(&root), Some(424_242));
        assert_eq!(own_pid(&HostRoot::new("/")), Some(std::process::id()));
    }

    fn instance(id: Option<&str>, region: Option<&str>) -> CloudInstance {
        let text = |text: Option<&str>| text.map(str::to_owned);
        CloudInstance {
            provider: "aws".to_owned(),
            instance_id: text(id),
            region: text(region),
            ..CloudInstance::default()
        }
    }

    fn inventory(host_id: &str, cloud: Option<CloudInstance>) -> Inventory {
        Inventory { host_id: Some(host_id.to_owned()), cloud, ..Inventory::default() }
    }

    #[test]
    fn what_the_cloud_has_told_stays_when_it_is_silent_later() {
        let known = inventory("i-1", Some(instance(Some("i-1"), Some("eu-west-1"))));
        for silent in [None, Some(instance(None, None))] {
            let merged = merged(&known, &inventory("machine", silent));
            assert_eq!((merged.host_id.as_deref(), &merged.cloud), (Some("i-1"), &known.cloud));
        }
    }

    #[test]
    fn what_the_cloud_tells_later_is_taken() {
        let told = inventory("i-1", Some(instance(Some("i-1"), Some("eu-west-1"))));
        assert_eq!(merged(&inventory("machine", None), &told), told);
        let firmware = inventory("i-1", Some(instance(Some("i-1"), None)));
        assert_eq!(merged(&firmware, &told), told);
        let moved = inventory("i-2", Some(instance(Some("i-2"), None)));
        assert_eq!(merged(&told, &moved), moved, "another instance is another machine");
    }
}
