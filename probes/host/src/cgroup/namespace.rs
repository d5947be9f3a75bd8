//! What `/proc/<pid>/cgroup` means to a reader in a control group namespace of its own.
//!
//! In such a container the path of a process begins at the reader's own group: `/` is the reader itself, and what
//! runs beside it is `/../..` and the rest. The tree of the host is mounted whole all the same, so that the
//! reader's own group can be found in it by looking for the reader.

use std::collections::BTreeMap;

use wattline_core::HostRoot;

use super::layout::Layout;
use super::tree::Tree;

/// The first namespace of every Linux: `PROC_CGROUP_INIT_INO` in the kernel's `proc_ns.h`.
const WHOLE: &str = "cgroup:[4026531835]";

/// How paths are seen.
#[derive(Debug, Default)]
pub(super) struct View {
    cut: bool,
    /// Where the paths begin, once found.
    base: Option<String>,
    /// The directories among which it was not found.
    searched: Option<u64>,
    /// What was made of tails, as long as the directories stay.
    tails: BTreeMap<String, Option<u64>>,
    generation: u64,
}

impl View {
    /// Looks which namespace the reader is in.
    pub(super) fn find(root: &HostRoot) -> Self {
        let cut = root.link("proc/self/ns/cgroup").is_ok_and(|link| link.to_string_lossy() != WHOLE);
        Self { cut, ..Self::default() }
    }

    /// Looks for the reader's own group, if its paths are cut and it was not found before.
    pub(super) fn locate(&mut self, root: &HostRoot, layout: &Layout, tree: &Tree) {
        if self.cut && self.base.is_none() && self.searched != Some(tree.generation) {
            self.base = base(root, layout, tree);
            self.searched = Some(tree.generation);
        }
    }

    /// The id of the workload group that a path belongs to.
    pub(super) fn resolve(&mut self, tree: &Tree, path: &str) -> Option<u64> {
        if !self.cut {
            return nearest(tree, path);
        }
        if let Some(base) = &self.base {
            return nearest(tree, &join(base, path));
        }
        let tail = path.trim_start_matches("/..");
        if tail.len() == path.len() || tail.is_empty() {
            // A group of the reader's own, or one above it: nothing tells which.
            return None;
        }
        if self.generation != tree.generation {
            self.tails.clear();
            self.generation = tree.generation;
        }
        if let Some(known) = self.tails.get(tail) {
            return *known;
        }
        let found = by_tail(tree, tail);
        self.tails.insert(tail.to_owned(), found);
        found
    }
}

/// The workload around a path. A path that is not known, because it is new or beyond the limit, belongs to what is
/// around it.
fn nearest(tree: &Tree, path: &str) -> Option<u64> {
    let mut path = path.trim_end_matches('/');
    loop {
        if let Some(directory) = tree.directories.get(path) {
            return directory.nearest.as_ref().map(|(id, _)| *id);
        }
        path = path.rsplit_once('/')?.0;
    }
}

/// The one workload whose directories end like the path.
fn by_tail(tree: &Tree, mut tail: &str) -> Option<u64> {
    while !tail.is_empty() {
        let ending = tree.directories.iter().filter(|(path, _)| path.ends_with(tail));
        let mut ids = ending.map(|(_, directory)| directory.nearest.as_ref().map(|(id, _)| *id));
        if let Some(first) = ids.next() {
            return if ids.all(|other| other == first) { first } else { None };
        }
        tail = tail.rsplit_once('/')?.0;
    }
    None
}

/// Follows `path`, which may begin with steps upwards, from `base`.
fn join(base: &str, path: &str) -> String {
    let mut parts: Vec<&str> = base.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts.iter().flat_map(|part| ["/", part]).collect()
}

/// Where the reader's paths begin: the directory that lists the reader, less the reader's own path below it.
fn base(root: &HostRoot, layout: &Layout, tree: &Tree) -> Option<String> {
    let own_pid = root.link("proc/self").ok()?;
    let own_pid = own_pid.to_str()?;
    let text = root.read(format!("proc/{own_pid}/cgroup")).ok()?;
    let own_path = layout.path_of(&text)?.trim_end_matches('/');
    let holds_reader = |path: &&String| {
        let pids = root.read(format!("{}{path}/cgroup.procs", layout.groups())).unwrap_or_default();
        pids.lines().any(|pid| pid == own_pid)
    };
    let directory = tree.directories.keys().find(holds_reader)?;
    directory.strip_suffix(own_path).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_upwards_do_not_leave_the_root() {
        assert_eq!(join("/kubepods/pod1/agent", "/../../pod2/app"), "/kubepods/pod2/app");
        assert_eq!(join("/a", "/"), "/a");
        assert_eq!(join("/a", "/../../../b"), "/b");
        assert_eq!(join("", "/"), "");
    }
}
