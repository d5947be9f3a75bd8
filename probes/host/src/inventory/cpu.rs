//! The processor, from `/proc/cpuinfo` and the topology in sysfs.

use std::collections::{BTreeMap, BTreeSet};

use wattline_core::HostRoot;
use wattline_core::reading::CpuModel;

use super::identity::line;

/// The most CPUs that are looked at. The kernel's own limit on x86 is 8192.
const CPU_LIMIT: u32 = 8192;

/// The processor as far as it can be known. `cpuinfo` is the text of `/proc/cpuinfo`.
pub(super) fn model(root: &HostRoot, cpuinfo: &str) -> CpuModel {
    let info = CpuInfo::parse(cpuinfo);
    let online = line(root, "sys/devices/system/cpu/online").and_then(|list| parse_list(&list));
    let topology = online.as_ref().map(|cpus| Topology::read(root, cpus)).unwrap_or_default();
    let listed = u32::try_from(info.processors).ok().filter(|count| *count > 0);
    let arm = info.arm_name();
    CpuModel {
        vendor: arm.map(|(vendor, _)| vendor.to_owned()).or_else(|| info.text("vendor_id")),
        name: info.text("model name").or_else(|| arm.and_then(|(_, name)| name).map(str::to_owned)),
        family: info.number("cpu family"),
        model: info.number("model").or_else(|| info.hexadecimal("CPU part")),
        logical_count: online.and_then(|cpus| u32::try_from(cpus.len()).ok()).or(listed),
        core_count: topology.cores.or_else(|| info.core_count()),
        socket_count: topology.sockets.or_else(|| info.socket_count()),
    }
}

/// What is used of `/proc/cpuinfo`.
#[derive(Debug, Default)]
struct CpuInfo<'a> {
    /// The first value under each name: all CPUs of one machine tell the same, or the first must stand for them.
    first: BTreeMap<&'a str, &'a str>,
    processors: usize,
    /// The socket and the core of each CPU.
    places: BTreeSet<(&'a str, &'a str)>,
}

impl<'a> CpuInfo<'a> {
    fn parse(text: &'a str) -> Self {
        let mut info = Self::default();
        let mut socket = "";
        for line in text.lines() {
            let Some((name, value)) = line.split_once(':') else { continue };
            let (name, value) = (name.trim(), value.trim());
            match name {
                "processor" => info.processors += 1,
                "physical id" => socket = value,
                "core id" => _ = info.places.insert((socket, value)),
                _ => {}
            }
            info.first.entry(name).or_insert(value);
        }
        info
    }

    fn text(&self, name: &str) -> Option<String> {
        self.first.get(name).filter(|value| !value.is_empty() && value.len() <= 128).map(|value| (*value).to_owned())
    }

    fn number(&self, name: &str) -> Option<u32> {
        self.first.get(name)?.parse().ok()
    }

    fn hexadecimal(&self, name: &str) -> Option<u32> {
        u32::from_str_radix(self.first.get(name)?.strip_prefix("0x")?, 16).ok()
    }

    fn core_count(&self) -> Option<u32> {
        u32::try_from(self.places.len()).ok().filter(|count| *count > 0)
    }

    fn socket_count(&self) -> Option<u32> {
        let sockets: BTreeSet<_> = self.places.iter().map(|(socket, _)| socket).collect();
        u32::try_from(sockets.len()).ok().filter(|count| *count > 0)
    }

    /// Who made an ARM processor, and the name of its cores.
    fn arm_name(&self) -> Option<(&'static str, Option<&'static str>)> {
        let implementer = self.hexadecimal("CPU implementer")?;
        let part = self.hexadecimal("CPU part");
        let vendor = implementer_name(implementer).unwrap_or("ARM implementer unknown");
        Some((vendor, part.and_then(|part| part_name(implementer, part))))
    }
}

/// The implementers of the MIDR register (Arm Architecture Reference Manual, `MIDR_EL1`).
fn implementer_name(implementer: u32) -> Option<&'static str> {
    Some(match implementer {
        0x41 => "ARM",
        0x42 => "Broadcom",
        0x43 => "Cavium",
        0x46 => "Fujitsu",
        0x48 => "HiSilicon",
        0x4e => "NVIDIA",
        0x50 => "APM",
        0x51 => "Qualcomm",
        0x61 => "Apple",
        0x6d => "Microsoft",
        0xc0 => "Ampere",
        _ => return None,
    })
}

/// Parts found in servers and in machines that people train on (Linux, arch/arm64/include/asm/cputype.h; the
/// product name that each maker gives the part).
fn part_name(implementer: u32, part: u32) -> Option<&'static str> {
    Some(match (implementer, part) {
        (0x41, 0xd03) => "Cortex-A53",
        (0x41, 0xd05) => "Cortex-A55",
        (0x41, 0xd07) => "Cortex-A57",
        (0x41, 0xd08) => "Cortex-A72",
        (0x41, 0xd0b) => "Cortex-A76",
        (0x41, 0xd0c) => "Neoverse-N1",
        (0x41, 0xd40) => "Neoverse-V1",
        (0x41, 0xd41) => "Cortex-A78",
        (0x41, 0xd42) => "Cortex-A78AE",
        (0x41, 0xd49) => "Neoverse-N2",
        (0x41, 0xd4f) => "Neoverse-V2",
        (0x41, 0xd83) => "Neoverse-V3AE",
        (0x41, 0xd84) => "Neoverse-V3",
        (0x41, 0xd8e) => "Neoverse-N3",
        (0x43, 0x0af) => "ThunderX2",
        (0x46, 0x001) => "A64FX",
        (0x48, 0xd01) => "Kunpeng-920",
        (0x4e, 0x004) => "Carmel",
        (0x4e, 0x010) => "Olympus",
        (0x6d, 0xd49) => "Azure-Cobalt-100",
        (0xc0, 0xac3) => "Ampere-1",
        (0xc0, 0xac4) => "Ampere-1a",
        _ => return None,
    })
}

/// Cores and sockets as sysfs lays them out. Only where every CPU tells; half an answer is a wrong one.
#[derive(Debug, Default)]
struct Topology {
    cores: Option<u32>,
    sockets: Option<u32>,
}

impl Topology {
    fn read(root: &HostRoot, cpus: &[u32]) -> Self {
        let distinct = |file: &str| -> Option<u32> {
            let place = |cpu: &u32| line(root, &format!("sys/devices/system/cpu/cpu{cpu}/topology/{file}"));
            // Where firmware tells nothing, ARM kernels show a package of -1.
            let told = |text: String| Some(text).filter(|text| text != "-1");
            let places = cpus.iter().map(|cpu| place(cpu).and_then(told)).collect::<Option<BTreeSet<_>>>()?;
            u32::try_from(places.len()).ok().filter(|count| *count > 0)
        };
        // Numbers of cores repeat from die to die; the set of the CPUs in a core does not. Kernels before 5.3 have
        // it under its older name.
        let cores = distinct("core_cpus_list").or_else(|| distinct("thread_siblings_list"));
        Self { cores, sockets: distinct("physical_package_id") }
    }
}

/// `0-3,8,10-11` as numbers. `None` for anything else, and for more than any kernel has.
fn parse_list(text: &str) -> Option<Vec<u32>> {
    let mut cpus = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if first > last || last >= CPU_LIMIT {
            return None;
        }
        cpus.extend(first..=last);
    }
    (cpus.len() <= CPU_LIMIT as usize).then_some(cpus)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn host(files: &[(String, &str)]) -> (tempfile::TempDir, HostRoot) {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join("sys/devices/system/cpu").join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let root = HostRoot::new(folder.path());
        (folder, root)
    }

    const EPYC: &str = "\
processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: 1
model name\t: AMD EPYC 7R13 Processor
physical id\t: 0
core id\t\t: 0
power management: ts ttp

processor\t: 1
vendor_id\t: AuthenticAMD
physical id\t: 0
core id\t\t: 0

processor\t: 2
vendor_id\t: AuthenticAMD
physical id\t: 1
core id\t\t: 0
";

    #[test]
    fn without_sysfs_cores_and_sockets_come_from_cpuinfo() {
        let (_folder, root) = host(&[]);
        let cpu = model(&root, EPYC);
        assert_eq!(cpu.vendor.as_deref(), Some("AuthenticAMD"));
        assert_eq!(cpu.name.as_deref(), Some("AMD EPYC 7R13 Processor"));
        assert_eq!((cpu.family, cpu.model), (Some(25), Some(1)));
        assert_eq!((cpu.logical_count, cpu.core_count, cpu.socket_count), (Some(3), Some(2), Some(2)));
    }

    #[test]
    fn cores_of_two_dies_with_the_same_number_are_two_cores() {
        let mut files = vec![("online".to_owned(), "0-3\n")];
        for (cpu, siblings) in [(0, "0-1\n"), (1, "0-1\n"), (2, "2-3\n"), (3, "2-3\n")] {
            files.push((format!("cpu{cpu}/topology/core_cpus_list"), siblings));
            files.push((format!("cpu{cpu}/topology/physical_package_id"), "0\n"));
        }
        let (_folder, root) = host(&files);
        let cpu = model(&root, EPYC);
        assert_eq!((cpu.logical_count, cpu.core_count, cpu.socket_count), (Some(4), Some(2), Some(1)));
    }

    #[test]
    fn arm_cores_are_known_by_their_part() {
        let (_folder, root) = host(&[]);
        let text = |implementer: &str, part: &str| {
            format!("processor\t: 0\nBogoMIPS\t: 243.75\nCPU implementer\t: {implementer}\nCPU part\t: {part}\n")
        };
        let cpu = model(&root, &text("0x41", "0xd0c"));
        assert_eq!(cpu.vendor.as_deref(), Some("ARM"));
        assert_eq!(cpu.name.as_deref(), Some("Neoverse-N1"));
        assert_eq!((cpu.family, cpu.model), (None, Some(0xd0c)));
        assert_eq!(model(&root, &text("0x41", "0xd40")).name.as_deref(), Some("Neoverse-V1"));
        assert_eq!(model(&root, &text("0x41", "0xd4f")).name.as_deref(), Some("Neoverse-V2"));
        assert_eq!(model(&root, &text("0x41", "0x123")).name, None);
        assert_eq!(model(&root, &text("0x99", "0xd0c")).vendor.as_deref(), Some("ARM implementer unknown"));
    }

    #[test]
    fn a_package_that_firmware_does_not_tell_is_not_counted() {
        let files = [("online".to_owned(), "0\n"), ("cpu0/topology/physical_package_id".to_owned(), "-1\n")];
        let (_folder, root) = host(&files);
        assert_eq!(model(&root, "").socket_count, None);
    }

    #[test]
    fn lists_of_cpus_have_ranges_and_gaps() {
        assert_eq!(parse_list("0-3,8,10-11"), Some(vec![0, 1, 2, 3, 8, 10, 11]));
        assert_eq!(parse_list("0"), Some(vec![0]));
        for odd in ["", "3-1", "0-", "a", "0-4294967295", "0,,1"] {
            assert_eq!(parse_list(odd), None, "{odd:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "(processor|core id|physical id|CPU part|CPU implementer|[:0-9a-fx ,-]|\n|\\PC){0,60}") {
            let (_folder, root) = host(&[]);
            model(&root, &text);
            parse_list(&text);
        }
    }
}
