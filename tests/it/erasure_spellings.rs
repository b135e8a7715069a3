//! Erasure compares as redaction does: whatever the sanitiser made one pseudonym of, an erasure by any of its spellings takes,
//! from what is stored and from what arrives late.

use usaged::grpc::proto::ingest::Event;
use usaged::model::{IdentifierClass as Class, ProgramName};
use usaged::sanitize::SanitizedBatch;

use crate::composition::{self, EPOCH, timed};
use crate::late_text::{World, line};
use crate::striking::{holds, identifier, left};

/// How fields write an identifier, and how text does besides. Each is asked for in the end.
type Spellings = (Class, &'static [&'static str], &'static [&'static str]);

const SPELLINGS: [Spellings; 11] = [
    (
        Class::HostName,
        &["db-7.example.com", "DB-7.Example.COM."],
        &["Db-7.EXAMPLE.com", "db-7.example.com.", "db-7%2eexample.com", "db%2D7.example.com"],
    ),
    (Class::IpAddress, &["2001:db8::5", "2001:0DB8:0:0:0:0:0:5"], &["2001:db8:0::5", "2001:DB8::0:5"]),
    (Class::IpAddress, &["10.1.2.3", "::ffff:10.1.2.3"], &["::FFFF:a01:203", "10%2E1.2.3"]),
    (
        Class::MacAddress,
        &["00:50:56:ab:cd:ef", "0050.56AB.CDEF", "00-50-56-ab-cd-ef", "005056abcdef"],
        &["00:50-56 ab.cd:ef", "005056 ABCDEF"],
    ),
    (
        Class::LicenceKey,
        &["1HK2L-3M4NP-5QR6S-7TU8V-9WX0Y", "1hk2l3m4np5qr6s7tu8v9wx0y"],
        &["1HK2L 3M4NP 5QR6S 7TU8V 9WX0Y", "1hk2l.3m4np.5qr6s.7tu8v.9wx0y"],
    ),
    (Class::Phone, &["+49 30 748359133", "+49 (30) 7483-59133"], &["+4930.748.359.133"]),
    (
        Class::ObjectName,
        &["prod vm 1", "PROD VM 1", "Prod VM 1"],
        &["prod  vm\t1", "Prod\u{a0}VM 1", "PROD\\nVM 1", "prod%20vm%201", "prod \r\n vm 1"],
    ),
    (Class::ObjectName, &["say \"x\" 1", "SAY \"X\" 1"], &["say \\\"x\\\" 1", "Say  \"x\" 1"]),
    (
        Class::PersonName,
        &["j\u{fc}rgen o'neil", "J\u{dc}RGEN O'NEIL", "J\u{fc}rgen O'Neil"],
        &["J\u{fc}rgen  O\\'Neil", "ju\u{308}rgen o'neil"],
    ),
    (Class::UserId, &["corp\\bob7", "CORP\\bob7"], &["CORP\\\\bob7", "Corp\\bob7"]),
    (
        Class::Email,
        &["bob.smith@example.com", "BOB.SMITH@EXAMPLE.COM", "Bob.Smith@example.com"],
        &["bob.smith%40example.com"],
    ),
];

/// What is left of batches.
fn struck(world: &World, batches: &[SanitizedBatch], asked: (Class, &str)) -> (Vec<Vec<u8>>, u32) {
    let what = identifier(asked, &world.policy, &world.secret);
    let (left, removed): (Vec<_>, Vec<_>) = batches.iter().map(|batch| left(batch, &what)).unzip();
    (left, removed.into_iter().sum())
}

fn stored(world: &World, events: Vec<Event>) -> Vec<SanitizedBatch> {
    let request = composition::request("horizon", "", timed(events));
    world.terms.sanitize(&world.policy, &request, &world.secret)
}

/// Every other letter in capitals.
fn odd(value: &str) -> String {
    let of =
        |(at, c): (usize, char)| if at % 2 == 1 { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
    value.chars().enumerate().map(of).collect()
}

fn says(body: &[u8], text: &str) -> bool {
    String::from_utf8_lossy(body).to_lowercase().contains(&text.to_lowercase())
}

// covers: P8, P4
#[test]
fn whatever_redaction_makes_one_pseudonym_of_is_erased_by_any_of_its_spellings() {
    let world = World::new();
    let keys = world.secret.program(&ProgramName::new("ceip").unwrap(), EPOCH);
    let (mut in_text, mut alone) = (0, 0);
    for (class, of_fields, others) in SPELLINGS {
        let all: Vec<&str> = of_fields.iter().chain(others).copied().collect();
        for field in of_fields {
            // Every form in which the field's own value is a pseudonym.
            let own = identifier((class, field), &world.policy, &world.secret);
            let has = |body: &[u8]| {
                own.stable_tokens().iter().any(|(class, token)| {
                    holds(body, token) || holds(body, &keys.rotate(*class, token).unwrap())
                })
            };
            for said in &all {
                let text = format!("see {said} now");
                // Redaction finds it by the field, or by its form.
                let named = world.naming(class, field);
                let both: Vec<Event> = named.iter().cloned().chain([line(&text)]).collect();
                let together = stored(&world, both.clone());
                assert!(named.is_none() || !together.iter().any(|batch| says(batch.body(), said)), "{said}");
                in_text += u32::from(together.iter().any(|batch| has(batch.body())));
                // By itself, text has what no detector knows as it is.
                let by_itself = stored(&world, vec![line(&text)]);
                let is_there = by_itself.iter().any(|batch| says(batch.body(), said) || has(batch.body()));
                alone += u32::from(is_there);
                for asked in &all {
                    let why = format!("{class}: {field:?} in a field, {said:?} in text, erased as {asked:?}");
                    // Whoever asks with an escape or a tab in it may be told that it is none of its class.
                    let Some(erased) = world.asked(class, asked) else { continue };
                    let (left, _) = struck(&world, &together, (class, asked));
                    assert!(!left.iter().any(|body| has(body)), "{why}");
                    assert_eq!(struck(&world, &by_itself, (class, asked)).1, u32::from(is_there), "{why}");
                    // In any letter case, also of a field that is written as nobody does.
                    let oddly = world.naming(class, &odd(field)).filter(|_| class.keeps_letter_case());
                    if let Some(named) = oddly {
                        assert_eq!(world.look(vec![named], field, &erased).1, 1, "{why}, oddly");
                    }
                    let late = u32::try_from(both.len()).unwrap();
                    assert_eq!(world.look(both.clone(), said, &erased).1, late, "{why}, late");
                    assert_eq!(world.look(vec![line(&text)], said, &erased).1, 1, "{why}, late by itself");
                }
            }
        }
    }
    assert!(in_text > 60 && alone > 30, "{in_text} with a field, {alone} alone");
}

// covers: P8
#[test]
fn an_address_is_erased_in_a_spelling_that_no_detector_reads_and_no_other_address_is() {
    let world = World::new();
    let erased = world.erased(Class::IpAddress, "2001:db8::5");
    for (said, found) in [
        ("id=x2001:0DB8:0:0:0:0:0:5y", 1),
        ("nic_2001:db8:0:0::5_up", 1),
        ("id=x2001:0DB8:0:0:0:0:0:6y", 0),
        ("id=x2001:0DB8:0:0:0:0:5:0y", 0),
    ] {
        assert_eq!(world.look(vec![line(said)], "2001:db8::5", &erased).1, found, "{said}");
        let events = stored(&world, vec![line(said)]);
        assert_eq!(struck(&world, &events, (Class::IpAddress, "2001:DB8::0:5")).1, found, "{said}");
    }
}
