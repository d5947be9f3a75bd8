//! Bounded queues that count what the bound cost. There is no unbounded one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

/// Makes a queue for `capacity` items, which is at least one.
pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = mpsc::channel(capacity.max(1));
    (Sender { sender, refused: Arc::default() }, Receiver { receiver })
}

/// The sending end.
#[derive(Debug)]
pub struct Sender<T> {
    sender: mpsc::Sender<T>,
    refused: Arc<AtomicU64>,
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), refused: Arc::clone(&self.refused) }
    }
}

/// Why an item was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The queue is full: try again later, or tell the sender to.
    #[error("the queue is full")]
    Full,
    /// Nobody receives any more: stop.
    #[error("the queue is closed")]
    Closed,
}

impl<T> Sender<T> {
    /// Offers an item and does not wait. A refusal is counted.
    pub fn offer(&self, item: T) -> Result<(), Refused> {
        self.sender.try_send(item).map_err(|error| {
            self.refused.fetch_add(1, Ordering::Relaxed);
            match error {
                mpsc::error::TrySendError::Full(_) => Refused::Full,
                mpsc::error::TrySendError::Closed(_) => Refused::Closed,
            }
        })
    }

    /// Takes a place in the queue for an item that comes later, and does not wait. A refusal is counted. Whoever must
    /// put into two queues or none takes a place in both first.
    pub fn reserve(&self) -> Result<Place<'_, T>, Refused> {
        self.sender.try_reserve().map(|permit| Place { permit }).map_err(|error| {
            self.refused.fetch_add(1, Ordering::Relaxed);
            match error {
                mpsc::error::TrySendError::Full(()) => Refused::Full,
                mpsc::error::TrySendError::Closed(()) => Refused::Closed,
            }
        })
    }

    /// Waits for room. For a thread of its own, never for a task.
    pub fn send_blocking(&self, item: T) -> Result<(), Refused> {
        self.sender.blocking_send(item).map_err(|_closed| Refused::Closed)
    }

    /// Waits for room, in a task.
    pub async fn send(&self, item: T) -> Result<(), Refused> {
        self.sender.send(item).await.map_err(|_closed| Refused::Closed)
    }

    /// How many items were refused so far, by all clones together.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Items waiting now.
    pub fn waiting(&self) -> usize {
        self.sender.max_capacity() - self.sender.capacity()
    }
}

/// A place in a queue, free again when it is dropped without an item.
#[derive(Debug)]
pub struct Place<'a, T> {
    permit: mpsc::Permit<'a, T>,
}

impl<T> Place<'_, T> {
    /// Puts the item into its place.
    pub fn fill(self, item: T) {
        self.permit.send(item);
    }
}

/// The receiving end. When it is dropped, every offer is refused.
#[derive(Debug)]
pub struct Receiver<T> {
    receiver: mpsc::Receiver<T>,
}

impl<T> Receiver<T> {
    /// The next item; `None` when all senders are gone and the queue is empty.
    pub async fn next(&mut self) -> Option<T> {
        self.receiver.recv().await
    }

    /// Takes up to `limit` waiting items at once and waits for the first; 0 when all senders are gone.
    pub async fn next_many(&mut self, items: &mut Vec<T>, limit: usize) -> usize {
        self.receiver.recv_many(items, limit).await
    }

    /// The next item if one is waiting.
    pub fn try_next(&mut self) -> Option<T> {
        self.receiver.try_recv().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_refuses_and_counts() {
        let (sender, mut receiver) = bounded(2);
        assert_eq!(sender.offer(1), Ok(()));
        assert_eq!(sender.clone().offer(2), Ok(()));
        assert_eq!(sender.offer(3), Err(Refused::Full));
        assert_eq!((sender.refused(), sender.waiting()), (1, 2));
        assert_eq!((receiver.try_next(), receiver.try_next(), receiver.try_next()), (Some(1), Some(2), None));
        drop(receiver);
        assert_eq!(sender.offer(4), Err(Refused::Closed));
    }

    #[test]
    fn a_place_is_kept_until_it_is_filled_or_given_back() {
        let (sender, mut receiver) = bounded(1);
        let place = sender.reserve().unwrap();
        assert_eq!(sender.offer(1), Err(Refused::Full));
        drop(place);
        sender.reserve().unwrap().fill(2);
        assert_eq!(sender.reserve().err(), Some(Refused::Full));
        assert_eq!((receiver.try_next(), sender.refused()), (Some(2), 2));
    }
}
