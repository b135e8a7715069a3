//! Finds a raw name among known ones without exposing it: by hash, and then by comparison. One
//! probe for most names, and no allocation.

use std::fmt;
use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use crate::model::RawText;

/// A fixed set of names, each with its position.
#[derive(Clone, Default)]
pub(super) struct RawIndex {
    hasher: FixedState,
    /// A power of two of slots, at most half full; `None` ends a probe.
    slots: Box<[Option<Slot>]>,
}

#[derive(Debug, Clone)]
struct Slot {
    hash: u64,
    name: Box<str>,
    position: usize,
}

impl fmt::Debug for RawIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RawIndex").field(&self.slots).finish()
    }
}

impl RawIndex {
    /// The index of `names`. A name that comes twice keeps its first position.
    pub(super) fn new<'n>(names: impl ExactSizeIterator<Item = &'n str>) -> Self {
        let size = (names.len() * 2).next_power_of_two().max(2);
        let mut index = Self { hasher: FixedState::default(), slots: vec![None; size].into_boxed_slice() };
        for (position, name) in names.enumerate() {
            let raw = RawText::new(name.as_bytes());
            let hash = index.hasher.hash_one(raw);
            if index.get(raw).is_none() {
                index.insert(Slot { hash, name: name.into(), position });
            }
        }
        index
    }

    fn insert(&mut self, slot: Slot) {
        let mut at = self.first(slot.hash);
        while let Some(Some(_)) = self.slots.get(at) {
            at = self.after(at);
        }
        if let Some(free) = self.slots.get_mut(at) {
            *free = Some(slot);
        }
    }

    fn first(&self, hash: u64) -> usize {
        let mask = self.slots.len().saturating_sub(1);
        // The mask has at most as many bits as the number of names needs, so nothing is lost.
        usize::try_from(hash & u64::try_from(mask).unwrap_or(u64::MAX)).unwrap_or(0)
    }

    const fn after(&self, at: usize) -> usize {
        (at + 1) & self.slots.len().saturating_sub(1)
    }

    /// The position of `name`, if it is known.
    #[inline]
    pub(super) fn get(&self, name: RawText<'_>) -> Option<usize> {
        let hash = self.hasher.hash_one(name);
        let mut at = self.first(hash);
        while let Some(Some(slot)) = self.slots.get(at) {
            if slot.hash == hash && RawText::new(slot.name.as_bytes()) == name {
                return Some(slot.position);
            }
            at = self.after(at);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::RawIndex;
    use crate::model::RawText;

    #[test]
    fn finds_every_name_and_nothing_else() {
        let names: Vec<String> =
            (0..500).map(|n| format!("event.{n}")).chain(["a".into(), "event.7".into()]).collect();
        let index = RawIndex::new(names.iter().map(String::as_str));
        for (at, name) in names.iter().enumerate().take(501) {
            assert_eq!(index.get(RawText::new(name.as_bytes())), Some(at), "{name}");
        }
        for other in ["", "event.", "event.500", "b"] {
            assert_eq!(index.get(RawText::new(other.as_bytes())), None, "{other}");
        }
        assert_eq!(RawIndex::default().get(RawText::new(b"a")), None);
        assert_eq!(RawIndex::new([].into_iter()).get(RawText::new(b"a")), None);
    }
}
