//! Compiles plans: what the terms of one key do to every event and field of a product. The same
//! judgement serves ingest and explain.

use std::sync::Arc;

use super::compiled::{PlanKey, Policy};
use super::dictionary::{DeclaredForm, Event, Field, Node, Part, Product};
use super::program::{Level, Program};
use super::treatment::{Epoch, Treatment};
use super::{Action, EventPlan, FieldPlan, FieldSpec, Form, Plan, Redaction, Shape, fingerprint};
use crate::model::{Category, IdentifierClass, Purposes, Reason, limits};

/// What a plan key stands for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms<'p> {
    pub(super) product: &'p Product,
    pub(super) program: &'p Program,
    pub(super) program_index: usize,
    pub(super) level: &'p Level,
    pub(super) rank: u8,
    /// The regions whose overlays apply.
    pub(super) regions: &'p [usize],
    pub(super) accepted: Option<u32>,
    pub(super) purposes_off: Purposes,
}

/// What becomes of a field, and which rule says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judgement {
    /// The class is never stored.
    Forbidden,
    /// The level does not include the category.
    Category,
    /// The level allows no purpose that the field has.
    PurposeOfLevel,
    /// The customer switched off every purpose that is left.
    PurposeOff,
    /// It is in a pair of a map, and the other half is for none of the purposes that are left of it.
    PurposeOfPair,
    /// Newer than what the customer accepted.
    TooNew,
    /// The class's treatment applies.
    Treat(Treatment),
}

impl<'p> Terms<'p> {
    /// `None` if the policy did not make this key.
    pub(super) fn new(policy: &'p Policy, key: PlanKey) -> Option<Self> {
        let program = policy.programs().get(key.program)?;
        let regions = match key.region {
            Some(at) => policy.overlays().get(at)?.members.as_slice(),
            None => &[],
        };
        Some(Self {
            product: policy.products().get(key.product)?,
            program,
            program_index: key.program,
            level: program.level(key.rank)?,
            rank: key.rank,
            regions,
            accepted: key.accepted,
            purposes_off: key.purposes_off,
        })
    }

    /// The purposes that are left of a field by itself.
    pub(super) fn purposes_alone(&self, field: &Field) -> Purposes {
        field.purposes.and(self.level.purposes).without(self.purposes_off)
    }

    /// The purposes for which a field is stored, that has this number in plans. A pair of a map is for those that both
    /// halves have: nobody is given the one without the other.
    pub(super) fn purposes(&self, number: u32, field: &Field) -> Purposes {
        let halves = self.product.other_halves(number).iter();
        halves.fold(self.purposes_alone(field), |left, half| {
            let fields = half.iter().filter_map(|number| self.product.field(*number));
            let stored = fields.filter(|field| self.is_stored_alone(field));
            let of_half = stored.map(|field| self.purposes_alone(field)).reduce(Purposes::or);
            // A half of which nothing is stored hides the whole pair, and says why.
            of_half.map_or(left, |of_half| left.and(of_half))
        })
    }

    fn is_stored_alone(&self, field: &Field) -> bool {
        matches!(self.judge_alone(field), Judgement::Treat(treatment) if treatment != Treatment::Drop)
    }

    /// The purposes of an event: those that are left of the fields which the level includes.
    pub(super) fn event_purposes(&self, event: &Event) -> Purposes {
        let included = self.product.fields(event).map(|(_, field)| field);
        let included = included.filter(|field| matches!(self.judge_alone(field), Judgement::Treat(_)));
        included.fold(Purposes::NONE, |purposes, field| purposes.or(self.purposes_alone(field)))
    }

    /// Whether something this new may be stored.
    pub(super) fn is_accepted(&self, since: u32) -> bool {
        self.accepted.is_none_or(|accepted| since <= accepted)
    }

    pub(super) fn treatment(&self, class: IdentifierClass, asked: bool) -> Treatment {
        self.program.treatment(self.rank, self.regions, class, asked)
    }

    /// What becomes of a field, that has this number in plans. The first rule that withholds it is the one that is told.
    pub(super) fn judge(&self, number: u32, field: &Field) -> Judgement {
        let alone = self.judge_alone(field);
        if self.is_stored_alone(field) && self.purposes(number, field).is_empty() {
            return Judgement::PurposeOfPair;
        }
        alone
    }

    /// What becomes of a field whatever it is in.
    fn judge_alone(&self, field: &Field) -> Judgement {
        if field.class.is_forbidden() {
            Judgement::Forbidden
        } else if !self.level.categories.contains(&field.category) {
            Judgement::Category
        } else if field.purposes.and(self.level.purposes).is_empty() {
            Judgement::PurposeOfLevel
        } else if self.purposes_alone(field).is_empty() {
            Judgement::PurposeOff
        } else if !self.is_accepted(field.since) {
            Judgement::TooNew
        } else {
            Judgement::Treat(self.treatment(field.class, field.pseudonym))
        }
    }

    /// Why an event is not stored, if it is not. An event says that something happened, so it
    /// needs a field whose category and purpose the level allows, whatever becomes of the value.
    pub(super) fn withhold_event(&self, event: &Event) -> Option<Reason> {
        if event.program() != self.program_index {
            return Some(Reason::NotParticipating);
        }
        if !self.is_accepted(event.since()) {
            return Some(Reason::NotYetAccepted);
        }
        let judgements = || self.product.fields(event).map(|(_, field)| self.judge_alone(field));
        if judgements().any(|judgement| matches!(judgement, Judgement::Treat(_))) {
            return None;
        }
        // In the order from what the customer could still accept to what the level rules out.
        [Judgement::TooNew, Judgement::PurposeOff, Judgement::PurposeOfLevel, Judgement::Category]
            .into_iter()
            .find(|reason| judgements().any(|judgement| judgement == *reason))
            .map_or(Some(Reason::Forbidden), Judgement::reason)
    }
}

impl Judgement {
    /// The reason for which nothing is stored, unless a treatment has the say.
    const fn reason(self) -> Option<Reason> {
        match self {
            Self::Forbidden => Some(Reason::Forbidden),
            Self::Category => Some(Reason::Level),
            Self::PurposeOfLevel | Self::PurposeOff | Self::PurposeOfPair => Some(Reason::Purpose),
            Self::TooNew => Some(Reason::NotYetAccepted),
            Self::Treat(_) => None,
        }
    }

    /// What the one pass does with the value.
    pub(super) fn action(self, terms: &Terms<'_>, field: &Field) -> Action {
        match (self.reason(), self) {
            (Some(reason), _) => Action::Withhold(reason),
            (None, Self::Treat(treatment)) => treat(terms, treatment, field),
            (None, _) => Action::Withhold(Reason::Level),
        }
    }
}

fn treat(terms: &Terms<'_>, treatment: Treatment, field: &Field) -> Action {
    let vocabulary = || field.vocabulary.clone().unwrap_or_default();
    match treatment {
        Treatment::Drop => Action::Withhold(Reason::Level),
        Treatment::Redact { max_bytes } => Action::Redact(Arc::new(Redaction {
            max_bytes: field.max_bytes,
            cut: max_bytes,
            vocabulary: field.vocabulary.clone(),
            found: found(terms),
        })),
        Treatment::Pseudonym(epoch) => Action::Pseudonym { class: field.class, epoch },
        Treatment::Generalise(to) => Action::Generalise(to),
        Treatment::Vocabulary => Action::Vocabulary(vocabulary()),
        Treatment::Keep => Action::Keep(match field.form {
            DeclaredForm::Any => Form::Any { max_bytes: field.max_bytes },
            DeclaredForm::Version => Form::Version,
            DeclaredForm::Vocabulary => Form::Vocabulary(vocabulary()),
            DeclaredForm::Bucket(width) => Form::Bucket(width),
        }),
    }
}

/// What replaces an identifier that is found in text, by class.
pub(super) fn found(terms: &Terms<'_>) -> Arc<[Option<Epoch>]> {
    let of = |class: &IdentifierClass| match terms.treatment(*class, false) {
        _ if *class == IdentifierClass::NotIdentifying => None,
        Treatment::Pseudonym(epoch) => Some(epoch),
        // Text never keeps an identifier as it is. Its stable pseudonym can be brought down to whatever a
        // lower level makes of the class.
        Treatment::Keep => Some(Epoch::Stable),
        Treatment::Drop | Treatment::Generalise(_) | Treatment::Vocabulary | Treatment::Redact { .. } => None,
    };
    IdentifierClass::ALL.iter().map(of).collect()
}

/// What becomes of an id that no dictionary declares: the customer's and the instance's.
pub(super) fn treat_id(terms: &Terms<'_>, class: IdentifierClass) -> Action {
    match terms.treatment(class, false) {
        Treatment::Pseudonym(epoch) => Action::Pseudonym { class, epoch },
        Treatment::Keep => {
            Action::Keep(Form::Any { max_bytes: u32::try_from(limits::INSTANCE_BYTES).unwrap_or(0) })
        }
        Treatment::Generalise(to) => Action::Generalise(to),
        Treatment::Vocabulary => Action::Vocabulary(Arc::default()),
        Treatment::Drop | Treatment::Redact { .. } => Action::Withhold(Reason::Level),
    }
}

/// Compiles a plan; `None` if the policy did not make this key.
pub(super) fn plan(policy: &Policy, key: PlanKey) -> Option<Plan> {
    let terms = Terms::new(policy, key)?;
    let product = terms.product;
    let fields = fields(&terms, &product.nodes);
    let is_redacted = |at: &u32| {
        let field = usize::try_from(*at).ok().and_then(|at| fields.get(at));
        field.is_some_and(|field| matches!(field.shape, Shape::Scalar { action: Action::Redact(_), .. }))
    };
    let events = product.events().iter().map(|event| match terms.withhold_event(event) {
        Some(reason) => EventPlan::Withhold(reason),
        None => EventPlan::Store {
            name: event.name.clone(),
            fields: event.top.clone(),
            purposes: terms.event_purposes(event),
            redacts: event.leaves.iter().any(is_redacted),
        },
    });
    let events = events.collect();
    let mut plan = Plan {
        policy_version: Arc::clone(policy.shared_version()),
        product: product.name().clone(),
        dictionary_version: product.version(),
        program: terms.program.name.clone(),
        program_index: key.program,
        level: terms.level.name.clone(),
        rank: key.rank,
        region: key.region.and_then(|at| policy.overlay_name(at)).cloned(),
        customer: treat_id(&terms, IdentifierClass::CustomerId),
        instance: treat_id(&terms, IdentifierClass::InstanceId),
        events,
        fields,
        fingerprint: [0; 8],
    };
    plan.fingerprint = fingerprint::of(&plan);
    Some(plan)
}

/// The purposes that are stored in a node, and its category.
type Held = (Purposes, Option<Category>);

fn fields(terms: &Terms<'_>, nodes: &[Node]) -> Vec<FieldPlan> {
    let mut held: Vec<Held> = vec![(Purposes::NONE, None); nodes.len()];
    let mut plans: Vec<FieldPlan> = Vec::with_capacity(nodes.len());
    // What a container holds comes after it, so from the end every part is known before its whole.
    for (at, node) in nodes.iter().enumerate().rev() {
        let inner =
            |at: &u32| usize::try_from(*at).ok().and_then(|at| held.get(at)).copied().unwrap_or_default();
        let mut max_bytes = u32::MAX;
        let (class, (purposes, category), shape) = match &node.part {
            Part::Field(field) => {
                let number = u32::try_from(at).unwrap_or(u32::MAX);
                let action = terms.judge(number, field).action(terms, field);
                max_bytes = field.max_bytes;
                let stored = if matches!(action, Action::Withhold(_)) {
                    Purposes::NONE
                } else {
                    terms.purposes(number, field)
                };
                (field.class, (stored, Some(field.category)), Shape::Scalar { kind: field.kind, action })
            }
            Part::Record { names, children } => (
                IdentifierClass::NotIdentifying,
                sum(children.iter().map(inner)),
                Shape::Record(names.clone()),
            ),
            Part::List { item } => {
                (IdentifierClass::NotIdentifying, inner(item), Shape::List { item: *item })
            }
            Part::Map { key, value } => {
                // A pair is stored whole or not at all, and given to whoever may have both halves.
                let (_, category) = sum([key, value].into_iter().map(inner));
                let held = (inner(key).0.and(inner(value).0), category);
                (IdentifierClass::NotIdentifying, held, Shape::Map { key: *key, value: *value })
            }
        };
        if let Some(slot) = held.get_mut(at) {
            *slot = (purposes, category);
        }
        let category = category.unwrap_or(Category::Configuration);
        plans.push(FieldPlan {
            spec: FieldSpec { path: node.path.clone(), class, category, purposes },
            shape,
            max_bytes,
        });
    }
    plans.reverse();
    plans
}

fn sum(parts: impl Iterator<Item = Held>) -> Held {
    parts.fold((Purposes::NONE, None), |(purposes, category), (more, first)| {
        (purposes.or(more), category.or(first))
    })
}
