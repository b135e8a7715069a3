//! The collection plan: what of a product is wanted at the level in force, so that a sender need not collect
//! the rest. Read off the plans that ingest uses: a source that sends what is wanted, and nothing else, has the
//! same bytes stored as one that sends everything.
//!
//! **That holds of secrets and customer content, too, if the source does what the plan says of them** ([`Wish::Cut`]).
//! Ingest replaces such a value by a marker wherever it stands in redacted text, if it came in a field of the request.
//! Nobody is asked to send it for that: a password is best known to fewer, not to a collector more. So the plan tells the
//! marker, and the source puts it in the place of the value. One that leaves the field out and the value in its text
//! has it stored there, unless a detector knows its form.

use std::fmt;

use sha2::{Digest, Sha256};

use super::compiled::Policy;
use super::decide::Decision;
use super::pair::Holders;
use super::treatment::Epoch;
use super::{Action, EventPlan, Field, Form, Plan, Shape};
use crate::model::{
    Delivery, EventName, FieldPath, IdentifierClass, LevelName, Participation, ProgramName, RawText, Reason,
};

/// Whether anything is collected, and what becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CollectionState {
    /// It is stored and drained.
    Deliver,
    /// It is stored and never drained.
    Audit,
    /// Nothing is, for now.
    Paused,
    /// Nothing is: the customer does not take part in anything that the product has.
    Disabled,
}

impl CollectionState {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deliver => "deliver",
            Self::Audit => "audit",
            Self::Paused => "paused",
            Self::Disabled => "disabled",
        }
    }
}

/// A digest of a collection plan: the same for equal plans, whichever policy they are from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct CollectionVersion([u8; 8]);

impl CollectionVersion {
    /// Whether `text` is this version as it is displayed.
    #[must_use]
    pub fn is(self, text: RawText<'_>) -> bool {
        let mut own = [0; 16];
        RawText::new(data_encoding::HEXLOWER.encode_mut_str(&self.0, &mut own).as_bytes()) == text
    }
}

impl fmt::Display for CollectionVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(data_encoding::HEXLOWER.encode_mut_str(&self.0, &mut [0; 16]))
    }
}

/// What is wanted of a product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collection {
    /// Whether anything is.
    pub state: CollectionState,
    /// Tells this plan from another.
    pub version: CollectionVersion,
    /// Why nothing is wanted, if nothing is.
    pub refused: Option<Reason>,
    /// The programs that the product has events of.
    pub programs: Vec<ProgramWish>,
    /// The version of the dictionary; 0 if nothing is wanted.
    pub dictionary_version: u32,
    /// The version up to which the customer has accepted it.
    pub accepted_version: u32,
    /// The events of the dictionary, in its order; none if nothing is wanted.
    pub events: Vec<EventWish>,
}

/// The level of a program, and what becomes of who reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramWish {
    /// The program.
    pub program: ProgramName,
    /// The level in force.
    pub level: LevelName,
    /// In which form the id of the customer is stored; empty if it is not.
    pub customer: String,
    /// In which form the id of the installation is stored; empty if it is not.
    pub instance: String,
}

/// Whether an event is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventWish {
    /// Its name.
    pub name: EventName,
    /// Its program.
    pub program: ProgramName,
    /// Why it is not wanted, if it is not.
    pub withheld: Option<Reason>,
    /// Its fields, in the order of the dictionary; if it is not wanted, only those that have to do with the text of other
    /// events.
    pub fields: Vec<FieldWish>,
}

/// Whether a field is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldWish {
    /// Its path in the event.
    pub path: FieldPath,
    /// Whether it is, and in which form it is stored.
    pub wish: Wish,
}

/// Whether a value is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// It is stored.
    Stored {
        /// The treatment, as explain and the table of a batch say it.
        treatment: &'static str,
        /// The same with its particulars, such as `pseudonym, rotating`.
        form: String,
    },
    /// It is not stored. Beside text of the same program that is redacted it is of use, whatever event it is in:
    /// it is found there and replaced. That holds of the id of the installation too.
    Context(Reason),
    /// It is never stored, and not wanted either. Where its value stands in text of the same program that is redacted,
    /// the source is to put the marker of its class, as ingest would if the value came.
    Cut(Reason, IdentifierClass),
    /// It is not stored: not wanted.
    Unwanted(Reason),
}

impl Policy {
    /// Whether anything of a product is collected of a customer, under the decision on it.
    #[must_use]
    pub fn collection_state(
        &self,
        participation: Option<&Participation>,
        decision: &Decision,
    ) -> CollectionState {
        let delivery = participation.map(|participation| participation.delivery);
        let mut takes_part = self.concerned(decision.product).iter().map(|at| decision.rank(*at) > 0);
        match delivery {
            Some(Delivery::Paused) => CollectionState::Paused,
            Some(Delivery::Deliver) if takes_part.any(|part| part) => CollectionState::Deliver,
            Some(Delivery::Audit) if takes_part.any(|part| part) => CollectionState::Audit,
            Some(Delivery::Deliver | Delivery::Audit) | None => CollectionState::Disabled,
        }
    }

    /// The version of the plan that [`Self::collection`] makes. Asked once per request: a look at the plans in
    /// force, which ingest has in its hands anyway, and one short digest.
    #[must_use]
    pub fn collection_version(&self, state: CollectionState, decision: &Decision) -> CollectionVersion {
        let mut digest = Sha256::new();
        digest.update(b"usaged/collection/v1 ");
        digest.update(state.as_str());
        if let Some(reason) = decision.refused {
            digest.update(reason.as_str());
        } else {
            for at in self.concerned(decision.product) {
                match decision.plan_key(*at, decision.rank(*at)) {
                    Some(key) => digest.update(self.plan(key).fingerprint),
                    None => digest.update(withheld(decision, *at).as_str()),
                }
            }
        }
        CollectionVersion(digest.finalize().first_chunk().copied().unwrap_or_default())
    }

    /// What of a product is wanted of a customer, under the decision on it.
    #[must_use]
    pub fn collection(&self, participation: Option<&Participation>, decision: &Decision) -> Collection {
        let state = self.collection_state(participation, decision);
        let version = self.collection_version(state, decision);
        let wants = matches!(state, CollectionState::Deliver | CollectionState::Audit);
        let product = decision.product.and_then(|at| self.product_at(at)).filter(|_| wants);
        let refused = (!wants).then(|| decision.refused.unwrap_or(Reason::NotParticipating));
        let Some(product) = product else {
            let (programs, events) = (Vec::new(), Vec::new());
            return Collection {
                state,
                version,
                refused,
                programs,
                dictionary_version: 0,
                accepted_version: 0,
                events,
            };
        };
        let plan = |at: usize| decision.plan_key(at, decision.rank(at)).map(|key| self.plan(key));
        let concerned = self.concerned(decision.product);
        let plans: Vec<_> = concerned.iter().map(|at| (*at, plan(*at))).collect();
        let holders = Holders::new(product);
        let mut events = Vec::with_capacity(product.events().len());
        for (number, event) in product.events().iter().enumerate() {
            let plan =
                plans.iter().find(|(at, _)| *at == event.program()).and_then(|(_, plan)| plan.as_ref());
            let withheld = match plan.map(|plan| (plan, plan.events.get(number))) {
                Some((_, Some(EventPlan::Store { .. }))) => None,
                Some((_, Some(EventPlan::Withhold(reason)))) => Some(*reason),
                Some((_, None)) | None => Some(withheld(decision, event.program())),
            };
            let mut fields = Vec::new();
            if let Some(plan) = plan {
                let look = Look { plan, holders: &holders, redacts: redacts(plan), event: withheld };
                let wish = |(at, field): (u32, &Field)| {
                    let wish = look.wish(at, field);
                    let told = withheld.is_none() || matches!(wish, Wish::Context(_) | Wish::Cut(..));
                    told.then(|| FieldWish { path: field.path().clone(), wish })
                };
                fields = product.fields(event).filter_map(wish).collect();
            }
            let program = self.programs().get(event.program()).map(|program| program.name().clone());
            events.extend(program.map(|program| EventWish {
                name: event.name().clone(),
                program,
                withheld,
                fields,
            }));
        }
        let programs = self.effective(decision).into_iter().zip(&plans);
        let programs = programs.map(|((program, level), (_, plan))| ProgramWish {
            program,
            level,
            customer: plan.as_ref().map(|plan| form(&plan.customer)).unwrap_or_default(),
            instance: plan.as_ref().map(|plan| form(&plan.instance)).unwrap_or_default(),
        });
        Collection {
            state,
            version,
            refused,
            programs: programs.collect(),
            dictionary_version: product.version(),
            accepted_version: decision.accepted_version,
            events,
        }
    }
}

/// Why nothing of a program is stored that is at `none`.
fn withheld(decision: &Decision, program: usize) -> Reason {
    let decided = decision.programs.get(program).and_then(|decided| decided.withheld);
    decided.unwrap_or(Reason::NotParticipating)
}

/// Whether a plan redacts the text of an event that it stores.
fn redacts(plan: &Plan) -> bool {
    plan.events.iter().any(|event| matches!(event, EventPlan::Store { redacts: true, .. }))
}

/// The fields of one plan, with what holds them.
struct Look<'p> {
    plan: &'p Plan,
    holders: &'p Holders,
    /// Whether the plan redacts text.
    redacts: bool,
    /// Why nothing of the event is stored, if nothing is.
    event: Option<Reason>,
}

impl Look<'_> {
    fn wish(&self, number: u32, field: &Field) -> Wish {
        let reason = match (self.event, self.shape(number)) {
            (Some(reason), _) => reason,
            (None, Some(Shape::Scalar { action: Action::Withhold(reason), .. })) => *reason,
            (None, Some(Shape::Scalar { action, .. })) => match self.holders.hindrance(self.plan, number) {
                None => return Wish::Stored { treatment: action.treatment(), form: form(action) },
                Some(hindrance) => hindrance.reason,
            },
            (None, Some(Shape::Record(_) | Shape::List { .. } | Shape::Map { .. }) | None) => {
                Reason::UnknownField
            }
        };
        let class = field.class();
        if !self.redacts {
            Wish::Unwanted(reason)
        } else if class.is_forbidden() {
            Wish::Cut(reason, class)
        } else if class.is_found_in_text() || class.has_names_in_it() {
            Wish::Context(reason)
        } else {
            Wish::Unwanted(reason)
        }
    }

    fn shape(&self, number: u32) -> Option<&Shape> {
        self.plan.fields.get(usize::try_from(number).ok()?).map(|field| &field.shape)
    }
}

/// The form in which a value is stored, for people; empty if it is not.
fn form(action: &Action) -> String {
    let word = action.treatment();
    match action {
        Action::Withhold(_) => String::new(),
        Action::Pseudonym { epoch: Epoch::Rotating, .. } => format!("{word}, rotating"),
        Action::Generalise(to) => format!("{word}, {}", to.as_str()),
        Action::Keep(Form::Bucket(width)) => format!("{word}, multiples of {width}"),
        Action::Pseudonym { .. } | Action::Keep(_) | Action::Vocabulary(_) | Action::Redact(_) => {
            word.to_owned()
        }
    }
}

#[cfg(test)]
#[path = "collection_tests.rs"]
mod tests;
