//! Memory: what it draws to stand ready, and what it draws to be read and written.

use wattline_core::{Ratio, Uncertainty, Watts};

/// Refresh and standby, drawn whoever uses the memory and however much of it.
/// Source: RAPL of EC2 servers at rest, as in the Teads EC2 dataset: m5.metal 57.8 W and m5n.metal 59.7 W for 384 GB
/// each. Others: c5.metal 0.19, and 0.02 where the server reached deep sleep.
const STANDING_WATTS_PER_GB: f64 = 0.15;

/// Reading and writing at full load of the processors, which is the only witness of it.
/// Source: 0.39 W for each gigabyte at full load, less the above. Cloud Carbon Footprint 0.392 (Crucial 0.375, Micron
/// 0.408), Green Algorithms 0.3725; `Boavizta` 0.284. Programs made to exhaust memory reach 1.0.
const ACTIVE_WATTS_PER_GB: f64 = 0.24;

/// Gigabytes for each hardware thread of the server that the figures above are of, m5.metal: twelve modules of 32 GB for
/// 96 threads. More for each thread means larger modules, not more of them.
const GB_PER_THREAD: f64 = 4.0;

/// A larger module draws less for each of its gigabytes: by this power of its size. Between the two servers above, modules
/// of 16 and of 32 GB, it is 0.34; tools that take one figure for a module of any size, as `CodeCarbon` does, have it at
/// 1. A half lies between them, and is ours.
const LARGER_MODULES: f64 = 0.5;

/// From 0.15 to 1.1 W for each gigabyte: ln(1.1 / 0.15) over four deviations.
const SIGMA: f64 = 0.50;

/// Watts of each gigabyte installed, at a load of the processors between 0 and 1.
pub(super) fn watts_per_gb(load: f64) -> f64 {
    STANDING_WATTS_PER_GB + ACTIVE_WATTS_PER_GB * load
}

/// Gigabytes of the modules that the figures are of which draw as much as `gigabytes` do in a machine of `threads`.
pub(super) fn worth(gigabytes: f64, threads: f64) -> f64 {
    // No server has more than 64 times as much for each thread.
    let larger = (gigabytes / (GB_PER_THREAD * threads)).clamp(1.0, 64.0);
    gigabytes * larger.powf(-LARGER_MODULES)
}

/// What `gigabytes` draw; of it what stands idle, which is the standing power of what nobody uses; and of it what
/// reading and writing take.
pub(super) fn power(gigabytes: f64, load: f64, used: Ratio) -> [Watts; 3] {
    let idle = STANDING_WATTS_PER_GB * (1.0 - used.get());
    let moving = ACTIVE_WATTS_PER_GB * load;
    [watts_per_gb(load), idle, moving].map(|each| Watts::new(gigabytes * each))
}

pub(super) const fn uncertainty() -> Uncertainty {
    Uncertainty::from_sigma(SIGMA)
}
