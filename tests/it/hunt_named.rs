//! What the leak hunt over erasures sends and does first: for each class of identifiers a batch of which one will be
//! erased, and dead letters of everything.

use std::collections::BTreeSet;
use std::ops::Range;

use prost::Message as _;
use usaged::grpc::proto::drain::drain_service_client::DrainServiceClient;
use usaged::grpc::proto::drain::{
    CreateSubscriptionRequest, ModifyAckDeadlineRequest, PullRequest, Subscription,
};
use usaged::grpc::proto::ingest::{Event, SubmitRequest, value::Kind as Wire};
use usaged::model::{IdentifierClass as Class, Purpose, Purposes};
use usaged::policy::{Action, Kind, Shape, compile, shipped};

use crate::hunt_canary::Sent;
use crate::hunt_cast::{Fill, Member};
use crate::leak_hunt::Hunt;

/// A batch of which one identifier will be erased.
pub struct Named {
    pub class: Class,
    pub value: String,
    pub batch: SubmitRequest,
    pub canaries: Range<usize>,
}

/// Sends one for each class of identifiers that is stored under a pseudonym or as it is, of everything in all products.
pub async fn send_each_class(hunt: &mut Hunt, member: &Member) -> Vec<Named> {
    let policy = compile(&shipped()).unwrap().0;
    let (mut seen, mut named) = (BTreeSet::new(), Vec::new());
    for (number, product) in policy.products().iter().enumerate() {
        let plans = member.plans(&policy, product);
        for (at, declared) in product.events().iter().enumerate() {
            let plan = plans[declared.program()].as_ref().unwrap();
            for (index, spec) in product.fields(declared) {
                let Shape::Scalar { kind: Kind::Text, action } = &plan.fields[index as usize].shape else {
                    continue;
                };
                let class = spec.class();
                let is_stored = matches!(action, Action::Pseudonym { .. } | Action::Keep(_));
                if !is_stored || class == Class::NotIdentifying || seen.contains(&class) {
                    continue;
                }
                let begun = hunt.sent.canaries.len();
                let batch = hunt.batch(member, number, Fill::Good);
                let canaries = begun..hunt.sent.canaries.len();
                let path = spec.path().as_str();
                let Some(field) = batch.events[at].fields.iter().find(|field| field.name == path) else {
                    // Not at the top of the event: this batch is not sent.
                    hunt.sent.keep_none_since(begun);
                    continue;
                };
                let Some(Wire::StringValue(value)) = field.value.as_ref().and_then(|one| one.kind.clone())
                else {
                    panic!("{path} is text")
                };
                hunt.send(member.id(), &batch.encode_to_vec().into()).await.unwrap();
                seen.insert(class);
                named.push(Named { class, value, batch, canaries });
            }
        }
    }
    named
}

impl Named {
    /// Nothing may be left of any event in which the identifier stands; of the others all that was agreed to. Gives how
    /// many go.
    pub fn keep_none(&self, sent: &mut Sent) -> usize {
        let value = self.value.as_bytes();
        let holds = |event: &&Event| memchr::memmem::find(&event.encode_to_vec(), value).is_some();
        let gone: Vec<_> = self.batch.events.iter().filter(holds).collect();
        for event in &gone {
            let prefix = format!("{} {} ", self.batch.product, event.name);
            let canaries = &mut sent.canaries[self.canaries.clone()];
            let own = canaries.iter_mut().filter(|canary| canary.what.starts_with(&prefix));
            own.for_each(|canary| canary.kept = Purposes::NONE);
        }
        gone.len()
    }
}

/// Makes dead letters of everything.
pub async fn give_up(hunt: &Hunt) {
    let mut drain = DrainServiceClient::new(hunt.channel.clone());
    let subscription = "given-up".to_owned();
    let new = Subscription {
        name: subscription.clone(),
        purpose: i32::from(Purpose::ALL.iter().position(|p| *p == Purpose::Improve).unwrap() as u8 + 1),
        recipient: "tests".into(),
        from_oldest: true,
        max_delivery_attempts: 1,
        ..Subscription::default()
    };
    drain.create_subscription(CreateSubscriptionRequest { subscription: Some(new) }).await.unwrap();
    loop {
        let pull =
            PullRequest { subscription: subscription.clone(), max_batches: 100, ..PullRequest::default() };
        let batches = drain.pull(pull).await.unwrap().into_inner().batches;
        if batches.is_empty() {
            break;
        }
        let ack_ids = batches.into_iter().map(|batch| batch.ack_id).collect();
        let subscription = subscription.clone();
        drain
            .modify_ack_deadline(ModifyAckDeadlineRequest { subscription, ack_ids, ack_deadline: None })
            .await
            .unwrap();
    }
}
