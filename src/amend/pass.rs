//! What a pass of binding over the queue keeps while it goes on, and what it writes with each amendment.

use std::collections::btree_map::Entry as MapEntry;
use std::collections::{BTreeMap, BTreeSet};

use super::bound::Span;
use super::report::{BindingStage, Line, LineKey};
use super::{AmendError, Shared};
use crate::model::{CommitNumber, CustomerKey, UnixMillis};
use crate::store::MetaOp;

/// What a pass, or a piece of it, saw of each customer.
pub(super) type Looked = BTreeMap<CustomerKey, Seen>;
/// What an amendment of a pass is for.
pub(super) struct Changed {
    pub(super) customer: CustomerKey,
    pub(super) key: LineKey,
    pub(super) line: Line,
    /// Leases of more than is left, which are out: they will be refused.
    pub(super) leases: u64,
}

/// What was seen of a customer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// Batches that were looked at.
    pub(super) batches: u64,
    /// The revision, and when it was set, that held before the first of them was judged: all that may be said of them.
    /// What was chosen since then waits for a pass of its own. `None` for who was erased.
    pub(super) judged: Option<(u64, UnixMillis)>,
}

/// A pass over the queue. What it did for a customer is in the row of that customer only: there can be a million of them. Of
/// each that it met, about 50 bytes are held here.
#[derive(Debug, Default)]
pub(super) struct Pass {
    /// Those of whom something was changed.
    pub(super) changed: BTreeSet<CustomerKey>,
    pub(super) looked: Looked,
    /// As its row has it.
    pub(super) span: Option<Span>,
}

impl Pass {
    /// Takes in what is about to be amended. Gives what is to be written with it.
    pub(super) fn take_in(
        &mut self,
        shared: &Shared,
        changes: &[(CommitNumber, &Changed)],
    ) -> Result<Vec<MetaOp>, AmendError> {
        let (mut ops, mut span, mut counts) = (Vec::new(), self.span, BTreeMap::new());
        for (commit, Changed { customer, key, line, leases }) in changes {
            span = Some(Span::with(span, Span { first: *commit, last: *commit }));
            let (tally, withdrawn) = match counts.entry(*customer) {
                MapEntry::Vacant(new) => new.insert(shared.counted(*customer)?),
                MapEntry::Occupied(old) => old.into_mut(),
            };
            tally.count(key.clone(), line);
            *withdrawn = withdrawn.saturating_add(*leases);
        }
        if let Some(span) = span.filter(|_| span != self.span) {
            ops.push(span.row()?);
            self.span = Some(span);
        }
        for (customer, counted) in counts {
            self.changed.insert(customer);
            ops.extend(shared.noted(customer, self.judged(customer), counted, BindingStage::Rewriting)?);
        }
        Ok(ops)
    }

    /// Takes in what was seen of a customer. The first revision stays.
    pub(super) fn see(&mut self, customer: CustomerKey, seen: Seen) {
        let all = self.looked.entry(customer).or_insert(Seen { batches: 0, ..seen });
        all.batches = all.batches.saturating_add(seen.batches);
    }

    pub(super) fn judged(&self, customer: CustomerKey) -> Option<(u64, UnixMillis)> {
        self.looked.get(&customer).and_then(|seen| seen.judged)
    }
}
