//! The one thread that writes. It takes what waits, puts it into one write batch, syncs it once,
//! and only then answers everyone.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use rocksdb::WriteBatch;
use tokio::sync::{mpsc, oneshot};

use super::aside;
use super::command::Command;
use super::dedup::Generation;
use super::group::{GroupBounds, GroupSize};
use super::layout::{Head, KEY_HEAD, KEY_OUTBOX, KEY_REGISTRY, META, OutboxRow, RegistryRow};
use super::outbox::Notary;
use super::pending::{Pending, Refusal};
use super::reader::Damage;
use super::rocks::{is_no_space, write_options};
use super::shared::Shared;
use super::step;
use super::sums::Sums;
use crate::model::{CommitNumber, UnixMillis};
use crate::observe::{Metric, Seldom, trace};

/// It is found again with every group.
static FULL: Seldom = Seldom::new();

/// The writer and what only it knows.
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) receiver: mpsc::Receiver<Command>,
    /// What is on disk.
    pub(super) head: Head,
    pub(super) registry: RegistryRow,
    pub(super) outbox: OutboxRow,
    /// What came in and the ledger was not told of.
    pub(super) sums: Sums,
    /// The families of deduplication rows, oldest first.
    pub(super) generations: Vec<Generation>,
}

/// What a group of commands asks for besides its writes.
#[derive(Default)]
struct Asides {
    maintain: Vec<Option<oneshot::Sender<()>>>,
    close: Option<oneshot::Sender<()>>,
}

impl Writer {
    /// Runs until it is closed or nobody can send any more. What was sent before is finished.
    pub(super) fn run(mut self) {
        let bounds = self.shared.options.group();
        let mut commands = Vec::new();
        let mut closing = None;
        while closing.is_none() {
            let Some(first) = self.receiver.blocking_recv() else { break };
            let size = self.gather(first, bounds, &mut commands);
            let asides = self.commit(&mut commands, size);
            for reply in asides.maintain {
                self.maintain();
                if let Some(reply) = reply {
                    let _waits_no_more = reply.send(());
                }
            }
            closing = asides.close;
        }
        self.receiver.close();
        if !self.shared.has_failed() {
            self.shared.testify();
        }
        // The database may be opened again once this is answered: nothing of it is held any more.
        drop(self);
        if let Some(reply) = closing {
            let _waits_no_more = reply.send(());
        }
    }

    /// Takes the commands of one group: what waits, up to the bounds. It never waits for more.
    fn gather(&mut self, first: Command, bounds: GroupBounds, commands: &mut Vec<Command>) -> GroupSize {
        let mut size = GroupSize::default();
        let mut next = Some(first);
        while let Some(command) = next {
            let (bytes, rows) = command.size();
            size.add(bytes, rows);
            let last = matches!(command, Command::Close(_));
            commands.push(command);
            next = if last || size.is_closed(bounds) { None } else { self.receiver.try_recv().ok() };
        }
        size
    }

    /// Writes one group and answers it.
    fn commit(&mut self, commands: &mut Vec<Command>, size: GroupSize) -> Asides {
        // After the last command of the group was taken: nothing in it happened later.
        let now = self.shared.clock.now();
        let mut asides = Asides::default();
        if !self.shared.has_failed() {
            self.roll_if_due(now);
        }
        let room = if self.shared.has_failed() { 0 } else { self.room(size.bytes, now) };
        let mut pending = Pending::new(self, size, room, now);
        let db = &self.shared.db;
        for command in commands.drain(..) {
            match command {
                Command::Append { append, reply, .. } => pending.append(self, append, reply),
                Command::Meta { ops, durable, reply } => pending.meta(db, ops, durable, reply),
                Command::Set { changes, reply } => pending.set(self, &changes, reply),
                Command::Amend { amendments, ops, reply, .. } => {
                    pending.amend(&self.shared, amendments, ops, reply);
                }
                Command::Fence { customer, rows, reply } => pending.fence(db, customer, rows, reply),
                Command::Destroy { key, rows, reply } => pending.destroy(db, key, rows, reply),
                Command::Count { collected, reply } => pending.count_only(&self.sums, collected, reply),
                Command::Tell { upto, reply } => pending.tell(&self.sums, upto, reply),
                Command::Last { entries, reply } => pending.last(db, &entries, reply),
                Command::Forget { upto, reply } => pending.forget(db, upto, reply),
                Command::Mark(reply) => {
                    (pending.sync, pending.marked) = (true, true);
                    pending.wait(reply, ());
                }
                Command::SetAside(damage) => self.set_aside(&mut pending, &damage, now),
                Command::Maintain(reply) => asides.maintain.push(reply),
                Command::Close(reply) => asides.close = Some(reply),
            }
        }
        self.write(pending);
        asides
    }

    /// Puts what is pending on disk and answers.
    fn write(&mut self, mut pending: Pending) {
        if self.shared.has_failed() {
            return pending.refuse(Refusal::Failed);
        }
        let (db, notary) = (&self.shared.db, self.shared.options.notary.as_ref());
        pending.sum_up(&self.sums, db, notary, self.shared.clock.now());
        if pending.batch.is_empty() && !pending.marked && pending.outbox == self.outbox {
            return pending.answer();
        }
        pending.resize(&self.shared);
        if let Some(meta) = self.shared.db.cf_handle(META) {
            if pending.sync {
                pending.head.writes += 1;
                pending.batch.put_cf(&meta, KEY_HEAD, pending.head.encode());
            }
            if pending.revisions.row != self.registry {
                pending.batch.put_cf(&meta, KEY_REGISTRY, pending.revisions.row.encode());
            }
            if pending.outbox != self.outbox {
                pending.batch.put_cf(&meta, KEY_OUTBOX, pending.outbox.encode());
            }
        }
        let batch = std::mem::take(&mut pending.batch);
        step::reached("write");
        let _commit = trace::group_commit(pending.records, pending.events, pending.bytes).entered();
        let begun = Instant::now();
        match self.shared.db.write_opt(batch, &write_options(pending.sync)) {
            Ok(()) => {}
            Err(error) if is_no_space(&error) => {
                if let Some(unsaid) = FULL.due() {
                    tracing::warn!(%error, unsaid, "the disk is full; nothing of this group is stored");
                }
                return pending.refuse(Refusal::Full);
            }
            Err(error) => {
                self.shared.fail(&format!("cannot write to the database: {error}"));
                return pending.refuse(Refusal::Failed);
            }
        }
        step::reached("written");
        if pending.sync {
            Metric::SyncSeconds.record(&[], begun.elapsed().as_secs_f64());
        }
        self.publish(pending);
    }

    /// Makes what is on disk now known: to readers, to the witness, to caches, and last to who waits.
    fn publish(&mut self, mut pending: Pending) {
        let shared = &self.shared;
        shared.key_purges.note(pending.gone);
        if pending.records > 0 || !pending.changes.is_empty() {
            let mut catalogue = shared.catalogue_mut();
            if let Some(active) = catalogue.segments.last_mut() {
                active.content = pending.content;
            }
            for closed in &pending.changes.closed {
                let mut live = catalogue.segments.iter_mut();
                if let Some(segment) = live.find(|segment| segment.number == closed.number) {
                    segment.content = closed.content;
                }
            }
        }
        if pending.records > 0 {
            Metric::GroupRecords.record(&[], f64::from(u32::try_from(pending.records).unwrap_or(u32::MAX)));
            Metric::GroupBytes.record_count(&[], pending.bytes);
            Metric::StoredBytes.add(&[], pending.bytes);
            Metric::RecordsStored.add(&[], pending.records);
            Metric::EventsStored.add(&[], pending.events);
        }
        self.head = pending.head;
        self.registry = pending.revisions.row;
        if self.outbox != pending.outbox {
            self.outbox = pending.outbox;
            shared.outbox_first.store(self.outbox.first, Ordering::Release);
            shared.outbox.send_replace(self.outbox.next - 1);
        }
        self.sums.apply(std::mem::take(&mut pending.sums));
        if let Some(newest) = self.generations.last_mut() {
            newest.bytes += pending.dedup_bytes;
        }
        shared.customers.store(self.registry.customers, Ordering::Release);
        pending.revisions.touched.iter().chain(&pending.restamped).for_each(|key| shared.restamp(*key));
        if !pending.changes.healed.is_empty() {
            shared.aside().retain(|commit| !pending.changes.healed.contains(commit));
        }
        for (commit, fault) in &pending.aside {
            shared.aside().insert(*commit);
            shared.damaged.fetch_add(1, Ordering::AcqRel);
            Metric::DamagedRecords.add(&[], 1);
            tracing::error!(commit, %fault, "a stored record is damaged; it is set aside");
        }
        if pending.sync {
            shared.acknowledge(self.head);
            if shared.options.witness_lag.is_zero() && !shared.testify() {
                return pending.refuse(Refusal::Failed);
            }
        }
        if pending.records > 0 {
            shared.head.send_replace(CommitNumber(self.head.commit));
        }
        pending.answer();
    }

    /// Whether what comes in is summed up for the ledger.
    pub(super) fn keeps_sums(&self) -> bool {
        self.shared.options.notary.as_ref().is_some_and(Notary::keeps_sums)
    }

    /// Copies a damaged record, unless that was done before.
    fn set_aside(&self, pending: &mut Pending, damage: &Damage, now: UnixMillis) {
        let known = self.shared.aside();
        let fits = known.len() + pending.aside.len() < aside::REMEMBERED;
        let here = pending.aside.iter().any(|(commit, _)| *commit == damage.commit);
        if fits
            && !here
            && !known.contains(&damage.commit)
            && aside::put(&self.shared.db, &mut pending.batch, damage, now)
        {
            pending.aside.push((damage.commit, damage.fault));
        }
    }

    /// An empty batch, large enough for a group.
    pub(super) fn batch(size: GroupSize) -> WriteBatch {
        let bytes = usize::try_from(size.bytes).unwrap_or(0);
        WriteBatch::with_capacity_bytes(
            bytes.saturating_add(size.records.saturating_mul(128)).saturating_add(256),
        )
    }
}
