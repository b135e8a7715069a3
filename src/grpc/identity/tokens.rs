//! The bearer tokens in the store, all of them in memory: at most ten thousand rows of about 400 bytes.

use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use zeroize::Zeroizing;

use super::refused::Refused;
use crate::grpc::status::{Cause, Fault};
use crate::identity::{
    IdentityName, Principal, Role, RoleKind, Rules, TokenHash, TokenId, TokenRow, TokenText,
};
use crate::ledger::{Entry as LedgerEntry, Fact, TokenRole};
use crate::model::{CustomerId, UnixMillis};
use crate::observe::Clock;
use crate::store::{MetaOp, MetaTable, Place, Store, StoreError};

/// Tokens that there may be, ended ones that are still listed counted.
const MOST: usize = 10_000;

/// How long a token that has ended or was revoked is still listed, in milliseconds: 90 days.
const LISTED_FOR: i64 = 90 * 86_400_000;

/// The grain of the time of the last use, in milliseconds.
const MINUTE: i64 = 60_000;

/// The tokens. Clones share them.
#[derive(Clone)]
pub struct Tokens(Arc<Inner>);

struct Inner {
    store: Store,
    clock: Clock,
    rows: RwLock<HashMap<TokenId, Entry>>,
    /// One change at a time, so that none writes over another.
    turn: tokio::sync::Mutex<()>,
    revocations: AtomicU64,
}

struct Entry {
    row: TokenRow,
    /// Whom it proves, made once.
    principal: Principal,
    /// When it was used last; 0 for never.
    used: AtomicI64,
}

/// A token to be issued.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// What its holder is called.
    pub name: IdentityName,
    /// What it lets its holder do.
    pub role: Role,
    /// When it ends.
    pub expires: UnixMillis,
    /// Who asks for it.
    pub by: String,
}

fn put(id: TokenId, row: &TokenRow) -> MetaOp {
    MetaOp::Put { table: MetaTable::Tokens, key: id.as_bytes().to_vec(), value: row.to_bytes() }
}

/// What the ledger is told of a role.
const fn told(role: RoleKind) -> TokenRole {
    match role {
        RoleKind::Sender => TokenRole::Sender,
        RoleKind::Relay => TokenRole::Relay,
        RoleKind::Drainer => TokenRole::Drainer,
        RoleKind::Operator => TokenRole::Operator,
        RoleKind::Auditor => TokenRole::Auditor,
    }
}

/// The entry that a token proves nothing any more.
fn revoked(id: TokenId, row: &TokenRow, at: UnixMillis, by: &str) -> MetaOp {
    let by = Some(by.to_owned()).filter(|by| !by.is_empty());
    let fact = Fact::TokenRevoked { token: id.to_string(), role: told(row.role.kind()), by };
    MetaOp::Ledger(LedgerEntry { at, fact }.to_bytes())
}

const DAMAGED: StoreError = StoreError::Damaged { what: "a row of a token" };

impl Tokens {
    /// Reads the tokens of `store`. Disk work.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn open(store: Store, clock: Clock) -> Result<Self, StoreError> {
        let mut rows = HashMap::new();
        for (key, value) in store.load_meta(MetaTable::Tokens)? {
            let id = <[u8; 8]>::try_from(key).map(TokenId::new).map_err(|_| DAMAGED)?;
            let row = TokenRow::from_bytes(&value).ok_or(DAMAGED)?;
            rows.insert(id, Entry::of(id, row));
        }
        let (rows, turn) = (RwLock::new(rows), tokio::sync::Mutex::default());
        Ok(Self(Arc::new(Inner { store, clock, rows, turn, revocations: AtomicU64::new(0) })))
    }

    fn rows(&self) -> std::sync::RwLockReadGuard<'_, HashMap<TokenId, Entry>> {
        self.0.rows.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn rows_mut(&self) -> std::sync::RwLockWriteGuard<'_, HashMap<TokenId, Entry>> {
        self.0.rows.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Grows with every revocation.
    pub(super) fn revocations(&self) -> u64 {
        self.0.revocations.load(Ordering::Acquire)
    }

    /// Whose token this is.
    pub(super) fn find(&self, id: TokenId, hash: &TokenHash, now: UnixMillis) -> Result<Principal, Refused> {
        let rows = self.rows();
        let entry = rows.get(&id).filter(|entry| entry.row.hash.is(hash)).ok_or(Refused::Invalid)?;
        if entry.row.holds(now) { Ok(entry.principal.clone()) } else { Err(Refused::Ended) }
    }

    /// Tokens that hold and are called as an identity of the file is.
    pub(super) fn namesakes(&self, rules: &Rules, now: UnixMillis) -> Vec<TokenId> {
        let lower = |name: &IdentityName| name.as_str().to_ascii_lowercase();
        let names: BTreeSet<String> = rules.all().iter().map(|rule| lower(rule.name())).collect();
        let rows = self.rows();
        let is_one = |row: &TokenRow| row.holds(now) && names.contains(&lower(&row.name));
        rows.iter().filter(|(_, entry)| is_one(&entry.row)).map(|(id, _)| *id).collect()
    }

    /// Notes that a token was used. It is written with [`Self::write_uses`].
    pub(super) fn used(&self, id: TokenId, now: UnixMillis) {
        let minute = now.0.div_euclid(MINUTE).saturating_mul(MINUTE);
        if let Some(entry) = self.rows().get(&id)
            && entry.used.load(Ordering::Relaxed) < minute
        {
            entry.used.store(minute, Ordering::Relaxed);
        }
    }

    /// Writes when tokens were used last, and forgets those that ended long ago. Not synced: a power cut may take
    /// the last times back. Of each row nothing else is changed; what the disk says of it holds.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn write_uses(&self) -> Result<(), StoreError> {
        let _turn = self.0.turn.lock().await;
        // A token that is forgotten does not come back: not by a clock that is wrong for a while.
        let settled = self.0.clock.settled(Duration::from_millis(LISTED_FOR.unsigned_abs()));
        let (mut old, mut used) = (Vec::new(), Vec::new());
        for (id, entry) in self.rows().iter() {
            let ended = entry.row.revoked.unwrap_or(entry.row.expires).min(entry.row.expires);
            let last = entry.used.load(Ordering::Relaxed);
            if settled.is_some_and(|now| now.ms_since(ended) > LISTED_FOR) {
                old.push(*id);
            } else if last > entry.row.used.map_or(0, |at| at.0) {
                used.push((*id, UnixMillis(last)));
            }
        }
        let store = self.0.store.clone();
        let read = tokio::task::spawn_blocking(move || {
            let read = |(id, last): (TokenId, UnixMillis)| {
                let row = store.meta(MetaTable::Tokens, id.as_bytes()).transpose()?;
                Some(row.and_then(|row| {
                    let row = TokenRow::from_bytes(&row).ok_or(DAMAGED)?;
                    Ok((id, TokenRow { used: Some(last), ..row }))
                }))
            };
            used.into_iter().filter_map(read).collect::<Result<Vec<_>, StoreError>>()
        });
        let written = read.await.map_err(|_| StoreError::Closed)??;
        let forgotten = old.iter().map(|id| id.as_bytes().to_vec());
        let forgotten = forgotten.map(|key| MetaOp::Delete { table: MetaTable::Tokens, key });
        let ops: Vec<_> = written.iter().map(|(id, row)| put(*id, row)).chain(forgotten).collect();
        if !ops.is_empty() {
            self.0.store.write_meta(ops, false).await?;
        }
        let mut rows = self.rows_mut();
        for (id, row) in written {
            let Some(entry) = rows.get_mut(&id) else { continue };
            if row.revoked.is_some() && entry.row.revoked.is_none() {
                self.0.revocations.fetch_add(1, Ordering::AcqRel);
            }
            entry.row = row;
        }
        for id in old {
            rows.remove(&id);
        }
        Ok(())
    }

    /// Issues a token: its row, and its text for the one who asked. On disk when it answers.
    ///
    /// # Errors
    /// If there are too many, or the store cannot be written.
    pub async fn issue(&self, new: NewToken) -> Result<(TokenId, TokenRow, TokenText), Fault> {
        let _turn = self.0.turn.lock().await;
        let (id, text) = Self::make()?;
        if self.rows().len() >= MOST {
            let told =
                "there are 10000 tokens; revoke some, and wait until they are forgotten, 90 days later";
            return Err(Fault::of(Cause::TooManyTokens, told));
        }
        let taken = self.rows().contains_key(&id);
        let (_, hash) = TokenText::read(text.reveal().as_bytes()).filter(|_| !taken).ok_or_else(no_token)?;
        let row = TokenRow {
            name: new.name,
            role: new.role,
            hash,
            issued: self.0.clock.now(),
            issued_by: new.by,
            expires: new.expires,
            revoked: None,
            used: None,
        };
        let (token, role, by) = (id.to_string(), told(row.role.kind()), row.issued_by.clone());
        let fact = Fact::TokenIssued { token, role, until: row.expires, by };
        let entry = MetaOp::Ledger(LedgerEntry { at: row.issued, fact }.to_bytes());
        self.0.store.write_meta(vec![put(id, &row), entry], true).await?;
        self.rows_mut().insert(id, Entry::of(id, row.clone()));
        Ok((id, row, text))
    }

    /// A new token out of the system's entropy.
    ///
    /// # Errors
    /// If the system gives none.
    pub fn make() -> Result<(TokenId, TokenText), Fault> {
        let (mut id, mut secret) = ([0; 8], Zeroizing::new([0; 32]));
        let mut entropy = rand::rngs::SysRng;
        let filled = rand::TryRng::try_fill_bytes(&mut entropy, &mut id)
            .and_then(|()| rand::TryRng::try_fill_bytes(&mut entropy, secret.as_mut()));
        filled.map_err(|_| Fault::of(Cause::Unavailable, "the system gave no random bytes; try again"))?;
        let id = TokenId::new(id);
        let text = TokenText::new(id, &secret);
        Ok((id, text))
    }

    /// Tokens in the order of their ids, after `after`, at most `most`.
    #[must_use]
    pub fn list(&self, after: Option<TokenId>, most: usize) -> Vec<(TokenId, TokenRow)> {
        let rows = self.rows();
        let ids: BTreeSet<TokenId> = rows.keys().copied().collect();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let ids = ids.range((from, Bound::Unbounded)).take(most);
        ids.filter_map(|id| rows.get(id).map(|entry| (*id, entry.as_listed()))).collect()
    }

    /// Forgets every token that names a customer, for who erases it: tokens of that sender, and of relays that may
    /// name it. When it answers, none of them is in any file, and the ledger says that they were revoked, by whom.
    ///
    /// # Errors
    /// If the store cannot be written, or what was there cannot be taken off the disk.
    pub(in crate::grpc) async fn forget(&self, customer: &CustomerId, by: &str) -> Result<(), Fault> {
        let _turn = self.0.turn.lock().await;
        let now = self.0.clock.now();
        let (mut named, mut ops) = (Vec::new(), Vec::new());
        for (id, entry) in self.rows().iter() {
            if entry.row.role.customers().contains(&customer) {
                named.push(*id);
                ops.push(MetaOp::Delete { table: MetaTable::Tokens, key: id.as_bytes().to_vec() });
                // Of one that proved nothing any more it was told when that began.
                ops.extend(entry.row.holds(now).then(|| revoked(*id, &entry.row, now, by)));
            }
        }
        if named.is_empty() {
            return Ok(());
        }
        self.0.store.write_meta(ops, true).await?;
        for id in &named {
            self.rows_mut().remove(id);
        }
        self.0.revocations.fetch_add(1, Ordering::AcqRel);
        let store = self.0.store.clone();
        let places = [Place::Rows { table: MetaTable::Tokens, prefix: Vec::new() }];
        let purged = tokio::task::spawn_blocking(move || store.purge(&places, &mut |_| {}).is_ok()).await;
        if purged.is_ok_and(|is_gone| is_gone) {
            return Ok(());
        }
        let told = "tokens that named the customer are revoked, but not off the disk yet; erase again";
        Err(Fault::of(Cause::Unavailable, told).spread(std::time::Duration::from_secs(5)))
    }

    /// Revokes a token. When it answers, that is on disk, for the ledger as well, and the token proves nothing.
    ///
    /// # Errors
    /// If there is no such token, or the store cannot be written.
    pub async fn revoke(&self, id: TokenId, by: &str) -> Result<TokenRow, Fault> {
        let _turn = self.0.turn.lock().await;
        let mut row = self.rows().get(&id).map(Entry::as_listed).ok_or_else(no_token)?;
        if row.revoked.is_none() {
            let now = self.0.clock.now();
            row.revoked = Some(now);
            self.0.store.write_meta(vec![put(id, &row), revoked(id, &row, now, by)], true).await?;
            if let Some(entry) = self.rows_mut().get_mut(&id) {
                entry.row = row.clone();
            }
            self.0.revocations.fetch_add(1, Ordering::AcqRel);
        }
        Ok(row)
    }
}

impl Entry {
    fn of(id: TokenId, row: TokenRow) -> Self {
        let used = AtomicI64::new(row.used.map_or(0, |at| at.0));
        Self { principal: row.principal(id), row, used }
    }

    fn as_listed(&self) -> TokenRow {
        let used = Some(self.used.load(Ordering::Relaxed)).filter(|at| *at > 0).map(UnixMillis);
        TokenRow { used, ..self.row.clone() }
    }
}

fn no_token() -> Fault {
    Fault::of(
        Cause::NoToken,
        "there is no token of this id: `usaged token list` shows them, and one of the file of identities is revoked \
         by taking it out there",
    )
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;
    use crate::sanitize::RootKey;
    use crate::store;

    #[tokio::test]
    async fn the_time_of_a_use_takes_no_revocation_back_that_the_disk_has() {
        let dir = tempfile::tempdir().unwrap();
        let key = RootKey::from_hex(&"0123456789abcdef".repeat(4)).unwrap();
        let clock = Clock::manual(UnixMillis(1_790_000_000_000));
        let store = Store::open(store::Options::new(dir.path()), &key, clock.clone()).unwrap();
        let tokens = Tokens::open(store.clone(), clock.clone()).unwrap();
        let new = || NewToken {
            name: IdentityName::new("t").unwrap(),
            role: Role::Operator,
            expires: UnixMillis(1_790_000_000_000).plus_ms(86_400_000),
            by: "tests".to_owned(),
        };
        let (revoked, row, text) = tokens.issue(new()).await.unwrap();
        let (other, _, _) = tokens.issue(new()).await.unwrap();
        let (_, hash) = TokenText::read(text.reveal().as_bytes()).unwrap();
        // Memory was not told.
        let row = TokenRow { revoked: Some(clock.now()), ..row };
        store.write_meta(vec![put(revoked, &row)], true).await.unwrap();
        clock.advance_ms(2 * MINUTE);
        assert!(tokens.find(revoked, &hash, clock.now()).is_ok());
        let before = tokens.revocations();
        tokens.used(revoked, clock.now());
        tokens.used(other, clock.now());
        tokens.write_uses().await.unwrap();

        assert!(tokens.find(revoked, &hash, clock.now()).is_err(), "what the disk says holds");
        assert!(tokens.revocations() > before, "and calls that run are asked again");
        let again = Tokens::open(store, clock.clone()).unwrap();
        let listed = again.list(None, 9);
        let rows = |listed: &[(TokenId, TokenRow)]| -> Vec<Vec<u8>> {
            listed.iter().map(|(_, row)| row.to_bytes()).collect()
        };
        assert_eq!(rows(&listed), rows(&tokens.list(None, 9)));
        assert!(listed.iter().all(|(_, row)| row.used.is_some()));
        assert_eq!(listed.iter().filter(|(_, row)| row.revoked.is_some()).count(), 1);
    }
}
