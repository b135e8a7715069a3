//! What a restore makes of what waits for the ledger, and of who received what.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::files_tests::holding;
use super::rooms_tests::{Rooms, START, acme};
use crate::amend::{NewErasure, Target};
use crate::backup::{self, Places, Request};
use crate::ledger::{self, Fact, Ledger, LedgerKey, Source};
use crate::model::{CustomerId, CustomerKey, ErasureId, Purpose, Subscription, SubscriptionName};
use crate::observe::Clock;
use crate::policy::{PolicyFile, compile, shipped};
use crate::store::step;

fn globex() -> CustomerId {
    CustomerId::new("globex").unwrap()
}

fn name(text: &str) -> SubscriptionName {
    SubscriptionName::new(text).unwrap()
}

/// A collector with its ledger, and places for a backup.
struct Host {
    home: tempfile::TempDir,
    rooms: Rooms,
    ledger: Ledger,
}

fn open_ledger(rooms: &Rooms, dir: &Path) -> Ledger {
    let made = *rooms.store.watch_outbox().borrow();
    let first = rooms.store.outbox(1).unwrap();
    let forgotten = first.first().map_or(made, |(number, _)| number - 1);
    let source = Source { store: rooms.store.id(), forgotten, made };
    let key = LedgerKey::from_seed(&[7; 32]);
    Ledger::open(ledger::Options::new(dir), key, &source, Clock::manual(START)).unwrap().0
}

impl Host {
    async fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let rooms = Rooms::open(home.path()).await;
        let ledger = open_ledger(&rooms, &home.path().join("data/ledger"));
        rooms.participate(acme(), "standard").await;
        rooms.participate(globex(), "enhanced").await;
        for (subscription, purpose) in [
            ("first", Purpose::Improve),
            ("told", Purpose::Improve),
            ("late", Purpose::Improve),
            ("advice", Purpose::Recommend),
            ("service", Purpose::Deliver),
        ] {
            let subscription = Subscription {
                name: name(subscription),
                purpose,
                recipient: "tests".to_owned(),
                programs: Vec::new(),
                products: Vec::new(),
                ack_deadline: Duration::from_mins(10),
                max_delivery_attempts: 3,
                created: START,
            };
            rooms.drain.create(subscription, true).await.unwrap();
        }
        Self { home, rooms, ledger }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// What waits in the outbox is moved into the ledger, and signed.
    async fn pump(&self) {
        let waiting = self.rooms.store.outbox(100_000).unwrap();
        let Some((last, _)) = waiting.last() else { return };
        self.ledger.append(&waiting).unwrap();
        self.ledger.checkpoint().unwrap();
        self.rooms.store.forget_outbox(*last).await.unwrap();
    }

    fn back_up(&self) {
        let places = Places { dir: self.path("backup"), personal: self.path("personal") };
        let ledger = self.path("data/ledger");
        backup::take(&self.rooms.store, &ledger, &places, START, &mut |_| ()).unwrap();
    }

    async fn pull(&self, subscription: &str, most: usize) {
        let pulled = self.rooms.drain.pull(&name(subscription), most, u64::MAX, Duration::ZERO, 0).await;
        assert!(!pulled.unwrap().deliveries.is_empty());
    }

    /// The process ends and the disk is lost, but for the ledger; the backup is put back beside it.
    async fn lose(self) -> Self {
        let Self { home, rooms, ledger } = self;
        drop(ledger);
        rooms.close().await;
        let lost = home.path().join("lost");
        std::fs::rename(home.path().join("data"), &lost).unwrap();
        let (backup, personal, ledger) =
            (home.path().join("backup"), home.path().join("personal"), lost.join("ledger"));
        let request = Request {
            backup: &backup,
            personal: &personal,
            ledger: Some(&ledger),
            to: &home.path().join("data"),
            leave_out: false,
            accept_damage: false,
            key: None,
            now: START.plus_ms(60_000),
        };
        backup::restore(&request, &mut |_| ()).unwrap();
        let rooms = Rooms::open(home.path()).await;
        let ledger = open_ledger(&rooms, &home.path().join("data/ledger"));
        rooms.amend.erase_again().await.unwrap();
        Self { home, rooms, ledger }
    }

    /// Batches that came in of each customer, and deliveries to each subscription, as the whole ledger tells.
    async fn told(&self) -> (BTreeMap<CustomerKey, u64>, BTreeMap<SubscriptionName, u64>) {
        self.rooms.store.tell_collected().await.unwrap();
        self.rooms.drain.tell().await.unwrap();
        self.pump().await;
        let (mut came, mut left) = (BTreeMap::new(), BTreeMap::new());
        ledger::visit(&self.path("data/ledger"), &mut |leaf| {
            if let Some(Fact::Collected { customer, batches, .. }) = leaf.fact() {
                *came.entry(*customer).or_default() += batches;
            } else if let Some(Fact::Pulled { subscription, deliveries, .. }) = leaf.fact() {
                *left.entry(subscription.clone()).or_default() += deliveries;
            }
            true
        })
        .unwrap();
        (came, left)
    }

    fn key(&self, id: &CustomerId) -> CustomerKey {
        self.rooms.customers.get(id).unwrap().unwrap().key
    }
}

/// What the ledger was told when the data was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// Of nothing since the backup but of other things.
    Nothing,
    /// Of all until a while before the loss.
    Some,
}

// covers: D1
#[tokio::test(flavor = "multi_thread")]
async fn after_a_restore_the_ledger_is_told_of_each_batch_once() {
    for before in [Told::Nothing, Told::Some] {
        for after in [Told::Nothing, Told::Some] {
            let host = Host::new().await;
            let (acme, globex) = (host.key(&acme()), host.key(&globex()));
            host.pump().await;
            host.rooms.fill_with(1..=3).await;
            host.pull("first", 2).await;
            if before == Told::Some {
                // On the ledger's way, but not there yet when the backup is made. The clock stands still: what is
                // summed up next began at the same moment.
                host.rooms.store.tell_collected().await.unwrap();
                host.rooms.drain.tell().await.unwrap();
            }
            host.rooms.fill_with(4..=5).await;
            host.pull("first", 2).await;
            host.back_up();
            host.rooms.fill_with(6..=6).await;
            host.pull("first", 2).await;
            if after == Told::Some {
                host.rooms.store.tell_collected().await.unwrap();
                host.rooms.drain.tell().await.unwrap();
            }
            // Something that the ledger is told in any case: it is behind the backup.
            host.rooms.participate(CustomerId::new("initech").unwrap(), "standard").await;
            host.pump().await;
            host.rooms.fill_with(7..=7).await;

            let host = host.lose().await;
            host.rooms.fill_with(8..=8).await;
            let (came, left) = host.told().await;
            // What came in after the backup is lost, and told of if it was told before that.
            let (batches, deliveries) = if after == Told::Some { (7, 6) } else { (6, 4) };
            let of = format!("{before:?} before the backup, {after:?} after it");
            assert_eq!(came, BTreeMap::from([(acme, batches), (globex, batches)]), "{of}");
            assert_eq!(left, BTreeMap::from([(name("first"), deliveries)]), "{of}");
            host.rooms.close().await;
        }
    }
}

/// Which subscriptions are told of an erasure of an installation of the customer, each with how it names the customer.
async fn notified(host: &Host, customer: CustomerId, number: u64) -> Vec<(&'static str, Vec<String>)> {
    let id = ErasureId::parse(&format!("0198c0de-0000-7000-8000-{number:012x}")).unwrap();
    let target = Target::Instance("instance-1".to_owned().into());
    let rooms = &host.rooms;
    let (reference, by) = (String::new(), String::new());
    rooms.amend.erase(NewErasure { id, customer, target, reference, by }).await.unwrap();
    rooms.amend.tick().await.unwrap();
    let mut told = Vec::new();
    for subscription in ["first", "told", "late", "advice", "service"] {
        let notices = rooms.drain.pull(&name(subscription), 0, 0, Duration::ZERO, 0).await.unwrap().notices;
        let notices = notices.into_iter().filter(|one| one.notice.erasure == id);
        told.extend(notices.map(|one| (subscription, one.notice.customers.clone())));
    }
    let counts = rooms.amend.erasure(id).await.unwrap().erasure.counts;
    assert_eq!(usize::try_from(counts.notified).unwrap(), told.len());
    told
}

/// Of whom each of these is told by a pseudonym, and who by the id, too.
fn told_who(told: &[(&'static str, Vec<String>)]) -> (Vec<&'static str>, Vec<&'static str>) {
    assert!(told.iter().all(|(_, names)| !names.is_empty()), "{told:?}");
    let by = |is_id: bool| {
        let has = move |name: &String| name.starts_with("p1-customer_id-") != is_id;
        told.iter().filter(|(_, names)| names.iter().any(has)).map(|(name, _)| *name).collect()
    };
    (by(false), by(true))
}

/// A host of which `first` received data before the backup, `told` after it, and `late` so late that no ledger was
/// told; put back after all of it was lost.
async fn put_back() -> Host {
    let host = Host::new().await;
    host.rooms.fill_with(1..=4).await;
    host.pull("first", 100).await;
    let told = notified(&host, acme(), 1).await;
    assert_eq!(told_who(&told), (vec!["first"], vec![]), "as long as it is known");
    host.back_up();
    host.pull("told", 100).await;
    host.rooms.drain.tell().await.unwrap();
    host.pump().await;
    // Of this one the ledger is not told any more.
    host.pull("late", 100).await;
    host.lose().await
}

// covers: P7 P8
#[tokio::test(flavor = "multi_thread")]
async fn after_a_restore_an_erasure_tells_everybody_who_can_have_received_the_data_and_nobody_else() {
    let host = put_back().await;
    // At this level improving is all it allows, and it names the customer by a pseudonym.
    let told = notified(&host, acme(), 2).await;
    assert_eq!(told_who(&told), (vec!["first", "told", "late"], vec![]));
    // At this one by its id; whoever had a batch of which it is not known is told that form.
    let told = notified(&host, globex(), 3).await;
    let (_, by_id) = told_who(&told);
    assert_eq!(by_id, ["first", "told", "late", "advice"]);
    // Nobody can have received anything of somebody who came later.
    let initech = CustomerId::new("initech").unwrap();
    host.rooms.participate(initech.clone(), "enhanced").await;
    assert_eq!(notified(&host, initech, 4).await, Vec::new());
    host.rooms.close().await;
}

// covers: P8
#[tokio::test(flavor = "multi_thread")]
async fn nor_does_a_policy_that_is_narrower_by_then_take_anything_from_that() {
    let host = put_back().await;
    let put = |edit: fn(&mut PolicyFile)| {
        let mut files = shipped();
        files.iter_mut().for_each(edit);
        files.retain(|file| !file.text.is_empty());
        host.rooms.policy.swap(Arc::new(compile(&files).unwrap().0));
    };
    // Nothing of the program is for improving any more; that some of it left for that, the ledger knows.
    put(|file| {
        let purposes = ["[\"improve\"]", "[\"improve\", \"recommend\"]"];
        for purposes in purposes.map(|purposes| format!("purposes = {purposes}")) {
            file.text = file.text.replace(&purposes, "purposes = [\"recommend\"]");
        }
    });
    let told = notified(&host, acme(), 2).await;
    assert_eq!(told_who(&told), (vec!["first", "told", "late", "advice"], vec![]));
    // There is no such program any more: what it allowed, and how it named whom, nobody knows.
    put(|file| {
        file.text = file.text.replace("program = \"ceip\"", "program = \"operational\"");
        if file.path.ends_with("ceip.toml") {
            file.text.clear();
        }
    });
    let told = notified(&host, acme(), 3).await;
    let all = vec!["first", "told", "late", "advice", "service"];
    assert_eq!(told_who(&told), (all.clone(), all));
    host.rooms.close().await;
}

// covers: P8
#[tokio::test]
async fn what_a_backup_was_made_of_while_it_was_being_erased_is_in_no_file_after_it_was_put_back() {
    let host = Host::new().await;
    host.rooms.fill_with(1..=4).await;
    let old = host.rooms.sealed(&acme()).remove(&1).unwrap();
    // In a table file: what waits in the log alone is gone when it is written over.
    let store = host.rooms.store.clone();
    tokio::task::spawn_blocking(move || store.purge(&[], &mut |_| {})).await.unwrap().unwrap();
    let (store, ledger) = (host.rooms.store.clone(), host.path("data/ledger"));
    let places = Places { dir: host.path("backup"), personal: host.path("older") };
    // It is rewritten, and not off the disk.
    step::meanwhile("erase: rewritten", move || {
        let take = move || backup::take(&store, &ledger, &places, START, &mut |_| ()).map(drop);
        std::thread::spawn(take).join().unwrap().unwrap();
    });
    let id = ErasureId::parse("0198c0de-0000-7000-8000-000000000009").unwrap();
    let target = Target::Instance("instance-1".to_owned().into());
    let (reference, by) = (String::new(), String::new());
    let new = NewErasure { id, customer: acme(), target, reference, by };
    host.rooms.amend.erase(new).await.unwrap();
    host.rooms.amend.tick().await.unwrap();
    let (store, newer) = (host.rooms.store.clone(), host.path("personal"));
    let made = tokio::task::spawn_blocking(move || backup::personal(&store, &newer).map(drop));
    made.await.unwrap().unwrap();

    let host = host.lose().await;
    let pieces = || old.iter().map(Vec::as_slice);
    assert!(!holding(&host.path("backup"), pieces()).is_empty(), "it was not purged when that was made");
    assert_eq!(holding(&host.path("data"), pieces()), Vec::<PathBuf>::new());
    host.rooms.close().await;
}
