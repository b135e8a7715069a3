//! What the last reloads did: of the policy, and of the configuration.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::grpc::proto::admin as pb;
use crate::grpc::status::{Cause, Fault};
use crate::grpc::times::timestamp;
use crate::model::UnixMillis;

/// Mistakes of what was refused that are told with the state; the log has all.
const PROBLEMS: usize = 20;

/// Files on a disk that does not answer are not asked for sooner than that.
const AGAIN: Duration = Duration::from_secs(10);

/// Loads the policy directory again: the version now in force and whether it changed.
pub type Reload = Arc<dyn Fn() -> Reloading + Send + Sync>;

/// A reload under way, which ends in bounded time.
pub type Reloading = Pin<Box<dyn Future<Output = Result<(String, bool), NotReloaded>> + Send>>;

/// Why the policy was not loaded again. The one in force stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotReloaded {
    /// Every mistake in the files.
    Refused(String),
    /// The disk of the files does not answer.
    Hangs,
    /// A mistake in the collector.
    Failed,
}

impl From<NotReloaded> for Fault {
    fn from(why: NotReloaded) -> Self {
        match why {
            NotReloaded::Refused(problems) => Self::of(Cause::PolicyRefused, problems),
            NotReloaded::Hangs => {
                let told = "the disk of the policy does not answer, and the policy in force stays; look at its mount. \
                            The files are taken over by themselves when they can be read";
                Self::of(Cause::PolicyUnread, told).spread(AGAIN)
            }
            NotReloaded::Failed => {
                Self::of(Cause::Internal, "the collector failed on this request; it is logged")
            }
        }
    }
}

/// What became of a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReloadOutcome {
    /// Something else is in force.
    TakenOver,
    /// What is in force is the same.
    Unchanged,
    /// There is a mistake in the files; what was in force before stays.
    Refused,
}

impl ReloadOutcome {
    /// The word for it in logs and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TakenOver => "taken_over",
            Self::Unchanged => "unchanged",
            Self::Refused => "refused",
        }
    }
}

/// What the last reload of the policy did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastReload {
    /// When.
    pub at: UnixMillis,
    /// Who or what asked for it: a signal, the admin API, the change of a file.
    pub asked_by: &'static str,
    /// What became of it.
    pub outcome: ReloadOutcome,
    /// The policy in force after it.
    pub policy_version: String,
    /// Every mistake, if it was refused.
    pub problems: Vec<String>,
}

/// What the last reload of the configuration did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastConfiguration {
    /// When.
    pub at: UnixMillis,
    /// Who or what asked for it: a signal, the change of a file.
    pub asked_by: &'static str,
    /// What became of it.
    pub outcome: ReloadOutcome,
    /// Every mistake, if it was refused. None names a customer.
    pub problems: Vec<String>,
    /// The keys that are other than at the start and take a restart, such as `store.segment_bytes`.
    pub need_restart: Vec<String>,
}

/// Both, as they are at each moment; nothing before the first reload of each.
#[derive(Debug, Clone)]
pub struct Reloads {
    /// Of the policy.
    pub policy: watch::Receiver<Option<LastReload>>,
    /// Of the configuration.
    pub configuration: watch::Receiver<Option<LastConfiguration>>,
}

impl Reloads {
    pub(super) fn of_policy(&self) -> Option<pb::PolicyReload> {
        let last = self.policy.borrow().clone()?;
        Some(pb::PolicyReload {
            time: Some(timestamp(last.at)),
            asked_by: last.asked_by.to_owned(),
            outcome: last.outcome.as_str().to_owned(),
            policy_version: last.policy_version,
            problems: last.problems.into_iter().take(PROBLEMS).collect(),
        })
    }

    pub(super) fn of_configuration(&self) -> Option<pb::ConfigurationReload> {
        let last = self.configuration.borrow().clone()?;
        Some(pb::ConfigurationReload {
            time: Some(timestamp(last.at)),
            asked_by: last.asked_by.to_owned(),
            outcome: last.outcome.as_str().to_owned(),
            problems: last.problems.into_iter().take(PROBLEMS).collect(),
            need_restart: last.need_restart,
        })
    }
}
