//! Names that people configure: which of them are zones, and which are not.

use proptest::prelude::*;

use super::*;

/// Names of regions that no table has: of AWS to come, and of other clouds.
const UNLISTED_REGIONS: [&str; 12] = [
    "af-south-2",
    "sa-west-1",
    "me-north-1a",
    "na-south-1",
    "la-north-2",
    "ca-east-bhs-a",
    "me-jeddah-1",
    "sa-lima-1",
    "me-dubai-1",
    "us-central9-b",
    "cn-hangzhou",
    "sa-east",
];

#[test]
fn a_cloud_region_in_the_place_of_a_zone_is_no_country() {
    let known = grid().regions().map(|region| region.name);
    for name in known.chain(UNLISTED_REGIONS).chain(["me-south-1-mct-1a", "af-south-1b", "us-east-1-wl1-bos-wlz-1"]) {
        for name in [name.to_owned(), name.to_uppercase(), format!(" {name} ")] {
            assert!(!grid().knows(&name) && !grid().has(&name), "{name}");
            assert_eq!(in_zone(&name, None).tier, Tier::World, "{name}");
            assert_eq!(water(None, None, Some(&name), None).grid, None, "{name}");
        }
    }
}

#[test]
fn a_cloud_region_is_told_with_its_cloud() {
    for (name, provider) in [
        ("af-south-1", "aws"),
        ("US-East-1a", "aws"),
        ("af-south-1-los-1a", "aws"),
        ("europe-west1-b", "gcp"),
        ("eastus", "azure"),
    ] {
        assert_eq!(grid().cloud_of(name), Some(provider), "{name}");
    }
    for name in ["", "US-VA", "DE", "af-south-9", "us-east-1abc", "us-east-1-", "us-east-1-lax", "us-east1-lax-1a"] {
        assert_eq!(grid().cloud_of(name), None, "{name}");
    }
}

#[test]
fn a_zone_that_no_table_has_leads_to_its_country_in_any_case() {
    for (name, country) in [
        ("US-XX-ABC", "USA"),
        ("US-AK-SEAPB", "USA"),
        ("US-MIDA-XYZ", "USA"),
        ("SE-SE9", "SWE"),
        ("IT-ZZ", "ITA"),
        ("JP-ZZ", "JPN"),
        ("AU-ZZZ", "AUS"),
        ("FR-2A", "FRA"),
        ("FRA-IDF", "FRA"),
        ("UK-ENG", "GBR"),
    ] {
        for name in [name.to_owned(), name.to_lowercase()] {
            let (found, whole) = (in_zone(&name, None), in_zone(country, None));
            assert_eq!(
                (told(&found), found.grams),
                ((whole.zone.as_str(), whole.source.as_str(), Tier::Country), whole.grams)
            );
            assert!(found.estimated && grid().knows(&name) && !grid().has(&name), "{name}");
        }
    }
}

/// The form alone must lead to the country, for a build without a table of zones has nothing else.
#[test]
fn no_zone_or_state_of_a_table_is_taken_for_a_region() {
    let names = || grid().zones.places().chain(grid().states.places()).filter(|name| name.contains('-'));
    assert!(names().count() > 50);
    for name in names() {
        let country = grid().country_named(name);
        assert_eq!(country, Some(grid().alpha3(name.split('-').next().unwrap())), "{name}");
        assert!(grid().has(name) && grid().has(&name.to_lowercase()) && grid().knows(name), "{name}");
    }
}

#[test]
fn a_subdivision_is_known_by_either_code_of_its_country() {
    for (long, short) in [("CAN-QC", "CA-QC"), ("usa-va", "US-VA"), ("CHN-BJ", "CN-BJ")] {
        assert_eq!(in_zone(long, None), in_zone(short, None), "{long}");
        assert!(grid().has(long) && !in_zone(long, None).estimated, "{long}");
        assert_eq!(water(None, None, Some(long), None), water(None, None, Some(short), None), "{long}");
    }
}

#[test]
fn water_passes_over_a_zone_that_nobody_knows() {
    let of = |zone| water(Some("aws"), Some("us-east-1"), zone, None);
    assert_eq!(of(Some("af-south-1")), of(None));
    assert_eq!(of(Some("Atlantis")), of(None));
}

proptest! {
    #[test]
    fn what_a_table_has_is_known_and_no_region_is(name in "\\PC{0,12}|[A-Za-z]{2,3}(-[A-Za-z0-9]{1,6}){0,3}") {
        prop_assert!(!grid().has(&name) || grid().knows(&name));
        prop_assert!(grid().cloud_of(&name).is_none() || !grid().knows(&name));
        prop_assert_eq!(grid().knows(&name), in_zone(&name, None).tier != Tier::World);
    }
}
