//! What drainers are told of an erasure: what it is of, by the pseudonyms that they were given, or by the value itself
//! where a level keeps it; and how the customer was named in that.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::erasure::Scope;
use super::{AmendError, Shared};
use crate::drain::{CustomerName, Notice, Scope as Told, Since};
use crate::model::{
    Delivery, ErasureId, IdentifierClass, Participation, ProgramName, Purpose, Purposes, UnixMillis,
};
use crate::policy::{ClassUse, Epoch};
use crate::sanitize::{Erased, LiveEpochs, Named, pseudonym_text, written};
use crate::store::CustomerEntry;

/// The revision of a customer's first participation.
const FIRST_REVISION: u64 = 1;

/// Revisions that are read at a time.
const PAGE: usize = 256;

/// An identifier that is erased, as it was given.
pub(super) type Given<'a> = (IdentifierClass, &'a str);

/// Texts that are an erased value itself, and of which programs they may have left for what.
type Kept = BTreeMap<String, BTreeMap<ProgramName, BTreeSet<Purpose>>>;

/// Texts that name a customer, and where each may stand.
type Names = BTreeMap<String, Vec<CustomerName>>;

/// What a customer ever chose: what was delivered of it was decided under that, whatever the policy has today.
pub(super) struct Chosen {
    /// Each choice; none if there were too many.
    history: Since,
    /// The programs in which it ever took part.
    pub(super) programs: BTreeSet<ProgramName>,
}

impl Shared {
    /// The notice of an erasure that was asked for `now`, not addressed to anybody yet.
    pub(super) fn notice(
        &self,
        erasure: ErasureId,
        (scope, erased, given): (Scope, Option<&Erased>, Option<Given<'_>>),
        (entry, chosen, epochs): (&CustomerEntry, &Chosen, &LiveEpochs),
        now: UnixMillis,
    ) -> Result<Notice, AmendError> {
        let names = self.names(entry, chosen, epochs)?;
        let customers = names.keys().cloned().collect();
        let mut programs = BTreeMap::<String, BTreeSet<ProgramName>>::new();
        let told = erased.map(|erased| erased.told(&entry.secret, epochs)).unwrap_or_default();
        let kept = given.map(|given| self.kept(given, entry, chosen)).unwrap_or_default();
        let tokens = told.iter().map(|(_, text)| text).chain(kept.keys()).cloned().collect();
        for (program, text) in told {
            programs.entry(text).or_default().insert(program);
        }
        let scope = match scope {
            Scope::Customer => Told::Customer,
            Scope::Instance => Told::Instance { tokens },
            Scope::Identifier { class } => Told::Identifier { class, tokens },
            Scope::Times { from, until } => Told::Times { from, until },
        };
        let leaves = self.leaves(chosen);
        Ok(Notice { erasure, scope, customers, requested: now, programs, kept, names, leaves })
    }

    /// What the customer ever chose, up to now.
    pub(super) fn chosen(&self, entry: &Arc<CustomerEntry>) -> Result<Chosen, AmendError> {
        let history = self.histories.since(&self.store, entry, FIRST_REVISION)?;
        let mut programs = BTreeSet::new();
        let mut take = |one: &Participation| {
            let levels = one.levels.iter().filter(|(_, level)| !level.is_none());
            programs.extend(levels.map(|(program, _)| program.clone()));
        };
        history.choices().into_iter().for_each(&mut take);
        if history.choices().is_empty() {
            // Too many to have at hand.
            let mut before = None;
            loop {
                let page = self.store.history(&entry.change.participation.customer, before, PAGE)?;
                for change in &page {
                    take(&change.participation);
                }
                before = page.last().map(|change| change.revision);
                if before.is_none_or(|oldest| oldest <= FIRST_REVISION) {
                    break;
                }
            }
        }
        Ok(Chosen { history, programs })
    }

    /// For which purposes data of the customer may leave at the levels that it ever chose. Of a level that the policy
    /// does not have any more nobody knows what it allowed: for any.
    fn leaves(&self, chosen: &Chosen) -> BTreeMap<ProgramName, BTreeSet<Purpose>> {
        let policy = self.policy.load();
        let choices = chosen.history.choices();
        let any = || Purpose::ALL.iter().copied().collect();
        let none = |program: &ProgramName| {
            (program.clone(), if choices.is_empty() { any() } else { BTreeSet::new() })
        };
        let mut leaves: BTreeMap<_, BTreeSet<_>> = chosen.programs.iter().map(none).collect();
        for (program, level) in choices.iter().flat_map(|choice| &choice.levels) {
            let Some(purposes) = leaves.get_mut(program).filter(|_| !level.is_none()) else { continue };
            let known = policy.program(program.as_str());
            match known.and_then(|known| known.levels().iter().find(|one| one.name() == level)) {
                Some(known) => purposes.extend(known.purposes().iter()),
                None => *purposes = any(),
            }
        }
        leaves
    }

    /// How the customer may be named in what was delivered. Of each form in which it was named to some subscription, each
    /// is told those in which it was named to it, so that who had received a pseudonym does not learn the id from the
    /// notice. Where that is not known, it is told the forms that the levels that the customer ever chose have today;
    /// and each, if one of them says nothing of it today.
    fn names(
        &self,
        entry: &CustomerEntry,
        chosen: &Chosen,
        epochs: &LiveEpochs,
    ) -> Result<Names, AmendError> {
        let (likely, known) = (self.likely(chosen), self.drain.named(entry.key)?);
        let (class, id) = (IdentifierClass::CustomerId, entry.change.participation.customer.as_str());
        let mut names = Names::new();
        for program in &chosen.programs {
            let mut name = |text: String, named| {
                let form = (program.clone(), named);
                let is_likely = likely.contains(&form);
                // A row that is not needed does not say who a customer is.
                if is_likely || known.contains(&form) {
                    let program = program.clone();
                    names.entry(text).or_default().push(CustomerName { program, named, is_likely });
                }
            };
            name(id.to_owned(), Named::Id);
            let keys = entry.secret.program(program, 0);
            let Some(stable) = keys.token(class, Epoch::Stable, id.as_bytes()) else { continue };
            name(pseudonym_text(class, None, &stable), Named::Stable);
            for (epoch, token) in epochs.rotated(&entry.secret, program, (class, &stable)) {
                name(pseudonym_text(class, Some(epoch), &token), Named::Rotating);
            }
        }
        Ok(names)
    }

    /// An identifier itself, with the programs in which, and the purposes for which, it may have been delivered as it is: a
    /// level that the customer ever chose keeps today a field of its class, or text in which it can stand, or the policy
    /// does not say what was done with it. Who received it has nothing else to find it by.
    fn kept(&self, (class, value): Given<'_>, entry: &CustomerEntry, chosen: &Chosen) -> Kept {
        let is_text = |one: &IdentifierClass| {
            !one.is_found_in_text() && *one != IdentifierClass::NotIdentifying && *one != class
        };
        let texts = IdentifierClass::ALL.iter().copied().filter(is_text);
        let classes: Vec<IdentifierClass> = std::iter::once(class).chain(texts).collect();
        let texts = written(class, value);
        let id = entry.change.participation.customer.as_str();
        let is_own_id = class == IdentifierClass::CustomerId && texts.iter().any(|text| text == id);
        let (uses, unsaid) = self.uses(&classes, chosen);
        let mut programs = BTreeMap::<ProgramName, BTreeSet<Purpose>>::new();
        let unsaid = unsaid.into_iter().map(|program| (program, Purposes::ALL));
        let said = uses
            .into_iter()
            .map(|of| (of.program, if is_own_id && of.names_customer { Purposes::ALL } else { of.kept }));
        for (program, purposes) in said.chain(unsaid).filter(|(_, purposes)| !purposes.is_empty()) {
            programs.entry(program).or_default().extend(purposes.iter());
        }
        if programs.is_empty() {
            return Kept::new();
        }
        texts.into_iter().map(|text| (text, programs.clone())).collect()
    }

    /// The forms in which the levels that the customer ever chose name it today, by program; all of them where the policy
    /// does not say.
    fn likely(&self, chosen: &Chosen) -> BTreeSet<(ProgramName, Named)> {
        let (uses, unsaid) = self.uses(&[IdentifierClass::CustomerId], chosen);
        let mut likely = BTreeSet::new();
        for ClassUse { program, treatments, .. } in uses {
            let named = treatments.iter().filter_map(|treatment| match *treatment {
                "keep" => Some(Named::Id),
                "stable" => Some(Named::Stable),
                "rotating" => Some(Named::Rotating),
                _ => None,
            });
            likely.extend(named.map(|named| (program.clone(), named)));
        }
        for program in unsaid {
            likely.extend(Named::ALL.map(|named| (program.clone(), named)));
        }
        likely
    }

    /// What the levels that the customer ever chose do with any of these classes today; and the programs of which the
    /// policy does not say that.
    fn uses(&self, classes: &[IdentifierClass], chosen: &Chosen) -> (Vec<ClassUse>, BTreeSet<ProgramName>) {
        let policy = self.policy.load();
        let mut all = Vec::new();
        let mut unsaid = BTreeSet::new();
        let choices = chosen.history.choices();
        if choices.is_empty() {
            unsaid.extend(chosen.programs.iter().cloned());
        }
        for participation in choices {
            // What was delivered before a pause is named as without it.
            let delivered = Participation { delivery: Delivery::Deliver, ..participation.clone() };
            let uses = policy.class_uses(classes, &delivered, &self.options.global_caps);
            let is_unsaid = |program: &&ProgramName| {
                participation.levels.get(*program).is_some_and(|level| !level.is_none())
                    && !uses.iter().any(|of| of.program == **program)
            };
            unsaid.extend(chosen.programs.iter().filter(is_unsaid).cloned());
            for one in uses {
                if !all.contains(&one) {
                    all.push(one);
                }
            }
        }
        (all, unsaid)
    }
}
