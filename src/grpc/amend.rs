//! `usaged.admin.v1.ErasureService` and `BindingService`: erasing what is stored, and what a lowered level does to it.

use std::time::Duration;

use tonic::{Request, Response, Status};

use super::Options;
use super::admin::{customer, participation};
use super::counted::{Counted, followed, within};
use super::identity::{Access, Tokens};
use super::page;
use super::proto::admin as pb;
use super::proto::admin::binding_service_server::BindingService;
use super::proto::admin::erasure_service_server::ErasureService;
use super::status::{Cause, Fault};
use super::times::{timestamp, unix_millis};
use super::tokens::said;
use crate::amend::{
    Amend, AmendError, BindingReport, BindingStage, ErasureReport, NewErasure, Stage, Target,
};
use crate::model::{CustomerId, ErasureId, IdentifierClass, Participation};

/// The door to erasures and bindings.
#[derive(Clone)]
pub struct AmendDoor {
    amend: Amend,
    /// Tokens, which can name a customer: erasing it takes them, too.
    tokens: Tokens,
    /// How long is counted for one answer: shorter than a request may take, so that there is one.
    counts_within: Duration,
}

impl AmendDoor {
    /// Opens the door to `amend`, where erasing a customer takes its `tokens`, too.
    #[must_use]
    pub fn new(amend: Amend, tokens: Tokens, options: &Options) -> Self {
        Self { amend, tokens, counts_within: options.request_deadline / 4 * 3 }
    }
}

#[tonic::async_trait]
impl ErasureService for AmendDoor {
    type CountErasureStream = Counted<pb::CountErasureResponse>;

    async fn count_erasure(
        &self,
        request: Request<pb::EraseRequest>,
    ) -> Result<Response<Self::CountErasureStream>, Status> {
        use pb::count_erasure_response::Told;
        let by = said("requested_by", &Access::by(&request, &request.get_ref().requested_by))?;
        let (amend, wanted) = (self.amend.clone(), wanted(request.into_inner(), by)?);
        let progress = |at| pb::CountErasureResponse { told: Some(Told::Progress(at)) };
        Ok(followed(progress, |heed| async move {
            let report = amend.preview_erasure(wanted, heed).await?;
            Ok(pb::CountErasureResponse { told: Some(Told::Counted(erasure(&report))) })
        }))
    }

    async fn erase(&self, request: Request<pb::EraseRequest>) -> Result<Response<pb::Erasure>, Status> {
        let by = said("requested_by", &Access::by(&request, &request.get_ref().requested_by))?;
        let request = request.into_inner();
        let dry_run = request.dry_run;
        let wanted = wanted(request, by)?;
        if dry_run {
            let report = within(self.counts_within, |heed| self.amend.preview_erasure(wanted, heed)).await?;
            return Ok(Response::new(erasure(&report)));
        }
        let tokens = matches!(wanted.target, Target::Customer).then(|| self.tokens.clone());
        let (customer, by) = (wanted.customer.clone(), wanted.by.clone());
        // Only once it is accepted: an erasure that is refused takes nobody's tokens.
        let forget = async move {
            match tokens {
                Some(tokens) => tokens.forget(&customer, &by).await,
                None => Ok(()),
            }
        };
        let report = self.amend.erase_after(wanted, forget).await.map_err(Fault::from)??;
        Ok(Response::new(erasure(&report)))
    }

    async fn get_erasure(
        &self,
        request: Request<pb::GetErasureRequest>,
    ) -> Result<Response<pb::Erasure>, Status> {
        let id = id(&request.into_inner().erasure_id)?;
        let report = self.amend.erasure(id).await.map_err(Fault::from)?;
        Ok(Response::new(erasure(&report)))
    }

    async fn list_erasures(
        &self,
        request: Request<pb::ListErasuresRequest>,
    ) -> Result<Response<pb::ListErasuresResponse>, Status> {
        let request = request.into_inner();
        let size = page::size(request.page_size)?;
        let skip = page::after(&request.page_token, page::number)?.unwrap_or(0);
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        let reports = self.amend.erasures(skip, size).await.map_err(Fault::from)?;
        let is_full = reports.len() >= size;
        let next = u64::try_from(skip.saturating_add(reports.len())).unwrap_or(u64::MAX);
        let next_page_token = if is_full { page::token(&next.to_be_bytes()) } else { String::new() };
        let erasures = reports.iter().map(erasure).collect();
        Ok(Response::new(pb::ListErasuresResponse { erasures, next_page_token }))
    }
}

#[tonic::async_trait]
impl BindingService for AmendDoor {
    async fn preview_binding(
        &self,
        request: Request<pb::PreviewBindingRequest>,
    ) -> Result<Response<pb::BindingReport>, Status> {
        let proposed = proposed(request.into_inner())?;
        let id = proposed.customer.clone();
        let report = within(self.counts_within, |heed| self.amend.preview_binding(proposed, heed)).await?;
        Ok(Response::new(binding(&id, &report)))
    }

    type CountBindingStream = Counted<pb::CountBindingResponse>;

    async fn count_binding(
        &self,
        request: Request<pb::PreviewBindingRequest>,
    ) -> Result<Response<Self::CountBindingStream>, Status> {
        use pb::count_binding_response::Told;
        let (amend, proposed) = (self.amend.clone(), proposed(request.into_inner())?);
        let progress = |at| pb::CountBindingResponse { told: Some(Told::Progress(at)) };
        Ok(followed(progress, |heed| async move {
            let id = proposed.customer.clone();
            let report = amend.preview_binding(proposed, heed).await?;
            Ok(pb::CountBindingResponse { told: Some(Told::Counted(binding(&id, &report))) })
        }))
    }

    async fn get_binding(
        &self,
        request: Request<pb::GetBindingRequest>,
    ) -> Result<Response<pb::BindingReport>, Status> {
        let id = customer("customer", &request.into_inner().customer)?;
        let report = self.amend.binding(&id).await.map_err(Fault::from)?;
        Ok(Response::new(binding(&id, &report)))
    }
}

fn id(given: &str) -> Result<ErasureId, Fault> {
    ErasureId::parse(given).map_err(|invalid| Fault::field("erasure_id", invalid.rule))
}

/// The participation that a caller considers.
fn proposed(request: pb::PreviewBindingRequest) -> Result<Participation, Fault> {
    let given = request.participation.ok_or_else(|| Fault::field("participation", "say what to set"))?;
    participation(&given)
}

/// What a caller asks to erase.
fn wanted(request: pb::EraseRequest, by: String) -> Result<NewErasure, Fault> {
    use pb::erase_request::Scope;
    let target = match request.scope {
        Some(Scope::WholeCustomer(true)) => Target::Customer,
        Some(Scope::Instance(instance)) => Target::Instance(instance.into()),
        Some(Scope::Identifier(pb::OriginalIdentifier { class, value })) => {
            let class = class.parse::<IdentifierClass>();
            let class = class.map_err(|error| Fault::field("identifier.class", error.to_string()))?;
            Target::Identifier { class, value: value.into() }
        }
        Some(Scope::Times(pb::TimeRange { from: Some(from), until: Some(until) })) => {
            Target::Times { from: unix_millis(&from), until: unix_millis(&until) }
        }
        Some(Scope::WholeCustomer(false) | Scope::Times(_)) | None => {
            let rule =
                "say what to erase: the whole customer, an instance, an identifier, or both ends of a time";
            return Err(Fault::field("scope", rule));
        }
    };
    Ok(NewErasure {
        id: id(&request.erasure_id)?,
        customer: customer("customer", &request.customer)?,
        target,
        reference: request.reference,
        by,
    })
}

fn erasure(report: &ErasureReport) -> pb::Erasure {
    use pb::erasure::State;
    let erasure = &report.erasure;
    let state = match erasure.stage {
        _ if report.is_preview => State::DryRun,
        Stage::Fenced => State::Fenced,
        Stage::Purging => State::Purging,
        Stage::Verifying => State::Verifying,
        Stage::Done => State::Done,
    };
    let counts = erasure.counts;
    pb::Erasure {
        erasure_id: erasure.id.to_string(),
        state: state.into(),
        scope: erasure.scope.as_str().to_owned(),
        customer_number: erasure.customer.0,
        class: erasure.scope.class().map(|class| class.to_string()).unwrap_or_default(),
        reference: erasure.reference.clone(),
        scanned_batches: counts.scanned,
        total_batches: counts.total,
        removed_batches: counts.removed,
        rewritten_batches: counts.rewritten,
        removed_events: counts.events,
        notified_subscriptions: counts.notified,
        acknowledged_notices: report.acknowledged,
        request_time: Some(timestamp(erasure.requested)),
        done_time: erasure.done.map(timestamp),
        suppress_until: report.suppress_until.map(timestamp),
        checkpoint: report.checkpoint.clone(),
        requested_by: erasure.by.clone(),
        short_name_events: counts.short_names,
    }
}

fn binding(customer: &CustomerId, report: &BindingReport) -> pb::BindingReport {
    use pb::binding_report::State;
    let state = match report.stage {
        BindingStage::Preview => State::Preview,
        BindingStage::Rewriting => State::Rewriting,
        BindingStage::Purging => State::Purging,
        BindingStage::Done => State::Done,
    };
    let lines = report.tally.lines.iter().map(|(key, line)| pb::BindingLine {
        program: key.program.clone(),
        product: key.product.clone(),
        from_level: key.from.clone(),
        to_level: key.to.clone(),
        rewritten_batches: line.rewritten,
        removed_batches: line.removed,
        kept_events: line.kept_events,
        removed_events: line.removed_events,
        kept_fields: line.kept_fields,
        lowered_fields: line.lowered_fields,
        removed_fields: line.removed_fields,
    });
    pb::BindingReport {
        state: state.into(),
        customer: customer.to_string(),
        revision: report.revision,
        batches: report.tally.batches,
        unchanged_batches: report.tally.unchanged,
        lines: lines.collect(),
        change_time: Some(timestamp(report.changed)),
        due_time: Some(timestamp(report.due)),
        done_time: report.done.map(timestamp),
        withdrawn_leases: report.withdrawn,
    }
}

impl From<AmendError> for Fault {
    fn from(error: AmendError) -> Self {
        let text = error.to_string();
        match error {
            AmendError::NoCustomer => Self::of(Cause::NoParticipation, text),
            AmendError::NoErasure { .. } => Self::of(Cause::NoErasure, text),
            AmendError::OtherErasure { .. } => Self::of(Cause::ErasureIdReused, text),
            AmendError::Invalid { field, rule } => Self::field(field, rule),
            AmendError::TooMany { .. } => Self::of(Cause::TooManyErasures, text),
            AmendError::Damaged { .. } | AmendError::NotGone { .. } | AmendError::Purge(_) => {
                Self::of(Cause::Damaged, text)
            }
            AmendError::Store(error) => Self::from(error),
            AmendError::Drain(error) => Self::from(error),
            AmendError::Counting => Self::of(Cause::NoSlots, text).spread(Duration::from_secs(10)),
            AmendError::GivenUp => {
                let text = "the queue takes longer to look through than one request may take; ask CountErasure or \
                            CountBinding, which tell how far they are and take as long as it takes";
                Self::of(Cause::CountTooLong, text)
            }
            AmendError::Stopped => Self::of(Cause::Closing, text).spread(Duration::from_secs(1)),
        }
    }
}
