//! The store as the other rooms see it: a handle, and what can be asked of it.

use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use super::command::{Append, Appended, Command, FenceRows, Fenced, MetaOp};
use super::fault::{AppendError, OpenError, SetError, StoreError};
use super::gauges::begin_counters;
use super::loss::AcceptedLoss;
use super::open::{Opened, recover};
use super::options::Options;
use super::record::SealedRecord;
use super::registry::{self, Customer, NewChange, SetOutcome};
use super::shared::Shared;
use super::ticker::ticker;
use super::writer::Writer;
use crate::model::{Change, CustomerId, CustomerKey};
use crate::observe::Clock;
use crate::sanitize::RootKey;

/// How long an append waits for its turn before it is refused.
const PATIENCE: Duration = Duration::from_secs(5);
/// When to come back after that.
const AFTER_BUSY: Duration = Duration::from_secs(1);
/// The unit in which queued bytes are counted.
pub(super) const SHARE: usize = 1024;

/// An open store. Cheap to clone; it is closed by [`Store::close`], or when the last clone is dropped.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    sender: Mutex<Option<mpsc::Sender<Command>>>,
    /// Bytes that may wait for the writer.
    shares: Arc<Semaphore>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    stop: Arc<AtomicBool>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("dir", &self.0.shared.directory.path()).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store in `options.dir`, or makes one; `key` unwraps what its keys are derived from. Blocks; the
    /// time depends on the last segment, not on the backlog.
    ///
    /// # Errors
    /// If the directory, the format or the root key are wrong, if another process holds it, or if
    /// acknowledged data is missing ([`OpenError::Amnesia`]).
    pub fn open(options: Options, key: &RootKey, clock: Clock) -> Result<Self, OpenError> {
        let depth = options.queue_depth.max(1);
        let Opened { shared, head, registry, outbox, sums, generations } = recover(options, key, clock)?;
        let shared = Arc::new(shared);
        begin_counters();
        let (sender, receiver) = mpsc::channel(depth);
        let writer =
            Writer { shared: Arc::clone(&shared), receiver, head, registry, outbox, sums, generations };
        let stop = Arc::new(AtomicBool::new(false));
        let ticker = ticker(Arc::clone(&shared), sender.downgrade(), Arc::clone(&stop));
        let threads = vec![
            thread(&shared, "store-writer", || writer.run())?,
            thread(&shared, "store-witness", ticker)?,
        ];
        Ok(Self(Arc::new(Inner {
            shared,
            sender: Mutex::new(Some(sender)),
            shares: Arc::new(Semaphore::new(Options::QUEUE_BYTES / SHARE)),
            threads: Mutex::new(threads),
            stop,
        })))
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.0.shared
    }

    /// Bytes that may wait for the writer, in units of [`SHARE`].
    pub(super) fn shares(&self) -> &Arc<Semaphore> {
        &self.0.shares
    }

    /// The thread that writes.
    #[cfg(test)]
    pub(crate) fn writer_thread(&self) -> Option<thread::ThreadId> {
        let threads = self.0.threads.lock().unwrap_or_else(PoisonError::into_inner);
        threads.first().map(|thread| thread.thread().id())
    }

    pub(super) fn sender(&self) -> Option<mpsc::Sender<Command>> {
        self.0.sender.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stores a batch: all its records or none, once per [`super::Dedup::id`]. Answers when it is on disk.
    ///
    /// # Errors
    /// If there is no room, too much waits, its basis is stale, or the store has failed or is closed.
    pub async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        self.enqueue(append).await?.answer().await
    }

    /// The first half of [`Store::append`]: hands a batch to the writer. If the future is dropped before it is
    /// ready, the batch is not stored; from then on it is out of the caller's hands.
    ///
    /// # Errors
    /// If too much waits, or the store is closed.
    pub async fn enqueue(&self, append: Append) -> Result<Queued, AppendError> {
        let bytes: usize = append.records.iter().map(SealedRecord::stored_len).sum();
        let shares = (bytes / SHARE + 1).min(Options::QUEUE_BYTES / SHARE);
        let shares = u32::try_from(shares).unwrap_or(u32::MAX);
        let sender = self.sender().ok_or(AppendError::Closed)?;
        let (reply, answer) = oneshot::channel();
        let enter = async {
            let share = Arc::clone(&self.0.shares).acquire_many_owned(shares).await;
            let share = share.map_err(|_| AppendError::Closed)?;
            sender
                .send(Command::Append { append, _share: share, reply })
                .await
                .map_err(|_| AppendError::Closed)
        };
        let busy = AppendError::Busy { retry_after: AFTER_BUSY };
        tokio::time::timeout(PATIENCE, enter).await.map_err(|_| busy)??;
        Ok(Queued(answer))
    }

    pub(super) async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, StoreError> {
        let sender = self.sender().ok_or(StoreError::Closed)?;
        let (reply, answer) = oneshot::channel();
        sender.send(command(reply)).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)
    }

    /// Changes participations, in order, with one sync. Each change has its own outcome. For an import, give
    /// some thousands at a time.
    ///
    /// # Errors
    /// If the store cannot be read or written; changes before the one that failed may have been made.
    pub async fn set_participation(
        &self,
        changes: Vec<NewChange>,
    ) -> Result<Vec<Result<SetOutcome, SetError>>, StoreError> {
        self.ask(|reply| Command::Set { changes, reply }).await?
    }

    /// A customer by its id; `None` if it has no participation.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn customer(&self, id: &CustomerId) -> Result<Option<Customer>, StoreError> {
        self.customer_key(id)?.map_or(Ok(None), |key| self.customer_by_key(key))
    }

    /// The key of a customer; `None` if it never had a participation.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn customer_key(&self, id: &CustomerId) -> Result<Option<CustomerKey>, StoreError> {
        registry::key_of(&self.0.shared.db, id)
    }

    /// A customer by its key; `None` if it has no participation.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn customer_by_key(&self, key: CustomerKey) -> Result<Option<Customer>, StoreError> {
        registry::customer(&self.0.shared.db, key)
    }

    /// Customers in the order of their ids, after `after`, at most `limit`.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn list_customers(
        &self,
        after: Option<&CustomerId>,
        limit: usize,
    ) -> Result<Vec<Change>, StoreError> {
        registry::list(&self.0.shared.db, after, limit)
    }

    /// The changes of a customer below revision `before`, newest first, at most `limit`.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn history(
        &self,
        id: &CustomerId,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Change>, StoreError> {
        let key = self.customer_key(id)?;
        key.map_or(Ok(Vec::new()), |key| registry::history(&self.0.shared.db, key, before, limit))
    }

    /// How many customers have a participation.
    #[must_use]
    pub fn customers_count(&self) -> u64 {
        self.0.shared.customers.load(Ordering::Acquire)
    }

    /// Changes with every change of this customer, and with some of others.
    pub(super) fn stamp(&self, key: CustomerKey) -> u64 {
        self.0.shared.stamp(key)
    }

    /// Writes rows that know where and when they stand, synced: `rows` are made by the writer. What was decided for the
    /// customer before is not stored behind them but refused as stale. `rows` must not block: others wait.
    ///
    /// # Errors
    /// If `rows` gives one, or the store cannot be read or written.
    pub async fn fence(
        &self,
        customer: CustomerKey,
        rows: impl FnOnce(Fenced) -> Result<Vec<MetaOp>, StoreError> + Send + 'static,
    ) -> Result<Fenced, StoreError> {
        self.ask(|reply| Command::Fence { customer, rows: FenceRows::new(rows), reply }).await?
    }

    /// Takes every row of a customer away, in one synced write with `rows`, which are made as those of [`Self::fence`]:
    /// its salt and bridges, its id, what it chose now and ever. From then on it is unknown: what was decided for it
    /// before is refused as stale, and its key is never used again. Gives what it chose last; `None` if it is gone
    /// already, and `rows` are written all the same. The rows that it had are beyond reading after [`Store::purge`] of
    /// [`super::Place::Customer`].
    ///
    /// # Errors
    /// If `rows` gives one, or the store cannot be read or written.
    pub async fn destroy_customer(
        &self,
        key: CustomerKey,
        rows: impl FnOnce(Fenced) -> Result<Vec<MetaOp>, StoreError> + Send + 'static,
    ) -> Result<(Option<Change>, Fenced), StoreError> {
        self.ask(|reply| Command::Destroy { key, rows: FenceRows::new(rows), reply }).await?
    }

    /// What was missing when it was opened, if that was accepted.
    #[must_use]
    pub fn accepted_loss(&self) -> Option<AcceptedLoss> {
        self.0.shared.accepted
    }

    /// Tells why the store has failed, once it has. Then the process must end with an error.
    #[must_use]
    pub fn fatal(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.0.shared.fatal.subscribe()
    }

    /// Looks after retention now, and not only every half second.
    ///
    /// # Errors
    /// If the store is closed.
    pub async fn maintain(&self) -> Result<(), StoreError> {
        self.ask(|reply| Command::Maintain(Some(reply))).await
    }

    /// Finishes what waits, brings the witness up to date and stops the writer. Other clones can still read;
    /// the directory is let go with the last of them.
    pub async fn close(self) {
        // The writer may be gone already, after a failure.
        let _closed = self.ask(Command::Close).await;
        self.0.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// A batch that waits for the writer, or that the writer is at. It is stored, or not, whether or not anybody
/// waits for the answer.
#[derive(Debug)]
#[must_use = "the answer tells what became of the batch"]
pub struct Queued(oneshot::Receiver<Result<Appended, AppendError>>);

impl Queued {
    /// Waits until the batch is on disk, or refused.
    ///
    /// # Errors
    /// As [`Store::append`].
    pub async fn answer(&mut self) -> Result<Appended, AppendError> {
        (&mut self.0).await.map_err(|_| AppendError::Closed)?
    }
}

/// Starts a thread without which the store cannot go on: if it panics, the store has failed.
fn thread(
    shared: &Arc<Shared>,
    name: &'static str,
    body: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, OpenError> {
    let shared = Arc::clone(shared);
    let watched = move || {
        // What the thread held is not used again: a failed store writes nothing.
        if panic::catch_unwind(AssertUnwindSafe(body)).is_err() {
            shared.fail(&format!("the thread {name} has panicked; this is a bug"));
        }
    };
    let builder = thread::Builder::new().name(name.to_owned());
    builder.spawn(watched).map_err(|_| OpenError::System { what: "a thread" })
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.sender.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        for thread in self.threads.get_mut().unwrap_or_else(PoisonError::into_inner).drain(..) {
            thread.thread().unpark();
            // A panic of the thread was reported by the panic hook.
            let _ended = thread.join();
        }
    }
}

const _: () = assert!(Options::QUEUE_BYTES / SHARE <= Semaphore::MAX_PERMITS);

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_store_can_be_shared_between_threads() {
        fn shared<T: Send + Sync + Clone>() {}
        shared::<Store>();
    }

    #[test]
    fn a_panic_of_a_thread_of_the_store_is_a_failure_of_the_store() {
        let dir = tempfile::tempdir().unwrap();
        let options = Options::new(&dir.path().join("data"));
        let key = RootKey::from_hex(&"0123456789abcdef".repeat(4)).unwrap();
        let store = Store::open(options, &key, Clock::system()).unwrap();
        let end = thread(&store.0.shared, "store-writer", || panic!("a bug")).unwrap();
        end.join().unwrap();
        let why = store.fatal().borrow().clone();
        assert!(why.is_some_and(|why| why.contains("store-writer")));
    }
}
