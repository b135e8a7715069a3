//! Backups: consistent, without personal rows, and whole again with them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::samples::{at, blocking, bridge, fill, holding, id, noise, open, queue, register, seal_key};
use super::{Backup, BackupError, BackupProgress, MetaOp, MetaTable, OpenError, Store, put_back};
use crate::model::{CommitNumber, CustomerKey};

async fn back_up(store: &Store, dir: &Path, rows: &Path) -> Result<Backup, BackupError> {
    let (store, dir, rows) = (store.clone(), dir.to_owned(), rows.to_owned());
    blocking(move || {
        let mut last = BackupProgress::Copying;
        let made = store.backup(&dir, &rows, &mut |progress| last = progress);
        if let Ok(Backup { bytes, .. }) = made {
            assert_eq!(last, BackupProgress::Searching { done: last_of(last), of: last_of(last) });
            assert!(bytes >= last_of(last));
        }
        made
    })
    .await
}

const fn last_of(progress: BackupProgress) -> u64 {
    match progress {
        BackupProgress::Searching { of, .. } => of,
        BackupProgress::Clearing | BackupProgress::Copying | BackupProgress::Separating => 0,
    }
}

/// A store with two customers and 200 records, and its salts.
async fn world(dir: &Path) -> (Store, [CustomerKey; 2], Vec<Vec<u8>>) {
    let store = open(dir);
    let customers =
        [register(&store, "acme-gmbh", "enhanced").await, register(&store, "globex-inc", "enhanced").await];
    store.write_meta(vec![bridge(customers[0], &noise(5)[..32])], true).await.unwrap();
    let row = MetaOp::Put { table: MetaTable::Totals, key: b"a".to_vec(), value: b"b".to_vec() };
    let token =
        MetaOp::Put { table: MetaTable::Tokens, key: b"t".to_vec(), value: b"\"acme-gmbh\"".to_vec() };
    let notice =
        MetaOp::Put { table: MetaTable::Notices, key: vec![7; 16], value: b"\"acme-gmbh\"".to_vec() };
    store.write_meta(vec![row, token, notice], true).await.unwrap();
    fill(&store, customers, 1..=200).await;
    let salt = |key| store.customer_by_key(key).unwrap().unwrap().salt.expose().to_vec();
    let salts = vec![salt(customers[0]), salt(customers[1]), noise(5)[8..32].to_vec()];
    (store, customers, salts)
}

fn personal(salts: &[Vec<u8>]) -> Vec<&[u8]> {
    salts.iter().map(Vec::as_slice).chain([b"acme-gmbh".as_slice(), b"globex-inc"]).collect()
}

fn places(home: &tempfile::TempDir) -> [PathBuf; 3] {
    ["data", "copy", "rows"].map(|name| home.path().join(name))
}

// covers: P8 D1
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_a_store_at_work_is_consistent_holds_no_personal_row_and_opens_with_them_put_back() {
    let home = tempfile::tempdir().unwrap();
    let [data, dir, rows] = places(&home);
    let (store, customers, salts) = world(&data).await;
    // Customers come and records are stored all the while.
    let work = async {
        for n in 0..100 {
            register(&store, &format!("customer-{n:03}"), "standard").await;
            fill(&store, customers, 201 + n..=201 + n).await;
        }
    };
    let ((), made) = tokio::join!(work, back_up(&store, &dir, &rows));
    let made = made.unwrap();
    assert!(made.head >= CommitNumber(200) && made.head <= CommitNumber(300), "{made:?}");
    let all: Vec<Vec<u8>> = (1..=store.customers_count())
        .filter_map(|key| Some(store.customer_by_key(CustomerKey(key)).unwrap()?.salt.expose().to_vec()))
        .collect();
    assert_eq!(all.len(), 102);
    let needles = all.iter().map(Vec::as_slice).chain(personal(&salts)).chain([b"customer-0".as_slice()]);
    assert_eq!(holding(&dir, needles), Vec::<PathBuf>::new());
    assert!(personal(&salts).iter().all(|needle| !holding(rows.parent().unwrap(), [*needle]).is_empty()));
    assert_eq!(rows.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(dir.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    // The store that was copied is none the worse.
    assert_eq!(queue(&store).len(), 300);
    store.close().await;
    let store = open(&data);
    assert_eq!(queue(&store).len(), 300);

    assert_eq!(put_back(&dir, &rows).unwrap(), made.rows);
    let copy = open(&dir);
    assert_eq!((copy.head(), copy.status().damaged), (made.head, 0));
    assert_eq!(u64::try_from(queue(&copy).len()).unwrap(), made.head.0);
    let key = seal_key(&copy, customers[0]).unwrap();
    for commit in [1, 77, 199] {
        assert!(at(&copy, commit).unwrap().open(&key).unwrap() == noise(commit), "{commit}");
    }
    assert_eq!(copy.meta(MetaTable::Totals, b"a").unwrap(), Some(b"b".to_vec()));
    for (table, key) in [(MetaTable::Tokens, b"t".as_slice()), (MetaTable::Notices, [7; 16].as_slice())] {
        assert_eq!(copy.meta(table, key).unwrap(), Some(b"\"acme-gmbh\"".to_vec()), "{table:?}");
    }
    assert_eq!(copy.bridges(Some(customers[0])).unwrap()[0].seed.expose()[..], noise(5)[..32]);
    assert_eq!(copy.history(&id("acme-gmbh"), None, 9).unwrap().len(), 1);
    let listed = copy.list_customers(None, 999).unwrap().len();
    assert_eq!(u64::try_from(listed).unwrap(), copy.customers_count());
    fill(&copy, customers, made.head.0 + 1..=made.head.0 + 5).await;
    assert_eq!(register(&copy, "new", "standard").await.0, copy.customers_count());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_opens_without_its_personal_rows_and_then_nobody_is_known() {
    let home = tempfile::tempdir().unwrap();
    let [data, dir, rows] = places(&home);
    let (store, customers, _) = world(&data).await;
    back_up(&store, &dir, &rows).await.unwrap();
    let copy = open(&dir);
    assert_eq!(queue(&copy).len(), 200);
    assert!(copy.customer_by_key(customers[0]).unwrap().is_none());
    assert!(copy.list_customers(None, 9).unwrap().is_empty());
    // A key is given once, also here.
    assert_eq!(register(&copy, "acme-gmbh", "standard").await, CustomerKey(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_never_goes_over_or_into_what_is_there() {
    let home = tempfile::tempdir().unwrap();
    let [data, dir, rows] = places(&home);
    let (store, ..) = world(&data).await;
    for (dir, rows) in
        [(data.join("copy"), rows.clone()), (dir.clone(), data.join("rows")), (dir.clone(), dir.join("rows"))]
    {
        std::fs::create_dir_all(home.path().join("copy")).unwrap();
        let refused = back_up(&store, &dir, &rows).await;
        assert!(matches!(refused, Err(BackupError::Inside)), "{refused:?}");
    }
    std::fs::write(&rows, b"mine").unwrap();
    let refused = back_up(&store, &dir, &rows).await;
    assert!(matches!(&refused, Err(BackupError::Exists { path }) if *path == rows), "{refused:?}");
    std::fs::remove_file(&rows).unwrap();
    back_up(&store, &dir, &rows).await.unwrap();
    super::finished(&dir).unwrap();
    let other = home.path().join("other-rows");
    let refused = back_up(&store, &dir, &other).await;
    assert!(matches!(&refused, Err(BackupError::Exists { path }) if *path == dir), "{refused:?}");
    assert!(!other.exists() && dir.join("FORMAT").exists());
}

// covers: D5
#[tokio::test(flavor = "multi_thread")]
async fn personal_rows_that_are_damaged_foreign_or_there_already_are_refused_by_name() {
    let home = tempfile::tempdir().unwrap();
    let [data, dir, rows] = places(&home);
    let (store, ..) = world(&data).await;
    back_up(&store, &dir, &rows).await.unwrap();
    let whole = std::fs::read(&rows).unwrap();
    let bad = home.path().join("bad");
    for at in [0, 9, 30, 60, whole.len() / 2, whole.len() - 1] {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        std::fs::write(&bad, &changed).unwrap();
        let refused = put_back(&dir, &bad);
        assert!(matches!(refused, Err(BackupError::Damaged | BackupError::Foreign)), "{at}: {refused:?}");
        std::fs::write(&bad, &whole[..at]).unwrap();
        let refused = put_back(&dir, &bad);
        assert!(matches!(refused, Err(BackupError::Damaged)), "cut at {at}: {refused:?}");
    }
    let refused = put_back(&data, &rows);
    assert!(matches!(refused, Err(BackupError::Open(OpenError::Locked { .. }))), "{refused:?}");
    let second = open(&home.path().join("second"));
    let (dir2, rows2) = (home.path().join("copy2"), home.path().join("rows2"));
    back_up(&second, &dir2, &rows2).await.unwrap();
    assert!(matches!(put_back(&dir2, &rows), Err(BackupError::Foreign)));
    assert!(put_back(&dir, &rows).unwrap() > 0);
    assert!(matches!(put_back(&dir, &rows), Err(BackupError::Present)));
    let nowhere = put_back(&home.path().join("nowhere"), &rows);
    assert!(matches!(nowhere, Err(BackupError::Open(OpenError::Absent { .. }))), "{nowhere:?}");
}
