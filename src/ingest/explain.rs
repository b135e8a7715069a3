//! Explain: what each level would store of a request, byte for byte, from the code that ingest
//! uses. Nothing is stored or counted.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::intake::{Refusal, Rotation};
use crate::model::{
    CustomerId, CustomerKey, LevelName, Participation, ProgramName, Purpose, RawText, RegionName, UnixMillis,
};
use crate::policy::Policy;
use crate::sanitize::wire::{Head, HeadError, ProtoReader};
use crate::sanitize::{Applicant, CustomerSalt, CustomerSecret, Permit, RootKey, Scratch, explain, sanitize};

pub use crate::sanitize::FieldFate;

/// What one level would store.
#[derive(Debug, Clone)]
pub struct LevelExplanation {
    /// The program.
    pub program: ProgramName,
    /// The level.
    pub level: LevelName,
    /// The stored form, a `usaged.drain.v1.Batch`; empty when nothing would be stored.
    pub batch: Vec<u8>,
    /// The fate of every field.
    pub fields: Vec<FieldFate>,
}

/// Asks a policy what it would do.
#[derive(Debug)]
pub struct Explain {
    policy: Arc<Policy>,
    secret: Arc<CustomerSecret>,
    customer: CustomerId,
    region: Option<RegionName>,
    purposes_off: Vec<Purpose>,
    accepted: BTreeMap<crate::model::ProductName, u32>,
    received: UnixMillis,
    rotation: Rotation,
}

impl Explain {
    /// Explains for a made-up customer, whose pseudonyms are of no use: their key is not secret.
    ///
    /// # Errors
    /// Never in practice: the made-up names are valid.
    pub fn for_anyone(
        policy: Arc<Policy>,
        region: Option<RegionName>,
        received: UnixMillis,
    ) -> Result<Self, Refusal> {
        let unavailable = || Refusal::Head { field: "customer", rule: CustomerId::RULE };
        let root = RootKey::from_hex(EXAMPLE_ROOT).map_err(|_| unavailable())?;
        let secret = CustomerSecret::derive(&root, &CustomerSalt::new([0x5a; 32]), CustomerKey(0));
        // Made up as one who has accepted what there is now.
        let mut example =
            Participation::none(CustomerId::new("example-customer").map_err(|_| unavailable())?);
        policy.accept_current(&mut example);
        Ok(Self {
            policy,
            secret: Arc::new(secret),
            customer: example.customer,
            region,
            purposes_off: Vec::new(),
            accepted: example.accepted_dictionaries,
            received,
            rotation: Rotation::default(),
        })
    }

    /// Explains for a real customer: the pseudonyms are its own.
    #[must_use]
    pub fn for_customer(
        policy: Arc<Policy>,
        participation: &Participation,
        secret: Arc<CustomerSecret>,
        received: UnixMillis,
        rotation: Rotation,
    ) -> Self {
        Self {
            policy,
            secret,
            customer: participation.customer.clone(),
            region: participation.region.clone(),
            purposes_off: participation.purposes_off.clone(),
            accepted: participation.accepted_dictionaries.clone(),
            received,
            rotation,
        }
    }

    /// What each level of each program that the request's events belong to would store.
    ///
    /// # Errors
    /// If the request cannot be read.
    pub fn explain(&self, request: &[u8]) -> Result<Vec<LevelExplanation>, Refusal> {
        let head = Head::read(request).map_err(|error| match error {
            HeadError::Wire(wire) => Refusal::Malformed(wire),
            HeadError::Field { field, rule } => Refusal::Head { field, rule },
        })?;
        let mut explanations = Vec::new();
        for (index, program) in self.policy.programs().iter().enumerate() {
            for level in program.levels() {
                let explanation = self.at(&head, request, index, (program.name(), level.name()))?;
                explanations.extend(explanation);
            }
        }
        Ok(explanations)
    }

    fn at(
        &self,
        head: &Head<'_>,
        request: &[u8],
        index: usize,
        (program, level): (&ProgramName, &LevelName),
    ) -> Result<Option<LevelExplanation>, Refusal> {
        let mut participation = Participation::none(self.customer.clone());
        participation.levels.insert(program.clone(), level.clone());
        participation.region.clone_from(&self.region);
        participation.purposes_off.clone_from(&self.purposes_off);
        participation.accepted_dictionaries.clone_from(&self.accepted);
        let applicant = Applicant {
            participation: &participation,
            secret: &self.secret,
            caps: &BTreeMap::new(),
            received: self.received,
            epoch: self.rotation.epoch(self.received),
        };
        let permit = Permit::grant(Arc::clone(&self.policy), &applicant, head);
        let Ok(key) = permit.plan_key(index, RawText::default()) else { return Ok(None) };
        let fields = explain(&permit, head, ProtoReader::new(request), key).map_err(Refusal::Malformed)?;
        let sanitized = sanitize(&permit, head, ProtoReader::new(request), &mut Scratch::default())
            .map_err(Refusal::Malformed)?;
        // An event that needs less than this level makes a batch of its own at that lower one.
        let batch = sanitized.batches.into_iter().find(|batch| batch.level() == level);
        let batch = batch.map(|batch| batch.body().to_vec()).unwrap_or_default();
        Ok(Some(LevelExplanation { program: program.clone(), level: level.clone(), batch, fields }))
    }
}

/// Not a secret: the key of examples, which stand for nobody.
const EXAMPLE_ROOT: &str = "757361676564206578616d706c65206b65792c206e6f74206120736563726574";
