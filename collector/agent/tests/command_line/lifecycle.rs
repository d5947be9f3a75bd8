//! Signals, restarts and reloads.

use std::fs;
use std::net::TcpListener;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::*;

/// Far less than the 30 s that Kubernetes gives, and enough for a machine under load.
const QUICK: Duration = Duration::from_secs(20);
/// The energy of the small host's processor.
const PACKAGE: Figure<'_> = Figure("hw.energy", &[("hw.id", "package-0")]);
const UNATTRIBUTED: Figure<'_> = Figure("workload.energy", &[("hw.type", "cpu"), ("energy.state", "unattributed")]);
const CALLS: Figure<'_> = Figure("inference.calls", &[]);
/// Only OTLP over HTTP, at any free port.
const HTTP_ONLY: &str =
    "[admin]\nenabled = false\n[probes.otlp.grpc]\nenabled = false\n[probes.otlp.http]\nlisten = \"127.0.0.1:0\"\n";

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
    let asked = output(&["reload", "--config", &path]);
    assert_eq!(asked.status.code(), Some(0), "{}", text(&asked.stderr));
    agent.wait_for("configuration reloaded");
    assert_eq!(agent.stop(), Some(0));
    let nobody = output(&["reload", "--config", &path]);
    assert_eq!(nobody.status.code(), Some(1), "the agent takes its process id with it");
}

#[test]
fn a_state_directory_that_cannot_be_written_is_said_once_and_measuring_goes_on() {
    let (folder, path) = configured(&format!("{NO_LISTENERS}{TO_STDOUT}"));
    // A file where the directory should be: nobody can write into it, not even root.
    fs::write(folder.path().join("state"), "").unwrap();
    let mut agent = Running::start(&["--config", &path]);
    agent.wait_for_figure(Figure("wattline.probe.up", &[("wattline.probe", "state")]), 0.0);
    let line = agent.wait_for("the books cannot be kept");
    assert!(line.contains("state"), "{line}");
    for (joules, counter) in [(1.0, 6_000_000), (2.0, 7_000_000), (3.0, 8_000_000)] {
        set_energy(&folder, counter);
        agent.wait_for_figure(PACKAGE, joules);
    }
    agent.signal(Signal::TERM);
    assert_eq!(agent.end_within(QUICK).code(), Some(0));
    assert_eq!(Figure("wattline.dropped", &[]).of(&agent.last_snapshot()), None, "a file is no figure that was lost");
    assert_eq!(agent.log_lines("the books cannot be kept"), 1);
}

#[test]
fn a_report_has_what_was_measured_and_is_read_while_the_agent_runs() {
    let (folder, path) = configured(&format!("{NO_LISTENERS}{TO_STDOUT}"));
    let mut agent = Running::start(&["--config", &path]);
    agent.wait_for_figure(PACKAGE, 0.0);
    set_energy(&folder, 9_000_000);
    agent.wait_for_figure(PACKAGE, 4.0);
    // A running agent books a minute when it is over, and the rest at the end.
    let running = output(&["report", "--config", &path, "--json"]);
    assert_eq!(running.status.code(), Some(0), "{}", text(&running.stderr));
    agent.signal(Signal::TERM);
    assert_eq!(agent.end_within(QUICK).code(), Some(0));
    let ended = output(&["report", "--config", &path, "--by", "device", "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&ended.stdout).unwrap();
    let rows = report["rows"].as_array().unwrap();
    let cpu = rows.iter().find(|row| row["name"] == "cpu").unwrap_or_else(|| panic!("{report:#}"));
    assert_eq!(cpu["energy_j"], 4.0, "{report:#}");
    let last = agent.last_snapshot();
    let sent = Figure("hw.host.energy", &[]).of(&last).unwrap();
    let told = report["total"]["energy_j"].as_f64().unwrap();
    assert!((told - sent).abs() < 1e-6, "the report has {told} J, and {sent} J were sent");
}

#[test]
fn a_report_without_a_ledger_says_what_is_missing() {
    let (folder, path) = configured(NO_LISTENERS);
    let nothing = output(&["report", "--config", &path]);
    assert_eq!(nothing.status.code(), Some(1));
    let words = text(&nothing.stderr);
    assert!(words.contains("ledger.db") && words.contains(folder.path().to_str().unwrap()), "{words}");
    let backwards = output(&["report", "--config", &path, "--since", "1h", "--until", "2h"]);
    assert_eq!(backwards.status.code(), Some(2), "{}", text(&backwards.stderr));
}

#[test]
fn what_was_drawn_around_a_kill_is_booked_once() {
    let (folder, path) = configured(&format!("{NO_LISTENERS}{TO_STDOUT}"));
    let mut agent = Running::start(&["--config", &path]);
    agent.wait_for_figure(PACKAGE, 0.0);
    set_energy(&folder, 6_000_000);
    let before = UNATTRIBUTED.of(&agent.wait_for_figure(PACKAGE, 1.0)).unwrap();
    agent.signal(Signal::KILL);
    agent.child.wait().unwrap();
    set_energy(&folder, 6_500_000);
    let mut agent = Running::start(&["--config", &path]);
    // The joule that was exported before stays; nobody saw who drew the half.
    let first = agent.wait_for_figures();
    assert_eq!(PACKAGE.of(&first), Some(1.5), "{first}");
    assert!((UNATTRIBUTED.of(&first).unwrap() - before - 0.5).abs() < 1e-9, "{first}");
    assert_eq!(agent.stop(), Some(0));
}

#[test]
fn a_sender_half_way_through_a_request_does_not_hold_up_the_end() {
    let (folder, path) = configured(&format!("{HTTP_ONLY}{TO_STDOUT}"));
    let good = fs::read_to_string(&path).unwrap();
    let mut agent = Running::start(&["--config", &path]);
    agent.http();
    // The first window is on the books before anything stops: that takes two readings, which are 200 ms apart.
    agent.wait_for_figures();
    // From here on no window ends by itself: what the last snapshot tells is told because of the end.
    rewrite(&path, &good, "", "1h");
    agent.signal(Signal::HUP);
    agent.wait_for("configuration reloaded");
    let http = agent.http();
    let _stuck = send(http, 1000, "{\"resourceSpans\":");
    set_energy(&folder, 7_000_000);
    let acknowledged = answer(send(http, CALL.len(), CALL));
    assert!(acknowledged.starts_with("HTTP/1.1 200"), "{acknowledged}");
    agent.signal(Signal::TERM);
    assert_eq!(agent.end_within(QUICK).code(), Some(0));
    let last = agent.last_snapshot();
    assert_eq!(CALLS.of(&last), Some(1.0), "{last}");
    assert!(PACKAGE.of(&last).is_some(), "{last}");
}

#[test]
fn a_configuration_that_cannot_be_put_into_force_leaves_the_old_one_running() {
    let (folder, path) = configured(&format!("{HTTP_ONLY}{TO_STDOUT}"));
    let good = fs::read_to_string(&path).unwrap();
    let mut agent = Running::start(&["--config", &path]);
    let http = agent.http();
    agent.wait_for_figures();
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap();
    let elsewhere = good.replace("127.0.0.1:0", &taken.to_string());
    let looping = good.replace("127.0.0.1:0", &http.to_string());
    let missing = folder.path().join("missing.pem");
    for (text, words) in [
        (elsewhere, taken.to_string()),
        (
            format!("{good}[[exporters.otlp]]\nendpoint = \"https://localhost:1\"\ntls.ca_file = {missing:?}\n"),
            "missing.pem".to_owned(),
        ),
        (format!("{looping}[[exporters.otlp]]\nendpoint = \"http://{http}\"\n"), "own receiver".to_owned()),
    ] {
        fs::write(&path, text).unwrap();
        agent.signal(Signal::HUP);
        let line = agent.wait_for("the old one stays");
        assert!(line.contains(&words), "{line}");
    }
    set_energy(&folder, 9_000_000);
    agent.wait_for_figure(PACKAGE, 4.0);
    let acknowledged = answer(send(http, CALL.len(), CALL));
    assert!(acknowledged.starts_with("HTTP/1.1 200"), "{acknowledged}");
    assert_eq!(agent.stop(), Some(0));
}

#[test]
fn a_configuration_that_fails_in_spite_of_its_rehearsal_gives_way_to_the_old_one() {
    let (folder, path) = configured(&format!("{HTTP_ONLY}{TO_STDOUT}"));
    let good = fs::read_to_string(&path).unwrap();
    let mut agent = Running::start(&["--config", &path]);
    let http = agent.http();
    agent.wait_for_figures();
    // Each of the two could have the port that is ours now; both cannot.
    let both = format!("[probes.otlp.grpc]\nenabled = true\nlisten = \"{http}\"");
    let both = good.replace("[probes.otlp.grpc]\nenabled = false", &both).replace("127.0.0.1:0", &http.to_string());
    fs::write(&path, both).unwrap();
    agent.signal(Signal::HUP);
    agent.wait_for("the old one goes on");
    let http = agent.http();
    set_energy(&folder, 9_000_000);
    agent.wait_for_figure(PACKAGE, 4.0);
    let acknowledged = answer(send(http, CALL.len(), CALL));
    assert!(acknowledged.starts_with("HTTP/1.1 200"), "{acknowledged}");
    assert_eq!(agent.stop(), Some(0));
}

#[test]
fn a_reload_takes_over_the_window_and_says_what_wants_a_restart() {
    let (folder, path) = configured(&format!("{NO_LISTENERS}{TO_STDOUT}"));
    let good = fs::read_to_string(&path).unwrap();
    rewrite(&path, &good, "", "1h");
    let mut agent = Running::start(&["--config", &path]);
    agent.wait_in_output("a first snapshot", |line| line.contains("resourceMetrics").then_some(()));
    let root = folder.path().join("host");
    let elsewhere = good.replace(root.to_str().unwrap(), "/no/such/host");
    rewrite(&path, &elsewhere, "[log]\nlevel = \"debug\"\n", "400ms");
    agent.signal(Signal::HUP);
    for key in ["host.root", "log.level"] {
        let line = agent.wait_for("restart to change");
        assert!(line.contains(key), "{line}");
    }
    agent.wait_for("configuration reloaded");
    for joules in [1, 2, 3] {
        set_energy(&folder, 5_000_000 + joules * 1_000_000);
        agent.wait_for_figure(PACKAGE, joules as f64);
    }
    assert_eq!(agent.stop(), Some(0));
}

#[test]
fn calls_are_told_of_where_the_machine_cannot_be_measured() {
    let (folder, path) = configured(&format!("{HTTP_ONLY}{TO_STDOUT}"));
    fs::remove_dir_all(folder.path().join("host")).unwrap();
    let mut agent = Running::start(&["--config", &path]);
    let http = agent.http();
    let acknowledged = answer(send(http, CALL.len(), CALL));
    assert!(acknowledged.starts_with("HTTP/1.1 200"), "{acknowledged}");
    agent.wait_for_figure(CALLS, 1.0);
    assert_eq!(agent.stop(), Some(0));
}

#[test]
fn an_agent_is_ready_when_the_first_window_is_settled() {
    let admin = free_address();
    let (_folder, path) = configured(&format!(
        "[admin]\nlisten = \"{admin}\"\n[probes.otlp.grpc]\nenabled = false\n[probes.otlp.http]\nenabled = false\n\
         {TO_STDOUT}"
    ));
    let good = fs::read_to_string(&path).unwrap();
    rewrite(&path, &good, "", "1h");
    let mut agent = Running::start(&["--config", &path]);
    agent.wait_in_output("a first snapshot", |line| line.contains("resourceMetrics").then_some(()));
    assert!(get(admin, "/readyz").starts_with("HTTP/1.0 503"));
    assert!(get(admin, "/healthz").contains("measuring:"));
    rewrite(&path, &good, "", "400ms");
    agent.signal(Signal::HUP);
    agent.wait_for("configuration reloaded");
    agent.wait_for("serving");
    agent.wait_for_figures();
    assert!(get(admin, "/readyz").starts_with("HTTP/1.0 200"));
    assert_eq!(agent.stop(), Some(0));
}

#[test]
fn log_records_say_which_machine_they_are_from() {
    let (_folder, path) = configured(&format!("{NO_LISTENERS}{TO_STDOUT}"));
    let mut agent = Running::start(&["--config", &path]);
    let record: serde_json::Value = agent.wait_in_output("a log record", |line| {
        line.contains("resourceLogs").then(|| serde_json::from_str(line).unwrap())
    });
    let attributes = record["resourceLogs"][0]["resource"]["attributes"].as_array().unwrap();
    for (key, expected) in [
        ("service.instance.id", "00000000000000000000000000000042"),
        ("host.id", "00000000000000000000000000000042"),
        ("host.name", "box"),
    ] {
        let value = attributes.iter().find(|pair| pair["key"] == key).map(|pair| &pair["value"]["stringValue"]);
        assert_eq!(value.and_then(|value| value.as_str()), Some(expected), "{key} in {record}");
    }
    assert_eq!(agent.stop(), Some(0));
}

#[test]
fn a_reload_moves_the_machine_to_where_it_is_configured_to_be_and_back() {
    let (_folder, path) = configured(&format!("{NO_LISTENERS}{TO_STDOUT}"));
    let good = fs::read_to_string(&path).unwrap();
    let mut agent = Running::start(&["--config", &path]);
    let tier = |tier: &'static str| {
        move |line: &str| {
            let snapshot = serde_json::from_str(line).ok()?;
            Figure("carbon.intensity", &[("carbon.tier", tier)]).of(&snapshot).map(|_grams| ())
        }
    };
    agent.wait_in_output("the world's average", tier("world"));
    for (machine, expected) in [
        ("provider = \"aws\"\nregion = \"eu-north-1\"\ninstance_type = \"m7i.large\"\n", "zone"),
        ("provider = \"gcp\"\nregion = \"europe-west4\"\n", "zone"),
        ("", "world"),
    ] {
        fs::write(&path, format!("{good}[machine]\n{machine}")).unwrap();
        agent.signal(Signal::HUP);
        agent.wait_for("configuration reloaded");
        agent.wait_in_output(expected, tier(expected));
    }
    assert_eq!(agent.stop(), Some(0));
}
