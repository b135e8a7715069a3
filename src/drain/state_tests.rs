//! The promises of the queue, one by one.

use super::counts::SkipReason;
use super::lease::{Cargo, Dead, DeadReason, Lease, LeaseEnded, Terms};
use super::rows::{Changes, RowFault, Rows};
use super::state::Queue;
use crate::model::{CommitNumber, CustomerKey, UnixMillis};

const TERMS: Terms = Terms { max_attempts: 3, max_outstanding: 4, max_dead: 2 };
const CARGO: Cargo = Cargo { events: 5, customer: CustomerKey(9), revision: 2, policy: 7, plan: [3; 8] };
const T0: UnixMillis = UnixMillis(1_000_000);

const fn commit(number: u64) -> CommitNumber {
    CommitNumber(number)
}

/// Leases a batch and hands it out.
fn hand_out(queue: &mut Queue, number: u64, lasting_ms: i64) -> Option<Lease> {
    let lease = queue.lease(commit(number), CARGO, T0, lasting_ms)?;
    assert_eq!(queue.hand_out(commit(number), lease.nonce, CARGO.plan), Ok(()));
    Some(lease)
}

/// A queue that begins at 1 with the first `n` batches handed out for 10 s; their lease nonces are 100, 101, …
fn leased(n: u64) -> Queue {
    let mut queue = Queue::new(commit(1), TERMS, 100);
    for number in 1..=n {
        assert!(hand_out(&mut queue, number, 10_000).is_some());
    }
    queue
}

fn rows_of(queue: &Queue) -> Rows {
    let mut whole = queue.clone();
    let Changes { outstanding, dead, .. } = whole.deletion();
    whole.dirty.head = true;
    whole.dirty.outstanding = outstanding.iter().map(|(commit, _)| commit.0).collect();
    whole.dirty.dead = dead.iter().map(|(commit, _)| commit.0).collect();
    let Changes { head, outstanding, dead } = whole.take_changes();
    let present = |rows: Vec<(CommitNumber, Option<Vec<u8>>)>| {
        rows.into_iter().filter_map(|(commit, row)| Some((commit, row?))).collect()
    };
    Rows { head: head.unwrap_or_default(), outstanding: present(outstanding), dead: present(dead) }
}

#[test]
fn the_cursor_never_passes_what_was_not_acknowledged() {
    // covers: D4
    let mut queue = leased(4);
    for (number, nonce, cursor) in [(2, 101, 1), (4, 103, 1), (1, 100, 3), (3, 102, 5)] {
        assert_eq!(queue.acknowledge(commit(number), nonce), Ok(()));
        assert_eq!(queue.cursor(), commit(cursor), "after {number}");
        assert!(queue.balance(commit(6), 0).adds_up());
    }
    assert_eq!(queue.counts().acknowledged.batches, 4);
    assert_eq!(queue.counts().acknowledged.events, 20);
}

#[test]
fn what_is_outstanding_is_bounded() {
    // covers: B1
    let mut queue = leased(4);
    assert_eq!(queue.room(), 0);
    assert_eq!(queue.lease(commit(5), CARGO, T0, 10_000), None);
    assert_eq!(queue.acknowledge(commit(3), 102), Ok(()));
    assert!(queue.lease(commit(5), CARGO, T0, 10_000).is_some());
    // What was returned is part of it, and can be leased although there is no room for new ones.
    assert_eq!(queue.extend(commit(1), 100, T0, 0), Ok(()));
    assert_eq!(queue.room(), 0);
    assert_eq!(queue.lease(commit(6), CARGO, T0, 10_000), None);
    assert_eq!(queue.lease(commit(1), CARGO, T0, 10_000).map(|lease| lease.attempts), Some(2));
}

#[test]
fn only_what_comes_next_or_came_back_can_be_leased() {
    let mut queue = leased(2);
    for number in [0, 1, 2, 4, u64::MAX] {
        assert_eq!(queue.lease(commit(number), CARGO, T0, 1), None, "{number}");
        assert!(!queue.skip(commit(number), 1, SkipReason::Filter));
        assert!(!queue.bury(commit(number), T0, DeadReason::Damaged));
    }
    assert_eq!(queue.next(), commit(3));
}

#[test]
fn a_lease_ends_at_its_deadline_and_the_batch_comes_back_oldest_first() {
    let mut queue = leased(3);
    assert_eq!(queue.extend(commit(2), 101, T0, 20_000), Ok(()));
    assert_eq!(queue.first_deadline(), Some(T0.plus_ms(10_000)));
    assert_eq!(queue.expire(T0.plus_ms(9_999)), 0);
    assert_eq!(queue.expire(T0.plus_ms(10_000)), 2);
    assert_eq!(queue.returned(9), [commit(1), commit(3)]);
    assert_eq!(queue.returned(1), [commit(1)]);
    assert_eq!(queue.acknowledge(commit(1), 100), Err(LeaseEnded));
    assert_eq!(queue.extend(commit(3), 102, T0, 5), Err(LeaseEnded));
    assert_eq!(queue.acknowledge(commit(2), 101), Ok(()));
    assert_eq!(queue.acknowledge(commit(2), 101), Err(LeaseEnded), "a second time");
}

#[test]
fn a_clock_that_goes_back_does_not_lengthen_leases() {
    let mut queue = leased(1);
    assert_eq!(queue.expire(T0.plus_ms(-3_600_000)), 1);
    assert_eq!(queue.returned(9), [commit(1)]);
}

#[test]
fn a_batch_becomes_a_dead_letter_after_its_last_attempt() {
    let mut queue = leased(1);
    for attempt in 1..=3 {
        let nonce = 99 + attempt;
        assert_eq!(queue.extend(commit(1), nonce, T0.plus_ms(1), 0), Ok(()), "{attempt}");
        let again = hand_out(&mut queue, 1, 10).map(|lease| lease.attempts);
        assert_eq!(again, (attempt < 3).then_some(u32::try_from(attempt).unwrap_or(0) + 1));
    }
    let dead = Dead { attempts: 3, at: T0.plus_ms(1), reason: DeadReason::Attempts, events: 5 };
    assert_eq!(queue.dead_letters(None, 9), [(commit(1), dead)]);
    assert_eq!(queue.dead_letters(Some(commit(1)), 9), []);
    assert_eq!((queue.cursor(), queue.balance(commit(1), 0).dead), (commit(2), 1));
}

#[test]
fn a_lease_that_was_not_handed_out_costs_no_attempt() {
    let mut queue = leased(2);
    assert_eq!(queue.release(commit(1), 100), Ok(()));
    assert_eq!(queue.lease(commit(1), CARGO, T0, 10).map(|lease| lease.attempts), Some(1));
    assert_eq!(queue.condemn(commit(2), 101, T0), Ok(()));
    let dead = Dead { attempts: 0, at: T0, reason: DeadReason::Damaged, events: 5 };
    assert_eq!(queue.dead_letters(None, 9), [(commit(2), dead)]);
}

#[test]
fn beyond_the_bound_the_oldest_dead_letter_gives_way_and_is_counted() {
    // covers: B1
    let mut queue = Queue::new(commit(1), TERMS, 0);
    for number in 1..=3 {
        assert!(queue.bury(commit(number), T0, DeadReason::Damaged));
    }
    let listed: Vec<_> = queue.dead_letters(None, 9).into_iter().map(|(commit, _)| commit).collect();
    assert_eq!(listed, [commit(2), commit(3)]);
    assert_eq!((queue.counts().expired.batches, queue.counts().buried.batches), (1, 3));
    assert!(queue.balance(commit(3), 0).adds_up());
}

#[test]
fn a_dead_letter_that_can_be_replayed_is_needed_and_a_damaged_one_is_not() {
    let mut queue = Queue::new(commit(1), TERMS, 0);
    assert!(queue.bury(commit(1), T0, DeadReason::Damaged));
    assert!(queue.bury(commit(2), T0, DeadReason::Attempts));
    assert!(queue.skip(commit(3), 1, SkipReason::Filter));
    assert_eq!((queue.cursor(), queue.needed()), (commit(4), commit(2)));
    assert_eq!(queue.replay(None, commit(1)), 2);
    assert_eq!((queue.cursor(), queue.needed()), (commit(1), commit(1)));
}

#[test]
fn a_replay_begins_anew_and_what_is_gone_expires() {
    let mut queue = Queue::new(commit(1), TERMS, 0);
    for number in 1..=2 {
        assert!(queue.bury(commit(number), T0, DeadReason::Damaged));
    }
    assert_eq!(queue.replay(Some(&[commit(2), commit(2), commit(7)]), commit(1)), 1);
    assert_eq!(queue.cursor(), commit(2), "the cursor goes back to what waits");
    assert_eq!(queue.lease(commit(2), CARGO, T0, 10).map(|lease| lease.attempts), Some(1));
    assert_eq!(queue.replay(None, commit(2)), 0);
    assert_eq!((queue.counts().expired.batches, queue.dead_letters(None, 9).len()), (1, 0));
    assert!(queue.balance(commit(2), 0).adds_up());
}

#[test]
fn a_seek_counts_what_it_passes_over_and_what_it_repeats() {
    // (to, oldest) => (cursor, skipped by seek, repeated, dead left)
    for (to, oldest, expected) in [
        (1, 1, (1, 0, 2, 0)), // back: 1 acknowledged and 2 skipped come again; 3 was dead, 4 leased
        (0, 2, (2, 0, 1, 0)), // held at the oldest
        (3, 1, (3, 0, 0, 0)), // the dead letter waits again
        (4, 1, (4, 0, 0, 1)), // to the cursor
        (6, 1, (6, 2, 0, 1)), // forward: over the leased 4 and the new 5
        (99, 1, (8, 4, 0, 1)), // held after the head
    ] {
        let mut queue = leased(1);
        assert_eq!(queue.acknowledge(commit(1), 100), Ok(()));
        assert!(queue.skip(commit(2), 5, SkipReason::Filter));
        assert!(queue.bury(commit(3), T0, DeadReason::Damaged));
        assert!(queue.lease(commit(4), CARGO, T0, 10).is_some());
        let cursor = queue.seek(commit(to), commit(oldest), commit(7));
        let skipped = queue.counts().skipped_for(SkipReason::Seek).batches;
        let is = (cursor.0, skipped, queue.counts().repeated, queue.dead_letters(None, 9).len());
        assert_eq!(is, expected, "seek to {to}");
        assert_eq!(queue.acknowledge(commit(4), 101), Err(LeaseEnded));
        assert!(queue.balance(commit(7), 0).adds_up(), "seek to {to}");
        assert_eq!(queue.cursor(), queue.next());
    }
}

#[test]
fn what_retention_dropped_is_expired_whether_leased_returned_or_new() {
    for (oldest, expired, cursor) in [(1, 0, 1), (2, 1, 2), (3, 2, 4), (4, 2, 4), (5, 3, 5), (9, 7, 9)] {
        let mut queue = leased(3);
        assert_eq!(queue.extend(commit(1), 100, T0, 0), Ok(()));
        assert_eq!(queue.acknowledge(commit(3), 102), Ok(()));
        assert_eq!(queue.drop_below(commit(oldest)), expired, "{oldest}");
        assert_eq!(queue.cursor(), commit(cursor), "{oldest}");
        assert!(queue.balance(commit(12), 0).adds_up());
    }
}

#[test]
fn a_queue_comes_back_from_its_rows_with_leases_and_attempts() {
    let mut queue = leased(3);
    assert_eq!(queue.extend(commit(2), 101, T0, 0), Ok(()));
    assert!(queue.bury(commit(4), T0, DeadReason::Damaged));
    let mut back = Queue::recover(&rows_of(&queue), TERMS, 5_000, commit(9)).expect("its own rows");
    assert_eq!(back.lease_of(commit(1), 100), queue.lease_of(commit(1), 100));
    assert_eq!(back.acknowledge(commit(3), 102), Ok(()));
    let again = back.lease(commit(2), CARGO, T0, 10).map(|lease| (lease.attempts, lease.nonce));
    assert_eq!(again, Some((2, 5_000)));
    assert_eq!(back.dead_letters(None, 9), queue.dead_letters(None, 9));
    assert_eq!(back.next(), commit(5));
}

#[test]
fn what_the_store_lost_is_not_taken_for_finished() {
    for (head, next, expired) in [(2, 3, 2), (0, 1, 3), (3, 4, 1), (4, 5, 0)] {
        let mut queue = leased(4);
        assert_eq!(queue.acknowledge(commit(2), 101), Ok(()));
        let back = Queue::recover(&rows_of(&queue), TERMS, 0, commit(head)).expect("its own rows");
        assert_eq!((back.next(), back.counts().expired.batches), (commit(next), expired), "head {head}");
        assert!(back.balance(commit(head), 0).adds_up(), "head {head}: {:?}", back.balance(commit(head), 0));
    }
}

#[test]
fn rows_that_were_cut_or_come_from_another_version_are_refused() {
    // covers: D5
    let mut queue = leased(1);
    assert!(queue.bury(commit(2), T0, DeadReason::Damaged));
    let good = rows_of(&queue);
    let change = |edit: &dyn Fn(&mut Vec<u8>)| {
        let mut faults = Vec::new();
        for part in 0..3 {
            let mut rows = good.clone();
            match part {
                0 => edit(&mut rows.head),
                1 => rows.outstanding.iter_mut().for_each(|(_, row)| edit(row)),
                _ => rows.dead.iter_mut().for_each(|(_, row)| edit(row)),
            }
            faults.push(Queue::recover(&rows, TERMS, 0, commit(2)).err());
        }
        faults
    };
    assert_eq!(change(&|_| ()), [None; 3]);
    assert_eq!(change(&|row| row.truncate(row.len() - 1)), [Some(RowFault::Damaged); 3]);
    assert_eq!(change(&|row| row.push(0)), [Some(RowFault::Damaged); 3]);
    assert_eq!(change(&Vec::clear), [Some(RowFault::Damaged); 3]);
    assert_eq!(change(&|row| row[0] = 2), [Some(RowFault::Version(2)); 3]);
}

#[test]
fn a_lease_of_what_was_erased_is_revoked_also_after_a_restart() {
    let mut queue = leased(2);
    let commits = [1, 3].map(CommitNumber).into();
    assert_eq!(queue.revoke(&commits), 1);
    let back = Queue::recover(&rows_of(&queue), TERMS, 5_000, commit(9)).expect("its own rows");
    assert_eq!(back.lease_of(commit(1), 100).map(|lease| lease.revoked), Ok(true));
    assert_eq!(back.lease_of(commit(2), 101).map(|lease| lease.revoked), Ok(false));
    let plan = back.lease_of(commit(1), 100).map(|lease| lease.cargo.plan).ok();
    assert!(back.is_leased_unlike(commit(1), None), "nothing is left");
    assert!(!back.is_leased_unlike(commit(1), plan) && back.is_leased_unlike(commit(1), Some([9; 8])));
    assert!(!back.is_leased_unlike(commit(3), None), "nobody has it");
}
