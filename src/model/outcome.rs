//! Outcomes: the one fate of each event and field, and the tally of a batch. Every received
//! event is counted once, and the counts add up (P3).

use std::collections::BTreeMap;

use super::class::words;
use serde::{Deserialize, Serialize};

words! {
    /// Why an event or a field was not stored. The order is that of `usaged.ingest.v1.Reason`, from 1.
    Reason {
        /// The customer does not take part in the program of this event.
        NotParticipating = "not_participating",
        /// The level does not include the category, or drops the class.
        Level = "level",
        /// Every purpose is switched off or not part of the level.
        Purpose = "purpose",
        /// The policy has no such product.
        UnknownProduct = "unknown_product",
        /// The dictionary has no such event.
        UnknownEvent = "unknown_event",
        /// The dictionary has no such field in this event.
        UnknownField = "unknown_field",
        /// A region or level was named that the policy does not have.
        UnknownLevel = "unknown_level",
        /// Newer than the dictionary version that the customer accepted.
        NotYetAccepted = "not_yet_accepted",
        /// Customer content or a secret.
        Forbidden = "forbidden",
        /// Not of the type that the dictionary declares.
        WrongType = "wrong_type",
        /// Not of the form of its class, or beyond a bound.
        Malformed = "malformed",
        /// The time is too far from the collector's clock.
        Clock = "clock",
        /// Given twice in one record.
        Repeated = "repeated",
        /// No key could be had.
        NoKey = "no_key",
        /// It names something that was erased on request.
        Erased = "erased",
    }
}

impl Reason {
    /// How many reasons there are.
    pub const COUNT: usize = Self::ALL.len();

    /// The position in [`Self::ALL`]: a number that is stored. It never changes and is never used again.
    #[must_use]
    #[expect(clippy::as_conversions, reason = "the position in a fieldless enum")]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Counts by [`Self::index`], by name; those that are zero are left out.
    #[must_use]
    pub fn named<N: Into<u64>>(counts: [N; Self::COUNT]) -> BTreeMap<Self, u64> {
        let named = Self::ALL.iter().copied().zip(counts.map(Into::into));
        named.filter(|(_, n)| *n > 0).collect()
    }

    /// Why, and what can be done about it, in one sentence for the receipt and for explain.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::NotParticipating => "the customer does not take part in this program: stop collecting it",
            Self::Level => "the level in force does not include this: nothing to do",
            Self::Purpose => "every purpose of this is switched off: nothing to do",
            Self::UnknownProduct => {
                "the policy has no dictionary of this product: add one, or correct the name"
            }
            Self::UnknownEvent => "the dictionary has no such event: declare it, or correct the name",
            Self::UnknownField => "the dictionary has no such field here: declare it, or correct the name",
            Self::UnknownLevel => "the policy has no such region, program or level: correct the name",
            Self::NotYetAccepted => "newer than the dictionary version that the customer accepted: wait",
            Self::Forbidden => "customer content and secrets are never stored: stop sending them",
            Self::WrongType => "send the type that the dictionary declares",
            Self::Malformed => "send the form that the dictionary and the class ask for",
            Self::Clock => "set the clock; events may be 31 days old and one hour ahead",
            Self::Repeated => "send each field of a record once",
            Self::NoKey => "no key could be had for a pseudonym: an operator must act",
            Self::Erased => "this was erased on request: drop it",
        }
    }

    /// Whether the sender can repair the cause, so that the receipt names the place.
    #[must_use]
    pub const fn is_senders(self) -> bool {
        match self {
            Self::UnknownProduct
            | Self::UnknownEvent
            | Self::UnknownField
            | Self::UnknownLevel
            | Self::WrongType
            | Self::Malformed
            | Self::Clock
            | Self::Repeated
            | Self::Erased => true,
            Self::NotParticipating
            | Self::Level
            | Self::Purpose
            | Self::NotYetAccepted
            | Self::Forbidden
            | Self::NoKey => false,
        }
    }
}

words! {
    /// In which form a field was stored.
    Fate {
        /// As it came.
        Kept = "kept",
        /// As a keyed pseudonym.
        Pseudonymised = "pseudonymised",
        /// Coarsened, or taken from a vocabulary.
        Coarsened = "coarsened",
        /// With identifiers inside it replaced.
        Redacted = "redacted",
    }
}

impl Fate {
    /// How many fates there are.
    pub const COUNT: usize = Self::ALL.len();

    /// The position in [`Self::ALL`].
    #[must_use]
    #[expect(clippy::as_conversions, reason = "the position in a fieldless enum")]
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// What became of the events and fields of one batch. `received = accepted + Σ withheld` for
/// events; fields are counted only inside accepted events.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Events in the request.
    pub received: u32,
    /// Events stored.
    pub accepted: u32,
    /// Events withheld, by [`Reason::index`].
    pub withheld: [u32; Reason::COUNT],
    /// Fields stored, by [`Fate::index`].
    pub fields: [u32; Fate::COUNT],
    /// Fields withheld, by [`Reason::index`].
    pub fields_withheld: [u32; Reason::COUNT],
}

impl Tally {
    /// Whether every received event has exactly one outcome.
    #[must_use]
    pub fn adds_up(&self) -> bool {
        let withheld: u64 = self.withheld.iter().copied().map(u64::from).sum();
        u64::from(self.received) == u64::from(self.accepted) + withheld
    }

    /// Counts an event that is withheld.
    pub fn withhold_event(&mut self, reason: Reason) {
        if let Some(count) = self.withheld.get_mut(reason.index()) {
            *count = count.saturating_add(1);
        }
    }

    /// Counts a field that is withheld.
    pub fn withhold_field(&mut self, reason: Reason) {
        if let Some(count) = self.fields_withheld.get_mut(reason.index()) {
            *count = count.saturating_add(1);
        }
    }

    /// Counts a field that is stored.
    pub fn store_field(&mut self, fate: Fate) {
        if let Some(count) = self.fields.get_mut(fate.index()) {
            *count = count.saturating_add(1);
        }
    }
}
