//! Memory from `/proc/meminfo`, paging from `/proc/vmstat`.

use wattline_core::reading::{MemoryReading, PagingReading, SourceState};
use wattline_core::{HostRoot, Reading, Readings};

use super::state::{not_understood, of_both, unreadable};
use super::whole_file::WholeFile;

/// Reads both files.
#[derive(Debug)]
pub(super) struct Memory {
    info: WholeFile,
    paging: WholeFile,
}

impl Memory {
    pub(super) fn new(root: &HostRoot) -> Self {
        Self { info: WholeFile::new(root, "proc/meminfo"), paging: WholeFile::new(root, "proc/vmstat") }
    }

    pub(super) fn read(&mut self, buffer: &mut Vec<u8>, out: &mut Readings) -> SourceState {
        of_both(self.read_info(buffer, out), self.read_paging(buffer, out))
    }

    fn read_info(&mut self, buffer: &mut Vec<u8>, out: &mut Readings) -> SourceState {
        match self.info.read(buffer) {
            Ok(text) => match parse_info(&text) {
                Ok(memory) => {
                    out.items.push(Reading::Memory(memory));
                    SourceState::Up { found: format!("{:.1} GiB", memory.total as f64 / f64::from(1 << 30)) }
                }
                Err(missing) => not_understood(&self.info.place(), &format!("there is no {missing}")),
            },
            Err(error) => unreadable(&error, &self.info.place()),
        }
    }

    fn read_paging(&mut self, buffer: &mut Vec<u8>, out: &mut Readings) -> SourceState {
        match self.paging.read(buffer) {
            Ok(text) => {
                let paging = parse_paging(&text);
                if paging == PagingReading::default() {
                    return not_understood(&self.paging.place(), "there is none of the counters of paging");
                }
                out.items.push(Reading::Paging(paging));
                SourceState::Up { found: String::new() }
            }
            Err(error) => unreadable(&error, &self.paging.place()),
        }
    }
}

/// Fields that a machine without swap or of an old kernel does not have count nothing; without the total and the
/// free memory, which every kernel has, there is no reading.
fn parse_info(text: &str) -> Result<MemoryReading, &'static str> {
    let (mut total, mut free, mut reclaimable) = (None, None, 0);
    let mut memory = MemoryReading::default();
    for line in text.lines() {
        let Some((name, rest)) = line.split_once(':') else { continue };
        let Some(bytes) = parse_size(rest) else { continue };
        match name {
            "MemTotal" => total = Some(bytes),
            "MemFree" => free = Some(bytes),
            "MemAvailable" => memory.available = Some(bytes),
            "Buffers" => memory.buffers = bytes,
            "Cached" => memory.cached = bytes,
            "SReclaimable" => reclaimable = bytes,
            "Slab" => memory.slab = Some(bytes),
            "SwapTotal" => memory.swap_total = bytes,
            "SwapFree" => memory.swap_free = bytes,
            _ => {}
        }
    }
    memory.total = total.ok_or("MemTotal")?;
    memory.free = free.ok_or("MemFree")?;
    memory.cached = memory.cached.saturating_add(reclaimable);
    Ok(memory)
}

/// `  16314924 kB` in bytes. What the kernel calls kB is 1024 bytes.
fn parse_size(text: &str) -> Option<u64> {
    let mut words = text.split_ascii_whitespace();
    let number: u64 = words.next()?.parse().ok()?;
    match words.next() {
        Some("kB") => number.checked_mul(1024),
        Some(_) => None,
        None => Some(number),
    }
}

fn parse_paging(text: &str) -> PagingReading {
    let (mut faults, mut paging) = (None, PagingReading::default());
    for line in text.lines() {
        let Some((name, value)) = line.split_once(' ') else { continue };
        let slot = match name {
            "pgfault" => &mut faults,
            "pgmajfault" => &mut paging.major_faults,
            "pswpin" => &mut paging.swapped_in,
            "pswpout" => &mut paging.swapped_out,
            _ => continue,
        };
        *slot = value.trim().parse().ok();
    }
    // The kernel counts a major fault under both names.
    paging.minor_faults = faults.zip(paging.major_faults).map(|(all, major)| all.saturating_sub(major));
    paging
}

/// The memory that the kernel manages, in bytes, from the text of `/proc/meminfo`.
pub(crate) fn installed_bytes(info: &str) -> Option<u64> {
    let line = info.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    parse_size(line)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const INFO: &str = "\
MemTotal:       16000000 kB
MemFree:         1000000 kB
MemAvailable:    9000000 kB
Buffers:          200000 kB
Cached:          7000000 kB
SwapCached:            0 kB
SwapTotal:       2000000 kB
SwapFree:        1500000 kB
Slab:             800000 kB
SReclaimable:     500000 kB
HugePages_Total:       4
";

    #[test]
    fn kilobytes_are_1024_bytes_and_reclaimable_slab_counts_as_cached() {
        let memory = parse_info(INFO).unwrap();
        assert_eq!(memory.total, 16_384_000_000);
        assert_eq!(memory.cached, 7_500_000 * 1024);
        assert_eq!(memory.available, Some(9_000_000 * 1024));
        assert_eq!((memory.swap_total, memory.swap_free), (2_000_000 * 1024, 1_500_000 * 1024));
    }

    #[test]
    fn old_kernels_have_no_available_memory_and_it_is_not_made_up() {
        let memory = parse_info("MemTotal: 10 kB\nMemFree: 5 kB\n").unwrap();
        assert_eq!(memory.available, None);
        assert_eq!(memory.slab, None);
    }

    #[test]
    fn a_file_without_a_total_gives_nothing() {
        assert_eq!(parse_info("MemFree: 5 kB\n"), Err("MemTotal"));
        assert_eq!(parse_info("MemTotal: ten kB\nMemFree: 5 kB\n"), Err("MemTotal"));
        assert_eq!(parse_info("MemTotal: 18446744073709551615 kB\nMemFree: 5 kB\n"), Err("MemTotal"));
        assert_eq!(parse_info(""), Err("MemTotal"));
    }

    #[test]
    fn major_faults_are_not_minor_ones_as_well() {
        let paging = parse_paging("pgfault 1000\npgmajfault 10\npswpin 3\npswpout x\n");
        assert_eq!((paging.minor_faults, paging.major_faults), (Some(990), Some(10)));
        assert_eq!((paging.swapped_in, paging.swapped_out), (Some(3), None));
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "(MemTotal|MemFree|SReclaimable|pgfault|[: 0-9]|kB|\\PC|\n){0,60}") {
            parse_info(&text).ok();
            parse_paging(&text);
        }
    }
}
