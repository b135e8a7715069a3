//! Key epochs and bridges as the other rooms see them, and the work of moving every ratchet forward.

use std::collections::{BTreeMap, BTreeSet};

use rand::TryRng;
use rand::rngs::SysRng;
use zeroize::Zeroizing;

use super::command::MetaOp;
use super::fault::StoreError;
use super::root::{self, Rewrapped};
use super::salts::{self, Bridge, KeyOp};
use super::{CustomerEntry, Customers, Scan, Store};
use crate::model::{CommitNumber, CustomerKey, UnixMillis};
use crate::sanitize::{LiveEpochs, RootKey, Rotation, key_id};

/// Ratchets that are read, and at most written, at once.
const CHUNK: usize = 1_000;
/// Bridges that there may be.
pub const MAX_BRIDGES: usize = 1_000;

/// What moving the ratchets came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moved {
    /// Ratchets that were moved.
    pub customers: u64,
    /// Some of them have to be moved further: the next round goes on.
    pub more: bool,
}

/// Customers whose ratchets were moved to one epoch, in one write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ratcheted {
    /// The first, by its key.
    pub first: CustomerKey,
    /// The last. A customer between the two that was not moved stood there already.
    pub last: CustomerKey,
    /// How many they are.
    pub customers: u64,
    /// The oldest epoch that they have keys of now.
    pub oldest_epoch: u32,
}

impl Store {
    /// Which rotation epoch a time belongs to.
    #[must_use]
    pub fn rotation(&self) -> Rotation {
        self.shared().rotation
    }

    /// The oldest rotation epoch whose keys are kept at `now`.
    #[must_use]
    pub fn oldest_epoch(&self, now: UnixMillis) -> u32 {
        self.shared().oldest_epoch(now)
    }

    /// The oldest rotation epoch of which any customer has keys without a bridge; without customers, the oldest that is to
    /// be kept at `now`. Reads a row of each customer. Blocks.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn oldest_keys(&self, now: UnixMillis) -> Result<u32, StoreError> {
        Ok(salts::oldest_epoch(&self.shared().db)?.unwrap_or_else(|| self.oldest_epoch(now)))
    }

    /// Names the root key that the store is bound to ([`key_id`]).
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn root_key_id(&self) -> Result<String, StoreError> {
        Ok(key_id(&root::present(self.shared())?.key_check))
    }

    /// What binds the store to another root key, to be written with [`MetaOp::Root`]; `None` if it is bound to
    /// that key already. No pseudonym and no record changes.
    ///
    /// # Errors
    /// If the store cannot be read, or there is no randomness.
    pub fn rewrapped(&self, key: &RootKey) -> Result<Option<Rewrapped>, StoreError> {
        root::rewrap(self.shared(), key)
    }

    /// The epochs of which there are keys of a customer, up to that of `at`: what its ratchet gives, which is moved
    /// some time after an epoch has ended, and what is kept by bridges, also if they should have ended by
    /// then. Blocks.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn live_epochs(&self, entry: &CustomerEntry, at: UnixMillis) -> Result<LiveEpochs, StoreError> {
        let bridges = self.bridges(Some(entry.key))?.into_iter();
        let bridges = bridges.map(|Bridge { epoch, seed, until, .. }| (epoch, seed, until));
        Ok(LiveEpochs::new(entry.secret.ratchet(), self.rotation().epoch(at), bridges))
    }

    /// When the newest batch of all was received, by the clock that there was then; `None` if there is none.
    #[must_use]
    pub fn newest(&self) -> Option<UnixMillis> {
        self.shared().catalogue().newest()
    }

    /// The epochs after one of which batches of a customer are stored, and some in which there may be none. Usually there
    /// are none after the present one: only what was received while a clock was ahead is of such an epoch, and only the
    /// segments are looked through that have something of it. Blocks.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn stored_epochs(&self, customer: CustomerKey, after: u32) -> Result<BTreeSet<u32>, StoreError> {
        let (rotation, mut epochs, mut mixed) = (self.rotation(), BTreeSet::new(), Vec::new());
        for segment in &self.shared().catalogue().segments {
            let content = segment.content;
            let (first, last) = (rotation.epoch(content.oldest), rotation.epoch(content.newest));
            if content.records == 0 || last <= after {
                continue;
            }
            if first == last {
                epochs.insert(last);
            } else {
                mixed.push((CommitNumber(segment.first), CommitNumber(content.last)));
            }
        }
        for (mut from, to) in mixed {
            while from <= to {
                let (places, headers) = (u64::MAX, CHUNK);
                let scanned = self.scan(Scan { customer: Some(customer), from, to, places, headers })?;
                let received = scanned.found.iter().map(|found| rotation.epoch(found.header.received));
                epochs.extend(received.filter(|epoch| *epoch > after));
                if scanned.next <= from {
                    break;
                }
                from = scanned.next;
            }
        }
        Ok(epochs)
    }

    /// The bridges of one customer, or of all; at most [`MAX_BRIDGES`].
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn bridges(&self, customer: Option<CustomerKey>) -> Result<Vec<Bridge>, StoreError> {
        salts::bridges(&self.shared().db, customer, MAX_BRIDGES)
    }
}

impl Customers {
    /// Moves the ratchet of every customer to the oldest epoch that is kept when `epoch` is the present one: from
    /// then on nothing can be derived of the epochs before it. In chunks, each in one write; what was moved is
    /// forgotten in memory too. What `tell` says of those that were moved to one epoch is written with it. The old states
    /// are in files until [`Store::purge_keys`].
    ///
    /// # Errors
    /// If the store cannot be read or written. What was moved stays so; the next round goes on.
    pub async fn move_ratchets(
        &self,
        epoch: u32,
        tell: impl Fn(&Ratcheted) -> Vec<MetaOp> + Send,
    ) -> Result<Moved, StoreError> {
        let past = self.store().shared().options.past_epochs;
        let (mut moved, mut after) = (Moved::default(), CustomerKey(0));
        loop {
            let store = self.store().clone();
            let read = move || {
                let chunk = salts::ratchets(&store.shared().db, after, CHUNK)?;
                let last = chunk.last().map(|(customer, _)| *customer).filter(|_| chunk.len() >= CHUNK);
                let due = chunk.into_iter().filter_map(|(customer, ratchet)| {
                    let to = ratchet.due(epoch, past)?;
                    Some((customer, ratchet.forward(to), to))
                });
                Ok::<_, StoreError>((due.collect::<Vec<_>>(), last))
            };
            let (due, last) = tokio::task::spawn_blocking(read).await.map_err(|_| StoreError::Closed)??;
            moved.more |= due.iter().any(|(_, ratchet, to)| ratchet.epoch() < *to);
            moved.customers += super::bytes::count(due.len());
            if !due.is_empty() {
                let mut ops = Vec::with_capacity(due.len() + 1);
                let mut groups: BTreeMap<u32, Ratcheted> = BTreeMap::new();
                for (customer, to, _) in due {
                    let oldest_epoch = to.epoch();
                    let one = Ratcheted { first: customer, last: customer, customers: 0, oldest_epoch };
                    let group = groups.entry(oldest_epoch).or_insert(one);
                    // They come in the order of their keys.
                    (group.last, group.customers) = (customer, group.customers + 1);
                    ops.push(MetaOp::Key(KeyOp::Ratchet { customer, to }));
                }
                ops.extend(groups.values().flat_map(&tell));
                self.store().write_meta(ops, true).await?;
            }
            match last {
                Some(last) => after = last,
                None => break,
            }
        }
        if moved.customers > 0 {
            self.forget_all();
        }
        Ok(moved)
    }

    /// Gives every customer keys of `epoch`, the present one, whose ratchet stands further: it was moved, or made, by a clock
    /// that was ahead. They are new keys, of the epochs that are kept until where it stands; nothing is destroyed, so a
    /// clock that is behind does no harm. Gives how many customers that were.
    ///
    /// # Errors
    /// If the store cannot be read or written, or there is no randomness. What was done stays; the next round goes on.
    pub async fn reach_back(&self, epoch: u32) -> Result<u64, StoreError> {
        let oldest = epoch.saturating_sub(self.store().shared().options.past_epochs);
        let (mut reached, mut after) = (0, CustomerKey(0));
        loop {
            let store = self.store().clone();
            let read = move || {
                let chunk = salts::ratchets(&store.shared().db, after, CHUNK)?;
                let last = chunk.last().map(|(customer, _)| *customer);
                let mut ops = Vec::new();
                for (customer, ratchet) in chunk.into_iter().filter(|(_, ratchet)| ratchet.epoch() > epoch) {
                    let mut state = Zeroizing::new([0; 32]);
                    SysRng.try_fill_bytes(&mut *state).map_err(|_| StoreError::Entropy)?;
                    let to = ratchet.reaching(oldest, *state);
                    ops.extend(to.map(|to| MetaOp::Key(KeyOp::Reach { customer, to })));
                }
                Ok::<_, StoreError>((ops, last))
            };
            let (ops, last) = tokio::task::spawn_blocking(read).await.map_err(|_| StoreError::Closed)??;
            reached += super::bytes::count(ops.len());
            if !ops.is_empty() {
                self.store().write_meta(ops, true).await?;
            }
            let Some(last) = last else { return Ok(reached) };
            after = last;
        }
    }

    /// Erases the bridges that have ended, and writes what `tell` says of each: its customer and epoch. Says how many
    /// there were. They are in files until [`Store::purge_keys`].
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn end_bridges(
        &self,
        now: UnixMillis,
        tell: impl Fn(CustomerKey, u32) -> Vec<MetaOp> + Send,
    ) -> Result<u64, StoreError> {
        let store = self.store().clone();
        let bridges = tokio::task::spawn_blocking(move || store.bridges(None)).await;
        let (mut ops, mut ended) = (Vec::new(), 0);
        for Bridge { customer, epoch, until, .. } in bridges.map_err(|_| StoreError::Closed)?? {
            if until <= now {
                ops.extend(tell(customer, epoch));
                ops.push(MetaOp::Key(KeyOp::EraseBridge { customer, epoch }));
                ended += 1;
            }
        }
        if ended > 0 {
            self.store().write_meta(ops, true).await?;
        }
        Ok(ended)
    }
}
