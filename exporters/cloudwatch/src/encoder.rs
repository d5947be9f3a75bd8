//! Snapshots as bodies of events.

use tracing::warn;
use wattline_core::Snapshot;
use wattline_export_delivery::{DropReason, Encode, Encoding, Telling};

use crate::plan::{Made, Maker};

/// Makes events of what came since the snapshot before.
#[derive(Debug)]
pub(crate) struct EmfEncoder {
    name: String,
    telling: Telling,
    maker: Maker,
    is_warned: bool,
}

impl EmfEncoder {
    pub(crate) const fn new(name: String, telling: Telling, maker: Maker) -> Self {
        Self { name, telling, maker, is_warned: false }
    }
}

impl Encode for EmfEncoder {
    fn encode(&mut self, snapshot: &Snapshot) -> Encoding {
        let Made { bodies, invalid, too_large, without_dimensions } = self.maker.make(&self.telling.tell(snapshot));
        if !without_dimensions.is_empty() && !std::mem::replace(&mut self.is_warned, true) {
            let metrics: Vec<&str> = without_dimensions.iter().copied().collect();
            warn!(
                destination = self.name,
                metrics = metrics.join(", "),
                "no set of `dimensions` has labels that the points of these metrics have, so that they are not told; \
                 add a set, or [] for all"
            );
        }
        Encoding {
            requests: bodies.into_iter().map(|body| (body.bytes, body.items)).collect(),
            lost: vec![(DropReason::Encoding, invalid), (DropReason::TooLarge, too_large)],
            is_cumulative: false,
        }
    }

    fn state(&self) -> Option<Vec<u8>> {
        self.telling.state()
    }

    fn resume(&mut self, state: &[u8]) {
        if let Err(error) = self.telling.resume(state) {
            warn!(destination = self.name, %error, "what was told before the restart is not known; it goes on from now");
        }
    }
}
