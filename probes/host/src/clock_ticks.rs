//! The kernel's clock ticks, in which `/proc` states CPU time.

/// Nanoseconds of `ticks`, at the rate that the kernel announced to this process (`_SC_CLK_TCK`, 100 a second on
/// every Linux known). More than 584 years saturate.
pub(crate) fn nanos(ticks: u64) -> u64 {
    at_rate(ticks, rustix::param::clock_ticks_per_second())
}

fn at_rate(ticks: u64, per_second: u64) -> u64 {
    let nanos = u128::from(ticks) * 1_000_000_000 / u128::from(per_second.max(1));
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_is_ten_milliseconds_at_the_usual_rate() {
        assert_eq!(at_rate(1, 100), 10_000_000);
        assert_eq!(at_rate(3, 1024), 2_929_687);
    }

    #[test]
    fn absurd_tick_counts_and_rates_saturate() {
        assert_eq!(at_rate(u64::MAX, 100), u64::MAX);
        assert_eq!(at_rate(1, 0), 1_000_000_000);
    }
}
