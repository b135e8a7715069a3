//! Names to numbers, for the hot path: one probe for a name that is known, no allocation, no
//! hash that a sender could aim at (a table is built once from the dictionary, and its probes are
//! bounded by the longest run found then).

/// A fixed table of names.
#[derive(Debug, Clone, Default)]
pub struct NameTable {
    /// A power of two of slots, at most half full; `None` ends a probe.
    slots: Box<[Option<Slot>]>,
    names: Box<str>,
}

/// A name in the table. Its first and last eight bytes stand in the slot, so that a name of 8 to 16
/// bytes, as nearly all are, is compared without going to its text.
#[derive(Debug, Clone, Copy)]
struct Slot {
    ends: Ends,
    start: u32,
    number: u32,
}

/// The length of a name and its bytes at both ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ends {
    head: u64,
    tail: u64,
    len: u32,
}

/// Names of up to so many bytes are the same if their ends are.
const ENDS_BYTES: usize = 16;

impl Ends {
    /// The ends of `name`; of a name shorter than eight bytes, all of it in `head`.
    #[inline]
    fn of(name: &[u8]) -> Self {
        let (head, tail) = match (name.first_chunk::<8>(), name.last_chunk::<8>()) {
            (Some(head), Some(tail)) => (u64::from_le_bytes(*head), u64::from_le_bytes(*tail)),
            _ => (name.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)), 0),
        };
        Self { head, tail, len: u32::try_from(name.len()).unwrap_or(u32::MAX) }
    }

    /// Mixes the ends. Good enough for a table that is at most half full; the compare that follows is exact.
    #[inline]
    fn hash(self) -> u32 {
        let mixed = self.head ^ self.tail.rotate_left(29) ^ u64::from(self.len);
        u32::try_from(mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32).unwrap_or(0)
    }
}

impl NameTable {
    /// Builds the table of `names`, each with its number. A name that comes twice keeps its first number.
    #[must_use]
    pub fn new<'n>(names: impl IntoIterator<Item = (&'n str, u32)>) -> Self {
        let mut text = String::new();
        let mut entries: Vec<Slot> = Vec::new();
        for (name, number) in names {
            // A policy's files are bounded, so its names are far below 4 GiB.
            let Ok(start) = u32::try_from(text.len()) else { break };
            text.push_str(name);
            entries.push(Slot { ends: Ends::of(name.as_bytes()), start, number });
        }
        let size = (entries.len() * 2).next_power_of_two().max(2);
        let mut table = Self { slots: vec![None; size].into_boxed_slice(), names: text.into_boxed_str() };
        for entry in entries {
            table.insert(entry);
        }
        table
    }

    fn insert(&mut self, entry: Slot) {
        let mut at = self.first_slot(entry.ends);
        loop {
            let there = self.slots.get(at).copied().flatten();
            match there {
                Some(there) if there.ends == entry.ends && self.text(there) == self.text(entry) => return,
                Some(_) => at = (at + 1) & (self.slots.len() - 1),
                None => break,
            }
        }
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = Some(entry);
        }
    }

    #[inline]
    fn first_slot(&self, ends: Ends) -> usize {
        usize::try_from(ends.hash()).unwrap_or(0) & (self.slots.len() - 1)
    }

    /// The number of `name`, if it is in the table.
    #[inline]
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<u32> {
        if self.slots.is_empty() {
            return None;
        }
        let ends = Ends::of(name);
        let mut at = self.first_slot(ends);
        while let Some(Some(slot)) = self.slots.get(at) {
            if slot.ends == ends && (name.len() <= ENDS_BYTES || self.text(*slot) == name) {
                return Some(slot.number);
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
        None
    }

    /// Every name with its number, in the order of the names.
    pub(super) fn sorted(&self) -> Vec<(&[u8], u32)> {
        let mut names: Vec<_> =
            self.slots.iter().flatten().map(|slot| (self.text(*slot), slot.number)).collect();
        names.sort_unstable();
        names
    }

    fn text(&self, slot: Slot) -> &[u8] {
        let start = usize::try_from(slot.start).unwrap_or(usize::MAX);
        let len = usize::try_from(slot.ends.len).unwrap_or(0);
        self.names.as_bytes().get(start..start.saturating_add(len)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::NameTable;

    #[test]
    fn finds_every_name_and_nothing_else() {
        let names: Vec<String> = (0..500)
            .map(|n| format!("field_{n}"))
            .chain(["a".into(), "ab".into(), "é".into(), "same_ends_but_1_same_ends".into()])
            .collect();
        let table = NameTable::new(names.iter().zip(0..).map(|(name, n)| (name.as_str(), n)));
        for (name, n) in names.iter().zip(0..) {
            assert_eq!(table.get(name.as_bytes()), Some(n));
        }
        for other in ["", "field_", "field_500", "b", "field_1 ", "e\u{301}", "same_ends_but_2_same_ends"] {
            assert_eq!(table.get(other.as_bytes()), None, "{other}");
        }
        assert_eq!(NameTable::default().get(b"a"), None);
    }
}
