//! `GetCollectionPlan`: what is wanted, as the API says it.

use prost::Message as _;

use super::receipt::reason;
use crate::grpc::proto::ingest::{self as pb, collection_plan::State, field_plan};
use crate::grpc::status::{Cause, Fault};
use crate::grpc::times::api_duration;
use crate::ingest::fair::Account;
use crate::ingest::{CollectionPlan, Intake, PlanAsk};
use crate::model::{CustomerId, Raw, RawText, Reason, limits};
use crate::policy::{CollectionState, EventWish, FieldWish, ProgramWish, Wish};

/// Bytes of a request: a product, a region and a few caps. So bounded, it decodes to little.
const REQUEST_BYTES: usize = 16 * 1024;

/// Answers the request in `message`.
pub(super) async fn answer(
    intake: &Intake,
    account: &Account,
    customer: &CustomerId,
    message: &[u8],
) -> Result<pb::CollectionPlan, Fault> {
    if message.len() > REQUEST_BYTES {
        return Err(Fault::of(Cause::TooLarge, "a request for a plan is at most 16 KiB"));
    }
    let malformed = |_| Fault::of(Cause::Malformed, "the message is not what the API declares");
    let request = pb::GetCollectionPlanRequest::decode(message).map_err(malformed)?;
    if request.product.is_empty() || request.product.len() > limits::NAME_BYTES {
        return Err(Fault::field("product", "name the product that reports, in 1 to 128 bytes"));
    }
    if request.level_caps.len() > limits::LEVEL_CAPS {
        return Err(Fault::field("level_caps", "at most 16 are allowed"));
    }
    let caps = request.level_caps.iter().map(|cap| (raw(&cap.program), raw(&cap.level)));
    let ask =
        PlanAsk { product: raw(&request.product), region: raw(&request.region), level_caps: caps.collect() };
    Ok(response(&intake.plan_on(account, customer, &ask).await?))
}

const fn raw(text: &str) -> RawText<'_> {
    Raw::new(text.as_bytes())
}

fn response(plan: &CollectionPlan) -> pb::CollectionPlan {
    let wanted = &plan.wanted;
    let refused = match wanted.state {
        CollectionState::Paused => Some("the customer has paused: stop collecting, and ask again later"),
        CollectionState::Deliver | CollectionState::Audit | CollectionState::Disabled => {
            wanted.refused.map(Reason::remedy)
        }
    };
    pb::CollectionPlan {
        state: plan_state(wanted.state).into(),
        plan_version: wanted.version.to_string(),
        time_to_live: Some(api_duration(plan.time_to_live)),
        reason: api_reason(wanted.refused),
        remedy: refused.unwrap_or_default().to_owned(),
        programs: wanted.programs.iter().map(program).collect(),
        events: wanted.events.iter().map(event).collect(),
        dictionary_version: wanted.dictionary_version,
        accepted_version: wanted.accepted_version,
        policy_version: plan.policy_version.to_string(),
    }
}

/// The state of a plan.
pub(super) const fn plan_state(state: CollectionState) -> State {
    match state {
        CollectionState::Deliver => State::Deliver,
        CollectionState::Audit => State::Audit,
        CollectionState::Paused => State::Paused,
        CollectionState::Disabled => State::Disabled,
    }
}

fn api_reason(given: Option<Reason>) -> i32 {
    given.map_or(pb::Reason::Unspecified, reason).into()
}

fn program(wish: &ProgramWish) -> pb::ProgramPlan {
    pb::ProgramPlan {
        program: wish.program.to_string(),
        level: wish.level.to_string(),
        customer_form: wish.customer.clone(),
        instance_form: wish.instance.clone(),
    }
}

fn event(wish: &EventWish) -> pb::EventPlan {
    pb::EventPlan {
        name: wish.name.to_string(),
        program: wish.program.to_string(),
        wanted: wish.withheld.is_none(),
        reason: api_reason(wish.withheld),
        fields: wish.fields.iter().map(field).collect(),
    }
}

fn field(wish: &FieldWish) -> pb::FieldPlan {
    let no_marker = String::new();
    let (api, (treatment, form), withheld, marker) = match &wish.wish {
        Wish::Stored { treatment, form } => {
            (field_plan::Wish::Wanted, (*treatment, form.as_str()), None, no_marker)
        }
        Wish::Context(reason) => (field_plan::Wish::Context, ("", ""), Some(*reason), no_marker),
        Wish::Cut(reason, class) => {
            (field_plan::Wish::NotWanted, ("", ""), Some(*reason), format!("[{class}]"))
        }
        Wish::Unwanted(reason) => (field_plan::Wish::NotWanted, ("", ""), Some(*reason), no_marker),
    };
    pb::FieldPlan {
        path: wish.path.to_string(),
        wish: api.into(),
        treatment: treatment.to_owned(),
        form: form.to_owned(),
        reason: api_reason(withheld),
        marker,
    }
}
