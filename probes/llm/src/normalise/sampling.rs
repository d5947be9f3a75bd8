//! How many calls one seen call stands for.

use wattline_core::Ratio;

/// The rejection threshold has 56 bits.
const THRESHOLDS: f64 = (1u64 << 56) as f64;
/// One call in a million is the rarest sampling that is believed: a smaller probability would let a single broken
/// header outweigh all honest ones.
const RAREST: f64 = 1e-6;

/// The share of calls that the sender lets through, from the `ot=th:` entry of a W3C `tracestate` header: of 2^56
/// thresholds, those from `th` on are sampled. 1 where nothing is said, or nothing that can be read.
///
/// Source: OpenTelemetry specification, "TraceState: Probability Sampling".
pub(super) fn probability(trace_state: &str) -> Ratio {
    Ratio::new(threshold(trace_state).map_or(1.0, |threshold| 1.0 - threshold as f64 / THRESHOLDS).max(RAREST))
}

fn threshold(trace_state: &str) -> Option<u64> {
    let of_opentelemetry = trace_state.split(',').find_map(|member| member.trim().strip_prefix("ot="))?;
    let digits = of_opentelemetry.split(';').find_map(|entry| entry.strip_prefix("th:"))?;
    // One to fourteen digits; those left out at the end are zeros.
    if digits.is_empty() || digits.len() > 14 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let shift = 4 * (14 - digits.len());
    u64::from_str_radix(digits, 16).ok().map(|value| value << shift)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn thresholds_are_read_as_the_specification_writes_them() {
        for (header, expected) in [
            ("", 1.0),
            ("ot=th:0", 1.0),
            ("ot=th:8", 0.5),
            ("ot=th:c", 0.25),
            ("ot=th:fd70a4", 0.01),
            ("vendor=x, ot=rv:00ab;th:8,other=ot", 0.5),
            ("xot=th:8", 1.0),
            ("ot=p:8", 1.0),
            ("ot=th:", 1.0),
            ("ot=th:+8", 1.0),
            ("ot=th:123456789abcdef", 1.0),
        ] {
            assert!((probability(header).get() - expected).abs() < 1e-6, "{header}");
        }
    }

    #[test]
    fn a_threshold_that_lets_nothing_through_does_not_count_for_everything() {
        assert_eq!(probability("ot=th:ffffffffffffff"), Ratio::new(RAREST));
    }

    proptest! {
        #[test]
        fn any_header_gives_a_share(header in "(ot=)?(th:)?[0-9a-z;,:= ]{0,20}") {
            let share = probability(&header).get();
            prop_assert!((RAREST..=1.0).contains(&share));
        }
    }
}
