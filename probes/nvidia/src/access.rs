//! Who in this process has the driver open, and who wants it let go of.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The way to the driver. Clones share it: one for the probe, one for whoever asks it to let go, and one for the probe
/// that follows it after a reload.
#[derive(Clone, Debug, Default)]
pub struct Access(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    requests: AtomicU64,
    /// The number of the turn that is on, 0 if none is.
    turn: AtomicU64,
    turns: AtomicU64,
}

impl Access {
    /// Asks the probe to let go of the driver, at its next reading and for as long as its configuration says.
    pub fn release(&self) {
        self.0.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// How often that was asked for.
    pub(crate) fn requests(&self) -> u64 {
        self.0.requests.load(Ordering::Relaxed)
    }

    /// A turn at the driver, unless somebody else has one.
    pub(crate) fn take(&self) -> Option<Turn> {
        let number = self.0.turns.fetch_add(1, Ordering::Relaxed) + 1;
        self.0.turn.compare_exchange(0, number, Ordering::AcqRel, Ordering::Relaxed).ok()?;
        Some(Turn { shared: Arc::clone(&self.0), number })
    }
}

/// The right to call the driver, until all clones of it are dropped or one is given up.
#[derive(Debug)]
pub(crate) struct Turn {
    shared: Arc<Shared>,
    number: u64,
}

impl Turn {
    /// The same turn, for whoever waits for the one who has it.
    pub(crate) fn same(&self) -> GiveUp {
        GiveUp { shared: Arc::clone(&self.shared), number: self.number }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.same().give_up();
    }
}

/// Gives up a turn whose holder does not come back.
#[derive(Debug)]
pub(crate) struct GiveUp {
    shared: Arc<Shared>,
    number: u64,
}

impl GiveUp {
    /// The next one may call the driver, whatever this one does.
    pub(crate) fn give_up(&self) {
        // The turn of another one stays.
        self.shared.turn.compare_exchange(self.number, 0, Ordering::AcqRel, Ordering::Relaxed).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_has_the_driver_at_a_time_until_it_lets_go_or_is_given_up() {
        let access = Access::default();
        let first = access.take().unwrap();
        assert!(access.clone().take().is_none());
        first.same().give_up();
        let second = access.take().unwrap();
        drop(first);
        assert!(access.take().is_none(), "who was given up ends nobody else's turn");
        drop(second);
        assert!(access.take().is_some());
    }
}
