//! What became of fields, by their identifier class: the counts that the ledger tells.

use serde::de::Error as _;
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::class::{IdentifierClass, words};
use super::outcome::Fate;

words! {
    /// What was done with a field: one of the [`Fate`]s of a stored one, or dropped.
    Handling {
        /// Stored as it came.
        Kept = "kept",
        /// Stored as a keyed pseudonym.
        Pseudonymised = "pseudonymised",
        /// Stored coarsened, or taken from a vocabulary.
        Coarsened = "coarsened",
        /// Stored with identifiers inside it replaced.
        Redacted = "redacted",
        /// Not stored.
        Dropped = "dropped",
    }
}

impl Handling {
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// The position in [`Self::ALL`]: a number that is stored. It never changes and is never used again.
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::Kept => 0,
            Self::Pseudonymised => 1,
            Self::Coarsened => 2,
            Self::Redacted => 3,
            Self::Dropped => 4,
        }
    }
}

impl From<Fate> for Handling {
    fn from(fate: Fate) -> Self {
        match fate {
            Fate::Kept => Self::Kept,
            Fate::Pseudonymised => Self::Pseudonymised,
            Fate::Coarsened => Self::Coarsened,
            Fate::Redacted => Self::Redacted,
        }
    }
}

/// Fields by class and handling. As JSON only what is not zero:
/// `{"ip_address":{"pseudonymised":12,"dropped":1}}`, in the order of the classes.
#[derive(Clone, PartialEq, Eq)]
pub struct ClassCounts(Box<[[u64; Handling::COUNT]; IdentifierClass::ALL.len()]>);

impl Default for ClassCounts {
    fn default() -> Self {
        Self(Box::new([[0; Handling::COUNT]; IdentifierClass::ALL.len()]))
    }
}

impl std::fmt::Debug for ClassCounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter().map(|(class, handling, n)| ((class, handling), n))).finish()
    }
}

impl ClassCounts {
    /// Counts `n` fields more.
    #[inline]
    pub fn add(&mut self, class: IdentifierClass, handling: Handling, n: u64) {
        if let Some(count) = self.0.get_mut(class.index()).and_then(|row| row.get_mut(handling.index())) {
            *count = count.saturating_add(n);
        }
    }

    /// How many fields of `class` were handled so.
    #[must_use]
    pub fn get(&self, class: IdentifierClass, handling: Handling) -> u64 {
        self.0.get(class.index()).and_then(|row| row.get(handling.index())).copied().unwrap_or(0)
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self) {
        for (sum, n) in self.0.as_flattened_mut().iter_mut().zip(other.0.as_flattened()) {
            *sum = sum.saturating_add(*n);
        }
    }

    /// How many fields of all classes were handled so.
    #[must_use]
    pub fn total(&self, handling: Handling) -> u64 {
        IdentifierClass::ALL.iter().fold(0, |sum, class| sum.saturating_add(self.get(*class, handling)))
    }

    /// Whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// What is not zero, by class and then by handling.
    pub fn iter(&self) -> impl Iterator<Item = (IdentifierClass, Handling, u64)> {
        IdentifierClass::ALL.iter().flat_map(|class| {
            let counts =
                Handling::ALL.iter().map(|handling| (*class, *handling, self.get(*class, *handling)));
            counts.filter(|(_, _, n)| *n > 0)
        })
    }
}

/// The counts of one class, as JSON.
struct Row([u64; Handling::COUNT]);

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (handling, n) in Handling::ALL.iter().zip(self.0).filter(|(_, n)| *n > 0) {
            map.serialize_entry(handling, &n)?;
        }
        map.end()
    }
}

impl Serialize for ClassCounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (class, row) in IdentifierClass::ALL.iter().zip(self.0.iter()) {
            if row.iter().any(|n| *n > 0) {
                map.serialize_entry(class, &Row(*row))?;
            }
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for ClassCounts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        type Read = std::collections::BTreeMap<IdentifierClass, std::collections::BTreeMap<Handling, u64>>;
        let mut counts = Self::default();
        for (class, row) in Read::deserialize(deserializer)? {
            for (handling, n) in row {
                if n == 0 {
                    return Err(D::Error::custom("a count of zero is left out"));
                }
                counts.add(class, handling, n);
            }
        }
        Ok(counts)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn counts_are_told_without_zeros_and_come_back_the_same() {
        let mut counts = ClassCounts::default();
        assert!(counts.is_empty());
        assert_eq!(serde_json::to_string(&counts).unwrap(), "{}");
        counts.add(IdentifierClass::IpAddress, Handling::Dropped, 1);
        counts.add(IdentifierClass::IpAddress, Handling::Pseudonymised, 12);
        counts.add(IdentifierClass::NotIdentifying, Handling::from(Fate::Kept), u64::MAX);
        let text = serde_json::to_string(&counts).unwrap();
        let expected = format!(
            r#"{{"not_identifying":{{"kept":{}}},"ip_address":{{"pseudonymised":12,"dropped":1}}}}"#,
            u64::MAX
        );
        assert_eq!(text, expected);
        assert_eq!(serde_json::from_str::<ClassCounts>(&text).unwrap(), counts);
        let twice = [counts.clone(), counts].iter().fold(ClassCounts::default(), |mut sum, one| {
            sum.merge(one);
            sum
        });
        assert_eq!(twice.get(IdentifierClass::IpAddress, Handling::Pseudonymised), 24);
        assert_eq!(twice.total(Handling::Kept), u64::MAX, "sums stay at the end of the range");
        for bad in [r#"{"ip":{"kept":1}}"#, r#"{"ip_address":{"lost":1}}"#, r#"{"ip_address":{"kept":0}}"#] {
            assert!(serde_json::from_str::<ClassCounts>(bad).is_err(), "{bad}");
        }
    }
}
