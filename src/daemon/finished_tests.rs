//! Whoever calls a method that changes something, and goes away while that is written, leaves nothing half done: what the
//! collector has in memory, what is on the disk and what the ledger is told agree. Of every such method.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::finished_calls::{DEAD, Named, Row, bridge, row};
use super::rooms_tests::{Rooms, START, acme, root};
use crate::amend;
use crate::grpc::proto::{admin as pb, drain as dr};
use crate::grpc::{
    AmendDoor, Behind, Inside, NewToken, Opening, Options, Reload, RootKeyPlace, Services, Tokens, routes,
};
use crate::identity::{IdentityName, Role, TokenId};
use crate::ingest;
use crate::ledger::{Ledger, LedgerKey, Source};
use crate::model::{CustomerId, Purpose, Subscription, SubscriptionName};
use crate::sanitize::RootKey;
use crate::store::step;

/// What happens once at the next reload of the policy.
type AtReload = Arc<Mutex<Option<Box<dyn FnOnce() + Send>>>>;

fn next_root() -> RootKey {
    RootKey::from_hex(&"fedcba9876543210".repeat(4)).unwrap()
}

/// A host with a next root key.
struct Next;

impl RootKeyPlace for Next {
    fn next(&self, _: &str) -> Result<RootKey, String> {
        Ok(next_root())
    }

    fn settle(&self, _: &RootKey) -> Result<(), String> {
        Ok(())
    }
}

/// A collector, and what the requests name.
pub(super) struct World {
    pub(super) rooms: Rooms,
    pub(super) door: Inside,
    at_reload: AtReload,
    reloads: Arc<Mutex<u32>>,
    named: Named,
}

pub(super) async fn open(home: &Path, root: &RootKey) -> World {
    let rooms = Rooms::open_under(home, START, (amend::Options::default(), |_| ()), root).await;
    let (store, clock, options) = (rooms.store.clone(), rooms.clock.clone(), Options::default());
    let tokens = Tokens::open(store.clone(), clock.clone()).unwrap();
    let (at_reload, reloads) = (AtReload::default(), Arc::new(Mutex::new(0)));
    let reload: Reload = {
        let (at, reloads) = (Arc::clone(&at_reload), Arc::clone(&reloads));
        Arc::new(move || {
            let (at, reloads) = (Arc::clone(&at), Arc::clone(&reloads));
            let reload = move || {
                if let Some(happens) = at.lock().unwrap().take() {
                    happens();
                }
                *reloads.lock().unwrap() += 1;
                Ok(("as before".to_owned(), false))
            };
            Box::pin(async { tokio::task::spawn_blocking(reload).await.unwrap() })
        })
    };
    let dir = home.join("data/ledger");
    let source = Source { store: store.id(), forgotten: 0, made: *store.watch_outbox().borrow() };
    let ledger = crate::ledger::Options::new(&dir);
    let ledger = Ledger::open(ledger, LedgerKey::from_seed(&[7; 32]), &source, clock.clone()).unwrap().0;
    let opening = Opening {
        options: &options,
        ingest: &ingest::Options::default(),
        reload,
        reloads: None,
        root_keys: Arc::new(Next),
        ledger_dir: &dir,
        takes_tokens: true,
    };
    let behind = Behind {
        store: store.clone(),
        customers: rooms.customers.clone(),
        policy: rooms.policy.clone(),
        intake: rooms.intake.clone(),
        drain: rooms.drain.clone(),
        amend: rooms.amend.clone(),
        ledger,
        tokens,
        clock,
    };
    // Nothing is counted within one answer.
    let hurried = Options { request_deadline: Duration::ZERO, ..options.clone() };
    let amend = AmendDoor::new(rooms.amend.clone(), behind.tokens.clone(), &hurried);
    let (routes, _health) = routes(Services { amend, ..Services::open(behind, opening) });
    let door = Inside::of(routes);
    let epoch = store.rotation().epoch(START);
    World { rooms, door, at_reload, reloads, named: Named { epoch, ..Named::default() } }
}

/// A collector with something of everything: two customers, batches of which some are leased and some are dead letters, a
/// token, and a bridge.
async fn begin(home: &Path) -> World {
    let rooms = Rooms::open(home).await;
    rooms.participate(acme(), "enhanced").await;
    rooms.participate(CustomerId::new("globex").unwrap(), "enhanced").await;
    rooms.fill_with(1..=2).await;
    rooms.subscribe().await;
    let dead = Subscription {
        name: SubscriptionName::new(DEAD).unwrap(),
        purpose: Purpose::Improve,
        recipient: "tests".to_owned(),
        programs: Vec::new(),
        products: Vec::new(),
        ack_deadline: Duration::from_mins(10),
        max_delivery_attempts: 1,
        created: START,
    };
    let name = dead.name.clone();
    rooms.drain.create(dead, true).await.unwrap();
    let pulled = rooms.drain.pull(&name, 1, u64::MAX, Duration::ZERO, 0).await.unwrap().deliveries;
    let given_back: Vec<String> = pulled.into_iter().map(|delivery| delivery.ack_id).collect();
    rooms.drain.modify_deadline(&name, &given_back, Duration::ZERO).await.unwrap();
    rooms.amend.tick().await.unwrap();
    let leased = rooms.pull().await.into_iter().map(|delivery| delivery.ack_id).collect();
    let (by, name) = ("tests".to_owned(), IdentityName::new("t").unwrap());
    let new = NewToken { name, role: Role::Operator, expires: START.plus_ms(86_400_000), by };
    let tokens = Tokens::open(rooms.store.clone(), rooms.clock.clone()).unwrap();
    let token: TokenId = tokens.issue(new).await.unwrap().0;
    drop(tokens);
    rooms.close().await;

    let mut world = open(home, &root()).await;
    world.named = Named { token: token.to_string(), leased, ..world.named };
    world.rooms.amend.tick().await.unwrap();
    let bridge = bridge(world.named.epoch);
    world.door.call(&path("CreateBridge"), Inside::request(&bridge)).await.unwrap();
    world
}

pub(super) fn path(method: &str) -> String {
    let all = crate::identity::GRANTS.iter().map(|grant| grant.path);
    all.filter(|path| path.rsplit('/').next() == Some(method)).collect()
}

/// All that the collector tells of itself.
async fn seen(world: &World) -> BTreeMap<&'static str, Bytes> {
    let dead =
        dr::ListDeadLettersRequest { subscription: DEAD.to_owned(), ..dr::ListDeadLettersRequest::default() };
    let asks = [
        ("ListSubscriptions", Inside::request(&dr::ListSubscriptionsRequest::default())),
        ("ListDeadLetters", Inside::request(&dead)),
        ("ListParticipations", Inside::request(&pb::ListParticipationsRequest::default())),
        ("ListErasures", Inside::request(&pb::ListErasuresRequest::default())),
        ("ListBridges", Inside::request(&pb::ListBridgesRequest::default())),
        ("ListTokens", Inside::request(&pb::ListTokensRequest::default())),
        ("GetKeyStatus", Inside::request(&pb::GetKeyStatusRequest {})),
    ];
    let mut all = BTreeMap::new();
    // What is due to be purged is so after every start.
    let store = world.rooms.store.clone();
    tokio::task::spawn_blocking(move || store.purge_keys()).await.unwrap().unwrap();
    for (method, request) in asks {
        all.insert(method, world.door.call(&path(method), request).await.unwrap());
    }
    all
}

/// How often the ledger is told of something, by the name of the fact.
fn told(world: &World, fact: &str) -> usize {
    world.rooms.facts().iter().filter(|told| format!("{told:?}").starts_with(fact)).count()
}

/// Calls a method, and goes away while its write waits for the disk, which then goes on.
async fn call_and_go_away(world: &World, method: &str, request: Bytes) {
    let (entered, waits) = oneshot::channel();
    let (go, may_go) = std::sync::mpsc::sync_channel::<()>(1);
    let held = move || {
        let _ = entered.send(());
        // An end of the other side is as good.
        let _ = may_go.recv();
    };
    if method == "ReloadPolicy" {
        *world.at_reload.lock().unwrap() = Some(Box::new(held));
    } else {
        step::meanwhile_in(world.rooms.store.writer_thread().unwrap(), "write", held);
    }
    let path = path(method);
    let call = world.door.call(&path, request);
    tokio::select! {
        biased;
        answered = call => panic!("{method} did not wait for the disk: {answered:?}"),
        waits = waits => waits.unwrap(),
    }
    drop(go);
    world.door.finished().await;
}

/// covers: D1, P6
#[tokio::test]
async fn a_caller_that_goes_away_leaves_memory_disk_and_ledger_in_agreement_whatever_it_called() {
    let methods: BTreeSet<&str> =
        Inside::finished_methods().into_iter().filter_map(|path| path.rsplit('/').next()).collect();
    assert_eq!(methods.len(), 17);
    for method in methods {
        let home = tempfile::tempdir().unwrap();
        let world = begin(home.path()).await;
        let Row { request, told: fact, is_seen } = row(method, &world.named);
        let (before, reloads) = (seen(&world).await, *world.reloads.lock().unwrap());
        let told_before = fact.map_or(0, |fact| told(&world, fact));
        call_and_go_away(&world, method, request.clone()).await;

        if method == "ReloadPolicy" {
            assert_eq!(*world.reloads.lock().unwrap(), reloads + 1);
        } else {
            let after = seen(&world).await;
            assert_eq!(after != before, is_seen, "{method} has come to nothing in memory: {after:?}");
        }
        if let Some(fact) = fact {
            assert_eq!(told(&world, fact), told_before + 1, "{method}");
        }
        if fact == Some("ParticipationChanged") {
            world.rooms.amend.tick().await.unwrap();
            assert_eq!(told(&world, "LevelBound"), 1, "{method}: what is stored does not follow");
        }
        let (memory, facts) = (seen(&world).await, world.rooms.facts());
        let World { rooms, door, .. } = world;
        drop(door);
        rooms.close().await;
        let root = if method == "RotateRootKey" { next_root() } else { root() };
        let again = open(home.path(), &root).await;
        assert_eq!(seen(&again).await, memory, "{method}: the disk says something else");
        assert_eq!(again.rooms.facts(), facts, "{method}");
        // And it is to be had again, or is there already: nothing stands in the way of either.
        let _ = again.door.call(&path(method), request).await;
        let World { rooms, door, .. } = again;
        drop(door);
        rooms.close().await;
    }
}
