//! A participation that is changed again while an earlier change is brought to what is stored.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use super::rooms_tests::{BATCHES, Rooms, acme};
use crate::amend::BindingStage;
use crate::ledger::Fact;
use crate::model::{CustomerId, LevelName, Participation, ProgramName};
use crate::store::{NewChange, step};

/// What the ledger is told of bindings: the revision, and batches looked at, lowered and removed.
fn told(rooms: &Rooms) -> Vec<(u64, [u64; 3])> {
    let of = |fact| {
        let Fact::LevelBound { revision, records, lowered, removed, .. } = fact else { return None };
        Some((revision, [records, lowered, removed]))
    };
    rooms.facts().into_iter().filter_map(of).collect()
}

// covers: P6
#[tokio::test]
async fn a_binding_is_told_under_the_revision_that_was_judged_not_under_one_that_came_meanwhile() {
    for at in ["bind: judged", "bind: rewritten", "bind: purged"] {
        let home = tempfile::tempdir().unwrap();
        let rooms = Rooms::open(home.path()).await;
        rooms.participate(acme(), "enhanced").await;
        rooms.participate(CustomerId::new("globex").unwrap(), "enhanced").await;
        rooms.fill().await;
        rooms.amend.tick().await.unwrap();
        assert_eq!(told(&rooms), []);

        rooms.participate(acme(), "standard").await;
        let rooms = Arc::new(rooms);
        let beside = Arc::clone(&rooms);
        // The pass stands still while somebody else leaves the program and is answered.
        step::meanwhile(at, move || {
            let leave = move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(beside.participate(acme(), "none"));
                // The change alone says nothing of what is stored.
                let report = runtime.block_on(beside.amend.binding(&acme())).unwrap();
                assert_eq!((report.stage, report.revision), (BindingStage::Rewriting, 3));
            };
            std::thread::spawn(leave).join().unwrap();
        });
        rooms.amend.tick().await.unwrap();
        assert_eq!(told(&rooms), [(2, [BATCHES, BATCHES, 0]), (3, [BATCHES, 0, BATCHES])], "{at}");
        let report = rooms.amend.binding(&acme()).await.unwrap();
        assert_eq!((report.stage, report.revision), (BindingStage::Done, 3), "{at}: {report:?}");
        assert_eq!(report.tally.sum().removed, BATCHES, "{at}: {report:?}");
        Arc::into_inner(rooms).unwrap().close().await;
    }
}

// covers: P6
#[tokio::test]
async fn a_pass_that_changed_nothing_says_nothing_of_a_revision_that_came_meanwhile() {
    let home = tempfile::tempdir().unwrap();
    let rooms = Rooms::open(home.path()).await;
    rooms.participate(acme(), "standard").await;
    rooms.participate(CustomerId::new("globex").unwrap(), "standard").await;
    rooms.fill().await;
    rooms.amend.tick().await.unwrap();
    // Raised: nothing of what is stored changes.
    rooms.participate(acme(), "enhanced").await;
    let (store, customers) = (rooms.store.clone(), rooms.customers.clone());
    step::meanwhile("bind: judged", move || {
        let raise = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let mut participation = customers.get(&acme()).unwrap().unwrap().change.participation.clone();
            participation.levels.clear();
            let (by, reason) = ("tests".to_owned(), "tests".to_owned());
            let change = crate::store::NewChange { participation, by, reason, if_revision: None };
            // The process ends before anybody is told of the change.
            runtime.block_on(store.set_participation(vec![change])).unwrap().remove(0).unwrap();
        };
        std::thread::spawn(raise).join().unwrap();
    });
    rooms.amend.tick().await.unwrap();
    rooms.close().await;

    let rooms = Rooms::open(home.path()).await;
    let report = rooms.amend.binding(&acme()).await.unwrap();
    assert_eq!((report.stage, report.revision, report.done), (BindingStage::Rewriting, 3, None));
    rooms.amend.tick().await.unwrap();
    assert_eq!(told(&rooms), [(3, [BATCHES, 0, BATCHES])]);
    rooms.close().await;
}

// covers: P6
#[tokio::test]
async fn a_change_that_nobody_was_told_of_is_not_called_done_before_somebody_has_looked() {
    let home = tempfile::tempdir().unwrap();
    let rooms = Rooms::open(home.path()).await;
    rooms.participate(acme(), "enhanced").await;
    rooms.participate(CustomerId::new("globex").unwrap(), "enhanced").await;
    rooms.fill().await;
    rooms.amend.tick().await.unwrap();

    let lower = |level: &'static str| {
        let (store, mut participation) = (rooms.store.clone(), Participation::none(acme()));
        participation.levels.insert(ProgramName::new("ceip").unwrap(), LevelName::new(level).unwrap());
        async move {
            let (by, reason) = ("tests".to_owned(), "tests".to_owned());
            let change = NewChange { participation, by, reason, if_revision: None };
            store.set_participation(vec![change]).await.unwrap().remove(0).unwrap();
        }
    };
    rooms.clock.advance_ms(1_000);
    lower("standard").await;
    let stage = async || {
        let report = rooms.amend.binding(&acme()).await.unwrap();
        (report.stage, report.revision)
    };
    assert_eq!(stage().await, (BindingStage::Rewriting, 2), "nothing was looked at");
    rooms.amend.tick().await.unwrap();
    assert_eq!(stage().await, (BindingStage::Done, 2));
    assert_eq!(
        told(&rooms).iter().map(|(revision, _)| *revision).collect::<Vec<_>>(),
        [2],
        "by having asked"
    );

    // Whoever looks at everything after the change has looked at it, too.
    lower("basic").await;
    rooms.clock.advance_ms(1_000);
    rooms.amend.policy_changed();
    rooms.amend.tick().await.unwrap();
    assert_eq!(stage().await, (BindingStage::Done, 3));
    rooms.close().await;
}

// covers: B1 P6
#[tokio::test]
async fn what_is_counted_for_each_customer_is_in_its_row_and_told_once_however_few_are_written_at_a_time() {
    let home = tempfile::tempdir().unwrap();
    let globex = || CustomerId::new("globex").unwrap();
    let rooms = Rooms::open(home.path()).await;
    rooms.participate(acme(), "enhanced").await;
    rooms.participate(globex(), "enhanced").await;
    rooms.fill().await;
    rooms.amend.tick().await.unwrap();
    rooms.participate(acme(), "standard").await;
    rooms.participate(globex(), "none").await;
    // Rows are written one at a time here: two customers take two writes at each step.
    rooms.amend.tick().await.unwrap();
    assert_eq!(told(&rooms), [(2, [BATCHES, BATCHES, 0]), (2, [BATCHES, 0, BATCHES])]);
    for (id, rewritten) in [(acme(), BATCHES), (globex(), 0)] {
        let report = rooms.amend.binding(&id).await.unwrap();
        let sum = report.tally.sum();
        assert_eq!(
            (report.stage, report.tally.batches, report.tally.unchanged),
            (BindingStage::Done, BATCHES, 0)
        );
        assert_eq!((sum.rewritten, sum.removed), (rewritten, BATCHES - rewritten));
    }
    rooms.close().await;
}
