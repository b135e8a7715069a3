//! The pump: moves entries from the outbox of the store into the ledger, and forgets them only when they
//! are there. A crash in between moves them again, and the ledger passes over what it has.

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::ledger::{Appended, Ledger, LedgerError};
use crate::observe::Metric;
use crate::store::{Store, StoreError};

/// Entries that share one sync.
const MOVED: usize = 512;
/// How long entries gather before they are moved together.
const GATHER: Duration = Duration::from_millis(50);
/// How often it is looked whether a checkpoint is due.
const ROUND: Duration = Duration::from_secs(1);
/// How long the pump waits before it tries again, at first and at most.
const PATIENCE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// Where entries wait until they are in the ledger.
pub(super) trait Outbox: Clone + Send + Sync + 'static {
    /// The oldest entries that wait, with their numbers, at most `limit`.
    fn waiting(&self, limit: usize) -> Result<Vec<(u64, Vec<u8>)>, StoreError>;
    /// Forgets the entries up to `upto`.
    fn forget(&self, upto: u64) -> impl Future<Output = Result<(), StoreError>> + Send;
    /// Tells the number of the newest entry.
    fn made(&self) -> watch::Receiver<u64>;
}

impl Outbox for Store {
    fn waiting(&self, limit: usize) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        self.outbox(limit)
    }

    fn forget(&self, upto: u64) -> impl Future<Output = Result<(), StoreError>> + Send {
        self.forget_outbox(upto)
    }

    fn made(&self) -> watch::Receiver<u64> {
        self.watch_outbox()
    }
}

/// Why the pump stands still.
enum Stuck {
    /// The ledger has no space.
    Full,
    /// The store does not answer. If it has failed for good, that ends the collector elsewhere.
    Store(StoreError),
    /// The ledger does not take what comes, and never will.
    Ledger(LedgerError),
}

impl From<StoreError> for Stuck {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<LedgerError> for Stuck {
    fn from(error: LedgerError) -> Self {
        if matches!(error, LedgerError::Full) { Self::Full } else { Self::Ledger(error) }
    }
}

/// The pump of one ledger.
pub(super) struct Pump<O> {
    outbox: O,
    ledger: Ledger,
}

impl<O: Outbox> Pump<O> {
    pub fn new(outbox: O, ledger: Ledger) -> Self {
        Self { outbox, ledger }
    }

    /// Moves entries as they come, and has checkpoints signed when they are due, until `stop`; then it
    /// moves what is left and has it signed.
    ///
    /// # Errors
    /// If the ledger takes nothing any more. What waits stays in the outbox.
    pub async fn run(self, stop: CancellationToken) -> Result<(), LedgerError> {
        let mut made = self.outbox.made();
        let mut pause = PATIENCE.0;
        loop {
            let is_last = stop.is_cancelled();
            made.borrow_and_update();
            match self.round(is_last).await {
                Ok(()) => pause = PATIENCE.0,
                Err(Stuck::Ledger(error)) => return Err(error),
                Err(stuck) => {
                    if pause == PATIENCE.0 {
                        tell(&stuck);
                    }
                    if is_last {
                        return Ok(());
                    }
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = stop.cancelled() => {}
                    }
                    pause = (pause * 2).min(PATIENCE.1);
                    continue;
                }
            }
            if is_last {
                return Ok(());
            }
            tokio::select! {
                () = tokio::time::sleep(ROUND) => {}
                () = stop.cancelled() => {}
                changed = made.changed() => match changed {
                    Ok(()) => tokio::time::sleep(GATHER).await,
                    // The store is closed.
                    Err(_) => return Ok(()),
                },
            }
        }
    }

    /// Moves all that waits.
    async fn round(&self, sign: bool) -> Result<(), Stuck> {
        loop {
            let (outbox, ledger) = (self.outbox.clone(), self.ledger.clone());
            let moved = aside(move || {
                let waiting = outbox.waiting(MOVED)?;
                let appended = if waiting.is_empty() { None } else { Some(ledger.append(&waiting)?) };
                Ok::<_, Stuck>(appended.zip(waiting.last().map(|(number, _)| *number)))
            });
            let Some((Appended { head, .. }, last)) = moved.await? else { break };
            Metric::LedgerEntries.set_count(&[], head.size);
            self.outbox.forget(last).await?;
        }
        if sign || self.ledger.is_checkpoint_due() {
            let ledger = self.ledger.clone();
            aside(move || ledger.checkpoint()).await?;
        }
        Ok(())
    }
}

/// Does work that waits for a disk off the threads that serve.
async fn aside<T: Send + 'static, E: Into<Stuck> + Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, Stuck> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(Into::into),
        Err(_) => Err(Stuck::Ledger(LedgerError::Failed)),
    }
}

fn tell(stuck: &Stuck) {
    match stuck {
        Stuck::Full => {
            tracing::error!("no space for the ledger: entries wait in the store until there is some");
        }
        Stuck::Store(error) => {
            tracing::warn!(%error, "the outbox of the ledger cannot be emptied, trying again");
        }
        Stuck::Ledger(_) => {}
    }
}

#[cfg(test)]
#[path = "pump_tests.rs"]
mod tests;
