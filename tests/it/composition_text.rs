//! Every pair of treatments that the proof accepts for text composes: what the higher level stored and is brought down
//! is, byte for byte, what the lower level stores at once. A pair that does not compose is refused.

use std::fmt::Write as _;
use std::sync::Arc;

use proptest::prelude::*;
use usaged::grpc::proto::ingest::Event;
use usaged::model::IdentifierClass as Class;
use usaged::policy::{Policy, PolicyFile, Problem, compile};

use crate::composition::{Terms, check, request, secret};
use crate::dictionary_events::{field, text};

/// Treatments of text, each revealing at least what the one before does.
const TREATMENTS: [&str; 6] = [
    "\"drop\"",
    "\"vocabulary\"",
    "{ treatment = \"redact\", max_bytes = 24 }",
    "{ treatment = \"redact\", max_bytes = 80 }",
    "\"redact\"",
    "\"keep\"",
];

/// Classes whose values are text.
const TEXTS: [Class; 7] = [
    Class::Url,
    Class::FilePath,
    Class::Query,
    Class::Argument,
    Class::FreeText,
    Class::ProductLog,
    Class::CrashText,
];

/// A policy with two levels that treat text so, and host names so.
fn policy(low: &str, high: &str, hosts: [&str; 2]) -> Result<Policy, Vec<Problem>> {
    let mut program = "name = \"alpha\"\ndescription = \"Made up.\"\n".to_owned();
    for ((level, treatment), hosts) in [("low", low), ("high", high)].into_iter().zip(hosts) {
        write!(
            program,
            "\n[[levels]]\nname = \"{level}\"\ndescription = \"Made up.\"\ncategories = [\"configuration\"]\n\
             purposes = [\"improve\"]\n\n[levels.treatments]\n"
        )
        .unwrap();
        for class in
            Class::ALL.iter().filter(|class| !class.is_forbidden() && **class != Class::NotIdentifying)
        {
            let treatment = match class {
                class if TEXTS.contains(class) => treatment,
                Class::HostName => hosts,
                _ => "\"drop\"",
            };
            writeln!(program, "{class} = {treatment}").unwrap();
        }
    }
    let mut product = "name = \"gadget\"\ndescription = \"Made up.\"\nversion = 1\n\n[events.\"said\"]\n\
                       description = \"Made up.\"\nprogram = \"alpha\"\nsince = 1\n"
        .to_owned();
    for class in TEXTS.into_iter().chain([Class::HostName]) {
        write!(
            product,
            "\n[events.\"said\".fields.\"{class}\"]\ntype = \"string\"\ncategory = \"configuration\"\n\
             class = \"{class}\"\npurposes = [\"improve\"]\ndescription = \"Made up.\"\nexample = \"on\"\n\
             since = 1\nvocabulary = [\"on\", \"esx-7\"]\n"
        )
        .unwrap();
    }
    let file = |path: &str, text| PolicyFile { path: path.to_owned(), text };
    let files = [file("programs/alpha.toml", program), file("products/gadget.toml", product)];
    compile(&files).map(|(policy, _notes)| policy)
}

/// Text with identifiers of its own, and with one that only a field of the request names.
const SAID: [&str; 8] = [
    "on",
    "esx-7",
    "nothing that names anybody",
    "login of jane.doe@example.com from 10.1.2.3 on esx-7 failed, and once more from 10.1.2.4 and 10.1.2.5",
    "esx-7 is up",
    "lost#012esx-7 ^[[31m10.1.2.3^[[0m IP 10.1.2.3.22 > x fe80::21b:21ff:feab:cdef%vmk0 by CORP\\jdoe:x name=a+esx-7",
    "https://user:secret@portal.example.com:8443/a/b?c=d",
    "[host_name] p1-host_name-s-0123456789abcdefghijklmnop \u{df}\u{1f600}",
];

const PSEUDONYM: &str = "\"pseudonym\"";
const ROTATING: &str = "{ treatment = \"pseudonym\", epoch = \"rotating\" }";

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    // covers: P6
    #[test]
    fn every_pair_that_is_accepted_composes_and_kept_text_is_never_to_be_redacted(
        said in prop::collection::vec(prop::sample::select(&SAID[..]), 1..6),
        free in "\\PC{0,90}",
        hosts in prop::sample::select(&[
            ["\"drop\"", PSEUDONYM],
            [PSEUDONYM, PSEUDONYM],
            [ROTATING, PSEUDONYM],
            ["\"drop\"", "\"drop\""],
            [PSEUDONYM, "\"keep\""],
        ][..]),
    ) {
        let mut events = Vec::new();
        for (at, said) in said.iter().copied().chain([free.as_str()]).enumerate() {
            let class = TEXTS[at % TEXTS.len()];
            let fields = vec![field(class.as_str(), text(said)), field("host_name", text("esx-7"))];
            events.push(Event { name: "said".to_owned(), fields, ..Event::default() });
        }
        let sent = request("gadget", "", events);
        for (low_at, low) in TREATMENTS.into_iter().enumerate() {
            for (high_at, high) in TREATMENTS.into_iter().enumerate() {
                let is_redacted = (2..=4).contains(&low_at);
                let composes = low_at <= high_at && !(is_redacted && high_at == 5);
                match policy(low, high, hosts) {
                    Ok(policy) => {
                        assert!(composes, "{low} below {high} is accepted");
                        let terms = [Terms::full(&["alpha=high"]), Terms::full(&["alpha=low"])];
                        check(&Arc::new(policy), &sent, &terms);
                    }
                    Err(problems) => assert!(!composes, "{low} below {high}: {problems:#?}"),
                }
            }
        }
    }
}

// covers: B1, P1, P6
#[test]
fn text_of_a_request_with_more_identifiers_than_are_looked_for_is_cut_to_nothing_at_every_level() {
    // Long names, for a request has 10,000 events at most and each has one.
    const HOSTS: usize = 8_000;
    let long = ["a".repeat(60), "b".repeat(60), "c".repeat(60)].join(".");
    let host = |number: usize| field("host_name", text(format!("ESX-{number}.{long}.corp.example")));
    let said = |class: Class, said: &str| field(class.as_str(), text(said));
    let events = |hosts: usize| {
        let named = (0..hosts).map(|number| vec![host(number)]);
        let last = vec![
            field("host_name", text("Finance Secret Merger")),
            said(Class::FreeText, "Finance Secret Merger is full"),
            said(Class::ProductLog, "on"),
        ];
        let event = |fields| Event { name: "said".to_owned(), fields, ..Event::default() };
        request("gadget", "", named.chain([last]).map(event).collect())
    };
    let holds = |body: &[u8], what: &str| body.windows(what.len()).any(|part| part == what.as_bytes());
    let terms = [Terms::full(&["alpha=high"]), Terms::full(&["alpha=low"])];
    for low in ["\"drop\"", "\"vocabulary\"", "{ treatment = \"redact\", max_bytes = 10 }"] {
        let policy = Arc::new(policy(low, "\"redact\"", ["\"drop\"", PSEUDONYM]).unwrap());
        let secret = secret();
        let few = terms[0].sanitize(&policy, &events(300), &secret);
        let many = terms[0].sanitize(&policy, &events(HOSTS), &secret);
        let (few, many) = (few.first().unwrap().body(), many.first().unwrap().body());
        assert!(holds(few, " is full") && !holds(few, "[cut]"));
        assert!(holds(many, "[cut]") && !holds(many, " is full"));
        assert!(!holds(few, "Merger") && !holds(many, "Merger"));
        check(&policy, &events(HOSTS), &terms);
    }
}
