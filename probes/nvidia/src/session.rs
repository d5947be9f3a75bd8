//! All GPUs of a driver that is open, from its opening to its end.

use std::sync::atomic::{AtomicU32, Ordering};

use wattline_core::reading::{AcceleratorReading, DownReason};
use wattline_core::{Instant, Text, Tick};

use crate::features::Stop;
use crate::gpu::{Answer, Driver, Fault};
use crate::watched::Watched;

/// No GPU is being asked.
pub(crate) const NOBODY: u32 = u32::MAX;

/// GPUs that are read at most. A machine has 16 at most today; the limit is there for numbers that cannot be.
const MOST_GPUS: u32 = 256;

/// A GPU that is down is asked again after this time.
const DOWN_SECONDS: f64 = 60.0;

/// What one look at all GPUs gave.
#[derive(Clone, Debug, Default)]
pub(crate) struct Look {
    /// Of each GPU, those that are down included.
    pub(crate) readings: Vec<AcceleratorReading>,
    /// GPUs of which not even a name is known, and why.
    pub(crate) nameless: Vec<(u32, DownReason)>,
    /// What this process may not know.
    pub(crate) denied: Vec<&'static str>,
    /// The driver's version.
    pub(crate) version: Option<Text>,
    /// Why there is no next look, if there is none.
    pub(crate) end: Option<End>,
}

/// Why a session is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// There are more GPUs now, or less: begin anew at once.
    Changed,
    /// The driver is gone or another one. What it said.
    Driver(String),
}

/// What a look is taken with.
#[derive(Debug)]
pub(crate) struct Rules<'a> {
    /// GPUs that are not asked, because a question to them did not come back.
    pub(crate) avoided: &'a [u32],
    /// Whether process ids mean anything to us.
    pub(crate) sees_processes: bool,
    /// The GPU that is being asked, for those who wait.
    pub(crate) asking: &'a AtomicU32,
}

/// The GPUs.
pub(crate) struct Session<'driver, D: Driver> {
    driver: &'driver D,
    count: u32,
    slots: Vec<Slot<D::Gpu<'driver>>>,
}

/// A GPU, and since when it is down.
struct Slot<G: crate::gpu::Gpu> {
    index: u32,
    /// `None` while not even its name is known.
    watched: Option<Watched<G>>,
    down: Option<(DownReason, Instant)>,
}

impl<'driver, D: Driver> Session<'driver, D> {
    /// Finds the GPUs of a driver. What the driver says where it is of no use.
    pub(crate) fn open(driver: &'driver D, at: Instant, rules: &Rules<'_>) -> Result<Self, String> {
        let count = match driver.count() {
            Ok(count) => count.min(MOST_GPUS),
            Err(fault) => return Err(said(fault)),
        };
        let mut slots = Vec::new();
        for index in (0..count).filter(|index| !rules.avoided.contains(index)) {
            rules.asking.store(index, Ordering::Relaxed);
            slots.push(match Self::find(driver, index) {
                Ok(watched) => Slot { index, watched: Some(watched), down: None },
                Err(Fault::Driver(what)) => return Err(what),
                Err(fault) => Slot { index, watched: None, down: Some((reason(&fault), at)) },
            });
        }
        rules.asking.store(NOBODY, Ordering::Relaxed);
        Ok(Self { driver, count, slots })
    }

    fn find(driver: &'driver D, index: u32) -> Answer<Watched<D::Gpu<'driver>>> {
        Watched::open(driver.gpu(index)?, index, driver.version().as_ref())
    }

    /// Looks at all of them.
    pub(crate) fn look(&mut self, tick: Tick, rules: &Rules<'_>) -> Look {
        let mut look = Look { version: self.driver.version(), ..Look::default() };
        // A driver that was unloaded, or another one that was loaded, is seen here before any GPU is blamed.
        look.end = match self.driver.count() {
            Ok(count) if count.min(MOST_GPUS) == self.count => None,
            Ok(_) => Some(End::Changed),
            Err(fault) => Some(End::Driver(said(fault))),
        };
        if look.end.is_some() {
            return look;
        }
        let driver = self.driver;
        for slot in &mut self.slots {
            rules.asking.store(slot.index, Ordering::Relaxed);
            if let Err(what) = slot.look(driver, tick, rules, &mut look) {
                look.end = Some(End::Driver(what));
                break;
            }
        }
        rules.asking.store(NOBODY, Ordering::Relaxed);
        look.denied.sort_unstable();
        look.denied.dedup();
        look
    }
}

impl<G: crate::gpu::Gpu> Slot<G> {
    /// Looks at one GPU. What the driver says where it is of no use any more.
    fn look<'driver, D>(
        &mut self,
        driver: &'driver D,
        tick: Tick,
        rules: &Rules<'_>,
        look: &mut Look,
    ) -> Result<(), String>
    where
        D: Driver<Gpu<'driver> = G> + 'driver,
    {
        if let Some((_, since)) = self.down
            && tick.at.since(since).get() >= DOWN_SECONDS
        {
            match Session::find(driver, self.index) {
                // What it could answer before says nothing of what it can after a reset.
                Ok(watched) => (self.watched, self.down) = (Some(watched), None),
                Err(Fault::Driver(what)) => return Err(what),
                Err(fault) => self.down = Some((reason(&fault), tick.at)),
            }
        }
        match (&mut self.watched, self.down) {
            (Some(watched), None) => match watched.read(tick, rules.sees_processes) {
                Ok(reading) => {
                    look.denied.extend(watched.denied());
                    look.readings.push(reading);
                }
                Err(Stop::Gpu(reason)) => {
                    look.readings.push(watched.down(reason));
                    self.down = Some((reason, tick.at));
                }
                Err(Stop::Driver(what)) => return Err(what),
            },
            (Some(watched), Some((reason, _))) => look.readings.push(watched.down(reason)),
            (None, down) => look.nameless.push((self.index, down.map_or(DownReason::Failing, |(reason, _)| reason))),
        }
        Ok(())
    }
}

fn reason(fault: &Fault) -> DownReason {
    match fault {
        Fault::Down(reason) => *reason,
        _ => DownReason::Failing,
    }
}

fn said(fault: Fault) -> String {
    match fault {
        Fault::Driver(what) => what,
        fault => format!("counting the GPUs failed: {fault:?}"),
    }
}
