//! What each provider is asked, and what is made of its answer.

use wattline_core::reading::IntensityKind;
use wattline_core::{Seconds, Timestamp};
use wattline_probe_intensity::{Config, FetchError, Kind, once};

use crate::web::{KEY, NOW, Web, both_signals, config, context, good, ok, recorded, status};

/// The value at the only time there is: grams, minutes since it began, and whether it is estimated.
async fn current(config: &Config) -> (f64, f64, bool) {
    let readings = once(config, &context()).await.unwrap();
    let mut covering = readings.iter().filter(|reading| reading.from <= NOW && NOW < reading.until);
    let reading = covering.next_back().unwrap_or_else(|| readings.last().unwrap());
    assert_eq!(reading.source.as_str(), config.provider.as_str());
    (reading.grams.get(), (NOW.since(reading.from).get() / 60.0).floor(), reading.estimated)
}

#[tokio::test]
async fn electricity_maps_is_asked_for_the_latest_value_with_the_key_in_a_header() {
    let web = Web::start(good(Kind::ElectricityMaps)).await;
    assert_eq!(current(&config(Kind::ElectricityMaps, &web.url())).await, (302.0, 2.0, true));
    let seen = web.seen().remove(0);
    assert_eq!(seen[0], "GET /v3/carbon-intensity/latest?zone=DE");
    assert!(seen.contains(&format!("auth-token: {KEY}")), "{seen:?}");
    assert!(seen.iter().any(|line| line.starts_with("user-agent: wattline/")), "{seen:?}");
}

#[tokio::test]
async fn a_service_of_ones_own_is_asked_below_its_address_and_without_a_key() {
    let web = Web::start(good(Kind::ElectricityMaps)).await;
    let endpoint = format!("{}/elephant/", web.url());
    let config = Config { key_env: None, ..config(Kind::ElectricityMaps, &endpoint) };
    assert_eq!(current(&config).await, (302.0, 2.0, true));
    let seen = web.seen().remove(0);
    assert_eq!(seen[0], "GET /elephant/v3/carbon-intensity/latest?zone=DE");
    assert!(!seen.iter().any(|line| line.starts_with("auth-token")), "{seen:?}");
}

#[tokio::test]
async fn watttime_is_logged_in_to_and_both_signals_stay_apart() {
    let replies = ["login.json", "historical_aoer.json", "forecast_moer.json"];
    let replies: Vec<_> = replies.map(|name| ok(recorded(&format!("watttime/{name}")))).into();
    let web = Web::start(replies).await;
    let readings = once(&both_signals(&web.url()), &context()).await.unwrap();
    let of = |kind: IntensityKind| readings.iter().filter(move |reading| reading.kind == kind);
    assert_eq!((of(IntensityKind::Average).count(), of(IntensityKind::Marginal).count()), (3, 2));
    // 520 lb/MWh x 0.45359237 = 235.8680324 g/kWh.
    let newest = of(IntensityKind::Average).next_back().unwrap();
    assert!((newest.grams.get() - 235.868_032_4).abs() < 1e-9 && !newest.estimated);
    let seen = web.seen();
    assert_eq!(
        web.lines(),
        [
            "GET /login",
            "GET /v3/historical?region=CAISO_NORTH&signal_type=co2_aoer&start=2026-11-22T07%3A00Z&end=2026-11-22T13%3A00Z",
            "GET /v3/forecast?region=CAISO_NORTH&signal_type=co2_moer&horizon_hours=1",
        ]
    );
    // base64 of `me:s3cret-k3y`.
    assert!(seen[0].contains(&"authorization: Basic bWU6czNjcmV0LWszeQ==".to_owned()), "{:?}", seen[0]);
    let bearer = "authorization: Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.made.up".to_owned();
    assert!(seen[1].contains(&bearer) && seen[2].contains(&bearer), "{seen:?}");
}

#[tokio::test]
async fn great_britain_is_asked_for_a_day_ahead_as_a_country_a_region_or_a_postcode() {
    for (zone, recording, path, grams) in [
        (None, "national", "/intensity/2026-11-22T13:01Z/fw24h", 271.0),
        (Some("13"), "region_range", "/regional/intensity/2026-11-22T13:01Z/fw24h/regionid/13", 188.0),
        (Some("ab10"), "region_current", "/regional/intensity/2026-11-22T13:01Z/fw24h/postcode/AB10", 0.0),
    ] {
        let web = Web::start([ok(recorded(&format!("uk/{recording}.json")))]).await;
        let config = Config { zone: zone.map(str::to_owned), ..config(Kind::Uk, &web.url()) };
        assert_eq!(current(&config).await, (grams, 2.0, true), "{path}");
        assert_eq!(web.lines(), [format!("GET {path}")]);
    }
}

#[tokio::test]
async fn energy_charts_is_asked_for_a_country() {
    let web = Web::start(good(Kind::EnergyCharts)).await;
    assert_eq!(current(&config(Kind::EnergyCharts, &web.url())).await, (402.6, 2.0, false));
    assert_eq!(web.lines(), ["GET /co2eq?country=de"]);
}

#[tokio::test]
async fn entso_e_is_asked_for_generation_by_type() {
    for recording in ["generation.xml", "generation.zip"] {
        let web = Web::start([ok(recorded(&format!("entsoe/{recording}")))]).await;
        assert_eq!(current(&config(Kind::EntsoE, &web.url())).await, (342.0, 62.0, true));
        let expected = "GET /api?documentType=A75&processType=A16&in_Domain=10Y1001A1001A82H\
                        &periodStart=202611220700&periodEnd=202611221400&securityToken=s3cret-k3y";
        assert_eq!(web.lines(), [expected]);
    }
}

#[tokio::test]
async fn entso_e_without_data_says_what_it_was_told() {
    let web = Web::start([ok(recorded("entsoe/acknowledgement.xml"))]).await;
    let error = once(&config(Kind::EntsoE, &web.url()), &context()).await.unwrap_err();
    assert!(matches!(&error, FetchError::NoData { what } if what.contains("No matching data")), "{error:?}");
}

#[tokio::test]
async fn a_file_and_a_constant_need_nobody() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["series.csv", "series.json"] {
        let path = directory.path().join(name);
        std::fs::write(&path, recorded(&format!("file/{name}"))).unwrap();
        let config = Config { path: Some(path), zone: Some("plant".to_owned()), ..Config::of(Kind::File) };
        let readings = once(&config, &context()).await.unwrap();
        assert_eq!((readings.len(), readings[0].zone.as_str()), (3, "plant"));
        assert_eq!(current(&Config { zone: None, ..config }).await, (610.0, 2.0, false));
    }
    let constant = Config { grams: Some(41.5), ..Config::of(Kind::Constant) };
    assert_eq!(current(&constant).await, (41.5, 13.0 * 60.0 + 2.0, false));
    let missing = Config { path: Some(directory.path().join("none.csv")), ..Config::of(Kind::File) };
    let error = once(&missing, &context()).await.unwrap_err().to_string();
    assert!(error.contains("none.csv") && error.contains("No such file"), "{error}");
}

#[tokio::test]
async fn a_new_token_that_is_refused_is_not_replaced_again() {
    let web =
        Web::start([ok(recorded("watttime/login.json")), status(403, "{\"error\":\"no access to the region\"}")]).await;
    let error = once(&config(Kind::WattTime, &web.url()), &context()).await.unwrap_err();
    assert!(matches!(&error, FetchError::Denied { what } if what.contains("no access to the region")), "{error:?}");
    assert_eq!(web.lines().len(), 2);
}

#[tokio::test]
async fn a_token_in_an_unexpected_answer_is_not_told() {
    let web = Web::start([ok("\"t0ken-t0ken\"")]).await;
    let error = once(&config(Kind::WattTime, &web.url()), &context()).await.unwrap_err();
    assert!(matches!(&error, FetchError::Failed { what } if !what.contains("t0ken")), "{error:?}");
}

#[tokio::test]
async fn a_value_that_begins_after_now_is_a_forecast() {
    let body = String::from_utf8(recorded("electricity_maps/latest.json")).unwrap();
    let body =
        body.replace("T13:00:00.000Z", "T14:00:00.000Z").replace("\"isEstimated\":true", "\"isEstimated\":false");
    let web = Web::start([ok(body)]).await;
    let readings = once(&config(Kind::ElectricityMaps, &web.url()), &context()).await.unwrap();
    assert!(readings[0].estimated && readings[0].from.since(NOW) > Seconds::new(3000.0));
    assert!(readings.iter().all(|reading| reading.until > Timestamp::default()));
}
