use jiff::civil::date;
use proptest::prelude::*;
use wattline_core::Joules;

use super::*;

/// A tariff as a German household may have it: cheap nights, dear winter evenings of working days.
const BERLIN: &str = r#"
zone = "Europe/Berlin"
default = 0.30
[[periods]]
from = "22:00"
to = "06:00"
price = 0.20
[[periods]]
days = ["weekdays"]
months = [11, 12, 1, 2]
from = "17:00"
to = "20:00"
price = 0.50
"#;

fn table(text: &str) -> TimeOfUse {
    toml::from_str(text).unwrap()
}

fn tariff(text: &str) -> Tariff {
    Tariff::new(&TariffSpec::TimeOfUse(table(text))).unwrap()
}

fn refused(text: &str) -> String {
    Tariff::new(&TariffSpec::TimeOfUse(table(text))).unwrap_err().to_string()
}

/// A moment by its time at Greenwich.
fn utc(year: i16, month: i8, day: i8, hour: i8, minute: i8) -> Timestamp {
    let moment = date(year, month, day).at(hour, minute, 0, 0).to_zoned(TimeZone::UTC).unwrap().timestamp();
    timestamp(moment).unwrap()
}

/// The changes of price on the way from one moment to another.
fn changes(tariff: &Tariff, from: Timestamp, to: Timestamp) -> Vec<(Timestamp, f64)> {
    let mut changes = vec![(from, tariff.at(from).get())];
    let mut now = from;
    while let Some(change) = tariff.next_change(now).filter(|&change| change < to) {
        assert!(change > now, "time goes on");
        changes.push((change, tariff.at(change).get()));
        now = change;
    }
    changes
}

#[test]
fn a_constant_price_never_changes() {
    for tariff in [Tariff::constant(UsdPerKwh::new(0.12)), tariff("zone = 'UTC'\ndefault = 0.12")] {
        assert_eq!(tariff.at(utc(2026, 11, 22, 13, 0)), UsdPerKwh::new(0.12));
        assert_eq!(tariff.next_change(utc(2026, 11, 22, 13, 0)), None);
    }
    let same = "zone = 'Europe/Berlin'\ndefault = 0.3\n[[periods]]\nfrom = '22:00'\nto = '06:00'\nprice = 0.3";
    assert_eq!(tariff(same).next_change(utc(2026, 1, 1, 0, 0)), None, "a period at the default's price is no change");
}

#[test]
fn a_winter_day_in_berlin_has_the_prices_of_its_clock() {
    // Sunday 22 and Monday 23 November 2026, when Berlin is an hour ahead of Greenwich.
    let told = changes(&tariff(BERLIN), utc(2026, 11, 22, 4, 0), utc(2026, 11, 23, 22, 0));
    let expected = [
        (utc(2026, 11, 22, 4, 0), 0.20),
        (utc(2026, 11, 22, 5, 0), 0.30),
        (utc(2026, 11, 22, 21, 0), 0.20),
        (utc(2026, 11, 23, 5, 0), 0.30),
        (utc(2026, 11, 23, 16, 0), 0.50),
        (utc(2026, 11, 23, 19, 0), 0.30),
        (utc(2026, 11, 23, 21, 0), 0.20),
    ];
    assert_eq!(told, expected);
}

#[test]
fn the_night_of_twenty_three_hours_is_an_hour_shorter() {
    // Clocks went from 02:00 to 03:00 on 29 March 2026: from 22:00 to 06:00 there were seven hours.
    let told = changes(&tariff(BERLIN), utc(2026, 3, 28, 12, 0), utc(2026, 3, 29, 12, 0));
    let expected = [(utc(2026, 3, 28, 12, 0), 0.30), (utc(2026, 3, 28, 21, 0), 0.20), (utc(2026, 3, 29, 4, 0), 0.30)];
    assert_eq!(told, expected);
}

#[test]
fn the_night_of_twenty_five_hours_is_an_hour_longer() {
    // Clocks went from 03:00 back to 02:00 on 25 October 2026: from 22:00 to 06:00 there were nine hours.
    let told = changes(&tariff(BERLIN), utc(2026, 10, 24, 12, 0), utc(2026, 10, 25, 12, 0));
    let expected =
        [(utc(2026, 10, 24, 12, 0), 0.30), (utc(2026, 10, 24, 20, 0), 0.20), (utc(2026, 10, 25, 5, 0), 0.30)];
    assert_eq!(told, expected);
}

#[test]
fn a_period_in_the_hour_that_comes_twice_applies_twice_and_in_the_one_left_out_never() {
    let tariff =
        tariff("zone = 'Europe/Berlin'\ndefault = 0.3\n[[periods]]\nfrom = '02:15'\nto = '02:45'\nprice = 0.1");
    let autumn = changes(&tariff, utc(2026, 10, 24, 23, 0), utc(2026, 10, 25, 12, 0));
    let expected = [
        (utc(2026, 10, 24, 23, 0), 0.3),
        (utc(2026, 10, 25, 0, 15), 0.1),
        (utc(2026, 10, 25, 0, 45), 0.3),
        (utc(2026, 10, 25, 1, 15), 0.1),
        (utc(2026, 10, 25, 1, 45), 0.3),
    ];
    assert_eq!(autumn, expected);
    let spring = changes(&tariff, utc(2026, 3, 28, 12, 0), utc(2026, 3, 29, 12, 0));
    assert_eq!(spring, [(utc(2026, 3, 28, 12, 0), 0.3)]);
}

#[test]
fn a_price_may_change_at_the_moment_when_clocks_are_moved() {
    // From 02:30 on, but on 29 March 2026 no clock showed 02:30: it applies from 03:00, which is 01:00 at Greenwich.
    let late = tariff("zone = 'Europe/Berlin'\ndefault = 0.3\n[[periods]]\nfrom = '02:30'\nto = '05:00'\nprice = 0.1");
    assert_eq!(late.next_change(utc(2026, 3, 28, 12, 0)), Some(utc(2026, 3, 29, 1, 0)));
    // Until 02:30, but on 25 October 2026 the clock went back from 03:00 to 02:00: it applies again for half an hour.
    let early = tariff("zone = 'Europe/Berlin'\ndefault = 0.3\n[[periods]]\nto = '02:30'\nprice = 0.1");
    let told = changes(&early, utc(2026, 10, 24, 23, 0), utc(2026, 10, 25, 12, 0));
    let expected = [
        (utc(2026, 10, 24, 23, 0), 0.1),
        (utc(2026, 10, 25, 0, 30), 0.3),
        (utc(2026, 10, 25, 1, 0), 0.1),
        (utc(2026, 10, 25, 1, 30), 0.3),
    ];
    assert_eq!(told, expected);
}

#[test]
fn clocks_that_go_back_over_midnight_do_not_confuse_the_days() {
    // At 00:01 on 7 November 2010 clocks in St. John's went back to 23:01 of the day before.
    let text = "zone = 'America/St_Johns'\ndefault = 0.3\n[[periods]]\nfrom = '23:30'\nto = '24:00'\nprice = 0.1";
    let told = changes(&tariff(text), utc(2010, 11, 6, 12, 0), utc(2010, 11, 7, 12, 0));
    let expected = [
        (utc(2010, 11, 6, 12, 0), 0.3),
        (utc(2010, 11, 7, 2, 0), 0.1),
        (utc(2010, 11, 7, 2, 30), 0.3),
        (utc(2010, 11, 7, 3, 0), 0.1),
        (utc(2010, 11, 7, 3, 30), 0.3),
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_night_belongs_to_the_day_and_the_month_in_which_it_begins() {
    let text = "zone = 'UTC'\ndefault = 0.3\n[[periods]]\ndays = ['sat']\nmonths = [10]\nfrom = '22:00'\nto = '06:00'\nprice = 0.1";
    let told = changes(&tariff(text), utc(2026, 10, 31, 12, 0), utc(2026, 12, 1, 0, 0));
    // 31 October 2026 is a Saturday.
    let expected = [(utc(2026, 10, 31, 12, 0), 0.3), (utc(2026, 10, 31, 22, 0), 0.1), (utc(2026, 11, 1, 6, 0), 0.3)];
    assert_eq!(told, expected);
    assert_eq!(tariff(text).next_change(utc(2026, 11, 1, 6, 0)), Some(utc(2027, 10, 2, 22, 0)), "eleven months later");
}

#[test]
fn periods_may_cover_the_week_without_a_default() {
    let text = "zone = 'America/New_York'\n\
        [[periods]]\ndays = ['weekdays']\nfrom = '07:00'\nto = '19:00'\nprice = 0.25\n\
        [[periods]]\ndays = ['weekdays']\nfrom = '19:00'\nto = '24:00'\nprice = 0.1\n\
        [[periods]]\ndays = ['weekdays']\nto = '07:00'\nprice = 0.1\n\
        [[periods]]\ndays = ['sat', 'sun']\nprice = 0.08";
    let tariff = tariff(text);
    // Friday 4 July 2025 at noon in New York, where it is four hours earlier than at Greenwich.
    assert_eq!(tariff.at(utc(2025, 7, 4, 16, 0)), UsdPerKwh::new(0.25));
    assert_eq!(tariff.next_change(utc(2025, 7, 4, 23, 0)), Some(utc(2025, 7, 5, 4, 0)));
    let cost = Joules::from_kwh(10.0) * tariff.at(utc(2025, 7, 5, 16, 0));
    assert!((cost.get() - 0.8).abs() < 1e-12);
}

#[test]
fn faults_name_the_entry_and_what_is_expected() {
    let with = |periods: &str| refused(&format!("zone = 'UTC'\ndefault = 0.3\n[[periods]]\nprice = 0.1\n{periods}"));
    assert_eq!(
        refused("zone = 'Berlin'\ndefault = 0.3"),
        "cost.electricity.zone = \"Berlin\": expected a time zone such as Europe/Berlin or UTC; did you mean \
         Europe/Berlin?"
    );
    assert_eq!(
        refused("zone = 'UTC'\ndefault = -0.3"),
        "cost.electricity.default = -0.3: expected USD per kWh, 0 to 100"
    );
    assert_eq!(
        refused("zone = 'UTC'\n[[periods]]\nprice = nan"),
        "cost.electricity.periods: entry 1: price = NaN: expected USD per kWh, 0 to 100"
    );
    assert_eq!(
        with("to = '25:00'"),
        "cost.electricity.periods: entry 1: to = \"25:00\": expected a time from 00:00 to 24:00, as HH:MM"
    );
    assert!(with("from = '7:00'").contains("from = \"7:00\""));
    assert!(with("from = '07:60'").contains("from = \"07:60\""));
    assert!(with("from = '24:01'").contains("from = \"24:01\""));
    assert_eq!(with("months = [13]"), "cost.electricity.periods: entry 1: months: 13: expected 1 (January) to 12");
    for empty in ["from = '07:00'\nto = '07:00'", "days = []", "months = []", "from = '24:00'\nto = '06:00'"] {
        assert!(with(empty).starts_with("cost.electricity.periods: entry 1 never applies"), "{empty}");
    }
    let night = "from = '22:00'\nto = '06:00'\n[[periods]]\ndays = ['sun']\nfrom = '05:00'\nto = '07:00'\nprice = 0.2";
    assert_eq!(
        with(night),
        "cost.electricity.periods: entries 1 and 2 overlap at 05:00 on Sundays in January: expected one price at a time"
    );
    assert_eq!(
        refused("zone = 'UTC'\n[[periods]]\nmonths = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]\nprice = 1"),
        "cost.electricity.periods: none applies at 00:00 on Mondays in December: expected a period for it, or \
         cost.electricity.default"
    );
    // The night of New Year's Eve reaches into January; only the first of the month shows it.
    let eve = "zone = 'UTC'\ndefault = 0.3\n[[periods]]\nmonths = [12]\nfrom = '22:00'\nto = '06:00'\nprice = 0.1\n\
        [[periods]]\nmonths = [1]\nfrom = '05:00'\nto = '07:00'\nprice = 0.2";
    assert_eq!(
        refused(eve),
        "cost.electricity.periods: entries 1 and 2 overlap at 05:00 on Mondays in January that are the first of the \
         month: expected one price at a time"
    );
}

#[test]
fn a_tariff_is_written_as_a_number_or_as_a_table() {
    #[derive(Debug, serde::Deserialize)]
    struct Cost {
        electricity: TariffSpec,
    }
    let read = |text: &str| toml::from_str::<Cost>(text).map(|cost| cost.electricity);
    assert_eq!(read("electricity = 0.12").unwrap(), TariffSpec::Constant(0.12));
    assert_eq!(read("electricity = 1").unwrap(), TariffSpec::Constant(1.0));
    let written = read("[electricity]\nzone = 'UTC'\ndefault = 0.3").unwrap();
    assert_eq!(written, TariffSpec::TimeOfUse(table("zone = 'UTC'\ndefault = 0.3")));
    let error = read("electricity = 'dear'").unwrap_err().to_string();
    assert!(error.contains("expected a price in USD per kWh, or a table"), "{error}");
    let error = read("[electricity]\nzone = 'UTC'\n[[electricity.periods]]\nprise = 1").unwrap_err().to_string();
    assert!(error.contains("line 4, column 1") && error.contains("unknown field `prise`"), "{error}");
    assert!(
        Tariff::new(&TariffSpec::Constant(-0.1)).is_err() && Tariff::new(&TariffSpec::Constant(f64::INFINITY)).is_err()
    );
}

/// A table that may be refused, of periods that rarely overlap.
fn any_table() -> impl Strategy<Value = TimeOfUse> {
    let zones = [
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "America/St_Johns",
        "Asia/Kathmandu",
        "Pacific/Apia",
    ];
    let days = vec![Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri, Day::Sat, Day::Sun];
    let time = || (0u16..=48).prop_map(|half_hours| format!("{:02}:{:02}", half_hours / 2, half_hours % 2 * 30));
    let period =
        (prop::sample::subsequence(days, 0..=7), prop::collection::vec(1u8..=12, 0..12), time(), time(), 0u8..4)
            .prop_map(|(days, months, from, to, price)| Period { days, months, from, to, price: f64::from(price) });
    (prop::sample::select(zones.to_vec()), prop::option::weighted(0.9, 0u8..4), prop::collection::vec(period, 0..4))
        .prop_map(|(zone, default, periods)| TimeOfUse {
            zone: zone.to_owned(),
            default: default.map(f64::from),
            periods,
        })
}

/// All prices that a table has for a moment, by its words alone: those of the periods that began on the day or on the day
/// before, else the default.
fn prices_by_hand(table: &TimeOfUse, moment: Timestamp) -> Vec<f64> {
    let wall = time_zone(&table.zone).unwrap().to_datetime(instant(moment));
    let minute = i32::from(wall.hour()) * 60 + i32::from(wall.minute());
    let minutes = |time: &str| time[..2].parse::<i32>().unwrap() * 60 + time[3..].parse::<i32>().unwrap();
    let mut prices = Vec::new();
    for period in &table.periods {
        let (from, to) = (minutes(&period.from), minutes(&period.to));
        let to = if to < from { to + 1440 } else { to };
        for (day, minute) in [(wall.date(), minute), (wall.date().yesterday().unwrap(), minute + 1440)] {
            let weekday = usize::try_from(day.weekday().to_monday_zero_offset()).unwrap();
            let month = u8::try_from(day.month()).unwrap();
            let begins = period.days.iter().any(|named| named.covers(weekday)) && period.months.contains(&month);
            if begins && (from..to).contains(&minute) {
                prices.push(period.price);
            }
        }
    }
    if prices.is_empty() { table.default.into_iter().collect() } else { prices }
}

proptest! {
    #[test]
    fn every_moment_has_the_one_price_that_the_table_says(
        table in any_table(),
        moments in prop::collection::vec(0u64..4_102_444_800, 1..50),
    ) {
        if let Ok(tariff) = Tariff::new(&TariffSpec::TimeOfUse(table.clone())) {
            for seconds in moments {
                let moment = Timestamp::from_unix_nanos(seconds * 1_000_000_000);
                prop_assert_eq!(prices_by_hand(&table, moment), vec![tariff.at(moment).get()]);
            }
        }
    }

    #[test]
    fn the_price_stays_until_the_next_change_and_is_another_then(
        table in any_table(),
        start in 1_500_000_000u64..1_900_000_000,
        nanos in 0u64..1_000_000_000,
    ) {
        let tariff = Tariff::new(&TariffSpec::TimeOfUse(table));
        if let Ok(tariff) = tariff {
            let now = Timestamp::from_unix_nanos(start * 1_000_000_000 + nanos);
            let (price, change) = (tariff.at(now), tariff.next_change(now));
            if let Some(change) = change {
                prop_assert!(change > now);
                prop_assert_ne!(tariff.at(change), price);
                prop_assert_eq!(tariff.at(Timestamp::from_unix_nanos(change.unix_nanos() - 1)), price);
            }
            // Periods begin on half hours, and clocks are moved by half hours or hours, except at the date line.
            let end = change.map_or(now.unix_nanos() + 40 * 86_400_000_000_000, Timestamp::unix_nanos);
            let mut moment = now.unix_nanos();
            let mut steps = 0;
            while moment < end && steps < 20_000 {
                prop_assert_eq!(tariff.at(Timestamp::from_unix_nanos(moment)), price, "{}", moment);
                moment += 900_000_000_000;
                steps += 1;
            }
        }
    }

    #[test]
    fn no_table_panics(zone in "\\PC{0,12}", from in "\\PC{0,6}", to in "[0-9:]{0,6}", price: f64, month: u8, moment: u64) {
        let period = Period { days: vec![Day::Weekend], months: vec![month], from, to, price };
        for zone in [zone, "Europe/Berlin".to_owned()] {
            let spec = TariffSpec::TimeOfUse(TimeOfUse { zone, default: Some(price), periods: vec![period.clone()] });
            if let Ok(tariff) = Tariff::new(&spec) {
                let _price = tariff.at(Timestamp::from_unix_nanos(moment));
                let _change = tariff.next_change(Timestamp::from_unix_nanos(moment));
            }
        }
    }
}

/// By hand: 12 h at 1.00 and 12 h at 0.01 are 0.505 in the mean, whenever the day begins.
#[test]
fn the_mean_of_a_day_is_that_of_its_hours() {
    let table =
        "zone = \"Europe/Berlin\"\ndefault = 0.01\nperiods = [{ from = \"00:00\", to = \"12:00\", price = 1.0 }]\n";
    let tariff = Tariff::new(&TariffSpec::TimeOfUse(toml::from_str(table).unwrap())).unwrap();
    for hour in [0, 5, 14, 23] {
        let from = Timestamp::from_unix_nanos((1_782_907_200 + hour * 3600) * 1_000_000_000);
        let mean = tariff.mean(from, Seconds::from_hours(24.0)).get();
        assert!((mean - 0.505).abs() < 1e-9, "{mean} from {hour} h on");
    }
    let now = Timestamp::from_unix_nanos(1_782_907_200_000_000_000);
    assert_eq!(tariff.mean(now, Seconds::ZERO), tariff.at(now));
    let years = tariff.mean(now, Seconds::from_hours(100_000.0)).get();
    assert!((years - 0.505).abs() < 1e-9, "{years} over years");
}
