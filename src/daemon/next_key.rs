//! The next root key: a file beside that of the present one, with `.next` after its name. An operator puts it
//! there; the store is bound to it; then it is renamed over the present one. A start after a crash in between
//! finds which of the two opens the store, and finishes.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::error::with_causes;
use super::root_key::{RootKeyError, read_file};
use crate::config::{Config, ROOT_KEY_VARIABLE, RootKeySource};
use crate::grpc::RootKeyPlace;
use crate::observe::Clock;
use crate::sanitize::RootKey;
use crate::store::{OpenError, Options, Store};

/// Where the root key is kept.
#[derive(Debug, Clone)]
pub(super) struct KeyFiles {
    /// The present key's file.
    present: PathBuf,
    /// The next key's file.
    next: PathBuf,
    /// Whether the present key comes from the environment, which only the operator can change.
    is_given: bool,
}

impl KeyFiles {
    pub(super) fn new(config: &Config) -> Self {
        let is_given = matches!(config.root_key, RootKeySource::Given(_));
        Self::at(&config.root_key_file, is_given)
    }

    fn at(present: &Path, is_given: bool) -> Self {
        let mut next = present.as_os_str().to_owned();
        next.push(".next");
        Self { present: present.to_owned(), next: next.into(), is_given }
    }

    /// Opens the store with the root key, or with the next one if the store is bound to that already.
    pub(super) fn open(&self, options: &Options, key: &RootKey, clock: &Clock) -> Result<Store, OpenError> {
        let refused = match Store::open(options.clone(), key, clock.clone()) {
            Err(refused @ OpenError::WrongRootKey { .. }) => refused,
            opened => return opened,
        };
        let next = match read_file(&self.next) {
            Ok(Some(next)) => next,
            Ok(None) => return Err(refused),
            Err(error) => {
                tracing::warn!(error = with_causes(&error), "the next root key cannot be read either");
                return Err(refused);
            }
        };
        let store = match Store::open(options.clone(), &next, clock.clone()) {
            // The first refusal names the key that the operator means.
            Err(OpenError::WrongRootKey { .. }) => return Err(refused),
            opened => opened?,
        };
        tracing::warn!(
            "the root key was being changed when the collector ended; the next one opens the store"
        );
        match self.settle(&next) {
            Ok(()) => tracing::info!(path = %self.present.display(), "the next root key is in its place now"),
            Err(remaining_step) => {
                tracing::error!(remaining_step, "the new root key is not in its place yet");
            }
        }
        Ok(store)
    }

    fn is_next(&self, named: &str) -> bool {
        let plain = |path: &Path| std::path::absolute(path).ok();
        named.is_empty() || plain(Path::new(named)).is_some_and(|named| Some(named) == plain(&self.next))
    }
}

impl RootKeyPlace for KeyFiles {
    fn next(&self, named: &str) -> Result<RootKey, String> {
        let next = self.next.display();
        if !self.is_next(named) {
            // Whoever may call does not get to say which files the collector opens.
            return Err(format!(
                "the new key is read from {next} on the collector's host, and from no other file"
            ));
        }
        let how = format!("make one with `(umask 077; openssl rand -hex 32 > {next})`");
        match read_file(&self.next) {
            Ok(Some(key)) => Ok(key),
            Ok(None) => Err(format!("there is no file {next} on the collector's host; {how}")),
            Err(error @ RootKeyError::Exposed { .. }) => {
                Err(format!("{}; better still, delete it and {how}", with_causes(&error)))
            }
            Err(RootKeyError::NotAKey { place, cause }) => {
                Err(format!("{place} does not hold a root key: {cause}"))
            }
            Err(error) => Err(with_causes(&error)),
        }
    }

    fn settle(&self, key: &RootKey) -> Result<(), String> {
        let (present, next) = (self.present.display(), self.next.display());
        if self.is_given {
            return Err(format!(
                "the root key comes from the environment variable {ROOT_KEY_VARIABLE}: put the key in {next} there \
                 before the next start, then delete that file"
            ));
        }
        // Somebody may have written another key there since it was read.
        match read_file(&self.next) {
            Ok(Some(found)) if found.check() == key.check() => {}
            Ok(_) | Err(_) => {
                return Err(format!(
                    "{next} no longer holds the new root key: put that key into {present} by hand"
                ));
            }
        }
        let renamed = std::fs::rename(&self.next, &self.present).and_then(|()| {
            let dir = self.present.parent().filter(|dir| !dir.as_os_str().is_empty());
            File::open(dir.unwrap_or(Path::new(".")))?.sync_all()
        });
        renamed.map_err(|error| {
            format!(
                "renaming {next} to {present} failed ({error}): do so by hand; until then a start tries both"
            )
        })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn put(path: &Path, text: &str, mode: u32) {
        std::fs::write(path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn only_a_sound_key_in_the_one_file_is_taken_and_every_refusal_says_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let files = KeyFiles::at(&dir.path().join("data.key"), false);
        let next = dir.path().join("data.key.next");
        let named = next.display().to_string();
        let key = "0ab1".repeat(16);
        assert!(files.next("").unwrap_err().contains("openssl rand"), "there is none");
        for (text, mode, word) in [
            (key.as_str(), 0o644, "chmod 600"),
            (key.as_str(), 0o620, "chmod 600"),
            ("0ab1", 0o600, "64 hexadecimal digits"),
            ("", 0o600, "64 hexadecimal digits"),
            (&"00".repeat(32), 0o600, "placeholder"),
            (&format!("{key}{key}"), 0o600, "64 hexadecimal digits"),
        ] {
            put(&next, text, mode);
            let refused = files.next(&named).unwrap_err();
            assert!(refused.contains(word) && refused.contains(&named), "{refused}");
            assert!(!refused.contains("0ab1"), "{refused}");
        }
        put(&next, &key, 0o600);
        for other in ["/etc/shadow", "data.key.next", "../data.key.next", &format!("{named}x")] {
            let refused = files.next(other).unwrap_err();
            assert!(refused.contains("no other file") && !refused.contains("shadow"), "{refused}");
        }
        assert!(files.next("").is_ok() && files.next(&named).is_ok());
        std::fs::remove_file(&next).unwrap();
        std::fs::create_dir(&next).unwrap();
        assert!(files.next("").unwrap_err().contains("not a file"));
    }

    #[test]
    fn the_next_key_takes_the_place_of_the_present_one_if_it_is_still_that_key() {
        let dir = tempfile::tempdir().unwrap();
        let (present, next) = (dir.path().join("data.key"), dir.path().join("data.key.next"));
        let files = KeyFiles::at(&present, false);
        put(&present, &"1111111111111112".repeat(4), 0o600);
        put(&next, &"0ab1".repeat(16), 0o600);
        let key = files.next("").unwrap();
        put(&next, &"0ab2".repeat(16), 0o600);
        assert!(files.settle(&key).unwrap_err().contains("by hand"));
        assert!(std::fs::read_to_string(&present).unwrap().starts_with("1111"));
        put(&next, &"0ab1".repeat(16), 0o600);
        assert_eq!(files.settle(&key), Ok(()));
        assert!(!next.exists() && std::fs::read_to_string(&present).unwrap().starts_with("0ab1"));
        // A key from the environment is not ours to replace.
        let given = KeyFiles::at(&present, true);
        put(&next, &"0ab1".repeat(16), 0o600);
        assert!(given.settle(&key).unwrap_err().contains(ROOT_KEY_VARIABLE));
        assert!(next.exists());
    }
}
