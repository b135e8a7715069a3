//! Carrying an erasure out, stage by stage. Each stage is done again from its beginning after a crash, or from the
//! last commit that was written down.

use std::collections::BTreeSet;
use std::sync::Arc;

use tracing::Instrument as _;

use super::due::{read, removal};
use super::erasure::{Counts, Erasure, Scope, Stage};
use super::sweep::{Piece, Sweep};
use super::touched::Touched;
use super::{AmendError, Shared, record};
use crate::ledger::ErasureStep;
use crate::model::{CommitNumber, ErasureId};
use crate::observe::trace;
use crate::sanitize::{Erased, Scratch, Strike, Struck, StruckFrom, strike};
use crate::store::{
    Amendment, CustomerEntry, HeaderAt, MetaTable, Scan, Scanned, SealedRecord, step, suppression_of,
};

use super::erase::row;

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

/// What an amendment of an erasure takes out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken {
    /// The batches of the piece that were looked at before it, and it.
    nth: u64,
    /// Whether nothing is left of the batch.
    all: bool,
    events: u32,
}

/// What was looked at in a piece.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Looked {
    batches: u64,
    /// Events that stay and have only the short name, if that is counted.
    short_names: u64,
}

/// What is looked for in a piece, and what of it is there.
type Judged = Piece<Looked, Taken>;

impl Counts {
    fn take_in(&mut self, taken: &Taken) {
        self.removed = self.removed.saturating_add(u64::from(taken.all));
        self.rewritten = self.rewritten.saturating_add(u64::from(!taken.all));
        self.events = self.events.saturating_add(u64::from(taken.events));
    }
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

    /// What fields can say for short, which stays.
    pub(super) fn short_name(&self) -> Option<&Strike> {
        match self {
            Self::Everything => None,
            Self::Some(_, strike) => strike.short_name(),
        }
    }
}

impl Shared {
    /// The erasure that was asked for first, of those that are not done, without `tried`.
    pub(super) fn next_erasure(&self, tried: &BTreeSet<ErasureId>) -> Option<Erasure> {
        self.remembered().next(tried)
    }

    /// Takes an erasure to its end.
    pub(super) async fn go_on(self: &Arc<Self>, mut erasure: Erasure) -> Result<(), AmendError> {
        if erasure.upto == CommitNumber(0) {
            // It was fenced, and the collector ended before it could say up to where.
            self.mark_out(&mut erasure).await?;
        }
        if let Some(notice) = erasure.notice.take() {
            let told = self.drain.notify(erasure.customer, notice).await?;
            erasure.counts.notified = u32::try_from(told).unwrap_or(u32::MAX);
            self.keep(&erasure).await?;
        }
        if erasure.stage == Stage::Fenced {
            self.rewrite(&mut erasure).instrument(trace::erasure_step("rewrite")).await?;
        }
        if erasure.stage == Stage::Purging {
            self.purge_all(&mut erasure).instrument(trace::erasure_step("purge")).await?;
        }
        if erasure.stage == Stage::Verifying {
            self.verify(&mut erasure).instrument(trace::erasure_step("verify")).await?;
        }
        Ok(())
    }

    /// What an erasure looks for, from its row.
    pub(super) fn wanted(&self, erasure: &Erasure) -> Result<Wanted, AmendError> {
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

    pub(super) fn erased(&self, erasure: &Erasure) -> Result<Option<Erased>, AmendError> {
        let row = self.store.meta(MetaTable::Suppressions, &suppression_of(erasure.customer, &erasure.id))?;
        let read = |row: Vec<u8>| Erased::decode(&row).ok_or(AmendError::Damaged { what: "what was erased" });
        row.map(read).transpose()
    }

    async fn rewrite(self: &Arc<Self>, erasure: &mut Erasure) -> Result<(), AmendError> {
        if erasure.next == CommitNumber(1) {
            let (mut so_far, of) = (erasure.clone(), (erasure.customer, erasure.upto));
            let told = |total| {
                so_far.counts.total = total;
                self.remember(so_far.clone());
            };
            erasure.counts.total = self.count_batches(of, told).await?;
        }
        let wanted = self.wanted(erasure)?;
        let shared = Arc::clone(self);
        let mut sweep = Sweep {
            store: self.store.clone(),
            customer: Some(erasure.customer),
            from: erasure.next,
            upto: erasure.upto,
            judging: Arc::new(move |scanned| shared.judge_erasure(scanned, &wanted, None)),
            touched: Touched::default(),
        };
        while let Some(piece) = sweep.next().await? {
            let scanned = erasure.counts.scanned;
            let noting = &mut |taken: &[(CommitNumber, &Taken)]| {
                for (commit, taken) in taken {
                    erasure.counts.take_in(taken);
                    // Of an erasure that was begun before this was kept, it is not known where it was rewritten.
                    if let Some(touched) = &mut erasure.touched {
                        touched.add(*commit);
                    }
                    erasure.counts.scanned = scanned.saturating_add(taken.nth).min(erasure.counts.total);
                    erasure.next = commit.next();
                }
                Ok(vec![row(erasure)?])
            };
            if let Err(error) = sweep.amend(piece.amendments, noting).await {
                // Some of it may be on disk, and is not found again: the next attempt goes on from its row.
                self.recall(erasure.id)?;
                return Err(error);
            }
            erasure.counts.scanned = scanned.saturating_add(piece.told.batches).min(erasure.counts.total);
            erasure.next = sweep.from;
            self.keep(erasure).await?;
            step::reached("erase: piece");
        }
        let now = self.clock.now();
        erasure.stage = Stage::Purging;
        let ops = vec![row(erasure)?, record::step(erasure, ErasureStep::Rewritten, now)];
        self.store.write_meta(ops, true).await?;
        self.remember(erasure.clone());
        Ok(())
    }

    /// Remembers an erasure as it is on disk.
    fn recall(&self, id: ErasureId) -> Result<(), AmendError> {
        let Some(row) = self.store.meta(MetaTable::Erasures, id.as_bytes())? else { return Ok(()) };
        self.remember(Erasure::decode(&row).ok_or(AmendError::Damaged { what: "an erasure" })?);
        Ok(())
    }

    /// Counts what of it is in a piece. Blocks.
    pub(super) fn count_piece(
        &self,
        erasure: &mut Erasure,
        scanned: &Scanned,
        wanted: &Wanted,
    ) -> Result<(), AmendError> {
        let Judged { amendments, told } = self.judge_erasure(scanned, wanted, wanted.short_name())?;
        let counts = &mut erasure.counts;
        counts.scanned = counts.scanned.saturating_add(told.batches);
        counts.short_names = counts.short_names.map(|before| before.saturating_add(told.short_names));
        for (_, taken) in &amendments {
            erasure.counts.take_in(taken);
        }
        Ok(())
    }

    /// Judges a piece; of a `short` name counts the events that have it and stay.
    fn judge_erasure(
        &self,
        scanned: &Scanned,
        wanted: &Wanted,
        short: Option<&Strike>,
    ) -> Result<Judged, AmendError> {
        let (mut amendments, mut told, mut scratch) = (Vec::new(), Looked::default(), Scratch::default());
        for at in &scanned.found {
            told.batches = told.batches.saturating_add(1);
            let nth = told.batches;
            let found = self.find(at, wanted, (&mut scratch, short, &mut told.short_names))?;
            let (amendment, events, all) = match found {
                Found::Nothing => continue,
                Found::Part(amendment, events) => (amendment, events, false),
                Found::All(amendment, events) => (amendment, events, true),
            };
            amendments.push((amendment, Taken { nth, all, events }));
        }
        Ok(Piece { amendments, told })
    }

    /// Has every lease of a batch that holds something of it refused at its acknowledgement: it was delivered before
    /// the fence. What is delivered from then on is without it.
    pub(super) async fn revoke_leases(self: &Arc<Self>, erasure: &Erasure) -> Result<(), AmendError> {
        let (shared, erasure) = (Arc::clone(self), erasure.clone());
        let holding = super::blocking(move || {
            let wanted = shared.wanted(&erasure)?;
            let mut scratch = Scratch::default();
            let mut holding = BTreeSet::new();
            let upto = erasure.upto;
            for commit in shared.drain.leased_of(erasure.customer).into_iter().filter(|one| *one <= upto) {
                let scan = Scan {
                    customer: Some(erasure.customer),
                    from: commit,
                    to: commit,
                    places: 1,
                    headers: 1,
                };
                for at in &shared.store.scan(scan)?.found {
                    if !matches!(shared.find(at, &wanted, (&mut scratch, None, &mut 0))?, Found::Nothing) {
                        holding.insert(commit);
                    }
                }
            }
            Ok::<_, AmendError>(holding)
        });
        let holding = holding.await??;
        if !holding.is_empty() {
            self.drain.revoke(&holding).await?;
        }
        Ok(())
    }

    fn find(
        &self,
        at: &HeaderAt,
        wanted: &Wanted,
        (scratch, short, short_names): (&mut Scratch, Option<&Strike>, &mut u64),
    ) -> Result<Found, AmendError> {
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
        let damaged = |_| AmendError::Damaged { what: "a batch" };
        let struck = strike(&body, wanted, &from, scratch).map_err(damaged)?;
        let left = match &struck {
            Struck::Untouched => Some(body.as_slice()),
            Struck::Part { batch, .. } => Some(batch.body()),
            Struck::All { .. } => None,
        };
        if let (Some(left), Some(short)) = (left, short) {
            match strike(left, short, &from, scratch).map_err(damaged)? {
                Struck::Untouched => {}
                Struck::Part { events_removed, .. } | Struck::All { events_removed } => {
                    *short_names = short_names.saturating_add(u64::from(events_removed));
                }
            }
        }
        Ok(match struck {
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
