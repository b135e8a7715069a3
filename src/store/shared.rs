//! What the writer thread, the witness thread and readers share.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::catalogue::Catalogue;
use super::directory::Directory;
use super::forecast::Forecast;
use super::gone_keys::KeyPurges;
use super::layout::{Head, OutboxRow};
use super::loss::AcceptedLoss;
use super::options::Options;
use super::rocks::{Db, Setup};
use super::witness::Witness;
use super::written::WRITTEN;
use crate::model::{CommitNumber, CustomerKey, UnixMillis};
use crate::observe::Clock;
use crate::sanitize::{DataRoot, Ratchet, Rotation};

/// Customers share stamps by their key modulo this: a change of one reloads 1 / 65,536 of the cache, and has as much of
/// what is on its way decided again. Half a MiB.
const STAMPS: usize = 65_536;

/// The state of an open store. The database is named first, so that it is closed before the
/// directory is let go.
pub(super) struct Shared {
    pub(super) db: Db,
    pub(super) setup: Setup,
    pub(super) directory: Directory,
    pub(super) options: Options,
    pub(super) clock: Clock,
    pub(super) data_root: DataRoot,
    pub(super) rotation: Rotation,
    pub(super) witness: Mutex<Witness>,
    pub(super) head: watch::Sender<CommitNumber>,
    pub(super) oldest: watch::Sender<CommitNumber>,
    /// Why the store failed, once it has.
    pub(super) fatal: watch::Sender<Option<Arc<str>>>,
    pub(super) customers: AtomicU64,
    /// The newest entry of the outbox.
    pub(super) outbox: watch::Sender<u64>,
    /// The oldest entry that was not forgotten.
    pub(super) outbox_first: AtomicU64,
    /// What was missing when the store was opened, and was accepted.
    pub(super) accepted: Option<AcceptedLoss>,
    /// Held while files are copied, until the copy is without personal rows, or purged: the one would keep what the
    /// other takes away.
    pub(super) files: Mutex<()>,
    /// What of destroyed keys files may still hold.
    pub(super) key_purges: KeyPurges,
    /// Records set aside, ever.
    pub(super) damaged: AtomicU64,
    /// Bytes on disk when they were last counted.
    pub(super) disk_bytes: AtomicU64,
    /// Every subscription is past what is below this commit.
    pub(super) released: AtomicU64,
    /// How the disk grew.
    pub(super) forecast: Mutex<Forecast>,
    catalogue: RwLock<Catalogue>,
    /// What is on disk, and since when the witness has not said so.
    acknowledged: Mutex<(Head, Option<Instant>)>,
    aside: Mutex<BTreeSet<u64>>,
    stamps: Box<[AtomicU64]>,
}

/// What [`Shared::new`] is made from.
pub(super) struct Parts {
    pub(super) db: Db,
    pub(super) setup: Setup,
    pub(super) directory: Directory,
    pub(super) options: Options,
    pub(super) clock: Clock,
    pub(super) data_root: DataRoot,
    pub(super) rotation: Rotation,
    pub(super) witness: Witness,
    pub(super) catalogue: Catalogue,
    pub(super) head: Head,
    pub(super) customers: u64,
    pub(super) outbox: OutboxRow,
    pub(super) aside: BTreeSet<u64>,
    pub(super) accepted: Option<AcceptedLoss>,
}

impl Shared {
    pub(super) fn new(parts: Parts) -> Self {
        let disk_bytes = AtomicU64::new(parts.directory.bytes());
        Self {
            db: parts.db,
            setup: parts.setup,
            directory: parts.directory,
            options: parts.options,
            clock: parts.clock,
            data_root: parts.data_root,
            rotation: parts.rotation,
            witness: Mutex::new(parts.witness),
            head: watch::Sender::new(CommitNumber(parts.head.commit)),
            oldest: watch::Sender::new(CommitNumber(parts.catalogue.oldest())),
            fatal: watch::Sender::new(None),
            customers: AtomicU64::new(parts.customers),
            outbox: watch::Sender::new(parts.outbox.next - 1),
            outbox_first: AtomicU64::new(parts.outbox.first),
            accepted: parts.accepted,
            files: Mutex::new(()),
            key_purges: KeyPurges::at_open(),
            damaged: AtomicU64::new(super::bytes::count(parts.aside.len())),
            disk_bytes,
            released: AtomicU64::new(0),
            forecast: Mutex::default(),
            catalogue: RwLock::new(parts.catalogue),
            acknowledged: Mutex::new((parts.head, None)),
            aside: Mutex::new(parts.aside),
            stamps: std::iter::repeat_with(AtomicU64::default).take(STAMPS).collect(),
        }
    }

    pub(super) fn catalogue(&self) -> RwLockReadGuard<'_, Catalogue> {
        self.catalogue.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn catalogue_mut(&self) -> RwLockWriteGuard<'_, Catalogue> {
        self.catalogue.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Commits that are known to be damaged.
    pub(super) fn aside(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.aside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of what is on disk now. The witness may say so from here on.
    pub(super) fn acknowledge(&self, head: Head) {
        let mut acknowledged = self.acknowledged();
        let since = acknowledged.1.unwrap_or_else(Instant::now);
        *acknowledged = (head, Some(since));
    }

    fn acknowledged(&self) -> MutexGuard<'_, (Head, Option<Instant>)> {
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For how long the witness has been behind what was acknowledged.
    pub(super) fn witness_lag(&self) -> Duration {
        self.acknowledged().1.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Brings the witness up to what was acknowledged. A failure is fatal: after a failed sync the
    /// kernel may have thrown the bytes away.
    pub(super) fn testify(&self) -> bool {
        // The witness is locked first: two threads testify, and the later one must not have read earlier.
        let mut witness = self.witness.lock().unwrap_or_else(PoisonError::into_inner);
        let (head, _) = *self.acknowledged();
        let asked = Instant::now();
        let written = witness.advance(head);
        drop(witness);
        if written.is_ok() {
            let mut acknowledged = self.acknowledged();
            // What was acknowledged meanwhile is behind since then at the earliest.
            acknowledged.1 = if acknowledged.0 == head { None } else { Some(asked) };
        }
        written.map_err(|error| self.fail(&format!("cannot write the witness file: {error}"))).is_ok()
    }

    /// The oldest rotation epoch whose keys are kept at `now`.
    pub(super) fn oldest_epoch(&self, now: UnixMillis) -> u32 {
        self.rotation.epoch(now).saturating_sub(self.options.past_epochs)
    }

    /// Where the ratchet of a customer stands that comes now: at the oldest epoch that is kept at the newest time that may
    /// be believed. What moved cannot be moved back, so a clock that is ahead for a while must not move it; one that
    /// stands further back only gives keys that nobody uses, and is moved on with the others. Where no clock may be
    /// believed yet, it is at least later than this program.
    pub(super) fn first_epoch(&self, now: UnixMillis) -> u32 {
        let settled = self.clock.settled(self.rotation.length());
        let believed = settled.unwrap_or(WRITTEN).min(now);
        // Further back there would be no keys of the present epoch.
        let reach = self.rotation.epoch(now).saturating_sub(Ratchet::STEPS / 2);
        self.oldest_epoch(believed).max(reach)
    }

    /// Marks the store as failed, for good. The daemon watches for it and ends.
    pub(super) fn fail(&self, why: &str) {
        tracing::error!(why, "the store has failed; the process must be restarted");
        self.fatal.send_if_modified(|present| {
            let first = present.is_none();
            if first {
                *present = Some(why.into());
            }
            first
        });
    }

    /// Whether it has failed.
    pub(super) fn has_failed(&self) -> bool {
        self.fatal.borrow().is_some()
    }

    /// Changes whenever one of the customers that share it changes.
    pub(super) fn stamp(&self, key: CustomerKey) -> u64 {
        self.stamp_of(key).map_or(0, |stamp| stamp.load(Ordering::Acquire))
    }

    /// Makes every cached entry of `key` stale.
    pub(super) fn restamp(&self, key: CustomerKey) {
        if let Some(stamp) = self.stamp_of(key) {
            stamp.fetch_add(1, Ordering::AcqRel);
        }
    }

    fn stamp_of(&self, key: CustomerKey) -> Option<&AtomicU64> {
        self.stamps.get(usize::try_from(key.0 % super::bytes::count(STAMPS)).ok()?)
    }
}
