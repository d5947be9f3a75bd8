//! Which workload a control group is, told from its path alone.
//!
//! The forms are those that container runtimes and kubelets write today, with either of their two drivers: `systemd`
//! (a scope per container, `docker-<id>.scope`) and `cgroupfs` (a directory per container, `docker/<id>`). Where
//! containers run in containers, the innermost counts: the match that stands last in the path.

use wattline_core::subject::{Container, Pod};
use wattline_core::{Text, Workload};

use crate::printable::printable;

/// The workload of the group at `path`, or of the nearest group around it. `None` for what belongs to no container,
/// service or scope: slices only hold others together.
///
/// The path may be cut at its beginning, as a reader in a control group namespace of its own sees it.
pub(crate) fn classify(path: &str) -> Option<Workload> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != "..").collect();
    let container = parts.iter().enumerate().rev().find_map(|(index, part)| {
        let around = parts.get(..index).unwrap_or_default();
        container(part, around).map(Workload::Container)
    });
    container.or_else(|| {
        let unit = parts.iter().rev().find(|part| is_unit(part))?;
        Some(Workload::Unit(Text::from(printable(unit.as_bytes()))))
    })
}

/// The container that `part` of a path names, with the parts `around` it.
fn container(part: &str, around: &[&str]) -> Option<Container> {
    let named = Named::parse(part)?;
    // The last form of a pod stands in the same part: `kubepods-pod<uid>.slice:cri-containerd:<id>`.
    let pod = named.slice.into_iter().chain(around.iter().rev().copied()).find_map(pod_uid);
    let ecs_task = task_of(around);
    let in_task = ecs_task.is_some_and(|(_, distance)| distance == 0);
    // Amazon's containers on its own machines for one container at a time have ids of another form.
    if named.form == Form::Fargate && !in_task {
        return None;
    }
    let runtime = match named.runtime {
        _ if in_task => "ecs",
        Some(word) => runtime(word),
        None if around.last() == Some(&"docker") => "docker",
        None => "unknown",
    };
    Some(Container {
        id: Text::from(named.id.to_owned()),
        runtime: Text::Static(runtime),
        pod: pod.map(|uid| Pod { uid: Text::from(uid), namespace: None, name: None, container: None }),
        ecs_task: ecs_task.map(|(task, _)| Text::from(task.to_owned())),
    })
}

/// A part of a path that has the form of a container.
#[derive(Debug)]
struct Named<'a> {
    id: &'a str,
    /// The word before the id.
    runtime: Option<&'a str>,
    /// The slice before both, where the runtime was told to use systemd and did not.
    slice: Option<&'a str>,
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// 64 hexadecimal digits.
    Usual,
    /// A task's id, a hyphen and a number.
    Fargate,
}

impl<'a> Named<'a> {
    fn parse(part: &'a str) -> Option<Self> {
        let bare = part.strip_suffix(".scope").unwrap_or(part);
        if is_hex(bare, 64) {
            return Some(Self { id: bare, runtime: None, slice: None, form: Form::Usual });
        }
        if let Some((task, number)) = part.split_once('-')
            && is_hex(task, 32)
            && !number.is_empty()
            && number.bytes().all(|byte| byte.is_ascii_digit())
        {
            return Some(Self { id: part, runtime: None, slice: None, form: Form::Fargate });
        }
        let (before, id) = bare.rsplit_once(['-', ':'])?;
        let (slice, word) = match before.split_once(':') {
            Some((slice, word)) => (Some(slice), word),
            None => (None, before),
        };
        // The monitor of a container bears its id and is not in it.
        let is_container = is_hex(id, 64) && !is_monitor(word);
        is_container.then_some(Self { id, runtime: Some(word), slice, form: Form::Usual })
    }
}

/// The runtime that goes with the word before the id.
fn runtime(word: &str) -> &'static str {
    match word {
        "docker" => "docker",
        "cri-containerd" | "containerd" | "nerdctl" => "containerd",
        "crio" => "cri-o",
        "libpod" | "libpod-payload" | "podman" => "podman",
        _ => "unknown",
    }
}

/// The uid of the pod whose slice or directory this part is, with hyphens.
fn pod_uid(part: &str) -> Option<String> {
    let (before, uid) = part.strip_suffix(".slice").unwrap_or(part).rsplit_once("pod")?;
    let of_kubelet = before.is_empty() || before.ends_with('-') && before.contains("kubepods");
    let is_uuid = || {
        let mut groups = uid.split(['-', '_']);
        let lengths_fit =
            [8, 4, 4, 4, 12].into_iter().all(|length| groups.next().is_some_and(|group| is_hex(group, length)));
        lengths_fit && groups.next().is_none()
    };
    // A pod from a file on the node has the hash of that file for a uid.
    (of_kubelet && (is_uuid() || is_hex(uid, 32))).then(|| uid.replace('_', "-"))
}

/// The ECS task around a container, and how many parts stand between the two.
fn task_of<'a>(around: &[&'a str]) -> Option<(&'a str, usize)> {
    let is_task = |id: &str| is_hex(id, 32) || id.len() == 36 && id.split('-').count() == 5;
    around.iter().rev().enumerate().find_map(|(distance, part)| {
        let slice = part.strip_prefix("ecstasks-").and_then(|rest| rest.strip_suffix(".slice"));
        let parent = around.len().checked_sub(distance + 2).and_then(|index| around.get(index));
        let directory = (parent == Some(&"ecs")).then_some(*part);
        slice.or(directory).filter(|id| is_task(id)).map(|id| (id, distance))
    })
}

fn is_unit(part: &str) -> bool {
    let stem = part.strip_suffix(".service").or_else(|| part.strip_suffix(".scope"));
    stem.is_some_and(|stem| !stem.is_empty() && !is_monitor_scope(stem))
}

/// `crio-conmon-<id>` and `libpod-conmon-<id>`: one per container, and no workload of anybody.
fn is_monitor_scope(stem: &str) -> bool {
    stem.rsplit_once('-').is_some_and(|(word, id)| is_monitor(word) && is_hex(id, 64))
}

fn is_monitor(word: &str) -> bool {
    word == "conmon" || word.ends_with("-conmon")
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests;
