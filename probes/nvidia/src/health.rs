//! What reading GPUs gave, in words for people.

use std::collections::BTreeMap;
use std::path::Path;

use wattline_core::reading::{AcceleratorReading, AcceleratorState, SourceState};

use crate::config::Mode;
use crate::nvml::OpenFault;
use crate::session::Look;

/// The state of the source after a look.
pub(crate) fn of_look(look: &Look) -> SourceState {
    let Look { readings, nameless, denied, version, end: _ } = look;
    let worries: Vec<String> = readings.iter().filter_map(worry).collect();
    let nameless = nameless.iter().map(|(index, reason)| format!("GPU {index} {}", reason.as_str()));
    let downs: Vec<String> = readings.iter().filter_map(down).chain(nameless).collect();
    let is_none = readings.is_empty() && downs.is_empty();
    let mut found = if is_none { "no GPU".to_owned() } else { products(readings) };
    if let Some(version) = version {
        found = format!("{found}, driver {version}");
    }
    if !downs.is_empty() {
        let rest = if found.is_empty() { "no other GPU is read" } else { &found };
        return SourceState::Failed { what: format!("{}; read in spite of it: {rest}", downs.join("; ")) };
    }
    if !denied.is_empty() {
        return SourceState::Denied {
            what: format!("{}; read in spite of it: {found}", denied.join(", ")),
            remedy: "run the agent as root, or let its user see this: the driver allows it to administrators only"
                .to_owned(),
        };
    }
    let words: Vec<String> = [found].into_iter().chain(worries).collect();
    SourceState::Up { found: words.join("; ") }
}

/// `2 x NVIDIA H100 80GB HBM3 (without utilization by process)` for each product that works.
fn products(readings: &[AcceleratorReading]) -> String {
    let mut products: BTreeMap<(&str, &[&'static str], usize), usize> = BTreeMap::new();
    for reading in readings.iter().filter(|reading| !matches!(reading.state, AcceleratorState::Down(_))) {
        let facts = &reading.facts;
        *products.entry((&facts.name, &facts.missing, reading.slices.len())).or_default() += 1;
    }
    let words = products.into_iter().map(|((name, missing, slices), count)| {
        let cut = if slices > 0 { format!(" in {slices} slices") } else { String::new() };
        let without = if missing.is_empty() { String::new() } else { format!(" (without {})", missing.join(", ")) };
        format!("{count} x {name}{cut}{without}")
    });
    words.collect::<Vec<_>>().join(", ")
}

fn down(reading: &AcceleratorReading) -> Option<String> {
    match reading.state {
        AcceleratorState::Down(reason) => Some(format!("{} {}", place(reading), reason.as_str())),
        AcceleratorState::Works | AcceleratorState::Degraded(_) => None,
    }
}

fn worry(reading: &AcceleratorReading) -> Option<String> {
    match &reading.state {
        AcceleratorState::Degraded(worry) => Some(format!("{}: {worry}", place(reading))),
        AcceleratorState::Works | AcceleratorState::Down(_) => None,
    }
}

/// `GPU 3 (GPU-5f1c…, 00000000:07:00.0)`.
fn place(reading: &AcceleratorReading) -> String {
    let pci = reading.facts.pci_address.as_ref().map_or_else(String::new, |address| format!(", {address}"));
    format!("GPU {} ({}{pci})", reading.facts.index, reading.device.id)
}

/// The state of the source whose library cannot be opened. `was_up` says that it could before.
pub(crate) fn of_closed(fault: &OpenFault, library: &Path, mode: Mode, was_up: bool) -> SourceState {
    let library = library.display();
    let (what, is_absence) = match fault {
        OpenFault::NoLibrary(what) => (format!("loading {library}: {what}"), true),
        OpenFault::NoDriver(what) => (format!("{library} is there, and no driver: {what}"), true),
        OpenFault::Denied(what) => {
            return SourceState::Denied {
                what: format!("opening {library}: {what}"),
                remedy: "let the agent's user open /dev/nvidiactl and /dev/nvidia*, or pass them into its container"
                    .to_owned(),
            };
        }
        OpenFault::Failed(what) => (format!("opening {library}: {what}"), false),
    };
    if is_absence && mode == Mode::Auto && !was_up {
        SourceState::Absent { looked: what }
    } else {
        SourceState::Failed { what }
    }
}
