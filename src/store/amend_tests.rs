//! Amendments and purging: what is replaced or reduced to nothing is so for every reader, keeps its place, and is
//! in no file after purging.

use super::samples::{
    RECEIVED, amendments, at, blocking, fill, holding, id, noise, open, queue, record, register, seal_key,
};
use super::{Amended, Amendment, Entry, Place, PurgeError, Scan, Store, inspect};
use crate::model::{CommitNumber, CustomerKey};

const ALL: Place = Place::Commits { first: CommitNumber(1), last: CommitNumber(u64::MAX) };

async fn purge(store: &Store, places: Vec<Place>) -> Result<super::Purged, PurgeError> {
    let store = store.clone();
    blocking(move || {
        let mut parts = Vec::new();
        let purged = store.purge(&places, &mut |progress| parts.push(progress));
        if purged.is_ok() {
            assert!(parts.first().is_some_and(|first| first.done == 0), "{parts:?}");
            assert!(parts.last().is_some_and(|last| last.done == last.of), "{parts:?}");
        }
        purged
    })
    .await
}

async fn world(dir: &std::path::Path) -> (Store, [CustomerKey; 2]) {
    let store = open(dir);
    let customers =
        [register(&store, "acme", "enhanced").await, register(&store, "globex", "enhanced").await];
    (store, customers)
}

fn kinds(store: &Store) -> Vec<char> {
    let kind = |entry: &Entry| match entry {
        Entry::Record(record) if record.is_amended() => 'a',
        Entry::Record(_) => 'r',
        Entry::Gone { .. } => 'g',
        Entry::Damaged { .. } => 'd',
    };
    queue(store).iter().map(kind).collect()
}

// covers: P6 P8
#[tokio::test(flavor = "multi_thread")]
async fn amended_records_keep_their_place_and_nothing_of_the_old_ones_is_left_in_any_file() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data");
    let (store, customers) = world(&dir).await;
    let sealed = fill(&store, customers, 1..=200).await;
    assert!(store.status().segments >= 4, "{:?}", store.status());
    let full = store.status().queued_bytes;
    let replaced = amendments(&store, (1..=200).filter(|n| n % 4 == 1), true);
    let gone = amendments(&store, (1..=200).filter(|n| n % 4 == 3), false);
    assert_eq!((replaced.len(), gone.len()), (50, 50));
    // Ingest goes on meanwhile.
    let (amended, more) = tokio::join!(
        async {
            let first = store.amend(replaced).await.unwrap();
            [first, store.amend(gone).await.unwrap()].concat()
        },
        fill(&store, customers, 201..=300)
    );
    assert!(amended.iter().all(|outcome| *outcome == Amended::Done), "{amended:?}");
    let kind = |n: u64| match n {
        201.. => 'r',
        n if n % 4 == 1 => 'a',
        n if n % 4 == 3 => 'g',
        _ => 'r',
    };
    let expected: Vec<char> = (1..=300).map(kind).collect();
    assert_eq!(kinds(&store), expected);
    let old: Vec<&[u8]> =
        sealed.iter().filter(|(n, _)| *n % 2 == 1).map(|(_, bytes)| bytes.as_slice()).collect();
    assert!(!holding(&dir, old.iter().copied()).is_empty(), "without purging they are still there");
    let purged = purge(&store, vec![ALL]).await.unwrap();
    assert!(purged.files >= 4 && purged.logs >= 1 && purged.bytes > full / 2, "{purged:?}");
    assert_eq!(holding(&dir, old.iter().copied()), Vec::<std::path::PathBuf>::new());
    let kept = sealed.iter().filter(|(n, _)| *n % 2 == 0).chain(&more).map(|(_, bytes)| bytes.as_slice());
    assert!(kept.clone().all(|bytes| !holding(&dir, [bytes]).is_empty()));
    let key = seal_key(&store, customers[0]).unwrap();
    assert!(at(&store, 5).unwrap().open(&key).unwrap() == noise(10_005));
    assert!(at(&store, 201).unwrap().open(&key).unwrap() == noise(201));
    // In the segment that is written to as well: its chain is checked at open.
    assert_eq!(store.amend(amendments(&store, [299], true)).await.unwrap(), [Amended::Done]);
    assert_eq!(store.amend(amendments(&store, [300], false)).await.unwrap(), [Amended::Done]);
    let expected = [&expected[..298], &['a', 'g']].concat();
    let bytes = store.status().queued_bytes;
    assert!(bytes < full + 100 * 2_500 - 50 * 1_900, "{bytes} after {full}");
    store.close().await;
    // The chain is checked at open, where the witness is too; the sizes are those that were counted.
    let looked = inspect(&dir).unwrap();
    assert!(looked.segments.iter().all(|segment| segment.unreadable == 0));
    let store = open(&dir);
    assert_eq!(kinds(&store), expected);
    assert_eq!((store.status().queued_bytes, store.status().damaged), (bytes, 0));
    fill(&store, customers, 301..=310).await;
    assert_eq!(store.head(), CommitNumber(310));
}

// covers: P8
#[tokio::test(flavor = "multi_thread")]
async fn only_files_that_hold_something_are_rewritten_each_once_however_many_ranges_it_has() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data");
    let (store, customers) = world(&dir).await;
    let sealed = fill(&store, customers, 1..=200).await;
    let before = purge(&store, vec![ALL]).await.unwrap();
    let files = |number: u64| holding(&dir, [sealed[&number].as_slice()]);
    let untouched = files(200);
    let amended: Vec<u64> = (1..=20).filter(|n| n % 4 == 1).collect();
    let outcomes = store.amend(amendments(&store, amended.iter().copied(), true)).await.unwrap();
    assert!(outcomes.iter().all(|outcome| *outcome == Amended::Done), "{outcomes:?}");
    let one = |n: &u64| Place::Commits { first: CommitNumber(*n), last: CommitNumber(*n) };
    let purged = purge(&store, amended.iter().map(one).collect()).await.unwrap();
    // Each file of theirs, and what came in since: not one more for each range.
    assert!(purged.files < before.files && purged.files <= 4, "{purged:?} of {before:?}");
    assert!(amended.iter().all(|n| files(*n).is_empty()));
    assert_eq!(files(200), untouched, "nothing was amended there");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_amendment_of_what_is_not_there_any_more_says_so_and_changes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let (store, customers) = world(&home.path().join("data")).await;
    fill(&store, customers, 1..=4).await;
    let again = |commit| amendments(&store, [commit], false).remove(0);
    let stale = again(1);
    let twice = vec![again(2), again(2)];
    assert_eq!(store.amend(amendments(&store, [1], true)).await.unwrap(), [Amended::Done]);
    assert_eq!(store.amend(vec![stale]).await.unwrap(), [Amended::Changed]);
    assert_eq!(store.amend(twice).await.unwrap(), [Amended::Done, Amended::Changed]);
    let none = |commit| Amendment { commit: CommitNumber(commit), with: None, expect: [0; 16] };
    let outcomes = store.amend(vec![none(2), none(5), none(0), none(3)]).await.unwrap();
    assert_eq!(outcomes, [Amended::Gone, Amended::Absent, Amended::Absent, Amended::Changed]);
    let foreign = Amendment {
        with: Some(record(&store, customers[1], "standard", b"x")),
        ..amendments(&store, [3], false).remove(0)
    };
    assert_eq!(store.amend(vec![foreign]).await.unwrap(), [Amended::Unlike]);
    assert_eq!(kinds(&store), ['a', 'g', 'r', 'r']);
    assert_eq!(store.amend(Vec::new()).await.unwrap(), []);
}

// covers: D5 P8
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_record_can_be_reduced_to_nothing_with_its_copy_and_is_never_replaced() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data");
    let (store, customers) = world(&dir).await;
    let sealed = fill(&store, customers, 1..=5).await;
    for commit in [2, 4] {
        store.set_aside(&at(&store, commit).unwrap(), super::RecordFault::Seal);
    }
    let with = || Some(record(&store, customers[1], "standard", b"x"));
    let amend = |commit, with| Amendment { commit: CommitNumber(commit), with, expect: [0; 16] };
    while kinds(&store) != ['r', 'd', 'r', 'd', 'r'] {
        tokio::task::yield_now().await;
    }
    let outcomes = store.amend(vec![amend(2, with()), amend(2, None)]).await.unwrap();
    assert_eq!(outcomes, [Amended::Damaged, Amended::Done]);
    assert_eq!(kinds(&store), ['r', 'g', 'r', 'd', 'r']);
    purge(&store, vec![ALL]).await.unwrap();
    assert!(holding(&dir, [sealed[&2].as_slice()]).is_empty());
    assert!(!holding(&dir, [sealed[&4].as_slice()]).is_empty());
    store.close().await;
    let store = open(&dir);
    assert_eq!((kinds(&store), store.status().damaged), (vec!['r', 'g', 'r', 'd', 'r'], 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn purging_goes_on_while_segments_are_dropped_and_written() {
    let home = tempfile::tempdir().unwrap();
    let mut options = super::Options::new(&home.path().join("data"));
    options.segment_bytes = 64 * 1024;
    options.retention_bytes = 600 * 1024;
    options.when_full = super::WhenFull::DropOldest;
    options.reserve_bytes = 0;
    let store = super::samples::open_with(&options);
    let customers =
        [register(&store, "acme", "enhanced").await, register(&store, "globex", "enhanced").await];
    fill(&store, customers, 1..=250).await;
    let oldest = store.oldest();
    let writing = async {
        for n in 0..6 {
            fill(&store, customers, 251 + n * 100..=350 + n * 100).await;
        }
    };
    let purging = async {
        let mut outcomes = Vec::new();
        for _ in 0..6 {
            let head = store.head().0;
            let part = store.oldest().0..=head;
            outcomes.extend(store.amend(amendments(&store, part.step_by(7), false)).await.unwrap());
            purge(&store, vec![ALL]).await.unwrap();
        }
        outcomes
    };
    let ((), outcomes) = tokio::join!(writing, purging);
    assert!(store.oldest() > oldest, "nothing was dropped");
    assert!(
        outcomes.iter().all(|outcome| matches!(outcome, Amended::Done | Amended::Absent)),
        "{outcomes:?}"
    );
    assert!(kinds(&store).iter().all(|kind| matches!(kind, 'r' | 'g')));
    assert_eq!(store.head(), CommitNumber(850));
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_are_found_by_customer_and_time_within_bounds() {
    let home = tempfile::tempdir().unwrap();
    let (store, customers) = world(&home.path().join("data")).await;
    fill(&store, customers, 1..=120).await;
    store.amend(amendments(&store, [1], true)).await.unwrap();
    store.amend(amendments(&store, [3], false)).await.unwrap();
    let scan = Scan {
        customer: Some(customers[0]),
        from: CommitNumber(0),
        to: CommitNumber(u64::MAX),
        places: u64::MAX,
        headers: usize::MAX,
    };
    let commits =
        |scanned: &super::Scanned| -> Vec<u64> { scanned.found.iter().map(|at| at.commit.0).collect() };
    let all = store.scan(scan).unwrap();
    assert_eq!(commits(&all), (1..=120).filter(|n| n % 2 == 1 && *n != 3).collect::<Vec<_>>());
    assert_eq!((all.gone, all.damaged.len(), all.next), (1, 0, CommitNumber(121)));
    let first = &all.found[0];
    assert_eq!((first.tag, first.amended), (at(&store, 1).unwrap().tag(), true));
    assert_eq!((first.header.revision, first.header.plan), (1, [1; 8]));
    // In pieces, it is the same.
    for (places, headers) in [(1, 9), (7, 2), (1_000, 5)] {
        let mut pieces = Vec::new();
        let mut next = CommitNumber(0);
        while next <= store.head() {
            let some = store.scan(Scan { from: next, places, headers, ..scan }).unwrap();
            assert!(some.next > next && some.found.len() <= headers);
            pieces.extend(commits(&some));
            next = some.next;
        }
        assert_eq!(pieces, commits(&all), "{places} {headers}");
    }
    let some =
        store.scan(Scan { customer: None, from: CommitNumber(10), to: CommitNumber(12), ..scan }).unwrap();
    assert_eq!((commits(&some), some.next), (vec![10, 11, 12], CommitNumber(13)));
    assert!(store.scan(Scan { from: CommitNumber(121), ..scan }).unwrap().found.is_empty());
    assert!(store.scan(Scan { customer: Some(CustomerKey(99)), ..scan }).unwrap().found.is_empty());
    let between = |from, to| store.commits_between(RECEIVED.plus_ms(from), RECEIVED.plus_ms(to));
    assert_eq!(between(0, 1), Some((CommitNumber(1), CommitNumber(120))));
    assert_eq!((between(-9, 0), between(1, 9)), (None, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_found_by_its_id() {
    let home = tempfile::tempdir().unwrap();
    let (store, customers) = world(&home.path().join("data")).await;
    fill(&store, customers, 1..=3).await;
    let mut wanted = [0; 16];
    wanted[15] = 2;
    let found = store.find(&wanted).unwrap().unwrap();
    assert_eq!((found.last, found.receipt.as_slice()), (CommitNumber(2), b"receipt 2".as_slice()));
    assert_eq!(store.find(&[9; 16]).unwrap(), None);
}

// covers: P8
#[tokio::test(flavor = "multi_thread")]
async fn a_destroyed_customer_is_unknown_to_everyone_and_in_no_file_and_may_come_again_as_another() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data");
    let (store, customers) = world(&dir).await;
    let key = customers[0];
    register(&store, "acme", "standard").await;
    let salt = store.customer_by_key(key).unwrap().unwrap().salt.expose().to_vec();
    fill(&store, customers, 1..=10).await;
    // What is on disk already is taken away too.
    purge(&store, vec![ALL, Place::Customer(customers[1])]).await.unwrap();
    assert!(!holding(&dir, [salt.as_slice()]).is_empty() && !holding(&dir, [b"acme".as_slice()]).is_empty());
    let gone = store.destroy_customer(key, |_| Ok(Vec::new())).await.unwrap().0.unwrap();
    assert_eq!((gone.participation.customer, gone.revision), (id("acme"), 2));
    assert_eq!(store.destroy_customer(key, |_| Ok(Vec::new())).await.unwrap().0, None);
    assert_eq!((store.customer_key(&id("acme")).unwrap(), store.customers_count()), (None, 1));
    assert!(store.customer_by_key(key).unwrap().is_none());
    assert_eq!(store.list_customers(None, 9).unwrap().len(), 1);
    purge(&store, vec![Place::Customer(key)]).await.unwrap();
    let left = holding(&dir, [salt.as_slice(), b"acme"]);
    assert!(left.is_empty(), "{left:?}");
    store.close().await;
    let store = open(&dir);
    assert_eq!(store.customers_count(), 1);
    let again = register(&store, "acme", "standard").await;
    assert_eq!((again, store.customers_count()), (CustomerKey(3), 2));
    assert_eq!(store.history(&id("acme"), None, 9).unwrap().len(), 1);
    assert!(store.customer_by_key(key).unwrap().is_none());
}

// covers: P8
#[tokio::test(flavor = "multi_thread")]
async fn purging_again_what_is_gone_already_succeeds_also_between_others() {
    let dir = tempfile::tempdir().unwrap();
    let (store, [first, _]) = world(dir.path()).await;
    let middle = register(&store, "initech", "enhanced").await;
    let last = register(&store, "umbrella", "enhanced").await;
    fill(&store, [first, last], 1..=20).await;
    store.close().await;
    let store = open(dir.path());
    store.destroy_customer(middle, |_| Ok(Vec::new())).await.unwrap();
    for _ in 0..3 {
        purge(&store, vec![ALL, Place::Customer(middle)]).await.unwrap();
    }
    // Nor does it matter that there never was anything.
    purge(&store, vec![Place::Customer(CustomerKey(3)), Place::Customer(CustomerKey(99))]).await.unwrap();
    assert!(seal_key(&store, first).is_some() && seal_key(&store, last).is_some());
    assert!(holding(dir.path(), [b"initech".as_slice()]).is_empty());
}
