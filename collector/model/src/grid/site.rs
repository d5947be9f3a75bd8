//! What clouds publish of their data centres, by region or by a beginning of its name, and by year.

use super::table::Table;
use super::yearly::{Yearly, nearest};

/// One published figure of one or many regions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Site {
    pub(super) provider: &'static str,
    /// A region, or the beginning of its name before `*`.
    pub(super) region: &'static str,
    pub(super) value: f64,
    pub(super) sigma: f64,
    pub(super) source: &'static str,
    pub(super) year: u16,
}

impl Yearly for Site {
    fn year(&self) -> u16 {
        self.year
    }
}

/// The rows of a table with the columns provider, region, figure, sigma, source, year and licence.
pub(super) fn parse(table: Table) -> Vec<Site> {
    let row = |[provider, region, value, sigma, source, year, _licence]: [&'static str; 7]| {
        let [value, sigma] = [value, sigma].map(|number| number.parse::<f64>().ok().filter(|n| n.is_finite()));
        Some(Site { provider, region, value: value?, sigma: sigma?, source, year: year.parse().ok()? })
    };
    table.rows().filter_map(row).collect()
}

/// The row of the narrowest rule that fits the region, and of its years the nearest.
pub(super) fn find<'a>(rows: &'a [Site], provider: &str, region: &str, year: Option<u16>) -> Option<&'a Site> {
    let fitting = || rows.iter().filter(|row| row.provider.eq_ignore_ascii_case(provider) && row.fits(region));
    let narrowest = fitting().max_by_key(|row| row.region.len())?.region;
    nearest(fitting().filter(|row| row.region == narrowest), year)
}

impl Site {
    fn fits(&self, region: &str) -> bool {
        match self.region.strip_suffix('*') {
            Some(beginning) => region.starts_with(beginning),
            None => region.strip_prefix(self.region).is_some_and(is_zone_letter),
        }
    }
}

/// An availability zone is its region with one letter more, which Google sets off with a hyphen.
fn is_zone_letter(rest: &str) -> bool {
    let letter = rest.strip_prefix('-').unwrap_or(rest);
    letter.len() <= 1 && letter.chars().all(|c| c.is_ascii_lowercase())
}
