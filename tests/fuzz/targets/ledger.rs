//! The ledger's leaves, notes, keys, exports and files, as any bytes: what is read is written again as it was, nothing
//! that nobody signed is taken for signed, and a verification ends with findings and not with a panic.

use std::cell::RefCell;
use std::fs;
use std::sync::LazyLock;

use tempfile::TempDir;
use usaged::ledger::{
    Checkpoint, Entry, Export, Leaf, LedgerKey, SignedCheckpoint, Verification, VerifierKey, empty_root,
    includes, is_beginning, leaf_hash,
};

use super::Choices;

const NAME: &str = "usaged-ledger/0123456789abcdef";

static KEY: LazyLock<LedgerKey> = LazyLock::new(|| LedgerKey::from_seed(&[9; 32]));
static VERIFIER: LazyLock<VerifierKey> = LazyLock::new(|| KEY.verifier(NAME));

thread_local! {
    /// Where files are verified; one for each thread, removed at its end.
    static PLACE: RefCell<Option<TempDir>> = const { RefCell::new(None) };
}

/// The first byte chooses what the rest is.
pub fn run(input: &[u8]) {
    let Some((choice, bytes)) = input.split_first() else { return };
    match choice % 7 {
        0 => leaf(bytes),
        1 => note(&String::from_utf8_lossy(bytes)),
        2 => key(&String::from_utf8_lossy(bytes)),
        3 => export(bytes),
        4 => proof(bytes),
        5 => files(bytes, false),
        _ => files(bytes, true),
    }
}

fn leaf(bytes: &[u8]) {
    if let Some(entry) = Entry::from_bytes(bytes) {
        let written = entry.to_bytes();
        assert_eq!(Entry::from_bytes(&written).as_ref(), Some(&entry));
    }
    let framed = [b"{\"number\":17,", bytes].concat();
    for text in [bytes, &framed] {
        if let Some(leaf) = Leaf::read(3, text.to_vec()) {
            assert_eq!(leaf.text.as_bytes(), text);
            let _ = (leaf.at(), leaf.kind(), leaf.customer());
            if let Some(fact) = leaf.fact() {
                assert_eq!(fact.customer(), leaf.customer());
            }
        }
    }
}

fn note(text: &str) {
    let Ok(read) = SignedCheckpoint::read(text) else { return };
    assert_eq!(read.note(), text);
    let good = read.verify(&VERIFIER).is_ok();
    // Nobody can sign without the key: what is good has what this key signs of the same checkpoint.
    let signed = read.checkpoint().sign(&KEY);
    let parts = signed.note().split_once("\n\n").unwrap();
    assert!(
        !good || text.starts_with(parts.0) && text.contains(parts.1),
        "a signature was made up: {text:?}"
    );
}

fn key(text: &str) {
    if let Ok(key) = text.parse::<VerifierKey>() {
        assert_eq!(key.to_string().parse::<VerifierKey>().as_ref(), Ok(&key));
    }
    let _ = LedgerKey::from_hex(text);
}

fn export(bytes: &[u8]) {
    let Ok(export) = serde_json::from_slice::<Export>(bytes) else { return };
    let found = export.verify(Some(&VERIFIER), None);
    if let Err(faults) = &found {
        assert!(!faults.is_empty() && faults.len() <= 100);
    }
    let _ = (export.verify(None, None), export.leaves());
    let older = Checkpoint { origin: NAME.to_owned(), size: 0, root: empty_root() }.sign(&KEY);
    let _ = export.verify(None, Some(&older));
}

/// Proofs made of any hashes: no panic, and none holds for a leaf that is in no tree.
fn proof(bytes: &[u8]) {
    let mut choices = Choices(bytes);
    let mut number = || {
        let mut eight = [0; 8];
        eight.iter_mut().zip(choices.bytes(8)).for_each(|(to, from)| *to = *from);
        u64::from_le_bytes(eight)
    };
    let (index, size) = (number(), number());
    let hashes: Vec<[u8; 32]> = choices.0.chunks_exact(32).map(|hash| hash.try_into().unwrap()).collect();
    let leaf = leaf_hash(b"in no tree");
    let root = [0x11; 32];
    assert!(!includes(&leaf, index, size, &hashes, &root), "a proof was made up");
    let _ = is_beginning(index, &leaf, size, &root, &hashes);
}

/// The files of a ledger: pieces of the input, with records framed rightly where `is_framed`.
fn files(bytes: &[u8], is_framed: bool) {
    PLACE.with_borrow_mut(|place| {
        let place = place.get_or_insert_with(|| TempDir::new().unwrap());
        let dir = place.path();
        let mut choices = Choices(bytes);
        let mut entries = b"usaged ledger, format 1\n".to_vec();
        let notes = choices.bytes(255);
        let derived = choices.bytes(128);
        if is_framed {
            while !choices.is_done() {
                let text = choices.bytes(200);
                let length = u32::try_from(text.len()).unwrap().to_be_bytes();
                let crc = crc32fast::hash(&[&length, text].concat()).to_be_bytes();
                for part in [&length[..], &crc, text] {
                    entries.extend_from_slice(part);
                }
            }
        } else {
            entries.extend_from_slice(choices.0);
        }
        let signed = Checkpoint { origin: NAME.to_owned(), size: 1, root: leaf_hash(b"{}") }.sign(&KEY);
        let notes = if is_framed { signed.note().as_bytes().to_vec() } else { notes.to_vec() };
        for (name, content) in [
            ("entries", &entries[..]),
            ("checkpoints", &notes),
            ("vkey", VERIFIER.to_string().as_bytes()),
            ("tree", derived),
            ("offsets", derived),
        ] {
            fs::write(dir.join(name), content).unwrap();
        }
        let verification = Verification { dir, key: Some(&VERIFIER), checkpoint: None };
        let verified = verification.run(&mut |_, _| ()).unwrap();
        assert!(verified.entries <= u64::try_from(bytes.len()).unwrap() + 1);
        let _ = format!("{:?}", verified.findings);
    });
}
