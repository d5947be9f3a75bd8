//! Which family of server processors a machine has, from what its kernel and its cloud say.

use std::sync::LazyLock;

use wattline_core::reading::{CpuModel, Inventory};

use crate::grid::table::Table;

pub(super) const TABLE: Table = Table::new(include_str!("../../data/cpu_family.csv"));

/// The family of a processor that no rule knows.
pub(super) const UNKNOWN: &str = "unknown";

/// Power at the wall for each hardware thread of a family of servers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Family {
    /// The key of the row.
    pub(super) key: &'static str,
    /// What people call it.
    pub(super) label: &'static str,
    /// Threads of one core with simultaneous multithreading on.
    pub(super) threads_per_core: u32,
    /// Watts at active idle, median of the results.
    pub(super) idle_watts: f64,
    /// Watts at full load, median of the results.
    pub(super) full_watts: f64,
    /// Memory of the median server in gigabytes; its power is in the watts above.
    pub(super) memory_gb: f64,
    /// Which load curve fits.
    pub(super) curve: &'static str,
}

/// What the results since 2018 give when nothing is known: 0.64 W idle and 3.24 W full for each thread.
/// Source: 579 results of `SPECpower_ssj2008`.
const ANY_SERVER: Family = Family {
    key: UNKNOWN,
    label: "any server since 2018",
    threads_per_core: 2,
    idle_watts: 0.64,
    full_watts: 3.24,
    memory_gb: 1.231,
    curve: UNKNOWN,
};

pub(super) static FAMILIES: LazyLock<Vec<Family>> = LazyLock::new(|| TABLE.rows().filter_map(Family::parse).collect());

impl Family {
    fn parse(row: [&'static str; 15]) -> Option<Self> {
        let [key, label, threads, idle, idle_low, idle_high, full, full_low, full_high, memory, results, curve, ..] =
            row;
        // The percentiles document the spread and enter no figure, but a row that gets them wrong is not a row.
        for (low, middle, high) in [(idle_low, idle, idle_high), (full_low, full, full_high)] {
            if let (Ok(low), Ok(middle), Ok(high)) = (low.parse::<f64>(), middle.parse::<f64>(), high.parse::<f64>())
                && !(low <= middle && middle <= high)
            {
                return None;
            }
        }
        let _results: u32 = results.parse().ok()?;
        Some(Self {
            key,
            label,
            threads_per_core: threads.parse().ok()?,
            idle_watts: idle.parse().ok()?,
            full_watts: full.parse().ok()?,
            memory_gb: memory.parse().ok()?,
            curve,
        })
    }

    /// The row of a family, and of any server where there is none.
    pub(super) fn of(inventory: &Inventory) -> Self {
        let key = key_of(inventory).unwrap_or(UNKNOWN);
        FAMILIES.iter().find(|family| family.key == key).copied().unwrap_or(ANY_SERVER)
    }
}

fn key_of(inventory: &Inventory) -> Option<&'static str> {
    let cpu = &inventory.cpu;
    let name = cpu.name.as_deref().unwrap_or_default().to_ascii_lowercase();
    let vendor = cpu.vendor.as_deref().unwrap_or_default().to_ascii_lowercase();
    if vendor.contains("amd") || name.contains("amd ") {
        return amd(cpu, &name);
    }
    if vendor.contains("intel") || name.contains("intel") {
        return intel(cpu, &name);
    }
    let arm = inventory.arch.as_deref().is_some_and(|arch| matches!(arch, "arm64" | "aarch64"));
    (arm && server_arm(inventory, &name)).then_some("neoverse-altra")
}

/// The last of the four places of a number is the generation: 7551, 7R32, 7R13, 9R14, 9R45. A guest may show the
/// word alone or a hypervisor's model name, then family and model decide.
fn amd(cpu: &CpuModel, name: &str) -> Option<&'static str> {
    let named = !name.is_empty();
    if named && !name.contains("epyc") {
        // Ryzen and Threadripper share family numbers with EPYC, and draw otherwise.
        return None;
    }
    let after = name.split("epyc").nth(1).unwrap_or_default();
    for word in after.split([' ', '-', '(']).filter(|word| !word.is_empty()) {
        match word {
            "rome" => return Some("epyc-2"),
            "milan" => return Some("epyc-3"),
            "genoa" | "bergamo" | "siena" => return Some("epyc-4"),
            "turin" => return Some("epyc-5"),
            _ => {}
        }
        let mut places = word.chars();
        if let (Some(series @ '3'..='9'), Some(_), Some(_), Some(generation)) =
            (places.next(), places.next(), places.next(), places.next())
        {
            return match (series, generation) {
                ('7', '1') => Some("epyc-1"),
                ('7', '2') => Some("epyc-2"),
                ('7', '3') => Some("epyc-3"),
                ('8' | '9', '4') => Some("epyc-4"),
                ('8' | '9', '5') => Some("epyc-5"),
                // 3001 is embedded, 4004 and 4005 are desktop parts.
                _ => None,
            };
        }
    }
    match (cpu.family?, cpu.model?) {
        (0x17, 0x00..=0x0f) => Some("epyc-1"),
        (0x17, 0x30..=0x3f) => Some("epyc-2"),
        (0x19, 0x00..=0x0f) => Some("epyc-3"),
        (0x19, 0x10..=0x1f | 0xa0..=0xaf) => Some("epyc-4"),
        (0x1a, 0x00..=0x1f) => Some("epyc-5"),
        _ => None,
    }
}

fn intel(cpu: &CpuModel, name: &str) -> Option<&'static str> {
    let named = !name.is_empty();
    if named && !name.contains("xeon") {
        return None;
    }
    match (cpu.family, cpu.model) {
        (Some(6), Some(45)) => Some("xeon-sandy-bridge"),
        (Some(6), Some(62)) => Some("xeon-ivy-bridge"),
        (Some(6), Some(63)) => Some("xeon-haswell"),
        (Some(6), Some(79 | 86)) => Some("xeon-broadwell"),
        // One model number, told apart by the stepping, which is not read, and by the brand. Where a guest hides the
        // brand, Cascade Lake: the two families differ by 13 % at idle and 2 % at full load.
        (Some(6), Some(85)) => intel_by_brand(name).or(Some("xeon-cascade-lake")),
        (Some(6), Some(106 | 108)) => Some("xeon-ice-lake"),
        (Some(6), Some(143)) => Some("xeon-sapphire-rapids"),
        (Some(6), Some(207)) => Some("xeon-emerald-rapids"),
        (Some(6), Some(173 | 174)) => Some("xeon-granite-rapids"),
        (Some(6), Some(175)) => Some("xeon-sierra-forest"),
        // Another number is another family, whatever the brand looks like.
        (Some(_), Some(_)) => None,
        _ => intel_by_brand(name),
    }
}

/// `E5-2686 v4`, or the second place of a scalable Xeon's number: 8175M, 8259CL, 8375C, 8488C, 8592.
fn intel_by_brand(name: &str) -> Option<&'static str> {
    if name.contains("e5-") || name.contains("e7-") {
        return [("v4", "xeon-broadwell"), ("v3", "xeon-haswell"), ("v2", "xeon-ivy-bridge")]
            .into_iter()
            .find(|(version, _)| name.contains(version))
            .map(|(_, key)| key);
    }
    let scalable = ["platinum", "gold", "silver", "bronze"].iter().any(|metal| name.contains(metal));
    let number = name
        .split([' ', '-'])
        .find(|word| word.chars().count() >= 4 && word.chars().take(4).all(|place| place.is_ascii_digit()))?;
    if scalable {
        return match number.chars().nth(1)? {
            '1' => Some("xeon-skylake"),
            '2' => Some("xeon-cascade-lake"),
            '3' => Some("xeon-ice-lake"),
            '4' => Some("xeon-sapphire-rapids"),
            '5' => Some("xeon-emerald-rapids"),
            _ => None,
        };
    }
    // Xeon 6: 6980P has fast cores, 6780E efficient ones.
    match (number.chars().next()?, number.chars().nth(4)?) {
        ('6', 'p') => Some("xeon-granite-rapids"),
        ('6', 'e') => Some("xeon-sierra-forest"),
        _ => None,
    }
}

/// Part numbers of server cores: Neoverse N1, V1, N2, V2, V3 and Ampere's own. Graviton is known by its instance type
/// too. Only the N1 in Ampere's Altra has published results; the others borrow its watts for each core.
fn server_arm(inventory: &Inventory, name: &str) -> bool {
    let part = matches!(inventory.cpu.model, Some(0xd0c | 0xd40 | 0xd49 | 0xd4f | 0xd84 | 0xac3 | 0xac4));
    let named = ["neoverse", "graviton", "ampere", "altra"].iter().any(|word| name.contains(word));
    part || named || instance_family(inventory).is_some_and(|(_, letters)| letters.starts_with('g'))
}

/// True for a processor whose published watts are those of the very family, not of a relative.
pub(super) fn is_own_family(inventory: &Inventory) -> bool {
    let name = inventory.cpu.name.as_deref().unwrap_or_default().to_ascii_lowercase();
    let arm = inventory.arch.as_deref().is_some_and(|arch| matches!(arch, "arm64" | "aarch64"));
    let cloud = inventory.cloud.as_ref().is_some_and(|cloud| cloud.provider == "aws");
    !arm || (!cloud && (inventory.cpu.model == Some(0xd0c) || name.contains("altra")))
}

/// Generation and letters of an EC2 instance type: `(7, "a")` of `m7a.xlarge`.
pub(super) fn instance_family(inventory: &Inventory) -> Option<(u32, &str)> {
    let cloud = inventory.cloud.as_ref().filter(|cloud| cloud.provider == "aws")?;
    let family = cloud.instance_type.as_deref()?.split('.').next()?;
    let digits = family.trim_start_matches(|c: char| c.is_ascii_lowercase());
    let letters = digits.trim_start_matches(|c: char| c.is_ascii_digit());
    let generation = digits.strip_suffix(letters)?.parse().ok()?;
    Some((generation, letters))
}
