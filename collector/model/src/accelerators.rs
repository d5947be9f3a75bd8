//! What accelerators show, on its way to figures. Their energy is not here: it is on the books of the machine.
//!
//! Counters of a device begin anew when its driver is loaded again, or when the device is reset. So what is told is the
//! sum of their growth since the device was first read. Shares that stand for a moment are told as their mean over a
//! window.

mod means;
mod samples;

use std::collections::BTreeMap;

use wattline_core::counter::Counter;
use wattline_core::reading::{AcceleratorReading, AcceleratorState, ClockLimit, ErrorKind, RemappedRows, Traffic};
use wattline_core::{Device, Instant, Sample, Seconds, Tick, Timestamp};

use means::Means;

/// A device that was not read for this long shows nothing of now any more.
const STALE: Seconds = Seconds::new(60.0);
/// A device that was not read for this long is forgotten; should it come back, its sums begin anew.
const GONE: Seconds = Seconds::new(3600.0);
/// Devices that are followed at most. A machine has 16 at most today.
const MOST_DEVICES: usize = 256;
/// Different numbers of critical errors of one device that are told apart at most; there are about 150.
const MOST_XIDS: usize = 200;

/// The accelerators of a machine.
#[derive(Debug)]
pub struct Accelerators {
    window: Seconds,
    devices: BTreeMap<Device, Followed>,
}

/// One of them.
#[derive(Debug)]
struct Followed {
    /// The newest reading.
    reading: AcceleratorReading,
    at: Tick,
    first: Tick,
    means: Means,
    sums: BTreeMap<Counted, Sum>,
    xids: BTreeMap<u64, u64>,
    remapped: Option<RemappedRows>,
}

/// What devices count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Counted {
    Errors(ErrorKind),
    /// Nanoseconds.
    Limited(ClockLimit),
    /// Bytes to the PCI bus,
    Sent,
    /// and from it.
    Received,
}

/// The growth of a counter since it was first read.
#[derive(Debug, Default)]
struct Sum {
    counter: Counter,
    total: u64,
}

impl Accelerators {
    /// None yet. `window` is the time that shares are means over.
    pub const fn new(window: Seconds) -> Self {
        Self { window, devices: BTreeMap::new() }
    }

    /// Takes over another window.
    pub fn reconfigure(&mut self, window: Seconds) {
        self.window = window;
    }

    /// Takes what a device shows. A reading that is not newer than the last one is left out.
    pub fn take(&mut self, reading: &AcceleratorReading, tick: Tick) {
        self.devices.retain(|_, known| tick.at.since(known.at.at) <= GONE);
        if !self.devices.contains_key(&reading.device) && self.devices.len() >= MOST_DEVICES {
            return;
        }
        let known = self.devices.entry(reading.device.clone()).or_insert_with(|| Followed::new(reading, tick));
        if tick.at > known.at.at || known.first == tick {
            known.take(reading, tick, self.window);
        }
    }

    /// What each of them has shown last, if that is not long ago.
    pub fn readings(&self, now: Timestamp) -> impl Iterator<Item = &AcceleratorReading> {
        self.devices.values().filter(move |known| now.since(known.at.wall) <= STALE).map(|known| &known.reading)
    }

    /// Every figure about them, as known at `now`.
    pub fn samples(&self, now: Tick) -> Vec<Sample> {
        let mut samples = Vec::new();
        for (device, known) in &self.devices {
            samples::of(device, known, now, &mut samples);
        }
        samples
    }
}

impl Followed {
    fn new(reading: &AcceleratorReading, tick: Tick) -> Self {
        Self {
            reading: reading.clone(),
            at: tick,
            first: tick,
            means: Means::default(),
            sums: BTreeMap::new(),
            xids: BTreeMap::new(),
            remapped: None,
        }
    }

    fn take(&mut self, reading: &AcceleratorReading, tick: Tick, window: Seconds) {
        self.at = tick;
        self.means.take(reading, tick.at, window);
        let mut add = |counted, raw| self.sums.entry(counted).or_default().add(raw, tick.at);
        for (kind, count) in &reading.errors {
            add(Counted::Errors(*kind), *count);
        }
        for (limit, ns) in &reading.limited_ns {
            add(Counted::Limited(*limit), *ns);
        }
        if let Some(Traffic { sent_bytes, received_bytes }) = reading.pcie {
            add(Counted::Sent, sent_bytes);
            add(Counted::Received, received_bytes);
        }
        for (number, count) in &reading.xids {
            if self.xids.len() < MOST_XIDS || self.xids.contains_key(number) {
                *self.xids.entry(*number).or_default() += u64::from(*count);
            }
        }
        self.remapped = reading.remapped.or(self.remapped);
        self.reading = reading.clone();
    }

    /// Whether it shows what holds at `now`.
    fn is_fresh(&self, now: Instant) -> bool {
        now.since(self.at.at) <= STALE && !matches!(self.reading.state, AcceleratorState::Down(_))
    }
}

impl Sum {
    fn add(&mut self, raw: u64, at: Instant) {
        let grown = self.counter.step(raw, at, None).delta().map_or(0, |(amount, _)| amount);
        self.total = self.total.saturating_add(grown);
    }
}

#[cfg(test)]
mod tests;
