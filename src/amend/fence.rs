//! The fence of an erasure: the one moment that parts what is erased from what is collected again.
//!
//! The writer of the store makes it, in the order in which it writes, and gives it its place and its time. What is stored
//! before it is erased. What comes behind it is erased if it happened until then, and stored if it happened later. The
//! time that was read when the erasure was planned would not do: until the fence is written others store what happened
//! after that time, and it would go although what happened at the same time and came later would stay.

use std::sync::Arc;

use super::erase::{row, suppression};
use super::erasure::{Erasure, Scope};
use super::request::{NewErasure, Plan};
use super::{AmendError, Shared, record};
use crate::ledger::ErasureStep;
use crate::model::{CommitNumber, UnixMillis};
use crate::sanitize::Erased;
use crate::store::{Fenced, MetaOp, MetaTable, StoreError, step, suppression_of_mark};

/// What is withheld behind the fence.
enum Withheld {
    /// What was erased of a customer who is still there.
    Part(Box<Erased>),
    /// Whatever a customer of this mark sends late.
    Whole([u8; 16]),
}

/// The rows of an erasure that is fenced.
fn rows(erasure: &Erasure, withheld: Option<Withheld>, fenced: Fenced) -> Result<Vec<MetaOp>, StoreError> {
    let (at, until) = (erasure.requested, erasure.suppress_until);
    let row = row(erasure).map_err(|_| StoreError::Damaged { what: "an erasure" })?;
    let mut ops = vec![row, record::step(erasure, ErasureStep::Fenced, at)];
    match withheld {
        None => {}
        // What is stored behind it happened after it: drainers get it as it is, however long the bytes before it take to
        // go, and whatever happens to this process next.
        Some(Withheld::Part(erased)) => {
            let erased = erased.fenced(fenced.upto, (at, until));
            ops.push(suppression(erasure.customer, &erasure.id, &erased));
        }
        Some(Withheld::Whole(mark)) => {
            let mut all = Erased::times(UnixMillis(i64::MIN), at.plus_ms(1), (at, until));
            all.rewritten();
            let (table, key) = (MetaTable::Suppressions, suppression_of_mark(&mark));
            ops.push(MetaOp::Put { table, key, value: all.encode() });
            ops.push(record::customer_erased(erasure, at));
            ops.push(record::step(erasure, ErasureStep::KeysDestroyed, at));
        }
    }
    Ok(ops)
}

impl Shared {
    /// Fences an erasure that is accepted. It was asked for, as everybody is told, when it was fenced. Nothing is done, and
    /// there is none, if a key epoch began since it was planned, or something was stored in one that has not begun: what was
    /// stored in that has pseudonyms that the plan does not know.
    pub(super) async fn fence(
        self: &Arc<Self>,
        new: &NewErasure,
        Plan { erasure: planned, erased, last_epoch }: Plan,
    ) -> Result<Option<Erasure>, AmendError> {
        let (customer, is_whole) = (planned.customer, planned.scope == Scope::Customer);
        let withheld = if is_whole {
            Some(Withheld::Whole(self.customers.mark(&new.customer)))
        } else {
            erased.map(|erased| Withheld::Part(Box::new(erased)))
        };
        let (beginning, rotation) = (planned.clone(), self.store.rotation());
        let rows = move |fenced: Fenced| {
            if rotation.epoch(fenced.at.max(fenced.newest)) > last_epoch {
                return Err(StoreError::Stale);
            }
            rows(&beginning.fenced_at(fenced.at), withheld, fenced)
        };
        let fenced = if is_whole {
            // The keys go in the write that begins it: there is no moment in which the one is there without the other.
            let destroyed = self.store.destroy_customer(customer, rows).await;
            destroyed.map(|(_, fenced)| {
                self.customers.forget(&new.customer, customer);
                fenced
            })
        } else {
            self.store.fence(customer, rows).await
        };
        let fenced = match fenced {
            Err(StoreError::Stale) => return Ok(None),
            fenced => fenced?,
        };
        step::reached("erase: fenced");
        let mut erasure = planned.fenced_at(fenced.at);
        if let Err(error) = self.mark_out(&mut erasure).await {
            // It is fenced all the same, and goes on from here.
            tracing::warn!(%error, "an erasure is begun, and its next step is tried again");
            erasure.upto = CommitNumber(0);
            self.remember(erasure.clone());
        }
        self.bell.notify_one();
        tracing::info!(erasure = %erasure.id, scope = erasure.scope.as_str(), "erasure begun");
        Ok(Some(erasure))
    }

    /// Says up to where there can be something of it, and has leases of that refused.
    pub(super) async fn mark_out(self: &Arc<Self>, erasure: &mut Erasure) -> Result<(), AmendError> {
        // Nothing that is stored behind the fence can hold it. A whole customer's keys are gone: nothing was stored under
        // them since.
        let head = self.store.head();
        erasure.upto = self.erased(erasure)?.map_or(head, |erased| erased.upto.min(head));
        self.revoke_leases(erasure).await?;
        step::reached("erase: leases revoked");
        self.keep(erasure).await
    }
}
