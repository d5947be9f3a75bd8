//! One chip: its driver, its device and the channels that tell of energy.

use wattline_core::{HostRoot, Text};

use crate::kept;
use crate::printable::printable;

/// Channels of one kind that are looked for on a chip.
const CHANNELS_PER_CHIP: u32 = 64;

/// A chip with its channels.
#[derive(Debug)]
pub(super) struct Chip {
    /// The driver's name.
    pub(super) name: String,
    /// The name of its device, which stays the same over a reboot; empty for a chip without one.
    pub(super) device: String,
    pub(super) channels: Vec<Channel>,
}

/// A counter or a meter.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Channel {
    /// Driver, device and label.
    pub(super) id: Text,
    pub(super) chip_name: String,
    pub(super) is_acpi: bool,
    pub(super) path: String,
    pub(super) quantity: Quantity,
    pub(super) role: Role,
    /// The file that says whether the device sleeps, for a device that a reading would wake.
    runtime_status: Option<String>,
}

/// What a channel shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantity {
    /// Microjoules since some moment.
    Energy,
    /// Microwatts.
    Power {
        /// The time that the meter averages over, where it says.
        averaged_over_ms: Option<u64>,
    },
}

impl Quantity {
    pub(super) const fn expected(self) -> &'static str {
        match self {
            Self::Energy => "a number of microjoules",
            Self::Power { .. } => "a number of microwatts",
        }
    }
}

/// A channel's place on the books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A processor, with the id of its row; empty where the chip does not number its sockets.
    Processor(Text),
    /// The whole machine at its input.
    Machine,
    /// Anything else: shown, never booked. Graphics boards and disks have probes of their own, and nobody knows what
    /// hangs on the rail of a board's monitor.
    View,
}

impl Chip {
    /// Reads what does not change. `None` for a chip without a name or without a channel of energy.
    pub(super) fn read(root: &HostRoot, directory: &str) -> Option<Self> {
        // Until it was moved to the new interface, ACPI's driver kept its files on the device.
        let bases = [directory.to_owned(), format!("{directory}/device")];
        let (base, name) = bases.into_iter().find_map(|base| {
            let name = root.read(format!("{base}/name")).ok()?.trim().to_owned();
            (!name.is_empty()).then_some((base, name))
        })?;
        let device = root.link(format!("{directory}/device")).ok();
        let device = device.and_then(|link| Some(link.file_name()?.to_str()?.to_owned())).unwrap_or_default();
        let files = root.list(&base).ok()?;
        let has = |file: &str| files.binary_search_by(|known| known.as_str().cmp(file)).is_ok();
        let status = format!("{directory}/device/power/runtime_status");
        let runtime_status = root.metadata(&status).is_ok().then_some(status);
        let mut chip = Self { name, device, channels: Vec::new() };
        for number in 0..CHANNELS_PER_CHIP {
            let energy = format!("energy{number}");
            let power = format!("power{number}");
            let (stem, file, quantity) = if has(&format!("{energy}_input")) {
                (energy.clone(), format!("{energy}_input"), Quantity::Energy)
            } else if has(&format!("{power}_average")) {
                let interval = root.read(format!("{base}/{power}_average_interval")).ok();
                let averaged_over_ms = interval.and_then(|text| kept::number(text.as_bytes()));
                (power.clone(), format!("{power}_average"), Quantity::Power { averaged_over_ms })
            } else if has(&format!("{power}_input")) {
                (power.clone(), format!("{power}_input"), Quantity::Power { averaged_over_ms: None })
            } else {
                continue;
            };
            let label = ["label", "oem_info"].iter().find_map(|kind| root.read(format!("{base}/{stem}_{kind}")).ok());
            let label = label.map(|label| label.trim().to_owned()).filter(|label| !label.is_empty());
            let label = label.unwrap_or_else(|| stem.clone());
            let Some(mut role) = role(&chip.name, &label) else { continue };
            if role == Role::Machine && root.read(format!("{base}/{stem}_is_battery")).is_ok_and(|is| is.trim() == "1")
            {
                role = Role::View;
            }
            chip.channels.push(Channel {
                id: Text::from(printable([chip.name.as_str(), &chip.device, &label].join(" ").as_bytes())),
                chip_name: chip.name.clone(),
                is_acpi: chip.name == "power_meter",
                path: format!("{base}/{file}"),
                quantity,
                runtime_status: runtime_status.clone().filter(|_| role == Role::View),
                role,
            });
        }
        (!chip.channels.is_empty()).then_some(chip)
    }
}

impl Channel {
    /// True when reading the channel would wake its device: an agent that saves energy does not do that for a figure
    /// that is only shown.
    pub(super) fn sleeps(&self, root: &HostRoot) -> bool {
        self.runtime_status
            .as_ref()
            .and_then(|path| root.read(path).ok())
            .is_some_and(|status| status.trim() == "suspended")
    }
}

/// What a channel measures, by the driver's name and the channel's label. `None` for one that is not worth reading.
fn role(chip: &str, label: &str) -> Option<Role> {
    Some(match chip {
        // ACPI 4.0, chapter 10.4. The meters of NVIDIA's Grace carry a name, others measure the machine's input.
        "power_meter" => match label.split_once(" Power Socket ") {
            // Grace holds the cores, the system's parts and the memory of a socket; CPU and SysIO are rails inside
            // it. Module, where there is one, holds the graphics processor too, which is a row of its own. See
            // "Power telemetry" in NVIDIA's Grace Performance Tuning Guide.
            Some(("Grace", socket)) if is_number(socket) => Role::Processor(Text::from(format!("package-{socket}"))),
            Some(_) => Role::View,
            None => Role::Machine,
        },
        // AMD's driver for kernels without RAPL. A socket holds its cores, of which there are up to 128.
        "amd_energy" => match label.strip_prefix("Esocket") {
            Some(socket) if is_number(socket) => Role::Processor(Text::from(format!("package-{socket}"))),
            _ => return None,
        },
        // Ampere's management processor: drivers/hwmon/xgene-hwmon.c. "IO power" is a rail beside the processor's.
        "apm_xgene" if label == "CPU power" => Role::Processor(Text::Static("")),
        _ => Role::View,
    })
}

fn is_number(text: &str) -> bool {
    text.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_say_what_a_channel_measures() {
        let processor = |id: &str| Some(Role::Processor(Text::from(id.to_owned())));
        assert_eq!(role("power_meter", "power1"), Some(Role::Machine));
        assert_eq!(role("power_meter", "Grace Power Socket 1"), processor("package-1"));
        for inside in ["Module Power Socket 0", "CPU Power Socket 0", "SysIO Power Socket 0", "Grace Power Socket x"] {
            assert_eq!(role("power_meter", inside), Some(Role::View), "{inside}");
        }
        assert_eq!(role("amd_energy", "Esocket1"), processor("package-1"));
        assert_eq!(role("amd_energy", "Ecore017"), None);
        assert_eq!(role("apm_xgene", "CPU power"), Some(Role::Processor(Text::Static(""))));
        assert_eq!(role("apm_xgene", "IO power"), Some(Role::View));
        assert_eq!(role("amdgpu", "PPT"), Some(Role::View));
    }
}
