//! The bearer tokens in the store, all of them in memory: at most ten thousand rows of about 400 bytes.

use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use zeroize::Zeroizing;

use super::refused::Refused;
use crate::grpc::status::{Cause, Fault};
use crate::identity::{IdentityName, Principal, Role, RoleKind, TokenHash, TokenId, TokenRow, TokenText};
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
            rows.insert(id, Entry::of(row));
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
    /// the last times back.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub async fn write_uses(&self) -> Result<(), StoreError> {
        let _turn = self.0.turn.lock().await;
        // A token that is forgotten does not come back: not by a clock that is wrong for a while.
        let settled = self.0.clock.settled(Duration::from_millis(LISTED_FOR.unsigned_abs()));
        let (mut ops, mut old) = (Vec::new(), Vec::new());
        {
            let mut rows = self.rows_mut();
            for (id, entry) in rows.iter_mut() {
                let ended = entry.row.revoked.unwrap_or(entry.row.expires).min(entry.row.expires);
                let used = entry.used.load(Ordering::Relaxed);
                if settled.is_some_and(|now| now.ms_since(ended) > LISTED_FOR) {
                    ops.push(MetaOp::Delete { table: MetaTable::Tokens, key: id.as_bytes().to_vec() });
                    old.push(*id);
                } else if used > entry.row.used.map_or(0, |at| at.0) {
                    entry.row.used = Some(UnixMillis(used));
                    ops.push(put(*id, &entry.row));
                }
            }
        }
        if !ops.is_empty() {
            self.0.store.write_meta(ops, false).await?;
        }
        let mut rows = self.rows_mut();
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
        self.rows_mut().insert(id, Entry::of(row.clone()));
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
        Err(Fault::of(Cause::Unavailable, told).retry_after(std::time::Duration::from_secs(5)))
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
    fn of(row: TokenRow) -> Self {
        let used = AtomicI64::new(row.used.map_or(0, |at| at.0));
        Self { principal: row.principal(), row, used }
    }

    fn as_listed(&self) -> TokenRow {
        let used = Some(self.used.load(Ordering::Relaxed)).filter(|at| *at > 0).map(UnixMillis);
        TokenRow { used, ..self.row.clone() }
    }
}

fn no_token() -> Fault {
    Fault::of(Cause::NoToken, "there is no token of this id; `usaged token list` shows them")
}
