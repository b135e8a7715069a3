//! Asking for an erasure: what it is of, the fence, and how far it is.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use rand::Rng as _;
use zeroize::Zeroizing;

use super::erasing::Wanted;
use super::erasure::{Counts, Erasure, Scope, Stage};
use super::{Amend, AmendError, Shared, blocking, record};
use crate::ledger::{ErasureStep, Refusal};
use crate::model::{
    CommitNumber, CustomerId, CustomerKey, ErasureId, IdentifierClass, ProgramName, RawText, UnixMillis,
    limits,
};
use crate::sanitize::{Erased, NONCE_BYTES, Sought, StrikeError};
use crate::store::{Customers, MetaOp, MetaTable, Store, step, suppression_of, suppression_of_mark};

/// Erasures that may be under way or remembered.
const ERASURES: usize = 10_000;
/// Bytes of a reference.
const REFERENCE_BYTES: usize = 64;
/// Bytes of an original identifier.
const VALUE_BYTES: usize = 4_096;

/// What is to be erased.
pub enum Target {
    /// Everything of the customer.
    Customer,
    /// Everything of one installation, by the id that its senders use.
    Instance(Zeroizing<String>),
    /// Every event that holds an identifier.
    Identifier {
        /// Its class.
        class: IdentifierClass,
        /// Its value, in any form of the class.
        value: Zeroizing<String>,
    },
    /// Every event that happened from a time until another.
    Times {
        /// The first time.
        from: UnixMillis,
        /// The end, excluded.
        until: UnixMillis,
    },
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Target(..)")
    }
}

/// An erasure that is asked for.
#[derive(Debug)]
pub struct NewErasure {
    /// Its id.
    pub id: ErasureId,
    /// Whose data.
    pub customer: CustomerId,
    /// What.
    pub target: Target,
    /// A reference for the ledger: at most 64 of letters, digits, `.`, `_` and `-`; may be empty.
    pub reference: String,
}

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
    /// Once it is done: the signed checkpoint of the ledger that holds the receipt.
    pub checkpoint: String,
}

/// The erasures whose rows are stored.
pub(super) fn load(store: &Store) -> Result<BTreeMap<ErasureId, Erasure>, AmendError> {
    let rows = store.load_meta(MetaTable::Erasures)?;
    let read = |(_, row): &(Vec<u8>, Vec<u8>)| {
        let erasure = Erasure::decode(row).ok_or(AmendError::Damaged { what: "an erasure" })?;
        Ok((erasure.id, erasure))
    };
    rows.iter().map(read).collect()
}

impl Amend {
    /// Begins an erasure: durable and fenced when it answers. The same id again gives the same erasure.
    ///
    /// # Errors
    /// If there is no such customer, the value is none of its class, the id belongs to another erasure, or the store
    /// fails.
    pub async fn erase(&self, new: NewErasure) -> Result<ErasureReport, AmendError> {
        let shared = Arc::clone(&self.shared);
        let customer = shared.customers.get(&new.customer).ok().flatten().map(|entry| entry.key);
        // Once begun it is not given up, also if the caller goes away.
        let begun = tokio::spawn(async move { shared.begin(new).await }).await;
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

    /// Counts what an erasure would take out. Nothing is changed.
    ///
    /// # Errors
    /// As [`Self::erase`].
    pub async fn preview_erasure(&self, new: NewErasure) -> Result<ErasureReport, AmendError> {
        let shared = Arc::clone(&self.shared);
        blocking(move || {
            let (mut erasure, erased) = shared.plan(&new)?;
            erasure.upto = shared.store.head();
            let entry = shared.customers.get_by_key(erasure.customer)?.ok_or(AmendError::NoCustomer)?;
            let wanted = Wanted::new(&erasure, erased.as_ref(), &entry)?;
            shared.count(&mut erasure, &wanted)?;
            let mut report = shared.report(erasure);
            report.is_preview = true;
            Ok(report)
        })
        .await?
    }

    /// How far an erasure is.
    ///
    /// # Errors
    /// If there is none of this id.
    pub fn erasure(&self, id: ErasureId) -> Result<ErasureReport, AmendError> {
        let erasure = self.shared.known(id).ok_or(AmendError::NoErasure { id })?;
        Ok(self.shared.report(erasure))
    }

    /// Erasures, newest first, after the first `skip`, at most `most`.
    #[must_use]
    pub fn erasures(&self, skip: usize, most: usize) -> Vec<ErasureReport> {
        let shared = &self.shared;
        let mut all: Vec<Erasure> =
            shared.erasures.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        all.sort_by_key(|erasure| std::cmp::Reverse((erasure.requested, erasure.id)));
        all.into_iter().skip(skip).take(most).map(|erasure| shared.report(erasure)).collect()
    }
}

/// The change that writes the row of an erasure.
pub(super) fn row(erasure: &Erasure) -> Result<MetaOp, AmendError> {
    let value = erasure.encode().map_err(|_| AmendError::Damaged { what: "an erasure" })?;
    Ok(MetaOp::Put { table: MetaTable::Erasures, key: erasure.id.as_bytes().to_vec(), value })
}

/// The change that writes what is to be withheld.
pub(super) fn suppression(customer: CustomerKey, id: &ErasureId, erased: &Erased) -> MetaOp {
    let key = suppression_of(customer, id);
    MetaOp::Put { table: MetaTable::Suppressions, key, value: erased.encode() }
}

impl Shared {
    pub(super) fn known(&self, id: ErasureId) -> Option<Erasure> {
        self.erasures.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// Keeps an erasure: its row, and in memory.
    pub(super) async fn keep(&self, erasure: &Erasure) -> Result<(), AmendError> {
        self.store.write_meta(vec![row(erasure)?], true).await?;
        self.remember(erasure.clone());
        Ok(())
    }

    /// Keeps up to where an erasure reaches. What is stored behind that happened after it was asked for: drainers get
    /// it as it is, however long the bytes before it take to go.
    pub(super) async fn reach(&self, erasure: &Erasure, erased: Option<Erased>) -> Result<(), AmendError> {
        let mut ops = vec![row(erasure)?];
        if let Some(mut erased) = erased {
            erased.upto = erasure.upto;
            ops.push(suppression(erasure.customer, &erasure.id, &erased));
            ops.push(MetaOp::Touch(erasure.customer));
        }
        self.store.write_meta(ops, true).await?;
        self.remember(erasure.clone());
        Ok(())
    }

    pub(super) fn remember(&self, erasure: Erasure) {
        self.erasures.lock().unwrap_or_else(PoisonError::into_inner).insert(erasure.id, erasure);
    }

    /// Fences it: from when this answers on, nothing of it is stored or delivered.
    async fn begin(self: Arc<Self>, new: NewErasure) -> Result<ErasureReport, AmendError> {
        let shared = &self;
        let _alone = shared.beginning.lock().await;
        if let Some(known) = shared.known(new.id) {
            return shared.repeated(&new, known);
        }
        if shared.erasures.lock().unwrap_or_else(PoisonError::into_inner).len() >= ERASURES {
            return Err(AmendError::TooMany { most: ERASURES });
        }
        let (erasure, erased) = shared.plan(&new)?;
        // Each is looked for in all that the customer sends, until nothing of it can arrive late any more.
        if erasure.scope != Scope::Customer
            && shared.customers.erasures_of(erasure.customer)? >= Customers::ERASURES
        {
            return Err(AmendError::TooMany { most: Customers::ERASURES });
        }
        let mut ops = vec![row(&erasure)?, record::step(&erasure, ErasureStep::Fenced, erasure.requested)];
        if let Some(erased) = &erased {
            ops.push(suppression(erasure.customer, &erasure.id, erased));
            ops.push(MetaOp::Touch(erasure.customer));
        }
        if erasure.scope == Scope::Customer {
            // The keys go in the write that begins it: there is no moment in which the one is there without the other.
            let mark = shared.customers.mark(&new.customer);
            let all = Erased::times(
                UnixMillis(i64::MIN),
                erasure.requested,
                (erasure.requested, erasure.suppress_until),
            );
            let mut all = all;
            all.rewritten();
            let key = suppression_of_mark(&mark);
            ops.push(MetaOp::Put { table: MetaTable::Suppressions, key, value: all.encode() });
            ops.push(record::customer_erased(&erasure, erasure.requested));
            ops.push(record::step(&erasure, ErasureStep::KeysDestroyed, erasure.requested));
            shared.store.destroy_customer(erasure.customer, ops).await?;
            shared.customers.forget(&new.customer, erasure.customer);
        } else {
            shared.store.write_meta(ops, true).await?;
        }
        step::reached("erase: fenced");
        let mut erasure = erasure;
        if let Err(error) = shared.mark_out(&mut erasure).await {
            // It is fenced all the same, and goes on from here.
            tracing::warn!(%error, "an erasure is begun, and its next step is tried again");
            erasure.upto = CommitNumber(0);
            shared.remember(erasure.clone());
        }
        shared.bell.notify_one();
        tracing::info!(erasure = %erasure.id, scope = erasure.scope.as_str(), "erasure begun");
        Ok(shared.report(erasure))
    }

    /// Says up to where there can be something of it, and has leases of that refused.
    pub(super) async fn mark_out(self: &Arc<Self>, erasure: &mut Erasure) -> Result<(), AmendError> {
        // Nothing that is stored after the fence can hold it.
        erasure.upto = self.store.head();
        self.revoke_leases(erasure).await?;
        step::reached("erase: leases revoked");
        let erased = self.erased(erasure)?;
        self.reach(erasure, erased).await
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
        let (before, now) = (self.erased(known)?, self.plan(new)?.1);
        Ok(match (before, now, known.scope) {
            (Some(before), Some(now), Scope::Instance | Scope::Identifier { .. }) => before.is_of_same(&now),
            (_, _, Scope::Customer | Scope::Times { .. }) | (None, ..) | (_, None, _) => true,
        })
    }

    pub(super) fn report(&self, erasure: Erasure) -> ErasureReport {
        let (_, acknowledged) = self.drain.notices_acknowledged(erasure.id);
        let suppress_until = Some(erasure.suppress_until);
        let certified = self.ledger.as_ref().filter(|_| erasure.stage == Stage::Done);
        let checkpoint = certified.and_then(|ledger| ledger.checkpoint().ok());
        let checkpoint = checkpoint.map(|signed| signed.note().to_owned()).unwrap_or_default();
        let acknowledged = u32::try_from(acknowledged).unwrap_or(u32::MAX);
        ErasureReport { erasure, is_preview: false, acknowledged, suppress_until, checkpoint }
    }

    /// What is to be done, and what is to be looked for. Blocks.
    fn plan(&self, new: &NewErasure) -> Result<(Erasure, Option<Erased>), AmendError> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if new.reference.len() > REFERENCE_BYTES || !new.reference.bytes().all(is_plain) {
            let rule = "at most 64 of letters, digits, `.`, `_` and `-`: it goes on the ledger, so it must not name anybody";
            return Err(AmendError::Invalid { field: "reference", rule: rule.to_owned() });
        }
        let entry = self.customers.get(&new.customer)?.ok_or(AmendError::NoCustomer)?;
        let now = self.clock.now();
        // Events from before that are withheld as too old by then.
        let until = now.plus_ms(limits::CLOCK_BEHIND_MS);
        let programs: Vec<ProgramName> =
            self.policy.load().programs().iter().map(|program| program.name().clone()).collect();
        let epochs: Vec<u32> = (self.store.oldest_epoch(now)..=self.options.rotation.epoch(now)).collect();
        let seek = |field: &'static str, class, value: &str| {
            if value.len() > VALUE_BYTES {
                return Err(AmendError::Invalid { field, rule: "at most 4,096 bytes".to_owned() });
            }
            let sought =
                Sought { class, value: RawText::new(value.as_bytes()), programs: &programs, epochs: &epochs };
            let mut nonce = [0; NONCE_BYTES];
            rand::rng().fill_bytes(&mut nonce);
            let refused = |error: StrikeError| AmendError::Invalid { field, rule: error.to_string() };
            Erased::identifier(&sought, &entry.secret, nonce, (now, until)).map_err(refused)
        };
        let (scope, erased) = match &new.target {
            Target::Customer => (Scope::Customer, None),
            Target::Instance(id) => {
                (Scope::Instance, Some(seek("instance", IdentifierClass::InstanceId, id)?))
            }
            Target::Identifier { class, value } => {
                (Scope::Identifier { class: *class }, Some(seek("identifier.value", *class, value)?))
            }
            Target::Times { from, until: end } if from < end => {
                let erased = Erased::times(*from, *end, (now, until));
                (Scope::Times { from: *from, until: *end }, Some(erased))
            }
            Target::Times { .. } => {
                let rule = "the beginning must come before the end".to_owned();
                return Err(AmendError::Invalid { field: "times", rule });
            }
        };
        let notice = self.notice(new.id, (scope, erased.as_ref()), (&entry, &epochs), now)?;
        let erasure = Erasure {
            id: new.id,
            customer: entry.key,
            scope,
            reference: new.reference.clone(),
            requested: now,
            stage: Stage::Fenced,
            upto: CommitNumber(0),
            next: CommitNumber(1),
            counts: Counts::default(),
            suppress_until: until,
            notice: Some(notice),
            done: None,
        };
        Ok((erasure, erased))
    }
}
