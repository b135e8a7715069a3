//! Filling a queue to a number of events, as fast as the collector takes them; nothing is measured.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::ProgressBar;

use super::events::Prepared;
use crate::cli::connect::{Server, of_customer, refused};
use crate::cli::exit::Failure;
use crate::grpc::client::{Code, EncodedIngest, retry_delay};
use crate::grpc::proto::ingest::submit_response::State;
use crate::model::CustomerId;

/// Requests under way at a time.
const CLIENTS: usize = 16;

/// Where the events of a queue come from. Clones share the count.
#[derive(Clone)]
pub(super) struct Fill {
    pub customers: Arc<[CustomerId]>,
    pub prepared: Arc<Prepared>,
    /// Told of each event that is stored.
    pub bar: ProgressBar,
    /// The first half of every batch id.
    run: u64,
    /// Requests that were begun.
    begun: Arc<AtomicU64>,
}

impl Fill {
    pub fn new(customers: Arc<[CustomerId]>, prepared: Arc<Prepared>, bar: ProgressBar) -> Self {
        Self { customers, prepared, bar, run: rand::random(), begun: Arc::default() }
    }

    /// Sends requests until `requests` were sent in all, by this call and the ones before.
    pub async fn upto(&self, address: &str, requests: u64) -> Result<(), Failure> {
        let server = Server::local(address);
        let mut clients = tokio::task::JoinSet::new();
        for _ in 0..CLIENTS {
            clients.spawn(self.clone().send(server.ingest().await?, requests));
        }
        while let Some(done) = clients.join_next().await {
            done.map_err(|_| Failure::Failed("a client panicked".to_owned()))??;
        }
        // Each client took one number too many.
        self.begun.store(requests, Ordering::Relaxed);
        Ok(())
    }

    async fn send(self, mut ingest: EncodedIngest, requests: u64) -> Result<(), Failure> {
        loop {
            let number = self.begun.fetch_add(1, Ordering::Relaxed);
            if number >= requests {
                return Ok(());
            }
            let turn = usize::try_from(number).unwrap_or(0);
            let Some(customer) = self.customers.get(turn % self.customers.len().max(1)) else {
                return Ok(());
            };
            let batch = u128::from(self.run) << 64 | u128::from(number);
            loop {
                let request = of_customer(self.prepared.request(turn, batch), customer)?;
                match ingest.submit(request).await {
                    Ok(answer) if answer.state() == State::Stored => break,
                    Ok(answer) => {
                        let state = answer.state().as_str_name();
                        return Err(Failure::Failed(format!("a batch was not stored: {state}")));
                    }
                    Err(status) if status.code() == Code::ResourceExhausted => {
                        tokio::time::sleep(retry_delay(&status).unwrap_or(Duration::from_millis(20))).await;
                    }
                    Err(status) => return Err(refused(&status)),
                }
            }
            self.bar.inc(u64::try_from(self.prepared.batch_size).unwrap_or(0));
        }
    }
}
