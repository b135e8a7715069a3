//! Says in plain words what a plan does to an event and why, from the judgement that compiled it.

use super::compiled::{PlanKey, Policy};
use super::dictionary::{Event, Field};
use super::pair::{Hindrance, Holders};
use super::planner::{Judgement, Terms, treat_id};
use super::treatment::{Rule, Treatment};
use super::{Action, Form};
use crate::model::{Category, FieldPath, IdentifierClass, Purpose, Purposes, Reason};

/// The word for a value of which nothing is stored.
const DROP: &str = "drop";

/// What becomes of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventExplanation {
    /// Why it is not stored, if it is not.
    pub withheld: Option<Reason>,
    /// That in plain words.
    pub why: String,
    /// Its fields, in the order of the dictionary's file.
    pub fields: Vec<FieldExplanation>,
}

/// What becomes of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldExplanation {
    /// Its number in [`super::Plan::fields`].
    pub field: u32,
    /// Its path.
    pub path: FieldPath,
    /// Its class.
    pub class: IdentifierClass,
    /// The treatment in effect: `keep`, `pseudonym`, `generalise`, `vocabulary`, `redact` or `drop`.
    pub treatment: &'static str,
    /// Why, in plain words. Names rules of the policy and no value.
    pub why: String,
}

impl Action {
    /// The word for what is done to a value: `keep`, `pseudonym`, `generalise`, `vocabulary`, `redact` or `drop`.
    #[must_use]
    pub const fn treatment(&self) -> &'static str {
        match self {
            Self::Withhold(_) => DROP,
            Self::Pseudonym { .. } => "pseudonym",
            Self::Generalise(_) | Self::Keep(Form::Bucket(_)) => "generalise",
            Self::Vocabulary(_) | Self::Keep(Form::Vocabulary(_)) => "vocabulary",
            Self::Keep(Form::Any { .. } | Form::Version) => "keep",
            Self::Redact(_) => "redact",
        }
    }
}

impl Policy {
    /// What a plan does to an event, field by field. `None` if the policy has no such plan or event.
    #[must_use]
    pub fn explain(&self, key: PlanKey, event: usize) -> Option<EventExplanation> {
        let terms = Terms::new(self, key)?;
        let event = terms.product.events().get(event)?;
        let withheld = terms.withhold_event(event);
        let (plan, holders) = (self.plan(key), Holders::new(terms.product));
        let fields = terms.product.fields(event).map(|(number, field)| {
            let judgement = terms.judge(number, field);
            let mut treatment = judgement.action(&terms, field).treatment();
            let mut why = self.why(&terms, judgement, field);
            let hindrance = holders.hindrance(&plan, number).filter(|_| treatment != DROP);
            if let Some(hindrance) = hindrance {
                treatment = DROP;
                why = self.why_of_pair(&terms, event, hindrance);
            }
            FieldExplanation { field: number, path: field.path.clone(), class: field.class, treatment, why }
        });
        let fields = fields.collect();
        let why = why_event(&terms, withheld, event.since());
        Some(EventExplanation { withheld, why, fields })
    }

    /// What a plan does to the id of the customer or the instance: the treatment, and why.
    #[must_use]
    pub fn explain_id(&self, key: PlanKey, class: IdentifierClass) -> Option<(&'static str, String)> {
        let terms = Terms::new(self, key)?;
        let why = self.why_treated(&terms, class, false, terms.treatment(class, false));
        Some((treat_id(&terms, class).treatment(), why))
    }

    fn why_of_pair(&self, terms: &Terms<'_>, event: &Event, hindrance: Hindrance) -> String {
        let mut fields = terms.product.fields(event);
        let other = fields.find(|(number, _)| *number == hindrance.field);
        let of_other = other.map(|(number, other)| {
            format!(", and `{}` is not: {}", other.path, self.why(terms, terms.judge(number, other), other))
        });
        format!("a pair of a map is stored whole or not at all{}", of_other.unwrap_or_default())
    }

    fn why(&self, terms: &Terms<'_>, judgement: Judgement, field: &Field) -> String {
        let level = terms.level.name();
        match judgement {
            Judgement::Forbidden => {
                format!("`{}` is never stored, at no level and by no policy", field.class)
            }
            Judgement::Category => why_category(terms, field.category),
            Judgement::PurposeOfLevel => format!(
                "it is declared for {}, and `{level}` allows {}",
                listed(field.purposes),
                listed(terms.level.purposes())
            ),
            Judgement::PurposeOff => {
                let left = field.purposes.and(terms.level.purposes());
                format!("the customer switched off {}, all that `{level}` would allow it for", listed(left))
            }
            Judgement::PurposeOfPair => format!(
                "it would be for {}, and the other half of its pair of a map is not: nobody could have both",
                listed(terms.purposes_alone(field))
            ),
            Judgement::TooNew => format!(
                "version {} of the dictionary brought it, and the customer has accepted version {}",
                field.since,
                terms.accepted.unwrap_or_default()
            ),
            Judgement::Treat(treatment) => self.why_treated(terms, field.class, field.pseudonym, treatment),
        }
    }

    fn why_treated(
        &self,
        terms: &Terms<'_>,
        class: IdentifierClass,
        asked: bool,
        effect: Treatment,
    ) -> String {
        let (program, level) = (&terms.program.name, terms.level.name());
        if class == IdentifierClass::NotIdentifying {
            return format!("it identifies nobody, and `{level}` includes its category");
        }
        let plain = terms.program.treatment(terms.rank, &[], class, asked);
        let mut why = if plain == effect {
            format!("`{level}` of `{program}` has `{effect}` for `{class}`")
        } else {
            let region = terms.regions.iter().find(|region| {
                let rule = terms.program.overlay(terms.rank, **region, class);
                rule.is_some_and(|rule| rule.resolve(asked) == effect)
            });
            let region = region.and_then(|at| self.regions().get(*at)).map_or("", |region| region.as_str());
            format!("the region `{region}` has `{effect}` for `{class}`, where `{level}` has `{plain}`")
        };
        let rule = terms.level.rules.get(class.index());
        if let (Some(Rule::PseudonymIfAsked(_)), Treatment::Drop, false) = (rule, effect, asked) {
            why.push_str(", unless the dictionary asks for a pseudonym");
        }
        why
    }
}

fn why_event(terms: &Terms<'_>, withheld: Option<Reason>, since: u32) -> String {
    let (program, level) = (&terms.program.name, terms.level.name());
    match withheld {
        None => format!("`{level}` of `{program}` stores it"),
        Some(Reason::NotParticipating) => format!("it does not belong to `{program}`"),
        Some(Reason::NotYetAccepted) if !terms.is_accepted(since) => format!(
            "version {since} of the dictionary brought it, and the customer has accepted version {}",
            terms.accepted.unwrap_or_default()
        ),
        Some(reason) => format!("none of its fields may be stored at `{level}` of `{program}`: {reason}"),
    }
}

fn why_category(terms: &Terms<'_>, category: Category) -> String {
    let (program, level) = (&terms.program.name, terms.level.name());
    let first = terms.program.levels().iter().find(|level| level.categories().contains(&category));
    match first {
        Some(first) => {
            format!(
                "`{level}` does not include the category `{category}`, which begins at `{}`",
                first.name()
            )
        }
        None => format!("no level of `{program}` includes the category `{category}`"),
    }
}

fn listed(purposes: Purposes) -> String {
    let words: Vec<&str> = purposes.iter().map(Purpose::as_str).collect();
    if words.is_empty() { "nothing".to_owned() } else { words.join(" and ") }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::collections::BTreeMap;

    use super::super::sample::{customer, name, policy};
    use super::super::{Ask, EventPlan, PlanKey, Policy, Shape};
    use crate::model::{IdentifierClass, Participation, Purpose, RawText};

    fn key(policy: &Policy, participation: &Participation, program: &str) -> PlanKey {
        let decision = policy.decide(&Ask {
            participation: Some(participation),
            global_caps: &BTreeMap::new(),
            product: RawText::new(b"vcenter"),
            region: RawText::default(),
            level_caps: &[],
        });
        let program = policy.program_index(program).unwrap();
        decision.plan_key(program, decision.rank(program)).unwrap()
    }

    #[test]
    fn every_treatment_is_explained_by_the_rule_that_made_it() {
        let policy = policy();
        let standard = customer(&["ceip=standard", "operational=operational"]);
        let mut eea = customer(&["ceip=enhanced"]);
        eea.region = Some(name("eea"));
        let mut first = customer(&["ceip=enhanced"]);
        first.accepted_dictionaries.insert(name("vcenter"), 1);
        let mut off = customer(&["ceip=enhanced"]);
        off.purposes_off = vec![Purpose::Improve];
        for (participation, event, path, treatment, why) in [
            (
                &standard,
                "vm.inventory",
                "host",
                "pseudonym",
                "`standard` of `ceip` has `pseudonym` for `host_name`",
            ),
            (
                &standard,
                "vm.inventory",
                "vcpus",
                "keep",
                "it identifies nobody, and `standard` includes its category",
            ),
            (
                &standard,
                "vm.power_on",
                "vm_id",
                "pseudonym",
                "`standard` of `ceip` has `pseudonym, rotating` for `vm_id`",
            ),
            (
                &standard,
                "support.log_line",
                "message",
                "drop",
                "`standard` does not include the category `product_log`, which begins at `enhanced`",
            ),
            (
                &eea,
                "vm.inventory",
                "ip",
                "pseudonym",
                "the region `eea` has `pseudonym, rotating` for `ip_address`, where `enhanced` has `pseudonym`",
            ),
            (
                &eea,
                "vm.inventory",
                "mac",
                "drop",
                "the region `eea` has `drop` for `mac_address`, where `enhanced` has `pseudonym`",
            ),
            (
                &eea,
                "support.log_line",
                "message",
                "redact",
                "`enhanced` of `ceip` has `redact, at most 16384 bytes` for `product_log`",
            ),
            (
                &first,
                "client.feature_used",
                "user_name",
                "drop",
                "`enhanced` of `ceip` has `drop` for `person_name`, unless the dictionary asks for a pseudonym",
            ),
            (
                &first,
                "host.inventory",
                "tpm.version",
                "drop",
                "version 2 of the dictionary brought it, and the customer has accepted version 1",
            ),
            (
                &first,
                "guest.customization",
                "script",
                "drop",
                "`customer_content` is never stored, at no level and by no policy",
            ),
            (
                &off,
                "vm.inventory",
                "host",
                "drop",
                "the customer switched off improve, all that `enhanced` would allow it for",
            ),
        ] {
            let product =
                policy.products().iter().find(|product| product.name().as_str() == "vcenter").unwrap();
            let at = product.event(RawText::new(event.as_bytes())).unwrap().event;
            let told = policy.explain(key(&policy, participation, "ceip"), at).unwrap();
            let field = told.fields.iter().find(|field| field.path.as_str() == path).unwrap();
            assert_eq!((field.treatment, field.why.as_str()), (treatment, why), "{event} {path}");
        }
    }

    #[test]
    fn a_value_whose_key_is_dropped_is_not_said_to_be_stored() {
        let policy = policy();
        let key = key(&policy, &customer(&["operational=operational"]), "operational");
        let product = policy.products().iter().find(|product| product.name().as_str() == "vcenter").unwrap();
        let at = product.event(RawText::new(b"service.health")).unwrap().event;
        let told = policy.explain(key, at).unwrap();
        let field = told.fields.iter().find(|field| field.path.as_str() == "services{}").unwrap();
        assert_eq!(field.treatment, "drop");
        assert_eq!(
            field.why,
            "a pair of a map is stored whole or not at all, and `services{key}` is not: `operational` of `operational` has `drop` for `object_name`"
        );
    }

    #[test]
    fn explain_says_what_the_plan_does() {
        let policy = policy();
        for participation in [customer(&["ceip=standard"]), customer(&["ceip=enhanced"])] {
            let key = key(&policy, &participation, "ceip");
            let plan = policy.plan(key);
            for (at, event) in plan.events.iter().enumerate() {
                let told = policy.explain(key, at).unwrap();
                match event {
                    EventPlan::Withhold(reason) => assert_eq!(told.withheld, Some(*reason)),
                    EventPlan::Store { .. } => assert_eq!(told.withheld, None),
                }
                assert!(!told.why.is_empty());
                for field in told.fields {
                    match &plan.fields.get(usize::try_from(field.field).unwrap()).unwrap().shape {
                        // A pair of a map is stored whole or not at all.
                        Shape::Scalar { .. } if field.why.starts_with("a pair of a map") => {
                            assert_eq!(field.treatment, "drop");
                        }
                        Shape::Scalar { action, .. } => assert_eq!(action.treatment(), field.treatment),
                        Shape::Record(_) | Shape::List { .. } | Shape::Map { .. } => panic!("{}", field.path),
                    }
                }
            }
        }
    }

    #[test]
    fn the_id_of_the_customer_is_explained() {
        let policy = policy();
        let key = key(&policy, &customer(&["ceip=standard"]), "ceip");
        let (treatment, why) = policy.explain_id(key, IdentifierClass::CustomerId).unwrap();
        assert_eq!(
            (treatment, why.as_str()),
            ("pseudonym", "`standard` of `ceip` has `pseudonym` for `customer_id`")
        );
    }
}
