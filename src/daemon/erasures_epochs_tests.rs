//! An erasure reaches every epoch of which there are keys: whatever pseudonym somebody can still tell is looked for.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::time::Duration;

use super::rooms_tests::{Rooms, START, acme, jobs};
use crate::amend::{NewErasure, Options, Stage, Target};
use crate::drain::Scope;
use crate::model::{CustomerId, ErasureId, IdentifierClass, ProgramName, SubscriptionName};
use crate::sanitize::{LookUp, LookedUp};
use crate::store::{Bridge, KeyOp, MetaOp};

const HOUR: i64 = 3_600_000;

fn id(number: u32) -> ErasureId {
    ErasureId::parse(&format!("0198c0de-0000-7000-8000-{number:012x}")).unwrap()
}

/// Keeps the keys of an epoch of acme, for some hours from now.
async fn bridge(rooms: &Rooms, epoch: u32, hours: i64) {
    let entry = rooms.customers.get(&acme()).unwrap().unwrap();
    let seed = entry.secret.ratchet().seed(epoch).unwrap();
    let (made, until) = (rooms.clock.now(), rooms.clock.now().plus_ms(hours * HOUR));
    let (by, reason) = ("tests".to_owned(), "tests".to_owned());
    let bridge = Bridge { customer: entry.key, epoch, seed, made, until, by, reason };
    rooms.store.write_meta(vec![MetaOp::Key(KeyOp::Bridge(bridge))], true).await.unwrap();
}

/// Whoever looks a value of acme up is told this of it.
fn looked_up(rooms: &Rooms, value: &str) -> Vec<(Option<u32>, String)> {
    let entry = rooms.customers.get(&acme()).unwrap().unwrap();
    let epochs = rooms.store.live_epochs(&entry, rooms.clock.now()).unwrap();
    let program = ProgramName::new("ceip").unwrap();
    let mut look_up = LookUp::new(&entry.secret, IdentifierClass::InstanceId, [&program], &epochs);
    let LookedUp::Pseudonyms(all) = look_up.of(value) else { panic!("{value} has no pseudonym") };
    all.into_iter().map(|one| (one.epoch, one.text)).collect()
}

// covers: P4 P8
#[tokio::test(flavor = "multi_thread")]
async fn what_was_stored_in_any_epoch_that_has_keys_is_erased_and_told_also_if_they_go_meanwhile() {
    let home = tempfile::tempdir().unwrap();
    let hourly = |options: &mut crate::store::Options| {
        options.rotation = Duration::from_hours(1);
        options.past_epochs = 2;
    };
    let rooms = Rooms::open_with(home.path(), START, Options::default(), hourly).await;
    for customer in [acme(), CustomerId::new("globex").unwrap()] {
        rooms.participate(customer, "standard").await;
    }
    rooms.subscribe().await;
    let first = rooms.store.rotation().epoch(START);
    // One batch of acme in each of seven epochs.
    for hour in 0..7_u32 {
        rooms.fill_with(u64::from(hour) + 1..=u64::from(hour) + 1).await;
        match hour {
            1 => bridge(&rooms, first + 1, 1_000).await,
            // Has ended when it is erased, and its keys are still there.
            2 => bridge(&rooms, first + 2, 3).await,
            // From here on they are behind: one more epoch has keys than are to be kept.
            5 => {
                let moved = rooms.customers.move_ratchets(first + 5, |_| Vec::new()).await.unwrap();
                assert_eq!(moved.customers, 2);
            }
            _ => {}
        }
        if hour < 6 {
            rooms.clock.advance_ms(HOUR);
        }
    }
    assert_eq!(rooms.pull().await.len(), 14);
    let of = |hour: u32| format!("instance-{}", hour + 1);
    let told: Vec<_> = looked_up(&rooms, &of(0)).into_iter().map(|(epoch, _)| epoch).collect();
    let expected: Vec<_> = [None].into_iter().chain((1..7).map(|hour| Some(first + hour))).collect();
    assert_eq!(told, expected, "only of the first epoch the keys are gone");

    let mut texts = Vec::new();
    for hour in 0..7 {
        let all = looked_up(&rooms, &of(hour));
        texts.push(all.into_iter().find(|(epoch, _)| *epoch == Some(first + hour)).map(|(_, text)| text));
        let target = Target::Instance(of(hour).into());
        let (reference, by) = (String::new(), String::new());
        let new = NewErasure { id: id(hour), customer: acme(), target, reference, by };
        rooms.amend.erase(new).await.unwrap();
    }
    // Before any of it is rewritten, the keys of all these epochs go.
    rooms.clock.advance_ms(3 * HOUR);
    rooms.customers.move_ratchets(first + 9, |_| Vec::new()).await.unwrap();
    let far = rooms.clock.now().plus_ms(2_000 * HOUR);
    assert_eq!(rooms.customers.end_bridges(far, |_, _| Vec::new()).await.unwrap(), 2);
    assert_eq!(looked_up(&rooms, &of(0)).len(), 4, "the stable one, and those of what comes now");
    rooms.amend.tick().await.unwrap();
    for hour in 0..7 {
        let done = rooms.amend.erasure(id(hour)).await.unwrap().erasure;
        assert_eq!(done.stage, Stage::Done);
        assert_eq!(done.counts.removed, u64::from(hour > 0), "hour {hour}");
    }
    let mut named = BTreeSet::new();
    for told in rooms.drain.pull(&jobs(), 0, 0, Duration::ZERO, 0).await.unwrap().notices {
        let Scope::Instance { tokens } = &told.notice.scope else { panic!("{:?}", told.notice) };
        named.extend(tokens.iter().cloned());
    }
    for (hour, text) in texts.iter().enumerate() {
        assert_eq!(text.as_ref().map(|text| named.contains(text)), (hour > 0).then_some(true), "hour {hour}");
    }
    rooms.close().await;
}

// covers: P4 P8
#[tokio::test(flavor = "multi_thread")]
async fn an_epoch_that_begins_while_an_erasure_is_begun_does_not_escape_it() {
    let home = tempfile::tempdir().unwrap();
    let hourly = |options: &mut crate::store::Options| options.rotation = Duration::from_hours(1);
    let rooms = Rooms::open_with(home.path(), START, Options::default(), hourly).await;
    for customer in [acme(), CustomerId::new("globex").unwrap()] {
        rooms.participate(customer, "standard").await;
    }
    rooms.subscribe().await;
    rooms.fill_with(1..=1).await;
    let target = Target::Instance("instance-1".to_owned().into());
    let (reference, by) = (String::new(), String::new());
    let new = NewErasure { id: id(1), customer: acme(), target, reference, by };
    let before = rooms.store.rotation().epoch(START);
    let rooms = std::sync::Arc::new(rooms);
    let meanwhile = std::sync::Arc::clone(&rooms);
    // It was planned, and is not fenced yet.
    let first = async move {
        meanwhile.clock.advance_ms(HOUR);
        meanwhile.name_host(2, 1, "esx-1.example.org").await;
        Ok::<_, std::convert::Infallible>(())
    };
    let Ok(begun) = rooms.amend.erase_after(new, first).await.unwrap();
    assert_eq!(begun.erasure.requested, START.plus_ms(HOUR));
    let new_one = looked_up(&rooms, "instance-1").into_iter().find(|(epoch, _)| *epoch == Some(before + 1));
    rooms.amend.tick().await.unwrap();
    let done = rooms.amend.erasure(id(1)).await.unwrap().erasure;
    assert_eq!((done.stage, done.counts.removed), (Stage::Done, 2));
    let rooms = std::sync::Arc::into_inner(rooms).unwrap();
    assert!(new_one.is_some());
    rooms.close().await;
}

/// Acme takes part, and rotating pseudonyms last an hour.
async fn hourly(home: &std::path::Path) -> Rooms {
    let hourly = |options: &mut crate::store::Options| {
        options.rotation = Duration::from_hours(1);
        options.past_epochs = 2;
    };
    let rooms = Rooms::open_with(home, START, Options::default(), hourly).await;
    rooms.participate(acme(), "standard").await;
    rooms.subscribe().await;
    rooms
}

/// Has the clock so many hours ahead.
fn set_clock(rooms: &Rooms, hours: i64) {
    rooms.clock.set_ahead_ms(START.plus_ms(hours * HOUR).ms_since(rooms.clock.now()));
}

fn of_first(number: u32) -> NewErasure {
    let target = Target::Instance("instance-1".to_owned().into());
    let (reference, by) = (String::new(), String::new());
    NewErasure { id: id(number), customer: acme(), target, reference, by }
}

// covers: P4 P8
#[tokio::test(flavor = "multi_thread")]
async fn what_was_stored_while_a_clock_was_ahead_is_erased_when_it_is_right_again() {
    for is_believed in [false, true] {
        let home = tempfile::tempdir().unwrap();
        let rooms = hourly(home.path()).await;
        let first = rooms.store.rotation().epoch(START);
        rooms.name_host(1, 1, "esx-1.example.org").await;
        rooms.name_host(2, 2, "esx-2.example.org").await;
        let mut last = 0;
        for (batch, hours) in [(3, 400), (5, 4_000), (7, 12_000)] {
            // Without that the clock is believed nothing has keys that far ahead.
            if hours > 10_000 && !is_believed {
                continue;
            }
            set_clock(&rooms, hours);
            last = first + u32::try_from(hours).unwrap();
            while hours > 10_000 && rooms.customers.move_ratchets(last, |_| Vec::new()).await.unwrap().more {}
            rooms.name_host(batch, 1, "esx-1.example.org").await;
            rooms.name_host(batch + 1, 2, "esx-2.example.org").await;
        }
        set_clock(&rooms, 0);
        if is_believed {
            assert_eq!(rooms.customers.reach_back(first).await.unwrap(), 1);
        }
        // A present batch behind them.
        rooms.name_host(9, 1, "esx-1.example.org").await;
        // When the keys of an epoch were destroyed because a clock was believed, nobody can tell its pseudonyms.
        let (all, expected) = if is_believed { (9, 2) } else { (7, 4) };
        assert_eq!(rooms.pull().await.len(), all);
        let counted = rooms.amend.preview_erasure(of_first(1), Box::new(|_| true)).await.unwrap();
        assert_eq!(counted.erasure.counts.events, expected, "believed: {is_believed}");
        rooms.amend.erase(of_first(1)).await.unwrap();
        // In the queue, before anything is rewritten.
        let other = SubscriptionName::new("other").unwrap();
        rooms.subscribe_as(&other).await;
        let queued = rooms.drain.pull(&other, 1_000, u64::MAX, Duration::ZERO, 0).await.unwrap();
        assert_eq!(queued.deliveries.len(), all - usize::try_from(expected).unwrap());
        rooms.amend.tick().await.unwrap();
        let done = rooms.amend.erasure(id(1)).await.unwrap().erasure;
        assert_eq!((done.stage, done.counts.removed), (Stage::Done, expected), "believed: {is_believed}");
        // Who received it is told under the names that it had.
        let notices = rooms.drain.pull(&jobs(), 0, 0, Duration::ZERO, 0).await.unwrap().notices;
        let Scope::Instance { tokens } = &notices[0].notice.scope else { panic!("{notices:?}") };
        let far = format!("-r{last}-");
        assert!(tokens.iter().any(|text| text.contains(&far)), "{tokens:?}");
        rooms.close().await;
    }
}

// covers: P4 P8
#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_by_a_clock_that_was_ahead_while_an_erasure_is_begun_does_not_escape_it() {
    let home = tempfile::tempdir().unwrap();
    let rooms = std::sync::Arc::new(hourly(home.path()).await);
    rooms.name_host(1, 1, "esx-1.example.org").await;
    let meanwhile = std::sync::Arc::clone(&rooms);
    // It was planned, and is not fenced yet; then the clock is right again.
    let first = async move {
        set_clock(&meanwhile, 40);
        meanwhile.name_host(2, 1, "esx-1.example.org").await;
        set_clock(&meanwhile, 0);
        Ok::<_, std::convert::Infallible>(())
    };
    let Ok(begun) = rooms.amend.erase_after(of_first(1), first).await.unwrap();
    assert_eq!(begun.erasure.requested, START);
    rooms.amend.tick().await.unwrap();
    let done = rooms.amend.erasure(id(1)).await.unwrap().erasure;
    assert_eq!((done.stage, done.counts.removed), (Stage::Done, 2));
    std::sync::Arc::into_inner(rooms).unwrap().close().await;
}
