//! The Carbon Intensity API of NESO, the system operator of Great Britain.
//!
//! `GET /intensity/{from}/fw24h` for the country, `GET /regional/intensity/{from}/fw24h/regionid/{id}` or
//! `.../postcode/{postcode}` for a region: half hours, the current one and those of a day ahead, so that an outage of
//! the service leaves its forecast. The country has `actual` as soon as it is known and null before; regions only ever
//! have a forecast. <https://carbon-intensity.github.io/api-definitions/>, CC BY 4.0.

use serde::Deserialize;
use wattline_core::Timestamp;
use wattline_core::reading::IntensityKind;

use super::{Asking, Point, Provider, Told, json, no_data};
use crate::failure::FetchError;
use crate::moment;
use crate::secret::Secret;
use crate::web::{Proof, Web};

/// Where the provider itself is.
pub(crate) const ENDPOINT: &str = "https://api.carbonintensity.org.uk";

const HALF_HOUR_SECONDS: u64 = 1800;

/// Great Britain or a part of it.
#[derive(Debug)]
pub(crate) struct Uk {
    pub(crate) web: Web,
    pub(crate) place: Place,
}

/// Which part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// All of it.
    Country,
    /// A region, 1 to 17.
    Region(u8),
    /// The first half of a postcode, in capitals.
    Postcode(String),
}

impl Place {
    /// Reads a zone of the configuration. `None` where it is none of the three.
    pub(crate) fn parse(zone: &str) -> Option<Self> {
        let zone = zone.trim().to_ascii_uppercase();
        if zone == "GB" {
            return Some(Self::Country);
        }
        if let Ok(region) = zone.parse::<u8>() {
            return (1..=17).contains(&region).then_some(Self::Region(region));
        }
        // One or two letters, a digit, and perhaps one more of either: `E1`, `SW1A`, `RG41`.
        let letters = zone.bytes().take_while(u8::is_ascii_uppercase).count();
        let rest = zone.get(letters..)?;
        let good = (1..=2).contains(&letters)
            && (1..=2).contains(&rest.len())
            && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
            && rest.starts_with(|c: char| c.is_ascii_digit());
        good.then_some(Self::Postcode(zone))
    }
}

impl Provider for Uk {
    fn ask<'a>(&'a mut self, _key: Option<&'a Secret>, now: Timestamp) -> Asking<'a> {
        Box::pin(async move {
            // The service gives the half hours that end after this point, so one minute into the current one.
            let from = moment::minutes(moment::ahead(moment::floor(now, HALF_HOUR_SECONDS), 60));
            let answer = match &self.place {
                Place::Country => self.web.get(&["intensity", &from, "fw24h"], &[], Proof::Nobody, now).await?,
                Place::Region(region) => {
                    let region = region.to_string();
                    let path = ["regional", "intensity", &from, "fw24h", "regionid", &region];
                    self.web.get(&path, &[], Proof::Nobody, now).await?
                }
                Place::Postcode(postcode) => {
                    let path = ["regional", "intensity", &from, "fw24h", "postcode", postcode];
                    self.web.get(&path, &[], Proof::Nobody, now).await?
                }
            };
            Ok(Told { date: answer.date, ..parse(&answer.body)? })
        })
    }
}

#[derive(Deserialize)]
struct Envelope {
    data: Option<Data>,
}

/// The country is a list of half hours; a region is an object around one, or a list of one such object.
#[derive(Deserialize)]
#[serde(untagged)]
enum Data {
    Region(Region),
    Regions(Vec<Region>),
    HalfHours(Vec<HalfHour>),
}

#[derive(Deserialize)]
struct Region {
    data: Vec<HalfHour>,
}

#[derive(Deserialize)]
struct HalfHour {
    from: Option<String>,
    to: Option<String>,
    intensity: Option<Intensity>,
}

#[derive(Deserialize)]
struct Intensity {
    forecast: Option<f64>,
    actual: Option<f64>,
}

pub(crate) fn parse(body: &[u8]) -> Result<Told, FetchError> {
    let envelope: Envelope = json(body)?;
    let half_hours = match envelope.data {
        None => Vec::new(),
        Some(Data::HalfHours(half_hours)) => half_hours,
        Some(Data::Region(region)) => region.data,
        Some(Data::Regions(regions)) => regions.into_iter().flat_map(|region| region.data).collect(),
    };
    let mut told = Told::default();
    for HalfHour { from, to, intensity } in half_hours {
        let Some(Intensity { forecast, actual }) = intensity else { continue };
        let Some(grams) = actual.or(forecast) else { continue };
        let moment = |text: Option<String>| text.as_deref().and_then(moment::parse);
        let estimated = actual.is_none();
        told.push(moment(from).zip(moment(to)).map(|(from, until)| Point {
            kind: IntensityKind::Average,
            grams,
            from,
            until,
            estimated,
        }));
    }
    if told == Told::default() {
        return Err(no_data("the Carbon Intensity API has neither a value nor a forecast"));
    }
    Ok(told)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(told: &Told) -> Vec<(String, f64, bool)> {
        told.points.iter().map(|point| (moment::minutes(point.from), point.grams, point.estimated)).collect()
    }

    #[test]
    fn what_was_actual_comes_before_the_forecast() {
        let told = parse(include_bytes!("../../testdata/uk/national.json")).unwrap();
        let expected = [
            ("2026-11-22T12:30Z".to_owned(), 263.0, false),
            ("2026-11-22T13:00Z".to_owned(), 271.0, true),
            ("2026-11-22T13:30Z".to_owned(), 268.0, true),
        ];
        assert_eq!(read(&told), expected);
        assert!(told.points.iter().all(|point| (point.until.since(point.from).get() - 1800.0).abs() < 1e-9));
    }

    #[test]
    fn a_region_is_read_in_both_of_its_shapes() {
        let range = parse(include_bytes!("../../testdata/uk/region_range.json")).unwrap();
        let current = parse(include_bytes!("../../testdata/uk/region_current.json")).unwrap();
        assert_eq!(range.points.len(), 2);
        assert_eq!(read(&current), [("2026-11-22T13:00Z".to_owned(), 0.0, true)], "North Scotland is often without");
    }

    #[test]
    fn nulls_and_errors_are_no_data() {
        for body in [
            &br#"{"data":[]}"#[..],
            br#"{"data":null}"#,
            br#"{"error":{"code":"500 Internal Server Error","message":"x"}}"#,
            br#"{"data":[{"from":"2026-11-22T13:00Z","to":"2026-11-22T13:30Z","intensity":{"forecast":null,"actual":null,"index":null}}]}"#,
        ] {
            assert!(matches!(parse(body), Err(FetchError::NoData { .. })), "{}", String::from_utf8_lossy(body));
        }
        assert!(matches!(parse(br#"{"data":[{"from":"2026-"#), Err(FetchError::Failed { .. })));
    }

    #[test]
    fn places_are_told_apart() {
        assert_eq!(Place::parse("gb"), Some(Place::Country));
        assert_eq!(Place::parse("13"), Some(Place::Region(13)));
        for postcode in ["E1", "sw1a", "RG41", "EC1Y", "B33"] {
            assert_eq!(Place::parse(postcode), Some(Place::Postcode(postcode.to_ascii_uppercase())), "{postcode}");
        }
        for wrong in ["", "0", "18", "300", "DE", "SW1A 1AA", "SW1A1AA", "London", "É1", "1E"] {
            assert_eq!(Place::parse(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_and_no_zone_is_a_panic(body: Vec<u8>, zone: String) {
            let _told = parse(&body);
            let _place = Place::parse(&zone);
        }
    }
}
