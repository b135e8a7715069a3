//! What became of everything that was sent: the receipts, added up.

use std::collections::BTreeMap;

use serde_json::json;

use super::submit::Outcome;
use crate::cli::exit::Failure;
use crate::cli::output::{Output, grouped, pairs, table};
use crate::grpc::proto::ingest::submit_response::State;
use crate::grpc::proto::ingest::{Reason, ReasonCount, SubmitResponse};

/// Places and refusals that are shown.
const SHOWN: usize = 20;
/// The word for a batch whose customer takes part in nothing that it holds.
const DISABLED: &str = "disabled";
/// Refused batches in a row after which sending on is of no use.
const HOPELESS: u32 = 3;

/// The receipts of many batches.
#[derive(Default)]
pub(in crate::cli) struct Summary {
    batches: u64,
    states: BTreeMap<&'static str, u64>,
    pub received: u64,
    pub accepted: u64,
    fields: u64,
    pub withheld_events: BTreeMap<&'static str, u64>,
    withheld_fields: BTreeMap<&'static str, u64>,
    levels: BTreeMap<String, String>,
    policy_version: String,
    commit_number: u64,
    retries: u64,
    places: Vec<(String, &'static str, String)>,
    more_places: bool,
    refusals: Vec<Failure>,
    refused: u64,
    refused_in_a_row: u32,
}

impl Summary {
    /// Adds one batch.
    pub fn add(&mut self, outcome: Outcome) {
        self.batches = self.batches.saturating_add(1);
        match outcome {
            Outcome::Receipt(receipt, retries) => {
                self.refused_in_a_row = 0;
                self.retries = self.retries.saturating_add(u64::from(retries));
                self.add_receipt(*receipt);
            }
            Outcome::Refused(failure) => {
                self.refused = self.refused.saturating_add(1);
                self.refused_in_a_row = self.refused_in_a_row.saturating_add(1);
                if self.refusals.len() < SHOWN {
                    self.refusals.push(failure);
                }
            }
        }
    }

    fn add_receipt(&mut self, receipt: SubmitResponse) {
        count(&mut self.states, state_word(receipt.state()), 1);
        self.received = self.received.saturating_add(u64::from(receipt.received_events));
        self.accepted = self.accepted.saturating_add(u64::from(receipt.accepted_events));
        self.fields = self.fields.saturating_add(u64::from(receipt.accepted_fields));
        count_all(&mut self.withheld_events, &receipt.withheld_events);
        count_all(&mut self.withheld_fields, &receipt.withheld_fields);
        self.levels.extend(receipt.effective_levels.into_iter().map(|one| (one.program, one.level)));
        self.policy_version = receipt.policy_version;
        self.commit_number = self.commit_number.max(receipt.commit_number);
        self.more_places |= receipt.withheld_truncated;
        for withheld in receipt.withheld {
            if self.places.len() < SHOWN {
                let reason = reason_word(withheld.reason);
                self.places.push((withheld.place, reason, withheld.remedy));
            } else {
                self.more_places = true;
            }
        }
    }

    /// Whether sending on is of no use: batch after batch is refused.
    pub const fn is_hopeless(&self) -> bool {
        self.refused_in_a_row >= HOPELESS
    }

    /// Whether every event that was received has one outcome.
    pub fn adds_up(&self) -> bool {
        self.received == self.accepted + self.withheld_events.values().sum::<u64>()
    }

    pub fn show(&self, out: Output) -> Result<(), Failure> {
        if out.is_json() {
            return out.json(&self.json());
        }
        let words = |counts: &BTreeMap<&'static str, u64>| {
            let each: Vec<_> =
                counts.iter().map(|(word, count)| format!("{} {word}", grouped(*count))).collect();
            each.join(", ")
        };
        let levels: Vec<_> =
            self.levels.iter().map(|(program, level)| format!("{program}={level}")).collect();
        let mut rows = vec![
            ("batches", format!("{} {}", grouped(self.batches), words_in_parentheses(&words(&self.states)))),
            ("events received", grouped(self.received)),
            ("events accepted", grouped(self.accepted)),
            ("events withheld", words(&self.withheld_events)),
            ("fields stored", grouped(self.fields)),
            ("fields withheld", words(&self.withheld_fields)),
            ("levels in force", levels.join(", ")),
            ("policy", self.policy_version.clone()),
            ("last commit", self.commit_number.to_string()),
        ];
        rows.retain(|(_, value)| !value.is_empty());
        if self.retries > 0 {
            rows.push(("retries", grouped(self.retries)));
        }
        if self.refused > 0 {
            rows.push(("batches refused", grouped(self.refused)));
        }
        out.table(&pairs(rows))?;
        if self.states.contains_key(DISABLED) {
            out.line("The customer does not take part in what these events belong to: drop them, do not send them again.")?;
        }
        if !self.places.is_empty() {
            let mut shown = table(&["withheld", "reason", "remedy"]);
            for (place, reason, remedy) in &self.places {
                shown.add_row([place.as_str(), reason, remedy]);
            }
            out.table(&shown)?;
            if self.more_places {
                out.line("and more; every receipt names up to 32")?;
            }
        }
        Ok(())
    }

    fn json(&self) -> serde_json::Value {
        let places = self.places.iter();
        let places: Vec<_> = places
            .map(|(place, reason, remedy)| json!({ "place": place, "reason": reason, "remedy": remedy }))
            .collect();
        json!({
            "batches": self.batches,
            "states": self.states,
            "received_events": self.received,
            "accepted_events": self.accepted,
            "withheld_events": self.withheld_events,
            "accepted_fields": self.fields,
            "withheld_fields": self.withheld_fields,
            "effective_levels": self.levels,
            "policy_version": self.policy_version,
            "commit_number": self.commit_number,
            "retries": self.retries,
            "withheld": places,
            "withheld_truncated": self.more_places,
            "refused_batches": self.refused,
            "refusals": self.refusals.iter().map(ToString::to_string).collect::<Vec<_>>(),
        })
    }

    /// Whether the policy does not know the product: nothing of all that was sent was understood.
    pub fn is_unknown_product(&self) -> bool {
        let unknown = self.withheld_events.get(Reason::UnknownProduct.as_str_name());
        self.received > 0 && unknown == Some(&self.received)
    }

    /// How the command ends.
    pub fn result(mut self) -> Result<(), Failure> {
        if self.refusals.is_empty() {
            return Ok(());
        }
        let first = self.refusals.swap_remove(0);
        if self.refused == self.batches {
            return Err(first);
        }
        let (refused, batches) = (self.refused, self.batches);
        Err(Failure::Partly(format!(
            "{refused} of {batches} batches were not taken, the first one because: {first}"
        )))
    }
}

fn words_in_parentheses(words: &str) -> String {
    if words.is_empty() { String::new() } else { format!("({words})") }
}

fn count(counts: &mut BTreeMap<&'static str, u64>, word: &'static str, n: u64) {
    let slot = counts.entry(word).or_default();
    *slot = slot.saturating_add(n);
}

fn count_all(counts: &mut BTreeMap<&'static str, u64>, reasons: &[ReasonCount]) {
    for one in reasons {
        count(counts, reason_word(one.reason), u64::from(one.count));
    }
}

fn reason_word(reason: i32) -> &'static str {
    Reason::try_from(reason).map_or("?", |reason| reason.as_str_name())
}

const fn state_word(state: State) -> &'static str {
    match state {
        State::Unspecified => "?",
        State::Stored => "stored",
        State::Duplicate => "duplicate",
        State::Disabled => DISABLED,
        State::NothingStored => "nothing stored",
    }
}
