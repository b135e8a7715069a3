//! Putting a backup back: aside at first, checked, and in place by a rename.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;

use super::Progress;
use super::checking::{ledger_part, store_part};
use super::fault::{BackupFault, at};
use super::manifest::Manifest;
use super::settling::settle;
use super::since::since;
use crate::ledger::{self, Fact, Verification};
use crate::model::{CommitNumber, CustomerKey, UnixMillis};
use crate::sanitize::RootKey;
use crate::store::{self, BackupError, Check, Checked, PersonalContents, Restore, Restored};

/// What is put back, and how.
#[derive(Debug)]
pub struct Request<'a> {
    /// The directory of the backup.
    pub backup: &'a Path,
    /// The newest file of personal rows.
    pub personal: &'a Path,
    /// The newest ledger, if there is one newer than that in the backup.
    pub ledger: Option<&'a Path>,
    /// The new data directory: it does not exist, or is empty.
    pub to: &'a Path,
    /// Leave customers out of whom the ledger knows more than the file of personal rows.
    pub leave_out: bool,
    /// Put it in place even if something in it is damaged.
    pub accept_damage: bool,
    /// Opens every record while it is checked.
    pub key: Option<&'a RootKey>,
    /// The time.
    pub now: UnixMillis,
}

/// What was put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What the backup says of itself.
    pub manifest: Manifest,
    /// When the personal rows were written.
    pub personal_made: UnixMillis,
    /// The commit that numbers go on with.
    pub next: CommitNumber,
    /// Erasures that are carried out again before the collector serves.
    pub again: u64,
    /// Customers in the file who do not come back: erased since, or left out.
    pub left_out: u64,
    /// Entries of the ledger.
    pub entries: u64,
    /// What was read before it was put in place.
    pub checked: Checked,
}

/// Puts a backup back.
///
/// # Errors
/// If a part is missing, changed, foreign or too old, the target has something in it, or something cannot be written.
/// Nothing is put in place then.
pub fn restore(request: &Request<'_>, progress: &mut dyn FnMut(Progress)) -> Result<Report, BackupFault> {
    let manifest = Manifest::read(request.backup)?;
    is_empty(request.to)?;
    store::check_restored(request.backup, request.to)?;
    let file = store::personal_contents(request.personal)?;
    if HEXLOWER.encode(&file.store) != manifest.store {
        return Err(BackupError::Foreign.into());
    }
    let own = request.backup.join("ledger");
    let from = request.ledger.unwrap_or(&own);
    follows(from, &own, &manifest, progress)?;
    let since = since(from, manifest.ledger.entries, &file)?;
    if let Some(behind) = since.behind().filter(|_| !request.leave_out) {
        return Err(BackupFault::Behind(behind));
    }
    let mut leave_out = since.erased.clone();
    leave_out.extend(since.concerned());
    let staging = staging(request.to);
    if staging.symlink_metadata().is_ok() {
        return Err(BackupFault::Exists { path: staging });
    }
    let job = Job { request, manifest: &manifest, from, leave_out: &leave_out, bridges: &since.bridges };
    let made = job.run(&staging, progress);
    if made.is_err() {
        // There are personal rows in it.
        let _left = fs::remove_dir_all(&staging);
    }
    let (restored, checked, entries) = made?;
    Ok(report(manifest, &file, &restored, checked, (entries, &leave_out)))
}

fn report(
    manifest: Manifest,
    file: &PersonalContents,
    restored: &Restored,
    checked: Checked,
    (entries, leave_out): (u64, &BTreeSet<CustomerKey>),
) -> Report {
    let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    let left_out = count(leave_out.iter().filter(|customer| file.revisions.contains_key(customer)).count());
    Report {
        manifest,
        personal_made: file.made,
        next: restored.next,
        again: count(restored.again.len()),
        left_out,
        entries,
        checked,
    }
}

/// The target does not exist, or is an empty directory.
fn is_empty(to: &Path) -> Result<(), BackupFault> {
    let is_free = match fs::read_dir(to) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    };
    if is_free { Ok(()) } else { Err(BackupFault::Exists { path: to.to_owned() }) }
}

/// Where it is made: beside the target.
fn staging(to: &Path) -> PathBuf {
    let plain: PathBuf = to.components().collect();
    let mut name = plain.into_os_string();
    name.push(".restoring");
    name.into()
}

/// The ledger adds up, and is that of the backup or goes on from it.
fn follows(
    from: &Path,
    own: &Path,
    manifest: &Manifest,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), BackupFault> {
    let mut told = |done, of| progress(Progress { part: "verifying the ledger", done, of });
    let verified = Verification { dir: from, key: None, checkpoint: None }.run(&mut told)?;
    if !verified.findings.is_empty() {
        return Err(BackupFault::LedgerBroken { path: from.to_owned(), findings: verified.findings });
    }
    let other = || BackupFault::OtherLedger { path: from.to_owned() };
    let mut is_ours = false;
    ledger::visit(from, &mut |leaf| {
        is_ours = matches!(leaf.fact(), Some(Fact::LedgerBegun { store, .. }) if *store == manifest.store);
        false
    })?;
    if !is_ours || verified.entries < manifest.ledger.entries {
        return Err(other());
    }
    // The same entries as far as the backup goes: the text of its last one stands at its place.
    let (mut last, mut same) = (None, false);
    ledger::visit(own, &mut |leaf| {
        last = Some(leaf);
        true
    })?;
    let Some(last) = last else { return Err(other()) };
    ledger::visit(from, &mut |leaf| {
        same = leaf == last;
        leaf.index < last.index
    })?;
    if same { Ok(()) } else { Err(other()) }
}

/// A restore whose inputs are good.
struct Job<'a> {
    request: &'a Request<'a>,
    manifest: &'a Manifest,
    from: &'a Path,
    leave_out: &'a BTreeSet<CustomerKey>,
    bridges: &'a BTreeSet<(CustomerKey, u32)>,
}

impl Job<'_> {
    fn run(
        &self,
        staging: &Path,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(Restored, Checked, u64), BackupFault> {
        let Self { request, manifest, from, .. } = self;
        // The ledger comes from elsewhere, and of a witness nothing is kept: the new one says what the new store has.
        let (files, others): (Vec<_>, Vec<_>) = manifest
            .files
            .iter()
            .cloned()
            .partition(|file| !file.path.starts_with("ledger/") && file.path != "witness");
        for file in others {
            file.check(request.backup)?;
        }
        let reached = ledger::reach(from)?;
        let restore = Restore {
            backup: request.backup,
            files: &files,
            made: manifest.made,
            rows: request.personal,
            leave_out: self.leave_out,
            bridges_out: self.bridges,
            ledger: reached.number,
            to: staging,
            now: request.now,
        };
        let mut joint = store::restore(&restore, &mut |done, of| {
            progress(Progress { part: "copying and comparing", done, of });
        })?;
        progress(Progress { part: "going by the ledger", done: 0, of: 0 });
        settle(&mut joint, from)?;
        let restored = joint.finish()?;
        ledger::copy(from, &staging.join("ledger"), u64::MAX)?;
        let mut checked = store_part(&Check { dir: staging, key: request.key, is_backup: false }, progress)?;
        ledger_part(&staging.join("ledger"), &mut checked.faults, progress)?;
        if restored.head != manifest.head {
            let what = format!("its last commit is {}, and BACKUP says {}", restored.head, manifest.head);
            checked.faults.add("the backup", what, "use another backup");
        }
        if !checked.faults.is_empty() && !request.accept_damage {
            return Err(BackupFault::Faults(checked.faults));
        }
        fs::rename(staging, request.to).map_err(at(request.to))?;
        let parent =
            request.to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::File::open(parent).and_then(|dir| dir.sync_all()).map_err(at(parent))?;
        Ok((restored, checked, reached.entries))
    }
}
