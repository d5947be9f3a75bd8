//! Energy-Charts of Fraunhofer ISE.
//!
//! `GET /co2eq?country=de` gives three columns of the same length for the current day: the begin of each quarter hour,
//! what was found from actual generation, and the day-ahead forecast; both padded with nulls.
//! <https://api.energy-charts.info>.

use serde::Deserialize;
use wattline_core::Timestamp;
use wattline_core::reading::IntensityKind;

use super::{Asking, Point, Provider, Told, json, no_data};
use crate::failure::FetchError;
use crate::moment;
use crate::secret::Secret;
use crate::web::{Proof, Web};

/// Where the provider itself is.
pub(crate) const ENDPOINT: &str = "https://api.energy-charts.info";

/// What the documentation names as the step.
const STEP_SECONDS: i64 = 900;

/// Longer steps than a day are gaps, not steps.
const STEP_SECONDS_MAX: i64 = 86_400;

/// A country of Energy-Charts.
#[derive(Debug)]
pub(crate) struct EnergyCharts {
    pub(crate) web: Web,
    pub(crate) country: String,
}

impl Provider for EnergyCharts {
    fn ask<'a>(&'a mut self, _key: Option<&'a Secret>, now: Timestamp) -> Asking<'a> {
        Box::pin(async move {
            let query = [("country", self.country.as_str())];
            let answer = self.web.get(&["co2eq"], &query, Proof::Nobody, now).await?;
            Ok(Told { date: answer.date, ..parse(&answer.body)? })
        })
    }
}

#[derive(Deserialize)]
struct Columns {
    #[serde(default)]
    unix_seconds: Vec<i64>,
    #[serde(default)]
    co2eq: Option<Vec<Option<f64>>>,
    #[serde(default)]
    co2eq_forecast: Option<Vec<Option<f64>>>,
}

pub(crate) fn parse(body: &[u8]) -> Result<Told, FetchError> {
    let Columns { unix_seconds, co2eq, co2eq_forecast } = json(body)?;
    let (actual, forecast) = (co2eq.unwrap_or_default(), co2eq_forecast.unwrap_or_default());
    let at = |column: &[Option<f64>], row: usize| column.get(row).copied().flatten();
    // The step is the shortest one, because rows may be missing.
    let steps = unix_seconds.iter().zip(unix_seconds.iter().skip(1)).map(|(one, next)| next.saturating_sub(*one));
    let step = steps.filter(|step| (1..=STEP_SECONDS_MAX).contains(step)).min().unwrap_or(STEP_SECONDS);
    let mut told = Told::default();
    for (row, &seconds) in unix_seconds.iter().enumerate() {
        let (grams, estimated) = match (at(&actual, row), at(&forecast, row)) {
            (Some(grams), _) => (grams, false),
            (None, Some(grams)) => (grams, true),
            (None, None) => continue,
        };
        told.push(moment::from_unix_seconds(seconds).map(|from| {
            let until = moment::ahead(from, step.unsigned_abs());
            Point { kind: IntensityKind::Average, grams, from, until, estimated }
        }));
    }
    if told == Told::default() {
        return Err(no_data("Energy-Charts has neither a value nor a forecast for today"));
    }
    Ok(told)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn actual_values_come_first_and_forecasts_fill_the_rest() {
        let told = parse(include_bytes!("../../testdata/energy_charts/co2eq.json")).unwrap();
        let read: Vec<_> =
            told.points.iter().map(|point| (point.from.unix_seconds(), point.grams, point.estimated)).collect();
        assert_eq!(
            read,
            [
                (1_795_350_600, 391.5, false),
                (1_795_351_500, 397.4, false),
                (1_795_352_400, 402.6, false),
                (1_795_353_300, 405.0, true),
                (1_795_355_100, 408.0, true),
            ]
        );
        assert!(told.points.iter().all(|point| (point.until.since(point.from).get() - 900.0).abs() < 1e-9));
    }

    #[test]
    fn a_missing_row_does_not_make_its_neighbour_longer() {
        let told = parse(br#"{"unix_seconds":[900,1800,5400,6300],"co2eq":[1,2,3,4]}"#).unwrap();
        let ends: Vec<_> = told.points.iter().map(|point| point.until.unix_seconds()).collect();
        assert_eq!(ends, [1800, 2700, 6300, 7200]);
    }

    #[test]
    fn columns_of_nulls_or_none_at_all_are_no_data() {
        for body in [
            &br#"{"unix_seconds":[1,2],"co2eq":[null,null],"co2eq_forecast":[null,null]}"#[..],
            br#"{"unix_seconds":[],"co2eq":[],"co2eq_forecast":[]}"#,
            br#"{"unix_seconds":[1],"co2eq":null}"#,
            b"{}",
        ] {
            assert!(matches!(parse(body), Err(FetchError::NoData { .. })));
        }
        let short = parse(br#"{"unix_seconds":[900,1800,-5],"co2eq":[7],"co2eq_forecast":[1,2,3]}"#).unwrap();
        assert_eq!((short.points.len(), short.unreadable), (2, 1), "a time before 1970 cannot be read");
    }

    proptest! {
        #[test]
        fn no_answer_is_a_panic(body: Vec<u8>, seconds: Vec<i64>, values: Vec<Option<f64>>) {
            let _told = parse(&body);
            let columns = serde_json::json!({"unix_seconds": seconds, "co2eq": values});
            let _told = parse(columns.to_string().as_bytes());
        }
    }
}
