//! How the tasks of the collector take turns, and on how many threads.

use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;

use tokio::runtime::{Builder, Runtime};

/// After so many steps of tasks a thread looks whether bytes have come, however many tasks are ready. A batch is
/// sanitised and sealed in one step, of up to a millisecond: with the 61 steps that are usual, whoever sends a small
/// batch beside a customer at full blast would wait for dozens of that one's.
const STEPS: u32 = 8;

/// Threads that tasks take turns on, at most: one for each processor. A hundred more would find the writer of the store
/// no faster.
const WORKERS: usize = 32;
/// Threads for what waits for a disk, at most. Each is there as long as there is work, and ten seconds longer; what finds
/// none waits for one.
const BLOCKING: usize = 64;
/// Every other thread, at most: the first one, the store's, the database's, those that watch files and send traces.
const OTHERS: usize = 32;

/// Threads that a collector has at most, whatever the machine.
#[must_use]
pub const fn most_threads() -> usize {
    WORKERS + BLOCKING + OTHERS
}

/// The runtime of the collector.
///
/// # Errors
/// If the system does not give the threads that a collector begins with. Without this look beforehand a thread that is
/// not to be had would be a panic, or tasks that never get a turn.
pub(super) fn build() -> io::Result<Runtime> {
    let workers = workers(thread::available_parallelism().map_or(1, usize::from));
    afford(workers + OTHERS)?;
    builder().worker_threads(workers).build()
}

fn workers(processors: usize) -> usize {
    processors.clamp(1, WORKERS)
}

fn builder() -> Builder {
    let mut builder = Builder::new_multi_thread();
    builder.enable_all().event_interval(STEPS).max_blocking_threads(BLOCKING);
    builder
}

/// Has so many threads at once, for a moment.
fn afford(threads: usize) -> io::Result<()> {
    let gate = Arc::new(RwLock::new(()));
    let closed = gate.write().unwrap_or_else(PoisonError::into_inner);
    let mut given = Vec::with_capacity(threads);
    let refused = (0..threads).find_map(|_| {
        let gate = Arc::clone(&gate);
        match thread::Builder::new().spawn(move || drop(gate.read())) {
            Ok(thread) => {
                given.push(thread);
                None
            }
            Err(error) => Some(error),
        }
    });
    let count = given.len();
    drop(closed);
    for thread in given {
        // It has nothing to panic about.
        let _ = thread.join();
    }
    refused.map_or(Ok(()), |error| {
        let limits = "TasksMax of its unit, pids.max of its container, `ulimit -u` of its user";
        let what = format!(
            "{count} of {threads} threads were to be had ({error}); raise what limits them: {limits}"
        );
        Err(io::Error::new(error.kind(), what))
    })
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

    #[test]
    fn a_machine_of_any_size_has_a_bounded_number_of_threads() {
        for (processors, expected) in [(0, 1), (1, 1), (2, 2), (31, 31), (32, 32), (33, 32), (512, 32)] {
            assert_eq!(workers(processors), expected, "{processors}");
        }
        assert!(afford(4).is_ok());
    }

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
