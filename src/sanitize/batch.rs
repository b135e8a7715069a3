//! What the one pass makes, and the only thing the store takes: a sanitised batch.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::redact::Hits;
use crate::model::{
    ClassCounts, CustomerKey, LevelName, ProductName, ProgramName, Purposes, RawText, Reason, RegionName,
    Tally, UnixMillis,
};

/// The sanitised events of one request that belong to one program, at one level. Only
/// [`super::sanitize`] makes one, and [`super::lower()`] and [`super::strike()`] make less of one:
///
/// ```compile_fail,E0451
/// # use usaged::sanitize::SanitizedBatch;
/// fn forge(body: Vec<u8>) -> SanitizedBatch {
///     SanitizedBatch { body }
/// }
/// ```
///
/// What was made by it can be looked at:
///
/// ```
/// # use usaged::sanitize::SanitizedBatch;
/// fn look(batch: &SanitizedBatch) -> &[u8] {
///     batch.body()
/// }
/// ```
#[derive(Clone)]
pub struct SanitizedBatch {
    pub(super) customer: CustomerKey,
    pub(super) product: ProductName,
    pub(super) program: ProgramName,
    pub(super) level: LevelName,
    pub(super) region: Option<RegionName>,
    pub(super) policy_version: Arc<str>,
    pub(super) dictionary_version: u32,
    pub(super) accepted_version: u32,
    pub(super) purposes: Purposes,
    pub(super) received: UnixMillis,
    pub(super) events: u32,
    pub(super) fingerprint: [u8; 8],
    pub(super) fields: ClassCounts,
    pub(super) withheld: BTreeMap<Reason, u64>,
    pub(super) body: Vec<u8>,
}

impl SanitizedBatch {
    /// The customer, by the collector's own number.
    #[must_use]
    pub const fn customer(&self) -> CustomerKey {
        self.customer
    }

    /// The product that reported.
    #[must_use]
    pub const fn product(&self) -> &ProductName {
        &self.product
    }

    /// The program that the events belong to.
    #[must_use]
    pub const fn program(&self) -> &ProgramName {
        &self.program
    }

    /// The level that was in force.
    #[must_use]
    pub const fn level(&self) -> &LevelName {
        &self.level
    }

    /// The region overlay that was applied.
    #[must_use]
    pub const fn region(&self) -> Option<&RegionName> {
        self.region.as_ref()
    }

    /// The policy that decided.
    #[must_use]
    pub fn policy_version(&self) -> &str {
        &self.policy_version
    }

    /// The version of the product's dictionary.
    #[must_use]
    pub const fn dictionary_version(&self) -> u32 {
        self.dictionary_version
    }

    /// The newest dictionary version that anything in it may come from: what the customer had accepted.
    #[must_use]
    pub const fn accepted_version(&self) -> u32 {
        self.accepted_version
    }

    /// The purposes that some part of it may be used for.
    #[must_use]
    pub const fn purposes(&self) -> Purposes {
        self.purposes
    }

    /// When the request was received.
    #[must_use]
    pub const fn received(&self) -> UnixMillis {
        self.received
    }

    /// The [fingerprint](crate::policy::Plan::fingerprint) of the plan that it was made by: under an equal one, its
    /// bytes are as they should be.
    #[must_use]
    pub const fn fingerprint(&self) -> [u8; 8] {
        self.fingerprint
    }

    /// How many events it holds; at least one.
    #[must_use]
    pub const fn events(&self) -> u32 {
        self.events
    }

    /// The fields of its events by class and by what was done with them, those counted that were dropped on the way in.
    /// Of a batch that [`super::sanitize`] made: what is made from a stored one does not know what was dropped before.
    #[must_use]
    pub const fn fields(&self) -> &ClassCounts {
        &self.fields
    }

    /// Those fields by themselves.
    #[must_use]
    pub fn into_fields(self) -> ClassCounts {
        self.fields
    }

    /// Events of the request that belong to its program and were withheld at its level; of a batch that
    /// [`super::sanitize`] made.
    #[must_use]
    pub const fn withheld(&self) -> &BTreeMap<Reason, u64> {
        &self.withheld
    }

    /// The stored form: the bytes of a `usaged.drain.v1.Batch`, its tables before its events.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}

impl std::fmt::Debug for SanitizedBatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SanitizedBatch")
            .field("customer", &self.customer)
            .field("product", &self.product)
            .field("program", &self.program)
            .field("level", &self.level)
            .field("events", &self.events)
            .finish_non_exhaustive()
    }
}

/// What became of one request.
#[derive(Debug, Default)]
pub struct Sanitized {
    /// What is to be stored: at most one batch for each program and level.
    pub batches: Vec<SanitizedBatch>,
    /// The outcome of every event and field.
    pub tally: Tally,
    /// Places that the sender can repair; at most [`crate::model::limits::WITHHELD_PLACES`].
    pub places: Vec<WithheldPlace>,
    /// Whether there were more places.
    pub places_truncated: bool,
    /// What detectors found in text.
    pub hits: Hits,
}

/// A place in the sender's own request. It may hold names that the sender made up, so it goes
/// into the sender's receipt and nowhere else: `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct WithheldPlace {
    /// Such as `events[3].fields["host"]`.
    place: String,
    /// Why it was withheld.
    reason: Reason,
}

impl std::fmt::Debug for WithheldPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WithheldPlace(.., {})", self.reason)
    }
}

impl WithheldPlace {
    /// A whole event, with the name that the sender gave it.
    pub(super) fn event(event: u32, name: RawText<'_>, reason: Reason) -> Self {
        Self { place: format!("events[{event}] (\"{}\")", shown(name)), reason }
    }

    /// A field, by the names that lead to it.
    pub(super) fn new(event: u32, path: &[RawText<'_>], reason: Reason) -> Self {
        let mut place = format!("events[{event}]");
        for (depth, name) in path.iter().enumerate() {
            place.push_str(if depth == 0 { ".fields[\"" } else { "[\"" });
            place.push_str(&shown(*name));
            place.push_str("\"]");
        }
        Self { place, reason }
    }

    /// The place, for the sender's own receipt.
    #[must_use]
    pub fn for_sender(&self) -> &str {
        &self.place
    }

    /// Why it was withheld.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        self.reason
    }
}

/// A name as its sender wrote it. A long one is cut, for the receipt's sake.
fn shown(name: RawText<'_>) -> String {
    String::from_utf8_lossy(name.expose()).chars().take(64).flat_map(char::escape_debug).collect()
}
