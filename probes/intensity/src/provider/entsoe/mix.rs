//! From generation by type to carbon intensity.

use std::collections::{BTreeMap, BTreeSet};

use wattline_core::Timestamp;
use wattline_core::reading::IntensityKind;

use super::document::{Block, Document};
use super::fuel::{self, Factor};
use crate::failure::FetchError;
use crate::provider::{Point, Told};

/// Types report one after the other. A time is used only when the types that are still missing made less than this
/// share of generation when they were last seen: without its coal a zone looks clean.
const MISSING_SHARE_MAX: f64 = 0.05;

/// What has no factor is taken to be like the rest, which it may be only as long as it is a small part.
const UNKNOWN_SHARE_MAX: f64 = 0.20;

/// The intensities of all times for which enough is known.
pub(crate) fn intensities(document: &Document) -> Result<Told, FetchError> {
    let cuts: BTreeSet<Timestamp> =
        document.types.values().flatten().flat_map(|(from, block)| [*from, block.until]).collect();
    let mut told = Told { unreadable: document.unreadable, ..Told::default() };
    for (&from, &until) in cuts.iter().zip(cuts.iter().skip(1)) {
        if let Some(grams) = intensity(document, from) {
            // Computed from medians, and without trade: never more than an estimate.
            told.points.push(Point { kind: IntensityKind::Average, grams, from, until, estimated: true });
        }
    }
    if told.points.is_empty() {
        return Err(FetchError::NoData {
            what: "ENTSO-E has no hour for which all types of plant are known".to_owned(),
        });
    }
    Ok(told)
}

fn intensity(document: &Document, at: Timestamp) -> Option<f64> {
    let (mut known_megawatts, mut missing_megawatts, mut factor_megawatts, mut weighted) = (0.0, 0.0, 0.0, 0.0);
    for (code, blocks) in &document.types {
        let Some(megawatts) = now(blocks, at) else {
            missing_megawatts += nearest(blocks, at);
            continue;
        };
        known_megawatts += megawatts;
        if let Factor::Grams(grams) = fuel::factor(code) {
            factor_megawatts += megawatts;
            weighted += megawatts * grams;
        }
    }
    let enough = factor_megawatts > 0.0
        && missing_megawatts <= MISSING_SHARE_MAX * (known_megawatts + missing_megawatts)
        && known_megawatts - factor_megawatts <= UNKNOWN_SHARE_MAX * known_megawatts;
    enough.then_some(weighted / factor_megawatts)
}

fn now(blocks: &BTreeMap<Timestamp, Block>, at: Timestamp) -> Option<f64> {
    let (_, block) = blocks.range(..=at).next_back()?;
    (at < block.until).then_some(block.megawatts)
}

/// What a type made when it was last seen before, else when it is first seen after.
fn nearest(blocks: &BTreeMap<Timestamp, Block>, at: Timestamp) -> f64 {
    let before = blocks.range(..=at).next_back();
    before.or_else(|| blocks.range(at..).next()).map_or(0.0, |(_, block)| block.megawatts)
}
