//! Where the rows of subscriptions are: keys, and the row that defines a subscription.
//!
//! | store's table | key | value |
//! |---|---|---|
//! | subscriptions | name | version byte 1, then JSON: the subscription and its number |
//! | cursors | number (8) | the head row of [`super::rows`] |
//! | leases | number (8), commit (8) | a leased or returned row |
//! | dead | number (8), commit (8) | a dead row |
//! | notices | number (8), notice (8) | a row of [`super::notices`] |
//! | received | number (8), customer (8) | a row of [`super::received`] |
//! | totals | number (8), row (8) | a row of [`super::totals`] |
//!
//! All but the first begin with the number of the subscription. Rows of `received` are as many as there are
//! customers, so they are read one by one, and deleted as a range.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::DrainError;
use super::rows::{Changes, RowFault, Rows};
use crate::model::{CommitNumber, Subscription, SubscriptionName};
use crate::store::{MetaOp, MetaTable};

const VERSION: u8 = 1;

/// What defines a subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Definition {
    pub(super) subscription: Subscription,
    pub(super) nonce: u64,
}

/// The keys and values of one table.
type Table = Vec<(Vec<u8>, Vec<u8>)>;

/// Everything that was found about subscriptions.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) definitions: Vec<Definition>,
    /// Rows by the number of their subscription.
    pub(super) rows: BTreeMap<u64, Rows>,
    /// Notices and totals by the number of their subscription.
    pub(super) notices: BTreeMap<u64, Numbered>,
    pub(super) totals: BTreeMap<u64, Numbered>,
}

/// Rows by their number.
pub(super) type Numbered = Vec<(u64, Vec<u8>)>;

impl Found {
    /// The tables that [`Self::read`] takes, in its order.
    pub(super) const TABLES: [MetaTable; 6] = [
        MetaTable::Subscriptions,
        MetaTable::Cursors,
        MetaTable::Leases,
        MetaTable::Dead,
        MetaTable::Notices,
        MetaTable::Totals,
    ];

    /// Sorts out the contents of [`Self::TABLES`].
    pub(super) fn read(
        [subscriptions, cursors, leases, dead, notices, totals]: [Table; 6],
    ) -> Result<Self, DrainError> {
        let mut found = Self::default();
        for (_, value) in subscriptions {
            found.definitions.push(definition(&value)?);
        }
        for (key, value) in cursors {
            let nonce = key.as_slice().try_into().map_err(|_| damaged("cursors"))?;
            found.rows.entry(u64::from_be_bytes(nonce)).or_default().head = value;
        }
        for (key, value) in leases {
            let (nonce, commit) = numbers(&key).ok_or(damaged("leases"))?;
            found.rows.entry(nonce).or_default().outstanding.push((commit, value));
        }
        for (key, value) in dead {
            let (nonce, commit) = numbers(&key).ok_or(damaged("dead"))?;
            found.rows.entry(nonce).or_default().dead.push((commit, value));
        }
        let numbered = [("notices", notices, &mut found.notices), ("totals", totals, &mut found.totals)];
        for (table, rows, of) in numbered {
            for (key, value) in rows {
                let (nonce, number) = numbers(&key).ok_or(damaged(table))?;
                of.entry(nonce).or_default().push((number.0, value));
            }
        }
        Ok(found)
    }
}

fn definition(value: &[u8]) -> Result<Definition, DrainError> {
    match value.split_first() {
        Some((&VERSION, json)) => serde_json::from_slice(json).map_err(|_| damaged("subscriptions")),
        Some((&version, _)) => Err(DrainError::RowVersion { table: "subscriptions", version }),
        None => Err(damaged("subscriptions")),
    }
}

/// A definition as it would be written again.
pub(super) fn again(value: &[u8]) -> Option<Vec<u8>> {
    let MetaOp::Put { value, .. } = define(&definition(value).ok()?)? else { return None };
    Some(value)
}

fn numbers(key: &[u8]) -> Option<(u64, CommitNumber)> {
    let (nonce, rest) = key.split_first_chunk()?;
    let commit: [u8; 8] = rest.try_into().ok()?;
    Some((u64::from_be_bytes(*nonce), CommitNumber(u64::from_be_bytes(commit))))
}

const fn damaged(table: &'static str) -> DrainError {
    DrainError::RowDamaged { table }
}

/// The tables of what belongs to one subscription.
const OTHERS: &str = "cursors, leases, dead, notices, received or totals";

/// The error for a row of a subscription.
pub(super) const fn fault(fault: RowFault) -> DrainError {
    match fault {
        RowFault::Version(version) => DrainError::RowVersion { table: OTHERS, version },
        RowFault::Damaged => damaged(OTHERS),
    }
}

fn head_key(nonce: u64) -> Vec<u8> {
    nonce.to_be_bytes().to_vec()
}

fn row_key(nonce: u64, commit: CommitNumber) -> Vec<u8> {
    [nonce.to_be_bytes(), commit.0.to_be_bytes()].concat()
}

fn definition_key(name: &SubscriptionName) -> Vec<u8> {
    name.as_str().as_bytes().to_vec()
}

/// The operation that defines a subscription. `None` only if it cannot be written as JSON, which
/// its types do not allow to happen.
pub(super) fn define(definition: &Definition) -> Option<MetaOp> {
    let mut value = vec![VERSION];
    serde_json::to_writer(&mut value, definition).ok()?;
    let key = definition_key(&definition.subscription.name);
    Some(MetaOp::Put { table: MetaTable::Subscriptions, key, value })
}

/// The operations of a change.
pub(super) fn operations(nonce: u64, changes: Changes) -> Vec<MetaOp> {
    let put_or_delete = |table, key, value: Option<Vec<u8>>| match value {
        Some(value) => MetaOp::Put { table, key, value },
        None => MetaOp::Delete { table, key },
    };
    let head = changes.head.map(|row| put_or_delete(MetaTable::Cursors, head_key(nonce), Some(row)));
    let leases = changes.outstanding.into_iter().map(|(c, row)| (MetaTable::Leases, c, row));
    let dead = changes.dead.into_iter().map(|(c, row)| (MetaTable::Dead, c, row));
    let rows = leases.chain(dead).map(|(table, c, row)| put_or_delete(table, row_key(nonce, c), row));
    head.into_iter().chain(rows).collect()
}

/// The operations that delete a subscription; `rows` are those of its queue.
pub(super) fn undefine(name: &SubscriptionName, nonce: u64, rows: Changes) -> Vec<MetaOp> {
    let mut operations = operations(nonce, rows);
    operations.push(MetaOp::Delete { table: MetaTable::Cursors, key: head_key(nonce) });
    operations.extend(forget(nonce));
    operations.push(MetaOp::Delete { table: MetaTable::Subscriptions, key: definition_key(name) });
    operations
}

/// The operations that delete what is kept of a subscription beside its queue.
pub(super) fn forget(nonce: u64) -> impl Iterator<Item = MetaOp> {
    let tables = [MetaTable::Notices, MetaTable::Received, MetaTable::Totals];
    tables.into_iter().map(move |table| MetaOp::DeleteAll { table, prefix: head_key(nonce) })
}

/// The operations that delete rows whose subscription is gone.
pub(super) fn sweep(nonce: u64, rows: &Rows) -> Vec<MetaOp> {
    let gone = |rows: &[(CommitNumber, Vec<u8>)]| rows.iter().map(|(commit, _)| (*commit, None)).collect();
    let changes = Changes { head: None, outstanding: gone(&rows.outstanding), dead: gone(&rows.dead) };
    let mut operations = operations(nonce, changes);
    operations.push(MetaOp::Delete { table: MetaTable::Cursors, key: head_key(nonce) });
    operations
}
