//! A source that obeys the collection plan: whatever it leaves out, the same bytes are stored as of one
//! that sends everything.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use prost::Message as _;
use usaged::grpc::proto::ingest::{Event, Field as Sent, SubmitRequest, Value, value::Kind as Wire};
use usaged::model::{
    CustomerKey, LevelName, Participation, ProductLevel, ProductName, ProgramName, Purpose, RawText,
    RegionName,
};
use usaged::policy::{Ask, Collection, Field, Kind, Policy, Product, Wish, compile, shipped};
use usaged::sanitize::wire::{Head, ProtoReader};
use usaged::sanitize::{
    Applicant, CustomerSalt, CustomerSecret, DataRoot, Permit, Ratchet, Sanitized, Scratch, sanitize,
};

use crate::collection_nest::nest;
use crate::collection_source::Obedient;
use crate::dictionary_events::{field, make, text, value};
use crate::drain_world::{START, acme};
use crate::explain_equals_ingest::chosen;
use crate::golden_levels::example;

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

/// A value of a class of which nothing is stored, as one of a few of each kind.
fn never_stored(field: &Field, which: u8) -> Value {
    let said = format!("never stored {which} of {}", field.class());
    match field.kind() {
        Kind::Int => value(Wire::IntValue(80_175_300 + i64::from(which))),
        Kind::Bytes if which.is_multiple_of(2) => value(Wire::BytesValue(vec![0xc0, 0xff, 0xee, which])),
        Kind::Bytes => value(Wire::BytesValue(said.into_bytes())),
        Kind::Text => text(said),
        Kind::Double | Kind::Bool => example(field),
    }
}

/// Text with what fields of the request may have: names, numbers, and what is never stored.
fn note(which: u8) -> String {
    let never = which % 8;
    let said = [
        format!("nas7 is down, uid 471100713 and jdoe, 00:50:56:a1:b2:c3 or {which}"),
        format!("tried 8017530{never} and never stored {never} of secret, {which}"),
        format!("NEVER STORED {never} OF CUSTOMER_CONTENT, never stored {never} of secrets"),
        format!("read c0ffee0{never}, jroe; WX12-345678 005056a1b2c3"),
    ];
    said[usize::from(which) % said.len()].clone()
}

fn event(product: &Product, (which, choices, extra): &Choice) -> Event {
    let declared = &product.events()[which % product.events().len()];
    let mut choices = choices.iter().cycle();
    let pick = |field: &Field, choice: u8| match choice {
        0..240 if field.class().is_forbidden() => Some(never_stored(field, choice % 8)),
        0..200 if field.path().as_str() == "note" => Some(text(note(choice))),
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

fn nested() -> (SubmitRequest, Participation) {
    let fields = vec![
        field("secret", text("hunter2-blue")),
        field("pin", value(Wire::IntValue(80_175_300))),
        field("note", text("tried Hunter2-Blue, then 80175300")),
    ];
    let request = SubmitRequest {
        batch_id: "0190a3c2-7b1e-7c55-9d2f-0123456789ab".into(),
        product: "nest".into(),
        events: vec![Event { name: "all".into(), fields, ..Event::default() }],
        ..SubmitRequest::default()
    };
    let mut participation = Participation::none(acme());
    participation.levels.insert("ceip".parse().unwrap(), "enhanced".parse().unwrap());
    participation.accepted_dictionaries.insert("nest".parse().unwrap(), 2);
    (request, participation)
}

// covers: P1
#[test]
fn what_is_never_stored_is_kept_out_of_text_by_who_sends_it_and_by_who_does_not() {
    let mut desk = Desk::new();
    let (request, participation) = nested();
    let plan = desk.plan(&participation, &request);
    let obedient = Obedient::new(&plan, true);
    let mut stored = |request: &SubmitRequest| {
        let sanitized = desk.sanitize(&participation, request).unwrap();
        sanitized.batches.iter().map(|batch| batch.body().to_vec()).collect::<Vec<_>>()
    };
    let has = |bodies: &[Vec<u8>], text: &str| {
        bodies.iter().any(|body| body.windows(text.len()).any(|part| part == text.as_bytes()))
    };
    let full = stored(&request);
    assert!(has(&full, "tried [secret], then [secret]"));
    assert_eq!(stored(&obedient.strip(&request).unwrap()), full);
    // The exception: who leaves out the fields, and does nothing about the text.
    assert!(has(&stored(&obedient.strip_fields(&request)), "tried Hunter2-Blue, then 80175300"));
}

// covers: B1, P1
#[test]
fn with_more_values_that_are_never_stored_than_are_looked_for_text_is_cut_by_who_sends_them_and_by_who_does_not()
 {
    let mut desk = Desk::new();
    for (values, is_cut) in [(4_096, false), (4_097, true)] {
        let (mut request, participation) = nested();
        // Of the first event, `hunter2-blue` and 80175300 are two.
        request.events.extend((2..values).map(|number| Event {
            name: "all".into(),
            // The last comes twice; it counts once.
            fields: vec![field("secret", text(format!("never stored {number}"))), field("note", text("8"))],
            ..Event::default()
        }));
        request.events.extend(request.events.last().cloned());
        let plan = desk.plan(&participation, &request);
        let mut stored = |request: &SubmitRequest| {
            let sanitized = desk.sanitize(&participation, request).unwrap();
            sanitized.batches.iter().map(|batch| batch.body().to_vec()).collect::<Vec<_>>()
        };
        let full = stored(&request);
        let has =
            |text: &str| full.iter().any(|body| body.windows(text.len()).any(|part| part == text.as_bytes()));
        assert_eq!((has("tried [secret]"), has("[cut]")), (!is_cut, is_cut), "{values}");
        assert_eq!(stored(&Obedient::new(&plan, true).strip(&request).unwrap()), full, "{values}");
    }
}
