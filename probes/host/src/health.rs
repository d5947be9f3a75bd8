//! How reading each part of the host went, as data.

use std::io;

use wattline_core::HostRoot;
use wattline_core::reading::{Reading, Readings, SourceHealth, SourceState};

use crate::printable::printable;

/// The last known state of each part.
#[derive(Debug, Default)]
pub(crate) struct Health(Vec<SourceHealth>);

impl Health {
    /// Notes the state of a part. It is pushed when it is new or another kind of state than before, or when the
    /// reason of a failure has changed: a count that moves in what was found is no news.
    pub(crate) fn note(&mut self, part: &'static str, state: SourceState, out: &mut Readings) {
        let known = self.0.iter_mut().find(|known| known.part == part);
        let news = known.as_ref().is_none_or(|known| !same_kind(&known.state, &state));
        let noted = SourceHealth { part, state };
        if news {
            out.items.push(Reading::Health(noted.clone()));
        }
        match known {
            Some(known) => *known = noted,
            None => self.0.push(noted),
        }
    }

    /// Keeps what a part has told by itself.
    pub(crate) fn remember(&mut self, told: &SourceHealth) {
        match self.0.iter_mut().find(|known| known.part == told.part) {
            Some(known) => known.clone_from(told),
            None => self.0.push(told.clone()),
        }
    }

    /// The states as they stand.
    pub(crate) fn all(&self) -> Vec<SourceHealth> {
        self.0.clone()
    }
}

fn same_kind(one: &SourceState, other: &SourceState) -> bool {
    match (one, other) {
        (SourceState::Up { .. }, SourceState::Up { .. }) | (SourceState::Absent { .. }, SourceState::Absent { .. }) => {
            true
        }
        (one, other) => one == other,
    }
}

/// A file that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// What was attempted, on which path, and how it failed.
    pub(crate) what: String,
    /// True when it is a matter of rights.
    pub(crate) denied: bool,
}

/// The state of a part that would be at `path`.
pub(crate) fn absent(root: &HostRoot, path: &str) -> SourceState {
    SourceState::Absent { looked: place(root, path) }
}

/// `3 groups`, `1 group`.
pub(crate) fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Where a path of the host is found. Users choose the names of some directories.
fn place(root: &HostRoot, path: &str) -> String {
    printable(root.path(path).as_os_str().as_encoded_bytes())
}

impl Fault {
    /// Of an attempt to read `path`.
    pub(crate) fn reading(root: &HostRoot, path: &str, error: &io::Error) -> Self {
        let denied = error.kind() == io::ErrorKind::PermissionDenied;
        Self { what: format!("reading {}: {error}", place(root, path)), denied }
    }

    /// Of a text in `path` that is not what it should be.
    pub(crate) fn text(root: &HostRoot, path: &str, expected: &str) -> Self {
        Self { what: format!("reading {}: not {expected}", place(root, path)), denied: false }
    }

    /// The state of a part of which `found` is read in spite of the fault. `remedy` is what to do about missing
    /// rights.
    pub(crate) fn state(&self, found: &str, remedy: &str) -> SourceState {
        let what =
            if found.is_empty() { self.what.clone() } else { format!("{}; read in spite of it: {found}", self.what) };
        if self.denied { SourceState::Denied { what, remedy: remedy.to_owned() } } else { SourceState::Failed { what } }
    }
}

#[cfg(test)]
mod tests {
    use wattline_core::Tick;

    use super::*;

    fn up(found: &str) -> SourceState {
        SourceState::Up { found: found.into() }
    }

    #[test]
    fn a_state_is_pushed_when_its_kind_changes_and_kept_when_its_count_does() {
        let mut health = Health::default();
        let mut out = Readings::new("host", Tick::default());
        for state in [up("1 group"), up("2 groups"), SourceState::Absent { looked: "x".into() }, up("3 groups")] {
            health.note("cgroups", state, &mut out);
        }
        let pushed: Vec<_> = out.items.iter().map(|item| format!("{item:?}")).collect();
        assert_eq!(pushed.len(), 3, "{pushed:?}");
        assert_eq!(health.all(), [SourceHealth { part: "cgroups", state: up("3 groups") }]);
    }

    #[test]
    fn missing_rights_name_the_remedy_and_other_errors_do_not() {
        let root = HostRoot::new("/host");
        let denied = Fault::reading(&root, "energy_uj", &io::ErrorKind::PermissionDenied.into());
        let SourceState::Denied { what, remedy } = denied.state("1 package", "run as root") else {
            panic!("{denied:?}")
        };
        assert!(what.contains("/host/energy_uj") && what.contains("1 package"));
        assert_eq!(remedy, "run as root");
        let broken = Fault::reading(&root, "energy_uj", &io::ErrorKind::IsADirectory.into());
        assert!(matches!(broken.state("", "run as root"), SourceState::Failed { .. }));
    }
}
