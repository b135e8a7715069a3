//! Draining what the load left behind: several pulls at a time through one subscription, each batch
//! acknowledged, until nothing waits.

use std::time::{Duration, Instant};

use super::gauge;
use super::report::float;
use crate::cli::connect::{DrainClient, Server, refused};
use crate::cli::exit::Failure;
use crate::cli::subscription::{wire_duration, wire_purpose};
use crate::grpc::proto::drain::{AcknowledgeRequest, CreateSubscriptionRequest, PullRequest, Subscription};
use crate::model::Purpose;

/// Pulls at a time.
const PULLS: usize = 4;
/// Batches in one pull.
const BATCHES: u32 = 100;

/// What draining took.
pub(super) struct Drained {
    pub events: u64,
    elapsed: Duration,
    cpu: Option<Duration>,
}

impl Drained {
    pub fn per_second(&self) -> f64 {
        float(self.events) / self.elapsed.as_secs_f64().max(1e-9)
    }

    pub fn per_cpu_second(&self) -> Option<f64> {
        let cpu = self.cpu?.as_secs_f64();
        (cpu > 0.0).then(|| float(self.events) / cpu)
    }
}

pub(super) async fn measure(address: &str, pid: Option<u32>) -> Result<Drained, Failure> {
    let client = Server { server: address.to_owned() }.drain().await?;
    let name = format!("load-{}", uuid::Uuid::new_v4().simple());
    let subscription = Subscription {
        name: name.clone(),
        purpose: wire_purpose(Purpose::Improve).into(),
        recipient: "usaged load".to_owned(),
        ack_deadline: Some(wire_duration(Duration::from_secs(60))),
        max_delivery_attempts: 5,
        from_oldest: true,
        ..Subscription::default()
    };
    let request = CreateSubscriptionRequest { subscription: Some(subscription) };
    client.clone().create_subscription(request).await.map_err(|status| refused(&status))?;
    let cpu = || pid.map(gauge::cpu).transpose();
    let (started, before) = (Instant::now(), cpu()?);
    let mut pulls = tokio::task::JoinSet::new();
    for _ in 0..PULLS {
        pulls.spawn(pull(client.clone(), name.clone()));
    }
    let mut events = 0_u64;
    while let Some(done) = pulls.join_next().await {
        events = events.saturating_add(done.map_err(|_| Failure::Failed("a drainer panicked".to_owned()))??);
    }
    let (elapsed, after) = (started.elapsed(), cpu()?);
    Ok(Drained {
        events,
        elapsed,
        cpu: before.zip(after).map(|(before, after)| after.saturating_sub(before)),
    })
}

async fn pull(mut client: DrainClient, name: String) -> Result<u64, Failure> {
    let mut events = 0_u64;
    loop {
        let request = PullRequest { subscription: name.clone(), max_batches: BATCHES, max_wait: None };
        let pulled = client.pull(request).await.map_err(|status| refused(&status))?.into_inner().batches;
        if pulled.is_empty() {
            return Ok(events);
        }
        let mut ack_ids = Vec::with_capacity(pulled.len());
        for received in pulled {
            let found = count_events(&received.batch);
            let found = found.ok_or_else(|| Failure::Failed("a drained batch cannot be read".to_owned()))?;
            events = events.saturating_add(found);
            ack_ids.push(received.ack_id);
        }
        let request = AcknowledgeRequest { subscription: name.clone(), ack_ids };
        client.acknowledge(request).await.map_err(|status| refused(&status))?;
    }
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
    use super::count_events;
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
}
