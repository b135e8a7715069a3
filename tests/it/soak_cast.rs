//! Who takes part in the soak: senders that retry, customers that change their minds and have things erased, drainers
//! that acknowledge, give back and forget, and an operator that reloads policies and changes the root key. All of them
//! go on over every death of the collector.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use usaged::grpc::client::{Channel, Code, ProtoDuration, Status, Timestamp};
use usaged::grpc::proto::admin::admin_service_client::AdminServiceClient;
use usaged::grpc::proto::admin::erase_request::Scope as Wanted;
use usaged::grpc::proto::admin::erasure_service_client::ErasureServiceClient;
use usaged::grpc::proto::admin::key_service_client::KeyServiceClient;
use usaged::grpc::proto::admin::{
    EraseRequest, OriginalIdentifier, ReloadPolicyRequest, RotateRootKeyRequest, TimeRange,
};
use usaged::grpc::proto::drain::{AcknowledgeRequest, ModifyAckDeadlineRequest};
use usaged::grpc::proto::ingest::ingest_service_client::IngestServiceClient;

use crate::fault_daemon::SOON;
use crate::fault_load::{Address, connected, drain_client, must_retry, pull};
use crate::grpc_collector::{from, participation, set};
use crate::soak_oracle::{Oracle, Scope, now_ms};
use crate::soak_world::{HOSTS, INSTANCES, Level, batch, host, instance, policy_files};

/// A batch of one sender takes at least so long: a soak is long, and what it stores must fit on a disk.
const PACE: Duration = Duration::from_millis(25);

/// One in so many steps of a place is an erasure, whose bytes take seconds to go; the others change a level.
const ERASE_EVERY: usize = 24;

/// What all of them share.
#[derive(Clone)]
pub struct Stage {
    pub oracle: Arc<Oracle>,
    pub address: Address,
    pub stop: watch::Receiver<bool>,
    /// For each place, the customer that is in it now.
    pub places: Arc<Vec<AtomicUsize>>,
    pub done: Arc<Deeds>,
}

/// What the operator did.
#[derive(Debug, Default)]
pub struct Deeds {
    pub reloads: AtomicU64,
    pub root_keys: AtomicU64,
    pub expiries: AtomicU64,
    pub given_back: AtomicU64,
}

impl Stage {
    fn is_over(&self) -> bool {
        *self.stop.borrow()
    }

    /// Asks until the collector answers, over its deaths.
    async fn ask<T, F>(&mut self, mut call: impl FnMut(Channel) -> F) -> Result<T, Status>
    where
        F: Future<Output = Result<T, Status>>,
    {
        loop {
            let channel = connected(&mut self.address).await;
            match timeout(SOON, call(channel)).await.expect("every request is answered or broken off") {
                Ok(answer) => return Ok(answer),
                Err(status) if is_final(&status) => return Err(status),
                Err(_) => sleep(Duration::from_millis(20)).await,
            }
        }
    }
}

fn is_final(status: &Status) -> bool {
    !matches!(
        status.code(),
        Code::Unavailable
            | Code::ResourceExhausted
            | Code::Cancelled
            | Code::Unknown
            | Code::Internal
            | Code::Aborted
    )
}

/// Sends for whichever customer is in a place, one batch at a time, and never gives one up.
pub async fn send(mut stage: Stage, place: usize) {
    let mut client = IngestServiceClient::new(connected(&mut stage.address).await);
    while !stage.is_over() {
        let customer = stage.places[place].load(Ordering::SeqCst);
        let (number, created) = stage.oracle.send(customer);
        let before = stage.oracle.highest();
        loop {
            let request = from(&stage.oracle.customers[customer], batch(number, created, |_| false));
            let answered = timeout(SOON, client.submit(request)).await;
            match answered.expect("every request is answered or broken off") {
                Ok(receipt) => {
                    stage.oracle.answered(number, receipt.get_ref(), before);
                    break;
                }
                Err(status) => sleep(must_retry(&status).min(Duration::from_millis(300))).await,
            }
            client = IngestServiceClient::new(connected(&mut stage.address).await);
        }
        sleep(PACE).await;
    }
}

/// What the customers of one place choose and have erased, one thing after another.
pub async fn live(mut stage: Stage, place: usize, seed: u64, next: Arc<AtomicUsize>) {
    let mut random = StdRng::seed_from_u64(seed);
    for step in 0_usize.. {
        if stage.is_over() {
            break;
        }
        let customer = stage.places[place].load(Ordering::SeqCst);
        if step % ERASE_EVERY == place * 5 {
            something_is_erased(&mut stage, place, step / ERASE_EVERY + place, &mut random, &next).await;
        } else {
            // Whoever stops leaves nothing behind, so that comes seldom; and never in the first place, so that what was
            // stored in the first minute is still owed in the last.
            let level = match random.random_range(0..16) {
                0 if place > 0 => Level::None,
                n => Level::ALL[1 + n % 3],
            };
            choose(&mut stage, customer, level).await;
        }
        sleep(Duration::from_millis(random.random_range(100..2_500))).await;
    }
    // In the end everybody takes part, so that there is something to be there.
    let customer = stage.places[place].load(Ordering::SeqCst);
    choose(&mut stage, customer, Level::Enhanced).await;
}

async fn something_is_erased(
    stage: &mut Stage,
    place: usize,
    turn: usize,
    random: &mut StdRng,
    next: &AtomicUsize,
) {
    let customer = stage.places[place].load(Ordering::SeqCst);
    match turn % 5 {
        0 | 3 => erase(stage, customer, Scope::Host(random.random_range(0..HOSTS))).await,
        1 => {
            let until = now_ms() - random.random_range(200..5_000_i64);
            erase(stage, customer, Scope::Times(until - random.random_range(1..400_i64), until)).await;
        }
        2 => erase(stage, customer, Scope::Instance(random.random_range(0..INSTANCES))).await,
        _ if place == 0 => erase(stage, customer, Scope::Host(random.random_range(0..HOSTS))).await,
        _ => {
            let newcomer = next.fetch_add(1, Ordering::SeqCst);
            if newcomer < stage.oracle.customers.len() {
                choose(stage, newcomer, Level::Enhanced).await;
                stage.places[place].store(newcomer, Ordering::SeqCst);
                erase(stage, customer, Scope::Everything).await;
            }
        }
    }
}

pub async fn choose(stage: &mut Stage, customer: usize, level: Level) {
    let name = stage.oracle.customers[customer].clone();
    stage.oracle.chooses(customer, level);
    let request = || {
        let mut wanted = participation(&name, level.word());
        level.region().clone_into(&mut wanted.region);
        set(wanted)
    };
    let answer = stage.ask(|channel| {
        let request = request();
        async move { AdminServiceClient::new(channel).set_participation(request).await }
    });
    answer.await.unwrap_or_else(|status| panic!("a level of {name}: {status:?}"));
    stage.oracle.chose(customer);
}

async fn erase(stage: &mut Stage, customer: usize, scope: Scope) {
    let time = |ms: i64| Timestamp {
        seconds: ms.div_euclid(1000),
        nanos: i32::try_from(ms.rem_euclid(1000)).unwrap() * 1_000_000,
    };
    let wanted = match scope {
        Scope::Everything => Wanted::WholeCustomer(true),
        Scope::Instance(n) => Wanted::Instance(instance(n)),
        Scope::Host(n) => {
            Wanted::Identifier(OriginalIdentifier { class: "host_name".to_owned(), value: host(n) })
        }
        Scope::Times(from, until) => {
            Wanted::Times(TimeRange { from: Some(time(from)), until: Some(time(until)) })
        }
    };
    let request = EraseRequest {
        erasure_id: uuid::Uuid::new_v4().to_string(),
        customer: stage.oracle.customers[customer].clone(),
        scope: Some(wanted),
        reference: "soak".to_owned(),
        ..EraseRequest::default()
    };
    stage.oracle.erases(customer, scope);
    let answer = stage.ask(|channel| {
        let request = request.clone();
        async move { ErasureServiceClient::new(channel).erase(request).await }
    });
    answer.await.unwrap_or_else(|status| panic!("an erasure of {scope:?}: {status:?}"));
    stage.oracle.erased(customer);
}

/// Drains: acknowledges most, gives some back, and lets the leases of some run out.
pub async fn drain(mut stage: Stage, name: &'static str, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    while !stage.is_over() {
        let mut client = drain_client(connected(&mut stage.address).await);
        while !stage.is_over() {
            let asked = stage.oracle.tick();
            let Ok(batches) = pull(&mut client, name, Duration::from_millis(200)).await else { break };
            let (mut done, mut back) = (Vec::new(), Vec::new());
            for delivery in batches {
                stage.oracle.delivered(name, &delivery, asked);
                match random.random_range(0..16) {
                    0 => back.push(delivery.ack_id),
                    1 => drop(stage.done.expiries.fetch_add(1, Ordering::Relaxed)),
                    _ => done.push((delivery.ack_id, delivery.commit_number)),
                }
            }
            if !back.is_empty() {
                stage.done.given_back.fetch_add(u64::try_from(back.len()).unwrap(), Ordering::Relaxed);
                let nack = ModifyAckDeadlineRequest {
                    subscription: name.to_owned(),
                    ack_ids: back,
                    ack_deadline: Some(ProtoDuration::default()),
                };
                if client.modify_ack_deadline(nack).await.is_err() {
                    break;
                }
            }
            let ack_ids = done.iter().map(|(id, _)| id.clone()).collect();
            let request = AcknowledgeRequest { subscription: name.to_owned(), ack_ids };
            if done.is_empty() {
                continue;
            }
            let Ok(answer) = client.acknowledge(request).await else { break };
            let failed = answer.into_inner().failures;
            done.retain(|(id, _)| failed.iter().all(|failure| failure.ack_id != *id));
            let commits: Vec<u64> = done.into_iter().map(|(_, commit)| commit).collect();
            stage.oracle.settle(name, &commits, u64::try_from(failed.len()).unwrap());
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// Writes a policy in one piece: a collector that starts at this moment reads the old one or the new one.
pub fn put_policy(dir: &Path, turn: u64) {
    for file in policy_files(turn) {
        let path = dir.join(&file.path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        put(&path, &file.text, dir, 0o644);
    }
}

fn put(path: &Path, text: &str, outside: &Path, mode: u32) {
    let new = outside.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(mode)).unwrap();
    std::fs::rename(&new, path).unwrap();
}

/// Reloads the policy and changes the root key, in turn.
pub async fn operate(mut stage: Stage, policy: PathBuf, data: PathBuf, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut turn = 0;
    while !stage.is_over() {
        turn += 1;
        if turn % 3 == 0 {
            let next = data.with_extension("key.next");
            let key: String =
                (0..64).map(|_| char::from(b"0123456789abcdef"[random.random_range(0..16)])).collect();
            put(&next, &key, &data.with_extension("operator"), 0o600);
            while next.exists() {
                let answer = stage.ask(|channel| {
                    let request = RotateRootKeyRequest {
                        new_key_file: String::new(),
                        changed_by: "ann".into(),
                        change_reason: "soak".into(),
                    };
                    async move { KeyServiceClient::new(channel).rotate_root_key(request).await }
                });
                // A start after a death in the middle has put it in its place.
                if let Err(status) = answer.await {
                    assert!(!next.exists(), "the root key cannot be changed: {status:?}");
                }
            }
            stage.done.root_keys.fetch_add(1, Ordering::Relaxed);
        } else {
            stage.oracle.world.may_have(turn);
            put_policy(&policy, turn);
            let answer = stage.ask(|channel| async move {
                AdminServiceClient::new(channel).reload_policy(ReloadPolicyRequest {}).await
            });
            answer.await.unwrap_or_else(|status| panic!("a policy: {status:?}"));
            stage.done.reloads.fetch_add(1, Ordering::Relaxed);
        }
        sleep(Duration::from_millis(random.random_range(500..4_000))).await;
    }
}

/// Everybody, until told to stop.
pub struct Cast(JoinSet<()>);

impl Cast {
    pub fn new() -> Self {
        Self(JoinSet::new())
    }

    pub fn enters(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(task);
    }

    /// Fails if somebody has.
    pub fn look(&mut self) {
        if let Some(ended) = self.0.try_join_next() {
            ended.unwrap();
            panic!("somebody left before the end");
        }
    }

    pub async fn leaves(&mut self) {
        while let Some(ended) = timeout(2 * SOON, self.0.join_next()).await.expect("somebody does not stop") {
            ended.unwrap();
        }
    }
}
