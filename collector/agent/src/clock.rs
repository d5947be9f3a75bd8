//! The only place that asks what time it is.

use rustix::time::{ClockId, clock_gettime};
use wattline_core::{Instant, Tick, Timestamp};

/// Now, on both clocks.
pub fn tick() -> Tick {
    Tick { at: Instant::from_nanos(read(ClockId::Monotonic)), wall: wall() }
}

/// Now, on the civil clock.
pub fn wall() -> Timestamp {
    Timestamp::from_unix_nanos(read(ClockId::Realtime))
}

fn read(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}
