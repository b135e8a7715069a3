//! Late arrivals in text: whatever form a detector finds an erased identifier in, the event is withheld.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use usaged::grpc::proto::ingest::Event;
use usaged::model::{IdentifierClass as Class, ProgramName, RawText, Reason};
use usaged::policy::{Kind, Policy, compile, shipped};
use usaged::sanitize::{CustomerSecret, LiveEpochs, Strike, Suppressions};

use crate::composition::{self, EPOCH, Terms, config, secret, timed};
use crate::dictionary_events::{field, make, text};
use crate::golden_levels::example;
use crate::made_up::Dice;
use crate::striking::{holds, identifier, left};

/// Identifiers and how they are written in text.
const WRITTEN: [(Class, &str, &[&str]); 11] = [
    (Class::IpAddress, "10.1.2.3", &["10.1.2.3", "::ffff:10.1.2.3", "::FFFF:a01:203"]),
    (Class::IpAddress, "2001:db8::5", &["2001:db8::5", "2001:0DB8:0:0:0:0:0:5", "[2001:db8::5]:443"]),
    (
        Class::HostName,
        "esx01.corp.example.com",
        &["esx01.corp.example.com", "ESX01.Corp.Example.COM.", "ESX01", "esx01"],
    ),
    (Class::MacAddress, "00:50:56:ab:cd:ef", &["00:50:56:AB:cd:ef", "00-50-56-ab-cd-ef", "0050.56ab.cdef"]),
    (Class::Email, "bob.smith@example.com", &["Bob.Smith@EXAMPLE.com", "<bob.smith@example.com>"]),
    (Class::UserId, "corp\\bob", &["CORP\\bob", "corp\\bob", "CORP\\BOB", "Bob"]),
    (
        Class::VmId,
        "564d8a3b-1234-abcd-8899-aabbccddeeff",
        &["564D8A3B-1234-ABCD-8899-AABBCCDDEEFF", "{564d8a3b-1234-abcd-8899-aabbccddeeff}"],
    ),
    (Class::Phone, "+49 30 748359133", &["+49 (30) 7483-59133", "+4930748359133"]),
    (Class::ObjectName, "Prod VM 1", &["Prod VM 1", "(Prod VM 1)", "prod vm 1"]),
    (
        Class::ObjectName,
        "\u{8d22}\u{52a1}\u{673a}",
        &["\u{8fde}\u{63a5}\u{8d22}\u{52a1}\u{673a}\u{5931}\u{8d25}"],
    ),
    (
        Class::PersonName,
        "Jos\u{e9} \u{dc}nic\u{f6}d\u{e9}",
        &["Jos\u{e9} \u{dc}nic\u{f6}de\u{301}", "jos\u{e9} \u{fc}nic\u{f6}d\u{e9}"],
    ),
];

const BEFORE: [&str; 22] = [
    "",
    " ",
    "client ",
    "from: ",
    "\u{201c}",
    "\u{2026}",
    "a\u{2192}",
    "~",
    "#",
    "=",
    "host=",
    "\"",
    "'",
    "(",
    "[",
    "<",
    "\\n",
    "\\\\",
    "//",
    "https://",
    "x\t",
    "\u{200b}",
];
const AFTER: [&str; 24] = [
    "",
    " ",
    "#53211: query",
    "-10.1.2.9 denied",
    "%eth0 up",
    "+443",
    "*",
    ":443",
    ".",
    ",",
    ";",
    "\u{201d}",
    "\u{2026}",
    "\u{2192}b",
    "\"",
    "'",
    ")",
    "]",
    ">",
    "\\n",
    "&x=1",
    "?a=b",
    "/24",
    "\u{200b}.",
];

/// A spelling in one of the disguises that text comes in.
fn disguised(spelling: &str, dice: &mut Dice) -> String {
    let signs = |escape: &dyn Fn(char) -> String| -> String {
        let escaped = |c: char| if ".:@-\\ ".contains(c) { escape(c) } else { c.to_string() };
        spelling.chars().map(escaped).collect()
    };
    let wide = |c: char| match c {
        '0'..='9' | 'a'..='z' | 'A'..='Z' => char::from_u32(u32::from(c) + 0xfee0).unwrap(),
        _ => c,
    };
    match dice.roll(12) {
        0 => signs(&|c| format!("%{:02X}", u32::from(c))),
        1 => signs(&|c| format!("%25{:02x}", u32::from(c))),
        2 => signs(&|c| format!("&#{};", u32::from(c))),
        3 => signs(&|c| format!("\\u{:04x}", u32::from(c))),
        4 => spelling.chars().map(wide).collect(),
        5 => spelling.replacen('.', "\u{200b}.", 1).replacen(':', "\u{200b}:", 1),
        6 => spelling.replace('.', "\u{3002}"),
        7 => spelling.to_uppercase(),
        _ => spelling.to_owned(),
    }
}

/// The shipped policy, under which text is redacted at the highest level.
pub struct World {
    pub policy: Arc<Policy>,
    pub terms: Terms,
    pub secret: Arc<CustomerSecret>,
}

impl World {
    pub fn new() -> Self {
        let policy = Arc::new(compile(&shipped()).unwrap().0);
        Self { policy, terms: Terms::full(&["ceip=enhanced"]), secret: secret() }
    }

    pub fn erased(&self, class: Class, value: &str) -> (Strike, Arc<Suppressions>) {
        let what = identifier((class, value), &self.policy, &self.secret);
        let suppressed = Arc::new(Suppressions::new(&what, [], composition::NOW));
        (what, suppressed)
    }

    /// The same, of what may be none of its class.
    pub fn asked(&self, class: Class, value: &str) -> Option<(Strike, Arc<Suppressions>)> {
        let programs = [ProgramName::new("ceip").unwrap()];
        let (raw, epochs) = (RawText::new(value.as_bytes()), LiveEpochs::default());
        let asked = Strike::identifier(class, raw, &self.secret, &programs, &epochs);
        asked.is_ok().then(|| self.erased(class, value))
    }

    /// Whether a pseudonym of it is stored of events, and how many are withheld when it was erased. Nothing of it is
    /// stored then, as a pseudonym or as it is spelt in them.
    pub fn look(
        &self,
        events: Vec<Event>,
        spelling: &str,
        (what, suppressed): &(Strike, Arc<Suppressions>),
    ) -> (bool, u32) {
        let request = composition::request("horizon", "", timed(events));
        let keys = self.secret.program(&ProgramName::new("ceip").unwrap(), EPOCH);
        let has = |body: &[u8]| {
            what.stable_tokens()
                .iter()
                .any(|(class, token)| holds(body, token) || holds(body, &keys.rotate(*class, token).unwrap()))
        };
        let stored = self.terms.sanitize(&self.policy, &request, &self.secret);
        let late = self.terms.sanitize_but(&self.policy, &request, &self.secret, Some(suppressed));
        assert!(
            !late.batches.iter().any(|batch| has(batch.body())),
            "a pseudonym of what was erased is stored"
        );
        let raw = spelling.to_lowercase();
        let says = |body: &[u8]| String::from_utf8_lossy(body).to_lowercase().contains(&raw);
        assert!(!late.batches.iter().any(|batch| says(batch.body())), "{spelling} is stored as it is");
        assert!(late.tally.adds_up());
        (stored.iter().any(|batch| has(batch.body())), late.tally.withheld[Reason::Erased.index()])
    }

    /// An event that has a value in a field of a class.
    pub fn naming(&self, class: Class, value: &str) -> Option<Event> {
        let product = self.policy.product(&"horizon".parse().unwrap()).unwrap();
        let ceip = self.policy.program_index(&ProgramName::new("ceip").unwrap()).unwrap();
        let events = product.events().iter().filter(|event| event.program() == ceip);
        let is_its = |field: &usaged::policy::Field| field.class() == class && field.kind() == Kind::Text;
        let mut events = events.filter(|event| product.fields(event).any(|(_, field)| is_its(field)));
        let one = events.next()?;
        Some(make(product, one, |_, field| Some(if is_its(field) { text(value) } else { example(field) })))
    }
}

pub fn line(line: &str) -> Event {
    let fields = vec![field("component", text("wsnm")), field("last_log", text(line))];
    Event { name: "agent.crash".into(), fields, ..Event::default() }
}

// covers: P8
#[test]
fn an_address_that_was_erased_is_withheld_in_every_line_that_it_comes_late_in() {
    let world = World::new();
    let erased = world.erased(Class::IpAddress, "10.1.2.3");
    for late in [
        "client 10.1.2.3#53211: query",
        "range 10.1.2.3-10.1.2.9 denied",
        "peer 10.1.2.3%eth0 up",
        "boot\\n10.1.2.3 up",
        "from 10.1.2.3: ok",
        "net 10.1.2.3+443",
        "~10.1.2.3",
        "id 10.1.2.3*",
        "at \u{ff11}\u{ff10}.1.2.3 full",
        "x 10%2E1%2E2%2E3 y",
        "::ffff:10.1.2.3 z",
        "v4 10.1.2.3&x",
        "e 10.1.2.3\u{200b}.",
        "a\u{2192}10.1.2.3\u{2192}b",
        "a\u{2026}10.1.2.3\u{2026}b",
        "\u{201c}10.1.2.3\u{201d}",
        "see https://10.1.2.3/ui",
    ] {
        assert_eq!(world.look(vec![line(late)], late, &erased).1, 1, "{late}");
    }
    for other in ["client 10.1.2.4#53211", "10.1.2.30", "110.1.2.3", "build 10.1.2.3456", "1 0 1 2 3"] {
        assert_eq!(world.look(vec![line(other)], "10.1.2.3 ", &erased), (false, 0), "{other}");
    }
}

// covers: P8
#[test]
fn whatever_form_the_pass_would_make_a_pseudonym_of_is_withheld_when_it_comes_late() {
    let world = World::new();
    let found = std::cell::RefCell::new(BTreeMap::<Class, (u32, u32)>::new());
    proptest!(config(40), |(seed in any::<u64>())| {
        let mut dice = Dice(seed);
        for (class, value, spellings) in WRITTEN {
            let erased = world.erased(class, value);
            for _ in 0..8 {
                let spelling = *dice.one(spellings);
                let (before, after) = (*dice.one(&BEFORE), *dice.one(&AFTER));
                let spelling = disguised(spelling, &mut dice);
                let written = format!("{before}{spelling}{after}");
                // Alone, and beside an event that says what it is.
                let told = world.naming(class, value).filter(|_| dice.roll(2) == 0);
                let alone = told.is_none();
                let events: Vec<Event> = told.into_iter().chain([line(&written)]).collect();
                // An address that no detector reads where it stands is looked for in its canonical form only.
                let raw = if class == Class::IpAddress { value } else { spelling.as_str() };
                let (stored, withheld) = world.look(events, raw, &erased);
                if alone {
                    prop_assert!(!stored || withheld == 1, "{class}: {written}");
                } else {
                    prop_assert!(withheld > 0, "{class}: the field");
                }
                let mut found = found.borrow_mut();
                let (pseudonyms, late) = found.entry(class).or_default();
                *pseudonyms += u32::from(alone && stored);
                *late += u32::from(alone && withheld > 0);
            }
        }
    });
    let found = found.into_inner();
    // What gets a marker, and what no detector knows, is withheld too.
    assert!(found.len() == 9 && found.values().all(|(_, late)| *late > 20), "{found:?}");
    assert!(found.values().filter(|(pseudonyms, _)| *pseudonyms > 20).count() >= 3, "{found:?}");
}

// covers: P8
#[test]
fn a_name_that_redaction_takes_for_another_class_is_erased_by_either() {
    let world = World::new();
    let uuid = "564d8a3b-1234-abcd-8899-aabbccddeeff";
    let mut seen = 0;
    for (of_text, value) in
        [(Class::HostName, "esx77.corp.example.com"), (Class::BiosUuid, uuid), (Class::UserId, "corp\\jdoe")]
    {
        for of_field in Class::ALL.iter().copied().filter(|class| *class != of_text) {
            let Some(named) = world.naming(of_field, value) else { continue };
            let said = format!("lost {value} again");
            let request = composition::request("horizon", "", timed(vec![named.clone(), line(&said)]));
            let stored = world.terms.sanitize(&world.policy, &request, &world.secret);
            let told = |body: &[u8]| String::from_utf8_lossy(body).contains(&format!("p1-{of_field}-"));
            if !stored.iter().any(|batch| told(batch.body())) {
                continue;
            }
            let programs = [ProgramName::new("ceip").unwrap()];
            let can_be_asked = |class: &Class| {
                let (raw, epochs) = (RawText::new(value.as_bytes()), LiveEpochs::default());
                Strike::identifier(*class, raw, &world.secret, &programs, &epochs).is_ok()
            };
            if !can_be_asked(&of_field) {
                continue;
            }
            seen += 1;
            for asked in [of_text, of_field] {
                let what = identifier((asked, value), &world.policy, &world.secret);
                for batch in stored.iter().filter(|batch| told(batch.body())) {
                    let left = left(batch, &what).0;
                    assert!(!told(&left), "{value} of {of_field}, erased as {asked}");
                }
                // Nor does either come late.
                let (_, withheld) =
                    world.look(vec![named.clone(), line(&said)], value, &world.erased(asked, value));
                assert!(withheld > 0, "{value} of {of_field}, erased as {asked}");
            }
        }
    }
    assert!(seen >= 3, "{seen} fields gave text their class");
}

// covers: P8
#[test]
fn a_program_that_joins_the_policy_after_an_erasure_withholds_what_was_erased() {
    let world = World::new();
    let programs = [ProgramName::new("operational").unwrap()];
    let value = RawText::new(b"esx01.corp.example.com");
    let epochs = LiveEpochs::default();
    let what = Strike::identifier(Class::HostName, value, &world.secret, &programs, &epochs).unwrap();
    let suppressed = Arc::new(Suppressions::new(&what, [], composition::NOW));
    let erased = (what, suppressed);
    for late in ["esx01.corp.example.com is down", "ESX01 is down", "at esx01.corp.example.com:443"] {
        assert_eq!(world.look(vec![line(late)], "esx01", &erased).1, 1, "{late}");
    }
    let named = world.naming(Class::HostName, "ESX01.corp.example.com");
    assert_eq!(world.look(named.into_iter().collect(), "esx01", &erased).1, 1);
}
