//! What the writer does besides writing groups: rolling and dropping segments, forgetting old batch
//! ids, and telling how things stand.

use std::sync::atomic::Ordering;

use rocksdb::WriteBatch;

use super::aside;
use super::catalogue::Segment;
use super::dedup::{DedupTerms, Generation};
use super::layout::{META, dedup_family, dedup_key, segment_family};
use super::options::{Options, millis};
use super::retention::{Cause, Terms, expired, make_room, spare};
use super::rocks::{is_half_made, is_no_space, write_options};
use super::roll::{Active, RollBounds, is_due};
use super::segments::{After, Begin, begin, drop_families, unlist};
use super::writer::Writer;
use crate::model::{CommitNumber, UnixMillis};
use crate::observe::{Metric, Seldom};

/// It is found again with every group.
static NO_SEGMENT: Seldom = Seldom::new();

/// It is found again twice a second.
static NO_DROP: Seldom = Seldom::new();

/// It is found again twice a second.
static NO_FAMILY: Seldom = Seldom::new();

/// It is found again with every group.
static NO_SPACE: Seldom = Seldom::new();

/// Families that may be half made at a time; each is a full disk that the reserve did not foresee.
const HALF_MADE: usize = 16;

/// What must be free so that a segment can be begun: a row and lists of the families, each less than a MiB.
const BEGINNING: u64 = 4 << 20;

/// Rounds of making room on the disk for one group. What is drained and still there makes room for the next.
const ROUNDS: usize = 8;

/// When a segment of these options is closed.
pub(super) fn roll_bounds(options: &Options) -> RollBounds {
    RollBounds { bytes: options.segment_limit(), age_ms: options.segment_age_limit() }
}

/// What the roll decider wants to know of a segment.
pub(super) fn active(segment: &Segment, live: usize, now: UnixMillis) -> Active {
    let content = segment.content;
    Active { bytes: content.bytes, records: content.records, age_ms: now.ms_since(segment.created), live }
}

impl Writer {
    /// Retention and rotation.
    pub(super) fn maintain(&mut self) {
        let now = self.shared.clock.now();
        if !self.shared.has_failed() {
            self.roll_if_due(now);
            // What is dropped does not come back, so a clock that is wrong for a while drops nothing.
            if let Some(settled) = self.shared.clock.settled(self.shared.options.retention_age) {
                let old = expired(&self.shared.catalogue().closed(), &self.terms(settled));
                self.drop_segments(&old, Cause::Age);
            }
            self.rotate(now);
        }
    }

    /// The terms of retention now.
    pub(super) fn terms(&self, now: UnixMillis) -> Terms {
        let options = &self.shared.options;
        Terms {
            now_ms: now.0,
            age_ms: millis(options.retention_age),
            bytes: options.retention_bytes,
            when_full: options.when_full,
            released: self.shared.released.load(Ordering::Acquire),
        }
    }

    /// Closes the active segment and begins the next, if it is time. If that cannot be done, the
    /// active one is written to further.
    pub(super) fn roll_if_due(&mut self, now: UnixMillis) {
        let due = {
            let catalogue = self.shared.catalogue();
            let live = catalogue.segments.len();
            let segment = catalogue
                .active()
                .filter(|segment| is_due(active(segment, live, now), roll_bounds(&self.shared.options)));
            segment.cloned()
        };
        let Some(closed) = due else { return };
        if self.free_bytes() < self.shared.options.reserve_bytes {
            // Nothing is appended either. Beginning a segment takes space, and half-made ones stay until a restart.
            return;
        }
        self.roll(closed, After::Stays, now);
    }

    /// Closes the active segment before its time if every subscription has drained it and the disk gets something back
    /// for it: then it gives way as closed ones do. Gives whether it was closed. What of it is only in memory and in the
    /// log holds no file, so a small one is written to further.
    fn roll_if_drained(&mut self, free: u64, terms: &Terms) -> bool {
        let active = self.shared.catalogue().active().cloned();
        let drained =
            active.filter(|active| active.content.records > 0 && active.content.last < terms.released);
        let Some(drained) = drained.filter(|_| free >= BEGINNING) else { return false };
        let db = &self.shared.db;
        let files = db.cf_handle(&segment_family(drained.number)).and_then(|family| {
            db.property_int_value_cf(&family, rocksdb::properties::TOTAL_SST_FILES_SIZE).ok().flatten()
        });
        files.is_some_and(|bytes| bytes > 0) && self.roll(drained, After::Goes, UnixMillis(terms.now_ms))
    }

    /// Closes the active segment and begins the next; gives whether that was done.
    fn roll(&mut self, mut closed: Segment, after: After, now: UnixMillis) -> bool {
        closed.closed = true;
        let head = self.head;
        // RocksDB keeps a family that it could not finish, on a full disk, and gives no access to it: its number
        // is passed over. It is empty and has no row, so it is dropped at the next open.
        for number in (closed.number..).skip(1).take(HALF_MADE) {
            let next = Segment::begin(number, head.commit, head.commit, head.chain, now);
            match begin(&self.shared.db, &self.shared.setup, Some((&closed, after)), &next) {
                Ok(()) => {
                    let mut catalogue = self.shared.catalogue_mut();
                    catalogue.segments.pop();
                    catalogue.segments.extend([closed, next]);
                    return true;
                }
                Err(Begin::Database(error)) if is_half_made(&error) => {}
                Err(Begin::Database(error)) if is_no_space(&error) => {
                    if let Some(unsaid) = NO_SPACE.due() {
                        tracing::warn!(%error, unsaid, "no space to begin a segment; the present one is written to further");
                    }
                    return false;
                }
                Err(Begin::Database(error)) => {
                    self.shared.fail(&format!("cannot begin a segment: {error}"));
                    return false;
                }
                Err(Begin::Options(fault)) => {
                    self.shared.fail(&format!("cannot begin a segment: {fault}"));
                    return false;
                }
            }
        }
        if let Some(unsaid) = NO_SEGMENT.due() {
            tracing::warn!(
                unsaid,
                "cannot begin a segment until a restart; the present one is written to further"
            );
        }
        false
    }

    /// Makes room for `wanted` bytes of records, and says how many may be taken in.
    pub(super) fn room(&mut self, wanted: u64, now: UnixMillis) -> u64 {
        let of_budget = self.room_of_budget(wanted, now);
        of_budget.min(self.room_on_disk(wanted, now))
    }

    fn room_of_budget(&mut self, wanted: u64, now: UnixMillis) -> u64 {
        let (used, closed) = {
            let catalogue = self.shared.catalogue();
            let used = catalogue.bytes();
            if used.saturating_add(wanted) <= self.shared.options.retention_bytes {
                return u64::MAX;
            }
            (used, catalogue.closed())
        };
        let room = make_room(&closed, used, wanted, &self.terms(now));
        self.drop_segments(&room.drained, Cause::Drained);
        self.drop_segments(&room.drop, Cause::Size);
        room.bytes
    }

    /// Whoever fills the disk: what is kept though every subscription has drained it goes before anything is refused.
    fn room_on_disk(&mut self, wanted: u64, now: UnixMillis) -> u64 {
        let needed = self.shared.options.reserve_bytes.saturating_add(wanted);
        let terms = self.terms(now);
        let mut free = self.free_bytes();
        // A file can hold less than its records: each round takes what is missing then, and there are few segments.
        for _ in 0..ROUNDS {
            if free >= needed {
                break;
            }
            let closed = self.shared.catalogue().closed();
            let spare = spare(&closed, needed - free, &terms);
            // What was written to goes in the next round.
            if spare.is_empty() && !self.roll_if_drained(free, &terms) {
                break;
            }
            self.drop_segments(&spare, Cause::Drained);
            free = self.free_bytes();
        }
        free.saturating_sub(self.shared.options.reserve_bytes)
    }

    /// If the file system does not say, RocksDB will, when it is full.
    fn free_bytes(&self) -> u64 {
        self.shared.directory.free_bytes().unwrap_or(u64::MAX)
    }

    /// Drops whole segments, the oldest ones.
    pub(super) fn drop_segments(&mut self, numbers: &[u32], cause: Cause) {
        if numbers.is_empty() {
            return;
        }
        let shared = &self.shared;
        let oldest = {
            let catalogue = shared.catalogue();
            let left = catalogue.segments.iter().find(|segment| !numbers.contains(&segment.number));
            left.map_or(self.head.commit + 1, |segment| segment.first)
        };
        let mut batch = WriteBatch::default();
        unlist(&shared.db, &mut batch, numbers);
        aside::forget(&shared.db, &mut batch, &shared.aside(), oldest);
        if let Err(error) = shared.db.write_opt(batch, &write_options(true)) {
            if is_no_space(&error) {
                if let Some(unsaid) = NO_DROP.due() {
                    tracing::warn!(%error, unsaid, "no space to drop a segment");
                }
            } else {
                shared.fail(&format!("cannot drop a segment: {error}"));
            }
            return;
        }
        shared.catalogue_mut().segments.retain(|segment| !numbers.contains(&segment.number));
        {
            let mut known = shared.aside();
            *known = known.split_off(&oldest);
        }
        shared.oldest.send_replace(CommitNumber(oldest));
        if let Err(error) = drop_families(&shared.db, numbers.iter().map(|number| segment_family(*number))) {
            // Its row is gone, so it is dropped at the next open.
            tracing::warn!(%error, "cannot drop the family of a segment; it goes at the next start");
        }
        Metric::SegmentsDropped.add(&[("reason", cause.as_str())], super::bytes::count(numbers.len()));
        tracing::info!(
            segments = numbers.len(),
            reason = cause.as_str(),
            oldest,
            "dropped the oldest segments"
        );
    }

    /// Begins a new family of deduplication rows when it is time, and drops old ones.
    fn rotate(&mut self, now: UnixMillis) {
        let options = &self.shared.options;
        let terms = DedupTerms { window_ms: millis(options.dedup_window), bytes: options.dedup_limit() };
        let settled = self.shared.clock.settled(options.dedup_window);
        let due = self.generations.last().is_none_or(|newest| terms.is_due(newest, settled));
        if due
            && let Err(error) = self.begin_generation(now)
            && let Some(unsaid) = NO_FAMILY.due()
        {
            tracing::warn!(
                error,
                unsaid,
                "cannot begin a family of deduplication rows; the present one is written to further"
            );
        }
        let count = terms.forgotten(&self.generations, settled);
        let forgotten: Vec<Generation> = self.generations.drain(..count).collect();
        let Some(newest) = forgotten.last() else { return };
        let kept = self.generations.first().map_or(now, |oldest| oldest.begun);
        if now.ms_since(kept) < terms.window_ms {
            tracing::warn!(
                batches_until = newest.begun.0,
                "batch ids outgrew their budget; old ones are forgotten early"
            );
        }
        let mut batch = WriteBatch::default();
        if let Some(meta) = self.shared.db.cf_handle(META) {
            for old in &forgotten {
                batch.delete_cf(&meta, dedup_key(old.number));
            }
        }
        let names = forgotten.iter().map(|old| old.family.clone());
        let dropped = self.shared.db.write_opt(batch, &write_options(true));
        if let Err(error) = dropped.and_then(|()| drop_families(&self.shared.db, names)) {
            tracing::warn!(%error, "cannot drop old deduplication rows; they go after the next start");
        }
    }

    fn begin_generation(&mut self, now: UnixMillis) -> Result<(), String> {
        let number = self.generations.last().map_or(1, |newest| newest.number + 1);
        let next = Generation::begin(number, now);
        let name = dedup_family(number);
        let shared = &self.shared;
        let options = shared.setup.family(&name).map_err(|fault| fault.to_string())?;
        if shared.db.cf_handle(&name).is_none() {
            shared.db.create_cf(&name, &options).map_err(|error| error.to_string())?;
        }
        let mut batch = WriteBatch::default();
        if let Some(meta) = shared.db.cf_handle(META) {
            batch.put_cf(&meta, dedup_key(number), next.encode());
        }
        shared.db.write_opt(batch, &write_options(true)).map_err(|error| error.to_string())?;
        self.generations.push(next);
        Ok(())
    }
}
