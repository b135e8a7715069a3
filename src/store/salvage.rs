//! Opening the database itself, and what is done when RocksDB finds damage: look first without
//! changing anything, and open only what is shown to be whole.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::directory::{Directory, failed};
use super::evidence::acknowledged_after;
use super::fault::{DatabaseFault, OpenError};
use super::layout::{FIXED, Head, META, family};
use super::loss::Loss;
use super::open::{Judge, head_row};
use super::rocks::{Db, Recovery, Setup, families, is_damage};
use crate::model::CommitNumber;

const PART: &str = "the database";

/// Opens the database of the directory; makes it if it is `fresh`.
pub(super) fn open(
    setup: &Setup,
    directory: &Directory,
    fresh: bool,
    judge: &Judge<'_>,
) -> Result<Db, OpenError> {
    let path = directory.database();
    let names = if fresh {
        FIXED.map(str::to_owned).to_vec()
    } else {
        families(&path).map_err(|fault| judge.failed("the manifest of the database", fault))?
    };
    if let Some(unknown) = names.iter().find(|name| family(name).is_none()) {
        let unknown = unknown.chars().filter(char::is_ascii_graphic).take(32).collect();
        return Err(OpenError::UnknownFamily { path: judge.path.to_owned(), family: unknown });
    }
    let attempt = |create: bool, recovery: Recovery| -> Result<Result<Db, rocksdb::Error>, DatabaseFault> {
        let options = Setup::database(create, recovery)?;
        // The fixed families of an interrupted creation may be missing.
        let mut all = names.clone();
        if create {
            all.extend(FIXED.map(str::to_owned));
            all.sort_unstable();
            all.dedup();
        }
        Ok(Db::open_cf_descriptors(&options, &path, setup.descriptors(&all)?))
    };
    let failure = |source: DatabaseFault| OpenError::Database { path: judge.path.to_owned(), source };
    let interrupted = FIXED.iter().any(|fixed| !names.iter().any(|name| name == fixed));
    let error = match attempt(fresh || interrupted, Recovery::Strict).map_err(failure)? {
        Ok(db) => return Ok(db),
        Err(error) if is_damage(&error) => error,
        Err(error) => return Err(failure(error.into())),
    };
    // A creation that was cut short: RocksDB does not open a database that has no log yet. There is no row in it.
    let is_begun = !names.iter().any(|name| name == META) && judge.witnessed == Head::default();
    if is_begun && has_no_rows(&path).map_err(|source| failed("read", &path, source))? {
        fs::remove_dir_all(&path).map_err(|source| failed("write", &path, source))?;
        let again = attempt(true, Recovery::Strict).map_err(failure)?;
        return again.map_err(|error| judge.failed(PART, error.into()));
    }
    inspect_damage(setup, directory, &names, judge, error)?;
    let second = match attempt(false, Recovery::UpToDamage).map_err(failure)? {
        Err(_) if judge.accept => attempt(false, Recovery::Anything).map_err(failure)?,
        opened => opened,
    };
    second.map_err(|error| judge.failed(PART, error.into()))
}

/// Whether the directory of a database has no file that could hold a row.
fn has_no_rows(path: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(path)? {
        let name = PathBuf::from(entry?.file_name());
        if name.extension().is_some_and(|end| ["log", "sst", "blob"].iter().any(|of_rows| end == *of_rows)) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Looks, without changing anything, at what can be recovered. Fine if that is all that was acknowledged.
fn inspect_damage(
    setup: &Setup,
    directory: &Directory,
    names: &[String],
    judge: &Judge<'_>,
    error: rocksdb::Error,
) -> Result<(), OpenError> {
    let look = |recovery: Recovery| -> Result<Db, DatabaseFault> {
        let options = Setup::database(false, recovery)?;
        let descriptors = setup.descriptors(names)?;
        Ok(Db::open_cf_descriptors_read_only(&options, directory.database(), descriptors, false)?)
    };
    let view = match look(Recovery::UpToDamage).or_else(|_| look(Recovery::Anything)) {
        Ok(view) => view,
        Err(fault) if fault.is_of_the_system() => return Err(judge.failed(PART, fault)),
        Err(_) => return Err(judge.damaged(PART, Some(error.into()))),
    };
    let recovered = head_row(&view, judge)?;
    drop(view);
    let evidence = acknowledged_after(&directory.database(), recovered);
    let evidence = evidence.map_err(|source| failed("read", &directory.database(), source))?;
    let newest = [Some(judge.witnessed), evidence].into_iter().flatten().max_by_key(|head| head.writes);
    match newest {
        Some(Head { commit, .. }) if commit > recovered.commit => {
            let (first, last) = (CommitNumber(recovered.commit + 1), CommitNumber(commit));
            judge.lost(Loss::Commits { first, last }, recovered)
        }
        Some(Head { writes, .. }) if writes > recovered.writes => {
            judge.lost(Loss::Metadata { writes: writes - recovered.writes }, recovered)
        }
        Some(_) | None => {
            tracing::warn!(
                head = recovered.commit,
                cause = %error,
                "the write-ahead log ends in damaged bytes; all that is known to be acknowledged comes before them"
            );
            Ok(())
        }
    }
}
