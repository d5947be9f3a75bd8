use proptest::prelude::*;

use super::*;

const UID: &str = "2c9f8a79-5391-454b-88cb-86190881cb96";
const TASK: &str = "0f0e0d0c0b0a09080706050403020100";

/// A path with `{a}` and `{b}` for container ids, `{uid}` and `{u_id}` for a pod's uid with hyphens and underscores,
/// and `{task}` for an ECS task; and what it is: runtime, which id, pod, task.
type Case = (&'static str, &'static str, char, bool, bool);

const CONTAINERS: &[Case] = &[
    // Docker with either driver.
    ("/docker/{a}", "docker", 'a', false, false),
    ("/system.slice/docker-{a}.scope", "docker", 'a', false, false),
    ("/docker/{a}/docker/{b}", "docker", 'b', false, false),
    // Kubernetes, systemd driver: burstable, guaranteed, and a kubelet with a root of its own (kind).
    (
        "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{u_id}.slice/cri-containerd-{a}.scope",
        "containerd",
        'a',
        true,
        false,
    ),
    ("/kubepods.slice/kubepods-pod{u_id}.slice/crio-{a}.scope", "cri-o", 'a', true, false),
    (
        "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod{u_id}.slice/cri-containerd-{a}.scope",
        "containerd",
        'a',
        true,
        false,
    ),
    (
        "/system.slice/docker-{a}.scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod{u_id}.slice/cri-containerd-{b}.scope",
        "containerd",
        'b',
        true,
        false,
    ),
    (
        "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{u_id}.slice/docker-{a}.scope",
        "docker",
        'a',
        true,
        false,
    ),
    // Kubernetes, cgroupfs driver.
    ("/kubepods/burstable/pod{uid}/{a}", "unknown", 'a', true, false),
    ("/kubepods/pod{uid}/{a}", "unknown", 'a', true, false),
    // A runtime that was told to use systemd and does not.
    (
        "/system.slice/containerd.service/kubepods-burstable-pod{u_id}.slice:cri-containerd:{a}",
        "containerd",
        'a',
        true,
        false,
    ),
    ("/kubepods-burstable-pod{u_id}.slice:crio:{a}", "cri-o", 'a', true, false),
    // A container inside a container of a pod belongs to the pod.
    ("/kubepods/burstable/pod{uid}/{a}/docker/{b}", "docker", 'b', true, false),
    // Podman, of the machine and of a user, with what runs inside.
    ("/machine.slice/libpod-{a}.scope/container", "podman", 'a', false, false),
    (
        "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{a}.scope/container",
        "podman",
        'a',
        false,
        false,
    ),
    ("/system.slice/box.service/libpod-payload-{a}", "podman", 'a', false, false),
    // systemd inside a container: its services are the container's.
    ("/system.slice/docker-{a}.scope/system.slice/sshd.service", "docker", 'a', false, false),
    ("/system.slice/docker-{a}.scope/init.scope", "docker", 'a', false, false),
    // ECS with version 1 and 2 of control groups, and Fargate.
    ("/ecs/{task}/{a}", "ecs", 'a', false, true),
    ("/ecstasks.slice/ecstasks-{task}.slice/docker-{a}.scope", "ecs", 'a', false, true),
    ("/ecstasks.slice/ecstasks-{task}.slice/docker-{a}.scope/docker/{b}", "docker", 'b', false, true),
    // Others.
    ("/system.slice/nerdctl-{a}.scope", "containerd", 'a', false, false),
    ("/default/{a}", "unknown", 'a', false, false),
    ("/machine.slice/somebody-{a}.scope", "unknown", 'a', false, false),
    // Cut by a control group namespace.
    ("/../cri-containerd-{a}.scope", "containerd", 'a', false, false),
    ("/../../kubepods-besteffort-pod{u_id}.slice/cri-containerd-{a}.scope", "containerd", 'a', true, false),
    ("/../pod{uid}/{a}/inner", "unknown", 'a', true, false),
];

#[test]
fn containers_are_known_by_their_paths() {
    for &(template, runtime, id, has_pod, has_task) in CONTAINERS {
        let (a, b) = ("a1".repeat(32), "b2".repeat(32));
        let path = template
            .replace("{a}", &a)
            .replace("{b}", &b)
            .replace("{uid}", UID)
            .replace("{u_id}", &UID.replace('-', "_"))
            .replace("{task}", TASK);
        let expected = Container {
            id: Text::from(if id == 'a' { a } else { b }),
            runtime: Text::Static(runtime),
            pod: has_pod.then(|| Pod { uid: Text::from(UID.to_owned()), namespace: None, name: None, container: None }),
            ecs_task: has_task.then(|| Text::from(TASK.to_owned())),
        };
        assert_eq!(classify(&path), Some(Workload::Container(expected)), "{path}");
    }
}

#[test]
fn a_pod_from_a_file_has_a_uid_without_hyphens() {
    let path = format!("/kubepods/burstable/pod{TASK}/{}", "a1".repeat(32));
    let Some(Workload::Container(container)) = classify(&path) else { panic!("{path}") };
    assert_eq!(container.pod.unwrap().uid.as_str(), TASK);
}

#[test]
fn a_fargate_container_is_known_inside_its_task_only() {
    let id = format!("{TASK}-2495160603");
    let Some(Workload::Container(container)) = classify(&format!("/ecs/{TASK}/{id}")) else { panic!("{id}") };
    assert_eq!((&*container.id, &*container.runtime, &*container.ecs_task.unwrap()), (id.as_str(), "ecs", TASK));
    assert_eq!(classify(&format!("/elsewhere/{id}")), None);
}

#[test]
fn units_are_services_and_scopes_and_the_innermost_counts() {
    let monitor = "c3".repeat(32);
    for (path, unit) in [
        ("/system.slice/ssh.service", Some("ssh.service")),
        ("/init.scope", Some("init.scope")),
        ("/system.slice/system-getty.slice/getty@tty1.service", Some("getty@tty1.service")),
        ("/system.slice/ollama.service/runner", Some("ollama.service")),
        (
            "/user.slice/user-1000.slice/user@1000.service/app.slice/tmux-spawn-e780eea5.scope",
            Some("tmux-spawn-e780eea5.scope"),
        ),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice", Some("user@1000.service")),
        ("/../system.slice/cron.service", Some("cron.service")),
        ("/system.slice/evil\n.service", Some("evil\\n.service")),
        ("/", None),
        ("", None),
        ("/system.slice", None),
        ("/user.slice/user-1000.slice", None),
        ("/kubepods.slice/kubepods-burstable.slice", None),
        ("/system.slice/.service", None),
        ("/system.slice/docker-deadbeef.mount", None),
        (&format!("/kubepods.slice/crio-conmon-{monitor}.scope"), None),
        (&format!("/machine.slice/libpod-conmon-{monitor}.scope"), None),
        (&format!("/user.slice/user@1000.service/user.slice/libpod-conmon-{monitor}.scope"), Some("user@1000.service")),
        // A container's id has 64 digits; a scope with fewer is a scope.
        ("/system.slice/docker-0123456789ab.scope", Some("docker-0123456789ab.scope")),
    ] {
        assert_eq!(classify(path), unit.map(|unit| Workload::Unit(unit.to_owned().into())), "{path}");
    }
}

#[test]
fn a_slice_that_only_looks_like_a_pod_gives_no_uid() {
    for slice in [
        "tripod2c9f8a79",
        "kubepods-podx.slice",
        "pod2c9f8a79-5391-454b-88cb",
        "mypod2c9f8a79_5391_454b_88cb_86190881cb96.slice",
    ] {
        let path = format!("/{slice}/cri-containerd-{}.scope", "a1".repeat(32));
        let Some(Workload::Container(container)) = classify(&path) else { panic!("{path}") };
        assert_eq!(container.pod, None, "{path}");
    }
}

proptest! {
    #[test]
    fn no_path_panics(path in "\\PC{0,80}") {
        let _workload = classify(&path);
    }

    #[test]
    fn what_is_below_a_container_is_the_container(below in "[a-z./-]{0,30}") {
        let path = format!("/system.slice/docker-{}.scope", "a1".repeat(32));
        prop_assert_eq!(classify(&format!("{path}/{below}")), classify(&path));
    }
}
