//! What a customer's levels do with an identifier class: read from the compiled plans, so that it is what the
//! one pass does.

use std::collections::{BTreeMap, BTreeSet};

use super::decide::Ask;
use super::{Action, EventPlan, Plan, Policy, Product, Shape};
use crate::model::{IdentifierClass, LevelName, Participation, ProductName, ProgramName, Purposes, RawText};

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
    /// For which purposes such values may leave as they are: those of the fields that are kept, and any, where it is the
    /// installation that the batch names.
    pub kept: Purposes,
    /// Whether the customer is named by its id.
    pub names_customer: bool,
}

impl Policy {
    /// What the levels of a customer do with any of these classes, for each program and product that take part. A region that
    /// a sender names makes it stricter; here it is the customer's own.
    #[must_use]
    pub fn class_uses(
        &self,
        classes: &[IdentifierClass],
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
                    let (treatments, kept) = treatments(product, &plan, classes);
                    uses.push(ClassUse {
                        program: plan.program.clone(),
                        product: plan.product.clone(),
                        level: plan.level.clone(),
                        treatments,
                        kept,
                        names_customer: word(&plan.customer) == KEEP,
                    });
                }
            }
        }
        uses.sort_by(|a, b| (&a.program, &a.product).cmp(&(&b.program, &b.product)));
        uses
    }
}

/// The word for what stays as it is.
const KEEP: &str = "keep";

/// Every treatment that values of these classes get in a plan, and for which purposes they leave as they are.
fn treatments(product: &Product, plan: &Plan, classes: &[IdentifierClass]) -> (Vec<&'static str>, Purposes) {
    let (mut found, mut kept) = (BTreeSet::new(), Purposes::NONE);
    if classes.contains(&IdentifierClass::CustomerId) {
        found.insert(word(&plan.customer));
    }
    if classes.contains(&IdentifierClass::InstanceId) {
        found.insert(word(&plan.instance));
        if word(&plan.instance) == KEEP {
            kept = Purposes::ALL;
        }
    }
    for (event, stored) in product.events().iter().zip(&plan.events) {
        // Fields of an event that is not stored are withheld whatever their class.
        let EventPlan::Store { .. } = stored else { continue };
        let plans =
            product.fields(event).filter_map(|(number, _)| plan.fields.get(usize::try_from(number).ok()?));
        for field in plans {
            let Shape::Scalar { action, .. } = &field.shape else { continue };
            if classes.contains(&field.spec.class) {
                found.insert(word(action));
                if word(action) == KEEP {
                    kept = kept.or(field.spec.purposes);
                }
            }
            if let Action::Redact(redaction) = action {
                let epochs = classes.iter().filter_map(|class| redaction.found.get(class.index())?.as_ref());
                found.extend(epochs.map(|epoch| epoch.as_str()));
            }
        }
    }
    (found.into_iter().collect(), kept)
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
    use crate::model::{IdentifierClass as Class, ProductLevel, Purpose, Purposes};

    #[test]
    fn what_is_told_of_a_class_is_what_the_shipped_levels_do() {
        let policy = policy();
        let told = |levels: &[&str], class, region: Option<&str>| {
            let mut participation = customer(levels);
            participation.region = region.map(name);
            let uses = policy.class_uses(&[class], &participation, &BTreeMap::new());
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
    fn a_value_that_is_kept_leaves_for_the_purposes_of_its_fields() {
        let policy = policy();
        let kept = |levels: &[&str], class| {
            let uses = policy.class_uses(&[class], &customer(levels), &BTreeMap::new());
            uses.iter().fold(Purposes::NONE, |all, one| all.or(one.kept))
        };
        let (operational, enhanced) = (&["operational=operational"], &["ceip=enhanced"]);
        assert_eq!(kept(operational, Class::EntitlementId), Purposes::only(Purpose::Deliver));
        // The level keeps the class, and no field of the program has it; the customer's own id is in every batch.
        assert_eq!(kept(enhanced, Class::EntitlementId), Purposes::NONE);
        assert_eq!(kept(enhanced, Class::CustomerId), Purposes::NONE);
        assert_eq!(kept(operational, Class::HostName), Purposes::NONE);
        let uses = policy.class_uses(&[Class::CustomerId], &customer(enhanced), &BTreeMap::new());
        assert!(uses.iter().all(|one| one.names_customer));
    }

    #[test]
    fn an_override_for_a_product_is_told_for_that_product_only() {
        let policy = policy();
        let mut participation = customer(&["ceip=enhanced"]);
        let (product, program) = (name("vcenter"), name("ceip"));
        participation.product_levels = vec![ProductLevel { product, program, level: name("standard") }];
        let uses = policy.class_uses(&[Class::VmId], &participation, &BTreeMap::new());
        let level = |product: &str| {
            uses.iter()
                .find(|one| one.product.as_str() == product)
                .map(|one| one.level.as_str().to_owned())
                .unwrap()
        };
        assert_eq!((level("vcenter").as_str(), level("horizon").as_str()), ("standard", "enhanced"));
    }
}
