//! The only door to the host's files.

use std::fs::{self, File};
use std::io;
use std::path::{Component, Path, PathBuf};

/// The directory under which `/proc`, `/sys` and the rest of the measured host are found: `/` on the host itself,
/// `/host` in a container that mounts the host there, a temporary directory in a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostRoot {
    root: PathBuf,
}

/// The most that is read of one file. The largest honest one is `/proc/stat` of a machine with thousands of CPUs.
const FILE_LIMIT: u64 = 16 << 20;

impl HostRoot {
    /// A root. It need not exist: every read says what is missing.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// True when the measured host is the one this process runs on, so that `/proc/self` and system calls speak of it.
    pub fn is_own(&self) -> bool {
        self.root == Path::new("/")
    }

    /// Where `path` of the host is found. `path` is relative or absolute on the host; `..` does not leave the root.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let mut found = self.root.clone();
        for part in path.as_ref().components() {
            match part {
                Component::Normal(name) => found.push(name),
                Component::ParentDir if found != self.root => {
                    found.pop();
                }
                _ => {}
            }
        }
        found
    }

    /// The file of process 1 or of this process: under a foreign root `proc/self` would be the reader's own
    /// namespaces, so the host's first process stands for the host.
    pub fn of_host_process(&self, file: &str) -> String {
        if self.is_own() { format!("proc/self/{file}") } else { format!("proc/1/{file}") }
    }

    /// The whole text of a file. Invalid UTF-8 is replaced, not refused: comm lines hold what users like.
    pub fn read(&self, path: impl AsRef<Path>) -> io::Result<String> {
        let mut bytes = Vec::new();
        self.read_into(path, &mut bytes)?;
        Ok(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    /// Reads a file into a buffer that is emptied first.
    pub fn read_into(&self, path: impl AsRef<Path>, buffer: &mut Vec<u8>) -> io::Result<()> {
        use std::io::Read;
        buffer.clear();
        self.open(path)?.take(FILE_LIMIT).read_to_end(buffer)?;
        Ok(())
    }

    /// Opens a file for reading, to keep.
    #[expect(clippy::disallowed_methods, reason = "this is the door")]
    pub fn open(&self, path: impl AsRef<Path>) -> io::Result<File> {
        File::open(self.path(path))
    }

    /// The names in a directory, sorted, so that nothing depends on the order of the disk. Names that are not
    /// UTF-8 are left out: no kernel file has one.
    #[expect(clippy::disallowed_methods, reason = "this is the door")]
    pub fn list(&self, path: impl AsRef<Path>) -> io::Result<Vec<String>> {
        let mut names: Vec<String> =
            fs::read_dir(self.path(path))?.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// The type, inode and times of a file, links followed.
    #[expect(clippy::disallowed_methods, reason = "this is the door")]
    pub fn metadata(&self, path: impl AsRef<Path>) -> io::Result<fs::Metadata> {
        fs::metadata(self.path(path))
    }

    /// Where a link points, unresolved.
    #[expect(clippy::disallowed_methods, reason = "this is the door")]
    pub fn link(&self, path: impl AsRef<Path>) -> io::Result<PathBuf> {
        fs::read_link(self.path(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_below_the_root() {
        let root = HostRoot::new("/host");
        assert_eq!(root.path("/proc/stat"), Path::new("/host/proc/stat"));
        assert_eq!(root.path("sys/../../../etc/shadow"), Path::new("/host/etc/shadow"));
        assert_eq!(root.of_host_process("mountinfo"), "proc/1/mountinfo");
        assert_eq!(HostRoot::new("/").of_host_process("mountinfo"), "proc/self/mountinfo");
    }
}
