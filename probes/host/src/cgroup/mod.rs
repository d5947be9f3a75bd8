//! Control groups: which workloads there are and what each uses.
//!
//! A group's CPU time includes children that have ended, which is why workloads are told apart by groups and not by
//! processes. CPU time and memory are read at every tick from files that stay open, the dear files (memory.stat,
//! io.stat) in turn within a slow period, and new directories are looked for every two seconds.

mod group;
mod identity;
mod layout;
mod namespace;
mod text;
mod tree;

use std::time::Duration;

use wattline_core::reading::{Reading, Readings, SourceState};
use wattline_core::{HostRoot, Instant, Seconds};

use crate::health::{Fault, absent, counted};
use crate::kept::{self, Budget};
use group::Reader;
use layout::Layout;
use namespace::View;
use tree::Tree;

/// How long a new group may stay unknown.
const SCAN_SECONDS: f64 = 1.9;

/// How long a missing hierarchy is not looked for again.
const SEARCH_SECONDS: f64 = 60.0;

const REMEDY: &str = "control groups are readable by everybody unless a mount or a security module hides them: \
    mount /sys/fs/cgroup of the host into the agent's container";

/// The control groups of the machine.
#[derive(Debug)]
pub(crate) struct Cgroups {
    limit: usize,
    slow_period: Seconds,
    layout: Option<Layout>,
    view: View,
    tree: Tree,
    searched_at: Option<Instant>,
    scanned_at: Option<Instant>,
    scan_fault: Option<Fault>,
}

impl Cgroups {
    /// Reads at most `limit` groups, and of each the dear files once within `slow_period`.
    pub(crate) fn new(limit: usize, slow_period: Duration) -> Self {
        Self {
            limit,
            slow_period: Seconds::new(slow_period.as_secs_f64()),
            layout: None,
            view: View::default(),
            tree: Tree::default(),
            searched_at: None,
            scanned_at: None,
            scan_fault: None,
        }
    }

    /// Appends what every workload group shows and returns how it went.
    pub(crate) fn read(&mut self, root: &HostRoot, budget: &Budget, at: Instant, out: &mut Readings) -> SourceState {
        if self.layout.is_none() && self.searched_at.is_none_or(|then| at.since(then).get() >= SEARCH_SECONDS) {
            self.layout = Layout::find(root);
            self.view = View::find(root);
            self.searched_at = Some(at);
        }
        let Some(layout) = &self.layout else {
            return absent(root, "sys/fs/cgroup/{cgroup.controllers,cpuacct}");
        };
        if self.scanned_at.is_none_or(|then| at.since(then).get() >= SCAN_SECONDS) {
            let scanned = self.tree.scan(root, layout.groups(), self.limit);
            self.scan_fault = scanned.err().map(|error| Fault::reading(root, layout.groups(), &error));
            self.view.locate(root, layout, &self.tree);
            self.scanned_at = Some(at);
        }
        let mut buffer = Vec::new();
        let mut reader = Reader { root, budget, layout, at, slow_period: self.slow_period, buffer: &mut buffer };
        let mut fault = None;
        let mut gone = false;
        for (path, directory) in &mut self.tree.directories {
            let Some(group) = &mut directory.group else { continue };
            match group.read(path, &mut reader) {
                Ok(reading) => out.items.push(Reading::Cgroup(reading)),
                // It ended between two scans. Its last instants are lost with it.
                Err(error) if kept::is_gone(&error) => gone = true,
                Err(error) => {
                    fault.get_or_insert_with(|| Fault::reading(root, &format!("{}{path}", layout.groups()), &error));
                }
            }
        }
        if gone {
            self.scanned_at = None;
        }
        match fault.as_ref().or(self.scan_fault.as_ref()) {
            Some(fault) => fault.state(&self.found(layout), REMEDY),
            None => SourceState::Up { found: self.found(layout) },
        }
    }

    /// The path in the hierarchy of the groups, out of the text of `/proc/<pid>/cgroup`.
    pub(crate) fn path_of<'a>(&self, text: &'a str) -> Option<&'a str> {
        self.layout.as_ref()?.path_of(text)
    }

    /// The id of the workload group that a path of [`Cgroups::path_of`] belongs to; `None` outside any.
    pub(crate) fn resolve(&mut self, path: &str) -> Option<u64> {
        self.view.resolve(&self.tree, path)
    }

    /// Changes whenever [`Cgroups::resolve`] may give another answer.
    pub(crate) const fn generation(&self) -> u64 {
        self.tree.generation
    }

    /// Closes what is kept open and looks at everything anew at the next reading.
    pub(crate) fn reset(&mut self) {
        self.layout = None;
        self.view = View::default();
        self.tree.clear();
        self.searched_at = None;
        self.scanned_at = None;
    }

    fn found(&self, layout: &Layout) -> String {
        let groups = counted(self.tree.group_count(), "group", "groups");
        let found = format!("{} at {}, {groups}", layout.name(), layout.groups());
        if self.tree.left_out == 0 && !self.tree.cut {
            return found;
        }
        let more = if self.tree.cut { " or more" } else { "" };
        format!("{found}; {}{more} beyond max_cgroups left out", self.tree.left_out)
    }
}

#[cfg(test)]
mod tests;
