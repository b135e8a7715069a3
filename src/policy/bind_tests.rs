//! What holds for a queued batch: the table of the choices that matter, and that no change ever loosens it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::super::sample::{Edit, customer, edited, name, policy};
use super::super::{Policy, compile, shipped};
use super::{Binding, Bound, Drainable, StoredUnder};
use crate::model::{
    Delivery, LevelName, Participation, ProductLevel, ProgramName, Purpose, Purposes, Reason,
};

const STORED: StoredUnder<'_> =
    StoredUnder { product: "vcenter", program: "ceip", level: "enhanced", region: "", accepted_version: 2 };

fn of(levels: &[&str], change: impl FnOnce(&mut Participation)) -> Participation {
    let mut participation = customer(levels);
    change(&mut participation);
    participation
}

fn bind(policy: &Policy, stored: &StoredUnder<'_>, choices: &[Participation]) -> Bound {
    policy.bind(stored, &choices.iter().collect::<Vec<_>>(), &BTreeMap::new())
}

/// Rank, regions, accepted version and purposes that are off.
fn told(policy: &Policy, bound: &Bound) -> Result<(u8, String, u32, Purposes), Reason> {
    match bound.left {
        Binding::Nothing(reason) => Err(reason),
        Binding::Plan { key, accepted_version } => {
            let region = key.region.and_then(|at| policy.overlay_name(at)).map(ToString::to_string);
            Ok((key.rank, region.unwrap_or_default(), accepted_version, key.purposes_off))
        }
    }
}

/// covers: P6
#[test]
fn the_strictest_of_everything_that_was_chosen_since_holds() {
    let policy = policy();
    let on = || customer(&["ceip=enhanced"]);
    let standard = || customer(&["ceip=standard"]);
    let none = || customer(&["ceip=none", "operational=operational"]);
    let eea = || of(&["ceip=enhanced"], |p| p.region = Some(name("eea")));
    let off = |purpose| of(&["ceip=enhanced"], |p| p.purposes_off = vec![purpose]);
    let first = || {
        of(&["ceip=enhanced"], |p| {
            p.accepted_dictionaries.insert(name("vcenter"), 1);
        })
    };
    let product = |product: &str, level: &str| {
        let (product, level) = (name(product), name(level));
        of(&["ceip=enhanced"], |p| {
            p.product_levels = vec![ProductLevel { product, program: name("ceip"), level }];
        })
    };
    let all = Purposes::NONE;
    let (improve, recommend) = (Purposes::only(Purpose::Improve), Purposes::only(Purpose::Recommend));
    let gone = Err(Reason::NotParticipating);
    for (since, expected) in [
        (vec![on()], Ok((2, "", 2, all))),
        (vec![on(), on()], Ok((2, "", 2, all))),
        // Lowered, and raised again: nothing comes back.
        (vec![on(), standard()], Ok((1, "", 2, all))),
        (vec![on(), standard(), on()], Ok((1, "", 2, all))),
        (vec![on(), none()], gone),
        (vec![on(), none(), on()], gone),
        (vec![on(), product("vcenter", "standard"), on()], Ok((1, "", 2, all))),
        (vec![on(), product("vcenter", "none")], gone),
        (vec![on(), product("horizon", "none")], Ok((2, "", 2, all))),
        // A region, a purpose and an acceptance likewise.
        (vec![on(), eea()], Ok((2, "eea", 2, all))),
        (vec![on(), eea(), on()], Ok((2, "eea", 2, all))),
        (vec![on(), off(Purpose::Improve), off(Purpose::Recommend)], Ok((2, "", 2, improve.or(recommend)))),
        (vec![off(Purpose::Improve), on()], Ok((2, "", 2, improve))),
        (vec![on(), first(), on()], Ok((2, "", 1, all))),
        (vec![on(), of(&["ceip=enhanced"], |p| p.accepted_dictionaries.clear())], Ok((2, "", 0, all))),
        // What is not known is not agreed to.
        (vec![], gone),
        (vec![on(), of(&["ceip=everything"], |_| ())], Err(Reason::UnknownLevel)),
        (vec![on(), of(&["ceip=enhanced"], |p| p.region = Some(name("mars")))], Err(Reason::UnknownLevel)),
        (vec![on(), of(&["operational=everything"], |_| ())], gone),
    ] {
        let bound = bind(&policy, &STORED, &since);
        let expected = expected.map(|(rank, region, version, off)| (rank, region.to_owned(), version, off));
        assert_eq!(told(&policy, &bound), expected, "{since:#?}");
    }
}

/// covers: P6, P2
#[test]
fn what_a_batch_was_stored_under_stays_and_what_is_not_known_any_more_leaves_nothing() {
    let policy = policy();
    let on = [customer(&["ceip=enhanced"])];
    let unknown = Err(Reason::UnknownLevel);
    for (stored, expected) in [
        (StoredUnder { level: "standard", ..STORED }, Ok((1, String::new(), 2, Purposes::NONE))),
        (StoredUnder { region: "eea", ..STORED }, Ok((2, "eea".to_owned(), 2, Purposes::NONE))),
        (StoredUnder { accepted_version: 1, ..STORED }, Ok((2, String::new(), 1, Purposes::NONE))),
        (StoredUnder { accepted_version: 9, ..STORED }, Ok((2, String::new(), 2, Purposes::NONE))),
        (StoredUnder { level: "none", ..STORED }, Err(Reason::NotParticipating)),
        (StoredUnder { level: "gold", ..STORED }, unknown.clone()),
        (StoredUnder { program: "gone", ..STORED }, unknown.clone()),
        (StoredUnder { program: "operational", ..STORED }, unknown.clone()),
        (StoredUnder { product: "gone", ..STORED }, Err(Reason::UnknownProduct)),
        (StoredUnder { region: "eea-mars", ..STORED }, unknown.clone()),
    ] {
        assert_eq!(told(&policy, &bind(&policy, &stored, &on)), expected, "{stored:?}");
    }
    let caps = |program: &str, level: &str| {
        BTreeMap::from([(name::<ProgramName>(program), name::<LevelName>(level))])
    };
    for (caps, expected) in [
        (caps("ceip", "standard"), Ok((1, String::new(), 2, Purposes::NONE))),
        (caps("ceip", "none"), Err(Reason::NotParticipating)),
        (caps("ceip", "gold"), unknown.clone()),
        (caps("gone", "standard"), unknown),
    ] {
        let bound = policy.bind(&STORED, &[&on[0]], &caps);
        assert_eq!(told(&policy, &bound), expected, "{caps:?}");
    }
}

/// covers: P6
#[test]
fn what_was_ever_for_looking_at_is_never_drained_and_a_pause_holds() {
    use Delivery::{Audit, Deliver, Paused};
    let policy = policy();
    let mode = |delivery| of(&["ceip=enhanced"], |p| p.delivery = delivery);
    for (since, expected) in [
        (vec![Deliver], Drainable::Now),
        (vec![Deliver, Paused], Drainable::Held),
        (vec![Deliver, Paused, Deliver], Drainable::Now),
        (vec![Audit], Drainable::Never),
        (vec![Audit, Deliver], Drainable::Never),
        (vec![Deliver, Audit, Deliver], Drainable::Never),
        (vec![Deliver, Audit, Paused], Drainable::Never),
        (vec![], Drainable::Held),
    ] {
        let since: Vec<_> = since.into_iter().map(mode).collect();
        let bound = bind(&policy, &STORED, &since);
        assert_eq!(bound.drain, expected, "{since:?}");
        // A pause stops what comes, and takes nothing of what is there.
        assert_eq!(told(&policy, &bound).is_ok(), !since.is_empty());
    }
}

/// The shipped policy with regions that tighten more and less, so that more of them are named than fit together.
static REGIONS: LazyLock<Policy> = LazyLock::new(|| {
    let mut files = shipped();
    for (path, level) in [("programs/ceip.toml", "standard"), ("programs/operational.toml", "operational")] {
        let after = if level == "standard" { "[regions.eea.standard]" } else { "[regions.eea.operational]" };
        let new = if level == "standard" {
            "[regions.a]\n[regions.b]\n[regions.c.standard]\nlicence_key = \"drop\"\n[regions.d]\n[regions.e]\n[regions.eea.standard]"
        } else {
            "[regions.a]\n[regions.b]\n[regions.c]\n[regions.d]\n[regions.e]\n[regions.eea.operational]"
        };
        files = edited(files, Edit { path, after, old: after, new }).0;
    }
    compile(&files).unwrap().0
});

#[test]
fn regions_add_up_and_too_many_of_them_leave_nothing() {
    let policy = &*REGIONS;
    let in_region = |region: &str| of(&["ceip=enhanced"], |p| p.region = Some(name(region)));
    let under = StoredUnder { region: "a-eea", ..STORED };
    let moved = ["c", "b"].map(in_region);
    assert_eq!(
        told(policy, &bind(policy, &under, &moved)),
        Ok((2, "a-b-c-eea".to_owned(), 2, Purposes::NONE))
    );
    let moved = ["c", "b", "d"].map(in_region);
    assert_eq!(told(policy, &bind(policy, &under, &moved)), Err(Reason::UnknownLevel));
}

fn choice() -> impl Strategy<Value = Participation> {
    let region = prop::option::weighted(0.3, prop::sample::select(vec!["a", "b", "c", "eea", "mars"]));
    let off = prop::sample::subsequence(Purpose::ALL.to_vec(), 0..2);
    let delivery = prop::sample::select(Delivery::ALL.to_vec());
    let level = prop::sample::select(vec!["none", "standard", "enhanced", "enhanced", "gold"]);
    (level, region, off, delivery, 0..4_u32).prop_map(|(level, region, off, delivery, accepted)| {
        of(&[&format!("ceip={level}")], |p| {
            p.region = region.map(name);
            p.purposes_off = off;
            p.delivery = delivery;
            p.accepted_dictionaries.insert(name("vcenter"), accepted);
        })
    })
}

/// Whether `a` allows at most what `b` allows.
fn is_at_most(policy: &Policy, a: &Bound, b: &Bound) -> bool {
    let (Binding::Plan { key: ours, accepted_version: accepted }, Binding::Plan { key, accepted_version }) =
        (a.left, b.left)
    else {
        return matches!(a.left, Binding::Nothing(_));
    };
    let regions =
        |at: Option<usize>| at.and_then(|at| policy.overlays().get(at)).map_or(&[][..], |o| &o.members);
    ours.rank <= key.rank
        && accepted <= accepted_version
        && key.purposes_off.without(ours.purposes_off).is_empty()
        && regions(key.region).iter().all(|region| regions(ours.region).contains(region))
        && (ours.product, ours.program) == (key.product, key.program)
}

proptest! {
    /// covers: P6
    #[test]
    fn another_choice_never_loosens_and_the_order_of_those_between_does_not_matter(
        since in prop::collection::vec(choice(), 1..6),
        more in choice(),
        stored in (
            prop::sample::select(vec!["none", "standard", "enhanced", "enhanced"]),
            prop::sample::select(vec!["", "eea", "a-b"]),
            0..4_u32,
        ),
        turn in any::<prop::sample::Index>(),
    ) {
        let policy = &*REGIONS;
        let (level, region, accepted_version) = stored;
        let stored = StoredUnder { level, region, accepted_version, ..STORED };
        let before = bind(policy, &stored, &since);
        let mut longer = since.clone();
        longer.push(more.clone());
        let after = bind(policy, &stored, &longer);
        prop_assert!(is_at_most(policy, &after, &before), "{before:?} then {after:?}");
        prop_assert!(before.drain != Drainable::Never || after.drain == Drainable::Never);

        // In between, it loosens nothing either, nor does it matter where.
        let mut turned = since.clone();
        turned.rotate_left(turn.index(since.len()));
        turned.push(more.clone());
        let around = bind(policy, &stored, &turned);
        prop_assert_eq!(told(policy, &around).ok(), told(policy, &after).ok());
        prop_assert_eq!(around.drain, after.drain);
    }
}
