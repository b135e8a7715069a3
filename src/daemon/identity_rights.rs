//! Who else could read or change the files that identities come from, and what lies in their place: whoever may change a
//! directory puts another file there, such as root's own of yesterday, which a revocation list was before it named anybody.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::exposure::changeable;
use super::policy_files::is_mounted_read_only;
use super::runner::Runner;

/// Who may read or change a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    /// A secret: nobody else may read it.
    Secret,
    /// Whom to believe: nobody else may change it.
    Trust,
}

/// In a directory with this bit only who owns a file, or the directory, takes it away or puts another in its place.
const STICKY: u32 = 0o1000;

/// What is wrong with who may read or change a file.
pub(super) fn exposed(metadata: &Metadata, holds: Holds, runner: &Runner) -> Option<(String, &'static str)> {
    let (mode, owner) = (metadata.mode() & 0o777, metadata.uid());
    if !runner.trusts(owner) {
        let what = format!("belongs to the user with the number {owner}, who can read and replace it");
        return Some((what, "run `chown` on it, so that it belongs to root or to the user of the collector"));
    }
    if holds == Holds::Secret && super::key_mode::exposed(owner, runner.user(), mode) != 0 {
        let what = format!("can be read by others (mode {mode:03o})");
        // What is root's and read by nobody else could not be read by another user either.
        let remedy = if owner == 0 && runner.user() != 0 {
            "run `chmod 640` on it and, if it is not known who has read it, make a new key"
        } else {
            "run `chmod 600` on it and, if it is not known who has read it, make a new key"
        };
        return Some((what, remedy));
    }
    if mode & 0o022 != 0 {
        let what = format!("can be changed by others (mode {mode:03o}), who could let themselves in");
        return Some((what, "run `chmod go-w` on it"));
    }
    None
}

/// The directories in which others can put another file in the place of `path`, each with what is wrong and what to do:
/// the one that is named, and the one that a link leads to.
pub(super) fn exposed_places(path: &Path, runner: &Runner) -> Vec<(PathBuf, String, &'static str)> {
    let named = (directory(path), path.to_owned());
    let real = std::fs::canonicalize(path).ok();
    let real = real.map(|file| (directory(&file), file));
    // The same directory is told of as it is named.
    let is_same = |dir: &Path| std::fs::canonicalize(&named.0).is_ok_and(|named| named == dir);
    let led_to = real.filter(|(dir, _)| !is_same(dir));
    let places = std::iter::once(named).chain(led_to);
    places.filter_map(|(dir, file)| exposed_place(dir, &file, runner)).collect()
}

fn exposed_place(dir: PathBuf, file: &Path, runner: &Runner) -> Option<(PathBuf, String, &'static str)> {
    let found = std::fs::metadata(&dir).ok()?;
    let (what, remedy) = changeable(&found, runner)?;
    let is_kept = || {
        let own = std::fs::symlink_metadata(file).is_ok_and(|file| runner.trusts(file.uid()));
        found.mode() & STICKY != 0 && own
    };
    // So Kubernetes brings secrets in, as a directory with mode 1777 that nobody in the pod can change.
    let is_fixed = runner.trusts(found.uid()) && (is_kept() || is_mounted_read_only(&dir));
    (!is_fixed).then_some((dir, what, remedy))
}

fn directory(file: &Path) -> PathBuf {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.map_or_else(|| PathBuf::from("."), Path::to_owned)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_directory_that_is_named_and_the_one_that_a_link_leads_to_are_judged_and_the_bit_keeps_what_is_ours()
     {
        let home = tempfile::tempdir().unwrap();
        let [pki, kept] = ["pki", "kept"].map(|name| home.path().join(name));
        let mode = |dir: &Path, mode: u32| {
            std::fs::set_permissions(dir, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        for dir in [&pki, &kept] {
            std::fs::create_dir(dir).unwrap();
            mode(dir, 0o755);
        }
        std::fs::write(kept.join("ca.crl"), "").unwrap();
        std::os::unix::fs::symlink(kept.join("ca.crl"), pki.join("ca.crl")).unwrap();
        let runner = Runner::present();
        let exposed = |runner: &Runner| {
            let places = exposed_places(&pki.join("ca.crl"), runner);
            places.iter().map(|(dir, ..)| dir.file_name().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(exposed(&runner), Vec::<std::ffi::OsString>::new());
        mode(&pki, 0o777);
        assert_eq!(exposed(&runner), ["pki"]);
        mode(&kept, 0o722);
        assert_eq!(exposed(&runner), ["pki", "kept"]);
        // Others may write there, and take nothing away that is not theirs.
        mode(&pki, 0o1777);
        assert_eq!(exposed(&runner), ["kept"]);
        // What is not there can be put there, and who owns a directory does there as they like.
        assert_eq!(exposed_places(&pki.join("later.pem"), &runner).len(), 1);
        if runner.user() == 0 {
            std::os::unix::fs::chown(&pki, Some(64_061), None).unwrap();
            assert_eq!(exposed(&runner), ["pki", "kept"]);
        }
    }
}
