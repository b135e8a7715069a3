//! A policy that is taken over by a running collector binds what it has: what leaves at once, what is stored when the policy
//! has been in force for a while.

use std::time::Duration;

use rustix::process::Signal;
use tokio::task::block_in_place;
use usaged::grpc::client::{Channel, Message as _, connect};
use usaged::grpc::proto::drain::ack_failure::Reason;
use usaged::grpc::proto::drain::drain_service_client::DrainServiceClient;
use usaged::grpc::proto::drain::{AcknowledgeRequest, Batch, CreateSubscriptionRequest};
use usaged::grpc::proto::ingest::ingest_service_client::IngestServiceClient;

use crate::fault_daemon::{Place, until};
use crate::fault_load::{drain_client, pull, set_up};
use crate::fault_oracle::batch;
use crate::grpc_collector::{from, subscription};
use crate::hunt_amend::{ciphertexts, copy, holds};
use crate::term::{Policies, write_policy};

const BATCHES: u64 = 6;

async fn subscribe(drains: &mut DrainServiceClient<Channel>) {
    let request = CreateSubscriptionRequest { subscription: Some(subscription("team")) };
    drains.create_subscription(request).await.unwrap();
}

/// Sends a batch; gives the policy that decided it.
async fn send(grpc: &str, number: u64) -> String {
    let mut client = IngestServiceClient::new(connect(grpc).await.unwrap());
    client.submit(from("acme", batch(number))).await.unwrap().into_inner().policy_version
}

// covers: P6
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stricter_policy_withdraws_what_is_out_and_leaves_no_old_byte_on_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let policies = Policies::write(dir.path());
    let place = policies.place(dir.path()).with(&["--set", "amend.bind_within=2s"]);
    let daemon = block_in_place(|| place.start());
    set_up(&daemon.grpc, &["acme"], &[]).await;
    let mut drains = drain_client(connect(&daemon.grpc).await.unwrap());
    subscribe(&mut drains).await;
    let mut before = String::new();
    for number in 1..=BATCHES {
        before = send(&daemon.grpc, number).await;
    }
    let leased = pull(&mut drains, "team", Duration::from_millis(500)).await.unwrap();
    assert_eq!(u64::try_from(leased.len()).unwrap(), BATCHES);
    drop(drains);
    assert_eq!(block_in_place(|| daemon.end()), 0);
    let (data, copied, key) = (place.data.clone(), dir.path().join("before"), dir.path().join("data.key"));
    copy(&data, &copied);
    let was = ciphertexts(&copied, &key);

    let daemon = block_in_place(|| place.start());
    let is_there = || was.values().flatten().any(|piece| holds(&data, piece));
    assert!(is_there());
    policies.go_on();
    daemon.signal(Signal::HUP);
    block_in_place(|| until("the policy is taken over", || place.said().contains("policy taken over")));
    let after = send(&daemon.grpc, BATCHES + 1).await;
    assert_ne!(after, before);
    let mut drains = drain_client(connect(&daemon.grpc).await.unwrap());
    let ack_ids = leased.into_iter().map(|delivery| delivery.ack_id).collect();
    let request = AcknowledgeRequest { subscription: "team".to_owned(), ack_ids };
    let failures = drains.acknowledge(request).await.unwrap().into_inner().failures;
    let reasons: Vec<Reason> = failures.iter().map(|failure| failure.reason()).collect();
    assert_eq!(reasons, [Reason::Withdrawn; BATCHES as usize]);
    let again = pull(&mut drains, "team", Duration::from_millis(500)).await.unwrap();
    assert_eq!(u64::try_from(again.len()).unwrap(), BATCHES + 1);
    for delivery in again {
        let stored = Batch::decode(delivery.batch).unwrap();
        assert_eq!((stored.fields.len(), stored.policy_version), (3, after.clone()));
    }
    block_in_place(|| until("no old byte is on the disk", || !is_there()));
    assert_eq!(block_in_place(|| daemon.end()), 0);
}

// covers: P6
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_the_policy_that_is_away_for_a_moment_costs_no_batch() {
    let dir = tempfile::tempdir().unwrap();
    let policy = dir.path().join("policy");
    write_policy(&policy, |file| file.text.clone());
    let place = Place::new(dir.path()).with(&["--policy-dir", &policy.display().to_string()]);
    let daemon = block_in_place(|| place.start());
    set_up(&daemon.grpc, &["acme"], &[]).await;
    for number in 1..=BATCHES {
        send(&daemon.grpc, number).await;
    }
    let (file, away) = (policy.join("products/vcenter.toml"), dir.path().join("vcenter.toml"));
    // A policy that knows more is another one too, and takes nothing.
    let known = "[events.\"vm.inventory\".fields.vcpus]";
    let text = std::fs::read_to_string(&file).unwrap();
    let (_, vcpus) = text.split_once(known).unwrap();
    let (vcpus, _) = vcpus.split_once("[events").unwrap();
    let more = text.replace(known, &format!("{}{vcpus}{known}", known.replace("vcpus", "cores")));
    std::fs::write(dir.path().join("more.toml"), more).unwrap();
    std::fs::rename(dir.path().join("more.toml"), &file).unwrap();
    daemon.signal(Signal::HUP);
    block_in_place(|| {
        until("it is told that nothing is to come", || {
            place.said().contains("takes nothing from what is queued")
        });
    });
    std::fs::rename(&file, &away).unwrap();
    daemon.signal(Signal::HUP);
    block_in_place(|| {
        until("it is told what is to come", || {
            place.said().contains("the policy that was taken over takes from what is queued")
        });
    });
    assert!(
        place.said().contains(&format!("removed={BATCHES} rewritten=0 customers=1 ")),
        "{}",
        place.said()
    );
    std::fs::rename(&away, &file).unwrap();
    daemon.signal(Signal::HUP);
    block_in_place(|| {
        until("the policy is as before", || place.said().matches("policy taken over").count() == 3);
    });
    let mut drains = drain_client(connect(&daemon.grpc).await.unwrap());
    subscribe(&mut drains).await;
    let delivered = pull(&mut drains, "team", Duration::from_millis(500)).await.unwrap();
    assert_eq!(u64::try_from(delivered.len()).unwrap(), BATCHES);
    assert_eq!(block_in_place(|| daemon.end()), 0);
    assert_eq!(place.said().matches("takes from what is queued").count(), 1);
}
