//! The directories of the hierarchy and which of them are workloads.
//!
//! Listing a control group directory means reading the names of its sixty files, so a directory is listed only when
//! its children changed. The kernel keeps the number of a directory's children in its link count: as long as that
//! stands still and no known child is gone or replaced, the children are the same. Asking each directory by its path
//! therefore finds every new group, at the price of one call per directory. (File systems that do not count links in
//! this way renew the time of the directory instead, which is compared too.)

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use wattline_core::{HostRoot, Workload};

use super::group::Group;
use super::identity::classify;
use crate::directory::subdirectories;
use crate::kept;

/// The known directories by their path below the hierarchy's mount, `""` for the mount itself.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) directories: BTreeMap<String, Directory>,
    /// Workload groups that are left out because of the limit.
    pub(super) left_out: usize,
    /// True when the limit on directories hides some.
    pub(super) cut: bool,
    /// Changes with every change of the directories.
    pub(super) generation: u64,
    groups: usize,
}

#[derive(Debug)]
pub(super) struct Directory {
    stamp: Stamp,
    /// The group, where a workload begins here.
    pub(super) group: Option<Group>,
    /// The workload that this directory belongs to, and its group's id.
    pub(super) nearest: Option<(u64, Arc<Workload>)>,
    /// A workload begins here, beyond the limit.
    left_out: bool,
}

/// What changes when a directory's children do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    links: u64,
    changed: (i64, i64),
}

impl Tree {
    /// Brings the directories up to date with those below `mount`. `limit` is the largest number of workload groups.
    /// An error says that a directory could not be looked at; the others have been.
    pub(super) fn scan(&mut self, root: &HostRoot, mount: &str, limit: usize) -> io::Result<()> {
        let mut stale = self.prune(root, mount)?;
        // The limit holds for workloads; what only holds them together is a fraction of them on any honest machine.
        let directory_limit = limit.saturating_mul(8).saturating_add(1_000);
        if self.has_room_again(limit, directory_limit) {
            self.clear();
        }
        if !self.directories.contains_key("") {
            let stamp = Stamp::of(root, mount)?;
            self.directories.insert(String::new(), Directory::plain(stamp, None));
            stale.push(String::new());
        }
        let mut hidden = None;
        while let Some(parent) = stale.pop() {
            self.generation += 1;
            let names = match subdirectories(root, &format!("{mount}{parent}")) {
                Ok(names) => names,
                Err(error) if kept::is_gone(&error) => continue,
                // What is below stays unknown until the directory can be listed; its own counters include it.
                Err(error) => {
                    self.distrust(&parent);
                    hidden.get_or_insert(error);
                    continue;
                }
            };
            for name in names {
                let path = format!("{parent}/{name}");
                if self.directories.len() >= directory_limit {
                    self.cut = true;
                } else if !self.directories.contains_key(&path)
                    && let Ok(stamp) = Stamp::of(root, &format!("{mount}{path}"))
                {
                    self.add(&parent, path.clone(), stamp, limit);
                    stale.push(path);
                }
            }
        }
        hidden.map_or(Ok(()), Err)
    }

    /// Removes what is gone or replaced, and returns the directories whose children have changed.
    fn prune(&mut self, root: &HostRoot, mount: &str) -> io::Result<Vec<String>> {
        let (mut gone, mut stale) = (Vec::new(), Vec::new());
        for (path, directory) in &mut self.directories {
            match Stamp::of(root, &format!("{mount}{path}")) {
                Ok(stamp) if stamp.inode == directory.stamp.inode => {
                    if stamp != directory.stamp {
                        directory.stamp = stamp;
                        stale.push(path.clone());
                    }
                }
                Err(error) if path.is_empty() && !kept::is_gone(&error) => return Err(error),
                _ => gone.push(path.clone()),
            }
        }
        for path in gone {
            if let Some((parent, _)) = path.rsplit_once('/') {
                stale.push(parent.to_owned());
            }
            self.remove(&path);
        }
        stale.sort_unstable();
        stale.dedup();
        stale.retain(|path| self.directories.contains_key(path));
        Ok(stale)
    }

    fn remove(&mut self, path: &str) {
        self.generation += 1;
        let below = format!("{path}/");
        let range = (Bound::Included(below.as_str()), Bound::Unbounded);
        let mut names: Vec<String> = self
            .directories
            .range::<str, _>(range)
            .map(|(name, _)| name)
            .take_while(|name| name.starts_with(&below))
            .cloned()
            .collect();
        names.push(path.to_owned());
        for name in names {
            if let Some(directory) = self.directories.remove(&name) {
                self.groups -= usize::from(directory.group.is_some());
                self.left_out -= usize::from(directory.left_out);
            }
        }
    }

    /// True when what was left out has a place again. A tenth of the limit must be free, so that a machine at the
    /// limit does not list everything anew whenever one group ends.
    fn has_room_again(&self, limit: usize, directory_limit: usize) -> bool {
        let free = |used: usize, limit: usize| used + (limit / 10).max(1) <= limit;
        (self.left_out > 0 || self.cut) && free(self.groups, limit) && free(self.directories.len(), directory_limit)
    }

    /// Makes the next scan list a directory again.
    fn distrust(&mut self, path: &str) {
        if let Some(directory) = self.directories.get_mut(path) {
            directory.stamp.links = u64::MAX;
        }
    }

    fn add(&mut self, parent: &str, path: String, stamp: Stamp, limit: usize) {
        let around = self.directories.get(parent).and_then(|parent| parent.nearest.clone());
        let mut directory = Directory::plain(stamp, around);
        let around = directory.nearest.as_ref();
        // What runs inside a workload and is no workload of its own bears the name of the workload around it.
        if let Some(workload) = classify(&path).filter(|own| around.is_none_or(|(_, around)| **around != *own)) {
            if self.groups < limit {
                let workload = Arc::new(workload);
                directory.group = Some(Group::new(stamp.inode, Arc::clone(&workload), around.map(|(id, _)| *id)));
                directory.nearest = Some((stamp.inode, workload));
                self.groups += 1;
            } else {
                directory.left_out = true;
                self.left_out += 1;
            }
        }
        self.directories.insert(path, directory);
    }

    /// Forgets all directories.
    pub(super) fn clear(&mut self) {
        *self = Self { generation: self.generation + 1, ..Self::default() };
    }

    /// How many groups are read.
    pub(super) const fn group_count(&self) -> usize {
        self.groups
    }
}

impl Directory {
    fn plain(stamp: Stamp, nearest: Option<(u64, Arc<Workload>)>) -> Self {
        Self { stamp, group: None, nearest, left_out: false }
    }
}

impl Stamp {
    fn of(root: &HostRoot, path: &str) -> io::Result<Self> {
        let found = root.metadata(path)?;
        Ok(Self { inode: found.ino(), links: found.nlink(), changed: (found.mtime(), found.mtime_nsec()) })
    }
}
