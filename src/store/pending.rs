//! One group on its way to the disk: its write batch, what will be true after it, and who waits.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use rocksdb::WriteBatch;

use super::amend::Changes;
use super::catalogue::Content;
use super::command::{Append, AppendReply, Appended, FenceRows, Fenced, MetaOp, MetaReply, Reply, SetReply};
use super::customers::Basis;
use super::dedup::{Remembered, recall};
use super::fault::{AppendError, RecordFault, StoreError};
use super::gone_keys::GoneKeys;
use super::group::GroupSize;
use super::layout::{Head, META, OutboxRow, segment_family};
use super::registry::{NewChange, Revisions};
use super::retention::retry_after;
use super::rocks::Db;
use super::salts::{self, KeyOp};
use super::sums::SumChanges;
use super::writer::Writer;
use crate::model::{Change, CommitNumber, CustomerKey, UnixMillis};
use crate::observe::Seldom;

/// It can be so of every batch.
static NO_RECALL: Seldom = Seldom::new();

/// When to come back after the disk was found full: RocksDB resumes about five seconds after space
/// was freed.
const AFTER_FULL: Duration = Duration::from_secs(5);

/// Who waits for what.
enum Waiter {
    Append(AppendReply, Result<Appended, AppendError>),
    Other(Box<dyn FnOnce(Option<Refusal>)>),
}

/// Why a whole group is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The disk is full.
    Full,
    /// The store has failed.
    Failed,
}

impl From<Refusal> for StoreError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Full => Self::Full,
            Refusal::Failed => Self::Failed,
        }
    }
}

/// The group.
pub(super) struct Pending {
    pub(super) batch: WriteBatch,
    /// Whether anybody needs it synced.
    pub(super) sync: bool,
    /// Whether it is written even if nothing is in it.
    pub(super) marked: bool,
    /// The head after it.
    pub(super) head: Head,
    /// The active segment after it.
    pub(super) content: Content,
    pub(super) revisions: Revisions,
    pub(super) outbox: OutboxRow,
    pub(super) changes: Changes,
    /// What it does to the sums of what came in.
    pub(super) sums: SumChanges,
    /// Customers whose caches take notice although their participation is the same.
    pub(super) restamped: HashSet<CustomerKey>,
    /// Keys that are destroyed by it.
    pub(super) gone: GoneKeys,
    pub(super) records: u64,
    pub(super) events: u64,
    /// Bytes of these records.
    pub(super) bytes: u64,
    pub(super) dedup_bytes: u64,
    /// Damaged records that are copied by it.
    pub(super) aside: Vec<(u64, RecordFault)>,
    /// The names of the families that are written to.
    segment: String,
    generation: String,
    /// Batches of this group by their id.
    seen: HashMap<[u8; 16], Remembered>,
    waiters: Vec<Waiter>,
    /// Bytes of records that may still be taken in.
    room: u64,
    full: AppendError,
    now: UnixMillis,
}

impl Pending {
    pub(super) fn new(writer: &Writer, size: GroupSize, room: u64, now: UnixMillis) -> Self {
        let catalogue = writer.shared.catalogue();
        let active = catalogue.active();
        let content = active.map_or_else(
            || Content {
                last: writer.head.commit,
                chain: writer.head.chain,
                oldest: now,
                newest: now,
                records: 0,
                bytes: 0,
            },
            |segment| segment.content,
        );
        let spent = catalogue.bytes().saturating_add(size.bytes) > writer.shared.options.retention_bytes;
        let full = if spent {
            let terms = writer.terms(now);
            AppendError::Full { retry_after: retry_after(catalogue.closed().first(), &terms) }
        } else {
            AppendError::Full { retry_after: AFTER_FULL }
        };
        Self {
            batch: Writer::batch(size),
            sync: false,
            marked: false,
            head: writer.head,
            content,
            revisions: Revisions::new(writer.registry),
            outbox: writer.outbox,
            changes: Changes::default(),
            sums: SumChanges::default(),
            restamped: HashSet::new(),
            gone: GoneKeys::default(),
            records: 0,
            events: 0,
            bytes: 0,
            dedup_bytes: 0,
            aside: Vec::new(),
            segment: active.map(|segment| segment_family(segment.number)).unwrap_or_default(),
            generation: writer.generations.last().map(|newest| newest.family.clone()).unwrap_or_default(),
            seen: HashMap::new(),
            waiters: Vec::with_capacity(size.records),
            room,
            full,
            now,
        }
    }

    /// Takes in a batch, or finds that it was stored before.
    pub(super) fn append(&mut self, writer: &Writer, append: Append, reply: AppendReply) {
        let outcome = self.place(writer, append);
        self.waiters.push(Waiter::Append(reply, outcome));
    }

    fn place(&mut self, writer: &Writer, append: Append) -> Result<Appended, AppendError> {
        let Append { records, dedup, receipt, basis, collected } = append;
        let before = match self.seen.get(&dedup.id) {
            Some(seen) => Some(seen.clone()),
            None => recall(&writer.shared.db, &writer.generations, &dedup.id).map_err(|error| {
                // Better one batch refused than one stored twice.
                if let Some(unsaid) = NO_RECALL.due() {
                    tracing::error!(
                        %error,
                        unsaid,
                        "cannot tell whether a batch is stored already; it is refused"
                    );
                }
                AppendError::Failed
            })?,
        };
        if let Some(Remembered { digest, last, receipt }) = before {
            return Ok(if digest == dedup.digest {
                Appended::Duplicate { last, receipt }
            } else {
                Appended::Conflict
            });
        }
        if basis.is_some_and(|basis| self.is_stale(writer, basis)) {
            return Err(AppendError::Stale);
        }
        let counts = writer.keeps_sums();
        if counts && !self.has_room_for(&writer.sums, &collected) {
            return Err(AppendError::Busy { retry_after: AFTER_FULL });
        }
        let families =
            (writer.shared.db.cf_handle(&self.segment), writer.shared.db.cf_handle(&self.generation));
        let (Some(segment), Some(generation)) = families else { return Err(AppendError::Failed) };
        let bytes: usize = records.iter().map(super::record::SealedRecord::stored_len).sum();
        self.room = self.room.checked_sub(super::bytes::count(bytes)).ok_or(self.full)?;
        for record in records {
            let (received, events) = (record.received(), record.events());
            let commit = self.head.commit + 1;
            let (bytes, chain) = record.bind(commit, self.head.chain);
            self.batch.put_cf(&segment, commit.to_be_bytes(), &bytes);
            self.head.commit = commit;
            self.head.chain = chain;
            self.content.add(commit, chain, received, super::bytes::length(&bytes));
            self.bytes += super::bytes::length(&bytes);
            self.records += 1;
            self.events += u64::from(events);
        }
        if counts {
            self.count(&writer.sums, collected);
        }
        let last = CommitNumber(self.head.commit);
        let remembered = Remembered { digest: dedup.digest, last, receipt };
        self.batch.put_cf(&generation, dedup.id, remembered.encode());
        self.dedup_bytes += remembered.bytes();
        self.seen.insert(dedup.id, remembered);
        self.sync = true;
        Ok(Appended::Stored { last })
    }

    /// Whether anything that a batch is decided by was changed since: in a group before this one, which is on disk and
    /// may be answered, or earlier in this one. What was erased and the keys count as well as the participation: what
    /// is stored behind the fence of an erasure is never looked at again. Some customers share a stamp; a change of
    /// another one then costs one decision more.
    fn is_stale(&self, writer: &Writer, basis: Basis) -> bool {
        self.revisions.touched.contains(&basis.key)
            || self.restamped.contains(&basis.key)
            || writer.shared.stamp(basis.key) != basis.stamp
    }

    /// Takes in changes of metadata.
    pub(super) fn meta(&mut self, db: &Db, ops: Vec<MetaOp>, durable: bool, reply: MetaReply) {
        match self.put_rows(db, ops) {
            Ok(()) => {
                self.sync |= durable;
                self.wait(reply, ());
            }
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    /// Writes rows of metadata, or none of them.
    pub(super) fn put_rows(&mut self, db: &Db, ops: Vec<MetaOp>) -> Result<(), StoreError> {
        self.check_outbox(ops.iter().filter(|op| op.enters()).count())?;
        // What has to be read is read before the first change is taken in.
        let applies: Vec<bool> = ops.iter().map(|op| self.applies(db, op)).collect::<Result<_, _>>()?;
        let meta = db.cf_handle(META).ok_or(StoreError::Damaged { what: "the metadata family" })?;
        for (op, _) in ops.into_iter().zip(applies).filter(|(_, applies)| *applies) {
            match op {
                MetaOp::Put { table, key, value } => self.batch.put_cf(&meta, table.key(&key), value),
                MetaOp::LedgerWith { entry, table, key, value, at } => {
                    self.batch.put_cf(&meta, table.key(&key), with_number(value, at, self.outbox.next));
                    self.enter(db, &entry);
                }
                MetaOp::Delete { table, key } => self.batch.delete_cf(&meta, table.key(&key)),
                MetaOp::DeleteAll { table, prefix } => {
                    let (from, until) = table.prefixed(&prefix);
                    self.batch.delete_range_cf(&meta, from, until);
                }
                MetaOp::Ledger(entry) => self.enter(db, &entry),
                MetaOp::Touch(customer) => drop(self.restamped.insert(customer)),
                MetaOp::Key(op) => self.key(db, &op),
                MetaOp::Root(rewrapped) => {
                    self.gone.data_root = true;
                    rewrapped.rows().into_iter().for_each(|(key, row)| self.batch.put_cf(&meta, key, row));
                }
            }
        }
        Ok(())
    }

    fn applies(&self, db: &Db, op: &MetaOp) -> Result<bool, StoreError> {
        match op {
            MetaOp::Key(op) => Ok(!self.revisions.is_destroyed(op.customer()) && salts::applies(db, op)?),
            MetaOp::Put { .. }
            | MetaOp::Delete { .. }
            | MetaOp::DeleteAll { .. }
            | MetaOp::Ledger(_)
            | MetaOp::LedgerWith { .. }
            | MetaOp::Touch(_)
            | MetaOp::Root(_) => Ok(true),
        }
    }

    /// Changes the keys of a customer. Whoever holds them reads them anew; a batch of this group that was decided
    /// with the old ones is decided again.
    fn key(&mut self, db: &Db, op: &KeyOp) {
        self.gone.epochs |= matches!(op, KeyOp::Ratchet { .. } | KeyOp::EraseBridge { .. });
        if let KeyOp::Ratchet { customer, .. } | KeyOp::Reach { customer, .. } = op {
            self.restamped.insert(*customer);
        }
        salts::apply(db, &mut self.batch, op);
    }

    /// Takes in changes of participations. If one cannot be read, those before it in the command are made all
    /// the same, and the caller is told that the command failed.
    pub(super) fn set(&mut self, writer: &Writer, changes: &[NewChange], reply: SetReply) {
        let (db, notary) = (&writer.shared.db, writer.shared.options.notary.as_ref());
        if let Err(error) = self.check_outbox(notary.map_or(0, |_| changes.len())) {
            return drop(reply.send(Err(error)));
        }
        let mut outcomes = Vec::with_capacity(changes.len());
        self.sync = true;
        let epoch = writer.shared.first_epoch(self.now);
        for change in changes {
            let outcome = self.revisions.apply(db, &mut self.batch, change, (self.now, epoch));
            self.certify(db, notary);
            match outcome {
                Ok(outcome) => outcomes.push(outcome),
                Err(error) => return drop(reply.send(Err(error))),
            }
        }
        self.wait(reply, outcomes);
    }

    /// Where a fence stands that is taken in now. The time was read when everything in this group had been handed over:
    /// what is before the fence did not happen after it, and what is decided again because of it is judged by it.
    const fn fenced(&self) -> Fenced {
        Fenced { upto: CommitNumber(self.head.commit), at: self.now, newest: self.content.newest }
    }

    /// Writes the rows of a fence.
    pub(super) fn fence(&mut self, db: &Db, customer: CustomerKey, rows: FenceRows, reply: Reply<Fenced>) {
        let fenced = self.fenced();
        let begun = rows.of(fenced).and_then(|ops| self.put_rows(db, ops));
        if begun.is_ok() {
            self.restamped.insert(customer);
        }
        self.begun(begun.map(|()| fenced), reply);
    }

    /// Takes every row of a customer away, and writes the rows of a fence with that.
    pub(super) fn destroy(
        &mut self,
        db: &Db,
        key: CustomerKey,
        rows: FenceRows,
        reply: Reply<(Option<Change>, Fenced)>,
    ) {
        let fenced = self.fenced();
        // Whatever can fail comes before the first row.
        let begun = rows.of(fenced).and_then(|ops| {
            self.check_outbox(ops.iter().filter(|op| op.enters()).count())?;
            let change = self.revisions.destroy(db, &mut self.batch, key)?;
            self.put_rows(db, ops)?;
            Ok((change, fenced))
        });
        self.begun(begun, reply);
    }

    /// What was begun is told once it is on disk; what could not be, at once.
    fn begun<T: 'static>(&mut self, begun: Result<T, StoreError>, reply: Reply<T>) {
        match begun {
            Ok(outcome) => {
                self.sync = true;
                self.wait(reply, outcome);
            }
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    /// Has `outcome` told once the group is on disk.
    pub(super) fn wait<T: 'static>(&mut self, reply: Reply<T>, outcome: T) {
        self.waiters.push(Waiter::Other(Box::new(move |refusal| {
            let _waits_no_more = reply.send(refusal.map_or(Ok(outcome), |refusal| Err(refusal.into())));
        })));
    }

    /// Tells everyone what became of it. Who does not wait any more is not told.
    pub(super) fn answer(self) {
        for waiter in self.waiters {
            match waiter {
                Waiter::Append(reply, outcome) => drop(reply.send(outcome)),
                Waiter::Other(tell) => tell(None),
            }
        }
    }

    /// Tells everyone that nothing of it was written, or that it is not known.
    pub(super) fn refuse(self, refusal: Refusal) {
        let append = match refusal {
            Refusal::Full => AppendError::Full { retry_after: AFTER_FULL },
            Refusal::Failed => AppendError::Failed,
        };
        for waiter in self.waiters {
            match waiter {
                Waiter::Append(reply, _) => drop(reply.send(Err(append))),
                Waiter::Other(tell) => tell(Some(refusal)),
            }
        }
    }
}

/// A row with a number at a place of it.
fn with_number(mut row: Vec<u8>, at: usize, number: u64) -> Vec<u8> {
    let number = number.to_be_bytes();
    if let Some(place) = row.get_mut(at..at.saturating_add(number.len())) {
        place.copy_from_slice(&number);
    }
    row
}
