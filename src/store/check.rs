//! Reading everything that a store holds, without changing anything: what `usaged store check` does to a store that no
//! process has open, and to a backup.

use std::path::Path;

use data_encoding::HEXLOWER;

use super::aside;
use super::bytes::count;
use super::catalogue::Segment;
use super::check_records::{Records, Seals};
use super::check_told::{ACCEPT, CheckProgress, Checked, RESTORE};
use super::dedup::Generation;
use super::directory::{Directory, Format, failed};
use super::fault::OpenError;
use super::layout::{
    CHANGES, CUSTOMERS, DEDUP_BOUNDS, FORMAT_VERSION, Family, Head, IDS, KEY_OUTBOX, KEY_REGISTRY, KEY_STORE,
    META, OutboxRow, RegistryRow, SALTS, SEGMENT_BOUNDS, StoreRow, dedup_family, family, segment_family,
};
use super::open::{Judge, head_row, row};
use super::registry;
use super::rocks::{Db, Recovery, Setup, between, families};
use super::root;
use super::survey::rows;
use super::witness::{self, Said};
use crate::model::CommitNumber;
use crate::sanitize::{DataRoot, RootKey, key_id};

/// What is to be checked.
#[derive(Debug)]
pub struct Check<'a> {
    /// The data directory, or the directory of a backup.
    pub dir: &'a Path,
    /// Opens every record, where it is given.
    pub key: Option<&'a RootKey>,
    /// Whether it is a backup: it has no personal rows, and that is right.
    pub is_backup: bool,
}

/// A reading that goes on as long as there is something to read.
struct Reading<'a> {
    db: &'a Db,
    judge: &'a Judge<'a>,
    told: Checked,
    progress: &'a mut dyn FnMut(CheckProgress),
}

impl Check<'_> {
    /// Reads everything.
    ///
    /// # Errors
    /// If there is no store, or a process has it open. What is wrong with it is in the result.
    pub fn run(&self, progress: &mut dyn FnMut(CheckProgress)) -> Result<Checked, OpenError> {
        let directory = Directory::look(self.dir)?;
        let mut told = Checked { bytes: directory.bytes(), ..Checked::default() };
        let id = match directory.format() {
            Ok(Format::Known(id)) => id,
            Ok(Format::Absent) => return Err(OpenError::Absent { path: self.dir.to_owned() }),
            Err(error @ (OpenError::NotAStore { .. } | OpenError::UnknownVersion { .. })) => {
                told.faults.add("FORMAT", error.to_string(), RESTORE);
                return Ok(told);
            }
            Err(error) => return Err(error),
        };
        (told.format, told.store) = (FORMAT_VERSION, HEXLOWER.encode(&id));
        let judge = Judge {
            path: self.dir,
            accept: true,
            witnessed: Head::default(),
            accepted: std::cell::Cell::default(),
        };
        let db = match view(&directory) {
            Ok(db) => db,
            Err(error) => {
                told.faults.add("the database", error, RESTORE);
                return Ok(told);
            }
        };
        let said = witness::read(&directory.witness());
        let said = said.map_err(|error| failed("read", &directory.witness(), error))?;
        let mut reading = Reading { db: &db, judge: &judge, told, progress };
        reading.families();
        let root = reading.identity(id, self.key);
        let head = reading.head(said);
        reading.meta();
        if self.is_backup {
            reading.no_personal_rows();
        } else {
            reading.personal();
        }
        reading.dedup();
        reading.records(head, root.as_ref());
        Ok(reading.told)
    }
}

/// Opens the database to look at, and says why it does not open.
fn view(directory: &Directory) -> Result<Db, String> {
    let path = directory.database();
    let open = |recovery| {
        let setup = Setup::new();
        let options = Setup::database(false, recovery)?;
        let descriptors = setup.descriptors(&families(&path)?)?;
        Ok(Db::open_cf_descriptors_read_only(&options, &path, descriptors, false)?)
    };
    // A log that ends in damaged bytes can still hold all that was acknowledged: the witness tells.
    open(Recovery::Strict)
        .or_else(|_| open(Recovery::UpToDamage))
        .map_err(|fault: super::fault::DatabaseFault| fault.to_string())
}

impl Reading<'_> {
    fn at(&mut self, part: &'static str, done: u64, of: u64) {
        (self.progress)(CheckProgress { part, done, of });
    }

    fn damaged(&mut self, error: &OpenError) {
        self.told.faults.add("the metadata family", with_cause(error), RESTORE);
    }

    fn families(&mut self) {
        for name in families(self.db.path()).unwrap_or_default() {
            if family(&name).is_none() {
                let name: String = name.chars().filter(char::is_ascii_graphic).take(32).collect();
                let remedy = "use the version of the program that wrote it";
                self.told.faults.add(name, "a column family that this program does not know", remedy);
            }
        }
    }

    /// Is it the store of its format file, and does the key open it? Gives the data root.
    fn identity(&mut self, id: [u8; 16], key: Option<&RootKey>) -> Option<DataRoot> {
        const PART: &str = "the row that says what the store is";
        let found = match row(self.db, KEY_STORE, self.judge) {
            Ok(found) => found.as_deref().and_then(StoreRow::decode),
            Err(error) => {
                self.damaged(&error);
                return None;
            }
        };
        let Some(found) = found else {
            self.told.faults.add(PART, "it is missing or damaged", RESTORE);
            return None;
        };
        if found.id != id || found.format != FORMAT_VERSION {
            self.told.faults.add(PART, "it is the row of another store or format", RESTORE);
        }
        let key = key?;
        if key.check() != found.key_check {
            let (given, wanted) = (key_id(&key.check()), key_id(&found.key_check));
            let what = format!("the root key given is {given}, and it was written under {wanted}");
            self.told.faults.add("the root key", what, "name the file of that key with --root-key-file");
            return None;
        }
        match root::read(self.db, &found.id, key, self.judge) {
            Ok(root) => Some(root),
            Err(error) => {
                self.told.faults.add("the row of the data root", with_cause(&error), RESTORE);
                None
            }
        }
    }

    /// Is there all that the witness has seen?
    fn head(&mut self, said: Said) -> Head {
        let head = match head_row(self.db, self.judge) {
            Ok(head) => head,
            Err(error) => {
                self.damaged(&error);
                return Head::default();
            }
        };
        self.told.head = CommitNumber(head.commit);
        let witnessed = match said {
            Said::Head(testimony) => testimony.head,
            Said::Absent | Said::Damaged => {
                let is = if said == Said::Absent { "it is missing" } else { "both of its slots are damaged" };
                if head.writes > 0 {
                    self.told.faults.add("the witness", is, ACCEPT);
                }
                return head;
            }
        };
        self.told.witness = Some(CommitNumber(witnessed.commit));
        if head.commit < witnessed.commit {
            let what = format!("commits {} to {} are missing", head.commit + 1, witnessed.commit);
            self.told.faults.add("the database", what, ACCEPT);
        } else if head.writes < witnessed.writes {
            let lost = witnessed.writes - head.writes;
            self.told.faults.add("the database", format!("{lost} writes of metadata are missing"), ACCEPT);
        } else if head.commit == witnessed.commit && head.chain != witnessed.chain {
            let what = format!("the records up to commit {} are others than the witness saw", head.commit);
            self.told.faults.add("the database", what, ACCEPT);
        }
        head
    }

    /// Reads a family or a part of it from end to end; gives each row.
    fn each(
        &mut self,
        part: &'static str,
        name: &str,
        (lower, upper): (Vec<u8>, Vec<u8>),
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), String>,
    ) -> u64 {
        let Some(family) = self.db.cf_handle(name) else {
            self.told.faults.add(name, "the column family is missing", RESTORE);
            return 0;
        };
        let mut found = self.db.raw_iterator_cf_opt(&family, between(lower, upper));
        found.seek_to_first();
        let mut read = 0;
        while let Some((key, value)) = found.item() {
            if let Err(what) = visit(key, value) {
                self.told.faults.add(name, what, RESTORE);
            }
            read += 1;
            if read % 4_096 == 0 {
                (self.progress)(CheckProgress { part, done: read, of: 0 });
            }
            found.next();
        }
        if let Err(error) = found.status() {
            self.told.faults.add(name, super::fault::DatabaseFault::from(error).to_string(), RESTORE);
        }
        read
    }

    fn meta(&mut self) {
        const PART: &str = "rows of metadata";
        self.at(PART, 0, 0);
        let mut outbox: Option<u64> = None;
        let bounds = (Vec::new(), vec![0xff; 64]);
        self.told.meta_rows = self.each(PART, META, bounds, |key, _| {
            let Some(number) = super::layout::outbox_number(key) else { return Ok(()) };
            let is_next = outbox.is_none_or(|before| number == before + 1);
            let gap = outbox.replace(number);
            if is_next { Ok(()) } else { Err(format!("entries of the outbox behind {gap:?} are missing")) }
        });
        let row_of = |key| row(self.db, key, self.judge).ok().flatten();
        let registry = row_of(KEY_REGISTRY).is_none_or(|row| RegistryRow::decode(&row).is_some());
        let outbox = row_of(KEY_OUTBOX).map_or(Some(OutboxRow::START), |row| OutboxRow::decode(&row));
        self.told.ledger_has = outbox.map_or(0, |row| row.first.saturating_sub(1));
        let counted = outbox.is_some();
        for (part, is_right) in [("the row of the registry", registry), ("the row of the outbox", counted)] {
            if !is_right {
                self.told.faults.add(part, "it is damaged", RESTORE);
            }
        }
    }

    fn personal(&mut self) {
        const PART: &str = "rows of customers";
        self.at(PART, 0, 0);
        let all = || (Vec::new(), vec![0xff; 64]);
        for name in [CUSTOMERS, CHANGES] {
            let read = self.each(PART, name, all(), |_, value| {
                registry::decode(value).map(drop).map_err(|error| error.to_string())
            });
            self.told.personal_rows += read;
        }
        let db = self.db;
        self.told.personal_rows += self.each(PART, IDS, all(), |_, value| match <[u8; 8]>::try_from(value) {
            Ok(key) => match registry::present(db, crate::model::CustomerKey(u64::from_be_bytes(key))) {
                Ok(Some(_)) => Ok(()),
                Ok(None) => Err("an id leads to no customer".to_owned()),
                Err(error) => Err(error.to_string()),
            },
            Err(_) if value.is_empty() => Ok(()),
            Err(_) => Err("a row is damaged".to_owned()),
        });
        self.told.personal_rows += self.each(PART, SALTS, all(), |_, value| {
            if value.len() > 16 && value.starts_with(&[1]) {
                Ok(())
            } else {
                Err("a row is damaged".to_owned())
            }
        });
    }

    fn no_personal_rows(&mut self) {
        if super::personal_read::has_any(self.db).unwrap_or(true) {
            let remedy = "move it to where personal rows may be, or make another backup";
            self.told.faults.add("the backup", "it has personal rows in it, or cannot be read", remedy);
        }
    }

    fn dedup(&mut self) {
        const PART: &str = "deduplication rows";
        self.at(PART, 0, 0);
        let listed = match rows(self.db, DEDUP_BOUNDS, self.judge) {
            Ok(listed) => listed,
            Err(error) => return self.damaged(&error),
        };
        for (number, row) in listed {
            let name = dedup_family(number);
            if Generation::decode(&row).is_none() {
                self.told.faults.add(name.clone(), "its row is damaged", RESTORE);
            }
            let bounds = (Vec::new(), vec![0xff; 17]);
            self.told.dedup_rows += self.each(PART, &name, bounds, |key, value| {
                if key.len() == 16 && value.starts_with(&[1]) {
                    Ok(())
                } else {
                    Err("a row is damaged".to_owned())
                }
            });
        }
    }

    fn records(&mut self, head: Head, root: Option<&DataRoot>) {
        const PART: &str = "records";
        let listed = match rows(self.db, SEGMENT_BOUNDS, self.judge) {
            Ok(listed) => listed,
            Err(error) => return self.damaged(&error),
        };
        let mut segments = Vec::new();
        for (number, row) in listed {
            match Segment::decode(&row) {
                Some(segment) => segments.push(segment),
                None => self.told.faults.add(segment_family(number), "its row is damaged", RESTORE),
            }
        }
        let present = families(self.db.path()).unwrap_or_default();
        for name in &present {
            if let Some(Family::Segment(number)) = family(name)
                && segments.first().is_some_and(|first| number > first.number)
                && !segments.iter().any(|segment| segment.number == number)
            {
                self.told.faults.add(name.clone(), "it has no row", RESTORE);
            }
        }
        let known = aside::load(self.db).unwrap_or_default();
        self.told.set_aside = count(known.len());
        let mut records =
            Records { db: self.db, known: &known, seals: root.map(Seals::new), told: &mut self.told };
        let mut follows = None;
        for segment in &segments {
            let name = segment_family(segment.number);
            if !present.contains(&name) {
                records.told.faults.add(name, "the segment is missing", ACCEPT);
                follows = Some(segment.content.last);
                continue;
            }
            if follows.is_some_and(|last| last != segment.follows) {
                records.told.faults.add(name, "it does not follow the segment before it", ACCEPT);
            }
            let mut done = |done| {
                (self.progress)(CheckProgress {
                    part: PART,
                    done,
                    of: head
                        .commit
                        .saturating_sub(segments.first().map_or(0, |first| first.first))
                        .saturating_add(1),
                });
            };
            follows = Some(records.segment(segment, head, &mut done));
        }
    }
}

/// An error with what led to it.
fn with_cause(error: &OpenError) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{error}{cause}")
}
