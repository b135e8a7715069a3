//! When a policy has been in force for long enough, whatever the clock shows and however often it changes.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use super::*;
use crate::policy::{compile, shipped};

const WITHIN: Duration = ms(200);
/// Longer than any policy has to be in force.
const YEAR: i64 = 365 * 86_400_000;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// The shipped policy with another description for each number: another policy.
fn policy(number: usize) -> Arc<Policy> {
    let mut files = shipped();
    for file in &mut files {
        file.text = file.text.replace("description = \"", &format!("description = \"{number} "));
    }
    Arc::new(compile(&files).unwrap().0)
}

/// The same, with a comment.
fn commented(policy: &Policy, comment: usize) -> Arc<Policy> {
    let mut files = policy.files().to_vec();
    files[0].text = format!("{}# {comment}\n", files[0].text);
    Arc::new(compile(&files).unwrap().0)
}

fn clock() -> Clock {
    Clock::manual(UnixMillis(1_790_000_000_000))
}

fn begin(row: Option<&Row>, policy: &Arc<Policy>, clock: &Clock) -> Settling {
    Settling::begin(row.cloned(), Arc::clone(policy), clock.clone(), WITHIN)
}

fn versions(policies: &[Arc<Policy>]) -> Vec<&str> {
    policies.iter().map(|one| one.version()).collect()
}

// covers: P6
#[test]
fn what_is_stored_follows_a_policy_that_was_in_force_for_half_of_the_time_and_no_other() {
    let (all, clock) = ([0, 1, 2].map(policy), clock());
    let settling = begin(None, &all[0], &clock);
    assert!(settling.before().is_none() && settling.left().is_none(), "where nobody knows, it does");
    assert!(!settling.note(&all[0]) && settling.settle() == Follow::Not);
    assert!(settling.note(&all[1]));
    clock.advance_ms(10);
    assert_eq!((settling.left(), settling.next()), (Some(ms(90)), Some(ms(90))));
    clock.advance_ms(80);
    assert_eq!(settling.settle(), Follow::Not);
    assert!(settling.note(&all[2]), "each begins anew");
    let before = settling.before().unwrap();
    assert_eq!(before.follows.unwrap().version(), all[0].version());
    assert_eq!(versions(&before.recent), [all[1].version(), all[0].version()]);
    assert!(before.older.is_empty() && !before.is_unknown);
    assert_eq!((settling.left(), settling.next()), (Some(ms(100)), Some(ms(10))));
    clock.advance_ms(1);
    assert!(settling.note(&all[0]), "also the one that it follows: there is what came meanwhile");
    assert_eq!(versions(&settling.before().unwrap().recent), [all[2].version(), all[1].version()]);
    clock.advance_ms(99);
    assert_eq!(settling.settle(), Follow::Agreed);
    clock.advance_ms(1);
    assert_eq!((settling.settle(), settling.settle()), (Follow::Whole, Follow::Not));
    assert!(settling.before().is_none());
}

// covers: P6
#[test]
fn a_clock_that_is_set_moves_nothing_ahead_and_keeps_nothing_back() {
    let (all, clock) = ([0, 1].map(policy), clock());
    let settling = begin(None, &all[0], &clock);
    settling.note(&all[1]);
    for by in [YEAR, -YEAR, -YEAR, YEAR] {
        clock.set_ahead_ms(by);
        assert_eq!((settling.settle(), settling.left()), (Follow::Not, Some(ms(100))), "{by}");
    }
    // Taken over while the clock was ahead, which is put right.
    clock.set_ahead_ms(YEAR);
    settling.note(&all[0]);
    let row = settling.unwritten().unwrap();
    settling.written(&row);
    clock.set_ahead_ms(-YEAR);
    clock.advance_ms(60);
    assert!(
        settling.has_moved() && !settling.has_moved(),
        "the row has a time that is to come, and gets the right one"
    );
    let put_right = settling.unwritten().unwrap();
    assert_eq!((row.since.ms_since(put_right.since), put_right.since), (YEAR, clock.now().plus_ms(-60)));
    clock.advance_ms(40);
    assert_eq!(settling.settle(), Follow::Whole);
}

// covers: P6
#[test]
fn a_start_is_no_way_around_the_time_that_a_policy_has_to_be_in_force() {
    let (all, clock) = ([0, 1, 2].map(policy), clock());
    let first = begin(None, &all[0], &clock);
    let row = first.unwritten();
    first.written(row.as_ref().unwrap());
    assert_eq!(first.unwritten(), None);
    assert!(begin(row.as_ref(), &all[0], &clock).before().is_none(), "as it was");
    let other = begin(row.as_ref(), &all[1], &clock);
    let before = other.before().unwrap();
    assert!(before.follows.is_none() && before.is_unknown, "nobody has that policy any more");
    clock.advance_ms(99);
    assert_eq!(other.settle(), Follow::Not);
    let row = other.unwritten();
    clock.set_ahead_ms(-49);
    assert_eq!(begin(row.as_ref(), &all[1], &clock).left(), Some(ms(50)));
    clock.set_ahead_ms(-100);
    assert_eq!(begin(row.as_ref(), &all[1], &clock).left(), Some(ms(100)), "a clock that was set back");
    clock.set_ahead_ms(100);
    assert_eq!(begin(row.as_ref(), &all[2], &clock).left(), Some(ms(100)));
    let back = begin(row.as_ref(), &all[0], &clock).before().unwrap();
    assert_eq!(back.follows.unwrap().version(), all[0].version());
    assert!(back.is_unknown, "something may be stored under the other one");
    assert_eq!(other.settle(), Follow::Not);
    clock.advance_ms(1);
    assert_eq!(other.settle(), Follow::Whole);
    assert!(begin(other.unwritten().as_ref(), &all[1], &clock).before().is_none());
}

// covers: P6
#[test]
fn what_the_clock_says_of_the_time_before_a_start_is_believed_if_it_says_so_a_tenth_later() {
    let (all, clock) = ([0, 1].map(policy), clock());
    let settling = begin(None, &all[0], &clock);
    settling.note(&all[1]);
    let row = settling.unwritten();
    // The next start, on a clock that is ahead for a moment.
    for (put_right_after, left) in [(0, 100), (9, 91)] {
        clock.set_ahead_ms(YEAR);
        let next = begin(row.as_ref(), &all[1], &clock);
        assert_eq!(next.left(), Some(ms(10)));
        clock.advance_ms(put_right_after);
        clock.set_ahead_ms(-YEAR);
        assert_eq!(next.settle(), Follow::Not);
        assert_eq!(next.left(), Some(ms(left)), "{put_right_after}");
    }
    // It was in force for longer than it has to be, and the clock says so still.
    clock.advance_ms(1_000);
    let next = begin(row.as_ref(), &all[1], &clock);
    clock.advance_ms(9);
    assert_eq!(next.settle(), Follow::Not);
    clock.advance_ms(1);
    assert_eq!(next.settle(), Follow::Whole);
}

// covers: P6
#[test]
fn a_comment_does_not_begin_anew_and_leaves_what_has_settled() {
    let (all, clock) = ([0, 1].map(policy), clock());
    let settling = begin(None, &all[0], &clock);
    let other = commented(&all[0], 1);
    assert!(!settling.note(&other) && settling.before().is_none());
    assert_eq!(settling.unwritten().unwrap().follows, other.version());
    settling.note(&all[1]);
    for comment in 0..11 {
        clock.advance_ms(9);
        assert!(!settling.note(&commented(&all[1], comment)));
        assert_eq!(settling.settle(), Follow::Not);
    }
    clock.advance_ms(1);
    assert_eq!(settling.settle(), Follow::Whole);
}

// covers: P6
#[test]
fn of_policies_that_come_and_go_each_protects_what_it_leaves_for_as_long_as_one_has_to_be_in_force() {
    let (all, clock) = ([0, 1, 2].map(policy), clock());
    let settling = begin(None, &all[0], &clock);
    // The second and the third in turn, each for less than it has to be.
    for turn in 0..10 {
        settling.note(&all[1 + turn % 2]);
        for _ in 0..30 {
            clock.advance_ms(1);
            let before = settling.before().unwrap();
            let is_first_of_late = versions(&before.recent).contains(&all[0].version());
            assert_eq!(is_first_of_late, clock.steady() < ms(100));
            assert!(!before.is_unknown && before.follows.is_some());
            let looks = settling.settle();
            assert_eq!(looks == Follow::Agreed, clock.steady().as_millis() % 100 == 0, "{looks:?}");
            if looks == Follow::Agreed {
                settling.hold(CustomerKey(1));
                let next = settling.followed();
                assert_eq!(next, None, "something waits for longer");
                assert_eq!(settling.followed(), None, "and is not looked at twice");
            }
        }
    }
    settling.note(&all[1]);
    clock.advance_ms(60);
    settling.note(&all[2]);
    clock.advance_ms(40);
    assert!(settling.holds(CustomerKey(1)));
    assert_eq!(settling.settle(), Follow::Agreed);
    assert!(!settling.holds(CustomerKey(1)), "it is looked at anew");
    assert_eq!(settling.followed(), Some(ms(360)), "when the last one ended that is not the one in force");
    // More of them than are remembered: nobody knows what they leave.
    for number in 3..=3 + RECENT {
        settling.note(&policy(number));
    }
    assert!(settling.before().unwrap().is_unknown);
    clock.advance_ms(99);
    settling.note(&all[0]);
    assert!(settling.before().unwrap().is_unknown);
    clock.advance_ms(1);
    let before = settling.before().unwrap();
    assert!(!before.is_unknown && before.recent.len() == 1, "{:?}", versions(&before.recent));
}

#[test]
fn who_has_something_that_waits_is_known_until_nothing_does() {
    let clock = clock();
    let settling = begin(None, &policy(0), &clock);
    settling.hold(CustomerKey(1));
    assert!(!settling.holds(CustomerKey(1)), "nothing waits");
    settling.note(&policy(1));
    settling.hold(CustomerKey(1));
    assert!(settling.holds(CustomerKey(1)) && !settling.holds(CustomerKey(2)));
    let many = u64::try_from(HELD).unwrap() + 2;
    (0..many).for_each(|customer| settling.hold(CustomerKey(customer)));
    assert!(settling.holds(CustomerKey(many + 9)), "of many, nobody knows");
    clock.advance_ms(100);
    assert_eq!(settling.settle(), Follow::Whole);
    assert!(!settling.holds(CustomerKey(1)));
}
