//! The Merkle tree of RFC 6962 (section 2.1) over leaves that only ever come at its end. Pure: where
//! the hashes of complete subtrees lie is the caller's business.

use sha2::{Digest as _, Sha256};

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// The hash of a leaf with these bytes.
#[must_use]
pub fn leaf_hash(bytes: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(bytes).finalize().into()
}

/// The hash of a node over two others.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// The root of a tree without leaves.
#[must_use]
pub fn empty_root() -> Hash {
    Sha256::digest([]).into()
}

/// The right edge of a tree: the roots of its complete subtrees, the largest first. It is all that is
/// needed to append and to tell the root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edge {
    size: u64,
    roots: Vec<Hash>,
}

impl Edge {
    /// The edge of a tree of `size` leaves, whose complete subtrees `at` gives.
    ///
    /// # Errors
    /// Those of `at`.
    pub fn of<E>(size: u64, at: &mut impl FnMut(u32, u64) -> Result<Hash, E>) -> Result<Self, E> {
        let levels = (0..u64::BITS).rev().filter(|level| size >> level & 1 == 1);
        // A subtree of the edge is the last of its level, but for those that are complete.
        let roots = levels.map(|level| at(level, (size >> level) - 1)).collect::<Result<_, E>>()?;
        Ok(Self { size, roots })
    }

    /// An edge of which only the size is known: what it tells as its root is no root.
    pub(super) const fn of_unknown(size: u64) -> Self {
        Self { size, roots: Vec::new() }
    }

    /// How many leaves there are.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf. Gives the hashes of every subtree that is complete by it, from the leaf up: in
    /// this order they are stored, at [`stored_index`].
    pub fn push(&mut self, leaf: Hash) -> Vec<Hash> {
        let mut complete = vec![leaf];
        let mut last = leaf;
        for _ in 0..self.size.trailing_ones() {
            let Some(left) = self.roots.pop() else { break };
            last = node_hash(&left, &last);
            complete.push(last);
        }
        self.roots.push(last);
        self.size = self.size.saturating_add(1);
        complete
    }

    /// The root of the tree.
    #[must_use]
    pub fn root(&self) -> Hash {
        let from_the_right = self.roots.iter().rev().copied().reduce(|right, left| node_hash(&left, &right));
        from_the_right.unwrap_or_else(empty_root)
    }
}

/// Where the hash of the `index`th complete subtree of 2^`level` leaves is stored, in hashes: every
/// subtree comes right after the leaf that completes it.
#[must_use]
pub fn stored_index(level: u32, index: u64) -> u64 {
    let last_leaf = ((index + 1) << level) - 1;
    stored_count(last_leaf) + u64::from(level)
}

/// How many hashes a tree of `size` leaves has stored.
#[must_use]
pub fn stored_count(size: u64) -> u64 {
    2 * size - u64::from(size.count_ones())
}

/// The largest power of two that is smaller than `size`, for two leaves or more.
pub(super) const fn split_point(size: u64) -> u64 {
    1 << (u64::BITS - 1 - (size - 1).leading_zeros())
}

#[cfg(test)]
#[expect(
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a test fails by panicking; sizes are small"
)]
pub(super) mod tests {
    use super::*;

    /// The definition of RFC 6962, word for word.
    pub(in crate::ledger) fn root_of(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => empty_root(),
            [leaf] => *leaf,
            _ => {
                let k = usize::try_from(split_point(leaves.len() as u64)).unwrap_or(0);
                node_hash(&root_of(&leaves[..k]), &root_of(&leaves[k..]))
            }
        }
    }

    /// A tree of leaves `[0]`, `[1]`, …, and its stored hashes.
    pub(in crate::ledger) fn sample(size: u64) -> (Vec<Hash>, Vec<Hash>, Edge) {
        let (mut leaves, mut stored, mut edge) = (Vec::new(), Vec::new(), Edge::default());
        for n in 0..size {
            let leaf = leaf_hash(&n.to_be_bytes());
            leaves.push(leaf);
            stored.extend(edge.push(leaf));
        }
        (leaves, stored, edge)
    }

    fn hex(hash: &Hash) -> String {
        data_encoding::HEXLOWER.encode(hash)
    }

    /// The tree that the tests of certificate transparency use (google/certificate-transparency,
    /// `merkletree/merkle_tree_test.cc`).
    #[test]
    fn the_roots_are_those_of_the_reference() {
        let inputs: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        let roots = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let mut edge = Edge::default();
        assert_eq!(hex(&edge.root()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        for (input, root) in inputs.iter().zip(roots) {
            edge.push(leaf_hash(input));
            assert_eq!(hex(&edge.root()), root);
        }
    }

    #[test]
    fn an_edge_is_that_of_the_whole_tree_at_every_size() {
        for size in 0..130_u64 {
            let (leaves, stored, edge) = sample(size);
            assert_eq!(edge.root(), root_of(&leaves), "{size}");
            assert_eq!(stored.len() as u64, stored_count(size));
            let mut at = |level: u32, index: u64| -> Result<Hash, ()> {
                let first = usize::try_from(index << level).unwrap_or(0);
                let hash = stored[usize::try_from(stored_index(level, index)).unwrap_or(0)];
                assert_eq!(hash, root_of(&leaves[first..first + (1 << level)]), "{level} {index}");
                Ok(hash)
            };
            for smaller in 0..=size {
                let cut = Edge::of(smaller, &mut at).unwrap_or_default();
                assert_eq!(cut.root(), root_of(&leaves[..usize::try_from(smaller).unwrap_or(0)]));
            }
            assert_eq!(Edge::of(size, &mut at), Ok(edge));
        }
    }
}
