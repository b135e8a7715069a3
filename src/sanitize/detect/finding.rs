//! What was found, and which of two findings counts.

use crate::model::IdentifierClass;

/// What was found, from the least to the most sensitive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::sanitize) enum What {
    /// An identifier of a class.
    Class(IdentifierClass),
    /// A number that a state gave a person.
    NationalId,
    /// A bank account.
    Iban,
    /// A payment card.
    PaymentCard,
    /// A word in Base64 or hexadecimal digits with something to find in it, whatever it is.
    Encoded,
    /// What looks like a token of ours: whoever wrote it would speak for somebody else.
    Token,
    /// A known identifier of the batch, by its number.
    Known(usize),
}

impl What {
    /// A password, key or token of somebody else.
    pub(in crate::sanitize) const SECRET: Self = Self::Class(IdentifierClass::Secret);

    /// Everything that has no class of its own.
    pub(in crate::sanitize) const CLASSLESS: [Self; 5] =
        [Self::NationalId, Self::Iban, Self::PaymentCard, Self::Encoded, Self::Token];

    /// The word for it in a marker. A known identifier goes by its class.
    pub(in crate::sanitize) const fn word(self) -> &'static str {
        match self {
            Self::Class(class) => class.as_str(),
            Self::Known(_) => "",
            Self::NationalId => "national_id",
            Self::Iban => "iban",
            Self::PaymentCard => "payment_card",
            Self::Encoded => "encoded",
            Self::Token => "token",
        }
    }

    /// Its place in the order of sensitivity: a secret is above all, then what can be anything, then what costs money. What the batch knows
    /// is surer than a form that other things have too, and an address has its form from nobody else.
    pub(super) fn sensitivity(self) -> u8 {
        match self {
            Self::Token => 10,
            Self::Class(IdentifierClass::Secret) => 9,
            Self::Encoded => 8,
            Self::PaymentCard => 7,
            Self::Iban => 6,
            Self::NationalId => 5,
            Self::Class(
                IdentifierClass::Email | IdentifierClass::IpAddress | IdentifierClass::MacAddress,
            ) => 4,
            Self::Known(_) => 3,
            Self::Class(IdentifierClass::UserId | IdentifierClass::Phone) => 2,
            Self::Class(_) => 1,
        }
    }
}

/// A stretch of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sanitize) struct Finding {
    /// Where it begins, in bytes.
    pub(in crate::sanitize) start: usize,
    /// Where it ends.
    pub(in crate::sanitize) end: usize,
    /// What it is.
    pub(in crate::sanitize) what: What,
}

impl Finding {
    /// A finding of a class, for detectors that find nothing else.
    #[expect(clippy::unnecessary_wraps, reason = "what every detector gives")]
    pub(super) const fn of(start: usize, end: usize, class: IdentifierClass) -> Option<Self> {
        Some(Self { start, end, what: What::Class(class) })
    }

    const fn len(self) -> usize {
        self.end - self.start
    }

    fn rank(self) -> (usize, u8) {
        (self.len(), self.what.sensitivity())
    }

    /// What the longer of two is, or the more sensitive of two that are as long.
    pub(super) fn more(self, other: Self) -> What {
        if other.rank() > self.rank() { other.what } else { self.what }
    }
}

/// The best finding so far.
pub(super) struct Best {
    floor: usize,
    /// Where the finding before ends: it is replaced, and denies nothing of what follows.
    pub(super) free: usize,
    found: Option<Finding>,
}

impl Best {
    /// Nothing yet; nothing that begins before `floor` counts, and nothing is said before `free`.
    pub(super) const fn from(floor: usize, free: usize) -> Self {
        Self { floor, free, found: None }
    }

    pub(super) const fn found(self) -> Option<Finding> {
        self.found
    }

    #[inline]
    pub(super) fn offer(&mut self, found: Option<Finding>) {
        let Some(found) = found else { return };
        if found.start >= self.floor
            && found.end > found.start
            && self.found.is_none_or(|best| best.rank() < found.rank())
        {
            self.found = Some(found);
        }
    }
}
