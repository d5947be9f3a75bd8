use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::mpsc::SyncSender;

use super::*;
use wattline_core::{Readings, Tick};

fn at(seconds: u64) -> Instant {
    Instant::from_nanos(seconds * 1_000_000_000)
}

fn out() -> Readings {
    Readings::new("host", Tick::default())
}

/// A host with three filesystems, of which those in `dead` answer when the test sends them a word.
struct Host {
    _folder: tempfile::TempDir,
    filesystems: Filesystems,
    wake: Arc<Mutex<BTreeMap<&'static str, SyncSender<()>>>>,
}

const SPACE: Space = Space { used: 1, free: 2, reserved: 3 };

fn host(places: &[&str], dead: &[&'static str], broken: &'static [&'static str]) -> Host {
    use std::fmt::Write as _;
    let folder = tempfile::tempdir().unwrap();
    let mut text = String::new();
    for (number, place) in places.iter().enumerate() {
        writeln!(text, "{number} 1 8:{number} / /{place} rw - xfs /dev/{place} rw").unwrap();
    }
    std::fs::create_dir_all(folder.path().join("proc/1")).unwrap();
    std::fs::write(folder.path().join("proc/1/mountinfo"), text).unwrap();

    let wake = Arc::new(Mutex::new(BTreeMap::new()));
    let mut sleepers = BTreeMap::new();
    for &place in dead {
        let (send, receive) = sync_channel::<()>(1);
        wake.lock().unwrap().insert(place, send);
        sleepers.insert(place, Mutex::new(receive));
    }
    let measure = move |path: &Path| {
        let place = path.file_name().unwrap().to_str().unwrap();
        if let Some(sleeper) = sleepers.get(place) {
            // An error means that the test is over.
            sleeper.lock().unwrap().recv().ok();
        }
        if broken.contains(&place) { Err(Trouble::Failed(rustix::io::Errno::IO.into())) } else { Ok(SPACE) }
    };
    let root = HostRoot::new(folder.path());
    let filesystems = Filesystems::with_measure(&root, &Config::default(), Arc::new(measure));
    Host { _folder: folder, filesystems, wake }
}

impl Host {
    /// Reads at one moment until `done` says that the other thread has answered: time stands still, so that
    /// nothing can be too late.
    fn read_until(
        &mut self,
        now: Instant,
        done: impl Fn(&Filesystems) -> bool,
    ) -> (BTreeSet<String>, Vec<SourceState>) {
        let (mut out, mut states) = (out(), Vec::new());
        let mut patience = 5_000_000;
        loop {
            states.extend(self.filesystems.read(now, &mut out));
            if done(&self.filesystems) {
                break;
            }
            std::thread::yield_now();
            patience -= 1;
            assert!(patience > 0, "at {now:?} the other thread has not answered");
        }
        let place = |item: &Reading| match item {
            Reading::Filesystem(reading) => reading.mountpoint.to_string(),
            other => panic!("{other:?}"),
        };
        (out.items.iter().map(place).collect(), states)
    }

    fn wake(&self, place: &str) {
        self.wake.lock().unwrap().get(place).unwrap().send(()).unwrap();
    }
}

fn set(places: &[&str]) -> BTreeSet<String> {
    places.iter().map(|&place| place.to_owned()).collect()
}

fn up(found: &str) -> SourceState {
    SourceState::Up { found: found.to_owned() }
}

#[test]
fn each_filesystem_is_told_once_a_round() {
    let mut host = host(&["a", "b"], &[], &[]);
    let idle = |filesystems: &Filesystems| filesystems.asked.is_empty();
    assert_eq!(host.read_until(at(0), idle), (set(&["/a", "/b"]), vec![up("2 filesystems")]));
    assert_eq!(host.read_until(at(29), idle), (set(&[]), vec![]));
    assert_eq!(host.read_until(at(30), idle).0, set(&["/a", "/b"]));
}

#[test]
fn a_filesystem_that_never_answers_costs_the_others_nothing_and_is_left_out_until_it_does() {
    let mut host = host(&["a", "dead", "z"], &["dead"], &[]);
    let at_the_dead =
        |filesystems: &Filesystems| filesystems.asked.front().is_some_and(|first| &*first.device == "/dev/dead");
    assert_eq!(host.read_until(at(0), at_the_dead), (set(&["/a"]), vec![]));
    // Not yet too late.
    assert_eq!(host.read_until(at(4), at_the_dead), (set(&[]), vec![]));

    let idle = |filesystems: &Filesystems| filesystems.asked.is_empty();
    let (told, states) = host.read_until(at(5), idle);
    assert_eq!(told, set(&["/z"]));
    assert!(
        matches!(&states[..], [SourceState::Failed { what }, again] if what.contains("/dead (xfs)")
        && *again == states[0]),
        "{states:?}"
    );

    // The next round leaves it out and does not ask it a second time.
    let (told, states) = host.read_until(at(30), idle);
    assert_eq!(told, set(&["/a", "/z"]));
    assert!(matches!(&states[..], [SourceState::Failed { .. }]), "{states:?}");
    assert_eq!(host.filesystems.stuck.len(), 1);

    // Its late answer is of another time and is not told; from the next round on it is asked again.
    host.wake("dead");
    let (told, _) = host.read_until(at(31), |filesystems| filesystems.stuck.is_empty());
    assert_eq!(told, set(&[]));
    host.wake("dead");
    assert_eq!(host.read_until(at(60), idle), (set(&["/a", "/dead", "/z"]), vec![up("3 filesystems")]));
}

#[test]
fn the_timeout_is_that_of_one_filesystem_and_not_of_all_together() {
    let mut host = host(&["a", "b", "c"], &["a", "b", "c"], &[]);
    let left = |count| move |filesystems: &Filesystems| filesystems.asked.len() == count;
    host.read_until(at(0), left(3));
    for (second, place, count) in [(4, "a", 2), (8, "b", 1), (12, "c", 0)] {
        host.wake(place);
        let (told, _) = host.read_until(at(second), left(count));
        assert_eq!(told, set(&[&format!("/{place}")]));
    }
    assert!(host.filesystems.stuck.is_empty());
}

#[test]
fn no_more_threads_than_the_limit_are_left_with_dead_filesystems() {
    let dead = ["d1", "d2", "d3", "d4", "d5", "d6"];
    let mut host = host(&dead, &dead, &[]);
    let mut states = Vec::new();
    for second in 0..200 {
        states.extend(host.filesystems.read(at(second), &mut out()));
    }
    assert_eq!(host.filesystems.stuck.len(), STUCK_LIMIT);
    let Some(SourceState::Failed { what }) = states.last() else { panic!("{states:?}") };
    assert!(what.contains("/d1") && what.contains("3 more") && what.contains("nothing more is measured"), "{what}");
}

#[test]
fn a_filesystem_that_fails_is_left_out_and_named() {
    let mut host = host(&["a", "b", "c"], &[], &["b", "c"]);
    let (told, states) = host.read_until(at(0), |filesystems| filesystems.asked.is_empty());
    assert_eq!(told, set(&["/a"]));
    assert!(
        matches!(&states[..], [SourceState::Failed { what }] if what.contains("/b") && what.contains("1 more")),
        "{states:?}"
    );
}

#[test]
fn a_mount_that_did_not_propagate_is_not_taken_for_the_directory_below_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("data")).unwrap();
    let root = HostRoot::new(folder.path());
    assert!(measure(&root, &root.path("/")).is_ok());
    assert!(matches!(measure(&root, &root.path("/data")), Err(Trouble::NotVisible)));
    assert!(matches!(measure(&root, &root.path("/gone")), Err(Trouble::Failed(_))));
}

#[test]
fn the_root_of_this_machine_has_space_and_its_parts_add_up() {
    let own = HostRoot::new("/");
    let space = measure(&own, Path::new("/")).unwrap();
    let stat = rustix::fs::statvfs("/").unwrap();
    assert_eq!((space.used + space.free + space.reserved) / stat.f_frsize, stat.f_blocks);
}

#[test]
fn without_mountinfo_there_is_a_reason_and_no_reading() {
    let folder = tempfile::tempdir().unwrap();
    let mut filesystems = Filesystems::new(&HostRoot::new(folder.path()), &Config::default());
    let mut out = out();
    let state = filesystems.read(at(0), &mut out);
    assert!(matches!(state, Some(SourceState::Absent { looked }) if looked.ends_with("proc/1/mountinfo")));
    assert!(out.items.is_empty());
}
