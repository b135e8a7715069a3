//! Tests: what a change of a policy exposes is told, in its direction, and nothing else.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::sample::{Edit, customer, edited, name, policy};
use super::{
    Change, Chosen, Direction, EventPlan, PlanKey, Policy, Product, Shape, Subject, Touched, TouchedTally,
    between, compile, dictionaries, diff, shipped, structure,
};
use crate::model::{Participation, Purpose, Purposes};
use Direction::{Incomparable, Less, More};

const CEIP: &str = "programs/ceip.toml";
const VCENTER: &str = "products/vcenter.toml";
const HORIZON: &str = "products/horizon.toml";

const fn edit(path: &'static str, after: &'static str, old: &'static str, new: &'static str) -> Edit {
    Edit { path, after, old, new }
}

/// A field that version 3 brings.
const NEW_FIELD: &str = "version = 3\n\n[events.\"vm.inventory\".fields.nics]\ntype = \"int\"\n\
    category = \"configuration\"\nclass = \"not_identifying\"\npurposes = [\"improve\"]\n\
    description = \"Network adapters.\"\nexample = 2\nsince = 3\n";

/// The parts of a value of a map, from the category of the first to that of the last.
const SITES: &str = "category = \"configuration\"\nclass = \"location\"\npurposes = [\"improve\"]\ndescription = \"Where it is.\"\n\
    example = \"DE-HE\"\nsince = 1\n\n[events.\"pod.configuration\".fields.\"sites{}.pods\"]\ntype = \"int\"\n\
    category = \"configuration\"\n";
const LOGGED_SITES: &str = "category = \"product_log\"\nclass = \"location\"\npurposes = [\"improve\"]\ndescription = \"Where it is.\"\n\
    example = \"DE-HE\"\nsince = 1\n\n[events.\"pod.configuration\".fields.\"sites{}.pods\"]\ntype = \"int\"\n\
    category = \"product_log\"\n";
const SITES_ROW: &str = "horizon pod.configuration sites{key}, ceip standard: pseudonym, the other half of its pair is not stored";

/// An edit that leaves a good policy good, whatever else is edited; the direction of each change that
/// it makes; and one of its places, with what is there before and after.
type Row = (Edit, &'static [Direction], &'static str);

fn rows() -> Vec<Row> {
    let (standard, enhanced) = ("name = \"standard\"", "name = \"enhanced\"");
    vec![
        (
            edit(CEIP, standard, "host_name = \"pseudonym\"", "host_name = \"drop\""),
            &[Less],
            "vcenter vm.inventory host, ceip standard: pseudonym, drop",
        ),
        (
            edit(CEIP, enhanced, "customer_id = \"keep\"", "customer_id = \"pseudonym\""),
            &[Less],
            "vcenter (customer), ceip enhanced: keep, pseudonym",
        ),
        (
            edit(CEIP, enhanced, "location_region", "location_country"),
            &[Less],
            "vcenter host.inventory site, ceip enhanced: generalise to location_region, generalise to location_country",
        ),
        (
            edit(
                CEIP,
                standard,
                "ip_address = \"pseudonym\"",
                "ip_address = { treatment = \"pseudonym\", epoch = \"rotating\" }",
            ),
            &[Less],
            "vcenter vm.inventory ip, ceip standard: pseudonym, pseudonym, rotating",
        ),
        (
            edit(
                CEIP,
                "[regions.eea.enhanced]",
                "ip_address = { treatment = \"pseudonym\", epoch = \"rotating\" }",
                "ip_address = \"drop\"",
            ),
            &[Less],
            "vcenter vm.inventory ip, ceip enhanced eea: pseudonym, rotating, drop",
        ),
        (
            edit(CEIP, enhanced, "\"performance\", \"product_log\"", "\"performance\""),
            &[Less],
            "vcenter support.log_line, ceip enhanced: stored, no field of it may be stored",
        ),
        (
            edit(
                VCENTER,
                "fields.host]",
                "purposes = [\"improve\"]",
                "purposes = [\"improve\", \"recommend\"]",
            ),
            &[More],
            "vcenter vm.inventory host, ceip enhanced: pseudonym, for improve, pseudonym, for recommend and improve",
        ),
        (
            edit(
                VCENTER,
                "fields.power_state]",
                "\"on\", \"off\", \"suspended\"",
                "\"on\", \"off\", \"crashed\"",
            ),
            &[Incomparable],
            "vcenter vm.inventory power_state, ceip standard: vocabulary (3 words: off, on, suspended), vocabulary (3 words: crashed, off, on)",
        ),
        (edit(VCENTER, "fields.guest_os]", "    \"windows-10\",\n", ""), &[Less], ""),
        (
            edit(VCENTER, "fields.vm]", "class = \"object_name\"", "class = \"host_name\""),
            &[Incomparable],
            "vcenter vm.inventory vm, ceip standard: pseudonym of object_name, pseudonym of host_name",
        ),
        (
            edit(VCENTER, "fields.mac]", "class = \"mac_address\"", "class = \"secret\""),
            &[Less],
            "vcenter vm.inventory mac, ceip standard: pseudonym, never stored",
        ),
        (
            edit(
                VCENTER,
                "fields.memory_mb]",
                "class = \"not_identifying\"",
                "class = \"not_identifying\"\nbucket = 1024",
            ),
            &[Less],
            "vcenter vm.inventory memory_mb, ceip standard: keep, generalise to buckets of 1024",
        ),
        (
            edit(VCENTER, "name = \"vcenter\"", "version = 2\n", NEW_FIELD),
            &[More],
            "vcenter vm.inventory nics, ceip standard: not in the dictionary, keep",
        ),
        (
            edit(VCENTER, "fields.from_snapshot]", "since = 2", "since = 1"),
            &[More],
            "vcenter vm.power_on from_snapshot, ceip standard: withheld until accepted, keep",
        ),
        // Of every pair both parts of the value go, and its key with them.
        (edit(HORIZON, "fields.\"sites{}.place\"]", SITES, LOGGED_SITES), &[Less], SITES_ROW),
        // What is only said otherwise changes nothing that is stored.
        (edit(VCENTER, "fields.vcpus]", "Virtual processors.", "Virtual CPUs."), &[], ""),
        (edit(VCENTER, "fields.uptime_s]", "\"configuration\"", "\"performance\""), &[], ""),
    ]
}

fn with(edits: impl IntoIterator<Item = Edit>) -> Policy {
    let files = edits.into_iter().fold(shipped(), |files, edit| edited(files, edit).0);
    compile(&files).unwrap_or_else(|problems| panic!("{problems:#?}")).0
}

fn told(change: &Change) -> String {
    let spot = &change.spot;
    let subject = match &spot.subject {
        Subject::Customer => "(customer)".to_owned(),
        Subject::Instance => "(instance)".to_owned(),
        Subject::Event(event) => event.to_string(),
        Subject::Field(event, path) => format!("{event} {path}"),
    };
    let region = spot.region.as_ref().map_or(String::new(), |region| format!(" {region}"));
    let (product, program, level) = (&spot.product, &spot.program, &spot.level);
    format!("{product} {subject}, {program} {level}{region}: {}, {}", change.before, change.after)
}

#[test]
fn a_change_is_told_in_its_direction_and_so_is_the_way_back() {
    let old = policy();
    for (edit, directions, place) in rows() {
        let new = with([edit]);
        let changes = diff(&old, &new);
        let found: BTreeSet<Direction> = changes.iter().map(|change| change.direction).collect();
        assert_eq!(found.into_iter().collect::<Vec<_>>(), directions, "{edit:?} {changes:#?}");
        let all: Vec<_> = changes.iter().map(told).collect();
        assert!(place.is_empty() || all.iter().any(|told| told == place), "{place}\n{all:#?}");
        assert!(
            !structure(&old, &new).is_empty() || !dictionaries(&old, &new).is_empty() || edit.path == CEIP
        );
    }
}

#[test]
fn what_a_new_version_brings_is_withheld_until_it_is_accepted_and_what_is_slipped_in_is_not() {
    let old = policy();
    let find = |row: &str| rows().into_iter().find(|(_, _, place)| place.contains(row)).unwrap().0;
    let brought = diff(&old, &with([find("nics")]));
    assert!(!brought.is_empty() && brought.iter().all(|change| !change.at_once && change.since == 3));
    for slipped_in in ["for recommend and improve", "from_snapshot", "crashed"] {
        let changes = diff(&old, &with([find(slipped_in)]));
        assert!(changes.iter().all(|change| change.at_once), "{slipped_in}: {changes:#?}");
    }
}

#[test]
fn parts_that_only_one_policy_has_are_told_once_and_not_field_by_field() {
    let old = policy();
    let mut files = shipped();
    files.retain(|file| file.path != "products/horizon.toml");
    let new = compile(&files).unwrap().0;
    let told: Vec<_> = structure(&old, &new).iter().map(|c| (c.name.clone(), c.direction)).collect();
    assert_eq!(told, [("horizon".to_owned(), Some(Less))]);
    assert!(diff(&old, &new).iter().all(|c| c.direction == Less && c.spot.product.as_str() == "horizon"));
    let renamed = edit(CEIP, "[[levels]]", "name = \"standard\"", "name = \"basic\"");
    let region = edit(CEIP, "[regions", "[regions.eea.standard]", "[regions.eea.basic]");
    let new = with([renamed, region]);
    let told: Vec<_> =
        structure(&old, &new).iter().map(|c| (c.part.as_str(), c.name.clone(), c.direction)).collect();
    assert_eq!(
        told,
        [
            ("program", "ceip".to_owned(), None),
            ("level", "ceip basic".to_owned(), Some(More)),
            ("level", "ceip standard".to_owned(), Some(Less))
        ]
    );
    assert_eq!(diff(&old, &new), []);
}

#[test]
fn accepting_a_version_shows_what_it_brings_and_withdrawing_hides_the_same() {
    let policy = policy();
    let caps = BTreeMap::new();
    let with = |version: u32| {
        let mut participation = customer(&["ceip=standard"]);
        participation.accepted_dictionaries.insert(name("vcenter"), version);
        participation
    };
    let (first, second, none) = (with(1), with(2), with(0));
    let seen = |before: &Participation, after: &Participation| {
        let chosen = |participation| Chosen { policy: &policy, participation, caps: &caps };
        between(chosen(before), chosen(after))
    };
    let brought = seen(&first, &second);
    let vcenter = policy.product(&name("vcenter")).unwrap();
    let newer = vcenter.events().iter().flat_map(|event| vcenter.fields(event));
    assert!(newer.filter(|(_, field)| field.since() == 2).count() >= brought.len());
    assert!(brought.iter().all(|c| c.direction == More && c.since == 2), "{brought:#?}");
    assert!(brought.iter().any(|c| told(c).starts_with("vcenter vm.power_on from_snapshot")));
    let hidden = seen(&second, &first);
    assert_eq!(hidden.len(), brought.len());
    assert!(hidden.iter().all(|c| c.direction == Less && c.after == "withheld until accepted"));
    assert!(seen(&none, &second).len() > 50, "who accepted nothing sees all of it come");
    assert_eq!(seen(&second, &second), []);
    // A cap of the collector holds here too.
    let caps = BTreeMap::from([(name("ceip"), name("none"))]);
    let chosen = |participation| Chosen { policy: &policy, participation, caps: &caps };
    assert_eq!(between(chosen(&first), chosen(&second)), []);
}

#[test]
fn customers_are_counted_where_the_change_holds_for_them() {
    let old = policy();
    let find = |row: &str| rows().into_iter().find(|(_, _, place)| place.contains(row)).unwrap().0;
    let new = with([find("host, ceip standard: pseudonym, drop"), find("nics"), find("eea: pseudonym")]);
    let caps = BTreeMap::new();
    let mut touched = Touched::new(&old, &new, &caps);
    let standard = customer(&["ceip=standard"]);
    let enhanced = customer(&["ceip=enhanced"]);
    let mut overridden = enhanced.clone();
    let one = crate::model::ProductLevel {
        product: name("vcenter"),
        program: name("ceip"),
        level: name("standard"),
    };
    overridden.product_levels.push(one);
    let mut eea = enhanced.clone();
    eea.region = Some(name("eea"));
    let mut off = standard.clone();
    off.purposes_off = vec![Purpose::Improve];
    let mut paused = standard.clone();
    paused.delivery = crate::model::Delivery::Paused;
    for (participation, customers) in [
        (&standard, 1_000),
        (&enhanced, 200),
        (&overridden, 30),
        (&eea, 4),
        (&off, 50_000),
        (&paused, 600_000),
        (&customer(&["operational=operational"]), 7_000_000),
    ] {
        touched.add(participation, customers);
    }
    assert_eq!(touched.customers(), 7_651_234);
    let changes = diff(&old, &new);
    let count = |place: &str| {
        let change = changes.iter().find(|c| told(c).starts_with(place)).unwrap_or_else(|| panic!("{place}"));
        touched.at(&change.spot)
    };
    let tally = |at_once, when_accepted| TouchedTally { at_once, when_accepted };
    assert_eq!(count("vcenter vm.inventory host, ceip standard:"), tally(1_030, 1_030));
    assert_eq!(count("vcenter vm.inventory nics, ceip standard:"), tally(0, 1_030));
    assert_eq!(count("vcenter vm.inventory nics, ceip enhanced:"), tally(0, 200));
    assert_eq!(count("vcenter vm.inventory nics, ceip enhanced eea:"), tally(0, 4));
    assert_eq!(count("vcenter vm.inventory ip, ceip enhanced eea:"), tally(4, 4));
    assert_eq!(touched.total(More), tally(0, 1_234));
    assert_eq!(touched.total(Less), tally(1_034, 1_034));
    assert_eq!(touched.total(Incomparable), tally(0, 0));
}

/// A change without what has no mirror image: versions, and when it holds.
fn mirrored(changes: Vec<Change>, back: bool) -> Vec<Change> {
    let mut changes: Vec<_> = changes
        .into_iter()
        .map(|mut change| {
            (change.since, change.at_once) = (0, false);
            if back {
                std::mem::swap(&mut change.before, &mut change.after);
                change.direction = change.direction.reversed();
            }
            change
        })
        .collect();
    changes.sort();
    changes
}

/// What the plan does, as text, by what it does it to.
fn deeds(policy: &Policy, key: PlanKey, product: &Product) -> BTreeMap<String, String> {
    let plan = policy.plan(key);
    let mut deeds = BTreeMap::new();
    for (at, event) in product.events().iter().enumerate().filter(|(_, e)| e.program() == key.program) {
        if let Some(EventPlan::Store { purposes, .. }) = plan.events.get(at) {
            deeds.insert(event.name().to_string(), format!("{purposes:?}"));
        }
        for (number, field) in product.fields(event) {
            let planned = plan.fields.get(usize::try_from(number).unwrap()).unwrap();
            if let Shape::Scalar { kind, action } = &planned.shape
                && action.treatment() != "drop"
            {
                // The table of words is told by its words.
                let deed =
                    format!("{kind:?} {:?} {:?} {:?}", action, planned.spec.purposes, field.vocabulary());
                deeds.insert(format!("{} {}", event.name(), field.path()), deed);
            }
        }
    }
    // A pair of a map is stored whole or not at all.
    let all = deeds.clone();
    deeds.retain(|name, _| {
        let key = name.split_once("{}").map(|(map, _)| format!("{map}{{key}}"));
        let value = name.strip_suffix("{key}").map(|map| format!("{map}{{}}"));
        let has_parts = |value: &str| all.keys().any(|other| other.starts_with(value) && other != value);
        key.is_none_or(|key| all.contains_key(&key))
            && value.is_none_or(|value| all.contains_key(&value) || has_parts(&value))
    });
    deeds
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_diff_with_itself_is_empty_the_way_back_is_its_mirror_and_every_other_deed_is_told(
        a in prop::collection::vec(any::<bool>(), rows().len()),
        b in prop::collection::vec(any::<bool>(), rows().len()),
    ) {
        let chosen = |bits: &[bool]| {
            let rows = rows().into_iter().zip(bits.iter().copied());
            with(rows.filter(|(_, on)| *on).map(|((edit, ..), _)| edit))
        };
        let (old, new) = (chosen(&a), chosen(&b));
        prop_assert!(diff(&old, &old).is_empty());
        prop_assert!(structure(&old, &old).is_empty() && dictionaries(&old, &old).is_empty());
        let changes = diff(&old, &new);
        prop_assert_eq!(mirrored(changes.clone(), false), mirrored(diff(&new, &old), true));

        // Whatever a plan does otherwise is in the diff, and what is in the diff is done otherwise.
        for (at, product) in new.products().iter().enumerate() {
            for (program, of) in new.programs().iter().enumerate() {
                for (rank, level) in (1_u8..).zip(of.levels()) {
                    for region in [None, Some(0)] {
                        let (accepted, purposes_off) = (None, Purposes::NONE);
                        let key = PlanKey { product: at, program, rank, region, accepted, purposes_off };
                        let before = deeds(&old, key, old.products().get(at).unwrap());
                        let after = deeds(&new, key, product);
                        let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
                        let otherwise: BTreeSet<_> = names
                            .into_iter()
                            .filter(|name| before.get(*name) != after.get(*name)).cloned().collect();
                        let region = region.and_then(|at: usize| new.regions().get(at));
                        let told: BTreeSet<_> = changes.iter()
                            .filter(|change| {
                                let spot = &change.spot;
                                &spot.product == product.name()
                                    && (&spot.program, &spot.level) == (of.name(), level.name())
                                    && spot.region.as_ref() == region
                                    && change.before != "withheld until accepted"
                                    && change.after != "withheld until accepted"
                            })
                            .filter_map(|change| match &change.spot.subject {
                                Subject::Customer | Subject::Instance => None,
                                Subject::Event(event) => Some(event.to_string()),
                                Subject::Field(event, path) => Some(format!("{event} {path}")),
                            })
                            .collect();
                        prop_assert_eq!(otherwise, told);
                    }
                }
            }
        }
    }
}
