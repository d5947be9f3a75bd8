//! Agents that measure no machine.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::*;

/// A configuration of `role` on the host in `folder`, which books what it is sent.
fn beside(folder: &Path, role: &str, more: &str) -> String {
    let path = folder.join(format!("{role}.toml"));
    let (root, state) = (folder.join("host"), folder.join(role));
    let config = format!(
        "role = \"{role}\"\n[host]\nroot = \"{}\"\n[state]\ndirectory = \"{}\"\n[sampling]\ninterval = \"200ms\"\n\
         window = \"400ms\"\n[probes.otlp.grpc]\nenabled = false\n[probes.otlp.http]\nlisten = \"127.0.0.1:0\"\n{more}",
        root.display(),
        state.display()
    );
    fs::write(&path, config).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The names of all metrics in a snapshot that begin with one of a machine's.
fn about_a_machine(snapshot: &serde_json::Value) -> Vec<String> {
    let all = |value: &serde_json::Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let metrics = all(snapshot, "resourceMetrics")
        .into_iter()
        .flat_map(|resource| all(&resource, "scopeMetrics"))
        .flat_map(|scope| all(&scope, "metrics"));
    let ours = ["hw.", "workload.", "host.", "system.", "process.", "container.", "carbon.", "sci."];
    metrics
        .map(|metric| metric["name"].as_str().unwrap().to_owned())
        .filter(|name| ours.iter().any(|begin| name.starts_with(begin)))
        .collect()
}

#[test]
fn others_book_what_they_are_sent_beside_the_one_that_measures() {
    let (folder, path) = configured(&format!("{NO_LISTENERS}{TO_STDOUT}"));
    let mut node = Running::start(&["--config", &path]);
    node.wait_for_figures();
    for role in ["sidecar", "gateway"] {
        let admin = free_address();
        let path = beside(folder.path(), role, &format!("{TO_STDOUT}[admin]\nlisten = \"{admin}\"\n"));
        let mut agent = Running::start(&["--config", &path]);
        let http = agent.http();
        agent.wait_for("no machine is measured");
        // Whoever supervises it finds it at work, although nothing was ever settled.
        agent.wait_in_output("a snapshot", |line| line.contains("wattline.cpu.time").then_some(()));
        assert!(get(admin, "/readyz").starts_with("HTTP/1.0 200") && get(admin, "/healthz").contains("receiving:"));
        assert!(answer(send(http, CALL.len(), CALL)).starts_with("HTTP/1.1 200"));
        let snapshot = agent.wait_for_figure(Figure("inference.calls", &[]), 1.0);
        assert_eq!(about_a_machine(&snapshot), Vec::<String>::new());
        assert!(
            snapshot.to_string().contains(&format!("\"wattline.role\",\"value\":{{\"stringValue\":\"{role}\"}}")),
            "{snapshot}"
        );

        let doctor = output(&["doctor", "--config", &path]);
        let page = text(&doctor.stdout);
        assert!(page.contains(&format!("role                     {role}: ")) && !page.contains("ENERGY"), "{page}");
        assert!(page.contains("is in use by a running wattline"), "{page}");
        assert_eq!(agent.stop(), Some(0));
        assert_eq!(output(&["check", "--config", &path]).status.code(), Some(0));
    }
    assert_eq!(node.stop(), Some(0));
}

#[test]
fn a_snapshot_of_no_machine_is_refused() {
    let (folder, _) = configured("");
    let path = beside(folder.path(), "sidecar", "");
    let refused = output(&["snapshot", "--for", "1s", "--config", &path]);
    let error = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{error}");
    assert!(error.contains("role = \"sidecar\" measures none"), "{error}");
}

#[test]
fn an_agent_that_neither_measures_nor_listens_is_refused() {
    let (_folder, path) = configured(NO_LISTENERS);
    let config = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("role = \"gateway\"\n{config}")).unwrap();
    let refused = output(&["--config", &path]);
    let error = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{error}");
    assert!(error.contains("role = gateway: ") && error.contains("probes.otlp.http.enabled"), "{error}");
}

#[test]
fn a_gateway_relays_what_a_node_has_booked_and_does_not_book_it_again() {
    let (folder, _) = configured("");
    let path = beside(folder.path(), "gateway", &format!("{TO_STDOUT}[admin]\nenabled = false\n"));
    let mut gateway = Running::start(&["--config", &path]);
    let onward = gateway.http();
    let more = format!("{TO_STDOUT}[admin]\nenabled = false\n[[exporters.otlp]]\nendpoint = \"http://{onward}\"\n");
    let path = beside(folder.path(), "sidecar", &more);
    let mut sidecar = Running::start(&["--config", &path]);
    let http = sidecar.http();
    assert!(answer(send(http, CALL.len(), CALL)).starts_with("HTTP/1.1 200"));
    sidecar.wait_for_figure(Figure("inference.calls", &[]), 1.0);
    gateway.wait_in_output("the span", |line| line.contains("gpt-4o").then_some(()));
    // What no agent has booked is booked here, and is the only call.
    assert!(answer(send(onward, CALL.len(), CALL)).starts_with("HTTP/1.1 200"));
    gateway.wait_for_figure(Figure("inference.calls", &[]), 1.0);
    assert_eq!(sidecar.stop(), Some(0));
    gateway.signal(Signal::TERM);
    assert!(gateway.end_within(Duration::from_mins(1)).success());
    assert_eq!(Figure("inference.calls", &[]).of(&gateway.last_snapshot()), Some(1.0));
}
