//! Local Zones and Wavelength Zones of AWS: machines of a region that stand in another city, and maybe another country.

use super::table::Table;

pub(super) const TABLE: Table = Table::new(include_str!("../../data/cloud_local_zone.csv"));

/// Machines that belong to a region and stand elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalZone {
    /// The table has its city, so the country is known.
    Listed,
    /// The table has not: the country is that of the region, and may be another.
    Unlisted,
}

/// The code of the city in what stands behind the region's name and a hyphen: `lax` of `lax-1a` and of the group `lax-1`,
/// `bos` of `wl1-bos-wlz-1`, `cmn` of `cmn-wlz-1a`. Source: AWS's lists of Local Zones and of Wavelength Zones.
pub(super) fn city(behind_region: &str) -> Option<&str> {
    let mut parts = behind_region.split('-').peekable();
    let is_wavelength = |part: &str| part.strip_prefix("wl").is_some_and(is_number);
    parts.next_if(|part| is_wavelength(part));
    let city = parts.next().filter(|part| part.len() == 3 && part.bytes().all(|byte| byte.is_ascii_lowercase()))?;
    let rest = match parts.next()? {
        "wlz" => parts.next()?,
        other => other.strip_prefix("wlz").unwrap_or(other),
    };
    let digits = rest.strip_suffix(|c: char| c.is_ascii_lowercase()).unwrap_or(rest);
    (is_number(digits) && parts.next().is_none()).then_some(city)
}

/// The country and the state of a city.
pub(super) fn place(city: &str) -> Option<(&'static str, Option<&'static str>)> {
    let row = TABLE.rows().find(|[code, ..]: &[&str; 6]| *code == city)?;
    let [_code, country, state, _source, _year, _licence] = row;
    Some((country, (!state.is_empty()).then_some(state)))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_city_stands_behind_the_region() {
        for (behind, code) in [
            ("lax-1a", "lax"),
            ("lax-1", "lax"),
            ("ccu-2a", "ccu"),
            ("wl1-bos-wlz-1", "bos"),
            ("wl2-man-wlz1", "man"),
            ("cmn-wlz-1a", "cmn"),
        ] {
            assert_eq!(city(behind), Some(code), "{behind}");
        }
        for nonsense in ["", "a", "lax", "lax-", "lax-a", "lax-1aa", "lax-1a-", "lx-1a", "wl1", "wl1-bos-wlz", "LAX-1a"]
        {
            assert_eq!(city(nonsense), None, "{nonsense}");
        }
    }
}
