//! Whoever can write the files of a ledger, but does not have its key, cannot change what it says:
//! every change, cut, removal, insertion and reordering is found, offline and at start.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tempfile::TempDir;
use usaged::ledger::{Finding, SignedCheckpoint};

use crate::ledger_world::{copy, leaves, open, refused, sample, verify, verify_with, write_leaves};

/// A ledger, and copies of it to spoil.
struct Scene {
    dir: TempDir,
    good: PathBuf,
    last: u64,
}

/// What a forger does with the files that can be made again.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Derived {
    /// Leaves them.
    Kept,
    /// Removes them.
    Removed,
    /// Makes them fit the forged entries.
    Forged,
}

impl Scene {
    fn new(last: u64, signed: &[u64]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let good = sample(dir.path(), last, signed);
        assert!(verify(&good).findings.is_empty(), "{:?}", verify(&good).findings);
        Self { dir, good, last }
    }

    /// Spoils a copy; gives what verification finds. Opening must refuse it as well.
    fn spoiled(&self, derived: Derived, spoil: impl FnOnce(&Path)) -> Vec<Finding> {
        let found = self.verified(derived, spoil);
        let at_start = refused(&self.dir.path().join("spoiled"), self.last, self.last);
        assert!(at_start.is_some(), "a start goes on, and verify says {found:?}");
        found
    }

    /// The same without a start.
    fn verified(&self, derived: Derived, spoil: impl FnOnce(&Path)) -> Vec<Finding> {
        let place = self.dir.path().join("spoiled");
        let _ = fs::remove_dir_all(&place);
        let ledger = place.join("ledger");
        copy(&self.good, &ledger);
        spoil(&ledger);
        match derived {
            Derived::Kept => {}
            Derived::Removed => {
                for file in ["tree", "offsets"] {
                    fs::remove_file(ledger.join(file)).unwrap();
                }
            }
            Derived::Forged => forge_derived(&ledger),
        }
        verify(&ledger).findings.named
    }
}

/// Makes `tree` and `offsets` fit `entries`, by the specification.
fn forge_derived(ledger: &Path) {
    let (mut offsets, mut at) = (Vec::new(), 24_u64);
    let mut tree: Vec<u8> = Vec::new();
    let mut edge: Vec<(u32, [u8; 32])> = Vec::new();
    for leaf in leaves(ledger) {
        offsets.extend_from_slice(&at.to_be_bytes());
        at += 8 + leaf.len() as u64;
        let (mut level, mut hash) = (0, usaged::ledger::leaf_hash(&leaf));
        tree.extend_from_slice(&hash);
        while edge.last().is_some_and(|(other, _)| *other == level) {
            let (_, left) = edge.pop().unwrap();
            hash = usaged::ledger::node_hash(&left, &hash);
            level += 1;
            tree.extend_from_slice(&hash);
        }
        edge.push((level, hash));
    }
    fs::write(ledger.join("tree"), tree).unwrap();
    fs::write(ledger.join("offsets"), offsets).unwrap();
}

fn with_leaves(change: impl FnOnce(&mut Vec<Vec<u8>>)) -> impl FnOnce(&Path) {
    move |ledger| {
        let mut all = leaves(ledger);
        change(&mut all);
        write_leaves(ledger, &all);
    }
}

fn text(findings: &[Finding]) -> String {
    findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

const LAST: u64 = 6;
/// Entries where each byte has its turn: one before, one at and one behind the checkpoint in the middle.
const FEW: u64 = 3;
const ALL: [Derived; 3] = [Derived::Kept, Derived::Removed, Derived::Forged];

#[test]
fn every_changed_byte_of_every_file_is_found() {
    let scene = Scene::new(FEW, &[3]);
    let bytes = fs::read(scene.good.join("entries")).unwrap();
    for at in 0..bytes.len() {
        let found = scene.spoiled(Derived::Kept, |ledger| {
            let mut other = bytes.clone();
            other[at] ^= 1 << (at % 8);
            fs::write(ledger.join("entries"), other).unwrap();
        });
        assert!(!found.is_empty(), "byte {at} of entries");
    }
    let bytes = fs::read(scene.good.join("checkpoints")).unwrap();
    for at in 0..bytes.len() - 2 {
        let found = scene.spoiled(Derived::Kept, |ledger| {
            let mut other = bytes.clone();
            other[at] ^= 1;
            fs::write(ledger.join("checkpoints"), other).unwrap();
        });
        assert!(!found.is_empty(), "byte {at} of checkpoints");
    }
}

#[test]
fn every_cut_byte_and_every_byte_put_in_is_found() {
    let scene = Scene::new(FEW, &[3]);
    let bytes = fs::read(scene.good.join("entries")).unwrap();
    for at in 0..bytes.len() {
        for other in [
            bytes[..at].to_vec(),
            [&bytes[..at], &bytes[at + 1..]].concat(),
            [&bytes[..at], b"x", &bytes[at..]].concat(),
        ] {
            let write = |ledger: &Path| fs::write(ledger.join("entries"), other).unwrap();
            let found = scene.verified(Derived::Kept, write);
            assert!(!found.is_empty(), "byte {at}");
        }
    }
}

#[test]
fn a_changed_entry_with_a_right_checksum_is_found_and_named() {
    let scene = Scene::new(LAST, &[4]);
    for index in 0..=usize::try_from(LAST).unwrap() {
        let change = |all: &mut Vec<Vec<u8>>| {
            let leaf = String::from_utf8(all[index].clone()).unwrap();
            all[index] = leaf.replace("\"at\":18", "\"at\":19").into_bytes();
        };
        let found = scene.spoiled(Derived::Kept, with_leaves(change));
        assert_eq!(found, [Finding::Changed { index: index as u64 }]);
        let (from, to, size) = if index < 4 { (1, 3, 4) } else { (4, LAST, LAST + 1) };
        for derived in [Derived::Removed, Derived::Forged] {
            let found = scene.spoiled(derived, with_leaves(change));
            let from = if index == 0 { found[0].entries().unwrap().0 } else { from };
            assert_eq!(found.len(), 1, "{index} {derived:?}: {}", text(&found));
            assert!(
                matches!(found[0], Finding::Among { to: t, size: s, .. } if (t, s) == (to, size))
                    || (index == 0 && found[0].entries().is_some()),
                "{index} {from} {derived:?}: {}",
                text(&found)
            );
        }
    }
}

#[test]
fn a_removed_entry_is_found_and_named() {
    let scene = Scene::new(LAST, &[4]);
    for derived in ALL {
        for index in 0..=LAST {
            let remove = |all: &mut Vec<Vec<u8>>| drop(all.remove(usize::try_from(index).unwrap()));
            let found = scene.spoiled(derived, with_leaves(remove));
            let is_named = found.iter().any(|finding| match finding {
                Finding::Missing { from, to } => (*from..=*to).contains(&index),
                Finding::Cut { size, signed } => index == LAST && (*size, *signed) == (LAST, LAST + 1),
                _ => false,
            });
            assert!(is_named, "{index} {derived:?}: {}", text(&found));
        }
    }
}

#[test]
fn an_inserted_entry_is_found_and_named() {
    let scene = Scene::new(LAST, &[4]);
    for derived in ALL {
        for index in 1..=LAST + 1 {
            for number in [index - 1, index, index + 1, 77] {
                let insert = |all: &mut Vec<Vec<u8>>| {
                    let forged = format!("{{\"number\":{number},\"at\":1,\"fact\":{{}}}}");
                    all.insert(usize::try_from(index).unwrap(), forged.into_bytes());
                };
                let ledger = scene.dir.path().join("spoiled/ledger");
                let found = scene.spoiled(derived, with_leaves(insert));
                if index == LAST + 1 && number == index {
                    // It looks like the next one. It is not signed, and a start refuses it: the store never made it.
                    assert_eq!(verify(&ledger).signed, LAST + 1);
                    continue;
                }
                let is_named = found.iter().any(|finding| {
                    finding.entries().is_some_and(|(from, to)| from <= index && index <= to.max(index))
                });
                assert!(is_named, "{index} {number} {derived:?}: {}", text(&found));
            }
        }
    }
}

#[test]
fn two_entries_that_changed_places_are_found_and_named() {
    let scene = Scene::new(LAST, &[4]);
    for derived in ALL {
        for a in 1..LAST {
            for b in a + 1..=LAST {
                let swap = |all: &mut Vec<Vec<u8>>| {
                    all.swap(usize::try_from(a).unwrap(), usize::try_from(b).unwrap());
                };
                let found = scene.spoiled(derived, with_leaves(swap));
                let named = |index: u64| {
                    let mut about = found.iter().filter_map(Finding::entries);
                    about.any(|(from, to)| (from..=to.max(from)).contains(&index))
                };
                assert!(named(a), "{a} {b} {derived:?}: {}", text(&found));
                // And with their numbers put right.
                let renumber = |all: &mut Vec<Vec<u8>>| {
                    all.swap(usize::try_from(a).unwrap(), usize::try_from(b).unwrap());
                    for (number, leaf) in all.iter_mut().enumerate().skip(1) {
                        let text = String::from_utf8(leaf.clone()).unwrap();
                        let rest = text.split_once(',').unwrap().1;
                        *leaf = format!("{{\"number\":{number},{rest}").into_bytes();
                    }
                };
                let found = scene.spoiled(derived, with_leaves(renumber));
                assert!(!found.is_empty(), "{a} {b} {derived:?}");
            }
        }
    }
}

#[test]
fn an_end_that_was_cut_off_with_its_checkpoint_is_found_by_an_older_one_and_by_the_store() {
    let scene = Scene::new(LAST, &[4]);
    let receipt = fs::read_to_string(scene.good.join("checkpoints")).unwrap();
    let last = receipt.trim_end().split("\n\n").collect::<Vec<_>>();
    let receipt =
        SignedCheckpoint::read(&format!("{}\n\n{}\n", last[last.len() - 2], last[last.len() - 1])).unwrap();
    assert_eq!(receipt.checkpoint().size, LAST + 1);

    let ledger = scene.dir.path().join("spoiled/ledger");
    let found = scene.spoiled(Derived::Forged, |ledger| {
        with_leaves(|all| all.truncate(4))(ledger);
        let notes = fs::read_to_string(ledger.join("checkpoints")).unwrap();
        let kept = notes.match_indices("\n\n").nth(3).unwrap().0 + 2;
        fs::write(ledger.join("checkpoints"), &notes[..kept]).unwrap();
    });
    assert_eq!(found, [], "from the files alone it looks whole");
    let found = verify_with(&ledger, Some(&receipt)).findings.named;
    assert_eq!(found, [Finding::Cut { size: 4, signed: LAST + 1 }]);
    let found = refused(&scene.dir.path().join("spoiled"), LAST, LAST).unwrap().named;
    assert_eq!(found, [Finding::Behind { last: 3, forgotten: LAST }]);
}

#[test]
fn a_second_version_of_the_ledger_is_found_by_a_checkpoint_of_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let first = sample(dir.path(), 5, &[]);
    let fork = dir.path().join("fork");
    copy(&first, &fork.join("ledger"));
    let ledger = open(dir.path(), 5, 6);
    ledger.append(&[(6, crate::ledger_world::entry(6))]).unwrap();
    let receipt = ledger.checkpoint().unwrap();
    let other = open(&fork, 5, 6);
    other.append(&[(6, crate::ledger_world::entry(7))]).unwrap();
    other.checkpoint().unwrap();
    assert!(verify_with(&first, Some(&receipt)).findings.is_empty());
    let found = verify_with(&fork.join("ledger"), Some(&receipt)).findings.named;
    assert_eq!(found, [Finding::Forked { size: 7 }]);
}

#[test]
fn a_ledger_that_is_gone_or_has_lost_a_file_is_refused() {
    let scene = Scene::new(LAST, &[4]);
    for file in ["entries", "checkpoints", "vkey"] {
        let found = scene.spoiled(Derived::Kept, |ledger| fs::remove_file(ledger.join(file)).unwrap());
        assert!(matches!(found[0], Finding::File { file: name } if name == file), "{found:?}");
    }
    let gone = scene.dir.path().join("gone");
    fs::create_dir(&gone).unwrap();
    assert_eq!(refused(&gone, 3, 3).unwrap().named, [Finding::Gone { forgotten: 3 }]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// A larger ledger with any checkpoints: any few tampered entries are found, whatever else is forged.
    #[test]
    fn tampering_with_any_entries_of_a_larger_ledger_is_found(
        last in 20_u64..200,
        signed in proptest::collection::vec(2_u64..150, 0..6),
        strokes in proptest::collection::vec((0_u8..4, any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..4),
        derived in prop::sample::select(ALL.to_vec()),
    ) {
        let scene = Scene::new(last, &signed);
        let before = leaves(&scene.good);
        let mut after = before.clone();
        for (stroke, a, b) in strokes {
            let (a, b) = (a.index(after.len()), b.index(after.len()));
            match stroke {
                0 => drop(after.remove(a)),
                1 => after.swap(a, b),
                2 => after.insert(a, before[b.min(before.len() - 1)].clone()),
                _ => after[a].insert(b % 8, b' '),
            }
        }
        prop_assume!(after != before && !after.is_empty());
        let found = scene.spoiled(derived, |ledger| write_leaves(ledger, &after));
        // An entry too much at the very end, behind the last checkpoint, is told by the start alone.
        prop_assert!(!found.is_empty() || after.len() > before.len(), "{derived:?}");
    }
}
