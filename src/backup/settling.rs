//! What the ledger was told after a backup was made, and what of the backup it makes wrong: sums that were told come out,
//! so that no batch is told twice, and who received what is put in, so that an erasure tells them. Sums that were not told
//! stay, so that none is left out.

use std::path::Path;

use super::fault::BackupFault;
use crate::drain::{Addition, Redelivery};
use crate::ledger::{self, Fact};
use crate::store::{BackupError, CollectedKey, Joint, MetaTable};

/// Brings `joint` up to the ledger in `dir`.
pub(super) fn settle(joint: &mut Joint<'_>, dir: &Path) -> Result<(), BackupFault> {
    let put = |joint: &mut Joint<'_>, addition: Addition| {
        let key = addition.key().to_vec();
        let into_row = |row: Option<&[u8]>| addition.into_row(row).map_err(|_| BackupError::Damaged);
        joint.change(MetaTable::Received, &key, into_row)
    };
    let mut sums = joint.sums()?;
    let (subscriptions, totals) = (joint.rows(MetaTable::Subscriptions)?, joint.rows(MetaTable::Totals)?);
    let redelivery = Redelivery::read(subscriptions, totals, joint.head());
    let mut redelivery = redelivery.map_err(|_| BackupError::Damaged)?;
    let (next, mut failed) = (joint.next_entry(), None);
    ledger::visit(dir, &mut |leaf| {
        let Some(fact) = leaf.fact() else { return true };
        redelivery.look(fact);
        if leaf.number < next {
            return true;
        }
        let settled = if let Fact::Collected { customer, period, under, .. } = fact {
            // While a sum waits there is no other of the same: the first that is told is this one, grown.
            let key = CollectedKey { customer: *customer, under: under.clone() };
            sums.remove(&(key, period.from)).map_or(Ok(()), |number| joint.forget_sum(number))
        } else {
            redelivery.take(fact).map_or(Ok(()), |addition| put(joint, addition))
        };
        failed = settled.err();
        failed.is_none()
    })?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    for row in redelivery.told() {
        joint.remove(MetaTable::Totals, row)?;
    }
    // The ledger is told a while after a batch leaves. What left last it does not know, and no ledger may be left at all.
    for addition in redelivery.perhaps(joint.customers_below()) {
        put(joint, addition)?;
    }
    Ok(())
}
