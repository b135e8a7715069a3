//! The data root: made with the store, read at open, wrapped anew when the operator changes the root key.

use rand::TryRng;
use rand::rngs::SysRng;
use rocksdb::WriteBatch;
use zeroize::Zeroizing;

use super::fault::{OpenError, StoreError};
use super::layout::{self, KEY_DATA_ROOT, KEY_ROTATION, KEY_STORE, META, StoreRow};
use super::open::{Judge, row};
use super::options::Options;
use super::rocks::{Db, write_options};
use super::salts;
use super::shared::Shared;
use crate::model::UnixMillis;
use crate::sanitize::{DataRoot, NONCE_BYTES, RootKey, Rotation};

const PART: &str = "the row of the data root";

/// The rows that bind the store to another root key: they are written together or not at all. Made by
/// [`super::Store::rewrapped`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrapped {
    store: Vec<u8>,
    data_root: Vec<u8>,
    times: u32,
}

impl Rewrapped {
    /// How often the root key was changed, this time counted.
    #[must_use]
    pub const fn times(&self) -> u32 {
        self.times
    }

    pub(super) fn rows(&self) -> [(&'static [u8], &[u8]); 2] {
        [(KEY_STORE, &self.store), (KEY_DATA_ROOT, &self.data_root)]
    }
}

/// Makes a data root and writes what the store is: the first write of all.
pub(super) fn make(
    db: &Db,
    store: &StoreRow,
    key: &RootKey,
    judge: &Judge<'_>,
) -> Result<DataRoot, OpenError> {
    let entropy = || OpenError::System { what: "randomness" };
    let mut random = Zeroizing::new([0; 32]);
    SysRng.try_fill_bytes(&mut *random).map_err(|_| entropy())?;
    let root = DataRoot::new(*random);
    let wrapped = wrap(key, &root, &store.id, 0).ok_or_else(entropy)?;
    let meta = db.cf_handle(META).ok_or_else(|| judge.damaged(PART, None))?;
    let mut batch = WriteBatch::default();
    batch.put_cf(&meta, KEY_STORE, store.encode());
    batch.put_cf(&meta, KEY_DATA_ROOT, wrapped);
    let written = db.write_opt(batch, &write_options(true));
    written.map_err(|error| OpenError::Database { path: judge.path.to_owned(), source: error.into() })?;
    Ok(root)
}

/// Reads the data root. The root key is the right one by then, so what does not open is damaged.
pub(super) fn read(db: &Db, id: &[u8; 16], key: &RootKey, judge: &Judge<'_>) -> Result<DataRoot, OpenError> {
    let damaged = || judge.damaged(PART, None);
    let found = row(db, KEY_DATA_ROOT, judge)?.ok_or_else(damaged)?;
    let mut wrapped = layout::open_row(&found).ok_or_else(damaged)?;
    wrapped.u32().ok_or_else(damaged)?;
    key.unwrap(wrapped.0, id).map_err(|_| damaged())
}

/// The row of the data root under a key; `None` without entropy for a nonce.
fn wrap(key: &RootKey, root: &DataRoot, id: &[u8; 16], times: u32) -> Option<Vec<u8>> {
    let mut nonce = [0; NONCE_BYTES];
    SysRng.try_fill_bytes(&mut nonce).ok()?;
    let wrapped = key.wrap(root, id, &nonce).ok()?;
    Some(layout::row(|out| {
        out.extend_from_slice(&times.to_be_bytes());
        out.extend_from_slice(&wrapped);
    }))
}

/// What binds the store to `key` from now on; `None` if that is the key which it is bound to.
pub(super) fn rewrap(shared: &Shared, key: &RootKey) -> Result<Option<Rewrapped>, StoreError> {
    let store = present(shared)?;
    let key_check = key.check();
    if store.key_check == key_check {
        return Ok(None);
    }
    let found = get(shared, KEY_DATA_ROOT)?;
    let times = layout::open_row(&found).and_then(|mut row| row.u32()).ok_or(DAMAGED)?.saturating_add(1);
    let data_root = wrap(key, &shared.data_root, &store.id, times).ok_or(StoreError::Entropy)?;
    Ok(Some(Rewrapped { store: StoreRow { key_check, ..store }.encode(), data_root, times }))
}

/// What the store is.
pub(super) fn present(shared: &Shared) -> Result<StoreRow, StoreError> {
    StoreRow::decode(&get(shared, KEY_STORE)?).ok_or(DAMAGED)
}

const DAMAGED: StoreError = StoreError::Damaged { what: "the row that says what the store is" };

fn get(shared: &Shared, key: &[u8]) -> Result<Vec<u8>, StoreError> {
    let meta = shared.db.cf_handle(META).ok_or(DAMAGED)?;
    let found = shared.db.get_cf(&meta, key).map_err(StoreError::database("read what the store is"))?;
    found.ok_or(DAMAGED)
}

/// The last time of which something was derived, as far as the store tells: of the newest record, and the end of the epochs
/// that the ratchets were moved for. No clock may be believed at a start. A ratchet that stands ahead of the clock and of
/// every record was moved by one that was wrong.
fn used(
    db: &Db,
    before: Rotation,
    (newest, now): (Option<UnixMillis>, UnixMillis),
    past: u32,
) -> Result<UnixMillis, StoreError> {
    let newest = newest.unwrap_or(UnixMillis(0));
    let present = before.epoch(now.max(newest));
    let epochs = salts::newest_epoch(db, present)?.map(|epoch| epoch.saturating_add(past).min(present));
    let moved = epochs.map(|epoch| before.start(epoch));
    Ok(moved.map_or(newest, |moved| moved.max(newest)))
}

/// Which epoch a time belongs to. A new store counts from 1970; where the configured length is another than before,
/// a new epoch begins behind all that was derived.
pub(super) fn rotation(
    db: &Db,
    options: &Options,
    (newest, now): (Option<UnixMillis>, UnixMillis),
    judge: &Judge<'_>,
) -> Result<Rotation, OpenError> {
    const PART: &str = "the row of the rotation epochs";
    let length = options.rotation;
    let found = row(db, KEY_ROTATION, judge)?;
    let before = match &found {
        None => None,
        Some(row) => {
            let read = layout::open_row(row).and_then(|input| Rotation::decode(input.0));
            Some(read.ok_or_else(|| judge.damaged(PART, None))?)
        }
    };
    let of = |before| {
        let used = used(db, before, (newest, now), options.past_epochs);
        used.map_err(|_| judge.damaged("a row of the family of salts", None))
    };
    let rotation = match before {
        None => Rotation::every(length),
        Some(before) if before.length() == length && before.since() <= now => return Ok(before),
        Some(before) => match before.changed(length, of(before)?) {
            None => return Ok(before),
            Some(changed) => {
                tracing::info!(
                    epoch = changed.epoch(now),
                    "the length of rotation epochs was changed, a new one begins"
                );
                changed
            }
        },
    };
    let meta = db.cf_handle(META).ok_or_else(|| judge.damaged(PART, None))?;
    let mut batch = WriteBatch::default();
    batch.put_cf(&meta, KEY_ROTATION, layout::row(|out| out.extend_from_slice(&rotation.encode())));
    let written = db.write_opt(batch, &write_options(true));
    written.map_err(|error| OpenError::Database { path: judge.path.to_owned(), source: error.into() })?;
    Ok(rotation)
}
