//! Bounded queues that count what the bound cost. There is no unbounded one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Notify, mpsc};

/// Makes a queue for `capacity` items, which is at least one.
pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    with_room(capacity, None)
}

/// Makes a queue for `capacity` items of about `bytes` together; `size` tells the bytes of one, always the same for
/// the same item.
///
/// An offer is refused when the item would bring the sum beyond `bytes`, but one that is larger than all of them is
/// taken while nothing else waits. A place is refused when the bytes are used up; because what will fill it is not
/// known yet, the places that are held at one moment may together go beyond. Whoever waits for room is bounded in
/// items only.
pub fn bounded_in_bytes<T>(capacity: usize, bytes: u64, size: fn(&T) -> u64) -> (Sender<T>, Receiver<T>) {
    with_room(capacity, Some(Arc::new(Room { bytes, used: AtomicU64::new(0), size, left: Notify::new() })))
}

fn with_room<T>(capacity: usize, room: Option<Arc<Room<T>>>) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = mpsc::channel(capacity.max(1));
    let refused = Arc::<AtomicU64>::default();
    (
        Sender { channel: sender, refused: Arc::clone(&refused), room: room.clone() },
        Receiver { channel: receiver, refused, room },
    )
}

/// The bytes of what waits. Both ends count: what comes in is added before it is sent, so that the sum never goes
/// below zero.
#[derive(Debug)]
struct Room<T> {
    bytes: u64,
    used: AtomicU64,
    size: fn(&T) -> u64,
    /// Something has left.
    left: Notify,
}

impl<T> Room<T> {
    fn enter_if_it_fits(&self, item: &T) -> bool {
        let size = (self.size)(item);
        let fits = |used: u64| {
            let sum = used.saturating_add(size);
            (used == 0 || sum <= self.bytes).then_some(sum)
        };
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }

    fn enter(&self, item: &T) {
        self.used.fetch_add((self.size)(item), Ordering::Relaxed);
    }

    fn leave(&self, item: &T) {
        self.used.fetch_sub((self.size)(item), Ordering::Relaxed);
        self.left.notify_waiters();
    }

    fn is_full(&self) -> bool {
        self.used.load(Ordering::Relaxed) >= self.bytes
    }
}

/// The sending end.
#[derive(Debug)]
pub struct Sender<T> {
    channel: mpsc::Sender<T>,
    refused: Arc<AtomicU64>,
    room: Option<Arc<Room<T>>>,
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self { channel: self.channel.clone(), refused: Arc::clone(&self.refused), room: self.room.clone() }
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
        if let Some(room) = &self.room
            && !self.channel.is_closed()
            && !room.enter_if_it_fits(&item)
        {
            return Err(self.refuse(Refused::Full));
        }
        self.channel.try_send(item).map_err(|error| {
            let (why, item) = match error {
                mpsc::error::TrySendError::Full(item) => (Refused::Full, item),
                mpsc::error::TrySendError::Closed(item) => (Refused::Closed, item),
            };
            self.leave(&item);
            self.refuse(why)
        })
    }

    /// Takes a place in the queue for an item that comes later, and does not wait. A refusal is counted. Whoever must
    /// put into two queues or none takes a place in both first.
    pub fn reserve(&self) -> Result<Place<'_, T>, Refused> {
        let permit = self.channel.try_reserve().map_err(|error| match error {
            mpsc::error::TrySendError::Full(()) => self.refuse(Refused::Full),
            mpsc::error::TrySendError::Closed(()) => self.refuse(Refused::Closed),
        })?;
        if self.room.as_ref().is_some_and(|room| room.is_full()) {
            return Err(self.refuse(Refused::Full));
        }
        Ok(Place { permit, room: self.room.as_deref() })
    }

    /// Whether a place would be refused now.
    pub fn is_full(&self) -> bool {
        self.channel.capacity() == 0 || self.room.as_ref().is_some_and(|room| room.is_full())
    }

    /// Waits until there is a place, or nobody receives any more. It may be gone when it is asked for.
    pub async fn room(&self) {
        let Ok(permit) = self.channel.reserve().await else { return };
        let Some(room) = &self.room else { return };
        // A place that is held while bytes are waited for would keep others from theirs.
        drop(permit);
        loop {
            let left = room.left.notified();
            if !room.is_full() || self.channel.is_closed() {
                return;
            }
            left.await;
        }
    }

    /// Waits for room. For a thread of its own, never for a task.
    pub fn send_blocking(&self, item: T) -> Result<(), Refused> {
        self.enter(&item);
        self.channel.blocking_send(item).map_err(|_closed| Refused::Closed)
    }

    /// Waits for room, in a task.
    pub async fn send(&self, item: T) -> Result<(), Refused> {
        let permit = self.channel.reserve().await.map_err(|_closed| Refused::Closed)?;
        self.enter(&item);
        permit.send(item);
        Ok(())
    }

    /// How many items were refused so far, by all clones together.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Items waiting now.
    pub fn waiting(&self) -> usize {
        self.channel.max_capacity() - self.channel.capacity()
    }

    fn refuse(&self, why: Refused) -> Refused {
        self.refused.fetch_add(1, Ordering::Relaxed);
        why
    }

    fn enter(&self, item: &T) {
        if let Some(room) = &self.room {
            room.enter(item);
        }
    }

    fn leave(&self, item: &T) {
        if let Some(room) = &self.room {
            room.leave(item);
        }
    }
}

/// A place in a queue, free again when it is dropped without an item.
#[derive(Debug)]
pub struct Place<'a, T> {
    permit: mpsc::Permit<'a, T>,
    room: Option<&'a Room<T>>,
}

impl<T> Place<'_, T> {
    /// Puts the item into its place.
    pub fn fill(self, item: T) {
        if let Some(room) = self.room {
            room.enter(&item);
        }
        self.permit.send(item);
    }
}

/// The receiving end. When it is dropped, every offer is refused.
#[derive(Debug)]
pub struct Receiver<T> {
    channel: mpsc::Receiver<T>,
    refused: Arc<AtomicU64>,
    room: Option<Arc<Room<T>>>,
}

impl<T> Receiver<T> {
    /// The next item; `None` when the queue is empty and all senders are gone or it was closed.
    pub async fn next(&mut self) -> Option<T> {
        let item = self.channel.recv().await;
        self.left(item.as_ref());
        item
    }

    /// Takes up to `limit` waiting items at once and waits for the first; 0 when the queue is empty and all senders
    /// are gone or it was closed.
    pub async fn next_many(&mut self, items: &mut Vec<T>, limit: usize) -> usize {
        let before = items.len();
        let taken = self.channel.recv_many(items, limit).await;
        self.left(items.iter().skip(before));
        taken
    }

    /// The next item if one is waiting.
    pub fn try_next(&mut self) -> Option<T> {
        let item = self.channel.try_recv().ok();
        self.left(item.as_ref());
        item
    }

    /// Refuses all that is offered from now on. What is in the queue, and what has a place in it, can still be taken.
    pub fn close(&mut self) {
        self.channel.close();
        if let Some(room) = &self.room {
            // Nobody need wait for room any more.
            room.left.notify_waiters();
        }
    }

    /// How many items were refused so far, by all senders together.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    fn left<'a>(&self, items: impl IntoIterator<Item = &'a T>)
    where
        T: 'a,
    {
        if let Some(room) = &self.room {
            items.into_iter().for_each(|item| room.leave(item));
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.close();
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

    fn in_bytes(bytes: u64) -> (Sender<Vec<u8>>, Receiver<Vec<u8>>) {
        bounded_in_bytes(100, bytes, |item| item.len() as u64)
    }

    #[test]
    fn bytes_are_bounded_whatever_the_number_of_items() {
        let (sender, mut receiver) = in_bytes(10);
        assert_eq!(sender.offer(vec![0; 6]), Ok(()));
        assert_eq!(sender.offer(vec![0; 5]), Err(Refused::Full));
        assert_eq!(sender.offer(vec![0; 4]), Ok(()));
        assert_eq!(sender.reserve().err(), Some(Refused::Full));
        assert_eq!(receiver.try_next().map(|item| item.len()), Some(6));
        sender.reserve().unwrap().fill(vec![0; 6]);
        assert_eq!((sender.offer(vec![0; 1]), receiver.refused()), (Err(Refused::Full), 3));
    }

    #[test]
    fn an_item_larger_than_the_bound_passes_alone() {
        let (sender, mut receiver) = in_bytes(10);
        assert_eq!(sender.offer(vec![0; 50]), Ok(()));
        assert_eq!(sender.offer(Vec::new()), Err(Refused::Full));
        assert_eq!(receiver.try_next().map(|item| item.len()), Some(50));
        assert_eq!(sender.offer(vec![0; 10]), Ok(()));
    }

    #[test]
    fn what_left_makes_room_however_it_left() {
        use std::future::Future;
        use std::task::{Context, Poll, Waker};
        let (sender, mut receiver) = in_bytes(4);
        for _ in 0..3 {
            sender.send_blocking(vec![0; 2]).unwrap();
            sender.offer(vec![0; 2]).unwrap();
            assert_eq!(sender.offer(vec![0; 1]), Err(Refused::Full));
            // What waits is taken without waiting.
            let mut now = Context::from_waker(Waker::noop());
            assert_eq!(std::pin::pin!(receiver.next()).poll(&mut now), Poll::Ready(Some(vec![0; 2])));
            let mut items = vec![vec![0; 99]];
            assert_eq!(std::pin::pin!(receiver.next_many(&mut items, 9)).poll(&mut now), Poll::Ready(1));
        }
    }

    #[test]
    fn who_waits_for_room_is_told_of_it() {
        use std::future::Future;
        use std::task::{Context, Poll, Waker};
        let mut now = Context::from_waker(Waker::noop());
        let (sender, mut receiver) = in_bytes(4);
        sender.offer(vec![0; 4]).unwrap();
        let waiting = sender.clone();
        let mut room = Box::pin(waiting.room());
        assert_eq!(room.as_mut().poll(&mut now), Poll::Pending);
        receiver.try_next().unwrap();
        assert_eq!(room.as_mut().poll(&mut now), Poll::Ready(()));
        sender.offer(vec![0; 4]).unwrap();
        let mut room = Box::pin(waiting.room());
        assert_eq!(room.as_mut().poll(&mut now), Poll::Pending);
        drop(receiver);
        assert_eq!(room.as_mut().poll(&mut now), Poll::Ready(()), "nobody receives any more");
        assert_eq!(sender.refused(), 0);
    }

    #[test]
    fn a_closed_queue_refuses_what_is_new_and_gives_what_it_has() {
        let (sender, mut receiver) = bounded(3);
        sender.offer(1).unwrap();
        let place = sender.reserve().unwrap();
        receiver.close();
        assert_eq!((sender.offer(9), sender.reserve().err()), (Err(Refused::Closed), Some(Refused::Closed)));
        place.fill(2);
        assert_eq!((receiver.try_next(), receiver.try_next(), receiver.try_next()), (Some(1), Some(2), None));
    }
}
