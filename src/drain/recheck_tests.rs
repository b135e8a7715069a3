//! What a changed participation does to a batch that is queued.

use std::collections::BTreeMap;
use std::time::Duration;

use super::counts::SkipReason;
use super::recheck::{Left, recheck};
use crate::model::{
    CustomerId, CustomerKey, Delivery, LevelName, Participation, ProductLevel, ProductName, ProgramName,
    Purpose, Purposes, RawText, RegionName, Subscription, SubscriptionName, UnixMillis,
};
use crate::policy::{Ask, Policy, compile, shipped};
use crate::store::RecordHeader;

fn policy() -> Policy {
    compile(&shipped()).unwrap().0
}

fn level(name: &str) -> LevelName {
    LevelName::new(name).unwrap()
}

fn ceip() -> ProgramName {
    ProgramName::new("ceip").unwrap()
}

fn at(name: &str) -> Participation {
    let mut participation = Participation::none(CustomerId::new("acme").unwrap());
    for product in ["vcenter", "horizon", "tanzu-cli"] {
        participation.accepted_dictionaries.insert(ProductName::new(product).unwrap(), 2);
    }
    participation.levels.insert(ceip(), level(name));
    participation
}

/// The print of the plan of a level of `ceip`, for a customer that has accepted everything.
fn print_of(name: &str) -> [u8; 8] {
    let policy = policy();
    let ask = Ask {
        participation: Some(&at(name)),
        global_caps: &BTreeMap::new(),
        product: RawText::new(b"vcenter"),
        region: RawText::default(),
        level_caps: &[],
    };
    let program = policy.program_index("ceip").unwrap();
    let decision = policy.decide(&ask);
    policy.plan(decision.plan_key(program, decision.rank(program)).unwrap()).fingerprint
}

/// A batch of `ceip` at a level, of a customer that had accepted everything.
fn header_at(level: &str) -> RecordHeader {
    RecordHeader {
        customer: CustomerKey(1),
        program: "ceip".to_owned(),
        product: "vcenter".to_owned(),
        level: level.to_owned(),
        region: String::new(),
        received: UnixMillis(0),
        events: 1,
        purposes: Purposes::only(Purpose::Improve),
        dictionary_version: 2,
        accepted_version: 2,
        revision: 5,
        plan: print_of(level),
        body_len: 1,
    }
}

fn header() -> RecordHeader {
    header_at("standard")
}

fn subscription(purpose: Purpose) -> Subscription {
    Subscription {
        name: SubscriptionName::new("jobs").unwrap(),
        purpose,
        recipient: "tests".to_owned(),
        programs: Vec::new(),
        products: Vec::new(),
        ack_deadline: Duration::from_secs(10),
        max_delivery_attempts: 5,
        created: UnixMillis(0),
    }
}

/// What may go to a subscription: the level that it is brought down to, and whether that is how it is stored.
type Verdict = Result<(String, bool), SkipReason>;

fn told(header: &RecordHeader, left: Result<Left, SkipReason>) -> Verdict {
    left.map(|left| (left.plan.level.to_string(), left.is_as_stored(header)))
}

fn verdict_for(subscription: &Subscription, header: &RecordHeader, since: &[&Participation]) -> Verdict {
    told(header, recheck(header, subscription, since, &policy(), &BTreeMap::new()).now())
}

fn verdict(header: &RecordHeader, since: &[&Participation]) -> Verdict {
    verdict_for(&subscription(Purpose::Improve), header, since)
}

#[expect(clippy::unnecessary_wraps, reason = "to be compared")]
fn as_stored(level: &str) -> Verdict {
    Ok((level.to_owned(), true))
}

#[expect(clippy::unnecessary_wraps, reason = "to be compared")]
fn lowered(level: &str) -> Verdict {
    Ok((level.to_owned(), false))
}

#[test]
fn a_batch_goes_out_as_it_is_as_long_as_the_customer_takes_part_at_least_as_much() {
    for name in ["standard", "enhanced"] {
        assert_eq!(verdict(&header(), &[&at("standard"), &at(name)]), as_stored("standard"), "{name}");
    }
}

#[test]
fn a_lowered_level_binds_what_is_queued_and_raising_brings_nothing_back() {
    // covers: P6
    let (none, standard, enhanced) = (at("none"), at("standard"), at("enhanced"));
    let nothing = Err(SkipReason::Lowered);
    let stored = header_at("enhanced");
    assert_eq!(verdict(&stored, &[&enhanced, &standard]), lowered("standard"));
    assert_eq!(verdict(&stored, &[&enhanced, &standard, &enhanced]), lowered("standard"), "raised again");
    assert_eq!(verdict(&stored, &[&enhanced, &none]), nothing);
    assert_eq!(verdict(&stored, &[&enhanced, &none, &enhanced]), nothing, "off and on again");
    let nobody = Participation::none(CustomerId::new("acme").unwrap());
    assert_eq!(verdict(&header(), &[&standard, &nobody]), nothing);

    let mut for_product = at("enhanced");
    let product = ProductName::new("vcenter").unwrap();
    for_product.product_levels.push(ProductLevel { product, program: ceip(), level: level("none") });
    assert_eq!(verdict(&header(), &[&standard, &for_product]), nothing);

    let caps = BTreeMap::from([(ceip(), level("none"))]);
    let improve = subscription(Purpose::Improve);
    let capped = recheck(&header(), &improve, &[&at("standard")], &policy(), &caps).now();
    assert_eq!(told(&header(), capped), nothing);
}

#[test]
fn what_the_policy_does_not_know_any_more_is_not_delivered() {
    // covers: P2
    for unknown in [
        RecordHeader { program: "gone".to_owned(), ..header() },
        RecordHeader { product: "gone".to_owned(), ..header() },
        RecordHeader { level: "gone".to_owned(), ..header() },
    ] {
        assert_eq!(verdict(&unknown, &[&at("enhanced")]), Err(SkipReason::Lowered), "{unknown:?}");
    }
}

#[test]
fn a_region_binds_from_when_it_was_set_and_stays() {
    let mut european = at("standard");
    european.region = Some(RegionName::new("eea").unwrap());
    for since in [vec![&european], vec![&european, &at("standard")]] {
        assert_eq!(verdict(&header(), &since), lowered("standard"));
    }
    let applied = RecordHeader { region: "eea".to_owned(), ..header() };
    assert!(verdict(&applied, &[&at("standard")]).is_ok(), "stricter than it has to be");
}

#[test]
fn an_acceptance_that_was_taken_back_binds_what_is_queued() {
    let mut accepted = at("standard");
    let product = ProductName::new("vcenter").unwrap();
    let now = policy().product(&product).unwrap().version();
    accepted.accepted_dictionaries.insert(product.clone(), now);
    let stored = RecordHeader { accepted_version: now, ..header() };
    assert_eq!(verdict(&stored, &[&accepted]), as_stored("standard"));
    let mut less = accepted.clone();
    less.accepted_dictionaries.insert(product, 0);
    assert_eq!(verdict(&stored, &[&accepted, &less, &accepted]), lowered("standard"));
}

#[test]
fn delivery_that_is_held_and_customers_that_are_gone_get_their_own_reason() {
    let (held, deliver) = (Err(SkipReason::Held), at("standard"));
    let audit = Participation { delivery: Delivery::Audit, ..at("standard") };
    let paused = Participation { delivery: Delivery::Paused, ..at("standard") };
    assert_eq!(verdict(&header(), &[&audit]), held);
    assert_eq!(verdict(&header(), &[&audit, &deliver]), held, "what was for looking at only stays so");
    assert_eq!(verdict(&header(), &[&paused]), held);
    assert_eq!(
        verdict(&header(), &[&paused, &deliver]),
        as_stored("standard"),
        "a pause that is over holds nothing"
    );
    assert_eq!(verdict(&header(), &[]), Err(SkipReason::UnknownCustomer));
}

#[test]
fn a_subscription_sees_only_its_purpose_and_what_it_listed() {
    // covers: P7
    let now = at("standard");
    for purpose in [Purpose::Deliver, Purpose::Recommend] {
        let verdict = verdict_for(&subscription(purpose), &header(), &[&now]);
        assert_eq!(verdict, Err(SkipReason::Purpose), "{purpose}");
    }
    let off = Participation { purposes_off: vec![Purpose::Improve], ..now.clone() };
    assert_eq!(verdict(&header(), &[&off]), Err(SkipReason::Purpose));
    assert_eq!(verdict(&header(), &[&now, &off, &now]), Err(SkipReason::Purpose), "switched on again");

    let (horizon, operational) =
        (ProductName::new("horizon").unwrap(), ProgramName::new("operational").unwrap());
    let of_product = Subscription { products: vec![horizon], ..subscription(Purpose::Improve) };
    let of_program = Subscription { programs: vec![operational], ..subscription(Purpose::Improve) };
    for filtered in [of_product, of_program] {
        assert_eq!(verdict_for(&filtered, &header(), &[&now]), Err(SkipReason::Filter));
    }
}

#[test]
fn a_purpose_that_the_level_has_no_more_holds_a_batch_back() {
    // covers: P7
    let files = shipped().into_iter().map(|mut file| {
        if file.path.ends_with("ceip.toml") {
            file.text = file.text.replace("purposes = [\"improve\"]", "purposes = [\"recommend\"]");
        }
        file
    });
    let files: Vec<_> = files.collect();
    let Ok((changed, _)) = compile(&files) else { panic!("the changed policy is refused") };
    let improve = subscription(Purpose::Improve);
    let left = recheck(&header(), &improve, &[&at("standard")], &changed, &BTreeMap::new()).now();
    assert_eq!(told(&header(), left), Err(SkipReason::Purpose));
}
