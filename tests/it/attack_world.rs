//! The real collector under attack: honest clients beside the attackers, its memory and its CPU.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use tokio::task::JoinSet;
use usaged::grpc::client::{Channel, ClientTls, Status, connect, connect_with, reason};
use usaged::grpc::proto::ingest::ingest_service_client::IngestServiceClient;

use crate::attack_elsewhere::gives_way;
use crate::attack_frames::Target;
use crate::attack_list::Attack;
use crate::attack_tls;
use crate::fair_neighbour::fresh;
use crate::fault_daemon::{Daemon, Place, until};
use crate::fault_load::set_up;
use crate::grpc_collector::from;
use crate::identity_world;

/// Honest clients: each sends a batch, waits for its receipt, and a little.
const CLIENTS: usize = 3;
const PAUSE: Duration = Duration::from_millis(6);
/// How long the door may take to say what it must, and a batch until it is stored.
const PATIENCE: Duration = Duration::from_secs(10);
/// Each connects anew after so many batches: new connections are served, too.
const BATCHES: usize = 25;
/// What is told of a request whose deadline has passed.
const LATE: &str = "REQUEST_TOO_SLOW";
/// So many of their batches are served in each round.
pub const SERVED: usize = 20;

/// Deadlines that pass within a short attack.
const SHORT: &[&str] = &["grpc.request_deadline=1s", "grpc.answer_deadline=300ms"];

/// What honest clients saw.
#[derive(Debug, Default, Clone)]
pub struct Seen {
    latencies: Vec<Duration>,
    /// What they were told in place of a receipt.
    pub failures: Vec<String>,
}

impl Seen {
    pub fn served(&self) -> usize {
        self.latencies.len()
    }

    /// These and what was seen at another time.
    pub fn and(mut self, other: Self) -> Self {
        self.latencies.extend(other.latencies);
        self.failures.extend(other.failures);
        self
    }

    /// The latency that so many of a hundred stay below.
    pub fn percentile(&self, percent: usize) -> Duration {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
        sorted.get(at).copied().unwrap_or_default()
    }
}

/// What honest clients share with whoever waits for them.
#[derive(Default)]
struct Round {
    stop: AtomicBool,
    served: AtomicUsize,
}

impl Round {
    /// Lets them go on for `long` at the least: until as many batches as there must be were served, and `is_over`. For a
    /// while: on a busy machine that takes longer.
    async fn goes_on(&self, long: Duration, is_over: impl Fn() -> bool) {
        let begun = Instant::now();
        tokio::time::sleep(long).await;
        let is_done = || self.served.load(Ordering::Relaxed) >= SERVED && is_over();
        while !is_done() && begun.elapsed() < long + PATIENCE {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Sends a batch until it is stored, as senders do. The deadlines are short here, and on a busy machine one passes for an
/// honest client, too: that is latency. It is a failure when a batch is not stored at all.
async fn stored(client: &mut IngestServiceClient<Channel>, customer: &str) -> Result<(), Status> {
    let (batch, begun) = (fresh(10), Instant::now());
    loop {
        match client.submit(from(customer, batch.clone())).await {
            Err(status) if reason(&status).as_deref() == Some(LATE) && begun.elapsed() < PATIENCE => {}
            answered => return answered.map(drop),
        }
    }
}

/// Sends as honest clients do until the round is over.
async fn honest(grpc: &str, tls: Option<ClientTls>, round: Arc<Round>) -> Seen {
    let customer = if tls.is_some() { "acme" } else { "honest" };
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (grpc, tls, round) = (grpc.to_owned(), tls.clone(), Arc::clone(&round));
        clients.spawn(async move {
            let mut seen = Seen::default();
            while !round.stop.load(Ordering::Relaxed) {
                // The first batch of a connection has waited for it, too.
                let mut due = Instant::now();
                let connected = match &tls {
                    Some(tls) => connect_with(&grpc, tls).await,
                    None => connect(&grpc).await,
                };
                let mut client = match connected {
                    Ok(channel) => IngestServiceClient::new(channel),
                    Err(error) => {
                        seen.failures.push(error.to_string());
                        continue;
                    }
                };
                for _ in 0..BATCHES {
                    match stored(&mut client, customer).await {
                        Ok(()) => {
                            seen.latencies.push(due.elapsed());
                            round.served.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(status) => seen.failures.push(status.to_string()),
                    }
                    tokio::time::sleep(PAUSE).await;
                    due = Instant::now();
                }
            }
            seen
        });
    }
    let each = clients.join_all().await;
    each.into_iter().fold(Seen::default(), Seen::and)
}

/// What came of one attack.
pub struct Outcome {
    pub calm: Option<Seen>,
    pub seen: Seen,
    /// The most memory that the collector took meanwhile.
    pub peak_bytes: u64,
    /// How much of one processor it had, in hundredths; the load generators have what it leaves.
    pub cpu: u64,
    pub inputs: u64,
    /// Whether the door said what it had to.
    pub holds: bool,
    /// What the door answered, on the wire and in its metrics.
    pub said: Vec<String>,
}

/// A collector to attack.
pub struct World {
    daemon: Daemon,
    place: Place,
    /// With what honest clients come, if the door asks for it.
    tls: Option<ClientTls>,
    /// How attackers begin TLS, where the door asks for it.
    hostile: Option<Arc<ClientConfig>>,
    /// Where it is, as long as it lives.
    _dirs: (Option<tempfile::TempDir>, Option<identity_world::World>),
}

impl World {
    /// Its deadlines are short, so that they pass within a short attack.
    pub async fn open() -> Self {
        Self::open_with(&[&["grpc.handshake_deadline=500ms"], SHORT].concat()).await
    }

    /// With these keys set.
    pub async fn open_with(set: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let args: Vec<&str> = set.iter().flat_map(|set| ["--set", set]).collect();
        let place = Place::new(dir.path()).with(&args);
        let daemon = place.start();
        set_up(&daemon.grpc, &["honest", "hostile"], &[]).await;
        Self { daemon, place, tls: None, hostile: None, _dirs: (Some(dir), None) }
    }

    /// One that is reached over TLS, with certificates; attackers have none.
    pub fn open_tls() -> Self {
        Self::open_tls_to(&[], |world| attack_tls::client(&world.ca.pem, None))
    }

    /// The same, where the attackers have the certificate of a customer.
    pub fn open_tls_to_a_customer() -> Self {
        Self::open_tls_to(SHORT, |world| attack_tls::client(&world.ca.pem, Some(&world.sender("hostile"))))
    }

    fn open_tls_to(set: &[&str], hostile: fn(&identity_world::World) -> Arc<ClientConfig>) -> Self {
        let world = identity_world::World::new();
        let set = [&["grpc.handshake_deadline=1s"], set].concat();
        let args: Vec<&str> = set.iter().flat_map(|set| ["--set", set]).collect();
        let place = world.place().with(&args);
        let daemon = place.start();
        for customer in ["acme", "hostile"] {
            let level = ["--level", "ceip=standard", "--reason", "t"];
            world.done(&daemon.grpc, &[&["participation", "set", customer], &level[..]].concat());
        }
        let (tls, hostile) = (Some(world.with(&world.sender("acme"))), Some(hostile(&world)));
        Self { daemon, place, tls, hostile, _dirs: (None, Some(world)) }
    }

    pub fn grpc(&self) -> &str {
        &self.daemon.grpc
    }

    /// What honest clients see for `long` while nobody attacks.
    pub async fn calm(&self, long: Duration) -> Seen {
        let round = Arc::new(Round::default());
        let clients = honest(self.grpc(), self.tls.clone(), Arc::clone(&round));
        tokio::join!(clients, round.goes_on(long, || true)).0
    }

    /// Attacks for `long` at the least, and until the door has said what it must.
    /// The attackers are at an address of their own, which has the `number`.
    pub async fn under(&self, attack: &Attack, number: u8, long: Duration) -> Outcome {
        let mut target = Target::new(self.grpc(), number);
        target.tls.clone_from(&self.hostile);
        let target = Arc::new(target);
        let (ticks, begun) = (self.cpu_ticks(), Instant::now());
        let before = self.refusals();
        self.forget_peak();
        let threads: Vec<_> = (0..attack.threads)
            .map(|_| {
                let (target, run) = (Arc::clone(&target), attack.run);
                std::thread::spawn(move || {
                    gives_way();
                    while target.goes_on() {
                        if run(&target).is_err() {
                            // The door closed, or is closed to us for now.
                            std::thread::yield_now();
                        }
                    }
                })
            })
            .collect();
        let round = Arc::new(Round::default());
        let clients = honest(self.grpc(), self.tls.clone(), Arc::clone(&round));
        let over = round.goes_on(long, || self.has_said(&target, &before, attack.holds));
        let (seen, ()) = tokio::join!(clients, over);
        let peak_bytes = self.peak_bytes();
        let cpu = self.cpu_since(ticks, begun);
        target.stop.store(true, Ordering::Relaxed);
        tokio::task::block_in_place(|| threads.into_iter().for_each(|thread| thread.join().unwrap()));
        let inputs = target.inputs.load(Ordering::Relaxed);
        let holds = self.has_said(&target, &before, attack.holds);
        Outcome { calm: None, seen, peak_bytes, cpu, inputs, holds, said: self.said(&target, &before) }
    }

    fn has_said(&self, target: &Target, before: &[(String, u64)], what: &str) -> bool {
        self.said(target, before).iter().any(|said| said.contains(what)) || what.is_empty()
    }

    /// What the door said since `before`, most often first.
    fn said(&self, target: &Target, before: &[(String, u64)]) -> Vec<String> {
        let mut said: Vec<(String, u64)> = target.said.lock().unwrap().clone().into_iter().collect();
        for (line, count) in self.refusals() {
            let old = before.iter().find(|(known, _)| *known == line).map_or(0, |(_, count)| *count);
            if count > old {
                said.push((line, count - old));
            }
        }
        said.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        said.into_iter().map(|(what, count)| format!("{count} × {what}")).collect()
    }

    /// The counters of refusals, as the admin port shows them.
    fn refusals(&self) -> Vec<(String, u64)> {
        let page = tokio::task::block_in_place(|| self.daemon.page("/metrics"));
        let refused = ["usaged_connections_refused_total", "usaged_requests_refused_total"];
        let lines = page.lines().filter(|line| refused.iter().any(|name| line.starts_with(name)));
        let labels = lines.filter_map(|line| {
            let (name, count) = line.rsplit_once(' ')?;
            let label = name.split_once('{')?.1.trim_end_matches('}');
            Some((label.to_owned(), count.parse().ok()?))
        });
        labels.collect()
    }

    /// Waits until the collector is as before: no connection of the attackers, and no CPU.
    pub fn recovers(&self) {
        until("the connections of the attackers are gone", || {
            let page = self.daemon.page("/metrics");
            let open = page.lines().find_map(|line| line.strip_prefix("usaged_connections "));
            open.is_some_and(|open| open.trim().parse::<f64>().unwrap() <= 4.0)
        });
        until("the collector is idle again", || {
            let before = self.cpu_ticks();
            std::thread::sleep(Duration::from_millis(100));
            // Less than half of one processor.
            self.cpu_ticks() - before < rustix::param::clock_ticks_per_second() / 20
        });
    }

    /// The most memory since it was forgotten.
    pub fn peak_bytes(&self) -> u64 {
        self.status("VmHWM")
    }

    /// Hundredths of one processor that the collector had since it had used so many `ticks`.
    pub fn cpu_since(&self, ticks: u64, begun: Instant) -> u64 {
        let used = (self.cpu_ticks() - ticks) * 100_000 / rustix::param::clock_ticks_per_second();
        used / u64::try_from(begun.elapsed().as_millis()).unwrap().max(1)
    }

    pub fn cpu_ticks(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.daemon.pid())).unwrap();
        // After the name, which is in parentheses: user and system time are the 12th and 13th field.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }

    /// Has the kernel begin anew with the most memory that the collector took.
    pub fn forget_peak(&self) {
        fs::write(format!("/proc/{}/clear_refs", self.daemon.pid()), "5").unwrap();
    }

    fn status(&self, key: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.daemon.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.trim_matches(|c: char| !c.is_ascii_digit()).parse::<u64>().unwrap() * 1024
    }

    /// Ends it in order; nothing that it accepted is left over.
    pub fn end(self) {
        assert_eq!(self.daemon.end(), 0, "{}", self.place.said());
    }
}
