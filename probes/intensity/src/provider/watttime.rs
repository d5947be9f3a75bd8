//! `WattTime`, API version 3.
//!
//! `GET /login` with Basic gives a token for 30 minutes; the rest wants it as Bearer. The average rate (`co2_aoer`)
//! exists as history only: `GET /v3/historical?region=&signal_type=&start=&end=`. The marginal rate (`co2_moer`) of
//! now is the first point of `GET /v3/forecast?region=&signal_type=&horizon_hours=1`. Both are in pounds per
//! megawatt-hour. <https://docs.watttime.org>.

use serde::Deserialize;
use wattline_core::Timestamp;
use wattline_core::reading::IntensityKind;

use super::{Asking, Point, Provider, Told, is_page, json, no_data};
use crate::config::Signal;
use crate::failure::FetchError;
use crate::moment;
use crate::secret::{Secret, clean};
use crate::web::{Answer, Proof, Web};

/// Where the provider itself is.
pub(crate) const ENDPOINT: &str = "https://api.watttime.org";

/// Grams in a pound, exactly, by definition (international yard and pound agreement, 1959). A pound per megawatt-hour
/// is a thousandth of that many grams per kilowatt-hour.
const GRAMS_PER_POUND: f64 = 453.592_37;

/// The only unit that both signals come in.
const UNIT: &str = "lbs_co2_per_mwh";

/// History is asked for as far back as a value may be used.
const HISTORY_SECONDS: u64 = 6 * 3600;

/// The step where the answer does not tell it.
const STEP_SECONDS: u64 = 300;

/// A region of `WattTime`.
#[derive(Debug)]
pub(crate) struct WattTime {
    pub(crate) web: Web,
    pub(crate) region: String,
    pub(crate) username: String,
    pub(crate) signals: Vec<Signal>,
    /// Kept while it is accepted.
    pub(crate) token: Option<Secret>,
}

impl Provider for WattTime {
    fn ask<'a>(&'a mut self, key: Option<&'a Secret>, now: Timestamp) -> Asking<'a> {
        Box::pin(async move {
            let mut told = Told::default();
            for signal in self.signals.clone() {
                let answer = self.data(signal, key, now).await?;
                let Told { points, unreadable, date: _ } = parse(&answer.body, signal, &self.region)?;
                told.points.extend(points);
                told.unreadable = told.unreadable.saturating_add(unreadable);
                told.date = answer.date;
            }
            if told.points.is_empty() && told.unreadable == 0 {
                return Err(no_data(format!("WattTime has no value for the region {}", self.region)));
            }
            Ok(told)
        })
    }
}

impl WattTime {
    /// Asks with the token that is there, and once more with a new one when that is refused: it ages.
    async fn data(&mut self, signal: Signal, key: Option<&Secret>, now: Timestamp) -> Result<Answer, FetchError> {
        if let Some(token) = &self.token {
            match self.question(signal, token, now).await {
                Err(FetchError::Denied { .. }) => self.token = None,
                other => return other,
            }
        }
        let token = self.login(key, now).await?;
        let answer = self.question(signal, &token, now).await;
        if !matches!(answer, Err(FetchError::Denied { .. })) {
            self.token = Some(token);
        }
        answer
    }

    async fn login(&self, key: Option<&Secret>, now: Timestamp) -> Result<Secret, FetchError> {
        let Some(password) = key else {
            return Err(FetchError::Denied { what: "WattTime wants a password".to_owned() });
        };
        let answer = self.web.get(&["login"], &[], Proof::Basic(&self.username, password), now).await?;
        // The words of the reader could quote the token; those about a page cannot.
        let Login { token } = json(&answer.body).map_err(|error| match error {
            about_page if is_page(&answer.body) => about_page,
            _secret => FetchError::Failed {
                what: "WattTime's answer to the login is not the JSON that was expected".to_owned(),
            },
        })?;
        token
            .filter(|token| !token.is_empty())
            .map(Secret::new)
            .ok_or_else(|| FetchError::Failed { what: "WattTime took the password and gave no token".to_owned() })
    }

    async fn question(&self, signal: Signal, token: &Secret, now: Timestamp) -> Result<Answer, FetchError> {
        let region = ("region", self.region.as_str());
        match signal {
            Signal::Average => {
                let end = moment::floor(now, STEP_SECONDS);
                let start =
                    Timestamp::from_unix_nanos(end.unix_nanos().saturating_sub(HISTORY_SECONDS * 1_000_000_000));
                let (start, end) = (moment::minutes(start), moment::minutes(end));
                let query = [region, ("signal_type", "co2_aoer"), ("start", &start), ("end", &end)];
                self.web.get(&["v3", "historical"], &query, Proof::Bearer(token), now).await
            }
            Signal::Marginal => {
                let query = [region, ("signal_type", "co2_moer"), ("horizon_hours", "1")];
                self.web.get(&["v3", "forecast"], &query, Proof::Bearer(token), now).await
            }
        }
    }
}

#[derive(Deserialize)]
struct Login {
    token: Option<String>,
}

#[derive(Deserialize)]
struct Series {
    #[serde(default)]
    data: Vec<Value>,
    meta: Meta,
}

#[derive(Deserialize)]
struct Value {
    point_time: Option<String>,
    value: Option<f64>,
}

#[derive(Deserialize)]
struct Meta {
    region: Option<String>,
    signal_type: Option<String>,
    units: Option<String>,
    data_point_period_seconds: Option<u64>,
}

pub(crate) fn parse(body: &[u8], signal: Signal, region: &str) -> Result<Told, FetchError> {
    let Series { data, meta } = json(body)?;
    let (word, kind) = match signal {
        Signal::Average => ("co2_aoer", IntensityKind::Average),
        Signal::Marginal => ("co2_moer", IntensityKind::Marginal),
    };
    // What is in another unit, or of another region or signal, must not be booked as this one.
    for (told, asked) in [(&meta.units, UNIT), (&meta.signal_type, word), (&meta.region, region)] {
        if let Some(told) = told.as_deref().filter(|told| !told.eq_ignore_ascii_case(asked)) {
            return Err(FetchError::Failed { what: format!("asked WattTime for {asked}, told {}", clean(told, [])) });
        }
    }
    let step = meta.data_point_period_seconds.filter(|step| (1..=86_400).contains(step)).unwrap_or(STEP_SECONDS);
    let mut told = Told::default();
    for Value { point_time, value } in data {
        let Some(pounds) = value else { continue };
        told.push(point_time.as_deref().and_then(moment::parse).map(|from| Point {
            kind,
            grams: pounds * GRAMS_PER_POUND / 1000.0,
            from,
            until: moment::ahead(from, step),
            // The average is history; the marginal rate of now is a forecast.
            estimated: signal == Signal::Marginal,
        }));
    }
    Ok(told)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pounds_for_each_megawatt_hour_become_grams_for_each_kilowatt_hour() {
        let body = include_bytes!("../../testdata/watttime/historical_aoer.json");
        let told = parse(body, Signal::Average, "CAISO_NORTH").unwrap();
        // 500 lb/MWh = 500 * 453.59237 g / 1000 kWh, by hand.
        assert!((told.points[0].grams - 226.796_185).abs() < 1e-9);
        assert_eq!((told.points.len(), told.points[0].kind), (3, IntensityKind::Average));
        assert!((told.points[0].until.since(told.points[0].from).get() - 300.0).abs() < 1e-9);
    }

    #[test]
    fn the_marginal_rate_is_marginal_and_a_forecast() {
        let body = include_bytes!("../../testdata/watttime/forecast_moer.json");
        let told = parse(body, Signal::Marginal, "CAISO_NORTH").unwrap();
        assert!(told.points.iter().all(|point| point.kind == IntensityKind::Marginal && point.estimated));
        assert!((told.points[0].grams - 475.552_224_8).abs() < 1e-6, "1048.4131919701972 lb/MWh");
    }

    #[test]
    fn another_unit_signal_or_region_is_refused() {
        let body = include_str!("../../testdata/watttime/forecast_moer.json");
        assert!(parse(body.as_bytes(), Signal::Average, "CAISO_NORTH").is_err());
        assert!(parse(body.as_bytes(), Signal::Marginal, "PJM_NJ").is_err());
        let kilograms = body.replace("lbs_co2_per_mwh", "kg_co2_per_mwh");
        assert!(parse(kilograms.as_bytes(), Signal::Marginal, "CAISO_NORTH").is_err());
    }

    #[test]
    fn nulls_are_passed_over() {
        let body = br#"{"data":[{"point_time":"2026-11-22T13:00:00+00:00","value":null},{"value":3.5},{}],"meta":{}}"#;
        let told = parse(body, Signal::Average, "X").unwrap();
        assert_eq!((told.points.len(), told.unreadable), (0, 1));
    }

    proptest! {
        #[test]
        fn no_answer_is_a_panic(body: Vec<u8>, region: String) {
            let _told = parse(&body, Signal::Average, &region);
        }
    }
}
