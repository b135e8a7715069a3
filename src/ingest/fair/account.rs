//! What one customer holds, and has sent of late. Accounts are kept for the customers that sent last;
//! a customer that is silent for long begins anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use quick_cache::sync::Cache;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};

use super::bucket::Bucket;
use super::crowd::Crowd;
use super::portion::{Kind, Portion};
use super::pressure::{Pressure, spread};
use super::{Limits, Options, Rates};
use crate::model::CustomerId;

/// Accounts that are kept, about half a KiB each. Of more customers that send at the same time, those
/// that send least are forgotten, and begin anew.
const ACCOUNTS: usize = 16_384;

/// What every customer may hold as long as there is any: bytes of a small request, and a few places.
const LEAST_BYTES: usize = 64 * 1024;
const LEAST_PLACES: usize = 4;

/// Bytes of requests that one customer may have between the door and the disk while others send, too, for each
/// processor. A larger request goes by itself. On two processors that is one batch of 500 events, or eight small ones:
/// more would hardly be stored sooner, and whoever sends little would wait for the disk behind it.
const ON_THE_WAY: usize = 16 * 1024;
/// In what time a customer may send as fast as it likes beside others before it is paced, for one that sends a few
/// batches together and is silent then.
const AT_ONCE: Duration = Duration::from_millis(16);
/// What a request counts on the way at the least.
const LEAST_ON_THE_WAY: usize = 4 * 1024;

/// How soon a customer that holds its part, or may not have more for now, is to come back at the least.
const SOON: Duration = Duration::from_millis(200);

/// Why a customer does not get more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OverPart {
    /// It holds its part of what customers share.
    #[error("this customer has as much under way as it may while others want it, too; retry later")]
    Holds {
        /// Of what.
        kind: Kind,
        /// When to try again.
        retry_after: Duration,
    },
    /// It has sent more events than its rate allows.
    #[error("this customer sends more events than its rate allows; retry later, or ask for a higher rate")]
    Events {
        /// When to try again.
        retry_after: Duration,
    },
    /// It has sent more bytes than its rate allows.
    #[error("this customer sends more bytes than its rate allows; retry later, or ask for a higher rate")]
    Bytes {
        /// When to try again.
        retry_after: Duration,
    },
}

/// What all accounts share.
#[derive(Debug)]
struct Common {
    begun: Instant,
    /// Swapped while calls are in progress.
    limits: ArcSwap<Limits>,
    portions: [Portion; Kind::COUNT],
    crowd: Crowd,
    processors: usize,
    numbers: AtomicU64,
}

impl Common {
    /// Nanoseconds since the beginning.
    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// The accounts of all customers. Clones share them.
#[derive(Debug, Clone)]
pub struct Accounts {
    common: Arc<Common>,
    of: Arc<Cache<CustomerId, Arc<Account>>>,
}

impl Accounts {
    /// Nobody has sent anything yet.
    #[must_use]
    pub fn new(options: Options) -> Self {
        // Nobody has more than half of the places, even alone.
        let places = |whole: usize| Portion::new(whole, LEAST_PLACES, (whole / 2).max(1));
        // In the order of `Kind`.
        let portions = [
            Portion::new(options.bytes, LEAST_BYTES, options.bytes_per_customer),
            places(options.batches),
            places(options.calls),
            places((options.calls / 2).max(1)),
        ];
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let common = Common {
            begun: Instant::now(),
            limits: ArcSwap::from_pointee(options.limits),
            portions,
            crowd: Crowd::default(),
            processors,
            numbers: AtomicU64::new(1),
        };
        Self { common: Arc::new(common), of: Arc::new(Cache::new(ACCOUNTS)) }
    }

    /// The account of `customer`.
    #[must_use]
    pub fn of(&self, customer: &CustomerId) -> Arc<Account> {
        let made = self.of.get_or_insert_with::<_, std::convert::Infallible>(customer, || {
            Ok(Arc::new(Account::new(Arc::clone(&self.common), customer.clone())))
        });
        match made {
            Ok(account) => account,
            Err(never) => match never {},
        }
    }

    /// Puts other rates in force, for calls in progress, too. What a customer has sent of late stays counted.
    pub fn change(&self, limits: Limits) {
        self.common.limits.store(Arc::new(limits));
    }
}

/// The account of one customer.
#[derive(Debug)]
pub struct Account {
    common: Arc<Common>,
    customer: CustomerId,
    number: u64,
    held: [AtomicUsize; Kind::COUNT],
    events: Bucket,
    bytes: Bucket,
    /// Told when something is given back.
    freed: Notify,
    refused: Pressure,
    /// Turns at the processors while others want them ...
    few: Semaphore,
    /// ... and for large requests always.
    many: Semaphore,
    /// Bytes that may be on the way to the disk while others send ...
    way: Semaphore,
    /// ... and how many have gone of late.
    gone: Bucket,
    /// All of them.
    whole_way: usize,
}

impl Account {
    fn new(common: Arc<Common>, customer: CustomerId) -> Self {
        let processors = common.processors;
        let whole_way = processors.saturating_mul(ON_THE_WAY).min(Semaphore::MAX_PERMITS);
        Self {
            customer,
            number: common.numbers.fetch_add(1, Ordering::Relaxed),
            held: Default::default(),
            events: Bucket::default(),
            bytes: Bucket::default(),
            freed: Notify::new(),
            refused: Pressure::new(),
            few: Semaphore::new((processors / 2).max(1)),
            many: Semaphore::new(processors),
            way: Semaphore::new(whole_way),
            gone: Bucket::default(),
            whole_way,
            common,
        }
    }

    fn of_kind(&self, kind: Kind) -> Option<(&Portion, &AtomicUsize)> {
        self.common.portions.get(kind.index()).zip(self.held.get(kind.index()))
    }

    /// Takes `count` of `kind` for this customer, if it may have them now.
    #[must_use]
    pub fn take(self: &Arc<Self>, kind: Kind, count: usize) -> Option<Held> {
        let (portion, own) = self.of_kind(kind)?;
        portion.take(own, count).then(|| Held { account: Arc::clone(self), kind, count })
    }

    /// Why nothing was taken of `kind`, and when to come back.
    #[must_use]
    pub fn holds(&self, kind: Kind) -> OverPart {
        OverPart::Holds { kind, retry_after: self.back_after(SOON) }
    }

    /// How long this customer has to wait for each of its rates, if it has to.
    fn waits(&self) -> (Option<Duration>, Option<Duration>) {
        let (now, limits) = (self.common.now(), self.common.limits.load());
        let Rates { events, bytes } = limits.of(&self.customer);
        (self.events.wait(now, events, limits.burst), self.bytes.wait(now, bytes, limits.burst))
    }

    /// How long this customer has to wait until its rates allow more, if it has to.
    #[must_use]
    pub fn wait(&self) -> Option<Duration> {
        let (events, bytes) = self.waits();
        events.max(bytes)
    }

    /// Which rate allows no more, and when to come back.
    #[must_use]
    pub fn sends_too_much(&self) -> OverPart {
        let (events, bytes) = self.waits();
        let retry_after = self.back_after(events.max(bytes).unwrap_or(SOON));
        if events > bytes { OverPart::Events { retry_after } } else { OverPart::Bytes { retry_after } }
    }

    /// Takes note of what this customer has sent.
    pub fn pay(&self, events: u64, bytes: usize) {
        let (now, rates) = (self.common.now(), self.common.limits.load().of(&self.customer));
        self.events.pay(now, rates.events, events);
        self.bytes.pay(now, rates.bytes, u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// Waits until this customer gives something back.
    pub async fn freed(&self) {
        self.freed.notified().await;
    }

    /// Takes note of a request that is here whole; whether others send, too.
    pub(in crate::ingest) fn is_in_a_crowd(&self) -> bool {
        self.common.crowd.note(self.number, self.common.now())
    }

    /// A place on the way to the disk for a request of so many bytes, to be held until it is stored. In a crowd the
    /// further requests of a customer wait for its own, and all of them for its pace: a disk that is written to without
    /// a pause takes several times as long for the sync that somebody else waits for. Who gives up waiting has paid
    /// nothing.
    pub(in crate::ingest) async fn way(&self, in_a_crowd: bool, bytes: usize) -> Option<SemaphorePermit<'_>> {
        if !in_a_crowd {
            return None;
        }
        let place = bytes.max(LEAST_ON_THE_WAY).min(self.whole_way);
        // It is never closed.
        let place = self.way.acquire_many(u32::try_from(place).unwrap_or(u32::MAX)).await.ok();
        let pace = self.common.limits.load().beside_others;
        if let Some(wait) = self.gone.wait(self.common.now(), pace, AT_ONCE) {
            tokio::time::sleep(wait).await;
        }
        self.gone.pay(self.common.now(), pace, u64::try_from(bytes).unwrap_or(u64::MAX));
        place
    }

    /// A turn at the processors, for a request that is here whole. In a crowd a customer has half of them at most,
    /// and its further requests wait for its own.
    pub(in crate::ingest) async fn turn(
        &self,
        in_a_crowd: bool,
        is_large: bool,
    ) -> Option<SemaphorePermit<'_>> {
        let turns = if in_a_crowd {
            &self.few
        } else if is_large {
            &self.many
        } else {
            return None;
        };
        // It is never closed.
        turns.acquire().await.ok()
    }

    /// Counts a refusal: when to come back.
    fn back_after(&self, soonest: Duration) -> Duration {
        let second = u32::try_from(self.common.begun.elapsed().as_secs()).unwrap_or(u32::MAX);
        spread(soonest, self.refused.count(second), rand::random())
    }
}

/// What a customer holds; given back when dropped.
#[derive(Debug)]
pub struct Held {
    account: Arc<Account>,
    kind: Kind,
    count: usize,
}

impl Held {
    /// Takes over what `more` holds, which must be of the same account and kind.
    pub fn add(&mut self, mut more: Self) {
        self.count = self.count.saturating_add(std::mem::take(&mut more.count));
    }

    /// Gives back what is more than `count`.
    pub fn keep(&mut self, count: usize) {
        let back = self.count.saturating_sub(count);
        self.count = self.count.saturating_sub(back);
        self.give(back);
    }

    fn give(&self, back: usize) {
        if back > 0
            && let Some((portion, own)) = self.account.of_kind(self.kind)
        {
            portion.give(own, back);
            self.account.freed.notify_waiters();
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.give(self.count);
    }
}

#[cfg(test)]
#[path = "account_tests.rs"]
mod tests;
