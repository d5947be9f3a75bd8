//! What the firmware says about the machine, and whether it is virtual.

use wattline_core::HostRoot;
use wattline_core::reading::Virtualization;

use super::identity::line;

/// The texts of the firmware (DMI), and what Xen adds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Firmware {
    /// `Amazon EC2`, `Dell Inc.`, `QEMU`.
    pub(super) system_vendor: Option<String>,
    /// The model; on EC2 with Nitro the instance type.
    pub(super) product_name: Option<String>,
    /// On EC2 with Nitro the instance id.
    pub(super) board_asset_tag: Option<String>,
    /// The id of the virtual machine under Xen; on EC2 it begins with `ec2`.
    pub(super) xen_uuid: Option<String>,
    /// The kernel's word for the hypervisor below it, where it has one: `xen`.
    pub(super) hypervisor_type: Option<String>,
}

impl Firmware {
    pub(super) fn read(root: &HostRoot) -> Self {
        let dmi = |name: &str| line(root, &format!("sys/class/dmi/id/{name}"));
        Self {
            system_vendor: dmi("sys_vendor"),
            product_name: dmi("product_name"),
            board_asset_tag: dmi("board_asset_tag"),
            xen_uuid: line(root, "sys/hypervisor/uuid"),
            hypervisor_type: line(root, "sys/hypervisor/type"),
        }
    }

    /// Whether this is an instance of EC2, of the Nitro generations (which say so) or on Xen (whose ids do)
    /// (EC2 user guide, "Detect whether a host is an EC2 instance").
    pub(super) fn is_amazon(&self) -> bool {
        let says_so = self.system_vendor.as_deref() == Some("Amazon EC2");
        says_so || self.xen_uuid.as_deref().is_some_and(|uuid| uuid.to_ascii_lowercase().starts_with("ec2"))
    }

    /// The hypervisor that the firmware names. Metal instances have the cloud's name too, and no hypervisor.
    fn hypervisor(&self) -> Option<&'static str> {
        if self.hypervisor_type.as_deref() == Some("xen") {
            return Some("xen");
        }
        let vendor = self.system_vendor.as_deref().unwrap_or_default();
        let product = self.product_name.as_deref().unwrap_or_default();
        let has = |text: &str, part: &str| text.to_ascii_lowercase().contains(part);
        match vendor {
            "Amazon EC2" if !has(product, "metal") => Some("nitro"),
            "Microsoft Corporation" if has(product, "virtual machine") => Some("hyper-v"),
            "innotek GmbH" => Some("virtualbox"),
            "Google" if has(product, "google compute engine") => Some("google"),
            _ if has(vendor, "vmware") => Some("vmware"),
            _ if has(vendor, "qemu") || has(product, "kvm") || has(vendor, "openstack") => Some("kvm"),
            _ if has(vendor, "xen") => Some("xen"),
            _ if has(vendor, "apple") && has(product, "virtual") => Some("apple"),
            _ => None,
        }
    }
}

/// On x86 the processor announces a hypervisor, and the firmware only names it. Elsewhere the firmware is all there
/// is, and its silence proves nothing.
pub(super) fn virtualization(firmware: &Firmware, cpuinfo: &str) -> Virtualization {
    let flags = cpuinfo.lines().find_map(|line| {
        let (name, flags) = line.split_once(':')?;
        (name.trim() == "flags").then_some(flags)
    });
    let guest_of = |name: &str| Virtualization::Guest(name.to_owned());
    match flags.map(|flags| flags.split_ascii_whitespace().any(|flag| flag == "hypervisor")) {
        Some(true) => guest_of(firmware.hypervisor().unwrap_or("unknown")),
        Some(false) => Virtualization::None,
        None => firmware.hypervisor().map_or(Virtualization::Unknown, guest_of),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn firmware(vendor: &str, product: &str) -> Firmware {
        Firmware { system_vendor: Some(vendor.into()), product_name: Some(product.into()), ..Firmware::default() }
    }

    const GUEST: &str = "processor\t: 0\nflags\t\t: fpu vme hypervisor lahf_lm\n";
    const BARE: &str = "processor\t: 0\nflags\t\t: fpu vme lahf_lm\n";
    const ARM: &str = "processor\t: 0\nFeatures\t: fp asimd evtstrm\n";

    #[test]
    fn a_metal_instance_is_not_a_guest_though_its_firmware_names_the_cloud() {
        assert_eq!(virtualization(&firmware("Amazon EC2", "m5.metal"), BARE), Virtualization::None);
        assert_eq!(virtualization(&firmware("Amazon EC2", "m7g.metal"), ARM), Virtualization::Unknown);
        assert_eq!(virtualization(&firmware("Amazon EC2", "m5.large"), GUEST), Virtualization::Guest("nitro".into()));
        assert_eq!(virtualization(&firmware("Amazon EC2", "m7g.large"), ARM), Virtualization::Guest("nitro".into()));
    }

    #[test]
    fn the_processor_is_believed_before_the_firmware() {
        // Hosts of virtual machines and firmware with the vendor's name in it are no guests.
        assert_eq!(virtualization(&firmware("QEMU", "Standard PC"), BARE), Virtualization::None);
        assert_eq!(virtualization(&Firmware::default(), GUEST), Virtualization::Guest("unknown".into()));
        assert_eq!(virtualization(&Firmware::default(), ""), Virtualization::Unknown);
        assert_eq!(virtualization(&firmware("Dell Inc.", "PowerEdge R740"), ARM), Virtualization::Unknown);
    }

    #[test]
    fn hypervisors_are_known_by_their_firmware() {
        let named = |vendor, product| virtualization(&firmware(vendor, product), GUEST);
        for (vendor, product, name) in [
            ("QEMU", "Standard PC (i440FX + PIIX, 1996)", "kvm"),
            ("Red Hat", "KVM", "kvm"),
            ("VMware, Inc.", "VMware Virtual Platform", "vmware"),
            ("Microsoft Corporation", "Virtual Machine", "hyper-v"),
            ("Xen", "HVM domU", "xen"),
            ("Google", "Google Compute Engine", "google"),
        ] {
            assert_eq!(named(vendor, product), Virtualization::Guest(name.into()));
        }
    }

    #[test]
    fn old_instances_are_known_by_the_id_that_xen_gives_them() {
        let xen =
            Firmware { xen_uuid: Some("EC2e1916-9099-7caf-fd21-012345abcdef".into()), ..firmware("Xen", "HVM domU") };
        assert!(xen.is_amazon());
        assert!(!firmware("Xen", "HVM domU").is_amazon());
        assert!(firmware("Amazon EC2", "c5.metal").is_amazon());
    }
}
