//! Which writes are synced: a batch that leaves waits until it is on disk who receives it, whoever noted that.

use std::path::Path;
use std::time::Duration;

use super::books::Books;
use super::drainer::Drainer;
use super::notices::Notices;
use super::programs::Forms;
use super::state::Queue;
use super::totals::Totals;
use crate::model::{
    CommitNumber, CustomerKey, ProgramName, Purpose, Subscription, SubscriptionName, UnixMillis,
};
use crate::observe::Clock;
use crate::sanitize::RootKey;
use crate::store::{self, Store};

const NOW: UnixMillis = UnixMillis(1_790_000_000_000);

/// How many groups the witness says were synced.
fn synced_groups(dir: &Path) -> u64 {
    let witness = std::fs::read(dir.join("witness")).unwrap();
    // They stand before the checksum at the end of each of its two slots.
    let slot = |at: usize| {
        witness.get(at + 58..at + 66).map_or(0, |number| u64::from_be_bytes(number.try_into().unwrap()))
    };
    slot(0).max(slot(4_096))
}

/// The synced groups of a store in which two pulls delivered something of one customer, where the second of them came
/// to writing first. Each took note of the program `marks` says.
async fn of_two_pulls(marks: [Option<&str>; 2]) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let root = RootKey::from_hex(&"0123456789abcdef".repeat(4)).unwrap();
    let store = Store::open(store::Options::new(dir.path()), &root, Clock::manual(NOW)).unwrap();
    let subscription = Subscription {
        name: SubscriptionName::new("jobs").unwrap(),
        purpose: Purpose::Improve,
        recipient: "tests".to_owned(),
        programs: Vec::new(),
        products: Vec::new(),
        ack_deadline: Duration::from_mins(1),
        max_delivery_attempts: 3,
        created: NOW,
    };
    let queue = Queue::new(CommitNumber(1), Drainer::terms(&subscription, &super::Options::default()), 1);
    let books = Books::new(9, queue, Notices::new(8), Totals::default());
    let drainer = Drainer::new(subscription, 9, books);
    let pull = |program: Option<&str>| {
        let mark = |books: &mut Books| {
            if let Some(program) = program {
                let program = ProgramName::new(program).unwrap();
                books.mark((CustomerKey(1), CommitNumber(1)), (&program, Forms::UNKNOWN));
            }
        };
        drainer.change_books(mark).unwrap().1
    };
    let [first, second] = marks.map(pull);
    drainer.write(&store, second, false).await.unwrap();
    drainer.write(&store, first, false).await.unwrap();
    drop(drainer);
    store.close().await;
    synced_groups(dir.path())
}

// covers: D1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_pull_delivers_waits_for_the_mark_that_another_has_made_and_not_written() {
    assert_eq!(of_two_pulls([None, None]).await, 0, "who received what is known already");
    for marks in
        [[Some("ceip"), None], [Some("ceip"), Some("ceip")], [None, Some("ceip")], [Some("a"), Some("b")]]
    {
        assert_eq!(of_two_pulls(marks).await, 1, "{marks:?}: once for both");
    }
}
