//! An erasure takes what happened until it was asked for, and nothing that happened later: also while the bytes of
//! before are still on their way out.

use std::time::Duration;

use usaged::grpc::client::{Message as _, ProtoDuration};
use usaged::grpc::proto::admin::erase_request::Scope;
use usaged::grpc::proto::admin::erasure::State;
use usaged::grpc::proto::admin::erasure_service_client::ErasureServiceClient;
use usaged::grpc::proto::admin::{EraseRequest, OriginalIdentifier};
use usaged::grpc::proto::drain::{Batch, PullRequest};

use crate::grpc_collector::{Collector, batch, from};

/// Commit numbers and events of everything that a drainer is given.
async fn drained(collector: &Collector, name: &str) -> Vec<(u64, usize)> {
    let max_wait = Some(ProtoDuration { seconds: 0, nanos: 0 });
    let request =
        PullRequest { subscription: name.to_owned(), max_batches: 50, max_wait, ..PullRequest::default() };
    let batches = collector.drain().pull(request).await.unwrap().into_inner().batches;
    let events = |bytes| Batch::decode(bytes).unwrap().events.len();
    batches.into_iter().map(|batch| (batch.commit_number, events(batch.batch))).collect()
}

/// covers: P8, D1
#[tokio::test]
async fn what_happens_after_an_erasure_is_delivered_although_the_erasure_is_not_done() {
    // Nobody takes erasures to their end here: this one stays fenced.
    let collector = Collector::open().await;
    collector.participate("acme", "standard").await;
    collector.subscribe("team").await;
    let before = collector.ingest().submit(from("acme", batch(1, "esx-1.example.com"))).await.unwrap();
    let first = before.into_inner().commit_number;

    let identifier = OriginalIdentifier { class: "host_name".into(), value: "esx-1.example.com".into() };
    let request = EraseRequest {
        erasure_id: "0198c0de-0000-7000-8000-000000000001".into(),
        customer: "acme".into(),
        scope: Some(Scope::Identifier(identifier)),
        reference: "ticket-1".into(),
        ..EraseRequest::default()
    };
    let mut erasures = ErasureServiceClient::new(collector.channel.clone());
    let fenced = erasures.erase(request).await.unwrap().into_inner();
    assert_eq!(fenced.state(), State::Fenced, "{fenced:?}");

    // As soon as the clock has moved on, the host may be named again.
    let mut after = None;
    for number in 2..2_000 {
        let receipt = collector.ingest().submit(from("acme", batch(number, "esx-1.example.com"))).await;
        let receipt = receipt.unwrap().into_inner();
        if receipt.accepted_events == 1 {
            after = Some(receipt.commit_number);
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let after = after.expect("what happens after an erasure is stored");
    let drained = drained(&collector, "team").await;
    assert!(!drained.iter().any(|(commit, _)| *commit == first), "what was erased is delivered: {drained:?}");
    assert_eq!(drained, [(after, 1)], "what happened later is delivered");
    collector.close().await;
}
