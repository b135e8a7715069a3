//! The files of a ledger through crashes, full disks, lost files and wrong keys; and what is read back
//! from it, with proofs.

use std::fs;
use std::path::Path;

use usaged::ledger::{
    EXPORT_FORMAT, Export, ExportFault, Exported, Fact, Finding, Ledger, LedgerError, LedgerKey, OpenError,
    Options, Since, Source, includes, is_beginning, leaf_hash, number, proof_text,
};
use usaged::model::{CustomerKey, UnixMillis};
use usaged::observe::Clock;

use crate::fault_daemon::Disk;
use crate::ledger_world::{
    STORE, copy, entries, entry, key, leaves, open, open_with, options, sample, source, verify,
};

/// A ledger whose last checkpoint has 4 entries; `last` more are behind it.
fn unsigned(dir: &Path, last: u64) {
    let ledger = open(dir, 0, 3 + last);
    ledger.append(&entries(1..=3)).unwrap();
    ledger.checkpoint().unwrap();
    ledger.append(&entries(4..=3 + last)).unwrap();
}

// covers: D2
#[test]
fn a_torn_end_is_cut_off_at_any_byte_and_comes_again_from_the_outbox() {
    let dir = tempfile::tempdir().unwrap();
    unsigned(dir.path(), 3);
    let good = fs::read(dir.path().join("ledger/entries")).unwrap();
    let signed =
        HEADER + leaves(&dir.path().join("ledger"))[..4].iter().map(|leaf| leaf.len() + 8).sum::<usize>();
    for at in signed..good.len() {
        for derived in [false, true] {
            let torn = dir.path().join("torn");
            let _ = fs::remove_dir_all(&torn);
            copy(&dir.path().join("ledger"), &torn.join("ledger"));
            // Cut, or garbled from there on, as when pages were not written.
            let mut bytes = good[..at].to_vec();
            if derived {
                bytes.resize(good.len(), 0);
                fs::write(torn.join("ledger/tree"), []).unwrap();
            }
            fs::write(torn.join("ledger/entries"), &bytes).unwrap();
            let offline = verify(&torn.join("ledger"));
            assert!(offline.findings.is_empty() || derived, "{at}: {}", offline.findings);
            let (ledger, report) = open_with(&options(&torn), &source(3, 6)).unwrap();
            assert!(
                report.cut > 0 || bytes.len() == signed || ledger.head().number > 3 || at == signed,
                "{at}"
            );
            let appended = ledger.append(&entries(ledger.head().number.max(3)..=6)).unwrap();
            assert_eq!(appended.head.number, 6);
            ledger.checkpoint().unwrap();
            drop(ledger);
            assert!(fs::read(torn.join("ledger/entries")).unwrap() == good, "{at}");
            let verified = verify(&torn.join("ledger"));
            assert!(verified.findings.is_empty() && verified.signed == 7, "{at}: {}", verified.findings);
        }
    }
}

const HEADER: usize = 24;

#[test]
fn nothing_that_the_store_has_forgotten_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    unsigned(dir.path(), 3);
    let path = dir.path().join("ledger/entries");
    let good = fs::read(&path).unwrap();
    let at = good.len() - 30;
    fs::write(&path, &good[..at]).unwrap();
    // The last entry has the number 6.
    let refused = open_with(&options(dir.path()), &source(6, 6)).unwrap_err();
    let OpenError::Broken { findings, .. } = refused else { panic!("{refused}") };
    assert!(matches!(findings.named[0], Finding::Damaged { index: 6, .. }), "{findings}");
    assert_eq!(fs::read(&path).unwrap().len(), at, "a refused ledger stays as it is");
    open_with(&options(dir.path()), &source(5, 6)).unwrap();
}

#[test]
fn hashes_and_offsets_are_made_again_when_they_are_lost_or_wrong() {
    let dir = tempfile::tempdir().unwrap();
    sample(dir.path(), 40, &[7, 30]);
    let ledger = dir.path().join("ledger");
    let good: Vec<_> = ["tree", "offsets"].iter().map(|file| fs::read(ledger.join(file)).unwrap()).collect();
    let spoils: [fn(&Path); 5] = [
        |path| fs::remove_file(path).unwrap(),
        |path| fs::write(path, []).unwrap(),
        |path| fs::write(path, [7; 5000]).unwrap(),
        |path| {
            let mut bytes = fs::read(path).unwrap();
            bytes[70] ^= 1;
            fs::write(path, bytes).unwrap();
        },
        |path| {
            let bytes = fs::read(path).unwrap();
            fs::write(path, &bytes[..bytes.len() - 9]).unwrap();
        },
    ];
    for spoil in spoils {
        for (file, good) in ["tree", "offsets"].iter().zip(&good) {
            for check_bytes in [0, u64::MAX] {
                spoil(&ledger.join(file));
                assert!(verify(&ledger).findings.is_empty());
                let options = Options { check_bytes, ..options(dir.path()) };
                let (opened, _) = open_with(&options, &source(40, 40)).unwrap();
                // A quick start does not read all of them; what it does not notice, a read does.
                let read = opened.read(0, 100);
                drop(opened);
                match read {
                    Ok(read) => assert_eq!(read.len(), 41),
                    Err(LedgerError::Damaged { .. }) => assert_eq!(check_bytes, 0),
                    Err(error) => panic!("{error}"),
                }
                if check_bytes == u64::MAX {
                    assert!(&fs::read(ledger.join(file)).unwrap() == good, "{file}");
                } else {
                    fs::write(ledger.join(file), good).unwrap();
                }
            }
        }
    }
}

#[test]
fn a_large_ledger_opens_from_its_last_checkpoint_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    unsigned(dir.path(), 5);
    let quick = Options { check_bytes: 0, ..options(dir.path()) };
    for last in 9..20 {
        let (ledger, report) = open_with(&quick, &source(last - 1, last)).unwrap();
        assert!(!report.whole && !report.rebuilt && report.cut == 0, "{report:?}");
        ledger.append(&entries(last..=last)).unwrap();
        if last % 3 == 0 {
            ledger.checkpoint().unwrap();
        }
    }
    let verified = verify(&dir.path().join("ledger"));
    assert!(verified.findings.is_empty() && verified.entries == 20, "{verified:?}");
    // What is behind the checkpoint is still checked ...
    let path = dir.path().join("ledger/entries");
    let mut bytes = fs::read(&path).unwrap();
    let end = bytes.len();
    bytes[end - 5] ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert!(open_with(&quick, &source(19, 19)).is_err());
    // ... and what is before it by the whole walk.
    bytes[end - 5] ^= 1;
    bytes[500] ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert!(open_with(&quick, &source(19, 19)).is_ok(), "a quick start does not read it");
    assert!(open_with(&options(dir.path()), &source(19, 19)).is_err());
}

#[test]
fn entries_that_come_again_are_passed_over_and_others_must_follow() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path(), 0, 9);
    ledger.append(&entries(1..=3)).unwrap();
    let again = ledger.append(&entries(2..=5)).unwrap();
    assert_eq!((again.new, again.again, again.head.number), (2, 2, 5));
    assert!(matches!(ledger.append(&entries(7..=7)), Err(LedgerError::Gap { number: 7, expected: 6 })));
    let other = ledger.append(&[(4, entry(5)), (6, entry(6))]);
    assert!(matches!(other, Err(LedgerError::Conflict { number: 4 })));
    let not = ledger.append(&[(6, entry(6)), (7, b"[1]".to_vec())]);
    assert!(matches!(not, Err(LedgerError::NotAnEntry { number: 7 })));
    assert_eq!(ledger.head().size, 6, "all of an append, or nothing");
    drop(ledger);
    assert_eq!(open(dir.path(), 5, 5).head().number, 5);
}

#[test]
fn a_full_disk_refuses_appends_and_checkpoints_and_nothing_is_lost() {
    let disk = Disk::mount("size=1m");
    let ledger = open(disk.path(), 0, u64::MAX);
    let long = |number: u64| {
        let version = "x".repeat(20_000);
        let fact = Fact::CollectorStarted { version: format!("{number}{version}") };
        (number, usaged::ledger::Entry { at: UnixMillis(0), fact }.to_bytes())
    };
    let mut next = 1;
    while ledger.append(&[long(next)]).is_ok() {
        next += 1;
    }
    assert!(next > 10, "{next}");
    for _ in 0..3 {
        assert!(matches!(ledger.append(&[long(next)]), Err(LedgerError::Full)));
    }
    assert_eq!(ledger.head().number, next - 1);
    // A checkpoint takes a few hundred bytes, which may fit.
    if let Err(error) = ledger.checkpoint() {
        assert!(matches!(error, LedgerError::Full), "{error}");
    }
    drop(ledger);
    // It opens again on the full disk, and goes on when there is space.
    let (ledger, report) = open_with(&options(disk.path()), &source(next - 1, next)).unwrap();
    assert_eq!((report.cut, ledger.head().number), (0, next - 1));
    assert!(matches!(ledger.append(&[long(next)]), Err(LedgerError::Full)));
    let grown = std::process::Command::new("mount").args(["-o", "remount,size=4m"]).arg(disk.path()).status();
    assert!(grown.unwrap().success());
    ledger.append(&[long(next), long(next + 1)]).unwrap();
    ledger.checkpoint().unwrap();
    drop(ledger);
    let verified = verify(&disk.path().join("ledger"));
    assert!(verified.findings.is_empty() && verified.signed == next + 2, "{verified:?}");
}

#[test]
fn another_key_store_or_process_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    sample(dir.path(), 3, &[]);
    let clock = Clock::manual(UnixMillis(0));
    let other = LedgerKey::from_seed(&[8; 32]);
    let wrong =
        Ledger::open(options(dir.path()), other, &source(3, 3), clock.clone()).unwrap_err().to_string();
    assert!(wrong.contains("signed with another key") && wrong.contains("--accept-ledger-break"), "{wrong}");
    let store = Source { store: [9; 16], forgotten: 3, made: 3 };
    let wrong = Ledger::open(options(dir.path()), key(), &store, clock.clone()).unwrap_err().to_string();
    assert!(wrong.contains("belongs to another store"), "{wrong}");
    let held = open(dir.path(), 3, 3);
    let second = Ledger::open(options(dir.path()), key(), &source(3, 3), clock);
    assert!(matches!(second, Err(OpenError::Locked { .. })), "{second:?}");
    // Verifying goes on beside the collector.
    assert!(verify(&dir.path().join("ledger")).findings.is_empty());
    drop(held);
    let ahead = open_with(&options(dir.path()), &source(2, 2)).unwrap_err().to_string();
    assert!(ahead.contains("the store has made 2"), "{ahead}");
}

#[test]
fn a_broken_ledger_is_succeeded_by_one_that_begins_with_the_fault() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = sample(dir.path(), 5, &[]);
    let mut bytes = fs::read(ledger.join("entries")).unwrap();
    bytes[200] ^= 1;
    fs::write(ledger.join("entries"), &bytes).unwrap();
    let accept = Options { accept_break: true, ..options(dir.path()) };
    let (opened, report) = open_with(&accept, &source(4, 6)).unwrap();
    assert!(report.begun && report.broken.is_some());
    let first = opened.read(0, 1).unwrap().remove(0);
    let Some(Fact::LedgerBegun { next: 5, after: Some(old), store, origin }) = first.fact() else {
        panic!("{first:?}")
    };
    assert_eq!(store, &"ab".repeat(STORE.len()));
    assert!(old.origin.starts_with("usaged-ledger/") && old.origin != *origin);
    assert!(old.fault.contains("is damaged") && old.checkpoint.contains(&old.origin), "{old:?}");
    assert_eq!(
        fs::read(dir.path().join(&old.kept_in).join("entries")).unwrap(),
        bytes,
        "it is kept as it was"
    );
    opened.append(&entries(5..=6)).unwrap();
    assert_eq!((opened.index_of(5), opened.index_of(4)), (Some(1), None));
    opened.checkpoint().unwrap();
    drop(opened);
    let (_, report) = open_with(&accept, &source(6, 6)).unwrap();
    assert_eq!((report.begun, report.broken), (false, None), "what is whole is not begun again");
    assert!(verify(&ledger).findings.is_empty());
}

fn export(ledger: &Ledger, customer: CustomerKey, since: u64) -> Export {
    let checkpoint = ledger.checkpoint().unwrap();
    let size = checkpoint.checkpoint().size;
    let mut entries = Vec::new();
    let mut each = |leaf: usaged::ledger::Leaf| {
        let proof = proof_text(&ledger.inclusion(leaf.index, size).unwrap());
        entries.push(Exported { index: leaf.index, leaf: leaf.text, proof });
        true
    };
    ledger.of_customer(customer, size, &mut each).unwrap();
    Export {
        format: EXPORT_FORMAT.to_owned(),
        customer: "acme".to_owned(),
        customer_number: number::text(customer),
        made: 0,
        collector_version: String::new(),
        policy_version: String::new(),
        retention_seconds: 0,
        verifier_key: ledger.verifier().to_string(),
        checkpoint: checkpoint.note().to_owned(),
        since: Some(Since { size: since, proof: proof_text(&ledger.consistency(since, size).unwrap()) }),
        entries,
    }
}

#[test]
fn an_export_holds_what_is_about_the_customer_and_can_be_verified_without_the_ledger() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path(), 0, 99);
    ledger.append(&entries(1..=41)).unwrap();
    let older = ledger.checkpoint().unwrap();
    ledger.append(&entries(42..=77)).unwrap();
    let good = export(&ledger, CustomerKey(2), 42);
    let expected: Vec<_> = (1..=77).filter(|number| number % 4 == 2).collect();
    assert_eq!(good.leaves().iter().map(|leaf| leaf.number).collect::<Vec<_>>(), expected);
    let verifier = ledger.verifier().clone();
    assert_eq!(good.verify(Some(&verifier), Some(&older)).unwrap().size, 78);

    let faults = |change: &dyn Fn(&mut Export)| {
        let mut other = good.clone();
        change(&mut other);
        other.verify(Some(&verifier), Some(&older)).unwrap_err()
    };
    let changed = faults(&|export| export.entries[3].leaf = export.entries[3].leaf.replace("c2", "c3"));
    assert_eq!(changed, [ExportFault::Entry { index: good.entries[3].index }]);
    let moved = faults(&|export| export.entries[3].index += 4);
    assert!(moved.contains(&ExportFault::Entry { index: good.entries[3].index + 4 }));
    let twice = faults(&|export| export.entries[4] = export.entries[3].clone());
    assert_eq!(twice, [ExportFault::Order { index: good.entries[3].index }]);
    let foreign = export(&ledger, CustomerKey(3), 42);
    let foreign = faults(&|export| export.entries = foreign.entries.clone());
    assert!(matches!(foreign[0], ExportFault::Foreign { .. }));
    let note = faults(&|export| export.checkpoint = export.checkpoint.replace("\n78\n", "\n77\n"));
    assert!(matches!(note[..], [ExportFault::Checkpoint(_)]));
    let fork = faults(&|export| export.since = None);
    assert_eq!(fork, [ExportFault::Broken { size: 42 }]);
    let other = LedgerKey::from_seed(&[8; 32]).verifier(verifier.name());
    assert!(matches!(good.verify(Some(&other), None).unwrap_err()[..], [ExportFault::Key { .. }]));
}

#[test]
fn pages_and_proofs_are_those_of_the_tree() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path(), 0, 99);
    ledger.append(&entries(1..=20)).unwrap();
    let size = ledger.head().size;
    let root = ledger.checkpoint().unwrap().checkpoint().root;
    let all = ledger.read(0, 1000).unwrap();
    assert_eq!(all.iter().map(|leaf| leaf.index).collect::<Vec<_>>(), (0..size).collect::<Vec<_>>());
    assert_eq!(ledger.read_back(size, 2).unwrap(), [all[20].clone(), all[19].clone()]);
    assert_eq!(ledger.read(size, 5).unwrap(), []);
    for leaf in &all {
        let path = ledger.inclusion(leaf.index, size).unwrap();
        assert!(includes(&leaf_hash(leaf.text.as_bytes()), leaf.index, size, &path, &root));
    }
    ledger.append(&entries(21..=50)).unwrap();
    let later = ledger.checkpoint().unwrap().checkpoint().clone();
    let path = ledger.consistency(size, later.size).unwrap();
    assert!(is_beginning(size, &root, later.size, &later.root, &path));
}

#[test]
fn the_checkpoint_of_an_entry_is_the_last_one_if_it_holds_it_else_a_new_one_and_none_before_it_is_in() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path(), 0, 9);
    let size = |number: u64| {
        let signed = ledger.checkpoint_of(number).unwrap();
        signed.map(|signed| signed.checkpoint().size)
    };
    assert_eq!([size(0), size(1)], [Some(1), None], "the beginning alone, which no outbox had");
    ledger.append(&entries(1..=3)).unwrap();
    assert_eq!(size(4), None);
    assert_eq!(ledger.last_checkpoint().checkpoint().size, 1, "nothing is signed for what is not in");
    // The third lies behind the first and what the ledger begins with.
    assert_eq!(size(3), Some(4));
    ledger.append(&entries(4..=5)).unwrap();
    assert_eq!([size(1), size(3), size(0)], [Some(4); 3], "what is signed is not signed again");
    assert_eq!([size(4), size(5), size(6)], [Some(6), Some(6), None]);
    assert_eq!(size(1), Some(6));
}
