//! A tariff as the user writes it, and what may be wrong with it.

use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use wattline_core::UsdPerKwh;

use super::MOST_USD_PER_KWH;
use crate::cost::did_you_mean;

/// A tariff as it is written: a number, or a table of periods.
#[derive(Clone, Debug, PartialEq)]
pub enum TariffSpec {
    /// One price in USD per kWh.
    Constant(f64),
    /// Prices by the time of use.
    TimeOfUse(TimeOfUse),
}

/// A table of periods.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeOfUse {
    /// The time zone of all times by its IANA name: `Europe/Berlin`, `America/New_York`, `UTC`.
    pub zone: String,
    /// The price in USD per kWh where no period applies. Without it periods must leave no gap.
    #[serde(default)]
    pub default: Option<f64>,
    /// Periods, which may not overlap.
    #[serde(default)]
    pub periods: Vec<Period>,
}

/// A time of day on certain days, and its price.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Period {
    /// Days of the week on which the period begins; every day by default.
    #[serde(default = "every_day")]
    pub days: Vec<Day>,
    /// Months, 1 to 12, in which the period begins; every month by default.
    #[serde(default = "every_month")]
    pub months: Vec<u8>,
    /// When it begins, as `HH:MM`.
    #[serde(default = "midnight")]
    pub from: String,
    /// When it ends, as `HH:MM`, at most `24:00`. A time before `from` is on the next day.
    #[serde(default = "end_of_day")]
    pub to: String,
    /// USD per kWh.
    pub price: f64,
}

/// A day of the week, or several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Day {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
    /// Monday to Friday.
    Weekdays,
    /// Saturday and Sunday.
    Weekend,
}

impl Day {
    /// Whether a day of the week is meant, counted from Monday as 0.
    pub(super) fn covers(self, weekday: usize) -> bool {
        match self {
            Self::Weekdays => weekday < 5,
            Self::Weekend => weekday >= 5,
            day => day as usize == weekday,
        }
    }
}

fn every_day() -> Vec<Day> {
    vec![Day::Weekdays, Day::Weekend]
}

fn every_month() -> Vec<u8> {
    (1..=12).collect()
}

fn midnight() -> String {
    "00:00".to_owned()
}

fn end_of_day() -> String {
    "24:00".to_owned()
}

/// By hand, because an untagged enum would forget what was wrong inside the table.
impl<'de> Deserialize<'de> for TariffSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberOrTable)
    }
}

struct NumberOrTable;

impl<'de> Visitor<'de> for NumberOrTable {
    type Value = TariffSpec;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a price in USD per kWh, or a table with zone, default and periods")
    }

    fn visit_f64<E>(self, usd: f64) -> Result<TariffSpec, E> {
        Ok(TariffSpec::Constant(usd))
    }

    fn visit_i64<E>(self, usd: i64) -> Result<TariffSpec, E> {
        Ok(TariffSpec::Constant(usd as f64))
    }

    fn visit_u64<E>(self, usd: u64) -> Result<TariffSpec, E> {
        Ok(TariffSpec::Constant(usd as f64))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<TariffSpec, A::Error> {
        TimeOfUse::deserialize(MapAccessDeserializer::new(map)).map(TariffSpec::TimeOfUse)
    }
}

/// Why a tariff is refused. Periods are counted from 1, in the order in which they are written.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TariffError {
    /// The zone has no such name.
    #[error(
        "cost.electricity.zone = {zone:?}: expected a time zone such as Europe/Berlin or UTC{}",
        did_you_mean(nearest)
    )]
    UnknownZone {
        /// What was written.
        zone: String,
        /// Names that are most like it.
        nearest: Vec<String>,
    },
    /// A price is negative, no number, or absurd.
    #[error("{entry} = {price}: expected USD per kWh, 0 to {MOST_USD_PER_KWH}")]
    Price {
        /// Which price.
        entry: String,
        /// What was written.
        price: f64,
    },
    /// A time of day is none.
    #[error(
        "cost.electricity.periods: entry {entry}: {key} = {value:?}: expected a time from 00:00 to 24:00, as HH:MM"
    )]
    Time {
        /// Which period.
        entry: usize,
        /// `from` or `to`.
        key: &'static str,
        /// What was written.
        value: String,
    },
    /// A month is none.
    #[error("cost.electricity.periods: entry {entry}: months: {month}: expected 1 (January) to 12")]
    Month {
        /// Which period.
        entry: usize,
        /// What was written.
        month: u8,
    },
    /// A period never applies: it begins when it ends, or has no days or no months.
    #[error(
        "cost.electricity.periods: entry {entry} never applies: expected days, months, and an end that differs from \
         its beginning (a whole day is from 00:00 to 24:00)"
    )]
    Empty {
        /// Which period.
        entry: usize,
    },
    /// Two periods apply at one time.
    #[error("cost.electricity.periods: entries {first} and {second} overlap {when}: expected one price at a time")]
    Overlap {
        /// The earlier of the two entries.
        first: usize,
        /// The later one.
        second: usize,
        /// The first such time in a year.
        when: String,
    },
    /// No period applies, and there is no default.
    #[error("cost.electricity.periods: none applies {when}: expected a period for it, or cost.electricity.default")]
    Gap {
        /// The first such time in a year.
        when: String,
    },
}

/// A price that can be charged.
pub(super) fn price(entry: &str, usd: f64) -> Result<UsdPerKwh, TariffError> {
    if (0.0..=MOST_USD_PER_KWH).contains(&usd) {
        Ok(UsdPerKwh::new(usd))
    } else {
        Err(TariffError::Price { entry: entry.to_owned(), price: usd })
    }
}
