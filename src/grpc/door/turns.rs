//! Steps of work that take a processor, of which only so many go on at a time.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::ready;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::sync::PollSemaphore;

/// So many steps at a time, first come, first served. Clones share the bound.
#[derive(Clone)]
pub(super) struct Turns(Arc<Semaphore>);

impl Turns {
    pub(super) fn new(at_a_time: usize) -> Self {
        Self(Arc::new(Semaphore::new(at_a_time)))
    }

    /// One for every two threads of the runtime that this is called on: the others are left to other work, however
    /// much there is of this.
    pub(super) fn of_half_the_workers() -> Self {
        Self::new(Handle::current().metrics().num_workers().div_ceil(2))
    }

    /// Brings `work` to its end. It has a turn for each of its steps, and none while it waits for a peer: one that is
    /// slow or silent costs no processor, and has nobody wait.
    pub(super) async fn take<W: Future>(&self, work: W) -> W::Output {
        let mut work = pin!(work);
        let mut turns = PollSemaphore::new(Arc::clone(&self.0));
        poll_fn(|cx| {
            // The semaphore is never closed.
            let _turn = ready!(turns.poll_acquire(cx));
            work.as_mut().poll(cx)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn step<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn those_who_wait_for_a_peer_have_nobody_wait_for_a_turn() {
        let turns = Turns::new(1);
        let mut silent: Vec<_> = (0..500).map(|_| Box::pin(turns.take(pending::<()>()))).collect();
        assert!(silent.iter_mut().all(|one| step(one.as_mut()).is_pending()));
        assert_eq!(step(pin!(turns.take(ready(7)))), Poll::Ready(7));
    }

    #[test]
    fn no_more_steps_go_on_at_a_time_than_there_are_turns_and_those_who_give_up_leave_theirs() {
        let turns = Turns::new(1);
        let mut second = Box::pin(turns.take(ready(2)));
        let first = turns.take(poll_fn(|_| {
            assert_eq!(step(second.as_mut()), Poll::Pending, "beside the first");
            Poll::Ready(1)
        }));
        assert_eq!(step(pin!(first)), Poll::Ready(1));
        // Its turn has come, and it does not take it.
        assert_eq!(step(pin!(turns.take(ready(3)))), Poll::Pending);
        drop(second);
        assert_eq!(step(pin!(turns.take(ready(3)))), Poll::Ready(3));
    }
}
