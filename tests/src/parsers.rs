//! What must hold of each parser of foreign bytes, whatever it is given.
//!
//! The fuzz targets (`tests/fuzz`) and the test over their corpus (`tests/it/parsers.rs`) play the same functions. Each
//! takes one whole input and panics where something does not hold, saying what.

pub mod bedrock;
mod calls;
pub mod exposition;
pub mod fixtures;
pub mod json;
pub mod protobuf;

use wattline_core::Timestamp;

/// When everything is read. The fixtures were captured at this time.
const NOW: Timestamp = Timestamp::from_unix_nanos(1_790_000_100_000_000_000);

/// A parser, by the name of its fuzz target.
#[derive(Clone, Copy, Debug)]
pub struct Parser {
    /// The name of the target, and of the folder of its corpus.
    pub name: &'static str,
    /// Plays one input.
    pub play: fn(&[u8]),
}

/// All of them.
pub const ALL: [Parser; 4] = [
    Parser { name: "otlp_protobuf", play: protobuf::play },
    Parser { name: "otlp_json", play: json::play },
    Parser { name: "exposition", play: exposition::play },
    Parser { name: "bedrock", play: bedrock::play },
];
