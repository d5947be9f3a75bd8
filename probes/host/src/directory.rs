//! Listing large kernel directories without a call per entry.

use std::io;
use std::mem::MaybeUninit;

use rustix::fd::AsFd;
use rustix::fs::{FileType, RawDir, SeekFrom, seek};
use wattline_core::HostRoot;

/// The buffer for one getdents call: about five hundred processes.
const BUFFER: usize = 16 << 10;

/// Calls `see` with every name that is not hidden and its type, in the kernel's order. Names that are no UTF-8 are
/// left out.
pub(crate) fn entries(directory: impl AsFd, mut see: impl FnMut(&str, FileType)) -> io::Result<()> {
    seek(&directory, SeekFrom::Start(0))?;
    let mut buffer = [MaybeUninit::uninit(); BUFFER];
    let mut entries = RawDir::new(directory, &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        if let Ok(name) = entry.file_name().to_str()
            && !name.starts_with('.')
        {
            see(name, entry.file_type());
        }
    }
    Ok(())
}

/// The names of the directories in `path`, sorted.
pub(crate) fn subdirectories(root: &HostRoot, path: &str) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    entries(root.open(path)?, |name, kind| {
        // Some file systems do not say the type here.
        let is_directory = match kind {
            FileType::Directory => true,
            FileType::Unknown => root.metadata(format!("{path}/{name}")).is_ok_and(|found| found.is_dir()),
            _ => false,
        };
        if is_directory {
            names.push(name.to_owned());
        }
    })?;
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_directories_are_listed_however_many_there_are() {
        let dir = tempfile::tempdir().unwrap();
        for number in 0..3_000 {
            fs::create_dir(dir.path().join(format!("{number:04}.slice"))).unwrap();
        }
        fs::write(dir.path().join("cgroup.procs"), "1\n").unwrap();
        fs::create_dir(dir.path().join(".hidden")).unwrap();
        let names = subdirectories(&HostRoot::new(dir.path()), "/").unwrap();
        assert_eq!(names.len(), 3_000);
        assert!(names.is_sorted());
        assert_eq!(names.first().map(String::as_str), Some("0000.slice"));
    }

    #[test]
    fn a_directory_that_is_kept_open_is_listed_from_its_beginning_each_time() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("1")).unwrap();
        let kept = HostRoot::new(dir.path()).open("/").unwrap();
        for expected in [1, 2] {
            let mut count = 0;
            entries(&kept, |_, _| count += 1).unwrap();
            assert_eq!(count, expected);
            fs::create_dir(dir.path().join("2")).unwrap_or_default();
        }
    }
}
