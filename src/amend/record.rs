//! What the ledger is told of bindings and erasures.

use super::erasure::{Erasure, Scope};
use super::report::Tally;
use crate::ledger::{Entry, ErasureScope, ErasureStep, Fact, Period};
use crate::model::{CustomerKey, UnixMillis};
use crate::store::MetaOp;

/// The entry that `fact` was so at `at`, to be written with what it tells.
pub(super) fn entry(at: UnixMillis, fact: Fact) -> MetaOp {
    MetaOp::Ledger(Entry { at, fact }.to_bytes())
}

/// A changed level was brought to what was queued.
pub(super) fn bound(
    customer: CustomerKey,
    revision: u64,
    (changed, now): (UnixMillis, UnixMillis),
    tally: &Tally,
) -> MetaOp {
    let sum = tally.sum();
    let fact = Fact::LevelBound {
        customer,
        revision,
        period: Period { from: changed, until: now },
        records: tally.batches,
        lowered: sum.rewritten,
        removed: sum.removed,
        events_before: sum.kept_events.saturating_add(sum.removed_events),
        events_after: sum.kept_events,
        fields: sum.fields,
    };
    entry(now, fact)
}

fn scope(erasure: &Erasure) -> ErasureScope {
    match erasure.scope {
        Scope::Customer => ErasureScope::Customer,
        Scope::Instance => ErasureScope::Instance,
        Scope::Identifier { .. } => ErasureScope::Identifier,
        Scope::Times { .. } => ErasureScope::TimeRange,
    }
}

/// A step of an erasure is done.
pub(super) fn step(erasure: &Erasure, step: ErasureStep, now: UnixMillis) -> MetaOp {
    let fact = Fact::ErasureStepped {
        erasure: erasure.id.to_string(),
        customer: Some(erasure.customer),
        scope: scope(erasure),
        step,
        records: erasure.counts.removed.saturating_add(erasure.counts.rewritten),
        by: (step == ErasureStep::Fenced && !erasure.by.is_empty()).then(|| erasure.by.clone()),
    };
    entry(now, fact)
}

/// All that was known of a customer is gone.
pub(super) fn customer_erased(erasure: &Erasure, now: UnixMillis) -> MetaOp {
    entry(now, Fact::CustomerErased { customer: erasure.customer, erasure: erasure.id.to_string() })
}

/// The receipt: an entry that is to be written with what it tells.
pub(super) fn done(erasure: &Erasure, now: UnixMillis) -> Vec<u8> {
    let fact = Fact::ErasureDone {
        erasure: erasure.id.to_string(),
        customer: Some(erasure.customer),
        scope: scope(erasure),
        class: erasure.scope.class(),
        period: Period { from: erasure.requested, until: now },
        rewritten: erasure.counts.rewritten,
        removed: erasure.counts.removed,
        events: erasure.counts.events,
        notified: u64::from(erasure.counts.notified),
    };
    Entry { at: now, fact }.to_bytes()
}
