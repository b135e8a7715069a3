//! The name of a lease: opaque to drainers, and tells a lease of this subscription from others.

use data_encoding::HEXLOWER;

use crate::model::CommitNumber;

/// A lease, named. Its text is 48 hexadecimal digits; no other text reads as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AckId {
    /// The number of the subscription: random at its creation, so that a lease of an earlier
    /// subscription of the same name is foreign.
    pub subscription: u64,
    /// The batch.
    pub commit: CommitNumber,
    /// The lease of the batch.
    pub nonce: u64,
}

impl AckId {
    /// The text that names it.
    #[must_use]
    pub fn text(self) -> String {
        let mut bytes = [0; 24];
        let numbers = [self.subscription, self.commit.0, self.nonce];
        for (place, number) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(numbers) {
            *place = number.to_be_bytes();
        }
        HEXLOWER.encode(&bytes)
    }

    /// Reads the text; `None` if it was not made by [`AckId::text`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 24];
        if text.len() != 48 || HEXLOWER.decode_mut(text.as_bytes(), &mut bytes).is_err() {
            return None;
        }
        let [subscription, commit, nonce] = bytes.as_chunks::<8>().0 else { return None };
        Some(Self {
            subscription: u64::from_be_bytes(*subscription),
            commit: CommitNumber(u64::from_be_bytes(*commit)),
            nonce: u64::from_be_bytes(*nonce),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::AckId;
    use crate::model::CommitNumber;

    #[test]
    fn only_its_own_text_names_a_lease() {
        let id = AckId { subscription: u64::MAX - 5, commit: CommitNumber(77), nonce: 1 };
        let text = id.text();
        assert_eq!(AckId::parse(&text), Some(id));
        for other in ["", "x", &text[1..], &text.to_uppercase(), &format!("{text}0"), &"g".repeat(48)] {
            assert_eq!(AckId::parse(other), None, "{other}");
        }
    }
}
