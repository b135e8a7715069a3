//! The operators' questions: what would be stored of an event, what became of a batch, what is stored of a
//! customer. The answers go to the operator who asked and nowhere else.

use std::sync::Arc;

use super::convert::customer;
use super::explained::{events, receipt, record, standing};
use super::{AdminDoor, aside, no_participation, place};
use crate::grpc::page;
use crate::grpc::proto::admin as pb;
use crate::grpc::status::{Cause, Fault};
use crate::ingest::{
    Content, EventShape, Explain, LevelExplanation, Opened, Since, WhyStored, changes_since, find_batch,
    list_stored,
};
use crate::ledger::{Entry, Fact};
use crate::model::{BatchId, CommitNumber, CustomerId, RegionName};
use crate::policy::Policy;
use crate::sanitize::wire::Head;
use crate::store::{CustomerEntry, MetaOp};

/// Events of one request to explain: each is sanitised once for every level of every program.
const EXPLAINED: u32 = 16;

impl AdminDoor {
    /// Does `work` off the threads that serve requests, one of a few at a time.
    pub(super) async fn explaining<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let place = place(&self.explaining, "other events and batches are being explained; try again")?;
        let door = Arc::clone(self);
        let done = aside(move || {
            let done = work(&door);
            // Here, because the caller may be gone long before.
            drop(place);
            done
        });
        done.await?
    }

    /// The customer that a caller names.
    fn entry(&self, given: &str) -> Result<Arc<CustomerEntry>, Fault> {
        let id: CustomerId = customer("customer", given)?;
        self.customers.get(&id)?.ok_or_else(no_participation)
    }

    /// What each level would store of an event. As for a customer it tells the pseudonyms of what is in it, so it is on
    /// the ledger before the answer is given.
    pub(super) async fn explain_event(
        self: &Arc<Self>,
        request: pb::ExplainEventRequest,
    ) -> Result<pb::ExplainEventResponse, Fault> {
        if !request.customer.is_empty() {
            let (door, given) = (Arc::clone(self), request.customer.clone());
            let customer = aside(move || door.entry(&given)).await??.key;
            let policy = self.registry.policy.load();
            let programs = policy.programs().iter().map(|program| program.name().clone()).collect();
            let fact = Fact::EventsExplained { customer, programs };
            let entry = Entry { at: self.clock.now(), fact }.to_bytes();
            self.registry.store.write_meta(vec![MetaOp::Ledger(entry)], true).await?;
        }
        self.explaining(move |door| door.explain(&request)).await
    }

    fn explain(&self, request: &pb::ExplainEventRequest) -> Result<pb::ExplainEventResponse, Fault> {
        let region = match request.region.as_str() {
            "" => None,
            name => Some(RegionName::new(name).map_err(|invalid| Fault::field("region", invalid.rule))?),
        };
        let (policy, now) = (self.registry.policy.load(), self.clock.now());
        let policy_version = policy.version().to_owned();
        if region.as_ref().is_some_and(|region| !policy.regions().contains(region)) {
            return Err(Fault::field("region", "the policy has no such region"));
        }
        // What is not a request is told below.
        if Head::read(&request.submit_request).is_ok_and(|head| head.events > EXPLAINED) {
            return Err(Fault::field("submit_request.events", "at most 16 are explained at a time"));
        }
        let explain = if request.customer.is_empty() {
            Explain::for_anyone(policy, region, now)?
        } else {
            let entry = self.entry(&request.customer)?;
            let secret = Arc::clone(&entry.secret);
            let participation = &entry.change.participation;
            Explain::for_customer(policy, participation, secret, now, self.ingest.rotation)
                .in_region(region)
                .under(&self.ingest.level_caps)
                .without(entry.suppressed.as_ref())
        };
        let levels = explain.explain(&request.submit_request)?;
        let events = explain.shapes(&request.submit_request)?;
        Ok(pb::ExplainEventResponse {
            levels: levels.into_iter().map(level).collect(),
            policy_version,
            events: events.into_iter().map(shape).collect(),
        })
    }

    /// What became of a batch.
    pub(super) fn explain_batch(
        &self,
        request: &pb::ExplainBatchRequest,
    ) -> Result<pb::ExplainBatchResponse, Fault> {
        let entry = self.entry(&request.customer)?;
        let id = BatchId::parse(request.batch_id.as_bytes());
        let id = id.map_err(|invalid| Fault::field("batch_id", invalid.rule))?;
        let store = &self.registry.store;
        let found = find_batch(store, &entry, &id)?.ok_or_else(|| {
            let hours = self.clock.now().ms_since(store.remembers_since()) / 3_600_000;
            Fault::of(
                Cause::NoBatch,
                format!(
                    "no batch of this customer is remembered under this id: it was not received, or nothing of it \
                     was stored (its receipt said DISABLED or NOTHING_STORED), or that is longer ago than ids are \
                     remembered, at least {hours} h"
                ),
            )
        })?;
        let policy = self.registry.policy.load();
        let mut response = receipt(&found.receipt, policy.version());
        let records = found.records.into_iter().map(|opened| self.explain_record(&policy, &entry, opened));
        response.records = records.collect::<Result<_, _>>()?;
        Ok(response)
    }

    fn explain_record(
        &self,
        policy: &Policy,
        entry: &CustomerEntry,
        opened: Opened,
    ) -> Result<pb::StoredRecord, Fault> {
        let commit = opened.commit;
        let header = match &opened.content {
            Content::Whole(header, _) => Some(header.clone()),
            Content::Damaged | Content::Reduced | Content::Gone => None,
        };
        let mut record = record(opened);
        if let Some(header) = header {
            let participation = &entry.change.participation;
            record.explained = events(&record.batch, &WhyStored::new(policy, &header, participation));
            let since = Since {
                header: &header,
                policy_version: &record.policy_version,
                participation,
                bound: self.drain.bound(&header)?,
                caps: &self.ingest.level_caps,
            };
            record.notes = changes_since(policy, &since);
            record.standings = self.drain.standings(&header, commit)?.iter().map(standing).collect();
        }
        Ok(record)
    }

    /// What is stored of a customer.
    pub(super) fn stored_batches(
        &self,
        request: &pb::ListStoredBatchesRequest,
    ) -> Result<pb::ListStoredBatchesResponse, Fault> {
        let entry = self.entry(&request.customer)?;
        let size = page::size(request.page_size)?;
        let store = &self.registry.store;
        let from =
            page::after(&request.page_token, page::number)?.map_or_else(|| store.oldest(), CommitNumber);
        let stored = list_stored(store, &entry, from, size)?;
        let next_page_token = stored.next.map(|next| page::token(&next.0.to_be_bytes()));
        Ok(pb::ListStoredBatchesResponse {
            records: stored.records.into_iter().map(record).collect(),
            next_page_token: next_page_token.unwrap_or_default(),
        })
    }
}

fn level(explained: LevelExplanation) -> pb::LevelExplanation {
    let fields = explained.fields.into_iter();
    pb::LevelExplanation {
        program: explained.program.to_string(),
        level: explained.level.to_string(),
        batch: explained.batch.into(),
        fields: fields
            .map(|f| pb::FieldExplanation { place: f.place, treatment: f.treatment.to_owned(), why: f.why })
            .collect(),
        in_force: explained.in_force,
    }
}

fn shape(shape: EventShape) -> pb::EventShape {
    pb::EventShape { name: shape.name, program: shape.program, paths: shape.paths }
}
