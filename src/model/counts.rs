//! What became of fields, by their identifier class: the counts that the ledger tells.

use serde::de::Error as _;
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
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ClassCounts(
    /// By class and then by handling. Of the 165 that there are a batch has a dozen.
    Vec<Count>,
);

#[derive(Clone, Copy, PartialEq, Eq)]
struct Count {
    class: IdentifierClass,
    handling: Handling,
    n: u64,
}

impl Count {
    const fn place(&self) -> (usize, usize) {
        (self.class.index(), self.handling.index())
    }
}

impl std::fmt::Debug for ClassCounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter().map(|(class, handling, n)| ((class, handling), n))).finish()
    }
}

impl ClassCounts {
    /// Counts `n` fields more.
    pub fn add(&mut self, class: IdentifierClass, handling: Handling, n: u64) {
        self.add_from(0, Count { class, handling, n });
    }

    /// Counts what does not come before the place `from`; where it is now.
    fn add_from(&mut self, from: usize, count: Count) -> usize {
        let behind = self.0.get(from..).unwrap_or_default();
        let at = from + behind.iter().position(|one| one.place() >= count.place()).unwrap_or(behind.len());
        match self.0.get_mut(at).filter(|one| one.place() == count.place()) {
            Some(one) => one.n = one.n.saturating_add(count.n),
            None if count.n > 0 => self.0.insert(at, count),
            None => {}
        }
        at
    }

    /// How many fields of `class` were handled so.
    #[must_use]
    pub fn get(&self, class: IdentifierClass, handling: Handling) -> u64 {
        self.0.iter().find(|one| one.class == class && one.handling == handling).map_or(0, |one| one.n)
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self) {
        let mut at = 0;
        for count in &other.0 {
            at = self.add_from(at, *count);
        }
    }

    /// Takes all of `other` away again.
    pub fn take_away(&mut self, other: &Self) {
        for one in &mut self.0 {
            one.n = one.n.saturating_sub(other.get(one.class, one.handling));
        }
        self.0.retain(|one| one.n > 0);
    }

    /// Counts as dropped what is in `before` and in no form in this: what of it is not left.
    pub fn drop_the_rest_of(&mut self, before: &Self) {
        for class in IdentifierClass::ALL {
            let of = |counts: &Self| {
                let all = Handling::ALL.iter().map(|handling| counts.get(*class, *handling));
                all.fold(0_u64, u64::saturating_add)
            };
            let gone = of(before).saturating_sub(of(self));
            self.add(*class, Handling::Dropped, gone);
        }
    }

    /// How many fields of all classes were handled so.
    #[must_use]
    pub fn total(&self, handling: Handling) -> u64 {
        let counts = self.0.iter().filter(|one| one.handling == handling);
        counts.fold(0, |sum, one| sum.saturating_add(one.n))
    }

    /// Whether nothing was counted.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many are not zero.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// What is not zero, by class and then by handling.
    pub fn iter(&self) -> impl Iterator<Item = (IdentifierClass, Handling, u64)> {
        self.0.iter().map(|Count { class, handling, n }| (*class, *handling, *n))
    }
}

/// Counts in the making: a place for each class and handling, so that a field costs no search.
#[derive(Debug)]
pub struct ClassTally(Box<[[u32; Handling::COUNT]; IdentifierClass::ALL.len()]>);

impl Default for ClassTally {
    fn default() -> Self {
        Self(Box::new([[0; Handling::COUNT]; IdentifierClass::ALL.len()]))
    }
}

impl ClassTally {
    /// Counts a field more.
    #[inline]
    pub fn add(&mut self, class: IdentifierClass, handling: Handling) {
        if let Some(count) = self.0.get_mut(class.index()).and_then(|row| row.get_mut(handling.index())) {
            *count = count.saturating_add(1);
        }
    }

    /// What was counted. Begins anew.
    pub fn take(&mut self) -> ClassCounts {
        let counted = self.0.as_flattened().iter().filter(|n| **n > 0).count();
        let mut counts = Vec::with_capacity(counted);
        for (class, row) in IdentifierClass::ALL.iter().zip(self.0.iter_mut()) {
            for (handling, n) in Handling::ALL.iter().zip(std::mem::take(row)).filter(|(_, n)| *n > 0) {
                counts.push(Count { class: *class, handling: *handling, n: n.into() });
            }
        }
        ClassCounts(counts)
    }
}

/// The counts of one class, as JSON.
struct Row<'a>(&'a [Count]);

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|one| (one.handling, one.n)))
    }
}

impl Serialize for ClassCounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let rows = self.0.chunk_by(|one, next| one.class == next.class);
        serializer.collect_map(rows.filter_map(|row| row.first().map(|one| (one.class, Row(row)))))
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
    fn what_is_counted_place_by_place_is_the_same_as_what_is_counted_at_once() {
        let (mut tally, mut counts) = (ClassTally::default(), ClassCounts::default());
        for n in 0..1_000_usize {
            let class = IdentifierClass::ALL.get(n * 7 % IdentifierClass::ALL.len()).unwrap();
            let handling = Handling::ALL.get(n * n % Handling::COUNT).unwrap();
            tally.add(*class, *handling);
            counts.add(*class, *handling, 1);
        }
        let taken = tally.take();
        assert_eq!(taken, counts);
        assert_eq!(taken.iter().map(|(_, _, n)| n).sum::<u64>(), 1_000);
        assert!(tally.take().is_empty(), "it begins anew");
        let (mut even, mut odd) = (ClassCounts::default(), ClassCounts::default());
        for (n, (class, handling, count)) in counts.iter().enumerate() {
            if n % 2 == 0 { &mut even } else { &mut odd }.add(class, handling, count);
        }
        let before = even.clone();
        even.merge(&odd);
        assert_eq!(even, counts, "in whatever order");
        even.take_away(&odd);
        assert_eq!(even, before);
    }

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
