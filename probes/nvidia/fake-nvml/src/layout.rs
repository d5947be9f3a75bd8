//! The layouts of `nvml.h` (CUDA 13; the same since the versions that the names bear), written down from the header and
//! not taken from the bindings that the probe uses: two that agree are worth more than one.

use std::ffi::{c_char, c_uint, c_ulonglong, c_void};
use std::sync::Arc;

use crate::script::Script;

pub(crate) type Return = c_uint;
pub(crate) type Handle = *mut c_void;

/// `nvmlProcessInfo_t`, of `_v2` and of `_v3`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct ProcessInfo {
    pub(crate) pid: c_uint,
    pub(crate) used: c_ulonglong,
    pub(crate) gpu_instance: c_uint,
    pub(crate) compute_instance: c_uint,
}

/// `nvmlProcessUtilizationSample_t`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct UtilizationSample {
    pub(crate) pid: c_uint,
    pub(crate) at_us: c_ulonglong,
    pub(crate) shares: [c_uint; 4],
}

/// `nvmlMemory_v2_t`.
#[repr(C)]
pub(crate) struct Memory {
    pub(crate) version: c_uint,
    pub(crate) total: c_ulonglong,
    pub(crate) reserved: c_ulonglong,
    pub(crate) free: c_ulonglong,
    pub(crate) used: c_ulonglong,
}

impl Memory {
    /// What is neither reserved nor used is free.
    pub(crate) const fn of(total: u64, reserved: u64, used: u64) -> Self {
        let free = total.saturating_sub(reserved).saturating_sub(used);
        Self { version: MEMORY_V2, total, reserved, free, used }
    }
}

/// `nvmlFieldValue_t`. The last member is a union of eight bytes.
#[repr(C)]
pub(crate) struct FieldValue {
    pub(crate) id: c_uint,
    pub(crate) scope: c_uint,
    pub(crate) timestamp: i64,
    pub(crate) latency_us: i64,
    pub(crate) kind: c_uint,
    pub(crate) code: Return,
    pub(crate) value: u64,
}

/// `nvmlDeviceAttributes_t`.
#[repr(C)]
pub(crate) struct Attributes {
    pub(crate) multiprocessors: c_uint,
    pub(crate) engines: [c_uint; 5],
    pub(crate) gpu_slices: c_uint,
    pub(crate) compute_slices: c_uint,
    pub(crate) memory_mb: c_ulonglong,
}

/// `nvmlPciInfo_t`.
#[repr(C)]
pub(crate) struct PciInfo {
    pub(crate) bus_id_legacy: [c_char; 16],
    pub(crate) numbers: [c_uint; 5],
    pub(crate) bus_id: [c_char; 32],
}

/// `nvmlGpmMetric_t`.
#[repr(C)]
pub(crate) struct GpmMetric {
    pub(crate) id: c_uint,
    pub(crate) code: Return,
    pub(crate) value: f64,
    pub(crate) names: [*mut c_char; 3],
}

/// The head of `nvmlGpmMetricsGet_t`, after which the metrics follow.
#[repr(C)]
pub(crate) struct GpmMetrics {
    pub(crate) version: c_uint,
    pub(crate) count: c_uint,
    pub(crate) samples: [*mut GpmSample; 2],
    pub(crate) metrics: [GpmMetric; 0],
}

/// `nvmlEventData_t`.
#[repr(C)]
pub(crate) struct EventData {
    pub(crate) device: Handle,
    pub(crate) kind: c_ulonglong,
    pub(crate) data: c_ulonglong,
    pub(crate) instances: [c_uint; 2],
}

// As the C compiler lays them out on 64-bit Linux. A version word of NVML holds such a size.
const _: () = {
    assert!(size_of::<ProcessInfo>() == 24 && size_of::<UtilizationSample>() == 32);
    assert!(size_of::<Memory>() == 40 && size_of::<FieldValue>() == 40);
    assert!(size_of::<Attributes>() == 40 && size_of::<PciInfo>() == 68);
    assert!(size_of::<GpmMetric>() == 40 && size_of::<GpmMetrics>() == 24 && size_of::<EventData>() == 32);
};

/// `NVML_STRUCT_VERSION(Memory, 2)`.
pub(crate) const MEMORY_V2: c_uint = 0x0200_0028;

/// What was seen when a sample was taken: the script as it was, and of whom.
pub(crate) struct GpmSample(pub(crate) Option<(Arc<Script>, usize, String)>);

/// GPUs that tell of their critical errors.
pub(crate) struct EventSet(pub(crate) Vec<usize>);
