//! The part of the leak hunt that asks: what is wanted, what would be stored, what is stored.

use prost::Message as _;
use usaged::grpc::client::of_customer;
use usaged::grpc::proto::admin::admin_service_client::AdminServiceClient;
use usaged::grpc::proto::admin::{ExplainBatchRequest, ExplainEventRequest, ListStoredBatchesRequest};
use usaged::grpc::proto::ingest::ingest_service_client::IngestServiceClient;
use usaged::grpc::proto::ingest::submit_response::State;
use usaged::grpc::proto::ingest::{GetCollectionPlanRequest, ProgramLevel, SubmitRequest};

use crate::hunt_canary::{Canary, Place};
use crate::hunt_cast::{Fill, Member};
use crate::leak_hunt::Hunt;

/// Asks what is wanted, with canaries wherever a sender can write something.
pub async fn ask_about_plans(hunt: &mut Hunt, cast: &[Member]) {
    let mut client = IngestServiceClient::new(hunt.channel.clone());
    for member in cast {
        let mut canary = |what: &str| {
            let canary = Canary { what: format!("{what} of a plan, {}", member.part), ..Canary::default() };
            hunt.sent.text(canary, usaged::model::IdentifierClass::HostName)
        };
        let cap = ProgramLevel { program: canary("program"), level: canary("level") };
        let (product, region) = (canary("product"), canary("region"));
        let ask = |product: &str| GetCollectionPlanRequest { product: product.into(), ..Default::default() };
        for request in [
            ask("vcenter"),
            ask(&product),
            GetCollectionPlanRequest { region, ..ask("vcenter") },
            GetCollectionPlanRequest { level_caps: vec![cap], ..ask("vcenter") },
            ask(&product.repeat(9)),
        ] {
            let answer = client.get_collection_plan(of_customer(request, member.id()).unwrap()).await;
            hunt.look_at(Place::Outside, &answer);
        }
    }
}

/// Asks as an operator: what would be stored of events, what is stored of a customer, what became of a
/// batch. The answers to the first hold what was asked about; that nothing of it is kept or logged is
/// looked for afterwards.
pub async fn ask_what_is_stored(hunt: &mut Hunt, cast: &[Member]) {
    let mut admin = AdminServiceClient::new(hunt.channel.clone());
    for member in cast {
        for product in 0..hunt.policy.products().len() {
            let begun = hunt.sent.canaries.len();
            let batch = hunt.batch(member, product, Fill::Good);
            hunt.sent.keep_none_since(begun);
            for events in batch.events.chunks(16) {
                let part = SubmitRequest { events: events.to_vec(), ..batch.clone() };
                for customer in [member.id().to_string(), String::new()] {
                    let submit_request = part.encode_to_vec().into();
                    let ask = ExplainEventRequest { submit_request, customer, ..Default::default() };
                    let told = admin.explain_event(ask).await;
                    assert!(told.is_ok() || !member.is_registered, "{told:?}");
                    hunt.look_at(Place::Outside, &told.map(drop));
                }
            }
            let broken = batch.encode_to_vec();
            let submit_request = broken[..broken.len() - 3].to_vec().into();
            let ask = ExplainEventRequest { submit_request, ..Default::default() };
            let refused = admin.explain_event(ask).await;
            hunt.look_at(Place::Outside, &refused);

            // A batch that is stored, by its id.
            let batch = hunt.batch(member, product, Fill::Good);
            let sent = hunt.send(member.id(), &batch.encode_to_vec().into()).await;
            let ask = ExplainBatchRequest { customer: member.id().to_string(), batch_id: batch.batch_id };
            let told = admin.explain_batch(ask).await;
            let is_stored = sent.is_ok_and(|state| state == i32::from(State::Stored));
            assert_eq!(told.is_ok(), is_stored, "{told:?}");
            match told {
                Ok(told) => {
                    hunt.look(Place::Stored, "an explained batch", &told.into_inner().encode_to_vec())
                }
                refused => hunt.look_at(Place::Outside, &refused),
            }
        }
        let (customer, mut page_token) = (member.id().to_string(), String::new());
        loop {
            let ask = ListStoredBatchesRequest { customer: customer.clone(), page_size: 3, page_token };
            let Ok(page) = admin.list_stored_batches(ask).await.map(tonic::Response::into_inner) else {
                break;
            };
            hunt.look(Place::Stored, "a list of what is stored", &page.encode_to_vec());
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
    }
}
