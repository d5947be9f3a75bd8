use proptest::prelude::*;

use super::*;
use crate::provider::Point;

const GENERATION: &str = include_str!("../../../testdata/entsoe/generation.xml");

fn told(points: &[Point]) -> Vec<(String, String, f64)> {
    points.iter().map(|point| (moment::minutes(point.from), moment::minutes(point.until), point.grams)).collect()
}

#[test]
fn the_intensity_is_the_mean_of_the_factors_weighted_by_generation() {
    let found = parse(GENERATION.as_bytes()).unwrap();
    // By hand, in MW x g/kWh: coal 820, solar 48, wind 11. Pumped storage (500) was counted before; what a
    // plant takes (900, of coal) is no generation. The position 2 of wind is left out and repeats the one before, because its curve is
    // A03; so does its last. The last half hour has no coal, which made 4000 of 10,000 when it was last seen.
    let early = (5000.0 * 820.0 + 3000.0 * 48.0 + 2000.0 * 11.0) / 10_000.0;
    let late = (4000.0 * 820.0 + 2000.0 * 48.0 + 4000.0 * 11.0) / 10_000.0;
    let expected = [
        ("2026-11-22T11:00Z".to_owned(), "2026-11-22T11:30Z".to_owned(), early),
        ("2026-11-22T11:30Z".to_owned(), "2026-11-22T12:00Z".to_owned(), early),
        ("2026-11-22T12:00Z".to_owned(), "2026-11-22T12:30Z".to_owned(), late),
    ];
    let read = told(&found.points);
    assert_eq!(read.len(), expected.len(), "{read:?}");
    for (read, expected) in read.iter().zip(&expected) {
        assert_eq!((&read.0, &read.1), (&expected.0, &expected.1));
        assert!((read.2 - expected.2).abs() < 1e-9, "{read:?} {expected:?}");
    }
    assert!(found.points.iter().all(|point| point.estimated));
    assert!((early - 426.6).abs() < 1e-9);
}

#[test]
fn an_archive_holds_the_same() {
    let packed = parse(include_bytes!("../../../testdata/entsoe/generation.zip")).unwrap();
    assert_eq!(packed, parse(GENERATION.as_bytes()).unwrap());
    let stored = zip::files(include_bytes!("../../../testdata/entsoe/stored.zip")).unwrap();
    assert_eq!(stored, [b"first".to_vec(), b"second".to_vec()]);
}

#[test]
fn a_broken_archive_is_an_error() {
    let whole = include_bytes!("../../../testdata/entsoe/generation.zip");
    assert!(parse(&whole[..whole.len() / 2]).is_err());
    let mut changed = whole.to_vec();
    changed[60] ^= 0xff;
    assert!(parse(&changed).is_err(), "it cannot be inflated");
    let mut changed = include_bytes!("../../../testdata/entsoe/stored.zip").to_vec();
    let first = changed.windows(5).position(|part| part == b"first").unwrap();
    changed[first] = b'F';
    assert_eq!(zip::files(&changed), Err("a checksum does not match"));
}

#[test]
fn an_acknowledgement_is_no_data_or_a_refusal() {
    let text = include_str!("../../../testdata/entsoe/acknowledgement.xml");
    let Err(FetchError::NoData { what }) = parse(text.as_bytes()) else { panic!("not no data") };
    assert!(what.contains("No matching data found"), "{what}");
    let refused = text.replace("<code>999</code>", "<code>A01</code>");
    assert!(matches!(parse(refused.as_bytes()), Err(FetchError::Rejected { .. })));
}

#[test]
fn what_is_no_document_of_generation_is_an_error() {
    for body in ["", "<html><body>502</body></html>", "{\"a\": 1}", &GENERATION[..2000], "<GL_MarketDocument/>"] {
        assert!(parse(body.as_bytes()).is_err(), "{body}");
    }
    let bomb = "<!DOCTYPE a [<!ENTITY b \"bbbb\"><!ENTITY c \"&b;&b;\">]><GL_MarketDocument>&c;</GL_MarketDocument>";
    assert!(matches!(parse(bomb.as_bytes()), Err(FetchError::Failed { .. })));
    let deep = "<a>".repeat(300_000) + &"</a>".repeat(300_000);
    assert!(matches!(parse(deep.as_bytes()), Err(FetchError::Failed { .. })));
    let many = format!("<GL_MarketDocument>{}</GL_MarketDocument>", "<a/>".repeat(500_000));
    assert!(matches!(parse(many.as_bytes()), Err(FetchError::Failed { .. })));
}

#[test]
fn a_series_that_cannot_be_read_leaves_no_intensity_rather_than_a_wrong_one() {
    for (good, bad) in [
        (">MAW<", ">MWH<"),
        ("<psrType>B05</psrType>", ""),
        ("<end>2026-11-22T13:00Z</end>", "<end>2526-11-22T13:00Z</end>"),
        ("<resolution>PT60M<", "<resolution>P1Y<"),
    ] {
        let changed = GENERATION.replace(good, bad);
        assert_ne!(changed, GENERATION);
        assert!(matches!(parse(changed.as_bytes()), Err(FetchError::Failed { .. })), "{bad}");
    }
}

#[test]
fn a_point_that_cannot_be_read_is_a_gap_and_is_counted() {
    for bad in ["-3000", "much", "NaN"] {
        let changed = GENERATION.replacen("<quantity>3000<", &format!("<quantity>{bad}<"), 1);
        let found = parse(changed.as_bytes()).unwrap();
        // Without its solar, the first hour is not told; the second is.
        assert_eq!((found.unreadable, found.points.len()), (1, 1), "{bad}");
    }
}

#[test]
fn only_a_curve_that_says_so_repeats_what_is_left_out() {
    let sequential = GENERATION.replace("<curveType>A03<", "<curveType>A01<");
    // Of wind, the positions 2 and 4 are left out and are now missing; it made 2000 of 10,000 when it was last seen.
    let begins = |found: Told| found.points.iter().map(|point| moment::minutes(point.from)).collect::<Vec<_>>();
    assert_eq!(begins(parse(sequential.as_bytes()).unwrap()), ["2026-11-22T11:00Z", "2026-11-22T12:00Z"]);
}

#[test]
fn storage_of_any_size_changes_nothing() {
    let large = GENERATION.replace("<quantity>500<", "<quantity>50000<");
    assert_ne!(large, GENERATION);
    assert_eq!(parse(large.as_bytes()).unwrap(), parse(GENERATION.as_bytes()).unwrap());
}

#[test]
fn a_zone_of_mostly_unknown_plants_has_no_intensity() {
    let unknown = GENERATION.replace("<psrType>B05<", "<psrType>B20<");
    assert!(matches!(parse(unknown.as_bytes()), Err(FetchError::NoData { .. })));
    let new_code = GENERATION.replace("<psrType>B05<", "<psrType>B99<");
    assert!(matches!(parse(new_code.as_bytes()), Err(FetchError::NoData { .. })));
}

proptest! {
    #[test]
    fn no_answer_is_a_panic(bytes: Vec<u8>, text: String) {
        let _told = parse(&bytes);
        let _told = parse(text.as_bytes());
        let _files = zip::files(&bytes);
    }

    #[test]
    fn no_change_of_a_good_answer_is_a_panic(at in 0_usize..4000, cut in 0_usize..40, put in "\\PC{0,8}") {
        let at = at.min(GENERATION.len() - 1);
        let mut changed = GENERATION.as_bytes().to_vec();
        let end = (at + cut).min(changed.len());
        changed.splice(at..end, put.bytes());
        if let Ok(told) = parse(&changed) {
            for point in told.points {
                prop_assert!(point.grams >= 0.0 && point.grams <= 840.0 && point.from < point.until);
            }
        }
    }

    #[test]
    fn no_change_of_a_good_archive_is_a_panic(at in 0_usize..1200, put: Vec<u8>) {
        let mut changed = include_bytes!("../../../testdata/entsoe/generation.zip").to_vec();
        let at = at.min(changed.len() - 1);
        let end = (at + put.len()).min(changed.len());
        changed.splice(at..end, put);
        let _told = parse(&changed);
    }
}
