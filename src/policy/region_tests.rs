//! Tests: what applies in two regions is the stricter of the customer's and the sender's, for every
//! class, every treatment, and what replaces identifiers inside text.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::wildcard_enum_match_arm, reason = "most classes and actions are alike here")]

use std::collections::BTreeMap;
use std::fmt::Write as _;

use proptest::prelude::*;

use super::sample::{Edit, customer, edited, name, policy};
use super::{Action, Ask, Epoch, Plan, Policy, Shape, Treatment, compile, shipped};
use crate::model::{IdentifierClass as Class, RawText};

/// What a class can become, from what reveals least; each is written as in a file.
fn chain(class: Class) -> &'static [&'static str] {
    const ROTATING: &str = "{ treatment = \"pseudonym\", epoch = \"rotating\" }";
    match class {
        Class::Location => &[
            "\"drop\"",
            "{ treatment = \"generalise\", to = \"location_country\" }",
            "{ treatment = \"generalise\", to = \"location_region\" }",
            "\"keep\"",
        ],
        Class::Url
        | Class::FilePath
        | Class::Query
        | Class::Argument
        | Class::FreeText
        | Class::ProductLog
        | Class::CrashText => &[
            "\"drop\"",
            "\"vocabulary\"",
            "{ treatment = \"redact\", max_bytes = 200 }",
            "{ treatment = \"redact\", max_bytes = 2000 }",
            "\"redact\"",
        ],
        Class::UserId | Class::PersonName | Class::Email | Class::Phone | Class::PostalAddress => &[
            "\"drop\"",
            "{ treatment = \"pseudonym_if_asked\", epoch = \"rotating\" }",
            "\"pseudonym_if_asked\"",
        ],
        _ => &["\"drop\"", ROTATING, "\"pseudonym\"", "\"keep\""],
    }
}

fn classes() -> impl Iterator<Item = Class> {
    Class::ALL.iter().copied().filter(|class| !class.is_forbidden() && *class != Class::NotIdentifying)
}

/// The shipped policy with `ceip` as these choices say: for each class the enhanced level, the
/// standard one (at most as much), and two regions at each level (at most as much as the level).
fn made(choices: &[[usize; 4]]) -> Policy {
    let mut tables: [String; 6] = Default::default();
    for (class, [high, low, here, there]) in classes().zip(choices) {
        let chain = chain(class);
        let top = high % chain.len();
        let below = low % (top + 1);
        let (one, other) = (here % (top + 1), there % (top + 1));
        // Inside a region the ladder holds too.
        let places = [below, top, below.min(one), one, below.min(other), other];
        for (table, place) in tables.iter_mut().zip(places) {
            writeln!(table, "{class} = {}", chain.get(place).unwrap()).unwrap();
        }
    }
    let [standard, enhanced, aa_standard, aa_enhanced, bb_standard, bb_enhanced] = tables;
    let head = "name = \"ceip\"\ndescription = \"Sample.\"\n";
    let level = |name: &str, rules: &str| {
        format!(
            "[[levels]]\nname = \"{name}\"\ndescription = \"Sample.\"\n\
             categories = [\"configuration\", \"feature_usage\", \"performance\", \"product_log\"]\n\
             purposes = [\"improve\", \"recommend\"]\n[levels.treatments]\n{rules}\n"
        )
    };
    let region = |name: &str, rules: &str| format!("[regions.{name}]\n{rules}\n");
    let ceip = [
        head.to_owned(),
        level("standard", &standard),
        level("enhanced", &enhanced),
        region("aa.standard", &aa_standard),
        region("aa.enhanced", &aa_enhanced),
        region("bb.standard", &bb_standard),
        region("bb.enhanced", &bb_enhanced),
    ]
    .concat();
    let operational = Edit {
        path: "programs/operational.toml",
        after: "[regions",
        old: "[regions.eea.operational]",
        new: "[regions.bb]\n\n[regions.aa.operational]",
    };
    let (mut files, _) = edited(shipped(), operational);
    files.iter_mut().find(|file| file.path == "programs/ceip.toml").unwrap().text = ceip;
    compile(&files).unwrap_or_else(|problems| panic!("{problems:#?}")).0
}

/// The plan for the customer's region and the sender's.
fn plan(policy: &Policy, level: &str, own: &str, senders: &str) -> std::sync::Arc<Plan> {
    let mut participation = customer(&[level]);
    participation.region = (!own.is_empty()).then(|| name(own));
    let decision = policy.decide(&Ask {
        participation: Some(&participation),
        global_caps: &BTreeMap::new(),
        product: RawText::new(b"vcenter"),
        region: RawText::new(senders.as_bytes()),
        level_caps: &[],
    });
    let program = policy.program_index("ceip").unwrap();
    policy.plan(decision.plan_key(program, decision.rank(program)).unwrap())
}

/// What an action does, as a treatment; keeping in a form is keeping.
fn treatment(action: &Action) -> Treatment {
    match action {
        Action::Withhold(_) => Treatment::Drop,
        Action::Keep(_) => Treatment::Keep,
        Action::Pseudonym { epoch, .. } => Treatment::Pseudonym(*epoch),
        Action::Generalise(to) => Treatment::Generalise(*to),
        Action::Vocabulary(_) => Treatment::Vocabulary,
        Action::Redact(redaction) => Treatment::Redact { max_bytes: redaction.cut },
    }
}

/// The treatment of every field and id, and what replaces each class inside text.
fn deeds(plan: &Plan) -> (Vec<Treatment>, Vec<Vec<Option<Epoch>>>) {
    let actions = plan.fields.iter().filter_map(|field| match &field.shape {
        Shape::Scalar { action, .. } => Some(action),
        Shape::Record(_) | Shape::List { .. } | Shape::Map { .. } => None,
    });
    let actions: Vec<&Action> = actions.chain([&plan.customer, &plan.instance]).collect();
    let found = actions.iter().map(|action| match action {
        Action::Redact(redaction) => redaction.found.to_vec(),
        _ => Vec::new(),
    });
    (actions.iter().map(|action| treatment(action)).collect(), found.collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn two_regions_are_the_stricter_of_both_whoever_names_which(
        choices in prop::collection::vec(any::<[u8; 4]>(), Class::ALL.len()),
    ) {
        let choices: Vec<[usize; 4]> = choices.iter().map(|four| four.map(usize::from)).collect();
        let policy = made(&choices);
        for level in ["ceip=standard", "ceip=enhanced"] {
            let told = |own: &str, senders: &str| deeds(&plan(&policy, level, own, senders));
            let (plain, here, there) = (told("", ""), told("aa", ""), told("bb", ""));
            let both = told("aa", "bb");
            prop_assert_eq!(&told("bb", "aa"), &both, "it does not matter who names which");
            prop_assert_eq!(&told("", "aa"), &here, "the sender's region tightens as the customer's does");
            prop_assert_eq!(&told("aa", "aa"), &here, "the same region twice is that region");
            for (at, strictest) in both.0.iter().enumerate() {
                let [plain, here, there] = [&plain, &here, &there].map(|told| *told.0.get(at).unwrap());
                prop_assert_eq!(*strictest, here.stricter(there));
                prop_assert_eq!(here.reveals_at_most(plain), Some(true));
                prop_assert_eq!(strictest.reveals_at_most(plain), Some(true));
            }
            // Where text is still redacted under both, an identifier in it becomes the lesser of the two.
            for (at, found) in both.1.iter().enumerate().filter(|(_, found)| !found.is_empty()) {
                for side in [&plain, &here, &there] {
                    let other = side.1.get(at).unwrap();
                    prop_assert_eq!(other.len(), found.len(), "what both redact, each redacts");
                    prop_assert!(found.iter().zip(other).all(|(less, more)| less <= more));
                }
            }
        }
    }
}

#[test]
fn a_region_of_the_sender_cannot_be_talked_away() {
    // covers: P2
    let policy = policy();
    let eea = deeds(&plan(&policy, "ceip=enhanced", "eea", ""));
    assert_ne!(eea, deeds(&plan(&policy, "ceip=enhanced", "", "")));
    for senders in ["", "eea"] {
        assert_eq!(deeds(&plan(&policy, "ceip=enhanced", "eea", senders)), eea);
    }
}
