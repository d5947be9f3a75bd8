//! Times in log records.

use serde_json::Value;
use wattline_core::Timestamp;

/// A time as a text (RFC 3339) or as a number since the Unix epoch, in seconds, milliseconds, microseconds or
/// nanoseconds as its size tells.
pub(super) fn timestamp(value: &Value) -> Option<Timestamp> {
    match value {
        Value::String(text) => rfc3339(text.trim()),
        Value::Number(number) => since_epoch(number.as_f64()?),
        _ => None,
    }
}

fn since_epoch(number: f64) -> Option<Timestamp> {
    // The year 5138 in seconds is 1973 in milliseconds, and so on: nothing that is logged is ambiguous.
    let nanos_each = match number {
        number if !(0.0..1e20).contains(&number) => return None,
        number if number < 1e11 => 1e9,
        number if number < 1e14 => 1e6,
        number if number < 1e17 => 1e3,
        _ => 1.0,
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates; it is not negative")]
    Some(Timestamp::from_unix_nanos((number * nanos_each) as u64))
}

/// `2025-06-26T12:00:00Z`, with or without a fraction, with `Z` or an offset.
fn rfc3339(text: &str) -> Option<Timestamp> {
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = text.get(from..to)?;
        if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
    };
    let mark = |at: usize, marks: &str| text.get(at..=at).filter(|mark| marks.contains(*mark)).map(|_| ());
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    mark(4, "-").and(mark(7, "-")).and(mark(10, "Tt ")).and(mark(13, ":")).and(mark(16, ":"))?;
    let in_range = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    if !in_range {
        return None;
    }
    let rest = text.get(19..)?;
    let digits = rest
        .strip_prefix('.')
        .map_or("", |rest| rest.get(..rest.bytes().take_while(u8::is_ascii_digit).count()).unwrap_or_default());
    let fraction: u64 = if digits.is_empty() {
        0
    } else {
        let nine: String = digits.chars().chain("000000000".chars()).take(9).collect();
        nine.parse().ok()?
    };
    let zone = rest.get(if digits.is_empty() { 0 } else { digits.len() + 1 }..)?;
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset(zone)?;
    u64::try_from(seconds).ok()?.checked_mul(1_000_000_000)?.checked_add(fraction).map(Timestamp::from_unix_nanos)
}

/// Seconds that the zone's clocks are ahead of UTC.
fn offset(zone: &str) -> Option<i64> {
    let sign = match zone.bytes().next() {
        Some(b'Z' | b'z') if zone.len() == 1 => return Some(0),
        Some(b'+') => 1,
        Some(b'-') => -1,
        _ => return None,
    };
    let digits: String = zone.get(1..)?.chars().filter(|&c| c != ':').collect();
    if digits.len() != 4 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes): (i64, i64) = (digits.get(..2)?.parse().ok()?, digits.get(2..)?.parse().ok()?);
    Some(sign * (hours * 3600 + minutes * 60))
}

/// Days since 1970-01-01 in the Gregorian calendar (H. Hinnant, "chrono-compatible low-level date algorithms").
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nanos(text: &str) -> Option<u64> {
        timestamp(&Value::from(text)).map(Timestamp::unix_nanos)
    }

    #[test]
    fn texts_and_numbers_of_one_moment_are_one_time() {
        let expected = Some(1_750_939_200_000_000_000);
        for text in [
            "2025-06-26T12:00:00Z",
            "2025-06-26T12:00:00.000Z",
            "2025-06-26 14:00:00+02:00",
            "2025-06-26T07:00:00-0500",
        ] {
            assert_eq!(nanos(text), expected, "{text}");
        }
        for number in [1_750_939_200_u64, 1_750_939_200_000, 1_750_939_200_000_000] {
            assert_eq!(timestamp(&Value::from(number)).map(Timestamp::unix_nanos), expected, "{number}");
        }
        assert_eq!(nanos("2024-02-29T00:00:00.25Z"), Some(1_709_164_800_250_000_000));
        for wrong in
            ["", "yesterday", "2025-13-01T00:00:00Z", "2025-06-26T12:00:00", "1969-12-31T23:59:59Z", "2025-06-26"]
        {
            assert_eq!(nanos(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_time_panics(text in "\\PC{0,40}|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{0,20}[Z+-]?[0-9:]{0,6}", number: f64) {
            let _times = (nanos(&text), timestamp(&Value::from(number)));
        }
    }
}
