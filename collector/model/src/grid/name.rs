//! What the form of a configured name says of its place.

/// What clouds name their regions by; no grid zone and no subdivision of a country is named so.
const COMPASS: [&str; 9] =
    ["north", "south", "east", "west", "central", "northeast", "northwest", "southeast", "southwest"];

/// The country's code before the first hyphen, where the name has the form of a subdivision of ISO 3166-2 or of a grid zone
/// as Electricity Maps names them: `US-VA`, `SE-SE3`, `US-MIDA-PJM`, `US-AK-SEAPA`. A cloud's region has not, so that
/// `af-south-1` is not in Afghanistan, `me-south-1` not in Montenegro and `sa-lima-1` not in Saudi Arabia.
pub(super) fn country_of_zone(name: &str) -> Option<&str> {
    let (country, rest) = name.split_once('-')?;
    let parts = || rest.split('-');
    let is_zone_part =
        |part: &str| (1..=5).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let is_compass = |part: &str| {
        let word = part.trim_end_matches(|c: char| c.is_ascii_digit());
        COMPASS.iter().any(|direction| direction.eq_ignore_ascii_case(word))
    };
    let first_is_short = parts().next().is_some_and(|part| part.len() <= 4);
    let ends_as_region = parts().skip(1).last().is_some_and(|part| part.starts_with(|c: char| c.is_ascii_digit()));
    let is_zone = parts().all(|part| is_zone_part(part) && !is_compass(part)) && first_is_short && !ends_as_region;
    is_zone.then_some(country)
}
