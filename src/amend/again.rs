//! After a backup was put back: what was erased since it was made is erased again, before anything is served.

use std::collections::BTreeSet;

use super::erase::{row, suppression};
use super::erasure::{Counts, Stage};
use super::{Amend, AmendError, record};
use crate::ledger::Fact;
use crate::model::CommitNumber;
use crate::sanitize::Erased;
use crate::store::{MetaOp, MetaTable, Restored, suppression_of};

impl Amend {
    /// If the store was restored from a backup, carries out again every erasure that the backup does not have, to its
    /// end, and tells the ledger. Done again from its beginning after a crash. Gives what was restored.
    ///
    /// # Errors
    /// If something could not be erased. Then nothing may be served.
    pub async fn erase_again(&self) -> Result<Option<Restored>, AmendError> {
        let shared = &self.shared;
        let Some((key, restored)) = shared.store.restored()? else { return Ok(None) };
        let upto = shared.store.head();
        let (mut ops, mut again) = (Vec::new(), 0_u64);
        for id in &restored.again {
            let Some(mut erasure) = shared.known(*id)? else { continue };
            erasure.stage = Stage::Fenced;
            (erasure.upto, erasure.next) = (upto, CommitNumber(1));
            (erasure.counts, erasure.done, erasure.told) = (Counts::default(), None, 0);
            // The backup can have been made while it was rewriting, and says where in a row that a newer one has replaced;
            // and a process before this one may have ended on the way.
            erasure.touched = None;
            ops.push(row(&erasure)?);
            let what = shared.store.meta(MetaTable::Suppressions, &suppression_of(erasure.customer, id))?;
            if let Some(what) = what {
                let damaged = AmendError::Damaged { what: "what was erased" };
                let mut erased = Erased::decode(&what).ok_or(damaged)?;
                erased.again(upto);
                ops.extend([suppression(erasure.customer, id, &erased), MetaOp::Touch(erasure.customer)]);
            }
            shared.remember(erasure);
            again += 1;
        }
        if !ops.is_empty() {
            shared.store.write_meta(ops, true).await?;
        }
        tracing::warn!(
            head = restored.head.0,
            erasures = again,
            "the store was restored from a backup; what was erased since is erased again before anything is served"
        );
        while let Some(erasure) = shared.next_erasure(&BTreeSet::new()) {
            shared.go_on(erasure).await?;
        }
        let fact = Fact::StoreRestored {
            last: restored.head.0,
            next: restored.next.0,
            made: restored.made,
            erased_again: again,
        };
        let told = record::entry(shared.clock.now(), fact);
        shared.store.write_meta(vec![told, MetaOp::Delete { table: MetaTable::Restored, key }], true).await?;
        Ok(Some(restored))
    }
}
