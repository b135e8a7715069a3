//! Every attack of the list on the real collector: honest clients are served, memory stays within its
//! bound, and afterwards everything is as before. `make attack` runs each for longer, measures the
//! latency of honest clients beside a calm time, and prints a table.

use std::sync::Arc;
use std::time::{Duration, Instant};

use prost::Message as _;
use tokio::task::JoinSet;
use usaged::grpc::client::connect;
use usaged::grpc::proto::ingest::ingest_service_client::IngestServiceClient;

use crate::attack_elsewhere::{gives_way, heavy};
use crate::attack_line::Line;
use crate::attack_list::{Attack, CONNECTIONS, REQUESTS};
use crate::attack_tls;
use crate::attack_world::{Outcome, SERVED, Seen, World};
use crate::fair_neighbour::fresh;
use crate::grpc_collector::from;

/// The most memory that the collector may take, whatever is done to it.
const BOUND: u64 = 256 << 20;

/// What did not hold under an attack.
fn broken(name: &str, outcome: &Outcome) -> Vec<String> {
    let Outcome { seen, peak_bytes, said, holds, .. } = outcome;
    let mut broken = Vec::new();
    if let Some(first) = seen.failures.first() {
        broken.push(format!("{name}: {} times honest clients were told: {first}", seen.failures.len()));
    }
    if seen.served() < SERVED {
        broken.push(format!("{name}: {} batches of honest clients were served", seen.served()));
    }
    if *peak_bytes > BOUND {
        broken.push(format!("{name}: {} MiB of memory", peak_bytes >> 20));
    }
    if !holds {
        broken.push(format!("{name}: the door said {said:?}"));
    }
    broken
}

fn ratio(seen: &Seen, calm: &Seen, percent: usize) -> f64 {
    seen.percentile(percent).as_secs_f64() / calm.percentile(percent).as_secs_f64()
}

fn print(name: &str, outcome: &Outcome) {
    let Some(calm) = &outcome.calm else { return };
    let (p50, p99) = (ratio(&outcome.seen, calm, 50), ratio(&outcome.seen, calm, 99));
    let said: Vec<&str> = outcome.said.iter().take(3).map(String::as_str).collect();
    println!(
        "| {name} | {} | {p50:.2} | {p99:.2} | {:.2} ms → {:.2} ms | {} MiB | {} % | {} |",
        outcome.inputs,
        calm.percentile(99).as_secs_f64() * 1e3,
        outcome.seen.percentile(99).as_secs_f64() * 1e3,
        outcome.peak_bytes >> 20,
        outcome.cpu,
        said.join("; ")
    );
}

/// The only attack to run, from the environment.
#[expect(clippy::disallowed_methods, reason = "a test has no command line of its own")]
fn chosen() -> Option<String> {
    std::env::var("USAGED_ATTACK_ONLY").ok()
}

/// Runs the attacks of a list one after the other; `over` goes before their names.
async fn run(world: World, over: &str, attacks: impl IntoIterator<Item = &Attack>) {
    let long = heavy().unwrap_or(Duration::from_millis(700));
    let only = chosen();
    let mut wrong = Vec::new();
    if heavy().is_some() {
        println!(
            "| attack | inputs | p50, ratio | p99 with connecting, ratio | p99, calm → attacked | peak memory | processor of the collector (200 % are there) | the door said |"
        );
        println!("|---|---|---|---|---|---|---|---|");
    }
    for (attack, number) in attacks.into_iter().zip(1..) {
        let name = format!("{over}{}", attack.name);
        if only.as_ref().is_some_and(|only| !name.contains(only)) {
            continue;
        }
        // Half before and half after: what else the machine does comes and goes.
        let before = if heavy().is_some() { Some(world.calm(long / 2).await) } else { None };
        let mut outcome = world.under(attack, number, long).await;
        tokio::task::block_in_place(|| world.recovers());
        if let Some(before) = before {
            outcome.calm = Some(before.and(world.calm(long / 2).await));
        }
        print(&name, &outcome);
        wrong.extend(broken(&name, &outcome));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    tokio::task::block_in_place(|| world.end());
}

/// covers: B1, B2, B3
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_after_attack_honest_clients_are_served_and_memory_stays_bounded() {
    run(World::open().await, "", REQUESTS.iter().chain(CONNECTIONS)).await;
}

/// covers: B1, B2, B3
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_on_tls_after_attack_honest_clients_are_served_and_memory_stays_bounded() {
    run(World::open_tls(), "", attack_tls::ATTACKS).await;
}

/// covers: B1, B2, B3
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_over_tls_by_a_customer_who_is_known_is_bounded_as_it_is_in_plain_text() {
    run(World::open_tls_to_a_customer(), "TLS, by a customer: ", REQUESTS).await;
}

#[test]
fn every_attack_says_what_it_does() {
    let all: Vec<_> = REQUESTS.iter().chain(CONNECTIONS).chain(attack_tls::ATTACKS).collect();
    let names: std::collections::BTreeSet<_> = all.iter().map(|attack| attack.name).collect();
    assert_eq!(names.len(), all.len());
    assert!(all.iter().all(|attack| !attack.how.is_empty() && attack.threads > 0));
}

/// What a neighbour at full blast does to an honest customer; measured by `make attack`, where it is printed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_by_a_neighbour_at_full_blast_is_held_back() {
    let rows = [
        ("{}", true, "no rate, 100 Mbit/s"),
        (HELD, true, "10,000 events a second, 100 Mbit/s"),
        ("{}", false, "no rate, all that loopback takes"),
    ];
    for (rates, has_line, what) in rows {
        let world =
            World::open_with(&[&format!("ingest.customer_rates={rates}"), "ingest.customer_burst=1s"]).await;
        beside(&world, rates == HELD, has_line, what).await;
        tokio::task::block_in_place(|| world.end());
    }
}

/// Calm times and blasts by turns, so that what else the machine does comes to both.
async fn beside(world: &World, is_held: bool, has_line: bool, what: &str) {
    let (turns, long) =
        heavy().map_or((1, Duration::from_millis(700)), |long| (TURNS, long * LONGER / TURNS));
    let (mut calm, mut seen) = (Seen::default(), Seen::default());
    let (mut peak_bytes, mut cpu, mut served, mut refused) = (0, 0, 0, 0);
    for _ in 0..turns {
        calm = calm.and(world.calm(long).await);
        let grpc = world.grpc().to_owned();
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let line = has_line.then(Line::default);
        let blast = std::thread::spawn(move || {
            gives_way();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(blast(&grpc, stopped, line))
        });
        world.forget_peak();
        let (ticks, begun) = (world.cpu_ticks(), Instant::now());
        seen = seen.and(world.calm(long).await);
        (peak_bytes, cpu) = (peak_bytes.max(world.peak_bytes()), cpu + world.cpu_since(ticks, begun));
        stop.send_replace(true);
        let (more, less) = tokio::task::block_in_place(|| blast.join().unwrap());
        (served, refused) = (served + more, refused + less);
    }
    if heavy().is_some() {
        println!(
            "| neighbour at full blast, {what} | {} | {:.2} | {:.2} | {:.2} ms → {:.2} ms | {} MiB | {} % | {served} served, {refused} refused |",
            served + refused,
            ratio(&seen, &calm, 50),
            ratio(&seen, &calm, 99),
            calm.percentile(99).as_secs_f64() * 1e3,
            seen.percentile(99).as_secs_f64() * 1e3,
            peak_bytes >> 20,
            cpu / u64::from(turns),
        );
    }
    assert!(seen.failures.is_empty() && seen.served() >= SERVED, "{what}: {:?}", seen.failures);
    assert!(served > 0);
    assert_eq!(refused > 0, is_held, "{what}: {refused} refused");
}

/// How often calm and blast take turns when they are measured.
const TURNS: u32 = 4;
/// How many times as long as an attack: what a neighbour does to a p99 is less than what one odd sync does to it.
const LONGER: u32 = 3;
const HELD: &str = "{ hostile = { events_per_second = 10000, bytes_per_second = \"0B\" } }";

/// Batches of 500 events, 32 at a time, with no pause even when refused, over a line or without an end to what it
/// carries: how many were served, and refused.
async fn blast(grpc: &str, stop: tokio::sync::watch::Receiver<bool>, line: Option<Line>) -> (u64, u64) {
    let (mut senders, line) = (JoinSet::new(), Arc::new(line));
    for _ in 0..32 {
        let channel = connect(grpc).await.unwrap();
        let (stop, line) = (stop.clone(), Arc::clone(&line));
        senders.spawn(async move {
            let mut client = IngestServiceClient::new(channel);
            let (mut served, mut refused) = (0, 0);
            let mut batch = fresh(500);
            let bytes = batch.encoded_len();
            while !*stop.borrow() {
                if let Some(line) = line.as_ref() {
                    tokio::time::sleep(line.bytes_take(bytes)).await;
                }
                batch.batch_id = uuid::Uuid::now_v7().to_string();
                match client.submit(from("hostile", batch.clone())).await {
                    Ok(_) => served += 1,
                    Err(_) => refused += 1,
                }
            }
            (served, refused)
        });
    }
    let each: Vec<(u64, u64)> = senders.join_all().await;
    each.into_iter().fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1))
}
