//! Any bytes as texts of an inference engine.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wattline_tests::parsers::exposition::play;

fuzz_target!(|data: &[u8]| play(data));
