//! What a changed participation does to a batch that is queued.

use std::collections::BTreeMap;
use std::time::Duration;

use super::counts::SkipReason;
use super::recheck::{Verdict, recheck};
use crate::model::{
    CustomerId, CustomerKey, Delivery, LevelName, Participation, ProductLevel, ProductName, ProgramName,
    Purpose, Purposes, RegionName, Subscription, SubscriptionName, UnixMillis,
};
use crate::policy::{Policy, compile, shipped};
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

/// A batch of `ceip` standard.
fn header() -> RecordHeader {
    RecordHeader {
        customer: CustomerKey(1),
        program: "ceip".to_owned(),
        product: "vcenter".to_owned(),
        level: "standard".to_owned(),
        region: String::new(),
        received: UnixMillis(0),
        events: 1,
        purposes: Purposes::only(Purpose::Improve),
        dictionary_version: 1,
        accepted_version: 1,
        revision: 5,
        plan: [8; 8],
        body_len: 1,
    }
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

fn verdict(header: &RecordHeader, now: Option<&Participation>) -> Verdict {
    recheck(header, &subscription(Purpose::Improve), now, &policy(), &BTreeMap::new())
}

#[test]
fn a_batch_goes_out_as_long_as_the_customer_takes_part_at_least_as_much() {
    for name in ["standard", "enhanced"] {
        assert_eq!(verdict(&header(), Some(&at(name))), Verdict::Deliver, "{name}");
    }
}

#[test]
fn a_lowered_level_binds_what_is_queued() {
    // covers: P6
    let lowered = Verdict::Skip(SkipReason::Lowered);
    let enhanced = RecordHeader { level: "enhanced".to_owned(), ..header() };
    assert_eq!(verdict(&enhanced, Some(&at("standard"))), lowered);
    assert_eq!(verdict(&header(), Some(&at("none"))), lowered);
    assert_eq!(verdict(&header(), Some(&Participation::none(CustomerId::new("acme").unwrap()))), lowered);

    let mut for_product = at("enhanced");
    let product = ProductName::new("vcenter").unwrap();
    for_product.product_levels.push(ProductLevel { product, program: ceip(), level: level("none") });
    assert_eq!(verdict(&header(), Some(&for_product)), lowered);

    let caps = BTreeMap::from([(ceip(), level("none"))]);
    let improve = subscription(Purpose::Improve);
    assert_eq!(recheck(&header(), &improve, Some(&at("standard")), &policy(), &caps), lowered);
}

#[test]
fn what_the_policy_does_not_know_any_more_is_not_delivered() {
    // covers: P2
    for unknown in [
        RecordHeader { program: "gone".to_owned(), ..header() },
        RecordHeader { product: "gone".to_owned(), ..header() },
        RecordHeader { level: "gone".to_owned(), ..header() },
    ] {
        assert_eq!(
            verdict(&unknown, Some(&at("enhanced"))),
            Verdict::Skip(SkipReason::Lowered),
            "{unknown:?}"
        );
    }
}

#[test]
fn a_region_that_was_not_applied_holds_a_batch_back() {
    let mut european = at("standard");
    european.region = Some(RegionName::new("eea").unwrap());
    assert_eq!(verdict(&header(), Some(&european)), Verdict::Skip(SkipReason::Lowered));
    let applied = RecordHeader { region: "eea".to_owned(), ..header() };
    assert_eq!(verdict(&applied, Some(&european)), Verdict::Deliver);
    assert_eq!(verdict(&applied, Some(&at("standard"))), Verdict::Deliver, "stricter than it has to be");
}

#[test]
fn an_acceptance_that_was_taken_back_holds_a_batch_back() {
    let mut accepted = at("standard");
    accepted.accepted_dictionaries.insert(ProductName::new("vcenter").unwrap(), 1);
    assert_eq!(verdict(&header(), Some(&accepted)), Verdict::Deliver);
    accepted.accepted_dictionaries.insert(ProductName::new("vcenter").unwrap(), 0);
    assert_eq!(verdict(&header(), Some(&accepted)), Verdict::Skip(SkipReason::Lowered));
}

#[test]
fn delivery_that_is_held_and_customers_that_are_gone_get_their_own_reason() {
    for delivery in [Delivery::Audit, Delivery::Paused] {
        let held = Participation { delivery, ..at("standard") };
        assert_eq!(verdict(&header(), Some(&held)), Verdict::Skip(SkipReason::Held), "{delivery}");
    }
    assert_eq!(verdict(&header(), None), Verdict::Skip(SkipReason::UnknownCustomer));
}

#[test]
fn a_subscription_sees_only_its_purpose_and_what_it_listed() {
    // covers: P7
    let now = at("standard");
    for purpose in [Purpose::Deliver, Purpose::Recommend] {
        let verdict = recheck(&header(), &subscription(purpose), Some(&now), &policy(), &BTreeMap::new());
        assert_eq!(verdict, Verdict::Skip(SkipReason::Purpose), "{purpose}");
    }
    let off = Participation { purposes_off: vec![Purpose::Improve], ..now.clone() };
    assert_eq!(verdict(&header(), Some(&off)), Verdict::Skip(SkipReason::Purpose));

    let (horizon, operational) =
        (ProductName::new("horizon").unwrap(), ProgramName::new("operational").unwrap());
    let of_product = Subscription { products: vec![horizon], ..subscription(Purpose::Improve) };
    let of_program = Subscription { programs: vec![operational], ..subscription(Purpose::Improve) };
    for filtered in [of_product, of_program] {
        let verdict = recheck(&header(), &filtered, Some(&now), &policy(), &BTreeMap::new());
        assert_eq!(verdict, Verdict::Skip(SkipReason::Filter));
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
    let verdict = recheck(&header(), &improve, Some(&at("standard")), &changed, &BTreeMap::new());
    assert_eq!(verdict, Verdict::Skip(SkipReason::Purpose));
}
