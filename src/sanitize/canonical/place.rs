//! Places: the ISO 3166-1 alpha-2 code of a country, or the ISO 3166-2 code of its subdivision, in upper case.

use super::{Found, digest, known};

/// The second letters of the officially assigned country codes (ISO 3166-1, 249 of them), by first letter.
/// Reserved and user-assigned codes (EU, UK, XK, ZZ) are no countries.
const COUNTRIES: [&str; 26] = [
    "DEFGILMOQRSTUWXZ",        // A
    "ABDEFGHIJLMNOQRSTVWYZ",   // B
    "ACDFGHIKLMNORUVWXYZ",     // C
    "EJKMOZ",                  // D
    "CEGHRST",                 // E
    "IJKMOR",                  // F
    "ABDEFGHILMNPQRSTUWY",     // G
    "KMNRTU",                  // H
    "DELMNOQRST",              // I
    "EMOP",                    // J
    "EGHIMNPRWYZ",             // K
    "ABCIKRSTUVY",             // L
    "ACDEFGHKLMNOPQRSTUVWXYZ", // M
    "ACEFGILOPRUZ",            // N
    "M",                       // O
    "AEFGHKLMNRSTWY",          // P
    "A",                       // Q
    "EOSUW",                   // R
    "ABCDEGHIJKLMNORSTVXYZ",   // S
    "CDFGHJKLMNORTVWZ",        // T
    "AGMSYZ",                  // U
    "ACEGINU",                 // V
    "FS",                      // W
    "",                        // X
    "ET",                      // Y
    "AMW",                     // Z
];

/// The parts of a code, as written.
struct Code<'t> {
    country: &'t [u8],
    subdivision: &'t [u8],
}

/// Reads `CC` and `CC-X`, `CC-XX`, `CC-XXX`, in any letter case. Which subdivisions there are is not
/// checked: ISO changes them every year.
fn parse(text: &[u8]) -> Option<Code<'_>> {
    let (country, rest) = text.split_at_checked(2)?;
    let [first, second] = country else { return None };
    let row = COUNTRIES.get(usize::from(first.to_ascii_uppercase().checked_sub(b'A')?))?;
    if !row.as_bytes().contains(&second.to_ascii_uppercase()) {
        return None;
    }
    let subdivision = match rest {
        [] => rest,
        [b'-', code @ ..] if matches!(code.len(), 1..=3) && code.iter().all(u8::is_ascii_alphanumeric) => {
            code
        }
        _ => return None,
    };
    Some(Code { country, subdivision })
}

fn push_upper(text: &[u8], out: &mut Vec<u8>) {
    out.extend(text.iter().map(u8::to_ascii_uppercase));
}

/// Writes the country; `None` if `text` is no code of a place.
pub(super) fn country(text: &[u8], out: &mut Vec<u8>) -> Option<Found<'static>> {
    push_upper(parse(text)?.country, out);
    Some(Found::Written)
}

/// Writes the subdivision with its country, or the country if nothing finer is given.
pub(super) fn region(text: &[u8], out: &mut Vec<u8>) -> Option<Found<'static>> {
    let code = parse(text)?;
    push_upper(code.country, out);
    if !code.subdivision.is_empty() {
        out.push(b'-');
        push_upper(code.subdivision, out);
    }
    Some(Found::Written)
}

pub(super) fn canonical<'t>(text: &'t str, out: &mut Vec<u8>) -> Found<'t> {
    let text = text.as_bytes();
    if let Some(found) = region(text, out) {
        return if out.as_slice() == text { Found::AsIs(text) } else { found };
    }
    match known::placeholder(text) {
        Some(word) => Found::Known(word),
        None => digest::any(text, out).unwrap_or(Found::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::COUNTRIES;
    use crate::model::IdentifierClass::Location;
    use crate::sanitize::canonical::checks::{borrowed, cases, malformed};

    #[test]
    fn there_are_249_countries_in_order() {
        assert_eq!(COUNTRIES.iter().map(|row| row.len()).sum::<usize>(), 249);
        for row in COUNTRIES {
            assert!(
                row.bytes().is_sorted() && row.bytes().all(|letter| letter.is_ascii_uppercase()),
                "{row}"
            );
        }
    }

    #[test]
    fn codes_are_in_upper_case() {
        let codes = [
            ("DE", "DE"),
            ("de", "DE"),
            ("de-by", "DE-BY"),
            ("US-CA", "US-CA"),
            ("gb-eng", "GB-ENG"),
            ("AT-9", "AT-9"),
            ("unknown", "=placeholder"),
        ];
        cases(Location, &codes);
        borrowed(Location, "DE-BY");
    }

    #[test]
    fn what_is_no_place_is_malformed() {
        for text in [
            "Germany",
            "DEU",
            "UK",
            "EU",
            "XK",
            "ZZ",
            "D",
            "DE-",
            "DE-BAYERN",
            "DE_BY",
            "48.1,11.5",
            "\u{c4}A",
        ] {
            malformed(Location, text);
        }
    }
}
