//! A made-up policy and what is sent under it: three levels and three regions over every identifier class, with
//! treatments that the proof accepts, and a dictionary with every type and every shape.

use std::fmt::Write as _;

use usaged::grpc::proto::ingest::{Event, Field, List, Record, Value, value::Kind as Wire};
use usaged::model::IdentifierClass as Class;
use usaged::policy::{Policy, PolicyFile, compile};

use crate::dictionary_events::{field, text, value};

/// A source of choices: a failing case is told by its seed.
#[derive(Debug)]
pub struct Dice(pub u64);

impl Dice {
    /// A number below `sides`.
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % sides as u64).unwrap()
    }

    pub fn one<'t, T>(&mut self, of: &'t [T]) -> &'t T {
        &of[self.roll(of.len())]
    }
}

pub const LEVELS: [&str; 3] = ["low", "mid", "high"];
pub const REGIONS: [&str; 3] = ["east", "north", "west"];
pub const PRODUCT: &str = "gadget";
pub const PROGRAM: &str = "alpha";
const ROTATING: &str = "{ treatment = \"pseudonym\", epoch = \"rotating\" }";
const ASKED_ROTATING: &str = "{ treatment = \"pseudonym_if_asked\", epoch = \"rotating\" }";

/// Treatments of which each reveals at least what the one before does.
fn chains(class: Class) -> Vec<Vec<String>> {
    let chain = |rules: &[&str]| rules.iter().map(|rule| (*rule).to_owned()).collect::<Vec<_>>();
    let pseudonym = "\"pseudonym\"";
    let mut chains = vec![
        chain(&["\"drop\"", ROTATING, pseudonym, "\"keep\""]),
        chain(&["\"drop\"", ASKED_ROTATING, "\"pseudonym_if_asked\"", pseudonym, "\"keep\""]),
    ];
    let coarse = |to: &[&str]| {
        let made = to.iter().map(|to| format!("{{ treatment = \"generalise\", to = \"{to}\" }}"));
        std::iter::once("\"drop\"".to_owned()).chain(made).chain(["\"keep\"".to_owned()]).collect::<Vec<_>>()
    };
    match class {
        Class::IpAddress => chains.push(coarse(&["ip_network"])),
        Class::MacAddress => chains.push(coarse(&["mac_vendor"])),
        Class::Email => chains.push(coarse(&["email_domain"])),
        Class::Url => chains.push(coarse(&["url_origin"])),
        Class::Location => chains.push(coarse(&["location_country", "location_region"])),
        _ => {}
    }
    if kinds(class) == ["string"] {
        chains.push(chain(&["\"drop\"", "\"vocabulary\"", "\"keep\""]));
        // Text that is kept cannot be redacted later: the proof refuses `keep` above `redact`.
        let capped = "{ treatment = \"redact\", max_bytes = 24 }";
        chains.push(chain(&["\"drop\"", "\"vocabulary\"", capped, "\"redact\""]));
    }
    chains
}

/// The types of fields of a class, as the policy allows them.
fn kinds(class: Class) -> &'static [&'static str] {
    match class {
        Class::InstanceId | Class::ClusterId | Class::VmId | Class::DeviceId | Class::BrowserId => {
            &["string", "int", "bytes"]
        }
        Class::CustomerId | Class::EntitlementId | Class::SerialNumber | Class::PixelId | Class::UserId => {
            &["string", "int"]
        }
        Class::IpAddress | Class::MacAddress | Class::BiosUuid | Class::AdvertisingId => &["string", "bytes"],
        Class::CustomerContent | Class::Secret => &["string", "bytes"],
        _ => &["string"],
    }
}

/// Rising places in a chain, the highest for the highest level.
fn rising(dice: &mut Dice, len: usize, most: &[usize; 3]) -> [usize; 3] {
    let mut places = [0; 3].map(|_| dice.roll(len));
    places.sort_unstable();
    std::array::from_fn(|at| places[at].min(most[at]))
}

fn program(dice: &mut Dice) -> String {
    let treated: Vec<Class> = Class::ALL
        .iter()
        .copied()
        .filter(|class| !class.is_forbidden() && *class != Class::NotIdentifying)
        .collect();
    let choices: Vec<(Class, Vec<String>, [usize; 3], [Option<[usize; 3]>; 3])> = treated
        .into_iter()
        .map(|class| {
            let chains = chains(class);
            let chain = dice.one(&chains).clone();
            let levels = rising(dice, chain.len(), &[usize::MAX; 3]);
            let regions = [0; 3].map(|_| (dice.roll(3) == 0).then(|| rising(dice, chain.len(), &levels)));
            (class, chain, levels, regions)
        })
        .collect();
    let mut out = format!("name = \"{PROGRAM}\"\ndescription = \"Made up.\"\n");
    let categories = ["\"configuration\"", "\"feature_usage\"", "\"performance\"", "\"product_log\""];
    let purposes = ["\"improve\"", "\"recommend\"", "\"deliver\""];
    for (at, level) in LEVELS.iter().enumerate() {
        let (categories, purposes) = (categories[..at + 2].join(", "), purposes[..=at].join(", "));
        write!(
            out,
            "\n[[levels]]\nname = \"{level}\"\ndescription = \"Made up.\"\ncategories = [{categories}]\n\
             purposes = [{purposes}]\n\n[levels.treatments]\n"
        )
        .unwrap();
        for (class, chain, levels, _) in &choices {
            writeln!(out, "{class} = {}", chain[levels[at]]).unwrap();
        }
    }
    for (number, region) in REGIONS.iter().enumerate() {
        writeln!(out, "\n[regions.{region}]").unwrap();
        for (at, level) in LEVELS.iter().enumerate() {
            writeln!(out, "\n[regions.{region}.{level}]").unwrap();
            for (class, chain, _, regions) in &choices {
                if let Some(places) = regions[number] {
                    writeln!(out, "{class} = {}", chain[places[at]]).unwrap();
                }
            }
        }
    }
    out
}

const VOCABULARY: &str = "vocabulary = [\"on\", \"off\", \"listed value\"]\n";

/// A field: its lines in the dictionary, with `example`.
fn declared(dice: &mut Dice, class: Class, kind: &str, extra: &str) -> String {
    let category = *dice.one(&["configuration", "feature_usage", "performance", "product_log"]);
    let purposes = *dice.one(&[
        "[\"improve\"]",
        "[\"recommend\"]",
        "[\"improve\", \"deliver\"]",
        "[\"improve\", \"recommend\", \"deliver\"]",
    ]);
    let example = match kind {
        "int" => "1042",
        "double" => "2.5",
        "bool" => "true",
        "bytes" => "\"00505601020a\"",
        _ if extra.contains("version") => "\"8.0.3\"",
        _ if extra.contains("vocabulary") => "\"on\"",
        _ => "\"example\"",
    };
    let since = 1 + dice.roll(3);
    let identifies = class != Class::NotIdentifying && !class.is_forbidden();
    let asked = if identifies && dice.roll(2) == 0 { "pseudonym = true\n" } else { "" };
    let long = identifies && matches!(kind, "string" | "bytes") && dice.roll(3) == 0;
    let long = if long { "max_length = 24\n" } else { "" };
    format!(
        "type = \"{kind}\"\ncategory = \"{category}\"\nclass = \"{class}\"\npurposes = {purposes}\n\
         description = \"Made up.\"\nexample = {example}\nsince = {since}\n{asked}{long}{extra}"
    )
}

/// Every class with every type that it can have, under a name.
fn all_fields(dice: &mut Dice) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    for class in Class::ALL {
        if *class == Class::NotIdentifying {
            for (name, kind, extra) in [
                ("state", "string", VOCABULARY),
                ("version", "string", "shape = \"version\"\n"),
                ("count", "int", ""),
                ("size", "int", "bucket = 16\n"),
                ("load", "double", ""),
                ("rate", "double", "bucket = 5\n"),
                ("flag", "bool", ""),
            ] {
                fields.push((name.to_owned(), declared(dice, *class, kind, extra)));
            }
            continue;
        }
        for kind in kinds(*class) {
            let listed = *kind == "string" && !class.is_forbidden() && dice.roll(2) == 0;
            let extra = if listed { VOCABULARY } else { "" };
            fields.push((format!("{class}_{kind}"), declared(dice, *class, kind, extra)));
        }
    }
    fields
}

/// How a field of every event is nested: what stands around its name.
const SHAPES: [(&str, &str, &str); 6] = [
    ("flat", "", ""),
    ("record", "outer.inner.", ""),
    ("list", "", "[]"),
    ("table", "rows[].", ""),
    ("grid", "outer.cells[][].", ""),
    ("map", "", "{}"),
];

fn product(dice: &mut Dice) -> String {
    let mut out = format!("name = \"{PRODUCT}\"\ndescription = \"Made up.\"\nversion = 3\n");
    for (shape, before, after) in SHAPES {
        write!(
            out,
            "\n[events.\"{shape}\"]\ndescription = \"Made up.\"\nprogram = \"{PROGRAM}\"\nsince = 1\n"
        )
        .unwrap();
        for (name, lines) in all_fields(dice) {
            write!(out, "\n[events.\"{shape}\".fields.\"{before}{name}{after}\"]\n{lines}").unwrap();
            if shape == "map" {
                let key = *dice.one(&[Class::ObjectName, Class::HostName, Class::IpAddress, Class::UserId]);
                let lines = declared(dice, key, "string", "");
                write!(out, "\n[events.\"{shape}\".fields.\"{name}{{key}}\"]\n{lines}").unwrap();
            }
        }
    }
    // A map of lists of records of maps.
    write!(
        out,
        "\n[events.\"deep\"]\ndescription = \"Made up.\"\nprogram = \"{PROGRAM}\"\nsince = {}\n",
        1 + dice.roll(2)
    )
    .unwrap();
    for (path, class, kind) in [
        ("hosts{key}", Class::HostName, "string"),
        ("hosts{}[].mac", Class::MacAddress, "bytes"),
        ("hosts{}[].tags{key}", Class::ObjectName, "string"),
        ("hosts{}[].tags{}", Class::FreeText, "string"),
        ("hosts{}[].tags2{key}", Class::PersonName, "string"),
        ("hosts{}[].tags2{}", Class::Location, "string"),
    ] {
        let lines = declared(dice, class, kind, "")
            .replace("since = 1", "since = 2")
            .replace("since = 3", "since = 2");
        write!(out, "\n[events.\"deep\".fields.\"{path}\"]\n{lines}").unwrap();
    }
    out
}

/// A policy made up by `dice`.
pub fn policy(dice: &mut Dice) -> Policy {
    let file = |path: &str, text: String| PolicyFile { path: path.to_owned(), text };
    let files = [
        file(&format!("programs/{PROGRAM}.toml"), program(dice)),
        file(&format!("products/{PRODUCT}.toml"), product(dice)),
    ];
    match compile(&files) {
        Ok((policy, _)) => policy,
        Err(problems) => panic!("{problems:#?}\n{}", files[0].text),
    }
}

const TEXTS: [&str; 38] = [
    "esx01.corp.example.com",
    "ESX01.Corp.Example.COM.",
    "10.1.2.3",
    "2001:DB8::1",
    "127.0.0.1",
    "localhost",
    "zero",
    "00:50:56:AB:cd:ef",
    "0050.56ab.cdef",
    "00:00:00:00:00:00",
    "Bob.Smith@Example.COM",
    "CORP\\bob",
    "+49 30 7483-59133",
    "564D8A3B-1234-ABCD-8899-AABBCCDDEEFF",
    "00000000-0000-0000-0000-000000000000",
    "1HK2L-3M4NP-5QR6S-7TU8V-9WX0Y",
    "de-by",
    "US",
    "Munich",
    "https://user:secret@portal.example.com:8443/a/b?c=d#e",
    "https://other.example.org/",
    "/home/jane.doe/notes.txt",
    "on",
    "off",
    "listed value",
    "other",
    "",
    "  \t",
    "n/a",
    "Jos\u{e9} \u{dc}nic\u{f6}de\u{301}",
    "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "8.0.3-24022515",
    "login of jane.doe@example.com from 10.1.2.3 on esx01.corp.example.com failed",
    "client 10.1.2.3#53211, \u{201c}Bob.Smith@Example.COM\u{201d}, mac=00%3A50%3A56%3Aab%3Acd%3Aef",
    "ESX01.corp.example.com%2Fui \u{2192} corp\\\\bob+443, listed value/2",
    "p1-host_name-s-0123456789abcdefghijklmnop",
    "[mac_address]",
    "a text that is longer than the shortest bound of a field, and shorter than the others",
];

fn scalar(dice: &mut Dice) -> Value {
    match dice.roll(14) {
        0 => value(Wire::IntValue(*dice.one(&[0, 1, -1, 17, 1042, -1042, i64::MIN, i64::MAX]))),
        1 => value(Wire::DoubleValue(*dice.one(&[0.0, -0.5, 12.9, 1e300, f64::NAN, f64::INFINITY]))),
        2 => value(Wire::BoolValue(dice.roll(2) == 0)),
        3 => value(Wire::BytesValue(
            dice.one(&[&b""[..], &[0, 0x50, 0x56, 1, 2, 3], &[10, 1, 2, 3], &[7; 16], &[0; 16], &[200; 33]])
                .to_vec(),
        )),
        4 => text("x".repeat(1 + dice.roll(300))),
        5 => Value::default(),
        _ => text(*dice.one(&TEXTS)),
    }
}

/// A value of the type that the name of a made-up field says, most often.
fn leaf(dice: &mut Dice, name: &str) -> Value {
    let kind = match name {
        "count" | "size" => "int",
        "load" | "rate" => "double",
        "flag" => "bool",
        "version" => return text(*dice.one(&["8.0.3", "12", "esx01", "v1.2.3-rc.1"])),
        "state" => return text(*dice.one(&["on", "off", "else", "other"])),
        _ => name.rsplit('_').next().unwrap(),
    };
    for _ in 0..8 {
        let made = scalar(dice);
        let fits = match (kind, &made.kind) {
            ("int", Some(Wire::IntValue(_))) | ("double", Some(Wire::DoubleValue(_) | Wire::IntValue(_))) => {
                true
            }
            ("bool", Some(Wire::BoolValue(_))) | ("bytes", Some(Wire::BytesValue(_))) => true,
            ("int" | "double" | "bool" | "bytes", _) => false,
            (_, Some(Wire::StringValue(_))) => true,
            _ => false,
        };
        if fits {
            return made;
        }
    }
    scalar(dice)
}

fn list(values: Vec<Value>) -> Value {
    value(Wire::ListValue(List { values }))
}

fn record(fields: Vec<Field>) -> Value {
    value(Wire::RecordValue(Record { fields }))
}

/// A few fields of the made-up dictionary, in any order and now and then one twice.
fn some(dice: &mut Dice, names: &[String], mut make: impl FnMut(&mut Dice, &str) -> Value) -> Vec<Field> {
    let count = dice.roll(14);
    (0..count)
        .map(|_| {
            let name = dice.one(names).clone();
            let made = if dice.roll(20) == 0 { scalar(dice) } else { make(dice, &name) };
            field(name, made)
        })
        .collect()
}

fn rows(dice: &mut Dice, names: &[String]) -> Value {
    let rows = (0..dice.roll(4)).map(|_| record(some(dice, names, leaf))).collect();
    list(rows)
}

fn pairs(dice: &mut Dice, name: &str) -> Value {
    let pairs = (0..dice.roll(4)).map(|_| field(*dice.one(&TEXTS), leaf(dice, name))).collect();
    record(pairs)
}

/// An event of the made-up dictionary.
pub fn event(dice: &mut Dice) -> Event {
    // The names do not depend on the dice.
    let names: Vec<String> = all_fields(&mut Dice(0)).into_iter().map(|(name, _)| name).collect();
    let shape = dice.roll(SHAPES.len() + 1);
    let fields = match SHAPES.get(shape).map(|shape| shape.0) {
        Some("flat") => some(dice, &names, leaf),
        Some("record") => {
            let inner = record(some(dice, &names, leaf));
            vec![field("outer", record(vec![field("inner", inner)]))]
        }
        Some("list") => some(dice, &names, |dice, name| {
            list(
                (0..dice.roll(4))
                    .map(|_| if dice.roll(9) == 0 { scalar(dice) } else { leaf(dice, name) })
                    .collect(),
            )
        }),
        Some("table") => vec![field("rows", rows(dice, &names))],
        Some("grid") => {
            let cells = list((0..dice.roll(3)).map(|_| rows(dice, &names)).collect());
            vec![field("outer", record(vec![field("cells", cells)]))]
        }
        Some(_) => some(dice, &names, pairs),
        None => {
            let hosts = (0..dice.roll(3))
                .map(|_| {
                    let rows = (0..dice.roll(3))
                        .map(|_| {
                            record(vec![
                                field("mac", leaf(dice, "bytes")),
                                field("tags", pairs(dice, "string")),
                                field("tags2", pairs(dice, "string")),
                            ])
                        })
                        .collect();
                    field(*dice.one(&TEXTS), list(rows))
                })
                .collect();
            vec![field("hosts", record(hosts))]
        }
    };
    let name = SHAPES.get(shape).map_or("deep", |shape| shape.0);
    Event { name: name.to_owned(), fields, ..Event::default() }
}
