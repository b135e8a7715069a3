//! Proofs about the tree: that a leaf is in it (RFC 9162, section 2.1.3), and that a smaller tree is
//! its beginning (2.1.4). Pure.

use super::tree::{Edge, Hash, node_hash, split_point};

/// Gives the hash of the `index`th complete subtree of 2^`level` leaves.
type At<'a, E> = dyn FnMut(u32, u64) -> Result<Hash, E> + 'a;

/// The root over the leaves from `low` up to `high`, at least one; `low` is where a subtree begins.
fn range<E>(low: u64, high: u64, at: &mut At<'_, E>) -> Result<Hash, E> {
    let size = high - low;
    if size.is_power_of_two() {
        let level = size.trailing_zeros();
        return at(level, low >> level);
    }
    let middle = low + split_point(size);
    Ok(node_hash(&range(low, middle, at)?, &range(middle, high, at)?))
}

/// The proof that the leaf at `index` is in the tree of `size` leaves: the siblings on its way up.
/// Empty if there is no such leaf.
///
/// # Errors
/// Those of `at`.
pub fn inclusion<E>(index: u64, size: u64, at: &mut At<'_, E>) -> Result<Vec<Hash>, E> {
    let (mut low, mut high, mut path) = (0, size, Vec::new());
    if index >= size {
        return Ok(path);
    }
    while high - low > 1 {
        let middle = low + split_point(high - low);
        if index < middle {
            path.push(range(middle, high, at)?);
            high = middle;
        } else {
            path.push(range(low, middle, at)?);
            low = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// The proof that the tree of `old` leaves is the beginning of the tree of `size` leaves. Empty if
/// the one is empty or they are the same.
///
/// # Errors
/// Those of `at`.
pub fn consistency<E>(old: u64, size: u64, at: &mut At<'_, E>) -> Result<Vec<Hash>, E> {
    let (mut low, mut high, mut path) = (0, size, Vec::new());
    if old == 0 || old >= size {
        return Ok(path);
    }
    while high != old {
        let middle = low + split_point(high - low);
        if old <= middle {
            path.push(range(middle, high, at)?);
            high = middle;
        } else {
            path.push(range(low, middle, at)?);
            low = middle;
        }
    }
    if low > 0 {
        path.push(range(low, high, at)?);
    }
    path.reverse();
    Ok(path)
}

/// Whether `path` proves that `leaf` is at `index` in the tree of `size` leaves with this root.
#[must_use]
pub fn includes(leaf: &Hash, index: u64, size: u64, path: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut at, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in path {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            hash = node_hash(sibling, &hash);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// Whether `path` proves that the tree of `old` leaves with `old_root` is the beginning of the tree
/// of `size` leaves with `root`.
#[must_use]
pub fn is_beginning(old: u64, old_root: &Hash, size: u64, root: &Hash, path: &[Hash]) -> bool {
    if old > size {
        return false;
    }
    if old == size {
        return path.is_empty() && old_root == root;
    }
    if old == 0 {
        return path.is_empty() && *old_root == Edge::default().root();
    }
    let mut path = path.iter();
    let first = if old.is_power_of_two() { Some(old_root) } else { path.next() };
    let Some(first) = first else { return false };
    let (mut at, mut last) = (old - 1, size - 1);
    while at & 1 == 1 {
        at >>= 1;
        last >>= 1;
    }
    let (mut of_old, mut of_new) = (*first, *first);
    for sibling in path {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            of_old = node_hash(sibling, &of_old);
            of_new = node_hash(sibling, &of_new);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            of_new = node_hash(&of_new, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && of_old == *old_root && of_new == *root
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
mod tests {
    use super::super::tree::tests::{root_of, sample};
    use super::super::tree::{leaf_hash, stored_index};
    use super::*;

    const MOST: u64 = 40;

    fn at(stored: &[Hash]) -> impl FnMut(u32, u64) -> Result<Hash, ()> + '_ {
        |level, index| Ok(stored[usize::try_from(stored_index(level, index)).unwrap()])
    }

    fn changed(path: &[Hash]) -> impl Iterator<Item = Vec<Hash>> + '_ {
        let flipped = (0..path.len()).map(|at| {
            let mut other = path.to_vec();
            other[at][7] ^= 1;
            other
        });
        let shorter = (0..path.len()).map(|at| [&path[..at], &path[at + 1..]].concat());
        let longer = (0..=path.len()).map(|at| [&path[..at], &[leaf_hash(b"x")], &path[at..]].concat());
        flipped.chain(shorter).chain(longer)
    }

    #[test]
    fn every_leaf_is_proven_in_every_tree_and_nothing_else_is() {
        for size in 1..=MOST {
            let (leaves, stored, edge) = sample(size);
            let root = edge.root();
            for index in 0..size {
                let leaf = &leaves[usize::try_from(index).unwrap()];
                let path = inclusion(index, size, &mut at(&stored)).unwrap();
                assert!(includes(leaf, index, size, &path, &root), "{index} of {size}");
                assert!(!includes(&leaf_hash(b"other"), index, size, &path, &root));
                for wrong in (0..size + 2).filter(|wrong| *wrong != index) {
                    assert!(!includes(leaf, wrong, size, &path, &root), "{index} as {wrong} of {size}");
                }
                for wrong in changed(&path) {
                    assert!(!includes(leaf, index, size, &wrong, &root), "{index} of {size}");
                }
            }
        }
    }

    #[test]
    fn every_beginning_of_every_tree_is_proven_and_nothing_else_is() {
        for size in 0..=MOST {
            let (leaves, stored, edge) = sample(size);
            let root = edge.root();
            for old in 0..=size {
                let old_root = root_of(&leaves[..usize::try_from(old).unwrap()]);
                let path = consistency(old, size, &mut at(&stored)).unwrap();
                assert!(is_beginning(old, &old_root, size, &root, &path), "{old} of {size}");
                assert!(!is_beginning(old, &leaf_hash(b"other"), size, &root, &path));
                for wrong in changed(&path) {
                    assert!(!is_beginning(old, &old_root, size, &root, &wrong), "{old} of {size}");
                }
                assert!(!is_beginning(size + 1, &old_root, size, &root, &path));
            }
        }
    }
}
