//! Commands, their output and their exit codes.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;

use crate::support::*;

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

#[test]
fn the_check_tries_each_destination_and_tells_what_is_wrong() {
    let nobody = free_address();
    let (_folder, path) = configured(&format!(
        "[[exporters.otlp]]\nname = \"away\"\nendpoint = \"http://{nobody}\"\nsignals = [\"traces\"]\n\
         headers = {{ authorization = \"Bearer s3cret-token\" }}\n\
         [[exporters.cloudwatch]]\ncompression = \"zstd\"\n"
    ));
    let found = output(&["check", "--connect", "--json", "--config", &path]);
    assert_eq!(found.status.code(), Some(1));
    let found: serde_json::Value = serde_json::from_slice(&found.stdout).unwrap();
    let [away, cloudwatch] = found["destinations"].as_array().unwrap().as_slice() else { panic!("{found}") };
    assert_eq!((&away["signal"], &away["fault"]), (&"traces".into(), &"refused".into()), "{away}");
    assert_eq!((&cloudwatch["table"], &cloudwatch["fault"]), (&"exporters.cloudwatch".into(), &"configuration".into()));
    assert!(cloudwatch["detail"].as_str().unwrap().contains("zstd"), "{cloudwatch}");

    let shown = output(&["check", "--connect", "--config", &path]);
    assert_eq!(shown.status.code(), Some(1));
    let page = text(&shown.stdout);
    assert!(page.contains("failed  away traces") && page.contains("-> start the receiver"), "{page}");
    assert!(!page.contains("s3cret"), "{page}");

    let (_folder, path) = configured("");
    assert_eq!(output(&["check", "--connect", "--config", &path]).status.code(), Some(0));
}

#[test]
fn a_running_agent_is_no_failure_of_the_check_and_the_check_makes_nothing() {
    let admin = free_address();
    let (folder, path) = configured(&format!(
        "[admin]\nlisten = \"{admin}\"\n[probes.otlp]\ngrpc.enabled = false\nhttp.enabled = false\n"
    ));
    let line = |name: &str| {
        let findings: serde_json::Value =
            serde_json::from_slice(&output(&["doctor", "--json", "--config", &path]).stdout).unwrap();
        let lines = findings["agent"].as_array().unwrap();
        lines.iter().find(|line| line["name"] == name).unwrap().clone()
    };
    assert_eq!(line("state.directory")["state"], "up");
    assert!(!folder.path().join("state").exists(), "doctor has made the state directory");
    let mut agent = Running::start(&["--config", &path]);
    agent.wait_for("serving");
    let port = line("admin.listen");
    assert_eq!(port["state"], "up", "{port}");
    assert!(port["detail"].as_str().unwrap().contains("in use by a running wattline"), "{port}");
    assert_eq!(agent.stop(), Some(0));
    let _other = TcpListener::bind(admin).unwrap();
    assert_eq!(line("admin.listen")["state"], "failed");
}

#[test]
fn the_admin_endpoint_beyond_loopback_wants_a_word() {
    let (_folder, path) = configured("[admin]\nlisten = \"0.0.0.0:0\"\n");
    let output = output(&["check", "--offline", "--config", &path]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("admin.plaintext_beyond_loopback"), "{}", text(&output.stderr));
}

#[test]
fn an_ordinary_user_gets_a_snapshot_of_what_may_be_read() {
    let (folder, path) = configured(NO_LISTENERS);
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let counter = folder.path().join("host/sys/class/powercap/intel-rapl:0/energy_uj");
    fs::set_permissions(counter, fs::Permissions::from_mode(0o000)).unwrap();
    let mut command = command(&["snapshot", "--for", "1s", "--json", "--config", &path]);
    if rustix::process::geteuid().is_root() {
        command.uid(65_534).gid(65_534);
    }
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let cpu = report["devices"].as_array().unwrap().iter().find(|device| device["kind"] == "cpu").unwrap();
    assert_ne!(cpu["method"], "measured", "{report}");
}

#[test]
fn a_footprint_is_power_times_hours_times_the_grid() {
    let (_folder, path) = configured("[carbon]\nintensity = 100.0\npue = 1.5\n");
    let arguments = ["footprint", "--cpu", "AMD EPYC 9654", "--threads", "192", "--memory", "768", "--hours", "10"];
    let output = output(&[&arguments[..], &["--utilization", "0.5", "--json", "--config", &path]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let of = |path: &str| answer.pointer(path).unwrap().as_f64().unwrap();
    let kwh = of("/machine/power_w/central") * 10.0 / 1000.0;
    assert!((of("/machine/energy_j/central") / 3.6e6 - kwh).abs() < 1e-9, "{answer}");
    assert!((of("/machine/operational_g/central") - kwh * 1.5 * 100.0).abs() < 1e-6, "{answer}");
    assert!(of("/total/carbon_g/low") < of("/total/carbon_g/central"), "{answer}");
    assert_eq!(answer["place"]["intensity_tier"], "configured");
}

#[test]
fn unknown_names_come_back_with_the_nearest_and_with_what_stands_in() {
    let (_folder, path) = configured("");
    let arguments = ["footprint", "--instance", "m7i.7xlarge", "--region", "eu-wset-1", "--tokens", "gpt-4oo:10:10"];
    let output = output(&[&arguments[..], &["--config", &path]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let page = text(&output.stdout);
    for words in ["eu-west-1", "tier", "m7i.8xlarge", "gpt-4o", "nothing is guessed", "unknown"] {
        assert!(page.contains(words), "{words:?} is missing in:\n{page}");
    }
    let nonsense = crate::support::output(&["footprint", "--instance", "nonsense", "--config", &path]);
    assert_eq!(nonsense.status.code(), Some(2));
    assert!(text(&nonsense.stderr).contains("no instance type"), "{}", text(&nonsense.stderr));
}

#[test]
fn a_past_year_has_its_own_factor_and_says_so() {
    let (_folder, path) = configured("");
    let of = |at: &str| {
        let output = output(&["factors", "--region", "eu-west-2", "--at", at, "--json", "--config", &path]);
        let factors: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        (
            factors["intensity"]["source"].as_str().unwrap().to_owned(),
            factors["intensity"]["g_per_kwh"].as_f64().unwrap(),
        )
    };
    let (early, late) = (of("2021"), of("2025-06-30"));
    assert!(early.0.ends_with("-2021") && late.0.ends_with("-2025"), "{early:?} {late:?}");
    assert!(early.1 > late.1, "Great Britain's grid became cleaner");
}

#[test]
fn the_tables_are_told_with_age_and_licence() {
    let (_folder, path) = configured("");
    let output = output(&["factors", "--json", "--config", &path]);
    let factors: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let tables = factors["tables"].as_array().unwrap();
    assert!(
        tables.iter().all(|table| table["rows"].as_u64() > Some(0) && table["licences"][0].is_string()),
        "{factors}"
    );
    assert!(tables.iter().any(|table| table["name"] == "ec2_instance" && table["rows"].as_u64() >= Some(1390)));
}

#[test]
fn a_malformed_price_file_is_told_by_line_and_column() {
    let folder = tempfile::tempdir().unwrap();
    let prices = folder.path().join("prices.csv");
    fs::write(&prices, "region,instance_type,usd_per_hour\nus-east-1,m5.large,cheap\n").unwrap();
    let (_folder, path) = configured(&format!("[cost]\ninstance_prices = {prices:?}\n"));
    let output = output(&["check", "--offline", "--config", &path]);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    for words in ["cost.instance_prices", "prices.csv", "line 2", "column 20", "cheap"] {
        assert!(error.contains(words), "{words:?} is missing in:\n{error}");
    }
}

#[test]
fn a_mistyped_region_of_the_machine_is_refused_with_the_nearest() {
    let (_folder, path) = configured("[machine]\nprovider = \"aws\"\nregion = \"us-eats-1\"\n");
    let output = output(&["check", "--offline", "--config", &path]);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("machine.region = us-eats-1") && error.contains("us-east-1"), "{error}");
}
