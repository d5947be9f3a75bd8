use std::fs;

use wattline_core::Workload;
use wattline_core::reading::CgroupReading;

use super::*;
use crate::machine::{Machine, groups, readings, second};

const DOCKER: &str = "/system.slice/docker-a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1.scope";

struct Fixture {
    machine: Machine,
    budget: Budget,
    cgroups: Cgroups,
}

impl Fixture {
    fn new(limit: usize) -> Self {
        Self {
            machine: Machine::new(),
            budget: Budget::new(1_000),
            cgroups: Cgroups::new(limit, Duration::from_secs(10)),
        }
    }

    fn read(&mut self, at: u64) -> (Vec<CgroupReading>, SourceState) {
        let mut out = readings(second(at));
        let state = self.cgroups.read(&self.machine.root, &self.budget, second(at), &mut out);
        (groups(&out).into_iter().cloned().collect(), state)
    }

    fn names(&mut self, at: u64) -> Vec<String> {
        self.read(at).0.iter().map(|group| group.workload.to_string()).collect()
    }
}

#[test]
fn workloads_are_read_where_they_begin_and_know_what_is_around_them() {
    let mut fixture = Fixture::new(100);
    fixture
        .machine
        .unified()
        .group("/system.slice", 1)
        .group("/system.slice/ssh.service", 2)
        .group(DOCKER, 3)
        .group(&format!("{DOCKER}/init.scope"), 4)
        .group("/user.slice/user-1000.slice/user@1000.service", 5)
        .group("/user.slice/user-1000.slice/user@1000.service/app.slice/run.scope", 6);
    let (found, state) = fixture.read(1);
    let shown: Vec<_> = found.iter().map(|group| (group.workload.to_string(), group.cpu_ns)).collect();
    let expected =
        [("docker a1a1a1a1a1a1", 3_000), ("ssh.service", 2_000), ("user@1000.service", 5_000), ("run.scope", 6_000)];
    assert_eq!(shown, expected.map(|(name, ns)| (name.to_owned(), ns)));
    assert_eq!(found[3].inside, Some(found[2].id));
    assert!(found[..3].iter().all(|group| group.inside.is_none()));
    assert_eq!(state, SourceState::Up { found: "cgroup v2 at sys/fs/cgroup, 4 groups".into() });
}

#[test]
fn version_2_counters_come_in_nanoseconds_and_bytes() {
    let mut fixture = Fixture::new(100);
    fixture.machine.unified().group("/a.service", 1_234);
    let (found, _) = fixture.read(1);
    let id = found[0].id;
    let expected = CgroupReading {
        id,
        workload: Workload::Unit("a.service".to_owned().into()).into(),
        inside: None,
        cpu_ns: 1_234_000,
        cpu_user_ns: Some(3_000),
        cpu_system_ns: Some(4_000),
        throttled_ns: Some(5_000),
        memory_bytes: Some(1_048_576),
        working_set_bytes: Some(524_288),
        read_bytes: Some(11),
        written_bytes: Some(22),
    };
    assert_eq!(found, [expected]);
}

#[test]
fn cpu_and_memory_are_read_at_every_tick_and_the_dear_files_once_in_a_period() {
    let mut fixture = Fixture::new(100);
    fixture.machine.unified().group("/a.service", 1);
    let mut io_seen = Vec::new();
    for at in 1..=60 {
        fixture
            .machine
            .group("/a.service", at)
            .write("sys/fs/cgroup/a.service/memory.current", format!("{}\n", 600_000 + at));
        let (found, _) = fixture.read(at);
        assert_eq!(found[0].cpu_ns, at * 1_000);
        assert_eq!(found[0].working_set_bytes, Some(600_000 + at - 524_288));
        io_seen.extend(found[0].read_bytes.map(|_| at));
    }
    assert_eq!(io_seen[0], 1);
    assert!(io_seen.windows(2).all(|pair| pair[1] - pair[0] <= 10), "{io_seen:?}");
    assert!((6..=7).contains(&io_seen.len()), "{io_seen:?}");
}

#[test]
fn without_the_memory_controller_memory_is_unknown_and_not_zero() {
    let mut fixture = Fixture::new(100);
    fixture.machine.unified().write("sys/fs/cgroup/a.service/cpu.stat", "usage_usec 9\n");
    let (found, state) = fixture.read(1);
    assert_eq!((found[0].cpu_ns, found[0].memory_bytes, found[0].working_set_bytes), (9_000, None, None));
    assert_eq!((found[0].cpu_user_ns, found[0].read_bytes), (None, None));
    assert!(matches!(state, SourceState::Up { .. }));
}

/// Version 1 with `cpu` and `cpuacct` mounted together, and an empty version 2 beside it.
fn hybrid(machine: &Machine) {
    let group = |hierarchy: &str, file: &str| format!("sys/fs/cgroup/{hierarchy}{DOCKER}/{file}");
    machine
        .write("sys/fs/cgroup/unified/cgroup.controllers", "")
        .write("sys/fs/cgroup/unified/ghost.service/cpu.stat", "usage_usec 1\n")
        .write("sys/fs/cgroup/cpu,cpuacct/cpuacct.usage", "77\n")
        .write("sys/fs/cgroup/cpu,cpuacct/tasks", "")
        .write("sys/fs/cgroup/memory/tasks", "")
        .write("sys/fs/cgroup/blkio/tasks", "")
        .write(&group("cpu,cpuacct", "cpuacct.usage"), "123456789\n")
        .write(&group("cpu,cpuacct", "cpu.stat"), "nr_periods 1\nnr_throttled 1\nthrottled_time 42\n")
        .write(&group("memory", "memory.usage_in_bytes"), "1000\n")
        .write(&group("memory", "memory.stat"), "inactive_file 1\ntotal_inactive_file 300\n")
        .write(&group("blkio", "blkio.throttle.io_service_bytes"), "8:0 Read 5\n8:0 Write 6\nTotal 11\n");
}

#[test]
fn a_hybrid_machine_is_read_from_version_1() {
    let mut fixture = Fixture::new(100);
    hybrid(&fixture.machine);
    let (found, state) = fixture.read(1);
    assert_eq!(found.len(), 1);
    let group = &found[0];
    assert_eq!((group.cpu_ns, group.cpu_user_ns, group.throttled_ns), (123_456_789, None, Some(42)));
    assert_eq!((group.memory_bytes, group.working_set_bytes), (Some(1_000), Some(700)));
    assert_eq!((group.read_bytes, group.written_bytes), (Some(5), Some(6)));
    assert_eq!(state, SourceState::Up { found: "cgroup v1 at sys/fs/cgroup/cpu,cpuacct, 1 group".into() });
    assert_eq!(fixture.cgroups.path_of("2:cpu,cpuacct:/x\n0::/y\n"), Some("/x"));
    // What is counted below a group belongs to it on this kernel too.
    let recursive = format!("sys/fs/cgroup/blkio{DOCKER}/blkio.throttle.io_service_bytes_recursive");
    fixture.machine.write(&recursive, "8:0 Read 50\n8:0 Write 60\n");
    let later: Vec<_> = (2..=12).filter_map(|at| fixture.read(at).0[0].read_bytes).collect();
    assert!(!later.is_empty() && later.iter().all(|&bytes| bytes == 50), "{later:?}");
}

#[test]
fn new_groups_are_found_and_ended_ones_forgotten_within_two_seconds() {
    let mut fixture = Fixture::new(100);
    fixture.machine.unified().group("/system.slice/a.service", 1);
    assert_eq!(fixture.names(10), ["a.service"]);
    fixture.machine.group("/system.slice/b.service", 1).group(DOCKER, 1).group("/new.slice/deep.slice/c.scope", 1);
    assert_eq!(fixture.names(11), ["a.service"]);
    assert_eq!(fixture.names(12), ["c.scope", "a.service", "b.service", "docker a1a1a1a1a1a1"]);
    fixture.machine.remove("sys/fs/cgroup/system.slice/a.service").remove("sys/fs/cgroup/new.slice");
    let (found, state) = fixture.read(14);
    assert_eq!(found.len(), 2);
    assert!(matches!(state, SourceState::Up { .. }), "{state:?}");
}

#[test]
fn a_group_made_again_under_the_same_path_is_another() {
    let mut fixture = Fixture::new(100);
    fixture.machine.unified().group("/a.service", 1_000);
    let before = fixture.read(1).0[0].id;
    // The old directory is kept aside, so that the file system cannot give its inode to the new one.
    fs::rename(fixture.machine.at("sys/fs/cgroup/a.service"), fixture.machine.at("aside")).unwrap();
    fixture.machine.group("/a.service", 5);
    let (found, _) = fixture.read(3);
    assert_eq!(found.len(), 1);
    assert_ne!(found[0].id, before);
    assert_eq!(found[0].cpu_ns, 5_000);
}

#[test]
fn groups_beyond_the_limit_are_counted_and_belong_to_what_is_around_them() {
    let mut fixture = Fixture::new(2);
    fixture.machine.unified().group("/a.service", 1).group("/a.service/b.scope", 1).group("/a.service/c.scope", 1);
    let (found, state) = fixture.read(1);
    assert_eq!(found.len(), 2);
    assert_eq!(
        state,
        SourceState::Up { found: "cgroup v2 at sys/fs/cgroup, 2 groups; 1 beyond max_cgroups left out".into() }
    );
    let ids: Vec<_> =
        ["/a.service", "/a.service/b.scope", "/a.service/c.scope"].map(|path| fixture.cgroups.resolve(path)).to_vec();
    assert_eq!(ids, [Some(found[0].id), Some(found[1].id), Some(found[0].id)]);
    fixture.machine.remove("sys/fs/cgroup/a.service/b.scope");
    assert_eq!(fixture.names(3), ["a.service", "c.scope"]);
}

#[test]
fn a_broken_group_is_reported_and_the_others_go_on() {
    let mut fixture = Fixture::new(100);
    fixture.machine.unified().group("/a.service", 1).write("sys/fs/cgroup/b.service/cpu.stat", "usage_usec many\n");
    fs::create_dir_all(fixture.machine.at("sys/fs/cgroup/c.service/cpu.stat")).unwrap();
    let (found, state) = fixture.read(1);
    assert_eq!(found.len(), 1);
    let SourceState::Failed { what } = state else { panic!("{state:?}") };
    assert!(what.contains("/b.service") && what.contains("3 groups"), "{what}");
}

#[test]
fn paths_of_processes_lead_to_the_nearest_workload() {
    let mut fixture = Fixture::new(100);
    fixture
        .machine
        .unified()
        .group("/system.slice/a.service", 1)
        .group("/system.slice/a.service/inner", 1)
        .group("/empty.slice", 1);
    let id = fixture.read(1).0.first().map(|group| group.id);
    assert!(id.is_some());
    for (path, expected) in [
        ("/system.slice/a.service", id),
        ("/system.slice/a.service/inner", id),
        ("/system.slice/a.service/not/known/yet", id),
        ("/empty.slice", None),
        ("/nowhere", None),
        ("/", None),
        ("", None),
    ] {
        assert_eq!(fixture.cgroups.resolve(path), expected, "{path}");
    }
}

#[test]
fn a_reader_in_a_namespace_of_its_own_finds_itself_and_what_runs_beside_it() {
    let mut fixture = Fixture::new(100);
    fixture
        .machine
        .unified()
        .group("/pods.slice/agent.scope", 1)
        .write("sys/fs/cgroup/pods.slice/agent.scope/cgroup.procs", "5\n77\n")
        .group("/pods.slice/app.scope", 1)
        .group("/pods.slice/app.scope/inner", 1)
        .link("proc/self", "77")
        .link("proc/77/ns/cgroup", "cgroup:[4026532999]")
        .write("proc/77/cgroup", "0::/\n");
    let (found, _) = fixture.read(1);
    assert_eq!(found.len(), 2);
    assert_eq!(fixture.cgroups.resolve("/"), Some(found[0].id));
    assert_eq!(fixture.cgroups.resolve("/inner"), Some(found[0].id));
    assert_eq!(fixture.cgroups.resolve("/../app.scope/inner"), Some(found[1].id));
    assert_eq!(fixture.cgroups.resolve("/../.."), None);
}

#[test]
fn a_reader_that_cannot_find_itself_goes_by_the_tails_of_paths() {
    let mut fixture = Fixture::new(100);
    fixture
        .machine
        .unified()
        .group("/pods.slice/app.scope", 1)
        .group("/pods.slice/app.scope/inner", 1)
        .group("/pods.slice/one.slice/twin.service", 1)
        .group("/pods.slice/two.slice/twin.service", 1)
        .link("proc/self", "77")
        .link("proc/77/ns/cgroup", "cgroup:[4026532999]");
    let (found, _) = fixture.read(1);
    let app = found.iter().find(|group| group.workload.to_string() == "app.scope").map(|group| group.id);
    assert!(app.is_some());
    assert_eq!(fixture.cgroups.resolve("/../../app.scope/inner"), app);
    assert_eq!(fixture.cgroups.resolve("/../app.scope/unknown"), app);
    // Nothing is guessed.
    assert_eq!(fixture.cgroups.resolve("/../twin.service"), None);
    assert_eq!(fixture.cgroups.resolve("/app.scope"), None);
    assert_eq!(fixture.cgroups.resolve("/.."), None);
}

#[test]
fn a_machine_without_groups_says_where_they_were_looked_for() {
    let mut fixture = Fixture::new(100);
    let (found, state) = fixture.read(1);
    assert!(found.is_empty() && matches!(state, SourceState::Absent { looked } if looked.contains("sys/fs/cgroup")));
    fixture.machine.unified().group("/a.service", 1);
    assert!(fixture.names(30).is_empty());
    assert_eq!(fixture.names(61), ["a.service"]);
}

#[test]
fn a_reset_reads_the_same_groups_again() {
    let mut fixture = Fixture::new(100);
    fixture.machine.unified().group("/a.service", 1);
    let before = fixture.read(1).0;
    let generation = fixture.cgroups.generation();
    fixture.cgroups.reset();
    assert_ne!(fixture.cgroups.generation(), generation);
    assert_eq!(fixture.read(2).0, before);
}
