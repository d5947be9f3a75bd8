//! GPUs that are not there, through the whole command.

use std::fs;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use wattline_fake_nvml::{Fake, TWO_GPUS};

use crate::support::*;

/// The small host with GPUs.
struct Gpus {
    fake: Fake,
    path: String,
    _folders: [TempDir; 2],
}

impl Gpus {
    fn new(script: &str) -> Self {
        let libraries = tempfile::tempdir().unwrap();
        let fake = Fake::install(libraries.path()).unwrap();
        fake.write(script).unwrap();
        let nvidia = format!("[probes.nvidia]\nlibrary = \"{}\"\ninterval = \"200ms\"\n", fake.library().display());
        let (folder, path) = configured(&format!("{NO_LISTENERS}{TO_STDOUT}{nvidia}"));
        Self { fake, path, _folders: [libraries, folder] }
    }

    fn start(&self) -> Running {
        Running::start(&["--config", &self.path])
    }
}

const FIRST: &str = "GPU-00000000-0000-0000-0000-000000000000";
const SECOND: &str = "GPU-00000000-0000-0000-0000-000000000001";

fn state<'a>(gpu: &'a [(&'a str, &'a str); 2]) -> Figure<'a> {
    Figure("hw.status", gpu)
}

#[test]
fn a_snapshot_shows_the_gpus() {
    let gpus = Gpus::new(TWO_GPUS);
    let page = output(&["snapshot", "--for", "1s", "--config", &gpus.path]);
    let page = text(&page.stdout);
    let row = page.lines().find(|line| line.starts_with("1 NVIDIA H100 80GB HBM3")).unwrap_or_else(|| panic!("{page}"));
    for words in ["350 W", "42 %", "1.0 of 85.9 GB", "54 C"] {
        assert!(row.contains(words), "{words:?} is missing in {row}");
    }
    let report = output(&["snapshot", "--for", "1s", "--json", "--config", &gpus.path]);
    let report: Value = serde_json::from_slice(&report.stdout).unwrap();
    assert_eq!((&report["gpus"][0]["id"], &report["gpus"][0]["power_w"]), (&FIRST.into(), &350.5.into()));
}

#[test]
fn a_machine_without_gpus_shows_none() {
    let (_folder, path) = configured(&format!("{NO_LISTENERS}[probes.nvidia]\nmode = \"never\"\n"));
    let page = text(&output(&["snapshot", "--for", "1s", "--config", &path]).stdout);
    assert!(page.contains("DEVICE") && !page.contains("GPU"), "{page}");
}

#[test]
fn figures_of_gpus_are_told_and_one_that_is_lost_leaves_the_other_alone() {
    let gpus = Gpus::new(TWO_GPUS);
    let mut agent = gpus.start();
    agent.wait_for_figure(Figure("hw.gpu.memory.usage", &[("hw.id", FIRST)]), 1e9);
    agent.wait_for_figure(Figure("hw.gpu.utilization", &[("hw.id", SECOND), ("hw.gpu.task", "general")]), 0.42);
    agent.wait_for_figure(Figure("hw.gpu.activity", &[("hw.id", FIRST), ("hw.gpu.unit", "tensor")]), 0.66);
    gpus.fake.write(&format!("{TWO_GPUS}1.all = !15\n0.utilization = 80:7\n0.xid = 79\n")).unwrap();
    agent.wait_for_figure(state(&[("hw.id", SECOND), ("hw.state", "failed")]), 1.0);
    agent.wait_for_figure(state(&[("hw.id", FIRST), ("hw.state", "ok")]), 1.0);
    agent.wait_for_figure(Figure("hw.gpu.utilization", &[("hw.gpu.task", "general")]), 0.8);
    agent.wait_for_figure(Figure("hw.errors", &[("hw.id", FIRST), ("hw.gpu.xid", "79")]), 1.0);
    agent.wait_for_figure(Figure("wattline.probe.up", &[("wattline.probe", "nvidia")]), 0.0);
    assert_eq!(agent.stop(), Some(0));
}

#[test]
fn the_driver_is_let_go_of_on_sigusr1_and_by_a_reload_that_wants_no_gpus() {
    let gpus = Gpus::new(TWO_GPUS);
    let mut agent = gpus.start();
    let utilization = Figure("hw.gpu.utilization", &[("hw.id", FIRST), ("hw.gpu.task", "general")]);
    let shut = |times: u64| {
        let mut patience = 2_000_000;
        while gpus.fake.calls("nvmlShutdown") < times {
            assert!(patience > 0, "the driver is still in use");
            patience -= 1;
            std::thread::yield_now();
        }
    };
    agent.wait_for_figure(utilization, 0.42);
    agent.signal(Signal::USR1);
    agent.wait_for("the driver of the GPUs is let go of");
    shut(1);
    // A reload takes it up again at once.
    gpus.fake.write(&format!("{TWO_GPUS}*.utilization = 9:0\n")).unwrap();
    agent.signal(Signal::HUP);
    agent.wait_for("configuration reloaded");
    agent.wait_for_figure(utilization, 0.09);
    let config = fs::read_to_string(&gpus.path).unwrap();
    fs::write(&gpus.path, config.replace("[probes.nvidia]\n", "[probes.nvidia]\nmode = \"never\"\n")).unwrap();
    agent.signal(Signal::HUP);
    agent.wait_for("configuration reloaded");
    shut(2);
    assert_eq!(agent.stop(), Some(0));
}

#[test]
fn doctor_says_what_is_read_and_where_a_library_is_missing_what_to_do() {
    let gpus = Gpus::new(TWO_GPUS);
    let page = text(&output(&["doctor", "--config", &gpus.path]).stdout);
    let line = page.lines().find(|line| line.contains("  nvidia ")).unwrap_or_else(|| panic!("{page}"));
    assert!(line.contains("up") && line.contains("2 x NVIDIA H100 80GB HBM3, driver 580.95.05"), "{line}");
    let (_folder, path) =
        configured(&format!("{NO_LISTENERS}[probes.nvidia]\nlibrary = \"/nowhere/libnvidia-ml.so.1\"\n"));
    let page = text(&output(&["doctor", "--config", &path]).stdout);
    let lines: Vec<&str> = page.lines().skip_while(|line| !line.contains("  nvidia ")).take(2).collect();
    assert!(lines[0].contains("absent") && lines[0].contains("loading /nowhere/libnvidia-ml.so.1"), "{page}");
    assert!(lines[1].contains("-> ") && lines[1].contains("set probes.nvidia.library"), "{page}");
}

#[test]
fn values_that_no_driver_could_be_asked_by_are_refused_by_their_key() {
    for (line, key) in
        [("library = \"\"", "library"), ("interval = \"1ms\"", "interval"), ("timeout = \"1h\"", "timeout")]
    {
        let (_folder, path) = configured(&format!("[probes.nvidia]\n{line}\n"));
        let output = output(&["check", "--offline", "--config", &path]);
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains(&format!("probes.nvidia.{key} = ")), "{}", text(&output.stderr));
    }
}
