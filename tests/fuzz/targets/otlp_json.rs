//! Any bytes as a request of OTLP in JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wattline_tests::parsers::json::play;

fuzz_target!(|data: &[u8]| play(data));
