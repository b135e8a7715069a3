//! Reading the queue, as `drain` does.

use std::sync::atomic::Ordering;

use tokio::sync::watch;

use super::Store;
use super::command::Command;
use super::fault::{RecordFault, StoreError};
use super::reader::{self, Damage, Entry, ReadLimits};
use super::stored::StoredRecord;
use crate::model::{CommitNumber, UnixMillis};

impl Store {
    /// The last commit; 0 before the first.
    #[must_use]
    pub fn head(&self) -> CommitNumber {
        *self.shared().head.borrow()
    }

    /// The first commit that is still there, or the next one if there is none.
    #[must_use]
    pub fn oldest(&self) -> CommitNumber {
        *self.shared().oldest.borrow()
    }

    /// How many commits from `from` on are known to be lost: it was accepted that they are missing, or they were
    /// passed over by a restore. Nothing is read for it.
    #[must_use]
    pub fn lost_from(&self, from: CommitNumber) -> u64 {
        self.shared().catalogue().lost_from(from.0)
    }

    /// Tells of every new head.
    #[must_use]
    pub fn watch_head(&self) -> watch::Receiver<CommitNumber> {
        self.shared().head.subscribe()
    }

    /// Tells of every drop of old segments.
    #[must_use]
    pub fn watch_oldest(&self) -> watch::Receiver<CommitNumber> {
        self.shared().oldest.subscribe()
    }

    /// Reads from `from` on, or from the oldest commit if that is later: in order, at least one entry if there
    /// is one. Blocks on the disk.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn read(&self, from: CommitNumber, limits: ReadLimits) -> Result<Vec<Entry>, StoreError> {
        let (entries, damages) = reader::read(self.shared(), from.0, limits)?;
        self.report(damages);
        Ok(entries)
    }

    /// Reads one commit; `None` if it is not, or no longer, in the queue.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn read_one(&self, commit: CommitNumber) -> Result<Option<Entry>, StoreError> {
        Ok(reader::read_one(self.shared(), commit.0)?.map(|(entry, damage)| {
            self.report(damage);
            entry
        }))
    }

    /// The first commit that was received at or after `time`, as far as records are in the order of their
    /// times; the one after the head if there is none.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn seek_time(&self, time: UnixMillis) -> Result<CommitNumber, StoreError> {
        reader::seek_time(self.shared(), time)
    }

    /// Sets a record aside that its checksum did not give away: one that does not open. From then on reads
    /// give [`Entry::Damaged`] in its place.
    pub fn set_aside(&self, record: &StoredRecord, fault: RecordFault) {
        self.report([record.damage(fault)]);
    }

    /// Has damage set aside by the writer. If too much waits there, the next read finds it again.
    fn report(&self, damages: impl IntoIterator<Item = Damage>) {
        let mut damages = damages.into_iter().peekable();
        if damages.peek().is_some()
            && let Some(sender) = self.sender()
        {
            damages.for_each(|damage| drop(sender.try_send(Command::SetAside(damage))));
        }
    }

    /// Every subscription is past what is below `commit`. What is released is dropped first when the disk
    /// budget is spent, also where it would otherwise refuse.
    pub fn release(&self, commit: CommitNumber) {
        self.shared().released.store(commit.0, Ordering::Release);
    }
}

impl StoredRecord {
    fn damage(&self, fault: RecordFault) -> Damage {
        Damage { commit: self.commit.0, fault, bytes: self.sealed().to_vec() }
    }
}
