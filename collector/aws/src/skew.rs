//! A clock that AWS does not believe.

use std::time::Duration;

use wattline_core::Timestamp;

/// AWS takes signatures up to this far from its own clock.
const SKEW_MAX: Duration = Duration::from_mins(5);

/// What to tell of this machine's clock when it is further from the `Date` of an answer than AWS allows: it then
/// refuses each signature, whoever made it. `None` when the clock is well enough or the answer tells no date.
pub fn clock_skew(date: Option<&str>, now: Timestamp) -> Option<String> {
    let there = httpdate::parse_http_date(date?.trim()).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    let here = Duration::from_nanos(now.unix_nanos());
    let skew = here.abs_diff(there);
    if skew <= SKEW_MAX {
        return None;
    }
    let way = if here > there { "ahead of" } else { "behind" };
    let seconds = skew.as_secs();
    Some(format!(
        "the clock of this machine is {seconds} s {way} that of AWS, which allows {} s; set it by NTP (chrony or \
         systemd-timesyncd)",
        SKEW_MAX.as_secs()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_nanos(1_445_412_480_000_000_000);

    #[test]
    fn five_minutes_either_way_are_allowed() {
        for date in ["Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 2015 07:33:00 GMT", "Wed, 21 Oct 2015 07:23:00 GMT"]
        {
            assert_eq!(clock_skew(Some(date), NOW), None, "{date}");
        }
        assert_eq!((clock_skew(None, NOW), clock_skew(Some("yesterday"), NOW)), (None, None));
    }

    #[test]
    fn a_wrong_clock_is_told_with_its_direction() {
        let behind = clock_skew(Some("Wed, 21 Oct 2015 07:33:01 GMT"), NOW).unwrap();
        assert!(behind.contains("301 s behind that of AWS"), "{behind}");
        let ahead = clock_skew(Some("Tue, 20 Oct 2015 07:28:00 GMT"), NOW).unwrap();
        assert!(ahead.contains("86400 s ahead of that of AWS"), "{ahead}");
    }
}
