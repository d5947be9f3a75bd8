//! What a running agent makes of the calls that it is told of.

use serde_json::Value;

use crate::support::{CALL, Figure, Running, TO_STDOUT, answer, configured, free_address, output, send, text};

/// A value of an attribute of the span on this line, if there is one.
fn attribute(line: &str, key: &str) -> Option<Value> {
    let request: Value = serde_json::from_str(line).ok()?;
    let span = request.pointer("/resourceSpans/0/scopeSpans/0/spans/0")?;
    let attribute = span["attributes"].as_array()?.iter().find(|attribute| attribute["key"] == key)?;
    Some(attribute["value"].clone())
}

#[test]
fn a_relayed_span_bears_what_the_books_say_of_its_call_and_a_second_account_adds_nothing() {
    let address = free_address();
    let listen = format!(
        "{TO_STDOUT}[relay]\nenrich = true\n[admin]\nenabled = false\n[probes.otlp.grpc]\nenabled = false\n\
         [probes.otlp.http]\nlisten = \"{address}\"\n"
    );
    let (_folder, path) = configured(&listen);
    let mut agent = Running::start(&["--config", &path]);
    agent.wait_for("listening for OTLP");
    for _ in 0..2 {
        assert!(answer(send(address, CALL.len(), CALL)).starts_with("HTTP/1.1 200"));
    }
    let (energy, method) = agent.wait_in_output("a relayed span", |line| {
        Some((attribute(line, "inference.energy")?["doubleValue"].as_f64()?, attribute(line, "energy.method")?))
    });
    assert_eq!(method["stringValue"], "modelled");
    let snapshot = agent.wait_for_figure(Figure("inference.calls", &[]), 1.0);
    let booked = Figure("inference.energy", &[]).of(&snapshot).unwrap();
    assert!((booked - energy).abs() < 1e-6, "{booked} J booked, {energy} J on the span");
    assert_eq!(agent.stop(), Some(0));
}

#[test]
fn a_recording_comes_to_what_its_calls_were() {
    let folder = tempfile::tempdir().unwrap();
    let recording = folder.path().join("recorded.jsonl");
    let other = CALL.replace("0000000000000001\",\"name", "0000000000000002\",\"name").replace("17000000", "17001000");
    // The first call stands in it twice; the second is two days later.
    let lines = [CALL, &other, CALL].map(|call| call.replace('\n', " ")).join("\n");
    std::fs::write(&recording, lines).unwrap();
    let replayed = output(&["replay", recording.to_str().unwrap(), "--by", "day", "--json"]);
    let account: Value = serde_json::from_str(&text(&replayed.stdout)).unwrap();
    let days: Vec<_> = account["rows"].as_array().unwrap().iter().map(|row| (&row["name"], &row["calls"])).collect();
    let (first, second) = (Value::from("2023-11-14"), Value::from("2023-11-16"));
    assert_eq!(days, [(&first, &Value::from(1.0)), (&second, &Value::from(1.0))]);
    assert_eq!(
        (&account["total"]["input_tokens"], &account["total"]["output_tokens"]),
        (&Value::from(20.0), &Value::from(40.0))
    );

    let refused = output(&["replay", recording.to_str().unwrap(), "--by", "device"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("choose model, provider"), "{}", text(&refused.stderr));
}
