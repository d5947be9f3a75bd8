//! Readings as text that is the same on every run and every machine.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use wattline_core::reading::{Inventory, Reading, Readings};

use crate::host::FixtureHost;

/// One line for each reading, in the order in which they were read, with what differs from run to run replaced:
/// ids of control groups, which are inodes, by their order; the space of filesystems, which is that of the disk
/// under the test; the folder that the host was unpacked to.
pub fn render_readings(readings: &Readings, host: &FixtureHost) -> String {
    let mut groups = Groups::default();
    let mut text = String::new();
    for reading in &readings.items {
        let mut reading = reading.clone();
        match &mut reading {
            Reading::Cgroup(group) => {
                group.id = groups.number(group.id);
                group.inside = group.inside.map(|id| groups.number(id));
            }
            Reading::Process(process) => process.cgroup = process.cgroup.map(|id| groups.number(id)),
            Reading::Filesystem(filesystem) => {
                (filesystem.used, filesystem.free, filesystem.reserved) = (0, 0, 0);
            }
            Reading::Inventory(inventory) => {
                text.push_str(&render_inventory(inventory, host));
                continue;
            }
            _ => {}
        }
        // Writing to a text cannot fail.
        writeln!(text, "{reading:?}").ok();
    }
    without_folder(&text, host)
}

/// What the machine is, one line for each property. The architecture is that of the machine under the test.
pub fn render_inventory(inventory: &Inventory, host: &FixtureHost) -> String {
    let mut inventory = inventory.clone();
    inventory.arch = inventory.arch.map(|_| "(own)".to_owned());
    let text = serde_json::to_string_pretty(&inventory).unwrap_or_else(|error| error.to_string());
    without_folder(&format!("{text}\n"), host)
}

fn without_folder(text: &str, host: &FixtureHost) -> String {
    text.replace(&host.folder().display().to_string(), "")
}

/// Ids numbered in the order in which they are first seen.
#[derive(Default)]
struct Groups(BTreeMap<u64, u64>);

impl Groups {
    fn number(&mut self, id: u64) -> u64 {
        let next = self.0.len() as u64 + 1;
        *self.0.entry(id).or_insert(next)
    }
}
