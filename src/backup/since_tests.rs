//! Whose rows come back, for what the ledger tells.

use std::collections::{BTreeSet, HashMap};

use super::since::{Reader, Since};
use crate::ledger::{ErasureScope, ErasureStep, Fact, Period, Terms};
use crate::model::{CustomerId, CustomerKey, ErasureId, Participation, UnixMillis};
use crate::store::PersonalContents;

const A: CustomerKey = CustomerKey(1);
const B: CustomerKey = CustomerKey(2);

fn id(number: u8) -> ErasureId {
    ErasureId::from_bytes([number; 16])
}

fn changed(customer: CustomerKey, revision: u64) -> Fact {
    let after = Terms::from(&Participation::none(CustomerId::new("acme").unwrap()));
    Fact::ParticipationChanged { customer, revision, before: None, after }
}

fn fenced(erasure: ErasureId, customer: CustomerKey, scope: ErasureScope) -> Fact {
    let (erasure, step) = (erasure.to_string(), ErasureStep::Fenced);
    Fact::ErasureStepped { erasure, customer: Some(customer), scope, step, records: 0, by: None }
}

fn done(erasure: ErasureId, customer: CustomerKey) -> Fact {
    let period = Period { from: UnixMillis(0), until: UnixMillis(0) };
    let (erasure, scope) = (erasure.to_string(), ErasureScope::Identifier);
    let customer = Some(customer);
    let (rewritten, removed, events, notified) = (0, 0, 0, 0);
    Fact::ErasureDone { erasure, customer, scope, class: None, period, rewritten, removed, events, notified }
}

/// The judgement of `facts`, the first two of which are in the backup, over a file that knows A and B at revision 1
/// and the erasure 1.
fn judged(facts: &[Fact]) -> Since {
    let mut reader = Reader::default();
    for (index, fact) in (0..).zip(facts) {
        reader.take(fact, index, 2);
    }
    let file = PersonalContents {
        store: [0; 16],
        made: UnixMillis(0),
        rows: 9,
        revisions: HashMap::from([(A, 1), (B, 1)]),
        erasures: BTreeSet::from([id(1)]),
    };
    reader.judge(&file)
}

#[test]
fn a_file_that_knows_all_that_the_ledger_tells_comes_back_as_it_is() {
    let since = judged(&[changed(A, 1), changed(B, 1), fenced(id(1), A, ErasureScope::Identifier)]);
    assert_eq!((since.behind(), since), (None, Since::default()));
}

#[test]
fn who_was_erased_since_does_not_come_back_and_makes_the_file_no_older() {
    let erased = Fact::CustomerErased { customer: A, erasure: id(9).to_string() };
    let since = judged(&[changed(A, 1), changed(B, 1), changed(A, 2), erased]);
    assert_eq!(since.behind(), None);
    assert_eq!(since.erased, BTreeSet::from([A]));
}

#[test]
fn a_participation_or_an_erasure_that_the_file_does_not_know_makes_it_too_old() {
    let newer = judged(&[changed(A, 1), changed(B, 1), changed(B, 2)]);
    assert_eq!(newer.concerned().collect::<Vec<_>>(), [B]);
    let unknown = judged(&[changed(A, 1), changed(B, 1), fenced(id(2), A, ErasureScope::TimeRange)]);
    let behind = unknown.behind().unwrap();
    assert_eq!((behind.changed, behind.erasures, behind.customers), (0, 1, 1));
    assert!(behind.to_string().contains("--leave-out"), "{behind}");
    // Somebody who is in no file comes back as nobody.
    assert_eq!(judged(&[changed(CustomerKey(3), 7)]).behind(), None);
}

#[test]
fn an_erasure_that_was_done_before_the_backup_need_not_be_known_any_more() {
    let before = judged(&[fenced(id(3), A, ErasureScope::Identifier), done(id(3), A)]);
    assert_eq!(before.behind(), None);
    let after = judged(&[changed(A, 1), fenced(id(3), A, ErasureScope::Identifier), done(id(3), A)]);
    assert_eq!(after.behind().unwrap().erasures, 1);
}

#[test]
fn a_bridge_that_was_erased_stays_erased_unless_it_was_made_again() {
    let erased = || Fact::BridgeErased { customer: A, from_epoch: 7 };
    let made = Fact::BridgeMade { customer: A, from_epoch: 7, until: None };
    assert_eq!(judged(&[erased()]).bridges, BTreeSet::from([(A, 7)]));
    assert_eq!(judged(&[erased(), made]).bridges, BTreeSet::new());
}
