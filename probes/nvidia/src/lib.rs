//! The NVIDIA probe: what GPUs, their slices and the processes on them show, by NVIDIA's management library (NVML).
//!
//! The library is loaded at run time, from a path that can be set. Where it is missing, the probe says so and looks again
//! now and then. All calls are made by one thread; a call that does not come back costs that thread and nobody else. A
//! GPU that fell off the bus is told to be down while the others are read on, and a driver that was unloaded under us is
//! taken up again with growing pauses.

mod access;
mod config;
mod features;
mod gpu;
mod health;
mod nvml;
mod probe;
mod processes;
mod session;
mod slices;
mod watched;
mod worker;

pub use access::Access;
pub use config::{Config, Mode};
pub use probe::{NAME, NvidiaProbe, PROCESSES};
