//! Snapshots as bodies of events.

use bytes::Bytes;
use tracing::warn;
use wattline_core::{Attribute, Signal, Snapshot};
use wattline_export_delivery::{DropReason, Encode, Encoding, Telling};

use crate::calls;
use crate::plan::{Made, Maker};

/// Makes events of what came since the snapshot before.
#[derive(Debug)]
pub(crate) struct EmfEncoder {
    name: String,
    telling: Telling,
    maker: Maker,
    /// What the last snapshot said of the machine.
    resource: Vec<Attribute>,
    is_warned: bool,
}

impl EmfEncoder {
    pub(crate) const fn new(name: String, telling: Telling, maker: Maker) -> Self {
        Self { name, telling, maker, resource: Vec::new(), is_warned: false }
    }
}

impl Encode for EmfEncoder {
    fn encode(&mut self, snapshot: &Snapshot) -> Encoding {
        self.resource.clone_from(&snapshot.resource);
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
            ..Encoding::default()
        }
    }

    /// Of relayed spans those of calls are told, as events. Where that is not wanted no spans come here.
    fn relay(&mut self, signal: Signal, body: &Bytes, items: u64) -> Option<Encoding> {
        if signal != Signal::Traces {
            return None;
        }
        Some(match calls::events(body) {
            Ok(events) => {
                let bodies = self.maker.pack(&events, &self.resource);
                let requests = bodies.into_iter().map(|body| (body.bytes, body.items)).collect();
                Encoding { requests, ..Encoding::default() }
            }
            // The receiver has read it before.
            Err(_malformed) => Encoding { lost: vec![(DropReason::Encoding, items)], ..Encoding::default() },
        })
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
