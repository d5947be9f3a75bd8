//! Live carbon intensity, from a provider to the figures.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::*;

const LIVE: Figure<'_> = Figure("carbon.intensity", &[("carbon.tier", "live")]);
const YEARLY: Figure<'_> = Figure("carbon.intensity", &[("carbon.tier", "zone")]);
const UP: Figure<'_> = Figure("wattline.probe.up", &[("wattline.probe", "intensity")]);

/// A provider that answers every question about `DE` with `status` and `body`, and its address.
fn provider(status: &'static str, body: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let request = lines.next().unwrap_or_default();
            let has_key = lines.take_while(|line| !line.is_empty()).any(|line| line == "auth-token: key-of-the-test");
            let asked = request.starts_with("GET /v3/carbon-intensity/latest?zone=DE ") && has_key;
            let (status, body) = if asked { (status, body.as_str()) } else { ("404 Not Found", "{}") };
            let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}", body.len());
            write!(stream, "{head}\r\nconnection: close\r\n\r\n{body}").ok();
        }
    });
    format!("http://{address}")
}

/// What Electricity Maps says in the hour of now.
fn this_hour(grams: f64) -> String {
    let hour = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 3600 * 3600;
    let hour = humantime::format_rfc3339_millis(UNIX_EPOCH + std::time::Duration::from_secs(hour));
    format!(
        "{{\"zone\":\"DE\",\"carbonIntensity\":{grams},\"datetime\":\"{hour}\",\"updatedAt\":\"{hour}\",\
         \"emissionFactorType\":\"lifecycle\",\"isEstimated\":false,\"estimationMethod\":null}}"
    )
}

fn live(folder: &tempfile::TempDir, path: &str, endpoint: &str) {
    let key = folder.path().join("key");
    std::fs::write(&key, "key-of-the-test\n").unwrap();
    let config = std::fs::read_to_string(path).unwrap();
    let table = format!(
        "[carbon]\nzone = \"DE\"\npue = 1.0\n[carbon.live]\nprovider = \"electricity_maps\"\nzone = \"DE\"\nendpoint = \
         \"{endpoint}\"\nkey_file = {key:?}\n"
    );
    std::fs::write(path, format!("{config}{table}")).unwrap();
}

#[test]
fn what_a_provider_says_of_now_is_reckoned_with() {
    let (folder, path) = configured(&format!("{NO_LISTENERS}{TO_STDOUT}"));
    live(&folder, &path, &provider("200 OK", this_hour(123.0)));
    let mut agent = Running::start(&["--config", &path]);
    let snapshot = agent.wait_for_figure(LIVE, 123.0);
    assert_eq!((YEARLY.of(&snapshot), UP.of(&snapshot)), (None, Some(1.0)), "{snapshot}");
    // A kilowatt-hour from here on is 123 g, with a PUE of 1: 3.6 MJ by the package's counter, and the same again for
    // what is modelled beside it.
    let operational = Figure("host.carbon", &[("carbon.kind", "operational")]);
    let energy = Figure("hw.host.energy", &[]);
    let (grams, joules) = (operational.of(&snapshot).unwrap(), energy.of(&snapshot).unwrap());
    set_energy(&folder, 5_000_000 + 3_600_000);
    let (grams, joules) = agent.wait_in_output("another window", |line| {
        let snapshot = serde_json::from_str(line).ok()?;
        let drawn = energy.of(&snapshot)? - joules;
        (drawn > 3.6).then(|| (operational.of(&snapshot).unwrap() - grams, drawn))
    });
    assert!((grams - joules / 3.6e6 * 123.0).abs() < 1e-7, "{grams} g of {joules} J");
    assert_eq!(agent.stop(), Some(0));
    let factors = output(&["factors", "--json", "--config", &path]);
    let factors: serde_json::Value = serde_json::from_slice(&factors.stdout).unwrap();
    assert_eq!((&factors["intensity"]["tier"], &factors["intensity"]["g_per_kwh"]), (&"live".into(), &123.0.into()));
}

#[test]
fn a_provider_that_fails_leaves_the_yearly_average_and_is_said_once() {
    let (folder, path) = configured(&format!("{NO_LISTENERS}{TO_STDOUT}"));
    live(&folder, &path, &provider("500 Internal Server Error", "<html>oops</html>".to_owned()));
    let mut agent = Running::start(&["--config", &path]);
    let snapshot = agent.wait_in_output("a snapshot with the provider down", |line| {
        let snapshot = serde_json::from_str(line).ok()?;
        (UP.of(&snapshot) == Some(0.0)).then_some(snapshot)
    });
    assert!(YEARLY.of(&snapshot).is_some_and(|grams| grams > 100.0) && LIVE.of(&snapshot).is_none(), "{snapshot}");
    agent.wait_for("500");
    assert_eq!(agent.log_lines("500"), 1, "one line for each change of state");
    assert_eq!(agent.stop(), Some(0));
    let doctor = output(&["doctor", "--json", "--config", &path]);
    let findings: serde_json::Value = serde_json::from_slice(&doctor.stdout).unwrap();
    let line = findings["sources"].as_array().unwrap().iter().find(|line| line["name"] == "carbon.live").unwrap();
    assert!(line["state"] == "failed" && line["detail"].as_str().unwrap().contains("500"), "{line}");
    assert!(!text(&doctor.stdout).contains("key-of-the-test"));
}

#[test]
fn a_provider_without_what_it_needs_is_refused_with_its_key() {
    let (_folder, path) = configured("[carbon.live]\nprovider = \"watttime\"\nzone = \"CAISO_NORTH\"\n");
    let output = output(&["check", "--offline", "--config", &path]);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("carbon.live"), "{error}");
}
