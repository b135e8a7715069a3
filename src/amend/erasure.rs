//! An erasure: what it is of, how far it is, and its row. Pure.
//!
//! An erasure goes through its stages in order, each of which can be done again: fenced (nothing of it is stored
//! or delivered any more), rewritten, purged (the old bytes are off the disk), verified. A crash resumes
//! with the stage that the row names.
//!
//! A row: version 2 (1), the number of the ledger's entry that says that it is done, which the store fills in (8; 0 as
//! long as it is not done), then JSON. In a row of version 1 JSON comes at once, and the number is not known.

use serde::{Deserialize, Serialize};

use super::touched::Touched;
use crate::drain::Notice;
use crate::model::{CommitNumber, CustomerKey, ErasureId, IdentifierClass, UnixMillis, limits};

/// The version of a row.
const VERSION: u8 = 2;
/// The version before.
const ALL_JSON: u8 = 1;

/// What is erased. The identifier itself is in no row of an erasure: [`crate::sanitize::Erased`] has it, sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Scope {
    /// Everything of the customer.
    Customer,
    /// Everything of one installation.
    Instance,
    /// Every event that holds an identifier.
    Identifier {
        /// Its class.
        class: IdentifierClass,
    },
    /// Every event that happened from a time until another.
    Times {
        /// The first time.
        from: UnixMillis,
        /// The end, excluded.
        until: UnixMillis,
    },
}

impl Scope {
    /// The word for it in the API and logs.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Instance => "instance",
            Self::Identifier { .. } => "identifier",
            Self::Times { .. } => "times",
        }
    }

    /// The class of an erasure by identifier.
    #[must_use]
    pub const fn class(&self) -> Option<IdentifierClass> {
        match self {
            Self::Identifier { class } => Some(*class),
            Self::Customer | Self::Instance | Self::Times { .. } => None,
        }
    }
}

/// How far an erasure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Asked for, and fenced, or about to be.
    Fenced,
    /// Rewritten; the old bytes are being taken off the disk.
    Purging,
    /// The disk is being read back.
    Verifying,
    /// Done and verified.
    Done,
}

/// What an erasure did so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Batches that were looked at.
    pub scanned: u64,
    /// Batches there are to look at.
    pub total: u64,
    /// Batches of which nothing is left.
    pub removed: u64,
    /// Batches of which some events are left.
    pub rewritten: u64,
    /// Events that were removed.
    pub events: u64,
    /// Subscriptions that are told.
    pub notified: u32,
    /// Events that stay and have only the short name of the host or account in a field. `None` if it has no other name, if
    /// they were not counted yet, and in rows of before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short_names: Option<u64>,
}

/// An erasure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Erasure {
    /// Its id.
    pub id: ErasureId,
    /// Whose data.
    pub customer: CustomerKey,
    /// What is erased.
    pub scope: Scope,
    /// The caller's reference.
    pub reference: String,
    /// Who asked for it; empty if that was not said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub by: String,
    /// When it was asked for: when it was fenced. What happened until then is erased.
    pub requested: UnixMillis,
    /// How far it is.
    pub stage: Stage,
    /// The last commit that can hold what is erased; 0 as long as it is not known.
    pub upto: CommitNumber,
    /// The first commit that was not looked at yet.
    pub next: CommitNumber,
    /// What it did so far.
    pub counts: Counts,
    /// Where it rewrote something, and old bytes are until they are purged. Written together with each amendment. `None`
    /// in rows of before: then they can be anywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) touched: Option<Touched>,
    /// Until when late arrivals are withheld.
    pub suppress_until: UnixMillis,
    /// What drainers are told, until they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) notice: Option<Notice>,
    /// When it was done.
    pub done: Option<UnixMillis>,
    /// The number of the ledger's entry that says so, as the row has it; 0 if that is not known.
    #[serde(skip)]
    pub told: u64,
}

/// Until when what happened before an erasure is withheld: then it is too old to be stored.
pub(super) const fn withheld_until(fenced: UnixMillis) -> UnixMillis {
    fenced.plus_ms(limits::CLOCK_BEHIND_MS)
}

impl Erasure {
    /// Where in a row [`Self::told`] is, eight bytes.
    pub(super) const TOLD: usize = 1;

    /// The same, fenced at a time.
    pub(super) fn fenced_at(mut self, at: UnixMillis) -> Self {
        self.requested = at;
        self.suppress_until = withheld_until(at);
        if let Some(notice) = &mut self.notice {
            notice.requested = at;
        }
        self
    }

    /// Its row.
    ///
    /// # Errors
    /// Never in practice: every part of it has a JSON form.
    pub(super) fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut row = vec![VERSION];
        row.extend_from_slice(&self.told.to_be_bytes());
        serde_json::to_writer(&mut row, self)?;
        Ok(row)
    }

    /// Reads a row.
    pub(super) fn decode(row: &[u8]) -> Option<Self> {
        if let Some(json) = row.strip_prefix(&[ALL_JSON]) {
            return serde_json::from_slice(json).ok();
        }
        let (told, json) = row.strip_prefix(&[VERSION])?.split_first_chunk()?;
        let erasure: Self = serde_json::from_slice(json).ok()?;
        Some(Self { told: u64::from_be_bytes(*told), ..erasure })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const JSON: &str = r#"{"id":"0198c0de-0000-7000-8000-000000000001","customer":1,"scope":"instance","reference":"t",
        "requested":5,"stage":"purging","upto":9,"next":4,"counts":{"scanned":3,"total":9,"removed":1,"rewritten":0,
        "events":2,"notified":0},"suppress_until":7,"done":null}"#;

    // covers: D5
    #[test]
    fn a_row_of_before_is_read_and_says_neither_where_it_rewrote_something_nor_which_entry_tells_of_it() {
        let before = Erasure::decode(&[&[1], JSON.as_bytes()].concat()).unwrap();
        assert_eq!((&before.touched, before.told, before.stage), (&None, 0, Stage::Purging));
        let written = Erasure { told: 0x0102, touched: Some(Touched::default()), ..before.clone() };
        let mut row = written.encode().unwrap();
        assert_eq!(Erasure::decode(&row), Some(written));
        // The store fills the number in.
        row.get_mut(Erasure::TOLD..Erasure::TOLD + 8).unwrap().copy_from_slice(&77_u64.to_be_bytes());
        assert_eq!(Erasure::decode(&row).unwrap().told, 77);
        assert_eq!(Erasure::decode(&[&[3], JSON.as_bytes()].concat()), None);
    }
}
