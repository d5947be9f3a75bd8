//! How reading a part of the machine went.

use std::io;

use rustix::io::Errno;
use wattline_core::reading::SourceState;

/// What an error on opening or reading the file at `place` says about the part.
pub(super) fn unreadable(error: &io::Error, place: &str) -> SourceState {
    // Pressure files of a kernel that was started without `psi=1` exist and cannot be read.
    if error.raw_os_error() == Some(Errno::OPNOTSUPP.raw_os_error()) {
        return SourceState::Absent { looked: format!("{place} (the kernel has it switched off)") };
    }
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => SourceState::Absent { looked: place.to_owned() },
        io::ErrorKind::PermissionDenied => SourceState::Denied {
            what: format!("reading {place}"),
            remedy: "run as root, or grant CAP_DAC_READ_SEARCH and CAP_SYS_PTRACE".to_owned(),
        },
        _ => SourceState::Failed { what: format!("reading {place}: {error}") },
    }
}

/// A file that was read and not understood.
pub(super) fn not_understood(place: &str, why: &str) -> SourceState {
    SourceState::Failed { what: format!("understanding {place}: {why}") }
}

/// The state of a part that is read from two files: that of the one which is not up, the first if neither is.
pub(super) fn of_both(first: SourceState, second: SourceState) -> SourceState {
    if matches!(first, SourceState::Up { .. }) && !matches!(second, SourceState::Up { .. }) { second } else { first }
}

/// `3 disks`, `1 disk`.
pub(super) fn counted(count: usize, one: &str, many: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {many}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_error_decides_what_to_do() {
        let state = |errno: Errno| unreadable(&errno.into(), "/proc/x");
        assert!(matches!(state(Errno::NOENT), SourceState::Absent { .. }));
        assert!(matches!(state(Errno::NOTDIR), SourceState::Absent { .. }));
        assert!(matches!(state(Errno::OPNOTSUPP), SourceState::Absent { looked } if looked.contains("switched off")));
        assert!(matches!(state(Errno::ACCESS), SourceState::Denied { what, .. } if what.contains("/proc/x")));
        assert!(matches!(state(Errno::IO), SourceState::Failed { what } if what.contains("/proc/x")));
    }

    #[test]
    fn the_first_trouble_of_two_is_told() {
        let up = || SourceState::Up { found: "two".into() };
        let failed = |what: &str| SourceState::Failed { what: what.into() };
        assert_eq!(of_both(up(), SourceState::Up { found: String::new() }), up());
        assert_eq!(of_both(up(), failed("b")), failed("b"));
        assert_eq!(of_both(failed("a"), failed("b")), failed("a"));
    }
}
