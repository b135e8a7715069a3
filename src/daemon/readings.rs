//! Readings of files whose disk may never answer. One at a time is waited for, and each only so long: what takes longer goes
//! on beside without being heard, and has the files read anew when it comes to its end. There are few of those.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, Semaphore, oneshot};
use tokio::time::timeout;

/// Files that take longer to read lie on a disk that does not answer.
pub(super) const SLOW: Duration = if cfg!(test) { Duration::from_secs(1) } else { Duration::from_secs(10) };
/// Readings of the same files under way at a time. All but one of them hang; each takes a thread that may block.
const MOST: usize = 3;

/// The readings of some files. Clones share them.
#[derive(Clone)]
pub(super) struct Readings {
    /// Whoever has it may read, and take over what was read: so nothing is taken over in the wrong order.
    turn: Arc<Mutex<()>>,
    places: Arc<Semaphore>,
}

/// Why files are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// They are others, or a signal asks for it: beside any that hang, while there is a place.
    Sure,
    /// It may come to nothing, or is asked for again and again: beside one that hangs, so that the last place is left for
    /// what has changed.
    Maybe,
}

/// Why there is nothing to take over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unread {
    /// Another reading is waited for. It tells what becomes of it.
    Waits,
    /// It takes too long, or as many as there may be do.
    Hangs,
    /// A mistake in the collector.
    Panicked,
}

impl Readings {
    pub(super) fn new() -> Self {
        Self { turn: Arc::default(), places: Arc::new(Semaphore::new(MOST)) }
    }

    /// Has `read` done on a thread that may block, and gives what it found to `take_over` before another reading begins;
    /// or why there is nothing, at the latest after [`SLOW`] from when it is its turn. What comes too late is thrown away:
    /// it may be a mixture of what was there at different times. `too_late` is told instead, and is to see to it that the
    /// files are read again.
    pub(super) async fn read<T: Send + 'static, R>(
        &self,
        need: Need,
        read: impl FnOnce() -> T + Send + 'static,
        too_late: impl FnOnce() + Send + 'static,
        take_over: impl FnOnce(Result<T, Unread>) -> R,
    ) -> R {
        let turn = self.turn.lock();
        let _turn = match need {
            // Whoever is before it has it no longer than that.
            Need::Sure => turn.await,
            Need::Maybe => match timeout(SLOW, turn).await {
                Ok(turn) => turn,
                Err(_) => return take_over(Err(Unread::Waits)),
            },
        };
        if need == Need::Maybe && self.places.available_permits() < MOST - 1 {
            return take_over(Err(Unread::Hangs));
        }
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            return take_over(Err(Unread::Hangs));
        };
        let (done, mut found) = oneshot::channel();
        tokio::task::spawn_blocking(move || {
            let read = read();
            drop(place);
            if done.send(read).is_err() {
                too_late();
            }
        });
        let found = if let Ok(found) = timeout(SLOW, &mut found).await {
            found.map_err(|_| Unread::Panicked)
        } else {
            // From here on it is too late; it may have come just before.
            found.close();
            found.try_recv().map_err(|_| Unread::Hangs)
        };
        take_over(found)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    /// A reading that hangs until what is given is dropped; what it tells when it comes too late.
    async fn hang(readings: &Readings) -> (mpsc::SyncSender<()>, oneshot::Receiver<()>) {
        let (held, hangs) = mpsc::sync_channel::<()>(1);
        let (tell, late) = oneshot::channel();
        let read = move || hangs.recv().is_err();
        let found =
            readings.read(Need::Sure, read, move || tell.send(()).unwrap_or_default(), |found| found).await;
        assert_eq!(found, Err(Unread::Hangs));
        (held, late)
    }

    async fn reads(readings: &Readings, need: Need) -> Result<u8, Unread> {
        readings.read(need, || 7, || (), |found| found).await
    }

    // covers: S1
    #[tokio::test]
    async fn a_few_readings_that_hang_keep_no_other_from_being_read_and_there_are_never_more() {
        let readings = Readings::new();
        assert_eq!(reads(&readings, Need::Maybe).await, Ok(7));
        let (one, late) = hang(&readings).await;
        assert_eq!(reads(&readings, Need::Maybe).await, Ok(7), "it may hang once more");
        let (other, _) = hang(&readings).await;
        assert_eq!(reads(&readings, Need::Maybe).await, Err(Unread::Hangs), "the last place is for a change");
        assert_eq!(reads(&readings, Need::Sure).await, Ok(7));
        let (third, _) = hang(&readings).await;
        assert_eq!(
            reads(&readings, Need::Sure).await,
            Err(Unread::Hangs),
            "there are as many as there may be"
        );

        drop(one);
        tokio::time::timeout(LONG, late).await.unwrap().unwrap();
        assert_eq!(reads(&readings, Need::Sure).await, Ok(7), "a place is free again");
        drop((other, third));
    }

    // covers: S1
    #[tokio::test]
    async fn whoever_may_give_up_does_not_wait_for_others_without_bound_and_a_panic_is_told() {
        let readings = Readings::new();
        let turn = readings.turn.lock().await;
        assert_eq!(reads(&readings, Need::Maybe).await, Err(Unread::Waits));
        drop(turn);
        let panics = || std::panic::resume_unwind(Box::new("a mistake"));
        let found: Result<u8, _> = readings.read(Need::Sure, panics, || (), |found| found).await;
        assert_eq!(found, Err(Unread::Panicked));
        assert_eq!(reads(&readings, Need::Maybe).await, Ok(7));
    }
}
