//! Binding what is on disk: after a customer was lowered, or the policy became stricter, the queue is rewritten. What
//! leaves is bound at once by the drain; this makes the stored bytes follow, within [`super::Options::bind_within`].
//!
//! A crash loses nothing of it: each write of amendments also says for whom they are and where old bytes are now, and
//! the next pass takes that up before it looks at anything.

use std::collections::BTreeSet;
use std::collections::btree_map::Entry as MapEntry;
use std::sync::Arc;
use std::time::Duration;

use super::bound::{Bound, Span};
use super::due::{Change, Due, Judge};
use super::pass::{Changed, Looked, Pass, Seen};
use super::report::{BindingReport, BindingStage, Tally};
use super::sweep::{Piece, Sweep, purge};
use super::touched::Touched;
use super::waiting::{News, Who};
use super::{Amend, AmendError, Options, Shared, blocking, record};
use crate::model::{CustomerId, CustomerKey, UnixMillis};
use crate::observe::Metric;
use crate::store::{MetaOp, Scanned, step};

/// Customers whose rows are written at a time; few in a test, so that two take more than one write.
const NOTED: usize = if cfg!(test) { 1 } else { 1_000 };

impl Amend {
    /// Looks at the records of a customer soon: its participation was changed.
    pub fn participation_changed(&self, customer: CustomerKey) {
        self.shared.waiting.add(customer, self.shared.clock.steady());
        self.shared.bell.notify_one();
    }

    /// Looks at all records when it is time: another policy is in force. Said again, without another policy: soon, if
    /// what is stored follows that one already.
    pub fn policy_changed(&self) {
        let shared = &self.shared;
        shared.policy_in_force();
        if shared.settling.left().is_none() {
            shared.waiting.everybody(shared.clock.steady());
        }
        shared.bell.notify_one();
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
    pub(super) fn judge_by<'j>(&'j self, policy: &'j crate::policy::Policy) -> Judge<'j> {
        let Options { global_caps, rotation, .. } = &self.options;
        Judge::new(&self.customers, policy, global_caps, *rotation, &self.histories)
    }

    /// By when the disk follows a change.
    pub(super) fn due_of(&self, changed: UnixMillis) -> UnixMillis {
        changed.plus_ms(i64::try_from(self.options.bind_within.as_millis()).unwrap_or(i64::MAX))
    }

    /// Leases that are refused because of a change: of what is more than it leaves.
    pub(super) fn withdrawn(&self, Change { amendment, plan, .. }: &Change) -> u64 {
        u64::try_from(self.drain.leased_unlike(amendment.commit, *plan)).unwrap_or(u64::MAX)
    }

    fn binding(&self, id: &CustomerId) -> Result<BindingReport, AmendError> {
        let entry = self.customers.get(id)?.ok_or(AmendError::NoCustomer)?;
        let changed = entry.change.at;
        // In this order: what is done meanwhile is then not taken for what was never to be done.
        let is_waiting = self.waiting.has(entry.key) || self.settling.holds(entry.key);
        let bound = Bound::read(&self.store, entry.key)?;
        let of_this = bound.filter(|bound| bound.revision == entry.change.revision);
        let is_waiting = is_waiting || (of_this.is_none() && !self.waiting.has_looked_since(changed));
        if is_waiting && of_this.is_none() && !self.waiting.has(entry.key) {
            // Nobody said that it was changed, and nobody has looked since: whoever did must have failed on the way.
            let ago = u64::try_from(self.clock.now().ms_since(changed)).unwrap_or(0);
            self.waiting.add(entry.key, self.clock.steady().saturating_sub(Duration::from_millis(ago)));
            self.bell.notify_one();
        }
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
        let now = self.clock.steady();
        let (overdue, news) = self.waiting.overdue(now, within);
        let (due, oldest) = self.waiting.due(now);
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
        if *who == Who::Everybody {
            // Every change from before the pass has come through the writer by now, and is seen.
            self.store.write_meta(Vec::new(), false).await?;
        }
        let mut pass = Pass::default();
        let unfinished = self.take_up(&mut pass).await?;
        self.see_before(who, &mut pass)?;
        let touched = self.rewrite_for(who, &mut pass).await?;
        let places = [touched.places(), unfinished.into_iter().flat_map(Touched::places).collect()].concat();
        if !places.is_empty() {
            self.note(&pass, BindingStage::Purging).await?;
            step::reached("bind: rewritten");
            purge(&self.store, places).await?;
            step::reached("bind: purged");
        }
        self.note(&pass, BindingStage::Done).await?;
        step::reached("bind: noted");
        if pass.span.is_some() {
            self.store.write_meta(vec![Span::removal()], true).await?;
        }
        self.note_unchanged(&pass, who).await
    }

    /// The revisions of those whom the pass tells of even if no batch of theirs is found.
    fn see_before(&self, who: &Who, pass: &mut Pass) -> Result<(), AmendError> {
        let mut told: BTreeSet<CustomerKey> = pass.changed.clone();
        if let Who::Some(customers) = who {
            told.extend(customers);
        }
        for customer in told {
            pass.see(customer, self.seen(customer)?);
        }
        Ok(())
    }

    /// A customer of whom nothing was judged yet.
    fn seen(&self, customer: CustomerKey) -> Result<Seen, AmendError> {
        let entry = self.customers.get_by_key(customer)?;
        Ok(Seen { batches: 0, judged: entry.map(|entry| (entry.change.revision, entry.change.at)) })
    }

    /// Takes up what an earlier pass did not bring to its end. Gives where it left old bytes.
    async fn take_up(self: &Arc<Self>, pass: &mut Pass) -> Result<Option<Touched>, AmendError> {
        let store = self.store.clone();
        let span = blocking(move || Span::read(&store)).await??;
        pass.span = span;
        let mut after = None;
        while span.is_some() {
            let store = self.store.clone();
            let page = blocking(move || Bound::open(&store, after.as_deref())).await??;
            let Some((open, last)) = page else { break };
            after = Some(last);
            let mut ops = Vec::new();
            for (customer, bound) in open {
                pass.changed.insert(customer);
                let (stage, tally) = (BindingStage::Rewriting, bound.tally.taken_up());
                ops.push(Bound { stage, tally, ..bound }.row(customer)?);
            }
            if !ops.is_empty() {
                self.store.write_meta(ops, true).await?;
            }
        }
        Ok(span.map(|span| Touched::all(span.first, span.last)))
    }

    async fn rewrite_for(self: &Arc<Self>, who: &Who, pass: &mut Pass) -> Result<Touched, AmendError> {
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
        while let Some(piece) = sweep.next().await? {
            for (customer, seen) in piece.told {
                pass.see(customer, seen);
            }
            step::reached("bind: judged");
            sweep.amend(piece.amendments, &mut |changes| pass.take_in(self, changes)).await?;
        }
        Ok(sweep.touched)
    }

    fn judge(&self, scanned: &Scanned, who: &Who) -> Result<Piece<Looked, Changed>, AmendError> {
        let policy = self.policy_in_force();
        let mut judge = self.judge_by(&policy);
        judge.before = self.settling.before();
        let (mut amendments, mut told) = (Vec::new(), Looked::default());
        for at in &scanned.found {
            let customer = at.header.customer;
            if matches!(who, Who::Some(customers) if !customers.contains(&customer)) {
                continue;
            }
            let seen = match told.entry(customer) {
                // Before it is judged: a change in between makes this the older one.
                MapEntry::Vacant(new) => new.insert(self.seen(customer)?),
                MapEntry::Occupied(old) => old.into_mut(),
            };
            match judge.due(at)? {
                Due::Same => {}
                Due::Unreadable => continue,
                Due::Waits => {
                    self.settling.hold(customer);
                    continue;
                }
                Due::Change(change) => {
                    let leases = self.withdrawn(&change);
                    let Change { amendment, key, line, plan: _ } = change;
                    amendments.push((amendment, Changed { customer, key, line, leases }));
                }
            }
            seen.batches += 1;
        }
        Ok(Piece { amendments, told })
    }

    /// What the pass that is under way has counted of a customer: of its batches, and how many leases are refused.
    pub(super) fn counted(&self, customer: CustomerKey) -> Result<(Tally, u64), AmendError> {
        let open = Bound::read(&self.store, customer)?.filter(|bound| bound.stage != BindingStage::Done);
        Ok(open.map(|bound| (bound.tally, bound.withdrawn)).unwrap_or_default())
    }

    /// What is written of a customer: its row, and when it is done an entry for the ledger.
    pub(super) fn noted(
        &self,
        customer: CustomerKey,
        judged: Option<(u64, UnixMillis)>,
        (tally, withdrawn): (Tally, u64),
        stage: BindingStage,
    ) -> Result<Vec<MetaOp>, AmendError> {
        let Some(entry) = self.customers.get_by_key(customer)? else {
            // Erased as a whole since: its row goes with it.
            return Ok(vec![Bound::removal(customer)]);
        };
        let (revision, changed) = judged.unwrap_or((entry.change.revision, entry.change.at));
        let done = (stage == BindingStage::Done).then(|| self.clock.now());
        let told = done.map(|now| record::bound(customer, revision, (changed, now), &tally));
        let bound = Bound { revision, stage, tally, withdrawn, done };
        Ok([bound.row(customer)?].into_iter().chain(told).collect())
    }

    /// Writes down what was done for each customer.
    async fn note(&self, pass: &Pass, stage: BindingStage) -> Result<(), AmendError> {
        let all: Vec<CustomerKey> = pass.changed.iter().copied().collect();
        for some in all.chunks(NOTED) {
            let (mut ops, mut changed) = (Vec::new(), 0_u64);
            for customer in some {
                // Erased as a whole since: its row went with it.
                let Some(bound) = Bound::read(&self.store, *customer)? else { continue };
                let mut tally = bound.tally;
                if bound.stage == BindingStage::Rewriting {
                    tally.settle(pass.looked.get(customer).map_or(0, |seen| seen.batches));
                }
                changed = changed.saturating_add(tally.batches.saturating_sub(tally.unchanged));
                let counted = (tally, bound.withdrawn);
                ops.extend(self.noted(*customer, pass.judged(*customer), counted, stage)?);
            }
            if !ops.is_empty() {
                self.store.write_meta(ops, true).await?;
            }
            if stage == BindingStage::Done {
                Metric::BatchesBound.add(&[], changed);
            }
        }
        Ok(())
    }

    /// Of those for whom nothing was to be done, nothing is noted but of those that were asked for.
    async fn note_unchanged(&self, pass: &Pass, who: &Who) -> Result<(), AmendError> {
        let Who::Some(customers) = who else { return Ok(()) };
        let mut ops = Vec::new();
        for customer in customers.iter().filter(|customer| !pass.changed.contains(customer)) {
            let Some((revision, _)) = pass.judged(*customer) else { continue };
            // Nothing is left of who was erased meanwhile.
            if self.customers.get_by_key(*customer)?.is_none() {
                continue;
            }
            // What an earlier pass did for the same revision stays told.
            if Bound::read(&self.store, *customer)?.is_some_and(|bound| bound.revision == revision) {
                continue;
            }
            let done = Some(self.clock.now());
            let (stage, tally) = (BindingStage::Done, Tally::default());
            ops.push(Bound { revision, stage, tally, withdrawn: 0, done }.row(*customer)?);
        }
        if ops.is_empty() { Ok(()) } else { Ok(self.store.write_meta(ops, true).await?) }
    }
}
