//! What things cost: electricity by the hour of the day, tokens at prices of one's own, and services by the unit.

pub mod price_book;
pub mod tariff;
pub mod units;

pub use price_book::{PriceBook, PriceFileError};
pub use tariff::{Tariff, TariffError, TariffSpec};
pub use units::{UnitPrice, UnitPriceError, UnitPrices};

/// The known names most like `wrong`, best first: at most three, none that shares less than half of it, and none that is
/// much less like it than the first.
fn nearest<'a>(wrong: &str, known: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let wrong = wrong.to_lowercase();
    let mut found: Vec<(usize, &str)> = known
        .map(|name| (distance(&wrong, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= name.len().max(wrong.len()) / 2)
        .collect();
    found.sort_unstable();
    let best = found.first().map_or(0, |(distance, _)| *distance);
    found.into_iter().take_while(|(distance, _)| *distance <= best + 2).take(3).map(|(_, name)| name).collect()
}

/// Edits from `wrong` to `name`. The last part of a path alone counts as nearly right: people write `Berlin` for
/// `Europe/Berlin` and `vcpu_hour` for `agentcore.runtime.vcpu_hour`.
fn distance(wrong: &str, name: &str) -> usize {
    let last = name.rsplit(['/', '.']).next().unwrap_or(name);
    strsim::damerau_levenshtein(wrong, name).min(strsim::damerau_levenshtein(wrong, last) + 1)
}

/// A list of names for an error: `, did you mean A or B?`, and nothing for no names.
fn did_you_mean(names: &[impl AsRef<str>]) -> String {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    if names.is_empty() { String::new() } else { format!("; did you mean {}?", names.join(" or ")) }
}
