//! Looking up pseudonyms: what is asked, checked; what is answered, in the words of the API.

use std::sync::Arc;

use super::{BY_BYTES, KeyDoor, REASON_BYTES};
use crate::grpc::admin::{aside, customer, no_participation, written};
use crate::grpc::proto::admin as pb;
use crate::grpc::status::Fault;
use crate::ledger::Fact;
use crate::model::{CustomerId, IdentifierClass};
use crate::policy::ClassUse;
use crate::sanitize::{LookUp, LookedUp};
use crate::store::CustomerEntry;

/// Values of one request, and bytes of each.
const VALUES: usize = 1_000;
const VALUE_BYTES: usize = 4_096;
/// Epochs of which pseudonyms are told: all that can be kept, even if the ratchets are late by some.
const EPOCHS: usize = 32;

/// What is asked, after its checks.
struct Question {
    customer: CustomerId,
    class: IdentifierClass,
    values: Vec<String>,
    by: String,
}

impl Question {
    fn read(request: pb::LookUpPseudonymRequest) -> Result<Self, Fault> {
        let by = written("requested_by", &request.requested_by, BY_BYTES)?;
        if !request.request_reason.is_empty() {
            written("request_reason", &request.request_reason, REASON_BYTES)?;
        }
        let customer = customer("customer", &request.customer)?;
        let class: IdentifierClass = request
            .class
            .parse()
            .map_err(|e: crate::model::UnknownWord| Fault::field("class", e.to_string()))?;
        if class == IdentifierClass::NotIdentifying {
            return Err(Fault::field("class", "what is not identifying has no pseudonym"));
        }
        if request.values.is_empty() || request.values.len() > VALUES {
            return Err(Fault::field("values", "1 to 1000 are looked up at a time"));
        }
        // The value itself is not said: what is wrong goes into logs of clients.
        if let Some(at) = request.values.iter().position(|value| value.len() > VALUE_BYTES) {
            return Err(Fault::field(format!("values[{at}]"), "a value has at most 4096 bytes"));
        }
        Ok(Self { customer, class, values: request.values, by })
    }
}

impl KeyDoor {
    pub(super) async fn look_up(
        self: &Arc<Self>,
        request: pb::LookUpPseudonymRequest,
    ) -> Result<pb::LookUpPseudonymResponse, Fault> {
        let question = Question::read(request)?;
        let (door, id) = (Arc::clone(self), question.customer.clone());
        let entry = aside(move || door.customers.get(&id)).await??.ok_or_else(no_participation)?;
        // Before the answer: what was looked up and not recorded would be a look-up that nobody knows of.
        let programs = self.policy.load().programs().iter().map(|program| program.name().clone()).collect();
        let fact = Fact::PseudonymLookedUp { customer: entry.key, class: question.class, programs };
        let recorded = self.record(&fact, "pseudonyms are looked up", &question.by);
        self.store.write_meta(vec![recorded], true).await?;
        let door = Arc::clone(self);
        aside(move || door.answer(&entry, &question)).await?
    }

    fn answer(
        &self,
        entry: &CustomerEntry,
        question: &Question,
    ) -> Result<pb::LookUpPseudonymResponse, Fault> {
        let (policy, now) = (self.policy.load(), self.clock.now());
        let present = self.store.rotation().epoch(now);
        let programs = policy.programs().iter().map(crate::policy::Program::name);
        let epochs = self.store.live_epochs(entry, now)?.told_at(now, EPOCHS);
        let mut look_up = LookUp::new(&entry.secret, question.class, programs, &epochs);
        let values = question.values.iter().map(|value| value_pseudonyms(look_up.of(value))).collect();
        let uses = policy.class_uses(&[question.class], &entry.change.participation, &self.caps);
        Ok(pb::LookUpPseudonymResponse {
            values,
            uses: uses.into_iter().map(class_use).collect(),
            epoch: present,
        })
    }
}

fn value_pseudonyms(found: LookedUp) -> pb::ValuePseudonyms {
    let mut value = pb::ValuePseudonyms::default();
    match found {
        LookedUp::Known(word) => word.clone_into(&mut value.known_word),
        LookedUp::Malformed(form) => form.clone_into(&mut value.problem),
        LookedUp::Pseudonyms(all) => {
            let pseudonyms = all.into_iter().map(|one| pb::Pseudonym {
                program: one.program.to_string(),
                text: one.text,
                stable: one.epoch.is_none(),
                epoch: one.epoch.unwrap_or_default(),
                bridged: one.bridged,
            });
            value.pseudonyms = pseudonyms.collect();
        }
    }
    value
}

fn class_use(of: ClassUse) -> pb::ClassUse {
    pb::ClassUse {
        program: of.program.to_string(),
        product: of.product.to_string(),
        level: of.level.to_string(),
        treatments: of.treatments.into_iter().map(str::to_owned).collect(),
    }
}
