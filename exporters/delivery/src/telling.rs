//! What a destination is told of a snapshot: its view, cumulative or as deltas.

use prost::Message;
use serde::Deserialize;
use wattline_core::{Snapshot, Timestamp};

use crate::temporality::{Deltas, Unreadable};
use crate::view::View;

/// From when the sums count that a destination is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Temporality {
    /// Since the beginning: a request that is lost costs detail and no sum.
    #[default]
    Cumulative,
    /// Since the request before.
    Delta,
}

/// What one destination is told, with what it was told before.
#[derive(Clone, Debug, PartialEq)]
pub struct Telling {
    view: View,
    deltas: Option<Deltas>,
}

impl Telling {
    /// Deltas of a series begin with all of it, but for one that began before `since`: of that they tell only what
    /// comes from now on.
    pub fn new(view: View, temporality: Temporality, since: Timestamp) -> Self {
        Self { view, deltas: (temporality == Temporality::Delta).then(|| Deltas::new(since)) }
    }

    /// What the destination is told. Every snapshot passes here in order, and is taken as told.
    pub fn tell(&mut self, snapshot: &Snapshot) -> Snapshot {
        let viewed = self.view.apply(snapshot);
        match &mut self.deltas {
            Some(deltas) => Snapshot { samples: deltas.convert(&viewed.samples), ..viewed },
            None => viewed,
        }
    }

    /// How it is told.
    pub const fn temporality(&self) -> Temporality {
        if self.deltas.is_some() { Temporality::Delta } else { Temporality::Cumulative }
    }

    /// What [`Self::resume`] needs after a restart; `None` where nothing has to be known.
    pub fn state(&self) -> Option<Vec<u8>> {
        let view = self.view.remembers().then(|| self.view.save());
        let deltas = self.deltas.as_ref().map(Deltas::save);
        (view.is_some() || deltas.is_some()).then(|| Saved { view, deltas }.encode_to_vec())
    }

    /// Goes on from an earlier [`Self::state`]. Where that cannot be read nothing is changed: a destination of deltas is
    /// then told what comes from now on.
    pub fn resume(&mut self, state: &[u8]) -> Result<(), Unreadable> {
        let Saved { view, deltas } = Saved::decode(state).map_err(|_malformed| Unreadable)?;
        let deltas = deltas.map(|deltas| Deltas::restore(&deltas)).transpose()?;
        if let Some(view) = view.filter(|_| self.view.remembers()) {
            self.view.restore(&view)?;
        }
        // A destination that was told deltas before may be told sums now, and the reverse.
        if let (Some(own), Some(deltas)) = (&mut self.deltas, deltas) {
            *own = deltas;
        }
        Ok(())
    }
}

#[derive(Clone, PartialEq, Message)]
struct Saved {
    #[prost(bytes = "vec", optional, tag = "1")]
    view: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "2")]
    deltas: Option<Vec<u8>>,
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use wattline_core::sample::Period;
    use wattline_core::{Joules, Sample, Subject, Tick, Workload, metrics};

    use super::*;
    use crate::view::ViewConfig;

    /// Two workloads that have drawn so many joules since second 1.
    fn snapshot(second: u64, joules: [f64; 2]) -> Snapshot {
        let at = |second: u64| Timestamp::from_unix_nanos(second * 1_000_000_000);
        let period = Period { start: at(1), at: at(second) };
        let sample = |(name, joules): (&'static str, f64)| {
            let subject = Arc::new(Subject::Workload(Workload::Unit(name.into())));
            metrics::WORKLOAD_ENERGY.sample(&subject, Vec::new(), period, Joules::new(joules))
        };
        let samples = ["a", "b"].into_iter().zip(joules).map(sample).collect();
        Snapshot { tick: Tick { wall: at(second), ..Tick::default() }, resource: Vec::new(), samples }
    }

    fn telling(max_workloads: usize) -> Telling {
        let view = View::new(&ViewConfig { max_workloads, ..ViewConfig::default() }, "x").unwrap();
        Telling::new(view, Temporality::Delta, Timestamp::default())
    }

    fn joules(snapshot: &Snapshot) -> f64 {
        let energy = |sample: &&Sample| std::ptr::eq(sample.metric, metrics::WORKLOAD_ENERGY.descriptor());
        snapshot.samples.iter().filter(energy).filter_map(Sample::number).sum()
    }

    #[test]
    fn what_was_told_before_a_restart_is_not_told_again() {
        for max_workloads in [0, 1] {
            let mut before = telling(max_workloads);
            let mut told = joules(&before.tell(&snapshot(10, [5.0, 7.0])));
            let state = before.state().unwrap();
            let mut after = telling(max_workloads);
            after.resume(&state).unwrap();
            told += joules(&after.tell(&snapshot(20, [6.0, 9.5])));
            assert!((told - 15.5).abs() < 1e-9, "{told} J are told of 15.5 with {max_workloads}");
        }
    }

    #[test]
    fn sums_of_everything_need_no_memory() {
        let view = View::new(&ViewConfig::default(), "x").unwrap();
        assert_eq!(Telling::new(view, Temporality::Cumulative, Timestamp::default()).state(), None);
    }

    #[test]
    fn a_state_that_cannot_be_read_changes_nothing() {
        let mut damaged = telling(1);
        damaged.tell(&snapshot(10, [5.0, 7.0]));
        let before = damaged.clone();
        assert_eq!(damaged.resume(b"\x12\x03\xff\xff\xff"), Err(Unreadable));
        assert_eq!(damaged, before);
    }
}
