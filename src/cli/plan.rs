//! `usaged plan`: what of a product is wanted of a customer, as a sender is told.

use clap::Args;
use serde_json::{Value as Json, json};

use super::connect::{Server, of_customer, refused};
use super::exit::Failure;
use super::output::{Output, pairs, table};
use super::participation::program_level;
use crate::grpc::client::ProtoDuration;
use crate::grpc::proto::admin::ProgramLevel as Cap;
use crate::grpc::proto::ingest::collection_plan::State;
use crate::grpc::proto::ingest::field_plan::Wish;
use crate::grpc::proto::ingest::{
    CollectionPlan, EventPlan, FieldPlan, GetCollectionPlanRequest, ProgramLevel, ProgramPlan, Reason,
};
use crate::model::{CustomerId, ProductName, RegionName};

#[derive(Debug, Args)]
#[command(after_help = "\
A product that asks for this plan and obeys it collects only what is stored. What it sends is
stored byte for byte as if it had sent everything.

Examples:
  usaged plan --customer acme --product vcenter
  usaged plan --customer acme --product vcenter --region eea --cap ceip=standard --wanted
  usaged plan --customer acme --product vcenter --json")]
pub(super) struct PlanArgs {
    /// The customer.
    #[arg(long, env = "USAGED_CUSTOMER")]
    customer: CustomerId,
    /// The product.
    #[arg(long)]
    product: ProductName,
    /// The region of the source.
    #[arg(long)]
    region: Option<RegionName>,
    /// The highest level that the installation agrees to. Can be given several times.
    #[arg(long = "cap", value_name = "PROGRAM=LEVEL", value_parser = program_level)]
    caps: Vec<Cap>,
    /// Show only what is wanted.
    #[arg(long)]
    wanted: bool,
    #[command(flatten)]
    server: Server,
}

impl PlanArgs {
    pub async fn run(self, out: Output) -> Result<(), Failure> {
        let caps = self.caps.into_iter().map(|Cap { program, level }| ProgramLevel { program, level });
        let request = GetCollectionPlanRequest {
            product: self.product.to_string(),
            region: self.region.map(|region| region.to_string()).unwrap_or_default(),
            level_caps: caps.collect(),
        };
        let mut ingest = self.server.typed_ingest().await?;
        let plan = ingest.get_collection_plan(of_customer(request, &self.customer)?).await;
        let plan = plan.map_err(|status| refused(&status))?.into_inner();
        if out.is_json() { out.json(&plan_json(&plan, self.wanted)) } else { show(&plan, self.wanted, out) }
    }
}

const fn state(plan: State) -> &'static str {
    match plan {
        State::Unspecified => "unknown",
        State::Deliver => "deliver",
        State::Audit => "audit",
        State::Paused => "paused",
        State::Disabled => "disabled",
    }
}

const fn wish(wish: Wish) -> &'static str {
    match wish {
        Wish::Unspecified => "unknown",
        Wish::Wanted => "wanted",
        Wish::Context => "context",
        Wish::NotWanted => "not wanted",
    }
}

/// The word for a reason; nothing if there is none.
fn reason(reason: Reason) -> String {
    if reason == Reason::Unspecified { String::new() } else { reason.as_str_name().to_ascii_lowercase() }
}

fn seconds(ttl: Option<ProtoDuration>) -> i64 {
    ttl.unwrap_or_default().seconds
}

fn show(plan: &CollectionPlan, only_wanted: bool, out: Output) -> Result<(), Failure> {
    let accepted = format!("{} (accepted {})", plan.dictionary_version, plan.accepted_version);
    let mut rows = vec![
        ("state", state(plan.state()).to_owned()),
        ("plan version", plan.plan_version.clone()),
        ("good for", format!("{} s", seconds(plan.time_to_live))),
        ("policy", plan.policy_version.clone()),
    ];
    if plan.remedy.is_empty() {
        rows.push(("dictionary", accepted));
    } else {
        rows.push(("why", plan.remedy.clone()));
    }
    out.table(&pairs(rows))?;
    if plan.events.is_empty() {
        return Ok(());
    }
    let mut programs = table(&["program", "level", "customer is stored as", "instance is stored as"]);
    for ProgramPlan { program, level, customer_form, instance_form } in &plan.programs {
        programs.add_row([program.as_str(), level, or_dash(customer_form), or_dash(instance_form)]);
    }
    out.line("")?;
    out.table(&programs)?;
    let mut fields = table(&["event", "field", "", "stored as", "why not"]);
    for event in plan.events.iter().filter(|event| event.wanted || !only_wanted) {
        let said = if event.wanted { "wanted" } else { "not wanted" };
        fields.add_row([event.name.as_str(), "", said, "", &reason(event.reason())]);
        for field in event.fields.iter().filter(|field| field.wish() == Wish::Wanted || !only_wanted) {
            let why = reason(field.reason());
            fields.add_row(["", field.path.as_str(), wish(field.wish()), &field.form, &why]);
        }
    }
    out.line("")?;
    out.table(&fields)
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

fn plan_json(plan: &CollectionPlan, only_wanted: bool) -> Json {
    let programs: Vec<_> = plan
        .programs
        .iter()
        .map(|one| {
            json!({
                "program": one.program,
                "level": one.level,
                "customer_form": one.customer_form,
                "instance_form": one.instance_form,
            })
        })
        .collect();
    let events = plan.events.iter().filter(|event| event.wanted || !only_wanted);
    json!({
        "state": state(plan.state()),
        "plan_version": plan.plan_version,
        "time_to_live_seconds": seconds(plan.time_to_live),
        "reason": reason(plan.reason()),
        "remedy": plan.remedy,
        "policy_version": plan.policy_version,
        "dictionary_version": plan.dictionary_version,
        "accepted_version": plan.accepted_version,
        "programs": programs,
        "events": events.map(|event| event_json(event, only_wanted)).collect::<Vec<_>>(),
    })
}

fn event_json(event: &EventPlan, only_wanted: bool) -> Json {
    let fields = event.fields.iter().filter(|field| field.wish() == Wish::Wanted || !only_wanted);
    let field = |field: &FieldPlan| {
        json!({
            "path": field.path,
            "wish": wish(field.wish()),
            "treatment": field.treatment,
            "form": field.form,
            "reason": reason(field.reason()),
        })
    };
    json!({
        "name": event.name,
        "program": event.program,
        "wanted": event.wanted,
        "reason": reason(event.reason()),
        "fields": fields.map(field).collect::<Vec<_>>(),
    })
}
