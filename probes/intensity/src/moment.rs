//! Points in time as providers write them.
//!
//! RFC 3339 with three liberties that they take: seconds may be left out, an offset may lack its colon, and a lower
//! case letter may stand for `T` and `Z`. A time without offset is refused, because nobody knows what it means.

use wattline_core::Timestamp;

const DAY_SECONDS: i64 = 86_400;

/// Reads `2018-01-20T12:00Z`, `2022-07-15T00:00:00+00:00`, `2026-11-22T13:00:00.000Z`. `None` for anything else, and
/// before 1970 or after the year 2554, where nanoseconds in 64 bits end.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    let mut rest = text.trim();
    let year = digits(&mut rest, 4)?;
    let month = after('-', &mut rest).and_then(|()| digits(&mut rest, 2))?;
    let day = after('-', &mut rest).and_then(|()| digits(&mut rest, 2))?;
    rest = rest.strip_prefix(['T', 't', ' '])?;
    let hour = digits(&mut rest, 2)?;
    let minute = after(':', &mut rest).and_then(|()| digits(&mut rest, 2))?;
    let (mut second, mut nanos) = (0, 0);
    if after(':', &mut rest).is_some() {
        second = digits(&mut rest, 2)?;
        if after('.', &mut rest).is_some() {
            nanos = fraction(&mut rest)?;
        }
    }
    let offset = offset(rest)?;
    if !(1..=12).contains(&month) || !(1..=days_in(year, month)).contains(&day) {
        return None;
    }
    // A leap second is told as 60 and lasts no longer than the next.
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let seconds = days_before(year, month, day) * DAY_SECONDS + hour * 3600 + minute * 60 + second.min(59) - offset;
    let seconds = u64::try_from(seconds).ok()?;
    Some(Timestamp::from_unix_nanos(seconds.checked_mul(1_000_000_000)?.checked_add(nanos)?))
}

/// `2018-01-20T12:00Z`, as the UK's and `WattTime`'s addresses want it.
pub(crate) fn minutes(at: Timestamp) -> String {
    let [year, month, day, hour, minute] = civil(at);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}Z")
}

/// `201801201200`, as ENTSO-E wants it.
pub(crate) fn compact(at: Timestamp) -> String {
    let [year, month, day, hour, minute] = civil(at);
    format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}")
}

/// A point in time from seconds since the epoch; `None` where it is before or too far after.
pub(crate) fn from_unix_seconds(seconds: i64) -> Option<Timestamp> {
    let seconds = u64::try_from(seconds).ok()?;
    seconds.checked_mul(1_000_000_000).map(Timestamp::from_unix_nanos)
}

/// The last whole `step_seconds` since the epoch that is not after `at`.
pub(crate) fn floor(at: Timestamp, step_seconds: u64) -> Timestamp {
    let step_nanos = step_seconds.saturating_mul(1_000_000_000).max(1);
    Timestamp::from_unix_nanos(at.unix_nanos() / step_nanos * step_nanos)
}

/// `at` moved ahead.
pub(crate) fn ahead(at: Timestamp, seconds: u64) -> Timestamp {
    Timestamp::from_unix_nanos(at.unix_nanos().saturating_add(seconds.saturating_mul(1_000_000_000)))
}

fn after(sign: char, rest: &mut &str) -> Option<()> {
    *rest = rest.strip_prefix(sign)?;
    Some(())
}

fn digits(rest: &mut &str, count: usize) -> Option<i64> {
    let (head, tail) = rest.split_at_checked(count)?;
    if !head.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    *rest = tail;
    head.parse().ok()
}

/// Digits after a point, as nanoseconds. What is finer is cut.
fn fraction(rest: &mut &str) -> Option<u64> {
    let length = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (head, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    let head = head.get(..length.min(9)).filter(|head| !head.is_empty())?;
    format!("{head:0<9}").parse().ok()
}

/// Seconds east of Greenwich.
fn offset(text: &str) -> Option<i64> {
    if text == "Z" || text == "z" {
        return Some(0);
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let mut rest = text.strip_prefix(['+', '-'])?;
    let hours = digits(&mut rest, 2)?;
    rest = rest.strip_prefix(':').unwrap_or(rest);
    let minutes = if rest.is_empty() { 0 } else { digits(&mut rest, 2)? };
    (rest.is_empty() && hours <= 23 && minutes <= 59).then_some(sign * (hours * 3600 + minutes * 60))
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a day of the Gregorian calendar: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms",
/// `days_from_civil`. Years begin in March there, so that the leap day comes last.
fn days_before(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Year, month, day, hour and minute: `civil_from_days` of the same source.
fn civil(at: Timestamp) -> [u64; 5] {
    let seconds = at.unix_seconds();
    let days = seconds / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    [year, month, day, seconds / 3600 % 24, seconds / 60 % 60]
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use proptest::prelude::*;

    use super::*;

    fn seconds(text: &str) -> Option<u64> {
        parse(text).map(Timestamp::unix_seconds)
    }

    #[test]
    fn every_way_in_which_providers_write_a_time_is_read() {
        // `date -u -d 2018-01-20T12:00Z +%s` and so on.
        assert_eq!(seconds("2018-01-20T12:00Z"), Some(1_516_449_600));
        assert_eq!(seconds("2022-07-15T00:00:00+00:00"), Some(1_657_843_200));
        assert_eq!(seconds("2022-07-15T02:00:00+0200"), Some(1_657_843_200));
        assert_eq!(seconds("2022-07-14T18:30:00-05:30"), Some(1_657_843_200));
        assert_eq!(seconds(" 2024-02-29 23:59:60Z "), Some(1_709_251_199));
        let moment = parse("2018-04-25T18:07:00.350Z").unwrap();
        assert_eq!(moment.unix_nanos(), 1_524_679_620_350_000_000);
    }

    #[test]
    fn what_is_no_time_or_has_no_offset_is_refused() {
        for wrong in [
            "",
            "now",
            "2018-01-20",
            "2018-01-20T12:00",
            "2018-01-20T12Z",
            "2018-13-20T12:00Z",
            "2023-02-29T12:00Z",
            "2018-01-20T24:00Z",
            "2018-01-20T12:00:00.Z",
            "2018-01-20T12:00+1",
            "1969-12-31T23:59Z",
            "2018-01-20T12:00Zé",
            "+018-01-20T12:00Z",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn the_calendar_is_that_of_an_independent_crate(unix in 0_u64..18_000_000_000) {
            // httpdate writes `Sun, 06 Nov 1994 08:49:37 GMT`.
            let oracle = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(unix));
            let parts: Vec<&str> = oracle.split([' ', ':']).collect();
            let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
            let month = months.iter().position(|name| *name == parts[2]).unwrap() + 1;
            let expected = format!("{}-{month:02}-{}T{}:{}Z", parts[3], parts[1], parts[4], parts[5]);
            let at = ahead(Timestamp::default(), unix);
            prop_assert_eq!(minutes(at), expected.clone());
            prop_assert_eq!(seconds(&expected), Some(unix / 60 * 60));
            prop_assert_eq!(compact(at), expected.replace(['-', ':', 'T', 'Z'], ""));
        }

        #[test]
        fn no_text_is_a_panic(text: String, near in "[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\\.[0-9]{0,12})?)?([Zz]|[+-][0-9:]{2,5})?") {
            let _nothing = (parse(&text), parse(&near));
        }
    }
}
