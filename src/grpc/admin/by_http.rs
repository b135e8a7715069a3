//! Explaining for the admin port: the same questions and answers as over gRPC, as JSON.

use std::sync::Arc;

use prost::Message as _;
use serde_json::Value as Json;

use super::AdminDoor;
use crate::grpc::json::{event, explained};
use crate::grpc::proto::admin as pb;
use crate::grpc::proto::drain::Batch;
use crate::grpc::proto::ingest::{Event, SubmitRequest};
use crate::grpc::status::{Cause, Fault};

/// The id of a batch that is only explained.
const EXAMPLE_ID: &str = "00000000-0000-4000-8000-000000000000";

/// Events that are pasted to be explained.
pub struct EventsAsk {
    /// The product that they are of.
    pub product: String,
    /// Explain as for this customer; when empty, for a made-up one at each level.
    pub customer: String,
    /// The region overlay to apply; empty for none.
    pub region: String,
    /// One event a line, as `usaged send` takes it.
    pub events: String,
}

impl AdminDoor {
    /// What each level would store of pasted events. Nothing of them is stored or logged; as for a customer, the ledger is
    /// told that it was asked.
    ///
    /// # Errors
    /// If they are no events or too many, or there is no such customer or region.
    pub async fn explain_events(self: &Arc<Self>, ask: EventsAsk) -> Result<Json, Fault> {
        let sent = events(&ask.events)?;
        let EventsAsk { product, customer, region, .. } = ask;
        let submit = SubmitRequest {
            batch_id: EXAMPLE_ID.to_owned(),
            product,
            events: sent,
            ..SubmitRequest::default()
        };
        let request =
            pb::ExplainEventRequest { submit_request: submit.encode_to_vec().into(), customer, region };
        let told = self.explain_event(request).await?;
        let unreadable = |_| Fault::of(Cause::Internal, "the stored form cannot be read back");
        let mut levels = Vec::with_capacity(told.levels.len());
        for level in told.levels {
            let batch = Batch::decode(&*level.batch).map_err(unreadable)?;
            levels.push((level, batch));
        }
        Ok(explained::events(&submit.events, &told.policy_version, &levels))
    }

    /// What became of a batch.
    ///
    /// # Errors
    /// If there is no such customer, or no batch of it is remembered under this id.
    pub async fn explain_stored(self: &Arc<Self>, customer: String, batch_id: String) -> Result<Json, Fault> {
        let request = pb::ExplainBatchRequest { customer, batch_id };
        let told = self.explaining(move |door| door.explain_batch(&request)).await?;
        Ok(explained::batch(&told))
    }
}

/// Reads events, one a line.
fn events(text: &str) -> Result<Vec<Event>, Fault> {
    let lines = (1_usize..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    let parse =
        |(at, line)| event::parse(line).map_err(|what| Fault::field("events", format!("line {at}: {what}")));
    lines.map(parse).collect()
}
