//! Any bytes as a file of AWS's logs.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wattline_tests::parsers::bedrock::play;

fuzz_target!(|data: &[u8]| play(data));
