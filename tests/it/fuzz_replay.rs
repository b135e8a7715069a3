//! The corpora of the fuzz targets, through the same functions that the fuzzer runs: what it found once stays repaired.

use std::fs;
use std::path::Path;

use crate::fuzz_targets::ALL;

/// Every input of every corpus, and every beginning of it up to a length: a cut is the commonest damage.
// covers: P1, P3, D5, B1
#[test]
fn every_input_of_every_corpus_keeps_what_its_target_promises() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    for target in ALL {
        let dir = root.join(target.name);
        let mut inputs = 0;
        let mut names: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        for path in names {
            let input = fs::read(&path).unwrap();
            assert!(
                input.len() <= target.max_len.max(64 * 1024),
                "{} is too long for a seed",
                path.display()
            );
            println!("{} {}", target.name, path.file_name().unwrap().display());
            (target.run)(&input);
            for cut in [input.len() / 2, input.len().saturating_sub(1)] {
                (target.run)(&input[..cut]);
            }
            inputs += 1;
        }
        assert!(inputs > 0, "{} has no corpus", target.name);
        (target.run)(&[]);
    }
    let dirs = fs::read_dir(&root).unwrap().count();
    assert_eq!(dirs, ALL.len(), "a corpus belongs to no target");
}
