//! Snapshots as OTLP requests.

use bytes::Bytes;
use tracing::warn;
use wattline_core::{Signal, Snapshot};
use wattline_export_delivery::{DropReason, Encode, Encoding, Ends, Telling, Temporality};
use wattline_wire::metrics::{self, Encoded, Layout, Limit, Request, encode_as, encode_ends};

use crate::fit::fit;

/// Encodes snapshots within the limits of a destination.
#[derive(Debug)]
pub(crate) struct OtlpEncoder {
    limit: Limit,
    telling: Telling,
    ends: Ends,
    /// Whether labels must fit Amazon CloudWatch.
    is_fitted: bool,
}

impl OtlpEncoder {
    pub(crate) fn new(limit: Limit, telling: Telling, is_fitted: bool) -> Self {
        Self { limit, telling, ends: Ends::default(), is_fitted }
    }

    fn fitted(&self, requests: Vec<Request>, encoding: &mut Encoding) {
        for Request { body, points } in requests {
            let (body, shortened) = if self.is_fitted { fit(body) } else { (body, 0) };
            encoding.shortened += shortened;
            encoding.requests.push((body, points));
        }
    }
}

impl Encode for OtlpEncoder {
    fn encode(&mut self, snapshot: &Snapshot) -> Encoding {
        let told = self.telling.tell(snapshot);
        let is_cumulative = self.telling.temporality() == Temporality::Cumulative;
        let temporality = if is_cumulative { metrics::Temporality::Cumulative } else { metrics::Temporality::Delta };
        let mut encoding = Encoding { is_cumulative, ..Encoding::default() };
        // A series that ends is told so: a store would tell its last value on. Whether CloudWatch takes points without a
        // value nobody says.
        if is_cumulative && !self.is_fitted {
            let ended = self.ends.ended(&told.samples, told.tick.wall);
            let Encoded { requests, .. } = encode_ends(Layout::Complete, &told.resource, &ended, self.limit);
            self.fitted(requests, &mut encoding);
        }
        let Encoded { requests, skipped } =
            encode_as(Layout::Complete, temporality, &told.resource, &told.samples, self.limit);
        self.fitted(requests, &mut encoding);
        encoding.lost.push((DropReason::Encoding, skipped));
        encoding
    }

    fn relay(&mut self, signal: Signal, body: &Bytes, items: u64) -> Option<Encoding> {
        let (body, shortened) = (self.is_fitted && signal == Signal::Metrics).then(|| fit(body.clone()))?;
        Some(Encoding { requests: vec![(body, items)], shortened, ..Encoding::default() })
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
