//! The command as a user meets it: its words, its exit codes, its signals.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A small host: one package with a counter, one busy process, no control groups.
fn host(folder: &Path) -> PathBuf {
    let root = folder.join("host");
    let write = |path: &str, text: &str| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write(
        "proc/stat",
        "cpu  1000 0 500 9000 0 0 0 0 0 0\ncpu0 1000 0 500 9000 0 0 0 0 0 0\nbtime 1700000000\nprocesses 9\n",
    );
    write("proc/meminfo", "MemTotal: 8000000 kB\nMemFree: 4000000 kB\nMemAvailable: 6000000 kB\n");
    write("proc/sys/kernel/hostname", "box\n");
    write("proc/sys/kernel/random/boot_id", "11111111-2222-3333-4444-555555555555\n");
    write("etc/machine-id", "00000000000000000000000000000042\n");
    write("sys/class/powercap/intel-rapl:0/name", "package-0\n");
    write("sys/class/powercap/intel-rapl:0/energy_uj", "5000000\n");
    write("sys/class/powercap/intel-rapl:0/max_energy_range_uj", "262143328850\n");
    root
}

fn command(arguments: &[&str]) -> Command {
    #[expect(clippy::disallowed_methods, reason = "the command under test")]
    let mut command = Command::new(env!("CARGO_BIN_EXE_wattline"));
    // No variable of whoever runs the tests makes a destination.
    command.args(arguments).env_clear().stdin(Stdio::null());
    command
}

fn output(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A folder with a configuration of `more` that measures the small host, without listeners.
fn configured(more: &str) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let root = host(folder.path());
    let state = folder.path().join("state");
    let config = format!(
        "[host]\nroot = \"{}\"\n[state]\ndirectory = \"{}\"\n[sampling]\ninterval = \"200ms\"\nwindow = \"400ms\"\n{more}",
        root.display(),
        state.display()
    );
    let path = folder.path().join("wattline.toml");
    fs::write(&path, config).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

const NO_LISTENERS: &str =
    "[admin]\nenabled = false\n[probes.otlp.grpc]\nenabled = false\n[probes.otlp.http]\nenabled = false\n";
/// Every snapshot on standard output, which is how the tests know that something was measured.
const TO_STDOUT: &str = "[[exporters.file]]\npath = \"-\"\ninterval = \"100ms\"\n";

/// Nothing here takes a second; a machine under load is given this long.
const DEADLINE: Duration = Duration::from_secs(60);

/// A running agent; it is killed when the test ends, however it ends.
struct Running {
    child: Child,
    log: BufReader<std::process::ChildStderr>,
    /// Says once that a settled window came out.
    measured: Receiver<()>,
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        let mut child = command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let out = BufReader::new(child.stdout.take().unwrap());
        let (say, measured) = sync_channel(1);
        // Reads to the end: an agent whose output nobody takes would wait for room in the pipe.
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if line.contains("hw.host.energy") {
                    say.try_send(()).ok();
                }
            }
        });
        Self { child, log, measured }
    }

    /// Waits until a window was settled and written out.
    fn wait_for_figures(&self) {
        self.measured.recv_timeout(DEADLINE).expect("the agent measured nothing");
    }

    /// Reads the log up to a line that holds `words`, and returns that line.
    fn wait_for(&mut self, words: &str) -> String {
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            assert!(self.log.read_line(&mut line).unwrap() > 0, "the log ended without {words:?}:\n{seen}");
            if line.contains(words) {
                return line;
            }
            seen += &line;
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn stop(mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        self.child.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn a_mistyped_key_exits_with_2_and_names_file_line_and_the_key_meant() {
    let (_folder, path) = configured("[carbon]\nzonne = \"DE\"\n");
    let output = output(&["check", "--offline", "--config", &path]);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    for words in [path.as_str(), "line 9", "zonne", "did you mean `zone`?"] {
        assert!(error.contains(words), "{words:?} is missing in:\n{error}");
    }
}

#[test]
fn a_value_out_of_range_exits_with_2_and_names_its_key() {
    let (_folder, path) = configured("[carbon]\nzone = \"Atlantis\"\n");
    let output = output(&["--config", &path]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("carbon.zone = Atlantis"), "{}", text(&output.stderr));
}

#[test]
fn a_missing_file_exits_with_2_and_names_it() {
    let output = output(&["--config", "/no/such/wattline.toml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("/no/such/wattline.toml"));
}

#[test]
fn a_configuration_that_is_fine_passes_the_check() {
    let (_folder, path) = configured(NO_LISTENERS);
    let offline = output(&["check", "--offline", "--config", &path]);
    assert_eq!(offline.status.code(), Some(0), "{}", text(&offline.stderr));
}

#[test]
fn the_metric_table_says_the_same_in_both_forms() {
    let json: Vec<serde_json::Value> = serde_json::from_slice(&output(&["metrics", "--json"]).stdout).unwrap();
    let markdown = text(&output(&["metrics", "--markdown"]).stdout);
    assert_eq!(json.len(), markdown.lines().filter(|line| line.starts_with("| `")).count());
    for row in &json {
        assert!(markdown.contains(&format!("| `{}` |", row["name"].as_str().unwrap())), "{row}");
    }
}

#[test]
fn a_snapshot_breaks_down_what_it_measured_and_the_parts_add_up() {
    let (_folder, path) = configured(NO_LISTENERS);
    let output = output(&["snapshot", "--for", "1s", "--json", "--config", &path]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let energy = |value: &serde_json::Value| value["energy_j"].as_f64().unwrap();
    let sum = |list: &str| -> f64 { report[list].as_array().unwrap().iter().map(energy).sum() };
    let total = energy(&report["total"]);
    assert!((sum("devices") - total).abs() < 1e-6, "{report}");
    let parts = sum("workloads") + energy(&report["idle"]) + energy(&report["unattributed"]);
    assert!((parts - total).abs() < 1e-6, "{report}");
    let package = report["devices"].as_array().unwrap().iter().find(|device| device["id"] == "package-0").unwrap();
    assert_eq!((package["method"].as_str(), package["model"].as_str()), (Some("measured"), Some("rapl")));
}

#[test]
fn doctor_tells_what_is_measured_and_what_is_not() {
    let (_folder, path) = configured(NO_LISTENERS);
    let output = output(&["doctor", "--json", "--config", &path]);
    let findings: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let method = |device: &str| {
        let rows = findings["energy"].as_array().unwrap();
        rows.iter().find(|row| row["device"].as_str().unwrap().starts_with(device)).unwrap()["method"].clone()
    };
    assert_eq!((method("cpu"), method("enclosure")), ("measured".into(), method("memory")));
    let rapl = findings["sources"].as_array().unwrap().iter().find(|line| line["name"] == "rapl").unwrap();
    assert_eq!(rapl["state"], "up", "{rapl}");
}

#[test]
fn a_configured_port_that_is_taken_is_an_error_that_names_the_key() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap();
    for (key, config) in [
        ("admin.listen", format!("[admin]\nlisten = \"{port}\"\n")),
        ("otlp.http.listen", format!("[probes.otlp.http]\nlisten = \"{port}\"\n[probes.otlp.grpc]\nenabled = false\n")),
    ] {
        let (_folder, path) = configured(&config);
        let output = output(&["--config", &path]);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains(key) && error.contains(&port.to_string()), "{error}");
    }
}

#[test]
fn a_default_port_that_is_taken_is_off_and_said_and_all_else_goes_on() {
    // Taken by us, or by somebody else on this machine: taken it is.
    let _ours = TcpListener::bind("127.0.0.1:4317");
    let (_folder, path) =
        configured(&format!("[admin]\nenabled = false\n[probes.otlp.http]\nenabled = false\n{TO_STDOUT}"));
    let mut agent = Running::start(&["--config", &path]);
    let line = agent.wait_for("default port is taken");
    assert!(line.contains("4317"), "{line}");
    agent.wait_for_figures();
    assert_eq!(agent.stop(), Some(0));
}

#[test]
fn a_second_agent_on_a_machine_is_refused() {
    let (_folder, path) = configured(&format!("{NO_LISTENERS}[log]\nlevel = \"debug\"\n"));
    let mut first = Running::start(&["--config", &path]);
    first.wait_for("measuring");
    let second = output(&["--config", &path]);
    assert_eq!(second.status.code(), Some(1));
    assert!(text(&second.stderr).contains("another wattline"), "{}", text(&second.stderr));
    assert_eq!(first.stop(), Some(0));
}

#[test]
fn a_bad_reload_is_refused_and_a_good_one_is_taken() {
    let (_folder, path) = configured(NO_LISTENERS);
    let good = fs::read_to_string(&path).unwrap();
    let mut agent = Running::start(&["--config", &path]);
    agent.wait_for("measuring");
    fs::write(&path, format!("{good}[nonsense]\n")).unwrap();
    agent.signal(Signal::HUP);
    agent.wait_for("the old one stays");
    fs::write(&path, format!("{good}[carbon]\nintensity = 100.0\n")).unwrap();
    agent.signal(Signal::HUP);
    agent.wait_for("configuration reloaded");
    assert_eq!(agent.stop(), Some(0));
}

#[test]
fn a_state_directory_that_cannot_be_written_is_said_once_and_measuring_goes_on() {
    let (folder, path) = configured(&format!("{NO_LISTENERS}{TO_STDOUT}"));
    // A file where the directory should be: nobody can write into it, not even root.
    fs::write(folder.path().join("state"), "").unwrap();
    let mut agent = Running::start(&["--config", &path]);
    agent.wait_for_figures();
    agent.signal(Signal::TERM);
    let line = agent.wait_for("raw counters cannot be kept");
    assert!(line.contains("state"), "{line}");
    assert_eq!(agent.child.wait().unwrap().code(), Some(0));
}

#[test]
fn counters_are_kept_over_a_restart() {
    let (folder, path) = configured(&format!("{NO_LISTENERS}{TO_STDOUT}"));
    let agent = Running::start(&["--config", &path]);
    agent.wait_for_figures();
    assert_eq!(agent.stop(), Some(0));
    let kept = fs::read_to_string(folder.path().join("state/counters.json")).unwrap();
    assert!(kept.contains("package-0") && kept.contains("5000000"), "{kept}");
}

#[test]
fn a_destination_that_is_the_agents_own_receiver_is_refused() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (_folder, path) = configured(&format!(
        "[admin]\nenabled = false\n[probes.otlp.grpc]\nenabled = false\n[probes.otlp.http]\nlisten = \"{free}\"\n\
         [[exporters.otlp]]\nendpoint = \"http://{free}\"\n"
    ));
    let output = output(&["--config", &path]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("own receiver"), "{}", text(&output.stderr));
}
