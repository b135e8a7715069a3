//! Draining a whole queue through a subscription of its own, each batch acknowledged, by `Pull` or by
//! `StreamingPull`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use super::gauge;
use super::report::float;
use crate::cli::connect::{DrainClient, Server, refused};
use crate::cli::exit::Failure;
use crate::cli::subscription::{wire_duration, wire_purpose};
use crate::grpc::carrier::ReceivedBatch;
use crate::grpc::proto::drain::{
    AcknowledgeRequest, CreateSubscriptionRequest, DeleteSubscriptionRequest, PullRequest,
    StreamingPullRequest, Subscription,
};
use crate::model::Purpose;

/// Pulls, or streams, at a time.
const DRAINERS: usize = 2;
/// Batches in one pull.
const BATCHES: u32 = 100;
/// Batches that are out on a stream.
const OUTSTANDING: u32 = 1_000;
/// Requests of a stream that wait to be sent.
const WAITING: usize = 64;
/// A stream that says nothing for so long will never say anything.
const SILENCE: Duration = Duration::from_mins(1);

/// How batches are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Pull,
    StreamingPull,
}

/// What draining took.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Drained {
    pub events: u64,
    elapsed: Duration,
    /// The processor time of the collector.
    cpu: Duration,
}

impl Drained {
    pub fn per_second(&self) -> f64 {
        float(self.events) / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// `None` if it took less than the kernel counts.
    pub fn per_cpu_second(&self) -> Option<f64> {
        let cpu = self.cpu.as_secs_f64();
        (cpu > 0.0).then(|| float(self.events) / cpu)
    }

    pub fn and(self, other: Self) -> Self {
        Self {
            events: self.events.saturating_add(other.events),
            elapsed: self.elapsed.saturating_add(other.elapsed),
            cpu: self.cpu.saturating_add(other.cpu),
        }
    }
}

/// A queue to drain.
pub(super) struct Queue<'a> {
    pub address: &'a str,
    pub pid: u32,
    /// Batches that wait in it.
    pub batches: u64,
    /// Told of each event.
    pub bar: &'a ProgressBar,
}

impl Queue<'_> {
    /// Drains all of it. What is in the queue stays there for other subscriptions.
    pub async fn drain(&self, way: Way) -> Result<Drained, Failure> {
        let client = Server::local(self.address).drain().await?;
        let name = format!("load-{}", uuid::Uuid::new_v4().simple());
        let subscription = Subscription {
            name: name.clone(),
            purpose: wire_purpose(Purpose::Improve).into(),
            recipient: "usaged load".to_owned(),
            ack_deadline: Some(wire_duration(Duration::from_mins(1))),
            max_delivery_attempts: 5,
            from_oldest: true,
            ..Subscription::default()
        };
        let request = CreateSubscriptionRequest { subscription: Some(subscription) };
        client.clone().create_subscription(request).await.map_err(|status| refused(&status))?;
        let (started, before) = (Instant::now(), gauge::cpu(self.pid)?);
        let events = self.drain_through(way, &client, &name).await?;
        let (elapsed, cpu) = (started.elapsed(), gauge::cpu(self.pid)?.saturating_sub(before));
        let request = DeleteSubscriptionRequest { name };
        client.clone().delete_subscription(request).await.map_err(|status| refused(&status))?;
        Ok(Drained { events, elapsed, cpu })
    }

    async fn drain_through(&self, way: Way, client: &DrainClient, name: &str) -> Result<u64, Failure> {
        let left = Left::new(self.batches);
        let mut drainers = tokio::task::JoinSet::new();
        for _ in 0..DRAINERS {
            let (client, name) = (client.clone(), name.to_owned());
            let (left, bar) = (left.clone(), self.bar.clone());
            match way {
                Way::Pull => drainers.spawn(pull(client, name, left, bar)),
                Way::StreamingPull => drainers.spawn(stream(client, name, left, bar)),
            };
        }
        let mut events = 0_u64;
        while let Some(done) = drainers.join_next().await {
            let found = done.map_err(|_| Failure::Failed("a drainer panicked".to_owned()))??;
            events = events.saturating_add(found);
        }
        Ok(events)
    }
}

/// Batches that are not acknowledged yet; shared by the drainers.
#[derive(Clone)]
struct Left {
    batches: Arc<AtomicU64>,
    none: CancellationToken,
}

impl Left {
    fn new(batches: u64) -> Self {
        Self { batches: Arc::new(AtomicU64::new(batches)), none: CancellationToken::new() }
    }

    fn acknowledged(&self, batches: u64) -> Result<(), Failure> {
        let before = self.batches.fetch_sub(batches, Ordering::Relaxed);
        if before <= batches {
            self.none.cancel();
        }
        let more = || Failure::Failed("more batches were drained than were sent".to_owned());
        if before < batches { Err(more()) } else { Ok(()) }
    }
}

async fn pull(mut client: DrainClient, name: String, left: Left, bar: ProgressBar) -> Result<u64, Failure> {
    let mut events = 0_u64;
    let max_wait = Some(wire_duration(Duration::from_millis(100)));
    while !left.none.is_cancelled() {
        let request = PullRequest {
            subscription: name.clone(),
            max_batches: BATCHES,
            max_wait,
            ..PullRequest::default()
        };
        let pulled = client.pull(request).await.map_err(|status| refused(&status))?.into_inner().batches;
        if pulled.is_empty() {
            continue;
        }
        let (found, ack_ids) = read(pulled)?;
        events = events.saturating_add(found);
        bar.inc(found);
        let request = AcknowledgeRequest { subscription: name.clone(), ack_ids };
        let answer = client.acknowledge(request).await.map_err(|status| refused(&status))?.into_inner();
        if !answer.failures.is_empty() {
            return Err(lease_ended());
        }
        left.acknowledged(u64::from(answer.acknowledged))?;
    }
    Ok(events)
}

async fn stream(mut client: DrainClient, name: String, left: Left, bar: ProgressBar) -> Result<u64, Failure> {
    let (send, receive) = mpsc::channel(WAITING);
    let closed = || Failure::Unreachable("the collector ended the stream".to_owned());
    let first = StreamingPullRequest {
        subscription: name,
        max_outstanding_batches: OUTSTANDING,
        max_outstanding_bytes: 64 << 20,
        ..StreamingPullRequest::default()
    };
    send.send(first).await.map_err(|_| closed())?;
    let answers = client.streaming_pull(ReceiverStream::new(receive)).await;
    let mut answers = answers.map_err(|status| refused(&status))?.into_inner();
    let mut events = 0_u64;
    loop {
        let answer = tokio::select! {
            () = left.none.cancelled() => return Ok(events),
            answer = timeout(SILENCE, answers.message()) => answer,
        };
        let silent = || Failure::Failed("the stream says nothing, though batches are left".to_owned());
        let answer = answer.map_err(|_| silent())?.map_err(|status| refused(&status))?.ok_or_else(closed)?;
        if !answer.failures.is_empty() {
            return Err(lease_ended());
        }
        left.acknowledged(u64::try_from(answer.acknowledged_ids.len()).unwrap_or(0))?;
        if !answer.batches.is_empty() {
            let (found, ack_ids) = read(answer.batches)?;
            events = events.saturating_add(found);
            bar.inc(found);
            let request = StreamingPullRequest { ack_ids, ..StreamingPullRequest::default() };
            send.send(request).await.map_err(|_| closed())?;
        }
    }
}

fn lease_ended() -> Failure {
    Failure::Failed("a lease ended before its batch was acknowledged".to_owned())
}

/// The events of some batches, and the names of their leases.
fn read(batches: Vec<ReceivedBatch>) -> Result<(u64, Vec<String>), Failure> {
    let mut events = 0_u64;
    let mut ack_ids = Vec::with_capacity(batches.len());
    for received in batches {
        let found = count_events(&received.batch);
        let found = found.ok_or_else(|| Failure::Failed("a drained batch cannot be read".to_owned()))?;
        events = events.saturating_add(found);
        ack_ids.push(received.ack_id);
    }
    Ok((events, ack_ids))
}

/// The events of a `usaged.drain.v1.Batch` (its field 12), counted without decoding them: what a
/// drainer does with them is its own affair.
fn count_events(mut batch: &[u8]) -> Option<u64> {
    const EVENTS: u64 = 12;
    let mut events = 0_u64;
    while !batch.is_empty() {
        let tag = varint(&mut batch)?;
        let value = varint(&mut batch)?;
        match tag & 7 {
            0 => {}
            2 => batch = batch.get(usize::try_from(value).ok()?..)?,
            _ => return None,
        }
        events = events.saturating_add(u64::from(tag >> 3 == EVENTS));
    }
    Some(events)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{Left, count_events};
    use crate::grpc::client::Message as _;
    use crate::grpc::proto::drain::{Batch, Event};

    #[test]
    fn events_are_counted_without_decoding() {
        let event = Event { name: 0, time_ms: -5, fields: Vec::new() };
        let batch = Batch {
            product: "x".into(),
            dictionary_version: 300,
            events: vec![event; 7],
            ..Batch::default()
        };
        let bytes = batch.encode_to_vec();
        assert_eq!(count_events(&bytes), Some(7));
        assert_eq!(count_events(bytes.get(..bytes.len() - 1).unwrap_or_default()), None);
    }

    #[test]
    fn a_batch_that_comes_twice_is_noticed() {
        let left = Left::new(3);
        assert!(left.acknowledged(2).is_ok() && !left.none.is_cancelled());
        assert!(left.acknowledged(1).is_ok() && left.none.is_cancelled());
        assert!(left.acknowledged(1).is_err());
    }
}
