//! Opening: which store is this, is everything there that was acknowledged, and where does it go on.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::path::Path;

use rand::TryRng;
use rand::rngs::SysRng;
use rocksdb::WriteBatch;

use super::aside;
use super::bytes::count;
use super::catalogue::{Catalogue, Segment};
use super::dedup::Generation;
use super::directory::{Directory, Format, expect_store, failed};
use super::fault::{DatabaseFault, OpenError};
use super::layout::{
    COLLECTED_BOUNDS, FORMAT_VERSION, Head, INCREMENT_BOUNDS, KEY_HEAD, KEY_OUTBOX, KEY_REGISTRY, KEY_STORE,
    META, OutboxRow, RegistryRow, StoreRow,
};
use super::loss::{AcceptedLoss, Loss};
use super::options::Options;
use super::rocks::{Db, Setup, between, write_options};
use super::roll::is_due_at_open;
use super::root;
use super::salvage;
use super::segments::{After, begin};
use super::shared::{Parts, Shared};
use super::step;
use super::sums::Sums;
use super::survey::{self, Survey};
use super::upkeep::{active, roll_bounds};
use super::witness::{self, Said, Witness};
use crate::model::{CommitNumber, CustomerKey, UnixMillis};
use crate::observe::Clock;
use crate::sanitize::{DataRoot, RootKey, key_id};

/// A store that is open, and what its writer goes on from.
pub(super) struct Opened {
    pub(super) shared: Shared,
    pub(super) head: Head,
    pub(super) registry: RegistryRow,
    pub(super) outbox: OutboxRow,
    pub(super) sums: Sums,
    pub(super) generations: Vec<Generation>,
}

/// What is done when something is missing: refused, or written down and accepted.
pub(super) struct Judge<'a> {
    pub(super) path: &'a Path,
    pub(super) accept: bool,
    pub(super) witnessed: Head,
    /// What was accepted so far.
    pub(super) accepted: Cell<Option<AcceptedLoss>>,
}

impl Judge<'_> {
    /// Something that was acknowledged is missing.
    pub(super) fn lost(&self, loss: Loss, recovered: Head) -> Result<(), OpenError> {
        let acknowledged = CommitNumber(self.witnessed.commit.max(recovered.commit));
        if self.accept {
            let last =
                self.accepted.get().map_or(recovered.commit, |before| before.last.0.min(recovered.commit));
            self.accepted.set(Some(AcceptedLoss { last: CommitNumber(last), acknowledged }));
            tracing::error!(%loss, "acknowledged data is missing; going on without it, as was asked for");
            return Ok(());
        }
        Err(OpenError::Amnesia {
            path: self.path.to_owned(),
            loss,
            recovered: CommitNumber(recovered.commit),
            witnessed: acknowledged,
        })
    }

    /// Something cannot be read.
    pub(super) fn damaged(&self, part: &str, source: Option<DatabaseFault>) -> OpenError {
        OpenError::Damaged { part: part.to_owned(), path: self.path.to_owned(), source }
    }

    /// RocksDB failed over something: it cannot be read, unless the system refused a call.
    pub(super) fn failed(&self, part: &str, source: DatabaseFault) -> OpenError {
        if source.is_of_the_system() {
            OpenError::Database { path: self.path.to_owned(), source }
        } else {
            self.damaged(part, Some(source))
        }
    }

    /// A read or write of RocksDB failed.
    pub(super) fn unreadable(&self, part: &'static str) -> impl FnOnce(rocksdb::Error) -> OpenError {
        |error| self.failed(part, error.into())
    }
}

/// Opens what is there, or makes what is not.
pub(super) fn recover(options: Options, key: &RootKey, clock: Clock) -> Result<Opened, OpenError> {
    expect_store(&options)?;
    let directory = Directory::claim(&options.dir)?;
    let format = directory.format()?;
    let said = witness::read(&directory.witness()).map_err(|e| failed("read", &directory.witness(), e))?;
    let (id, said) = identify(&directory, format, said)?;
    let (turn, witnessed) = match said {
        Said::Head(testimony) => (testimony.turn, testimony.head),
        Said::Absent | Said::Damaged => (0, Head::default()),
    };
    let judge =
        Judge { path: &options.dir, accept: options.accept_data_loss, witnessed, accepted: Cell::new(None) };
    let fresh = !directory.has_database()?;
    // A crash came before the database was made; else there was one.
    if fresh && !matches!(said, Said::Head(testimony) if testimony.is_of_beginning()) {
        judge.lost(Loss::Database, Head::default())?;
    }
    let setup = Setup::new();
    let db = salvage::open(&setup, &directory, fresh, &judge)?;
    step::reached("open: database");
    let now = clock.now();
    let store = StoreRow { format: FORMAT_VERSION, id, key_check: key.check(), created: now };
    let data_root = check_store(&db, &store, key, fresh, &judge)?;
    step::reached("open: rows");
    let survey = survey::take(&db, &setup, &judge, now)?;
    let rotation = root::rotation(&db, &options, (survey.catalogue.newest(), now), &judge)?;
    let head = weigh(&db, &survey, said, &judge)?;
    let registry = row(&db, KEY_REGISTRY, &judge)?;
    let registry = registry.map_or(Some(RegistryRow::START), |row| RegistryRow::decode(&row));
    let mut registry = registry.ok_or_else(|| judge.damaged("the row of the registry", None))?;
    if judge.accepted.get().is_some() {
        registry = leap(&db, registry, now, &judge)?;
    }
    let outbox = row(&db, KEY_OUTBOX, &judge)?;
    let outbox = outbox.map_or(Some(OutboxRow::START), |row| OutboxRow::decode(&row));
    let outbox = outbox.ok_or_else(|| judge.damaged("the row of the outbox", None))?;
    let sums = collected(&db, &judge)?;
    let Survey { mut catalogue, generations, aside, .. } = survey;
    go_on(&db, &setup, &mut catalogue, head, &options, now)
        .map_err(|source| OpenError::Database { path: options.dir.clone(), source })?;
    step::reached("open: segment");
    let witness = Witness::begin(&directory.witness(), id, turn, head);
    let witness = witness.map_err(|source| failed("write", &directory.witness(), source))?;
    let customers = registry.customers;
    tracing::info!(head = head.commit, segments = catalogue.segments.len(), customers, "opened the store");
    let accepted = judge.accepted.get();
    let parts = Parts {
        db,
        setup,
        directory,
        options,
        clock,
        data_root,
        rotation,
        witness,
        catalogue,
        head,
        customers,
        outbox,
        aside,
        accepted,
    };
    Ok(Opened { shared: Shared::new(parts), head, registry, outbox, sums, generations })
}

/// The sums of what came in that the ledger was not told of.
fn collected(db: &Db, judge: &Judge<'_>) -> Result<Sums, OpenError> {
    const PART: &str = "the sums of what came in";
    let meta = db.cf_handle(META).ok_or_else(|| judge.damaged(PART, None))?;
    let rows = |(lower, upper): ([u8; 1], [u8; 1])| {
        let mut rows = db.raw_iterator_cf_opt(&meta, between(lower.to_vec(), upper.to_vec()));
        rows.seek_to_first();
        let mut found = Vec::new();
        while let Some((key, row)) = rows.item() {
            found.push((key.to_vec(), row.to_vec()));
            rows.next();
        }
        rows.status().map_err(judge.unreadable(PART))?;
        Ok::<_, OpenError>(found)
    };
    let (sums, increments) = (rows(COLLECTED_BOUNDS)?, rows(INCREMENT_BOUNDS)?);
    Sums::recover(&sums, &increments).ok_or_else(|| judge.damaged(PART, None))
}

/// After a loss it is not known which numbers customers had: the next ones are beyond all of them, so that nobody is
/// taken for somebody else in what was written elsewhere. Microseconds grow faster than customers come.
pub(super) fn leap(
    db: &Db,
    found: RegistryRow,
    now: UnixMillis,
    judge: &Judge<'_>,
) -> Result<RegistryRow, OpenError> {
    const PART: &str = "the row of the registry";
    let beyond = u64::try_from(now.0).unwrap_or(0).saturating_mul(1_000);
    let row = RegistryRow { next: found.next.max(CustomerKey(beyond)), ..found };
    let meta = db.cf_handle(META).ok_or_else(|| judge.damaged(PART, None))?;
    let mut batch = WriteBatch::default();
    batch.put_cf(&meta, KEY_REGISTRY, row.encode());
    db.write_opt(batch, &write_options(true)).map_err(judge.unreadable(PART))?;
    Ok(row)
}

/// The id of the store, and what the witness says of it. A new one is written down first of all, and to the witness before
/// the format file: where that is without a witness, something is gone.
fn identify(directory: &Directory, format: Format, said: Said) -> Result<([u8; 16], Said), OpenError> {
    let made = match (format, said) {
        (Format::Known(id), Said::Head(testimony)) if testimony.store != id => {
            return Err(OpenError::Foreign { part: "the witness file", path: directory.path().to_owned() });
        }
        (Format::Known(id), _) => return Ok((id, said)),
        (Format::Absent, Said::Absent) => {
            let mut id = [0; 16];
            SysRng.try_fill_bytes(&mut id).map_err(|_| OpenError::System { what: "randomness" })?;
            let path = directory.witness();
            let made = witness::make(&path, id).map_err(|source| failed("write", &path, source))?;
            step::reached("open: witness");
            made
        }
        // A crash came between the two.
        (Format::Absent, Said::Head(testimony)) if testimony.is_of_beginning() => testimony,
        (Format::Absent, Said::Damaged | Said::Head(_)) => {
            return Err(OpenError::NotAStore { path: directory.path().join("FORMAT") });
        }
    };
    directory.write_format(made.store)?;
    step::reached("open: format");
    Ok((made.store, Said::Head(made)))
}

/// A row of the metadata family.
pub(super) fn row(db: &Db, key: &[u8], judge: &Judge<'_>) -> Result<Option<Vec<u8>>, OpenError> {
    const PART: &str = "the metadata family";
    let meta = db.cf_handle(META).ok_or_else(|| judge.damaged(PART, None))?;
    db.get_cf(&meta, key).map_err(judge.unreadable(PART))
}

/// The row with the head; before the first write there is none.
pub(super) fn head_row(db: &Db, judge: &Judge<'_>) -> Result<Head, OpenError> {
    let found = row(db, KEY_HEAD, judge)?;
    let head = found.map_or(Some(Head::default()), |row| Head::decode(&row));
    head.ok_or_else(|| judge.damaged("the row of the last commit", None))
}

/// Is this the database of this store, written under this root key? A new one is told what it is. Gives the
/// data root.
fn check_store(
    db: &Db,
    expected: &StoreRow,
    key: &RootKey,
    fresh: bool,
    judge: &Judge<'_>,
) -> Result<DataRoot, OpenError> {
    const PART: &str = "the row that says what the store is";
    let path = judge.path.to_owned();
    let Some(found) = row(db, KEY_STORE, judge)? else {
        // It is the first write of all. If others are there, it was lost; if not, a crash came before it.
        if !fresh && head_row(db, judge)? != Head::default() {
            return Err(judge.damaged(PART, None));
        }
        return root::make(db, expected, key, judge);
    };
    let found = StoreRow::decode(&found).ok_or_else(|| judge.damaged(PART, None))?;
    if found.format != FORMAT_VERSION {
        return Err(OpenError::UnknownVersion {
            path,
            found: found.format.to_string(),
            known: FORMAT_VERSION,
        });
    }
    if found.id != expected.id {
        return Err(OpenError::Foreign { part: "the database", path });
    }
    if found.key_check != expected.key_check {
        let (given, wanted) = (key_id(&expected.key_check), key_id(&found.key_check));
        return Err(OpenError::WrongRootKey { path, given, wanted });
    }
    root::read(db, &found.id, key, judge)
}

/// Does the database reach what the witness saw, and is it the same? Gives the head to go on from; no
/// commit number is ever given twice, not even after a loss.
fn weigh(db: &Db, survey: &Survey, said: Said, judge: &Judge<'_>) -> Result<Head, OpenError> {
    let head = survey.head;
    let witnessed = match said {
        Said::Head(testimony) => testimony.head,
        Said::Absent | Said::Damaged if head.writes == 0 => return Ok(head),
        Said::Absent => {
            judge.lost(Loss::WitnessMissing, head)?;
            return Ok(head);
        }
        Said::Damaged => {
            judge.lost(Loss::WitnessDamaged, head)?;
            return Ok(head);
        }
    };
    if head.commit < witnessed.commit {
        let (first, last) = (CommitNumber(head.commit + 1), CommitNumber(witnessed.commit));
        judge.lost(Loss::Commits { first, last }, head)?;
    } else if head.writes < witnessed.writes {
        judge.lost(Loss::Metadata { writes: witnessed.writes - head.writes }, head)?;
    } else if survey.chain_at(db, witnessed.commit).is_some_and(|chain| chain != witnessed.chain) {
        judge.lost(Loss::Differs { commit: CommitNumber(witnessed.commit) }, head)?;
    }
    let (commit, writes) = (head.commit.max(witnessed.commit), head.writes.max(witnessed.writes));
    Ok(Head { commit, writes, ..head })
}

/// Begins a segment where one is due, so that the next recovery has little to read.
pub(super) fn go_on(
    db: &Db,
    setup: &Setup,
    catalogue: &mut Catalogue,
    head: Head,
    options: &Options,
    now: UnixMillis,
) -> Result<(), DatabaseFault> {
    let live = catalogue.segments.len();
    let follows = catalogue.active().map_or(head.commit, |segment| segment.content.last);
    let number = catalogue.active().map_or(1, |segment| segment.number + 1);
    // After an accepted loss the numbers jump; they do so between segments only.
    let keep = catalogue.active().is_some_and(|segment| {
        !segment.closed
            && segment.content.last == head.commit
            && !is_due_at_open(active(segment, live, now), roll_bounds(options))
    });
    if keep {
        return Ok(());
    }
    if let Some(meta) = db.cf_handle(META).filter(|_| head.writes > 0) {
        let mut batch = WriteBatch::default();
        batch.put_cf(&meta, KEY_HEAD, head.encode());
        db.write_opt(batch, &write_options(true))?;
    }
    let next = Segment::begin(number, head.commit, follows, head.chain, now);
    let closed = catalogue.segments.last_mut().filter(|segment| !segment.closed).map(|segment| {
        segment.closed = true;
        segment.clone()
    });
    begin(db, setup, closed.as_ref().map(|closed| (closed, After::Stays)), &next)?;
    catalogue.segments.push(next);
    Ok(())
}

/// The records set aside.
pub(super) fn aside(db: &Db, judge: &Judge<'_>) -> Result<BTreeSet<u64>, OpenError> {
    let known = aside::load(db).map_err(judge.unreadable("the family of damaged records"))?;
    if count(known.len()) > 0 {
        tracing::warn!(records = known.len(), "damaged records are set aside");
    }
    Ok(known)
}
