//! The vocabulary of wattline: what every other crate speaks, and nothing that acts.
//!
//! Quantities are types, books are integers, time and files come in as arguments. This crate opens host files
//! only through [`HostRoot`], reads no clock and starts no task.

pub mod attribute;
pub mod books;
pub mod counter;
pub mod finding;
pub mod flow;
pub mod histogram;
pub mod host_root;
pub mod metrics;
pub mod quantity;
pub mod queue;
pub mod reading;
pub mod receipt;
pub mod sample;
pub mod secret;
pub mod subject;
pub mod telemetry;
pub mod time;
pub mod usage;
pub mod words;

pub use attribute::{Attribute, Text};
pub use books::{MicroJoules, Microliters, NanoUsd, Nanograms, apportion};
pub use counter::{Counter, Step};
pub use finding::Finding;
pub use flow::{Envelope, Exporter, Feed, Outlet, Probe, ReadError, Receiver, Signal, Snapshot};
pub use histogram::ExponentialHistogram;
pub use host_root::HostRoot;
pub use quantity::{
    Bytes, Celsius, Count, GramsCo2e, GramsPerHour, GramsPerKwh, Hertz, Joules, Liters, LitersPerKwh, Quantity, Ratio,
    Seconds, Tokens, Usd, UsdPerHour, UsdPerKwh, Watts,
};
pub use reading::{Inventory, Reading, Readings};
pub use receipt::Receipt;
pub use sample::{Descriptor, Instrument, Metric, Sample, Value};
pub use subject::{Device, DeviceKind, DeviceSlice, Subject, Workload};
pub use telemetry::Telemetry;
pub use time::{Instant, Tick, Timestamp};
pub use usage::{Method, Uncertainty};
