//! What each provider's trouble means.

use std::time::Duration;

use wattline_probe_intensity::{Config, FetchError, Kind, once};

use crate::web::{KEY, NOW_DATE, OVER_THE_WEB, Reply, Web, config, context, good, impatient, ok, recorded, status};

const PAGE: &str = "<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>";

/// The error of every provider that gets this answer to its first question.
async fn errors(reply: Reply) -> Vec<(Kind, FetchError)> {
    errors_with(reply, config).await
}

async fn errors_with(reply: Reply, config: fn(Kind, &str) -> Config) -> Vec<(Kind, FetchError)> {
    let mut errors = Vec::new();
    for kind in OVER_THE_WEB {
        let web = Web::start([reply.clone()]).await;
        let config = config(kind, &web.url());
        let error = once(&config, &context()).await.unwrap_err();
        let told = format!("{error} {error:?}");
        // Who was sent no key cannot repeat it.
        assert!(config.key_env.is_none() || !told.contains(KEY), "a secret is told: {told}");
        errors.push((kind, error));
    }
    errors
}

async fn all_failed(reply: Reply, words: &str) {
    for (kind, error) in errors(reply).await {
        assert!(matches!(&error, FetchError::Failed { what } if what.contains(words)), "{kind:?} {error:?}");
    }
}

#[tokio::test]
async fn too_many_requests_is_a_pause_in_seconds_or_until_a_date() {
    let seconds = vec![("retry-after", "120".to_owned())];
    let date = vec![("date", NOW_DATE.to_owned()), ("retry-after", "Sun, 22 Nov 2026 13:04:30 GMT".to_owned())];
    // The provider's clock is an hour ahead of ours: what counts is the difference to its own date.
    let skewed = vec![
        ("date", "Sun, 22 Nov 2026 14:00:00 GMT".to_owned()),
        ("retry-after", "Sun, 22 Nov 2026 14:02:00 GMT".to_owned()),
    ];
    for headers in [seconds, date, skewed] {
        for (kind, error) in errors(Reply::Answer(429, headers.clone(), b"slow down".to_vec())).await {
            let FetchError::Throttled { after, what } = error else { panic!("{kind:?} {error:?}") };
            assert_eq!(after, Some(Duration::from_mins(2)), "{kind:?}");
            assert!(what.contains("HTTP 429: slow down"), "{what}");
        }
    }
    for (kind, error) in errors(status(429, "")).await {
        assert!(matches!(error, FetchError::Throttled { after: None, .. }), "{kind:?} {error:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_down_says_when_it_is_back_or_fails() {
    let headers = vec![("retry-after", "30".to_owned())];
    for (kind, error) in errors(Reply::Answer(503, headers, Vec::new())).await {
        let expected = Some(Duration::from_secs(30));
        assert!(matches!(error, FetchError::Throttled { after, .. } if after == expected), "{kind:?} {error:?}");
    }
    for code in [500, 502, 503, 504] {
        all_failed(status(code, PAGE), &format!("HTTP {code}")).await;
    }
}

#[tokio::test]
async fn a_refused_key_is_denied_and_is_not_repeated() {
    for code in [401, 403] {
        for (kind, error) in errors(status(code, &format!("{{\"error\":\"Invalid auth-token: {KEY}\"}}"))).await {
            let FetchError::Denied { what } = error else { panic!("{kind:?} {error:?}") };
            let takes_key = !matches!(kind, Kind::Uk | Kind::EnergyCharts);
            assert_eq!(what.contains("Invalid auth-token: ***"), takes_key, "{what}");
        }
    }
}

#[tokio::test]
async fn a_question_that_is_not_understood_is_rejected() {
    for code in [400, 404, 422] {
        for (kind, error) in errors(status(code, "{\"error\":\"no such zone\"}")).await {
            assert!(
                matches!(&error, FetchError::Rejected { what } if what.contains("no such zone")),
                "{kind:?} {error:?}"
            );
        }
    }
    let elsewhere = Reply::Answer(302, vec![("location", "http://127.0.0.1:1/".to_owned())], Vec::new());
    for (kind, error) in errors(elsewhere).await {
        assert!(matches!(&error, FetchError::Rejected { what } if what.contains("redirect")), "{kind:?} {error:?}");
    }
}

#[tokio::test]
async fn an_answer_that_is_empty_or_a_page_or_cut_off_is_a_failure() {
    all_failed(ok(""), "empty").await;
    all_failed(ok(" \n"), "empty").await;
    all_failed(ok("{\"data\":[{\"from\":\"2026-"), "").await;
    for (kind, error) in errors(ok(PAGE)).await {
        assert!(
            matches!(&error, FetchError::Failed { what } if what.contains("page") || what.contains("XML")),
            "{kind:?} {error:?}"
        );
    }
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_the_end() {
    all_failed(ok(vec![b' '; 5 << 20]), "larger than").await;
    for reply in [Reply::Trickle, Reply::Silence] {
        for (kind, error) in errors_with(reply, impatient).await {
            let expected = "no whole answer within 100ms";
            assert!(matches!(&error, FetchError::Failed { what } if what.contains(expected)), "{kind:?} {error:?}");
        }
    }
}

#[tokio::test]
async fn nobody_at_the_address_is_a_failure_that_names_it() {
    // The port of a service that nobody runs any more.
    let url = "http://127.0.0.1:1".to_owned();
    for kind in OVER_THE_WEB {
        let error = once(&config(kind, &url), &context()).await.unwrap_err();
        assert!(matches!(&error, FetchError::Failed { what } if what.contains(&url)), "{error:?}");
    }
}

#[tokio::test]
async fn nulls_are_no_data() {
    let bodies = [
        (Kind::ElectricityMaps, r#"{"zone":"DE","carbonIntensity":null,"datetime":null}"#),
        (
            Kind::Uk,
            r#"{"data":[{"from":"2026-11-22T13:00Z","to":"2026-11-22T13:30Z","intensity":{"forecast":null,"actual":null}}]}"#,
        ),
        (Kind::EnergyCharts, r#"{"unix_seconds":[1795352400],"co2eq":[null],"co2eq_forecast":[null]}"#),
    ];
    for (kind, body) in bodies {
        let web = Web::start([ok(body)]).await;
        let error = once(&config(kind, &web.url()), &context()).await.unwrap_err();
        assert!(matches!(error, FetchError::NoData { .. }), "{kind:?} {error:?}");
    }
    let null = r#"{"data":[{"point_time":"2026-11-22T13:00:00+00:00","value":null}],"meta":{}}"#;
    let web = Web::start([ok(recorded("watttime/login.json")), ok(null)]).await;
    let error = once(&config(Kind::WattTime, &web.url()), &context()).await.unwrap_err();
    assert!(matches!(error, FetchError::NoData { .. }), "{error:?}");
}

#[tokio::test]
async fn nonsense_is_left_out() {
    for (kind, good_word, bad_word) in [
        (Kind::ElectricityMaps, "302", "-302"),
        (Kind::ElectricityMaps, "302", "1000000"),
        (Kind::EnergyCharts, "402.6", "-1"),
        (Kind::Uk, "\"forecast\":271", "\"forecast\":99999"),
        (Kind::WattTime, "\"value\":520,", "\"value\":-520,"),
    ] {
        let mut replies = good(kind);
        let last = replies.pop().unwrap();
        let Reply::Answer(_, _, body) = last else { panic!() };
        let body = String::from_utf8(body).unwrap();
        assert!(body.contains(good_word), "{kind:?}");
        let whole = Web::start([replies.clone(), vec![ok(body.clone())]].concat()).await;
        replies.push(ok(body.replace(good_word, bad_word)));
        let less = Web::start(replies).await;
        let whole = once(&config(kind, &whole.url()), &context()).await.unwrap();
        let less = once(&config(kind, &less.url()), &context()).await.unwrap();
        assert_eq!(less.len(), whole.len() - 1, "{kind:?} {bad_word}");
    }
}
