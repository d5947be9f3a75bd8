//! Block devices from `/proc/diskstats`.

use std::collections::BTreeMap;

use wattline_core::reading::{DiskReading, SourceState};
use wattline_core::{HostRoot, Reading, Readings};

use super::Config;
use super::names::{Names, Patterns};
use super::state::{counted, not_understood, unreadable};
use super::whole_file::WholeFile;

/// The kernel counts in sectors of this size, whatever the sectors of the disk are
/// (Documentation/admin-guide/iostats.rst).
const SECTOR_BYTES: u64 = 512;
/// The most devices that are told.
const LIMIT: usize = 512;

/// Reads the counters of block devices.
#[derive(Debug)]
pub(super) struct Disks {
    file: WholeFile,
    root: HostRoot,
    skip: Patterns,
    partitions: bool,
    /// Whether a device is a partition, asked once for each name.
    kinds: BTreeMap<String, bool>,
    names: Names,
}

impl Disks {
    pub(super) fn new(root: &HostRoot, config: &Config) -> Self {
        Self {
            file: WholeFile::new(root, "proc/diskstats"),
            root: root.clone(),
            skip: Patterns::new(&config.skip_disks),
            partitions: config.partitions,
            kinds: BTreeMap::new(),
            names: Names::default(),
        }
    }

    pub(super) fn read(&mut self, buffer: &mut Vec<u8>, out: &mut Readings) -> SourceState {
        let Self { file, root, skip, partitions, kinds, names } = self;
        let text = match file.read(buffer) {
            Ok(text) => text,
            Err(error) => return unreadable(&error, &file.place()),
        };
        let (mut found, mut odd_line) = (0, None);
        for (number, line) in (1..).zip(text.lines()) {
            let Some((name, counters)) = parse(line) else {
                odd_line = odd_line.or(Some(number));
                continue;
            };
            if skip.hold(name) || (!*partitions && is_partition(kinds, root, name)) {
                continue;
            }
            found += 1;
            if found <= LIMIT {
                out.items.push(Reading::Disk(DiskReading { device: names.get(name), ..counters }));
            }
        }
        match odd_line {
            Some(line) => not_understood(&file.place(), &format!("line {line} is not a row of a device")),
            None if found > LIMIT => SourceState::Up { found: format!("{LIMIT} of {found} disks, the limit") },
            None => SourceState::Up { found: counted(found, "disk", "disks") },
        }
    }
}

/// Whether `name` is a partition. A disk that comes back under the name of a partition does not happen: the names
/// of partitions are made from those of their disks.
fn is_partition(kinds: &mut BTreeMap<String, bool>, root: &HostRoot, name: &str) -> bool {
    if let Some(known) = kinds.get(name) {
        return *known;
    }
    if kinds.len() >= 4 * LIMIT {
        kinds.clear();
    }
    // sysfs writes a slash in a device's name as an exclamation mark.
    let device = format!("sys/class/block/{}", name.replace('/', "!"));
    let partition = match root.metadata(&device) {
        Ok(_) => root.metadata(format!("{device}/partition")).is_ok(),
        Err(_) => is_named_like_a_partition(name),
    };
    kinds.insert(name.to_owned(), partition);
    partition
}

/// Where sysfs cannot be asked: `sda1`, `xvda1`, `nvme0n1p1`, `mmcblk0p1`. On a machine whose root volume is
/// attached as `xvda1` without an `xvda` this is wrong, which is why sysfs is asked first.
fn is_named_like_a_partition(name: &str) -> bool {
    let stem = name.trim_end_matches(|letter: char| letter.is_ascii_digit());
    if stem.len() == name.len() {
        return false;
    }
    if let Some(disk) = stem.strip_suffix('p') {
        return disk.ends_with(|letter: char| letter.is_ascii_digit());
    }
    ["sd", "hd", "vd", "xvd"].iter().any(|kind| stem.strip_prefix(kind).is_some_and(|letters| !letters.is_empty()))
}

/// The name and the counters of one row. Kernels add columns at the end, which are not read.
fn parse(line: &str) -> Option<(&str, DiskReading)> {
    let mut words = line.split_ascii_whitespace();
    let _major: u32 = words.next()?.parse().ok()?;
    let _minor: u32 = words.next()?.parse().ok()?;
    let name = words.next()?;
    let mut columns = [0u64; 10];
    for column in &mut columns {
        *column = words.next()?.parse().ok()?;
    }
    let [reads, _, sectors_read, _, writes, _, sectors_written, _, _, io_time_ms] = columns;
    let counters = DiskReading {
        read_bytes: sectors_read.saturating_mul(SECTOR_BYTES),
        written_bytes: sectors_written.saturating_mul(SECTOR_BYTES),
        reads,
        writes,
        io_time_ms,
        ..DiskReading::default()
    };
    Some((name, counters))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sectors_have_512_bytes_and_new_columns_are_tolerated() {
        let row = " 259 0 nvme0n1 100 5 2000 30 200 6 4000 70 0 90 100 1 2 3 4 5 6 7 8";
        let (name, disk) = parse(row).unwrap();
        assert_eq!(name, "nvme0n1");
        assert_eq!((disk.read_bytes, disk.written_bytes), (1_024_000, 2_048_000));
        assert_eq!((disk.reads, disk.writes, disk.io_time_ms), (100, 200, 90));
    }

    #[test]
    fn the_short_rows_of_partitions_of_old_kernels_are_no_rows() {
        assert!(parse("3 1 hda1 35486 38030 38030 38030").is_none());
    }

    #[test]
    fn partitions_are_known_by_name_where_sysfs_is_silent() {
        for name in ["sda1", "sdaa12", "vdb3", "xvda1", "nvme0n1p1", "nvme10n1p128", "mmcblk0p2", "loop0p1"] {
            assert!(is_named_like_a_partition(name), "{name}");
        }
        for name in ["sda", "nvme0n1", "mmcblk0", "dm-0", "md127", "zram0", "xvda", "sr0", "loop0", "", "p1"] {
            assert!(!is_named_like_a_partition(name), "{name}");
        }
    }

    #[test]
    fn sysfs_knows_better_than_the_name() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["xvda1", "sdb", "odd7", "odd7/partition", "cciss!c0d0"] {
            std::fs::create_dir_all(folder.path().join("sys/class/block").join(path)).unwrap();
        }
        let root = HostRoot::new(folder.path());
        let kind = |name| is_partition(&mut BTreeMap::new(), &root, name);
        assert!(!kind("xvda1") && !kind("sdb") && !kind("cciss/c0d0") && kind("odd7") && kind("sdb1"));
    }

    proptest! {
        #[test]
        fn any_line_is_read_without_a_panic(line in "([0-9]{1,21} ){0,3}[a-z/.!]{0,6}[0-9]{0,2}( [0-9]{1,21}){0,20}\\PC{0,5}") {
            if let Some((name, _)) = parse(&line) {
                is_named_like_a_partition(name);
            }
        }
    }
}
