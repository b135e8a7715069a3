//! The outbox: entries for the ledger, written together with what they tell of, numbered without a gap, and kept
//! until they are in the ledger's own file.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::watch;

use super::Store;
use super::bytes::count;
use super::collected::{Collected, CollectedKey};
use super::command::{Command, MetaReply};
use super::fault::StoreError;
use super::layout::{META, OutboxRow, open_row, outbox_key, row};
use super::pending::Pending;
use super::rocks::{Db, between};
use crate::model::{Change, CustomerKey, UnixMillis};

/// Entries that may wait. Beyond it, what would add one is refused: nothing happens that is not told.
const WAITING: u64 = 100_000;
/// Entries beyond these that only what a process tells at its end may add: it is nowhere else, and the process cannot wait.
const AT_THE_END: u64 = 1_024;
/// Entries that one write forgets.
const FORGET: u64 = 8_192;

type Entry = dyn Fn(Option<&Change>, &Change, CustomerKey) -> Vec<u8> + Send + Sync;

type Summary = dyn Fn(&CollectedKey, (UnixMillis, UnixMillis), &Collected) -> Vec<u8> + Send + Sync;

/// Makes entries of the ledger. For a change of a participation: from what was chosen before, if anything, what is
/// chosen now, and the customer's key. For a sum of what came in: from what it is of, the time of the first and the last
/// that it counts, and what it counts.
#[derive(Clone)]
pub struct Notary {
    changed: Arc<Entry>,
    collected: Option<Arc<Summary>>,
}

impl Notary {
    /// Runs in the writer's thread: it must be quick, and must not panic.
    #[must_use]
    pub fn new(
        entry: impl Fn(Option<&Change>, &Change, CustomerKey) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        Self { changed: Arc::new(entry), collected: None }
    }

    /// Has sums of what came in kept and told as well. Runs in the writer's thread, as the other.
    #[must_use]
    pub fn with_collected(
        self,
        entry: impl Fn(&CollectedKey, (UnixMillis, UnixMillis), &Collected) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        Self { collected: Some(Arc::new(entry)), ..self }
    }

    /// Whether sums of what came in are kept.
    pub(super) const fn keeps_sums(&self) -> bool {
        self.collected.is_some()
    }

    pub(super) fn collected(
        &self,
        key: &CollectedKey,
        period: (UnixMillis, UnixMillis),
        collected: &Collected,
    ) -> Option<Vec<u8>> {
        self.collected.as_ref().map(|entry| entry(key, period, collected))
    }
}

impl std::fmt::Debug for Notary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Notary(..)")
    }
}

const DAMAGED: StoreError = StoreError::Damaged { what: "the outbox of the ledger" };

impl Store {
    /// The oldest entries that wait, with their numbers, at most `limit`. All of them are on disk.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn outbox(&self, limit: usize) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        let shared = self.shared();
        let meta = shared.db.cf_handle(META).ok_or(DAMAGED)?;
        let first = shared.outbox_first.load(Ordering::Acquire);
        // Before the first there are only marks of what was deleted: they are not looked at.
        let bounds = between(outbox_key(first).to_vec(), outbox_key(u64::MAX).to_vec());
        let mut rows = shared.db.raw_iterator_cf_opt(&meta, bounds);
        rows.seek_to_first();
        let mut found = Vec::new();
        while let Some((key, value)) = rows.item().filter(|_| found.len() < limit) {
            let number = key.get(1..).and_then(|number| number.try_into().ok()).map(u64::from_be_bytes);
            let entry = open_row(value).ok_or(DAMAGED)?;
            found.push((number.ok_or(DAMAGED)?, entry.0.to_vec()));
            rows.next();
        }
        rows.status().map_err(StoreError::database("read the outbox of the ledger"))?;
        Ok(found)
    }

    /// Tells the number of the newest entry; 0 before the first.
    #[must_use]
    pub fn watch_outbox(&self) -> watch::Receiver<u64> {
        self.shared().outbox.subscribe()
    }

    /// Puts the last entries of a process into the outbox, all of them or none, on disk when it answers. There is room for
    /// about a thousand that nothing else can take.
    ///
    /// # Errors
    /// If the store cannot be written, or processes before this one have used that room up.
    pub async fn tell_last(&self, entries: Vec<Vec<u8>>) -> Result<(), StoreError> {
        self.ask(|reply| Command::Last { entries, reply }).await?
    }

    /// Forgets the entries up to `upto`: they are in the ledger. If the ledger has more than was ever written
    /// here (the store came back with less than it had), numbers go on behind those.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub async fn forget_outbox(&self, upto: u64) -> Result<(), StoreError> {
        loop {
            self.ask(|reply| Command::Forget { upto, reply }).await??;
            if self.shared().outbox_first.load(Ordering::Acquire) > upto {
                return Ok(());
            }
        }
    }
}

impl Pending {
    /// Refuses what would add more entries than may wait.
    pub(super) fn check_outbox(&self, entries: usize) -> Result<(), StoreError> {
        self.check_room(entries, WAITING)
    }

    fn check_room(&self, entries: usize, most: u64) -> Result<(), StoreError> {
        let waiting = (self.outbox.next - self.outbox.first).saturating_add(count(entries));
        if entries > 0 && waiting > most { Err(StoreError::Busy) } else { Ok(()) }
    }

    /// Enters what a process tells at its end.
    pub(super) fn last(&mut self, db: &Db, entries: &[Vec<u8>], reply: MetaReply) {
        match self.check_room(entries.len(), WAITING + AT_THE_END) {
            Ok(()) => {
                for entry in entries {
                    self.enter(db, entry);
                }
                self.wait(reply, ());
            }
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    /// Puts an entry behind the others.
    pub(super) fn enter(&mut self, db: &Db, entry: &[u8]) {
        if let Some(meta) = db.cf_handle(META) {
            self.batch.put_cf(&meta, outbox_key(self.outbox.next), row(|out| out.extend_from_slice(entry)));
            self.outbox.next += 1;
            // A number is not given twice, not even after a power cut: the ledger goes by it.
            self.sync = true;
        }
    }

    /// Enters what the notary says of the changes since the last call.
    pub(super) fn certify(&mut self, db: &Db, notary: Option<&Notary>) {
        for (before, after, key) in std::mem::take(&mut self.revisions.news) {
            if let Some(Notary { changed: entry, .. }) = notary {
                self.enter(db, &entry(before.as_ref(), &after, key));
            }
        }
    }

    /// Takes entries away that are in the ledger.
    pub(super) fn forget(&mut self, db: &Db, upto: u64, reply: MetaReply) {
        let OutboxRow { next, first } = self.outbox;
        let behind = upto.saturating_add(1).min(first.saturating_add(FORGET));
        if let Some(meta) = db.cf_handle(META).filter(|_| behind > first) {
            for number in first..behind.min(next) {
                self.batch.delete_cf(&meta, outbox_key(number));
            }
            // With nothing left to take away, the rest of the way is one step.
            let first = if behind >= next { upto.saturating_add(1) } else { behind };
            self.outbox = OutboxRow { next: next.max(first), first };
            self.sync = true;
        }
        self.wait(reply, ());
    }
}
