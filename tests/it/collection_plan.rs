//! A source that obeys the collection plan: whatever it leaves out, the same bytes are stored as of one
//! that sends everything.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use proptest::prelude::*;
use prost::Message as _;
use usaged::grpc::proto::ingest::{
    Event, Field as Sent, List, Record, SubmitRequest, Value, value::Kind as Wire,
};
use usaged::model::{
    CustomerKey, LevelName, Participation, ProductLevel, ProductName, ProgramName, Purpose, RawText,
    RegionName,
};
use usaged::policy::{Ask, Collection, Field, Policy, PolicyFile, Product, Wish, compile, shipped};
use usaged::sanitize::wire::{Head, ProtoReader};
use usaged::sanitize::{
    Applicant, CustomerSalt, CustomerSecret, DataRoot, Permit, Ratchet, Sanitized, Scratch, sanitize,
};

use crate::dictionary_events::{field, make, text};
use crate::drain_world::{START, acme};
use crate::explain_equals_ingest::chosen;
use crate::golden_levels::example;

/// What a source does that knows the plan and nothing else.
pub struct Obedient {
    /// For each event that is wanted, the paths that are.
    wanted: BTreeMap<String, BTreeSet<String>>,
    instance: bool,
}

impl Obedient {
    /// `context`: whether what only helps to redact text is sent too.
    pub fn new(plan: &Collection, context: bool) -> Self {
        let paths = |event: &usaged::policy::EventWish| {
            let fields = event.fields.iter().filter(|field| match field.wish {
                Wish::Stored { .. } => true,
                Wish::Context(_) => context,
                Wish::Unwanted(_) => false,
            });
            fields.map(|field| field.path.to_string()).collect()
        };
        let is_context = |field: &usaged::policy::FieldWish| matches!(field.wish, Wish::Context(_));
        let wanted = plan
            .events
            .iter()
            .filter(|event| event.withheld.is_none() || context && event.fields.iter().any(is_context));
        let redacted = |field: &usaged::policy::FieldWish| {
            matches!(field.wish, Wish::Stored { treatment: "redact", .. })
        };
        let redacts = plan.events.iter().any(|event| event.fields.iter().any(redacted));
        Self {
            wanted: wanted.map(|event| (event.name.to_string(), paths(event))).collect(),
            instance: redacts || plan.programs.iter().any(|program| !program.instance.is_empty()),
        }
    }

    /// What is left of a request; `None` if nothing is.
    pub fn strip(&self, request: &SubmitRequest) -> Option<SubmitRequest> {
        let events: Vec<_> = request.events.iter().filter_map(|event| self.event(event)).collect();
        let instance = if self.instance { request.instance.clone() } else { String::new() };
        (!events.is_empty()).then(|| SubmitRequest { events, instance, ..request.clone() })
    }

    fn event(&self, event: &Event) -> Option<Event> {
        let wanted = self.wanted.get(&event.name)?;
        Some(Event { fields: fields(&event.fields, "", wanted), ..event.clone() })
    }
}

/// Whether a path, or anything in it, is wanted.
fn is_wanted(path: &str, wanted: &BTreeSet<String>) -> bool {
    let inside = |one: &String| one.strip_prefix(path).is_some_and(|rest| rest.starts_with(['.', '[', '{']));
    wanted.contains(path) || wanted.iter().any(inside)
}

fn fields(sent: &[Sent], prefix: &str, wanted: &BTreeSet<String>) -> Vec<Sent> {
    let path = |one: &Sent| format!("{prefix}{}", one.name);
    let kept = sent.iter().filter(|one| is_wanted(&path(one), wanted));
    kept.map(|one| Sent { value: one.value.as_ref().map(|v| value(v, &path(one), wanted)), ..one.clone() })
        .collect()
}

fn value(sent: &Value, path: &str, wanted: &BTreeSet<String>) -> Value {
    let is_map = wanted.iter().any(|one| one.strip_prefix(path).is_some_and(|rest| rest.starts_with('{')));
    let kind = match &sent.kind {
        Some(Wire::RecordValue(record)) if is_map => {
            let inner = format!("{path}{{}}");
            let pair = |pair: &Sent| Sent {
                value: pair.value.as_ref().map(|v| value(v, &inner, wanted)),
                ..pair.clone()
            };
            Some(Wire::RecordValue(Record { fields: record.fields.iter().map(pair).collect() }))
        }
        Some(Wire::RecordValue(record)) if !wanted.contains(path) => {
            Some(Wire::RecordValue(Record { fields: fields(&record.fields, &format!("{path}."), wanted) }))
        }
        Some(Wire::ListValue(list)) => {
            let inner = format!("{path}[]");
            Some(Wire::ListValue(List {
                values: list.values.iter().map(|v| value(v, &inner, wanted)).collect(),
            }))
        }
        other => other.clone(),
    };
    Value { kind }
}

/// A product of nothing but records, lists and maps in each other, of fields that are kept, hashed,
/// coarsened and dropped, alone and beside each other.
fn nest() -> PolicyFile {
    let mut out = "name = \"nest\"\ndescription = \"Nested.\"\nversion = 2\n".to_owned();
    let fields = [
        // All of it kept, some of it, none of it.
        ("kept.a", "int", "not_identifying"),
        ("kept.b.c", "int", "not_identifying"),
        ("part.name", "string", "person_name"),
        ("part.deep.size", "int", "not_identifying"),
        ("part.deep.owner", "string", "email"),
        ("part.gone.user", "string", "user_id"),
        ("part.gone.further.mail", "string", "email"),
        ("gone.user", "string", "user_id"),
        ("gone.device", "string", "device_id"),
        ("gone.list[].user", "string", "user_id"),
        // Lists.
        ("kept_list[]", "int", "not_identifying"),
        ("gone_list[]", "string", "person_name"),
        ("disks[].serial", "string", "serial_number"),
        ("disks[].size", "int", "not_identifying"),
        ("users[].name", "string", "person_name"),
        ("users[].mail", "string", "email"),
        ("grid[][]", "string", "mac_address"),
        ("gone_grid[][]", "string", "phone"),
        // Maps: key and value, each kept or dropped.
        ("ports{key}", "string", "object_name"),
        ("ports{}", "int", "not_identifying"),
        ("owners{key}", "string", "user_id"),
        ("owners{}", "int", "not_identifying"),
        ("phones{key}", "string", "object_name"),
        ("phones{}", "string", "phone"),
        ("hosts{key}", "string", "host_name"),
        ("hosts{}.cores", "int", "not_identifying"),
        ("hosts{}.owner", "string", "user_id"),
        ("people{key}", "string", "object_name"),
        ("people{}.name", "string", "person_name"),
        ("people{}.mails[]", "string", "email"),
        ("maps[]{key}", "string", "device_id"),
        ("maps[]{}.size", "int", "not_identifying"),
        ("lists{key}", "string", "ip_address"),
        ("lists{}[].mac", "string", "mac_address"),
        ("lists{}[].user", "string", "user_id"),
        ("secret", "string", "secret"),
        ("content", "string", "customer_content"),
    ];
    for (event, program) in [("all", "ceip"), ("again", "ceip"), ("lean", "operational")] {
        let _ =
            write!(out, "\n[events.{event}]\ndescription = \"One.\"\nprogram = \"{program}\"\nsince = 1\n");
        for (at, (path, kind, class)) in fields.iter().enumerate() {
            let example = match *class {
                "person_name" => "\"Jane Roe\"",
                "email" => "\"jane@example.com\"",
                "user_id" => "\"jroe\"",
                "device_id" | "serial_number" => "\"WX12-345678\"",
                "mac_address" => "\"00:50:56:a1:b2:c3\"",
                "ip_address" => "\"192.0.2.41\"",
                "phone" => "\"+4930748359133\"",
                "host_name" => "\"esx-1.example.com\"",
                "object_name" | "secret" | "customer_content" => "\"something\"",
                _ => "8",
            };
            // Some of it for other purposes, some newer than others.
            let (purposes, since) = match (program, at % 5, at % 7) {
                ("operational", ..) => ("[\"deliver\"]", 1),
                (_, 0, 3) => ("[\"recommend\"]", 1),
                (_, _, 2) => ("[\"improve\", \"recommend\"]", 2),
                _ => ("[\"improve\"]", 1),
            };
            let category = if program == "operational" { "operational" } else { "configuration" };
            let _ = write!(
                out,
                "\n[events.{event}.fields.\"{path}\"]\ntype = \"{kind}\"\ncategory = \"{category}\"\n\
                 class = \"{class}\"\npurposes = {purposes}\ndescription = \"One.\"\nexample = {example}\n\
                 since = {since}\n"
            );
        }
    }
    PolicyFile { path: "products/nest.toml".to_owned(), text: out }
}

fn policy() -> Arc<Policy> {
    let mut files = shipped();
    files.push(nest());
    let compiled = compile(&files).unwrap_or_else(|problems| panic!("{problems:#?}"));
    Arc::new(compiled.0)
}

/// Twice as many items in every list, and more pairs in every map.
fn grow(value: &mut Value) {
    match &mut value.kind {
        Some(Wire::ListValue(list)) => {
            list.values.iter_mut().for_each(grow);
            list.values.extend(list.values.clone());
        }
        Some(Wire::RecordValue(record)) => {
            record.fields.iter_mut().filter_map(|one| one.value.as_mut()).for_each(grow);
            let more = record.fields.iter().map(|one| Sent { name: format!("{}2", one.name), ..one.clone() });
            record.fields.extend(more.collect::<Vec<_>>());
        }
        _ => {}
    }
}

type Choice = (usize, Vec<u8>, u8);

fn event(product: &Product, (which, choices, extra): &Choice) -> Event {
    let declared = &product.events()[which % product.events().len()];
    let mut choices = choices.iter().cycle();
    let pick = |field: &Field, choice: u8| match choice {
        // What is never stored is found in text all the same, if it comes; who obeys does not send it. So here it
        // is nowhere else.
        0..240 if field.class().is_forbidden() => Some(text(format!("never stored {choice} of {which}"))),
        0..160 => Some(example(field)),
        _ => chosen(field, choice),
    };
    let mut event = make(product, declared, |_, field| pick(field, *choices.next().unwrap()));
    match extra % 10 {
        0 => event.fields.push(field("made_up", text("undeclared"))),
        1 => event.fields.extend(event.fields.clone()),
        2 => event.name.push_str(".made_up"),
        3 => event.needed_level = "standard".into(),
        4 => event.needed_level = "made_up".into(),
        5 | 6 => event.fields.iter_mut().filter_map(|one| one.value.as_mut()).for_each(grow),
        7 => event.fields.reverse(),
        _ => {}
    }
    event
}

#[derive(Debug, Clone)]
struct Who {
    levels: u8,
    region: bool,
    senders_region: bool,
    accepted: u8,
    off: u8,
    override_: bool,
    cap: bool,
}

fn who() -> impl Strategy<Value = Who> {
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    (0..6_u8, flags, 0..4_u8, 0..8_u8).prop_map(
        |(levels, (region, senders_region, override_, cap), accepted, off)| {
            // Most take part, so that most cases have something to compare.
            let levels = if levels == 0 { 5 } else { levels };
            Who {
                levels,
                region,
                senders_region,
                accepted,
                off,
                override_: override_ && cap,
                cap: cap && region,
            }
        },
    )
}

fn participation(product: &Product, who: &Who) -> Participation {
    let mut participation = Participation::none(acme());
    let accepted = if who.accepted == 0 { 1 } else { product.version() };
    participation.accepted_dictionaries.insert(product.name().clone(), accepted);
    let ceip = ["none", "standard", "enhanced"][usize::from(who.levels % 3)];
    let operational = ["none", "operational"][usize::from(who.levels / 3 % 2)];
    for (program, level) in [("ceip", ceip), ("operational", operational)] {
        participation.levels.insert(program.parse().unwrap(), level.parse().unwrap());
    }
    participation.region = who.region.then(|| RegionName::new("eea").unwrap());
    let off = Purpose::ALL.iter().enumerate().filter(|(at, _)| who.off == 7 - *at as u8);
    participation.purposes_off = off.map(|(_, purpose)| *purpose).collect();
    if who.override_ {
        participation.product_levels.push(ProductLevel {
            product: product.name().clone(),
            program: ProgramName::new("ceip").unwrap(),
            level: LevelName::new("standard").unwrap(),
        });
    }
    participation
}

/// Everything that decides, in one place.
struct Desk {
    policy: Arc<Policy>,
    secret: Arc<CustomerSecret>,
    scratch: Scratch,
}

impl Desk {
    fn new() -> Self {
        let (root, salt) = (DataRoot::new([5; 32]), CustomerSalt::new([7; 32]));
        let secret = CustomerSecret::derive(&root, &salt, Ratchet::new(0, [6; 32]), CustomerKey(1));
        Self { policy: policy(), secret: Arc::new(secret), scratch: Scratch::default() }
    }

    fn plan(&self, participation: &Participation, request: &SubmitRequest) -> Collection {
        let caps: Vec<_> =
            request.level_caps.iter().map(|cap| (raw(&cap.program), raw(&cap.level))).collect();
        let decision = self.policy.decide(&Ask {
            participation: Some(participation),
            global_caps: &BTreeMap::new(),
            product: raw(&request.product),
            region: raw(&request.region),
            level_caps: &caps,
        });
        self.policy.collection(Some(participation), &decision)
    }

    /// `None` if the request cannot be taken at all.
    fn sanitize(&mut self, participation: &Participation, request: &SubmitRequest) -> Option<Sanitized> {
        let bytes = request.encode_to_vec();
        let head = Head::read(&bytes).unwrap();
        let caps = BTreeMap::new();
        let (secret, received) = (&self.secret, START);
        let applicant =
            Applicant { participation, secret, caps: &caps, received, epoch: 690, suppressed: None };
        let permit = Permit::grant(Arc::clone(&self.policy), &applicant, &head);
        sanitize(&permit, &head, ProtoReader::new(&bytes), &mut self.scratch).ok()
    }
}

fn raw(text: &str) -> RawText<'_> {
    RawText::new(text.as_bytes())
}

/// What is stored of a request, in order.
fn bodies(sanitized: &Sanitized) -> Vec<(String, String, u32, &[u8])> {
    let batches = sanitized.batches.iter();
    batches.map(|b| (b.program().to_string(), b.level().to_string(), b.events(), b.body())).collect()
}

/// How many cases compared something, and left something out.
#[derive(Default)]
struct Seen {
    compared: u32,
    leaner: u32,
}

fn check(desk: &mut Desk, participation: &Participation, request: &SubmitRequest, seen: &mut Seen) {
    let plan = desk.plan(participation, request);
    let Some(full) = desk.sanitize(participation, request) else { return };
    let stripped = Obedient::new(&plan, true).strip(request);
    let lean = stripped.as_ref().map(|stripped| desk.sanitize(participation, stripped).unwrap());
    let lean_bodies = lean.as_ref().map(bodies).unwrap_or_default();
    assert_eq!(lean_bodies, bodies(&full), "{plan:?}");
    if let (Some(lean), Some(stripped)) = (&lean, &stripped) {
        assert_eq!(lean.tally.accepted, full.tally.accepted);
        assert_eq!(lean.tally.fields, full.tally.fields, "what is stored is counted alike");
        seen.compared += u32::from(!lean_bodies.is_empty());
        seen.leaner += u32::from(stripped.encoded_len() < request.encoded_len() && !lean_bodies.is_empty());
    }
    // Of what the plan wants, nothing is withheld for a reason that is not the sender's: but for what is sent only
    // to be found in text, and what an event asks for itself.
    let all = || plan.events.iter().flat_map(|event| &event.fields).map(|field| &field.wish);
    let redacts = all().any(|wish| matches!(wish, Wish::Stored { treatment: "redact", .. }));
    let capped = request.events.iter().any(|event| !event.needed_level.is_empty());
    if let Some(lean) = lean.filter(|_| !redacts && !capped) {
        for (reason, count) in usaged::model::Reason::ALL.iter().zip(lean.tally.fields_withheld) {
            assert!(count == 0 || reason.is_senders(), "{count} wanted fields are withheld: {reason}");
        }
    }
}

// covers: P2
#[test]
fn a_source_that_obeys_the_plan_has_the_same_bytes_stored() {
    let desk = std::cell::RefCell::new(Desk::new());
    let seen = std::cell::RefCell::new(Seen::default());
    let choice = (any::<usize>(), prop::collection::vec(any::<u8>(), 1..60), any::<u8>());
    let events = prop::collection::vec(choice, 1..6);
    let config = ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(product in 0..8_usize, events in events, who in who())| {
        let mut desk = desk.borrow_mut();
        let policy = Arc::clone(&desk.policy);
        let nest = ProductName::new("nest").unwrap();
        let product = policy.products().get(product).unwrap_or_else(|| policy.product(&nest).unwrap());
        let cap = usaged::grpc::proto::ingest::ProgramLevel { program: "ceip".into(), level: "standard".into() };
        let request = SubmitRequest {
            batch_id: "0190a3c2-7b1e-7c55-9d2f-0123456789ab".into(),
            product: product.name().to_string(),
            instance: "6f9619ff-8b86-4d01-b42d-00cf4fc964ff".into(),
            region: if who.senders_region { "eea".into() } else { String::new() },
            level_caps: if who.cap { vec![cap] } else { Vec::new() },
            events: events.iter().map(|choice| event(product, choice)).collect(),
            ..SubmitRequest::default()
        };
        check(&mut desk, &participation(product, &who), &request, &mut seen.borrow_mut());
    });
    let seen = seen.into_inner();
    assert!(seen.compared > 700 && seen.leaner > 600, "{} compared, {} leaner", seen.compared, seen.leaner);
}
