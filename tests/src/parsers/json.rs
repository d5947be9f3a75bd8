//! A body of OTLP in JSON: turned into protobuf, it goes the way of every other.

use wattline_core::Signal;
use wattline_wire::json::{JsonError, to_protobuf};
use wattline_wire::schema::{Limits, check};

use super::protobuf::{self, Decoded, SIGNALS};

/// More than any input becomes.
const ROOM: usize = 64 << 20;
const UNLIMITED: Limits = Limits { attributes: u32::MAX };
/// Where a request has numbers that may be infinite or none.
const DOUBLES: [&str; 8] = ["doubleValue", "asDouble", "sum", "min", "max", "quantile", "value", "zeroThreshold"];

/// Plays a body as a request of each signal.
pub fn play(body: &[u8]) {
    for signal in SIGNALS {
        let Ok(bytes) = to_protobuf(signal, body, ROOM) else { continue };
        if bytes.is_empty() {
            // The names of another signal, which are passed over.
            continue;
        }
        assert!(check(signal, &bytes, UNLIMITED).is_ok(), "{signal:?}: what is written is not accepted");
        limited(signal, body, &bytes);
        written_again(signal, &bytes);
        protobuf::play(&bytes);
    }
}

/// A limit of bytes holds to the byte.
fn limited(signal: Signal, body: &[u8], bytes: &[u8]) {
    let limited = to_protobuf(signal, body, bytes.len() - 1);
    assert!(matches!(limited, Err(JsonError::TooLarge { .. })), "{signal:?}: {} bytes in one less", bytes.len());
    let exact = to_protobuf(signal, body, bytes.len());
    assert!(exact.is_ok_and(|exact| exact == bytes), "{signal:?}: another request in just as many bytes");
}

/// What the crate of the protocol writes as JSON is the same request.
fn written_again(signal: Signal, bytes: &[u8]) {
    let Some(decoded) = Decoded::read(signal, bytes) else { panic!("{signal:?}: not read") };
    let json = decoded.json();
    let Ok(again) = to_protobuf(signal, &json, ROOM) else {
        panic!("{signal:?}: not read again: {}", String::from_utf8_lossy(&json))
    };
    let Some(again) = Decoded::read(signal, &again) else { panic!("{signal:?}: not read again") };
    let json = String::from_utf8_lossy(&json);
    assert!(again.encoded() == decoded.encoded() || lacks_a_number(&json), "{signal:?}: another request: {json}");
}

/// Whether a number may have been lost: infinite ones and none are null as the crate writes them.
fn lacks_a_number(json: &str) -> bool {
    json.contains("[null")
        || json.contains(",null")
        || DOUBLES.iter().any(|name| json.contains(&format!("\"{name}\":null")))
}
