//! What the ledger tells of what happened since the personal rows were written: whose rows do not come back. Pure, apart
//! from reading.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use super::fault::Behind;
use crate::ledger::{self, ErasureScope, ErasureStep, Fact, FileFault};
use crate::model::{CustomerKey, ErasureId};
use crate::store::PersonalContents;

/// What does not come back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Since {
    /// Customers who were erased as a whole.
    pub(super) erased: BTreeSet<CustomerKey>,
    /// Bridges that were erased.
    pub(super) bridges: BTreeSet<(CustomerKey, u32)>,
    /// Customers whose participation in the file is not the one that holds.
    pub(super) changed: BTreeSet<CustomerKey>,
    /// Customers with erasures that the file does not know.
    pub(super) unknown: BTreeMap<ErasureId, CustomerKey>,
}

impl Since {
    /// What the file does not know, if it lacks anything.
    pub(super) fn behind(&self) -> Option<Behind> {
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let customers = count(self.concerned().count());
        (customers > 0).then(|| Behind {
            changed: count(self.changed.len()),
            erasures: count(self.unknown.len()),
            customers,
        })
    }

    /// The customers that it concerns, each once.
    pub(super) fn concerned(&self) -> impl Iterator<Item = CustomerKey> {
        let all: BTreeSet<CustomerKey> = self.changed.iter().chain(self.unknown.values()).copied().collect();
        all.into_iter()
    }
}

/// Reads a ledger by and by.
#[derive(Default)]
pub(super) struct Reader {
    revisions: HashMap<CustomerKey, u64>,
    erased: BTreeSet<CustomerKey>,
    bridges: BTreeSet<(CustomerKey, u32)>,
    /// Erasures of a part, and whether the backup was made after the end of each.
    parts: BTreeMap<ErasureId, (CustomerKey, bool)>,
}

impl Reader {
    /// Takes in the fact at an index; the first `in_backup` entries are from before the backup.
    pub(super) fn take(&mut self, fact: &Fact, index: u64, in_backup: u64) {
        match fact {
            Fact::ParticipationChanged { customer, revision, .. } => {
                let newest = self.revisions.entry(*customer).or_insert(0);
                *newest = (*newest).max(*revision);
            }
            Fact::CustomerErased { customer, .. } => {
                self.erased.insert(*customer);
            }
            Fact::BridgeMade { customer, from_epoch, .. } => {
                self.bridges.remove(&(*customer, epoch(*from_epoch)));
            }
            Fact::BridgeErased { customer, from_epoch } => {
                self.bridges.insert((*customer, epoch(*from_epoch)));
            }
            Fact::ErasureStepped { erasure, customer: Some(customer), scope, step, .. }
                if *scope != ErasureScope::Customer && *step == ErasureStep::Fenced =>
            {
                if let Ok(id) = ErasureId::parse(erasure) {
                    self.parts.insert(id, (*customer, false));
                }
            }
            Fact::ErasureDone { erasure, .. } if index < in_backup => {
                let known = ErasureId::parse(erasure).ok().and_then(|id| self.parts.get_mut(&id));
                if let Some((_, is_before)) = known {
                    *is_before = true;
                }
            }
            Fact::ErasureStepped { .. }
            | Fact::ErasureDone { .. }
            | Fact::LedgerBegun { .. }
            | Fact::CollectorStarted { .. }
            | Fact::CollectorStopped { .. }
            | Fact::PolicyInForce { .. }
            | Fact::SubscriptionCreated { .. }
            | Fact::SubscriptionDeleted { .. }
            | Fact::Collected { .. }
            | Fact::Pulled { .. }
            | Fact::LevelBound { .. }
            | Fact::PseudonymLookedUp { .. }
            | Fact::EventsExplained { .. }
            | Fact::Refused { .. }
            | Fact::RootKeyRotated { .. }
            | Fact::KeysRatcheted { .. }
            | Fact::RatchetsMoved { .. }
            | Fact::DataLossAccepted { .. }
            | Fact::BackupMade { .. }
            | Fact::StoreRestored { .. }
            | Fact::TokenIssued { .. }
            | Fact::TokenRevoked { .. }
            | Fact::Exported { .. } => {}
        }
    }

    /// What that means for a file of personal rows.
    pub(super) fn judge(self, file: &PersonalContents) -> Since {
        let Self { revisions, erased, bridges, parts } = self;
        // Who is not in the file comes back as nobody in any case.
        let is_there =
            |customer: &CustomerKey| file.revisions.contains_key(customer) && !erased.contains(customer);
        let is_newer = |customer: &CustomerKey, revision: u64| {
            file.revisions.get(customer).is_some_and(|known| *known < revision)
        };
        let changed = revisions
            .iter()
            .filter(|(customer, revision)| is_there(customer) && is_newer(customer, **revision))
            .map(|(customer, _)| *customer)
            .collect();
        let unknown = parts
            .into_iter()
            .filter(|(id, (customer, is_before))| {
                !is_before && is_there(customer) && !file.erasures.contains(id)
            })
            .map(|(id, (customer, _))| (id, customer))
            .collect();
        Since { erased, bridges, changed, unknown }
    }
}

fn epoch(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Reads the ledger in `dir`.
pub(super) fn since(dir: &Path, in_backup: u64, file: &PersonalContents) -> Result<Since, FileFault> {
    let mut reader = Reader::default();
    ledger::visit(dir, &mut |leaf| {
        if let Some(fact) = leaf.fact() {
            reader.take(fact, leaf.index, in_backup);
        }
        true
    })?;
    Ok(reader.judge(file))
}
