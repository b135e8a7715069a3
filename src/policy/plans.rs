//! Tests: a plan does what the level, the dictionary and the customer say.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;

use super::sample::{customer, name, policy};
use super::{Action, Ask, Epoch, EventPlan, Form, Plan, PlanKey, Policy, Shape};
use crate::model::{IdentifierClass as Class, Participation, Purpose, Purposes, RawText, Reason};

fn plan_of(policy: &Policy, participation: &Participation, product: &str, program: &str) -> Arc<Plan> {
    let decision = policy.decide(&Ask {
        participation: Some(participation),
        global_caps: &BTreeMap::new(),
        product: RawText::new(product.as_bytes()),
        region: RawText::default(),
        level_caps: &[],
    });
    let program = policy.program_index(program).unwrap();
    policy.plan(decision.plan_key(program, decision.rank(program)).unwrap())
}

fn event<'p>(policy: &Policy, plan: &'p Plan, event: &str) -> &'p EventPlan {
    let product = policy.product(&plan.product).unwrap();
    plan.events.get(product.event(RawText::new(event.as_bytes())).unwrap().event).unwrap()
}

/// What the plan does to the field of an event, in one word.
fn act(policy: &Policy, plan: &Plan, event: &str, path: &str) -> String {
    let product = policy.product(&plan.product).unwrap();
    let declared = product.events().iter().find(|e| e.name().as_str() == event).unwrap();
    let (number, _) = product.fields(declared).find(|(_, field)| field.path().as_str() == path).unwrap();
    match &plan.fields.get(usize::try_from(number).unwrap()).unwrap().shape {
        Shape::Scalar { action: Action::Withhold(reason), .. } => reason.to_string(),
        Shape::Scalar { action: Action::Pseudonym { class, epoch }, .. } => {
            format!("{class} {}", epoch.as_str())
        }
        Shape::Scalar { action: Action::Generalise(to), .. } => to.as_str().to_owned(),
        Shape::Scalar { action: Action::Keep(Form::Bucket(width)), .. } => format!("bucket {width}"),
        Shape::Scalar { action, .. } => action.treatment().to_owned(),
        Shape::Record(_) | Shape::List { .. } | Shape::Map { .. } => "container".to_owned(),
    }
}

#[test]
fn the_standard_event_hashes_four_fields_at_standard_and_keeps_six() {
    let policy = policy();
    let plan = plan_of(&policy, &customer(&["ceip=standard"]), "vcenter", "ceip");
    let told = [
        "host",
        "vm",
        "ip",
        "mac",
        "vcpus",
        "memory_mb",
        "guest_os",
        "tools_version",
        "power_state",
        "uptime_s",
    ]
    .map(|path| act(&policy, &plan, "vm.inventory", path));
    assert_eq!(
        told.iter().map(String::as_str).collect::<Vec<_>>(),
        [
            "host_name stable",
            "object_name stable",
            "ip_address stable",
            "mac_address stable",
            "keep",
            "keep",
            "vocabulary",
            "keep",
            "vocabulary",
            "keep"
        ]
    );
    let product = policy.product(&plan.product).unwrap();
    assert_eq!(product.fields(product.events().first().unwrap()).count(), 10);
}

#[test]
fn a_plan_does_what_the_level_the_dictionary_and_the_customer_say() {
    // covers: P2
    let policy = policy();
    let standard = customer(&["ceip=standard", "operational=operational"]);
    let enhanced = customer(&["ceip=enhanced"]);
    let mut first = enhanced.clone();
    first.accepted_dictionaries.insert(name("vcenter"), 1);
    let mut off = enhanced.clone();
    off.purposes_off = vec![Purpose::Improve];
    for (participation, program, event, path, expected) in [
        (&standard, "ceip", "vm.power_on", "vm_id", "vm_id rotating"),
        (&enhanced, "ceip", "vm.power_on", "vm_id", "vm_id stable"),
        (&standard, "ceip", "vm.power_on", "initiator", "level"),
        (&enhanced, "ceip", "vm.power_on", "initiator", "user_id stable"),
        (&enhanced, "ceip", "client.feature_used", "user_name", "level"),
        (&standard, "ceip", "host.inventory", "site", "location_country"),
        (&enhanced, "ceip", "host.inventory", "site", "location_region"),
        (&standard, "ceip", "host.inventory", "hardware.memory_gb", "bucket 16"),
        (&standard, "ceip", "host.inventory", "labels{key}", "object_name stable"),
        (&standard, "ceip", "client.feature_used", "page", "vocabulary"),
        (&enhanced, "ceip", "client.feature_used", "page", "redact"),
        (&enhanced, "ceip", "guest.customization", "script", "forbidden"),
        (&enhanced, "ceip", "guest.customization", "admin_password", "forbidden"),
        (&standard, "ceip", "support.log_line", "service", "level"),
        (&enhanced, "ceip", "support.log_line", "service", "vocabulary"),
        (&enhanced, "ceip", "support.log_line", "message", "redact"),
        (&enhanced, "ceip", "host.inventory", "tpm.attested", "keep"),
        (&first, "ceip", "host.inventory", "tpm.attested", "not_yet_accepted"),
        (&first, "ceip", "host.inventory", "host", "host_name stable"),
        (&off, "ceip", "vm.inventory", "host", "purpose"),
        (&off, "ceip", "host.inventory", "host", "host_name stable"),
        (&standard, "operational", "entitlement.status", "customer", "keep"),
        (&standard, "operational", "entitlement.status", "contact.email", "level"),
        (&standard, "operational", "service.health", "node", "level"),
    ] {
        let plan = plan_of(&policy, participation, "vcenter", program);
        assert_eq!(act(&policy, &plan, event, path), expected, "{event} {path}, {}", plan.level);
    }
}

#[test]
fn an_event_is_withheld_when_no_field_of_it_may_be_stored() {
    // covers: P2
    let policy = policy();
    let reason = |participation: &Participation, program: &str, name: &str| {
        let plan = plan_of(&policy, participation, "vcenter", program);
        match event(&policy, &plan, name) {
            EventPlan::Withhold(reason) => Some(*reason),
            EventPlan::Store { .. } => None,
        }
    };
    let standard = customer(&["ceip=standard", "operational=operational"]);
    let enhanced = customer(&["ceip=enhanced"]);
    let mut off = enhanced.clone();
    off.purposes_off = vec![Purpose::Improve];
    let mut never = enhanced.clone();
    never.accepted_dictionaries.insert(name("vcenter"), 0);
    assert_eq!(reason(&standard, "ceip", "support.log_line"), Some(Reason::Level));
    assert_eq!(reason(&enhanced, "ceip", "support.log_line"), None);
    assert_eq!(reason(&off, "ceip", "vm.inventory"), Some(Reason::Purpose));
    assert_eq!(reason(&off, "ceip", "host.inventory"), None);
    assert_eq!(reason(&never, "ceip", "vm.inventory"), Some(Reason::NotYetAccepted));
    assert_eq!(reason(&standard, "operational", "vm.inventory"), Some(Reason::NotParticipating));
    assert_eq!(reason(&standard, "ceip", "entitlement.status"), Some(Reason::NotParticipating));
}

#[test]
fn the_ids_of_customer_and_instance_follow_their_class() {
    let policy = policy();
    let told = |participation: &Participation, program: &str| {
        let plan = plan_of(&policy, participation, "vcenter", program);
        [&plan.customer, &plan.instance].map(|action| match action {
            Action::Pseudonym { class, epoch } => (Some(*class), Some(*epoch)),
            Action::Keep(_) => (None, None),
            Action::Withhold(_) | Action::Generalise(_) | Action::Vocabulary(_) | Action::Redact(_) => {
                panic!("{action:?}")
            }
        })
    };
    let full = customer(&["ceip=enhanced", "operational=operational"]);
    let instance = |epoch| (Some(Class::InstanceId), Some(epoch));
    assert_eq!(told(&full, "operational"), [(None, None), instance(Epoch::Stable)]);
    assert_eq!(told(&full, "ceip"), [(None, None), instance(Epoch::Stable)]);
    assert_eq!(
        told(&customer(&["ceip=standard"]), "ceip"),
        [(Some(Class::CustomerId), Some(Epoch::Stable)), instance(Epoch::Rotating)]
    );
}

/// Follows the path of a field through the shapes of a plan.
fn follow(plan: &Plan, event: &EventPlan, path: &str) -> u32 {
    let EventPlan::Store { fields, .. } = event else { panic!("{path}") };
    let mut at = None;
    let mut names = Some(fields);
    let spread = path.replace("[]", ".[]").replace('{', ".{");
    for step in spread.split('.') {
        let shape = at.map(|at: u32| &plan.fields.get(usize::try_from(at).unwrap()).unwrap().shape);
        let next = match (step, shape) {
            ("[]", Some(Shape::List { item })) => *item,
            ("{}", Some(Shape::Map { value, .. })) => *value,
            ("{key}", Some(Shape::Map { key, .. })) => *key,
            (step, _) => names.unwrap().get(step.as_bytes()).unwrap(),
        };
        names = match &plan.fields.get(usize::try_from(next).unwrap()).unwrap().shape {
            Shape::Record(names) => Some(names),
            Shape::Scalar { .. } | Shape::List { .. } | Shape::Map { .. } => None,
        };
        at = Some(next);
    }
    at.unwrap()
}

#[test]
fn every_declared_field_is_reached_by_its_path_and_holds_its_purposes() {
    let policy = policy();
    let full = customer(&["ceip=enhanced", "operational=operational"]);
    let mut reached = 0;
    for product in policy.products() {
        for (program, of) in policy.programs().iter().enumerate() {
            let plan = plan_of(&policy, &full, product.name().as_str(), of.name().as_str());
            assert_eq!(plan.fields.len(), product.nodes.len());
            for (at, declared) in product.events().iter().enumerate().filter(|(_, e)| e.program() == program)
            {
                for (number, field) in product.fields(declared) {
                    assert_eq!(follow(&plan, plan.events.get(at).unwrap(), field.path().as_str()), number);
                    let spec = &plan.fields.get(usize::try_from(number).unwrap()).unwrap().spec;
                    assert_eq!((&spec.path, spec.class), (field.path(), field.class()));
                    reached += 1;
                }
            }
        }
    }
    assert!(reached > 200, "{reached}");
}

#[test]
fn a_container_has_the_purposes_of_what_is_stored_in_it() {
    let policy = policy();
    let plan = plan_of(&policy, &customer(&["ceip=enhanced"]), "horizon", "ceip");
    let purposes = |path: &str| {
        plan.fields
            .iter()
            .find(|field| field.spec.path.as_str() == path)
            .map(|field| field.spec.purposes)
            .unwrap()
    };
    // `client.device` is there for two purposes, the rest of `client` for one.
    assert_eq!(purposes("client"), Purposes::only(Purpose::Improve).with(Purpose::Recommend));
    assert_eq!(purposes("client.version"), Purposes::only(Purpose::Improve));
    assert_eq!(purposes("connection_servers"), Purposes::only(Purpose::Improve));
    assert_eq!(purposes("owner"), Purposes::NONE, "what is of another program is not stored");
}

#[test]
fn a_plan_is_made_once_and_a_foreign_key_gets_one_that_stores_nothing() {
    // covers: P2, P5
    let policy = policy();
    let participation = customer(&["ceip=standard"]);
    let plan = plan_of(&policy, &participation, "vcenter", "ceip");
    assert!(Arc::ptr_eq(&plan, &plan_of(&policy, &participation, "vcenter", "ceip")));
    assert_eq!(&*plan.policy_version, policy.version());
    let decision = policy.decide(&Ask {
        participation: Some(&participation),
        global_caps: &BTreeMap::new(),
        product: RawText::new(b"vcenter"),
        region: RawText::default(),
        level_caps: &[],
    });
    let key = decision.plan_key(policy.program_index("ceip").unwrap(), 1).unwrap();
    for foreign in [
        PlanKey { product: 99, ..key },
        PlanKey { program: 99, ..key },
        PlanKey { rank: 0, ..key },
        PlanKey { rank: 3, ..key },
        PlanKey { region: Some(99), ..key },
    ] {
        let plan = policy.plan(foreign);
        assert!(plan.events.is_empty() && plan.fields.is_empty(), "{foreign:?}");
        assert_eq!(plan.level.as_str(), "none");
    }
}
