//! The thread that calls the library, and those who wait for it.
//!
//! A call into a driver may hang. So only this thread makes any, and whoever waits for it gives it up after a while: it
//! ends by itself when its call comes back, and lets go of the driver then.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use wattline_core::Tick;

use crate::access::{GiveUp, Turn};
use crate::nvml::{Library, OpenFault};
use crate::session::{End, Look, NOBODY, Rules, Session};

/// What the thread tells.
#[derive(Debug)]
pub(crate) enum Told {
    /// What the GPUs show.
    Look(Look),
    /// The library cannot be opened; the thread has ended.
    Closed(OpenFault),
}

/// Why the thread tells nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Silence {
    /// It has not come back, from this GPU as far as is known.
    Hangs(Option<u32>),
    /// It has ended unexpectedly.
    Died,
}

/// How a thread works.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    /// The library.
    pub(crate) library: PathBuf,
    /// GPUs that are not asked.
    pub(crate) avoided: Vec<u32>,
    /// Whether process ids mean anything to us.
    pub(crate) sees_processes: bool,
}

/// A thread that has the library open.
#[derive(Debug)]
pub(crate) struct Worker {
    ask: SyncSender<Tick>,
    told: Receiver<Told>,
    asking: Arc<AtomicU32>,
    thread: JoinHandle<()>,
    turn: GiveUp,
    /// It has answered before.
    pub(crate) is_proven: bool,
}

impl Worker {
    /// Starts a thread, which opens the library at once and has the driver for as long as it runs.
    pub(crate) fn start(order: Order, turn: Turn) -> io::Result<Self> {
        let (ask, asked) = sync_channel(1);
        let (tell, told) = sync_channel(1);
        let asking = Arc::new(AtomicU32::new(NOBODY));
        let shared = Arc::clone(&asking);
        let give_up = turn.same();
        let thread = Builder::new().name("nvml".to_owned()).spawn(move || {
            work(&order, &asked, &tell, &shared);
            drop(turn);
        })?;
        Ok(Self { ask, told, asking, thread, turn: give_up, is_proven: false })
    }

    /// Lets the thread look at all GPUs, and waits for that no longer than `patience`.
    pub(crate) fn look(&mut self, tick: Tick, patience: Duration) -> Result<Told, Silence> {
        // A thread that has ended has told why.
        self.ask.try_send(tick).ok();
        match self.told.recv_timeout(patience) {
            Ok(told) => {
                self.is_proven = true;
                Ok(told)
            }
            Err(RecvTimeoutError::Timeout) => {
                let index = self.asking.load(Ordering::Relaxed);
                Err(Silence::Hangs((index != NOBODY).then_some(index)))
            }
            Err(RecvTimeoutError::Disconnected) => Err(Silence::Died),
        }
    }

    /// Lets the thread let go of the driver, and waits for that no longer than `patience`. The thread, if it has not
    /// ended by then.
    pub(crate) fn end(self, patience: Duration) -> Option<JoinHandle<()>> {
        let Self { ask, told, thread, turn, asking: _, is_proven: _ } = self;
        drop(ask);
        // What it tells meanwhile nobody wants. Its end of the channel closes when the library is closed.
        while told.recv_timeout(patience).is_ok() {}
        turn.give_up();
        (!thread.is_finished()).then_some(thread)
    }
}

fn work(order: &Order, asked: &Receiver<Tick>, tell: &SyncSender<Told>, asking: &AtomicU32) {
    let library = match Library::open(&order.library) {
        Ok(library) => library,
        Err(fault) => {
            tell.send(Told::Closed(fault)).ok();
            return;
        }
    };
    let rules = Rules { avoided: &order.avoided, sees_processes: order.sees_processes, asking };
    let mut session = None;
    while let Ok(tick) = asked.recv() {
        let open = match session.take().map_or_else(|| Session::open(&library, tick.at, &rules), Ok) {
            Ok(open) => session.insert(open),
            Err(what) => {
                let end = Some(End::Driver(what));
                tell.send(Told::Look(Look { end, ..Look::default() })).ok();
                return;
            }
        };
        let look = open.look(tick, &rules);
        let is_over = look.end.is_some();
        if tell.send(Told::Look(look)).is_err() || is_over {
            return;
        }
    }
}
