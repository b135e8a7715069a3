//! Bringing subscriptions back from their rows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::books::Books;
use super::drainer::Drainer;
use super::notices::Notices;
use super::state::Queue;
use super::table::{self, Found};
use super::totals::Totals;
use super::{DrainError, Options, blocking};
use crate::model::SubscriptionName;
use crate::store::{MetaOp, MetaTable, Store};

/// Every subscription as it was. Rows without a definition, which are what a crash left of a deletion, are
/// deleted.
pub(super) async fn recover(
    store: &Store,
    options: &Options,
) -> Result<BTreeMap<SubscriptionName, Arc<Drainer>>, DrainError> {
    let reader = store.clone();
    let read = blocking(move || {
        let [subscriptions, cursors, leases, dead, notices, totals] =
            Found::TABLES.map(|table| reader.load_meta(table));
        let found = Found::read([subscriptions?, cursors?, leases?, dead?, notices?, totals?])?;
        let receivers = receivers(&reader)?;
        Ok::<_, DrainError>((found, receivers))
    });
    let (found, receivers) = read.await??;
    let Found { definitions, mut rows, mut notices, mut totals } = found;
    let mut gone: BTreeSet<u64> = notices.keys().chain(totals.keys()).copied().chain(receivers).collect();
    let mut drainers = BTreeMap::new();
    for table::Definition { subscription, nonce } in definitions {
        gone.remove(&nonce);
        let terms = Drainer::terms(&subscription, options);
        let queue =
            Queue::recover(&rows.remove(&nonce).unwrap_or_default(), terms, rand::random(), store.head());
        let notices = notices.remove(&nonce).unwrap_or_default();
        let notices = Notices::recover(options.max_notices, &notices).map_err(table::fault)?;
        let totals = Totals::recover(&totals.remove(&nonce).unwrap_or_default()).map_err(table::fault)?;
        let books = Books::new(nonce, queue.map_err(table::fault)?, notices, totals);
        drainers.insert(subscription.name.clone(), Drainer::new(subscription, nonce, books));
    }
    let mut swept: Vec<MetaOp> = rows.iter().flat_map(|(nonce, rows)| table::sweep(*nonce, rows)).collect();
    swept.extend(gone.into_iter().flat_map(table::forget));
    if !swept.is_empty() {
        store.write_meta(swept, false).await?;
    }
    Ok(drainers)
}

/// The numbers of the subscriptions that have rows about what they received: one look for each.
fn receivers(store: &Store) -> Result<Vec<u64>, DrainError> {
    let (mut found, mut last) = (Vec::new(), None);
    loop {
        // Behind every row of the one before.
        let after = last.map(|number: u64| [number.to_be_bytes(), [u8::MAX; 8]].concat());
        let row = store.scan_meta(MetaTable::Received, &[], after.as_deref(), 1)?;
        last = row.first().and_then(|(key, _)| key.first_chunk()).map(|key| u64::from_be_bytes(*key));
        match last {
            Some(number) => found.push(number),
            None => break,
        }
    }
    Ok(found)
}
