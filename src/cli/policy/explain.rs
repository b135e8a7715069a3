//! `usaged policy explain`: one event, as sent and as every level would store it, side by side; or what
//! became of a batch that was sent.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::files;
use super::side_by_side::SideBySide;
use crate::cli::block_on;
use crate::cli::connect::{Server, refused};
use crate::cli::exit::Failure;
use crate::cli::output::Output;
use crate::cli::send::read_request;
use crate::grpc::client::Message as _;
use crate::grpc::proto::admin::{self as pb, ExplainBatchRequest, ExplainEventRequest};
use crate::grpc::proto::ingest::SubmitRequest;
use crate::ingest::{Explain, LevelExplanation, Refusal};
use crate::model::{CustomerId, ProductName, RegionName};
use crate::observe::Clock;
use crate::policy;

#[derive(Debug, Args)]
#[command(after_help = "\
Without --customer it needs no collector, and the pseudonyms are those of a made-up customer:
nobody's real ones have the same text. With --customer a collector is asked, and the pseudonyms
are those that it stores.

Examples:
  usaged policy explain --product vcenter event.ndjson
  echo '{\"name\":\"vm.inventory\",\"fields\":{\"host\":\"esx-1.example.com\",\"vcpus\":8}}' | \\
      usaged policy explain --product vcenter --region eea --why
  usaged policy explain --customer acme --product vcenter --why event.ndjson
  usaged policy explain --customer acme --batch 0190a3c2-7b1e-7c55-9d2f-0123456789ab")]
pub(super) struct ExplainArgs {
    /// A file with one event a line (NDJSON, as for `send`), or - for standard input.
    #[arg(default_value = "-")]
    file: PathBuf,
    /// The product whose event it is.
    #[arg(long, required_unless_present = "batch")]
    product: Option<ProductName>,
    /// The policy directory, in place of the shipped policy.
    #[arg(long, value_name = "DIR", conflicts_with = "customer")]
    policy: Option<PathBuf>,
    /// The region whose overlay applies.
    #[arg(long)]
    region: Option<RegionName>,
    /// Say why, field by field.
    #[arg(long)]
    why: bool,
    /// Explain for this customer, as a running collector would store it.
    #[arg(long)]
    customer: Option<CustomerId>,
    /// Tell what became of the batch with this id.
    #[arg(long, value_name = "ID", requires = "customer", conflicts_with_all = ["product", "region"])]
    batch: Option<String>,
    #[command(flatten)]
    server: Server,
}

impl ExplainArgs {
    pub fn run(self, out: Output) -> Result<(), Failure> {
        let Some(product) = self.product.clone() else { return self.explain_batch(out) };
        let request = read_request(&self.file, &product)?;
        let told = match &self.customer {
            None => self.without_collector(&request)?,
            Some(customer) => block_on(self.by_collector(&request, customer))?,
        };
        let side_by_side = SideBySide::new(&request, told)?;
        if out.is_json() {
            return out.json(&side_by_side.json());
        }
        for at in 0..request.events.len() {
            side_by_side.show_event(at, out)?;
        }
        if self.why { side_by_side.show_why(out) } else { Ok(()) }
    }

    fn without_collector(&self, request: &SubmitRequest) -> Result<pb::ExplainEventResponse, Failure> {
        let compiled = files(self.policy.as_deref())
            .and_then(|files| policy::compile_with(&files, crate::sanitize::in_listed_value));
        let (policy, _notes) = compiled.map_err(|problems| Failure::Refused {
            what: "the policy has mistakes:".to_owned(),
            problems: problems.iter().map(ToString::to_string).collect(),
        })?;
        let refused = |error: Refusal| Failure::Failed(format!("the event cannot be explained: {error}"));
        let (policy_version, policy) = (policy.version().to_owned(), Arc::new(policy));
        let explain = Explain::for_anyone(policy, self.region.clone(), Clock::system().now());
        let (explain, request) = (explain.map_err(refused)?, request.encode_to_vec());
        let levels = explain.explain(&request).map_err(refused)?.into_iter().map(level).collect();
        let shapes = explain.shapes(&request).map_err(refused)?.into_iter();
        let shape = |shape: crate::ingest::EventShape| pb::EventShape {
            name: shape.name,
            program: shape.program,
            paths: shape.paths,
        };
        Ok(pb::ExplainEventResponse { levels, policy_version, events: shapes.map(shape).collect() })
    }

    async fn by_collector(
        &self,
        request: &SubmitRequest,
        customer: &CustomerId,
    ) -> Result<pb::ExplainEventResponse, Failure> {
        let ask = ExplainEventRequest {
            submit_request: request.encode_to_vec().into(),
            customer: customer.to_string(),
            region: self.region.as_ref().map(ToString::to_string).unwrap_or_default(),
        };
        let told = self.server.admin().await?.explain_event(ask).await;
        Ok(told.map_err(|status| refused(&status))?.into_inner())
    }

    fn explain_batch(self, out: Output) -> Result<(), Failure> {
        let Self { customer: Some(customer), batch: Some(batch_id), server, .. } = self else {
            return Err(Failure::Usage(
                "name the product of the event, or a customer and a batch".to_owned(),
            ));
        };
        let ask = ExplainBatchRequest { customer: customer.to_string(), batch_id };
        let told = block_on(async {
            let told = server.admin().await?.explain_batch(ask).await;
            Ok(told.map_err(|status| refused(&status))?.into_inner())
        });
        super::explain_batch::show(&told?, out)
    }
}

fn level(told: LevelExplanation) -> pb::LevelExplanation {
    let field = |told: crate::ingest::FieldFate| pb::FieldExplanation {
        place: told.place,
        treatment: told.treatment.to_owned(),
        why: told.why,
    };
    pb::LevelExplanation {
        program: told.program.to_string(),
        level: told.level.to_string(),
        batch: told.batch.into(),
        fields: told.fields.into_iter().map(field).collect(),
        in_force: told.in_force,
    }
}
