//! Generation by type, as a document tells it (IEC 62325-451-6, `GL_MarketDocument`).

use std::collections::BTreeMap;

use roxmltree::{Node, ParsingOptions};
use wattline_core::Timestamp;

use super::fuel::{self, Factor};
use crate::failure::FetchError;
use crate::moment;
use crate::secret::clean;

/// Documents of more elements and texts are not read. Seven hours of twenty types in quarter hours are some 6,000.
const NODES_MAX: u32 = 100_000;

/// Steps of a period at most: four weeks of quarter hours. A period of more is refused before it is laid out.
const STEPS_MAX: u64 = 2688;

/// The code of an acknowledgement that says: no data.
const NO_MATCHING_DATA: &str = "999";

/// Megawatts over a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Block {
    pub(crate) until: Timestamp,
    pub(crate) megawatts: f64,
}

/// What all series of all documents tell, by the code of the type and the begin of the block.
#[derive(Debug, Default)]
pub(crate) struct Document {
    pub(crate) types: BTreeMap<String, BTreeMap<Timestamp, Block>>,
    /// Blocks that could not be read.
    pub(crate) unreadable: u64,
}

impl Document {
    /// Adds what one file tells. A file that acknowledges instead has no data, or refuses the question.
    pub(crate) fn read(&mut self, body: &[u8]) -> Result<(), FetchError> {
        let failed = |what: String| FetchError::Failed { what };
        let text =
            std::str::from_utf8(body).map_err(|_error| failed("the answer of ENTSO-E is not text".to_owned()))?;
        // A document type could define entities that grow without end; the platform sends none.
        let options = ParsingOptions { allow_dtd: false, nodes_limit: NODES_MAX, ..ParsingOptions::default() };
        let document = roxmltree::Document::parse_with_options(text.trim_start_matches('\u{feff}'), options)
            .map_err(|error| failed(format!("the answer of ENTSO-E is not XML: {error}")))?;
        let root = document.root_element();
        match root.tag_name().name() {
            "GL_MarketDocument" => {}
            "Acknowledgement_MarketDocument" => return Err(acknowledged(root)),
            other => return Err(failed(format!("ENTSO-E answers with {:?}", clean(other, [])))),
        }
        for series in children(root, "TimeSeries") {
            // A mix without one of its types is wrong, not merely less.
            self.series(series).map_err(|what| failed(format!("a series of ENTSO-E cannot be read: {what}")))?;
        }
        Ok(())
    }

    fn series(&mut self, series: Node<'_, '_>) -> Result<(), &'static str> {
        // A series out of the zone is what plants take, such as pumps: it generates nothing.
        if child(series, "outBiddingZone_Domain.mRID").is_some() {
            return Ok(());
        }
        // The unit stands under one of two spellings; only megawatts are power.
        let unit = text(series, "quantity_Measure_Unit.name").or_else(|| text(series, "measurement_Unit.name"));
        if unit.is_some_and(|unit| unit != "MAW") {
            return Err("it is not in megawatts");
        }
        let code = child(series, "MktPSRType").and_then(|plant| text(plant, "psrType"));
        let code = code.ok_or("it names no type of plant")?;
        if fuel::factor(code) == Factor::Stored {
            return Ok(());
        }
        // Points that are left out repeat the one before (curve type A03), else they are missing.
        let repeats = text(series, "curveType") == Some("A03");
        for period in children(series, "Period") {
            let (blocks, unreadable) = blocks(period, repeats).ok_or("a period has no good begin, end or step")?;
            self.unreadable = self.unreadable.saturating_add(unreadable);
            self.types.entry(code.to_owned()).or_default().extend(blocks);
        }
        Ok(())
    }
}

/// The blocks of a period and how many of them could not be read; `None` where the period itself cannot.
fn blocks(period: Node<'_, '_>, repeats: bool) -> Option<(Vec<(Timestamp, Block)>, u64)> {
    let interval = child(period, "timeInterval")?;
    let start = text(interval, "start").and_then(moment::parse)?;
    let end = text(interval, "end").and_then(moment::parse)?;
    let step_seconds = resolution_seconds(text(period, "resolution")?)?;
    let steps = end.unix_seconds().checked_sub(start.unix_seconds())? / step_seconds;
    if !(1..=STEPS_MAX).contains(&steps) {
        return None;
    }
    let (mut points, mut unreadable) = (BTreeMap::new(), 0);
    for point in children(period, "Point") {
        let position = text(point, "position").and_then(|text| text.parse::<u64>().ok());
        let megawatts = text(point, "quantity").and_then(|text| text.parse::<f64>().ok());
        let megawatts = megawatts.filter(|megawatts| megawatts.is_finite() && *megawatts >= 0.0);
        let position = position.filter(|position| (1..=steps).contains(position));
        if position.is_none() || megawatts.is_none() {
            unreadable += 1;
        }
        // A point that is there but cannot be read is a gap, also where one that is left out repeats the last.
        points.extend(position.map(|position| (position, megawatts)));
    }
    let begin = |position: u64| moment::ahead(start, (position - 1) * step_seconds);
    let mut last = None;
    let laid = (1..=steps).filter_map(|position| {
        last = points.get(&position).copied().unwrap_or(last.filter(|_| repeats));
        last.map(|megawatts| (begin(position), Block { until: begin(position + 1), megawatts }))
    });
    Some((laid.collect(), unreadable))
}

fn resolution_seconds(word: &str) -> Option<u64> {
    match word {
        "PT15M" => Some(900),
        "PT30M" => Some(1800),
        "PT60M" | "PT1H" => Some(3600),
        _ => None,
    }
}

fn acknowledged(root: Node<'_, '_>) -> FetchError {
    let reason = child(root, "Reason");
    let words = reason.and_then(|reason| text(reason, "text")).unwrap_or("no reason");
    let what = format!("ENTSO-E acknowledges: {}", clean(words, []));
    match reason.and_then(|reason| text(reason, "code")) {
        Some(NO_MATCHING_DATA) => FetchError::NoData { what },
        _ => FetchError::Rejected { what },
    }
}

/// Names are compared without their namespace, whose version changes.
fn children<'a, 'input: 'a>(node: Node<'a, 'input>, name: &'static str) -> impl Iterator<Item = Node<'a, 'input>> {
    node.children().filter(move |child| child.is_element() && child.tag_name().name() == name)
}

fn child<'a, 'input: 'a>(node: Node<'a, 'input>, name: &'static str) -> Option<Node<'a, 'input>> {
    children(node, name).next()
}

fn text<'a, 'input: 'a>(node: Node<'a, 'input>, name: &'static str) -> Option<&'a str> {
    child(node, name).and_then(|child| child.text()).map(str::trim)
}
