//! Erasure of an original identifier: what is left of a stored batch is what would have been stored if its events had
//! never been sent, nothing of the identifier is in it, and what arrives late is withheld.

use std::sync::Arc;

use data_encoding::BASE32HEX_NOPAD;
use proptest::prelude::*;
use usaged::grpc::proto::ingest::{Event, SubmitRequest};
use usaged::model::{IdentifierClass as Class, ProgramName, RawText, Reason};
use usaged::policy::{Policy, compile, shipped};
use usaged::sanitize::{
    CustomerSecret, LiveEpochs, SanitizedBatch, Scratch, Strike, StrikeError, Struck, StruckFrom,
    Suppressions, strike,
};

use crate::composition::{self, EPOCH, NOW, Terms, config, secret, stricter_and_stricter, time_of, timed};
use crate::dictionary_events::{field, make, text};
use crate::golden_levels::example;
use crate::made_up::{self, Dice, PRODUCT, PROGRAM};
use crate::stored_leaves;

const INSTANCE: &str = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff";

/// Identifiers that the made-up senders send, as somebody would write them who asks for their erasure.
const ERASED: [(Class, &str); 12] = [
    (Class::HostName, "Esx01.corp.example.com."),
    (Class::IpAddress, "::ffff:10.1.2.3"),
    (Class::MacAddress, "00-50-56-AB-CD-EF"),
    (Class::Email, "Bob.Smith@EXAMPLE.com"),
    (Class::UserId, "corp\\bob"),
    (Class::Phone, "+49 (30) 7483-59133"),
    (Class::VmId, "{564d8a3b-1234-abcd-8899-aabbccddeeff}"),
    (Class::ObjectName, "listed value"),
    (Class::PersonName, "Jos\u{e9} \u{dc}nic\u{f6}d\u{e9}"),
    (Class::DeviceId, "1042"),
    (Class::Location, "DE-BY"),
    (Class::LicenceKey, "1hk2l3m4np5qr6s7tu8v9wx0y"),
];

fn programs(policy: &Policy) -> Vec<ProgramName> {
    policy.programs().iter().map(|program| program.name().clone()).collect()
}

fn epochs(secret: &CustomerSecret) -> LiveEpochs {
    LiveEpochs::new(&secret.ratchet().forward(EPOCH - 1), EPOCH, [])
}

pub fn identifier((class, value): (Class, &str), policy: &Policy, secret: &CustomerSecret) -> Strike {
    let value = RawText::new(value.as_bytes());
    Strike::identifier(class, value, secret, &programs(policy), &epochs(secret)).unwrap()
}

fn from(batch: &SanitizedBatch) -> StruckFrom {
    StruckFrom {
        customer: batch.customer(),
        accepted_version: batch.accepted_version(),
        fingerprint: batch.fingerprint(),
    }
}

fn struck(batch: &SanitizedBatch, what: &Strike) -> Struck {
    strike(batch.body(), what, &from(batch), &mut Scratch::default()).unwrap()
}

/// The bytes that are left of a batch, and how many events went.
pub fn left(batch: &SanitizedBatch, what: &Strike) -> (Vec<u8>, u32) {
    match struck(batch, what) {
        Struck::Untouched => (batch.body().to_vec(), 0),
        Struck::All { events_removed } => (Vec::new(), events_removed),
        Struck::Part { batch: part, events_removed } => {
            assert_eq!(part.events() + events_removed, batch.events());
            assert_eq!((part.received(), part.level(), part.region()), (NOW, batch.level(), batch.region()));
            assert_eq!(part.policy_version(), batch.policy_version());
            assert_eq!(from(&part).fingerprint, batch.fingerprint());
            (part.body().to_vec(), events_removed)
        }
    }
}

fn body(batches: &[SanitizedBatch]) -> &[u8] {
    batches.first().map_or(&[], SanitizedBatch::body)
}

/// Whether bytes hold a token, as such or as text.
pub fn holds(body: &[u8], token: &[u8; 16]) -> bool {
    let letters = BASE32HEX_NOPAD.encode(token).to_ascii_lowercase();
    let found = |what: &[u8]| body.windows(what.len()).any(|bytes| bytes == what);
    found(token) || found(letters.as_bytes())
}

fn cases(check: impl Fn(&mut Dice, &Arc<Policy>, &Terms, Vec<Event>, (Class, &str))) {
    proptest!(config(40), |(seed in any::<u64>())| {
        let mut dice = Dice(seed);
        let policy = Arc::new(made_up::policy(&mut dice));
        for _ in 0..6 {
            let events = timed((0..2 + dice.roll(6)).map(|_| made_up::event(&mut dice)).collect());
            let terms = stricter_and_stricter(&mut dice).remove(dice.roll(2));
            let erased = *dice.one(&ERASED);
            check(&mut dice, &policy, &terms, events, erased);
        }
    });
}

fn request(events: Vec<Event>) -> SubmitRequest {
    composition::request(PRODUCT, INSTANCE, events)
}

/// Whether some field of a stored batch was redacted.
fn redacts(body: &[u8]) -> bool {
    body.windows(6).any(|bytes| bytes == b"redact")
}

// covers: P8
#[test]
fn what_is_left_is_what_would_have_been_stored_without_the_events_that_name_the_identifier() {
    let [parts, whole, untouched] = [0, 0, 0].map(std::cell::Cell::new);
    let secret = secret();
    cases(|dice, policy, terms, events, erased| {
        let mut what = identifier(erased, policy, &secret);
        // Often a part of the time, sometimes all of it: by an identifier alone a whole batch goes too seldom to count on it.
        match dice.roll(12) {
            0..4 => what = what.or(Strike::times(time_of(0)..=time_of(dice.roll(2)))),
            4..6 => what = what.or(Strike::times(time_of(0)..=time_of(events.len()))),
            _ => {}
        }
        // Of one event alone, it is all or nothing.
        let stays = |event: &&Event| {
            let alone = terms.sanitize(policy, &request(vec![(*event).clone()]), &secret);
            alone.first().is_none_or(|batch| match struck(batch, &what) {
                Struck::Untouched => true,
                Struck::All { .. } => false,
                Struck::Part { .. } => panic!("a part of one event"),
            })
        };
        let rest: Vec<Event> = events.iter().filter(stays).cloned().collect();
        let stored = terms.sanitize(policy, &request(events), &secret);
        let expected =
            if rest.is_empty() { Vec::new() } else { terms.sanitize(policy, &request(rest), &secret) };
        let Some(batch) = stored.first() else { return };
        let (made, removed) = left(batch, &what);
        // Text was redacted of what the erased events had in their fields too: that stays out.
        let is_same = redacts(batch.body()) || made == body(&expected);
        assert!(is_same, "{removed} of {} events went", batch.events());
        match (removed, made.is_empty()) {
            (0, _) => untouched.set(untouched.get() + 1),
            (_, true) => whole.set(whole.get() + 1),
            (_, false) => parts.set(parts.get() + 1),
        }
        for (_, token) in what.stable_tokens() {
            let keys = secret.program(&ProgramName::new(PROGRAM).unwrap(), EPOCH);
            assert!(!holds(&made, token) && !holds(&made, &keys.rotate(erased.0, token).unwrap()));
        }
        // Nor in a form that was kept.
        for leaf in stored_leaves::read(&made).1.iter().filter(|leaf| leaf.treatment == "keep") {
            let told = format!("{:?}", leaf.value).to_lowercase();
            let canonical = erased.1.trim_matches(['.', '{', '}']).to_lowercase();
            assert!(erased.0 == Class::DeviceId || !told.contains(&canonical), "{leaf:?}");
        }
    });
    let [parts, whole, untouched] = [parts, whole, untouched].map(std::cell::Cell::into_inner);
    assert!(parts > 5 && whole > 2 && untouched > 20, "{parts} parts, {whole} whole, {untouched} untouched");
}

// covers: P8, P3
#[test]
fn what_arrives_after_it_was_erased_is_withheld_and_the_rest_is_stored_as_ever() {
    let withheld = std::cell::Cell::new(0);
    let secret = secret();
    cases(|dice, policy, terms, events, erased| {
        let what = identifier(erased, policy, &secret);
        let times = (dice.roll(3) == 0).then(|| time_of(0)..=time_of(0));
        let suppressed = Arc::new(Suppressions::new(&what, times, composition::NOW));
        let erased_of =
            |events: Vec<Event>| terms.sanitize_but(policy, &request(events), &secret, Some(&suppressed));
        let counted = |tally: &usaged::model::Tally| tally.withheld[Reason::Erased.index()];
        let stays = |event: &&Event| counted(&erased_of(vec![(*event).clone()]).tally) == 0;
        let rest: Vec<Event> = events.iter().filter(stays).cloned().collect();
        let gone = u32::try_from(events.len() - rest.len()).unwrap();
        let sanitized = erased_of(events);
        assert!(sanitized.tally.adds_up());
        assert_eq!(counted(&sanitized.tally), gone);
        let expected =
            if rest.is_empty() { Vec::new() } else { terms.sanitize(policy, &request(rest), &secret) };
        let text = sanitized.batches.iter().any(|batch| redacts(batch.body()));
        assert!(text || body(&sanitized.batches) == body(&expected));
        let keys = secret.program(&ProgramName::new(PROGRAM).unwrap(), EPOCH);
        for (batch, (class, token)) in sanitized.batches.iter().zip(what.stable_tokens()) {
            assert!(
                !holds(batch.body(), token) && !holds(batch.body(), &keys.rotate(*class, token).unwrap())
            );
        }
        withheld.set(withheld.get() + gone);
    });
    assert!(withheld.get() > 20, "{} events were withheld", withheld.get());
}

/// The shipped policy, and what it stores of an event of every kind.
fn shipped_batches(instance: &str) -> (Arc<Policy>, Vec<SanitizedBatch>) {
    let policy = Arc::new(compile(&shipped()).unwrap().0);
    let product = policy.product(&"vcenter".parse().unwrap()).unwrap();
    let events = product.events().iter().map(|event| make(product, event, |_, field| Some(example(field))));
    let request = composition::request("vcenter", instance, timed(events.collect()));
    let terms = Terms::full(&["ceip=enhanced", "operational=operational"]);
    let batches = terms.sanitize(&policy, &request, &secret());
    (policy, batches)
}

// covers: P8
#[test]
fn the_instance_takes_its_whole_batch_and_another_one_takes_nothing() {
    let (policy, batches) = shipped_batches(INSTANCE);
    assert_eq!(batches.len(), 2);
    for written in [INSTANCE, "{6F9619FF-8B86-4D01-B42D-00CF4FC964FF}"] {
        let own = identifier((Class::InstanceId, written), &policy, &secret());
        for batch in &batches {
            let events_removed = batch.events();
            assert!(matches!(struck(batch, &own), Struck::All { events_removed: n } if n == events_removed));
        }
    }
    let other = identifier((Class::InstanceId, "6f9619ff-8b86-4d01-b42d-00cf4fc96400"), &policy, &secret());
    assert!(batches.iter().all(|batch| matches!(struck(batch, &other), Struck::Untouched)));
    // Nor does a machine that has the id of the installation, where that is not kept as it is.
    for class in [Class::BiosUuid, Class::UserId] {
        let own = identifier((class, INSTANCE), &policy, &secret());
        assert!(batches.iter().all(|batch| !matches!(struck(batch, &own), Struck::All { .. })), "{class}");
    }
    let customer = identifier((Class::CustomerId, "acme"), &policy, &secret());
    assert!(batches.iter().all(|batch| matches!(struck(batch, &customer), Struck::All { .. })));

    let own = identifier((Class::InstanceId, INSTANCE), &policy, &secret());
    let suppressed = Arc::new(Suppressions::new(&own, [], composition::NOW));
    let terms = Terms::full(&["ceip=standard"]);
    let event =
        Event { name: "vm.power_on".into(), fields: vec![field("cluster", text("x"))], ..Event::default() };
    for (instance, erased) in [(INSTANCE, 1), ("another", 0), ("", 0)] {
        let request = composition::request("vcenter", instance, vec![event.clone()]);
        let sanitized = terms.sanitize_but(&policy, &request, &secret(), Some(&suppressed));
        assert_eq!(sanitized.tally.withheld[Reason::Erased.index()], erased, "{instance}");
        assert_eq!(sanitized.batches.is_empty(), erased > 0);
    }
}

#[test]
fn a_value_that_cannot_have_been_stored_is_refused_with_the_reason_and_never_shown() {
    let policy = compile(&shipped()).unwrap().0;
    for (class, value, expected) in [
        (Class::MacAddress, "00:50:56", StrikeError::Malformed(Class::MacAddress)),
        (Class::IpAddress, "10.1.2.3:443", StrikeError::Malformed(Class::IpAddress)),
        (Class::HostName, "my host", StrikeError::Malformed(Class::HostName)),
        (Class::HostName, "LocalHost.", StrikeError::Shared),
        (Class::SerialNumber, "To be filled by O.E.M.", StrikeError::Shared),
        (Class::HostName, "", StrikeError::Shared),
        (Class::Secret, "hunter22", StrikeError::Class(Class::Secret)),
        (Class::NotIdentifying, "8.0.3", StrikeError::Class(Class::NotIdentifying)),
    ] {
        let raw = RawText::new(value.as_bytes());
        let secret = secret();
        let refused = Strike::identifier(class, raw, &secret, &programs(&policy), &epochs(&secret));
        let refused = refused.unwrap_err();
        assert_eq!(refused, expected, "{value}");
        assert!(value.len() < 5 || !format!("{refused} {refused:?}").contains(value));
    }
    let strike = identifier((Class::Email, "jane.doe@example.com"), &policy, &secret());
    assert!(!format!("{strike:?}").contains("jane"));
}
