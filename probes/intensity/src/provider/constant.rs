//! One value for ever.

use wattline_core::Timestamp;
use wattline_core::reading::IntensityKind;

use super::{Asking, Point, Provider, Told};
use crate::moment;
use crate::secret::Secret;

const DAY_SECONDS: u64 = 86_400;

/// The value, in gCO2e/kWh.
#[derive(Debug)]
pub(crate) struct Constant(pub(crate) f64);

impl Provider for Constant {
    fn ask<'a>(&'a mut self, _key: Option<&'a Secret>, now: Timestamp) -> Asking<'a> {
        // The same interval all day long, so that asking often adds nothing, and a day more, so that none is stale.
        let from = moment::floor(now, DAY_SECONDS);
        let until = moment::ahead(from, 2 * DAY_SECONDS);
        let point = Point { kind: IntensityKind::Average, grams: self.0, from, until, estimated: false };
        Box::pin(async move { Ok(Told { points: vec![point], ..Told::default() }) })
    }
}
