//! What a value that is stored in one form becomes under a plan that asks for another: the stricter of the two, or
//! nothing where neither is. Never more than is stored.

use super::stored::StoredSpec;
use crate::model::IdentifierClass;
use crate::policy::{Action, Epoch, Form, Generalise};

/// What was done to a stored value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    /// Nothing is stored of it.
    Dropped,
    Kept,
    /// A number, rounded down to a multiple of this.
    Bucket(u64),
    /// A pseudonym: of the rotation epoch, or stable.
    Pseudonym(Option<u32>),
    Generalised,
    Vocabulary,
    Redacted,
    /// In a form that this program does not write.
    Unknown,
}

impl Done {
    /// What the table says of a field of this class.
    pub(super) fn of(spec: &StoredSpec<'_>) -> Self {
        match spec.treatment {
            b"drop" => Self::Dropped,
            b"keep" => Self::Kept,
            b"pseudonym" => pseudonym_of(spec.prefix, spec.class).unwrap_or(Self::Unknown),
            b"generalise" if spec.bucket > 0 => Self::Bucket(spec.bucket),
            b"generalise" => Self::Generalised,
            b"vocabulary" => Self::Vocabulary,
            b"redact" => Self::Redacted,
            _ => Self::Unknown,
        }
    }

    /// What the head says of the customer or the instance.
    pub(super) fn of_party(prefix: &[u8], class: IdentifierClass) -> Self {
        if prefix.is_empty() {
            return Self::Kept;
        }
        pseudonym_of(prefix, class.as_str().as_bytes()).unwrap_or(Self::Unknown)
    }
}

/// What a prefix such as `p1-host_name-r690-` says; `s` in place of an epoch is a stable pseudonym.
fn pseudonym_of(prefix: &[u8], class: &[u8]) -> Option<Done> {
    let rest = prefix.strip_prefix(b"p1-")?.strip_prefix(class)?.strip_prefix(b"-")?.strip_suffix(b"-")?;
    match rest {
        b"s" => Some(Done::Pseudonym(None)),
        [b'r', number @ ..] => {
            std::str::from_utf8(number).ok()?.parse().ok().map(|epoch| Done::Pseudonym(Some(epoch)))
        }
        _ => None,
    }
}

/// What is to be done to a stored value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// It goes.
    Drop,
    /// It stays.
    Same,
    /// The plan's action treats it like a raw value.
    Treat,
    /// A stable pseudonym becomes the rotating one.
    Rotate,
    /// Redacted text is redacted further.
    Redact,
    /// It stays if the vocabulary of the redaction lists it, else it becomes `other`.
    List,
}

/// Whose words say what was done in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Says {
    /// Those of the plan.
    Plan,
    /// Those of the stored batch, which was stricter.
    Stored,
}

/// The stricter of what was done and what the plan does. `same_class` tells whether both speak of one identifier
/// class; `epoch` is the rotation epoch of the time when the batch was received.
pub(super) fn step(done: Done, same_class: bool, action: &Action, epoch: u32) -> (Step, Says) {
    match (done, action) {
        // Redacting finds the identifiers that other fields of the request name. Of those, what the level has not
        // kept is not known any more, so text that was kept cannot be redacted as it would have been at once.
        (_, Action::Withhold(_)) | (Done::Kept, Action::Redact(_)) => (Step::Drop, Says::Plan),
        (Done::Dropped, _) => (Step::Drop, Says::Stored),
        (Done::Kept, _)
        | (Done::Vocabulary | Done::Redacted, Action::Vocabulary(_) | Action::Keep(Form::Vocabulary(_))) => {
            (Step::Treat, Says::Plan)
        }
        (Done::Generalised, Action::Generalise(_)) if same_class => (Step::Treat, Says::Plan),
        (
            Done::Bucket(width),
            Action::Keep(Form::Bucket(wider)) | Action::Generalise(Generalise::Bucket(wider)),
        ) => bucket(width, *wider),
        (Done::Pseudonym(made), Action::Pseudonym { epoch: wanted, .. }) if same_class => {
            pseudonym(made, *wanted, epoch)
        }
        (Done::Pseudonym(_) | Done::Generalised, Action::Keep(Form::Any { .. })) if same_class => {
            (Step::Same, Says::Stored)
        }
        (Done::Vocabulary, Action::Redact(_)) => (Step::List, Says::Stored),
        (Done::Redacted, Action::Redact(_)) => (Step::Redact, Says::Plan),
        (Done::Bucket(_) | Done::Vocabulary | Done::Redacted, Action::Keep(Form::Any { .. })) => {
            (Step::Same, Says::Stored)
        }
        // Two that cannot be compared, or a form that is not known.
        _ => (Step::Drop, Says::Plan),
    }
}

/// A wider bucket is made of narrower ones only if they fit into it.
fn bucket(width: u64, wanted: u64) -> (Step, Says) {
    if wanted.checked_rem(width) == Some(0) {
        (Step::Treat, Says::Plan)
    } else if width.checked_rem(wanted) == Some(0) {
        (Step::Same, Says::Stored)
    } else {
        (Step::Drop, Says::Plan)
    }
}

/// A rotating pseudonym stays what it is, whatever the plan would reveal.
fn pseudonym(made: Option<u32>, wanted: Epoch, epoch: u32) -> (Step, Says) {
    match (made, wanted) {
        (None, Epoch::Stable) => (Step::Same, Says::Plan),
        (None, Epoch::Rotating) => (Step::Rotate, Says::Plan),
        (Some(made), Epoch::Rotating) if made == epoch => (Step::Same, Says::Plan),
        (Some(_), Epoch::Rotating | Epoch::Stable) => (Step::Same, Says::Stored),
    }
}

#[cfg(test)]
#[path = "lower_step_tests.rs"]
mod tests;
