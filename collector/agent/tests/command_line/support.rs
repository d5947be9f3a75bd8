//! Small hosts, and agents that measure them.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// A small host: one package with a counter, one busy process, no control groups.
pub(crate) fn host(folder: &Path) -> PathBuf {
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

pub(crate) fn command(arguments: &[&str]) -> Command {
    #[expect(clippy::disallowed_methods, reason = "the command under test")]
    let mut command = Command::new(env!("CARGO_BIN_EXE_wattline"));
    // No variable of whoever runs the tests makes a destination.
    command.args(arguments).env_clear().stdin(Stdio::null());
    command
}

pub(crate) fn output(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A folder with a configuration of `more` that measures the small host, without listeners.
pub(crate) fn configured(more: &str) -> (TempDir, String) {
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

pub(crate) const NO_LISTENERS: &str =
    "[admin]\nenabled = false\n[probes.otlp.grpc]\nenabled = false\n[probes.otlp.http]\nenabled = false\n";
/// Every snapshot on standard output, which is how the tests know that something was measured.
pub(crate) const TO_STDOUT: &str = "[[exporters.file]]\npath = \"-\"\ninterval = \"100ms\"\n";

/// Nothing here takes a second; a machine under load is given this long.
const DEADLINE: Duration = Duration::from_mins(1);

/// What an agent has written so far, and whether it is over.
#[derive(Default)]
struct Written {
    lines: Mutex<(Vec<String>, bool)>,
    more: Condvar,
}

impl Written {
    /// Reads to the end: an agent whose output nobody takes would wait for room in the pipe.
    fn collect(self: &Arc<Self>, pipe: impl Read + Send + 'static) {
        let written = Arc::clone(self);
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                written.lines.lock().unwrap().0.push(line);
                written.more.notify_all();
            }
            written.lines.lock().unwrap().1 = true;
            written.more.notify_all();
        });
    }

    /// The first thing that `find` finds in a line from `from` on, with the number of the line after it.
    fn find<T>(&self, from: usize, what: &str, find: impl Fn(&str) -> Option<T>) -> (T, usize) {
        let mut next = from;
        let mut found = None;
        let mut written = self.lines.lock().unwrap();
        loop {
            while let Some(line) = written.0.get(next) {
                next += 1;
                // Snapshots come for ever, one with each window: this many of them are more than a minute's.
                assert!(next < from + 200, "{what} did not come");
                found = found.or_else(|| find(line));
                if let Some(found) = found {
                    return (found, next);
                }
            }
            assert!(!written.1, "it ended without {what} after {} lines", written.0.len());
            let (more, waited) = self.more.wait_timeout(written, DEADLINE).unwrap();
            assert!(!waited.timed_out(), "{what} did not come in {} lines", more.0.len());
            written = more;
        }
    }
}

/// A running agent; it is killed when the test ends, however it ends.
pub(crate) struct Running {
    pub(crate) child: Child,
    log: Arc<Written>,
    out: Arc<Written>,
    log_read: usize,
    out_read: usize,
}

impl Running {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut child = command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (log, out) = (Arc::<Written>::default(), Arc::<Written>::default());
        log.collect(child.stderr.take().unwrap());
        out.collect(child.stdout.take().unwrap());
        Self { child, log, out, log_read: 0, out_read: 0 }
    }

    /// Waits for a snapshot, after the last one waited for, in which `figure` is `expected`.
    pub(crate) fn wait_for_figure(&mut self, figure: Figure<'_>, expected: f64) -> Value {
        let what = format!("{figure:?} = {expected}");
        self.wait_in_output(&what, |line| {
            let snapshot: Value = serde_json::from_str(line).ok()?;
            (figure.of(&snapshot).is_some_and(|value| (value - expected).abs() < 1e-9)).then_some(snapshot)
        })
    }

    /// Waits until a window was settled and written out, after the last one waited for.
    pub(crate) fn wait_for_figures(&mut self) -> Value {
        self.wait_in_output("energy figures", |line| {
            let snapshot = line.contains("hw.host.energy").then(|| serde_json::from_str(line))?;
            Some(snapshot.unwrap())
        })
    }

    /// Waits for a line of the output in which `find` finds something.
    pub(crate) fn wait_in_output<T>(&mut self, what: &str, find: impl Fn(&str) -> Option<T>) -> T {
        let (found, next) = self.out.find(self.out_read, what, find);
        self.out_read = next;
        found
    }

    /// Reads the log up to a line that holds `words`, and returns that line.
    pub(crate) fn wait_for(&mut self, words: &str) -> String {
        let holds = |line: &str| line.contains(words).then(|| line.to_owned());
        let (line, next) = self.log.find(self.log_read, words, holds);
        self.log_read = next;
        line
    }

    /// How many lines of the log, as far as it is written, hold `words`.
    pub(crate) fn log_lines(&self, words: &str) -> usize {
        self.log.lines.lock().unwrap().0.iter().filter(|line| line.contains(words)).count()
    }

    /// The address that the log gives for OTLP over HTTP.
    pub(crate) fn http(&mut self) -> SocketAddr {
        let line = self.wait_for("listening for OTLP");
        line.split_once("http=Some(").unwrap().1.split(')').next().unwrap().parse().unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub(crate) fn stop(mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        self.child.wait().unwrap().code()
    }

    /// Waits until it has ended, but no longer than `longest`, and all that it wrote is read.
    pub(crate) fn end_within(&mut self, longest: Duration) -> ExitStatus {
        let written = self.out.lines.lock().unwrap();
        let (_written, waited) = self.out.more.wait_timeout_while(written, longest, |(_, is_over)| !*is_over).unwrap();
        assert!(!waited.timed_out(), "it had not ended after {longest:?}");
        self.child.wait().unwrap()
    }

    /// The last snapshot that it wrote.
    pub(crate) fn last_snapshot(&self) -> Value {
        let written = self.out.lines.lock().unwrap();
        let last = written.0.iter().rev().find(|line| line.contains("resourceMetrics")).unwrap();
        serde_json::from_str(last).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A metric with some of the attributes of its points.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figure<'a>(pub(crate) &'a str, pub(crate) &'a [(&'a str, &'a str)]);

impl Figure<'_> {
    /// The sum over its points in a snapshot; `None` where there is none.
    pub(crate) fn of(self, snapshot: &Value) -> Option<f64> {
        let all = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
        let metrics = all(snapshot, "resourceMetrics")
            .into_iter()
            .flat_map(|resource| all(&resource, "scopeMetrics"))
            .flat_map(|scope| all(&scope, "metrics"))
            .filter(|metric| metric["name"] == self.0);
        let points = metrics
            .flat_map(|metric| [all(&metric["sum"], "dataPoints"), all(&metric["gauge"], "dataPoints")].concat());
        let has = |point: &Value, (key, value): &(&str, &str)| {
            all(point, "attributes").iter().any(|pair| pair["key"] == *key && pair["value"]["stringValue"] == *value)
        };
        points
            .filter(|point| self.1.iter().all(|pair| has(point, pair)))
            .map(|point| point["asDouble"].as_f64().unwrap())
            .reduce(|sum, value| sum + value)
    }
}

/// Sets the energy counter of the small host, in place and at once, as a kernel file changes.
pub(crate) fn set_energy(folder: &TempDir, microjoules: u64) {
    let path = folder.path().join("host/sys/class/powercap/intel-rapl:0/energy_uj");
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(format!("{microjoules}\n").as_bytes(), 0).unwrap();
}

/// Writes `more` behind the configuration, with a window of `window`.
pub(crate) fn rewrite(path: &str, good: &str, more: &str, window: &str) {
    let text = good.replace("window = \"400ms\"", &format!("window = \"{window}\""));
    fs::write(path, format!("{text}{more}")).unwrap();
}

/// An address that is free, unless somebody is quick.
pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// One call of a language model as OTLP JSON.
pub(crate) const CALL: &str = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{
    "traceId":"00000000000000000000000000000001","spanId":"0000000000000001","name":"chat","kind":3,
    "startTimeUnixNano":"1700000000000000000","endTimeUnixNano":"1700000001000000000","attributes":[
    {"key":"gen_ai.operation.name","value":{"stringValue":"chat"}},
    {"key":"gen_ai.provider.name","value":{"stringValue":"openai"}},
    {"key":"gen_ai.request.model","value":{"stringValue":"gpt-4o"}},
    {"key":"gen_ai.usage.input_tokens","value":{"intValue":"10"}},
    {"key":"gen_ai.usage.output_tokens","value":{"intValue":"20"}}]}]}]}]}"#;

/// A connection to `address`.
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// Sends the head of a request and `body`, which may be shorter than the `length` that it announces.
pub(crate) fn send(address: SocketAddr, length: usize, body: &str) -> TcpStream {
    let mut stream = connect(address);
    write!(
        stream,
        "POST /v1/traces HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    stream
}

/// The whole answer.
pub(crate) fn answer(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Gets a page of the admin endpoint.
pub(crate) fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = connect(address);
    write!(stream, "GET {path} HTTP/1.0\r\nhost: x\r\n\r\n").unwrap();
    answer(stream)
}
