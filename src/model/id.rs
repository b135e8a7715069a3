//! Ids and names: bounded, checked once where they enter, and typed so that one cannot pass for another.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A text that cannot be the id it was given for. Holds the rule, never the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{rule}")]
pub struct InvalidId {
    /// What the text has to be.
    pub rule: &'static str,
}

/// Defines a checked, cheaply cloned text.
macro_rules! text_id {
    ($(#[$meta:meta])* $name:ident, $max:literal, $allowed:expr, $rule:literal) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// What a valid one looks like.
            pub const RULE: &'static str = $rule;

            /// Checks and takes `text`.
            ///
            /// # Errors
            /// If it does not follow [`Self::RULE`].
            pub fn new(text: &str) -> Result<Self, InvalidId> {
                let allowed: fn(usize, u8) -> bool = $allowed;
                let fits = !text.is_empty() && text.len() <= $max;
                if fits && text.bytes().enumerate().all(|(at, byte)| allowed(at, byte)) {
                    Ok(Self(text.into()))
                } else {
                    Err(InvalidId { rule: Self::RULE })
                }
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::new(&text)
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.as_ref().to_owned()
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

const fn is_word(at: usize, byte: u8) -> bool {
    match byte {
        b'a'..=b'z' => true,
        b'0'..=b'9' | b'-' | b'_' => at > 0,
        _ => false,
    }
}

text_id! {
    /// The organisation whose products report, as the operator names it.
    CustomerId, 128,
    |_, byte| byte.is_ascii_alphanumeric() || b"._:@-".contains(&byte),
    "a customer id is 1 to 128 of letters, digits and . _ : @ -"
}
text_id! {
    /// What reports, such as `vcenter`.
    ProductName, 64, is_word,
    "a product is 1 to 64 of a-z, 0-9, - and _, beginning with a letter"
}
text_id! {
    /// A purpose-bound collection with a ladder of levels, such as `ceip`.
    ProgramName, 32, is_word,
    "a program is 1 to 32 of a-z, 0-9, - and _, beginning with a letter"
}
text_id! {
    /// A level of a program, such as `standard`.
    LevelName, 32, is_word,
    "a level is 1 to 32 of a-z, 0-9, - and _, beginning with a letter"
}
text_id! {
    /// A region whose overlay tightens levels, such as `eea`, or the names of up to four that apply together.
    RegionName, 64, is_word,
    "a region is 1 to 64 of a-z, 0-9, - and _, beginning with a letter"
}
text_id! {
    /// A named drainer.
    SubscriptionName, 63,
    |at, byte| byte.is_ascii_lowercase() || (at > 0 && (byte.is_ascii_digit() || byte == b'-')),
    "a subscription is 1 to 63 of a-z, 0-9 and -, beginning with a letter"
}
text_id! {
    /// An event that a dictionary declares, such as `vm.power_on`.
    EventName, 128,
    |at, byte| is_word(at, byte) || (at > 0 && byte == b'.'),
    "an event is 1 to 128 of a-z, 0-9, . - and _, beginning with a letter"
}
text_id! {
    /// The path of a field that a dictionary declares: `cpu.model`; `disks[].serial` for items of a
    /// list; `labels{}` for the values and `labels{key}` for the keys of a map.
    FieldPath, 256,
    |at, byte| byte.is_ascii_alphanumeric() || (at > 0 && b"._-[]{}".contains(&byte)),
    "a field path is 1 to 256 of letters, digits and . _ - [] {}, beginning with a letter or digit"
}

impl LevelName {
    /// The level that stores nothing.
    #[must_use]
    pub fn none() -> Self {
        Self("none".into())
    }

    /// Whether this is `none`, the level that stores nothing.
    #[must_use]
    pub fn is_none(&self) -> bool {
        &*self.0 == "none"
    }
}

/// The collector's own number for a customer: what keys, records and logs hold in place of the id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CustomerKey(pub u64);

/// The place of a record in the store's one order. Dense, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CommitNumber(pub u64);

impl CommitNumber {
    /// The one after this.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl std::fmt::Display for CommitNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// The UUID that a sender gave a batch. It is an identifier of the sender's making, so
/// it has no `Display` and `Debug` hides it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BatchId([u8; 16]);

impl BatchId {
    /// The id of no batch: what a reader holds before it has read one.
    pub const NIL: Self = Self([0; 16]);

    /// Reads the 36-character text form.
    ///
    /// # Errors
    /// If `text` is anything else.
    pub fn parse(text: &[u8]) -> Result<Self, InvalidId> {
        const RULE: InvalidId = InvalidId { rule: "a batch id is a UUID in its 36-character text form" };
        if text.len() != 36 {
            return Err(RULE);
        }
        match uuid::Uuid::try_parse_ascii(text) {
            Ok(uuid) if !uuid.is_nil() => Ok(Self(uuid.into_bytes())),
            _ => Err(RULE),
        }
    }

    /// The sixteen bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// The UUID that names an erasure. Its caller makes it, and repeats it when it asks again; it is on the ledger and
/// in the notices to drainers, so it names nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ErasureId(uuid::Uuid);

impl ErasureId {
    /// The sixteen bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The one of these sixteen bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(uuid::Uuid::from_bytes(bytes))
    }

    /// Reads the 36-character text form.
    ///
    /// # Errors
    /// If `text` is anything else.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        const RULE: InvalidId = InvalidId { rule: "an erasure id is a UUID in its 36-character text form" };
        match uuid::Uuid::try_parse(text) {
            Ok(uuid) if text.len() == 36 && !uuid.is_nil() => Ok(Self(uuid)),
            _ => Err(RULE),
        }
    }
}

impl std::fmt::Display for ErasureId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl TryFrom<String> for ErasureId {
    type Error = InvalidId;
    fn try_from(text: String) -> Result<Self, InvalidId> {
        Self::parse(&text)
    }
}

impl From<ErasureId> for String {
    fn from(id: ErasureId) -> Self {
        id.to_string()
    }
}

impl std::fmt::Debug for BatchId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BatchId(..)")
    }
}
