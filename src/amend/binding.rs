//! Binding what is on disk: after a customer was lowered, or the policy became stricter, the queue is rewritten. What
//! leaves is bound at once by the drain; this makes the stored bytes follow, within [`super::Options::bind_within`].

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::due::{Due, Judge};
use super::report::{BindingReport, BindingStage, Tally};
use super::sweep::{Piece, Sweep, Touched, purge};
use super::waiting::{News, Who};
use super::{Amend, AmendError, Options, Shared, blocking, record};
use crate::model::{CustomerId, CustomerKey, Participation, UnixMillis};
use crate::observe::Metric;
use crate::store::{MetaOp, MetaTable, Scan, Scanned};

/// The version of a row.
const VERSION: u8 = 1;

/// What was done for a customer: its row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bound {
    revision: u64,
    stage: BindingStage,
    tally: Tally,
    withdrawn: u64,
    done: Option<UnixMillis>,
}

impl Bound {
    fn row(&self, customer: CustomerKey) -> Result<MetaOp, AmendError> {
        let mut value = vec![VERSION];
        serde_json::to_writer(&mut value, self).map_err(|_| AmendError::Damaged { what: "a binding" })?;
        Ok(MetaOp::Put { table: MetaTable::Bindings, key: customer.0.to_be_bytes().to_vec(), value })
    }

    fn decode(row: &[u8]) -> Option<Self> {
        serde_json::from_slice(row.strip_prefix(&[VERSION])?).ok()
    }
}

/// A row as it would be written again.
pub(super) fn again(row: &[u8]) -> Option<Vec<u8>> {
    let MetaOp::Put { value, .. } = Bound::decode(row)?.row(CustomerKey(1)).ok()? else { return None };
    Some(value)
}

/// What one piece of a pass found: by customer, what becomes of its records.
type Found = BTreeMap<CustomerKey, Tally>;

impl Amend {
    /// Looks at the records of a customer soon: its participation was changed.
    pub fn participation_changed(&self, customer: CustomerKey) {
        self.shared.waiting.add(customer, self.shared.clock.now());
        self.shared.bell.notify_one();
    }

    /// Looks at all records soon: the policy was changed.
    pub fn policy_changed(&self) {
        self.shared.waiting.everybody(self.shared.clock.now());
        self.shared.bell.notify_one();
    }

    /// Counts what a participation would do to what is queued. Nothing is changed.
    ///
    /// # Errors
    /// If the customer is not known, or the store cannot be read.
    pub async fn preview_binding(&self, proposed: Participation) -> Result<BindingReport, AmendError> {
        let shared = Arc::clone(&self.shared);
        blocking(move || shared.preview(&proposed)).await?
    }

    /// How far the latest change of a customer has reached what is stored.
    ///
    /// # Errors
    /// If the customer is not known, or the store cannot be read.
    pub async fn binding(&self, id: &CustomerId) -> Result<BindingReport, AmendError> {
        let (shared, id) = (Arc::clone(&self.shared), id.clone());
        blocking(move || shared.binding(&id)).await?
    }
}

impl Shared {
    fn preview(&self, proposed: &Participation) -> Result<BindingReport, AmendError> {
        let entry = self.customers.get(&proposed.customer)?.ok_or(AmendError::NoCustomer)?;
        let policy = self.policy.load();
        policy
            .check_participation(proposed)
            .map_err(|faults| AmendError::Invalid { field: "participation", rule: faults.join("; ") })?;
        // As when it is set: what is not named stays accepted as it is.
        let mut proposed = proposed.clone();
        for (product, version) in &entry.change.participation.accepted_dictionaries {
            proposed.accepted_dictionaries.entry(product.clone()).or_insert(*version);
        }
        let mut judge = self.judge_by(&policy);
        judge.proposed = Some(&proposed);
        let mut tally = Tally::default();
        let mut from = self.store.oldest();
        let to = self.store.head();
        while from <= to {
            let scan = Scan { customer: Some(entry.key), from, to, places: u64::MAX, headers: 256 };
            let scanned = self.store.scan(scan)?;
            for at in &scanned.found {
                match judge.due(at)? {
                    Due::Same => tally.count_unchanged(),
                    Due::Unreadable => {}
                    Due::Change(_, key, line) => tally.count(key, &line),
                }
            }
            if scanned.next <= from {
                break;
            }
            from = scanned.next;
        }
        let now = self.clock.now();
        Ok(BindingReport {
            stage: BindingStage::Preview,
            revision: entry.change.revision.saturating_add(1),
            tally,
            changed: now,
            due: self.due_of(now),
            done: None,
            withdrawn: self.withdrawn(entry.key, entry.change.revision.saturating_add(1)),
        })
    }

    fn judge_by<'j>(&'j self, policy: &'j crate::policy::Policy) -> Judge<'j> {
        let Options { global_caps, rotation, .. } = &self.options;
        Judge::new(&self.customers, policy, global_caps, *rotation, &self.histories)
    }

    /// By when the disk follows a change.
    fn due_of(&self, changed: UnixMillis) -> UnixMillis {
        changed.plus_ms(i64::try_from(self.options.bind_within.as_millis()).unwrap_or(i64::MAX))
    }

    /// Leases of what was delivered of a customer before a revision.
    fn withdrawn(&self, customer: CustomerKey, revision: u64) -> u64 {
        u64::try_from(self.drain.leased_before(customer, revision)).unwrap_or(u64::MAX)
    }

    fn binding(&self, id: &CustomerId) -> Result<BindingReport, AmendError> {
        let entry = self.customers.get(id)?.ok_or(AmendError::NoCustomer)?;
        let row = self.store.meta(MetaTable::Bindings, &entry.key.0.to_be_bytes())?;
        let bound = row.map(|row| Bound::decode(&row).ok_or(AmendError::Damaged { what: "a binding" }));
        let bound = bound.transpose()?;
        let is_waiting = self.waiting.has(entry.key);
        let of_this = bound.filter(|bound| bound.revision == entry.change.revision);
        let changed = entry.change.at;
        let due = self.due_of(changed);
        let (revision, stage) = match &of_this {
            Some(bound) if !is_waiting || bound.stage == BindingStage::Purging => {
                (bound.revision, bound.stage)
            }
            None if !is_waiting => (entry.change.revision, BindingStage::Done),
            Some(_) | None => (entry.change.revision, BindingStage::Rewriting),
        };
        let (tally, withdrawn, done) =
            of_this.map(|bound| (bound.tally, bound.withdrawn, bound.done)).unwrap_or_default();
        Ok(BindingReport { stage, revision, tally, changed, due, done, withdrawn })
    }

    /// Tells of changes that the disk should follow by now and does not.
    pub(super) fn tell_overdue(&self) {
        let within = self.options.bind_within;
        let (overdue, news) = self.waiting.overdue(self.clock.now(), within);
        let (due, oldest) = self.waiting.due(self.clock.now());
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        Metric::BindingsDue.set_count(&[], count(due));
        Metric::BindingOldest.set(&[], oldest.as_secs_f64());
        Metric::BindingsOverdue.set_count(&[], count(overdue));
        match news {
            News::Overdue => tracing::error!(
                changes = overdue,
                within_seconds = within.as_secs(),
                "what is stored does not follow a lowered level or a stricter policy in time; what leaves does"
            ),
            News::CaughtUp => tracing::info!("what is stored follows every change again"),
            News::Same => {}
        }
    }

    /// One pass: rewrites what has to be, purges, and writes the reports down.
    pub(super) async fn bind(self: &Arc<Self>, who: &Who) -> Result<(), AmendError> {
        let customer = match who {
            Who::Some(customers) if customers.len() == 1 => customers.first().copied(),
            Who::Some(_) | Who::Everybody => None,
        };
        let (shared, of) = (Arc::clone(self), who.clone());
        let mut sweep = Sweep {
            store: self.store.clone(),
            customer,
            from: self.store.oldest(),
            upto: self.store.head(),
            judging: Arc::new(move |scanned| shared.judge(scanned, &of)),
            touched: Touched::default(),
        };
        let mut tallies = Found::new();
        while let Some(found) = sweep.next().await? {
            for (customer, tally) in found {
                tallies.entry(customer).or_default().merge(tally);
            }
        }
        let touched = sweep.touched;
        tallies.retain(|_, tally| tally.changes());
        let stages = if touched.is_empty() {
            &[BindingStage::Done][..]
        } else {
            &[BindingStage::Purging, BindingStage::Done]
        };
        for stage in stages {
            if *stage == BindingStage::Done && !touched.is_empty() {
                purge(&self.store, touched.places()).await?;
            }
            self.note(&tallies, who, *stage).await?;
        }
        Ok(())
    }

    fn judge(&self, scanned: &Scanned, who: &Who) -> Result<Piece<Found>, AmendError> {
        let policy = self.policy.load();
        let mut judge = self.judge_by(&policy);
        let (mut amendments, mut told) = (Vec::new(), Found::default());
        for at in &scanned.found {
            let customer = at.header.customer;
            if matches!(who, Who::Some(customers) if !customers.contains(&customer)) {
                continue;
            }
            match judge.due(at)? {
                Due::Same => told.entry(customer).or_default().count_unchanged(),
                Due::Unreadable => {}
                Due::Change(amendment, key, line) => {
                    told.entry(customer).or_default().count(key, &line);
                    amendments.push(amendment);
                }
            }
        }
        Ok(Piece { amendments, told })
    }

    /// Writes down what was done for each customer, with an entry for the ledger when it is done.
    async fn note(&self, tallies: &Found, who: &Who, stage: BindingStage) -> Result<(), AmendError> {
        let is_done = stage == BindingStage::Done;
        let mut ops = Vec::new();
        for (customer, tally) in tallies {
            let Some(entry) = self.customers.get_by_key(*customer)? else { continue };
            let (now, revision) = (self.clock.now(), entry.change.revision);
            let done = is_done.then_some(now);
            let withdrawn = self.withdrawn(*customer, revision);
            let bound = Bound { revision, stage, tally: tally.clone(), withdrawn, done };
            ops.push(bound.row(*customer)?);
            if is_done {
                ops.push(record::bound(*customer, revision, (entry.change.at, now), tally));
                Metric::BatchesBound.add(&[], tally.batches.saturating_sub(tally.unchanged));
            }
        }
        // Of those for whom nothing was to be done, nothing is noted but of those that were asked for.
        if let (Who::Some(customers), true) = (who, is_done) {
            for customer in customers.iter().filter(|customer| !tallies.contains_key(customer)) {
                let Some(entry) = self.customers.get_by_key(*customer)? else { continue };
                let (tally, done) = (Tally::default(), Some(self.clock.now()));
                let bound = Bound { revision: entry.change.revision, stage, tally, withdrawn: 0, done };
                ops.push(bound.row(*customer)?);
            }
        }
        if !ops.is_empty() {
            self.store.write_meta(ops, true).await?;
        }
        Ok(())
    }
}
