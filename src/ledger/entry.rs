//! What an entry can say. A closed list: one kind for each thing that a customer, an operator or an
//! auditor may ask about. Never a value of a payload, and of a customer only its number.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::number;
use super::parts::{ErasureScope, ErasureStep, OldLedger, Period, Refusal, Terms, TokenRole, Under};
use crate::model::{
    ClassCounts, CustomerKey, IdentifierClass, LevelName, ProductName, ProgramName, Purpose, Reason,
    SubscriptionName, UnixMillis,
};

/// One entry as its maker writes it. The number in the outbox comes to it in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// When it was.
    pub at: UnixMillis,
    /// What it was.
    pub fact: Fact,
}

/// What was done. As JSON an object whose `kind` names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fact {
    /// The first entry of every ledger; the only one that does not come out of the outbox.
    LedgerBegun {
        /// The name of the ledger, as its checkpoints have it.
        origin: String,
        /// The id of the store whose outbox it is filled from: 32 hexadecimal digits.
        store: String,
        /// The number of the next entry.
        next: u64,
        /// The ledger that this one goes on for, if that one was found broken.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<OldLedger>,
    },
    /// The collector began to serve.
    CollectorStarted {
        /// Its version.
        version: String,
    },
    /// The collector ended as it was told to.
    CollectorStopped {
        /// Its version.
        version: String,
    },
    /// A policy came into force.
    PolicyInForce {
        /// Its version: a digest of its files.
        version: String,
        /// The version of each product's dictionary.
        dictionaries: BTreeMap<ProductName, u32>,
        /// The levels that the configuration caps all customers at, if there are any.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        level_caps: BTreeMap<ProgramName, LevelName>,
    },
    /// A customer's participation changed.
    ParticipationChanged {
        /// The customer.
        #[serde(with = "number")]
        customer: CustomerKey,
        /// The revision after it.
        revision: u64,
        /// What held before; none at the first one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        before: Option<Terms>,
        /// What holds now.
        after: Terms,
    },
    /// All that was known of a customer was erased. Its number cannot be resolved any more.
    CustomerErased {
        /// The customer.
        #[serde(with = "number")]
        customer: CustomerKey,
        /// The erasure that did it.
        erasure: String,
    },
    /// A subscription was created.
    SubscriptionCreated {
        /// Its name.
        subscription: SubscriptionName,
        /// Its one purpose.
        purpose: Purpose,
        /// Who receives the data.
        recipient: String,
        /// Only these programs; all when empty.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        programs: Vec<ProgramName>,
        /// Only these products; all when empty.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        products: Vec<ProductName>,
    },
    /// A subscription was deleted.
    SubscriptionDeleted {
        /// Its name.
        subscription: SubscriptionName,
        /// Its purpose.
        purpose: Purpose,
        /// Who received the data.
        recipient: String,
    },
    /// What came in for one customer in a period, and what was done with it.
    Collected {
        /// The customer.
        #[serde(with = "number")]
        customer: CustomerKey,
        /// When.
        period: Period,
        /// What it was decided under; nothing for what was withheld before that was known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        under: Option<Under>,
        /// Batches.
        batches: u64,
        /// Events stored.
        events: u64,
        /// Events withheld, by reason.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        withheld: BTreeMap<Reason, u64>,
        /// Fields of the stored events.
        fields: ClassCounts,
    },
    /// What left for one recipient, of one customer, in a period: batches that were handed out.
    Pulled {
        /// The customer.
        #[serde(with = "number")]
        customer: CustomerKey,
        /// When.
        period: Period,
        /// The subscription.
        subscription: SubscriptionName,
        /// What for.
        purpose: Purpose,
        /// To whom.
        recipient: String,
        /// What it was decided under, or brought down to.
        under: Under,
        /// Batches that left for the first time, or again after a seek, a replay or a lowered level.
        batches: u64,
        /// Their events.
        events: u64,
        /// How often a batch left, deliveries without an acknowledgement counted.
        deliveries: u64,
        /// Their fields; `dropped` counts those that the purpose or a later level took out.
        fields: ClassCounts,
    },
    /// A step of an erasure is done and on disk.
    ErasureStepped {
        /// The erasure.
        erasure: String,
        /// The customer, where one is meant.
        #[serde(default, with = "number::maybe", skip_serializing_if = "Option::is_none")]
        customer: Option<CustomerKey>,
        /// What is erased.
        scope: ErasureScope,
        /// The step.
        step: ErasureStep,
        /// Stored batches that it touched.
        records: u64,
        /// Who asked for it, at its first step, if that was said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
    },
    /// An erasure is done: its receipt.
    ErasureDone {
        /// The erasure.
        erasure: String,
        /// The customer, where one is meant.
        #[serde(default, with = "number::maybe", skip_serializing_if = "Option::is_none")]
        customer: Option<CustomerKey>,
        /// What was erased.
        scope: ErasureScope,
        /// The class of the identifier it was asked by. Never the value.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        class: Option<IdentifierClass>,
        /// From the intent to the end.
        period: Period,
        /// Stored batches that were rewritten.
        rewritten: u64,
        /// Stored batches of which nothing is left.
        removed: u64,
        /// Events that are gone.
        events: u64,
        /// Subscriptions that had received some of it and were told.
        notified: u64,
    },
    /// A changed level or policy was brought to what was queued.
    LevelBound {
        /// The customer.
        #[serde(with = "number")]
        customer: CustomerKey,
        /// The revision that binds.
        revision: u64,
        /// From the change to the end of the work on disk.
        period: Period,
        /// Batches that were queued.
        records: u64,
        /// Of them, batches that were brought down.
        lowered: u64,
        /// Of them, batches of which nothing may be left.
        removed: u64,
        /// Events that were in the batches that it brought down or removed. Those of the others are not counted.
        events_before: u64,
        /// Of these events, those that are left.
        events_after: u64,
        /// All fields of these batches, by class: how those that are left are stored now, and as dropped all others. What
        /// could not be read is not counted.
        #[serde(default, skip_serializing_if = "ClassCounts::is_empty")]
        fields: ClassCounts,
    },
    /// Somebody asked for the pseudonym of a value.
    PseudonymLookedUp {
        /// The customer.
        #[serde(with = "number")]
        customer: CustomerKey,
        /// The class of the value. Never the value.
        class: IdentifierClass,
        /// The programs whose tokens were given.
        programs: Vec<ProgramName>,
    },
    /// Somebody asked what would be stored of events of a customer, which tells the pseudonyms of what is in them.
    EventsExplained {
        /// The customer.
        #[serde(with = "number")]
        customer: CustomerKey,
        /// The programs whose tokens may have been given.
        programs: Vec<ProgramName>,
    },
    /// Something was refused.
    Refused {
        /// What.
        what: Refusal,
        /// Whom, where it is known.
        #[serde(default, with = "number::maybe", skip_serializing_if = "Option::is_none")]
        customer: Option<CustomerKey>,
        /// When.
        period: Period,
        /// How often.
        times: u64,
    },
    /// The root key was changed. No pseudonym changes with it.
    RootKeyRotated {
        /// How often that was done, this one counted.
        rotations: u64,
    },
    /// Rotating keys of past epochs were destroyed, of up to a thousand customers in one step.
    RatchetsMoved {
        /// The first of them, by its number.
        #[serde(with = "number")]
        first: CustomerKey,
        /// The last of them. Whoever is between the two and was not moved had no older keys.
        #[serde(with = "number")]
        last: CustomerKey,
        /// How many they are.
        customers: u64,
        /// The oldest epoch whose keys can still be derived.
        oldest_epoch: u64,
    },
    /// Rotating keys of past epochs were destroyed: as it was told before [`Self::RatchetsMoved`].
    KeysRatcheted {
        /// Whose.
        #[serde(with = "number")]
        customer: CustomerKey,
        /// The oldest epoch whose keys can still be derived.
        oldest_epoch: u64,
    },
    /// A past key was kept for a permitted join.
    BridgeMade {
        /// Whose.
        #[serde(with = "number")]
        customer: CustomerKey,
        /// The epoch it leads from.
        from_epoch: u64,
        /// When it goes by itself, if a time was set.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<UnixMillis>,
    },
    /// A kept key was destroyed.
    BridgeErased {
        /// Whose.
        #[serde(with = "number")]
        customer: CustomerKey,
        /// The epoch it led from.
        from_epoch: u64,
    },
    /// The collector was started although acknowledged batches are missing.
    DataLossAccepted {
        /// The last commit that is there.
        last: u64,
        /// The last commit that was acknowledged.
        acknowledged: u64,
    },
    /// A backup was made, or its file of personal rows only.
    BackupMade {
        /// The last commit in it; none in a file of personal rows.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last: Option<u64>,
        /// Personal rows.
        rows: u64,
    },
    /// The store was restored from a backup.
    StoreRestored {
        /// The last commit of the backup.
        last: u64,
        /// The commit that numbers went on with.
        next: u64,
        /// When the backup was made.
        made: UnixMillis,
        /// Erasures since then that were carried out again before anything was served.
        erased_again: u64,
    },
    /// A bearer token was issued. Never its text, and not for which customer.
    TokenIssued {
        /// Its id: 16 hexadecimal digits.
        token: String,
        /// What it lets its holder do.
        role: TokenRole,
        /// When it ends by itself.
        until: UnixMillis,
        /// Who asked for it.
        by: String,
    },
    /// A bearer token was revoked, alone or because its customer was erased.
    TokenRevoked {
        /// Its id.
        token: String,
        /// What it let its holder do.
        role: TokenRole,
        /// Who asked for it, if that was said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
    },
    /// A customer's part of the ledger was given out.
    Exported {
        /// The customer.
        #[serde(with = "number")]
        customer: CustomerKey,
    },
}

impl Entry {
    /// The bytes that go into the outbox: JSON without white space, members in the order of the
    /// declaration, absent ones left out. The same entry always gives the same bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        // Keys are words and numbers go into a vector, so this does not fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads what [`Self::to_bytes`] wrote; `None` if it is something else.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}
