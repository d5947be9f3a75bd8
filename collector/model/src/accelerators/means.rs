//! Means of shares over a window.

use std::collections::{BTreeMap, BTreeSet};

use wattline_core::reading::{AcceleratorReading, Activity, ClockLimit, Utilization};
use wattline_core::{Instant, Ratio, Seconds, Text};

/// A share of a device or of one of its slices.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Share {
    /// Some kernel ran, or the encoder or decoder was at work: `hw.gpu.task`.
    Task(&'static str),
    /// Memory was read or written.
    MemoryBusy,
    /// A unit was busy: `hw.gpu.unit`.
    Unit(&'static str),
    /// Clocks were held down.
    Limited(ClockLimit),
    /// A unit of a slice was busy.
    SliceUnit(Text, &'static str),
}

/// Means over the last whole window; before there was one, over what there is.
#[derive(Debug, Default)]
pub(super) struct Means {
    opened: Option<Instant>,
    open: BTreeMap<Share, (f64, u32)>,
    closed: Option<BTreeMap<Share, Ratio>>,
    /// Limits that were ever seen: they are told with 0 when they are over.
    limits: BTreeSet<ClockLimit>,
}

impl Means {
    /// Takes the shares of a reading, and closes the window when it is long enough.
    pub(super) fn take(&mut self, reading: &AcceleratorReading, at: Instant, window: Seconds) {
        let opened = *self.opened.get_or_insert(at);
        let Utilization { general, memory, encoder, decoder } = reading.utilization;
        for (task, share) in [("general", general), ("encoder", encoder), ("decoder", decoder)] {
            self.add(Share::Task(task), share);
        }
        self.add(Share::MemoryBusy, memory);
        for (unit, share) in units(reading.activity) {
            self.add(Share::Unit(unit), share);
        }
        for slice in &reading.slices {
            for (unit, share) in units(slice.activity) {
                self.add(Share::SliceUnit(slice.facts.uuid.clone(), unit), share);
            }
        }
        if let Some(limits) = &reading.limits {
            self.limits.extend(limits);
            for limit in self.limits.clone() {
                let is = if limits.contains(&limit) { 1.0 } else { 0.0 };
                self.add(Share::Limited(limit), Some(Ratio::new(is)));
            }
        }
        if at.since(opened).get() + 0.05 >= window.get() && at > opened {
            self.closed = Some(self.of_open());
            self.open.clear();
            self.opened = Some(at);
        }
    }

    /// The means.
    pub(super) fn all(&self) -> BTreeMap<Share, Ratio> {
        self.closed.clone().unwrap_or_else(|| self.of_open())
    }

    fn add(&mut self, what: Share, share: Option<Ratio>) {
        if let Some(share) = share {
            let (sum, count) = self.open.entry(what).or_default();
            *sum += share.get();
            *count += 1;
        }
    }

    fn of_open(&self) -> BTreeMap<Share, Ratio> {
        let mean = |(sum, count): &(f64, u32)| Ratio::of(*sum, f64::from(*count));
        self.open.iter().map(|(what, sums)| (what.clone(), mean(sums))).collect()
    }
}

fn units(activity: Option<Activity>) -> [(&'static str, Option<Ratio>); 5] {
    let Activity { graphics, multiprocessor, occupancy, tensor, memory } = activity.unwrap_or_default();
    [
        ("graphics", graphics),
        ("multiprocessor", multiprocessor),
        ("occupancy", occupancy),
        ("tensor", tensor),
        ("memory", memory),
    ]
}
