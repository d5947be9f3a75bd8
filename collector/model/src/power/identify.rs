//! Which family of server processors a machine has, from what its kernel and its cloud say.

use wattline_core::reading::{CpuModel, Inventory};

use super::family::ARM;

/// The family of a machine's processor, if a rule knows it.
pub(super) fn of(inventory: &Inventory) -> Option<&'static str> {
    let arm = inventory.arch.as_deref().is_some_and(|arch| matches!(arch, "arm64" | "aarch64"));
    x86(&inventory.cpu).or_else(|| (arm && server_arm(inventory, &lower(&inventory.cpu))).then_some(ARM))
}

/// The family of a processor of which only the name is known.
pub(super) fn by_name(name: &str) -> Option<&'static str> {
    let cpu = CpuModel { name: Some(name.to_owned()), ..CpuModel::default() };
    x86(&cpu).or_else(|| named_arm(&lower(&cpu)).then_some(ARM))
}

fn lower(cpu: &CpuModel) -> String {
    cpu.name.as_deref().unwrap_or_default().to_ascii_lowercase()
}

fn x86(cpu: &CpuModel) -> Option<&'static str> {
    let name = lower(cpu);
    let vendor = cpu.vendor.as_deref().unwrap_or_default().to_ascii_lowercase();
    if vendor.contains("amd") || name.contains("amd ") || name.contains("epyc") {
        return amd(cpu, &name);
    }
    if vendor.contains("intel") || name.contains("intel") || name.contains("xeon") {
        return intel(cpu, &name);
    }
    None
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
    let server = name.contains("xeon") || name.split([' ', '-']).any(|word| matches!(word, "e5" | "e7"));
    if named && !server {
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

/// `E5-2686 v4`, or the second place of a scalable Xeon's number: 8175M, 8259CL, 8375C, 8488C, 8592; or the name of the
/// generation, as hypervisors and lists of instance types write it.
fn intel_by_brand(name: &str) -> Option<&'static str> {
    if name.contains("e5-") || name.contains("e7-") {
        let version = name.split([' ', '-']).find(|word| word.len() == 2 && word.starts_with('v'));
        return match version {
            Some("v4") => Some("xeon-broadwell"),
            Some("v3") => Some("xeon-haswell"),
            Some("v2") => Some("xeon-ivy-bridge"),
            // The first E7 were another generation.
            None if name.contains("e5-") => Some("xeon-sandy-bridge"),
            _ => None,
        };
    }
    let together: String = name.chars().filter(|letter| *letter != ' ').collect();
    if let Some(key) = GENERATIONS.iter().find(|(word, _)| together.contains(word)).map(|(_, key)| *key) {
        return Some(key);
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
    part || named_arm(name) || instance_family(inventory).is_some_and(|(_, letters)| letters.starts_with('g'))
}

fn named_arm(name: &str) -> bool {
    ["neoverse", "graviton", "ampere", "altra"].iter().any(|word| name.contains(word))
}

/// Names of generations without their space.
const GENERATIONS: [(&str, &str); 10] = [
    ("sandybridge", "xeon-sandy-bridge"),
    ("ivybridge", "xeon-ivy-bridge"),
    ("haswell", "xeon-haswell"),
    ("broadwell", "xeon-broadwell"),
    ("skylake", "xeon-skylake"),
    ("cascadelake", "xeon-cascade-lake"),
    ("icelake", "xeon-ice-lake"),
    ("sapphirerapids", "xeon-sapphire-rapids"),
    ("emeraldrapids", "xeon-emerald-rapids"),
    ("graniterapids", "xeon-granite-rapids"),
];

/// True for a processor whose published watts are those of the very family, not of a relative.
pub(super) fn is_own_family(inventory: &Inventory) -> bool {
    let name = lower(&inventory.cpu);
    let arm = inventory.arch.as_deref().is_some_and(|arch| matches!(arch, "arm64" | "aarch64"));
    let cloud = inventory.cloud.as_ref().is_some_and(|cloud| cloud.provider == "aws");
    !arm || (!cloud && (inventory.cpu.model == Some(0xd0c) || name.contains("altra")))
}

/// The same for a processor of which only the key and the name are known.
pub(super) fn is_own_family_by_name(key: &str, name: Option<&str>) -> bool {
    key != ARM || name.is_some_and(|name| name.to_ascii_lowercase().contains("altra"))
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
