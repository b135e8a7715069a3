//! Explain: what a level does to every field of an event, and why. It walks the same plan with
//! the same reader and the same treatment as the one pass; it only remembers the reasons.

use super::permit::Permit;
use super::redact::Workspace;
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
    work.gather(permit, &plan, (head.instance.expose(), &reader))?;
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
                Some(field) => _ = self.value(field, value)?,
            }
            self.path.pop();
        }
        Ok(())
    }

    /// Whether anything is stored of a value.
    fn value<F: RawFields<'a>>(&mut self, number: u32, value: RawValue<'a, F>) -> Result<bool, WireError> {
        let plan = self.plan;
        let Some(field) = usize::try_from(number).ok().and_then(|at| plan.fields.get(at)) else {
            return Ok(false);
        };
        let begun = self.out.len();
        match (&field.shape, value) {
            (Shape::Scalar { action: Action::Withhold(reason), .. }, _) => {
                self.withheld(*reason, Some(number));
                return Ok(false);
            }
            (Shape::Scalar { kind, action }, value) => {
                let scalar = Scalar::of(*kind, &value).and_then(|scalar| scalar.within(field.max_bytes));
                return Ok(self.scalar(number, action, scalar));
            }
            (Shape::Record(names), RawValue::Record(fields)) => self.fields(fields, names)?,
            (Shape::List { item }, RawValue::List(mut items)) => {
                while let Some(value) = items.next_item()? {
                    self.value(*item, value)?;
                }
            }
            (Shape::Map { key, value }, RawValue::Record(mut pairs)) => {
                while let Some((raw_key, raw_value)) = pairs.next_field()? {
                    // A pair is stored whole or not at all.
                    let pair = self.out.len();
                    let has_key = self.key(*key, raw_key);
                    let has_value = self.value(*value, raw_value)?;
                    if !(has_key && has_value) {
                        self.nothing_since(pair);
                    }
                }
            }
            (Shape::Record(_) | Shape::List { .. } | Shape::Map { .. }, _) => {
                self.withheld(Reason::WrongType, None);
                return Ok(false);
            }
        }
        // What the plan stores no part of is passed over.
        let is_stored = !field.spec.purposes.is_empty();
        if !is_stored {
            self.nothing_since(begun);
        }
        Ok(is_stored)
    }

    /// Nothing is stored of what was told from `begun` on, for the reason for which the first part of it is not.
    fn nothing_since(&mut self, begun: usize) {
        let told = self.out.get_mut(begun..).unwrap_or_default();
        let why = told.iter().find(|one| one.treatment == "drop").map(|one| one.why.clone());
        let why = why.unwrap_or_else(|| Reason::Level.remedy().to_owned());
        for one in told.iter_mut().filter(|one| one.treatment != "drop") {
            one.treatment = "drop";
            one.why.clone_from(&why);
        }
    }

    fn key(&mut self, number: u32, raw: Raw<'a>) -> bool {
        let plan = self.plan;
        let field = usize::try_from(number).ok().and_then(|at| plan.fields.get(at));
        match field.map(|field| (&field.shape, field.max_bytes)) {
            Some((Shape::Scalar { action, .. }, max_bytes)) => {
                self.scalar(number, action, Scalar::text(raw).within(max_bytes))
            }
            _ => false,
        }
    }

    /// Whether a scalar is stored.
    fn scalar(&mut self, number: u32, action: &Action, scalar: Result<Scalar<'a>, Reason>) -> bool {
        let treated = scalar.and_then(|scalar| treat(action, scalar, self.keys, self.work));
        match treated.map(|(_, fate)| fate) {
            Err(reason) => {
                self.withheld(reason, Some(number));
                false
            }
            Ok(fate) => {
                let mut why = self.rule(number);
                match (action, fate) {
                    (Action::Pseudonym { .. }, Fate::Coarsened) => {
                        why.push_str("; this value is a known word that identifies nobody");
                    }
                    (Action::Redact(_), Fate::Kept) => {
                        why.push_str("; the dictionary lists this value, so it is kept");
                    }
                    (Action::Redact(_), _) => why.push_str(&self.work.seen.told()),
                    _ => {}
                }
                self.tell(action.treatment(), why);
                true
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
