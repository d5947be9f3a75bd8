//! The known names nearest to one that is not known.

use std::collections::BTreeSet;

/// So many names are told at most.
const TOLD: usize = 5;

/// Longer names than any that is known are cut before they are compared, so that nonsense costs little.
const COMPARED: usize = 40;

/// The names that lie within half of their length of edits from `name`, nearest first, without regard to case.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let name: String = name.trim().chars().take(COMPARED).collect::<String>().to_lowercase();
    let near: BTreeSet<(usize, &str)> = known
        .into_iter()
        .map(|candidate| (strsim::osa_distance(&name, &candidate.to_lowercase()), candidate))
        .filter(|(edits, candidate)| 2 * edits <= candidate.len().max(name.len()))
        .collect();
    near.into_iter().take(TOLD).map(|(_, candidate)| candidate).collect()
}
