//! Calls of language models, as the applications tell of them.
//!
//! [`otlp`] takes telemetry in over the OpenTelemetry protocol, relays it as it came and hands the calls that its
//! spans tell of to the pipeline. [`normalise`] reads those calls out of spans. Both know no energy model and no
//! price; they only read. [`content`] says what of the messages themselves goes on.

pub mod bedrock;
pub mod content;
pub mod engines;
pub mod identity;
mod journal;
pub mod normalise;
pub mod otlp;
