//! A policy that is taken over while the body of a batch is on its way: one policy decides the batch, and the receipt and
//! what is stored name it.

use std::time::Duration;

use rustix::process::Signal;
use tokio::time::timeout;
use usaged::grpc::client::{Message as _, connect};
use usaged::grpc::proto::drain::Batch;
use usaged::grpc::proto::ingest::SubmitResponse;
use usaged::grpc::proto::ingest::ingest_service_client::IngestServiceClient;

use crate::attack_frames::{DATA, END_HEADERS, call, data, frame, headers, message};
use crate::door_raw::{PING, Peer};
use crate::fault_daemon::SOON;
use crate::fault_load::{drain_client, pull, set_up};
use crate::fault_oracle::batch;
use crate::grpc_collector::from;
use crate::term::Policies;

/// Who the hand-made peer says it is.
const SLOW: &str = "hostile";

// covers: P5
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_whose_body_arrives_across_a_reload_is_decided_by_one_policy_which_its_receipt_names() {
    let dir = tempfile::tempdir().unwrap();
    let policies = Policies::write(dir.path());
    let place = policies.place(dir.path()).with(&["--set", "grpc.request_deadline=2m"]);
    let daemon = tokio::task::block_in_place(|| place.start());
    set_up(&daemon.grpc, &["acme", SLOW], &["team"]).await;
    let mut client = IngestServiceClient::new(connect(&daemon.grpc).await.unwrap());
    let mut number = 0;
    let mut version = async || {
        number += 1;
        client.submit(from("acme", batch(number))).await.unwrap().into_inner().policy_version
    };
    let before = version().await;

    // Half of a body, which is with the collector when it answers the ping behind it.
    let body = message(0, &batch(1_000).encode_to_vec());
    let (now, later) = body.split_at(body.len() / 2);
    let mut slow = Peer::begin_at(&daemon.grpc).await;
    let begun = headers(1, END_HEADERS, &call("Submit", &[]));
    slow.send(&[begun, data(1, now, false), frame(PING, 0, 0, b"together")].concat()).await;
    while slow.until(PING).await.expect("the collector stays").payload != b"together" {}

    policies.go_on();
    daemon.signal(Signal::HUP);
    let taken_over = timeout(SOON, async {
        loop {
            let now = version().await;
            if now != before {
                return now;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let after = taken_over.await.expect("the second policy is taken over");

    slow.send(&data(1, later, true)).await;
    let answer = slow.until(DATA).await.expect("the batch is answered").payload;
    let receipt = SubmitResponse::decode(&answer[5..]).unwrap();
    assert_eq!(receipt.policy_version, after, "it could only be decided when it was whole");
    assert!(receipt.accepted_events > 0 && receipt.accepted_events == receipt.received_events, "{receipt:?}");
    assert_eq!(receipt.accepted_fields, 3 * receipt.accepted_events, "{receipt:?}");

    // Whichever policy a batch was stored under, it leaves under the one in force, and says so.
    let mut drains = drain_client(connect(&daemon.grpc).await.unwrap());
    let mut found = 0;
    // It is the last that was stored.
    while found == 0 {
        for delivery in pull(&mut drains, "team", Duration::from_millis(500)).await.unwrap() {
            let stored = Batch::decode(delivery.batch).unwrap();
            assert_eq!((stored.fields.len(), &stored.policy_version), (3, &after));
            found += usize::from(delivery.commit_number == receipt.commit_number);
        }
    }
    assert_eq!(found, 1);
    assert_eq!(tokio::task::block_in_place(|| daemon.end()), 0);
}
