//! What lets a sender's acknowledgement wait until its data is safe.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

/// Makes a receipt and the end that waits for it.
pub fn receipt() -> (Receipt, Awaited) {
    let (answer, awaited) = oneshot::channel();
    let shared = Shared { answer: Mutex::new(Some(answer)) };
    (Receipt { shared: Arc::new(shared), is_settled: AtomicBool::new(false) }, Awaited { answer: awaited })
}

/// The right to say that data is safe, and the duty to say so before the sender is told.
///
/// It goes with the data. Whoever holds it calls [`kept`](Self::kept) when the data would survive a crash, or when none
/// of it is wanted; dropping it instead says that the data is not safe here. A clone is a duty of its own and takes
/// over that of the receipt it was made from: who hands data on to several clones it for each, and is done.
pub struct Receipt {
    shared: Arc<Shared>,
    /// The data was kept, or clones have taken over.
    is_settled: AtomicBool,
}

impl Receipt {
    /// The data is safe here.
    pub fn kept(self) {
        self.is_settled.store(true, Ordering::Relaxed);
    }
}

impl Clone for Receipt {
    fn clone(&self) -> Self {
        self.is_settled.store(true, Ordering::Relaxed);
        Self { shared: Arc::clone(&self.shared), is_settled: AtomicBool::new(false) }
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if !*self.is_settled.get_mut() {
            self.shared.answer(false);
        }
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Receipt")
    }
}

/// What all clones of a receipt share. When the last of them is gone and none has said otherwise, all have kept.
struct Shared {
    answer: Mutex<Option<oneshot::Sender<bool>>>,
}

impl Shared {
    fn answer(&self, is_kept: bool) {
        let answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(answer) = answer {
            // The sender of the data may be gone, and is told nothing then.
            answer.send(is_kept).ok();
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.answer(true);
    }
}

/// The end that waits.
#[derive(Debug)]
pub struct Awaited {
    answer: oneshot::Receiver<bool>,
}

impl Awaited {
    /// Waits until all that the data was handed to have kept it; false as soon as one has not.
    pub async fn is_kept(self) -> bool {
        self.answer.await.unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use proptest::prelude::*;

    use super::*;

    /// The answer as it stands; `None` while it is waited for.
    fn answer(awaited: &mut Awaited) -> Option<bool> {
        let mut now = Context::from_waker(Waker::noop());
        match pin!(&mut awaited.answer).poll(&mut now) {
            Poll::Ready(answer) => Some(answer.unwrap_or(false)),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_receipt_that_nobody_answers_is_a_no() {
        let (receipt, mut awaited) = receipt();
        assert_eq!(answer(&mut awaited), None);
        drop(receipt);
        assert_eq!(answer(&mut awaited), Some(false));
    }

    #[test]
    fn who_has_handed_on_owes_nothing_more_and_decides_nothing() {
        let (receipt, mut awaited) = receipt();
        let handed_on = receipt.clone();
        drop(receipt);
        assert_eq!(answer(&mut awaited), None);
        handed_on.kept();
        assert_eq!(answer(&mut awaited), Some(true));
    }

    #[test]
    fn one_no_is_heard_before_the_others_have_answered() {
        let (receipt, mut awaited) = receipt();
        let [slow, full] = [receipt.clone(), receipt.clone()];
        drop(full);
        assert_eq!(answer(&mut awaited), Some(false));
        slow.kept();
    }

    proptest! {
        #[test]
        fn it_is_yes_exactly_when_every_holder_keeps(
            keeps in prop::collection::vec(any::<bool>(), 1..8), again in any::<prop::sample::Index>(),
        ) {
            let (receipt, mut awaited) = receipt();
            let mut holders: Vec<Receipt> = keeps.iter().map(|_| receipt.clone()).collect();
            // One of them hands on to another, as a destination with parts of its own does.
            let index = again.index(holders.len());
            let further = holders[index].clone();
            holders[index] = further;
            drop(receipt);
            for (number, (holder, keeps_it)) in holders.into_iter().zip(&keeps).enumerate() {
                let so_far = keeps[..number].iter().all(|kept| *kept);
                let expected = if so_far { None } else { Some(false) };
                if expected.is_none() {
                    prop_assert_eq!(answer(&mut awaited), expected);
                }
                if *keeps_it { holder.kept() } else { drop(holder) }
                if !keeps_it && so_far {
                    prop_assert_eq!(answer(&mut awaited), Some(false));
                    return Ok(());
                }
            }
            prop_assert_eq!(answer(&mut awaited), Some(true));
        }
    }
}
