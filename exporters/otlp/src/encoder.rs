//! Snapshots as OTLP requests.

use tracing::warn;
use wattline_core::Snapshot;
use wattline_export_delivery::{DropReason, Encode, Encoding, Telling, Temporality};
use wattline_wire::metrics::{self, Encoded, Layout, Limit, encode_as};

/// Encodes snapshots within the limits of a destination.
#[derive(Debug)]
pub(crate) struct OtlpEncoder {
    limit: Limit,
    telling: Telling,
}

impl OtlpEncoder {
    pub(crate) const fn new(limit: Limit, telling: Telling) -> Self {
        Self { limit, telling }
    }
}

impl Encode for OtlpEncoder {
    fn encode(&mut self, snapshot: &Snapshot) -> Encoding {
        let told = self.telling.tell(snapshot);
        let temporality = match self.telling.temporality() {
            Temporality::Cumulative => metrics::Temporality::Cumulative,
            Temporality::Delta => metrics::Temporality::Delta,
        };
        let Encoded { requests, skipped } =
            encode_as(Layout::Complete, temporality, &told.resource, &told.samples, self.limit);
        let requests = requests.into_iter().map(|request| (request.body, request.points)).collect();
        Encoding {
            requests,
            lost: vec![(DropReason::Encoding, skipped)],
            is_cumulative: self.telling.temporality() == Temporality::Cumulative,
        }
    }

    fn state(&self) -> Option<Vec<u8>> {
        self.telling.state()
    }

    fn resume(&mut self, state: &[u8]) {
        if let Err(error) = self.telling.resume(state) {
            warn!(%error, "what was told before the restart is not known; sums go on from now");
        }
    }
}
