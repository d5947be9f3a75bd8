//! The civil year of a moment.

use wattline_core::Timestamp;

/// Days in the 400 years after which the Gregorian calendar repeats.
const DAYS_PER_ERA: u64 = 146_097;

/// Days from 1 March of the year 0 to 1 January 1970.
const DAYS_BEFORE_EPOCH: u64 = 719_468;

/// The year of a moment in UTC: 1970 to 2554, as far as a timestamp reaches.
///
/// Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`: years that begin in March
/// have their leap day last, so that whole years can be divided out.
pub fn civil_year(at: Timestamp) -> u16 {
    let days = at.unix_seconds() / 86_400 + DAYS_BEFORE_EPOCH;
    let day_of_era = days % DAYS_PER_ERA;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // The 306 days from March to December belong to the year itself, January and February to the next.
    let year = days / DAYS_PER_ERA * 400 + year_of_era + u64::from(day_of_year >= 306);
    u16::try_from(year).unwrap_or(u16::MAX)
}

/// The begin of a year in UTC, from 1970.
pub fn begin_of_year(year: u16) -> Timestamp {
    let before = u64::from(year.max(1970)) - 1;
    let leap_days = |year: u64| year / 4 - year / 100 + year / 400;
    let days = (before - 1969) * 365 + leap_days(before) - leap_days(1969);
    Timestamp::from_unix_nanos((days * 86_400).saturating_mul(1_000_000_000))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn year_at(unix_seconds: u64) -> u16 {
        civil_year(Timestamp::from_unix_nanos(unix_seconds * 1_000_000_000))
    }

    #[test]
    fn known_moments_lie_in_their_years() {
        // Source: `date -u -d @SECONDS`.
        for (unix_seconds, year) in [
            (0, 1970),
            (31_535_999, 1970),
            (31_536_000, 1971),
            (951_782_400, 2000),   // 2000-02-29, the leap day of a century that has one
            (978_307_199, 2000),   // 2000-12-31T23:59:59
            (978_307_200, 2001),   // 2001-01-01
            (1_704_067_199, 2023), // 2023-12-31T23:59:59
            (1_704_067_200, 2024), // 2024-01-01
            (1_709_164_800, 2024), // 2024-02-29
            (1_735_689_599, 2024), // 2024-12-31T23:59:59
            (4_107_542_399, 2100), // 2100-02-28T23:59:59
            (4_133_980_799, 2100), // 2100-12-31T23:59:59, a century without a leap day
            (4_133_980_800, 2101),
        ] {
            assert_eq!(year_at(unix_seconds), year, "{unix_seconds}");
        }
        assert_eq!(civil_year(Timestamp::from_unix_nanos(u64::MAX)), 2554);
    }

    #[test]
    fn every_year_begins_when_the_one_before_has_had_its_days() {
        let mut start_of_year = 0;
        for year in 1970..2554_u16 {
            let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
            let next = start_of_year + if leap { 366 } else { 365 } * 86_400;
            assert_eq!((year_at(start_of_year), year_at(next - 1)), (year, year));
            start_of_year = next;
        }
    }

    proptest! {
        #[test]
        fn no_later_moment_lies_in_an_earlier_year(at in any::<u64>(), later in any::<u64>()) {
            let [first, second] = [at.min(later), at.max(later)].map(|nanos| civil_year(Timestamp::from_unix_nanos(nanos)));
            prop_assert!(first <= second);
        }
    }

    proptest! {
        #[test]
        fn a_year_begins_where_the_one_before_ends(year in 1971u16..2500) {
            let begin = begin_of_year(year);
            prop_assert_eq!(civil_year(begin), year);
            prop_assert_eq!(civil_year(Timestamp::from_unix_nanos(begin.unix_nanos() - 1)), year - 1);
        }
    }
}
