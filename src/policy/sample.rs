//! Samples for the tests of this room: the shipped policy, with edits.

use super::{Policy, PolicyFile, compile, shipped};
use crate::model::{CustomerId, LevelName, Participation, ProgramName};

/// Replaces a text in one file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Edit {
    pub(super) path: &'static str,
    /// The first `old` after this text is meant.
    pub(super) after: &'static str,
    pub(super) old: &'static str,
    pub(super) new: &'static str,
}

/// The shipped policy.
pub(super) fn policy() -> Policy {
    compile(&shipped()).unwrap_or_else(|problems| panic!("{problems:#?}")).0
}

/// The files with the edit, and the line on which it begins.
pub(super) fn edited(mut files: Vec<PolicyFile>, edit: Edit) -> (Vec<PolicyFile>, usize) {
    let file = files.iter_mut().find(|file| file.path == edit.path).unwrap_or_else(|| panic!("{edit:?}"));
    let start = file.text.find(edit.after).unwrap_or_else(|| panic!("{edit:?}"));
    let (before, rest) = file.text.split_at(start);
    let at = rest.find(edit.old).unwrap_or_else(|| panic!("{edit:?}")) + before.len();
    let line = file.text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
    file.text.replace_range(at..at + edit.old.len(), edit.new);
    (files, line)
}

/// A customer with these levels, each `program=level`.
pub(super) fn customer(levels: &[&str]) -> Participation {
    let mut participation = Participation::none(name::<CustomerId>("acme"));
    for product in ["vcenter", "horizon", "tanzu-cli"] {
        participation.accepted_dictionaries.insert(name(product), 2);
    }
    for level in levels {
        let (program, level) = level.split_once('=').unwrap_or_else(|| panic!("{level}"));
        participation.levels.insert(name::<ProgramName>(program), name::<LevelName>(level));
    }
    participation
}

/// A valid name.
pub(super) fn name<T: std::str::FromStr<Err = crate::model::InvalidId>>(text: &str) -> T {
    text.parse().unwrap_or_else(|fault| panic!("{text}: {fault}"))
}
