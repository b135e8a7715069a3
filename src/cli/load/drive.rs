//! The clients: each sends one request after another and notes how long its receipt took. They share
//! one thread and few connections, so that on two cores the collector has one for itself.

use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::time::{Instant, sleep_until};

use super::events::Prepared;
use super::gauge;
use crate::cli::connect::{Server, of_customer, refused};
use crate::cli::exit::Failure;
use crate::grpc::client::{Code, EncodedIngest, retry_delay};
use crate::grpc::proto::ingest::submit_response::State;
use crate::model::CustomerId;

/// Streams on one connection: below the door's limit of 128.
const STREAMS: usize = 100;
/// The longest latency that is told apart, in microseconds.
const LONGEST: u64 = 60_000_000;

/// What to drive, and how.
pub(super) struct Drive<'a> {
    pub server: &'a Server,
    pub pid: Option<u32>,
    pub customers: Arc<[CustomerId]>,
    pub clients: usize,
    pub connections: Option<usize>,
    pub prepared: Arc<Prepared>,
    /// How long each client takes for one request at least; zero for as fast as it can.
    pub period: Duration,
    pub warm_up: Duration,
    pub duration: Duration,
}

/// What was measured between the end of the warm-up and the end.
pub(super) struct Measured {
    pub requests: u64,
    pub events: u64,
    /// Requests that were refused with a hint, and came again.
    pub refused: u64,
    /// Requests whose events were not stored.
    pub not_stored: u64,
    pub elapsed: Duration,
    /// Microseconds from the request to its receipt.
    pub latency: Histogram<u64>,
    /// CPU time of the driven process.
    pub cpu: Option<Duration>,
}

/// One client's notes.
struct Notes {
    requests: u64,
    refused: u64,
    not_stored: u64,
    latency: Histogram<u64>,
}

impl Drive<'_> {
    pub async fn run(&self) -> Result<Measured, Failure> {
        let connections =
            self.connections.unwrap_or_else(|| self.clients.div_ceil(STREAMS).max(2)).min(self.clients);
        let mut channels = Vec::new();
        for _ in 0..connections.max(1) {
            channels.push(self.server.connect().await?);
        }
        let start = Instant::now();
        let begin = start + self.warm_up;
        let end = begin + self.duration;
        let run: u64 = rand::random();
        let mut clients = tokio::task::JoinSet::new();
        for (number, channel) in (0..self.clients).zip(channels.iter().cycle()) {
            let client = Client {
                ingest: EncodedIngest::new(channel.clone()),
                number,
                run,
                customers: Arc::clone(&self.customers),
                prepared: Arc::clone(&self.prepared),
                period: self.period,
            };
            let offset = self.period.mul_f64(share(number, self.clients));
            clients.spawn(client.send(start + offset, begin, end));
        }
        sleep_until(begin).await;
        let (started, cpu_before) = (Instant::now(), self.cpu()?);
        sleep_until(end).await;
        let (elapsed, cpu_after) = (started.elapsed(), self.cpu()?);
        let mut all = Notes::new()?;
        while let Some(done) = clients.join_next().await {
            let notes = done.map_err(|_| Failure::Failed("a client panicked".to_owned()))??;
            all.requests = all.requests.saturating_add(notes.requests);
            all.refused = all.refused.saturating_add(notes.refused);
            all.not_stored = all.not_stored.saturating_add(notes.not_stored);
            let added = all.latency.add(&notes.latency);
            added.map_err(|_| Failure::Failed("adding up latencies".to_owned()))?;
        }
        let batch = u64::try_from(self.prepared.batch_size).unwrap_or(0);
        Ok(Measured {
            requests: all.requests,
            events: all.requests.saturating_mul(batch),
            refused: all.refused,
            not_stored: all.not_stored,
            elapsed,
            latency: all.latency,
            cpu: cpu_before.zip(cpu_after).map(|(before, after)| after.saturating_sub(before)),
        })
    }

    fn cpu(&self) -> Result<Option<Duration>, Failure> {
        self.pid.map(gauge::cpu).transpose()
    }
}

impl Notes {
    fn new() -> Result<Self, Failure> {
        let latency = Histogram::new_with_bounds(1, LONGEST, 3);
        let latency = latency.map_err(|error| Failure::Failed(format!("making a histogram: {error}")))?;
        Ok(Self { requests: 0, refused: 0, not_stored: 0, latency })
    }
}

struct Client {
    ingest: EncodedIngest,
    number: usize,
    run: u64,
    customers: Arc<[CustomerId]>,
    prepared: Arc<Prepared>,
    period: Duration,
}

/// The part of the whole that comes before this one.
fn share(number: usize, of: usize) -> f64 {
    let float = |count: usize| u32::try_from(count).map_or(0.0, f64::from);
    float(number) / float(of).max(1.0)
}

impl Client {
    /// Sends until `end` and counts from `begin` on. With a period, a request has its time, and its
    /// latency counts from then, so that a slow answer is not hidden by the requests that wait for it.
    async fn send(mut self, mut due: Instant, begin: Instant, end: Instant) -> Result<Notes, Failure> {
        let mut notes = Notes::new()?;
        let mut sent = 0_usize;
        while Instant::now() < end {
            if !self.period.is_zero() {
                sleep_until(due.min(end)).await;
            }
            // Clients begin at different places of the same row of requests and customers.
            let turn = self.number.wrapping_mul(7_919).wrapping_add(sent);
            let Some(customer) = self.customers.get(turn % self.customers.len().max(1)) else { break };
            let batch = self.batch_id(sent);
            sent = sent.wrapping_add(1);
            let asked = if self.period.is_zero() { Instant::now() } else { due };
            due += self.period;
            let answer = loop {
                let request = of_customer(self.prepared.request(turn, batch), customer)?;
                match self.ingest.submit(request).await {
                    Ok(answer) => break answer,
                    Err(status) if status.code() == Code::ResourceExhausted => {
                        notes.refused = notes.refused.saturating_add(1);
                        tokio::time::sleep(retry_delay(&status).unwrap_or(Duration::from_millis(20))).await;
                        if Instant::now() >= end {
                            return Ok(notes);
                        }
                    }
                    Err(status) => return Err(refused(&status)),
                }
            };
            let now = Instant::now();
            if now >= begin && now <= end {
                notes.requests = notes.requests.saturating_add(1);
                let micros = u64::try_from((now - asked).as_micros()).unwrap_or(LONGEST);
                notes.latency.saturating_record(micros.max(1));
                if answer.state() != State::Stored {
                    notes.not_stored = notes.not_stored.saturating_add(1);
                }
            }
        }
        Ok(notes)
    }

    /// An id that no other batch of this or another run has.
    fn batch_id(&self, sent: usize) -> u128 {
        let low = u64::try_from(self.number << 40 | sent).unwrap_or(u64::MAX);
        u128::from(self.run) << 64 | u128::from(low)
    }
}
