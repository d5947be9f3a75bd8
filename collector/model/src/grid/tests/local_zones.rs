//! Machines of a region that stand in another city.

use super::*;

fn region(name: &str) -> Region {
    grid().region("aws", name).unwrap_or_else(|| panic!("{name} is not known"))
}

#[test]
fn every_city_stands_in_a_known_country_and_state() {
    for [code, country, state, ..] in local_zone::TABLE.rows::<6>() {
        assert_eq!(code.len(), 3);
        assert!(grid().countries.get(country, None).is_some(), "{code}: {country}");
        let within =
            |state: &str| grid().states.get(state, None).is_some() && grid().country_named(state) == Some(country);
        assert!(state.is_empty() || within(state), "{code}: {state}");
    }
}

/// Source: docs.aws.amazon.com/local-zones, available Local Zones; docs.aws.amazon.com/wavelength.
#[test]
fn a_local_zone_has_the_grid_of_its_own_country_and_never_that_of_its_region() {
    for (name, parent, country) in [
        ("af-south-1-los-1a", "af-south-1", "NGA"),
        ("me-south-1-mct-1a", "me-south-1", "OMN"),
        ("us-east-1-bue-1a", "us-east-1", "ARG"),
        ("us-east-1-qro-1a", "us-east-1", "MEX"),
        ("eu-north-1-cph-1a", "eu-north-1", "DNK"),
        ("eu-central-1-waw-1a", "eu-central-1", "POL"),
        ("ap-southeast-1-han-1a", "ap-southeast-1", "VNM"),
        ("ap-southeast-2-akl-1a", "ap-southeast-2", "NZL"),
        ("ap-northeast-1-tpe-1a", "ap-northeast-1", "TWN"),
        ("ap-south-1-ccu-2a", "ap-south-1", "IND"),
        ("eu-west-3-cmn-wlz-1a", "eu-west-3", "MAR"),
        ("US-West-2-LAX-1a", "us-west-2", "USA"),
        ("us-east-1-wl1-bos-wlz-1", "us-east-1", "USA"),
        ("ap-southeast-2-per-1a", "ap-southeast-2", "AUS"),
    ] {
        let place = region(name);
        assert_eq!((place.name, place.country, place.zone), (parent, country, None), "{name}");
        assert_eq!(place.local_zone, Some(LocalZone::Listed), "{name}");
        let (found, of_parent, whole) =
            (in_region("aws", name, None), in_region("aws", parent, None), in_zone(country, None));
        assert!(found.estimated && (found != of_parent || !ODBL) && found.uncertainty.sigma() >= 0.2, "{name}");
        // The zone of a whole country is as good for the country as for any place in it.
        let by_country =
            (found.grams, found.uncertainty, found.tier) == (whole.grams, whole.uncertainty, Tier::Country);
        assert!(if place.state.is_some() { found.tier == Tier::State } else { by_country }, "{name}");
    }
    assert_eq!(in_region("aws", "us-west-2-lax-1a", None).zone.as_str(), "US-CA");
    assert_eq!(in_region("aws", "us-west-2-hnl-1a", None).zone.as_str(), "US-HI");
}

#[test]
fn a_local_zone_of_an_unknown_city_may_be_in_any_country() {
    let place = region("us-east-1-zzz-1a");
    assert_eq!((place.country, place.state, place.local_zone), ("USA", None, Some(LocalZone::Unlisted)));
    let (found, usa) = (in_region("aws", "us-east-1-zzz-1a", None), in_zone("USA", None));
    assert_eq!((found.grams, found.estimated), (usa.grams, true));
    assert!(found.uncertainty.sigma() > 1.0 && usa.uncertainty.sigma() < 0.6);
    let water = |name| water(Some("aws"), Some(name), None, None).grid.unwrap().uncertainty.sigma();
    assert!(water("us-east-1-zzz-1a") > water("us-east-1-nyc-1a"));
}

#[test]
fn the_facility_of_a_local_zone_is_that_of_its_region_and_less_certain() {
    for (name, parent) in [("af-south-1-los-1a", "af-south-1"), ("us-west-2-lax-1a", "us-west-2")] {
        let [found, whole] = [name, parent].map(|name| pue(Some("aws"), Some(name), None));
        assert_eq!((found.ratio, found.source.as_str()), (whole.ratio, whole.source.as_str()), "{name}");
        assert!(found.uncertainty.sigma() > 3.0 * whole.uncertainty.sigma(), "{name}");
        let [found, whole] = [name, parent].map(|name| water(Some("aws"), Some(name), None, None).site.unwrap());
        assert_eq!((found.liters, found.zone.as_str()), (whole.liters, whole.zone.as_str()), "{name}");
        assert!(found.uncertainty.sigma() > whole.uncertainty.sigma(), "{name}");
    }
    let plants = |name| water(Some("aws"), Some(name), None, None).grid.map(|factor| factor.zone);
    assert_eq!(plants("us-east-1-qro-1a").unwrap().as_str(), "MEX");
    assert_eq!(plants("af-south-1-los-1a"), None, "nobody publishes one of Nigeria");
}

#[test]
fn what_only_resembles_a_local_zone_is_none() {
    for name in
        ["us-east-1-", "us-east-1-lax", "us-east-1-lax-", "us-east-9-lax-1a", "us-east-1-lax-1a-1", "us-east-1ab"]
    {
        assert_eq!(grid().region("aws", name), None, "{name}");
    }
    assert_eq!(grid().region("gcp", "us-east1-lax-1a"), None);
}
