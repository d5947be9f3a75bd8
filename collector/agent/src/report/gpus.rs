//! What GPUs show, on the report. Their energy is among the devices.

use std::fmt::Write;

use serde::Serialize;
use wattline_core::reading::{AcceleratorReading, AcceleratorState};
use wattline_core::{Celsius, Ratio, Timestamp};

use super::short;
use crate::pipeline::Pipeline;
use crate::units::watts;

/// A GPU as it was seen last. A field that it does not tell is absent.
#[derive(Clone, Debug, Serialize)]
pub struct Gpu {
    /// `hw.id`: its uuid.
    pub id: String,
    /// The driver's number for it.
    pub index: u32,
    /// The product.
    pub name: String,
    /// `ok`, or what is wrong with it.
    pub state: String,
    /// Watts by its own meter, at the last reading.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub power_w: Option<f64>,
    /// Share of time in which some kernel ran, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utilization: Option<f64>,
    /// Bytes of memory that processes hold,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_used_bytes: Option<u64>,
    /// of all there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Degrees Celsius.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature_c: Option<f64>,
    /// Processes that hold it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processes: Option<usize>,
    /// Slices that it is cut into.
    pub slices: usize,
}

/// The GPUs that were read shortly before `at`, by number.
pub(super) fn of(pipeline: &Pipeline, at: Timestamp) -> Vec<Gpu> {
    let mut gpus: Vec<Gpu> = pipeline.accelerators().readings(at).map(Gpu::of).collect();
    gpus.sort_by_key(|gpu| gpu.index);
    gpus
}

/// Appends a table of them, if there are any.
pub(super) fn write(gpus: &[Gpu], out: &mut String) -> std::fmt::Result {
    if gpus.is_empty() {
        return Ok(());
    }
    writeln!(out, "{:<38}{:>9} {:>9} {:>19} {:>9} {:>12}", "GPU", "power", "busy", "memory", "heat", "processes")?;
    for gpu in gpus {
        let told = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        let memory = gpu.memory_used_bytes.zip(gpu.memory_bytes);
        let cut = if gpu.slices > 0 { format!(" in {} slices", gpu.slices) } else { String::new() };
        let name = short(&format!("{} {}{cut}", gpu.index, gpu.name), 37);
        writeln!(
            out,
            "{name:<38}{:>9} {:>9} {:>19} {:>9} {:>12}",
            told(gpu.power_w.map(watts)),
            told(gpu.utilization.map(|share| format!("{:.0} %", share * 100.0))),
            told(memory.map(|(used, all)| format!("{:.1} of {:.1} GB", used as f64 / 1e9, all as f64 / 1e9))),
            told(gpu.temperature_c.map(|degrees| format!("{degrees:.0} C"))),
            told(gpu.processes.map(|count| count.to_string())),
        )?;
        if gpu.state != "ok" {
            writeln!(out, "  {}", gpu.state)?;
        }
    }
    writeln!(out)
}

impl Gpu {
    fn of(reading: &AcceleratorReading) -> Self {
        let AcceleratorReading { device, facts, state, power, utilization, memory, temperatures, .. } = reading;
        Self {
            id: device.id.to_string(),
            index: facts.index,
            name: facts.name.to_string(),
            state: match state {
                AcceleratorState::Works => "ok".to_owned(),
                AcceleratorState::Degraded(why) => why.to_string(),
                AcceleratorState::Down(reason) => reason.as_str().to_owned(),
            },
            power_w: power.map(|power| power.power.get()),
            utilization: utilization.general.map(Ratio::get),
            memory_used_bytes: memory.map(|memory| memory.used),
            memory_bytes: memory.map(|memory| memory.total),
            temperature_c: temperatures.core.map(Celsius::get),
            processes: reading.processes.as_ref().map(Vec::len),
            slices: reading.slices.len(),
        }
    }
}
