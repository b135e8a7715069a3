//! What can be asked to be erased, and what is looked for then.

use rand::Rng as _;
use zeroize::Zeroizing;

use super::erasure::{Counts, Erasure, Scope, Stage, withheld_until};
use super::touched::Touched;
use super::{AmendError, Shared};
use crate::model::{CommitNumber, CustomerId, ErasureId, IdentifierClass, RawText, UnixMillis};
use crate::sanitize::{Erased, LiveEpochs, NONCE_BYTES, Sought, StrikeError};
use crate::store::CustomerEntry;

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
    /// Who asks for it, for the ledger: at most 128 bytes; may be empty.
    pub by: String,
}

/// A clock that is set back by less does not hide what was stored in an epoch that it says has not begun yet. An epoch that
/// begins between the plan and the fence is no matter for this: then it is planned again ([`Shared::fence`]).
const SET_BACK_MS: i64 = 60_000;

/// An erasure as it is planned.
pub(super) struct Plan {
    /// What is to be done.
    pub(super) erasure: Erasure,
    /// What is to be looked for, of a customer who stays.
    pub(super) erased: Option<Erased>,
    /// The last key epoch in which anything can have been stored until now.
    pub(super) last_epoch: u32,
}

impl Shared {
    /// What is to be done, and what is to be looked for. Blocks.
    pub(super) fn plan(&self, new: &NewErasure) -> Result<Plan, AmendError> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if new.reference.len() > REFERENCE_BYTES || !new.reference.bytes().all(is_plain) {
            let rule = "at most 64 of letters, digits, `.`, `_` and `-`: it goes on the ledger, so it must not name anybody";
            return Err(AmendError::Invalid { field: "reference", rule: rule.to_owned() });
        }
        let entry = self.customers.get(&new.customer)?.ok_or(AmendError::NoCustomer)?;
        let now = self.clock.now();
        let until = withheld_until(now);
        let chosen = self.chosen(&entry)?;
        // A program that the policy does not have any more has pseudonyms of it too, in what is stored and what was delivered.
        let mut programs = chosen.programs.clone();
        programs.extend(self.policy.load().programs().iter().map(|program| program.name().clone()));
        let programs = Vec::from_iter(programs);
        let (epochs, last_epoch) = self.epochs(&entry, now)?;
        let seek = |field: &'static str, class, value: &str| {
            if value.len() > VALUE_BYTES {
                return Err(AmendError::Invalid { field, rule: "at most 4,096 bytes".to_owned() });
            }
            let sought =
                Sought { class, value: RawText::new(value.as_bytes()), programs: &programs, epochs: &epochs };
            let mut nonces = [[0; NONCE_BYTES]; 2];
            for nonce in &mut nonces {
                rand::rng().fill_bytes(nonce);
            }
            let refused = |error: StrikeError| AmendError::Invalid { field, rule: error.to_string() };
            Erased::identifier(&sought, &entry.secret, nonces, (now, until)).map_err(refused)
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
        let given = match &new.target {
            Target::Instance(id) => Some((IdentifierClass::InstanceId, id.as_str())),
            Target::Identifier { class, value } => Some((*class, value.as_str())),
            Target::Customer | Target::Times { .. } => None,
        };
        let notice = self.notice(new.id, (scope, erased.as_ref(), given), (&entry, &chosen, &epochs), now)?;
        let erasure = Erasure {
            id: new.id,
            customer: entry.key,
            scope,
            reference: new.reference.clone(),
            by: new.by.clone(),
            requested: now,
            stage: Stage::Fenced,
            upto: CommitNumber(0),
            next: CommitNumber(1),
            counts: Counts::default(),
            touched: Some(Touched::default()),
            told: 0,
            suppress_until: until,
            notice: Some(notice),
            done: None,
        };
        Ok(Plan { erasure, erased, last_epoch })
    }

    /// The epochs of which a customer can have pseudonyms that somebody can tell, and the last in which anything is stored:
    /// those until the present one, and later ones, in which something was stored while the clock was ahead.
    fn epochs(&self, entry: &CustomerEntry, now: UnixMillis) -> Result<(LiveEpochs, u32), AmendError> {
        let (until, rotation) = (now.plus_ms(SET_BACK_MS), self.store.rotation());
        let present = rotation.epoch(until);
        let last_epoch = self.store.newest().map_or(present, |newest| rotation.epoch(newest).max(present));
        let live = self.store.live_epochs(entry, until)?;
        if last_epoch == present {
            return Ok((live, last_epoch));
        }
        let later = self.store.stored_epochs(entry.key, present)?;
        Ok((live.and(entry.secret.ratchet(), later), last_epoch))
    }
}
