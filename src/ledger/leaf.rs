//! A leaf of the tree: the bytes of an entry with its number in front, as one JSON object. The bytes
//! of the entry stay as its maker wrote them, so that whoever has the text can hash it.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::entry::{Entry, Fact};
use super::number;
use crate::model::{CustomerKey, UnixMillis};

/// Bytes of one leaf. A participation lists at most 256 of a kind, before and after.
pub const LEAF_BYTES: usize = 1024 * 1024;

const OPEN: &str = "{\"number\":";

/// The leaf of an entry; `None` if its bytes are not one JSON object on one line, within the bound.
pub(super) fn make(number: u64, entry: &[u8]) -> Option<Vec<u8>> {
    let rest = entry.strip_prefix(b"{")?;
    let mut leaf = format!("{OPEN}{number},").into_bytes();
    leaf.extend_from_slice(rest);
    let is_whole = leaf.len() <= LEAF_BYTES
        && !rest.contains(&b'\n')
        && !rest.starts_with(b"}")
        && serde_json::from_slice::<IgnoredAny>(entry).is_ok();
    is_whole.then_some(leaf)
}

/// The number of a leaf, and the bytes of its entry without their first one.
fn split(leaf: &[u8]) -> Option<(u64, &[u8])> {
    let rest = leaf.strip_prefix(OPEN.as_bytes())?;
    let (digits, entry) = rest.split_at(rest.iter().position(|byte| *byte == b',')?);
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (number.to_string().as_bytes() == digits).then_some((number, entry.get(1..)?))
}

/// The number of a leaf.
pub(super) fn number_of(leaf: &[u8]) -> Option<u64> {
    split(leaf).map(|(number, _)| number)
}

/// The number of the entry after the first one, as the first one says it.
pub(super) fn next_number(first: &[u8]) -> Option<u64> {
    let entry = Leaf::read(0, first.to_vec())?.entry?;
    if let Fact::LedgerBegun { next, .. } = entry.fact { Some(next) } else { None }
}

/// Whether `leaf` is the leaf of this entry.
pub(super) fn is_of(leaf: &[u8], number: u64, entry: &[u8]) -> bool {
    split(leaf).is_some_and(|(found, rest)| found == number && entry.get(1..) == Some(rest))
}

/// A leaf as it is read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// Its place in the tree, from 0.
    pub index: u64,
    /// Its number in the outbox; 0 for the first of a ledger.
    pub number: u64,
    /// The text that was hashed.
    pub text: String,
    /// What it says; `None` if a later version of the program wrote it.
    pub entry: Option<Entry>,
}

/// What the leaf of any version says.
#[derive(Deserialize)]
struct Outline {
    #[serde(default)]
    at: UnixMillis,
    fact: OutlineFact,
}

#[derive(Deserialize)]
struct OutlineFact {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    customer: Option<String>,
}

impl Leaf {
    /// Reads the leaf at `index`; `None` if it is not one.
    #[must_use]
    pub fn read(index: u64, text: Vec<u8>) -> Option<Self> {
        let (number, rest) = split(&text)?;
        let mut entry = Vec::with_capacity(rest.len() + 1);
        entry.push(b'{');
        entry.extend_from_slice(rest);
        let entry = Entry::from_bytes(&entry);
        Some(Self { index, number, text: String::from_utf8(text).ok()?, entry })
    }

    fn outline(&self) -> Option<Outline> {
        serde_json::from_str(&self.text).ok()
    }

    /// When it was.
    #[must_use]
    pub fn at(&self) -> UnixMillis {
        match &self.entry {
            Some(entry) => entry.at,
            None => self.outline().map_or(UnixMillis(0), |outline| outline.at),
        }
    }

    /// The word for its kind.
    #[must_use]
    pub fn kind(&self) -> String {
        self.outline().map(|outline| outline.fact.kind).unwrap_or_default()
    }

    /// What it says, if this version knows it.
    #[must_use]
    pub fn fact(&self) -> Option<&Fact> {
        self.entry.as_ref().map(|entry| &entry.fact)
    }

    /// Whether it is about this customer, alone or with others.
    #[must_use]
    pub fn is_about(&self, customer: CustomerKey) -> bool {
        match &self.entry {
            Some(entry) => entry.fact.is_about(customer),
            None => self.customer() == Some(customer),
        }
    }

    /// The one customer that it is about.
    #[must_use]
    pub fn customer(&self) -> Option<CustomerKey> {
        match &self.entry {
            Some(entry) => entry.fact.customer(),
            None => self.outline().and_then(|outline| number::parse(&outline.fact.customer?)),
        }
    }
}

/// What every leaf about a customer alone holds: a way to pass over the others without reading them.
pub(super) fn needle(customer: CustomerKey) -> String {
    format!("\"customer\":\"{}\"", number::text(customer))
}

/// What every leaf about several customers holds.
pub(super) const SEVERAL: &str = "\"kind\":\"ratchets_moved\"";

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_is_the_entry_with_its_number_in_front() {
        let fact = Fact::Exported { customer: CustomerKey(17) };
        let entry = Entry { at: UnixMillis(5), fact };
        let bytes = entry.to_bytes();
        let leaf = make(42, &bytes).unwrap();
        let text = r#"{"number":42,"at":5,"fact":{"kind":"exported","customer":"c17"}}"#;
        assert_eq!(std::str::from_utf8(&leaf).unwrap(), text);
        assert!(text.contains(&needle(CustomerKey(17))));
        assert_eq!(number_of(&leaf), Some(42));
        assert!(is_of(&leaf, 42, &bytes) && !is_of(&leaf, 43, &bytes) && !is_of(&leaf, 42, b"{}"));
        let read = Leaf::read(3, leaf).unwrap();
        assert_eq!((read.number, read.customer(), read.at()), (42, Some(CustomerKey(17)), UnixMillis(5)));
        assert_eq!((read.kind().as_str(), read.entry), ("exported", Some(entry)));
    }

    #[test]
    fn caps_are_told_with_the_policy_and_what_was_told_without_them_stays_as_it_was_written() {
        let old = br#"{"at":7,"fact":{"kind":"policy_in_force","version":"a","dictionaries":{}}}"#;
        let entry = Entry::from_bytes(old).unwrap();
        assert_eq!(entry.to_bytes(), old);
        let Fact::PolicyInForce { version, dictionaries, level_caps } = entry.fact else { return };
        assert_eq!(level_caps.len(), 0);
        let level_caps = [("ceip".parse().unwrap(), "none".parse().unwrap())].into();
        let fact = Fact::PolicyInForce { version, dictionaries, level_caps };
        let entry = Entry { at: UnixMillis(7), fact };
        let told = String::from_utf8(entry.to_bytes()).unwrap();
        assert!(told.contains(r#""level_caps":{"ceip":"none"}"#), "{told}");
        assert_eq!(Entry::from_bytes(told.as_bytes()), Some(entry));
    }

    #[test]
    fn the_leaf_of_a_later_version_is_shown_as_it_is() {
        let bytes = br#"{"at":7,"fact":{"kind":"teleported","customer":"c3","where":"mars"}}"#;
        let leaf = Leaf::read(1, make(1, bytes).unwrap()).unwrap();
        assert_eq!((leaf.entry.clone(), leaf.customer()), (None, Some(CustomerKey(3))));
        assert_eq!((leaf.kind().as_str(), leaf.at()), ("teleported", UnixMillis(7)));
    }

    #[test]
    fn what_is_not_one_line_of_json_becomes_no_leaf() {
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(LEAF_BYTES));
        for bad in ["", "{}", "[]", "17", "{\"a\":1", "{\"a\":\n1}", "{\"a\":1} {}", &long] {
            assert_eq!(make(1, bad.as_bytes()), None);
        }
        for bad in ["{\"number\":01,\"at\":1}", "{\"number\":,}", "{\"number\":-1,}", "{}"] {
            assert_eq!(number_of(bad.as_bytes()), None, "{bad}");
        }
    }
}
