//! Who decides in a target: the shipped policy, and a customer with what it chose. Made once; an input costs only what
//! it is.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use usaged::model::{
    CustomerId, CustomerKey, LevelName, Participation, ProgramName, RawText, RegionName, UnixMillis,
    WireError,
};
use usaged::policy::{Ask, Plan, Policy, compile, shipped};
use usaged::sanitize::wire::{Head, ProtoReader};
use usaged::sanitize::{
    Applicant, CustomerSalt, CustomerSecret, DataRoot, Permit, Ratchet, Sanitized, Scratch, Suppressions,
    sanitize,
};

pub const NOW: UnixMillis = UnixMillis(1_790_000_000_123);
pub const EPOCH: u32 = 3;

pub static POLICY: LazyLock<Arc<Policy>> =
    LazyLock::new(|| Arc::new(compile(&shipped()).unwrap_or_else(|wrong| panic!("{wrong:#?}")).0));

pub static SECRET: LazyLock<Arc<CustomerSecret>> = LazyLock::new(|| {
    let (root, salt) = (DataRoot::new([5; 32]), CustomerSalt::new([7; 32]));
    Arc::new(CustomerSecret::derive(&root, &salt, Ratchet::new(0, [6; 32]), CustomerKey(1)))
});

/// What a customer chose, under a policy.
#[derive(Debug, Clone)]
pub struct Desk {
    pub policy: Arc<Policy>,
    pub participation: Participation,
}

impl Desk {
    /// Levels as `program=level`, in a region or in none; everything that the dictionaries have is accepted.
    pub fn new(policy: &Arc<Policy>, levels: &[&str], region: Option<&str>) -> Self {
        let mut participation = Participation::none(CustomerId::new("acme").unwrap());
        for (program, level) in levels.iter().map(|level| level.split_once('=').unwrap()) {
            participation.levels.insert(program.parse().unwrap(), level.parse().unwrap());
        }
        participation.region = region.map(|name| RegionName::new(name).unwrap());
        policy.accept_current(&mut participation);
        Self { policy: Arc::clone(policy), participation }
    }

    fn permit(&self, head: &Head<'_>, suppressed: Option<&Arc<Suppressions>>) -> Permit {
        static NO_CAPS: BTreeMap<ProgramName, LevelName> = BTreeMap::new();
        let applicant = Applicant {
            participation: &self.participation,
            secret: &SECRET,
            caps: &NO_CAPS,
            received: NOW,
            epoch: EPOCH,
            suppressed,
        };
        Permit::grant(Arc::clone(&self.policy), &applicant, head)
    }

    /// As ingest does it.
    pub fn sanitize(
        &self,
        head: &Head<'_>,
        request: &[u8],
        suppressed: Option<&Arc<Suppressions>>,
        scratch: &mut Scratch,
    ) -> Result<Sanitized, WireError> {
        let permit = self.permit(head, suppressed);
        sanitize(&permit, head, ProtoReader::new(request), scratch)
    }

    /// The plan of a program and the accepted version, if the program is above `none`.
    pub fn plan(&self, product: &str, region: &str, program: &ProgramName) -> Option<(Arc<Plan>, u32)> {
        let decision = self.policy.decide(&Ask {
            participation: Some(&self.participation),
            global_caps: &BTreeMap::new(),
            product: RawText::new(product.as_bytes()),
            region: RawText::new(region.as_bytes()),
            level_caps: &[],
        });
        let at = self.policy.program_index(program)?;
        Some((self.policy.plan(decision.plan_key(at, decision.rank(at))?), decision.accepted_version))
    }
}

/// Takes part in everything.
pub static FULL: LazyLock<Desk> =
    LazyLock::new(|| Desk::new(&POLICY, &["ceip=enhanced", "operational=operational"], None));
/// Takes part at the level that keeps nothing that a sender could write freely.
pub static STANDARD: LazyLock<Desk> = LazyLock::new(|| Desk::new(&POLICY, &["ceip=standard"], None));
/// The strictest that stores text at all.
pub static OVERLAY: LazyLock<Desk> =
    LazyLock::new(|| Desk::new(&POLICY, &["ceip=enhanced", "operational=operational"], Some("eea")));
