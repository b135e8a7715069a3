//! `usaged.admin.v1.LedgerService`: reads the ledger. It cannot be changed through any door.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::page;
use super::proto::admin as pb;
use super::proto::admin::ledger_service_server::LedgerService;
use super::status::{Cause, Fault};
use super::times::timestamp;
use crate::drain::Drain;
use crate::ingest::Intake;
use crate::ledger::{Entry, Fact, Leaf, Ledger, LedgerError, SignedCheckpoint, number};
use crate::model::{CustomerId, CustomerKey};
use crate::observe::{Clock, Seldom};
use crate::policy::Handle;
use crate::store::{MetaOp, Store};

/// It can be so of every request.
static NO_LEDGER: Seldom = Seldom::new();

/// Exports in progress: each reads the whole ledger.
const EXPORTS: usize = 2;
/// Entries of one message of an export.
const CHUNK: usize = 64;
/// How long the entry of an export may take into the ledger.
const PATIENCE: Duration = Duration::from_secs(10);

/// The operators' door to the ledger.
#[derive(Clone)]
pub struct LedgerDoor {
    ledger: Ledger,
    store: Store,
    policy: Handle,
    clock: Clock,
    retention: Duration,
    exports: Arc<Semaphore>,
    /// Who has sums that the ledger was not told of yet.
    sums: Option<(Intake, Drain)>,
}

impl LedgerDoor {
    /// Opens the door.
    #[must_use]
    pub fn new(ledger: Ledger, store: Store, policy: Handle, clock: Clock) -> Self {
        let exports = Arc::new(Semaphore::new(EXPORTS));
        Self { ledger, store, policy, clock, retention: Duration::ZERO, exports, sums: None }
    }

    /// Says after how long stored batches are dropped; exports tell it.
    #[must_use]
    pub const fn with_retention(mut self, retention: Duration) -> Self {
        self.retention = retention;
        self
    }

    /// Has the ledger told of all sums before a record is given out, so that it is complete up to then.
    #[must_use]
    pub fn with_sums(mut self, intake: Intake, drain: Drain) -> Self {
        self.sums = Some((intake, drain));
        self
    }

    /// Has the ledger told of what came in and left until now.
    async fn tell_sums(&self) -> Result<(), Fault> {
        if let Some((intake, drain)) = &self.sums {
            intake.tell().await?;
            drain.tell().await?;
        }
        Ok(())
    }

    /// The customer that a request names, by its id or its number.
    fn customer(&self, request: &pb::ExportLedgerRequest) -> Result<CustomerKey, Fault> {
        match (request.customer.as_str(), request.customer_number.as_str()) {
            ("", "") => Err(Fault::field("customer", "name the customer, or its number if it was erased")),
            ("", given) => number::parse(given)
                .ok_or_else(|| Fault::field("customer_number", "is written c and a number, such as c17")),
            (given, "") => {
                let id = CustomerId::new(given).map_err(|invalid| Fault::field("customer", invalid.rule))?;
                self.store.customer_key(&id)?.ok_or_else(|| {
                    let text = "this customer never had a participation, or was erased: then name its number";
                    Fault::of(Cause::NoParticipation, text)
                })
            }
            (_, _) => Err(Fault::field("customer_number", "name the customer or its number, not both")),
        }
    }

    /// Puts an entry into the outbox and waits until it is in the ledger.
    async fn note(&self, fact: Fact) -> Result<(), Fault> {
        let entry = Entry { at: self.clock.now(), fact };
        self.store.write_meta(vec![MetaOp::Ledger(entry.to_bytes())], true).await?;
        let number = *self.store.watch_outbox().borrow();
        let mut head = self.ledger.watch();
        let there = head.wait_for(|head| head.number >= number);
        if let Ok(Ok(_)) = tokio::time::timeout(PATIENCE, there).await {
            return Ok(());
        }
        let text = "the ledger does not take entries now, and nothing is given out untold; try again";
        Err(Fault::of(Cause::Unavailable, text).spread(Duration::from_secs(5)))
    }

    /// A checkpoint of all that is there, with the proof that `since` is its beginning. Blocks.
    fn checkpoint(&self, since: u64) -> Result<(pb::LedgerCheckpoint, SignedCheckpoint), Fault> {
        let signed = self.ledger.checkpoint()?;
        let size = signed.checkpoint().size;
        if since > size {
            return Err(Fault::field(
                "since_size",
                "is more than the ledger has: it is of another, or a cut one",
            ));
        }
        let proof = self.ledger.consistency(since, size)?;
        let told = pb::LedgerCheckpoint {
            note: signed.note().to_owned(),
            verifier_key: self.ledger.verifier().to_string(),
            size,
            consistency_proof: proof.iter().map(|hash| hash.to_vec().into()).collect(),
        };
        Ok((told, signed))
    }

    /// The first message of an export. Blocks.
    fn head(&self, customer: CustomerKey, since: u64) -> Result<(pb::LedgerExport, u64), Fault> {
        let (checkpoint, signed) = self.checkpoint(since)?;
        let retention = prost_types::Duration {
            seconds: i64::try_from(self.retention.as_secs()).unwrap_or(i64::MAX),
            nanos: i32::try_from(self.retention.subsec_nanos()).unwrap_or(0),
        };
        let export = pb::LedgerExport {
            customer_number: number::text(customer),
            checkpoint: Some(checkpoint),
            create_time: Some(timestamp(self.clock.now())),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            policy_version: self.policy.load().version().to_owned(),
            retention: Some(retention),
        };
        Ok((export, signed.checkpoint().size))
    }

    /// Sends every entry about a customer. Blocks; ends early if nobody listens any more.
    fn send(
        &self,
        customer: CustomerKey,
        since: u64,
        to: &mpsc::Sender<Result<pb::ExportLedgerResponse, Status>>,
    ) -> Result<(), Fault> {
        let (export, size) = self.head(customer, since)?;
        let mut answer = pb::ExportLedgerResponse { export: Some(export), entries: Vec::new() };
        let mut failed = None;
        let mut listens = true;
        self.ledger.of_customer(customer, size, &mut |leaf| {
            match self.ledger.inclusion(leaf.index, size) {
                Ok(path) => {
                    let inclusion_proof = path.iter().map(|hash| hash.to_vec().into()).collect();
                    answer.entries.push(pb::LedgerEntry { inclusion_proof, ..api_entry(leaf) });
                }
                Err(error) => failed = Some(error),
            }
            if answer.entries.len() >= CHUNK {
                listens = to.blocking_send(Ok(std::mem::take(&mut answer))).is_ok();
            }
            failed.is_none() && listens
        })?;
        if let Some(error) = failed {
            return Err(error.into());
        }
        if listens && (answer.export.is_some() || !answer.entries.is_empty()) {
            // Whoever went away does not need it.
            let _ = to.blocking_send(Ok(answer));
        }
        Ok(())
    }
}

fn api_entry(leaf: Leaf) -> pb::LedgerEntry {
    pb::LedgerEntry {
        index: leaf.index,
        time: Some(timestamp(leaf.at())),
        kind: leaf.kind(),
        leaf: leaf.text,
        inclusion_proof: Vec::new(),
    }
}

impl From<LedgerError> for Fault {
    fn from(error: LedgerError) -> Self {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        if let Some(unsaid) = NO_LEDGER.due() {
            tracing::error!(%error, cause, unsaid, "the ledger did not answer");
        }
        match error {
            LedgerError::Full => Self::of(Cause::StoreFull, error.to_string()).spread(Duration::from_secs(5)),
            LedgerError::Damaged { .. } => {
                Self::of(Cause::Damaged, "the ledger is damaged on disk; the operator has to act")
            }
            LedgerError::File(_)
            | LedgerError::Failed
            | LedgerError::Conflict { .. }
            | LedgerError::Gap { .. }
            | LedgerError::NotAnEntry { .. } => {
                Self::of(Cause::Unavailable, "the ledger cannot be read or written now; try again")
                    .spread(Duration::from_secs(5))
            }
        }
    }
}

/// Does work that reads the disk off the threads that serve requests.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    let failed = |_| Fault::of(Cause::Internal, "the collector failed on this request; it is logged");
    tokio::task::spawn_blocking(work).await.map_err(failed)?
}

#[tonic::async_trait]
impl LedgerService for LedgerDoor {
    async fn get_ledger_checkpoint(
        &self,
        request: Request<pb::GetLedgerCheckpointRequest>,
    ) -> Result<Response<pb::LedgerCheckpoint>, Status> {
        let (door, since) = (self.clone(), request.into_inner().since_size);
        Ok(Response::new(aside(move || door.checkpoint(since)).await?.0))
    }

    async fn list_ledger_entries(
        &self,
        request: Request<pb::ListLedgerEntriesRequest>,
    ) -> Result<Response<pb::ListLedgerEntriesResponse>, Status> {
        let request = request.into_inner();
        let size = page::size(request.page_size)?;
        let before = page::after(&request.page_token, page::number)?;
        let ledger = self.ledger.clone();
        let listed = aside(move || {
            let before = before.unwrap_or(u64::MAX).min(ledger.head().size);
            let entries: Vec<_> = ledger.read_back(before, size)?.into_iter().map(api_entry).collect();
            let last = entries.last().map_or(0, |entry| entry.index);
            let next_page_token = if last > 0 { page::token(&last.to_be_bytes()) } else { String::new() };
            Ok(pb::ListLedgerEntriesResponse { entries, next_page_token })
        });
        Ok(Response::new(listed.await?))
    }

    type ExportLedgerStream = ReceiverStream<Result<pb::ExportLedgerResponse, Status>>;

    async fn export_ledger(
        &self,
        request: Request<pb::ExportLedgerRequest>,
    ) -> Result<Response<Self::ExportLedgerStream>, Status> {
        let (door, request) = (self.clone(), request.into_inner());
        let Ok(place) = Arc::clone(&self.exports).try_acquire_owned() else {
            let text = "other exports are in progress; try again";
            return Err(Fault::of(Cause::NoSlots, text).spread(Duration::from_secs(1)).into());
        };
        let since = request.since_size;
        let customer = aside(move || door.customer(&request)).await?;
        if since > self.ledger.head().size {
            return Err(Fault::field(
                "since_size",
                "is more than the ledger has: it is of another, or a cut one",
            )
            .into());
        }
        self.tell_sums().await?;
        self.note(Fact::Exported { customer }).await?;
        let (to, answers) = mpsc::channel(2);
        let door = self.clone();
        tokio::task::spawn_blocking(move || {
            if let Err(fault) = door.send(customer, since, &to) {
                let _ = to.blocking_send(Err(fault.into()));
            }
            drop(place);
        });
        Ok(Response::new(ReceiverStream::new(answers)))
    }
}
