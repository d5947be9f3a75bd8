//! Snapshots as OTLP requests.

use wattline_core::Snapshot;
use wattline_export_delivery::{Encode, Encoding};
use wattline_wire::metrics::{Encoded, Limit, encode};

/// Encodes snapshots within the limits of a destination.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OtlpEncoder {
    pub(crate) limit: Limit,
}

impl Encode for OtlpEncoder {
    fn encode(&mut self, snapshot: &Snapshot) -> Encoding {
        let Encoded { requests, skipped } = encode(&snapshot.resource, &snapshot.samples, self.limit);
        let requests = requests.into_iter().map(|request| (request.body, request.points)).collect();
        Encoding { requests, skipped, is_cumulative: true }
    }
}
