//! What the demo shows: one event side by side, outcomes that add up, the search, the rates.

use serde_json::{Value as Json, json};

use super::cast::CAST;
use crate::cli::batch_text;
use crate::cli::exit::Failure;
use crate::cli::output::{Output, grouped, right, table};
use crate::cli::policy::side_by_side::{Maps, flat};
use crate::cli::send::Summary;
use crate::grpc::proto::drain::{Batch, Subscription};
use crate::policy::Product;

/// Characters of a value that a table shows.
const CELL: usize = 26;

/// An event that every customer sent, and its program.
pub(super) struct Showcase<'p> {
    pub product: &'p Product,
    pub event: &'p str,
    pub program: &'p str,
    /// The fields as sent.
    pub sent: Json,
}

impl Showcase<'_> {
    /// The stored form of a player's event: the first of its name at the player's level.
    fn stored(&self, player: usize, drained: &[(u64, Batch)]) -> Option<(String, Json)> {
        let player = CAST.get(player)?;
        let (_, batch) = drained.iter().find(|(_, batch)| {
            batch.product == self.product.name().as_str()
                && player.is_at(&batch.program, &batch.level, &batch.region)
                && batch.program == self.program
                && batch.event_names.iter().any(|name| name == self.event)
        })?;
        let event = batch.events.iter().find(|event| {
            let name = usize::try_from(event.name).ok().and_then(|at| batch.event_names.get(at));
            name.is_some_and(|name| name == self.event)
        })?;
        Some((batch.level.clone(), batch_text::fields(batch, event)))
    }

    fn maps(&self) -> Maps<'_> {
        let event = self.product.events().iter().find(|event| event.name().as_str() == self.event);
        Maps(event.map_or_else(Vec::new, |event| {
            self.product.fields(event).map(|(_, field)| field.path().as_str()).collect()
        }))
    }

    /// A row for each field, a column for each customer.
    pub fn show(&self, drained: &[(u64, Batch)], out: Output) -> Result<(), Failure> {
        let maps = self.maps();
        let mut heads =
            vec![format!("{} {}", self.product.name(), self.event), "as sent by all five".to_owned()];
        let mut columns = vec![flat(&self.sent, &maps)];
        let mut nothing = Vec::new();
        for (at, player) in CAST.iter().enumerate() {
            match self.stored(at, drained) {
                Some((_, fields)) => {
                    heads.push(player.choice.to_owned());
                    columns.push(flat(&fields, &maps));
                }
                None => nothing.push(player.choice),
            }
        }
        let mut shown = table(&heads);
        for field in columns.first().cloned().unwrap_or_default().keys() {
            let cells = columns
                .iter()
                .map(|column| column.get(field).map_or_else(|| "-".to_owned(), |cell| cut(cell)));
            shown.add_row(std::iter::once(field.clone()).chain(cells));
        }
        out.table(&shown)?;
        if nothing.is_empty() {
            Ok(())
        } else {
            out.line(&format!("Nothing of it is stored for: {}.\n", nothing.join("; ")))
        }
    }

    pub fn json(&self, drained: &[(u64, Batch)]) -> Json {
        let stored: serde_json::Map<_, _> = CAST
            .iter()
            .enumerate()
            .map(|(at, player)| {
                (player.choice.to_owned(), self.stored(at, drained).map_or(Json::Null, |(_, fields)| fields))
            })
            .collect();
        json!({ "product": self.product.name(), "event": self.event, "sent": self.sent, "stored": stored })
    }
}

fn cut(text: &str) -> String {
    if text.chars().count() <= CELL {
        return text.to_owned();
    }
    text.chars().take(CELL - 1).chain(['…']).collect()
}

/// What became of the events of each customer.
pub(super) fn outcomes(sums: &[Summary], out: Output) -> Result<(), Failure> {
    let mut shown = table(&["customer", "takes part in", "received", "= stored", "+ withheld", "because"]);
    for (player, sum) in CAST.iter().zip(sums) {
        let withheld: u64 = sum.withheld_events.values().sum();
        let reasons =
            sum.withheld_events.iter().map(|(reason, count)| format!("{} {reason}", grouped(*count)));
        let reasons: Vec<_> = reasons.collect();
        shown.add_row([
            player.customer.to_owned(),
            player.choice.to_owned(),
            grouped(sum.received),
            grouped(sum.accepted),
            grouped(withheld),
            reasons.join(", "),
        ]);
    }
    right(&mut shown, 2..5);
    out.table(&shown)
}

/// Whether every stored batch has one outcome in a subscription, and what it is.
pub(super) fn balance(commits: u64, standing: &Subscription) -> (bool, String) {
    let parts = [
        ("acknowledged", standing.acknowledged_batches),
        ("of another purpose", standing.skipped_batches),
        ("waiting", standing.waiting_batches),
        ("dead", standing.dead_batches),
        ("expired", standing.expired_batches),
    ];
    let sum: u64 = parts.iter().map(|(_, count)| count).sum();
    let parts: Vec<_> = parts.iter().map(|(name, count)| format!("{} {name}", grouped(*count))).collect();
    (
        sum == commits,
        format!("{}: {} stored batches = {}", standing.name, grouped(commits), parts.join(" + ")),
    )
}
