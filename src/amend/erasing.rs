//! Carrying an erasure out, stage by stage. Each stage is done again from its beginning after a crash, or from the
//! last commit that was written down.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::due::{read, removal};
use super::erasure::{Erasure, Scope, Stage};
use super::sweep::{Piece, Sweep, Touched, purge};
use super::{AmendError, Shared, record};
use crate::ledger::ErasureStep;
use crate::model::{CommitNumber, CustomerKey, UnixMillis};
use crate::observe::Metric;
use crate::sanitize::{Erased, Scratch, Strike, Struck, StruckFrom, strike};
use crate::store::{
    Amendment, CustomerEntry, HeaderAt, MetaOp, MetaTable, Place, Scan, Scanned, SealedRecord, suppression_of,
};

use super::erase::{row, suppression};

/// How long the row of an erasure that is done is kept, for who asks, and for backups: a year.
const REMEMBERED_MS: i64 = 365 * 86_400_000;

/// What is looked for in records.
pub(super) enum Wanted {
    /// Everything.
    Everything,
    /// What a strike names, opened with the customer's keys.
    Some(Arc<CustomerEntry>, Strike),
}

/// What one record holds of it.
enum Found {
    Nothing,
    Part(Amendment, u32),
    All(Amendment, u32),
}

/// What a piece of work did.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    scanned: u64,
    removed: u64,
    rewritten: u64,
    events: u64,
}

impl Wanted {
    pub(super) fn new(
        erasure: &Erasure,
        erased: Option<&Erased>,
        entry: &Arc<CustomerEntry>,
    ) -> Result<Self, AmendError> {
        let Some(erased) = erased.filter(|_| erasure.scope != Scope::Customer) else {
            return Ok(Self::Everything);
        };
        let strike =
            erased.strike(&entry.secret).map_err(|_| AmendError::Damaged { what: "what was erased" })?;
        Ok(Self::Some(Arc::clone(entry), strike))
    }
}

impl Shared {
    /// The erasure that was asked for first, of those that are not done.
    pub(super) fn next_erasure(&self) -> Option<Erasure> {
        let erasures = self.erasures.lock().unwrap_or_else(PoisonError::into_inner);
        let open = erasures.values().filter(|erasure| erasure.stage != Stage::Done);
        open.min_by_key(|erasure| (erasure.requested, erasure.id)).cloned()
    }

    /// How many erasures are not done, and how long ago the first of them was asked for.
    pub(super) fn erasures_due(&self) -> (u64, Duration) {
        let (now, erasures) =
            (self.clock.now(), self.erasures.lock().unwrap_or_else(PoisonError::into_inner));
        let open = erasures.values().filter(|erasure| erasure.stage != Stage::Done);
        let (count, first) =
            open.fold((0, now), |(count, first), erasure| (count + 1, first.min(erasure.requested)));
        (count, Duration::from_millis(u64::try_from(now.ms_since(first)).unwrap_or(0)))
    }

    /// Forgets erasures that were done long ago, and what need not be withheld any more.
    pub(super) async fn forget_old(&self) -> Result<(), AmendError> {
        let now = self.clock.now();
        let old: Vec<Erasure> = {
            let erasures = self.erasures.lock().unwrap_or_else(PoisonError::into_inner);
            let is_old = |done: UnixMillis| now.ms_since(done) > REMEMBERED_MS;
            erasures.values().filter(|erasure| erasure.done.is_some_and(is_old)).cloned().collect()
        };
        let mut ops: Vec<MetaOp> = old
            .iter()
            .map(|erasure| MetaOp::Delete { table: MetaTable::Erasures, key: erasure.id.as_bytes().to_vec() })
            .collect();
        let rows = self.store.load_meta(MetaTable::Suppressions)?;
        // Late arrivals are withheld until then. For a year more the pseudonyms are kept, to erase the same from a backup.
        let is_over =
            |row: &[u8]| Erased::decode(row).is_some_and(|erased| now.ms_since(erased.until) > REMEMBERED_MS);
        let over = rows.into_iter().filter(|(_, row)| is_over(row));
        ops.extend(over.map(|(key, _)| MetaOp::Delete { table: MetaTable::Suppressions, key }));
        if !ops.is_empty() {
            self.store.write_meta(ops, true).await?;
        }
        let mut erasures = self.erasures.lock().unwrap_or_else(PoisonError::into_inner);
        for erasure in &old {
            erasures.remove(&erasure.id);
        }
        Ok(())
    }

    /// Takes an erasure to its end.
    pub(super) async fn go_on(self: &Arc<Self>, mut erasure: Erasure) -> Result<(), AmendError> {
        if erasure.upto == CommitNumber(0) {
            // It was fenced, and the collector ended before it could say up to where.
            erasure.upto = self.store.head();
            let erased = self.erased(&erasure)?;
            self.reach(&erasure, erased).await?;
        }
        if let Some(notice) = erasure.notice.take() {
            let told = self.drain.notify(erasure.customer, notice).await?;
            erasure.counts.notified = u32::try_from(told).unwrap_or(u32::MAX);
            self.keep(&erasure).await?;
        }
        if erasure.stage == Stage::Fenced {
            self.rewrite(&mut erasure).await?;
        }
        if erasure.stage == Stage::Purging {
            self.purge_all(&mut erasure).await?;
        }
        if erasure.stage == Stage::Verifying {
            self.verify(&mut erasure).await?;
        }
        Ok(())
    }

    /// What an erasure looks for, from its row.
    fn wanted(&self, erasure: &Erasure) -> Result<Wanted, AmendError> {
        if erasure.scope == Scope::Customer {
            return Ok(Wanted::Everything);
        }
        let Some(entry) = self.customers.get_by_key(erasure.customer)? else {
            // Erased as a whole since: then all of it goes.
            return Ok(Wanted::Everything);
        };
        let erased = self.erased(erasure)?;
        Wanted::new(erasure, erased.as_ref(), &entry)
    }

    fn erased(&self, erasure: &Erasure) -> Result<Option<Erased>, AmendError> {
        let row = self.store.meta(MetaTable::Suppressions, &suppression_of(erasure.customer, &erasure.id))?;
        let read = |row: Vec<u8>| Erased::decode(&row).ok_or(AmendError::Damaged { what: "what was erased" });
        row.map(read).transpose()
    }

    async fn rewrite(self: &Arc<Self>, erasure: &mut Erasure) -> Result<(), AmendError> {
        erasure.counts.total = self.count_batches(erasure.customer, erasure.upto).await?;
        let wanted = self.wanted(erasure)?;
        let shared = Arc::clone(self);
        let mut sweep = Sweep {
            store: self.store.clone(),
            customer: Some(erasure.customer),
            from: erasure.next,
            upto: erasure.upto,
            judging: Arc::new(move |scanned| shared.judge_erasure(scanned, &wanted)),
            touched: Touched::default(),
        };
        while let Some((sums, commits)) = sweep.next().await? {
            if !commits.is_empty() {
                self.drain.revoke(&commits).await?;
            }
            let counts = &mut erasure.counts;
            counts.scanned = counts.scanned.saturating_add(sums.scanned).min(counts.total);
            counts.removed = counts.removed.saturating_add(sums.removed);
            counts.rewritten = counts.rewritten.saturating_add(sums.rewritten);
            counts.events = counts.events.saturating_add(sums.events);
            erasure.next = sweep.from;
            self.keep(erasure).await?;
        }
        let now = self.clock.now();
        erasure.stage = Stage::Purging;
        let ops = vec![row(erasure)?, record::step(erasure, ErasureStep::Rewritten, now)];
        self.store.write_meta(ops, true).await?;
        self.remember(erasure.clone());
        Ok(())
    }

    async fn count_batches(
        self: &Arc<Self>,
        customer: CustomerKey,
        upto: CommitNumber,
    ) -> Result<u64, AmendError> {
        let shared = Arc::clone(self);
        super::blocking(move || {
            let (mut from, mut total) = (shared.store.oldest(), 0_u64);
            while from <= upto {
                let scan =
                    Scan { customer: Some(customer), from, to: upto, places: u64::MAX, headers: 4_096 };
                let scanned = shared.store.scan(scan)?;
                total = total.saturating_add(u64::try_from(scanned.found.len()).unwrap_or(u64::MAX));
                if scanned.next <= from {
                    break;
                }
                from = scanned.next;
            }
            Ok(total)
        })
        .await?
    }

    /// Takes the old bytes off the disk: of the records, and of a customer that was destroyed.
    async fn purge_all(self: &Arc<Self>, erasure: &mut Erasure) -> Result<(), AmendError> {
        let mut places = vec![Place::Commits { first: self.store.oldest(), last: erasure.upto }];
        if erasure.scope == Scope::Customer {
            places.push(Place::Customer(erasure.customer));
        }
        purge(&self.store, places).await?;
        erasure.stage = Stage::Verifying;
        let ops = vec![row(erasure)?, record::step(erasure, ErasureStep::Purged, self.clock.now())];
        self.store.write_meta(ops, true).await?;
        self.remember(erasure.clone());
        Ok(())
    }

    /// Reads back: nothing of it may be found. Then the identifier is forgotten too, and the erasure is done.
    async fn verify(self: &Arc<Self>, erasure: &mut Erasure) -> Result<(), AmendError> {
        let left = self.left(erasure).await?;
        if left > 0 {
            erasure.stage = Stage::Fenced;
            erasure.next = CommitNumber(1);
            self.keep(erasure).await?;
            return Err(AmendError::NotGone { records: left });
        }
        let mut places = Vec::new();
        if let Some(mut erased) = self.erased(erasure)? {
            erased.rewritten();
            let ops =
                vec![suppression(erasure.customer, &erasure.id, &erased), MetaOp::Touch(erasure.customer)];
            self.store.write_meta(ops, true).await?;
            let prefix = suppression_of(erasure.customer, &erasure.id);
            places.push(Place::Rows { table: MetaTable::Suppressions, prefix });
        }
        // The notice named the customer, where a level keeps its id.
        places.push(Place::Rows { table: MetaTable::Erasures, prefix: erasure.id.as_bytes().to_vec() });
        purge(&self.store, places).await?;
        let now = self.clock.now();
        erasure.stage = Stage::Done;
        erasure.done = Some(now);
        let ops = vec![
            row(erasure)?,
            record::step(erasure, ErasureStep::Verified, now),
            record::done(erasure, now),
        ];
        self.store.write_meta(ops, true).await?;
        self.remember(erasure.clone());
        Metric::ErasuresDone.add(&[("scope", erasure.scope.as_str())], 1);
        tracing::info!(
            erasure = %erasure.id,
            scope = erasure.scope.as_str(),
            removed = erasure.counts.removed,
            rewritten = erasure.counts.rewritten,
            events = erasure.counts.events,
            "erasure done and verified"
        );
        Ok(())
    }

    /// How many records still hold something.
    async fn left(self: &Arc<Self>, erasure: &Erasure) -> Result<u64, AmendError> {
        let (shared, mut again) = (Arc::clone(self), erasure.clone());
        super::blocking(move || {
            again.counts = super::Counts::default();
            let wanted = shared.wanted(&again)?;
            shared.count(&mut again, &wanted)?;
            Ok(again.counts.removed.saturating_add(again.counts.rewritten))
        })
        .await?
    }

    /// Counts what would be found. Blocks.
    pub(super) fn count(&self, erasure: &mut Erasure, wanted: &Wanted) -> Result<(), AmendError> {
        let mut from = self.store.oldest();
        let to = erasure.upto;
        while from <= to {
            let customer = Some(erasure.customer);
            let scanned = self.store.scan(Scan { customer, from, to, places: u64::MAX, headers: 256 })?;
            let piece = self.judge_erasure(&scanned, wanted)?;
            let (sums, counts) = (piece.told.0, &mut erasure.counts);
            counts.scanned = counts.scanned.saturating_add(sums.scanned);
            counts.removed = counts.removed.saturating_add(sums.removed);
            counts.rewritten = counts.rewritten.saturating_add(sums.rewritten);
            counts.events = counts.events.saturating_add(sums.events);
            if scanned.next <= from {
                break;
            }
            from = scanned.next;
        }
        erasure.counts.total = erasure.counts.scanned;
        Ok(())
    }

    fn judge_erasure(
        &self,
        scanned: &Scanned,
        wanted: &Wanted,
    ) -> Result<Piece<(Sums, BTreeSet<CommitNumber>)>, AmendError> {
        let (mut amendments, mut sums, mut commits) = (Vec::new(), Sums::default(), BTreeSet::new());
        let mut scratch = Scratch::default();
        for at in &scanned.found {
            sums.scanned = sums.scanned.saturating_add(1);
            let (amendment, events, all) = match self.find(at, wanted, &mut scratch)? {
                Found::Nothing => continue,
                Found::Part(amendment, events) => (amendment, events, false),
                Found::All(amendment, events) => (amendment, events, true),
            };
            sums.removed = sums.removed.saturating_add(u64::from(all));
            sums.rewritten = sums.rewritten.saturating_add(u64::from(!all));
            sums.events = sums.events.saturating_add(u64::from(events));
            commits.insert(at.commit);
            amendments.push(amendment);
        }
        Ok(Piece { amendments, told: (sums, commits) })
    }

    fn find(&self, at: &HeaderAt, wanted: &Wanted, scratch: &mut Scratch) -> Result<Found, AmendError> {
        let header = &at.header;
        let Wanted::Some(entry, wanted) = wanted else {
            return Ok(Found::All(removal(at), header.events));
        };
        let Some(record) = read(&self.customers, at.commit)? else { return Ok(Found::Nothing) };
        let program = crate::model::ProgramName::new(&header.program);
        let program = program.map_err(|_| AmendError::Damaged { what: "a record" })?;
        let key = entry.secret.seal_key(&program, header.received);
        // What does not open cannot be read by anybody: the drain sets it aside.
        let Ok(body) = record.open(&key) else { return Ok(Found::Nothing) };
        let from = StruckFrom {
            customer: header.customer,
            accepted_version: header.accepted_version,
            fingerprint: header.plan,
        };
        let struck = strike(&body, wanted, &from, scratch);
        Ok(match struck.map_err(|_| AmendError::Damaged { what: "a batch" })? {
            Struck::Untouched => Found::Nothing,
            Struck::All { events_removed } => Found::All(removal(at), events_removed),
            Struck::Part { batch, events_removed } => {
                let sealed = SealedRecord::seal(&batch, header.revision, &key);
                let with = Some(sealed.map_err(|_| AmendError::Damaged { what: "a batch" })?);
                Found::Part(Amendment { commit: at.commit, with, expect: record.tag() }, events_removed)
            }
        })
    }
}
