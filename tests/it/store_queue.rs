//! The queue of the store: what is acknowledged stays, once, in order, until retention takes it.

use std::time::Duration;

use usaged::model::{CommitNumber, UnixMillis};
use usaged::store::{
    Append, AppendError, Appended, Dedup, Entry, MetaOp, MetaTable, OpenError, Options, ReadLimits, WhenFull,
    inspect,
};

use crate::store_samples::{Bench, START, append, dedup, drain, fill, put, readable, record, seal_key};

const KIB: u64 = 1024;

// covers: D1
#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_there_after_close_crash_and_reopen() {
    let bench = Bench::new();
    let store = bench.open();
    fill(&store, &bench.clock, 1..=20).await;
    let crashed = bench.crashed();
    store.close().await;
    for bench in [bench, crashed] {
        let store = bench.open();
        assert_eq!(readable(&store), (1..=20).collect::<Vec<_>>());
        assert_eq!((store.head(), store.oldest()), (CommitNumber(20), CommitNumber(1)));
        fill(&store, &bench.clock, 21..=25).await;
        assert_eq!(readable(&store), (1..=25).collect::<Vec<_>>());
    }
}

// covers: D2
#[tokio::test(flavor = "multi_thread")]
async fn the_records_of_a_batch_are_stored_together_in_order() {
    let bench = Bench::new();
    let store = bench.open();
    let records = vec![record(1, START), record(2, START), record(3, START)];
    let batch = Append { records, dedup: dedup(1), receipt: Vec::new(), basis: None, collected: Vec::new() };
    assert_eq!(store.append(batch).await, Ok(Appended::Stored { last: CommitNumber(3) }));
    let empty = Append {
        records: Vec::new(),
        dedup: dedup(2),
        receipt: b"nothing kept".to_vec(),
        basis: None,
        collected: Vec::new(),
    };
    assert_eq!(store.append(empty).await, Ok(Appended::Stored { last: CommitNumber(3) }));
    assert_eq!(readable(&store), [1, 2, 3]);
}

// covers: D3
#[tokio::test(flavor = "multi_thread")]
async fn the_same_batch_again_is_stored_once_and_gets_its_receipt_also_after_a_restart() {
    let bench = Bench::new();
    let store = bench.open();
    fill(&store, &bench.clock, 1..=3).await;
    let again = Appended::Duplicate { last: CommitNumber(2), receipt: b"receipt 2".to_vec() };
    assert_eq!(store.append(append(2, START)).await, Ok(again.clone()));
    store.close().await;
    let store = bench.open();
    assert_eq!(store.append(append(2, START)).await, Ok(again));
    let other = Append { dedup: Dedup { digest: [99; 16], ..dedup(2) }, ..append(9, START) };
    assert_eq!(store.append(other).await, Ok(Appended::Conflict));
    assert_eq!(readable(&store), [1, 2, 3]);
}

// covers: D3
#[tokio::test(flavor = "multi_thread")]
async fn of_a_hundred_copies_at_once_one_is_stored() {
    let bench = Bench::new();
    let store = bench.open();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (store, batch) = (store.clone(), append(1, START));
        tasks.spawn(async move { store.append(batch).await.unwrap() });
    }
    let outcomes = tasks.join_all().await;
    let stored = outcomes.iter().filter(|outcome| matches!(outcome, Appended::Stored { .. })).count();
    let copies = outcomes.iter().filter(|outcome| matches!(outcome, Appended::Duplicate { .. })).count();
    assert_eq!((stored, copies), (1, 99));
    assert_eq!(readable(&store), [1]);
}

// covers: D3
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_id_is_remembered_across_rotations_for_the_whole_window() {
    let mut bench = Bench::new();
    bench.options.dedup_window = Duration::from_mins(1);
    let store = bench.open();
    fill(&store, &bench.clock, 1..=1).await;
    for n in 2..=12 {
        bench.clock.advance_ms(5_400);
        fill(&store, &bench.clock, n..=n).await;
        store.maintain().await.unwrap();
        let outcome = store.append(append(1, START)).await.unwrap();
        assert!(matches!(outcome, Appended::Duplicate { .. }), "after {n}: {outcome:?}");
        let found = [1, n].map(|n| store.find(&dedup(n).id).unwrap().map(|found| found.last));
        assert_eq!(found, [1, n].map(|n| Some(CommitNumber(n))));
    }
    assert_eq!(store.find(&dedup(99).id).unwrap(), None);
    store.close().await;
    assert!(inspect(&bench.path).unwrap().dedup.len() >= 3);
    let store = bench.open();
    bench.clock.advance_ms(200_000);
    store.maintain().await.unwrap();
    bench.clock.advance_ms(200_000);
    fill(&store, &bench.clock, 13..=13).await;
    store.maintain().await.unwrap();
    bench.clock.advance_ms(200_000);
    store.maintain().await.unwrap();
    assert_eq!(store.find(&dedup(1).id).unwrap(), None);
    let forgotten = store.append(append(1, START)).await.unwrap();
    assert_eq!(forgotten, Appended::Stored { last: CommitNumber(14) });
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_starts_anywhere_stays_in_its_bounds_and_finds_times() {
    let bench = Bench::new().with_segments_of(64 * KIB);
    let store = bench.open();
    for n in 1..=200 {
        bench.clock.advance_ms(1_000);
        fill(&store, &bench.clock, n..=n).await;
    }
    assert!(store.status().segments > 3, "{:?}", store.status());
    let read = |from, records, bytes| {
        let entries = store.read(CommitNumber(from), ReadLimits { records, bytes }).unwrap();
        entries.iter().map(|entry| entry.commit().0).collect::<Vec<_>>()
    };
    assert_eq!(read(0, 3, u64::MAX), [1, 2, 3]);
    assert_eq!(read(150, 2, u64::MAX), [150, 151]);
    assert_eq!(read(199, 9, u64::MAX), [199, 200]);
    assert_eq!(read(7, 9, 0), [7]);
    assert_eq!(read(201, 9, u64::MAX), [0; 0]);
    for n in [1, 2, 77, 200] {
        let time = START.plus_ms(i64::try_from(n).unwrap() * 1_000);
        assert_eq!(store.seek_time(time).unwrap(), CommitNumber(n), "{n}");
        assert_eq!(store.seek_time(time.plus_ms(-999)).unwrap(), CommitNumber(n), "{n}");
    }
    assert_eq!(store.seek_time(UnixMillis(0)).unwrap(), CommitNumber(1));
    assert_eq!(store.seek_time(START.plus_ms(999_000)).unwrap(), CommitNumber(201));
    let Some(Entry::Record(record)) = store.read_one(CommitNumber(77)).unwrap() else { panic!("no record") };
    assert_eq!((record.commit, record.header.product.as_str()), (CommitNumber(77), "vcenter"));
    assert_eq!(
        record.header.body_len as usize,
        record.open(&seal_key(record.header.received)).unwrap().len()
    );
    assert_eq!(store.read_one(CommitNumber(201)).unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_by_age_drops_whole_segments_and_frees_their_space() {
    let mut bench = Bench::new().with_segments_of(64 * KIB);
    bench.options.retention_age = Duration::from_hours(1);
    let store = bench.open();
    fill(&store, &bench.clock, 1..=300).await;
    store.maintain().await.unwrap();
    let full = store.status();
    bench.clock.advance_ms(3_600_000);
    fill(&store, &bench.clock, 301..=301).await;
    store.maintain().await.unwrap();
    let left = store.status();
    assert!(left.oldest > CommitNumber(200) && left.oldest <= CommitNumber(301), "{left:?}");
    assert!(left.segments <= 2 && left.queued_bytes < full.queued_bytes / 2, "{full:?} {left:?}");
    let entries = drain(&store);
    assert_eq!(entries.first().map(Entry::commit), Some(left.oldest));
    assert_eq!(*store.watch_oldest().borrow(), left.oldest);
    store.close().await;
    let store = bench.open();
    assert_eq!(store.oldest(), left.oldest);
    let on_disk: u64 = bench.files(".sst").iter().map(|path| path.metadata().unwrap().len()).sum();
    assert!(on_disk < full.queued_bytes / 2, "{on_disk} of {}", full.queued_bytes);
}

// covers: D1 D3
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_wrong_for_a_while_drops_no_segment_and_forgets_no_batch_id() {
    const DAYS: i64 = 86_400_000;
    let bench = Bench::new().with_segments_of(64 * KIB);
    let store = bench.open();
    fill(&store, &bench.clock, 1..=100).await;
    bench.clock.advance_ms(9 * 3_600_000);
    store.maintain().await.unwrap();
    fill(&store, &bench.clock, 101..=200).await;
    let ids_are_known = async |when: &str| {
        for n in [1, 100, 101, 200] {
            let again = store.append(append(n, START)).await.unwrap();
            assert!(matches!(again, Appended::Duplicate { .. }), "{n} {when}: {again:?}");
        }
    };
    // Just after a start too: nobody knows yet what the clock is worth.
    for (days, minutes) in [(31, 0), (400, 59), (-400, 10), (31, 59)] {
        bench.clock.set_ahead_ms(days * DAYS);
        store.maintain().await.unwrap();
        bench.clock.advance_ms(minutes * 60_000);
        store.maintain().await.unwrap();
        assert_eq!(readable(&store), (1..=200).collect::<Vec<_>>(), "{days} days, for {minutes} min");
        ids_are_known(&format!("in {days} days")).await;
        bench.clock.set_ahead_ms(-days * DAYS);
        store.maintain().await.unwrap();
        assert_eq!(
            readable(&store),
            (1..=200).collect::<Vec<_>>(),
            "{days} days, for {minutes} min, put right"
        );
        ids_are_known("when it was put right").await;
    }
    // Time that has passed by both clocks drops what is old.
    bench.clock.advance_ms(31 * DAYS);
    store.maintain().await.unwrap();
    fill(&store, &bench.clock, 201..=201).await;
    store.maintain().await.unwrap();
    assert!(store.oldest() > CommitNumber(100), "{:?}", store.oldest());
    let again = store.append(append(1, START)).await.unwrap();
    assert_eq!(again, Appended::Stored { last: CommitNumber(202) });
}

// covers: B2
#[tokio::test(flavor = "multi_thread")]
async fn a_spent_budget_refuses_with_a_hint_while_metadata_is_still_written() {
    let mut bench = Bench::new();
    bench.options.retention_bytes = 64 * KIB;
    bench.options.segment_bytes = 64 * KIB;
    let store = bench.open();
    let mut stored = 0;
    let hint = loop {
        match store.append(append(stored + 1, START)).await {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
    };
    assert!(
        matches!(hint, AppendError::Full { retry_after } if retry_after >= Duration::from_secs(1)),
        "{hint:?}"
    );
    store.write_meta(vec![put(b"ack", b"1")], true).await.unwrap();
    let again = store.append(append(1, START)).await.unwrap();
    assert!(matches!(again, Appended::Duplicate { .. }), "{again:?}");
    assert_eq!(readable(&store), (1..=stored).collect::<Vec<_>>());
}

// covers: B2
#[tokio::test(flavor = "multi_thread")]
async fn too_little_free_space_refuses_early_while_metadata_is_still_written() {
    let mut bench = Bench::new();
    bench.options.reserve_bytes = 1 << 60;
    let store = bench.open();
    let refused = store.append(append(1, START)).await;
    assert!(matches!(refused, Err(AppendError::Full { .. })), "{refused:?}");
    store.write_meta(vec![put(b"ack", b"1")], true).await.unwrap();
    assert_eq!(store.load_meta(MetaTable::Subscriptions).unwrap(), [(b"ack".to_vec(), b"1".to_vec())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spent_budget_drops_the_oldest_segments_by_choice() {
    let mut bench = Bench::new();
    bench.options.retention_bytes = 512 * KIB;
    bench.options.segment_bytes = 64 * KIB;
    bench.options.when_full = WhenFull::DropOldest;
    let store = bench.open();
    fill(&store, &bench.clock, 1..=1_000).await;
    let status = store.status();
    assert!(status.queued_bytes <= 512 * KIB && status.oldest > CommitNumber(1), "{status:?}");
    let kept = readable(&store);
    assert_eq!(kept, (status.oldest.0..=1_000).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_every_subscription_has_drained_gives_way_before_ingest_is_refused() {
    let mut bench = Bench::new();
    bench.options.retention_bytes = 512 * KIB;
    bench.options.segment_bytes = 64 * KIB;
    let store = bench.open();
    let mut n = 0;
    while store.append(append(n + 1, START)).await.is_ok() {
        n += 1;
    }
    store.release(CommitNumber(n));
    fill(&store, &bench.clock, n + 1..=n + 50).await;
    assert!(store.oldest() > CommitNumber(1));
    assert!(store.oldest() <= CommitNumber(n));
}

#[tokio::test(flavor = "multi_thread")]
async fn restarts_do_not_pile_up_segments() {
    let bench = Bench::new().with_segments_of(1024 * KIB);
    for n in 1..=12 {
        let store = bench.open();
        fill(&store, &bench.clock, n..=n).await;
        assert!(store.status().segments == 1, "{:?}", store.status());
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_rows_are_written_in_order_and_kept_apart_by_table() {
    let bench = Bench::new();
    let store = bench.open();
    let lease = |key: &[u8], value: &[u8]| MetaOp::Put {
        table: MetaTable::Leases,
        key: key.to_vec(),
        value: value.to_vec(),
    };
    let gone = MetaOp::Delete { table: MetaTable::Leases, key: b"a".to_vec() };
    store
        .write_meta(vec![lease(b"a", b"1"), lease(b"b", b"1"), gone, lease(b"b", b"2")], false)
        .await
        .unwrap();
    store.write_meta(vec![put(b"s", b"x")], true).await.unwrap();
    store.close().await;
    let store = bench.open();
    assert_eq!(store.load_meta(MetaTable::Leases).unwrap(), [(b"b".to_vec(), b"2".to_vec())]);
    assert_eq!(store.load_meta(MetaTable::Subscriptions).unwrap(), [(b"s".to_vec(), b"x".to_vec())]);
    assert!(store.load_meta(MetaTable::Dead).unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn inspection_shows_a_stopped_store_and_refuses_a_running_one() {
    let bench = Bench::new().with_segments_of(64 * KIB);
    let store = bench.open();
    fill(&store, &bench.clock, 1..=100).await;
    store.write_meta(vec![put(b"s", b"x")], true).await.unwrap();
    let refused = inspect(&bench.path);
    assert!(matches!(refused, Err(OpenError::Locked { .. })), "{refused:?}");
    let segments = store.status().segments;
    store.close().await;
    let seen = inspect(&bench.path).unwrap();
    assert_eq!((seen.format, seen.head, seen.oldest), (1, CommitNumber(100), CommitNumber(1)));
    assert_eq!((seen.witness, seen.segments.len()), (Some(CommitNumber(100)), segments));
    assert_eq!(seen.segments.iter().map(|segment| segment.records).sum::<u64>(), 100);
    assert_eq!((seen.subscriptions, seen.customers, seen.damaged), (1, 0, 0));
    let before = bench.files("").len();
    inspect(&bench.path).unwrap();
    assert_eq!(bench.files("").len(), before, "inspection leaves files behind");
    let nothing = inspect(&bench.path.join("nowhere"));
    assert!(matches!(nothing, Err(OpenError::Absent { .. })), "{nothing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_store_refuses_by_name_and_still_reads() {
    let bench = Bench::new();
    let store = bench.open();
    fill(&store, &bench.clock, 1..=2).await;
    let other = store.clone();
    store.close().await;
    assert_eq!(other.append(append(3, START)).await, Err(AppendError::Closed));
    assert_eq!(readable(&other), [1, 2]);
    assert!(other.fatal().borrow().is_none());
}

#[test]
fn the_defaults_are_those_of_the_design() {
    let options = Options::new(std::path::Path::new("/var/lib/usaged"));
    assert_eq!(options.witness_lag, Duration::from_millis(250));
    assert_eq!(options.when_full, WhenFull::Refuse);
    assert!(!options.accept_data_loss);
}
