//! The process ends at every step of an erasure, by value, by installation, by time and of a whole customer.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::time::Duration;

use super::crash_tests::{
    Act, Before, ERASURE, adds_up, all_of, crash_at_every_step, is_acme, is_of_instance, names_host,
    withdrawn,
};
use super::rooms_tests::{BATCHES, NAMED, Rooms, acme, jobs};
use crate::amend::Stage;
use crate::ledger::Fact;
use crate::model::ErasureId;

/// Steps that there are among others.
const STEPS: [&str; 7] = [
    "erase: fenced",
    "erase: leases revoked",
    "erase: piece",
    "erase: rewritten",
    "purge: log",
    "purge: range",
    "erase: verified",
];

// covers: P6 P8 D1
#[tokio::test(flavor = "multi_thread")]
async fn an_identifier_is_erased_whole_and_told_once_after_a_crash_at_any_step() {
    let named = BATCHES / NAMED;
    let steps = crash_at_every_step(Act::EraseHost, async |before: &Before, rooms: &Rooms, at: &str| {
        let report = rooms.amend.erasure(ErasureId::parse(ERASURE).unwrap()).await.unwrap();
        let counts = report.erasure.counts;
        assert_eq!(report.erasure.stage, Stage::Done, "{at}: {report:?}");
        assert_eq!((counts.scanned, counts.total), (BATCHES, BATCHES), "{at}: {counts:?}");
        assert_eq!((counts.rewritten, counts.removed, counts.events), (named, 0, named), "{at}: {counts:?}");
        assert_eq!((counts.notified, counts.short_names), (1, Some(0)), "{at}");
        told_once(rooms, at, (named, 0, named));
        let notices = rooms.drain.pull(&jobs(), 0, 0, Duration::ZERO, 0).await.unwrap().notices;
        assert_eq!(notices.len(), 1, "{at}");

        let out = withdrawn(before, rooms).await;
        let expected = before.leased.iter().map(|(commit, _)| *commit).filter(|commit| names_host(*commit));
        assert_eq!(out, expected.collect(), "{at}");
        assert!(!out.is_empty());
        let given = all_of(rooms).await;
        let full = &before.fresh["enhanced"];
        assert_eq!(given.len(), full.len(), "{at}");
        for (commit, body) in &given {
            assert_eq!(body == &full[commit], !names_host(*commit), "{at}: {commit}");
            let is_less = body.len() < full[commit].len();
            assert_eq!(is_less, names_host(*commit), "{at}: {commit}");
        }
        adds_up(rooms, at).await;
    });
    let steps = steps.await;
    for step in STEPS {
        assert!(steps.contains(step), "{step} is not in {steps:?}");
    }
}

/// Erases whole batches of acme, those that `is_erased`, and nothing else.
async fn whole_batches_are_erased(act: Act, is_erased: fn(u64) -> bool) {
    let steps = crash_at_every_step(act, async |before: &Before, rooms: &Rooms, at: &str| {
        let removed = before.sealed.keys().filter(|commit| is_erased(**commit)).count();
        let removed = u64::try_from(removed).unwrap();
        let report = rooms.amend.erasure(ErasureId::parse(ERASURE).unwrap()).await.unwrap();
        let counts = report.erasure.counts;
        assert_eq!(report.erasure.stage, Stage::Done, "{at}: {report:?}");
        let changed = (counts.rewritten, counts.removed, counts.events);
        assert_eq!(changed, (0, removed, 2 * removed), "{at}: {counts:?}");
        told_once(rooms, at, changed);
        assert!(rooms.customers.get(&acme()).unwrap().is_some(), "{at}: its customer is there");
        let notices = rooms.drain.pull(&jobs(), 0, 0, Duration::ZERO, 0).await.unwrap().notices;
        assert_eq!(notices.len(), 1, "{at}");

        let out = withdrawn(before, rooms).await;
        let expected = before.leased.iter().map(|(commit, _)| *commit).filter(|commit| is_erased(*commit));
        assert_eq!(out, expected.collect(), "{at}");
        assert!(!out.is_empty());
        let given = all_of(rooms).await;
        let others = before.fresh["enhanced"].iter().filter(|(commit, _)| !is_erased(**commit));
        assert!(given.iter().eq(others), "{at}");
        adds_up(rooms, at).await;
    });
    let steps = steps.await;
    for step in STEPS {
        assert!(steps.contains(step), "{step} is not in {steps:?}");
    }
}

// covers: P8 D1
#[tokio::test(flavor = "multi_thread")]
async fn an_installation_is_erased_whole_and_told_once_after_a_crash_at_any_step() {
    whole_batches_are_erased(Act::EraseInstance, is_of_instance).await;
}

// covers: P8 D1
#[tokio::test(flavor = "multi_thread")]
async fn a_time_range_is_erased_whole_and_told_once_after_a_crash_at_any_step() {
    whole_batches_are_erased(Act::EraseTimes, is_acme).await;
}

// covers: P8 D1
#[tokio::test(flavor = "multi_thread")]
async fn a_customer_is_erased_whole_and_told_once_after_a_crash_at_any_step() {
    let steps = crash_at_every_step(Act::EraseCustomer, async |before: &Before, rooms: &Rooms, at: &str| {
        let report = rooms.amend.erasure(ErasureId::parse(ERASURE).unwrap()).await.unwrap();
        let counts = report.erasure.counts;
        assert_eq!(report.erasure.stage, Stage::Done, "{at}: {report:?}");
        assert_eq!((counts.removed, counts.events), (BATCHES, 2 * BATCHES), "{at}: {counts:?}");
        told_once(rooms, at, (0, BATCHES, 2 * BATCHES));
        assert!(rooms.customers.get(&acme()).unwrap().is_none(), "{at}");
        let out = withdrawn(before, rooms).await;
        let expected = before.leased.iter().map(|(commit, _)| *commit).filter(|commit| is_acme(*commit));
        assert_eq!(out, expected.collect(), "{at}");
        let given = all_of(rooms).await;
        let others = before.fresh["enhanced"].iter().filter(|(commit, _)| !is_acme(**commit));
        assert!(given.iter().eq(others), "{at}");
        adds_up(rooms, at).await;
    });
    assert!(steps.await.len() >= 6);
}

/// One receipt, with these counts, and each step once.
fn told_once(rooms: &Rooms, at: &str, (rewritten, removed, events): (u64, u64, u64)) {
    let (mut receipts, mut steps) = (Vec::new(), Vec::new());
    for fact in rooms.facts() {
        if let Fact::ErasureDone { rewritten, removed, events, notified, .. } = fact {
            receipts.push((rewritten, removed, events, notified));
        } else if let Fact::ErasureStepped { step, .. } = fact {
            steps.push(format!("{step:?}"));
        }
    }
    assert_eq!(receipts, [(rewritten, removed, events, 1)], "{at}");
    let once: BTreeSet<&String> = steps.iter().collect();
    assert_eq!(once.len(), steps.len(), "{at}: {steps:?}");
}
