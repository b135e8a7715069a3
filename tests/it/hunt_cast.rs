//! Who takes part in the leak hunt, what each may have kept (asked of the compiled plans), and the
//! requests that they send.

use std::collections::BTreeMap;
use std::sync::Arc;

use usaged::grpc::proto::admin as api;
use usaged::grpc::proto::ingest::{Event, List, Record, SubmitRequest, Value, value::Kind as Wire};
use usaged::model::{
    CustomerId, Delivery, IdentifierClass as Class, Participation, ProductName, Purpose, Purposes, RawText,
    RegionName,
};
use usaged::policy::{self, Action, Ask, EventPlan, Form, Plan, Policy, Product, Shape};

use crate::dictionary_events::{field, is_in_map, make, text};
use crate::hunt_canary::{Canary, Sent};
use crate::hunt_text::is_text;

/// A customer of the hunt.
pub struct Member {
    /// What it is there for.
    pub part: String,
    pub participation: Participation,
    pub is_registered: bool,
    /// The canary that its id is.
    canary: usize,
}

/// In what way an event is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// Every field as its class and type ask.
    Good,
    /// Text that is of no form; what is not text is left out.
    Odd,
    /// Every field of another type.
    OtherType,
}

/// Customers at every level, with and without a region, and every other choice that lowers.
pub fn cast(sent: &mut Sent, policy: &Policy) -> Vec<Member> {
    let programs: [&[(&str, &str)]; 6] = [
        &[],
        &[("operational", "operational")],
        &[("ceip", "standard")],
        &[("ceip", "enhanced")],
        &[("operational", "operational"), ("ceip", "standard")],
        &[("operational", "operational"), ("ceip", "enhanced")],
    ];
    let mut cast = Vec::new();
    for region in [None, Some("eea")] {
        for levels in programs {
            let part = format!("{levels:?} {}", region.unwrap_or("no region"));
            let mut member = member(sent, part, levels);
            member.participation.region = region.map(|name| RegionName::new(name).unwrap());
            cast.push(member);
        }
    }
    let full = programs[5];
    let mut first = member(sent, "first dictionary only".into(), full);
    for product in ["vcenter", "horizon", "tanzu-cli"] {
        first.participation.accepted_dictionaries.insert(ProductName::new(product).unwrap(), 1);
    }
    let mut off = member(sent, "not for improvement".into(), full);
    off.participation.purposes_off = vec![Purpose::Improve];
    let mut audit = member(sent, "audit".into(), full);
    audit.participation.delivery = Delivery::Audit;
    let mut paused = member(sent, "paused".into(), full);
    paused.participation.delivery = Delivery::Paused;
    let mut unknown = member(sent, "never registered".into(), full);
    unknown.is_registered = false;
    cast.extend([first, off, audit, paused, unknown]);
    for member in &mut cast {
        policy.accept_current(&mut member.participation);
        let kept = member.named_for(policy);
        let id = &mut sent.canaries[member.canary];
        (id.is_registered, id.kept, id.is_drained) = (member.is_registered, kept, member.is_drained());
    }
    cast
}

fn member(sent: &mut Sent, part: String, levels: &[(&str, &str)]) -> Member {
    let canary = sent.canaries.len();
    // Where the id may be is filled in when the member is complete.
    let id = sent.text(Canary { what: format!("customer id, {part}"), ..Canary::default() }, Class::HostName);
    let id = id.trim_end_matches('.').to_lowercase();
    let mut participation = Participation::none(CustomerId::new(&id).unwrap());
    for product in ["vcenter", "horizon", "tanzu-cli"] {
        participation.accepted_dictionaries.insert(ProductName::new(product).unwrap(), 2);
    }
    for (program, level) in levels {
        participation.levels.insert(program.parse().unwrap(), level.parse().unwrap());
    }
    Member { part, participation, is_registered: true, canary }
}

/// One customer as it takes part first, in everything, and as it does after it lowered that; what may be kept of what
/// the second one sends is what may be left in the end.
pub fn before_and_after(sent: &mut Sent, policy: &Policy, part: &str, after: &[(&str, &str)]) -> [Member; 2] {
    let full: &[(&str, &str)] = &[("operational", "operational"), ("ceip", "enhanced")];
    let mut first = member(sent, format!("{part}, before"), full);
    policy.accept_current(&mut first.participation);
    let mut second = Member {
        part: part.to_owned(),
        participation: first.participation.clone(),
        is_registered: true,
        canary: first.canary,
    };
    second.participation.levels =
        after.iter().map(|(program, level)| (program.parse().unwrap(), level.parse().unwrap())).collect();
    let (registered, kept) = (sent.canaries[first.canary].clone(), second.named_for(policy));
    sent.canaries[first.canary] = Canary { is_registered: true, is_drained: true, kept, ..registered };
    [first, second]
}

impl Member {
    /// Which canary its id is.
    pub fn canary(&self) -> usize {
        self.canary
    }

    pub fn id(&self) -> &CustomerId {
        &self.participation.customer
    }

    fn is_drained(&self) -> bool {
        self.participation.delivery == Delivery::Deliver
    }

    /// The participation as the API takes it.
    pub fn api(&self) -> api::Participation {
        let own = &self.participation;
        api::Participation {
            customer: own.customer.to_string(),
            levels: own
                .levels
                .iter()
                .map(|(program, level)| api::ProgramLevel {
                    program: program.to_string(),
                    level: level.to_string(),
                })
                .collect(),
            region: own.region.as_ref().map(ToString::to_string).unwrap_or_default(),
            purposes_off: own.purposes_off.iter().map(ToString::to_string).collect(),
            delivery: own.delivery.to_string(),
            accepted_dictionaries: own
                .accepted_dictionaries
                .iter()
                .map(|(product, version)| api::AcceptedDictionary {
                    product: product.to_string(),
                    version: *version,
                })
                .collect(),
            ..api::Participation::default()
        }
    }

    /// The plan of each program, where the customer takes part.
    pub fn plans(&self, policy: &Policy, product: &Product) -> Vec<Option<Arc<Plan>>> {
        if !self.is_registered {
            return policy.programs().iter().map(|_| None).collect();
        }
        let decision = policy.decide(&Ask {
            participation: Some(&self.participation),
            global_caps: &BTreeMap::new(),
            product: RawText::new(product.name().as_str().as_bytes()),
            region: RawText::default(),
            level_caps: &[],
        });
        let key = |program| decision.plan_key(program, decision.rank(program));
        (0..policy.programs().len()).map(|program| key(program).map(|key| policy.plan(key))).collect()
    }

    /// The purposes for which a batch may name the customer.
    fn named_for(&self, policy: &Policy) -> Purposes {
        let plans = policy.products().iter().flat_map(|product| self.plans(policy, product));
        let naming = plans.flatten().filter(|plan| matches!(plan.customer, Action::Keep(_)));
        let off: Purposes = self.participation.purposes_off.iter().copied().collect();
        let of = |plan: &Plan| policy.programs()[plan.program_index].level(plan.rank).unwrap().purposes();
        naming.fold(Purposes::NONE, |all, plan| all.or(of(&plan).without(off)))
    }

    /// A batch of every event of a product, each field a canary of its own.
    pub fn batch(&self, sent: &mut Sent, at: &Place<'_>, fill: Fill) -> SubmitRequest {
        let plans = self.plans(at.policy, at.product);
        let told_to = Some(at.request);
        let mut events = Vec::new();
        // A name that one field holds, and the text of every other: only the batch knows what it is.
        let known = Canary { what: format!("a known name, {}", self.part), ..Canary::default() };
        let known = sent.text(known, Class::ObjectName);
        let mut holder = Some(&known);
        for (index, declared) in at.product.events().iter().enumerate() {
            let plan = plans[declared.program()].as_deref();
            let mut event = make(at.product, declared, |number, field| {
                let what = format!("{} {} {} {fill:?}", at.product.name(), declared.name(), field.path());
                let kept = plan.map_or(Purposes::NONE, |plan| kept(plan, index, number, fill));
                let what = format!("{what}, {}", self.part);
                let (is_drained, is_in_map) = (self.is_drained(), is_in_map(field));
                let canary = Canary { what, kept, is_drained, is_in_map, ..Canary::default() };
                let is_key = field.path().as_str().ends_with("{key}");
                if is_text(field) && fill != Fill::OtherType {
                    return Some(text(sent.sentence(canary, &known)));
                }
                let is_name = field.class() == Class::ObjectName && field.kind() == policy::Kind::Text;
                if is_name
                    && fill != Fill::OtherType
                    && let Some(known) = holder.take()
                {
                    return Some(text(known.clone()));
                }
                match fill {
                    Fill::Good => sent.of_field(canary, field),
                    Fill::Odd if field.kind() == policy::Kind::Text => Some(text(sent.odd_text(canary))),
                    Fill::OtherType if !is_key => Some(sent.of_other_type(canary, field)),
                    Fill::Odd | Fill::OtherType => None,
                }
            });
            undeclare(sent, &mut event, told_to, &self.part);
            events.push(event);
        }
        assert!(
            holder.is_none() || fill == Fill::OtherType,
            "no field of {} takes a name",
            at.product.name()
        );
        let own = |what: &str| Canary { what: format!("{what}, {}", self.part), ..Canary::default() };
        SubmitRequest {
            batch_id: sent.text(Canary { told_to, ..own("batch id") }, Class::VmId),
            product: at.product.name().to_string(),
            instance: sent.text(own("instance"), Class::InstanceId),
            events,
            ..SubmitRequest::default()
        }
    }
}

/// What a request is about.
pub struct Place<'p> {
    pub policy: &'p Policy,
    pub product: &'p Product,
    /// The number of the request.
    pub request: usize,
}

/// The purposes for which a plan keeps what is sent in a field as it is.
fn kept(plan: &Plan, event: usize, number: u32, fill: Fill) -> Purposes {
    let field = &plan.fields[usize::try_from(number).unwrap()];
    let Shape::Scalar { kind, action } = &field.shape else { panic!("{:?}", field.spec.path) };
    let as_it_is = match (action, fill) {
        (Action::Keep(Form::Any { .. }), Fill::Good | Fill::Odd) => true,
        (Action::Keep(Form::Version), Fill::Good) => true,
        (Action::Generalise(policy::Generalise::LocationRegion), Fill::Good) => true,
        // A whole number is taken for a floating-point one, and never the other way round.
        (_, Fill::OtherType) | (Action::Keep(_) | Action::Generalise(_), _) => false,
        (Action::Withhold(_) | Action::Pseudonym { .. } | Action::Vocabulary(_), _) => false,
        // What is sent in such a field is all to be found and replaced.
        (Action::Redact(_), _) => false,
    };
    let stored = matches!(plan.events[event], EventPlan::Store { .. });
    let text = fill != Fill::Odd || *kind == policy::Kind::Text;
    if as_it_is && stored && text { field.spec.purposes } else { Purposes::NONE }
}

/// Adds fields that no dictionary has, at the top and into every record, each with a canary in its name
/// and one in its value.
fn undeclare(sent: &mut Sent, event: &mut Event, told_to: Option<usize>, part: &str) {
    let mut add = |fields: &mut Vec<_>| {
        let name = Canary { what: format!("undeclared name, {part}"), told_to, ..Canary::default() };
        let value = Canary { what: format!("undeclared value, {part}"), ..Canary::default() };
        let (name, value) = (sent.text(name, Class::UserId), sent.text(value, Class::Email));
        let nested = Record { fields: vec![field("x", text(value))] };
        fields.push(field(name, Value { kind: Some(Wire::RecordValue(nested)) }));
    };
    for field in &mut event.fields {
        into_records(field.value.as_mut(), &mut add);
    }
    add(&mut event.fields);
}

fn into_records(
    value: Option<&mut Value>,
    add: &mut impl FnMut(&mut Vec<usaged::grpc::proto::ingest::Field>),
) {
    match value.and_then(|value| value.kind.as_mut()) {
        Some(Wire::RecordValue(Record { fields })) => {
            fields.iter_mut().for_each(|field| into_records(field.value.as_mut(), add));
            add(fields);
        }
        Some(Wire::ListValue(List { values })) => {
            values.iter_mut().for_each(|value| into_records(Some(value), add));
        }
        _ => {}
    }
}
