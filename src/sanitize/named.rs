//! How a batch names its customer: read from its bytes, so that it is what whoever received them was told.

use serde::{Deserialize, Serialize};

use super::wire::Cursor;
use crate::model::{CustomerId, WireFault};

/// A form in which a customer is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Named {
    /// By its id.
    Id,
    /// By a pseudonym that stays.
    Stable,
    /// By a pseudonym of an epoch.
    Rotating,
}

impl Named {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Id, Self::Stable, Self::Rotating];
}

/// How a `usaged.drain.v1.Batch` names the customer of this id; nothing if it does not.
///
/// # Errors
/// If `body` is not such a batch.
pub fn named(body: &[u8], id: &CustomerId) -> Result<Option<Named>, WireFault> {
    let (mut cursor, mut is_token) = (Cursor::new(body), false);
    // What is looked for stands in front of the events.
    while let Some((number, kind)) = cursor.tag()? {
        match number {
            8 => {
                let mut value = cursor.expect_message(kind)?;
                match value.tag()? {
                    Some((1, kind)) => {
                        let is_id = value.expect_bytes(kind)? == id.as_str().as_bytes();
                        return Ok(is_id.then_some(Named::Id));
                    }
                    Some((6, _)) => is_token = true,
                    _ => return Ok(None),
                }
            }
            14 if is_token => {
                let is_stable = cursor.expect_bytes(kind)?.ends_with(b"-s-");
                return Ok(Some(if is_stable { Named::Stable } else { Named::Rotating }));
            }
            _ => cursor.skip(kind)?,
        }
    }
    Ok(None)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    /// A batch with a customer: the value and the prefix of its tokens, and something behind them.
    fn body(value: &[u8], prefix: &str) -> Vec<u8> {
        let mut body = vec![0x0a, 1, b'v'];
        for (tag, bytes) in [(0x42, value), (0x72, prefix.as_bytes()), (0x62, b"\x08\x01")] {
            if !bytes.is_empty() {
                body.extend([tag, u8::try_from(bytes.len()).unwrap()]);
                body.extend(bytes);
            }
        }
        body
    }

    #[test]
    fn a_batch_says_by_itself_how_it_names_its_customer() {
        let acme = CustomerId::new("acme").unwrap();
        let token = [&[0x32, 16][..], &[7; 16]].concat();
        for (value, prefix, expected) in [
            (&b"\x0a\x04acme"[..], "", Some(Named::Id)),
            (&token, "p1-customer_id-s-", Some(Named::Stable)),
            (&token, "p1-customer_id-r12-", Some(Named::Rotating)),
            // A word that stands in the place of a pseudonym names nobody, and nor does nothing.
            (b"\x0a\x05other", "p1-customer_id-s-", None),
            (b"", "", None),
        ] {
            assert_eq!(named(&body(value, prefix), &acme), Ok(expected), "{prefix}");
        }
        assert!(named(&[0x42, 9], &acme).is_err());
    }
}
