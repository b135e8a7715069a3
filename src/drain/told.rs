//! What the ledger is told of subscriptions: who they are for, and what left by them.

use super::totals::Total;
use crate::ledger::{Entry, Fact, Period};
use crate::model::{Subscription, UnixMillis};
use crate::store::MetaOp;

fn entry(at: UnixMillis, fact: Fact) -> MetaOp {
    MetaOp::Ledger(Entry { at, fact }.to_bytes())
}

/// A subscription was created.
pub(super) fn created(subscription: &Subscription) -> MetaOp {
    let Subscription { name, purpose, recipient, programs, products, created, .. } = subscription.clone();
    entry(created, Fact::SubscriptionCreated { subscription: name, purpose, recipient, programs, products })
}

/// A subscription was deleted.
pub(super) fn deleted(subscription: &Subscription, now: UnixMillis) -> MetaOp {
    let Subscription { name, purpose, recipient, .. } = subscription.clone();
    entry(now, Fact::SubscriptionDeleted { subscription: name, purpose, recipient })
}

/// Batches left.
pub(super) fn pulled(subscription: &Subscription, total: &Total) -> MetaOp {
    let Total { key, from, until, batches, events, deliveries, fields } = total.clone();
    let Subscription { name, purpose, recipient, .. } = subscription.clone();
    let period = Period { from, until };
    let (customer, under) = (key.customer, key.under);
    let subscription = name;
    entry(
        until,
        Fact::Pulled {
            customer,
            period,
            subscription,
            purpose,
            recipient,
            under,
            batches,
            events,
            deliveries,
            fields,
        },
    )
}
