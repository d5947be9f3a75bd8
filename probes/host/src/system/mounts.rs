//! Which filesystems the host's first process sees, from `mountinfo`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use procfs_core::process::MountInfo;

use super::names::Patterns;

/// Types of filesystems that have no disk of their own, and types that belong to another machine: their space is
/// not the host's, and asking for it may wait for a network for ever.
pub(super) const WITHOUT_A_DISK_OF_OURS: &[&str] = &[
    "9p",
    "afs",
    "autofs",
    "beegfs",
    "binfmt_misc",
    "bpf",
    "ceph",
    "cgroup",
    "cgroup2",
    "cifs",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "erofs",
    "fuse",
    "fuse.*",
    "fusectl",
    "glusterfs",
    "gpfs",
    "hugetlbfs",
    "iso9660",
    "lustre",
    "mqueue",
    "nfs*",
    "nsfs",
    "overlay",
    "proc",
    "pstore",
    "ramfs",
    "rootfs",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "smb*",
    "squashfs",
    "sysfs",
    "tmpfs",
    "tracefs",
    "virtiofs",
];

/// The most filesystems that are measured.
pub(super) const LIMIT: usize = 256;

/// A mounted filesystem.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mount {
    /// Where it is mounted on the host.
    pub(super) mountpoint: Arc<str>,
    /// The device, or the type where there is none.
    pub(super) device: Arc<str>,
    /// The type.
    pub(super) kind: Arc<str>,
    /// Whether it is mounted read-only.
    pub(super) read_only: bool,
}

/// The filesystems to measure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Mounts {
    /// By mount point.
    pub(super) found: Vec<Mount>,
    /// How many were left out for the limit.
    pub(super) beyond_limit: usize,
    /// The number of the first line that is not understood. It is one filesystem less, not the loss of all.
    pub(super) odd_line: Option<usize>,
}

/// Finds the filesystems to measure in the text of `mountinfo`.
///
/// Of mounts at one place the last one counts, since it covers the others. Of mounts of one device the whole one
/// counts, then the one with the shortest path: bind mounts tell the same space again.
pub(super) fn parse(text: &str, skip: &Patterns) -> Mounts {
    let mut by_place = BTreeMap::new();
    let mut odd_line = None;
    for (number, line) in (1..).zip(text.lines()) {
        match MountInfo::from_line(line) {
            Ok(info) => _ = by_place.insert(unescape(&info.mount_point.to_string_lossy()), info),
            Err(_) => odd_line = odd_line.or(Some(number)),
        }
    }
    let mut candidates: Vec<_> = by_place.into_iter().filter(|(_, info)| !skip.hold(&info.fs_type)).collect();
    candidates.sort_by_key(|(place, info)| (info.root != "/", place.len()));
    let mut devices = BTreeSet::new();
    let mut found: Vec<Mount> = candidates
        .into_iter()
        .filter(|(_, info)| devices.insert(info.majmin.clone()))
        .map(|(place, info)| Mount {
            mountpoint: place.into(),
            device: unescape(info.mount_source.as_deref().unwrap_or(&info.fs_type)).into(),
            kind: info.fs_type.as_str().into(),
            read_only: info.mount_options.contains_key("ro") || info.super_options.contains_key("ro"),
        })
        .collect();
    let beyond_limit = found.len().saturating_sub(LIMIT);
    found.truncate(LIMIT);
    found.sort();
    Mounts { found, beyond_limit, odd_line }
}

/// The kernel writes blanks and backslashes as a backslash and three octal digits.
fn unescape(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        if let Some(byte) = part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            bytes.push(byte);
            bytes.extend_from_slice(part.get(3..).unwrap_or_default().as_bytes());
        } else {
            bytes.push(b'\\');
            bytes.extend_from_slice(part.as_bytes());
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn places(text: &str) -> Vec<String> {
        let mounts = parse(text, &Patterns::new(&crate::system::Config::default().skip_filesystems));
        mounts.found.iter().map(|mount| format!("{} {} {}", mount.mountpoint, mount.device, mount.kind)).collect()
    }

    #[test]
    fn only_filesystems_on_disks_of_this_machine_are_kept() {
        let text = "\
22 1 259:1 / / rw,relatime shared:1 - ext4 /dev/root rw
23 22 0:5 / /dev rw - devtmpfs devtmpfs rw
24 22 0:21 / /proc rw - proc proc rw
25 22 0:45 / /mnt/efs rw - nfs4 fs-1.efs.us-east-1.amazonaws.com:/ rw
26 22 0:46 / /mnt/bucket rw - fuse.mountpoint-s3 bucket rw
27 22 0:47 / /run/overlay rw - overlay overlay rw
28 22 8:17 / /data ro - xfs /dev/sdb1 rw
";
        assert_eq!(places(text), ["/ /dev/root ext4", "/data /dev/sdb1 xfs"]);
    }

    #[test]
    fn bind_mounts_of_one_device_are_told_once() {
        let text = "\
30 1 8:17 /pods /pods rw - xfs /dev/sdb1 rw
31 1 8:17 / /data/long/way rw - xfs /dev/sdb1 rw
32 1 8:17 / /data/short rw - xfs /dev/sdb1 rw
";
        assert_eq!(places(text), ["/data/short /dev/sdb1 xfs"]);
    }

    #[test]
    fn the_last_mount_at_a_place_covers_the_first() {
        let text = "\
30 1 8:17 / /data rw - xfs /dev/sdb1 rw
31 1 8:33 / /data rw - ext4 /dev/sdc1 rw
32 1 8:49 / /hidden rw - ext4 /dev/sdd1 rw
33 1 0:60 / /hidden rw - nfs server:/x rw
";
        assert_eq!(places(text), ["/data /dev/sdc1 ext4"]);
    }

    #[test]
    fn blanks_in_paths_are_written_in_octal() {
        assert_eq!(places("30 1 8:17 / /my\\040disk rw - xfs /dev/a\\134b rw\n"), ["/my disk /dev/a\\b xfs"]);
        assert_eq!(unescape("a\\"), "a\\");
        assert_eq!(unescape("a\\9b\\0"), "a\\9b\\0");
    }

    #[test]
    fn a_line_that_is_not_understood_costs_one_filesystem() {
        let mounts = parse("30 1 8:17 / /data rw - xfs /dev/sdb1 rw\n31 1 8:18 / /cut rw\n\n", &Patterns::new(&[]));
        assert_eq!((mounts.found.len(), mounts.odd_line), (1, Some(2)));
    }

    #[test]
    fn read_only_is_seen_on_the_mount_and_on_the_filesystem() {
        let text = "30 1 8:1 / /a ro - xfs /dev/a rw\n31 1 8:2 / /b rw - xfs /dev/b ro\n32 1 8:3 / /c rw,errors=remount-ro - xfs /dev/c rw\n";
        let mounts = parse(text, &Patterns::new(&[]));
        assert_eq!(mounts.found.iter().map(|mount| mount.read_only).collect::<Vec<_>>(), [true, true, false]);
    }

    #[test]
    fn filesystems_beyond_the_limit_are_counted() {
        use std::fmt::Write as _;
        let text = (0..LIMIT + 7).fold(String::new(), |mut text, number| {
            writeln!(text, "{number} 1 8:{number} / /{number} rw - xfs /dev/{number} rw").unwrap();
            text
        });
        let mounts = parse(&text, &Patterns::new(&[]));
        assert_eq!((mounts.found.len(), mounts.beyond_limit), (LIMIT, 7));
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "([0-9]{1,9} |/|\\\\[0-9]{0,3}|rw|ro|,|=|:| - |shared:|\n|\\PC){0,60}") {
            parse(&text, &Patterns::new(&[]));
            unescape(&text);
        }
    }
}
