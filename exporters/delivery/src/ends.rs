//! Series that a destination was told of and is not any more.

use std::collections::BTreeMap;

use wattline_core::sample::Period;
use wattline_core::{Sample, Timestamp};

use crate::series::SeriesId;

/// Remembers what the last snapshot told, for destinations whose stores would tell a value on after its subject died.
/// It is not kept over a restart: stores forget a silent series by themselves after some minutes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ends {
    last: BTreeMap<SeriesId, Sample>,
}

impl Ends {
    /// The series of the snapshot before that are not among `samples`, at the time of now. Each is told of once.
    pub fn ended(&mut self, samples: &[Sample], now: Timestamp) -> Vec<Sample> {
        let told = samples.iter().map(|sample| (SeriesId::of(sample), sample.clone())).collect();
        let mut before = std::mem::replace(&mut self.last, told);
        before.retain(|id, _| !self.last.contains_key(id));
        let at_now = |sample: Sample| {
            let period = Period { start: sample.period.start.min(now), at: now.max(sample.period.at) };
            Sample { period, ..sample }
        };
        before.into_values().map(at_now).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use wattline_core::{Joules, Subject, Workload, metrics};

    use super::*;

    #[test]
    fn each_series_ends_once_and_may_come_back() {
        let time = |seconds: u64| Timestamp::from_unix_nanos(seconds * 1_000_000_000);
        let sample = |name: &str, at| {
            let subject = Arc::new(Subject::Workload(Workload::Unit(name.to_owned().into())));
            metrics::WORKLOAD_ENERGY.sample(
                &subject,
                Vec::new(),
                Period { start: time(1), at: time(at) },
                Joules::new(2.0),
            )
        };
        let mut ends = Ends::default();
        assert_eq!(ends.ended(&[sample("a", 10), sample("b", 10)], time(10)), []);
        assert_eq!(ends.ended(&[sample("b", 20)], time(20)), [sample("a", 20)]);
        assert_eq!(ends.ended(&[sample("b", 30)], time(30)), []);
        assert_eq!(ends.ended(&[sample("a", 40)], time(40)), [sample("b", 40)]);
        assert_eq!(ends.ended(&[], time(50)), [sample("a", 50)]);
    }
}
