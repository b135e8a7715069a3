//! Files and directories of which a change is noticed: by the system, which tells of the directories that it was shown; and
//! by looking, because a directory that is put in the place of another, or a link that is switched, is told by nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;

use super::readings::SLOW;

/// Editors write a file in several steps, and a checkout writes many: wait until it has been quiet for so long.
const QUIET: Duration = Duration::from_millis(300);
/// How often it is waited for that: something else may be written there all the time.
const QUIET_TRIES: u32 = 10;
/// How often it is looked. Nothing but the metadata of some files is read.
pub(super) const LOOKED_EVERY: Duration =
    if cfg!(test) { Duration::from_millis(50) } else { Duration::from_secs(15) };
/// How many files of a directory are looked at: more than a policy may have.
const MOST: usize = 4_096;

/// What is watched. Clones share it.
#[derive(Clone)]
pub(super) struct Watch(Arc<Inner>);

struct Inner {
    what: What,
    rung: Arc<Notify>,
    /// Whoever looks now.
    looking: Arc<Semaphore>,
    /// Never locked while a file or directory is looked at.
    state: Mutex<State>,
}

/// What is watched.
enum What {
    /// Files, each of which may be replaced.
    Files(Vec<PathBuf>),
    /// A directory, and those in it.
    Directory(PathBuf),
}

struct State {
    /// What there was when it was read last.
    seen: Print,
    /// Watches as long as it lives; nothing, if the system cannot.
    watcher: Option<RecommendedWatcher>,
    /// Whether it was said that the system cannot.
    is_told: bool,
}

impl State {
    fn watch(&mut self, made: notify::Result<RecommendedWatcher>) {
        match made {
            Ok(watcher) => (self.watcher, self.is_told) = (Some(watcher), false),
            Err(error) => {
                self.watcher = None;
                if !std::mem::replace(&mut self.is_told, true) {
                    tracing::warn!(%error, "files cannot be watched, and are looked at every 15 s instead");
                }
            }
        }
    }
}

/// Tells what is there from what was there before.
#[derive(Default, PartialEq, Eq)]
struct Print {
    /// The directories that the system is to tell of, as they are, by device and number.
    directories: BTreeMap<PathBuf, Option<(u64, u64)>>,
    /// Each file and directory that is read, with what changes when it does.
    read: BTreeMap<PathBuf, Option<Stamp>>,
}

/// Device, number, size, and when content and rights were changed last.
type Stamp = (u64, u64, u64, [i64; 4]);

fn stamp(found: &Metadata) -> Stamp {
    let times = [found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec()];
    (found.dev(), found.ino(), found.size(), times)
}

impl Watch {
    /// Watches files, from now on.
    pub(super) fn files(files: impl IntoIterator<Item = PathBuf>) -> Self {
        Self::begin(What::Files(files.into_iter().collect()))
    }

    /// Watches a directory, from now on.
    pub(super) fn directory(dir: &Path) -> Self {
        Self::begin(What::Directory(dir.to_owned()))
    }

    fn begin(what: What) -> Self {
        let state = Mutex::new(State { seen: Print::default(), watcher: None, is_told: false });
        let looking = Arc::new(Semaphore::new(1));
        let watch = Self(Arc::new(Inner { what, rung: Arc::default(), looking, state }));
        watch.renew();
        watch
    }

    /// Watches what is there now, in the place of what was there; gives whether the system does. To be called before it is
    /// read, so that no change falls in between. Blocks.
    pub(super) fn renew(&self) -> bool {
        let found = self.0.what.print();
        let is_watched = {
            let state = self.0.state();
            state.watcher.is_some() && found.directories == state.seen.directories
        };
        let made = (!is_watched).then(|| self.0.watcher(&found));
        let mut state = self.0.state();
        if let Some(made) = made {
            state.watch(made);
        }
        state.seen = found;
        state.watcher.is_some()
    }

    /// Tells of a change that nobody else can have seen.
    pub(super) fn ring(&self) {
        self.0.rung.notify_one();
    }

    /// Waits for a change, and until it is over; for a while. Gives whether there was one.
    pub(super) async fn changed(&self) -> bool {
        if timeout(LOOKED_EVERY, self.0.rung.notified()).await.is_err() {
            // What takes too long to look at is to be read, which tells that its disk does not answer; and to be looked at
            // by nobody else meanwhile.
            let Ok(alone) = Arc::clone(&self.0.looking).try_acquire_owned() else { return false };
            let watch = self.clone();
            let looked = tokio::task::spawn_blocking(move || {
                let _alone = alone;
                watch.is_another()
            });
            if !timeout(SLOW, looked).await.map_or(true, Result::unwrap_or_default) {
                return false;
            }
        }
        for _ in 0..QUIET_TRIES {
            if timeout(QUIET, self.0.rung.notified()).await.is_err() {
                break;
            }
        }
        true
    }

    /// Whether something else is there than what was read last.
    fn is_another(&self) -> bool {
        let found = self.0.what.print();
        let is_watched = {
            let state = self.0.state();
            if found != state.seen {
                return true;
            }
            state.watcher.is_some()
        };
        if !is_watched {
            let made = self.0.watcher(&found);
            self.0.state().watch(made);
        }
        false
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the system tell of the directories.
    fn watcher(&self, print: &Print) -> notify::Result<RecommendedWatcher> {
        let ring = Arc::clone(&self.rung);
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| !event.kind.is_access()) {
                ring.notify_one();
            }
        })?;
        match &self.what {
            What::Files(_) => {
                let mut dirs = print.directories.keys();
                dirs.try_for_each(|dir| watcher.watch(dir, RecursiveMode::NonRecursive))?;
            }
            What::Directory(dir) => watcher.watch(dir, RecursiveMode::Recursive)?,
        }
        Ok(watcher)
    }
}

impl What {
    fn print(&self) -> Print {
        let mut print = Print::default();
        match self {
            Self::Files(files) => {
                let dirs: BTreeSet<PathBuf> = files.iter().filter_map(|file| directory(file)).collect();
                print.directories.extend(dirs.into_iter().map(|dir| {
                    let is = identity(&dir);
                    (dir, is)
                }));
                print.read.extend(files.iter().map(|file| (file.clone(), of(file))));
            }
            Self::Directory(dir) => print.walk(dir, 0),
        }
        print
    }
}

impl Print {
    /// The directory, what is in it, and what is in those in it. What begins with a dot is not read.
    fn walk(&mut self, dir: &Path, depth: u8) {
        self.directories.insert(dir.to_owned(), identity(dir));
        self.read.insert(dir.to_owned(), of(dir));
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten().take(MOST) {
            let (path, name) = (entry.path(), entry.file_name());
            if name.as_encoded_bytes().starts_with(b".") {
                continue;
            }
            if depth == 0 && path.is_dir() {
                self.walk(&path, 1);
            } else if path.extension().is_some_and(|end| end == "toml") {
                self.read.insert(path.clone(), of(&path));
            }
        }
    }
}

fn of(path: &Path) -> Option<Stamp> {
    std::fs::metadata(path).ok().as_ref().map(stamp)
}

fn identity(dir: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(dir).ok().map(|found| (found.dev(), found.ino()))
}

/// The directory in which a file is replaced.
fn directory(file: &Path) -> Option<PathBuf> {
    let parent = file.parent()?;
    Some(if parent.as_os_str().is_empty() { PathBuf::from(".") } else { parent.to_owned() })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::fs;

    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    /// Waits for a change, and takes note of it as whoever reads does.
    async fn told(watch: &Watch, what: &str) {
        let changes = async { while !watch.changed().await {} };
        assert!(tokio::time::timeout(LONG, changes).await.is_ok(), "{what} is not told");
        watch.renew();
    }

    fn policy(dir: &Path, text: &str) {
        fs::create_dir_all(dir.join("programs")).unwrap();
        fs::write(dir.join("programs/ceip.toml"), text).unwrap();
    }

    // covers: P5
    #[tokio::test]
    async fn a_directory_in_the_place_of_another_is_watched_from_then_on() {
        let home = tempfile::tempdir().unwrap();
        let [live, old, new] = ["live", "old", "new"].map(|name| home.path().join(name));
        policy(&live, "1");
        let watch = Watch::directory(&live);
        for round in 0..3 {
            policy(&new, "2");
            fs::rename(&live, &old).unwrap();
            fs::rename(&new, &live).unwrap();
            told(&watch, "the directory").await;
            // By the system, not by looking.
            let rung = Arc::clone(&watch.0.rung);
            fs::write(live.join("programs/ceip.toml"), format!("{round}")).unwrap();
            assert!(tokio::time::timeout(LONG, rung.notified()).await.is_ok(), "an edit in it");
            told(&watch, "an edit in it").await;
            fs::remove_dir_all(&old).unwrap();
        }
    }

    // covers: P5
    #[tokio::test]
    async fn a_link_that_is_switched_is_seen_and_what_it_leads_to_is_watched_from_then_on() {
        let home = tempfile::tempdir().unwrap();
        let [live, link, a, b] = ["live", "link", "a", "b"].map(|name| home.path().join(name));
        policy(&a, "1");
        policy(&b, "2");
        std::os::unix::fs::symlink(&a, &live).unwrap();
        let (dir, file) = (Watch::directory(&live), Watch::files([live.join("programs/ceip.toml")]));
        for target in [&b, &a, &b] {
            std::os::unix::fs::symlink(target, &link).unwrap();
            fs::rename(&link, &live).unwrap();
            for watch in [&dir, &file] {
                told(watch, "the link").await;
            }
            fs::write(target.join("programs/ceip.toml"), "3").unwrap();
            for watch in [&dir, &file] {
                assert!(tokio::time::timeout(LONG, watch.0.rung.notified()).await.is_ok(), "an edit in it");
                watch.renew();
            }
        }
    }

    #[tokio::test]
    async fn what_is_not_there_is_told_when_it_comes_and_what_was_read_is_not_told_again() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("later");
        let watch = Watch::directory(&dir);
        assert!(!watch.is_another() && !watch.renew(), "there is nothing to watch");
        policy(&dir, "1");
        told(&watch, "the directory").await;
        assert!(!watch.is_another() && watch.renew());
        fs::set_permissions(dir.join("programs"), std::os::unix::fs::PermissionsExt::from_mode(0o711))
            .unwrap();
        assert!(watch.is_another(), "who may read it is another");
    }
}
