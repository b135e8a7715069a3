//! The end of an erasure: the old bytes are taken off the disk, the disk is read back, and what remains is the receipt.

use std::sync::Arc;

use super::bound::Span;
use super::counting::Heed;
use super::erase::{encoded, row, suppression};
use super::erasure::{Counts, Erasure, Scope, Stage};
use super::sweep::purge;
use super::touched::Touched;
use super::{AmendError, Shared, blocking, record};
use crate::ledger::ErasureStep;
use crate::model::CommitNumber;
use crate::observe::Metric;
use crate::store::{MetaOp, MetaTable, Place, step, suppression_of};

impl Shared {
    /// Where there can be bytes of what is erased: where this erasure rewrote something; where another one of the same
    /// customer, or a binding, did so before it and has not come to its end. What those took out is not found any more, and
    /// yet it is not off the disk.
    async fn old_bytes(self: &Arc<Self>, erasure: &Erasure) -> Result<Touched, AmendError> {
        let everywhere = || Touched::all(self.store.oldest(), erasure.upto);
        let store = self.store.clone();
        let binding = blocking(move || Span::read(&store)).await??;
        let mut all = binding.map(|span| Touched::all(span.first, span.last)).unwrap_or_default();
        let others = self.remembered().of(erasure.customer);
        for touched in others.iter().chain([&erasure.touched]) {
            match touched {
                Some(touched) => all.and(touched),
                None => return Ok(everywhere()),
            }
        }
        Ok(all)
    }

    /// Takes the old bytes off the disk: of the records, and of a customer that was destroyed.
    pub(super) async fn purge_all(self: &Arc<Self>, erasure: &mut Erasure) -> Result<(), AmendError> {
        step::reached("erase: rewritten");
        let mut places = self.old_bytes(erasure).await?.places();
        if erasure.scope == Scope::Customer {
            places.push(Place::Customer(erasure.customer));
            // Tokens that named it are deleted before; who deleted them may not have come to this.
            places.push(Place::Rows { table: MetaTable::Tokens, prefix: Vec::new() });
        }
        // Where nothing was rewritten there is nothing to take off, however much is stored and however full the disk is.
        if !places.is_empty() {
            purge(&self.store, places).await?;
        }
        erasure.stage = Stage::Verifying;
        let ops = vec![row(erasure)?, record::step(erasure, ErasureStep::Purged, self.clock.now())];
        self.store.write_meta(ops, true).await?;
        self.remember(erasure.clone());
        Ok(())
    }

    /// Reads back: nothing of it may be found. Then the identifier is forgotten too, and the erasure is done.
    pub(super) async fn verify(self: &Arc<Self>, erasure: &mut Erasure) -> Result<(), AmendError> {
        let (left, short_names) = self.left(erasure).await?;
        if left > 0 {
            erasure.stage = Stage::Fenced;
            erasure.next = CommitNumber(1);
            self.keep(erasure).await?;
            return Err(AmendError::NotGone { records: left });
        }
        // After a crash from here on the identifier is forgotten: only the row says what was counted.
        erasure.counts.short_names = short_names.or(erasure.counts.short_names);
        step::reached("erase: verified");
        let mut places = Vec::new();
        if let Some(mut erased) = self.erased(erasure)? {
            erased.rewritten();
            let forgotten = suppression(erasure.customer, &erasure.id, &erased);
            let ops = vec![row(erasure)?, forgotten, MetaOp::Touch(erasure.customer)];
            self.store.write_meta(ops, true).await?;
            self.remember(erasure.clone());
            let prefix = suppression_of(erasure.customer, &erasure.id);
            places.push(Place::Rows { table: MetaTable::Suppressions, prefix });
        }
        // The notice named the customer, where a level keeps its id.
        places.push(Place::Rows { table: MetaTable::Erasures, prefix: erasure.id.as_bytes().to_vec() });
        purge(&self.store, places).await?;
        let now = self.clock.now();
        erasure.stage = Stage::Done;
        erasure.done = Some(now);
        erasure.touched = Some(Touched::default());
        let verified = record::step(erasure, ErasureStep::Verified, now);
        let ops = vec![verified, told(erasure, record::done(erasure, now))?];
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

    /// How many records still hold something, and how many events have only its short name.
    async fn left(self: &Arc<Self>, erasure: &Erasure) -> Result<(u64, Option<u64>), AmendError> {
        let (shared, mut again) = (Arc::clone(self), erasure.clone());
        blocking(move || {
            again.counts = Counts::default();
            let wanted = shared.wanted(&again)?;
            let mut heed: Heed = Box::new(|_| true);
            shared.count(&mut again, &wanted, &mut heed)?;
            let Counts { removed, rewritten, short_names, .. } = again.counts;
            Ok((removed.saturating_add(rewritten), short_names))
        })
        .await?
    }
}

/// The row of an erasure that is done, written together with the entry that says so, whose number it has.
fn told(erasure: &Erasure, entry: Vec<u8>) -> Result<MetaOp, AmendError> {
    let (key, value) = (erasure.id.as_bytes().to_vec(), encoded(erasure)?);
    Ok(MetaOp::LedgerWith { entry, table: MetaTable::Erasures, key, value, at: Erasure::TOLD })
}
