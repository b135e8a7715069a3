//! Asking for an erasure: what it is of, whether it may be, and how far it is.

use std::convert::Infallible;
use std::sync::Arc;

use super::erasure::{Erasure, Scope, Stage};
use super::request::{NewErasure, Plan, Target};
use super::{Amend, AmendError, Shared, blocking, remembered};
use crate::ledger::Refusal;
use crate::model::{CustomerKey, ErasureId, UnixMillis};
use crate::sanitize::Erased;
use crate::store::{MetaOp, MetaTable, suppression_of};

/// How far an erasure is.
#[derive(Debug, Clone, PartialEq)]
pub struct ErasureReport {
    /// The erasure.
    pub erasure: Erasure,
    /// Whether it was only counted.
    pub is_preview: bool,
    /// Subscriptions that have acknowledged the notice.
    pub acknowledged: u32,
    /// Until when late arrivals are withheld.
    pub suppress_until: Option<UnixMillis>,
    /// Once it is done and the entry that says so is in the ledger: a signed checkpoint that holds this entry.
    pub checkpoint: String,
}

impl Amend {
    /// Begins an erasure: durable and fenced when it answers. The same id again gives the same erasure.
    ///
    /// # Errors
    /// If there is no such customer, the value is none of its class, the id belongs to another erasure, or the store
    /// fails.
    pub async fn erase(&self, new: NewErasure) -> Result<ErasureReport, AmendError> {
        let nothing = std::future::ready(Ok::<(), Infallible>(()));
        self.erase_after(new, nothing).await.map(|begun| match begun {
            Ok(report) => report,
            Err(never) => match never {},
        })
    }

    /// The same, where `first` is done before anything else is, and only if the erasure is accepted. If it fails, nothing
    /// is erased, and its error is the inner one.
    ///
    /// # Errors
    /// As [`Self::erase`].
    pub async fn erase_after<E: Send + 'static>(
        &self,
        new: NewErasure,
        first: impl Future<Output = Result<(), E>> + Send + 'static,
    ) -> Result<Result<ErasureReport, E>, AmendError> {
        let shared = Arc::clone(&self.shared);
        let customer = shared.customers.get(&new.customer).ok().flatten().map(|entry| entry.key);
        // Once begun it is not given up, also if the caller goes away.
        let begun = tokio::spawn(async move { shared.begin(new, first).await }).await;
        let begun = begun.unwrap_or(Err(AmendError::Stopped));
        if begun.is_err() {
            let refusals = &self.shared.options.refusals;
            match customer {
                Some(customer) => refusals.count_of(Refusal::Erasure, customer),
                None => refusals.count(Refusal::Erasure),
            }
        }
        begun
    }

    /// How far an erasure is.
    ///
    /// # Errors
    /// If there is none of this id, or the store cannot be read.
    pub async fn erasure(&self, id: ErasureId) -> Result<ErasureReport, AmendError> {
        let shared = Arc::clone(&self.shared);
        blocking(move || {
            let erasure = shared.known(id)?.ok_or(AmendError::NoErasure { id })?;
            Ok(shared.report(erasure))
        })
        .await?
    }

    /// Erasures, newest first, after the first `skip`, at most `most`.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn erasures(&self, skip: usize, most: usize) -> Result<Vec<ErasureReport>, AmendError> {
        let shared = Arc::clone(&self.shared);
        blocking(move || {
            let newest = shared.remembered().newest(skip, most);
            let mut reports = Vec::with_capacity(newest.len());
            for id in newest {
                // One that was forgotten just now is not there any more.
                reports.extend(shared.known(id)?.map(|erasure| shared.report(erasure)));
            }
            Ok(reports)
        })
        .await?
    }
}

/// The row of an erasure.
pub(super) fn encoded(erasure: &Erasure) -> Result<Vec<u8>, AmendError> {
    erasure.encode().map_err(|_| AmendError::Damaged { what: "an erasure" })
}

/// The change that writes the row of an erasure.
pub(super) fn row(erasure: &Erasure) -> Result<MetaOp, AmendError> {
    let (key, value) = (erasure.id.as_bytes().to_vec(), encoded(erasure)?);
    Ok(MetaOp::Put { table: MetaTable::Erasures, key, value })
}

/// The change that writes what is to be withheld.
pub(super) fn suppression(customer: CustomerKey, id: &ErasureId, erased: &Erased) -> MetaOp {
    let key = suppression_of(customer, id);
    MetaOp::Put { table: MetaTable::Suppressions, key, value: erased.encode() }
}

/// What becomes of an erasure that is asked for.
enum Planned {
    /// It was asked for before.
    Known(Box<ErasureReport>),
    New(Box<Plan>),
}

impl Shared {
    /// An erasure that is under way or remembered. One that is done is read from its row.
    pub(super) fn known(&self, id: ErasureId) -> Result<Option<Erasure>, AmendError> {
        let under_way = self.remembered().get(id);
        if under_way.is_some() { Ok(under_way) } else { remembered::read(&self.store, id) }
    }

    /// Keeps an erasure: its row, and in memory.
    pub(super) async fn keep(&self, erasure: &Erasure) -> Result<(), AmendError> {
        self.store.write_meta(vec![row(erasure)?], true).await?;
        self.remember(erasure.clone());
        Ok(())
    }

    pub(super) fn remember(&self, erasure: Erasure) {
        self.remembered().put(erasure);
    }

    /// Whether there may be one more.
    fn has_room(&self, erasure: &Erasure) -> Result<(), AmendError> {
        let (under_way, done) = {
            let all = self.remembered();
            (all.under_way(), all.done())
        };
        let most = self.options.erasures_under_way;
        if under_way >= most {
            return Err(AmendError::TooMany { most, what: "are under way; wait until some are done" });
        }
        let most = self.options.erasures_remembered;
        if done >= most {
            let what = "are remembered, each for a year; wait, or erase more at once: a time, an instance or a customer";
            return Err(AmendError::TooMany { most, what });
        }
        // Each is looked for in all that the customer sends, until nothing of it can arrive late any more.
        let most = self.options.erasures_of_customer;
        if erasure.scope != Scope::Customer && self.customers.erasures_of(erasure.customer)? >= most {
            let what = "of this customer still withhold what arrives late; wait, or erase a time or an instance instead";
            return Err(AmendError::TooMany { most, what });
        }
        Ok(())
    }

    /// Fences it: from when this answers on, nothing of it is stored or delivered.
    async fn begin<E>(
        self: Arc<Self>,
        new: NewErasure,
        first: impl Future<Output = Result<(), E>>,
    ) -> Result<Result<ErasureReport, E>, AmendError> {
        let shared = &self;
        let _alone = shared.beginning.lock().await;
        let (reader, new) = (Arc::clone(shared), Arc::new(new));
        let asked = Arc::clone(&new);
        let planned = blocking(move || {
            if let Some(known) = reader.known(asked.id)? {
                return reader.repeated(&asked, known).map(|known| Planned::Known(Box::new(known)));
            }
            let plan = reader.plan(&asked)?;
            reader.has_room(&plan.erasure)?;
            Ok::<_, AmendError>(Planned::New(Box::new(plan)))
        });
        let mut plan = match planned.await?? {
            Planned::Known(report) => return Ok(Ok(*report)),
            Planned::New(plan) => *plan,
        };
        if let Err(failed) = first.await {
            return Ok(Err(failed));
        }
        let erasure = loop {
            if let Some(fenced) = shared.fence(&new, plan).await? {
                break fenced;
            }
            let (reader, asked) = (Arc::clone(shared), Arc::clone(&new));
            plan = blocking(move || reader.plan(&asked)).await??;
        };
        let reader = Arc::clone(shared);
        Ok(Ok(blocking(move || reader.report(erasure)).await?))
    }

    /// The answer to an id that was used before.
    fn repeated(&self, new: &NewErasure, known: Erasure) -> Result<ErasureReport, AmendError> {
        let is_same = match (&new.target, &known.scope) {
            (Target::Customer, Scope::Customer) | (Target::Instance(_), Scope::Instance) => true,
            (Target::Identifier { class, .. }, Scope::Identifier { class: before }) => class == before,
            (Target::Times { from, until }, Scope::Times { from: first, until: end }) => {
                from == first && until == end
            }
            _ => false,
        };
        // The customer of a whole erasure has no number any more.
        let present = self.customers.get(&new.customer)?.map(|entry| entry.key);
        let is_same =
            is_same && present.is_none_or(|key| key == known.customer) && self.is_same(new, &known)?;
        if is_same { Ok(self.report(known)) } else { Err(AmendError::OtherErasure { id: new.id }) }
    }

    /// Whether an identifier is the one that was given before, as far as that is still known.
    fn is_same(&self, new: &NewErasure, known: &Erasure) -> Result<bool, AmendError> {
        if self.customers.get_by_key(known.customer)?.is_none() {
            return Ok(true);
        }
        let (before, now) = (self.erased(known)?, self.plan(new)?.erased);
        Ok(match (before, now, known.scope) {
            (Some(before), Some(now), Scope::Instance | Scope::Identifier { .. }) => before.is_of_same(&now),
            (_, _, Scope::Customer | Scope::Times { .. }) | (None, ..) | (_, None, _) => true,
        })
    }

    /// What is said of an erasure. Blocks: a checkpoint may have to be signed.
    pub(super) fn report(&self, erasure: Erasure) -> ErasureReport {
        let (_, acknowledged) = self.drain.notices_acknowledged(erasure.id);
        let suppress_until = Some(erasure.suppress_until);
        let certified = self.ledger.as_ref().filter(|_| erasure.stage == Stage::Done);
        let checkpoint = certified.and_then(|ledger| ledger.checkpoint_of(erasure.told).ok().flatten());
        let checkpoint = checkpoint.map(|signed| signed.note().to_owned()).unwrap_or_default();
        let acknowledged = u32::try_from(acknowledged).unwrap_or(u32::MAX);
        ErasureReport { erasure, is_preview: false, acknowledged, suppress_until, checkpoint }
    }
}
