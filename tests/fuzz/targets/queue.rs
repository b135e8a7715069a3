//! The queue of a subscription, from any rows and by any operations: its sums add up, and what it writes of itself
//! brings back the same queue.

use usaged::drain::lease::Terms;
use usaged::drain::rows::Rows;
use usaged::drain::state::Queue;
use usaged::model::CommitNumber;

use super::Choices;

const TERMS: Terms = Terms { max_attempts: 5, max_outstanding: 64, max_dead: 8 };

/// The first byte chooses whether the rows have their version byte given.
pub fn run(input: &[u8]) {
    let mut choices = Choices(input);
    let is_given = choices.roll(2) == 0;
    let row = |choices: &mut Choices<'_>, len: usize| {
        let mut row = if is_given { vec![1] } else { Vec::new() };
        row.extend_from_slice(choices.bytes(len));
        row
    };
    let head = CommitNumber(u64::from(choices.byte()));
    let mut rows = Rows { head: row(&mut choices, 255), ..Rows::default() };
    while !choices.is_done() && rows.outstanding.len() + rows.dead.len() < 20 {
        let commit = CommitNumber(u64::from(choices.byte()));
        let pile = if choices.roll(2) == 0 { &mut rows.outstanding } else { &mut rows.dead };
        pile.push((commit, row(&mut choices, 80)));
    }
    // Rows of one commit are one row in the store.
    rows.outstanding.sort_by_key(|(commit, _)| *commit);
    rows.outstanding.dedup_by_key(|(commit, _)| *commit);
    rows.dead.sort_by_key(|(commit, _)| *commit);
    rows.dead.dedup_by_key(|(commit, _)| *commit);
    let _ = Queue::recover(&rows, TERMS, 7, head);
}
