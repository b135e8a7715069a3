//! The page of a made-up customer with everything on its record, as a golden file; and hostile texts.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use super::page::page;
use super::record::Record;
use super::told;
use crate::ledger::{
    EXPORT_FORMAT, Entry, ErasureScope, ErasureStep, Export, Exported, Fact, Leaf, Period, Refusal, Terms,
    Under,
};
use crate::model::{
    ClassCounts, CustomerId, CustomerKey, Handling, IdentifierClass, LevelName, Participation, ProductName,
    ProgramName, Purpose, Reason, RegionName, SubscriptionName, UnixMillis,
};

const ACME: CustomerKey = CustomerKey(17);
const DAY: i64 = 86_400_000;
const START: i64 = 1_786_000_000_000;

fn day(n: i64) -> UnixMillis {
    UnixMillis(START + n * DAY)
}

fn period(from: i64, until: i64) -> Period {
    Period { from: day(from), until: day(until) }
}

fn under(program: &str, level: &str, region: Option<&str>, dictionary: u32) -> Under {
    Under {
        program: ProgramName::new(program).unwrap(),
        product: ProductName::new("vcenter").unwrap(),
        level: LevelName::new(level).unwrap(),
        region: region.map(|name| RegionName::new(name).unwrap()),
        dictionary,
    }
}

fn terms(levels: &[(&str, &str)], region: Option<&str>) -> Terms {
    let mut participation = Participation::none(CustomerId::new("acme").unwrap());
    for (program, level) in levels {
        participation.levels.insert(ProgramName::new(program).unwrap(), LevelName::new(level).unwrap());
    }
    participation.region = region.map(|name| RegionName::new(name).unwrap());
    participation.accepted_dictionaries.insert(ProductName::new("vcenter").unwrap(), 2);
    Terms::from(&participation)
}

fn counts(rows: &[(IdentifierClass, Handling, u64)]) -> ClassCounts {
    let mut counts = ClassCounts::default();
    for (class, handling, n) in rows {
        counts.add(*class, *handling, *n);
    }
    counts
}

fn pulled(name: &str, recipient: &str, purpose: Purpose, under: Under, events: u64, period: Period) -> Fact {
    let fields = counts(&[(IdentifierClass::HostName, Handling::Pseudonymised, events)]);
    Fact::Pulled {
        customer: ACME,
        period,
        subscription: SubscriptionName::new(name).unwrap(),
        purpose,
        recipient: recipient.to_owned(),
        under,
        batches: events / 500 + 1,
        events,
        deliveries: events / 500 + 2,
        fields,
    }
}

fn collected(under: Option<Under>, events: u64, withheld: &[(Reason, u64)], period: Period) -> Fact {
    use IdentifierClass as Class;
    Fact::Collected {
        customer: ACME,
        period,
        under,
        batches: events / 400 + 1,
        events,
        withheld: withheld.iter().copied().collect::<BTreeMap<_, _>>(),
        fields: counts(&[
            (Class::NotIdentifying, Handling::Kept, events * 6),
            (Class::HostName, Handling::Pseudonymised, events),
            (Class::IpAddress, Handling::Dropped, events),
            (Class::Location, Handling::Coarsened, events / 2),
            (Class::ProductLog, Handling::Redacted, events / 9),
            (Class::Email, Handling::Dropped, events / 3),
        ]),
    }
}

/// One of everything that there can be about a customer.
#[expect(clippy::too_many_lines, reason = "a list")]
fn facts(recipient: &str) -> Vec<(UnixMillis, Fact)> {
    let standard = terms(&[("ceip", "standard")], None);
    let enhanced = terms(&[("ceip", "enhanced"), ("operational", "operational")], None);
    let lowered = terms(&[("ceip", "standard"), ("operational", "operational")], Some("eea"));
    let changed =
        |revision, before, after| Fact::ParticipationChanged { customer: ACME, revision, before, after };
    let erasure = "0198c7aa-5d1e-7c3e-9d2b-2f6f6c6f2a11".to_owned();
    let scope = ErasureScope::Identifier;
    vec![
        (day(0), changed(1, None, standard.clone())),
        (day(1), collected(Some(under("ceip", "standard", None, 1)), 48_210, &[], period(0, 1))),
        (
            day(1),
            collected(
                None,
                0,
                &[(Reason::NotParticipating, 1_204), (Reason::UnknownEvent, 37)],
                period(0, 1),
            ),
        ),
        (
            day(2),
            pulled(
                "improve-team",
                recipient,
                Purpose::Improve,
                under("ceip", "standard", None, 1),
                48_210,
                period(1, 2),
            ),
        ),
        (day(3), changed(2, Some(standard), enhanced.clone())),
        (day(9), collected(Some(under("ceip", "enhanced", None, 2)), 312_004, &[], period(3, 9))),
        (day(9), collected(Some(under("operational", "operational", None, 2)), 9_120, &[], period(3, 9))),
        (
            day(9),
            pulled(
                "improve-team",
                recipient,
                Purpose::Improve,
                under("ceip", "enhanced", None, 2),
                290_112,
                period(3, 9),
            ),
        ),
        (
            day(9),
            pulled(
                "advice",
                "Support Engineering, Cork",
                Purpose::Recommend,
                under("ceip", "enhanced", None, 2),
                21_892,
                period(4, 9),
            ),
        ),
        (
            day(9),
            pulled(
                "entitlements",
                "Billing",
                Purpose::Deliver,
                under("operational", "operational", None, 2),
                9_120,
                period(4, 9),
            ),
        ),
        (day(10), changed(3, Some(enhanced), lowered)),
        (
            day(10),
            Fact::LevelBound {
                customer: ACME,
                revision: 3,
                period: period(10, 10),
                records: 212,
                lowered: 180,
                removed: 32,
                events_before: 84_002,
                events_after: 70_110,
                fields: counts(&[
                    (IdentifierClass::HostName, Handling::Pseudonymised, 70_110),
                    (IdentifierClass::ProductLog, Handling::Dropped, 13_892),
                ]),
            },
        ),
        (
            day(11),
            Fact::PseudonymLookedUp {
                customer: ACME,
                class: IdentifierClass::HostName,
                programs: vec![ProgramName::new("ceip").unwrap()],
            },
        ),
        (
            day(11),
            Fact::Refused {
                what: Refusal::OtherCustomer,
                customer: Some(ACME),
                period: period(11, 11),
                times: 3,
            },
        ),
        (
            day(12),
            Fact::ErasureStepped {
                erasure: erasure.clone(),
                customer: Some(ACME),
                scope,
                step: ErasureStep::Fenced,
                records: 0,
                by: None,
            },
        ),
        (
            day(12),
            Fact::ErasureDone {
                erasure,
                customer: Some(ACME),
                scope,
                class: Some(IdentifierClass::HostName),
                period: period(12, 12),
                rewritten: 41,
                removed: 2,
                events: 9_001,
                notified: 2,
            },
        ),
        (day(13), Fact::KeysRatcheted { customer: ACME, oldest_epoch: 7 }),
        (
            day(13),
            Fact::RatchetsMoved {
                first: CustomerKey(1),
                last: CustomerKey(1_000),
                customers: 998,
                oldest_epoch: 8,
            },
        ),
        (day(13), Fact::BridgeMade { customer: ACME, from_epoch: 7, until: Some(day(43)) }),
        (day(14), Fact::BridgeErased { customer: ACME, from_epoch: 7 }),
        (day(15), Fact::Exported { customer: ACME }),
    ]
}

fn export(recipient: &str) -> Export {
    let leaves = facts(recipient).into_iter().zip(1_u64..).map(|((at, fact), number)| {
        let entry = String::from_utf8(Entry { at, fact }.to_bytes()).unwrap();
        let leaf = format!("{{\"number\":{number},{}", entry.strip_prefix('{').unwrap());
        Exported { index: number, leaf, proof: Vec::new() }
    });
    Export {
        format: EXPORT_FORMAT.to_owned(),
        customer: "acme".to_owned(),
        customer_number: "c17".to_owned(),
        made: day(15).0,
        collector_version: "0.1.0".to_owned(),
        policy_version: "3ecffc2a2b199d5b".to_owned(),
        retention_seconds: 30 * 86_400,
        verifier_key: "usaged-ledger/a631f464703fe186+5ce8dfeb+AaNcERTu8AEewDl29BSEcXhV0FBIuBzaEDXsliZE19Y9".to_owned(),
        checkpoint: "usaged-ledger/a631f464703fe186\n20418\n5iwcUQvl4bXNWLyibDkUqZ7dNK3bOF5eubWHYguHhwA=\n\n\
                     — usaged-ledger/a631f464703fe186 XOjf6xLazd/zXQcfAzE9DT0Iq/00ubsWMwoXNSIOSW4qDa8oSpZvFAtqpgZGwi1B\
                     T0sVH37QimvaeuQz6OmSd/Y/CQ8=\n"
            .to_owned(),
        since: None,
        entries: leaves.collect(),
    }
}

#[test]
fn the_page_of_a_full_record_is_as_it_was_agreed() {
    let export = export("Product Analytics, Palo Alto");
    let page = page(&export, &Record::of(&export), Some("Example Corp, privacy@example.com"));
    insta::assert_snapshot!(page);
}

#[test]
fn no_text_of_an_operator_can_leave_its_place_on_the_page() {
    let hostile = "</td><script>alert(1)</script>\"'&\u{202e}";
    let export = Export { customer: "a<b>".to_owned(), ..export(hostile) };
    let page = page(&export, &Record::of(&export), Some(hostile));
    assert!(!page.contains("<script") && !page.contains("a<b>") && !page.contains('\u{202e}'));
    assert_eq!(
        page.matches("&lt;script&gt;alert(1)").count(),
        3,
        "twice as a recipient, once as the controller"
    );
    assert!(!page.contains("src=") && !page.contains("href=\"http"), "it loads nothing");
}

#[test]
fn a_customer_without_a_record_gets_a_page_too() {
    let export = Export { entries: Vec::new(), ..export("x") };
    let page = page(&export, &Record::of(&export), None);
    assert!(page.contains("never took part") && page.contains("Nothing has left the collector"));
}

#[test]
fn sums_add_up_and_every_fact_has_a_line() {
    let export = export("analytics");
    let record = Record::of(&export);
    assert_eq!((record.collected_events(), record.sent_events(), record.recipients()), (369_334, 369_334, 3));
    assert_eq!(record.withheld.values().sum::<u64>(), 1_241);
    assert_eq!(
        record.present.as_ref().map(told::terms).unwrap(),
        "ceip standard, operational operational, region eea, vcenter dictionary 2"
    );
    for (at, fact) in facts("analytics") {
        let text = String::from_utf8(Entry { at, fact: fact.clone() }.to_bytes()).unwrap();
        let leaf = Leaf::read(1, format!("{{\"number\":1,{}", &text.strip_prefix('{').unwrap()).into_bytes())
            .unwrap();
        assert_eq!(leaf.fact(), Some(&fact), "{text}");
        assert!(leaf.is_about(ACME), "{text}");
        assert!(told::line(&leaf).len() > 10, "{text}");
    }
}
