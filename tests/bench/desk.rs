//! Who decides in a benchmark: the shipped policy, and one customer that takes part.

use std::collections::BTreeMap;
use std::sync::Arc;

use usaged::model::{CustomerId, CustomerKey, LevelName, Participation, ProgramName, UnixMillis};
use usaged::policy::{Policy, compile, shipped};
use usaged::sanitize::wire::{Head, ProtoReader};
use usaged::sanitize::{
    Applicant, CustomerSalt, CustomerSecret, DataRoot, Permit, Ratchet, RootKey, Sanitized, SanitizedBatch,
    Scratch, SealKey, sanitize,
};

/// When every request is received.
pub(crate) const RECEIVED: UnixMillis = UnixMillis(1_800_000_000_000);

pub(crate) struct Desk {
    policy: Arc<Policy>,
    participation: Participation,
    secret: Arc<CustomerSecret>,
    caps: BTreeMap<ProgramName, LevelName>,
}

pub(crate) fn root_key() -> RootKey {
    RootKey::from_hex(&"0123456789abcdef".repeat(4)).unwrap()
}

pub(crate) fn policy() -> Arc<Policy> {
    Arc::new(compile(&shipped()).unwrap().0)
}

fn ceip() -> ProgramName {
    ProgramName::new("ceip").unwrap()
}

/// A participation of `acme` in `ceip`.
pub(crate) fn participation(level: &str) -> Participation {
    let mut participation = Participation::none(CustomerId::new("acme").unwrap());
    for product in ["vcenter", "horizon", "tanzu-cli"] {
        participation.accepted_dictionaries.insert(usaged::model::ProductName::new(product).unwrap(), 2);
    }
    participation.levels.insert(ceip(), LevelName::new(level).unwrap());
    participation
}

impl Desk {
    pub(crate) fn new(level: &str) -> Self {
        let secret = CustomerSecret::derive(
            &DataRoot::new([5; 32]),
            &CustomerSalt::new([7; 32]),
            Ratchet::new(0, [6; 32]),
            CustomerKey(1),
        );
        let (participation, secret) = (participation(level), Arc::new(secret));
        Self { policy: policy(), participation, secret, caps: BTreeMap::new() }
    }

    /// From the bytes of a request to what may be stored of it, as ingest does it.
    pub(crate) fn sanitise(&self, request: &[u8], scratch: &mut Scratch) -> Sanitized {
        let head = Head::read(request).unwrap();
        let applicant = Applicant {
            participation: &self.participation,
            secret: &self.secret,
            caps: &self.caps,
            received: RECEIVED,
            epoch: 0,
            suppressed: None,
        };
        let permit = Permit::grant(Arc::clone(&self.policy), &applicant, &head);
        sanitize(&permit, &head, ProtoReader::new(request), scratch).unwrap()
    }

    /// The one batch of a request all of whose events are stored.
    pub(crate) fn batch(&self, request: &[u8]) -> SanitizedBatch {
        let mut sanitised = self.sanitise(request, &mut Scratch::default());
        assert_eq!(sanitised.tally.accepted, sanitised.tally.received);
        assert_eq!(sanitised.batches.len(), 1);
        sanitised.batches.remove(0)
    }

    pub(crate) fn seal_key(&self) -> Arc<SealKey> {
        self.secret.seal_key(&ceip(), RECEIVED)
    }
}
