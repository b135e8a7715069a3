//! Which batches a pull gets: those that came back, oldest first, then new ones; passing over what
//! is not wanted, not allowed any more, or damaged.

use std::sync::Arc;

use super::counts::SkipReason;
use super::drainer::{Drainer, Ticket};
use super::lease::{Cargo, DeadReason, Lease};
use super::recheck::{Left, unwanted};
use super::state::{Queue, wide};
use super::{DrainError, Shared, millis};
use crate::model::{CommitNumber, UnixMillis};
use crate::policy::Policy;
use crate::store::{CustomerEntry, Entry, ReadLimits, StoredRecord};

/// Records that are looked at in one piece of work; after it, other work gets a turn.
const SCAN_RECORDS: usize = 4_096;
/// Records that are read at a time while everything is passed over.
const SCAN_CHUNK: usize = 256;
/// Records that are read one by one. Beyond it, a walk costs less for each.
const FEW: usize = 4;
/// Bytes of records that are read at a time.
const SCAN_BYTES: u64 = 16 * 1024 * 1024;

/// What a pull asks for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Want {
    /// At most so many batches.
    pub(super) batches: usize,
    /// At most so many bytes of opened bodies, beyond the first batch.
    pub(super) bytes: u64,
}

/// A batch that was leased and is not open yet.
pub(super) struct Chosen {
    pub(super) lease: Lease,
    pub(super) record: StoredRecord,
    pub(super) customer: Arc<CustomerEntry>,
    /// What may be left of it.
    pub(super) left: Left,
}

/// What was chosen.
pub(super) struct Choice {
    pub(super) chosen: Vec<Chosen>,
    /// Nothing was chosen yet, and not everything was looked at.
    pub(super) more: bool,
    /// The change to write, if there is one.
    pub(super) ticket: Option<Ticket>,
}

/// What is to become of a batch that was read.
enum Judged {
    Deliver(Box<StoredRecord>, Arc<CustomerEntry>, Left, Cargo),
    Skip(CommitNumber, u32, SkipReason),
    Damaged(CommitNumber),
    Missing(CommitNumber),
}

impl Judged {
    const fn commit(&self) -> CommitNumber {
        match self {
            Self::Deliver(record, ..) => record.commit,
            Self::Skip(commit, ..) | Self::Damaged(commit) | Self::Missing(commit) => *commit,
        }
    }
}

impl Shared {
    /// Leases what is wanted. Reads the store: not for a runtime thread.
    pub(super) fn choose(&self, drainer: &Drainer, want: Want) -> Result<Choice, DrainError> {
        let (now, oldest) = (self.clock.now(), self.store.oldest());
        let (returned, ticket) = drainer.change(|queue| {
            queue.expire(now);
            queue.drop_below(oldest);
            queue.returned(want.batches)
        })?;
        let policy = self.policy.load();
        let (shared, chosen) = (self, Vec::new());
        let mut chooser = Chooser { shared, drainer, policy: &policy, now, want, bytes: 0, chosen, ticket };
        let again = chooser.redeliver(&returned)?;
        let new = if again { chooser.deliver_new()? } else { false };
        let more = chooser.chosen.is_empty() && (new || !returned.is_empty());
        let ticket = drainer.look(Queue::is_dirty).then_some(chooser.ticket);
        Ok(Choice { chosen: chooser.chosen, more, ticket })
    }

    /// The version of a policy as a number (it is 16 hexadecimal digits), and in it what the collector caps levels at:
    /// another one tells that what is left of a batch may be another, whatever its customer has chosen.
    pub(super) fn policy_number(&self, policy: &Policy) -> u64 {
        u64::from_str_radix(policy.version(), 16).unwrap_or(0) ^ self.caps
    }

    /// Looks at a record, and at what its customer has chosen since.
    fn judge(&self, drainer: &Drainer, policy: &Policy, entry: Entry) -> Result<Judged, DrainError> {
        let record = match entry {
            Entry::Record(record) => record,
            Entry::Damaged { commit } => return Ok(Judged::Damaged(commit)),
            Entry::Gone { commit, events, .. } => return Ok(Judged::Skip(commit, events, SkipReason::Gone)),
        };
        let (commit, header) = (record.commit, &record.header);
        if let Some(reason) = unwanted(header, &drainer.subscription) {
            return Ok(Judged::Skip(commit, header.events, reason));
        }
        let Some((customer, checked)) = self.recheck(drainer, header, policy)? else {
            return Ok(Judged::Skip(commit, header.events, SkipReason::UnknownCustomer));
        };
        Ok(match checked.now() {
            Err(reason) => Judged::Skip(commit, header.events, reason),
            Ok(left) => {
                let cargo = Cargo {
                    events: header.events,
                    customer: header.customer,
                    revision: customer.change.revision,
                    policy: self.policy_number(policy),
                    plan: header.plan,
                };
                Judged::Deliver(Box::new(record), customer, left, cargo)
            }
        })
    }
}

/// One choosing under way.
struct Chooser<'a> {
    shared: &'a Shared,
    drainer: &'a Drainer,
    policy: &'a Policy,
    now: UnixMillis,
    want: Want,
    /// Bytes of what was chosen, once open.
    bytes: u64,
    chosen: Vec<Chosen>,
    ticket: Ticket,
}

impl Chooser<'_> {
    /// Leases what came back. `false` when the pull has all that it wants.
    fn redeliver(&mut self, returned: &[CommitNumber]) -> Result<bool, DrainError> {
        for commit in returned {
            let judged = match self.shared.store.read_one(*commit)? {
                Some(entry) => self.shared.judge(self.drainer, self.policy, entry)?,
                None => Judged::Missing(*commit),
            };
            if !self.settle(None, vec![judged])? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Leases new batches. Gives whether anything was looked at.
    fn deliver_new(&mut self) -> Result<bool, DrainError> {
        let mut scanned = 0;
        let mut records = self.want.batches.saturating_sub(self.chosen.len());
        while records > 0 && scanned < SCAN_RECORDS {
            let (from, room) = self.drainer.look(|queue| (queue.next(), queue.room()));
            if room == 0 || from > self.shared.store.head() {
                break;
            }
            let bytes = self.want.bytes.saturating_sub(self.bytes).clamp(1, SCAN_BYTES);
            let entries = self.read(from, ReadLimits { records, bytes })?;
            if entries.is_empty() {
                break;
            }
            scanned += entries.len();
            let judge = |entry| self.shared.judge(self.drainer, self.policy, entry);
            let judged: Vec<Judged> = entries.into_iter().map(judge).collect::<Result<_, _>>()?;
            if !self.settle(Some(from), judged)? {
                break;
            }
            let left = self.want.batches.saturating_sub(self.chosen.len());
            // While nothing is wanted, read in longer runs; else no more than is still wanted.
            records = if self.chosen.is_empty() { (records * 2).min(SCAN_CHUNK).max(left) } else { left };
        }
        Ok(scanned > 0)
    }

    /// Reads new records. A few are read one by one: that is cheaper than to begin a walk.
    fn read(&self, from: CommitNumber, limits: ReadLimits) -> Result<Vec<Entry>, DrainError> {
        let store = &self.shared.store;
        let (mut entries, mut bytes, mut next) = (Vec::new(), 0, from);
        while limits.records <= FEW && entries.len() < limits.records && bytes < limits.bytes {
            let Some(entry) = store.read_one(next)? else { break };
            if let Entry::Record(record) = &entry {
                bytes = bytes.saturating_add(wide(record.sealed_len()));
            }
            entries.push(entry);
            next = next.next();
        }
        if entries.is_empty() { Ok(store.read(from, limits)?) } else { Ok(entries) }
    }

    /// Puts judgements into effect, in order. `from` is where new batches were read from: if the
    /// cursor was moved meanwhile, they are left alone. `false` when the pull has all that it
    /// wants; what was not settled stays as it was.
    fn settle(&mut self, from: Option<CommitNumber>, judged: Vec<Judged>) -> Result<bool, DrainError> {
        let (now, want) = (self.now, self.want);
        let lasting = millis(self.drainer.subscription.ack_deadline);
        let (chosen, bytes) = (&mut self.chosen, &mut self.bytes);
        let (goes_on, ticket) = self.drainer.change(|queue| {
            if from.is_some_and(|from| from != queue.next()) {
                return false;
            }
            for one in judged {
                if from.is_some() {
                    queue.miss_before(one.commit());
                }
                match one {
                    Judged::Skip(commit, events, reason) => {
                        queue.skip(commit, events, reason);
                    }
                    Judged::Damaged(commit) => {
                        queue.bury(commit, now, DeadReason::Damaged);
                    }
                    Judged::Missing(commit) => queue.miss(commit),
                    Judged::Deliver(record, customer, left, cargo) => {
                        let sum = bytes.saturating_add(u64::from(record.header.body_len));
                        let fits = chosen.is_empty() || sum <= want.bytes;
                        if !fits || chosen.len() >= want.batches {
                            return false;
                        }
                        let Some(lease) = queue.lease(record.commit, cargo, now, lasting) else {
                            return false;
                        };
                        *bytes = sum;
                        chosen.push(Chosen { lease, record: *record, customer, left });
                    }
                }
            }
            chosen.len() < want.batches
        })?;
        self.ticket = ticket;
        Ok(goes_on)
    }
}
