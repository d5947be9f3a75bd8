//! Any bytes as a request of OTLP in protobuf.
#![no_main]

mod fields;

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use wattline_tests::parsers::protobuf::play;

fuzz_target!(|data: &[u8]| play(data));

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    fields::mutate(data, size, max_size, seed)
});
