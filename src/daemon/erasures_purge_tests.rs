//! What an erasure rewrites on the disk: the files that hold old bytes of it, also those that others left, and no others.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::files_tests::{copy, holding};
use super::rooms_tests::{BATCHES, HOST, NAMED, Rooms, acme};
use crate::amend::{Counts, NewErasure, Stage, Target};
use crate::model::{CustomerId, ErasureId, IdentifierClass};
use crate::store::{MetaOp, MetaTable, step};

fn id(number: u64) -> ErasureId {
    ErasureId::parse(&format!("0198c0de-0000-7000-8000-{number:012x}")).unwrap()
}

fn host(name: &str) -> Target {
    Target::Identifier { class: IdentifierClass::HostName, value: name.to_owned().into() }
}

async fn begin(rooms: &Rooms, number: u64, target: Target) {
    let (reference, by) = (String::new(), String::new());
    rooms.amend.erase(NewErasure { id: id(number), customer: acme(), target, reference, by }).await.unwrap();
}

async fn done(rooms: &Rooms, number: u64) -> Counts {
    let erasure = rooms.amend.erasure(id(number)).await.unwrap().erasure;
    assert_eq!(erasure.stage, Stage::Done);
    erasure.counts
}

/// Batches in several table files: what waits in the log alone is gone when it is written over.
async fn filled(home: &Path) -> Rooms {
    let rooms = Rooms::open(home).await;
    for customer in [acme(), CustomerId::new("globex").unwrap()] {
        rooms.participate(customer, "enhanced").await;
    }
    rooms.amend.tick().await.unwrap();
    for first in (1..=BATCHES).step_by(20) {
        rooms.fill_with(first..=first + 19).await;
        flush(&rooms).await;
    }
    rooms
}

/// Which files hold each of some records.
fn files(home: &Path, sealed: &BTreeMap<u64, [Vec<u8>; 2]>) -> BTreeMap<u64, Vec<PathBuf>> {
    let of = |pieces: &[Vec<u8>; 2]| holding(home, pieces.iter().map(Vec::as_slice));
    sealed.iter().map(|(commit, pieces)| (*commit, of(pieces))).collect()
}

/// Has all of the log in table files.
async fn flush(rooms: &Rooms) {
    let store = rooms.store.clone();
    tokio::task::spawn_blocking(move || store.purge(&[], &mut |_| {})).await.unwrap().unwrap();
}

// covers: P8
#[tokio::test]
async fn an_erasure_rewrites_the_files_that_hold_something_of_it_and_no_others() {
    let home = tempfile::tempdir().unwrap();
    let rooms = filled(home.path()).await;
    let sealed = rooms.sealed(&acme());
    let before = files(home.path(), &sealed);
    assert!(before.values().all(|files| files.len() == 1), "{before:?}");
    assert_eq!(before.values().collect::<BTreeSet<_>>().len(), 4, "{before:?}");
    for number in 1..=3 {
        begin(&rooms, number, host(&format!("nobody-{number}.example.org"))).await;
        rooms.amend.tick().await.unwrap();
        assert_eq!(done(&rooms, number).await.removed + done(&rooms, number).await.rewritten, 0);
        assert_eq!(files(home.path(), &sealed), before, "nothing of it is there, so nothing is rewritten");
    }

    begin(&rooms, 4, Target::Instance("instance-3".to_owned().into())).await;
    rooms.amend.tick().await.unwrap();
    assert_eq!(done(&rooms, 4).await.removed, 1);
    let after = files(home.path(), &sealed);
    // The third batch of acme comes before those of globex and its own that follow.
    let commit = 5;
    assert!(after[&commit].is_empty(), "{after:?}");
    for (other, files) in after.iter().filter(|(other, _)| **other != commit) {
        assert_eq!(files == &before[other], before[other] != before[&commit], "commit {other}");
    }
    rooms.close().await;
}

/// A row of an erasure as a program of before left it: without where it rewrote something.
async fn as_of_before(rooms: &Rooms, number: u64) {
    let row = rooms.store.meta(MetaTable::Erasures, id(number).as_bytes()).unwrap().unwrap();
    let mut json: serde_json::Value = serde_json::from_slice(row.get(9..).unwrap()).unwrap();
    assert!(json.as_object_mut().unwrap().remove("touched").is_some());
    let value = [&[1][..], json.to_string().as_bytes()].concat();
    let key = id(number).as_bytes().to_vec();
    rooms.store.write_meta(vec![MetaOp::Put { table: MetaTable::Erasures, key, value }], true).await.unwrap();
}

// covers: P8
#[tokio::test]
async fn an_erasure_that_was_begun_before_this_was_kept_has_everything_rewritten() {
    let home = tempfile::tempdir().unwrap();
    let rooms = filled(home.path()).await;
    let sealed = rooms.sealed(&acme());
    begin(&rooms, 1, host(HOST)).await;
    // What it rewrote when it ended is in no row: it stands before the purge.
    let now = tempfile::tempdir().unwrap();
    let (from, to) = (home.path().to_owned(), now.path().to_owned());
    step::meanwhile("erase: rewritten", move || copy(&from, &to));
    rooms.amend.tick().await.unwrap();
    rooms.close().await;

    let rooms = Rooms::open(now.path()).await;
    as_of_before(&rooms, 1).await;
    rooms.close().await;
    let named: Vec<&[u8]> = sealed
        .iter()
        .filter(|(commit, _)| (**commit / 2 + 1) % NAMED == 1)
        .flat_map(|(_, pieces)| pieces)
        .map(Vec::as_slice)
        .collect();
    assert!(!holding(now.path(), named.iter().copied()).is_empty(), "they are not purged yet");
    let rooms = Rooms::open(now.path()).await;
    rooms.amend.tick().await.unwrap();
    assert_eq!(done(&rooms, 1).await.rewritten, BATCHES / NAMED);
    assert_eq!(holding(now.path(), named.iter().copied()), Vec::<PathBuf>::new());
    rooms.close().await;
}

// covers: P6 P8
#[tokio::test]
async fn what_a_binding_or_another_erasure_took_out_and_left_on_the_disk_is_off_it_when_an_erasure_is_done() {
    for by_binding in [true, false] {
        let home = tempfile::tempdir().unwrap();
        let rooms = filled(home.path()).await;
        let sealed = rooms.sealed(&acme());
        let all: Vec<Vec<u8>> = sealed.values().flatten().cloned().collect();
        // The process ends when everything of acme is taken out, and nothing of it is off the disk.
        let now = tempfile::tempdir().unwrap();
        let (from, to) = (home.path().to_owned(), now.path().to_owned());
        if by_binding {
            step::meanwhile("bind: rewritten", move || copy(&from, &to));
            rooms.participate(acme(), "none").await;
        } else {
            step::meanwhile("erase: rewritten", move || copy(&from, &to));
            let from = super::rooms_tests::START;
            begin(&rooms, 7, Target::Times { from, until: from.plus_ms(1) }).await;
        }
        rooms.amend.tick().await.unwrap();
        rooms.close().await;
        assert!(!holding(now.path(), all.iter().map(Vec::as_slice)).is_empty());

        let rooms = Rooms::open(now.path()).await;
        // One that comes before the other, for what the other took out.
        begin(&rooms, 1, host(HOST)).await;
        let (left, dir) = (Rc::new(Cell::new(None)), now.path().to_owned());
        let (seen, pieces) = (Rc::clone(&left), all.clone());
        step::meanwhile("erase: verified", move || {
            seen.set(Some(holding(&dir, pieces.iter().map(Vec::as_slice)).len()));
        });
        rooms.amend.tick().await.unwrap();
        let counts = done(&rooms, 1).await;
        assert_eq!((counts.removed, counts.rewritten), (0, 0), "nothing of it was found any more");
        assert_eq!(left.get(), Some(0), "by a binding: {by_binding}");
        rooms.close().await;
    }
}
