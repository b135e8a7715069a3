//! Participations: checked against the policy in force, set in the store, read back, imported.

use tonic::Streaming;

use super::aside;
use super::convert::{participation, written};
use crate::amend::Amend;
use crate::grpc::proto::admin as pb;
use crate::grpc::status::{Cause, Fault};
use crate::ledger::{Refusal, Refusals};
use crate::model::{Change, Participation};
use crate::policy::{Handle, Policy};
use crate::store::{NewChange, SetError, SetOutcome, Store};

/// Participations in one message of an import, and so in one write to the store.
const IMPORTED: usize = 1000;
/// Failures that an import names.
const FAILURES: usize = 100;
/// How often a change is made again because another one came between. One customer named more often
/// than this in one message of an import is refused.
pub(super) const ATTEMPTS: u32 = 8;
/// Bytes of who and why.
const BY_BYTES: usize = 128;
const REASON_BYTES: usize = 512;

/// Who asks for a change, and why.
#[derive(Clone)]
pub(super) struct Warrant {
    by: String,
    reason: String,
}

impl Warrant {
    pub(super) fn new(by: &str, reason: &str) -> Result<Self, Fault> {
        Ok(Self {
            by: written("changed_by", by, BY_BYTES)?,
            reason: written("change_reason", reason, REASON_BYTES)?,
        })
    }

    pub(super) fn change(&self, participation: Participation, if_revision: Option<u64>) -> NewChange {
        NewChange { participation, by: self.by.clone(), reason: self.reason.clone(), if_revision }
    }
}

/// The registry of participations.
pub(super) struct Registry {
    pub(super) store: Store,
    pub(super) policy: Handle,
    /// What makes stored batches follow a change.
    pub(super) amend: Amend,
    /// Where what is refused is counted for the ledger.
    pub(super) refusals: Refusals,
}

impl Registry {
    /// Has what is stored follow a change.
    pub(super) fn follow(&self, outcome: &SetOutcome) {
        if outcome.changed {
            self.amend.participation_changed(outcome.key);
        }
    }

    /// Sets one participation.
    pub(super) async fn set(&self, request: pb::SetParticipationRequest) -> Result<Change, Fault> {
        let given = request.participation.ok_or_else(|| Fault::field("participation", "say what to set"))?;
        let warrant = Warrant::new(&request.changed_by, &request.change_reason)?;
        let if_revision = Some(request.if_revision).filter(|revision| *revision != 0);
        match self.apply(&warrant, vec![given], if_revision).await?.pop() {
            Some((_, outcome)) => Ok(outcome?.change),
            None => Err(Fault::of(Cause::Internal, "the store did not say what became of the change")),
        }
    }

    /// Sets each of `given`, and says by its place what became of it. What is not named is taken over
    /// from the revision that the change is made from, and no other: if there is a newer one by
    /// then, the change is made again, so that nothing that was withdrawn meanwhile comes back.
    async fn apply(
        &self,
        warrant: &Warrant,
        given: Vec<pb::Participation>,
        if_revision: Option<u64>,
    ) -> Result<Vec<(usize, Result<SetOutcome, Fault>)>, Fault> {
        let mut done = Vec::with_capacity(given.len());
        let mut open: Vec<(usize, pb::Participation)> = given.into_iter().enumerate().collect();
        for attempt in 1..=ATTEMPTS {
            let (store, policy, refusals) = (self.store.clone(), self.policy.load(), self.refusals.clone());
            let checking = aside(move || {
                let checked = open.into_iter().map(|(at, given)| {
                    let checked = checked((&store, &policy, &refusals), &given, if_revision);
                    (at, given, checked)
                });
                checked.collect::<Vec<_>>()
            });
            let (mut changes, mut sent) = (Vec::new(), Vec::new());
            for (at, given, checked) in checking.await? {
                match checked {
                    Ok((participation, revision)) => {
                        changes.push(warrant.change(participation, Some(revision)));
                        sent.push((at, given));
                    }
                    Err(fault) => done.push((at, Err(fault))),
                }
            }
            open = Vec::new();
            if changes.is_empty() {
                break;
            }
            for ((at, given), outcome) in sent.into_iter().zip(self.store.set_participation(changes).await?) {
                match outcome {
                    Err(SetError::Revision { .. }) if if_revision.is_none() && attempt < ATTEMPTS => {
                        open.push((at, given));
                    }
                    outcome => {
                        if let Ok(outcome) = &outcome {
                            self.follow(outcome);
                        }
                        done.push((at, outcome.map_err(Fault::from)));
                    }
                }
            }
        }
        done.sort_by_key(|(at, _)| *at);
        Ok(done)
    }

    /// Sets what comes, message by message; what is wrong is reported and passed over.
    pub(super) async fn import(
        &self,
        mut requests: Streaming<pb::ImportParticipationsRequest>,
        by: impl Fn(&str) -> String,
    ) -> Result<pb::ImportParticipationsResponse, Fault> {
        let mut report = pb::ImportParticipationsResponse::default();
        let mut warrant: Option<Warrant> = None;
        let mut index = 0_u64;
        let broken = |status: tonic::Status| {
            let ended =
                [tonic::Code::Unauthenticated, tonic::Code::PermissionDenied].contains(&status.code());
            let cause = if ended { Cause::EndedCredential } else { Cause::Malformed };
            Fault::of(cause, "the import broke off; what was set before it stays set")
        };
        while let Some(request) = requests.message().await.map_err(broken)? {
            let warrant = match &warrant {
                Some(warrant) => warrant,
                None => warrant.insert(Warrant::new(&by(&request.changed_by), &request.change_reason)?),
            };
            if request.participations.len() > IMPORTED {
                return Err(Fault::field("participations", "at most 1000 are allowed in one message"));
            }
            let many = u64::try_from(request.participations.len()).unwrap_or(u64::MAX);
            let outcomes = self.apply(warrant, request.participations, None).await?;
            for (at, outcome) in outcomes {
                match outcome {
                    Ok(outcome) if outcome.changed => report.changed = report.changed.saturating_add(1),
                    Ok(_) => report.unchanged = report.unchanged.saturating_add(1),
                    Err(fault) => {
                        let at = u64::try_from(at).unwrap_or(u64::MAX);
                        fail(&mut report, index.saturating_add(at), &fault);
                    }
                }
            }
            index = index.saturating_add(many);
        }
        Ok(report)
    }
}

/// The participation that a caller describes, with every name in it known to the policy, and the
/// revision that it is made from. Blocks.
fn checked(
    (store, policy, refusals): (&Store, &Policy, &Refusals),
    given: &pb::Participation,
    if_revision: Option<u64>,
) -> Result<(Participation, u64), Fault> {
    let mut participation = participation(given)?;
    policy.check_participation(&participation).map_err(|faults| {
        let mut products = participation.product_levels.iter().map(|stricter| &stricter.product);
        let mut accepted = participation.accepted_dictionaries.keys();
        let is_unknown = |product| policy.product(product).is_none();
        let what = if products.any(is_unknown) || accepted.any(is_unknown) {
            Refusal::UnknownProduct
        } else {
            Refusal::UnknownLevel
        };
        refusals.count(what);
        Fault::field("participation", faults.join("; "))
    })?;
    let present = store.history(&participation.customer, None, 1)?.pop();
    let revision = present.as_ref().map_or(0, |change| change.revision);
    if let Some(expected) = if_revision.filter(|expected| *expected != revision) {
        return Err(Fault::from(SetError::Revision { expected, present: revision }));
    }
    accept(&mut participation, present.as_ref().map(|change| &change.participation), policy);
    Ok((participation, revision))
}

/// Notes what dictionaries are accepted without being named: those that were before, and when a
/// participation is first set, those that there are. A product that comes later is not accepted
/// until a request names it. Pure.
fn accept(participation: &mut Participation, before: Option<&Participation>, policy: &Policy) {
    match before {
        None => policy.accept_current(participation),
        Some(before) => {
            for (product, version) in &before.accepted_dictionaries {
                participation.accepted_dictionaries.entry(product.clone()).or_insert(*version);
            }
        }
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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;
    use crate::model::{CustomerId, ProductName};
    use crate::policy::{compile, shipped};

    #[test]
    fn only_the_first_participation_accepts_what_it_does_not_name() {
        let (policy, _notes) = compile(&shipped()).unwrap();
        let none = || Participation::none(CustomerId::new("acme").unwrap());
        let mut first = none();
        accept(&mut first, None, &policy);
        assert_eq!(first.accepted_dictionaries.len(), policy.products().len());

        let product = ProductName::new("vcenter").unwrap();
        let mut before = none();
        before.accepted_dictionaries.insert(product.clone(), 1);
        let mut later = none();
        accept(&mut later, Some(&before), &policy);
        assert_eq!(later.accepted_dictionaries, before.accepted_dictionaries, "no new product comes in");

        let mut withdrawn = none();
        withdrawn.accepted_dictionaries.insert(product.clone(), 0);
        accept(&mut withdrawn, Some(&before), &policy);
        assert_eq!(withdrawn.accepted_dictionaries.get(&product), Some(&0), "what is named holds");
    }
}
