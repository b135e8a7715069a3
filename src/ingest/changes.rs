//! What has changed since a record was stored, and keeps it from leaving as it is: sentences for people. Pure.

use std::collections::BTreeMap;

use crate::model::{Delivery, LevelName, Participation, ProgramName, Purpose, RawText};
use crate::policy::{Ask, Binding, Bound, Decision, Drainable, Policy};
use crate::store::RecordHeader;

/// What is asked about a record.
#[derive(Debug, Clone, Copy)]
pub struct Since<'a> {
    /// The plaintext part of it.
    pub header: &'a RecordHeader,
    /// The policy that decided it.
    pub policy_version: &'a str,
    /// What its customer chooses now.
    pub participation: &'a Participation,
    /// What holds by everything that it has chosen since.
    pub bound: Option<Bound>,
    /// The collector's own caps.
    pub caps: &'a BTreeMap<ProgramName, LevelName>,
}

/// What has changed since, in sentences.
#[must_use]
pub fn changes_since(policy: &Policy, since: &Since<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    if since.policy_version != policy.version() {
        notes.push(format!(
            "the policy has changed since, from {} to {}: the reasons are those of the present one",
            since.policy_version,
            policy.version()
        ));
    }
    let delivery = since.participation.delivery;
    match delivery {
        Delivery::Deliver => {}
        Delivery::Audit => notes.push("the customer's delivery is `audit`: it is not drained".to_owned()),
        Delivery::Paused => notes.push("the customer is paused: it is held".to_owned()),
    }
    if delivery != Delivery::Audit && since.bound.is_some_and(|bound| bound.drain == Drainable::Never) {
        let was = "the customer's delivery was `audit` at some time since it was stored: it never leaves";
        notes.push(was.to_owned());
    }
    let decision = policy.decide(&Ask {
        participation: Some(&Participation { delivery: Delivery::Deliver, ..since.participation.clone() }),
        global_caps: since.caps,
        product: RawText::new(since.header.product.as_bytes()),
        region: RawText::default(),
        level_caps: &[],
    });
    notes.extend(level(policy, since, &decision));
    notes.extend(dictionary(since, &decision));
    if let Some(Bound { left: Binding::Plan { key, .. }, .. }) = since.bound {
        let overlay = key.region.and_then(|at| policy.overlays().get(at));
        let region = overlay.map_or("", |overlay| overlay.name().as_str());
        if region != since.header.region {
            notes.push(format!(
                "the rules of the region `{region}` hold for it since: it does not leave as it is"
            ));
        }
        let off =
            |purpose: &&Purpose| since.header.purposes.has(**purpose) && key.purposes_off.has(**purpose);
        notes.extend(Purpose::ALL.iter().filter(off).map(|purpose| {
            let now = since.participation.purposes_off.contains(purpose);
            let when = if now { "has switched off" } else { "had switched off, at some time since," };
            format!("the customer {when} the purpose `{purpose}`: it does not leave for that")
        }));
    }
    notes
}

/// Whether the level is lower now, or was meanwhile.
fn level(policy: &Policy, since: &Since<'_>, decision: &Decision) -> Option<String> {
    let header = since.header;
    let program = policy.program_index(&header.program);
    let then = program.and_then(|at| policy.rank(at, RawText::new(header.level.as_bytes())));
    let now = program.map_or(0, |at| decision.rank(at));
    let lowest = match since.bound.map(|bound| bound.left) {
        Some(Binding::Plan { key, .. }) => key.rank.min(now),
        Some(Binding::Nothing(_)) => 0,
        None => now,
    };
    if then.is_some_and(|then| lowest >= then) {
        return None;
    }
    let level = program.and_then(|at| policy.programs().get(at)?.level(lowest));
    let level = level.map_or("none", |level| level.name().as_str());
    let when = if lowest == now { "in force now is" } else { "in force at some time since was" };
    Some(format!("the level {when} `{level}`, lower than `{}`: it does not leave as it is", header.level))
}

/// Whether the customer accepts less of the dictionary now, or did meanwhile.
fn dictionary(since: &Since<'_>, decision: &Decision) -> Option<String> {
    let then = since.header.accepted_version;
    if decision.refused.is_none() && decision.accepted_version < then {
        return Some(format!(
            "the customer now accepts version {} of the dictionary only, and not {then}: it does not leave as it is",
            decision.accepted_version
        ));
    }
    match since.bound.map(|bound| bound.left) {
        Some(Binding::Plan { accepted_version, .. }) if accepted_version < then => Some(format!(
            "at some time since the customer accepted version {accepted_version} of the dictionary only, and not \
             {then}: it does not leave as it is"
        )),
        Some(Binding::Plan { .. } | Binding::Nothing(_)) | None => None,
    }
}
