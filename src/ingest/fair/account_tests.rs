//! One customer beside others: shares, rates, turns and the way to the disk.

#![expect(clippy::unwrap_used, reason = "a test")]

use super::super::Rate;
use super::*;

fn id(text: &str) -> CustomerId {
    CustomerId::new(text).unwrap()
}

#[test]
fn what_one_customer_holds_leaves_enough_for_another() {
    let accounts = Accounts::new(Options { batches: 100, ..Options::default() });
    let (greedy, other) = (accounts.of(&id("greedy")), accounts.of(&id("other")));
    let held: Vec<Held> = std::iter::from_fn(|| greedy.take(Kind::Batches, 1)).collect();
    assert_eq!(held.len(), 50);
    let (first, second) = (greedy.holds(Kind::Batches), greedy.holds(Kind::Batches));
    assert!(matches!(first, OverPart::Holds { kind: Kind::Batches, retry_after } if retry_after >= SOON));
    assert_ne!(first, second, "no two are told the same moment");
    assert!(greedy.take(Kind::Bytes, 1).is_some(), "each thing is counted by itself");
    let others: Vec<Held> = std::iter::from_fn(|| other.take(Kind::Batches, 1)).collect();
    assert_eq!(others.len(), 25);
    drop(held);
    assert!(accounts.of(&id("greedy")).take(Kind::Batches, 37).is_some(), "with 25 held by another");
}

#[test]
fn bytes_that_are_added_and_given_back_are_counted_right() {
    let accounts = Accounts::new(Options { bytes: 1000, bytes_per_customer: 400, ..Options::default() });
    let account = accounts.of(&id("a"));
    let mut held = account.take(Kind::Bytes, 100).unwrap();
    held.add(account.take(Kind::Bytes, 300).unwrap());
    assert!(account.take(Kind::Bytes, 1).is_none());
    held.keep(50);
    assert!(account.take(Kind::Bytes, 351).is_none());
    drop(held);
    assert!(account.take(Kind::Bytes, 400).is_some());
}

#[test]
fn a_rate_is_that_of_the_customer_or_of_everybody() {
    let rates = |events| Rates { events: Rate::new(events), bytes: Rate::new(1_000_000) };
    let limits = |everybody| Limits {
        rates: rates(everybody),
        rates_of: [(id("large"), rates(0))].into(),
        burst: Duration::from_secs(1),
        beside_others: None,
    };
    let accounts = Accounts::new(Options { limits: limits(10), ..Options::default() });
    let (small, large) = (accounts.of(&id("small")), accounts.of(&id("large")));
    for account in [&small, &large] {
        assert_eq!(account.wait(), None);
        account.pay(600, 1000);
    }
    assert_eq!(large.wait(), None);
    let wait = small.wait().unwrap();
    assert!(wait > Duration::from_secs(50), "a minute of events, less the burst: {wait:?}");
    let over = small.sends_too_much();
    assert!(matches!(over, OverPart::Events { retry_after } if retry_after >= wait / 2), "{over:?}");
    large.pay(1, 100_000_000);
    assert!(large.wait().is_some() && matches!(large.sends_too_much(), OverPart::Bytes { .. }));
    assert!(Arc::ptr_eq(&small, &accounts.of(&id("small"))), "the account is remembered");
    // Who has the account in hand, such as a stream, goes by the new rates, too.
    accounts.change(limits(1_000_000));
    assert_eq!(small.wait(), None, "six hundred fit into a second");
    assert!(large.wait().is_some(), "nothing has changed for it");
    accounts.change(limits(1));
    assert!(small.wait().is_none_or(|wait| wait < Duration::from_mins(10)));
    accounts.change(Limits::default());
    assert_eq!((small.wait(), large.wait()), (None, None));
}

// covers: B1, B3
#[test]
fn accounts_of_any_number_of_customers_are_bounded_and_who_sends_on_is_remembered() {
    let accounts = Accounts::new(Options {
        limits: Limits { rates: Rates { events: Rate::new(1), bytes: None }, ..Limits::default() },
        ..Options::default()
    });
    let busy = id("busy");
    accounts.of(&busy).pay(1_000_000, 0);
    for n in 0..200_000_u32 {
        drop(accounts.of(&id(&format!("customer-{n}"))));
        if n % 100 == 0 {
            assert!(accounts.of(&busy).wait().is_some(), "forgotten after {n}");
        }
    }
    assert!(accounts.of.len() <= ACCOUNTS);
}

#[tokio::test]
async fn in_a_crowd_one_customer_leaves_turns_to_others() {
    let accounts = Accounts::new(Options::default());
    let (greedy, other) = (accounts.of(&id("greedy")), accounts.of(&id("other")));
    let alone = greedy.is_in_a_crowd();
    assert!(!alone && greedy.turn(alone, false).await.is_none(), "alone, a small request needs no turn");
    assert!(greedy.way(alone, 1 << 30).await.is_none(), "and has the way for itself");
    assert!(other.is_in_a_crowd() && greedy.is_in_a_crowd());
    let first = other.turn(true, false).await;
    assert!(first.is_some());
    let half = (accounts.common.processors / 2).max(1);
    let mut turns = Vec::new();
    for _ in 0..half {
        turns.push(greedy.turn(true, false).await.unwrap());
    }
    let waits = tokio::time::timeout(Duration::from_millis(20), greedy.turn(true, false)).await;
    assert!(waits.is_err(), "the next one waits for one of its own");
    drop(first);
    assert!(other.turn(true, false).await.is_some(), "another customer does not wait for them");
    turns.clear();
    assert!(greedy.turn(true, false).await.is_some());
}

#[tokio::test]
async fn in_a_crowd_one_customer_has_so_many_bytes_on_the_way_and_small_requests_always_one() {
    let accounts = Accounts::new(Options::default());
    let (greedy, other) = (accounts.of(&id("greedy")), accounts.of(&id("other")));
    let waits = async |account: &Account, bytes| {
        tokio::time::timeout(Duration::from_millis(20), account.way(true, bytes)).await.is_err()
    };
    let whole = greedy.whole_way;
    let first = greedy.way(true, whole - LEAST_ON_THE_WAY).await;
    assert!(first.is_some() && waits(&greedy, LEAST_ON_THE_WAY + 1).await);
    assert!(!waits(&greedy, 1).await, "what fits goes on");
    assert!(!waits(&other, whole).await, "another customer does not wait for it");
    let second = greedy.way(true, 1).await;
    assert!(second.is_some() && waits(&greedy, 1).await, "however small, it counts");
    drop((first, second));
    assert!(greedy.way(true, usize::MAX).await.is_some(), "one that is larger than all goes alone");
}

#[tokio::test]
async fn in_a_crowd_a_customer_goes_at_its_pace_and_who_gives_up_waiting_has_paid_nothing() {
    let accounts = Accounts::new(Options::default());
    let (greedy, other) = (accounts.of(&id("greedy")), accounts.of(&id("other")));
    let paced = |per_second| Limits { beside_others: Rate::new(per_second), ..Limits::default() };
    let goes = async |account: &Account, in_a_crowd, bytes| {
        let way = tokio::time::timeout(Duration::from_millis(20), account.way(in_a_crowd, bytes));
        way.await.map(drop).is_ok()
    };
    accounts.change(paced(1_000));
    assert!(goes(&greedy, true, 60_000).await, "whoever was silent is not held, however much it sends");
    for _ in 0..3 {
        assert!(!goes(&greedy, true, 60_000).await, "its next request waits for a minute");
    }
    assert!(goes(&greedy, false, 60_000).await, "alone, it would not");
    assert!(goes(&other, true, 8).await && goes(&other, true, 8).await, "nobody else waits for it");
    let wait = greedy.gone.wait(accounts.common.now(), Rate::new(1_000), AT_ONCE).unwrap();
    assert!(wait < Duration::from_secs(61), "what did not go is not paid for: {wait:?}");
    accounts.change(paced(100_000_000));
    assert!(goes(&greedy, true, 60_000).await, "another pace is in force at once");
    accounts.change(paced(0));
    assert!(
        goes(&greedy, true, usize::MAX).await && goes(&greedy, true, usize::MAX).await,
        "without one, nobody waits"
    );
}
