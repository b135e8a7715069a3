//! What the sums of a ledger add up to, read from its file.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};

use crate::ledger_world::leaves;

/// What the entries of a kind add up to.
#[derive(Debug, Default)]
pub struct Sums {
    pub batches: u64,
    pub events: u64,
    /// Events that were withheld, by reason.
    pub withheld: BTreeMap<String, u64>,
    /// Fields by class and handling.
    pub fields: BTreeMap<String, BTreeMap<String, u64>>,
    /// Refusals by kind.
    pub refused: BTreeMap<String, u64>,
}

impl Sums {
    /// Fields that were stored.
    pub fn stored_fields(&self) -> u64 {
        let handled = self.fields.values().flatten();
        handled.filter(|(handling, _)| *handling != "dropped").map(|(_, n)| n).sum()
    }
}

fn add(sums: &mut BTreeMap<String, u64>, counts: Option<&Value>) {
    for (name, n) in counts.and_then(Value::as_object).into_iter().flatten() {
        *sums.entry(name.clone()).or_default() += n.as_u64().unwrap();
    }
}

/// Adds the entries of a kind up.
pub fn sums(ledger: &Path, kind: &str) -> Sums {
    let mut sums = Sums::default();
    for leaf in leaves(ledger) {
        let leaf: Value = serde_json::from_slice(&leaf).unwrap();
        let fact: &Map<String, Value> = leaf["fact"].as_object().unwrap();
        if fact["kind"] != kind {
            continue;
        }
        let number = |name: &str| fact.get(name).and_then(Value::as_u64).unwrap_or(0);
        sums.batches += number("batches");
        sums.events += number("events");
        add(&mut sums.withheld, fact.get("withheld"));
        for (class, handled) in fact.get("fields").and_then(Value::as_object).into_iter().flatten() {
            add(sums.fields.entry(class.clone()).or_default(), Some(handled));
        }
        if let Some(what) = fact.get("what").and_then(Value::as_str) {
            *sums.refused.entry(what.to_owned()).or_default() += number("times");
        }
    }
    sums
}
