//! Tests: the plan wants what the policy stores, and says why it does not want the rest.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use super::super::sample::{Edit, customer, edited, name, policy};
use super::super::{Ask, Decision, Policy, compile, shipped};
use super::{Collection, CollectionState, Wish};
use crate::model::{Delivery, IdentifierClass as Class, Participation, Purpose, RawText, Reason};

fn decide(policy: &Policy, participation: Option<&Participation>, product: &str) -> Decision {
    policy.decide(&Ask {
        participation,
        global_caps: &BTreeMap::new(),
        product: RawText::new(product.as_bytes()),
        region: RawText::default(),
        level_caps: &[],
    })
}

fn plan(policy: &Policy, participation: &Participation, product: &str) -> Collection {
    policy.collection(Some(participation), &decide(policy, Some(participation), product))
}

fn wish(plan: &Collection, event: &str, path: &str) -> Wish {
    let event = plan.events.iter().find(|one| one.name.as_str() == event).unwrap();
    let field = event.fields.iter().find(|one| one.path.as_str() == path);
    field.map_or(Wish::Unwanted(event.withheld.unwrap_or(Reason::UnknownField)), |field| field.wish.clone())
}

fn stored(treatment: &'static str, form: &str) -> Wish {
    Wish::Stored { treatment, form: form.to_owned() }
}

#[test]
fn every_field_is_wanted_in_its_form_or_not_for_a_reason() {
    let policy = policy();
    let standard = plan(&policy, &customer(&["ceip=standard"]), "vcenter");
    let enhanced = plan(&policy, &customer(&["ceip=enhanced", "operational=operational"]), "vcenter");
    let less = Participation { purposes_off: vec![Purpose::Improve], ..customer(&["ceip=enhanced"]) };
    let off = plan(&policy, &less, "vcenter");
    for (plan, event, path, expected) in [
        (&standard, "vm.inventory", "host", stored("pseudonym", "pseudonym")),
        (&standard, "vm.power_on", "vm_id", stored("pseudonym", "pseudonym, rotating")),
        (&standard, "vm.inventory", "vcpus", stored("keep", "keep")),
        (&standard, "host.inventory", "site", stored("generalise", "generalise, location_country")),
        (
            &standard,
            "host.inventory",
            "hardware.memory_gb",
            stored("generalise", "generalise, multiples of 16"),
        ),
        (&standard, "client.feature_used", "page", stored("vocabulary", "vocabulary")),
        (&standard, "vm.power_on", "initiator", Wish::Unwanted(Reason::Level)),
        (&standard, "support.log_line", "message", Wish::Unwanted(Reason::Level)),
        (&standard, "entitlement.status", "customer", Wish::Unwanted(Reason::NotParticipating)),
        (&enhanced, "entitlement.status", "customer", stored("keep", "keep")),
        (&enhanced, "support.log_line", "message", stored("redact", "redact")),
        // To be kept out of the log, too; where no text is redacted there is nothing to do.
        (&enhanced, "guest.customization", "script", Wish::Cut(Reason::Forbidden, Class::CustomerContent)),
        (&enhanced, "guest.customization", "admin_password", Wish::Cut(Reason::Forbidden, Class::Secret)),
        (&standard, "guest.customization", "admin_password", Wish::Unwanted(Reason::Forbidden)),
        // Found in the log beside it; that of another program has no say there.
        (&enhanced, "client.feature_used", "user_name", Wish::Context(Reason::Level)),
        (&enhanced, "entitlement.status", "contact.name", Wish::Unwanted(Reason::Level)),
        (&off, "vm.inventory", "host", Wish::Context(Reason::Purpose)),
        (&off, "vm.inventory", "vcpus", Wish::Unwanted(Reason::Purpose)),
        (&off, "guest.customization", "admin_password", Wish::Cut(Reason::Purpose, Class::Secret)),
    ] {
        assert_eq!(wish(plan, event, path), expected, "{event} {path}");
    }
    let told: Vec<_> = standard
        .programs
        .iter()
        .map(|one| [one.program.as_str(), one.level.as_str(), &one.customer, &one.instance])
        .collect();
    assert_eq!(
        told,
        [["ceip", "standard", "pseudonym", "pseudonym, rotating"], ["operational", "none", "", ""]]
    );
}

#[test]
fn who_takes_no_part_or_has_paused_is_asked_for_nothing_and_told_why() {
    // covers: P2
    let policy = policy();
    let full = customer(&["ceip=enhanced", "operational=operational"]);
    let with = |delivery| Participation { delivery, ..full.clone() };
    for (participation, product, state, reason) in [
        (Some(with(Delivery::Deliver)), "vcenter", CollectionState::Deliver, None),
        (Some(with(Delivery::Audit)), "vcenter", CollectionState::Audit, None),
        (Some(with(Delivery::Paused)), "vcenter", CollectionState::Paused, Some(Reason::NotParticipating)),
        (Some(customer(&[])), "vcenter", CollectionState::Disabled, Some(Reason::NotParticipating)),
        (Some(customer(&["ceip=plus"])), "vcenter", CollectionState::Disabled, Some(Reason::UnknownLevel)),
        (Some(full.clone()), "vcentre", CollectionState::Disabled, Some(Reason::UnknownProduct)),
        (Some(customer(&["ceip=plus"])), "vcentre", CollectionState::Disabled, Some(Reason::UnknownProduct)),
        // Not even whether there is such a product.
        (Some(customer(&[])), "vcentre", CollectionState::Disabled, Some(Reason::NotParticipating)),
        (
            Some(customer(&["ceip=none"])),
            "vcentre",
            CollectionState::Disabled,
            Some(Reason::NotParticipating),
        ),
        (Some(with(Delivery::Paused)), "vcentre", CollectionState::Paused, Some(Reason::NotParticipating)),
        (None, "vcenter", CollectionState::Disabled, Some(Reason::NotParticipating)),
        (None, "vcentre", CollectionState::Disabled, Some(Reason::NotParticipating)),
    ] {
        let decision = decide(&policy, participation.as_ref(), product);
        let plan = policy.collection(participation.as_ref(), &decision);
        assert_eq!((plan.state, plan.refused), (state, reason), "{product}");
        assert_eq!(plan.events.is_empty(), reason.is_some());
    }
}

#[test]
fn versions_are_the_same_exactly_when_the_plans_are() {
    let policy = policy();
    let mut plans = Vec::new();
    for levels in
        [&["ceip=standard"][..], &["ceip=enhanced"], &["ceip=enhanced", "operational=operational"], &[]]
    {
        for product in ["vcenter", "horizon"] {
            for (region, accepted, delivery) in [
                (None, 2, Delivery::Deliver),
                (Some(name("eea")), 2, Delivery::Deliver),
                (None, 1, Delivery::Deliver),
                (None, 2, Delivery::Audit),
                (None, 2, Delivery::Paused),
            ] {
                let mut participation = customer(levels);
                (participation.region, participation.delivery) = (region, delivery);
                participation.accepted_dictionaries.insert(name(product), accepted);
                plans.push(plan(&policy, &participation, product));
            }
        }
    }
    let content = |plan: &Collection| Collection { version: plans.first().unwrap().version, ..plan.clone() };
    for a in &plans {
        for b in &plans {
            // Who is refused is told the same of every product.
            let same = content(a) == content(b);
            assert_eq!(a.version == b.version, same, "{a:?} {b:?}");
        }
    }
}

#[test]
fn a_policy_that_changes_something_else_leaves_the_version_alone() {
    let enhanced = customer(&["ceip=enhanced"]);
    let edit = Edit { path: "products/horizon.toml", after: "", old: "version = 2", new: "version = 3" };
    let other = compile(&edited(shipped(), edit).0).unwrap().0;
    let (before, now) = (policy(), other);
    assert_ne!(before.version(), now.version());
    let of = |policy: &Policy, product| plan(policy, &enhanced, product).version;
    assert_eq!(of(&before, "vcenter"), of(&now, "vcenter"));
    assert_ne!(of(&before, "horizon"), of(&now, "horizon"));
    let version = of(&now, "vcenter");
    assert!(version.is(RawText::new(version.to_string().as_bytes())));
    assert!(!version.is(RawText::new(b"")) && !version.is(RawText::new(b"0000000000000000")));
}
