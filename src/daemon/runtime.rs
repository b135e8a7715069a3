//! How the tasks of the collector take turns.

use tokio::runtime::Builder;

/// After so many steps of tasks a thread looks whether bytes have come, however many tasks are ready. A batch is
/// sanitised and sealed in one step, of up to a millisecond: with the 61 steps that are usual, whoever sends a small
/// batch beside a customer at full blast would wait for dozens of that one's.
const STEPS: u32 = 8;

/// The runtime of the collector, not yet built.
pub(super) fn builder() -> Builder {
    let mut builder = Builder::new_multi_thread();
    builder.enable_all().event_interval(STEPS);
    builder
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use std::future::poll_fn;
    use std::io::Write as _;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
    use std::task::Poll;

    use tokio::io::AsyncReadExt as _;
    use tokio::net::UnixStream;

    use super::*;

    /// What the tasks have in common.
    #[derive(Default)]
    struct Steps {
        taken: AtomicU32,
        /// When the last byte was sent.
        sent: AtomicU32,
        /// Whether somebody waits for bytes.
        is_awaited: AtomicBool,
        is_over: AtomicBool,
    }

    /// Tasks that are ready all the time stand for the batches of a customer at full blast. Steps are counted, not time.
    #[test]
    fn bytes_are_seen_after_a_few_steps_of_others_however_many_are_ready() {
        let runtime = builder().worker_threads(1).build().unwrap();
        let (near, far) = std::os::unix::net::UnixStream::pair().unwrap();
        far.set_nonblocking(true).unwrap();
        let (near, steps) = (Arc::new(near), Arc::new(Steps::default()));
        let waited = runtime.block_on(async {
            let mut far = UnixStream::from_std(far).unwrap();
            for _ in 0..200 {
                let (near, steps) = (Arc::clone(&near), Arc::clone(&steps));
                tokio::spawn(poll_fn(move |cx| {
                    let now = steps.taken.fetch_add(1, Ordering::Relaxed) + 1;
                    if steps.is_over.load(Ordering::Relaxed) {
                        return Poll::Ready(());
                    }
                    // At every place of an interval, sooner or later.
                    if now % 1009 == 0 && steps.is_awaited.load(Ordering::Relaxed) {
                        steps.sent.store(now, Ordering::Relaxed);
                        near.as_ref().write_all(b"x").unwrap();
                    }
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }));
            }
            let reader = tokio::spawn(async move {
                let mut waited = Vec::new();
                steps.is_awaited.store(true, Ordering::Relaxed);
                for _ in 0..100 {
                    far.read_u8().await.unwrap();
                    waited.push(steps.taken.load(Ordering::Relaxed) - steps.sent.load(Ordering::Relaxed));
                }
                steps.is_over.store(true, Ordering::Relaxed);
                waited
            });
            reader.await.unwrap()
        });
        assert!(waited.iter().all(|steps| *steps <= STEPS), "{waited:?}");
    }
}
