//! One batch until its receipt: tried again with the same batch id while the collector cannot take it.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::input::Batch;
use crate::cli::connect::{of_customer, refused};
use crate::cli::exit::Failure;
use crate::grpc::client::{Code, EncodedIngest, Status, retry_delay};
use crate::grpc::proto::ingest::SubmitResponse;
use crate::model::CustomerId;

/// The first pause before a retry when the collector names none; it doubles up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// What became of one batch.
pub(in crate::cli) enum Outcome {
    /// Its durable receipt, and how often it was tried again.
    Receipt(Box<SubmitResponse>, u32),
    /// Refused for good, or not taken in time.
    Refused(Failure),
}

impl Outcome {
    /// A batch that a mistake of our own lost.
    pub fn lost(what: &str) -> Self {
        Self::Refused(Failure::Failed(what.to_owned()))
    }
}

/// Sends batches of one customer.
#[derive(Clone)]
pub(in crate::cli) struct Submitter {
    client: EncodedIngest,
    customer: CustomerId,
    retry_for: Duration,
}

impl Submitter {
    pub const fn new(client: EncodedIngest, customer: CustomerId, retry_for: Duration) -> Self {
        Self { client, customer, retry_for }
    }

    /// Sends one batch and waits for its receipt. Every try sends the same bytes: the collector refuses
    /// other bytes under the same id, and a map can be encoded in many orders.
    pub async fn submit(mut self, batch: Batch) -> Outcome {
        let started = Instant::now();
        let mut pause = FIRST_PAUSE;
        let mut retries = 0_u32;
        loop {
            let request = match of_customer(Bytes::clone(&batch.request), &self.customer) {
                Ok(request) => request,
                Err(failure) => return Outcome::Refused(failure),
            };
            let status = match self.client.submit(request).await {
                Ok(receipt) => return Outcome::Receipt(Box::new(receipt), retries),
                Err(status) => status,
            };
            let wait = retry_delay(&status).unwrap_or(pause).mul_f64(rand::random_range(0.8..1.2));
            if !can_retry(&status) || started.elapsed() + wait > self.retry_for {
                return Outcome::Refused(refused(&status));
            }
            tokio::time::sleep(wait).await;
            retries = retries.saturating_add(1);
            pause = pause.saturating_mul(2).min(MAX_PAUSE);
        }
    }
}

/// Whether the same batch may be taken later. Everything else is final.
fn can_retry(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded)
        || (status.code() == Code::Unknown
            && retry_delay(status).is_none()
            && status.message().contains("transport"))
}
