//! Where a batch stands that can never leave, although its customer chooses now as it did when the batch was stored.

use usaged::grpc::proto::admin::{ExplainBatchRequest, Participation, StoredRecord};
use usaged::grpc::proto::drain::{AcknowledgeRequest, PullRequest};

use crate::grpc_collector::{Collector as Door, batch, from, participation, set};

async fn choose(door: &Door, choice: Participation) {
    door.admin().set_participation(set(choice)).await.unwrap();
}

/// What is told of the batch of a number.
async fn told(door: &Door, number: u64) -> StoredRecord {
    let batch_id = format!("00000000-0000-4000-8000-{number:012x}");
    let request = ExplainBatchRequest { customer: "acme".into(), batch_id };
    let mut told = door.admin().explain_batch(request).await.unwrap().into_inner();
    assert_eq!(told.records.len(), 1);
    told.records.remove(0)
}

/// Its standing with the subscription, and the reason.
fn standing(record: &StoredRecord, name: &str) -> (String, String) {
    let one = record.standings.iter().find(|one| one.subscription == name).unwrap();
    (one.standing.clone(), one.reason.clone())
}

async fn pull(door: &Door, name: &str, acknowledge: bool) -> usize {
    let request = PullRequest { subscription: name.into(), max_batches: 9, ..PullRequest::default() };
    let got = door.drain().pull(request).await.unwrap().into_inner().batches;
    let ack_ids: Vec<_> = got.iter().map(|one| one.ack_id.clone()).collect();
    if acknowledge && !ack_ids.is_empty() {
        door.drain().acknowledge(AcknowledgeRequest { subscription: name.into(), ack_ids }).await.unwrap();
    }
    got.len()
}

fn pair(standing: &str, reason: &str) -> (String, String) {
    (standing.into(), reason.into())
}

// covers: P6
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_will_never_leave_is_not_told_as_waiting_or_done_and_there_is_a_note() {
    let changed = |change: fn(&mut Participation)| {
        let mut changed = participation("acme", "standard");
        change(&mut changed);
        changed
    };
    let table: [(fn(&mut Participation), &str, &str); 3] = [
        (|one| one.delivery = "audit".into(), "held", "`audit` at some time since it was stored"),
        (
            |one| one.purposes_off = vec!["improve".into()],
            "purpose",
            "switched off, at some time since, the purpose `improve`",
        ),
        (
            |one| one.levels.clear(),
            "lowered",
            "in force at some time since was `none`, lower than `standard`",
        ),
    ];
    for (change, reason, note) in table {
        let door = Door::open().await;
        choose(&door, participation("acme", "standard")).await;
        door.subscribe("before").await;
        door.subscribe("jobs").await;
        door.subscribe("later").await;
        door.ingest().submit(from("acme", batch(1, "esx01.example.com"))).await.unwrap();
        assert_eq!(pull(&door, "before", true).await, 1);
        let fresh = told(&door, 1).await;
        assert_eq!(standing(&fresh, "jobs"), pair("waiting", ""));
        assert_eq!(fresh.notes, Vec::<String>::new());
        choose(&door, changed(change)).await;
        choose(&door, participation("acme", "standard")).await;
        assert_eq!(pull(&door, "jobs", false).await, 0, "{note}");
        let record = told(&door, 1).await;
        assert_eq!(standing(&record, "jobs"), pair("not for it", reason), "passed over: {record:?}");
        assert_eq!(standing(&record, "later"), pair("not for it", reason), "not looked at yet");
        assert_eq!(standing(&record, "before"), pair("done", ""), "it was received");
        assert!(record.notes.iter().any(|one| one.contains(note)), "{:?}", record.notes);
        door.close().await;
    }
}
