//! Participations: checked against the policy in force, set in the store, read back, imported.

use tonic::Streaming;

use super::convert::{participation, written};
use crate::grpc::proto::admin as pb;
use crate::grpc::status::{Cause, Fault};
use crate::model::{Change, Participation};
use crate::policy::Handle;
use crate::store::{NewChange, SetError, SetOutcome, Store};

/// Participations in one message of an import, and so in one write to the store.
const IMPORTED: usize = 1000;
/// Failures that an import names.
const FAILURES: usize = 100;
/// Bytes of who and why.
const BY_BYTES: usize = 128;
const REASON_BYTES: usize = 512;

/// Who asks for a change, and why.
#[derive(Clone)]
struct Warrant {
    by: String,
    reason: String,
}

impl Warrant {
    fn new(by: &str, reason: &str) -> Result<Self, Fault> {
        Ok(Self {
            by: written("changed_by", by, BY_BYTES)?,
            reason: written("change_reason", reason, REASON_BYTES)?,
        })
    }

    fn change(&self, participation: Participation, if_revision: Option<u64>) -> NewChange {
        NewChange { participation, by: self.by.clone(), reason: self.reason.clone(), if_revision }
    }
}

/// The registry of participations.
pub(super) struct Registry {
    pub(super) store: Store,
    pub(super) policy: Handle,
}

impl Registry {
    /// Sets one participation.
    pub(super) async fn set(&self, request: pb::SetParticipationRequest) -> Result<Change, Fault> {
        let given = request.participation.ok_or_else(|| Fault::field("participation", "say what to set"))?;
        let warrant = Warrant::new(&request.changed_by, &request.change_reason)?;
        let checked = self.checked(&given)?;
        let if_revision = Some(request.if_revision).filter(|revision| *revision != 0);
        let mut outcomes = self.store.set_participation(vec![warrant.change(checked, if_revision)]).await?;
        match outcomes.pop() {
            Some(Ok(outcome)) => Ok(outcome.change),
            Some(Err(refused)) => Err(Fault::from(refused)),
            None => Err(Fault::of(Cause::Internal, "the store did not say what became of the change")),
        }
    }

    /// Sets what comes, message by message; what is wrong is reported and passed over.
    pub(super) async fn import(
        &self,
        mut requests: Streaming<pb::ImportParticipationsRequest>,
    ) -> Result<pb::ImportParticipationsResponse, Fault> {
        let mut report = pb::ImportParticipationsResponse::default();
        let mut warrant: Option<Warrant> = None;
        let mut index = 0_u64;
        let broken =
            |_| Fault::of(Cause::Malformed, "the import broke off; what was set before it stays set");
        while let Some(request) = requests.message().await.map_err(broken)? {
            let warrant = match &warrant {
                Some(warrant) => warrant,
                None => warrant.insert(Warrant::new(&request.changed_by, &request.change_reason)?),
            };
            if request.participations.len() > IMPORTED {
                return Err(Fault::field("participations", "at most 1000 are allowed in one message"));
            }
            self.import_some(warrant, &request.participations, index, &mut report).await?;
            index = index.saturating_add(u64::try_from(request.participations.len()).unwrap_or(u64::MAX));
        }
        Ok(report)
    }

    async fn import_some(
        &self,
        warrant: &Warrant,
        given: &[pb::Participation],
        first: u64,
        report: &mut pb::ImportParticipationsResponse,
    ) -> Result<(), Fault> {
        let mut changes = Vec::with_capacity(given.len());
        let mut places = Vec::with_capacity(given.len());
        for (at, participation) in (first..).zip(given) {
            match self.checked(participation) {
                Ok(checked) => {
                    changes.push(warrant.change(checked, None));
                    places.push(at);
                }
                Err(fault) => fail(report, at, &fault),
            }
        }
        if changes.is_empty() {
            return Ok(());
        }
        let outcomes = self.store.set_participation(changes).await?;
        for (at, outcome) in places.into_iter().zip(outcomes) {
            match outcome {
                Ok(SetOutcome { changed: true, .. }) => report.changed = report.changed.saturating_add(1),
                Ok(SetOutcome { changed: false, .. }) => {
                    report.unchanged = report.unchanged.saturating_add(1);
                }
                Err(refused) => fail(report, at, &Fault::from(refused)),
            }
        }
        Ok(())
    }

    /// The participation that a caller describes, with every name in it known to the policy and a
    /// dictionary version accepted for every product: the one accepted before, else the present one.
    fn checked(&self, given: &pb::Participation) -> Result<Participation, Fault> {
        let mut participation = participation(given)?;
        let policy = self.policy.load();
        policy
            .check_participation(&participation)
            .map_err(|faults| Fault::field("participation", faults.join("; ")))?;
        if let Some(present) = self.store.customer(&participation.customer)? {
            for (product, version) in present.change.participation.accepted_dictionaries {
                participation.accepted_dictionaries.entry(product).or_insert(version);
            }
        }
        policy.accept_current(&mut participation);
        Ok(participation)
    }
}

fn fail(report: &mut pb::ImportParticipationsResponse, index: u64, fault: &Fault) {
    report.failed = report.failed.saturating_add(1);
    if report.failures.len() < FAILURES {
        report.failures.push(pb::ImportFailure { index, message: fault.batch_error().message });
    }
}

impl From<SetError> for Fault {
    fn from(refused: SetError) -> Self {
        let text = refused.to_string();
        match refused {
            SetError::Revision { .. } => Self::of(Cause::RevisionChanged, text).at("if_revision"),
            SetError::TooLong { .. } => Self::field("participation", text),
            SetError::Damaged => Self::of(Cause::Damaged, text),
        }
    }
}
