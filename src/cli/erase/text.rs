//! Erasures as people and programs read them.

use serde_json::{Value, json};

use crate::cli::batch_text::time_text;
use crate::cli::exit::Failure;
use crate::cli::output::{Output, grouped, pairs, right, table};
use crate::grpc::proto::admin::Erasure;
use crate::grpc::proto::admin::erasure::State;
use crate::model::IdentifierClass;

fn state_word(state: State) -> &'static str {
    match state {
        State::Unspecified => "unknown",
        State::DryRun => "dry run: nothing was changed",
        State::Fenced => "fenced: nothing of it is stored or delivered any more; the disk is being rewritten",
        State::Purging => "rewritten; old bytes are being taken off the disk",
        State::Verifying => "the disk is being read back",
        State::Done => "done and verified",
    }
}

/// What stays, and how to have it erased.
const SHORT: &str = "Fields that say only the short name stay: another domain can have one of the same name. If it is \
                     this one, erase the short name as well.";

/// What an erasure by a value cannot find, and how to.
const LETTERS: &str = "Fields tell letter case apart in this class. The ways in which people write the value were looked for; \
                       if the product shows it in yet another one, erase that as well.";

/// Whether pseudonyms of a class tell letter case apart.
fn has_letters(class: &str) -> bool {
    class.parse().is_ok_and(IdentifierClass::keeps_letter_case)
}

/// Shows one erasure: in the end, its receipt.
pub(super) fn show(erasure: &Erasure, out: Output) -> Result<(), Failure> {
    if out.is_json() {
        return out.json(&json_of(erasure));
    }
    let dry = erasure.state() == State::DryRun;
    let would = if dry { "would be " } else { "" };
    let mut rows = vec![
        ("erasure", erasure.erasure_id.clone()),
        ("state", state_word(erasure.state()).to_owned()),
        ("scope", scope(erasure)),
        ("customer number", format!("c{}", erasure.customer_number)),
    ];
    if !erasure.reference.is_empty() {
        rows.push(("reference", erasure.reference.clone()));
    }
    rows.push((
        "batches looked at",
        format!("{} of {}", grouped(erasure.scanned_batches), grouped(erasure.total_batches)),
    ));
    rows.push(("batches removed", format!("{} {would}removed", grouped(erasure.removed_batches))));
    rows.push(("batches rewritten", format!("{} {would}rewritten", grouped(erasure.rewritten_batches))));
    rows.push(("events removed", format!("{} {would}removed", grouped(erasure.removed_events))));
    if let Some(short) = erasure.short_name_events {
        let stay = if dry { "would stay" } else { "stay" };
        rows.push(("events that say its short name", format!("{} {stay}", grouped(short))));
    }
    if !dry {
        let (told, done) = (erasure.notified_subscriptions, erasure.acknowledged_notices);
        rows.push(("subscriptions told", format!("{told}, of which {done} have acknowledged")));
    }
    let times = [
        ("asked for", &erasure.request_time),
        ("done", &erasure.done_time),
        ("late arrivals withheld until", &erasure.suppress_until),
    ];
    rows.extend(times.into_iter().filter_map(|(name, time)| Some((name, time_text(time.as_ref()?)))));
    out.table(&pairs(rows))?;
    if erasure.short_name_events.is_some_and(|short| short > 0) {
        out.line(&format!("\n{SHORT}"))?;
    }
    if matches!(erasure.state(), State::DryRun | State::Done) && has_letters(&erasure.class) {
        out.line(&format!("\n{LETTERS}"))?;
    }
    match (erasure.checkpoint.trim_end(), erasure.state()) {
        ("", State::Done) => out.line(
            "\nThe ledger does not hold the entry that says so yet, so no checkpoint does: ask again with `usaged erase status`.",
        ),
        ("", _) => Ok(()),
        (checkpoint, _) => out.line(&format!("\n{checkpoint}")),
    }
}

fn scope(erasure: &Erasure) -> String {
    if erasure.class.is_empty() {
        erasure.scope.clone()
    } else {
        format!("{} {}", erasure.scope, erasure.class)
    }
}

/// Shows a list of erasures.
pub(super) fn show_all(all: &[Erasure], out: Output) -> Result<(), Failure> {
    if out.is_json() {
        return out.json(&json!({ "erasures": all.iter().map(json_of).collect::<Vec<_>>() }));
    }
    let mut shown =
        table(&["erasure", "scope", "customer", "state", "batches", "events", "asked for", "done"]);
    for one in all {
        let time = |time: &Option<_>| time.as_ref().map(time_text).unwrap_or_default();
        let state = one.state().as_str_name().to_lowercase();
        shown.add_row([
            one.erasure_id.clone(),
            scope(one),
            format!("c{}", one.customer_number),
            state,
            grouped(one.removed_batches.saturating_add(one.rewritten_batches)),
            grouped(one.removed_events),
            time(&one.request_time),
            time(&one.done_time),
        ]);
    }
    right(&mut shown, 4..6);
    out.table(&shown)
}

fn json_of(erasure: &Erasure) -> Value {
    let time = |time: &Option<_>| time.as_ref().map(time_text);
    json!({
        "erasure_id": erasure.erasure_id,
        "state": erasure.state().as_str_name(),
        "scope": erasure.scope,
        "class": Some(&erasure.class).filter(|class| !class.is_empty()),
        "letter_case_kept": has_letters(&erasure.class),
        "customer_number": erasure.customer_number,
        "reference": erasure.reference,
        "requested_by": erasure.requested_by,
        "scanned_batches": erasure.scanned_batches,
        "total_batches": erasure.total_batches,
        "removed_batches": erasure.removed_batches,
        "rewritten_batches": erasure.rewritten_batches,
        "removed_events": erasure.removed_events,
        "short_name_events": erasure.short_name_events,
        "notified_subscriptions": erasure.notified_subscriptions,
        "acknowledged_notices": erasure.acknowledged_notices,
        "request_time": time(&erasure.request_time),
        "done_time": time(&erasure.done_time),
        "suppress_until": time(&erasure.suppress_until),
        "checkpoint": Some(&erasure.checkpoint).filter(|text| !text.is_empty()),
    })
}
