//! How an identifier can be spelt inside of text. Redaction, which looks for what a batch knows, and erasure, which
//! looks for what is asked of it, go by the same rules: what the one replaces the other finds.

use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

use super::compared::Compared;
use super::detect::{self, fold};
use super::pieces::pieces;
use crate::model::IdentifierClass as Class;

/// Bytes of the longest value that is looked for: a host's name has 253, the name of an object 80 characters.
pub(super) const LONGEST: usize = 256;
/// Values shorter than this stand in text for other things more often than not.
pub(super) const SHORT: usize = 4;

/// Shows every spelling of a value, from its first letter or digit to its last: as detectors read it, in small letters
/// and in capitals, composed and decomposed. Letter case of ASCII is left to whoever compares.
pub(super) fn each(value: &[u8], mut see: impl FnMut(&[u8])) {
    let Some(text) = std::str::from_utf8(value).ok().filter(|text| !text.is_ascii()) else {
        return core(value).into_iter().for_each(see);
    };
    let folded: Zeroizing<String> = Zeroizing::new(text.chars().filter_map(fold).collect());
    for case in [folded.clone(), folded.to_lowercase().into(), folded.to_uppercase().into()] {
        for spelling in [case.nfc().collect::<String>(), case.nfd().collect()].map(Zeroizing::new) {
            core(spelling.as_bytes()).into_iter().for_each(&mut see);
        }
    }
}

/// A value as text is compared whatever its letter case: as detectors read it, in small letters, composed.
pub(super) fn caseless(value: &[u8]) -> Zeroizing<Vec<u8>> {
    let Some(text) = std::str::from_utf8(value).ok().filter(|text| !text.is_ascii()) else {
        return Zeroizing::new(value.to_ascii_lowercase());
    };
    // By way of the capitals, of which some letters have the same (`σ` and `ς`).
    let capitals = text.nfc().filter_map(fold).flat_map(char::to_uppercase);
    let small: Zeroizing<String> = Zeroizing::new(capitals.flat_map(char::to_lowercase).nfc().collect());
    Zeroizing::new(small.as_bytes().to_vec())
}

/// Shows the spellings of a value that differ when they are compared as [`Compared`] reads them: composed, decomposed, and
/// what is other letters in capitals (`STRASSE`). What is long is cut first, so that all of them are cut at the same places,
/// and what is long only when it is decomposed is cut then. The flags say whether it is a piece, and whether that was cut
/// within a word.
pub(super) fn compared(value: &[u8], mut see: impl FnMut(&[u8], (bool, bool))) {
    let Some(text) = std::str::from_utf8(value).ok().filter(|text| !text.is_ascii()) else {
        let is_piece = value.len() > LONGEST;
        return pieces(value, LONGEST, |piece, is_open| {
            if let Some(core) = value.get(piece).and_then(core) {
                see(core, (is_piece, is_open));
            }
        });
    };
    let folded: Zeroizing<String> = Zeroizing::new(text.chars().filter_map(fold).nfc().collect());
    let is_piece = folded.len() > LONGEST;
    // Three bytes can be nine when they are decomposed.
    let most = if is_piece { LONGEST / 3 } else { LONGEST };
    pieces(folded.as_bytes(), most, |piece, is_open| {
        let piece = folded.get(piece).unwrap_or_default();
        let capitals = Zeroizing::new(piece.to_uppercase());
        let is_other = !Compared::new(capitals.as_bytes()).eq(Compared::new(piece.as_bytes()));
        for case in [Some(piece), is_other.then_some(capitals.as_str())].into_iter().flatten() {
            let composed = Zeroizing::new(case.nfc().collect::<String>());
            let decomposed = Zeroizing::new(case.nfd().collect::<String>());
            let other = (decomposed != composed).then_some(&decomposed);
            for form in [Some(&composed), other].into_iter().flatten() {
                let is_long = form.len() > LONGEST;
                pieces(form.as_bytes(), LONGEST, |part, is_cut| {
                    if let Some(core) = form.as_bytes().get(part).and_then(core) {
                        see(core, (is_piece || is_long, is_open || is_cut));
                    }
                });
            }
        }
    });
}

/// From the first letter or digit to the last.
fn core(spelling: &[u8]) -> Option<&[u8]> {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || !byte.is_ascii();
    let first = spelling.iter().position(is_word)?;
    let last = spelling.iter().rposition(is_word)?;
    spelling.get(first..=last)
}

/// Whether a spelling is looked for in the text of a batch that knows it. A short one has to have a letter: of numbers of
/// fewer than four digits, and of single characters, text is full. Of short words (`vm`, `web`) it is, too, but they are
/// names: that each such word of a text is replaced is the lesser harm.
pub(super) fn is_telling(spelling: &[u8]) -> bool {
    let has_letter = || spelling.iter().any(|byte| byte.is_ascii_alphabetic() || !byte.is_ascii());
    let characters = || spelling.iter().filter(|byte| **byte & 0xc0 != 0x80).count();
    match spelling.len() {
        SHORT..=LONGEST => true,
        2..SHORT => has_letter() && characters() > 1,
        _ => false,
    }
}

/// Whether a value is looked for, as a whole or in pieces.
pub(super) fn is_sought(value: &[u8]) -> bool {
    is_telling(value) || value.len() > LONGEST
}

/// Whether a spelling can end where this byte stands beside it. Only a letter or digit of ASCII goes on with one of
/// ASCII: scripts without spaces, arrows and the like stand right beside a name. For the same reason a spelling that
/// ends in such a character ends anywhere.
#[inline]
pub(super) fn is_border(edge: u8, beside: Option<&u8>) -> bool {
    !edge.is_ascii() || beside.is_none_or(|beside| !beside.is_ascii_alphanumeric())
}

/// Shows what else text calls an identifier by, beside its canonical form and the value as it was given: the name of a
/// host without its domain, and in its own script; an account without its domain, and the name that begins a
/// distinguished one; a person's e-mail address without its domain and without what is behind a `+`; a MAC address without
/// separators; any value with its escapes decoded. Some are shown twice.
pub(super) fn parts(class: Class, canonical: &[u8], given: &[u8], mut see: impl FnMut(&[u8])) {
    // As it was given it may have letters that the canonical form does not: `büro-1` of `xn--bro-1-kva`.
    let both = [canonical, given].into_iter();
    if class == Class::HostName {
        both.filter_map(without_domain).for_each(&mut see);
        if let Some(name) = own_script(canonical) {
            see(name.as_bytes());
            without_domain(name.as_bytes()).into_iter().for_each(&mut see);
        }
    } else if class == Class::UserId {
        match common_name(given) {
            Some(name) => see(&name),
            None => both.filter_map(account).for_each(&mut see),
        }
    } else if class == Class::Email {
        for mailbox in both.filter_map(account).filter(|mailbox| !is_shared(mailbox)) {
            see(mailbox);
            mailbox.split(|byte| *byte == b'+').next().into_iter().for_each(&mut see);
        }
    } else if class == Class::MacAddress
        && let Some(bare) = bare_mac(canonical)
    {
        see(&bare);
    }
    if let Some(decoded) = std::str::from_utf8(given).ok().and_then(detect::decoded) {
        see(decoded.as_bytes());
    }
}

/// The host of `host:port`, which is no name of a host.
pub(super) fn without_port(host: &[u8]) -> Option<&[u8]> {
    let colon = host.iter().rposition(|byte| *byte == b':')?;
    let (name, port) = (host.get(..colon)?, host.get(colon + 1..)?);
    let is_port = matches!(port.len(), 1..=5) && port.iter().all(u8::is_ascii_digit);
    (is_port && !name.is_empty() && !name.contains(&b':')).then_some(name)
}

/// The name of a host in its own script, if its canonical form is another one.
fn own_script(canonical: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(canonical).ok().filter(|name| name.contains("xn--"))?;
    let (name, result) = idna::domain_to_unicode(name);
    result.is_ok().then_some(name)
}

/// The first name of a distinguished one: `Jane Doe` of `CN=Jane Doe,OU=Sales`.
fn common_name(user: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let equals = user.iter().position(|byte| *byte == b'=')?;
    let kind = user.get(..equals)?;
    let is_name = [&b"cn"[..], b"uid"].iter().any(|name| kind.eq_ignore_ascii_case(name));
    let mut name = Zeroizing::new(Vec::new());
    let mut bytes = user.get(equals + 1..).filter(|_| is_name)?.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b',' | b'+' | b';' => break,
            b'\\' => name.extend(bytes.next()),
            byte => name.push(*byte),
        }
    }
    Some(name)
}

/// A host's name without its domain, which is the same machine, unless it could be any word.
fn without_domain(host: &[u8]) -> Option<&[u8]> {
    let name = host.split(|byte| *byte == b'.').next()?;
    let has = |what: fn(&u8) -> bool| name.iter().any(what);
    let is_name = has(|byte| byte.is_ascii_digit() || *byte == b'-') && has(|byte| !byte.is_ascii_digit());
    (name.len() < host.len() && is_name).then_some(name)
}

/// The account of `domain\account` or `account@domain`.
fn account(user: &[u8]) -> Option<&[u8]> {
    if let Some(at) = user.iter().position(|byte| *byte == b'\\') {
        return user.get(at + 1..);
    }
    let at = user.iter().rposition(|byte| *byte == b'@')?;
    user.get(..at)
}

/// Mailboxes that have the name of a task, which is nobody's and which text is full of: those of RFC 2142, and the like.
const SHARED: [&[u8]; 30] = [
    b"abuse",
    b"account",
    b"accounts",
    b"admin",
    b"administrator",
    b"alert",
    b"alerts",
    b"billing",
    b"contact",
    b"error",
    b"errors",
    b"help",
    b"helpdesk",
    b"hostmaster",
    b"info",
    b"mail",
    b"monitoring",
    b"news",
    b"no-reply",
    b"noc",
    b"noreply",
    b"notifications",
    b"postmaster",
    b"root",
    b"sales",
    b"security",
    b"service",
    b"support",
    b"system",
    b"webmaster",
];

/// Whether the part of an e-mail address before its `@` is nobody's name.
fn is_shared(mailbox: &[u8]) -> bool {
    let task = mailbox.split(|byte| *byte == b'+').next().unwrap_or_default();
    SHARED.iter().any(|shared| task.eq_ignore_ascii_case(shared))
}

/// The digits of an address with colons; `None` if it has another form, as the digest of one.
fn bare_mac(canonical: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let is_colon = |at: usize, byte: u8| (at % 3 == 2) == (byte == b':');
    let is_mac = matches!(canonical.len(), 17 | 23)
        && canonical.iter().enumerate().all(|(at, byte)| is_colon(at, *byte));
    is_mac.then(|| Zeroizing::new(canonical.iter().copied().filter(|byte| *byte != b':').collect()))
}

#[cfg(test)]
mod tests {
    use unicode_normalization::UnicodeNormalization as _;

    use super::{Class, compared, each, is_border, is_telling, parts, without_port};

    #[test]
    fn a_value_has_the_spellings_that_text_can_have_of_it() {
        let all = |value: &str| {
            let mut all = Vec::new();
            each(value.as_bytes(), |spelling| all.push(String::from_utf8_lossy(spelling).into_owned()));
            all.dedup();
            all
        };
        assert_eq!(all("(Prod VM 1)"), ["Prod VM 1"]);
        assert_eq!(all("--"), Vec::<String>::new());
        // The wide parentheses and the dash as detectors read them.
        assert_eq!(
            all("\u{8d22}\u{52a1}\u{ff08}A\u{2013}1\u{ff09}\u{5e93}"),
            [
                "\u{8d22}\u{52a1}(A-1)\u{5e93}",
                "\u{8d22}\u{52a1}(a-1)\u{5e93}",
                "\u{8d22}\u{52a1}(A-1)\u{5e93}"
            ]
        );
        let umlaut = all("\u{dc}ber");
        for spelling in ["\u{dc}ber", "\u{fc}ber", "\u{dc}BER", "U\u{308}ber", "u\u{308}ber"] {
            assert!(umlaut.iter().any(|one| one == spelling), "{spelling} in {umlaut:?}");
        }
    }

    #[test]
    fn short_values_are_looked_for_if_they_are_no_numbers_and_names_end_at_what_is_beyond_ascii() {
        for (value, telling) in [
            ("db1", true),
            ("x1", true),
            ("vm", true),
            ("abc", true),
            ("10", false),
            ("404", false),
            ("8.0", false),
            ("x", false),
            ("\u{e9}1", true),
            ("8080", true),
            ("\u{5e93}", false),
            ("prod", true),
            ("\u{8d22}\u{52a1}", true),
            ("", false),
        ] {
            assert_eq!(is_telling(value.as_bytes()), telling, "{value}");
        }
        assert!(!is_telling(&[b'a'; 257]));
        assert!(is_border(b'a', None) && is_border(b'a', Some(&b'-')) && is_border(b'a', Some(&0xe6)));
        assert!(!is_border(b'a', Some(&b'b')) && is_border(0xe6, Some(&b'b')));
    }

    #[test]
    fn an_identifier_has_the_parts_that_text_calls_it_by() {
        for (class, canonical, given, expected) in [
            (
                Class::HostName,
                "esx-04.corp.example.com",
                "ESX-04.corp.example.com",
                &["esx-04", "ESX-04"][..],
            ),
            (Class::HostName, "db1.lab", "db1.lab", &["db1", "db1"]),
            (
                Class::HostName,
                "xn--bro-1-kva.lab",
                "b\u{fc}ro-1.lab",
                &["xn--bro-1-kva", "b\u{fc}ro-1", "b\u{fc}ro-1.lab", "b\u{fc}ro-1"],
            ),
            (Class::HostName, "xn--bro-1-kva", "xn--bro-1-kva", &["b\u{fc}ro-1"]),
            // What could be any word, or a number.
            (Class::HostName, "www.example.com", "www.example.com", &[]),
            (Class::HostName, "10.1.2.3", "10.1.2.3", &[]),
            (Class::HostName, "esx-04", "esx-04", &[]),
            (Class::UserId, "corp\\jdoe", "CORP\\jdoe", &["jdoe", "jdoe"]),
            (Class::UserId, "jdoe@corp.example.com", "jdoe@corp.example.com", &["jdoe", "jdoe"]),
            (Class::UserId, "jdoe", "jdoe", &[]),
            (
                Class::Email,
                "jane.roe@example.com",
                "Jane.Roe@Example.com",
                &["jane.roe", "jane.roe", "Jane.Roe", "Jane.Roe"],
            ),
            (Class::Email, "jane+x@example.com", "jane+x@example.com", &["jane+x", "jane", "jane+x", "jane"]),
            (Class::Email, "info@example.com", "Info+2026@example.com", &[]),
            (Class::UserId, "CN=Jane Doe,OU=x", "CN=Jane Doe,OU=x", &["Jane Doe"]),
            (Class::UserId, "", "cn=Doe\\, Jane+uid=1", &["Doe, Jane"]),
            (Class::ObjectName, "a%2fb pool", "a%2fb pool", &["a/b pool"]),
            (Class::MacAddress, "00:1b:21:ab:cd:ef", "001b.21ab.cdef", &["001b21abcdef"]),
            (Class::MacAddress, "00:1b:21:ff:fe:ab:cd:ef", "", &["001b21fffeabcdef"]),
            (Class::MacAddress, "d41d8cd98f00b2041", "", &[]),
            (Class::ObjectName, "a.b\\c@d", "a.b\\c@d", &[]),
        ] {
            let mut all = Vec::new();
            parts(class, canonical.as_bytes(), given.as_bytes(), |part| all.push(part.to_vec()));
            let expected: Vec<_> = expected.iter().map(|part| part.as_bytes()).collect();
            assert_eq!(all, expected, "{given}");
        }
    }

    #[test]
    fn a_spelling_that_differs_only_in_letter_case_is_none_of_its_own() {
        let all = |value: &str| {
            let mut all = Vec::new();
            compared(value.as_bytes(), |spelling, _| {
                all.push(String::from_utf8_lossy(spelling).into_owned());
            });
            all
        };
        assert_eq!(all("Prod VM"), ["Prod VM"]);
        assert_eq!(all("\u{418}\u{432}\u{430}\u{43d}"), ["\u{418}\u{432}\u{430}\u{43d}"]);
        assert_eq!(all("\u{dc}ber"), ["\u{dc}ber", "U\u{308}ber"]);
        assert_eq!(all("Stra\u{df}e"), ["Stra\u{df}e", "STRASSE"]);
        // What is long only when it is decomposed is cut, and whole as it is.
        let long = "\u{ac01}".repeat(40);
        let spelt = all(&long);
        assert!(spelt.len() > 2 && spelt.iter().all(|one| one.len() <= super::LONGEST));
        assert_eq!(spelt.first(), Some(&long));
        assert_eq!(spelt.get(1..).unwrap_or_default().concat(), long.nfd().collect::<String>());
    }

    #[test]
    fn a_port_is_no_part_of_a_host() {
        for (value, host) in
            [("esx01:443", Some("esx01")), ("esx01", None), (":443", None), ("a:b", None), ("fe80::1", None)]
        {
            assert_eq!(without_port(value.as_bytes()), host.map(str::as_bytes), "{value}");
        }
    }
}
