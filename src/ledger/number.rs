//! The collector's own number for a customer, as entries write it: `"c17"`.

use serde::de::Error as _;
use serde::{Deserialize as _, Deserializer, Serializer};

use crate::model::CustomerKey;

/// As entries, exports and `usaged ledger` write it.
#[must_use]
pub fn text(key: CustomerKey) -> String {
    format!("c{}", key.0)
}

/// The number in `text`; `None` if it is written in any other way.
#[must_use]
pub fn parse(given: &str) -> Option<CustomerKey> {
    let key = CustomerKey(given.strip_prefix('c')?.parse().ok()?);
    (text(key) == given).then_some(key)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for this signature")]
pub(super) fn serialize<S: Serializer>(key: &CustomerKey, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&text(*key))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<CustomerKey, D::Error> {
    let given = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
    parse(&given).ok_or_else(|| D::Error::custom("a customer is written as c and its number"))
}

/// The same where there may be none.
pub(super) mod maybe {
    use serde::{Deserializer, Serializer};

    use crate::model::CustomerKey;

    #[expect(clippy::ref_option, reason = "serde asks for this signature")]
    pub(in crate::ledger) fn serialize<S: Serializer>(
        key: &Option<CustomerKey>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match key {
            Some(key) => super::serialize(key, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(in crate::ledger) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<CustomerKey>, D::Error> {
        super::deserialize(deserializer).map(Some)
    }
}
