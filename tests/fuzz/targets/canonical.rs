//! Canonical forms and generalisations: the form of a form is that form, what is coarse stays what it is, and nothing
//! panics or grows without end.

use usaged::model::IdentifierClass;
use usaged::policy::Generalise;
use usaged::sanitize::canonical::{
    Canonical, Scratch, canonical, canonical_bytes, canonical_int, generalise, generalise_bytes,
    generalise_double, generalise_number,
};

use super::Choices;

const COARSE: [Generalise; 8] = [
    Generalise::EmailDomain,
    Generalise::IpNetwork,
    Generalise::LocationCountry,
    Generalise::LocationRegion,
    Generalise::MacVendor,
    Generalise::TimeHour,
    Generalise::UrlOrigin,
    Generalise::Bucket(10),
];

/// A form as it can be compared.
#[derive(Debug, PartialEq, Eq)]
enum Form {
    Identifier(Vec<u8>),
    Known(&'static str),
    Malformed,
}

fn form(found: Canonical<'_>) -> Form {
    match found {
        Canonical::Identifier(bytes) => Form::Identifier(bytes.to_vec()),
        Canonical::Known(word) => Form::Known(word),
        Canonical::Malformed => Form::Malformed,
    }
}

/// The first byte is the class, the second the kind of value; the rest is the value.
pub fn run(input: &[u8]) {
    let mut choices = Choices(input);
    let class = *choices.one(IdentifierClass::ALL);
    let kind = choices.roll(4);
    let value = choices.0;
    match kind {
        0 => text(class, value),
        1 => bytes(class, value),
        2 => number(class, value),
        _ => coarse(value),
    }
}

fn stays(class: IdentifierClass, found: &Form, len: usize) {
    let Form::Identifier(bytes) = found else { return };
    assert!(!class.is_forbidden(), "{class} has a form");
    assert!(bytes.len() <= 3 * len + 64, "{len} bytes became {}", bytes.len());
    assert!(std::str::from_utf8(bytes).is_ok(), "{class}: a form is text");
    assert_eq!(form(canonical(class, bytes, &mut Scratch::default())), *found, "{class}: the form of a form");
}

fn text(class: IdentifierClass, value: &[u8]) {
    let mut scratch = Scratch::default();
    let found = form(canonical(class, value, &mut scratch));
    stays(class, &found, value.len());
    // Buffers that held another value give the same.
    let _ = canonical(IdentifierClass::HostName, b"ESX.Example.COM", &mut scratch);
    assert_eq!(form(canonical(class, value, &mut scratch)), found);
}

fn bytes(class: IdentifierClass, value: &[u8]) {
    let found = form(canonical_bytes(class, value, &mut Scratch::default()));
    match &found {
        // Bytes that are no text and none of the class's layouts are their own form.
        Form::Identifier(bytes) if bytes == value => assert!(!class.is_forbidden(), "{class} has a form"),
        found => stays(class, found, value.len()),
    }
}

fn number(class: IdentifierClass, value: &[u8]) {
    let mut eight = [0; 8];
    eight.iter_mut().zip(value).for_each(|(to, from)| *to = *from);
    let value = i64::from_le_bytes(eight);
    let found = form(canonical_int(class, value, &mut Scratch::default()));
    stays(class, &found, 20);
    for width in [0, 1, 10, 4096, u64::MAX, value.unsigned_abs()] {
        let bucket = generalise_number(width, value);
        assert!(bucket <= value && generalise_number(width, bucket) == bucket, "{width} {value}");
        let double = generalise_double(width, f64::from_bits(value.cast_unsigned()));
        let again = generalise_double(width, double);
        assert!(double.to_bits() == again.to_bits(), "{width} {double} {again}");
    }
}

fn coarse(value: &[u8]) {
    for how in COARSE {
        for made in [
            generalise(how, value, &mut Scratch::default()).map(<[u8]>::to_vec),
            generalise_bytes(how, value, &mut Scratch::default()).map(<[u8]>::to_vec),
        ]
        .into_iter()
        .flatten()
        {
            assert!(made.len() <= 3 * value.len() + 64);
            assert!(std::str::from_utf8(&made).is_ok());
            let again = generalise(how, &made, &mut Scratch::default()).map(<[u8]>::to_vec);
            assert_eq!(again.as_ref(), Some(&made), "{how:?}: what is coarse stays");
        }
    }
    let region = generalise(Generalise::LocationRegion, value, &mut Scratch::default()).map(<[u8]>::to_vec);
    if let Some(region) = region {
        let of = |value: &[u8]| {
            generalise(Generalise::LocationCountry, value, &mut Scratch::default()).map(<[u8]>::to_vec)
        };
        assert_eq!(of(&region), of(value), "the country of a region is the country");
    }
}
