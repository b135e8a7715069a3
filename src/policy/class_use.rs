//! What a customer's levels do with an identifier class: read from the compiled plans, so that it is what the
//! one pass does.

use std::collections::{BTreeMap, BTreeSet};

use super::decide::Ask;
use super::{Action, EventPlan, Plan, Policy, Product, Shape};
use crate::model::{IdentifierClass, LevelName, Participation, ProductName, ProgramName, RawText};

/// What a program does with values of a class in fields of one product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassUse {
    /// The program.
    pub program: ProgramName,
    /// The product.
    pub product: ProductName,
    /// The level in force.
    pub level: LevelName,
    /// What becomes of such fields: `stable` and `rotating` are pseudonyms. Empty if there is no such field.
    pub treatments: Vec<&'static str>,
}

impl Policy {
    /// What the levels of a customer do with a class, for each program and product that take part. A region that
    /// a sender names makes it stricter; here it is the customer's own.
    #[must_use]
    pub fn class_uses(
        &self,
        class: IdentifierClass,
        participation: &Participation,
        global_caps: &BTreeMap<ProgramName, LevelName>,
    ) -> Vec<ClassUse> {
        let mut uses = Vec::new();
        for product in self.products() {
            let decision = self.decide(&Ask {
                participation: Some(participation),
                global_caps,
                product: RawText::new(product.name().as_str().as_bytes()),
                region: RawText::default(),
                level_caps: &[],
            });
            for at in 0..self.programs().len() {
                let Some(key) = decision.plan_key(at, decision.rank(at)) else { continue };
                let plan = self.plan(key);
                if product.events().iter().any(|event| event.program() == at) {
                    uses.push(ClassUse {
                        program: plan.program.clone(),
                        product: plan.product.clone(),
                        level: plan.level.clone(),
                        treatments: treatments(product, &plan, class),
                    });
                }
            }
        }
        uses.sort_by(|a, b| (&a.program, &a.product).cmp(&(&b.program, &b.product)));
        uses
    }
}

/// Every treatment that values of a class get in a plan.
fn treatments(product: &Product, plan: &Plan, class: IdentifierClass) -> Vec<&'static str> {
    let mut found = BTreeSet::new();
    if class == IdentifierClass::CustomerId {
        found.insert(word(&plan.customer));
    }
    if class == IdentifierClass::InstanceId {
        found.insert(word(&plan.instance));
    }
    for (event, stored) in product.events().iter().zip(&plan.events) {
        // Fields of an event that is not stored are withheld whatever their class.
        let EventPlan::Store { .. } = stored else { continue };
        let plans =
            product.fields(event).filter_map(|(number, _)| plan.fields.get(usize::try_from(number).ok()?));
        for field in plans {
            let Shape::Scalar { action, .. } = &field.shape else { continue };
            if field.spec.class == class {
                found.insert(word(action));
            }
            if let Action::Redact(redaction) = action
                && let Some(Some(epoch)) = redaction.found.get(class.index())
            {
                found.insert(epoch.as_str());
            }
        }
    }
    found.into_iter().collect()
}

/// A treatment in one word; a pseudonym by whether it rotates.
fn word(action: &Action) -> &'static str {
    match action {
        Action::Pseudonym { epoch, .. } => epoch.as_str(),
        Action::Withhold(_)
        | Action::Keep(_)
        | Action::Generalise(_)
        | Action::Vocabulary(_)
        | Action::Redact(_) => action.treatment(),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::collections::BTreeMap;

    use super::super::sample::{customer, name, policy};
    use crate::model::{IdentifierClass as Class, ProductLevel};

    #[test]
    fn what_is_told_of_a_class_is_what_the_shipped_levels_do() {
        let policy = policy();
        let told = |levels: &[&str], class, region: Option<&str>| {
            let mut participation = customer(levels);
            participation.region = region.map(name);
            let uses = policy.class_uses(class, &participation, &BTreeMap::new());
            let of = uses.into_iter().filter(|one| one.product.as_str() == "vcenter");
            of.map(|one| format!("{}={} {}", one.program, one.level, one.treatments.join(" ")))
                .collect::<Vec<_>>()
        };
        assert_eq!(told(&["ceip=standard"], Class::HostName, None), ["ceip=standard stable"]);
        assert_eq!(told(&["ceip=standard"], Class::VmId, None), ["ceip=standard rotating"]);
        assert_eq!(told(&["ceip=standard"], Class::IpAddress, Some("eea")), ["ceip=standard drop"]);
        assert_eq!(told(&["ceip=enhanced"], Class::IpAddress, Some("eea")), ["ceip=enhanced rotating"]);
        assert_eq!(
            told(&["operational=operational"], Class::CustomerId, None),
            ["operational=operational keep"]
        );
        assert!(told(&[], Class::HostName, None).is_empty());
    }

    #[test]
    fn an_override_for_a_product_is_told_for_that_product_only() {
        let policy = policy();
        let mut participation = customer(&["ceip=enhanced"]);
        let (product, program) = (name("vcenter"), name("ceip"));
        participation.product_levels = vec![ProductLevel { product, program, level: name("standard") }];
        let uses = policy.class_uses(Class::VmId, &participation, &BTreeMap::new());
        let level = |product: &str| {
            uses.iter()
                .find(|one| one.product.as_str() == product)
                .map(|one| one.level.as_str().to_owned())
                .unwrap()
        };
        assert_eq!((level("vcenter").as_str(), level("horizon").as_str()), ("standard", "enhanced"));
    }
}
