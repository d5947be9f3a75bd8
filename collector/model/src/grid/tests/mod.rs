use std::collections::BTreeSet;

use proptest::prelude::*;
use wattline_core::LitersPerKwh;

use super::*;
use crate::grid::{atlas, local_zone, region, table};

mod local_zones;
mod names;

const ODBL: bool = cfg!(feature = "odbl");

fn grid() -> &'static Grid {
    Grid::builtin()
}

fn in_zone(zone: &str, year: Option<u16>) -> Intensity {
    grid().intensity(&Place { zone: Some(zone), ..Place::default() }, year)
}

fn in_region(provider: &str, region: &str, year: Option<u16>) -> Intensity {
    grid().intensity(&Place { provider: Some(provider), region: Some(region), ..Place::default() }, year)
}

fn told(found: &Intensity) -> (&str, &str, Tier) {
    (found.zone.as_str(), found.source.as_str(), found.tier)
}

#[test]
fn every_row_parses_once_and_has_source_year_and_licence() {
    for (table, key) in [(atlas::STATES, "zone"), (atlas::PROVINCES, "zone"), (atlas::COUNTRIES_PAST, "alpha3")] {
        table::check::<5>(table, table.rows::<5>().count());
        table::keys_once::<5>(table, &[key, "year"]);
    }
    table::check::<6>(atlas::COUNTRIES, atlas::COUNTRIES.rows::<6>().count());
    table::check::<6>(atlas::REGIONS_OWN, grid().published.values().map(Vec::len).sum());
    table::keys_once::<6>(atlas::REGIONS_OWN, &["provider", "region", "year"]);
    table::check::<8>(region::TABLE, grid().regions().count());
    table::keys_once::<8>(region::TABLE, &["provider", "region"]);
    table::check::<6>(local_zone::TABLE, local_zone::TABLE.rows::<6>().count());
    table::keys_once::<6>(local_zone::TABLE, &["code"]);

    let generated = atlas::COUNTRIES.rows::<6>().count() + atlas::COUNTRIES_PAST.rows::<5>().count();
    assert_eq!(grid().countries.rows().count(), generated, "a figure did not parse");
    let states = atlas::STATES.rows::<5>().count() + atlas::PROVINCES.rows::<5>().count();
    assert_eq!(grid().states.rows().count(), states);
    for series in [&grid().countries, &grid().states, &grid().zones] {
        let keys: BTreeSet<_> = series.rows().map(|(place, row)| (place, row.year)).collect();
        assert_eq!(keys.len(), series.rows().count(), "two rows of one place and year, maybe of two tables");
        assert!(series.rows().all(|(_, row)| (0.1..=1500.0).contains(&row.value)));
    }
}

#[test]
fn all_states_and_zones_are_there() {
    assert_eq!(grid().states.places().filter(|state| state.starts_with("US-")).count(), 51);
    for state in grid().states.places().filter(|state| state.starts_with("US-")) {
        let years: Vec<u16> =
            grid().states.rows().filter(|(place, _)| *place == state).map(|(_, row)| row.year).collect();
        assert_eq!(years, [2023, 2024], "{state}");
    }
    if let Some(zones) = atlas::ZONES {
        table::check::<5>(zones, grid().zones.rows().count());
        assert_eq!((grid().zones.places().count(), grid().zones.rows().count()), (352, 5 * 352));
        assert!(zones.head("attribution").unwrap().contains("ODbL"));
    }
    assert_eq!(atlas::ZONES.is_some(), ODBL);
    assert!(Grid::attributions().iter().any(|line| line.contains("Ember") && line.contains("CC BY 4.0")));
    assert_eq!(Grid::attributions().iter().any(|line| line.contains("Electricity Maps")), ODBL);
}

#[test]
fn no_region_points_to_a_place_without_a_figure() {
    for region in grid().regions() {
        assert!(grid().countries.get(region.country, None).is_some(), "{region:?}");
        assert!(region.state.is_none_or(|state| grid().states.get(state, None).is_some()), "{region:?}");
        assert!(!ODBL || region.zone.is_none_or(|zone| grid().zones.get(zone, None).is_some()), "{region:?}");
        let country = grid().alpha3(region.zone.or(region.state).unwrap().split('-').next().unwrap());
        assert_eq!(country, region.country, "{region:?}");
        // The zone of a whole country with many grids is never what a region gets by its zone.
        assert!(
            region.zone.is_none_or(|zone| zone.contains('-') || !Grid::has_many_grids(region.country)),
            "{region:?}"
        );
    }
    for (provider, region) in grid().published.keys() {
        assert!(grid().region(provider, region).is_some(), "{provider} {region}");
    }
    let count = |provider| grid().regions().filter(|region| region.provider == provider).count();
    assert_eq!((count("aws"), count("gcp"), count("azure")), (39, 46, 75));
}

#[test]
fn a_region_with_a_figure_of_its_own_never_has_a_coarser_one() {
    for region in grid().regions() {
        let narrowest = if ODBL && region.zone.is_some() {
            Tier::Zone
        } else if grid().published.contains_key(&(region.provider, region.name)) {
            Tier::Region
        } else if region.state.is_some() {
            Tier::State
        } else {
            Tier::Country
        };
        for year in (1990..=2100).map(Some).chain([None]) {
            let found = in_region(region.provider, region.name, year);
            assert_eq!(found.tier, narrowest, "{region:?} {year:?}");
            assert!(found.grams.is_finite() && found.grams.get() > 0.0, "{region:?} {year:?}");
            assert!((0.1..1.5).contains(&found.uncertainty.sigma()), "{region:?} {year:?}");
        }
    }
}

/// Source: electricitymaps.com yearly averages as CO2.js 0.19.0 republishes them.
#[cfg(feature = "odbl")]
#[test]
fn published_zone_figures_of_aws_regions() {
    for (region, zone, grams) in [
        ("us-east-1", "US-MIDA-PJM", [403.0, 418.0]),
        ("us-west-1", "US-CAL-CISO", [229.0, 208.0]),
        ("us-west-2", "US-NW-PACW", [197.0, 204.0]),
        ("ca-central-1", "CA-QC", [35.0, 41.0]),
        ("ca-west-1", "CA-AB", [402.0, 385.0]),
        ("ap-east-1", "HK", [594.0, 590.0]),
        ("ap-northeast-1", "JP-TK", [539.0, 535.0]),
        ("ap-southeast-2", "AU-NSW", [541.0, 525.0]),
        ("ap-south-1", "IN-WE", [657.0, 653.0]),
        ("sa-east-1", "BR-CS", [102.0, 106.0]),
        ("eu-south-1", "IT-NO", [238.0, 275.0]),
        ("eu-north-1", "SE-SE3", [21.0, 20.0]),
    ] {
        let found = in_region("aws", region, None);
        assert_eq!(told(&found), (zone, "electricity-maps-2025", Tier::Zone), "{region}");
        let of = |year| in_region("aws", region, Some(year)).grams;
        assert_eq!([of(2024), of(2025)], grams.map(GramsPerKwh::new), "{region}");
    }
}

/// Canada's provinces are our own sum of the mix and the medians of IPCC; Electricity Maps computes them by the hour.
#[cfg(feature = "odbl")]
#[test]
fn the_sum_over_a_provinces_mix_agrees_with_its_zone() {
    let provinces = || atlas::PROVINCES.column("zone").filter(|zone| zone.starts_with("CA-"));
    let mut squares = 0.0;
    for province in provinces() {
        let [ours, theirs] =
            [&grid().states, &grid().zones].map(|series| series.get(province, Some(2023)).unwrap().1.value);
        assert!((ours / theirs).ln().abs() < 0.6, "{province}: {ours} and {theirs}");
        squares += (ours / theirs).ln().powi(2);
    }
    assert!((squares / provinces().count() as f64).sqrt() < 0.25);
}

/// Bahrain 2025: 488 of Electricity Maps and 902 of Ember; Germany 342 and 330.
#[cfg(feature = "odbl")]
#[test]
fn a_country_on_which_publishers_disagree_is_less_certain() {
    let sigma = |region| in_region("aws", region, Some(2024)).uncertainty.sigma();
    assert!((sigma("eu-central-1") - 0.20).abs() < 1e-9);
    assert!((sigma("me-south-1") - (902.24_f64 / 488.0).ln() / 2.0_f64.sqrt()).abs() < 1e-9);
}

/// Source: Ember's yearly releases of 2025 and 2026.
#[cfg(not(feature = "odbl"))]
#[test]
fn without_the_zones_everything_works_one_tier_lower() {
    let found = |region| in_region("aws", region, Some(2024));
    assert_eq!(told(&found("us-east-1")), ("US-VA", "ember-2024", Tier::State));
    assert_eq!(told(&found("eu-west-3")), ("FRA", "ember-2024", Tier::Country));
    assert!((found("eu-west-3").grams.get() - 44.18).abs() < 1e-9);
    assert_eq!(told(&found("ca-central-1")), ("CA-QC", "province-mix-2023", Tier::State));
    assert_eq!(told(&in_region("gcp", "us-central1", Some(2024))), ("us-central1", "google-2024", Tier::Region));
    assert!((in_region("gcp", "us-central1", Some(2024)).grams.get() - 412.72).abs() < 1e-9);
    assert_eq!(told(&in_zone("US-MIDA-PJM", None)), ("USA", "ember-2025", Tier::Country));
    assert_eq!(told(&in_zone("FR", None)), ("FRA", "ember-2025", Tier::Country));
    assert!(!in_zone("FR", None).estimated && in_zone("US-MIDA-PJM", None).estimated);
}

#[test]
fn known_wrong_mappings_of_others_are_not_ours() {
    // Hong Kong is not mainland China, us-east-1 not the average of the USA, Quebec and Alberta not that of Canada.
    for (wrong, region) in [("CHN", "ap-east-1"), ("USA", "us-east-1"), ("CAN", "ca-central-1"), ("CAN", "ca-west-1")] {
        let (country, found) = (in_zone(wrong, None), in_region("aws", region, None));
        assert!((found.grams.get() / country.grams.get()).ln().abs() > 0.005, "{region}");
        assert!(!found.estimated && found.uncertainty.sigma() < country.uncertainty.sigma(), "{region}");
    }
    assert!(in_region("aws", "ca-central-1", None).grams.get() < 60.0);
    assert!(in_region("aws", "ca-west-1", None).grams.get() > 350.0);
    // Beijing and Ningxia have figures of their own, as China's ministry publishes them for 2023.
    assert_eq!(told(&in_region("aws", "cn-north-1", None)), ("CN-BJ", "mee-china-2023", Tier::State));
    assert!((in_region("aws", "cn-northwest-1", None).grams.get() - 618.7).abs() < 1e-9);
}

#[test]
fn a_past_year_is_computed_with_its_own_factor() {
    let germany = [2023, 2024, 2025].map(|year| grid().countries.get("DEU", Some(year)).unwrap().1);
    assert_eq!(germany.map(|row| row.year), [2023, 2024, 2025]);
    assert!((germany[2].value - 329.65).abs() < 1e-9, "Ember, release of 2026");
    for year in 2023..=2025 {
        let found = in_region("aws", "eu-central-1", Some(year));
        assert_eq!(found.year, Some(year));
        assert!(found.source.ends_with(&year.to_string()));
    }
    assert_eq!(in_region("aws", "us-east-2", Some(2023)).year, Some(2023));
    assert_eq!(in_region("gcp", "europe-west1", Some(2022)).year, Some(2022));
    let now = in_region("aws", "eu-central-1", None);
    assert_eq!(now.year, Some(2025), "the newest for who asks for no year");
}

#[test]
fn uncertainty_grows_with_the_distance_of_the_year_and_of_the_place() {
    let sigma = |year| in_region("aws", "eu-central-1", Some(year)).uncertainty.sigma();
    assert!(sigma(2025) < sigma(2027) && sigma(2027) < sigma(2030) && sigma(2030) < sigma(2036));
    assert!(sigma(2015) < sigma(2010) && sigma(2010) <= sigma(1990));
    let virginia = in_region("aws", "us-east-1", None).uncertainty.sigma();
    let state = in_zone("US-VA", None);
    let usa = in_zone("USA", None);
    let nowhere = grid().intensity(&Place::default(), None);
    assert_eq!((state.tier, usa.tier, nowhere.tier), (Tier::State, Tier::Country, Tier::World));
    assert!(virginia <= state.uncertainty.sigma() && state.uncertainty.sigma() < usa.uncertainty.sigma());
    assert!(usa.estimated && usa.uncertainty.sigma() < nowhere.uncertainty.sigma());
    assert_eq!((nowhere.zone.as_str(), nowhere.estimated), ("WORLD", true));
}

#[test]
fn the_users_word_comes_before_the_table_and_the_zone_before_the_region() {
    let place = Place {
        intensity: Some(GramsPerKwh::new(12.5)),
        zone: Some("US-OH"),
        country: Some("FR"),
        provider: Some("aws"),
        region: Some("us-east-1"),
    };
    let at = |place: &Place<'_>| grid().intensity(place, None);
    let own = at(&place);
    assert_eq!(
        (told(&own), own.grams, own.year),
        (("US-OH", "configured", Tier::Configured), GramsPerKwh::new(12.5), None)
    );
    for nonsense in [-1.0, f64::NAN, f64::INFINITY] {
        let place = Place { intensity: Some(GramsPerKwh::new(nonsense)), ..place };
        assert_eq!(told(&at(&place)), ("US-OH", "ember-2024", Tier::State));
    }
    let place = Place { intensity: None, zone: Some("Atlantis"), ..place };
    assert!(["FR", "FRA"].contains(&at(&place).zone.as_str()), "what nobody knows is passed over");
    let place = Place { country: None, ..place };
    assert_eq!(at(&place), in_region("aws", "us-east-1", None));
}

#[test]
fn zones_are_found_by_any_of_their_names() {
    let france = in_zone("FR", None);
    for name in ["fra", " FRA ", "Fr"] {
        assert_eq!(in_zone(name, None), france);
    }
    assert_eq!(in_zone("UK", None), in_zone("GBR", None));
    assert_eq!(in_zone("us-dc", None).zone.as_str(), "US-DC");
    let nowhere = in_zone("US-NO-SUCH", None);
    assert_eq!((nowhere.tier, nowhere.estimated, nowhere.grams), (Tier::Country, true, in_zone("USA", None).grams));
    assert!(grid().knows("US-NO-SUCH") && !grid().knows("Atlantis") && !grid().knows("") && !grid().knows("WORLD"));
}

#[test]
fn availability_zones_lie_in_their_region() {
    let state = |provider, region| grid().region(provider, region).and_then(|region| region.state);
    assert_eq!(state("aws", "us-east-1a"), Some("US-VA"));
    assert_eq!(state("AWS", " us-west-2 "), Some("US-OR"));
    assert_eq!(grid().region("gcp", "europe-west1-b").map(|region| region.country), Some("BEL"));
    assert_eq!(grid().region("aws", "eu-central-99"), None);
    assert_eq!(grid().region("aws", ""), None);
    assert_eq!(grid().region("", "us-east-1"), None);
}

#[test]
fn nearest_names_are_told_for_one_that_is_not_known() {
    assert_eq!(grid().nearest_regions("aws", "us-esat-1").first(), Some(&"us-east-1"));
    assert_eq!(grid().nearest_regions("AWS", "eu-north1").first(), Some(&"eu-north-1"));
    assert_eq!(grid().nearest_regions("gcp", "europe-west-1").first(), Some(&"europe-west1"));
    assert_eq!(grid().nearest_regions("azure", "East US").first(), Some(&"eastus"));
    assert!(grid().nearest_regions("oracle", "us-east-1").is_empty());
    assert!(grid().nearest_zones("US-V").iter().all(|zone| zone.starts_with("US-") || zone.len() <= 4));
    assert!(grid().nearest_zones("us-vb").contains(&"US-VA"));
    if ODBL {
        assert_eq!(grid().nearest_zones("US-MID-PJM").first(), Some(&"US-MIDA-PJM"));
    }
}

/// Source: AWS's page of August 2026; WRI's guidance of 2020 through EcoLogits; SPRUCE's test of us-east-1.
#[test]
fn published_water_figures() {
    let virginia = water(Some("aws"), Some("us-east-1"), None, Some(2024));
    let (site, plants) = (virginia.site.unwrap(), virginia.grid.unwrap());
    assert_eq!((site.source.as_str(), plants.source.as_str()), ("aws-2024-region", "wri-2020"));
    // 100 kWh with a PUE of 1.15: 12.0 litres on the site and 265.96 at the plants.
    assert!((site.liters.get() * 100.0 - 12.0).abs() < 1e-9);
    assert!((plants.liters.get() * 100.0 * 1.15 - 265.96).abs() < 0.01);
    let frankfurt = |year| water(Some("aws"), Some("eu-central-1"), None, Some(year)).site.unwrap().liters;
    assert_eq!([frankfurt(2024), frankfurt(2025)], [0.01, 0.17].map(LitersPerKwh::new));
    let paris = water(Some("azure"), Some("francecentral"), None, None);
    assert_eq!([paris.site, paris.grid].map(|factor| factor.unwrap().liters), [0.03, 3.6737].map(LitersPerKwh::new));
    assert_eq!(water(Some("gcp"), Some("europe-west1"), None, None).site, None);
    assert_eq!(water(None, None, Some("fr"), None).grid.unwrap().zone.as_str(), "FRA");
    assert_eq!(water(Some("aws"), Some("us-east-1"), Some("FRA"), None).grid.unwrap().zone.as_str(), "FRA");
    assert_eq!(water(Some("aws"), Some("ap-southeast-1"), None, None).grid, None, "nobody publishes one of Singapore");
    assert_eq!(water(None, None, None, None), Water { site: None, grid: None });
}

#[test]
fn every_row_of_water_parses_and_stands_for_a_known_place() {
    use super::water::{COUNTRIES, SITES, STATES};
    let sites = site::parse(SITES);
    table::check::<7>(SITES, sites.len());
    table::keys_once::<7>(SITES, &["provider", "region", "year"]);
    for row in &sites {
        assert!((0.0..10.0).contains(&row.value) && row.sigma > 0.0, "{row:?}");
        let exact = !row.region.ends_with('*');
        assert!(!exact || grid().region(row.provider, row.region).is_some(), "{row:?}");
    }
    for table in [COUNTRIES, STATES] {
        table::check::<5>(table, table.rows::<5>().count());
        table::keys_once::<5>(table, &["zone"]);
        for zone in table.column("zone") {
            assert!(grid().knows(zone) || zone == atlas::WORLD, "{zone}");
        }
    }
}

proptest! {
    #[test]
    fn any_place_and_year_has_a_positive_figure(
        zone in "\\PC{0,12}|[A-Z]{2,3}(-[A-Z]{2,4})?",
        region in "[a-z0-9-]{0,16}",
        year in any::<Option<u16>>(),
    ) {
        for found in [in_zone(&zone, year), in_region("aws", &region, year), in_region(&zone, &zone, year)] {
            prop_assert!(found.grams.get() > 0.0 && found.grams.is_finite());
            prop_assert!((0.1..2.0).contains(&found.uncertainty.sigma()));
        }
        let water = water(Some("aws"), Some(&region), Some(&zone), year);
        prop_assert!(water.grid.is_none_or(|factor| factor.liters.get() > 0.0 && factor.liters.is_finite()));
    }

    #[test]
    fn no_name_panics_and_at_most_five_are_told(name in "\\PC{0,80}") {
        prop_assert!(grid().nearest_zones(&name).len() <= 5);
        prop_assert!(grid().nearest_regions("azure", &name).len() <= 5);
    }
}
