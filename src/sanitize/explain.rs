//! Explain: what a level does to every field of an event, and why. It walks the same plan with
//! the same reader and the same treatment as the one pass; it only remembers the reasons.

use super::permit::Permit;
use super::redact::Workspace;
use super::redact::gather::gather;
use super::treat::{Scalar, treat};
use super::wire::Head;
use super::{ProgramKeys, WithheldPlace};
use crate::model::{
    Fate, Raw, RawEvent, RawFields, RawItems, RawText, RawValue, Reason, WireError, WireReader,
};
use crate::policy::{Action, EventExplanation, EventPlan, NameTable, Plan, PlanKey, Shape};

/// What became of one field, or of a whole event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldFate {
    /// Such as `events[0].fields["host"]`. It may hold names that the sender made up.
    pub place: String,
    /// What was done: `keep`, `pseudonym`, `drop` and so on.
    pub treatment: &'static str,
    /// Why, in a sentence.
    pub why: String,
}

/// Explains every field of a request's events that belong to the program of `key`.
///
/// # Errors
/// If the bytes are not what the format says.
pub fn explain<'a, R: WireReader<'a> + Clone>(
    permit: &Permit,
    head: &Head<'a>,
    mut reader: R,
    key: PlanKey,
) -> Result<Vec<FieldFate>, WireError> {
    let mut out = Vec::new();
    let plan = permit.plan(key);
    let keys = permit.keys(&plan.program);
    let mut event = 0;
    let mut work = Workspace::default();
    let Workspace { known, canonical, .. } = &mut work;
    gather(permit, &plan, head.instance.expose(), reader.clone(), (known, canonical))?;
    while let Some(raw) = reader.next_event()? {
        let known = permit.event(raw.name);
        let rules = known.and_then(|known| permit.policy().explain(key, known.event));
        let mut walk =
            Walk { plan: &plan, keys: &keys, rules, work: &mut work, event, path: Vec::new(), out: &mut out };
        match known {
            None => walk.withheld(Reason::UnknownEvent, None),
            Some(known) if known.program == key.program => walk.event(known.event, &raw)?,
            Some(_) => {}
        }
        event += 1;
    }
    Ok(out)
}

struct Walk<'w, 'a> {
    plan: &'w Plan,
    keys: &'w ProgramKeys,
    rules: Option<EventExplanation>,
    work: &'w mut Workspace,
    event: u32,
    path: Vec<RawText<'a>>,
    out: &'w mut Vec<FieldFate>,
}

impl<'a> Walk<'_, 'a> {
    fn event<F: RawFields<'a>>(&mut self, index: usize, event: &RawEvent<'a, F>) -> Result<(), WireError> {
        let plan = self.plan;
        match plan.events.get(index) {
            Some(EventPlan::Store { fields, .. }) => self.fields(event.fields.clone(), fields)?,
            Some(EventPlan::Withhold(reason)) => {
                let why = self.rules.as_ref().map(|rules| rules.why.clone());
                self.tell("drop", why.unwrap_or_else(|| reason.remedy().to_owned()));
            }
            None => self.withheld(Reason::UnknownEvent, None),
        }
        Ok(())
    }

    fn fields<F: RawFields<'a>>(&mut self, mut fields: F, names: &NameTable) -> Result<(), WireError> {
        while let Some((name, value)) = fields.next_field()? {
            self.path.push(name);
            match names.get(name.expose()) {
                None => self.withheld(Reason::UnknownField, None),
                Some(field) => self.value(field, value)?,
            }
            self.path.pop();
        }
        Ok(())
    }

    fn value<F: RawFields<'a>>(&mut self, number: u32, value: RawValue<'a, F>) -> Result<(), WireError> {
        let plan = self.plan;
        let Some(field) = usize::try_from(number).ok().and_then(|at| plan.fields.get(at)) else {
            return Ok(());
        };
        match (&field.shape, value) {
            (Shape::Scalar { action: Action::Withhold(reason), .. }, _) => {
                self.withheld(*reason, Some(number));
            }
            (Shape::Scalar { kind, action }, value) => {
                let scalar = Scalar::of(*kind, &value).and_then(|scalar| scalar.within(field.max_bytes));
                self.scalar(number, action, scalar);
            }
            (Shape::Record(names), RawValue::Record(fields)) => self.fields(fields, names)?,
            (Shape::List { item }, RawValue::List(mut items)) => {
                while let Some(value) = items.next_item()? {
                    self.value(*item, value)?;
                }
            }
            (Shape::Map { key, value }, RawValue::Record(mut pairs)) => {
                let is_empty = field.spec.purposes.is_empty();
                while let Some((raw_key, raw_value)) = pairs.next_field()? {
                    // A pair is stored whole or not at all.
                    if is_empty && self.could_be(*key) {
                        let why = self.rule(*value);
                        let none = || Reason::Level.remedy().to_owned();
                        self.tell("drop", if why.is_empty() { none() } else { why });
                    } else {
                        self.key(*key, raw_key);
                    }
                    self.value(*value, raw_value)?;
                }
            }
            (Shape::Record(_) | Shape::List { .. } | Shape::Map { .. }, _) => {
                self.withheld(Reason::WrongType, None);
            }
        }
        Ok(())
    }

    /// Whether the plan stores a scalar, if it is not in a pair of which the other half is withheld.
    fn could_be(&self, number: u32) -> bool {
        let field = usize::try_from(number).ok().and_then(|at| self.plan.fields.get(at));
        matches!(
            field.map(|field| &field.shape),
            Some(Shape::Scalar {
                action: Action::Keep(_)
                    | Action::Pseudonym { .. }
                    | Action::Generalise(_)
                    | Action::Vocabulary(_)
                    | Action::Redact(_),
                ..
            })
        )
    }

    fn key(&mut self, number: u32, raw: Raw<'a>) {
        let plan = self.plan;
        let field = usize::try_from(number).ok().and_then(|at| plan.fields.get(at));
        if let Some((Shape::Scalar { action, .. }, max_bytes)) =
            field.map(|field| (&field.shape, field.max_bytes))
        {
            self.scalar(number, action, Scalar::text(raw).within(max_bytes));
        }
    }

    fn scalar(&mut self, number: u32, action: &Action, scalar: Result<Scalar<'a>, Reason>) {
        let treated = scalar.and_then(|scalar| treat(action, scalar, self.keys, self.work));
        match treated.map(|(_, fate)| fate) {
            Err(reason) => self.withheld(reason, Some(number)),
            Ok(fate) => {
                let mut why = self.rule(number);
                if (fate, action.treatment()) == (Fate::Coarsened, "pseudonym") {
                    why.push_str("; this value is a known word that identifies nobody");
                }
                match (fate, action.treatment()) {
                    (Fate::Kept, "redact") => {
                        why.push_str("; the dictionary lists this value, so it is kept");
                    }
                    (_, "redact") => why.push_str(&self.work.seen.told()),
                    _ => {}
                }
                self.tell(action.treatment(), why);
            }
        }
    }

    /// What the policy says of a field, in its words.
    fn rule(&self, number: u32) -> String {
        let fields = self.rules.iter().flat_map(|rules| &rules.fields);
        fields.filter(|rule| rule.field == number).map(|rule| rule.why.clone()).next().unwrap_or_default()
    }

    fn withheld(&mut self, reason: Reason, number: Option<u32>) {
        let rule = number.filter(|_| !reason.is_senders()).map(|number| self.rule(number));
        let why = rule.filter(|rule| !rule.is_empty()).unwrap_or_else(|| reason.remedy().to_owned());
        self.tell("drop", why);
    }

    fn tell(&mut self, treatment: &'static str, why: String) {
        // The reason is of no matter here; only the place is taken.
        let place = WithheldPlace::new(self.event, &self.path, Reason::Level).for_sender().to_owned();
        self.out.push(FieldFate { place, treatment, why });
    }
}
