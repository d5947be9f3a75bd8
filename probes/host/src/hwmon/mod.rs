//! Energy counters and power meters of hwmon chips (`/sys/class/hwmon`, documented in
//! Documentation/hwmon/sysfs-interface.rst): `energyN_input` in microjoules, `powerN_average` and `powerN_input` in
//! microwatts. The numbers of the directories change from boot to boot, so a chip is known by its driver's name and
//! its device.

mod chip;

use std::collections::BTreeSet;

use wattline_core::reading::{EnergyReading, EnergySource, PowerReading, Reading, Readings, Scope, SourceState};
use wattline_core::{Device, DeviceKind, HostRoot, Instant, Seconds, Text, Watts};

use crate::health::{Fault, absent};
use crate::kept::{self, Budget, KeptFile};
use chip::{Channel, Chip, Quantity, Role};

const TREE: &str = "sys/class/hwmon";

/// The tree is listed again after this time, because drivers are loaded and devices are plugged late.
const RESCAN_SECONDS: f64 = 60.0;

/// Channels that are read at most. Servers with a meter on every rail have some dozens.
const CHANNEL_LIMIT: usize = 256;

/// What an ACPI meter without a measurement answers: 0xFFFFFFFF milliwatts (ACPI 6.5, 10.4.1 `_PMM`), in microwatts.
const ACPI_UNKNOWN_UW: i64 = 0xFFFF_FFFF * 1_000;

const REMEDY: &str = "make the file readable by the agent's group with a udev rule, or run the agent as root or with \
    CAP_DAC_READ_SEARCH";

/// The chips of the machine.
#[derive(Debug, Default)]
pub(crate) struct Hwmon {
    meters: Vec<Meter>,
    cut: usize,
    scanned_at: Option<Instant>,
    scan_fault: Option<Fault>,
}

#[derive(Debug)]
struct Meter {
    channel: Channel,
    file: KeptFile,
    fault: Option<Fault>,
    read: bool,
}

/// How reading went.
#[derive(Debug)]
pub(crate) struct HwmonState {
    /// The chips other than ACPI's meters.
    pub(crate) hwmon: SourceState,
    /// ACPI's power meters.
    pub(crate) acpi: SourceState,
}

impl Hwmon {
    /// Appends what every channel shows. Where RAPL gives the processors' rows (`rapl_gives_cpu`) a chip's view of
    /// them overlaps and is no row.
    pub(crate) fn read(
        &mut self,
        root: &HostRoot,
        budget: &Budget,
        at: Instant,
        rapl_gives_cpu: bool,
        out: &mut Readings,
    ) -> HwmonState {
        if self.scanned_at.is_none_or(|then| at.since(then).get() >= RESCAN_SECONDS) {
            self.scan(root);
            self.scanned_at = Some(at);
        }
        let mut buffer = Vec::new();
        for meter in &mut self.meters {
            meter.read(root, budget, rapl_gives_cpu, &mut buffer, out);
        }
        HwmonState { hwmon: self.judge(root, false), acpi: self.judge(root, true) }
    }

    /// Closes what is kept open and lists the tree anew at the next reading.
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }

    fn scan(&mut self, root: &HostRoot) {
        let (chips, fault) = match root.list(TREE) {
            Ok(names) => (names.iter().filter_map(|name| Chip::read(root, &format!("{TREE}/{name}"))).collect(), None),
            Err(error) if kept::is_gone(&error) => (Vec::new(), None),
            Err(error) => (Vec::new(), Some(Fault::reading(root, TREE, &error))),
        };
        self.scan_fault = fault;
        let mut channels = assign(chips);
        self.cut = channels.len().saturating_sub(CHANNEL_LIMIT);
        channels.truncate(CHANNEL_LIMIT);
        let mut old = std::mem::take(&mut self.meters);
        for channel in channels {
            let known = old.iter().position(|meter| meter.channel == channel);
            self.meters.push(match known {
                Some(index) => old.swap_remove(index),
                None => Meter { channel, file: KeptFile::default(), fault: None, read: false },
            });
        }
    }

    fn judge(&self, root: &HostRoot, acpi: bool) -> SourceState {
        let of_kind = || self.meters.iter().filter(move |meter| meter.channel.is_acpi == acpi);
        let names: BTreeSet<&str> =
            of_kind().filter(|meter| meter.read).map(|meter| meter.channel.chip_name.as_str()).collect();
        let mut found = names.into_iter().collect::<Vec<_>>().join(", ");
        if self.cut > 0 && !acpi {
            found = format!("{found}; {} channels beyond the limit of {CHANNEL_LIMIT} left out", self.cut);
        }
        let fault = of_kind().filter_map(|meter| meter.fault.as_ref()).max_by_key(|fault| fault.denied);
        match fault.or(self.scan_fault.as_ref()) {
            Some(fault) => fault.state(&found, REMEDY),
            None if of_kind().next().is_none() => absent(root, TREE),
            None => SourceState::Up { found },
        }
    }
}

impl Meter {
    fn read(
        &mut self,
        root: &HostRoot,
        budget: &Budget,
        rapl_gives_cpu: bool,
        buffer: &mut Vec<u8>,
        out: &mut Readings,
    ) {
        let Self { channel, file, fault, read } = self;
        *read = false;
        if channel.sleeps(root) {
            *fault = None;
            return;
        }
        if let Err(error) = file.read(root, budget, || channel.path.clone(), buffer) {
            // A chip that went away is no fault: the next scan leaves it out.
            *fault = (!kept::is_gone(&error)).then(|| Fault::reading(root, &channel.path, &error));
            return;
        }
        let reading = channel.reading(buffer, rapl_gives_cpu);
        *fault = reading.is_none().then(|| Fault::text(root, &channel.path, channel.quantity.expected()));
        *read = reading.is_some();
        out.items.extend(reading);
    }
}

impl Channel {
    fn reading(&self, text: &[u8], rapl_gives_cpu: bool) -> Option<Reading> {
        let scope = match &self.role {
            Role::Processor(id) if !rapl_gives_cpu => Scope::Device(Device::new(DeviceKind::Cpu, id.clone())),
            Role::Machine => Scope::Machine,
            Role::Processor(_) | Role::View => Scope::Overlapping(self.id.clone()),
        };
        let source = if self.is_acpi { EnergySource::AcpiMeter } else { EnergySource::Hwmon };
        Some(match self.quantity {
            Quantity::Energy => {
                Reading::Energy(EnergyReading { scope, source, counter_uj: kept::number(text)?, range: None })
            }
            Quantity::Power { averaged_over_ms } => {
                // Power flows back through some meters, so that a sign is honest.
                let microwatts: i64 = std::str::from_utf8(text.trim_ascii()).ok()?.parse().ok()?;
                if self.is_acpi && microwatts >= ACPI_UNKNOWN_UW {
                    return None;
                }
                Reading::Power(PowerReading {
                    scope,
                    source,
                    power: Watts::new(microwatts as f64 / 1e6),
                    averaged_over: averaged_over_ms.map(|ms| Seconds::new(ms as f64 / 1e3)),
                })
            }
        })
    }
}

/// Gives each channel its place on the books, in an order that does not depend on the directories' numbers.
fn assign(mut chips: Vec<Chip>) -> Vec<Channel> {
    chips.sort_by(|one, other| (&one.name, &one.device).cmp(&(&other.name, &other.device)));
    let machine_meters = chips.iter().flat_map(|chip| &chip.channels).filter(|channel| channel.role == Role::Machine);
    // Which of several meters measures the whole machine, or whether they add up to it, nothing tells.
    let several = machine_meters.count() > 1;
    let mut rows = BTreeSet::new();
    let mut boards = 0_u32;
    let mut channels = Vec::new();
    for mut channel in chips.into_iter().flat_map(|chip| chip.channels) {
        if let Role::Processor(id) = &mut channel.role {
            if id.is_empty() {
                *id = Text::from(format!("package-{boards}"));
                boards += 1;
            }
            if !rows.insert(id.clone()) {
                channel.role = Role::View;
            }
        } else if channel.role == Role::Machine && several {
            channel.role = Role::View;
        }
        channels.push(channel);
    }
    channels
}

#[cfg(test)]
mod tests;
