//! Files that are opened once and read again and again.
//!
//! A read of a kept descriptor costs a third of opening, reading and closing, and a descriptor speaks of one
//! process or one control group only: when that is gone the kernel says so, and never shows its successor.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use wattline_core::HostRoot;

/// The most that is read of one kept file. The longest honest one is the io.stat of a group on a machine with
/// thousands of disks.
const LIMIT: usize = 1 << 20;

/// Descriptors that are left to the rest of the agent.
const RESERVE: u64 = 512;

/// The soft limit is not raised beyond this, because nothing here needs more.
const CEILING: u64 = 65_536;

/// How many descriptors may still be kept. Clones share the count.
#[derive(Clone, Debug)]
pub(crate) struct Budget(Arc<AtomicUsize>);

impl Budget {
    /// Raises the soft limit on open files to the hard one, and takes what is left beside a reserve for the rest
    /// of the agent. systemd starts a service with a soft limit of 1024, less than a busy machine has processes.
    pub(crate) fn of_this_process() -> Self {
        let limit = getrlimit(Resource::Nofile);
        let soft = limit.current.unwrap_or(CEILING);
        let wanted = limit.maximum.unwrap_or(CEILING).min(CEILING);
        let raised = Rlimit { current: Some(wanted), maximum: limit.maximum };
        let usable = if wanted > soft && setrlimit(Resource::Nofile, raised).is_ok() { wanted } else { soft };
        Self::new(usize::try_from(usable.min(CEILING).saturating_sub(RESERVE)).unwrap_or(0))
    }

    /// A budget of `count` descriptors.
    pub(crate) fn new(count: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(count)))
    }

    fn lease(&self) -> Option<Lease> {
        let take = |left: usize| left.checked_sub(1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).ok().map(|_| Lease(Arc::clone(&self.0)))
    }
}

/// One descriptor of the budget, given back when dropped.
#[derive(Debug)]
struct Lease(Arc<AtomicUsize>);

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A file that stays open as long as the budget allows. Without a descriptor it is opened for each read.
#[derive(Debug, Default)]
pub(crate) struct KeptFile(Option<(File, Lease)>);

impl KeptFile {
    /// Reads the whole file into `buffer`, which is emptied first. `path` is asked for only when the file has to be
    /// opened. After an error the descriptor is closed, so that the next read opens the path anew.
    pub(crate) fn read(
        &mut self,
        root: &HostRoot,
        budget: &Budget,
        path: impl FnOnce() -> String,
        buffer: &mut Vec<u8>,
    ) -> io::Result<()> {
        if let Some((file, _)) = &self.0 {
            let result = read_whole(file, buffer);
            if result.is_err() {
                self.0 = None;
            }
            return result;
        }
        let file = root.open(path())?;
        read_whole(&file, buffer)?;
        self.0 = budget.lease().map(|lease| (file, lease));
        Ok(())
    }

    /// True when a descriptor is kept.
    #[cfg(test)]
    pub(crate) const fn is_open(&self) -> bool {
        self.0.is_some()
    }

    /// Closes the descriptor.
    pub(crate) fn close(&mut self) {
        self.0 = None;
    }
}

/// Reads a file from its beginning in one call, because the kernel makes the text anew for each: two calls would
/// show two moments. A text that does not fit is read again into a larger buffer.
fn read_whole(file: &File, buffer: &mut Vec<u8>) -> io::Result<()> {
    let mut room = buffer.capacity().max(1024);
    loop {
        buffer.resize(room, 0);
        let length = match file.read_at(buffer, 0) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other.inspect_err(|_| buffer.clear())?,
        };
        if length < room || room >= LIMIT {
            buffer.truncate(length);
            return Ok(());
        }
        room *= 2;
    }
}

/// True when the error says that what the file spoke of is gone: the process has been reaped, the group removed,
/// the device unplugged.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || matches!(Errno::from_io_error(error), Some(Errno::NODEV | Errno::SRCH | Errno::NXIO))
}

/// The number that makes up a file, white space around it allowed. `None` for anything else, a number beyond `u64`
/// included.
pub(crate) fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text.trim_ascii()).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_kept_file_shows_what_was_written_since() {
        let dir = tempfile::tempdir().unwrap();
        let root = HostRoot::new(dir.path());
        let budget = Budget::new(1);
        let (mut file, mut buffer) = (KeptFile::default(), Vec::new());
        for text in ["12345\n", "7\n"] {
            fs::write(dir.path().join("energy_uj"), text).unwrap();
            file.read(&root, &budget, || "energy_uj".into(), &mut buffer).unwrap();
            assert_eq!(buffer, text.as_bytes());
            assert!(file.is_open());
        }
    }

    #[test]
    fn a_text_longer_than_the_buffer_is_read_whole() {
        let dir = tempfile::tempdir().unwrap();
        let text = "8:0 rbytes=1 wbytes=2\n".repeat(5_000);
        fs::write(dir.path().join("io.stat"), &text).unwrap();
        let mut buffer = Vec::new();
        let mut file = KeptFile::default();
        file.read(&HostRoot::new(dir.path()), &Budget::new(0), || "io.stat".into(), &mut buffer).unwrap();
        assert_eq!(buffer, text.as_bytes());
    }

    #[test]
    fn a_spent_budget_still_reads_and_a_closed_file_gives_its_share_back() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), "1").unwrap();
        let root = HostRoot::new(dir.path());
        let budget = Budget::new(1);
        let mut buffer = Vec::new();
        let (mut first, mut second) = (KeptFile::default(), KeptFile::default());
        first.read(&root, &budget, || "a".into(), &mut buffer).unwrap();
        second.read(&root, &budget, || "a".into(), &mut buffer).unwrap();
        assert!(first.is_open() && !second.is_open());
        assert_eq!(buffer, b"1");
        first.close();
        second.read(&root, &budget, || "a".into(), &mut buffer).unwrap();
        assert!(second.is_open());
    }

    #[test]
    fn errors_of_things_that_ended_are_told_from_errors_of_reading() {
        for errno in [Errno::NODEV, Errno::SRCH, Errno::NOENT] {
            assert!(is_gone(&errno.into()));
        }
        for errno in [Errno::ACCESS, Errno::ISDIR, Errno::IO, Errno::MFILE] {
            assert!(!is_gone(&errno.into()));
        }
    }

    #[test]
    fn only_whole_numbers_are_numbers() {
        assert_eq!(number(b" 42\n"), Some(42));
        for text in [&b""[..], b"\n", b"-1", b"12 13", b"0x10", b"99999999999999999999999", b"\xff"] {
            assert_eq!(number(text), None);
        }
    }
}
