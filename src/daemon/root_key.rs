//! The root key: read from the environment or its file, made at the first start, and never in the
//! store. Without it nothing that is stored can be read, so it is never made anew beside old data.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::key_mode::exposed;
use super::runner::Runner;
use crate::config::{ROOT_KEY_VARIABLE, RootKeySource};
use crate::sanitize::{KeyError, RootKey};

/// A key is 64 digits and a line end; whatever is longer is not a key.
const FILE_BYTES: u64 = 128;

/// A root key that cannot be had. Never holds a digit of it.
#[derive(Debug, thiserror::Error)]
pub enum RootKeyError {
    /// The file system refused.
    #[error("{what} the root key file {path} failed; check its owner and permissions, and those of its directory", path = path.display())]
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
        "the root key file {path} can be read by others (mode {mode:03o}); run `chmod 600` on it and, if it is not \
         known who has read it, treat every pseudonym as exposed",
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
        "the root key file {path} belongs to the user with the number {owner}; run `chown` on it, so that it belongs \
         to the user that the collector runs as",
        path = path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// It is a directory, a pipe or a device.
    #[error("{path} is not a file; name the root key's own file", path = path.display())]
    NotAFile {
        /// What was named.
        path: PathBuf,
    },
    /// It holds something else.
    #[error(
        "{place} does not hold a root key: {cause}; if there is data already, put its key back from your backup"
    )]
    NotAKey {
        /// The file or the variable.
        place: String,
        /// What is wrong with it.
        cause: KeyError,
    },
    /// There is data and no key to it.
    #[error(
        "{data_dir} holds data, but the root key file {path} is missing; put it back from your backup, or name it \
         with `root_key_file` (a new key could not read what is stored)",
        data_dir = data_dir.display(),
        path = path.display()
    )]
    Lost {
        /// The file.
        path: PathBuf,
        /// The data that needs it.
        data_dir: PathBuf,
    },
    /// The system gave no randomness.
    #[error("the system gave no random bytes for a new root key; start again")]
    Entropy,
}

/// Gets the root key; at the first start, makes it.
pub(super) fn get(source: &RootKeySource, data_dir: &Path) -> Result<RootKey, RootKeyError> {
    match source {
        RootKeySource::Given(text) => parse(text, &format!("the environment variable {ROOT_KEY_VARIABLE}")),
        RootKeySource::File(path) => read_file(path)?.map_or_else(|| make(path, data_dir), Ok),
    }
}

/// Looks whether [`get`] would give a key to `runner`, and makes none.
pub(super) fn look(source: &RootKeySource, data_dir: &Path, runner: &Runner) -> Result<(), RootKeyError> {
    match source {
        RootKeySource::Given(_) => get(source, data_dir).map(drop),
        RootKeySource::File(path) => {
            read_for(path, runner)?.map_or_else(|| may_make(path, data_dir), |_| Ok(()))
        }
    }
}

/// Gets a root key that must be there.
///
/// # Errors
/// If it is missing, can be read by others, or is none.
pub fn read_root_key(source: &RootKeySource) -> Result<RootKey, RootKeyError> {
    match source {
        RootKeySource::Given(text) => parse(text, &format!("the environment variable {ROOT_KEY_VARIABLE}")),
        RootKeySource::File(path) => {
            let missing = std::io::Error::from(ErrorKind::NotFound);
            let absent = || RootKeyError::File { what: "opening", path: path.clone(), source: missing };
            read_file(path)?.ok_or_else(absent)
        }
    }
}

/// Reads the key in a file; `None` if there is no such file.
pub(super) fn read_file(path: &Path) -> Result<Option<RootKey>, RootKeyError> {
    read_for(path, &Runner::present())
}

fn read_for(path: &Path, runner: &Runner) -> Result<Option<RootKey>, RootKeyError> {
    // A pipe without a writer would hold up the start for ever.
    let at_once = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    match OpenOptions::new().read(true).custom_flags(at_once).open(path) {
        Ok(file) => read(file, path, runner).map(Some),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(RootKeyError::File { what: "opening", path: path.to_owned(), source }),
    }
}

fn parse(text: &str, place: &str) -> Result<RootKey, RootKeyError> {
    RootKey::from_hex(text).map_err(|cause| RootKeyError::NotAKey { place: place.to_owned(), cause })
}

fn read(file: File, path: &Path, runner: &Runner) -> Result<RootKey, RootKeyError> {
    let failed = |source| RootKeyError::File { what: "reading", path: path.to_owned(), source };
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(RootKeyError::NotAFile { path: path.to_owned() });
    }
    if let Some(refused) = judge(&metadata, path, runner) {
        return Err(refused);
    }
    let mut text = Zeroizing::new(String::new());
    match file.take(FILE_BYTES).read_to_string(&mut text) {
        Ok(_) => parse(&text, &path.display().to_string()),
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            Err(RootKeyError::NotAKey { place: path.display().to_string(), cause: KeyError::Form })
        }
        Err(source) => Err(failed(source)),
    }
}

/// What is wrong with who can read the file of a key, or replace it.
fn judge(metadata: &Metadata, path: &Path, runner: &Runner) -> Option<RootKeyError> {
    let (owner, mode, path) = (metadata.uid(), metadata.mode() & 0o777, path.to_owned());
    if !runner.trusts(owner) {
        return Some(RootKeyError::Foreign { path, owner });
    }
    (exposed(owner, runner.user(), mode) != 0).then_some(RootKeyError::Exposed { path, mode })
}

/// The same of a file that may not be there. Does not read it.
pub(super) fn exposed_file(path: &Path, runner: &Runner) -> Option<RootKeyError> {
    judge(&std::fs::metadata(path).ok()?, path, runner)
}

/// No key is made beside data that needs another.
fn may_make(path: &Path, data_dir: &Path) -> Result<(), RootKeyError> {
    let holds_data = std::fs::read_dir(data_dir).is_ok_and(|mut entries| entries.next().is_some());
    if holds_data {
        return Err(RootKeyError::Lost { path: path.to_owned(), data_dir: data_dir.to_owned() });
    }
    Ok(())
}

fn make(path: &Path, data_dir: &Path) -> Result<RootKey, RootKeyError> {
    may_make(path, data_dir)?;
    let mut entropy = Zeroizing::new([0; 32]);
    rand::TryRng::try_fill_bytes(&mut rand::rngs::SysRng, entropy.as_mut())
        .map_err(|_| RootKeyError::Entropy)?;
    let text = RootKey::to_hex(&entropy);
    write(path, &text).map_err(|source| RootKeyError::File {
        what: "making",
        path: path.to_owned(),
        source,
    })?;
    tracing::warn!(
        path = %path.display(),
        "made a new root key: back this file up apart from the data, without it nothing that is stored can be read"
    );
    parse(&text, &path.display().to_string())
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

    fn source(dir: &Path) -> RootKeySource {
        RootKeySource::File(dir.join("data.key"))
    }

    #[test]
    fn the_first_start_makes_a_key_that_the_second_start_reads() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let made = get(&source(dir.path()), &data).unwrap();
        let mode = std::fs::metadata(dir.path().join("data.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::create_dir(&data).unwrap();
        std::fs::write(data.join("CURRENT"), "x").unwrap();
        assert_eq!(made.check(), get(&source(dir.path()), &data).unwrap().check());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "the draft is gone");
    }

    #[test]
    fn a_key_is_never_made_beside_data_that_needs_another() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("CURRENT"), "x").unwrap();
        let lost = get(&RootKeySource::File(dir.path().join("../no-such.key")), dir.path());
        assert!(matches!(lost, Err(RootKeyError::Lost { .. })));
    }

    #[test]
    fn a_key_that_others_can_read_or_that_is_no_key_is_refused_without_showing_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data.key");
        for (text, mode, expected) in [
            ("0ab1".repeat(16), 0o640, "can be read by others (mode 640)"),
            ("0ab1".repeat(16), 0o604, "can be read by others (mode 604)"),
            ("0ab1".repeat(15), 0o600, "does not hold a root key"),
            ("zz".repeat(32), 0o600, "does not hold a root key"),
            (String::new(), 0o600, "does not hold a root key"),
            ("0ab1".repeat(500), 0o600, "does not hold a root key"),
        ] {
            std::fs::write(&path, &text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let message = get(&source(dir.path()), &dir.path().join("data")).err().unwrap().to_string();
            assert!(message.contains(expected), "{message}");
            assert!(!message.contains("0ab1") && !message.contains("zz"), "{message}");
        }
    }

    #[test]
    fn the_environment_goes_before_the_file() {
        let given = RootKeySource::Given(Zeroizing::new("0ab1".repeat(16)));
        assert!(get(&given, Path::new("/nonexistent")).is_ok());
        let short = RootKeySource::Given(Zeroizing::new("0ab1".repeat(3)));
        assert!(
            get(&short, Path::new("/nonexistent")).err().unwrap().to_string().contains(ROOT_KEY_VARIABLE)
        );
    }
}
