//! One agent measures a machine: two would book every joule twice.

use std::fs::File;
use std::io;

use rustix::fs::{FlockOperation, flock};
use wattline_core::HostRoot;

/// The file whose lock stands for the machine. Every container that mounts the host sees the same one, reading it is
/// enough to lock it, and the kernel lets go of the lock when the process ends, however it ends.
const FILE: &str = "etc/machine-id";

/// The right to measure a machine, held until dropped.
#[derive(Debug)]
pub struct Lease {
    _file: Option<File>,
}

/// Why there is no lease.
#[derive(Debug, thiserror::Error)]
#[error(
    "another wattline measures this machine (it holds the lock of {path}); stop it, use `wattline snapshot` for a \
     look, or set host.lease = false if it measures another root"
)]
pub struct Taken {
    path: String,
}

impl Lease {
    /// Takes the lease. A machine without the file cannot be told from others; then nothing is locked.
    pub fn take(root: &HostRoot) -> Result<Self, Taken> {
        let Ok(file) = root.open(FILE) else { return Ok(Self { _file: None }) };
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(error) if io::Error::from(error).kind() == io::ErrorKind::WouldBlock => {
                Err(Taken { path: root.path(FILE).display().to_string() })
            }
            // A filesystem that cannot lock is no reason not to measure.
            _ => Ok(Self { _file: Some(file) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lease_is_refused_until_the_first_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("etc")).unwrap();
        std::fs::write(directory.path().join(FILE), "abc\n").unwrap();
        let root = HostRoot::new(directory.path());
        let first = Lease::take(&root).unwrap();
        assert!(Lease::take(&root).is_err());
        drop(first);
        assert!(Lease::take(&root).is_ok());
    }

    #[test]
    fn a_root_without_the_file_is_measured_all_the_same() {
        let directory = tempfile::tempdir().unwrap();
        assert!(Lease::take(&HostRoot::new(directory.path())).is_ok());
    }
}
