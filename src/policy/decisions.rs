//! Tests: the strictest of everything that has a say is in force, and what is unknown means `none`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use super::sample::{Edit, customer, edited, name, policy};
use super::{Ask, Decision, Policy, compile, shipped};
use crate::model::{
    Delivery, LevelName, Participation, ProductLevel, ProgramName, Purpose, RawText, Reason, RegionName,
};

static NO_CAPS: BTreeMap<ProgramName, LevelName> = BTreeMap::new();

fn raw(text: &str) -> RawText<'_> {
    RawText::new(text.as_bytes())
}

fn ask<'a>(participation: Option<&'a Participation>, caps: &'a BTreeMap<ProgramName, LevelName>) -> Ask<'a> {
    Ask { participation, global_caps: caps, product: raw("vcenter"), region: raw(""), level_caps: &[] }
}

/// The ranks of `ceip` and `operational`.
fn ranks(policy: &Policy, decision: &Decision) -> (u8, u8) {
    let rank = |program: &str| decision.rank(policy.program_index(program).unwrap());
    (rank("ceip"), rank("operational"))
}

fn caps(caps: &[&str]) -> BTreeMap<ProgramName, LevelName> {
    customer(caps).levels
}

/// Levels of the customer, global caps, overrides for vcenter, caps of the instance; then the
/// rank of `ceip` (0 none, 1 standard, 2 enhanced) and of `operational`.
type Row = (
    &'static [&'static str],
    &'static [&'static str],
    &'static [&'static str],
    &'static [&'static str],
    (u8, u8),
);

const ROWS: [Row; 15] = [
    (&[], &[], &[], &[], (0, 0)),
    (&["operational=operational"], &[], &[], &[], (0, 1)),
    (&["ceip=standard"], &[], &[], &[], (1, 0)),
    (&["ceip=enhanced", "operational=operational"], &[], &[], &[], (2, 1)),
    (&["ceip=none", "operational=operational"], &[], &[], &[], (0, 1)),
    // Each bound lowers, and none raises.
    (&["ceip=enhanced"], &["ceip=standard"], &[], &[], (1, 0)),
    (&["ceip=standard"], &["ceip=enhanced", "operational=operational"], &[], &[], (1, 0)),
    (&["ceip=enhanced"], &[], &["ceip=standard"], &[], (1, 0)),
    (&["ceip=standard"], &[], &["ceip=enhanced"], &[], (1, 0)),
    (&["ceip=enhanced"], &[], &[], &["ceip=standard"], (1, 0)),
    (&["ceip=standard"], &[], &[], &["ceip=enhanced"], (1, 0)),
    (&["ceip=enhanced"], &["ceip=enhanced"], &["ceip=standard"], &["ceip=none"], (0, 0)),
    (&["ceip=enhanced"], &[], &["ceip=standard", "ceip=none"], &[], (0, 0)),
    (&["ceip=enhanced"], &[], &[], &["ceip=enhanced", "ceip=standard"], (1, 0)),
    // A bound of one program leaves the other alone.
    (&["ceip=enhanced", "operational=operational"], &["operational=none"], &[], &["ceip=standard"], (1, 0)),
];

#[test]
fn the_strictest_of_everything_that_has_a_say_is_in_force() {
    let policy = policy();
    for row in ROWS {
        let (levels, global, overrides, instance, expected) = row;
        let mut participation = customer(levels);
        for text in overrides {
            let (program, level) = text.split_once('=').unwrap();
            let one = ProductLevel { product: name("vcenter"), program: name(program), level: name(level) };
            participation.product_levels.push(one);
        }
        let pairs: Vec<_> = instance
            .iter()
            .map(|text| text.split_once('=').unwrap())
            .map(|(p, l)| (raw(p), raw(l)))
            .collect();
        let global = caps(global);
        let decision = policy.decide(&Ask { level_caps: &pairs, ..ask(Some(&participation), &global) });
        assert_eq!(ranks(&policy, &decision), expected, "{row:?}");
        assert_eq!(decision.refused.is_some(), expected == (0, 0), "{row:?}");
        // What is true of the level is true of the plan: none above it.
        for program in &decision.programs {
            assert_eq!(decision.plan_key(program.program, 0), None);
            assert_eq!(decision.plan_key(program.program, program.rank + 1), None);
            for rank in 1..=program.rank {
                let key = decision.plan_key(program.program, rank).unwrap();
                assert_eq!((key.program, key.rank), (program.program, rank));
            }
        }
    }
}

#[test]
fn an_override_for_another_product_changes_nothing() {
    let policy = policy();
    let mut participation = customer(&["ceip=enhanced"]);
    let one = ProductLevel { product: name("horizon"), program: name("ceip"), level: name("none") };
    participation.product_levels.push(one);
    assert_eq!(ranks(&policy, &policy.decide(&ask(Some(&participation), &NO_CAPS))), (2, 0));
    let horizon = Ask { product: raw("horizon"), ..ask(Some(&participation), &NO_CAPS) };
    assert_eq!(policy.decide(&horizon).refused, Some(Reason::NotParticipating));
}

#[test]
fn unknown_means_none_and_says_what_was_unknown() {
    // covers: P2
    let policy = policy();
    let full = customer(&["ceip=enhanced", "operational=operational"]);
    let with = |change: &dyn Fn(&mut Participation)| {
        let mut participation = full.clone();
        change(&mut participation);
        participation
    };
    let paused = with(&|p| p.delivery = Delivery::Paused);
    let nowhere = with(&|p| p.region = Some(name("atlantis")));
    let plain = ask(Some(&full), &NO_CAPS);
    for (what, ask, reason) in [
        ("customer", ask(None, &NO_CAPS), Reason::NotParticipating),
        ("paused", ask(Some(&paused), &NO_CAPS), Reason::NotParticipating),
        ("product", Ask { product: raw("vcentre"), ..plain }, Reason::UnknownProduct),
        ("empty product", Ask { product: raw(""), ..plain }, Reason::UnknownProduct),
        ("product not in UTF-8", Ask { product: RawText::new(b"\xff"), ..plain }, Reason::UnknownProduct),
        ("customer's region", ask(Some(&nowhere), &NO_CAPS), Reason::UnknownLevel),
        ("sender's region", Ask { region: raw("atlantis"), ..plain }, Reason::UnknownLevel),
        (
            "program of a cap",
            Ask { level_caps: &[(raw("cepi"), raw("none"))], ..plain },
            Reason::UnknownLevel,
        ),
    ] {
        let decision = policy.decide(&ask);
        assert_eq!(decision.refused, Some(reason), "{what}");
        assert_eq!(ranks(&policy, &decision), (0, 0), "{what}");
        assert!(decision.programs.iter().all(|program| program.withheld == Some(reason)), "{what}");
        assert_eq!(decision.plan_key(0, 1), None, "{what}");
    }
}

#[test]
fn an_unknown_level_is_none_for_its_program_alone() {
    // covers: P2
    let policy = policy();
    let full = customer(&["ceip=enhanced", "operational=operational"]);
    let renamed = customer(&["ceip=plus", "operational=operational"]);
    let mut overridden = full.clone();
    let one = ProductLevel { product: name("vcenter"), program: name("ceip"), level: name("plus") };
    overridden.product_levels.push(one);
    let capped = caps(&["ceip=plus"]);
    for ask in [
        ask(Some(&renamed), &NO_CAPS),
        ask(Some(&overridden), &NO_CAPS),
        ask(Some(&full), &capped),
        Ask { level_caps: &[(raw("ceip"), raw("plus"))], ..ask(Some(&full), &NO_CAPS) },
        Ask { level_caps: &[(raw("ceip"), raw(""))], ..ask(Some(&full), &NO_CAPS) },
    ] {
        let decision = policy.decide(&ask);
        assert_eq!(ranks(&policy, &decision), (0, 1), "{ask:?}");
        assert_eq!(decision.refused, None);
        let ceip = policy.program_index("ceip").unwrap();
        assert_eq!(decision.programs.get(ceip).unwrap().withheld, Some(Reason::UnknownLevel));
    }
    let only = customer(&["ceip=plus"]);
    assert_eq!(policy.decide(&ask(Some(&only), &NO_CAPS)).refused, Some(Reason::UnknownLevel));
    let unheard = customer(&["ceip=standard", "skyline=enhanced"]);
    assert_eq!(ranks(&policy, &policy.decide(&ask(Some(&unheard), &NO_CAPS))), (1, 0));
}

#[test]
fn the_customers_and_the_senders_region_both_tighten() {
    let ceip = "programs/ceip.toml";
    let uk = "[regions.uk.standard]\nhost_name = \"drop\"\nip_address = { treatment = \"pseudonym\", epoch = \"rotating\" }\n\n[regions.eea.standard]";
    let edit = Edit { path: ceip, after: "[regions", old: "[regions.eea.standard]", new: uk };
    let (files, _) = edited(shipped(), edit);
    let edit = Edit {
        path: "programs/operational.toml",
        after: "[regions",
        old: "[regions.eea.operational]",
        new: "[regions.uk]\n\n[regions.eea.operational]",
    };
    let policy = compile(&edited(files, edit).0).unwrap().0;
    let program = policy.program_index("ceip").unwrap();
    let mut participation = customer(&["ceip=standard"]);
    // The customer's region, the sender's; the overlay's name; whether host and ip are dropped.
    for (own, senders, overlay, dropped) in [
        (None, "", None, [false, false]),
        (Some("eea"), "", Some("eea"), [false, true]),
        (None, "eea", Some("eea"), [false, true]),
        (Some("eea"), "eea", Some("eea"), [false, true]),
        (Some("uk"), "", Some("uk"), [true, false]),
        (Some("uk"), "eea", Some("eea-uk"), [true, true]),
        (Some("eea"), "uk", Some("eea-uk"), [true, true]),
    ] {
        participation.region = own.map(name);
        let decision = policy.decide(&Ask { region: raw(senders), ..ask(Some(&participation), &NO_CAPS) });
        let plan = policy.plan(decision.plan_key(program, 1).unwrap());
        assert_eq!(plan.region.as_ref().map(RegionName::as_str), overlay);
        let withheld = ["host", "ip"].map(|path| {
            let field = plan.fields.iter().find(|field| field.spec.path.as_str() == path).unwrap();
            field.spec.purposes.is_empty()
        });
        assert_eq!(withheld, dropped, "{own:?} {senders}");
    }
}

#[test]
fn an_accepted_version_limits_and_none_accepts_nothing() {
    let policy = policy();
    let program = policy.program_index("ceip").unwrap();
    let mut participation = customer(&["ceip=standard"]);
    for (accepted, version, key) in [
        (None, 0, Some(0)),
        (Some(1), 1, Some(1)),
        (Some(2), 2, None),
        (Some(9), 2, None),
        (Some(0), 0, Some(0)),
    ] {
        participation.accepted_dictionaries =
            accepted.into_iter().map(|version| (name("vcenter"), version)).collect();
        let decision = policy.decide(&ask(Some(&participation), &NO_CAPS));
        assert_eq!(decision.accepted_version, version, "{accepted:?}");
        assert_eq!(decision.plan_key(program, 1).unwrap().accepted, key, "{accepted:?}");
    }
    policy.accept_current(&mut participation);
    let accepted: Vec<_> = participation.accepted_dictionaries.values().copied().collect();
    assert_eq!(accepted, [2, 2, 0], "what was accepted before stays");
}

#[test]
fn purposes_that_are_off_are_part_of_the_decision() {
    let policy = policy();
    let mut participation = customer(&["ceip=enhanced"]);
    participation.purposes_off = vec![Purpose::Recommend, Purpose::Recommend];
    let decision = policy.decide(&ask(Some(&participation), &NO_CAPS));
    assert_eq!(decision.purposes_off.iter().collect::<Vec<_>>(), [Purpose::Recommend]);
}

#[test]
fn the_levels_in_force_are_told_for_the_programs_of_the_product() {
    let policy = policy();
    let participation = customer(&["ceip=enhanced"]);
    let tell = |ask: &Ask<'_>| {
        let effective = policy.effective(&policy.decide(ask));
        effective.iter().map(|(program, level)| format!("{program}={level}")).collect::<Vec<_>>()
    };
    let plain = ask(Some(&participation), &NO_CAPS);
    assert_eq!(tell(&plain), ["ceip=enhanced", "operational=none"]);
    assert_eq!(tell(&ask(None, &NO_CAPS)), ["ceip=none", "operational=none"]);
    assert_eq!(tell(&Ask { product: raw("unheard-of"), ..plain }), [""; 0]);
}
