//! Electricity Maps, API version 3, and services of one's own that speak it.
//!
//! `GET /v3/carbon-intensity/latest?zone=DE` with the key in the header `auth-token`. The value is that of the current
//! hour, consumption based and over the life cycle, and is estimated until the grid operators have published theirs;
//! <https://app.electricitymaps.com/docs>. A throttled key gets 429, and some got 401
//! (electricitymaps-contrib, issue 8047).

use serde::Deserialize;
use wattline_core::Timestamp;
use wattline_core::reading::IntensityKind;

use super::{Asking, Point, Provider, Told, json, no_data};
use crate::failure::FetchError;
use crate::moment;
use crate::secret::{Secret, clean};
use crate::web::{Proof, Web};

/// Where the provider itself is.
pub(crate) const ENDPOINT: &str = "https://api.electricitymaps.com";

/// A zone of Electricity Maps.
#[derive(Debug)]
pub(crate) struct ElectricityMaps {
    pub(crate) web: Web,
    pub(crate) zone: String,
}

impl Provider for ElectricityMaps {
    fn ask<'a>(&'a mut self, key: Option<&'a Secret>, now: Timestamp) -> Asking<'a> {
        Box::pin(async move {
            // A service of one's own may want no key.
            let proof = key.map_or(Proof::Nobody, |key| Proof::Header("auth-token", key));
            let query = [("zone", self.zone.as_str())];
            let answer = self.web.get(&["v3", "carbon-intensity", "latest"], &query, proof, now).await?;
            Ok(Told { date: answer.date, ..parse(&answer.body, &self.zone)? })
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Latest {
    zone: Option<String>,
    carbon_intensity: Option<f64>,
    datetime: Option<String>,
    is_estimated: Option<bool>,
    estimation_method: Option<String>,
    temporal_granularity: Option<String>,
    /// What went wrong, where it is told with HTTP 200.
    error: Option<serde_json::Value>,
}

pub(crate) fn parse(body: &[u8], zone: &str) -> Result<Told, FetchError> {
    let latest: Latest = json(body)?;
    if let Some(other) = latest.zone.as_deref().filter(|other| !other.eq_ignore_ascii_case(zone)) {
        return Err(FetchError::Failed { what: format!("asked for the zone {zone}, told of {}", clean(other, [])) });
    }
    let Some(grams) = latest.carbon_intensity else {
        let why = if latest.error.is_some() { "an error" } else { "no value" };
        return Err(no_data(format!("Electricity Maps answers with {why} for the zone {zone}")));
    };
    let from = latest.datetime.as_deref().and_then(moment::parse);
    let estimated = latest.is_estimated.unwrap_or(latest.estimation_method.is_some());
    let seconds = granularity_seconds(latest.temporal_granularity.as_deref());
    let mut told = Told::default();
    told.push(from.map(|from| {
        let until = moment::ahead(from, seconds);
        Point { kind: IntensityKind::Average, grams, from, until, estimated }
    }));
    Ok(told)
}

/// The length of an interval. Older answers do not tell it and are hourly.
fn granularity_seconds(word: Option<&str>) -> u64 {
    match word {
        Some("5_minutes") => 300,
        Some("15_minutes") => 900,
        Some("daily") => 86_400,
        _ => 3600,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_documented_answer_is_read() {
        let told = parse(include_bytes!("../../testdata/electricity_maps/latest.json"), "DE").unwrap();
        // 2026-11-22T13:00Z, by `date -u`.
        let from = Timestamp::from_unix_nanos(1_795_352_400_000_000_000);
        let expected = Point {
            kind: IntensityKind::Average,
            grams: 302.0,
            from,
            until: moment::ahead(from, 3600),
            estimated: true,
        };
        assert_eq!(told.points, [expected]);
    }

    #[test]
    fn an_old_answer_without_the_newer_fields_is_read() {
        // The example in the documentation of 2018, which knew neither estimates nor granularity.
        let body = br#"{"zone":"DE","carbonIntensity":302,"datetime":"2018-04-25T18:07:00.350Z","updatedAt":"2018-04-25T18:07:01.000Z"}"#;
        let told = parse(body, "de").unwrap();
        assert_eq!((told.points[0].estimated, told.points[0].grams), (false, 302.0));
    }

    #[test]
    fn a_null_an_error_and_another_zone_are_no_value() {
        let null = br#"{"zone":"DE","carbonIntensity":null,"datetime":"2026-11-22T13:00:00.000Z"}"#;
        assert!(matches!(parse(null, "DE"), Err(FetchError::NoData { .. })));
        let error = br#"{"status":"error","error":"Zone 'XX' does not exist."}"#;
        assert!(matches!(parse(error, "XX"), Err(FetchError::NoData { .. })));
        let other = br#"{"zone":"FR","carbonIntensity":30,"datetime":"2026-11-22T13:00:00.000Z"}"#;
        assert!(matches!(parse(other, "DE"), Err(FetchError::Failed { .. })));
        let timeless = br#"{"zone":"DE","carbonIntensity":30,"datetime":"today"}"#;
        assert_eq!(parse(timeless, "DE").unwrap(), Told { unreadable: 1, ..Told::default() });
    }

    proptest! {
        #[test]
        fn no_answer_is_a_panic(body: Vec<u8>, zone: String) {
            let _told = parse(&body, &zone);
        }
    }
}
