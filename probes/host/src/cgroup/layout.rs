//! Where the machine keeps its control groups.

use wattline_core::HostRoot;

const MOUNT: &str = "sys/fs/cgroup";

/// The hierarchies that counters are read from, as paths on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// One hierarchy for everything.
    Unified {
        /// Where it is mounted.
        mount: String,
    },
    /// A hierarchy per controller. Groups are those of `cpuacct`; the others are looked up by the same path.
    Split {
        /// CPU time, which `cpu` may be mounted together with.
        cpuacct: String,
        /// CPU quotas.
        cpu: Option<String>,
        /// Memory.
        memory: Option<String>,
        /// Block devices.
        blkio: Option<String>,
    },
}

impl Layout {
    /// Looks where a distribution mounts them. A hybrid machine has version 1 with its controllers, and version 2
    /// beside it without any: then version 1 counts. `None` without CPU accounting anywhere.
    pub(super) fn find(root: &HostRoot) -> Option<Self> {
        let is_unified = |mount: &str| root.metadata(format!("{mount}/cgroup.controllers")).is_ok();
        if is_unified(MOUNT) {
            return Some(Self::Unified { mount: MOUNT.to_owned() });
        }
        let first = |names: &[&str], file: &str| {
            let mut mounts = names.iter().map(|name| format!("{MOUNT}/{name}"));
            mounts.find(|mount| root.metadata(format!("{mount}/{file}")).is_ok())
        };
        let together = ["cpu,cpuacct", "cpuacct,cpu"];
        if let Some(cpuacct) = first(&["cpuacct", together[0], together[1]], "cpuacct.usage") {
            return Some(Self::Split {
                cpuacct,
                cpu: first(&["cpu", together[0], together[1]], "tasks"),
                memory: first(&["memory"], "tasks"),
                blkio: first(&["blkio"], "tasks"),
            });
        }
        // CPU time is accounted on version 2 even where no controller is.
        let mount = format!("{MOUNT}/unified");
        is_unified(&mount).then_some(Self::Unified { mount })
    }

    /// The hierarchy whose directories are the groups.
    pub(super) fn groups(&self) -> &str {
        match self {
            Self::Unified { mount } => mount,
            Self::Split { cpuacct, .. } => cpuacct,
        }
    }

    /// The path of a process in the hierarchy of the groups, out of `/proc/<pid>/cgroup`. A path that was removed
    /// meanwhile is followed by a word that says so.
    pub(super) fn path_of<'a>(&self, text: &'a str) -> Option<&'a str> {
        let path = text.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':');
            let (number, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
            let fits = match self {
                Self::Unified { .. } => number == "0" && controllers.is_empty(),
                Self::Split { .. } => controllers.split(',').any(|controller| controller == "cpuacct"),
            };
            fits.then_some(path)
        })?;
        Some(path.strip_suffix(" (deleted)").unwrap_or(path))
    }

    /// The word for `doctor`.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Unified { .. } => "cgroup v2",
            Self::Split { .. } => "cgroup v1",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn machine(files: &[&str]) -> (tempfile::TempDir, HostRoot) {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join("sys/fs/cgroup").join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let root = HostRoot::new(dir.path());
        (dir, root)
    }

    fn found(files: &[&str]) -> Option<Layout> {
        let (_dir, root) = machine(files);
        Layout::find(&root)
    }

    #[test]
    fn version_2_is_known_by_its_controllers_at_the_mount_itself() {
        assert_eq!(found(&["cgroup.controllers"]), Some(Layout::Unified { mount: MOUNT.into() }));
        assert_eq!(found(&[]), None);
    }

    #[test]
    fn a_hybrid_machine_counts_by_version_1() {
        let layout =
            found(&["unified/cgroup.controllers", "cpu,cpuacct/cpuacct.usage", "cpu,cpuacct/tasks", "memory/tasks"]);
        let both = "sys/fs/cgroup/cpu,cpuacct".to_owned();
        let memory = Some("sys/fs/cgroup/memory".to_owned());
        assert_eq!(layout, Some(Layout::Split { cpuacct: both.clone(), cpu: Some(both), memory, blkio: None }));
    }

    #[test]
    fn version_2_beside_an_empty_version_1_still_counts_cpu_time() {
        let layout = found(&["unified/cgroup.controllers", "memory/tasks"]);
        assert_eq!(layout, Some(Layout::Unified { mount: "sys/fs/cgroup/unified".into() }));
    }

    #[test]
    fn the_path_of_a_process_is_that_in_the_hierarchy_of_the_groups() {
        let text = "9:name=systemd:/a\n4:memory:/m\n2:cpu,cpuacct:/c:d\n0::/u.service (deleted)\n";
        let unified = Layout::Unified { mount: MOUNT.into() };
        let split = Layout::Split { cpuacct: "x".into(), cpu: None, memory: None, blkio: None };
        assert_eq!(unified.path_of(text), Some("/u.service"));
        assert_eq!(split.path_of(text), Some("/c:d"));
        assert_eq!(split.path_of("0::/\ngarbage\n:\n"), None);
    }
}
