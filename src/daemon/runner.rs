//! Who runs the collector: this process, or the user whom root checks a start for.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

/// The user and the groups that files are judged by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runner {
    user: u32,
    groups: Vec<u32>,
    /// The name of the user, where it is known.
    name: Option<String>,
    /// Whether it is another than the one whom this process runs as. Told once: a thread that acts for the user is it.
    is_other: bool,
}

impl Runner {
    /// This process.
    #[must_use]
    pub fn present() -> Self {
        let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let others = rustix::process::getgroups().unwrap_or_default();
        let groups = std::iter::once(group).chain(others.into_iter().map(Gid::as_raw));
        Self { user, groups: groups.collect(), name: None, is_other: false }
    }

    /// Who would start a collector with its data in `data_dir`. That is this process; but root checks for a service
    /// that runs as another user: the one whom the data directory belongs to, or, before there is one, the directory
    /// that it would be made in.
    #[must_use]
    pub fn of_start(data_dir: &Path) -> Self {
        let present = Self::present();
        if present.user != 0 {
            return present;
        }
        let dir = std::path::absolute(data_dir).unwrap_or_else(|_| data_dir.to_owned());
        let found = dir.ancestors().find_map(|dir| std::fs::metadata(dir).ok());
        found.filter(|found| found.uid() != 0).map_or(present, |found| Self::owner(&found))
    }

    /// The owner of something. One that is in no local file of accounts has the group of what it owns.
    fn owner(of: &Metadata) -> Self {
        let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
        let (accounts, groups) = (read("/etc/passwd"), read("/etc/group"));
        listed(&accounts, &groups, of.uid()).unwrap_or_else(|| Self {
            user: of.uid(),
            groups: vec![of.gid()],
            name: None,
            is_other: is_other(of.uid()),
        })
    }

    /// The same user in one more group, which its service manager gives it. It is named as in the file of groups, or by its
    /// number; `None` if there is no such group.
    #[must_use]
    pub fn with_group(mut self, group: &str) -> Option<Self> {
        let groups = || std::fs::read_to_string("/etc/group").unwrap_or_default();
        self.groups.push(group.parse().ok().or_else(|| numbered(&groups(), group))?);
        Some(self)
    }

    /// The number of the user.
    #[must_use]
    pub const fn user(&self) -> u32 {
        self.user
    }

    /// Its first group, by its number.
    pub(super) fn group(&self) -> u32 {
        self.groups.first().copied().unwrap_or_default()
    }

    /// Does `work` with the rights of this user and no others, which for another user takes a thread of its own. What can
    /// be read there is what a collector that the user runs can read.
    ///
    /// # Errors
    /// If this process may not take on the rights of the user.
    pub fn act<T: Send>(&self, work: impl FnOnce() -> T + Send) -> std::io::Result<T> {
        if self.other().is_none() {
            return Ok(work());
        }
        std::thread::scope(|scope| {
            let acting = std::thread::Builder::new().spawn_scoped(scope, || {
                self.take_on()?;
                Ok(work())
            })?;
            acting.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Gives this thread, not the process, the rights of the user.
    fn take_on(&self) -> std::io::Result<()> {
        let groups: Vec<Gid> = self
            .groups
            .iter()
            .filter(|group| **group != u32::MAX)
            .map(|group| Gid::from_raw(*group))
            .collect();
        let (user, group) = (Uid::from_raw(self.user), Gid::from_raw(self.group()));
        set_thread_groups(&groups)?;
        set_thread_res_gid(group, group, group)?;
        set_thread_res_uid(user, user, user)?;
        Ok(())
    }

    pub(super) fn is_in(&self, group: u32) -> bool {
        self.groups.contains(&group)
    }

    /// Whether nobody else can do as they like with what belongs to `owner`.
    pub(super) const fn trusts(&self, owner: u32) -> bool {
        owner == 0 || owner == self.user
    }

    /// Names the user for a person; `None` of the user who reads it.
    #[must_use]
    pub fn other(&self) -> Option<String> {
        let named = |name: &String| format!("{name} (number {})", self.user);
        let told = self.name.as_ref().map_or_else(|| format!("with the number {}", self.user), named);
        self.is_other.then_some(told)
    }

    /// The name of the user, where it is known.
    pub(super) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

fn is_other(user: u32) -> bool {
    user != rustix::process::geteuid().as_raw()
}

/// The number of a group in the text of `/etc/group`.
fn numbered(groups: &str, name: &str) -> Option<u32> {
    let group = groups.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    group.split(':').nth(1)?.parse().ok()
}

/// The user with this number in the texts of `/etc/passwd` and `/etc/group`.
fn listed(accounts: &str, groups: &str, user: u32) -> Option<Runner> {
    let number = |field: Option<&str>| field.and_then(|field| field.parse::<u32>().ok());
    let (name, first) = accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, found) = (fields.next()?, number(fields.nth(1))?);
        (found == user).then_some((name, number(fields.next())?))
    })?;
    let others = groups.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let group = number(fields.nth(2))?;
        fields.next()?.split(',').any(|member| member == name).then_some(group)
    });
    let groups = std::iter::once(first).chain(others).collect();
    Some(Runner { user, groups, name: Some(name.to_owned()), is_other: is_other(user) })
}

#[cfg(test)]
impl Runner {
    /// A user with one group.
    pub(super) fn with(user: u32, group: u32) -> Self {
        Self { user, groups: vec![group], name: None, is_other: is_other(user) }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_the_groups_that_the_files_of_accounts_give_it() {
        let accounts =
            "root:x:0:0:root:/root:/bin/sh\nbroken\nusaged:x:998:997:collector:/var/lib/usaged:/n\n";
        let groups =
            "root:x:0:\nusaged:x:997:\nssl-cert:x:110:www,usaged\nadm:x:4:syslog,usaged2\nbroken:x\n";
        let found = listed(accounts, groups, 998).unwrap();
        assert_eq!((found.user, found.groups.as_slice()), (998, [997, 110].as_slice()));
        assert_eq!(found.other().unwrap(), "usaged (number 998)");
        assert_eq!(listed(accounts, groups, 999), None);
        assert_eq!((numbered(groups, "ssl-cert"), numbered(groups, "ssl")), (Some(110), None));
        let more = found.clone().with_group("55").and_then(|found| found.with_group("root")).unwrap();
        assert!(more.is_in(55) && more.is_in(0) && more.is_in(110) && !found.is_in(55));
        assert_eq!(found.clone().with_group("no such group"), None);
        assert!(found.trusts(0) && found.trusts(998) && !found.trusts(997));
    }

    #[test]
    fn whoever_runs_a_check_is_judged_and_root_judges_by_the_owner_of_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("not/made/yet");
        assert_eq!(Runner::of_start(&data), Runner::present(), "the directory is this user's");
        assert_eq!(Runner::present().other(), None);
        if Runner::present().user() == 0 {
            std::os::unix::fs::chown(dir.path(), Some(64_055), Some(64_056)).unwrap();
            let found = Runner::of_start(&data);
            assert_eq!(found, Runner::with(64_055, 64_056));
            assert_eq!(found.other().unwrap(), "with the number 64055");
            let seen =
                found.act(|| (Runner::present(), std::fs::read_to_string("/proc/self/status").is_ok()));
            let (seen, _) = seen.unwrap();
            assert_eq!((seen.user, seen.groups.contains(&0)), (64_055, false), "{seen:?}");
            let named = found.act(|| found.other()).unwrap();
            assert_eq!(named.as_deref(), Some("with the number 64055"), "also while it is acted for");
            assert_eq!(Runner::present().user(), 0, "no other thread");
        }
    }
}
