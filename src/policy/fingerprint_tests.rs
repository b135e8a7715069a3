//! A fingerprint changes with whatever changes what is stored, and with nothing else.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::sample::{Edit, customer, edited, name};
use super::super::{Ask, Plan, Policy, PolicyFile, caps_print, compile, shipped};
use crate::model::{Participation, Purpose, RawText};

const CEIP: &str = "programs/ceip.toml";
const VCENTER: &str = "products/vcenter.toml";
const ENHANCED: &str = "name = \"enhanced\"";

fn plan(policy: &Policy, participation: &Participation) -> Arc<Plan> {
    let decision = policy.decide(&Ask {
        participation: Some(participation),
        global_caps: &BTreeMap::new(),
        product: RawText::new(b"vcenter"),
        region: RawText::default(),
        level_caps: &[],
    });
    let program = policy.program_index("ceip").unwrap();
    policy.plan(decision.plan_key(program, decision.rank(program)).unwrap())
}

#[test]
fn the_print_of_caps_is_another_for_other_caps_and_nothing_for_none() {
    let of = |caps: &[(&str, &str)]| {
        let pair = |(program, level): &(&str, &str)| (program.parse().unwrap(), level.parse().unwrap());
        caps_print(&caps.iter().map(pair).collect())
    };
    let some = [of(&[]), of(&[("ceip", "none")]), of(&[("ceip", "basic")]), of(&[("ceipn", "one")])];
    assert_eq!(some.iter().collect::<std::collections::BTreeSet<_>>().len(), some.len());
    assert_eq!((some[0], of(&[("ceip", "none")])), (0, some[1]));
}

/// The fingerprint of the enhanced plan of vcenter.
fn print_of(files: &[PolicyFile]) -> [u8; 8] {
    let policy = compile(files).unwrap_or_else(|problems| panic!("{problems:#?}")).0;
    let mut enhanced = customer(&["ceip=enhanced"]);
    policy.accept_current(&mut enhanced);
    enhanced.accepted_dictionaries.insert(name("vcenter"), 9);
    plan(&policy, &enhanced).fingerprint
}

/// An edit of the shipped policy: the file, what stands before it, the old and the new text.
type Change = (&'static str, &'static str, &'static str, &'static str);

/// What changes the bytes that the enhanced plan stores.
const SEEN: [Change; 17] = [
    (CEIP, ENHANCED, "host_name = \"pseudonym\"", "host_name = \"keep\""),
    (CEIP, ENHANCED, "url = \"redact\"", "url = \"keep\""),
    (CEIP, ENHANCED, "url = \"redact\"", "url = { treatment = \"redact\", max_bytes = 100 }"),
    (CEIP, ENHANCED, "max_bytes = 16384", "max_bytes = 16383"),
    (CEIP, ENHANCED, "location_region", "location_country"),
    (CEIP, ENHANCED, "customer_id = \"keep\"", "customer_id = \"pseudonym\""),
    (CEIP, ENHANCED, "instance_id = \"pseudonym\"", "instance_id = \"keep\""),
    (CEIP, ENHANCED, "purposes = [\"improve\", \"recommend\"]", "purposes = [\"improve\"]"),
    // A class that replaces what is found in text, though no field of the product has it.
    (
        CEIP,
        ENHANCED,
        "pixel_id = \"pseudonym\"",
        "pixel_id = { treatment = \"pseudonym\", epoch = \"rotating\" }",
    ),
    (VCENTER, "", "version = 2", "version = 3"),
    (VCENTER, "fields.vcpus", "example = 8", "example = 8\nbucket = 4"),
    (VCENTER, "fields.power_state", "\"suspended\"", "\"asleep\""),
    (VCENTER, "fields.host]", "class = \"host_name\"", "class = \"object_name\""),
    (VCENTER, "fields.host]", "category = \"configuration\"", "category = \"performance\""),
    (VCENTER, "fields.host]", "[\"improve\"]", "[\"improve\", \"recommend\"]"),
    (VCENTER, "fields.host]", "since = 1", "since = 1\nmax_length = 20"),
    (VCENTER, "events.\"vm.inventory\".fields.mac", "fields.mac", "fields.mac_address"),
];

/// What does not.
const UNSEEN: [Change; 6] = [
    (CEIP, "", "People appear only as pseudonyms", "People are pseudonyms"),
    (CEIP, "name = \"standard\"", "host_name = \"pseudonym\"", "host_name = \"drop\""),
    (
        CEIP,
        "[regions.eea.enhanced]",
        "mac_address = \"drop\"",
        "mac_address = { treatment = \"pseudonym\", epoch = \"rotating\" }",
    ),
    (VCENTER, "fields.host]", "The host that runs it", "Its host"),
    (VCENTER, "fields.power_state", "[\"on\", \"off\", \"suspended\"]", "[\"suspended\", \"on\", \"off\"]"),
    (VCENTER, "fields.host]", "since = 1", "since = 2"),
];

fn changed((path, after, old, new): Change) -> Vec<PolicyFile> {
    edited(shipped(), Edit { path, after, old, new }).0
}

#[test]
fn whatever_changes_what_is_stored_changes_the_fingerprint() {
    let mut prints = vec![print_of(&shipped())];
    for change in SEEN {
        let print = print_of(&changed(change));
        assert!(!prints.contains(&print), "{change:?} is not seen");
        prints.push(print);
    }
}

#[test]
fn what_changes_nothing_that_is_stored_leaves_the_fingerprint() {
    let print = print_of(&shipped());
    assert_eq!(print_of(&shipped()), print, "compiled twice");
    for change in UNSEEN {
        assert_eq!(print_of(&changed(change)), print, "{change:?}");
    }
}

#[test]
fn terms_that_store_other_bytes_have_other_fingerprints() {
    let policy = compile(&shipped()).unwrap().0;
    let enhanced = customer(&["ceip=enhanced"]);
    let mut eea = enhanced.clone();
    eea.region = Some(name("eea"));
    let mut off = enhanced.clone();
    off.purposes_off = vec![Purpose::Recommend];
    let mut first = enhanced.clone();
    first.accepted_dictionaries.insert(name("vcenter"), 1);
    let mut prints: Vec<_> = [customer(&["ceip=standard"]), enhanced, eea, off, first]
        .iter()
        .map(|participation| plan(&policy, participation).fingerprint)
        .collect();
    prints.sort_unstable();
    prints.dedup();
    assert_eq!(prints.len(), 5);
}
