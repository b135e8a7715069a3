//! The key that signs the ledger: read from its file, made with the ledger, and never made anew beside
//! a ledger that another one has signed.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::key_mode::exposed;
use super::runner::Runner;
use crate::ledger::{KeyFault, LedgerKey};

/// A key is 64 digits and a line end; whatever is longer is not a key.
const FILE_BYTES: u64 = 128;

/// A ledger key that cannot be had. Never holds a digit of it.
#[derive(Debug, thiserror::Error)]
pub enum LedgerKeyError {
    /// The file system refused.
    #[error("{what} the ledger key file {path} failed; check its owner and permissions, and those of its directory", path = path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Others can read it.
    #[error(
        "the ledger key file {path} can be read by others (mode {mode:03o}); run `chmod 600` on it and, if it is not \
         known who has read it, begin a new ledger with a new key: move the file away and start once with \
         --accept-ledger-break",
        path = path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It belongs to somebody else, who can read and replace it.
    #[error(
        "the ledger key file {path} belongs to the user with the number {owner}; run `chown` on it, so that it belongs \
         to the user that the collector runs as, and, if it is not known who has read it, begin a new ledger with a new \
         key: move the file away and start once with --accept-ledger-break",
        path = path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// It is a directory, a pipe or a device.
    #[error("{path} is not a file; name the ledger key's own file", path = path.display())]
    NotAFile {
        /// What was named.
        path: PathBuf,
    },
    /// It holds something else.
    #[error("{path} does not hold a ledger key: {cause}; put the key back from your backup", path = path.display())]
    NotAKey {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: KeyFault,
    },
    /// There is a ledger and no key to it.
    #[error(
        "{ledger} was signed with a key, but the ledger key file {path} is missing; put it back from your backup, or \
         name it with `ledger_key_file`. If it is lost, start once with --accept-ledger-break: a new ledger with a \
         new key begins",
        ledger = ledger.display(),
        path = path.display()
    )]
    Lost {
        /// The file.
        path: PathBuf,
        /// The ledger that needs it.
        ledger: PathBuf,
    },
    /// The system gave no randomness.
    #[error("the system gave no random bytes for a new ledger key; start again")]
    Entropy,
}

/// Gets the key in `path`. If there is none, and no ledger in `ledger` that it has signed, makes it.
pub(super) fn get(path: &Path, ledger: &Path, accept_break: bool) -> Result<LedgerKey, LedgerKeyError> {
    look(path, ledger, accept_break, &Runner::present())?.map_or_else(|| make(path), Ok)
}

/// The key in `path`, as `runner` would find it; `None` if there is none and one may be made.
pub(super) fn look(
    path: &Path,
    ledger: &Path,
    accept_break: bool,
    runner: &Runner,
) -> Result<Option<LedgerKey>, LedgerKeyError> {
    // A pipe without a writer would hold up the start for ever.
    let at_once = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    match OpenOptions::new().read(true).custom_flags(at_once).open(path) {
        Ok(file) => read(file, path, runner).map(Some),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if ledger.exists() && !accept_break {
                return Err(LedgerKeyError::Lost { path: path.to_owned(), ledger: ledger.to_owned() });
            }
            Ok(None)
        }
        Err(source) => Err(LedgerKeyError::File { what: "opening", path: path.to_owned(), source }),
    }
}

fn read(file: File, path: &Path, runner: &Runner) -> Result<LedgerKey, LedgerKeyError> {
    let failed = |source| LedgerKeyError::File { what: "reading", path: path.to_owned(), source };
    let not_a_key = |cause| LedgerKeyError::NotAKey { path: path.to_owned(), cause };
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(LedgerKeyError::NotAFile { path: path.to_owned() });
    }
    if let Some(refused) = judge(&metadata, path, runner) {
        return Err(refused);
    }
    let mut text = Zeroizing::new(String::new());
    match file.take(FILE_BYTES).read_to_string(&mut text) {
        Ok(_) => LedgerKey::from_hex(&text).map_err(not_a_key),
        Err(error) if error.kind() == ErrorKind::InvalidData => Err(not_a_key(KeyFault::Form)),
        Err(source) => Err(failed(source)),
    }
}

/// What is wrong with who can read the file of a key, or replace it.
fn judge(metadata: &Metadata, path: &Path, runner: &Runner) -> Option<LedgerKeyError> {
    judge_of(metadata.uid(), metadata.mode() & 0o777, path, runner)
}

fn judge_of(owner: u32, mode: u32, path: &Path, runner: &Runner) -> Option<LedgerKeyError> {
    let path = path.to_owned();
    if !runner.trusts(owner) {
        return Some(LedgerKeyError::Foreign { path, owner });
    }
    (exposed(owner, runner.user(), mode) != 0).then_some(LedgerKeyError::Exposed { path, mode })
}

/// The same of a file that may not be there. Does not read it.
pub(super) fn exposed_file(path: &Path, runner: &Runner) -> Option<LedgerKeyError> {
    judge(&std::fs::metadata(path).ok()?, path, runner)
}

fn make(path: &Path) -> Result<LedgerKey, LedgerKeyError> {
    let mut entropy = Zeroizing::new([0; 32]);
    rand::TryRng::try_fill_bytes(&mut rand::rngs::SysRng, entropy.as_mut())
        .map_err(|_| LedgerKeyError::Entropy)?;
    write(path, &LedgerKey::to_hex(&entropy)).map_err(|source| LedgerKeyError::File {
        what: "making",
        path: path.to_owned(),
        source,
    })?;
    tracing::info!(path = %path.display(), "made a new ledger key: back this file up apart from the data");
    Ok(LedgerKey::from_seed(&entropy))
}

/// Writes the file whole and synced, with its directory, so that a crash leaves it whole or absent.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let draft = PathBuf::from(draft);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    std::fs::hard_link(&draft, path)?;
    std::fs::remove_file(&draft)?;
    File::open(dir)?.sync_all()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_made_with_the_ledger_and_never_beside_one_that_needs_another() {
        let dir = tempfile::tempdir().unwrap();
        let (path, ledger) = (dir.path().join("data.ledger-key"), dir.path().join("data/ledger"));
        let made = get(&path, &ledger, false).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::create_dir_all(&ledger).unwrap();
        assert_eq!(get(&path, &ledger, false).unwrap().verifier("x"), made.verifier("x"));
        std::fs::remove_file(&path).unwrap();
        let lost = get(&path, &ledger, false).unwrap_err().to_string();
        assert!(lost.contains("is missing") && lost.contains("--accept-ledger-break"), "{lost}");
        assert_ne!(get(&path, &ledger, true).unwrap().verifier("x"), made.verifier("x"));
    }

    #[test]
    fn what_is_no_file_is_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let (pipe, ledger) = (dir.path().join("pipe"), dir.path().join("ledger"));
        let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR);
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, kind, mode, 0).unwrap();
        for path in [pipe.as_path(), dir.path()] {
            let refused = get(path, &ledger, false).unwrap_err().to_string();
            assert!(refused.contains("is not a file"), "{refused}");
        }
    }

    #[test]
    fn a_key_that_belongs_to_somebody_else_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (path, ledger) = (dir.path().join("key"), dir.path().join("ledger"));
        get(&path, &ledger, false).unwrap();
        let metadata = std::fs::metadata(&path).unwrap();
        let judged = |owner| judge_of(owner, 0o600, &path, &Runner::with(64_055, 64_055));
        assert!(judged(0).is_none() && judged(64_055).is_none());
        let refused = judged(64_056).unwrap().to_string();
        assert!(refused.contains("belongs to the user with the number 64056"), "{refused}");
        assert!(judge(&metadata, &path, &Runner::present()).is_none());
    }

    #[test]
    fn a_key_that_others_can_read_or_that_is_no_key_is_refused_without_showing_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        for (text, mode, expected) in [
            ("0ab1".repeat(16), 0o644, "can be read by others (mode 644)"),
            ("0ab1".repeat(15), 0o600, "does not hold a ledger key"),
            ("zz".repeat(32), 0o600, "does not hold a ledger key"),
            (String::new(), 0o600, "does not hold a ledger key"),
            ("0ab1".repeat(500), 0o600, "does not hold a ledger key"),
        ] {
            std::fs::write(&path, &text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let message = get(&path, &dir.path().join("ledger"), true).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
            assert!(!message.contains("0ab10ab1") && !message.contains("zzzz"), "{message}");
        }
    }
}
