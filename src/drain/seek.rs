//! The moves of a queue that are not deliveries: seek, replay of dead letters, retention.

use super::counts::SkipReason;
use super::lease::{Dead, Returned};
use super::state::{Queue, wide};
use crate::model::CommitNumber;

impl Queue {
    /// Moves the cursor to `to`, held between `oldest` and just after `head`. Leases end, and with
    /// them the counts of attempts: a seek is an operator's fresh start. What lies below and was not
    /// done with is skipped; what lies above and was done with waits again. Returns the cursor.
    pub fn seek(&mut self, to: CommitNumber, oldest: CommitNumber, head: CommitNumber) -> CommitNumber {
        let end = head.next();
        let to = to.max(oldest).min(end);
        let (mut above, mut below) = (0, (0, 0));
        let leases = std::mem::take(&mut self.leases);
        let returned = std::mem::take(&mut self.returned);
        self.deadlines.clear();
        let out = leases.iter().map(|(commit, lease)| (*commit, lease.cargo.events));
        for (commit, events) in out.chain(returned.iter().map(|(commit, back)| (*commit, back.events))) {
            self.dirty.outstanding.insert(commit);
            if commit < to.0 {
                below = (below.0 + 1, u64::from(events) + below.1);
            } else {
                above += 1;
            }
        }
        let passed = to.0.saturating_sub(self.next.0);
        self.counts.skip(SkipReason::Seek, passed.saturating_add(below.0), below.1);
        let revived = self.dead.split_off(&to.0);
        self.dirty.dead.extend(revived.keys());
        let again =
            self.next.0.saturating_sub(to.0).saturating_sub(above).saturating_sub(wide(revived.len()));
        self.counts.repeated = self.counts.repeated.saturating_add(again);
        self.next = to;
        self.dirty.head = true;
        to
    }

    /// Puts dead letters back into delivery with a fresh count of attempts: those of `commits`, or
    /// all; at most as many as there is [`Queue::room`] for, oldest first. Those below `oldest` are
    /// gone from the store and expire. Returns how many will be delivered again.
    pub fn replay(&mut self, commits: Option<&[CommitNumber]>, oldest: CommitNumber) -> usize {
        let mut chosen: Vec<u64> = match commits {
            Some(commits) => commits.iter().map(|commit| commit.0).collect(),
            None => self.dead.keys().copied().collect(),
        };
        chosen.sort_unstable();
        let mut replayed = 0;
        for commit in chosen {
            let gone = commit < oldest.0;
            if !gone && self.room() == 0 {
                break;
            }
            let Some(dead) = self.dead.remove(&commit) else { continue };
            self.dirty.head = true;
            self.dirty.dead.insert(commit);
            if gone {
                self.counts.expired.add(1, u64::from(dead.events));
            } else {
                self.put_returned(commit, Returned { attempts: 0, events: dead.events });
                replayed += 1;
            }
        }
        replayed
    }

    /// Takes note that the store begins with `oldest`: what is below and was not done with has
    /// expired. Dead letters stay listed. Returns how many batches expired.
    pub fn drop_below(&mut self, oldest: CommitNumber) -> u64 {
        let before = self.counts.expired.batches;
        if oldest <= self.cursor() {
            return 0;
        }
        self.dirty.head = true;
        let kept = self.returned.split_off(&oldest.0);
        for (commit, back) in std::mem::replace(&mut self.returned, kept) {
            self.dirty.outstanding.insert(commit);
            self.counts.expired.add(1, u64::from(back.events));
        }
        let kept = self.leases.split_off(&oldest.0);
        for (commit, lease) in std::mem::replace(&mut self.leases, kept) {
            self.deadlines.remove(&(lease.deadline, commit));
            self.dirty.outstanding.insert(commit);
            self.counts.expired.add(1, u64::from(lease.cargo.events));
        }
        self.counts.expired.add(oldest.0.saturating_sub(self.next.0), 0);
        self.next = self.next.max(oldest);
        self.counts.expired.batches.saturating_sub(before)
    }

    /// Takes note that the store does not have the candidate `commit` any more: it expires.
    pub fn miss(&mut self, commit: CommitNumber) {
        if let Some(was) = self.take_candidate(commit) {
            self.counts.expired.add(1, u64::from(was.events));
        }
    }

    /// Takes note that the next batch in the store is `commit`: what was to come before it expires.
    pub fn miss_before(&mut self, commit: CommitNumber) {
        let missing = commit.0.saturating_sub(self.next.0);
        if missing > 0 {
            self.counts.expired.add(missing, 0);
            self.next = commit;
            self.dirty.head = true;
        }
    }

    /// Takes note that the store ends with `head`, although more was seen of it: commits were lost
    /// (the operator accepted that at open), and their numbers may come again for other batches.
    pub(super) fn lose_above(&mut self, head: CommitNumber) {
        let end = head.next();
        if self.next <= end {
            return;
        }
        let mut gone: u64 = 0;
        for (commit, lease) in self.leases.split_off(&end.0) {
            self.deadlines.remove(&(lease.deadline, commit));
            self.dirty.outstanding.insert(commit);
            gone += 1;
        }
        for commit in self.returned.split_off(&end.0).into_keys() {
            self.dirty.outstanding.insert(commit);
            gone += 1;
        }
        for commit in self.dead.split_off(&end.0).into_keys() {
            self.dirty.dead.insert(commit);
            gone += 1;
        }
        self.counts.expired.add(gone, 0);
        let lost = self.next.0.saturating_sub(self.start.0.max(end.0));
        self.counts.repeated = self.counts.repeated.saturating_add(lost);
        self.next = end;
        self.start = self.start.min(end);
        self.dirty.head = true;
    }

    /// Dead letters above `after`, in the order of their commits, at most `limit`.
    #[must_use]
    pub fn dead_letters(&self, after: Option<CommitNumber>, limit: usize) -> Vec<(CommitNumber, Dead)> {
        let from = after.map_or(0, |after| after.0.saturating_add(1));
        self.dead.range(from..).take(limit).map(|(commit, dead)| (CommitNumber(*commit), *dead)).collect()
    }
}
