//! The receipt of an erasure: its checkpoint holds the entry of the ledger which says that it is done, so that who has the
//! receipt can prove that it was entered.

use std::fs;

use usaged::ledger::{Hash, SignedCheckpoint, VerifierKey, includes, leaf_hash, node_hash};

use crate::cli_run::{Collector, Ended};
use crate::ledger_world::leaves;

fn ok(ended: Ended) -> Ended {
    assert_eq!(ended.code, 0, "{} {}", ended.out, ended.err);
    ended
}

/// The root over some leaves, as RFC 9162 has it.
fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [one] => *one,
        all => {
            let (left, right) = all.split_at(all.len().next_power_of_two() / 2);
            node_hash(&root(left), &root(right))
        }
    }
}

/// The proof that the leaf at `index` is one of these.
fn path(index: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let half = leaves.len().next_power_of_two() / 2;
    let (left, right) = leaves.split_at(half);
    let (mut proof, other) = match index.checked_sub(half) {
        None => (path(index, left), root(right)),
        Some(index) => (path(index, right), root(left)),
    };
    proof.push(other);
    proof
}

// covers: P8
#[test]
fn the_dry_run_and_the_receipt_tell_what_an_erasure_by_a_value_may_leave() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::start(dir.path(), &[]);
    let set = ["participation", "set", "acme", "--level", "ceip=standard", "--reason", "test"];
    ok(collector.client(&set, ""));
    for (class, value, by_letters, short_names) in [
        ("host_name", "db7.example.com", false, Some(0)),
        ("object_name", "Prod VM 1", true, None),
        ("user_id", "CORP\\jdoe", true, Some(0)),
        ("mac_address", "00:50:56:ab:cd:ef", false, None),
    ] {
        for more in [&["--dry-run"][..], &[]] {
            let erase = ["erase", "--customer", "acme", "--class", class, "--value", value];
            let text = ok(collector.client(&[&erase[..], more].concat(), "")).out;
            let told = ok(collector.client(&[&erase[..], more, &["--json"]].concat(), "")).json();
            assert_eq!(text.contains("tell letter case apart"), by_letters, "{text}");
            assert_eq!(text.contains("events that say its short name"), short_names.is_some(), "{text}");
            assert_eq!(told["letter_case_kept"], by_letters, "{told}");
            assert_eq!(told["short_name_events"].as_u64(), short_names, "{told}");
        }
    }
    assert_eq!(collector.end(), 0);
}

// covers: P8
#[test]
fn the_checkpoint_of_each_receipt_holds_the_entry_that_says_that_it_is_done() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::start(dir.path(), &[]);
    let set = ["participation", "set", "acme", "--level", "ceip=standard", "--reason", "test"];
    ok(collector.client(&set, ""));
    let mut receipts = Vec::new();
    for number in 1..=6 {
        let id = format!("0198c0de-0000-7000-8000-{number:012x}");
        let value = format!("esx-{number}.example.com");
        let erase = ["erase", "--customer", "acme", "--class", "host_name", "--value", &value, "--id", &id];
        // Asked for until it is done, or only begun and asked for later.
        let told = if number % 3 == 0 {
            ok(collector.client(&[&erase[..], &["--no-wait"]].concat(), ""));
            ok(collector.client(&["erase", "status", &id, "--wait", "--json"], "")).json()
        } else {
            ok(collector.client(&[&erase[..], &["--json"]].concat(), "")).json()
        };
        assert_eq!(told["state"], "DONE", "{told}");
        let note = told["checkpoint"].as_str().expect("who waits is given the checkpoint").to_owned();
        receipts.push((id, note));
    }
    // Asked for again it is no older one, and no other erasure's.
    let listed = ok(collector.client(&["erase", "list", "--json"], "")).json();
    for one in listed["erasures"].as_array().unwrap() {
        let (id, note) = (one["erasure_id"].as_str().unwrap(), one["checkpoint"].as_str().unwrap());
        receipts.push((id.to_owned(), note.to_owned()));
    }
    assert_eq!(receipts.len(), 12);
    assert_eq!(collector.end(), 0);

    let ledger = dir.path().join("data/ledger");
    let key: VerifierKey = fs::read_to_string(ledger.join("vkey")).unwrap().parse().unwrap();
    let leaves = leaves(&ledger);
    let hashes: Vec<Hash> = leaves.iter().map(|leaf| leaf_hash(leaf)).collect();
    for (id, note) in receipts {
        let says_done = |leaf: &Vec<u8>| {
            let text = String::from_utf8_lossy(leaf);
            text.contains("\"erasure_done\"") && text.contains(&id)
        };
        let index = leaves.iter().position(says_done).unwrap();
        let signed = SignedCheckpoint::read(&note).unwrap();
        let checkpoint = signed.verify(&key).unwrap();
        let size = usize::try_from(checkpoint.size).unwrap();
        assert!(index < size, "{id}: entry {index} is not among {size}");
        let proof = path(index, &hashes[..size]);
        let index = u64::try_from(index).unwrap();
        let is_proved = includes(
            &hashes[usize::try_from(index).unwrap()],
            index,
            checkpoint.size,
            &proof,
            &checkpoint.root,
        );
        assert!(is_proved, "{id}: entry {index} of {size}");
    }
}
