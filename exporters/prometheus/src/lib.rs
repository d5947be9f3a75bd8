//! What a Prometheus scrape sees: the newest snapshot as text.
//!
//! The listener is the agent's; this is the answer to one request. Figures carry no timestamps, as Prometheus asks
//! of what it scrapes, so that a series that ends goes stale at once.

use std::sync::Arc;

use tokio::sync::watch;
use wattline_core::Snapshot;
use wattline_wire::exposition;

/// Answers scrapes from the newest snapshot. Cloning it shares the feed.
#[derive(Clone, Debug)]
pub struct Scrape {
    /// The newest snapshot; the last one stays when the feed ends.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
}

impl Scrape {
    /// The content type and the page. There is one format, text 0.0.4, which every scraper takes whatever it
    /// says it prefers.
    pub fn render(&self) -> (&'static str, String) {
        // The page is written from a copy of the pointer: a borrow would hold up whoever sends the next snapshot.
        let snapshot = Arc::clone(&self.snapshots.borrow());
        let mut page = String::with_capacity(snapshot.samples.len() * BYTES_A_SERIES);
        let left_out = exposition::render(&snapshot, &mut page);
        if left_out > 0 {
            tracing::debug!(left_out, "samples that Prometheus cannot take are not on the page");
        }
        (exposition::CONTENT_TYPE, page)
    }
}

/// About what one line takes, so that a page is not copied while it grows.
const BYTES_A_SERIES: usize = 200;

#[cfg(test)]
mod tests {
    use wattline_core::sample::Period;
    use wattline_core::{Subject, Tick, Timestamp, Watts, metrics};

    use super::*;

    fn snapshot(watts: f64) -> Arc<Snapshot> {
        let wall = Timestamp::from_unix_nanos(1);
        let subject = Arc::new(Subject::Host);
        let sample = metrics::HOST_POWER.sample(&subject, vec![], Period { start: wall, at: wall }, Watts::new(watts));
        Arc::new(Snapshot { tick: Tick::default(), resource: Vec::new(), samples: vec![sample] })
    }

    #[test]
    fn a_scrape_shows_the_newest_snapshot_and_keeps_it_when_the_feed_ends() {
        let (feed, snapshots) = watch::channel(Arc::default());
        let scrape = Scrape { snapshots };
        assert_eq!(scrape.render().1, "");
        feed.send(snapshot(1.0)).unwrap();
        feed.send(snapshot(2.5)).unwrap();
        drop(feed);
        let (content_type, page) = scrape.render();
        assert_eq!(content_type, "text/plain; version=0.0.4; charset=utf-8");
        assert!(page.ends_with("\nhw_host_power_watts 2.5\n"), "{page}");
    }
}
