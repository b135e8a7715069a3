//! A request after the pass.

use std::sync::Arc;

use super::plan::Told;
use super::receipt::{Receipt, State};
use super::refusal::{Refusal, UNAVAILABLE};
use super::sums::Sums;
use super::told::Reckoning;
use crate::model::{CommitNumber, CustomerKey, Reason};
use crate::policy::Policy;
use crate::sanitize::wire::Head;
use crate::sanitize::{Permit, Sanitized, withheld};
use crate::store::{Append, CustomerEntry, Dedup, SealedRecord};

/// A request after the pass: what goes to the store, and what the sender will be told.
pub(super) struct Prepared {
    /// Whose it is, if that is known.
    pub(super) customer: Option<CustomerKey>,
    pub(super) append: Option<Append>,
    pub(super) receipt: Receipt,
    pub(super) reckoning: Reckoning,
}

impl Prepared {
    pub(super) fn new(
        permit: &Permit,
        entry: &CustomerEntry,
        (head, request): (&Head<'_>, &[u8]),
        sanitized: Sanitized,
        (plan, mut reckoning): (Told, Reckoning),
    ) -> Result<Self, Refusal> {
        let effective = permit.effective();
        let state = match (sanitized.batches.is_empty(), stopped(&sanitized)) {
            (false, _) => State::Stored,
            (true, true) => State::Disabled,
            (true, false) => State::NothingStored,
        };
        let receipt = Receipt {
            state,
            commit: CommitNumber::default(),
            records: u8::try_from(sanitized.batches.len()).unwrap_or(u8::MAX),
            tally: sanitized.tally,
            effective,
            policy_version: permit.policy().version().into(),
            places: sanitized.places,
            places_truncated: sanitized.places_truncated,
            plan,
        };
        reckoning.hits = sanitized.hits;
        let mut prepared = Self { customer: Some(entry.key), append: None, receipt, reckoning };
        if sanitized.batches.is_empty() {
            return Ok(prepared);
        }
        let mut records = Vec::with_capacity(sanitized.batches.len());
        let mut sums = Sums::of(entry.key, &prepared.receipt.tally);
        for batch in sanitized.batches {
            prepared.reckoning.programs.push((batch.program().clone(), batch.events()));
            let key = permit.secret().seal_key(batch.program(), batch.received());
            let sealed = SealedRecord::seal(&batch, entry.change.revision, &key);
            records.push(sealed.map_err(|_| UNAVAILABLE)?);
            sums.add(batch);
        }
        let dedup = Dedup {
            id: entry.secret.batch_token(&head.batch_id),
            digest: entry.secret.body_token(&head.batch_id, request),
        };
        let (receipt, basis) = (prepared.receipt.to_short(), Some(entry.basis()));
        prepared.append = Some(Append { records, dedup, receipt, basis, collected: sums.finish() });
        Ok(prepared)
    }

    /// Of a customer who takes part in nothing, or is paused.
    pub(super) fn disabled(
        policy: &Arc<Policy>,
        (customer, head): (Option<CustomerKey>, &Head<'_>),
        plan: Told,
        reckoning: Reckoning,
    ) -> Self {
        let none = withheld(head.events, Reason::NotParticipating);
        let receipt = Receipt {
            state: State::Disabled,
            commit: CommitNumber::default(),
            records: 0,
            tally: none.tally,
            effective: Vec::new(),
            policy_version: policy.version().into(),
            places: Vec::new(),
            places_truncated: false,
            plan,
        };
        Self { customer, append: None, receipt, reckoning }
    }
}

/// Whether every event was withheld because the customer does not take part in its program.
fn stopped(sanitized: &Sanitized) -> bool {
    let tally = &sanitized.tally;
    tally.received > 0 && tally.withheld.get(Reason::NotParticipating.index()) == Some(&tally.received)
}
