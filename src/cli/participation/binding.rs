//! What a change of participation does to what is queued: counted before it is made, and followed after it.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::changes::{self, Change};
use crate::cli::batch_text::time_text;
use crate::cli::connect::{BindingClient, refused};
use crate::cli::counting;
use crate::cli::exit::Failure;
use crate::cli::output::{Output, grouped, pairs, right, table};
use crate::grpc::proto::admin::binding_report::State;
use crate::grpc::proto::admin::count_binding_response::Told;
use crate::grpc::proto::admin::{
    BindingReport, CountBindingResponse, GetBindingRequest, Participation, PreviewBindingRequest,
};
use crate::model::CustomerId;

/// How often a binding is asked how far it is.
const ASK: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  usaged participation binding acme
  usaged participation binding acme --wait --json")]
pub(super) struct BindingArgs {
    /// The customer.
    customer: CustomerId,
    /// Wait until the disk is rewritten.
    #[arg(long)]
    wait: bool,
}

/// Shows which settings a change would change, and counts what it would do to what is queued. Nothing is changed.
pub(super) async fn preview(
    bindings: &mut BindingClient,
    participation: Participation,
    changed: &[Change],
    out: Output,
) -> Result<(), Failure> {
    let request = PreviewBindingRequest { participation: Some(participation) };
    let report = count(bindings, request, out).await?;
    if out.is_json() {
        let mut shown = json_of(&report);
        if let Some(shown) = shown.as_object_mut() {
            shown.insert("changes".to_owned(), changes::json(changed));
        }
        return out.json(&shown);
    }
    changes::show(changed, out)?;
    show(&report, out)
}

/// Has it counted.
async fn count(
    bindings: &mut BindingClient,
    request: PreviewBindingRequest,
    out: Output,
) -> Result<BindingReport, Failure> {
    let answers = bindings.count_binding(request).await.map_err(|status| refused(&status))?.into_inner();
    let read = |answer: CountBindingResponse| {
        answer.told.map(|told| match told {
            Told::Progress(at) => counting::Told::Progress(at),
            Told::Counted(counted) => counting::Told::Counted(counted),
        })
    };
    counting::counted(answers, out, read).await
}

/// Shows how far the latest change has reached what is stored.
pub(super) async fn binding(
    bindings: &mut BindingClient,
    args: BindingArgs,
    out: Output,
) -> Result<(), Failure> {
    let bar = out.progress(None, "rewriting what is queued, batches looked at");
    loop {
        let request = GetBindingRequest { customer: args.customer.to_string() };
        let report = bindings.get_binding(request).await.map_err(|status| refused(&status))?.into_inner();
        bar.set_position(report.batches);
        if !args.wait || report.state() == State::Done {
            bar.finish_and_clear();
            return show(&report, out);
        }
        tokio::time::sleep(ASK).await;
    }
}

const fn state_word(state: State) -> &'static str {
    match state {
        State::Unspecified => "unknown",
        State::Preview => "dry run: nothing was changed",
        State::Rewriting => "what leaves is bound; the disk is being rewritten",
        State::Purging => "rewritten; old bytes are being taken off the disk",
        State::Done => "done: every stored byte is as the participation asks",
    }
}

fn show(report: &BindingReport, out: Output) -> Result<(), Failure> {
    if out.is_json() {
        return out.json(&json_of(report));
    }
    let mut rows = vec![
        ("customer", report.customer.clone()),
        ("revision", report.revision.to_string()),
        ("state", state_word(report.state()).to_owned()),
        ("batches looked at", grouped(report.batches)),
        ("batches as they should be", grouped(report.unchanged_batches)),
        ("leases to be withdrawn", grouped(report.withdrawn_leases)),
    ];
    let times = [("changed", &report.change_time), ("due", &report.due_time), ("done", &report.done_time)];
    rows.extend(times.into_iter().filter_map(|(name, time)| Some((name, time_text(time.as_ref()?)))));
    out.table(&pairs(rows))?;
    if report.lines.is_empty() {
        return Ok(());
    }
    let head = [
        "program",
        "product",
        "from",
        "to",
        "batches rewritten",
        "removed",
        "events kept",
        "removed",
        "fields kept",
        "lowered",
        "removed",
    ];
    let mut shown = table(&head);
    for line in &report.lines {
        let counts = [
            line.rewritten_batches,
            line.removed_batches,
            line.kept_events,
            line.removed_events,
            line.kept_fields,
            line.lowered_fields,
            line.removed_fields,
        ];
        let names = [&line.program, &line.product, &line.from_level, &line.to_level];
        shown.add_row(names.into_iter().cloned().chain(counts.map(grouped)));
    }
    right(&mut shown, 4..11);
    out.table(&shown)
}

fn json_of(report: &BindingReport) -> Value {
    let time = |time: &Option<_>| time.as_ref().map(time_text);
    let lines = report.lines.iter().map(|line| {
        json!({
            "program": line.program,
            "product": line.product,
            "from_level": line.from_level,
            "to_level": line.to_level,
            "rewritten_batches": line.rewritten_batches,
            "removed_batches": line.removed_batches,
            "kept_events": line.kept_events,
            "removed_events": line.removed_events,
            "kept_fields": line.kept_fields,
            "lowered_fields": line.lowered_fields,
            "removed_fields": line.removed_fields,
        })
    });
    json!({
        "customer": report.customer,
        "revision": report.revision,
        "state": report.state().as_str_name(),
        "batches": report.batches,
        "unchanged_batches": report.unchanged_batches,
        "withdrawn_leases": report.withdrawn_leases,
        "change_time": time(&report.change_time),
        "due_time": time(&report.due_time),
        "done_time": time(&report.done_time),
        "lines": lines.collect::<Vec<_>>(),
    })
}
