//! `usaged.admin.v1.AdminService`: what an operator may ask.

mod accept;
mod by_http;
mod convert;
mod count;
mod explain;
mod explained;
mod registry;
mod reloads;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::{Request, Response, Status, Streaming};

pub use self::by_http::EventsAsk;
use self::convert::api_participation;
pub(super) use self::convert::written;
pub(in crate::grpc) use self::convert::{customer, participation};
use self::registry::Registry;
pub use self::reloads::{
    LastConfiguration, LastReload, NotReloaded, Reload, ReloadOutcome, Reloading, Reloads,
};
use super::identity::Access;
use super::page;
use super::proto::admin as pb;
use super::proto::admin::admin_service_server::AdminService;
use super::services::Behind;
use super::status::{Cause, Fault};
use super::times::timestamp;
use crate::drain::Drain;
use crate::ingest;
use crate::model::{CustomerId, UnixMillis};
use crate::observe::Clock;
use crate::policy::PolicyFile;
use crate::store::Customers;

/// The operators' door.
pub struct AdminDoor {
    registry: Registry,
    customers: Customers,
    drain: Drain,
    clock: Clock,
    ingest: ingest::Options,
    reload: Reload,
    reloads: Option<Reloads>,
    started: UnixMillis,
    explaining: Arc<Semaphore>,
    importing: Arc<Semaphore>,
    counting: Arc<Semaphore>,
}

/// Imports at a time.
const IMPORTING: usize = 4;

/// Counts of customers at a time: each reads thousands of rows.
const COUNTING: usize = 2;

/// Requests to explain something, or to show what is stored, at a time.
const EXPLAINING: usize = 2;

impl AdminDoor {
    /// Opens the door. `ingest` is what ingest goes by, so that what is explained is what is stored.
    pub(super) fn new(
        behind: &Behind,
        ingest: ingest::Options,
        (reload, reloads): (Reload, Option<Reloads>),
    ) -> Self {
        let registry = Registry {
            store: behind.store.clone(),
            policy: behind.policy.clone(),
            amend: behind.amend.clone(),
            refusals: ingest.refusals.clone(),
        };
        Self {
            registry,
            customers: behind.customers.clone(),
            drain: behind.drain.clone(),
            clock: behind.clock.clone(),
            ingest,
            reload,
            reloads,
            started: behind.clock.now(),
            explaining: Arc::new(Semaphore::new(EXPLAINING)),
            importing: Arc::new(Semaphore::new(IMPORTING)),
            counting: Arc::new(Semaphore::new(COUNTING)),
        }
    }
}

pub(super) fn no_participation() -> Fault {
    Fault::of(Cause::NoParticipation, "this customer never had a participation; set one first")
}

/// A place among few.
fn place(places: &Arc<Semaphore>, none: &'static str) -> Result<OwnedSemaphorePermit, Fault> {
    let refused = |_| Fault::of(Cause::NoSlots, none).spread(Duration::from_secs(1));
    Arc::clone(places).try_acquire_owned().map_err(refused)
}

/// Does work that takes long, or may wait for a disk, off the threads that serve requests.
pub(super) async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Fault> {
    let failed = |_| Fault::of(Cause::Internal, "the collector failed on this request; it is logged");
    tokio::task::spawn_blocking(work).await.map_err(failed)
}

#[tonic::async_trait]
impl AdminService for Arc<AdminDoor> {
    async fn set_participation(
        &self,
        request: Request<pb::SetParticipationRequest>,
    ) -> Result<Response<pb::Participation>, Status> {
        let changed_by = Access::by(&request, &request.get_ref().changed_by);
        let request = pb::SetParticipationRequest { changed_by, ..request.into_inner() };
        let change = self.registry.set(request).await?;
        Ok(Response::new(api_participation(&change)))
    }

    async fn get_participation(
        &self,
        request: Request<pb::GetParticipationRequest>,
    ) -> Result<Response<pb::Participation>, Status> {
        let id = customer("customer", &request.into_inner().customer)?;
        let store = self.registry.store.clone();
        let known = aside(move || store.customer(&id)).await?.map_err(Fault::from)?;
        let known = known.ok_or_else(no_participation)?;
        Ok(Response::new(api_participation(&known.change)))
    }

    async fn list_participations(
        &self,
        request: Request<pb::ListParticipationsRequest>,
    ) -> Result<Response<pb::ListParticipationsResponse>, Status> {
        let request = request.into_inner();
        let size = page::size(request.page_size)?;
        let after = page::after(&request.page_token, |key| CustomerId::new(page::text(key)?).ok())?;
        let store = self.registry.store.clone();
        let changes =
            aside(move || store.list_customers(after.as_ref(), size)).await?.map_err(Fault::from)?;
        let last = changes.last().filter(|_| changes.len() >= size);
        let next_page_token = last.map(|c| page::token(c.participation.customer.as_str().as_bytes()));
        Ok(Response::new(pb::ListParticipationsResponse {
            participations: changes.iter().map(api_participation).collect(),
            next_page_token: next_page_token.unwrap_or_default(),
        }))
    }

    async fn import_participations(
        &self,
        request: Request<Streaming<pb::ImportParticipationsRequest>>,
    ) -> Result<Response<pb::ImportParticipationsResponse>, Status> {
        let _place = place(&self.importing, "other imports are in progress; try again")?;
        let (metadata, extensions, requests) = request.into_parts();
        let request = Request::from_parts(metadata, extensions, ());
        Ok(Response::new(self.registry.import(requests, |said| Access::by(&request, said)).await?))
    }

    async fn list_participation_changes(
        &self,
        request: Request<pb::ListParticipationChangesRequest>,
    ) -> Result<Response<pb::ListParticipationChangesResponse>, Status> {
        let request = request.into_inner();
        let id = customer("customer", &request.customer)?;
        let size = page::size(request.page_size)?;
        let before = page::after(&request.page_token, page::number)?;
        let store = self.registry.store.clone();
        let changes = aside(move || store.history(&id, before, size)).await?.map_err(Fault::from)?;
        if changes.is_empty() && before.is_none() {
            return Err(no_participation().into());
        }
        let last = changes.last().filter(|c| changes.len() >= size && c.revision > 1);
        let next_page_token = last.map(|c| page::token(&c.revision.to_be_bytes())).unwrap_or_default();
        Ok(Response::new(pb::ListParticipationChangesResponse {
            changes: changes.iter().map(api_participation).collect(),
            next_page_token,
        }))
    }

    async fn accept_dictionary(
        &self,
        request: Request<pb::AcceptDictionaryRequest>,
    ) -> Result<Response<pb::AcceptDictionaryResponse>, Status> {
        let changed_by = Access::by(&request, &request.get_ref().changed_by);
        let request = pb::AcceptDictionaryRequest { changed_by, ..request.into_inner() };
        let accepted = accept::accept(&self.registry, &self.ingest.level_caps, request);
        Ok(Response::new(accepted.await?))
    }

    async fn count_participations(
        &self,
        request: Request<pb::CountParticipationsRequest>,
    ) -> Result<Response<pb::CountParticipationsResponse>, Status> {
        let token = request.into_inner().page_token;
        let place = place(&self.counting, "other customers are being counted; try again")?;
        let (store, policy) = (self.registry.store.clone(), self.registry.policy.load());
        let counted = aside(move || {
            let counted = count::count(&store, &token);
            drop(place);
            counted
        });
        let counted = counted.await??;
        Ok(Response::new(pb::CountParticipationsResponse {
            level_caps: convert::api_levels(&self.ingest.level_caps),
            policy_version: policy.version().to_owned(),
            ..counted
        }))
    }

    type ReadPolicyStream = tokio_stream::Iter<std::vec::IntoIter<Result<pb::ReadPolicyResponse, Status>>>;

    async fn read_policy(
        &self,
        _: Request<pb::ReadPolicyRequest>,
    ) -> Result<Response<Self::ReadPolicyStream>, Status> {
        let policy = self.registry.policy.load();
        let file = |file: &PolicyFile| pb::ReadPolicyResponse {
            path: file.path.clone(),
            text: file.text.clone(),
            policy_version: policy.version().to_owned(),
        };
        let files: Vec<_> = policy.files().iter().map(file).map(Ok).collect();
        Ok(Response::new(tokio_stream::iter(files)))
    }

    async fn reload_policy(
        &self,
        _: Request<pb::ReloadPolicyRequest>,
    ) -> Result<Response<pb::ReloadPolicyResponse>, Status> {
        let (policy_version, changed) = (self.reload)().await.map_err(Fault::from)?;
        Ok(Response::new(pb::ReloadPolicyResponse { policy_version, changed }))
    }

    async fn explain_event(
        &self,
        request: Request<pb::ExplainEventRequest>,
    ) -> Result<Response<pb::ExplainEventResponse>, Status> {
        let request = request.into_inner();
        Ok(Response::new(self.explain_event(request).await?))
    }

    async fn explain_batch(
        &self,
        request: Request<pb::ExplainBatchRequest>,
    ) -> Result<Response<pb::ExplainBatchResponse>, Status> {
        let request = request.into_inner();
        Ok(Response::new(self.explaining(move |door| door.explain_batch(&request)).await?))
    }

    async fn list_stored_batches(
        &self,
        request: Request<pb::ListStoredBatchesRequest>,
    ) -> Result<Response<pb::ListStoredBatchesResponse>, Status> {
        let request = request.into_inner();
        Ok(Response::new(self.explaining(move |door| door.stored_batches(&request)).await?))
    }

    async fn get_status(&self, _: Request<pb::GetStatusRequest>) -> Result<Response<pb::Status>, Status> {
        let status = self.registry.store.status();
        Ok(Response::new(pb::Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            policy_version: self.registry.policy.load().version().to_owned(),
            start_time: Some(timestamp(self.started)),
            commit_number: status.head.0,
            oldest_commit_number: status.oldest.0,
            store_bytes: status.bytes,
            segments: u32::try_from(status.segments).unwrap_or(u32::MAX),
            damaged_records: status.damaged,
            customers: status.customers,
            last_reload: self.reloads.as_ref().and_then(Reloads::of_policy),
            last_configuration_reload: self.reloads.as_ref().and_then(Reloads::of_configuration),
        }))
    }
}
