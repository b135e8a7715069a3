//! What happens in the demo, over real sockets: participation is imported, events are sent until
//! their receipts are there, and two subscriptions are drained to the end.

use std::sync::Arc;
use std::time::Duration;

use indicatif::ProgressBar;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::cast::CAST;
use crate::cli::connect::{DrainClient, Server, refused};
use crate::cli::exit::Failure;
use crate::cli::send::{Batch as Sending, Outcome, Submitter, Summary};
use crate::cli::subscription::wire_purpose;
use crate::grpc::client::{Message as _, ProtoDuration};
use crate::grpc::proto::admin::ImportParticipationsRequest;
use crate::grpc::proto::drain::{
    AcknowledgeRequest, Batch, CreateSubscriptionRequest, GetSubscriptionRequest, PullRequest, Subscription,
};
use crate::model::{CustomerId, Purpose};

/// Batches under way at a time.
const IN_FLIGHT: usize = 16;

/// Lets the five take part as they chose.
pub(super) async fn import(server: &Server) -> Result<(), Failure> {
    let message = ImportParticipationsRequest {
        participations: CAST.iter().map(super::cast::Player::participation).collect(),
        changed_by: "usaged demo".to_owned(),
        change_reason: "demo".to_owned(),
    };
    let mut admin = server.admin().await?;
    let answer =
        admin.import_participations(tokio_stream::once(message)).await.map_err(|status| refused(&status))?;
    match answer.into_inner().failures.first() {
        None => Ok(()),
        Some(failure) => Err(Failure::Failed(format!("a participation was refused: {}", failure.message))),
    }
}

/// Creates a subscription from the oldest batch on.
pub(super) async fn subscribe(drain: &mut DrainClient, purpose: Purpose) -> Result<String, Failure> {
    let name = format!("demo-{purpose}");
    let subscription = Subscription {
        name: name.clone(),
        purpose: wire_purpose(purpose).into(),
        recipient: "the audience".to_owned(),
        ack_deadline: Some(ProtoDuration { seconds: 60, nanos: 0 }),
        max_delivery_attempts: 5,
        from_oldest: true,
        ..Subscription::default()
    };
    let request = CreateSubscriptionRequest { subscription: Some(subscription) };
    drain.create_subscription(request).await.map_err(|status| refused(&status))?;
    Ok(name)
}

/// Sends every batch and waits for every receipt; gives the sums of each customer.
pub(super) async fn send(
    server: &Server,
    batches: Vec<(usize, Sending)>,
    bar: &ProgressBar,
) -> Result<[Summary; CAST.len()], Failure> {
    let client = server.ingest().await?;
    let mut submitters = Vec::new();
    for player in &CAST {
        let customer =
            CustomerId::new(player.customer).map_err(|error| Failure::Failed(error.to_string()))?;
        submitters.push(Submitter::new(client.clone(), customer, Duration::from_secs(10)));
    }
    let places = Arc::new(Semaphore::new(IN_FLIGHT));
    let mut under_way = JoinSet::new();
    let mut sums: [Summary; CAST.len()] = Default::default();
    let mut add = |done: Result<(usize, u64, Outcome), tokio::task::JoinError>| {
        if let Ok((player, events, outcome)) = done {
            bar.inc(events);
            if let Some(sum) = sums.get_mut(player) {
                sum.add(outcome);
            }
        }
    };
    for (player, batch) in batches {
        let Some(submitter) = submitters.get(player).cloned() else { continue };
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { break };
        under_way.spawn(async move {
            let events = u64::try_from(batch.events).unwrap_or(0);
            let outcome = submitter.submit(batch).await;
            drop(place);
            (player, events, outcome)
        });
        while let Some(done) = under_way.try_join_next() {
            add(done);
        }
    }
    while let Some(done) = under_way.join_next().await {
        add(done);
    }
    Ok(sums)
}

/// Drains a subscription to the end, acknowledging everything.
pub(super) async fn drain(
    client: &mut DrainClient,
    name: &str,
    bar: &ProgressBar,
) -> Result<Vec<(u64, Batch)>, Failure> {
    let mut drained = Vec::new();
    loop {
        let request = PullRequest {
            subscription: name.to_owned(),
            max_batches: 100,
            max_wait: None,
            ..PullRequest::default()
        };
        let pulled = client.pull(request).await.map_err(|status| refused(&status))?.into_inner().batches;
        if pulled.is_empty() {
            return Ok(drained);
        }
        let mut ack_ids = Vec::new();
        for received in pulled {
            let batch = Batch::decode(received.batch)
                .map_err(|_| Failure::Failed("a drained batch cannot be read".to_owned()))?;
            bar.inc(u64::try_from(batch.events.len()).unwrap_or(0));
            drained.push((received.commit_number, batch));
            ack_ids.push(received.ack_id);
        }
        let request = AcknowledgeRequest { subscription: name.to_owned(), ack_ids };
        client.acknowledge(request).await.map_err(|status| refused(&status))?;
    }
}

/// How a subscription stands.
pub(super) async fn standing(client: &mut DrainClient, name: &str) -> Result<Subscription, Failure> {
    let request = GetSubscriptionRequest { name: name.to_owned() };
    Ok(client.get_subscription(request).await.map_err(|status| refused(&status))?.into_inner())
}
