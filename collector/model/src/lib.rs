//! The meaning of readings: counters to energy, energy to workloads, carbon and cost; tokens to energy.
//!
//! Pure: no I/O, no clock, no task. Everything comes in as arguments and goes out as values.

pub mod accelerators;
pub mod cost;
pub mod footprint;
pub mod grid;
pub mod hardware;
pub mod host;
pub mod inference;
pub mod power;
pub mod sci;
