//! Rows of the family of secrets: the salt of each customer, and bridges between its key epochs. What is in them
//! belongs to `sanitize`; here they are bytes that can be read, replaced and destroyed. And the data root, which
//! the root key of the operator wraps.

use zeroize::Zeroizing;

use super::Store;
use super::command::{Command, MetaOp, Reply};
use super::fault::StoreError;
use super::layout::{KEY_ROOT, KEY_STORE, META, SALTS, StoreRow, open_row, row};
use super::pending::Pending;
use super::rocks::{Db, between};
use crate::model::CustomerKey;

/// Before the keys of bridges. Keys of salts begin with a zero byte: customer keys are small numbers.
const BRIDGE: u8 = b'b';
const DAMAGED: StoreError = StoreError::Damaged { what: "a row of the customer's secrets" };
const READ: &str = "read the secrets of a customer";

/// Bytes that are wiped when they are dropped.
pub type SecretBytes = Zeroizing<Vec<u8>>;

/// Names a secret of a customer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SecretKey {
    /// The salt and what belongs to it. It comes with the customer and goes with it.
    Salt(CustomerKey),
    /// A bridge between epochs, by a name of the caller's.
    Bridge(CustomerKey, Vec<u8>),
}

impl SecretKey {
    /// The customer that it belongs to.
    #[must_use]
    pub const fn customer(&self) -> CustomerKey {
        match self {
            Self::Salt(customer) | Self::Bridge(customer, _) => *customer,
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Salt(customer) => customer.0.to_be_bytes().to_vec(),
            Self::Bridge(customer, name) => {
                let mut key = bridges_of(*customer).0;
                key.extend_from_slice(name);
                key
            }
        }
    }
}

/// The bounds of all bridges of a customer.
pub(super) fn bridges_of(customer: CustomerKey) -> (Vec<u8>, Vec<u8>) {
    let bound = |key: u64| [&[BRIDGE], key.to_be_bytes().as_slice()].concat();
    (bound(customer.0), bound(customer.0.saturating_add(1)))
}

/// A change of one secret. It is made only if what is stored is what the caller read, and never of a customer
/// who is gone: what was destroyed does not come back.
pub struct SecretOp {
    /// Which one.
    pub key: SecretKey,
    /// What was read; `None` if there was nothing.
    pub before: Option<SecretBytes>,
    /// What is to be there; `None` to destroy it. It is beyond reading after [`Store::purge`].
    pub after: Option<SecretBytes>,
}

impl std::fmt::Debug for SecretOp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretOp").field("key", &self.key).finish_non_exhaustive()
    }
}

fn get(db: &Db, key: &[u8]) -> Result<Option<SecretBytes>, StoreError> {
    let salts = db.cf_handle(SALTS).ok_or(DAMAGED)?;
    Ok(db.get_cf(&salts, key).map_err(StoreError::database(READ))?.map(Zeroizing::new))
}

impl Store {
    /// One secret, as it was written.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn secret(&self, key: &SecretKey) -> Result<Option<SecretBytes>, StoreError> {
        get(&self.shared().db, &key.encode())
    }

    /// All bridges of a customer, with their names.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn bridges(&self, customer: CustomerKey) -> Result<Vec<(Vec<u8>, SecretBytes)>, StoreError> {
        let db = &self.shared().db;
        let salts = db.cf_handle(SALTS).ok_or(DAMAGED)?;
        let (lower, upper) = bridges_of(customer);
        let prefix = lower.len();
        let mut rows = db.raw_iterator_cf_opt(&salts, between(lower, upper));
        rows.seek_to_first();
        let mut found = Vec::new();
        while let Some((key, value)) = rows.item() {
            found.push((key.get(prefix..).unwrap_or_default().to_vec(), Zeroizing::new(value.to_vec())));
            rows.next();
        }
        rows.status().map_err(StoreError::database(READ))?;
        Ok(found)
    }

    /// Changes secrets, with rows of metadata in the same synced write: all of it, or, if one of the secrets is
    /// not what it was or its customer is gone, nothing (`false`). Caches of these customers take notice.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn write_secrets(&self, secrets: Vec<SecretOp>, ops: Vec<MetaOp>) -> Result<bool, StoreError> {
        self.ask(|reply| Command::Secrets { secrets, ops, reply }).await?
    }

    /// The data root as it was written: wrapped under the operator's root key.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn data_root(&self) -> Result<Option<Vec<u8>>, StoreError> {
        root(&self.shared().db)
    }

    /// Writes the data root in the place of `before`, and at once the check of the root key that wraps it: from
    /// then on the store opens under that key only. `false` if what is stored is not `before`. The old row is
    /// beyond reading after [`Store::purge`] of [`super::Place::DataRoot`].
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn set_data_root(
        &self,
        before: Option<Vec<u8>>,
        after: Vec<u8>,
        key_check: [u8; 16],
    ) -> Result<bool, StoreError> {
        self.ask(|reply| Command::Root { before, after, key_check, reply }).await?
    }
}

const ROOT: StoreError = StoreError::Damaged { what: "the row of the data root" };

fn meta_row(db: &Db, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
    let meta = db.cf_handle(META).ok_or(ROOT)?;
    db.get_cf(&meta, key).map_err(StoreError::database("read the data root"))
}

fn root(db: &Db) -> Result<Option<Vec<u8>>, StoreError> {
    meta_row(db, KEY_ROOT)?.map(|row| open_row(&row).map(|bytes| bytes.0.to_vec()).ok_or(ROOT)).transpose()
}

impl Pending {
    /// Takes in changes of secrets.
    pub(super) fn secrets(&mut self, db: &Db, secrets: Vec<SecretOp>, ops: Vec<MetaOp>, reply: Reply<bool>) {
        match self.try_secrets(db, secrets, ops) {
            Ok(done) => self.wait(reply, done),
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    fn try_secrets(&mut self, db: &Db, secrets: Vec<SecretOp>, ops: Vec<MetaOp>) -> Result<bool, StoreError> {
        let salts = db.cf_handle(SALTS).ok_or(DAMAGED)?;
        let mut rows = Vec::with_capacity(secrets.len());
        for SecretOp { key, before, after } in secrets {
            let customer = key.customer();
            let row = key.encode();
            let known = get(db, &SecretKey::Salt(customer).encode())?.is_some();
            // What this group changed already is not to be seen yet; the caller reads it again.
            let here = self.secrets.contains(&row) || rows.iter().any(|(_, other, _)| *other == row);
            if here || !known || self.revisions.is_destroyed(customer) || get(db, &row)? != before {
                return Ok(false);
            }
            rows.push((customer, row, after));
        }
        self.put_rows(db, ops)?;
        for (customer, row, after) in rows {
            match after {
                Some(after) => self.batch.put_cf(&salts, &row, after.as_slice()),
                None => self.batch.delete_cf(&salts, &row),
            }
            self.secrets.insert(row);
            self.restamped.push(customer);
        }
        self.sync = true;
        Ok(true)
    }

    /// Takes in another wrapping of the data root.
    pub(super) fn root(
        &mut self,
        db: &Db,
        before: Option<&[u8]>,
        after: &[u8],
        key_check: [u8; 16],
        reply: Reply<bool>,
    ) {
        match self.try_root(db, before, after, key_check) {
            Ok(done) => self.wait(reply, done),
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    fn try_root(
        &mut self,
        db: &Db,
        before: Option<&[u8]>,
        after: &[u8],
        key_check: [u8; 16],
    ) -> Result<bool, StoreError> {
        if self.secrets.contains(KEY_ROOT) || root(db)?.as_deref() != before {
            return Ok(false);
        }
        let store = meta_row(db, KEY_STORE)?.as_deref().and_then(StoreRow::decode).ok_or(ROOT)?;
        let meta = db.cf_handle(META).ok_or(ROOT)?;
        self.batch.put_cf(&meta, KEY_STORE, StoreRow { key_check, ..store }.encode());
        self.batch.put_cf(&meta, KEY_ROOT, row(|out| out.extend_from_slice(after)));
        self.secrets.insert(KEY_ROOT.to_vec());
        self.sync = true;
        Ok(true)
    }
}
