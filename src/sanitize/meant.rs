//! What words of a text mean as an identifier: how erasure compares what it finds in text with what it looks for, whether
//! the identifier is known or only its pseudonyms are. As redaction does (`compared.rs`): letter case, the width of white
//! space, and backslashes before quotes and line ends make no difference; nor, of keys, addresses and telephone numbers,
//! does what stands between their letters and digits.

use zeroize::Zeroizing;

use super::canonical::{Canonical, Scratch, canonical};
use super::compared::{Compared, is_separator};
use super::spelling;
use crate::model::IdentifierClass as Class;

/// A value as it is compared whatever its letter case and white space are.
pub(super) fn plain(value: &[u8]) -> Zeroizing<Vec<u8>> {
    let caseless = spelling::caseless(value);
    // Nearly always it is the same, and nothing is copied.
    if Compared::new(&caseless).eq(caseless.iter().copied()) {
        return caseless;
    }
    Zeroizing::new(Compared::new(&caseless).collect())
}

/// Whether two values are the same, as they are compared in text.
pub(super) fn are_same(one: &[u8], other: &[u8]) -> bool {
    one == other || *plain(one) == *plain(other)
}

/// Whether any form passes that words of a text have as an identifier of a class: their canonical form, or if they have
/// none they themselves, for a part can have another form than its class; the same in small letters; and as it is compared.
/// Each is shown once.
pub(super) fn any_form(
    class: Class,
    words: &[u8],
    scratch: &mut Scratch,
    mut is: impl FnMut(&[u8]) -> bool,
) -> bool {
    let form = match canonical(class, words, scratch) {
        Canonical::Identifier(form) => form,
        Canonical::Malformed => words,
        Canonical::Known(_) => return false,
    };
    if any_case(form, &mut is) {
        return true;
    }
    let Some(bare) = bare(class, words) else { return false };
    match canonical(class, &bare, scratch) {
        Canonical::Identifier(form) => any_case(form, &mut is),
        Canonical::Malformed | Canonical::Known(_) => false,
    }
}

/// Whether a canonical form passes, or that in small letters, or as it is compared.
pub(super) fn any_case(form: &[u8], is: &mut impl FnMut(&[u8]) -> bool) -> bool {
    if is(form) {
        return true;
    }
    let (caseless, plain) = (spelling::caseless(form), plain(form));
    // What was erased before white space made no difference has only the former.
    *caseless != *form && is(&caseless) || *plain != *caseless && *plain != *form && is(&plain)
}

/// Whether a value is compared by its letters and digits alone.
pub(super) const fn is_loose(class: Class) -> bool {
    matches!(class, Class::LicenceKey | Class::MacAddress | Class::Phone)
}

/// The letters and digits of what has more than those, where they are all that counts.
pub(super) fn bare(class: Class, words: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let has_others = is_loose(class) && words.iter().any(|byte| is_separator(*byte));
    has_others.then(|| Zeroizing::new(words.iter().copied().filter(|byte| !is_separator(*byte)).collect()))
}

/// Shows the ends of a telephone number that text has for the whole: of seven digits and more, and with the `0` that is
/// dialled before the code of an area.
pub(super) fn tails(class: Class, canonical: &[u8], mut see: impl FnMut(&[u8])) {
    const SUBSCRIBER: usize = 7;
    let digits = canonical.strip_prefix(b"+").unwrap_or(canonical);
    if class != Class::Phone || !digits.iter().all(u8::is_ascii_digit) {
        return;
    }
    for from in 0..=digits.len().saturating_sub(SUBSCRIBER) {
        let Some(tail) = digits.get(from..).filter(|tail| tail.len() >= SUBSCRIBER) else { continue };
        if from > 0 || tail.len() < canonical.len() {
            see(tail);
        }
        see(&Zeroizing::new([b"0", tail].concat()));
    }
}

/// A text with the escapes of white space and of backslashes decoded (`up\n10.1.2.3`, `corp\\bob`), if there are any:
/// redaction does not read the former, because that is also how an account stands behind its domain.
pub(super) fn broken(text: &str) -> Option<Zeroizing<String>> {
    text.contains('\\').then_some(())?;
    let mut out = Zeroizing::new(String::with_capacity(text.len()));
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let escaped = chars.next_if(|next| c == '\\' && matches!(next, 'n' | 'r' | 't' | '\\'));
        out.push(if escaped.is_some_and(|escaped| escaped != '\\') { ' ' } else { c });
    }
    (out.len() < text.len()).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_compared_as_redaction_compares_them() {
        for (class, words, form, same) in [
            (Class::ObjectName, "PROD \t VM\\n1", "prod vm 1", true),
            (Class::ObjectName, "say \\\"x\\\" 1", "say \"x\" 1", true),
            (Class::PersonName, "STRASSE", "stra\u{df}e", true),
            (Class::MacAddress, "00:1B-21 ab.cdEF", "00:1b:21:ab:cd:ef", true),
            (Class::LicenceKey, "1hk2l.3m4np/5qr6s", "1HK2L3M4NP5QR6S", true),
            (Class::Phone, "0 30 / 748:3591", "0307483591", true),
            (Class::ObjectName, "Prod-VM-1", "prod vm 1", false),
            (Class::UserId, "corp/bob", "corp\\bob", false),
        ] {
            let mut scratch = Scratch::default();
            let form = plain(form.as_bytes());
            let found = any_form(class, words.as_bytes(), &mut scratch, |one| *plain(one) == *form);
            assert_eq!(found, same, "{words}");
        }
        assert!(are_same(b"Prod  VM", b"prod vm") && !are_same(b"prod vm", b"prodvm"));
    }

    #[test]
    fn a_telephone_number_has_ends_of_seven_digits_and_more() {
        let mut all = Vec::new();
        tails(Class::Phone, b"+123456789", |tail| all.push(String::from_utf8_lossy(tail).into_owned()));
        assert_eq!(all, ["123456789", "0123456789", "23456789", "023456789", "3456789", "03456789"]);
        tails(Class::Phone, b"12345", |_| unreachable!("too short"));
        tails(Class::DeviceId, b"123456789", |_| unreachable!("no telephone"));
    }
}
