//! The thread that keeps time: for the witness, and for what the writer has to look after.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::command::Command;
use super::shared::Shared;

/// How often retention and gauges are looked after.
const UPKEEP: Duration = Duration::from_millis(500);

/// The witness thread: brings the witness up to date at the stated lag, and has the writer look after
/// retention.
pub(super) fn ticker(
    shared: Arc<Shared>,
    sender: mpsc::WeakSender<Command>,
    stop: Arc<AtomicBool>,
) -> impl FnOnce() + Send {
    move || {
        let lag = shared.options.witness_lag;
        let pause = if lag.is_zero() { UPKEEP } else { lag.min(UPKEEP) };
        let mut upkeep = Instant::now();
        while !stop.load(Ordering::Acquire) {
            thread::park_timeout(pause);
            if shared.has_failed() || (!lag.is_zero() && !shared.testify()) {
                return;
            }
            if upkeep.elapsed() >= UPKEEP
                && let Some(sender) = sender.upgrade()
            {
                upkeep = Instant::now();
                // Counted here: the writer has better things to do.
                shared.disk_bytes.store(shared.directory.bytes(), Ordering::Release);
                // A full queue means that the writer is at work; it is asked again.
                drop(sender.try_send(Command::Maintain(None)));
            }
        }
    }
}
