//! Canaries: values that are each sent once, of the form that their class has, and every form in which
//! one could come out: as it is, folded, canonical, hexadecimal, Base64, UTF-16, binary, unkeyed hash.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use data_encoding::{BASE64, HEXLOWER, HEXUPPER};
use sha2::{Digest as _, Sha256};
use usaged::grpc::proto::ingest::{Value, value::Kind as Wire};
use usaged::model::{IdentifierClass as Class, Purpose, Purposes};
use usaged::policy::{Field, Kind};
use usaged::sanitize::canonical::{Canonical, Scratch, canonical};
use uuid::Uuid;

use crate::dictionary_events::{text, value};
use crate::hunt_search::Search;

/// What was sent once, and where it may be.
#[derive(Debug, Default, Clone)]
pub struct Canary {
    pub what: String,
    /// The purposes for which the policy keeps it as it is, for the customer who sent it.
    pub kept: Purposes,
    /// Whether what is stored of this customer is drained too.
    pub is_drained: bool,
    /// Whether it is in a map, of which a pair is stored whole or not at all.
    pub is_in_map: bool,
    /// Whether it is the id of a customer that an operator registered.
    pub is_registered: bool,
    /// The request whose answer may name it: a name that the dictionary does not have, or a batch id.
    pub told_to: Option<usize>,
}

/// Where something was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the files of the data directory, the log, metrics, statuses: nothing is there but the ids of
    /// customers in the registry.
    Directory,
    Outside,
    /// In the answer to a request.
    Answer(usize),
    /// In an opened record.
    Stored,
    /// In what a subscription of this purpose was given.
    Drained(Purpose),
}

impl Canary {
    fn may_be(&self, place: Place) -> bool {
        match place {
            Place::Directory => self.is_registered,
            Place::Outside => false,
            Place::Answer(request) => self.told_to == Some(request),
            Place::Stored => !self.kept.is_empty(),
            Place::Drained(purpose) => self.is_drained && self.kept.has(purpose),
        }
    }
}

/// Everything that was sent, and the search for it.
#[derive(Default)]
pub struct Sent {
    pub canaries: Vec<Canary>,
    pub search: Search,
    scratch: Scratch,
}

impl Sent {
    /// What is in `bytes` although it may not be at this place.
    pub fn leaks(&self, place: Place, bytes: &[u8]) -> Vec<&Canary> {
        let found = self.search.canaries_in(bytes).into_iter().map(|at| &self.canaries[at]);
        found.filter(|canary| !canary.may_be(place)).collect()
    }

    /// Nothing of what was sent since then may be kept after all.
    pub fn keep_none_since(&mut self, begun: usize) {
        self.canaries[begun..].iter_mut().for_each(|canary| canary.kept = Purposes::NONE);
    }

    /// Remembers a canary with all its forms, of which those in `binary` are given.
    pub fn remember(&mut self, canary: Canary, texts: &[&str], binary: Vec<Vec<u8>>) -> usize {
        let at = self.canaries.len();
        self.canaries.push(canary);
        let mut forms: BTreeSet<Vec<u8>> = binary.into_iter().collect();
        for text in texts {
            let wide = |end: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(end).collect::<Vec<u8>>();
            forms.extend([text.as_bytes().to_vec(), wide(u16::to_le_bytes), wide(u16::to_be_bytes)]);
            for folded in [text.to_lowercase(), text.to_uppercase()] {
                forms.extend(encoded(folded.as_bytes()));
            }
            forms.extend(encoded(text.as_bytes()));
        }
        forms.into_iter().for_each(|form| self.search.add(form, at));
        at
    }

    /// A text canary of a class: whatever is looked for is also looked for in its canonical form.
    pub fn text(&mut self, canary: Canary, class: Class) -> String {
        let number = scrambled(self.canaries.len());
        let (whole, part) = of_class(class, self.canaries.len(), number);
        self.known_text(canary, class, whole.clone(), &part);
        whole
    }

    /// A text that is not of the form of any class.
    pub fn odd_text(&mut self, canary: Canary) -> String {
        let core = format!("{:011x}", scrambled(self.canaries.len()));
        let whole = format!("jane/{core}@[evil] \"{core}\" https://x:99999/{core}");
        self.known_text(canary, Class::FreeText, whole.clone(), &core);
        whole
    }

    fn known_text(&mut self, canary: Canary, class: Class, whole: String, part: &str) {
        let form = match canonical(class, whole.as_bytes(), &mut self.scratch) {
            Canonical::Identifier(form) => String::from_utf8(form.to_vec()).unwrap(),
            Canonical::Known(word) => panic!("{class} {whole} is the known word {word}"),
            Canonical::Malformed => whole.clone(),
        };
        let mut binary = hashed(whole.as_bytes());
        binary.extend(hashed(form.as_bytes()));
        binary.extend(binary_forms(class, &whole));
        self.remember(canary, &[&whole, part, &form], binary);
    }

    pub fn int(&mut self, canary: Canary) -> i64 {
        // No multiple of a width that a dictionary may round to.
        let odd = scrambled(self.canaries.len()) | 1;
        let own = (odd..).step_by(2).find(|n| n % 3 != 0 && n % 5 != 0).unwrap();
        let number = i64::try_from(own).unwrap();
        let (text, hex) = (number.to_string(), format!("{number:x}"));
        let binary = [number.to_le_bytes().to_vec(), number.to_be_bytes().to_vec(), varint(number)];
        let hashes = hashed(text.as_bytes());
        self.remember(canary, &[&text, &hex], binary.into_iter().chain(hashes).collect());
        number
    }

    pub fn double(&mut self, canary: Canary) -> f64 {
        let number = scrambled(self.canaries.len()) as f64 / 1024.0;
        let bits = number.to_bits();
        let text = format!("{number}");
        self.remember(canary, &[&text], vec![bits.to_le_bytes().to_vec(), bits.to_be_bytes().to_vec()]);
        number
    }

    pub fn bytes(&mut self, canary: Canary, class: Class) -> Vec<u8> {
        let mut bytes = [scrambled(self.canaries.len()), scrambled(self.canaries.len() + (1 << 40))]
            .map(u64::to_be_bytes)
            .concat();
        bytes[..2].copy_from_slice(&[0x24, 0x01]);
        bytes.truncate(if class == Class::MacAddress { 6 } else { 16 });
        let texts: Vec<String> = match class {
            Class::MacAddress => vec![separated(&bytes, ":"), separated(&bytes, "-")],
            _ => {
                let octets: [u8; 16] = bytes.as_slice().try_into().unwrap();
                vec![Ipv6Addr::from(octets).to_string(), Uuid::from_bytes(octets).to_string()]
            }
        };
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let mut binary = encoded(&bytes);
        binary.extend(hashed(&bytes));
        self.remember(canary, &texts, binary);
        bytes
    }

    /// A canary of the type and class that the dictionary declares; none for a boolean.
    pub fn of_field(&mut self, canary: Canary, field: &Field) -> Option<Value> {
        Some(match field.kind() {
            Kind::Text => text(self.text(canary, field.class())),
            Kind::Int => value(Wire::IntValue(self.int(canary))),
            Kind::Double => value(Wire::DoubleValue(self.double(canary))),
            Kind::Bytes => value(Wire::BytesValue(self.bytes(canary, field.class()))),
            Kind::Bool => return None,
        })
    }

    /// A canary of another type than the dictionary declares.
    pub fn of_other_type(&mut self, canary: Canary, field: &Field) -> Value {
        match field.kind() {
            Kind::Text => value(Wire::BytesValue(self.bytes(canary, field.class()))),
            Kind::Bytes | Kind::Double | Kind::Bool => text(self.text(canary, Class::HostName)),
            Kind::Int => value(Wire::DoubleValue(self.double(canary))),
        }
    }
}

/// 44 bits that are another for every number and never have a leading zero.
pub fn scrambled(number: usize) -> u64 {
    let number = u64::try_from(number).unwrap().wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (number ^ number >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ mixed >> 32) & 0x7ff_ffff_ffff | 0x800_0000_0000
}

/// A value of the form of its class, and the part of it that nothing else has.
pub fn of_class(class: Class, number: usize, own: u64) -> (String, String) {
    let core = format!("{own:011x}");
    let [.., _, _, high, mid, low] = own.to_be_bytes();
    let uuid = Uuid::from_u64_pair(own << 20 | 0x4_0000, 1 << 63 | own).to_string();
    let whole = match class {
        Class::NotIdentifying => {
            let text = format!("8.{:06}.{:07}", own / 10_000_000 % 1_000_000, own % 10_000_000);
            return (text.clone(), text);
        }
        Class::LicenceKey => format!("{:05X}-{core}-ZZ{high:03X}", own % 0xf_ffff),
        Class::InstanceId
        | Class::VmId
        | Class::ClusterId
        | Class::BiosUuid
        | Class::DeviceId
        | Class::AdvertisingId => return (uuid.clone(), uuid),
        Class::HostName => format!("esx-{core}.Corp.Example.COM."),
        Class::IpAddress if number.is_multiple_of(2) => {
            let octets = [number / 10_000 % 100, number / 100 % 100, number % 100].map(|n| n + 100);
            let text = format!("10.{}.{}.{}", octets[0], octets[1], octets[2]);
            return (text.clone(), text);
        }
        Class::IpAddress => {
            let text = format!("2001:0DB8:{high:02x}{mid:02x}:{low:02x}aa:0:0:{:x}:7", own >> 32);
            return (text.clone(), text);
        }
        Class::MacAddress => {
            let text = format!("00:50:56:{high:02X}:{mid:02X}:{low:02X}");
            return (text.clone(), text);
        }
        Class::Email => format!("Jane.{core}@Mail.Example.COM"),
        Class::Phone => format!("+49 30 {:09}", own % 1_000_000_000),
        Class::UserId => format!("CORP\\jdoe{core}"),
        Class::Location => {
            let code = [number / 1296 % 36, number / 36 % 36, number % 36];
            let code = code.map(|n| char::from(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[n]));
            let text = format!("DE-{}", String::from_iter(code));
            return (text.clone(), text);
        }
        Class::Url => format!("https://portal-{core}.example.com/desk?user={core}#frag"),
        Class::FilePath => format!("/home/jdoe{core}/vm/ledger.vmx"),
        Class::PostalAddress => format!("{core} Example Street, 60311 Frankfurt"),
        Class::Secret => format!("hunter2-{core}-password"),
        Class::CustomerId
        | Class::EntitlementId
        | Class::ObjectName
        | Class::SerialNumber
        | Class::BrowserId
        | Class::Cookie
        | Class::PixelId
        | Class::PersonName
        | Class::Query
        | Class::Argument
        | Class::FreeText
        | Class::ProductLog
        | Class::CrashText
        | Class::CustomerContent => format!("{class}:Zoë-{core}"),
    };
    let part = if class == Class::Phone { format!("{:09}", own % 1_000_000_000) } else { core };
    (whole, part)
}

/// The binary and respelled forms of addresses and UUIDs.
fn binary_forms(class: Class, text: &str) -> Vec<Vec<u8>> {
    if let Ok(uuid) = Uuid::parse_str(text) {
        let mut forms = encoded(uuid.as_bytes());
        forms.extend([uuid.to_bytes_le().to_vec(), uuid.as_u128().to_le_bytes().to_vec()]);
        return forms;
    }
    match class {
        Class::MacAddress => {
            let octets = HEXUPPER.decode(text.replace(':', "").as_bytes()).unwrap();
            let mut forms = encoded(&octets);
            forms.extend([separated(&octets, "-").into_bytes(), separated(&octets, ".").into_bytes()]);
            forms
        }
        Class::IpAddress => match text.parse::<Ipv4Addr>() {
            // Four bytes alone would be found by chance: as bytes of protobuf, mapped, or in hexadecimal.
            Ok(address) => vec![
                [&[0x2a, 4], address.octets().as_slice()].concat(),
                [&[0, 0, 0xff, 0xff], address.octets().as_slice()].concat(),
                HEXLOWER.encode(&address.octets()).into_bytes(),
                HEXUPPER.encode(&address.octets()).into_bytes(),
            ],
            Err(_) => encoded(&text.parse::<Ipv6Addr>().unwrap().octets()),
        },
        _ => Vec::new(),
    }
}

/// As it is, in hexadecimal, and in Base64 wherever it may stand in a longer text.
fn encoded(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut forms =
        vec![bytes.to_vec(), HEXLOWER.encode(bytes).into_bytes(), HEXUPPER.encode(bytes).into_bytes()];
    for before in 0..3 {
        let shifted = [&vec![0; before], bytes].concat();
        let from = [0, 2, 3][before];
        let until = shifted.len() * 8 / 6;
        forms.push(BASE64.encode(&shifted).as_bytes()[from..until].to_vec());
    }
    forms
}

/// The unkeyed hash, whole and as short as our tokens are.
fn hashed(bytes: &[u8]) -> Vec<Vec<u8>> {
    let hash = &Sha256::digest(bytes)[..16];
    vec![hash.to_vec(), HEXLOWER.encode(hash).into_bytes(), HEXUPPER.encode(hash).into_bytes()]
}

fn separated(bytes: &[u8], by: &str) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(by)
}

fn varint(number: i64) -> Vec<u8> {
    let (mut rest, mut bytes) = (number.cast_unsigned(), Vec::new());
    while rest > 0x7f {
        bytes.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes
}
