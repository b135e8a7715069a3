//! What drainers are told of an erasure: what it is of, by the pseudonyms that they were given, and how the customer was
//! named in that.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::erasure::Scope;
use super::{AmendError, Shared};
use crate::drain::{Notice, Scope as Told};
use crate::model::{Delivery, ErasureId, IdentifierClass, Participation, ProgramName, Purpose, UnixMillis};
use crate::policy::Epoch;
use crate::sanitize::{Erased, pseudonym_text};
use crate::store::CustomerEntry;

/// The revision of a customer's first participation.
const FIRST_REVISION: u64 = 1;

/// Texts, and of which programs each is.
type Texts = BTreeMap<String, BTreeSet<ProgramName>>;

impl Shared {
    /// The notice of an erasure that was asked for `now`, not addressed to anybody yet.
    pub(super) fn notice(
        &self,
        erasure: ErasureId,
        (scope, erased): (Scope, Option<&Erased>),
        (entry, epochs): (&Arc<CustomerEntry>, &[u32]),
        now: UnixMillis,
    ) -> Result<Notice, AmendError> {
        let mut programs = self.names(entry, epochs)?;
        let customers = programs.keys().cloned().collect();
        let told = erased.map(|erased| erased.told(&entry.secret)).unwrap_or_default();
        let tokens = told.iter().map(|(_, text)| text.clone()).collect();
        for (program, text) in told {
            programs.entry(text).or_default().insert(program);
        }
        let scope = match scope {
            Scope::Customer => Told::Customer,
            Scope::Instance => Told::Instance { tokens },
            Scope::Identifier { class } => Told::Identifier { class, tokens },
            Scope::Times { from, until } => Told::Times { from, until },
        };
        let leaves = self.leaves(entry)?;
        Ok(Notice { erasure, scope, customers, requested: now, programs, leaves })
    }

    /// For which purposes data of the customer may have left: those of the levels that it ever chose.
    fn leaves(
        &self,
        entry: &Arc<CustomerEntry>,
    ) -> Result<BTreeMap<ProgramName, BTreeSet<Purpose>>, AmendError> {
        let policy = self.policy.load();
        let since = self.histories.since(&self.store, entry, FIRST_REVISION)?;
        let mut leaves = BTreeMap::<ProgramName, BTreeSet<Purpose>>::new();
        for (program, level) in since.choices().into_iter().flat_map(|choice| &choice.levels) {
            let known = policy.program(program.as_str());
            let chosen = known.and_then(|known| known.levels().iter().find(|one| one.name() == level));
            if let Some(chosen) = chosen {
                leaves.entry(program.clone()).or_default().extend(chosen.purposes().iter());
            }
        }
        Ok(leaves)
    }

    /// How the customer was named in what was delivered: as the levels that it ever chose treat its id, and in no
    /// other form, so that who had received a pseudonym does not learn the id from the notice.
    fn names(&self, entry: &Arc<CustomerEntry>, epochs: &[u32]) -> Result<Texts, AmendError> {
        let (class, policy) = (IdentifierClass::CustomerId, self.policy.load());
        let id = entry.change.participation.customer.as_str();
        let since = self.histories.since(&self.store, entry, FIRST_REVISION)?;
        let mut names = Texts::new();
        for participation in since.choices() {
            // What was delivered before a pause is named as without it.
            let chosen = Participation { delivery: Delivery::Deliver, ..participation.clone() };
            for of in policy.class_uses(class, &chosen, &self.options.global_caps) {
                let keys = |epoch| entry.secret.program(&of.program, epoch);
                let Some(stable) = keys(0).token(class, Epoch::Stable, id.as_bytes()) else { continue };
                let mut name = |text| names.entry(text).or_default().insert(of.program.clone());
                for treatment in &of.treatments {
                    match *treatment {
                        "keep" => drop(name(id.to_owned())),
                        "stable" => drop(name(pseudonym_text(class, None, &stable))),
                        "rotating" => {
                            for epoch in epochs {
                                let Some(token) = keys(*epoch).rotate(class, &stable) else { continue };
                                name(pseudonym_text(class, Some(*epoch), &token));
                            }
                        }
                        _ => {}
                    }
                }
            }
        }
        Ok(names)
    }
}
