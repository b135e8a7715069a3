//! What drainers are told of an erasure: what it is of, by the pseudonyms that they were given, and how the customer was
//! named in that.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::erasure::Scope;
use super::{AmendError, Shared};
use crate::drain::Scope as Told;
use crate::model::{Delivery, IdentifierClass, Participation};
use crate::policy::Epoch;
use crate::sanitize::{Erased, pseudonym_text};
use crate::store::CustomerEntry;

/// The revision of a customer's first participation.
const FIRST_REVISION: u64 = 1;

impl Shared {
    /// How the customer was named in what was delivered: as the levels that it ever chose treat its id, and in no
    /// other form, so that who had received a pseudonym does not learn the id from the notice.
    pub(super) fn names(
        &self,
        entry: &Arc<CustomerEntry>,
        epochs: &[u32],
    ) -> Result<Vec<String>, AmendError> {
        let (class, policy) = (IdentifierClass::CustomerId, self.policy.load());
        let id = entry.change.participation.customer.as_str();
        let since = self.histories.since(&self.store, entry, FIRST_REVISION)?;
        let mut names = BTreeSet::new();
        for participation in since.choices() {
            // What was delivered before a pause is named as without it.
            let chosen = Participation { delivery: Delivery::Deliver, ..participation.clone() };
            for of in policy.class_uses(class, &chosen, &self.options.global_caps) {
                let keys = |epoch| entry.secret.program(&of.program, epoch);
                let Some(stable) = keys(0).token(class, Epoch::Stable, id.as_bytes()) else { continue };
                for treatment in &of.treatments {
                    match *treatment {
                        "keep" => drop(names.insert(id.to_owned())),
                        "stable" => drop(names.insert(pseudonym_text(class, None, &stable))),
                        "rotating" => names.extend(epochs.iter().filter_map(|epoch| {
                            let token = keys(*epoch).rotate(class, &stable)?;
                            Some(pseudonym_text(class, Some(*epoch), &token))
                        })),
                        _ => {}
                    }
                }
            }
        }
        Ok(names.into_iter().collect())
    }
}

/// What drainers are told of a scope.
pub(super) fn told(scope: Scope, erased: Option<&Erased>, entry: &CustomerEntry) -> Told {
    let tokens = || erased.map(|erased| erased.told(&entry.secret)).unwrap_or_default();
    match scope {
        Scope::Customer => Told::Customer,
        Scope::Instance => Told::Instance { tokens: tokens() },
        Scope::Identifier { class } => Told::Identifier { class, tokens: tokens() },
        Scope::Times { from, until } => Told::Times { from, until },
    }
}
