//! Explain: what each level would store of a request, byte for byte, from the code that ingest
//! uses. Nothing is stored or counted.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::refusal::Refusal;
use crate::model::{
    CustomerId, CustomerKey, Delivery, LevelName, Participation, ProgramName, Purpose, RawEvent, RawText,
    Reason, RegionName, UnixMillis, WireError, WireReader,
};
use crate::policy::{Ask, Policy};
use crate::sanitize::wire::{Head, HeadError, ProtoReader};
use crate::sanitize::{
    Applicant, CustomerSalt, CustomerSecret, DataRoot, Permit, Ratchet, Rotation, Scratch, Suppressions,
    explain, sanitize,
};

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
    /// Whether it is the one in force for the customer who was named.
    pub in_force: bool,
}

/// What the dictionary says of an event of a request; empty if it does not have it.
#[derive(Debug, Clone, Default)]
pub struct EventShape {
    /// Its name.
    pub name: String,
    /// Its program.
    pub program: String,
    /// The paths of its fields.
    pub paths: Vec<String>,
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
    /// The customer as it is, if it is a real one.
    real: Option<Participation>,
    is_paused: bool,
    /// The region of the source, if another than the request's is asked about.
    source_region: Option<RegionName>,
    caps: BTreeMap<ProgramName, LevelName>,
    /// What is withheld because it was erased.
    suppressed: Option<Arc<Suppressions>>,
}

/// Of a customer who sends nothing for now.
const PAUSED: &str = "the customer is paused: nothing is stored, and senders are told to stop";

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
        let rotation = Rotation::default();
        let ratchet = Ratchet::new(rotation.epoch(received), [0x3c; 32]);
        let (root, salt) = (DataRoot::new(*EXAMPLE_ROOT), CustomerSalt::new([0x5a; 32]));
        let secret = CustomerSecret::derive(&root, &salt, ratchet, CustomerKey(0));
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
            rotation,
            real: None,
            is_paused: false,
            source_region: None,
            caps: BTreeMap::new(),
            suppressed: None,
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
            // A pause has no level: that of before and after it is told, with the pause as the reason.
            real: Some(Participation { delivery: Delivery::Deliver, ..participation.clone() }),
            is_paused: participation.delivery == Delivery::Paused,
            source_region: None,
            caps: BTreeMap::new(),
            suppressed: None,
        }
    }

    /// The same for a source in this region, beside the customer's own.
    #[must_use]
    pub fn in_region(self, region: Option<RegionName>) -> Self {
        Self { source_region: region, ..self }
    }

    /// The same under the collector's own caps, which have a say in what is in force.
    #[must_use]
    pub fn under(self, caps: &BTreeMap<ProgramName, LevelName>) -> Self {
        Self { caps: caps.clone(), ..self }
    }

    /// The same with what is withheld because it was erased.
    #[must_use]
    pub fn without(self, suppressed: Option<&Arc<Suppressions>>) -> Self {
        Self { suppressed: suppressed.cloned(), ..self }
    }

    /// What the dictionary says of the events of a request, in their order.
    ///
    /// # Errors
    /// If the request cannot be read.
    pub fn shapes(&self, request: &[u8]) -> Result<Vec<EventShape>, Refusal> {
        let head = self.head(request)?;
        let product = self.policy.product_index(head.product).and_then(|at| self.policy.product_at(at));
        let mut shapes = Vec::new();
        let mut reader = ProtoReader::new(request);
        while let Some(event) = reader.next_event().map_err(Refusal::Malformed)? {
            let known = product.and_then(|product| {
                let known = product.events().get(product.event(event.name)?.event)?;
                let paths = product.fields(known).map(|(_, field)| field.path().to_string()).collect();
                let program = self.policy.programs().get(known.program())?.name().to_string();
                Some(EventShape { name: known.name().to_string(), program, paths })
            });
            shapes.push(known.unwrap_or_default());
        }
        Ok(shapes)
    }

    fn head<'a>(&'a self, request: &'a [u8]) -> Result<Head<'a>, Refusal> {
        let mut head = Head::read(request).map_err(|error| match error {
            HeadError::Wire(wire) => Refusal::Malformed(wire),
            HeadError::Field { field, rule } => Refusal::Head { field, rule },
        })?;
        if let Some(region) = &self.source_region {
            let asked = RawText::new(region.as_str().as_bytes());
            if !head.region.is_empty() && head.region != asked {
                let rule = "the request names another region than was asked about";
                return Err(Refusal::Head { field: "region", rule });
            }
            head.region = asked;
        }
        Ok(head)
    }

    /// Whether a level of a program is the one in force.
    fn is_in_force(&self, head: &Head<'_>, index: usize, level: &LevelName) -> bool {
        self.real.as_ref().is_some_and(|participation| {
            let decision = self.policy.decide(&Ask {
                participation: Some(participation),
                global_caps: &self.caps,
                product: head.product,
                region: head.region,
                level_caps: &head.level_caps,
            });
            let of = self.policy.programs().get(index).and_then(|of| of.level(decision.rank(index)));
            of.is_some_and(|of| of.name() == level)
        })
    }

    /// What each level of each program that the request's events belong to would store.
    ///
    /// # Errors
    /// If the request cannot be read.
    pub fn explain(&self, request: &[u8]) -> Result<Vec<LevelExplanation>, Refusal> {
        let head = self.head(request)?;
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
            suppressed: self.suppressed.as_ref(),
        };
        let permit = Permit::grant(Arc::clone(&self.policy), &applicant, head);
        let Ok(key) = permit.plan_key(index, RawText::default()) else { return Ok(None) };
        let mut fields =
            explain(&permit, head, ProtoReader::new(request), key).map_err(Refusal::Malformed)?;
        withheld_whole(&mut fields, &permit, head, request).map_err(Refusal::Malformed)?;
        let sanitized = sanitize(&permit, head, ProtoReader::new(request), &mut Scratch::default())
            .map_err(Refusal::Malformed)?;
        // An event that needs less than this level makes a batch of its own at that lower one.
        let batch = sanitized.batches.into_iter().find(|batch| batch.level() == level);
        let mut batch = batch.map(|batch| batch.body().to_vec()).unwrap_or_default();
        let in_force = self.is_in_force(head, index, level);
        if in_force && self.is_paused {
            batch.clear();
            for fate in &mut fields {
                drop_for(fate, PAUSED);
            }
        }
        Ok(Some(LevelExplanation { program: program.clone(), level: level.clone(), batch, fields, in_force }))
    }
}

/// Not a secret: the key of examples, which stand for nobody.
const EXAMPLE_ROOT: &[u8; 32] = b"usaged example key, not a secret";

/// Says of events that are withheld for their time, or because what they hold was erased, that nothing of them is stored:
/// no field tells that. Each event is decided as ingest decides it, by itself.
fn withheld_whole(
    fields: &mut [FieldFate],
    permit: &Permit,
    head: &Head<'_>,
    request: &[u8],
) -> Result<(), WireError> {
    for number in 0..head.events {
        let one = One { all: ProtoReader::new(request), before: number, is_read: false };
        let tally = sanitize(permit, head, one, &mut Scratch::default())?.tally;
        let is_for = |reason: &Reason| tally.withheld.get(reason.index()).is_some_and(|count| *count > 0);
        let Some(reason) = [Reason::Clock, Reason::Erased].into_iter().find(is_for) else { continue };
        let event = format!("events[{number}]");
        let its = |fate: &&mut FieldFate| {
            fate.place.strip_prefix(&event).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        fields.iter_mut().filter(its).for_each(|fate| drop_for(fate, reason.remedy()));
    }
    Ok(())
}

fn drop_for(fate: &mut FieldFate, why: &str) {
    (fate.treatment, fate.why) = ("drop", why.to_owned());
}

/// One event of a request.
#[derive(Debug, Clone)]
struct One<R> {
    all: R,
    before: u32,
    is_read: bool,
}

impl<'a, R: WireReader<'a>> WireReader<'a> for One<R> {
    type Fields = R::Fields;

    fn next_event(&mut self) -> Result<Option<RawEvent<'a, Self::Fields>>, WireError> {
        while self.before > 0 {
            self.before -= 1;
            self.all.next_event()?;
        }
        if std::mem::replace(&mut self.is_read, true) { Ok(None) } else { self.all.next_event() }
    }
}
