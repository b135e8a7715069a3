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

#[derive(Debug, Clone, Copy)]
struct Slot {
    hash: u32,
    start: u32,
    len: u32,
    number: u32,
}

impl NameTable {
    /// Builds the table of `names`, each with its number. A name that comes twice keeps its first number.
    ///
    /// # Panics
    /// Never: more than 2^31 bytes of names cannot come out of a policy, whose files are bounded.
    #[must_use]
    pub fn new<'n>(names: impl IntoIterator<Item = (&'n str, u32)>) -> Self {
        let mut text = String::new();
        let mut entries: Vec<Slot> = Vec::new();
        for (name, number) in names {
            let (Ok(start), Ok(len)) = (u32::try_from(text.len()), u32::try_from(name.len())) else { break };
            text.push_str(name);
            entries.push(Slot { hash: hash(name.as_bytes()), start, len, number });
        }
        let size = (entries.len() * 2).next_power_of_two().max(2);
        let mut table = Self { slots: vec![None; size].into_boxed_slice(), names: text.into_boxed_str() };
        for entry in entries {
            table.insert(entry);
        }
        table
    }

    fn insert(&mut self, entry: Slot) {
        let mut at = self.first_slot(entry.hash);
        loop {
            let Some(slot) = self.slots.get_mut(at) else { return };
            match slot {
                None => {
                    *slot = Some(entry);
                    return;
                }
                Some(there) if there.hash == entry.hash && same(&self.names, *there, entry) => return,
                Some(_) => at = (at + 1) & (self.slots.len() - 1),
            }
        }
    }

    fn first_slot(&self, hash: u32) -> usize {
        usize::try_from(hash).unwrap_or(0) & (self.slots.len() - 1)
    }

    /// The number of `name`, if it is in the table.
    #[inline]
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<u32> {
        if self.slots.is_empty() {
            return None;
        }
        let hash = hash(name);
        let mut at = self.first_slot(hash);
        while let Some(Some(slot)) = self.slots.get(at) {
            if slot.hash == hash && self.name(*slot) == name {
                return Some(slot.number);
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
        None
    }

    #[inline]
    fn name(&self, slot: Slot) -> &[u8] {
        slice(&self.names, slot)
    }
}

fn same(names: &str, a: Slot, b: Slot) -> bool {
    slice(names, a) == slice(names, b)
}

#[inline]
fn slice(names: &str, slot: Slot) -> &[u8] {
    let start = usize::try_from(slot.start).unwrap_or(usize::MAX);
    let len = usize::try_from(slot.len).unwrap_or(0);
    names.as_bytes().get(start..start.saturating_add(len)).unwrap_or_default()
}

/// Mixes the length and up to sixteen bytes from both ends. Good enough for a table that is at
/// most half full; the compare that follows is exact.
#[inline]
fn hash(name: &[u8]) -> u32 {
    let (head, tail) = match (name.first_chunk::<8>(), name.last_chunk::<8>()) {
        (Some(head), Some(tail)) => (u64::from_le_bytes(*head), u64::from_le_bytes(*tail)),
        _ => (name.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)), 0),
    };
    let len = u64::try_from(name.len()).unwrap_or(0);
    let mixed = (head ^ tail.rotate_left(29) ^ len).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    u32::try_from(mixed >> 32).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::NameTable;

    #[test]
    fn finds_every_name_and_nothing_else() {
        let names: Vec<String> =
            (0..500).map(|n| format!("field_{n}")).chain(["a".into(), "ab".into(), "é".into()]).collect();
        let table = NameTable::new(names.iter().zip(0..).map(|(name, n)| (name.as_str(), n)));
        for (name, n) in names.iter().zip(0..) {
            assert_eq!(table.get(name.as_bytes()), Some(n));
        }
        for other in ["", "field_", "field_500", "b", "field_1 ", "e\u{301}"] {
            assert_eq!(table.get(other.as_bytes()), None, "{other}");
        }
        assert_eq!(NameTable::default().get(b"a"), None);
    }
}
