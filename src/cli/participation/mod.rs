//! `usaged participation`: what customers chose, in a running collector.

mod accept;
mod audit;
mod binding;
mod changes;
mod import;
mod text;

use clap::{Args, Subcommand};
use serde_json::json;

use super::connect::{AdminClient, Server, refused};
use super::exit::Failure;
use super::output::{Output, pairs, right, table};
use crate::grpc::client::is_unknown;
use crate::grpc::proto::admin::{
    AcceptedDictionary, GetParticipationRequest, ListParticipationChangesRequest, ListParticipationsRequest,
    Participation, ProductLevel, ProgramLevel, SetParticipationRequest,
};
use crate::model::{CustomerId, Delivery, LevelName, ProductName, ProgramName, Purpose, RegionName};

/// The most that one page may hold.
const PAGE: u64 = 1_000;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  usaged participation set acme --level operational=operational --level ceip=standard --reason 'ticket 4711'
  usaged participation get acme
  usaged participation accept acme --product vcenter --dry-run
  usaged participation import customers.toml --reason 'initial load'
  usaged participation history acme --json")]
pub(super) struct ParticipationArgs {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Set the participation of a customer, as a whole. It holds from the next batch on.
    Set(SetArgs),
    /// Show the participation of a customer.
    #[command(after_help = "Example:\n  usaged participation get acme")]
    Get {
        /// The customer.
        customer: CustomerId,
    },
    /// List participations, in the order of the customer ids.
    #[command(after_help = "Example:\n  usaged participation list --limit 1000 --json")]
    List {
        /// Show at most so many.
        #[arg(long, default_value_t = 100)]
        limit: u64,
        /// Go on where another list ended.
        #[arg(long, value_name = "TOKEN", default_value = "", hide_default_value = true)]
        page_token: String,
    },
    /// Accept the data that a newer dictionary brings, or withdraw from it, and see what becomes visible.
    Accept(accept::AcceptArgs),
    /// Set many participations from a TOML, JSON or NDJSON file; bad ones are named, the others set.
    Import(import::ImportArgs),
    /// Show every change of a participation, newest first: who, when and why.
    #[command(after_help = "Example:\n  usaged participation history acme --json")]
    History {
        /// The customer.
        customer: CustomerId,
        /// Show at most so many.
        #[arg(long, default_value_t = 100)]
        limit: u64,
    },
    /// Show how far the latest change has reached what is queued.
    Binding(binding::BindingArgs),
    /// Show what is stored of a customer, opened: with delivery `audit`, all that would have left.
    Audit(audit::AuditArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "\
What is not named of product levels, region, purposes and delivery stays as it is; with --anew it is off.

Examples:
  usaged participation set acme --level ceip=standard --reason 'ticket 4711'
  usaged participation set acme --level ceip=enhanced --product-level horizon:ceip=standard --region eea \\
      --purpose-off recommend --reason 'contract of 2026'
  usaged participation set acme --level ceip=standard --reason 'ticket 4711' --dry-run
  usaged participation set acme --reason 'opted out'")]
struct SetArgs {
    /// The customer.
    customer: CustomerId,
    /// The level of a program; a program that is not named is at `none`. Can be given several times.
    #[arg(long = "level", value_name = "PROGRAM=LEVEL", value_parser = program_level)]
    levels: Vec<ProgramLevel>,
    /// A stricter level for one product. Can be given several times.
    #[arg(long = "product-level", value_name = "PRODUCT:PROGRAM=LEVEL", value_parser = product_level)]
    product_levels: Vec<ProductLevel>,
    /// The region whose overlay applies, such as eea.
    #[arg(long)]
    region: Option<RegionName>,
    /// A purpose that the customer switched off: deliver, recommend or improve. Can be given several times.
    #[arg(long = "purpose-off", value_name = "PURPOSE")]
    purposes_off: Vec<Purpose>,
    /// `deliver`, `audit` (stored, never drained) or `paused` (senders are told to stop; what waits is passed over by who
    /// pulls meanwhile, until a seek).
    /// Of a new customer `deliver`, if it is not given.
    #[arg(long)]
    delivery: Option<Delivery>,
    /// Begin with nothing: what is not named is off, and data is delivered.
    #[arg(long)]
    anew: bool,
    /// The newest dictionary version that the customer accepted for a product. Can be given several times.
    #[arg(long = "accept", value_name = "PRODUCT=VERSION", value_parser = accepted)]
    accepted: Vec<AcceptedDictionary>,
    #[command(flatten)]
    reason: ChangeReason,
    /// Change only if the present revision is this one.
    #[arg(long, value_name = "REVISION", default_value_t = 0, hide_default_value = true)]
    if_revision: u64,
    /// Only count what the change would do to what is queued.
    #[arg(long)]
    dry_run: bool,
}

/// Who changes something, and why.
#[derive(Debug, Args)]
pub(super) struct ChangeReason {
    /// Who asks for the change; when not given, who you are on this machine.
    #[arg(long, env = "USAGED_BY", hide_env_values = true)]
    by: Option<String>,
    /// Why: a ticket, a contract, a decision.
    #[arg(long)]
    reason: String,
}

impl ChangeReason {
    /// Who asks and why.
    pub(super) fn told(self) -> (String, String) {
        (who(self.by), self.reason)
    }
}

/// Who asks: who was named, else who this is on this machine.
#[expect(clippy::disallowed_methods, reason = "cli owns the environment")]
pub(super) fn who(named: Option<String>) -> String {
    let name = || {
        ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok().filter(|name| !name.is_empty()))
    };
    named.or_else(name).unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()))
}

/// Splits `name=value`.
fn split<'t>(text: &'t str, form: &str) -> Result<(&'t str, &'t str), String> {
    text.split_once('=').ok_or_else(|| format!("write it as {form}"))
}

pub(super) fn program_level(text: &str) -> Result<ProgramLevel, String> {
    let (program, level) = split(text, "PROGRAM=LEVEL, such as ceip=standard")?;
    let program = ProgramName::new(program).map_err(|error| error.to_string())?;
    let level = LevelName::new(level).map_err(|error| error.to_string())?;
    Ok(ProgramLevel { program: program.to_string(), level: level.to_string() })
}

fn product_level(text: &str) -> Result<ProductLevel, String> {
    let form = "PRODUCT:PROGRAM=LEVEL, such as horizon:ceip=none";
    let (product, rest) = text.split_once(':').ok_or_else(|| format!("write it as {form}"))?;
    let product = ProductName::new(product).map_err(|error| error.to_string())?.to_string();
    let ProgramLevel { program, level } = program_level(rest)?;
    Ok(ProductLevel { product, program, level })
}

fn accepted(text: &str) -> Result<AcceptedDictionary, String> {
    let (product, version) = split(text, "PRODUCT=VERSION, such as vcenter=3")?;
    let product = ProductName::new(product).map_err(|error| error.to_string())?.to_string();
    let version = version.parse().map_err(|_| "the version is a whole number".to_owned())?;
    Ok(AcceptedDictionary { product, version })
}

impl ParticipationArgs {
    pub async fn run(self, out: Output) -> Result<(), Failure> {
        let mut admin = self.server.admin().await?;
        match self.action {
            Action::Set(args) => set(&self.server, &mut admin, args, out).await,
            Action::Get { customer } => {
                let request = GetParticipationRequest { customer: customer.to_string() };
                let got = admin.get_participation(request).await.map_err(|status| refused(&status))?;
                show(&got.into_inner(), out)
            }
            Action::List { limit, page_token } => list(&mut admin, limit, page_token, out).await,
            Action::Accept(args) => accept::accept(&mut admin, args, out).await,
            Action::Import(args) => import::import(&mut admin, args, out).await,
            Action::History { customer, limit } => history(&mut admin, &customer, limit, out).await,
            Action::Binding(args) => binding::binding(&mut self.server.binding().await?, args, out).await,
            Action::Audit(args) => audit::audit(&mut admin, args, out).await,
        }
    }
}

async fn set(server: &Server, admin: &mut AdminClient, args: SetArgs, out: Output) -> Result<(), Failure> {
    let mut if_revision = args.if_revision;
    let present = present(admin, &args.customer).await?;
    // A limit that the customer set goes only by name.
    let kept = if args.anew { None } else { present.clone() };
    if let Some(kept) = kept.as_ref().filter(|_| if_revision == 0) {
        if_revision = kept.revision;
    }
    let kept = kept.unwrap_or_default();
    let or = |given: Vec<ProductLevel>, kept| if given.is_empty() { kept } else { given };
    let purposes: Vec<_> = args.purposes_off.iter().map(ToString::to_string).collect();
    let participation = Participation {
        customer: args.customer.to_string(),
        levels: args.levels,
        product_levels: or(args.product_levels, kept.product_levels),
        region: args.region.map_or(kept.region, |region| region.to_string()),
        purposes_off: if purposes.is_empty() { kept.purposes_off } else { purposes },
        delivery: args.delivery.map_or(kept.delivery, |delivery| delivery.to_string()),
        accepted_dictionaries: args.accepted,
        ..Participation::default()
    };
    let before = present.unwrap_or_default();
    let (changed_by, change_reason) = args.reason.told();
    if args.dry_run {
        let changes = changes::changes(&before, &expected(&before, &participation));
        return binding::preview(&mut server.binding().await?, participation, &changes, out).await;
    }
    let participation = Some(participation);
    let request = SetParticipationRequest { participation, changed_by, change_reason, if_revision };
    let set = admin.set_participation(request).await.map_err(|status| refused(&status))?.into_inner();
    let changes = changes::changes(&before, &set);
    if out.is_json() {
        let mut shown = text::json(&set);
        if let Some(shown) = shown.as_object_mut() {
            shown.insert("changes".to_owned(), changes::json(&changes));
        }
        return out.json(&shown);
    }
    show(&set, out)?;
    changes::show(&changes, out)
}

/// What the collector makes of what is wished: who says nothing of the delivery has `deliver`, and a dictionary that is
/// not named stays accepted as it was. Which ones a new customer accepts, the collector decides.
fn expected(before: &Participation, wished: &Participation) -> Participation {
    let mut after = wished.clone();
    if after.delivery.is_empty() {
        after.delivery = Delivery::Deliver.to_string();
    }
    for accepted in &before.accepted_dictionaries {
        if !after.accepted_dictionaries.iter().any(|named| named.product == accepted.product) {
            after.accepted_dictionaries.push(accepted.clone());
        }
    }
    after
}

/// What holds now; `None` of a customer that has no participation.
async fn present(admin: &mut AdminClient, customer: &CustomerId) -> Result<Option<Participation>, Failure> {
    let request = GetParticipationRequest { customer: customer.to_string() };
    match admin.get_participation(request).await {
        Ok(present) => Ok(Some(present.into_inner())),
        Err(status) if is_unknown(&status) => Ok(None),
        Err(status) => Err(refused(&status)),
    }
}

fn show(participation: &Participation, out: Output) -> Result<(), Failure> {
    if out.is_json() {
        return out.json(&text::json(participation));
    }
    out.table(&pairs(text::rows(participation)))
}

async fn list(
    admin: &mut AdminClient,
    limit: u64,
    mut page_token: String,
    out: Output,
) -> Result<(), Failure> {
    let mut found = Vec::new();
    let mut left = limit;
    while left > 0 {
        let page_size = i32::try_from(left.min(PAGE)).unwrap_or(1);
        let request = ListParticipationsRequest { page_size, page_token };
        let page = admin.list_participations(request).await.map_err(|status| refused(&status))?.into_inner();
        left = left.saturating_sub(u64::try_from(page.participations.len()).unwrap_or(left));
        found.extend(page.participations);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    if out.is_json() {
        let all: Vec<_> = found.iter().map(text::json).collect();
        return out.json(&json!({ "participations": all, "next_page_token": page_token }));
    }
    let mut shown = table(&["customer", "levels", "region", "delivery", "revision", "changed"]);
    for one in &found {
        let levels = text::levels(one);
        let changed = one.change_time.as_ref().map(super::batch_text::time_text).unwrap_or_default();
        let revision = one.revision.to_string();
        shown.add_row([&one.customer, &levels, &one.region, &one.delivery, &revision, &changed]);
    }
    right(&mut shown, [4]);
    out.table(&shown)?;
    if page_token.is_empty() {
        return Ok(());
    }
    out.line(&format!("there are more: usaged participation list --page-token {page_token}"))
}

async fn history(
    admin: &mut AdminClient,
    customer: &CustomerId,
    limit: u64,
    out: Output,
) -> Result<(), Failure> {
    let request = ListParticipationChangesRequest {
        customer: customer.to_string(),
        page_size: i32::try_from(limit.clamp(1, PAGE)).unwrap_or(1),
        page_token: String::new(),
    };
    let page =
        admin.list_participation_changes(request).await.map_err(|status| refused(&status))?.into_inner();
    if out.is_json() {
        let all: Vec<_> = page.changes.iter().map(text::json).collect();
        return out.json(&json!({ "changes": all, "more": !page.next_page_token.is_empty() }));
    }
    let mut shown = table(&["revision", "when", "who", "why", "levels", "region", "delivery"]);
    for change in &page.changes {
        let when = change.change_time.as_ref().map(super::batch_text::time_text).unwrap_or_default();
        let levels = text::levels(change);
        let revision = change.revision.to_string();
        shown.add_row([
            &revision,
            &when,
            &change.changed_by,
            &change.change_reason,
            &levels,
            &change.region,
            &change.delivery,
        ]);
    }
    out.table(&shown)
}
